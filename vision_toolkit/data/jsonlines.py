"""Read one JSON line of a manifest generously, and write it back without loss.

The form is SageMaker Ground Truth's augmented manifest as Lookout for Vision took it (developer guide, pages
"Defining JSON lines for image classification" and "... for image segmentation"). Real manifests break its written
rules; what is odd becomes a :class:`Finding` of one of the rules in :mod:`.rules`, and the line is read all the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

import msgspec

from vision_toolkit.core.entry import Entry, Finding, Label, MaskRef, Region, Tag
from vision_toolkit.core.errors import Invalid
from vision_toolkit.core.limits import LOOKOUT
from vision_toolkit.core.mask import hex_to_rgb
from vision_toolkit.data.attributes import CLASSIFICATION, DETECTION, MULTILABEL, REGIONS, SEGMENTATION, kind_of
from vision_toolkit.data.edits import dumped, edited
from vision_toolkit.data.rules import RULES

__all__ = [
    "LONGEST",
    "Line",
    "decode_line",
    "is_plain_place",
    "read_line",
    "scan_line",
    "sound_colours",
    "write_line",
]

LONGEST = 16 * 2**20
"""Longest line that is decoded, in bytes: 16 MiB, two thousand times what Lookout took."""

Json = dict[str, Any]
Say = Callable[[Finding], object]

_decode = msgspec.json.Decoder().decode
_packed = msgspec.msgpack.Encoder().encode
_USUAL = LOOKOUT.max_line_characters
_UNLABELLED, _ANOMALY = Label.UNLABELLED, Label.ANOMALY
_VERDICTS = {"normal": Label.NORMAL, "anomaly": Label.ANOMALY}
_NO_COLOURS: dict[str, str] = {}
_S3_KEY = re.compile(r"s3://[a-zA-Z0-9!_.*'()\-/]+\Z").match


class Line(NamedTuple):
    """Hold what one line says, before it becomes an :class:`~vision_toolkit.core.Entry`.

    ``label_name`` and ``mask_name`` are the attributes that say it, None where none does.
    """

    source: str
    label: Label
    tags: tuple[Tag, ...]
    regions: tuple[Region, ...]
    mask_uri: str | None
    colours: dict[str, str]
    label_name: str | None
    mask_name: str | None


_line = partial(tuple.__new__, Line)  # twice as quick as calling it


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
    >>> entry, findings = read_line('{"source-ref": "1.png", "x": 1, "x-metadata": {"class-name": "normal", "type": '
    ...                             '"groundtruth/image-classification", "human-annotated": "yes"}}')
    >>> entry
    Entry(source='1.png', label=<Label.NORMAL: 'normal'>, tags=(), regions=(), mask=None)
    >>> [finding.rule for finding in findings]
    ['value-ignored']
    """
    findings: list[Finding] = []
    line = scan_line(text, number, findings.append)
    if line is None:
        return None, findings
    mask = None if line.mask_uri is None else MaskRef(line.mask_uri, line.colours)
    return Entry(line.source, line.label, line.tags, line.regions, mask, raw=text), findings


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
        return dumped(edited({"source-ref": entry.source}, Entry(entry.source), entry))
    before, _ = read_line(entry.raw)
    if before == entry:
        return entry.raw
    data = decode_line(entry.raw, 0, _ignore)
    if before is None or data is None:
        raise Invalid(f"The line of {entry.source} can no longer be read: {entry.raw[:120]!r}.")
    return dumped(edited(data, before, entry), like=entry.raw)


def _ignore(finding: Finding) -> None:
    pass


# One line, decoded


def decode_line(text: str | bytes, number: int, say: Say) -> Json | None:
    """Decode one line to a dict, or tell why it cannot be.

    Parameters
    ----------
    text
        the line without its newline; bytes are UTF-8.
    number
        its number from 1.
    say
        takes each Finding.

    Examples
    --------
    >>> decode_line(b'{"a": 1}', 1, print)
    {'a': 1}
    >>> decode_line(b"[1]", 1, print)
    line 1: error: The line is a JSON list, not an object {...}. [not-object] Repair: write it again; ...
    """
    if len(text) > LONGEST:
        size = getattr(text, "length", len(text))  # of one that is not held whole, all of it
        say(
            RULES["huge-line"].finding(
                number, f"The line has {size:,} bytes; it is not read beyond {LONGEST:,}. Are newlines missing?"
            )
        )
        return None
    try:
        data = _decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        data = _decode_leniently(text, number, error, say)
        if data is None:
            return None
    if type(data) is not dict:
        kind = "null" if data is None else type(data).__name__
        say(RULES["not-object"].finding(number, f"The line is a JSON {kind}, not an object {{...}}."))
        return None
    if len(text) > LOOKOUT.max_line_characters:
        characters = len(text) if isinstance(text, str) else len(text.decode("utf-8", "replace"))
        if characters > LOOKOUT.max_line_characters:
            allowed = f"{LOOKOUT.max_line_characters:,}"
            say(RULES["too-long"].finding(number, f"{characters:,} characters; Lookout took {allowed} at most."))
    return data


def _decode_leniently(text: str | bytes, number: int, error: Exception, say: Say) -> Any:
    """Python's own parser takes NaN and lone surrogates, which other tools write; a byte order mark is passed over."""
    try:
        body = text if isinstance(text, str) else text.decode("utf-8")
        body.encode("utf-8")  # bytes of another encoding came as lone surrogates
    except UnicodeError:
        say(RULES["not-utf8"].finding(number, "The line is not UTF-8."))
        return None
    if body.startswith("\ufeff"):
        say(RULES["byte-order-mark"].finding(number, "A byte order mark stands before the line."))
        return decode_line(body.removeprefix("\ufeff"), number, say)
    try:
        data = json.loads(body)
    except (ValueError, RecursionError) as worse:
        if "\0" in body:
            count = f"{body.count(chr(0)):,} NUL byte{'s' * (body.count(chr(0)) > 1)}"
            say(RULES["nul-bytes"].finding(number, f"The line holds {count} and is not JSON."))
        else:
            reason = "nested too deeply" if isinstance(worse, RecursionError) else str(error)
            say(RULES["not-json"].finding(number, f"Not JSON: {reason.rstrip('.')}."))
        return None
    if data is None:
        return []  # cannot be: the strict decoder reads null
    say(RULES["loose-json"].finding(number, f"Not strict JSON: {str(error).rstrip('.')}. It is read all the same."))
    return data


# One line, understood


def scan_line(text: str | bytes, number: int, say: Say) -> Line | None:  # noqa: C901 - calls cost more than branches
    """Understand one line and tell everything odd about it; as :func:`read_line`, but quicker.

    Parameters
    ----------
    text
        the line without its newline; bytes are UTF-8.
    number
        its number from 1.
    say
        takes each Finding.

    Returns
    -------
    Line or None
        None where the line is not JSON or names no image.

    Examples
    --------
    >>> scan_line(b'{"source-ref": "1.png"}', 1, print).source
    '1.png'
    """
    try:
        data = _decode(text) if len(text) <= _USUAL else None
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        data = None
    if type(data) is not dict:  # anything unusual takes the long way, which tells it
        data = decode_line(text, number, say)
        if data is None:
            return None
    source = data.get("source-ref")
    if type(source) is not str or not source or source.isspace():
        given = "is missing" if source is None else f"is {json.dumps(source)[:60]}"
        say(RULES["no-source"].finding(number, f"'source-ref', the image's place, {given}."))
        return None
    verdicts: list[tuple[str, Label]] = []
    masks: list[tuple[str, str, dict[str, str]]] = []
    tags: list[Tag] = []
    regions: list[Region] = []
    for key, meta in data.items():
        # As in attributes(), written out: this loop is the speed of the whole.
        name = _ANNOTATED.get(key)
        if name is None:
            name = _annotated(key)
        if not name or type(meta) is not dict:
            continue
        kind = meta.get("type")
        if type(kind) is not str:
            kind = kind_of(meta)
        if kind == CLASSIFICATION:
            said = meta.get("class-name")
            verdict = _VERDICTS.get(said) if type(said) is str else None
            if verdict is None:
                verdict = _other_class(number, name, said, meta, tags, say)
            if verdict is not None:
                value = data.get(name)
                if type(value) is not int or value != (verdict is _ANOMALY):
                    _tell_value(number, name, value, verdict, say)
                verdicts.append((name, verdict))
        elif kind == SEGMENTATION:
            colours = _read_mask(number, name, data.get(name), meta, say)
            if colours is not None:
                masks.append((name, data[name], colours))
        elif kind == MULTILABEL:
            tags += _read_tags(data.get(name), meta)
        elif kind in (DETECTION, REGIONS):
            regions += _read_regions(number, name, data.get(name), meta, kind, say)
        else:
            continue
        date = meta.get("creation-date")
        if date is not None:
            try:
                datetime.fromisoformat(date)
            except (TypeError, ValueError):
                say(RULES["odd-date"].finding(number, f"The creation-date of {name!r} is {_shown(date)}."))
        if "human-annotated" not in meta or "type" not in meta:
            _tell_metadata(number, name, meta, say)
    label_name, label = verdicts[0] if verdicts else (None, _UNLABELLED)
    mask_name, uri, colours = masks[0] if masks else (None, None, _NO_COLOURS)
    if len(verdicts) != 1 or len(masks) > 1 or (colours and label is not _ANOMALY):
        _tell_together(number, data, verdicts, masks, say)
    if "\uf03a" in source or (uri is not None and "\uf03a" in uri):
        where = "source-ref" if "\uf03a" in source else "mask"
        say(RULES["f03a-in-key"].finding(number, f"The place of the {where} has U+F03A where S3 has ':'."))
    elif source[:3] == "s3:" and not _S3_KEY(source):
        say(RULES["odd-key"].finding(number, f"{source[:120]} has characters that Lookout did not allow."))
    return _line((source, label, tuple(tags), tuple(regions), uri, colours, label_name, mask_name))


_ANNOTATED: dict[str, str] = {}


def _annotated(key: str) -> str:
    """Return the annotation whose metadata this key holds, or nothing; remember the answer for usual keys."""
    name = key.removesuffix("-metadata")
    if name in (key, "source-ref") or name.endswith("-detected"):
        name = ""
    if len(_ANNOTATED) < 4096:
        _ANNOTATED[key] = name
    return name


def _other_class(number: int, name: str, said: Any, meta: Json, tags: list[Tag], say: Say) -> Label | None:
    """Read a class-name that is not literally normal or anomaly."""
    word = said.strip() if isinstance(said, str) else ""
    verdict = _VERDICTS.get(word.casefold())
    if verdict is not None:
        say(RULES["class-case"].finding(number, f"{name!r} is {said!r}; it is read as {str(verdict)!r}."))
    elif word:
        tags.append(Tag(word, _fraction(meta.get("confidence"))))
        text = f"{name!r} is {said!r}, neither normal nor anomaly: taken as unlabelled."
        say(RULES["other-class"].finding(number, text))
    else:
        text = f"'{name}-metadata' has no class-name: taken as unlabelled."
        say(RULES["no-class-name"].finding(number, text))
    return verdict


def _tell_value(number: int, name: str, value: Any, verdict: Label, say: Say) -> None:
    shown = json.dumps(value)[:60]
    if value is None:
        say(RULES["no-value"].finding(number, f"'{name}-metadata' stands without {name!r}."))
    elif isinstance(value, str) and "/" in value:
        say(RULES["value-is-place"].finding(number, f"{name!r} is {shown}, a place; class-name {verdict!s} decides."))
    elif value != str(int(verdict is Label.ANOMALY)):  # Amazon's own samples have "0" and "1" too
        say(RULES["value-ignored"].finding(number, f"{name!r} is {shown} for {str(verdict)!r}; class-name decides."))


def _tell_metadata(number: int, name: str, meta: Json, say: Say) -> None:
    if "type" not in meta:
        say(RULES["no-type"].finding(number, f"'{name}-metadata' does not say its type."))
    if "human-annotated" not in meta:
        say(RULES["no-human-annotated"].finding(number, f"'{name}-metadata' does not say whether a person made it."))


def _tell_together(
    number: int,
    data: Json,
    verdicts: list[tuple[str, Label]],
    masks: list[tuple[str, str, dict[str, str]]],
    say: Say,
) -> None:
    """Tell what is odd about the annotations of a line together."""
    label = verdicts[0][1] if verdicts else Label.UNLABELLED
    if any(other is not label for _, other in verdicts):
        told = ", ".join(f"{name!r} says {one}" for name, one in verdicts)
        say(RULES["labels-disagree"].finding(number, f"{told}; the first decides."))
    if len(masks) > 1:
        say(RULES["several-masks"].finding(number, f"{len(masks)} masks; the first, {masks[0][1]}, is used."))
    if masks and masks[0][2] and label is Label.NORMAL:
        say(RULES["mask-on-normal"].finding(number, "A normal image with a colour map of anomaly types."))
    elif masks and masks[0][2] and label is Label.UNLABELLED:
        text = "A mask but neither normal nor anomaly; not used in training."
        say(RULES["mask-without-label"].finding(number, text))
    if not verdicts:
        for key, value in data.items():
            if type(value) is int and key.endswith("label") and f"{key}-metadata" not in data:
                say(RULES["no-metadata"].finding(number, f"{key!r} is {value}, but there is no '{key}-metadata'."))


def _read_mask(number: int, name: str, uri: Any, meta: Json, say: Say) -> dict[str, str] | None:
    """Return the colours of a mask's types, or None where no mask is named."""
    listed = meta.get("internal-color-map")
    colours = _colours(number, name, listed, say) if type(listed) is dict else {}
    if type(uri) is not str or not uri or uri.isspace():
        text = f"{name!r} must name the mask image; it is {json.dumps(uri)[:60]}."
        say(RULES["mask-without-uri"].finding(number, text))
        return None
    if type(listed) is not dict:
        text = f"'{name}-metadata' has no internal-color-map: its colours mean nothing."
        say(RULES["no-colour-map"].finding(number, text))
    if not name.endswith("-ref"):
        say(RULES["mask-key"].finding(number, f"The mask {name!r} has a name that does not end with '-ref'."))
    return colours


_SOUND_MAPS: dict[bytes, dict[str, str]] = {}


def _colours(number: int, name: str, listed: Json, say: Say) -> dict[str, str]:
    """Return type to colour; remember the maps of which there was nothing to tell, for most lines have one of a few."""
    try:
        content = _packed(listed)
    except (OverflowError, RecursionError, UnicodeError):  # numbers, depths and characters that only JSON has
        content = b""
    known = _SOUND_MAPS.get(content)
    if known is not None:
        return known
    findings: list[Finding] = []
    colours = _read_colours(number, name, listed, findings.append)
    for finding in findings:
        say(finding)
    if not findings and content and len(_SOUND_MAPS) < 1024:
        _SOUND_MAPS[content] = colours
    return colours


def _read_colours(number: int, name: str, listed: Json, say: Say) -> dict[str, str]:
    colours: dict[str, str] = {}
    background = False
    unsure = 0
    for key, item in sorted(listed.items(), key=_by_number):
        said = item.get("class-name") if isinstance(item, dict) else None
        colour = item.get("hex-color") if isinstance(item, dict) else None
        if not isinstance(said, str) or not isinstance(colour, str) or not _is_colour(colour):
            text = f"Entry {key!r} of {name!r}'s colour map has no name and #rrggbb."
            say(RULES["bad-colour-map"].finding(number, text))
            continue
        unsure += "confidence" not in item
        if said.strip().casefold() == "background":
            background = True
            if colour.casefold() != "#ffffff":
                say(RULES["background-colour"].finding(number, f"BACKGROUND of {name!r} is {colour}, not #ffffff."))
        elif said in colours:
            text = f"{said!r} stands twice in the colour map; the first counts."
            say(RULES["type-twice"].finding(number, text))
        else:
            colours[said] = colour
    if not background:
        text = "The colour map names no BACKGROUND; unlisted colours are background."
        say(RULES["no-background"].finding(number, text))
    if unsure:
        entries = f"{unsure} entr{'ies' if unsure > 1 else 'y'}"
        say(RULES["no-confidence"].finding(number, f"{entries} of the colour map of {name!r} without confidence."))
    _tell_types(number, name, colours, say)
    return colours


def _tell_types(number: int, name: str, colours: dict[str, str], say: Say) -> None:
    if len({colour.casefold() for colour in colours.values()}) < len(colours):
        text = f"Types of {name!r}'s colour map share a colour: their pixels cannot be told apart."
        say(RULES["colour-shared"].finding(number, text))
    if len(colours) > LOOKOUT.max_types_per_mask:
        text = f"{len(colours)} types in one colour map; Lookout took {LOOKOUT.max_types_per_mask} an image."
        say(RULES["types-per-mask"].finding(number, text))


def _read_tags(value: Any, meta: Json) -> Iterator[Tag]:
    names = meta.get("class-map")
    sure = meta.get("confidence-map")
    if not isinstance(value, list) or not isinstance(names, dict):
        return
    for index in value:
        name = names.get(str(index))
        if isinstance(name, str):
            yield Tag(name, _fraction(sure.get(str(index))) if isinstance(sure, dict) else None)


def _read_regions(number: int, name: str, value: Any, meta: Json, kind: str, say: Say) -> list[Region]:
    try:
        return list(_read_polygons(value) if kind == REGIONS else _read_boxes(value, meta))
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, ZeroDivisionError):
        say(RULES["bad-regions"].finding(number, f"The boxes of {name!r} cannot be read."))
        return []


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


def sound_colours(content: bytes) -> dict[str, str] | None:
    """Return type to colour of a colour map in JSON; None where anything is odd about it."""
    try:
        listed = _decode(content)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    findings: list[Finding] = []
    colours = _colours(0, "", listed, findings.append) if isinstance(listed, dict) else None
    return None if findings else colours


# Small questions


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:76]} ..."


def is_plain_place(source: str) -> bool:
    """Return whether nothing is odd about the place of an image."""
    if not source or source.isspace():
        return False
    return bool(_S3_KEY(source)) if source[:3] == "s3:" else "\uf03a" not in source


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
