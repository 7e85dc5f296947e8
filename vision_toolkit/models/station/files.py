"""Say whether the files of a package are those that were exported.

Standard library only: it is asked before anything else is imported. A package is a folder, or the zip file of one.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

__all__ = ["LIST", "Place", "faults", "names", "open_package", "read_facts", "sha256"]

LIST = "package.json"
"""The file that lists the others."""

Place = Path | zipfile.Path
"""A folder, or one in a zip file; also a file there."""


def open_package(path: Path) -> Place:
    """Return a package's place: the folder itself, or the inside of a zip file."""
    return zipfile.Path(path) if path.is_file() else path


def read_facts(root: Place) -> dict[str, Any]:
    """Read what a package says of itself.

    Raises
    ------
    ValueError
        if it says nothing that can be understood.
    """
    try:
        facts = json.loads((root / LIST).read_text("utf-8"))
        if not isinstance(facts["files"], dict):
            raise TypeError
    except (OSError, KeyError, TypeError, ValueError):
        raise ValueError(f"{root} is no whole package: {LIST} is missing or damaged") from None
    return dict(facts)


def faults(root: Place, listed: Mapping[str, str]) -> Iterator[str]:
    """Yield what is wrong with the files of a package, one sentence each; nothing if they are all as exported.

    Parameters
    ----------
    root
        the package.
    listed
        SHA-256 of each file by its name, as :data:`LIST` has it.
    """
    there = names(root)
    for name, digest in listed.items():
        if name not in there:
            yield f"{name} is missing"
        elif sha256(root / name) != digest:
            yield f"{name} was changed after the export"
    for name in sorted(there - set(listed) - {LIST}):  # a numpy.py beside the program would be imported for numpy
        yield f"{name} does not belong to the package"


def names(root: Place) -> set[str]:
    """Return the names of all files below a place, but for compiled Python."""
    return set(_below(root, ""))


def _below(folder: Place, before: str) -> Iterator[str]:
    for child in folder.iterdir():
        name = before + child.name
        if child.is_dir() and not (isinstance(child, Path) and child.is_symlink()):
            if child.name != "__pycache__":
                yield from _below(child, f"{name}/")
        else:
            yield name


def sha256(file: Place) -> str:
    """Return the SHA-256 of a file's bytes, 64 hexadecimal digits; nothing where it cannot be read."""
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()  # type: ignore[arg-type]
    except (OSError, zipfile.BadZipFile):  # a link that leads nowhere, or a damaged part of a zip file
        return ""
