"""Draw an image, write a folder of them, find or make a dataset by name."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image

from vision_toolkit.core.errors import Conflict, Failed, Invalid, NotFound
from vision_toolkit.core.mask import BACKGROUND, Mask
from vision_toolkit.core.settings import Settings
from vision_toolkit.data.images import encode_mask
from vision_toolkit.data.manifest import Manifest
from vision_toolkit.data.storage import new_folder

__all__ = ["DATASETS", "VERSION", "DatasetFacts", "draw_dataset", "draw_image", "load_dataset"]

VERSION = 1
"""Version of the generator: raised whenever the same seed would draw other pixels."""

_BESIDE = Path(__file__).parents[3] / "datasets"  # in a clone the drawn folders lie beside the package
_QUALITY = 86
_SMALLEST = 12  # pixels: a defect that hides behind a part or outside the frame is drawn anew

Drawer = Callable[[Generator, Generator, Generator, Sequence[str]], tuple[NDArray[np.uint8], NDArray[np.uint8]]]


@dataclass(frozen=True, slots=True)
class DatasetFacts:
    """Tell what a drawn dataset holds.

    Parameters
    ----------
    title
        what the images show, in words.
    types
        the anomaly types in the order of their ids from 1.
    size
        ``(width, height)`` of every image, in pixels.
    normal, anomaly
        how many images of each label.
    number
        its place in the seeds, never used twice.
    drawer
        the function that draws it, ``"module:attribute"``.
    """

    title: str
    types: tuple[str, ...]
    size: tuple[int, int]
    normal: int
    anomaly: int
    number: int
    drawer: str

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of a mask's ids, background first."""
        return (BACKGROUND, *self.types)


DATASETS: dict[str, DatasetFacts] = {
    "board": DatasetFacts(
        "a circuit board under an inspection camera", ("missing_part", "solder_bridge", "scratch"), (512, 384),
        56, 69, 1, "vision_toolkit.data.synthetic.board:draw",
    ),
    "casting": DatasetFacts(
        "a cast and turned flange under a lamp that moves", ("pore", "crack", "dent"), (448, 448),
        56, 69, 2, "vision_toolkit.data.synthetic.casting:draw",
    ),
    "biscuit": DatasetFacts(
        "a stamped and iced biscuit on a conveyor belt", ("smear", "break"), (512, 384),
        56, 46, 3, "vision_toolkit.data.synthetic.biscuit:draw",
    ),
}  # fmt: skip
"""The drawn datasets by name."""


def draw_image(name: str, index: int, *, seed: int = 0, types: Sequence[str] = ()) -> tuple[NDArray[np.uint8], Mask]:
    """Draw one image of a dataset, with the defects that are asked for.

    Everything random in it comes from ``[seed, number of the dataset, index]``: the same part in the same light
    returns with and without its defects, and however many images are drawn.

    Parameters
    ----------
    name
        of the dataset, see :data:`DATASETS`.
    index
        of the image, from 0.
    seed
        from 0.
    types
        the defects; none makes a normal image.

    Returns
    -------
    image, mask
        (H, W, 3) uint8, and the mask of the same size, exact to the pixel.

    Raises
    ------
    NotFound
        if no dataset has that name.
    Invalid
        if a type is not among the dataset's, or a number is negative.

    Examples
    --------
    >>> image, mask = draw_image("biscuit", 0, types=["smear"])
    >>> image.shape, mask.types
    ((384, 512, 3), ('smear',))
    """
    facts = _facts(name)
    _check_whole(index=index, seed=seed)
    wanted = (types,) if isinstance(types, str) else tuple(types)
    for kind in wanted:
        if kind not in facts.types:
            raise Invalid(f"{name!r} has no anomaly type {kind!r}; there are: {', '.join(facts.types)}.")
    module, _, attribute = facts.drawer.partition(":")
    drawer: Drawer = getattr(import_module(module), attribute)
    for attempt in range(1, 30):
        scene, defects, camera = np.random.default_rng([seed, facts.number, index]).spawn(3)
        image, ids = drawer(scene, defects.spawn(attempt)[-1], camera, wanted)
        areas = np.bincount(ids.ravel(), minlength=len(facts.names))
        if all(areas[facts.names.index(kind)] >= _SMALLEST for kind in wanted):
            return image, Mask(ids, facts.names)
    raise Failed(f"{name!r} {index} with {wanted!r} was drawn {attempt} times and never showed every defect.")


def draw_dataset(
    name: str,
    folder: str | os.PathLike[str],
    *,
    seed: int = 0,
    normal: int | None = None,
    anomaly: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Manifest:
    """Draw a whole dataset into a new folder: images, masks, manifest and data card.

    The folder appears when all of it is there. With the default seed and counts it holds what is bundled under
    ``datasets/``.

    Parameters
    ----------
    name
        of the dataset, see :data:`DATASETS`.
    folder
        to make; it must be new or empty.
    seed
        from 0.
    normal, anomaly
        how many of each label; by default what :data:`DATASETS` says.
    progress
        is called with how many images are drawn, and of how many.

    Raises
    ------
    NotFound
        if no dataset has that name.
    Conflict
        if the folder exists and is not empty.
    Invalid
        if a number is negative or no image would be drawn.

    Examples
    --------
    >>> import tempfile
    >>> draw_dataset("biscuit", tempfile.mkdtemp() + "/mine", normal=1, anomaly=1).counts()["anomaly"]
    1
    """
    facts = _facts(name)
    normal = facts.normal if normal is None else normal
    anomaly = facts.anomaly if anomaly is None else anomaly
    _check_whole(seed=seed, normal=normal, anomaly=anomaly)
    if not normal + anomaly:
        raise Invalid("normal and anomaly are both 0; draw at least one image.")
    plan = _plan(facts, seed, normal, anomaly)
    with new_folder(folder) as temporary:
        (temporary / "images").mkdir()
        (temporary / "masks").mkdir()
        lines = []
        for index, types in enumerate(plan):
            stem = f"{name}-{index + 1:03d}"
            image, mask = draw_image(name, index, seed=seed, types=types)
            (temporary / "images" / f"{stem}.jpg").write_bytes(_jpeg(image))
            if types:
                (temporary / "masks" / f"{stem}.png").write_bytes(encode_mask(mask))
            lines.append(json.dumps(_line(name, stem, mask, types)))
            if progress is not None:
                progress(index + 1, len(plan))
        (temporary / f"{name}.manifest").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (temporary / "README.md").write_text(_card(name, seed, plan), encoding="utf-8")
    return Manifest.read(Path(folder) / f"{name}.manifest")


def load_dataset(name: str, *, cache: str | os.PathLike[str] | None = None) -> Manifest:
    """Find a drawn dataset, or draw it where none is yet.

    It is taken from ``datasets/`` beside the package, as in a clone; else from the cache; else it is drawn into
    the cache, which takes about a minute.

    Parameters
    ----------
    name
        of the dataset, see :data:`DATASETS`.
    cache
        the folder of what can be made again; by default ``Settings.read().cache``.

    Raises
    ------
    NotFound
        if no dataset has that name.

    Examples
    --------
    >>> load_dataset("board").counts()["normal"]
    56
    """
    _facts(name)
    bundled = _BESIDE / name / f"{name}.manifest"
    if bundled.is_file():
        return Manifest.read(bundled)
    base = Settings.read().cache if cache is None else Path(cache).expanduser()
    folder = base / "datasets" / f"{name}-v{VERSION}"
    if not (folder / f"{name}.manifest").is_file():
        try:
            return draw_dataset(name, folder)
        except Conflict:
            if not (folder / f"{name}.manifest").is_file():
                raise  # somebody's own files lie there; otherwise another process was faster
    return Manifest.read(folder / f"{name}.manifest")


def _facts(name: str) -> DatasetFacts:
    try:
        return DATASETS[name]
    except (KeyError, TypeError):
        raise NotFound(f"There is no dataset {name!r}; there are: {', '.join(DATASETS)}.") from None


def _check_whole(**numbers: Any) -> None:
    for name, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
            raise Invalid(f"{name} is a whole number from 0; {value!r} was given.")


def _plan(facts: DatasetFacts, seed: int, normal: int, anomaly: int) -> list[tuple[str, ...]]:
    """Return the types of each image: the single ones in equal shares, one in eight of two, all well mixed."""
    pairs = list(combinations(facts.types, 2))
    double = anomaly // 8
    wanted: list[tuple[str, ...]] = [()] * normal
    wanted += [(facts.types[place % len(facts.types)],) for place in range(anomaly - double)]
    wanted += [pairs[place % len(pairs)] for place in range(double)]
    order = np.random.default_rng([seed, facts.number]).permutation(len(wanted))
    return [wanted[place] for place in order]


def _jpeg(image: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=_QUALITY, optimize=True, progressive=True)
    return buffer.getvalue()


def _line(name: str, stem: str, mask: Mask, types: Sequence[str]) -> dict[str, Any]:
    """Return a line in the form that Lookout for Vision documents."""
    made = {"human-annotated": "yes", "creation-date": "2025-11-01T00:00:00.000000"}
    label = "anomaly" if types else "normal"
    line: dict[str, Any] = {
        "source-ref": f"images/{stem}.jpg",
        "anomaly-label": int(bool(types)),
        "anomaly-label-metadata": {
            "class-name": label, "confidence": 1, "type": "groundtruth/image-classification",
            "job-name": f"labeling-job/{name}", **made,
        },
    }  # fmt: skip
    if types:
        colours = {"0": {"class-name": "BACKGROUND", "hex-color": "#ffffff", "confidence": 0.0}}
        for number, kind in enumerate(mask.names[1:], 1):
            if kind in types:
                shown = {"class-name": kind, "hex-color": mask.colours[number], "confidence": 0.0}
                colours[str(number)] = shown
        line["anomaly-mask-ref"] = f"masks/{stem}.png"
        line["anomaly-mask-ref-metadata"] = {
            "internal-color-map": colours, "type": "groundtruth/semantic-segmentation",
            "job-name": f"labeling-job/{name}-masks", **made,
        }  # fmt: skip
    return line


def _card(name: str, seed: int, plan: Sequence[Sequence[str]]) -> str:
    """Return the data card of a drawn folder."""
    facts = DATASETS[name]
    width, height = facts.size
    normal, double = sum(not types for types in plan), sum(len(types) > 1 for types in plan)
    rows = "\n".join(f"| `{kind}` | {sum(kind in types for types in plan)} |" for kind in facts.types)
    return f"""# {name}: {facts.title}

Drawn, not photographed. Every image was computed by `vision_toolkit.data.synthetic` (generator version {VERSION}, seed
{seed}); no photograph, logo or product of anybody is in it.

| | images |
|---|---|
| normal | {normal} |
| anomaly | {len(plan) - normal} (of two types: {double}) |
{rows}

- `images/`: {width}x{height} JPEG, quality {_QUALITY}. The file names say nothing of the label.
- `masks/`: one PNG for each anomalous image, of the same size, in exactly the colours that the manifest names.
- `{name}.manifest`: JSON Lines as Amazon Lookout for Vision took them; paths are relative to this folder.

**How it was drawn.** A surface of colour, height, gloss and metal is lit by a lamp and the light of the room, and
photographed through a lens with falling light and defocus onto a noisy sensor. Position, turn, light, exposure, tone,
texture, print and dirt differ from image to image, with and without defects alike: they are harmless, and a model has
to learn so. The defects differ in place, size and strength; some are faint.

**Made for** learning the tools, tests and demonstrations. **Not for** claims of how good a model is on real parts:
measure that on your own. Real defects are stranger, and what is normal in a factory varies in ways that nobody drew.

**Draw it again**: `draw_dataset("{name}", "FOLDER", seed={seed}, normal={normal}, anomaly={len(plan) - normal})`.
The pixels are the same up to rounding of the libraries (numpy, scipy, Pillow); another seed draws another set.

Licence: Apache-2.0.
"""
