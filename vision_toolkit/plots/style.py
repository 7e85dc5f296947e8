"""One quiet style for every picture: dark text on white, few lines, colours that colour-blind eyes tell apart."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["ANOMALY", "FAINT", "INK", "MUTED", "NORMAL", "detached", "dress", "new_axes", "quiet"]

INK = "#1F2933"
"""Text and what matters."""
MUTED = "#66727F"
"""Axes, ticks and remarks."""
FAINT = "#E3E8ED"
"""Lines that only guide the eye."""
NORMAL = "#0072B2"
"""What is normal or right: blue of the Okabe-Ito palette, told from ANOMALY in every common colour blindness."""
ANOMALY = "#D55E00"
"""What is anomalous or wrong: vermilion of the Okabe-Ito palette."""

_SETTINGS = {
    "font.size": 10.0, "font.family": "sans-serif", "text.color": INK, "axes.labelcolor": INK,
    "axes.titlesize": 11.0, "axes.titleweight": "bold", "axes.titlelocation": "left", "axes.titlecolor": INK,
    "axes.titlepad": 8.0, "axes.labelsize": 10.0, "axes.edgecolor": MUTED, "axes.facecolor": "white",
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": False, "axes.axisbelow": True,
    "figure.facecolor": "white", "savefig.facecolor": "white", "figure.dpi": 100.0,
    "xtick.color": MUTED, "ytick.color": MUTED, "xtick.labelcolor": INK, "ytick.labelcolor": INK,
    "xtick.labelsize": 9.0, "ytick.labelsize": 9.0, "legend.fontsize": 9.0, "legend.frameon": False,
    "legend.labelcolor": INK, "lines.linewidth": 2.0, "patch.linewidth": 1.0, "text.usetex": False,
}  # fmt: skip
_ONE_AT_A_TIME = threading.RLock()


@contextmanager
def quiet() -> Iterator[None]:
    """Draw in the house style within a ``with`` block; outside of it nothing changes.

    matplotlib keeps its settings for the whole process, so threads of ours wait for each other here.

    Examples
    --------
    >>> import matplotlib
    >>> before = matplotlib.rcParams["axes.titlesize"]
    >>> with quiet():
    ...     matplotlib.rcParams["axes.titlesize"]
    11.0
    >>> matplotlib.rcParams["axes.titlesize"] == before
    True
    """
    import matplotlib as mpl

    with _ONE_AT_A_TIME, mpl.rc_context(_SETTINGS):  # type: ignore[arg-type]
        yield


def new_axes(ax: Axes | None, size: tuple[float, float]) -> Axes:
    """Return ``ax`` in the house style, or the axes of a new figure of ``size`` inches.

    An axes that was given becomes dark on white with its figure, whatever the theme of the notebook is.

    Examples
    --------
    >>> new_axes(None, (3, 2)).get_facecolor()
    (1.0, 1.0, 1.0, 1.0)
    """
    if ax is None:
        import matplotlib.pyplot as plt

        _, made = plt.subplots(figsize=size, layout="constrained")
        return dress(made)
    return dress(ax)


def detached(figure: Figure) -> Figure:
    """Take a finished figure off pyplot's list, so that a notebook draws it once: as the value of the cell.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> figure = detached(plt.figure())
    >>> plt.fignum_exists(figure.number)
    False
    """
    import matplotlib.pyplot as plt

    plt.close(figure)
    return figure


def dress(ax: Axes) -> Axes:
    """Give an axes the house style where the settings of its birth would show: background, spines, ticks, title.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> dress(Figure().add_subplot()).spines["top"].get_visible()
    False
    """
    figure: Figure | None = ax.get_figure(root=True)
    if figure is not None:
        figure.set_facecolor("white")
    ax.set_facecolor("white")
    for side, spine in ax.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(MUTED)
    ax.tick_params(colors=MUTED, labelcolor=INK, labelsize=9.0, length=3.0)
    ax.xaxis.label.set_color(INK)
    ax.yaxis.label.set_color(INK)
    return ax
