"""Draw images to learn to see from: what surfaces, parts, print and light have in common, and no photograph.

An image is a scene of random fields, shapes, lines, gratings and letters, lit, blurred and photographed with noise; or
a piece of one of the parts that the toolkit's own datasets draw. Image ``number`` depends on the number alone.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from scipy import ndimage

from vision_toolkit.data.synthetic import DATASETS, draw_image

__all__ = ["draw"]

Picture = NDArray[np.float32]
"""(side, side, 3), 0 to 1, but for light that goes beyond."""

PARTS = 0.12
"""Share of images that are pieces of the drawn datasets' parts."""
PARTS_SEED = 7_000
"""The bundled sets have seed 0: none of their images is drawn here."""
LETTERS = "ABCDEFGHKLMNPRSTUXYZabcdefghkmnorstuxyz0123456789 -./:%"


def draw(number: int, side: int) -> NDArray[np.uint8]:
    """Draw an image of ``side`` pixels each way: (side, side, 3) uint8 RGB.

    Examples
    --------
    >>> draw(3, 64).shape
    (64, 64, 3)
    """
    rng = np.random.default_rng([6, number])
    picture = _part(rng, side) if rng.random() < PARTS else _scene(rng, side)
    return _photographed(picture, rng)


def _scene(rng: Generator, side: int) -> Picture:
    """Lay up to six layers over a ground."""
    picture = _ground(rng, side)
    kinds = list(LAYERS)
    for _ in range(rng.integers(0, 6)):
        cover, colour = LAYERS[kinds[rng.integers(len(kinds))]](rng, side), _colours(rng, side)
        strength = np.float32(rng.uniform(0.3, 1.0)) * cover[..., None]
        picture = picture * (1 - strength) + colour * strength
        if rng.random() < 0.3:  # an edge that stands up, or is pressed in
            picture = picture + np.float32(rng.normal(0, 0.25)) * _relief(cover, rng)[..., None]
    return picture


def _part(rng: Generator, side: int) -> Picture:
    """Cut a piece out of a drawn part, with or without a defect."""
    name = str(rng.choice(list(DATASETS)))
    types = list(DATASETS[name].types)
    chosen = [str(rng.choice(types))] if rng.random() < 0.4 else []
    image, _ = draw_image(name, int(rng.integers(10_000)), seed=PARTS_SEED, types=chosen)
    height, width = image.shape[:2]
    size = int(rng.uniform(min(side, height) * 0.6, height))
    top, left = rng.integers(0, height - size + 1), rng.integers(0, width - size + 1)
    piece = Image.fromarray(image[top : top + size, left : left + size])
    return np.asarray(piece.resize((side, side), Image.Resampling.BILINEAR), np.float32) / 255


def _field(rng: Generator, side: int) -> NDArray[np.float32]:
    """Return noise of unit spread whose amplitude falls as a random power of the frequency, all ways or mostly one."""
    power, stretch, turn = rng.uniform(0.4, 2.6), 2.0 ** rng.normal(0, 1.2), rng.uniform(0, np.pi)
    fy, fx = np.meshgrid(np.fft.fftfreq(side), np.fft.rfftfreq(side), indexing="ij")
    along, across = fx * np.cos(turn) + fy * np.sin(turn), fy * np.cos(turn) - fx * np.sin(turn)
    frequency = np.sqrt((along * stretch) ** 2 + (across / stretch) ** 2) + 1.0 / side
    amplitude = frequency**-power
    if rng.random() < 0.3:  # a band: grain of one size
        amplitude = np.exp(-((np.log(frequency) - np.log(2.0 ** rng.uniform(-6, -1.5))) ** 2) / 0.2)
    noise = rng.normal(size=fy.shape) + 1j * rng.normal(size=fy.shape)
    field = np.fft.irfft2(noise * amplitude, (side, side))
    field = (field - field.mean()) / max(float(field.std()), 1e-6)
    if rng.random() < 0.25:  # cells and veins
        field = np.abs(field) - 0.8
    return field.astype(np.float32)


def _colours(rng: Generator, side: int) -> Picture:
    """Return one colour, or two that a field mixes."""
    grey = rng.random() < 0.45
    one, two = (_colour(rng, grey) for _ in range(2))
    if rng.random() < 0.5:
        return np.broadcast_to(one, (side, side, 3))
    share = 1 / (1 + np.exp(-rng.uniform(0.3, 3.0) * _field(rng, side)))
    return (one + (two - one) * share[..., None]).astype(np.float32)


def _colour(rng: Generator, grey: bool) -> NDArray[np.float32]:
    value = rng.uniform(0.02, 1.0)
    tint = rng.normal(0, 0.02 if grey else 0.35, 3)
    return np.clip(value * np.exp(tint), 0, 1).astype(np.float32)


def _ground(rng: Generator, side: int) -> Picture:
    picture = _colours(rng, side).copy()
    for _ in range(rng.integers(0, 3)):
        picture += np.float32(rng.uniform(0.01, 0.2)) * _field(rng, side)[..., None]
    return picture


def _shapes(rng: Generator, side: int) -> NDArray[np.float32]:
    """Cover by ellipses, rectangles and polygons, filled or outlined."""
    scale = 3
    canvas = Image.new("L", (side * scale, side * scale))
    pen = ImageDraw.Draw(canvas)
    largest = side * scale * 2.0 ** rng.uniform(-5, 0)
    for _ in range(rng.integers(1, 14)):
        x, y = rng.uniform(0, side * scale, 2)
        width, height = largest * rng.uniform(0.2, 1.0, 2)
        turn, corners = rng.uniform(0, 2 * np.pi), int(rng.choice([3, 4, 4, 4, 5, 6, 24, 24, 24]))
        angles = np.linspace(0, 2 * np.pi, corners, endpoint=False) + turn
        rough = rng.uniform(1 - rng.uniform(0, 0.5), 1, corners)
        points = np.stack([x + width * rough * np.cos(angles), y + height * rough * np.sin(angles)], axis=1)
        line = [(float(px), float(py)) for px, py in points]
        if rng.random() < 0.6:
            pen.polygon(line, fill=255)
        else:
            pen.line([*line, line[0]], fill=255, width=max(2, int(scale * 2 ** rng.uniform(-0.5, 3))))
    return _reduced(canvas, side)


def _lines(rng: Generator, side: int) -> NDArray[np.float32]:
    """Cover by scratches, cracks and threads: lines that wander."""
    scale = 3
    canvas = Image.new("L", (side * scale, side * scale))
    pen = ImageDraw.Draw(canvas)
    bend = rng.choice([0.0, 0.05, 0.3])
    for _ in range(rng.integers(1, 9)):
        steps = rng.integers(2, 40)
        angles = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, bend, steps))
        length = side * scale * rng.uniform(0.1, 1.2) / steps
        start = rng.uniform(0, side * scale, 2)
        points = start + length * np.cumsum(np.stack([np.cos(angles), np.sin(angles)], axis=1), axis=0)
        pen.line(
            [(float(x), float(y)) for x, y in points], fill=255, width=max(1, int(scale * 2 ** rng.uniform(-1, 2)))
        )
    return _reduced(canvas, side)


def _grating(rng: Generator, side: int) -> NDArray[np.float32]:
    """Cover by stripes, a lattice or rings, straight or bent."""
    y, x = np.mgrid[:side, :side].astype(np.float32) - side * rng.uniform(-0.2, 1.2, 2)[:, None, None].astype(
        np.float32
    )
    bent = np.float32(rng.choice([0.0, 0.0, 1.0]) * side * rng.uniform(0.01, 0.08)) * _field(rng, side)
    turn, period = rng.uniform(0, np.pi), 2.0 ** rng.uniform(1.2, 6)
    along = x * np.cos(turn) + y * np.sin(turn) + bent
    if rng.random() < 0.25:
        along = np.hypot(x, y) + bent
    wave = np.cos(2 * np.pi * along / period)
    if rng.random() < 0.4:
        across = y * np.cos(turn) - x * np.sin(turn) + bent
        other = np.cos(2 * np.pi * across / (period * 2.0 ** rng.normal(0, 0.5)))
        wave = np.maximum(wave, other) if rng.random() < 0.5 else wave * other
    hard = 2.0 ** rng.uniform(-1, 5)
    return (1 / (1 + np.exp(-hard * (wave - rng.uniform(-0.6, 0.6))))).astype(np.float32)


def _letters(rng: Generator, side: int) -> NDArray[np.float32]:
    """Cover by lines of print."""
    canvas = Image.new("L", (side, side))
    pen = ImageDraw.Draw(canvas)
    size = 2.0 ** rng.uniform(2.8, 5.5)
    font = ImageFont.load_default(size)
    for row in range(rng.integers(1, 6)):
        text = "".join(rng.choice(list(LETTERS), rng.integers(3, 24)))
        where = float(rng.uniform(-0.2, 0.6) * side), float(row * size * 1.3 + rng.uniform(0, 0.5) * side)
        pen.text(where, text, fill=255, font=font)
    return np.asarray(canvas.rotate(float(rng.choice([0, 90, rng.uniform(0, 360)]))), np.float32) / 255


def _blots(rng: Generator, side: int) -> NDArray[np.float32]:
    """Cover where a field is high: stains, rust, islands."""
    field = _field(rng, side) - np.float32(rng.uniform(-0.5, 2.2))
    return (1 / (1 + np.exp(-np.clip(field * 2.0 ** rng.uniform(0, 6), -30, 30)))).astype(np.float32)


def _specks(rng: Generator, side: int) -> NDArray[np.float32]:
    """Cover by dust: points of one to five pixels."""
    cover = (rng.random((side, side)) < 10.0 ** rng.uniform(-4, -1.5)).astype(np.float32)
    cover = ndimage.gaussian_filter(cover, rng.uniform(0.4, 2.0))
    return np.clip(cover / max(float(cover.max()), 1e-6) * 1.5, 0, 1).astype(np.float32)


LAYERS: dict[str, Callable[[Generator, int], NDArray[np.float32]]] = {
    "shapes": _shapes,
    "more shapes": _shapes,
    "lines": _lines,
    "grating": _grating,
    "letters": _letters,
    "blots": _blots,
    "specks": _specks,
}
"""What is laid over a ground: name to what returns its cover, (side, side) from 0 to 1."""


def _reduced(canvas: Image.Image, side: int) -> NDArray[np.float32]:
    return np.asarray(canvas.resize((side, side), Image.Resampling.BOX), np.float32) / 255


def _relief(cover: NDArray[np.float32], rng: Generator) -> NDArray[np.float32]:
    """Light the edges of a cover from one side."""
    soft = ndimage.gaussian_filter(cover, rng.uniform(0.5, 3.0))
    turn = rng.uniform(0, 2 * np.pi)
    slope = np.gradient(soft, axis=1) * np.cos(turn) + np.gradient(soft, axis=0) * np.sin(turn)
    return (slope / max(float(np.abs(slope).max()), 1e-6)).astype(np.float32)


def _photographed(picture: Picture, rng: Generator) -> NDArray[np.uint8]:
    """Light a picture from one side, and take it with a lens, an exposure and a sensor."""
    side = len(picture)
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j].astype(np.float32)
    turn = rng.uniform(0, 2 * np.pi)
    light = 1 + rng.uniform(0, 0.35) * (x * np.cos(turn) + y * np.sin(turn)) - rng.uniform(0, 0.2) * (x**2 + y**2)
    picture = picture * light[..., None].astype(np.float32)
    if rng.random() < 0.15:  # a highlight
        cx, cy, size = rng.uniform(-1, 1), rng.uniform(-1, 1), 2.0 ** rng.uniform(-3, 0)
        shine = np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / size**2)
        picture = picture + np.float32(rng.uniform(0.1, 0.8)) * shine[..., None].astype(np.float32)
    if rng.random() < 0.5:
        picture = ndimage.gaussian_filter(picture, (*[rng.uniform(0.3, 1.6)] * 2, 0))
    picture = (picture - 0.5) * 2.0 ** rng.normal(0, 0.35) + 0.5 + rng.normal(0, 0.08)
    if rng.random() < 0.1:
        picture = picture.mean(axis=2, keepdims=True).repeat(3, axis=2)
    picture = picture * np.exp(rng.normal(0, 0.05, 3)).astype(np.float32)
    picture = np.clip(picture, 0, 1) ** np.float32(np.exp(rng.normal(0, 0.2)))
    picture = picture + rng.normal(0, 10.0 ** rng.uniform(-3, -1.3), picture.shape).astype(np.float32)
    taken = (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)
    if rng.random() < 0.15:
        sharp = Image.fromarray(taken).filter(ImageFilter.UnsharpMask(2, int(rng.uniform(50, 200)), 2))
        taken = np.asarray(sharp)
    return taken
