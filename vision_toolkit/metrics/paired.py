"""Say how far two models differ when both judged the same images, and how sure that is.

All differences are *b minus a*. As in :mod:`.intervals`, none collapses where nothing was seen to differ: 40 images
on which two models agree do not prove that they always do. Plain resampling would claim so: simulated with both
models right on 95 to 99 % of the images, the percentile bootstrap of a precision difference held the true one in 4 %
of the sets of 22 images and in 63 % of those of 200, instead of 95 %. The coverage of what is used here is written at
each function and kept by the tests.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vision_toolkit.core.errors import Invalid
from vision_toolkit.metrics import scores
from vision_toolkit.metrics.counts import Counts, as_scores, as_truth, count
from vision_toolkit.metrics.curves import roc_auc
from vision_toolkit.metrics.intervals import Score, average_precision_interval, roc_auc_interval, root

__all__ = [
    "average_precision_difference",
    "delong",
    "f1_difference",
    "images_needed",
    "mcnemar",
    "precision_difference",
    "proportion_difference",
    "roc_auc_difference",
]

_CELLS = 200_000  # resampled values held at once: what fits the caches is quickest

Floats = NDArray[np.float64]


def mcnemar(only_a: int, only_b: int) -> float:
    """Return how likely two equally good models would be as unevenly right, by McNemar's exact test.

    Images on which both are right or both wrong say nothing of which is better. On the others each is right with
    chance 1/2 if they are equally good: the two-sided binomial p value.

    Parameters
    ----------
    only_a, only_b
        how many images only a, only b judged rightly; whole numbers from 0.

    Returns
    -------
    float
        0 to 1; 1.0 if they never disagree.

    Raises
    ------
    Invalid
        if one of them is not a whole number from 0.

    Notes
    -----
    McNemar (1947), Psychometrika 12, 153-157; exact form as in ``scipy.stats.binomtest``. Counted in whole numbers.
    Equal models come below 0.05 in less than 5 % of the sets; with five disagreements or fewer never.

    Examples
    --------
    >>> mcnemar(2, 1), mcnemar(0, 6)
    (1.0, 0.03125)
    """
    Counts(only_a, only_b)
    few, n = int(min(only_a, only_b)), int(only_a) + int(only_b)
    ways = total = 1
    for k in range(1, few + 1):
        ways = ways * (n - k + 1) // k
        total += ways
    # The quotient of two whole numbers is rounded once, however large they are.
    return min(1.0, 2 * total / (1 << n))


def proportion_difference(only_a: int, only_b: int, n: int, *, confidence: float = 0.95) -> Score:
    """Return how much more often b is right than a on the same images, with Tango's score interval.

    Accuracy, recall, and the rates of misses and false alarms are such shares, each of its own images.

    Parameters
    ----------
    only_a, only_b
        how many images only a, only b has right; whole numbers from 0.
    n
        how many images both judged; with 0 the difference is undefined.
    confidence
        0 to 1, both excluded.

    Returns
    -------
    Score
        (only_b - only_a) / n, -1 to 1.

    Raises
    ------
    Invalid
        if the counts are not whole numbers from 0, or exceed ``n``.

    Notes
    -----
    Tango (1998), Statistics in Medicine 17, 891-908: all differences that the score test would not reject, so that
    at 0 it agrees with McNemar's test without its exactness. Coverage at 95 %, exact, for 20 to 100 images on which
    each alone is right with chances of 0 to 0.3: 92.8-100 %, 96-98 % on average.

    Examples
    --------
    >>> proportion_difference(1, 7, 21)
    0.286 (0.026-0.517, n=21)
    >>> proportion_difference(0, 0, 40)
    0.000 (-0.088-0.088, n=40)
    """
    z = _quantile(confidence)
    Counts(only_a, only_b, n)
    if only_a + only_b > n:
        raise Invalid(f"only_a and only_b are among the n images; {only_a} and {only_b} of {n} was given.")
    if n == 0:
        return Score(math.nan, n=0, confidence=confidence)
    found = (only_b - only_a) / n

    def excess(gap: float) -> float:
        # The likeliest share of images that a alone has right, were the true difference `gap`.
        half = only_a + only_b - (2 * n - only_b + only_a) * gap
        share = (math.sqrt(half * half + 8 * n * only_a * gap * (1 - gap)) + half) / (4 * n) if gap < 1 else 0.0
        spread = n * (2 * share + gap * (1 - gap))
        off = abs(only_b - only_a - n * gap)
        return off - z * math.sqrt(max(0.0, spread))

    low = -1.0 if found == -1 else root(excess, outside=-1.0, inside=found)
    high = 1.0 if found == 1 else root(excess, outside=1.0, inside=found)
    return Score(found, low, high, n, confidence)


def f1_difference(
    y_true: ArrayLike, a: ArrayLike, b: ArrayLike, *, confidence: float = 0.95, seed: int = 0, resamples: int = 10_000
) -> Score:
    """Return F1 of b minus F1 of a, judged on the same images.

    The images of each class fall into four kinds: both right, only a, only b, none. The interval is of weights drawn
    for these kinds (the Bayesian bootstrap, by class), with half an image added to each kind, so that what was
    not seen is not taken for impossible.

    Parameters
    ----------
    y_true, a, b
        (n,) truth and the verdicts of both, bool or 0/1; True is an anomaly.
    confidence
        0 to 1, both excluded.
    seed, resamples
        of the draws.

    Returns
    -------
    Score
        -1 to 1, ``n`` all images; undefined without an anomaly. It is of the test set's share of anomalies.

    Raises
    ------
    Invalid
        if the lengths differ, or anything but verdicts is given.

    Notes
    -----
    Rubin (1981), Annals of Statistics 9, 130-134; half an image in each kind as Agresti and Min (2005), Statistics
    in Medicine 24, 729-740. Coverage at 95 %, simulated for 22 to 200 images, 7 to 50 % of them anomalies, both
    models right on 70 to 100 % of each class: 94-100 %.

    Examples
    --------
    >>> f1_difference([1] * 20 + [0] * 20, [1] * 14 + [0] * 26, [1] * 19 + [0] * 21)
    0.151 (0.022-0.300, n=40)
    """
    return _verdict_difference(_f1s, scores.f1, y_true, a, b, confidence, seed, resamples)


def precision_difference(
    y_true: ArrayLike, a: ArrayLike, b: ArrayLike, *, confidence: float = 0.95, seed: int = 0, resamples: int = 10_000
) -> Score:
    """Return the precision of b minus that of a, judged on the same images.

    Parameters, errors and method as of :func:`f1_difference`; undefined unless both classes are there. Coverage at
    95 %, simulated as there: 94-100 %.

    Examples
    --------
    >>> precision_difference([1] * 20 + [0] * 20, [1] * 30 + [0] * 10, [1] * 21 + [0] * 19)
    0.286 (0.123-0.373, n=40)
    """
    return _verdict_difference(_precisions, scores.precision, y_true, a, b, confidence, seed, resamples)


def delong(y_true: ArrayLike, a: ArrayLike, b: ArrayLike) -> tuple[Floats, Floats]:
    """Return the areas under both ROC curves, and how they vary together, by DeLong's method.

    Parameters
    ----------
    y_true
        (n,) bool or 0/1; True is an anomaly; at least two of each class.
    a, b
        (n,) scores of both, higher is more anomalous.

    Returns
    -------
    areas
        (2,) of a and b.
    covariance
        (2, 2) of these areas.

    Raises
    ------
    Invalid
        if the lengths differ or a class has fewer than two images.

    Notes
    -----
    DeLong, DeLong, Clarke-Pearson (1988), Biometrics 44, 837-845.

    Examples
    --------
    >>> areas, covariance = delong([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8], [0.1, 0.2, 0.3, 0.4])
    >>> areas.tolist(), covariance.tolist()
    ([0.75, 1.0], [[0.125, 0.0], [0.0, 0.0]])
    """
    truth = as_truth(y_true)
    given = [as_scores(one, n=truth.size, name=name) for name, one in (("a", a), ("b", b))]
    if min(int(truth.sum()), int((~truth).sum())) < 2:
        raise Invalid("DeLong's method needs at least two anomalies and two normal images; give a larger test set.")
    above = np.array([_ranks(one[truth], one[~truth]) for one in given])
    below = np.array([1.0 - _ranks(one[~truth], one[truth]) for one in given])
    covariance = np.cov(above) / above.shape[1] + np.cov(below) / below.shape[1]
    return above.mean(axis=1), covariance


def roc_auc_difference(y_true: ArrayLike, a: ArrayLike, b: ArrayLike, *, confidence: float = 0.95) -> Score:
    """Return the area under the ROC curve of b minus that of a, scored on the same images.

    The interval joins those of both areas (:func:`roc_auc_interval`), as far as DeLong's correlation of the two
    allows; so it stays open where both are perfect.

    Parameters
    ----------
    y_true
        (n,) bool or 0/1; True is an anomaly.
    a, b
        (n,) scores of both, higher is more anomalous.
    confidence
        0 to 1, both excluded.

    Returns
    -------
    Score
        -1 to 1; undefined if a class is absent.

    Raises
    ------
    Invalid
        if the lengths differ, or anything but verdicts and finite numbers is given.

    Notes
    -----
    Newcombe (1998), Statistics in Medicine 17, 2635-2650 (method 10: squares of the margins, with correlation); Zou
    (2007), Psychological Methods 12, 399-413. Coverage at 95 %, simulated with normal scores for 22 to 200 images
    and areas of 0.7 to 0.999: 92-100 %, wide for areas above 0.95; DeLong's own interval falls to 43 % there.

    Examples
    --------
    >>> truth = [0] * 14 + [1] * 8
    >>> roc_auc_difference(truth, [0, 1] * 11, range(22))
    0.500 (0.184-0.717, n=22)
    """
    truth = as_truth(y_true)
    anomalies = int(truth.sum())
    normals = truth.size - anomalies
    one, other = (
        roc_auc_interval(roc_auc(truth, values), anomalies, normals, confidence=confidence) for values in (a, b)
    )
    together = delong(truth, a, b)[1] if min(anomalies, normals) > 1 else np.zeros((2, 2))
    return _joined(one, other, _correlation(together))


def average_precision_difference(
    y_true: ArrayLike, a: ArrayLike, b: ArrayLike, *, confidence: float = 0.95, seed: int = 0, resamples: int = 10_000
) -> Score:
    """Return the average precision of b minus that of a, scored on the same images.

    The interval joins those of both (:func:`average_precision_interval`), as far as their correlation allows; that
    is measured by resampling images, the same for both models, anomalies and normal ones apart.

    Parameters
    ----------
    y_true
        (n,) bool or 0/1; True is an anomaly.
    a, b
        (n,) scores of both, higher is more anomalous.
    confidence
        0 to 1, both excluded.
    seed, resamples
        of the resampling.

    Returns
    -------
    Score
        -1 to 1; undefined if a class is absent.

    Raises
    ------
    Invalid
        if the lengths differ, or anything but verdicts and finite numbers is given.

    Notes
    -----
    Joined as in :func:`roc_auc_difference`. Coverage at 95 %, simulated as there: 93-100 %.

    Examples
    --------
    >>> average_precision_difference([0] * 14 + [1] * 8, [0, 1] * 11, range(22))
    0.636 (0.272-0.842, n=22)
    """
    truth = as_truth(y_true)
    given = [as_scores(values, n=truth.size, name=name) for name, values in (("a", a), ("b", b))]
    _whole(resamples, "resamples")
    one, other = (average_precision_interval(truth, values, confidence=confidence, seed=seed) for values in given)
    if math.isnan(one) or math.isnan(other):
        return Score(math.nan, n=truth.size, confidence=confidence)
    drawn = _average_precisions(truth, given, seed=seed, resamples=resamples)
    return _joined(one, other, _correlation(np.atleast_2d(np.cov(drawn))) if resamples > 1 else 0.0)


def images_needed(only_a: int, only_b: int, n: int, *, confidence: float = 0.95, power: float = 0.8) -> int | None:
    """Return how many images would most likely show a difference of the size that was seen.

    Parameters
    ----------
    only_a, only_b
        how many of the ``n`` images only a, only b judged rightly.
    n
        how many images both judged, from 1.
    confidence
        of the test, 0 to 1.
    power
        how likely the test should then tell the two apart, 0 to 1.

    Returns
    -------
    int or None
        None if no difference was seen. A plan, no promise: what few images show of the size is itself uncertain.

    Raises
    ------
    Invalid
        if the counts are not whole numbers from 0 or exceed ``n``.

    Notes
    -----
    Connor (1987), Biometrics 43, 207-211, of McNemar's test without its exactness. The power of the exact test with
    that many images, computed for seven pairs of counts: 0.76-0.79 where the formula says 0.8.

    Examples
    --------
    >>> images_needed(2, 1, 40)
    940
    """
    z, more = _quantile(confidence), _quantile(power, name="power", two_sided=False)
    Counts(only_a, only_b, n)
    if only_a + only_b > n or n == 0:
        raise Invalid(f"only_a and only_b are among the n images; {only_a} and {only_b} of {n} was given.")
    if only_a == only_b:
        return None
    apart, gap = (only_a + only_b) / n, abs(only_b - only_a) / n
    return math.ceil(((z * math.sqrt(apart) + more * math.sqrt(apart - gap * gap)) / gap) ** 2)


def _verdict_difference(
    statistic: Callable[[Floats, Floats], Floats],
    exact: Callable[[Counts], float],
    y_true: ArrayLike,
    a: ArrayLike,
    b: ArrayLike,
    confidence: float,
    seed: int,
    resamples: int,
) -> Score:
    """Return the difference of a score of true and false positives, each a share of its class."""
    _quantile(confidence)
    _whole(resamples, "resamples")
    truth = as_truth(y_true)
    said = [as_truth(one, name=name) for name, one in (("a", a), ("b", b))]
    counted = [count(truth, one) for one in said]
    anomalies, normals = int(truth.sum()), int((~truth).sum())
    if not anomalies or (exact is scores.precision and not normals):
        return Score(math.nan, n=truth.size, confidence=confidence)
    found = exact(counted[1]) - exact(counted[0])
    # Kinds of images of each class: called by none, by a alone, by b alone, by both.
    kinds = [np.bincount(said[0][of] + 2 * said[1][of], minlength=4) for of in (truth, ~truth)]
    # The same draws, whichever of the two is called a: else exchanging them would move the interval a little.
    turned = [kind[[0, 2, 1, 3]] for kind in kinds]
    given, exchanged = ([kind.tolist() for kind in one] for one in (kinds, turned))
    swap = exchanged < given
    draw = np.random.default_rng(seed)
    called = []
    for kind, size in zip(turned if swap else kinds, (anomalies, normals), strict=True):
        weights = draw.standard_gamma(kind + 0.5, (resamples, 4))
        shares = weights / weights.sum(axis=1, keepdims=True) * size
        called.append((shares[:, 1] + shares[:, 3], shares[:, 2] + shares[:, 3]))
    drawn = _of(statistic, called, 1, anomalies) - _of(statistic, called, 0, anomalies)
    if swap:
        drawn = -drawn
    elif exchanged == given:
        drawn = np.r_[drawn, -drawn]
    tail = (1 - confidence) / 2 * 100
    low, high = np.percentile(drawn, [tail, 100 - tail])
    return Score(found, min(float(low), found), max(float(high), found), truth.size, confidence)


def _of(
    statistic: Callable[[Floats, Floats], Floats], called: list[tuple[Floats, Floats]], model: int, anomalies: int
) -> Floats:
    """Return the statistic of one model from what it called: true and false positives per anomaly."""
    return statistic(called[0][model] / anomalies, called[1][model] / anomalies)


def _f1s(tp: Floats, fp: Floats) -> Floats:
    return 2 * tp / (1 + tp + fp)


def _precisions(tp: Floats, fp: Floats) -> Floats:
    return tp / (tp + fp)


def _ranks(values: Floats, among: Floats) -> Floats:
    """Return for each value the share of the others that lie below, a tie as half."""
    ordered = np.sort(among)
    places = np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
    return np.asarray(places / (2 * among.size), np.float64)


def _joined(a: Score, b: Score, correlation: float) -> Score:
    """Return b - a with an interval made of both margins (Newcombe's method 10)."""
    gap = float(b) - float(a)

    def margin(one: float, other: float) -> float:
        return math.sqrt(max(0.0, one * one + other * other - 2 * correlation * one * other))

    low, high = gap - margin(b - b.low, a.high - a), gap + margin(b.high - b, a - a.low)
    return Score(gap, max(-1.0, low), min(1.0, high), a.n, a.confidence)


def _correlation(covariance: Floats) -> float:
    spread = float(covariance[0, 0] * covariance[1, 1])
    # A perfect model does not vary: nothing is known of how the two go together, and 0 is the cautious guess.
    return min(1.0, max(-1.0, float(covariance[0, 1]) / math.sqrt(spread))) if spread > 1e-24 else 0.0


def _average_precisions(truth: NDArray[np.bool_], given: list[Floats], *, seed: int, resamples: int) -> Floats:
    """Return the average precision of each of the scores on the same resampled sets, (len(given), resamples).

    A set is how often it holds each image. As no image changes its score, all sets are counted in one order.
    """
    draw = np.random.default_rng(seed)
    anomalies, normals = int(truth.sum()), int((~truth).sum())
    rankings = [_Ranking(values[truth], values[~truth]) for values in given]
    at_once = max(1, _CELLS // truth.size)
    parts = []
    for start in range(0, resamples, at_once):
        sets = min(at_once, resamples - start)
        hits, alarms = (_times(draw, sets, size) for size in (anomalies, normals))
        parts.append([ranking.average_precision(hits, alarms) for ranking in rankings])
    return np.concatenate(parts, axis=1)


def _times(draw: np.random.Generator, sets: int, size: int) -> Floats:
    """Draw how often each of ``size`` images is in each of the sets, (size, sets)."""
    chosen = draw.integers(0, size, (size, sets), dtype=np.int32)
    chosen *= sets
    chosen += np.arange(sets, dtype=np.int32)
    return np.bincount(chosen.ravel(), minlength=size * sets).reshape(size, sets).astype(np.float64)


class _Ranking:
    """Know the order of both classes, from the highest score down, and who reaches the score of each anomaly."""

    def __init__(self, hits: Floats, alarms: Floats) -> None:
        self.hits, self.alarms = np.argsort(-hits, kind="stable"), np.argsort(-alarms, kind="stable")
        ranked = -hits[self.hits]
        self.found = np.searchsorted(ranked, ranked, "right") - 1
        self.called = np.searchsorted(-alarms[self.alarms], ranked, "right")

    def average_precision(self, hits: Floats, alarms: Floats) -> Floats:
        """Return that of each set, given how often it holds each image, (size, sets)."""
        times = hits[self.hits]
        tp = np.cumsum(times, axis=0)[self.found]
        fp = np.zeros((int(self.called[-1]) + 1, hits.shape[1]))
        np.cumsum(alarms[self.alarms[: self.called[-1]]], axis=0, out=fp[1:])
        called = tp + fp[self.called]
        times *= tp
        times /= np.maximum(called, 1.0, out=called)
        return np.asarray(times.sum(axis=0) / len(hits), np.float64)


def _whole(value: int, name: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise Invalid(f"{name} is a whole number from 1; {value!r} was given.")


def _quantile(level: float, *, name: str = "confidence", two_sided: bool = True) -> float:
    if isinstance(level, bool) or not isinstance(level, int | float) or not 0.0 < level < 1.0:
        raise Invalid(f"{name} lies between 0 and 1, both excluded; {level!r} was given.")
    return NormalDist().inv_cdf(0.5 + level / 2 if two_sided else level)
