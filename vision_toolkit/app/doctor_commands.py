"""The commands that heal a manifest: ``vision-toolkit check | repair``."""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING

import vision_toolkit as vt
from vision_toolkit.app.opening import (
    Opened,
    after_manifests,
    carried,
    check_target,
    clean_name,
    is_missing,
    kind_of,
    open_data,
    places,
    same_file,
)
from vision_toolkit.app.saying import Said, as_typed, bar, cut, most_of, next_command, numbers, print_json, say, total
from vision_toolkit.core.errors import Conflict, Invalid
from vision_toolkit.data.rules import RULES
from vision_toolkit.data.storage import is_local, local_path

if TYPE_CHECKING:
    from vision_toolkit.data.repair import RepairPlan

__all__ = ["check", "repair"]

_AROUND = 24
"""Characters shown around what a repair changes."""


# ---------------------------------------------------------------- check


def check(options: argparse.Namespace) -> int:
    """Say what is odd; 1 if there are errors."""
    if options.rules:
        return _list_rules(options)
    if options.data is None:
        options.parser.error("the following arguments are required: data")
    kind = kind_of(options, options.data)
    with tempfile.SpooledTemporaryFile(max_size=1 << 23, mode="w+", encoding="utf-8") as store:
        said = Said(most_of(options, 5), store if options.json else None)
        if kind == "manifest" and not options.split:
            counts, types = _check_file(options, said)
            opened = None
        else:
            opened = open_data(options, options.data)
            counts, types = opened.whole.counts(), list(opened.whole.types)
            _check_parts(options, opened, said)
        if options.json:
            store.seek(0)
            _print_check(kind, counts, types, said, store)
            return 1 if said.errors else 0
    say(total(said), *_after_check(options, kind, said, opened))
    return 1 if said.errors else 0


def _check_file(options: argparse.Namespace, said: Said) -> tuple[dict[str, int], list[str]]:
    """Check a manifest line by line: its size does not matter."""
    counts, types = _counted(options.data)
    with bar("looking at images", options) as tell:
        said.take(
            vt.check_file(
                options.data,
                images=places(options),
                look=options.look,
                journal=options.journal,
                threads=options.threads,
                progress=lambda done, total: tell(done / total),
            )
        )
    if not options.json:
        say(f"{options.data}: {numbers(counts, types)}")
        say(*said.lines())
    return counts, types


def _counted(path: str) -> tuple[dict[str, int], list[str]]:
    """Count as ``Manifest.counts`` and ``Manifest.types`` do, without holding the lines."""
    from vision_toolkit.data.lines import LineFile
    from vision_toolkit.data.usual import Scanner

    counts = dict.fromkeys(("total", "normal", "anomaly", "unlabelled", "with_mask"), 0)
    types: dict[str, None] = {}
    scan = Scanner()
    with LineFile(path) as file:
        for number, text in enumerate(file, 1):
            line = scan(text, number, lambda finding: None) if text and not text.isspace() else None
            if line is None:
                continue
            counts["total"] += 1
            counts[line.label] += 1
            if line.colours:
                counts["with_mask"] += 1
                types |= dict.fromkeys(line.colours)
    return counts, list(types)


def _check_parts(options: argparse.Namespace, opened: Opened, said: Said) -> None:
    for split, part in opened.parts.items():
        with bar(f"looking at images {split}".strip(), options) as tell:
            found = part.check(
                look=options.look,
                journal=options.journal,
                threads=options.threads,
                progress=lambda done, total, tell=tell: tell(done / total),  # type: ignore[misc]
            )
        said.take(found, **({"split": split} if len(opened.parts) > 1 else {}))
        if not options.json:
            shown = Said(said.most)
            shown.take(found)
            name = f"{opened.text}, {split}" if split else opened.text
            say(f"{name}: {numbers(part.counts(), part.types)}")
            say(*shown.lines())


def _print_check(kind: str, counts: Mapping[str, int], types: list[str], said: Said, store: IO[str]) -> None:
    """Print as ``print_json`` would; the findings come one by one from where they were put."""
    facts = {"format": kind, "counts": counts, "types": types, "errors": said.errors, "rules": dict(said.counts)}
    head = json.dumps(facts, indent=1)
    say(f'{head[:-2]},\n "findings": [', end="")
    comma = ""
    for line in store:
        say(f"{comma}\n  {line.rstrip()}", end="")
        comma = ","
    say("\n ]\n}" if comma else "]\n}")


def _after_check(options: argparse.Namespace, kind: str, said: Said, opened: Opened | None) -> Iterator[str]:
    """Say what comes next: repair where a repair can do something, convert where this is no manifest yet, or train."""
    ready = sum(count for rule, count in said.counts.items() if RULES[rule].repaired == "always")
    asked = [rule for rule in said.counts if RULES[rule].repaired == "asked"]
    again = carried(options)
    if kind == "lookout":
        from vision_toolkit.data.formats.lookout import manifests_in

        files = [str(file) for file in manifests_in(local_path(options.data))]
        yield from after_manifests([file for file in files if options.split in (None, Path(file).stem)], again)
        return
    if kind not in ("bundled", "manifest", "folders"):
        if ready:
            yield f"{ready:,} of these can be repaired, once it is a manifest."
        yield f"Next: {next_command('convert', options.data, 'NEW', *_what_it_needs(opened), *again)}"
        return
    if kind == "manifest" and ready:
        new = clean_name(options.data)
        yield f"{ready:,} of these can be repaired: {next_command('repair', options.data, new, *again)}"
    if kind == "manifest" and asked:
        yield f"{'It repairs more' if ready else 'Some can be repaired'} if you ask for it:"
        yield from (f"  --rule {rule}: {RULES[rule].does}" for rule in asked)
    if not said.errors and not (kind == "manifest" and ready):
        yield f"Next: {next_command('train', options.data, *again, '--model', 'model')}"


def _what_it_needs(opened: Opened | None) -> list[str]:
    """Return the options of convert without which these data would be unlabelled, or lose their shapes."""
    entries = [entry for part in opened.parts.values() for entry in part] if opened else []
    words = []
    if any(entry.regions for entry in entries):
        if not any(entry.is_labelled for entry in entries):
            words.append("--label-from-regions")
        if not any(entry.mask for entry in entries):
            words.append("--paint")
    elif any(entry.mask for entry in entries) and not any(entry.is_labelled for entry in entries):
        words.append("--label-from-regions")
    if any(is_missing(entry) for entry in entries):
        words.append("--skip-missing")
    return words


def _list_rules(options: argparse.Namespace) -> int:
    if options.json:
        names = ("id", "severity", "about", "text", "why", "repair", "repaired")
        print_json([{name: getattr(rule, name) for name in names} for rule in RULES.values()])
        return 0
    for rule in RULES.values():
        by = {"always": "repaired", "asked": f"repaired with --rule {rule.id}", "by hand": ""}[rule.repaired]
        repair = as_typed(rule.repair) + (f" ({by})" if by else "")
        say(f"{rule.id:<19} {rule.severity:<8} {rule.text}" + (f" Repair: {repair}" if rule.repair else ""))
    return 0


# ---------------------------------------------------------------- repair


def repair(options: argparse.Namespace) -> int:
    """Show a plan; with NEW, carry it out."""
    if not is_local(options.data) or os.path.exists(options.data):
        kind = "a folder" if os.path.isdir(options.data) else kind_of(options, options.data)
        if kind != "manifest":
            raise Invalid(
                f"{options.data} is no manifest, but {kind}. Make one of it: "
                f"{next_command('convert', options.data, 'NEW')}"
            )
    if options.new is not None:
        if same_file(options.data, options.new):
            raise Conflict(f"{options.new} is the old manifest, which a repair never touches; give another name.")
        check_target(options.new, overwrite=options.overwrite)
    plan = vt.plan_repair(
        options.data, rules=options.rule, skip=options.skip, images=places(options), threads=options.threads
    )
    written = rejected = None
    if options.new is not None:
        written, rejected = _write_repair(plan, options)
    if options.json:
        print_json(plan.to_dict() | {"written": written, "rejected": rejected})
        return 0
    say(as_typed(str(plan)))
    _print_examples(plan)
    again = carried(options)
    if written is None:
        chosen = [f"--{name}={rule}" for name in ("rule", "skip") for rule in getattr(options, name)]
        command = next_command("repair", options.data, clean_name(options.data), *chosen, *again)
        say(f"Nothing was written. To do it: {command}" if plan else "Nothing to repair.")
        return 0
    say(f"Wrote {written}")
    if rejected is not None:
        say(f"What was taken out lies in {rejected}, line by line as it was.")
    say(f"Next: {next_command('train', written, *again, '--model', 'model')}")
    return 0


def _write_repair(plan: RepairPlan, options: argparse.Namespace) -> tuple[str, str | None]:
    target = local_path(options.new)
    rejected = target.with_name(f"{target.name}.rejected")
    before = rejected.stat() if rejected.exists() else None
    plan.write(options.new, overwrite=options.overwrite, relocate=options.relocate)
    after = rejected.stat() if rejected.exists() else None
    is_new = after is not None and (
        before is None or (after.st_ino, after.st_mtime_ns) != (before.st_ino, before.st_mtime_ns)
    )
    return str(options.new), str(rejected) if is_new else None


def _print_examples(plan: RepairPlan) -> None:
    """Show, of each rule, the first line that it changes: the part that differs."""
    shown: set[int] = set()
    for rule, steps in plan.examples.items():
        step = next((one for one in steps if one.line not in shown), None)
        if step is None or rule == "blank-line":
            continue
        shown.add(step.line)
        say(f"Line {step.line:,} ({', '.join(step.rules)}):")
        before, after = _difference(step.before, step.after)
        say(f"  - {before}")
        if step.after is not None:
            say(f"  + {after}")


def _difference(before: str, after: str | None) -> tuple[str, str]:
    """Cut two lines down to where they differ, with a little of what stands around it."""
    if after is None:
        return cut(before), ""
    start = _common(before, after)
    same = _common(before[start:][::-1], after[start:][::-1])
    begin = max(0, start - _AROUND)
    shown = [cut(text, begin, len(text) - same + _AROUND) for text in (before, after)]
    return shown[0], shown[1]


def _common(one: str, other: str) -> int:
    """Return how many first characters two texts share."""
    pairs = zip(one, other, strict=False)
    return next((i for i, (mine, theirs) in enumerate(pairs) if mine != theirs), min(len(one), len(other)))
