"""The lines of datasets: staged under a new version, seen when the dataset's version moves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, delete, false, func, insert, or_, select, true, update

from vision_toolkit.core.errors import NotFound
from vision_toolkit.workspace.records.rows import now
from vision_toolkit.workspace.records.tables import ENTRIES
from vision_toolkit.workspace.values import EntryRecord, Page

__all__ = ["Counts", "Filter", "NewEntry", "add", "discard", "forget", "listed", "read", "remove", "replace"]

E = ENTRIES.c
NORMAL, ANOMALY = 0, 1
ASKED = 500
"""Sources that are looked up at once."""
UNLABELLED = -1
NOWHERE = 1 << 62
"""A position after every other."""


class NewEntry(NamedTuple):
    """A line to be kept: where its image is, the verdict (0 normal, 1 anomaly, None), whether it has a mask."""

    source: str
    label: int | None
    masked: bool
    line: str


@dataclass(frozen=True, slots=True)
class Counts:
    """How many images there are, of each kind."""

    total: int = 0
    normal: int = 0
    anomaly: int = 0
    masked: int = 0

    def plus(self, label: int | None, masked: bool, sign: int = 1) -> Counts:
        """Return the counts with one image more, or less."""
        return Counts(
            self.total + sign,
            self.normal + sign * (label == NORMAL),
            self.anomaly + sign * (label == ANOMALY),
            self.masked + sign * masked,
        )


@dataclass(frozen=True, slots=True)
class Filter:
    """Which lines to list: each condition that is not None must hold. Moments are seconds since 1970."""

    labeled: bool | None = None
    anomaly: bool | None = None
    before: float | None = None
    after: float | None = None
    contains: str | None = None


def add(connection: Connection, dataset: int, version: int, first: int, entries: Sequence[NewEntry]) -> None:
    """Stage lines for a version, from a position on."""
    if entries:
        moment = now()
        rows = [
            {
                "dataset": dataset, "position": first + number, "since": version, "until": None,
                "added": moment, **entry._asdict(),
            }
            for number, entry in enumerate(entries)
        ]  # fmt: skip
        connection.execute(insert(ENTRIES), rows)


def replace(connection: Connection, dataset: int, version: int, entries: Sequence[NewEntry], counts: Counts) -> Counts:
    """Stage lines for a version: one whose source is there takes its place, others come last; return the counts."""
    new: list[NewEntry] = []
    for start in range(0, len(entries), ASKED):
        part = entries[start : start + ASKED]
        query = select(E.number, E.source, E.position, E.added, E.label, E.masked).where(
            E.dataset == dataset, E.source.in_([entry.source for entry in part]), _seen(version - 1)
        )
        known = {row.source: row for row in connection.execute(query)}
        over = [row.number for row in known.values()]
        connection.execute(update(ENTRIES).where(E.number.in_(over)).values(until=version))
        again = []
        for entry in part:
            old = known.get(entry.source)
            if old is None:
                new.append(entry)
            else:
                counts = counts.plus(old.label, old.masked, -1)
                place = {"dataset": dataset, "position": old.position, "since": version, "until": None}
                again.append({**place, "added": old.added, **entry._asdict()})
            counts = counts.plus(entry.label, entry.masked)
        if again:
            connection.execute(insert(ENTRIES), again)
    last = connection.execute(select(func.max(E.position)).where(E.dataset == dataset)).scalar()
    add(connection, dataset, version, 0 if last is None else last + 1, new)
    return counts


def remove(connection: Connection, dataset: int, version: int, sources: Sequence[str], counts: Counts) -> Counts:
    """Take lines out of a version by their source; return the counts then, and leave the versions before alone.

    Raises
    ------
    NotFound
        if one is not there.
    """
    for source in sources:
        query = select(E.number, E.label, E.masked).where(E.dataset == dataset, E.source == source, _seen(version - 1))
        old = connection.execute(query.where(E.until.is_(None))).first()
        if old is None:
            raise NotFound(f"{source} is not in the dataset.")
        connection.execute(update(ENTRIES).where(E.number == old.number).values(until=version))
        counts = counts.plus(old.label, old.masked, -1)
    return counts


def discard(connection: Connection, dataset: int, version: int) -> None:
    """Take back what was staged for a version."""
    connection.execute(delete(ENTRIES).where(E.dataset == dataset, E.since == version))
    connection.execute(update(ENTRIES).where(E.dataset == dataset, E.until == version).values(until=None))


def forget(connection: Connection, dataset: int, most: int) -> int:
    """Remove up to ``most`` lines of a dataset for good; return how many it were."""
    some = select(E.number).where(E.dataset == dataset).limit(most)
    return connection.execute(delete(ENTRIES).where(E.number.in_(some))).rowcount


def read(connection: Connection, dataset: int, version: int, *, batch: int = 5_000) -> Iterator[EntryRecord]:
    """Yield every line of a version, in order."""
    after: int | None = -1
    while after is not None:
        part = listed(connection, dataset, version, Filter(), after, batch)
        yield from part.items
        after = part.after


def first_source(connection: Connection, dataset: int, version: int) -> str | None:
    """Return where the first image of a version is."""
    query = select(E.source).where(E.dataset == dataset, _seen(version)).order_by(E.position).limit(1)
    return connection.execute(query).scalar()


def listed(
    connection: Connection, dataset: int, version: int, which: Filter, after: int, most: int
) -> Page[EntryRecord]:
    """Return up to ``most`` lines of a version after a position, in order of their first insertion."""
    first, last = _between(connection, dataset, which)
    # One lower bound: of two, SQLite would look up the first and read on to the second.
    shared = [E.dataset == dataset, E.position > max(after, first - 1), _seen(version)]
    if last is not None:
        shared.append(E.position <= last)
    columns = (E.position, E.source, E.line)
    if which.contains is not None:
        place = func.strpos if connection.dialect.name == "postgresql" else func.instr
        shared.append(place(E.source, which.contains) > 0)
    found: list[Any] = []
    # One query for each verdict: each is read off the index in order, however rare it is among the lines.
    for verdict in _verdicts(which):
        query = select(*columns).where(*shared, verdict).order_by(E.position).limit(most + 1)
        found += connection.execute(query).all()
    found.sort(key=lambda row: row.position)
    items = [EntryRecord(row.position, row.source, row.line) for row in found[:most]]
    return Page(items, items[-1].position if len(found) > most else None)


def _seen(version: int) -> ColumnElement[bool]:
    return and_(E.since <= version, or_(E.until.is_(None), E.until > version))


def _verdicts(which: Filter) -> list[ColumnElement[bool]]:
    """Return a condition for each verdict that is wanted; no matter which, one that always holds."""
    every: dict[bool | None, list[int | None]] = {True: [NORMAL, ANOMALY], False: [None], None: [NORMAL, ANOMALY, None]}
    wanted = every[which.labeled]
    if which.anomaly is not None:
        wanted = [label for label in wanted if label == (ANOMALY if which.anomaly else NORMAL)]
    if len(wanted) == 3:
        return [true()]
    if not wanted:
        return [false()]
    if which.contains is not None:
        # By the place: that index holds the names, and a line is looked up only where the name fits.
        return [func.coalesce(E.label, UNLABELLED).in_([UNLABELLED if one is None else one for one in wanted])]
    return [E.label.is_(None) if label is None else E.label == label for label in wanted]


def _between(connection: Connection, dataset: int, which: Filter) -> tuple[int, int | None]:
    """Turn moments into the first and last position: what was added later stands later."""
    first, last = 0, None
    if which.after is not None:
        found = _edge(connection, dataset, E.added > which.after, last=False)
        first = NOWHERE if found is None else found
    if which.before is not None:
        found = _edge(connection, dataset, E.added < which.before, last=True)
        last = -1 if found is None else found
    return first, last


def _edge(connection: Connection, dataset: int, condition: ColumnElement[bool], *, last: bool) -> int | None:
    order = (E.added.desc(), E.position.desc()) if last else (E.added, E.position)
    query = select(E.position).where(E.dataset == dataset, condition).order_by(*order).limit(1)
    found: int | None = connection.execute(query).scalar()
    return found
