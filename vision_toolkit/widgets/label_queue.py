"""Which image comes next, what undo goes back to, and all that a page needs to show it without asking again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from vision_toolkit.core.entry import Entry
from vision_toolkit.core.errors import Invalid, NotFound
from vision_toolkit.data.label_act import Opinion
from vision_toolkit.data.label_log import LabelLog
from vision_toolkit.data.manifest import Manifest
from vision_toolkit.widgets.pictures import title_of

__all__ = ["BEHIND", "HISTORY", "LabelQueue", "distinct"]

BEHIND = 6
"""How many images before and behind the current one a page knows, whether they are done or not."""
HISTORY = 10
"""How many acts a page can undo without waiting for the kernel."""


def distinct(manifest: Manifest) -> list[Entry]:
    """Return the entries of a manifest, each source once.

    Raises
    ------
    Invalid
        if it is empty, or if two images in different places are called the same: a label would count for both.
    """
    found: dict[str, Entry] = {}
    for entry in manifest:
        first = found.setdefault(entry.source, entry)
        if first.location != entry.location:
            raise Invalid(
                f"Two images are called {entry.source!r}: {first.location} and {entry.location}. A label belongs to a "
                "name; label the two manifests one by one."
            )
    if not found:
        raise Invalid("The manifest has no images; there is nothing to label.")
    return list(found.values())


class LabelQueue:
    """Hold the order of the images, the place in it, and one annotator's acts.

    Items are numbers of images in ``entries``, from 0, and stay the same; their places in the order may change.

    Parameters
    ----------
    entries
        each source once.
    order
        items in the order in which they are labelled.
    log
        where acts go.
    annotator
        whose.

    Examples
    --------
    >>> queue = LabelQueue([Entry("1.png"), Entry("2.png")], [1, 0], LabelLog(), "ann")
    >>> queue.act("label", queue.current, "normal")
    >>> queue.current, queue.counts()
    (0, {'total': 2, 'labelled': 1, 'skipped': 0, 'flagged': 0})
    """

    def __init__(self, entries: Sequence[Entry], order: Sequence[int], log: LabelLog, annotator: str) -> None:
        self.entries = entries
        self.log = log
        self.annotator = annotator
        self.items = {entry.source: item for item, entry in enumerate(entries)}
        self.order: list[int] = []
        self.places: dict[int, int] = {}
        self._arrange(order)
        self._labelled: set[int] = set()
        self._skipped: set[int] = set()
        self._flagged: set[int] = set()
        self.settle()
        self.current: int | None = next(self._todo(-1), None)

    # ---------------------------------------------------------------- acting

    def act(
        self,
        action: str,
        item: int | None,
        value: str | bool | None = None,
        *,
        labels: Any = None,
        seconds: float | None = None,
        id: str | None = None,
    ) -> None:
        """Do one thing: log it, and move on from an image that is done.

        Parameters
        ----------
        action
            label, skip, flag, note, undo or go.
        item
            which image; not needed to undo.
        value
            the class, whether it is flagged, or the note.
        labels
            what classes mean: a mapping of names to labels or None.
        seconds, id
            see :class:`~vision_toolkit.data.label_act.Act`.

        Raises
        ------
        NotFound
            if there is no such item, or nothing to undo.
        """
        if action == "undo":
            undone = self.log.undo(self.annotator, within=self.items, id=id)
            if undone is None:
                raise NotFound("There is nothing to undo.")
            self.current = self.items[undone.source]
            self.settle(self.current)
            return
        if item is None or not 0 <= item < len(self.entries):
            raise NotFound(f"There is no image number {item}; there are {len(self.entries)}.")
        if action == "go":
            self.current = item
            return
        source, who = self.entries[item].source, self.annotator
        if action == "label":
            name = str(value)
            label = None if labels is None else labels.get(name)
            self.log.add("label", source, annotator=who, name=name, label=label, seconds=seconds, id=id)
        elif action == "skip":
            self.log.add("skip", source, annotator=who, seconds=seconds, id=id)
        elif action == "flag":
            self.log.add("flag", source, annotator=who, flagged=bool(value), id=id)
        else:
            self.log.add("note", source, annotator=who, text=str(value), id=id)
        self.settle(item)
        if action in ("label", "skip") and item == self.current:
            self.current = next(self._todo(self.places[item]), None)

    def settle(self, item: int | None = None) -> None:
        """Take over from the log what is said of one image, or of all."""
        for one in range(len(self.entries)) if item is None else (item,):
            held = self.opinion(one)
            for group, belongs in (
                (self._labelled, held.name is not None),
                (self._skipped, held.skipped),
                (self._flagged, held.flagged),
            ):
                (group.add if belongs else group.discard)(one)

    def rerank(self, ranking: Sequence[int]) -> None:
        """Put what is still to do behind the current image in a new order; what lies before it stays where it is.

        Parameters
        ----------
        ranking
            every item that is still to do, the first one first.
        """
        place = len(self.order) if self.current is None else self.places[self.current] + 1
        head, tail = self.order[:place], self.order[place:]
        behind = set(tail)
        fresh = [item for item in ranking if item in behind and not self.is_done(item)]
        ranked = set(fresh)
        self._arrange([*head, *fresh, *(item for item in tail if item not in ranked)])

    def _arrange(self, order: Sequence[int]) -> None:
        self.order = list(order)
        self.places = {item: place for place, item in enumerate(self.order)}

    # ---------------------------------------------------------------- looking

    def opinion(self, item: int) -> Opinion:
        """Return what the annotator says of an image."""
        return self.log.opinion(self.entries[item].source, self.annotator)

    def is_done(self, item: int) -> bool:
        """Return whether an image was labelled or skipped."""
        return item in self._labelled or item in self._skipped

    def todo(self) -> list[int]:
        """Return the items that are neither labelled nor skipped, in order."""
        return [item for item in self.order if not self.is_done(item)]

    def counts(self) -> dict[str, int]:
        """Return how many images there are, and how many were labelled, skipped and flagged."""
        return {
            "total": len(self.entries), "labelled": len(self._labelled), "skipped": len(self._skipped),
            "flagged": len(self._flagged),
        }  # fmt: skip

    def first_skipped(self) -> int | None:
        """Return the first image that was skipped, or None."""
        return min(self._skipped, key=self.places.__getitem__, default=None)

    def _todo(self, place: int) -> Iterator[int]:
        """Yield what is to do behind a place, then from the beginning."""
        count = len(self.order)
        if len(self._labelled) + len(self._skipped) >= count:
            return
        for step in range(1, count + 1):
            item = self.order[(place + step) % count]
            if not self.is_done(item):
                yield item

    def plan(self, ahead: int) -> dict[str, Any]:
        """Return all that a page shows, for so many images ahead, ready for JSON."""
        place = len(self.order) if self.current is None else self.places[self.current]
        row = self.order[max(0, place - BEHIND) : place + BEHIND + 1]
        coming = []
        for item in self._todo(place if self.current is not None else -1):
            if item != self.current:
                coming.append(item)
            if len(coming) == ahead:
                break
        history: list[dict[str, Any]] = [
            {"item": self.items[act.source], "action": act.action, "before": _facts(before)}
            for act, before in self.log.history(self.annotator, n=HISTORY, within=self.items)
        ]
        known = [*row, *coming, *(past["item"] for past in history)]
        skipped = self.first_skipped()
        known += [skipped] if skipped is not None else []
        pace = self.log.pace(self.annotator)
        return {
            "current": self.current, "row": row, "ahead": coming, "history": history, "first_skipped": skipped,
            "items": {str(item): self._shown(item) for item in dict.fromkeys(known)},
            "counts": self.counts(), "pace": None if pace is None else round(pace, 1),
        }  # fmt: skip

    def _shown(self, item: int) -> dict[str, Any]:
        title = title_of(self.entries[item].source)
        return {"title": title, "place": self.places[item]} | _facts(self.opinion(item))


def _facts(held: Opinion) -> dict[str, Any]:
    return {"name": held.name, "skipped": held.skipped, "flagged": held.flagged, "note": held.note}
