"""Look at a whole set, say what is odd in it, and propose what to remove."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from vision_toolkit.core import Entry, Finding, Invalid, Label, Settings
from vision_toolkit.core.limits import LOOKOUT
from vision_toolkit.curation.checks import (
    RULES,
    Embed,
    Oddity,
    odd_images,
    outlier_scores,
    outliers,
    unreadable_images,
)
from vision_toolkit.curation.copies import agree, best_of, copied_images, exact_groups
from vision_toolkit.curation.duplicates import near_duplicates
from vision_toolkit.curation.measures import Measures, Views
from vision_toolkit.data.manifest import Manifest
from vision_toolkit.data.rules import RULES as FILE_RULES
from vision_toolkit.data.rules import Rule
from vision_toolkit.data.storage import write_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

__all__ = ["PROPOSED", "REMOVABLE", "Curation", "Removal", "curate"]

Floats = NDArray[np.float32]
Progress = Callable[[int, int], None]
Part = Literal["train", "test"]

PROPOSED = ("unreadable-image", "leak", "exact-duplicate")
"""Rules by which a plan removes images unless told otherwise: nothing is lost with them that could be learned."""

REMOVABLE = (
    *PROPOSED, "near-duplicate", "missing-image", "blurred", "dark", "overexposed", "low-contrast", "odd-shape",
    "odd-mode", "outlier", "unlabelled", "labels-conflict",
)  # fmt: skip
"""Rules by which a plan can remove images when they are named."""

_COPIES = ("leak", "exact-duplicate", "near-duplicate")
_SEVERITIES = ("error", "warning", "info")
_BATCH = 8


@dataclass(frozen=True, slots=True)
class Removal:
    """Tell that a plan removes an image from a part of the set, by which rule and why.

    Parameters
    ----------
    part
        ``"train"`` or ``"test"``.
    position
        in that part, from 0.
    source
        the image as the manifest names it.
    rule
        the id of the rule.
    text
        what was found.
    """

    part: Part
    position: int
    source: str
    rule: str
    text: str

    def __str__(self) -> str:
        return f"{self.source} of the {self.part}ing set: {self.text} [{self.rule}]".replace("testing", "test")


@dataclass(frozen=True, eq=False, slots=True)
class Curation:
    """Hold what :func:`curate` found in a set, and what it proposes; nothing is changed by it.

    Parameters
    ----------
    manifest, test
        what was looked at. Positions below count the entries of the one, then those of the other.
    measures
        light, contrast, sharpness, size and kind of every image.
    oddities
        what is odd, with the positions; errors first, the strongest of each rule first.
    findings
        the same, one each, as every check of this toolkit tells it.
    groups
        positions of images that show the same thing.
    scores
        (n,) how far each image lies from its neighbours, about 1 is usual; NaN where that was not asked for.
    """

    manifest: Manifest
    test: Manifest | None
    measures: Measures
    oddities: tuple[Oddity, ...]
    findings: tuple[Finding, ...]
    groups: tuple[tuple[int, ...], ...]
    scores: Floats

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Return all entries in the order of the positions."""
        return (*self.manifest, *(self.test or ()))

    @property
    def remove(self) -> tuple[Removal, ...]:
        """Return what :meth:`apply` removes from the training set unless told otherwise."""
        return self.plan()

    @property
    def decisions(self) -> tuple[Finding, ...]:
        """Return the contradictions that only a person can decide; no plan touches them unasked."""
        return tuple(finding for finding in self.findings if finding.rule == "labels-conflict")

    def counts(self) -> dict[str, int]:
        """Return how many images each rule concerns, of copies without the one that is kept."""
        return dict(sum((Counter({one.rule: len(_concerned(one))}) for one in self.oddities), Counter[str]()))

    def plan(self, rules: Iterable[str] | None = None, *, part: Part = "train") -> tuple[Removal, ...]:
        """Return which images would be removed, and why: the repair plan, to be looked at before it is applied.

        Of copies the one of which most is known stays. Images whose labels contradict those of their copies stay
        unless ``labels-conflict`` is named, which removes all of them. Where a quarter of the set is odd in one way,
        nothing is removed for it.

        Parameters
        ----------
        rules
            of :data:`REMOVABLE`; by default :data:`PROPOSED`.
        part
            ``"train"``, or ``"test"`` if something is to be removed from the test set; a leak is removed from the
            training set only.

        Raises
        ------
        Invalid
            if a rule removes nothing, or there is no such part.
        """
        wanted = _known(rules)
        start, end = self._bounds(part)
        entries = self.entries
        found: dict[int, tuple[str, str]] = {}
        for one in self.oddities:
            if one.rule in wanted and one.rule not in _COPIES and not _is_common(one):
                found |= {i: (one.rule, one.text) for i in one.positions if start <= i < end and i not in found}
        for group in self.groups:
            self._plan_group(group, wanted, entries, range(start, end), found)
        return tuple(Removal(part, i - start, entries[i].source, *found[i]) for i in sorted(found))

    def _plan_group(
        self,
        group: tuple[int, ...],
        wanted: Sequence[str],
        entries: Sequence[Entry],
        part: range,
        found: dict[int, tuple[str, str]],
    ) -> None:
        """Add the copies of a group that go: of those that are left by other rules, the best stays."""

        def keep_best(members: Sequence[int], rule: str) -> None:
            left = [i for i in members if i in part and i not in found]
            best = best_of(entries, left) if left else -1
            found.update({i: (rule, f"{entries[best].source} stays, which shows the same.") for i in left if i != best})

        train = len(self.manifest)
        classes = exact_groups(group, self.measures)
        honest = [same for same in classes if agree(entries, same, types=True)]
        clear = len(honest) == len(classes) and agree(entries, group)
        tested = [i for i in group if i >= train]
        if "leak" in wanted and tested and clear and part.start == 0:
            text = f"{entries[tested[0]].source} of the test set shows the same."
            found.update({i: ("leak", text) for i in group if i < train and i not in found})
        if "exact-duplicate" in wanted:
            for same in honest:
                keep_best(same, "exact-duplicate")
        if "near-duplicate" in wanted and clear:
            keep_best(group, "near-duplicate")

    def apply(
        self, manifest: Manifest | None = None, *, rules: Iterable[str] | None = None, part: Part = "train"
    ) -> Manifest:
        """Return the manifest without what :meth:`plan` lists; no file is touched.

        Parameters
        ----------
        manifest
            a later version of what was looked at, relabelled for example; its entries are known by their sources.
            By default what was looked at.
        rules, part
            as in :meth:`plan`.

        Returns
        -------
        Manifest
            the remaining entries, in their order; lines that are no entries stay where they are.
        """
        planned = self.plan(rules, part=part)
        start, end = self._bounds(part)
        looked_at = self.entries[start:end]
        given = self._part(part) if manifest is None else manifest
        # A source may stand on several lines: each is known by how many of its source came before.
        names = _numbered(looked_at)
        gone = {names[one.position] for one in planned}
        goes = iter([name in gone for name in _numbered(given)])
        return given.remove(lambda _: next(goes))

    def _part(self, part: Part) -> Manifest:
        if part == "train":
            return self.manifest
        if part != "test" or self.test is None:
            has = "'train' or 'test'" if self.test is not None else "'train'; no test set was given"
            raise Invalid(f"part is {has}; {part!r} was given.")
        return self.test

    def _bounds(self, part: Part) -> tuple[int, int]:
        chosen = self._part(part)
        start = 0 if part == "train" else len(self.manifest)
        return start, start + len(chosen)

    # ---------------------------------------------------------------- looking

    def to_frame(self) -> DataFrame:
        """Return a pandas table, one row an image: part, source, label, what was measured, and the rules it breaks."""
        frame = self.measures.to_frame()
        entries = self.entries
        broken: list[list[str]] = [[] for _ in entries]
        for one in self.oddities:
            for i in _concerned(one):
                if one.rule not in broken[i]:
                    broken[i].append(one.rule)
        frame.insert(0, "part", ["train"] * len(self.manifest) + ["test"] * (len(entries) - len(self.manifest)))
        frame.insert(1, "source", [entry.source for entry in entries])
        frame.insert(2, "label", [str(entry.label) for entry in entries])
        frame["outlier_score"] = self.scores
        frame["rules"] = [tuple(rules) for rules in broken]
        return frame

    def show(self, *, n: int = 24) -> Figure:
        """Show the ``n`` worst images, each rule in turn, a copy beside the image that it copies."""
        from vision_toolkit.curation.page import chosen, picture
        from vision_toolkit.plots import contact_sheet

        tiles = chosen(self.oddities, n)
        colours = {"error": "#C0392B", "warning": "#E67E22", "info": "#8A94A0"}
        entries = self.entries
        if not tiles:
            tiles = [("nothing odd", i) for i in range(min(n, len(entries)))]
        frames = [colours[rule_of(rule).severity] if rule != "nothing odd" else None for rule, _ in tiles]
        titles = [f"{entries[i].source.rpartition('/')[2]}\n{rule}\n{entries[i].label}" for rule, i in tiles]
        return contact_sheet([picture(entries[i], 320) for _, i in tiles], titles=titles, colours=frames)

    def _repr_html_(self) -> str:
        from vision_toolkit.curation.page import summary

        return summary(self)

    def write(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write one HTML page with every finding and the pictures of the worst; it needs no other file.

        Raises
        ------
        Conflict
            if the file is there already and ``overwrite`` is not set.
        """
        from vision_toolkit.curation.page import page

        return write_file(path, page(self).encode("utf-8", "replace"), overwrite=overwrite)

    def __repr__(self) -> str:
        images = f"{len(self.entries)} image{'s' * (len(self.entries) != 1)}"
        told = ", ".join(f"{count} {rule}" for rule, count in self.counts().items()) or "nothing odd"
        return f"Curation({images}: {told}; {len(self.remove)} to remove)"


def curate(
    manifest: Sequence[Entry],
    *,
    test: Sequence[Entry] | None = None,
    embed: Embed | None = None,
    among: Literal["normal", "all"] = "normal",
    threads: int | None = None,
    remote: bool = False,
    progress: Progress | None = None,
) -> Curation:
    """Look at every image of a set and say what is odd: bad pictures, copies, contradictions, leaks, strangers.

    Each image is decoded once (twice with ``embed``), several at a time; none is kept.

    Parameters
    ----------
    manifest
        the images, or those for training.
    test
        those for the test: what stands in both is a leak.
    embed
        a function that turns a list of (H, W, 3) uint8 images into (n, d) numbers, of which near ones mean alike;
        without it no outliers are looked for.
    among
        ``"normal"``: outliers are looked for among the normal images, as an anomaly has a right to be one;
        ``"all"``: among all.
    threads
        how many images are read at once; None = as many as this process may use.
    remote
        fetch images that are not on this machine.
    progress
        called with how many steps are done, and how many there are: one an image, and one more if it is embedded.

    Raises
    ------
    Invalid
        if an argument is out of its range, or ``embed`` returns something else.

    Examples
    --------
    >>> from vision_toolkit.data.synthetic import load_dataset
    >>> m = load_dataset("biscuit")[:8]
    >>> found = curate(m + m[:1])
    >>> [(one.source, one.rule) for one in found.remove], len(found.apply())
    ([('images/biscuit-001.jpg', 'exact-duplicate')], 8)
    """
    if among not in ("normal", "all"):
        raise Invalid(f"among is 'normal' or 'all'; {among!r} was given.")
    parts = [_as_manifest(manifest), None if test is None else _as_manifest(test)]
    train, tested = parts[0], parts[1]
    assert train is not None
    entries = [*train, *(tested or ())]
    wanted = [i for i, entry in enumerate(entries) if among == "all" or entry.label is Label.NORMAL] if embed else []
    total = len(entries) + len(wanted)
    views = Views(entries, remote=remote)
    told = None if progress is None else (lambda done, _: progress(done, total))
    groups = near_duplicates(entries, images=views, threads=threads, progress=told)
    measures = views.measures()
    scores = np.full(len(entries), np.nan, np.float32)
    oddities = [*unreadable_images(entries, measures), *odd_images(measures)]
    oddities += copied_images(entries, groups, measures, train=len(train))
    if embed is not None:
        readable = [i for i in wanted if measures.width[i] > 0]
        features = _embedded(embed, views, readable, threads, len(entries), total, progress)
        place = {position: i for i, position in enumerate(readable)}
        scores[readable] = outlier_scores(features, groups=[[place[i] for i in g if i in place] for g in groups])
        oddities += outliers(scores[readable], readable)
        if progress is not None and len(readable) < len(wanted):
            progress(total, total)
    oddities += _unlabelled(entries)
    order = {rule: i for i, rule in enumerate([*FILE_RULES, *RULES])}
    oddities.sort(key=lambda one: (_SEVERITIES.index(rule_of(one.rule).severity), order[one.rule], -one.strength,
                                   one.positions))  # fmt: skip
    few = list(_few_images(train, tested))
    oddities += [Oddity(finding.rule, (), finding.text) for finding in few]
    lines = [number for number, line in enumerate(train.lines(), 1) if isinstance(line, Entry)]
    findings = [_finding(one, entries, lines) for one in oddities[: len(oddities) - len(few)]] + few
    return Curation(train, tested, measures, tuple(oddities), tuple(findings), groups, scores)


def rule_of(rule: str) -> Rule:
    """Return a rule by its id, of pictures or of files."""
    return RULES[rule] if rule in RULES else FILE_RULES[rule]


def _as_manifest(entries: Sequence[Entry]) -> Manifest:
    return entries if isinstance(entries, Manifest) else Manifest(entries)


def _concerned(one: Oddity) -> tuple[int, ...]:
    """Return the positions that an oddity is about, without the image that a copy is compared with."""
    return one.positions[:1] if one.rule in _COPIES else one.positions


def _is_common(one: Oddity) -> bool:
    """Return whether so many images are odd in this way that none of them is a mistake."""
    return len(one.positions) > 1 and one.rule in RULES and one.rule != "labels-conflict"


def _known(rules: Iterable[str] | None) -> tuple[str, ...]:
    wanted = PROPOSED if rules is None else (rules,) if isinstance(rules, str) else tuple(rules)
    for rule in wanted:
        if rule not in REMOVABLE:
            raise Invalid(f"No image is removed by {rule!r}; there are: {', '.join(REMOVABLE)}.")
    return wanted


def _numbered(entries: Iterable[Entry]) -> list[tuple[str, int]]:
    seen: Counter[str] = Counter()
    names = []
    for entry in entries:
        names.append((entry.source, seen[entry.source]))
        seen[entry.source] += 1
    return names


def _finding(one: Oddity, entries: Sequence[Entry], lines: Sequence[int]) -> Finding:
    """Say an oddity with the name of its image, and its line in the training manifest."""
    concerned = _concerned(one)
    single = len(concerned) == 1
    name = f"{entries[concerned[0]].source}: " if single and one.rule in RULES else ""
    where = "In the test set, " if concerned and min(concerned) >= len(lines) else ""
    line = lines[concerned[0]] if single and concerned[0] < len(lines) else None
    return rule_of(one.rule).finding(line, f"{where}{name}{one.text}")


def _embedded(
    embed: Embed,
    views: Views,
    positions: Sequence[int],
    threads: int | None,
    done: int,
    total: int,
    progress: Progress | None,
) -> NDArray[np.float64]:
    """Return (n, d) what an embedding says of some images, a few of them in memory at a time."""
    parts: list[NDArray[np.float64]] = []
    with ThreadPoolExecutor(Settings(threads=threads).usable_threads()) as pool:
        for start in range(0, len(positions), _BATCH):
            images = list(pool.map(views.__getitem__, positions[start : start + _BATCH]))
            said = np.asarray(embed(images))
            right = said.ndim == 2 and len(said) == len(images) and np.issubdtype(said.dtype, np.number)
            if not right or (parts and said.shape[1] != parts[0].shape[1]) or not np.isfinite(said).all():
                raise Invalid(
                    f"embed must return (n, d) finite numbers, one row an image; for {len(images)} images it returned "
                    f"{said.shape} {said.dtype}."
                )
            parts.append(said.astype(np.float64))
            if progress is not None:
                progress(done + start + len(images), total)
    return np.concatenate(parts) if parts else np.zeros((0, 1))


def _unlabelled(entries: Sequence[Entry]) -> list[Oddity]:
    found = tuple(i for i, entry in enumerate(entries) if not entry.is_labelled)
    if not found:
        return []
    text = f"{len(found)} of {len(entries)} images have no label; they are not used to train."
    return [Oddity("unlabelled", found, text, float(len(found)))]


def _few_images(train: Manifest, test: Manifest | None) -> Iterator[Finding]:
    """Compare with what Lookout asked for at least; a type counts in images that show no other."""
    normal, anomaly, of_type = LOOKOUT.single_normal, LOOKOUT.single_anomaly, LOOKOUT.single_images_per_type
    if test is None:
        yield from _too_few("a set that is not divided yet", train, normal, anomaly, of_type)
        return
    of_type = LOOKOUT.images_per_type
    types = tuple(dict.fromkeys((*train.types, *test.types)))
    yield from _too_few("a training set", train, LOOKOUT.train_normal, 0, of_type, types)
    yield from _too_few("a test set", test, LOOKOUT.test_normal, LOOKOUT.test_anomaly, of_type, types)


def _too_few(
    what: str, part: Manifest, normal: int, anomaly: int, of_type: int, types: Sequence[str] | None = None
) -> Iterator[Finding]:
    counts = part.counts()
    for label, least in (("normal", normal), ("anomaly", anomaly)):
        if counts[label] < least:
            text = f"{counts[label]} images are {label}; Lookout asked for at least {least} in {what}."
            yield FILE_RULES["few-images"].finding(None, text)
    single = Counter(entry.types[0] for entry in part if entry.label is Label.ANOMALY and len(entry.types) == 1)
    for name in part.types if types is None else types:
        if single[name] < of_type:
            asked = f"Lookout asked for at least {of_type} in {what}"
            text = f"{single[name]} images show {name!r} and no other type; {asked}."
            yield FILE_RULES["few-of-type"].finding(None, text)
