"""The commands about data sets: ``vision-toolkit convert | diff | stats | curate``.

Each takes the parsed options and returns the exit code. ``check`` and ``repair`` are in :mod:`.doctor_commands`.
"""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import vision_toolkit as vt
from vision_toolkit.app.opening import (
    after_manifests,
    carried,
    check_target,
    clean_name,
    is_missing,
    kind_of,
    open_both,
    open_data,
    same_file,
)
from vision_toolkit.app.saying import (
    Said,
    as_typed,
    bar,
    cut,
    first,
    most_of,
    next_command,
    numbers,
    print_json,
    say,
    some,
    total,
)
from vision_toolkit.core.errors import Conflict
from vision_toolkit.data.storage import local_path

if TYPE_CHECKING:
    from vision_toolkit.curation.report import Curation, Removal
    from vision_toolkit.data.manifest import Manifest

__all__ = ["convert", "curate", "diff", "stats"]


# ---------------------------------------------------------------- convert


def convert(options: argparse.Namespace) -> int:
    """Read one format and write another; say what was lost."""
    if options.formats:
        return _list_formats(options)
    missing = [name for name, value in (("SOURCE", options.data), ("DEST", options.dest)) if value is None]
    if missing:
        options.parser.error(f"the following arguments are required: {', '.join(missing)} (or --formats)")
    images = next((way for way in ("link", "refer") if getattr(options, way)), "copy")
    _check_dest(options, images)
    opened = open_data(options, options.data, **_meanings_of(options))
    parts = dict(opened.parts)
    without: list[str] = []
    if options.skip_missing:
        without = [entry.source for part in parts.values() for entry in part if is_missing(entry)]
        parts = {split: part.remove(is_missing) for split, part in parts.items()}
    written = vt.write_dataset(
        parts,
        options.dest,
        format=options.to,
        images=images,  # type: ignore[arg-type]
        overwrite=options.overwrite,
    )
    files = _written_manifests(written.path, options.to)
    if options.json:
        losses = [{"rule": one.rule, "severity": one.severity, "text": one.text} for one in written.losses]
        counts = {split: part.counts() for split, part in parts.items()}
        facts = {"from": opened.kind, "to": options.to, "path": str(written.path), "manifests": files}
        print_json({**facts, "counts": counts, "losses": losses, "skipped": without})
        return 0
    say(f"Read {opened.text} ({opened.kind}).")
    for split, part in parts.items():
        say(f"  {f'{split}: ' * bool(split)}{numbers(part.counts(), part.types)}")
    if without:
        say(f"Left out {some(len(without), 'image')} that {'is' if len(without) == 1 else 'are'} not there:")
        say(*(f"  {one}" for one in first(without, 5)))
    say(f"Wrote {written.path}, as {options.to}; {'lost:' if written.losses else 'nothing was lost.'}")
    say(*(as_typed(f"  {finding}") for finding in written.losses))
    _print_after_convert(options, parts, files)
    return 0


def _check_dest(options: argparse.Namespace, images: str) -> None:
    """Refuse a folder inside the one that is read: it would be part of it the next time."""
    if images == "refer" or not os.path.isdir(options.data):
        return
    inner, outer = os.path.realpath(local_path(options.dest)), os.path.realpath(local_path(options.data))
    if inner == outer or inner.startswith(outer + os.sep):
        raise Conflict(f"{options.dest} lies in {options.data}, which is being read; name a folder beside it.")


def _meanings_of(options: argparse.Namespace) -> dict[str, Any]:
    """Return what a conversion asks for beyond reading what is there."""
    asked: dict[str, Any] = {
        "columns": dict(options.columns),
        "classes": dict(options.classes),
        "label_from_regions": options.label_from_regions,
        "paint": options.paint,
    }
    asked = {name: value for name, value in asked.items() if value}
    if asked and kind_of(options, options.data) == "bundled":
        options.parser.error(
            f"{options.data!r} is drawn with its labels and masks; leave --class, --paint and so on out"
        )
    return asked


def _written_manifests(path: Path, format: str) -> list[str]:
    if format != "lookout":
        return []
    return [str(path)] if path.is_file() else [str(file) for file in sorted(path.glob("*.manifest"))]


def _print_after_convert(options: argparse.Namespace, parts: Mapping[str, Manifest], files: list[str]) -> None:
    entries = [entry for part in parts.values() for entry in part]
    if not any(entry.is_labelled for entry in entries):
        tags = (tag.name for entry in entries for tag in entry.tags)
        names = list(dict.fromkeys([*tags, *(region.name for entry in entries for region in entry.regions)]))
        classes = f"Classes: {', '.join(names[:8])}{', ...' * (len(names) > 8)}. " if names else ""
        say(f"No image is labelled. {classes}Say what they mean: --class NAME=anomaly, or --label-from-regions.")
    say(*(after_manifests(files) if files else [f"Next: {next_command('check', options.dest)}"]))


def _list_formats(options: argparse.Namespace) -> int:
    from vision_toolkit.data.formats import format_names, load_format

    titles = {name: load_format(name).TITLE for name in format_names()}
    if options.json:
        print_json(titles)
        return 0
    for name, title in titles.items():
        say(f"{name:<14} {title}")
    return 0


# ---------------------------------------------------------------- diff


def diff(options: argparse.Namespace) -> int:
    """Say what differs; 1 if anything does."""
    found = open_data(options, options.old).whole.diff(open_data(options, options.new).whole)
    most = most_of(options, 20)
    if options.json:
        print_json(found.to_dict(limit=most))
        return 1 if found else 0
    groups = (
        [f"- {entry.source} ({entry.label})" for entry in found.removed],
        [f"+ {entry.source} ({entry.label})" for entry in found.added],
        [f"~ {repr(change)[len('Change(') : -1]}" for change in found.changed],
        [f"> {source!r} stands elsewhere" for source in found.moved],
        [f"- unreadable: {cut(line)}" for line in found.lines_removed],
        [f"+ unreadable: {cut(line)}" for line in found.lines_added],
    )
    for lines in groups:
        say(*first(lines, most))
    say(repr(found)[len("Diff(") : -1].capitalize() + ".")
    return 1 if found else 0


# ---------------------------------------------------------------- stats


def stats(options: argparse.Namespace) -> int:
    """Say what is in a data set."""
    from vision_toolkit.app.stats import statistics, told

    opened = open_data(options, options.data)
    with bar("looking at files", options) as tell:
        facts = statistics(
            opened.whole,
            look=options.look != "none",
            threads=options.threads,
            progress=lambda done, total: tell(done / total),
        )
    splits = {split: part.counts() for split, part in opened.parts.items() if split}
    if options.json:
        print_json({"format": opened.kind, "splits": splits, **facts})
        return 0
    say(f"{opened.text} ({opened.kind}): {numbers(opened.whole.counts(), opened.whole.types)}")
    for split, part in opened.parts.items():
        if split:
            say(f"  {split}: {numbers(part.counts(), part.types)}")
    say(*told(facts, most=most_of(options, 10)))
    return 0


# ---------------------------------------------------------------- curate


def curate(options: argparse.Namespace) -> int:
    """Say which pictures are bad, and write a manifest without them if asked; 1 if there are errors and none is."""
    for path in (options.report, options.apply):
        if path is not None:
            check_target(path, overwrite=options.overwrite)
    for data in (options.data, options.test):
        if data is not None and any(path and same_file(data, path) for path in (options.apply, options.report)):
            raise Conflict(f"{data} is what is looked at, and stays as it is; give another name.")
    if options.report and options.apply and same_file(options.report, options.apply):
        options.parser.error("--report and --apply must be two files")
    train, test = open_both(options)
    with bar("looking at images", options) as tell:
        found = vt.curate(train, test=test, threads=options.threads, progress=lambda done, total: tell(done / total))
    rules = _rules_of(options)
    plan = found.plan(rules)
    if options.report:
        found.write(options.report, overwrite=options.overwrite)
    if options.apply:
        found.apply(rules=rules).write(options.apply, overwrite=options.overwrite, relocate=True)
    errors = sum(finding.severity == "error" for finding in found.findings)
    if options.json:
        _print_curation(options, found, plan)
    else:
        _tell_curation(options, found, plan)
    return 1 if errors and not options.apply else 0


def _rules_of(options: argparse.Namespace) -> list[str]:
    from vision_toolkit.curation.report import PROPOSED

    return [rule for rule in dict.fromkeys([*PROPOSED, *options.drop]) if rule not in options.keep]


def _print_curation(options: argparse.Namespace, found: Curation, plan: tuple[Removal, ...]) -> None:
    said = Said(most_of(options, 5))
    said.take(found.findings)
    removals = [{"source": one.source, "position": one.position, "rule": one.rule, "text": one.text} for one in plan]
    facts = {"images": len(found.entries), "rules": found.counts(), "findings": [asdict(one) for one in said.kept]}
    print_json({**facts, "remove": removals, "report": options.report, "written": options.apply})


def _tell_curation(options: argparse.Namespace, found: Curation, plan: tuple[Removal, ...]) -> None:
    most = most_of(options, 5)
    said = Said(most)
    said.take(found.findings)
    parts = [numbers(found.manifest.counts(), found.manifest.types)]
    parts += [f"to test {numbers(found.test.counts(), found.test.types)}"] if found.test is not None else []
    say(f"{options.data}: {'; '.join(parts)}")
    say(*said.lines(by_line=False))  # in the library's order: errors first, the strongest first
    say(total(said))
    why = ", ".join(f"{n:,} {rule}" for rule, n in Counter(one.rule for one in plan).items())
    say(f"To remove: {some(len(plan), 'image')} ({why})." if plan else "Nothing to remove.")
    say(*(f"  {one}" for one in first(plan, most)))
    if options.report:
        say(f"Wrote {options.report} (open it in a browser)")
    test = [f"--test={options.test}"] if options.test else []
    again = [*carried(options), *test]
    if options.apply:
        say(f"Wrote {options.apply}: {some(len(found.manifest) - len(plan), 'image')}")
        say(f"Next: {next_command('train', options.apply, *again, '--model', 'model')}")
    elif plan:
        chosen = [f"--{name}={rule}" for name in ("drop", "keep") for rule in getattr(options, name)]
        command = next_command("curate", options.data, *again, *chosen, "--apply", clean_name(options.data))
        say(f"Nothing was written. To do it: {command}")
