"""The parts of the method, each against a slow or an independent reference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.distance import cdist
from threadpoolctl import threadpool_limits

from vision_toolkit.core import Mask
from vision_toolkit.models import memory as memory_module
from vision_toolkit.models.decoder import Cells, fit_decoder, held_out_types, truth_grid
from vision_toolkit.models.features import batches, read_ahead
from vision_toolkit.models.memory import build_memory, choose_centres
from vision_toolkit.models.runtime import (
    Memory,
    decode_types,
    describe,
    describe_types,
    largest,
    pack_arrays,
    resize_scores,
    unpack_arrays,
)
from vision_toolkit.models.verdict import CANDIDATES, calibrate, fit_candidate, fit_verdict, memory_rule


def test_distances_are_those_to_the_nearest():
    rng = np.random.default_rng(0)
    stored, asked = rng.normal(size=(300, 9)).astype("f4"), rng.normal(size=(60, 50, 9)).astype("f4")
    scale = rng.uniform(0.5, 2, 9).astype("f4")
    found = Memory(stored, scale).distances(asked)
    slow = cdist(asked.reshape(-1, 9) / scale, stored).min(axis=1).reshape(60, 50)
    assert found.dtype == np.float32 and np.allclose(found, slow, atol=1e-3)


def test_centres_are_the_greedy_choice():
    points = np.random.default_rng(1).normal(size=(200, 5)).astype("f4")
    chosen = choose_centres(points, 20, rng=np.random.default_rng(2))
    table = cdist(points, points)
    slow = [int(chosen[0])]
    for _ in range(19):
        slow.append(int(table[:, slow].min(axis=1).argmax()))
    assert chosen.tolist() == slow
    # the sketch of many dimensions covers nearly as well as the true choice
    wide = np.random.default_rng(3).normal(size=(400, 128)).astype("f4")
    table = cdist(wide, wide)
    greedy = [0]
    while len(greedy) < 40:
        greedy.append(int(table[:, greedy].min(axis=1).argmax()))
    radius = table[:, choose_centres(wide, 40, rng=np.random.default_rng(4))].min(axis=1).max()
    assert radius < 1.1 * table[:, greedy].min(axis=1).max()


def test_equal_points_are_chosen_once_and_few_points_are_all_kept():
    same = np.ones((50, 4), np.float32)
    assert len(choose_centres(same, 10, rng=np.random.default_rng(0))) == 1
    assert choose_centres(same, 60, rng=np.random.default_rng(0)).tolist() == list(range(50))


def test_a_memory_stays_within_its_bounds(monkeypatch):
    monkeypatch.setattr(memory_module, "CANDIDATES", 500)
    patches = np.random.default_rng(0).normal(size=(30, 10, 10, 6)).astype("f2")
    built = build_memory(patches, range(30), rng=np.random.default_rng(0), size=64)
    assert built.turned.shape == (6, 64) and built.turned.dtype == np.float32
    one = build_memory(patches, [3], rng=np.random.default_rng(0), size=1000)
    assert one.distances(patches[3].astype("f4")).max() < 1e-2  # every patch of the image is remembered


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


def test_an_image_is_described_by_its_oddest_patches():
    distances = np.arange(100, dtype=np.float32).reshape(10, 10)
    groups = describe(np.zeros((10, 10, 3), np.float32), np.ones(4, np.float32), distances)
    assert groups["distance"][:5].tolist() == [99.0, 99.0, 98.5, 94.5, 49.5]
    assert groups["patch"].shape == (9,) and groups["global"].tolist() == [1.0] * 4


def test_painted_cells_are_described_by_log_odds():
    clean, painted = np.zeros((20, 20, 3), np.float32), np.zeros((20, 20, 3), np.float32)
    clean[..., 0] = 1.0
    painted[..., 0], painted[5, 5] = 0.9, (0.2, 0.7, 0.1)
    painted[..., 1] = 1 - painted[..., 0] - painted[..., 2]
    assert describe_types(clean) == pytest.approx(np.full(5, np.log(1e-4 / (1 - 1e-4))), rel=1e-4)
    odds = describe_types(painted)
    assert odds[0] == pytest.approx(np.log(0.8 / 0.2), rel=1e-4)
    assert odds[-1] == pytest.approx(np.log((0.8 + 19 * 0.1) / 20 / (1 - (0.8 + 19 * 0.1) / 20)), rel=1e-4)


def drawn_groups(n: int, *, signal: float, seed: int = 0):
    rng = np.random.default_rng(seed)
    truth = np.arange(n) % 2 == 1
    sizes = {"distance": 6, "global": 40, "patch": 30}
    groups = {name: rng.normal(size=(n, k)).astype("f4") for name, k in sizes.items()}
    groups["patch"][:, 0] += signal * truth
    return groups, truth, rng.integers(0, 5, n)


@pytest.mark.parametrize("name", CANDIDATES)
def test_each_candidate_learns_what_there_is(name):
    groups, truth, _ = drawn_groups(200, signal=6.0)
    if CANDIDATES[name] != ("patch",):
        known = groups["patch"]
        groups = {"distance": known[:, :6], "global": known, "patch": known, "painted": known[:, :5]}
    rule = fit_candidate(name, groups, truth)
    assert ((rule.logits(groups) > np.median(rule.logits(groups))) == truth).mean() > 0.95


def test_held_out_scores_of_noise_are_worth_nothing():
    """Reported scores must not know the answers: on noise they are as good as chance."""
    from sklearn.metrics import roc_auc_score

    aucs = []
    for seed in range(8):
        groups, truth, folds = drawn_groups(60, signal=0.0, seed=seed)
        with threadpool_limits(1):
            verdict = fit_verdict(groups, truth, folds, metric="f1", threshold="best_f1", seed=seed)
        aucs.append(roc_auc_score(truth, verdict.scores))
    assert abs(np.mean(aucs) - 0.5) < 0.14


def test_the_verdict_finds_the_group_that_knows_and_says_why():
    groups, truth, folds = drawn_groups(80, signal=5.0)
    verdict = fit_verdict(groups, truth, folds, metric="f1", threshold="best_f1", seed=0)
    assert verdict.name in ("middle layers", "all features", "blend") and verdict.name in verdict.why
    without_types = [name for name in CANDIDATES if name != "painted types"]
    assert [one["name"] for one in verdict.tried] == without_types
    assert ((verdict.scores >= verdict.thresholds) == truth).mean() > 0.9
    assert 0.0 < verdict.threshold < 1.0


def test_the_calibration_is_platts():
    from sklearn.calibration import _SigmoidCalibration

    rng = np.random.default_rng(0)
    truth = rng.random(300) < 0.3
    logits = rng.normal(size=300) + 2 * truth
    theirs = _SigmoidCalibration().fit(logits, truth).predict(logits)
    assert np.allclose(calibrate(logits, truth).scores(logits), theirs, atol=2e-3)
    apart = calibrate(np.array([-9.0, -8, 8, 9]), np.array([False, False, True, True]))
    assert np.isfinite(apart.slope) and 0 < apart.scores(np.array([0.0]))[0] < 1


def test_the_memory_alone_says_half_three_deviations_above_normal():
    normal = np.random.default_rng(0).normal(10, 2, 500)
    rule = memory_rule(normal)
    edge = np.zeros((1, 6), np.float32)
    edge[0, 0] = normal.mean() + 3 * normal.std(ddof=1)
    assert rule.logits({"distance": edge})[0] == pytest.approx(0.0, abs=1e-4)


def drawn_cells(n: int, *, painted: bool = True):
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
    return Cells(fine, patches, np.abs(rng.normal(size=(n, 8, 10))).astype("f4"), truth)


def test_the_decoder_learns_types_and_is_judged_held_out():
    cells = drawn_cells(12)
    said, bias = held_out_types(cells, np.arange(12) // 4, 3, seed=0)
    assert all(np.allclose(one.sum(axis=2), 1, atol=1e-4) for one in said) and -2 <= bias <= 8
    ids = np.stack([one.argmax(axis=2) for one in said])
    for kind in (1, 2):
        both = ((ids == kind) & (cells.truth == kind)).sum()
        assert both / ((ids == kind) | (cells.truth == kind)).sum() > 0.7
    one = fit_decoder(cells, range(12), 3, seed=1)
    again = fit_decoder(cells, range(12), 3, seed=1)
    assert all(np.array_equal(one[name], again[name]) for name in one)


def test_a_type_that_nobody_painted_is_never_predicted():
    cells = drawn_cells(6, painted=False)
    arrays = fit_decoder(cells, range(6), 3, seed=0)
    assert decode_types(*cells.parts(0), arrays).argmax(axis=2).max() == 0


def test_a_cell_is_a_type_when_enough_of_it_is_covered():
    ids = np.zeros((8, 8), np.uint8)
    ids[:4, 0:2] = 1  # half of the first cell
    ids[4:8, 4:5] = 2  # a quarter of the last
    grid = truth_grid(Mask(ids, ("background", "a", "b")), 2, 2)
    assert grid.tolist() == [[1, 0], [0, 0]]
    assert truth_grid(None, 3, 2).shape == (2, 3)


def test_reading_ahead_keeps_the_order_and_the_distance():
    started = []
    iterator = read_ahead(lambda i: started.append(i) or i * i, range(100), threads=2, ahead=5)
    assert [next(iterator) for _ in range(3)] == [0, 1, 4]
    assert len(started) <= 9
    assert list(iterator) == [i * i for i in range(3, 100)]
    assert list(batches(range(7), 3)) == [[0, 1, 2], [3, 4, 5], [6]]
