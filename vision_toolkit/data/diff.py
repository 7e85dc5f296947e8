"""Say what differs between two manifests."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from vision_toolkit.core.entry import Entry
from vision_toolkit.core.errors import Invalid
from vision_toolkit.data.jsonlines import write_line

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["Change", "Diff", "compare", "differences"]


@dataclass(frozen=True, slots=True)
class Change:
    """Hold an entry before and after, and what differs.

    Parameters
    ----------
    before, after
        the two entries; they have one source.
    what
        some of ``label``, ``mask``, ``tags``, ``regions``; or ``line`` alone, where they say the same, but other keys
        of the line or its spelling differ.

    Examples
    --------
    >>> from vision_toolkit.core import Label
    >>> Change(Entry("1.png"), Entry("1.png", Label.NORMAL), ("label",))
    Change('1.png': unlabelled -> normal)
    """

    before: Entry
    after: Entry
    what: tuple[str, ...]

    @property
    def source(self) -> str:
        """Return the image that it is about."""
        return self.after.source

    def __repr__(self) -> str:
        labels = [f"{self.before.label} -> {self.after.label}"] if "label" in self.what else []
        return f"Change({self.source!r}: {', '.join([*labels, *(one for one in self.what if one != 'label')])})"


@dataclass(frozen=True, slots=True, repr=False)
class Diff:
    """Hold what differs between two manifests, the one before and the one after; false if nothing does.

    Parameters
    ----------
    added, removed
        the entries that only the one after, only the one before has.
    changed
        the entries that both have, with what differs.
    moved
        the sources that stand in another order among those that both have: as few as explain it.
    lines_added, lines_removed
        lines that could not be read, and only the one after, only the one before has. Blank lines do not count.

    Examples
    --------
    >>> from vision_toolkit.data import Manifest
    >>> before = Manifest([Entry("1.png"), Entry("2.png")])
    >>> diff = before.diff(before.relabel({"1.png": "normal"}).remove("2.png"))
    >>> diff
    Diff(1 removed, 1 changed: 1 label)
    >>> diff.changed[0], bool(before.diff(before))
    (Change('1.png': unlabelled -> normal), False)
    """

    added: tuple[Entry, ...] = ()
    removed: tuple[Entry, ...] = ()
    changed: tuple[Change, ...] = ()
    moved: tuple[str, ...] = ()
    lines_added: tuple[str, ...] = ()
    lines_removed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return any(self._counts().values())

    def counts(self) -> dict[str, int]:
        """Return how many: added, removed, changed, moved, lines_added, lines_removed, and ``changed_label``, ...

        Examples
        --------
        >>> Diff(added=(Entry("1.png"),)).counts()["added"]
        1
        """
        what = Counter(one for change in self.changed for one in change.what)
        return self._counts() | {f"changed_{one}": what[one] for one in _PARTS}

    def to_dict(self, *, limit: int | None = None) -> dict[str, Any]:
        """Return it as JSON can hold it: the counts, and at most ``limit`` of each kind by name.

        Examples
        --------
        >>> Diff(added=(Entry("1.png"), Entry("2.png"))).to_dict(limit=1)["added"]
        [{'source': '1.png', 'label': 'unlabelled'}]
        """
        return {
            "counts": self.counts(),
            "added": [{"source": e.source, "label": str(e.label)} for e in self.added[:limit]],
            "removed": [{"source": e.source, "label": str(e.label)} for e in self.removed[:limit]],
            "changed": [
                {
                    "source": change.source,
                    "what": list(change.what),
                    "before": str(change.before.label),
                    "after": str(change.after.label),
                }
                for change in self.changed[:limit]
            ],
            "moved": list(self.moved[:limit]),
            "lines_added": list(self.lines_added[:limit]),
            "lines_removed": list(self.lines_removed[:limit]),
        }

    def to_frame(self) -> DataFrame:
        """Return a pandas table, one row a difference: source, kind, what, before, after.

        ``kind`` is added, removed, changed or moved; ``what`` is a tuple of what changed; ``before`` and ``after`` are
        the labels. Unreadable lines have the kinds ``line added``, ``line removed``, and their text as source.
        """
        import pandas as pd

        return pd.DataFrame(list(self._rows()), columns=["source", "kind", "what", "before", "after"], dtype=object)

    def _counts(self) -> dict[str, int]:
        return {
            "added": len(self.added), "removed": len(self.removed), "changed": len(self.changed),
            "moved": len(self.moved), "lines_added": len(self.lines_added), "lines_removed": len(self.lines_removed),
        }  # fmt: skip

    def _rows(self) -> Iterator[tuple[str, str, tuple[str, ...], str | None, str | None]]:
        for entry in self.removed:
            yield entry.source, "removed", (), str(entry.label), None
        for entry in self.added:
            yield entry.source, "added", (), None, str(entry.label)
        for change in self.changed:
            yield change.source, "changed", change.what, str(change.before.label), str(change.after.label)
        for source in self.moved:
            yield source, "moved", (), None, None
        for line in self.lines_removed:
            yield line, "line removed", (), None, None
        for line in self.lines_added:
            yield line, "line added", (), None, None

    def _told(self) -> list[str]:
        counts = self.counts()
        what = ", ".join(f"{counts[f'changed_{one}']} {one}" for one in _PARTS if counts[f"changed_{one}"])
        told = [f"{counts[kind]} {kind}" for kind in ("added", "removed") if counts[kind]]
        told += [f"{counts['moved']} moved"] if self.moved else []
        for kind in ("added", "removed"):
            n = counts[f"lines_{kind}"]
            told += [f"{n} unreadable line{'s' * (n != 1)} {kind}"] if n else []
        return [*told, f"{counts['changed']} changed: {what}"] if self.changed else told

    def __repr__(self) -> str:
        return f"Diff({', '.join(self._told()) or 'no difference'})"

    def _repr_html_(self) -> str:
        shown = 20
        rows, total = [], sum(self._counts().values())
        for (source, kind, what, before, after), _ in zip(self._rows(), range(shown), strict=False):
            labels = f"{before or ''} → {after or ''}" if before != after else before or ""
            cells = (source if len(source) <= 100 else f"…{source[-99:]}", kind, ", ".join(what), labels)
            rows.append("".join(f"<td style='text-align:left'>{escape(_clean(cell))}</td>" for cell in cells))
        body = "".join(f"<tr>{row}</tr>" for row in rows)
        more = f"<p>… and {total - shown:,} more.</p>" if total > shown else ""
        return f"<table><caption>{escape(', '.join(self._told()) or 'No difference')}</caption>{body}</table>{more}"


_PARTS = ("label", "mask", "tags", "regions", "line")


def compare(before: Iterable[Entry | str], after: Iterable[Entry | str]) -> Diff:
    """Compare the contents of two manifests, in time that grows as their length.

    Entries of one source belong together; where a source stands more than once, those that say the same first, then
    the others in their order.

    Parameters
    ----------
    before, after
        entries, and as text the lines that are none, as
        :meth:`Manifest.lines <vision_toolkit.data.Manifest.lines>` yields them.

    Examples
    --------
    >>> compare([Entry("a"), Entry("b"), Entry("c")], [Entry("c"), Entry("a"), Entry("b")])
    Diff(1 moved)
    """
    old, old_strays = _parted(before)
    new, new_strays = _parted(after)
    partners = _partners(old, new)  # position in new: position in old
    taken = set(partners.values())
    changed = (
        Change(old[partners[i]], entry, differences(old[partners[i]], entry))
        for i, entry in enumerate(new)
        if i in partners
    )
    order = sorted(partners)
    steady = _longest_rise([partners[i] for i in order])
    return Diff(
        added=tuple(entry for i, entry in enumerate(new) if i not in partners),
        removed=tuple(entry for i, entry in enumerate(old) if i not in taken),
        changed=tuple(change for change in changed if change.what),
        moved=tuple(new[i].source for place, i in enumerate(order) if place not in steady),
        lines_added=tuple((Counter(new_strays) - Counter(old_strays)).elements()),
        lines_removed=tuple((Counter(old_strays) - Counter(new_strays)).elements()),
    )


def differences(before: Entry, after: Entry) -> tuple[str, ...]:
    """Name what differs between two entries of one source: label, mask, tags, regions, or the line alone.

    Examples
    --------
    >>> from vision_toolkit.core import Label, MaskRef
    >>> differences(Entry("a"), Entry("a", Label.ANOMALY, mask=MaskRef("m.png", {"crack": "#23A436"})))
    ('label', 'mask')
    >>> differences(Entry("a"), Entry("a", raw='{"source-ref":"a"}'))
    ('line',)
    """
    if before == after:
        return () if before.raw == after.raw or _written(before) == _written(after) else ("line",)
    return tuple(part for part in _PARTS[:-1] if getattr(before, part) != getattr(after, part))


def _written(entry: Entry) -> str:
    try:
        return write_line(entry)
    except Invalid:  # its line was never one
        return entry.raw or ""


def _parted(contents: Iterable[Entry | str]) -> tuple[list[Entry], list[str]]:
    entries: list[Entry] = []
    strays: list[str] = []
    for content in contents:
        if isinstance(content, Entry):
            entries.append(content)
        elif content.strip():
            strays.append(content)
    return entries, strays


def _partners(old: Sequence[Entry], new: Sequence[Entry]) -> dict[int, int]:
    """Return for each entry of ``new`` that has one its counterpart in ``old``, by position."""
    places: defaultdict[str, list[int]] = defaultdict(list)
    for i, entry in enumerate(old):
        places[entry.source].append(i)
    wanted: defaultdict[str, list[int]] = defaultdict(list)
    for i, entry in enumerate(new):
        if entry.source in places:
            wanted[entry.source].append(i)
    partners: dict[int, int] = {}
    for source, those in wanted.items():
        there = places[source]
        if len(those) == len(there) == 1:
            partners[those[0]] = there[0]
        else:
            partners.update(_paired(those, there, new, old))
    return partners


def _paired(
    those: list[int], there: list[int], new: Sequence[Entry], old: Sequence[Entry]
) -> Iterator[tuple[int, int]]:
    """Pair the entries of one source: first those that say the same, then the others in their order."""
    free: defaultdict[tuple[object, ...], list[int]] = defaultdict(list)
    for i in reversed(there):
        free[_facts(old[i])].append(i)
    left = []
    for i in those:
        same = free.get(_facts(new[i]))
        if same:
            yield i, same.pop()
        else:
            left.append(i)
    yield from zip(left, sorted(i for rest in free.values() for i in rest), strict=False)


def _facts(entry: Entry) -> tuple[object, ...]:
    """Return all that an entry says, hashed by all of it: a file may name one source a hundred thousand times."""
    mask = (entry.mask.uri, frozenset(entry.mask.colours.items())) if entry.mask else None
    return entry.label, entry.tags, entry.regions, mask


def _longest_rise(numbers: Sequence[int]) -> set[int]:
    """Return the positions of a longest rising part of different numbers: what need not be moved to sort them."""
    tails: list[int] = []  # the smallest last number of a rising part of each length
    ends: list[int] = []  # ... and its position
    previous: list[int] = []
    for i, number in enumerate(numbers):
        length = bisect_left(tails, number)
        previous.append(ends[length - 1] if length else -1)
        if length == len(tails):
            tails.append(number)
            ends.append(i)
        else:
            tails[length] = number
            ends[length] = i
    kept: set[int] = set()
    i = ends[-1] if ends else -1
    while i >= 0:
        kept.add(i)
        i = previous[i]
    return kept


def _clean(text: str) -> str:
    """Bytes that were no UTF-8 cannot be shown in a notebook."""
    return text.encode("utf-8", "replace").decode("utf-8")
