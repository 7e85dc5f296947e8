"""What is odd in a manifest: each line, each image, and the set as a whole.

One engine for a :class:`~vision_toolkit.data.Manifest` in memory and for a file of any size, which is read line by
line: of a line, nothing but a few numbers is kept.
"""

from __future__ import annotations

import os
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from vision_toolkit.core.entry import Entry, Finding, Label
from vision_toolkit.core.limits import LOOKOUT
from vision_toolkit.data.check_images import Look, check_images
from vision_toolkit.data.jsonlines import Line, read_line, scan_line, write_line
from vision_toolkit.data.lines import LineFile
from vision_toolkit.data.locate import Images, base_of, locator
from vision_toolkit.data.rules import RULES
from vision_toolkit.data.storage import is_inline
from vision_toolkit.data.usual import Bulk, Scanner

__all__ = ["SetCheck", "batched", "check_contents", "check_file"]

Item = TypeVar("Item")
Progress = Callable[[int, int], None]
"""Called with how much is done, and how much there is."""


def check_file(
    path: str | os.PathLike[str],
    *,
    images: Images | None = None,
    look: Look = "whole",
    journal: str | os.PathLike[str] | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Iterator[Finding]:
    r"""Yield everything odd about a manifest's lines, images and set; memory does not grow with the file.

    Findings of the file come first, then those of the lines in order, of the images, and of the set.

    Parameters
    ----------
    path
        path or URI of the manifest.
    images
        where the images lie, as for :meth:`Manifest.read <vision_toolkit.data.Manifest.read>`.
    look
        ``"whole"``: decode each image and mask on this machine to its end; ``"header"``: quicker, a file that is cut
        off passes; ``"none"``: look at no image. Nothing is ever fetched over a network.
    journal
        a file that remembers which images were looked at, so that a check that was interrupted goes on where it was;
        None for none.
    threads
        how many images are decoded at once; None = as many as this process may use.
    progress
        called with how many images were looked at, and how many there are.

    Raises
    ------
    NotFound
        if there is no such file.
    Invalid
        if it is a folder, or no text.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "x.manifest")
    >>> _ = path.write_text('{"source-ref": "s3://bucket/1.png"}\n[]\n')
    >>> [(finding.line, finding.rule) for finding in check_file(path)]
    [(2, 'not-object'), (1, 'not-local'), (None, 'unlabelled'), (None, 'no-normal'), (None, 'few-images')]
    """
    whole = SetCheck()
    found: list[Finding] = []
    say, add, scan = found.append, whole.add, Scanner()
    number = 0
    with LineFile(path) as file:
        yield from file.findings
        told = len(file.findings)
        for batch in batched(iter(file), 128):
            bulk = scan.bulk(batch)
            if bulk is not None:
                whole.add_bulk(number + 1, bulk)
                number += len(batch)
                continue
            for text in batch:
                number += 1
                if text and not text.isspace():
                    line = scan(text, number, say)
                    if line is not None:
                        add(number, line)
                else:
                    _tell_blank(number, say)
            yield from found
            found.clear()
        yield from file.findings[told:]
        if look != "none":
            place = locator(images, base_of(path))
            entries = ((n, place(entry)) for n, entry in _entries(file))
            yield from check_images(entries, len(whole), look=look, journal=journal, threads=threads, progress=progress)
        yield from whole.findings(lambda numbers: _sources(file, numbers))


def check_contents(
    contents: Iterable[Entry | str],
    total: int,
    *,
    look: Look = "whole",
    journal: str | os.PathLike[str] | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Iterator[Finding]:
    """Yield everything odd about lines in memory: entries, and as text the lines that are none.

    Parameters
    ----------
    contents
        in the order of the file.
    total
        how many entries there are, for ``progress``.
    look, journal, threads, progress
        as :func:`check_file` takes them.

    Examples
    --------
    >>> [finding.rule for finding in check_contents(["[]"], 0)]
    ['not-object', 'empty']
    """
    found: list[Finding] = []
    entries: dict[int, Entry] = {}
    whole = SetCheck(lambda number: entries[number].at if number in entries else None)
    returns = 0
    for number, content in enumerate(contents, 1):
        if isinstance(content, Entry):
            entries[number] = content
            text = write_line(_short(content))
        else:
            text = content
        returns += text.endswith("\r")
        if text.strip():
            line = scan_line(text, number, found.append)
            if line is not None:
                whole.add(number, line)
        else:
            _tell_blank(number, found.append)
    yield from found
    if returns:
        yield RULES["crlf"].finding(None, f"{returns:,} line{'s' * (returns > 1)} with carriage return and newline.")
    if look != "none":
        yield from check_images(entries.items(), total, look=look, journal=journal, threads=threads, progress=progress)
    yield from whole.findings(lambda numbers: {n: entries[n].source for n in numbers if n in entries})


def _short(entry: Entry) -> Entry:
    """Name a mask that is its own content by a place: its line will never hold it."""
    if entry.mask is None or not is_inline(entry.mask.uri):
        return entry
    return replace(entry, mask=replace(entry.mask, uri="masks/1.png"))


def _tell_blank(number: int, say: Callable[[Finding], object]) -> None:
    say(RULES["blank-line"].finding(number, "A blank line."))


def _entries(file: LineFile) -> Iterator[tuple[int, Entry]]:
    for number, text in enumerate(file, 1):
        entry = read_line(text.decode("utf-8", "surrogateescape"), number)[0] if text.strip() else None
        if entry is not None:
            yield number, entry


def _sources(file: LineFile, numbers: set[int]) -> dict[int, str]:
    """Read the images of these lines again."""
    found: dict[int, str] = {}
    for number, text in enumerate(file, 1):
        if number in numbers:
            line = scan_line(text, number, _ignore)
            if line is not None:
                found[number] = line.source
    return found


def _ignore(finding: Finding) -> None:
    pass


class SetCheck:
    """Gather, line by line, what can only be told of the set: copies of a line, numbers of images, mixed names.

    Examples
    --------
    >>> whole = SetCheck()
    >>> line = scan_line('{"source-ref": "1.png"}', 1, print)
    >>> for number in (1, 2):
    ...     whole.add(number, line)
    >>> print(next(whole.findings(lambda numbers: {})))
    line 2: warning: The image of line 1 stands again on line 2, saying the same. [source-twice] Repair: ...

    ``at`` tells, by number, where an image in memory lies: two of one name that lie apart are two images.
    """

    def __init__(self, at: Callable[[int], str | None] = lambda number: None) -> None:
        self._at = at
        self._numbers = array("q")
        self._sources = array("q")
        self._said = array("q")
        self._unpainted = array("q")
        self._types: Counter[str] = Counter()
        self._alone: Counter[str] = Counter()
        self._kinds: dict[tuple[int, str | None, str | None], int] = {}
        self._place = "?"
        self._places: dict[str, int] = {}  # bucket, or nothing: its first line

    def __len__(self) -> int:
        return len(self._numbers)

    def add(self, number: int, line: Line) -> None:
        """Take one line into account."""
        source, label, tags, regions, uri, colours, label_name, mask_name = line
        self._numbers.append(number)
        self._sources.append(hash(source))
        verdict = 0
        if label is _ANOMALY:
            verdict = 1
            if not colours:
                self._unpainted.append(number)
        elif label is _NORMAL:
            verdict = 2
        self._said.append(hash((verdict, uri, tags, regions)) ^ (hash(tuple(colours.items())) if colours else 0))
        if not source.startswith(self._place):
            self._note_place(source, number)
        names = verdict, label_name, mask_name
        try:
            self._kinds[names] += 1
        except KeyError:
            self._kinds[names] = 1
        if colours:
            for name in colours:
                self._types[name] += 1
            if len(colours) == 1:
                self._alone[name] += 1

    def add_bulk(self, first: int, bulk: Bulk) -> None:
        """Take many lines into account, the first of which has this number; as :meth:`add` would one by one."""
        sources, anomalies, uris, colours, (label_name, mask_name) = bulk
        self._numbers.extend(range(first, first + len(sources)))
        self._sources.extend(map(hash, sources))
        self._said.extend(
            hash((1, uri, (), ())) ^ (hash(tuple(types.items())) if types else 0) if anomaly else _SAID_NORMAL
            for anomaly, uri, types in zip(anomalies, uris, colours, strict=True)
        )
        for number, source in enumerate(sources, first):
            if not source.startswith(self._place):
                self._note_place(source, number)
        painted = sum(map(bool, uris))
        anomalous = sum(anomalies)
        for kind, count in (
            ((1, label_name, mask_name), painted),
            ((1, label_name, None), anomalous - painted),
            ((2, label_name, None), len(sources) - anomalous),
        ):
            if count:
                self._kinds[kind] = self._kinds.get(kind, 0) + count
        if anomalous > painted:
            pairs = enumerate(zip(anomalies, uris, strict=True), first)
            self._unpainted.extend(number for number, (anomaly, uri) in pairs if anomaly and uri is None)
        for types in filter(None, colours):
            for name in types:
                self._types[name] += 1
            if len(types) == 1:
                self._alone[name] += 1

    def _note_place(self, source: str, number: int) -> None:
        bucket = source[: source.find("/", 5) + 1] if source[:5] == "s3://" else ""
        self._places.setdefault(bucket, number)
        self._place = bucket or "\0"  # every place begins with nothing

    def copies(self) -> Iterator[tuple[NDArray[np.int64], bool]]:
        """Yield, for each image on several lines, the numbers of those lines and whether they say the same."""
        sources = np.frombuffer(self._sources, np.int64)
        numbers, said = np.frombuffer(self._numbers, np.int64), np.frombuffer(self._said, np.int64)
        order = np.argsort(sources, kind="stable")
        ordered = sources[order]
        starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
        ends = np.r_[starts[1:], len(ordered)]
        for start, end in zip(starts[ends - starts > 1], ends[ends - starts > 1], strict=True):
            here = order[start:end]
            same = bool((said[here] == said[here[0]]).all())
            yield numbers[here], same and len({self._at(int(number)) for number in numbers[here]}) == 1

    def findings(self, sources: Callable[[set[int]], dict[int, str]]) -> Iterator[Finding]:
        """Yield what is odd about the set; ``sources`` tells the images of some lines, by number."""
        if not self._numbers:
            yield RULES["empty"].finding(None, "There is no image in it.")
            return
        yield from self._tell_copies(sources)
        yield from self._tell_numbers()
        yield from self._tell_types()
        yield from self._tell_names()

    def _tell_copies(self, sources: Callable[[set[int]], dict[int, str]]) -> Iterator[Finding]:
        for groups in batched(self.copies(), 1000):
            names = sources({int(lines[0]) for lines, _ in groups})
            for lines, same in groups:
                name = names.get(int(lines[0]), f"The image of line {lines[0]}")
                others = ", ".join(map(str, lines[1:6])) + (", ..." if len(lines) > 6 else "")
                again = f"{name} stands again on line{'s' * (len(lines) > 2)} {others}"
                rule = RULES["source-twice" if same else "source-conflict"]
                yield rule.finding(int(lines[1]), f"{again}, saying {'the same' if same else 'something else'}.")

    def _tell_numbers(self) -> Iterator[Finding]:
        total = len(self)
        anomaly, normal = (sum(n for kind, n in self._kinds.items() if kind[0] == verdict) for verdict in (1, 2))
        unlabelled = total - normal - anomaly
        if unlabelled:
            text = f"{_images(unlabelled)} no label; not used to train."
            yield RULES["unlabelled"].finding(None, text)
        if not normal:
            yield RULES["no-normal"].finding(None, "There is no normal image; a model needs some.")
        if normal < LOOKOUT.single_normal or anomaly < LOOKOUT.single_anomaly:
            yield RULES["few-images"].finding(
                None,
                f"{normal:,} normal and {anomaly:,} anomalous images; Lookout asked for {LOOKOUT.single_normal} and "
                f"{LOOKOUT.single_anomaly} in one dataset, or {LOOKOUT.train_normal} normal ones to train and "
                f"{LOOKOUT.test_normal} and {LOOKOUT.test_anomaly} to test. Scores of so few are wide.",
            )
        most = LOOKOUT.max_train_images_segmentation if self._types else LOOKOUT.max_train_images
        if total > most:
            yield RULES["many-images"].finding(None, f"{total:,} images; Lookout trained with {most:,} at most.")

    def _tell_types(self) -> Iterator[Finding]:
        if not self._types:
            return
        for number in self._unpainted:
            yield RULES["no-mask"].finding(number, "An anomaly without a mask, while others have one.")
        for name in self._types:
            if not (name.isascii() and name.isalnum()):
                text = f"The type {name!r} has other characters than letters and digits."
                yield RULES["type-name"].finding(None, text)
        asked = f"{LOOKOUT.single_images_per_type} in one dataset, or {LOOKOUT.images_per_type} each to train and test"
        for name in self._types:
            if self._alone[name] < LOOKOUT.single_images_per_type:
                text = f"{_images(self._alone[name])} {name!r} as the only type; Lookout asked for {asked}."
                yield RULES["few-of-type"].finding(None, text)
        if len(self._types) > LOOKOUT.max_types:
            text = f"{len(self._types):,} types; Lookout took {LOOKOUT.max_types}."
            yield RULES["many-types"].finding(None, text)

    def _tell_names(self) -> Iterator[Finding]:
        for place, what in ((1, "label"), (2, "mask")):
            names: Counter[str] = Counter()
            for kind, count in self._kinds.items():
                name = kind[place]
                if isinstance(name, str):
                    names[name] += count
            if len(names) > 1:
                told = ", ".join(f"{name!r} on {count:,}" for name, count in names.most_common(5))
                yield RULES["names-differ"].finding(None, f"The {what} has {len(names)} names: {told} lines.")
        buckets = [place for place in self._places if place]
        if len(buckets) > 1:
            told = ", ".join(buckets[:5]) + (", ..." if len(buckets) > 5 else "")
            yield RULES["several-buckets"].finding(None, f"Images lie in {len(buckets):,} buckets: {told}.")
        if buckets and "" in self._places:
            text = f"Some images lie in {buckets[0]}, others are named by places that are not s3://."
            yield RULES["places-mixed"].finding(self._places[""], text)


_NORMAL, _ANOMALY = Label.NORMAL, Label.ANOMALY
_SAID_NORMAL = hash((2, None, (), ()))


def _images(count: int) -> str:
    return f"{count:,} image{'s have' if count != 1 else ' has'}"


def batched(items: Iterator[Item], size: int) -> Iterator[list[Item]]:
    """Yield lists of at most ``size`` items.

    Examples
    --------
    >>> list(batched(iter(range(5)), 2))
    [[0, 1], [2, 3], [4]]
    """
    while batch := list(islice(items, size)):
        yield batch
