"""Draw what sits on a circuit board: solder, chips, resistors and their kin."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike

from vision_toolkit.data.synthetic.painting import (
    Points,
    Pose,
    Surface,
    box,
    cloud,
    colour,
    disc,
    dome,
    filled,
    lettering,
    stroked,
)

__all__ = ["SIZES", "SOLDER", "Seat", "block", "chip", "footprint", "part", "solder"]

SOLDER = colour("c4c6c8")
"""Colour of solder in even light."""

SIZES = {
    "resistor": (25.0, 13.0), "capacitor": (24.0, 14.0), "chip_resistor": (15.0, 8.5),
    "chip_capacitor": (15.0, 8.5), "led": (22.0, 13.0),
    "diode": (27.0, 14.0), "transistor": (24.0, 13.0), "coil": (44.0, 42.0), "can": (66.0, 66.0),
    "crystal": (84.0, 32.0),
}  # fmt: skip
"""Width and height of each kind of part, in pixels of the photograph."""

_TIN = colour("d2d4d6")
_MARK = colour("b9bcb8")
_EPOXY = colour("26282b")


@dataclass(frozen=True, slots=True)
class Seat:
    """Place a part's own coordinates on the work canvas: turned by ``angle`` and moved to ``(x, y)`` of the board."""

    pose: Pose
    x: float
    y: float
    angle: float

    def __call__(self, points: ArrayLike) -> Points:
        """Return (N, 2) work pixels for (N, 2) coordinates about the middle of the part."""
        cosine, sine = np.cos(self.angle), np.sin(self.angle)
        turned = np.asarray(points, np.float64) @ np.array([[cosine, sine], [-sine, cosine]])
        return self.pose(turned + np.array([self.x, self.y]))

    def lines(self, strokes: Sequence[Points]) -> list[Points]:
        """Return several lines at once."""
        return [self(stroke) for stroke in strokes]


def solder(surface: Surface, outline: Points, *, rise: float, shoulder: float, tone: ArrayLike = SOLDER) -> None:
    """Lay a metal dome of solder inside an outline of work pixels."""
    window, cover = filled(surface.shape, outline, feather=0.5)
    if cover.size:
        surface.lay(window, cover, tone, metal=1.0, gloss=0.5, lift=rise * dome(cover, shoulder))


def block(
    surface: Surface, outline: Points, tone: ArrayLike, *, height: float, bevel: float, gloss: float = 0.06,
    metal: float = 0.0,
) -> None:  # fmt: skip
    """Set a body with a flat top and worn edges on the board."""
    window, cover = filled(surface.shape, outline, feather=0.4)
    if cover.size:
        level = height * (0.55 + 0.45 * dome(cover, bevel))
        surface.lay(window, cover, tone, level=level, gloss=gloss, metal=metal)


def _mark(surface: Surface, strokes: Sequence[Points], width: float, *, strength: float = 0.8) -> None:
    window, cover = stroked(surface.shape, strokes, width, feather=0.5)
    surface.lay(window, cover * np.float32(strength), _MARK)


def footprint(kind: str) -> list[tuple[float, float, float, float]]:
    """Return x, y, width, height of each pad of a kind of part, about its middle."""
    width, height = SIZES[kind]
    if kind == "transistor":
        return [(-8, 9, 7, 8), (8, 9, 7, 8), (0, -9, 7, 8)]
    if kind == "crystal":
        return [(-22, 0, 10, 10), (22, 0, 10, 10)]
    if kind == "can":
        return [(-31, 0, 18, 14), (31, 0, 18, 14)]
    reach = width / 2 - (1.0 if width < 20 else 1.5)
    return [(side * reach, 0.0, 5.5 if width < 20 else 8.0, height + 2) for side in (-1, 1)]


def _resistor(surface: Surface, seat: Seat, rng: Generator, size: tuple[float, float]) -> None:
    width, height = size
    block(surface, seat(box(0, 0, width, height, corner=1)), _TIN, height=7, bevel=3, metal=1.0, gloss=0.3)
    tone = np.asarray(colour("23262c")) * rng.normal(1, 0.1)
    block(surface, seat(box(0, 0, width * 0.68, height)), tone, height=9, bevel=2, gloss=0.12)
    digits = "".join(str(digit) for digit in rng.integers(1, 10, 3))
    if width > 20:
        _mark(surface, seat.lines(lettering(digits, 0, 0, 6.2)), 1.7, strength=rng.uniform(0.55, 0.9))


def _capacitor(surface: Surface, seat: Seat, rng: Generator, size: tuple[float, float]) -> None:
    width, height = size
    block(surface, seat(box(0, 0, width, height, corner=1.5)), _TIN, height=14, bevel=4, metal=1.0, gloss=0.3)
    tone = np.asarray(colour("a3845f")) * rng.normal(1, 0.09) * rng.normal(1, 0.04, 3)
    block(surface, seat(box(0, 0, width * 0.6, height)), tone, height=15, bevel=4, gloss=0.12)


def _led(surface: Surface, seat: Seat, rng: Generator, size: tuple[float, float]) -> None:
    width, height = size
    block(surface, seat(box(0, 0, width, height)), colour("d9d5c6"), height=8, bevel=2)
    lens = np.asarray(colour("d8cf8a")) * rng.normal(1, 0.06, 3)
    block(surface, seat(box(0, 0, width * 0.55, height - 2, corner=3)), lens, height=15, bevel=6, gloss=0.5)


def _diode(surface: Surface, seat: Seat, rng: Generator, size: tuple[float, float]) -> None:
    width, height = size
    block(surface, seat(box(0, 0, width + 4, 6)), _TIN, height=5, bevel=2, metal=1.0)
    block(surface, seat(box(0, 0, width - 4, height)), _EPOXY, height=18, bevel=4)
    _mark(surface, [seat([[-7.5, -height / 2 + 1], [-7.5, height / 2 - 1]])], 4.5, strength=rng.uniform(0.6, 0.9))


def _transistor(surface: Surface, seat: Seat, rng: Generator, size: tuple[float, float]) -> None:
    width, height = size
    for x, y in ((-8, 7.5), (8, 7.5), (0, -7.5)):
        block(surface, seat(box(x, y, 4, 8)), _TIN, height=6, bevel=2, metal=1.0)
    block(surface, seat(box(0, 0, width, height - 2)), _EPOXY, height=17, bevel=4)
    code = "".join("ABKLMSTW"[letter] for letter in rng.integers(0, 8, 2)) + str(rng.integers(1, 9))
    _mark(surface, seat.lines(lettering(code, 0, 0, 5.6)), 1.5, strength=rng.uniform(0.4, 0.8))


def _coil(surface: Surface, seat: Seat, rng: Generator, size: tuple[float, float]) -> None:
    width, height = size
    for side in (-1, 1):
        block(surface, seat(box(side * (width / 2 - 3), 0, 9, height * 0.6)), _TIN, height=6, bevel=2, metal=1.0)
    tone = np.asarray(colour("3f4145")) * rng.normal(1, 0.07)
    block(surface, seat(box(0, 0, width - 2, height, corner=6)), tone, height=26, bevel=6, gloss=0.05)
    block(surface, seat(disc(0, 0, 16)), tone * 0.85, height=24, bevel=5, gloss=0.04)
    text = f"{rng.choice([100, 220, 330, 470])}"
    _mark(surface, seat.lines(lettering(text, 0, 0, 11)), 2.6, strength=rng.uniform(0.6, 0.95))


def _can(surface: Surface, seat: Seat, rng: Generator, size: tuple[float, float]) -> None:
    radius = size[0] / 2 - 2
    block(surface, seat(box(0, 0, 2 * radius + 3, 2 * radius + 3, corner=5)), colour("1b1c1e"), height=12, bevel=3)
    skin = np.asarray(colour("bfc1c2")) * rng.normal(1, 0.04)
    block(surface, seat(disc(0, 0, radius)), skin, height=38, bevel=10, metal=1.0, gloss=0.2)
    block(surface, seat(disc(0, 0, radius - 5)), skin * 0.97, height=37, bevel=3, metal=0.9, gloss=0.12)
    turns = np.linspace(-0.95, 0.95, 14) + np.pi
    cap = np.stack([np.cos(turns), np.sin(turns)], 1) * (radius - 4.5)
    window, cover = filled(surface.shape, seat(cap), feather=0.5)
    surface.lay(window, cover, colour("232427"), metal=0.0, gloss=0.1)
    lot = f"{rng.integers(1, 9)}{'ACEFHK'[rng.integers(0, 6)]}{rng.integers(1, 9)}"
    for text, y in (("100", -9.0), ("25V", 3.0), (lot, 14.0)):
        window, cover = stroked(surface.shape, seat.lines(lettering(text, 8, y, 7.5)), 2.0, feather=0.5)
        surface.lay(window, cover * np.float32(0.85), colour("26282c"), metal=0.0)


def _crystal(surface: Surface, seat: Seat, rng: Generator, size: tuple[float, float]) -> None:
    width, height = size
    tone = np.asarray(colour("c3c1ba")) * rng.normal(1, 0.04)
    block(surface, seat(box(0, 0, width, height, corner=15)), tone, height=14, bevel=4, metal=1.0, gloss=0.3)
    block(surface, seat(box(0, 0, width - 9, height - 9, corner=11)), tone, height=32, bevel=8, metal=1.0, gloss=0.2)
    strength = np.float32(rng.uniform(0.4, 0.75))
    for text, y in (("16.000", -4.0), (f"K{rng.integers(10, 99)}D", 6.0)):
        window, cover = stroked(surface.shape, seat.lines(lettering(text, 0, y, 6.4)), 1.7, feather=0.5)
        surface.lay(window, cover * strength, colour("4a4a48"), metal=0.2)


_BODIES: dict[str, Callable[[Surface, Seat, Generator, tuple[float, float]], None]] = {
    "resistor": _resistor, "capacitor": _capacitor, "chip_resistor": _resistor, "chip_capacitor": _capacitor,
    "led": _led, "diode": _diode,
    "transistor": _transistor, "coil": _coil, "can": _can, "crystal": _crystal,
}  # fmt: skip


def part(surface: Surface, kind: str, straight: Seat, rng: Generator, *, present: bool) -> Points:
    """Solder a part to its pads, a little askew, and return its outline in work pixels.

    Where it is not present its pads stay, with the flatter solder that no part has drawn up.
    """
    askew = Seat(
        straight.pose, straight.x + rng.normal(0, 0.8), straight.y + rng.normal(0, 0.8),
        straight.angle + rng.normal(0, 0.03),
    )  # fmt: skip
    amount, own = rng.uniform(0.7, 1.3), rng.spawn(1)[0]
    for x, y, width, height in footprint(kind):
        rise = (5.0 if present else 2.4) * amount
        solder(surface, straight(box(x, y, width, height, corner=1.8)), rise=rise, shoulder=5.0)
    if present:
        _BODIES[kind](surface, askew, own, SIZES[kind])
    return askew(box(0, 0, SIZES[kind][0] + 1, SIZES[kind][1] + 1))


def chip(
    surface: Surface, seat: Seat, rng: Generator, *, size: tuple[float, float], leads: tuple[int, int], pitch: float,
    reach: float, width: float, texts: Sequence[str],
) -> list[list[Points]]:  # fmt: skip
    """Solder a chip and return the outlines of its pads, one list a side, in work pixels.

    ``leads`` is how many it has left and right, and top and bottom; they reach ``reach`` beyond the body.
    """
    sides: list[list[Points]] = []
    for count, along, half in ((leads[0], (0, 1), size[0] / 2), (leads[1], (1, 0), size[1] / 2)):
        for side in (-1, 1):
            outlines = []
            for place in range(count):
                step = (place - (count - 1) / 2) * pitch
                out = half + reach * 0.62
                x, y = (step, side * out) if along == (1, 0) else (side * out, step)
                length = reach * 0.85
                w, h = (width + 1.6, length) if along == (1, 0) else (length, width + 1.6)
                outline = seat(box(x, y, w, h, corner=1.2))
                solder(surface, outline, rise=3.4 * rng.uniform(0.75, 1.25), shoulder=3.5)
                outlines.append(outline)
                inner = half + reach * 0.28
                x, y = (step, side * inner) if along == (1, 0) else (side * inner, step)
                w, h = (width, reach * 0.8) if along == (1, 0) else (reach * 0.8, width)
                block(surface, seat(box(x, y, w, h)), _TIN, height=8, bevel=2, metal=1.0, gloss=0.3)
            if outlines:
                sides.append(outlines)
    tone = np.asarray(_EPOXY) * rng.normal(1, 0.06)
    body = seat(box(0, 0, *size, corner=1.5))
    block(surface, body, tone, height=22, bevel=6, gloss=0.05)
    window, cover = filled(surface.shape, body)
    if cover.size:
        grain = cloud(rng, (cover.shape[0], cover.shape[1]), 2.2)
        surface.height[window] += 0.10 * grain * cover
    window, cover = filled(surface.shape, seat(disc(-size[0] / 2 + 8, size[1] / 2 - 8, 3.2)), feather=0.7)
    surface.lay(window, cover, tone * 0.8, lift=-2.5, gloss=0.15)
    strength, letters = rng.uniform(0.35, 0.7), 8.0
    for row, text in enumerate(texts):
        y = (row - (len(texts) - 1) / 2) * letters * 1.7
        _mark(surface, seat.lines(lettering(text, 0, y, letters)), 1.8, strength=strength)
    return sides
