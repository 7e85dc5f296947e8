"""Cards of single images with heat map and masks, and charts; all of them bytes within the page."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Callable, Iterable
from itertools import zip_longest
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vision_toolkit.core.entry import Entry
from vision_toolkit.core.errors import VisionError
from vision_toolkit.core.mask import BACKGROUND, Mask
from vision_toolkit.data.images import encode_jpeg, read_image, read_mask, thumbnail
from vision_toolkit.data.manifest import Manifest
from vision_toolkit.metrics.evaluation import Evaluation, Row
from vision_toolkit.metrics.intervals import proportion_interval
from vision_toolkit.models.report.facts import two_digits
from vision_toolkit.models.report.markup import Html, el
from vision_toolkit.plots import overlay, pr_curve, reliability, score_histogram, trace
from vision_toolkit.plots.overlay import percent
from vision_toolkit.plots.style import quiet

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from vision_toolkit.models.report import Reportable

__all__ = [
    "FEWEST_IN_GROUP", "best_rows", "draw_cards", "draw_histogram", "draw_precision_recall", "draw_reliability",
    "worst_rows",
]  # fmt: skip

_SIDE = 480
_PICTURE_BYTES = 72_000
"""Longest side and size of a picture: twelve images with three pictures each stay below 4 MB as text."""
FEWEST_IN_GROUP = 5
"""Images of about the same score below which their share of anomalies says nothing."""
_CASES = {"fn": "anomaly, missed", "fp": "normal, false alarm", "tp": "anomaly, found", "tn": "normal, passed"}


# Images


def worst_rows(evaluation: Evaluation, count: int) -> list[Row]:
    """Return the rows to look at first: what was missed, false alarms, then the least sure."""
    rank = {"fn": 0, "fp": 1}
    return sorted(evaluation.worst(count), key=lambda row: rank.get(row.outcome, 2))


def best_rows(evaluation: Evaluation, count: int, *, besides: Iterable[Row] = ()) -> list[Row]:
    """Return the surest right verdicts that are not among ``besides``, anomalies and normal images in turn."""
    shown = {row.source for row in besides}
    right = [row for row in evaluation.rows if not row.is_error and row.source not in shown]
    right.sort(key=lambda row: -row.confidence)
    classes = [[row for row in right if row.is_anomalous is said] for said in (True, False)]
    return [row for pair in zip_longest(*classes) for row in pair if row is not None][:count]


def draw_cards(rows: Iterable[Row], manifest: Manifest, model: Reportable) -> list[Html]:
    """Return a card for each row: the image, its heat map, its masks, and what was said of it."""
    entries = {entry.source: entry for entry in reversed(manifest)}
    return [_card(row, entries.get(row.source) or Entry(row.source, at=row.location), model) for row in rows]


def _card(row: Row, entry: Entry, model: Reportable) -> Html:
    try:
        pictures = _pictures(row, entry, model)
    except VisionError as error:
        pictures = [el("p", f"This image cannot be shown: {error}", cls="remark")]
    header = el(
        "header",
        el("span", _CASES[row.outcome], cls=f"chip {'wrong' if row.is_error else 'right'}"),
        el("strong", entry.source.rpartition("/")[2] or entry.source, title=entry.source),
        el("span", f"score {two_digits(row.score)}, confidence {two_digits(row.confidence)}", cls="remark"),
    )
    return el("article", header, el("div", *pictures, cls="strip"), cls="card shown")


def _pictures(row: Row, entry: Entry, model: Reportable) -> list[Html]:
    image = read_image(entry)
    said = model.predict(entry)
    found = said.mask
    truth = _truth(entry, image, found)
    small = thumbnail(image, _SIDE)
    pictures = [_picture(small, "image")]
    # The map of the evaluation, where it kept one: in cross-validation the final model has seen the image.
    heights = row.map if row.map is not None else said.map
    if heights is not None:
        pictures.append(_picture(overlay(small, map=heights, opacity=0.65), "heat map"))
    laid, captions = small, {}
    if found is not None:
        laid = overlay(laid, mask=_shrunk(found, small), outline=truth is None)
        captions["filled: found"] = _areas(found)
    if truth is not None:
        laid = trace(laid, _shrunk(truth, small))
        captions["outlined: truth"] = _areas(truth)
    if captions:
        lines = [el("span", f"{what} ", *areas) for what, areas in captions.items()]
        pictures.append(_picture(laid, ", ".join(captions), *lines))
    return pictures


def _truth(entry: Entry, image: NDArray[np.uint8], found: Mask | None) -> Mask | None:
    if entry.mask is None or not entry.types:
        return None
    names = list(dict.fromkeys([*(found.names[1:] if found is not None else ()), *entry.types]))
    return read_mask(entry.mask, size=(image.shape[1], image.shape[0]), names=names)


def _shrunk(mask: Mask, picture: NDArray[np.uint8]) -> Mask:
    """Return the mask at the size of a smaller picture, on which no defect vanishes, however small."""
    ids = mask.ids
    for axis in (0, 1):
        length, wanted = ids.shape[axis], picture.shape[axis]
        if wanted < length:
            ids = np.maximum.reduceat(ids, np.arange(wanted) * length // wanted, axis=axis)
    return Mask(ids, mask.names, mask.colours)


def _areas(mask: Mask) -> list[object]:
    """Return each type of a mask in its colour with its share of the image."""
    areas = mask.areas()
    told: list[object] = []
    for name, colour in zip(mask.names, mask.colours, strict=True):
        if name != BACKGROUND and name in areas:
            swatch = el("i", cls="swatch", style=f"background:{colour}")
            told += [", " if told else "", swatch, f"{name} {percent(areas[name])}"]
    return told or ["nothing"]


def _picture(pixels: NDArray[np.uint8], name: str, *caption: Html) -> Html:
    """Return a photograph as JPEG within the page, a little worse or smaller where noise would make it huge."""
    for side, quality in ((_SIDE, 85), (_SIDE, 70), (360, 70), (240, 60), (160, 50)):
        data = encode_jpeg(thumbnail(pixels, side), quality=quality)
        if len(data) <= _PICTURE_BYTES:
            break
    height, width = pixels.shape[:2]
    image = el("img", src=_embedded(data, "jpeg"), alt=name, width=width, height=height)
    return el("figure", image, el("figcaption", *(caption or [name])))


def _embedded(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"


# Charts


def draw_precision_recall(evaluation: Evaluation) -> Html:
    """Return the precision-recall curve with the point of the model; needs anomalies and normal images."""
    curve = evaluation.pr()
    point = float(evaluation.recall), float(evaluation.precision)
    usable = None if math.isnan(point[1]) else point

    def draw(ax: Axes) -> Axes:
        return pr_curve(curve.recall, curve.precision, ax=ax, point=usable)

    return _chart(draw, (4.8, 3.9), "precision-recall curve")


def draw_histogram(evaluation: Evaluation) -> Html:
    """Return how the scores lie, with the threshold; needs images."""
    scores, labels = [row.score for row in evaluation.rows], [str(row.label) for row in evaluation.rows]

    def draw(ax: Axes) -> Axes:
        return score_histogram(scores, labels, threshold=evaluation.threshold, ax=ax)

    return _chart(draw, (4.8, 3.9), "histogram of the scores with the threshold")


def draw_reliability(evaluation: Evaluation) -> Html | None:
    """Return whether scores are probabilities; None where fewer than two groups have images enough to say."""
    found = evaluation.calibration(bins=min(10, max(3, evaluation.n // 20)))
    usable = found.counts >= FEWEST_IN_GROUP
    if usable.sum() < 2:
        return None
    scores, shares, counts = found.scores[usable], found.frequencies[usable], found.counts[usable].tolist()
    ranges = [proportion_interval(round(share * n), n) for share, n in zip(shares.tolist(), counts, strict=True)]
    lows, highs = [one.low for one in ranges], [one.high for one in ranges]

    def draw(ax: Axes) -> Axes:
        return reliability(scores, shares, counts=counts, lows=lows, highs=highs, ax=ax)

    return _chart(draw, (4.8, 3.9), "share of anomalies over the score")


def _chart(draw: Callable[..., Axes], size: tuple[float, float], alt: str) -> Html:
    """Return a chart as PNG within the page, drawn without touching pyplot's figures."""
    from matplotlib.figure import Figure

    buffer = io.BytesIO()
    with quiet():
        figure = Figure(figsize=size, layout="constrained")
        draw(ax=figure.add_subplot())
        figure.savefig(buffer, format="png", dpi=170, metadata={"Software": None})
    source = _embedded(buffer.getvalue(), "png")
    return el("img", src=source, alt=alt, cls="chart", width=round(size[0] * 100), height=round(size[1] * 100))
