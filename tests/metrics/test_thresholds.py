"""Thresholds against trying every one, with Prediction's own rule for the verdict."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from vision_toolkit.core import Invalid, Prediction, Task
from vision_toolkit.metrics import Counts, at_cost, at_precision, at_recall, best_f1, choose_threshold, count, f1

few = st.integers(0, 8).map(lambda k: k / 8)
close = st.integers(0, 40).map(lambda k: 0.5 + k * 0.00004)  # closer than the four digits that are compared
images = st.lists(st.tuples(st.booleans(), few | close | st.floats(0, 1)), min_size=1, max_size=12)
with_anomaly = images.filter(lambda pairs: any(y for y, _ in pairs))


def split(pairs):
    return [y for y, _ in pairs], [s for _, s in pairs]


def verdicts(scores, threshold):
    return [Prediction(Task.CLASSIFICATION, score=s, threshold=threshold).is_anomalous for s in scores]


def every(pairs):
    """Count at every threshold of four digits that can make a difference."""
    truth, scores = split(pairs)
    tried = {0.0, 1.0}
    for s in scores:
        tried |= {t for t in (round(s, 4) - 1e-4, round(s, 4), round(s, 4) + 1e-4) if 0 <= t <= 1}
    return [count(truth, verdicts(scores, t)) for t in sorted(tried)]


def reached(pairs, threshold) -> Counts:
    assert 0.0 <= threshold <= 1.0
    truth, scores = split(pairs)
    return count(truth, verdicts(scores, threshold))


@settings(max_examples=60)
@given(with_anomaly)
def test_no_threshold_counts_a_better_f1(pairs):
    got = reached(pairs, best_f1(*split(pairs), smooth=False))
    assert f1(got) == max(f1(counts) for counts in every(pairs))
    assert got.tp == max(counts.tp for counts in every(pairs) if f1(counts) == f1(got))


@settings(max_examples=60)
@given(with_anomaly, st.sampled_from([0.01, 0.5, 0.75, 0.9, 1.0]))
def test_recall_is_kept_with_fewest_false_alarms(pairs, wanted):
    got = reached(pairs, at_recall(*split(pairs), wanted))
    total = got.tp + got.fn
    assert got.tp >= wanted * total - 1e-9
    assert got.fp == min(counts.fp for counts in every(pairs) if counts.tp >= wanted * total - 1e-9)


@settings(max_examples=60)
@given(with_anomaly, st.sampled_from([0.3, 0.5, 0.8, 1.0]))
def test_precision_is_kept_with_most_found(pairs, wanted):
    good = [c for c in every(pairs) if c.tp and c.tp >= wanted * (c.tp + c.fp) - 1e-9]
    if not good:
        with pytest.raises(Invalid, match="No threshold reaches"):
            at_precision(*split(pairs), wanted)
        return
    got = reached(pairs, at_precision(*split(pairs), wanted))
    most = max(counts.tp for counts in good)
    assert (got.tp, got.fp) == (most, min(counts.fp for counts in good if counts.tp == most))


@settings(max_examples=60)
@given(images, st.sampled_from([0, 0.1, 1, 50]), st.sampled_from([0.1, 1, 3]))
def test_no_threshold_counts_a_lower_cost(pairs, miss, reject):
    got = reached(pairs, at_cost(*split(pairs), miss, reject, smooth=False))
    cost = [miss * counts.fn + reject * counts.fp for counts in every(pairs)]
    assert miss * got.fn + reject * got.fp == pytest.approx(min(cost))


@settings(max_examples=60)
@given(with_anomaly.filter(lambda pairs: len({s for _, s in pairs}) > 1))
def test_scores_of_another_kind_are_compared_as_they_are(pairs):
    truth, scores = split(pairs)
    shifted = [1000 * s - 500 for s in scores]
    threshold = best_f1(truth, shifted, digits=None, smooth=False)
    best = max(f1(count(truth, [s >= t for s in shifted])) for t in shifted)
    assert f1(count(truth, [s >= threshold for s in shifted])) == best


def test_the_threshold_lies_midway():
    assert best_f1([0, 1], [0.2, 0.6]) == pytest.approx(0.4)
    assert at_recall([0, 1, 1], [0.2, 0.6, 0.9], 0.5) == pytest.approx(0.75)
    assert at_precision([0, 1, 0, 1], [0.1, 0.2, 0.6, 0.9], 1.0) == pytest.approx(0.75)
    assert at_cost([0, 0], [0.2, 0.6]) == pytest.approx(0.8)
    assert best_f1([1, 1], [0.2, 0.6]) == pytest.approx(0.1)
    assert best_f1([0, 1], [-3.0, 5.0], digits=None) == pytest.approx(1.0)


def test_neighbours_in_the_fourth_digit_are_told_apart():
    threshold = best_f1([0, 1], [0.9713, 0.9714])
    assert verdicts([0.9713, 0.9714], threshold) == [False, True]


def test_neighbours_in_the_fifth_digit_are_one():
    threshold = best_f1([0, 1], [0.97131, 0.97134])
    assert verdicts([0.97131, 0.97134], threshold) == [True, True]


def test_a_score_of_one_cannot_be_passed():
    assert at_cost([0, 0], [0.5, 1.0], miss=1, reject=1) == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("rule", "same"),
    [
        ("best_f1", best_f1),
        (" best_f1( ) ", best_f1),
        ("at_recall(0.9)", lambda y, s: at_recall(y, s, 0.9)),
        ("at_recall(recall = .9)", lambda y, s: at_recall(y, s, 0.9)),
        ("at_recall", at_recall),
        ("at_precision(1)", lambda y, s: at_precision(y, s, 1.0)),
        ("at_cost(miss=50, reject=1)", lambda y, s: at_cost(y, s, 50, 1)),
        ("at_cost(50, 1)", lambda y, s: at_cost(y, s, 50, 1)),
        ("at_cost(reject=9)", lambda y, s: at_cost(y, s, reject=9)),
        ("best_f1(prevalence=0.02)", lambda y, s: best_f1(y, s, prevalence=0.02)),
        ("at_precision(0.5, prevalence=.2)", lambda y, s: at_precision(y, s, 0.5, prevalence=0.2)),
        ("at_cost(miss=50, prevalence=0.01)", lambda y, s: at_cost(y, s, 50, prevalence=0.01)),
        ("at_recall(0.9, prevalence=0.01)", lambda y, s: at_recall(y, s, 0.9)),
        (0.25, lambda y, s: 0.25),
        (1, lambda y, s: 1.0),
        (lambda y, s: s[y].min(), lambda y, s: 0.3),
    ],
)
def test_rules_by_name(rule, same):
    truth, scores = np.array([0, 1, 0, 1, 1, 0], bool), np.array([0.1, 0.3, 0.5, 0.7, 0.9, 0.2])
    chosen = choose_threshold(rule, truth, scores)
    assert type(chosen) is float
    assert chosen == same(truth, scores)


@pytest.mark.parametrize(
    "rule",
    [
        "best", "f1", "", "at_recall(0.9", "at_recall(high)", "at_recall(0.9, 0.8)", "at_recall(precision=0.9)",
        "at_cost(1, miss=2)", "best_f1(1)", "at_cost(1, 2, 3)", "best_f1(smooth=0)",
        "__import__('os')", "at_recall(__import__('os'))", None, True, [0.5],
    ],
)  # fmt: skip
def test_an_unknown_rule_is_answered_with_the_rules(rule):
    with pytest.raises(Invalid, match=r'"best_f1", "at_recall\(0.99\)", "at_precision\(0.9\)", "at_cost\(miss=50'):
        choose_threshold(rule, [0, 1], [0.1, 0.9])


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        (1.5, "between 0 and 1"),
        (float("nan"), "between 0 and 1"),
        (lambda y, s: 7.0, r"between 0 and 1\. The rule returned 7\.0"),
        (lambda y, s: "low", "The rule returned 'low'"),
        ("at_recall(0)", "recall lies above 0"),
        ("at_recall(nan)", "recall lies above 0"),
        ("at_precision(95)", "precision lies above 0 and up to 1; 95.0"),
        ("at_cost(miss=-1)", "miss is a cost"),
        ("at_cost(miss=0, reject=0)", "cannot both"),
        ("at_cost(miss=inf)", "miss is a cost"),
        ("best_f1(prevalence=1)", "prevalence is the share of anomalies, above 0 and below 1"),
        ("at_recall(prevalence=0)", "prevalence is the share"),
    ],
)
def test_numbers_out_of_range_are_refused(rule, told):
    with pytest.raises(Invalid, match=told):
        choose_threshold(rule, [0, 1], [0.1, 0.9])


@pytest.mark.parametrize("rule", [best_f1, at_recall, at_precision])
def test_without_an_anomaly_there_is_nothing_to_find(rule):
    with pytest.raises(Invalid, match=rf"{rule.__name__} needs at least one anomaly; 0 of 2"):
        rule([0, 0], [0.1, 0.9])


@pytest.mark.parametrize("rule", [best_f1, at_recall, at_precision, at_cost])
def test_bad_scores_are_refused(rule):
    with pytest.raises(Invalid, match="at least one"):
        rule([], [])
    with pytest.raises(Invalid, match=r"digits=None"):
        rule([0, 1], [0.1, 3.0])


def test_a_precision_out_of_reach_names_the_best():
    with pytest.raises(Invalid, match=r"precision of 1; the best is 0\.500 at 0\.25"):
        at_precision([1, 0], [0.5, 0.6], 1.0)


def test_of_equally_good_thresholds_the_lowest_misses_fewest():
    truth, scores = [1, 0, 0, 1], [0.9, 0.8, 0.7, 0.6]
    assert best_f1(truth, scores, smooth=False) == pytest.approx(0.3)  # two thirds, as at 0.85
    assert at_cost(truth, scores, miss=2, reject=1, smooth=False) == pytest.approx(0.3)


def test_scores_that_a_verdict_cannot_tell_apart_are_counted_as_one():
    truth, scores = [0, 0, 0, 1, 1], [0.97131, 0.97131, 0.97131, 0.97134, 0.99]
    assert count(truth, verdicts(scores, best_f1(truth, scores))) == Counts(tp=1, fp=0, fn=1, tn=3)


# --- Where anomalies are rarer than among the images


rare = st.sampled_from([0.003, 0.02, 0.1, 0.3, 0.5, 0.8])
both = images.filter(lambda pairs: len({y for y, _ in pairs}) == 2)


@settings(max_examples=60)
@given(both, st.integers(1, 6), st.sampled_from([best_f1, at_cost]))
def test_a_prevalence_weighs_as_copies_would(pairs, copies, rule):
    truth, scores = split(pairs)
    normals = [s for y, s in pairs if not y]
    many_truth, many_scores = truth + [False] * (copies * len(normals)), scores + normals * copies
    share = sum(truth) / len(many_truth)
    assert rule(truth, scores, prevalence=share, smooth=False) == rule(many_truth, many_scores, smooth=False)


@settings(max_examples=80)
@given(both, rare, rare, st.sampled_from([best_f1, at_cost]), st.booleans())
def test_rarer_anomalies_never_lower_the_threshold(pairs, one, other, rule, smooth):
    few, many = (rule(*split(pairs), prevalence=share, smooth=smooth) for share in sorted((one, other)))
    assert few >= many


@settings(max_examples=60)
@given(both, st.none() | rare, st.sampled_from([best_f1, at_cost]))
def test_a_threshold_lies_midway_between_neighbours_whatever_is_smoothed(pairs, share, rule):
    levels = sorted({round(s, 4) for _, s in pairs})
    middles = {round(a + (b - a) / 2, 4) for a, b in zip([0.0, *levels], [*levels, 1.0], strict=True)}
    chosen = rule(*split(pairs), prevalence=share)
    assert chosen in middles | {0.0, 1.0} | set(levels)


@settings(max_examples=60)
@given(st.lists(st.floats(0.02, 0.2), min_size=1, max_size=30), st.lists(st.floats(0.8, 0.98), min_size=1, max_size=30))
def test_scores_well_apart_are_parted_in_the_middle(normal, anomalous):
    middle = (round(max(normal), 4) + round(min(anomalous), 4)) / 2
    chosen = best_f1([0] * len(normal) + [1] * len(anomalous), normal + anomalous)
    assert chosen == pytest.approx(middle, abs=1e-4)


def drawn(rng, normals, anomalies):
    """Scores whose log-odds are normal, 2.5 apart; what a threshold gives on new ones follows from the bells."""
    truth = np.arange(normals + anomalies) >= normals
    odds = rng.normal(2.5 * (truth - 0.5), 1.0)
    return truth, 1 / (1 + np.exp(-2.5 * odds))


def on_new(threshold, share, measure):
    at = np.log(threshold / (1 - threshold)) / 2.5
    found, alarms = norm.sf(at - 1.25), norm.sf(at + 1.25)
    if measure is best_f1:
        return 2 * share * found / (share * found + (1 - share) * alarms + share)
    return -(10 * share * (1 - found) + (1 - share) * alarms)


@pytest.mark.parametrize(
    ("rule", "share", "better"), [(best_f1, None, 0.003), (best_f1, 0.01, 0.05), (at_cost, None, 0.03)]
)
def test_on_new_images_smoothed_counts_do_better_than_counts(rule, share, better):
    rng = np.random.default_rng(5)
    gains = []
    for _ in range(150):
        truth, scores = drawn(rng, 15, 15)
        smooth, counted = (rule(truth, scores, prevalence=share, smooth=way) for way in (True, False))
        gains.append(on_new(smooth, share or 0.5, rule) - on_new(counted, share or 0.5, rule))
    assert np.mean(gains) > better


def test_with_many_images_smoothing_changes_nothing_that_matters():
    truth, scores = drawn(np.random.default_rng(1), 3000, 3000)
    counted = f1(count(truth, scores >= best_f1(truth, scores, smooth=False)))
    assert f1(count(truth, scores >= best_f1(truth, scores))) > counted - 0.002


def test_the_expected_precision_is_kept_where_anomalies_are_rare():
    truth, scores = drawn(np.random.default_rng(2), 400, 200)
    threshold = at_precision(truth, scores, 0.8, prevalence=0.1)
    at = np.log(threshold / (1 - threshold)) / 2.5
    found, alarms = norm.sf(at - 1.25), norm.sf(at + 1.25)
    assert 0.1 * found / (0.1 * found + 0.9 * alarms) == pytest.approx(0.8, abs=0.06)
    assert threshold > at_precision(truth, scores, 0.8)


def test_a_precision_out_of_reach_names_the_prevalence():
    with pytest.raises(Invalid, match=r"precision of 0\.9 at a prevalence of 0\.001; the best is 0\.\d+ at"):
        at_precision([0, 1, 0, 1], [0.2, 0.4, 0.6, 0.8], 0.9, prevalence=0.001)


@pytest.mark.parametrize("rule", [best_f1, at_precision, at_cost])
def test_a_prevalence_needs_both_kinds(rule):
    with pytest.raises(Invalid, match="2 and 0 were given"):
        rule([1, 1], [0.1, 0.9], prevalence=0.1)


def test_a_prevalence_is_given_once():
    with pytest.raises(Invalid, match="brings one prevalence"):
        choose_threshold("best_f1(prevalence=0.1)", [0, 1], [0.1, 0.9], prevalence=0.2)
    assert choose_threshold("best_f1(prevalence=0.1)", [0, 1], [0.1, 0.9], prevalence=0.1) == pytest.approx(0.5)


@pytest.mark.parametrize("prevalence", [0, 1, -0.1, 1.5, float("nan"), True, "0.1"])
def test_a_prevalence_lies_between_0_and_1(prevalence):
    for rule in ("best_f1", "at_recall", 0.5):
        with pytest.raises(Invalid, match="prevalence is the share of anomalies"):
            choose_threshold(rule, [0, 1], [0.1, 0.9], prevalence=prevalence)
