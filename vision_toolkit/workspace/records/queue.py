"""The queue of jobs, with its fence: whoever runs a job holds an attempt, and writes under that attempt alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Select, and_, bindparam, delete, exists, insert, or_, select, update

from vision_toolkit.workspace.lifecycle import JobState
from vision_toolkit.workspace.records.rows import known, moment, new_id, now, ordered, value
from vision_toolkit.workspace.records.tables import JOBS, LOGS, PROJECTS, WAITS
from vision_toolkit.workspace.values import Job

__all__ = [
    "add",
    "cancel",
    "claim",
    "close",
    "data",
    "find",
    "free",
    "let_go",
    "log",
    "logs",
    "newest",
    "open_jobs",
    "owners",
    "record",
    "search",
    "tell",
]

SWEEP = "sweep dataset"
OPEN = (JobState.ACCEPTED.value, JobState.RUNNING.value)
_ADDED = insert(JOBS)
_NEWEST = select(JOBS).where(JOBS.c.target == bindparam("target")).order_by(JOBS.c.number.desc()).limit(1)


def add(
    connection: Connection,
    kind: str,
    *,
    target: str,
    project: str,
    payload: Mapping[str, Any],
    data: bytes | None = None,
    awaits: Iterable[str] = (),
) -> str:
    """Add a job and return its id; it is not begun before those that it awaits are ended."""
    made = new_id()
    values = {
        "id": made, "kind": kind, "target": target, "project": project, "payload": dict(payload), "data": data,
        "state": JobState.ACCEPTED.value, "created": now(),
    }  # fmt: skip
    connection.execute(_ADDED, values)
    waits = [{"job": made, "awaits": other} for other in awaits]
    if waits:
        connection.execute(insert(WAITS), waits)
    return made


def record(connection: Connection, kind: str, *, target: str, project: str) -> str:
    """Note a job that was done in the same transaction, and return its id."""
    made, moment = new_id(), now()
    values = {
        "id": made, "kind": kind, "target": target, "project": project, "payload": {}, "progress": 1.0,
        "state": JobState.SUCCEEDED.value, "created": moment, "started": moment, "ended": moment,
    }  # fmt: skip
    connection.execute(_ADDED, values)
    return made


def search(
    connection: Connection,
    service: str,
    kinds: Sequence[str],
    *,
    compartment: str | None = None,
    down: bool = False,
    after: tuple[Any, int] | None = None,
    most: int = 100,
    states: Sequence[str] | None = None,
    **cells: Any,
) -> tuple[list[Job], tuple[Any, int] | None]:
    """Return up to ``most`` jobs of a service's projects by when they were made, and where the next part begins."""
    query = select(JOBS).join(PROJECTS, PROJECTS.c.id == JOBS.c.project)
    query = query.where(PROJECTS.c.service == service, JOBS.c.kind.in_(kinds))
    if compartment is not None:
        query = query.where(PROJECTS.c.facts["compartment"].as_string() == compartment)
    if states is not None:
        query = query.where(JOBS.c.state.in_(states))
    for name, expected in cells.items():
        query = query.where(JOBS.c[name] == expected)
    return ordered(connection, Job, JOBS, query, by="created", down=down, after=after, most=most)


def find(connection: Connection, id: str) -> Job | None:
    """Return a job."""
    return known(connection, Job, JOBS, id=id)


def newest(connection: Connection, target: str) -> Job | None:
    """Return the last job of a target."""
    row = connection.execute(_NEWEST, {"target": target}).first()
    return None if row is None else value(Job, row)


def open_jobs(connection: Connection, *, sweeping: bool = True, **cells: Any) -> list[Job]:
    """Return the jobs that are not ended, oldest first, of a target, a project or a kind."""
    return [value(Job, row) for row in connection.execute(_opened(sweeping, *cells), cells)]


@cache
def _opened(sweeping: bool, *names: str) -> Select[Any]:
    query = select(JOBS).where(JOBS.c.state.in_(OPEN)).order_by(JOBS.c.number)
    if not sweeping:  # they remove what is deleted already
        query = query.where(JOBS.c.kind != SWEEP)
    for name in names:
        query = query.where(JOBS.c[name] == bindparam(name))
    return query


def claim(connection: Connection, owner: str, kinds: Sequence[str], seconds: float) -> Job | None:
    """Take the oldest job of these kinds that can begin, for some seconds; None if there is none.

    The attempt that comes with it is the fence: nobody who held an earlier one can write any more.
    """
    other = JOBS.alias()
    waits = exists(
        select(WAITS.c.awaits)
        .join(other, other.c.id == WAITS.c.awaits)
        .where(WAITS.c.job == JOBS.c.id, other.c.state.in_(OPEN))
    )
    ready = or_(
        JOBS.c.state == JobState.ACCEPTED.value,
        and_(JOBS.c.state == JobState.RUNNING.value, JOBS.c.lease < now()),
    )
    query = select(JOBS).where(JOBS.c.kind.in_(kinds), ready, ~waits).order_by(JOBS.c.number).limit(1)
    row = connection.execute(query).first()
    if row is None:
        return None
    changes = {
        "state": JobState.RUNNING.value, "attempt": row.attempt + 1, "owner": owner, "lease": now() + seconds,
        "deaths": row.deaths + (row.state == JobState.RUNNING.value), "progress": 0.0, "detail": "", "started": now(),
    }  # fmt: skip
    connection.execute(update(JOBS).where(JOBS.c.id == row.id).values(changes))
    return find(connection, row.id)


def tell(connection: Connection, job: Job, seconds: float, changes: Mapping[str, Any] | None = None) -> bool:
    """Hold a job for some more seconds and say how far it is; return whether it is still this attempt's."""
    return _fenced(connection, job, {"lease": now() + seconds, **(changes or {})})


def close(connection: Connection, job: Job, state: JobState, error: str | None = None) -> bool:
    """End a job; return whether it was still this attempt's."""
    changes = {"state": state.value, "error": error, "ended": now(), "lease": None, "data": None}
    if state is JobState.SUCCEEDED:
        changes["progress"] = 1.0
    ended = _fenced(connection, job, changes)
    if ended:
        connection.execute(delete(WAITS).where(or_(WAITS.c.job == job.id, WAITS.c.awaits == job.id)))
    return ended


def cancel(connection: Connection, id: str) -> bool:
    """End an open job from outside: who runs it loses the fence."""
    statement = update(JOBS).where(JOBS.c.id == id, JOBS.c.state.in_(OPEN))
    changes = {"state": JobState.CANCELED.value, "attempt": JOBS.c.attempt + 1, "ended": now(), "lease": None}
    return connection.execute(statement.values(changes | {"data": None})).rowcount == 1


def free(connection: Connection, owner: str) -> int:
    """Let go of everything that an owner who is gone holds, so that others can claim it now; return how much it was."""
    statement = update(JOBS).where(JOBS.c.owner == owner, JOBS.c.state == JobState.RUNNING.value)
    return connection.execute(statement.values(lease=0.0)).rowcount


def let_go(connection: Connection, job: Job, *, died: bool) -> None:
    """Let go of an attempt that ended without a result, so that others can claim the job now.

    ``died`` counts against the job: it may have been what killed whoever ran it.
    """
    _fenced(connection, job, {"lease": 0.0} if died else {"lease": None, "state": JobState.ACCEPTED.value})


def owners(connection: Connection) -> list[str]:
    """Return those who hold a running job."""
    query = select(JOBS.c.owner).where(JOBS.c.state == JobState.RUNNING.value, JOBS.c.lease > 0).distinct()
    return [owner for (owner,) in connection.execute(query)]


def data(connection: Connection, job: Job) -> bytes:
    """Return what was given with a job."""
    return connection.execute(select(JOBS.c.data).where(JOBS.c.id == job.id)).scalar_one() or b""


def log(connection: Connection, job: Job, text: str) -> None:
    """Add a line to a job's log."""
    connection.execute(insert(LOGS).values(job=job.id, attempt=job.attempt, moment=now(), text=text))


def logs(connection: Connection, id: str) -> list[dict[str, Any]]:
    """Return a job's log: moment, attempt and text of each line."""
    rows = connection.execute(select(LOGS).where(LOGS.c.job == id).order_by(LOGS.c.number))
    return [{"moment": moment(row.moment), "attempt": row.attempt, "text": row.text} for row in rows]


def _fenced(connection: Connection, job: Job, changes: Mapping[str, Any]) -> bool:
    statement = update(JOBS).where(
        JOBS.c.id == job.id, JOBS.c.attempt == job.attempt, JOBS.c.state == JobState.RUNNING.value
    )
    return connection.execute(statement.values(**changes)).rowcount == 1
