"""Draw a cast and turned flange on a bench, under a lamp that stands somewhere else in every shot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from vision_toolkit.data.synthetic.painting import (
    SCALE,
    Camera,
    Field,
    Light,
    Surface,
    blot,
    blur,
    cloud,
    colour,
    dust,
    filled,
    lettering,
    photograph,
    reduced,
    shade,
    stroked,
    wandering,
)

__all__ = ["SIZE", "TYPES", "draw"]

SIZE = (448, 448)
"""Width and height of an image in pixels."""
TYPES = ("pore", "crack", "dent")
"""Anomaly types in the order of their ids from 1."""

# Radii in work pixels, from the bore outwards.
_BORE, _HUB, _FILLET, _WEB, _RIM, _EDGE = 84.0, 168.0, 186.0, 322.0, 338.0, 404.0
_BOLTS, _BOLT_RING, _BOLT_RADIUS = 6, 254.0, 27.0


@dataclass(slots=True)
class _Flange:
    """Hold one part as it lies: polar coordinates about its middle, and the macroscopic surface."""

    surface: Surface
    middle: tuple[float, float]
    turn: float
    radius: Field
    angle: Field
    turned: Field  # 0 to 1: where a lathe has been
    inside: Field  # 0 to 1: where there is metal at all

    def at(self, radius: float, angle: float) -> tuple[float, float]:
        """Return x and y in work pixels of a point of the part."""
        return self.middle[0] + radius * np.cos(angle), self.middle[1] + radius * np.sin(angle)

    def bolt(self, number: int) -> tuple[float, float]:
        """Return the middle of a bolt hole, in work pixels."""
        return self.at(_BOLT_RING, self.turn + number * 2 * np.pi / _BOLTS)


def draw(
    scene: Generator, defects: Generator, camera: Generator, types: Sequence[str]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw one flange with the given defects: image (448, 448, 3) and ids (448, 448), uint8."""
    shape = (SIZE[1] * SCALE, SIZE[0] * SCALE)
    part = _flange(scene, shape)
    covers: dict[str, Field] = {name: np.zeros(shape, np.float32) for name in TYPES}
    for name, damage in (("dent", _dent), ("crack", _crack), ("pore", _pores)):
        if name in types:
            covers[name] = damage(part, defects) * part.inside
    _soil(part, scene)
    light = Light(
        azimuth=scene.uniform(-np.pi, np.pi), elevation=scene.uniform(0.72, 1.02), distance=scene.uniform(1.0, 1.8),
        key=scene.normal(0.95, 0.08), ambient=scene.normal(0.40, 0.04),
        tint=(1.0, scene.normal(0.99, 0.01), scene.normal(0.97, 0.03)), sharpness=scene.uniform(18, 40),
    )  # fmt: skip
    lens = Camera(
        exposure=scene.normal(1.0, 0.07), white=(scene.normal(0.99, 0.015), 1.0, scene.normal(1.02, 0.02)),
        defocus=scene.uniform(0.4, 0.85), vignette=scene.uniform(0.2, 0.45), noise=scene.uniform(0.006, 0.010),
    )  # fmt: skip
    lit = shade(part.surface, light) + _lathe_glow(part, light, scene)[..., None]
    image = photograph(np.asarray(lit, np.float32), lens, camera)
    ids = np.zeros(image.shape[:2], np.uint8)
    for number, name in enumerate(TYPES, 1):
        ids[reduced(covers[name]) > 0.35] = number
    return image, ids


def _step(radius: Field, at: float, width: float) -> Field:
    """Return a rounded step: 0 inside ``at``, 1 beyond it, over ``width`` work pixels."""
    t = np.clip((radius - at) / width + 0.5, 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def _rings(rng: Generator, radius: Field, pace: float) -> Field:
    """Return noise that depends on the radius alone: the marks a lathe leaves."""
    steps = rng.standard_normal(int(900 / pace) + 2)
    return np.asarray(np.interp(radius / pace, np.arange(len(steps)), steps), np.float32)


def _flange(rng: Generator, shape: tuple[int, int]) -> _Flange:
    """Cast and turn one flange and lay it on the bench."""
    middle = (shape[1] / 2 + rng.normal(0, 6), shape[0] / 2 + rng.normal(0, 6))
    turn = float(rng.uniform(0, 2 * np.pi))
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    dx, dy = x - np.float32(middle[0]), y - np.float32(middle[1])
    radius, angle = np.hypot(dx, dy), np.arctan2(dy, dx)
    bench = np.asarray(colour(str(rng.choice(["3b3d40", "34383a", "454341"])))) * rng.normal(1, 0.08)
    surface = Surface(shape, (float(bench[0]), float(bench[1]), float(bench[2])), gloss=0.01)
    surface.albedo *= (1 + 0.10 * cloud(rng, shape, 3.0) + 0.06 * cloud(rng, shape, 60.0))[..., None]
    surface.height += 0.35 * cloud(rng, shape, 5.0)
    inside = _step(radius, _BORE, 2) * (1 - _step(radius, _EDGE, 2))
    for number in range(_BOLTS):
        away = turn + number * 2 * np.pi / _BOLTS
        bx, by = np.cos(away) * _BOLT_RING, np.sin(away) * _BOLT_RING
        inside = inside * _step(np.hypot(dx - np.float32(bx), dy - np.float32(by)), _BOLT_RADIUS, 2)
    web = _step(radius, _HUB + 8, 14) * (1 - _step(radius, _RIM - 6, 12))
    level = 40 - 16 * web  # hub and rim stand above the web
    level -= 5 * (1 - _step(radius, _BORE + 5, 10)) + 7 * _step(radius, _EDGE - 6, 14)
    grain = 0.40 * cloud(rng, shape, 3.5) + 0.6 * cloud(rng, shape, 8.0) + 0.9 * cloud(rng, shape, 26.0)
    level += web * grain * rng.uniform(0.6, 1.0)
    turned = inside * (1 - web)
    marks = 0.10 * _rings(rng, radius, 2.6) + 0.18 * _rings(rng, radius, 9.0)
    level += turned * marks
    tone = np.asarray(colour("8d8f92")) * rng.normal(1, 0.05)
    skin = 1 + web * (0.07 * cloud(rng, shape, 3.0) + 0.06 * cloud(rng, shape, 18.0) + 0.05 * cloud(rng, shape, 90.0))
    skin += turned * (0.03 * _rings(rng, radius, 2.6) + 0.03 * cloud(rng, shape, 70.0))
    everywhere = (slice(None), slice(None))
    cover = np.asarray(inside, np.float32)
    metal = tone * skin[..., None] * (1 - 0.30 * web)[..., None]
    surface.lay(everywhere, cover, metal, level=level)
    surface.metal += cover * (0.15 + 0.35 * turned - surface.metal)
    surface.gloss += cover * (0.05 + 0.05 * turned - surface.gloss)
    part = _Flange(surface, middle, turn, radius, np.asarray(angle, np.float32), turned, cover)
    _bores(part, rng, dx, dy)
    _cast_text(part, rng)
    return part


def _bores(part: _Flange, rng: Generator, dx: Field, dy: Field) -> None:
    """Show the walls of the bore and of the bolt holes, and the bright edge the countersink left."""
    surface, turn = part.surface, part.turn
    holes = [(0.0, 0.0, _BORE)]
    for number in range(_BOLTS):
        away = turn + number * 2 * np.pi / _BOLTS
        holes.append((float(np.cos(away) * _BOLT_RING), float(np.sin(away) * _BOLT_RING), _BOLT_RADIUS))
    for x, y, size in holes:
        reach = size + 24
        cx, cy = part.middle[0] + x, part.middle[1] + y
        window = slice(int(cy - reach), int(cy + reach)), slice(int(cx - reach), int(cx + reach))
        near = np.hypot(dx[window] - np.float32(x), dy[window] - np.float32(y))
        inside = part.inside[window]
        lip = np.exp(-(((near - size - 3.5) / 2.6) ** 2)) * inside
        tone = np.asarray(colour("b4b6b8")) * rng.normal(1, 0.05)
        albedo = surface.albedo[window]
        albedo += (lip * 0.75)[..., None] * (tone.astype(np.float32) - albedo)
        surface.metal[window] = np.maximum(surface.metal[window], lip * 0.7)
        surface.height[window] -= 5 * np.exp(-((np.maximum(near - size, 0) / 4) ** 2)) * inside
        # A lens in the middle sees a sliver of the wall of every hole off its axis.
        wall = np.exp(-(((near - size) / 5.0) ** 2)) * (near < size + 1)
        albedo += (wall * 0.6)[..., None] * (tone.astype(np.float32) * 0.35 - albedo)
        if size != _BORE:
            albedo *= (1 - 0.35 * np.exp(-np.maximum(near - size + 4, 0) / 6) * (near < size))[..., None]


def _cast_text(part: _Flange, rng: Generator) -> None:
    """Raise the founder's letters in the web, between two bolt holes."""
    surface = part.surface
    lot = f"{rng.integers(1, 10)}{'ABCDEF'[rng.integers(0, 6)]}"
    for text, place in (("GG25", 0.5), ("DN80", 2.5), (lot, 4.5)):
        away = part.turn + place * 2 * np.pi / _BOLTS
        x, y = part.at(_BOLT_RING, away)
        lines = lettering(text, x, y, 40, angle=away + np.pi / 2)
        window, cover = stroked(surface.shape, lines, 8, feather=1.4)
        surface.lay(window, cover, lift=7.0)
        surface.albedo[window] *= (1 + 0.12 * cover)[..., None]


def _lathe_glow(part: _Flange, light: Light, rng: Generator) -> Field:
    """Return the light that turned grooves mirror: two bright fans that follow the lamp.

    Grooves mirror the lamp wherever they run square to the half-way vector (Kajiya and Kay, 1989).
    """
    rows, columns = part.surface.shape
    height = blur(part.surface.height, 1.6)
    slope_y, slope_x = np.gradient(height)
    sine, cosine = np.sin(part.angle), np.cos(part.angle)
    lx, ly, lz = light.vectors((rows, columns))
    length = np.sqrt(lx * lx + ly * ly + (lz + 1) ** 2)
    hx, hy, hz = lx / length, ly / length, (lz + 1) / length
    along = -sine * hx + cosine * hy + (-sine * slope_x + cosine * slope_y) * hz
    across = cosine * hx + sine * hy - (cosine * slope_x + sine * slope_y) * hz
    wide = 0.10 * (1 + 0.16 * _rings(rng, part.radius, 3.2)) + 0.02
    fan = np.exp(-((along / wide) ** 2)) * np.exp(-((across / 0.55) ** 2))
    return np.asarray(part.turned * light.key * (0.42 * fan + 0.10 * np.exp(-((along / 0.4) ** 2))), np.float32)


def _somewhere(part: _Flange, rng: Generator, *, turned: float) -> tuple[float, float]:
    """Return x and y of a place on the metal: on a turned face with the chance ``turned``, else on the cast web."""
    while True:
        if rng.random() < turned:
            low, high = (_BORE + 16, _HUB - 12) if rng.random() < 0.4 else (_RIM + 10, _EDGE - 16)
        else:
            low, high = _FILLET + 6, _WEB - 6
        away = rng.uniform(0, 2 * np.pi)
        x, y = part.at(np.sqrt(rng.uniform(low**2, high**2)), away)
        gaps = [np.hypot(x - bx, y - by) for bx, by in map(part.bolt, range(_BOLTS))]
        if min(gaps) > _BOLT_RADIUS + 12:
            return x, y


def _pores(part: _Flange, rng: Generator) -> Field:
    """Open gas pores that the tool has cut: single, or a nest of them."""
    surface = part.surface
    cover = np.zeros(surface.shape, np.float32)
    x, y = _somewhere(part, rng, turned=0.8)
    nest = rng.random() < 0.5
    count = int(rng.integers(3, 9)) if nest else 1
    for _ in range(count):
        away = rng.normal(0, 15, 2) if nest else np.zeros(2)
        size = float(rng.uniform(3.0, 6.5) if nest else rng.uniform(5.0, 13.0))
        outline = blot(rng, x + away[0], y + away[1], size, rough=0.5, stretch=rng.uniform(1, 1.25))
        window, here = filled(surface.shape, outline, feather=0.7)
        depth = float(rng.uniform(0.6, 1.0))
        tone = np.asarray(colour("26241f")) * rng.uniform(0.8, 1.6)
        surface.lay(window, here * np.float32(depth), tone, metal=0.0, gloss=0.0, lift=-1.1 * size)
        part.turned[window] *= 1 - here * np.float32(depth)
        np.maximum(cover[window], here, out=cover[window])
    return cover


def _crack(part: _Flange, rng: Generator) -> Field:
    """Open a crack that starts where stress gathers: at the bore, a bolt hole or the edge."""
    surface = part.surface
    kind = rng.random()
    if kind < 0.45:
        away = rng.uniform(0, 2 * np.pi)
        x, y, heading = *part.at(_BORE + 1, away), away
    elif kind < 0.75:
        bx, by = part.bolt(int(rng.integers(0, _BOLTS)))
        heading = rng.uniform(0, 2 * np.pi)
        x, y = bx + np.cos(heading) * (_BOLT_RADIUS + 1), by + np.sin(heading) * (_BOLT_RADIUS + 1)
    else:
        away = rng.uniform(0, 2 * np.pi)
        x, y, heading = *part.at(_EDGE - 2, away), away + np.pi
    length = float(rng.uniform(56, 180))
    line = wandering(rng, (x, y), heading + rng.normal(0, 0.3), length, bend=0.42, step=6)
    lines = [(line, float(rng.uniform(2.4, 5.0)))]
    if rng.random() < 0.4:
        fork = line[int(rng.integers(len(line) // 3, len(line) - 1))]
        turn = heading + rng.choice([-1, 1]) * rng.uniform(0.5, 0.9)
        lines.append((wandering(rng, fork, turn, length * 0.4, bend=0.42, step=6), 1.4))
    cover = np.zeros(surface.shape, np.float32)
    strength = float(rng.uniform(0.65, 1.0))
    for path, width in lines:
        for begin, end, thin in ((0, len(path), 1.0), (0, len(path) * 2 // 3, width)):
            window, here = stroked(surface.shape, [path[begin:end]], thin, feather=0.6)
            if here.size:
                dark = here * np.float32(strength)
                surface.lay(window, dark, colour("1f1d1a"), lift=-2.0, gloss=0.0, metal=0.0)
                part.turned[window] *= 1 - dark
        window, here = stroked(surface.shape, [path], max(2.0, width), feather=0.5)
        if here.size:
            np.maximum(cover[window], here, out=cover[window])
    return np.asarray(cover > 0.3, np.float32)


def _dent(part: _Flange, rng: Generator) -> Field:
    """Press a dent into a turned face: nothing changes but the way it mirrors the lamp."""
    surface = part.surface
    x, y = _somewhere(part, rng, turned=0.9)
    wide, slim, lie = rng.uniform(18, 46), rng.uniform(0.5, 1.0), rng.uniform(0, np.pi)
    rows, columns = surface.shape
    grid_y, grid_x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    dx, dy = grid_x - np.float32(x), grid_y - np.float32(y)
    u = (dx * np.cos(lie) + dy * np.sin(lie)) / wide
    v = (-dx * np.sin(lie) + dy * np.cos(lie)) / (wide * slim)
    away = np.sqrt(u * u + v * v)
    depth = rng.uniform(0.13, 0.26) * wide * slim
    bowl = np.exp(-((away / 0.6) ** 2.4)) - 0.16 * np.exp(-(((away - 1.12) / 0.22) ** 2))
    surface.height -= np.asarray(depth * bowl * part.inside, np.float32)
    rub = np.exp(-((away / 0.6) ** 4)) * 0.5 * part.inside
    part.turned *= np.asarray(1 - rub * 0.4, np.float32)
    return np.asarray(away < 1.0, np.float32)


def _soil(part: _Flange, rng: Generator) -> None:
    """Leave what is harmless: oil, chips of the lathe, marks of handling, dust."""
    surface = part.surface
    shape = surface.shape
    for _ in range(int(rng.integers(0, 5))):
        x, y = rng.uniform(0, shape[1]), rng.uniform(0, shape[0])
        window, cover = filled(shape, blot(rng, x, y, rng.uniform(18, 70), rough=0.4), feather=4.0)
        surface.albedo[window] *= (1 - cover * rng.uniform(0.05, 0.2))[..., None]
        surface.gloss[window] += cover * np.float32(0.05)
    for _ in range(int(rng.integers(0, 6))):
        x, y = rng.uniform(0, shape[1]), rng.uniform(0, shape[0])
        line = wandering(rng, (x, y), rng.uniform(0, 6.3), rng.uniform(10, 50), bend=0.05)
        window, cover = stroked(shape, [line], 1, feather=0.6)
        surface.lay(window, cover * np.float32(rng.uniform(0.1, 0.35)), colour("c2c4c6"))
    for _ in range(int(rng.integers(0, 8))):
        x, y = rng.uniform(0, shape[1]), rng.uniform(0, shape[0])
        window, cover = filled(shape, blot(rng, x, y, rng.uniform(1.0, 2.2), rough=0.6), feather=0.6)
        surface.lay(window, cover * np.float32(rng.uniform(0.2, 0.55)), colour("3a3835"))
    dust(rng, surface, specks=int(rng.integers(4, 26)), fibres=int(rng.integers(0, 3)), tone=colour("a8a8a4"))
