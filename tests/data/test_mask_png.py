from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vision_toolkit.core.mask import Mask
from vision_toolkit.data.images import encode_mask
from vision_toolkit.data.mask_png import MaskPng

COLOURS = ["#FFFFFF", "#23A436", "#1F77B4", "#D62728"]


def read(data: bytes) -> np.ndarray:
    image = Image.open(io.BytesIO(data))
    image.load()  # Pillow looks at every checksum
    return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("shape", [(1, 1), (63, 5), (64, 64), (65, 3), (200, 130), (1000, 777)])
def test_the_file_says_what_pillow_would_write(shape: tuple[int, int]) -> None:
    ids = np.random.default_rng(0).integers(0, 4, shape).astype(np.uint8)
    png = MaskPng(ids, COLOURS)
    reference = encode_mask(Mask(ids, ("background", "a", "b", "c"), COLOURS))
    assert np.array_equal(read(png.encoded()), read(reference))
    assert png.present() == tuple(np.unique(ids))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 199), st.integers(1, 120), st.integers(0, 3)), max_size=8))
def test_only_what_changed_is_packed_and_the_file_is_right(strokes: list[tuple[int, int, int]]) -> None:
    ids = np.zeros((200, 90), np.uint8)
    png = MaskPng(ids, COLOURS)
    png.encoded()
    for top, height, value in strokes:
        ids[top : top + height, 10:50] = value
        png.changed(top, min(height, 200 - top))
        assert np.array_equal(read(png.encoded()), read(MaskPng(ids.copy(), COLOURS).encoded()))
        assert png.present() == tuple(np.unique(ids))


def test_bytes_follow_one_another_as_a_strict_reader_wants_them() -> None:
    ids = np.random.default_rng(1).integers(0, 4, (300, 50)).astype(np.uint8)
    data = MaskPng(ids, COLOURS).encoded()
    place, stream = 8, b""
    while place < len(data):
        (length,) = struct.unpack(">I", data[place : place + 4])
        kind, body = data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
        assert struct.unpack(">I", data[place + 8 + length : place + 12 + length])[0] == zlib.crc32(kind + body)
        stream += body if kind == b"IDAT" else b""
        place += 12 + length
    rows = np.frombuffer(zlib.decompress(stream), np.uint8).reshape(300, 51)  # raises where the checksum is wrong
    assert not rows[:, 0].any()
    assert np.array_equal(rows[:, 1:], ids)
