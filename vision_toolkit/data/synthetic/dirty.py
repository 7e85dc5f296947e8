"""Draw a dataset with the troubles of real life, and tell which were planted where."""

from __future__ import annotations

import copy
import io
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from vision_toolkit.core.errors import Invalid, NotFound
from vision_toolkit.core.mask import Mask, hex_to_rgb
from vision_toolkit.core.settings import Settings
from vision_toolkit.data.images import encode_jpeg, encode_mask, encode_png
from vision_toolkit.data.storage import new_folder
from vision_toolkit.data.synthetic.folder import draw_image

__all__ = ["FEWEST", "Dirty", "draw_dirty"]

Pixels = NDArray[np.uint8]
Json = dict[str, Any]

FEWEST = 32
"""Fewest parts of a dirty dataset: each trouble needs an image of its own."""

_NAME = "biscuit"
_TYPES = ("smear", "break")
_NORMAL = 0.57
_QUALITY = 86
_DATE = "2024-03-05T09:41:00.000000"
_JS_DATE = "Tue Mar 05 2024 09:41:00 GMT+0100 (Central European Standard Time)"


@dataclass(frozen=True, slots=True)
class Dirty:
    """Tell where a dirty dataset lies and what is wrong with it.

    Parameters
    ----------
    path
        its manifest.
    planted
        rule id to the numbers, from 1, of the lines that break it on purpose. Some troubles bring others along,
        which are not listed: a mask saved as JPEG, for example, has colours that no map lists.
    sources
        line number to the image of that line, for the lines that have one.
    """

    path: Path
    planted: Mapping[str, tuple[int, ...]]
    sources: Mapping[int, str]

    def sources_of(self, rule: str) -> tuple[str, ...]:
        """Return the images of the lines that break a rule, in the order of the lines.

        Raises
        ------
        NotFound
            if that rule was not planted.
        """
        if rule not in self.planted:
            raise NotFound(f"{rule!r} was not planted; there are: {', '.join(self.planted)}.")
        return tuple(self.sources[line] for line in self.planted[rule] if line in self.sources)


@dataclass(eq=False, slots=True)
class _Part:
    """Hold one line while troubles are planted: what it says, its files, and the rules that it breaks."""

    line: Json | str
    image: Pixels | None = None
    mask: Mask | None = None
    files: dict[str, bytes] | None = None
    rules: tuple[str, ...] = ()
    ending: str = "\n"
    after: _Part | None = None  # stands somewhere below this one

    @property
    def data(self) -> Json:
        assert isinstance(self.line, dict)
        return self.line

    @property
    def stem(self) -> str:
        return Path(str(self.data["source-ref"])).stem


def draw_dirty(folder: str | os.PathLike[str], *, seed: int = 0, n: int = 60) -> Dirty:
    """Draw biscuits into a new folder, in a manifest with every trouble that real ones have.

    The folder gets ``images/``, ``masks/`` and ``parts.manifest``. What is planted are the oddities of manifests in
    the wild (spelling, values, dates, bytes that are no JSON), masks of the wrong kind, size and colour, broken and
    missing images, bad pictures, and copies with the same label and with another one.

    Parameters
    ----------
    folder
        to make; it must be new or empty.
    seed
        from 0; another seed draws other parts and plants the troubles in other lines.
    n
        how many parts are drawn, at least :data:`FEWEST`; there are a few lines more.

    Raises
    ------
    Invalid
        if a number is out of its range.
    Conflict
        if the folder exists and is not empty.

    Examples
    --------
    >>> import tempfile
    >>> from vision_toolkit.data import Manifest
    >>> dirty = draw_dirty(tempfile.mkdtemp(), seed=3, n=32)
    >>> dirty.path.name, len(dirty.planted["blurred"])
    ('parts.manifest', 2)
    """
    for name, number, least in (("seed", seed, 0), ("n", n, FEWEST)):
        if isinstance(number, bool) or not isinstance(number, int | np.integer) or number < least:
            raise Invalid(f"{name} is a whole number from {least}; {number!r} was given.")
    rng = np.random.default_rng([seed, n])
    normal, anomaly = _drawn(seed, n)
    _dirty_labels(normal, anomaly)
    _dirty_masks(anomaly[5:])
    _dirty_pictures(normal[4:], rng)
    parts = _mixed([*normal, *anomaly], [*_copies(normal[15:], anomaly[11:], n, rng), *_bad_lines()], rng)
    with new_folder(folder) as temporary:
        for sub in ("images", "masks"):
            (temporary / sub).mkdir()
        for part in parts:
            for name, data in _files(part).items():
                (temporary / name).write_bytes(data)
        (temporary / "parts.manifest").write_bytes(_text(parts).encode("utf-8"))
    return _told(Path(folder) / "parts.manifest", parts)


def _drawn(seed: int, n: int) -> tuple[list[_Part], list[_Part]]:
    """Draw all parts, several at once; each has random numbers of its own."""
    count = round(_NORMAL * n)
    wanted = [()] * count + [(_TYPES[i % 2],) for i in range(n - count)]
    order = np.random.default_rng([seed, n, 1]).permutation(n).tolist()  # names say nothing of the label
    with ThreadPoolExecutor(Settings().usable_threads()) as pool:
        drawn = list(pool.map(lambda i: draw_image(_NAME, i, seed=seed, types=wanted[i]), range(n)))
    parts = []
    for (image, mask), types, place in zip(drawn, wanted, order, strict=True):
        stem = f"part-{place + 1:03d}"
        parts.append(_Part(_line(stem, mask, types), image, mask if types else None))
    return parts[:count], parts[count:]


def _line(stem: str, mask: Mask, types: Sequence[str]) -> Json:
    """Return a line as Lookout documented it, without fault."""
    made = {"human-annotated": "yes", "creation-date": _DATE}
    line: Json = {
        "source-ref": f"images/{stem}.jpg",
        "anomaly-label": int(bool(types)),
        "anomaly-label-metadata": {
            "class-name": "anomaly" if types else "normal", "confidence": 1, "job-name": "labeling-job/parts",
            "type": "groundtruth/image-classification", **made,
        },
    }  # fmt: skip
    if types:
        colours: Json = {"0": {"class-name": "BACKGROUND", "hex-color": "#ffffff", "confidence": 0.0}}
        for number, kind in enumerate(mask.names[1:], 1):
            if kind in types:
                shown = {"class-name": kind, "hex-color": mask.colours[number], "confidence": 0.0}
                colours[str(len(colours))] = shown
        line["anomaly-mask-ref"] = f"masks/{stem}.png"
        line["anomaly-mask-ref-metadata"] = {
            "internal-color-map": colours, "job-name": "labeling-job/parts-masks",
            "type": "groundtruth/semantic-segmentation", **made,
        }  # fmt: skip
    return line


# Troubles of what is said: the pictures are sound


def _dirty_labels(normal: Sequence[_Part], anomaly: Sequence[_Part]) -> None:
    """Say things as Amazon's own samples and other people's scripts say them."""
    for part, value in ((normal[0], 1), (normal[1], "1"), (anomaly[0], 0)):
        part.data["anomaly-label"] = value
        part.rules += ("value-ignored",)
    for part in anomaly[1:3]:
        part.data["anomaly-label-metadata"]["class-name"] = "Anomaly"
        part.rules += ("class-case",)
    anomaly[2].data["anomaly-label"] = 0
    anomaly[2].rules += ("value-ignored",)
    normal[2].data["anomaly-label-metadata"]["creation-date"] = _JS_DATE
    normal[2].rules += ("odd-date",)
    second = copy.deepcopy(normal[3].data["anomaly-label-metadata"]) | {"class-name": "anomaly"}
    normal[3].data.update({"second-look": 1, "second-look-metadata": second})
    normal[3].rules += ("labels-disagree",)
    colours = anomaly[3].data["anomaly-mask-ref-metadata"]["internal-color-map"]
    del colours["0"]
    anomaly[3].rules += ("no-background",)
    for entry in anomaly[4].data["anomaly-mask-ref-metadata"]["internal-color-map"].values():
        del entry["confidence"]
    anomaly[4].rules += ("no-confidence",)


def _dirty_masks(parts: Sequence[_Part]) -> None:
    """Spoil masks: their names, formats, sizes, colours, or leave one side of the pair away."""
    key, jpeg, size, colour, none, alone = parts[:6]
    key.data["anomaly-mask-ref"] = f"masks/line\uf03a1-{key.stem}.png"
    key.rules += ("f03a-in-key",)
    for part in (jpeg, size, colour):
        assert part.mask is not None
    jpeg.files = {_mask_name(jpeg): encode_jpeg(_painted(jpeg), quality=75)}
    jpeg.rules += ("mask-no-png",)
    assert size.mask is not None
    width, height = size.mask.size
    size.files = {_mask_name(size): encode_mask(size.mask.resized(width // 2, height // 2))}
    size.rules += ("mask-size",)
    colour.files = {_mask_name(colour): encode_png(_half_in_red(_painted(colour)))}
    colour.rules += ("mask-colours",)
    for name in ("anomaly-mask-ref", "anomaly-mask-ref-metadata"):
        del none.data[name]
    none.rules += ("no-mask",)
    for name in ("anomaly-label", "anomaly-label-metadata"):
        del alone.data[name]
    alone.rules += ("mask-without-label", "unlabelled")


def _mask_name(part: _Part) -> str:
    return str(part.data["anomaly-mask-ref"])


def _painted(part: _Part) -> Pixels:
    assert part.mask is not None
    return part.mask.to_rgb()


def _half_in_red(painted: Pixels) -> Pixels:
    """Paint the lower half of a defect in a colour that its map does not list."""
    rows, columns = np.nonzero((painted != 255).any(axis=2))
    lower = slice(len(rows) // 2, None)
    result = painted.copy()
    result[rows[lower], columns[lower]] = hex_to_rgb("#D62728")
    return result


# Troubles of pictures


def _dirty_pictures(parts: Sequence[_Part], rng: Generator) -> None:
    """Spoil the files and the photographs of eleven normal parts."""
    spoilers: tuple[tuple[tuple[str, ...], Callable[[Pixels, Generator], tuple[str, bytes | None]]], ...] = (
        (("unreadable-image",), lambda image, _: (".jpg", (data := encode_jpeg(image))[: len(data) * 3 // 5])),
        (("wrong-suffix",), lambda image, _: (".jpg", encode_png(image))),
        (("missing-image",), lambda image, _: (".jpg", None)),
        (("sizes-differ", "odd-shape"), lambda image, _: (".jpg", encode_jpeg(image[:288, :400].copy()))),
        (("odd-mode",), lambda image, _: (".jpg", _as_cmyk(image))),
        (("odd-mode",), lambda image, _: (".png", _as_deep_grey(image))),
        (("blurred",), lambda image, rng: (".jpg", _photo(ndimage.gaussian_filter(image * 1.0, (3.2, 3.2, 0)), rng))),
        (("blurred",), lambda image, rng: (".jpg", _photo(ndimage.gaussian_filter(image * 1.0, (1.0, 7.0, 0)), rng))),
        (("dark",), lambda image, rng: (".jpg", _photo(image * 0.17, rng))),
        (("overexposed",), lambda image, rng: (".jpg", _photo(image * 2.4 + 12, rng))),
        (("low-contrast",), lambda image, rng: (".jpg", _photo(image.mean() + 0.22 * (image - image.mean()), rng))),
    )  # fmt: skip
    for part, (rules, spoil) in zip(parts, spoilers, strict=False):
        assert part.image is not None
        suffix, data = spoil(part.image, rng)
        part.data["source-ref"] = f"images/{part.stem}{suffix}"
        part.files = {} if data is None else {part.data["source-ref"]: data}
        part.rules += rules


def _photo(pixels: NDArray[np.floating[Any]], rng: Generator) -> bytes:
    """Return what a sensor makes of some light: noise, and a JPEG of it."""
    return encode_jpeg(np.clip(pixels + rng.normal(0, 1.5, pixels.shape), 0, 255).astype(np.uint8), quality=_QUALITY)


def _as_cmyk(image: Pixels) -> bytes:
    return _saved(Image.fromarray(image).convert("CMYK"), "JPEG")


def _as_deep_grey(image: Pixels) -> bytes:
    """Return a 16 bit PNG without colour."""
    return _saved(Image.fromarray(np.asarray(image.mean(axis=2) * 257, np.uint16)), "PNG")


def _saved(image: Image.Image, form: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form)
    return buffer.getvalue()


def _copies(normal: Sequence[_Part], anomaly: Sequence[_Part], n: int, rng: Generator) -> Iterator[_Part]:
    """Yield lines that repeat an image: by its name, by its bytes, or taken and saved again."""
    yield _Part(copy.deepcopy(normal[0].line), rules=("source-twice",), after=normal[0])
    conflict = _Part(copy.deepcopy(anomaly[0].line), rules=("source-conflict",), after=anomaly[0])
    yield _as_normal(conflict)
    for number, part in enumerate((normal[1], anomaly[1], normal[2], anomaly[2]), n + 1):
        other = _Part(copy.deepcopy(part.line), after=part)
        other.data["source-ref"] = name = f"images/part-{number:03d}.jpg"
        assert part.image is not None
        if part in (normal[1], anomaly[1]):
            other.files = {name: encode_jpeg(part.image, quality=_QUALITY)}
            other.rules = ("exact-duplicate",)
        else:
            other.files = {name: encode_jpeg(_moved(part.image, rng), quality=72)}
            other.rules = ("near-duplicate",) if part is normal[2] else ("near-duplicate", "labels-conflict")
        yield other if part is not anomaly[2] else _as_normal(other)


def _as_normal(part: _Part) -> _Part:
    for name in ("anomaly-mask-ref", "anomaly-mask-ref-metadata"):
        part.data.pop(name, None)
    part.data["anomaly-label"] = 0
    part.data["anomaly-label-metadata"]["class-name"] = "normal"
    return part


def _moved(image: Pixels, rng: Generator) -> Pixels:
    """Move the picture by a few pixels and make it a little brighter."""
    down, right = (int(step) for step in rng.integers(2, 5, 2))
    shifted = np.pad(image, ((down, 0), (right, 0), (0, 0)), mode="edge")[:-down, :-right]
    return np.asarray(np.clip(shifted * rng.uniform(1.04, 1.09), 0, 255), np.uint8)


# The file


def _bad_lines() -> Iterator[_Part]:
    yield _Part("", rules=("blank-line",))
    yield _Part('{"source-ref": "images/part-002.jpg", "anomaly-label": 0, "anomaly-la', rules=("not-json",))
    yield _Part('{"anomaly-label": 0, "anomaly-label-metadata": {"class-name": "normal"}}', rules=("no-source",))
    yield _Part("\0" * 64, rules=("nul-bytes",))


def _mixed(parts: Sequence[_Part], extra: Sequence[_Part], rng: Generator) -> list[_Part]:
    """Return all lines in a random order, each copy below what it copies."""
    lines = [parts[i] for i in rng.permutation(len(parts)).tolist()]
    for one in extra:
        lowest = 1 if one.after is None else next(i for i, part in enumerate(lines) if part is one.after) + 1
        lines.insert(int(rng.integers(lowest, len(lines) + 1)), one)
    for part in lines[len(lines) // 2 : len(lines) // 2 + 4]:  # somebody edited these on Windows
        part.ending = "\r\n"
        part.rules += ("crlf",)
    lines[0].rules += ("byte-order-mark",)
    return lines


def _files(part: _Part) -> dict[str, bytes]:
    """Return the files of a line by name: those that were spoiled, and the rest as they should be."""
    if not isinstance(part.line, dict):
        return {}
    files = dict(part.files or {})
    if part.image is not None:
        if "missing-image" not in part.rules:
            files.setdefault(str(part.line["source-ref"]), encode_jpeg(part.image, quality=_QUALITY))
        if part.mask is not None and "anomaly-mask-ref" in part.line:
            files.setdefault(_mask_name(part), encode_mask(part.mask))
    return files


def _text(parts: Sequence[_Part]) -> str:
    lines = [part.line if isinstance(part.line, str) else json.dumps(part.line) for part in parts]
    return "\ufeff" + "".join(line + part.ending for line, part in zip(lines, parts, strict=True))


def _told(path: Path, parts: Sequence[_Part]) -> Dirty:
    planted: dict[str, list[int]] = {}
    sources: dict[int, str] = {}
    for number, part in enumerate(parts, 1):
        for rule in part.rules:
            planted.setdefault(rule, []).append(number)
        if isinstance(part.line, dict):
            sources[number] = str(part.line["source-ref"])
    return Dirty(path, {rule: tuple(planted[rule]) for rule in sorted(planted)}, sources)
