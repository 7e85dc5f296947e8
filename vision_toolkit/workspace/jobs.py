"""Run jobs: claim one, hold its fence, do it, and end it in the transaction that shows what came of it.

A handler is a function of a :class:`Work`. What it makes goes to ``work.folder``, which is this attempt's alone, and
is seen by others when :meth:`Work.finish` has written the state that points there. Whoever lost the fence can write
nothing.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import platform
import secrets
import shutil
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from vision_toolkit.core.errors import Conflict, Failed, VisionError
from vision_toolkit.workspace.lifecycle import JobState
from vision_toolkit.workspace.records import queue
from vision_toolkit.workspace.values import Job

if TYPE_CHECKING:
    from vision_toolkit.workspace.records import Connection
    from vision_toolkit.workspace.workspace import Workspace

__all__ = ["KINDS", "HeldElsewhereError", "Kind", "Owner", "Work", "fail_target", "run_job"]

LEASE, BEAT = 30.0, 5.0
"""Seconds for which a job is held, and between two renewals."""
DEATHS = 3
"""How often whoever does a job is ended in the middle before it is given up: it may be what ends them."""
SAID_EVERY = 0.5
"""Least seconds between two notes of how far a job is."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Say how jobs of a kind are run.

    ``run`` names the handler as "module:function", ``fail`` the function that moves the target's state when the job
    has failed; ``heavy`` jobs (a training) do not keep light ones waiting; ``place`` is the folder of the workspace in
    which each target has one.
    """

    run: str
    fail: str
    heavy: bool = False
    place: str = "work"


_HERE = "vision_toolkit.workspace"
KINDS: dict[str, Kind] = {
    "create dataset": Kind(f"{_HERE}.datasets:create", f"{_HERE}.datasets:fail_creation"),
    "update dataset": Kind(f"{_HERE}.datasets:change", f"{_HERE}.datasets:fail_update"),
    "sweep dataset": Kind(f"{_HERE}.datasets:sweep", f"{_HERE}.datasets:fail_sweep"),
    "train": Kind(f"{_HERE}.training:train_model", f"{_HERE}.training:fail_training", heavy=True, place="models"),
    "start model": Kind(f"{_HERE}.hosting:start", f"{_HERE}.hosting:fail_start"),
    "stop model": Kind(f"{_HERE}.hosting:stop", f"{_HERE}.hosting:fail_stop"),
    "trial": Kind(f"{_HERE}.trials:detect", f"{_HERE}.trials:fail_trial", heavy=True),
    "package": Kind(f"{_HERE}.packaging:package", f"{_HERE}.packaging:fail_package", heavy=True),
}
"""Every kind of job. To add one: one line here, and a module with two functions."""


class HeldElsewhereError(Exception):
    """Say that a job is no longer this attempt's: it was cancelled, or somebody else took it over."""


class Fail(Protocol):
    """What a kind does with its target when a job of it failed."""

    def __call__(self, connection: Connection, job: Job, message: str) -> None:
        """Move the target's state, in the transaction that ends the job."""


class Owner:
    """Stand for a running process that claims jobs: as long as it lives it holds a lock on a file, which dies with it.

    Parameters
    ----------
    folder
        where the files of all owners lie.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.name = f"{platform.node()}/{os.getpid()}/{secrets.token_hex(6)}"
        self._file = folder / self.name.replace("/", "_")
        self._handle = open(self._file, "wb")  # noqa: SIM115 - held as long as the owner lives
        if not _lock(self._handle):
            raise Failed(f"{self._file} cannot be locked.")

    def close(self) -> None:
        """Let go."""
        self._handle.close()
        self._file.unlink(missing_ok=True)

    @staticmethod
    def is_gone(folder: Path, name: str) -> bool:
        """Return whether an owner of this machine is surely gone; of others only the lease can tell."""
        if name.partition("/")[0] != platform.node():
            return False
        file = folder / name.replace("/", "_")
        try:
            with open(file, "r+b") as handle:
                gone = _lock(handle)
        except OSError:  # no such file: an owner of another folder's, or machine's of the same name
            return False
        if gone:
            file.unlink(missing_ok=True)
        return gone


def _lock(handle: Any) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows: a file that is open there cannot be opened for writing twice by this call
        import msvcrt

        try:
            msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        except OSError:
            return False
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


class Work:
    """Hold a claimed job while it is done.

    Parameters
    ----------
    workspace
        where it is.
    job
        what is to be done.

    Attributes
    ----------
    folder : Path
        for what this attempt makes; empty when the handler begins, below the target's folder.
    """

    def __init__(self, workspace: Workspace, job: Job) -> None:
        self.workspace, self.job = workspace, job
        self.folder = workspace.folder / KINDS[job.kind].place / job.target / f"attempt-{job.attempt}"
        self._said = 0.0
        self._lost = threading.Event()

    @property
    def place(self) -> str:
        """Return the folder's place below the workspace's, as records keep it."""
        return self.folder.relative_to(self.workspace.folder).as_posix()

    def make_folder(self) -> Path:
        """Make the folder, empty; those of earlier attempts, which came to nothing, go."""
        for left in self.folder.parent.glob("attempt-*"):
            shutil.rmtree(left, ignore_errors=True)
        self.folder.mkdir(parents=True)
        return self.folder

    def tell(self, share: float, text: str) -> None:
        """Say how far the job is, from 0 to 1, and what is being done.

        Raises
        ------
        HeldElsewhereError
            if the job is no longer this attempt's: the handler ends there.
        """
        if self._lost.is_set() or self.workspace.is_closing:
            raise HeldElsewhereError
        if time.monotonic() - self._said < SAID_EVERY and share < 1:
            return
        self._said = time.monotonic()
        with self.workspace.records.change() as connection:
            self.check(queue.tell(connection, self.job, LEASE, {"progress": share, "detail": text}))

    def log(self, text: str) -> None:
        """Add a line to the job's log."""
        with self.workspace.records.change() as connection:
            queue.log(connection, self.job, text)

    @contextlib.contextmanager
    def step(self) -> Iterator[Connection]:
        """Yield a connection for changes that are kept only while the job is this attempt's."""
        with self.workspace.records.change() as connection:
            self.check(queue.tell(connection, self.job, LEASE))
            yield connection

    @contextlib.contextmanager
    def finish(self) -> Iterator[Connection]:
        """Yield a connection for what shows the job's result; the job is ended in the same transaction."""
        with self.workspace.records.change() as connection:
            self.check(queue.close(connection, self.job, JobState.SUCCEEDED))
            yield connection

    def beat(self) -> None:
        """Hold the job for some more seconds; notes if it is lost."""
        with self.workspace.records.change() as connection:
            if not queue.tell(connection, self.job, LEASE):
                self._lost.set()

    @staticmethod
    def check(held: bool) -> None:
        """Raise HeldElsewhereError unless a write was this attempt's."""
        if not held:
            raise HeldElsewhereError


def run_job(workspace: Workspace, job: Job, *, beat: bool = True) -> None:
    """Do a claimed job, and end it: with its result, or FAILED with its reason.

    An error of this toolkit, or any other, fails the job; only the end of the process leaves it to the next attempt.
    """
    work = Work(workspace, job)
    if job.deaths >= DEATHS:
        fail(work, f"{DEATHS} times the process that did this was ended in the middle, so it was given up. It may need "
             "more memory than there is.")  # fmt: skip
        return
    with _beating(work) if beat else contextlib.nullcontext():
        try:
            _named(KINDS[job.kind].run)(work)
        except HeldElsewhereError:
            with workspace.records.change() as connection:  # ours still, if we were only asked to end
                queue.let_go(connection, job, died=False)
        except VisionError as error:
            fail(work, str(error))
        except Exception as error:  # noqa: BLE001 - whatever it was, a job must not stay in a passing state
            work.log(traceback.format_exc())
            fail(work, f"{type(error).__name__}: {error}")


def fail(work: Work, message: str) -> None:
    """End a job as FAILED and its target with it, unless somebody else holds it by now."""
    with work.workspace.records.change() as connection:
        if queue.close(connection, work.job, JobState.FAILED, message):
            queue.log(connection, work.job, message)
            fail_target(connection, work.job, message)


def fail_target(connection: Connection, job: Job, message: str) -> None:
    """Move the state of a job's target, in the transaction that ends the job without a result."""
    try:
        _named(KINDS[job.kind].fail)(connection, job, message)
    except Conflict as error:  # it is no longer in the state that this job was to end
        queue.log(connection, job, str(error))


@contextlib.contextmanager
def _beating(work: Work) -> Iterator[None]:
    """Hold the job from a thread of its own, as long as the block runs."""
    done = threading.Event()

    def beat() -> None:
        while not done.wait(BEAT):
            with contextlib.suppress(VisionError):  # a database that is away for a moment costs a beat, no more
                work.beat()

    thread = threading.Thread(target=beat, name=f"beat of {work.job.kind}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _named(name: str) -> Callable[..., Any]:
    module, _, attribute = name.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    return found
