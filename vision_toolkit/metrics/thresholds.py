"""Choose the score from which an image is called an anomaly.

Every rule looks at all thresholds that tell the given scores apart and returns one that lies midway between two
neighbouring scores, so that a new image a little off either still falls on the right side. Scores are compared
as :class:`~vision_toolkit.core.Prediction` compares them: rounded to four digits.

How many of new images will reach a threshold is not what was counted in 25 or 60 of them: the best of many counts is
the luckiest one, and of 30 normal images none lies where one in a thousand will. So :func:`best_f1` and
:func:`at_cost` smooth the counts first (:mod:`.rates` says how), and so does everything that is told a
``prevalence``: the share of anomalies where the model will work, which is seldom that of the training images.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vision_toolkit.core.errors import Invalid
from vision_toolkit.metrics.counts import as_scores, as_truth
from vision_toolkit.metrics.prevalence import as_prevalence
from vision_toolkit.metrics.rates import log_odds, reach

__all__ = ["Rule", "at_cost", "at_precision", "at_recall", "best_f1", "choose_threshold"]

Rule = str | float | Callable[[NDArray[np.bool_], NDArray[np.float64]], float]
"""What :func:`choose_threshold` takes: a rule's name, a threshold, or a function of truth and scores."""

DIGITS = 4
TOLERANCE = 1e-9
TIE = 1e-12


@dataclass(frozen=True, eq=False, slots=True)
class _Candidates:
    """Hold every threshold worth a look, from the highest down, with what it would find and reject.

    ``recall`` and ``fpr`` are the shares of anomalies and of normal images that reach it, smoothed or counted; of a
    kind that is absent they are 0.
    """

    thresholds: NDArray[np.float64]
    tp: NDArray[np.int64]
    fp: NDArray[np.int64]
    anomalies: int
    recall: NDArray[np.float64]
    fpr: NDArray[np.float64]
    prevalence: float


def best_f1(
    y_true: ArrayLike,
    scores: ArrayLike,
    *,
    prevalence: float | None = None,
    smooth: bool = True,
    digits: int | None = DIGITS,
) -> float:
    """Return the threshold of the highest F1 on new images; among equal ones the lowest, which misses fewest.

    It always finds at least one of the anomalies given.

    Parameters
    ----------
    y_true
        (n,) bool or 0/1; True is an anomaly.
    scores
        (n,) probabilities 0 to 1.
    prevalence
        the share of anomalies where the model will work, 0 to 1, both excluded; None for that of these images.
    smooth
        estimate from smoothed counts what new images will do; False takes these images at their word, which is
        the highest F1 on these very images and no more.
    digits
        to how many digits scores are rounded before they are compared; None for scores that are no
        probabilities (distances, logits), which are compared as they are.

    Raises
    ------
    Invalid
        if there is no anomaly, a score lies outside 0 to 1 (unless ``digits=None``), or ``prevalence`` is out of
        range or given where there is no normal image.

    Notes
    -----
    Simulated for 25 to 400 images with scores of sixteen shapes (``benchmarks/thresholds.py``), against the best
    threshold there is: smoothed counts lose 1.0 points of F1 and counts 1.5; at 7 % anomalies 1.9 and 4.1, at 1 % 3.6
    and 12.8. Half an image added to every count changes nothing, and a bell fitted to each kind loses 1.2, 2.0 and 4.1.
    Counts are better where scores lie in clumps: two kinds of anomalies, one of them far off, or two cameras.

    Examples
    --------
    >>> best_f1([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9])
    0.5
    >>> truth, scores = [0, 0, 0, 0, 1, 1, 1, 1], [0.1, 0.2, 0.3, 0.6, 0.4, 0.7, 0.8, 0.9]
    >>> best_f1(truth, scores), best_f1(truth, scores, prevalence=0.01)
    (0.5, 0.75)
    """
    found = _candidates(y_true, scores, digits=digits, rule="best_f1", prevalence=prevalence, smooth=smooth)
    share = found.prevalence
    value = 2 * share * found.recall / (share * found.recall + (1 - share) * found.fpr + share)
    value[found.tp == 0] = -1.0
    return _lowest(found, value >= value.max() - TIE)


def at_recall(y_true: ArrayLike, scores: ArrayLike, recall: float = 0.95, *, digits: int | None = DIGITS) -> float:
    """Return the highest threshold that finds at least this share of the anomalies.

    Parameters
    ----------
    y_true, scores, digits
        as in :func:`best_f1`.
    recall
        above 0, up to 1.

    Raises
    ------
    Invalid
        as :func:`best_f1`, and if ``recall`` is out of range.

    Examples
    --------
    >>> at_recall([0, 1, 0, 1, 1], [0.1, 0.3, 0.5, 0.7, 0.9], 1.0)
    0.2
    """
    wanted = _share(recall, "recall")
    found = _candidates(y_true, scores, digits=digits, rule="at_recall")
    return float(found.thresholds[np.flatnonzero(found.tp >= wanted * found.anomalies - TOLERANCE)[0]])


def at_precision(
    y_true: ArrayLike,
    scores: ArrayLike,
    precision: float = 0.95,
    *,
    prevalence: float | None = None,
    digits: int | None = DIGITS,
) -> float:
    """Return the threshold that finds most among those of at least this precision.

    Parameters
    ----------
    y_true, scores, digits
        as in :func:`best_f1`.
    precision
        above 0, up to 1.
    prevalence
        the share of anomalies where the model will work, 0 to 1, both excluded: the precision is the one to expect
        there, from smoothed counts. None: the precision is that counted in these images.

    Raises
    ------
    Invalid
        as :func:`best_f1`, and if no threshold reaches this precision; the text names the best there is.

    Notes
    -----
    Simulated as at :func:`best_f1` for a precision of 0.8: at 7 % anomalies the true one is 0.79 to 0.81 in the mean,
    and in a tenth of the sets below 0.54 (25 images) to 0.70 (400). At 1 % it is only 0.62 to 0.66, and in a tenth of
    the sets below 0.21 to 0.37: so far out nobody knows from these images how the scores of normal ones lie. There,
    choose by cost, and look at ``Evaluation.forecast``.

    Examples
    --------
    >>> at_precision([0, 1, 0, 1, 1], [0.1, 0.3, 0.5, 0.7, 0.9], 0.9)
    0.6
    """
    wanted = _share(precision, "precision")
    smooth = prevalence is not None
    found = _candidates(y_true, scores, digits=digits, rule="at_precision", prevalence=prevalence, smooth=smooth)
    if smooth:
        hits, alarms = found.prevalence * found.recall, (1 - found.prevalence) * found.fpr
        value = hits / np.maximum(hits + alarms, TIE)
    else:
        value = found.tp / np.maximum(1, found.tp + found.fp)
    good = (value >= wanted - TOLERANCE) & (found.tp > 0)
    if not good.any():
        best = int(np.where(found.tp > 0, value, -1.0).argmax())
        where = f" at a prevalence of {prevalence:g}" if smooth else ""
        raise Invalid(
            f"No threshold reaches a precision of {wanted:g}{where}; the best is {value[best]:.3f} "
            f"at {found.thresholds[best]:g}. Ask for less, or for at_recall(...)."
        )
    # A lower threshold with as many hits would only add false alarms: the highest of those with most hits.
    return float(found.thresholds[np.flatnonzero(good & (found.tp == found.tp[good].max()))[0]])


def at_cost(
    y_true: ArrayLike,
    scores: ArrayLike,
    miss: float = 10.0,
    reject: float = 1.0,
    *,
    prevalence: float | None = None,
    smooth: bool = True,
    digits: int | None = DIGITS,
) -> float:
    """Return the threshold of the lowest cost on new images; among equal ones the lowest, which misses fewest.

    Parameters
    ----------
    y_true, scores, digits
        as in :func:`best_f1`; a set without anomalies is allowed.
    miss
        what a missed anomaly costs, from 0.
    reject
        what a rejected normal image costs, from 0, in the same unit.
    prevalence, smooth
        as in :func:`best_f1`. Where misses are dear and anomalies rare, the prevalence decides.

    Raises
    ------
    Invalid
        if there are no images, a cost is negative, both are 0, or ``prevalence`` is out of range or given where one
        kind of images is absent.

    Notes
    -----
    Simulated as at :func:`best_f1`: a miss at 10 to 1 costs 26 % more than with the best threshold, by counts 56 %; at
    50 to 1 and 7 % anomalies 24 % and 54 %; at 10 to 1 and 1 % anomalies 18 % and 36 %.

    Examples
    --------
    >>> truth, scores = [0, 0, 0, 0, 1, 1, 1, 1], [0.1, 0.2, 0.3, 0.6, 0.4, 0.7, 0.8, 0.9]
    >>> at_cost(truth, scores, miss=50, reject=1), at_cost(truth, scores, miss=1, reject=1)
    (0.05, 0.5)
    >>> at_cost(truth, scores, miss=50, reject=1, prevalence=0.005)
    0.65
    """
    for name, value in (("miss", miss), ("reject", reject)):
        if isinstance(value, bool) or not isinstance(value, int | float) or not (math.isfinite(value) and value >= 0):
            raise Invalid(f"{name} is a cost, a number from 0; {value!r} was given.")
    if not miss and not reject:
        raise Invalid("miss and reject cannot both cost nothing: every threshold would be as good.")
    found = _candidates(y_true, scores, digits=digits, rule="at_cost", prevalence=prevalence, smooth=smooth)
    cost = miss * found.prevalence * (1 - found.recall) + reject * (1 - found.prevalence) * found.fpr
    return _lowest(found, cost <= cost.min() + TIE * (miss + reject))


_RULES: dict[str, tuple[Callable[..., float], tuple[str, ...]]] = {
    "best_f1": (best_f1, ()),
    "at_recall": (at_recall, ("recall",)),
    "at_precision": (at_precision, ("precision",)),
    "at_cost": (at_cost, ("miss", "reject")),
}
_CALL = re.compile(r"\s*(\w+)\s*(?:\(([^()]*)\))?\s*")


def choose_threshold(rule: Rule, y_true: ArrayLike, scores: ArrayLike, *, prevalence: float | None = None) -> float:
    """Return the threshold that a rule chooses on validated scores.

    Parameters
    ----------
    rule
        ``"best_f1"``, ``"at_recall(0.99)"``, ``"at_precision(0.9)"``, ``"at_cost(miss=50, reject=1)"``, a
        threshold from 0 to 1, or a function of ``(y_true, scores)`` that returns one. A rule by name may bring
        its prevalence: ``"best_f1(prevalence=0.02)"``.
    y_true
        (n,) bool or 0/1; True is an anomaly.
    scores
        (n,) probabilities 0 to 1, best of images that the model did not learn from.
    prevalence
        the share of anomalies where the model will work, 0 to 1, both excluded; None for that of these images, or
        the one that the rule brings. A recall does not depend on it, and neither does a threshold that is given;
        a function of yours is not told it.

    Returns
    -------
    float
        0 to 1.

    Raises
    ------
    Invalid
        if the rule is unknown, its numbers are, or it cannot be met.

    Examples
    --------
    >>> choose_threshold("at_recall(0.9)", [0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9])
    0.5
    >>> choose_threshold(0.7, [0, 1], [0.1, 0.9])
    0.7
    """
    if prevalence is not None:
        prevalence = as_prevalence(prevalence)
    if isinstance(rule, str):
        function, numbers = _parse(rule)
        own = numbers.pop("prevalence", None)
        own = None if own is None else as_prevalence(own)
        if own is not None and prevalence is not None and own != prevalence:
            raise Invalid(
                f"The rule {rule!r} brings one prevalence, and prevalence={prevalence:g} is another. Give it once."
            )
        if function is at_recall:
            return function(y_true, scores, **numbers)
        return function(y_true, scores, **numbers, prevalence=own if own is not None else prevalence)
    if callable(rule):
        truth = as_truth(y_true)
        return _threshold(rule(truth, as_scores(scores, n=truth.size)), "The rule returned")
    return _threshold(rule, "As threshold was given")


def _parse(text: str) -> tuple[Callable[..., float], dict[str, float]]:
    """Read ``name(number, key=number)``: no more than that, and nothing is evaluated."""
    match = _CALL.fullmatch(text)
    if not match or match[1] not in _RULES:
        raise _unknown(text)
    function, names = _RULES[match[1]]
    numbers: dict[str, float] = {}
    parts = [part for part in (match[2] or "").split(",") if part.strip()]
    for index, part in enumerate(parts):
        key, equals, value = part.rpartition("=")
        key = key.strip() if equals else (names[index] if index < len(names) else "")
        if key not in (*names, "prevalence") or key in numbers:
            raise _unknown(text)
        try:
            numbers[key] = float(value)
        except ValueError:
            raise _unknown(text) from None
    return function, numbers


def _unknown(text: str) -> Invalid:
    return Invalid(
        'A rule is "best_f1", "at_recall(0.99)", "at_precision(0.9)", "at_cost(miss=50, reject=1)", each with '
        "prevalence=0.02 if need be, a threshold between 0 and 1, or a function of (y_true, scores); "
        f"{text!r} was given."
    )


def _threshold(value: object, said: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise _unknown(repr(value)) if said.startswith("As") else Invalid(f"{said} {value!r}, not a number.")
    if not 0.0 <= value <= 1.0:
        raise Invalid(f"A threshold lies between 0 and 1. {said} {value!r}.")
    return float(value)


def _share(value: float, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 < value <= 1.0:
        raise Invalid(f"{name} lies above 0 and up to 1; {value!r} was given.")
    return float(value)


def _lowest(found: _Candidates, good: NDArray[np.bool_]) -> float:
    return float(found.thresholds[np.flatnonzero(good)[-1]])


def _candidates(
    y_true: ArrayLike,
    scores: ArrayLike,
    *,
    digits: int | None,
    rule: str,
    prevalence: float | None = None,
    smooth: bool = False,
) -> _Candidates:
    truth = as_truth(y_true)
    values = as_scores(scores, n=truth.size)
    anomalies, normals = int(truth.sum()), int((~truth).sum())
    if not truth.size or (not anomalies and rule != "at_cost"):
        raise Invalid(f"{rule} needs at least one anomaly; {anomalies} of {truth.size} images are. Add some, or "
                      "give a threshold from 0 to 1.")  # fmt: skip
    if prevalence is not None and not (anomalies and normals):
        raise Invalid(f"A prevalence weighs anomalies against normal images; {anomalies} and {normals} were given. "
                      "Add the other kind, or leave prevalence out.")  # fmt: skip
    if digits is not None:
        if values.min() < 0.0 or values.max() > 1.0:
            raise Invalid(
                f"Scores are probabilities from 0 to 1; {values.min():g} to {values.max():g} was given. "
                "Give digits=None for other scores."
            )
        # Python's rounding, as in Prediction: numpy's differs where a fifth digit is a five.
        values = np.array([round(value, digits) for value in values.tolist()])
    levels, place = np.unique(values, return_inverse=True)
    hits = np.bincount(place, truth, minlength=levels.size).astype(np.int64)[::-1].cumsum()
    called = np.bincount(place, minlength=levels.size)[::-1].cumsum()
    edges = levels.tolist()
    below = [_between(edges[i - 1], edges[i], digits) if i else _under(edges, digits) for i in range(levels.size)]
    thresholds, tp, fp = np.array(below[::-1]), hits, called - hits
    above = _over(edges, digits)
    if above is not None:
        thresholds, tp, fp = np.r_[above, thresholds], np.r_[0, tp], np.r_[0, fp]
    recall, fpr = tp / max(1, anomalies), fp / max(1, normals)
    if smooth:
        # Log-odds stretch both ends, where probabilities crowd; half a unit of the last digit is as far as they go.
        scale = (lambda x: x) if digits is None else partial(log_odds, edge=0.5 * 10.0**-digits)
        smoothed = reach(scale(values[truth]), scale(values[~truth]), scale(thresholds))
        recall, fpr = smoothed if smoothed is not None else (recall, fpr)
    share = as_prevalence(prevalence) if prevalence is not None else anomalies / truth.size
    return _Candidates(thresholds, tp, fp, anomalies, recall, fpr, share)


def _between(low: float, high: float, digits: int | None) -> float:
    """Return the middle, but always above ``low``: a score that reaches the threshold is an anomaly."""
    middle = low + (high - low) / 2
    if digits is not None:
        middle = round(middle, digits)
    return middle if low < middle <= high else high


def _under(edges: list[float], digits: int | None) -> float:
    """Return a threshold that every score reaches, with room below the lowest."""
    if digits is not None:
        return round(edges[0] / 2, digits) if edges[0] > 0 else 0.0
    return edges[0] - (edges[1] - edges[0]) / 2 if len(edges) > 1 else edges[0] - 0.5


def _over(edges: list[float], digits: int | None) -> float | None:
    """Return a threshold that no score reaches, or None where a score is 1 already."""
    if digits is not None:
        return _between(edges[-1], 1.0, digits) if edges[-1] < 1.0 else None
    room = (edges[-1] - edges[-2]) / 2 if len(edges) > 1 else 0.5
    return max(edges[-1] + room, math.nextafter(edges[-1], math.inf))
