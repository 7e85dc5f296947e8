"""Choose entries: by what is said of them, or by chance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Literal

import numpy as np

from vision_toolkit.core.entry import Entry, Label
from vision_toolkit.core.errors import Invalid
from vision_toolkit.data.dates import created, parse_date

__all__ = ["When", "condition", "draw"]

When = datetime | date | str
"""A moment: a time, a day (its midnight in UTC), or either as text."""

Condition = Callable[[Entry], bool]


def condition(
    predicate: Condition | None = None,
    *,
    label: Label | str | None = None,
    labelled: bool | None = None,
    tag: str | None = None,
    contains: str | None = None,
    created_after: When | None = None,
    created_before: When | None = None,
) -> Condition:
    """Return a function that says whether everything that was given holds for an entry.

    Parameters
    ----------
    predicate, label, labelled, tag, contains, created_after, created_before
        as :meth:`Manifest.filter <vision_toolkit.data.Manifest.filter>` takes them.

    Raises
    ------
    Invalid
        if a label is none of ours, or a date cannot be read.

    Examples
    --------
    >>> holds = condition(label="normal", contains="line-2/")
    >>> holds(Entry("line-2/1.png", Label.NORMAL)), holds(Entry("line-2/2.png"))
    (True, False)
    """
    tests: list[Condition] = []
    if label is not None:
        wanted = Entry("").relabelled(label).label
        tests.append(lambda entry: entry.label is wanted)
    if labelled is not None:
        tests.append(lambda entry: entry.is_labelled is bool(labelled))
    if contains is not None:
        tests.append(lambda entry: contains in entry.source)
    if tag is not None:
        tests.append(lambda entry: tag in _names(entry))
    after, before = _moment(created_after, "created_after"), _moment(created_before, "created_before")
    if after is not None or before is not None:
        tests.append(lambda entry: _is_between(created(entry), after, before))
    if predicate is not None:
        tests.append(predicate)
    return lambda entry: all(test(entry) for test in tests)


def draw(entries: Sequence[Entry], n: int, *, seed: int, by: Literal["label"] | None = None) -> list[int]:
    """Return the positions of ``n`` entries drawn by chance without repetition, in ascending order.

    With ``by="label"`` each label has its share of the whole: its exact share, rounded down, and one more for the
    labels that lost most by rounding.

    Raises
    ------
    Invalid
        if there are fewer than ``n`` entries, or ``by`` is something else.

    Examples
    --------
    >>> entries = [Entry(f"{i}.png", Label.ANOMALY if i < 2 else Label.NORMAL) for i in range(10)]
    >>> sum(position < 2 for position in draw(entries, 5, seed=0, by="label"))
    1
    """
    if not 0 <= n <= len(entries):
        raise Invalid(f"n must lie from 0 to {len(entries)}, the number of images; {n} was given.")
    if by not in (None, "label"):
        raise Invalid(f"by must be 'label' or None; {by!r} was given.")
    random = np.random.default_rng(seed)
    if by is None:
        return sorted(random.permutation(len(entries))[:n].tolist())
    groups = {label: [i for i, entry in enumerate(entries) if entry.label is label] for label in Label}
    shares = _shares({label: len(group) for label, group in groups.items()}, n)
    return sorted(
        groups[label][position]
        for label, share in shares.items()
        for position in random.permutation(len(groups[label]))[:share].tolist()
    )


def _names(entry: Entry) -> set[str]:
    return {tag.name for tag in entry.tags} | set(entry.types) | {region.name for region in entry.regions}


def _moment(when: When | None, name: str) -> datetime | None:
    if when is None:
        return None
    found = parse_date(when)
    if found is None:
        raise Invalid(f"{name} must be a date, such as '2022-08-22' or '2022-08-22T13:52:52Z'; {when!r} was given.")
    return found


def _is_between(moment: datetime | None, after: datetime | None, before: datetime | None) -> bool:
    if moment is None:
        return False
    return (after is None or moment >= after) and (before is None or moment < before)


def _shares(sizes: dict[Label, int], n: int) -> dict[Label, int]:
    total = max(1, sum(sizes.values()))
    shares = Counter({label: n * size // total for label, size in sizes.items()})
    by_loss = sorted(sizes, key=lambda label: (-(n * sizes[label] % total), -sizes[label]))
    shares.update(by_loss[: n - shares.total()])
    return dict(shares)
