"""What looking at large images in overlapping tiles gives, and what it costs, on drawn parts with tiny scratches.

    python benchmarks/tiles.py [WEIGHTS.safetensors]

Grey castings of 1600 x 1200 pixels, drawn here, seeded; a third have one or two scratches of 16 to 28 by 3 pixels. 60
images train, 60 others test. Each row is a process of its own with `preset="balanced"` and nothing kept from an earlier
one: with tiles, and with the same preset without them. *F1* is at the model's own threshold, chosen on held-out
training images; *IoU* pooled over all test pixels; *peak MB* the largest resident memory of training and testing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

WIDTH, HEIGHT = 1600, 1200
IMAGES, TRAINING = 120, 60
COLOUR = "#23A436"
KINDS = {"verdict": ("a verdict", False), "normal": ("normal images alone", False), "types": ("a type painted", True)}


def draw(number: int, bad: bool) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw a casting (h, w) with eight holes, and the ids of its pixels, 1 where it is scratched."""
    rng = np.random.default_rng(number)
    image = 130 + rng.normal(0, 3, (HEIGHT, WIDTH))
    for step, strength in ((4, 6), (16, 6), (64, 10)):
        coarse = Image.fromarray(rng.normal(size=(HEIGHT // step + 2, WIDTH // step + 2)).astype(np.float32))
        image += strength * np.asarray(coarse.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    for hole in range(8):
        cx, cy = 200 + 400 * (hole % 4) + rng.normal(0, 4), 300 + 600 * (hole // 4) + rng.normal(0, 4)
        image[(x - cx) ** 2 + (y - cy) ** 2 < 60**2] = 60
    ids = np.zeros((HEIGHT, WIDTH), np.uint8)
    for _ in range(rng.integers(1, 3) if bad else 0):
        cx, cy = rng.uniform(100, WIDTH - 100), rng.uniform(100, HEIGHT - 100)
        turn, half = rng.uniform(0, np.pi), rng.uniform(8, 14)
        across = np.abs((x - cx) * np.sin(turn) - (y - cy) * np.cos(turn))
        along = np.abs((x - cx) * np.cos(turn) + (y - cy) * np.sin(turn))
        ids[(across < 1.6) & (along < half)] = 1
    image[ids == 1] -= 45
    return np.clip(image, 0, 255).astype(np.uint8), ids


def write(folder: Path) -> None:
    """Write all images, and a mask of each scratched one."""
    for number in range(IMAGES):
        image, ids = draw(number, number % 3 == 0)
        Image.fromarray(image).save(folder / f"{number}.png")
        mask = Image.fromarray(ids, "P")
        mask.putpalette([255, 255, 255, *bytes.fromhex(COLOUR[1:])])
        mask.save(folder / f"{number}-mask.png")


def measure(folder: Path, kind: str, tiles: bool, weights: str) -> dict[str, Any]:
    """Train and test once."""
    import vision_toolkit as vt
    from vision_toolkit.core import MaskRef
    from vision_toolkit.models.plan import PRESETS

    if not tiles:
        PRESETS.update({name: replace(one, tiled=None) for name, one in PRESETS.items()})
    entries = []
    for number in range(IMAGES):
        bad = number % 3 == 0
        mask = MaskRef(str(folder / f"{number}-mask.png"), {"scratch": COLOUR}) if bad and KINDS[kind][1] else None
        label = vt.Label.ANOMALY if bad else vt.Label.NORMAL
        entries.append(vt.Entry(str(folder / f"{number}.png"), label, mask=mask))
    train, test = vt.Manifest(entries[:TRAINING]), vt.Manifest(entries[TRAINING:])
    train = train.filter(label="normal") if kind == "normal" else train
    started, used = time.monotonic(), time.process_time()
    model = vt.train(train, weights=weights or None, progress=False)
    trained, cpu = time.monotonic() - started, time.process_time() - used
    used = time.process_time()
    evaluation = model.evaluate(test, progress=False)
    each = (time.process_time() - used) / len(test)
    largest = model.info["inputs"][-1]
    status = Path("/proc/self/status")
    lines = status.read_text("ascii").splitlines() if status.exists() else []
    peak = next((int(line.split()[1]) / 1000 for line in lines if line.startswith("VmHWM")), float("nan"))
    iou = evaluation.types["scratch"].f1 / (2 - evaluation.types["scratch"].f1) if KINDS[kind][1] else None
    return {
        "size": f"{largest['width']}x{largest['height']}", "f1": evaluation.f1, "auc": evaluation.roc_auc, "iou": iou,
        "train": trained, "cpu": cpu, "each": 1000 * each, "peak": peak,
    }  # fmt: skip


def main() -> None:
    """Run every row, or one of them in this process, and print the table."""
    if len(sys.argv) == 5:
        _, folder, kind, tiles, weights = sys.argv
        print(json.dumps(measure(Path(folder), kind, tiles == "tiles", weights)))
        return
    weights = str(Path(sys.argv[1]).resolve()) if len(sys.argv) > 1 else ""
    print("| learned from | tiles | largest input | F1 | ROC AUC | IoU | train s | CPU s | CPU ms an image | peak MB |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        write(Path(name))
        for kind, (words, _) in KINDS.items():
            for tiles in ("no", "tiles"):
                with tempfile.TemporaryDirectory() as cache:
                    more = {"VISION_TOOLKIT_CACHE": cache, "HF_HUB_OFFLINE": "1", "OMP_WAIT_POLICY": "PASSIVE"}
                    command = [sys.executable, __file__, name, kind, tiles, weights]
                    said = subprocess.run(
                        command, capture_output=True, text=True, check=True, env=os.environ | more
                    ).stdout
                one = json.loads(said)
                iou = "" if one["iou"] is None else f"{one['iou']:.3f}"
                print(
                    f"| {words} | {'yes' if tiles == 'tiles' else 'no'} | {one['size']} | {one['f1']:.3f} | "
                    f"{one['auc']:.3f} | {iou} | {one['train']:.0f} | {one['cpu']:.0f} | {one['each']:.0f} | "
                    f"{one['peak']:.0f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
