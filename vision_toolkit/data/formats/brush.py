"""Label Studio's brush strokes: run lengths packed into bits, to and from pixels.

Label Studio stores what a brush painted as the bytes of an RGBA picture, packed by the JavaScript library
``@thi.ng/rle-pack``. The bits, high ones first: 32 with the number of words, 5 with the word's width less one, four
times 4 with the widths of a count less one; then blocks until all words are there: one bit that tells a run from
literal words, two that choose the width of the count, the count less one, and one word for a run or ``count`` words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision_toolkit.core.errors import Invalid
from vision_toolkit.core.limits import MAX_PIXELS

__all__ = ["decode_brush", "encode_brush"]

_COUNTS = (3, 4, 8, 16)  # widths of a count in what Label Studio writes
_HEAD = 53  # bits before the first block
_LONGEST = 1 << _COUNTS[-1]


def decode_brush(rle: Sequence[int] | bytes, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the opacity that a brush left on each pixel, as Label Studio itself reads it.

    Parameters
    ----------
    rle
        ``value.rle`` of a brush result: bytes as numbers from 0 to 255.
    size
        ``(width, height)``: the result's ``original_width`` and ``original_height``.

    Returns
    -------
    (H, W) uint8
        above 0 where the brush painted.

    Raises
    ------
    Invalid
        if these are no bytes, end too early, run over the picture, or are of another size.

    Examples
    --------
    >>> import numpy as np
    >>> painted = np.array([[0, 1, 1], [0, 0, 1]], bool)
    >>> decode_brush(encode_brush(painted), (3, 2)).tolist()
    [[0, 255, 255], [0, 0, 255]]
    """
    width, height = size
    if width < 1 or height < 1 or width * height > MAX_PIXELS:
        raise Invalid(f"A brush mask has from 1 to {MAX_PIXELS:,} pixels; {width}x{height} was given.")
    data = _bytes(rle)
    head = int.from_bytes(data[:7], "big") >> 3
    words, word_width = head >> 21, (head >> 16 & 31) + 1
    counts = [(head >> shift & 15) + 1 for shift in (12, 8, 4, 0)]
    if len(data) * 8 < _HEAD:
        raise Invalid(f"Run lengths of a brush begin with {_HEAD} bits; {len(data)} bytes were given.")
    if word_width != 8:
        raise Invalid(f"Label Studio packs words of 8 bits; these have {word_width}.")
    if words != 4 * width * height:
        raise Invalid(
            f"The run lengths hold {words:,} numbers; a picture of {width}x{height} pixels has {4 * width * height:,}."
        )
    return _blocks(data, counts, words).reshape(height, width)


def _bytes(rle: Sequence[int] | bytes) -> bytes:
    try:
        return bytes(rle)
    except (TypeError, ValueError):
        raise Invalid(f"Run lengths of a brush are a list of numbers from 0 to 255; {rle!r:.60} was given.") from None


def _blocks(data: bytes, counts: list[int], words: int) -> NDArray[np.uint8]:
    """Unpack the blocks, but keep only the fourth word of each pixel, its opacity."""
    opacity = np.zeros(words // 4, np.uint8)
    raw = np.frombuffer(data, np.uint8)
    end = len(data) * 8
    padded = data + b"\0" * 8  # the last block may be read past the end before its length is known
    at, done = _HEAD, 0
    while done < words:
        # A block's head has 3 + 16 bits, a run's word 8 more, and up to 7 stand before them in their byte.
        window = int.from_bytes(padded[at >> 3 : (at >> 3) + 5], "big") << (at & 7)
        is_run = window >> 39 & 1
        count_width = counts[window >> 37 & 3]
        count = (window >> (37 - count_width) & ((1 << count_width) - 1)) + 1
        at += 3 + count_width
        after = done + count
        needed = at + 8 * (1 if is_run else count)
        if needed > end or after > words:
            told = "end in the middle of a block" if needed > end else "run over the end of the picture"
            raise Invalid(f"The run lengths {told}, after {done:,} of {words:,} numbers.")
        first, last = done // 4, after // 4  # the pixels whose fourth word is among these
        if is_run:
            value = window >> (29 - count_width) & 255
            if value and last > first:
                opacity[first:last] = value
        elif last > first:
            opacity[first:last] = _literal(raw, at, count)[4 * first + 3 - done :: 4]
        at, done = needed, after
    return opacity


def _literal(raw: NDArray[np.uint8], at: int, count: int) -> NDArray[np.uint8]:
    start, shift = at >> 3, at & 7
    if shift == 0:
        return raw[start : start + count]
    part = raw[start : start + count + 1].astype(np.uint16)
    return ((part[:-1] << shift | part[1:] >> (8 - shift)) & 255).astype(np.uint8)


def encode_brush(painted: NDArray[Any]) -> list[int]:
    """Return painted pixels as Label Studio's run lengths: painted ones opaque white, others transparent.

    Parameters
    ----------
    painted
        (H, W) of booleans or integers; not 0 is painted.

    Returns
    -------
    list of int
        ``value.rle`` of a brush result.

    Raises
    ------
    Invalid
        if it is not (H, W), or has no pixel or too many.

    Examples
    --------
    >>> import numpy as np
    >>> encode_brush(np.array([[False, True]]))
    [0, 0, 0, 8, 57, 27, 252, 96, 17, 255, 128]
    """
    if painted.ndim != 2 or not 0 < painted.size <= MAX_PIXELS:
        raise Invalid(f"painted must be (H, W) with 1 to {MAX_PIXELS:,} pixels; {painted.shape} was given.")
    flat = np.asarray(painted != 0).ravel()
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    length = 4 * np.diff(starts, append=flat.size)
    # A count has 16 bits at most: what is longer becomes several blocks, the last of them with the rest.
    pieces = -(-length // _LONGEST)
    count = np.full(int(pieces.sum()), _LONGEST, np.int64)
    count[np.cumsum(pieces) - 1] = length - (pieces - 1) * _LONGEST
    value = np.repeat(flat[starts], pieces)
    head = [4 * flat.size, 7, *(width - 1 for width in _COUNTS)]
    bits = [int(bit) for number, width in zip(head, (32, 5, 4, 4, 4, 4), strict=True) for bit in f"{number:0{width}b}"]
    packed = np.concatenate([np.array(bits, np.bool_), _block_bits(count - 1, value)])
    return [int(byte) for byte in np.packbits(packed)]


def _block_bits(count: NDArray[np.int64], value: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Write each block as 1, the choice of the count's width, the count less one, and 8 equal bits."""
    choice = np.searchsorted([1 << width for width in _COUNTS], count, side="right")
    table = np.zeros((len(count), 11 + _COUNTS[-1]), np.bool_)
    used = np.zeros_like(table)
    table[:, 0], table[:, 1], table[:, 2] = True, choice >> 1, choice & 1
    used[:, :3] = True
    for index, width in enumerate(_COUNTS):
        mine = choice == index
        for bit in range(width):
            table[mine, 3 + bit] = count[mine] >> (width - 1 - bit) & 1
        table[mine, 3 + width : 11 + width] = value[mine, None]
        used[mine, 3 : 11 + width] = True
    return table[used]
