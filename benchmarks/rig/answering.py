"""Answer requests on standard input: one JSON object a line in, one out. Standard library only."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any


def timed(work: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """Return what the work gives, its seconds and CPU seconds, and the peak of resident memory so far in MB."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = work()
    used = {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
    return found, used | {"peak_mb": peak_mb()}


def peak_mb() -> float:
    """Return the peak of this process's resident memory since its start, in MB."""
    with contextlib.suppress(OSError, StopIteration):  # rusage would count what the parent had when it forked, too
        lines = Path("/proc/self/status").read_text("utf-8").splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1024 if sys.platform == "linux" else 1) / 1e6


def serve(make: Callable[[int], Any]) -> None:
    """Make what answers, with the number of threads that the command line names, and answer until the input ends.

    ``{"do": "fit", ...}`` calls its method ``fit`` with the rest; the first answer is that of ``versions``. An error is
    an answer too: ``{"error": ...}``, and its trace goes to standard error.
    """
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print is no answer

    def answer(facts: dict[str, Any]) -> None:
        answers.write(json.dumps({"peak_mb": peak_mb()} | facts) + "\n")
        answers.flush()

    made, used = timed(lambda: make(int(sys.argv[1])))
    answer(used | made.versions())
    for line in sys.stdin:
        request = json.loads(line)
        try:
            found = getattr(made, request.pop("do"))(**request)
        except Exception as error:  # noqa: BLE001 - told to who asked
            traceback.print_exc()
            found = {"error": f"{type(error).__name__}: {error}"}
        answer(found)
