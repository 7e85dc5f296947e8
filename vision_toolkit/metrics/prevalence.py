"""Carry what was learned from one mix of normal images and anomalies over to another."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vision_toolkit.core.errors import Invalid

__all__ = ["as_prevalence", "shift_prior"]


def shift_prior(probabilities: ArrayLike, *, was: float, now: float) -> NDArray[np.float64]:
    """Return calibrated probabilities of an anomaly as they are where anomalies are more, or less, common.

    A probability that is right among training images, half of which are anomalies, is far too high on a line with one
    bad part in a hundred. If the images of each kind look the same in both places, the log-odds move by those of the
    two shares: ``log(now / (1 - now)) - log(was / (1 - was))``. The order of images does not change.

    Parameters
    ----------
    probabilities
        any shape, 0 to 1; 0 and 1 stay what they are.
    was
        the share of anomalies where the probabilities are right, 0 to 1, both excluded.
    now
        the share of anomalies where they will be used, 0 to 1, both excluded.

    Returns
    -------
    numpy.ndarray
        float64 of the same shape.

    Raises
    ------
    Invalid
        if a share or a probability is out of range.

    Notes
    -----
    Saerens, Latinne, Decaestecker (2002), Neural Computation 14, 21-41, equation 2.4.

    Examples
    --------
    >>> shift_prior([0.5, 0.9, 0.99], was=0.5, now=0.01).round(3).tolist()
    [0.01, 0.083, 0.5]
    """
    before, after = as_prevalence(was, name="was"), as_prevalence(now, name="now")
    try:
        given = np.asarray(probabilities, np.float64)
    except (TypeError, ValueError):
        raise Invalid(f"probabilities are numbers from 0 to 1; {probabilities!r:.80} was given.") from None
    if given.size and not (given.min() >= 0.0 and given.max() <= 1.0):
        raise Invalid(f"A probability lies between 0 and 1; {given.min():g} to {given.max():g} was given.")
    # Odds times a constant, without a logarithm: exact at 0 and 1.
    anomaly, normal = given * (after / before), (1.0 - given) * ((1.0 - after) / (1.0 - before))
    return np.asarray(anomaly / (anomaly + normal))


def as_prevalence(prevalence: float, *, name: str = "prevalence") -> float:
    """Return the share of anomalies as a float.

    Raises
    ------
    Invalid
        if it is not a number between 0 and 1, both excluded.

    Examples
    --------
    >>> as_prevalence(0.07)
    0.07
    """
    if (
        isinstance(prevalence, bool)
        or not isinstance(prevalence, int | float | np.integer | np.floating)
        or not 0.0 < prevalence < 1.0
    ):
        raise Invalid(
            f"{name} is the share of anomalies, above 0 and below 1 (0.02: two in a hundred); {prevalence!r} was given."
        )
    return float(prevalence)
