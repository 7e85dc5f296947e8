"""Do each job in a process of its own: what is killed there takes nothing else with it."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import threading
from multiprocessing.connection import Connection as Pipe
from typing import TYPE_CHECKING, Any

from vision_toolkit.workspace.jobs import run_job
from vision_toolkit.workspace.records import queue
from vision_toolkit.workspace.runners.thread import Threads

if TYPE_CHECKING:
    from vision_toolkit.workspace.values import Job

__all__ = ["Processes"]

_HERE = ("start model", "stop model")


class Processes(Threads):
    """Do jobs as :class:`Threads` does, each in a child that ends when this process does."""

    def do(self, job: Job) -> None:
        """Do one job in a child; if the child is killed, let go of the job, so that it is begun again at once.

        To start and to stop a model is the business of the process that answers with it.
        """
        if job.kind in _HERE:
            run_job(self.workspace, job)
            return
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        child = context.Process(target=_child, args=(self.workspace.options, job, theirs), daemon=True)
        child.start()
        theirs.close()
        while child.is_alive() and not self._closed:
            child.join(0.1)
        ours.close()  # if it lives still, it ends now
        child.join()
        with self.workspace.records.change() as connection:
            queue.let_go(connection, job, died=not self._closed)


def _child(options: dict[str, Any], job: Job, pipe: Pipe) -> None:
    """Do a job, and end with the parent: its end of the pipe closes whatever it dies of."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

    def watch() -> None:
        with contextlib.suppress(EOFError, OSError):
            pipe.recv()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    from vision_toolkit.workspace.workspace import Workspace

    with Workspace(**options) as workspace:
        run_job(workspace, job)
