"""How long a training of many images takes, and how much memory.

    python benchmarks/many.py [WEIGHTS.safetensors] [COUNT ...]

Grey plates of 256 x 192 pixels, drawn here, seeded; one in twenty has a scratch of 24 to 40 by 3 pixels. COUNT images
(1000, 4000 and 16000 if none is given) train, 1000 others test. Each row is a process of its own with `preset="fast"`
and no features kept from an earlier one; the network is exported before. *F1* is at the model's own threshold, chosen
on held-out training images; *CPU s* that of the training, decoding and the search for near copies included; *peak MB*
the largest resident memory of it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

WIDTH, HEIGHT = 256, 192
COUNTS = (1_000, 4_000, 16_000)
TEST = 1_000
BAD = 20
"""One image of so many is scratched."""


def draw(number: int, bad: bool) -> NDArray[np.uint8]:
    """Draw a brushed plate (h, w) with four holes, no two alike."""
    rng = np.random.default_rng([16, number])
    image = 130 + rng.normal(0, 4, (HEIGHT, WIDTH)) + rng.normal(0, 4, (HEIGHT, 1))
    for step, strength in ((8, 6), (32, 12)):
        coarse = Image.fromarray(rng.normal(size=(HEIGHT // step + 2, WIDTH // step + 2)).astype(np.float32))
        image += strength * np.asarray(coarse.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    for hole in range(4):
        cx, cy = 64 + 128 * (hole % 2) + rng.normal(0, 6), 48 + 96 * (hole // 2) + rng.normal(0, 6)
        image[(x - cx) ** 2 + (y - cy) ** 2 < rng.uniform(14, 18) ** 2] = 60
    if bad:
        cx, cy = rng.uniform(30, WIDTH - 30), rng.uniform(30, HEIGHT - 30)
        turn, half = rng.uniform(0, np.pi), rng.uniform(12, 20)
        across = np.abs((x - cx) * np.sin(turn) - (y - cy) * np.cos(turn))
        along = np.abs((x - cx) * np.cos(turn) + (y - cy) * np.sin(turn))
        image[(across < 1.6) & (along < half)] -= 40
    return np.clip(image, 0, 255).astype(np.uint8)


def measure(folder: Path, count: int, weights: str) -> dict[str, Any]:
    """Train with so many images and test once."""
    import vision_toolkit as vt

    labels = [vt.Label.ANOMALY if number % BAD == 0 else vt.Label.NORMAL for number in range(TEST + count)]
    entries = [vt.Entry(str(folder / f"{number}.jpg"), label) for number, label in enumerate(labels)]
    started, used = time.monotonic(), time.process_time()
    model = vt.train(vt.Manifest(entries[TEST:]), weights=weights or None, preset="fast", progress=False)
    trained, cpu = time.monotonic() - started, time.process_time() - used
    status = Path("/proc/self/status")
    lines = status.read_text("ascii").splitlines() if status.exists() else []
    peak = next((int(line.split()[1]) / 1000 for line in lines if line.startswith("VmHWM")), float("nan"))
    evaluation = model.evaluate(vt.Manifest(entries[:TEST]), progress=False)
    return {"f1": evaluation.f1, "auc": evaluation.roc_auc, "train": trained, "cpu": cpu, "peak": peak}


def main() -> None:
    """Run every row, or one of them in this process, and print the table."""
    if len(sys.argv) == 5 and sys.argv[1] == "row":
        print(json.dumps(measure(Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4])))
        return
    weights = str(Path(sys.argv[1]).resolve()) if len(sys.argv) > 1 else ""
    counts = [int(count) for count in sys.argv[2:]] or COUNTS
    with tempfile.TemporaryDirectory() as name, tempfile.TemporaryDirectory() as cache:

        def row(count: int) -> dict[str, Any]:
            shutil.rmtree(Path(cache, "features"), ignore_errors=True)
            more = {"VISION_TOOLKIT_CACHE": cache, "HF_HUB_OFFLINE": "1", "OMP_WAIT_POLICY": "PASSIVE"}
            command = [sys.executable, __file__, "row", name, str(count), weights]
            said = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | more)
            found: dict[str, Any] = json.loads(said.stdout)
            return found

        for number in range(TEST + max(counts)):
            Image.fromarray(draw(number, number % BAD == 0)).save(Path(name, f"{number}.jpg"), quality=92)
        row(BAD * 4)  # exports the network, for which torch takes a gigabyte
        print("| images | F1 | ROC AUC | train s | CPU s | peak MB |")
        print("|---|---|---|---|---|---|")
        for count in counts:
            one = row(count)
            print(
                f"| {count:,} | {one['f1']:.3f} | {one['auc']:.3f} | {one['train']:.0f} | {one['cpu']:.0f} | "
                f"{one['peak']:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
