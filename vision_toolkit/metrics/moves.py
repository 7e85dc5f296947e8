"""Show what another threshold changes: which images change side, and what that means on the line."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from vision_toolkit.core.entry import Entry
from vision_toolkit.metrics.comparison import Change
from vision_toolkit.metrics.evaluation import Evaluation
from vision_toolkit.metrics.forecast import Forecast
from vision_toolkit.metrics.intervals import Score, number_or_none
from vision_toolkit.metrics.prevalence import as_prevalence
from vision_toolkit.metrics.thresholds import Rule

__all__ = ["Move"]

_LISTED = 10  # changed images in a notebook; all are in `changed`


@dataclass(frozen=True, eq=False, repr=False)
class Move:
    """Hold what a moved threshold changes; made by :meth:`Evaluation.effect`.

    Precision, F1, alarms and misses are told for ``prevalence``, with their intervals. If the threshold was chosen by a
    rule, it was chosen on these very images and the numbers after it flatter: look, and then let the rule choose on
    validated scores of the training images.

    Parameters
    ----------
    before, after
        the same images under both thresholds.
    prevalence
        the share of anomalies where the model will work; None for that of these images.
    rule
        what was asked for: a threshold, or the rule that chose it.

    Raises
    ------
    Invalid
        if ``prevalence`` is not between 0 and 1.

    Examples
    --------
    >>> from vision_toolkit.core import Label, Prediction, Task
    >>> entries = [Entry(f"{i}.png", Label.ANOMALY if i > 5 else Label.NORMAL) for i in range(10)]
    >>> answers = [Prediction(Task.CLASSIFICATION, score=i / 10, threshold=0.75) for i in range(10)]
    >>> print(Evaluation.from_predictions(entries, answers).effect(0.45))
    A threshold of 0.45 instead of 0.75: 2 more anomalies found, 1 more false alarm; 3 of 10 images change side.
    Of 1,000 parts, 40 % of them anomalies: 200 (36-486) alarms become 500 (282-738), and 200 (36-364) missed anomalies
    become 0.0 (0.0-196).
    """

    before: Evaluation
    after: Evaluation
    prevalence: float | None = None
    rule: Rule = field(default=math.nan)

    def __post_init__(self) -> None:
        if self.prevalence is not None:
            object.__setattr__(self, "prevalence", as_prevalence(self.prevalence))

    @cached_property
    def changed(self) -> tuple[Change, ...]:
        """Return the images that change side: the new errors first, among them the farthest from the new threshold."""
        pairs = zip(self.before.rows, self.after.rows, strict=True)
        changes = [Change(a, b) for a, b in pairs if a.is_anomalous is not b.is_anomalous]

        def order(change: Change) -> tuple[bool, float, str]:
            return not change.b.is_error, -abs(change.b.score - change.b.threshold), change.b.source

        return tuple(sorted(changes, key=order))

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Return the changed images as entries, in the same order: ``Manifest(move.entries).show()``."""
        return tuple(change.entry for change in self.changed)

    @property
    def forecasts(self) -> tuple[Forecast, Forecast]:
        """Return what to expect of 1,000 parts before and after: alarms, misses, precision, F1."""
        return self.before.forecast(self.prevalence), self.after.forecast(self.prevalence)

    @property
    def is_chosen_here(self) -> bool:
        """Return whether a rule chose the threshold on these very images."""
        return isinstance(self.rule, str) or callable(self.rule)

    def to_dict(self) -> dict[str, Any]:
        """Return the plain facts, ready for JSON: thresholds, counts and forecasts, and the changed images."""
        sides = zip(("before", "after"), (self.before, self.after), self.forecasts, strict=True)
        facts = {
            name: {"threshold": number_or_none(one.threshold), "counts": _counts(one)} | forecast.to_dict()
            for name, one, forecast in sides
        }
        return {
            "rule": self.rule if isinstance(self.rule, str) else None, "chosen_here": self.is_chosen_here, **facts,
            "changed": [{"source": one.b.source, "label": str(one.b.label), "score": one.b.score,
                         "before": one.a.outcome, "after": one.b.outcome} for one in self.changed],
        }  # fmt: skip

    def __str__(self) -> str:
        old, new = self.before, self.after
        found, alarms = new.counts.tp - old.counts.tp, new.counts.fp - old.counts.fp
        was = "each fold's own" if math.isnan(old.threshold) else f"{old.threshold:.4g}"
        text = f"A threshold of {new.threshold:.4g} instead of {was}"
        if self.is_chosen_here:
            name = self.rule if isinstance(self.rule, str) else "a function"
            text += f", chosen by {name} on these very images, so that what follows flatters"
        if not self.changed:
            return f"{text}: none of {_many(old.n, 'image')} changes side."
        n = len(self.changed)
        return (
            f"{text}: {_difference(found, 'anomaly', 'anomalies')} found, "
            f"{_difference(alarms, 'false alarm', 'false alarms')}; {n} of {_many(old.n, 'image')} "
            f"change{'s' * (n == 1)} side.\n{self._expected()}"
        )

    def __repr__(self) -> str:
        old, new = self.before, self.after
        return (
            f"Move({old.threshold:.4g} to {new.threshold:.4g}: found {old.counts.tp} to {new.counts.tp}, false alarms "
            f"{old.counts.fp} to {new.counts.fp}, {len(self.changed)} of {_many(old.n, 'image')} change side)"
        )

    def _expected(self) -> str:
        first, second = self.forecasts
        return (
            f"Of {first.parts:,} parts, {_percent(first.share)} of them anomalies: {_told(first.alarms)} alarms become "
            f"{_told(second.alarms)}, and {_told(first.misses)} missed anomalies become {_told(second.misses)}."
        )

    def _repr_html_(self) -> str:
        left = "style='text-align:left'"
        first, second = self.forecasts
        lines = "".join(
            f"<tr><th {left}>{name}</th><td>{getattr(self.before.counts, one)}</td>"
            f"<td>{getattr(self.after.counts, one)}</td></tr>"
            for name, one in (("found", "tp"), ("missed", "fn"), ("false alarms", "fp"), ("rightly passed", "tn"))
        )
        at = "" if self.prevalence is None else f" at {_percent(self.prevalence)}"
        rows = {"recall": "recall", f"precision{at}": "precision", f"F1{at}": "f1"}
        lines += "".join(
            f"<tr><th {left}>{name}</th><td>{_share(getattr(first, one))}</td>"
            f"<td>{_share(getattr(second, one))}</td></tr>"
            for name, one in rows.items()
        )
        parts = {"alarms": "alarms", "false alarms": "false_alarms", "missed anomalies": "misses"}
        lines += "".join(
            f"<tr><th {left}>{name} in {first.parts:,} parts</th><td>{_told(getattr(first, one))}</td>"
            f"<td>{_told(getattr(second, one))}</td></tr>"
            for name, one in parts.items()
        )
        changed = "".join(
            f"<li>{html.escape(one.b.source)}: {one.b.label}, score {one.b.score:.2f}, now "
            f"{'wrong' if one.b.is_error else 'right'}</li>"
            for one in self.changed[:_LISTED]
        )
        more = len(self.changed) - _LISTED
        changed += f"<li>and {more} more</li>" if more > 0 else ""
        old, new = (f"threshold {one.threshold:.4g}" for one in (self.before, self.after))
        table = (
            f"<table><caption>{html.escape(str(self))}</caption><thead><tr><th></th><th>{old}</th><th>{new}</th></tr>"
            f"</thead><tbody>{lines}</tbody></table>"
        )
        return table + (f"<ul>{changed}</ul>" if changed else "")


def _counts(evaluation: Evaluation) -> dict[str, int]:
    counts = evaluation.counts
    return {"tp": counts.tp, "fp": counts.fp, "fn": counts.fn, "tn": counts.tn}


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"


def _difference(count: int, one: str, many: str) -> str:
    word = one if abs(count) == 1 else many
    if not count:
        return f"as many {many}"
    return f"{abs(count)} {'more' if count > 0 else 'fewer'} {word}"


def _percent(share: float) -> str:
    return "an unknown share" if math.isnan(share) else f"{100 * share:.3g} %"


def _told(score: Score) -> str:
    """Return a number of parts: a decimal only where it says something."""
    if math.isnan(score):
        return "unknown"
    low, high, value = (f"{one:.0f}" if one >= 10 else f"{one:.1f}" for one in (score.low, score.high, float(score)))
    return f"{value} ({low}-{high})"


def _share(score: Score) -> str:
    return "undefined" if math.isnan(score) else f"{float(score):.3f} ({score.low:.2f}-{score.high:.2f})"
