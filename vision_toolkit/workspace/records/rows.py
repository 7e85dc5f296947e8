"""Turn rows into values, and count, find, change them: what every table needs."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime
from functools import cache
from typing import Any, TypeVar

from sqlalchemy import Connection, Row, Select, Table, Update, bindparam, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from vision_toolkit.workspace.lifecycle import DatasetState, JobState, ModelState, PackageState, TrialState
from vision_toolkit.workspace.records.tables import PROJECTS
from vision_toolkit.workspace.values import DatasetRecord, Job, ModelRecord, Package, Project, Trial

__all__ = [
    "by", "count", "insert", "known", "moment", "new_id", "next_version", "now", "one", "ordered", "page", "set_if",
    "value",
]  # fmt: skip

T = TypeVar("T")
_STATES: dict[type, type] = {
    DatasetRecord: DatasetState, ModelRecord: ModelState, Package: PackageState, Job: JobState, Trial: TrialState,
}  # fmt: skip
_MOMENTS = {"created", "updated", "evaluated", "started", "ended"}
_NAMES = {kind: tuple(field.name for field in fields(kind)) for kind in (*_STATES, Project)}


def now() -> float:
    """Return the seconds since 1970 UTC."""
    return time.time()


def moment(seconds: float | None) -> datetime | None:
    """Return a moment as a datetime in UTC."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def new_id() -> str:
    """Return an id that nobody can guess and nothing else has."""
    return secrets.token_hex(16)


def value(kind: type[T], row: Row[Any]) -> T:
    """Return a row as a value."""
    given: dict[str, Any] = {}
    for name in _NAMES[kind]:
        cell = getattr(row, name)
        if name in _MOMENTS:
            cell = moment(cell)
        elif name == "state":
            cell = _STATES[kind](cell)
        given[name] = cell
    return kind(**given)


def one(connection: Connection, kind: type[T], query: Select[Any]) -> T | None:
    """Return the first row of a query as a value, or None."""
    row = connection.execute(query.limit(1)).first()
    return None if row is None else value(kind, row)


def known(connection: Connection, kind: type[T], table: Table, **cells: Any) -> T | None:
    """Return the first row that has these cells as a value, or None.

    The statement is made once for a table and its columns: most of what a look-up takes is making it.
    """
    row = connection.execute(_having(table, *cells), cells).first()
    return None if row is None else value(kind, row)


@cache
def _having(table: Table, *names: str) -> Select[Any]:
    query = select(table)
    for name in names:
        query = query.where(table.c[name] == bindparam(name))
    return query.limit(1)


def page(
    connection: Connection, kind: type[T], table: Table, query: Select[Any], after: int, most: int
) -> tuple[list[T], int | None]:
    """Return up to ``most`` values of a query after a number, in order, and the number where the next part begins."""
    found = connection.execute(query.where(table.c.number > after).order_by(table.c.number).limit(most + 1)).all()
    values = [value(kind, row) for row in found[:most]]
    return values, (found[most - 1].number if len(found) > most else None)


def ordered(
    connection: Connection,
    kind: type[T],
    table: Table,
    query: Select[Any],
    *,
    by: str,
    down: bool,
    after: tuple[Any, int] | None,
    most: int,
) -> tuple[list[T], tuple[Any, int] | None]:
    """Return up to ``most`` values sorted by a column, equal ones by number, and the place after which to go on."""
    cell, number = table.c[by], table.c.number
    if after is not None:
        last, place = after
        beyond = (cell < last) if down else (cell > last)
        query = query.where(beyond | ((cell == last) & ((number < place) if down else (number > place))))
    order = (cell.desc(), number.desc()) if down else (cell, number)
    found = connection.execute(query.order_by(*order).limit(most + 1)).all()
    values = [value(kind, row) for row in found[:most]]
    return values, ((getattr(found[most - 1], by), found[most - 1].number) if len(found) > most else None)


def insert(connection: Connection, table: Table, values: Mapping[str, Any], *, unless: str | None = None) -> bool:
    """Add a row; return False, and add none, if ``unless`` names a unique column whose value is there already."""
    statement = _insertion(table, connection.dialect.name, unless)
    return connection.execute(statement, dict(values)).first() is not None


@cache
def _insertion(table: Table, dialect: str, unless: str | None) -> Any:
    statement = (postgresql if dialect == "postgresql" else sqlite).insert(table)
    if unless is not None:
        statement = statement.on_conflict_do_nothing(index_elements=unless.split(","))
    return statement.returning(*table.primary_key)


def set_if(connection: Connection, table: Table, id: str, changes: Mapping[str, Any], **known: Any) -> bool:
    """Change a row if it is still as known; return whether it was."""
    statement = _change(table, tuple(changes), tuple(known))
    cells = {f"new_{name}": cell for name, cell in changes.items()} | {"known_id": id}
    return connection.execute(statement, cells | {f"known_{n}": cell for n, cell in known.items()}).rowcount == 1


@cache
def _change(table: Table, changes: tuple[str, ...], known: tuple[str, ...]) -> Update:
    statement = update(table).values({name: bindparam(f"new_{name}", type_=table.c[name].type) for name in changes})
    for name in ("id", *known):
        statement = statement.where(table.c[name] == bindparam(f"known_{name}"))
    return statement


def by(table: Table, **known: Any) -> Select[Any]:
    """Return a query for the rows that are as known."""
    query = select(table)
    for name, expected in known.items():
        query = query.where(table.c[name] == expected)
    return query


def next_version(connection: Connection, project: str) -> int:
    """Return a project's next version, and count it up."""
    counted = PROJECTS.c.next_version + 1
    statement = update(PROJECTS).where(PROJECTS.c.id == project).values(next_version=counted)
    return int(connection.execute(statement.returning(PROJECTS.c.next_version)).scalar_one()) - 1


def count(connection: Connection, query: Select[Any]) -> int:
    """Return how many rows a query has."""
    return int(connection.execute(select(func.count()).select_from(query.subquery())).scalar_one())
