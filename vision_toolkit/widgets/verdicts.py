"""What a model said of the images of a review, as numbers that a page can count in no time.

Scores and thresholds are whole ten-thousandths here ("ticks"), because a verdict rounds both to four digits: the page
and the kernel then agree to the last image, and 200,000 scores are 10,001 counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from vision_toolkit.core.entry import Entry, Label
from vision_toolkit.core.errors import Failed, Invalid, Unsupported, VisionError
from vision_toolkit.core.mask import BACKGROUND
from vision_toolkit.core.prediction import Prediction
from vision_toolkit.metrics.counts import Counts
from vision_toolkit.metrics.evaluation import Evaluation
from vision_toolkit.models.progress import Progress
from vision_toolkit.widgets.layers import heat_layer, mask_layer
from vision_toolkit.widgets.ordering import Predicting

__all__ = ["NONE", "TICKS", "TRUTH", "Filter", "Verdicts", "from_evaluation", "from_model", "tick_of"]

TICKS = 10_000
"""What a score of 1 is."""
NONE = 65_535
"""Stands where there is no score: the image cannot be read, or was not judged."""
TRUTH = {Label.UNLABELLED: 0, Label.NORMAL: 1, Label.ANOMALY: 2}
"""How what is known of an image is written."""
Filter = Literal["wrong", "fn", "fp", "tp", "tn", "unlabelled", "all"]
"""Which images to show: wrong verdicts, missed, false alarms, found, rightly passed, without a label, all."""
PREDICTED, TRUE = 1, 2
"""Bits of a type: the model painted it; the manifest's mask has it."""
_SIDE = 96
"""Pixels of the longer side of what is laid over a small picture."""
_GROUP = 32


@dataclass(frozen=True, eq=False)
class Verdicts:
    """Hold what was said of each image.

    Parameters
    ----------
    entries
        the images.
    ticks
        (n,) uint16: scores in ten-thousandths, or :data:`NONE`.
    layers
        what to lay over each small picture, PNG: heat map and mask, where there are any.
    types
        anomaly types that the model or the manifest knows.
    painted
        (n, number of types) uint8: bits :data:`PREDICTED` and :data:`TRUE`.
    errors
        by item, why there is no score.
    """

    entries: Sequence[Entry]
    ticks: NDArray[np.uint16]
    layers: Sequence[dict[str, bytes]]
    types: tuple[str, ...] = ()
    painted: NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, 0), np.uint8))
    errors: dict[int, str] = field(default_factory=dict)

    def outcomes(self, truth: NDArray[np.uint8], tick: int) -> NDArray[np.str_]:
        """Return of each image fn, fp, tp, tn, unlabelled, or nothing where there is no score."""
        called = self.ticks >= tick
        found = np.where(called, np.where(truth == 2, "tp", "fp"), np.where(truth == 2, "fn", "tn"))
        found = np.where(truth == 0, "unlabelled", found)
        return np.where(self.ticks == NONE, "", found)

    def counts(self, truth: NDArray[np.uint8], tick: int) -> Counts:
        """Return hits and misses at a threshold."""
        found = self.outcomes(truth, tick)
        return Counts(*(int((found == name).sum()) for name in ("tp", "fp", "fn", "tn")))

    def order(
        self, truth: NDArray[np.uint8], tick: int, show: str = "all", type: str | None = None
    ) -> NDArray[np.intp]:
        """Return which images to show, the worst first.

        Wrong verdicts first, the surest ahead; then right ones, the least sure ahead; then images without a label, the
        closest to the threshold ahead; then those without a score. The page does the same (review.js).
        """
        if show not in get_args(Filter):
            raise Invalid(f"What to show is one of {', '.join(map(repr, get_args(Filter)))}; {show!r} was given.")
        if type is not None and type not in self.types:
            raise Invalid(f"There is no type {type!r}; there are {', '.join(map(repr, self.types)) or 'none'}.")
        found = self.outcomes(truth, tick)
        ticks = self.ticks.astype(np.int64)
        wrongness = np.where(truth == 2, TICKS - ticks, ticks)
        key = TICKS - wrongness + np.where((found == "fn") | (found == "fp"), 0, 20_000)
        key = np.where(truth == 0, 40_000 + abs(ticks - tick), key)
        key = np.where(self.ticks == NONE, 60_000, key)
        wanted = np.ones(len(ticks), np.bool_)
        if show == "wrong":
            wanted = (found == "fn") | (found == "fp")
        elif show != "all":
            wanted = found == show
        if type is not None:
            wanted &= self.painted[:, self.types.index(type)] > 0
        order = np.argsort(key, kind="stable")
        return order[wanted[order]]

    def mended(self, item: int) -> None:
        """Take the types that an image has by now, of those that are known."""
        types = self.entries[item].types
        for place, name in enumerate(self.types):
            self.painted[item, place] = self.painted[item, place] & PREDICTED | TRUE * (name in types)


def tick_of(score: float) -> int:
    """Return a score or threshold from 0 to 1 in ten-thousandths, rounded as verdicts are.

    Examples
    --------
    >>> tick_of(0.45674), tick_of(1)
    (4567, 10000)
    """
    return round(round(score, 4) * TICKS)


def from_model(model: Predicting, entries: Sequence[Entry], tell: Progress, *, types: Sequence[str] = ()) -> Verdicts:
    """Let a model judge images; one that cannot be read has no score, and ends nothing.

    ``types`` are anomaly types beside those of the model and of the images.

    Raises
    ------
    Unsupported
        if the model gives no verdicts.
    """
    ticks = np.full(len(entries), NONE, np.uint16)
    layers: list[dict[str, bytes]] = [{} for _ in entries]
    errors: dict[int, str] = {}
    seen: list[tuple[str, ...]] = [()] * len(entries)
    for item, answer in enumerate(_answers(model, entries)):
        tell((item + 1) / len(entries), f"judging {item + 1:,} of {len(entries):,}")
        if isinstance(answer, str):
            errors[item] = answer
            continue
        if answer.score is None:
            raise Unsupported(f"A {answer.task} model gives no verdict normal or anomaly; there is nothing to review.")
        ticks[item] = tick_of(answer.score)
        seen[item] = tuple(name for name, area in answer.areas().items() if area and name != BACKGROUND)
        layers[item] = _layers(answer)
    return _verdicts(entries, ticks, layers, seen, errors, known=[*getattr(model, "types", ()), *types])


def from_evaluation(evaluation: Evaluation, entries: Sequence[Entry], *, types: Sequence[str] = ()) -> Verdicts:
    """Take what an evaluation holds of images, by their sources; ``types`` are anomaly types beside theirs.

    Raises
    ------
    Invalid
        if it holds none of them.
    """
    rows = {row.source: row for row in evaluation.rows}
    if not any(entry.source in rows for entry in entries):
        raise Invalid(
            "The evaluation knows none of these images; give the manifest that was evaluated, or the model and any one."
        )
    ticks = np.full(len(entries), NONE, np.uint16)
    layers: list[dict[str, bytes]] = [{} for _ in entries]
    seen: list[tuple[str, ...]] = [()] * len(entries)
    errors = {}
    for item, entry in enumerate(entries):
        row = rows.get(entry.source)
        if row is None:
            errors[item] = "The evaluation does not know this image."
            continue
        ticks[item] = tick_of(row.score)
        seen[item] = tuple(name for name, area in row.areas.items() if area and name != BACKGROUND)
        layers[item] = {} if row.map is None else {"heat": heat_layer(row.map, side=_SIDE)}
    return _verdicts(entries, ticks, layers, seen, errors, known=types)


def _layers(prediction: Prediction) -> dict[str, bytes]:
    found = {}
    if prediction.map is not None:
        found["heat"] = heat_layer(prediction.map, side=_SIDE)
    if prediction.mask is not None and prediction.mask.ids.any():
        found["mask"] = mask_layer(prediction.mask, side=_SIDE)
    return found


def _verdicts(
    entries: Sequence[Entry],
    ticks: NDArray[np.uint16],
    layers: Sequence[dict[str, bytes]],
    seen: Sequence[Sequence[str]],
    errors: dict[int, str],
    known: Sequence[str] = (),
) -> Verdicts:
    named = dict.fromkeys([*known, *(name for one in seen for name in one), *(n for e in entries for n in e.types)])
    places = {name: place for place, name in enumerate(named)}
    painted = np.zeros((len(entries), len(places)), np.uint8)
    for item, entry in enumerate(entries):
        for name in seen[item]:
            painted[item, places[name]] |= PREDICTED
        for name in entry.types:
            painted[item, places[name]] |= TRUE
    return Verdicts(entries, ticks, layers, tuple(named), painted, errors)


def _answers(model: Predicting, entries: Sequence[Entry]) -> Iterator[Prediction | str]:
    """Yield what is said of each image, or why nothing is: a broken image ends only itself."""
    done = 0
    while done < len(entries):
        try:
            for prediction in model.predict_all(entries[done:]):
                yield prediction
                done += 1
            if done < len(entries):
                raise Failed(f"The model answered {done} of {len(entries)} images.")
        except Failed:
            raise
        except VisionError:  # of one of the next images, for they are read ahead
            for entry in entries[done : done + _GROUP]:
                yield _answer(model, entry)
                done += 1


def _answer(model: Predicting, entry: Entry) -> Prediction | str:
    try:
        return next(iter(model.predict_all([entry])))
    except Unsupported:
        raise
    except VisionError as error:
        return str(error)
