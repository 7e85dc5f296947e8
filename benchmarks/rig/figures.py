"""Turn scores, verdicts and heat maps into figures: the same functions for every program."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision_toolkit.metrics import best_f1, calibration, count, f1, roc_auc

RESAMPLES = 10_000


@dataclass(frozen=True, slots=True)
class Mean:
    """Hold a mean, what 95 % of the bootstrap's means lie between, and how many values it is of."""

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        if not self.n:
            return "–"
        return f"{self.value:.3f}" if self.n == 1 else f"{self.value:.3f} ({self.low:.3f}–{self.high:.3f})"


def bootstrap_mean(values: Iterable[float]) -> Mean:
    """Return the mean with the 95 % percentile interval over resampled values; seeded.

    Over resplits of the same images the values are not independent: the interval says how much the draw of the split
    matters, and is too narrow for other images.
    """
    given = np.array(list(values), np.float64)
    if not given.size:
        return Mean(math.nan, math.nan, math.nan, 0)
    drawn = np.random.default_rng(0).choice(given, (RESAMPLES, given.size)).mean(axis=1)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Mean(float(given.mean()), float(low), float(high), int(given.size))


def f1_of(record: dict[str, Any]) -> float:
    """Return the F1 of the verdicts that the program gave; nan where it gave none."""
    if record.get("called") is None:
        return math.nan
    return f1(count(record["truth"], record["called"]))


def auc_of(record: dict[str, Any]) -> float:
    """Return the image ROC AUC."""
    return roc_auc(record["truth"], record["scores"])


def oracle_of(record: dict[str, Any]) -> float:
    """Return the best F1 that any threshold would give; it looks at the test labels, and is no result."""
    scores = np.asarray(record["scores"], np.float64)
    return f1(count(record["truth"], scores >= best_f1(record["truth"], scores, smooth=False, digits=None)))


def pixel_auc(pairs: Sequence[tuple[NDArray[np.float32], NDArray[np.bool_]]]) -> float:
    """Return the ROC AUC over all pixels of all images, a tie as half; exact, with the defect pixels alone in memory.

    Parameters
    ----------
    pairs
        heat map (h, w) and truth (H, W) of each image; the map is resized bilinearly to the truth's size.
    """
    defects = [resized(heat, truth)[truth] for heat, truth in pairs if truth.any()]
    if not defects:
        return math.nan
    ordered = np.sort(np.concatenate(defects))
    below, total = 0.0, 0
    for heat, truth in pairs:
        sound = np.sort(resized(heat, truth)[~truth])
        ahead = len(ordered) - np.searchsorted(ordered, sound, "right")
        level = len(ordered) - np.searchsorted(ordered, sound, "left") - ahead
        below += float(ahead.sum()) + 0.5 * float(level.sum())
        total += len(sound)
    return below / (len(ordered) * total) if total else math.nan


def resized(heat: NDArray[np.float32], truth: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return a heat map at the size of the truth."""
    from PIL import Image

    size = truth.shape[1], truth.shape[0]
    return np.asarray(Image.fromarray(np.asarray(heat, np.float32)).resize(size, Image.Resampling.BILINEAR))


def streams(record: dict[str, Any], *, images: int, anomalies: int, count_of: int) -> dict[str, list[float]]:
    """Draw streams from the test images, with replacement, and return F1 and expected calibration error of each.

    Parameters
    ----------
    record
        ``truth``, ``scores`` and ``called`` of the test images.
    images, anomalies
        in one stream.
    count_of
        how many streams.
    """
    truth = np.asarray(record["truth"], bool)
    scores, called = np.asarray(record["scores"], np.float64), np.asarray(record["called"], bool)
    bad, good = np.flatnonzero(truth), np.flatnonzero(~truth)
    rng = np.random.default_rng(0)
    found: dict[str, list[float]] = {"f1": [], "ece": []}
    for _ in range(count_of):
        drawn = np.r_[rng.choice(bad, anomalies), rng.choice(good, images - anomalies)]
        found["f1"].append(f1(count(truth[drawn], called[drawn])))
        if scores.min() >= 0.0 and scores.max() <= 1.0:
            found["ece"].append(calibration(truth[drawn], scores[drawn]).error)
    return found
