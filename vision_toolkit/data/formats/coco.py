"""COCO instances: one JSON file a split with images, annotations and categories, and a folder of images.

Read: a file, or a folder with ``annotations/instances_train.json`` (and other splits), ``train/_annotations.coco.json``
as Roboflow writes them, or one JSON file beside its images.

- A polygon becomes a region, its parts one region each with the annotation's id in common; else the ``bbox`` is a box.
- Run lengths, compressed or not, ``iscrowd`` 0 or 1, become the image's mask, one type a category, later annotations
  over earlier ones; which instance a pixel belonged to is not kept. Such an annotation's ``bbox`` is no region.
- ``score`` is the confidence. Keypoints, areas, licences and captions are passed over.
- An annotation of an image or a category that is not there is an error: all are told at once, and nothing is dropped.

COCO has no verdict of the whole image. We write it as further keys of the image object, which other tools pass over:
``label``, ``tags`` (name, confidence), ``mask_types`` (those of the colour map, also where none is painted), and
``color`` of a category, as in COCO's panoptic files. ``region_id`` is an annotation's id as our regions have it.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision_toolkit.core.entry import Entry, Label, MaskRef, Region, Tag
from vision_toolkit.core.errors import Invalid, NotFound
from vision_toolkit.core.limits import MAX_PIXELS
from vision_toolkit.core.mask import BACKGROUND, Mask, palette_colour
from vision_toolkit.data.formats import ReadOptions
from vision_toolkit.data.formats.coco_write import write
from vision_toolkit.data.images import encode_mask, probe
from vision_toolkit.data.locate import locator
from vision_toolkit.data.shapes import decode_run_string, decode_runs, inside_image
from vision_toolkit.data.storage import inline, is_local

__all__ = ["TITLE", "detect", "read", "write"]

TITLE = "COCO: instances JSON with boxes, polygons and run lengths"
"""What the format is called in words."""

Json = dict[str, Any]

_HEAD = 1 << 18
_KEYS = re.compile(rb'"(images|annotations|categories)"\s*:\s*\[')


# ---------------------------------------------------------------- reading


def detect(path: Path) -> bool:
    """Return whether a file is a COCO JSON, or a folder holds one where COCO, CVAT or Roboflow put it.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "a.json")
    >>> _ = path.write_text('{"images": [], "annotations": [], "categories": []}')
    >>> detect(path), detect(path.parent)
    (True, True)
    """
    return bool(_files(path))


def read(path: Path, options: ReadOptions) -> dict[str, list[Entry]]:
    """Read the entries of each split.

    Raises
    ------
    NotFound
        if nothing is at ``path``.
    Invalid
        if a file is no COCO JSON, or holds what cannot be: the message names the file and the image or annotation.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "a.json")
    >>> _ = path.write_text('''{"images": [{"id": 1, "file_name": "1.png", "width": 8, "height": 4}],
    ...     "annotations": [{"id": 1, "image_id": 1, "category_id": 7, "bbox": [2, 1, 4, 2]}],
    ...     "categories": [{"id": 7, "name": "pore"}]}''')
    >>> read(path, ReadOptions())[""][0].regions[0].bounds
    (0.25, 0.25, 0.75, 0.75)
    """
    if not path.exists():
        raise NotFound(f"Nothing is at {path}.")
    files = {"": path} if path.is_file() else _files(path)
    if not files:
        raise Invalid(f"{path} holds no COCO JSON: not in annotations/, not beside the images.")
    splits: dict[str, list[Entry]] = {}
    for split, file in files.items():
        reader = _Reader(file, path, split, options)
        entries = reader.entries()
        splits[reader.said if reader.said is not None and reader.said not in {*files} - {split} else split] = entries
    return splits


def _files(path: Path) -> dict[str, Path]:
    """Return the JSON file of each split."""
    if path.is_file():
        return {"": path} if path.suffix.lower() == ".json" and _looks_like_coco(path) else {}
    if not path.is_dir():
        return {}
    for pattern in ("annotations/*.json", "*/_annotations.coco.json", "*.json"):
        found = [file for file in sorted(path.glob(pattern)) if _looks_like_coco(file)]
        # The other files of COCO's own folder say other things of the same images.
        found = [file for file in found if file.name.startswith("instances_")] or found
        if found:
            return _by_split(found, path)
    return {}


def _by_split(files: list[Path], root: Path) -> dict[str, Path]:
    splits: dict[str, Path] = {}
    for file in files:
        plain = file.stem.removeprefix("instances_")
        name = re.sub(r"(19|20)\d\d$", "", plain) or plain
        if file.name == "_annotations.coco.json":
            name = file.parent.name if file.parent != root else ""
        elif name == "default" or (len(files) == 1 and name == file.stem):
            name = ""
        splits[plain if name in splits else name] = file
    return splits


def _looks_like_coco(file: Path) -> bool:
    """Look for two of the three lists at both ends of a file, however large it is."""
    try:
        with file.open("rb") as stream:
            head = stream.read(_HEAD)
            if not head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
                return False
            stream.seek(max(len(head), os.fstat(stream.fileno()).st_size - _HEAD))
            keys = {*_KEYS.findall(head), *_KEYS.findall(stream.read())}
    except OSError:
        return False
    return len(keys) >= 2


@dataclass
class _Image:
    """One image while its annotations are gathered."""

    entry: Entry
    width: int
    height: int
    types: list[str] | None
    regions: list[Region] = field(default_factory=list)
    painted: list[tuple[str, NDArray[np.bool_]]] = field(default_factory=list)


class _Reader:
    """Read one file; collect what is wrong, so that it is told at once."""

    def __init__(self, file: Path, root: Path, split: str, options: ReadOptions) -> None:
        self.file = file
        self.root = root if root.is_dir() else root.parent.parent if root.parent.name == "annotations" else root.parent
        self.place = locator(options.images, str(self.root)) if options.images is not None else None
        stem = file.stem.removeprefix("instances_")
        plain = split or re.sub(r"(19|20)\d\d$", "", stem)
        names = (stem, plain, f"images/{stem}", f"images/{plain}", "images", ".")
        folders = [file.parent, *(self.root / name for name in names if name)]
        self.folders = [folder for folder in dict.fromkeys(folders) if folder.is_dir()]
        self.wrong: list[str] = []
        self.colours: dict[str, str] = {}
        self.said: str | None = None

    def entries(self) -> list[Entry]:
        data = self._load()
        about = data.get("info")
        if isinstance(about, dict) and isinstance(about.get("split"), str):
            self.said = about["split"]  # a file's name cannot say every name of a split
        names = self._categories(data)
        images = self._images(data)
        seen: set[Any] = set()
        for number, annotation in enumerate(self._list(data, "annotations", needed=False), 1):
            try:
                self._annotation(annotation, images, names, seen)
            except Invalid as error:
                given = annotation.get("id") if isinstance(annotation, dict) else None
                which = f"annotation {given!r}" if isinstance(given, int | str) else f"annotation no. {number}"
                self.wrong.append(f"{which}: {error}")
        self._stop_if_wrong()
        return [self._entry(image) for image in images.values()]

    def _load(self) -> Json:
        try:
            data = json.loads(self.file.read_bytes().decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            raise Invalid(f"{self.file} is not UTF-8: {error}.") from None
        except json.JSONDecodeError as error:
            raise Invalid(f"{self.file}, line {error.lineno}, is not JSON: {error.msg}. Was it cut off?") from None
        except (RecursionError, ValueError) as error:
            raise Invalid(f"{self.file} cannot be read as JSON: {error}.") from None
        if isinstance(data, list):
            raise Invalid(
                f"{self.file} is a list, such as detectors write their results as; it does not name its images. "
                "Put it under 'annotations' of the file that does."
            )
        if not isinstance(data, dict):
            raise Invalid(f"{self.file} must be a JSON object with images, annotations, categories.")
        return data

    def _list(self, data: Json, key: str, *, needed: bool = True) -> list[Any]:
        value = data.get(key, None if needed else [])
        if not isinstance(value, list):
            given = "is missing" if key not in data else f"is a {type(value).__name__}"
            raise Invalid(f"{self.file}: {key!r} must be a list; it {given}.")
        return value

    def _categories(self, data: Json) -> dict[Any, str]:
        names: dict[Any, str] = {}
        for number, category in enumerate(self._list(data, "categories", needed=bool(data.get("annotations"))), 1):
            given = category if isinstance(category, dict) else {}
            key, name, colour = _id(given.get("id")), given.get("name"), given.get("color")
            if key is None or not isinstance(name, str) or not name.strip():
                self.wrong.append(f"category no. {number} must have an id and a name")
                continue
            if key in names:
                self.wrong.append(f"category {key!r} is there twice")
            names[key] = name
            if isinstance(colour, list) and len(colour) == 3 and all(_is_byte(one) for one in colour):
                self.colours[name] = "#{:02X}{:02X}{:02X}".format(*colour)
        for index, name in enumerate(names.values(), 1):
            self.colours.setdefault(name, palette_colour(index))
        return names

    def _images(self, data: Json) -> dict[Any, _Image]:
        images: dict[Any, _Image] = {}
        for number, item in enumerate(self._list(data, "images"), 1):
            given = item if isinstance(item, dict) else {}
            key, name = _id(given.get("id")), given.get("file_name")
            if key is None or not isinstance(name, str) or not name.strip() or "\x00" in name:
                self.wrong.append(f"image no. {number} must have an id and a file_name")
                continue
            if key in images:
                self.wrong.append(f"image {key!r} is there twice ({name})")
                continue
            entry = self._located(name)
            width, height = given.get("width"), given.get("height")
            if width is None or height is None:
                try:
                    facts = probe(entry)
                except (Invalid, NotFound) as error:
                    self.wrong.append(f"image {key!r} has no width and height, and they cannot be looked up: {error}")
                    continue
                width, height = facts.width, facts.height
            if not (_is_number(width) and _is_number(height) and width >= 1 and height >= 1):
                self.wrong.append(f"image {key!r} is {str(width)[:20]}x{str(height)[:20]}; both must be pixels from 1")
                continue
            types = given.get("mask_types")
            named = isinstance(types, list) and all(isinstance(one, str) for one in types)
            images[key] = _Image(_with_label(entry, given), int(width), int(height), types if named else None)
        return images

    def _located(self, name: str) -> Entry:
        """Say where an image lies: where the options say, else in the first folder that holds it."""
        entry = Entry(name)
        if self.place is not None:
            return self.place(entry)
        if not is_local(name) or os.path.isabs(name):
            return entry
        for spelled in dict.fromkeys((name, name.replace("\\", "/"))):
            for position, folder in enumerate(self.folders):
                file = folder / spelled
                if file.is_file():
                    if position:  # the next image is likely to lie there too
                        self.folders.insert(0, self.folders.pop(position))
                    return Entry(_below(file, self.root), at=str(file.absolute()))
        return Entry(name, at=str((self.root / name).absolute()))

    def _annotation(self, annotation: Any, images: dict[Any, _Image], names: dict[Any, str], seen: set[Any]) -> None:
        if not isinstance(annotation, dict):
            raise Invalid(f"it must be an object; it is a {type(annotation).__name__}")
        key = _id(annotation.get("id"))
        if key is not None and key in seen:
            raise Invalid("another annotation has the same id")
        seen.add(key)
        image = images.get(_id(annotation.get("image_id")))
        name = names.get(_id(annotation.get("category_id")))
        if image is None:
            raise Invalid(f"there is no image {str(annotation.get('image_id'))[:40]}")
        if name is None:
            raise Invalid(f"there is no category {str(annotation.get('category_id'))[:40]}")
        score = annotation.get("score")
        if score is not None and not (_is_number(score) and 0 <= score <= 1):
            raise Invalid(f"score must be from 0 to 1; it is {str(score)[:40]}")
        shape = annotation.get("segmentation")
        if isinstance(shape, dict):
            image.painted.append((name, _runs(shape, image)))
            return
        if isinstance(shape, list) and shape:
            polygons = [_corners(part, image) for part in shape]
        else:
            polygons = [_box(annotation.get("bbox"), image)]
        given = annotation.get("region_id")
        common = given if isinstance(given, str) else str(key) if len(polygons) > 1 and key is not None else None
        confidence = None if score is None else float(score)
        image.regions += [inside_image(Region(name, polygon, confidence, common)) for polygon in polygons]

    def _stop_if_wrong(self) -> None:
        if self.wrong:
            shown = "; ".join(self.wrong[:5])
            more = f"; and {len(self.wrong) - 5:,} more" if len(self.wrong) > 5 else ""
            raise Invalid(f"{self.file}: {shown}{more}. Correct or remove them; nothing was read.")

    def _entry(self, image: _Image) -> Entry:
        mask = image.entry.mask
        if image.types is not None or image.painted:
            mask = self._mask(image)
        return replace(image.entry, regions=tuple(image.regions), mask=mask)

    def _mask(self, image: _Image) -> MaskRef:
        order = dict.fromkeys(image.types or ())
        order.update(dict.fromkeys(name for name in self.colours if name in {one for one, _ in image.painted}))
        order.pop(BACKGROUND, None)
        colours: dict[str, str] = {}
        for name in order:
            colour, step = self.colours.get(name, palette_colour(len(colours) + 1)), 0
            while colour in colours.values():  # two types of one colour could not be told apart
                step += 1
                colour = f"#{(int(colour[1:], 16) + 65_793 * step) % (1 << 24):06X}"
            colours[name] = colour
        if len(colours) > 255:
            raise Invalid(f"{self.file}: {image.entry.source} has {len(colours)} types; a mask has at most 255.")
        if image.width * image.height > MAX_PIXELS:
            raise Invalid(f"{self.file}: {image.entry.source} has more than the {MAX_PIXELS:,} pixels of a mask.")
        ids = np.zeros((image.height, image.width), np.uint8)
        numbers = {BACKGROUND: 0} | {name: index for index, name in enumerate(colours, 1)}
        for name, pixels in image.painted:
            ids[pixels] = numbers[name]
        ground = next(one for one in ("#FFFFFF", "#000000", "#010101") if one not in colours.values())
        mask = Mask(ids, tuple(numbers), (ground, *colours.values()))
        return MaskRef(inline(encode_mask(mask)), colours)


def _with_label(entry: Entry, image: Json) -> Entry:
    """Read the keys that we write beside COCO's own."""
    said, listed = image.get("label"), image.get("tags")
    tags: list[Tag] = []
    label = Label.UNLABELLED
    if isinstance(said, str) and said.strip():
        word = said.strip().casefold()
        if word in list(Label):
            label = Label(word)
        else:
            tags.append(Tag(said.strip()))
    for item in listed if isinstance(listed, list) else ():
        if isinstance(item, str):
            tags.append(Tag(item))
        elif isinstance(item, dict) and isinstance(item.get("name"), str):
            sure = item.get("confidence")
            tags.append(Tag(item["name"], float(sure) if sure is not None and _is_number(sure) else None))
    return replace(entry, label=label, tags=tuple(tags))


def _runs(shape: Json, image: _Image) -> NDArray[np.bool_]:
    size, counts = shape.get("size"), shape.get("counts")
    if not isinstance(size, list) or [image.height, image.width] != size:
        raise Invalid(f"run lengths of size {str(size)[:40]}; [{image.height}, {image.width}] is that of the image")
    if isinstance(counts, str):
        counts = decode_run_string(counts)
    if not isinstance(counts, list):
        raise Invalid("counts must be a list of whole numbers or COCO's compressed string")
    return decode_runs(counts, (image.width, image.height))


def _corners(part: Any, image: _Image) -> tuple[tuple[float, float], ...]:
    if not isinstance(part, list) or len(part) < 6 or len(part) % 2 or not all(map(_is_number, part)):
        raise Invalid("a polygon must be a list of x, y, x, y, ...: at least three corners, all finite numbers")
    return tuple((x / image.width, y / image.height) for x, y in zip(part[::2], part[1::2], strict=True))


def _box(box: Any, image: _Image) -> tuple[tuple[float, float], ...]:
    if not isinstance(box, list) or len(box) != 4 or not all(map(_is_number, box)):
        raise Invalid(
            "bbox must be four finite numbers: left, top, width, height in pixels; there is no polygon either"
        )
    left, top, width, height = box
    if width < 0 or height < 0:
        raise Invalid(f"bbox has a negative size: {width}x{height}")
    sides = (left / image.width, top / image.height, (left + width) / image.width, (top + height) / image.height)
    return ((sides[0], sides[1]), (sides[2], sides[1]), (sides[2], sides[3]), (sides[0], sides[3]))


def _id(value: Any) -> int | float | str | None:
    return value if isinstance(value, int | float | str) and not isinstance(value, bool) else None


def _is_number(value: Any) -> bool:
    # The bound keeps out whole numbers that no float can hold.
    return isinstance(value, int | float) and not isinstance(value, bool) and -1e300 < value < 1e300


def _is_byte(value: Any) -> bool:
    return isinstance(value, int) and 0 <= value <= 255


def _below(file: Path, root: Path) -> str:
    try:
        return file.relative_to(root).as_posix()
    except ValueError:
        return Path(os.path.relpath(file.absolute(), root.absolute())).as_posix()
