"""The folders that Amazon's export script left on disk when Lookout for Vision ended.

::

    datasets/train.manifest    the lines as the service had them: s3://BUCKET/KEY
    train/images/KEY
    train/masks/KEY
    datasets/test.manifest     and so on

``source-ref`` stays what it was; the files are found under their keys. Copies that went through Windows have U+F03A
where S3 has ``:``; both spellings are looked for. The script took masks from ``anomaly-mask-ref`` only; here a mask
under any key is found, if its file is there.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from vision_toolkit.core.entry import Entry, Finding
from vision_toolkit.core.errors import Invalid, Unsupported
from vision_toolkit.data.formats import Parts, ReadOptions, WriteOptions
from vision_toolkit.data.formats.files import (
    dataset_folder,
    folder_beside,
    is_hidden,
    name_key,
    note_names,
    place_image,
    place_mask,
    shown,
    split_names,
    unique_names,
)
from vision_toolkit.data.formats.lookout import is_manifest
from vision_toolkit.data.formats.losses import Losses
from vision_toolkit.data.jsonlines import write_line
from vision_toolkit.data.manifest import Manifest
from vision_toolkit.data.storage import is_local, write_file

__all__ = ["KEEPS_LINES", "TITLE", "detect", "read", "write"]

TITLE = "Amazon's export of Lookout datasets: datasets/TYPE.manifest, TYPE/images, TYPE/masks"
"""What the format is called in words."""

KEEPS_LINES = True
"""Other keys of the JSON lines stay."""

_COLONS = (":", "\uf03a")


def detect(path: Path) -> bool:
    """Return whether a folder has ``datasets/TYPE.manifest`` with JSON lines."""
    return bool(_manifests(path))


def _manifests(path: Path) -> list[Path]:
    folder = path / "datasets"
    if not folder.is_dir():
        return []
    files = [f for f in folder.iterdir() if f.suffix.lower() == ".manifest" and not is_hidden(f) and is_manifest(f)]
    return sorted(files, key=lambda f: (("train", "test").index(f.stem) if f.stem in ("train", "test") else 2, f.name))


# ---------------------------------------------------------------- reading


def read(path: Path, options: ReadOptions) -> dict[str, Sequence[Entry]]:
    """Read every dataset of an export, each a split.

    An image that the script did not get (it passed over what was missing in the bucket) is an entry all the same;
    :meth:`Manifest.check <vision_toolkit.data.Manifest.check>` names those.

    Raises
    ------
    Invalid
        if there is no ``datasets/TYPE.manifest``.
    """
    files = _manifests(path)
    if not files:
        raise Invalid(f"{path} has no datasets/TYPE.manifest (train.manifest, test.manifest) with JSON lines in it.")
    places = options.places if options.places is not None else options.images
    root = path.absolute()
    splits = [file.stem for file in files]
    parts: dict[str, Sequence[Entry]] = {}
    for file in files:
        manifest = Manifest.read(file, images=places)
        if places is None:
            find = _Finder(root, file.stem, splits)
            contents = (line if isinstance(line, str) else find.placed(line) for line in manifest.lines())
            final = file.read_bytes()[-1:] == b"\n"
            manifest = Manifest.from_lines(contents, name=manifest.name, final_newline=final)
        parts[file.stem] = manifest
    return parts


def _key_parts(uri: str) -> list[str]:
    """Return the key of an object as parts of a path; ``..`` never leads anywhere."""
    return [part for part in uri.partition("://")[2].split("/")[1:] if part not in ("", ".", "..")]


class _Finder:
    """Find the files of one dataset: in its own folders, or else in those of the others."""

    def __init__(self, root: Path, split: str, splits: Iterable[str]) -> None:
        order = [split, *(other for other in splits if other != split)]
        self.images = [root / name / kind for kind in ("images", "masks") for name in order]
        self.masks = [root / name / kind for kind in ("masks", "images") for name in order]

    def placed(self, entry: Entry) -> Entry:
        mask = entry.mask
        if mask is not None and not is_local(mask.uri):
            mask = replace(mask, at=self._find(mask.uri, self.masks))
        at = entry.at if is_local(entry.source) else self._find(entry.source, self.images)
        return replace(entry, at=at, mask=mask)

    @staticmethod
    def _find(uri: str, folders: Sequence[Path]) -> str | None:
        parts = _key_parts(uri)
        if not parts:
            return None
        spellings = dict.fromkeys(_spelled(parts, colon) for colon in ("", *_COLONS))
        for folder in folders:
            for spelling in spellings:
                candidate = folder.joinpath(*spelling)
                if candidate.is_file():
                    return str(candidate)
        return str(folders[0].joinpath(*parts))


def _spelled(parts: Sequence[str], colon: str) -> tuple[str, ...]:
    if not colon:
        return tuple(parts)
    other = _COLONS[colon == _COLONS[0]]
    return tuple(part.replace(other, colon) for part in parts)


# ---------------------------------------------------------------- writing


def write(parts: Parts, path: Path, options: WriteOptions) -> Sequence[Finding]:
    """Write the layout: images and masks of buckets under their keys, with their lines as they are.

    What is no object of a bucket, or has a key that another one has already, is named relative to the manifest.

    Raises
    ------
    Unsupported
        if the images shall stay where they are.
    NotFound
        if an image or a mask is not there.
    """
    if options.images == "refer":
        raise Unsupported("An export holds its images; use images='copy' or 'link', or the format 'lookout'.")
    losses = Losses()
    whole = next(name for name in ("train", "dataset", "dataset-2") if name not in parts)
    names = split_names([split or whole for split in parts])
    with dataset_folder(path, options, format="aws-export") as folder:
        for split, entries in parts.items():
            name = names[split or whole]
            if name.casefold() == "datasets":
                raise Invalid(f"A split cannot be called {split!r}: that is the folder of the manifests.")
            if not split:
                losses.add("lost-split", detail=f"images of no split are called {whole!r}")
            elif name != split:
                losses.add("lost-name", detail=f"the split {split!r} is called {name!r}")
            placed = iter(_placed(entries, folder, name, options, losses))
            contents = entries.lines() if isinstance(entries, Manifest) else entries
            lines = [content if isinstance(content, str) else write_line(next(placed)) for content in contents]
            text = "".join(f"{line}\n" for line in lines)
            write_file(folder / "datasets" / f"{name}.manifest", text.encode("utf-8", "surrogateescape"))
    return losses.findings()


def _placed(entries: Sequence[Entry], folder: Path, split: str, options: WriteOptions, losses: Losses) -> list[Entry]:
    images = _Keys(folder, f"{split}/images")
    masks = _Keys(folder, f"{split}/masks")
    local = [replace(e, source=_bare(e.source, "images")) for e in entries]
    names = unique_names(local, stems=True)
    placed = []
    for entry, plain, name in zip(entries, local, names, strict=True):
        source, key = images.take(entry.source, entry.location, name)
        if key is not None:
            place_image(entry, folder, key, options)
        if not _is_object(entry.source):
            note_names(losses, [plain], [name])
        elif source != entry.source:
            losses.add("lost-name", shown(entry.source), f"another image has its key; it is called {source}")
        mask = entry.mask
        if mask is not None:
            uri, key = masks.take(mask.uri, mask.location, str(PurePosixPath(name).with_suffix(".png")))
            colours = mask.colours
            if key is not None and uri == mask.uri and colours:
                place_image(Entry(uri, at=mask.location), folder, key, options)  # its line stays, so do its bytes
            elif key is not None:
                colours = place_mask(entry, folder, key, options).colours
            if colours != mask.colours:
                losses.add("lost-colours", shown(entry.source), "no type may be white, the background's colour")
            mask = replace(mask, uri=uri, colours=colours, at=None)
        placed.append(replace(entry, source=source, at=None, mask=mask))
    return placed


def _is_object(uri: str) -> bool:
    return "://" in uri and not uri.startswith("file://") and bool(_key_parts(uri))


def _bare(source: str, kind: str) -> str:
    """Drop the folders of this layout from a relative source, so that a set read from it keeps its names."""
    head, found, rest = source.partition(f"/{kind}/")
    return rest if found and source.startswith("../") and head.count("/") == 1 else source


class _Keys:
    """Give each file its place below a folder: under its key, or under a name where it has none of its own."""

    def __init__(self, folder: Path, below: str) -> None:
        self.folder = folder
        self.below = below
        self.known: dict[tuple[str, str], str] = {}
        self.taken: set[str] = set()

    def take(self, uri: str, location: str, name: str) -> tuple[str, str | None]:
        """Return what the line calls the file, and where to put it: None if it is there already."""
        if (uri, location) in self.known:
            return self.known[uri, location], None
        if _is_object(uri):
            parts = _key_parts(uri)
            if os.name == "nt":
                parts = [part.replace(*_COLONS) for part in parts]
            key = "/".join(parts)
            fits = all(len(part.encode("utf-8", "replace")) < 250 and "\0" not in part for part in parts)
            if fits and self._is_free(key):
                self._mark(key)
                self.known[uri, location] = uri
                return uri, f"{self.below}/{key}"
        path = folder_beside(PurePosixPath(name).parent.parts, self.taken) / PurePosixPath(name).name
        name, count = str(path), 1
        while not self._is_free(name):
            count += 1
            name = str(path.with_name(f"{path.stem}-{count}{path.suffix}"))
        self._mark(name)
        self.known[uri, location] = f"../{self.below}/{name}"
        return self.known[uri, location], f"{self.below}/{name}"

    def _is_free(self, key: str) -> bool:
        path = PurePosixPath(name_key(PurePosixPath(key)))
        above = {f"{parent}" for parent in path.parents if parent.name}
        return str(path) not in self.taken and f"{path}/" not in self.taken and not above & self.taken

    def _mark(self, key: str) -> None:
        path = PurePosixPath(name_key(PurePosixPath(key)))
        self.taken |= {str(path), *(f"{parent}/" for parent in path.parents if parent.name)}
