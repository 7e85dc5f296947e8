"""What is laid over an image in a page: a heat map, a painted mask or its outline, as PNG with transparency."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision_toolkit.core.mask import Mask, hex_to_rgb
from vision_toolkit.data.images import encode_png
from vision_toolkit.plots.overlay import heat_colours, inner_edge, line_width

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


def outline_layer(mask: Mask, *, side: int) -> bytes:
    """Return the outlines of the types of a mask in their colours; all else is transparent."""
    ids = shrunk(mask.ids, side)
    return encode_png(_palette(mask)[np.where(inner_edge(ids, line_width(ids.shape)), ids, 0)])


def _palette(mask: Mask) -> NDArray[np.uint8]:
    colours = np.array([(*hex_to_rgb(colour), 255) for colour in mask.colours], np.uint8)
    colours[0] = 0
    return colours
