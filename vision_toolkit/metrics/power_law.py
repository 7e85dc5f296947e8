"""Fit error(n) = a + b n^-c to a few numbers of images, and say what more images would give, and how surely.

Three to five points do not tell how a curve bends. So none of the exponents is picked: each one of :data:`EXPONENTS`
counts as far as the points allow it, from a curve that goes on falling with every doubling to one that has all but
ended. ``a`` may come out below 0, as long as the error that is foretold does not: it is a bend, not a promise about
infinitely many images. ``b`` may come out below 0 as well, else noise around a flat line would always look like a gain.

How far repeats scatter around their mean is resampled (Rubin's Bayesian bootstrap, 1981) and widened as Student's
distribution asks for so few of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["EXPONENTS", "PowerLaw", "fit_power_law", "student"]

Floats = NDArray[np.float64]

EXPONENTS = (0.1, 0.2, 0.35, 0.6, 1.0, 1.7, 3.0)
"""From all but a straight line over log n to a curve that is flat after one more doubling."""
FEWEST_SIZES = 3
FEWEST_REPEATS = 3


@dataclass(frozen=True, eq=False, slots=True)
class PowerLaw:
    """Hold the curves that repeats of a training allow, error(n) = a + b n^-c.

    Parameters
    ----------
    a, b, c
        (s,) one curve each, drawn as often as it is likely.
    middle
        (k, 4) exponent, weight (they add up to 1), a and b of the best curve of each exponent.

    Examples
    --------
    >>> errors = np.array([[0.41, 0.30, 0.21], [0.39, 0.29, 0.20], [0.40, 0.31, 0.19]])
    >>> law = fit_power_law(np.array([8.0, 16.0, 32.0]), errors, reach=64.0, rng=np.random.default_rng(0))
    >>> gain, low, high = law.gain(32.0, 64.0)
    >>> bool(0.0 < low < gain < high < 0.2)
    True
    """

    a: Floats
    b: Floats
    c: Floats
    middle: Floats

    def errors(self, sizes: Floats) -> tuple[Floats, Floats, Floats]:
        """Return the error to expect at (n,) sizes and both ends of its interval at 95 %, each (n,)."""
        at = np.asarray(sizes, np.float64)[:, None]
        drawn = self.a + self.b * at**-self.c
        exponent, weight, a, b = self.middle.T
        low, high = np.quantile(drawn, (0.025, 0.975), axis=1)
        return ((a + b * at**-exponent) * weight).sum(axis=1), low, high

    def gain(self, now: float, then: float) -> tuple[float, float, float]:
        """Return how far the error falls from one size to another, and both ends of its interval at 95 %."""
        exponent, weight, _, b = self.middle.T
        drawn = self.b * (now**-self.c - then**-self.c)
        low, high = np.quantile(drawn, (0.025, 0.975))
        return float((b * (now**-exponent - then**-exponent) * weight).sum()), float(low), float(high)


def fit_power_law(
    sizes: Floats,
    errors: Floats,
    *,
    reach: float,
    rng: np.random.Generator,
    drawn: Floats | None = None,
    grain: float = 0.0,
    draws: int = 2000,
) -> PowerLaw:
    """Return the power laws that repeated errors at a few sizes allow.

    Parameters
    ----------
    sizes
        (k,) numbers of images, at least three different ones.
    errors
        (r, k) of each repeat, at least three; what a repeat has in common over its sizes does not count as noise.
    reach
        the size up to which the error must not fall below 0.
    rng
        draws repeats and exponents.
    drawn
        (s, r, k) the same errors as other held-out images would have given them; None where the repeats have
        held-out images of their own, so that their scatter tells it.
    grain
        what half a held-out image more or less makes of the mean error: errors that are all the same are no surer
        than that.
    draws
        how many curves are drawn.
    """
    repeats, _ = errors.shape
    mean = errors.mean(axis=0)
    rest = errors - errors.mean(axis=1, keepdims=True) - mean + errors.mean()
    free = (repeats - 1) * (sizes.size - 1)
    noise = max(float((rest**2).sum()) / free / repeats, 1e-8)
    # Dirichlet weights scatter by (r - 1) / (r + 1) too little; Student's quantile is for a spread that is estimated.
    widen = math.sqrt((repeats + 1) / (repeats - 1)) * student(repeats - 1) / 1.959964
    weights = rng.dirichlet(np.ones(repeats), draws)
    by_repeat = weights @ errors
    scattered = mean + (by_repeat - mean) * widen + grain * rng.standard_normal(by_repeat.shape)
    if drawn is not None:
        scattered += np.einsum("sr,srk->sk", weights, drawn[np.arange(draws) % len(drawn)]) - by_repeat
    best = [_line(sizes, mean[None], c, reach) for c in EXPONENTS]
    off = np.array([((mean - a - b * sizes**-c) ** 2).sum() for c, (a, b) in zip(EXPONENTS, best, strict=True)])
    likely = (1.0 + off / (free * noise)) ** (-(free + 1) / 2)
    likely /= likely.sum()
    pick = rng.choice(len(EXPONENTS), draws, p=likely)
    a, b = np.empty(draws), np.empty(draws)
    for place, c in enumerate(EXPONENTS):
        taken = pick == place
        a[taken], b[taken] = _line(sizes, scattered[taken], c, reach)
    middle = np.array([[c, w, one[0][0], one[1][0]] for c, w, one in zip(EXPONENTS, likely, best, strict=True)])
    return PowerLaw(a, b, np.array(EXPONENTS)[pick], middle)


def student(free: int) -> float:
    """Return how many standard errors of a mean hold 95 %, where the spread was estimated with so much freedom.

    Examples
    --------
    >>> round(student(4), 3)
    2.776
    """
    from scipy.special import stdtrit  # half a second that only learning curves need

    return float(stdtrit(free, 0.975))


def _line(sizes: Floats, errors: Floats, c: float, reach: float) -> tuple[Floats, Floats]:
    """Return a and b of the closest a + b n^-c for each of (s, k) errors; at ``reach`` it is not below 0."""
    x = sizes**-c
    rest = x - x.mean()
    b = errors @ rest / (rest @ rest)
    a = errors.mean(axis=1) - b * x.mean()
    end = reach**-c
    below = a + b * end < 0.0
    kept = x - end
    steepest = errors @ kept / (kept @ kept)
    b = np.where(below, steepest, b)
    return np.where(below, -b * end, a), b
