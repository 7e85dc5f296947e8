"""YOLO as Ultralytics lays it out: ``data.yaml``, ``images/`` and ``labels/`` that mirror each other.

Read: a folder with ``data.yaml`` (or another YAML file with ``names`` and splits), that file itself, or a folder with
``classes.txt``. A split is a folder, a list of folders, or a ``.txt`` list of images. The labels of
``images/train/1.jpg`` are ``labels/train/1.txt``; where no ``images`` is in the path, ``1.txt`` beside the image.

A line is ``class x y width height`` (centre and size as fractions of the image) or ``class x1 y1 x2 y2 x3 y3 ...`` (a
polygon), and may end with a confidence, as predictions are saved. An empty or missing file says that there is no
object, and not whether the image is normal or nobody looked: such images are unlabelled. With ``kpt_shape`` in the
YAML file a line is a box with key points, which are passed over.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vision_toolkit.core.entry import Entry, Finding, Region
from vision_toolkit.core.errors import Invalid, NotFound, Unsupported
from vision_toolkit.data.formats import Parts, ReadOptions, WriteOptions
from vision_toolkit.data.formats.files import (
    dataset_folder,
    image_files,
    note_names,
    place_image,
    shown,
    split_names,
    unique_names,
)
from vision_toolkit.data.formats.losses import Losses
from vision_toolkit.data.images import read_mask
from vision_toolkit.data.shapes import inside_image, is_box, outline_regions

__all__ = ["TITLE", "detect", "read", "write"]

TITLE = "YOLO (Ultralytics): data.yaml, images/ and labels/ with boxes and segments"
"""What the format is called in words."""

_SPLITS = ("train", "val", "test")
_OTHER_KEYS = {"path", "names", "nc", "download", "channels", "kpt_shape", "flip_idx", "kpt_names"}
_NAMES = re.compile(r"^names\s*:", re.MULTILINE)
_PLACES = re.compile(r"^(path|train|val|test)\s*:", re.MULTILINE)
_YAML = (".yaml", ".yml")


# ---------------------------------------------------------------- reading


def detect(path: Path) -> bool:
    r"""Return whether a folder holds ``data.yaml`` or ``classes.txt`` with ``labels/``, or a file is such a YAML file.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "data.yaml")
    >>> _ = path.write_text("train: images/train\nnames: [pore]")
    >>> detect(path), detect(path.parent)
    (True, True)
    """
    return _yaml_file(path) is not None or (path.is_dir() and _classes_file(path) is not None)


def read(path: Path, options: ReadOptions) -> dict[str, list[Entry]]:
    """Read the entries of each split.

    Raises
    ------
    NotFound
        if nothing is at ``path``, or a folder, list or image that is named is not there.
    Invalid
        if a file breaks the format: the message names the file and the line.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from vision_toolkit.data.images import encode_png
    >>> path = Path(tempfile.mkdtemp())
    >>> _ = path.joinpath("classes.txt").write_text("pore")
    >>> for name in ("images", "labels"):
    ...     path.joinpath(name).mkdir()
    >>> _ = path.joinpath("images", "1.png").write_bytes(encode_png(np.zeros((4, 8), np.uint8)))
    >>> _ = path.joinpath("labels", "1.txt").write_text("0 0.5 0.5 0.5 0.5")
    >>> read(path, ReadOptions())[""][0].regions[0].bounds
    (0.25, 0.25, 0.75, 0.75)
    """
    if not path.exists():
        raise NotFound(f"Nothing is at {path}.")
    file = _yaml_file(path)
    if file is not None:
        return _read_yaml(file, options)
    classes = _classes_file(path) if path.is_dir() else None
    if classes is None:
        raise Invalid(f"{path} holds neither data.yaml nor classes.txt with a folder labels.")
    return _read_plain(path, classes, options)


def _yaml_file(path: Path) -> Path | None:
    """Return the file that names the classes and the splits: ``data.yaml`` before others."""
    if path.is_file():
        return path if path.suffix.lower() in _YAML and _names_splits(path) else None
    if not path.is_dir():
        return None
    files = sorted(child for child in path.iterdir() if child.suffix.lower() in _YAML and child.is_file())
    files.sort(key=lambda file: file.stem.lower() != "data")
    return next((file for file in files if _names_splits(file)), None)


def _names_splits(file: Path) -> bool:
    with file.open("rb") as stream:
        text = stream.read(1 << 20).decode("utf-8", "replace")
    return bool(_NAMES.search(text) and _PLACES.search(text))


def _classes_file(folder: Path) -> Path | None:
    if not (folder / "labels").is_dir():
        return None
    candidates = (folder / "classes.txt", folder / "labels" / "classes.txt")
    return next((file for file in candidates if file.is_file()), None)


def _read_yaml(file: Path, options: ReadOptions) -> dict[str, list[Entry]]:
    import yaml

    try:
        data = yaml.safe_load(file.read_bytes())
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise Invalid(f"{file} is no YAML that can be read: {' '.join(str(error).split())[:300]}.") from None
    if not isinstance(data, dict):
        raise Invalid(f"{file} must hold keys and values; it holds a {type(data).__name__}.")
    reader = _Reader(file.parent, file, _class_names(data.get("names"), file), "kpt_shape" in data)
    bases = [file.parent]
    given = data.get("path")
    if isinstance(given, str) and given.strip():
        bases.insert(0, file.parent / given)
    if options.images is not None:
        bases.insert(0, options.images)
    splits: dict[str, list[Entry]] = {}
    for key in [*_SPLITS, *(key for key in data if isinstance(key, str) and key not in _SPLITS)]:
        value = data.get(key)
        if key in _SPLITS and value not in (None, "", []):
            found = reader.split(key, value, bases)
        elif _is_places(value) and key not in _OTHER_KEYS:
            found = reader.split(key, value, bases, sure=False)
        else:
            continue
        if found is not None:
            splits[key] = found
    if not splits:
        raise Invalid(f"{file} names no images: none of train, val, test is there.")
    reader.check_images_are_there()
    if list(splits) == ["train"] and data["train"] in ("images", "./images", "images/"):
        return {"": splits["train"]}
    return splits


def _class_names(names: Any, file: Path) -> dict[int, str]:
    listed = dict(enumerate(names)) if isinstance(names, list) else names
    if not isinstance(listed, dict):
        raise Invalid(f"{file}: 'names' must be a list of class names, or numbers with their names.")
    table: dict[int, str] = {}
    for key, name in listed.items():
        number = int(key) if isinstance(key, str) and key.isascii() and key.isdigit() else key
        if not isinstance(number, int) or isinstance(number, bool) or number < 0:
            raise Invalid(f"{file}: 'names' has a class that is not numbered from 0.")
        if isinstance(name, list | dict) or name is None or not str(name).strip():
            raise Invalid(f"{file}: class {number} of 'names' has no name.")
        table[number] = str(name)
    return table


def _is_places(value: Any) -> bool:
    items = value if isinstance(value, list) else [value]
    return bool(items) and all(isinstance(item, str) and item.strip() for item in items)


def _read_plain(root: Path, classes: Path, options: ReadOptions) -> dict[str, list[Entry]]:
    names = [line.strip() for line in _text(classes).splitlines()]
    while names and not names[-1]:
        names.pop()
    reader = _Reader(root, classes, _class_names(names, classes), False)
    images = options.images or (root / "images" if (root / "images").is_dir() else root)
    folders = [child for child in sorted(images.iterdir()) if child.is_dir()]
    home = root / "images"
    if any(image_files(images, deep=False)) or not {child.name for child in folders} & {*_SPLITS}:
        splits = {"": reader.entries(image_files(images), images, home)}
    else:
        splits = {folder.name: reader.entries(image_files(folder), images, home) for folder in folders}
    reader.check_images_are_there()
    return splits


class _Reader:
    """Read splits of one set, and remember which labels found their image."""

    def __init__(self, root: Path, file: Path, names: dict[int, str], key_points: bool) -> None:
        self.root, self.file, self.names, self.key_points = root, file, names, key_points
        self.used: set[Path] = set()
        self.folders: set[Path] = set()

    def split(self, key: str, value: Any, bases: list[Path], *, sure: bool = True) -> list[Entry] | None:
        """Read one split; None if it is not there, as ``test`` may be, and keys that may mean something else."""
        if not _is_places(value):
            raise Invalid(f"{self.file}: {key!r} must be a folder, a list of folders, or a .txt list of images.")
        entries: list[Entry] = []
        for item in value if isinstance(value, list) else [value]:
            place = _find(item, bases)
            home = self.root / _plain(item)
            if place is None and (not sure or key == "test"):
                return None
            if place is None:
                tried = ", ".join(str(base / item) for base in bases)
                raise NotFound(f"{self.file}: the images of {key!r} are not at {tried}. Correct 'path' or {key!r}.")
            if place.is_dir():
                entries += self.entries(image_files(place), place, home)
            elif place.suffix.lower() == ".txt":
                entries += self.entries(self._listed(place, bases), place.parent, place.parent)
            elif sure:
                raise Invalid(f"{self.file}: {key!r} names {place}, which is neither a folder nor a .txt list.")
            else:
                return None
        return entries

    def _listed(self, listing: Path, bases: list[Path]) -> Iterator[Path]:
        for number, line in enumerate(_text(listing).splitlines(), 1):
            if line.strip():
                image = _find(line.strip(), [listing.parent, *bases])
                if image is None or not image.is_file():
                    raise NotFound(f"{listing}, line {number}: there is no image {line.strip()[:200]}.")
                yield image

    def entries(self, images: Iterable[Path], top: Path, home: Path) -> list[Entry]:
        """Return entries of images below ``top``; labels may mirror ``home`` too, where the format has images."""
        return [
            Entry(_below(image, self.root), regions=self._regions(image, top, home), at=str(image.absolute()))
            for image in images
        ]

    def _regions(self, image: Path, top: Path, home: Path) -> tuple[Region, ...]:
        labels = self._labels(image, top, home)
        if labels is None:
            return ()
        regions: list[Region] = []
        for number, line in enumerate(_text(labels).splitlines(), 1):
            if line.strip():
                try:
                    regions.append(self._region(line.split()))
                except Invalid as error:
                    raise Invalid(f"{labels}, line {number}: {error}.") from None
        return tuple(regions)

    def _labels(self, image: Path, top: Path, home: Path) -> Path | None:
        places = [_mirrored(image)]
        if image.is_relative_to(top):
            places.append(_mirrored(home / image.relative_to(top)))
        for place in dict.fromkeys(places):
            file = place.with_suffix(".txt")
            self.folders.add(file.parent)
            if file.is_file() and file != self.file:
                self.used.add(file)
                return file
        return None

    def _region(self, fields: list[str]) -> Region:
        try:
            numbers = [float(field) for field in fields]
        except ValueError:
            raise Invalid(f"{' '.join(fields)[:60]!r} are not all numbers") from None
        if not all(math.isfinite(number) for number in numbers):
            raise Invalid("not all of its numbers are finite")
        if self.key_points:
            numbers = numbers[:5]
        if len(numbers) < 5:
            raise Invalid(f"a box has 5 numbers, a polygon 7 or more; it has {len(numbers)}")
        name = self.names.get(int(numbers[0])) if numbers[0].is_integer() else None
        if name is None:
            raise Invalid(f"class {fields[0]} is not in {self.file.name}, which has {_shown(self.names)}")
        # An even count is one more than a box or a polygon has: the confidence of a prediction.
        confidence = numbers.pop() if len(numbers) % 2 == 0 else None
        if confidence is not None and not 0 <= confidence <= 1:
            raise Invalid(f"its last number, the confidence, must be from 0 to 1; it is {confidence:g}")
        if len(numbers) == 5:
            _, x, y, width, height = numbers
            if width < 0 or height < 0:
                raise Invalid(f"the box has a negative size: {width:g} x {height:g}")
            box = Region.box(
                name, left=x - width / 2, top=y - height / 2, width=width, height=height, confidence=confidence
            )
            return inside_image(box)
        return inside_image(Region(name, tuple(zip(numbers[1::2], numbers[2::2], strict=True)), confidence))

    def check_images_are_there(self) -> None:
        """Raise for labels without an image: reading on would lose them."""
        lost = sorted(
            file
            for folder in self.folders
            if "labels" in folder.parts and folder.is_dir()
            for file in folder.glob("*.txt")
            if file not in self.used and file.name not in ("classes.txt", "labels.txt", self.file.name)
        )
        if lost:
            more = f" and {len(lost) - 1:,} more label files have" if len(lost) > 1 else " has"
            raise NotFound(
                f"{lost[0]}{more} no image. Say where the images are (images='folder/'), or remove the label files of "
                "images that are gone."
            )


def _find(name: str, bases: list[Path]) -> Path | None:
    """Return the first place that is there; Roboflow's ``../train/images`` means ``train/images``."""
    for base in bases:
        for one in (name.strip().replace("\\", "/"), _plain(name), _plain(name).removeprefix("images/")):
            with contextlib.suppress(OSError, ValueError):
                if (base / one).exists():
                    return Path(os.path.normpath(base / one))
    return None


def _plain(name: str) -> str:
    return re.sub(r"^(\.{1,2}/)+", "", name.strip().replace("\\", "/"))


def _mirrored(image: Path) -> Path:
    """Return where the labels of an image lie, but for the suffix: the last ``images`` on its way is ``labels``."""
    parts = image.parts
    if "images" not in parts[:-1]:
        return image
    at = len(parts) - 2 - parts[-2::-1].index("images")
    return Path(*parts[:at], "labels", *parts[at + 1 :])


def _text(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Invalid(f"{file} is no text in UTF-8: {error}.") from None


def _shown(names: Mapping[int, str]) -> str:
    return f"{len(names)} classes from {min(names)} to {max(names)}" if names else "no classes"


def _below(file: Path, root: Path) -> str:
    return Path(os.path.relpath(file.absolute(), root.absolute())).as_posix()


# ---------------------------------------------------------------- writing


def write(parts: Parts, path: Path, options: WriteOptions) -> tuple[Finding, ...]:
    r"""Write ``data.yaml``, ``images/SPLIT/`` and ``labels/SPLIT/``; a split without a name has no folder of its own.

    Regions are boxes if all regions of the set are; else all are written as polygons, because Ultralytics' own loader
    misreads a box in a file with polygons. The mask of an image without regions becomes polygons along its pixels.

    Returns
    -------
    tuple of Finding
        what YOLO cannot say: label, tags, confidences, ids, and masks as such.

    Raises
    ------
    NotFound
        if an image or a mask is not there.
    Invalid
        if a region lies outside its image, or a split cannot be called so.
    Unsupported
        for ``images="refer"``: labels are found by the place of their image.
    Conflict
        if the folder is there and may not be replaced.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from vision_toolkit.data.images import encode_png
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = folder.joinpath("1.png").write_bytes(encode_png(np.zeros((4, 8), np.uint8)))
    >>> box = Region.box("pore", left=0.25, top=0.25, width=0.5, height=0.5)
    >>> entry = Entry("1.png", regions=(box,), at=str(folder / "1.png"))
    >>> write({"train": [entry]}, folder / "yolo", WriteOptions())
    ()
    >>> folder.joinpath("yolo", "labels", "train", "1.txt").read_text()
    '0 0.5 0.5 0.5 0.5\n'
    """
    import yaml

    if options.images == "refer":
        raise Unsupported("YOLO finds labels by the place of their image; write with images='copy' or 'link'.")
    losses = Losses()
    folders = _split_folders(parts, losses)
    shapes = {split: [_shapes(entry, losses) for entry in entries] for split, entries in parts.items()}
    names = dict.fromkeys(region.name for listed in shapes.values() for regions in listed for region in regions)
    numbers = {name: number for number, name in enumerate(names)}
    boxes = all(is_box(region) for listed in shapes.values() for regions in listed for region in regions)
    with dataset_folder(path, options, format="yolo") as folder:
        for split, entries in parts.items():
            below = f"{folders[split]}/".lstrip("/")
            (folder / "images" / below).mkdir(parents=True, exist_ok=True)
            images = _without_images(entries)
            names_here = unique_names(images, stems=True)
            note_names(losses, entries, names_here, flat=True)
            for image, name, regions in zip(images, names_here, shapes[split], strict=True):
                place_image(image, folder, f"images/{below}{name}", options)
                lines = [_line(region, numbers[region.name], box=boxes) for region in regions]
                label = (folder / "labels" / below / name).with_suffix(".txt")
                label.parent.mkdir(parents=True, exist_ok=True)
                label.write_text("".join(lines), "utf-8")
        places = {folders[split]: f"images/{folders[split]}".rstrip("/") for split in parts}
        data: dict[str, Any] = {"train": places.pop("", None), "val": None} | places
        data["names"] = dict(enumerate(names))
        text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
        (folder / "data.yaml").write_bytes(text.encode("utf-8"))
    return losses.findings()


def _split_folders(parts: Parts, losses: Losses) -> dict[str, str]:
    if "" in parts and "train" in parts:
        raise Invalid("A split without a name is written as 'train', which is there too; give it a name.")
    folders = split_names(parts)
    for split, name in folders.items():
        if name in _OTHER_KEYS or name.casefold() == "images":
            raise Invalid(f"{name!r} means something else in YOLO; give that split another name.")
        if name != split:
            losses.add("lost-split", "", f"{split!r} is called {name!r}")
    return folders


def _without_images(entries: Sequence[Entry]) -> list[Entry]:
    """Leave folders called ``images`` out of the sources: labels are found by the last of them in a path."""
    sources = [re.sub(r"(?<![^/\\])images[/\\]+", "", entry.source, flags=re.IGNORECASE) for entry in entries]
    return [replace(entry, source=source, at=entry.location) for entry, source in zip(entries, sources, strict=True)]


def _shapes(entry: Entry, losses: Losses) -> tuple[Region, ...]:
    """Return what is written of an image, and note what is not."""
    source = shown(entry.source)
    if entry.is_labelled:
        losses.add("lost-label", source)
    if entry.tags:
        losses.add("lost-tags", source)
    if any(region.confidence is not None for region in entry.regions):
        losses.add("lost-confidence", source)
    if any(region.id is not None for region in entry.regions):
        losses.add("lost-id", source)
    regions = entry.regions
    if entry.mask is not None and entry.mask.colours:
        if regions:
            losses.add("lost-mask", source, "its boxes and polygons are written instead")
        else:
            losses.add("lost-shape", source, "its mask becomes polygons")
            regions = outline_regions(read_mask(entry.mask))
    inside = []
    for region in regions:
        try:
            inside.append(inside_image(region))
        except Invalid as error:
            raise Invalid(f"{source}: {error}. Correct or remove the region.") from None
        if inside[-1] is not region:
            losses.add("lost-precision", source, "corners outside the image are put on its border")
    return tuple(inside)


def _line(region: Region, number: int, *, box: bool) -> str:
    if box:
        left, top, right, bottom = region.bounds
        values = [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top]
    else:
        values = [value for point in region.polygon for value in point]
    return " ".join([str(number), *(_decimal(value) for value in values)]) + "\n"


def _decimal(value: float) -> str:
    """Write a number from 0 to 1 to the ten thousandth part of a pixel of the widest image."""
    return f"{value:.9f}".rstrip("0").rstrip(".")
