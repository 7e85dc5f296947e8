"""The lines of a file of any size, a few at a time: UTF-8, UTF-16 or UTF-32, plain or compressed."""

from __future__ import annotations

import codecs
import contextlib
import gzip
import os
import tempfile
import zlib
from collections.abc import Iterator
from typing import IO, Any, Self

from vision_toolkit.core.entry import Finding
from vision_toolkit.core.errors import Failed, Invalid
from vision_toolkit.core.limits import LOOKOUT
from vision_toolkit.data.jsonlines import LONGEST
from vision_toolkit.data.rules import RULES
from vision_toolkit.data.storage import open_bytes

__all__ = ["LineFile", "LongLine"]

CHUNK = 1 << 20

_MAGIC = {
    b"\x89PNG\r\n": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"II*\0": "a TIFF image",
    b"MM\0*": "a TIFF image",
    b"PK\x03\x04": "a zip archive; unpack it first",
    b"%PDF": "a PDF document",
    b"SQLite format 3": "a SQLite database",
    b"\x7fELF": "a program",
    b"PAR1": "a parquet table",
    b"\xfd7zXZ": "compressed with xz; run xz -d on it first",
    b"\x1f\x8b": "compressed twice with gzip; run gunzip on it first",
    b"BZh": "compressed with bzip2; run bunzip2 on it first",
    b"\x28\xb5\x2f\xfd": "compressed with zstd; run zstd -d on it first",
}
# Its mark, its name, and where the bytes of its first character are zero. UTF-32 first: its mark begins with UTF-16's.
_WIDE = (
    (codecs.BOM_UTF32_LE, "utf-32", (1, 0, 0, 0)),
    (codecs.BOM_UTF32_BE, "utf-32", (0, 0, 0, 1)),
    (codecs.BOM_UTF16_LE, "utf-16", (1, 0)),
    (codecs.BOM_UTF16_BE, "utf-16", (0, 1)),
)


class LongLine(bytes):
    """Hold the beginning of a line that is too long to be held, and how to find all of it in the file.

    Parameters
    ----------
    start, length
        where the line stands in :attr:`LineFile.file`, in bytes.
    """

    start: int
    length: int

    @classmethod
    def at(cls, start: int, length: int, beginning: bytes) -> LongLine:
        """Make one; ``beginning`` is longer than any line that is decoded."""
        line = cls(beginning)
        line.start, line.length = start, length
        return line


class LineFile:
    r"""Iterate over the lines of a file as bytes of UTF-8 without their newline; never more than a few MiB are held.

    Use it in a ``with`` block; it may be iterated several times. What is odd about the file as a whole is in
    :attr:`findings`, complete after the first whole iteration.

    Parameters
    ----------
    path
        a path or URI.

    Raises
    ------
    NotFound
        if there is no such file.
    Invalid
        if it is a folder, an image, an archive or another file that has no lines.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "x.manifest")
    >>> _ = path.write_text("{}\n[]", encoding="utf-16")
    >>> with LineFile(path) as file:
    ...     print(list(file), [finding.rule for finding in file.findings])
    [b'{}', b'[]'] ['utf-16', 'no-final-newline']
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.name = os.fspath(path)
        self.findings: list[Finding] = []
        self.size = 0
        """Bytes of the text, without compression and as UTF-8."""
        self.mark = False
        """Whether the file begins with a byte order mark."""
        self.final_newline = True
        self.returns = 0
        """Number of lines that end with a carriage return."""
        self._stack = contextlib.ExitStack()
        self._path = path
        self.file: IO[bytes]

    def __enter__(self) -> Self:
        with self._stack:
            self.file = self._stack.enter_context(open_bytes(self._path))
            if not self.file.seekable():
                raise Invalid(f"{self.name} can be read only once, as a pipe; copy it to a file first.")
            self._normalise()
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def _normalise(self) -> None:
        """Make of what is compressed or in another encoding a temporary file in UTF-8."""
        head = self._head()
        if head.startswith(b"\x1f\x8b"):
            self.findings.append(RULES["gzip"].finding(None, f"{self.name} is compressed with gzip."))
            self._copy(gzip.GzipFile(fileobj=self.file), lambda chunk, _: chunk)
            head = self._head()
        for magic, kind in _MAGIC.items():
            if head.startswith(magic):
                raise Invalid(f"{self.name} is {kind}, not a manifest: a text file with one JSON object a line.")
        encoding = _wide_encoding(head)
        if encoding:
            self.findings.append(RULES["utf-16"].finding(None, f"{self.name} is {encoding.upper()}, not UTF-8."))
            decoder = codecs.getincrementaldecoder(encoding)()
            self._copy(self.file, lambda chunk, end: decoder.decode(chunk, final=end).encode("utf-8"))
            head = self._head()
        self.mark = head.startswith(codecs.BOM_UTF8)
        if self.mark:
            self.findings.append(RULES["byte-order-mark"].finding(1, f"{self.name} begins with a byte order mark."))
        self.file.seek(0, os.SEEK_END)
        self.size = self.file.tell()
        if self.size > LOOKOUT.max_manifest_bytes:
            text = f"{self.name} has {self.size:,} bytes; Lookout took {LOOKOUT.max_manifest_bytes:,}."
            self.findings.append(RULES["large-manifest"].finding(None, text))

    def _head(self) -> bytes:
        self.file.seek(0)
        head = self.file.read(64)
        self.file.seek(0)
        return head

    def _copy(self, source: Any, convert: Any) -> None:
        target = self._stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - the stack closes it
        try:
            while chunk := source.read(CHUNK):
                target.write(convert(chunk, False))
            target.write(convert(b"", True))
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise Invalid(f"{self.name} is compressed with gzip, but damaged: {error}.") from None
        except UnicodeError as error:
            raise Invalid(f"{self.name} begins as UTF-16 or UTF-32, but does not go on so: {error}.") from None
        except OSError as error:
            where = tempfile.gettempdir()
            raise Failed(f"{self.name} cannot be made plain UTF-8 in {where}: {error.strerror or error}.") from error
        self.file = target

    def __iter__(self) -> Iterator[bytes]:
        """Yield each line without its newline; one that is too long as a :class:`LongLine`."""
        self.file.seek(3 if self.mark else 0)
        rest, length, start = b"", 0, self.file.tell()  # the unfinished line: what is held of it, all of it, its place
        returns = 0
        last = b""
        while chunk := self.file.read(CHUNK):
            if b"\r" in chunk or last == b"\r":
                returns += chunk.count(b"\r\n") + (last == b"\r" and chunk[:1] == b"\n")
            last = chunk[-1:]
            first, *lines = chunk.split(b"\n")
            length += len(first)
            if len(rest) <= LONGEST:
                rest += first
            if not lines:
                continue
            whole = rest if length == len(rest) else LongLine.at(start, length, rest)
            start += length + 1
            rest = lines.pop()
            yield whole
            yield from lines
            start += sum(map(len, lines)) + len(lines)
            length = len(rest)
        if length:
            yield rest if length == len(rest) else LongLine.at(start, length, rest)
        self._tell_ends(final_newline=not length, returns=returns)

    def _tell_ends(self, *, final_newline: bool, returns: int) -> None:
        if self.final_newline and not final_newline:
            self.findings.append(RULES["no-final-newline"].finding(None, f"{self.name} ends without a newline."))
        if returns and not self.returns:
            self.findings.append(
                RULES["crlf"].finding(None, f"{returns:,} line{'s' * (returns > 1)} with carriage return and newline.")
            )
        self.final_newline, self.returns = final_newline, returns

    def copy(self, line: LongLine, target: IO[bytes]) -> None:
        """Write all of a line that is too long to be held, without its newline."""
        here = self.file.tell()  # an iteration may be under way
        self.file.seek(line.start)
        left = line.length
        while left:
            chunk = self.file.read(min(CHUNK, left))
            target.write(chunk)
            left -= len(chunk)
        self.file.seek(here)


def _wide_encoding(head: bytes) -> str | None:
    """Tell UTF-16 and UTF-32 by their mark, or without one by the zeros beside the first characters of JSON."""
    for mark, name, places in _WIDE:
        marked = head.startswith(mark)
        body = head.removeprefix(mark)[: len(places) * (1 if marked else 2)]
        wide = [(byte == 0) == (place == 0) for byte, place in zip(body, places * 2, strict=False)]
        if len(wide) < len(places) * (1 if marked else 2) or not all(wide):
            continue
        if marked:
            return name
        if body.replace(b"\0", b"")[:1] in (b"{", b"["):
            return f"{name}-{'be' if places[0] == 0 else 'le'}"
    return None
