"""Write a model as a package that predicts without this toolkit, and prove it before anybody can use it.

A package is a folder: the model's files, ``runtime.py`` to the letter, golden images with their answers, and
``package.json`` with the SHA-256 of each file. It appears only after a fresh process that can import nothing but the
standard library, numpy, onnxruntime and Pillow has given every golden answer again. That process runs the package's
own ``runtime.py``; what it says is compared here, so that a program that was changed cannot judge itself.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vision_toolkit.core.entry import Entry
from vision_toolkit.core.errors import Conflict, Failed, Invalid, NotFound
from vision_toolkit.core.mask import BACKGROUND, Mask
from vision_toolkit.core.settings import Settings
from vision_toolkit.data.images import encode_mask, encode_png, read_image
from vision_toolkit.data.storage import check_folder, local_path, new_folder
from vision_toolkit.models import runtime
from vision_toolkit.models.card import write_card
from vision_toolkit.models.model import MODEL_FILES

if TYPE_CHECKING:
    from vision_toolkit.models.model import Model

__all__ = [
    "LOWEST_IOU",
    "MOST_GOLDEN",
    "MOST_SCORE_DIFFERENCE",
    "PACKAGE_FILES",
    "Export",
    "Parity",
    "export_package",
    "verify_package",
]

FORMAT = 1
MOST_GOLDEN = 99
"""Golden images of a package at most."""
DRAWN = 8

PACKAGE_FILES = ("package.json", *MODEL_FILES, "runtime.py", "requirements.txt", "README.md", "golden", "__pycache__")
"""What a package folder may hold; the first tells what it is, the last is made by whoever imports its program."""


MOST_SCORE_DIFFERENCE = 1e-3
"""By which a golden score or confidence may differ."""
LOWEST_IOU = 0.99
"""Intersection over union that each class of each golden mask must reach."""

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

import base64, contextlib, importlib.util, io, json, os, platform, statistics, time, zlib
from pathlib import Path

import numpy, onnxruntime, PIL

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
class Export:
    """Hold what was measured of a package.

    Parameters
    ----------
    path
        the package.
    parity
        how far its answers lie from the model's, on the golden images.
    seconds
        one image takes, decoding included: the median over the golden images, one at a time.
    threads
        of one computation while that was measured.
    size
        of the package in bytes.
    drawn
        True where no golden images were given and patterns were drawn.
    """

    path: Path
    parity: Parity
    seconds: float
    threads: int
    size: int
    drawn: bool

    def __str__(self) -> str:
        speed = f"{1000 * self.seconds:.1f} ms an image, decoding included, {_counted(self.threads, 'thread')}"
        text = f"{self.path}: {self.parity}; {speed}; {self.size / 1e6:.1f} MB."
        if self.drawn:
            text += " The golden images are drawn patterns; golden=test proves it on real ones."
        return text


def export_package(
    model: Model, path: str | os.PathLike[str], *, golden: Iterable[Any] | None = None, overwrite: bool = False
) -> Export:
    """Write a package that predicts without this toolkit, and prove it before it is there.

    The folder holds the model as :meth:`Model.save` writes it (so that :func:`vision_toolkit.load` reads it too),
    ``runtime.py`` to the letter, ``golden/NN.png`` with ``golden/NN-mask.png`` and ``golden/answers.json``,
    ``requirements.txt``, ``README.md`` and ``package.json``. ``python runtime.py IMAGE...`` in it prints one JSON
    line an image.

    Before the folder appears, a fresh process (``python -I -S``) that can import nothing but the standard library,
    numpy, onnxruntime and Pillow loads it with its own ``runtime.py`` and must give every golden answer: the same
    verdict, scores within 0.001, masks with an intersection over union of 0.99 or more.

    Parameters
    ----------
    model
        what is exported.
    path
        the folder to make.
    golden
        images whose answers travel with the package: a manifest, or a list of what :meth:`Model.predict` takes, at
        most :data:`MOST_GOLDEN`. A model keeps no training images, so None takes a few drawn patterns, those
        whose scores lie nearest to the threshold: they prove the arithmetic, not what the model is worth.
    overwrite
        replace an older package, never anything else.

    Raises
    ------
    Conflict
        if the folder is there and may not be replaced.
    Invalid
        if a golden image cannot be read, or there are none or too many.
    Failed
        if the package does not give the golden answers, with the figures, or the disk refuses; nothing is left
        behind then.

    Examples
    --------
    >>> import tempfile, vision_toolkit as vt
    >>> parts = vt.load_dataset("biscuit").filter(label="normal")[:8]
    >>> model = vt.train(parts, weights=None, preset="fast", progress=False)
    >>> export = export_package(model, tempfile.mkdtemp() + "/package", golden=parts[:3])
    >>> export.parity.verdicts_equal, export.parity.score_difference <= 1e-3
    (3, True)
    """
    check_folder(path, overwrite=overwrite, names=PACKAGE_FILES)
    _check_golden_folder(local_path(path))
    images = iter(_drawn_images(model)) if golden is None else _given_images(golden)
    with new_folder(path, overwrite=overwrite, names=PACKAGE_FILES) as folder:
        _write_model(model, folder)
        _write_golden(model, folder, images, drawn=golden is None)
        facts = {"format": FORMAT, "model": repr(model), "drawn": golden is None, **_measured_facts(_pass_gate(folder))}
        _write_words(folder, facts, write_card(model.info, size=(folder / MODEL_FILES[1]).stat().st_size, level=2))
        _write_checksums(folder, facts)
    return _export(local_path(path), facts)


def verify_package(path: str | os.PathLike[str], *, replay: bool = False) -> Export:
    """Verify that a package is whole and unchanged: each file's SHA-256, and no file that does not belong there.

    This finds damage, not malice: who may change a file may change ``package.json`` as well.

    Parameters
    ----------
    path
        the package.
    replay
        give the golden answers again as well, on this machine, in a fresh process as :func:`export_package` does; the
        figures are then this machine's.

    Raises
    ------
    NotFound
        if there is no package.
    Invalid
        if a file is missing, changed or strange, or the package has a format that this version does not read.
    Failed
        if ``replay`` gives other answers.

    Examples
    --------
    >>> verify_package("nowhere")
    Traceback (most recent call last):
    ...
    vision_toolkit.core.errors.NotFound: nowhere is no package: package.json is missing.
    """
    root = local_path(path)
    facts = _read_facts(root)
    listed: dict[str, str] = facts["files"]
    for name, digest in listed.items():
        if not (root / name).is_file():
            raise Invalid(f"{root} is not whole: {name} is missing. Export the model again.")
        if _sha256(root / name) != digest:
            raise Invalid(f"{root / name} was changed after the export. Export the model again.")
    strange = sorted(_files(root) - set(listed) - {PACKAGE_FILES[0]})
    if strange:  # a numpy.py beside the program would be imported in place of numpy
        raise Invalid(f"{root / strange[0]} does not belong to the package. Remove it, or export the model again.")
    if replay:
        facts |= _measured_facts(_pass_gate(root))
    return _export(root, facts)


# The gate


@dataclass(frozen=True, slots=True)
class _Measured:
    """Hold what the fresh process was seen to do.

    ``seconds`` an image (median, decoding included), ``threads`` of one computation, ``megabytes`` resident at most
    (None where the system does not tell), ``versions`` of Python and the three packages.
    """

    parity: Parity
    seconds: float
    threads: int
    megabytes: int | None
    versions: dict[str, str]


def _pass_gate(folder: Path) -> _Measured:
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
    return _Measured(parity, heard["seconds"], threads, heard["megabytes"], heard["versions"])


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
            _difference(said["score"], answer["score"], drawn=golden["drawn"]), *(_difference(*p) for p in pairs)
        )
        off = difference / MOST_SCORE_DIFFERENCE
        if "mask" in answer or said["ids"] is not None:
            known = read_image(folder / answer["mask"]) if "mask" in answer else np.zeros((0, 0, 3), np.uint8)
            ious.append(_iou(_painted(said, names, colours), known))
            off = max(off, (1 - ious[-1]) / (1 - LOWEST_IOU))
        equal += same
        differences.append(difference)
        faults.append((not same, off, answer["image"]))
    parity = Parity(len(golden["answers"]), equal, float(max(differences)), min(ious) if ious else None)
    return parity, max(faults)[2]


def _difference(one: float, two: float, *, drawn: bool = False) -> float:
    """Return how far two scores lie apart; ``drawn``: a quarter of their log-odds' difference, if that is more."""
    if not np.isfinite(one):
        return np.inf
    if not drawn:
        return abs(one - two)
    # Beyond that, a score so near to 1 has too few digits left for its log-odds.
    first, second = (float(np.log(score / (1 - score))) for score in np.clip((one, two), 1e-10, 1 - 1e-10))
    return max(abs(one - two), abs(first - second) / 4)


def _painted(said: dict[str, Any], names: Sequence[str], colours: Sequence[str]) -> NDArray[np.uint8]:
    if said["ids"] is None:
        return np.zeros((0, 0, 3), np.uint8)
    ids = np.frombuffer(zlib.decompress(base64.b64decode(said["ids"])), np.uint8).reshape(said["shape"])
    return Mask(ids, tuple(names), tuple(colours)).to_rgb()


def _iou(one: NDArray[np.uint8], two: NDArray[np.uint8]) -> float:
    """Return the lowest intersection over union of a colour that one of two painted masks has."""
    if one.shape != two.shape:
        return 0.0
    first, second = (mask.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32) for mask in (one, two))
    found = []
    for colour in np.union1d(first, second):
        here, there = first == colour, second == colour
        found.append(float((here & there).sum() / (here | there).sum()))
    return min(found)


# Golden images


def _given_images(golden: Iterable[Any]) -> Iterator[NDArray[np.uint8]]:
    if isinstance(golden, str | bytes | os.PathLike | Entry | np.ndarray):
        raise Invalid(f"golden is a manifest or a list of images; one {type(golden).__name__} was given. Put it in [].")
    sources = list(islice(golden, MOST_GOLDEN + 1))
    if not 1 <= len(sources) <= MOST_GOLDEN:
        count = "more" if sources else "none"
        raise Invalid(f"golden holds 1 to {MOST_GOLDEN} images; {count} were given. Choose some of each verdict.")
    return map(read_image, sources)


def _drawn_images(model: Model) -> list[NDArray[np.uint8]]:
    """Draw patterns and keep those that say most: of each verdict, the scores nearest to the threshold.

    A score on the threshold itself comes last: on another machine it may turn with the last digit.
    """
    size = model.info["inputs"][0]
    patterns = _patterns(size["height"], size["width"])
    predictions = [model.predict(image) for image in patterns]
    margins = [abs((p.score or 0.0) - model.threshold) for p in predictions]
    order = sorted(range(len(patterns)), key=lambda i: (margins[i] < 2e-3, margins[i]))
    kept: list[int] = []
    for verdict in (True, False):
        kept += [i for i in order if predictions[i].is_anomalous is verdict][: DRAWN // 2]
    kept += [i for i in order if i not in kept][: DRAWN - len(kept)]
    return [patterns[i] for i in sorted(kept)]


def _patterns(height: int, width: int) -> list[NDArray[np.uint8]]:
    """Draw plates of several surfaces with a disc and blots of several contrasts; some of other sizes and shapes."""
    rng = np.random.default_rng(0)
    found = []
    for number in range(12):
        tall = height * 2 if number % 4 == 1 else height
        wide = width + 37 if number % 4 == 2 else width
        y, x = np.mgrid[:tall, :wide].astype(np.float64)
        image = np.full((tall, wide, 3), rng.uniform(40, 200, 3) if number % 2 else rng.uniform(60, 190))
        image += rng.normal(0, rng.choice([0, 2, 8]), (tall, wide, 1)) + rng.uniform(-20, 20) * (x / wide)[..., None]
        image[(y - tall / 2) ** 2 + (x - wide / 2) ** 2 < (min(tall, wide) / 3) ** 2] += rng.uniform(-60, 60)
        for _ in range(number // 3):
            middle, side = rng.uniform(0.2, 0.8, 2) * (tall, wide), rng.uniform(0.01, 0.08) * min(tall, wide)
            image[(y - middle[0]) ** 2 + (x - middle[1]) ** 2 < side**2] += rng.uniform(-90, 90)
        found.append(np.clip(image, 0, 255).astype(np.uint8))
    return found


# Writing


def _write_model(model: Model, folder: Path) -> None:
    model.write_files(folder)
    (folder / "runtime.py").write_bytes(Path(runtime.__file__).read_bytes())


def _write_golden(model: Model, folder: Path, images: Iterable[NDArray[np.uint8]], *, drawn: bool) -> None:
    (folder / "golden").mkdir()
    answers = []
    for number, image in enumerate(images, 1):
        prediction = model.predict(image)
        name = f"golden/{number:02}.png"
        (folder / name).write_bytes(encode_png(image))
        answer: dict[str, Any] = {
            "image": name,
            "is_anomalous": prediction.is_anomalous,
            "confidence": prediction.confidence,
            "score": prediction.score,
        }
        if prediction.mask is not None:
            answer["mask"] = f"golden/{number:02}-mask.png"
            answer["areas"] = prediction.areas()
            (folder / answer["mask"]).write_bytes(encode_mask(prediction.mask))
        answers.append(answer)
    facts = {"drawn": drawn, "types": list(model.types), "colours": model.info["colours"], "answers": answers}
    _write_json(folder / "golden" / "answers.json", facts)


def _measured_facts(measured: _Measured) -> dict[str, Any]:
    return {
        "parity": asdict(measured.parity),
        "seconds_per_image": measured.seconds,
        "resident_megabytes": measured.megabytes,
        "threads": measured.threads,
        "versions": measured.versions,
        "host": {"system": platform.platform(), "machine": platform.machine(), "cpus": os.cpu_count()},
    }


def _write_words(folder: Path, facts: dict[str, Any], card: str) -> None:
    versions = facts["versions"]
    needed = {name: versions[name] for name in ("numpy", "onnxruntime", "pillow")}
    (folder / "requirements.txt").write_text("".join(f"{k}=={v}\n" for k, v in needed.items()), "utf-8")
    seconds, megabytes = facts["seconds_per_image"], facts["resident_megabytes"]
    memory = f", at most {megabytes} MB of memory" if megabytes else ""
    golden = (
        "patterns that were drawn because no golden images were given" if facts["drawn"] else "images that were given"
    )
    text = f"""# An inspection model, ready to run

{facts["model"]}

    python -m pip install -r requirements.txt
    python runtime.py IMAGE...

prints one JSON line an image: `source`, `is_anomalous`, `confidence`, `score`. An image that cannot be read gives
`source` and `error`, and the program ends with 1. From Python, with heat map and mask:

    from runtime import Runtime, read

    runtime = Runtime.load("this folder")
    answer = runtime.predict([read(open("IMAGE", "rb").read())])[0]     # score, map, ids (type of each pixel), size

`VISION_TOOLKIT_THREADS` sets how many threads one computation takes. With vision_toolkit, `vt.load("this folder")`
reads it as well.

## What was measured

A fresh process with nothing but Python {versions["python"]}, numpy, onnxruntime and Pillow gave the golden answers
again ({golden}):

- {Parity(**facts["parity"])}
- {1000 * seconds:.1f} ms an image ({1 / seconds:.0f} images/s), one at a time, decoding included{memory}
- {_counted(facts["threads"], "thread")} on {facts["host"]["system"]}

`golden/` holds these images and answers: try them on your machine. `package.json` holds the SHA-256 of each file;
`vision_toolkit.models.export.verify_package` compares them, and with `replay=True` gives the answers again.

{card}"""
    (folder / "README.md").write_text(text, "utf-8")


def _write_checksums(folder: Path, facts: dict[str, Any]) -> None:
    facts["files"] = {name: _sha256(folder / name) for name in sorted(_files(folder))}
    _write_json(folder / PACKAGE_FILES[0], facts)


def _write_json(path: Path, facts: dict[str, Any]) -> None:
    path.write_text(json.dumps(facts, indent=1, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")


# Reading


def _read_facts(root: Path) -> dict[str, Any]:
    file = root / PACKAGE_FILES[0]
    if not file.is_file():
        raise NotFound(f"{root} is no package: {file.name} is missing.")
    try:
        facts: dict[str, Any] = json.loads(file.read_text("utf-8"))
        if facts["format"] != FORMAT:
            raise Invalid(f"{file} has format {facts['format']!r}; this version reads format {FORMAT}.")
        _export(root, facts)
        missing = {*MODEL_FILES, "runtime.py", "golden/answers.json"} - set(facts["files"])
        if missing:
            raise Invalid(f"{file} does not list {', '.join(sorted(missing))}; export the model again.")
        return facts
    except Invalid:
        raise
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Invalid(f"{file} is damaged; export the model again.") from None


def _check_golden_folder(target: Path) -> None:
    """Raise where an older package holds files that this toolkit did not write: they would be lost."""
    if not (target / PACKAGE_FILES[0]).is_file():
        return
    try:
        listed = set(_read_facts(target)["files"])
    except Invalid as error:
        raise Conflict(f"{target} is left alone, for what belongs to it cannot be told: {error}") from None
    strange = sorted(_files(target) - listed - {PACKAGE_FILES[0]})
    if strange:
        raise Conflict(f"{target} holds {', '.join(strange[:3])}, which was not made here, and is left alone.")


def _export(path: Path, facts: dict[str, Any]) -> Export:
    size = sum((path / name).stat().st_size for name in _files(path))
    parity = Parity(**facts["parity"])
    seconds, threads = float(facts["seconds_per_image"]), int(facts["threads"])
    return Export(path, parity, seconds, threads, size, bool(facts["drawn"]))


def _files(root: Path) -> set[str]:
    """Return the names of all files below a folder, but for compiled Python."""
    names = {path.relative_to(root) for path in root.rglob("*") if not path.is_dir()}
    return {name.as_posix() for name in names if "__pycache__" not in name.parts}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _counted(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
