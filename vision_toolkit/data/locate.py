"""Say where on this machine the images of a manifest lie."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from vision_toolkit.core.entry import Entry
from vision_toolkit.core.errors import Invalid
from vision_toolkit.data.storage import is_local, is_there, local_path

__all__ = ["Images", "base_of", "locator"]

Images = str | os.PathLike[str] | Mapping[str, str | os.PathLike[str]] | Callable[[str], str | None]
"""A folder, or prefixes of ``source-ref`` with the folder of each, or what knows a place for what a line names."""


def base_of(path: str | os.PathLike[str]) -> str:
    """Return the folder, or URI prefix, from which a manifest's relative places are taken.

    Examples
    --------
    >>> base_of("s3://bucket/sets/train.manifest"), base_of("/sets/train.manifest")
    ('s3://bucket/sets', '/sets')
    """
    return str(local_path(path).absolute().parent) if is_local(path) else os.fspath(path).rpartition("/")[0]


def locator(images: Images | None, base: str) -> Callable[[Entry], Entry]:
    """Return a function that gives an entry (and its mask) the place where its bytes really are.

    Parameters
    ----------
    images
        a folder, or a mapping of prefixes to folders, or a function that returns the place of what a line names, or
        None where it does not know; None for the places that the lines name.
    base
        folder or URI prefix from which relative names are taken when nothing else says.

    Raises
    ------
    Invalid
        if a folder that is named does not exist.

    Examples
    --------
    >>> import tempfile, os
    >>> folder = tempfile.mkdtemp()
    >>> place = locator({"s3://bucket/parts": folder}, ".")
    >>> os.path.relpath(place(Entry("s3://bucket/parts/a/1.png")).location, folder)
    'a/1.png'
    """
    if images is None:
        find = _from_base(base)
    elif isinstance(images, Mapping):
        find = _from_prefixes({prefix: _folder(folder) for prefix, folder in images.items()}, _from_base(base))
    elif callable(images):
        find = _from_function(images, _from_base(base))
    else:
        find = _from_folder(_folder(images))

    def place(entry: Entry) -> Entry:
        at = _spelled(entry.source, find(entry.source))
        mask = entry.mask
        mask_at = _spelled(mask.uri, find(mask.uri)) if mask is not None else None
        if mask is not None and mask_at is not None:
            mask = replace(mask, at=mask_at)
        return replace(entry, at=at, mask=mask) if at is not None or mask is not entry.mask else entry

    return place


def _spelled(uri: str, at: str | None) -> str | None:
    """Return the place under the spelling that is there: Windows writes U+F03A where S3 has a colon."""
    place = uri if at is None else at
    if ("\uf03a" not in place and ":" not in place) or not is_local(place) or is_there(place):
        return at
    for wrong, right in (("\uf03a", ":"), (":", "\uf03a")):
        other = place.replace(wrong, right)
        if other != place and is_there(other):
            return other
    return at


def _folder(folder: str | os.PathLike[str]) -> str:
    if not is_local(folder):
        return os.fspath(folder).rstrip("/")
    path = local_path(folder).absolute()
    if not path.is_dir():
        raise Invalid(f"images names the folder {path}, which is not there.")
    return str(path)


def _join(folder: str, rest: str) -> str:
    return str(Path(folder, *rest.split("/"))) if is_local(folder) else f"{folder}/{rest}"


def _from_base(base: str) -> Callable[[str], str | None]:
    def find(uri: str) -> str | None:
        if not is_local(uri) or uri.startswith("file://") or os.path.isabs(uri):
            return None
        return _join(base, uri)

    return find


def _from_prefixes(folders: Mapping[str, str], otherwise: Callable[[str], str | None]) -> Callable[[str], str | None]:
    ordered = sorted(((prefix.rstrip("/"), folder) for prefix, folder in folders.items()), key=lambda i: -len(i[0]))

    def find(uri: str) -> str | None:
        for prefix, folder in ordered:
            if uri == prefix or uri.startswith(f"{prefix}/"):
                return _join(folder, uri[len(prefix) :].lstrip("/"))
        return otherwise(uri)

    return find


def _from_function(
    known: Callable[[str], str | None], otherwise: Callable[[str], str | None]
) -> Callable[[str], str | None]:
    def find(uri: str) -> str | None:
        at = known(uri)
        return otherwise(uri) if at is None else at

    return find


def _from_folder(folder: str) -> Callable[[str], str | None]:
    """Look for the longest end of each path that is there; what held for a file's folder is tried first."""
    skipped: dict[str, int] = {}

    def find(uri: str) -> str | None:
        parts = [part for part in (uri.partition("://")[2] or uri).split("/") if part and part not in (".", "..")]
        if "://" in uri and not uri.startswith("file://"):
            parts = parts[1:]  # the bucket
        parent = uri.rpartition("/")[0]
        tries = list(range(len(parts)))
        if parent in skipped:
            tries.insert(0, skipped[parent])
        for skip in tries:
            candidate = _join(folder, "/".join(parts[skip:]))
            if is_there(candidate):
                skipped[parent] = skip
                return candidate
        return _join(folder, "/".join(parts[skipped.get(parent, 0) :])) if parts else None

    return find
