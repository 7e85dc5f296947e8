"""Collect what ``report.json`` says: headline, notes, scores, data, findings, model; and the words for numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from vision_toolkit.core.entry import Finding
from vision_toolkit.data.manifest import Manifest
from vision_toolkit.metrics.evaluation import Evaluation

if TYPE_CHECKING:
    from vision_toolkit.models.report import Reportable

__all__ = ["FORMAT", "collect", "counted", "interval", "of", "percentage", "two_digits"]

FORMAT = 1
"""Version of ``report.json``."""
_FEW = 100
"""Anomalies or normal images below which the page says that the numbers are small."""
_SEEN = (
    "The model was trained with these very images: the scores show what it remembers, not how it does on new parts. "
    "Evaluate it on other images."
)
_NOT_PRETRAINED = (
    "The backbone is a bank of fixed filters that never learned to see. These scores do not show what the method can "
    "do. Train again with pretrained weights before you decide anything."
)
_FINAL_MASKS = (
    "The scores and heat maps come from cross-validation; the masks in the pictures are those of the final model, "
    "which has seen these images, and look better than on new ones."
)


def collect(
    model: Reportable,
    evaluation: Evaluation,
    manifest: Manifest,
    *,
    title: str | None = None,
    findings: Iterable[Finding] | None = None,
) -> dict[str, Any]:
    """Return everything that the page tells, as plain facts; parameters as of ``write_report``."""
    labelled = Manifest(entry for entry in manifest if entry.is_labelled)
    is_seen = evaluation.kind == "test" and labelled.fingerprint() == model.info["training"]["fingerprint"]
    return {
        "format": FORMAT,
        "title": title or f"How good is this {model.task} model?",
        "made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "headline": _headline(evaluation, is_seen),
        "notes": [{"severity": severity, "text": text} for severity, text in _notes(model, evaluation, is_seen)],
        "task": str(model.task),
        "evaluation": evaluation.to_dict(rows=True),
        "dataset": {"name": manifest.name, "fingerprint": manifest.fingerprint(), **manifest.counts()},
        "findings": None if findings is None else _grouped(list(findings)),
        "model": dict(model.info),
    }


def _headline(evaluation: Evaluation, is_seen: bool) -> str:
    counts, bad, good = evaluation.counts, evaluation.n_anomaly, evaluation.n_normal
    found = f"found {of(counts.tp, bad)} {'anomaly' if bad == 1 else 'anomalies'}"
    rejected = f"rejected {of(counts.fp, good)} good {'part' if good == 1 else 'parts'}"
    said = " and ".join([found] * bool(bad) + [rejected] * bool(good)) or "had nothing to judge"
    images = counted(evaluation.n, "image")
    if evaluation.kind == "cross-validation":
        return f"In cross-validation on {images}, each judged by a model that has not seen it, it {said}."
    return f"On {images} that the model {'was trained with' if is_seen else 'has not seen'}, it {said}."


def _notes(model: Reportable, evaluation: Evaluation, is_seen: bool) -> Iterator[tuple[str, str]]:
    """Yield what a reader must know before the numbers: how grave (warning or info) and the text."""
    if is_seen:
        yield "warning", _SEEN
    if not model.info["backbone"]["pretrained"]:
        yield "warning", _NOT_PRETRAINED
    bad, good = evaluation.n_anomaly, evaluation.n_normal
    if not bad or not good:
        absent = "anomalies" if not bad else "normal images"
        yield "warning", f"There were no {absent} to judge, so some of the scores are undefined. Add some."
    elif min(bad, good) < _FEW:
        low, high = percentage(evaluation.recall.low), percentage(evaluation.recall.high)
        text = (
            f"Small numbers: {counted(bad, 'anomaly')} and {counted(good, 'normal image')}. On all the parts to come, "
            f"the share of anomalies that this model finds may be anything from {low} to {high} (95 % interval). "
            "Models whose intervals overlap cannot be told apart on this set."
        )
        yield "info", text
    if evaluation.kind == "cross-validation" and model.info["types"]:
        yield "info", _FINAL_MASKS


def _grouped(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """Return one row a rule, the worst and the most frequent first."""
    ranks = {"error": 0, "warning": 1, "info": 2}
    numbers = Counter(finding.rule for finding in findings)
    first = {finding.rule: finding for finding in reversed(findings)}
    rows = [
        {
            "rule": rule,
            "severity": one.severity,
            "count": numbers[rule],
            "text": one.text,
            "repair": one.repair,
            "lines": [finding.line for finding in findings if finding.rule == rule and finding.line is not None],
        }
        for rule, one in first.items()
    ]
    return sorted(rows, key=lambda row: (ranks[row["severity"]], -row["count"], row["rule"]))


# Words for numbers


def two_digits(value: float | None) -> str:
    """Return a score with two digits, or three where two would make it perfect and it is not.

    Examples
    --------
    >>> two_digits(0.927), two_digits(0.9956), two_digits(0.99996), two_digits(1.0), two_digits(None)
    ('0.93', '0.995', '0.999', '1.00', 'undefined')
    """
    if value is None:
        return "undefined"
    # Cut, not rounded: what is not perfect never looks so.
    return f"{int(value * 1000) / 1000:.3f}" if 0.995 <= value < 1 else f"{value:.2f}"


def interval(score: Mapping[str, Any]) -> str:
    """Return both ends of a score's interval, or nothing where it has none.

    Examples
    --------
    >>> interval({"low": 0.7, "high": 1.0}), interval({"low": None, "high": None})
    ('0.70 to 1.00', '')
    """
    low, high = score["low"], score["high"]
    return "" if low is None or high is None else f"{two_digits(low)} to {two_digits(high)}"


def percentage(share: float) -> str:
    """Return a share without digits where they would pretend to know more, with them where it is nearly 0 or 1.

    Examples
    --------
    >>> percentage(0.5), percentage(0.995), percentage(0.0004), percentage(1.0)
    ('50 %', '99.5 %', '0.04 %', '100 %')
    """
    digits = 0 if share in (0.0, 1.0) or 0.01 <= share <= 0.99 else 2 if share < 0.001 else 1
    return f"{share * 100:.{digits}f} %"


def of(part: int, whole: int) -> str:
    """Return a part of a whole.

    Examples
    --------
    >>> of(3, 38), of(0, 38)
    ('3 of 38', 'none of 38')
    """
    return f"{part or 'none'} of {whole}"


def counted(count: int, noun: str) -> str:
    """Return a number with its noun.

    Examples
    --------
    >>> counted(1, "image"), counted(2, "anomaly")
    ('1 image', '2 anomalies')
    """
    plural = noun.removesuffix("y") + "ies" if noun.endswith("y") else f"{noun}s"
    return f"{count} {noun if count == 1 else plural}"
