"""What the page of a widget may say, checked before anything is done with it.

Every message has a version ``v`` and a ``type``. From the page: ``hello`` (a page is there), ``want`` (images that it
lacks), ``acts`` (what somebody did, numbered from 1 in each page and sent again until acknowledged), and of a review
``at`` (where the threshold slider stands; the last word counts), ``rule`` (choose a threshold) and ``inner`` (what the
page of a tool within it says). To the page:
``plan``, or ``board`` and ``news`` of a review, or ``sheet`` of boxes (all that it shows, and the number up to which
acts are kept), ``tool`` and ``inner`` of a tool in a review, ``mended`` (other pixels or boxes), ``image``, ``patch``,
``suggested`` (boxes to accept), ``gap`` (numbers are missing), ``error``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from vision_toolkit.core.errors import Invalid

__all__ = [
    "MOST_ACTS", "MOST_BOXES", "MOST_WANTED", "PROTOCOL", "Acts", "At", "Choose", "Hello", "Inner", "Message",
    "PageAct", "PageBox", "Want", "read_message",
]  # fmt: skip

PROTOCOL = 1
"""The version of the messages."""
MOST_ACTS = 500
"""Most acts of one message."""
MOST_WANTED = 64
"""Most images of one message."""
MOST_BOXES = 1000
"""Most boxes of one image."""
_NEEDS = {
    "label": ("name", str), "flag": ("on", bool), "note": ("text", str), "skip": None, "undo": None, "go": None,
    "keep": ("tick", int), "export": None, "stroke": ("op", str), "start": ("type", str), "boxes": ("boxes", list),
    "redo": None, "open": ("tool", str),
}  # fmt: skip
_OF_NO_IMAGE = ("keep", "export")
_LONGEST_RULE = 200


@dataclass(frozen=True, slots=True)
class Hello:
    """Say that a page is there."""

    page: str


@dataclass(frozen=True, slots=True)
class Want:
    """Ask for images, by their numbers in the widget's list; ``large`` is one to look at closely."""

    items: tuple[int, ...]
    large: bool = False


@dataclass(frozen=True, slots=True)
class At:
    """Say where the threshold slider stands, in ten-thousandths."""

    tick: int


@dataclass(frozen=True, slots=True)
class Choose:
    """Ask for the threshold that a rule chooses, where anomalies have this share."""

    rule: str
    prevalence: float | None


@dataclass(frozen=True, slots=True)
class Inner:
    """Hold what the page of another widget says, which is shown within this one; that widget checks it."""

    tool: str
    content: Any
    buffers: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class PageBox:
    """Hold a box that somebody drew, as fractions of the image; whether it lies in the image is checked later."""

    name: str
    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class PageAct:
    """Hold one thing that somebody did in the page.

    ``value`` is a class, a flag, a note or a threshold; of a stroke ``"paint"``, ``"undo"`` or ``"redo"``, ``box`` its
    left, top, width and height in pixels, and ``data`` the pixels. ``boxes`` are all boxes that an image has now, and
    ``open`` which suggestions are still to be taken or left.
    """

    seq: int
    action: str
    item: int | None
    value: str | bool | int | None = None
    seconds: float | None = None
    box: tuple[int, int, int, int] | None = None
    data: bytes | None = None
    boxes: tuple[PageBox, ...] = ()
    open: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Acts:
    """Hold what somebody did in a page, in order."""

    page: str
    acts: tuple[PageAct, ...]


Message = Hello | Want | Acts | At | Choose | Inner


def read_message(content: Any, buffers: Sequence[Any] = ()) -> Message:
    """Return what a page said; bytes that belong to it come in ``buffers``.

    Raises
    ------
    Invalid
        if it is no message of ours, or one of another version.

    Examples
    --------
    >>> read_message({"v": 1, "type": "want", "items": [3, 4]})
    Want(items=(3, 4), large=False)
    """
    if not isinstance(content, Mapping):
        raise Invalid(f"A message is an object; a {type(content).__name__} came.")
    version = content.get("v")
    if version != PROTOCOL or not isinstance(version, int) or isinstance(version, bool):
        raise Invalid(
            f"This page speaks version {_shown(version)} and the kernel version {PROTOCOL}. Save the "
            "notebook, reload the page and run the cell again."
        )
    kind = content.get("type")
    if kind == "hello":
        return Hello(_page(content))
    if kind == "want":
        items = tuple(_whole(item, "item") for item in _listed(content, "items", MOST_WANTED))
        return Want(items, content.get("large") is True)
    if kind == "acts":
        acts = tuple(_act(one, buffers) for one in _listed(content, "acts", MOST_ACTS))
        if any(after.seq != before.seq + 1 for before, after in pairwise(acts)):
            raise Invalid("The acts of a message are numbered one after the other.")
        return Acts(_page(content), acts)
    if kind == "at":
        return At(_tick(content.get("tick")))
    if kind == "rule":
        return Choose(*_rule(content))
    if kind == "inner" and isinstance(content.get("tool"), str):
        return Inner(content["tool"], content.get("content"), tuple(buffers))
    raise Invalid(f"A message is of type 'hello', 'want', 'acts', 'at', 'rule' or 'inner'; {_shown(kind)} came.")


def _act(one: Any, buffers: Sequence[Any]) -> PageAct:
    action = one.get("action") if isinstance(one, Mapping) else None
    if not isinstance(action, str) or action not in _NEEDS:
        raise Invalid(f"An act is an object with an action ({', '.join(_NEEDS)}); {_shown(one)} came.")
    seq, item = _whole(one.get("seq"), "seq", least=1), one.get("item")
    if action in _OF_NO_IMAGE:
        item = None
    elif action != "undo" or item is not None:
        item = _whole(item, "item")
    value = None
    if need := _NEEDS[action]:
        value = one.get(need[0])
        if not isinstance(value, need[1]):
            raise Invalid(f"{action} needs {need[0]!r}; {_shown(value)} came.")
    if action == "keep":
        value = _tick(value)
    if action == "stroke":
        if value not in ("paint", "undo", "redo"):
            raise Invalid(f"A stroke paints, or is an undo or a redo; {_shown(value)} came.")
        return PageAct(seq, action, item, value, box=_part(one.get("box")), data=_data(one.get("buffer"), buffers))
    if action == "boxes":
        boxes = tuple(_box(box) for box in _listed(one, "boxes", MOST_BOXES))
        left = None if one.get("open") is None else _listed(one, "open", MOST_BOXES)
        still = None if left is None else tuple(_whole(number, "open") for number in left)
        return PageAct(seq, action, item, seconds=_seconds(one.get("seconds")), boxes=boxes, open=still)
    return PageAct(seq, action, item, value, _seconds(one.get("seconds")))


def _part(value: Any) -> tuple[int, int, int, int]:
    if not isinstance(value, list) or len(value) != 4:
        raise Invalid(f"A part of an image is left, top, width and height; {_shown(value)} came.")
    left, top = (_whole(one, "a corner") for one in value[:2])
    width, height = (_whole(one, "a side", least=1) for one in value[2:])
    return left, top, width, height


def _data(place: Any, buffers: Sequence[Any]) -> bytes:
    number = _whole(place, "buffer")
    if number >= len(buffers):
        raise Invalid(f"Buffer {number} of {len(buffers)} did not come.")
    return bytes(buffers[number])


def _box(box: Any) -> PageBox:
    if not isinstance(box, Mapping) or not isinstance(box.get("name"), str):
        raise Invalid(f"A box is an object with a name, left, top, width and height; {_shown(box)} came.")
    return PageBox(box["name"], *(_number(box.get(key), key) for key in ("left", "top", "width", "height")))


def _number(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise Invalid(f"{what} of a box is a number; {_shown(value)} came.")
    return float(value)


def _tick(value: Any) -> int:
    tick = _whole(value, "tick")
    if tick > 10_000:
        raise Invalid(f"tick goes from 0 to 10,000; {_shown(value)} came.")
    return tick


def _rule(content: Mapping[str, Any]) -> tuple[str, float | None]:
    rule, share = content.get("rule"), content.get("prevalence")
    if not isinstance(rule, str) or len(rule) > _LONGEST_RULE:
        raise Invalid(f"A rule is text of at most {_LONGEST_RULE} letters; {_shown(rule)} came.")
    number = isinstance(share, int | float) and not isinstance(share, bool)
    if share is not None and not number:
        raise Invalid(f"prevalence is a number; {_shown(share)} came.")
    return rule, share


def _seconds(value: Any) -> float | None:
    """Return a sensible time, or None: it is not worth losing a label for."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        return None
    return round(float(value), 3) if 0 <= value < 1e6 else None


def _page(content: Mapping[str, Any]) -> str:
    page = content.get("page")
    if not isinstance(page, str) or not 4 <= len(page) <= 64 or not page.isalnum():
        raise Invalid(f"A page has a name of 4 to 64 letters and digits; {_shown(page)} came.")
    return page


def _listed(content: Mapping[str, Any], key: str, most: int) -> list[Any]:
    found = content.get(key)
    if not isinstance(found, list) or len(found) > most:
        raise Invalid(f"{key!r} is a list of at most {most}; {_shown(found)} came.")
    return found


def _whole(value: Any, what: str, *, least: int = 0) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value < 2**53:
        raise Invalid(f"{what} is a whole number from {least}; {_shown(value)} came.")
    return value


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
