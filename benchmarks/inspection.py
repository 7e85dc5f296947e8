"""How well, how quickly and in how much memory defects are found: ours beside anomalib's PatchCore, in one run.

    python benchmarks/inspection.py [DATA] [--only a,b] [--quick] [--json OUT] [--resume] [--no-peer] ...

Same machine, images, splits, backbone weights (`weights/mobilenetv2_100.safetensors`), input size and number of
threads for both; each training and each judging in a process of its own, ours and the peer's in turn, so that what else
the machine does meets both. The peer lives in an environment that is made here once (`--peer FOLDER`, about 6 GB); how
it is set up, and what is done so that it is measured at its best, is told in `rig/peer.py` and `rig/worker.py`. Its
memory is watched: above `--cap-gb` it is killed, and that is its result.

Parts: a verdict on cookies and aliens; b cookies' cracks painted; c magnetic tiles from normal images alone;
d five types painted on magnetic tiles, one split; e a stream with 7 % anomalies; f speed and memory; g as a, with the
backbone in the package: a default call. They run in the order that `--only` names them; speed first, while the machine
is cool.

**No threshold sees a test image.** Ours comes from the cross-validation inside `vt.train`. The peer's default takes
it from test images; here it is the peer's own rule (best F1; with normal images alone the highest score) on a fifth of
the normal training images and all the anomalous ones, scored by a second model that was fitted to the other normal
images. The model that is judged is then fitted to all normal training images. Where a column says *best F1*, the
threshold was chosen on the test labels: an oracle, which tells rankings apart and is no result.

Columns: *input* height x width in pixels; *F1* at the program's own threshold; *ROC AUC* of the images' scores; *pixel
ROC AUC* over all pixels of all test images, heat maps resized bilinearly to the image; *IoU, pooled* over all pixels of
the test set, *per image* the mean over images that have the type in truth or prediction; *train s* wall seconds of one
training, libraries imported and backbone exported before, nothing else kept from an earlier one (median), *CPU s* the
same in CPU seconds, *threshold s* what the peer's second model takes on top; *peak MB* the largest resident memory of
the process, libraries included. A mean over resplits has a 95 % bootstrap interval over the resplits. These share
images, so that it tells how much the draw of the split matters, and not how another set of images would do. Near copies
of an image are not kept together.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rig import data, figures, tables, worker
from rig.data import Split

ROOT = Path(__file__).parents[1]
WEIGHTS = "weights/mobilenetv2_100.safetensors"
PARTS = "fagbced"
RATIO = 0.1  # the peer's default share of patches to remember
FEW = 0.01  # of 230,000 patches; ten times as many take ten times as long, an hour a model
PREVALENCE = 0.07
SPEED_MODES = [(how, batch) for how in ("input", "original", "files") for batch in (1, 8)]
Record = dict[str, Any]


class Bench:
    """Hold what was asked for and what is known; each thing is measured once and written down at once."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.data: Path = options.data.resolve()
        self.weights = str(self.data / WEIGHTS)
        self.records: list[Record] = []
        self.facts: dict[str, Any] = {}
        self.logs = options.json.absolute().parent / "inspection-logs"
        self.logs.mkdir(parents=True, exist_ok=True)
        if options.resume and options.json.exists():
            known = json.loads(options.json.read_text("utf-8"))
            self.records, self.facts = known["records"], known["facts"]

    def once(self, work: Callable[[], Record], **identity: Any) -> Record:
        """Return the record of this name; measured now if it is not known yet."""
        for record in self.records:
            if all(record.get(key) == value for key, value in identity.items()):
                return record
        started = time.monotonic()
        record = identity | work()
        self.records.append(record)
        self.write()
        named = " ".join(str(value) for value in identity.values())
        print(f"{named}: {time.monotonic() - started:.0f} s {record.get('stopped', '')}", file=sys.stderr)
        return record

    def write(self) -> None:
        """Write everything to the JSON file; it is whole at any time."""
        new = self.options.json.with_suffix(".new")
        new.write_text(json.dumps({"facts": self.facts, "records": self.records}, indent=1), "utf-8")
        new.replace(self.options.json)

    def start(self, program: str) -> worker.Worker:
        """Start one of the two programs."""
        options = self.options
        watched = {"threads": options.threads, "cap_mb": options.cap_gb * 1000, "limit_s": options.limit_s}
        log = self.logs / f"{program}.log"
        found = worker.peer(options.peer, log, **watched) if program == "peer" else worker.ours(log, **watched)
        versions = {
            key: value for key, value in found.ready.items() if key not in ("seconds", "cpu_seconds", "peak_mb")
        }
        self.facts[program] = versions
        return found

    def some(self, splits: Sequence[Split]) -> Sequence[Split]:
        """Return one of several splits where it has to be quick."""
        return splits[:1] if self.options.quick else splits


# One training and its judging


def judge_ours(
    bench: Bench, split: Split, *, preset: str, weights: str | None, task: str, pixels: bool = False, **more: Any
) -> Record:
    """Train ours and score the test images, or see how well their types are painted."""
    with bench.start("ours") as ours:
        fitted = ours.ask(
            "fit", images=split.train, preset=preset, weights=weights, task=task, budget=bench.options.budget, **more
        )
        if task == "segmentation" and "seconds" in fitted:
            return fitted | ours.ask("types", images=split.test)
        if "seconds" in fitted:
            return fitted | {"truth": split.truth} | scored(ours, split, split.test, pixels)
    if "exported" in fitted:
        return judge_ours(bench, split, preset=preset, weights=weights, task=task, pixels=pixels, **more)
    return fitted


def judge_peer(bench: Bench, split: Split, *, like: Record, ratio: float, pixels: bool = False) -> Record:
    """Fit the peer at the input size of ``like``, score the test images, then let it choose its threshold."""
    settings = {"weights": bench.weights, "ratio": ratio, "height": like["height"], "width": like["width"], "seed": 0}
    normal = data.paths(data.normal(split.train))
    anomalies = data.paths([image for image in split.train if image[1] != "normal"])
    with bench.start("peer") as peer:
        found: Record = {"height": like["height"], "width": like["width"]} | peer.ask("fit", images=normal, **settings)
        if "stopped" in found:
            return found
        found |= {"truth": split.truth} | scored(peer, split, data.paths(split.test), pixels)
        if "stopped" in found:
            return found
        chosen = peer.ask("threshold", images=normal, anomalies=anomalies, **settings)
    if "stopped" in chosen:
        return found | {"threshold_stopped": chosen["stopped"]}
    called = [score > chosen["threshold"] for score in found["scores"]]
    return found | {"threshold": chosen["threshold"], "threshold_seconds": chosen["seconds"], "called": called}


def scored(program: worker.Worker, split: Split, images: Sequence[Any], pixels: bool) -> Record:
    """Let a fitted program score images; with ``pixels``, judge its heat maps too."""
    if not pixels:
        return program.ask("score", images=images)
    with tempfile.TemporaryDirectory() as folder:
        found = program.ask("score", images=images, maps=folder)
        if "stopped" not in found:
            maps = [np.load(Path(folder, f"{number:05}.npy")) for number in range(len(images))]
            truths = [data.painted(image[0]) for image in split.test]
            found["pixel_auc"] = figures.pixel_auc(list(zip(maps, truths, strict=True)))
    return found


# The parts


def verdicts(bench: Bench, part: str) -> None:
    """Part a, and with our own backbone part g: normal or anomaly."""
    weights = bench.weights if part == "a" else "auto"
    options = bench.options
    for name in ("cookies", "aliens"):
        published = data.read_splits(bench.data, name)
        splits = [*bench.some(published), *data.resplit(published[0], options.resplits)]
        for split in splits:
            number = int(split.name.removeprefix("resplit")) if split.name.startswith("resplit") else -1
            named = {"part": part, "set": name, "split": split.name, "published": number < 0}
            like: Record = {}
            for preset in options.presets:
                record = bench.once(
                    partial(judge_ours, bench, split, preset=preset, weights=weights, task="classification"),
                    **named, program="ours", preset=preset,
                )  # fmt: skip
                like = like or record
            if part == "a" and not options.no_peer and number < options.peer_resplits:
                bench.once(
                    partial(judge_peer, bench, split, like=like, ratio=RATIO),
                    **named, program="peer", ratio=RATIO,
                )  # fmt: skip


def painting(bench: Bench, part: str) -> None:
    """Parts b and d: anomaly types painted."""
    name = {"b": "cookies_masks", "d": "magnetic_tile_types"}[part]
    splits = bench.some(data.read_splits(bench.data, name))
    for plain in splits[:1] if part == "d" else splits:  # a quarter of an hour each
        if part == "b":
            split = data.with_cookie_masks(bench.data, plain)
        else:
            split = data.with_tile_masks(plain, bench.options.json.absolute().parent / "tile-masks")
        for preset in bench.options.presets:
            bench.once(
                partial(judge_ours, bench, split, preset=preset, weights=bench.weights, task="segmentation"),
                part=part, set=name, split=split.name, images=len(split.test), program="ours", preset=preset,
            )  # fmt: skip


def normal_only(bench: Bench, part: str) -> None:
    """Part c: magnetic tiles, trained on normal images alone."""
    for number, split in enumerate(bench.some(data.read_splits(bench.data, "magnetic_tile_normal_only"))):
        named = {"part": part, "set": "magnetic_tile", "split": split.name}
        like: Record = {}
        for preset in bench.options.presets:
            record = bench.once(
                partial(
                    judge_ours, bench, split, preset=preset, weights=bench.weights, task="classification", pixels=True
                ),
                **named, program="ours", preset=preset,
            )  # fmt: skip
            like = like or record
        if number == 0 and not bench.options.no_peer:
            bench.once(
                partial(judge_peer, bench, split, like=like, ratio=FEW, pixels=True),
                **named, program="peer", ratio=FEW,
            )  # fmt: skip


def stream(bench: Bench, part: str) -> None:
    """Part e: aliens' test images as they would come at 7 % anomalies; the peer's scores are those of part a."""
    for split in bench.some(data.read_splits(bench.data, "aliens")):
        for prevalence in (None, PREVALENCE):
            more: dict[str, Any] = {} if prevalence is None else {"prevalence": prevalence}
            for preset in bench.options.presets:
                bench.once(
                    partial(
                        judge_ours, bench, split, preset=preset, weights=bench.weights, task="classification", **more
                    ),
                    part=part, set="aliens", split=split.name, program="ours", preset=preset, prevalence=prevalence,
                )  # fmt: skip


def speed(bench: Bench, part: str) -> None:
    """Part f: one model each of cookies' normal images, fitted, asked and loaded in turn."""
    bench.once(partial(measure_speed, bench), part=part, set="cookies")


def measure_speed(bench: Bench) -> Record:
    """Return ``fits``, ``rates`` and ``memory`` of both programs."""
    options = bench.options
    (split,) = data.read_splits(bench.data, "cookies")
    normal, images = data.normal(split.train), data.paths(split.train + split.test)
    programs = ["ours"] if options.no_peer else ["ours", "peer"]
    found: Record = {"fits": {program: [] for program in programs}, "rates": [], "memory": {}}
    given: dict[str, Any] = {"weights": bench.weights, "ratio": RATIO}
    with bench.start("ours") as ours:  # so that the network is exported
        ours.ask("fit", images=normal[:8], preset="fast", weights=bench.weights, task="classification")
    with tempfile.TemporaryDirectory() as folder:
        with ExitStack() as stack:
            running = {program: stack.enter_context(bench.start(program)) for program in programs}
            for _ in range(options.repeats):
                fitted = running["ours"].ask(
                    "fit", images=normal, preset="fast", weights=bench.weights, task="classification"
                )
                found["fits"]["ours"].append(fitted)
                given |= {"height": fitted["height"], "width": fitted["width"]}
                if "peer" in programs:
                    fitted = running["peer"].ask("fit", images=data.paths(normal), seed=0, **given)
                    found["fits"]["peer"].append(fitted)
                    if "stopped" in fitted:  # that is its result
                        programs = ["ours"]
            for how, batch in SPEED_MODES:
                for repeat in range(options.repeats):
                    for program in programs:
                        told = running[program].ask(
                            "speed", images=images, how=how, batch=batch, count=options.speed_images
                        )
                        found["rates"].append({"program": program, "how": how, "batch": batch, "repeat": repeat} | told)
            for program in programs:
                running[program].ask("save", path=str(Path(folder, program)))
        for program in programs:
            with bench.start(program) as fresh:
                fresh.ask("load", path=str(Path(folder, program)), **(given if program == "peer" else {}))
                found["memory"][program] = fresh.ask("speed", images=images, how="files", batch=8, count=500)
    return found | {"height": given["height"], "width": given["width"]}


WORK: dict[str, Callable[[Bench, str], None]] = {
    "a": verdicts, "b": painting, "c": normal_only, "d": painting, "e": stream, "f": speed, "g": verdicts,
}  # fmt: skip


def read_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("data", nargs="?", type=Path, default=ROOT.parent / "shared" / "data", help="folder of images")
    parser.add_argument("--only", default=",".join(PARTS), help=f"parts, in this order (default: {','.join(PARTS)})")
    parser.add_argument("--quick", action="store_true", help="one published split, 2 resplits, few repeats")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "inspection.json", help="where raw numbers go")
    parser.add_argument("--resume", action="store_true", help="what is in the JSON file is not run again")
    parser.add_argument("--no-peer", action="store_true", help="ours alone")
    parser.add_argument("--peer", type=Path, default=ROOT / "build" / "peer", help="the peer's environment")
    parser.add_argument("--resplits", type=int, default=None, help="of all images of a set (default: 20)")
    parser.add_argument("--peer-resplits", type=int, default=None, help="of these for the peer too (default: 20)")
    parser.add_argument("--repeats", type=int, default=None, help="of each speed (default: 5)")
    parser.add_argument("--speed-images", type=int, default=160, help="of each repeat (default: 160)")
    parser.add_argument("--presets", default="fast,balanced", help="of ours; the peer gets the first one's input size")
    parser.add_argument("--budget", type=float, default=None, help="seconds, as of vt.train")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cap-gb", type=float, default=12.0, help="memory above which a program is killed")
    parser.add_argument("--limit-s", type=float, default=5400.0, help="seconds after which one request is given up")
    options = parser.parse_args(arguments)
    options.only = options.only.split(",")
    if unknown := set(options.only) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    options.presets = options.presets.split(",")
    few, many = (2, 1) if options.quick else (20, 20), 2 if options.quick else 5
    options.resplits = few[0] if options.resplits is None else options.resplits
    options.peer_resplits = few[1] if options.peer_resplits is None else options.peer_resplits
    options.repeats = many if options.repeats is None else options.repeats
    options.json.parent.mkdir(parents=True, exist_ok=True)
    return options


def machine() -> dict[str, Any]:
    """Return what this runs on."""
    model = platform.processor() or platform.machine()
    if sys.platform == "linux":
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model)
    return {"cpu": model, "cpus": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()}


def main() -> None:
    """Run what is asked for, and print the tables."""
    options = read_options()
    if not (options.data / "splits").is_dir():
        sys.exit(f"{options.data} has no splits/; give the folder of images as the first argument.")
    if not options.no_peer:
        worker.install_peer(options.peer)
    bench = Bench(options)
    bench.facts |= {"machine": machine(), "threads": options.threads, "presets": options.presets}
    loads = bench.facts.setdefault("load", [])
    for part in options.only:
        loads.append([part, round(os.getloadavg()[0], 1)])
        WORK[part](bench, part)
        loads.append([part, round(os.getloadavg()[0], 1)])
        bench.write()
    print("\n".join(tables.page(bench.records, bench.facts)))


if __name__ == "__main__":
    main()
