"""What hosting costs beyond the model itself: latency, images a second, an overrun server, cold starts.

    python benchmarks/hosting.py [--quick] [--preset balanced] [--rounds 300] [--seconds 6] [--starts 7] [--json OUT]

A real server (``vision-toolkit serve``) in a process of its own on a workspace in a temporary folder, with a key, so
that every request is signed and verified. It hosts a segmentation model that is trained here on the drawn biscuits
(512 x 384, JPEG) with the default weights and the balanced preset. Beside it a *bare* process does the same with
nothing around it: decode, predict, encode the mask as PNG, with one thread as an inference unit has. Bare and hosted
take turns, call by call or slice by slice, so that what else the machine does meets both: the ratios are what to look
at.

Columns: *p50, p95, p99* wall milliseconds of one call as its caller sees them, keep-alive connections; *images/s* of as
many bare processes, or twice as many callers, as there are units; *resident MB* of the server and of its units
together. *Overrun*: many callers that come again at once, whatever they are told; the first time starts those threads
of the server that then stay. *StartModel to HOSTED*: to the DescribeModel that says so, asked every 10 ms.

``--quick`` measures a small model a few times: it shows that everything works, and no figure of it counts.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import hashlib
import hmac
import http.client
import io
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from PIL import Image
from rig.worker import resident_mb

import vision_toolkit as vt
from vision_toolkit.app.client import client_of
from vision_toolkit.core.entry import MaskRef
from vision_toolkit.data.images import encode_mask
from vision_toolkit.services.auth.keys import Key, Keys

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
WHICH = {"ProjectName": "biscuits", "ModelVersion": "1"}
MODEL = "/2020-11-20/projects/biscuits/models/1"
JPEG = "image/jpeg"
CALLERS = 48
IDLE = 10.0
"""Seconds after which a connection is made anew; a server keeps one for 15."""
Figures = dict[str, Any]


# ---------------------------------------------------------------- the model


def make(folder: Path, *, preset: str, quick: bool) -> tuple[Path, list[bytes]]:
    """Train a model in a workspace; return its folder and images that it has not seen."""
    biscuits = vt.load_dataset("biscuit")
    train, test = vt.train_test_split(biscuits, test_size=0.3, seed=0)
    train, test = (train[:40], test[:8]) if quick else (train, test)
    changed: Figures = {"weights": None, "preset": "fast"} if quick else {"preset": preset}
    with vt.Workspace(folder, run="inline", limits=False, **changed) as workspace:

        def put(path: str, kind: str) -> str:
            uri = f"s3://bakery/{kind}/{Path(path).name}"
            workspace.buckets.write(uri, read(path, quick=quick))
            return uri

        entries = [
            vt.Entry(put(one.location, "parts"), one.label,
                     mask=one.mask and MaskRef(put(one.mask.location, "masks"), one.mask.colours))
            for one in train
        ]  # fmt: skip
        vt.Manifest(entries).write(folder / "train.manifest")
        workspace.buckets.write("s3://bakery/train.manifest", folder / "train.manifest")
        client = vt.LookoutVision(workspace)
        client.create_project(ProjectName="biscuits")
        source = {"GroundTruthManifest": {"S3Object": {"Bucket": "bakery", "Key": "train.manifest"}}}
        client.create_dataset(ProjectName="biscuits", DatasetType="train", DatasetSource=source)
        client.create_model(ProjectName="biscuits", OutputConfig={"S3Location": {"Bucket": "bakery"}})
        said = client.describe_model(**WHICH)["ModelDescription"]
        assert said["Status"] == "TRAINED", said
        record = workspace.models.get(workspace.projects.get("biscuits"), "1")
        assert record.folder is not None
        return folder / record.folder / "model", [read(entry.location, quick=quick) for entry in test]


def read(path: str, *, quick: bool) -> bytes:
    """Read an image or a mask; a small one where it has to be quick."""
    if not quick:
        return Path(path).read_bytes()
    data = io.BytesIO()
    with Image.open(path) as image:
        image.resize((128, 96), Image.Resampling.NEAREST).save(data, image.format)
    return data.getvalue()


# ---------------------------------------------------------------- bare


def be_bare(folder: str) -> None:
    """Answer, line by line: an image in base 64 is judged, a number is how many seconds to go on with the last one."""
    model = vt.load(folder, threads=1)
    image = b""

    def judge() -> int:
        mask = model.predict(image).mask
        assert mask is not None
        return len(encode_mask(mask))

    for line in sys.stdin:
        asked = json.loads(line)
        start, count = time.perf_counter(), 0
        if isinstance(asked, str):
            image = base64.b64decode(asked)
            start = time.perf_counter()
            judge()
        else:
            while time.perf_counter() - start < asked:
                judge()
                count += 1
        print(json.dumps([time.perf_counter() - start, count]), flush=True)


class Bare:
    """Be the parent's side of a process that judges images with nothing around it."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, __file__, "--bare", str(folder)]
        environment = os.environ | ONE_THREAD
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def tell(self, asked: str | float) -> None:
        """Say what to do."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()

    def hear(self) -> tuple[float, int]:
        """Return how many seconds it took, and how many images were judged in a slice."""
        assert self.process.stdout is not None
        seconds, count = json.loads(self.process.stdout.readline())
        return seconds, count

    def judge(self, image: bytes) -> float:
        """Return the milliseconds that one image takes."""
        self.tell(base64.b64encode(image).decode())
        return 1e3 * self.hear()[0]

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.process.communicate()


# ---------------------------------------------------------------- hosted


class Running:
    """Be a server in a process of its own, from its start to ``/health``."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "vision_toolkit.app.cli", "serve", "--workspace", str(folder), "--port", "0"]
        start = time.perf_counter()
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        assert self.process.stdout is not None
        self.url = next(line for line in self.process.stdout if "AWS_ENDPOINT_URL_LOOKOUTVISION=" in line)
        self.url = self.url.partition("=")[2].strip()
        while Caller(self.url).send("GET", "/health")[0] != 200:
            time.sleep(0.005)
        self.seconds = time.perf_counter() - start

    def resident(self) -> tuple[float, float]:
        """Return the resident MB of the server and of its units."""
        children = {
            int(pid)
            for task in Path(f"/proc/{self.process.pid}/task").glob("*/children")
            for pid in task.read_text("ascii").split()
        }
        return resident_mb(self.process.pid), sum(map(resident_mb, children))

    def close(self) -> None:
        """End it, as an operator does."""
        self.process.terminate()
        self.process.communicate(timeout=60)


class Caller:
    """Be a bare client: one connection that is kept, requests signed with Signature 4 by the standard library."""

    def __init__(self, url: str, key: Key | None = None) -> None:
        self.place, self.key = urlsplit(url), key
        self.connection = http.client.HTTPConnection(str(self.place.hostname), self.place.port, timeout=120)
        self.used = time.monotonic()

    def send(self, method: str, path: str, body: bytes = b"", kind: str = "application/json") -> tuple[int, bytes]:
        """Send one request; return status and body."""
        headers = {"host": self.place.netloc, "content-type": kind}
        if self.key is not None:
            headers |= signed(self.key, method, path, headers, body)
        if time.monotonic() - self.used > IDLE:
            self.connection.close()  # before the server does
        self.used = time.monotonic()
        for _ in range(200):  # a server that is starting
            try:
                self.connection.request(method, path, body or None, headers)
                break
            except ConnectionRefusedError:
                time.sleep(0.01)
        answer = self.connection.getresponse()
        return answer.status, answer.read()

    def detect(self, image: bytes) -> tuple[int, bytes]:
        """Ask for a verdict."""
        return self.send("POST", f"{MODEL}/detect", image, JPEG)

    def describe(self) -> str:
        """Return the status of the model."""
        status: str = json.loads(self.send("GET", MODEL)[1])["ModelDescription"]["Status"]
        return status

    def wait(self, passing: str) -> str:
        """Ask until a status has passed."""
        while (status := self.describe()) == passing:
            time.sleep(0.01)
        return status

    def host(self, units: int, image: bytes) -> tuple[float, float]:
        """Start the model; return the seconds to HOSTED and to the first answer."""
        start = time.perf_counter()
        members = json.dumps({"MinInferenceUnits": units, "MaxInferenceUnits": units}).encode()
        status, said = self.send("POST", f"{MODEL}/start", members)
        assert status == 202, said
        assert self.wait("STARTING_HOSTING") == "HOSTED"
        hosted = time.perf_counter() - start
        status, said = self.detect(image)
        assert status == 200, said
        return hosted, time.perf_counter() - start

    def stop(self) -> None:
        """Stop the model."""
        assert self.send("POST", f"{MODEL}/stop")[0] == 202
        assert self.wait("STOPPING_HOSTING") == "TRAINED"


def signed(key: Key, method: str, path: str, headers: dict[str, str], body: bytes) -> dict[str, str]:
    """Return the headers that sign a request without a query."""
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    digest = hashlib.sha256(body).hexdigest()
    every = headers | {"x-amz-content-sha256": digest, "x-amz-date": now}
    names = ";".join(sorted(every))
    lines = "".join(f"{name}:{every[name]}\n" for name in sorted(every))
    request = hashlib.sha256(f"{method}\n{path}\n\n{lines}\n{names}\n{digest}".encode()).hexdigest()
    scope = f"{now[:8]}/us-east-1/lookoutvision/aws4_request"
    secret = f"AWS4{key.secret}".encode()
    for part in (*scope.split("/"), f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{request}"):
        secret = hmac.new(secret, part.encode(), hashlib.sha256).digest()
    value = f"AWS4-HMAC-SHA256 Credential={key.id}/{scope}, SignedHeaders={names}, Signature={secret.hex()}"
    return {"x-amz-content-sha256": digest, "x-amz-date": now, "authorization": value}


# ---------------------------------------------------------------- measuring


def percentiles(values: Sequence[float]) -> Figures:
    """Return what a series of milliseconds is told by."""
    p50, p95, p99 = np.percentile(values, (50, 95, 99)).tolist()
    return {"p50": p50, "p95": p95, "p99": p99, "n": len(values)}


def milliseconds(act: Callable[[], Any]) -> float:
    """Return how long one call takes."""
    start = time.perf_counter()
    act()
    return 1e3 * (time.perf_counter() - start)


def time_calls(bare: Bare, caller: Caller, taught: Any, images: Sequence[bytes], rounds: int) -> Figures:
    """Time single calls, bare and hosted in turn, each image by each."""
    series: dict[str, list[float]] = {"bare": [], "bare client": [], "boto3": []}
    for number in range(-len(images), rounds):  # the first of each only warm up
        image = images[number % len(images)]
        took = {
            "bare": bare.judge(image),
            "bare client": milliseconds(lambda image=image: caller.detect(image)),
            "boto3": milliseconds(lambda image=image: taught.detect_anomalies(**WHICH, Body=image, ContentType=JPEG)),
        }
        for name, value in took.items() if number >= 0 else ():
            series[name].append(value)
    asked = {
        "describe_model, bare client": [milliseconds(caller.describe) for _ in range(rounds)],
        "describe_model, boto3": [milliseconds(lambda: taught.describe_model(**WHICH)) for _ in range(rounds)],
    }
    return {name: percentiles(values) for name, values in (series | asked).items()}


def time_many(bare: Sequence[Bare], url: str, key: Key, image: bytes, seconds: float, slices: int) -> Figures:
    """Return images a second of bare processes and of as many units, slice by slice in turn."""
    for one in bare:
        one.judge(image)
    rates: dict[str, list[float]] = {"bare": [], "hosted": []}
    for _ in range(slices):
        for one in bare:
            one.tell(seconds)
        rates["bare"].append(sum(count / took for took, count in (one.hear() for one in bare)))
        told = flood(url, key, image, callers=2 * len(bare), seconds=seconds)
        assert set(told["said"]) == {200}, told
        rates["hosted"].append(told["said"][200] / told["seconds"])
    return {name: statistics.median(values) for name, values in rates.items()}


def flood(url: str, key: Key, image: bytes, *, callers: int, seconds: float) -> Figures:
    """Let many ask again and again; return how often each status came, and the different answers of 200."""
    said: Counter[Any] = Counter()
    answers: set[bytes] = set()
    lock = threading.Lock()
    start = time.perf_counter()

    def ask() -> None:
        caller, mine, bodies = Caller(url, key), Counter[Any](), set()
        while time.perf_counter() - start < seconds:
            try:
                status, body = caller.detect(image)
            except (OSError, http.client.HTTPException) as error:
                mine[type(error).__name__] += 1
                caller = Caller(url, key)
                continue
            mine[status] += 1
            if status == 200:
                bodies.add(body)
        with lock:
            said.update(mine)
            answers.update(bodies)

    threads = [threading.Thread(target=ask) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"said": dict(said), "answers": len(answers), "seconds": time.perf_counter() - start}


def overrun(server: Running, key: Key, image: bytes, seconds: float) -> Figures:
    """Overrun a server three times; return what it said and what it held before, after the first and at the end."""
    found: Figures = {"said": Counter(), "answers": 0, "resident": [server.resident()]}
    for _ in range(3):
        told = flood(server.url, key, image, callers=CALLERS, seconds=seconds)
        found["said"].update(told["said"])
        found["answers"] = max(found["answers"], told["answers"])
        found["resident"].append(server.resident())
    return found | {"said": dict(found["said"])}


# ---------------------------------------------------------------- the program


def table(*rows: Sequence[str]) -> None:
    """Print a table; the first row is its head."""
    print("\n| " + " | ".join(rows[0]) + " |\n" + "|---" * len(rows[0]) + "|")
    for row in rows[1:]:
        print("| " + " | ".join(row) + " |", flush=True)


def told_calls(found: Figures) -> None:
    """Print how long calls take."""
    rows = [
        [name, *(f"{one[part]:.1f}" for part in ("p50", "p95", "p99")), f"{one['p50'] / found['bare']['p50']:.2f}"]
        for name, one in found.items()
    ]
    table([f"one call at a time ({found['bare']['n']} each)", "p50 ms", "p95", "p99", "p50, bare = 1"], *rows)


def told_many(found: dict[int, Figures]) -> None:
    """Print images a second."""
    rows = [
        [str(units), f"{one['hosted']:.1f}", f"{one['bare']:.1f}", f"{one['hosted'] / one['bare']:.2f}"]
        for units, one in found.items()
    ]
    table(["units", "images/s", "bare processes, as many", "ratio"], *rows)


def told_overrun(found: Figures) -> None:
    """Print what an overrun server says and holds."""
    said = ", ".join(f"{count:,} x {status}" for status, count in sorted(found["said"].items(), key=str))
    moments = ("before", "after one", "after two", "after three")
    rows = [
        [when, f"{server:.0f}", f"{units:.0f}"]
        for when, (server, units) in zip(moments, found["resident"], strict=True)
    ]
    alike = "all answers alike" if found["answers"] == 1 else f"{found['answers']} different answers to one image"
    print(f"\nOverrun by {CALLERS} callers, one unit, three times: {said}; {alike}.")
    table(["resident MB", "server", "units"], *rows)


def told_starts(found: dict[str, list[float]]) -> None:
    """Print how long starts take."""
    rows = [[name, f"{statistics.median(one):.2f}", f"{max(one):.2f}", str(len(one))] for name, one in found.items()]
    table(["seconds from", "median", "longest", "times"], *rows)


def time_hosting(caller: Caller, image: bytes, times: int) -> dict[str, list[float]]:
    """Time StartModel, of a model that is stopped and is stopped again."""
    found: dict[str, list[float]] = {"StartModel to HOSTED": [], "StartModel to the first answer": []}
    for _ in range(times):
        for name, seconds in zip(found, caller.host(1, image), strict=True):
            found[name].append(seconds)
        caller.stop()
    return found


def time_starts(folder: Path, key: Key, image: bytes, times: int) -> dict[str, list[float]]:
    """Time the starts of a server, one of whose models is hosted."""
    found: dict[str, list[float]] = {"serve to /health": [], "serve to the first answer of a hosted model": []}
    for _ in range(times):
        start = time.perf_counter()
        with contextlib.closing(Running(folder)) as server:
            status, said = Caller(server.url, key).detect(image)
            assert status == 200, said
            for name, seconds in zip(found, (server.seconds, time.perf_counter() - start), strict=True):
                found[name].append(seconds)
    return found


def measure(folder: Path, options: argparse.Namespace) -> Figures:
    """Measure and print everything."""
    model, images = make(folder, preset=options.preset, quick=options.quick)
    key = Keys(folder).create(note="benchmark")
    found: Figures = {"many": {}}
    with several(Bare, model, 2) as bare, contextlib.closing(Running(folder)) as server:
        caller = Caller(server.url, key)
        who = {"aws_access_key_id": key.id, "aws_secret_access_key": key.secret}
        taught = client_of(server.url, region_name="us-east-1", **who)
        found["starts"] = time_hosting(caller, images[0], options.starts)
        for units in (2, 1):
            caller.host(units, images[0])
            many = time_many(bare[:units], server.url, key, images[0], options.seconds, options.slices)
            found["many"][units] = many
            if units == 2:
                caller.stop()
        found["calls"] = time_calls(bare[0], caller, taught, images, options.rounds)
        found["overrun"] = overrun(server, key, images[0], options.seconds)
    found["starts"] |= time_starts(folder, key, images[0], options.starts)
    told_calls(found["calls"])
    told_many(found["many"])
    told_overrun(found["overrun"])
    told_starts(found["starts"])
    return found


@contextlib.contextmanager
def several(make: Callable[[Path], Bare], model: Path, count: int) -> Iterator[list[Bare]]:
    """Yield some bare processes."""
    made = [make(model) for _ in range(count)]
    try:
        yield made
    finally:
        for one in made:
            one.close()


def read_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--preset", default="balanced")
    parser.add_argument("--rounds", type=int, default=300, help="single calls of each kind")
    parser.add_argument("--seconds", type=float, default=6.0, help="of a slice with many callers")
    parser.add_argument("--slices", type=int, default=3)
    parser.add_argument("--starts", type=int, default=7)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--bare", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.quick:
        options.rounds, options.seconds, options.slices, options.starts = 12, 0.5, 1, 1
    return options


def main() -> None:
    """Measure, print, and write the figures down."""
    options = read_options()
    if options.bare:
        be_bare(options.bare)
        return
    found: Figures = {"machine": f"{platform.system()}, {os.cpu_count()} cores", "load": [os.getloadavg()[0]]}
    with tempfile.TemporaryDirectory() as folder:
        found |= measure(Path(folder), options)
    found["load"].append(os.getloadavg()[0])
    print(f"\n{found['machine']}; load {found['load'][0]:.1f} before, {found['load'][1]:.1f} after")
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=1), "utf-8")


if __name__ == "__main__":
    main()
