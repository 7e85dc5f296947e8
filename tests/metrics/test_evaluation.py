"""Evaluation against scikit-learn and slow loops; what one class alone, streams and wrong input give."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from vision_toolkit.core import Entry, Invalid, Label, Mask, Prediction, Task, Unsupported
from vision_toolkit.metrics import Counts, Evaluation, Score, TypeScore, f1_interval, proportion_interval

NAMES = ("background", "scratch", "dent")


def made(labels, scores, *, threshold=0.5, **more) -> Evaluation:
    entries = [Entry(f"{i}.png", Label(label)) for i, label in enumerate(labels)]
    return Evaluation.from_predictions(entries, [said(s, threshold) for s in scores], **more)


def said(score, threshold=0.5, **more) -> Prediction:
    return Prediction(Task.CLASSIFICATION, score=score, threshold=threshold, **more)


def painted(rows) -> Mask:
    return Mask(np.array(rows, np.uint8), NAMES)


labels = st.sampled_from(["normal", "anomaly"])
images = st.lists(st.tuples(labels, st.integers(0, 20).map(lambda k: k / 20)), min_size=1, max_size=30)


@settings(max_examples=30)
@given(images, st.floats(0.05, 0.95))
def test_scores_are_scikit_learns(pairs, threshold):
    evaluation = made([y for y, _ in pairs], [s for _, s in pairs], threshold=threshold)
    truth = np.array([y == "anomaly" for y, _ in pairs])
    scores = np.array([s for _, s in pairs])
    answers = np.round(scores, 4) >= round(threshold, 4)
    assert evaluation.accuracy == pytest.approx(reference.accuracy_score(truth, answers))
    assert (evaluation.n, evaluation.n_anomaly, evaluation.n_normal) == (truth.size, truth.sum(), (~truth).sum())
    if truth.any():
        assert evaluation.recall == pytest.approx(reference.recall_score(truth, answers))
        assert evaluation.precision == pytest.approx(reference.precision_score(truth, answers, zero_division=0))
        assert evaluation.f1 == pytest.approx(reference.f1_score(truth, answers))
    if truth.any() and not truth.all():
        assert evaluation.roc_auc == pytest.approx(reference.roc_auc_score(truth, scores))
        assert evaluation.average_precision == pytest.approx(reference.average_precision_score(truth, scores))
        assert evaluation.roc().tpr[-1] == evaluation.pr().recall[0] == 1.0
    for score in (evaluation.precision, evaluation.recall, evaluation.f1, evaluation.roc_auc):
        assert isinstance(score, Score)
        assert math.isnan(score) or 0 <= score.low <= score + 1e-12 <= score.high + 2e-12


def test_intervals_and_ns_are_those_of_the_counts():
    evaluation = made(["anomaly"] * 20 + ["normal"] * 20, [0.9] * 19 + [0.1] + [0.9] * 7 + [0.1] * 13)
    assert evaluation.counts == Counts(19, 7, 1, 13)
    assert repr(evaluation.precision) == repr(proportion_interval(19, 26))
    assert repr(evaluation.recall) == repr(proportion_interval(19, 20))
    assert repr(evaluation.f1) == repr(f1_interval(Counts(19, 7, 1, 13)))
    assert repr(evaluation) == (
        "Evaluation(test, 40 images: F1 0.826 (0.68-0.91), precision 0.731 (0.54-0.86), recall 0.950 (0.76-1.00), "
        "threshold 0.50)"
    )


@pytest.mark.parametrize(
    ("known", "undefined"),
    [
        (["normal"] * 3, {"recall", "roc_auc", "average_precision", "precision", "f1"}),
        (["anomaly"] * 3, {"roc_auc", "average_precision"}),
        ([], {"f1", "precision", "recall", "accuracy", "roc_auc", "average_precision"}),
    ],
)
def test_a_class_that_is_absent_is_undefined_and_no_error(known, undefined):
    evaluation = made(known, [0.1, 0.2, 0.3][: len(known)])
    facts = evaluation.to_dict(rows=True)
    assert {name for name, score in facts["scores"].items() if score["value"] is None} == undefined
    json.dumps(facts, allow_nan=False)
    assert ("undefined" in repr(evaluation)) is ("f1" in undefined)
    assert "undefined" in evaluation._repr_html_()
    assert evaluation.roc_auc.n == len(known)


def test_no_call_of_an_anomaly_is_a_precision_of_zero_that_nobody_knows():
    precision = made(["anomaly", "normal"], [0.1, 0.1]).precision
    assert (float(precision), precision.low, precision.high, precision.n) == (0.0, 0.0, 1.0, 0)


def test_rows_tell_what_is_known_and_said():
    heat = np.zeros((2, 3), np.float32)
    mask = painted([[0, 1]])
    entry = Entry("s3://b/1.png", Label.NORMAL, at="here/1.png")
    prediction = said(0.9, 0.6, source="s3://b/1.png", map=heat, mask=mask)
    (row,) = Evaluation.from_predictions([entry], [prediction]).rows
    assert (row.source, row.location, row.label, row.is_anomalous) == ("s3://b/1.png", "here/1.png", "normal", True)
    assert (row.confidence, row.score, row.threshold, row.outcome, row.is_error) == (0.9, 0.9, 0.6, "fp", True)
    assert row.map is heat
    assert row.areas == {"background": 0.5, "scratch": 0.5}
    assert not hasattr(row, "mask")


def test_streams_are_walked_through_once_and_unlabelled_ones_left_out():
    entries = (Entry(f"{i}.png", label) for i, label in enumerate(["normal", "unlabelled", "anomaly"]))
    entries = (Entry(e.source, Label(e.label)) for e in entries)
    evaluation = Evaluation.from_predictions(entries, (said(s) for s in (0.1, 0.9, 0.8)))
    assert (evaluation.n, evaluation.unlabelled) == (2, 1)
    assert [row.source for row in evaluation.rows] == ["0.png", "2.png"]


@pytest.mark.parametrize(
    ("entries", "predictions", "masks"), [(2, 1, None), (1, 2, None), (2, 2, 1), (2, 2, 3), (0, 1, 0)]
)
def test_streams_of_different_length_are_refused(entries, predictions, masks):
    with pytest.raises(Invalid, match="equally many"):
        Evaluation.from_predictions(
            [Entry("1.png", Label.NORMAL)] * entries, [said(0.1)] * predictions,
            masks=None if masks is None else [None] * masks,
        )  # fmt: skip


def test_predictions_in_another_order_are_refused():
    entries = [Entry("a/1.png", Label.NORMAL), Entry("a/2.png", Label.ANOMALY)]
    with pytest.raises(Invalid, match=r"Prediction 1 is of 'a/2.png', entry 1 is 'a/1.png'"):
        Evaluation.from_predictions(entries, [said(0.1, source="a/2.png"), said(0.9, source="a/1.png")])
    moved = [said(0.1, source="C:\\there\\1.png"), said(0.9, source="/there/2.png")]
    assert Evaluation.from_predictions(entries, moved).counts == Counts(1, 0, 0, 1)


def test_a_model_without_a_verdict_cannot_be_judged():
    with pytest.raises(Unsupported, match="no verdict"):
        Evaluation.from_predictions([Entry("1.png", Label.NORMAL)], [Prediction(Task.CLASSIFICATION)])


def test_the_kind_is_one_of_two():
    with pytest.raises(Invalid, match='"test" or "cross-validation"; \'train\''):
        made(["normal"], [0.1], kind="train")


def test_each_fold_may_have_its_own_threshold():
    entries = [Entry(f"{i}.png", Label.ANOMALY) for i in range(3)]
    folds = [said(0.5, 0.4), said(0.5, 0.6), said(0.5, 0.7)]
    evaluation = Evaluation.from_predictions(entries, folds, kind="cross-validation")
    assert evaluation.threshold == 0.6
    assert [row.is_anomalous for row in evaluation.rows] == [True, False, False]
    assert evaluation.at(0.5).counts == Counts(tp=3)


@settings(max_examples=40)
@given(images, st.floats(0, 1))
def test_another_threshold_moves_verdict_and_confidence_as_a_prediction_does(pairs, threshold):
    known, scores = [y for y, _ in pairs], [s for _, s in pairs]
    moved = made(known, scores).at(threshold)
    direct = made(known, scores, threshold=threshold)
    assert moved.counts == direct.counts
    assert [row.to_dict() for row in moved.rows] == [row.to_dict() for row in direct.rows]
    assert moved.roc_auc == pytest.approx(direct.roc_auc, nan_ok=True)
    assert (moved.threshold, moved.created.tzinfo) == (threshold, UTC)


@pytest.mark.parametrize("threshold", [-0.1, 1.1, math.nan, True])
def test_a_threshold_lies_between_0_and_1(threshold):
    with pytest.raises(Invalid, match="between 0 and 1"):
        made(["normal"], [0.1]).at(threshold)


def test_the_worst_come_first():
    evaluation = made(["normal", "anomaly", "normal", "anomaly", "anomaly"], [0.95, 0.9, 0.4, 0.2, 0.55])
    assert [row.score for row in evaluation.worst(9)] == [0.95, 0.2, 0.55, 0.4, 0.9]
    assert [row.outcome for row in evaluation.worst(2)] == ["fp", "fn"]
    assert evaluation.worst(0) == ()


def test_the_same_seed_gives_the_same_interval():
    known, scores = ["normal", "anomaly"] * 10, [((7 * k) % 20) / 20 for k in range(20)]
    one, two, other = (made(known, scores, seed=s).average_precision for s in (1, 1, 2))
    assert one.to_dict() == two.to_dict()
    assert one == other


def test_calibration_and_frame_are_of_the_rows():
    evaluation = made(["normal", "anomaly"], [0.25, 0.75])
    assert evaluation.calibration(bins=2).error == pytest.approx(0.25)
    frame = evaluation.to_frame()
    assert list(frame) == ["source", "label", "is_anomalous", "outcome", "confidence", "score", "threshold"]
    assert frame["outcome"].tolist() == ["tn", "tp"]
    assert made([], []).to_frame().shape == (0, 7)


def test_to_dict_is_ready_for_json():
    when = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    facts = made(["normal", "anomaly"], [0.2, 0.8], created=when, training_images=7).to_dict(rows=True)
    back = json.loads(json.dumps(facts, allow_nan=False))
    assert back["created"] == "2026-01-02T03:04:05+00:00"
    assert back["counts"] == {"tp": 1, "fp": 0, "fn": 0, "tn": 1}
    assert back["calibration"]["error"] == pytest.approx(0.2)
    assert back["calibration"]["brier"]["value"] == pytest.approx(reference.brier_score_loss([0, 1], [0.2, 0.8]))
    assert back["training_images"] == 7
    assert back["scores"]["f1"]["value"] == 1.0
    assert [row["outcome"] for row in back["rows"]] == ["tn", "tp"]


def test_html_escapes_names_and_shows_every_score():
    evaluation = Evaluation((), types={"<b>": TypeScore("<b>", 1.0, 1.0, 1.0, Score(0.5, n=3), 3)})
    text = evaluation._repr_html_()
    assert "&lt;b&gt;: IoU" in text
    assert "<b>" not in text
    assert all(f">{name}</th>" in text for name in ("F1", "precision", "recall", "accuracy", "ROC AUC", "Brier score"))
    assert "by chance" not in text  # there are no images
    assert "<td>0.200</td>" in made(["normal", "anomaly"], [0.2, 0.8])._repr_html_()


def test_a_forecast_is_of_the_counts():
    forecast = made(["normal", "normal", "anomaly"], [0.2, 0.8, 0.9]).forecast(0.1, parts=100)
    assert (forecast.false_alarms, forecast.misses) == (pytest.approx(45), 0)
    assert "Of 100 parts, 10 % of them anomalies: 55" in str(forecast)


@settings(max_examples=30)
@given(images)
def test_the_brier_score_is_scikit_learns_and_has_an_interval(pairs):
    evaluation = made([y for y, _ in pairs], [s for _, s in pairs])
    truth = [y == "anomaly" for y, _ in pairs]
    expected = reference.brier_score_loss(truth, [s for _, s in pairs], labels=[False, True])
    assert evaluation.brier == pytest.approx(expected)
    assert 0 <= evaluation.brier.low <= evaluation.brier + 1e-12 <= evaluation.brier.high + 2e-12


# --- Anomaly types


def slow_types(truths, answers):
    told = {}
    for index, name in enumerate(NAMES[1:], 1):
        tp = fp = fn = 0
        overlaps = []
        for true, answer in zip(truths, answers, strict=True):
            hits = sum(a == b == index for a, b in zip(true.ids.flat, answer.ids.flat, strict=True))
            either = sum(index in (a, b) for a, b in zip(true.ids.flat, answer.ids.flat, strict=True))
            tp += hits
            fn += int((true.ids == index).sum()) - hits
            fp += int((answer.ids == index).sum()) - hits
            overlaps += [hits / either] if either else []
        aiou = sum(overlaps) / len(overlaps) if overlaps else math.nan
        found = 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else math.nan
        told[name] = (found, aiou, len(overlaps))
    return told


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.integers(1, 5))
def test_types_are_those_of_a_slow_loop(seed, n):
    draw = np.random.default_rng(seed)
    truths = [painted(draw.choice(3, (3, 4), p=[0.7, 0.2, 0.1])) for _ in range(n)]
    answers = [painted(draw.choice(3, (3, 4), p=[0.7, 0.2, 0.1])) for _ in range(n)]
    entries = [Entry(f"{i}.png", Label.ANOMALY) for i in range(n)]
    evaluation = Evaluation.from_predictions(entries, [said(0.9, mask=mask) for mask in answers], masks=iter(truths))
    for name, (found, aiou, images) in slow_types(truths, answers).items():
        one = evaluation.types[name]
        assert one.f1 == pytest.approx(found, nan_ok=True)
        assert one.aiou == pytest.approx(aiou, nan_ok=True)
        assert one.aiou.n == images
        assert one.images == sum(name in mask.types for mask in truths)
        true, answer = [name in mask.types for mask in truths], [name in mask.types for mask in answers]
        if any(true):
            assert one.image_recall == pytest.approx(reference.recall_score(true, answer))
            assert one.image_f1 == pytest.approx(reference.f1_score(true, answer))
            assert one.image_precision == pytest.approx(reference.precision_score(true, answer, zero_division=0))
    json.dumps(evaluation.to_dict(), allow_nan=False)


def test_what_no_mask_means():
    full, none = painted([[1, 1]]), painted([[0, 0]])
    entries = [
        Entry("1", Label.NORMAL),
        Entry("2", Label.ANOMALY),
        Entry("3", Label.UNLABELLED),
        Entry("4", Label.ANOMALY),
    ]
    answers = [said(0.9, mask=full)] * 4
    evaluation = Evaluation.from_predictions(
        entries, answers, masks=lambda entry: full if entry.source == "4" else None
    )
    scratch = evaluation.types["scratch"]
    assert scratch.precision == 0.5  # the normal image counts as free of defects, the anomaly without a mask not at all
    assert (scratch.recall, float(scratch.aiou), scratch.aiou.n, scratch.images) == (1.0, 0.5, 2, 1)
    assert Evaluation.from_predictions(entries, answers).types == {}
    assert Evaluation.from_predictions(entries, [said(0.9)] * 4, masks=[none] * 4).types == {}


def test_a_shared_empty_mask_may_have_another_size():
    small = Mask(np.zeros((1, 1), np.uint8))
    entry = Entry("1", Label.NORMAL)
    evaluation = Evaluation.from_predictions([entry], [said(0.1, mask=painted([[1, 0], [0, 0]]))], masks=[small])
    assert evaluation.types["scratch"].precision == 0.0
    with pytest.raises(Invalid, match=r"1: Both masks must have one size; 1x1 and 2x2"):
        Evaluation.from_predictions([entry], [said(0.1, mask=painted([[1, 0], [0, 0]]))], masks=[painted([[1]])])


# --- Pictures


@pytest.mark.parametrize("known", [["normal", "anomaly"] * 4, ["normal"] * 8, []])
def test_show_draws_six_panels(known):
    from vision_toolkit.plots import charts

    assert charts
    import matplotlib.pyplot as plt

    figure = made(known, [k / 8 for k in range(len(known))]).show()
    assert len(figure.axes) == 6
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert any("calibration error" in title for title in titles) is bool(known)
    figure.canvas.draw()
    plt.close(figure)
