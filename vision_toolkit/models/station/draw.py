"""Draw what was said of an image: the heat map and the types over it.

The same picture as ``vision_toolkit.plots.overlay`` draws, which a package cannot bring along.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["LARGEST", "overlay", "overlay_jpeg"]

LARGEST = 1600
"""Pixels of the longer side of an overlay, at most: larger images are made smaller first."""
_LEVEL, _OPACITY = 0.5, 0.5
_HEAT = ((126, 3, 168), (170, 35, 149), (204, 71, 120), (229, 107, 93), (248, 148, 65), (253, 195, 40), (240, 249, 33))


def overlay_jpeg(image: NDArray[np.uint8], answer: dict[str, Any], colours: Sequence[str]) -> bytes:
    """Return the overlay of an answer as a JPEG, no larger than :data:`LARGEST`.

    Parameters
    ----------
    image
        (H, W, 3) uint8.
    answer
        what the runtime says of it: ``map`` and ``ids``.
    colours
        ``#rrggbb`` of each class, background first.
    """
    height, width = image.shape[:2]
    shrink = min(1.0, LARGEST / max(height, width))
    ids = answer["ids"]
    if shrink < 1.0:
        size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
        image = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))
        ids = None if ids is None else np.asarray(Image.fromarray(ids).resize(size, Image.Resampling.NEAREST))
    buffer = io.BytesIO()
    Image.fromarray(overlay(image, answer["map"], ids, colours)).save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def overlay(
    image: NDArray[np.uint8], heat: NDArray[np.float32], ids: NDArray[np.uint8] | None, colours: Sequence[str]
) -> NDArray[np.uint8]:
    """Return an image, (H, W, 3) uint8, under its heat map and its types."""
    height, width = image.shape[:2]
    heights = np.asarray(Image.fromarray(heat).resize((width, height), Image.Resampling.BILINEAR))
    paint, weights = _heat_colours(heights)
    shares = (_OPACITY * weights)[..., None]
    picture = np.rint(image * (1.0 - shares) + paint * shares).astype(np.uint8)
    line = max(1, round(max(height, width) / 400))
    picture[_inner_edge((heights >= _LEVEL).astype(np.uint8), line)] = 255
    if ids is not None and ids.any():
        painted = np.array([_rgb(colour) for colour in colours], np.uint8)[ids]
        inside = ids > 0
        picture[inside] = np.rint(picture[inside] * (1.0 - _OPACITY) + painted[inside] * _OPACITY).astype(np.uint8)
        edge = _inner_edge(ids, line)
        picture[edge] = painted[edge]
    return picture


def _heat_colours(heights: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    start, full = 0.8 * _LEVEL, _LEVEL + 0.5 * (1.0 - _LEVEL)
    values = np.clip(heights.astype(np.float64), 0.0, 1.0)
    where = np.clip((values - start) / (1.0 - start), 0.0, 1.0) * (len(_HEAT) - 1)
    steps = np.array(_HEAT, np.float64)
    paint = np.stack([np.interp(where, np.arange(len(steps)), steps[:, channel]) for channel in range(3)], axis=-1)
    rise = np.clip((values - start) / (full - start), 0.0, 1.0)
    return paint, rise * rise * (3.0 - 2.0 * rise)


def _inner_edge(ids: NDArray[np.uint8], width: int) -> NDArray[np.bool_]:
    return np.asarray((_extreme(ids, width, np.maximum) != _extreme(ids, width, np.minimum)) & (ids > 0), np.bool_)


def _extreme(ids: NDArray[np.uint8], width: int, take: np.ufunc) -> NDArray[np.uint8]:
    """Return the largest or smallest value of each square neighbourhood; nothing lies beyond the border."""
    result = ids
    for axis in (0, 1):
        pad = [(width, width) if a == axis else (0, 0) for a in (0, 1)]
        padded, length, out = np.pad(result, pad, mode="edge"), ids.shape[axis], result
        for shift in range(2 * width + 1):
            out = take(out, padded[shift : shift + length] if axis == 0 else padded[:, shift : shift + length])
        result = out
    return result


def _rgb(colour: str) -> tuple[int, int, int]:
    value = int(colour.removeprefix("#"), 16)
    return value >> 16, value >> 8 & 255, value & 255
