"""Inference units: processes that each hold one model, as many as are needed, between a least and a most number."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np

from vision_toolkit.core.errors import Busy, Conflict, Failed, Invalid
from vision_toolkit.core.mask import BACKGROUND, Mask
from vision_toolkit.core.prediction import Prediction, Task
from vision_toolkit.models import runtime
from vision_toolkit.workspace import unit_worker

__all__ = ["EndedError", "Unit", "Units", "pixels"]

_LOG = logging.getLogger(__name__)
QUEUE = 16
"""Images that may wait for each unit that there may be; one more is told to come again."""
IDLE = 60.0
"""Seconds without work after which a unit above the least number is ended."""
STUCK = 120.0
"""Seconds for one image after which a unit is taken to be stuck, and ended."""
PIPE = 1 << 20
"""Bytes that a pipe to a unit takes at once: Linux lets everybody have that many."""
DRAIN = 30.0
"""Seconds that images which are being judged have, when the units are closed."""


class EndedError(Exception):
    """Say that a unit ended in the middle of an image."""


def pixels(width: int, height: int, packed: bytes = b"", *, shared: tuple[str, int] | None = None) -> tuple[bytes, ...]:
    """Return the pieces that give pixels to a unit.

    Parameters
    ----------
    width, height
        of the image.
    packed
        3 * width * height bytes: rows of RGB.
    shared
        name and offset of the shared memory that holds them instead; the unit itself reads it.
    """
    facts = json.dumps({"width": width, "height": height, "shared": shared}).encode()
    return struct.pack("<I", len(facts)) + facts, packed


class Unit:
    """Be the parent's side of one worker process.

    Parameters
    ----------
    folder
        of the model.
    takes
        what it is given: the file of an image, or its pixels as :func:`pixels` writes them.
    allowed
        what a file must be, as :func:`vision_toolkit.models.runtime.read` takes it; nothing here looks into one.
    threads
        of one computation.

    Raises
    ------
    Failed
        if the model cannot be loaded.
    """

    def __init__(
        self,
        folder: Path,
        *,
        takes: Literal["file", "pixels"] = "file",
        allowed: Mapping[str, Any] | None = None,
        threads: int = 1,
    ) -> None:
        options = {"threads": threads, "takes": takes, "allowed": dict(allowed or {})}
        command = [sys.executable, "-I", str(unit_worker.__file__), str(runtime.__file__), str(folder)]
        command.append(json.dumps(options))
        environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            start_new_session=True,  # Ctrl-C is for the server, which lets it finish
        )
        _widen(self.process.stdin, self.process.stdout)
        self.since: float | None = None
        """When it began the image that it is judging; None = it has none."""
        self.free_since = time.monotonic()
        try:
            facts, _ = self._hear()
        except EndedError:
            facts = {"failed": f"its process ended with {self.process.wait()}"}
        if "failed" in facts:
            self.end()
            raise Failed(f"The model cannot be loaded: {facts['failed']}.")
        self.info: dict[str, Any] = facts["info"]

    def ask(self, *image: bytes) -> dict[str, Any]:
        """Return what the model says of an image in one or more pieces: ``score``, and ``map`` and ``ids`` or None.

        Raises
        ------
        Invalid
            if the image cannot be decoded, or is not what it must be.
        Failed
            if the model cannot judge it.
        EndedError
            if the process ended.
        """
        self.since = time.monotonic()
        try:
            unit_worker.write_frame(self._pipe(self.process.stdin), *image)
            facts, rest = self._hear()
        except OSError:
            raise EndedError from None
        finally:
            self.since, self.free_since = None, time.monotonic()
        if "invalid" in facts:
            raise Invalid(f"The image cannot be judged: {facts['invalid']}.")
        if "failed" in facts:
            raise Failed(f"The model cannot judge the image: {facts['failed']}.")
        answer: dict[str, Any] = {"score": facts["score"], "map": None, "ids": None}
        offset = 0
        for name, (kind, shape) in facts["arrays"].items():
            count = int(np.prod(shape))
            answer[name] = np.frombuffer(rest, kind, count, offset).reshape(shape)
            offset += answer[name].nbytes
        return answer

    def _hear(self) -> tuple[dict[str, Any], memoryview]:
        frame = unit_worker.read_frame(self._pipe(self.process.stdout))
        if frame is None:
            raise EndedError
        (length,) = struct.unpack_from("<I", frame)
        return json.loads(frame[4 : 4 + length]), memoryview(frame)[4 + length :]

    @staticmethod
    def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
        assert pipe is not None
        return pipe

    def end(self) -> None:
        """End the process, now."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):  # what it was never told
                self._pipe(pipe).close()


def _widen(*pipes: IO[bytes] | None) -> None:
    """Let pipes take much at once, where the system allows it: else both sides wake each other for every 64 KiB."""
    with contextlib.suppress(ImportError, AttributeError, OSError):
        import fcntl

        for pipe in pipes:
            assert pipe is not None
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE)


class Units:
    """Hold the units of one model.

    Parameters
    ----------
    start
        starts one; it raises Failed where that cannot be.
    least, most
        how many there are at any time, and how many there may be.

    Raises
    ------
    Failed
        if the first ones cannot be started.
    """

    def __init__(self, start: Callable[[], Unit], least: int, most: int) -> None:
        self._start, self.least, self.most = start, least, max(least, most)
        self._change = threading.Condition()
        self._all: list[Unit] = []
        self._free: list[Unit] = []
        self._starting = self._waiting = 0
        self._closed, self._why = False, ""
        self._mean = 0.1
        with ThreadPoolExecutor(least) as pool:
            tasks = [pool.submit(start) for _ in range(least)]
        failed = [error for task in tasks if (error := task.exception()) is not None]
        self._all = [task.result() for task in tasks if task.exception() is None]
        self._free = list(self._all)
        if failed:
            self.close(drain=0)
            raise failed[0]
        self.info = self._all[0].info
        """What the model says of itself."""

    def __len__(self) -> int:
        return len(self._all)

    @property
    def trouble(self) -> str:
        """Say why there is no unit, and none on its way; empty where all is well."""
        with self._change:
            return "" if self._all or self._starting else self._why or "No inference unit is there."

    def predict(self, *image: bytes, wanted: Callable[[], bool] = lambda: True) -> Prediction:
        """Return what :meth:`ask` returns as a prediction."""
        answer, info = self.ask(*image, wanted=wanted), self.info
        mask = None
        if answer["ids"] is not None:
            mask = Mask(answer["ids"], (BACKGROUND, *info["types"]), tuple(info["colours"]))
        threshold = float(info["threshold"])
        return Prediction(Task(info["task"]), score=answer["score"], threshold=threshold, mask=mask, map=answer["map"])

    def ask(self, *image: bytes, wanted: Callable[[], bool] = lambda: True) -> dict[str, Any]:
        """Return what the model says of an image; a unit that ends over it is replaced, and another is asked once more.

        Parameters
        ----------
        image
            in one or more pieces.
        wanted
            asked when its turn comes: False where whoever sent it has gone, and no unit is to be kept from others.

        Raises
        ------
        Busy
            if too many wait already.
        Conflict
            if the units are closed, or the image is not wanted any more.
        Invalid, Failed
            as a unit does; Failed also if two units ended over the same image.
        """
        for _ in range(2):
            unit = self._take()
            if not wanted():
                self._give_back(unit)
                raise Conflict("Nobody waits for the answer any more.")
            began = time.monotonic()
            try:
                return unit.ask(*image)
            except EndedError:
                _LOG.warning("An inference unit ended in the middle of an image.")
                self._lost(unit)
                unit = None  # type: ignore[assignment]
            finally:
                if unit is not None:
                    self._mean += 0.1 * (time.monotonic() - began - self._mean)
                    self._give_back(unit)
        raise Failed("Two inference units ended over this image, one after the other; look into it.")

    def _take(self) -> Unit:
        with self._change:
            if not self._free and self._waiting >= QUEUE * self.most:
                seconds = self._waiting * self._mean / max(1, len(self._all))
                raise Busy(f"{self._waiting} images wait for {len(self._all)} inference units.", seconds=seconds)
            self._waiting += 1
            try:
                while True:
                    if self._closed:
                        raise Conflict("The model is being stopped.")
                    if self._free:
                        return self._free.pop()
                    if len(self._all) + self._starting < self.most and self._waiting > self._starting:
                        self._grow()
                    if not self._all and not self._starting:
                        raise Failed(self._why or "No inference unit is there.")
                    self._change.wait(1.0)
            finally:
                self._waiting -= 1

    def _give_back(self, unit: Unit) -> None:
        with self._change:
            if unit in self._all:  # it may have been closed meanwhile
                self._free.append(unit)
            self._change.notify_all()

    def _lost(self, unit: Unit) -> None:
        unit.end()
        with self._change:
            if unit in self._all:
                self._all.remove(unit)
            if not self._closed and len(self._all) + self._starting < self.least:
                self._grow()
            self._change.notify_all()

    def _grow(self) -> None:
        """Start one more, while others go on."""
        self._starting += 1

        def add() -> None:
            unit, why = None, ""
            try:
                unit = self._start()
            except (Failed, OSError) as error:
                why = str(error)
                _LOG.warning("An inference unit could not be started: %s", error)
            with self._change:
                self._starting -= 1
                self._why = why
                if unit is not None and not self._closed:
                    self._all.append(unit)
                    self._free.append(unit)
                    unit = None
                self._change.notify_all()
            if unit is not None:
                unit.end()

        threading.Thread(target=add, name="inference unit", daemon=True).start()

    def tidy(self) -> None:
        """End what has had no work for long, or is stuck, and replace what has ended unasked."""
        now = time.monotonic()
        with self._change:
            ended = [one for one in self._free if one.process.poll() is not None]
            for unit in ended:
                self._free.remove(unit)
                self._all.remove(unit)
            while not self._closed and len(self._all) + self._starting < self.least:
                self._grow()
            spare = [one for one in self._free if now - one.free_since > IDLE][: max(0, len(self._all) - self.least)]
            for unit in spare:
                self._free.remove(unit)
                self._all.remove(unit)
            stuck = [one for one in self._all if one.since is not None and now - one.since > STUCK]
        for unit in (*ended, *spare):
            unit.end()  # closes its pipes too
        for unit in stuck:
            unit.process.kill()  # whoever waits for its answer hears that it ended

    def close(self, *, drain: float = DRAIN) -> None:
        """End all of them, after the images that are being judged."""
        end = time.monotonic() + drain
        with self._change:
            self._closed = True
            self._change.notify_all()
            while len(self._free) < len(self._all) and (left := end - time.monotonic()) > 0:
                self._change.wait(left)
            every, self._all, self._free = self._all, [], []
        for unit in every:
            unit.end()
