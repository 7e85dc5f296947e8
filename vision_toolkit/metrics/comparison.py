"""Compare two models on the same images, and rank them only if the images can tell them apart."""

from __future__ import annotations

import html
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from vision_toolkit.core.entry import Entry, Label
from vision_toolkit.core.errors import Invalid
from vision_toolkit.metrics import paired
from vision_toolkit.metrics.evaluation import Evaluation, Row
from vision_toolkit.metrics.intervals import Score, number_or_none

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["Change", "Comparison", "compare_evaluations"]

Side = Literal["a", "b"]

_TITLES = {"f1": "F1", "roc_auc": "ROC AUC", "false_alarm_rate": "false alarms", "miss_rate": "misses"}
_NAMED = 5  # images that an error tells of
_LISTED = 10  # changed images in a notebook; all are in the frame


@dataclass(frozen=True, eq=False, slots=True)
class Change:
    """Hold one image on which the two models disagree.

    Parameters
    ----------
    a, b
        what each said of it; source and label are the same in both.

    Examples
    --------
    >>> a = Row("1.png", "1.png", Label.ANOMALY, False, 0.8, 0.2, 0.5)
    >>> b = Row("1.png", "1.png", Label.ANOMALY, True, 0.9, 0.9, 0.6)
    >>> change = Change(a, b)
    >>> change.right, round(change.margin, 2), change.entry.location
    ('b', 0.6, '1.png')
    """

    a: Row
    b: Row

    @property
    def right(self) -> Side:
        """Return which of the two is right."""
        return "b" if self.a.is_error else "a"

    @property
    def margin(self) -> float:
        """Return how far the verdicts lie apart: both distances of score and threshold, added up.

        Where a threshold is not known, the distance of the two scores.
        """
        far = abs(self.a.score - self.a.threshold) + abs(self.b.score - self.b.threshold)
        return abs(self.a.score - self.b.score) if math.isnan(far) else far

    @property
    def entry(self) -> Entry:
        """Return the image, to look at."""
        # b is the newer one: where its bytes lie is likelier to be true still.
        at = self.b.location if self.b.location != self.b.source else self.a.location
        return Entry(self.b.source, self.b.label, at=at)

    def to_dict(self) -> dict[str, Any]:
        """Return the plain facts, ready for JSON: source, truth, who is right, verdict and score of both."""
        facts: dict[str, Any] = {"source": self.b.source, "label": str(self.b.label), "right": self.right}
        for side, row in (("a", self.a), ("b", self.b)):
            facts[f"{side}_verdict"] = str(Label.ANOMALY if row.is_anomalous else Label.NORMAL)
            facts[f"{side}_score"] = row.score
            facts[f"{side}_threshold"] = number_or_none(row.threshold)
        return facts


@dataclass(frozen=True, eq=False)
class Comparison:
    """Hold how two models did on the same images; made by :func:`compare_evaluations`.

    All differences are *b minus a*. Which is better is decided by the number of right verdicts alone, with
    McNemar's exact test. The other scores say where the difference lies; picking the one that came out best is no
    test. The same holds for many models compared one after another: of twenty equal ones, one will look better.
    For k comparisons ask for more, ``confidence=1 - 0.05 / k``, and judge the winner once more on new images.

    Parameters
    ----------
    a, b
        both evaluations, of the same images in the same order.
    names
        what the two are called in words.
    confidence
        of the intervals; the two are ranked if the p value is below ``1 - confidence``.
    left_out
        how many images only a, only b had, and were not compared.
    resamples, seed
        of the intervals that resample.

    Examples
    --------
    >>> from vision_toolkit.core import Prediction, Task
    >>> entries = [Entry(f"{i}.png", Label.ANOMALY if i < 15 else Label.NORMAL) for i in range(40)]
    >>> def judged(wrong):
    ...     scores = [0.9 if (e.label is Label.ANOMALY) != (i in wrong) else 0.1 for i, e in enumerate(entries)]
    ...     answers = [Prediction(Task.CLASSIFICATION, score=score, threshold=0.5) for score in scores]
    ...     return Evaluation.from_predictions(entries, answers)
    >>> comparison = compare_evaluations(judged({3}), judged({5, 20}))
    >>> comparison.better, comparison.p_value
    (None, 1.0)
    >>> print(comparison)
    These 40 images cannot tell a and b apart: they disagree on 3 (2 for a, 1 for b), p = 1.00; about 940 images would
    be needed to see a difference of this size.
    >>> print(compare_evaluations(judged(range(10, 20)), judged({3})))
    b is better: of the 11 images (of 40) on which they disagree, b is right on 10 and a on 1, p = 0.012; b gives 5
    fewer false alarms and misses 4 fewer anomalies.
    """

    a: Evaluation
    b: Evaluation
    names: tuple[str, str] = ("a", "b")
    confidence: float = 0.95
    left_out: tuple[int, int] = (0, 0)
    resamples: int = field(default=10_000, repr=False)
    seed: int = 0

    @property
    def n(self) -> int:
        """Return how many images were compared."""
        return self.a.n

    @cached_property
    def right(self) -> tuple[int, int]:
        """Return on how many images only a, and only b, is right."""
        return self._only("tp", "tn", "fp", "fn")

    @property
    def p_value(self) -> float:
        """Return McNemar's exact p value, 0 to 1: how likely equal models would be as unevenly right."""
        return paired.mcnemar(*self.right)

    @property
    def better(self) -> Side | None:
        """Return "a" or "b", or None if these images cannot say.

        None too where one surely gives fewer false alarms and the other surely misses less: which of the two is
        better depends on what a miss costs.
        """
        if self.p_value >= self._alpha or self._is_trade():
            return None
        return "b" if self.right[1] > self.right[0] else "a"

    @property
    def false_alarms(self) -> tuple[int, int]:
        """Return how many normal images a, and b, called anomalies."""
        return self.a.counts.fp, self.b.counts.fp

    @property
    def misses(self) -> tuple[int, int]:
        """Return how many anomalies a, and b, missed."""
        return self.a.counts.fn, self.b.counts.fn

    @property
    def images_needed(self) -> int | None:
        """Return how many images would most likely show a difference of the size seen here; None if there is none."""
        return paired.images_needed(*self.right, self.n, confidence=self.confidence)

    @cached_property
    def differences(self) -> Mapping[str, Score]:
        """Return every score of b minus that of a, with its interval; undefined where a class is absent.

        f1, precision, recall, accuracy, roc_auc, average_precision, and the rates miss_rate (of the anomalies) and
        false_alarm_rate (of the normal images). Each interval is told at its function in
        :mod:`vision_toolkit.metrics.paired`. With few disagreements the exact test of :attr:`p_value` is stricter
        than the interval of the accuracy.
        """
        truth = np.array([row.label is Label.ANOMALY for row in self.a.rows], np.bool_)
        said_a, said_b, scores_a, scores_b = (
            np.array([getattr(row, name) for row in one.rows])
            for name in ("is_anomalous", "score")
            for one in (self.a, self.b)
        )
        sure = self.confidence
        drawn: dict[str, Any] = {"confidence": sure, "seed": self.seed, "resamples": self.resamples}
        found = paired.proportion_difference(*self._only("tp", "fn"), self.a.n_anomaly, confidence=sure)
        passed = paired.proportion_difference(*self._only("tn", "fp"), self.a.n_normal, confidence=sure)
        told = {
            "f1": paired.f1_difference(truth, said_a, said_b, **drawn),
            "precision": paired.precision_difference(truth, said_a, said_b, **drawn),
            "recall": found,
            "accuracy": paired.proportion_difference(*self.right, self.n, confidence=sure),
            "roc_auc": paired.roc_auc_difference(truth, scores_a, scores_b, confidence=sure),
            "average_precision": paired.average_precision_difference(truth, scores_a, scores_b, **drawn),
            "miss_rate": _negated(found),
            "false_alarm_rate": _negated(passed),
        }
        return MappingProxyType(told)

    @cached_property
    def changed(self) -> tuple[Change, ...]:
        """Return the images on which the two disagree, those whose verdicts lie farthest apart first."""
        pairs = zip(self.a.rows, self.b.rows, strict=True)
        changes = [Change(a, b) for a, b in pairs if a.is_anomalous is not b.is_anomalous]
        return tuple(sorted(changes, key=lambda change: (-change.margin, change.b.source)))

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Return the changed images as entries, in the same order: ``Manifest(comparison.entries).show()``."""
        return tuple(change.entry for change in self.changed)

    def to_dict(self, *, rows: bool = False) -> dict[str, Any]:
        """Return the plain facts, ready for JSON: None where undefined; the changed images if asked for."""
        facts: dict[str, Any] = {
            "verdict": str(self), "better": self.better, "p_value": self.p_value, "names": list(self.names),
            "images": self.n, "normal": self.a.n_normal, "anomaly": self.a.n_anomaly,
            "left_out": _by_side(self.left_out), "confidence": self.confidence,
            "only_right": _by_side(self.right), "misses": _by_side(self.misses),
            "false_alarms": _by_side(self.false_alarms), "images_needed": self.images_needed,
            "scores": {
                name: {"a": number_or_none(a), "b": number_or_none(b), "difference": self.differences[name].to_dict()}
                for name, (a, b) in self._values().items()
            },
        }  # fmt: skip
        return facts | ({"changed": [change.to_dict() for change in self.changed]} if rows else {})

    def to_frame(self) -> pd.DataFrame:
        """Return the changed images, the most telling first: source, label, right, and what a and b said."""
        import pandas as pd

        sides = [f"{side}_{name}" for side in ("a", "b") for name in ("verdict", "score", "threshold")]
        return pd.DataFrame([change.to_dict() for change in self.changed], columns=["source", "label", "right", *sides])

    def show(self) -> Figure:
        """Draw the scores of both models, the changed images marked, and all differences with their intervals.

        Returns
        -------
        Figure
            two panels side by side.
        """
        import matplotlib.pyplot as plt

        from vision_toolkit.plots.pairs import difference_bars, score_pairs
        from vision_toolkit.plots.style import detached

        figure, (pairs, bars) = plt.subplots(1, 2, figsize=(11.5, 5.2), layout="constrained")
        a, b = ([row.score for row in one.rows] for one in (self.a, self.b))
        sides = {change.b.source: change.right for change in self.changed}
        right = [sides.get(row.source) for row in self.b.rows]
        across, up = (None if math.isnan(one.threshold) else one.threshold for one in (self.a, self.b))
        labels = [str(row.label) for row in self.a.rows]
        score_pairs(a, b, labels, right=right, thresholds=(across, up), names=self.names, ax=pairs)
        told = self.differences
        names = [_title(name) for name in told]
        ends = [[getattr(score, end) for score in told.values()] for end in ("low", "high")]
        difference_bars(names, list(told.values()), *ends, names=self.names, errors=names[-2:], ax=bars)
        return detached(figure)

    def __str__(self) -> str:
        a, b = self.names
        left, right = self.right
        k, p = left + right, _told_p(self.p_value)
        if self._is_trade():
            text = (
                f"{a} and {b} err in different ways, and these {_many(self.n, 'image')} cannot say which is better: "
                f"{b} {self._errors('b')}. It depends on what a miss costs: compare them at thresholds of one recall "
                "or of one cost"
            )
        elif self.better is not None:
            sides = {"a": (a, left, b, right), "b": (b, right, a, left)}
            winner, won, loser, lost = sides[self.better]
            text = (
                f"{winner} is better: of the {_many(k, 'image')} (of {self.n}) on which they disagree, {winner} is "
                f"right on {won} and {loser} on {lost}, {p}; {winner} {self._errors(self.better)}"
            )
        elif not k:
            # The share of disagreements with which none in n is still as likely as 1 - confidence.
            most = 100 * (1 - self._alpha ** (1 / self.n))
            text = (
                f"These {_many(self.n, 'image')} cannot tell {a} and {b} apart: they agree on every one, {p}; they may "
                f"still disagree on up to {most:.2g} % of all images"
            )
        else:
            needed = self.images_needed
            size = (
                "neither is ahead"
                if needed is None
                else f"about {_rounded(needed)} images would be needed to see a difference of this size"
            )
            text = (
                f"These {_many(self.n, 'image')} cannot tell {a} and {b} apart: they disagree on {k} ({left} for {a}, "
                f"{right} for {b}), {p}; {size}"
            )
        if any(self.left_out):
            text += f". Left out: {_many(self.left_out[0], 'image')} that only {a} has, {self.left_out[1]} only {b}"
        return f"{text}."

    def __repr__(self) -> str:
        verdict = "cannot tell apart" if self.better is None else f"{self.better} is better"
        return (
            f"Comparison({_many(self.n, 'image')}: {verdict}, disagree on {sum(self.right)}, {_told_p(self.p_value)})"
        )

    def _repr_html_(self) -> str:
        a, b = map(html.escape, self.names)
        left = "style='text-align:left'"
        lines = "".join(
            f"<tr><th {left}>{_title(name)}</th><td>{_number(values[0])}</td><td>{_number(values[1])}</td>"
            f"<td>{_number(self.differences[name], '+.3f')}</td><td>{_range(self.differences[name])}</td>"
            f"<td>{self.differences[name].n}</td></tr>"
            for name, values in self._values().items()
        )
        head = (
            f"<tr><th></th><th>{a}</th><th>{b}</th><th>{b} − {a}</th>"
            f"<th>{100 * self.confidence:g} % interval</th><th>n</th></tr>"
        )
        text = f"<table><caption>{html.escape(str(self))}</caption><thead>{head}</thead><tbody>{lines}</tbody></table>"
        if not self.changed:
            return text
        lines = "".join(
            f"<tr><td {left}>{html.escape(change.b.source)}</td><td>{change.b.label}</td>"
            f"<td>{_said(change.a)}</td><td>{_said(change.b)}</td></tr>"
            for change in self.changed[:_LISTED]
        )
        more = len(self.changed) - _LISTED
        caption = "Changed sides" + (f"; {more} more in to_frame()" if more > 0 else "")
        head = f"<tr><th>image</th><th>is</th><th>{a}</th><th>{b}</th></tr>"
        return f"{text}<table><caption>{caption}</caption><thead>{head}</thead><tbody>{lines}</tbody></table>"

    @property
    def _alpha(self) -> float:
        return 1 - self.confidence

    def _only(self, *outcomes: str) -> tuple[int, int]:
        """Return how many images of these outcomes only a, and only b, judged rightly."""
        among = Counter(change.right for change in self.changed if change.a.outcome in outcomes)
        return among["a"], among["b"]

    def _is_trade(self) -> bool:
        """Return whether one surely misses less and the other surely gives fewer false alarms."""
        found, passed = self._only("tp", "fn"), self._only("tn", "fp")
        against = (found[1] - found[0]) * (passed[1] - passed[0]) < 0
        return against and max(paired.mcnemar(*found), paired.mcnemar(*passed)) < self._alpha

    def _errors(self, side: Side) -> str:
        """Say what one model does better and worse than the other, in counts."""
        this, that = (1, 0) if side == "b" else (0, 1)
        alarms = self.false_alarms[that] - self.false_alarms[this]
        misses = self.misses[that] - self.misses[this]
        told = [(alarms, f"gives {_fewer(alarms, 'false alarm')}"), (misses, f"misses {_fewer(misses, 'anomaly')}")]
        told.sort(key=lambda one: one[0] < 0)
        return f" {'but' if alarms * misses < 0 else 'and'} ".join(text for count, text in told if count)

    def _values(self) -> dict[str, tuple[float, float]]:
        values = {
            name: (float(getattr(self.a, name)), float(getattr(self.b, name)))
            for name in ("f1", "precision", "recall", "accuracy", "roc_auc", "average_precision")
        }
        for name, counts, n in (
            ("miss_rate", self.misses, self.a.n_anomaly), ("false_alarm_rate", self.false_alarms, self.a.n_normal)
        ):  # fmt: skip
            values[name] = (counts[0] / n, counts[1] / n) if n else (math.nan, math.nan)
        return values


def compare_evaluations(
    a: Evaluation,
    b: Evaluation,
    *,
    only_common: bool = False,
    by: Literal["source", "name"] = "source",
    names: tuple[str, str] = ("a", "b"),
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Comparison:
    """Compare two models by what they said of the same images.

    Parameters
    ----------
    a, b
        both judged on the same images; their order does not matter.
    only_common
        compare the images that both have and say how many were left out, instead of an error.
    by
        how an image is known: ``"source"`` as the manifest names it, or ``"name"``, the file name alone, for
        images that were moved.
    names
        what to call the two in words.
    confidence
        of the intervals, 0 to 1; the two are ranked if McNemar's p value is below ``1 - confidence``. Comparing k
        models, ask for ``1 - 0.05 / k``.
    resamples, seed
        of the intervals that resample.

    Raises
    ------
    Invalid
        if an image is in one evaluation only (unless ``only_common``), is there twice, or is normal in one and an
        anomaly in the other; if no image is common.

    Examples
    --------
    >>> rows = tuple(Row(f"{i}.png", f"{i}.png", Label.NORMAL, False, 0.9, 0.1, 0.5) for i in range(40))
    >>> print(compare_evaluations(Evaluation(rows), Evaluation(rows[::-1])))
    These 40 images cannot tell a and b apart: they agree on every one, p = 1.00; they may still disagree on up to
    7.2 % of all images.
    """
    if by not in ("source", "name"):
        raise Invalid(f'by is "source" or "name"; {by!r} was given.')
    if isinstance(confidence, bool) or not isinstance(confidence, int | float) or not 0.0 < confidence < 1.0:
        raise Invalid(f"confidence lies between 0 and 1, both excluded; {confidence!r} was given.")
    if isinstance(resamples, bool) or not isinstance(resamples, int) or resamples < 1:
        raise Invalid(f"resamples is a whole number from 1; {resamples!r} was given.")
    called = tuple(names) if not isinstance(names, str) else ()
    if len(called) != 2 or called[0] == called[1] or not all(isinstance(one, str) and one for one in called):
        raise Invalid(f'names are two different words, such as ("old", "new"); {names!r} was given.')
    left, right = (_by_key(one, by, name) for one, name in zip((a, b), called, strict=True))
    common = sorted(left.keys() & right.keys())
    alone = (len(left) - len(common), len(right) - len(common))
    if not common or (any(alone) and not only_common):
        raise Invalid(_not_the_same(left, right, called, by))
    differ = [key for key in common if left[key].label is not right[key].label]
    if differ:
        raise Invalid(
            f"{called[0]} and {called[1]} were judged by different labels of {_listed(differ)}. Find out which is "
            "right, and evaluate both models with it."
        )
    parts = [
        # The scores of anomaly types are of all images; of a part of them nothing is known.
        replace(one, rows=tuple(rows[key] for key in common), types={} if missing else one.types)
        for one, rows, missing in zip((a, b), (left, right), alone, strict=True)
    ]
    return Comparison(parts[0], parts[1], (called[0], called[1]), float(confidence), alone, resamples, seed)


def _by_key(evaluation: Evaluation, by: str, name: str) -> dict[str, Row]:
    keys = [row.source if by == "source" else _file_name(row.source) for row in evaluation.rows]
    if not keys:
        raise Invalid(f"The evaluation of {name} holds no image; evaluate on labelled images.")
    twice = [key for key, count in Counter(keys).items() if count > 1]
    if twice:
        hint = "Take each image once" if by == "source" else 'Compare with by="source"'
        raise Invalid(f"The evaluation of {name} has more than once: {_listed(twice)}. {hint}.")
    return dict(zip(keys, evaluation.rows, strict=True))


def _not_the_same(left: Mapping[str, Row], right: Mapping[str, Row], names: tuple[str, ...], by: str) -> str:
    common = len(left.keys() & right.keys())
    told = [
        f"only {name} has {_listed(sorted(one.keys() - other.keys()))}"
        for name, one, other in ((names[0], left, right), (names[1], right, left))
        if one.keys() - other.keys()
    ]
    text = f"Models are compared on the same images; {'; '.join(told)}."
    if common:
        return f"{text} Evaluate both on all of them, or compare the {common} common ones with only_common=True."
    moved = {_file_name(key) for key in left} & {_file_name(key) for key in right}
    if by == "source" and moved:
        return f'{text} {len(moved)} file names are the same: if the images were moved, compare with by="name".'
    return f"{text} They have none in common: evaluate both on one test set."


def _file_name(source: str) -> str:
    return source.replace("\\", "/").rstrip("/").rpartition("/")[2]


def _listed(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in islice(names, _NAMED))
    return shown + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


def _negated(score: Score) -> Score:
    # Minus 0.0 would be told as -0.000.
    return Score(0.0 - score, 0.0 - score.high, 0.0 - score.low, score.n, score.confidence)


def _by_side(pair: tuple[int, int]) -> dict[str, int]:
    return {"a": pair[0], "b": pair[1]}


def _many(count: int, noun: str) -> str:
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{count} {noun if count == 1 else plural}"


def _fewer(count: int, noun: str) -> str:
    words = _many(abs(count), noun).split(" ", 1)
    return f"{words[0]} {'fewer' if count > 0 else 'more'} {words[1]}"


def _told_p(value: float) -> str:
    if value < 0.0001:
        return "p < 0.0001"
    return f"p = {value:.2f}" if value >= 0.1 else f"p = {value:.2g}"


def _rounded(count: int) -> str:
    """Return a number with two digits that mean something, rounded up: more would be pretence."""
    step = 10 ** max(0, len(str(count)) - 2)
    return f"{math.ceil(count / step) * step:,}".replace(",", " ")


def _title(name: str) -> str:
    return _TITLES.get(name, name.replace("_", " "))


def _number(value: float, form: str = ".3f") -> str:
    return "undefined" if math.isnan(value) else format(float(value), form)


def _range(score: Score) -> str:
    return "" if math.isnan(score.low) else f"{score.low:+.3f} to {score.high:+.3f}"


def _said(row: Row) -> str:
    return f"{Label.ANOMALY if row.is_anomalous else Label.NORMAL} {row.score:.2f}"
