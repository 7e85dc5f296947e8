"""The gate that a package passes before anybody can use it: a fresh process gives its golden answers again.

That process can import nothing but the standard library, numpy, onnxruntime and Pillow, and runs the package's own
``runtime.py``; what it says is compared here, so that a program that was changed cannot judge itself.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision_toolkit.core.errors import Failed
from vision_toolkit.core.mask import BACKGROUND, Mask
from vision_toolkit.core.settings import Settings
from vision_toolkit.data.images import read_image
from vision_toolkit.models.station.check import LOWEST_IOU, MOST_SCORE_DIFFERENCE, score_difference, shared_iou

__all__ = ["Measured", "Parity", "pass_gate"]

ALLOWED = ("numpy", "onnxruntime", "PIL")

# What the fresh process does. -S keeps it from everything that is installed, .pth files too; the folders of the three
# packages come back one by one, and the guard refuses whatever else lies in them.
PROGRAM = """
import sys

folder, out, names, *places = sys.argv[1:]
allowed = set(names.split(","))

class Guard:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in allowed and top not in sys.stdlib_module_names:
            raise ModuleNotFoundError(f"{name} may not be imported by a package", name=name)
        return None

sys.path += places
sys.meta_path.insert(0, Guard())

import base64, contextlib, importlib, importlib.util, io, json, os, platform, statistics, time, zlib
from pathlib import Path

import numpy, onnxruntime, PIL

# Of the first format packages had none of these.
allowed.add("station")
sys.path.insert(0, folder)
for module in sorted(Path(folder, "station").glob("*.py")):
    importlib.import_module("station." + module.stem)

spec = importlib.util.spec_from_file_location("runtime", os.path.join(folder, "runtime.py"))
program = importlib.util.module_from_spec(spec)
sys.modules["runtime"] = program
spec.loader.exec_module(program)

answers = json.loads(Path(folder, "golden", "answers.json").read_text("utf-8"))["answers"]
paths = [str(Path(folder, answer["image"])) for answer in answers]
printed = io.StringIO()
with contextlib.redirect_stdout(printed):
    code = program.main(paths)

runtime = program.Runtime.load(folder, int(os.environ["VISION_TOOLKIT_THREADS"]))
said, seconds = [], []
for path in paths:
    started = time.perf_counter()
    answer = runtime.predict([program.read(Path(path).read_bytes())])[0]
    seconds.append(time.perf_counter() - started)
    ids = answer["ids"]
    said.append({
        "score": answer["score"],
        "ids": ids if ids is None else base64.b64encode(zlib.compress(ids.tobytes(), 1)).decode(),
        "shape": ids if ids is None else ids.shape,
    })

megabytes = None
with contextlib.suppress(OSError, ValueError):
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    megabytes = int(lines["VmHWM"].split()[0]) // 1024

Path(out).write_text(json.dumps({
    "code": code,
    "printed": [json.loads(line) for line in printed.getvalue().splitlines()],
    "said": said,
    "types": runtime.info["types"],
    "colours": runtime.info["colours"],
    "seconds": statistics.median(seconds),
    "megabytes": megabytes,
    "versions": {
        "python": platform.python_version(),
        "numpy": numpy.__version__,
        "onnxruntime": onnxruntime.__version__,
        "pillow": PIL.__version__,
    },
}), "utf-8")
"""


@dataclass(frozen=True, slots=True)
class Parity:
    """Hold how far answers lie from the golden ones.

    Parameters
    ----------
    images
        golden images.
    verdicts_equal
        images whose verdict is the golden one.
    score_difference
        the largest difference of a score or a confidence. Drawn patterns mostly score nearly 0 or 1, where small
        faults are hidden: theirs is what the difference of the log-odds would be at a score of one half.
    mask_iou
        the lowest intersection over union of a class of a mask, background too; None without masks.

    Examples
    --------
    >>> print(Parity(8, 8, 0.0, 1.0))
    8 of 8 verdicts equal, largest score difference 0 (allowed 0.001), lowest mask IoU 1.0000 (at least 0.99)
    >>> Parity(8, 7, 0.0, None).holds
    False
    """

    images: int
    verdicts_equal: int
    score_difference: float
    mask_iou: float | None

    @property
    def holds(self) -> bool:
        """Return whether the answers are the golden ones."""
        return (
            self.verdicts_equal == self.images
            and self.score_difference <= MOST_SCORE_DIFFERENCE
            and (self.mask_iou is None or self.mask_iou >= LOWEST_IOU)
        )

    def __str__(self) -> str:
        text = (
            f"{self.verdicts_equal} of {self.images} verdicts equal, largest score difference "
            f"{self.score_difference:.2g} (allowed {MOST_SCORE_DIFFERENCE:g})"
        )
        if self.mask_iou is not None:
            text += f", lowest mask IoU {self.mask_iou:.4f} (at least {LOWEST_IOU})"
        return text


@dataclass(frozen=True, slots=True)
class Measured:
    """Hold what the fresh process was seen to do.

    ``seconds`` an image (median, decoding included), ``threads`` of one computation, ``megabytes`` resident at most
    (None where the system does not tell), ``versions`` of Python and the three packages.
    """

    parity: Parity
    seconds: float
    threads: int
    megabytes: int | None
    versions: dict[str, str]


def pass_gate(folder: Path) -> Measured:
    """Give the golden answers of a package again, in a fresh process, and measure it.

    The process is ``python -I -S`` and can import the standard library, numpy, onnxruntime and Pillow only.

    Raises
    ------
    Failed
        if the process ends badly, or an answer is not the golden one; the figures are told.
    """
    threads = Settings.read().usable_threads()
    try:
        golden = json.loads((folder / "golden" / "answers.json").read_text("utf-8"))
        heard = _run(folder, threads, len(golden["answers"]))
        for what in ("types", "colours"):
            if heard[what] != golden[what]:
                raise Failed(
                    f"The package does not answer as the model does: {what} {heard[what]}, not {golden[what]}."
                )
        if heard["code"] != 0:
            errors = [line["error"] for line in heard["printed"] if "error" in line]
            raise Failed(f"The package's program does not read its golden images: {'; '.join(errors)[:300]}")
        parity, worst = _compare(folder, golden, heard)
    except (KeyError, TypeError, ValueError) as error:  # Invalid is a ValueError: an id without a name, for example
        raise Failed(f"The package's answers cannot be understood: {type(error).__name__}: {error}") from None
    if not parity.holds:
        raise Failed(f"The package does not answer as the model does: {parity}; worst is {worst}.")
    return Measured(parity, heard["seconds"], threads, heard["megabytes"], heard["versions"])


def _run(folder: Path, threads: int, images: int) -> dict[str, Any]:
    places = dict.fromkeys(str(Path(str(spec.origin)).parents[1]) for spec in map(find_spec, ALLOWED) if spec)
    limit = 120 + 60 * images
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch, "said.json")
        command = [sys.executable, "-I", "-S", "-B", "-c", PROGRAM, str(folder.absolute()), str(out), ",".join(ALLOWED)]
        try:
            done = subprocess.run(
                [*command, *places],
                check=False,
                capture_output=True,
                cwd=scratch,
                env=os.environ | {"VISION_TOOLKIT_THREADS": str(threads)},
                timeout=limit,
            )
        except subprocess.TimeoutExpired:
            raise Failed(f"The package gave no answer to {images} golden images in {limit} s.") from None
        except OSError as error:
            raise Failed(f"No fresh Python can be started ({sys.executable!r}): {error}.") from None
        if done.returncode != 0 or not out.is_file():
            words = done.stderr.decode("utf-8", "replace").strip().splitlines() or [f"exit code {done.returncode}"]
            raise Failed(f"The package does not run by itself: {words[-1][:300]}")
        heard: dict[str, Any] = json.loads(out.read_text("utf-8"))
        return heard


def _compare(folder: Path, golden: dict[str, Any], heard: dict[str, Any]) -> tuple[Parity, str]:
    """Return the parity, and the golden image that is farthest off."""
    names, colours = (BACKGROUND, *golden["types"]), tuple(golden["colours"])
    equal, differences, ious, faults = 0, [0.0], [], []
    for answer, said, line in zip(golden["answers"], heard["said"], heard["printed"], strict=True):
        same = line["is_anomalous"] is answer["is_anomalous"]
        pairs = [(line["score"], round(answer["score"], 6))]
        pairs += [(line["confidence"], answer["confidence"])] if same else []
        difference = max(
            score_difference(said["score"], answer["score"], drawn=golden["drawn"]),
            *(score_difference(*p) for p in pairs),
        )
        off = difference / MOST_SCORE_DIFFERENCE
        if "mask" in answer or said["ids"] is not None:
            known = read_image(folder / answer["mask"]) if "mask" in answer else np.zeros((0, 0, 3), np.uint8)
            ious.append(shared_iou(_painted(said, names, colours), known))
            off = max(off, (1 - ious[-1]) / (1 - LOWEST_IOU))
        equal += same
        differences.append(difference)
        faults.append((not same, off, answer["image"]))
    parity = Parity(len(golden["answers"]), equal, float(max(differences)), min(ious) if ious else None)
    return parity, max(faults)[2]


def _painted(said: dict[str, Any], names: Sequence[str], colours: Sequence[str]) -> NDArray[np.uint8]:
    if said["ids"] is None:
        return np.zeros((0, 0, 3), np.uint8)
    ids = np.frombuffer(zlib.decompress(base64.b64decode(said["ids"])), np.uint8).reshape(said["shape"])
    return Mask(ids, tuple(names), tuple(colours)).to_rgb()
