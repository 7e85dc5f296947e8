"""Do each job at once, in the thread of whoever asked for it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from vision_toolkit.workspace.jobs import Owner, run_job
from vision_toolkit.workspace.runners.base import ALL, claim, take_over

if TYPE_CHECKING:
    from vision_toolkit.workspace.workspace import Workspace

__all__ = ["Inline"]


class Inline:
    """Do jobs in the calling thread: when a call comes back, what it began is ended."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace, self.owner = workspace, Owner(workspace.owners)
        self._busy = threading.local()

    def wake(self) -> None:
        """Do every job that can begin."""
        if getattr(self._busy, "now", False):  # a job that makes jobs: they come next
            return
        self._busy.now = True
        try:
            take_over(self.workspace, self.owner)
            while (job := claim(self.workspace, self.owner, ALL)) is not None:
                run_job(self.workspace, job)
        finally:
            self._busy.now = False

    def close(self) -> None:
        """Let go."""
        self.owner.close()
