"""Kill an inspection at one step after the other, start it again each time, and look at what is left.

A step is all that reaches the disk: each call that opens a file to write, writes, waits for the disk, renames, removes
or cuts off. Each write of a line is also killed half-way. Run as a program, because it forks:
``killing.py FOLDER STRIDE``.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.models.station.conftest import Line, png

STEPS = {"os.rename", "os.remove", "os.truncate", "os.mkdir", "subprocess.Popen"}
COUNT = {"left": -1, "half": False}


def step(name: str, half: Callable[[], Any] = lambda: None) -> None:
    """Count a step, and die at the one that was chosen."""
    if COUNT["left"] < 0:
        return
    COUNT["left"] -= 1
    if COUNT["left"] < 0:
        half()
        os.kill(os.getpid(), signal.SIGKILL)


def audit(event: str, arguments: tuple[Any, ...]) -> None:
    writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
    if event in STEPS or writes:
        step(event)


def watch_calls() -> None:
    sys.addaudithook(audit)
    write, fsync, ftruncate = os.write, os.fsync, os.ftruncate
    os.write = (
        lambda file, data: (  # type: ignore[assignment]
            step("write", (lambda: write(file, bytes(data)[: len(data) // 2])) if COUNT["half"] else (lambda: None)),
            write(file, data),
        )[1]
    )
    os.fsync = lambda file: (step("fsync"), fsync(file))[1]  # type: ignore[assignment]
    os.ftruncate = lambda file, length: (step("ftruncate"), ftruncate(file, length))[1]  # type: ignore[assignment]


def child(line: Line, arguments: list[str], kill_at: int) -> bool:
    """Inspect in a process of its own; return whether it was killed."""
    number = os.fork()
    if number == 0:
        code = 70
        try:
            COUNT["left"] = kill_at
            sys.stderr = said = io.StringIO()
            code = line.once(*arguments)
            if code:
                print(said.getvalue(), file=sys.__stderr__, flush=True)
        finally:
            os._exit(code)
    _, ended = os.waitpid(number, 0)
    if os.WIFSIGNALED(ended):
        assert os.WTERMSIG(ended) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(ended) == 0, ended
    return False


NAMES = ["bad.png", "b/dark.png", "light.png"]


def fill(root: Path) -> Line:
    line = Line(root)
    for number, (name, data) in enumerate(zip(NAMES, (b"no image", png(20), png(200)), strict=True)):
        path = line.drop(name, data)
        os.utime(path, (1_000_000 + number,) * 2)
    return line


def look(line: Line, told: Path, moved: bool) -> None:
    """Look whether each image was answered once, and all that follows from the answers is there."""
    found = [json.loads(raw) for path in sorted(line.out.glob("results-*")) for raw in path.read_bytes().splitlines()]
    assert [one["source"] for one in found] == NAMES, found
    assert [one["sequence"] for one in found] == [1, 2, 3]
    assert ["error" in one for one in found] == [True, False, False]
    pictures = {path.relative_to(line.out).as_posix() for path in (line.out / "pictures").rglob("*") if path.is_file()}
    assert pictures == {one[kind] for one in found[1:] for kind in ("overlay", "mask")}
    (histogram,) = line.out.glob("histogram-*.json")
    facts = json.loads(histogram.read_bytes())
    assert (facts["images"], facts["rejected"], facts["unreadable"], sum(facts["counts"])) == (2, 1, 1, 2)
    heard = [json.loads(raw)["sequence"] for raw in told.read_bytes().splitlines()]
    assert sorted(set(heard)) == [1, 2, 3] and heard == sorted(heard), heard
    places = ["unreadable/bad.png", "passed/b/dark.png", "rejected/light.png"]
    for name, place in zip(NAMES, places, strict=True):
        assert (line.out / place).is_file() == moved, place
        assert (line.source / name).is_file() != moved, name


def kill_everywhere(root: Path, *, half: bool, moved: bool, stride: int) -> int:
    """Kill at each step, or at each of so many; return the first that there was none of."""
    kills = 0
    while True:
        place = root / "one"
        place.mkdir()
        line, told = fill(place), place / "told"
        arguments = ["--overlays", "all", "--run", f"cat >> '{told}'", "--shell", *(["--move"] if moved else [])]
        COUNT["half"] = half
        killed = child(line, arguments, kills)
        child(line, arguments, -1)
        look(line, told, moved)
        child(line, arguments, -1)  # and nothing is done again
        look(line, told, moved)
        shutil.rmtree(place)
        if not killed:
            return kills
        kills += stride


if __name__ == "__main__":
    watch_calls()
    base, stride = Path(sys.argv[1]), int(sys.argv[2])
    for half in (False, True):
        print(kill_everywhere(base, half=half, moved=not half, stride=stride))
