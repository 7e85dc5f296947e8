"""What a model says of one image."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision_toolkit.core.entry import Region, Tag
from vision_toolkit.core.errors import Invalid, Unsupported
from vision_toolkit.core.mask import Mask

__all__ = ["Prediction", "Task"]


class Task(StrEnum):
    """Say what a model was trained to do.

    ``CLASSIFICATION`` gives a verdict normal or anomaly; ``SEGMENTATION`` gives the verdict and a mask of
    anomaly types.
    """

    CLASSIFICATION = "classification"
    SEGMENTATION = "segmentation"


@dataclass(frozen=True, eq=False, slots=True)
class Prediction:
    """Hold what a model says of one image.

    The verdict and its confidence follow from two numbers, so that a moved threshold moves both
    (:meth:`at`): an image is anomalous when its score reaches the threshold, both rounded to four digits;
    the confidence is the score of an anomaly and one minus the score of a normal image. So a confidence
    below 0.5 is possible and means: near the threshold.

    Parameters
    ----------
    task
        what the model does; parts that its task does not have stay empty.
    score
        calibrated probability of an anomaly, 0 to 1.
    threshold
        the score from which the model says anomaly, 0 to 1.
    tags, regions
        classes of the whole image, and parts of it.
    mask
        anomaly type of each pixel, at the size of the original image; None without a mask decoder.
    map
        heat map, (h, w) float32 from 0 to 1 at the model's own resolution: 0.5 is the height that normal
        training images just reach; None without one.
    source
        the image, as it was named.

    Examples
    --------
    >>> p = Prediction(Task.CLASSIFICATION, score=0.9, threshold=0.6)
    >>> p.is_anomalous, p.confidence
    (True, 0.9)
    >>> p.at(0.95).is_anomalous
    False
    >>> Prediction(Task.CLASSIFICATION, score=0.689, threshold=0.7).confidence
    0.311
    """

    task: Task
    score: float | None = None
    threshold: float | None = None
    tags: tuple[Tag, ...] = ()
    regions: tuple[Region, ...] = ()
    mask: Mask | None = None
    map: NDArray[np.float32] | None = None
    source: str | None = None

    @property
    def is_anomalous(self) -> bool:
        """Return whether the score reaches the threshold.

        Raises
        ------
        Unsupported
            if the model's task gives no verdict.
        """
        score, threshold = self._verdict()
        return round(score, 4) >= round(threshold, 4)

    @property
    def confidence(self) -> float:
        """Return how sure the verdict is, 0 to 1: the score of an anomaly, one minus it otherwise."""
        score, _ = self._verdict()
        return round(score if self.is_anomalous else 1.0 - score, 6)

    def at(self, threshold: float) -> Prediction:
        """Return the same prediction under another threshold, 0 to 1."""
        self._verdict()
        if not 0.0 <= threshold <= 1.0:
            raise Invalid(f"A threshold lies between 0 and 1; {threshold} was given.")
        return replace(self, threshold=float(threshold))

    def areas(self) -> dict[str, float]:
        """Return the fraction of the image of each class in the mask, background first; empty without a mask."""
        return self.mask.areas() if self.mask is not None else {}

    def to_dict(self) -> dict[str, Any]:
        """Return the plain facts, ready for JSON: source, verdict, confidence, score, threshold, areas."""
        facts: dict[str, Any] = {"source": self.source, "task": str(self.task)}
        if self.score is not None:
            facts |= {
                "is_anomalous": self.is_anomalous,
                "confidence": self.confidence,
                "score": round(self.score, 6),
                "threshold": self.threshold,
            }
        if self.mask is not None:
            facts["areas"] = {name: round(area, 6) for name, area in self.areas().items()}
        return facts

    def _verdict(self) -> tuple[float, float]:
        if self.score is None or self.threshold is None:
            raise Unsupported(
                f"A {self.task} model gives no verdict normal or anomaly; look at its tags and regions instead."
            )
        return self.score, self.threshold

    def __repr__(self) -> str:
        if self.score is None or self.threshold is None:
            return f"Prediction({self.task}, {len(self.tags)} tags, {len(self.regions)} regions)"
        verdict = "anomaly" if self.is_anomalous else "normal"
        types = "".join(f", {name} {area:.2%}".replace("%", " %") for name, area in list(self.areas().items())[1:])
        return f"Prediction({verdict}, confidence {self.confidence:.3f}, score {self.score:.3f}{types})"
