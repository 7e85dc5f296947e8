"""The arithmetic and plumbing that the other parts stand on: resizing, arrays on disk, reading ahead."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vision_toolkit.models.arrays import pack_arrays, unpack_arrays
from vision_toolkit.models.features import batches, digest, read_ahead
from vision_toolkit.models.runtime import largest, resize_scores


@given(
    hnp.arrays(
        np.float32, st.tuples(st.integers(1, 6), st.integers(1, 6), st.integers(1, 3)), elements=st.integers(-50, 50)
    ),
    st.integers(1, 23),
    st.integers(1, 23),
)
def test_resizing_is_bilinear_with_the_border_held(scores, width, height):
    found = resize_scores(scores, width, height)
    slow = np.empty((height, width, scores.shape[2]))
    h, w = scores.shape[:2]
    for y in range(height):
        for x in range(width):
            fy = min(max((y + 0.5) * h / height - 0.5, 0), h - 1)
            fx = min(max((x + 0.5) * w / width - 0.5, 0), w - 1)
            y0, x0 = int(fy), int(fx)
            y1, x1 = min(y0 + 1, h - 1), min(x0 + 1, w - 1)
            top = scores[y0, x0] + (scores[y0, x1] - scores[y0, x0]) * (fx - x0)
            low = scores[y1, x0] + (scores[y1, x1] - scores[y1, x0]) * (fx - x0)
            slow[y, x] = top + (low - top) * (fy - y0)
    assert np.allclose(found, slow, atol=1e-3)


def test_the_largest_class_is_the_same_in_bands():
    scores = np.random.default_rng(0).random((9, 7, 4)).astype("f4")
    assert np.array_equal(largest(scores, 300, 700), resize_scores(scores, 300, 700).argmax(axis=2))


def test_arrays_are_read_by_the_safetensors_library_and_back():
    from safetensors.numpy import load, save

    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.zeros(0, np.uint8), "c": np.ones(3, np.int64)}
    theirs = load(pack_arrays(arrays))
    ours = unpack_arrays(save(arrays))
    for name, array in arrays.items():
        assert np.array_equal(theirs[name], array) and np.array_equal(ours[name], array)
        assert ours[name].dtype == array.dtype and ours[name].shape == array.shape
    for cut in (0, 4, 20, -1):
        with pytest.raises(ValueError, match="damaged"):
            unpack_arrays(pack_arrays(arrays)[:cut])


def test_reading_ahead_keeps_the_order_and_the_distance():
    started = []
    iterator = read_ahead(lambda i: started.append(i) or i * i, range(100), threads=2, ahead=5)
    assert [next(iterator) for _ in range(3)] == [0, 1, 4]
    assert len(started) <= 9
    assert list(iterator) == [i * i for i in range(3, 100)]
    assert list(batches(range(7), 3)) == [[0, 1, 2], [3, 4, 5], [6]]


def test_a_digest_follows_from_all_that_is_given():
    one = digest("a", np.arange(3), (1, 2))
    assert one == digest("a", np.arange(3), (1, 2)) and len(one) == 40
    others = [digest("b", np.arange(3), (1, 2)), digest("a", np.arange(4), (1, 2)), digest("a", np.arange(3), (1, 3))]
    assert len({one, *others}) == 4
