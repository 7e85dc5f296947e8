"""Write a model as a package that predicts without this toolkit, and prove it before anybody can use it.

A package is a folder: the model's files, ``runtime.py`` and what serves and watches beside it, to the letter, golden
images with their answers, what a service, a container or a fleet needs to run it, and ``package.json`` with the SHA-256
of each file. It appears only after :mod:`.gate` has seen it give every golden answer again.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vision_toolkit.core.errors import Conflict, Invalid, NotFound
from vision_toolkit.data.images import encode_mask, encode_png
from vision_toolkit.data.storage import check_folder, local_path, new_folder
from vision_toolkit.models import package_words, runtime
from vision_toolkit.models.card import write_card
from vision_toolkit.models.gate import Measured, Parity, pass_gate
from vision_toolkit.models.golden import MOST_GOLDEN, drawn_images, given_images
from vision_toolkit.models.model import MODEL_FILES
from vision_toolkit.models.station import files
from vision_toolkit.models.station.check import LOWEST_IOU, MOST_SCORE_DIFFERENCE

if TYPE_CHECKING:
    from vision_toolkit.models.component import Component
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

FORMAT = 2
FORMATS = (1, FORMAT)
"""Those that are read: the first had nothing but the model, ``runtime.py`` and the proof."""

PARTS = {
    "model": MODEL_FILES,
    "program": ("runtime.py", "__main__.py", "station"),
    "proof": ("golden",),
    "delivery": ("requirements.txt", "requirements-gpu.txt", "inspection.service", "Dockerfile", "recipe.yaml"),
    "words": ("README.md",),
}
"""What a package is made of."""
PACKAGE_FILES = (files.LIST, *(name for names in PARTS.values() for name in names), "__pycache__")
"""What a package folder may hold; the first tells what it is, the last is made by whoever imports its program."""


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
        speed = (
            f"{1000 * self.seconds:.1f} ms an image, decoding included, {package_words.counted(self.threads, 'thread')}"
        )
        text = f"{self.path}: {self.parity}; {speed}; {self.size / 1e6:.1f} MB."
        if self.drawn:
            text += " The golden images are drawn patterns; golden=test proves it on real ones."
        return text


def export_package(
    model: Model,
    path: str | os.PathLike[str],
    *,
    golden: Iterable[Any] | None = None,
    overwrite: bool = False,
    component: Component | None = None,
) -> Export:
    """Write a package that predicts without this toolkit, and prove it before it is there.

    The folder holds the model as :meth:`Model.save` writes it (so that :func:`vision_toolkit.load` reads it too),
    ``runtime.py`` and ``station/`` to the letter, ``golden/NN.png`` with ``golden/NN-mask.png`` and
    ``golden/answers.json``, ``requirements.txt``, a systemd unit, a ``Dockerfile``, ``README.md`` and
    ``package.json``. ``python runtime.py IMAGE...`` in it prints one JSON line an image; ``python FOLDER --help`` says
    what else it does.

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
    component
        what it is called where it is delivered as a component: then it has a ``recipe.yaml``.

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
    images = iter(drawn_images(model)) if golden is None else given_images(golden)
    with new_folder(path, overwrite=overwrite, names=PACKAGE_FILES) as folder:
        _write_model(model, folder)
        _write_golden(model, folder, images, drawn=golden is None)
        facts = {
            "format": FORMAT, "component": component.to_dict() if component else None, "model": repr(model),
            "drawn": golden is None, **_measured_facts(pass_gate(folder)),
        }  # fmt: skip
        card = write_card(model.info, size=(folder / MODEL_FILES[1]).stat().st_size, level=2)
        _write_words(folder, facts, card, component)
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
    fault = next(files.faults(root, facts["files"]), None)
    if fault is not None:
        raise Invalid(f"{root} is not as it was exported: {fault}. Export the model again, or fetch it again.")
    if replay:
        facts |= _measured_facts(pass_gate(root))
    return _export(root, facts)


# Writing


def _write_model(model: Model, folder: Path) -> None:
    model.write_files(folder)
    program = Path(runtime.__file__)
    (folder / program.name).write_bytes(program.read_bytes())
    (folder / "__main__.py").write_text(package_words.START, "utf-8")
    (folder / "station").mkdir()
    for module in sorted(Path(files.__file__).parent.glob("*.py")):
        (folder / "station" / module.name).write_bytes(module.read_bytes())


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


def _measured_facts(measured: Measured) -> dict[str, Any]:
    return {
        "parity": asdict(measured.parity),
        "seconds_per_image": measured.seconds,
        "resident_megabytes": measured.megabytes,
        "threads": measured.threads,
        "versions": measured.versions,
        "host": {"system": platform.platform(), "machine": platform.machine(), "cpus": os.cpu_count()},
    }


def _write_words(folder: Path, facts: dict[str, Any], card: str, component: Component | None) -> None:
    words = {
        "requirements.txt": package_words.requirements(facts["versions"]),
        "inspection.service": package_words.unit(),
        "Dockerfile": package_words.dockerfile(facts["versions"]),
        "README.md": package_words.readme(facts, card, component),
    }
    if component is not None:
        words["recipe.yaml"] = component.recipe()
    if component is not None and component.gpu:
        words["requirements-gpu.txt"] = package_words.requirements(facts["versions"], gpu=True)
    for name, text in words.items():
        (folder / name).write_text(text, "utf-8")


def _write_checksums(folder: Path, facts: dict[str, Any]) -> None:
    there = sorted(files.names(folder))
    facts["parts"] = {
        part: [name for name in there if name.partition("/")[0] in names] for part, names in PARTS.items()
    }
    facts["files"] = {name: files.sha256(folder / name) for name in there}
    _write_json(folder / files.LIST, facts)


def _write_json(path: Path, facts: dict[str, Any]) -> None:
    path.write_text(json.dumps(facts, indent=1, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")


# Reading


def _read_facts(root: Path) -> dict[str, Any]:
    file = root / files.LIST
    if not file.is_file():
        raise NotFound(f"{root} is no package: {file.name} is missing.")
    try:
        facts: dict[str, Any] = json.loads(file.read_text("utf-8"))
        if facts["format"] not in FORMATS:
            known = " and ".join(map(str, FORMATS))
            raise Invalid(f"{file} has format {facts['format']!r}; this version reads formats {known}.")
        _export(root, facts)
        program = ["__main__.py", "station/command.py"] if facts["format"] >= 2 else []
        missing = {*MODEL_FILES, "runtime.py", "golden/answers.json", *program} - set(facts["files"])
        if missing:
            raise Invalid(f"{file} does not list {', '.join(sorted(missing))}; export the model again.")
        return facts
    except Invalid:
        raise
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Invalid(f"{file} is damaged; export the model again.") from None


def _check_golden_folder(target: Path) -> None:
    """Raise where an older package holds files that this toolkit did not write: they would be lost."""
    if not (target / files.LIST).is_file():
        return
    try:
        listed = set(_read_facts(target)["files"])
    except Invalid as error:
        raise Conflict(f"{target} is left alone, for what belongs to it cannot be told: {error}") from None
    strange = sorted(files.names(target) - listed - {files.LIST})
    if strange:
        raise Conflict(f"{target} holds {', '.join(strange[:3])}, which was not made here, and is left alone.")


def _export(path: Path, facts: dict[str, Any]) -> Export:
    size = sum((path / name).stat().st_size for name in files.names(path))
    parity = Parity(**facts["parity"])
    seconds, threads = float(facts["seconds_per_image"]), int(facts["threads"])
    return Export(path, parity, seconds, threads, size, bool(facts["drawn"]))
