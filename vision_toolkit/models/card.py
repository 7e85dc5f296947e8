"""Write a model's card: what it does and sees through, how it judges and why, what it is worth, and its limits.

Everything comes from the plain facts in ``model.json``, so that a loaded model has the same card.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vision_toolkit.models.view import View

__all__ = ["write_card"]

Facts = Mapping[str, Any]

_SCORES = {
    "f1": "F1",
    "precision": "precision",
    "recall": "recall",
    "accuracy": "accuracy",
    "roc_auc": "ROC AUC",
    "average_precision": "average precision",
}
_KINDS = {
    "cross-validation": "training images, each while held out: choice, calibration and threshold had not seen it",
    "test": "images of a test set",
}


def write_card(info: Facts, *, size: int, level: int = 1) -> str:
    """Return the card of a model, Markdown.

    Parameters
    ----------
    info
        what ``model.json`` says; what it does not say is left out.
    size
        bytes of the model's graph.
    level
        of the first heading, from 1.

    Examples
    --------
    >>> training = {"images": 3, "normal": 2, "anomaly": 1, "with_mask": 0, "fingerprint": "ab12"}
    >>> info = {"task": "classification", "types": [], "threshold": 0.5, "training": training}
    >>> print(write_card(info, size=2_500_000, level=2).partition(";")[0])
    ## Model card
    <BLANKLINE>
    Says of an image whether it shows an anomaly, and how surely
    """
    parts = {
        "Learned from": _training(info),
        "Sees through": _backbone(info, size),
        "Judges by": _verdict(info),
        "Calls an anomaly": _threshold(info),
        "Is worth": _worth(info),
        "Paints": _painting(info),
        "Limits": _limits(info),
        "To make it again": _again(info),
    }
    head = "#" * level
    sections = [f"{head}# {title}\n\n{text}" for title, text in parts.items() if text]
    return "\n\n".join([f"{head} Model card", _task(info), *sections]) + "\n"


def _task(info: Facts) -> str:
    text = "Says of an image whether it shows an anomaly, and how surely; a heat map shows where it looks unusual."
    if info["types"]:
        text += f" Paints the anomaly types {_listed(info['types'])}, each pixel one or none."
    return text


def _training(info: Facts) -> str:
    facts = info["training"]
    masks = f", {facts['with_mask']} of them with a mask" if facts.get("with_mask") else ""
    return (
        f"{facts['images']} images: {facts['normal']} normal, {facts['anomaly']} anomaly{masks}. "
        f"Fingerprint of the manifest: `{facts['fingerprint']}`."
    )


def _backbone(info: Facts, size: int) -> str:
    facts = info.get("backbone", {})
    sizes = [_size(one) for one in info.get("inputs", ())]
    lines = [
        f"- feature extractor: {facts.get('name', 'unknown')}; weights: {facts.get('weights', 'unknown')}",
        f"- licence of the weights: {facts.get('licence') or 'not told by their publisher'}",
    ]
    if facts.get("pretrained") is False:
        lines.append("- these never learned to see: pretrained weights mostly give better scores")
    if sizes:
        lines.append(f"- each image is looked at as {_listed(sizes)} pixels (width x height)")
    return "\n".join([*lines, f"- the whole model is one ONNX graph of {size / 1e6:.1f} MB (`model.onnx`)"])


def _size(size: Facts) -> str:
    tiles = View(size["height"], size["width"]).tiles
    cut = f" (in {tiles.count} overlapping tiles)" if tiles is not None else ""
    return f"{size['width']} x {size['height']}{cut}"


def _verdict(info: Facts) -> str:
    verdict = info.get("verdict", {})
    text = str(verdict.get("why", ""))
    tried: Sequence[Facts] = verdict.get("tried", ())
    if not tried:
        return text
    metric = str(info.get("metric", "f1"))
    lines = [
        f"| {_cell(one['name'])} | {_number(one.get(metric))} | {_number(one.get('log_loss'))} | "
        f"{'yes' if one.get('tied_with_best') else 'no'} |"
        for one in tried
    ]
    title = _SCORES.get(metric, metric.replace("_", " "))
    head = f"| tried | {title} | log-loss | within one standard error of the best |"
    return "\n".join([text, "", head, "|---|---|---|---|", *lines])


def _threshold(info: Facts) -> str:
    text = f"From a score of {info['threshold']:.4g} on; rule: `{info.get('threshold_rule', 'unknown')}`."
    share = info.get("prevalence")
    if share is None:
        return f"{text} Scores are probabilities where anomalies are as frequent as among the training images."
    return f"{text} Scores are probabilities for a line with {100 * share:.3g} % anomalies."


def _worth(info: Facts) -> str:
    facts = info.get("metrics")
    if not facts:
        return "Nobody knows yet: it was judged on no labelled anomalies."
    counts, kind = facts["counts"], _KINDS.get(facts["kind"], facts["kind"])
    found = f"{counts['tp']} of {facts['anomaly']} anomalies found"
    lines = [
        f"Judged on {facts['images']} {kind}.",
        "",
        f"{found}, {counts['fp']} of {facts['normal']} normal images rejected.",
        "",
        "| score | value | 95 % interval | images behind it |",
        "|---|---|---|---|",
    ]
    for name, title in _SCORES.items():
        score = facts["scores"].get(name)
        if score is not None:
            lines.append(f"| {title} | {_number(score['value'])} | {_ends(score)} | {score['n']} |")
    return "\n".join([*lines, *_calibration(facts.get("calibration"), info.get("prevalence"))])


def _calibration(facts: Facts | None, prevalence: float | None) -> list[str]:
    if not facts or facts.get("error") is None:
        return []
    if prevalence is not None:
        return ["", "How well scores keep their word was not measured: they are meant for another share of anomalies."]
    chance = facts.get("by_chance")
    beside = "" if chance is None else f" (perfect probabilities would show {chance:.3f} on so few images)"
    return ["", f"Calibration error: {facts['error']:.3f}{beside}; Brier score {_number(facts['brier']['value'])}."]


def _painting(info: Facts) -> str:
    if not info["types"]:
        return ""
    facts = info.get("painting") or {}
    names = {"network": "A network of its own paints", "cells": "A decoder that looks at each cell alone paints"}
    lines = [f"{names.get(str(facts.get('name')), 'A decoder paints')}."]
    if "held_out_iou" in facts:
        iou = facts["held_out_iou"]
        lines[0] += (
            f" Mean IoU on images that neither had seen: network {iou['network']:.3f}, cells {iou['cells']:.3f}."
        )
    types = (info.get("metrics") or {}).get("types", {})
    if types:
        lines += ["", "| type | images | images found | mean IoU of an image | pixel F1 |", "|---|---|---|---|---|"]
        for name, score in types.items():
            found, iou = score["image_recall"], score["aiou"]
            lines.append(
                f"| {_cell(name)} | {score['images']} | {_number(found['value'])} ({_ends(found)}) | "
                f"{_number(iou['value'])} ({_ends(iou)}) | {_number(score['f1'])} |"
            )
    return "\n".join(lines)


def _limits(info: Facts) -> str:
    facts = info["training"]
    lines = [
        "- Nothing is known of other lines, cameras, lights or parts than those in the images.",
        f"- It learned from {facts['anomaly']} anomalies; a kind that is not among them only the heat map may show.",
    ]
    if facts["images"] < 200:
        lines.append("- These are few images: read the intervals, not the values.")
    metrics = info.get("metrics") or {}
    if metrics.get("kind") == "cross-validation":
        lines.append("- It was not judged on images of another day or batch; keep some apart for that.")
    if info.get("threshold_rule") != "set by hand" and metrics:
        lines.append("- The threshold was chosen for the rule and the share of anomalies that stand above.")
    lines += [f"- {note}" for note in info.get("notes", ())]
    return "\n".join(lines)


def _again(info: Facts) -> str:
    facts = info.get("backbone", {})
    weights = "None" if facts.get("pretrained") is False else f"...,  # {facts.get('weights', 'those above')}"
    rule, share = info.get("threshold_rule"), info.get("prevalence")
    # A rule that was moved to another share of anomalies does not go together with the one of the training.
    unknown = rule in (None, "set by hand", "a function") or (share is not None and "prevalence" in str(rule))
    options = [
        ("task", repr(info["task"])),
        ("preset", repr(info.get("preset"))),
        ("metric", repr(info.get("metric"))),
        ("threshold", repr(info["threshold"] if unknown else rule)),
        *([("prevalence", repr(share))] if share is not None else []),
        ("seed", repr(info.get("seed"))),
    ]
    lines = [
        "```python",
        f'assert manifest.fingerprint() == "{info["training"]["fingerprint"]}"  # of its labelled images',
        "vt.train(",
        "    manifest,",
        f"    weights={weights}{'' if '#' in weights else ','}",
        *(f"    {name}={value}," for name, value in options),
        ")",
        "```",
    ]
    versions = ", ".join(f"{name} {number}" for name, number in info.get("versions", {}).items())
    spent = f" It took {info['seconds']:g} s." if "seconds" in info else ""
    return "\n".join([*lines, "", f"Made with {versions}.{spent} The number of threads may move last digits."])


def _listed(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else list(words))


def _cell(text: str) -> str:
    """Return a name as a cell of a table can hold it."""
    return text.replace("|", "\\|").replace("\n", " ")


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"


def _ends(score: Facts) -> str:
    return "unknown" if score["low"] is None else f"{score['low']:.2f}-{score['high']:.2f}"
