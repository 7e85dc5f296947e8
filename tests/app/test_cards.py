"""The command line tells what a model is, and trains for another share of anomalies."""

from __future__ import annotations

import json

import pytest


def test_a_card_in_words_and_for_programs(run, trained):
    code, out, err = run("card", trained / "model")
    assert code == 0 and out.startswith("# Model card\n") and not err
    code, out, _ = run("card", trained / "model", "--json")
    assert code == 0 and json.loads(out)["format"]


def test_no_model_has_no_card(run, tmp_path):
    code, out, err = run("card", tmp_path)
    assert code == 3 and not out and "is no model folder" in err


def test_train_takes_a_prevalence_and_a_budget(run, quick, training, tmp_path):
    options = ("--prevalence", "0.07", "--budget", "60s", "--task", "classification")
    code, _, _ = run("train", training, "--model", tmp_path / "model", *options, *quick)
    assert code == 0
    _, out, _ = run("card", tmp_path / "model", "--json")
    assert json.loads(out)["prevalence"] == 0.07


@pytest.mark.parametrize("share", ["0", "1", "7", "many"])
def test_a_share_that_is_none_is_refused(run, share):
    code, _, err = run("train", "x", "--model", "m", "--prevalence", share)
    assert code == 2 and f"a share above 0 and below 1 is needed, such as 0.07; '{share}' was given" in err
