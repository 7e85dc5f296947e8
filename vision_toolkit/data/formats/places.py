"""Find the files of an export that names them as they lay in somebody's bucket."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from vision_toolkit.core.entry import Entry

__all__ = ["Finder", "by_split", "spellings", "without_images"]

_IMAGES = re.compile(r"^(\.\./)*images/")
_COLON = "\uf03a"  # what Windows writes for ':' in the names of files


def spellings(name: str) -> tuple[str, ...]:
    """Return a name as it is and, where it has a colon, as Windows spells it (U+F03A), or the other way round.

    Examples
    --------
    >>> [ascii(name) for name in spellings("13:52.png")] == ["'13:52.png'", ascii(f"13{chr(0xF03A)}52.png")]
    True
    >>> spellings("1.png")
    ('1.png',)
    """
    return tuple(dict.fromkeys((name, name.replace(_COLON, ":"), name.replace(":", _COLON))))


def without_images(entries: Iterable[Entry]) -> list[Entry]:
    """Return entries whose sources do not begin with the folder ``images/`` that writers make.

    Examples
    --------
    >>> [entry.source for entry in without_images([Entry("../../images/a/1.png"), Entry("b/images/2.png")])]
    ['a/1.png', 'b/images/2.png']
    """
    return [replace(entry, source=_IMAGES.sub("", entry.source) or entry.source) for entry in entries]


def by_split(path: Path) -> tuple[bool, bool, str]:
    """Sort files and folders of splits by name, but those for training first and those for tests last.

    Examples
    --------
    >>> [path.stem for path in sorted(map(Path, ["test.jsonl", "dev.jsonl", "train.jsonl"]), key=by_split)]
    ['train', 'dev', 'test']
    """
    name = path.name.casefold()
    return "train" not in name, "test" in name, path.name


class Finder:
    """Find files below a folder by the longest end of the place that somebody else gave them.

    Nothing outside the folder is found, whatever ``..`` a place holds; ``:`` is also looked for as U+F03A.

    Parameters
    ----------
    folder
        where to look.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = folder.joinpath("1.png").write_bytes(b"")
    >>> finder = Finder(folder)
    >>> finder.find("s3://bucket/parts/1.png").name, finder.find("2.png")
    ('1.png', None)
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._skipped: dict[str, int] = {}

    def find(self, place: str, *, whole: bool = False) -> Path | None:
        """Return the file, or None; with ``whole`` only under its whole path.

        Parameters
        ----------
        place
            a path or URI; a URI's bucket is no part of its path.
        whole
            do not look under shorter ends of the path.
        """
        scheme, apart, rest = place.partition("://")
        if apart:
            place = rest if scheme == "file" else rest.partition("/")[2]
        parts = [part for part in place.replace("\\", "/").split("/") if part not in ("", ".")]
        if not parts or ".." in parts or "\0" in place:
            return None
        parent = "/".join(parts[:-1])
        tries = range(1) if whole else range(len(parts))
        known = self._skipped.get(parent)
        for skip in tries if known is None or known not in tries else (known, *tries):
            for name in spellings("/".join(parts[skip:])):
                file = self.folder / name
                if _is_file(file):
                    self._skipped[parent] = skip
                    return file
        return None


def _is_file(file: Path) -> bool:
    try:
        return file.is_file()
    except (OSError, ValueError):  # a name that is too long, for example
        return False
