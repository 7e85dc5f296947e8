"""The PNG of a mask that is being painted: what it costs to encode it again follows the change, not the image."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vision_toolkit.core.mask import hex_to_rgb

__all__ = ["MaskPng"]

_ROWS = 64
"""Rows of a band."""
_ADLER = 65_521


class MaskPng:
    """Hold a mask as bands of rows, each packed by itself: only bands that changed are packed anew.

    Each band is a chunk of its own in the file. The bands are one stream of deflate all the same, as a PNG needs it:
    none looks back at another, each ends on a whole byte, and their checksums are joined.

    Parameters
    ----------
    ids
        (H, W) uint8; whoever paints on it says where (:meth:`changed`).
    colours
        the colour of each id, ``#rrggbb``, up to 256.

    Examples
    --------
    >>> from vision_toolkit.data.images import mask_pixels
    >>> from vision_toolkit.core import MaskRef
    >>> ids = np.zeros((2, 3), np.uint8)
    >>> png = MaskPng(ids, ["#FFFFFF", "#23A436"])
    >>> ids[0, 1] = 1
    >>> png.changed(0, 1)
    >>> png.present()
    (0, 1)
    >>> mask_pixels(MaskRef("1.png", {"scratch": "#23A436"}), data=png.encoded())[0].tolist()
    [[255, 255, 255], [35, 164, 54], [255, 255, 255]]
    """

    def __init__(self, ids: NDArray[np.uint8], colours: Sequence[str]) -> None:
        self.ids = ids
        height, width = ids.shape
        palette = bytes(value for colour in colours for value in hex_to_rgb(colour))
        header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)  # 8 bits, a palette
        self._head = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"PLTE", palette)
        self._head += _chunk(b"IDAT", b"\x78\x01")
        count = -(-height // _ROWS)
        self._bands = [b""] * count
        self._sums = [(1, 0)] * count  # checksum and number of bytes
        self._counts = np.zeros((count, 256), np.int64)
        self._stale = set(range(count))

    def changed(self, top: int, height: int) -> None:
        """Say that rows were painted on."""
        self._stale.update(range(top // _ROWS, (top + height - 1) // _ROWS + 1))

    def present(self) -> tuple[int, ...]:
        """Return which ids there are."""
        self._pack()
        return tuple(np.flatnonzero(self._counts.any(axis=0)).tolist())

    def encoded(self) -> bytes:
        """Return the file."""
        self._pack()
        total = 1
        for check, length in self._sums:
            low, high = total & 0xFFFF, total >> 16
            high = (high + (check >> 16) + length * (low - 1)) % _ADLER
            total = high << 16 | (low + (check & 0xFFFF) - 1) % _ADLER
        end = _chunk(b"IDAT", b"\x03\x00" + struct.pack(">I", total)) + _chunk(b"IEND", b"")  # an empty last block
        return b"".join([self._head, *self._bands, end])

    def _pack(self) -> None:
        for band in self._stale:
            part = self.ids[band * _ROWS : (band + 1) * _ROWS]
            rows = np.zeros((part.shape[0], part.shape[1] + 1), np.uint8)  # each row begins with its filter: none
            rows[:, 1:] = part
            plain = rows.tobytes()
            packer = zlib.compressobj(1, zlib.DEFLATED, -15)
            packed = packer.compress(plain) + packer.flush(zlib.Z_FULL_FLUSH)
            self._bands[band] = _chunk(b"IDAT", packed)
            self._sums[band] = zlib.adler32(plain), len(plain)
            self._counts[band] = np.bincount(part.ravel(), minlength=256)
        self._stale.clear()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
