"""The memory of normal patches, against slow references."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from vision_toolkit.models import memory as memory_module
from vision_toolkit.models.memory import Memory, build_memory, choose_centres, principal_axes


def greedy(points: np.ndarray, first: int, size: int) -> list[int]:
    """Choose centres as the definition says it: all distances anew at each step."""
    table = cdist(points.astype(float), points.astype(float))
    chosen = [first]
    while len(chosen) < size:
        chosen.append(int(table[:, chosen].min(axis=1).argmax()))
    return chosen


def test_distances_are_those_to_the_nearest_in_its_own_weight():
    rng = np.random.default_rng(0)
    centre, axes = rng.normal(size=9).astype("f4"), rng.normal(size=(9, 5)).astype("f4")
    points, weights = rng.normal(size=(300, 5)).astype("f4"), rng.uniform(0.2, 4, 300).astype("f4")
    asked = rng.normal(size=(60, 50, 9)).astype("f4")
    found = Memory(centre, axes, points, weights).distances(asked)
    projected = (asked.reshape(-1, 9).astype(float) - centre) @ axes
    slow = (cdist(projected, points) * np.sqrt(weights)).min(axis=1).reshape(60, 50)
    assert found.dtype == np.float32 and np.allclose(found, slow, atol=2e-3)


@pytest.mark.parametrize("round_size", [1, 7, 40, 200, 1000])
def test_centres_are_the_greedy_choice_however_many_go_into_a_round(monkeypatch, round_size):
    monkeypatch.setattr(memory_module, "ROUND", round_size)
    points = np.random.default_rng(1).normal(size=(200, 5)).astype("f4")
    rounds = []
    real = memory_module._take_nearer
    monkeypatch.setattr(memory_module, "_take_nearer", lambda *a: rounds.append(a[3]) or real(*a))
    chosen = choose_centres(points, 60, rng=np.random.default_rng(2))
    assert chosen.tolist() == greedy(points, int(chosen[0]), 60)
    assert (len(rounds) > 3) == (round_size <= 40)  # several rounds were forced


def test_a_cluster_far_off_is_chosen_greedily_too(monkeypatch):
    """The farthest points all lie together, so that most of a round is used up by one choice."""
    monkeypatch.setattr(memory_module, "ROUND", 30)
    rng = np.random.default_rng(3)
    points = np.concatenate([rng.normal(size=(300, 4)), 50 + 0.01 * rng.normal(size=(60, 4))]).astype("f4")
    chosen = choose_centres(points, 25, rng=np.random.default_rng(0))
    assert chosen.tolist() == greedy(points, int(chosen[0]), 25)


def test_the_sketch_of_many_dimensions_covers_nearly_as_well_as_the_true_choice():
    wide = np.random.default_rng(3).normal(size=(400, 128)).astype("f4")
    table = cdist(wide, wide)
    radius = table[:, choose_centres(wide, 40, rng=np.random.default_rng(4))].min(axis=1).max()
    assert radius < 1.1 * table[:, greedy(wide, 0, 40)].min(axis=1).max()


def test_equal_points_are_chosen_once_and_few_points_are_all_kept():
    same = np.ones((50, 4), np.float32)
    assert len(choose_centres(same, 10, rng=np.random.default_rng(0))) == 1
    assert choose_centres(same, 60, rng=np.random.default_rng(0)).tolist() == list(range(50))


def test_a_memory_stays_within_its_bounds(monkeypatch):
    monkeypatch.setattr(memory_module, "MOST_CANDIDATES", 500)
    patches = np.random.default_rng(0).normal(size=(30, 10, 10, 6)).astype("f2")
    built = build_memory(patches.__getitem__, range(30), rng=np.random.default_rng(0), size=64)
    assert built.points.shape == (64, 6) and built.points.dtype == np.float32 and built.weights.shape == (64,)
    few = build_memory(patches.__getitem__, range(30), rng=np.random.default_rng(0), size=64, axes=2)
    assert few.axes.shape == (6, 2) and few.points.shape == (64, 2)
    one = build_memory(patches.__getitem__, [3], rng=np.random.default_rng(0), size=1000)
    assert one.distances(patches[3].astype("f4")).max() < 1e-2  # every patch of the image is remembered


def test_the_weights_say_how_densely_the_memory_lies():
    """The spacing of each point is the mean distance to its three nearest; the usual one counts 1."""
    rng = np.random.default_rng(5)
    dense, sparse = rng.normal(size=(60, 3)), 30 + 4 * rng.normal(size=(61, 3))
    points = np.concatenate([dense, sparse]).astype("f4")
    built = build_memory(
        lambda position: points.reshape(11, 11, 3), [0], rng=np.random.default_rng(0), size=200, axes=3
    )
    table = np.sort(cdist(built.points.astype(float), built.points), axis=1)
    spacing = table[:, 1:4].mean(axis=1)
    slow = (np.median(spacing) / np.maximum(spacing, 0.1 * np.median(spacing))) ** 2
    assert np.allclose(built.weights, slow, rtol=1e-2)
    order = [int(np.flatnonzero((built.project(points) == one).all(axis=1))[0]) for one in built.points]
    is_dense = np.array(order) < 60
    assert built.weights[is_dense].mean() > 4 * built.weights[~is_dense].mean()


def test_a_handful_of_patches_or_equal_ones_are_weighed_alike():
    for patches in (np.arange(6, dtype="f4").reshape(1, 2, 3), np.ones((4, 5, 3), "f4")):
        built = build_memory(lambda position, all_of_it=patches: all_of_it, [0], rng=np.random.default_rng(0))
        assert (built.weights == 1).all() and np.isfinite(built.distances(patches)).all()


def test_principal_axes_are_those_of_scikit_learn_and_never_turn_round():
    from sklearn.decomposition import PCA

    rng = np.random.default_rng(6)
    points = (rng.normal(size=(500, 6)) @ rng.normal(size=(6, 6)) + rng.normal(size=6)).astype("f4")
    mean, axes = principal_axes(points, 3)
    scaled = (points - points.mean(axis=0)) / points.std(axis=0)
    theirs = PCA(3).fit(scaled).transform(scaled)
    ours = (points - mean) @ axes
    assert np.allclose(np.abs(ours), np.abs(theirs), atol=1e-3)
    # the same axes whatever the order of the points, and the largest part of each is positive
    again = principal_axes(points[rng.permutation(500)], 3)[1]
    assert np.allclose(axes, again, atol=1e-4)
    unscaled = axes * points.std(axis=0)[:, None]
    assert (unscaled[np.abs(unscaled).argmax(axis=0), range(3)] > 0).all()


def test_the_same_choices_give_the_same_memory():
    patches = np.random.default_rng(7).normal(size=(6, 12, 12, 40)).astype("f4")
    one, two = (build_memory(patches.__getitem__, range(6), rng=np.random.default_rng(1), size=50) for _ in range(2))
    for part in ("centre", "axes", "points", "weights"):
        assert np.array_equal(getattr(one, part), getattr(two, part))
