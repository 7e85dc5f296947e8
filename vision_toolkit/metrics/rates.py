"""Estimate from few images how many of new ones would reach a threshold.

Counts answer that badly where it matters: of 30 normal images none lies beyond the highest, but of 1,000 parts a dozen
may. And the best of thirty thresholds by count is the luckiest. So each kind of images is smoothed, in two ways that
mend each other, and both are logistic curves over the log-odds of the score:

- one wide curve with the mean and the spread of the kind: right in the tails, where there are no images, and wrong
  where images come in clumps;
- a narrow curve around every image: right wherever there are images.

The wide curve counts as much as 30 images do, so that counts win as images become many. The spread of each kind is
drawn towards that of both, by as much as four images, so that it is usable for one or two anomalies.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["log_odds", "reach"]

Floats = NDArray[np.float64]

CURVE = 30
"""How many images the wide curve counts as."""
SHARED = 4
"""How many images of a common spread are added to each kind."""
NARROW = 0.7
"""Standard deviation of a narrow curve, in those of the kind, times n ** (1 / 3)."""
MOST = 600
"""How many scores, and thresholds, are looked at one by one; beyond that, evenly spaced ones stand for all."""
_UNIT = math.sqrt(3) / math.pi  # scale of the logistic curve whose standard deviation is 1


def log_odds(probabilities: Floats, *, edge: float = 5e-5) -> Floats:
    """Return the logarithm of p / (1 - p), of probabilities kept ``edge`` away from 0 and 1.

    Examples
    --------
    >>> log_odds(np.array([0.5, 0.9])).round(3).tolist()
    [0.0, 2.197]
    """
    inside = np.clip(probabilities, edge, 1.0 - edge)
    return np.asarray(np.log(inside / (1.0 - inside)))


def reach(anomalies: Floats, normals: Floats, thresholds: Floats) -> tuple[Floats, Floats] | None:
    """Return the shares of new anomalies, and of new normal images, that would reach each threshold.

    Parameters
    ----------
    anomalies, normals
        (m,) and (n,) scores on a scale without ends: log-odds, logits, distances.
    thresholds
        (k,) on the same scale, in any order.

    Returns
    -------
    tuple
        two (k,) arrays from 0 to 1, falling as the threshold rises; None where nothing can be said of the spread:
        one kind is absent, or the images of a kind all score the same.

    Examples
    --------
    >>> recall, false_alarms = reach(np.array([2.0, 3.0, 4.0]), np.array([-3.0, -2.0, -1.0]), np.array([0.5, 6.0]))
    >>> recall.round(3).tolist(), false_alarms.round(3).tolist()
    ([0.99, 0.004], [0.01, 0.0])
    """
    kinds = (anomalies, normals)
    if not all(kind.size for kind in kinds):
        return None
    squares = [float(((kind - kind.mean()) ** 2).sum()) for kind in kinds]
    free = anomalies.size + normals.size - 2
    common = sum(squares) / free if free else 0.0
    if common <= 0.0:
        return None
    spreads = (math.sqrt((own + SHARED * common) / (kind.size - 1 + SHARED))
               for own, kind in zip(squares, kinds, strict=True))  # fmt: skip
    recall, false_alarms = (_reach(kind, spread, thresholds) for kind, spread in zip(kinds, spreads, strict=True))
    return recall, false_alarms


def _reach(scores: Floats, spread: float, thresholds: Floats) -> Floats:
    n = scores.size
    at, centres = thresholds, scores
    if at.size > MOST:
        at = np.quantile(at, np.linspace(0.0, 1.0, MOST))
    if n > MOST:  # each stands for as many: the outermost must not stand for more than its share
        centres = np.quantile(scores, (np.arange(MOST) + 0.5) / MOST)
    wide = _logistic((scores.mean() - at) / (_UNIT * spread))
    narrow = _logistic((centres - at[:, None]) / (_UNIT * spread * NARROW * n ** (-1 / 3))).mean(axis=1)
    share = (CURVE * wide + n * narrow) / (CURVE + n)
    if at is thresholds:
        return np.asarray(share)
    order = np.argsort(at)
    return np.asarray(np.interp(thresholds, at[order], share[order]))


def _logistic(values: Floats) -> Floats:
    # By the hyperbolic tangent, which does not overflow.
    return np.asarray(0.5 + 0.5 * np.tanh(values / 2))
