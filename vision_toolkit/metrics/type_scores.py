"""Say how well each anomaly type was found, by pixels and by images."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vision_toolkit.core.entry import Entry, Label
from vision_toolkit.core.errors import Invalid
from vision_toolkit.core.mask import Mask
from vision_toolkit.metrics import scores
from vision_toolkit.metrics.counts import Counts, count, count_pixels
from vision_toolkit.metrics.intervals import (
    Score,
    answered_proportion,
    f1_interval,
    mean_interval,
    number_or_none,
    proportion_interval,
)

__all__ = ["TypeScore", "TypeTally"]


def _undefined() -> Score:
    return Score(math.nan)


@dataclass(frozen=True, eq=False, slots=True, repr=False)
class TypeScore:
    """Hold how well one anomaly type was found, by pixels and by images.

    Parameters
    ----------
    name
        the anomaly type.
    precision, recall, f1
        over the pixels of all images together. Neighbouring pixels are no independent witnesses, so these
        carry no interval.
    aiou
        mean intersection over union of the images that have the type in truth or prediction.
    images
        how many images truly have it.
    image_precision, image_recall, image_f1
        over images: has it or has it not at least one pixel of the type. Undefined where not known.

    Examples
    --------
    >>> TypeScore("scratch", 0.8, 0.6, 0.686, Score(0.52, 0.4, 0.64, 20), images=18)
    TypeScore(scratch, 18 images: mean IoU 0.520 (0.400-0.640, n=20), pixel F1 0.686)
    """

    name: str
    precision: float
    recall: float
    f1: float
    aiou: Score
    images: int
    image_precision: Score = field(default_factory=_undefined)
    image_recall: Score = field(default_factory=_undefined)
    image_f1: Score = field(default_factory=_undefined)

    def __repr__(self) -> str:
        pixels = "undefined" if math.isnan(self.f1) else f"{self.f1:.3f}"
        images = f"{self.images} image{'s' * (self.images != 1)}"
        return f"TypeScore({self.name}, {images}: mean IoU {self.aiou!r}, pixel F1 {pixels})"

    def to_dict(self) -> dict[str, Any]:
        """Return the plain facts, ready for JSON: None where undefined."""
        return {
            "precision": number_or_none(self.precision),
            "recall": number_or_none(self.recall),
            "f1": number_or_none(self.f1),
            "aiou": self.aiou.to_dict(),
            "images": self.images,
            "image_precision": self.image_precision.to_dict(),
            "image_recall": self.image_recall.to_dict(),
            "image_f1": self.image_f1.to_dict(),
        }


class TypeTally:
    """Add up, image by image, how well each anomaly type was found.

    Examples
    --------
    >>> import numpy as np
    >>> names = ("background", "scratch")
    >>> true = Mask(np.array([[0, 1], [0, 1]], np.uint8), names)
    >>> tally = TypeTally()
    >>> tally.add(Entry("1.png", Label.ANOMALY), true, Mask(np.array([[0, 1], [0, 0]], np.uint8), names))
    >>> tally.scores()["scratch"].aiou
    0.500 (0.055-0.945, n=1)
    """

    def __init__(self) -> None:
        self.counted: dict[str, Counts] = {}
        self.found: dict[str, Counts] = {}
        self.overlaps: dict[str, list[float]] = {}

    def add(self, entry: Entry, true: Mask | None, predicted: Mask) -> None:
        """Add one image; without a true mask a normal one has no defect and an anomalous one is left out.

        Raises
        ------
        Invalid
            if the two masks differ in size.
        """
        if true is None:
            if entry.label is Label.ANOMALY:
                return
            true = Mask(np.zeros_like(predicted.ids))
        elif not true.types and true.size != predicted.size:
            # Real manifests share one small all-background mask among all normal images.
            true = true.resized(*predicted.size)
        try:
            counted = count_pixels(true, predicted)
        except Invalid as error:
            raise Invalid(f"{entry.source}: {error}") from None
        for name, counts in counted.items():
            self.counted[name] = self.counted.get(name, Counts()) + counts
            has, said = counts.tp + counts.fn > 0, counts.tp + counts.fp > 0
            self.found[name] = self.found.get(name, Counts()) + count([has], [said])
            if has or said:
                self.overlaps.setdefault(name, []).append(scores.iou(counts))

    def scores(self) -> dict[str, TypeScore]:
        """Return the scores of every type that a mask names."""
        told = {}
        for name, counts in self.counted.items():
            images = self.found[name]
            told[name] = TypeScore(
                name,
                scores.precision(counts),
                scores.recall(counts),
                scores.f1(counts),
                mean_interval(self.overlaps.get(name, [])),
                images.tp + images.fn,
                answered_proportion(scores.precision(images), images.tp, images.tp + images.fp),
                proportion_interval(images.tp, images.tp + images.fn),
                f1_interval(images),
            )
        return told
