"""Draw a stamped and iced biscuit on a conveyor belt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import ndimage

from vision_toolkit.data.synthetic.painting import (
    SCALE,
    Camera,
    Field,
    Light,
    Points,
    Pose,
    Surface,
    blot,
    blur,
    cloud,
    colour,
    disc,
    dome,
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

SIZE = (512, 384)
"""Width and height of an image in pixels."""
TYPES = ("smear", "break")
"""Anomaly types in the order of their ids from 1."""

_WIDTH, _HEIGHT = 356.0, 246.0
_EVERYWHERE = (slice(None), slice(None))


@dataclass(slots=True)
class _Bake:
    """Hold one biscuit before it is lit."""

    surface: Surface
    pose: Pose
    belt: Surface
    cover: Field  # 0 to 1: where there is biscuit
    outline: Points  # work pixels
    crumb: Field  # what its inside looks like where it is broken, 0 to 1


def draw(
    scene: Generator, defects: Generator, camera: Generator, types: Sequence[str]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw one biscuit with the given defects: image (384, 512, 3) and ids (384, 512), uint8."""
    shape = (SIZE[1] * SCALE, SIZE[0] * SCALE)
    bake = _bake(scene, shape)
    covers: dict[str, Field] = {name: np.zeros(shape, np.float32) for name in TYPES}
    icing = _icing(bake, scene)
    if "smear" in types:
        icing, covers["smear"] = _smear(bake, icing, defects)
    _ice(bake, icing, scene)
    if "break" in types:
        covers["break"] = _break(bake, defects)
    _crumbs(bake, scene)
    light = Light(
        azimuth=scene.normal(-2.3, 0.35), elevation=scene.normal(0.86, 0.07), distance=scene.uniform(1.2, 2.0),
        key=scene.normal(0.9, 0.07), ambient=scene.normal(0.42, 0.03),
        tint=(1.0, scene.normal(0.985, 0.01), scene.normal(0.95, 0.03)), sharpness=scene.uniform(20, 45),
    )  # fmt: skip
    lens = Camera(
        exposure=scene.normal(1.05, 0.07), white=(scene.normal(1, 0.02), 1.0, scene.normal(1, 0.025)),
        defocus=scene.uniform(0.4, 0.9), vignette=scene.uniform(0.2, 0.4), noise=scene.uniform(0.006, 0.010),
    )  # fmt: skip
    image = photograph(shade(bake.surface, light, reach=60), lens, camera)
    ids = np.zeros(image.shape[:2], np.uint8)
    for number, name in enumerate(TYPES, 1):
        ids[reduced(covers[name]) > 0.4] = number
    return image, ids


def _edge() -> Points:
    """Return the scalloped outline of the die, in pixels of the photograph about the middle."""
    points: list[tuple[float, float]] = []
    for along, across, count, turn in ((_WIDTH, _HEIGHT, 14, 0), (_HEIGHT, _WIDTH, 10, 1),
                                       (_WIDTH, _HEIGHT, 14, 2), (_HEIGHT, _WIDTH, 10, 3)):  # fmt: skip
        pitch = along / count
        for place in range(count):
            centre = -along / 2 + (place + 0.5) * pitch
            for t in np.linspace(np.pi, 2 * np.pi, 9)[:-1]:
                x, y = centre + pitch / 2 * np.cos(t), -across / 2 + pitch * 0.42 * np.sin(t)
                for _ in range(turn):
                    x, y = -y, x
                points.append((x, y))
    return np.asarray(points)


def _belt(rng: Generator, shape: tuple[int, int]) -> Surface:
    """Return the woven belt under the biscuit."""
    tone = np.asarray(colour("4d6470")) * rng.normal(1, 0.08) * rng.normal(1, 0.03, 3)
    belt = Surface(shape, (float(tone[0]), float(tone[1]), float(tone[2])), gloss=0.03)
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    lean, phase = rng.normal(0.785, 0.02), rng.uniform(0, 6.3, 2)
    u = (x * np.cos(lean) + y * np.sin(lean)) * np.float32(2 * np.pi / 15)
    v = (-x * np.sin(lean) + y * np.cos(lean)) * np.float32(2 * np.pi / 15)
    weave = np.sin(u + phase[0]) * np.sin(v + phase[1])
    belt.height += 0.9 * weave + 0.3 * cloud(rng, shape, 4.0)
    worn = 0.03 * weave + 0.06 * cloud(rng, shape, 3.0) + 0.07 * cloud(rng, shape, 110.0)
    belt.albedo *= (1 + worn)[..., None]
    return belt


def _bake(rng: Generator, shape: tuple[int, int]) -> _Bake:
    """Stamp and bake one biscuit and lay it on the belt."""
    pose = Pose(
        angle=rng.normal(0, 0.05), zoom=rng.normal(1.0, 0.012),
        shift=(SIZE[0] / 2 + rng.normal(0, 7), SIZE[1] / 2 + rng.normal(0, 6)),
    )  # fmt: skip
    belt = _belt(rng, shape)
    edge = _edge()
    uneven = rng.normal(0, 0.7, edge.shape)
    outline = pose(edge + np.stack([ndimage.gaussian_filter1d(uneven[:, i], 2, mode="wrap") * 2 for i in (0, 1)], 1))
    window, here = filled(shape, outline, feather=0.7)
    cover = np.zeros(shape, np.float32)
    cover[window] = here
    inner = np.zeros(shape, np.float32)
    inner[window] = dome(here, 26.0)
    crumb = 0.6 * cloud(rng, shape, 3.0) + 0.5 * cloud(rng, shape, 7.0) + 0.4 * cloud(rng, shape, 18.0)
    level = 8 + 30 * inner + 0.4 * crumb + 1.6 * cloud(rng, shape, 60.0)
    level += 0.5 * cloud(rng, shape, 2.2) - 1.4 * np.maximum(cloud(rng, shape, 9.0) - 1.9, 0)
    level -= _stamp(rng, pose, shape)
    pale = np.asarray(colour("d9a962")) * rng.normal(1, 0.05) * rng.normal(1, 0.02, 3)
    brown = np.asarray(colour("9a5d27")) * rng.normal(1, 0.06)
    bake = 0.30 + rng.normal(0, 0.07) + 0.55 * (1 - inner) + 0.10 * cloud(rng, shape, 70.0)
    bake = bake + 0.11 * cloud(rng, shape, 14.0) + 0.09 * crumb + rng.normal(0, 0.12) * _slant(shape, rng)
    bake = np.clip(bake, 0, 1)[..., None].astype(np.float32)
    tone = pale.astype(np.float32) * (1 - bake) + brown.astype(np.float32) * bake
    surface = Surface(shape, (0, 0, 0))
    surface.albedo[:], surface.height[:], surface.gloss[:] = belt.albedo, belt.height, belt.gloss
    surface.lay(_EVERYWHERE, cover, tone, level=level, gloss=0.02)
    return _Bake(surface, pose, belt, cover, outline, crumb)


def _slant(shape: tuple[int, int], rng: Generator) -> Field:
    """Return a slope from -1 to 1 across the canvas in some direction."""
    y, x = np.mgrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j].astype(np.float32)
    lie = rng.uniform(0, 2 * np.pi)
    return np.asarray(x * np.cos(lie) + y * np.sin(lie), np.float32)


def _stamp(rng: Generator, pose: Pose, shape: tuple[int, int]) -> Field:
    """Return how deep the die pressed: a frame, a row of docker holes and the baker's name."""
    deep = np.zeros(shape, np.float32)
    force = rng.normal(1, 0.1)
    frame = np.array([[-150, -96], [150, -96], [150, 96], [-150, 96], [-150, -96], [-140, -96]], np.float64)
    name = [*lettering("HAVERLEY", 0, -72, 23), *lettering("BUTTER", 0, 74, 17)]
    for lines, width, depth in (([frame], 4.6, 4.5), (name, 6.4, 7.0)):
        window, cover = stroked(shape, [pose(line) for line in lines], width, feather=1.3)
        deep[window] += cover * np.float32(depth * force)
    for column in range(8):
        for row in range(3):
            x, y = -130 + column * 260 / 7, -40 + row * 40
            if row == 1 and 1 <= column <= 6:
                continue  # the icing's place
            window, cover = filled(shape, pose(disc(x, y, 2.9) + rng.normal(0, 0.5, 2)), feather=1.0)
            deep[window] += cover * np.float32(9 * force * rng.uniform(0.7, 1.2))
    return deep


def _icing(bake: _Bake, rng: Generator) -> Field:
    """Return how thick the icing is, 0 to 1: a leaf between two waves, printed a little off its place."""
    pose, shape = bake.pose, bake.surface.shape
    slip = rng.normal(0, 2.2, 2)
    thick = np.zeros(shape, np.float32)
    t = np.linspace(-1, 1, 40)
    lines: list[Points] = []
    for side in (-1, 1):
        lines.append(np.stack([38 * t, side * 20 * (1 - t * t)], 1))  # the leaf's two edges
        for offset in (-11.0, 11.0):
            x = side * (62 + 34 * (t + 1) / 2 * 1.6 - 8)
            lines.append(np.stack([x, offset + 5 * np.sin(3.4 * np.pi * (t + 1) / 2)], 1))
    lines.append(np.array([[-48.0, 0.0], [38.0, 0.0]]))
    for place in (-14.0, 2.0, 17.0):
        lines += [np.array([[place - 6, 0], [place + 5, side * 11.5]]) for side in (-1, 1)]
    amount = rng.normal(1, 0.06)
    for line in lines:
        loose = line + slip + rng.normal(0, 0.35, line.shape).cumsum(0) * 0.06
        window, cover = stroked(shape, [pose(loose)], 12.0 * amount * rng.uniform(0.9, 1.1), feather=1.0)
        thick[window] = np.maximum(thick[window], cover)
    thin = np.clip(1 - 0.25 * np.maximum(cloud(rng, shape, 10.0) - rng.uniform(0.8, 1.8), 0), 0, 1)
    return np.asarray(thick * thin, np.float32)


def _ice(bake: _Bake, icing: Field, rng: Generator) -> None:
    """Lay the icing on the biscuit."""
    tone = np.asarray(colour("3a1c10")) * rng.normal(1, 0.12)
    cover = np.clip(icing * 1.25, 0, 1) * bake.cover
    clear = np.exp(-3.2 * cover)[..., None]  # a thin film lets the crust through, browned
    bake.surface.albedo *= clear + (1 - clear) * 0.12
    bake.surface.lay(_EVERYWHERE, cover * cover * np.float32(0.95), tone, gloss=0.2)
    bake.surface.height += 5.0 * blur(icing, 1.6) * bake.cover


def _smear(bake: _Bake, icing: Field, rng: Generator) -> tuple[Field, Field]:
    """Drag icing that has not set, or drop some where none belongs; return it and where it changed."""
    shape = icing.shape[0], icing.shape[1]
    heavy = np.argwhere(icing > 0.5)
    y, x = heavy[rng.integers(0, len(heavy))].astype(float)
    lie, length = rng.uniform(0, 2 * np.pi), float(rng.uniform(26, 110))
    window, patch = filled(shape, blot(rng, x, y, rng.uniform(22, 70), rough=0.4, stretch=1.2), feather=4.0)
    where = np.zeros(shape, np.float32)
    where[window] = patch
    local = icing * where
    dragged = np.zeros_like(icing)
    steps = max(4, round(length / 2))
    fade = rng.uniform(0.65, 1.0)
    streaks = np.clip(0.75 + 0.35 * cloud(rng, shape, 6.0), 0.1, 1)
    for step in range(1, steps + 1):
        shift = (round(np.sin(lie) * length * step / steps), round(np.cos(lie) * length * step / steps))
        moved = np.roll(local, shift, (0, 1)) * np.float32(fade * (1 - 0.75 * step / steps))
        np.maximum(dragged, moved, out=dragged)
    dragged = blur(dragged, 1.6) * streaks
    if rng.random() < 0.25:
        drop = np.array([x, y]) + rng.normal(0, 60, 2)
        window, cover = filled(shape, blot(rng, drop[0], drop[1], rng.uniform(6, 14), rough=0.4), feather=1.0)
        dragged[window] = np.maximum(dragged[window], cover * np.float32(rng.uniform(0.5, 0.9)))
    thinned = icing * (1 - where * np.float32(rng.uniform(0.0, 0.45)))
    result = np.maximum(thinned, dragged)
    changed = np.abs(result - icing) * bake.cover
    ink = ndimage.binary_closing(changed > 0.16, iterations=2)
    return result, np.asarray(ink, np.float32)


def _break(bake: _Bake, rng: Generator) -> Field:
    """Break a corner or a bite off the edge, or crack the biscuit; return what is gone."""
    shape = bake.surface.shape
    middle = bake.outline.mean(0)
    spot = bake.outline[rng.integers(0, len(bake.outline))]
    inward = (middle - spot) / np.linalg.norm(middle - spot)
    if rng.random() < 0.3:
        return _crack(bake, rng, spot, inward)
    deep = float(np.exp(rng.uniform(np.log(15), np.log(80))))
    outline = _fracture(rng, spot, inward, deep)
    gone = np.zeros(shape, np.float32)
    window, cover = filled(shape, outline, feather=0.5)
    gone[window] = cover
    face = np.clip(blur(gone, 3.2) * 2.6 * (1 + 0.35 * bake.crumb), 0, 1) * bake.cover
    inside = np.asarray(colour("ecd09a")) * rng.normal(1, 0.04)
    surface = bake.surface
    surface.lay(_EVERYWHERE, face * np.float32(0.8), inside)
    surface.height -= face * (9 + 3.5 * bake.crumb)
    surface.height += gone * (bake.belt.height - surface.height)
    surface.gloss += gone * (bake.belt.gloss - surface.gloss)
    surface.albedo += gone[..., None] * (bake.belt.albedo - surface.albedo)
    return np.asarray(np.maximum(gone, face > 0.35) * (bake.cover > 0.3), np.float32)


def _fracture(rng: Generator, spot: Points, inward: Points, deep: float) -> Points:
    """Return the outline of what breaks off at ``spot``: a jagged line across, and everything outside it."""
    along = np.array([-inward[1], inward[0]])
    half = deep * rng.uniform(0.9, 2.4)
    t = np.linspace(-1, 1, 34)
    bow = deep * (1 - np.abs(t) ** rng.uniform(1.3, 3.0)) + rng.uniform(-0.5, 0.5) * deep * t * (1 - t * t)
    jagged = bow + np.cumsum(rng.normal(0, 0.35, t.size)) + rng.normal(0, 0.8, t.size)
    inner = spot + np.outer(t * half, along) + np.outer(jagged, inward)
    outer = spot + np.outer([half, -half], along) - np.outer([70.0, 70.0], inward)
    return np.concatenate([inner, outer])


def _crack(bake: _Bake, rng: Generator, spot: Points, inward: Points) -> Field:
    """Crack the biscuit from its edge inwards."""
    surface = bake.surface
    heading = float(np.arctan2(inward[1], inward[0])) + rng.normal(0, 0.35)
    line = wandering(rng, spot, heading, float(rng.uniform(70, 300)), bend=0.22, step=7)
    width = float(rng.uniform(2.0, 4.6))
    cover = np.zeros(surface.shape, np.float32)
    for part, wide in ((line, width * 0.6), (line[: len(line) * 2 // 3], width)):
        window, here = stroked(surface.shape, [part], wide, feather=0.7)
        if here.size:
            surface.lay(window, here * np.float32(rng.uniform(0.55, 0.85)), colour("5f3a18"), lift=-6.0)
    window, here = stroked(surface.shape, [line], width + 1, feather=0.5)
    if here.size:
        cover[window] = here * bake.cover[window]
    return np.asarray(cover > 0.35, np.float32)


def _crumbs(bake: _Bake, rng: Generator) -> None:
    """Strew crumbs, flour and dust: harmless."""
    surface = bake.surface
    shape = surface.shape
    for _ in range(int(rng.integers(3, 18))):
        x, y = rng.uniform(0, shape[1]), rng.uniform(0, shape[0])
        size = float(np.exp(rng.uniform(np.log(1.6), np.log(5.5))))
        window, cover = filled(shape, blot(rng, x, y, size, rough=0.6), feather=0.6)
        tone = np.asarray(colour("c08a48")) * rng.normal(1, 0.15)
        if cover.size:
            surface.lay(window, cover, tone, lift=1.1 * size * dome(cover, size), gloss=0.0)
    for _ in range(int(rng.integers(0, 4))):
        x, y = rng.uniform(0, shape[1]), rng.uniform(0, shape[0])
        window, cover = filled(shape, blot(rng, x, y, rng.uniform(14, 44), rough=0.4), feather=11.0)
        surface.lay(window, cover * np.float32(rng.uniform(0.03, 0.10)), colour("efe8da"))
    dust(rng, surface, specks=int(rng.integers(4, 30)), fibres=int(rng.integers(0, 2)), tone=colour("d8cdb8"))
