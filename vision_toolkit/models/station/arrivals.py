"""Find the images that have come, are whole, and were not answered yet, in a folder of any size.

The folder is looked at again and again; nothing else works on every disk and network share. That is kept cheap: a
folder whose own time did not move has no new names, of the others only new names are asked for more, and a thorough
look, which also finds images that were overwritten in place, takes a fiftieth of the time at most.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Container
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from .journal import identity

__all__ = ["ENDINGS", "Arrival", "Arrivals"]

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
"""Of names of images, in small or capital letters; a name that begins with a dot is passed over."""
_COARSE = 2_000_000_000
"""Nanoseconds: the coarsest clock of a disk. Within it a folder can change twice at the same time."""
_BETWEEN, _SHARE = 10.0, 50.0
"""Seconds between two thorough looks at least, and how many times as long as the last one took."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """Hold an image that has come: its path below the folder, with ``/``, its size, and when it was last written."""

    source: str
    size: int
    mtime_ns: int
    watched: bool = field(default=True, compare=False)  # it was seen to be still, not only taken to be whole

    @property
    def number(self) -> int:
        """Return the number by which the journal knows it."""
        return identity(self.source, self.size, self.mtime_ns)


@dataclass(slots=True)
class _Sighting:
    """Hold how a file looked when it was last seen otherwise than before."""

    arrival: Arrival
    since: float
    whole: bool = False
    look: int = 0  # at which it was last seen


class Arrivals:
    """Watch a folder and what lies below it; links to folders are not followed.

    Parameters
    ----------
    folder
        which need not be there yet.
    answered
        numbers of images that were answered.
    still
        seconds for which size and time of a file must not have moved. A file that was renamed or given its time after
        it was written is whole at once.
    """

    def __init__(self, folder: Path, answered: Container[int], *, still: float) -> None:
        self.folder = folder
        self.answered = answered
        self.still = still
        self.here: dict[str, int] = {}  # every image in the folder that was answered or handed out
        self.left: list[Arrival] = []  # those among them that had been answered before
        self.is_there = True
        self._waiting: dict[str, _Sighting] = {}
        self._folders: dict[str, tuple[int, int]] = {"": (-1, 0)}  # its own time, and when it was listed
        self._thorough = 0.0
        self._looks = 0

    @property
    def waiting(self) -> int:
        """Return how many files are not still yet."""
        return len(self._waiting)

    def look(self) -> list[Arrival]:
        """Return the images that are new and whole, in the order in which they were written."""
        self._looks += 1
        started = time.monotonic()
        self.is_there = self.folder.is_dir()
        if started >= self._thorough and self.is_there:
            self._look_at_all()
            took = time.monotonic() - started
            self._thorough = time.monotonic() + max(_BETWEEN, _SHARE * took)
        elif self.is_there:
            self._look_for_names()
        return self._whole(time.monotonic())

    def again(self, arrival: Arrival) -> None:
        """Take back an image that was not whole after all; it is handed out when it has been still."""
        self.here.pop(arrival.source, None)
        self._waiting[arrival.source] = _Sighting(Arrival(arrival.source, -1, -1), time.monotonic())

    def forget(self, arrival: Arrival) -> None:
        """Forget an image that is not there any more."""
        self.here.pop(arrival.source, None)

    def _look_for_names(self) -> None:
        for folder in list(self._folders):
            path = self.folder / folder
            try:
                changed = path.stat().st_mtime_ns
            except OSError:
                self._folders.pop(folder, None)
                continue
            before, listed = self._folders[folder]
            if changed == before and listed - changed > _COARSE:
                continue
            self._folders[folder] = (changed, time.time_ns())
            for name in self._list(folder):
                if name not in self.here and name not in self._waiting:
                    self._see(name)
        self._folders.setdefault("", (-1, 0))

    def _look_at_all(self) -> None:
        """Ask for every file, so that those are found that were overwritten, and those forgotten that are gone."""
        found: set[str] = set()
        done: set[str] = set()
        self._folders.setdefault("", (-1, 0))
        while todo := [folder for folder in self._folders if folder not in done]:
            for folder in todo:
                done.add(folder)
                with suppress(OSError):
                    changed = (self.folder / folder).stat().st_mtime_ns
                    self._folders[folder] = (changed, time.time_ns())
                    found.update(self._list(folder))
        for name in found:
            self._see(name)
        for name in self.here.keys() - found:
            del self.here[name]

    def _list(self, folder: str) -> list[str]:
        """Return the names of images in a folder, and note the folders in it."""
        prefix = f"{folder}/" if folder else ""
        names = []
        with suppress(OSError), os.scandir(self.folder / folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.name.lower().endswith(ENDINGS):
                    names.append(prefix + entry.name)
                elif entry.is_dir(follow_symlinks=False):
                    self._folders.setdefault(prefix + entry.name, (-1, 0))
        return names

    def _see(self, name: str) -> None:
        try:
            facts = (self.folder / name).stat()
        except OSError:
            self._waiting.pop(name, None)
            return
        if not stat.S_ISREG(facts.st_mode):
            return
        arrival = Arrival(name, facts.st_size, facts.st_mtime_ns)
        number = arrival.number
        if self.here.get(name) == number:
            return
        if number in self.answered:
            self.here[name] = number
            self._waiting.pop(name, None)
            self.left.append(arrival)
            return
        known = self._waiting.get(name)
        if known is None or known.arrival != arrival:
            now, age = time.monotonic(), (time.time_ns() - facts.st_mtime_ns) / 1e9
            whole = known is None and (facts.st_ctime_ns > facts.st_mtime_ns or age >= self.still)
            self._waiting[name] = known = _Sighting(arrival, now, whole)
        known.look = self._looks

    def _whole(self, now: float) -> list[Arrival]:
        """Hand out the files that were still for long enough."""
        for name in [name for name, one in self._waiting.items() if one.look < self._looks]:
            self._see(name)
        ready = [
            replace(one.arrival, watched=now - one.since >= self.still)
            for one in self._waiting.values()
            if one.whole or (now - one.since >= self.still and one.arrival.size >= 0)
        ]
        ready.sort(key=lambda arrival: (arrival.mtime_ns, arrival.source))
        for arrival in ready:
            del self._waiting[arrival.source]
            self.here[arrival.source] = arrival.number
        return ready
