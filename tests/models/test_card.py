"""What a model says of itself, and what a rule makes of its threshold."""

from __future__ import annotations

import json

import numpy as np
import pytest

import vision_toolkit as vt
from vision_toolkit.core import Invalid
from vision_toolkit.metrics import choose_threshold
from vision_toolkit.models.card import write_card


@pytest.fixture(scope="module")
def card(model) -> str:
    return model.card()


def test_the_card_tells_the_facts(model, card):
    info, scores = model.info, model.evaluation
    for fact in (
        info["training"]["fingerprint"],
        f"{info['training']['images']} images",
        info["backbone"]["name"],
        info["backbone"]["licence"],
        info["verdict"]["why"],
        *(one["name"] for one in info["verdict"]["tried"]),
        f"| F1 | {float(scores.f1):.3f} | {scores.f1.low:.2f}-{scores.f1.high:.2f} | {scores.f1.n} |",
        f"Calibration error: {scores.calibration().error:.3f}",
        "best_f1",
        *model.types,
        f"numpy {np.__version__}",
    ):
        assert fact in card


def test_a_loaded_model_has_the_same_card(model, card, tmp_path):
    assert vt.load(model.save(tmp_path / "model")).card() == card


def test_what_the_card_says_to_run_makes_the_model_again(model, card, training):
    code = card.partition("```python\n")[2].partition("```")[0]
    made = []

    def train(*given, **options):
        made.append(vt.train(*given, **options, threads=2, progress=False))

    class Front:
        pass

    Front.train = staticmethod(train)
    exec(code, {"manifest": training, "vt": Front})
    assert made[0].threshold == model.threshold
    assert made[0].info["training"] == model.info["training"]


def test_a_model_of_normal_images_says_that_nobody_knows_its_worth(training):
    normal = training.filter(label="normal")
    card = vt.train(normal, weights=None, preset="fast", threads=2, progress=False).card()
    assert "Nobody knows yet" in card and "## Paints" not in card


def test_a_model_for_another_share_of_anomalies_promises_no_calibration(model):
    info = json.loads(json.dumps(model.info)) | {"prevalence": 0.07}
    card = write_card(info, size=1)
    assert "a line with 7 % anomalies" in card and "Calibration error" not in card and "prevalence=0.07" in card


def test_a_card_needs_only_the_oldest_facts_and_no_name_breaks_its_tables(model):
    training = {"images": 9, "normal": 5, "anomaly": 4, "fingerprint": "ab"}
    old = {"task": "segmentation", "types": ["a|b"], "threshold": 0.5, "training": training}
    old["metrics"] = model.info["metrics"] | {"types": {"a|b": model.info["metrics"]["types"]["stain"]}}
    assert r"| a\|b |" in write_card(old, size=10)


def test_a_package_holds_the_card(model, testing, tmp_path):
    export = model.export(tmp_path / "package", golden=testing[:2])
    assert model.info["verdict"]["why"] in (export.path / "README.md").read_text("utf-8")


# Rules


def test_a_rule_chooses_on_the_held_out_scores(model):
    truth = [row.label == "anomaly" for row in model.evaluation.rows]
    scores = [row.score for row in model.evaluation.rows]
    for rule, share in (("at_recall(0.95)", None), ("at_cost(miss=50, reject=1)", 0.07), ("best_f1", 0.3)):
        moved = model.at(rule, prevalence=share)
        assert moved.threshold == choose_threshold(rule, truth, scores, prevalence=share)
        assert moved.evaluation.threshold == moved.threshold
        # What the model says it was moved by, moves it the same way again.
        assert model.at(moved.info["threshold_rule"]).threshold == moved.threshold
    assert model.at("best_f1", prevalence=0.3).info["threshold_rule"] == "best_f1(prevalence=0.3)"
    assert model.at(lambda truth, scores: 0.25).threshold == 0.25


def test_a_model_for_another_share_is_moved_for_that_share(model):
    info = model.info | {"prevalence": 0.02}
    runtime = vt.models.runtime.Runtime(info, model._runtime.graph, 1)
    rare = vt.Model(runtime, evaluation=model.evaluation)
    rule = "at_cost(miss=5, reject=1)"
    assert rare.at(rule).threshold == model.at(rule, prevalence=0.02).threshold
    assert rare.at(rule, prevalence=0.4).threshold == model.at(rule, prevalence=0.4).threshold
    assert rare.at("best_f1(prevalence=0.4)").threshold == model.at("best_f1", prevalence=0.4).threshold


def test_a_rule_needs_held_out_scores(model, training, testing, tmp_path):
    with pytest.raises(Invalid, match="has none: it has no evaluation"):
        vt.load(model.save(tmp_path / "model")).at("best_f1")
    tested = vt.Model(model._runtime, evaluation=model.evaluate(testing, progress=False))
    with pytest.raises(Invalid, match="that of a test set"):
        tested.at("at_recall(0.9)")
    assert tested.at(0.3).threshold == 0.3
    with pytest.raises(Invalid, match=r"A rule is"):
        model.at("at_luck")


def test_evaluate_takes_progress_as_train_does(model, testing, capsys):
    told = []
    for progress in (False, None, lambda *now: told.append(now)):
        assert model.evaluate(testing, progress=progress).n == len(testing)
    assert told[-1] == (1.0, "judging")
    assert capsys.readouterr() == ("", "")
