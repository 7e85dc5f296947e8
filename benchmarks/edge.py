"""What a package costs on the line, beside the model in process and the hosted one: cold start, images/s, memory, bits.

    python benchmarks/edge.py [--data biscuit] [--preset balanced] [--rounds 5] [--repeats 5] [--threads 1]
                              [--python PYTHON] [--quick] [--json OUT]

A model is trained on a bundled set and exported with golden images; everything then answers the same image files, one
at a time, with the same number of threads. The package runs in an environment that is made for it and holds numpy,
onnxruntime and Pillow alone, in the versions of its requirements.txt (pip fetches them; --python names one that is
there). Each round starts every way anew, in an order that turns, so that the load of the machine meets all of them.

Ways: *model.predict* a process of its own with the whole toolkit; *hosted unit* what a server keeps for each hosted
model (workspace/units.py; one thread always); *package, in Python* `runtime.py` imported; *package, HTTP* `python
FOLDER serve` and one client on one connection; *package, command* `python FOLDER predict IMAGE`, which ends after one.

Columns: *cold start* seconds from the start of the process to its first answer, checksums included where the way
verifies them; *images/s* by wall, decoding included; *CPU ms* of the answering process for one image; *peak MB* the
largest resident memory of that process; *speed* images/s over those of model.predict, medians of the rounds' ratios;
*identical* images whose score, heat map and mask are those of model.predict to the last bit (over HTTP: confidence,
shares and mask, which is all that is said there).
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import hashlib
import http.client
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import vision_toolkit as vt
from vision_toolkit.models import runtime
from vision_toolkit.workspace.units import Unit

TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
OURS = """
import vision_toolkit as vt
model = vt.load(folder, threads=threads)
def answer(data):
    said = model.predict(data)
    return said.score, said.map, None if said.mask is None else said.mask.ids
"""
PACKAGE = """
sys.path.insert(0, folder)
import runtime
model = runtime.Runtime.load(folder, threads)
def answer(data):
    said = model.predict([runtime.read(data)])[0]
    return said["score"], said["map"], said["ids"]
"""
HEAD = """
import hashlib, json, sys, time
folder, threads, began, repeats, *paths = sys.argv[1:]
threads, began, repeats = int(threads), float(began), int(repeats)
"""
TAIL = """
files = [open(path, "rb").read() for path in paths]
def digest(score, heat, ids):
    return hashlib.sha256(score.hex().encode() + heat.tobytes() + (b"" if ids is None else ids.tobytes())).hexdigest()
answer(files[0])
cold = time.time() - began
wall, cpu = time.perf_counter(), time.process_time()
for _ in range(repeats):
    for data in files:
        answer(data)
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
said = [digest(*answer(data)) for data in files]
print(json.dumps({"cold": cold, "wall": wall, "cpu": cpu, "peak": None, "said": said}))
sys.stdout.flush()
sys.stdin.read()
"""


@dataclass
class Run:
    """Hold what one way did in one round; seconds, megabytes, and what it said of each image."""

    cold: float
    wall: float | None = None
    cpu: float | None = None
    peak: float | None = None
    said: list[Any] = field(default_factory=list)


@dataclass
class Bench:
    """Hold what every way needs: the package, the images, and how they are asked."""

    folder: Path
    images: list[Path]
    python: str
    threads: int
    repeats: int

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables of a process that answers."""
        return os.environ | {"VISION_TOOLKIT_THREADS": str(self.threads), "OMP_WAIT_POLICY": "PASSIVE"}

    @property
    def bare(self) -> dict[str, str]:
        """Return them without what leads to this toolkit."""
        return {name: value for name, value in self.environment.items() if name != "PYTHONPATH"}

    def program(self, python: str, text: str) -> Run:
        """Run a program of ours or of the package in a process of its own."""
        began = time.time()
        words = [str(self.folder), str(self.threads), str(began), str(self.repeats), *map(str, self.images)]
        process = subprocess.Popen(
            [python, "-c", HEAD + text + TAIL, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=self.environment if text is OURS else self.bare,
        )  # fmt: skip
        assert process.stdin is not None and process.stdout is not None
        line = process.stdout.readline()
        run = Run(**json.loads(line))
        run.peak = peak_of(process.pid)
        process.communicate()
        return run

    def ours(self) -> Run:
        """Let the toolkit answer in a process."""
        return self.program(sys.executable, OURS)

    def package(self) -> Run:
        """Let the package's runtime.py answer in a process."""
        return self.program(self.python, PACKAGE)

    def command(self) -> Run:
        """Let the package's command line answer one image."""
        began = time.time()
        words = [self.python, str(self.folder), "predict", str(self.images[0])]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=self.bare)
        assert process.stdout is not None
        line = process.stdout.readline()
        cold = time.time() - began
        process.communicate()
        assert "score" in json.loads(line), line
        return Run(cold)

    def served(self) -> Run:
        """Let the package's server answer a client."""
        began = time.time()
        words = [self.python, str(self.folder), "serve", "--port", "0"]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=self.bare)
        assert process.stdout is not None
        try:
            address = json.loads(process.stdout.readline())["serving"].removeprefix("http://")
            connection = http.client.HTTPConnection(address, timeout=60)

            def answer(data: bytes) -> Any:
                connection.request("POST", "/detect", data)
                return json.loads(connection.getresponse().read())

            return self._asked(began, process.pid, answer)
        finally:
            process.terminate()
            process.communicate()

    def unit(self) -> Run:
        """Let an inference unit answer, as a server does."""
        began = time.time()
        unit = Unit(self.folder)
        try:
            return self._asked(began, unit.process.pid, lambda data: digest(unit.ask(data)))
        finally:
            unit.end()

    def _asked(self, began: float, pid: int, answer: Callable[[bytes], Any]) -> Run:
        files = [path.read_bytes() for path in self.images]
        answer(files[0])
        run = Run(time.time() - began)
        wall, cpu = time.perf_counter(), cpu_of(pid)
        for _ in range(self.repeats):
            for data in files:
                answer(data)
        run.wall, used = time.perf_counter() - wall, cpu_of(pid)
        run.cpu = None if used is None or cpu is None else used - cpu
        run.said = [answer(data) for data in files]
        run.peak = peak_of(pid)
        return run


WAYS: dict[str, Callable[[Bench], Run]] = {
    "model.predict": Bench.ours,
    "hosted unit": Bench.unit,
    "package, in Python": Bench.package,
    "package, HTTP": Bench.served,
    "package, command": Bench.command,
}


def digest(said: dict[str, Any]) -> str:
    """Return a score, heat map and mask in few characters."""
    ids = b"" if said["ids"] is None else said["ids"].tobytes()
    return hashlib.sha256(float(said["score"]).hex().encode() + said["map"].tobytes() + ids).hexdigest()


def peak_of(pid: int) -> float | None:
    """Return the largest resident memory of a process in megabytes, where the system tells."""
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/status").read_text().partition("VmHWM:")[2].split()[0]) / 1024
    return None


def cpu_of(pid: int) -> float | None:
    """Return the seconds of CPU that a process has used, all threads, where the system tells."""
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS
    return None


def expected(folder: Path, images: Sequence[Path], threads: int) -> list[Any]:
    """Return what DetectAnomalies says of each image, from model.predict."""
    model, said = vt.load(folder, threads=threads), []
    for path in images:
        seen = model.predict(path)
        answer = {"score": seen.score, "ids": None if seen.mask is None else seen.mask.ids}
        known = runtime.detected(answer, model.info)
        if "AnomalyMask" in known:
            known["AnomalyMask"] = base64.b64encode(known["AnomalyMask"]).decode()
        said.append({"DetectAnomalyResult": known})
    return said


def clean_environment(folder: Path, package: Path) -> str:
    """Make an environment that holds the three packages alone; return its Python."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = str(folder / "bin" / "python")
    words = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps", "-r"]
    subprocess.run([*words, str(package / "requirements.txt")], check=True)
    return python


def prepare(options: argparse.Namespace, folder: Path) -> tuple[Path, list[Path]]:
    """Train and export; return the package and the image files to ask."""
    parts = vt.load_dataset(options.data)
    if options.quick:
        parts = parts.filter(label="normal")[:12] + parts.filter(label="anomaly")[:8]
    train, test = vt.train_test_split(parts, test_size=0.3, seed=0)
    if options.quick:
        model = vt.train(train, weights=None, preset="fast", progress=False)
    else:
        model = vt.train(train, preset=options.preset, progress=False)
    export = model.export(folder / "package", golden=test[: 2 if options.quick else 12])
    print(f"{options.data}: {model!r}\n{export}\n", flush=True)
    images = [Path(entry.location) for entry in test][: 4 if options.quick else None]
    return export.path, images


def measure(bench: Bench, rounds: int) -> dict[str, list[Run]]:
    """Run every way in every round, in an order that turns."""
    runs: dict[str, list[Run]] = {name: [] for name in WAYS}
    order = list(WAYS)
    for number in range(rounds):
        for name in order[number % len(order) :] + order[: number % len(order)]:
            runs[name].append(WAYS[name](bench))
    return runs


def figures(bench: Bench, runs: dict[str, list[Run]]) -> dict[str, dict[str, Any]]:
    """Return the medians of each way, its speed beside model.predict, and how many images it answers identically."""
    first, count = runs["model.predict"], len(bench.images) * bench.repeats
    known = {"package, HTTP": expected(bench.folder, bench.images, bench.threads)}
    found: dict[str, dict[str, Any]] = {}
    for name, every in runs.items():
        told: dict[str, Any] = {"cold": statistics.median(run.cold for run in every)}
        walls = [run.wall for run in every if run.wall is not None]
        if walls:
            told["images_per_second"] = count / statistics.median(walls)
            pairs = zip(first, every, strict=True)
            told["speed"] = statistics.median(one.wall / two.wall for one, two in pairs if one.wall and two.wall)
            truth = known.get(name, first[0].said)
            told["identical"] = min(sum(one == two for one, two in zip(run.said, truth, strict=True)) for run in every)
            told["images"] = len(bench.images)
        for key, scale in (("cpu", 1000 / count), ("peak", 1.0)):
            values = [value for run in every if (value := getattr(run, key)) is not None]
            told[key] = statistics.median(values) * scale if values else None
        found[name] = told
    return found


def page(found: dict[str, dict[str, Any]]) -> list[str]:
    """Return the table."""

    def cell(value: float | None, digits: int) -> str:
        return "–" if value is None else f"{value:,.{digits}f}"

    lines = ["| way | cold start, s | images/s | CPU ms | peak MB | speed | identical |", "|---" * 7 + "|"]
    for name, told in found.items():
        same = f"{told['identical']} of {told['images']}" if "identical" in told else "–"
        lines.append(
            f"| {name} | {told['cold']:.2f} | {cell(told.get('images_per_second'), 1)} | {cell(told['cpu'], 1)} | "
            f"{cell(told['peak'], 0)} | {cell(told.get('speed'), 2)} | {same} |"
        )
    return lines


def read_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("--data", default="biscuit", help="a bundled set")
    parser.add_argument("--preset", default="balanced", help="how the model is trained")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=5, help="how often the images are asked in a round")
    parser.add_argument("--threads", type=int, default=1, help="of one computation; a hosted unit has one")
    parser.add_argument("--python", help="one that has numpy, onnxruntime and Pillow, in place of a new environment")
    parser.add_argument("--quick", action="store_true", help="few images, one round, an untrained network")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    if options.quick:
        options.rounds = options.repeats = 1
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    options = read_options(arguments)
    load = os.getloadavg()
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    print(f"{machine}; load {load[0]:.1f} at the start; {options.threads} thread(s)")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        package, images = prepare(options, folder)
        python = options.python or clean_environment(folder / "environment", package)
        bench = Bench(package, images, python, options.threads, options.repeats)
        found = figures(bench, measure(bench, options.rounds))
    print("\n".join(page(found)))
    print(f"\n{len(images)} images, {options.rounds} rounds; load {os.getloadavg()[0]:.1f} at the end")
    if options.json is not None:
        options.json.write_text(json.dumps({"machine": machine, "load": load, "ways": found}, indent=1), "utf-8")


if __name__ == "__main__":
    main()
