"""Charts: what is drawn is what was given, and the words are there."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from sklearn.metrics import average_precision_score, precision_recall_curve

from vision_toolkit import plots
from vision_toolkit.core import Invalid, Label
from vision_toolkit.plots.style import quiet

DRAW: dict[str, Callable[..., Axes]] = {
    "pr_curve": lambda **k: plots.pr_curve([0, 1], [1, 0.5], **k),
    "roc_curve": lambda **k: plots.roc_curve([0, 1], [0, 1], **k),
    "confusion_matrix": lambda **k: plots.confusion_matrix(1, 2, 3, 4, **k),
    "score_histogram": lambda **k: plots.score_histogram([0.1, 0.9], [0, 1], **k),
    "reliability": lambda **k: plots.reliability([0.1, 0.9], [0, 1], **k),
    "type_scores": lambda **k: plots.type_scores(["pore"], {"F1": [0.4]}, **k),
    "interval_bars": lambda **k: plots.interval_bars(["F1"], [0.4], [0.2], [0.6], **k),
}


@pytest.fixture(autouse=True)
def _no_figure_left() -> Iterator[None]:
    yield
    plt.close("all")


def texts(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.texts]


@pytest.mark.parametrize("name", DRAW)
def test_given_axes_are_reused_and_new_ones_are_dark_on_white(name: str) -> None:
    with plt.style.context("dark_background"):
        _, mine = plt.subplots()
        before = dict(plt.rcParams)
        assert DRAW[name](ax=mine) is mine
        fresh = DRAW[name]()
        assert fresh is not mine
        for ax in (mine, fresh):
            ax.figure.canvas.draw()
            assert ax.get_facecolor() == ax.figure.get_facecolor() == (1.0, 1.0, 1.0, 1.0)
            inks = [ax.xaxis.label, ax.yaxis.label, *ax.get_xticklabels(), *ax.get_yticklabels()]
            assert all(sum(to_rgb(ink.get_color())) < 1.5 for ink in inks)
        assert dict(plt.rcParams) == before


@pytest.mark.parametrize("turn", [1, -1])
def test_pr_curve_fills_exactly_the_average_precision(turn: int) -> None:
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 2, 60)
    scores = np.clip(rng.normal(0.4 + 0.2 * labels, 0.2), 0, 1)
    precision, recall, _ = precision_recall_curve(labels, scores)
    ax = plots.pr_curve(recall[::turn], precision[::turn])
    corners = ax.collections[0].get_paths()[0].vertices
    x, y = corners[:, 0], corners[:, 1]
    area = abs(float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))) / 2
    assert area == pytest.approx(average_precision_score(labels, scores), abs=1e-9)


def test_pr_curve_marks_the_point_and_tells_the_measure() -> None:
    ax = plots.pr_curve([1, 0.5, 0], [0.5, 1, 1], average_precision=0.875, point=(0.5, 1.0))
    assert ax.get_title(loc="left") == "Precision and recall: average precision 0.88"
    assert "recall 0.50\nprecision 1.00" in texts(ax)[0]
    assert [line.get_xydata().tolist() for line in ax.lines][1] == [[0.5, 1.0]]


def test_roc_curve_draws_the_points_over_the_line_of_guessing() -> None:
    ax = plots.roc_curve([0, 0, 0.5, 1], [0, 0.5, 1, 1], auc=0.875)
    assert ax.lines[1].get_xydata().tolist() == [[0, 0], [0, 0.5], [0.5, 1], [1, 1]]
    assert "guessing" in texts(ax)


def test_confusion_matrix_has_counts_shares_and_words() -> None:
    ax = plots.confusion_matrix(18, 2, 1, 38)
    assert texts(ax) == [
        "38", "95 %  passed", "2", "5 %  false alarm", "1", "5 %  missed", "18", "95 %  found",
    ]  # fmt: skip
    assert [label.get_text() for label in ax.get_xticklabels()] == ["normal", "anomaly"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["normal", "anomaly"]
    assert ax.get_title(loc="left") == "56 of 59 images judged rightly"


def test_confusion_matrix_without_anomalies_divides_nothing() -> None:
    assert texts(plots.confusion_matrix(0, 0, 0, 5))[4:] == ["0", "none to be missed", "0", "none to be found"]


@pytest.mark.parametrize("counts", [(9, 0, 0, 9), (5, 9, 9, 0), (1, 1, 1, 1), (0, 0, 0, 0)])
def test_confusion_matrix_is_read_on_every_cell(counts: tuple[int, int, int, int]) -> None:
    ax = plots.confusion_matrix(*counts)

    def light(colour: Any) -> float:
        channels = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
        return 0.2126 * channels[0] + 0.7152 * channels[1] + 0.0722 * channels[2]

    for index, cell in enumerate(ax.patches):
        pair = sorted([light(cell.get_facecolor()), light(ax.texts[2 * index].get_color())])
        # 3 to 1 is what the accessibility guidelines ask of large text.
        assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 3.0


def test_score_histogram_counts_every_image_once() -> None:
    rng = np.random.default_rng(0)
    scores = np.concatenate([rng.random(80), [0.0, 1.0]])
    labels = [Label.ANOMALY if score > 0.3 else Label.NORMAL for score in scores]
    ax = plots.score_histogram(scores, labels, threshold=0.62)
    normal, anomaly = ax.containers
    assert sum(bar.get_height() for bar in normal) == sum(label is Label.NORMAL for label in labels)
    assert sum(bar.get_height() for bar in anomaly) == sum(label is Label.ANOMALY for label in labels)
    assert texts(ax) == ["threshold 0.62"]
    assert ax.lines[0].get_xdata()[0] == 0.62


def test_score_histogram_takes_bools_words_and_nothing() -> None:
    for labels in ([False, True], ["normal", "anomaly"], np.array([0, 1]), np.array([False, True])):
        legend = plots.score_histogram([0.2, 0.8], labels).get_legend()
        assert legend is not None
        assert [text.get_text() for text in legend.get_texts()] == ["1 normal", "1 anomaly"]
    assert plots.score_histogram([], []).get_ylim()[1] > 0


def test_reliability_draws_points_intervals_and_counts() -> None:
    ax = plots.reliability([0.2, 0.8], [0.1, 0.9], counts=[10, 20], lows=[0.0, 0.7], highs=[0.3, 1.0])
    assert ax.lines[1].get_xydata().tolist() == [[0.2, 0.1], [0.8, 0.9]]
    assert [segment.tolist() for segment in ax.collections[0].get_segments()] == [
        [[0.2, 0.0], [0.2, 0.3]],
        [[0.8, 0.7], [0.8, 1.0]],
    ]
    assert texts(ax) == ["10", "20"]
    assert ax.get_title(loc="left") == "Do the scores mean what they say?"
    told = plots.reliability([0.2], [0.1], error=0.1, brier=0.042).get_title(loc="left")
    assert told == "Do the scores mean what they say?\ncalibration error 0.10, Brier score 0.04"


def test_type_scores_draws_a_bar_a_score_and_says_where_there_is_none() -> None:
    ax = plots.type_scores(["scratch", "pore"], {"F1": [0.9, float("nan")], "IoU": [0.5, 0.25]})
    assert [[bar.get_width() for bar in bars] for bars in ax.containers] == [[0.9, 0.0], [0.5, 0.25]]
    assert texts(ax) == ["0.90", "no images", "0.50", "0.25"]
    centres = [[bar.get_y() + bar.get_height() / 2 for bar in bars] for bars in ax.containers]
    assert max(abs(np.mean(pair) - row) for row, pair in enumerate(zip(*centres, strict=True))) < 1e-9


def test_interval_bars_span_the_interval() -> None:
    ax = plots.interval_bars(["F1", "$x$"], [0.5, np.nan], [0.2, np.nan], [0.9, np.nan], counts=[12, 0])
    bar = ax.containers[1][0]
    assert (bar.get_x(), bar.get_x() + bar.get_width()) == pytest.approx((0.2, 0.9))
    assert texts(ax) == ["0.50   0.20 to 0.90", "undefined"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["F1  (n = 12)", r"\$x\$  (n = 0)"]
    ax.figure.canvas.draw()


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (lambda: plots.pr_curve([0, 1], [1]), "one length: recall 2, precision 1"),
        (lambda: plots.pr_curve([0, 1, 0.5], [1, 1, 1]), "up and down"),
        (lambda: plots.pr_curve([0, 1.2], [1, 1]), "1.2"),
        (lambda: plots.pr_curve([0.5], [1]), "two points"),
        (lambda: plots.roc_curve([0, float("nan")], [0, 1]), "nan"),
        (lambda: plots.roc_curve([[0, 1]], [0, 1]), "shape"),
        (lambda: plots.roc_curve(["a", "b"], [0, 1]), "numbers"),
        (lambda: plots.confusion_matrix(1, -1, 0, 0), "from 0"),
        (lambda: plots.score_histogram([0.5], []), "one length"),
        (lambda: plots.score_histogram([0.5], ["unlabelled"]), "unlabelled"),
        (lambda: plots.score_histogram([0.5], [2]), "2 was given"),
        (lambda: plots.reliability([0.5], [0.5], counts=[1, 2]), "counts 2"),
        (lambda: plots.type_scores([], {}), "at least one type"),
        (lambda: plots.type_scores(["a"], {"F1": [0.1, 0.2]}), "F1 2"),
        (lambda: plots.interval_bars([], [], [], []), "at least one score"),
        (lambda: plots.interval_bars(["a"], [0.5], [0.9], [0.1]), "upside|lower end"),
    ],
)
def test_bad_input_is_told(draw: Callable[[], Axes], words: str) -> None:
    with pytest.raises(Invalid, match=words):
        draw()
    assert not plt.get_fignums()


def test_style_ends_with_its_block_also_between_threads() -> None:
    before = dict(plt.rcParams)
    together = threading.Barrier(4)

    def draw() -> None:
        together.wait()
        for _ in range(5):
            with quiet():
                assert mpl.rcParams["figure.facecolor"] == "white"

    threads = [threading.Thread(target=draw) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert dict(plt.rcParams) == before
