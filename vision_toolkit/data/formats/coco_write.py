"""Write COCO instances; :mod:`~vision_toolkit.data.formats.coco` says what we add to the format."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import count, groupby
from pathlib import Path
from typing import Any

import numpy as np

from vision_toolkit.core.entry import Entry, Finding, Label, Region
from vision_toolkit.core.errors import Invalid
from vision_toolkit.core.mask import hex_to_rgb
from vision_toolkit.data.formats import Parts, WriteOptions
from vision_toolkit.data.formats.files import (
    dataset_folder,
    note_names,
    place_image,
    placed_facts,
    refer,
    shown,
    sources_outside,
    split_names,
    unique_names,
)
from vision_toolkit.data.formats.losses import Losses
from vision_toolkit.data.images import probe, read_mask
from vision_toolkit.data.shapes import encode_run_string, encode_runs, inside_image
from vision_toolkit.data.storage import write_file

__all__ = ["write"]

Json = dict[str, Any]


def write(parts: Parts, path: Path, options: WriteOptions) -> tuple[Finding, ...]:
    """Write ``annotations/instances_SPLIT.json`` and ``images/SPLIT/``; a split without a name is ``default``.

    A region is a polygon with its bounding box, and so is a box: programs that ask for masks find four corners.
    Neighbouring regions that share name, id and confidence are the parts of one annotation. A mask is one annotation a
    type, in compressed run lengths.

    Returns
    -------
    tuple of Finding
        what COCO cannot say.

    Raises
    ------
    NotFound
        if an image or a mask is not there: COCO wants the size of every image.
    Invalid
        if a region lies outside its image, or two splits would have one name.
    Conflict
        if the folder is there and may not be replaced.

    Examples
    --------
    >>> import tempfile
    >>> from vision_toolkit.data.formats import ReadOptions
    >>> from vision_toolkit.data.formats.coco import read
    >>> from vision_toolkit.data.images import encode_png
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = folder.joinpath("1.png").write_bytes(encode_png(np.zeros((4, 8), np.uint8)))
    >>> entry = Entry("1.png", Label.NORMAL, at=str(folder / "1.png"))
    >>> write({"train": [entry]}, folder / "coco", WriteOptions())
    ()
    >>> read(folder / "coco", ReadOptions()) ["train"][0].label
    <Label.NORMAL: 'normal'>
    """
    losses = Losses()
    everything = [entry for entries in parts.values() for entry in entries]
    if options.images == "refer" and options.overwrite:
        sources_outside(everything, path)
    folders = split_names(parts)
    files = {split: folder or "default" for split, folder in folders.items()}
    if len({name.casefold() for name in files.values()}) < len(files):
        raise Invalid("A split is called 'default', as the one without a name would be; give that one a name.")
    writer = _Writer(everything, options, losses)
    with dataset_folder(path, options, format="coco") as folder:
        for split, entries in parts.items():
            below = f"images/{folders[split]}".rstrip("/")
            data = writer.file(entries, folder, below, path) | {"info": {"split": split}}
            text = json.dumps(data, allow_nan=False)
            write_file(folder / "annotations" / f"instances_{files[split]}.json", text.encode())
    return losses.findings()


class _Writer:
    """Write the files of one set, with the same categories in each."""

    def __init__(self, entries: Sequence[Entry], options: WriteOptions, losses: Losses) -> None:
        self.options, self.losses = options, losses
        self.categories: dict[str, Json] = {}
        for entry in entries:
            for region in entry.regions:
                self._category(region.name)
            for name, colour in entry.mask.colours.items() if entry.mask else ():
                painted = list(hex_to_rgb(colour))
                if self._category(name).setdefault("color", painted) != painted:
                    losses.add("lost-colours", shown(entry.source), f"{name!r} has another colour on other images")

    def _category(self, name: str) -> Json:
        return self.categories.setdefault(name, {"id": len(self.categories) + 1, "name": name, "supercategory": ""})

    def file(self, entries: Sequence[Entry], folder: Path, below: str, target: Path) -> Json:
        images: list[Json] = []
        annotations: list[Json] = []
        numbers = count(1)
        names = unique_names(entries)
        if self.options.images != "refer":
            note_names(self.losses, entries, names)
        for image_id, (entry, name) in enumerate(zip(entries, names, strict=True), 1):
            if self.options.images == "refer":
                called = refer(entry.source, entry.at, target.absolute() / "annotations")
                facts = probe(entry)
            else:
                called = name
                facts = placed_facts(entry, folder / place_image(entry, folder, f"{below}/{name}", self.options))
            size = (facts.width, facts.height)
            images.append({"id": image_id, "file_name": called, "width": size[0], "height": size[1]} | _said(entry))
            for shape in (*self._regions(entry, size), *self._masks(entry, size)):
                annotations.append({"id": next(numbers), "image_id": image_id} | shape)  # noqa: PERF401
        return {"images": images, "annotations": annotations, "categories": list(self.categories.values())}

    def _regions(self, entry: Entry, size: tuple[int, int]) -> Iterator[Json]:
        def common(pair: tuple[int, Region]) -> Any:
            position, region = pair
            return (region.name, region.id, region.confidence) if region.id is not None else position

        for _, group in groupby(enumerate(entry.regions), common):
            regions = [self._inside(region, entry) for _, region in group]
            parts = [_pixels_of(region, size) for region in regions]
            first = regions[0]
            shape: Json = {
                "category_id": self.categories[first.name]["id"],
                "bbox": _bounds(parts),
                "area": sum(_area(part) for part in parts),
                "iscrowd": 0,
                "segmentation": parts,
            }
            if first.confidence is not None:
                shape["score"] = first.confidence
            if first.id is not None:
                shape["region_id"] = first.id
            yield shape

    def _inside(self, region: Region, entry: Entry) -> Region:
        try:
            within = inside_image(region)
        except Invalid as error:
            raise Invalid(f"{shown(entry.source)}: {error}. Correct or remove the region.") from None
        if within is not region:
            self.losses.add("lost-precision", shown(entry.source), "corners outside the image are put on its border")
        return within

    def _masks(self, entry: Entry, size: tuple[int, int]) -> Iterator[Json]:
        if entry.mask is None:
            return
        mask = read_mask(entry.mask, size=size)
        for name in mask.types:
            on = mask.ids == mask.names.index(name)
            rows, columns = np.flatnonzero(on.any(axis=1)), np.flatnonzero(on.any(axis=0))
            left, top = int(columns[0]), int(rows[0])
            yield {
                "category_id": self.categories[name]["id"],
                "bbox": [left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1],
                "area": int(on.sum()),
                "iscrowd": 0,
                "segmentation": {"size": [size[1], size[0]], "counts": encode_run_string(encode_runs(on))},
            }


def _said(entry: Entry) -> Json:
    """Return what COCO has no key for."""
    said: Json = {} if entry.label is Label.UNLABELLED else {"label": str(entry.label)}
    if entry.tags:
        said["tags"] = [
            {"name": tag.name} | ({} if tag.confidence is None else {"confidence": tag.confidence})
            for tag in entry.tags
        ]
    if entry.mask is not None:
        said["mask_types"] = list(entry.mask.colours)
    return said


def _pixels_of(region: Region, size: tuple[int, int]) -> list[float]:
    return [_scaled(number, side) for point in region.polygon for number, side in zip(point, size, strict=True)]


def _scaled(fraction: float, side: int) -> float:
    """Return pixels: the short number of those that come back as the same fraction."""
    exact = fraction * side
    short = round(exact, 6)
    return short if short / side == fraction else exact


def _bounds(parts: list[list[float]]) -> list[float]:
    xs = [x for part in parts for x in part[::2]]
    ys = [y for part in parts for y in part[1::2]]
    return [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]


def _area(part: list[float]) -> float:
    x, y = np.asarray(part[::2]), np.asarray(part[1::2])
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)
