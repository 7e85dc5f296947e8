"""OCI Data Labeling's export: JSON Lines of records with labels of the image or boxes, in and out.

*Consolidated*: the first line is the header, every other one a record. *Split*: a file of one line, the header, whose
``recordFiles`` name the files with the records. Records with a label ``normal`` or ``anomaly``, in any case, have that
label; other labels are tags; boxes are regions. A record without annotations is unlabelled.

Read generously, for exports differ: numbers as numbers or strings, corners in any order, ``label`` for
``label_name``, ``sourceDetails`` for the header's ``datasetSourceDetails``, paths with or without the prefix.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vision_toolkit.core.entry import Entry, Finding, Label, Point, Region, Tag
from vision_toolkit.core.errors import Invalid, NotFound, Unsupported
from vision_toolkit.data.formats import Parts, ReadOptions, WriteOptions
from vision_toolkit.data.formats.files import (
    dataset_folder,
    is_hidden,
    note_names,
    place_image,
    refer,
    shown,
    sources_outside,
    split_names,
    unique_names,
)
from vision_toolkit.data.formats.losses import Losses
from vision_toolkit.data.formats.places import Finder, by_split, without_images
from vision_toolkit.data.shapes import inside_image, is_box
from vision_toolkit.data.storage import read_bytes, write_file

__all__ = ["TITLE", "detect", "read", "write"]

TITLE = "OCI Data Labeling (JSON Lines)"
"""What people call this format."""

Json = dict[str, Any]

_VERDICTS = {"normal": Label.NORMAL, "anomaly": Label.ANOMALY}
_HEADER = ("annotationFormat", "labelsSet", "datasetFormatDetails", "datasetSourceDetails", "recordFiles")
_SUFFIXES = (".jsonl", ".json", ".ndjson", ".manifest", "")
_LONGEST = 1 << 20  # a header's first line is looked at no further
_WHOLE, _BOX = "GENERIC", "IMAGEOBJECTSELECTION"


def detect(path: Path) -> bool:
    """Return whether a file, or a file of a folder, begins with the header of a Data Labeling export.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp(), "export.jsonl")
    >>> _ = file.write_text('{"id": "1", "labelsSet": [], "annotationFormat": "SINGLE_LABEL"}')
    >>> detect(file), detect(file.parent), detect(file.with_name("other.jsonl"))
    (True, True, False)
    """
    return bool(_files(path))


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path] if _has_header(path) else []
    found = (file for file in path.iterdir() if file.suffix.lower() in _SUFFIXES and not is_hidden(file))
    files = sorted(found, key=by_split)
    return [file for file in files[:1000] if _has_header(file)]


def _has_header(file: Path) -> bool:
    try:
        if not file.is_file():
            return False
        with file.open("rb") as opened:
            first = opened.readline(_LONGEST)
        return _is_header(json.loads(first.decode("utf-8-sig")))
    except (OSError, ValueError, RecursionError):
        return False


def _is_header(line: Any) -> bool:
    return isinstance(line, dict) and "annotations" not in line and sum(key in line for key in _HEADER) >= 2


# ---------------------------------------------------------------- reading


def read(path: Path, options: ReadOptions) -> dict[str, list[Entry]]:
    r"""Read an export: a file, or a folder with one or more; of several, each is a split called like its file.

    Sources are ``oci://BUCKET@NAMESPACE/OBJECT`` where the header names the bucket, else paths. Images that lie
    beside the export, or in the folder of ``options``, are found under the end of their path.

    Raises
    ------
    NotFound
        if there is no export, or a record file is missing.
    Invalid
        if a line cannot be understood; the message names file and line.
    Unsupported
        if the records are no images.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp(), "export.jsonl")
    >>> header = '{"annotationFormat": "SINGLE_LABEL", "datasetSourceDetails": {"namespace": "n", "bucket": "b"}}'
    >>> said = '[{"entities": [{"entityType": "GENERIC", "labels": [{"label_name": "normal"}]}]}]'
    >>> _ = file.write_text(f'{header}\n{{"sourceDetails": {{"path": "1.png"}}, "annotations": {said}}}\n')
    >>> entry = read(file, ReadOptions())[""][0]
    >>> entry.source, str(entry.label)
    ('oci://b@n/1.png', 'normal')
    """
    files = _files(path) if path.is_dir() else [path]
    if not files:
        raise NotFound(f"{path} holds no export of OCI Data Labeling: no JSON lines that begin with its header.")
    parts = {file.stem if len(files) > 1 else "": _Reader(file, options).entries() for file in files}
    if len(parts) < len(files):
        raise Invalid(f"{path} holds exports with one name: {', '.join(file.name for file in files)}. Name one.")
    return parts


class _Reader:
    """Read one export, consolidated or split."""

    def __init__(self, file: Path, options: ReadOptions) -> None:
        self.file = file
        self.folder = file.absolute().parent
        self.finder = Finder(options.images.absolute() if options.images else self.folder)
        self.whole = options.images is None  # beside the export, a shorter path would be a guess
        self.bucket, self.namespace, self.prefix = "", "", ""

    def entries(self) -> list[Entry]:
        lines = _lines(self.file)
        number, header = next(lines, (1, None))
        if not isinstance(header, dict) or not _is_header(header):
            raise Invalid(
                f"{self.file}, line {number}: the header is missing. An export's first line has 'annotationFormat', "
                "'labelsSet' and 'datasetSourceDetails'; the records follow."
            )
        try:
            self._see(header)
            records = self._record_files(header)
        except (Invalid, NotFound, Unsupported) as error:
            raise type(error)(f"{self.file}, line {number}: {error}") from None
        entries = self._entries(self.file, lines)
        for file in records:
            following = _lines(file)
            entries += self._entries(file, following)
        return entries

    def _see(self, header: Json) -> None:
        kind = _object(header, "datasetFormatDetails").get("formatType", "IMAGE")
        if kind != "IMAGE":
            raise Unsupported(f"The records are {kind!r:.40}; only exports of the type 'IMAGE' can be read.")
        where = _object(header, "datasetSourceDetails") or _object(header, "sourceDetails")
        self.bucket, self.namespace, self.prefix = (_text(where, key) for key in ("bucket", "namespace", "prefix"))

    def _record_files(self, header: Json) -> list[Path]:
        listed = header.get("recordFiles") or []
        if not isinstance(listed, list) or not all(isinstance(item, dict) for item in listed):
            raise Invalid(f"recordFiles must be a list of objects; it is {json.dumps(listed)[:60]}.")
        found: list[Path] = []
        for item in listed:
            place = _text(item, "path")
            parts = place.replace("\\", "/").split("/")
            if not place or place.startswith(("/", "\\")) or ".." in parts or ":" in parts[0] or "\0" in place:
                raise Invalid(f"The record file {place!r:.120} leads out of the export's folder; it must lie below it.")
            file = Finder(self.folder).find(place)
            if file is None:
                raise NotFound(
                    f"The record file {place!r} is not below {self.folder}; put it beside the header's file."
                )
            real = file.resolve()
            if not real.is_relative_to(self.folder.resolve()):
                raise Invalid(f"The record file {place!r} is a link that leads out of the export's folder.")
            if real == self.file.resolve():
                raise Invalid(f"The record file {place!r} is the file that names it.")
            if real in found:
                raise Invalid(f"The record file {place!r} is named twice: its records would count twice.")
            found.append(real)
        return found

    def _entries(self, file: Path, lines: Iterator[tuple[int, Any]]) -> list[Entry]:
        entries = []
        for number, record in lines:
            try:
                if _is_header(record):
                    raise Invalid("A second header; an export has one, and its record files have none.")
                entries.append(self._entry(record))
            except (Invalid, Unsupported) as error:
                raise type(error)(f"{file}, line {number}: {error}") from None
        return entries

    def _entry(self, record: Any) -> Entry:
        if not isinstance(record, dict):
            raise Invalid(f"A record is an object {{...}}; this is {json.dumps(record)[:60]}.")
        path = _text(_object(record, "sourceDetails"), "path")
        if not path.strip():
            raise Invalid("The record has no 'sourceDetails' with a 'path': nothing says which image it is.")
        labels: list[str] = []
        regions: list[Region] = []
        for annotation in _objects(record, "annotations"):
            for entity in _objects(annotation, "entities"):
                names = [_label_name(item) for item in _list(entity, "labels")]
                kind = entity.get("entityType", _BOX if "boundingPolygon" in entity else _WHOLE)
                if kind == _BOX:
                    polygon = _polygon(entity)
                    regions += [Region(name, polygon) for name in names]
                elif kind == _WHOLE:
                    labels += names
                else:
                    raise Unsupported(f"An entity is {kind!r:.40}; what can be read is {_WHOLE} and {_BOX}.")
        label, tags = _verdict(labels)
        source, at = self._place(path)
        return Entry(source, label, tags, tuple(regions), at=at)

    def _place(self, path: str) -> tuple[str, str | None]:
        whole = path
        if self.prefix and not path.startswith(self.prefix) and "://" not in path:
            whole = f"{self.prefix}{'' if self.prefix.endswith('/') else '/'}{path}"
        tries = dict.fromkeys((whole, path, whole.removeprefix(self.prefix).lstrip("/")))
        file = next(filter(None, (self.finder.find(one, whole=self.whole) for one in tries)), None)
        at = str(file) if file is not None else None
        if "://" in path:
            return path, at
        if not self.bucket:
            return whole, at or str(self.finder.folder / whole)
        owner = f"@{self.namespace}" if self.namespace else ""
        return f"oci://{self.bucket}{owner}/{whole}", at


def _lines(file: Path) -> Iterator[tuple[int, Any]]:
    """Yield the number and the content of each line that is not blank."""
    for number, line in enumerate(read_bytes(file).split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            yield number, json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
        except UnicodeDecodeError:
            raise Invalid(f"{file}, line {number}: not UTF-8. Export it again.") from None
        except (ValueError, RecursionError) as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else "nested too deeply"
            raise Invalid(f"{file}, line {number}: not JSON: {reason}. Export it again.") from None


def _object(data: Json, key: str) -> Json:
    value = data.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Invalid(f"{key!r} must be an object {{...}}; it is {json.dumps(value)[:60]}.")
    return value


def _list(data: Json, key: str) -> list[Any]:
    value = data.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise Invalid(f"{key!r} must be a list [...]; it is {json.dumps(value)[:60]}.")
    return value


def _objects(data: Json, key: str) -> list[Json]:
    items = _list(data, key)
    for item in items:
        if not isinstance(item, dict):
            raise Invalid(f"{key!r} must be a list of objects; it holds {json.dumps(item)[:60]}.")
    return items


def _text(data: Json, key: str) -> str:
    value = data.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Invalid(f"{key!r} must be a text; it is {json.dumps(value)[:60]}.")
    return value


def _label_name(item: Any) -> str:
    name = item.get("label_name", item.get("labelName", item.get("label"))) if isinstance(item, dict) else item
    if not isinstance(name, str) or not name:
        raise Invalid(f'A label is {{"label_name": "..."}}; it is {json.dumps(item)[:60]}.')
    return name


def _verdict(labels: Sequence[str]) -> tuple[Label, tuple[Tag, ...]]:
    said = {_VERDICTS.get(label.strip().casefold()) for label in labels} - {None}
    if len(said) > 1:
        raise Invalid("The record is labelled both normal and anomaly. Correct it in Data Labeling.")
    tags = tuple(Tag(name) for name in dict.fromkeys(labels) if name.strip().casefold() not in _VERDICTS)
    return next((label for label in said if label is not None), Label.UNLABELLED), tags


def _polygon(entity: Json) -> tuple[Point, ...]:
    """Return the corners of a box or polygon: a box from its top left one clockwise, whatever their order was."""
    corners = _objects(_object(entity, "boundingPolygon"), "normalizedVertices")
    if len(corners) < 3:
        raise Invalid(f"A box has 4 normalizedVertices; {len(corners)} are given.")
    points = [(_fraction(corner, "x"), _fraction(corner, "y")) for corner in corners]
    xs, ys = {x for x, _ in points}, {y for _, y in points}
    if len(points) == 4 and set(points) == {(x, y) for x in xs for y in ys}:
        left, top, right, bottom = min(xs), min(ys), max(xs), max(ys)
        return (left, top), (right, top), (right, bottom), (left, bottom)
    if len(points) == 4:  # not upright, or rounded: in the order of their angle, so that no two sides cross
        middle = sum(x for x, _ in points) / 4, sum(y for _, y in points) / 4
        points.sort(key=lambda point: math.atan2(point[1] - middle[1], point[0] - middle[0]))
    return tuple(points)


def _fraction(corner: Json, axis: str) -> float:
    value = corner.get(axis)
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not -0.02 <= number <= 1.02:
        raise Invalid(f"{axis} of a normalizedVertex is a number from 0 to 1; it is {json.dumps(value)[:40]}.")
    return min(max(number, 0.0), 1.0)


# ---------------------------------------------------------------- writing


def write(parts: Parts, path: Path, options: WriteOptions) -> tuple[Finding, ...]:
    """Write a consolidated export ``dataset.jsonl`` and ``images/``, or ``SPLIT.jsonl`` and its records.

    Of several splits each is an export of its own, as OCI Vision takes training and test data: a header
    ``SPLIT.jsonl`` that names ``records/SPLIT.jsonl``. If any image has regions, all splits are ``BOUNDING_BOX``;
    else, if any has classes, ``MULTI_LABEL``; else ``SINGLE_LABEL``. Where all sources are objects of one bucket and
    ``images="refer"``, the header names it; else it names none, and the folder is to be uploaded as it is.

    Returns
    -------
    tuple of Finding
        what Data Labeling cannot say.

    Raises
    ------
    NotFound
        if an image is not there.
    Conflict
        if the folder is there and may not be replaced.
    Invalid
        if a region lies outside of its image, or two splits would have one name.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp(), "oci")
    >>> entry = Entry("oci://b@n/parts/1.png", Label.NORMAL)
    >>> write({"": [entry]}, folder, WriteOptions(images="refer"))
    ()
    >>> read(folder, ReadOptions()) == {"": [entry]}
    True
    """
    losses = Losses()
    entries = [entry for part in parts.values() for entry in part]
    if options.images == "refer" and options.overwrite:
        sources_outside(entries, path)
    writer = _Writer(entries, losses)
    bucket = _common_bucket(entries) if options.images == "refer" else {}
    folders = split_names(parts)
    several = len(parts) > 1
    called = {split: (folders[split] or "default") if several else folders[split] or "dataset" for split in parts}
    if len({name.casefold() for name in called.values()}) < len(called):
        raise Invalid("A split is called 'default', as the one without a name would be; give that one a name.")
    changed = [split for split in parts if split != (called[split] if several else "")]
    if changed:
        losses.add("lost-split", "", f"{changed[0]!r} is called {called[changed[0]]}.jsonl")
    bare = without_images(entries)
    names = unique_names(bare)
    if options.images != "refer":
        note_names(losses, bare, names)
    following = iter(names)
    with dataset_folder(path, options, format="oci") as folder:
        for split, part in parts.items():
            lines = []
            for entry in part:
                name = next(following)
                if options.images != "refer":
                    place = place_image(entry, folder, f"images/{name}", options)
                elif bucket:
                    place = entry.source.partition("://")[2].partition("/")[2]
                else:
                    place = refer(entry.source, entry.at, path.absolute())
                lines.append(writer.record(entry, place))
            header = writer.header(called[split], bucket)
            if several:
                record_file = f"records/{called[split]}.jsonl"
                write_file(folder / record_file, _joined(lines))
                header["recordFiles"] = [bucket | {"path": record_file}]
                lines = []
            write_file(folder / f"{called[split]}.jsonl", _joined([header, *lines]))
    return losses.findings()


def _joined(lines: Sequence[Json]) -> bytes:
    return "".join(json.dumps(line, allow_nan=False) + "\n" for line in lines).encode()


def _common_bucket(entries: Sequence[Entry]) -> Json:
    places = {entry.source.removeprefix("oci://").partition("/")[0] for entry in entries}
    if len(places) != 1 or not all(entry.source.startswith("oci://") for entry in entries):
        return {}
    bucket, _, namespace = places.pop().partition("@")
    return ({"namespace": namespace} if namespace else {}) | {"bucket": bucket}


class _Writer:
    """Write records in the one annotation format that fits all entries."""

    def __init__(self, entries: Sequence[Entry], losses: Losses) -> None:
        self.losses = losses
        self.now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self.count = 0
        names: dict[str, None] = {}
        if any(entry.regions for entry in entries):
            self.format = "BOUNDING_BOX"
            names |= dict.fromkeys(region.name for entry in entries for region in entry.regions)
        else:
            single = all(entry.is_labelled + len(entry.tags) <= 1 for entry in entries)
            self.format = "SINGLE_LABEL" if single else "MULTI_LABEL"
            for entry in entries:
                names |= dict.fromkeys([str(entry.label)] * entry.is_labelled + [tag.name for tag in entry.tags])
        self.names = list(names)

    def header(self, name: str, bucket: Json) -> Json:
        return {
            "id": f"dataset-{name}",
            "displayName": name,
            "labelsSet": [{"name": name} for name in self.names],
            "annotationFormat": self.format,
            "datasetSourceDetails": {"sourceType": "OBJECT_STORAGE"} | bucket,
            "datasetFormatDetails": {"formatType": "IMAGE"},
        }

    def record(self, entry: Entry, place: str) -> Json:
        self.count += 1
        if entry.mask is not None and entry.mask.colours:
            self.losses.add("lost-mask", shown(entry.source))
        entities = self._boxes(entry) if self.format == "BOUNDING_BOX" else self._labels(entry)
        record: Json = {"id": f"record-{self.count:06d}", "timeCreated": self.now, "sourceDetails": {"path": place}}
        if entities:
            annotation = {"id": f"annotation-{self.count:06d}", "timeCreated": self.now, "createdBy": "vision_toolkit"}
            record["annotations"] = [annotation | {"entities": entities}]
        return record

    def _labels(self, entry: Entry) -> list[Json]:
        names = [str(entry.label)] if entry.is_labelled else []
        for tag in entry.tags:
            if tag.name.strip().casefold() in _VERDICTS or not tag.name or tag.name in names:
                self.losses.add(
                    "lost-tags", shown(entry.source), f"{tag.name!r} would be read as the label, or stands twice"
                )
                continue
            if tag.confidence is not None:
                self.losses.add("lost-confidence", shown(entry.source), "of a class")
            names.append(tag.name)
        return [{"entityType": _WHOLE, "labels": [{"label_name": name} for name in names]}] if names else []

    def _boxes(self, entry: Entry) -> list[Json]:
        if entry.is_labelled:
            self.losses.add(
                "lost-label", shown(entry.source), "boxes and labels do not go together; draw no boxes to keep it"
            )
        if entry.tags:
            self.losses.add("lost-tags", shown(entry.source), "boxes and labels do not go together")
        entities = []
        for region in entry.regions:
            try:
                within = inside_image(region)
            except Invalid as error:
                raise Invalid(f"{shown(entry.source)}: {error}. Correct or remove the region.") from None
            if within is not region:
                self.losses.add(
                    "lost-precision", shown(entry.source), "corners outside the image are put on its border"
                )
            if not is_box(within):
                self.losses.add("lost-shape", shown(entry.source), "a polygon becomes the box around it")
            if region.confidence is not None:
                self.losses.add("lost-confidence", shown(entry.source), "of a region")
            if region.id is not None:
                self.losses.add("lost-id", shown(entry.source))
            left, top, right, bottom = within.bounds
            corners = ((left, top), (left, bottom), (right, bottom), (right, top))
            vertices = [{"x": str(float(x)), "y": str(float(y))} for x, y in corners]
            labels = [{"label_name": region.name}]
            entities.append({"entityType": _BOX, "labels": labels, "boundingPolygon": {"normalizedVertices": vertices}})
        return entities
