"""Handle the file of an image: read it when it is whole, remember the one in hand, move it when it is answered."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path

from .arrivals import Arrival
from .room import settle

__all__ = ["MOST_BYTES", "Mark", "move_image", "read_image"]

MOST_BYTES = 1 << 30
"""Of a file that is read as an image."""


def read_image(source: Path, arrival: Arrival) -> bytes | None:
    """Return the bytes of an image; None where it is another one by now.

    Raises
    ------
    OSError
        if it is not there, cannot be read, or is larger than :data:`MOST_BYTES`.
    """
    path = source / arrival.source
    if arrival.size > MOST_BYTES:
        raise OSError(errno.EFBIG, f"{arrival.size:,} bytes are more than {MOST_BYTES:,}")
    with path.open("rb") as file:
        before = os.fstat(file.fileno())
        data = file.read(arrival.size + 1)
    known = arrival.size, arrival.mtime_ns
    same = all((stat.st_size, stat.st_mtime_ns) == known for stat in (before, path.stat()))
    return data if same and len(data) == arrival.size else None


class Mark:
    """Remember which image is being looked at, so that one that ends the process is not looked at for ever.

    Parameters
    ----------
    path
        of the file that remembers.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644)
        self._number, self._tried = 0, 0
        with suppress(ValueError):
            self._number, self._tried = map(int, os.read(self._file, 40).split())

    def set(self, number: int) -> int:
        """Note an image; return how often it was noted without another one in between."""
        self._tried = self._tried + 1 if number == self._number else 1
        self._number = number
        with suppress(OSError):
            os.lseek(self._file, 0, os.SEEK_SET)
            os.write(self._file, b"%-30d %-8d\n" % (number, self._tried))
        return self._tried

    def close(self) -> None:
        """Note that all is well."""
        self.set(0)
        os.close(self._file)


def move_image(source: Path, arrival: Arrival, target: Path) -> bool:
    """Move an image below another folder, never over a file that is there; return False if it is not the same any more.

    Raises
    ------
    OSError
        if it cannot be moved; it is where it was then.
    """
    path = source / arrival.source
    try:
        stat = path.stat()
    except FileNotFoundError:
        return False
    if (stat.st_size, stat.st_mtime_ns) != (arrival.size, arrival.mtime_ns):
        return False
    wanted = target / arrival.source
    wanted.parent.mkdir(parents=True, exist_ok=True)
    free, number = wanted, 1
    while free.exists():
        number += 1
        free = wanted.with_name(f"{wanted.stem} ({number}){wanted.suffix}")
    try:
        path.rename(free)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        temporary = free.with_name(f".{free.name}.tmp")
        shutil.copy2(path, temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.rename(free)
        settle(free.parent)
        path.unlink()
    return True
