"""A strip of small thumbnails for notebooks: quick, small, and never an error.

How much is decoded is limited by the sizes that the files' headers tell, not by the clock, so that the same manifest
looks the same each time; what is too much gets an empty tile, as does what is not on this machine or no image.
"""

from __future__ import annotations

import base64
import io
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from html import escape
from itertools import chain, islice, zip_longest
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vision_toolkit.core.entry import Entry, Label, MaskRef
from vision_toolkit.core.errors import Invalid
from vision_toolkit.core.mask import hex_to_rgb
from vision_toolkit.data.images import coverage, encode_jpeg, pixels, read_mask, thumbnail
from vision_toolkit.data.storage import is_inline, local_path, read_bytes

__all__ = ["clean", "strip"]

Picture = NDArray[np.uint8]

_WORK = 6_000_000
"""How many pixels are decoded for one strip; those of JPEG count a fifth, for they are decoded at a smaller scale."""
_MOST_JPEG = 3_300
"""Bytes of one tile: eight of them, in base 64, with their words, stay below 40 kB."""
_SECONDS = 1.0
"""A safety net for slow disks: after this time the remaining tiles stay empty."""


def strip(entries: Sequence[Entry], *, n: int = 8, side: int = 96) -> str:
    """Return HTML with at most ``n`` thumbnails: anomalies, normal and unlabelled images in turn, the first of each.

    Parameters
    ----------
    entries
        where to choose from. Only files of this machine are opened.
    n, side
        how many, and the longer side of each in pixels.

    Examples
    --------
    >>> "no such file.png" in strip([Entry("no such file.png")])
    True
    """
    groups = [list(islice((entry for entry in entries if entry.label is label), n)) for label in _ORDER]
    turns = chain.from_iterable(zip_longest(*groups))
    first = islice((entry for entry in turns if entry is not None), n)
    chosen = sorted(first, key=lambda entry: _ORDER.index(entry.label))
    budget = _Budget(_WORK, time.monotonic() + _SECONDS)
    pictures = [_safely(_picture, entry, side, budget) for entry in chosen]  # all of them, before any mask
    tiles = "".join(_tile(entry, picture, side, budget) for entry, picture in zip(chosen, pictures, strict=True))
    return f"<div style='display:flex;flex-wrap:wrap;gap:6px'>{tiles}</div>" if tiles else ""


_ORDER = (Label.ANOMALY, Label.NORMAL, Label.UNLABELLED)


def clean(text: str, most: int = 60) -> str:
    """Return text that a page can show: bytes that were no UTF-8 replaced, the end of what is long, escaped.

    Examples
    --------
    >>> clean("a<b>" + chr(0xDC80)), clean("0123456789", 4)
    ('a&lt;b&gt;?', '…789')
    """
    cut = text if len(text) <= most else f"…{text[-(most - 1) :]}"
    return escape(cut.encode("utf-8", "replace").decode("utf-8"))


class _Budget:
    """Count down what may still be decoded."""

    def __init__(self, work: float, deadline: float) -> None:
        self.work = work
        self.deadline = deadline

    def takes(self, work: float) -> bool:
        if work > self.work or time.monotonic() > self.deadline:
            return False
        self.work -= work
        return True


def _safely(read: Callable[..., Picture | None], *args: object) -> Picture | None:
    """Whatever a broken file does to a decoder, the notebook goes on."""
    try:
        return read(*args)
    except Exception:  # noqa: BLE001 (no list of errors is complete)
        return None


def _tile(entry: Entry, picture: Picture | None, side: int, budget: _Budget) -> str:
    # Where it lies on this machine is nobody's business in a notebook that travels.
    name = clean(entry.source.replace("\\", "/").rstrip("/").rpartition("/")[2])
    said = clean(", ".join(entry.types) or str(entry.label), 24)
    if picture is not None and entry.types:
        painted = _safely(_painted, picture, entry.mask, budget)
        picture = picture if painted is None else painted
    data = _encoded(picture) if picture is not None else None
    if data is None:
        style = (
            f"width:{side}px;height:{side * 3 // 4}px;border:1px dashed currentColor;opacity:.4;box-sizing:border-box"
        )
        shown = f"<div style='{style}'></div>"
    else:
        shown = f"<img src='data:image/jpeg;base64,{base64.b64encode(data).decode('ascii')}' alt='{name}'>"
    return f"<div style='max-width:{side}px;overflow:hidden;font-size:85%' title='{name}'>{shown}<br>{said}</div>"


def _picture(entry: Entry, side: int, budget: _Budget) -> Picture | None:
    with _opened(entry.location) as image:
        size = image.width * image.height
        if not budget.takes(size / 5 if image.format == "JPEG" else size):
            return None
        image.draft("RGB", (2 * side, 2 * side))
        return thumbnail(pixels(image), side)


def _painted(picture: Picture, ref: MaskRef, budget: _Budget) -> Picture | None:
    """Lay the mask over a thumbnail."""
    with _opened(ref.location) as image:
        if not budget.takes(image.width * image.height):
            return None
    shares = coverage(read_mask(ref), picture.shape[1], picture.shape[0])[..., 1:]
    colours = np.array([hex_to_rgb(colour) for colour in ref.colours.values()], np.float32)
    total = shares.sum(axis=2, keepdims=True)
    paint = shares @ colours / np.maximum(total, 1e-6)
    # A scratch of two pixels covers little of a small pixel, and is to be seen all the same.
    weight = 0.6 * np.minimum(1.0, 4.0 * total)
    return np.asarray(np.rint(picture * (1.0 - weight) + paint * weight), np.uint8)


@contextmanager
def _opened(location: str) -> Iterator[Image.Image]:
    """Open an image of this machine by its header; whatever else it is gives an error."""
    if is_inline(location):
        file: IO[bytes] = io.BytesIO(read_bytes(location))
    else:
        path = local_path(location)
        if not path.is_file():  # a pipe would never end
            raise Invalid(f"{location} is no file.")
        file = path.open("rb")
    with file, warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with Image.open(file) as image:
            yield image


def _encoded(picture: Picture) -> bytes | None:
    """Encode as well as the bytes allow."""
    for quality in (80, 60, 40, 20, 10):
        data = encode_jpeg(picture, quality=quality)
        if len(data) <= _MOST_JPEG:
            return data
    return None
