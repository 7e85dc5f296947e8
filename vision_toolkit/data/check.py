"""Check the images of a manifest, and the set as a whole."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from vision_toolkit.core.entry import Entry, Finding, Label, MaskRef
from vision_toolkit.core.errors import Invalid, VisionError
from vision_toolkit.core.limits import LOOKOUT
from vision_toolkit.data.images import ImageFacts, probe, read_mask
from vision_toolkit.data.storage import is_local, local_path

__all__ = ["check_images", "check_set"]


def check_images(entries: Sequence[Entry], numbers: Sequence[int]) -> Iterator[Finding]:
    """Look at each image and mask on this machine: is it there, readable, within the limits, of one size.

    Locations on other machines are told once for each prefix; nothing is fetched.
    """
    sizes: dict[int, tuple[int, int]] = {}
    away: dict[str, list[int]] = defaultdict(list)
    missing: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for entry, number in zip(entries, numbers, strict=True):
        if not is_local(entry.location):
            away[entry.location.rpartition("/")[0]].append(number)
            continue
        if not local_path(entry.location).is_file():
            missing[os.path.dirname(entry.location)].append((number, entry.location))
            continue
        try:
            facts = probe(entry.location)
        except VisionError as error:
            yield Finding(number, "error", "unreadable-image", str(error), "replace the file or remove the line")
            continue
        sizes[number] = facts.width, facts.height
        yield from _check_facts(entry, number, facts)
        if entry.mask is not None:
            yield from _check_mask(entry.mask, number, (facts.width, facts.height))
    yield from _tell_away(away)
    yield from _tell_missing(missing)
    yield from _tell_sizes(sizes)


def check_set(entries: Sequence[Entry]) -> Iterator[Finding]:
    """Check the set as a whole: duplicates of a source, and how many images of each kind there are."""
    if not entries:
        yield Finding(None, "error", "empty", "There is no image in it.")
        return
    for source, times in Counter(entry.source for entry in entries).items():
        if times > 1:
            yield Finding(None, "warning", "source-twice", f"{source} stands {times} times.", "keep one of the lines")
    labels = Counter(entry.label for entry in entries)
    normal, anomaly = labels[Label.NORMAL], labels[Label.ANOMALY]
    if labels[Label.UNLABELLED]:
        yield Finding(
            None, "info", "unlabelled", f"{labels[Label.UNLABELLED]} images have no label; not used to train."
        )
    if not normal:
        yield Finding(
            None, "error", "no-normal", "There is no normal image; a model needs some.", "label normal images"
        )
    if normal < LOOKOUT.single_normal or anomaly < LOOKOUT.single_anomaly:
        yield Finding(
            None,
            "info",
            "few-images",
            f"{normal} normal and {anomaly} anomalous images; Lookout asked for at least {LOOKOUT.single_normal} and "
            f"{LOOKOUT.single_anomaly}. Scores of so few are wide.",
        )


def _check_facts(entry: Entry, number: int, facts: ImageFacts) -> Iterator[Finding]:
    if facts.format not in LOOKOUT.formats:
        yield Finding(
            number,
            "info",
            "other-format",
            f"{entry.source} is {facts.format}; Lookout took {' and '.join(LOOKOUT.formats)}.",
        )
    if not (LOOKOUT.min_side <= min(facts.width, facts.height) and max(facts.width, facts.height) <= LOOKOUT.max_side):
        yield Finding(
            number,
            "warning",
            "odd-size",
            f"{entry.source} is {facts.width}x{facts.height}; Lookout took sides of {LOOKOUT.min_side} to "
            f"{LOOKOUT.max_side}.",
        )
    if facts.bytes > LOOKOUT.max_image_bytes:
        yield Finding(
            number,
            "info",
            "large-file",
            f"{entry.source} has {facts.bytes:,} bytes; Lookout took {LOOKOUT.max_image_bytes:,}.",
        )


def _check_mask(ref: MaskRef, number: int, size: tuple[int, int]) -> Iterator[Finding]:
    if not ref.colours or not is_local(ref.location):  # a mask without types paints nothing and is never read
        return
    if not local_path(ref.location).is_file():
        yield Finding(number, "error", "missing-mask", f"The mask {ref.location} is not there.")
        return
    try:
        facts = probe(ref.location)
        if facts.format != "PNG":
            yield Finding(
                number, "warning", "mask-no-png", f"The mask {ref.uri} is {facts.format}, not PNG.", "save as PNG"
            )
        mask = read_mask(ref, size=size)
    except Invalid as error:
        yield Finding(number, "error", "bad-mask", str(error))
        return
    if not mask.types:
        yield Finding(
            number,
            "warning",
            "empty-mask",
            f"No pixel of {ref.uri} has one of the colours {', '.join(ref.colours.values())}.",
            "correct hex-color or the mask",
        )


def _tell_away(away: dict[str, list[int]]) -> Iterator[Finding]:
    for prefix, numbers in away.items():
        yield Finding(
            numbers[0],
            "warning",
            "not-local",
            f"{len(numbers)} images lie at {prefix}, which was not looked at.",
            f'say where they are on this machine: images={{"{prefix}": "folder/"}}',
        )


def _tell_missing(missing: dict[str, list[tuple[int, str]]]) -> Iterator[Finding]:
    for folder, found in missing.items():
        number, example = found[0]
        yield Finding(
            number,
            "error",
            "missing-image",
            f"{len(found)} image{'s are' if len(found) > 1 else ' is'} not in {folder}: {os.path.basename(example)}"
            f"{' and others' if len(found) > 1 else ''}.",
            'say where they are: images="folder/"',
        )


def _tell_sizes(sizes: dict[int, tuple[int, int]]) -> Iterator[Finding]:
    counted = Counter(sizes.values())
    if len(counted) > 1:
        usual, _ = counted.most_common(1)[0]
        odd = [number for number, size in sizes.items() if size != usual]
        yield Finding(
            odd[0],
            "info",
            "sizes-differ",
            f"{len(odd)} of {len(sizes)} images are not {usual[0]}x{usual[1]} like most; Lookout wanted one size.",
        )
