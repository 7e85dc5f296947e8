"""What a runner is, and which there are."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Protocol

from vision_toolkit.core.errors import Invalid
from vision_toolkit.workspace.jobs import DEATHS, KINDS, LEASE, Owner
from vision_toolkit.workspace.records import queue
from vision_toolkit.workspace.values import Job

if TYPE_CHECKING:
    from vision_toolkit.workspace.workspace import Workspace

__all__ = ["ALL", "LIGHT", "RUNNERS", "Runner", "claim", "make_runner", "take_over"]

_HERE = "vision_toolkit.workspace.runners"
RUNNERS = {
    "inline": f"{_HERE}.inline:Inline",
    "thread": f"{_HERE}.thread:Threads",
    "process": f"{_HERE}.process:Processes",
}
"""Every runner. To add one: one file, one line."""

ALL = tuple(KINDS)
"""Every kind of job."""
LIGHT = tuple(name for name, kind in KINDS.items() if not kind.heavy)
"""Those that do not take long."""


class Runner(Protocol):
    """What does jobs of a workspace."""

    owner: Owner

    def wake(self) -> None:
        """Look for jobs: one may be there."""

    def close(self) -> None:
        """Begin no further job, and come back when those that run are ended or left to others."""


def make_runner(name: str, workspace: Workspace) -> Runner:
    """Return a runner by name.

    Raises
    ------
    Invalid
        if there is none of that name.
    """
    if name not in RUNNERS:
        raise Invalid(f"There is no runner {name!r}; there are: {', '.join(RUNNERS)}.")
    module, _, attribute = RUNNERS[name].partition(":")
    made: Runner = getattr(importlib.import_module(module), attribute)(workspace)
    return made


def claim(workspace: Workspace, owner: Owner, kinds: tuple[str, ...]) -> Job | None:
    """Take the next job; its log tells of every attempt, however soon that ends."""
    with workspace.records.change() as connection:
        job = queue.claim(connection, owner.name, kinds, LEASE)
        if job is not None and job.deaths < DEATHS:
            queue.log(connection, job, f"attempt {job.attempt} of {job.kind} by {job.owner}")
        return job


def take_over(workspace: Workspace, owner: Owner) -> None:
    """Free what owners of this machine hold who are gone, so that nobody waits for their leases."""
    with workspace.records.look() as connection:
        holders = [name for name in queue.owners(connection) if name != owner.name]
    gone = [name for name in holders if Owner.is_gone(workspace.owners, name)]
    if gone:
        with workspace.records.change() as connection:
            for name in gone:
                queue.free(connection, name)
