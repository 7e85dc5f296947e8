"""Judge a model on images whose answers are known, and keep every answer to look at."""

from __future__ import annotations

import html
import math
import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from itertools import repeat, zip_longest
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from vision_toolkit.core.entry import Entry, Label
from vision_toolkit.core.errors import Invalid
from vision_toolkit.core.mask import Mask
from vision_toolkit.core.prediction import Prediction, Task
from vision_toolkit.metrics import curves, scores
from vision_toolkit.metrics.counts import Counts, count
from vision_toolkit.metrics.forecast import Forecast
from vision_toolkit.metrics.intervals import (
    Score,
    answered_proportion,
    average_precision_interval,
    f1_interval,
    mean_interval,
    number_or_none,
    proportion_interval,
    roc_auc_interval,
)
from vision_toolkit.metrics.thresholds import Rule, choose_threshold
from vision_toolkit.metrics.type_scores import TypeScore, TypeTally

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from vision_toolkit.metrics.moves import Move

__all__ = ["Evaluation", "Kind", "Masks", "Outcome", "Row"]

Kind = Literal["test", "cross-validation"]
Outcome = Literal["tp", "fp", "fn", "tn"]
Masks = Iterable[Mask | None] | Callable[[Entry], Mask | None]

_TITLES = {"f1": "F1", "roc_auc": "ROC AUC", "average_precision": "average precision", "brier": "Brier score"}


@dataclass(frozen=True, eq=False, slots=True)
class Row:
    """Hold what is known and what was said of one image.

    Parameters
    ----------
    source
        the image as the manifest names it.
    location
        where its bytes are.
    label
        what is known: normal or anomaly.
    is_anomalous
        what the model said.
    confidence
        how sure it was of that, 0 to 1.
    score
        probability of an anomaly, 0 to 1.
    threshold
        the score from which it would have said anomaly.
    map
        heat map, (h, w) float32, or None.
    areas
        fraction of the image of each class in the predicted mask, background first; empty without one.

    Examples
    --------
    >>> Row("1.png", "1.png", Label.ANOMALY, False, 0.7, 0.3, 0.5).outcome
    'fn'
    """

    source: str
    location: str
    label: Label
    is_anomalous: bool
    confidence: float
    score: float
    threshold: float
    map: NDArray[np.float32] | None = field(default=None, repr=False)
    areas: Mapping[str, float] = field(default_factory=dict, repr=False)

    @property
    def outcome(self) -> Outcome:
        """Return tp (found), fp (false alarm), fn (missed) or tn (rightly passed)."""
        if self.label is Label.ANOMALY:
            return "tp" if self.is_anomalous else "fn"
        return "fp" if self.is_anomalous else "tn"

    @property
    def is_error(self) -> bool:
        """Return whether the verdict was wrong."""
        return self.outcome in ("fp", "fn")

    def to_dict(self) -> dict[str, Any]:
        """Return the plain facts, ready for JSON; without the heat map."""
        return {
            "source": self.source, "label": str(self.label), "is_anomalous": self.is_anomalous,
            "outcome": self.outcome, "confidence": self.confidence, "score": self.score,
            "threshold": number_or_none(self.threshold), "areas": dict(self.areas),
        }  # fmt: skip


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Hold how a model did on images whose answers are known.

    Every score knows its interval and how many images it rests on. Scores of a class that the test set does not
    have are nan, never an error.

    Parameters
    ----------
    rows
        one :class:`Row` an image, in the order of the manifest.
    kind
        ``"test"``: images kept apart; ``"cross-validation"``: each image judged by a model that did not see it.
    threshold
        the common threshold, or the median where each fold had its own; nan without images.
    types
        anomaly type to :class:`TypeScore`; empty without masks.
    training_images
        how many images the model learned from.
    unlabelled
        how many images were left out because nobody said what they are.
    seed
        of the intervals that resample.
    created
        when it was made, UTC.

    Examples
    --------
    >>> from vision_toolkit.core import Entry, Prediction, Task
    >>> entries = [Entry("1.png", Label.NORMAL), Entry("2.png", Label.ANOMALY), Entry("3.png", Label.ANOMALY)]
    >>> answers = [Prediction(Task.CLASSIFICATION, score=s, threshold=0.5) for s in (0.1, 0.4, 0.9)]
    >>> evaluation = Evaluation.from_predictions(entries, answers)
    >>> evaluation.counts
    Counts(tp=1, fp=0, fn=1, tn=1)
    >>> evaluation.recall
    0.500 (0.026-0.974, n=2)
    >>> evaluation.at(0.3).recall
    1.000 (0.178-1.000, n=2)
    >>> [row.source for row in evaluation.worst(1)]
    ['2.png']
    """

    rows: tuple[Row, ...]
    kind: Kind = "test"
    threshold: float = math.nan
    types: Mapping[str, TypeScore] = field(default_factory=dict)
    training_images: int = 0
    unlabelled: int = 0
    seed: int = 0
    created: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        if self.kind not in ("test", "cross-validation"):
            raise Invalid(f'kind is "test" or "cross-validation"; {self.kind!r} was given.')

    @classmethod
    def from_predictions(
        cls,
        entries: Iterable[Entry],
        predictions: Iterable[Prediction],
        *,
        kind: Kind = "test",
        masks: Masks | None = None,
        training_images: int = 0,
        seed: int = 0,
        created: datetime | None = None,
    ) -> Evaluation:
        """Compare predictions with what is known; one pass, so that both may be streams.

        Parameters
        ----------
        entries
            images and their labels; unlabelled ones are counted and left out.
        predictions
            one an entry, in the same order. The verdict is each prediction's own; its mask is not kept.
        kind
            ``"test"`` or ``"cross-validation"``.
        masks
            the true masks: one an entry, in the same order, or a function of the entry. None means: no defect on
            a normal image, not known on an anomalous one. Without ``masks`` no pixels are counted.
        training_images, seed, created
            as of :class:`Evaluation`.

        Raises
        ------
        Invalid
            if the streams differ in length, a prediction names another image, or a mask has another size.
        Unsupported
            if a prediction gives no verdict.
        """
        tally = TypeTally()
        rows: list[Row] = []
        unlabelled = 0
        for number, (entry, prediction, mask) in enumerate(_together(entries, predictions, masks), 1):
            if not entry.is_labelled:
                unlabelled += 1
                continue
            rows.append(_row(entry, prediction, number))
            if masks is not None and prediction.mask is not None:
                true = mask(entry) if callable(mask) else mask
                tally.add(entry, true, prediction.mask)
        thresholds = [row.threshold for row in rows]
        threshold = statistics.median(thresholds) if thresholds else math.nan
        now = created if created is not None else datetime.now(UTC)
        return cls(tuple(rows), kind, threshold, tally.scores(), training_images, unlabelled, seed, now)

    @property
    def n(self) -> int:
        """Return how many images were judged."""
        return len(self.rows)

    @property
    def n_anomaly(self) -> int:
        """Return how many of them are anomalies."""
        return self.counts.tp + self.counts.fn

    @property
    def n_normal(self) -> int:
        """Return how many of them are normal."""
        return self.counts.tn + self.counts.fp

    @cached_property
    def counts(self) -> Counts:
        """Return hits and misses."""
        return count(self._truth, np.array([row.is_anomalous for row in self.rows], np.bool_))

    @property
    def precision(self) -> Score:
        """Return the share of called anomalies that are some; ``n`` is how many were called."""
        counts = self.counts
        return answered_proportion(scores.precision(counts), counts.tp, counts.tp + counts.fp)

    @property
    def recall(self) -> Score:
        """Return the share of anomalies that were found; ``n`` is how many there are."""
        return proportion_interval(self.counts.tp, self.n_anomaly)

    @property
    def f1(self) -> Score:
        """Return the harmonic mean of precision and recall; ``n`` is all images but the true negatives."""
        return f1_interval(self.counts)

    @property
    def accuracy(self) -> Score:
        """Return the share of right verdicts."""
        return proportion_interval(self.counts.tp + self.counts.tn, self.n)

    @property
    def roc_auc(self) -> Score:
        """Return how often an anomaly scores above a normal image, whatever the threshold."""
        return roc_auc_interval(curves.roc_auc(self._truth, self._scores), self.n_anomaly, self.n_normal)

    @cached_property
    def average_precision(self) -> Score:
        """Return the mean precision over the anomalies, each at its own score."""
        return average_precision_interval(self._truth, self._scores, seed=self.seed)

    @property
    def brier(self) -> Score:
        """Return the mean squared distance of score and truth, 0 (perfect) to 1.

        Coverage of the interval at 95 %, simulated for 20 to 300 images with scores that are right or too sure by half:
        91-100 %.
        """
        return mean_interval((self._scores - self._truth) ** 2)

    def at(self, threshold: Rule, *, prevalence: float | None = None) -> Evaluation:
        """Return the same images under another threshold; masks and their scores do not move with it.

        Parameters
        ----------
        threshold
            0 to 1, or a rule as :func:`~vision_toolkit.metrics.choose_threshold` takes it, such as
            ``"at_cost(miss=50, reject=1)"``. A rule looks at the answers of these very images, so it is for
            exploring, and the scores under it flatter. The threshold to work with is chosen on validated scores of
            the training images: give the rule to :func:`vision_toolkit.train`.
        prevalence
            the share of anomalies where the model will work, for a rule; None for that of these images.

        Raises
        ------
        Invalid
            if the threshold lies outside 0 to 1, the rule is unknown, or these images cannot meet it.
        """
        cut = choose_threshold(threshold, self._truth, self._scores, prevalence=prevalence)
        rows = []
        for row in self.rows:
            moved = Prediction(Task.CLASSIFICATION, score=row.score, threshold=cut)
            rows.append(replace(row, is_anomalous=moved.is_anomalous, confidence=moved.confidence, threshold=cut))
        return replace(self, rows=tuple(rows), threshold=cut)

    def effect(self, threshold: Rule, *, prevalence: float | None = None) -> Move:
        """Return what another threshold would change: scores, images that change side, alarms and misses.

        For exploring, as :meth:`at`: a threshold to work with comes from validated scores, never from a test set.

        Parameters
        ----------
        threshold
            0 to 1, or a rule, as :meth:`at` takes it.
        prevalence
            the share of anomalies where the model will work: it weighs in a rule, and precision, F1, alarms and misses
            are told for it. None for that of these images.

        Raises
        ------
        Invalid
            as :meth:`at`, and if ``prevalence`` is out of range.

        Examples
        --------
        >>> entries = [Entry(f"{i}.png", Label.ANOMALY if i > 5 else Label.NORMAL) for i in range(10)]
        >>> answers = [Prediction(Task.CLASSIFICATION, score=i / 10, threshold=0.75) for i in range(10)]
        >>> move = Evaluation.from_predictions(entries, answers).effect(0.45, prevalence=0.05)
        >>> [change.b.source for change in move.changed]
        ['5.png', '7.png', '6.png']
        >>> move.forecasts[1].alarms
        208.333 (56.137-585.328, n=10)
        """
        from vision_toolkit.metrics.moves import Move  # which stands on this file

        return Move(self, self.at(threshold, prevalence=prevalence), prevalence, threshold)

    def forecast(self, prevalence: float | None = None, *, parts: int = 1000) -> Forecast:
        """Return how many alarms and misses to expect where anomalies are rarer, or more common, than here.

        Parameters
        ----------
        prevalence
            the share of anomalies among the parts, 0 to 1, both excluded; None for that of these images.
        parts
            how many parts the numbers are told for.

        Raises
        ------
        Invalid
            if ``prevalence`` or ``parts`` is out of range.
        """
        return Forecast(self.counts, prevalence, parts)

    def worst(self, n: int = 10) -> tuple[Row, ...]:
        """Return the rows to look at first: errors, the surest ahead, then right verdicts, the least sure ahead."""

        def order(row: Row) -> tuple[bool, float]:
            return not row.is_error, row.score if row.label is Label.ANOMALY else 1.0 - row.score

        return tuple(sorted(self.rows, key=order)[: max(0, n)])

    def roc(self) -> curves.RocCurve:
        """Return the receiver operating characteristic."""
        return curves.roc_curve(self._truth, self._scores)

    def pr(self) -> curves.PrCurve:
        """Return precision and recall at every threshold."""
        return curves.pr_curve(self._truth, self._scores)

    def calibration(self, *, bins: int = 10) -> curves.Calibration:
        """Return how well the scores keep their word as probabilities."""
        return curves.calibration(self._truth, self._scores, bins=bins)

    def to_dict(self, *, rows: bool = False) -> dict[str, Any]:
        """Return the plain facts, ready for JSON: None where a score is undefined; the rows if asked for."""
        counts = self.counts
        facts: dict[str, Any] = {
            "kind": self.kind, "created": self.created.isoformat(), "threshold": number_or_none(self.threshold),
            "images": self.n, "normal": self.n_normal, "anomaly": self.n_anomaly, "unlabelled": self.unlabelled,
            "training_images": self.training_images,
            "counts": {"tp": counts.tp, "fp": counts.fp, "fn": counts.fn, "tn": counts.tn},
            "scores": {name: score.to_dict() for name, score in self._named_scores().items()},
            "calibration": self._calibration_facts(),
            "types": {name: score.to_dict() for name, score in self.types.items()},
        }  # fmt: skip
        return facts | ({"rows": [row.to_dict() for row in self.rows]} if rows else {})

    def to_frame(self) -> pd.DataFrame:
        """Return one line an image: source, label, verdict, outcome, confidence, score, threshold."""
        import pandas as pd

        names = ["source", "label", "is_anomalous", "outcome", "confidence", "score", "threshold"]
        return pd.DataFrame([{name: row.to_dict()[name] for name in names} for row in self.rows], columns=names)

    def show(self) -> Figure:
        """Draw counts, scores, their calibration and both curves; a panel that one class alone cannot give says so.

        Returns
        -------
        Figure
            2 x 3 panels.
        """
        import matplotlib.pyplot as plt

        from vision_toolkit.plots import charts
        from vision_toolkit.plots.style import detached

        figure, panels = plt.subplots(2, 3, figsize=(14.5, 8.2), layout="constrained")
        (matrix, histogram, reliability), (pr, roc, bars) = panels
        for ax in panels.flat:
            if not self.n or (ax in (pr, roc) and not (self.n_anomaly and self.n_normal)):
                ax.set_axis_off()
                ax.text(0.5, 0.5, "Needs normal images and anomalies.", ha="center", va="center")
        if self.n:
            counts = self.counts
            known = [str(row.label) for row in self.rows]
            charts.confusion_matrix(counts.tp, counts.fp, counts.fn, counts.tn, ax=matrix)
            line = None if math.isnan(self.threshold) else self.threshold
            charts.score_histogram(self._scores, known, threshold=line, ax=histogram)
            kept = self.calibration()
            ends: dict[str, Any] = {"counts": kept.counts.tolist(), "lows": kept.lows, "highs": kept.highs}
            ends |= {"error": kept.error, "brier": kept.brier}
            charts.reliability(kept.scores, kept.frequencies, **ends, ax=reliability)
            told = self._named_scores()
            values = (list(told.values()), *([getattr(one, end) for one in told.values()] for end in ("low", "high")))
            charts.interval_bars(
                [_TITLES.get(name, name) for name in told], *values, counts=[one.n for one in told.values()], ax=bars
            )
        if self.n_anomaly and self.n_normal:
            curve, rates = self.pr(), self.roc()
            here = (float(self.recall), float(self.precision))
            area = float(self.average_precision)
            charts.pr_curve(curve.recall, curve.precision, ax=pr, average_precision=area, point=here)
            charts.roc_curve(rates.fpr, rates.tpr, ax=roc, auc=float(self.roc_auc))
        return detached(figure)

    def __repr__(self) -> str:
        named = self._named_scores()
        told = ", ".join(
            f"{title} {_brief(named[name])}"
            for title, name in (("F1", "f1"), ("precision", "precision"), ("recall", "recall"))
        )
        cut = "" if math.isnan(self.threshold) else f", threshold {self.threshold:.2f}"
        return f"Evaluation({self.kind}, {self.n} images: {told}{cut})"

    def _repr_html_(self) -> str:
        lines = "".join(
            f"<tr><th style='text-align:left'>{_TITLES.get(name, name)}</th><td>{_value(score)}</td>"
            f"<td>{_range(score)}</td><td>{score.n}</td></tr>"
            for name, score in (self._named_scores() | {"brier": self.brier}).items()
        )
        kept = self.calibration()
        if self.n:
            lines += (
                f"<tr><th style='text-align:left'>calibration error</th><td>{kept.error:.3f}</td>"
                f"<td>{kept.by_chance:.3f} by chance</td><td>{self.n}</td></tr>"
            )
        lines += "".join(
            f"<tr><th style='text-align:left'>{html.escape(name)}: IoU</th><td>{_value(one.aiou)}</td>"
            f"<td>{_range(one.aiou)}</td><td>{one.aiou.n}</td></tr>"
            for name, one in self.types.items()
        )
        counts = self.counts
        told = (
            f"{self.kind}, {self.n} images ({self.n_normal} normal, {self.n_anomaly} anomalies): {counts.tp} found, "
            f"{counts.fn} missed, {counts.fp} false alarms, {counts.tn} rightly passed"
        )
        head = "<tr><th></th><th>score</th><th>95 % interval</th><th>n</th></tr>"
        return f"<table><caption>{told}</caption><thead>{head}</thead><tbody>{lines}</tbody></table>"

    @cached_property
    def _truth(self) -> NDArray[np.bool_]:
        return np.array([row.label is Label.ANOMALY for row in self.rows], np.bool_)

    @cached_property
    def _scores(self) -> NDArray[np.float64]:
        return np.array([row.score for row in self.rows], np.float64)

    def _calibration_facts(self) -> dict[str, Any]:
        kept = self.calibration()
        return {
            "error": number_or_none(kept.error), "by_chance": number_or_none(kept.by_chance),
            "brier": self.brier.to_dict(), "bins": kept.counts.size,
        }  # fmt: skip

    def _named_scores(self) -> dict[str, Score]:
        return {
            "f1": self.f1, "precision": self.precision, "recall": self.recall, "accuracy": self.accuracy,
            "roc_auc": self.roc_auc, "average_precision": self.average_precision,
        }  # fmt: skip


def _together(
    entries: Iterable[Entry], predictions: Iterable[Prediction], masks: Masks | None
) -> Iterable[tuple[Entry, Prediction, Any]]:
    """Walk through the streams side by side; one that ends early is an error, not a shorter test."""
    missing = object()
    if masks is None or callable(masks):
        beside: Iterable[Any] = zip(predictions, repeat(masks))
    else:
        beside = zip_longest(predictions, masks, fillvalue=missing)
    for number, (entry, pair) in enumerate(zip_longest(entries, beside, fillvalue=missing), 1):
        if entry is missing or pair is missing or missing in pair:  # type: ignore[operator]
            raise Invalid(
                f"Entries, predictions and masks must be equally many, in one order; one of them ended before number "
                f"{number}. Give one prediction an entry, unlabelled ones too."
            )
        yield entry, *pair  # type: ignore[misc]


def _row(entry: Entry, prediction: Prediction, number: int) -> Row:
    said, sure = prediction.is_anomalous, prediction.confidence
    # A prediction may name the image by where it lay; another file name means that the order is wrong.
    if prediction.source not in (None, entry.source, entry.location) and not _same_name(
        prediction.source, entry.source
    ):
        raise Invalid(
            f"Prediction {number} is of {prediction.source!r}, entry {number} is {entry.source!r}. Give predictions "
            "in the order of the entries."
        )
    score, threshold = prediction.score, prediction.threshold
    assert score is not None  # else is_anomalous had raised
    assert threshold is not None
    return Row(
        entry.source, entry.location, entry.label, said, sure, score, threshold, prediction.map, prediction.areas()
    )


def _same_name(one: str | None, other: str) -> bool:
    return one is not None and PurePath(one.replace("\\", "/")).name == PurePath(other.replace("\\", "/")).name


def _value(score: Score) -> str:
    return "undefined" if math.isnan(score) else f"{float(score):.3f}"


def _range(score: Score) -> str:
    return "" if math.isnan(score.low) else f"{score.low:.2f}-{score.high:.2f}"


def _brief(score: Score) -> str:
    return f"{_value(score)} ({_range(score)})" if _range(score) else _value(score)
