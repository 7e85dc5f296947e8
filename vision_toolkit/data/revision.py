"""Change what a manifest holds: replace and add, merge, relabel, remove.

Each function takes the contents of a manifest in order (entries, and as text the lines that are none, see
:meth:`Manifest.lines <vision_toolkit.data.Manifest.lines>`) and returns the new contents. What it is not asked to touch
stays as it is and where it is.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from vision_toolkit.core.entry import Entry, Label
from vision_toolkit.core.errors import Conflict, Invalid, NotFound
from vision_toolkit.data.diff import differences
from vision_toolkit.data.storage import is_local

__all__ = ["Content", "merge", "relabel", "remove", "upsert"]

Content = Entry | str
"""An entry, or a line that is none: a blank one, or one that could not be read."""


def upsert(contents: Iterable[Content], entries: Iterable[Entry]) -> list[Content]:
    """Replace the entries of the same source, each in its place, and append the others in the order given.

    Raises
    ------
    Invalid
        if something is given that is no entry.

    Examples
    --------
    >>> [e.source for e in upsert([Entry("a"), Entry("b")], [Entry("c"), Entry("a", Label.NORMAL)])]
    ['a', 'b', 'c']
    """
    given = {entry.source: entry for entry in _checked(entries)}  # the first place, the last word
    done: set[str] = set()
    kept: list[Content] = []
    for content in contents:
        if isinstance(content, str) or content.source not in given:
            kept.append(content)
        elif content.source not in done:
            kept.append(_placed_as(content, given[content.source]))
            done.add(content.source)
    return [*kept, *(entry for source, entry in given.items() if source not in done)]


def merge(
    parts: Sequence[Iterable[Content]], names: Sequence[str], *, on_conflict: Literal["raise", "first", "last"]
) -> list[Content]:
    """Put contents one behind the other; what stands twice is kept once, where it stood first.

    Raises
    ------
    Conflict
        if two say different things of one source and ``on_conflict`` is ``"raise"``.
    Invalid
        if ``on_conflict`` is something else.

    Examples
    --------
    >>> [e.source for e in merge([[Entry("a"), Entry("b")], [Entry("b")]], ["x", "y"], on_conflict="raise")]
    ['a', 'b']
    """
    if on_conflict not in ("raise", "first", "last"):
        raise Invalid(f"on_conflict must be 'raise', 'first' or 'last'; {on_conflict!r} was given.")
    merged: list[Content] = []
    places: dict[str, tuple[int, int]] = {}  # source: its position, and the part it is from
    strays: set[str] = set()
    conflicts: list[str] = []
    for number, part in enumerate(parts):
        known = strays.copy()  # a part may repeat its own blank lines, but not those of the parts before it
        for content in part:
            if isinstance(content, str):
                strays.add(content)
                if content not in known:
                    merged.append(content)
                continue
            position, origin = places.setdefault(content.source, (len(merged), number))
            if position == len(merged):
                merged.append(content)
                continue
            there = merged[position]
            assert isinstance(there, Entry)
            told = _disagreement(there, content, names[origin], names[number])
            if told and on_conflict == "raise":
                conflicts.append(told)
            if told and on_conflict == "last":
                merged[position] = content
                places[content.source] = position, number
    if conflicts:
        more = f" So do {len(conflicts) - 3} more." if len(conflicts) > 3 else ""
        raise Conflict(f"{' '.join(conflicts[:3])}{more} Choose with on_conflict='first' or 'last', or relabel before.")
    return merged


def relabel(
    contents: Iterable[Content], labels: Mapping[str, Label | str] | Callable[[Entry], Label | str | None]
) -> list[Content]:
    """Give entries other labels; whatever else is said of them stays.

    Raises
    ------
    NotFound
        if a mapping names a source that is not there.
    Invalid
        if a label is none of ours.

    Examples
    --------
    >>> [str(e.label) for e in relabel([Entry("a"), Entry("b")], {"b": "normal"})]
    ['unlabelled', 'normal']
    """
    contents = list(contents)
    if isinstance(labels, Mapping):
        _check_known(labels, contents)
    elif not callable(labels):
        raise Invalid(f"Give a mapping of sources to labels, or a function of an Entry; {_kind(labels)} was given.")
    changed: list[Content] = []
    for content in contents:
        if isinstance(content, str):
            changed.append(content)
            continue
        label = labels.get(content.source) if isinstance(labels, Mapping) else labels(content)
        changed.append(content if label is None else _relabelled(content, label))
    return changed


def remove(contents: Iterable[Content], which: str | Iterable[str | Entry] | Callable[[Entry], bool]) -> list[Content]:
    """Leave out the entries of the given sources, or those for which a function is true.

    Raises
    ------
    NotFound
        if a source is not there.
    Invalid
        if something else is given.

    Examples
    --------
    >>> [e.source for e in remove([Entry("a"), Entry("b")], "a")]
    ['b']
    """
    contents = list(contents)
    if callable(which):
        return [content for content in contents if isinstance(content, str) or not which(content)]
    sources = set(_sources([which] if isinstance(which, str | Entry) else which))
    _check_known(sources, contents)
    return [content for content in contents if isinstance(content, str) or content.source not in sources]


def _checked(entries: Iterable[Entry]) -> Iterator[Entry]:
    if isinstance(entries, Entry | str | bytes | Mapping) or not isinstance(entries, Iterable):
        raise Invalid(f"Give a manifest or a list of entries; {_kind(entries)} was given.")
    for entry in entries:
        if not isinstance(entry, Entry):
            raise Invalid(f"A manifest holds Entry values; {_kind(entry)} was given.")
        yield entry


def _sources(which: Iterable[str | Entry]) -> Iterator[str]:
    if not isinstance(which, Iterable):
        raise Invalid(f"Give sources, entries or a function of an Entry; {_kind(which)} was given.")
    for one in which:
        if not isinstance(one, str | Entry):
            raise Invalid(f"A source is text; {_kind(one)} was given.")
        yield one if isinstance(one, str) else one.source


def _check_known(sources: Iterable[str], contents: Iterable[Content]) -> None:
    known = dict.fromkeys(content.source for content in contents if isinstance(content, Entry))
    unknown = [source for source in sources if source not in known]
    if not unknown:
        return
    end = str(unknown[0]).rpartition("/")[2]
    near = next((source for source in known if source.rpartition("/")[2] == end), None)
    some = next(iter(known), None)
    hint = f"did you mean {near!r}?" if near else f"they are spelled as in {some!r}." if some else "it is empty."
    more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
    raise NotFound(f"Not in the manifest: {', '.join(map(repr, unknown[:3]))}{more}; {hint}")


def _relabelled(entry: Entry, label: Label | str) -> Entry:
    try:
        return entry if label == entry.label else entry.relabelled(label)
    except Invalid as error:
        raise Invalid(f"{entry.source}: {error}") from None


def _placed_as(before: Entry, after: Entry) -> Entry:
    """Let the image and the mask lie where they lay, if nothing else is said."""
    mask = after.mask
    if mask is not None and mask.at is None and before.mask is not None and before.mask.uri == mask.uri:
        mask = replace(mask, at=before.mask.at)
    at = before.at if after.at is None else after.at
    return after if at == after.at and mask is after.mask else replace(after, at=at, mask=mask)


def _disagreement(one: Entry, other: Entry, first: str, second: str) -> str:
    """Say in words how two entries of one source disagree, or nothing."""
    if one == other:
        # A relative name means another image in another folder.
        relative = is_local(one.source) and not one.source.startswith("file://") and not os.path.isabs(one.source)
        if not relative or one.at is None or other.at is None or one.at == other.at:
            return ""
        return f"{one.source!r} is {one.at} in {first}, but {other.at} in {second}."
    if one.label is not other.label:
        return f"{one.source!r} is {one.label} in {first}, but {other.label} in {second}."
    what = " and ".join(differences(one, other))
    return f"{one.source!r} is {one.label} in {first} and {second}, but not with the same {what}."


def _kind(value: Any) -> str:
    return repr(value)[:60] if isinstance(value, str | int | float | None) else f"a {type(value).__name__}"
