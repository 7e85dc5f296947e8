"""Keep one line for each image that was answered; these lines are all that has to outlive a kill or a power cut.

``results-YYYY-MM-DD.jsonl`` is the journal itself: a line is added in one go, and is on the disk before anything else
is done. An image is answered when its line is there, and only then. What a kill leaves half written is cut off at the
next start, and its image is answered again. An image is known by its path, its size and the time it was last written:
another picture under the same name is another image.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Container, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from .room import settle, write_whole

__all__ = ["FATES", "Journal", "Line", "fate", "identity", "mend", "read_lines"]

Line = dict[str, Any]
"""What is said of one image, ready for JSON."""

FATES = ("passed", "rejected", "unreadable")
"""What can become of an image."""
MOST_KNOWN = 500_000
"""Images that are remembered when their lines are gone and they are not in the folder any more."""


def identity(source: str, size: int, mtime_ns: int) -> int:
    """Return the number, 64 bits, by which an image is known: of a million, two hardly ever have the same."""
    text = f"{size} {mtime_ns} ".encode() + os.fsencode(source)
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")


def fate(line: Line) -> str:
    """Return what became of the image of a line: one of :data:`FATES`.

    Examples
    --------
    >>> fate({"is_anomalous": True}), fate({"error": "no image"})
    ('rejected', 'unreadable')
    """
    if "error" in line:
        return FATES[2]
    return FATES[1] if line["is_anomalous"] else FATES[0]


def read_lines(path: Path) -> Iterator[Line | None]:
    """Yield the lines of a file of results; None for one that is damaged."""
    with path.open("rb") as file:
        for raw in file:
            if raw.endswith(b"\n"):
                yield parse(raw)


def parse(raw: bytes) -> Line | None:
    """Return a line of results; None if it is damaged."""
    try:
        line = json.loads(raw)
        if isinstance(line["sequence"], int) and isinstance(line["source"], str):
            identity(line["source"], line["size"], line["mtime_ns"])
            return line if "error" in line or isinstance(line["is_anomalous"], bool) else None
    except (ValueError, KeyError, TypeError):
        return None
    return None


def mend(path: Path) -> None:
    """Cut off what follows the last whole line of a file.

    Raises
    ------
    OSError
        if that cannot be done.
    """
    with path.open("rb+") as file:
        end = whole = file.seek(0, os.SEEK_END)
        while whole > 0:
            start = max(0, whole - 65536)
            file.seek(start)
            found = file.read(whole - start).rfind(b"\n")
            if found >= 0:
                whole = start + found + 1
                break
            whole = start
        if whole < end:
            file.truncate(whole)
            file.flush()
            os.fsync(file.fileno())


class Journal:
    """Append lines, and know which images were answered.

    Parameters
    ----------
    folder
        of the results.
    tell
        is given each line that is found, with its day, oldest first.

    Raises
    ------
    OSError
        if the folder cannot be read, or what was half written cannot be cut off.
    """

    def __init__(self, folder: Path, tell: Callable[[str, Line], None]) -> None:
        self.folder = folder
        self.sequence = 0
        self.damaged = 0
        self.answered: dict[int, str] = {}
        self.day = ""
        self._file = -1
        self._length = 0
        self._recall()
        for path in sorted(folder.glob("results-????-??-??.jsonl")):
            mend(path)
            self.day = path.stem.removeprefix("results-")
            for line in read_lines(path):
                if line is None:
                    self.damaged += 1
                    continue
                self._know(line)
                tell(self.day, line)

    def path(self, day: str) -> Path:
        """Return the file of a day."""
        return self.folder / f"results-{day}.jsonl"

    def append(self, line: Line, day: str) -> None:
        """Append a line; when this returns, it is on the disk.

        Raises
        ------
        OSError
            if the disk refuses: the line is not there then, and can be appended again.
        """
        data = json.dumps(line, allow_nan=False).encode() + b"\n"
        if day != self.day or self._file < 0:
            self._open(day)
        try:
            if os.fstat(self._file).st_size != self._length:
                os.ftruncate(self._file, self._length)  # what could not be taken back when it failed
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._file, rest) :]
            os.fsync(self._file)
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._file, self._length)
            raise
        self._length += len(data)
        self._know(line)

    def keep_known(self, here: Container[int]) -> None:
        """Write down which images were answered, so that lines can be removed; ``here`` are those in the folder."""
        for number in list(self.answered)[: max(0, len(self.answered) - MOST_KNOWN)]:
            if number not in here:
                del self.answered[number]
        kept: dict[str, list[int]] = {name: [] for name in FATES}
        for number, name in self.answered.items():
            kept[name].append(number)
        data = json.dumps(kept | {"sequence": self.sequence}).encode()
        write_whole(self.folder / "answered.json", data, durable=True)

    def close(self) -> None:
        """Close the file; another line opens it again."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _open(self, day: str) -> None:
        self.close()
        path = self.path(day)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o644)
        self._length = os.fstat(self._file).st_size
        self.day = day
        settle(self.folder)

    def _know(self, line: Line) -> None:
        self.answered[identity(line["source"], line["size"], line["mtime_ns"])] = fate(line)
        self.sequence = max(self.sequence, line["sequence"])

    def _recall(self) -> None:
        path = self.folder / "answered.json"
        if not path.is_file():
            return
        try:
            kept = json.loads(path.read_bytes())
            self.sequence = kept["sequence"]
            self.answered = {number: name for name in FATES for number in kept[name]}
        except (ValueError, KeyError, TypeError):
            raise ValueError(
                f"{path} is damaged. It names images whose lines were removed; without it they are answered again, if "
                "they are still there. Remove it to go on so."
            ) from None
