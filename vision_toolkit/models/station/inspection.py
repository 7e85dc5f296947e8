"""Answer each image that comes into a folder: once, in the order of their coming, whatever happens in between."""

from __future__ import annotations

import hashlib
import json
import math
import os
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from .arrivals import Arrival, Arrivals
from .days import Days
from .draw import overlay_jpeg
from .drift import Reference, Rules
from .hooks import Command, Delivery, Post
from .journal import FATES, Journal, Line, fate
from .pictures import Mark, move_image, read_image
from .room import Room, write_whole

__all__ = ["Inspection", "Options"]

ATTEMPTS = 5
"""After so many processes that ended while they looked at an image it is told as unreadable."""
READS = 3
"""So often an image is read whose disk refuses, before it is told as unreadable."""


@dataclass(frozen=True, slots=True)
class Options:
    """Hold what an inspection is told to do; the command line explains each."""

    source: Path
    out: Path
    once: bool = False
    overlays: str = "rejected"
    move: bool = False
    still: float = 1.0
    poll: float = 0.25
    run: str | None = None
    shell: bool = False
    post: str | None = None
    hook_timeout: float = 30.0
    hook_attempts: int | None = None
    max_backlog: int = 100_000
    keep_days: int | None = None
    max_megabytes: int | None = 10_000
    free_megabytes: int = 500
    rules: Rules = field(default_factory=Rules)


class Inspection:
    """Watch a folder with a model.

    Parameters
    ----------
    options
        what to do.
    folder
        of the package.
    runtime
        its module ``runtime``.

    Raises
    ------
    OSError
        if the folder of results cannot be written.
    ValueError
        if the model cannot be loaded, or an option is not understood.
    """

    def __init__(self, options: Options, folder: Path, runtime: ModuleType) -> None:
        self.options = options
        self.runtime = runtime
        self.model = fingerprint(folder)
        self.predictor = runtime.load_configured(folder)
        self.info: Mapping[str, Any] = self.predictor.info
        self.out = options.out
        self.ended = threading.Event()
        self.counts: Counter[str] = Counter()
        self.recent: deque[float] = deque()
        self.last: Line | None = None
        self.trouble: str | None = None
        self.code = 0
        self.started = _now()
        self.days = Days(self.out, Reference.of(self.info), options.rules, self.model)
        self.journal = Journal(self.out, self.days.add)
        self.room = Room(
            self.out, keep_days=options.keep_days, least_free=options.free_megabytes * 1_000_000,
            most=None if options.max_megabytes is None else options.max_megabytes * 1_000_000,
        )  # fmt: skip
        self.room.forget_after(self.journal.sequence)
        self.arrivals = Arrivals(options.source, self.journal.answered, still=options.still)
        self.queue: deque[Arrival] = deque()
        self.to_move: deque[tuple[Arrival, str]] = deque()
        self.reads: Counter[int] = Counter()
        self.passed_over: deque[tuple[str, str, int]] = deque()
        self.hooks = self._hooks()
        self._mark = Mark(self.out / ".current")
        self._next_look = self._next_chores = 0.0
        self._state = ""

    def run(self) -> int:
        """Answer images until :attr:`ended` is set, or with ``once`` until none is left; return the exit code."""
        for hook in self.hooks:
            hook.start()
        if self.journal.damaged:
            say(f"{self.journal.damaged} lines of results are damaged and were passed over.")
        try:
            while not self.ended.is_set():
                self._look()
                self._chores()
                state = self._obstacle()
                if self.queue and state is None:
                    self._answer(self.queue.popleft())
                elif self.options.once and (state is not None or not self.arrivals.waiting):
                    self._finish(state)
                    break
                else:
                    self.ended.wait(self.options.poll)
        finally:
            for hook in self.hooks:
                hook.end()
            self._chores(end=True)
            self.journal.close()
            self._mark.close()
        return self.code

    # ---------------------------------------------------------------- what comes

    def _look(self) -> None:
        now = time.monotonic()
        if now < self._next_look:
            return
        self.queue.extend(self.arrivals.look())
        if self.options.move:
            self.to_move.extend((one, self.journal.answered[one.number]) for one in self.arrivals.left)
        self.arrivals.left.clear()
        took = time.monotonic() - now
        self._next_look = time.monotonic() + max(self.options.poll, 20 * took)

    def _obstacle(self) -> str | None:
        """Return why no image is taken, or None."""
        self.room.measure()
        state = None
        if not self.room.taking:
            needed = self.options.free_megabytes / 2
            state = f"no room: {self.room.free // 1_000_000} MB are free, and it takes {needed:g} MB"
        elif not self.arrivals.is_there:
            state = f"no input: {self.options.source} is not there"
        if (state or "") != self._state:
            self._state = state or ""
            say(state or "Going on.")
            self._write_status()
        return state

    def _finish(self, obstacle: str | None) -> None:
        """Deliver what is left, up to the first failure."""
        self.code = 1 if obstacle else 0
        for hook in self.hooks:
            if not hook.finish(self.ended):
                say(f"{hook.backlog} lines wait for the hook {hook.name}: {hook.trouble}")
                self.code = 1

    # ---------------------------------------------------------------- one image

    def _answer(self, arrival: Arrival) -> None:
        if arrival.number in self.journal.answered:  # it was there twice in the queue
            return
        started = time.perf_counter()
        sequence, day = self.journal.sequence + 1, max(self.journal.day, _today())
        line: Line = {
            "sequence": sequence, "time": "", "source": arrival.source, "size": arrival.size,
            "mtime_ns": arrival.mtime_ns,
        }  # fmt: skip
        tried = self._mark.set(arrival.number)
        if tried > ATTEMPTS:
            found: Line | None = {"error": f"the process ended {tried - 1} times while it looked at this image"}
        else:
            found = self._judge(arrival, f"{sequence:09}", day)
        if found is None:
            self._mark.set(0)
            return
        line |= found | {"model": self.model, "seconds": round(time.perf_counter() - started, 3)}
        line["time"] = _now()
        if self._append(line, day):
            self._answered(arrival, line, day)

    def _judge(self, arrival: Arrival, name: str, day: str) -> Line | None:
        """Return what is said of an image; None where it is not there, or not whole yet."""
        try:
            data = self._read(arrival)
        except OSError as error:
            self.reads[arrival.number] += 1
            if self.reads[arrival.number] < READS:
                self.arrivals.again(arrival)
                return None
            return {"error": f"it cannot be read: {error.strerror or error}"}
        if data is None:
            return None
        try:
            image = self.runtime.read(data)
            answer = self.predictor.predict([image])[0]
            if not math.isfinite(answer["score"]):
                raise ValueError("the model gives no finite score")
        except Exception as error:  # noqa: BLE001 - a line that stands still for one bad image is worse than any error
            if not arrival.watched:  # it may have been taken too early
                self.arrivals.again(arrival)
                return None
            return {"error": str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"}
        anomalous, confidence = self.runtime.judge(answer["score"], self.info["threshold"])
        line: Line = {
            "is_anomalous": anomalous, "confidence": confidence, "score": round(answer["score"], 6),
            "threshold": self.info["threshold"], "anomalies": self._areas(answer["ids"]), "overlay": None, "mask": None,
        }  # fmt: skip
        if self.options.overlays == "all" or (self.options.overlays == "rejected" and anomalous):
            line |= self._draw(image, answer, name, day)
        return line

    def _read(self, arrival: Arrival) -> bytes | None:
        """Return the bytes of an image; None where it is not there any more, or was written meanwhile."""
        try:
            data = read_image(self.options.source, arrival)
        except FileNotFoundError:
            self.arrivals.forget(arrival)
            self.counts["vanished"] += 1
            return None
        if data is None:
            self.arrivals.again(arrival)
        return data

    def _areas(self, ids: Any) -> list[dict[str, Any]]:
        """Return the types that are painted, each with its share of the image."""
        if ids is None:
            return []
        names = self.info["types"]
        shares = np.bincount(ids.ravel(), minlength=len(names) + 1) / ids.size
        found = [{"name": name, "area": round(float(shares[i]), 6)} for i, name in enumerate(names, 1) if shares[i]]
        return sorted(found, key=lambda one: -one["area"])

    def _draw(self, image: Any, answer: dict[str, Any], name: str, day: str) -> Line:
        """Write the pictures of an image as far as there is room; return their names."""
        line: Line = {}
        if not self.room.pictures:
            self.counts["without pictures"] += 1
            return line
        colours = self.info["colours"]
        try:
            data = overlay_jpeg(image, answer, colours)
            line["overlay"] = self.room.write_picture(day, f"{name}-overlay.jpg", data)
            if answer["ids"] is not None:
                line["mask"] = self.room.write_picture(
                    day, f"{name}-mask.png", self.runtime.painted(answer["ids"], colours)
                )
        except (OSError, MemoryError) as error:
            self.counts["without pictures"] += 1
            self.trouble = f"{_now()} a picture cannot be written: {error}"
        return line

    def _append(self, line: Line, day: str) -> bool:
        """Write a line, however long it takes; return False if it is time to end."""
        while True:
            try:
                self.journal.append(line, day)
                return True
            except OSError as error:
                self.trouble = f"{line['time']} a line cannot be written: {error.strerror or error}"
                if not self._state:
                    self._state = self.trouble
                    say(f"{self.trouble}; it is tried again until it can be.")
                self._write_status()
                if self.options.once:
                    self.code = 1
                    self.ended.set()
                if self.ended.wait(0.5):
                    return False

    def _answered(self, arrival: Arrival, line: Line, day: str) -> None:
        """Do what may be lost: it follows from the line."""
        self.counts[fate(line)] += 1
        self.last = line
        self.recent.append(time.monotonic())
        self.reads.pop(arrival.number, None)
        self.days.add(day, line)
        for hook in self.hooks:
            hook.wake()
        if self.options.move:
            self.to_move.append((arrival, fate(line)))
            self._move()

    def _move(self) -> None:
        for _ in range(len(self.to_move)):
            arrival, name = self.to_move.popleft()
            try:
                if move_image(self.options.source, arrival, self.out / name):
                    self.arrivals.forget(arrival)
            except OSError as error:
                self.trouble = f"{_now()} {arrival.source} cannot be moved: {error.strerror or error}"
                self.to_move.append((arrival, name))
                return

    # ---------------------------------------------------------------- beside it

    def _hooks(self) -> list[Delivery]:
        options, hooks = self.options, []
        sends: dict[str, Any] = {}
        if options.run is not None:
            sends["run"] = Command(options.run, shell=options.shell, timeout=options.hook_timeout)
        if options.post is not None:
            sends["post"] = Post(
                options.post, station=_station(self.out), timeout=options.hook_timeout,
                authorization=os.environ.get("STATION_AUTHORIZATION"),
            )  # fmt: skip
        for name, send in sends.items():
            hooks.append(
                Delivery(
                    name,
                    self.journal,
                    send,
                    attempts=options.hook_attempts,
                    most=options.max_backlog,
                    passed_over=partial(self._note, name),
                )
            )
        return hooks

    def _note(self, name: str, why: str, sequence: int) -> None:
        """Note, in the hook's own thread, that it is not told of a line."""
        self.passed_over.append((name, why, sequence))

    def _chores(self, *, end: bool = False) -> None:
        """Write what can be made again, at most once a second."""
        now = time.monotonic()
        if now < self._next_chores and not end:
            return
        self._next_chores = now + 1.0
        today = max(self.journal.day, _today())
        if self.days.day is not None and self.days.day.name != today:
            self.days.turn(today)
        while self.passed_over:
            name, why, sequence = self.passed_over.popleft()
            text = f"The hook {name} is not told of line {sequence}, and maybe more: {why}."
            self.days.report(f"hook-passed-over {name}", "warning", text, {"sequence": sequence}, today)
        for finding in self.days.write():
            say(f"{finding['severity']}: {finding['text']} [{finding['rule']}]")
        undelivered = [hook.day for hook in self.hooks if hook.day is not None]
        with suppress(OSError):
            self.room.look(today, min([today, *undelivered]), self._keep_known)
        self._move()
        self._write_status("ended" if end else "")

    def _keep_known(self) -> None:
        self.journal.keep_known(set(self.arrivals.here.values()))

    def _write_status(self, state: str = "") -> None:
        now = time.monotonic()
        while self.recent and now - self.recent[0] > 60:
            self.recent.popleft()
        state = state or (self._state.partition(":")[0] if self._state else "running")
        facts = {
            "state": state, "time": _now(), "started": self.started, "process": os.getpid(), "model": self.model,
            "answered": self.journal.sequence, "since_start": {name: self.counts[name] for name in FATES},
            "vanished": self.counts["vanished"], "without_pictures": self.counts["without pictures"],
            "images_a_minute": len(self.recent), "waiting": len(self.queue) + self.arrivals.waiting,
            "last": self.last, "trouble": self.trouble, "why": self._state or None,
            "disk": {
                "free_megabytes": round(self.room.free / 1e6, 1), "used_megabytes": round(self.room.used / 1e6, 1),
                "pictures": self.room.pictures, "taking": self.room.taking, "removed": self.room.removed,
            },
            "hooks": {hook.name: hook.facts() for hook in self.hooks},
            "scores": self.days.facts(),
        }  # fmt: skip
        with suppress(OSError):
            write_whole(self.out / "status.json", json.dumps(facts, indent=1).encode() + b"\n")


def fingerprint(folder: Path) -> str:
    """Return what a model is called in each line: the component's name and version, or a sum of the model's files."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        component = json.loads((folder / "package.json").read_bytes())["component"]
        return f"{component['name']} {component['version']}"
    digest = hashlib.sha256()
    for name in ("model.json", "model.onnx"):
        digest.update(hashlib.sha256((folder / name).read_bytes()).digest())
    return f"sha256:{digest.hexdigest()[:16]}"


def say(text: str) -> None:
    """Say something to whoever looks at the log."""
    sys.stderr.write(f"{_now()} {text}\n")
    sys.stderr.flush()


def _station(out: Path) -> str:
    """Return the name of this folder of results: the same for ever, and no other has it."""
    path = out / "station.json"
    with suppress(OSError, ValueError, KeyError, TypeError):
        return str(json.loads(path.read_bytes())["id"])
    name = os.urandom(8).hex()
    write_whole(path, json.dumps({"id": name}).encode(), durable=True)
    return name


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="milliseconds")


def _today() -> str:
    return datetime.now().astimezone().date().isoformat()
