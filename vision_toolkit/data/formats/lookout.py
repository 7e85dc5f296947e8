"""Lookout for Vision's JSON Lines manifests, alone or in a folder with their images and masks.

A folder has one ``SPLIT.manifest`` a split (``dataset.manifest`` where there are none), ``images/`` and ``masks/``.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from vision_toolkit.core.entry import Entry, Finding
from vision_toolkit.core.errors import Conflict, Invalid
from vision_toolkit.data.formats import Parts, ReadOptions, WriteOptions
from vision_toolkit.data.formats.files import (
    dataset_folder,
    is_hidden,
    note_names,
    place_image,
    place_mask,
    refer,
    set_colours,
    shown,
    sources_outside,
    split_names,
    unique_names,
)
from vision_toolkit.data.formats.losses import Losses
from vision_toolkit.data.jsonlines import write_line
from vision_toolkit.data.manifest import Manifest
from vision_toolkit.data.storage import is_inline, write_file

__all__ = ["KEEPS_LINES", "TITLE", "detect", "is_manifest", "manifests_in", "read", "write"]

TITLE = "Lookout for Vision: JSON Lines manifests"
"""What the format is called in words."""

KEEPS_LINES = True
"""Other keys of the JSON lines stay."""

_SUFFIXES = (".manifest", ".jsonl")
_WHOLE = "dataset"
_HEAD = 1 << 20


def is_manifest(path: Path) -> bool:
    """Return whether a file's first lines, of its first MiB, have an object with ``source-ref`` among them.

    Its name does not matter; a byte order mark, UTF-16 and gzip are looked through.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
        if head.startswith(b"\x1f\x8b"):
            with gzip.open(path) as file:
                head = file.read(_HEAD)
    except (OSError, EOFError, zlib.error):
        return False
    coding = "utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    text = head.decode(coding, "replace")
    lines = [line for line in text.split("\n")[:200] if line.strip()]
    for line in lines[:50]:
        if not line.lstrip().startswith("{") or '"source-ref"' not in line:
            continue
        try:
            return isinstance(json.loads(line), dict)
        except (ValueError, RecursionError):
            if len(line) > _HEAD // 2:  # cut off by us
                return True
    return False


def manifests_in(folder: Path) -> list[Path]:
    """Return the manifests that lie in a folder itself, by name."""
    try:
        files = sorted(folder.iterdir())
    except OSError:
        return []
    return [f for f in files if f.suffix.lower() in _SUFFIXES and not is_hidden(f) and f.is_file() and is_manifest(f)]


def detect(path: Path) -> bool:
    """Return whether this is a manifest, or a folder with manifests in it."""
    return is_manifest(path) if path.is_file() else bool(manifests_in(path))


def read(path: Path, options: ReadOptions) -> dict[str, Sequence[Entry]]:
    """Read a manifest, or every manifest of a folder: each is a split that is called as its file.

    Raises
    ------
    Invalid
        if the folder has no manifest, or the file no line that names an image.
    """
    images = options.places if options.places is not None else options.images
    if not path.is_dir():
        manifest = Manifest.read(path, images=images)
        if not manifest and any(isinstance(line, str) and line.strip() for line in manifest.lines()):
            raise Invalid(f"{path} has no line that names an image; `vision-toolkit check` says why, line by line.")
        return {"": manifest}
    files = sorted(manifests_in(path), key=lambda file: (_rank(file.stem), file.name))
    if not files:
        raise Invalid(f"{path} has no manifest in it: no file {' or '.join(f'*{end}' for end in _SUFFIXES)} with JSON.")
    parts: dict[str, Sequence[Entry]] = {}
    for file in files:
        split = "" if file.stem == _WHOLE else file.stem
        if split in parts:
            raise Invalid(f"{path} has two manifests called {file.stem!r}; rename one.")
        parts[split] = Manifest.read(file, images=images)
    return parts


def _rank(split: str) -> int:
    return ("train" not in split.casefold()) + ("test" in split.casefold())


# ---------------------------------------------------------------- writing


def write(parts: Parts, path: Path, options: WriteOptions) -> Sequence[Finding]:
    """Write manifests with their images and masks into a folder, or with ``images="refer"`` manifests only.

    What refers is one file where there is one split, else a folder of manifests. Masks that have no file of their
    own, and those with a type in the background's white, are written in either case: into ``masks/``, or into
    ``NAME-masks/`` beside the one file.

    Raises
    ------
    NotFound
        if an image or a mask is not there.
    Conflict
        if something is there already and may not be overwritten.
    """
    losses = Losses()
    if options.images != "refer":
        with dataset_folder(path, options, format="lookout") as folder:
            _write_whole(parts, folder, options, losses)
    elif len(parts) > 1:
        for entries in parts.values():
            if options.overwrite:
                sources_outside(entries, path)
        with dataset_folder(path, options, format="lookout") as folder:
            for split, name in _file_names(parts, losses).items():
                placed = _referring(parts[split], path, folder, "masks", options, losses)
                _written(parts[split], placed, folder / f"{name}.manifest", options)
    else:
        entries = next(iter(parts.values()), ())
        if path.is_dir():
            raise Conflict(f"{path} is a folder; name a file, for images='refer' writes one manifest.")
        if path.exists() and not options.overwrite:
            raise Conflict(f"{path} exists; give another name or overwrite=True.")
        beside = path.with_name(f"{path.stem}-masks")
        if any(_needs_file(entry) for entry in entries):
            with dataset_folder(beside, options, format="lookout-masks") as folder:
                placed = _referring(entries, path.parent, folder, "", options, losses, prefix=f"{beside.name}/")
        else:
            placed = _referring(entries, path.parent, path.parent, "", options, losses)
        _written(entries, placed, path, options)
        if any(parts):
            losses.add("lost-split", detail=f"the one file does not say that it is {next(iter(parts))!r}")
    return losses.findings()


def _file_names(parts: Parts, losses: Losses) -> dict[str, str]:
    names = split_names([split or _WHOLE for split in parts])
    found = {split: names[split or _WHOLE] for split in parts}
    for split, name in found.items():
        if name != (split or _WHOLE):
            losses.add("lost-name", detail=f"the split {split!r} is called {name!r}")
    return found


def _written(old: Sequence[Entry], placed: Sequence[Entry], path: Path, options: WriteOptions) -> None:
    """Write entries in the place of the old ones; lines that could not be read stay where they were."""
    entries = iter(placed)
    contents = old.lines() if isinstance(old, Manifest) else old
    lines = [content if isinstance(content, str) else write_line(next(entries)) for content in contents]
    text = "".join(f"{line}\n" for line in lines)
    write_file(path, text.encode("utf-8", "surrogateescape"), overwrite=options.overwrite)


def _needs_file(entry: Entry) -> bool:
    mask = entry.mask
    return mask is not None and (is_inline(mask.uri) or set_colours([entry]) != dict(mask.colours))


def _referring(
    entries: Sequence[Entry],
    base: Path,
    folder: Path,
    below: str,
    options: WriteOptions,
    losses: Losses,
    prefix: str = "",
) -> list[Entry]:
    """Name images and masks where they lie, seen from ``base``; masks that need a file get one in ``folder``."""
    needing = [entry for entry in entries if _needs_file(entry)]
    names = iter(unique_names(needing, stems=True))
    placed = []
    for entry in entries:
        mask = entry.mask
        if mask is not None and _needs_file(entry):
            name = str(PurePosixPath(below, next(names)).with_suffix(".png"))
            made = place_mask(entry, folder, name, options)
            _note_colours(losses, entry, made.colours)
            mask = replace(made, uri=prefix + made.uri)
        elif mask is not None:
            mask = replace(mask, uri=refer(mask.uri, mask.at, base), at=None)
        placed.append(replace(entry, source=refer(entry.source, entry.at, base), at=None, mask=mask))
    return placed


def _write_whole(parts: Parts, folder: Path, options: WriteOptions, losses: Losses) -> None:
    names = _file_names(parts, losses)
    every = [entry for entries in parts.values() for entry in entries]
    firsts = {(entry.source, entry.location): entry for entry in every}  # an image on two lines is one file
    bare = [replace(entry, source=_without(entry.source, "images/")) for entry in firsts.values()]
    below = dict(zip(firsts, unique_names(bare), strict=True))
    note_names(losses, bare, list(below.values()))
    images: dict[tuple[str, str], str] = {}
    taken = dict(
        zip(
            range(len(every)),
            unique_names([Entry(below[e.source, e.location]) for e in every], stems=True),
            strict=True,
        )
    )
    position = 0
    for split, entries in parts.items():
        placed = []
        for entry in entries:
            key = entry.source, entry.location
            if key not in images:
                images[key] = place_image(entry, folder, f"images/{below[key]}", options)
            mask = entry.mask
            if mask is not None:
                name = str(PurePosixPath("masks", taken[position]).with_suffix(".png"))
                mask = place_mask(entry, folder, name, options)
                _note_colours(losses, entry, mask.colours)
            position += 1
            placed.append(replace(entry, source=images[key], at=None, mask=mask))
        _written(entries, placed, folder / f"{names[split]}.manifest", options)


def _without(source: str, prefix: str) -> str:
    return source.removeprefix(prefix) or source


def _note_colours(losses: Losses, entry: Entry, colours: object) -> None:
    if entry.mask is not None and colours != entry.mask.colours:
        losses.add("lost-colours", shown(entry.source), "no type may be white, the background's colour")
