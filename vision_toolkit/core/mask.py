"""One class id a pixel, with the names and colours of the classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vision_toolkit.core.errors import Invalid

__all__ = ["BACKGROUND", "PALETTE", "Mask", "hex_to_rgb", "palette_colour"]

BACKGROUND = "background"
"""Name of class 0 in every mask."""

PALETTE = (
    "#FFFFFF", "#23A436", "#14A3B3", "#F76902", "#9380FF", "#BD10E0", "#467CE6", "#A09308",
    "#D13212", "#0C7D9D", "#7D2105", "#4D27AA", "#E07F9D", "#5B6B00", "#1D4E89", "#FFB454",
)  # fmt: skip
"""Colours by class id, background first; the first eight are in the order of Lookout's console."""


def palette_colour(index: int) -> str:
    """Return the default colour of class ``index`` as ``#RRGGBB``; 0 is the background's white.

    Beyond the written list, colours are spread over the hues so that no two of 256 are equal.

    Examples
    --------
    >>> palette_colour(0), palette_colour(1)
    ('#FFFFFF', '#23A436')
    """
    if index < len(PALETTE):
        return PALETTE[index]
    import colorsys

    step = index - len(PALETTE)
    red, green, blue = colorsys.hsv_to_rgb((step * 0.618034) % 1.0, 0.55 + 0.4 * (step % 3) / 2, 0.5 + 0.2 * (step % 2))
    return f"#{round(red * 255):02X}{round(green * 255):02X}{round(blue * 255):02X}"


def hex_to_rgb(colour: str) -> tuple[int, int, int]:
    """Return ``#rrggbb`` as three numbers from 0 to 255.

    Examples
    --------
    >>> hex_to_rgb("#23A436")
    (35, 164, 54)
    """
    text = colour.removeprefix("#")
    try:
        if len(text) != 6:
            raise ValueError
        value = int(text, 16)
    except ValueError:
        raise Invalid(f"A colour is written #rrggbb; {colour!r} was given.") from None
    return value >> 16, value >> 8 & 255, value & 255


@dataclass(frozen=True, eq=False, slots=True)
class Mask:
    """Hold one class id a pixel, with the names and colours of the classes.

    Parameters
    ----------
    ids
        (H, W) uint8; 0 is background.
    names
        the class of each id, ``names[0]`` is ``"background"``.
    colours
        ``#rrggbb`` of each id; by default :data:`PALETTE`.

    Raises
    ------
    Invalid
        if the shape, the dtype or an id without a name breaks these rules.

    Examples
    --------
    >>> import numpy as np
    >>> mask = Mask(np.array([[0, 0], [0, 1]], np.uint8), ("background", "scratch"))
    >>> mask.areas()
    {'background': 0.75, 'scratch': 0.25}
    >>> mask
    Mask(2x2, background 75.00 %, scratch 25.00 %)
    """

    ids: NDArray[np.uint8]
    names: tuple[str, ...] = (BACKGROUND,)
    colours: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        ids = np.asarray(self.ids)
        if ids.ndim != 2 or ids.dtype != np.uint8:
            raise Invalid(f"ids must be (H, W) uint8; {ids.shape} {ids.dtype} was given.")
        names = tuple(self.names)
        if not names or names[0] != BACKGROUND:
            raise Invalid(f"names must begin with {BACKGROUND!r}; {names!r} was given.")
        if len(set(names)) != len(names) or len(names) > 256:
            raise Invalid(f"names must be at most 256 different ones; {names!r} was given.")
        if ids.size and int(ids.max()) >= len(names):
            raise Invalid(f"ids go up to {int(ids.max())}, but there are names for 0 to {len(names) - 1} only.")
        colours = tuple(self.colours) or tuple(palette_colour(i) for i in range(len(names)))
        if len(colours) != len(names):
            raise Invalid(f"colours must name one colour a class: {len(names)}; {len(colours)} were given.")
        for colour in colours:
            hex_to_rgb(colour)
        object.__setattr__(self, "ids", ids)
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "colours", colours)

    @classmethod
    def from_pixels(
        cls, pixels: NDArray[np.uint8], colours: Mapping[str, str], *, names: Sequence[str] | None = None
    ) -> Mask:
        """Read a colour-mapped mask image.

        A pixel belongs to a type when its red, green and blue are exactly the type's colour and it is not
        wholly transparent; everything else (white, black, transparent, a colour nobody named) is background.
        Half-transparent edges count as their type, as in the service's own check.

        Parameters
        ----------
        pixels
            (H, W, 3) RGB or (H, W, 4) RGBA, uint8.
        colours
            anomaly type to ``#rrggbb``.
        names
            the types in the order of the ids from 1; by default those of ``colours``.
        """
        if pixels.ndim != 3 or pixels.shape[2] not in (3, 4) or pixels.dtype != np.uint8:
            raise Invalid(f"pixels must be (H, W, 3 or 4) uint8; {pixels.shape} {pixels.dtype} was given.")
        order = list(colours) if names is None else [name for name in names if name != BACKGROUND]
        wide = pixels[..., :3].astype(np.uint32)
        code = (wide[..., 0] << 16) | (wide[..., 1] << 8) | wide[..., 2]
        ids = np.zeros(code.shape, np.uint8)
        for index, name in enumerate(order, 1):
            if name in colours:
                red, green, blue = hex_to_rgb(colours[name])
                ids[code == (red << 16 | green << 8 | blue)] = index
        if pixels.shape[2] == 4:
            ids[pixels[..., 3] == 0] = 0
        painted = (palette_colour(0), *(colours.get(name, palette_colour(i)) for i, name in enumerate(order, 1)))
        return cls(ids, (BACKGROUND, *order), painted)

    @property
    def size(self) -> tuple[int, int]:
        """Return ``(width, height)`` in pixels."""
        return self.ids.shape[1], self.ids.shape[0]

    @property
    def types(self) -> tuple[str, ...]:
        """Return the anomaly types that have at least one pixel, in the order of their ids."""
        return tuple(name for name in self.areas() if name != BACKGROUND)

    def areas(self) -> dict[str, float]:
        """Return the fraction of the image (0 to 1) of each class that has pixels, background first."""
        counts = np.bincount(self.ids.ravel(), minlength=len(self.names))
        total = max(1, self.ids.size)
        return {name: int(n) / total for name, n in zip(self.names, counts, strict=True) if n or name == BACKGROUND}

    def to_rgb(self) -> NDArray[np.uint8]:
        """Paint the mask: (H, W, 3) uint8 in the colours of the classes."""
        table = np.array([hex_to_rgb(colour) for colour in self.colours], np.uint8)
        return np.take(table, self.ids, axis=0)  # over images several times as quick as table[ids]

    def resized(self, width: int, height: int) -> Mask:
        """Return the mask at another size; each pixel takes the id of its nearest neighbour."""
        rows = (np.arange(height) + 0.5) * self.ids.shape[0] / height
        columns = (np.arange(width) + 0.5) * self.ids.shape[1] / width
        ids = self.ids[rows.astype(int)[:, None], columns.astype(int)[None, :]]
        return Mask(ids, self.names, self.colours)

    def __repr__(self) -> str:
        width, height = self.size
        parts = ", ".join(f"{name} {area:.2%}".replace("%", " %") for name, area in self.areas().items())
        return f"Mask({width}x{height}, {parts})"
