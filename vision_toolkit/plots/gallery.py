"""Many images on one sheet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vision_toolkit.core import Invalid
from vision_toolkit.core.mask import hex_to_rgb
from vision_toolkit.plots.charts import clipped
from vision_toolkit.plots.overlay import as_rgb
from vision_toolkit.plots.style import INK, detached, quiet

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["MAX_IMAGES", "contact_sheet"]

MAX_IMAGES = 200
"""Most images of one sheet: more than that nobody looks at."""
_DOTS = 150
"""Dots of the picture for every inch of the sheet."""
_TALLEST = 1.4
"""Height of a place over its width, at most: a taller image is fitted into it."""


def contact_sheet(
    images: Sequence[NDArray[np.uint8]],
    *,
    titles: Sequence[str] | None = None,
    colours: Sequence[str | None] | None = None,
    columns: int | None = None,
    width: float = 11.0,
) -> Figure:
    """Show images side by side, each whole and in its own proportions.

    Parameters
    ----------
    images
        1 to :data:`MAX_IMAGES`, each (H, W, 3) RGB or (H, W) grey, uint8, of any size.
    titles
        one to three lines above each image; long lines are cut.
    colours
        ``#rrggbb`` of a frame around each image, or None for no frame.
    columns
        images side by side; by default what fills the sheet well, at most twelve.
    width
        of the sheet in inches.

    Returns
    -------
    Figure
        one figure with one axes; its height follows from the images.

    Raises
    ------
    Invalid
        if there are no images or too many, or if the number of titles or colours differs from theirs.

    Examples
    --------
    >>> sheet = contact_sheet([np.zeros((40, 60), np.uint8)] * 3, titles=["a", "b", "c"], width=6)
    >>> sheet.get_size_inches()[0].item(), [text.get_text() for text in sheet.axes[0].texts]
    (6.0, ['a', 'b', 'c'])
    """
    _check(images, titles, colours, columns, width)
    across = columns or min(
        8 if len(images) <= 64 else 12, max(min(len(images), 3), math.ceil(math.sqrt(len(images) * 1.3)))
    )
    shapes = [as_rgb(image).shape for image in images]
    cell = width / across
    inner = cell * 0.93
    # A row is as high as its images need, so that a sheet of wide images has no empty bands.
    tallest = max(min(_TALLEST, shape[0] / shape[1]) for shape in shapes)
    heads = [_lines(title, max(4, int(cell * 12.5))) for title in titles or ()]
    head = 0.10 + 0.155 * max((len(lines) for lines in heads), default=0) if heads else 0.0
    row = inner * tallest + head + cell * 0.07
    height = row * math.ceil(len(images) / across)
    with quiet():
        import matplotlib.pyplot as plt
        from matplotlib.patches import Rectangle

        figure = plt.figure(figsize=(width, height))
        ax = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        ax.set(xlim=(0, width), ylim=(height, 0))
        ax.set_axis_off()
        for index, image in enumerate(images):
            picture = _fitted(image, inner, tallest)
            high, wide = picture.shape[0] / _DOTS, picture.shape[1] / _DOTS
            left = (index % across) * cell + (cell - wide) / 2
            top = (index // across) * row + head + cell * 0.035 + (inner * tallest - high) / 2
            ax.imshow(picture, extent=(left, left + wide, top + high, top), interpolation="antialiased", aspect="auto")
            colour = colours[index] if colours is not None else None
            if colour is not None:
                ax.add_patch(Rectangle((left, top), wide, high, fill=False, edgecolor=colour, linewidth=3))
            if heads:
                start, base = (index % across) * cell + cell * 0.035, (index // across) * row + head
                ax.text(start, base, "\n".join(heads[index]), fontsize=8.5, color=INK, va="bottom", linespacing=1.15)
        # Each picture set the limits anew.
        ax.set(xlim=(0, width), ylim=(height, 0))
    return detached(figure)


def _check(
    images: Sequence[Any],
    titles: Sequence[str] | None,
    colours: Sequence[str | None] | None,
    columns: int | None,
    width: float,
) -> None:
    if not 1 <= len(images) <= MAX_IMAGES:
        raise Invalid(f"A sheet shows 1 to {MAX_IMAGES} images; {len(images)} were given. Show a part of them.")
    for name, given in (("titles", titles), ("colours", colours)):
        if given is not None and len(given) != len(images):
            raise Invalid(f"There must be one of {name} for each image: {len(images)}; {len(given)} were given.")
    for colour in colours or ():
        if colour is not None:
            hex_to_rgb(colour)
    if columns is not None and columns < 1:
        raise Invalid(f"columns must be at least 1; {columns} was given.")
    if not 1.0 <= width <= 60.0:
        raise Invalid(f"width is inches, from 1 to 60; {width} was given.")


def _lines(title: str, letters: int) -> list[str]:
    return [clipped(line, letters) for line in title.split("\n")[:3]]


def _fitted(image: NDArray[np.uint8], inner: float, tallest: float) -> NDArray[np.uint8]:
    """Return the image at the size of its place on the sheet, in dots."""
    pixels = as_rgb(image)
    height, width = pixels.shape[:2]
    scale = min(inner * _DOTS / width, inner * tallest * _DOTS / height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    # Few large pixels are shown as pixels: blurring a thumbnail up invents what is not there.
    how = Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.NEAREST if scale > 4 else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(pixels).resize(size, how), np.uint8)
