"""Turn features into a calibrated verdict: candidates, cross-validation, calibration, threshold.

Every candidate ends as one linear rule over groups of features, so that the graph needs only one kind. No single one
wins everywhere, and with a few dozen images the best looks best partly by luck: so besides each candidate a blend of
all is a choice, in which each weighs by how well it foretold images that it had not seen; and of choices that the
metric cannot tell apart the one that foretold best wins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import logit
from sklearn.linear_model import LogisticRegression

from vision_toolkit.core.errors import Failed, Invalid
from vision_toolkit.metrics import scores as metric_scores
from vision_toolkit.metrics.counts import Counts, count
from vision_toolkit.metrics.curves import average_precision, roc_auc
from vision_toolkit.metrics.prevalence import shift_prior
from vision_toolkit.metrics.thresholds import Rule as ThresholdRule
from vision_toolkit.metrics.thresholds import choose_threshold
from vision_toolkit.models.view import View

__all__ = [
    "FEWEST_ANOMALIES",
    "METRICS",
    "Calibration",
    "Candidate",
    "Groups",
    "Key",
    "LinearRule",
    "Verdict",
    "calibrate",
    "candidates",
    "fit_linear",
    "fit_verdict",
    "held_out_logits",
    "memory_rule",
    "memory_verdict",
]

Key = tuple[View | None, str]
"""A size at which images are looked at and a group of features there: distance, contrast, global, patch or tuned.
Painted types belong to no size."""
Groups = Mapping[Key, NDArray[np.float32]]
"""Feature groups of n images, (n, k) each."""

KINDS: dict[str, tuple[str, ...]] = {
    "patch distances": ("distance",),
    "known anomalies": ("contrast",),
    "last layer": ("global",),
    "middle layers": ("patch",),
    "all features": ("distance", "global", "patch"),
    "fine-tuned network": ("tuned",),
}
"""What is tried at each size: name to the groups that its linear rule sees."""

HOT = 0.05
"""Share of normal images above a memory's threshold. How bad an anomaly looks nobody knows yet; a stricter one misses
far more than it saves."""
FEWEST_ANOMALIES = 4
"""Anomalous images from which a linear rule is learned; with fewer the memory judges alone."""
BLEND_RATE = 0.25
"""How fast a candidate's weight in a blend falls with its log-loss, for each image."""
LEAST_WEIGHT = 0.1
"""Share of the largest weight below which a candidate is left out of a blend."""

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
class Candidate:
    """Hold one way to judge: a linear rule over some groups; ``cost`` is the time it takes, in pixels looked at."""

    name: str
    keys: tuple[Key, ...]
    cost: float


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

    weights: dict[Key, NDArray[np.float64]]
    bias: float

    def logits(self, groups: Groups) -> NDArray[np.float64]:
        """Return the logit of each of n images."""
        total = np.full(len(next(iter(groups.values()))), self.bias)
        for key, weights in self.weights.items():
            total += groups[key].astype(np.float64) @ weights
        return total

    def scaled(self, slope: float, offset: float) -> LinearRule:
        """Return the rule whose logits are ``slope`` times these plus ``offset``."""
        return LinearRule({g: w * slope for g, w in self.weights.items()}, self.bias * slope + offset)

    def plus(self, other: LinearRule) -> LinearRule:
        """Return the rule whose logits are the sum of both."""
        nothing = np.zeros(1)
        keys = dict.fromkeys([*self.weights, *other.weights])
        weights = {key: self.weights.get(key, nothing) + other.weights.get(key, nothing) for key in keys}
        return LinearRule(weights, self.bias + other.bias)


@dataclass(frozen=True, slots=True)
class Calibration:
    """Turn a logit into the probability of an anomaly: ``sigmoid(slope * logit + offset)``."""

    slope: float
    offset: float

    def scores(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return probabilities, 0 to 1."""
        return np.asarray(1.0 / (1.0 + np.exp(-np.clip(self.slope * logits + self.offset, -50, 50))))


def candidates(groups: Groups) -> list[Candidate]:
    """Return what can be tried with these groups, the quickest size first."""
    views = sorted({view for view, _ in groups if view is not None}, key=lambda view: view.pixels)
    found = []
    for view in views:
        for kind, wanted in KINDS.items():
            keys: tuple[Key, ...] = tuple((view, group) for group in wanted if (view, group) in groups)
            if len(keys) == len(wanted):
                found.append(Candidate(f"{kind} at {view}", keys, _cost(keys)))
    if (None, "painted") in groups:  # types are painted in any case, so that to look at them costs nothing
        found.append(Candidate("painted types", ((None, "painted"),), 0.0))
    return found


def _cost(keys: Sequence[Key]) -> float:
    """Return the time that some groups take, in pixels; the last layers take half as much again.

    A network of its own takes as long as the last layers do.
    """
    late = {view for view, group in keys if group in ("global", "tuned")}
    return sum(view.pixels * (1.5 if view in late else 1.0) for view in {view for view, _ in keys} if view is not None)


def fit_linear(groups: Groups, is_anomaly: NDArray[np.bool_]) -> LinearRule:
    """Fit a rule by logistic regression, both classes counting the same."""
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


def held_out_logits(
    candidate: Candidate, groups: Groups, is_anomaly: NDArray[np.bool_], folds: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Return the logit of each image by rules that did not learn from its fold; (n,) of (r, n) folds are averaged."""
    total = np.zeros(len(is_anomaly))
    repeats = np.atleast_2d(folds)
    known = {key: groups[key] for key in candidate.keys}
    for numbers in repeats:
        for fold in np.unique(numbers):
            seen = numbers != fold
            rule = fit_linear({k: v[seen] for k, v in known.items()}, is_anomaly[seen])
            total[~seen] += rule.logits({k: v[~seen] for k, v in known.items()})
    return total / len(repeats)


def memory_rule(groups: Groups, is_anomaly: NDArray[np.bool_]) -> LinearRule:
    """Return the rule of memories without anomalies: the hottest half percent of the maps against normal images'.

    ``groups`` holds the distances of each size, of memories that did not have the image. Each size counts in its own
    spread on normal images; the score is 0.5 where one normal image in twenty is hotter.
    """
    weights: dict[Key, NDArray[np.float64]] = {}
    for key, values in groups.items():
        if key[1] == "distance":
            weights[key] = np.zeros(values.shape[1])
            weights[key][1] = 1.0 / _spread(values[~is_anomaly, 1])
    rule = LinearRule(weights, 0.0)
    tops = rule.logits(groups)[~is_anomaly]
    slope = 2.0 / _spread(tops)
    return rule.scaled(slope, -slope * float(np.quantile(tops, 1 - HOT, method="median_unbiased")))


def _spread(values: NDArray[np.floating]) -> float:
    return max(float(values.std(ddof=1)) if len(values) > 1 else 0.0, 1e-3)


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
    prevalence: float | None = None,
) -> Verdict:
    """Try the candidates, keep the best, calibrate it and choose its threshold, all on held-out scores.

    Parameters
    ----------
    groups
        the features of n labelled images; their patch distances come from a memory that did not have the image.
    is_anomaly
        (n,) truth.
    folds
        (n,) fold number of each image, or (r, n): r repetitions. The first one judges the choice itself.
    metric
        one of :data:`METRICS`.
    threshold
        as :func:`~vision_toolkit.metrics.thresholds.choose_threshold` takes it.
    seed
        of the bootstrap that says how far scores can be told apart.
    prevalence
        share of anomalies where the model will judge; None: as in the training images.
    """
    possible = {candidate.name: candidate for candidate in candidates(groups)}
    held_out = {name: held_out_logits(one, groups, is_anomaly, folds) for name, one in possible.items()}
    pick = _Pick(possible, held_out, is_anomaly, metric, threshold, seed, prevalence)
    final = pick.choose(np.ones(len(is_anomaly), bool))
    # The reported scores: for each fold, choice, calibration and threshold come from the other folds alone.
    first = np.atleast_2d(folds)[0]
    scores, thresholds = np.zeros(len(is_anomaly)), np.zeros(len(is_anomaly))
    for fold in np.unique(first):
        part = first == fold
        try:
            chosen = pick.choose(~part)
        except Invalid:  # a rule that the whole set can meet, but not this part of it
            chosen = final
        scores[part] = chosen.calibration.scores(chosen.blend.logits(held_out)[part])
        thresholds[part] = chosen.threshold
    rule = LinearRule({}, 0.0)
    for name, (weight, calibration) in final.blend.parts.items():
        one = fit_linear({key: groups[key] for key in possible[name].keys}, is_anomaly)
        rule = rule.plus(one.scaled(weight * calibration.slope, weight * calibration.offset))
    rule = rule.scaled(final.calibration.slope, final.calibration.offset)
    return Verdict(final.blend.name, rule, final.threshold, scores, thresholds, final.tried, final.why)


def memory_verdict(groups: Groups, is_anomaly: NDArray[np.bool_], threshold: ThresholdRule) -> Verdict:
    """Judge by the heat map alone: there are too few anomalies to learn from."""
    rule = memory_rule(groups, is_anomaly)
    scores = Calibration(1.0, 0.0).scores(rule.logits(groups))
    cut = pick_threshold(threshold, is_anomaly, scores)
    why = (
        f"memory: {int(is_anomaly.sum())} anomalies are too few to learn from (at least {FEWEST_ANOMALIES}); the "
        "hottest part of the heat map is compared with that of normal images."
    )
    return Verdict("memory", rule, cut, scores, np.full(len(scores), cut), (), why)


@dataclass(frozen=True, slots=True)
class _Blend:
    """Hold a choice: candidates with their weights and calibrations; one candidate is a blend of one."""

    name: str
    parts: dict[str, tuple[float, Calibration]]
    cost: float

    def logits(self, held_out: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        total = np.zeros(len(next(iter(held_out.values()))))
        for name, (weight, calibration) in self.parts.items():
            total += weight * (calibration.slope * held_out[name] + calibration.offset)
        return total


@dataclass(frozen=True, slots=True)
class _Choice:
    blend: _Blend
    calibration: Calibration
    threshold: float
    tried: tuple[dict[str, object], ...]
    why: str


@dataclass(frozen=True, slots=True, eq=False)
class _Judged:
    blend: _Blend
    calibration: Calibration
    threshold: float
    scores: NDArray[np.float64]
    value: float
    losses: NDArray[np.float64]

    @property
    def loss(self) -> float:
        return float(self.losses.mean())


@dataclass(frozen=True, slots=True, eq=False)
class _Pick:
    """Choose among candidates and their blends on some of the images."""

    possible: Mapping[str, Candidate]
    held_out: Mapping[str, NDArray[np.float64]]
    is_anomaly: NDArray[np.bool_]
    metric: str
    threshold: ThresholdRule
    seed: int
    prevalence: float | None

    def choose(self, known: NDArray[np.bool_]) -> _Choice:
        """Take the best by the metric; within one standard error the best foretold; of equals the quickest."""
        truth = self.is_anomaly[known]
        judged: list[_Judged] = []
        unmet: Invalid | None = None
        for blend in self._blends(known):
            try:
                judged.append(self._judge(blend, known))
            except Invalid as error:  # a rule that this candidate cannot meet; another may
                unmet = error
        if not judged:
            raise unmet or Invalid("There is no candidate to choose from.")
        best = max(judged, key=lambda one: one.value)
        spread = _standard_error(METRICS[self.metric], truth, best.scores, best.threshold, self.seed)
        tied = [one for one in judged if one.value >= best.value - spread - 1e-12]
        winner = min(tied, key=lambda one: (round(one.loss, 3), one.blend.cost, one.loss))
        tried = tuple(
            {
                "name": one.blend.name,
                self.metric: round(one.value, 4),
                "log_loss": round(one.loss, 4),
                "tied_with_best": one in tied,
            }
            for one in judged
        )
        why = self._why(winner, best, spread)
        return _Choice(winner.blend, winner.calibration, winner.threshold, tried, why)

    def _why(self, winner: _Judged, best: _Judged, spread: float) -> str:
        name = winner.blend.name
        text = f"{name}: {self.metric} {winner.value:.3f}, log-loss {winner.loss:.3f} on held-out images"
        if winner is not best:
            text += f"; within one standard error ({spread:.3f}) of the best {self.metric} ({best.value:.3f}, "
            text += f"{best.blend.name}), and the lowest log-loss of those"
        if len(winner.blend.parts) > 1:
            shares = sorted(((w, part) for part, (w, _) in winner.blend.parts.items()), reverse=True)
            text += ". It blends " + ", ".join(f"{part} ({w:.0%})" for w, part in shares)
        return text + "."

    def _blends(self, known: NDArray[np.bool_]) -> list[_Blend]:
        """Return each candidate alone, the blend of each size, and the blend of everything."""
        truth = self.is_anomaly[known]
        calibrations = {name: calibrate(values[known], truth) for name, values in self.held_out.items()}
        losses = {
            name: float(_losses(calibrations[name].scores(values[known]), truth).mean())
            for name, values in self.held_out.items()
        }
        found = [_Blend(name, {name: (1.0, calibrations[name])}, one.cost) for name, one in self.possible.items()]
        views = {view for candidate in self.possible.values() for view, _ in candidate.keys if view is not None}
        together: list[tuple[str, list[str]]] = []
        for view in sorted(views, key=lambda one: one.pixels):
            names = [n for n, c in self.possible.items() if all(where in (view, None) for where, _ in c.keys)]
            together.append((f"blend at {view}", names))
        if len(views) > 1:
            together.append(("blend of all sizes", list(self.possible)))
        for name, names in together:
            if len(names) > 1:
                found.append(self._blend(name, {one: losses[one] for one in names}, calibrations, len(truth)))
        return found

    def _blend(
        self, name: str, losses: Mapping[str, float], calibrations: Mapping[str, Calibration], images: int
    ) -> _Blend:
        least = min(losses.values())
        weights = {one: float(np.exp(-BLEND_RATE * images * (loss - least))) for one, loss in losses.items()}
        weights = {one: weight for one, weight in weights.items() if weight >= LEAST_WEIGHT}
        total = sum(weights.values())
        parts = {one: (weight / total, calibrations[one]) for one, weight in weights.items()}
        return _Blend(name, parts, _cost([key for one in parts for key in self.possible[one].keys]))

    def _judge(self, blend: _Blend, known: NDArray[np.bool_]) -> _Judged:
        truth = self.is_anomaly[known]
        logits = blend.logits(self.held_out)[known]
        calibration = calibrate(logits, truth)
        scores = calibration.scores(logits)
        losses = _losses(scores, truth)
        if self.prevalence is None:
            cut = pick_threshold(self.threshold, truth, scores)
        else:
            share = float(truth.mean())
            moved = calibration.offset + float(logit(self.prevalence) - logit(share))
            calibration = Calibration(calibration.slope, moved)
            unmoved, scores = scores, calibration.scores(logits)
            if isinstance(self.threshold, str):  # chosen where digits tell scores apart best, then moved as they are
                cut = pick_threshold(self.threshold, truth, unmoved, prevalence=self.prevalence)
                cut = float(shift_prior(cut, was=share, now=self.prevalence))
            else:
                cut = pick_threshold(self.threshold, truth, scores)
        return _Judged(blend, calibration, cut, scores, METRICS[self.metric](truth, scores, cut), losses)


def _losses(scores: NDArray[np.float64], is_anomaly: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the log-loss of each probability, in nats."""
    return np.asarray(-np.log(np.clip(np.where(is_anomaly, scores, 1 - scores), 1e-6, 1.0)))


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


def pick_threshold(
    rule: ThresholdRule,
    is_anomaly: NDArray[np.bool_],
    scores: NDArray[np.float64],
    *,
    prevalence: float | None = None,
) -> float:
    """Choose a threshold on held-out scores; where one class is absent a named rule gives 0.5.

    0.5 is where the memory's own scale says that normal images end.
    """
    if isinstance(rule, str) and (is_anomaly.all() or not is_anomaly.any()):
        choose_threshold(rule, [False, True], [0.0, 1.0])  # an unknown rule is told all the same
        return 0.5
    return float(np.clip(choose_threshold(rule, is_anomaly, scores, prevalence=prevalence), 0.0, 1.0))
