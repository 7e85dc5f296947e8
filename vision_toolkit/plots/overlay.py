"""Lay masks and heat maps over an image, so that the part and what was said of it are seen together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vision_toolkit.core import Invalid, Mask
from vision_toolkit.core.mask import BACKGROUND, hex_to_rgb
from vision_toolkit.plots.style import INK, new_axes, quiet

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["heat_colours", "overlay", "percent", "show_overlay", "trace"]

_HEAT = ("#7E03A8", "#AA2395", "#CC4778", "#E56B5D", "#F89441", "#FDC328", "#F0F921")
"""Even steps of the upper three quarters of "plasma" (public domain): its lightness rises evenly, also for colour-blind
eyes. The darkest quarter is left out, because it is not seen on dark parts."""


def heat_colours(values: NDArray[Any], *, level: float = 0.5) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the colour and the weight of every height of a heat map.

    Heights up to four fifths of ``level`` weigh nothing; from there colour and weight grow, and half-way between
    ``level`` and 1 the weight is full.

    Parameters
    ----------
    values
        heights from 0 to 1, any shape.
    level
        the height that normal images just reach, above 0 and below 1.

    Returns
    -------
    tuple
        colours, shape of ``values`` + (3,), float64 from 0 to 255; weights, shape of ``values``, from 0 to 1.

    Raises
    ------
    Invalid
        if ``level`` is not between 0 and 1.

    Examples
    --------
    >>> colours, weights = heat_colours(np.array([0.0, 0.4, 1.0]))
    >>> weights.tolist(), colours[2].tolist()
    ([0.0, 0.0, 1.0], [240.0, 249.0, 33.0])
    """
    if not 0.0 < level < 1.0:
        raise Invalid(f"level must lie between 0 and 1, both left out; {level} was given.")
    start, full = 0.8 * level, level + 0.5 * (1.0 - level)
    heights = np.clip(np.asarray(values, np.float64), 0.0, 1.0)
    steps = np.array([hex_to_rgb(colour) for colour in _HEAT], np.float64)
    where = np.clip((heights - start) / (1.0 - start), 0.0, 1.0) * (len(steps) - 1)
    colours = np.stack([np.interp(where, np.arange(len(steps)), steps[:, channel]) for channel in range(3)], axis=-1)
    rise = np.clip((heights - start) / (full - start), 0.0, 1.0)
    return colours, rise * rise * (3.0 - 2.0 * rise)


def overlay(
    image: NDArray[np.uint8],
    *,
    mask: Mask | None = None,
    map: NDArray[Any] | None = None,
    opacity: float = 0.5,
    outline: bool = True,
    level: float = 0.5,
) -> NDArray[np.uint8]:
    """Lay a heat map, a mask or both over an image.

    What is normal stays as it was photographed: background pixels of the mask, and heights of the map well below
    ``level``. The heat map is laid first, the mask upon it.

    Parameters
    ----------
    image
        (H, W, 3) RGB or (H, W) grey, uint8.
    mask
        of the same size as the image; its types are painted in the colours of the mask.
    map
        heat map, (h, w) from 0 to 1 of any size: resized bilinearly to the image.
    opacity
        weight of the paint, 0 (nothing to see) to 1 (covers the image).
    outline
        whether to draw the edge of every type in its full colour, and the line where the map reaches ``level``.
    level
        the height of the map that normal images just reach.

    Returns
    -------
    NDArray
        (H, W, 3) uint8, a new array.

    Raises
    ------
    Invalid
        if a shape, a dtype or a range breaks these rules.

    Examples
    --------
    >>> image = np.full((1, 2, 3), 100, np.uint8)
    >>> mask = Mask(np.array([[0, 1]], np.uint8), ("background", "scratch"), ("#FFFFFF", "#C80000"))
    >>> overlay(image, mask=mask, opacity=0.5, outline=False).tolist()
    [[[100, 100, 100], [150, 50, 50]]]
    """
    picture = as_rgb(image)
    if not 0.0 <= opacity <= 1.0:
        raise Invalid(f"opacity must lie from 0 to 1; {opacity} was given.")
    if map is not None:
        picture = _lay_map(picture, map, opacity=opacity, outline=outline, level=level)
    if mask is not None:
        _same_size(picture, mask, "mask")
        inside = mask.ids > 0
        paint = mask.to_rgb()[inside]
        picture[inside] = np.rint(picture[inside] * (1.0 - opacity) + paint * opacity).astype(np.uint8)
        if outline and opacity > 0:
            edge = inner_edge(mask.ids, line_width(mask.ids.shape))
            picture[edge] = mask.to_rgb()[edge]
    return picture


def trace(image: NDArray[np.uint8], mask: Mask, *, width: int | None = None) -> NDArray[np.uint8]:
    """Draw the outlines of a mask and leave everything else as it is.

    Each type is traced in its colour just inside its edge, with a white line just outside, so that the line is seen on
    any part and upon a filled mask of the same colour.

    Parameters
    ----------
    image
        (H, W, 3) RGB or (H, W) grey, uint8.
    mask
        of the same size as the image.
    width
        of each line in pixels, from 1; by default one for every 400 pixels of the longer side.

    Returns
    -------
    NDArray
        (H, W, 3) uint8, a new array.

    Raises
    ------
    Invalid
        if the sizes differ, or ``width`` is less than 1.

    Examples
    --------
    >>> ids = np.zeros((3, 5), np.uint8)
    >>> ids[:, 2] = 1
    >>> lines = trace(np.zeros((3, 5, 3), np.uint8), Mask(ids, ("background", "scratch")))
    >>> lines[1].tolist()
    [[0, 0, 0], [255, 255, 255], [35, 164, 54], [255, 255, 255], [0, 0, 0]]
    """
    picture = as_rgb(image)
    _same_size(picture, mask, "mask")
    size = line_width(mask.ids.shape) if width is None else width
    if size < 1:
        raise Invalid(f"width must be at least 1 pixel; {size} was given.")
    inside = mask.ids > 0
    picture[(_extreme(inside, size, np.maximum) > 0) & ~inside] = 255
    edge = inner_edge(mask.ids, size)
    picture[edge] = mask.to_rgb()[edge]
    return picture


def show_overlay(
    image: NDArray[np.uint8],
    *,
    mask: Mask | None = None,
    truth: Mask | None = None,
    map: NDArray[Any] | None = None,
    ax: Axes | None = None,
    title: str | None = None,
    opacity: float = 0.5,
) -> Axes:
    """Show an image under its mask or heat map, with a legend of the types and their areas.

    A predicted ``mask`` is filled; a ``truth`` is outlined over it, so that what was missed and what was invented are
    both seen. A heat map brings a colour bar.

    Parameters
    ----------
    image
        (H, W, 3) RGB or (H, W) grey, uint8.
    mask, truth
        of the same size as the image.
    map
        heat map, (h, w) from 0 to 1; 0.5 is the height that normal images just reach.
    ax
        where to draw; by default a new figure.
    title
        a line above the picture.
    opacity
        weight of the paint, 0 to 1.

    Returns
    -------
    Axes
        the axes that were drawn on.

    Raises
    ------
    Invalid
        if a shape, a dtype or a range breaks these rules.

    Examples
    --------
    >>> mask = Mask(np.array([[0, 1]], np.uint8), ("background", "scratch"))
    >>> ax = show_overlay(np.zeros((1, 2, 3), np.uint8), mask=mask, title="part 1")
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['scratch 50.0 %']
    """
    picture = overlay(image, mask=mask, map=map, opacity=opacity, outline=truth is None)
    if truth is not None:
        _same_size(picture, truth, "truth")
        picture = trace(picture, truth)
    with quiet():
        height, width = picture.shape[:2]
        ax = new_axes(ax, (6.0, float(np.clip(6.0 * height / width, 1.5, 9.0)) + 0.5))
        ax.imshow(picture, interpolation="antialiased")
        ax.set_axis_off()
        if title is not None:
            ax.set_title(title)
        _legend(ax, mask, truth)
        if map is not None:
            _colour_bar(ax, opacity)
    return ax


def as_rgb(image: NDArray[Any]) -> NDArray[np.uint8]:
    """Return a writable (H, W, 3) uint8 copy of an RGB or grey image, or say what is wrong with it."""
    pixels = np.asarray(image)
    grey, rgb = pixels.ndim == 2, pixels.ndim == 3 and pixels.shape[2] == 3
    if not (grey or rgb) or pixels.dtype != np.uint8 or not pixels.size:
        raise Invalid(
            f"An image is (H, W, 3) RGB or (H, W) grey, uint8; {pixels.shape} {pixels.dtype} was given. "
            "Read it with read_image, or convert it first."
        )
    return np.repeat(pixels[..., None], 3, axis=2) if grey else pixels.copy()


def line_width(shape: tuple[int, ...]) -> int:
    """Return how many pixels wide a line is on an image of this shape: one for every 400 of the longer side."""
    return max(1, round(max(shape[:2]) / 400))


def inner_edge(ids: NDArray[np.uint8], width: int) -> NDArray[np.bool_]:
    """Return the pixels of a type that have a pixel of another class at most ``width`` away; (H, W) bool."""
    differs = _extreme(ids, width, np.maximum) != _extreme(ids, width, np.minimum)
    return np.asarray(differs & (ids > 0), np.bool_)


def _extreme(ids: NDArray[Any], width: int, take: np.ufunc) -> NDArray[Any]:
    """Return the largest or smallest value of each square neighbourhood; nothing lies beyond the border."""
    result = ids
    for axis in (0, 1):
        pad = [(width, width) if a == axis else (0, 0) for a in (0, 1)]
        padded, length, out = np.pad(result, pad, mode="edge"), ids.shape[axis], result
        for shift in range(2 * width + 1):
            out = take(out, padded[shift : shift + length] if axis == 0 else padded[:, shift : shift + length])
        result = out
    return result


def _same_size(picture: NDArray[np.uint8], mask: Mask, name: str) -> None:
    height, width = picture.shape[:2]
    if mask.ids.shape != (height, width):
        raise Invalid(
            f"The {name} must have the size of the image, {width} x {height}; {mask.size[0]} x {mask.size[1]} was "
            f"given. Use {name}.resized({width}, {height}) if it shows the same."
        )


def _lay_map(
    picture: NDArray[np.uint8], map: NDArray[Any], *, opacity: float, outline: bool, level: float
) -> NDArray[np.uint8]:
    heights = np.asarray(map)
    if heights.ndim != 2 or not heights.size or heights.dtype.kind not in "fiub":
        raise Invalid(f"A heat map is (h, w) numbers from 0 to 1; {heights.shape} {heights.dtype} was given.")
    heights = heights.astype(np.float32)
    low, high = float(heights.min()), float(heights.max())
    if not (np.isfinite([low, high]).all() and low >= -1e-3 and high <= 1.0 + 1e-3):
        raise Invalid(f"A heat map holds numbers from 0 to 1; {low:.4g} to {high:.4g} was given.")
    size = (picture.shape[1], picture.shape[0])
    resized = np.asarray(Image.fromarray(heights).resize(size, Image.Resampling.BILINEAR))
    colours, weights = heat_colours(resized, level=level)
    shares = (opacity * weights)[..., None]
    laid = np.rint(picture * (1.0 - shares) + colours * shares).astype(np.uint8)
    if outline and opacity > 0:
        edge = inner_edge((resized >= level).astype(np.uint8), line_width(picture.shape))
        laid[edge] = 255
    return laid


def _legend(ax: Axes, mask: Mask | None, truth: Mask | None) -> None:
    from matplotlib.patches import Patch

    handles = []
    for shown, name in ((mask, "mask"), (truth, "truth")):
        if shown is None:
            continue
        colours = dict(zip(shown.names, shown.colours, strict=True))
        prefix = "" if truth is None else ("found: " if name == "mask" else "truth: ")
        areas = {kind: area for kind, area in shown.areas().items() if kind != BACKGROUND}
        for kind, area in areas.items():
            face = colours[kind] if name == "mask" else "none"
            handles.append(Patch(facecolor=face, edgecolor=colours[kind], label=f"{prefix}{kind} {percent(area)}"))
        if not areas:
            handles.append(Patch(facecolor="none", edgecolor="none", label=f"{prefix}nothing"))
    if handles:
        ax.legend(
            handles=handles,
            loc="upper left",
            bbox_to_anchor=(0.0, -0.01),
            ncols=min(3, len(handles)),
            borderaxespad=0.2,
        )


def percent(fraction: float) -> str:
    """Return an area as a percentage with one decimal, or two where one would say nothing.

    Examples
    --------
    >>> percent(0.5), percent(0.0004), percent(0.0)
    ('50.0 %', '0.04 %', '0.0 %')
    """
    return f"{fraction:.2%}".replace("%", " %") if 0 < fraction < 0.001 else f"{fraction:.1%}".replace("%", " %")


def _colour_bar(ax: Axes, opacity: float) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize

    colours, weights = heat_colours(np.linspace(0.0, 1.0, 256))
    shares = (weights * max(opacity, 0.2))[:, None]
    table = ListedColormap((colours * shares + 225.0 * (1.0 - shares)) / 255.0)
    # Inset, so that it keeps to the picture when the axes is wider than that.
    place = ax.inset_axes((1.02, 0.0, 0.035, 1.0))
    bar = ax.figure.colorbar(ScalarMappable(Normalize(0, 1), table), cax=place)
    bar.set_ticks([0.0, 0.5, 1.0], labels=["0", "0.5 normal\nreaches this", "1"])
    bar.ax.tick_params(labelsize=8, labelcolor=INK, color=INK, length=2)
    bar.outline.set_visible(False)
