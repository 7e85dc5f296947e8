"""Intervals against other implementations, and against what they promise: how often they hold the truth."""

from __future__ import annotations

import copy
import json
import math
import pickle
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats
from sklearn import metrics as reference

from vision_toolkit.core import Invalid
from vision_toolkit.metrics import (
    Counts,
    Score,
    average_precision,
    average_precision_interval,
    bootstrap,
    f1,
    f1_interval,
    mean_interval,
    proportion_interval,
    roc_auc,
    roc_auc_interval,
    wilson,
)

trials = st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
levels = st.sampled_from([0.8, 0.95, 0.99])


def test_a_score_is_a_float_with_more_to_say():
    score = Score(0.933, 0.787, 0.982, 30)
    assert isinstance(score, float)
    assert score == 0.933
    assert hash(score) == hash(0.933)
    assert repr(score) == str(score) == f"{score}" == "0.933 (0.787-0.982, n=30)"
    assert f"{score:.2f}" == "0.93"
    assert json.dumps({"f1": score}) == '{"f1": 0.933}'
    assert type(score + 0) is float
    assert repr(Score(0.5, n=4)) == "0.500 (n=4)"
    assert score.to_dict() == {"value": 0.933, "low": 0.787, "high": 0.982, "n": 30, "confidence": 0.95}
    assert Score(math.nan, n=3).to_dict() == {"value": None, "low": None, "high": None, "n": 3, "confidence": 0.95}


@pytest.mark.parametrize("same", [copy.copy, copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))])
def test_a_score_survives_copying(same):
    score = Score(0.9, 0.8, 0.95, 40, 0.9)
    twin = same(score)
    assert type(twin) is Score
    assert twin.to_dict() == score.to_dict()


def test_a_score_cannot_be_changed():
    with pytest.raises(AttributeError, match="cannot be changed"):
        Score(0.9).low = 0.0


@given(trials, levels)
def test_wilson_is_scipys(trial, confidence):
    successes, n = trial
    theirs = stats.binomtest(successes, n).proportion_ci(confidence, method="wilson")
    ours = wilson(successes, n, confidence=confidence)
    assert (ours.low, ours.high, ours.n) == (pytest.approx(theirs.low), pytest.approx(theirs.high), n)
    assert ours.confidence == confidence


def test_wilson_by_the_textbook():
    # Newcombe (1998), Statistics in Medicine 17, table I: the score method without continuity correction.
    for successes, n, low, high in [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611)]:
        score = wilson(successes, n)
        assert (round(score.low, 4), round(score.high, 4)) == (low, high)


@given(trials, levels)
def test_the_mended_ends_are_chi_squared(trial, confidence):
    successes, n = trial
    plain, ours = wilson(successes, n, confidence=confidence), proportion_interval(successes, n, confidence=confidence)
    few = 2 if n <= 50 else 3
    low, high = plain.low, plain.high
    if 0 < successes <= few:
        low = min(low, stats.chi2.ppf(1 - confidence, 2 * successes) / 2 / n)
    if 0 < n - successes <= few:
        high = max(high, 1 - stats.chi2.ppf(1 - confidence, 2 * (n - successes)) / 2 / n)
    assert (ours.low, ours.high) == (pytest.approx(low, abs=1e-9), pytest.approx(high, abs=1e-9))


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50), st.integers(0, 50))
def test_f1_lies_in_its_interval(tp, fp, fn, tn):
    score = f1_interval(Counts(tp, fp, fn, tn))
    if not tp + fp + fn:
        assert math.isnan(score)
        assert math.isnan(score.low)
        return
    assert score == f1(Counts(tp, fp, fn, tn))
    assert 0 <= score.low <= score <= score.high <= 1
    assert score.n == tp + fp + fn
    share = proportion_interval(tp, tp + fp + fn)  # F1 = 1 - (1 - J) / (1 + J), another way to write the map
    assert score.low == pytest.approx(1 - (1 - share.low) / (1 + share.low))


@given(st.floats(0.01, 0.99), st.integers(2, 60), st.integers(2, 60), levels)
def test_the_ends_of_an_area_are_z_of_their_own_errors_away(auc, m, n, confidence):
    z = stats.norm.ppf(0.5 + confidence / 2)

    def error(a):  # Hanley and McNeil (1982), with their Q1 and Q2
        q1, q2 = a / (2 - a), 2 * a * a / (1 + a)
        return math.sqrt((a * (1 - a) + (m - 1) * (q1 - a * a) + (n - 1) * (q2 - a * a)) / (m * n))

    score = roc_auc_interval(auc, m, n, confidence=confidence)
    assert 0 <= score.low < auc < score.high <= 1
    assert score.low == pytest.approx(optimize.brentq(lambda a: auc - a - z * error(a), 1e-12, auc), abs=1e-6)
    assert score.high == pytest.approx(optimize.brentq(lambda a: a - auc - z * error(a), auc, 1 - 1e-12), abs=1e-6)
    assert score.n == m + n


def slow_average_precision(truth, scores):
    return np.mean([truth[scores >= level].mean() for level in scores[truth]])


def slow_average_precision_interval(truth, scores, seed):
    draw = np.random.default_rng(seed)
    hits, rest = np.flatnonzero(truth), np.flatnonzero(~truth)
    chosen = np.hstack([
        hits[draw.integers(0, hits.size, (200, hits.size))], rest[draw.integers(0, rest.size, (200, rest.size))]
    ])  # fmt: skip
    spread = np.var([slow_average_precision(truth[row], scores[row]) for row in chosen])
    value = reference.average_precision_score(truth, scores)
    count = min(max(value * (1 - value) / spread if spread > 1e-12 else math.inf, hits.size), 1.5 * hits.size)
    return value, stats_wilson(value, count)


def stats_wilson(share, n):
    """Solve (share - p)^2 = z^2 p (1 - p) / n for p, as the definition says."""
    z2 = stats.norm.ppf(0.975) ** 2
    roots = np.roots([n + z2, -(2 * n * share + z2), n * share * share])
    return sorted(roots.real)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 12), st.integers(1, 12))
def test_average_precision_as_the_slow_way_says(seed, m, n):
    draw = np.random.default_rng(seed)
    truth = np.r_[np.ones(m, bool), np.zeros(n, bool)]
    scores = np.round(draw.normal(truth * 1.0, 1.0), 1)  # rounded, so that some are tied
    value, (low, high) = slow_average_precision_interval(truth, scores, seed)
    ours = average_precision_interval(truth, scores, seed=seed)
    assert ours == pytest.approx(value)
    assert (ours.low, ours.high) == (pytest.approx(low, abs=1e-6), pytest.approx(high, abs=1e-6))
    assert ours.n == m + n


def test_a_perfect_score_on_22_images_is_no_certainty():
    truth = np.r_[np.ones(8, bool), np.zeros(14, bool)]
    scores = np.linspace(1, 0, 22)
    perfect = [
        f1_interval(Counts(8, 0, 0, 14)),
        roc_auc_interval(roc_auc(truth, scores), 8, 14),
        average_precision_interval(truth, scores),
        proportion_interval(22, 22),
        mean_interval([1.0] * 8),
    ]
    for score in perfect:
        assert score == score.high == 1.0
        assert 0.6 < score.low < 0.9
    assert bootstrap(roc_auc, truth, scores, resamples=200).low == 1.0  # which is why it is not used there


def test_one_class_alone_is_undefined():
    assert math.isnan(roc_auc_interval(math.nan, 0, 5))
    assert roc_auc_interval(math.nan, 0, 5).n == 5
    assert math.isnan(average_precision_interval([1, 1], [0.1, 0.2]))
    assert math.isnan(average_precision_interval([], []))
    assert math.isnan(wilson(0, 0))
    assert math.isnan(proportion_interval(0, 0))
    assert math.isnan(mean_interval([]))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_a_mean_lies_in_its_interval(values):
    score = mean_interval(values)
    assert score == pytest.approx(np.mean(values), abs=1e-12)
    assert 0 <= score.low <= score + 1e-12
    assert score - 1e-12 <= score.high <= 1
    assert score.high > score.low


def test_more_images_say_more():
    draw = np.random.default_rng(0)
    for few, many in [
        (wilson(9, 10), wilson(90, 100)),
        (f1_interval(Counts(9, 1, 1, 9)), f1_interval(Counts(90, 10, 10, 90))),
        (roc_auc_interval(0.9, 10, 10), roc_auc_interval(0.9, 100, 100)),
        (mean_interval(draw.random(10)), mean_interval(draw.random(1000))),
    ]:
        assert many.high - many.low < few.high - few.low


def test_bootstrap_is_scipys_percentile():
    draw = np.random.default_rng(1)
    values = draw.normal(size=60)
    ours = bootstrap(lambda y, v: v.mean(axis=-1), np.zeros(60), values, resamples=20_000, vectorised=True)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", rng=draw)
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=0.01)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=0.01)
    assert ours == pytest.approx(values.mean())


def test_bootstrap_keeps_strata_seed_and_form():
    truth = np.r_[np.ones(3), np.zeros(17)]
    values = np.arange(20.0)
    share = bootstrap(lambda y, v: y.mean(), truth, values, resamples=100)
    assert share.low == share.high == 0.15
    loose = bootstrap(lambda y, v: y.mean(), truth, values, resamples=100, stratified=False)
    assert loose.low < 0.15 < loose.high
    one, two = (bootstrap(average_precision, truth, values, resamples=50, seed=s).low for s in (3, 3))
    assert one == two
    looped = bootstrap(lambda y, v: v.mean(), truth, values, resamples=300)
    at_once = bootstrap(lambda y, v: v.mean(axis=1), truth, values, resamples=300, vectorised=True)
    assert looped.to_dict() == pytest.approx(at_once.to_dict())


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (lambda: wilson(3, 2), "between 0 and n; 3 of 2"),
        (lambda: wilson(-1, 2), "between 0 and n"),
        (lambda: wilson(1, 2, confidence=95), "confidence lies between 0 and 1"),
        (lambda: roc_auc_interval(1.2, 3, 3), "between 0 and 1; 1.2"),
        (lambda: mean_interval([0.5, 1.5]), "values lie between 0 and 1"),
        (lambda: bootstrap(roc_auc, [], []), "at least one image"),
        (lambda: bootstrap(roc_auc, [0, 1], [0.1, 0.2], resamples=0), "resamples"),
        (lambda: average_precision_interval([0, 1], [0.1]), "as many as the verdicts"),
    ],
)
def test_bad_input_is_refused(wrong, told):
    with pytest.raises(Invalid, match=told):
        wrong()


# --- Coverage: how often does an interval of 95 % hold the true value?


@cache
def proportion_ends(n):
    scores = [proportion_interval(x, n) for x in range(n + 1)]
    return np.array([s.low for s in scores]), np.array([s.high for s in scores])


@pytest.mark.parametrize("n", [20, 22, 30, 50, 51, 100])
def test_proportions_keep_their_word_exactly(n):
    low, high = proportion_ends(n)
    truth = np.r_[np.linspace(0.7, 0.999, 150), 1.0][:, None]
    chances = stats.binom.pmf(np.arange(n + 1), n, truth)
    coverage = (chances * ((low <= truth) & (truth <= high))).sum(1)
    assert coverage.min() > 0.91
    assert 0.945 < coverage[:-1].mean() < 0.965
    assert coverage[-1] == pytest.approx(1.0)


@pytest.mark.parametrize("n", [20, 50, 100])
@pytest.mark.parametrize(("recall", "alarms"), [(0.7, 0.1), (0.9, 0.05), (0.95, 0.0), (1.0, 0.05)])
@pytest.mark.parametrize("fixed", [True, False], ids=["fixed classes", "as they come"])
def test_f1_keeps_its_word(n, recall, alarms, fixed):
    draw = np.random.default_rng(n)
    positives = np.full(3000, n * 2 // 5) if fixed else draw.binomial(n, 0.4, 3000)
    tp, fp = draw.binomial(positives, recall), draw.binomial(n - positives, alarms)
    share = 0.4 * recall / (0.4 + 0.6 * alarms)
    truth = 2 * share / (1 + share)
    interval = cache(lambda tp, fp, fn: f1_interval(Counts(tp, fp, fn, 0)))
    ends = [interval(*map(int, row)) for row in zip(tp, fp, positives - tp, strict=True)]
    coverage = np.mean([s.low <= truth <= s.high for s in ends])
    assert 0.92 < coverage < 0.999


def normal_scores(draw, m, n, auc, spread):
    distance = stats.norm.ppf(auc) * math.hypot(1.0, spread)
    return np.r_[draw.normal(distance, spread, m), draw.normal(0.0, 1.0, n)], distance


@pytest.mark.parametrize(("m", "n"), [(8, 14), (20, 30), (50, 50)])
@pytest.mark.parametrize("auc", [0.7, 0.9, 0.97, 0.999])
@pytest.mark.parametrize("spread", [1.0, 2.0])
def test_areas_keep_their_word(m, n, auc, spread):
    draw = np.random.default_rng(m)
    interval = cache(lambda area: roc_auc_interval(area, m, n))
    held = []
    for _ in range(500):
        scores, _ = normal_scores(draw, m, n, auc, spread)
        wins = (scores[:m, None] > scores[m:]).mean()
        score = interval(float(wins))
        held.append(score.low <= auc <= score.high)
    assert 0.90 < np.mean(held) <= 0.999


def average_precision_coverage(m, n, auc, spread, repeats):
    draw = np.random.default_rng(m)
    truth = np.r_[np.ones(m, bool), np.zeros(n, bool)]
    _, distance = normal_scores(draw, m, n, auc, spread)
    cuts = np.linspace(-8, distance + 8 * spread, 4001)
    tpr, fpr = stats.norm.sf((cuts - distance) / spread), stats.norm.sf(cuts)
    value = -np.trapezoid(m * tpr / (m * tpr + n * fpr), tpr)
    held = []
    for seed in range(repeats):
        score = average_precision_interval(truth, normal_scores(draw, m, n, auc, spread)[0], seed=seed)
        held.append(score.low <= value <= score.high)
    return np.mean(held)


@pytest.mark.parametrize(("m", "n", "auc"), [(8, 14, 0.9), (10, 40, 0.8), (25, 25, 0.97)])
def test_average_precision_keeps_its_word(m, n, auc):
    assert average_precision_coverage(m, n, auc, 1.0, 150) > 0.90


@pytest.mark.parametrize("n", [5, 12, 50])
@pytest.mark.parametrize(("a", "b", "missed"), [(8, 3, 0.0), (0.5, 0.3, 0.0), (20, 3, 0.1), (12, 3, 0.2)])
def test_means_of_overlaps_keep_their_word(n, a, b, missed):
    draw = np.random.default_rng(n)
    truth = a / (a + b) * (1 - missed)
    sets = draw.beta(a, b, (600, n)) * (draw.random((600, n)) >= missed)
    held = [score.low <= truth <= score.high for score in map(mean_interval, sets)]
    assert np.mean(held) > 0.90


@pytest.mark.slow
@pytest.mark.parametrize(("m", "n"), [(10, 10), (8, 14), (10, 40), (25, 25), (20, 80), (50, 50)])
@pytest.mark.parametrize("auc", [0.7, 0.9, 0.97, 0.999])
@pytest.mark.parametrize("spread", [1.0, 2.0])
def test_average_precision_keeps_its_word_everywhere(m, n, auc, spread):
    assert average_precision_coverage(m, n, auc, spread, 300) > 0.89
