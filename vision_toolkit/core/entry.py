"""One image and what is known of it: the value that every room passes around."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Literal

from vision_toolkit.core.errors import Invalid

__all__ = ["Entry", "Finding", "Label", "MaskRef", "Point", "Region", "Severity", "Tag"]

Point = tuple[float, float]
Severity = Literal["error", "warning", "info"]


class Label(StrEnum):
    """Say what a person (or a model) says of the whole image.

    Examples
    --------
    >>> Label("anomaly") is Label.ANOMALY
    True
    >>> [str(label) for label in Label]
    ['normal', 'anomaly', 'unlabelled']
    """

    NORMAL = "normal"
    ANOMALY = "anomaly"
    UNLABELLED = "unlabelled"


@dataclass(frozen=True, slots=True)
class Tag:
    """Name a class of the whole image, with a confidence from 0 to 1 where one is known.

    Examples
    --------
    >>> Tag("scratch", 0.9)
    Tag(name='scratch', confidence=0.9)
    """

    name: str
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Region:
    """Name a part of the image: a box, a word, a face, an object.

    Parameters
    ----------
    name
        the class of the part.
    polygon
        at least three ``(x, y)`` corners, each from 0 (left, top) to 1 (right, bottom) in the frame of
        the original image. A box is a polygon of four.
    confidence
        0 to 1, or None where nobody said.
    id
        what tells this part from its neighbours, a track for example.

    Examples
    --------
    >>> box = Region.box("pore", left=0.25, top=0.5, width=0.5, height=0.25)
    >>> box.polygon
    ((0.25, 0.5), (0.75, 0.5), (0.75, 0.75), (0.25, 0.75))
    >>> box.bounds
    (0.25, 0.5, 0.75, 0.75)
    """

    name: str
    polygon: tuple[Point, ...]
    confidence: float | None = None
    id: str | None = None

    def __post_init__(self) -> None:
        if len(self.polygon) < 3:
            raise Invalid(f"A region has at least three corners; {self.name!r} was given {len(self.polygon)}.")
        if not all(math.isfinite(x) and math.isfinite(y) for x, y in self.polygon):
            raise Invalid(f"Corners of a region are numbers; {self.name!r} was given {self.polygon}.")

    @classmethod
    def box(
        cls, name: str, *, left: float, top: float, width: float, height: float, confidence: float | None = None
    ) -> Region:
        """Make a region from a box, all four numbers as fractions of the image."""
        right, bottom = left + width, top + height
        return cls(name, ((left, top), (right, top), (right, bottom), (left, bottom)), confidence)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Return ``(left, top, right, bottom)`` as fractions of the image."""
        xs, ys = [x for x, _ in self.polygon], [y for _, y in self.polygon]
        return min(xs), min(ys), max(xs), max(ys)


@dataclass(frozen=True, slots=True)
class MaskRef:
    """Say where an image's mask lies and what its colours mean.

    Parameters
    ----------
    uri
        the mask image as the manifest names it.
    colours
        anomaly type to ``#rrggbb``, background left out; empty for an image without a defect.
    at
        where the bytes really are, if elsewhere than at ``uri``.

    Examples
    --------
    >>> ref = MaskRef("masks/1.png", {"scratch": "#23A436"})
    >>> ref.location, list(ref.colours)
    ('masks/1.png', ['scratch'])
    """

    uri: str
    colours: Mapping[str, str]
    at: str | None = field(default=None, compare=False, repr=False)

    @property
    def location(self) -> str:
        """Return where the bytes of the mask are."""
        return self.at or self.uri

    def __hash__(self) -> int:
        return hash((self.uri, tuple(self.colours.items())))


@dataclass(frozen=True, slots=True)
class Entry:
    """Hold one image and what is known of it.

    Two entries are equal when they say the same of the same image; where the bytes lie (``at``) and how
    the line was spelled (``raw``) do not count.

    Parameters
    ----------
    source
        the image as the manifest names it: a path or a URI.
    label
        normal, anomaly or unlabelled.
    tags, regions
        classes of the whole image, and parts of it.
    mask
        where the mask lies, or None.
    raw
        the JSON line as read. An entry that was not edited is written back exactly so.
    at
        where the bytes of the image really are, if elsewhere than at ``source``.

    Examples
    --------
    >>> entry = Entry("parts/1.png", Label.NORMAL)
    >>> entry.relabelled("anomaly").label
    <Label.ANOMALY: 'anomaly'>
    >>> entry.location
    'parts/1.png'
    """

    source: str
    label: Label = Label.UNLABELLED
    tags: tuple[Tag, ...] = ()
    regions: tuple[Region, ...] = ()
    mask: MaskRef | None = None
    raw: str | None = field(default=None, compare=False, repr=False)
    at: str | None = field(default=None, compare=False, repr=False)

    @property
    def location(self) -> str:
        """Return where the bytes of the image are."""
        return self.at or self.source

    @property
    def types(self) -> tuple[str, ...]:
        """Return the anomaly types that the mask's colour map names, background left out."""
        return tuple(self.mask.colours) if self.mask else ()

    @property
    def is_labelled(self) -> bool:
        """Return whether somebody said normal or anomaly."""
        return self.label is not Label.UNLABELLED

    def relabelled(self, label: Label | str) -> Entry:
        """Return the same image under another label; keys that nobody touched stay in its line.

        Raises
        ------
        Invalid
            if ``label`` is none of normal, anomaly, unlabelled.
        """
        try:
            return replace(self, label=Label(label))
        except ValueError:
            allowed = ", ".join(repr(str(one)) for one in Label)
            raise Invalid(f"A label is one of {allowed}; {label!r} was given.") from None

    def __hash__(self) -> int:
        return hash((self.source, self.label))


@dataclass(frozen=True, slots=True)
class Finding:
    """Tell one oddity: where, how bad, which rule, in words, and what would repair it.

    Parameters
    ----------
    line
        line of the manifest from 1, or None where it concerns the whole.
    severity
        ``error``: the line cannot be used or would mislead training; ``warning``: it is used, with
        the reading that the text names; ``info``: worth knowing.
    rule
        the id of the rule, ``not-json`` for example.
    text
        what was found.
    repair
        what would repair it, or None.

    Examples
    --------
    >>> print(Finding(3, "error", "no-source", "The line has no 'source-ref'.", "add it"))
    line 3: error: The line has no 'source-ref'. [no-source] Repair: add it
    """

    line: int | None
    severity: Severity
    rule: str
    text: str
    repair: str | None = None

    def __str__(self) -> str:
        where = f"line {self.line}: " if self.line is not None else ""
        repair = f" Repair: {self.repair}" if self.repair else ""
        return f"{where}{self.severity}: {self.text} [{self.rule}]{repair}"
