"""Turn features into a calibrated verdict: candidates, cross-validation, calibration, threshold.

Every candidate ends as one linear rule over groups of features, so that the runtime needs to know only one kind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from vision_toolkit.core.errors import Failed, Invalid
from vision_toolkit.metrics import scores as metric_scores
from vision_toolkit.metrics.counts import Counts, count
from vision_toolkit.metrics.curves import average_precision, roc_auc
from vision_toolkit.metrics.thresholds import Rule as ThresholdRule
from vision_toolkit.metrics.thresholds import choose_threshold

__all__ = [
    "CANDIDATES",
    "Calibration",
    "Groups",
    "LinearRule",
    "Verdict",
    "calibrate",
    "fit_candidate",
    "fit_verdict",
    "memory_rule",
]

Groups = Mapping[str, NDArray[np.float32]]
"""Feature groups of n images, (n, k) each: distance, global, patch, and painted where types are decoded."""

CANDIDATES: dict[str, tuple[str, ...]] = {
    "patch distances": ("distance",),
    "last layer": ("global",),
    "middle layers": ("patch",),
    "painted types": ("painted",),
    "all features": ("distance", "global", "patch", "painted"),
    "blend": (),
}
"""Name of a candidate to the feature groups that its linear rule sees, as far as they are there.

The blend is the mean of the single groups.
"""


FEWEST_ANOMALIES = 4
"""Anomalous images from which a linear rule is learned; with fewer the memory judges alone."""

MetricFunction = Callable[[NDArray[np.bool_], NDArray[np.float64], float], float]


def _counted(score: Callable[[Counts], float]) -> MetricFunction:
    return lambda truth, scores, cut: float(score(count(truth, np.round(scores, 4) >= round(cut, 4))))


METRICS: dict[str, MetricFunction] = {
    "f1": _counted(metric_scores.f1),
    "precision": _counted(metric_scores.precision),
    "recall": _counted(metric_scores.recall),
    "accuracy": _counted(metric_scores.accuracy),
    "balanced_accuracy": _counted(metric_scores.balanced_accuracy),
    "roc_auc": lambda truth, scores, cut: roc_auc(truth, scores),
    "average_precision": lambda truth, scores, cut: average_precision(truth, scores),
}
"""By which metric a candidate may be chosen: (truth, scores, threshold) to a number, higher is better."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Hold how the verdict is made, and what it said of the training images while they were held out.

    ``rule`` gives calibrated logits; ``scores`` and ``thresholds`` are (n,) and cross-fitted: choice, calibration
    and threshold of each image come from other folds.
    """

    name: str
    rule: LinearRule
    threshold: float
    scores: NDArray[np.float64]
    thresholds: NDArray[np.float64]
    tried: tuple[dict[str, object], ...]
    why: str


@dataclass(frozen=True, slots=True)
class LinearRule:
    """Hold a linear rule: the logit of an image is ``bias`` plus the sum of each group times its weights."""

    weights: dict[str, NDArray[np.float64]]
    bias: float

    def logits(self, groups: Groups) -> NDArray[np.float64]:
        """Return the logit of each of n images."""
        total = np.full(len(next(iter(groups.values()))), self.bias)
        for group, weights in self.weights.items():
            total += groups[group].astype(np.float64) @ weights
        return total

    def scaled(self, slope: float, offset: float) -> LinearRule:
        """Return the rule whose logits are ``slope`` times these plus ``offset``."""
        return LinearRule({g: w * slope for g, w in self.weights.items()}, self.bias * slope + offset)


@dataclass(frozen=True, slots=True)
class Calibration:
    """Turn a logit into the probability of an anomaly: ``sigmoid(slope * logit + offset)``."""

    slope: float
    offset: float

    def scores(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return probabilities, 0 to 1."""
        return np.asarray(1.0 / (1.0 + np.exp(-np.clip(self.slope * logits + self.offset, -50, 50))))


def fit_candidate(name: str, groups: Groups, is_anomaly: NDArray[np.bool_]) -> LinearRule:
    """Fit one candidate of :data:`CANDIDATES` by logistic regression, both classes counting the same."""
    wanted = CANDIDATES[name]
    if wanted:
        return _fit_linear({group: groups[group] for group in wanted if group in groups}, is_anomaly)
    weights: dict[str, NDArray[np.float64]] = {}
    bias = 0.0
    for group in groups:
        rule = _fit_linear({group: groups[group]}, is_anomaly)
        logits = rule.logits(groups)
        share = 1.0 / (len(groups) * max(1e-9, float(logits.std())))
        weights[group] = rule.weights[group] * share
        bias += rule.bias * share
    return LinearRule(weights, bias)


def memory_rule(largest: NDArray[np.floating]) -> LinearRule:
    """Return the rule of a memory without anomalies: the largest patch distance against that of normal images.

    ``largest`` holds the largest patch distance of each normal image, seen by a memory that did not have it. The
    score is 0.5 three standard deviations above their mean.
    """
    mean, spread = float(largest.mean()), max(float(largest.std(ddof=1)) if len(largest) > 1 else 0.0, 1e-3)
    weights = np.zeros(6)
    weights[0] = 2.0 / spread
    return LinearRule({"distance": weights}, -2.0 * mean / spread - 6.0)


def calibrate(logits: NDArray[np.float64], is_anomaly: NDArray[np.bool_]) -> Calibration:
    """Fit a sigmoid to held-out logits (Platt, 1999: smoothed targets, so that separable data stay finite)."""
    positives, negatives = int(is_anomaly.sum()), int((~is_anomaly).sum())
    target = np.where(is_anomaly, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    centre, spread = float(logits.mean()), max(float(logits.std()), 1e-9)
    x = (logits - centre) / spread

    def loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        z = parameters[0] * x + parameters[1]
        value = float(np.mean(np.logaddexp(0, z) - target * z))
        rest = 1 / (1 + np.exp(-np.clip(z, -50, 50))) - target
        return value, np.array([np.mean(rest * x), np.mean(rest)])

    found = minimize(loss, np.array([1.0, 0.0]), jac=True, bounds=[(1e-3, None), (None, None)])
    if not np.isfinite(found.fun):
        raise Failed("The scores could not be calibrated: the features are not finite.")
    slope = float(found.x[0]) / spread
    return Calibration(slope, float(found.x[1]) - slope * centre)


def fit_verdict(
    groups: Groups,
    is_anomaly: NDArray[np.bool_],
    folds: NDArray[np.intp],
    *,
    metric: str,
    threshold: ThresholdRule,
    seed: int,
    enough: Callable[[], bool] = lambda: False,
) -> Verdict:
    """Try the candidates, keep the best, calibrate it and choose its threshold, all on held-out scores.

    Parameters
    ----------
    groups
        the features of n labelled images; their patch distances come from a memory that did not have the image.
    is_anomaly, folds
        (n,) truth and fold number of each image.
    metric
        one of :data:`METRICS`.
    threshold
        as :func:`~vision_toolkit.metrics.thresholds.choose_threshold` takes it.
    seed
        of the bootstrap that says how far scores can be told apart.
    enough
        asked before each further candidate; True ends the trying.
    """
    rules: dict[str, LinearRule] = {}
    logits: dict[str, NDArray[np.float64]] = {}
    possible = [name for name, wanted in CANDIDATES.items() if not wanted or any(group in groups for group in wanted)]
    for name in possible if int(is_anomaly.sum()) >= FEWEST_ANOMALIES else ():
        if rules and enough():
            break
        held_out = np.zeros(len(is_anomaly))
        for fold in np.unique(folds):
            seen = folds != fold
            rule = fit_candidate(name, {g: v[seen] for g, v in groups.items()}, is_anomaly[seen])
            held_out[~seen] = rule.logits({g: v[~seen] for g, v in groups.items()})
        rules[name], logits[name] = fit_candidate(name, groups, is_anomaly), held_out
    if not rules:
        return _memory_verdict(groups, is_anomaly, threshold)
    everything = np.ones(len(is_anomaly), bool)
    final = _choose(logits, is_anomaly, everything, metric, threshold, seed)
    # The reported scores: for each fold, choice, calibration and threshold come from the other folds alone.
    scores, thresholds = np.zeros(len(is_anomaly)), np.zeros(len(is_anomaly))
    for fold in np.unique(folds):
        try:
            chosen = _choose(logits, is_anomaly, folds != fold, metric, threshold, seed)
        except Invalid:  # a rule that the whole set can meet, but not this part of it
            chosen = final
        part = folds == fold
        scores[part] = chosen.calibration.scores(logits[chosen.name][part])
        thresholds[part] = chosen.threshold
    calibration = final.calibration
    return Verdict(
        final.name,
        rules[final.name].scaled(calibration.slope, calibration.offset),
        final.threshold,
        scores,
        thresholds,
        final.tried,
        final.why,
    )


@dataclass(frozen=True, slots=True)
class _Choice:
    name: str
    calibration: Calibration
    threshold: float
    tried: tuple[dict[str, object], ...]
    why: str


def _choose(
    logits: Mapping[str, NDArray[np.float64]],
    is_anomaly: NDArray[np.bool_],
    known: NDArray[np.bool_],
    metric: str,
    threshold: ThresholdRule,
    seed: int,
) -> _Choice:
    """Choose a candidate on the known images: the best by the metric, ties within one standard error by log-loss."""
    truth = is_anomaly[known]
    value_of = METRICS[metric]
    found: dict[str, tuple[Calibration, float, NDArray[np.float64], float, float]] = {}
    unmet: Invalid | None = None
    for name, values in logits.items():
        calibration = calibrate(values[known], truth)
        scores = calibration.scores(values[known])
        try:
            cut = pick_threshold(threshold, truth, scores)
        except Invalid as error:  # a rule that this candidate cannot meet; another may
            unmet = error
            continue
        found[name] = calibration, cut, scores, value_of(truth, scores, cut), log_loss(scores, truth)
    if not found:
        raise unmet or Invalid("There is no candidate to choose from.")
    best = max(found, key=lambda name: found[name][3])
    spread = _standard_error(value_of, truth, found[best][2], found[best][1], seed)
    tied = [name for name in found if found[name][3] >= found[best][3] - spread - 1e-12]
    winner = min(tied, key=lambda name: found[name][4])
    tried = tuple(
        {"name": name, metric: round(value, 4), "log_loss": round(loss, 4), "tied_with_best": name in tied}
        for name, (_, _, _, value, loss) in found.items()
    )
    why = f"{winner}: " + (
        f"within one standard error ({spread:.3f}) of the best {metric} ({found[best][3]:.3f}, {best}), it has the "
        f"lowest log-loss ({found[winner][4]:.3f})."
        if len(tied) > 1
        else f"the best {metric} ({found[best][3]:.3f}), by more than one standard error ({spread:.3f})."
    )
    return _Choice(winner, found[winner][0], found[winner][1], tried, why)


def _memory_verdict(groups: Groups, is_anomaly: NDArray[np.bool_], threshold: ThresholdRule) -> Verdict:
    """Judge by the largest patch distance alone: there are too few anomalies to learn from."""
    rule = memory_rule(groups["distance"][~is_anomaly, 0])
    scores = Calibration(1.0, 0.0).scores(rule.logits(groups))
    cut = pick_threshold(threshold, is_anomaly, scores)
    why = (
        f"memory: {int(is_anomaly.sum())} anomalies are too few to learn from (at least {FEWEST_ANOMALIES}); the "
        "largest patch distance is compared with that of normal images."
    )
    return Verdict("memory", rule, cut, scores, np.full(len(scores), cut), (), why)


def _standard_error(
    value_of: MetricFunction, truth: NDArray[np.bool_], scores: NDArray[np.float64], cut: float, seed: int
) -> float:
    rng = np.random.default_rng(seed)
    places = [np.flatnonzero(truth == kind) for kind in (False, True)]
    values = []
    for _ in range(100):
        draw = np.concatenate([rng.choice(place, len(place)) for place in places])
        values.append(value_of(truth[draw], scores[draw], cut))
    return float(np.std(values))


def pick_threshold(rule: ThresholdRule, is_anomaly: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
    """Choose a threshold on held-out scores; where one class is absent a named rule gives 0.5.

    0.5 is where the memory's own scale says that normal images end.
    """
    if isinstance(rule, str) and (is_anomaly.all() or not is_anomaly.any()):
        choose_threshold(rule, [False, True], [0.0, 1.0])  # an unknown rule is told all the same
        return 0.5
    return float(np.clip(choose_threshold(rule, is_anomaly, scores), 0.0, 1.0))


def _fit_linear(groups: Groups, is_anomaly: NDArray[np.bool_]) -> LinearRule:
    columns = np.concatenate([np.asarray(values, np.float64) for values in groups.values()], axis=1)
    mean, spread = columns.mean(axis=0), columns.std(axis=0)
    spread = np.where(spread > 1e-9, spread, 1.0)
    # Many columns for few images: the penalty grows with the number of columns.
    strength = 1.0 / max(1.0, columns.shape[1] / 10.0)
    model = LogisticRegression(C=strength, class_weight="balanced", max_iter=2000)
    model.fit((columns - mean) / spread, is_anomaly)
    flat = model.coef_[0] / spread
    bias = float(model.intercept_[0] - flat @ mean)
    edges = np.cumsum([values.shape[1] for values in groups.values()])[:-1]
    return LinearRule(dict(zip(groups, np.split(flat, edges), strict=True)), bias)


def log_loss(scores: NDArray[np.float64], is_anomaly: NDArray[np.bool_]) -> float:
    """Return the mean log-loss of probabilities, in nats."""
    clipped = np.clip(scores, 1e-6, 1 - 1e-6)
    return float(-np.mean(np.where(is_anomaly, np.log(clipped), np.log(1 - clipped))))
