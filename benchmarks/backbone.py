"""What a feature extractor is worth: a network at random, ours and its ImageNet teacher on the same images and splits.

    python benchmarks/backbone.py [DATA] [--ours FILE] [--resplits 20] [--json OUT] [--resume] ...

Each training is `vt.train(preset="fast", task="classification")` in a process of its own. Sets: the bundled ones (half
of the images train), cookies, aliens (as many train as in the published split), and magnetic tiles from normal images
alone (the published splits). *F1* is at the threshold that training chose. *Way* is how far ours has come from random
to teacher: (ours - random) / (teacher - random), of the means. A mean has a 95 % bootstrap interval over the resplits,
which share images. *Images/s*: `predict_all` of decoded images with heat map, one thread; *peak MB* of that process.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rig import data, figures, worker
from rig.data import Split

import vision_toolkit as vt

ROOT = Path(__file__).parents[1]
TEACHER = "weights/mobilenetv2_100.safetensors"
BUNDLED = ("biscuit", "board", "casting")
WEIGHTS = ("random", "ours", "teacher")
SPEED_IMAGES = 200


def splits(folder: Path, resplits: int) -> Iterator[tuple[str, Split]]:
    """Yield the name of a set and a split of it."""
    for name in BUNDLED:
        listed: list[data.Image] = [
            [entry.location, "normal" if entry.label is vt.Label.NORMAL else "anomaly", None, {}]
            for entry in vt.load_dataset(name)
        ]
        labels = sorted({str(image[1]) for image in listed})
        kinds = {label: [image for image in listed if image[1] == label] for label in labels}
        half = {label: len(images) // 2 for label, images in kinds.items()}
        train = [image for label in labels for image in kinds[label][: half[label]]]
        test = [image for label in labels for image in kinds[label][half[label] :]]
        yield from ((name, split) for split in data.resplit(Split(name, train, test), resplits))
    for name in ("cookies", "aliens"):
        yield from ((name, split) for split in data.resplit(data.read_splits(folder, name)[0], resplits))
    yield from (("magnetic_tile", split) for split in data.read_splits(folder, "magnetic_tile_normal_only"))


def random_network(file: Path) -> None:
    """Write a network of the teacher's kind that never learned anything."""
    import timm
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    network = timm.create_model("mobilenetv2_100", pretrained=False, pad_type="same")
    facts = {"timm": "mobilenetv2_100", "pad_type": "same", "license": "Apache-2.0", "input": "x/127.5-1"}
    save_file(network.state_dict(), file, metadata=facts)


def measure(split: Split, weights: str, log: Path) -> dict[str, Any]:
    """Train and score the test images."""
    for _ in range(2):
        with worker.ours(log, threads=2, cap_mb=12_000, limit_s=3600) as ours:
            fitted = ours.ask("fit", images=split.train, preset="fast", weights=weights, task="classification")
            if "exported" not in fitted:
                return fitted | {"truth": split.truth} | ours.ask("score", images=split.test)
    raise RuntimeError("The network was exported twice.")


def speed(split: Split, weights: str, log: Path) -> dict[str, Any]:
    """Predict with a small model and one thread."""
    with worker.ours(log, threads=1, cap_mb=12_000, limit_s=3600) as ours:
        ours.ask("fit", images=split.train, preset="fast", weights=weights, task="classification")
        paths = data.paths(split.test)
        return ours.ask("speed", images=paths, how="input", batch=8, count=SPEED_IMAGES)


def main() -> None:
    """Run what is not known yet, and print the table."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("data", nargs="?", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--ours", default="auto", help="what vt.train takes as weights (default: auto)")
    parser.add_argument("--resplits", type=int, default=20)
    parser.add_argument("--only", default=",".join((*BUNDLED, "cookies", "aliens", "magnetic_tile")), help="sets")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "backbone.json")
    parser.add_argument("--resume", action="store_true", help="what is in the JSON file is not run again")
    options = parser.parse_args()
    options.json.parent.mkdir(parents=True, exist_ok=True)
    log = options.json.with_suffix(".log")
    never = options.json.with_name("random.safetensors")
    random_network(never)
    given = {"random": str(never), "ours": options.ours, "teacher": str((options.data / TEACHER).resolve())}
    records = json.loads(options.json.read_text()) if options.resume and options.json.exists() else {}
    wanted = options.only.split(",")
    for name, split in splits(options.data.resolve(), options.resplits):
        for kind in WEIGHTS if name in wanted else ():
            key = f"{name}/{split.name}/{kind}"
            if key not in records:
                started = time.monotonic()
                records[key] = measure(split, given[kind], log)
                options.json.write_text(json.dumps(records))
                print(f"{key}: {time.monotonic() - started:.0f} s", file=sys.stderr)
    print("\n".join(table(records)))
    split = data.read_splits(options.data.resolve(), "cookies")[0]
    print("\n| weights | images/s | peak MB |\n|---|---|---|")
    for kind in WEIGHTS:
        one = speed(split, given[kind], log)
        print(f"| {kind} | {one['count'] / one['seconds']:.0f} | {one['peak_mb']:.0f} |")


def table(records: dict[str, dict[str, Any]]) -> list[str]:
    """Return the table of a run."""
    sets = list(dict.fromkeys(key.split("/")[0] for key in records))
    lines = [f"| set | figure | {' | '.join(WEIGHTS)} | way |", "|---|---|---|---|---|---|"]
    overall: dict[str, list[list[float]]] = {}
    for name in sets:
        for figure, of in (("ROC AUC", figures.auc_of), ("F1", figures.f1_of)):
            means = []
            for kind in WEIGHTS:
                found = [one for key, one in records.items() if key.startswith(f"{name}/") and key.endswith(kind)]
                means.append(figures.bootstrap_mean(of(one) for one in found))
            values = [mean.value for mean in means]
            overall.setdefault(figure, []).append(values)
            lines.append(f"| {name} | {figure} | {' | '.join(map(str, means))} | {way(values)} |")
    for figure, rows in overall.items():
        values = np.mean(rows, axis=0).tolist()
        lines.append(
            f"| **mean of {len(rows)}** | {figure} | {' | '.join(f'{v:.3f}' for v in values)} | {way(values)} |"
        )
    return lines


def way(values: list[float]) -> str:
    """Return how far the second is from the first to the third."""
    first, own, last = values
    return f"{(own - first) / (last - first):.2f}" if last > first else "–"


if __name__ == "__main__":
    main()
