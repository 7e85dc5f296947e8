"""Curves against scikit-learn, ties and degenerate sets included."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference
from sklearn.calibration import calibration_curve

from vision_toolkit.core import Invalid
from vision_toolkit.metrics import (
    average_precision,
    brier_score,
    calibration,
    pr_curve,
    proportion_interval,
    roc_auc,
    roc_curve,
)

few = st.integers(0, 5).map(lambda k: k / 5)  # few values, so that most are tied
images = st.lists(st.tuples(st.booleans(), few | st.floats(0, 1)), min_size=1, max_size=40)


def split(pairs):
    return np.array([y for y, _ in pairs]), np.array([s for _, s in pairs])


def has_both(truth) -> bool:
    return bool(truth.any() and not truth.all())


@settings(max_examples=50)
@given(images.filter(lambda pairs: has_both(split(pairs)[0])))
def test_curves_and_areas_are_scikit_learns(pairs):
    truth, scores = split(pairs)
    fpr, tpr, cuts = reference.roc_curve(truth, scores, drop_intermediate=False)
    ours = roc_curve(truth, scores)
    np.testing.assert_allclose(ours.fpr, fpr)
    np.testing.assert_allclose(ours.tpr, tpr)
    np.testing.assert_array_equal(ours.thresholds, cuts)
    precision, recall, cuts = reference.precision_recall_curve(truth, scores)
    ours = pr_curve(truth, scores)
    np.testing.assert_allclose(ours.precision, precision)
    np.testing.assert_allclose(ours.recall, recall)
    np.testing.assert_array_equal(ours.thresholds, cuts)
    assert roc_auc(truth, scores) == pytest.approx(reference.roc_auc_score(truth, scores), abs=1e-12)
    assert average_precision(truth, scores) == pytest.approx(
        reference.average_precision_score(truth, scores), abs=1e-12
    )


@given(images.filter(lambda pairs: has_both(split(pairs)[0])))
def test_area_is_the_share_of_pairs_in_order(pairs):
    truth, scores = split(pairs)
    wins = [1.0 if a > b else 0.5 if a == b else 0.0 for a in scores[truth] for b in scores[~truth]]
    assert roc_auc(truth, scores) == pytest.approx(sum(wins) / len(wins), abs=1e-12)


@given(images, st.randoms())
def test_the_order_of_images_does_not_matter(pairs, random):
    mixed = list(pairs)
    random.shuffle(mixed)
    for score in (roc_auc, average_precision):
        assert score(*split(pairs)) == pytest.approx(score(*split(mixed)), abs=1e-12, nan_ok=True)


def test_one_class_alone_is_nan_and_no_error():
    assert math.isnan(roc_auc([0, 0], [0.1, 0.2]))
    assert math.isnan(roc_auc([1, 1], [0.1, 0.2]))
    assert math.isnan(average_precision([0, 0], [0.1, 0.2]))
    assert average_precision([1, 1], [0.1, 0.2]) == 1.0
    assert np.isnan(roc_curve([0, 0], [0.1, 0.2]).tpr).all()
    assert np.isnan(roc_curve([1, 1], [0.1, 0.2]).fpr).all()
    assert roc_curve([0, 0], [0.1, 0.2]).fpr.tolist() == [0, 0.5, 1]


def test_no_images_is_nan_and_no_error():
    assert math.isnan(roc_auc([], []))
    assert math.isnan(average_precision([], []))
    assert math.isnan(brier_score([], []))
    assert pr_curve([], []).precision.tolist() == [1.0]
    assert calibration([], []).counts.size == 0


@settings(max_examples=50)
@given(images, st.integers(1, 12), st.sampled_from(["uniform", "quantile"]))
def test_calibration_is_scikit_learns_and_its_error_the_slow_loops(pairs, bins, strategy):
    truth, scores = split(pairs)
    ours = calibration(truth, scores, bins=bins, strategy=strategy)
    if has_both(truth):  # scikit-learn refuses one class alone
        frequencies, means = calibration_curve(truth, scores, n_bins=bins, strategy=strategy)
        np.testing.assert_allclose(ours.frequencies, frequencies, atol=1e-12)
        np.testing.assert_allclose(ours.scores, means, atol=1e-12)
    assert ours.counts.sum() == truth.size
    slow = sum(n * abs(s - f) for n, s, f in zip(ours.counts, ours.scores, ours.frequencies, strict=True))
    assert ours.error == pytest.approx(slow / truth.size, abs=1e-12)
    assert ours.brier == pytest.approx(np.mean([(s - y) ** 2 for y, s in pairs]), abs=1e-12)


def test_equal_width_bins_by_hand():
    ours = calibration([0, 1, 1, 0], [0.05, 0.15, 0.95, 0.98], bins=10)
    assert ours.counts.tolist() == [1, 1, 2]
    assert ours.error == pytest.approx((0.05 + 0.85 + 2 * abs(0.965 - 0.5)) / 4)


def test_every_bin_has_the_interval_of_its_count():
    ours = calibration([0, 1, 1, 0, 1, 1], [0.05, 0.15, 0.95, 0.98, 0.97, 0.96], bins=10)
    seen = [proportion_interval(k, n) for k, n in ((0, 1), (1, 1), (3, 4))]
    assert ours.lows.tolist() == [one.low for one in seen]
    assert ours.highs.tolist() == [one.high for one in seen]
    assert calibration([], []).lows.size == 0


def test_perfect_probabilities_err_by_chance_and_no_more():
    rng = np.random.default_rng(0)
    given = rng.beta(0.5, 0.5, 40)
    errors = [calibration(rng.random(40) < given, given).error for _ in range(400)]
    by_chance = calibration(rng.random(40) < given, given).by_chance
    assert by_chance == pytest.approx(np.mean(errors), abs=0.01)
    assert calibration(given > 0.5, given).by_chance == by_chance  # it does not depend on the answers
    assert math.isnan(calibration([], []).by_chance)


@pytest.mark.parametrize("score", [roc_auc, average_precision, roc_curve, pr_curve, brier_score, calibration])
@pytest.mark.parametrize(
    ("true", "scores", "told"),
    [
        ([0, 1], [0.5], "as many as the verdicts"),
        ([0, 1], [0.5, math.nan], "finite"),
        ([0, 1], ["low", "high"], "are numbers"),
        ([0, 2], [0.1, 0.2], "y_true holds"),
    ],
)
def test_bad_input_is_refused(score, true, scores, told):
    with pytest.raises(Invalid, match=told):
        score(true, scores)


def test_probabilities_lie_between_0_and_1():
    for score in (brier_score, calibration):
        with pytest.raises(Invalid, match=r"between 0 and 1; 0\.1 to 1\.5"):
            score([0, 1], [0.1, 1.5])
    with pytest.raises(Invalid, match="bins"):
        calibration([0, 1], [0.1, 0.5], bins=0)
    with pytest.raises(Invalid, match='"uniform" or "quantile"'):
        calibration([0, 1], [0.1, 0.5], strategy="log")
