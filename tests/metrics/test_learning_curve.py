"""Learning curves against scikit-learn, known power laws, and drawn scores whose true gain is known."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from sklearn import metrics as reference

from vision_toolkit.core import Invalid
from vision_toolkit.metrics import LearningCurve, Trial
from vision_toolkit.metrics.power_law import fit_power_law

HELD_OUT = 24
SIZES = (5, 10, 20, 40)


def trial(normals, anomalies, repeat, apart, rng, **more):
    """One model: both kinds score as bells, so far apart."""
    truth = np.arange(HELD_OUT) % 2 == 1
    odds = apart * (rng.standard_normal(HELD_OUT) + apart * (truth - 0.5))
    return Trial(normals, anomalies, repeat, truth, 1 / (1 + np.exp(-odds)), 0.5, **more)


def drawn(world, repeats, seed, *, kind="anomaly", sizes=SIZES, **more):
    rng = np.random.default_rng(seed)
    return [
        trial(*((40, n) if kind == "anomaly" else (n, 40)), repeat, world(n), rng, **more)
        for repeat in range(repeats)
        for n in sizes
    ]


def flat(n):
    return 2.5


def rising(n):
    return 3.2 - 4 * n**-0.5


def test_points_are_the_means_of_scikit_learns():
    trials = drawn(rising, 3, 0)
    points = LearningCurve.from_scores(trials).points
    assert [(point.normals, point.anomalies, point.repeats) for point in points] == [(40, n, 3) for n in SIZES]
    for point in points:
        same = [one for one in trials if one.anomalies == point.anomalies]
        f1 = [reference.f1_score(one.truth, np.round(one.scores, 4) >= 0.5) for one in same]
        assert point.f1 == pytest.approx(np.mean(f1))
        assert point.roc_auc == pytest.approx(np.mean([reference.roc_auc_score(t.truth, t.scores) for t in same]))
        assert point.log_loss == pytest.approx(np.mean([reference.log_loss(t.truth, t.scores) for t in same]))
        assert point.f1.n == 3 * HELD_OUT
        half = 4.302653 * np.std(f1, ddof=1) / np.sqrt(3)  # Student's for two degrees of freedom
        assert point.f1.low == pytest.approx(np.mean(f1) - half, abs=1e-6)


@pytest.mark.parametrize("exponent", [0.2, 0.6, 1.0])
def test_a_power_law_is_found_again(exponent):
    rng = np.random.default_rng(0)
    sizes = np.array([5.0, 10.0, 20.0, 40.0, 80.0])
    curve = 0.05 + 0.8 * sizes**-exponent
    law = fit_power_law(sizes, curve + 1e-4 * rng.standard_normal((10, 5)), reach=160.0, rng=rng)
    gain, low, high = law.gain(80.0, 160.0)
    true = 0.8 * (80.0**-exponent - 160.0**-exponent)
    assert gain == pytest.approx(true, rel=0.1)
    assert low <= true <= high and high - low < 0.5 * true
    middle, bottom, top = law.errors(np.array([10.0, 160.0]))
    np.testing.assert_allclose(middle, 0.05 + 0.8 * np.array([10.0, 160.0]) ** -exponent, rtol=0.05)
    assert (bottom <= middle).all() and (middle <= top).all()


def test_an_error_never_falls_below_0():
    errors = np.array([[0.4, 0.2, 0.0], [0.42, 0.21, 0.01], [0.38, 0.19, 0.0]])
    law = fit_power_law(np.array([10.0, 20.0, 40.0]), errors, reach=80.0, rng=np.random.default_rng(0))
    assert law.errors(np.array([40.0, 80.0]))[1].min() >= -1e-12
    assert law.gain(40.0, 80.0)[2] <= law.errors(np.array([40.0]))[2][0] + 1e-9


def test_a_flat_curve_is_not_told_as_rising():
    gains = [LearningCurve.from_scores(drawn(flat, 6, seed)).gain("anomaly") for seed in range(60)]
    # At most 2.5 % of such curves should look sure; of 60 more than 5 would happen once in 1000 times.
    assert sum(gain.verdict == "helps" for gain in gains) <= 5
    assert np.mean([gain.value.low <= 0.001 for gain in gains]) >= 0.9


def test_the_interval_holds_the_true_gain_and_a_rising_curve_is_seen():
    rng = np.random.default_rng(1)
    means = []
    for n in (40, 80):
        kinds = rng.standard_normal((2, 40_000, HELD_OUT // 2))
        hits, alarms = (kinds[0] + rising(n) / 2 >= 0).sum(1), (kinds[1] - rising(n) / 2 >= 0).sum(1)
        means.append(float((2 * hits / (hits + alarms + HELD_OUT // 2)).mean()))
    true = means[1] - means[0]
    assert 0.01 < true < 0.03
    gains = [LearningCurve.from_scores(drawn(rising, 8, seed)).gain("anomaly") for seed in range(40)]
    assert sum(gain.value.low <= true <= gain.value.high for gain in gains) >= 36
    assert sum(gain.verdict == "helps" for gain in gains) >= 20
    assert np.mean([float(gain.value) for gain in gains]) == pytest.approx(true, abs=0.01)


def test_a_loss_is_told_as_no_gain():
    gain = LearningCurve.from_scores(drawn(lambda n: 2.0 + 3 * n**-0.5, 10, 0)).gain("anomaly")
    assert gain.verdict == "hardly" and gain.value.low == 0.0


def test_each_kind_is_told_from_the_trials_in_which_the_other_stays():
    rng = np.random.default_rng(0)
    plan = [(40, 5), (40, 10), (40, 20), (40, 40), (10, 40), (20, 40)]
    curve = LearningCurve.from_scores(
        [trial(n, m, repeat, rising(m), rng) for repeat in range(10) for n, m in plan], seed=3
    )
    anomalies, normals = curve.gain("anomaly"), curve.gain("normal")
    assert (anomalies.sizes.tolist(), normals.sizes.tolist()) == ([5, 10, 20, 40], [10, 20, 40])
    assert anomalies.verdict == "helps" and normals.verdict != "helps"
    assert str(curve).startswith("Twice as many anomalies: F1 +0.0")
    assert "; twice as many normal images: " in str(curve)
    assert curve.gain("anomaly", factor=4).value > anomalies.value
    assert "4 times as many anomalies" in str(curve.gain("anomaly", factor=4))


@pytest.mark.parametrize("metric", ["f1", "roc_auc", "log_loss"])
def test_a_gain_of_any_metric_leads_on_from_what_was_seen(metric):
    gain = LearningCurve.from_scores(drawn(rising, 10, 0)).gain("anomaly", metric=metric)
    middle, low, high = gain.ahead([*SIZES, 80])
    assert ((low <= middle + 1e-9) & (middle <= high + 1e-9)).all()
    np.testing.assert_allclose(middle[:-1], gain.means, atol=0.08)
    assert abs(middle[-1] - middle[-2]) == pytest.approx(float(gain.value))
    assert (middle[-1] < middle[-2]) is np.bool_(metric == "log_loss")
    assert ("lower by" in str(gain)) is (metric == "log_loss")


def test_the_same_seed_gives_the_same_interval():
    one, two, other = (LearningCurve.from_scores(drawn(rising, 4, 0), seed=s).gain("anomaly").value for s in (1, 1, 2))
    assert one.to_dict() == two.to_dict() != other.to_dict()


def test_images_held_out_by_several_repeats_are_no_independent_witnesses():
    pool = [str(place) for place in range(HELD_OUT)]
    widths = []
    for names in (None, pool):
        trials = drawn(rising, 8, 0)
        curve = LearningCurve.from_scores([one._replace(images=names) for one in trials])
        value = curve.gain("anomaly").value
        widths.append(value.high - value.low)
    assert widths[1] > 1.05 * widths[0]
    own = [one._replace(images=[f"{one.repeat}-{name}" for name in pool]) for one in drawn(rising, 8, 0)]
    value = LearningCurve.from_scores(own).gain("anomaly").value
    assert value.high - value.low == pytest.approx(widths[0])


@pytest.mark.parametrize(
    ("sizes", "repeats", "why"),
    [
        ((10, 20), 10, "it takes models of 3 numbers of anomalies, the rest the same; there are 2"),
        ((10, 20, 40), 2, "it takes 3 repeats of every number of anomalies; there are 2"),
        ((40,), 1, "there are 1"),
    ],
)
def test_too_few_trials_are_refused_and_why_is_said(sizes, repeats, why):
    curve = LearningCurve.from_scores(drawn(rising, repeats, 0, sizes=sizes))
    gain = curve.gain("anomaly")
    assert gain.verdict == "unknown" and math.isnan(gain.value)
    assert why in str(gain) and "cannot be told" in str(curve)
    assert "it takes models of 3 numbers of normal images" in str(curve)
    with pytest.raises(Invalid, match="There is no curve"):
        gain.ahead([80])
    json.dumps(curve.to_dict(), allow_nan=False)


def test_models_without_anomalies_are_points_and_no_part_of_the_curve():
    trials = drawn(rising, 3, 0) + [trial(40, 0, repeat, 1.0, np.random.default_rng(repeat)) for repeat in range(3)]
    curve = LearningCurve.from_scores(trials)
    assert curve.points[0].anomalies == 0
    assert curve.gain("anomaly").sizes.tolist() == list(SIZES)


def test_repeats_that_lack_a_size_are_left_out():
    trials = drawn(rising, 4, 0)
    gain = LearningCurve.from_scores(trials[:-1]).gain("anomaly")
    assert gain.value.n == 3 * HELD_OUT


def test_each_type_is_told_by_how_many_of_it_are_found():
    rng = np.random.default_rng(0)
    types = [("scratch" if place % 4 == 1 else "dent") if place % 2 else None for place in range(HELD_OUT)]
    trials = []
    for repeat in range(10):
        for n in SIZES:
            truth = np.arange(HELD_OUT) % 2 == 1
            apart = np.where([name == "scratch" for name in types], rising(n), 3.0)  # dents are learned at once
            scores = 1 / (1 + np.exp(-(rng.standard_normal(HELD_OUT) + apart * (truth - 0.5))))
            trials.append(
                Trial(40, n, repeat, truth, scores, 0.5, None, types, {"scratch": n // 2, "dent": n - n // 2})
            )
    curve = LearningCurve.from_scores(trials)
    assert curve.types == ("dent", "scratch")
    scratch, dent = (curve.gain("anomaly", type=name) for name in ("scratch", "dent"))
    assert scratch.sizes.tolist() == [2, 5, 10, 20] and dent.sizes.tolist() == [3, 5, 10, 20]
    found = [[(one.scores >= 0.5)[np.array(types) == "scratch"].mean() for one in trials[k::4]] for k in range(4)]
    np.testing.assert_allclose(scratch.means, np.mean(found, axis=1))
    assert scratch.value > dent.value
    assert "twice as many images of scratch: " in str(curve) and "recall" in str(scratch)
    with pytest.raises(Invalid, match=r"\(dent, scratch\)"):
        curve.gain("anomaly", type="pore")


def test_it_is_shown_as_frame_page_and_words():
    curve = LearningCurve.from_scores(drawn(rising, 3, 0))
    frame = curve.to_frame()
    assert frame.shape == (4, 12) and frame["anomalies"].tolist() == list(SIZES)
    assert frame["f1"].tolist() == [float(point.f1) for point in curve.points]
    assert "Twice as many anomalies" in curve._repr_html_() and curve._repr_html_().count("<tr>") == 5
    assert repr(curve).startswith("LearningCurve(12 models, up to 40 normal images and 40 anomalies: F1 0.")
    facts = json.loads(json.dumps(curve.to_dict(), allow_nan=False))
    assert facts["told"] == str(curve) and [gain["kind"] for gain in facts["gains"]] == ["anomaly", "normal"]


def test_one_model_is_a_point_without_an_interval():
    (point,) = LearningCurve.from_scores([drawn(rising, 1, 0)[0][:6]]).points
    assert math.isnan(point.f1.low) and not math.isnan(point.f1)
    json.dumps(point.to_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ((-1, 5, 0, [0, 1], [0.1, 0.9], 0.5), "Row 1: normals is how many images"),
        ((5, 2.5, 0, [0, 1], [0.1, 0.9], 0.5), "Row 1: anomalies is how many images"),
        ((5, 5, 0, [0, 0], [0.1, 0.9], 0.5), "Row 1: 0 of 2 held-out images are anomalies"),
        ((5, 5, 0, [0, 1], [0.1], 0.5), "as many as the verdicts"),
        ((5, 5, 0, [0, 1], [0.1, 1.9], 0.5), "Row 1: scores and threshold lie between 0 and 1"),
        ((5, 5, 0, [0, 1], [0.1, 0.9], -0.5), "Row 1: scores and threshold lie between 0 and 1"),
        ((5, 5, 0, [0, 1], [0.1, 0.9], 0.5, ["a"]), "Row 1: images are as many as the held-out images, 2; 1 are"),
        ((5, 5, 0, [0, 1]), r"Row 1: .* 4 values were given"),
    ],
)
def test_bad_rows_are_refused(row, told):
    with pytest.raises(Invalid, match=told):
        LearningCurve.from_scores([row])


def test_bad_questions_are_refused():
    with pytest.raises(Invalid, match="no row was given"):
        LearningCurve.from_scores([])
    row = (5, 5, 0, [0, 1], [0.1, 0.9], 0.5)
    with pytest.raises(Invalid, match="Repeat 0 has two models of 5 normal images and 5 anomalies"):
        LearningCurve.from_scores([row, row])
    curve = LearningCurve.from_scores([row])
    for arguments, told in (
        ({"kind": "both"}, 'kind is "normal" or "anomaly"'),
        ({"kind": "normal", "metric": "iou"}, "metric is one of f1, roc_auc, log_loss"),
        ({"kind": "normal", "factor": 1}, "factor lies above 1"),
        ({"kind": "normal", "factor": 100}, "factor lies above 1"),
        ({"kind": "normal", "type": "dent"}, "type is an anomaly type"),
    ):
        with pytest.raises(Invalid, match=told):
            curve.gain(**arguments)
