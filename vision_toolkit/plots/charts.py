"""Charts of how good a model is, each on one axes: curves, confusion, scores, intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vision_toolkit.core import Invalid
from vision_toolkit.plots.style import ANOMALY, FAINT, INK, MUTED, NORMAL, new_axes, quiet

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "confusion_matrix",
    "interval_bars",
    "pr_curve",
    "reliability",
    "roc_curve",
    "score_histogram",
    "type_scores",
]

_SERIES = (NORMAL, ANOMALY, "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Colours of Okabe and Ito, in the order in which series take them."""


def pr_curve(
    recall: ArrayLike,
    precision: ArrayLike,
    *,
    ax: Axes | None = None,
    average_precision: float | None = None,
    point: tuple[float, float] | None = None,
) -> Axes:
    """Draw precision over recall, as the steps that they really are.

    Parameters
    ----------
    recall, precision
        one value a threshold, 0 to 1, the recall rising or falling.
    ax
        where to draw; by default a new figure.
    average_precision
        told in the title where given.
    point
        ``(recall, precision)`` at the threshold of the model, marked on the curve.

    Returns
    -------
    Axes
        the axes that were drawn on.

    Raises
    ------
    Invalid
        if the lengths differ, a value is outside 0 to 1, or the recall goes up and down.

    Examples
    --------
    >>> ax = pr_curve([0, 0.5, 1], [1, 1, 0.6], average_precision=0.8, point=(0.5, 1.0))
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('recall: share of the anomalies that are found', 'precision: share of the alarms that are right')
    """
    x, y = _curve(recall, precision, ("recall", "precision"))
    with quiet():
        ax = new_axes(ax, (4.8, 4.2))
        ax.fill_between(x, y, step="pre", color=NORMAL, alpha=0.10, linewidth=0)
        ax.plot(x, y, drawstyle="steps-pre", color=NORMAL)
        if point is not None:
            _mark(ax, point, f"recall {point[0]:.2f}\nprecision {point[1]:.2f}", (-12, -14), "right")
        _unit_square(
            ax, "recall: share of the anomalies that are found", "precision: share of the alarms that are right"
        )
        ax.set_title(_titled("Precision and recall", "average precision", average_precision))
    return ax


def roc_curve(fpr: ArrayLike, tpr: ArrayLike, *, ax: Axes | None = None, auc: float | None = None) -> Axes:
    """Draw the share of anomalies found over the share of normal images rejected.

    Parameters
    ----------
    fpr, tpr
        one value a threshold, 0 to 1, the false positive rate rising or falling.
    ax
        where to draw; by default a new figure.
    auc
        area under the curve, told in the title where given.

    Returns
    -------
    Axes
        the axes that were drawn on.

    Raises
    ------
    Invalid
        if the lengths differ, a value is outside 0 to 1, or the rate goes up and down.

    Examples
    --------
    >>> roc_curve([0, 0, 1], [0, 1, 1], auc=1.0).get_title(loc="left")
    'ROC curve: area 1.00'
    """
    x, y = _curve(fpr, tpr, ("fpr", "tpr"))
    with quiet():
        ax = new_axes(ax, (4.8, 4.2))
        ax.plot([0, 1], [0, 1], color=MUTED, linewidth=1.0, linestyle=(0, (4, 4)))
        ax.annotate("guessing", (0.5, 0.5), (0, -3), textcoords="offset points", color=MUTED, fontsize=9, va="top")
        ax.fill_between(x, y, color=NORMAL, alpha=0.10, linewidth=0)
        ax.plot(x, y, color=NORMAL)
        _unit_square(ax, "share of the normal images that are rejected", "share of the anomalies that are found")
        ax.set_title(_titled("ROC curve", "area", auc))
    return ax


def confusion_matrix(tp: int, fp: int, fn: int, tn: int, *, ax: Axes | None = None) -> Axes:
    """Draw the four counts, and of each row the share.

    Rows are what the images are, columns what the model says of them. Blue is right and vermilion is wrong, the
    stronger the larger the share of the row; the words say it too.

    Parameters
    ----------
    tp, fp, fn, tn
        anomalies found, normal images rejected, anomalies missed, normal images passed; from 0.
    ax
        where to draw; by default a new figure.

    Returns
    -------
    Axes
        the axes that were drawn on.

    Raises
    ------
    Invalid
        if a count is below 0.

    Examples
    --------
    >>> ax = confusion_matrix(18, 1, 1, 18)
    >>> [text.get_text() for text in ax.texts][:2]
    ['18', '95 %  passed']
    """
    counts = {"tp": tp, "fp": fp, "fn": fn, "tn": tn}
    if any(count < 0 for count in counts.values()):
        raise Invalid(f"Counts are whole numbers from 0; {counts} was given.")
    cells = (((tn, "passed", True), (fp, "false alarm", False)), ((fn, "missed", False), (tp, "found", True)))
    with quiet():
        from matplotlib.patches import Rectangle

        ax = new_axes(ax, (4.4, 3.6))
        for row, line in enumerate(cells):
            total = line[0][0] + line[1][0]
            for column, (count, word, right) in enumerate(line):
                share = count / total if total else 0.0
                face, ink = _cell_colours(share, right)
                ax.add_patch(Rectangle((column, row), 1, 1, facecolor=face, edgecolor="white", linewidth=3))
                x, y = column + 0.5, row + 0.5
                ax.text(x, y - 0.07, f"{count}", ha="center", va="center", fontsize=22, fontweight="bold", color=ink)
                remark = f"{share:.0%}  {word}".replace("%", " %") if total else f"none to be {word}"
                ax.text(x, y + 0.24, remark, ha="center", va="center", fontsize=9.5, color=ink)
        ax.set(xlim=(0, 2), ylim=(2, 0), xlabel="the model says", ylabel="the image is")
        ax.set_xticks([0.5, 1.5], ["normal", "anomaly"])
        ax.set_yticks([0.5, 1.5], ["normal", "anomaly"], rotation=90, va="center")
        ax.xaxis.set_label_position("top")
        ax.tick_params(length=0, top=False, bottom=False, labeltop=True, labelbottom=False)
        for spine in ax.spines.values():
            spine.set_visible(False)
        ax.set_title(f"{tp + tn} of {tp + tn + fp + fn} images judged rightly")
    return ax


def score_histogram(
    scores: ArrayLike, labels: Sequence[Any] | NDArray[Any], *, threshold: float | None = None, ax: Axes | None = None
) -> Axes:
    """Draw how the scores of normal images and of anomalies lie, and where the threshold cuts.

    Parameters
    ----------
    scores
        (n,) from 0 to 1.
    labels
        (n,) ``"normal"`` or ``"anomaly"``, or 0 and 1, or False and True.
    threshold
        the score from which the model says anomaly.
    ax
        where to draw; by default a new figure.

    Returns
    -------
    Axes
        the axes that were drawn on.

    Raises
    ------
    Invalid
        if the lengths differ, a score is outside 0 to 1, or a label is another.

    Examples
    --------
    >>> ax = score_histogram([0.1, 0.2, 0.9], ["normal", "normal", "anomaly"], threshold=0.5)
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['2 normal', '1 anomaly']
    """
    values = _unit(scores, "scores")
    anomalous = anomalous_flags(labels)
    _same_length({"scores": len(values), "labels": len(anomalous)})
    edges = np.linspace(0.0, 1.0, 26)
    normal, anomaly = (np.histogram(values[pick], edges)[0] for pick in (~anomalous, anomalous))
    with quiet():
        from matplotlib.ticker import MaxNLocator

        ax = new_axes(ax, (6.4, 3.0))
        centres, wide = (edges[:-1] + edges[1:]) / 2, float(edges[1]) * 0.9
        ax.bar(centres, normal, wide, color=NORMAL, label=f"{int(normal.sum())} normal")
        told = f"{int(anomaly.sum())} anomaly"
        ax.bar(centres, anomaly, wide, bottom=normal, color=ANOMALY, label=told, hatch="////", edgecolor="white",
               linewidth=0)  # fmt: skip
        top = max(1, int((normal + anomaly).max(initial=0)))
        ax.set(xlim=(-0.01, 1.01), ylim=(0, top * 1.18), xlabel="score: probability of an anomaly", ylabel="images")
        ax.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
        if threshold is not None:
            ax.axvline(threshold, color=INK, linewidth=1.4, linestyle=(0, (4, 2)))
            side = "right" if threshold > 0.6 else "left"
            ax.annotate(
                f"threshold {threshold:.2f}", (threshold, 1.0), (-5 if side == "right" else 5, -2), ha=side, va="top",
                xycoords=("data", "axes fraction"), textcoords="offset points", fontsize=9,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0, "alpha": 0.85},
            )  # fmt: skip
        ax.set_title("Scores of the images", pad=24)
        ax.legend(loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=2, borderaxespad=0.0, handlelength=1.2)
    return ax


def reliability(
    predicted: ArrayLike,
    observed: ArrayLike,
    *,
    counts: Sequence[int] | None = None,
    lows: ArrayLike | None = None,
    highs: ArrayLike | None = None,
    error: float | None = None,
    brier: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw whether a score of 0.8 is right in 80 of 100 images.

    Parameters
    ----------
    predicted, observed
        mean score and share of anomalies of each group of images, 0 to 1.
    counts
        images of each group, written beside its point.
    lows, highs
        both ends of the interval of ``observed``, 0 to 1.
    error, brier
        expected calibration error and Brier score, told in the title where given.
    ax
        where to draw; by default a new figure.

    Returns
    -------
    Axes
        the axes that were drawn on.

    Raises
    ------
    Invalid
        if the lengths differ or a value is outside 0 to 1.

    Examples
    --------
    >>> reliability([0.1, 0.9], [0.0, 1.0], counts=[12, 7]).get_xlabel()
    'score of the model'
    """
    x, y = _unit(predicted, "predicted"), _unit(observed, "observed")
    lengths = {"predicted": len(x), "observed": len(y)}
    low = y if lows is None else _unit(lows, "lows")
    high = y if highs is None else _unit(highs, "highs")
    lengths |= {"lows": len(low), "highs": len(high)} | ({} if counts is None else {"counts": len(counts)})
    _same_length(lengths)
    with quiet():
        ax = new_axes(ax, (4.8, 4.2))
        ax.plot([0, 1], [0, 1], color=MUTED, linewidth=1.0, linestyle=(0, (4, 4)))
        ax.vlines(x, low, high, color=NORMAL, linewidth=1.6, alpha=0.55)
        ax.plot(x, y, color=NORMAL, marker="o", markersize=6, markeredgecolor="white", linewidth=1.4)
        for index, count in enumerate(counts if counts is not None else ()):
            ax.annotate(f"{count}", (x[index], y[index]), (6, -6), textcoords="offset points", fontsize=8, color=MUTED)
        _unit_square(ax, "score of the model", "share that are anomalies")
        told = {"calibration error": error, "Brier score": brier}
        measures = ", ".join(f"{name} {value:.2f}" for name, value in told.items() if value is not None)
        ax.set_title("\n".join(line for line in ("Do the scores mean what they say?", measures) if line))
    return ax


def type_scores(names: Sequence[str], scores: Mapping[str, ArrayLike], *, ax: Axes | None = None) -> Axes:
    """Draw one or several scores of each anomaly type as bars.

    Parameters
    ----------
    names
        the anomaly types.
    scores
        name of a score (``"F1"``, ``"IoU"``) to one value a type, 0 to 1; NaN where it is undefined.
    ax
        where to draw; by default a new figure.

    Returns
    -------
    Axes
        the axes that were drawn on.

    Raises
    ------
    Invalid
        if there is nothing to draw, the lengths differ or a value is outside 0 to 1.

    Examples
    --------
    >>> ax = type_scores(["scratch", "pore"], {"F1": [0.9, 0.7], "IoU": [0.6, 0.4]})
    >>> [text.get_text() for text in ax.get_yticklabels()]
    ['scratch', 'pore']
    """
    if not names or not scores:
        raise Invalid(f"There must be at least one type and one score; {len(names)} and {len(scores)} were given.")
    rows = {name: _unit(values, name, missing=True) for name, values in scores.items()}
    _same_length({"names": len(names)} | {name: len(values) for name, values in rows.items()})
    thick = 0.76 / len(rows)
    with quiet():
        ax = new_axes(ax, (6.0, 0.9 + max(0.32 * len(rows) * len(names), 0.5 * len(names))))
        for index, (name, values) in enumerate(rows.items()):
            places = np.arange(len(names)) + (index - (len(rows) - 1) / 2) * thick
            ax.barh(places, np.nan_to_num(values), thick * 0.92, color=_SERIES[index % len(_SERIES)], label=name)
            for place, value in zip(places.tolist(), values.tolist(), strict=True):
                text = "no images" if np.isnan(value) else f"{value:.2f}"
                ax.text((0.0 if np.isnan(value) else value) + 0.012, place, text, va="center", fontsize=8.5, color=INK)
        _score_axis(ax, [clipped(name) for name in names])
        if len(rows) > 1:
            ax.legend(
                loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=len(rows), borderaxespad=0.0, handlelength=1.2
            )
        ax.set_title("Scores by anomaly type", pad=24 if len(rows) > 1 else 8)
    return ax


def interval_bars(
    names: Sequence[str],
    values: ArrayLike,
    lows: ArrayLike,
    highs: ArrayLike,
    *,
    counts: Sequence[int] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw scores with their intervals, so that a small test set is seen to be small.

    Parameters
    ----------
    names
        of the scores.
    values, lows, highs
        the scores and both ends of their intervals, 0 to 1; NaN where a score is undefined.
    counts
        how many images (or anomalies) each score rests on, written beside the name.
    ax
        where to draw; by default a new figure.

    Returns
    -------
    Axes
        the axes that were drawn on.

    Raises
    ------
    Invalid
        if there is nothing to draw, the lengths differ, a value is outside 0 to 1, or an interval is upside down.

    Examples
    --------
    >>> ax = interval_bars(["recall"], [0.95], [0.75], [0.99], counts=[19])
    >>> [text.get_text() for text in ax.get_yticklabels()]
    ['recall  (n = 19)']
    """
    parts = {"values": values, "lows": lows, "highs": highs}
    value, low, high = (_unit(part, name, missing=True) for name, part in parts.items())
    lengths = {"names": len(names), "values": len(value), "lows": len(low), "highs": len(high)}
    _same_length(lengths | ({} if counts is None else {"counts": len(counts)}))
    if not names:
        raise Invalid("There must be at least one score to draw; none was given.")
    if bool(np.any(low > high)):
        raise Invalid("An interval begins at its lower end; lows lies above highs somewhere. Exchange the two.")
    places = np.arange(len(names))
    with quiet():
        ax = new_axes(ax, (6.4, 0.9 + 0.42 * len(names)))
        ax.barh(places, np.ones(len(names)), 0.5, color="#F3F5F7")
        ax.barh(places, high - low, 0.5, left=low, color=NORMAL, alpha=0.28)
        ax.plot(value, places, "o", color=NORMAL, markersize=8, markeredgecolor="white", linestyle="none")
        for place, one, start, end in zip(places.tolist(), value, low, high, strict=True):
            text = "undefined" if np.isnan(one) else f"{one:.2f}"
            if not np.isnan([one, start, end]).any():
                text += f"   {start:.2f} to {end:.2f}"
            ax.text(1.02, place, text, va="center", fontsize=9, color=INK, clip_on=False)
        labels = [clipped(name) for name in names]
        if counts is not None:
            labels = [f"{name}  (n = {count})" for name, count in zip(labels, counts, strict=True)]
        _score_axis(ax, labels)
        ax.set_xlim(0, 1.0)
    return ax


def clipped(text: str, length: int = 34) -> str:
    """Return a name that fits beside a chart, never read as a formula.

    Examples
    --------
    >>> clipped("a defect with a long name", 12)
    'a defect wi…'
    """
    short = text if len(text) <= length else text[: length - 1] + "…"
    return short.replace("$", r"\$")


def _curve(x: ArrayLike, y: ArrayLike, names: tuple[str, str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return both coordinates with x rising, so that a step belongs to the point at its right end."""
    xs, ys = _unit(x, names[0]), _unit(y, names[1])
    _same_length({names[0]: len(xs), names[1]: len(ys)})
    if len(xs) < 2:
        raise Invalid(f"A curve has at least two points; {len(xs)} was given.")
    steps = np.diff(xs)
    if bool((steps >= 0).all()):
        return xs, ys
    if bool((steps <= 0).all()):
        return xs[::-1], ys[::-1]
    raise Invalid(f"{names[0]} must rise or fall along the curve; it goes up and down. Sort the points by threshold.")


def _unit(values: ArrayLike, name: str, *, missing: bool = False) -> NDArray[np.float64]:
    try:
        array = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        raise Invalid(f"{name} must be numbers from 0 to 1; {values!r} was given.") from None
    if array.ndim != 1:
        raise Invalid(f"{name} must be a row of numbers; an array of shape {array.shape} was given.")
    inside = (array >= -1e-9) & (array <= 1.0 + 1e-9)
    if missing:
        inside |= np.isnan(array)
    if not bool(inside.all()):
        raise Invalid(f"{name} must lie from 0 to 1; {float(array[~inside][0])} was given.")
    return array


def _same_length(lengths: Mapping[str, int]) -> None:
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise Invalid(f"These must be of one length: {told}.")


def anomalous_flags(labels: Sequence[Any] | NDArray[Any]) -> NDArray[np.bool_]:
    """Return whether each label says anomaly."""
    meaning = {"normal": False, "anomaly": True, 0: False, 1: True}
    result = []
    for label in labels:
        key = str(label) if isinstance(label, str) else label
        if key not in meaning:
            raise Invalid(
                f"A label is 'normal' or 'anomaly', or 0 or 1; {label!r} was given. Leave unlabelled images out."
            )
        result.append(meaning[key])
    return np.array(result, np.bool_)


def _mark(ax: Axes, point: tuple[float, float], text: str, offset: tuple[int, int], side: str) -> None:
    ax.plot(
        *point, "o", color=ANOMALY, markersize=9, markeredgecolor="white", markeredgewidth=1.5, clip_on=False, zorder=5
    )
    ax.annotate(
        f"this model\n{text}", point, offset, textcoords="offset points", ha=side, va="top", fontsize=9, color=INK
    )


def _unit_square(ax: Axes, x: str, y: str) -> None:
    ax.set(xlim=(0, 1.0), ylim=(0, 1.03), xlabel=x, ylabel=y)
    ax.grid(color=FAINT, linewidth=0.8)
    ax.set_axisbelow(True)


def _titled(name: str, measure: str, value: float | None) -> str:
    return name if value is None else f"{name}: {measure} {value:.2f}"


def _score_axis(ax: Axes, names: Sequence[str]) -> None:
    ax.set(xlim=(0, 1.08), ylim=(len(names) - 0.5, -0.5))
    ax.set_xticks(np.linspace(0, 1, 6))
    ax.set_yticks(np.arange(len(names)), list(names))
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.grid(axis="x", color=FAINT, linewidth=0.8)
    ax.set_axisbelow(True)


def _cell_colours(share: float, right: bool) -> tuple[tuple[float, float, float], str]:
    """Return the face of a cell and an ink that is read on it."""
    from matplotlib.colors import to_rgb

    full = to_rgb(NORMAL if right else ANOMALY)
    weight = 0.10 + 0.75 * share
    red, green, blue = (1.0 - weight + weight * part for part in full)
    light = 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2
    return (red, green, blue), "white" if light < 0.30 else INK
