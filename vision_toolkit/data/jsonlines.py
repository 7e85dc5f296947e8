"""Read one JSON line of a manifest generously, and write it back without loss.

The form is SageMaker Ground Truth's augmented manifest as Lookout for Vision took it (developer guide, pages
"Defining JSON lines for image classification" and "... for image segmentation"). Real manifests break its written
rules; what is odd becomes a :class:`Finding` and the line is read all the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec

from vision_toolkit.core.entry import Entry, Finding, Label, MaskRef, Region, Severity, Tag
from vision_toolkit.core.errors import Invalid
from vision_toolkit.core.limits import LOOKOUT
from vision_toolkit.core.mask import hex_to_rgb

__all__ = ["CLASSIFICATION", "SEGMENTATION", "read_line", "write_line"]

CLASSIFICATION = "groundtruth/image-classification"
"""``type`` of an attribute that says normal or anomaly."""
MULTILABEL = "groundtruth/image-classification-multilabel"
SEGMENTATION = "groundtruth/semantic-segmentation"
"""``type`` of an attribute that names a mask."""
DETECTION = "groundtruth/object-detection"
REGIONS = "vision-toolkit/regions"

Json = dict[str, Any]


def read_line(text: str, number: int = 1) -> tuple[Entry | None, list[Finding]]:
    """Read one line: what could be understood, and everything odd about it.

    Parameters
    ----------
    text
        the line without its newline.
    number
        its number from 1, for the Findings.

    Returns
    -------
    entry, findings
        the entry, or None where the line is not JSON or names no image.

    Examples
    --------
    >>> entry, findings = read_line('{"source-ref": "1.png", "x": 1, "x-metadata": {"class-name": "Normal", "type": '
    ...                             '"groundtruth/image-classification"}}')
    >>> entry
    Entry(source='1.png', label=<Label.NORMAL: 'normal'>, tags=(), regions=(), mask=None)
    >>> [finding.rule for finding in findings]
    ['value-ignored']
    """
    reading = _Reading(number)
    data = reading.decode(text)
    entry = reading.entry(data, text) if data is not None else None
    return entry, reading.findings


def write_line(entry: Entry) -> str:
    """Write an entry as one JSON line, without a newline.

    An entry that was not edited since it was read gives its line back to the letter. After an edit only the keys
    that the edit touches change; the others keep their place and spelling. An entry that never had a line is
    written in the form that Lookout documents.

    Raises
    ------
    Invalid
        if the entry's own line can no longer be read.

    Examples
    --------
    >>> line = '{"source-ref": "1.png", "who": "Ann"}'
    >>> entry, _ = read_line(line)
    >>> write_line(entry) == line
    True
    >>> write_line(entry.relabelled("normal"))[:57]
    '{"source-ref": "1.png", "who": "Ann", "anomaly-label": 0,'
    """
    if entry.raw is None:
        return _dumped(_edited({"source-ref": entry.source}, Entry(entry.source), entry))
    reading = _Reading(0)
    data = reading.decode(entry.raw)
    before = reading.entry(data, entry.raw) if data is not None else None
    if data is None or before is None:
        raise Invalid(f"The line of {entry.source} can no longer be read: {entry.raw[:120]!r}.")
    if before == entry:
        return entry.raw
    separators = (", ", ": ") if '": ' in entry.raw else (",", ":")
    return _dumped(_edited(data, before, entry), separators=separators, ascii_only=entry.raw.isascii())


def _dumped(data: Json, *, separators: tuple[str, str] = (", ", ": "), ascii_only: bool = False) -> str:
    text = json.dumps(data, separators=separators, ensure_ascii=ascii_only)
    # A lone surrogate can only be written as an escape.
    return json.dumps(data, separators=separators) if any("\ud800" <= c <= "\udfff" for c in text) else text


class _Reading:
    """Understand one line; note what is odd on the way."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.findings: list[Finding] = []

    def say(self, severity: Severity, rule: str, text: str, repair: str | None = None) -> None:
        self.findings.append(Finding(self.number, severity, rule, text, repair))

    def decode(self, text: str) -> Json | None:
        body = text.removeprefix("\ufeff")
        try:
            data = msgspec.json.decode(body)
        except UnicodeEncodeError:
            self.say("error", "not-utf8", "The line is not UTF-8.", "save the file as UTF-8")
            return None
        except (msgspec.DecodeError, RecursionError) as error:
            data = self._decode_leniently(body, error)
        if data is None:
            return None
        if not isinstance(data, dict):
            self.say("error", "not-object", f"The line is a JSON {type(data).__name__}, not an object {{...}}.")
            return None
        if len(text) > LOOKOUT.max_line_characters:
            self.say(
                "warning",
                "too-long",
                f"{len(text):,} characters; Lookout took {LOOKOUT.max_line_characters:,} at most.",
            )
        return data

    def _decode_leniently(self, body: str, error: Exception) -> Any:
        """Python's own parser takes NaN and lone surrogates, which other tools write."""
        try:
            data = json.loads(body)
        except (ValueError, RecursionError):
            self.say("error", "not-json", f"Not JSON: {error}.", "remove the line or write it again")
            return None
        self.say("warning", "loose-json", f"Not strict JSON: {error}. It is read all the same.")
        return data

    def entry(self, data: Json, text: str) -> Entry | None:
        source = data.get("source-ref")
        if not isinstance(source, str) or not source.strip():
            given = "is missing" if source is None else f"is {json.dumps(source)[:60]}"
            self.say("error", "no-source", f"'source-ref', the image's place, {given}.")
            return None
        labels: list[tuple[str, Label]] = []
        tags: list[Tag] = []
        regions: list[Region] = []
        masks: list[MaskRef] = []
        for name, meta, kind in _attributes(data):
            if kind == CLASSIFICATION:
                self._read_class(name, data.get(name), meta, labels, tags)
            elif kind == MULTILABEL:
                tags += _read_tags(data.get(name), meta)
            elif kind == SEGMENTATION:
                mask = self._read_mask(name, data.get(name), meta)
                if mask is not None:
                    masks.append(mask)
            elif kind in (DETECTION, REGIONS):
                regions += self._read_regions(name, data.get(name), meta, kind)
        if len({label for _, label in labels}) > 1:
            said = ", ".join(f"{name!r} says {label}" for name, label in labels)
            self.say("warning", "labels-disagree", f"{said}; the first decides.", "remove the wrong attribute")
        if len(masks) > 1:
            self.say("warning", "several-masks", f"{len(masks)} masks; the first, {masks[0].uri}, is used.")
        label = labels[0][1] if labels else Label.UNLABELLED
        painted = masks[0] if masks else None
        if painted is not None and painted.colours and label is Label.UNLABELLED:
            self.say("warning", "mask-without-label", "A mask but neither normal nor anomaly; not used in training.")
        if painted is not None and painted.colours and label is Label.NORMAL:
            self.say("info", "mask-on-normal", "A normal image with a colour map of anomaly types.")
        return Entry(source, label, tuple(tags), tuple(regions), painted, raw=text)

    def _read_class(self, name: str, value: Any, meta: Json, labels: list[tuple[str, Label]], tags: list[Tag]) -> None:
        said = meta.get("class-name")
        word = said.strip().casefold() if isinstance(said, str) else ""
        if word not in ("normal", "anomaly"):
            if word:
                tags.append(Tag(str(said).strip(), _fraction(meta.get("confidence"))))
                self.say(
                    "info", "other-class", f"{name!r} is {said!r}, neither normal nor anomaly: taken as unlabelled."
                )
            else:
                self.say("warning", "no-class-name", f"'{name}-metadata' has no class-name: taken as unlabelled.")
            return
        label = Label(word)
        labels.append((name, label))
        if value is not None and str(value) != str(int(label is Label.ANOMALY)):
            self.say("info", "value-ignored", f"{name!r} is {json.dumps(value)[:40]} for {word!r}; class-name decides.")

    def _read_mask(self, name: str, uri: Any, meta: Json) -> MaskRef | None:
        colours: dict[str, str] = {}
        background = False
        listed = meta.get("internal-color-map")
        items = listed.items() if isinstance(listed, dict) else ()
        for key, item in sorted(items, key=_by_number):
            said = item.get("class-name") if isinstance(item, dict) else None
            colour = item.get("hex-color") if isinstance(item, dict) else None
            if not isinstance(said, str) or not isinstance(colour, str) or not _is_colour(colour):
                self.say("error", "bad-colour-map", f"Entry {key!r} of {name!r}'s colour map has no name and #rrggbb.")
            elif said.strip().casefold() == "background":
                background = True
            elif said in colours:
                self.say("warning", "colour-twice", f"{said!r} stands twice in the colour map; the first counts.")
            else:
                colours[said] = colour
        if not isinstance(uri, str) or not uri.strip():
            self.say("error", "mask-without-uri", f"{name!r} must name the mask image; it is {json.dumps(uri)[:60]}.")
            return None
        if not isinstance(listed, dict):
            self.say(
                "error", "no-colour-map", f"'{name}-metadata' has no internal-color-map: its colours mean nothing."
            )
        elif not background:
            self.say("info", "no-background", "The colour map names no BACKGROUND; unlisted colours are background.")
        return MaskRef(uri, colours)

    def _read_regions(self, name: str, value: Any, meta: Json, kind: str) -> Iterator[Region]:
        try:
            if kind == REGIONS:
                yield from _read_polygons(value)
            else:
                yield from _read_boxes(value, meta)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, ZeroDivisionError):
            self.say("error", "bad-regions", f"The boxes of {name!r} cannot be read.")


def _attributes(data: Json) -> Iterator[tuple[str, Json, str]]:
    """Yield each annotation that somebody made: its name, its metadata, its kind."""
    for key, meta in data.items():
        if not key.endswith("-metadata") or not isinstance(meta, dict) or key == "source-ref-metadata":
            continue
        name = key.removesuffix("-metadata")
        if name.endswith("-detected"):  # what a model said, in an evaluation manifest
            continue
        kind = meta.get("type")
        if not isinstance(kind, str):
            kind = SEGMENTATION if "internal-color-map" in meta else CLASSIFICATION if "class-name" in meta else ""
        yield name, meta, kind


def _read_tags(value: Any, meta: Json) -> Iterator[Tag]:
    names = meta.get("class-map")
    sure = meta.get("confidence-map")
    if not isinstance(value, list) or not isinstance(names, dict):
        return
    for index in value:
        name = names.get(str(index))
        if isinstance(name, str):
            yield Tag(name, _fraction(sure.get(str(index))) if isinstance(sure, dict) else None)


def _read_boxes(value: Json, meta: Json) -> Iterator[Region]:
    size = value["image_size"][0]
    width, height = float(size["width"]), float(size["height"])
    sure = meta.get("objects") or []
    for index, box in enumerate(value["annotations"]):
        confidence = _fraction(sure[index].get("confidence")) if index < len(sure) else None
        yield Region.box(
            str(meta["class-map"][str(box["class_id"])]),
            left=box["left"] / width,
            top=box["top"] / height,
            width=box["width"] / width,
            height=box["height"] / height,
            confidence=confidence,
        )


def _read_polygons(value: list[Json]) -> Iterator[Region]:
    for item in value:
        polygon = tuple((float(x), float(y)) for x, y in item["polygon"])
        yield Region(item["name"], polygon, _fraction(item.get("confidence")), item.get("id"))


def _edited(data: Json, before: Entry, after: Entry) -> Json:
    """Change only what differs; every other key keeps its place."""
    data["source-ref"] = after.source
    if after.label is not before.label:
        _edit_label(data, after.label)
    if after.mask != before.mask:
        _edit_mask(data, before.mask, after.mask)
    if after.tags != before.tags:
        _edit_tags(data, after.tags)
    if after.regions != before.regions:
        _remove(data, {DETECTION, REGIONS})
        if after.regions:
            data["regions"] = [
                {
                    "name": r.name,
                    "polygon": [list(point) for point in r.polygon],
                    "confidence": r.confidence,
                    "id": r.id,
                }
                for r in after.regions
            ]
            data["regions-metadata"] = {"type": REGIONS, "human-annotated": "yes"}
    return data


def _edit_label(data: Json, label: Label) -> None:
    classes = [(n, m) for n, m, kind in _attributes(data) if kind == CLASSIFICATION]
    deciding = [(n, m) for n, m in classes if str(m.get("class-name", "")).strip().casefold() in ("normal", "anomaly")]
    if label is Label.UNLABELLED:
        for name, _ in deciding:
            data.pop(name, None)
            data.pop(f"{name}-metadata", None)
        return
    name, meta = deciding[0] if deciding else (_free(data, "anomaly-label"), {})
    data[name] = int(label is Label.ANOMALY)
    meta["class-name"] = str(label)
    if not deciding:
        data[f"{name}-metadata"] = meta | {"confidence": 1, "human-annotated": "yes", "type": CLASSIFICATION}


def _edit_mask(data: Json, before: MaskRef | None, mask: MaskRef | None) -> None:
    existing = next(((n, m) for n, m, kind in _attributes(data) if kind == SEGMENTATION), None)
    if mask is None:
        _remove(data, {SEGMENTATION})
        return
    name, meta = existing or (_free(data, "anomaly-mask-ref"), {"human-annotated": "yes", "type": SEGMENTATION})
    data[name] = mask.uri
    if before is not None and list(before.colours.items()) == list(mask.colours.items()):
        return  # only the place changed
    listed: Json = {"0": {"class-name": "BACKGROUND", "hex-color": "#ffffff", "confidence": 0.0}}
    for index, (kind, colour) in enumerate(mask.colours.items(), 1):
        listed[str(index)] = {"class-name": kind, "hex-color": colour, "confidence": 0.0}
    meta["internal-color-map"] = listed
    data[f"{name}-metadata"] = meta


def _edit_tags(data: Json, tags: tuple[Tag, ...]) -> None:
    for name, meta, kind in list(_attributes(data)):
        said = str(meta.get("class-name", "")).strip().casefold()
        if kind == MULTILABEL or (kind == CLASSIFICATION and said and said not in ("normal", "anomaly")):
            data.pop(name, None)
            data.pop(f"{name}-metadata", None)
    if tags:
        name = _free(data, "tags")
        data[name] = list(range(len(tags)))
        data[f"{name}-metadata"] = {
            "class-map": {str(i): tag.name for i, tag in enumerate(tags)},
            "confidence-map": {str(i): tag.confidence for i, tag in enumerate(tags) if tag.confidence is not None},
            "human-annotated": "yes",
            "type": MULTILABEL,
        }


def _remove(data: Json, kinds: set[str]) -> None:
    for name, _, kind in list(_attributes(data)):
        if kind in kinds:
            data.pop(name, None)
            data.pop(f"{name}-metadata", None)


def _free(data: Json, name: str) -> str:
    """Return ``name``, or with a number behind it if the line has such a key already."""
    tried, count = name, 1
    while tried in data or f"{tried}-metadata" in data:
        count += 1
        stem, dash, end = name.rpartition("-ref")
        tried = f"{stem}-{count}-ref{end}" if dash else f"{name}-{count}"
    return tried


def _by_number(item: tuple[str, Any]) -> tuple[int, int, str]:
    key = item[0]
    return (0, int(key), key) if key.isascii() and key.isdigit() else (1, 0, key)


def _is_colour(text: str) -> bool:
    try:
        hex_to_rgb(text)
    except Invalid:
        return False
    return True


def _fraction(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value)
