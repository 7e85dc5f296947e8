"""What the page of a widget may say, checked before anything is done with it.

Every message has a version ``v`` and a ``type``. From the page: ``hello`` (a page is there), ``want`` (images that it
lacks) and ``acts`` (what somebody did, numbered from 1 in each page and sent again until acknowledged). To the page:
``plan`` (all that it shows, and the number up to which acts are kept), ``image``, ``gap`` (numbers are missing),
``error``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from vision_toolkit.core.errors import Invalid

__all__ = ["MOST_ACTS", "MOST_WANTED", "PROTOCOL", "Acts", "Hello", "PageAct", "Want", "read_message"]

PROTOCOL = 1
"""The version of the messages."""
MOST_ACTS = 500
"""Most acts of one message."""
MOST_WANTED = 64
"""Most images of one message."""
_NEEDS = {"label": ("name", str), "flag": ("on", bool), "note": ("text", str), "skip": None, "undo": None, "go": None}


@dataclass(frozen=True, slots=True)
class Hello:
    """Say that a page is there."""

    page: str


@dataclass(frozen=True, slots=True)
class Want:
    """Ask for images, by their numbers in the queue's list."""

    items: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PageAct:
    """Hold one thing that somebody did in the page; ``value`` is a class, a flag or a note."""

    seq: int
    action: str
    item: int | None
    value: str | bool | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Acts:
    """Hold what somebody did in a page, in order."""

    page: str
    acts: tuple[PageAct, ...]


def read_message(content: Any) -> Hello | Want | Acts:
    """Return what a page said.

    Raises
    ------
    Invalid
        if it is no message of ours, or one of another version.

    Examples
    --------
    >>> read_message({"v": 1, "type": "want", "items": [3, 4]})
    Want(items=(3, 4))
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
        return Want(tuple(_whole(item, "item") for item in _listed(content, "items", MOST_WANTED)))
    if kind == "acts":
        acts = tuple(_act(one) for one in _listed(content, "acts", MOST_ACTS))
        if any(after.seq != before.seq + 1 for before, after in pairwise(acts)):
            raise Invalid("The acts of a message are numbered one after the other.")
        return Acts(_page(content), acts)
    raise Invalid(f"A message is of type 'hello', 'want' or 'acts'; {_shown(kind)} came.")


def _act(one: Any) -> PageAct:
    action = one.get("action") if isinstance(one, Mapping) else None
    if not isinstance(action, str) or action not in _NEEDS:
        raise Invalid(f"An act is an object with an action ({', '.join(_NEEDS)}); {_shown(one)} came.")
    seq, item = _whole(one.get("seq"), "seq", least=1), one.get("item")
    if action != "undo" or item is not None:
        item = _whole(item, "item")
    value = None
    if need := _NEEDS[action]:
        value = one.get(need[0])
        if not isinstance(value, need[1]):
            raise Invalid(f"{action} needs {need[0]!r}; {_shown(value)} came.")
    return PageAct(seq, action, item, value, _seconds(one.get("seconds")))


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
