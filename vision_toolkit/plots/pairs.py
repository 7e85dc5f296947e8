"""Charts of two models side by side, each on one axes: their scores of every image, and their differences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vision_toolkit.core import Invalid
from vision_toolkit.plots.charts import anomalous_flags, clipped
from vision_toolkit.plots.style import ANOMALY, FAINT, INK, MUTED, NORMAL, new_axes, quiet

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["difference_bars", "score_pairs"]


def score_pairs(
    a: ArrayLike,
    b: ArrayLike,
    labels: Sequence[Any] | NDArray[Any],
    *,
    right: Sequence[str | None] | None = None,
    thresholds: tuple[float | None, float | None] = (None, None),
    names: tuple[str, str] = ("a", "b"),
    ax: Axes | None = None,
) -> Axes:
    """Draw what two models say of each image, and ring the images on which they disagree.

    Parameters
    ----------
    a, b
        (n,) scores of the same images, 0 to 1.
    labels
        (n,) ``"normal"`` or ``"anomaly"``.
    right
        (n,) ``"a"`` or ``"b"`` where only that one's verdict is right, None where the verdicts are the same; by
        default as the thresholds say, where both are given.
    thresholds
        the score from which each says anomaly; None where there is no common one.
    names
        of the two models.
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
    >>> ax = score_pairs([0.1, 0.4], [0.2, 0.9], ["normal", "anomaly"], thresholds=(0.5, 0.5))
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['1 normal', '1 anomaly', '1 changed: b right']
    """
    x, y = _scores(a, "a"), _scores(b, "b")
    anomalous = anomalous_flags(labels)
    alone = np.array([one or "" for one in (_only_right(x, y, anomalous, thresholds) if right is None else right)])
    if len({len(x), len(y), len(anomalous), len(alone)}) > 1:
        raise Invalid(
            f"These must be of one length: a {len(x)}, b {len(y)}, labels {len(anomalous)}, right {len(alone)}."
        )
    if not np.isin(alone, ("a", "b", "")).all():
        raise Invalid(f"right is 'a', 'b' or None for each image; {sorted(set(alone.tolist()))} was given.")
    with quiet():
        ax = new_axes(ax, (5.2, 5.0))
        ax.plot([0, 1], [0, 1], color=FAINT, linewidth=1.0, zorder=0)
        for pick, colour, marker, name in ((~anomalous, NORMAL, "o", "normal"), (anomalous, ANOMALY, "^", "anomaly")):
            ax.scatter(x[pick], y[pick], s=24, color=colour, marker=marker, alpha=0.6, linewidths=0,
                       label=f"{int(pick.sum())} {name}")  # fmt: skip
        for pick, line, name in ((alone == "a", ":", names[0]), (alone == "b", "-", names[1])):
            if pick.any():
                ax.scatter(x[pick], y[pick], s=110, facecolors="none", edgecolors=INK, linewidths=1.4, linestyle=line,
                           label=f"{int(pick.sum())} changed: {clipped(name, 20)} right")  # fmt: skip
        for value, draw in zip(thresholds, (ax.axvline, ax.axhline), strict=True):
            if value is not None:
                draw(value, color=INK, linewidth=1.2, linestyle=(0, (4, 2)))
        ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
        ax.set_xlabel(f"score of {clipped(names[0])}")
        ax.set_ylabel(f"score of {clipped(names[1])}")
        ax.set_title(f"{int((alone != '').sum())} of {len(x)} images change sides", pad=42)
        ax.legend(loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=2, borderaxespad=0.0, handlelength=1.2)
    return ax


def difference_bars(
    scores: Sequence[str],
    values: ArrayLike,
    lows: ArrayLike,
    highs: ArrayLike,
    *,
    names: tuple[str, str] = ("a", "b"),
    errors: Sequence[str] = (),
    ax: Axes | None = None,
) -> Axes:
    """Draw differences of scores, b minus a, with their intervals around the line of no difference.

    An interval that holds 0 is grey: there may be no difference. The others are blue where b is better and vermilion
    where a is; the side says it too.

    Parameters
    ----------
    scores
        what differs.
    values, lows, highs
        the differences and both ends of their intervals, -1 to 1; NaN where undefined.
    names
        of the two models.
    errors
        those of ``scores`` that are better the lower they are.
    ax
        where to draw; by default a new figure.

    Returns
    -------
    Axes
        the axes that were drawn on.

    Raises
    ------
    Invalid
        if there is nothing to draw, the lengths differ, a value is outside -1 to 1, or an interval is upside down.

    Examples
    --------
    >>> ax = difference_bars(["F1", "misses"], [0.1, -0.1], [0.02, -0.2], [0.18, 0.01], errors=["misses"])
    >>> [text.get_text() for text in ax.get_yticklabels()]
    ['F1', 'misses (fewer is better)']
    """
    parts = {"values": values, "lows": lows, "highs": highs}
    value, low, high = (_numbers(part, name, bottom=-1.0, missing=True) for name, part in parts.items())
    if len({len(scores), len(value), len(low), len(high)}) > 1:
        raise Invalid(
            f"These must be of one length: scores {len(scores)}, values {len(value)}, lows {len(low)}, highs "
            f"{len(high)}."
        )
    if not len(value):
        raise Invalid("There must be at least one difference to draw; none was given.")
    if bool(np.any(low > high)):
        raise Invalid("An interval begins at its lower end; lows lies above highs somewhere. Exchange the two.")
    reach = 1.15 * max(0.02, float(np.nanmax(np.abs([value, low, high]), initial=0.0)))
    with quiet():
        ax = new_axes(ax, (6.0, 1.2 + 0.42 * len(value)))
        ax.axvline(0, color=INK, linewidth=1.2)
        for place, (name, one, start, end) in enumerate(zip(scores, value, low, high, strict=True)):
            if np.isnan(one):
                ax.text(0, place, " undefined", va="center", fontsize=9, color=MUTED)
                continue
            b_better = (one > 0) != (name in errors)
            colour = MUTED if start <= 0 <= end or np.isnan(start) else NORMAL if b_better else ANOMALY
            ax.plot([start, end], [place, place], color=colour, linewidth=5, alpha=0.35, solid_capstyle="butt")
            ax.plot(one, place, "o", color=colour, markersize=8, markeredgecolor="white")
            ax.text(1.02, place, f"{one:+.2f}   {start:+.2f} to {end:+.2f}", va="center", fontsize=9,
                    transform=ax.get_yaxis_transform(), clip_on=False)  # fmt: skip
        ax.set(xlim=(-reach, reach), ylim=(len(value) - 0.5, -0.5))
        told = [f"{clipped(name)} (fewer is better)" if name in errors else clipped(name) for name in scores]
        ax.set_yticks(np.arange(len(value)), told)
        ax.tick_params(axis="y", length=0)
        ax.spines["left"].set_visible(False)
        ax.grid(axis="x", color=FAINT, linewidth=0.8)
        ax.set_xlabel(f"{clipped(names[1], 20)} minus {clipped(names[0], 20)}")
        ax.set_title("What differs, and how surely")
    return ax


def _only_right(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    anomalous: NDArray[np.bool_],
    thresholds: tuple[float | None, float | None],
) -> list[str]:
    first, second = thresholds
    if first is None or second is None or not len(x) == len(y) == len(anomalous):
        return [""] * len(x)
    # As a prediction compares them: to four digits.
    said_a, said_b = np.round(x, 4) >= round(first, 4), np.round(y, 4) >= round(second, 4)
    return np.where(said_a == said_b, "", np.where(said_b == anomalous, "b", "a")).tolist()  # type: ignore[no-any-return]


def _scores(values: ArrayLike, name: str) -> NDArray[np.float64]:
    return _numbers(values, name, bottom=0.0, missing=False)


def _numbers(values: ArrayLike, name: str, *, bottom: float, missing: bool) -> NDArray[np.float64]:
    try:
        array = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        raise Invalid(f"{name} must be numbers from {bottom:g} to 1; {values!r:.80} was given.") from None
    if array.ndim != 1:
        raise Invalid(f"{name} must be a row of numbers; an array of shape {array.shape} was given.")
    inside = ((array >= bottom - 1e-9) & (array <= 1.0 + 1e-9)) | (np.isnan(array) if missing else False)
    if not bool(inside.all()):
        raise Invalid(f"{name} must lie from {bottom:g} to 1; {float(array[~inside][0])} was given.")
    return array
