"""Draw a circuit board under an inspection camera: one layout, a new board in every shot."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

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
    box,
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
from vision_toolkit.data.synthetic.parts import SIZES, SOLDER, Seat, chip, part, solder

__all__ = ["SIZE", "TYPES", "draw"]

SIZE = (512, 384)
"""Width and height of an image in pixels."""
TYPES = ("missing_part", "solder_bridge", "scratch")
"""Anomaly types in the order of their ids from 1."""

_INK = colour("e2e4dc")

# kind, x, y, quarter turns, name: pixels of the photograph, in the frame of a board that lies straight.
_PARTS: tuple[tuple[str, float, float, int, str], ...] = (
    ("resistor", 290, 58, 0, "R1"), ("resistor", 290, 90, 0, "R2"), ("resistor", 290, 122, 0, "R3"),
    ("capacitor", 338, 206, 1, "C1"), ("capacitor", 362, 206, 1, "C2"), ("resistor", 388, 206, 1, "R4"),
    ("resistor", 412, 206, 1, "R5"), ("capacitor", 438, 206, 1, "C3"), ("chip_capacitor", 266, 172, 1, "C5"),
    ("chip_capacitor", 284, 172, 1, "C6"), ("chip_resistor", 302, 172, 1, "R6"), ("resistor", 74, 104, 1, "R7"),
    ("resistor", 98, 104, 1, "R8"), ("capacitor", 74, 170, 1, "C7"), ("capacitor", 98, 170, 1, "C8"),
    ("chip_resistor", 84, 222, 0, "R9"), ("chip_capacitor", 84, 248, 0, "C9"), ("resistor", 174, 298, 0, "R10"),
    ("resistor", 216, 298, 0, "R11"), ("chip_capacitor", 250, 294, 1, "C10"), ("diode", 424, 40, 0, "D2"),
    ("transistor", 284, 232, 0, "Q1"), ("coil", 312, 294, 0, "L1"), ("can", 424, 278, 0, "C12"),
    ("crystal", 108, 304, 0, "Y1"), ("chip_resistor", 362, 274, 0, "R13"), ("diode", 352, 40, 0, "D3"),
)  # fmt: skip
_MIDDLE = (262.0, 174.0)  # what the camera looks at
_MISSABLE = tuple(i for i, one in enumerate(_PARTS) if one[0] not in ("crystal", "can"))
# How often solder runs together: at the four sides of the first chip, two of the second, the header.
_ROWS = (0.07, 0.07, 0.07, 0.07, 0.21, 0.21, 0.30)
_HEADER = tuple((90.0 + 23.0 * place, 34.0) for place in range(8))

# Buses of parallel tracks: count, spacing, and the corners of the middle one.
_BUSES: tuple[tuple[int, float, tuple[tuple[float, float], ...]], ...] = (
    (8, 8.6, ((176, 130), (176, 84), (166, 74), (166, 30))),
    (6, 7.0, ((-20, 60), (20, 60), (104, 144), (104, 170), (122, 188), (130, 188))),
    (5, 8.6, ((234, 176), (250, 176), (312, 138), (332, 138), (340, 146), (400, 146), (400, 140))),
    (7, 6.5, ((234, 200), (252, 200), (318, 266), (360, 266), (404, 222), (404, 170), (430, 144))),
    (4, 8.6, ((176, 250), (176, 270), (120, 326), (120, 420))),
    (5, 6.0, ((404, 96), (404, 72), (440, 36), (440, -20))),
    (4, 7.0, ((530, 250), (490, 250), (430, 250), (380, 300), (380, 420))),
    (3, 7.0, ((20, 420), (20, 280), (48, 252), (120, 252), (140, 232))),
    (3, 6.0, ((530, 80), (508, 80), (486, 102), (486, 170), (466, 190))),
    (3, 6.0, ((282, -20), (282, 40), (262, 60), (262, 130), (250, 142))),
    (2, 9.0, ((232, 250), (232, 272), (282, 322), (282, 420))),
)
_VIAS = (
    (118, 72), (132, 72), (28, 92), (28, 140), (28, 196), (112, 226), (108, 268), (246, 262), (262, 272), (240, 318),
    (322, 84), (328, 100), (334, 66), (344, 168), (362, 168), (318, 160), (300, 140), (472, 150), (498, 132),
    (500, 168), (350, 240), (366, 250), (410, 248), (470, 240), (500, 284), (500, 330), (396, 326), (350, 366),
    (292, 280), (170, 324), (220, 324), (108, 358), (30, 366), (248, 40), (248, 24), (386, 62), (456, 66), (498, 66),
)  # fmt: skip


def draw(
    scene: Generator, defects: Generator, camera: Generator, types: Sequence[str]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw one board with the given defects: image (384, 512, 3) and ids (384, 512), uint8."""
    shape = (SIZE[1] * SCALE, SIZE[0] * SCALE)
    pose = Pose(
        angle=scene.normal(0, 0.012), zoom=scene.normal(1.22, 0.006), centre=_MIDDLE,
        shift=(SIZE[0] / 2 - _MIDDLE[0] + scene.normal(0, 2.2), SIZE[1] / 2 - _MIDDLE[1] + scene.normal(0, 2.2)),
    )  # fmt: skip
    covers: dict[str, Field] = {name: np.zeros(shape, np.float32) for name in TYPES}
    away: set[int] = set()
    if "missing_part" in types:
        away = set(defects.choice(_MISSABLE, 2 if defects.random() < 0.1 else 1, replace=False).tolist())
    surface = _bare_board(scene, pose, shape)
    if "scratch" in types:
        covers["scratch"] = _scratch(surface, defects)
    _print_legend(surface, scene, pose)
    outlines = [
        part(surface, kind, Seat(pose, x, y, turns * np.pi / 2), scene, present=index not in away)
        for index, (kind, x, y, turns, _) in enumerate(_PARTS)
    ]
    rows = _chips(surface, scene, pose)
    if "scratch" in types:
        covers["scratch"] *= surface.height < 5  # what stands on the board covers the scratch
    for index in away:
        _leave(surface, defects, outlines[index])
        window, cover = filled(shape, outlines[index])
        covers["missing_part"][window] = cover
    if "solder_bridge" in types:
        _bridge(surface, defects, rows, covers["solder_bridge"])
    _soil(surface, scene)
    light = Light(
        azimuth=scene.normal(-2.2, 0.2), elevation=scene.normal(1.0, 0.06), distance=scene.uniform(1.3, 2.2),
        key=scene.normal(0.95, 0.08), ambient=scene.normal(0.42, 0.03),
        tint=(1.0, scene.normal(0.98, 0.012), scene.normal(0.94, 0.03)), sharpness=scene.uniform(35, 70),
    )  # fmt: skip
    lens = Camera(
        exposure=scene.normal(1.15, 0.07), white=(scene.normal(1, 0.02), 1.0, scene.normal(1, 0.025)),
        defocus=scene.uniform(0.45, 0.75), vignette=scene.uniform(0.2, 0.4), noise=scene.uniform(0.005, 0.009),
    )  # fmt: skip
    image = photograph(shade(surface, light), lens, camera)
    ids = np.zeros(image.shape[:2], np.uint8)
    for number, name in enumerate(TYPES, 1):
        ids[reduced(covers[name]) > 0.4] = number
    return image, ids


def _beside(corners: Sequence[tuple[float, float]], offset: float) -> Points:
    """Return a track moved sideways by ``offset``, its corners kept sharp."""
    path = np.asarray(corners, np.float64)
    along = np.diff(path, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    normals = np.stack([-along[:, 1], along[:, 0]], 1)
    moved = [path[0] + offset * normals[0]]
    for before, after, point in zip(normals[:-1], normals[1:], path[1:-1], strict=True):
        middle = before + after
        moved.append(point + offset * 2 * middle / (middle @ middle))
    return np.asarray([*moved, path[-1] + offset * normals[-1]])


def _copper(pose: Pose, shape: tuple[int, int]) -> Field:
    """Return where copper lies under the lacquer: a filled plane, and tracks and vias with a gap about them."""
    copper = np.ones(shape, np.float32)
    tracks = [
        pose(_beside(corners, (place - (count - 1) / 2) * pitch))
        for count, pitch, corners in _BUSES
        for place in range(count)
    ]
    gaps = [stroked(shape, [line], 10.5 * pose.zoom) for line in tracks]
    gaps += [filled(shape, pose(disc(x, y, 5.6))) for x, y in _VIAS]
    for kind, x, y, turns, _ in _PARTS:
        width, height = SIZES[kind]
        gaps.append(filled(shape, pose(box(x, y, width + 12, height + 8, angle=turns * np.pi / 2))))
    for window, cover in gaps:
        copper[window] *= 1 - cover
    lands = [stroked(shape, [line], 5.4 * pose.zoom) for line in tracks]
    lands += [filled(shape, pose(disc(x, y, 3.8))) for x, y in _VIAS]
    for window, cover in lands:
        copper[window] = np.maximum(copper[window], cover)
    return blur(copper, 0.7)


def _bare_board(rng: Generator, pose: Pose, shape: tuple[int, int]) -> Surface:
    """Make the bare board: copper under green lacquer, vias, the tone and weave of this one."""
    green = np.asarray(colour("0e4a31")) * rng.normal(1, 0.08) * rng.normal(1, 0.04, 3)
    surface = Surface(shape, (float(green[0]), float(green[1]), float(green[2])), gloss=0.10)
    lighter = (np.asarray(colour("27704a")) * rng.normal(1, 0.07)).astype(np.float32)
    surface.lay((slice(None), slice(None)), _copper(pose, shape), lighter, lift=1.5)
    weave = cloud(rng, shape, 5.0) * 0.025 + cloud(rng, shape, 90.0) * 0.05
    surface.albedo *= (1 + weave)[..., None]
    surface.height += 0.05 * cloud(rng, shape, 12.0) + 0.9 * cloud(rng, shape, 160.0)
    for x, y in _VIAS:
        window, cover = filled(shape, pose(disc(x, y, 3.0)), feather=0.5)
        surface.lay(window, cover * np.float32(0.8), np.asarray(SOLDER) * 0.8, metal=0.8, lift=0.8)
        window, cover = filled(shape, pose(disc(x, y, 1.5)), feather=0.6)
        surface.lay(window, cover, colour("10160f"), metal=0.0, lift=-5.0)
    return surface


def _print_legend(surface: Surface, rng: Generator, pose: Pose) -> None:
    """Print the white legend, a little beside its place as on every real board."""
    slip = rng.normal(0, 0.7, 2)
    lines: list[Points] = []
    for kind, x, y, turns, name in _PARTS:
        width, height = SIZES[kind][:: -1 if turns else 1]
        lines += lettering(name, x, y - height / 2 - 9.0, 7.0)
        if kind in ("coil", "crystal", "transistor", "diode", "led"):
            outline = box(x, y, width + 7, height + 5)
            lines.append(np.concatenate([outline, outline[:1]]))
        if kind == "can":
            outline = disc(x, y, 38)
            lines += [np.concatenate([outline, outline[:1]]), *lettering("+", x - 46, y, 8)]
    for sx, sy in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
        x, y = 176 + sx * 60, 190 + sy * 60
        lines.append(np.array([[x - sx * 9, y], [x, y], [x, y - sy * 9]]))
    lines += [*lettering("U1", 126, 120, 8), *lettering("U2", 334, 116, 8), *lettering("J1", 66, 34, 8)]
    lines += lettering("VT-84 REV C", 208, 272, 8.5)
    outline = box(_HEADER[0][0] + 80.5, 34, 190, 24)
    lines.append(np.concatenate([outline, outline[:1]]))
    strength = np.float32(rng.uniform(0.75, 0.97))
    window, cover = stroked(surface.shape, [pose(line + slip) for line in lines], 2.4, feather=0.5)
    patchy = np.clip(1 + 0.16 * cloud(rng, surface.shape, 7.0), 0, 1.0)[window]
    surface.lay(window, cover * strength * patchy, _INK, lift=0.5, gloss=0.02)


def _chips(surface: Surface, rng: Generator, pose: Pose) -> list[list[Points]]:
    """Solder both chips and the header; return their rows of pads, where solder may run together."""
    week = f"{rng.integers(20, 26)}{rng.integers(10, 53)}"
    first = Seat(pose, 176 + rng.normal(0, 0.5), 190 + rng.normal(0, 0.5), rng.normal(0, 0.012))
    rows = chip(
        surface, first, rng, size=(92, 92), leads=(10, 10), pitch=8.6, reach=12, width=3.8,
        texts=("VT32F4", "K7Q", f"{week}{'ABCD'[rng.integers(0, 4)]}"),
    )  # fmt: skip
    second = Seat(pose, 404 + rng.normal(0, 0.5), 116 + rng.normal(0, 0.5), rng.normal(0, 0.012))
    rows += chip(
        surface, second, rng, size=(106, 38), leads=(0, 8), pitch=13, reach=12, width=5.4, texts=("MX25L", week)
    )
    joints = []
    for place, (x, y) in enumerate(_HEADER):
        ring = pose(box(x, y, 17, 17)) if place == 0 else pose(disc(x, y, 8.8))
        solder(surface, ring, rise=0.8, shoulder=3)
        joint = disc(x, y, 7.4 + rng.normal(0, 0.35)) + rng.normal(0, 0.4, 2)
        solder(surface, pose(joint), rise=9 * rng.uniform(0.75, 1.2), shoulder=11)
        window, cover = filled(surface.shape, pose(disc(x, y, 2.6) + rng.normal(0, 0.5, 2)), feather=0.6)
        surface.lay(window, cover, np.asarray(SOLDER) * 0.9, lift=5.0 * dome(cover, 3), metal=1.0)
        joints.append(pose(joint))
    return [*rows, joints]


def _leave(surface: Surface, rng: Generator, outline: Points) -> None:
    """Leave what a part that fell off leaves behind: nothing, bare gold where no paste was, or a dot of glue."""
    kind = rng.random()
    window, cover = filled(surface.shape, outline + (outline - outline.mean(0)) * 0.6)
    if not cover.size:
        return
    if kind < 0.6:
        pads = cover * (surface.metal[window] > 0.5)
        surface.lay(window, pads, np.asarray(colour("c99a4a")) * rng.normal(1, 0.06), gloss=0.2)
    elif kind < 0.88:
        x, y = outline.mean(0) + rng.normal(0, 1.5, 2)
        window, cover = filled(surface.shape, blot(rng, x, y, rng.uniform(5, 9), rough=0.3), feather=0.6)
        surface.lay(window, cover, colour("a8402c"), lift=3 * dome(cover, 6), gloss=0.4, metal=0.0)


def _bridge(surface: Surface, rng: Generator, rows: list[list[Points]], cover: Field) -> None:
    """Join two or three neighbouring pads with solder that should not be there."""
    row = rows[rng.choice(len(rows), p=_ROWS)]
    first = int(rng.integers(0, len(row) - 1))
    last = min(first + (2 if rng.random() < 0.5 else 1), len(row) - 1)
    ends = [row[first].mean(0), row[last].mean(0)]
    reach = float(np.linalg.norm(ends[1] - ends[0]))
    along = (ends[1] - ends[0]) / reach
    across = np.array([-along[1], along[0]])
    spans = [np.ptp(row[first] @ across) * rng.uniform(0.8, 1.5) for _ in range(3)]
    middle = (ends[0] + ends[1]) / 2 + across * rng.normal(0, 1.6)
    waist = rng.uniform(0.7, 1.1)
    turns = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    wide = np.abs(np.cos(turns))
    profile = spans[0] / 2 * (waist + (1 - waist) * wide**2) + rng.normal(0, 0.35, 40)
    outline = middle + np.outer(np.cos(turns) * reach * 0.52, along) + np.outer(np.sin(turns) * profile, across)
    window, here = filled(surface.shape, outline, feather=0.5)
    if here.size:
        surface.lay(window, here, np.asarray(SOLDER) * rng.uniform(0.9, 1.15), metal=1.0, gloss=0.5)
        bulge = rng.uniform(5.0, 10.0) * dome(here, max(4.0, spans[0] / 2.5))
        surface.height[window] = np.maximum(surface.height[window], here * bulge + 1.5)
        np.maximum(cover[window], here, out=cover[window])


def _scratch(surface: Surface, rng: Generator) -> Field:
    """Scrape the lacquer, down to the copper where the tool pressed; return the cover of the scratch."""
    rows, columns = surface.shape
    cover = np.zeros(surface.shape, np.float32)
    start = np.array([rng.uniform(0.12, 0.88) * columns, rng.uniform(0.12, 0.88) * rows])
    angle, length = rng.uniform(0, 2 * np.pi), float(rng.uniform(110, 460))
    strokes = int(rng.choice([1, 1, 1, 2, 3]))
    for _ in range(strokes):
        away = start + rng.normal(0, 7, 2)
        line = wandering(rng, away, angle + rng.normal(0, 0.06), length * rng.uniform(0.6, 1), bend=0.035)
        width = float(rng.uniform(2.6, 6.5))
        window, here = stroked(surface.shape, [line], width, feather=0.5)
        if not here.size:
            continue
        pressed = np.clip(0.75 + 0.4 * cloud(rng, here.shape[:2], 14.0), 0, 1)
        bare = np.asarray(colour("b98a5a")) if width > 3 else np.asarray(colour("8fb08c"))
        strength = here * np.float32(rng.uniform(0.6, 1.0)) * pressed
        surface.lay(window, strength, bare, lift=-1.2, gloss=0.05)
        np.maximum(cover[window], here, out=cover[window])
    return np.asarray(cover > 0.35, np.float32)


def _soil(surface: Surface, rng: Generator) -> None:
    """Leave what is harmless: flux about the joints, dust, fibres, an inspector's dot."""
    shape = surface.shape
    for _ in range(int(rng.integers(0, 4))):
        x, y = rng.uniform(0, shape[1]), rng.uniform(0, shape[0])
        window, cover = filled(shape, blot(rng, x, y, rng.uniform(14, 44), rough=0.5), feather=7.0)
        cover = cover * (surface.height[window] < 12)  # it runs between the parts, not over them
        surface.lay(window, cover * np.float32(rng.uniform(0.04, 0.15)), colour("8a7a3c"), gloss=0.2)
    if rng.random() < 0.06:
        x, y = rng.uniform(60, shape[1] - 60), rng.uniform(60, shape[0] - 60)
        window, cover = filled(shape, blot(rng, x, y, rng.uniform(7, 12), rough=0.2), feather=0.8)
        tone = colour(str(rng.choice(["c8402e", "2b57b8", "e8e04a"])))
        surface.lay(window, cover * np.float32(0.75), tone, gloss=0.1)
    dust(rng, surface, specks=int(rng.integers(4, 26)), fibres=int(rng.integers(0, 2)), tone=colour("bdbfb8"))
