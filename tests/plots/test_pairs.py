"""Charts of two models: what is drawn is what was given, and the words are there."""

from __future__ import annotations

import math

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex

from vision_toolkit.core import Invalid, Label
from vision_toolkit.plots.pairs import difference_bars, score_pairs
from vision_toolkit.plots.style import ANOMALY, MUTED, NORMAL


@pytest.fixture(autouse=True)
def _no_figure_left():
    yield
    plt.close("all")


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_every_image_is_a_point_and_each_change_a_ring():
    a, b = [0.1, 0.9, 0.3, 0.2], [0.2, 0.8, 0.7, 0.9]
    labels = [Label.NORMAL, Label.ANOMALY, Label.NORMAL, Label.ANOMALY]
    ax = score_pairs(a, b, labels, thresholds=(0.5, 0.5), names=("old", "$new$"))
    normal, anomaly, old, new = (collection.get_offsets().tolist() for collection in ax.collections)
    assert normal == [[0.1, 0.2], [0.3, 0.7]]
    assert anomaly == [[0.9, 0.8], [0.2, 0.9]]
    assert (old, new) == ([[0.3, 0.7]], [[0.2, 0.9]])
    assert legend(ax) == ["2 normal", "2 anomaly", "1 changed: old right", r"1 changed: \$new\$ right"]
    ax.figure.canvas.draw()


def test_who_is_right_may_be_given_and_thresholds_be_unknown():
    ax = score_pairs([0.1, 0.9], [0.9, 0.1], ["normal", "anomaly"], right=["a", None], thresholds=(None, 0.5))
    assert legend(ax) == ["1 normal", "1 anomaly", "1 changed: a right"]
    assert ax.get_title(loc="left") == "1 of 2 images change sides"
    assert legend(score_pairs([0.1], [0.9], ["normal"])) == ["1 normal", "0 anomaly"]


def test_thresholds_are_compared_as_predictions_compare_them():
    ax = score_pairs([0.49996], [0.4], ["anomaly"], thresholds=(0.5, 0.5))
    assert legend(ax)[-1] == "1 changed: a right"


def test_differences_are_grey_where_there_may_be_none():
    names = ["F1", "recall", "misses", "false alarms", "ROC AUC"]
    values, lows = [0.1, -0.2, -0.2, 0.1, math.nan], [-0.1, -0.3, -0.3, 0.05, math.nan]
    highs = [0.2, -0.1, -0.1, 0.2, math.nan]
    ax = difference_bars(names, values, lows, highs, errors=["misses", "false alarms"])
    dots = [line for line in ax.lines if line.get_marker() == "o"]
    assert [dot.get_xdata()[0] for dot in dots] == values[:4]
    assert [to_hex(dot.get_color()).upper() for dot in dots] == [MUTED, ANOMALY, NORMAL, ANOMALY]
    told = [text.get_text() for text in ax.texts]
    assert told == ["+0.10   -0.10 to +0.20", "-0.20   -0.30 to -0.10", "-0.20   -0.30 to -0.10",
                    "+0.10   +0.05 to +0.20", " undefined"]  # fmt: skip
    assert ax.get_yticklabels()[2].get_text() == "misses (fewer is better)"
    left, right = ax.get_xlim()
    assert left == -right < -0.3
    ax.figure.canvas.draw()


def test_given_axes_are_reused():
    _, (one, other) = plt.subplots(1, 2)
    assert score_pairs([0.1], [0.2], ["normal"], ax=one) is one
    assert difference_bars(["F1"], [0.1], [0.0], [0.2], ax=other) is other


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (lambda: score_pairs([0.1], [0.1, 0.2], ["normal"]), "of one length: a 1, b 2"),
        (lambda: score_pairs([1.1], [0.1], ["normal"]), "a must lie from 0 to 1; 1.1"),
        (lambda: score_pairs([0.1], [math.nan], ["normal"]), "b must lie"),
        (lambda: score_pairs(["x"], [0.1], ["normal"]), "must be numbers"),
        (lambda: score_pairs(np.zeros((1, 1)), [0.1], ["normal"]), "row of numbers"),
        (lambda: score_pairs([0.1], [0.1], ["unlabelled"]), "'unlabelled' was given"),
        (lambda: score_pairs([0.1], [0.1], ["normal"], right=["c"]), "right is 'a', 'b' or None"),
        (lambda: difference_bars([], [], [], []), "at least one difference"),
        (lambda: difference_bars(["F1"], [0.1], [0.2], [0.1]), "upside|lows lies above"),
        (lambda: difference_bars(["F1"], [-1.2], [0.2], [0.3]), "from -1 to 1; -1.2"),
        (lambda: difference_bars(["F1"], [0.1, 0.2], [0.0], [0.3]), "of one length: scores 1, values 2"),
    ],
)
def test_bad_input_is_refused(wrong, told):
    with pytest.raises(Invalid, match=told):
        wrong()
