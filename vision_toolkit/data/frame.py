"""Manifests as pandas tables, both ways without loss.

A table of :func:`to_frame` has one row an image: what a person may look at and change, and in the column ``entry`` the
:class:`~vision_toolkit.core.Entry` itself with its line. So rows may be filtered, sorted, appended and edited, and
:func:`read_frame` makes exactly those edits; where a field was edited, it wins over the line. The accessor
``df.vision`` is in :mod:`.accessor`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from vision_toolkit.core.entry import Entry, Label, MaskRef, Region, Tag
from vision_toolkit.core.errors import Invalid
from vision_toolkit.core.mask import hex_to_rgb
from vision_toolkit.data.accessor import register_if_free

if TYPE_CHECKING:
    from pandas import DataFrame

    from vision_toolkit.data.manifest import Manifest

__all__ = [
    "COLUMNS",
    "SOURCES",
    "OtherLines",
    "Table",
    "make_frame",
    "read_frame",
    "to_frame",
]

COLUMNS = ("source", "label", "types", "tags", "regions", "mask", "location", "line", "entry")
"""Columns of a manifest's table.

All are of dtype object but ``regions`` and ``line``. One more, ``other_lines``, is there only where a file has blank or
unreadable lines.
"""

SOURCES = ("source", "source-ref", "path", "image")
"""Names under which somebody else's table may name its images."""

_ATTRS = "vision_toolkit"


@dataclass(frozen=True, slots=True, eq=False)
class OtherLines:
    """Hold the lines of a file that are no entries, each with its number from 1.

    Every row of a table refers to those of its file, so that they survive whatever pandas does to the rows.

    Examples
    --------
    >>> OtherLines(((2, "not a line"),))
    OtherLines(1)
    """

    lines: tuple[tuple[int, str], ...]

    def __repr__(self) -> str:
        return f"OtherLines({len(self.lines)})"


@dataclass(frozen=True, slots=True)
class Table:
    """Hold what a table says: the contents of a manifest in order, its name, how its file ends.

    Parameters
    ----------
    contents
        entries, and as text the lines that are none.
    name
        of the manifest, or None.
    final_newline
        whether the last line of its file ended.
    """

    contents: tuple[Entry | str, ...]
    name: str | None = None
    final_newline: bool = True


def to_frame(manifest: Manifest) -> DataFrame:
    """Return a manifest as a table; the same as :meth:`Manifest.to_frame <vision_toolkit.data.Manifest.to_frame>`.

    Examples
    --------
    >>> from vision_toolkit.data import Manifest
    >>> to_frame(Manifest([Entry("1.png", Label.NORMAL)]))[["source", "label"]].values.tolist()
    [['1.png', 'normal']]
    """
    return manifest.to_frame()


def make_frame(contents: Iterable[Entry | str], *, name: str = "manifest", final_newline: bool = True) -> DataFrame:
    """Make the table of a manifest's contents.

    Parameters
    ----------
    contents
        entries, and as text the lines that are none.
    name, final_newline
        as :class:`Table` holds them; they stand in ``df.attrs``, which pandas drops when it joins tables.

    Examples
    --------
    >>> list(make_frame([Entry("1.png"), "no line", Entry("2.png")])["line"])
    [1, 3]
    """
    import pandas as pd

    register_if_free()
    numbered = list(enumerate(contents, 1))
    entries = [(number, content) for number, content in numbered if isinstance(content, Entry)]
    others = tuple((number, content) for number, content in numbered if isinstance(content, str))
    values = _columns([entry for _, entry in entries])
    if others:
        values["other_lines"] = [OtherLines(others)] * len(entries)
    # Objects throughout: pandas' own text cannot hold bytes that were no UTF-8, and has NaN for None.
    columns: dict[str, Any] = {key: pd.Series(column, dtype=object) for key, column in values.items()}
    columns["regions"] = pd.Series([len(entry.regions) for _, entry in entries], dtype="int64")
    columns["line"] = pd.Series([number for number, _ in entries], dtype="int64")
    frame = pd.DataFrame(columns, columns=[*COLUMNS, *(["other_lines"] if others else [])])
    frame.attrs[_ATTRS] = {"name": name, "final_newline": final_newline}
    return frame


def read_frame(frame: DataFrame, *, source: str | None = None, label: str | None = None) -> Table:
    """Read a table: one of :func:`make_frame` with whatever was edited, or anybody's with a column of images.

    A row that came from a manifest gives its entry with what was edited; a field that was edited wins over the line.
    Any other row gives a new entry.

    Parameters
    ----------
    frame
        with a column of sources and, if you like, ``label`` (normal, anomaly, unlabelled, or nothing), ``tags`` (lists
        of names), ``mask`` with ``colours`` (mappings of types to ``#rrggbb``), ``regions`` (lists of Region); and,
        where the column ``entry`` is still there, ``location``. Other columns are yours and are passed over.
    source
        the column that names the images; by default the first of :data:`SOURCES`.
    label
        the column that says normal or anomaly; by default ``label``.

    Raises
    ------
    Invalid
        if a column is missing, or a row says what no entry can hold; the row is named.

    Examples
    --------
    >>> import pandas as pd
    >>> read_frame(pd.DataFrame({"path": ["1.png"], "label": ["Normal"]})).contents[0]
    Entry(source='1.png', label=<Label.NORMAL: 'normal'>, tags=(), regions=(), mask=None)
    """
    import pandas as pd

    if not isinstance(frame, pd.DataFrame):
        raise Invalid(f"A pandas DataFrame must be given; a {type(frame).__name__} was given.")
    register_if_free()
    named = _named_columns(frame, source, label)
    values = {ours: frame[theirs].tolist() for ours, theirs in named.items()}
    rows = zip(*values.values(), strict=True)
    entries = [_entry(_Row(i, frame.index, dict(zip(values, row, strict=True)))) for i, row in enumerate(rows)]
    contents = _with_others(entries, values.get("line"), values.get("other_lines"))
    told = frame.attrs.get(_ATTRS)
    if not isinstance(told, dict) or "entry" not in named:
        return Table(tuple(contents))
    return Table(tuple(contents), name=told.get("name"), final_newline=bool(told.get("final_newline", True)))


def _columns(entries: Sequence[Entry]) -> dict[str, list[Any]]:
    return {
        "source": [entry.source for entry in entries],
        "label": [str(entry.label) for entry in entries],
        "types": [entry.types for entry in entries],
        "tags": [tuple(tag.name for tag in entry.tags) for entry in entries],
        "mask": [entry.mask.uri if entry.mask else None for entry in entries],
        "location": [entry.location for entry in entries],
        "entry": list(entries),
    }


def _named_columns(frame: DataFrame, source: str | None, label: str | None) -> dict[str, str]:
    """Return our name of each column to the table's."""
    columns = list(frame.columns)
    for name in (source, label):
        if name is not None and name not in columns:
            raise Invalid(f"There is no column {name!r}; there are: {_listed(columns)}.")
    ours = "entry" in columns
    found = [name for name in SOURCES[: 1 if ours else None] if name in columns]
    if source is None and not ours and (not found or (found[0] != "source" and len(found) > 1)):
        said = f"{' and '.join(map(repr, found))} may both" if found else f"None of {', '.join(SOURCES)} is there to"
        raise Invalid(f"{said} name the images; say which column does: source=... There are: {_listed(columns)}.")
    if label is None and "label" not in columns and any(str(name).endswith("-metadata") for name in columns):
        raise Invalid("This table holds a manifest's raw keys. Read the file itself: Manifest.read(path).")
    # In somebody else's table 'location' may be Berlin, and 'line' a production line.
    known = (*COLUMNS[2:], "colours", "other_lines") if ours else ("tags", "regions", "mask", "colours")
    named = {name: name for name in known if name in columns}
    if source is not None or found:
        named["source"] = source if source is not None else found[0]
    if label is not None or "label" in columns:
        named["label"] = label if label is not None else "label"
    for name in named.values():
        if columns.count(name) > 1:
            raise Invalid(f"There are {columns.count(name)} columns {name!r}; keep one.")
    return named


def _listed(columns: Sequence[Any]) -> str:
    return ", ".join(map(str, columns[:20])) + (", ..." if len(columns) > 20 else "") or "none"


def _with_others(
    entries: Sequence[Entry], lines: Sequence[Any] | None, others: Sequence[Any] | None
) -> Iterator[Entry | str]:
    """Put a file's other lines back: each before the first row that stood behind it, the rest behind the last row."""
    if others is None:
        yield from entries
        return
    last = {id(one): i for i, one in enumerate(others) if isinstance(one, OtherLines)}
    waiting = {id(one): list(reversed(one.lines)) for one in others if isinstance(one, OtherLines)}
    for i, (entry, other) in enumerate(zip(entries, others, strict=True)):
        left = waiting.get(id(other), [])
        line = lines[i] if lines is not None else None
        while left and isinstance(line, int | float) and left[-1][0] < line:
            yield left.pop()[1]
        yield entry
        if last.get(id(other)) == i:
            yield from (text for _, text in reversed(left))


@dataclass(slots=True)
class _Row:
    """Hold one row; ``fail`` says where something is wrong."""

    number: int
    index: Any
    values: dict[str, Any]

    def fail(self, text: str) -> Invalid:
        return Invalid(f"Row {self.number} (index {self.index[self.number]!r}): {text}")

    def get(self, name: str) -> Any:
        """Return a value, None for every kind of nothing that pandas knows."""
        value = self.values.get(name)
        return None if value is None or (not isinstance(value, _PRESENT) and _is_missing(value)) else value


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


_PRESENT = (str, tuple, list, dict, Entry)


def _is_missing(value: Any) -> bool:
    import pandas as pd

    missing = pd.isna(value)
    return bool(missing) if np.ndim(missing) == 0 else False


def _entry(row: _Row) -> Entry:
    """Make the entry of a row: the one it came from, with what was edited; or a new one."""
    before = row.get("entry")
    if before is not None and not isinstance(before, Entry):
        raise row.fail(
            f"the column 'entry' must hold Entry values, and has a {type(before).__name__}. A table does not bring "
            "them back from a file: keep manifests with Manifest.write, or go on with df[['source', 'label']]."
        )
    source = _text(row, "source") if "source" in row.values or before is None else before.source
    if source is None:
        raise row.fail("it names no image: its source is empty.")
    if before is None:
        before = Entry(source)
    edited: dict[str, Any] = {"source": source} if source != before.source else {}
    for name, read in _FIELDS.items():
        value = read(row, before)
        if value != getattr(before, name):
            edited[name] = value
    return replace(before, **edited) if edited else before


def _text(row: _Row, name: str) -> str | None:
    value = row.get(name)
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if not isinstance(value, str):
        raise row.fail(f"{name} must be text; {_shown(value)} was given.")
    return value


def _label(row: _Row, before: Entry) -> Label:
    value = row.get("label")
    if "label" not in row.values:
        return before.label
    if value is None:
        return Label.UNLABELLED
    try:
        return Label(value.strip().casefold() if isinstance(value, str) else "")
    except ValueError:
        allowed = ", ".join(repr(str(one)) for one in Label)
        raise row.fail(
            f"a label is one of {allowed}; {_shown(value)} was given. Translate the column first: "
            "df['label'].map({'good': 'normal', ...})."
        ) from None


def _tags(row: _Row, before: Entry) -> tuple[Tag, ...]:
    value = row.get("tags")
    if value is None:
        return () if "tags" in row.values else before.tags
    if isinstance(value, str) or not isinstance(value, Iterable) or not all(isinstance(o, str | Tag) for o in value):
        raise row.fail(f"tags must be a list of names; {_shown(value)} was given.")
    if isinstance(value, tuple) and value == tuple(tag.name for tag in before.tags):
        return before.tags
    known = {tag.name: tag for tag in before.tags}
    return tuple(one if isinstance(one, Tag) else known.get(one, Tag(one)) for one in value)


def _regions(row: _Row, before: Entry) -> tuple[Region, ...]:
    value = row.get("regions")
    if value is None:
        return () if "regions" in row.values else before.regions
    if isinstance(value, tuple | list) and all(isinstance(one, Region) for one in value):
        return tuple(value)
    if isinstance(value, int | float) and value == len(before.regions):
        return before.regions
    raise row.fail(
        f"regions must be a list of Region, or {len(before.regions)} to leave them as they are; "
        f"{_shown(value)} was given."
    )


def _mask(row: _Row, before: Entry) -> MaskRef | None:
    """Read mask, colours and types together: the types are what the colours name."""
    mask = before.mask
    uri = _text(row, "mask") if "mask" in row.values else mask.uri if mask else None
    colours = row.get("colours")
    if colours is not None and not (isinstance(colours, Mapping) and all(isinstance(one, str) for one in colours)):
        raise row.fail(f"colours must be a mapping of types to '#rrggbb'; {_shown(colours)} was given.")
    if uri is None:
        if colours:
            raise row.fail("it has colours, but no mask that is painted in them.")
        _check_types(row, before, ())
        return None
    if colours is None:
        if mask is None:
            raise row.fail("it has a mask, but no colours: {'scratch': '#23A436'} in a column 'colours' says it.")
        _check_types(row, before, before.types)
        return mask if uri == mask.uri else MaskRef(uri, mask.colours)
    for name, colour in colours.items():
        try:
            hex_to_rgb(colour)
        except (Invalid, AttributeError):
            raise row.fail(f"a colour is written #rrggbb; {_shown(colour)} was given for {name!r}.") from None
    _check_types(row, before, tuple(colours))
    return MaskRef(uri, dict(colours), at=mask.at if mask is not None and mask.uri == uri else None)


def _check_types(row: _Row, before: Entry, types: tuple[str, ...]) -> None:
    """Types follow from the colours; an edit of them alone would be lost without a word."""
    value = row.get("types")
    said = tuple(value) if isinstance(value, Iterable) and not isinstance(value, str) else value
    if said is not None and said not in (before.types, types):
        raise row.fail(
            f"types was edited to {_shown(value)}, but follows from what the mask's colours name. Put "
            "{type: '#rrggbb'} into a column 'colours' instead."
        )


def _at(row: _Row, before: Entry) -> str | None:
    location = _text(row, "location")
    return before.at if "location" not in row.values or location == before.location else location


_FIELDS: dict[str, Callable[[_Row, Entry], Any]] = {
    "label": _label, "tags": _tags, "regions": _regions, "mask": _mask, "at": _at,
}  # fmt: skip
