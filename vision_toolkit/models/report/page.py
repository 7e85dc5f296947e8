"""Write ``report.html``: the sections of the page, in their order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vision_toolkit.metrics.evaluation import Evaluation
from vision_toolkit.models.report.facts import counted, interval, of, percentage, two_digits
from vision_toolkit.models.report.making import MEASURES, tell_making, tell_recipe
from vision_toolkit.models.report.markup import Html, el, section, table
from vision_toolkit.models.report.pictures import (
    FEWEST_IN_GROUP,
    draw_histogram,
    draw_precision_recall,
    draw_reliability,
)

__all__ = ["write_page"]

_SCORES = {
    "recall": "of the anomalies, the share that it found",
    "precision": "of its alarms, the share that was right",
    "f1": "recall and precision in one number",
    "accuracy": "of all images, the share that it judged rightly",
    "roc_auc": "how well the scores alone put anomalies above normal images, whatever the threshold",
    "average_precision": "area under the precision-recall curve, whatever the threshold",
}
_KINDS = {"test": "test images", "cross-validation": "cross-validation"}
_LEGEND = (
    "Heat maps: what stays as it was photographed is as odd as normal images are; from violet over red to yellow it is "
    "odder, and the white line is the height that normal training images just reach."
)


def write_page(facts: Mapping[str, Any], evaluation: Evaluation, worst: Sequence[Html], best: Sequence[Html]) -> str:
    """Return the page.

    Parameters
    ----------
    facts
        what :func:`vision_toolkit.models.report.facts.collect` returns.
    evaluation
        the same scores, for the charts.
    worst, best
        cards of single images.
    """
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        # The page asks nobody for anything, and no text in it can become a program.
        el("meta", **{"http-equiv": "Content-Security-Policy"},
           content="default-src 'none'; img-src data:; style-src 'unsafe-inline'"),
        el("title", facts["title"]),
        el("style", Html(Path(__file__).with_name("page.css").read_text("utf-8"))),
    )  # fmt: skip
    body = el(
        "body",
        el("main", *_opening(facts), *_sections(facts, evaluation, worst, best)),
        el("footer", f"Made by vision_toolkit on {facts['made']}. The same facts for programs: report.json"),
    )
    return f'<!DOCTYPE html>\n<html lang="en">{head}{body}</html>\n'


def _opening(facts: Mapping[str, Any]) -> Iterator[Html]:
    told = facts["evaluation"]
    counts, scores = told["counts"], told["scores"]
    yield el("p", f"{facts['task']} model · {_KINDS[told['kind']]} · {told['created'][:10]}", cls="eyebrow")
    yield el("h1", facts["title"])
    yield el("p", facts["headline"], cls="lede")
    yield el(
        "div",
        _tile("anomalies found", f"{counts['tp']} of {told['anomaly']}", scores["recall"]),
        _tile("good parts rejected", f"{counts['fp']} of {told['normal']}", _cut(told)),
        _tile("F1", two_digits(scores["f1"]["value"]), scores["f1"]),
        _tile("ROC AUC", two_digits(scores["roc_auc"]["value"]), scores["roc_auc"]),
        cls="tiles",
    )
    for note in facts["notes"]:
        yield el("p", note["text"], cls=f"note {note['severity']}", role="note")


def _tile(name: str, value: str, remark: str | Mapping[str, Any]) -> Html:
    if not isinstance(remark, str):
        remark = f"95 % interval {interval(remark)}" if interval(remark) else ""
    told = (el("span", name, cls="name"), el("span", value, cls="value"), el("span", remark, cls="remark"))
    return el("div", *told, cls="card tile")


def _cut(told: Mapping[str, Any]) -> str:
    """Say at which threshold; in cross-validation each part of the images has its own."""
    if told["threshold"] is None:
        return ""
    return f"at {'a median' if told['kind'] == 'cross-validation' else 'the'} threshold of {told['threshold']:.2f}"


def _sections(
    facts: Mapping[str, Any], evaluation: Evaluation, worst: Sequence[Html], best: Sequence[Html]
) -> Iterator[Html]:
    told = facts["evaluation"]
    has_both = bool(evaluation.n_anomaly and evaluation.n_normal)
    curve = [_chart_card(draw_precision_recall(evaluation))] if has_both else []
    yield section("Scores", _score_table(told["scores"]))
    yield section("Right and wrong", el("div", _confusion(told["counts"]), *curve, cls="pair"))
    if evaluation.rows:
        yield section("How sure it is", *_sureness(evaluation, has_both))
    if told["types"]:
        yield section("Anomaly types", *_types(told["types"]))
    if worst:
        yield _failures(told, worst)
    if best:
        yield section("Where it is surest", *best)
    yield section("The data", *_data(facts))
    yield tell_making(facts["model"])
    yield tell_recipe(facts)


def _chart_card(chart: Html) -> Html:
    return el("div", chart, cls="card")


def _score_table(scores: Mapping[str, Mapping[str, Any]]) -> Html:
    rows = []
    for name, meaning in _SCORES.items():
        score = scores[name]
        words = el("span", MEASURES.get(name, name.replace("_", " ")), el("small", meaning))
        rows.append((words, two_digits(score["value"]), _bar(score), interval(score), score["n"]))
    return table(("score", "value", "0 to 1", "95 % interval", "n"), rows, numbers=(1, 3, 4))


def _bar(score: Mapping[str, Any]) -> Html | str:
    """Draw an interval of 0 to 1 as a strip with its value, in style sheets alone."""
    value, low, high = score["value"], score["low"], score["high"]
    if value is None or low is None or high is None:
        return ""
    span = el("i", style=f"left:{low:.2%};width:{max(high - low, 0.004):.2%}")
    return el("span", span, el("b", style=f"left:{value:.2%}"), cls="bar", title=f"{low:.3f} to {high:.3f}")


def _confusion(counts: Mapping[str, int]) -> Html:
    rows = {
        "normal": [("tn", "passed", "right"), ("fp", "false alarms", "wrong")],
        "anomaly": [("fn", "missed", "wrong"), ("tp", "found", "right")],
    }
    lines = []
    for name, cells in rows.items():
        total = sum(counts[key] for key, _, _ in cells)
        tds = []
        for key, word, kind in cells:
            share = counts[key] / total if total else 0.0
            told = f"{percentage(share)} {word}" if total else word
            number = el("b", counts[key])
            tds.append(el("td", number, el("span", told), cls=f"cell {kind}", style=f"--share:{share:.3f}"))
        lines.append(el("tr", el("th", f"is {name}", scope="row"), *tds))
    head = el("tr", el("td"), *(el("th", f"model says {name}", scope="col") for name in rows))
    matrix = el("table", el("thead", head), el("tbody", *lines), cls="confusion")
    return el("div", el("h3", "Confusion matrix"), matrix, cls="card")


def _sureness(evaluation: Evaluation, has_both: bool) -> Iterator[Html]:
    chart = draw_reliability(evaluation) if has_both else None
    charts = [draw_histogram(evaluation), *([chart] if chart is not None else [])]
    yield el("div", *map(_chart_card, charts), cls="pair")
    if chart is not None:
        share = f"{of(evaluation.n_anomaly, evaluation.n)} images"
        yield el(
            "p",
            "On the dashed line a score is a probability: of the images scored 0.8, eight in ten are anomalies. Each "
            "dot stands for as many images of about the same score as the number beside it, its bar for the 95 % "
            f"interval; where there are fewer than {FEWEST_IN_GROUP}, there is none. This holds where anomalies are as "
            f"frequent as here, {share}; where they are rarer, the same score means less.",
            cls="remark",
        )


def _types(types: Mapping[str, Mapping[str, Any]]) -> Iterator[Html]:
    head = ("anomaly type", "images found", "precision", "recall", "F1", "IoU (mean over images)", "its 95 % interval")
    rows = []
    for name, score in types.items():
        found = score["image_recall"]
        share = "" if found["value"] is None else f"{round(found['value'] * found['n'])} of {found['n']}"
        measures = [two_digits(score[key]) for key in ("precision", "recall", "f1")]
        rows.append([name, share, *measures, two_digits(score["aiou"]["value"]), interval(score["aiou"])])
    yield table(head, rows, numbers=range(1, len(head)))
    yield el(
        "p",
        "Images found: of those that have the type, the ones where at least a pixel of it was found. Precision, recall "
        "and F1 count the pixels of all images together. IoU, intersection over union of truth and prediction, is the "
        "mean of the images that have the type in either.",
        cls="remark",
    )


def _failures(told: Mapping[str, Any], cards: Sequence[Html]) -> Html:
    wrong = told["counts"]["fp"] + told["counts"]["fn"]
    words = f"The model was wrong on {of(wrong, told['images'])} images"
    if not wrong:
        words += "; these are the right verdicts that it was least sure of."
    else:
        words += f"; {len(cards)} are shown here, all are in report.json." if wrong > len(cards) else "."
        words += " First what it missed, then its false alarms, then the right verdicts that it was least sure of."
    title = "Where it fails" if wrong else "Where it is least sure"
    return section(title, el("p", words), el("p", _LEGEND, cls="remark"), *cards)


def _data(facts: Mapping[str, Any]) -> Iterator[Html]:
    data = facts["dataset"]
    kinds = f"{data['normal']} normal, {counted(data['anomaly'], 'anomaly')}"
    masks = f", {data['with_mask']} with masks" if data["with_mask"] else ""
    left = f" Left out: {data['unlabelled']} unlabelled." if data["unlabelled"] else ""
    judged = counted(data["normal"] + data["anomaly"], "image")
    yield el("p", f"The scores rest on {judged} of {data['name']}: {kinds}{masks}.{left}")
    if not facts["findings"]:
        words = (
            "The data were not checked." if facts["findings"] is None else "The check of the data found nothing odd."
        )
        yield el("p", words, cls="remark")
        return
    rows = []
    for row in facts["findings"]:
        chip = el("span", row["severity"], cls=f"chip {row['severity']}")
        more = f" Repair: {row['repair']}" if row["repair"] else ""
        rows.append((chip, row["rule"], row["count"], f"{'e.g. ' if row['count'] > 1 else ''}{row['text']}{more}"))
    yield table(("", "rule", "findings", "what was found"), rows, numbers=(2,))
