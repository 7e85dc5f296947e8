"""How much longer an image takes over the edge agent than over the model itself, and what a camera's rate may be.

    python benchmarks/edge_agent.py [--sizes 640x480,1920x1080,4096x3000] [--rounds 40] [--preset balanced]
                                    [--package DIR] [--json OUT]

A model is trained on bundled parts and exported, or the package is named; ``vision-toolkit edge run`` serves it from a
process of its own, over a unix socket. Every round asks, in turn and with the same pixels: the model in this process
(``predict``, one thread), the agent with pixels in the message, and the agent with pixels and mask in shared memory.
The ratios are of medians of the same rounds, so other work on the machine meets both sides. *bits equal* says whether
each answer was that of the model: score, areas and mask.

Further: *start* from StartModel to RUNNING; *restart* from the kill of a worker to the next answer; *images/s* of four
clients at once with one and two workers.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import shared_memory
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray

import vision_toolkit as vt
from vision_toolkit.data.images import read_image
from vision_toolkit.models.runtime import resize
from vision_toolkit.services.edge.messages import calls, message

NAME = "part"
Image = NDArray[np.uint8]


class Client:
    """The agent's client: calls by name, and the two ways in which pixels travel."""

    def __init__(self, address: str) -> None:
        options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        self.channel = grpc.insecure_channel(address, options=options)
        self.calls = {
            name: self.channel.unary_unary(
                one.path,
                request_serializer=one.request.SerializeToString,
                response_deserializer=one.response.FromString,
            )
            for name, one in calls().items()
        }

    def ask(self, name: str, **fields: Any) -> Any:
        """Call, with the model's name and further fields."""
        return self.calls[name](message(f"{name}Request")(model_component=NAME, **fields), timeout=300)

    def start(self) -> float:
        """Start the model; return the seconds until it runs."""
        began = time.perf_counter()
        self.ask("StartModel")
        while (said := self.ask("DescribeModel").model_description).status != 2:
            assert said.status == 1, said.status_message
            time.sleep(0.005)
        return time.perf_counter() - began

    def in_message(self, image: Image) -> Any:
        """Judge pixels that travel in the message, as does the mask."""
        bitmap = {"width": image.shape[1], "height": image.shape[0], "byte_data": image.tobytes()}
        return self.ask("DetectAnomalies", bitmap=bitmap).detect_anomaly_result

    def in_memory(self, image: Image, given: shared_memory.SharedMemory, place: shared_memory.SharedMemory) -> Any:
        """Judge pixels in shared memory, where the mask goes too; the camera's copy into it counts."""
        given.buf[: image.nbytes] = image.tobytes()
        handles = [{"name": one.name, "size": image.nbytes} for one in (given, place)]
        bitmap = {"width": image.shape[1], "height": image.shape[0], "shared_memory_handle": handles[0]}
        mask = {"shared_memory_handle": handles[1]}
        return self.ask("DetectAnomalies", bitmap=bitmap, anomaly_mask_params=mask).detect_anomaly_result


@contextlib.contextmanager
def agent(package: Path, folder: Path, workers: int) -> Iterator[tuple[Client, int]]:
    """Run an agent; give a client of it and its process id."""
    words = ["edge", "run", f"{NAME}={package}", "--socket", f"{folder}/s", "--folder", str(folder), "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "vision_toolkit.app.cli", *words, "--workers", str(workers)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if line == "}\n":
            break
    client = Client(f"unix:{folder}/s")
    try:
        yield client, process.pid
    finally:
        client.channel.close()
        process.send_signal(signal.SIGTERM)
        process.wait()


def is_equal(said: Any, prediction: vt.Prediction, mask: bytes) -> bool:
    """Return whether an answer is the model's to the last bit."""
    areas = {one.name: one.pixel_anomaly.total_percentage_area for one in said.anomalies}
    return (
        said.anomaly_score == np.float32(prediction.score)
        and said.confidence == np.float32(prediction.confidence)
        and said.is_anomalous == prediction.is_anomalous
        and areas == {name: np.float32(area) for name, area in prediction.areas().items()}
        and (prediction.mask is None or mask == prediction.mask.to_rgb().tobytes())
    )


def latency(model: vt.Model, client: Client, image: Image, rounds: int) -> dict[str, Any]:
    """Time the three ways side by side."""
    size, times = image.nbytes, {"predict": [], "message": [], "memory": []}
    equal = True
    given, place = (shared_memory.SharedMemory(create=True, size=size) for _ in range(2))
    ways: dict[str, Callable[[], Any]] = {
        "predict": lambda: model.predict(image),
        "message": lambda: client.in_message(image),
        "memory": lambda: client.in_memory(image, given, place),
    }
    try:
        for turn in range(rounds + 2):
            said = {}
            for name, way in ways.items():
                began = time.perf_counter()
                said[name] = way()
                if turn > 1:
                    times[name].append(time.perf_counter() - began)
            equal &= is_equal(said["message"], said["predict"], said["message"].anomaly_mask.byte_data)
            equal &= is_equal(said["memory"], said["predict"], bytes(place.buf[:size]))
    finally:
        for one in (given, place):
            one.close()
            one.unlink()
    middle = {name: statistics.median(values) * 1000 for name, values in times.items()}
    return {
        "width": image.shape[1], "height": image.shape[0], "rounds": rounds, "bits_equal": equal,
        **{f"{name}_ms": round(value, 2) for name, value in middle.items()},
        **{f"{name}_p95_ms": round(float(np.percentile(v, 95)) * 1000, 2) for name, v in times.items()},
        "message_ratio": round(middle["message"] / middle["predict"], 3),
        "memory_ratio": round(middle["memory"] / middle["predict"], 3),
    }  # fmt: skip


def rate(client: Client, image: Image, count: int) -> float:
    """Return images a second of four clients at once."""
    with ThreadPoolExecutor(4) as pool:
        began = time.perf_counter()
        list(pool.map(lambda _: client.in_message(image), range(count)))
        return count / (time.perf_counter() - began)


def measure(
    sizes: list[tuple[int, int]],
    *,
    rounds: int,
    preset: str = "balanced",
    weights: str | None = "auto",
    package: Path | None = None,
) -> dict[str, Any]:
    """Return all figures; `benchmarks/edge.py` may show them beside its own. Without a package one is made."""
    parts = vt.load_dataset("biscuit")
    parts = parts.filter(label="normal")[:20] + parts.filter(label="anomaly")[:12]
    with tempfile.TemporaryDirectory() as folder:
        if package is None:
            package = Path(folder, "package")
            vt.train(parts, weights=weights, preset=preset, progress=False).export(package, golden=parts[-2:])
        model, part = vt.load(package, threads=1), read_image(parts[-1])
        figures: dict[str, Any] = {"preset": preset, "load": os.getloadavg(), "cpus": os.cpu_count()}
        (Path(folder) / "a").mkdir()
        with agent(package, Path(folder, "a"), 1) as (client, pid):
            figures["start_s"] = round(client.start(), 2)
            figures["sizes"] = [latency(model, client, resize(part, *size), rounds) for size in sizes]
            figures["images_per_s_1"] = round(rate(client, part, rounds), 1)
            (worker,) = (Path(f"/proc/{pid}/task/{t}/children").read_text() for t in os.listdir(f"/proc/{pid}/task")
                         if Path(f"/proc/{pid}/task/{t}/children").read_text())  # fmt: skip
            os.kill(int(worker), signal.SIGKILL)
            began = time.perf_counter()
            client.in_message(part)
            figures["restart_s"] = round(time.perf_counter() - began, 2)
        (Path(folder) / "b").mkdir()
        with agent(package, Path(folder, "b"), 2) as (client, _):
            client.start()
            figures["images_per_s_2"] = round(rate(client, part, rounds), 1)
    return figures


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sizes", default="640x480,1920x1080,4096x3000")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--preset", default="balanced")
    parser.add_argument("--package", type=Path, metavar="DIR", help="measure this one instead of one made here")
    parser.add_argument("--quick", action="store_true", help="a small model and few rounds: to see that it runs")
    parser.add_argument("--json", metavar="OUT")
    options = parser.parse_args()
    sizes = [(int(width), int(height)) for width, height in (size.split("x") for size in options.sizes.split(","))]
    if options.quick:
        figures = measure([(160, 120)], rounds=3, preset="fast", weights=None)
    else:
        figures = measure(sizes, rounds=options.rounds, preset=options.preset, package=options.package)
    print("| pixels | predict ms | message ms | shared ms | message / predict | shared / predict | bits equal |")
    print("|---|---|---|---|---|---|---|")
    for one in figures["sizes"]:
        print(
            f"| {one['width']} x {one['height']} | {one['predict_ms']} | {one['message_ms']} | {one['memory_ms']} "
            f"| {one['message_ratio']} | {one['memory_ratio']} | {'yes' if one['bits_equal'] else 'NO'} |"
        )
    print(
        f"\nstart {figures['start_s']} s, restart {figures['restart_s']} s; images/s of four clients: "
        f"{figures['images_per_s_1']} (1 worker), {figures['images_per_s_2']} (2 workers); preset {figures['preset']}, "
        f"{figures['cpus']} CPUs, load {figures['load'][0]:.1f}"
    )
    if options.json:
        Path(options.json).write_text(json.dumps(figures, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
