"""The learning curve: points, lines and words are those of what was given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import pytest
from numpy.typing import ArrayLike

from vision_toolkit.plots import plot_learning_curve


@dataclass
class Line:
    sizes: np.ndarray
    means: np.ndarray
    lows: np.ndarray
    highs: np.ndarray
    verdict: str
    factor: float = 2.0

    def ahead(self, sizes: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        assert self.verdict != "unknown"
        middle = 1 - np.asarray(sizes) ** -0.5
        return middle, middle - 0.1, middle + 0.1


@dataclass
class Curve:
    lines: dict[str, Line]

    def gain(self, kind: str, *, metric: str) -> Line:
        assert metric in ("f1", "log_loss")
        return self.lines[kind]


def line(sizes: list[float], verdict: str = "helps") -> Line:
    middle = 1 - np.array(sizes) ** -0.5
    low = middle - 0.05
    if len(sizes) == 1:
        low = low * np.nan
    return Line(np.array(sizes), middle, low, low + 0.1, verdict)


@pytest.fixture(autouse=True)
def _no_figure_left() -> Iterator[None]:
    yield
    plt.close("all")


def test_points_are_drawn_and_lines_lead_on_to_twice_as_many() -> None:
    ax = plot_learning_curve(Curve({"anomaly": line([4.0, 8.0, 16.0]), "normal": line([10.0, 30.0], "unknown")}))
    points = {one.get_label(): one for one in ax.lines if not one.get_label().startswith("_")}
    assert points["more anomalies"].get_xdata().tolist() == [4, 8, 16]
    assert points["more normal images: too few to tell"].get_xdata().tolist() == [10, 30]
    ends = [(one.get_xdata()[0], one.get_xdata()[-1]) for one in ax.lines if one.get_label().startswith("_")]
    np.testing.assert_allclose(ends, [(4, 16), (16, 32)])
    assert [label.get_text() for label in ax.get_xticklabels()] == ["4", "8", "10", "16", "30", "32"]
    assert ax.get_ylabel() == "F1" and ax.get_title(loc="left") == "Would more images help?"
    ax.figure.canvas.draw()


def test_given_axes_are_used_and_one_point_has_no_bar() -> None:
    _, mine = plt.subplots()
    both = Curve({"anomaly": line([4.0], "unknown"), "normal": line([9.0], "unknown")})
    assert plot_learning_curve(both, metric="log_loss", ax=mine) is mine
    assert mine.get_ylabel() == "log-loss"
    assert all(len(bars.get_segments()) == 0 for bars in mine.collections)
    mine.figure.canvas.draw()


def test_nothing_to_draw_is_said() -> None:
    ax = plot_learning_curve(Curve({"anomaly": line([]), "normal": line([])}))
    assert "No model learned" in ax.texts[0].get_text()


def test_a_learning_curve_is_drawn() -> None:
    from vision_toolkit.metrics import LearningCurve

    rng = np.random.default_rng(0)
    rows = [
        (20, n, repeat, np.arange(20) < 8, np.clip(rng.normal(0.5, 0.2, 20) + 0.2 * (np.arange(20) < 8), 0, 1), 0.5)
        for repeat in range(3)
        for n in (5, 10, 20)
    ]
    figure = LearningCurve.from_scores(rows).show()
    assert "more normal images: too few to tell" in [one.get_label() for one in figure.axes[0].lines]
    assert not plt.get_fignums()
