"""Do each job in a process of its own: what is killed there takes nothing else with it."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

from vision_toolkit.workspace.jobs import run_job
from vision_toolkit.workspace.records import queue
from vision_toolkit.workspace.runners.thread import Threads

if TYPE_CHECKING:
    from vision_toolkit.workspace.values import Job

__all__ = ["Processes"]

_LOCAL = ("start model", "stop model")
_PROGRAM = "import sys; sys.path[:] = {!r}; from vision_toolkit.workspace.runners.process import main; main()"


class Processes(Threads):
    """Do jobs as :class:`Threads` does, each in a child that ends when this process does."""

    def do(self, job: Job) -> None:
        """Do one job in a child; if the child is killed, let go of the job, so that it is begun again at once.

        To start and to stop a model is the business of the process that answers with it.
        """
        if job.kind in _LOCAL:
            run_job(self.workspace, job)
            return
        # Not multiprocessing: that would run the user's own program again in each child.
        child = subprocess.Popen([sys.executable, "-c", _PROGRAM.format(sys.path)], stdin=subprocess.PIPE)
        assert child.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it is gone already
            child.stdin.write(pickle.dumps((self.workspace.options, job)))
            child.stdin.flush()
        while not self._closed:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(0.1)
                break
        with contextlib.suppress(BrokenPipeError):
            child.stdin.close()  # if it lives still, it ends now
        child.wait()
        with self.workspace.records.change() as connection:
            queue.let_go(connection, job, died=not self._closed)


def main() -> None:
    """Do a job that stands on standard input, and end with the parent: it closes whatever that dies of."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent, which hears Ctrl-C too, says what is to be done
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    options, job = pickle.load(sys.stdin.buffer)  # noqa: S301 - from the parent

    def watch() -> None:
        while os.read(0, 1):
            pass
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    from vision_toolkit.workspace.workspace import Workspace

    with Workspace(**options) as workspace:
        run_job(workspace, job)
