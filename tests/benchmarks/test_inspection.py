"""What the benchmark of inspection computes by itself: figures, splits, watching a process, tables."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_recall_curve, roc_auc_score

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def rig():
    """Give the folder's modules by name; the benchmark finds them beside itself."""
    patch = pytest.MonkeyPatch()
    patch.syspath_prepend(str(BENCHMARKS))
    yield lambda name: importlib.import_module(f"rig.{name}")
    patch.undo()


def test_pixel_auc_is_that_of_all_pixels_in_one_list(rig) -> None:
    rng = np.random.default_rng(0)
    pairs = []
    for height, width in ((12, 9), (7, 20), (5, 5)):
        truth = rng.random((height, width)) < 0.2
        pairs.append(((rng.integers(0, 6, (height, width)) / 5 + 0.4 * truth).astype(np.float32), truth))
    pairs.append((np.zeros((4, 4), np.float32), np.zeros((4, 4), bool)))
    truth = np.concatenate([truth.ravel() for _, truth in pairs])
    heat = np.concatenate([heat.ravel() for heat, _ in pairs])
    assert rig("figures").pixel_auc(pairs) == pytest.approx(roc_auc_score(truth, heat), abs=1e-12)


def test_a_small_heat_map_is_spread_over_the_whole_image(rig) -> None:
    truth = np.zeros((40, 40), bool)
    truth[:, 20:] = True
    heat = np.array([[0.0, 1.0]], np.float32)
    assert rig("figures").pixel_auc([(heat, truth)]) == 1.0
    assert rig("figures").pixel_auc([(heat[:, ::-1], truth)]) == 0.0


def test_pixel_auc_without_a_defect_is_not_known(rig) -> None:
    assert np.isnan(rig("figures").pixel_auc([(np.ones((2, 2), np.float32), np.zeros((2, 2), bool))]))


def test_the_oracle_finds_the_best_f1_of_all_thresholds(rig) -> None:
    rng = np.random.default_rng(1)
    truth = rng.random(60) < 0.4
    scores = 20 + truth + rng.normal(0, 1, 60)
    precision, recall, _ = precision_recall_curve(truth, scores)
    best = np.max(2 * precision * recall / np.maximum(precision + recall, 1e-12))
    record = {"truth": truth.tolist(), "scores": scores.tolist(), "called": (scores > 20.5).tolist()}
    assert rig("figures").oracle_of(record) == pytest.approx(best)
    assert rig("figures").f1_of(record) == pytest.approx(f1_score(truth, scores > 20.5))


def test_the_interval_of_a_mean_is_about_two_standard_errors_wide(rig) -> None:
    values = np.random.default_rng(2).normal(0.9, 0.03, 200)
    mean = rig("figures").bootstrap_mean(values)
    error = values.std() / 200**0.5
    assert mean.value == pytest.approx(values.mean())
    assert mean.low == pytest.approx(values.mean() - 1.96 * error, abs=0.2 * error)
    assert mean.high == pytest.approx(values.mean() + 1.96 * error, abs=0.2 * error)
    assert rig("figures").bootstrap_mean([]).n == 0


def test_a_stream_has_the_share_of_anomalies_that_was_asked_for(rig) -> None:
    truth = [True] * 10 + [False] * 10
    always = {"truth": truth, "scores": [0.5] * 20, "called": [True] * 20}
    drawn = rig("figures").streams(always, images=100, anomalies=7, count_of=3)
    assert drawn["f1"] == pytest.approx([2 * 7 / (100 + 7)] * 3)  # everything called: precision 7 %, recall 1
    assert drawn["ece"] == pytest.approx([0.43] * 3)
    distances = always | {"scores": [25.0] * 20}
    assert rig("figures").streams(distances, images=100, anomalies=7, count_of=3)["ece"] == []


def test_a_resplit_keeps_the_sizes_and_loses_no_image(rig) -> None:
    data = rig("data")
    kinds = ["normal"] * 9 + ["anomaly"] * 6
    images = [[f"{number}.png", kind, None, {}] for number, kind in enumerate(kinds)]
    given = data.Split("set", images[:6] + images[9:12], images[6:9] + images[12:])
    first, second = data.resplit(given, 2)
    for split in (first, second):
        assert len(data.normal(split.train)) == 6
        assert (len(split.train), len(split.test), sum(split.truth)) == (9, 6, 3)
        assert sorted(data.paths(split.train + split.test)) == sorted(data.paths(images))
    assert first.train != second.train
    assert [split.train for split in data.resplit(given, 2)] == [first.train, second.train]


PROGRAM = """
import time
from rig.answering import serve

class Program:
    def __init__(self, threads): self.threads = threads; self.kept = []
    def versions(self): return {"threads": self.threads}
    def double(self, *, number): print("no answer"); return {"number": 2 * number}
    def grow(self):
        while True:
            self.kept.append(b"x" * 20_000_000)
            time.sleep(0.01)
    def wait(self): time.sleep(60)

serve(Program)
"""


@pytest.fixture
def program(rig, tmp_path: Path):
    """Start a program that answers, grows or waits; 400 MB and 2 seconds are its limits."""
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    more = {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(BENCHMARKS)])}
    limits = {"threads": 3, "log": tmp_path / "log", "cap_mb": 400.0, "limit_s": 2.0}
    with rig("worker").Worker(Path(sys.executable), "program", more=more, **limits) as found:
        yield found


def test_a_program_answers_again_and_again_and_says_what_it_takes(program) -> None:
    assert program.ready["threads"] == 3
    assert [program.ask("double", number=n)["number"] for n in (1, 2)] == [2, 4]
    assert 1 < program.ask("double", number=1)["peak_mb"] < 400
    with pytest.raises(RuntimeError, match=r"double: TypeError: .* see .*log"):
        program.ask("double", wrong=1)


def test_a_program_that_grows_is_killed_and_that_is_its_result(program) -> None:
    stopped = program.ask("grow")["stopped"]
    assert stopped.startswith("killed at ")
    assert 0.4 <= float(stopped.split()[2]) < 2.0


def test_a_program_that_takes_too_long_is_stopped(program) -> None:
    assert program.ask("wait")["stopped"].startswith("stopped after 2 s")


def test_the_page_has_every_program_and_why_one_was_ended(rig) -> None:
    done = {"truth": [True, False], "scores": [0.9, 0.1], "called": [True, False], "height": 32, "width": 64}
    cost = {"cpu_seconds": 2.0, "peak_mb": 300.0}
    named = {"part": "a", "set": "cookies", "split": "resplit0", "published": False}
    records = [
        named | done | cost | {"program": "ours", "preset": "fast", "seconds": 2.0},
        named | done | cost | {"program": "peer", "ratio": 0.1, "seconds": 8.0, "called": [True, True]},
        named | {"split": "resplit1", "program": "peer", "ratio": 0.1, "stopped": "killed at 12.1 GB"},
    ]
    facts = {"machine": {"cpu": "C", "cpus": 2, "system": "S", "python": "3"}, "threads": 2, "load": []}
    page = rig("tables").page(records, facts)
    ours, peer = (next(line for line in page if f"| {name}" in line) for name in ("ours, fast", "anomalib"))
    assert "| 32x64 | – | 1 | 1.000 | 1.000 | 1.000 | 2.0 | 2.0 | – | 300 |  |" in ours
    assert "| 0.667 | 1.000 | 1.000 | 8.0 | 2.0 | – | 300 | killed at 12.1 GB |" in peer
    assert any("F1 +0.333" in line and "4.0 (4.0–4.0) in seconds" in line for line in page)
    tables = [line for line in page if line.startswith("|")]
    assert len({line.count("|") for line in tables}) == 1
