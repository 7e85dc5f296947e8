"""The pictures of a package are those of the library."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import vision_toolkit as vt
from vision_toolkit.core import Mask
from vision_toolkit.models.station.draw import LARGEST, overlay, overlay_jpeg

COLOURS = ("#FFFFFF", "#23A436", "#D13212")


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 9999),
    height=st.integers(1, 90),
    width=st.integers(1, 900),
    kind=st.sampled_from(["none", "few", "all"]),
)
def test_an_overlay_is_the_library_s_to_the_bit(seed: int, height: int, width: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    heat = rng.uniform(0, 1, (rng.integers(1, 9), rng.integers(1, 9))).astype(np.float32)
    ids = None if kind == "none" else (rng.integers(0, 3, (height, width)) * (kind == "all")).astype(np.uint8)
    mask = None if ids is None else Mask(ids, ("background", "a", "b"), COLOURS)
    assert np.array_equal(overlay(image, heat, ids, COLOURS), vt.overlay(image, map=heat, mask=mask))


@pytest.mark.parametrize(
    ("shape", "size"), [((4000, 2000), (800, LARGEST)), ((3, 5000), (LARGEST, 1)), ((8, 9), (9, 8))]
)
def test_an_overlay_has_a_largest_size(shape: tuple[int, int], size: tuple[int, int]) -> None:
    answer = {"map": np.ones((4, 4), np.float32), "ids": np.ones(shape, np.uint8)}
    picture = Image.open(io.BytesIO(overlay_jpeg(np.zeros((*shape, 3), np.uint8), answer, COLOURS)))
    assert picture.format == "JPEG" and picture.size == size
