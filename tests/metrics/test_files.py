"""Evaluation files: key by key in the form of Lookout for Vision, there and back, and wrong ones."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest

from vision_toolkit.core import Conflict, Entry, Invalid, Label, Mask, MaskRef, NotFound, Prediction, Task
from vision_toolkit.data.jsonlines import read_line
from vision_toolkit.metrics import Evaluation, read_evaluation, write_evaluation

ARN = "arn:aws:lookoutvision:us-east-1:123456789012:model/cookies/3"
NAMES = {"project": "cookies", "version": 3, "model_arn": ARN}
WHEN = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
STAMP = "2026-01-02T03:04:05.678901"
LINES = [
    (
        '{"source-ref": "s3://b/1.jpg", "anomaly-label-metadata": {"class-name": "anomaly", "job-name": "x", '
        '"human-annotated": "yes", "type": "groundtruth/image-classification"}, "anomaly-label": 1, "weight": 1.50e0}'
    ),
    (
        '{"source-ref":"s3://b/2.jpg","anomaly-label":0,"anomaly-label-metadata":{"class-name":"normal","type":'
        '"groundtruth/image-classification"}, "who": "Zoë" }'
    ),
    '{"source-ref": "s3://b/3.jpg"}',
    (
        '{"source-ref": "s3://b/4.jpg", "source-ref-metadata": {"creation-date": "2020"}, "auto-label": 1, '
        '"auto-label-metadata": {"class-name": "normal", "type": "groundtruth/image-classification"}}'
    ),
]


def entries() -> list[Entry]:
    return [entry for entry, _ in map(read_line, LINES) if entry]


def judged(scores=(0.9, 0.25, 0.5, 0.8), threshold=0.6, **more) -> Evaluation:
    answers = [Prediction(Task.CLASSIFICATION, score=s, threshold=threshold) for s in scores]
    return Evaluation.from_predictions(entries(), answers, created=WHEN, training_images=63, **more)


def written(folder, evaluation=None, **more) -> tuple[dict, list[str]]:
    paths = write_evaluation(evaluation or judged(), folder, **NAMES, **{"entries": entries(), **more})
    result, manifest = (Path(path).read_text(encoding="utf-8") for path in paths)
    return json.loads(result), manifest.splitlines()


def test_the_result_has_the_services_keys_in_its_order(tmp_path):
    result, _ = written(tmp_path)
    assert list(result) == ["Version", "EvaluationDetails", "AggregatedEvaluationResults"]
    assert result["Version"] == 1
    assert list(result["EvaluationDetails"].items()) == [
        ("ModelArn", ARN),
        ("EvaluationEndTimestamp", STAMP),
        ("NumberOfTrainingImages", 63),
        ("NumberOfTestingImages", 3),
    ]
    assert list(result["AggregatedEvaluationResults"]) == ["Metrics"]
    metrics = result["AggregatedEvaluationResults"]["Metrics"]
    assert list(metrics) == ["ROCAUC", "AveragePrecision", "Precision", "Recall", "F1Score", "PixelAnomalyClassMetrics"]
    assert metrics["ROCAUC"] == metrics["AveragePrecision"] == metrics["Recall"] == 1.0
    assert (metrics["Precision"], metrics["F1Score"]) == (0.5, pytest.approx(2 / 3))


def test_a_reader_finds_a_row_even_without_masks(tmp_path):
    result, _ = written(tmp_path)
    row = result["AggregatedEvaluationResults"]["Metrics"]["PixelAnomalyClassMetrics"][0]
    assert row == {"Precision": 0.0, "Recall": 0.0, "F1Score": 0.0, "AIOU": 0.0, "ClassName": "background"}


def test_the_original_line_stays_to_the_letter(tmp_path):
    _, lines = written(tmp_path)
    kept = [LINES[0][:-1], LINES[1][:-2].rstrip(), LINES[3][:-1]]
    assert [line[: len(old)] for line, old in zip(lines, kept, strict=True)] == kept


def test_the_added_keys_are_the_services_in_its_order(tmp_path):
    _, lines = written(tmp_path)
    first, second, third = map(json.loads, lines)
    assert list(first)[-4:] == [
        "weight",
        "source-ref-metadata",
        "anomaly-label-detected",
        "anomaly-label-detected-metadata",
    ]
    assert first["source-ref-metadata"] == {"creation-date": STAMP}
    assert first["anomaly-label-detected"] == 1
    assert list(first["anomaly-label-detected-metadata"].items()) == [
        ("class-name", "anomaly"),
        ("confidence", 0.9),
        ("type", "groundtruth/image-classification"),
        ("human-annotated", "no"),
        ("creation-date", STAMP),
        ("job-name", "training-job/anomaly-detection"),
        ("model-arn", ARN),
        ("project-name", "cookies"),
        ("model-version", "3"),
    ]
    assert second["anomaly-label-detected"] == 0
    assert second["anomaly-label-detected-metadata"]["class-name"] == "normal"
    assert second["anomaly-label-detected-metadata"]["confidence"] == 0.75
    assert third["source-ref-metadata"] == {"creation-date": "2020"}


def test_a_second_evaluation_replaces_the_first_verdict(tmp_path):
    _, lines = written(tmp_path)
    again = [entry for entry, _ in map(read_line, lines) if entry]
    _, twice = written(tmp_path, judged(threshold=0.1), entries=again, overwrite=True)
    for before, after in zip(map(json.loads, lines), map(json.loads, twice), strict=True):
        assert list(before) == list(after)
        assert after["anomaly-label-detected"] == 1
        assert before["source-ref-metadata"] == after["source-ref-metadata"]


def test_a_relabelled_entry_is_written_with_its_new_label(tmp_path):
    own = [entries()[0].relabelled("normal")]
    answer = [Prediction(Task.CLASSIFICATION, score=0.2, threshold=0.5)]
    _, (line,) = written(tmp_path, Evaluation.from_predictions(own, answer), entries=own)
    assert json.loads(line)["anomaly-label-metadata"]["class-name"] == "normal"
    assert json.loads(line)["weight"] == 1.5


def test_entries_without_a_line_get_one(tmp_path):
    _, lines = written(tmp_path, entries=None)
    entry, findings = read_line(lines[0])
    assert (entry.source, entry.label, findings) == ("s3://b/1.jpg", Label.ANOMALY, [])


def test_types_and_masks(tmp_path):
    mask = Mask(np.array([[0, 0], [0, 1]], np.uint8), ("background", "cracked"))
    answers = [Prediction(Task.SEGMENTATION, score=0.9, threshold=0.5, mask=mask)] * 4
    evaluation = Evaluation.from_predictions(entries(), answers, masks=[mask, None, None, None], created=WHEN)
    refs = {"s3://b/1.jpg": MaskRef("s3://b/masks/1.png", {"cracked": "#AABBCC"})}
    result, lines = written(tmp_path, evaluation, masks=refs)
    (row,) = result["AggregatedEvaluationResults"]["Metrics"]["PixelAnomalyClassMetrics"]
    assert list(row) == ["Precision", "Recall", "F1Score", "AIOU", "ClassName"]
    assert row == {
        "Precision": pytest.approx(1 / 3), "Recall": 1.0, "F1Score": 0.5, "AIOU": pytest.approx(1 / 3),
        "ClassName": "cracked",
    }  # fmt: skip
    first, second = json.loads(lines[0]), json.loads(lines[1])
    assert list(first)[-2:] == ["anomaly-mask-ref-detected", "anomaly-mask-ref-detected-metadata"]
    assert first["anomaly-mask-ref-detected"] == "s3://b/masks/1.png"
    assert first["anomaly-mask-ref-detected-metadata"] == {
        "internal-color-map": {
            "0": {"name": "background", "hex-color": "#ffffff", "total-percentage-area": 0.75},
            "1": {"name": "cracked", "hex-color": "#aabbcc", "total-percentage-area": 0.25},
        },
        "creation-date": STAMP,
        "human-annotated": "no",
        "type": "groundtruth/semantic-segmentation",
        "job-name": "training-job/anomaly-detection",
    }
    assert "anomaly-mask-ref-detected" not in second
    back = read_evaluation(tmp_path / "EvaluationResult-cookies-3.json", tmp_path / "EvaluationManifest-cookies-3.json")
    assert back.rows[0].areas == {"background": 0.75, "cracked": 0.25}
    assert (back.types["cracked"].f1, float(back.types["cracked"].aiou)) == (0.5, pytest.approx(1 / 3))


def test_there_and_back(tmp_path):
    evaluation = judged()
    paths = write_evaluation(evaluation, tmp_path, **NAMES, entries=entries())
    back = read_evaluation(*paths)
    assert (back.counts, back.training_images, back.created) == (evaluation.counts, 63, WHEN)
    assert back.threshold == pytest.approx((0.25 + 0.8) / 2)
    assert back.types == {}
    assert back.at(0.6).counts == evaluation.counts
    for ours, theirs in zip(evaluation.rows, back.rows, strict=True):
        for name in ("source", "label", "is_anomalous", "confidence", "score", "outcome"):
            assert getattr(ours, name) == getattr(theirs, name)
    for name in ("f1", "precision", "recall", "roc_auc", "average_precision"):
        assert getattr(back, name).to_dict() == getattr(evaluation, name).to_dict()


@pytest.mark.parametrize("labels", [["normal"] * 2, ["anomaly"] * 2, []])
def test_nan_is_never_written(tmp_path, labels):
    own = [Entry(f"{i}.png", Label(label)) for i, label in enumerate(labels)]
    answers = [Prediction(Task.CLASSIFICATION, score=0.1, threshold=0.5)] * len(own)
    paths = write_evaluation(Evaluation.from_predictions(own, answers), tmp_path, **NAMES)
    assert "NaN" not in "".join(Path(path).read_text() for path in paths)
    back = read_evaluation(*paths)
    assert math.isnan(back.roc_auc)
    assert back.n == len(own)


def test_the_prefix_is_put_before_the_names_as_it_is(tmp_path):
    base = tmp_path.as_posix()
    for prefix, folder, name in [
        (f"{base}/a/", "a", ""), (f"{base}/b_", "", "b_"), (tmp_path / "c", "c", ""), (f"{base}/d/e-", "d", "e-"),
    ]:  # fmt: skip
        paths = write_evaluation(judged(), prefix, **NAMES)
        assert [Path(path) for path in paths] == [
            tmp_path / folder / f"{name}EvaluationResult-cookies-3.json",
            tmp_path / folder / f"{name}EvaluationManifest-cookies-3.json",
        ]
        assert all(Path(path).is_file() for path in paths)


def test_nothing_is_overwritten_unasked(tmp_path):
    manifest = tmp_path / "EvaluationManifest-cookies-3.json"
    manifest.write_text("mine")
    with pytest.raises(Conflict, match=r"EvaluationManifest-cookies-3.json exists; .*overwrite=True"):
        write_evaluation(judged(), tmp_path, **NAMES)
    assert [path.name for path in tmp_path.iterdir()] == [manifest.name]
    write_evaluation(judged(), tmp_path, **NAMES, overwrite=True)
    assert manifest.read_text() != "mine"


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ({"project": "../up"}, "project's name"),
        ({"project": ""}, "project's name"),
        ({"project": "two words"}, "'two words'"),
        ({"version": "1/2"}, "A version is"),
    ],
)
def test_names_that_would_leave_the_folder_are_refused(tmp_path, names, told):
    with pytest.raises(Invalid, match=told):
        write_evaluation(judged(), tmp_path, **{**NAMES, **names})


@pytest.mark.parametrize("own", [entries()[:1], entries()[::-1], []])
def test_entries_that_were_not_judged_are_refused(tmp_path, own):
    with pytest.raises(Invalid, match="the 3 images that were judged"):
        write_evaluation(judged(), tmp_path, **NAMES, entries=own)
    assert not list(tmp_path.iterdir())


def test_times_of_other_zones_are_told_in_utc(tmp_path):
    later = WHEN.astimezone(timezone(timedelta(hours=9)))
    result, _ = written(tmp_path, Evaluation((), created=later), entries=[])
    assert result["EvaluationDetails"]["EvaluationEndTimestamp"] == STAMP


# --- What Lookout itself wrote

OLD = {
    "Version": 1,
    "EvaluationDetails": {
        "ModelArn": ARN, "EvaluationEndTimestamp": "2022-08-22T21:33:37.201882", "NumberOfTrainingImages": 63,
        "NumberOfTestingImages": 3,
    },
    "AggregatedEvaluationResults": {"Metrics": {
        "ROCAUC": 1.0, "AveragePrecision": 1.0, "Precision": 1.0, "Recall": 1.0, "F1Score": 1.0,
        "PixelAnomalyClassMetrics": [
            {"Precision": 0.9, "Recall": 0.8, "F1Score": 0.847, "AIOU": 0.7, "ClassName": "cracked"}
        ],
    }},
}  # fmt: skip


def old_line(name, known, verdict, confidence, **more) -> str:
    return json.dumps({
        "source-ref": f"s3://b/{name}.jpg", "source-ref-metadata": {"creation-date": "2022"},
        "anomaly-label": 1, "anomaly-label-metadata": {"class-name": known, "type": "groundtruth/image-classification"},
        "anomaly-label-detected": 1, "anomaly-label-detected-metadata": {
            "class-name": verdict, "confidence": confidence, "type": "groundtruth/image-classification", **more,
        },
    })  # fmt: skip


def old_files(folder, lines, result=OLD):
    (folder / "r.json").write_text(json.dumps(result) if isinstance(result, dict) else result)
    (folder / "m.json").write_text("\n".join(lines))
    return folder / "r.json", folder / "m.json"


def test_an_old_evaluation_is_read(tmp_path):
    lines = [old_line(1, "anomaly", "anomaly", 0.984), old_line(2, "normal", "normal", 0.311), "",
             old_line(3, "normal", "Anomaly", 0.9), old_line(4, "other", "normal", 0.9)]  # fmt: skip
    evaluation = read_evaluation(*old_files(tmp_path, lines))
    assert [row.score for row in evaluation.rows] == [0.984, 0.689, 0.9]  # 0.311 is told of "normal"
    assert [row.outcome for row in evaluation.rows] == ["tp", "tn", "fp"]
    assert evaluation.threshold == pytest.approx((0.689 + 0.9) / 2)
    assert (evaluation.n, evaluation.unlabelled, evaluation.training_images) == (3, 1, 63)
    assert evaluation.created == datetime(2022, 8, 22, 21, 33, 37, 201882, tzinfo=UTC)
    cracked = evaluation.types["cracked"]
    assert (cracked.precision, cracked.recall, cracked.f1, float(cracked.aiou)) == (0.9, 0.8, 0.847, 0.7)
    assert math.isnan(cracked.image_f1)
    json.dumps(evaluation.to_dict(rows=True), allow_nan=False)


def test_verdicts_that_no_threshold_explains_are_kept(tmp_path):
    lines = [old_line(1, "anomaly", "anomaly", 0.5), old_line(2, "normal", "normal", 0.4)]
    evaluation = read_evaluation(*old_files(tmp_path, lines))
    assert math.isnan(evaluation.threshold)
    assert [row.outcome for row in evaluation.rows] == ["tp", "tn"]
    assert "threshold" not in repr(evaluation)


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (["{"], "m.json, line 1: Not JSON"),
        (['{"source-ref": "1.jpg"}'], "line 1: anomaly-label-detected-metadata needs the class-name"),
        ([old_line(1, "normal", "normal", 0.9), old_line(1, "normal", "fine", 0.9)], "line 2: .*'fine' was found"),
        ([old_line(1, "normal", "normal", 95)], "confidence from 0 to 1; 95"),
        ([old_line(1, "normal", "normal", None)], "confidence from 0 to 1; None"),
        (["[1]"], "line 1: "),
    ],
)
def test_a_bad_line_is_named(tmp_path, lines, told):
    with pytest.raises(Invalid, match=told):
        read_evaluation(*old_files(tmp_path, lines))


@pytest.mark.parametrize(
    ("result", "told"),
    [
        ("{", "is not JSON"),
        ("[]", "JSON list"),
        ({"Version": 1}, "no EvaluationResult"),
        ({"EvaluationDetails": []}, "no Eva"),
    ],
)
def test_a_bad_result_is_told(tmp_path, result, told):
    with pytest.raises(Invalid, match=told):
        read_evaluation(*old_files(tmp_path, [], result))


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(NotFound):
        read_evaluation(tmp_path / "none.json", tmp_path / "none.json")


def test_a_result_with_odd_parts_is_read_all_the_same(tmp_path):
    metrics = {"PixelAnomalyClassMetrics": [None, {"ClassName": "background"}, {"ClassName": "dent", "F1Score": None}]}
    result = {"EvaluationDetails": {"EvaluationEndTimestamp": 5}, "AggregatedEvaluationResults": {"Metrics": metrics}}
    evaluation = read_evaluation(*old_files(tmp_path, [], result))
    assert list(evaluation.types) == ["dent"]
    assert math.isnan(evaluation.types["dent"].f1)
    assert evaluation.created.year == 1970
