"""One thing that somebody said of an image, and what several of them come to."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from vision_toolkit.core.entry import Label

__all__ = ["LONGEST_NOTE", "VERSION", "Act", "Action", "OddActError", "Opinion", "opinion_of", "read_act"]

VERSION = 1
"""The form of the lines, their key ``v``."""
LONGEST_NOTE = 2_000
"""Most letters of a note."""
Action = Literal["label", "skip", "flag", "note", "undo"]


@dataclass(frozen=True, slots=True)
class Act:
    """Hold one line of the file: what somebody did to one image, and when.

    Parameters
    ----------
    id
        tells it from all others; an id that is there already is not written again.
    action
        label, skip, flag, note or undo.
    source
        the image, as its manifest names it.
    annotator
        who; empty where nobody said.
    time
        in UTC, as ISO 8601.
    name, label
        of a label: the class, and whether that means normal or anomaly (None: neither).
    flagged
        of a flag: set, or taken away.
    text
        of a note; empty takes it away.
    undoes
        of an undo: the id of the act that no longer counts.
    seconds
        how long the image was looked at, where that is known.
    """

    id: str
    action: Action
    source: str
    annotator: str = ""
    time: str = ""
    name: str | None = None
    label: Label | None = None
    flagged: bool | None = None
    text: str | None = None
    undoes: str | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Opinion:
    """Hold what one annotator's acts on one image come to.

    Examples
    --------
    >>> Opinion(name="normal", label=Label.NORMAL).skipped
    False
    """

    name: str | None = None
    label: Label | None = None
    skipped: bool = False
    flagged: bool = False
    note: str = ""


class OddActError(Exception):
    """Say what is wrong with a line."""


def read_act(data: Any) -> Act:
    """Return what a decoded line says.

    Raises
    ------
    OddActError
        if it is none of ours.

    Examples
    --------
    >>> read_act({"v": 1, "id": "a", "action": "skip", "source": "1.png"}).action
    'skip'
    """
    if not isinstance(data, dict) or data.get("v") != VERSION:
        raise OddActError(f'it is no JSON object with "v": {VERSION}.')
    action: Any = data.get("action")
    if action not in get_args(Action):
        raise OddActError(f"an action is one of {', '.join(map(repr, get_args(Action)))}; {action!r} was given.")
    for key in ("id", "source"):
        if not isinstance(data.get(key), str) or not data[key]:
            raise OddActError(f"{key!r} must be text that is not empty; {data.get(key)!r} was given.")
    needs = {"label": ("class", str), "flag": ("flagged", bool), "note": ("text", str), "undo": ("undoes", str)}
    if action in needs:
        key, kind = needs[action]
        if not isinstance(data.get(key), kind) or (key == "class" and not data[key]):
            raise OddActError(f"{action} needs {key!r}; {data.get(key)!r} was given.")
    if len(data.get("text") or "") > LONGEST_NOTE:
        raise OddActError(f"a note has at most {LONGEST_NOTE:,} letters; {len(data['text']):,} were given.")
    label, seconds, who = data.get("label"), data.get("seconds"), data.get("annotator", "")
    if label is not None and label not in (Label.NORMAL, Label.ANOMALY):
        raise OddActError(f"a label is 'normal' or 'anomaly'; {label!r} was given.")
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if seconds is not None and not (is_number and math.isfinite(seconds) and seconds >= 0):
        raise OddActError(f"seconds are a number from 0; {seconds!r} was given.")
    if not isinstance(who, str) or not isinstance(data.get("time", ""), str):
        raise OddActError("annotator and time are text.")
    return Act(
        data["id"], action, data["source"], who, data.get("time", ""), data.get("class"),
        None if label is None else Label(label), data.get("flagged"), data.get("text"), data.get("undoes"), seconds,
    )  # fmt: skip


def opinion_of(acts: Iterable[Act]) -> Opinion:
    """Return what acts of one annotator on one image come to; undone ones are not among them.

    Examples
    --------
    >>> opinion_of([Act("a", "label", "1.png", name="normal"), Act("b", "skip", "1.png")])
    Opinion(name=None, label=None, skipped=True, flagged=False, note='')
    """
    held = Opinion()
    for act in acts:
        if act.action == "label":
            held = replace(held, name=act.name, label=act.label, skipped=False)
        elif act.action == "skip":  # takes a label back: the last word counts
            held = replace(held, name=None, label=None, skipped=True)
        elif act.action == "flag":
            held = replace(held, flagged=bool(act.flagged))
        elif act.action == "note":
            held = replace(held, note=act.text or "")
    return held
