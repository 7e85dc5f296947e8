"""A chart of how scores grow with the number of training images, and where they would go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vision_toolkit.plots.style import ANOMALY, FAINT, MUTED, NORMAL, new_axes, quiet

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_learning_curve"]

Floats = NDArray[np.float64]


class Line(Protocol):
    """Describe one line: the score at each number of images, and how it would go on."""

    @property
    def sizes(self) -> Floats: ...
    @property
    def means(self) -> Floats: ...
    @property
    def lows(self) -> Floats: ...
    @property
    def highs(self) -> Floats: ...
    @property
    def factor(self) -> float: ...
    @property
    def verdict(self) -> str: ...
    def ahead(self, sizes: ArrayLike) -> tuple[Floats, Floats, Floats]: ...


class Curve(Protocol):
    """Describe what can be drawn: an object that gives a line for each kind of images."""

    def gain(self, kind: Any, *, metric: Any) -> Line: ...


_KINDS = {"anomaly": ("more anomalies", ANOMALY, "s"), "normal": ("more normal images", NORMAL, "o")}
_METRICS = {"f1": "F1", "roc_auc": "ROC AUC", "log_loss": "log-loss"}


def plot_learning_curve(curve: Curve, *, metric: str = "f1", ax: Axes | None = None) -> Axes:
    """Draw the score over the number of training images of each kind, and where more of them would lead.

    Points are what was tried, with the interval of their mean; the lines are fitted, dashed where they lead on, and the
    shade is how far they may be off. A kind of which nothing can be foretold has points only, and the legend says so.

    Parameters
    ----------
    curve
        a :class:`~vision_toolkit.metrics.LearningCurve`.
    metric
        ``"f1"``, ``"roc_auc"`` or ``"log_loss"``.
    ax
        where to draw; by default a new figure.

    Returns
    -------
    Axes
        the axes that were drawn on.

    Raises
    ------
    Invalid
        if the metric is unknown.
    """
    lines = {kind: curve.gain(kind, metric=metric) for kind in _KINDS}
    with quiet():
        ax = new_axes(ax, (6.4, 4.2))
        ticks: set[int] = set()
        for kind, line in lines.items():
            name, colour, marker = _KINDS[kind]
            if not line.sizes.size:
                continue
            far = line.verdict != "unknown"
            label = name if far else f"{name}: too few to tell"
            known = np.isfinite(line.lows)
            ax.vlines(line.sizes[known], line.lows[known], line.highs[known], color=colour, linewidth=1.6, alpha=0.55)
            ax.plot(line.sizes, line.means, marker, color=colour, markersize=6, markeredgecolor="white", label=label)
            ticks |= {round(size) for size in line.sizes.tolist()}
            if far:
                ticks.add(round(float(line.sizes.max()) * line.factor))
                _lead_on(ax, line, colour)
        ax.set_xscale("log")
        ax.set_xticks(sorted(ticks), [str(tick) for tick in sorted(ticks)])
        ax.minorticks_off()
        ax.set_xlabel("training images of the kind")
        ax.set_ylabel(_METRICS[metric])
        if metric != "log_loss":
            ax.set_ylim(top=1.01)
        ax.grid(color=FAINT, linewidth=0.8)
        ax.set_title("Would more images help?", pad=24)
        if any(line.sizes.size for line in lines.values()):
            ax.legend(loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=2, borderaxespad=0.0, handlelength=1.2)
        else:
            ax.text(0.5, 0.5, "No model learned from images of either kind.", transform=ax.transAxes, ha="center",
                    color=MUTED)  # fmt: skip
    return ax


def _lead_on(ax: Axes, line: Line, colour: str) -> None:
    least, most = float(line.sizes.min()), float(line.sizes.max())
    tried, beyond = np.geomspace(least, most, 40), np.geomspace(most, most * line.factor, 15)
    ax.plot(tried, line.ahead(tried)[0], color=colour, linewidth=1.6)
    ax.plot(beyond, line.ahead(beyond)[0], color=colour, linewidth=1.6, linestyle=(0, (4, 3)))
    every = np.r_[tried, beyond[1:]]
    _, low, high = line.ahead(every)
    ax.fill_between(every, low, high, color=colour, alpha=0.10, linewidth=0)
