"""Paint surfaces and photograph them: what the drawn datasets share.

A part is a :class:`Surface`: colour, height, gloss and metal of every point, at twice the resolution of the
photograph. :func:`shade` lights it, :func:`photograph` is the lens and the sensor. Lengths are in work pixels,
two to a pixel of the photograph, unless said otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

__all__ = [
    "SCALE",
    "Camera",
    "Field",
    "Light",
    "Points",
    "Pose",
    "Surface",
    "Window",
    "blot",
    "blur",
    "box",
    "cloud",
    "colour",
    "disc",
    "dome",
    "dust",
    "filled",
    "lettering",
    "photograph",
    "reduced",
    "shade",
    "stroked",
    "wandering",
]

Field = NDArray[np.float32]
Points = NDArray[np.float64]
Window = tuple[slice, slice]

SCALE = 2
"""Work pixels to a pixel of the photograph, along each side."""

# Strokes on a grid of 4 x 6, y down: two digits a point, a blank between lines. Drawn letters look like what
# board makers, engravers and biscuit dies use, and do not depend on an installed font.
_GLYPHS = {
    "0": "103041453616050110", "1": "112026 1636", "2": "01103041420646", "3": "01103041423323 334445361605",
    "4": "36300444", "5": "400003334445361605", "6": "30100105163645443303", "7": "004016",
    "8": "103041423313020110 3344453616050413", "9": "43130201103041453616", "A": "062046 1434",
    "B": "00063645443303 3342413000", "C": "4130100105163645", "D": "00063645413000", "E": "40000646 0333",
    "F": "400006 0333", "G": "41301001051636454323", "H": "0006 4046 0343", "I": "2026", "J": "4045361605",
    "K": "0006 400346", "L": "000646", "M": "0600234046", "N": "06004640", "O": "103041453616050110",
    "P": "06003041423303", "Q": "103041453616050110 3446", "R": "06003041423303 2346",
    "S": "413010010213334445361605", "T": "0040 2026", "U": "000516364540", "V": "002640", "W": "0016233640",
    "X": "0046 4006", "Y": "002340 2326", "Z": "00400646", "-": "1333", "+": "1333 2224", ".": "2526", " ": "",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pose:
    """Place drawing coordinates (pixels of the photograph) on the work canvas.

    Parameters
    ----------
    angle
        turn about ``centre``, radians, clockwise as seen.
    zoom
        enlargement about ``centre``.
    shift
        ``(x, y)`` in pixels of the photograph.
    centre
        ``(x, y)`` in pixels of the photograph.
    """

    angle: float = 0.0
    zoom: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)
    centre: tuple[float, float] = (0.0, 0.0)

    def __call__(self, points: ArrayLike) -> Points:
        """Return (N, 2) work pixels for (N, 2) drawing coordinates."""
        moved = np.asarray(points, np.float64) - self.centre
        cosine, sine = np.cos(self.angle) * self.zoom, np.sin(self.angle) * self.zoom
        turned = moved @ np.array([[cosine, sine], [-sine, cosine]])
        return np.asarray((turned + self.centre + self.shift) * SCALE)


class Surface:
    """Hold what a part looks like before it is lit: four maps of one size.

    ``albedo`` (H, W, 3) in linear light 0 to 1, ``height`` (H, W) in work pixels, ``gloss`` and ``metal`` (H, W)
    from 0 to 1.
    """

    __slots__ = ("albedo", "gloss", "height", "metal")

    def __init__(self, shape: tuple[int, int], tone: tuple[float, float, float], *, gloss: float = 0.0) -> None:
        self.albedo: Field = np.empty((*shape, 3), np.float32)
        self.albedo[:] = tone
        self.height: Field = np.zeros(shape, np.float32)
        self.gloss: Field = np.full(shape, gloss, np.float32)
        self.metal: Field = np.zeros(shape, np.float32)

    @property
    def shape(self) -> tuple[int, int]:
        """Return ``(height, width)`` in work pixels."""
        return self.height.shape[0], self.height.shape[1]

    def lay(
        self,
        window: Window,
        cover: Field,
        tone: ArrayLike | None = None,
        *,
        level: ArrayLike | None = None,
        lift: ArrayLike | None = None,
        gloss: float | None = None,
        metal: float | None = None,
    ) -> None:
        """Lay a material over the window where ``cover`` (0 to 1) says so; ``level`` sets the height, ``lift`` adds."""
        for field, value in ((self.height, level), (self.gloss, gloss), (self.metal, metal)):
            if value is not None:
                field[window] += cover * (np.asarray(value, np.float32) - field[window])
        if lift is not None:
            self.height[window] += cover * np.asarray(lift, np.float32)
        if tone is not None:
            self.albedo[window] += cover[..., None] * (np.asarray(tone, np.float32) - self.albedo[window])


@dataclass(frozen=True, slots=True)
class Light:
    """Describe a lamp near the part and the light of the room.

    Parameters
    ----------
    azimuth, elevation
        where the lamp stands as seen from the middle, radians; azimuth 0 is right, a quarter turn is below.
    distance
        of the lamp from the middle, in widths of the image.
    key, ambient
        strength of the lamp and of the room.
    tint
        red, green, blue of both.
    sharpness
        how small the lamp's mirror image is.
    """

    azimuth: float
    elevation: float
    distance: float = 2.0
    key: float = 1.0
    ambient: float = 0.3
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    sharpness: float = 60.0

    def vectors(self, shape: tuple[int, int]) -> tuple[Field, Field, Field]:
        """Return x, y, z of the unit vectors from every point to the lamp."""
        rows, columns = shape
        reach = self.distance * columns
        y, x = np.ogrid[0:rows, 0:columns]
        dx = (columns / 2 + reach * np.cos(self.elevation) * np.cos(self.azimuth) - x).astype(np.float32)
        dy = (rows / 2 + reach * np.cos(self.elevation) * np.sin(self.azimuth) - y).astype(np.float32)
        dz = np.float32(reach * np.sin(self.elevation))
        inverse = 1.0 / np.sqrt(dx * dx + dy * dy + dz * dz)
        return dx * inverse, dy * inverse, dz * inverse


@dataclass(frozen=True, slots=True)
class Camera:
    """Describe the lens and the sensor of one shot.

    ``exposure`` multiplies the light; ``white`` is red, green, blue of the balance; ``defocus`` in pixels of the
    photograph; ``vignette`` the light lost in the corners; ``noise`` the sensor's, relative to full scale.
    """

    exposure: float = 1.0
    white: tuple[float, float, float] = (1.0, 1.0, 1.0)
    defocus: float = 0.5
    vignette: float = 0.2
    noise: float = 0.008


def colour(text: str) -> tuple[float, float, float]:
    """Return ``rrggbb`` as seen on a screen in linear light, 0 to 1.

    Examples
    --------
    >>> colour("ffffff")
    (1.0, 1.0, 1.0)
    """
    values = [int(text[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    red, green, blue = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values)
    return red, green, blue


def blur(field: Field, sigma: float) -> Field:
    """Return the field under a Gaussian of ``sigma`` work pixels along its first two axes."""
    spread = (sigma, sigma, 0)[: field.ndim]
    return np.asarray(ndimage.gaussian_filter(field, spread, truncate=3.0, mode="nearest"), np.float32)


def cloud(rng: Generator, shape: tuple[int, int], cell: float) -> Field:
    """Return smooth noise of mean 0 and deviation about 1 whose lumps are ``cell`` work pixels wide."""
    rows, columns = max(4, round(shape[0] / cell) + 3), max(4, round(shape[1] / cell) + 3)
    seeds = Image.fromarray(rng.standard_normal((rows, columns)).astype(np.float32))
    frame = (1.0, 1.0, 1.0 + shape[1] / cell, 1.0 + shape[0] / cell)
    frame = (1.0, 1.0, min(frame[2], columns), min(frame[3], rows))
    return np.asarray(seeds.resize((shape[1], shape[0]), Image.Resampling.BICUBIC, box=frame), np.float32) * 1.25


def _window(shape: tuple[int, int], points: Points, margin: float) -> Window | None:
    low, high = np.floor(points.min(0) - margin).astype(int), np.ceil(points.max(0) + margin).astype(int) + 1
    left, top = np.maximum(low, 0)
    right, bottom = min(high[0], shape[1]), min(high[1], shape[0])
    if right - left < 2 or bottom - top < 2:
        return None
    return slice(int(top), int(bottom)), slice(int(left), int(right))


_NOWHERE: Window = (slice(0, 0), slice(0, 0))


def filled(shape: tuple[int, int], points: Points, *, feather: float = 0.0) -> tuple[Window, Field]:
    """Return the window around a polygon of work pixels and its cover there; empty outside the canvas."""
    window = _window(shape, points, 2 + 3 * feather)
    if window is None:
        return _NOWHERE, np.zeros((0, 0), np.float32)
    rows, columns = window
    canvas = Image.new("L", (columns.stop - columns.start, rows.stop - rows.start))
    ImageDraw.Draw(canvas).polygon([(x - columns.start, y - rows.start) for x, y in points.tolist()], fill=255)
    cover = np.asarray(np.asarray(canvas, np.float32) / np.float32(255), np.float32)
    return window, blur(cover, feather) if feather else cover


def stroked(
    shape: tuple[int, int], lines: Sequence[Points], width: float, *, feather: float = 0.0
) -> tuple[Window, Field]:
    """Return the window around lines of ``width`` work pixels and their cover there; empty outside the canvas."""
    lines = [line for line in lines if len(line) > 1]
    window = _window(shape, np.concatenate(lines), 2 + width + 3 * feather) if lines else None
    if window is None:
        return _NOWHERE, np.zeros((0, 0), np.float32)
    rows, columns = window
    canvas = Image.new("L", (columns.stop - columns.start, rows.stop - rows.start))
    pen = ImageDraw.Draw(canvas)
    radius = width / 2
    for line in lines:
        path = [(x - columns.start, y - rows.start) for x, y in line.tolist()]
        pen.line(path, fill=255, width=max(1, round(width)), joint="curve")
        if width >= 3:
            for x, y in (path[0], path[-1]):
                pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    cover = np.asarray(np.asarray(canvas, np.float32) / np.float32(255), np.float32)
    return window, blur(cover, feather) if feather else cover


def box(x: float, y: float, width: float, height: float, *, angle: float = 0.0, corner: float = 0.0) -> Points:
    """Return the outline of a box about ``(x, y)``, turned by ``angle`` radians, with rounded corners."""
    if corner > 0:
        turns = np.linspace(0, np.pi / 2, 6)
        arcs = [
            (sx * (width / 2 - corner), sy * (height / 2 - corner), turns + start)
            for sx, sy, start in ((1, 1, 0.0), (-1, 1, np.pi / 2), (-1, -1, np.pi), (1, -1, 1.5 * np.pi))
        ]
        flat = np.concatenate([np.stack([cx + corner * np.cos(t), cy + corner * np.sin(t)], 1) for cx, cy, t in arcs])
    else:
        flat = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * [width / 2, height / 2]
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.asarray(flat @ np.array([[cosine, sine], [-sine, cosine]]) + [x, y], np.float64)


def disc(x: float, y: float, radius: float, *, corners: int = 40) -> Points:
    """Return the outline of a disc."""
    turns = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    return np.stack([x + radius * np.cos(turns), y + radius * np.sin(turns)], 1)


def blot(rng: Generator, x: float, y: float, radius: float, *, rough: float = 0.25, stretch: float = 1.0) -> Points:
    """Return an irregular closed outline about ``(x, y)``: a drop, a stain, a chip."""
    turns = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    reach = np.ones_like(turns)
    for wave in range(2, 8):
        reach += rough * rng.normal() / wave * np.cos(wave * turns + rng.uniform(0, 6.3))
    reach = np.clip(reach, 0.35, 1.8) * radius
    flat = np.stack([reach * np.cos(turns) * stretch, reach * np.sin(turns) / stretch], 1)
    angle = rng.uniform(0, np.pi)
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.asarray(flat @ np.array([[cosine, sine], [-sine, cosine]]) + [x, y], np.float64)


def wandering(rng: Generator, start: ArrayLike, angle: float, length: float, *, bend: float, step: float = 4) -> Points:
    """Return a line that wanders from ``start``; ``bend`` radians is how much it may turn in one ``step``."""
    steps = max(2, round(length / step))
    angles = angle + np.cumsum(rng.normal(0, bend, steps))
    paces = np.stack([np.cos(angles), np.sin(angles)], 1) * (length / steps)
    return np.concatenate([np.asarray([start], np.float64), np.asarray(start) + np.cumsum(paces, 0)])


def lettering(text: str, x: float, y: float, size: float, *, angle: float = 0.0) -> list[Points]:
    """Return the strokes of capitals, digits and ``-+.`` about ``(x, y)``; ``size`` is the letters' height."""
    unit = size / 6
    width = (len(text) * 5.6 - 1.6) * unit
    cosine, sine = np.cos(angle), np.sin(angle)
    turn = np.array([[cosine, sine], [-sine, cosine]])
    lines = []
    for place, letter in enumerate(text):
        for line in _GLYPHS[letter].split():
            digits = np.array([int(digit) for digit in line], np.float64).reshape(-1, 2)
            flat = digits * unit + [place * 5.6 * unit - width / 2, -size / 2]
            lines.append(np.asarray(flat @ turn + [x, y]))
    return lines


def dome(cover: Field, radius: float) -> Field:
    """Return a round shoulder of ``radius`` work pixels inside a cover: 0 at its edge, 1 within."""
    if cover.size == 0:
        return cover
    depth = ndimage.distance_transform_edt(cover > 0.5)
    near = 1 - np.clip(depth / radius, 0, 1)
    return np.asarray(np.sqrt(np.maximum(0, 1 - near * near)), np.float32)


def dust(rng: Generator, surface: Surface, *, specks: int, fibres: int, tone: ArrayLike) -> None:
    """Strew specks and fibres over a surface: harmless, and part of every real photograph."""
    rows, columns = surface.shape
    for _ in range(specks):
        x, y = rng.uniform(0, columns), rng.uniform(0, rows)
        window, cover = filled(surface.shape, blot(rng, x, y, rng.uniform(0.8, 2.6), rough=0.5), feather=0.6)
        surface.lay(window, cover * np.float32(rng.uniform(0.3, 0.9)), tone, lift=0.6, gloss=0.0)
    for _ in range(fibres):
        start = (rng.uniform(0, columns), rng.uniform(0, rows))
        line = wandering(rng, start, rng.uniform(0, 6.3), rng.uniform(14, 60), bend=0.25)
        window, cover = stroked(surface.shape, [line], 1, feather=0.5)
        surface.lay(window, cover * np.float32(rng.uniform(0.4, 1.0)), tone, lift=0.8, gloss=0.0)


def _shadow(height: Field, light: Light, reach: int) -> Field:
    """Return 0 to 1: how much of the lamp every point sees over its neighbours."""
    dx, dy, slope = np.cos(light.azimuth), np.sin(light.azimuth), np.tan(light.elevation)
    over = np.zeros_like(height)
    for distance in np.unique(np.geomspace(2, reach, 9).round()):
        shift = (-distance * dy, -distance * dx)
        moved = np.roll(height, (round(shift[0]), round(shift[1])), (0, 1))
        np.maximum(over, moved - np.float32(distance * slope) - height, out=over)
    return 1 - blur(np.clip(over / 2.5, 0, 1).astype(np.float32), 1.8)


def shade(surface: Surface, light: Light, *, reach: int = 40) -> Field:
    """Light a surface: (H, W, 3) linear light.

    Lambert for what is dull, mirror images of the lamp and of a bright ceiling for gloss and metal, cast shadows
    up to ``reach`` work pixels long, and darker corners where light of the room cannot enter.
    """
    height = blur(surface.height, 0.8)
    slope_y, slope_x = np.gradient(height)
    nz = 1 / np.sqrt(1 + slope_x * slope_x + slope_y * slope_y)
    nx, ny = -slope_x * nz, -slope_y * nz
    lx, ly, lz = light.vectors(surface.shape)
    facing = nx * lx + ny * ly + nz * lz
    seen = _shadow(height, light, reach)
    small = height[::4, ::4]
    around = np.asarray(Image.fromarray(blur(small, 5.0)).resize(height.shape[::-1], Image.Resampling.BILINEAR))
    open_sky = np.clip(1 - np.maximum(around - height, 0) / 22, 0.35, 1)
    mirrored = 2 * nz * facing - lz  # the mirrored view meets the lamp where this reaches 1
    glint = np.exp(light.sharpness * (np.minimum(mirrored, 1) - 1)) * seen
    broad = np.exp(9 * (np.minimum(mirrored, 1) - 1)) * seen
    ceiling = np.clip(2 * nz * nz - 1, 0, 1)  # a metal that looks sideways mirrors the dark room
    dull = (1 - surface.metal) * (light.ambient * open_sky + light.key * np.clip(facing, 0, 1) * seen)
    metal = surface.metal * (open_sky * (0.12 + 0.5 * ceiling * (0.35 + 0.65 * seen)) + light.key * 1.5 * broad)
    sheen = surface.gloss * light.key * (1.6 * glint + 0.10 * broad)
    lit = surface.albedo * (dull + metal)[..., None] + sheen[..., None]
    return np.asarray(lit * np.asarray(light.tint, np.float32), np.float32)


def reduced(field: Field) -> Field:
    """Return a work map at the size of the photograph: each pixel the mean of its work pixels."""
    rows, columns = field.shape[0] // SCALE, field.shape[1] // SCALE
    parts = field[: rows * SCALE, : columns * SCALE].reshape(rows, SCALE, columns, SCALE, *field.shape[2:])
    return np.asarray(parts.mean((1, 3)), np.float32)


def photograph(linear: Field, camera: Camera, rng: Generator) -> NDArray[np.uint8]:
    """Take the picture: lens, sensor, tone curve; (H / SCALE, W / SCALE, 3) uint8."""
    image = blur(reduced(linear), camera.defocus)
    rows, columns = image.shape[:2]
    image += 0.05 * blur(np.maximum(image - 0.8, 0), 7.0)  # stray light of what is too bright
    y, x = np.ogrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
    fall = 1 - camera.vignette * (x * x + y * y) / 2
    image *= (fall[..., None] * camera.exposure * np.asarray(camera.white)).astype(np.float32)
    grain = blur(rng.standard_normal(image.shape).astype(np.float32), 0.45)
    image += camera.noise * 1.6 * grain * np.sqrt(np.clip(image, 0.01, 1) + 0.02)
    # A camera's shoulder: bright metal rolls off before it clips.
    image = np.clip(image, 0, None)
    image = np.where(image > 0.7, 0.7 + 0.3 * np.tanh((image - 0.7) / 0.3), image)
    seen = np.where(image <= 0.0031308, 12.92 * image, 1.055 * np.power(np.maximum(image, 1e-6), 1 / 2.4) - 0.055)
    return np.asarray((np.clip(seen, 0, 1) * 255).round(), np.uint8)
