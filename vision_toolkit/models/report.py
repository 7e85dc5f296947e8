"""One page that says how good a model is, where it fails and how it was made; to read, print and forward."""

from __future__ import annotations

import base64
import io
import json
import math
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vision_toolkit.core import Conflict, Entry, Finding, Invalid, Mask, Prediction, VisionError
from vision_toolkit.core.mask import BACKGROUND
from vision_toolkit.data.images import encode_jpeg, read_image, read_mask, thumbnail
from vision_toolkit.data.manifest import Manifest
from vision_toolkit.data.storage import write_file
from vision_toolkit.plots import overlay, pr_curve, score_histogram, trace
from vision_toolkit.plots.overlay import percent
from vision_toolkit.plots.style import quiet

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from vision_toolkit.metrics.evaluation import Evaluation, Row

__all__ = ["Reportable", "write_report"]

FORMAT = 1
"""Version of ``report.json``."""
_SIDE = 480
_PICTURE_BYTES = 72_000
"""Longest side and size of a picture: twelve images with three pictures each stay below 4 MB as text."""
_FEW = 100
"""Anomalies or normal images below which the page says that the numbers are small."""
_SCORES = {
    "recall": "of the anomalies, the share that it found",
    "precision": "of its alarms, the share that was right",
    "f1": "recall and precision in one number",
    "accuracy": "of all images, the share that it judged rightly",
    "roc_auc": "how well the scores alone put anomalies above normal images, whatever the threshold",
    "average_precision": "area under the precision-recall curve, whatever the threshold",
}
_NAMES = {"f1": "F1", "roc_auc": "ROC AUC", "average_precision": "average precision"}


_ELSEWHERE = ("metrics", "notes", "format", "colours")
"""Facts of the model that the page tells in another place, or that only programs need."""
_LEGEND = (
    "Heat maps: what stays as it was photographed is as odd as normal images are; from violet over red to yellow it is "
    "odder, and the white line is the height that normal training images just reach."
)


class Reportable(Protocol):
    """Say what a report needs of a model."""

    @property
    def info(self) -> Mapping[str, Any]:
        """Return plain nested facts: how the model was made."""

    @property
    def task(self) -> str:
        """Return what the model was trained to do."""

    def predict(self, entry: Entry, /) -> Prediction:
        """Return what the model says of one image."""


def write_report(
    model: Reportable,
    evaluation: Evaluation,
    manifest: Manifest,
    folder: str | os.PathLike[str],
    *,
    title: str | None = None,
    findings: Iterable[Finding] = (),
    overwrite: bool = False,
    best: int = 4,
    worst: int = 8,
) -> Path:
    """Write ``report.html``, one page for engineers and their bosses, and ``report.json``, the same facts.

    The page carries its pictures within itself, runs no script and asks no other computer for anything: it can be
    mailed, printed and archived. With the default numbers of images it stays below 4 MB whatever their sizes.

    Parameters
    ----------
    model
        what was evaluated; it predicts the shown images again for their heat maps and masks. Of its ``info`` the page
        explains ``backbone``, ``weights``, ``seed``, ``versions``, ``notes``, every ``why`` and every list of mappings
        (what was tried; ``name`` beside it is what was chosen), and lists the rest as it is.
    evaluation
        the scores, counts and verdicts.
    manifest
        the evaluated entries, for images and true masks.
    folder
        where to write; made if it is not there. Other files in it are left alone.
    title
        heading of the page.
    findings
        what is odd in the data, as ``manifest.check()`` returns it.
    overwrite
        replace a report that is there already.
    best, worst
        how many images to show: the surest right ones; missed anomalies, false alarms, then the least sure.

    Returns
    -------
    Path
        the page.

    Raises
    ------
    Invalid
        if ``best`` or ``worst`` is negative.
    Conflict
        if there is a report already and ``overwrite`` is not set.
    Failed
        if the disk refuses.

    Examples
    --------
    >>> import tempfile
    >>> from types import SimpleNamespace
    >>> from vision_toolkit.metrics.evaluation import Evaluation
    >>> model = SimpleNamespace(task="classification", info={"seed": 0}, predict=None)
    >>> write_report(model, Evaluation(()), Manifest(), tempfile.mkdtemp()).name
    'report.html'
    """
    if best < 0 or worst < 0:
        raise Invalid(f"best and worst count images, from 0; {best} and {worst} were given.")
    page, data = Path(folder) / "report.html", Path(folder) / "report.json"
    for path in (page, data):
        if path.exists() and not overwrite:
            raise Conflict(f"{path} exists; give another folder or overwrite=True.")
    facts = _facts(model, evaluation, manifest, title, list(findings))
    cards = _Shown(model, manifest)
    bad = _worst(evaluation, worst)
    good = _best(evaluation, best, bad)
    html = _page(facts, evaluation, [cards.card(row) for row in bad], [cards.card(row) for row in good])
    write_file(data, json.dumps(facts, indent=1, allow_nan=False).encode("ascii"), overwrite=overwrite)
    return write_file(page, html.encode("utf-8", "replace"), overwrite=overwrite)


# ---------------------------------------------------------------- facts: what report.json says


def _facts(
    model: Reportable, evaluation: Evaluation, manifest: Manifest, title: str | None, findings: Sequence[Finding]
) -> dict[str, Any]:
    task = str(model.task)
    return {
        "format": FORMAT,
        "title": title or f"How good is this {task} model?",
        "made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "headline": _headline(evaluation),
        "notes": [{"severity": severity, "text": text} for severity, text in _notes(evaluation, model.info)],
        "task": task,
        "evaluation": _plain(evaluation.to_dict(rows=True)),
        "dataset": {"name": manifest.name, "fingerprint": manifest.fingerprint(), **manifest.counts()},
        "findings": _grouped(findings),
        "model": _plain(model.info),
    }


def _headline(evaluation: Evaluation) -> str:
    counts, bad, good = evaluation.counts, evaluation.n_anomaly, evaluation.n_normal
    found = f"found {_of(counts.tp, bad)} {_plural(bad, 'anomaly', 'anomalies')}"
    rejected = f"rejected {_of(counts.fp, good)} good {_plural(good, 'part', 'parts')}"
    said = " and ".join([found] * bool(bad) + [rejected] * bool(good)) or "had nothing to judge"
    images = f"{evaluation.n} {_plural(evaluation.n, 'image', 'images')}"
    if evaluation.kind == "cross-validation":
        return f"In cross-validation on {images}, each judged by a model that has not seen it, it {said}."
    return f"On {images} that the model has not seen, it {said}."


def _notes(evaluation: Evaluation, info: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what a reader must know before the numbers: how grave (warning or info) and the text."""
    if _has_random_weights(info):
        text = (
            "The backbone has random weights: it never learned to see. These scores do not show what the method can do."
        )
        yield "warning", f"{text} Train again with pretrained weights before you decide anything."
    for note in info.get("notes") or ():
        if "random weights" not in str(note).lower():
            yield "warning", str(note)
    bad, good = evaluation.n_anomaly, evaluation.n_normal
    if not bad or not good:
        absent = "anomalies" if not bad else "normal images"
        yield "warning", f"There were no {absent} to judge, so some of the scores are undefined. Add some."
    elif min(bad, good) < _FEW:
        text = (
            f"Small numbers: {bad} {_plural(bad, 'anomaly', 'anomalies')} and {good} normal "
            f"{_plural(good, 'image', 'images')}. On all the parts to come, the share of anomalies that this model "
            f"finds may be anything from {_percent(evaluation.recall.low)} to {_percent(evaluation.recall.high)} "
            "(95 % interval). Models whose intervals overlap cannot be told apart on this set."
        )
        yield "info", text
    if evaluation.kind == "cross-validation":
        yield (
            "info",
            (
                "The scores and heat maps come from cross-validation; the masks in the pictures are those of the final "
                "model, which has seen these images, and look better than on new ones."
            ),
        )


def _has_random_weights(facts: Any) -> bool:
    """Return whether any part of the facts says that its weights are random."""
    if not isinstance(facts, Mapping):
        return False
    said = str(facts.get("weights", "")).strip().lower()
    if facts.get("pretrained") is False or (
        "weights" in facts and said.split(" ")[0] in ("random", "none", "untrained")
    ):
        return True
    return any(_has_random_weights(part) for part in facts.values())


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


def _plain(value: Any) -> Any:
    """Return facts as JSON can hold them: NaN becomes null, what is foreign becomes its text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(part) for part in value]
    if value is None or isinstance(value, bool | int | np.integer):
        return int(value) if isinstance(value, np.integer) else value
    return _number(value) if isinstance(value, float | np.floating) else str(value)


def _number(value: Any) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


# ---------------------------------------------------------------- pictures


def _worst(evaluation: Evaluation, count: int) -> list[Row]:
    """Return the rows to look at first: what was missed, false alarms, then the least sure."""
    order = ("fn", "fp", "tp", "tn")
    rows = evaluation.worst(count)
    return sorted(rows, key=lambda row: min(order.index(row.outcome), 2))


def _best(evaluation: Evaluation, count: int, shown: Iterable[Row]) -> list[Row]:
    """Return the surest right verdicts that are not shown yet, anomalies and normal images in turn."""
    seen = {row.source for row in shown}
    right = sorted((row for row in evaluation.rows if not row.is_error), key=lambda row: -row.confidence)
    classes = [[row for row in right if row.is_anomalous is said and row.source not in seen] for said in (True, False)]
    turns = [row for pair in zip_longest(*classes) for row in pair if row is not None]
    return turns[:count]


class _Shown:
    """Make the cards of single images."""

    def __init__(self, model: Reportable, manifest: Manifest) -> None:
        self.model = model
        self.entries = {entry.source: entry for entry in reversed(manifest)}

    def card(self, row: Row) -> Html:
        """Return one image with its heat map and masks, and what was said of it."""
        entry = self.entries.get(row.source) or Entry(row.source, at=row.location)
        try:
            image = read_image(entry)
            said = self.model.predict(entry)
            heights = row.map if row.map is not None else said.map
            pictures, areas = self._pictures(entry, image, said.mask, heights)
        except VisionError as error:
            pictures, areas = [_el("p", f"This image cannot be shown: {error}", cls="remark")], []
        kind, words = _verdict(row)
        name = entry.source.rpartition("/")[2] or entry.source
        return _el(
            "article",
            _el(
                "header",
                _el("span", words, cls=f"chip {kind}"),
                _el("strong", name, title=entry.source),
                _el("span", f"score {row.score:.2f}, confidence {row.confidence:.2f}", cls="remark"),
            ),
            _el("div", *pictures, cls="strip"),
            *([_el("p", "; ".join(areas), cls="remark")] if areas else []),
            cls="card shown",
        )

    def _pictures(
        self, entry: Entry, image: NDArray[np.uint8], mask: Mask | None, heights: NDArray[np.float32] | None
    ) -> tuple[list[Html], list[str]]:
        height, width = image.shape[:2]
        truth = None
        if entry.mask is not None and entry.mask.colours:
            names = list(mask.names[1:]) if mask is not None else []
            names += [name for name in entry.mask.colours if name not in names]
            truth = read_mask(entry.mask, size=(width, height), names=names)
        small = thumbnail(image, _SIDE)
        pictures = [_picture(small, "image")]
        if heights is not None:
            pictures.append(_picture(overlay(small, map=heights, opacity=0.65), "heat map"))
        areas = []
        if mask is not None or truth is not None:
            laid, words = small, []
            if mask is not None:
                laid = overlay(laid, mask=_shrunk(mask, small), outline=truth is None)
                words.append("filled: found")
                areas.append(f"found {_areas(mask)}")
            if truth is not None:
                laid = trace(laid, _shrunk(truth, small))
                words.append("outlined: truth")
                areas.append(f"truth {_areas(truth)}")
            pictures.append(_picture(laid, ", ".join(words)))
        return pictures, areas


def _shrunk(mask: Mask, picture: NDArray[np.uint8]) -> Mask:
    """Return the mask at the size of a smaller picture, on which no defect vanishes, however small."""
    ids = mask.ids
    for axis in (0, 1):
        length, wanted = ids.shape[axis], picture.shape[axis]
        if wanted < length:
            ids = np.maximum.reduceat(ids, np.arange(wanted) * length // wanted, axis=axis)
    return Mask(ids, mask.names, mask.colours)


def _areas(mask: Mask) -> str:
    areas = [f"{name} {percent(area)}" for name, area in mask.areas().items() if name != BACKGROUND]
    return ", ".join(areas) or "nothing"


def _verdict(row: Row) -> tuple[str, str]:
    """Return right or wrong, and the case in words."""
    words = {"tp": "anomaly, found", "fn": "anomaly, missed", "fp": "normal, false alarm", "tn": "normal, passed"}
    return "wrong" if row.is_error else "right", words[row.outcome]


def _picture(pixels: NDArray[np.uint8], caption: str) -> Html:
    """Return a photograph as JPEG within the page, a little worse or smaller where noise would make it huge."""
    for side, quality in ((_SIDE, 85), (_SIDE, 70), (360, 70), (240, 60), (160, 50)):
        data = encode_jpeg(thumbnail(pixels, side), quality=quality)
        if len(data) <= _PICTURE_BYTES:
            break
    source = "data:image/jpeg;base64," + base64.b64encode(data).decode("ascii")
    height, width = pixels.shape[:2]
    image = _el("img", src=source, alt=caption, width=width, height=height)
    return _el("figure", image, _el("figcaption", caption))


def _chart(draw: Callable[..., Axes], size: tuple[float, float], alt: str) -> Html:
    """Return a chart as PNG within the page, drawn without touching pyplot's figures."""
    from matplotlib.figure import Figure

    buffer = io.BytesIO()
    with quiet():
        figure = Figure(figsize=size, layout="constrained")
        draw(ax=figure.add_subplot())
        figure.savefig(buffer, format="png", dpi=170, metadata={"Software": None})
    source = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
    return _el("img", src=source, alt=alt, cls="chart", width=round(size[0] * 100), height=round(size[1] * 100))


# ---------------------------------------------------------------- the page


class Html(str):
    """Mark text that is HTML already; everything else is escaped."""

    __slots__ = ()


def _el(tag: str, *children: object, **attributes: object) -> Html:
    """Return an element; text within it and in its attributes is escaped, so that no name can break the page."""
    told = "".join(
        f' {"class" if name == "cls" else name}="{escape(str(value))}"' for name, value in attributes.items()
    )
    inner = "".join(child if isinstance(child, Html) else escape(str(child)) for child in children)
    return Html(f"<{tag}{told}>" if tag in ("img", "meta", "br") else f"<{tag}{told}>{inner}</{tag}>")


def _page(facts: Mapping[str, Any], evaluation: Evaluation, worst: Sequence[Html], best: Sequence[Html]) -> str:
    head = _el(
        "head",
        _el("meta", charset="utf-8"),
        _el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        # The page asks nobody for anything, and no text in it can become a program.
        _el("meta", **{"http-equiv": "Content-Security-Policy"},
            content="default-src 'none'; img-src data:; style-src 'unsafe-inline'"),
        _el("title", facts["title"]),
        _el("style", Html(_STYLE)),
    )  # fmt: skip
    body = _el(
        "body",
        _el("main", *_opening(facts), *_sections(facts, evaluation, worst, best)),
        _el("footer", f"Made by vision_toolkit on {facts['made']}. The same facts for programs: report.json"),
    )
    return f'<!DOCTYPE html>\n<html lang="en">{head}{body}</html>\n'


def _opening(facts: Mapping[str, Any]) -> Iterator[Html]:
    told = facts["evaluation"]
    counts, scores, threshold = told["counts"], told["scores"], told["threshold"]
    yield _el("p", f"{facts['task']} model · {told['kind']} · {told['created'][:10]}", cls="eyebrow")
    yield _el("h1", facts["title"])
    yield _el("p", facts["headline"], cls="lede")
    cut = "" if threshold is None else f"at threshold {threshold:.2f}"
    yield _el(
        "div",
        _tile("anomalies found", f"{counts['tp']} of {told['anomaly']}", f"recall {_span(scores['recall'])}"),
        _tile("good parts rejected", f"{counts['fp']} of {told['normal']}", cut),
        _tile("F1", _two(scores["f1"]["value"]), _span(scores["f1"])),
        _tile("ROC AUC", _two(scores["roc_auc"]["value"]), _span(scores["roc_auc"])),
        cls="tiles",
    )
    for note in facts["notes"]:
        yield _el("p", note["text"], cls=f"note {note['severity']}", role="note")


def _tile(name: str, value: str, remark: str) -> Html:
    return _el("div", _el("span", name, cls="name"), _el("span", value, cls="value"), _el("span", remark, cls="remark"),
               cls="card tile")  # fmt: skip


def _sections(
    facts: Mapping[str, Any], evaluation: Evaluation, worst: Sequence[Html], best: Sequence[Html]
) -> Iterator[Html]:
    told = facts["evaluation"]
    yield _section("Scores", _score_table(told["scores"]))
    yield _section("Right and wrong", _el("div", _confusion(told["counts"]), *_curves(evaluation), cls="pair"))
    if evaluation.rows:
        yield _section("How the scores lie", _el("div", _histogram(evaluation), cls="card"))
    if told["types"]:
        yield _section("Anomaly types", *_type_table(told["types"]))
    if worst:
        wrong = told["counts"]["fp"] + told["counts"]["fn"]
        words = f"The model was wrong on {_of(wrong, told['images'])} images"
        words += f"; {len(worst)} are shown here, all are in report.json. " if wrong > len(worst) else ". "
        words += "First what it missed, then its false alarms, then the right verdicts that it was least sure of."
        yield _section("Where it fails", _el("p", words), _el("p", _LEGEND, cls="remark"), *worst)
    if best:
        yield _section("Where it is surest", *best)
    yield _section("The data", *_data(facts))
    yield _section("How the model was made", *_making(facts["model"]))
    yield _section("To make it again", _el("pre", "\n".join(_recipe(facts))))


def _section(title: str, *children: Html) -> Html:
    return _el("section", _el("h2", title), *children)


def _table(head: Sequence[str], rows: Iterable[Sequence[object]], *, numbers: Iterable[int] = ()) -> Html:
    right = set(numbers)
    heads = [_el("th", name, **({"cls": "number"} if i in right else {}), scope="col") for i, name in enumerate(head)]
    lines = [
        _el("tr", *(_el("td", cell, **({"cls": "number"} if i in right else {})) for i, cell in enumerate(row)))
        for row in rows
    ]
    table = _el("table", _el("thead", _el("tr", *heads)), _el("tbody", *lines))
    return _el("div", table, cls="card scroll")


def _score_table(scores: Mapping[str, Mapping[str, Any]]) -> Html:
    rows = []
    for name, meaning in _SCORES.items():
        score = scores[name]
        words = _el("span", _NAMES.get(name, name), _el("small", meaning))
        rows.append((words, _two(score["value"]), _bar(score), _span(score), score["n"]))
    return _table(("score", "value", "0 to 1", "95 % interval", "n"), rows, numbers=(1, 3, 4))


def _bar(score: Mapping[str, Any]) -> Html | str:
    """Draw an interval of 0 to 1 as a strip with its value, in style sheets alone."""
    value, low, high = score["value"], score["low"], score["high"]
    if value is None or low is None or high is None:
        return ""
    span = _el("i", style=f"left:{low:.2%};width:{max(high - low, 0.004):.2%}")
    return _el("span", span, _el("b", style=f"left:{value:.2%}"), cls="bar", title=f"{low:.3f} to {high:.3f}")


def _confusion(counts: Mapping[str, int]) -> Html:
    rows = [("normal", [("tn", "passed", "right"), ("fp", "false alarms", "wrong")]),
            ("anomaly", [("fn", "missed", "wrong"), ("tp", "found", "right")])]  # fmt: skip
    lines = []
    for name, cells in rows:
        total = sum(counts[key] for key, _, _ in cells)
        tds = []
        for key, word, kind in cells:
            share = counts[key] / total if total else 0.0
            told = f"{_percent(share)} {word}" if total else word
            style = f"--share:{share:.3f}"
            tds.append(_el("td", _el("b", counts[key]), _el("span", told), cls=f"cell {kind}", style=style))
        lines.append(_el("tr", _el("th", f"is {name}", scope="row"), *tds))
    head = _el("tr", _el("td"), *(_el("th", f"model says {name}", scope="col") for name, _ in rows))
    table = _el("table", _el("thead", head), _el("tbody", *lines), cls="confusion")
    return _el("div", _el("h3", "Confusion matrix"), table, cls="card")


def _curves(evaluation: Evaluation) -> Iterator[Html]:
    if not evaluation.n_anomaly or not evaluation.n_normal:
        return
    curve, area = evaluation.pr(), float(evaluation.average_precision)
    point = float(evaluation.recall), float(evaluation.precision)

    def draw(ax: Axes) -> Axes:
        return pr_curve(curve.recall, curve.precision, ax=ax, average_precision=area, point=point)

    yield _el("div", _chart(draw, (4.8, 3.9), "precision-recall curve"), cls="card")


def _histogram(evaluation: Evaluation) -> Html:
    scores, labels = [row.score for row in evaluation.rows], [str(row.label) for row in evaluation.rows]
    threshold = None if math.isnan(evaluation.threshold) else evaluation.threshold

    def draw(ax: Axes) -> Axes:
        return score_histogram(scores, labels, threshold=threshold, ax=ax)

    return _chart(draw, (8.4, 2.8), "histogram of the scores with the threshold")


def _type_table(types: Mapping[str, Mapping[str, Any]]) -> Iterator[Html]:
    head = ("anomaly type", "precision", "recall", "F1", "IoU", "95 % interval", "images found")
    rows = []
    for name, score in types.items():
        found = score["image_recall"]
        share = "" if found["value"] is None else f"{round(found['value'] * found['n'])} of {found['n']}"
        measures = [_two(score[key]) for key in ("precision", "recall", "f1")]
        rows.append([name, *measures, _two(score["aiou"]["value"]), _span(score["aiou"]), share])
    yield _table(head, rows, numbers=range(1, len(head)))
    yield _el(
        "p",
        "Precision, recall and F1 count the pixels of all images together. IoU, intersection over union of truth and "
        "prediction, is the mean of the images that have the type in either.",
        cls="remark",
    )


def _data(facts: Mapping[str, Any]) -> Iterator[Html]:
    data = facts["dataset"]
    parts = [
        f"{data[key]} {key.replace('_', ' ')}" for key in ("normal", "anomaly", "unlabelled", "with_mask") if data[key]
    ]
    yield _el("p", f"{data['name']}: {data['total']} images; {', '.join(parts) or 'none labelled'}.")
    if not facts["findings"]:
        yield _el("p", "No findings were handed to this report.", cls="remark")
        return
    rows = []
    for row in facts["findings"]:
        chip = _el("span", row["severity"], cls=f"chip {row['severity']}")
        more = f" Repair: {row['repair']}" if row["repair"] else ""
        rows.append((chip, row["rule"], row["count"], f"{'e.g. ' if row['count'] > 1 else ''}{row['text']}{more}"))
    yield _table(("", "rule", "findings", "what was found"), rows, numbers=(2,))


def _making(info: Mapping[str, Any]) -> Iterator[Html]:
    """Tell the facts of the model: sentences on backbone and choice, tables of what was tried, cards for the rest."""
    backbone = info.get("backbone")
    if isinstance(backbone, Mapping) and "weights" in backbone:
        random = " (it never learned to see)" if _has_random_weights(backbone) else ""
        name, weights = _told(backbone.get("name")), _told(backbone["weights"])
        yield _el("p", f"It sees with the network {name}. Its weights: {weights}{random}.")
    tables = dict(_tables(info))
    for reason in [part["why"] for part in (info, *info.values()) if isinstance(part, Mapping) and "why" in part]:
        yield _el("p", f"Chosen is {_told(reason)}")
    for key, (rows, winner) in tables.items():
        yield _el("h3", "What was tried" if key == "tried" else key.replace("_", " "))
        yield _tried(rows, winner)
    groups = {
        key.replace("_", " "): {name: value for name, value in part.items() if name != "why" and not _is_rows(value)}
        for key, part in info.items()
        if isinstance(part, Mapping) and key not in _ELSEWHERE
    }
    alone = {
        key: part
        for key, part in info.items()
        if key not in _ELSEWHERE and not isinstance(part, Mapping) and not _is_rows(part)
    }
    cards = [_card(name, part) for name, part in ({"in short": alone} | groups).items() if part]
    yield _el("div", *cards, cls="facts") if cards else _el("p", "The model tells nothing of itself.", cls="remark")


def _tables(info: Mapping[str, Any]) -> Iterator[tuple[str, tuple[list[Any], Any]]]:
    """Yield what was tried, wherever the facts tell it, and the name of what was chosen."""
    for key, part in info.items():
        if _is_rows(part):
            yield key, (part, info.get("name"))
        elif isinstance(part, Mapping) and key not in _ELSEWHERE:
            yield from _tables(part)


def _tried(rows: Sequence[Mapping[str, Any]], winner: Any) -> Html:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    numbers = [i for i, name in enumerate(columns) if all(_is_number(row.get(name)) for row in rows)]
    cells: list[list[object]] = [[_yes(row.get(name)) for name in columns] for row in rows]
    if any(row.get("name") == winner for row in rows):
        columns.append("")
        for row, line in zip(rows, cells, strict=True):
            line.append(_el("span", "chosen", cls="chip right") if row.get("name") == winner else "")
    return _table([name.replace("_", " ") for name in columns], cells, numbers=numbers)


def _card(title: str, facts: Mapping[str, Any]) -> Html:
    lines = [part for name, value in _flat(facts) for part in (_el("dt", name), _el("dd", _told(value)))]
    return _el("div", _el("h3", title), _el("dl", *lines), cls="card")


def _yes(value: Any) -> str:
    return "" if value is False else _told(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_rows(part: Any) -> bool:
    return isinstance(part, list) and bool(part) and all(isinstance(row, Mapping) for row in part)


def _flat(info: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in info.items():
        name = f"{before}{key.replace('_', ' ')}"
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name} · ")
        else:
            yield name, value


def _told(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_told(part)}" for key, part in value.items())
    if isinstance(value, list):
        return ", ".join(_told(part) for part in value) if len(value) <= 12 else f"{len(value)} values"
    return str(value)


def _recipe(facts: Mapping[str, Any]) -> Iterator[str]:
    """Return what somebody needs who wants the same model again."""
    wanted = ("seed", "preset", "weights", "sha256", "versions", "fingerprint", "vision toolkit")
    for name, value in _flat(facts["model"]):
        if any(part in wanted for part in name.split(" · ")):
            yield f"{name}: {_told(value)}"
    yield f"threshold: {facts['evaluation']['threshold']}"
    yield f"evaluated images: {facts['dataset']['name']}, sha256 {facts['dataset']['fingerprint']}"


def _span(score: Mapping[str, Any]) -> str:
    low, high = score["low"], score["high"]
    return "" if low is None or high is None else f"{low:.2f} to {high:.2f}"


def _two(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.2f}"


def _percent(share: float) -> str:
    digits = 0 if share in (0.0, 1.0) or 0.01 <= share <= 0.99 else 2 if share < 0.001 else 1
    return f"{share * 100:.{digits}f} %"


def _of(part: int, whole: int) -> str:
    return f"{part or 'none'} of {whole}"


def _plural(count: int, one: str, many: str) -> str:
    return one if count == 1 else many


_STYLE = """
:root { color-scheme: light dark; --page: #f5f6f8; --card: #fff; --ink: #1f2933; --muted: #5b6773; --line: #dfe4ea;
  --right: #0072b2; --wrong: #c75300; --right-soft: #0072b2; --wrong-soft: #d55e00; --warn: #fff3e6;
  --info: #eaf3fa; }
@media (prefers-color-scheme: dark) { :root { --page: #12161b; --card: #1c2229; --ink: #e6ebf0; --muted: #9ba8b5;
  --line: #323b45; --right: #6bb8e8; --wrong: #ff9c5b; --warn: #3a2716; --info: #162a3a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); line-height: 1.5;
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; font-size: 16px; }
main { max-width: 1040px; margin: 0 auto; padding: 48px 24px 24px; }
footer { max-width: 1040px; margin: 0 auto; padding: 16px 24px 48px; color: var(--muted); font-size: .85rem; }
h1 { font-size: 1.5rem; margin: 4px 0 12px; line-height: 1.25; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 48px 0 12px; }
h3 { font-size: .95rem; margin: 0 0 8px; }
section > h3 { margin-top: 20px; }
.eyebrow { margin: 0; color: var(--muted); font-size: .85rem; letter-spacing: .02em; }
.lede { font-size: clamp(1.35rem, 3.2vw, 1.9rem); line-height: 1.3; font-weight: 600; margin: 0 0 24px;
  text-wrap: balance; }
.remark, small, figcaption { color: var(--muted); font-size: .85rem; }
small { display: block; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 16px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(190px, 1fr)); gap: 12px; }
.tile { display: flex; flex-direction: column; }
.tile .name { color: var(--muted); font-size: .9rem; }
.tile .value { font-size: 1.9rem; font-weight: 650; line-height: 1.25; font-variant-numeric: tabular-nums; }
.note { margin: 12px 0 0; padding: 12px 16px; border-radius: 8px; border-left: 4px solid var(--right);
  background: var(--info); }
.note.warning { border-left-color: var(--wrong); background: var(--warn); font-weight: 600; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(340px, 1fr)); gap: 12px; }
.pair > .card { display: flex; flex-direction: column; }
.scroll { overflow-x: auto; padding: 6px 16px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; font-size: .85rem; color: var(--muted); }
.scroll td, .scroll th { padding: 9px 14px 9px 0; border-bottom: 1px solid var(--line); vertical-align: top;
  overflow-wrap: break-word; }
.scroll tr:last-child td { border-bottom: 0; }
.scroll th.number, .scroll td.number { text-align: right; white-space: nowrap; }
.bar { position: relative; display: block; min-width: 180px; height: 10px; margin-top: 7px; border-radius: 5px;
  background: var(--line); }
.bar i { position: absolute; top: 0; bottom: 0; border-radius: 5px; background: var(--right); opacity: .4; }
.bar b { position: absolute; top: -3px; width: 4px; height: 16px; margin-left: -2px; border-radius: 2px;
  background: var(--right); }
.confusion { flex: 1; border-collapse: separate; border-spacing: 6px; table-layout: fixed; }
.confusion th { vertical-align: middle; }
.confusion thead th, .confusion .cell { text-align: center; }
.confusion .cell { border-radius: 8px; padding: 18px 6px; color: var(--ink); }
.confusion .cell b { display: block; font-size: 1.9rem; line-height: 1.2; }
.confusion .cell span { font-size: .85rem; }
.cell.right { background: color-mix(in srgb, var(--right-soft) calc(8% + 32% * var(--share)), var(--card)); }
.cell.wrong { background: color-mix(in srgb, var(--wrong-soft) calc(8% + 32% * var(--share)), var(--card)); }
img { display: block; max-width: 100%; height: auto; border-radius: 6px; }
img.chart { width: 100%; background: #fff; }
.shown { margin-bottom: 12px; }
.shown header { display: flex; flex-wrap: wrap; gap: 4px 12px; align-items: baseline; margin-bottom: 10px; }
.shown header strong { overflow-wrap: anywhere; }
.shown p { margin: 8px 0 0; }
.strip { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: 12px; align-items: start; }
.strip > p { grid-column: 1 / -1; margin: 0; }
figure { margin: 0; }
figure img { width: 100%; max-height: 420px; object-fit: contain; object-position: left top; }
figcaption { margin-top: 4px; }
.chip { font-size: .8rem; font-weight: 600; padding: 1px 10px; border-radius: 999px;
  border: 1px solid currentColor; white-space: nowrap; }
.chip.right, .chip.info { color: var(--right); } .chip.wrong, .chip.error, .chip.warning { color: var(--wrong); }
dl { display: grid; grid-template-columns: minmax(90px, max-content) 1fr; gap: 4px 20px; margin: 0; }
dt { color: var(--muted); } dd { margin: 0; overflow-wrap: anywhere; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 16px; margin: 0;
  font-size: .85rem;
  white-space: pre-wrap; overflow-wrap: anywhere; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 400px), 1fr)); gap: 12px;
  margin-top: 12px; }
.facts dl { margin: 0; }
@media (max-width: 620px) { main { padding: 24px 14px; } .bar { min-width: 80px; }
  .scroll td, .scroll th { padding-right: 10px; } .strip, .pair { grid-template-columns: 1fr; }
  dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: 8px; } }
@media print { @page { margin: 12mm; }
  :root { --page: #fff; --card: #fff; --ink: #000; --muted: #444; --line: #ccc; --right: #0072b2; --wrong: #c75300;
    --warn: #fff3e6; --info: #eaf3fa; color-scheme: light; font-size: 11.5px; }
  body { font-size: 1rem; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  main { max-width: none; padding: 0; } h2 { margin-top: 20px; break-after: avoid; }
  h3, section > p { break-after: avoid; break-inside: avoid; }
  .card, .shown, tr, figure, .note, pre { break-inside: avoid; }
  .tiles { grid-template-columns: repeat(4, 1fr); } .pair, .facts { grid-template-columns: 1fr 1fr; }
  .card { padding: 10px; } .scroll td, .scroll th { padding-top: 5px; padding-bottom: 5px; }
  .strip { grid-template-columns: repeat(3, 1fr); } figure img { max-height: 58mm; } }
"""
