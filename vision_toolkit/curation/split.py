"""Divide a set into training and test images so that the test is honest.

Images of one thing stay on one side, each label and each anomaly type is on both, and which image goes where
follows from its name and the seed alone: not from the order of the lines, nor from the machine, and hardly from
what is added later.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vision_toolkit.core import Entry, Invalid, Label
from vision_toolkit.curation.duplicates import components, group_numbers
from vision_toolkit.data.manifest import Manifest

__all__ = ["TRAIN_ONLY", "Groups", "fold_numbers", "k_fold", "train_test_split"]

Groups: TypeAlias = Literal["near-duplicates"] | Sequence[Hashable] | None
Progress: TypeAlias = Callable[[int, int], None]
Counts = NDArray[np.float64]

TRAIN_ONLY = -1
"""Fold number of an image that is always trained with and never tested."""

_STARTS = 4
_COVER, _LABEL, _TOTAL, _TYPE = 1e9, 30.0, 10.0, 1.0


def train_test_split(
    manifest: Sequence[Entry],
    *,
    test_size: float = 0.25,
    seed: int = 0,
    groups: Groups = "near-duplicates",
    progress: Progress | None = None,
) -> tuple[Manifest, Manifest]:
    """Divide a set into images to train with and images to test with.

    A group is never divided. Within that, the test side has its share of each label as exactly as whole images
    allow, and of each anomaly type as nearly as possible; labels and types with at least two groups are on both
    sides (with several types an image, where they do not forbid one another). Unlabelled images cannot be tested:
    they, and what is grouped with them, are always on the training side.

    Parameters
    ----------
    manifest
        the images; types are those of the masks' colour maps.
    test_size
        the test's share of the labelled images, between 0 and 1, or their number as an int.
    seed
        another number from 0 gives another split. The same seed gives the same split, whatever the order of the
        lines; a few images more move few others.
    groups
        ``"near-duplicates"``: images of one thing, found by :func:`near_duplicates`, stay together (reads the
        images); None: only lines of the same source stay together; or one key an image, a serial number for
        example: images of equal keys stay together, None stands alone.
    progress
        called with how many images were looked at, and how many there are.

    Returns
    -------
    tuple
        the training and the test side, each in the manifest's order, of the very same entries.

    Raises
    ------
    Invalid
        if a value is out of its range, or there are not two groups to put on two sides.

    Examples
    --------
    >>> entries = [Entry(f"{i}.png", Label.ANOMALY if i % 4 == 0 else Label.NORMAL) for i in range(40)]
    >>> train, test = train_test_split(entries, test_size=0.2, groups=None)
    >>> len(train), len(test), sum(entry.label == "anomaly" for entry in test)
    (32, 8, 2)
    """
    _check_seed(seed)
    labelled = sum(entry.is_labelled for entry in manifest)
    wanted = _test_count(test_size, labelled)
    units = _units(manifest, _grouped(manifest, groups, progress))
    if sum(unit.has_labels for unit in units) < 2 or not any(unit.has_labels and not unit.pinned for unit in units):
        raise Invalid(_too_few_groups(units, "a split needs two"))
    share = wanted / labelled
    folds = _allocate(units, np.array([share, 1.0 - share]), seed, pinned_to=1)
    numbers = _spread(units, folds, len(manifest))
    return _part(manifest, np.flatnonzero(numbers != 0)), _part(manifest, np.flatnonzero(numbers == 0))


def k_fold(
    manifest: Sequence[Entry],
    *,
    k: int = 5,
    seed: int = 0,
    groups: Groups = "near-duplicates",
    progress: Progress | None = None,
) -> list[tuple[Manifest, Manifest]]:
    """Divide a set into k pairs of training and test side, so that each labelled image is tested once.

    Parameters, rules and errors are those of :func:`fold_numbers`, which gives positions instead of manifests.

    Examples
    --------
    >>> entries = [Entry(f"{i}.png", Label.NORMAL) for i in range(6)]
    >>> [(len(train), len(test)) for train, test in k_fold(entries, k=3, groups=None)]
    [(4, 2), (4, 2), (4, 2)]
    """
    numbers = fold_numbers(manifest, k=k, seed=seed, groups=groups, progress=progress)
    return [
        (_part(manifest, np.flatnonzero(numbers != fold)), _part(manifest, np.flatnonzero(numbers == fold)))
        for fold in range(k)
    ]


def fold_numbers(
    manifest: Sequence[Entry],
    *,
    k: int = 5,
    seed: int = 0,
    groups: Groups = "near-duplicates",
    progress: Progress | None = None,
) -> NDArray[np.intp]:
    """Return in which of k folds each image is tested.

    A group is never divided; labels and types are spread over the folds as evenly as groups allow. A label or
    type with fewer groups than folds is missing in some tests, and one with a single group is missing in the
    training for that group's fold.

    Parameters
    ----------
    manifest, seed, groups, progress
        as in :func:`train_test_split`.
    k
        number of folds, from 2 to the number of groups.

    Returns
    -------
    numpy.ndarray
        (n,) intp: 0 to k - 1, or :data:`TRAIN_ONLY` for unlabelled images and what is grouped with them.

    Raises
    ------
    Invalid
        if a value is out of its range, or there are fewer groups than folds.

    Examples
    --------
    >>> entries = [Entry(f"{i}.png", Label.NORMAL) for i in range(6)]
    >>> np.bincount(fold_numbers(entries, k=3, groups=None)).tolist()
    [2, 2, 2]
    """
    _check_seed(seed)
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 2:
        raise Invalid(f"k is a whole number of folds from 2; {k!r} was given.")
    units = _units(manifest, _grouped(manifest, groups, progress))
    free = sum(unit.has_labels and not unit.pinned for unit in units)
    if free < k:
        raise Invalid(_too_few_groups(units, f"{k} folds need {k}, and k can be at most {free}"))
    folds = _allocate(units, np.full(k, 1.0 / k), seed, pinned_to=None)
    return _spread(units, folds, len(manifest))


# What may not be divided


@dataclass(frozen=True, slots=True)
class _Unit:
    """Hold one group: its positions, the seeded place in line, and how many images it has of what.

    ``kinds`` are (category, count) pairs, sorted; a category is ``("total", "")``, ``("label", "normal")``,
    ``("type", "scratch")``. A pinned group holds an unlabelled image, so that it is never tested.
    """

    positions: tuple[int, ...]
    name: str
    kinds: tuple[tuple[tuple[str, str], int], ...]
    pinned: bool

    @property
    def has_labels(self) -> bool:
        return bool(self.kinds)


def _grouped(manifest: Sequence[Entry], groups: Groups, progress: Progress | None) -> list[tuple[int, ...]]:
    """Return groups of positions, those of one image too; lines of the same source always go together."""
    keys: list[Hashable] = [None] * len(manifest)
    if isinstance(groups, str):
        if groups != "near-duplicates":
            raise Invalid(f"groups is 'near-duplicates', None, or one key an image; {groups!r} was given.")
        keys = list(group_numbers(manifest, progress=progress))
    elif groups is not None:
        keys = list(groups)
        if len(keys) != len(manifest):
            raise Invalid(f"groups holds one key an image: {len(manifest)}; {len(keys)} were given.")
    first: dict[tuple[str, Hashable], int] = {}
    pairs = [(first.setdefault(("source", entry.source), i), i) for i, entry in enumerate(manifest)]
    # A key that is not equal to itself is pandas' word for a missing one.
    pairs += [(first.setdefault(("key", key), i), i) for i, key in enumerate(keys) if key is not None and key == key]  # noqa: PLR0124
    return components(pairs, len(manifest))


def _units(manifest: Sequence[Entry], groups: Iterable[tuple[int, ...]]) -> list[_Unit]:
    units = []
    for group in groups:
        counts: dict[tuple[str, str], int] = {}
        for position in group:
            entry = manifest[position]
            if not entry.is_labelled:
                continue
            # The colour map of a normal image may name the types of the whole set.
            types = entry.types if entry.label is Label.ANOMALY else ()
            for kind in (("total", ""), ("label", str(entry.label)), *(("type", name) for name in types)):
                counts[kind] = counts.get(kind, 0) + 1
        unlabelled = any(not manifest[position].is_labelled for position in group)
        name = min(manifest[position].source for position in group)
        units.append(_Unit(group, name, tuple(sorted(counts.items())), unlabelled))
    return units


# How many groups of each sort go where


def _allocate(units: Sequence[_Unit], shares: Counts, seed: int, *, pinned_to: int | None) -> list[int]:
    """Return the fold of each unit.

    Groups with the same content are interchangeable, so only how many of each sort go to which fold is searched
    for; which of them is decided by their names and the seed.
    """
    sorts: dict[tuple[tuple[tuple[str, str], int], ...], list[int]] = {}
    for index, unit in enumerate(units):
        if unit.has_labels and not unit.pinned:
            sorts.setdefault(unit.kinds, []).append(index)
    order = sorted(sorts)
    pinned = [unit for unit in units if unit.pinned and pinned_to is not None]
    categories = sorted({kind for unit in units for kind, _ in unit.kinds})
    column = {kind: i for i, kind in enumerate(categories)}
    content = np.zeros((len(order), len(categories)))
    for row, kinds in enumerate(order):
        for kind, count in kinds:
            content[row, column[kind]] = count
    base = np.zeros((len(shares), len(categories)))
    for unit in pinned:
        for kind, count in unit.kinds:
            base[pinned_to, column[kind]] += count
    many = np.array([len(sorts[kinds]) for kinds in order])
    weights = np.array([{"total": _TOTAL, "label": _LABEL, "type": _TYPE}[kind] for kind, _ in categories])
    target = shares[:, None] * (many @ content + base.sum(axis=0))

    best: tuple[float, NDArray[np.intp]] | None = None
    for start in range(_STARTS if content.size < 100_000 else 1):
        placed = _start(many, shares, np.random.default_rng([seed, start]))
        cost = _improve(placed, content, base, target, weights)
        if best is None or cost < best[0]:
            best = cost, placed
    assert best is not None
    folds = [TRAIN_ONLY] * len(units)
    for row, kinds in enumerate(order):
        line = sorted(sorts[kinds], key=lambda index: _place_in_line(seed, units[index].name))
        ends = np.cumsum(best[1][row])
        for place, index in enumerate(line):
            folds[index] = int(np.searchsorted(ends, place, side="right"))
    return folds


def _place_in_line(seed: int, name: str) -> bytes:
    return hashlib.blake2b(f"{seed}\0{name}".encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _start(many: NDArray[np.intp], shares: Counts, rng: np.random.Generator) -> NDArray[np.intp]:
    """Give each fold its whole share of each sort, and what remains by lot."""
    placed = np.floor(many[:, None] * shares + 1e-9).astype(np.intp)
    edges = np.cumsum(shares)[:-1]
    for row, rest in enumerate(many - placed.sum(axis=1)):
        for draw in rng.random(int(rest)):
            placed[row, int(np.searchsorted(edges, draw, side="right"))] += 1
    return placed


def _improve(placed: NDArray[np.intp], content: Counts, base: Counts, target: Counts, weights: Counts) -> float:
    """Move groups, in place, one or two at a time, while that makes the folds better; return the cost.

    The cost of a fold is what it lacks: first each category that is missing although others have it, then the
    squared distance from its share of each label, of all, and of each type.
    """
    has = placed.T @ content + base
    folds = np.arange(placed.shape[1])
    leaves, enters = np.empty(placed.shape), np.empty(placed.shape)

    def price(fold: int) -> None:
        """Note what it costs to take one group of each sort out of a fold, and to put one in."""
        gap = has[fold] - target[fold]
        away = (weights * ((gap - content) ** 2 - gap**2)).sum(axis=1)
        away += _COVER * ((has[fold] == content) & (content > 0)).sum(axis=1)
        near = (weights * ((gap + content) ** 2 - gap**2)).sum(axis=1)
        near -= _COVER * ((has[fold] == 0) & (content > 0)).sum(axis=1)
        # Rounded, so that sums in another order do not decide a tie on another machine.
        leaves[:, fold] = np.where(placed[:, fold] > 0, np.round(away, 6), np.inf)
        enters[:, fold] = np.round(near, 6)

    def moves() -> Counts:
        both = leaves[:, :, None] + enters[:, None, :]
        both[:, folds, folds] = np.inf
        return both

    def move(row: int, source: int, goal: int) -> None:
        placed[row, source] -= 1
        placed[row, goal] += 1
        has[source] -= content[row]
        has[goal] += content[row]
        price(source)
        price(goal)

    for fold in folds:
        price(int(fold))
    # Looking two moves ahead costs time, and with thousands of sorts there is always a single move that helps.
    ahead = int(np.clip(4_000_000 // max(1, content.size), 1, 24))
    for _ in range(1000 + 4 * placed.size):
        first = moves()
        if first.min() < 0:
            move(*_place(first.argmin(), first))
            continue
        ranked = np.argsort(first, axis=None, kind="stable")[:ahead]
        for flat in ranked[np.isfinite(first.ravel()[ranked])]:
            row, source, goal = _place(flat, first)
            move(row, source, goal)
            second = moves()
            if first[row, source, goal] + second.min() < -1e-6:
                move(*_place(second.argmin(), second))
                break
            move(row, goal, source)
        else:
            break
    missing = _COVER * float((has == 0).sum())
    return round(missing + float((weights * (has - target) ** 2).sum()), 6)


def _place(flat: np.intp, array: Counts) -> tuple[int, int, int]:
    row, source, goal = np.unravel_index(flat, array.shape)
    return int(row), int(source), int(goal)


# Small rules


def _spread(units: Sequence[_Unit], folds: Sequence[int], count: int) -> NDArray[np.intp]:
    numbers = np.full(count, TRAIN_ONLY, np.intp)
    for unit, fold in zip(units, folds, strict=True):
        numbers[list(unit.positions)] = fold
    return numbers


def _part(manifest: Sequence[Entry], positions: NDArray[np.intp]) -> Manifest:
    chosen = [int(position) for position in positions]
    if isinstance(manifest, Manifest):
        return manifest.select(chosen)
    return Manifest([manifest[position] for position in chosen])


def _check_seed(seed: int) -> None:
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise Invalid(f"seed is a whole number from 0; {seed!r} was given.")


def _test_count(test_size: float, labelled: int) -> int:
    """Return how many of the labelled images are to be tested."""
    if labelled < 2:
        raise Invalid(f"A split needs at least two labelled images; {labelled} are there. Label more images first.")
    whole = isinstance(test_size, int | np.integer)
    allowed = f"test_size is a share between 0 and 1, or a number of images from 1 to {labelled - 1}"
    if isinstance(test_size, bool) or not isinstance(test_size, int | float | np.integer | np.floating):
        raise Invalid(f"{allowed}; {test_size!r} was given.")
    if not (1 <= test_size < labelled if whole else 0.0 < test_size < 1.0):
        raise Invalid(f"{allowed}; {test_size!r} was given.")
    count = int(test_size) if whole else int(test_size * labelled + 0.5)
    return min(max(count, 1), labelled - 1)


def _too_few_groups(units: Sequence[_Unit], need: str) -> str:
    labelled = [unit for unit in units if unit.has_labels]
    images = sum(dict(unit.kinds)["total", ""] for unit in labelled)
    pinned = sum(unit.pinned for unit in labelled)
    aside = f", {pinned} of them with unlabelled images, which are never tested" if pinned else ""
    return (
        f"The {images} labelled images form {len(labelled)} group(s) that may not be divided{aside}; {need}. Add "
        "images of other parts, label what is unlabelled, or give groups=None if the images show different parts."
    )
