"""A workspace: a folder, or a folder and a database, in which projects, datasets, models and jobs live."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from vision_toolkit.core.errors import Failed, Invalid
from vision_toolkit.core.settings import Settings
from vision_toolkit.data.storage import is_local, local_path
from vision_toolkit.workspace.buckets import Buckets
from vision_toolkit.workspace.datasets import Datasets
from vision_toolkit.workspace.hosting import Hosts
from vision_toolkit.workspace.ledger import Ledger
from vision_toolkit.workspace.models import Models
from vision_toolkit.workspace.packaging import Packages
from vision_toolkit.workspace.projects import Projects, Tags
from vision_toolkit.workspace.records import Database, queue, tokens
from vision_toolkit.workspace.runners import Runner, make_runner
from vision_toolkit.workspace.trials import Trials
from vision_toolkit.workspace.values import Job

__all__ = ["Workspace"]

R = TypeVar("R")
TOKEN_HOURS = 8.0
SWEEP_SECONDS = 60.0
"""Between two removals of tokens that are kept no longer."""


class Workspace:
    """Open a workspace, and make it if it is not there.

    On disk it is ``workspace.db`` (unless the records are elsewhere), ``buckets/s3/BUCKET/KEY``, ``models/ID/`` and
    ``work/``: plain files that a person can look into, copy and back up.

    Parameters
    ----------
    folder
        a path, or a ``file://`` URL.
    run
        who does the jobs: False: nobody here; True or ``"thread"``: threads of this process; ``"process"``: processes
        of their own; ``"inline"``: the caller, at once.
    settings
        what may differ between machines; None = the environment's.
    changed
        single settings, by name: ``database="postgresql://..."``, ``limits=False``, ``s3="s3"``, ``preset="fast"`` ...

    Raises
    ------
    Invalid
        if the folder is none of this machine, a setting is unknown or the database's URL is none.
    Failed
        if it cannot be written, or the database cannot be reached.
    Unsupported
        if it was made by a newer version, or a driver is not installed.

    Examples
    --------
    >>> import tempfile
    >>> with Workspace(tempfile.mkdtemp()) as workspace:
    ...     workspace.projects.create("cookies").name
    'cookies'
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        run: bool | str = False,
        settings: Settings | None = None,
        **changed: Any,
    ) -> None:
        if not is_local(folder):
            raise Invalid(
                f"A workspace is a folder; {os.fspath(folder)!r} was given. Records can lie elsewhere: "
                "database='postgresql://...'; images and results too: s3='s3'."
            )
        try:
            self.settings = replace(settings or Settings.read(), **changed)
        except TypeError:
            known = ", ".join(Settings.__dataclass_fields__)
            raise Invalid(f"Among {', '.join(changed)} is no setting; there are: {known}.") from None
        self.folder = Path(os.path.abspath(local_path(folder)))
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Failed(f"{self.folder}: {error.strerror or error}.") from error
        self.records = Database(self.settings.database or f"sqlite:///{self.folder / 'workspace.db'}")
        self.buckets = Buckets(self.folder / "buckets", s3=self.settings.s3)
        self.projects, self.datasets, self.models = Projects(self), Datasets(self), Models(self)
        self.packages, self.tags, self.hosts = Packages(self), Tags(self), Hosts(self)
        self.trials, self.ledger = Trials(self), Ledger(self)
        self.runner: Runner | None = None
        self.is_closing = False
        self._sweep_at = 0.0
        if run:
            self.runner = make_runner("thread" if run is True else run, self)
            self.runner.wake()

    @property
    def owners(self) -> Path:
        """Return the folder where each process that runs jobs holds its lock."""
        return self.folder / "work" / "owners"

    def close(self) -> None:
        """Let go of everything. Jobs that run here end at their next step, and go on when somebody runs it again."""
        self.is_closing = True
        if self.runner is not None:
            self.runner.close()
            self.runner = None
        self.records.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        running = f", run by {type(self.runner).__name__.lower()}" if self.runner else ""
        return f"Workspace({str(self.folder)!r}{running})"

    # ---------------------------------------------------------------- jobs

    def add_job(
        self,
        kind: str,
        *,
        target: str,
        project: str,
        payload: Mapping[str, Any],
        data: bytes | None = None,
        awaits: Iterable[str] = (),
    ) -> str:
        """Add a job; it is seen, and begun, when the change that it belongs to is kept."""
        with self.records.change() as connection:
            if self.runner is not None:
                self.records.later(self.runner.wake)
            return queue.add(
                connection, kind, target=target, project=project, payload=payload, data=data, awaits=awaits
            )

    def job(self, target: str) -> Job | None:
        """Return the last job of a model, dataset or package, by the target's id: how far it is, or how it ended."""
        with self.records.look() as connection:
            return queue.newest(connection, target)

    def log(self, job: Job) -> list[dict[str, Any]]:
        """Return what was noted while a job ran: ``moment``, ``attempt`` and ``text`` of each line."""
        with self.records.look() as connection:
            return queue.logs(connection, job.id)

    # ---------------------------------------------------------------- calls that are safe to repeat

    def once(
        self,
        scope: str,
        token: str | None,
        request: Mapping[str, Any],
        do: Callable[[], R],
        *,
        hours: float = TOKEN_HOURS,
    ) -> R:
        """Do something once for a token: the same call again gets the first answer.

        What is done and the token are kept in one transaction. While the first call runs, a second one waits.

        Parameters
        ----------
        scope
            the operation and the resource that it is about.
        token
            chosen by the caller; None: no promise.
        request
            the parameters: plain values, moments and bytes.
        do
            does it; its answer holds plain values and moments.
        hours
            for how long the answer is kept.

        Raises
        ------
        Conflict
            if the token came with another request.
        """
        if token is None:
            with self.records.change():
                return do()
        text = json.dumps(request, sort_keys=True, default=repr)
        digest = hashlib.sha256(text.encode()).hexdigest()
        with self.records.change() as connection:
            if time.monotonic() > self._sweep_at:
                tokens.sweep(connection)
                self._sweep_at = time.monotonic() + SWEEP_SECONDS
            first, answer = tokens.take(connection, scope, token, digest)
            if first:
                answer = do()
                tokens.keep(connection, scope, token, digest, answer, hours * 3600)
            given: R = answer
            return given
