"""The jobs of a workspace as others see them: open and ended, and those that were done at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vision_toolkit.core.errors import Conflict, NotFound
from vision_toolkit.workspace.jobs import fail_target
from vision_toolkit.workspace.lifecycle import JobState
from vision_toolkit.workspace.records import queue
from vision_toolkit.workspace.values import Job

if TYPE_CHECKING:
    from vision_toolkit.workspace.workspace import Workspace

__all__ = ["CANCELLED", "Ledger"]

CANCELLED = "cancelled"
"""Why a cancelled job's target failed."""


class Ledger:
    """Hold what was asked of a workspace: every job, whoever does it."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def record(self, kind: str, *, target: str, project: str) -> str:
        """Note a job that this change has done already, and return its id."""
        with self._workspace.records.change() as connection:
            return queue.record(connection, kind, target=target, project=project)

    def get(self, id: str) -> Job:
        """Return a job by its id.

        Raises
        ------
        NotFound
            if there is none.
        """
        with self._workspace.records.look() as connection:
            found = queue.find(connection, id)
        if found is None:
            raise NotFound(f"There is no job {id!r}.").about("job", id)
        return found

    def search(
        self,
        service: str,
        kinds: Sequence[str],
        *,
        compartment: str | None = None,
        id: str | None = None,
        target: str | None = None,
        states: Sequence[JobState] | None = None,
        newest_first: bool = False,
        after: tuple[Any, int] | None = None,
        most: int = 100,
    ) -> tuple[list[Job], tuple[Any, int] | None]:
        """Return jobs of one service's projects by when they were asked for, and the place after which to go on.

        Parameters
        ----------
        service, kinds
            whose projects, and which jobs of theirs.
        compartment
            of the project, as its facts say; None = any.
        id, target, states
            of the job; None = any.
        newest_first
            the order.
        after
            the place that the answer before gave.
        most
            how many at once.
        """
        cells = {name: given for name, given in (("id", id), ("target", target)) if given is not None}
        with self._workspace.records.look() as connection:
            return queue.search(
                connection, service, kinds, compartment=compartment, down=newest_first, after=after, most=most,
                states=None if states is None else [state.value for state in states], **cells,
            )  # fmt: skip

    def cancel(self, id: str) -> Job:
        """End an open job without a result; its target fails with "cancelled", and who does the job loses it.

        Raises
        ------
        NotFound
            if there is none.
        Conflict
            if it is ended already.
        """
        with self._workspace.records.change() as connection:
            job = self.get(id)
            if not queue.cancel(connection, id):
                raise Conflict(
                    f"The job is {job.state.value} already; only one that is not ended can be cancelled."
                ).about("job", id)
            queue.log(connection, job, CANCELLED)
            fail_target(connection, job, CANCELLED)
            return self.get(id)
