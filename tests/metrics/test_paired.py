"""Paired tests and intervals against slow definitions and scipy, and against what they promise."""

from __future__ import annotations

import itertools
import math
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats
from sklearn import metrics as reference

from vision_toolkit.core import Invalid
from vision_toolkit.metrics import paired
from vision_toolkit.metrics.intervals import average_precision_interval, roc_auc_interval
from vision_toolkit.metrics.paired import (
    average_precision_difference,
    delong,
    f1_difference,
    images_needed,
    mcnemar,
    precision_difference,
    proportion_difference,
    roc_auc_difference,
)

few = st.integers(0, 60)


# --- McNemar


@given(few, few)
def test_mcnemar_is_scipys_binomial_test(only_a, only_b):
    expected = stats.binomtest(only_a, only_a + only_b, 0.5).pvalue if only_a + only_b else 1.0
    assert mcnemar(only_a, only_b) == pytest.approx(expected, rel=1e-9)
    assert mcnemar(only_a, only_b) == mcnemar(only_b, only_a)


@pytest.mark.parametrize("n", [1, 2, 5, 8, 11])
def test_mcnemar_is_the_share_of_all_ways_to_disagree_that_are_as_uneven(n):
    uneven = [abs(2 * sum(way) - n) for way in itertools.product((0, 1), repeat=n)]
    for only_b in range(n + 1):
        expected = np.mean([one >= abs(2 * only_b - n) for one in uneven])
        assert mcnemar(n - only_b, only_b) == pytest.approx(expected)


def test_mcnemar_bears_large_counts():
    assert mcnemar(20_000, 20_000) == 1.0
    assert mcnemar(19_700, 20_300) == pytest.approx(stats.binomtest(19_700, 40_000, 0.5).pvalue, rel=1e-6)
    assert mcnemar(0, 5_000) < 1e-300


# --- Shares


def slow_score(only_a, only_b, n, gap):
    """Find by search the likeliest chances of the two kinds of disagreement whose difference is ``gap``."""

    def unlikely(p):
        cells = ((only_a, p), (only_b, p + gap), (n - only_a - only_b, 1 - 2 * p - gap))
        return -sum(count * math.log(max(chance, 1e-300)) for count, chance in cells if count)

    found = optimize.minimize_scalar(
        unlikely, bounds=(max(0.0, -gap), (1 - gap) / 2), method="bounded", options={"xatol": 1e-12}
    )
    return abs(only_b - only_a - n * gap) / math.sqrt(n * (2 * found.x + gap - gap * gap))


@pytest.mark.parametrize(("only_a", "only_b", "n"), [(1, 7, 21), (20, 40, 160), (3, 2, 40), (5, 5, 30), (0, 6, 25)])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_both_ends_are_where_the_score_test_turns(only_a, only_b, n, confidence):
    score = proportion_difference(only_a, only_b, n, confidence=confidence)
    assert score == pytest.approx((only_b - only_a) / n)
    for end in (score.low, score.high):
        assert slow_score(only_a, only_b, n, end) == pytest.approx(stats.norm.ppf((1 + confidence) / 2), abs=2e-4)


@given(few, few, few, st.sampled_from([0.8, 0.95, 0.99]))
def test_shares_are_mirrored_and_in_range(only_a, only_b, same, confidence):
    n = only_a + only_b + same
    one = proportion_difference(only_a, only_b, n, confidence=confidence)
    other = proportion_difference(only_b, only_a, n, confidence=confidence)
    if n == 0:
        assert math.isnan(one)
        return
    assert -1 <= one.low <= one <= one.high <= 1
    assert one.high - one.low > 0.01
    assert (one, one.low, one.high) == pytest.approx((-other, -other.high, -other.low), abs=1e-9)


@pytest.mark.parametrize(("n", "least"), [(20, 0.945), (40, 0.925), (70, 0.93)])
def test_shares_keep_their_word_exactly(n, least):
    counts = [(x, y) for x in range(n + 1) for y in range(n + 1 - x) if max(x, y) < 0.3 * n + 12]
    ends = {(x, y): proportion_difference(x, y, n) for x, y in counts if x <= y}
    held = np.array([(s.low, s.high) for s in (ends.get((x, y)) or _turned(ends[y, x]) for x, y in counts)])
    table = np.array([(x, y, n - x - y) for x, y in counts])
    coverage = []
    for p, q in itertools.product((0.0, 0.01, 0.03, 0.08, 0.2, 0.3), repeat=2):
        inside = (held[:, 0] <= q - p + 1e-9) & (q - p - 1e-9 <= held[:, 1])
        coverage.append(stats.multinomial.pmf(table[inside], n, [p, q, 1 - p - q]).sum())
    assert min(coverage) > least
    assert 0.95 < np.mean(coverage) < 0.99


def _turned(score):
    return type(score)(-score, -score.high, -score.low, score.n)


# --- F1 and precision


def verdicts(draw, kinds_of_anomalies, kinds_of_normals):
    """Make truth and two rows of verdicts from how many are right in both, in a only, in b only, in none."""
    truth = np.r_[np.ones(sum(kinds_of_anomalies), bool), np.zeros(sum(kinds_of_normals), bool)]
    right_a = np.concatenate([np.repeat([True, True, False, False], k) for k in (kinds_of_anomalies, kinds_of_normals)])
    right_b = np.concatenate([np.repeat([True, False, True, False], k) for k in (kinds_of_anomalies, kinds_of_normals)])
    order = draw.permutation(truth.size)
    return truth[order], (truth == right_a)[order], (truth == right_b)[order]


four = st.lists(st.integers(0, 8), min_size=4, max_size=4)


@settings(max_examples=40)
@given(four.filter(any), four.filter(any), st.integers(0, 99))
def test_verdict_differences_are_scikit_learns_mirrored_and_know_no_order(anomalies, normals, seed):
    truth, a, b = verdicts(np.random.default_rng(seed), anomalies, normals)
    other = np.random.default_rng(seed + 1).permutation(truth.size)
    for difference, score in ((f1_difference, reference.f1_score), (precision_difference, reference.precision_score)):
        one = difference(truth, a, b, seed=seed, resamples=400)
        assert one == pytest.approx(score(truth, b, zero_division=0) - score(truth, a, zero_division=0))
        assert -1 <= one.low <= one <= one.high <= 1
        assert one.n == truth.size
        turned = difference(truth, b, a, seed=seed, resamples=400)
        assert (one.low, one.high) == pytest.approx((-turned.high, -turned.low))
        shuffled = difference(truth[other], a[other], b[other], seed=seed, resamples=400)
        assert (one.low, one.high) == (shuffled.low, shuffled.high)


def test_many_images_give_the_interval_of_resampled_images():
    draw = np.random.default_rng(5)
    truth, a, b = verdicts(draw, (900, 120, 200, 80), (2400, 60, 150, 90))
    chosen = np.hstack([
        pool[draw.integers(0, pool.size, (3000, pool.size))] for pool in (np.flatnonzero(truth), np.flatnonzero(~truth))
    ])  # fmt: skip
    tp, called = ((one & truth)[chosen].sum(1) for one in (a, b)), (one[chosen].sum(1) for one in (a, b))
    (tp_a, tp_b), (called_a, called_b) = tp, called
    anomalies = truth.sum()
    for difference, drawn in (
        (f1_difference, 2 * tp_b / (called_b + anomalies) - 2 * tp_a / (called_a + anomalies)),
        (precision_difference, tp_b / called_b - tp_a / called_a),
    ):
        ours = difference(truth, a, b)
        assert (ours.low, ours.high) == pytest.approx(tuple(np.percentile(drawn, [2.5, 97.5])), abs=0.003)


CHANCES = [  # right on anomalies (a, b), right on normal ones (a, b), how much they go together
    (0.8, 0.9, 0.9, 0.9, 0.7), (0.95, 0.98, 0.99, 0.99, 0.2), (0.99, 1.0, 0.99, 1.0, 0.2), (0.7, 0.95, 0.98, 0.9, 0.7)
]  # fmt: skip


def kinds(one, other, together):
    both = min(one * other + together * math.sqrt(one * (1 - one) * other * (1 - other)), one, other)
    return np.clip([both, one - both, other - both, 1 - one - other + both], 0, 1)


def slow_scores(anomalies, normals, m, n):
    """Return F1 and precision of b minus those of a from the shares of the four kinds."""
    told = []
    for found, alarms in ((anomalies[[0, 1]], normals[[2, 3]]), (anomalies[[0, 2]], normals[[1, 3]])):
        tp, fp = m * found.sum(), n * alarms.sum()
        told.append((2 * tp / (tp + m + fp), tp / (tp + fp)))
    return np.subtract(told[1], told[0])


@pytest.mark.parametrize(("m", "n"), [(8, 14), (10, 90), (60, 140)])
@pytest.mark.parametrize("chances", CHANCES)
def test_verdict_differences_keep_their_word(m, n, chances):
    right, passed = kinds(*chances[:2], chances[4]), kinds(*chances[2:])
    truth = slow_scores(right, passed, m, n)
    draw = np.random.default_rng(m)
    held = []
    for seed in range(150):
        known, a, b = verdicts(draw, draw.multinomial(m, right), draw.multinomial(n, passed))
        scores = [f(known, a, b, seed=seed, resamples=400) for f in (f1_difference, precision_difference)]
        held.append([s.low <= t <= s.high for s, t in zip(scores, truth, strict=True)])
    assert np.mean(held, axis=0).min() > 0.89  # 150 sets spread by 1.8 %


# --- Rankings


def slow_delong(truth, a, b):
    kernels = [np.sign(s[truth][:, None] - s[~truth]) / 2 + 0.5 for s in (np.asarray(a), np.asarray(b))]
    m, n = kernels[0].shape
    covariance = np.zeros((2, 2))
    for i, j in itertools.product((0, 1), repeat=2):
        one, other = kernels[i], kernels[j]
        rows = sum((one[k].mean() - one.mean()) * (other[k].mean() - other.mean()) for k in range(m)) / (m - 1) / m
        columns = sum((one[:, k].mean() - one.mean()) * (other[:, k].mean() - other.mean()) for k in range(n))
        covariance[i, j] = rows + columns / (n - 1) / n
    return [k.mean() for k in kernels], covariance


@settings(max_examples=30)
@given(st.integers(2, 15), st.integers(2, 15), st.integers(0, 1000))
def test_delong_is_the_slow_definition(m, n, seed):
    truth, a, b = ranked(np.random.default_rng(seed), m, n, 0.8, 0.9, 0.5, digits=1)
    areas, covariance = delong(truth, a, b)
    expected = slow_delong(truth, a, b)
    assert areas == pytest.approx(expected[0])
    assert areas == pytest.approx([reference.roc_auc_score(truth, one) for one in (a, b)])
    assert covariance == pytest.approx(expected[1], abs=1e-12)


def ranked(draw, m, n, auc_a, auc_b, together, *, digits=None):
    truth = np.r_[np.ones(m, bool), np.zeros(n, bool)]
    noise = draw.normal(size=(m + n, 2)) @ np.linalg.cholesky([[1, together], [together, 1]]).T
    scores = noise + truth[:, None] * stats.norm.ppf([auc_a, auc_b]) * math.sqrt(2)
    return truth, *(scores.T if digits is None else np.round(scores.T, digits))


@settings(max_examples=25)
@given(st.integers(1, 15), st.integers(1, 15), st.integers(0, 1000))
def test_ranking_differences_are_mirrored_and_know_no_order(m, n, seed):
    draw = np.random.default_rng(seed)
    truth, a, b = ranked(draw, m, n, 0.8, 0.95, 0.5, digits=1)
    other = draw.permutation(truth.size)
    for difference, score, more in (
        (roc_auc_difference, reference.roc_auc_score, {}),
        (average_precision_difference, reference.average_precision_score, {"resamples": 50, "seed": seed}),
    ):
        one = difference(truth, a, b, **more)
        assert one == pytest.approx(score(truth, b) - score(truth, a))
        assert -1 <= one.low < one.high <= 1
        assert one.low <= one <= one.high
        turned = difference(truth, b, a, **more)
        assert (one.low, one.high) == pytest.approx((-turned.high, -turned.low))
    shuffled = roc_auc_difference(truth[other], a[other], b[other])
    assert shuffled.to_dict() == pytest.approx(roc_auc_difference(truth, a, b).to_dict())


def test_margins_are_joined_as_newcombe_says():
    truth, a, b = ranked(np.random.default_rng(2), 20, 30, 0.8, 0.9, 0.5)
    covariance = slow_delong(truth, a, b)[1]
    together = covariance[0, 1] / math.sqrt(covariance[0, 0] * covariance[1, 1])
    one, other = (roc_auc_interval(reference.roc_auc_score(truth, s), 20, 30) for s in (a, b))
    down, up = other - other.low, one.high - one
    assert roc_auc_difference(truth, a, b).low == pytest.approx(
        other - one - math.sqrt(down**2 + up**2 - 2 * together * down * up)
    )


@settings(max_examples=15)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 1000))
def test_resampled_precisions_are_those_of_the_images_drawn(m, n, seed):
    truth, a, b = ranked(np.random.default_rng(seed), m, n, 0.8, 0.9, 0.5, digits=1)
    draw = np.random.default_rng(seed)
    fast = paired._average_precisions(truth, [a, b], seed=seed, resamples=30)
    hits, alarms = (draw.integers(0, size, (size, 30), dtype=np.int32) for size in (m, n))
    for k in range(30):
        chosen = np.r_[np.flatnonzero(truth)[hits[:, k]], np.flatnonzero(~truth)[alarms[:, k]]]
        slow = [reference.average_precision_score(truth[chosen], s[chosen]) for s in (a, b)]
        assert fast[:, k] == pytest.approx(slow)


@pytest.mark.parametrize(("m", "n", "together"), [(8, 14, 0.8), (10, 90, 0.3)])
@pytest.mark.parametrize(("one", "other"), [(0.7, 0.8), (0.9, 0.97), (0.99, 0.999)])
def test_ranking_differences_keep_their_word(m, n, together, one, other):
    draw = np.random.default_rng(m)
    cuts = np.linspace(-8, 14, 3001)
    fpr = stats.norm.sf(cuts)
    precisions = []
    for auc in (one, other):
        tpr = stats.norm.sf(cuts - stats.norm.ppf(auc) * math.sqrt(2))
        precisions.append(-np.trapezoid(m * tpr / np.maximum(m * tpr + n * fpr, 1e-300), tpr))
    held = []
    for seed in range(60):
        truth, a, b = ranked(draw, m, n, one, other, together)
        area = roc_auc_difference(truth, a, b)
        mean = average_precision_difference(truth, a, b, seed=seed, resamples=100)
        held.append((area.low <= other - one <= area.high, mean.low <= precisions[1] - precisions[0] <= mean.high))
    assert np.mean(held, axis=0).min() > 0.88  # 60 sets spread by 2.8 %


def test_nothing_seen_to_differ_is_no_certainty():
    truth = np.r_[np.ones(8, bool), np.zeros(14, bool)]
    scores = np.linspace(1, 0, 22)
    for score in (
        f1_difference(truth, truth, truth),
        precision_difference(truth, truth, truth),
        roc_auc_difference(truth, scores, scores**2),
        average_precision_difference(truth, scores, scores**2),
        proportion_difference(0, 0, 22),
    ):
        assert score == 0.0
        assert score.low < -0.05
        assert score.high > 0.05


def test_the_same_seed_gives_the_same_interval_and_another_hardly_another():
    truth, a, b = ranked(np.random.default_rng(3), 30, 50, 0.8, 0.9, 0.5)
    for difference, one, other in (
        (average_precision_difference, a, b),
        (f1_difference, a > 1, b > 1),
        (precision_difference, a > 1, b > 1),
    ):
        first, second, third = (difference(truth, one, other, seed=seed) for seed in (1, 1, 2))
        assert first.to_dict() == second.to_dict()
        assert first.low != third.low
        assert (first.low, first.high) == pytest.approx((third.low, third.high), abs=0.02)
    assert average_precision_difference(truth, a, b).confidence == average_precision_interval(truth, a).confidence


def test_one_class_alone_is_undefined():
    for truth in ([0, 0, 0], [1, 1, 1], []):
        scores = np.linspace(0, 1, len(truth))
        undefined = [roc_auc_difference(truth, scores, scores), average_precision_difference(truth, scores, scores)]
        undefined.append(precision_difference(truth, truth, truth))
        assert all(math.isnan(score) and score.n == len(truth) for score in undefined)
    assert math.isnan(f1_difference([0, 0], [0, 1], [0, 0]))
    assert f1_difference([1, 1], [0, 1], [1, 1]) == pytest.approx(1 / 3)


# --- How many images


@cache
def power(n, p, q):
    """Return how often the exact test at 5 % tells apart two models of whom one alone is right with p and q."""
    told = 0.0
    for k in range(n + 1):
        y = np.arange(k + 1)
        rejected = np.minimum(1, 2 * stats.binom.cdf(np.minimum(y, k - y), k, 0.5)) < 0.05
        told += stats.binom.pmf(k, n, p + q) * stats.binom.pmf(y, k, q / (p + q))[rejected].sum()
    return told


@pytest.mark.parametrize(("only_a", "only_b", "n"), [(1, 3, 40), (0, 2, 40), (10, 5, 100), (6, 3, 30), (0, 4, 100)])
def test_as_many_images_as_told_show_it_four_times_in_five(only_a, only_b, n):
    needed = images_needed(only_a, only_b, n)
    assert needed == images_needed(only_b, only_a, n)
    assert 0.75 < power(needed, only_a / n, only_b / n) < 0.82
    assert images_needed(only_a, only_b, n, power=0.9) > needed
    assert images_needed(only_a, only_b, n, confidence=0.99) > needed


def test_a_difference_of_nothing_needs_no_images():
    assert images_needed(3, 3, 40) is None
    assert images_needed(0, 0, 40) is None


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (lambda: mcnemar(-1, 2), "whole number from 0; -1"),
        (lambda: mcnemar(1.5, 2), "whole number from 0; 1.5"),
        (lambda: proportion_difference(3, 3, 5), "among the n images; 3 and 3 of 5"),
        (lambda: proportion_difference(1, 1, 5, confidence=95), "confidence lies between 0 and 1"),
        (lambda: images_needed(1, 2, 0), "among the n images"),
        (lambda: images_needed(1, 2, 9, power=1.0), "power lies between 0 and 1"),
        (lambda: f1_difference([0, 1], [0, 1], [0]), "equally long"),
        (lambda: f1_difference([0, 1], [0, 1], [0, 0.5]), "b holds True or 1"),
        (lambda: f1_difference([0, 1], [0, 1], [0, 1], resamples=0), "resamples is a whole number"),
        (lambda: precision_difference([0, 1], [0, 1], [0, 1], confidence=0), "confidence lies"),
        (lambda: average_precision_difference([0, 1], [0.1, 0.2], [0.1]), "as many as the verdicts"),
        (lambda: average_precision_difference([0, 1], [0.1, 0.2], [0.1, math.nan]), "finite"),
        (lambda: average_precision_difference([0, 1], [0.1, 0.2], [0.1, 0.3], resamples=True), "resamples"),
        (lambda: roc_auc_difference([0, 1], [0.1], [0.1, 0.2]), "scores must be as many"),
        (lambda: delong([0, 0, 1], [1, 2, 3], [1, 2, 3]), "at least two anomalies"),
    ],
)
def test_bad_input_is_refused(wrong, told):
    with pytest.raises(Invalid, match=told):
        wrong()
