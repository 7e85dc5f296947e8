"""Turn counts into scores: pure functions of the four numbers.

One rule for what would be 0/0, so that numbers stay numbers wherever there is something to judge: where the
*answers* left nothing to divide by (nothing was called an anomaly, though there are some), the score is 0.0, as in
scikit-learn's ``zero_division=0``; where the *truth* did (a test set without anomalies has no recall), it is nan.
"""

from __future__ import annotations

import math

from vision_toolkit.core.errors import Invalid
from vision_toolkit.metrics.counts import Counts

__all__ = [
    "accuracy",
    "balanced_accuracy",
    "f1",
    "f_beta",
    "iou",
    "mcc",
    "negative_predictive_value",
    "precision",
    "recall",
    "specificity",
]


def precision(counts: Counts) -> float:
    """Return the share of called anomalies that are some: tp / (tp + fp).

    0.0 if nothing was called an anomaly though there are some; nan if there are none to find either.

    Examples
    --------
    >>> precision(Counts(tp=19, fp=7, fn=1, tn=13))
    0.7307692307692307
    >>> precision(Counts(tp=0, fp=0, fn=2, tn=3))
    0.0
    """
    return _ratio(counts.tp, counts.tp + counts.fp, judged=counts.fn > 0)


def recall(counts: Counts) -> float:
    """Return the share of anomalies that were found: tp / (tp + fn); nan if there are none.

    Examples
    --------
    >>> recall(Counts(tp=19, fp=7, fn=1, tn=13))
    0.95
    """
    return _ratio(counts.tp, counts.tp + counts.fn)


def specificity(counts: Counts) -> float:
    """Return the share of normal ones that were passed: tn / (tn + fp); nan if there are none.

    Examples
    --------
    >>> specificity(Counts(tp=19, fp=7, fn=1, tn=13))
    0.65
    """
    return _ratio(counts.tn, counts.tn + counts.fp)


def negative_predictive_value(counts: Counts) -> float:
    """Return the share of passed ones that are normal: tn / (tn + fn).

    0.0 if nothing was passed though there are normal ones; nan if there are none either.

    Examples
    --------
    >>> negative_predictive_value(Counts(tp=19, fp=7, fn=1, tn=9))
    0.9
    """
    return _ratio(counts.tn, counts.tn + counts.fn, judged=counts.fp > 0)


def f_beta(counts: Counts, beta: float) -> float:
    """Return the F-score that weighs recall ``beta`` times as much as precision.

    (1 + beta^2) tp / ((1 + beta^2) tp + beta^2 fn + fp); nan if there is neither an anomaly nor a call of one.

    Raises
    ------
    Invalid
        if ``beta`` is not a positive number.

    Examples
    --------
    >>> round(f_beta(Counts(tp=19, fp=7, fn=1, tn=13), 2.0), 3)
    0.896
    """
    if not (isinstance(beta, int | float) and math.isfinite(beta) and beta > 0):
        raise Invalid(f"beta is a positive number; {beta!r} was given.")
    weight = float(beta) ** 2
    return _ratio((1 + weight) * counts.tp, (1 + weight) * counts.tp + weight * counts.fn + counts.fp)


def f1(counts: Counts) -> float:
    """Return the harmonic mean of precision and recall: 2 tp / (2 tp + fp + fn).

    nan if there is neither an anomaly nor a call of one.

    Examples
    --------
    >>> round(f1(Counts(tp=19, fp=7, fn=1, tn=13)), 3)
    0.826
    """
    return f_beta(counts, 1.0)


def accuracy(counts: Counts) -> float:
    """Return the share of right verdicts: (tp + tn) / n; nan if there is none.

    Examples
    --------
    >>> accuracy(Counts(tp=19, fp=7, fn=1, tn=13))
    0.8
    """
    return _ratio(counts.tp + counts.tn, counts.n)


def balanced_accuracy(counts: Counts) -> float:
    """Return the mean of recall and specificity; nan if one class is absent.

    Examples
    --------
    >>> balanced_accuracy(Counts(tp=19, fp=7, fn=1, tn=13))
    0.8
    """
    return (recall(counts) + specificity(counts)) / 2


def iou(counts: Counts) -> float:
    """Return intersection over union (the Jaccard index): tp / (tp + fp + fn); nan if both are empty.

    Examples
    --------
    >>> iou(Counts(tp=50, fp=25, fn=25, tn=900))
    0.5
    """
    return _ratio(counts.tp, counts.tp + counts.fp + counts.fn)


def mcc(counts: Counts) -> float:
    """Return Matthews' correlation of verdict and truth, -1 to 1.

    0.0 if all verdicts are the same; nan if one class is absent.

    Examples
    --------
    >>> round(mcc(Counts(tp=19, fp=7, fn=1, tn=13)), 3)
    0.629
    """
    tp, fp, fn, tn = counts.tp, counts.fp, counts.fn, counts.tn
    if not tp + fn or not tn + fp:
        return math.nan
    # Whole numbers up to the square root: a product of four counts of pixels does not fit 64 bits.
    below = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    return (tp * tn - fp * fn) / math.sqrt(below) if below else 0.0


def _ratio(above: float, below: float, *, judged: bool = False) -> float:
    """Divide; 0/0 is 0.0 where there was something to judge, nan where there was not."""
    if below:
        return above / below
    return 0.0 if judged else math.nan
