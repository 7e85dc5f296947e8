"""One model of the agent's: its status, and the processes that judge with it."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import NamedTuple

from vision_toolkit.core.errors import Conflict, VisionError
from vision_toolkit.core.prediction import Prediction
from vision_toolkit.data.storage import write_file
from vision_toolkit.services.edge.packages import GivenPackage
from vision_toolkit.workspace.lifecycle import Lifecycle
from vision_toolkit.workspace.units import DRAIN, Unit, Units

__all__ = ["COMPONENT", "Component", "Described", "State", "Wishes"]

_LOG = logging.getLogger(__name__)
_FIRST_PAUSE, _LAST_PAUSE = 2.0, 60.0
"""Seconds after which a model that broke is tried again; each time twice as many."""


class State(StrEnum):
    """Say how a component is, in the contract's words."""

    STOPPED = "STOPPED"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    FAILED = "FAILED"
    STOPPING = "STOPPING"


COMPONENT = Lifecycle("model", {
    (State.STOPPED, "start"): State.STARTING,
    (State.FAILED, "start"): State.STARTING,
    (State.STARTING, "finish"): State.RUNNING,
    (State.STARTING, "fail"): State.FAILED,
    (State.RUNNING, "fail"): State.FAILED,
    (State.FAILED, "finish"): State.RUNNING,
    (State.RUNNING, "stop"): State.STOPPING,
    (State.FAILED, "stop"): State.STOPPING,
    (State.STOPPING, "finish"): State.STOPPED,
})  # fmt: skip
"""What a component can do. One whose processes broke is FAILED until one of them stands again."""

WORDS = {
    State.STOPPED: "The model is not running.",
    State.STARTING: "The model is being started.",
    State.RUNNING: "The model is running.",
    State.STOPPING: "The model is being stopped.",
}


class Described(NamedTuple):
    """Say what a component is and how it is."""

    name: str
    arn: str
    state: State
    message: str


class Wishes:
    """Hold the names of the models that are to run, in a file: what was started runs again after a restart.

    Parameters
    ----------
    path
        of the file, made with the first wish.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()
        self._names: set[str] = set()
        try:
            self._names = {str(name) for name in json.loads(path.read_text("utf-8"))["running"]}
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError) as error:
            _LOG.warning("%s cannot be read, and no model is started for it: %s", path, error)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def set(self, name: str, *, running: bool) -> None:
        """Keep a wish.

        Raises
        ------
        Failed
            if the disk refuses; the wishes are then as before.
        """
        with self._lock:
            wished = self._names | {name} if running else self._names - {name}
            if wished != self._names:
                write_file(self._path, json.dumps({"running": sorted(wished)}).encode(), overwrite=True)
                self._names = wished


class Component:
    """Be one model that the agent serves; every method may be called from any thread.

    Parameters
    ----------
    package
        what it is made of.
    wishes
        where it is kept whether it is to run.
    workers
        processes that judge, one image at a time each.
    threads
        of one computation.
    """

    def __init__(self, package: GivenPackage, *, wishes: Wishes, workers: int = 1, threads: int = 1) -> None:
        self.package, self._wishes = package, wishes
        self._workers, self._threads = workers, threads
        self._lock, self._changing = threading.Lock(), threading.Lock()
        self._state, self._message = State.STOPPED, WORDS[State.STOPPED]
        self._units: Units | None = None
        self._closed = False
        self._pause, self._again = _FIRST_PAUSE, 0.0

    @property
    def name(self) -> str:
        """Return the name by which clients ask for it."""
        return self.package.name

    def describe(self) -> Described:
        """Say how it is."""
        with self._lock:
            return Described(self.name, self.package.arn, self._state, self._message)

    def check(self) -> None:
        """Compare the package's checksums; what is wrong with it is its status from then on."""
        try:
            self.package.ready()
        except (VisionError, OSError) as error:
            with self._lock:
                self._state, self._message = State.FAILED, _said(error)

    def start(self) -> State:
        """Begin to start, and return at once.

        Raises
        ------
        Conflict
            if it is neither stopped nor failed.
        Failed
            if the wish cannot be kept; nothing is started then.
        """
        with self._changing:
            with self._lock:
                COMPONENT.after(self._state, "start")
            self._wishes.set(self.name, running=True)
            with self._lock:
                self._move("start")
                old, self._units = self._units, None
        threading.Thread(target=self._open, args=(old,), name=f"start of {self.name}", daemon=True).start()
        return State.STARTING

    def _open(self, old: Units | None) -> None:
        if old is not None:
            old.close(drain=0)
        try:
            folder = self.package.ready()
            start = partial(Unit, folder, takes="pixels", threads=self._threads)
            units = Units(start, self._workers, self._workers)
        except (VisionError, OSError) as error:
            self._fail(_said(error))
            return
        except Exception as error:  # noqa: BLE001 - else it would be STARTING for ever
            _LOG.exception("Model %s cannot be started.", self.name)
            self._fail(f"The model cannot be started: {type(error).__name__}.")
            return
        with self._lock:
            if not self._closed:
                self._units, units = units, None  # type: ignore[assignment]
                self._move("finish")
        if units is not None:
            units.close(drain=0)

    def _fail(self, why: str) -> None:
        _LOG.warning("Model %s failed: %s", self.name, why)
        with self._lock:
            self._move("fail", why)

    def _move(self, event: str, message: str = "") -> None:
        self._state = COMPONENT.after(self._state, event)
        self._message = message or WORDS[self._state]

    def stop(self) -> State:
        """Stop, after the images that are being judged; one that failed is given up.

        Raises
        ------
        Conflict
            if it is neither running nor failed.
        Failed
            if it cannot be kept that it is not to run; it goes on then.
        """
        with self._changing:
            with self._lock:
                COMPONENT.after(self._state, "stop")
            self._wishes.set(self.name, running=False)
            with self._lock:
                self._move("stop")
                units, self._units = self._units, None
        if units is not None:
            units.close()
        with self._lock:
            self._move("finish")
        return State.STOPPED

    def judge(self, image: tuple[bytes, ...], *, wanted: Callable[[], bool] = lambda: True) -> Prediction:
        """Judge an image, given in the pieces that :func:`vision_toolkit.workspace.units.pixels` returns.

        Raises
        ------
        Conflict
            if it is not running, or nobody waits for the answer any more.
        Busy
            if too many wait already.
        Invalid
            if the image cannot be had.
        Failed
            if the model cannot judge it.
        """
        with self._lock:
            units, state, message = self._units, self._state, self._message
        if units is None or state is not State.RUNNING:
            raise Conflict(f"Model {self.name!r} is {state}, not RUNNING: {message}")
        return units.predict(*image, wanted=wanted)

    def look(self) -> None:
        """Replace processes that ended unasked, and tell where that does not succeed."""
        now = time.monotonic()
        with self._lock:
            units = self._units
            if units is None:
                return
            trouble, failed = units.trouble, self._state is State.FAILED
            if trouble and not failed:
                self._move("fail", trouble)
                self._pause, self._again = _FIRST_PAUSE, now
            elif failed and len(units):
                self._move("finish")
            if trouble and now < self._again:
                return
            if trouble:
                self._message, self._again = trouble, now + self._pause
                self._pause = min(2 * self._pause, _LAST_PAUSE)
        units.tidy()

    def close(self, *, drain: float = DRAIN) -> None:
        """End the processes, after the images that are being judged; what is wished stays wished."""
        with self._lock:
            self._closed = True
            units, self._units = self._units, None
        if units is not None:
            units.close(drain=drain)


def _said(error: Exception) -> str:
    if isinstance(error, OSError) and not isinstance(error, VisionError):
        return f"The system refused: {error.strerror or error}."
    return str(error)
