"""Say at which size images are looked at, and in how many overlapping tiles where that size is large."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["STEP", "Tiles", "View", "view_of"]

STEP = 32
"""Pixels of which height and width of every input are multiples."""
MOST_AT_ONCE = 700 * 700
"""Pixels of the largest input that is looked at in one piece; memory grows with the piece, not with the image."""
SIDE = 512
"""Pixels of a tile's own part, each way, at most."""
MARGIN = 64
"""Pixels around its own part that a tile sees too, so that what lies on a seam is seen whole."""


@dataclass(frozen=True, slots=True)
class Tiles:
    """Hold how a view is cut: ``rows`` times ``columns`` parts of ``height`` x ``width``, ``margin`` more all round."""

    rows: int
    columns: int
    height: int
    width: int
    margin: int

    @property
    def count(self) -> int:
        """Return how many there are."""
        return self.rows * self.columns


@dataclass(frozen=True, slots=True, order=True)
class View:
    """Hold a size at which images are looked at: ``height`` and ``width`` of the input in pixels."""

    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"

    @property
    def pixels(self) -> int:
        """Return how many pixels an image has at this size."""
        return self.height * self.width

    @property
    def tiles(self) -> Tiles | None:
        """Return how it is cut; None where it is looked at in one piece.

        Examples
        --------
        >>> View(448, 448).tiles is None, View(1344, 960).tiles
        (True, Tiles(rows=3, columns=2, height=448, width=480, margin=64))
        """
        if self.pixels <= MOST_AT_ONCE:
            return None
        rows, columns = _parts(self.height), _parts(self.width)
        return Tiles(rows, columns, self.height // rows, self.width // columns, MARGIN)


def _parts(length: int) -> int:
    """Return how many equal parts of whole steps a length has, none longer than :data:`SIDE`."""
    fewest = -(-length // SIDE)
    return next(parts for parts in range(fewest, length // STEP + 1) if length % (STEP * parts) == 0)


def view_of(side: int, ratio: float) -> View:
    """Return the view in the shape width to height of ``ratio`` that has about ``side`` squared pixels.

    Examples
    --------
    >>> str(view_of(224, 4 / 3)), str(view_of(1344, 1.0))
    ('256x192', '1344x1344')
    """
    height, width = side / ratio**0.5, side * ratio**0.5
    large = height * width > MOST_AT_ONCE
    return View(*(_rounded(length, STEP * -(-int(length) // SIDE) if large else STEP) for length in (height, width)))


def _rounded(length: float, step: int) -> int:
    return max(1, round(length / step)) * step
