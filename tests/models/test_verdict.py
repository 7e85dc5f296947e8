"""The verdict: candidates, blends, calibration, threshold, all on held-out scores."""

from __future__ import annotations

import re

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from vision_toolkit.core import Invalid
from vision_toolkit.models.verdict import (
    KINDS,
    calibrate,
    candidates,
    fit_linear,
    fit_verdict,
    held_out_logits,
    memory_rule,
    memory_verdict,
)
from vision_toolkit.models.view import View

SMALL, LARGE = View(64, 96), View(128, 192)
SIZES = {"distance": 12, "contrast": 7, "global": 40, "patch": 30, "tuned": 1}
OPTIONS = {"metric": "f1", "threshold": "best_f1", "seed": 0}


@pytest.fixture(autouse=True)
def one_thread():
    """Work as training does: small products, for which more threads wait for one another."""
    with threadpool_limits(1):
        yield


def drawn_groups(n: int, *, signal: float, seed: int = 0, view: View = SMALL):
    """Draw groups of which one number of the middle layers knows the answer."""
    rng = np.random.default_rng(seed)
    truth = np.arange(n) % 2 == 1
    groups = {(view, name): rng.normal(size=(n, k)).astype("f4") for name, k in SIZES.items()}
    groups[view, "patch"][:, 0] += signal * truth
    return groups, truth, rng.integers(0, 5, n)


def test_each_size_is_tried_in_each_way_and_painted_types_once():
    groups = dict.fromkeys([(view, name) for view in (LARGE, SMALL) for name in SIZES], np.zeros((1, 1), "f4"))
    groups[None, "painted"] = np.zeros((1, 5), "f4")
    found = candidates(groups)
    names = [one.name for one in found]
    assert names == [*(f"{kind} at {view}" for view in (SMALL, LARGE) for kind in KINDS), "painted types"]
    cost = {one.name: one.cost for one in found}
    assert cost["painted types"] == 0 < cost["middle layers at 96x64"] < cost["last layer at 96x64"]
    assert cost["middle layers at 192x128"] == 4 * cost["middle layers at 96x64"]
    without = {key: value for key, value in groups.items() if key[1] != "contrast"}
    assert not any("known anomalies" in one.name for one in candidates(without))


@pytest.mark.parametrize("kind", KINDS)
def test_each_candidate_learns_what_there_is(kind):
    drawn, truth, _ = drawn_groups(200, signal=6.0)
    known = drawn[SMALL, "patch"]
    rule = fit_linear({(SMALL, group): known[:, :12] for group in KINDS[kind]}, truth)
    logits = rule.logits({(SMALL, group): known[:, :12] for group in KINDS[kind]})
    assert ((logits > np.median(logits)) == truth).mean() > 0.95


def test_a_linear_rule_is_scikit_learns():
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    groups, truth, _ = drawn_groups(90, signal=1.0)
    truth = truth & (np.arange(90) % 3 == 0)
    x = np.concatenate([groups[SMALL, "distance"], groups[SMALL, "global"]], axis=1).astype(float)
    theirs = make_pipeline(StandardScaler(), LogisticRegression(C=1 / 5.2, class_weight="balanced", max_iter=2000))
    used = {key: groups[key] for key in [(SMALL, "distance"), (SMALL, "global")]}
    ours = fit_linear(used, truth).logits(used)
    assert np.allclose(ours, theirs.fit(x, truth).decision_function(x), atol=1e-4)


def test_rules_are_scaled_and_added():
    groups, truth, _ = drawn_groups(40, signal=1.0)
    one, two = (fit_linear({(SMALL, name): groups[SMALL, name]}, truth) for name in ("distance", "patch"))
    both = one.scaled(2.0, 0.5).plus(two).plus(one)
    assert np.allclose(both.logits(groups), 3 * one.logits(groups) + 0.5 + two.logits(groups))


def test_held_out_logits_come_from_other_folds_and_repeats_are_averaged():
    groups, truth, folds = drawn_groups(60, signal=2.0)
    candidate = next(one for one in candidates(groups) if one.name.startswith("middle layers"))
    key = (SMALL, "patch")
    again = np.random.default_rng(1).integers(0, 5, 60)
    each = []
    for numbers in (folds, again):
        said = np.empty(60)
        for position in range(60):
            seen = numbers != numbers[position]
            rule = fit_linear({key: groups[key][seen]}, truth[seen])
            said[position] = rule.logits({key: groups[key][position : position + 1]})[0]
        each.append(said)
    assert np.allclose(held_out_logits(candidate, groups, truth, folds), each[0])
    assert np.allclose(held_out_logits(candidate, groups, truth, np.stack([folds, again])), np.mean(each, axis=0))


def test_held_out_scores_of_noise_are_worth_nothing():
    """Reported scores must not know the answers: on noise they are as good as chance."""
    from sklearn.metrics import roc_auc_score

    aucs = []
    for seed in range(8):
        groups, truth, folds = drawn_groups(60, signal=0.0, seed=seed)
        verdict = fit_verdict(groups, truth, folds, **OPTIONS)
        aucs.append(roc_auc_score(truth, verdict.scores))
    assert abs(np.mean(aucs) - 0.5) < 0.14


def test_the_verdict_finds_the_group_that_knows_and_says_why():
    groups, truth, folds = drawn_groups(80, signal=8.0)
    verdict = fit_verdict(groups, truth, folds, **OPTIONS)
    assert (SMALL, "patch") in verdict.rule.weights and verdict.why.startswith(f"{verdict.name}: f1 ")
    assert [one["name"] for one in verdict.tried] == [*(f"{kind} at 96x64" for kind in KINDS), "blend at 96x64"]
    assert all({"f1", "log_loss", "tied_with_best"} <= one.keys() for one in verdict.tried)
    assert ((verdict.scores >= verdict.thresholds) == truth).mean() > 0.9
    assert 0.0 < verdict.threshold < 1.0
    said = 1 / (1 + np.exp(-verdict.rule.logits(groups)))
    assert ((said >= verdict.threshold) == truth).mean() > 0.95


def test_a_blend_of_two_that_each_know_a_half_is_better_than_either():
    """Some anomalies show in one group alone, others in the other."""
    n, rng = 160, np.random.default_rng(3)
    truth = np.arange(n) % 2 == 1
    halves = [truth & (np.arange(n) % 4 == rest) for rest in (1, 3)]
    groups = {(SMALL, name): rng.normal(size=(n, 3)).astype("f4") for name in ("contrast", "patch")}
    for half, key in zip(halves, groups, strict=True):
        groups[key][:, 0] += 5.0 * half
    verdict = fit_verdict(groups, truth, rng.integers(0, 5, n), **OPTIONS)
    losses = {one["name"]: one["log_loss"] for one in verdict.tried}
    assert verdict.name == "blend at 96x64" and losses["blend at 96x64"] < 0.95 * min(
        loss for name, loss in losses.items() if "blend" not in name
    )
    assert set(verdict.rule.weights) == set(groups) and "It blends" in verdict.why
    shares = [int(share) for share in re.findall(r"\((\d+)%\)", verdict.why)]
    assert len(shares) == 2 and shares[0] >= shares[1] and sum(shares) in (99, 100, 101)


def test_of_equal_sizes_the_cheaper_one_judges():
    groups, truth, folds = drawn_groups(80, signal=3.0, view=SMALL)
    small = {(SMALL, "patch"): groups[SMALL, "patch"]}
    same = small | {(LARGE, "patch"): groups[SMALL, "patch"].copy()}
    verdict = fit_verdict(same, truth, folds, **OPTIONS)
    assert {view for view, _ in verdict.rule.weights} == {SMALL}
    tied = {one["name"]: one["tied_with_best"] for one in verdict.tried}
    assert tied["middle layers at 192x128"] is True


def test_a_larger_size_that_sees_more_is_worth_its_time():
    groups, truth, folds = drawn_groups(80, signal=0.3, view=SMALL)
    more, _, _ = drawn_groups(80, signal=6.0, view=LARGE, seed=1)
    both = {(SMALL, "patch"): groups[SMALL, "patch"], (LARGE, "patch"): more[LARGE, "patch"]}
    verdict = fit_verdict(both, truth, folds, **OPTIONS)
    assert (LARGE, "patch") in verdict.rule.weights


def test_prevalence_moves_scores_by_the_log_odds_and_the_threshold_with_them():
    groups, truth, folds = drawn_groups(80, signal=2.0)
    one = {(SMALL, "patch"): groups[SMALL, "patch"]}
    plain = fit_verdict(one, truth, folds, **OPTIONS)
    rare = fit_verdict(one, truth, folds, prevalence=0.02, **OPTIONS)
    shift = np.log(0.02 / 0.98)  # a half of the images are anomalies, whose log-odds are 0
    assert np.allclose(rare.rule.logits(one) - plain.rule.logits(one), shift, atol=1e-6)
    odds = [np.log(scores / (1 - scores)) for scores in (rare.scores, plain.scores)]
    folds_of = [truth[folds != fold].mean() for fold in folds]  # each fold's rule moves from its own share
    assert np.allclose(odds[0] - odds[1], shift - np.log(np.array(folds_of) / (1 - np.array(folds_of))), atol=1e-5)
    assert rare.scores.mean() < plain.scores.mean()
    # a threshold that weighs costs follows the line on which it will judge
    costly = OPTIONS | {"threshold": "at_cost(miss=10, reject=1)"}
    often, seldom = (fit_verdict(one, truth, folds, prevalence=p, **costly) for p in (0.5, 0.01))
    share = [(v.rule.logits(one) >= np.log(v.threshold / (1 - v.threshold))).mean() for v in (often, seldom)]
    assert share[1] < share[0]


def test_a_rule_that_nothing_can_meet_is_told():
    groups, truth, folds = drawn_groups(40, signal=0.0)
    groups = {key: np.ones_like(values) for key, values in groups.items()}  # every score is the same
    with pytest.raises(Invalid, match=r"No threshold reaches a precision of 0\.9"):
        fit_verdict(groups, truth, folds, metric="f1", threshold="at_precision(0.9)", seed=0)


def test_the_calibration_is_platts():
    from sklearn.calibration import _SigmoidCalibration

    rng = np.random.default_rng(0)
    truth = rng.random(300) < 0.3
    logits = rng.normal(size=300) + 2 * truth
    theirs = _SigmoidCalibration().fit(logits, truth).predict(logits)
    assert np.allclose(calibrate(logits, truth).scores(logits), theirs, atol=2e-3)
    apart = calibrate(np.array([-9.0, -8, 8, 9]), np.array([False, False, True, True]))
    assert np.isfinite(apart.slope) and 0 < apart.scores(np.array([0.0]))[0] < 1


def drawn_distances(n: int) -> dict:
    rng = np.random.default_rng(0)
    return {(view, "distance"): rng.normal(10, 2, (n, 12)).astype("f4") for view in (SMALL, LARGE)}


def test_the_memory_alone_says_half_where_one_normal_image_in_twenty_is_hotter():
    groups, normal = drawn_distances(2000), np.zeros(2000, bool)
    logits = memory_rule(groups, normal).logits(groups)
    assert (logits > 0).mean() == pytest.approx(0.05, abs=0.002)
    # only the hottest half percent of the fused map counts, each size in its own spread
    moved = {key: values.copy() for key, values in groups.items()}
    for values in moved.values():
        values[:, [0, *range(2, 12)]] += 100
    assert np.allclose(memory_rule(groups, normal).logits(moved), logits)
    moved[LARGE, "distance"] *= 1000
    assert np.allclose(memory_rule(moved, normal).logits(moved), logits, atol=1e-3)


def test_anomalies_do_not_move_what_the_memory_calls_normal():
    groups = drawn_distances(200)
    truth = np.arange(200) >= 190
    for values in groups.values():
        values[truth] += 30
    rule = memory_rule(groups, truth)
    normal = {key: values[~truth] for key, values in groups.items()}
    assert np.allclose(rule.logits(normal), memory_rule(normal, truth[~truth]).logits(normal))
    verdict = memory_verdict(groups, truth, "best_f1")
    assert verdict.name == "memory" and "too few" in verdict.why and (verdict.scores[truth] > 0.99).all()
    assert memory_verdict(normal, truth[~truth], "best_f1").threshold == 0.5
    with pytest.raises(Invalid, match="best_f1"):
        memory_verdict(normal, truth[~truth], "lucky")


def test_a_memory_of_images_all_alike_still_judges():
    groups = {(SMALL, "distance"): np.ones((6, 12), "f4")}
    logits = memory_rule(groups, np.zeros(6, bool)).logits(groups)
    assert np.isfinite(logits).all() and np.allclose(logits, 0)
