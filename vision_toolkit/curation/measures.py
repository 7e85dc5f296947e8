"""Measure images: light, contrast, sharpness, size and kind, each image decoded once."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from vision_toolkit.core import Entry, Invalid, NotFound, Settings, VisionError
from vision_toolkit.data.images import probe, read_image
from vision_toolkit.data.storage import is_inline, is_local, read_bytes

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["Measures", "Views", "measure_images"]

Floats = NDArray[np.float32]
Progress = Callable[[int, int], None]

_LONGEST = 1600
_GREY = np.array([0.299, 0.587, 0.114], np.float32)
_BLOCK = 512


@dataclass(frozen=True, eq=False, slots=True)
class Measures:
    """Hold what was measured of n images; NaN, 0 and ``""`` where one could not be read.

    Parameters
    ----------
    sharpness
        (n,) from 0: how steep the strongest edges are against the contrast, and how strong fine detail is against
        coarse; hardly changed by noise, contrast or brightness.
    brightness
        (n,) mean grey, 0 to 255.
    contrast
        (n,) from the 1st to the 99th percentile of grey, 0 to 255.
    black, white
        (n,) share of pixels whose grey is at most 4, or of which a channel is at least 250; 0 to 1.
    width, height
        (n,) in pixels, upright.
    kind
        what the pixels are: ``colour``, ``grey``, ``16 bit``, ``CMYK``, ``with alpha``, ... An RGB file without
        colour is grey.
    mode, format
        of the file, in Pillow's words: ``RGB``, ``JPEG``.
    digest
        of the pixels: equal ones are equal images.
    errors
        by position, why an image could not be read.
    """

    sharpness: Floats
    brightness: Floats
    contrast: Floats
    black: Floats
    white: Floats
    width: NDArray[np.int32]
    height: NDArray[np.int32]
    kind: tuple[str, ...]
    mode: tuple[str, ...]
    format: tuple[str, ...]
    digest: tuple[bytes, ...]
    errors: dict[int, VisionError]

    def __len__(self) -> int:
        return len(self.kind)

    @property
    def readable(self) -> NDArray[np.bool_]:
        """Return (n,) whether each image could be read."""
        return self.width > 0

    def to_frame(self) -> DataFrame:
        """Return a pandas table, one row an image, one column a measure."""
        import pandas as pd

        names = ("sharpness", "brightness", "contrast", "black", "white", "width", "height", "kind", "mode", "format")
        return pd.DataFrame({name: getattr(self, name) for name in names})

    def __repr__(self) -> str:
        return f"Measures({len(self)} image{'s' * (len(self) != 1)}, {int(self.readable.sum())} readable)"


@dataclass(frozen=True, slots=True)
class _Row:
    """Hold what was measured of one image."""

    numbers: tuple[float, float, float, float, float]
    size: tuple[int, int]
    words: tuple[str, str, str]
    digest: bytes


class Views(Sequence[NDArray[np.uint8]]):
    """Read each image of a set when it is asked for, and measure it in passing.

    Whoever goes through the images, :func:`~vision_toolkit.curation.near_duplicates` for example, has them measured
    without decoding one twice. None is kept.

    Parameters
    ----------
    entries
        the images.
    remote
        fetch those that are not on this machine; otherwise they count as unreadable.

    Examples
    --------
    >>> from vision_toolkit.data.images import encode_png
    >>> from vision_toolkit.data.storage import inline
    >>> views = Views([Entry(inline(encode_png(np.full((8, 9, 3), 7, np.uint8))))])
    >>> views[0].shape, views.measures().brightness.tolist()
    ((8, 9, 3), [7.0])
    """

    def __init__(self, entries: Sequence[Entry], *, remote: bool = False) -> None:
        self._entries = entries
        self._remote = remote
        self._rows: list[_Row | None] = [None] * len(entries)
        self._errors: dict[int, VisionError] = {}

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> NDArray[np.uint8]: ...

    @overload
    def __getitem__(self, index: slice) -> list[NDArray[np.uint8]]: ...

    def __getitem__(self, index: int | slice) -> NDArray[np.uint8] | list[NDArray[np.uint8]]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        location = self._entries[index].location
        try:
            if not self._remote and not is_local(location) and not is_inline(location):
                raise NotFound(f"{location} lies on another machine.")
            data = read_bytes(location)
            try:
                image, facts = read_image(data), probe(data)
            except Invalid as error:
                raise Invalid(f"{location[:200]}{str(error).removeprefix('The given bytes')}") from None
        except VisionError as error:
            self._errors[index] = error
            raise
        if self._rows[index] is None:
            self._rows[index] = _measured(image, facts.mode, facts.format)
        return image

    def measures(self) -> Measures:
        """Return what was measured so far."""
        rows = self._rows
        numbers = np.array([row.numbers if row else (np.nan,) * 5 for row in rows], np.float32).reshape(-1, 5).T
        sizes = np.array([row.size if row else (0, 0) for row in rows], np.int32).reshape(-1, 2).T
        words = [row.words if row else ("", "", "") for row in rows]
        kind, mode, form = (tuple(word[i] for word in words) for i in range(3))
        digest = tuple(row.digest if row else b"" for row in rows)
        errors = dict(sorted(self._errors.items()))
        sharpness, brightness, contrast, black, white = numbers
        return Measures(
            sharpness, brightness, contrast, black, white, sizes[0], sizes[1], kind, mode, form, digest, errors
        )


def measure_images(
    entries: Sequence[Entry], *, threads: int | None = None, remote: bool = False, progress: Progress | None = None
) -> Measures:
    """Measure every image of a set, several at once; one decoded image a thread is in memory.

    Parameters
    ----------
    entries
        a manifest, or any sequence of entries.
    threads
        how many images are read at once; None = as many as this process may use.
    remote
        fetch images that are not on this machine.
    progress
        called with how many images were measured, and how many there are.

    Raises
    ------
    Invalid
        if ``threads`` is below 1. An image that cannot be read is no error: it stands in ``errors``.

    Examples
    --------
    >>> from vision_toolkit.data.synthetic import load_dataset
    >>> measure_images(load_dataset("biscuit")[:2])
    Measures(2 images, 2 readable)
    """
    if threads is not None and threads < 1:
        raise Invalid(f"threads is at least 1, or None; {threads} was given.")
    views = Views(entries, remote=remote)

    def look(position: int) -> None:
        with contextlib.suppress(VisionError):  # it stands in the measures
            views[position]

    with ThreadPoolExecutor(Settings(threads=threads).usable_threads()) as pool:
        # By blocks: a million of waiting tasks would take more memory than all that is measured.
        for start in range(0, len(entries), _BLOCK):
            block = range(start, min(start + _BLOCK, len(entries)))
            for done, _ in enumerate(pool.map(look, block), start + 1):
                if progress is not None:
                    progress(done, len(entries))
    return views.measures()


# One image


def _measured(image: NDArray[np.uint8], mode: str, form: str) -> _Row:
    height, width = image.shape[:2]
    grey = image @ _GREY
    low, high = np.percentile(grey, [1, 99])
    black = float((grey <= 4).mean())
    white = float((image.max(axis=2) >= 250).mean())
    digest = hashlib.blake2b(repr(image.shape).encode() + np.ascontiguousarray(image).data, digest_size=16).digest()
    numbers = (_sharpness(grey), float(grey.mean()), float(high - low), black, white)
    return _Row(numbers, (width, height), (_kind(image, mode), mode, form), digest)


def _sharpness(grey: Floats) -> float:
    """Return the geometric mean of two ratios: steepness over contrast, and fine over coarser detail.

    Noise has most of its power in the finest detail, so everything is smoothed a little first. Large images are
    reduced: a blur of a pixel of 4,000 is none that a model could see.
    """
    step = max(1, max(grey.shape) // (_LONGEST // 2))
    if step > 1:
        rows, columns = grey.shape[0] // step, grey.shape[1] // step
        if rows and columns:
            cut = grey[: rows * step, : columns * step]
            grey = cut.reshape(rows, step, columns, step).mean(axis=(1, 3))
    if min(grey.shape) < 2:
        return 0.0
    low, high = np.percentile(grey, [1, 99])
    if high - low < 2:  # nothing to be sharp about
        return 0.0
    smooth = ndimage.gaussian_filter(grey, 0.8)
    steep = np.percentile(np.hypot(*np.gradient(smooth)), 99.5) / (high - low)
    one, two, four = (ndimage.gaussian_filter(grey, sigma) for sigma in (1.0, 2.0, 4.0))
    fine = float((one - two).std()) / max(float((two - four).std()), 1e-3)
    return float(np.sqrt(steep * fine))


def _kind(image: NDArray[np.uint8], mode: str) -> str:
    if mode.startswith(("I", "F")):
        return "16 bit" if mode.startswith("I") else "floating point"
    if mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        return "with alpha"
    if mode == "1":
        return "black and white"
    if mode in ("RGB", "P", "L"):
        return "grey" if mode == "L" or _is_grey(image) else "colour"
    return mode


def _is_grey(image: NDArray[np.uint8]) -> bool:
    """Return whether no colour is in it: a grey image that was saved as RGB has equal channels, up to rounding."""
    few = image[:: max(1, image.shape[0] // 256), :: max(1, image.shape[1] // 256)]
    spread = few.max(axis=2) - few.min(axis=2)
    return bool(spread.max() <= 1)
