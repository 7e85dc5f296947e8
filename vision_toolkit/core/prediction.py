"""What a model says of one image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vision_toolkit.core.entry import Entry, Region, Tag
from vision_toolkit.core.errors import Invalid, Unsupported, VisionError
from vision_toolkit.core.mask import BACKGROUND, Mask

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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

    def show(self, image: Any = None, *, truth: Mask | None = None) -> Figure:
        """Show the image beside what was said of it: the heat map, then the mask with its types and areas.

        Parameters
        ----------
        image
            what was predicted: :class:`~vision_toolkit.Entry`, path, URI, bytes, array or PIL image. By default
            it is read from ``source``; a manifest may name an image by a path that only the manifest can find,
            and then it has to be given.
        truth
            the true mask, outlined over the predicted one. By default it is read where ``image`` is an entry
            with painted types; a prediction without a mask has it outlined over the image.

        Returns
        -------
        Figure
            one to three panels side by side.

        Raises
        ------
        Invalid
            if the image is needed and cannot be found, is another entry's, or a mask is not of its size.

        Examples
        --------
        >>> p = Prediction(Task.CLASSIFICATION, score=0.9, threshold=0.6, map=np.eye(2, dtype=np.float32))
        >>> [ax.get_title("left") for ax in p.show(np.zeros((8, 8, 3), np.uint8)).axes]
        ['anomaly, score 0.90 (threshold 0.60)', 'heat map']
        """
        from vision_toolkit.data.images import read_image, read_mask
        from vision_toolkit.plots import show_overlay
        from vision_toolkit.plots.style import detached

        picture = read_image(image) if image is not None else self._own_image(read_image)
        size = (picture.shape[1], picture.shape[0])
        if isinstance(image, Entry):
            if self.source is not None and _file_name(self.source) not in map(
                _file_name, (image.source, image.location)
            ):
                raise Invalid(
                    f"The prediction is of {self.source!r}, the entry is {image.source!r}; give its own entry."
                )
            if truth is None and image.types and image.mask is not None:
                truth = read_mask(image.mask, size=size)
        for name, mask in (("predicted mask", self.mask), ("truth", truth)):
            if mask is not None and mask.size != size:
                raise Invalid(
                    f"The {name} is {mask.size[0]}x{mask.size[1]}, the image {size[0]}x{size[1]}; give the image that "
                    "was predicted, and a truth of its size."
                )
        panels: list[tuple[str, dict[str, Any]]] = [(self._headline(), {"truth": truth if self.mask is None else None})]
        panels += [("heat map", {"map": self.map})] if self.map is not None else []
        panels += [("mask", {"mask": self.mask, "truth": truth})] if self.mask is not None else []
        # The first panel brings its figure; the others are fitted in beside it.
        axes = show_overlay(picture, title=panels[0][0], **panels[0][1])
        figure = axes.get_figure(root=True)
        assert figure is not None
        grid = figure.add_gridspec(1, len(panels))
        width, height = figure.get_size_inches()
        figure.set_size_inches(4.8 * len(panels), 4.8 * height / width)
        axes.set_subplotspec(grid[0])
        for column, (title, laid) in enumerate(panels[1:], 1):
            show_overlay(picture, title=title, ax=figure.add_subplot(grid[column]), **laid)
        return detached(figure)

    def _own_image(self, read: Callable[[str], NDArray[np.uint8]]) -> NDArray[np.uint8]:
        if self.source is None:
            raise Invalid("This prediction names no image; give the image: p.show(image).")
        try:
            return read(self.source)
        except VisionError as error:
            raise Invalid(f"{error} Give the image: p.show(entry), or its path or pixels.") from None

    def _headline(self) -> str:
        if self.score is None or self.threshold is None:
            return f"{len(self.tags)} tags, {len(self.regions)} regions"
        verdict = "anomaly" if self.is_anomalous else "normal"
        return f"{verdict}, score {self.score:.2f} (threshold {self.threshold:.2f})"

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

    def _repr_html_(self) -> str:
        facts: dict[str, str] = {}
        if self.score is not None and self.threshold is not None:
            facts["verdict"] = "anomaly" if self.is_anomalous else "normal"
            facts["confidence"] = f"{self.confidence:.2f}"
            facts["score"] = f"{self.score:.2f} (anomaly from {self.threshold:.2f})"
        facts |= {name: f"{area:.2%} of the image" for name, area in self.areas().items() if name != BACKGROUND}
        counted = {"tags": ", ".join(tag.name for tag in self.tags), "regions": len(self.regions) or ""}
        facts |= {name: str(value) for name, value in counted.items() if value}
        rows = "".join(
            f"<tr><th style='text-align:left'>{escape(name)}</th><td style='text-align:left'>{escape(value)}</td></tr>"
            for name, value in facts.items()
        )
        # Where it lies on this machine is nobody's business in a notebook that travels.
        name = _file_name(self.source or "")
        return f"<table><caption>{escape(name or 'Prediction')}</caption>{rows}</table>"


def _file_name(source: str) -> str:
    return source.replace("\\", "/").rstrip("/").rpartition("/")[2]
