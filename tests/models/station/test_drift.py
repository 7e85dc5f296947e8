"""A day's scores are told when they have left the training's, and hardly ever when they have not."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tests.models.station.conftest import Brightness, Line, findings, lines, png, status
from vision_toolkit.models.model import Model, load
from vision_toolkit.models.station import inspection as inspections
from vision_toolkit.models.station.drift import (
    BINS,
    Day,
    Departure,
    Reference,
    Rules,
    _at_least,
    _distance,
    bin_of,
    edges,
    histogram,
)

RNG = np.random.default_rng(0)


def scores(rng: np.random.Generator, n: int, *, anomalies: float = 0.0, shift: float = 0.0) -> np.ndarray:
    """Draw scores of a line: log-odds of normal images around -3, of anomalies around 2."""
    bad = rng.uniform(size=n) < anomalies
    logits = np.where(bad, rng.normal(2, 1.5, n), rng.normal(-3 + shift, 1.2, n))
    return 1 / (1 + np.exp(-logits))


def reference(rng: np.random.Generator, normal: int, anomaly: int, threshold: float = 0.5) -> Reference:
    held_out = {
        "normal": histogram(scores(rng, normal)), "anomaly": histogram(scores(rng, anomaly, anomalies=1.0)),
    }  # fmt: skip
    found = Reference.of({"threshold": threshold, "held_out": held_out})
    assert found is not None
    return found


def tell(day: Day, values: np.ndarray, threshold: float = 0.5) -> list[Departure]:
    found = [one for value in values for one in day.add(float(value), bool(value >= threshold))]
    return [*found, *day.close()]


@given(st.floats(0, 1))
def test_a_score_lies_between_the_edges_of_its_bin(score: float) -> None:
    bounds = edges()
    assert len(bounds) == BINS + 1 and bounds == sorted(bounds)
    number = bin_of(score)
    assert bounds[number] - 1e-6 <= score <= bounds[number + 1] + 1e-6


@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")  # in scipy's
@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_the_distance_is_scipy_s_of_the_binned_scores(one: list[float], two: list[float]) -> None:
    first, second = ([bin_of(value) for value in values] for values in (one, two))
    apart, _ = _distance(histogram(one), histogram(two))
    assert apart == pytest.approx(stats.ks_2samp(first, second, method="asymp").statistic)


@given(st.integers(1, 2000), st.floats(0, 1), st.floats(0.01, 0.99))
def test_the_tail_of_the_binomial_is_scipy_s(n: int, part: float, share: float) -> None:
    hits = round(part * n)
    expected = stats.binom.sf(hits - 1, n, share) if hits > n * share else 1.0
    assert _at_least(hits, n, share) == pytest.approx(expected, rel=1e-6, abs=1e-300)


@pytest.mark.parametrize("normal", [20, 60, 400])
@pytest.mark.parametrize("anomalies", [0.0, 0.02, 0.3])
def test_false_alarms_are_rarer_than_promised(normal: int, anomalies: float) -> None:
    """Each day has a training of its own: its luck counts as well. One day in fifty is promised."""
    rng, days, told = np.random.default_rng([normal, round(100 * anomalies)]), 250, 0
    for _ in range(days):
        day = Day("d", reference(rng, normal, max(5, normal // 4)), Rules(false_alarms=50))
        told += bool(tell(day, scores(rng, int(rng.integers(50, 800)), anomalies=anomalies)))
    assert told <= stats.binom.ppf(0.999, days, 1 / 50)


def test_without_a_margin_the_promise_is_kept_as_well_and_not_by_never_telling() -> None:
    """The test itself is honest: the margin is for what a simulation does not have."""
    rng, told = np.random.default_rng(5), 0
    for _ in range(1000):
        known, seen = reference(rng, 200, 200), scores(rng, 400)
        comparison = known.compare(histogram(seen), level=0.05)
        told += comparison.distance > comparison.smallest - comparison.missed - 0.1
    assert 0.005 < told / 1000 <= 0.065


@pytest.mark.parametrize(("shift", "images"), [(1.5, 200), (-1.5, 200), (1.0, 2000)])
def test_a_shift_is_told_with_its_direction(shift: float, images: int) -> None:
    rng, told = np.random.default_rng(1), 0
    for _ in range(40):
        day = Day("d", reference(rng, 200, 40), Rules())
        found = {one.rule: one for one in tell(day, scores(rng, images, anomalies=0.02, shift=shift))}
        told += "score-drift" in found
        if "score-drift" in found:
            assert ("higher" if shift > 0 else "lower") in found["score-drift"].text
            assert found["score-drift"].numbers["distance"] > found["score-drift"].numbers["smallest_told"]
    assert told >= 36


def test_a_line_that_rejects_most_is_told_and_one_that_rejects_half_is_not() -> None:
    rng = np.random.default_rng(2)
    day = Day("d", None, Rules())
    assert [one.rule for one in tell(day, np.full(50, 0.9))] == ["many-rejects"]
    told = sum(bool(tell(Day("d", None, Rules(false_alarms=50)), rng.uniform(size=300))) for _ in range(300))
    assert told <= stats.binom.ppf(0.999, 300, 1 / 50)
    assert tell(Day("d", None, Rules(most_rejects=1.0)), np.full(500, 0.9)) == []
    assert [one.rule for one in tell(Day("d", None, Rules(most_rejects=0.1)), np.full(100, 0.9))] == ["many-rejects"]


def test_a_day_is_told_once_and_soon() -> None:
    day = Day("d", reference(np.random.default_rng(3), 200, 40), Rules())
    when = [n for n, value in enumerate(scores(RNG, 3000, shift=3.0), 1) if day.add(float(value), False)]
    assert when == [50] and day.close() == []


def test_what_cannot_be_told_is_said() -> None:
    few = reference(np.random.default_rng(4), 12, 3)
    assert "12 scores of passed images, and it takes 20" in str(few.compare(histogram([0.1] * 99), level=0.01).why)
    known = reference(np.random.default_rng(4), 60, 30)
    assert known.compare(histogram([0.99] * 99), level=0.01).why == "no image passed"
    assert Reference.of({"threshold": 0.5}) is None
    assert Reference.of({"threshold": 0.5, "held_out": {"normal": [1], "anomaly": [1]}}) is None
    day = Day("d", known, Rules())
    assert tell(day, np.full(49, 0.4)) == [] and day.facts()["cannot_tell"] == "too few images: 50 are the fewest"
    assert "held-out scores" in Day("d", None, Rules()).facts()["cannot_tell"]
    worthless = Reference(tuple(histogram([0.1] * 45 + [0.9] * 5)), tuple(histogram([0.1] * 50)), 0.5)
    assert "so few pass" in str(worthless.compare(histogram([0.4] * 90), level=0.01).why)


def test_a_training_keeps_its_held_out_scores(model: Model, training: object, tmp_path: Path) -> None:
    kept = load(model.save(tmp_path / "m")).info["held_out"]
    truth = {"normal": False, "anomaly": True}
    assert model.evaluation is not None
    for name, anomaly in truth.items():
        expected = histogram(row.score for row in model.evaluation.rows if (str(row.label) == "anomaly") is anomaly)
        assert kept[name] == expected and sum(kept[name]) > 0
    found = Reference.of(model.at(0.9).info)
    assert found is not None and found.threshold == 0.9 and found.normal == tuple(kept["normal"])


def test_findings_know_since_when_and_days_their_histograms(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    today = {"day": ""}
    monkeypatch.setattr(inspections, "_today", lambda: today["day"])
    number = 0
    for name, bright in (("2026-03-01", 0), ("2026-03-02", 118), ("2026-03-05", 120), ("2026-03-06", 0)):
        today["day"] = name
        for _ in range(70):
            number += 1
            line.drop(f"{number:03}.png", png(bright or 13 + 37 * number % 89))
        assert line.once("--drift-images", "25") == 0
    told = [(one["day"], one["rule"], one["since"]) for one in findings(line.out)]
    assert told == [("2026-03-02", "score-drift", "2026-03-02"), ("2026-03-05", "score-drift", "2026-03-02")]
    (first, _) = findings(line.out)
    assert first["severity"] == "warning" and first["numbers"]["images"] == 25 and "overlays" in first["repair"]
    for path in line.out.glob("histogram-*.json"):
        facts = json.loads(path.read_bytes())
        rows = (line.out / f"results-{facts['day']}.jsonl").read_bytes().splitlines()
        assert facts["images"] == 70 and facts["counts"] == histogram(json.loads(raw)["score"] for raw in rows)
        assert facts["closed"] is (facts["day"] != "2026-03-06")
    assert status(line.out)["scores"]["told"] == []


def test_another_model_begins_a_histogram_of_its_own(line: Line) -> None:
    for number in range(5):
        line.drop(f"{number}.png", png(20))
    assert line.once() == 0
    (line.package / "model.onnx").write_bytes(b"another")
    line.drop("new.png", png(30))
    assert line.once(model=Brightness()) == 0
    assert len({one["model"] for one in lines(line.out)}) == 2
    (path,) = line.out.glob("histogram-*.json")
    assert json.loads(path.read_bytes())["images"] == 1


def test_log_odds_are_what_the_bins_are_made_of() -> None:
    assert edges()[32] == 0.5 and math.isclose(edges()[36], 1 / (1 + math.exp(-1)), abs_tol=1e-6)
