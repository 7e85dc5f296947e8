"""Count hits and misses: the four numbers from which every score of a verdict follows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vision_toolkit.core.errors import Invalid
from vision_toolkit.core.mask import BACKGROUND, Mask

__all__ = ["Counts", "as_scores", "as_truth", "count", "count_pixels"]


@dataclass(frozen=True, slots=True)
class Counts:
    """Hold how many anomalies were found and missed, and how many normal ones were rejected and passed.

    Parameters
    ----------
    tp
        true positives: anomalies that were found.
    fp
        false positives: normal ones that were called anomalies.
    fn
        false negatives: anomalies that were missed.
    tn
        true negatives: normal ones that were called normal.

    Raises
    ------
    Invalid
        if one of them is not a whole number from 0.

    Examples
    --------
    >>> Counts(tp=8, fp=1, fn=0, tn=13) + Counts(tp=1, fp=0, fn=1, tn=0)
    Counts(tp=9, fp=1, fn=1, tn=13)
    >>> Counts(tp=8, fp=1, fn=0, tn=13).n
    22
    """

    tp: int = 0
    fp: int = 0
    fn: int = 0
    tn: int = 0

    def __post_init__(self) -> None:
        for name in ("tp", "fp", "fn", "tn"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
                raise Invalid(f"{name} is a whole number from 0; {value!r} was given.")
            object.__setattr__(self, name, int(value))

    @property
    def n(self) -> int:
        """Return how many were judged."""
        return self.tp + self.fp + self.fn + self.tn

    def __add__(self, other: Counts) -> Counts:
        if not isinstance(other, Counts):
            return NotImplemented
        return Counts(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn, self.tn + other.tn)


def as_truth(y_true: ArrayLike, *, name: str = "y_true") -> NDArray[np.bool_]:
    """Return verdicts as (n,) bool, True for an anomaly; what is given may be bool or 0 and 1.

    Raises
    ------
    Invalid
        if it is not one-dimensional or holds anything but 0 and 1.

    Examples
    --------
    >>> as_truth([0, 1])
    array([False,  True])
    """
    given = np.asarray(y_true)
    if given.ndim != 1:
        raise Invalid(f"{name} has one dimension, a verdict an image; the shape {given.shape} was given.")
    if given.size == 0:
        return np.zeros(0, np.bool_)
    if given.dtype.kind not in "biuf" or not np.isin(given, (0, 1)).all():
        odd = [value for value in given.tolist() if isinstance(value, str) or value not in (0, 1)][:3]
        raise Invalid(f"{name} holds True or 1 for an anomaly, False or 0 for normal; {odd} was given.")
    return given.astype(np.bool_)


def as_scores(scores: ArrayLike, *, n: int, name: str = "scores") -> NDArray[np.float64]:
    """Return scores as (n,) float64.

    Raises
    ------
    Invalid
        if there are not ``n`` of them or one is not a finite number.

    Examples
    --------
    >>> as_scores([0, 1], n=2)
    array([0., 1.])
    """
    try:
        values = np.asarray(scores, np.float64)
    except (TypeError, ValueError):
        raise Invalid(f"{name} are numbers; {scores!r:.80} was given.") from None
    if values.shape != (n,):
        raise Invalid(f"{name} must be as many as the verdicts, ({n},); the shape {values.shape} was given.")
    if not np.isfinite(values).all():
        raise Invalid(f"{name} are finite numbers; {values[~np.isfinite(values)][:3].tolist()} was given.")
    return values


def count(y_true: ArrayLike, y_pred: ArrayLike) -> Counts:
    """Count a list of verdicts against the truth.

    Parameters
    ----------
    y_true, y_pred
        (n,) bool or 0/1; True is an anomaly.

    Raises
    ------
    Invalid
        if the two differ in length or hold anything but verdicts.

    Examples
    --------
    >>> count([1, 1, 0, 0], [1, 0, 0, 0])
    Counts(tp=1, fp=0, fn=1, tn=2)
    """
    truth, said = as_truth(y_true), as_truth(y_pred, name="y_pred")
    if truth.shape != said.shape:
        raise Invalid(f"y_true and y_pred must be equally long; {truth.size} and {said.size} were given.")
    tp, positive, called = int((truth & said).sum()), int(truth.sum()), int(said.sum())
    return Counts(tp, called - tp, positive - tp, truth.size - positive - called + tp)


def count_pixels(
    true: Mask | ArrayLike, predicted: Mask | ArrayLike, *, names: tuple[str, ...] | None = None
) -> dict[str, Counts]:
    """Count the pixels of each anomaly type, every type against all the others and the background.

    Parameters
    ----------
    true, predicted
        two masks of the same size, matched by the names of their types; or two (H, W) arrays of class ids,
        0 for background. Bool arrays have the one type ``"anomaly"``.
    names
        for arrays of ids only: the class of each id, ``names[0]`` is ``"background"``.

    Returns
    -------
    dict
        anomaly type to :class:`Counts` of pixels, background left out; types in the order of the true mask,
        then those that only the predicted one names.

    Raises
    ------
    Invalid
        if the two differ in size, or ids are given without names.

    Examples
    --------
    >>> import numpy as np
    >>> true = Mask(np.array([[0, 1], [0, 1]], np.uint8), ("background", "scratch"))
    >>> predicted = Mask(np.array([[0, 1], [0, 0]], np.uint8), ("background", "scratch"))
    >>> count_pixels(true, predicted)
    {'scratch': Counts(tp=1, fp=0, fn=1, tn=2)}
    """
    left, right = _as_mask(true, names), _as_mask(predicted, names)
    if left.size != right.size:
        raise Invalid(
            f"Both masks must have one size; {left.size[0]}x{left.size[1]} and {right.size[0]}x{right.size[1]} "
            "were given. Bring one to the other's with mask.resized(width, height)."
        )
    types = list(dict.fromkeys((*left.names, *right.names)))
    wide = len(types)
    # Ids of the two masks may differ for one name: both are translated into one common list first.
    here = np.array([types.index(name) for name in left.names], np.int64)[left.ids]
    there = np.array([types.index(name) for name in right.names], np.int64)[right.ids]
    table = np.bincount((here * wide + there).ravel(), minlength=wide * wide).reshape(wide, wide)
    hits, actual, called = table.diagonal(), table.sum(1), table.sum(0)
    total = int(table.sum())
    return {
        name: Counts(int(tp), int(p - tp), int(a - tp), total - int(a + p - tp))
        for name, tp, a, p in zip(types, hits, actual, called, strict=True)
        if name != BACKGROUND
    }


def _as_mask(given: Mask | ArrayLike, names: tuple[str, ...] | None) -> Mask:
    if isinstance(given, Mask):
        return given
    pixels = np.asarray(given)
    if pixels.dtype == np.bool_:
        return Mask(pixels.astype(np.uint8), names or (BACKGROUND, "anomaly"))
    if names is None:
        raise Invalid('An array of class ids needs names=("background", ...); or give two Masks or two bool arrays.')
    if pixels.dtype.kind not in "iu" or (pixels.size and (pixels.min() < 0 or pixels.max() > 255)):
        raise Invalid(f"Class ids are whole numbers from 0 to 255; an array of {pixels.dtype} was given.")
    return Mask(pixels.astype(np.uint8), names)
