"""Who does the jobs: the caller at once, a thread of this process, or processes of their own.

``inline`` is for tests and short programs, ``thread`` for notebooks, ``process`` for servers, where a job that is
killed takes nothing else with it.
"""

from vision_toolkit.workspace.runners.base import RUNNERS, Runner, make_runner

__all__ = ["RUNNERS", "Runner", "make_runner"]
