"""The decoder that says the anomaly type of single cells."""

from __future__ import annotations

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from vision_toolkit.core import Mask
from vision_toolkit.models.decoder import (
    Cells,
    decode_types,
    favour_background,
    fit_decoder,
    held_out_types,
    mean_iou,
    sample_cells,
    truth_grid,
)


@pytest.fixture(autouse=True)
def one_thread():
    """Work as training does: small products, for which more threads wait for one another."""
    with threadpool_limits(1):
        yield


def drawn_cells(n: int, *, painted: bool = True) -> Cells:
    rng = np.random.default_rng(0)
    truth = np.zeros((n, 16, 20), np.uint8)
    fine = rng.normal(size=(n, 16, 20, 5)).astype("f4")
    if painted:
        for i in range(n):
            kind = i % 3
            truth[i, 4:9, 5 + i % 7 : 12 + i % 7] = kind
        fine[truth == 1, 0] += 6
        fine[truth == 2, 1] += 6
    patches = rng.normal(size=(n, 8, 10, 4)).astype("f4")
    distances = np.abs(rng.normal(size=(n, 8, 10))).astype("f4")
    return Cells(fine.__getitem__, patches.__getitem__, distances, truth)


def test_the_decoder_learns_types_and_is_judged_held_out():
    cells = drawn_cells(12)
    samples = sample_cells(cells, range(12), seed=0)
    said, bias = held_out_types(cells, samples, np.arange(12), np.arange(12) // 4, 3, seed=0)
    assert sorted(said) == list(range(12)) and -2 <= bias <= 8
    assert all(np.allclose(one.sum(axis=2), 1, atol=1e-4) for one in said.values())
    ids = np.stack([said[position].argmax(axis=2) for position in range(12)])
    for kind in (1, 2):
        both = ((ids == kind) & (cells.truth == kind)).sum()
        assert both / ((ids == kind) | (cells.truth == kind)).sum() > 0.7
    one, again = (fit_decoder(sample_cells(cells, range(12), seed=0), 3, seed=1) for _ in range(2))
    assert all(np.array_equal(one[name], again[name]) for name in one)


def test_an_image_is_painted_by_a_decoder_that_did_not_see_it():
    """A type that only the images of one fold show is never said of them."""
    cells = drawn_cells(12)
    only = np.flatnonzero((cells.truth == 2).any(axis=(1, 2)))
    folds = np.where(np.isin(np.arange(12), only), 0, 1 + np.arange(12) % 2)
    said, _ = held_out_types(cells, sample_cells(cells, range(12), seed=0), np.arange(12), folds, 3, seed=0)
    assert max(said[position][..., 2].max() for position in only.tolist()) < 1e-6


def test_positions_need_not_be_all_images():
    cells = drawn_cells(9)
    some = np.array([1, 2, 4, 5, 7, 8])
    samples = sample_cells(cells, some.tolist(), seed=0)
    said, _ = held_out_types(cells, samples, some, np.array([0, 0, 1, 1, 2, 2]), 3, seed=0)
    assert sorted(said) == [1, 2, 4, 5, 7, 8]


def test_a_type_that_nobody_painted_is_never_predicted():
    cells = drawn_cells(6, painted=False)
    arrays = fit_decoder(sample_cells(cells, range(6), seed=0), 3, seed=0)
    assert decode_types(cells, 0, arrays).argmax(axis=2).max() == 0


def test_favouring_the_background_adds_to_its_logit():
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(4, 5, 3))
    raised = logits + np.array([1.5, 0, 0])
    before, after = (np.exp(one) / np.exp(one).sum(axis=2, keepdims=True) for one in (logits, raised))
    assert np.allclose(favour_background(before.astype("f4"), 1.5), after, atol=1e-5)


def test_the_mean_iou_is_scikit_learns():
    from sklearn.metrics import jaccard_score

    rng = np.random.default_rng(2)
    truth = rng.integers(0, 3, (4, 6, 7)).astype("u1")
    truth[0] = 0
    said = rng.random((4, 6, 7, 3)).astype("f4")
    values = {1: [], 2: []}
    for one, true in zip(said, truth, strict=True):
        ids = one.argmax(axis=2)
        for kind in (1, 2):
            if (ids == kind).any() or (true == kind).any():
                values[kind].append(jaccard_score(true.ravel() == kind, ids.ravel() == kind))
    assert np.isclose(mean_iou(said, truth, 3), np.mean([np.mean(values[1]), np.mean(values[2])]))
    nothing = np.zeros((1, 2, 2, 3), "f4")
    nothing[..., 0] = 1
    assert mean_iou(nothing, np.zeros((1, 2, 2), "u1"), 3) == 0.0


def test_a_cell_is_a_type_when_enough_of_it_is_covered():
    ids = np.zeros((8, 8), np.uint8)
    ids[:4, 0:2] = 1  # half of the first cell
    ids[4:8, 4:5] = 2  # a quarter of the last
    grid = truth_grid(Mask(ids, ("background", "a", "b")), 2, 2)
    assert grid.tolist() == [[1, 0], [0, 0]]
    assert truth_grid(None, 3, 2).shape == (2, 3)
