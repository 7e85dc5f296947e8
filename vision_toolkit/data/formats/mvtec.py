"""The layout of MVTec AD, which most research code on anomaly detection reads.

::

    train/good/000.png
    test/good/000.png
    test/scratch/000.png
    ground_truth/scratch/000_mask.png    white where the defect is, else black

Validation sets are read as well. Images that nobody labelled have no place there; we put them into ``unlabelled/``, and
find them there again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from vision_toolkit.core.entry import Entry, Finding, Label, MaskRef, Tag
from vision_toolkit.core.errors import Invalid, NotFound, Unsupported
from vision_toolkit.data.formats import Parts, ReadOptions, WriteOptions
from vision_toolkit.data.formats.files import (
    dataset_folder,
    image_files,
    is_hidden,
    note_names,
    place_image,
    safe_name,
    shown,
    unique_names,
)
from vision_toolkit.data.formats.losses import Losses
from vision_toolkit.data.images import encode_png, read_mask
from vision_toolkit.data.storage import write_file

__all__ = ["TITLE", "detect", "read", "write"]

TITLE = "MVTec AD: train/good, test/good, test/TYPE, ground_truth/TYPE"
"""What the format is called in words."""

_GOOD = "good"
_SPLITS = ("train", "validation", "test")
_TRUTH = "ground_truth"
_WHITE = "#ffffff"
_ANY = "anomaly"
_SEVERAL = "combined"
_UNLABELLED = "unlabelled"
_SAME = {"training": "train", "testing": "test", "holdout": "test", "val": "validation", "valid": "validation"} | {
    split: split for split in _SPLITS
}


def detect(path: Path) -> bool:
    """Return whether a folder has ``train/good`` or ``test/good``, or test images with ``ground_truth`` beside them."""
    if not path.is_dir():
        return False
    if any(next(image_files(path / split / _GOOD), None) for split in _SPLITS):
        return True
    return (path / _TRUTH).is_dir() and next(image_files(path / "test"), None) is not None


def read(path: Path, options: ReadOptions) -> dict[str, Sequence[Entry]]:
    """Read the splits; the type of a defect is that of its mask, or a tag where it has none.

    Raises
    ------
    NotFound
        if there is no such folder.
    Invalid
        if it has none of the layout's folders.
    Unsupported
        if an image has several masks, as in MVTec LOCO AD.
    """
    if not path.is_dir():
        raise NotFound(f"There is no folder {path}.")
    if options.images is not None:
        raise Invalid("In MVTec's layout the images lie in their type; leave images= out.")
    root = path.absolute()
    masks = _masks(root)
    parts: dict[str, Sequence[Entry]] = {}
    for split in _SPLITS:
        entries = [entry for folder in _types(root / split) for entry in _read_type(folder, root, masks)]
        if entries:
            parts[split] = entries
    unlabelled = [Entry(f.relative_to(root).as_posix(), at=str(f)) for f in image_files(root / _UNLABELLED)]
    if unlabelled:
        parts[""] = unlabelled
    if not parts:
        there = ", ".join(sorted(child.name for child in root.iterdir())[:10]) or "nothing"
        raise Invalid(f"{root} must have train/good and test/TYPE with images in them; it has {there}.")
    return parts


def _types(split: Path) -> list[Path]:
    if not split.is_dir():
        return []
    folders = [child for child in split.iterdir() if child.is_dir() and not is_hidden(child)]
    return sorted(folders, key=lambda folder: (folder.name.casefold() != _GOOD, folder.name))


def _masks(root: Path) -> dict[tuple[str, str], Path]:
    """Return every mask by its type and its image's name without suffix."""
    found: dict[tuple[str, str], Path] = {}
    for folder in _types(root / _TRUTH):
        for file in image_files(folder):
            stem = file.relative_to(folder).with_suffix("").as_posix()
            found[folder.name, stem] = file
    return found


def _read_type(folder: Path, root: Path, masks: dict[tuple[str, str], Path]) -> Iterator[Entry]:
    good = folder.name.casefold() == _GOOD
    for file in image_files(folder):
        source = file.relative_to(root).as_posix()
        stem = file.relative_to(folder).with_suffix("").as_posix()
        mask = masks.get((folder.name, f"{stem}_mask")) or masks.get((folder.name, stem))
        if mask is None and (root / _TRUTH / folder.name / stem).is_dir():
            raise Unsupported(f"{source} has several masks, as in MVTec LOCO AD; join them in one {stem}_mask.png.")
        if good:
            yield Entry(source, Label.NORMAL, at=str(file))
        elif mask is None:
            tags = (Tag(folder.name),) if folder.name != _ANY else ()
            yield Entry(source, Label.ANOMALY, tags, at=str(file))
        else:
            ref = MaskRef(mask.relative_to(root).as_posix(), {folder.name: _WHITE}, at=str(mask))
            yield Entry(source, Label.ANOMALY, mask=ref, at=str(file))


# ---------------------------------------------------------------- writing


def write(parts: Parts, path: Path, options: WriteOptions) -> Sequence[Finding]:
    """Write good images into their split and anomalies into ``test/``; without splits good ones are for training.

    Raises
    ------
    Unsupported
        if the images shall stay where they are.
    NotFound
        if an image or a mask is not there.
    """
    if options.images == "refer":
        raise Unsupported("MVTec's layout cannot refer to images that lie elsewhere; use images='copy' or 'link'.")
    losses = Losses()
    every = [(split, entry) for split, entries in parts.items() for entry in entries]
    entries = [entry for _, entry in every]
    kinds = [_kind(entry, losses) for entry in entries]
    bare = []
    for (split, entry), kind in zip(every, kinds, strict=True):
        below = _folder(split, entry, kind, losses)
        bare.append(Entry(f"{below}/{unique_names([entry], flat=True)[0]}", at=entry.location))
    names = unique_names(bare, stems=True)
    note_names(losses, entries, names, flat=True)
    with dataset_folder(path, options, format="mvtec") as folder:
        for entry, kind, name in zip(entries, kinds, names, strict=True):
            place_image(entry, folder, name, options)
            _note(entry, kind, losses)
            if entry.mask is not None and entry.mask.colours and entry.label is Label.ANOMALY:
                ids = read_mask(entry.mask).ids
                if ids.any():
                    stem = PurePosixPath(name).stem
                    place = folder / _TRUTH / PurePosixPath(name).parent.name / f"{stem}_mask.png"
                    write_file(place, encode_png(np.where(ids > 0, 255, 0).astype(np.uint8)))
    return losses.findings()


def _painted(entry: Entry) -> tuple[str, ...]:
    return read_mask(entry.mask).types if entry.mask is not None and entry.mask.colours else ()


def _kind(entry: Entry, losses: Losses) -> str:
    """Return the type of an anomaly, "" for other images."""
    types = _painted(entry)
    if entry.label is not Label.ANOMALY:
        if types:
            losses.add("lost-mask", shown(entry.source), f"the image is {entry.label}")
        return ""
    if len(types) > 1:
        losses.add("lost-types", shown(entry.source), f"{', '.join(types)} become {_SEVERAL!r}")
        return _SEVERAL
    tags = tuple(tag.name for tag in entry.tags)
    return next(iter((*types, *entry.types[:1], *tags, _ANY)))


def _folder(split: str, entry: Entry, kind: str, losses: Losses) -> str:
    known = _SAME.get(split.casefold(), "train")
    if not entry.is_labelled:
        losses.add("lost-label", shown(entry.source), f"it lies in {_UNLABELLED}/, which other readers pass over")
        if split:
            losses.add("lost-split", shown(entry.source), f"{split!r}; it is not labelled")
        return _UNLABELLED
    given = known if entry.label is Label.NORMAL else "test"
    if given != split:
        losses.add("lost-split", shown(entry.source), f"from {split!r} to {given!r}" if split else f"to {given!r}")
    if entry.label is Label.NORMAL:
        return f"{given}/{_GOOD}"
    name = safe_name(kind)
    if name.casefold() == _GOOD:
        name += "_"
    if name != kind:
        losses.add("lost-name", shown(entry.source), f"the type {kind!r} is called {name!r}")
    return f"test/{name}"


def _note(entry: Entry, kind: str, losses: Losses) -> None:
    source = shown(entry.source)
    left = [tag.name for tag in entry.tags if tag.name != kind]
    if left:
        losses.add("lost-tags", source, repr(left[0]))
    if any(tag.confidence is not None for tag in entry.tags if tag.name == kind):
        losses.add("lost-confidence", source)
    if entry.regions:
        losses.add("lost-regions", source)
