"""What a repair does with images and masks: see which are unfit, paint masks anew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vision_toolkit.core.entry import Entry
from vision_toolkit.core.errors import VisionError
from vision_toolkit.core.mask import BACKGROUND, Mask, hex_to_rgb
from vision_toolkit.data.images import encode_mask, mask_pixels, probe, unlisted_colours
from vision_toolkit.data.storage import is_local, is_there, write_file

__all__ = ["odd_files", "with_new_mask"]


def odd_files(entry: Entry, rules: frozenset[str]) -> Iterator[str]:
    """Yield which of the rules the image and the mask of an entry break; those of other machines are passed over.

    Examples
    --------
    >>> list(odd_files(Entry("nowhere.png"), frozenset({"missing-image"})))
    ['missing-image']
    """
    place = entry.location
    if is_local(place):
        there = is_there(place)
        if not there and "missing-image" in rules:
            yield "missing-image"
        if there and "unreadable-image" in rules:
            try:
                probe(place, whole=True)
            except VisionError:
                yield "unreadable-image"
    ref = entry.mask
    if ref is not None and ref.colours and is_there(ref.location):
        try:
            if "mask-no-png" in rules and probe(ref.location).format != "PNG":
                yield "mask-no-png"
            if "mask-colours" in rules and unlisted_colours(mask_pixels(ref), ref.colours.values())[0]:
                yield "mask-colours"
        except VisionError:
            return  # the check tells it


def with_new_mask(entry: Entry, number: int, target: Path, *, overwrite: bool) -> Entry:
    """Write the mask anew, each pixel in the nearest colour of the map, beside the new manifest.

    Raises
    ------
    Conflict
        if a file of that name is there, and ``overwrite`` is not set.
    """
    ref = entry.mask
    assert ref is not None
    folder = target.with_name(f"{target.stem}-masks")
    file = folder / f"{Path(entry.source.replace(':', '_')).stem or 'mask'}-{number}.png"
    write_file(file, encode_mask(_nearest(mask_pixels(ref), ref.colours)), overwrite=overwrite)
    return replace(entry, mask=replace(ref, uri=f"{folder.name}/{file.name}", at=str(file)))


def _nearest(pixels: NDArray[np.uint8], colours: Mapping[str, str]) -> Mask:
    """Give each pixel the nearest of the colours; white, black and what is transparent are background."""
    known = np.array([*((255, 255, 255), (0, 0, 0)), *(hex_to_rgb(colour) for colour in colours.values())], np.int32)
    flat, back = np.unique(pixels[..., :3].reshape(-1, 3), axis=0, return_inverse=True)
    nearest = ((flat[:, None, :].astype(np.int32) - known) ** 2).sum(axis=2).argmin(axis=1)
    ids = np.maximum(nearest - 1, 0).astype(np.uint8)[back].reshape(pixels.shape[:2])
    if pixels.shape[2] == 4:
        ids[pixels[..., 3] == 0] = 0
    return Mask(ids, (BACKGROUND, *colours), ("#ffffff", *colours.values()))
