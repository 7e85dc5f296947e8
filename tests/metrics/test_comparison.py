"""Comparison: which images are paired, who is ranked and who is not, and how often that is wrong."""

from __future__ import annotations

import itertools
import json
import math

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from vision_toolkit.core import Entry, Invalid, Label, Prediction, Task
from vision_toolkit.data import Manifest
from vision_toolkit.metrics import Evaluation, TypeScore
from vision_toolkit.metrics.comparison import Comparison, compare_evaluations
from vision_toolkit.metrics.intervals import Score
from vision_toolkit.metrics.paired import mcnemar, proportion_difference


def judged(truth, scores, *, threshold=0.5, name="p/{}.png", order=None, **more) -> Evaluation:
    order = range(len(truth)) if order is None else order
    entries = [Entry(name.format(i), Label.ANOMALY if truth[i] else Label.NORMAL) for i in order]
    answers = [Prediction(Task.CLASSIFICATION, score=float(scores[i]), threshold=threshold) for i in order]
    return Evaluation.from_predictions(entries, answers, **more)


def answered(truth, wrong) -> Evaluation:
    return judged(truth, [0.9 if bool(known) != (i in wrong) else 0.1 for i, known in enumerate(truth)])


def drawn(draw, truth, sharpness):
    """Draw scores of a model: the sharper, the better it tells the two classes apart."""
    return stats.norm.cdf(draw.normal(size=len(truth)) + np.where(truth, sharpness, -sharpness))


HALF = [True] * 20 + [False] * 20


# --- Ranking


def test_few_disagreements_rank_nobody():
    comparison = compare_evaluations(answered(HALF, {3}), answered(HALF, {5, 25}))
    assert (comparison.better, comparison.p_value, comparison.right) == (None, 1.0, (2, 1))
    assert str(comparison) == (
        "These 40 images cannot tell a and b apart: they disagree on 3 (2 for a, 1 for b), p = 1.00; about 940 images "
        "would be needed to see a difference of this size."
    )
    assert repr(comparison) == "Comparison(40 images: cannot tell apart, disagree on 3, p = 1.00)"
    even = compare_evaluations(answered(HALF, {3}), answered(HALF, {5}))
    assert str(even).endswith("they disagree on 2 (1 for a, 1 for b), p = 1.00; neither is ahead.")
    assert even.images_needed is None


def test_the_same_model_is_not_better_than_itself():
    draw = np.random.default_rng(0)
    truth = draw.random(60) < 0.3
    one = judged(truth, drawn(draw, truth, 1.0))
    comparison = compare_evaluations(one, one)
    assert (comparison.better, comparison.p_value, comparison.changed) == (None, 1.0, ())
    assert all(score == 0.0 and score.low < 0.0 < score.high for score in comparison.differences.values())
    assert "agree on every one, p = 1.00; they may still disagree on up to 4.9 % of all images." in str(comparison)
    assert stats.binomtest(0, 60).proportion_ci(0.90).high == pytest.approx(0.049, abs=0.001)


def test_a_clearly_better_model_is_ranked_on_200_images():
    draw = np.random.default_rng(1)
    truth = draw.random(200) < 0.3
    comparison = compare_evaluations(
        judged(truth, drawn(draw, truth, 0.9)), judged(truth, drawn(draw, truth, 2.2)), names=("old", "new")
    )
    left, right = comparison.right
    assert comparison.better == "b"
    assert comparison.p_value == pytest.approx(stats.binomtest(right, left + right).pvalue)
    assert str(comparison).startswith(
        f"new is better: of the {left + right} images (of 200) on which they disagree, new is right on {right} and old "
        f"on {left}, p "
    )
    assert comparison.differences["f1"].low > 0
    assert comparison.differences["miss_rate"] < 0 < comparison.differences["recall"]


def test_equal_models_are_falsely_ranked_no_more_often_than_alpha_allows():
    draw = np.random.default_rng(2)
    truth = np.arange(100) < 30
    entries = [judged(truth, drawn(draw, truth, 1.0)) for _ in range(500)]
    ranked = [compare_evaluations(a, b).better for a, b in itertools.pairwise(entries)][::2]
    assert 0 < len([one for one in ranked if one]) / len(ranked) < 0.06
    assert {one for one in ranked if one} == {"a", "b"}


def test_a_truly_better_model_is_found_and_the_worse_one_never():
    draw = np.random.default_rng(3)
    truth = np.arange(200) < 60
    verdicts = [
        compare_evaluations(judged(truth, drawn(draw, truth, 1.0)), judged(truth, drawn(draw, truth, 1.6))).better
        for _ in range(80)
    ]
    assert verdicts.count("b") > 60
    assert verdicts.count("a") == 0


def test_more_sureness_asks_for_more():
    a, b = answered(HALF, set(range(9))), answered(HALF, {30})
    assert compare_evaluations(a, b).better == "b"
    assert compare_evaluations(a, b).p_value == pytest.approx(0.0215, abs=1e-4)
    assert compare_evaluations(a, b, confidence=0.99).better is None
    assert compare_evaluations(a, b, confidence=0.99).differences["recall"].confidence == 0.99


def test_fewer_false_alarms_for_more_misses_is_a_trade_and_no_rank():
    truth = [True] * 40 + [False] * 100
    careful, easy = answered(truth, set(range(40, 75))), answered(truth, set(range(12)))
    comparison = compare_evaluations(careful, easy)
    assert comparison.p_value < 0.05
    assert comparison.better is None
    assert "b gives 35 fewer false alarms but misses 12 more anomalies. It depends on what a miss costs" in str(
        comparison
    )
    assert (comparison.false_alarms, comparison.misses) == ((35, 0), (0, 12))
    # A few more misses may be chance: then the many fewer false alarms decide, and the text tells of both.
    slight = compare_evaluations(careful, answered(truth, {0, 1}))
    assert slight.better == "b"
    assert "b gives 35 fewer false alarms but misses 2 more anomalies." in str(slight)
    assert "a gives 40 fewer false alarms and misses 1 fewer anomaly." in str(
        compare_evaluations(answered(truth, ()), answered(truth, {0, *range(50, 90)}))
    )


@settings(max_examples=25)
@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 20), st.integers(0, 20)), min_size=1, max_size=40), st.randoms()
)
def test_exchanged_models_are_mirrored_and_order_does_not_matter(images, random):
    truth, a, b = (np.array(column) for column in zip(*images, strict=True))
    order = list(range(len(truth)))
    random.shuffle(order)
    one = compare_evaluations(judged(truth, a / 20), judged(truth, b / 20), resamples=100)
    other = compare_evaluations(judged(truth, b / 20, order=order), judged(truth, a / 20), resamples=100)
    assert other.better == {"a": "b", "b": "a", None: None}[one.better]
    assert other.p_value == one.p_value == mcnemar(*one.right)
    assert other.right == one.right[::-1]
    assert other.images_needed == one.images_needed
    assert [x.source for x in other.entries] == [x.source for x in one.entries]
    for name, score in one.differences.items():
        turned = other.differences[name]
        ends = (-turned.high, -turned.low, -float(turned))
        assert (score.low, score.high, float(score)) == pytest.approx(ends, nan_ok=True, abs=1e-9), name


@settings(max_examples=25)
@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_differences_are_those_of_the_evaluations(images):
    truth, a, b = (np.array(column) for column in zip(*images, strict=True))
    one, other = judged(truth, a * 0.8 + 0.1), judged(truth, b * 0.8 + 0.1)
    comparison = compare_evaluations(one, other, resamples=50)
    told = comparison.differences
    for name in ("f1", "precision", "recall", "accuracy", "roc_auc", "average_precision"):
        if not math.isnan(told[name]):
            assert told[name] == pytest.approx(getattr(other, name) - getattr(one, name)), name
        else:
            assert truth.all() or not truth.any()
    if truth.any():
        misses = [int((~said & truth).sum()) for said in (a, b)]
        assert comparison.misses == tuple(misses)
        only = [int((truth & x & ~y).sum()) for x, y in ((a, b), (b, a))]
        expected = proportion_difference(*only, int(truth.sum()))
        assert (told["recall"].low, told["recall"].n) == (expected.low, truth.sum())
        assert told["miss_rate"] == pytest.approx((misses[1] - misses[0]) / truth.sum())
        assert (told["miss_rate"].low, told["miss_rate"].high) == (-expected.high, -expected.low)
    if not truth.all():
        alarms = [int((said & ~truth).sum()) for said in (a, b)]
        assert comparison.false_alarms == tuple(alarms)
        assert told["false_alarm_rate"] == pytest.approx((alarms[1] - alarms[0]) / (~truth).sum())
    assert {change.entry.source for change in comparison.changed} == {f"p/{i}.png" for i in np.flatnonzero(a != b)}


# --- Which images are paired


def test_other_images_are_refused_or_left_out_and_told():
    truth, scores = HALF, np.linspace(0, 1, 40)
    a, b = judged(truth, scores, order=range(37)), judged(truth, scores, order=range(1, 40))
    with pytest.raises(
        Invalid, match=r"only a has 'p/0.png'; only b has 'p/37.png', 'p/38.png', 'p/39.png'\. .*36 com"
    ):
        compare_evaluations(a, b)
    comparison = compare_evaluations(a, b, only_common=True)
    assert (comparison.n, comparison.left_out) == (36, (1, 3))
    assert str(comparison).endswith("Left out: 1 image that only a has, 3 only b.")
    with pytest.raises(Invalid, match=r"'p/24.png' and 15 more\. .*none in common: evaluate both on one test set"):
        compare_evaluations(
            judged(truth, scores, order=range(20)), judged(truth, scores, order=range(20, 40)), only_common=True
        )


def test_types_of_a_part_of_the_images_are_not_told():
    types = {"dent": TypeScore("dent", 1.0, 1.0, 1.0, Score(0.5), 3)}
    a = answered(HALF, ())
    a = Evaluation(a.rows, types=types)
    b = judged(HALF, [0.1] * 40, order=range(39))
    assert compare_evaluations(a, a).a.types == types
    assert compare_evaluations(a, b, only_common=True).a.types == {}


def test_moved_images_are_found_by_name():
    scores = np.linspace(0, 1, 40)
    old = judged(HALF, scores, name="s3://bucket/old/{}.png")
    new = judged(HALF, scores[::-1], name="C:\\new\\{}.png")
    with pytest.raises(Invalid, match=r'40 file names are the same: .* by="name"'):
        compare_evaluations(old, new)
    assert len(compare_evaluations(old, new, by="name").changed) == 40
    twice = judged(HALF, scores, name="p/{}/same.png")
    with pytest.raises(Invalid, match=r"of b has more than once: 'same.png'"):
        compare_evaluations(twice, twice, by="name", names=("b", "a"))


def test_labels_that_disagree_are_an_error_that_names_images():
    other = list(HALF)
    other[7], other[30] = False, True
    with pytest.raises(Invalid, match=r"different labels of 'p/30.png', 'p/7.png'\. Find out"):
        compare_evaluations(answered(HALF, ()), answered(other, ()))


def test_bad_input_is_refused():
    one = answered(HALF, {1})
    for more, told in (
        ({"by": "path"}, 'by is "source" or "name"; \'path\''),
        ({"confidence": 95}, "confidence lies between 0 and 1"),
        ({"confidence": True}, "confidence lies between 0 and 1"),
        ({"resamples": 0}, "resamples is a whole number"),
        ({"names": "ab"}, "two different words"),
        ({"names": ("a", "a")}, "two different words"),
        ({"names": ("a", "")}, "two different words"),
    ):
        with pytest.raises(Invalid, match=told):
            compare_evaluations(one, one, **more)
    with pytest.raises(Invalid, match="of b holds no image"):
        compare_evaluations(one, Evaluation(()))
    with pytest.raises(Invalid, match=r"of a has more than once: 'p/0.png'"):
        compare_evaluations(Evaluation(one.rows + one.rows[:1]), one)


# --- What it tells


def test_changed_images_come_most_telling_first():
    truth = [True, True, False, False]
    a = judged(truth, [0.4, 0.1, 0.2, 0.55])
    b = judged(truth, [0.9, 0.95, 0.1, 0.45], threshold=0.6)
    comparison = compare_evaluations(a, b)
    assert [change.entry.source for change in comparison.changed] == ["p/1.png", "p/0.png", "p/3.png"]
    assert [round(change.margin, 2) for change in comparison.changed] == [0.75, 0.4, 0.2]
    assert [change.right for change in comparison.changed] == ["b", "b", "b"]
    frame = comparison.to_frame()
    assert list(frame) == [
        "source", "label", "right", "a_verdict", "a_score", "a_threshold", "b_verdict", "b_score", "b_threshold"
    ]  # fmt: skip
    assert frame.iloc[0].tolist() == ["p/1.png", "anomaly", "b", "normal", 0.1, 0.5, "anomaly", 0.95, 0.6]
    assert compare_evaluations(a, a).to_frame().shape == (0, 9)
    assert len(Manifest(comparison.entries)) == 3
    assert Evaluation(tuple(a.rows)).rows[0].label == comparison.entries[0].label


def test_an_unknown_threshold_is_no_obstacle():
    rows = tuple(type(row)(*[getattr(row, f) for f in ("source", "location", "label", "is_anomalous", "confidence",
                 "score")], math.nan) for row in answered(HALF, {1, 2}).rows)  # fmt: skip
    comparison = compare_evaluations(Evaluation(rows), answered(HALF, ()))
    assert [round(change.margin, 2) for change in comparison.changed] == [0.8, 0.8]
    facts = json.loads(json.dumps(comparison.to_dict(rows=True), allow_nan=False))
    assert facts["changed"][0]["a_threshold"] is None
    comparison.show().canvas.draw()


def test_to_dict_is_ready_for_json():
    comparison = compare_evaluations(answered(HALF, {3}), answered(HALF, {5, 25}), names=("old", "new"))
    facts = json.loads(json.dumps(comparison.to_dict(rows=True), allow_nan=False))
    assert (facts["better"], facts["p_value"], facts["names"], facts["images"]) == (None, 1.0, ["old", "new"], 40)
    assert facts["only_right"] == {"a": 2, "b": 1}
    assert facts["false_alarms"] == {"a": 0, "b": 1}
    assert facts["scores"]["recall"]["a"] == 0.95
    assert facts["scores"]["false_alarm_rate"]["difference"]["value"] == pytest.approx(0.05)
    assert facts["verdict"] == str(comparison)
    assert len(facts["changed"]) == 3
    assert "changed" not in comparison.to_dict()
    only = compare_evaluations(answered([False] * 4, {1}), answered([False] * 4, ()))
    assert json.loads(json.dumps(only.to_dict(), allow_nan=False))["scores"]["f1"]["difference"]["value"] is None


def test_html_escapes_names_and_tells_every_score():
    a = judged(HALF, [0.1] * 40, name="<i>{}.png")
    b = judged(HALF, [0.9] * 20 + [0.1] * 20, name="<i>{}.png")
    text = compare_evaluations(a, b, names=("<b>", "new"))._repr_html_()
    assert "<b>" not in text
    assert "<i>" not in text
    assert "&lt;b&gt;" in text
    assert "10 more in to_frame()" in text
    for name in ("F1", "precision", "recall", "accuracy", "ROC AUC", "average precision", "misses", "false alarms"):
        assert f">{name}</th>" in text


def test_a_comparison_is_a_value():
    comparison = compare_evaluations(answered(HALF, {3}), answered(HALF, ()))
    with pytest.raises(AttributeError):
        comparison.seed = 3
    with pytest.raises(TypeError):
        comparison.differences["f1"] = 1.0
    assert isinstance(comparison, Comparison)


@pytest.mark.parametrize("known", [HALF, [False] * 5, [True] * 5, [True]], ids=["both", "normal", "anomalies", "one"])
def test_show_draws_both_panels(known):
    figure = compare_evaluations(answered(known, {0}), answered(known, ())).show()
    figure.canvas.draw()
    pairs, bars = figure.axes
    assert pairs.get_title(loc="left") == f"1 of {len(known)} images change sides"
    assert len(bars.get_yticklabels()) == 8
    assert not plt.get_fignums()
