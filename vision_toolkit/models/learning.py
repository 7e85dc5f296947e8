"""Train on parts of the images to tell whether more of them would help, and of which kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from vision_toolkit.core.entry import Entry, Label
from vision_toolkit.core.errors import Invalid, VisionError
from vision_toolkit.core.settings import Settings
from vision_toolkit.curation.duplicates import group_numbers
from vision_toolkit.curation.split import train_test_split
from vision_toolkit.data.images import read_mask
from vision_toolkit.data.manifest import Manifest
from vision_toolkit.metrics.learning_curve import LearningCurve, Trial
from vision_toolkit.models.model import Model
from vision_toolkit.models.progress import Progress, told
from vision_toolkit.models.train import train

__all__ = ["HELD_OUT", "learning_curve"]

HELD_OUT = 0.3
"""Share of the labelled images on which the models are judged."""
FEWEST = 4
"""Training images of each kind: fewer are not learned from in the same way, so that no curve leads there."""

Types = Mapping[str, tuple[str, ...]]
"""The anomaly types that are painted on each image, by its source."""


def learning_curve(
    manifest: Sequence[Entry],
    *,
    weights: Any = "auto",
    preset: str = "fast",
    sizes: Sequence[float] = (0.25, 0.5, 1.0),
    repeats: int = 5,
    seed: int = 0,
    threads: int | None = None,
    progress: Progress | bool | None = None,
) -> LearningCurve:
    """Say whether more images would help, and of which kind.

    In each repeat another three tenths of the images are held out, near duplicates together, and models are trained on
    parts of the rest: of the normal images while all anomalies stay, and of the anomalies while all normal images stay.
    The parts of a repeat hold one another, and have as many images in every repeat. Each model is judged on the images
    held out. What comes of it tells how F1, ROC AUC and log-loss grow, and what twice as many images would give, with
    an interval: see :class:`~vision_toolkit.metrics.LearningCurve`.

    That takes ``repeats * (2 * len(sizes) - 1)`` trainings, 25 by default. Each image is looked at once and what the
    network said of it is kept in the cache; a training costs only its memories and its linear rules. For 85
    photographs of 576 x 768 pixels all 25 took 143 s of CPU time on a busy machine.

    Parameters
    ----------
    manifest
        the images; unlabelled ones are passed over. Their masks are not learned, but anomaly types with masks are told
        apart in the curve.
    weights, preset, threads
        as of :func:`vision_toolkit.train`.
    sizes
        shares of the training images, above 0 up to 1; the whole is always tried. From three different numbers of
        images something can be told. A part has four images at least.
    repeats
        draws of images, from 1; from three something can be told, and more narrow the intervals.
    seed
        of the draws and the trainings.
    progress
        None: a progress bar where somebody watches; False: none; or a function told ``(share, what)``.

    Returns
    -------
    LearningCurve
        print it for the sentence, ``show()`` it for the picture.

    Raises
    ------
    Invalid
        if an argument is out of range, or the images are too few: it takes four of each kind to train with and two of
        each to judge on.
    Unsupported
        if a package is needed that is not installed.

    Examples
    --------
    >>> import vision_toolkit as vt
    >>> parts = vt.load_dataset("biscuit")[:24]
    >>> curve = vt.learning_curve(parts, weights=None, sizes=[1.0], repeats=1, progress=False)
    >>> [(point.normals, point.anomalies) for point in curve.points], len(curve.trials[0].images)
    ([(6, 11)], 7)
    """
    shares = _shares(sizes)
    if isinstance(repeats, bool) or not isinstance(repeats, int) or repeats < 1:
        raise Invalid(f"repeats is a whole number from 1; {repeats!r} was given.")
    entries = Manifest(entry for entry in manifest if entry.is_labelled)
    with told(progress) as tell:
        tell(0.0, "looking for near duplicates")
        types = {entry.source: _types(entry) for entry in entries}
        draws = _draws(entries, types, repeats, seed, threads)
        most = [min(len(part) for part in parts) for parts in zip(*((d.normal, d.anomaly) for d in draws), strict=True)]
        plan = _plan(shares, most[0], most[1])
        total = len(plan) * repeats
        trials: list[Trial] = []
        for draw in draws:
            for normals, anomalies in plan:
                learned = [*draw.normal[:normals], *draw.anomaly[:anomalies]]
                model = train(
                    learned, task="classification", weights=weights, preset=preset, seed=seed, threads=threads,
                    progress=_part(tell, len(trials), total),
                )  # fmt: skip
                trials.append(_trial(model, draw, normals, anomalies, types))
        tell(1.0, "done")
    return LearningCurve.from_scores(trials, seed=seed)


def _part(tell: Progress, number: int, total: int) -> Progress:
    return lambda share, what: tell((number + share) / total, f"model {number + 1} of {total}: {what}")


@dataclass(frozen=True, slots=True)
class _Draw:
    """Hold one division of the images: those to judge on, and those to learn from in the order they are taken."""

    repeat: int
    held_out: Manifest
    normal: list[Entry]
    anomaly: list[Entry]


def _trial(model: Model, draw: _Draw, normals: int, anomalies: int, types: Types) -> Trial:
    """Judge a model on the images that its draw holds out."""
    rows = model.evaluate(draw.held_out, progress=False).rows
    return Trial(
        normals,
        anomalies,
        draw.repeat,
        [row.label is Label.ANOMALY for row in rows],
        [row.score for row in rows],
        model.threshold,
        images=[row.source for row in rows],
        # Of an image with several types nobody knows which of them was found.
        types=[found[0] if len(found) == 1 else None for found in (types[row.source] for row in rows)],
        trained_types=Counter(name for entry in draw.anomaly[:anomalies] for name in types[entry.source]),
    )


def _shares(sizes: Sequence[float]) -> tuple[float, ...]:
    shares = tuple(float(one) for one in sizes)
    if not shares or not all(0.0 < share <= 1.0 for share in shares):
        raise Invalid(
            f"sizes are shares of the training images, above 0 up to 1, such as (0.25, 0.5, 1.0); {sizes!r} was given."
        )
    return tuple(sorted({*shares, 1.0}))


def _draws(entries: Manifest, types: Types, repeats: int, seed: int, threads: int | None) -> list[_Draw]:
    counts = entries.counts()
    fewest = min(counts["normal"], counts["anomaly"])
    too_few = (
        f"A learning curve takes {FEWEST} images of each kind to train with and two of each to judge on, better twenty "
        f"in all of each; there are {counts['normal']} normal and {counts['anomaly']} anomaly."
    )
    if fewest < FEWEST + 2:
        raise Invalid(too_few)
    groups = group_numbers(entries, threads=threads or Settings.read().usable_threads())
    draws = []
    for repeat in range(repeats):
        rest, held_out = train_test_split(entries, test_size=HELD_OUT, seed=seed + repeat, groups=groups)
        rng = np.random.default_rng([seed, repeat])
        parts = ([entry for entry in rest if entry.label is label] for label in (Label.NORMAL, Label.ANOMALY))
        normal, anomaly = (_in_order(part, types, rng) for part in parts)
        judged = held_out.counts()
        if min(len(normal), len(anomaly)) < FEWEST or min(judged["normal"], judged["anomaly"]) < 2:
            raise Invalid(f"{too_few} Near duplicates stay together and count as one.")
        draws.append(_Draw(repeat, held_out, normal, anomaly))
    return draws


def _in_order(entries: list[Entry], types: Types, rng: np.random.Generator) -> list[Entry]:
    """Return the entries by lot, so that every beginning has its share of each anomaly type."""
    kinds: dict[tuple[str, ...], list[int]] = {}
    for position in rng.permutation(len(entries)).tolist():
        kinds.setdefault(types[entries[position].source], []).append(position)
    places = np.zeros(len(entries))
    for positions in kinds.values():
        places[positions] = (np.arange(len(positions)) + rng.random()) / len(positions)
    return [entries[position] for position in np.argsort(places, kind="stable").tolist()]


def _plan(shares: Sequence[float], normals: int, anomalies: int) -> list[tuple[int, int]]:
    """Return the numbers of normal images and anomalies to train with: one varies, of the other there are all."""
    plan = [(max(FEWEST, round(share * normals)), anomalies) for share in shares]
    plan += [(normals, max(FEWEST, round(share * anomalies))) for share in shares]
    return list(dict.fromkeys(plan))


def _types(entry: Entry) -> tuple[str, ...]:
    """Return the anomaly types that are painted on an image; its colour map may name more."""
    if entry.label is not Label.ANOMALY or entry.mask is None or not entry.types:
        return ()
    with suppress(VisionError):  # masks are not learned: one that cannot be read only tells nothing here
        mask = read_mask(entry.mask)
        return tuple(mask.names[number] for number in np.unique(mask.ids).tolist() if number)
    return ()
