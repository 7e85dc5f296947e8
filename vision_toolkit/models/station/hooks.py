"""Tell a command or a URL of every line of results: in order, at least once, whatever fails and whoever is killed.

The lines themselves are what waits; only the place of the last one that was delivered is kept beside them. A hook that
is down is tried again, later each time, and holds up nothing but itself.
"""

from __future__ import annotations

import http.client
import io
import json
import os
import shlex
import signal
import subprocess
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from .journal import Journal, parse
from .room import write_whole

__all__ = ["Command", "Delivery", "Post", "Send"]

FIRST_WAIT, LONGEST_WAIT = 0.5, 60.0
"""Seconds before a line is tried again: twice as long each time."""

Send = Callable[[bytes, int, threading.Event], str | None]
"""What delivers: given a line, its sequence number and what says that it must end; returns why it failed, or None."""


class Command:
    """Run a command for each line, which it is given on its standard input; an exit code of 0 says that it is taken.

    Parameters
    ----------
    command
        split into words as a shell would do it, but run without one.
    shell
        run it by the shell instead.
    timeout
        seconds after which it is killed, with all that it started.

    Raises
    ------
    ValueError
        if no words are in it, or a quote is not closed.
    """

    def __init__(self, command: str, *, shell: bool = False, timeout: float = 30.0) -> None:
        self.words = ["/bin/sh", "-c", command] if shell else shlex.split(command)
        if not self.words or not command.strip():
            raise ValueError("The command is empty.")
        self.timeout = timeout

    def __call__(self, line: bytes, sequence: int, ended: threading.Event) -> str | None:
        """Run it once; return why it failed, or None."""
        try:
            process = subprocess.Popen(
                self.words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                start_new_session=True, env=os.environ | {"STATION_SEQUENCE": str(sequence)},
            )  # fmt: skip
        except OSError as error:
            return f"{self.words[0]} cannot be started: {error.strerror or error}"
        heard: list[bytes] = []
        talking = threading.Thread(target=_talk, args=(process, line, heard), daemon=True)
        talking.start()
        until = time.monotonic() + self.timeout
        try:
            while process.poll() is None:
                if ended.is_set() or time.monotonic() >= until:
                    return "ended before it was done" if ended.is_set() else f"no end within {self.timeout:g} s"
                ended.wait(0.005 if time.monotonic() < until - self.timeout + 0.2 else 0.05)
        finally:
            _kill(process)
            talking.join(1.0)
        if process.returncode == 0:
            return None
        words = b"".join(heard).decode("utf-8", "replace").strip().splitlines()
        return f"exit code {process.returncode}" + (f": {words[-1][:200]}" if words else "")


def _talk(process: subprocess.Popen[bytes], line: bytes, heard: list[bytes]) -> None:
    """Give a command its line, and keep the end of what it says."""
    assert process.stdin is not None and isinstance(process.stderr, io.BufferedReader)
    with process.stderr:
        with suppress(OSError):  # who does not read its input is no failure
            process.stdin.write(line)
        with suppress(OSError):
            process.stdin.close()
        while part := process.stderr.read1(65536):
            heard[:] = [*heard[-1:], part]


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a command that has not ended, and what it started."""
    if process.poll() is None:
        with suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class Post:
    """Post each line to a URL; a status of 200 to 299 says that it is taken.

    Parameters
    ----------
    url
        ``http://`` or ``https://``.
    station
        what the ``Idempotency-Key`` begins with; the sequence number follows. The same key is the same line.
    timeout
        seconds in which the other side must go on.
    authorization
        the header of that name, or None.

    Raises
    ------
    ValueError
        if it is no such URL.
    """

    def __init__(self, url: str, *, station: str, timeout: float = 30.0, authorization: str | None = None) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
            raise ValueError(f"A URL is http://HOST[:PORT]/PATH or https://..., without a password; {url!r} was given.")
        self.secure, self.host, self.port = parts.scheme == "https", parts.hostname, parts.port
        self.target = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
        self.station = station
        self.timeout = timeout
        self.headers = {"Content-Type": "application/json", "User-Agent": "vision-toolkit-station"}
        if authorization:
            self.headers["Authorization"] = authorization

    def __call__(self, line: bytes, sequence: int, _ended: threading.Event) -> str | None:
        """Post it once; return why it failed, or None."""
        kind = http.client.HTTPSConnection if self.secure else http.client.HTTPConnection
        connection = kind(self.host, self.port, timeout=self.timeout)
        try:
            headers = self.headers | {"Idempotency-Key": f'"{self.station}-{sequence}"'}
            connection.request("POST", self.target, body=line, headers=headers)
            answer = connection.getresponse()
            words = answer.read(2000).decode("utf-8", "replace").strip()
            if 200 <= answer.status < 300:
                return None
            return f"status {answer.status} {answer.reason}" + (f": {words[:200]}" if words else "")
        except (OSError, http.client.HTTPException) as error:
            return f"{type(error).__name__}: {error}"
        finally:
            connection.close()


class Delivery:
    """Deliver the lines of a journal to a hook, in a thread of its own.

    Parameters
    ----------
    name
        of the hook; ``hook-NAME.json`` beside the lines keeps how far it is.
    journal
        whose lines are delivered, from the next one on where the hook is new.
    send
        what delivers one line.
    attempts
        after which a line is passed over; None: it is tried until it is taken.
    most
        lines that may wait; beyond it the oldest are passed over.
    passed_over
        is told why a line was passed over, and its sequence number.
    """

    def __init__(
        self,
        name: str,
        journal: Journal,
        send: Send,
        *,
        attempts: int | None,
        most: int,
        passed_over: Callable[[str, int], None],
    ) -> None:
        self.name = name
        self.journal = journal
        self.send = send
        self.attempts = attempts
        self.most = most
        self.passed_over = passed_over
        self.trouble: str | None = None
        self.failures = 0
        self.path = journal.folder / f"hook-{name}.json"
        self.place = self._recall()
        self._ended = threading.Event()
        self._news = threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"hook {name}", daemon=True)

    @property
    def backlog(self) -> int:
        """Return how many lines wait."""
        return max(0, self.journal.sequence - int(self.place["sequence"]))

    @property
    def day(self) -> str | None:
        """Return the day whose lines are being delivered; None where none waits."""
        return str(self.place["day"]) if self.backlog else None

    def start(self) -> None:
        """Begin to deliver."""
        self._thread.start()

    def wake(self) -> None:
        """Say that there is a new line."""
        self._news.set()

    def finish(self, ended: threading.Event) -> bool:
        """Wait until nothing is left to deliver, up to the first failure; return whether nothing is."""
        while self.backlog and self.failures == 0 and self._thread.is_alive() and not ended.is_set():
            ended.wait(0.01)
        return not self.backlog

    def end(self) -> None:
        """End; what is under way is broken off and delivered again at the next start."""
        self._ended.set()
        self._news.set()
        if self._thread.is_alive():
            self._thread.join(5.0)

    def facts(self) -> dict[str, Any]:
        """Return how it stands, ready for JSON."""
        delivered, over = self.place["sequence"], self.place["passed_over"]
        return {
            "delivered": delivered, "backlog": self.backlog, "passed_over": over, "failures": self.failures,
            "trouble": self.trouble,
        }  # fmt: skip

    def _recall(self) -> dict[str, Any]:
        place: dict[str, Any] = {"sequence": self.journal.sequence, "day": self.journal.day, "passed_over": 0}
        place["offset"] = None  # the end of that day's file
        if self.path.is_file():
            try:
                kept = json.loads(self.path.read_bytes())
                return {"offset": int(kept["offset"])} | {
                    name: kept[name] for name in ("sequence", "day", "passed_over")
                }
            except (ValueError, KeyError, TypeError):
                # Better twice than never: all lines that are there.
                return {"sequence": 0, "day": "", "passed_over": 0, "offset": 0}
        path = self.journal.path(place["day"])
        place["offset"] = path.stat().st_size if path.is_file() else 0
        write_whole(self.path, json.dumps(place).encode(), durable=True)
        return place

    def _keep(self, place: dict[str, Any]) -> None:
        """Go on from a place, even where it cannot be written down: after a kill lines would only come again."""
        self.place = place
        try:
            write_whole(self.path, json.dumps(place).encode(), durable=True)
        except OSError as error:
            self.trouble = f"{self.path.name} cannot be written: {error.strerror or error}"

    def _work(self) -> None:
        while not self._ended.is_set():
            self._news.clear()
            try:
                for raw, place in self._lines():
                    if not self._deliver(raw, place):
                        return
            except OSError as error:  # the disk, not the hook
                self.trouble = f"{type(error).__name__}: {error}"
                self._ended.wait(1.0)
            self._news.wait(1.0)

    def _lines(self) -> Iterator[tuple[bytes, dict[str, Any]]]:
        """Yield each line that is on the disk and was not delivered, with the place behind it."""
        while True:
            days = sorted(p.stem.removeprefix("results-") for p in self.journal.folder.glob("results-????-??-??.jsonl"))
            day = next((day for day in days if day >= self.place["day"]), None)
            if day is None:
                return
            offset = self.place["offset"] if day == self.place["day"] else 0
            with self.journal.path(day).open("rb") as file:
                file.seek(offset)
                for raw in file:
                    line = parse(raw) if raw.endswith(b"\n") else None
                    if not raw.endswith(b"\n") or (line is not None and line["sequence"] > self.journal.sequence):
                        return  # not on the disk yet
                    offset += len(raw)
                    if line is not None and line["sequence"] > self.place["sequence"]:
                        yield raw, self.place | {"sequence": line["sequence"], "day": day, "offset": offset}
            later = [one for one in days if one > day]
            if not later:
                return
            self.place = self.place | {"day": later[0], "offset": 0}

    def _deliver(self, raw: bytes, place: dict[str, Any]) -> bool:
        """Deliver a line, however often it takes; return False if it is time to end."""
        wait, tried = FIRST_WAIT, 0
        while True:
            if self.journal.sequence - place["sequence"] >= self.most:
                return self._pass_over(place, f"more than {self.most} lines wait")
            self.trouble = self.send(raw, place["sequence"], self._ended)
            if self.trouble is None:
                self.failures = 0
                self._keep(place)
                return not self._ended.is_set()
            if self._ended.is_set():
                return False
            tried += 1
            self.failures += 1
            if self.attempts is not None and tried >= self.attempts:
                return self._pass_over(place, f"it failed {tried} times: {self.trouble}")
            if self._ended.wait(wait):
                return False
            wait = min(2 * wait, LONGEST_WAIT)

    def _pass_over(self, place: dict[str, Any], why: str) -> bool:
        place = place | {"passed_over": place["passed_over"] + 1}
        self._keep(place)
        self.passed_over(why, place["sequence"])
        return not self._ended.is_set()
