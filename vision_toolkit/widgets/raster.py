"""Paint on a mask: discs drawn along a line, polygons, fills. Pixel for pixel what raster.js does in the page.

A mask is (H, W) uint8 of class ids and is changed in place. Points are ``(x, y)`` in pixels, (0, 0) the upper left
corner of the upper left pixel, so that the centre of that pixel is (0.5, 0.5); a pixel is painted where its centre is
covered. Each function returns the box of pixels that it may have changed, ``(left, top, width, height)``, or None.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["Box", "fill", "grow", "polygon", "stroke", "union"]

Box = tuple[int, int, int, int]
Point = tuple[float, float]
Ids = NDArray[np.uint8]


def stroke(ids: Ids, points: Sequence[Point], size: float, value: int) -> Box | None:
    """Draw a disc of a diameter of ``size`` pixels along the line through the points.

    A disc of one pixel runs from centre to centre of pixels, so that a line has no gaps.

    Examples
    --------
    >>> ids = np.zeros((3, 5), np.uint8)
    >>> stroke(ids, [(0.2, 1.7), (4.9, 1.1)], 1, 2)
    (0, 1, 5, 1)
    >>> ids[1].tolist()
    [2, 2, 2, 2, 2]
    """
    placed = [_centred(point) for point in points] if size <= 1 else list(points)
    radius = max(size, 1.0) / 2.0
    box: Box | None = None
    for start, end in zip(placed[:1] + placed[:-1], placed, strict=True):
        box = union(box, _capsule(ids, start, end, radius, value))
    return box


def _centred(point: Point) -> Point:
    return math.floor(point[0]) + 0.5, math.floor(point[1]) + 0.5


def _capsule(ids: Ids, start: Point, end: Point, radius: float, value: int) -> Box | None:
    height, width = ids.shape
    left = max(0, math.floor(min(start[0], end[0]) - radius))
    right = min(width - 1, math.ceil(max(start[0], end[0]) + radius))
    top = max(0, math.floor(min(start[1], end[1]) - radius))
    bottom = min(height - 1, math.ceil(max(start[1], end[1]) + radius))
    if right < left or bottom < top:
        return None
    xs = np.arange(left, right + 1, dtype=np.float64)[None, :] + 0.5
    ys = np.arange(top, bottom + 1, dtype=np.float64)[:, None] + 0.5
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = dx * dx + dy * dy
    along = np.zeros(1) if length == 0 else ((xs - start[0]) * dx + (ys - start[1]) * dy) / length
    along = np.clip(along, 0.0, 1.0)
    ex, ey = xs - (start[0] + along * dx), ys - (start[1] + along * dy)
    covered = ex * ex + ey * ey <= radius * radius
    rows, columns = np.flatnonzero(covered.any(axis=1)), np.flatnonzero(covered.any(axis=0))
    if not rows.size:
        return None
    ids[top : bottom + 1, left : right + 1][covered] = value
    x, y = left + int(columns[0]), top + int(rows[0])
    return x, y, left + int(columns[-1]) - x + 1, top + int(rows[-1]) - y + 1


def polygon(ids: Ids, points: Sequence[Point], value: int) -> Box | None:
    """Fill a polygon; where it crosses itself, what is inside an odd number of times.

    Examples
    --------
    >>> ids = np.zeros((4, 4), np.uint8)
    >>> polygon(ids, [(1, 1), (3, 1), (3, 3), (1, 3)], 1)
    (1, 1, 2, 2)
    >>> int(ids.sum())
    4
    """
    if len(points) < 3:
        return None
    height, width = ids.shape
    top = max(0, math.floor(min(y for _, y in points)))
    bottom = min(height - 1, math.ceil(max(y for _, y in points)))
    box: Box | None = None
    for row in range(top, bottom + 1):
        centre = row + 0.5
        crossings = sorted(
            ax + (centre - ay) * (bx - ax) / (by - ay)
            for (ax, ay), (bx, by) in zip(points, [*points[1:], points[0]], strict=True)
            if (ay <= centre) != (by <= centre)
        )
        for enter, leave in zip(crossings[::2], crossings[1::2], strict=True):
            first, last = max(0, math.ceil(enter - 0.5)), min(width - 1, math.ceil(leave - 0.5) - 1)
            if last >= first:
                ids[row, first : last + 1] = value
                box = union(box, (first, row, last - first + 1, 1))
    return box


def fill(ids: Ids, point: Point, value: int) -> Box | None:
    """Fill the patch of one class around a point; its pixels touch side by side.

    Examples
    --------
    >>> ids = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], np.uint8)
    >>> fill(ids, (1.5, 1.5), 1), int(ids.sum())
    ((1, 1, 1, 1), 9)
    """
    x, y = math.floor(point[0]), math.floor(point[1])
    if not (0 <= y < ids.shape[0] and 0 <= x < ids.shape[1]) or ids[y, x] == value:
        return None
    return _flood(ids, ids == ids[y, x], (x, y), value)


def grow(ids: Ids, image: NDArray[np.uint8], point: Point, tolerance: int, value: int) -> Box | None:
    """Paint the patch around a point where the image's colour is close to that under the point.

    Parameters
    ----------
    ids
        the mask, (H, W).
    image
        (H, W, 3) uint8, of the same size.
    point
        where to begin.
    tolerance
        the largest difference of any channel, 0 to 255.
    value
        the class.
    """
    x, y = math.floor(point[0]), math.floor(point[1])
    if not (0 <= y < ids.shape[0] and 0 <= x < ids.shape[1]):
        return None
    apart = np.abs(image.astype(np.int16) - image[y, x].astype(np.int16)).max(axis=2)
    return _flood(ids, apart <= tolerance, (x, y), value)


def _flood(ids: Ids, open_: NDArray[np.bool_], seed: tuple[int, int], value: int) -> Box:
    from scipy import ndimage

    patches, _ = ndimage.label(open_)
    patch = patches == patches[seed[1], seed[0]]
    ids[patch] = value
    rows, columns = np.flatnonzero(patch.any(axis=1)), np.flatnonzero(patch.any(axis=0))
    left, top = int(columns[0]), int(rows[0])
    return left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1


def union(one: Box | None, other: Box | None) -> Box | None:
    """Return the smallest box around two.

    Examples
    --------
    >>> union((0, 0, 2, 2), (3, 1, 1, 4))
    (0, 0, 4, 5)
    """
    if one is None or other is None:
        return one or other
    left, top = min(one[0], other[0]), min(one[1], other[1])
    right, bottom = max(one[0] + one[2], other[0] + other[2]), max(one[1] + one[3], other[1] + other[3])
    return left, top, right - left, bottom - top
