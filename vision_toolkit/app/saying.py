"""What the command line says: lines for people, JSON for programs, a bar while somebody waits."""

# ruff: noqa: T201 - this is what prints

from __future__ import annotations

import argparse
import contextlib
import json
import re
import shlex
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import accumulate
from typing import IO, Any

from vision_toolkit.core.entry import Finding

__all__ = [
    "Said",
    "Share",
    "as_typed",
    "bar",
    "complain",
    "cut",
    "first",
    "most_of",
    "next_command",
    "numbers",
    "print_json",
    "safely",
    "say",
    "some",
    "total",
]

Share = Callable[[float], None]
"""Told how much is done, from 0 to 1."""

# What the library calls its arguments, and how they are typed here. The order matters.
_TYPED = (
    (r'(?:Manifest\.read\(\.\.\., )?images=\{"([^"]*)": "([^"]*)"\}\)?', r"--images \1=\2"),
    (r"images=(['\"])(copy|link|refer)\1 or (['\"])(copy|link|refer)\3", r"--\2 or --\4"),
    (r"\bimages=(['\"])(copy|link|refer)\1", r"--\2"),
    (r"\b(images|weights|task)=(['\"])(.*?)\2", r"--\1 \3"),
    (r"\bclasses=\{'([^']*)': '([^']*)'\}", r"--class \1=\2"),
    (r"read_dataset\(\.\.\., paint=True\)", "--paint"),
    (r"\bformat=(['\"])(.*?)\1", r"--from \2"),
    (r"\bformat=\.\.\.", "--from FORMAT"),
    (r"\bif ([\w-]+) is named:", r"with --rule \1:"),
    (r"\b(overwrite|relocate|paint)=True\b", r"--\1"),
    (r"\blabel_from_regions=True\b", "--label-from-regions"),
    (r"\bgroups=None\b", "--groups none"),
    (r"\b(images|columns)= is\b", r"--\1 is"),
    (r"\bleave images= out\b", "leave --images out"),
    (r"--columns\b", "--column"),
    (r"(say where it is .*) or leave it out\.", r"\1 or leave such images out with --skip-missing."),
)


def as_typed(text: str) -> str:
    """Say the library's arguments as they are typed here.

    Examples
    --------
    >>> as_typed("exists; give another name or overwrite=True.")
    'exists; give another name or --overwrite.'
    >>> as_typed("say which: format='coco'."), as_typed("say what it means: classes={'good': 'normal'}")
    ('say which: --from coco.', 'say what it means: --class good=normal')
    """
    for pattern, typed in _TYPED:
        text = re.sub(pattern, typed, text)
    return text


def some(n: int, what: str) -> str:
    """Return a number with its noun.

    Examples
    --------
    >>> some(1, "error"), some(2000, "error")
    ('1 error', '2,000 errors')
    """
    return f"{n:,} {what}{'s' * (n != 1)}"


def numbers(counts: Mapping[str, int], types: Sequence[str]) -> str:
    """Say how many images there are, as ``Manifest.counts`` counts them.

    Examples
    --------
    >>> numbers({"total": 2, "normal": 1, "anomaly": 1, "unlabelled": 0, "with_mask": 1}, ["crack"])
    '2 images: 1 normal, 1 anomaly, 1 with masks of 1 type'
    """
    parts = [f"{counts[label]:,} {label}" for label in ("normal", "anomaly", "unlabelled") if counts[label]]
    parts += [f"{counts['with_mask']:,} with masks of {some(len(types), 'type')}"] if counts["with_mask"] else []
    return f"{some(counts['total'], 'image')}{': ' * bool(parts)}{', '.join(parts)}"


def next_command(*words: object) -> str:
    """Return a command as it can be typed.

    Examples
    --------
    >>> next_command("repair", "my parts.manifest")
    "vision-toolkit repair 'my parts.manifest'"
    """
    return shlex.join(["vision-toolkit", *map(str, words)])


def most_of(options: argparse.Namespace, usual: int) -> int | None:
    """Return how many of each kind to say: for programs all, unless they ask for fewer."""
    if options.most is not None:
        return int(options.most)
    return None if options.json else usual


def first(things: Sequence[object], most: int | None) -> Iterator[str]:
    """Yield the first few things, and how many more there are.

    Examples
    --------
    >>> list(first(["a", "b", "c"], 1))
    ['a', '... and 2 more']
    """
    yield from (str(thing) for thing in things[:most])
    if most is not None and len(things) > most:
        yield f"... and {len(things) - most:,} more"


def cut(text: str, start: int = 0, end: int | None = None, *, most: int = 110) -> str:
    r"""Return a part of a line, shortened in its middle, in characters that a terminal can show.

    Examples
    --------
    >>> cut("0123456789", 2, 9), cut("\x00" + "a" * 200, most=4)
    ('...2345678...', ' ... aa')
    """
    end = len(text) if end is None else min(max(start, end), len(text))
    shown = [char if char.isprintable() else repr(char)[1:-1] for char in text[start:end]]
    if sum(map(len, shown)) > most:
        shown = [*_within(shown, most // 2), " ... ", *_within(shown[::-1], most // 2)[::-1]]
    return f"{'...' * (start > 0)}{''.join(shown)}{'...' * (end < len(text))}"


def _within(pieces: Sequence[str], most: int) -> list[str]:
    """Return the first pieces that have at most so many characters together."""
    return [piece for piece, length in zip(pieces, accumulate(map(len, pieces)), strict=True) if length <= most]


@dataclass
class Said:
    """Take findings one by one, and hold no more of them than are said: the others are counted, or go to a file.

    Parameters
    ----------
    most
        how many are said of each rule; None = all.
    store
        where findings go, one JSON line each, instead of into memory.
    """

    most: int | None
    store: IO[str] | None = None
    counts: Counter[str] = field(default_factory=Counter)
    severities: Counter[str] = field(default_factory=Counter)
    kept: list[Finding] = field(default_factory=list)

    def take(self, findings: Iterable[Finding], **where: str) -> None:
        """Take findings; ``where`` is noted with each of them in the file."""
        for finding in findings:
            self.counts[finding.rule] += 1
            self.severities[finding.severity] += 1
            if self.most is not None and self.counts[finding.rule] > self.most:
                continue
            if self.store is None:
                self.kept.append(finding)
            else:
                self.store.write(json.dumps(asdict(finding) | where) + "\n")

    @property
    def errors(self) -> int:
        """Return how many are errors."""
        return self.severities["error"]

    def lines(self, *, by_line: bool = True) -> Iterator[str]:
        """Yield what is said of them: those of the lines in order, then how many more there are of each rule."""
        kept = sorted(self.kept, key=lambda finding: finding.line or 1 << 60) if by_line else self.kept
        yield from (as_typed(str(finding)) for finding in kept)
        shown = Counter(finding.rule for finding in kept)
        for rule, count in self.counts.items():
            if count > shown[rule]:
                yield f"... and {count - shown[rule]:,} more of [{rule}]"


def total(said: Said) -> str:
    """Say how many findings there are."""
    others = sum(said.counts.values()) - said.errors
    return f"{some(said.errors, 'error')}, {some(others, 'other finding')}." if said.counts else "Nothing odd."


def say(*lines: str, end: str = "\n") -> None:
    """Say lines on standard output."""
    for line in lines:
        print(line, end=end)


def print_json(facts: Any) -> None:
    """Print one value as JSON."""
    print(json.dumps(facts, indent=1, allow_nan=False))


def complain(text: str) -> None:
    """Say something on standard error."""
    print(as_typed(text), file=sys.stderr, flush=True)


@contextlib.contextmanager
def safely() -> Iterator[None]:
    """Write what the terminal's encoding cannot say as an escape: names of files hold anything."""
    streams = [stream for stream in (sys.stdout, sys.stderr) if hasattr(stream, "reconfigure")]
    before = [stream.errors for stream in streams]
    for stream in streams:
        stream.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        for stream, errors in zip(streams, before, strict=True):
            with contextlib.suppress(OSError, ValueError):
                stream.reconfigure(errors=errors)


@contextlib.contextmanager
def bar(what: str, options: argparse.Namespace) -> Iterator[Share]:
    """Yield what to tell a share from 0 to 1: a bar where somebody watches, else nothing."""
    if options.json or not sys.stderr.isatty():
        yield lambda share: None
        return
    from tqdm import tqdm

    form = "{desc:<28} {percentage:3.0f} % |{bar}| {elapsed}"
    with tqdm(total=100, desc=what, bar_format=form, leave=False) as drawn:
        yield lambda share: (drawn.update(max(0, round(100 * share) - drawn.n)), None)[1]
