"""Counts against counting one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vision_toolkit.core import Invalid, Mask
from vision_toolkit.metrics import Counts, count, count_pixels

NAMES = ("background", "scratch", "dent", "stain")
verdicts = st.lists(st.tuples(st.booleans(), st.booleans()), max_size=60)
ids = arrays(np.uint8, (6, 5), elements=st.integers(0, 3))


@given(verdicts)
def test_count_is_counting_one_by_one(pairs):
    slow = {"tp": 0, "fp": 0, "fn": 0, "tn": 0}
    for true, said in pairs:
        slow[("t" if true == said else "f") + ("p" if said else "n")] += 1
    assert count([t for t, _ in pairs], [p for _, p in pairs]) == Counts(**slow)


@given(verdicts, verdicts)
def test_counts_add_like_the_lists_they_count(first, second):
    def counted(pairs):
        return count([t for t, _ in pairs], [p for _, p in pairs])

    total = counted(first) + counted(second)
    assert total == counted(first + second)
    assert total.n == len(first) + len(second)


@pytest.mark.parametrize(
    ("true", "said", "told"),
    [
        ([1, 0], [1], "equally long"),
        ([[1, 0]], [1, 0], "one dimension"),
        ([1, 2], [1, 0], "y_true holds True or 1"),
        (["anomaly"], [1], "'anomaly'"),
        ([1, 0], [1, float("nan")], "y_pred"),
    ],
)
def test_what_is_no_verdict_is_refused(true, said, told):
    with pytest.raises(Invalid, match=told):
        count(true, said)


@pytest.mark.parametrize("value", [-1, 1.0, True, "1"])
def test_counts_are_whole_numbers_from_0(value):
    with pytest.raises(Invalid, match="whole number from 0"):
        Counts(tp=value)


def test_numbers_and_counts_do_not_add():
    with pytest.raises(TypeError):
        Counts() + 1


def slow_pixels(true: Mask, predicted: Mask, name: str) -> Counts:
    cells = {"tp": 0, "fp": 0, "fn": 0, "tn": 0}
    for y in range(true.ids.shape[0]):
        for x in range(true.ids.shape[1]):
            has, said = true.names[true.ids[y, x]] == name, predicted.names[predicted.ids[y, x]] == name
            cells[("t" if has == said else "f") + ("p" if said else "n")] += 1
    return Counts(**cells)


@given(ids, ids, st.permutations(NAMES[1:]))
def test_pixels_are_counted_by_name_whatever_the_ids(one, two, order):
    true, predicted = Mask(one, NAMES), Mask(two, ("background", *order))
    counted = count_pixels(true, predicted)
    assert list(counted) == list(NAMES[1:])
    assert counted == {name: slow_pixels(true, predicted, name) for name in NAMES[1:]}


@given(ids, ids)
def test_arrays_of_ids_count_as_masks_do(one, two):
    assert count_pixels(one, two.astype(np.int64), names=NAMES) == count_pixels(Mask(one, NAMES), Mask(two, NAMES))


def test_a_type_that_one_side_does_not_know_is_counted_too():
    true = Mask(np.array([[0, 1]], np.uint8), ("background", "scratch"))
    predicted = Mask(np.array([[1, 1]], np.uint8), ("background", "dent"))
    assert count_pixels(true, predicted) == {"scratch": Counts(0, 0, 1, 1), "dent": Counts(0, 2, 0, 0)}


def test_bool_arrays_have_one_type():
    assert count_pixels(np.eye(2, dtype=bool), np.ones((2, 2), bool)) == {"anomaly": Counts(2, 2, 0, 0)}


def test_all_256_classes_fit():
    names = ("background", *map(str, range(1, 256)))
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    counted = count_pixels(pixels, pixels, names=names)
    assert len(counted) == 255
    assert set(counted.values()) == {Counts(1, 0, 0, 255)}


@pytest.mark.parametrize(
    ("one", "two", "names", "told"),
    [
        (np.zeros((2, 2), bool), np.zeros((2, 3), bool), None, r"2x2 and 3x2.*resized"),
        (np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.uint8), None, "names="),
        (np.full((2, 2), 300), np.zeros((2, 2), int), NAMES, "0 to 255"),
        (np.zeros((2, 2)), np.zeros((2, 2)), NAMES, "float64"),
    ],
)
def test_pixels_that_cannot_be_compared_are_refused(one, two, names, told):
    with pytest.raises(Invalid, match=told):
        count_pixels(one, two, names=names)
