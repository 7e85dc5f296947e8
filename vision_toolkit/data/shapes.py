"""Turn regions into masks, masks into regions, and masks into COCO's run lengths.

All three are exact: a pixel is a square, it belongs to a polygon when its centre lies inside, and nothing is
smoothed. So ``paint_regions(outline_regions(mask), mask.size)`` gives the same pixels again, holes included.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision_toolkit.core.entry import Point, Region
from vision_toolkit.core.errors import Invalid
from vision_toolkit.core.limits import MAX_PIXELS
from vision_toolkit.core.mask import BACKGROUND, Mask

__all__ = [
    "OVERHANG",
    "decode_run_string",
    "decode_runs",
    "encode_run_string",
    "encode_runs",
    "inside_image",
    "is_box",
    "outline_regions",
    "paint_regions",
]

OVERHANG = 0.02
"""How far a corner may lie outside the image, as a fraction of its side, and be taken for rounding."""

Ints = NDArray[np.int64]

_RIGHT, _DOWN, _LEFT, _UP = range(4)


def is_box(region: Region) -> bool:
    """Return whether a region is an upright rectangle: four corners, neighbours on one horizontal or vertical.

    Examples
    --------
    >>> is_box(Region.box("pore", left=0.25, top=0.5, width=0.5, height=0.25))
    True
    >>> is_box(Region("pore", ((0, 0), (1, 0), (1, 1), (0, 0.9))))
    False
    """
    if len(region.polygon) != 4:
        return False
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = region.polygon
    return (y0 == y1 and x1 == x2 and y2 == y3 and x3 == x0) or (x0 == x1 and y1 == y2 and x2 == x3 and y3 == y0)


def inside_image(region: Region) -> Region:
    """Return a region with every corner in the image, as a region must be.

    Labelling tools let a corner slip over the border by a pixel or two: up to :data:`OVERHANG` it is put on the
    border. What lies farther outside was measured on another image, or in other units.

    Raises
    ------
    Invalid
        if a corner is no finite number or lies farther outside; the message names no file, for the caller to add it.

    Examples
    --------
    >>> inside_image(Region.box("pore", left=0.5, top=0.0, width=0.51, height=1.0)).bounds
    (0.5, 0.0, 1.0, 1.0)
    """
    if all(0 <= x <= 1 and 0 <= y <= 1 for x, y in region.polygon):
        return region
    numbers = [number for point in region.polygon for number in point]
    if not all(map(math.isfinite, numbers)):
        raise Invalid(f"a corner of {region.name!r} is not a finite number")
    if min(numbers) < -OVERHANG or max(numbers) > 1 + OVERHANG:
        left, top, right, bottom = region.bounds
        raise Invalid(
            f"{region.name!r} reaches out of the image: as fractions of it from ({left:.3g}, {top:.3g}) "
            f"to ({right:.3g}, {bottom:.3g})"
        )
    cut = tuple((min(max(x, 0.0), 1.0), min(max(y, 0.0), 1.0)) for x, y in region.polygon)
    return replace(region, polygon=cut)


# ---------------------------------------------------------------- regions to mask


def paint_regions(regions: Iterable[Region], size: tuple[int, int], *, names: Sequence[str] | None = None) -> Mask:
    """Paint regions into a mask, later ones over earlier ones.

    A pixel belongs to a polygon when its centre is inside by the even-odd rule; a centre exactly on a left or top
    side is inside, on a right or bottom side outside, so that polygons that share a side share no pixel. What lies
    outside the image is cut off. A region called ``"background"`` erases.

    Parameters
    ----------
    regions
        polygons in fractions of the image.
    size
        ``(width, height)`` of the mask in pixels.
    names
        the types in the order of their ids from 1; by default in the order of the regions.

    Raises
    ------
    Invalid
        if a region's name is not among ``names``, a corner is no finite number, there are more than 255 types, or
        the size is not from 1 to :data:`~vision_toolkit.core.limits.MAX_PIXELS` pixels.

    Examples
    --------
    >>> box = Region.box("pore", left=0.25, top=0, width=0.5, height=0.5)
    >>> paint_regions([box], (4, 2)).ids.tolist()
    [[0, 1, 1, 0], [0, 0, 0, 0]]
    """
    width, height = size
    if width < 1 or height < 1 or width * height > MAX_PIXELS:
        raise Invalid(f"A mask has from 1 to {MAX_PIXELS:,} pixels; {width}x{height} was given.")
    given = list(regions)
    order = dict.fromkeys(region.name for region in given) if names is None else dict.fromkeys(names)
    order.pop(BACKGROUND, None)
    ids = {BACKGROUND: 0} | {name: index for index, name in enumerate(order, 1)}
    if len(ids) > 256:
        raise Invalid(f"A mask has at most 255 types; {len(ids) - 1} were given.")
    painted = np.zeros((height, width), np.uint8)
    for region in given:
        if region.name not in ids:
            raise Invalid(f"names are {', '.join(order) or 'empty'}; a region is called {region.name!r}.")
        _paint(painted, region, ids[region.name])
    return Mask(painted, tuple(ids))


def _paint(ids: NDArray[np.uint8], region: Region, value: int) -> None:
    height, width = ids.shape
    corners = np.asarray(region.polygon, np.float64)
    if not np.isfinite(corners).all():
        raise Invalid(f"A corner is two finite numbers; the region {region.name!r} has {region.polygon!r:.80}.")
    corners = corners * (width, height)
    ends = np.roll(corners, -1, axis=0)
    # From top to bottom, so that a side is cut at the same places whichever way it is walked.
    flipped = corners[:, 1] > ends[:, 1]
    upper, lower = np.where(flipped[:, None], ends, corners), np.where(flipped[:, None], corners, ends)
    first = np.clip(np.ceil(upper[:, 1] - 0.5), 0, height).astype(np.int64)
    count = np.clip(np.ceil(lower[:, 1] - 0.5), 0, height).astype(np.int64) - first
    if not count.any():
        return
    side = np.repeat(np.arange(len(count)), count)
    row = np.arange(len(side)) - np.repeat(np.cumsum(count) - count, count) + first[side]
    slope = (row + 0.5 - upper[side, 1]) / (lower[side, 1] - upper[side, 1])
    x = upper[side, 0] + slope * (lower[side, 0] - upper[side, 0])
    column = np.clip(np.ceil(x - 0.5), 0, width).astype(np.int64)
    top, bottom, left, right = row.min(), row.max() + 1, column.min(), column.max()
    inside = np.zeros((bottom - top, right - left + 1), np.bool_)
    np.logical_xor.at(inside, (row - top, column - left), True)
    inside = np.logical_xor.accumulate(inside, axis=1)[:, :-1]
    ids[top:bottom, left:right][inside] = value


# ---------------------------------------------------------------- mask to regions


def outline_regions(mask: Mask) -> tuple[Region, ...]:
    """Return one polygon for each type and connected patch of a mask, along the edges of its pixels.

    Pixels that touch at a side or a corner are one patch. A patch with holes is still one polygon: it walks to each
    hole, around it, and the same way back. By the even-odd rule that way cancels out, so :func:`paint_regions` leaves
    the hole open.

    Returns
    -------
    tuple of Region
        in the order of the types, then from top to bottom; corners are multiples of one pixel, in fractions of the
        image. Patches of background are none.

    Examples
    --------
    >>> mask = Mask(np.array([[0, 1, 1], [0, 0, 1]], np.uint8), ("background", "scratch"))
    >>> [(round(x * 3), round(y * 2)) for x, y in outline_regions(mask)[0].polygon]
    [(1, 0), (3, 0), (3, 2), (2, 2), (2, 1), (1, 1)]
    """
    from scipy import ndimage

    width, height = mask.size
    regions: list[Region] = []
    for value, box in enumerate(ndimage.find_objects(mask.ids), 1):
        if box is None:
            continue
        patches, _ = ndimage.label(mask.ids[box] == value, np.ones((3, 3), np.uint8))
        for corners in _polygons(patches):
            shifted = corners + np.array([box[1].start, box[0].start])
            points: tuple[Point, ...] = tuple((x / width, y / height) for x, y in shifted.tolist())
            regions.append(Region(mask.names[value], points))
    return tuple(regions)


def _polygons(patches: NDArray[np.int32]) -> Iterator[Ints]:
    """Yield each patch's corners ``(x, y)`` in pixels, in the order of the patches' numbers."""
    outer: dict[int, Ints] = {}
    holes: dict[int, list[Ints]] = {}
    for patch, loop in _loops(patches):
        x, y = loop[:, 0], loop[:, 1]
        # Twice the area: above 0 where the patch lies inside its border, below where it lies around a hole.
        if int(np.dot(x[:-1], y[1:]) - np.dot(y[:-1], x[1:]) + x[-1] * y[0] - y[-1] * x[0]) > 0:
            outer[patch] = loop
        else:
            holes.setdefault(patch, []).append(loop)
    for patch in sorted(outer):
        yield _with_holes(outer[patch], holes[patch]) if patch in holes else outer[patch]


def _loops(patches: NDArray[np.int32]) -> Iterator[tuple[int, Ints]]:
    """Yield the number of a patch and the corners of one of its borders, walked with the patch on the right."""
    start, end, patch = _sides(patches)
    order = np.argsort(start)
    sorted_start = start[order]
    direction = end % 4

    def leaving(turn: int) -> tuple[Ints, NDArray[np.bool_]]:
        """Return the side that leaves each side's end after a turn, and whether there is one of the same patch."""
        key = end - direction + (direction + turn) % 4
        found = order[np.minimum(np.searchsorted(sorted_start, key), len(order) - 1)]
        return found, (start[found] == key) & (patch[found] == patch)

    # Where two pixels of a patch touch at a corner only, the left turn goes on to the other: one patch, one border.
    left, has_left = leaving(-1)
    right, _ = leaving(1)
    following = np.where(has_left, left, right).tolist()
    stride = patches.shape[1] + 1
    corner = start // 4
    seen = bytearray(len(following))
    for first in range(len(following)):
        if seen[first]:
            continue
        walked, at = [], first
        while not seen[at]:
            seen[at] = 1
            walked.append(at)
            at = following[at]
        places = corner[walked]
        yield int(patch[first]), np.stack([places % stride, places // stride], axis=1)


def _sides(patches: NDArray[np.int32]) -> tuple[Ints, Ints, Ints]:
    """Return the straight sides of all borders: start and end as 4 * corner + direction, and their patch."""
    stride = patches.shape[1] + 1
    starts, ends, owners = [], [], []
    for direction in (_RIGHT, _DOWN, _LEFT, _UP):
        # Upright sides are found as level ones of the transposed picture.
        upright = direction in (_DOWN, _UP)
        picture = patches.T if upright else patches
        beyond = np.zeros_like(picture)
        if direction in (_RIGHT, _UP):  # the patch lies below (or to the right of) the side
            beyond[1:] = picture[:-1]
        else:
            beyond[:-1] = picture[1:]
        border = np.where(picture != beyond, picture, 0)
        changes = np.zeros((border.shape[0], border.shape[1] + 1), np.bool_)
        changes[:, 1:-1] = border[:, 1:] != border[:, :-1]
        changes[:, 0], changes[:, -1] = border[:, 0] != 0, border[:, -1] != 0
        row, place = np.nonzero(changes)
        # Between two changes of one row lies a run, of a patch or of nothing.
        run = np.flatnonzero(row[:-1] == row[1:]) if len(row) else np.zeros(0, np.int64)
        owner = border[row[run], place[run]]
        run, owner = run[owner > 0], owner[owner > 0]
        line = row[run] + (direction in (_DOWN, _LEFT))
        low, high = place[run], place[run + 1]
        if upright:
            low, high = low * stride + line, high * stride + line
        else:
            low, high = line * stride + low, line * stride + high
        forward = direction in (_RIGHT, _DOWN)
        starts.append((low if forward else high) * 4 + direction)
        ends.append((high if forward else low) * 4 + direction)
        owners.append(owner)
    return np.concatenate(starts), np.concatenate(ends), np.concatenate(owners).astype(np.int64)


def _with_holes(outer: Ints, holes: list[Ints]) -> Ints:
    """Join holes to the border around them by a way there and back, each at the nearest corner."""
    from scipy.spatial import KDTree

    distance, nearest = KDTree(outer).query(np.concatenate(holes))
    trips: dict[int, list[Ints]] = {}
    start = 0
    for hole in holes:
        begin = int(np.argmin(distance[start : start + len(hole)]))
        corner = int(nearest[start + begin])
        start += len(hole)
        around = np.concatenate([hole[begin:], hole[: begin + 1]])
        trips.setdefault(corner, []).append(np.concatenate([outer[corner : corner + 1], around]))
    parts: list[Ints] = []
    done = 0
    for corner in sorted(trips):
        parts += [outer[done:corner], *trips[corner]]
        done = corner
    return np.concatenate([*parts, outer[done:]])


# ---------------------------------------------------------------- COCO's run lengths


def encode_runs(mask: NDArray[Any]) -> list[int]:
    """Return how many pixels follow each other off, on, off, ... down the columns, from left to right (COCO's RLE).

    Parameters
    ----------
    mask
        (H, W) of booleans or integers; not 0 is on.

    Returns
    -------
    list of int
        the first is the number of pixels that are off before the first that is on, so it may be 0; the sum is H x W.

    Examples
    --------
    >>> encode_runs(np.array([[0, 1], [0, 1]]))
    [2, 2]
    >>> encode_runs(np.array([[1, 0], [1, 0]]))
    [0, 2, 2]
    """
    if mask.ndim != 2:
        raise Invalid(f"mask must be (H, W); {mask.shape} was given.")
    flat = np.asarray(mask != 0).ravel(order="F")
    if not flat.size:
        return []
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    ends = np.concatenate([[0] if flat[0] else [], changes, [flat.size]]).astype(np.int64)
    return [int(n) for n in np.diff(ends, prepend=0)]


def decode_runs(counts: Sequence[int], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the pixels that COCO's run lengths switch on, as (H, W) booleans.

    Parameters
    ----------
    counts
        as :func:`encode_runs` gives them.
    size
        ``(width, height)`` in pixels; COCO's own ``size`` is the other way round.

    Raises
    ------
    Invalid
        if a count is no integer or below 0, or their sum is not the number of pixels.

    Examples
    --------
    >>> decode_runs([2, 2], (2, 2)).tolist()
    [[False, True], [False, True]]
    """
    width, height = size
    if width < 0 or height < 0 or width * height > MAX_PIXELS:
        raise Invalid(f"A mask has at most {MAX_PIXELS:,} pixels; {width}x{height} was given.")
    if not all(isinstance(n, int | np.integer) and not isinstance(n, bool) and n >= 0 for n in counts):
        raise Invalid(f"Run lengths are whole numbers from 0; {list(counts)!r:.60} was given.")
    total = sum(int(n) for n in counts)
    if total != width * height:
        raise Invalid(f"Run lengths of {width}x{height} pixels add up to {width * height:,}; these to {total:,}.")
    on = np.arange(len(counts)) % 2 == 1
    return np.repeat(on, np.asarray(counts, np.int64)).reshape((height, width), order="F")


def encode_run_string(counts: Sequence[int]) -> str:
    """Return run lengths as COCO's compressed string.

    From the fourth on each number stands for its difference to the last but one. A number is written five bits a
    character, low ones first; the sixth bit says that more follow, the fifth of the last one is the sign, and 48 is
    added to make each a readable character. The reference is pycocotools.

    Examples
    --------
    >>> encode_run_string([2, 2]), encode_run_string([100, 3, 40, 1])
    ('22', 'T33X1N')
    """
    letters: list[str] = []
    for index, count in enumerate(counts):
        rest = int(count) - (int(counts[index - 2]) if index > 2 else 0)
        more = True
        while more:
            bits = rest & 31
            rest >>= 5
            more = rest != (-1 if bits & 16 else 0)
            letters.append(chr(48 + bits + 32 * more))
    return "".join(letters)


def decode_run_string(text: str) -> list[int]:
    """Return the run lengths of COCO's compressed string.

    Raises
    ------
    Invalid
        if it has a strange character or ends in the middle of a number.

    Examples
    --------
    >>> decode_run_string("22"), decode_run_string(encode_run_string([100, 3, 40, 1]))
    ([2, 2], [100, 3, 40, 1])
    """
    counts: list[int] = []
    value = shift = 0
    for letter in text:
        bits = ord(letter) - 48
        # No count needs more than 13 characters: 65 bits.
        if not 0 <= bits < 64 or shift > 60:
            raise Invalid(f"A compressed run length string has characters from '0' to 'o'; {text!r:.60} was given.")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            value -= (bits & 16) << (shift - 4)
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    if shift:
        raise Invalid(f"The compressed run length string ends in the middle of a number: {text[-30:]!r}.")
    return counts
