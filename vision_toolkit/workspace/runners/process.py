"""Do each job in a process of its own: what is killed there takes nothing else with it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from vision_toolkit.core.settings import Settings
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
        settings = asdict(self.workspace.settings) | {"cache": str(self.workspace.settings.cache)}
        told = {"folder": str(self.workspace.folder), "settings": settings, "job": job.id, "attempt": job.attempt}
        with contextlib.suppress(BrokenPipeError):  # it is gone already
            child.stdin.write(json.dumps(told).encode() + b"\n")
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
    told = json.loads(sys.stdin.buffer.readline())

    def watch() -> None:
        while os.read(0, 1):
            pass
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    from vision_toolkit.workspace.workspace import Workspace

    told["settings"]["cache"] = Path(told["settings"]["cache"])
    with Workspace(told["folder"], settings=Settings(**told["settings"])) as workspace:
        with workspace.records.look() as connection:
            job = queue.find(connection, told["job"])
        if job is not None and job.attempt == told["attempt"]:  # else somebody else has it by now
            run_job(workspace, job)
