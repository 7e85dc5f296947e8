"""Let whoever does a job stop, or die, at a moment that a test names: every child of the test reads this as it starts.

``FAULT_AT`` is ``"KIND MOMENT"``: of a job of this kind, a share of its progress from which on it stops, or ``finish``
(inside the transaction that ends it), or ``after`` it. ``FAULT_DIES`` makes it kill itself there. Whoever stops writes
``at MOMENT PID`` to standard output.
"""

import contextlib
import os
import signal
import sys
import threading

if os.environ.get("FAULT_AT"):
    from vision_toolkit.workspace import datasets, jobs

    KIND, _, MOMENT = os.environ["FAULT_AT"].rpartition(" ")
    datasets.BATCH, jobs.SAID_EVERY = 100, 0.0

    def stop() -> None:
        if os.environ.get("FAULT_DIES"):
            os.kill(os.getpid(), signal.SIGKILL)
        os.write(sys.__stdout__.fileno(), f"at {MOMENT} {os.getpid()}\n".encode())
        threading.Event().wait()

    tell, finish = jobs.Work.tell, jobs.Work.finish

    def stopping_tell(work, share, text):
        tell(work, share, text)
        if work.job.kind == KIND and MOMENT not in ("finish", "after") and share >= float(MOMENT):
            stop()

    @contextlib.contextmanager
    def stopping_finish(work):
        with finish(work) as connection:
            yield connection
            if work.job.kind == KIND and MOMENT == "finish":
                stop()
        if work.job.kind == KIND and MOMENT == "after":
            stop()

    jobs.Work.tell, jobs.Work.finish = stopping_tell, stopping_finish
