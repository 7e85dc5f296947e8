"""Do jobs in threads of this process: for notebooks."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from vision_toolkit.core.errors import VisionError
from vision_toolkit.workspace.jobs import Owner, run_job
from vision_toolkit.workspace.runners.base import ALL, LIGHT, claim, take_over

if TYPE_CHECKING:
    from vision_toolkit.workspace.values import Job
    from vision_toolkit.workspace.workspace import Workspace

__all__ = ["Threads"]

LOOKED_EVERY = 2.0
"""Seconds between two looks for jobs that somebody else's process made, or left."""
_LOG = logging.getLogger(__name__)


class Threads:
    """Do jobs in two threads: one takes every kind, the other leaves heavy ones, so that light ones need not wait."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace, self.owner = workspace, Owner(workspace.owners)
        self._wake = threading.Condition()
        self._rung, self._closed = 0, False
        self._threads = [
            threading.Thread(target=self._loop, args=(kinds,), name=f"jobs of {workspace.folder.name}", daemon=True)
            for kinds in (ALL, LIGHT)
        ]
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """Let the threads look now."""
        with self._wake:
            self._rung += 1
            self._wake.notify_all()

    def close(self) -> None:
        """End after the jobs that run."""
        with self._wake:
            self._closed = True
            self._wake.notify_all()
        for thread in self._threads:
            thread.join()
        self.owner.close()

    def do(self, job: Job) -> None:
        """Do one job."""
        run_job(self.workspace, job)

    def _loop(self, kinds: tuple[str, ...]) -> None:
        while not self._closed:
            heard = self._rung
            try:
                take_over(self.workspace, self.owner)
                job = claim(self.workspace, self.owner, kinds)
                if job is not None:
                    self.do(job)
                    continue
            except VisionError as error:  # a database that is away: look again later
                _LOG.warning("%s", error)
            except Exception:  # noqa: BLE001 - whatever it was, later jobs must not stand still
                _LOG.exception("A job was left by an error that nobody expected.")
            with self._wake:
                if self._rung == heard and not self._closed:
                    self._wake.wait(LOOKED_EVERY)
