"""Tell copies, copies with other labels, and copies on both sides of a split."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vision_toolkit.core import Entry, Label
from vision_toolkit.curation.checks import Oddity
from vision_toolkit.curation.measures import Measures

__all__ = ["agree", "best_of", "copied_images", "exact_groups"]

_TOLD = 4


def exact_groups(group: Sequence[int], measures: Measures) -> list[tuple[int, ...]]:
    """Divide a group of near duplicates into images of equal pixels, in the order of their first."""
    classes: dict[bytes, list[int]] = {}
    for position in group:
        classes.setdefault(measures.digest[position], []).append(position)
    return [tuple(members) for members in classes.values()]


def agree(entries: Sequence[Entry], positions: Sequence[int], *, types: bool = False) -> bool:
    """Return whether all that is said of these images can be true of one: one label, and one set of types if asked.

    Saying nothing contradicts nothing.
    """
    labels = {entries[i].label for i in positions if entries[i].is_labelled}
    kinds = {frozenset(entries[i].types) for i in positions if entries[i].label is Label.ANOMALY and entries[i].types}
    return len(labels) <= 1 and (not types or len(kinds) <= 1)


def best_of(entries: Sequence[Entry], positions: Sequence[int]) -> int:
    """Return the image of which most is known: labelled before unlabelled, with a mask before without, then the first.

    Examples
    --------
    >>> best_of([Entry("1.png"), Entry("2.png", Label.NORMAL), Entry("3.png", Label.NORMAL)], [0, 1, 2])
    1
    """
    return min(positions, key=lambda i: (not entries[i].is_labelled, not entries[i].types, i))


def copied_images(
    entries: Sequence[Entry], groups: Sequence[Sequence[int]], measures: Measures, *, train: int
) -> Iterator[Oddity]:
    """Tell what each group of images of one thing means; the first ``train`` entries are for training, others for test.

    Of a copy the first position is the copy, the second the image that would be kept; of a leak the first is in the
    training set, the second in the test set.
    """
    for group in groups:
        classes = exact_groups(group, measures)
        if not agree(entries, group) or not all(agree(entries, one, types=True) for one in classes):
            yield Oddity("labels-conflict", tuple(group), _said(entries, group), float(len(group)))
        tested = [i for i in group if i >= train]
        if tested:
            for i in (i for i in group if i < train):
                same = next((j for j in tested if measures.digest[j] == measures.digest[i]), None)
                how = "nearly the same image as" if same is None else "the same image as"
                other = tested[0] if same is None else same
                yield Oddity(
                    "leak", (i, other), f"{how} {entries[other].source} of the test set.", 1 + (same is not None)
                )
        for side in ([i for i in group if i < train], tested):
            yield from _side(entries, side, measures)


def _side(entries: Sequence[Entry], side: Sequence[int], measures: Measures) -> Iterator[Oddity]:
    kept = []
    for same in exact_groups(side, measures):
        best = best_of(entries, same)
        kept.append(best)
        for i in same:
            if i != best:
                again = entries[i].source == entries[best].source
                text = "it stands on several lines." if again else f"the same pixels as {entries[best].source}."
                yield Oddity("exact-duplicate", (i, best), text, 1.0)
    if len(kept) > 1:
        best = best_of(entries, kept)
        for i in kept:
            if i != best:
                yield Oddity("near-duplicate", (i, best), f"it shows the same as {entries[best].source}.", 1.0)


def _said(entries: Sequence[Entry], group: Sequence[int]) -> str:
    def words(i: int) -> str:
        types = f" ({', '.join(entries[i].types)})" if entries[i].label is Label.ANOMALY and entries[i].types else ""
        return f"{entries[i].source} is {entries[i].label}{types}"

    # One image of each label first: the contradiction must be among those that are told.
    order = sorted(group, key=lambda i: [entries[j].label for j in group if j < i].count(entries[i].label))
    more = f", and {len(group) - _TOLD} more" if len(group) > _TOLD else ""
    return f"{'; '.join(words(i) for i in order[:_TOLD])}{more}: they show the same thing."
