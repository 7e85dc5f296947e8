"""Decode images and masks generously and safely, and encode them."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from vision_toolkit.core.entry import Entry, MaskRef
from vision_toolkit.core.errors import Invalid
from vision_toolkit.core.limits import MAX_PIXELS
from vision_toolkit.core.mask import Mask, hex_to_rgb
from vision_toolkit.data.storage import read_bytes

__all__ = [
    "SUFFIXES",
    "ImageFacts",
    "coverage",
    "encode_jpeg",
    "encode_mask",
    "encode_png",
    "mask_pixels",
    "pixels",
    "probe",
    "read_image",
    "read_mask",
    "thumbnail",
    "unlisted_colours",
]

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
"""Endings of the files that count as images in a folder, in lower case."""


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """Hold what an image's header says: width and height in pixels (upright), format, mode, size in bytes."""

    width: int
    height: int
    format: str
    mode: str
    bytes: int


def pixels(image: Image.Image) -> NDArray[np.uint8]:
    """Return an opened image as (H, W, 3) uint8 RGB: upright by EXIF, 16 bits scaled to 8, alpha dropped."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I") or image.mode == "F":
        deep = np.asarray(image).astype(np.float64)
        grey = np.clip(np.nan_to_num(deep) * (255.0 if image.mode == "F" else 1.0 / 257.0), 0, 255).round()
        return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA")
    return np.asarray(image.convert("RGB"))


def read_image(source: Any) -> NDArray[np.uint8]:
    """Read an image as (H, W, 3) uint8 RGB, upright.

    Parameters
    ----------
    source
        path, URI, bytes, :class:`Entry`, PIL image, or array: (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), uint8,
        uint16 (scaled by 1/257) or floats from 0 to 1.

    Raises
    ------
    Invalid
        if it is no image, truncated, or larger than :data:`~vision_toolkit.core.limits.MAX_PIXELS` pixels.
    NotFound
        if nothing is there.

    Examples
    --------
    >>> import numpy as np
    >>> read_image(np.zeros((4, 6), np.uint16)).shape
    (4, 6, 3)
    """
    if isinstance(source, np.ndarray):
        return _from_array(source)
    if isinstance(source, Image.Image):
        return pixels(source)
    data, name = _bytes_of(source)
    with _opened(data, name) as image:
        try:
            return pixels(image)
        except (OSError, SyntaxError, ValueError, MemoryError) as error:
            raise Invalid(f"{name} cannot be read as an image: {error}.") from None


def probe(source: Any, *, whole: bool = False) -> ImageFacts:
    """Read an image's header only; with ``whole``, see that all of it can be decoded.

    Raises
    ------
    Invalid
        if it is no image or too large.
    NotFound
        if nothing is there.
    """
    data, name = _bytes_of(source)
    with _opened(data, name) as image:
        width, height = image.size
        # Pillow decodes a whole PNG to see what comes after its pixels, where hardly any has something.
        is_told = image.format == "PNG" and not _tells_later(data)
        try:
            exif = Image.Image.getexif(image) if is_told else image.getexif()
            turned = exif.get(0x0112, 1) in (5, 6, 7, 8)
        except (OSError, SyntaxError, ValueError, MemoryError) as error:
            raise Invalid(f"{name} cannot be read as an image: {error}.") from None
        if turned:
            width, height = height, width
        if whole:
            try:
                image.draft("RGB", (width // 8, height // 8))  # a JPEG is read to its end all the same, but quicker
                image.load()
            except (OSError, SyntaxError, ValueError, MemoryError) as error:
                raise Invalid(f"{name} cannot be read to its end: {error}.") from None
        return ImageFacts(width, height, image.format or "", image.mode, len(data))


def _tells_later(png: bytes) -> bool:
    """Return whether a PNG may say after its pixels how it is turned, or is cut off."""
    at, pixels_seen = 8, False
    while at + 8 <= len(png):
        length, kind = int.from_bytes(png[at : at + 4]), png[at + 4 : at + 8]
        if kind == b"IEND":
            return False
        if pixels_seen and kind in (b"eXIf", b"tEXt", b"zTXt", b"iTXt"):
            return True
        pixels_seen = pixels_seen or kind == b"IDAT"
        at += 12 + length
    return True


def read_mask(
    ref: MaskRef, *, names: Sequence[str] | None = None, size: tuple[int, int] | None = None, data: bytes | None = None
) -> Mask:
    """Read a colour-mapped mask image.

    Parameters
    ----------
    ref
        where the mask lies and what its colours mean.
    names
        the types in the order of their ids from 1, so that the masks of a set agree; by default the colour map's.
    size
        ``(width, height)`` that the mask must have. A mask of another size is accepted when it is all
        background, as in Amazon's own samples (a 16x16 dummy).
    data
        the mask's bytes, if they are at hand.

    Raises
    ------
    Invalid
        if it is no image, or painted at another size.

    Examples
    --------
    >>> import numpy as np
    >>> mask = Mask(np.eye(2, dtype=np.uint8), ("background", "scratch"))
    >>> read_mask(MaskRef("1.png", {"scratch": "#23A436"}), data=encode_mask(mask)).areas()
    {'background': 0.5, 'scratch': 0.5}
    """
    if not ref.colours and size is not None:  # nothing can be painted: the file need not even be there
        return Mask(np.zeros((size[1], size[0]), np.uint8), ("background", *(names or ())))
    name = ref.uri if data is not None else ref.location
    mask = Mask.from_pixels(mask_pixels(ref, data=data), ref.colours, names=names)
    if size is not None and mask.size != size:
        if mask.types:
            raise Invalid(
                f"The mask {name} is {mask.size[0]}x{mask.size[1]}, its image {size[0]}x{size[1]}; they must agree."
            )
        return Mask(np.zeros((size[1], size[0]), np.uint8), mask.names, mask.colours)
    return mask


def mask_pixels(ref: MaskRef, *, data: bytes | None = None) -> NDArray[np.uint8]:
    """Return a mask image's pixels as they are painted: (H, W, 3) RGB, or (H, W, 4) where some are transparent, uint8.

    Raises
    ------
    Invalid
        if it is no image.
    """
    raw, name = (data, ref.uri) if data is not None else _bytes_of(ref.location)
    with _opened(raw, name) as image:
        try:
            upright = ImageOps.exif_transpose(image)
            return np.asarray(upright.convert("RGBA" if _has_alpha(upright) else "RGB"))
        except (OSError, SyntaxError, ValueError) as error:
            raise Invalid(f"{name} cannot be read as a mask: {error}.") from None


def unlisted_colours(pixels: NDArray[np.uint8], colours: Iterable[str]) -> tuple[list[str], float]:
    """Return the colours of a mask image that its map does not list, the most frequent first, and their share of it.

    White, black and what is wholly transparent are background and do not count.

    Parameters
    ----------
    pixels
        (H, W, 3) RGB or (H, W, 4) RGBA, uint8.
    colours
        those of the map, ``#rrggbb``.

    Examples
    --------
    >>> image = np.zeros((2, 2, 3), np.uint8)
    >>> image[0, 0] = 1, 2, 3
    >>> unlisted_colours(image, ["#23A436"])
    (['#010203'], 0.25)
    """
    wide = pixels[..., :3].astype(np.uint32)
    code = (wide[..., 0] << 16) | (wide[..., 1] << 8) | wide[..., 2]
    seen = code[pixels[..., 3] > 0] if pixels.shape[2] == 4 else code.ravel()
    values, counts = np.unique(seen, return_counts=True)
    known = [0x000000, 0xFFFFFF, *(int(colour.removeprefix("#"), 16) for colour in colours)]
    other = ~np.isin(values, known)
    order = np.argsort(-counts[other], kind="stable")
    return [f"#{value:06X}" for value in values[other][order].tolist()], float(counts[other].sum() / max(1, code.size))


def encode_png(image: NDArray[np.uint8]) -> bytes:
    """Encode (H, W), (H, W, 3) or (H, W, 4) uint8 as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def encode_jpeg(image: NDArray[np.uint8], *, quality: int = 90) -> bytes:
    """Encode (H, W) or (H, W, 3) uint8 as JPEG; quality from 1 to 95. Small coloured marks keep their hue."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()


def encode_mask(mask: Mask, *, quick: bool = False) -> bytes:
    """Encode a mask as a palette PNG in exactly its colours, without anti-aliasing; ``quick`` makes a larger file."""
    image = Image.fromarray(mask.ids).convert("P")
    image.putpalette([value for colour in mask.colours for value in hex_to_rgb(colour)])
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **({"compress_level": 1} if quick else {"optimize": True}))
    return buffer.getvalue()


def coverage(mask: Mask, width: int, height: int) -> NDArray[np.float32]:
    """Return which share of each cell of a coarser grid each class covers: (height, width, classes), sums of 1."""
    shares = [
        np.asarray(
            Image.fromarray((mask.ids == index).astype(np.float32)).resize((width, height), Image.Resampling.BOX)
        )
        for index in range(len(mask.names))
    ]
    return np.stack(shares, axis=2)


def thumbnail(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Shrink an image so that its longer side is at most ``side`` pixels; a smaller one stays as it is."""
    picture = Image.fromarray(image)
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    return np.asarray(picture)


def _bytes_of(source: Any) -> tuple[bytes, str]:
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source), "The given bytes"
    if isinstance(source, Entry):
        return read_bytes(source.location), source.location
    if isinstance(source, str | os.PathLike):
        return read_bytes(source), os.fspath(source)
    raise Invalid(f"An image is a path, URI, bytes, array, PIL image or Entry; {type(source).__name__} was given.")


def _opened(data: bytes, name: str) -> Image.Image:
    if not data:
        raise Invalid(f"{name} is empty: 0 bytes.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data))
    except Image.DecompressionBombError:
        raise Invalid(f"{name} has far more than the {MAX_PIXELS:,} pixels that are decoded; shrink it.") from None
    except (OSError, SyntaxError, ValueError):
        raise Invalid(f"{name} is no image that can be read ({len(data):,} bytes).") from None
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise Invalid(f"{name} is {width}x{height}: more than the {MAX_PIXELS:,} pixels that are decoded; shrink it.")
    return image


def _from_array(array: NDArray[Any]) -> NDArray[np.uint8]:
    shown = f"{array.shape} {array.dtype}"
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.size == 0 or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        raise Invalid(f"An image array is (H, W), (H, W, 1), (H, W, 3) or (H, W, 4); {shown} was given.")
    if array.dtype == np.uint16:
        array = (array / 257.0).round().astype(np.uint8)
    elif np.issubdtype(array.dtype, np.floating):
        if not np.isfinite(array).all() or array.min() < 0 or array.max() > 1:
            raise Invalid(f"A float image lies between 0 and 1; {array.min()} to {array.max()} was given.")
        array = (array * 255.0).round().astype(np.uint8)
    elif array.dtype != np.uint8:
        raise Invalid(f"An image array is uint8, uint16 or float; {shown} was given.")
    if array.ndim == 2:
        return np.repeat(array[..., None], 3, axis=2)
    return np.ascontiguousarray(array[..., :3])


def _has_alpha(image: Image.Image) -> bool:
    return "A" in image.mode or "transparency" in image.info
