"""Watch a folder: images in, JSON Lines and overlays out, each image exactly once across kills and restarts."""

from __future__ import annotations

import argparse
import errno
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

from .drift import Rules
from .inspection import Inspection, Options, say

__all__ = ["main"]

_PATIENCE = 3.0
"""Seconds for which the lock of a folder of results is asked for."""


def main(arguments: list[str], *, folder: Path, runtime: ModuleType) -> int:
    """Watch a folder until SIGTERM or Ctrl-C, and end after the image that is being looked at.

    Parameters
    ----------
    arguments
        of the command line, after ``watch``.
    folder
        of the package.
    runtime
        its module ``runtime``.

    Returns
    -------
    int
        0 if it was ended, or with ``--once`` if all was answered and delivered; 1 if it could not begin, or not do all;
        2 if the arguments are wrong.
    """
    try:
        options = _options(arguments, folder)
    except SystemExit as end:
        return int(end.code or 0)
    while True:
        try:
            return _watch(options, folder, runtime)
        except (OSError, ValueError) as error:
            say(f"error: {error}")
            if options.once or getattr(error, "errno", None) not in (errno.ENOSPC, errno.EDQUOT):
                return 1
        time.sleep(1.0)  # there is not even room to begin


def _watch(options: Options, folder: Path, runtime: ModuleType) -> int:
    options.out.mkdir(parents=True, exist_ok=True)
    with _alone(options.out / ".lock"):
        inspection = Inspection(options, folder, runtime)
        with _ending(inspection):
            say(f"Watching {options.source} with {inspection.model}; results in {options.out}.")
            return inspection.run()


def _options(arguments: list[str], folder: Path) -> Options:
    parser = _parser()
    given = vars(parser.parse_args(arguments))
    source, out = given["source"].absolute(), given["out"].absolute()
    places = source.resolve(), out.resolve()
    if places[1].is_relative_to(places[0]) or places[0].is_relative_to(places[1]):
        parser.error(f"IN and OUT must not lie in one another: {source}, {out}")
    if places[1].is_relative_to(folder.resolve()):
        parser.error(f"OUT must not lie in the package, which is checked file by file: {out}")
    rules = Rules(given.pop("drift_images"), given.pop("false_alarms"), given.pop("most_rejects"))
    return Options(**given | {"source": source, "out": out, "rules": rules})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "watch",
        description="Answer each image that comes into IN, once. In OUT: results-DAY.jsonl has a line for each, "
        "pictures/ its overlay and mask, histogram-DAY.json the scores, findings.jsonl what is odd, status.json how it "
        "stands. Files in IN are only read.",
    )
    add = parser.add_argument
    add("source", metavar="IN", type=Path, help="folder of images; what lies below it counts as well")
    add("out", metavar="OUT", type=Path, help="folder of results, made where it is not there")
    add("--once", action="store_true", help="answer what is there, deliver it, and end")
    add("--overlays", choices=("rejected", "all", "none"), default="rejected", help="of which images (%(default)s)")
    add("--move", action="store_true", help="move answered images to OUT/passed, rejected and unreadable")
    add("--still", type=_number(0), default=1.0, metavar="S",
        help="seconds for which a file must not have changed (%(default)g)")  # fmt: skip
    add("--poll", type=_number(0.01), default=0.25, metavar="S", help="seconds between two looks (%(default)g)")
    hooks = parser.add_argument_group("tell others of each line, in order, at least once")
    add = hooks.add_argument
    add("--run", metavar="COMMAND", help="is given the line on its standard input; exit code 0 takes it")
    add("--shell", action="store_true", help="let the shell run COMMAND")
    add("--post", metavar="URL", help="the line is posted there; STATION_AUTHORIZATION is the header Authorization")
    add("--hook-timeout", type=_number(0.1), default=30.0, metavar="S", help="seconds for one try (%(default)g)")
    add("--hook-attempts", type=_whole(1), metavar="N", help="pass a line over after N tries (never)")
    add("--max-backlog", type=_whole(1), default=100_000, metavar="N", help="lines that may wait (%(default)s)")
    disk = parser.add_argument_group("bounded disk")
    add = disk.add_argument
    add("--keep-days", type=_whole(1), metavar="N", help="remove older pictures and delivered lines (never)")
    # fmt: off
    add("--max-megabytes", type=_whole(1), default=10_000, metavar="N",
        help="of pictures and lines; the oldest pictures go first (%(default)s)")
    add("--free-megabytes", type=_whole(0), default=500, metavar="N",
        help="free disk below which no pictures are written; below half of it no images are taken (%(default)s)")
    # fmt: on
    scores = parser.add_argument_group("scores that leave the training's")
    add = scores.add_argument
    add("--drift-images", type=_whole(1), default=50, metavar="N", help="a day's images to begin with (%(default)s)")
    add("--false-alarms", type=_number(1), default=1000.0, metavar="DAYS",
        help="days of which one may be told by chance (%(default)g)")  # fmt: skip
    add("--most-rejects", type=_number(0), default=0.5, metavar="SHARE",
        help="of a good day's images, 0 to 1 (%(default)g)")  # fmt: skip
    return parser


def _number(least: float) -> Any:
    def number(text: str) -> float:
        value = float(text)
        if not least <= value < float("inf"):
            raise argparse.ArgumentTypeError(f"a number from {least:g} is needed, not {text}")
        return value

    return number


def _whole(least: int) -> Any:
    def integer(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"a whole number from {least} is needed, not {text}")
        return value

    return integer


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold a lock that ends with the process, however that ends; two would answer each image twice.

    A command that a killed process was just starting holds it for a moment longer, so it is asked for again.
    """
    until = time.monotonic() + _PATIENCE
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        with suppress(ModuleNotFoundError):  # elsewhere than on Unix nobody is kept out
            import fcntl

            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > until:
                        text = f"Another process writes to {path.parent}; each needs a folder of its own."
                        raise ValueError(text) from None
                time.sleep(0.05)
        yield
    finally:
        os.close(file)


@contextmanager
def _ending(inspection: Inspection) -> Iterator[None]:
    """End the inspection at SIGTERM and SIGINT."""

    def end(_number: int, _frame: FrameType | None) -> None:
        inspection.ended.set()

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
