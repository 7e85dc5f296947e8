"""What the verdict looks at, against slow references."""

from __future__ import annotations

import numpy as np
import pytest

from vision_toolkit.models.describe import describe_levels, describe_map, describe_types, fuse_maps, show_map
from vision_toolkit.models.runtime import resize_scores

RNG = np.random.default_rng(0)


def test_a_map_is_described_by_its_largest_values():
    values = np.arange(100, dtype=np.float32).reshape(10, 10)
    assert describe_map(values).tolist() == pytest.approx([99.0, 99.0, 98.5, 94.5, 49.5, values.std()])
    drawn = RNG.normal(size=(30, 40)).astype("f4")
    tops = [np.sort(drawn.ravel())[-count:].mean() for count in (1, 6, 24, 120)]
    assert describe_map(drawn) == pytest.approx([*tops, drawn.mean(), drawn.std()], abs=1e-5)
    assert describe_map(np.ones((2, 2), "f4"))[:4].tolist() == [1, 1, 1, 1]  # shares of few places are one place


def test_a_level_is_described_feature_by_feature():
    patches = RNG.normal(size=(5, 7, 3)).astype("f2")
    said = describe_levels(patches)
    flat = patches.astype(float).reshape(35, 3)
    assert said.shape == (9,) and said.dtype == np.float32
    slow = [
        [flat[:, k].mean() for k in range(3)],
        [flat[:, k].max() for k in range(3)],
        [flat[:, k].std() for k in range(3)],
    ]
    assert np.allclose(said, np.concatenate(slow), atol=1e-5)


def test_painted_cells_are_described_by_log_odds():
    clean, painted = np.zeros((20, 20, 3), np.float32), np.zeros((20, 20, 3), np.float32)
    clean[..., 0] = 1.0
    painted[..., 0], painted[5, 5] = 0.9, (0.2, 0.7, 0.1)
    painted[..., 1] = 1 - painted[..., 0] - painted[..., 2]
    assert describe_types(clean) == pytest.approx(np.full(5, np.log(1e-4 / (1 - 1e-4))), rel=1e-4)
    odds = describe_types(painted)
    assert odds[0] == pytest.approx(np.log(0.8 / 0.2), rel=1e-4)
    assert odds[-1] == pytest.approx(np.log((0.8 + 19 * 0.1) / 20 / (1 - (0.8 + 19 * 0.1) / 20)), rel=1e-4)


def test_maps_are_added_at_the_size_of_the_first_and_averaged_with_their_neighbours():
    first, second = RNG.normal(size=(8, 10)).astype("f4"), RNG.normal(size=(4, 5)).astype("f4")
    total = first + resize_scores(second[..., None], 10, 8)[..., 0]
    slow = np.empty((8, 10))
    for y in range(8):
        for x in range(10):
            slow[y, x] = total[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2].mean()
    assert np.allclose(fuse_maps([first, second]), slow, atol=1e-5)
    assert np.allclose(fuse_maps([np.full((3, 3), 2.0, "f4")]), 2.0)


def test_the_shown_map_keeps_the_order_of_heat_and_says_half_at_its_level():
    values = np.array([[-5.0, 0.0, 2.9, 3.0, 3.1, 60.0, 20_000.0, 21_000.0]], np.float32)
    shown = show_map(values, 3.0)
    assert shown.dtype == np.float32 and shown[0, 3] == 0.5
    assert (np.diff(shown[0]) > 0).all() and shown.min() > 0 and shown.max() < 1  # the hottest place can be found
