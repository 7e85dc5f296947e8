"""What a moved threshold changes: images, numbers and words."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from vision_toolkit.core import Entry, Invalid, Label, Prediction, Task
from vision_toolkit.metrics import Counts, Evaluation, Move, choose_threshold

TRUTH = [0, 0, 0, 0, 1, 0, 1, 1, 1, 1]
SCORES = [0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95]


def made(truth=TRUTH, scores=SCORES, threshold=0.8) -> Evaluation:
    entries = [Entry(f"<{i}>.png", Label.ANOMALY if y else Label.NORMAL) for i, y in enumerate(truth)]
    answers = [Prediction(Task.CLASSIFICATION, score=s, threshold=threshold) for s in scores]
    return Evaluation.from_predictions(entries, answers)


def test_before_and_after_are_counted_and_the_changed_images_named():
    move = made().effect(0.4)
    assert (move.before.counts, move.after.counts) == (Counts(2, 0, 3, 5), Counts(5, 1, 0, 4))
    # First the new error, then the others, the farthest above the new threshold ahead.
    assert [change.b.source for change in move.changed] == ["<5>.png", "<7>.png", "<6>.png", "<4>.png"]
    assert [entry.source for entry in move.entries] == [change.b.source for change in move.changed]
    assert all(a.is_anomalous is not b.is_anomalous for a, b in ((one.a, one.b) for one in move.changed))
    assert repr(move) == "Move(0.8 to 0.4: found 2 to 5, false alarms 0 to 1, 4 of 10 images change side)"
    assert "3 more anomalies found, 1 more false alarm; 4 of 10 images change side" in str(move)
    assert "flatters" not in str(move)


def test_a_move_back_tells_the_opposite():
    text = str(made(threshold=0.4).effect(0.8))
    assert "3 fewer anomalies found, 1 fewer false alarm" in text


@pytest.mark.parametrize("prevalence", [None, 0.02])
@pytest.mark.parametrize("rule", ["best_f1", "at_cost(miss=50, reject=1)", "at_recall(0.8)"])
def test_a_rule_chooses_on_these_images_and_that_is_said(rule, prevalence):
    move = made().effect(rule, prevalence=prevalence)
    chosen = choose_threshold(rule, TRUTH, SCORES, prevalence=prevalence)
    assert move.after.threshold == made().at(rule, prevalence=prevalence).threshold == chosen
    assert move.is_chosen_here and f"chosen by {rule} on these very images" in str(move)
    facts = json.loads(json.dumps(move.to_dict(), allow_nan=False))
    assert facts["chosen_here"] is True and facts["rule"] == rule
    assert facts["after"]["prevalence"] == (0.5 if prevalence is None else prevalence)
    assert len(facts["changed"]) == len(move.changed)


def test_a_function_is_a_rule_too():
    move = made().effect(lambda truth, scores: float(scores[truth].min()))
    assert move.after.counts.fn == 0 and move.is_chosen_here
    assert "chosen by a function" in str(move) and move.to_dict()["rule"] is None


def test_precision_and_alarms_are_told_for_the_share():
    before, after = made().effect(0.4, prevalence=0.05).forecasts
    assert before.misses == pytest.approx(1000 * 0.05 * 3 / 5)
    assert after.false_alarms == pytest.approx(1000 * 0.95 / 5)
    assert after.precision == pytest.approx(0.05 / (0.05 + 0.95 / 5))
    text = made().effect(0.4, prevalence=0.05)._repr_html_()
    assert "precision at 5 %" in text and "alarms in 1,000 parts" in text
    assert "&lt;5&gt;.png" in text and "<5>" not in text


def test_nothing_changes_where_no_score_lies_between():
    move = made().effect(0.79)
    assert move.changed == () and str(move).endswith("none of 10 images changes side.")
    assert "<ul>" not in move._repr_html_()


def test_one_kind_alone_and_no_image_are_no_error():
    alone = made([0, 0], [0.2, 0.9], 0.5).effect(0.95)
    assert "1 fewer false alarm" in str(alone)
    assert math.isnan(made([0, 0], [0.2, 0.9], 0.5).effect(0.95, prevalence=0.1).forecasts[0].precision)
    empty = made([], []).effect(0.5)
    assert "none of 0 images" in str(empty)
    for move in (alone, empty):
        json.dumps(move.to_dict(), allow_nan=False)
        assert "undefined" in move._repr_html_()


def test_bad_input_is_refused():
    with pytest.raises(Invalid, match="prevalence is the share"):
        made().effect(0.5, prevalence=2)
    with pytest.raises(Invalid, match="prevalence is the share"):
        Move(made(), made(), 0.0)
    with pytest.raises(Invalid, match='A rule is "best_f1"'):
        made().effect("best")
    with pytest.raises(Invalid, match="at least one anomaly"):
        made([0, 0], [0.2, 0.9]).at("best_f1")
    with pytest.raises(Invalid, match="between 0 and 1"):
        made().effect(np.nan)
