"""Score a ranking: what every possible threshold would give. Numpy only; ties as in scikit-learn."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vision_toolkit.core.errors import Invalid
from vision_toolkit.metrics.counts import as_scores, as_truth

__all__ = [
    "Calibration",
    "PrCurve",
    "RocCurve",
    "average_precision",
    "brier_score",
    "calibration",
    "pr_curve",
    "roc_auc",
    "roc_curve",
]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, slots=True)
class RocCurve:
    """Hold the points of a receiver operating characteristic, from no call of an anomaly to all.

    Parameters
    ----------
    fpr
        (k,) false positive rate, rising from 0 to 1.
    tpr
        (k,) true positive rate (recall), rising from 0 to 1.
    thresholds
        (k,) the score from which an anomaly is called, falling from infinity.

    Examples
    --------
    >>> roc_curve([0, 1], [0.1, 0.9]).thresholds.tolist()
    [inf, 0.9, 0.1]
    """

    fpr: Floats
    tpr: Floats
    thresholds: Floats


@dataclass(frozen=True, eq=False, slots=True)
class PrCurve:
    """Hold the points of a precision-recall curve, from all called anomalies to none.

    Parameters
    ----------
    precision
        (k + 1,), the last is 1 by definition.
    recall
        (k + 1,) falling from 1 to 0.
    thresholds
        (k,) the score from which an anomaly is called, rising.

    Examples
    --------
    >>> pr_curve([0, 1], [0.1, 0.9]).precision.tolist()
    [0.5, 1.0, 1.0]
    """

    precision: Floats
    recall: Floats
    thresholds: Floats


@dataclass(frozen=True, eq=False, slots=True)
class Calibration:
    """Hold how well scores keep their word as probabilities, bin by bin; empty bins are left out.

    Parameters
    ----------
    scores
        (k,) mean score of each bin.
    frequencies
        (k,) share of anomalies in each bin.
    counts
        (k,) images in each bin.
    error
        expected calibration error: the mean distance of the two, weighted by the counts; nan without images.
    brier
        mean squared distance of score and truth; nan without images.
    by_chance
        the error that perfect probabilities would show on as many images, in the mean of drawn truths; nan
        without images. Few images in many bins err by chance alone: only an error well above this says something.

    Examples
    --------
    >>> found = calibration([0, 1, 1, 1], [0.25, 0.75, 0.75, 0.75])
    >>> found.error, round(found.by_chance, 2)
    (0.25, 0.25)
    >>> found.lows.round(2).tolist(), found.highs.round(2).tolist()
    ([0.0, 0.44], [0.95, 1.0])
    """

    scores: Floats
    frequencies: Floats
    counts: NDArray[np.int64]
    error: float
    brier: float
    by_chance: float = math.nan

    @property
    def lows(self) -> Floats:
        """Return the lower ends of the 95 % intervals of the frequencies, (k,)."""
        return self._ends[0]

    @property
    def highs(self) -> Floats:
        """Return the upper ends of the 95 % intervals of the frequencies, (k,)."""
        return self._ends[1]

    @property
    def _ends(self) -> tuple[Floats, Floats]:
        from vision_toolkit.metrics.intervals import proportion_interval  # which stands on this file

        seen = [
            proportion_interval(round(share * n), n)
            for share, n in zip(self.frequencies.tolist(), self.counts.tolist(), strict=True)
        ]
        return np.array([one.low for one in seen]), np.array([one.high for one in seen])


def roc_curve(y_true: ArrayLike, scores: ArrayLike) -> RocCurve:
    """Return the receiver operating characteristic, one point a distinct score.

    Parameters
    ----------
    y_true
        (n,) bool or 0/1; True is an anomaly.
    scores
        (n,) finite numbers; higher is more anomalous.

    Returns
    -------
    RocCurve
        as ``sklearn.metrics.roc_curve(..., drop_intermediate=False)``. The rate of an absent class is nan.

    Raises
    ------
    Invalid
        if the two differ in length, or hold anything else.

    Examples
    --------
    >>> curve = roc_curve([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    >>> curve.fpr.tolist(), curve.tpr.tolist()
    ([0.0, 0.0, 0.5, 0.5, 1.0], [0.0, 0.5, 0.5, 1.0, 1.0])
    """
    tp, fp, levels = _steps(y_true, scores)
    return RocCurve(_rate(np.r_[0, fp]), _rate(np.r_[0, tp]), np.r_[math.inf, levels])


def pr_curve(y_true: ArrayLike, scores: ArrayLike) -> PrCurve:
    """Return precision and recall at every distinct score.

    Parameters
    ----------
    y_true
        (n,) bool or 0/1; True is an anomaly.
    scores
        (n,) finite numbers; higher is more anomalous.

    Returns
    -------
    PrCurve
        as ``sklearn.metrics.precision_recall_curve``; recall is nan without an anomaly.

    Raises
    ------
    Invalid
        if the two differ in length, or hold anything else.

    Examples
    --------
    >>> curve = pr_curve([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    >>> curve.recall.tolist(), curve.thresholds.tolist()
    ([1.0, 1.0, 0.5, 0.5, 0.0], [0.1, 0.35, 0.4, 0.8])
    """
    tp, fp, levels = _steps(y_true, scores)
    precision, recall = tp / np.maximum(1, tp + fp), _rate(tp)
    return PrCurve(np.r_[precision[::-1], 1.0], np.r_[recall[::-1], 0.0], levels[::-1])


def roc_auc(y_true: ArrayLike, scores: ArrayLike) -> float:
    """Return the area under the ROC curve: how often an anomaly scores above a normal image, a tie as half.

    nan if one class is absent. Parameters and errors as in :func:`roc_curve`.

    Examples
    --------
    >>> roc_auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    """
    tp, fp, _ = _steps(y_true, scores)
    if not tp.size or not tp[-1] or not fp[-1]:
        return math.nan
    # Twice the area in whole numbers, so that equal rankings give equal results to the last digit.
    before, added = np.r_[0, tp[:-1]], np.diff(fp, prepend=0)
    return int(((before + tp) * added).sum()) / (2 * int(tp[-1]) * int(fp[-1]))


def average_precision(y_true: ArrayLike, scores: ArrayLike) -> float:
    """Return the mean precision over the anomalies, each at its own score.

    The sum of (R_k - R_k-1) P_k over the distinct scores, without interpolation; nan without an anomaly.
    Parameters and errors as in :func:`pr_curve`.

    Examples
    --------
    >>> round(average_precision([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), 4)
    0.8333
    """
    tp, fp, _ = _steps(y_true, scores)
    if not tp.size or not tp[-1]:
        return math.nan
    return float((np.diff(tp, prepend=0) * (tp / (tp + fp))).sum() / tp[-1])


def brier_score(y_true: ArrayLike, probabilities: ArrayLike) -> float:
    """Return the mean squared distance of probability and truth, 0 (perfect) to 1; nan without images.

    Raises
    ------
    Invalid
        if a probability lies outside 0 to 1.

    Examples
    --------
    >>> brier_score([0, 1], [0.5, 1.0])
    0.125
    """
    truth, given = _probabilities(y_true, probabilities)
    return float(np.mean((given - truth) ** 2)) if truth.size else math.nan


def calibration(
    y_true: ArrayLike,
    probabilities: ArrayLike,
    *,
    bins: int = 10,
    strategy: Literal["uniform", "quantile"] = "uniform",
) -> Calibration:
    """Return how well probabilities keep their word: of images scored 0.8, eight in ten should be anomalies.

    Parameters
    ----------
    y_true
        (n,) bool or 0/1; True is an anomaly.
    probabilities
        (n,) 0 to 1.
    bins
        how many bins at most; with ten images a bin is hardly more than a hint.
    strategy
        ``"uniform"`` cuts 0 to 1 into equal widths, ``"quantile"`` into bins of about equally many images.

    Raises
    ------
    Invalid
        if a probability lies outside 0 to 1, or ``bins`` or ``strategy`` is unknown.

    Examples
    --------
    >>> calibration([0, 1, 1, 1], [0.1, 0.6, 0.9, 0.9], bins=2).frequencies.tolist()
    [0.0, 1.0]
    """
    truth, given = _probabilities(y_true, probabilities)
    if isinstance(bins, bool) or not isinstance(bins, int) or bins < 1:
        raise Invalid(f"bins is a whole number from 1; {bins!r} was given.")
    if strategy not in ("uniform", "quantile"):
        raise Invalid(f'strategy is "uniform" or "quantile"; {strategy!r} was given.')
    if not truth.size:
        empty = np.zeros(0)
        return Calibration(empty, empty, np.zeros(0, np.int64), math.nan, math.nan)
    cuts = np.linspace(0.0, 1.0, bins + 1)
    if strategy == "quantile":
        cuts = np.percentile(given, cuts * 100)
    place = np.searchsorted(cuts[1:-1], given)
    number = np.bincount(place, minlength=bins)
    used = number > 0
    scores = np.bincount(place, given, minlength=bins)[used] / number[used]
    frequencies = np.bincount(place, truth, minlength=bins)[used] / number[used]
    error = float((number[used] * np.abs(scores - frequencies)).sum() / truth.size)
    chance = _chance_error(given, place, bins)
    return Calibration(scores, frequencies, number[used].astype(np.int64), error, brier_score(truth, given), chance)


def _chance_error(given: Floats, place: NDArray[np.intp], bins: int) -> float:
    """Return the mean calibration error of truths that are drawn as the probabilities say."""
    rng = np.random.default_rng(0)
    draws = int(np.clip(4_000_000 // given.size, 10, 200))
    total = 0.0
    for _ in range(draws):
        off = given - (rng.random(given.size) < given)
        total += float(np.abs(np.bincount(place, off, minlength=bins)).sum())
    return total / (draws * given.size)


def _steps(y_true: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    """Count hits and false alarms at every distinct score, from the highest down."""
    truth = as_truth(y_true)
    values = as_scores(scores, n=truth.size)
    order = np.argsort(-values, kind="stable")
    values, truth = values[order], truth[order]
    last = np.flatnonzero(np.r_[values[1:] != values[:-1], True]) if values.size else np.zeros(0, np.intp)
    tp = np.cumsum(truth, dtype=np.int64)[last]
    return tp, (last + 1).astype(np.int64) - tp, values[last]


def _rate(counts: NDArray[np.int64]) -> Floats:
    """Divide by the last: the number of all; nan where there are none."""
    total = int(counts[-1]) if counts.size else 0
    return counts / total if total else np.full(counts.shape, math.nan)


def _probabilities(y_true: ArrayLike, probabilities: ArrayLike) -> tuple[NDArray[np.bool_], Floats]:
    truth = as_truth(y_true)
    given = as_scores(probabilities, n=truth.size, name="probabilities")
    if given.size and (given.min() < 0.0 or given.max() > 1.0):
        raise Invalid(f"A probability lies between 0 and 1; {given.min():g} to {given.max():g} was given.")
    return truth, given
