"""Read the usual lines of a manifest quickly: those of which there is nothing to tell.

The names and the form of a sound line become a schema; a line that fits it is decoded and validated in one go by
msgspec's C code. Any other line takes the long way, :func:`~vision_toolkit.data.jsonlines.scan_line`, which decides:
nothing is accepted here that it would tell of, and both read the same out of a line.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any, Literal

import msgspec

from vision_toolkit.core.entry import Finding, Label
from vision_toolkit.core.limits import LOOKOUT
from vision_toolkit.data.attributes import CLASSIFICATION, SEGMENTATION
from vision_toolkit.data.jsonlines import Line, is_plain_place, scan_line, sound_colours

__all__ = ["Scanner"]

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


_USUAL = LOOKOUT.max_line_characters
_TRIES = 8
_UNSET = msgspec.UNSET
_NORMAL, _ANOMALY = Label.NORMAL, Label.ANOMALY
_NO_COLOURS: dict[str, str] = {}
