"""Look at the images and masks of a manifest on this machine: is each there, readable, of one size and one kind."""

from __future__ import annotations

import contextlib
import json
import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal, Self

from vision_toolkit.core.entry import Entry, Finding
from vision_toolkit.core.errors import Failed, Invalid, VisionError
from vision_toolkit.core.limits import LOOKOUT
from vision_toolkit.core.mask import Mask
from vision_toolkit.core.settings import Settings
from vision_toolkit.data.images import ImageFacts, mask_pixels, probe, unlisted_colours
from vision_toolkit.data.rules import RULES
from vision_toolkit.data.storage import is_inline, is_local, is_there, local_path

__all__ = ["Look", "check_images"]

Look = Literal["whole", "header", "none"]
"""How closely to look at an image: decode all of it, read its header, not at all."""

Told = list[tuple[str, str]]
"""What is odd about one image and its mask: rule and text."""

Looked = tuple[tuple[int, int] | None, Told]
"""Width and height of an image, None where it could not be read, and what is odd."""

SUFFIXES = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".bmp": "BMP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".webp": "WEBP",
}
"""What the end of a file's name promises."""


def check_images(
    entries: Iterable[tuple[int, Entry]],
    total: int,
    *,
    look: Look = "whole",
    journal: str | os.PathLike[str] | None = None,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Finding]:
    """Yield what is odd about the image and mask of each line; nothing is fetched over a network.

    What lies on another machine, or is missing, is told once for each place and not once for each line.

    Parameters
    ----------
    entries
        line number and entry.
    total
        how many there are, for ``progress``.
    look, journal, threads, progress
        as :func:`~vision_toolkit.data.check.check_file` takes them.

    Examples
    --------
    >>> [finding.rule for finding in check_images([(1, Entry("nowhere/1.png"))], 1)]
    ['missing-image']
    """
    if look not in ("whole", "header"):
        raise Invalid(f"look is 'whole', 'header' or 'none'; {look!r} was given.")
    away, missing = _Away(), _Missing()
    sizes: dict[tuple[int, int], list[int]] = {}  # size: how many, first line
    with contextlib.ExitStack() as stack:
        memory = stack.enter_context(_Journal(journal))
        pool = stack.enter_context(ThreadPoolExecutor(Settings(threads=threads).usable_threads()))
        for done, (number, (size, told)) in enumerate(
            _in_order(pool, memory, entries, look=look, away=away, missing=missing), 1
        ):
            for rule, text in told:
                yield RULES[rule].finding(number, text)
            if size is not None:
                sizes.setdefault(size, [0, number])[0] += 1
            if progress is not None:
                progress(done, total)
    yield from away.findings()
    yield from missing.findings()
    yield from _tell_sizes(sizes)


def _in_order(
    pool: ThreadPoolExecutor,
    memory: _Journal,
    entries: Iterable[tuple[int, Entry]],
    *,
    look: Look,
    away: _Away,
    missing: _Missing,
) -> Iterator[tuple[int, Looked]]:
    """Yield what was seen, in order; only a few images are ever waiting, so that memory stays small."""
    waiting: deque[tuple[int, str, Future[Looked] | Looked]] = deque()

    def next_one() -> tuple[int, Looked]:
        number, key, seen = waiting.popleft()
        if isinstance(seen, Future):
            seen = seen.result()
            memory.write(key, seen)
        return number, seen

    try:
        for number, entry in entries:
            mask = entry.mask.location if entry.mask is not None and entry.mask.colours else None
            here = [place for place in (entry.location, mask) if place is not None and _is_here(place)]
            for place, what in ((entry.location, "image"), (mask, "mask")):
                if place is not None and place not in here:
                    (missing if is_local(place) else away).add(number, place, what)
            if entry.location in here:
                key = _key(entry, mask if mask in here else None, look)
                known = memory.known.get(key)
                waiting.append((number, key, known or pool.submit(_look, entry, look=look, mask=mask in here)))
            else:
                waiting.append((number, "", (None, [])))
            if len(waiting) > 64:
                yield next_one()
        while waiting:
            yield next_one()
    finally:
        for _, _, seen in waiting:
            if isinstance(seen, Future):
                seen.cancel()


def _is_here(place: str) -> bool:
    return is_inline(place) or is_there(place)


# One image and its mask


def _look(entry: Entry, *, look: Look, mask: bool) -> Looked:
    try:
        facts = probe(entry.location, whole=look == "whole")
    except VisionError as error:
        return None, [("unreadable-image", str(error))]
    told = list(_odd_facts(entry, facts))
    if mask:
        told += _odd_mask(entry, (facts.width, facts.height))
    return (facts.width, facts.height), told


def _odd_facts(entry: Entry, facts: ImageFacts) -> Iterator[tuple[str, str]]:
    kind = "JPEG" if facts.format == "MPO" else facts.format  # several JPEG in one file, as some phones write
    name = entry.source if len(entry.source) < 200 else entry.source[:60] + "..."
    if kind not in LOOKOUT.formats:
        yield "other-format", f"{name} is {kind}; Lookout took {' and '.join(LOOKOUT.formats)}."
    promised = SUFFIXES.get(Path(entry.location).suffix.lower()) if not is_inline(entry.location) else None
    if promised not in (None, kind):
        yield "wrong-suffix", f"{name} is named as {promised}, but is {kind}."
    if not (LOOKOUT.min_side <= min(facts.width, facts.height) and max(facts.width, facts.height) <= LOOKOUT.max_side):
        size = f"{facts.width}x{facts.height}"
        yield "odd-size", f"{name} is {size}; Lookout took sides of {LOOKOUT.min_side} to {LOOKOUT.max_side}."
    if facts.bytes > LOOKOUT.max_image_bytes:
        yield "large-file", f"{name} has {facts.bytes:,} bytes; Lookout took {LOOKOUT.max_image_bytes:,}."


def _odd_mask(entry: Entry, size: tuple[int, int]) -> Iterator[tuple[str, str]]:
    ref = entry.mask
    assert ref is not None
    name = ref.uri if len(ref.uri) < 200 else ref.uri[:60] + "..."
    try:
        facts = probe(ref.location)
        if facts.format != "PNG":
            yield "mask-no-png", f"The mask {name} is {facts.format}, not PNG."
        pixels = mask_pixels(ref)
        mask = Mask.from_pixels(pixels, ref.colours)
        others, share = unlisted_colours(pixels, ref.colours.values())
    except VisionError as error:
        yield "bad-mask", str(error)
        return
    if mask.size != size and mask.types:
        painted = f"{mask.size[0]}x{mask.size[1]}"
        yield "mask-size", f"The mask {name} is {painted}, its image {size[0]}x{size[1]}; they must agree."
    if others:
        listed = ", ".join(others[:4]) + (", ..." if len(others) > 4 else "")
        many = f"{len(others):,} colour{'s' * (len(others) != 1)}"
        text = f"{name} has {many} that its map does not list, on {share:.2%} of it: {listed}."
        yield "mask-colours", text.replace("%", " %")
    if not mask.types:
        yield "empty-mask", f"No pixel of {name} has one of the colours {', '.join(ref.colours.values())}."


# What is told once for many lines


@dataclass
class _Count:
    """Count images and masks of one place; remember the first."""

    line: int
    example: str
    kinds: Counter[str] = field(default_factory=Counter)
    folders: int = 1

    def __str__(self) -> str:
        return " and ".join(f"{n:,} {kind}{'s' * (n != 1)}" for kind, n in self.kinds.items())


class _Away:
    """Gather what lies on other machines: a place for each bucket, the longest folder that all of it shares."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[_Count, list[str]]] = {}

    def add(self, number: int, place: str, what: str) -> None:
        parts = place.split("/")
        count, shared = self._found.setdefault("/".join(parts[:3]), (_Count(number, place), parts[:-1]))
        same = (mine == other for mine, other in zip(shared, parts, strict=False))
        del shared[next((i for i, equal in enumerate(same) if not equal), min(len(shared), len(parts) - 1)) :]
        count.kinds[what] += 1

    def findings(self) -> Iterator[Finding]:
        for count, shared in self._found.values():
            prefix = "/".join(shared)
            verb = "lie" if sum(count.kinds.values()) > 1 else "lies"
            yield RULES["not-local"].finding(
                count.line,
                f"{count} {verb} at {prefix}, which was not looked at.",
                f'say where they are on this machine: images={{"{prefix}": "folder/"}}',
            )


class _Missing:
    """Gather what is not where the lines say: a place for each folder, or the first folder that is not there."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], _Count] = {}
        self._roots: dict[str, str] = {}

    def add(self, number: int, place: str, what: str) -> None:
        folder = os.path.dirname(str(local_path(place))) or "."
        if folder not in self._roots:
            self._roots[folder] = _first_missing(folder)
        key = self._roots[folder], "image" if what == "image" else "mask"
        self._found.setdefault(key, _Count(number, place)).kinds[what] += 1

    def findings(self) -> Iterator[Finding]:
        for (folder, what), count in self._together():
            many = sum(count.kinds.values()) > 1
            name = f"{os.path.basename(count.example)}{' and others' if many else ''}"
            there = os.path.isdir(folder)
            where = f"not in {folder or '.'}" if there else f"below {folder}, for there is no such folder"
            if count.folders > 1:
                where = f"in {count.folders:,} folders of {os.path.dirname(folder) or '.'} that are not there"
            not_there = "" if there else "cannot be "
            verb = ("are " if many else "is ") if there else ""
            yield RULES[f"missing-{what}"].finding(count.line, f"{count} {verb}{not_there}{where}: {name}.")

    def _together(self) -> Iterator[tuple[tuple[str, str], _Count]]:
        """Yield what is missing; of one folder that lacks many, as one folder an image makes it, all at once."""
        lacking: dict[tuple[str, str, bool], list[tuple[str, str]]] = {}
        for folder, what in self._found:
            there = os.path.isdir(folder)
            lacking.setdefault((folder if there else os.path.dirname(folder), what, there), []).append((folder, what))
        for keys in lacking.values():
            if len(keys) <= _FEW:
                yield from ((key, self._found[key]) for key in keys)
                continue
            kinds: Counter[str] = Counter()
            for key in keys:
                kinds.update(self._found[key].kinds)
            first = self._found[keys[0]]
            yield keys[0], _Count(first.line, first.example, kinds, len(keys))


_FEW = 5
"""So many folders that are missing in one are told one by one."""


def _first_missing(folder: str) -> str:
    """Return the folder if it is there, else the highest of its parents that is not."""
    missing = folder
    while missing and not os.path.isdir(folder or "."):
        missing, folder = folder, os.path.dirname(folder)
    return missing


def _tell_sizes(sizes: dict[tuple[int, int], list[int]]) -> Iterator[Finding]:
    if len(sizes) < 2:
        return
    usual = max(sizes, key=lambda size: sizes[size][0])
    total = sum(count for count, _ in sizes.values())
    first = min(line for size, (_, line) in sizes.items() if size != usual)
    odd = total - sizes[usual][0]
    many = f"{odd:,} of {total:,} images {'is' if odd == 1 else 'are'}"
    text = f"{many} not {usual[0]}x{usual[1]} like most; Lookout wanted one size."
    yield RULES["sizes-differ"].finding(first, text)


# What was seen before


def _key(entry: Entry, mask: str | None, look: Look) -> str:
    """Name an image and its mask so that a change of either, or of the map, is another name."""
    colours = list(entry.mask.colours.items()) if mask is not None and entry.mask is not None else []
    return json.dumps([look, *_stamp(entry.location), *(_stamp(mask) if mask else ()), colours])


def _stamp(place: str) -> tuple[str, int, int]:
    if is_inline(place):
        return place, len(place), 0
    try:
        facts = local_path(place).stat()
    except OSError:  # gone since, or not to be asked: reading it says why
        return place, -1, -1
    return place, facts.st_size, facts.st_mtime_ns


class _Journal:
    """Remember in a file what was seen, one JSON line an image; what a kill left half there is passed over."""

    def __init__(self, path: str | os.PathLike[str] | None) -> None:
        self.known: dict[str, Looked] = {}
        self._path = path
        self._file: IO[str] | None = None

    def __enter__(self) -> Self:
        if self._path is not None:
            with self._clear_errors():
                self._open(local_path(self._path))
        return self

    @contextlib.contextmanager
    def _clear_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise Failed(
                f"The journal {self._path} cannot be kept: {error.strerror or error}. Name another file, or none."
            ) from error

    def _open(self, path: Path) -> None:
        if path.exists():
            if not path.is_file() and not path.is_dir():
                raise Invalid(f"{path} is a pipe or a device, no journal of a check; name another file.")
            with path.open(encoding="utf-8", errors="replace") as file:
                for line in file:
                    with contextlib.suppress(ValueError, TypeError, KeyError):
                        data = json.loads(line)
                        size = data["size"] and (int(data["size"][0]), int(data["size"][1]))
                        odd = [(RULES[rule].id, str(text)) for rule, text in data["odd"]]
                        self.known[str(data["key"])] = size, odd
            if not self.known and path.stat().st_size:
                raise Invalid(f"{path} is no journal of a check; name another file.")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a", encoding="utf-8")
        if self.known:
            self._file.write("\n")  # after a line that was cut off

    def __exit__(self, *error: object) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):  # each line was written; what could not be was told
                self._file.close()

    def write(self, key: str, seen: Looked) -> None:
        if self._file is not None:
            with self._clear_errors():
                self._file.write(json.dumps({"key": key, "size": seen[0], "odd": seen[1]}) + "\n")
                self._file.flush()
