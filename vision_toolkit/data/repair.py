"""Repair a manifest: a plan that can be read first, then a new file. The old one is never touched.

Lines that no rule touches are written to the letter, keys that nobody knows stay in their place, and what is taken out
goes to a file of rejected lines beside the new one.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vision_toolkit.core.entry import Entry, Finding
from vision_toolkit.core.errors import Conflict, Invalid
from vision_toolkit.core.settings import Settings
from vision_toolkit.data.check import SetCheck, batched
from vision_toolkit.data.jsonlines import read_line, write_line
from vision_toolkit.data.locate import Images
from vision_toolkit.data.placing import placed_below
from vision_toolkit.data.remedies import REMEDIES, repair_line
from vision_toolkit.data.repair_files import odd_files, with_new_mask
from vision_toolkit.data.repair_lines import Rejected, SourceLines
from vision_toolkit.data.rules import RULES
from vision_toolkit.data.storage import is_local, local_path, new_file
from vision_toolkit.data.usual import Bulk, Scanner

if TYPE_CHECKING:
    from pandas import DataFrame

    from vision_toolkit.data.manifest import Manifest

__all__ = ["REPAIRABLE", "RepairPlan", "Step", "plan_repair"]

_FILES = ("mask-no-png", "mask-colours")
_IMAGES = ("missing-image", "unreadable-image")

REPAIRABLE = tuple(rule.id for rule in RULES.values() if rule.repaired != "by hand")
"""Ids of the rules that a repair knows to mend: by itself, or when it is asked to."""


@dataclass(frozen=True, slots=True)
class Step:
    """Hold what a plan does to one line.

    Parameters
    ----------
    line
        its number in the old file, from 1.
    rules
        why.
    before, after
        the line; ``after`` is None where it is taken out.

    Examples
    --------
    >>> Step(3, ("blank-line",), "", None).after is None
    True
    """

    line: int
    rules: tuple[str, ...]
    before: str
    after: str | None


def plan_repair(
    source: str | os.PathLike[str] | Manifest,
    *,
    rules: Iterable[str] = (),
    skip: Iterable[str] = (),
    images: Images | None = None,
    threads: int | None = None,
) -> RepairPlan:
    r"""Plan a repair of a manifest; nothing is written.

    Parameters
    ----------
    source
        path or URI of a manifest of any size, or one in memory.
    rules
        ids of rules to repair beside those that are always: what decides something is only done when it is named.
        ``"missing-image"`` and ``"unreadable-image"`` take such lines out; ``"mask-no-png"`` and ``"mask-colours"``
        write new masks, in which each pixel takes the nearest colour of the map.
    skip
        ids of rules to leave alone.
    images
        where the images lie, if not where the lines (or the entries in memory) say; only the four rules above look
        at them.
    threads
        how many images are looked at at once; None = as many as this process may use.

    Raises
    ------
    Invalid
        if a rule does not exist, or cannot be repaired.
    NotFound
        if there is no such file.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "x.manifest")
    >>> _ = path.write_text('{"source-ref": "1.png"}\n\n{"source-ref": "1.png"}\n')
    >>> plan = plan_repair(path)
    >>> print(plan)
    Repair of x.manifest: 1 line stays, 0 change, 2 are taken out.
      blank-line          1 line   remove it
      source-twice        1 line   keep the first of the lines
    >>> plan.write(path.with_name("clean.manifest")).read_text()
    '{"source-ref": "1.png"}\n'
    """
    asked, skipped = _known(rules), _known(skip)
    always = {rule.id for rule in RULES.values() if rule.repaired == "always"}
    plan = RepairPlan(source, frozenset((always | asked) - skipped), images)
    plan.make(threads)
    return plan


def _known(names: Iterable[str]) -> set[str]:
    given = {names} if isinstance(names, str) else set(names)
    for name in sorted(given):
        if name not in RULES:
            raise Invalid(f"There is no rule {name!r}; a repair knows: {', '.join(REPAIRABLE)}.")
        if name not in REPAIRABLE:
            what = (RULES[name].repair or RULES[name].why).rstrip(".")
            raise Invalid(f"{name!r} needs a person: {what}. A repair cannot do it.")
    return given


@dataclass
class RepairPlan:
    """Hold what a repair would do; :func:`plan_repair` makes it, :meth:`write` does it.

    Parameters
    ----------
    source
        the manifest.
    rules
        ids of the rules to repair.
    images
        where the images lie.
    """

    source: str | os.PathLike[str] | Manifest
    rules: frozenset[str]
    images: Images | None = None
    counts: Counter[str] = field(default_factory=Counter)
    """How many lines each rule changes or takes out."""
    left: Counter[str] = field(default_factory=Counter)
    """What is odd about the lines afterwards: rule to number of lines."""
    examples: dict[str, list[Step]] = field(default_factory=dict)
    """The first few lines of each rule."""
    kept: int = 0
    changed: int = 0
    removed: int = 0
    _out: dict[int, str] = field(default_factory=dict, repr=False)
    _masks: dict[int, tuple[str, ...]] = field(default_factory=dict, repr=False)
    _edited: bytearray = field(default_factory=bytearray, repr=False)  # of each line, whether it changes
    _relative: bool = field(default=False, repr=False)
    _stamp: tuple[int, int] | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """Return what the manifest is called."""
        return (
            os.path.basename(os.fspath(self.source)) if isinstance(self.source, str | os.PathLike) else self.source.name
        )

    def __bool__(self) -> bool:
        return bool(self.counts)

    # ---------------------------------------------------------------- planning

    def make(self, threads: int | None) -> None:
        """Go over the lines once, and over the images if a rule asks for it."""
        self._stamp = self._stamped()
        scan = Scanner()
        with ExitStack() as stack:
            lines = SourceLines(self.source, stack)
            whole = SetCheck(lines.at)
            for batch in batched(iter(lines), 128):
                bulk = self._bulk([text for _, text in batch], scan)
                if bulk is not None:
                    whole.add_bulk(batch[0][0], bulk)
                    self.kept += len(batch)
                    self._edited.extend(bytes(len(batch)))
                    self._relative = self._relative or any(map(_is_relative, [*bulk.sources, *bulk.uris]))
                    continue
                for number, text in batch:
                    step, line = self._step(number, text, scan)
                    self._note(step)
                    self._edited.append(step is not None and step.after is not None)
                    if line is not None:
                        whole.add(number, line)
                        self._relative |= _is_relative(line.source) or _is_relative(line.mask_uri)
            self._plan_copies(whole)
            if self.rules & {*_FILES, *_IMAGES}:
                self._plan_images(lines, threads)
            for finding in lines.findings():
                if finding.rule in self.rules:
                    self.counts[finding.rule] = max(1, self.counts[finding.rule])

    def _bulk(self, texts: list[bytes], scan: Scanner) -> Bulk | None:
        """Return what many lines say if all of them stay as they are, else None."""
        if "names-differ" in self.rules or any(text.endswith(b"\r") for text in texts):
            return None
        return scan.bulk(texts)

    def _step(self, number: int, text: bytes, scan: Scanner, *, count: bool = True) -> tuple[Step | None, Any]:
        """Return what happens to a line (None where it stays as it is), and what it says then."""
        if not text.strip():
            drop = "blank-line" in self.rules
            return (Step(number, ("blank-line",), text.decode("utf-8", "replace"), None) if drop else None), None
        if not text.endswith(b"\r") and "names-differ" not in self.rules:
            findings: list[Finding] = []
            line = scan(text, number, findings.append)
            if not findings and line is not None:
                return None, line
        new, done, line, left = repair_line(text, number, self.rules)
        if count:
            self.left.update({finding.rule for finding in left})
        if new == text:
            return None, line
        shown = text[:2000].decode("utf-8", "replace")
        return Step(number, done, shown, None if new is None else new.decode("utf-8")), line

    def _note(self, step: Step | None) -> None:
        if step is None:
            self.kept += 1
            return
        if step.after is None:
            self.removed += 1
        else:
            self.changed += 1
        for rule in step.rules:
            self.counts[rule] += 1
            examples = self.examples.setdefault(rule, [])
            if len(examples) < 3:
                examples.append(step)

    def _take_out(self, number: int, rule: str, text: str) -> None:
        if number not in self._out:
            self._out[number] = rule
            if self._edited[number - 1]:
                self.changed -= 1
            else:
                self.kept -= 1
            self._note(Step(number, (rule,), text, None))

    def _plan_copies(self, whole: SetCheck) -> None:
        for numbers, same in whole.copies() if len(whole) else ():
            if same and "source-twice" in self.rules:
                for number in numbers[1:].tolist():
                    self._take_out(number, "source-twice", f"a copy of line {numbers[0]}")
            elif not same and "source-conflict" in self.rules:
                for number in numbers[:-1].tolist():
                    self._take_out(number, "source-conflict", f"line {numbers[-1]} comes later")
            else:
                self.left["source-twice" if same else "source-conflict"] += 1

    def _plan_images(self, lines: SourceLines, threads: int | None) -> None:
        place = lines.place(self.images)

        def look(item: tuple[int, bytes]) -> tuple[int, list[str]]:
            number, text = item
            if number in self._out or not text.strip():
                return number, []
            new = repair_line(text, number, self.rules)[0]
            entry = read_line(new.decode("utf-8", "surrogateescape"))[0] if new is not None else None
            return number, list(odd_files(place(number, entry), self.rules)) if entry is not None else []

        with ThreadPoolExecutor(Settings(threads=threads).usable_threads()) as pool:
            items = iter(lines)
            while batch := list(islice(items, 64)):
                for (number, text), (_, odd) in zip(batch, pool.map(look, batch), strict=True):
                    out = next((rule for rule in odd if rule in _IMAGES), None)
                    if out:
                        self._take_out(number, out, text[:2000].decode("utf-8", "replace"))
                    elif odd:
                        self._masks[number] = tuple(odd)
                        self.counts.update(odd)

    def _stamped(self) -> tuple[int, int] | None:
        if not isinstance(self.source, str | os.PathLike) or not is_local(self.source):
            return None
        try:
            facts = local_path(self.source).stat()
        except OSError:
            return None  # opening it says why
        return facts.st_size, facts.st_mtime_ns

    # ---------------------------------------------------------------- doing

    def write(self, path: str | os.PathLike[str], *, overwrite: bool = False, relocate: bool = False) -> Path:
        """Write the repaired manifest; what is taken out goes to ``NAME.rejected`` beside it, blank lines excepted.

        Parameters
        ----------
        path
            of the new file.
        overwrite
            replace a file that is there; never the old manifest itself.
        relocate
            the new file lies in another folder: rewrite relative places so that they lead to the same files.

        Raises
        ------
        Conflict
            if a file is there already, or the old manifest was changed since the plan was made.
        Invalid
            if relative places would lead nowhere from the new folder, and ``relocate`` is not set.
        """
        target = local_path(path).absolute()
        self._check_target(target, relocate=relocate)
        rejected = target.with_name(f"{target.name}.rejected")
        if os.path.lexists(rejected) and not overwrite:
            raise Conflict(f"{rejected} exists; give another name or overwrite=True.")
        with ExitStack() as stack:
            lines = SourceLines(self.source, stack)
            file = stack.enter_context(new_file(target, overwrite=overwrite))
            lines.give_files(target, overwrite=overwrite)
            out = Rejected(rejected, stack)
            place = lines.place(self.images)
            scan = Scanner()
            last = b""
            for batch in batched(iter(lines), 128):
                texts = [text for _, text in batch]
                if not lines.in_memory and not (relocate and self._relative) and self._all_stay(batch, texts, scan):
                    file.write(last + b"\n".join(texts))
                    last = b"\n"
                    continue
                for number, text in batch:
                    new = self._new_text(number, text, scan)
                    if new is None:
                        if text.strip():
                            out.write(lines, text)
                        continue
                    moves = (relocate and self._relative) or lines.is_new(number)
                    if number in self._masks or moves:
                        new = self._placed(number, new, place, target, moves=moves, overwrite=overwrite)
                    file.write(last)
                    lines.copy(new, file)
                    last = b"\n"
            if last and (lines.final_newline or "no-final-newline" in self.rules):
                file.write(b"\n")
        return local_path(path)

    def _all_stay(self, batch: list[tuple[int, bytes]], texts: list[bytes], scan: Scanner) -> bool:
        if (self._out or self._masks) and any(n in self._out or n in self._masks for n, _ in batch):
            return False
        return self._bulk(texts, scan) is not None

    def _new_text(self, number: int, text: bytes, scan: Scanner) -> bytes | None:
        """Return a line as it will be, or None where it is taken out."""
        if number in self._out:
            return None
        step, _ = self._step(number, text, scan, count=False)  # it was counted when the plan was made
        if step is None:
            return text
        return None if step.after is None else step.after.encode("utf-8")

    def _check_target(self, target: Path, *, relocate: bool) -> None:
        if not isinstance(self.source, str | os.PathLike):
            return
        if is_local(self.source):
            old = local_path(self.source).absolute()
            for new in (target, f"{target}.rejected"):
                if os.path.realpath(old) == os.path.realpath(new):
                    raise Conflict(f"{new} is the old manifest, which a repair never touches; give another name.")
            if self._stamped() != self._stamp:
                raise Conflict(f"{old} was changed since the plan was made; plan the repair again.")
            beside = os.path.realpath(old.parent) == os.path.realpath(target.parent)
        else:
            beside = False
        if self._relative and not beside and not relocate:
            raise Invalid(
                f"{self.name} names images by places relative to its folder, which would lead nowhere from "
                f"{target.parent}. Write the new file beside the old one, or relocate=True rewrites those places."
            )

    def _placed(self, number: int, text: bytes, place: Any, target: Path, *, moves: bool, overwrite: bool) -> bytes:
        entry = read_line(text.decode("utf-8", "surrogateescape"))[0]
        if entry is None:
            return text
        entry = place(number, entry)
        if number in self._masks and entry.mask is not None:
            entry = with_new_mask(entry, number, target, overwrite=overwrite)
        if moves:
            entry = placed_below(entry, target.parent, relocate=True)
        line = write_line(entry)
        if "f03a-in-key" in self.rules:  # files on this disk may be spelled so; both spellings are looked for
            line = line.replace("\uf03a", ":").replace("\\uf03a", ":")
        return line.encode("utf-8", "surrogateescape")

    def manifest(self) -> Manifest:
        """Return the repaired manifest in memory; masks that need a new file stay as they are.

        Examples
        --------
        >>> from vision_toolkit.data import Manifest
        >>> twice = Manifest([Entry("1.png"), Entry("1.png")])
        >>> plan_repair(twice).manifest()
        Manifest(1 image: 1 unlabelled)
        """
        from vision_toolkit.data.manifest import Manifest

        contents: list[Entry | str] = []
        with ExitStack() as stack:
            lines = SourceLines(self.source, stack)
            place = lines.place(self.images)
            scan = Scanner()
            for number, text in lines:
                new = self._new_text(number, text, scan)
                if new is not None:
                    said = new.decode("utf-8", "surrogateescape")
                    entry = read_line(said)[0] if said.strip() else None
                    contents.append(said if entry is None else place(number, entry))
        return Manifest.from_lines(contents, name=self.name)

    # ---------------------------------------------------------------- showing

    def __str__(self) -> str:
        stays = f"{self.kept:,} line{'s stay' if self.kept != 1 else ' stays'}"
        out = f"{self.removed:,} {'are' if self.removed != 1 else 'is'} taken out"
        rows = [f"Repair of {self.name}: {stays}, {self.changed:,} change, {out}."]
        for rule, count in self.counts.items():
            lines = f"{count:,} line{'s' * (count != 1)}"
            rows.append(f"  {rule:<18}  {lines:<8} {RULES[rule].does}")
        if self.left:
            rows.append("Left as it is:")
            for rule, count in self.left.items():
                asked = RULES[rule].repaired == "asked"
                can = f"if {rule} is named: {RULES[rule].does}" if asked else RULES[rule].repair or RULES[rule].why
                lines = f"{count:,} line{'s' * (count != 1)}"
                rows.append(f"  {rule:<18}  {lines:<8} {can}")
        return "\n".join(rows)

    __repr__ = __str__

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain values, for JSON."""
        steps = [
            {"line": step.line, "rules": list(step.rules), "before": step.before, "after": step.after}
            for examples in self.examples.values()
            for step in examples
        ]
        numbers = {"kept": self.kept, "changed": self.changed, "removed": self.removed}
        return {**numbers, "repaired": dict(self.counts), "left": dict(self.left), "examples": steps}

    def to_frame(self) -> DataFrame:
        """Return a pandas table, one row a rule: rule, lines, what is done, an example before and after."""
        import pandas as pd

        rows = []
        for rule, count in self.counts.items():
            steps = self.examples.get(rule, [])
            example = (steps[0].before, steps[0].after) if steps else (None, None)
            rows.append((rule, count, RULES[rule].does, *example))
        return pd.DataFrame(rows, columns=["rule", "lines", "repair", "before", "after"])

    def _repr_html_(self) -> str:
        from html import escape

        rows = "".join(
            f"<tr><td style='text-align:left'>{escape(rule)}</td><td>{count:,}</td>"
            f"<td style='text-align:left'>{escape(RULES[rule].does)}</td></tr>"
            for rule, count in self.counts.items()
        )
        left = ", ".join(f"{escape(rule)} {count:,}" for rule, count in self.left.items())
        return (
            f"<table><caption>{escape(str(self).splitlines()[0])}</caption><tr><th>rule</th><th>lines</th>"
            f"<th>repair</th></tr>{rows}</table>" + (f"<p>Left as it is: {left}</p>" if left else "")
        )


def _is_relative(uri: str | None) -> bool:
    return uri is not None and is_local(uri) and not uri.startswith("file://") and not os.path.isabs(uri)


assert {*REMEDIES} <= {*REPAIRABLE}
