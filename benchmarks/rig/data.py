"""Read the images, splits and masks that the benchmark measures on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vision_toolkit.core import Mask
from vision_toolkit.core.mask import BACKGROUND, palette_colour
from vision_toolkit.data.images import encode_mask
from vision_toolkit.data.manifest import Manifest

TYPES = ("blowhole", "break", "crack", "fray", "uneven")
PAINTED = 127  # the masks of the tiles have soft edges; above half is painted
Image = list[Any]
"""What both programs are given: path, "normal" or "anomaly", path of a mask or None, {type: colour}."""


@dataclass(frozen=True, slots=True)
class Split:
    """Hold the images of one split, and what it is called."""

    name: str
    train: list[Image]
    test: list[Image]

    @property
    def truth(self) -> list[bool]:
        """Return which test images are anomalies."""
        return [image[1] != "normal" for image in self.test]


def read_splits(data: Path, name: str, *, seeds: int = 3) -> list[Split]:
    """Return the splits ``NAME.json``, or ``NAME_seed0.json`` and so on where there are several.

    Parameters
    ----------
    data
        the folder with ``splits/`` and the images.
    name
        cookies, aliens, cookies_masks, magnetic_tile_normal_only or magnetic_tile_types.
    seeds
        how many of several to read.
    """
    one = data / "splits" / f"{name}.json"
    files = [one] if one.exists() else [data / "splits" / f"{name}_seed{seed}.json" for seed in range(seeds)]
    found = []
    for file in files:
        listed = json.loads(file.read_text("utf-8"))
        train, test = (
            [[str(data / path), label, None, {}] for path, label in listed[kind]] for kind in ("train", "test")
        )
        found.append(Split(file.stem, train, test))
    return found


def resplit(split: Split, count: int) -> Iterator[Split]:
    """Yield seeded splits of all the images, with as many of each label in training and test as the given one has."""
    images = split.train + split.test
    labels = sorted({image[1] for image in images})
    for seed in range(count):
        rng = np.random.default_rng([2026, seed])
        train: list[Image] = []
        test: list[Image] = []
        for label in labels:
            here = [image for image in images if image[1] == label]
            wanted = sum(image[1] == label for image in split.train)
            order = rng.permutation(len(here)).tolist()
            train += [here[i] for i in order[:wanted]]
            test += [here[i] for i in order[wanted:]]
        yield Split(f"resplit{seed}", train, test)


def with_cookie_masks(data: Path, split: Split) -> Split:
    """Return the split with the masks that the published manifest names."""
    manifest = Manifest.read(data / "cookies" / "manifests" / "template.manifest", images=data / "cookies")
    masks = {Path(entry.location).name: entry.mask for entry in manifest if entry.mask is not None}

    def masked(image: Image) -> Image:
        ref = masks.get(Path(image[0]).name)
        if ref is None or image[1] == "normal":
            return image
        return [image[0], "anomaly", str(Path(ref.location).resolve()), dict(ref.colours)]

    return Split(split.name, [masked(i) for i in split.train], [masked(i) for i in split.test])


def with_tile_masks(split: Split, folder: Path) -> Split:
    """Return the split with colour masks, which are written to ``folder``; a label becomes the mask's type."""
    colours = {name: palette_colour(number) for number, name in enumerate(TYPES, 1)}
    folder.mkdir(parents=True, exist_ok=True)

    def masked(image: Image) -> Image:
        path, label = image[:2]
        if label == "normal":
            return image
        target = folder / f"{label}-{Path(path).stem}.png"
        if not target.exists():
            ids = np.where(painted(path), TYPES.index(label) + 1, 0).astype(np.uint8)
            target.write_bytes(encode_mask(Mask(ids, (BACKGROUND, *TYPES), (palette_colour(0), *colours.values()))))
        return [path, "anomaly", str(target), {label: colours[label]}]

    return Split(split.name, [masked(i) for i in split.train], [masked(i) for i in split.test])


def painted(path: str) -> np.ndarray:
    """Return which pixels of a tile are defect, (H, W) bool: those of the mask beside the image.

    Four of the 103 uneven tiles come with an empty mask; they are taken as they are.
    """
    from PIL import Image as Pillow

    return np.asarray(Pillow.open(Path(path).with_suffix(".png")).convert("L")) > PAINTED


def normal(images: Sequence[Image]) -> list[Image]:
    """Return the normal ones."""
    return [image for image in images if image[1] == "normal"]


def paths(images: Sequence[Image]) -> list[str]:
    """Return where the images lie."""
    return [str(image[0]) for image in images]
