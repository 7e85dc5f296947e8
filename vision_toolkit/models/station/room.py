"""Know how much disk there is, keep to what is allowed, and write files that are whole or not there.

Overlays and masks give way first, the oldest ahead; lines only when they were delivered, and never today's. Where the
disk itself runs full, pictures are left out first; then no images are taken, until there is room again.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path

__all__ = ["Room", "free_bytes", "settle", "write_whole"]

_PICTURE = re.compile(r"(\d{9,})-(overlay\.jpg|mask\.png)")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def free_bytes(folder: Path) -> int:
    """Return how many bytes can still be written where a folder lies."""
    return shutil.disk_usage(folder).free


def write_whole(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Write a file so that it is seen whole or not at all; ``durable``: it outlives a power cut as well.

    Raises
    ------
    OSError
        if the disk refuses; nothing is left behind then.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
        if durable:
            settle(path.parent)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        raise


def settle(folder: Path) -> None:
    """Wait until the names in a folder are on the disk; where folders cannot be opened, nothing is to be done."""
    with suppress(PermissionError):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


class Room:
    """Keep a station's results within its share of the disk.

    Parameters
    ----------
    out
        the folder of results.
    keep_days
        days after which pictures and delivered lines are removed; None: never.
    most
        bytes of pictures and lines together; None: no limit.
    least_free
        bytes of free disk below which no pictures are written; below half of it no images are taken.
    """

    def __init__(self, out: Path, *, keep_days: int | None, most: int | None, least_free: int) -> None:
        self.out = out
        self.keep_days = keep_days
        self.most = most
        self.least_free = least_free
        self.free = free_bytes(out)
        self.crowded = False
        self.removed = {"pictures": 0, "days of lines": 0}
        self.days = {folder.name: sum(map(_size, folder.iterdir())) for folder in self._day_folders()}

    @property
    def used(self) -> int:
        """Return the bytes of pictures and lines."""
        return sum(self.days.values()) + sum(map(_size, self._line_files()))

    @property
    def pictures(self) -> bool:
        """Return whether there is room for pictures."""
        return self.free >= self.least_free and not self.crowded

    @property
    def taking(self) -> bool:
        """Return whether there is room for the answer to one more image."""
        return self.free >= self.least_free // 2

    def measure(self) -> None:
        """Ask how much is free."""
        self.free = free_bytes(self.out)

    def forget_after(self, sequence: int) -> None:
        """Remove pictures whose line was never written: another image will have their number."""
        for folder in list(self._day_folders())[-1:]:
            for path in folder.iterdir():
                match = _PICTURE.fullmatch(path.name)
                if path.name.endswith(".tmp") or (match and int(match[1]) > sequence):
                    self._remove(path)

    def write_picture(self, day: str, name: str, data: bytes) -> str:
        """Write a picture of a day; return its name in the folder of results."""
        folder = self.out / "pictures" / day
        folder.mkdir(parents=True, exist_ok=True)
        before = _size(folder / name)
        write_whole(folder / name, data)
        self.days[day] = self.days.get(day, 0) + len(data) - before
        return f"pictures/{day}/{name}"

    def look(self, today: str, delivered: str, before: Callable[[], None]) -> None:
        """Remove what is too old or too much.

        Parameters
        ----------
        today
            the day whose lines are being written.
        delivered
            the first day of which lines have still to be delivered; ``today`` where all are.
        before
            is called before lines are removed: what has to outlive them is kept then.
        """
        self.measure()
        keep = min(today, delivered)
        if self.keep_days is not None:
            first = (date.fromisoformat(today) - timedelta(days=self.keep_days)).isoformat()
            for day in [day for day in self.days if day < first]:
                self._thin(day, self.days[day])
            self._remove_lines([path for path in self._line_files() if _day_of(path) < min(first, keep)], before)
        if self.most is not None:
            self._shrink(keep, before)

    def _shrink(self, keep: str, before: Callable[[], None]) -> None:
        assert self.most is not None
        if self.used <= self.most:
            self.crowded = False
            return
        target = self.most * 95 // 100  # not one file now and one at the next look
        for day in sorted(self.days):
            if (over := self.used - target) <= 0:
                break
            self._thin(day, over)
        for path in self._line_files():
            if self.used <= target or _day_of(path) >= keep:
                break
            self._remove_lines([path], before)
        self.crowded = self.used > self.most

    def _thin(self, day: str, over: int) -> None:
        """Remove the oldest pictures of a day until ``over`` bytes are gone."""
        folder = self.out / "pictures" / day
        for path in sorted(folder.iterdir()) if folder.is_dir() else []:
            if over <= 0:
                return
            if _PICTURE.fullmatch(path.name):
                over -= self._remove(path)
        if day in self.days and over >= 0:
            with suppress(OSError):  # somebody keeps something else there
                folder.rmdir()
            del self.days[day]

    def _remove(self, path: Path) -> int:
        size = _size(path)
        path.unlink(missing_ok=True)
        self.days[path.parent.name] = max(0, self.days.get(path.parent.name, 0) - size)
        self.removed["pictures"] += 1
        return size

    def _remove_lines(self, paths: list[Path], before: Callable[[], None]) -> None:
        if paths:
            before()
        for path in paths:
            path.unlink(missing_ok=True)
            path.with_name(f"histogram-{_day_of(path)}.json").unlink(missing_ok=True)
            self.removed["days of lines"] += 1

    def _line_files(self) -> list[Path]:
        return sorted(self.out.glob("results-????-??-??.jsonl"))

    def _day_folders(self) -> Iterator[Path]:
        root = self.out / "pictures"
        return (path for path in (sorted(root.iterdir()) if root.is_dir() else []) if _DAY.fullmatch(path.name))


def _day_of(path: Path) -> str:
    return path.stem.removeprefix("results-")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
