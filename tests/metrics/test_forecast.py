"""What to expect at another share of anomalies, against copies of images and by simulation."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_toolkit.core import Invalid
from vision_toolkit.metrics import Counts, Forecast, f1, f1_interval, precision, proportion_interval

some = st.integers(0, 20)
counted = st.builds(Counts, some, some, some, some).filter(lambda c: c.tp + c.fn and c.fp + c.tn)


@given(counted, st.integers(2, 50))
def test_a_share_is_what_copies_of_normal_images_make_of_it(counts, copies):
    copied = Counts(counts.tp, copies * counts.fp, counts.fn, copies * counts.tn)
    forecast = Forecast(counts, (counts.tp + counts.fn) / copied.n, parts=copied.n)
    assert forecast.precision == pytest.approx(precision(copied))
    assert forecast.f1 == pytest.approx(f1(copied))
    assert forecast.false_alarms == pytest.approx(copied.fp)
    assert forecast.misses == pytest.approx(copied.fn)
    assert forecast.alarms == pytest.approx(copied.fp + copied.tp)


@given(counted, st.sampled_from([None, 0.001, 0.07, 0.6]))
def test_intervals_hold_their_value_and_stay_in_range(counts, share):
    forecast = Forecast(counts, share)
    for name, top in (("precision", 1), ("f1", 1), ("alarms", 1000), ("false_alarms", 1000), ("misses", 1000)):
        score = getattr(forecast, name)
        assert -1e-9 <= score.low <= score + 1e-9 <= score.high + 2e-9 <= top + 1e-6
    json.dumps(forecast.to_dict(), allow_nan=False)


@given(counted)
def test_their_own_share_gives_what_was_counted(counts):
    forecast = Forecast(counts)
    assert repr(forecast.f1) == repr(f1_interval(counts))
    assert repr(forecast.recall) == repr(proportion_interval(counts.tp, counts.tp + counts.fn))
    assert forecast.precision == pytest.approx(precision(counts))
    assert forecast.alarms == pytest.approx(1000 * (counts.tp + counts.fp) / counts.n)


@pytest.mark.parametrize(("recall", "rate"), [(0.95, 0.02), (0.8, 0.1), (0.99, 0.002)])
def test_intervals_hold_the_truth_about_as_often_as_they_say(recall, rate):
    rng, share, sets = np.random.default_rng(0), 0.03, 400
    right = share * recall + (1 - share) * rate
    truth = {
        "precision": share * recall / right,
        "f1": 2 * share * recall / (right + share),
        "alarms": 1000 * right,
        "misses": 1000 * share * (1 - recall),
    }
    held = dict.fromkeys(truth, 0)
    for tp, fp in zip(rng.binomial(20, recall, sets).tolist(), rng.binomial(40, rate, sets).tolist(), strict=True):
        forecast = Forecast(Counts(tp, fp, 20 - tp, 40 - fp), share)
        for name, value in truth.items():
            score = getattr(forecast, name)
            held[name] += score.low - 1e-9 <= value <= score.high + 1e-9
    assert all(times >= 0.9 * sets for times in held.values())


def test_a_kind_that_was_not_counted_is_undefined():
    for counts in (Counts(tp=3, fn=1), Counts(fp=1, tn=3), Counts()):
        forecast = Forecast(counts, 0.1)
        assert math.isnan(forecast.precision) and math.isnan(forecast.f1) and math.isnan(forecast.alarms)
        assert forecast.to_dict()["alarms"]["value"] is None
    assert math.isnan(Forecast(Counts()).share)
    assert str(Forecast(Counts())) == "Without images there is nothing to expect."
    assert Forecast(Counts(tp=3, fn=1)).alarms == pytest.approx(750)


def test_no_alarm_is_a_precision_of_zero_that_nobody_knows():
    found = Forecast(Counts(fn=3, tn=5), 0.1).precision
    assert (float(found), found.low, found.high) == (0.0, 0.0, 1.0)


def test_it_is_told_in_a_sentence():
    told = str(Forecast(Counts(tp=18, fp=1, fn=2, tn=19), 0.01))
    assert told.startswith(
        "Of 1,000 parts, 1 % of them anomalies: 58 (11-243) alarms, 50 (3-234) of them false, and 1.0 "
    )


@pytest.mark.parametrize("prevalence", [0, 1, 7, "0.1"])
def test_a_share_out_of_range_is_refused(prevalence):
    with pytest.raises(Invalid, match="prevalence is the share"):
        Forecast(Counts(1, 1, 1, 1), prevalence)


@pytest.mark.parametrize("parts", [0, 2.5, True])
def test_parts_are_counted(parts):
    with pytest.raises(Invalid, match="parts is a whole number from 1"):
        Forecast(Counts(1, 1, 1, 1), 0.1, parts)
