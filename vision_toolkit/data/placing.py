"""Name images and masks as they will be found from the folder of a new manifest."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from vision_toolkit.core.entry import Entry
from vision_toolkit.core.errors import Conflict
from vision_toolkit.data.storage import is_inline, is_local, local_path, read_bytes, write_file

__all__ = ["placed_below", "with_files"]


def placed_below(entry: Entry, base: Path, *, relocate: bool) -> Entry:
    """Name a file as it will be found from the new manifest: always where no line named it yet, else if asked.

    Examples
    --------
    >>> placed_below(Entry("1.png", at="/parts/normal/1.png"), Path("/parts"), relocate=False).source
    'normal/1.png'
    """
    if entry.raw is not None and not relocate:
        return entry

    def moved(uri: str, at: str | None) -> str:
        if at is None or not is_local(at) or not is_local(uri) or uri.startswith("file://") or os.path.isabs(uri):
            return uri
        if os.path.normpath(base / uri) == os.path.abspath(local_path(at)):
            return uri
        return _relative(at, base)

    mask = entry.mask and replace(entry.mask, uri=moved(entry.mask.uri, entry.mask.at))
    return replace(entry, source=moved(entry.source, entry.at), mask=mask)


def _relative(location: str, base: Path) -> str:
    try:
        return Path(os.path.relpath(local_path(location).absolute(), base)).as_posix()
    except ValueError:  # another drive
        return local_path(location).absolute().as_posix()


def with_files(entries: Sequence[Entry], path: Path, *, overwrite: bool) -> list[Entry]:
    """Give each mask that is its own content a file in ``NAME-masks/`` beside the manifest ``path``.

    Raises
    ------
    Conflict
        if a file of that name is there with other content, and ``overwrite`` is not set.
    """
    folder = f"{path.stem}-masks"
    names = _names(entry.source for entry in entries)
    files: dict[Path, bytes] = {}
    placed = list(entries)
    for position, (entry, name) in enumerate(zip(entries, names, strict=True)):
        if entry.mask is not None and is_inline(entry.mask.uri):
            data = read_bytes(entry.mask.uri)
            target = path.parent / folder / name
            if target.is_file() and target.read_bytes() != data and not overwrite:
                raise Conflict(f"{target} exists with another mask; give the manifest another name, or overwrite=True.")
            files[target] = data
            mask = replace(entry.mask, uri=f"{folder}/{name}", at=str(target))
            placed[position] = replace(entry, mask=mask)
    for target, data in files.items():
        write_file(target, data, overwrite=True)
    return placed


def _names(sources: Iterable[str]) -> list[str]:
    taken: set[str] = set()
    names = []
    for source in sources:
        stem = PurePosixPath(source.replace("\\", "/").replace(":", "_")[-200:]).stem or "mask"
        name, count = f"{stem}.png", 1
        while name.casefold() in taken:
            count += 1
            name = f"{stem}-{count}.png"
        taken.add(name.casefold())
        names.append(name)
    return names
