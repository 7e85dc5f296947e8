"""Label Studio's shapes, in percent of the image, to and from polygons in fractions of it."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision_toolkit.core.entry import Point, Region
from vision_toolkit.core.errors import Invalid, NotFound, Unsupported
from vision_toolkit.data.formats.brush import decode_brush
from vision_toolkit.data.images import probe
from vision_toolkit.data.shapes import is_box
from vision_toolkit.data.storage import is_inline, is_local

__all__ = ["is_number", "percent_of", "polygon_of", "shape_of", "stroke_of"]

Json = dict[str, Any]

_ELLIPSE = 64  # corners of the polygon that stands for an ellipse


def is_number(value: Any) -> bool:
    """Return whether a JSON value is a finite number; true and false are none.

    Examples
    --------
    >>> is_number(1.5), is_number(True), is_number(float("nan"))
    (True, False, False)
    """
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _percent(value: Any, what: str) -> float:
    """Return a place as a fraction; one percent beyond the border is a hand that slipped."""
    if not is_number(value) or not -1 <= value <= 101:
        raise Invalid(f"{what} must be percent of the image, from 0 to 100; it is {json.dumps(value)[:40]}.")
    return float(value) / 100


def _size(item: Json, value: Json) -> tuple[int, int] | None:
    sides: list[Any] = [item.get(key, value.get(key)) for key in ("original_width", "original_height")]
    if sides == [None, None]:
        return None
    if not all(is_number(side) and side >= 1 and side == int(side) for side in sides):
        raise Invalid(f"original_width and original_height must be whole numbers of pixels; they are {sides!r:.60}.")
    return int(sides[0]), int(sides[1])


def _check_turned(item: Json) -> None:
    if item.get("image_rotation"):
        raise Unsupported(
            f"It was annotated on an image turned by {item['image_rotation']!r:.20} degrees: its places are not those "
            "of the file. Turn the file itself, and annotate it again."
        )


def stroke_of(item: Json, value: Json) -> NDArray[np.uint8]:
    """Return a brush result's opacity, (H, W) uint8; ``value`` is the result's value.

    Raises
    ------
    Invalid
        if its size or its run lengths are missing or wrong.
    Unsupported
        if the image was turned while it was painted.

    Examples
    --------
    >>> from vision_toolkit.data.formats.brush import encode_brush
    >>> value = {"rle": encode_brush(np.eye(2))}
    >>> stroke_of({"original_width": 2, "original_height": 2}, value).tolist()
    [[255, 0], [0, 255]]
    """
    _check_turned(item)
    size = _size(item, value)
    if size is None:
        raise Invalid("A brush result has no original_width and original_height.")
    if not isinstance(value["rle"], list):
        raise Invalid(f"'rle' must be a list of numbers from 0 to 255; it is {json.dumps(value['rle'])[:40]}.")
    return decode_brush(value["rle"], size)


def polygon_of(item: Json, value: Json, image: str) -> tuple[Point, ...]:
    """Return the corners of a rectangle, a polygon or an ellipse; what lies outside of the image is cut off.

    Parameters
    ----------
    item, value
        the result, and its value.
    image
        where the image lies, for the size of one whose result does not say it.

    Raises
    ------
    Invalid
        if a place is not percent, or a turned shape's image has no known size.
    Unsupported
        if the image was turned while it was annotated.

    Examples
    --------
    >>> polygon_of({}, {"x": 25, "y": 50, "width": 50, "height": 25}, "1.png")
    ((0.25, 0.5), (0.75, 0.5), (0.75, 0.75), (0.25, 0.75))
    """
    _check_turned(item)
    if "points" in value:
        points = value["points"]
        if not isinstance(points, list) or not all(isinstance(p, list) and len(p) == 2 for p in points):
            raise Invalid(f"'points' must be pairs of percent; they are {json.dumps(points)[:60]}.")
        if len(points) < 3:
            raise Invalid(f"A polygon has at least three points; this has {len(points)}.")
        corners = [(_percent(x, "A point's x"), _percent(y, "A point's y")) for x, y in points]
        return tuple((min(max(x, 0.0), 1.0), min(max(y, 0.0), 1.0)) for x, y in corners)
    x, y = _percent(value.get("x"), "x"), _percent(value.get("y"), "y")
    turn = value.get("rotation") or 0
    if not is_number(turn):
        raise Invalid(f"rotation must be degrees; it is {json.dumps(turn)[:40]}.")
    if "radiusX" in value or "radiusY" in value:
        wide, high = _percent(value.get("radiusX"), "radiusX"), _percent(value.get("radiusY"), "radiusY")
        angles = [2 * math.pi * step / _ELLIPSE for step in range(_ELLIPSE)]
        offsets = [(wide * math.cos(angle), high * math.sin(angle)) for angle in angles]
    else:
        wide, high = _percent(value.get("width"), "width"), _percent(value.get("height"), "height")
        offsets = [(0.0, 0.0), (wide, 0.0), (wide, high), (0.0, high)]
        if not turn and (x + wide > 1.01 or y + high > 1.01):
            raise Invalid("A rectangle ends outside of the image: x + width and y + height are at most 100.")
    if wide < 0 or high < 0:
        raise Invalid("The sides of a shape are at least 0.")
    if turn % 360:
        offsets = _turned(offsets, float(turn), _size(item, value) or _size_of_image(image))
    return _cut_off([(x + dx, y + dy) for dx, dy in offsets])


def _cut_off(polygon: list[Point]) -> tuple[Point, ...]:
    """Cut off what lies outside of the image, one border after the other (Sutherland and Hodgman's way)."""
    for axis, border, sign in ((0, 0.0, 1), (0, 1.0, -1), (1, 0.0, 1), (1, 1.0, -1)):
        kept: list[Point] = []
        for start, end in zip(polygon, polygon[1:] + polygon[:1], strict=True):
            before, after = sign * (start[axis] - border), sign * (end[axis] - border)
            if before >= 0:
                kept.append(start)
            if before * after < 0:
                share = before / (before - after)
                other = start[1 - axis] + share * (end[1 - axis] - start[1 - axis])
                kept.append((border, other) if axis == 0 else (other, border))
        polygon = kept
    if len(polygon) < 3:
        raise Invalid("A shape lies outside of the image.")
    return tuple(polygon)


def _turned(offsets: list[Point], degrees: float, size: tuple[int, int]) -> list[Point]:
    """Turn clockwise about the shape's own place (a rectangle's corner, an ellipse's centre), in pixels."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    aspect = size[0] / size[1]
    return [(dx * cos - dy * sin / aspect, dx * sin * aspect + dy * cos) for dx, dy in offsets]


def _size_of_image(image: str) -> tuple[int, int]:
    if is_local(image) or is_inline(image):
        try:
            facts = probe(image)
        except (Invalid, NotFound):
            pass
        else:
            return facts.width, facts.height
    raise Invalid("A turned shape needs original_width and original_height, or the image itself: images='folder/'.")


def percent_of(fraction: float) -> float:
    """Return percent: the short number, where it comes back as the same fraction.

    Examples
    --------
    >>> percent_of(0.07), 0.07 * 100
    (7.0, 7.000000000000001)
    """
    exact = fraction * 100
    tries = (round(exact, 10), exact, math.nextafter(exact, 0), math.nextafter(exact, 101))
    return next((percent for percent in tries if percent / 100 == fraction), exact)


def shape_of(region: Region) -> tuple[str, Json]:
    """Return ``rectangle`` or ``polygon``, and the value of the result without its labels.

    Examples
    --------
    >>> shape_of(Region.box("pore", left=0.25, top=0.5, width=0.5, height=0.25))
    ('rectangle', {'x': 25.0, 'y': 50.0, 'width': 50.0, 'height': 25.0, 'rotation': 0})
    """
    if not is_box(region):
        return "polygon", {"points": [[percent_of(x), percent_of(y)] for x, y in region.polygon], "closed": True}
    left, top, right, bottom = region.bounds
    sides = {"width": percent_of(right - left), "height": percent_of(bottom - top), "rotation": 0}
    return "rectangle", {"x": percent_of(left), "y": percent_of(top)} | sides
