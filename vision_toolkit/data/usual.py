"""Read the usual lines of a manifest quickly: those of which there is nothing to tell.

The names and the form of a sound line become a schema; a line that fits it is decoded and validated in one go by
msgspec's C code. Any other line takes the long way, :func:`~vision_toolkit.data.jsonlines.scan_line`, which decides:
nothing is accepted here that it would tell of, and both read the same out of a line.
"""

from __future__ import annotations

import string
from collections import deque
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any, Literal, NamedTuple

import msgspec

from vision_toolkit.core.entry import Finding, Label
from vision_toolkit.core.limits import LOOKOUT
from vision_toolkit.data.attributes import CLASSIFICATION, SEGMENTATION
from vision_toolkit.data.jsonlines import Line, is_plain_place, scan_line, sound_colours

__all__ = ["Bulk", "Scanner"]

Text = str | msgspec.UnsetType
Optional = msgspec.field(default=msgspec.UNSET)


class _About(msgspec.Struct, forbid_unknown_fields=True):
    """What every annotation's metadata may hold."""

    human: Literal["yes", "no"] = msgspec.field(name="human-annotated")
    date: Text = msgspec.field(name="creation-date", default=msgspec.UNSET)
    job: Text = msgspec.field(name="job-name", default=msgspec.UNSET)


class _Class(_About, forbid_unknown_fields=True, kw_only=True):
    name: Literal["normal", "anomaly"] = msgspec.field(name="class-name")
    type: Literal["groundtruth/image-classification"]
    confidence: float | msgspec.UnsetType = msgspec.UNSET


class _Mask(_About, forbid_unknown_fields=True, kw_only=True):
    colours: msgspec.Raw = msgspec.field(name="internal-color-map")
    type: Literal["groundtruth/semantic-segmentation"]


assert (CLASSIFICATION, SEGMENTATION) == ("groundtruth/image-classification", "groundtruth/semantic-segmentation")
_line = partial(tuple.__new__, Line)


class Scanner:
    """Understand line after line as :func:`~vision_toolkit.data.jsonlines.scan_line` does, the usual ones quicker.

    Examples
    --------
    >>> scan = Scanner()
    >>> scan(b'{"source-ref": "1.png"}', 1, print).source
    '1.png'
    """

    def __init__(self) -> None:
        self._decode: Callable[[bytes], Any] | None = None
        self._names: tuple[str, str | None] = ("", None)
        self._tried = 0
        self._maps: dict[bytes, dict[str, str]] = {}

    def __call__(self, text: bytes, number: int, say: Callable[[Finding], object]) -> Line | None:
        """Understand one line and tell everything odd about it."""
        if self._decode is not None and len(text) <= _USUAL:
            line = self._usual(text)
            if line is not None:
                return line
        line = scan_line(text, number, say)
        if line is not None and self._tried < _TRIES and line.label_name is not None:
            self._learn(line.label_name, line.mask_name)
        return line

    def _learn(self, label: str, mask: str | None) -> None:
        """Make the schema of lines that name their label and mask so; of few names only, for it takes its time."""
        known, painted = self._names
        if self._decode is not None and (label, mask or painted) == (known, painted):
            return
        self._tried += 1
        self._names = label, mask or (painted if label == known else None)
        fields: list[Any] = [
            ("source", str, msgspec.field(name="source-ref")),
            ("value", Literal[0, 1], msgspec.field(name=label)),
            ("about", _Class, msgspec.field(name=f"{label}-metadata")),
        ]
        for key, name, kind in (("uri", "", str), ("painted", "-metadata", _Mask)):
            given = msgspec.field(name=f"{self._names[1]}{name}", default=msgspec.UNSET) if self._names[1] else None
            fields.append((key, kind | msgspec.UnsetType, given or msgspec.UNSET))
        schema = msgspec.defstruct("Usual", fields, forbid_unknown_fields=True)
        self._decode = msgspec.json.Decoder(schema).decode

    def _usual(self, text: bytes) -> Line | None:
        """Return what a line says if it is sound and of the usual form, else None."""
        assert self._decode is not None
        try:
            read = self._decode(text)
            about = read.about
            anomaly = about.name == "anomaly"
            if read.value != anomaly or not is_plain_place(read.source):
                return None
            if about.date is not _UNSET:
                datetime.fromisoformat(about.date)
            painted = read.painted
            if painted is _UNSET:
                if read.uri is not _UNSET:
                    return None
                label = _ANOMALY if anomaly else _NORMAL
                return _line((read.source, label, (), (), None, _NO_COLOURS, self._names[0], None))
            if painted.date is not _UNSET:
                datetime.fromisoformat(painted.date)
        except (msgspec.DecodeError, ValueError, RecursionError):
            return None
        uri = read.uri
        if not anomaly or uri is _UNSET or not uri or uri.isspace() or "\uf03a" in uri:
            return None
        content = bytes(painted.colours)
        colours = self._maps.get(content)
        if colours is None:
            colours = sound_colours(content)
            if colours is None:
                return None
            if len(self._maps) < 1024:
                self._maps[content] = colours
        return _line((read.source, _ANOMALY, (), (), uri, colours, *self._names))

    def bulk(self, texts: list[bytes]) -> Bulk | None:
        """Read many lines at once, if every one of them is sound and of the usual form; else None.

        What a loop in Python would ask line by line is asked of all together: that is twice as quick.
        """
        if self._decode is None or max(map(len, texts)) > _USUAL:
            return None
        try:
            read = list(map(self._decode, texts))
            about = [line.about for line in read]
            anomalies = [one.name == "anomaly" for one in about]
            masks = [line.painted for line in read]
            dates = [one.date for one in about] + [mask.date for mask in masks if mask is not _UNSET]
            deque(map(datetime.fromisoformat, [date for date in dates if date is not _UNSET]), maxlen=0)
        except (msgspec.DecodeError, ValueError, RecursionError):
            return None
        sources = [line.source for line in read]
        uris = [line.uri for line in read]
        if [line.value for line in read] != anomalies or not _are_plain(sources):
            return None
        colours = [_NO_COLOURS] * len(read)
        for position, mask in enumerate(masks):
            uri = uris[position]
            if mask is _UNSET:
                if uri is not _UNSET:
                    return None
                uris[position] = None
                continue
            known = self._maps.get(bytes(mask.colours))
            if known is None or not anomalies[position] or uri is _UNSET or not uri or uri.isspace() or "\uf03a" in uri:
                return None
            colours[position] = known
        return Bulk(sources, anomalies, uris, colours, self._names)


class Bulk(NamedTuple):
    """Hold what many usual lines say: place, whether anomaly, place of the mask (or None), its types' colours."""

    sources: list[str]
    anomalies: list[bool]
    uris: list[str | None]
    colours: list[dict[str, str]]
    names: tuple[str, str | None]


def _are_plain(sources: list[str]) -> bool:
    """Return whether :func:`is_plain_place` holds for each."""
    joined = "\n" + "\n".join(sources)
    if joined.count("\n") != len(sources) or not all(sources):
        return False
    in_s3 = joined.count("\ns3:")
    if not in_s3:
        return "\uf03a" not in joined and not any(map(str.isspace, sources))
    if in_s3 != len(sources) or joined.count("\ns3://") != in_s3 or not joined.isascii():
        return False
    # Of characters that are not allowed, each place has its one colon and its newline.
    return len(joined.encode("ascii").translate(None, _ALLOWED)) == 2 * in_s3 and min(map(len, sources)) > len("s3://")


_ALLOWED = string.ascii_letters.encode() + string.digits.encode() + b"!_.*'()-/"
_USUAL = LOOKOUT.max_line_characters
_TRIES = 8
_UNSET = msgspec.UNSET
_NORMAL, _ANOMALY = Label.NORMAL, Label.ANOMALY
_NO_COLOURS: dict[str, str] = {}
