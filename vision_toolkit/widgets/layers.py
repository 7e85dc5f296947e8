"""What is laid over an image in a page: a heat map, a painted mask or its outline, as PNG with transparency."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision_toolkit.core.entry import Region
from vision_toolkit.core.mask import Mask, hex_to_rgb, palette_colour
from vision_toolkit.data.images import encode_png
from vision_toolkit.plots.overlay import heat_colours, inner_edge, line_width
from vision_toolkit.widgets import raster

__all__ = ["heat_layer", "mask_layer", "outline_layer", "shrunk"]


def shrunk(values: NDArray[Any], side: int) -> NDArray[Any]:
    """Return an array of which no side is longer than ``side``; each pixel is the largest of those that it stands for.

    So a defect of one pixel is still seen, and a type wins over background.

    Examples
    --------
    >>> shrunk(np.array([[0, 0, 0, 2], [0, 1, 0, 0]], np.uint8), 2).tolist()
    [[1, 2]]
    """
    height, width = values.shape
    share = min(1.0, side / max(height, width))
    rows, columns = max(1, round(height * share)), max(1, round(width * share))
    if (rows, columns) == (height, width):
        return values
    first = np.maximum.reduceat(values, np.arange(rows) * height // rows, axis=0)
    found: NDArray[Any] = np.maximum.reduceat(first, np.arange(columns) * width // columns, axis=1)
    return found


def heat_layer(map: NDArray[np.float32], *, side: int) -> bytes:
    """Return a heat map, (h, w) from 0 to 1, in its colours; what is normal is transparent."""
    colours, weights = heat_colours(shrunk(map, side))
    return encode_png(np.rint(np.dstack([colours, 255 * weights])).astype(np.uint8))


def mask_layer(mask: Mask, *, side: int) -> bytes:
    """Return a mask in its colours; background is transparent."""
    return encode_png(_palette(mask)[shrunk(mask.ids, side)])


def outline_layer(mask: Mask, *, side: int, regions: Iterable[Region] = ()) -> bytes:
    """Return the outlines of the types of a mask, and of regions, in their colours; all else is transparent."""
    ids = shrunk(mask.ids, side)
    width = line_width(ids.shape)
    layer = _palette(mask)[np.where(inner_edge(ids, width), ids, 0)]
    colours = dict(zip(mask.names, mask.colours, strict=True))
    for region in regions:
        inside = np.zeros_like(ids)
        raster.polygon(inside, [(x * ids.shape[1], y * ids.shape[0]) for x, y in region.polygon], 1)
        colour = colours.setdefault(region.name, palette_colour(len(colours)))
        layer[(inside > 0) & ~_eroded(inside, width)] = (*hex_to_rgb(colour), 255)
    return encode_png(layer)


def _eroded(ids: NDArray[np.uint8], width: int) -> NDArray[np.bool_]:
    """Return the painted pixels that have no other at most ``width`` away; outside the image nothing is painted."""
    from scipy import ndimage

    found: NDArray[np.bool_] = ndimage.minimum_filter(ids, 2 * width + 1, mode="constant") > 0
    return found


def _palette(mask: Mask) -> NDArray[np.uint8]:
    colours = np.array([(*hex_to_rgb(colour), 255) for colour in mask.colours], np.uint8)
    colours[0] = 0
    return colours
