"""Keep the histogram of each day's scores, and the findings that follow from it.

Both come from the lines alone: at a start they are made again, so that what a kill kept from being written is written
then, and nothing is told twice.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from .drift import Day, Departure, Reference, Rules, edges
from .journal import Line, mend
from .room import write_whole

__all__ = ["Days", "Finding"]

Finding = dict[str, Any]
"""One oddity, ready for JSON: time, day, severity, rule, text, repair, since, numbers, model."""

_REPAIRS = {
    "score-drift": (
        "Look at the overlays of today beside older ones: camera, light, lens, parts. If the line is meant to "
        "look like this, label some of these images and train again."
    ),
    "many-rejects": (
        "Look at what is rejected. If rightly, the line makes scrap; if not, see to camera and light, or train again."
    ),
    "hook-passed-over": "See to the hook; the lines are in the files of results and can be sent again from there.",
}


class Days:
    """Count the scores of each day, and tell what they say.

    Parameters
    ----------
    folder
        of the results.
    reference
        what the training knows of scores; None where the model does not say.
    rules
        how a day is judged.
    model
        whose lines count.
    """

    def __init__(self, folder: Path, reference: Reference | None, rules: Rules, model: str) -> None:
        self.folder = folder
        self.reference = reference
        self.rules = rules
        self.model = model
        self.day: Day | None = None
        self.unreadable = 0
        self._before = ""  # the day with images before this one
        self._since: dict[tuple[str, str], str] = {}
        self._unwritten: list[Finding] = []
        self._changed = False
        path = folder / "findings.jsonl"
        if path.is_file():
            mend(path)
            for raw in path.read_bytes().splitlines():
                with suppress(ValueError, KeyError, TypeError):
                    finding = json.loads(raw)
                    self._since[finding["day"], finding["rule"]] = finding["since"]

    def add(self, day: str, line: Line) -> None:
        """Count a line of a day; days come one after the other."""
        if self.day is None or self.day.name != day:
            self.turn(day)
        assert self.day is not None
        self._changed = True
        if "error" in line:
            self.unreadable += 1
        elif line.get("model") == self.model:
            self._tell(self.day.add(line["score"], line["is_anomalous"]))

    def turn(self, day: str) -> None:
        """End the day before and begin another one."""
        if self.day is not None:
            self._tell(self.day.close())
            self._write_histogram(closed=True)
            if self.day.images:
                self._before = self.day.name
        self.day, self.unreadable = Day(day, self.reference, self.rules), 0

    def report(self, rule: str, severity: str, text: str, numbers: dict[str, Any], day: str) -> None:
        """Tell a finding, once for each rule and day."""
        if (day, rule) in self._since:
            return
        since = self._since.get((self._before, rule), day)
        self._since[day, rule] = since
        self._unwritten.append({
            "time": datetime.now().astimezone().isoformat(timespec="seconds"), "day": day, "severity": severity,
            "rule": rule, "text": text, "repair": _REPAIRS.get(rule.partition(" ")[0]), "since": since,
            "numbers": numbers, "model": self.model,
        })  # fmt: skip

    def write(self) -> list[Finding]:
        """Write what has changed, as far as the disk takes it; return the findings that are new in their file."""
        if self._changed:
            self._write_histogram(closed=False)
        if not self._unwritten:
            return []
        data = b"".join(json.dumps(finding).encode() + b"\n" for finding in self._unwritten)
        path = self.folder / "findings.jsonl"
        length = path.stat().st_size if path.is_file() else 0
        try:
            with path.open("ab") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            with suppress(OSError):
                os.truncate(path, length)
            return []
        new, self._unwritten = self._unwritten, []
        return new

    def facts(self) -> dict[str, Any] | None:
        """Return what is known of the day, ready for JSON."""
        if self.day is None:
            return None
        since = {rule: self._since[day, rule] for day, rule in self._since if day == self.day.name}
        return self.day.facts() | {"since": since}

    def _tell(self, departures: list[Departure]) -> None:
        assert self.day is not None
        for one in departures:
            numbers = {"images": self.day.images} | one.numbers
            self.report(one.rule, "warning", one.text, numbers, self.day.name)

    def _write_histogram(self, *, closed: bool) -> None:
        assert self.day is not None
        day, path = self.day, self.folder / f"histogram-{self.day.name}.json"
        facts = {
            "day": day.name, "model": self.model, "images": day.images, "rejected": day.rejected,
            "unreadable": self.unreadable, "closed": closed, "edges": edges(), "counts": day.counts,
        }  # fmt: skip
        data = json.dumps(facts).encode() + b"\n"
        with suppress(OSError):  # it can be made again
            if not path.is_file() or path.read_bytes() != data:
                write_whole(path, data)
            self._changed = False
