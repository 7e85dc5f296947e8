"""Tell how the model was made, from the facts that ``train`` keeps with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from vision_toolkit.models.report.facts import counted
from vision_toolkit.models.report.markup import Html, el, section, table

__all__ = ["MEASURES", "tell_making", "tell_recipe"]

MEASURES = {"f1": "F1", "roc_auc": "ROC AUC"}
"""How a measure is written where its name alone would look odd."""


def tell_making(info: Mapping[str, Any]) -> Html:
    """Return the section that says how the model was made: from what, with what, why so.

    Parameters
    ----------
    info
        :attr:`vision_toolkit.models.model.Model.info`.
    """
    verdict = info["verdict"]
    words = [
        _learned(info),
        _seeing(info),
        f"Its verdict comes from {verdict['why']}",
        f"It says anomaly from a score of {info['threshold']:.3f} on (threshold rule: {info['threshold_rule']}).",
        *info["notes"],
    ]
    return section(
        "How the model was made",
        *(el("p", text) for text in words),
        *(_tried(verdict, info["metric"]) if verdict["tried"] else ()),
    )


def _learned(info: Mapping[str, Any]) -> str:
    training = info["training"]
    masks = f" ({training['with_mask']} with masks)" if training["with_mask"] else ""
    kinds = f"{training['normal']} normal and {counted(training['anomaly'], 'anomaly')}{masks}"
    words = f"It learned from {counted(training['images'], 'image')}, {kinds}, in {info['seconds']:.0f} seconds."
    if info["types"]:
        words += f" It paints {counted(len(info['types']), 'anomaly type')}: {', '.join(info['types'])}."
    return words


def _seeing(info: Mapping[str, Any]) -> str:
    backbone = info["backbone"]
    sizes = " and ".join(f"{size['width']} × {size['height']}" for size in info["inputs"])
    weights = f"{backbone['weights']} ({backbone['licence']})"
    if not backbone["pretrained"]:
        weights = f"{backbone['weights']}, which never learned to see"
    return f"It sees images at {sizes} pixels through the network {backbone['name']}. Weights: {weights}."


def _tried(verdict: Mapping[str, Any], metric: str) -> Iterator[Html]:
    rows = []
    for one in verdict["tried"]:
        chip = el("span", "chosen", cls="chip right") if one["name"] == verdict["name"] else ""
        tied = "yes" if one["tied_with_best"] else ""
        rows.append((one["name"], f"{one[metric]:.3f}", f"{one['log_loss']:.3f}", tied, chip))
    yield el("h3", "What was tried")
    head = ("candidate", MEASURES.get(metric, metric.replace("_", " ")), "log-loss", "tied with the best", "")
    yield table(head, rows, numbers=(1, 2))
    yield el(
        "p",
        "Measured on training images that a candidate was not fitted to. Tied is what one standard error cannot tell "
        "from the best; among those the lowest log-loss wins.",
        cls="remark",
    )


def tell_recipe(facts: Mapping[str, Any]) -> Html:
    """Return the section that says what somebody needs who wants the same model and the same scores again.

    Parameters
    ----------
    facts
        what :func:`vision_toolkit.models.report.facts.collect` returns.
    """
    info, data = facts["model"], facts["dataset"]
    backbone = info["backbone"]
    recipe = {
        "task": info["task"],
        "preset": info["preset"],
        "metric": info["metric"],
        "threshold": f"{info['threshold_rule']}, which gave {info['threshold']}",
        "seed": info["seed"],
        "weights": f"{backbone['weights']}; graph sha256 {backbone['sha256']}",
        "training images": f"{info['training']['images']}, sha256 {info['training']['fingerprint']}",
        "evaluated images": f"{data['total']}, {data['name']}, sha256 {data['fingerprint']}",
        "versions": ", ".join(f"{name} {number}" for name, number in info["versions"].items()),
    }
    lines = [part for name, value in recipe.items() for part in (el("dt", name), el("dd", value))]
    return section("To make it again", el("dl", *lines, cls="card"))
