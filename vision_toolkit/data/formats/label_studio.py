"""Label Studio: its JSON export (full and JSON-MIN) in, tasks that it imports and their labelling config out.

Places are percent of the image there. What is read:

- ``choices``: ``normal`` and ``anomaly``, in any case, are the label; every other choice is a tag;
- ``rectanglelabels``, ``polygonlabels``, ``ellipselabels`` (and ``labels`` on such shapes) are regions; a turned
  rectangle becomes a polygon, an ellipse one of 64 corners;
- ``brushlabels`` are a mask; where strokes of two types overlap, the later one counts, and a stroke called
  ``background`` erases.

Of several annotations of a task, one counts: those marked as ground truth come first, then the newest; cancelled ones
and predictions never count. Text, ratings, relations and choices about a single region are passed over.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import numpy as np
from numpy.typing import NDArray

from vision_toolkit.core.entry import Entry, Finding, Label, MaskRef, Region, Tag
from vision_toolkit.core.errors import Invalid, NotFound, Unsupported
from vision_toolkit.core.mask import BACKGROUND, Mask, palette_colour
from vision_toolkit.data.formats import Parts, ReadOptions, WriteOptions
from vision_toolkit.data.formats.brush import encode_brush
from vision_toolkit.data.formats.files import (
    dataset_folder,
    note_names,
    place_image,
    refer,
    set_colours,
    shown,
    sources_outside,
    unique_names,
)
from vision_toolkit.data.formats.losses import Losses
from vision_toolkit.data.formats.percent import is_number, polygon_of, shape_of, stroke_of
from vision_toolkit.data.formats.places import Finder, without_images
from vision_toolkit.data.images import SUFFIXES, encode_mask, probe, read_mask
from vision_toolkit.data.shapes import inside_image, is_box
from vision_toolkit.data.storage import inline, is_inline, is_local, read_bytes, write_file

__all__ = ["TITLE", "detect", "read", "write"]

TITLE = "Label Studio (JSON)"
"""What people call this format."""

Json = dict[str, Any]

_VERDICTS = {"normal": Label.NORMAL, "anomaly": Label.ANOMALY}
_TASKS, _CONFIG = "tasks.json", "config.xml"
_HEAD = 1 << 16
_FIRST_OBJECT = re.compile(r"\s*\[\s*\{")
_FULL = re.compile(r'"(annotations|completions|predictions)"\s*:\s*\[')
_FULL_TOO = re.compile(r'"(data|result|completed_by|was_cancelled)"\s*:')
_MIN = re.compile(r'"annotation_id"\s*:')
_MIN_TOO = re.compile(r'"(annotator|lead_time)"\s*:')

_SHAPES = {"rectangle", "polygon", "ellipse", "brush"}
_NOTES = {"textarea", "rating", "number", "datetime", "relation", "pairwise"}
_OUR_ID = re.compile(r"vt-\d{6}\Z")  # an id that we made up, because Label Studio wants one
_UPLOADED = re.compile(r"^[0-9a-f]{8}-")  # what Label Studio puts before the name of an uploaded file
_NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# What JSON-MIN puts beside the data and the results.
_MIN_KEYS = {"id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time", "split"}


def detect(path: Path) -> bool:
    """Return whether a file, or one of the JSON files of a folder, is an export of Label Studio.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = folder.joinpath("export.json").write_text('[{"id": 1, "data": {"image": "1.png"}, "annotations": []}]')
    >>> detect(folder), detect(folder / "export.json"), detect(folder / "other.json")
    (True, True, False)
    """
    return bool(_files(path))


def _files(path: Path) -> list[Path]:
    files = sorted(path.glob("*.json"))[:100] if path.is_dir() else [path]
    return [file for file in files if _looks_right(file)]


def _looks_right(file: Path) -> bool:
    try:
        if not file.is_file() or file.name.startswith("."):
            return False
        with file.open("rb") as opened:
            head = opened.read(_HEAD).decode("utf-8-sig", "replace")
    except OSError:
        return False
    if not _FIRST_OBJECT.match(head):
        return False
    return bool((_FULL.search(head) and _FULL_TOO.search(head)) or (_MIN.search(head) and _MIN_TOO.search(head)))


# ---------------------------------------------------------------- reading


def read(path: Path, options: ReadOptions) -> dict[str, list[Entry]]:
    """Read an export: a JSON file, or a folder that holds exactly one.

    An image that was uploaded to Label Studio is looked for with and without the eight characters that it put before
    the name. Colours of types come from a ``config.xml`` beside the file, if there is one. A task whose data has a
    ``split`` belongs to that split.

    Raises
    ------
    NotFound
        if there is no export.
    Invalid
        if it is no JSON, or a task cannot be understood; the message names the task.
    Unsupported
        if a result is of a kind that no entry can hold, key points for example.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp(), "export.json")
    >>> result = {"type": "choices", "from_name": "label", "to_name": "image", "value": {"choices": ["Anomaly"]}}
    >>> task = {"id": 1, "data": {"image": "s3://parts/1.png"}, "annotations": [{"result": [result]}]}
    >>> _ = file.write_text(json.dumps([task]))
    >>> read(file, ReadOptions())[""]
    [Entry(source='s3://parts/1.png', label=<Label.ANOMALY: 'anomaly'>, tags=(), regions=(), mask=None)]
    """
    files = _files(path) if path.is_dir() else [path]
    if len(files) != 1:
        told = ", ".join(file.name for file in files[:5]) or "none"
        raise NotFound(f"{path} must hold one export of Label Studio; it holds {told}. Name the file.")
    reader = _Reader(files[0], options)
    parts: dict[str, list[Entry]] = {}
    for number, task in enumerate(_tasks(files[0]), 1):
        name = task.get("id", f"number {number}") if isinstance(task, dict) else f"number {number}"
        try:
            split, entry = reader.entry(task, str(name))
        except (Invalid, Unsupported) as error:
            raise type(error)(f"{files[0]}, task {name}: {error}") from None
        parts.setdefault(split, []).append(entry)
    return parts or {"": []}


def _tasks(file: Path) -> list[Any]:
    try:
        tasks = json.loads(read_bytes(file).decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise Invalid(f"{file} is not UTF-8: byte {error.start:,}. Export it again.") from None
    except json.JSONDecodeError as error:
        raise Invalid(f"{file}, line {error.lineno}: not JSON: {error.msg}. Export it again.") from None
    except RecursionError:
        raise Invalid(f"{file} is nested too deeply to be an export of Label Studio.") from None
    if not isinstance(tasks, list):
        raise Invalid(f"{file} must be a list of tasks [...]; it is a JSON {type(tasks).__name__}.")
    return tasks


class _Places:
    """Find the images of one file on this machine; nothing is asked of another."""

    def __init__(self, folder: Path, images: Path | None) -> None:
        self.base = images.absolute() if images is not None else folder
        self._finder = Finder(self.base)
        self._ends = images is not None
        self._taken: dict[str, tuple[str, str]] = {}

    def find(self, place: str, task: str) -> tuple[str, str | None]:
        """Return what to call an image, and where it lies, if that is known."""
        if is_inline(place):
            return place, None
        kind, names = _names_of(place)
        for name in names:
            file = self._finder.find(name, whole=not self._ends and kind != "upload")
            if file is None and kind == "served" and Path("/", name).is_file():
                file = Path("/", name)
            if file is not None:
                break
        else:
            if not is_local(place):
                return place, None
            return names[-1], str(self.base / names[-1])
        other, first = self._taken.setdefault(str(file), (place, task))
        if other != place:
            raise Invalid(
                f"Its image {place} and that of task {first}, {other}, are both found at {file}. Give the folder where "
                "the files have their whole names, as Label Studio keeps them."
            )
        if not is_local(place):
            return place, str(file)
        below = file.relative_to(self.base) if file.is_relative_to(self.base) else file
        return below.as_posix(), str(file)


def _names_of(place: str) -> tuple[str, list[str]]:
    """Return how an image is served, and the names of its file: the surest first, the one that is told last."""
    url = urlsplit(place) if "://" in place or place.startswith("/") else None
    if url is not None and url.path.endswith("/data/local-files/") and url.query.startswith("d="):
        raw = url.query[2:]
        return "served", [name.lstrip("/") for name in dict.fromkeys((raw, unquote(raw)))]
    if url is not None and "/data/upload/" in url.path:
        raw = url.path.rpartition("/")[2]
        names = (raw, unquote(raw))
        return "upload", list(dict.fromkeys((*names, *(_UPLOADED.sub("", name) for name in names))))
    return "named", [place.removeprefix("file://")]


@dataclass
class _Said:
    """What the results of one task say so far."""

    choices: list[str] = field(default_factory=list)
    regions: list[Region] = field(default_factory=list)
    strokes: list[tuple[str, NDArray[np.uint8]]] = field(default_factory=list)


class _Reader:
    """Read the tasks of one file, with one colour a type."""

    def __init__(self, file: Path, options: ReadOptions) -> None:
        self.places = _Places(file.absolute().parent, options.images)
        self.colours = _config_colours(file.absolute().parent / _CONFIG)

    def entry(self, task: Any, name: str) -> tuple[str, Entry]:
        if not isinstance(task, dict):
            raise Invalid(f"A task is an object {{...}}; this is {json.dumps(task)[:60]}.")
        data = task.get("data")
        results: list[Any]
        if data is None and "annotations" not in task:
            key, place = _image_of(task)
            split, results = task.get("split"), list(_results_of_min(task, key))
        elif isinstance(data, dict):
            _, place = _image_of(data)
            split, results = data.get("split"), _counting(task)
        else:
            raise Invalid("'data' must be an object that names the image.")
        source, at = self.places.find(place, name)
        said = _Said()
        labelled = {
            item["id"] for item in results if _is_json(item) and isinstance(item.get("id"), str) and _names(item)
        }
        for item in results:
            self._take(item, said, labelled, at or source)
        label, tags = _verdict(said.choices)
        entry = Entry(source, label, tags, tuple(said.regions), self._mask(said.strokes), at=at)
        return split if isinstance(split, str) else "", entry

    def _take(self, item: Any, said: _Said, labelled: set[Any], image: str) -> None:
        value = item.get("value") if isinstance(item, dict) else None
        kind = item.get("type") if isinstance(item, dict) else None
        if kind in _NOTES:
            return
        if not isinstance(value, dict) or not isinstance(kind, str):
            raise Invalid(f"A result has a type and a value {{...}}; this is {json.dumps(item)[:80]}.")
        names = _names(item)
        if kind == "choices":
            if not value.keys() & {"x", "points", "rle", "start"}:  # else it is said of a region
                said.choices += names
            return
        if kind not in _SHAPES and kind != "labels" and kind.removesuffix("labels") not in _SHAPES:
            known = "choices, rectanglelabels, polygonlabels, ellipselabels, brushlabels"
            raise Unsupported(f"A result is of the type {kind!r}; what can be read is {known}. Remove it, or its task.")
        if not names:
            if isinstance(item.get("id"), str) and item["id"] in labelled:
                return  # its label stands in a result of its own
            raise Invalid(f"A {kind} result has no label. Label the region in Label Studio, or remove it.")
        if "rle" in value:
            opacity = stroke_of(item, value)
            said.strokes += [(name, opacity) for name in names]
            return
        polygon = polygon_of(item, value, image)
        score, id_ = item.get("score"), item.get("id")
        confidence = float(score) if is_number(score) and 0 <= score <= 1 else None
        told = None if id_ is None or _OUR_ID.match(str(id_)) else str(id_)
        said.regions += [Region(name, polygon, confidence, told) for name in names]

    def _mask(self, strokes: list[tuple[str, NDArray[np.uint8]]]) -> MaskRef | None:
        if not strokes:
            return None
        shape = strokes[0][1].shape
        ids = np.zeros(shape, np.uint8)
        types = [name for name in dict.fromkeys(name for name, _ in strokes) if name.casefold() != BACKGROUND]
        if len(types) > 255:
            raise Invalid(f"A mask has at most 255 types; brushes of {len(types)} labels were used.")
        for name, opacity in strokes:
            if opacity.shape != shape:
                sizes = f"{shape[1]}x{shape[0]} and {opacity.shape[1]}x{opacity.shape[0]}"
                raise Invalid(f"Brush strokes of one image have different sizes: {sizes}.")
            ids[opacity > 0] = types.index(name) + 1 if name.casefold() != BACKGROUND else 0
        colours = {name: self._colour(name) for name in types}
        mask = Mask(ids, (BACKGROUND, *types), (palette_colour(0), *colours.values()))
        return MaskRef(inline(encode_mask(mask)), colours)

    def _colour(self, name: str) -> str:
        taken = {colour.casefold() for colour in self.colours.values()}
        free = (palette_colour(index) for index in count(1))
        return self.colours.setdefault(name, next(colour for colour in free if colour.casefold() not in taken))


def _image_of(data: Json) -> tuple[str, str]:
    """Return the key that names the image, and the image's place."""
    for key in sorted(data, key=lambda key: key != "image"):  # the others stay in order
        value = data[key]
        if isinstance(value, str) and _names_image(value):
            return key, value
    if isinstance(data.get("image"), str) and data["image"].strip():
        return "image", data["image"]
    keys = ", ".join(repr(key) for key in list(data)[:8]) or "nothing"
    raise Invalid(f"The task's data must name an image, as a place that ends with .png or .jpg; it has {keys}.")


def _names_image(value: str) -> bool:
    text = value.partition("?")[0] if "?d=" not in value else value
    return is_inline(value) or text.lower().endswith(SUFFIXES)


def _counting(task: Json) -> list[Any]:
    """Return the results of the annotation that counts."""
    annotations = task.get("annotations", task.get("completions")) or []
    if not isinstance(annotations, list) or not all(isinstance(item, dict) for item in annotations):
        raise Invalid("'annotations' must be a list of objects [{...}]; export as JSON, with the annotations.")
    kept = [item for item in annotations if not item.get("was_cancelled")]
    if not kept:
        return []

    def rank(pair: tuple[int, Json]) -> tuple[bool, str, int]:
        position, item = pair
        return item.get("ground_truth") is True, str(item.get("updated_at") or item.get("created_at") or ""), position

    results = max(enumerate(kept), key=rank)[1].get("result") or []
    if not isinstance(results, list):
        raise Invalid(f"'result' must be a list [...]; it is {json.dumps(results)[:60]}.")
    return results


def _results_of_min(task: Json, image: str) -> Iterator[Json]:
    """Make full results of JSON-MIN, where each control's name stands beside the data.

    A text that is neither normal nor anomaly may as well be data, so it is passed over.
    """
    for key, value in task.items():
        if key in _MIN_KEYS or key == image:
            continue
        if isinstance(value, str) and value.strip().casefold() in _VERDICTS:
            yield {"type": "choices", "value": {"choices": [value]}}
        elif isinstance(value, dict) and "choices" in value:
            yield {"type": "choices", "value": value}
        elif isinstance(value, list):
            for item in value:
                kind = (
                    next((k for k in item if k == "choices" or k.endswith("labels")), None) if _is_json(item) else None
                )
                if kind is not None:
                    yield {"type": kind, "value": item, **{k: item[k] for k in ("id", "image_rotation") if k in item}}


def _is_json(value: Any) -> bool:
    return isinstance(value, dict)


def _names(item: Json) -> list[str]:
    value, kind = item.get("value"), item.get("type")
    listed = value.get(kind) if isinstance(value, dict) else None
    listed = [listed] if isinstance(listed, str) else listed or []
    if not isinstance(listed, list) or not all(isinstance(name, str) and name for name in listed):
        raise Invalid(f"{kind!r} must list names; it is {json.dumps(listed)[:60]}.")
    return listed


def _verdict(choices: Sequence[str]) -> tuple[Label, tuple[Tag, ...]]:
    said = {_VERDICTS.get(choice.strip().casefold()) for choice in choices} - {None}
    if len(said) > 1:
        raise Invalid("The choices say both normal and anomaly. Correct the annotation in Label Studio.")
    tags = tuple(Tag(c) for c in dict.fromkeys(choices) if c.strip().casefold() not in _VERDICTS)
    return next((label for label in said if label is not None), Label.UNLABELLED), tags


# ---------------------------------------------------------------- the labelling config


def _config_colours(file: Path) -> dict[str, str]:
    """Return the colour of each label of a config; colours that cannot be told apart are left out."""
    from xml.etree import ElementTree as ET

    colours: dict[str, str] = {}
    if not file.is_file():
        return colours
    try:
        # Expat limits what entities may grow to, and nothing outside the file is fetched.
        labels = list(ET.fromstring(read_bytes(file)).iter("Label"))  # noqa: S314
    except (ET.ParseError, ValueError, LookupError) as error:
        raise Invalid(f"{file} is no labelling config: {error}.") from None
    for label in labels:
        name, colour = label.get("value"), label.get("background", "")
        if name and re.fullmatch("#[0-9a-fA-F]{6}", colour) and colour.casefold() != "#ffffff":
            others = {other.casefold() for known, other in colours.items() if known != name}
            if colour.casefold() not in others:
                colours.setdefault(name, colour)
    return colours


def _config(entries: Sequence[Entry], colours: dict[str, str]) -> bytes:
    """Write a config with a control for each kind of result that the tasks hold."""
    from xml.etree import ElementTree as ET

    regions = [region for entry in entries for region in entry.regions]
    controls: list[tuple[str, str, list[str], dict[str, str]]] = [
        ("Choices", "label", list(_VERDICTS), {"choice": "single"}),
        ("Choices", "tags", [tag.name for entry in entries for tag in entry.tags], {"choice": "multiple"}),
        ("RectangleLabels", "boxes", [region.name for region in regions if is_box(region)], {}),
        ("PolygonLabels", "polygons", [region.name for region in regions if not is_box(region)], {}),
        ("BrushLabels", "masks", list(colours), {}),
    ]
    view = ET.Element("View")
    ET.SubElement(view, "Image", name="image", value="$image")
    for tag, name, values, more in controls:
        if not values:
            continue
        control = ET.SubElement(view, tag, attrib={"name": name, "toName": "image"} | more)
        for index, value in enumerate(dict.fromkeys(values), 1):
            if _NOT_XML.search(value):
                raise Invalid(f"The class {value!r} has characters that a labelling config cannot hold; rename it.")
            if tag == "Choices":
                ET.SubElement(control, "Choice", value=value)
            else:
                colour = colours[value] if tag == "BrushLabels" else palette_colour(index)
                ET.SubElement(control, "Label", value=value, background=colour)
    ET.indent(view)
    return f"{ET.tostring(view, 'unicode')}\n".encode()


# ---------------------------------------------------------------- writing


def write(parts: Parts, path: Path, options: WriteOptions) -> tuple[Finding, ...]:
    """Write ``tasks.json``, which Label Studio imports, ``config.xml``, its labelling config, and ``images/``.

    Images are named as Label Studio serves local files: start it with ``LOCAL_FILES_DOCUMENT_ROOT`` set to the new
    folder (to ``/``, with ``images="refer"``); places of other machines stay as they are. The label is a single choice
    ``label``, classes of the image are the choices ``tags``, boxes are ``boxes``, polygons ``polygons``, masks brush
    strokes ``masks``, one a type. A task's data names its ``split``.

    Returns
    -------
    tuple of Finding
        what Label Studio cannot say.

    Raises
    ------
    NotFound
        if an image or a mask is not there.
    Conflict
        if the folder is there and may not be replaced.
    Invalid
        if a region lies outside of its image, or a class has characters that XML cannot hold.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp(), "studio")
    >>> write({"": [Entry("s3://parts/1.png", Label.NORMAL)]}, folder, WriteOptions(images="refer"))
    ()
    >>> read(folder, ReadOptions())[""][0].label
    <Label.NORMAL: 'normal'>
    """
    losses = Losses()
    entries = [entry for part in parts.values() for entry in part]
    splits = [split for split, part in parts.items() for _ in part]
    if options.images == "refer" and options.overwrite:
        sources_outside(entries, path)
    bare = without_images(entries)
    names = unique_names(bare)
    if options.images != "refer":
        note_names(losses, bare, names)
    writer = _Writer(losses, set_colours(entries))
    with dataset_folder(path, options, format="label-studio") as folder:
        tasks = []
        for number, (entry, split, name) in enumerate(zip(entries, splits, names, strict=True), 1):
            place = _placed(entry, folder, path, f"images/{name}", options)
            data = {"image": place} | ({"split": split} if split else {})
            results = writer.results(entry)
            annotations = [{"result": results, "was_cancelled": False, "ground_truth": False}] if results else []
            tasks.append({"id": number, "data": data, "annotations": annotations})
        write_file(folder / _TASKS, json.dumps(tasks, allow_nan=False).encode())
        write_file(folder / _CONFIG, _config(entries, writer.colours))
    return losses.findings()


def _placed(entry: Entry, folder: Path, target: Path, name: str, options: WriteOptions) -> str:
    if options.images == "refer":
        place = refer(entry.source, entry.at, target.absolute())
        if not is_local(place):
            return place
        name = (target.absolute() / place.removeprefix("file://")).resolve().as_posix().lstrip("/")
    else:
        place_image(entry, folder, name, options)
    return f"/data/local-files/?d={quote(name)}"


class _Writer:
    """Write the results of each task, with one colour a type."""

    def __init__(self, losses: Losses, colours: dict[str, str]) -> None:
        self.losses, self.colours = losses, colours

    def results(self, entry: Entry) -> list[Json]:
        numbers = count(1)
        results: list[Json] = []
        if entry.is_labelled:
            results.append(_result("label", "choices", {"choices": [str(entry.label)]}))
        results += self._tags(entry)
        taken: set[str] = set()
        mask = None if entry.mask is None or not entry.mask.colours else read_mask(entry.mask)
        size = mask.size if mask is not None else self._size(entry) if entry.regions else None
        for region in entry.regions:
            id_ = region.id
            if id_ is None or not id_ or id_ in taken or _OUR_ID.match(id_):
                if id_ is not None:
                    self.losses.add("lost-id", shown(entry.source), f"{id_!r} stands twice, or is one that we give")
                id_ = f"vt-{next(numbers):06d}"
            taken.add(id_)
            if region.confidence is not None:
                self.losses.add("lost-confidence", shown(entry.source), "of a region")
            results.append(self._region(entry, region) | {"id": id_} | _sides(size))
        for type_ in mask.types if mask is not None else ():
            assert mask is not None and entry.mask is not None
            if entry.mask.colours[type_].casefold() != self.colours[type_].casefold():
                self.losses.add("lost-colours", shown(entry.source), "another type has the colour, or it is white")
            rle = encode_brush(mask.ids == mask.names.index(type_))
            value = {"format": "rle", "rle": rle, "brushlabels": [type_]}
            results.append(_result("masks", "brushlabels", value) | {"id": f"vt-{next(numbers):06d}"} | _sides(size))
        if entry.mask is not None and mask is not None and set(entry.mask.colours) - set(mask.types):
            self.losses.add("lost-types", shown(entry.source), "a type without any pixel is not named")
        return results

    def _tags(self, entry: Entry) -> Iterator[Json]:
        kept = []
        for tag in entry.tags:
            if tag.name.strip().casefold() in _VERDICTS or not tag.name or tag.name in kept:
                self.losses.add(
                    "lost-tags", shown(entry.source), f"{tag.name!r} would be read as the label, or stands twice"
                )
                continue
            if tag.confidence is not None:
                self.losses.add("lost-confidence", shown(entry.source), "of a class")
            kept.append(tag.name)
        if kept:
            yield _result("tags", "choices", {"choices": kept})

    def _region(self, entry: Entry, region: Region) -> Json:
        try:
            within = inside_image(region)
        except Invalid as error:
            raise Invalid(f"{shown(entry.source)}: {error}. Correct or remove the region.") from None
        if within is not region:
            self.losses.add("lost-precision", shown(entry.source), "corners outside the image are put on its border")
        kind, value = shape_of(within)
        control = "boxes" if kind == "rectangle" else "polygons"
        return _result(control, f"{kind}labels", value | {f"{kind}labels": [region.name]})

    def _size(self, entry: Entry) -> tuple[int, int] | None:
        if not is_local(entry.location) and not is_inline(entry.location):
            return None
        facts = probe(entry)
        return facts.width, facts.height


def _result(control: str, kind: str, value: Json) -> Json:
    return {"from_name": control, "to_name": "image", "type": kind, "value": value}


def _sides(size: tuple[int, int] | None) -> Json:
    return {} if size is None else {"original_width": size[0], "original_height": size[1], "image_rotation": 0}
