r"""How a service says what it takes, and how what it was given is checked against that.

A shape is plain typing: ``TypedDict`` with ``Required`` and ``NotRequired``, ``list``, ``dict[str, ...]``,
``Literal``, ``str``, ``bytes``, ``bool``, ``int``, ``float`` and ``datetime``, with what is allowed of a value in an
``Annotated``::

    ProjectName = Annotated[str, Text(1, 255, r"[a-zA-Z0-9][a-zA-Z0-9_\-]*")]

One walk over a value tells everything that is wrong with it, in the words that AWS used; libraries that stop at the
first fault, or say it in their own words, cannot stand in for that service.
"""

from __future__ import annotations

import base64
import math
import re
import reprlib
import sys
import types
import typing
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from numbers import Integral, Real
from typing import Annotated, Any, Literal, NotRequired, Required, get_args, get_origin, is_typeddict

__all__ = [
    "Blob",
    "Form",
    "Items",
    "Text",
    "Violation",
    "Whole",
    "base64_text",
    "check",
    "encode",
    "epoch",
    "members",
    "plain",
    "same",
    "told",
]

Form = Literal["python", "json", "text"]
"""Where a value comes from: a Python program, a JSON document, or a path, a query or a header, where all is text."""

Where = tuple[str | int, ...]

_HALF = re.compile("[\ud800-\udfff]")
_SHOWN = 60  # characters of a value in a message
_TOLD = 100  # violations in a message


@dataclass(frozen=True, slots=True)
class Text:
    r"""Limit a text.

    Parameters
    ----------
    least, most
        how many characters; None = no limit.
    pattern
        what the whole text must match. ``\p{L}``, ``\p{Z}`` and the like are the categories of Unicode.

    Examples
    --------
    >>> list(Text(1, 3, r"[\p{L}]*").broken_by("b-52"))
    ['Member must satisfy regular expression pattern: [\\p{L}]*', 'Member must have length less than or equal to 3']
    """

    least: int | None = None
    most: int | None = None
    pattern: str | None = None

    def broken_by(self, value: str) -> Iterator[str]:
        """Yield the rules that a text breaks."""
        if self.pattern is not None and not _compiled(self.pattern).fullmatch(value):
            yield f"Member must satisfy regular expression pattern: {self.pattern}"
        yield from _outside("length", len(value), self.least, self.most)


@dataclass(frozen=True, slots=True)
class Whole:
    """Limit a whole number: from ``least`` to ``most``, both included; None = no limit."""

    least: int | None = None
    most: int | None = None

    def broken_by(self, value: int) -> Iterator[str]:
        """Yield the rules that a number breaks."""
        yield from _outside("value", value, self.least, self.most)


@dataclass(frozen=True, slots=True)
class Blob:
    """Limit how many bytes there may be: from ``least`` to ``most``, both included; None = no limit."""

    least: int | None = None
    most: int | None = None

    def broken_by(self, value: bytes) -> Iterator[str]:
        """Yield the rules that bytes break."""
        yield from _outside("length", len(value), self.least, self.most)


@dataclass(frozen=True, slots=True)
class Items:
    """Limit how many items a list may have: from ``least`` to ``most``, both included; None = no limit."""

    least: int | None = None
    most: int | None = None

    def broken_by(self, value: list[Any]) -> Iterator[str]:
        """Yield the rules that a list breaks."""
        yield from _outside("length", len(value), self.least, self.most)


def _outside(what: str, value: int, least: int | None, most: int | None) -> Iterator[str]:
    if most is not None and value > most:
        yield f"Member must have {what} less than or equal to {most}"
    if least is not None and value < least:
        yield f"Member must have {what} greater than or equal to {least}"


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    r"""Compile a pattern of the contract; ``\p{L}``, which Python does not know, becomes ranges of characters."""
    return re.compile(re.sub(r"\\p\{(\w)\}", lambda found: _category(found[1]), pattern))


@cache
def _category(letter: str) -> str:
    """Return the characters of a category of Unicode as ranges, as they stand between square brackets."""
    starts: list[list[int]] = []
    for code in range(sys.maxunicode + 1):
        if unicodedata.category(chr(code))[0] == letter:
            if starts and starts[-1][1] == code - 1:
                starts[-1][1] = code
            else:
                starts.append([code, code])
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in starts)


@dataclass(frozen=True, slots=True)
class Violation:
    """Say that a value breaks a rule.

    Parameters
    ----------
    where
        the way to the value, outermost first: names of members as declared, and numbers of items from 0.
    value
        what was given; None = nothing.
    rule
        what it must satisfy, in AWS's words.

    Examples
    --------
    >>> Violation(("Tags", 0, "Key"), "", "Member must have length greater than or equal to 1").path
    'tags.1.member.key'
    """

    where: Where
    value: Any
    rule: str

    @property
    def path(self) -> str:
        """The way to the value as AWS wrote it: names begin small, items are counted from 1."""
        return ".".join(f"{p + 1}.member" if isinstance(p, int) else p[:1].lower() + p[1:] for p in self.where)

    def __str__(self) -> str:
        return f"Value {_shown(self.value)} at '{self.path}' failed to satisfy constraint: {self.rule}"


def told(violations: Iterable[Violation]) -> str:
    """Return violations as the one sentence in which AWS tells them.

    Examples
    --------
    >>> told([Violation(("ProjectName",), None, "Member must not be null")])
    "1 validation error detected: Value null at 'projectName' failed to satisfy constraint: Member must not be null"
    """
    every = list(violations)
    head = "1 validation error" if len(every) == 1 else f"{len(every)} validation errors"
    more = f"; and {len(every) - _TOLD} more" if len(every) > _TOLD else ""
    return f"{head} detected: {'; '.join(map(str, every[:_TOLD]))}{more}"


def _shown(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        text = str(value).lower()
    elif isinstance(value, bytes | bytearray | memoryview):
        text = f"({len(value)} bytes)"
    else:
        text = value if isinstance(value, str) else reprlib.repr(value)
    text = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    return "'" + "".join(c if c.isprintable() else "\ufffd" for c in text) + "'"


def check(
    hint: Any, value: Any, where: Where = (), *, form: Form = "python", ignore_unknown: bool = False
) -> tuple[Any, list[Violation]]:
    """Convert a value to what a shape says, and tell everything that is wrong with it.

    Parameters
    ----------
    hint
        the shape.
    value
        what was given. None members of a structure count as not given.
    where
        the way to the value, which the violations repeat.
    form
        where it comes from. ``"python"``: bytes may be any buffer, a file or a text, and a date without a zone is local
        time, as in boto3. ``"json"``: bytes are text in base 64, dates are seconds since 1970. ``"text"``: ``"true"``,
        ``"12"`` and ``"2024-01-02T03:04:05Z"`` are what they say; without a zone it is UTC.
    ignore_unknown
        leave members that the shape does not have out, instead of telling them.

    Returns
    -------
    value, violations
        the value, with dates in UTC; it is good for something only if there are no violations.

    Examples
    --------
    >>> check(Annotated[int, Whole(1, 100)], "12", form="text")
    (12, [])
    >>> value, violations = check(list[Annotated[str, Text(1, 3)]], ["a", "", "abcd"], ("Keys",))
    >>> [(one.path, one.rule) for one in violations]
    [('keys.2.member', 'Member must have length greater than or equal to 1'),
     ('keys.3.member', 'Member must have length less than or equal to 3')]
    """
    walk = _Walk(form, ignore_unknown)
    return walk.value(hint, value, where), walk.found


@dataclass(slots=True)
class _Walk:
    form: Form
    ignore_unknown: bool
    found: list[Violation] = field(default_factory=list)

    def value(self, hint: Any, value: Any, where: Where) -> Any:
        kind, marks = plain(hint)
        if value is None:
            return self.tell(where, None, "Member must not be null")
        if kind is Any or kind is object:
            return value
        if get_origin(kind) is Literal:
            allowed = get_args(kind)
            if not isinstance(value, str) or value not in allowed:
                self.tell(where, value, f"Member must satisfy enum value set: [{', '.join(allowed)}]")
            return value
        if is_typeddict(kind):
            return self.structure(kind, value, where)
        if get_origin(kind) in _UNIONS:
            return self.either(get_args(kind), value, where)
        if get_origin(kind) is list:
            converted = self.listed(get_args(kind)[0], value, where)
        elif get_origin(kind) is dict:
            key, item = get_args(kind)
            converted = self.mapping(key, item, value, where)
        else:
            words, reader = _READERS[kind]
            converted = reader(value, self.form)
            if converted is None:
                return self.tell(where, value, f"Member must be {words}")
        for mark in marks if converted is not None else ():
            for rule in mark.broken_by(converted) if hasattr(mark, "broken_by") else ():
                self.tell(where, value, rule)
        return converted

    def structure(self, kind: Any, value: Any, where: Where) -> Any:
        if not isinstance(value, Mapping):
            return self.tell(where, value, "Member must be a structure")
        known = members(kind)
        answer = {}
        for name, (hint, required) in known.items():
            if value.get(name) is not None or required:
                answer[name] = self.value(hint, value.get(name), (*where, name))
        for name in value if not self.ignore_unknown else ():
            if name not in known:
                self.tell((*where, str(name)), value[name], f"Member must be one of: [{', '.join(known)}]")
        return answer

    def listed(self, hint: Any, value: Any, where: Where) -> Any:
        if not isinstance(value, list | tuple):
            return self.tell(where, value, "Member must be a list")
        return [self.value(hint, item, (*where, number)) for number, item in enumerate(value)]

    def mapping(self, key: Any, hint: Any, value: Any, where: Where) -> Any:
        if not isinstance(value, Mapping):
            return self.tell(where, value, "Member must be a map")
        found = {}
        for name, item in value.items():
            inside = (*where, str(name))
            found[self.value(key, name, inside)] = self.value(hint, item, inside)
        return found

    def either(self, hints: tuple[Any, ...], value: Any, where: Where) -> Any:
        """Take a value as the first of several shapes that it has."""
        for hint in hints:
            tried = _Walk(self.form, self.ignore_unknown)
            converted = tried.value(hint, value, where)
            if not tried.found:
                return converted
        words = [_READERS[kind][0] for kind, _ in map(plain, hints) if kind in _READERS]
        return self.tell(where, value, f"Member must be {' or '.join(words) or 'of another kind'}, within its limits")

    def tell(self, where: Where, value: Any, rule: str) -> Any:
        """Note a violation; returns None, which stands for the value from then on."""
        self.found.append(Violation(where, value, rule))
        return None


_UNIONS = {typing.Union, types.UnionType}


def plain(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return a shape without ``Annotated``, ``Required`` and ``| None``, and what it was annotated with.

    A shape that is one of several (``str | int``) stays as it is.

    Examples
    --------
    >>> plain(Annotated[str, Text(1, 3)] | None)
    (<class 'str'>, (Text(least=1, most=3, pattern=None),))
    """
    marks: tuple[Any, ...] = ()
    while True:
        origin = get_origin(hint)
        if origin is Annotated:
            hint, *more = get_args(hint)
            marks = (*more, *marks)
        elif origin in {Required, NotRequired}:
            (hint,) = get_args(hint)
        elif origin in _UNIONS and len(several := [one for one in get_args(hint) if one is not type(None)]) == 1:
            hint = several[0]
        else:
            return hint, marks


@cache
def members(structure: Any) -> dict[str, tuple[Any, bool]]:
    """Return the members of a ``TypedDict``: the shape of each, and whether it is required.

    Examples
    --------
    >>> members(typing.TypedDict("Tag", {"Key": str, "Value": NotRequired[str]}))
    {'Key': (<class 'str'>, True), 'Value': (typing.NotRequired[str], False)}
    """
    found = {}
    for name, hint in typing.get_type_hints(structure, include_extras=True).items():
        # In a module with postponed annotations, __required_keys__ alone does not see the words.
        said = get_origin(hint)
        required = said is Required or (said is not NotRequired and name in structure.__required_keys__)
        found[name] = (hint, required)
    return found


# ---------------------------------------------------------------- one reader a type: the value, or None


def _read_text(value: Any, _: Form) -> str | None:
    # Half a character of a pair is text to Python, but to no file and no database; NUL to not every database.
    if not isinstance(value, str) or "\0" in value:
        return None
    return value if value.isascii() or not _HALF.search(value) else None


def _read_bool(value: Any, form: Form) -> bool | None:
    if form == "text" and isinstance(value, str):
        return {"true": True, "false": False}.get(value)
    return value if isinstance(value, bool) else None


def _read_int(value: Any, form: Form) -> int | None:
    if form == "text" and isinstance(value, str):
        value = int(value) if re.fullmatch(r"[+-]?[0-9]{1,12}", value) else None
    if not isinstance(value, Integral) or isinstance(value, bool):
        return None
    number = int(value)
    return number if -(2**31) <= number < 2**31 else None


def _read_float(value: Any, form: Form) -> float | None:
    try:
        if form == "text" and isinstance(value, str) and re.fullmatch(r"[0-9.eE+-]{1,40}", value):
            value = float(value)
        number = float(value) if isinstance(value, Real) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _read_bytes(value: Any, form: Form) -> bytes | None:
    if form == "json":
        try:
            return base64.b64decode(value, validate=True) if isinstance(value, str) else None
        except ValueError:
            return None
    if hasattr(value, "read"):
        value = value.read()
    if isinstance(value, str):
        return value.encode(errors="surrogateescape")
    return bytes(value) if isinstance(value, bytes | bytearray | memoryview) else None


def _read_datetime(value: Any, form: Form) -> datetime | None:
    try:
        if isinstance(value, str):
            value = datetime.fromisoformat(value)
            if value.tzinfo is None and form == "text":
                value = value.replace(tzinfo=UTC)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            value = datetime.fromtimestamp(value, UTC)
        return value.astimezone(UTC) if isinstance(value, datetime) else None
    except (ValueError, OverflowError, OSError):
        return None


_READERS: Mapping[Any, tuple[str, Callable[[Any, Form], Any]]] = {
    str: ("a string", _read_text),
    bool: ("a boolean", _read_bool),
    int: ("an integer", _read_int),
    float: ("a number", _read_float),
    bytes: ("a blob", _read_bytes),
    datetime: ("a timestamp", _read_datetime),
}


def epoch(moment: datetime) -> float:
    """Return a date as seconds since 1970, whole where it is: the one form that every client of AWS reads rightly.

    Examples
    --------
    >>> epoch(datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC))
    1704164645
    """
    seconds = moment.timestamp()
    return int(seconds) if seconds.is_integer() else seconds


def base64_text(value: bytes) -> str:
    """Return bytes as text in base 64.

    Examples
    --------
    >>> base64_text(b"42")
    'NDI='
    """
    return base64.b64encode(value).decode("ascii")


def same(value: Any) -> Any:
    """Return a value as it is."""
    return value


def encode(answer: Any, *, date: Callable[[datetime], Any] = epoch, blob: Callable[[bytes], Any] = base64_text) -> Any:
    """Return a copy of an answer as plain JSON, without members that are None or not a number.

    Parameters
    ----------
    answer
        dicts and lists of values.
    date, blob
        how dates and bytes are written.

    Examples
    --------
    >>> encode({"Mask": b"42", "Note": None, "At": [datetime(1970, 1, 1, tzinfo=UTC)]})
    {'Mask': 'NDI=', 'At': [0]}
    """
    if isinstance(answer, Mapping):
        encoded = {name: encode(value, date=date, blob=blob) for name, value in answer.items()}
        return {name: value for name, value in encoded.items() if value is not None}
    if isinstance(answer, list | tuple):
        return [encode(item, date=date, blob=blob) for item in answer]
    if isinstance(answer, bytes):
        return blob(answer)
    if isinstance(answer, datetime):
        return date(answer)
    return None if isinstance(answer, float) and not math.isfinite(answer) else answer
