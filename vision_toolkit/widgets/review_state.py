"""What is known of each image of a review: the label that it was given, what was painted on it, what somebody said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision_toolkit.core.entry import Entry, Label
from vision_toolkit.core.errors import Invalid, NotFound
from vision_toolkit.data.label_log import LabelLog
from vision_toolkit.widgets.verdicts import TRUTH

__all__ = ["CHANGED", "FLAGGED", "LOOKED", "ReviewState"]

FLAGGED, CHANGED, LOOKED = 4, 8, 16
"""Bits of an image, beside its label: flagged, labelled otherwise than it was given, labelled in a review."""
_LABELS = (Label.NORMAL, Label.ANOMALY)


class ReviewState:
    """Keep the labels of the images of a review, each in one byte, and write what is said of them.

    Parameters
    ----------
    entries
        the images, each as it is now: whoever mends one replaces it here.
    given
        their labels at the beginning.
    log
        where labels go.
    annotator
        whose labels count.

    Examples
    --------
    >>> state = ReviewState([Entry("1.png", Label.NORMAL)], [Label.NORMAL], LabelLog(), "ann")
    >>> state.say(0, "anomaly")
    >>> state.truth.tolist(), state.n_changed, state.news()
    ([2], 1, [0])
    >>> state.undo()
    >>> state.n_changed
    0
    """

    def __init__(self, entries: list[Entry], given: Sequence[Label], log: LabelLog, annotator: str) -> None:
        self.entries, self.log, self.annotator = entries, log, annotator
        self.items = {entry.source: item for item, entry in enumerate(entries)}
        self.given = np.array([TRUTH[label] for label in given], np.uint8)
        self.bytes = np.zeros(len(entries), np.uint8)
        self._touched: list[int] = []
        self.refresh()

    @property
    def truth(self) -> NDArray[np.uint8]:
        """Return the label of each image as a number."""
        return self.bytes & np.uint8(3)

    @property
    def n_changed(self) -> int:
        """Return how many images are labelled otherwise than they were given."""
        return int((self.bytes & CHANGED > 0).sum())

    def item(self, source: str) -> int:
        """Return the number of an image.

        Raises
        ------
        NotFound
            if there is none of this name.
        """
        if source not in self.items:
            raise NotFound(f"There is no image {source!r}; they are spelled as in {self.entries[0].source!r}.")
        return self.items[source]

    def label(self, source: str) -> Label:
        """Return the label of an image.

        Raises
        ------
        Invalid
            if it has none.
        """
        truth = self.bytes[self.item(source)] & 3
        if not truth:
            raise Invalid(f"{source} has no label yet: say normal or anomaly.")
        return _LABELS[truth - 1]

    def other(self, source: str) -> Label:
        """Return the label that an image does not have."""
        return _LABELS[1 - _LABELS.index(self.label(source))]

    def share(self) -> float | None:
        """Return which share of the images are anomalies; None where there is one kind only."""
        bad, good = (int((self.truth == value).sum()) for value in (2, 1))
        return bad / (bad + good) if bad and good else None

    def say(self, item: int, name: Any, *, seconds: float | None = None, id: str | None = None) -> None:
        """Label an image.

        Raises
        ------
        Invalid
            if this is no label.
        """
        if name not in _LABELS:
            raise Invalid(f"A label is 'normal' or 'anomaly'; {name!r} was given.")
        source = self.entries[item].source
        self.log.add("label", source, annotator=self.annotator, name=str(name), seconds=seconds, id=id)
        self.touch(item)

    def flag(self, item: int, on: bool | None, *, id: str | None = None) -> None:
        """Flag an image or take the flag away; None changes it to the other."""
        source = self.entries[item].source
        was = self.log.opinion(source, self.annotator).flagged
        self.log.add("flag", source, annotator=self.annotator, flagged=not was if on is None else bool(on), id=id)
        self.touch(item)

    def undo(self, id: str | None = None) -> None:
        """Take back the last act.

        Raises
        ------
        NotFound
            if there is none.
        """
        act = self.log.undo(self.annotator, within=self.items, id=id)
        if act is None:
            raise NotFound("There is nothing left to undo.")
        self.touch(self.items[act.source])

    def painted(self, item: int) -> None:
        """Note that somebody painted on an image, and so has seen an anomaly, whatever was said of it before."""
        if self.log.opinion(self.entries[item].source, self.annotator).label is Label.NORMAL:
            self.say(item, Label.ANOMALY)

    def touch(self, item: int) -> bool:
        """Look at an image again; return whether anything is different."""
        before = self.bytes[item]
        self.bytes[item] = self._byte(item)
        self._touched.append(item)
        return bool(before != self.bytes[item])

    def refresh(self) -> None:
        """Look at all images again, as others may have written to the file."""
        self.log.refresh()
        self.bytes[:] = [self._byte(item) for item in range(len(self.entries))]

    def news(self) -> list[int]:
        """Return the images that were touched since this was asked for."""
        touched, self._touched = self._touched, []
        return list(dict.fromkeys(touched))

    def _byte(self, item: int) -> int:
        held = self.log.opinion(self.entries[item].source, self.annotator)
        given = int(self.given[item])
        truth = TRUTH[self.entries[item].label if held.label is None else held.label]
        return truth | FLAGGED * held.flagged | CHANGED * (truth != given) | LOOKED * (held.label is not None)
