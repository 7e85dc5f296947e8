"""Say how far a score from few images may be off.

None of the intervals collapses at a perfect score: 22 right answers out of 22 prove less than 100 %, and resampling
them (the bootstrap) would claim certainty. Actual coverage at a nominal 95 % was simulated for 20 to 100 images and
true values from 0.7 to 1; it is written at each function and kept by the tests.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vision_toolkit.core.errors import Invalid
from vision_toolkit.metrics import curves, scores
from vision_toolkit.metrics.counts import Counts, as_scores, as_truth

__all__ = [
    "Score",
    "answered_proportion",
    "average_precision_interval",
    "bootstrap",
    "f1_interval",
    "mean_interval",
    "number_or_none",
    "proportion_interval",
    "roc_auc_interval",
    "wilson",
]

_CELLS = 2_000_000  # resampled values held at once, 16 MB


class Score(float):
    """Be a number that knows how far it may be off.

    Parameters
    ----------
    value
        the score itself; everywhere else this is just the float.
    low, high
        the interval that holds the true value with probability ``confidence``; nan where unknown.
    n
        how many images (or verdicts) the score was counted from: its denominator.
    confidence
        0 to 1.

    Examples
    --------
    >>> score = Score(0.95, low=0.76, high=0.99, n=20)
    >>> score
    0.950 (0.760-0.990, n=20)
    >>> score > 0.9, f"{score:.1%}", round(score - 0.05, 6)
    (True, '95.0%', 0.9)
    >>> Score(float("nan"))
    undefined (n=0)
    """

    __slots__ = ("confidence", "high", "low", "n")

    low: float
    high: float
    n: int
    confidence: float

    def __new__(
        cls, value: float, low: float = math.nan, high: float = math.nan, n: int = 0, confidence: float = 0.95
    ) -> Self:
        """Make a float with its interval."""
        self = super().__new__(cls, value)
        for name, part in (("low", float(low)), ("high", float(high)), ("n", int(n)), ("confidence", confidence)):
            object.__setattr__(self, name, part)
        return self

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"A Score is a value and cannot be changed; {name!r} was set.")

    def __reduce__(self) -> tuple[type[Score], tuple[float, float, float, int, float]]:
        return type(self), (float(self), self.low, self.high, self.n, self.confidence)

    def to_dict(self) -> dict[str, float | int | None]:
        """Return value, low, high, n and confidence, ready for JSON: None where undefined."""
        low, high = number_or_none(self.low), number_or_none(self.high)
        return {"value": number_or_none(self), "low": low, "high": high, "n": self.n, "confidence": self.confidence}

    def __repr__(self) -> str:
        if math.isnan(self):
            return f"undefined (n={self.n})"
        if math.isnan(self.low):
            return f"{float(self):.3f} (n={self.n})"
        return f"{float(self):.3f} ({self.low:.3f}-{self.high:.3f}, n={self.n})"


def number_or_none(value: float) -> float | None:
    """Return a plain float, or None for nan, which JSON cannot say.

    Examples
    --------
    >>> number_or_none(Score(0.5)), number_or_none(float("nan"))
    (0.5, None)
    """
    return None if math.isnan(value) else float(value)


def wilson(successes: float, n: float, *, confidence: float = 0.95) -> Score:
    """Return a proportion with Wilson's score interval.

    Parameters
    ----------
    successes
        0 to n; fractions are allowed, for proportions that are not counted but averaged.
    n
        number of trials; with 0 the score is undefined.
    confidence
        0 to 1, both excluded.

    Raises
    ------
    Invalid
        if ``successes`` lies outside 0 to n.

    Notes
    -----
    Wilson (1927), JASA 22. Mean coverage for 20 to 100 trials is 95 %, but near 1 it falls to 84 % at some true
    values: :func:`proportion_interval` mends that.

    Examples
    --------
    >>> wilson(28, 30)
    0.933 (0.787-0.982, n=30)
    >>> wilson(22, 22)
    1.000 (0.851-1.000, n=22)
    """
    z = _quantile(confidence)
    if not 0 <= successes <= n:
        raise Invalid(f"successes lie between 0 and n; {successes!r} of {n!r} was given.")
    if n == 0:
        return Score(math.nan, n=0, confidence=confidence)
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # At the ends the formula gives exactly 0 and 1 but for rounding.
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return Score(share, low, high, round(n), confidence)


def proportion_interval(successes: int, n: int, *, confidence: float = 0.95) -> Score:
    """Return a counted proportion with Wilson's interval as Brown, Cai and DasGupta mended it.

    Precision, recall, specificity and accuracy are such proportions. Where only one to three successes (or
    failures) were seen, the outer end comes from the Poisson distribution.

    Parameters
    ----------
    successes
        0 to n, whole.
    n
        number of trials; with 0 the score is undefined.
    confidence
        0 to 1, both excluded.

    Raises
    ------
    Invalid
        if ``successes`` lies outside 0 to n.

    Notes
    -----
    Brown, Cai, DasGupta (2001), Statistical Science 16, 101-133. Coverage at 95 %, exact: for 20 to 100 trials and
    true values from 0.7 to 1 never below 91 %, 95-96 % on average (plain Wilson: down to 84 %).

    Examples
    --------
    >>> proportion_interval(19, 20)
    0.950 (0.764-0.997, n=20)
    >>> proportion_interval(20, 20)
    1.000 (0.839-1.000, n=20)
    """
    plain = wilson(successes, n, confidence=confidence)
    few = 2 if n <= 50 else 3
    low, high = plain.low, plain.high
    if 1 <= successes <= few:
        low = min(low, _poisson_mean(int(successes), 1 - confidence) / n)
    if 1 <= n - successes <= few:
        high = max(high, 1 - _poisson_mean(int(n - successes), 1 - confidence) / n)
    return Score(plain, low, high, n, confidence)


def answered_proportion(value: float, successes: int, n: int) -> Score:
    """Return a proportion of the answers, such as precision: 0.0 of nothing is told with the interval 0 to 1.

    Examples
    --------
    >>> answered_proportion(0.0, 0, 0)
    0.000 (0.000-1.000, n=0)
    """
    if n or math.isnan(value):
        return proportion_interval(successes, n)
    return Score(value, 0.0, 1.0, 0)


def f1_interval(counts: Counts, *, confidence: float = 0.95) -> Score:
    """Return F1 with an interval that stays open at a perfect score.

    F1 = 2 J / (1 + J) with the Jaccard index J = tp / (tp + fp + fn). Among the images that are not true negatives,
    tp is binomial with chance J, so the interval of that proportion carries over.

    Notes
    -----
    Coverage at 95 %, simulated for 20 to 100 images, a fifth to a half of them anomalies, recall 0.7 to 1: 94-99 %
    where images come as they come, 92-99.7 % where the number of each class is fixed. ``n`` of the score is
    tp + fp + fn.

    Examples
    --------
    >>> f1_interval(Counts(tp=8, fp=0, fn=0, tn=14))
    1.000 (0.806-1.000, n=8)
    >>> f1_interval(Counts(tp=19, fp=7, fn=1, tn=13))
    0.826 (0.680-0.914, n=27)
    """
    share = proportion_interval(counts.tp, counts.tp + counts.fp + counts.fn, confidence=confidence)
    low, high = (2 * end / (1 + end) for end in (share.low, share.high))
    return Score(scores.f1(counts), low, high, share.n, confidence)


def roc_auc_interval(auc: float, anomalies: int, normals: int, *, confidence: float = 0.95) -> Score:
    """Return an area under the ROC curve with an interval that stays open at a perfect score.

    The interval holds every true area that is no more than z of *its own* standard errors (Hanley and McNeil)
    away: to the area what Wilson's is to a proportion.

    Parameters
    ----------
    auc
        0 to 1, or nan.
    anomalies, normals
        how many images of each class; with none of one the score is undefined.
    confidence
        0 to 1, both excluded.

    Raises
    ------
    Invalid
        if ``auc`` lies outside 0 to 1.

    Notes
    -----
    Hanley, McNeil (1982), Radiology 143, 29-36; inverted as in Newcombe (2006), Statistics in Medicine 25, 559-573.
    Coverage at 95 %, simulated with normal scores for 20 to 100 images and areas of 0.7 to 0.999: 94-99 %
    for equal spreads of both classes; down to 91 % where the rarer class spreads twice as wide as the other.

    Examples
    --------
    >>> roc_auc_interval(1.0, 8, 14)
    1.000 (0.786-1.000, n=22)
    """
    z = _quantile(confidence)
    if math.isnan(auc) or not anomalies or not normals:
        return Score(math.nan, n=anomalies + normals, confidence=confidence)
    if not 0.0 <= auc <= 1.0:
        raise Invalid(f"An area under the ROC curve lies between 0 and 1; {auc!r} was given.")

    def excess(area: float) -> float:
        one, two = area / (2 - area), 2 * area * area / (1 + area)
        spread = area * (1 - area) + (anomalies - 1) * (one - area**2) + (normals - 1) * (two - area**2)
        return abs(area - auc) - z * math.sqrt(max(0.0, spread) / (anomalies * normals))

    # The ends of the range lie infinitely many of their own standard errors (0) away from any other area.
    low = 0.0 if auc == 0.0 else root(excess, outside=0.0, inside=auc)
    high = 1.0 if auc == 1.0 else root(excess, outside=1.0, inside=auc)
    return Score(auc, low, high, anomalies + normals, confidence)


def average_precision_interval(
    y_true: ArrayLike, values: ArrayLike, *, confidence: float = 0.95, seed: int = 0, resamples: int = 200
) -> Score:
    """Return the average precision with an interval that stays open at a perfect score.

    Wilson's interval for as many trials as would spread like resampled sets do, but at least as many as there are
    anomalies (Boyd, Eng, Page) and at most half as many again: so resampling narrows it, and never closes it.

    Parameters
    ----------
    y_true
        (n,) bool or 0/1; True is an anomaly.
    values
        (n,) finite numbers; higher is more anomalous.
    confidence
        0 to 1, both excluded.
    seed, resamples
        of the bootstrap that measures the spread.

    Notes
    -----
    Boyd, Eng, Page (2013), ECML PKDD, 451-466. Coverage at 95 %, simulated with normal scores for 20 to 100 images, a
    fifth to a half of them anomalies, ROC areas of 0.7 to 0.999: 91-100 %. Undefined where one class is absent.

    Examples
    --------
    >>> average_precision_interval([0, 0, 0, 1, 1, 1], [0.1, 0.2, 0.3, 0.7, 0.8, 0.9])
    1.000 (0.539-1.000, n=6)
    """
    truth = as_truth(y_true)
    given = as_scores(values, n=truth.size)
    anomalies = int(truth.sum())
    if not 0 < anomalies < truth.size:
        return Score(math.nan, n=truth.size, confidence=confidence)
    value = min(1.0, curves.average_precision(truth, given))
    spread = float(np.var(_resampled(_average_precisions, truth, given, seed=seed, resamples=resamples)))
    # At a perfect score no set spreads, but for rounding.
    trials = value * (1 - value) / spread if spread > 1e-12 else math.inf
    trials = min(max(trials, anomalies), 1.5 * anomalies)
    plain = wilson(value * trials, trials, confidence=confidence)
    return Score(value, plain.low, plain.high, truth.size, confidence)


def mean_interval(values: ArrayLike, *, confidence: float = 0.95) -> Score:
    """Return the mean of values from 0 to 1 with an interval that stays open where all are equal.

    Wilson's interval for as many trials as would spread like the values do, between n and 3 n.

    Raises
    ------
    Invalid
        if a value lies outside 0 to 1.

    Notes
    -----
    Coverage at 95 %, simulated for 5 to 50 values spread as overlaps are, some with a share of zeros: 92-100 %.

    Examples
    --------
    >>> mean_interval([0.7, 0.8, 0.6, 0.7])
    0.700 (0.421-0.882, n=4)
    """
    given = np.asarray(values, np.float64)
    given = as_scores(given, n=given.size, name="values")
    if not given.size:
        return Score(math.nan, n=0, confidence=confidence)
    if given.min() < 0.0 or given.max() > 1.0:
        raise Invalid(f"values lie between 0 and 1; {given.min():g} to {given.max():g} was given.")
    mean = min(1.0, float(given.mean()))
    spread = float(given.var(ddof=1)) if given.size > 1 else math.inf
    ratio = mean * (1 - mean) / spread if spread > 1e-12 else math.inf
    trials = given.size * min(max(ratio, 1.0), 3.0)
    plain = wilson(min(mean * trials, trials), trials, confidence=confidence)
    return Score(mean, plain.low, plain.high, given.size, confidence)


def bootstrap(
    statistic: Callable[[NDArray[np.bool_], NDArray[Any]], Any],
    y_true: ArrayLike,
    values: ArrayLike,
    *,
    seed: int = 0,
    resamples: int = 2000,
    confidence: float = 0.95,
    stratified: bool = True,
    vectorised: bool = False,
) -> Score:
    """Return any statistic with the percentile interval of resampled images.

    Mind that it collapses at a perfect score; F1, ROC AUC and average precision have better ones here.

    Parameters
    ----------
    statistic
        function of truth (n,) bool and values (n,); with ``vectorised`` of (b, n) and (b, n), giving (b,).
    y_true
        (n,) bool or 0/1; True is an anomaly.
    values
        (n,) numbers that go with them: scores, or verdicts.
    seed
        of the resampling; the same seed gives the same interval.
    resamples
        how many sets are drawn.
    confidence
        0 to 1, both excluded.
    stratified
        draw anomalies and normal images apart, so that each set has as many of both as the original.
    vectorised
        call ``statistic`` with many sets at once.

    Raises
    ------
    Invalid
        if there are no images, or the two differ in length.

    Examples
    --------
    >>> from vision_toolkit.metrics import balanced_accuracy, count
    >>> bootstrap(lambda y, p: balanced_accuracy(count(y, p)), [0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 1, 0], resamples=500)
    0.667 (0.333-1.000, n=6)
    """
    _quantile(confidence)
    truth = as_truth(y_true)
    given = as_scores(values, n=truth.size, name="values")
    if not truth.size:
        raise Invalid("The bootstrap needs at least one image; none was given.")
    if isinstance(resamples, bool) or not isinstance(resamples, int) or resamples < 1:
        raise Invalid(f"resamples is a whole number from 1; {resamples!r} was given.")

    def many(y: NDArray[np.bool_], v: NDArray[Any]) -> NDArray[np.float64]:
        if vectorised:
            return np.asarray(statistic(y, v), np.float64)
        return np.array([float(statistic(a, b)) for a, b in zip(y, v, strict=True)])

    drawn = _resampled(many, truth, given, seed=seed, resamples=resamples, stratified=stratified)
    tail = (1 - confidence) / 2 * 100
    usable = drawn[~np.isnan(drawn)]
    low, high = np.percentile(usable, [tail, 100 - tail]) if usable.size else (math.nan, math.nan)
    value = float(many(truth[None], given[None])[0])
    return Score(value, float(low), float(high), truth.size, confidence)


def _resampled(
    statistic: Callable[[NDArray[np.bool_], NDArray[Any]], NDArray[np.float64]],
    truth: NDArray[np.bool_],
    values: NDArray[np.float64],
    *,
    seed: int,
    resamples: int,
    stratified: bool = True,
) -> NDArray[np.float64]:
    """Draw sets of images with replacement, as many at once as memory likes, and take the statistic of each."""
    draw = np.random.default_rng(seed)
    pools = [np.flatnonzero(truth), np.flatnonzero(~truth)] if stratified else [np.arange(truth.size)]
    pools = [pool for pool in pools if pool.size]
    at_once = max(1, _CELLS // truth.size)
    parts = []
    for start in range(0, resamples, at_once):
        sets = min(at_once, resamples - start)
        chosen = np.concatenate([pool[draw.integers(0, pool.size, (sets, pool.size))] for pool in pools], axis=1)
        parts.append(statistic(truth[chosen], values[chosen]))
    return np.concatenate(parts)


def _average_precisions(truth: NDArray[np.bool_], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the average precision of each row of (b, n) sets, ties as in :mod:`.curves`."""
    width = values.shape[1]
    order = np.argsort(-values, axis=1, kind="stable")
    ranked, hits = np.take_along_axis(values, order, 1), np.take_along_axis(truth, order, 1)
    precision = np.cumsum(hits, axis=1) / np.arange(1, width + 1)
    # An anomaly counts with the precision at the last image of its own score.
    ends = np.where(np.diff(ranked, axis=1, append=-math.inf) != 0, np.arange(width), width - 1)
    ends = np.minimum.accumulate(ends[:, ::-1], axis=1)[:, ::-1]
    precisions = (np.take_along_axis(precision, ends, 1) * hits).sum(1) / hits.sum(1)
    return np.asarray(precisions, np.float64)


def _quantile(confidence: float) -> float:
    if isinstance(confidence, bool) or not isinstance(confidence, int | float) or not 0.0 < confidence < 1.0:
        raise Invalid(f"confidence lies between 0 and 1, both excluded; {confidence!r} was given.")
    return NormalDist().inv_cdf(0.5 + confidence / 2)


def _poisson_mean(seen: int, tail: float) -> float:
    """Return the mean at which a Poisson variable reaches ``seen`` with probability ``tail``."""

    def excess(mean: float) -> float:
        below = sum(math.exp(-mean) * mean**k / math.factorial(k) for k in range(seen))
        return (1 - below) - tail

    return root(excess, outside=50.0, inside=0.0)


def root(function: Callable[[float], float], *, outside: float, inside: float) -> float:
    """Return by bisection where a function turns positive on the way from ``inside`` to ``outside``."""
    for _ in range(60):
        middle = (outside + inside) / 2
        if function(middle) > 0:
            outside = middle
        else:
            inside = middle
    return (outside + inside) / 2
