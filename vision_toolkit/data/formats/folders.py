"""One folder a class: ``normal/`` and ``anomaly/``, as Lookout's console took them, and any other names.

::

    [SPLIT/]normal/1.png
    [SPLIT/]anomaly/2.png
    [SPLIT/]unlabelled/3.png       images of no class, or
    [SPLIT/]CLASS/3.png            of another class: a tag
    masks/[SPLIT/]anomaly/2.png    the mask of [SPLIT/]anomaly/2.png
    masks/colours.json             what its colours mean

``colours.json`` is ``{"types": {"scratch": "#23A436"}, "images": {"anomaly/2.png": ["scratch"]}}``. ``images`` says
which types an image has, and may be left out: then the masks are looked at.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from vision_toolkit.core.entry import Entry, Finding, Label, MaskRef, Tag
from vision_toolkit.core.errors import Invalid, NotFound, Unsupported
from vision_toolkit.core.mask import hex_to_rgb
from vision_toolkit.data.formats import Parts, ReadOptions, WriteOptions
from vision_toolkit.data.formats.files import (
    dataset_folder,
    image_files,
    is_hidden,
    marker_of,
    note_names,
    place_image,
    place_mask,
    safe_name,
    set_colours,
    shown,
    split_names,
    unique_names,
)
from vision_toolkit.data.formats.losses import Losses
from vision_toolkit.data.images import read_mask
from vision_toolkit.data.storage import write_file

__all__ = ["SPLITS", "TITLE", "detect", "read", "write"]

TITLE = "Folders: one a class, normal/ and anomaly/"
"""What the format is called in words."""

SPLITS = ("train", "training", "val", "valid", "validation", "dev", "test", "testing", "holdout")
"""Folders of the first level with these names are splits, if no image lies in them directly."""

_LABELS = {str(label): label for label in Label} | {"unlabeled": Label.UNLABELLED}
_MASKS = "masks"
_COLOURS = "colours.json"


def detect(path: Path) -> bool:
    """Return whether a folder, or each split in it, has images below ``normal/`` or ``anomaly/``."""
    if not path.is_dir() or any((path / split / "good").is_dir() for split in ("train", "test")):
        return False
    return _has_labels(path) or any(_has_labels(child) for child in _folders(path) if child.name != _MASKS)


def _folders(path: Path) -> list[Path]:
    return sorted((child for child in path.iterdir() if child.is_dir() and not is_hidden(child)), key=lambda p: p.name)


def _has_labels(path: Path) -> bool:
    return any(next(image_files(child), None) for child in _folders(path) if child.name.casefold() in _LABELS)


# ---------------------------------------------------------------- reading


def read(path: Path, options: ReadOptions) -> dict[str, Sequence[Entry]]:
    """Read folders: the first level below the root, or below a split, is the class.

    Raises
    ------
    NotFound
        if there is no such folder.
    Invalid
        if there is no image in it, or ``masks/`` does not say what its colours mean.
    """
    if not path.is_dir():
        raise NotFound(f"There is no folder {path}.")
    root = path.absolute()
    masks = _Masks(root)
    noted = marker_of(root, "folders").get("splits")
    splits = set(map(str, noted)) if isinstance(noted, list) else None
    parts: dict[str, list[Entry]] = {}
    for child in _in_order(_folders(root)):
        if child.name == _MASKS and masks.there:
            continue
        if child.name in splits if splits is not None else _is_split(child):
            parts[child.name] = [entry for folder in _in_order(_folders(child)) for entry in _read_class(folder, root)]
            parts[child.name] += _loose(child, root)
        else:
            parts.setdefault("", []).extend(_read_class(child, root))
    loose = _loose(root, root)
    if loose:
        parts.setdefault("", []).extend(loose)
    found: dict[str, Sequence[Entry]] = {
        split: [masks.added(entry) for entry in entries] for split, entries in parts.items() if entries
    }
    if not found:
        there = ", ".join(sorted(child.name for child in root.iterdir())[:10]) or "nothing"
        raise Invalid(f"{root} must have folders with images in them, 'normal' and 'anomaly' say; it has {there}.")
    if options.images is not None:
        raise Invalid("In folders the images lie in their class; leave images= out.")
    return found


def _in_order(folders: Sequence[Path]) -> list[Path]:
    """Put train before test, normal before anomaly before the rest."""
    first = {name: number for number, name in enumerate((*SPLITS, *_LABELS))}
    return sorted(folders, key=lambda folder: (first.get(folder.name.casefold(), 99), folder.name))


def _is_split(folder: Path) -> bool:
    if folder.name.casefold() in _LABELS or next(image_files(folder, deep=False), None):
        return False
    return _has_labels(folder) or folder.name.casefold() in SPLITS


def _loose(folder: Path, root: Path) -> list[Entry]:
    return [Entry(f.relative_to(root).as_posix(), at=str(f)) for f in image_files(folder, deep=False)]


def _read_class(folder: Path, root: Path) -> Iterator[Entry]:
    label = _LABELS.get(folder.name.casefold())
    tags = () if label is not None else (Tag(folder.name),)
    for file in image_files(folder):
        yield Entry(file.relative_to(root).as_posix(), label or Label.UNLABELLED, tags, at=str(file))


class _Masks:
    """Know what lies in ``masks/``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.file = root / _MASKS / _COLOURS
        self.colours: dict[str, str] = {}
        self.images: dict[str, Any] = {}
        self.there = self.file.is_file() or (root / _MASKS).is_dir()
        if not self.there:
            return
        if not self.file.is_file():
            if next(image_files(root / _MASKS), None) is None:
                self.there = False
                return
            raise Invalid(
                f'{root / _MASKS} does not say what its colours mean; write {{"types": {{"scratch": "#FFFFFF"}}}} into '
                f"{self.file}, or rename the folder if it is no folder of masks."
            )
        try:
            data = json.loads(self.file.read_text("utf-8-sig"))
            self.colours = {str(kind): str(colour) for kind, colour in data["types"].items()}
            self.images = dict(data.get("images") or {})
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OSError) as error:
            raise Invalid(f'{self.file} must be {{"types": {{"scratch": "#23A436"}}}}: {error!r}.') from None
        for colour in self.colours.values():
            hex_to_rgb(colour)

    def added(self, entry: Entry) -> Entry:
        if not self.there:
            return entry
        uri = f"{_MASKS}/{PurePosixPath(entry.source).with_suffix('.png')}"
        at = self.root / uri
        if not at.is_file():
            return entry
        types = self.images.get(entry.source)
        if types is None:
            types = read_mask(MaskRef(str(at), self.colours)).types
        unknown = [kind for kind in types if kind not in self.colours]
        if unknown:
            raise Invalid(f"{self.file} gives {entry.source} the type {unknown[0]!r}, but no colour for it.")
        return replace(entry, mask=MaskRef(uri, {kind: self.colours[kind] for kind in types}, at=str(at)))


# ---------------------------------------------------------------- writing


def write(parts: Parts, path: Path, options: WriteOptions) -> Sequence[Finding]:
    """Write one folder a label; an image without a label goes to the folder of its first tag, or to ``unlabelled/``.

    Raises
    ------
    Unsupported
        if the images shall stay where they are.
    NotFound
        if an image or a mask is not there.
    """
    if options.images == "refer":
        raise Unsupported("Folders cannot refer to images that lie elsewhere; use images='copy' or 'link'.")
    losses = Losses()
    splits = split_names(split for split in parts if split)
    for split, name in list(splits.items()):
        if name.casefold() in (*_LABELS, _MASKS):
            splits[split] = f"{name}_set"
        if splits[split] != split:
            losses.add("lost-name", detail=f"the split {split!r} is called {splits[split]!r}")
    every = [(splits.get(split, ""), entry) for split, entries in parts.items() for entry in entries]
    entries = [entry for _, entry in every]
    colours = set_colours(entries)
    names = _names(every, losses)
    images: dict[str, list[str]] = {}
    with dataset_folder(path, options, format="folders", facts={"splits": list(splits.values())}) as folder:
        for entry, name in zip(entries, names, strict=True):
            place_image(entry, folder, name, options)
            _note(entry, name, losses)
            if entry.mask is not None:
                mask_name = str(PurePosixPath(_MASKS, name).with_suffix(".png"))
                made = place_mask(entry, folder, mask_name, options, colours=colours)
                if made.colours != entry.mask.colours:
                    losses.add("lost-colours", shown(entry.source), "a type has one colour in the whole set")
                images[name] = list(made.colours)
        if images:
            facts = {"types": colours, "images": images}
            write_file(folder / _MASKS / _COLOURS, json.dumps(facts, ensure_ascii=False, indent=1).encode())
    return losses.findings()


def _class_of(entry: Entry) -> str:
    if not entry.is_labelled and entry.tags:
        name = entry.tags[0].name
        if name == safe_name(name) and name.casefold() not in (*_LABELS, *SPLITS, _MASKS):
            return name
    return str(entry.label)


def _names(every: Sequence[tuple[str, Entry]], losses: Losses) -> list[str]:
    bare = []
    for (split, entry), name in zip(every, unique_names(entry for _, entry in every), strict=True):
        below = list(PurePosixPath(name).parts)
        for above in (split, _class_of(entry)):  # a set that came from such folders keeps its names
            if len(below) > 1 and below[0].casefold() == above.casefold():
                below.pop(0)
        bare.append(Entry("/".join((*([split] if split else []), _class_of(entry), *below)), at=entry.location))
    names = unique_names(bare, stems=True)
    for (split, entry), name in zip(every, names, strict=True):
        note_names(losses, [entry], ["/".join(PurePosixPath(name).parts[2 if split else 1 :])])
    return names


def _note(entry: Entry, name: str, losses: Losses) -> None:
    source = shown(entry.source)
    said = {_class_of(entry)} & {tag.name for tag in entry.tags}
    left = [tag.name for tag in entry.tags if tag.name not in said]
    if left:
        losses.add("lost-tags", source, f"{left[0]!r}; the folder is {PurePosixPath(name).parent.name!r}")
    if any(tag.confidence is not None for tag in entry.tags if tag.name in said):
        losses.add("lost-confidence", source)
    if entry.regions:
        losses.add("lost-regions", source)
