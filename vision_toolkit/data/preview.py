"""Images as a browser shows them: of a bounded size, as JPEG or PNG bytes."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from vision_toolkit.core.errors import Invalid
from vision_toolkit.data.images import encode_jpeg, encode_png, pixels, probe, read_image
from vision_toolkit.data.storage import read_bytes

__all__ = ["MOST_BYTES", "Preview", "preview"]

MOST_BYTES = 3_000_000
"""Most bytes of one preview; notebooks cut a connection that sends more than 10 MiB at once."""
_AS_THEY_ARE = {"JPEG": "image/jpeg", "PNG": "image/png"}
_SMALL = 300_000
"""Bytes up to which a file that is small enough anyway is sent as it is."""
_FEW = 256 * 256
"""Pixels up to which a picture is sent without loss."""


@dataclass(frozen=True, slots=True)
class Preview:
    """Hold an encoded picture: its bytes, media type, and width and height in pixels, those of the original too."""

    data: bytes
    media_type: str
    width: int
    height: int
    original: tuple[int, int]


def preview(source: Any, *, side: int = 1024) -> Preview:
    """Return an image for a browser, its longer side at most ``side`` pixels, at most :data:`MOST_BYTES` bytes.

    Parameters
    ----------
    source
        as :func:`~vision_toolkit.data.images.read_image` takes it.
    side
        in pixels, from 16.

    Raises
    ------
    Invalid
        if it is no image, or too large to be decoded.
    NotFound
        if nothing is there.

    Examples
    --------
    >>> import numpy as np
    >>> shown = preview(np.zeros((600, 900, 3), np.uint8), side=300)
    >>> shown.media_type, shown.width, shown.height, shown.original
    ('image/png', 300, 200, (900, 600))
    """
    if side < 16:
        raise Invalid(f"A preview has at least 16 pixels a side; {side} was given.")
    data = read_bytes(source.location) if hasattr(source, "location") else source
    picture = None
    if isinstance(data, bytes):
        facts = probe(data)  # tells what is no image, or too large, before anything is decoded
        original = facts.width, facts.height
        with _opened(data) as image:
            plain = image.mode in ("RGB", "L") and image.getexif().get(0x0112, 1) == 1
            if facts.format in _AS_THEY_ARE and plain and max(image.size) <= side and len(data) <= _SMALL:
                read_image(data)  # a file that is cut off would be shown half
                return Preview(data, _AS_THEY_ARE[facts.format], *original, original)
            if facts.format == "JPEG":  # decoded at a smaller scale, which is several times quicker
                image.draft("RGB", (side, side))
                try:
                    picture = pixels(image)
                except (OSError, SyntaxError, ValueError, MemoryError) as error:
                    raise Invalid(f"The image cannot be read: {error}.") from None
    if picture is None:
        picture = read_image(data)
        original = picture.shape[1], picture.shape[0]
    small = Image.fromarray(picture)
    small.thumbnail((side, side), Image.Resampling.HAMMING)  # a third of the time of Lanczos
    picture = np.asarray(small)
    height, width = picture.shape[:2]
    if height * width <= _FEW:
        return Preview(encode_png(picture), "image/png", width, height, original)
    for quality in (88, 75, 50):
        encoded = encode_jpeg(picture, quality=quality)
        if len(encoded) <= MOST_BYTES:
            break
    else:
        return preview(picture, side=side // 2)
    return Preview(encoded, "image/jpeg", width, height, original)


def _opened(data: bytes) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(io.BytesIO(data))
