"""Compare models, evaluations and old manifests with each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from vision_toolkit.core import Invalid, NotFound
from vision_toolkit.metrics import write_evaluation
from vision_toolkit.models.comparison import compare

ARN = "arn:aws:lookoutvision:us-east-1:123456789012:model/parts/1"


@pytest.fixture(scope="module")
def strict(model):
    """A second model: the same, but it calls nearly everything an anomaly."""
    return model.at(0.0)


@pytest.fixture(scope="module")
def evaluation(model, testing):
    return model.evaluate(testing)


@pytest.fixture
def old(evaluation, tmp_path) -> Path:
    paths = write_evaluation(evaluation, tmp_path, project="parts", version=1, model_arn=ARN)
    return Path(paths[1])


def test_models_are_evaluated_on_the_test_set(model, strict, testing, evaluation):
    told = []
    comparison = compare(model, strict, testing, names=("model", "strict"), progress=lambda *now: told.append(now))
    assert comparison.a.counts == evaluation.counts
    assert comparison.b.counts.fp == evaluation.n_normal
    assert comparison.n == sum(entry.is_labelled for entry in testing)
    assert [share for share, _ in told] == sorted(share for share, _ in told)
    assert told[-1][0] == 1.0
    assert str(comparison).startswith("model is better") is (comparison.better == "a")


def test_an_evaluation_and_an_old_manifest_stand_for_a_model(model, evaluation, strict, testing, old):
    by_model = compare(model, strict, iter(testing))
    for a in (evaluation, old, str(old)):
        comparison = compare(a, strict, testing)
        assert comparison.right == by_model.right
        assert comparison.misses == by_model.misses
        assert comparison.a.roc_auc == pytest.approx(by_model.a.roc_auc, abs=0.02)
    assert compare(old, evaluation).p_value == 1.0
    assert compare(old, old).changed == ()


def test_what_cannot_be_compared_is_told(model, evaluation, testing, old, tmp_path):
    with pytest.raises(Invalid, match=r"give compare\(a, b, test\)"):
        compare(evaluation, model)
    with pytest.raises(Invalid, match="test is for models"):
        compare(evaluation, old, testing)
    with pytest.raises(Invalid, match="a dict was given"):
        compare({}, evaluation)
    with pytest.raises(Invalid, match=r"EvaluationManifest-PROJECT-VERSION\.json"):
        compare(tmp_path / "model", evaluation)
    with pytest.raises(NotFound):
        compare(tmp_path / "EvaluationManifest-nowhere-1.json", evaluation)
    with pytest.raises(Invalid, match="only_common=True"):
        compare(evaluation, model, testing[:3])
    assert compare(evaluation, model, testing[:3], only_common=True).left_out == (len(testing) - 3, 0)
    (tmp_path / "EvaluationResult-parts-1.json").unlink()
    with pytest.raises(
        NotFound, match=r"EvaluationResult-parts-1.json is missing; .*read_evaluation\(result, manifest"
    ):
        compare(old, evaluation)
