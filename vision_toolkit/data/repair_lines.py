"""Where the lines of a repair come from, and where those go that are taken out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from vision_toolkit.core.entry import Entry, Finding
from vision_toolkit.core.errors import Invalid
from vision_toolkit.data.jsonlines import write_line
from vision_toolkit.data.lines import LineFile, LongLine
from vision_toolkit.data.locate import Images, base_of, locator
from vision_toolkit.data.placing import with_files
from vision_toolkit.data.storage import is_inline, new_file

if TYPE_CHECKING:
    from vision_toolkit.data.manifest import Manifest

__all__ = ["Rejected", "SourceLines"]


class SourceLines:
    """Iterate over the numbered lines of a file or of a manifest in memory, as bytes without their newline.

    Parameters
    ----------
    source
        path or URI of a manifest, or one in memory.
    stack
        closes the file.

    Raises
    ------
    Invalid
        if it is neither.

    Examples
    --------
    >>> from vision_toolkit.data import Manifest
    >>> with ExitStack() as stack:
    ...     list(SourceLines(Manifest([Entry("1.png")]), stack))
    [(1, b'{"source-ref": "1.png"}')]
    """

    def __init__(self, source: str | os.PathLike[str] | Manifest, stack: ExitStack) -> None:
        self._file: LineFile | None = None
        self._base = ""
        self._contents: list[Entry | str] = []
        if isinstance(source, str | os.PathLike):
            self._file = stack.enter_context(LineFile(source))
            self._base = base_of(source)
        elif hasattr(source, "lines"):
            self._contents = list(source.lines())
        else:
            raise Invalid(f"A repair takes a manifest or the path of one; {type(source).__name__} was given.")

    @property
    def in_memory(self) -> bool:
        """Return whether the lines are those of a manifest in memory."""
        return self._file is None

    def is_new(self, number: int) -> bool:
        """Return whether an entry never had a line, so that its places are those of no folder yet."""
        content = self._contents[number - 1] if self.in_memory else ""
        return isinstance(content, Entry) and content.raw is None

    def at(self, number: int) -> str | None:
        """Return where the image of an entry in memory lies, if elsewhere than at its source."""
        content = self._contents[number - 1] if self.in_memory else ""
        return content.at if isinstance(content, Entry) else None

    def give_files(self, target: Path, *, overwrite: bool) -> None:
        """Write the masks that are their own content beside the new manifest."""
        entries = [content for content in self._contents if isinstance(content, Entry)]
        if any(entry.mask is not None and is_inline(entry.mask.uri) for entry in entries):
            placed = iter(with_files(entries, target, overwrite=overwrite))
            self._contents = [next(placed) if isinstance(one, Entry) else one for one in self._contents]

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        if self._file is not None:
            yield from enumerate(self._file, 1)
            return
        for number, content in enumerate(self._contents, 1):
            text = write_line(content) if isinstance(content, Entry) else content
            yield number, text.encode("utf-8", "surrogateescape")

    @property
    def final_newline(self) -> bool:
        """Return whether the last line ends."""
        return self._file.final_newline if self._file is not None else True

    def findings(self) -> list[Finding]:
        """Return what is odd about the file as a whole."""
        return self._file.findings if self._file is not None else []

    def place(self, images: Images | None) -> Any:
        """Return what gives an entry the place where its bytes are."""
        if self._file is not None:
            find = locator(images, self._base)
            return lambda number, entry: find(entry)
        if images is not None:
            find = locator(images, os.curdir)
            return lambda number, entry: find(entry)

        def kept(number: int, entry: Entry) -> Entry:
            old = self._contents[number - 1]
            if not isinstance(old, Entry):
                return entry
            mask = entry.mask
            if mask is not None and old.mask is not None:
                mask = replace(mask, at=old.mask.at)
            return replace(entry, at=old.at, mask=mask)

        return kept

    def copy(self, text: bytes, target: IO[bytes]) -> None:
        """Write a line, all of it though it be too long to be held."""
        if isinstance(text, LongLine) and self._file is not None:
            self._file.copy(text, target)
        else:
            target.write(text)


class Rejected:
    """Write what is taken out into a file, which is only there if something is.

    Parameters
    ----------
    path
        of the file.
    stack
        closes it.

    Examples
    --------
    >>> import tempfile
    >>> from vision_toolkit.data import Manifest
    >>> path = Path(tempfile.mkdtemp(), "rejected")
    >>> with ExitStack() as stack:
    ...     Rejected(path, stack).write(SourceLines(Manifest(), stack), b"junk")
    >>> path.read_text().split()
    ['junk']
    """

    def __init__(self, path: Path, stack: ExitStack) -> None:
        self._path, self._stack = path, stack
        self._file: IO[bytes] | None = None

    def write(self, lines: SourceLines, text: bytes) -> None:
        """Write one line of ``lines``."""
        if self._file is None:
            self._file = self._stack.enter_context(new_file(self._path, overwrite=True))
        lines.copy(text, self._file)
        self._file.write(b"\n")
