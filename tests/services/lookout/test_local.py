"""The operations on a workspace, in process: what they answer, allow, forbid and say."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import platform
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator

import numpy as np
import pytest
import yaml
from PIL import Image

from tests.workspace.conftest import draw, lines, part
from tests.workspace.trained import BAD, NORMAL, OUTPUT, paint, source
from vision_toolkit.core.errors import Invalid
from vision_toolkit.core.mask import Mask
from vision_toolkit.core.prediction import Prediction, Task
from vision_toolkit.models.export import verify_package
from vision_toolkit.services.lookout import names
from vision_toolkit.services.lookout.local import result_of
from vision_toolkit.services.lookout.service import LookoutVision
from vision_toolkit.workspace import Workspace
from vision_toolkit.workspace.lifecycle import DatasetState, ModelState, PackageState
from vision_toolkit.workspace.records import rows
from vision_toolkit.workspace.records.tables import MODELS

ARN = "arn:aws:lookoutvision:us-east-1:000000000000:model"


def copied(folder, to, **changed) -> Workspace:
    """Open a copy of a workspace's folder."""
    shutil.copytree(folder, to)
    return Workspace(to, **({"run": "inline", "preset": "fast", "threads": 1} | changed))


@pytest.fixture(scope="module")
def hosted(trained_folder, tmp_path_factory) -> Iterator[LookoutVision]:
    """Give two hosted models, to ask only."""
    with copied(trained_folder, tmp_path_factory.mktemp("hosted") / "w") as workspace:
        client = LookoutVision(workspace)
        for name in ("plain", "masked"):
            client.start_model(ProjectName=name, ModelVersion="1", MinInferenceUnits=1, MaxInferenceUnits=3)
        yield client


@pytest.fixture
def client(trained_folder, tmp_path) -> Iterator[LookoutVision]:
    """Give two trained models, to do anything with."""
    with copied(trained_folder, tmp_path / "w") as workspace:
        yield LookoutVision(workspace)


@pytest.fixture
def empty(tmp_path) -> Iterator[LookoutVision]:
    """Give a project ``p`` without anything; jobs are done at once."""
    with Workspace(tmp_path / "e", run="inline", preset="fast", threads=1) as workspace:
        made = LookoutVision(workspace)
        made.create_project(ProjectName="p")
        yield made


@pytest.fixture
def idle(tmp_path) -> Iterator[LookoutVision]:
    """Give a project ``p`` with an empty training dataset, where nobody does the jobs."""
    with Workspace(tmp_path / "i", preset="fast", threads=1) as workspace:
        made = LookoutVision(workspace)
        made.create_project(ProjectName="p")
        made.create_dataset(ProjectName="p", DatasetType="train")
        yield made


def refused(client, code, call, /, **arguments):
    """Return what an error says, of a call that must be refused with this code."""
    with pytest.raises(client.exceptions.ClientError) as told:
        getattr(client, call)(**arguments)
    assert told.value.response["Error"]["Code"] == code, told.value
    return told.value.response["Error"]["Message"]


def model(client, project="p", version="1"):
    return client.describe_model(ProjectName=project, ModelVersion=version)["ModelDescription"]


def dataset(client, given, *, type="train", project="p"):
    """Make a dataset of lines, and return how it is."""
    client.workspace.buckets.write(f"s3://factory/{type}.manifest", lines(*given))
    client.create_dataset(ProjectName=project, DatasetType=type, DatasetSource=source(f"{type}.manifest"))
    return client.describe_dataset(ProjectName=project, DatasetType=type)["DatasetDescription"]


def train(client, project="p"):
    made = client.create_model(ProjectName=project, OutputConfig=OUTPUT)["ModelMetadata"]
    return model(client, project, made["ModelVersion"])


def image(client, number):
    return client.workspace.buckets.read(f"s3://factory/parts/{number}.png")


def detect(client, project, body, content="image/png", version="1"):
    answer = client.detect_anomalies(ProjectName=project, ModelVersion=version, Body=body, ContentType=content)
    return answer["DetectAnomalyResult"]


def green(name="part", **changed):
    """Return the configuration of a packaging job."""
    known = {"ComponentName": name, "S3OutputLocation": {"Bucket": "packages", "Prefix": "edge"}}
    return {"Greengrass": known | (changed or {"TargetDevice": "jetson_xavier"})}


def package(client, job="one", project="plain", **changed):
    client.start_model_packaging_job(ProjectName=project, ModelVersion="1", JobName=job, Configuration=green(**changed))
    told = client.describe_model_packaging_job(ProjectName=project, JobName=job)
    return told["ModelPackagingDescription"]


# ---------------------------------------------------------------- training


def test_a_trained_model_tells_everything_that_the_contract_names(hosted):
    told = model(hosted, "plain")
    assert told["StatusMessage"].startswith("The model is running.")
    assert told["ModelArn"] == f"{ARN}/plain/1" and told["ModelVersion"] == "1"
    assert told["Description"] == "a-first.one" and told["OutputConfig"] == OUTPUT
    assert set(told["Performance"]) == {"F1Score", "Recall", "Precision"}
    assert all(0.8 <= value <= 1 and type(value) is float for value in told["Performance"].values())
    assert told["EvaluationResult"] == {"Bucket": "results", "Key": "first/run_EvaluationResult-plain-1.json"}
    assert told["EvaluationManifest"] == {"Bucket": "results", "Key": "first/run_EvaluationManifest-plain-1.json"}
    assert told["CreationTimestamp"] <= told["EvaluationEndTimestamp"]
    assert (told["Status"], told["MinInferenceUnits"], told["MaxInferenceUnits"]) == ("HOSTED", 1, 3)
    listed = hosted.list_models(ProjectName="plain")["Models"]
    assert [(one["ModelVersion"], one["Performance"]) for one in listed] == [("1", told["Performance"])]


def test_a_key_is_kept_and_said_to_do_nothing(hosted):
    told = model(hosted, "plain")
    assert told["KmsKeyId"] == "alias/mine" and "nothing is encrypted" in told["StatusMessage"]
    assert "KmsKeyId" not in model(hosted, "masked") and "encrypted" not in model(hosted, "masked")["StatusMessage"]


@pytest.mark.parametrize(("project", "rows", "name", "good"), [("plain", 4, "background", 0), ("masked", 4, "dent", 1)])
def test_the_evaluation_files_lie_where_the_model_says(hosted, project, rows, name, good):
    told = model(hosted, project)
    read = {
        kind: hosted.workspace.buckets.read("s3://{Bucket}/{Key}".format(**told[f"Evaluation{kind}"])).decode()
        for kind in ("Result", "Manifest")
    }
    result = json.loads(read["Result"])
    metrics = result["AggregatedEvaluationResults"]["Metrics"]
    assert result["EvaluationDetails"]["ModelArn"] == told["ModelArn"]
    assert {"ROCAUC", "AveragePrecision"} <= set(metrics)
    assert {kind: metrics[kind] for kind in told["Performance"]} == told["Performance"]
    assert [one["ClassName"] for one in metrics["PixelAnomalyClassMetrics"]] == [name]
    assert (metrics["PixelAnomalyClassMetrics"][0]["AIOU"] > 0.5) == bool(good)
    judged = [json.loads(line) for line in read["Manifest"].splitlines()]
    assert len(judged) == result["EvaluationDetails"]["NumberOfTestingImages"] == rows
    given = {line["source-ref"]: line for line in map(json.loads, lines_of(hosted, project))}
    for one in judged:
        assert given[one["source-ref"]].items() <= one.items()
        assert one["anomaly-label-detected-metadata"]["model-version"] == "1"
        assert one["anomaly-label-detected"] in (0, 1)


def lines_of(client, project):
    answer = client.list_dataset_entries(ProjectName=project, DatasetType="train", MaxResults=100)
    assert "NextToken" not in answer
    return answer["DatasetEntries"]


def test_the_division_of_a_single_dataset_can_be_read(hosted):
    workspace = hosted.workspace
    record = workspace.models.get(workspace.projects.get("masked"), "1")
    parts = [
        set((workspace.folder / record.folder / "split" / f"{name}.manifest").read_text("utf-8").splitlines())
        for name in ("train", "test")
    ]
    assert parts[0] | parts[1] == set(lines_of(hosted, "masked")) and not parts[0] & parts[1]
    assert record.facts["task"] == "segmentation" and record.facts["images"] == {"train": 16, "test": 4}


@pytest.mark.parametrize(("given", "said"), [
    ([part(n) for n in range(19)] + [part(n, "anomaly") for n in range(19, 29)],
     ["The dataset has 19 normal images; at least 20 are needed.", "limits=off"]),
    ([part(n) for n in range(20)] + [part(n, "anomaly") for n in range(20, 29)] + [part(29, None)],
     ["The dataset has 9 anomaly images; at least 10 are needed."]),
    ([part(0, None)], ["The dataset has 0 normal images", "The dataset has 0 anomaly images"]),
    ([part(n) for n in range(20)] + [part(n, "anomaly", mask="dent") for n in range(20, 30)],
     ["10 images with 'dent' as the only anomaly type; at least 20 are needed."]),
])  # fmt: skip
def test_too_few_images_of_a_single_dataset_are_told_in_numbers(empty, given, said):
    draw(empty.workspace, 30, spots=frozenset(range(20, 30)))
    paint(empty.workspace, range(20, 30))
    told = dataset(empty, given)
    assert told["Status"] == "CREATE_COMPLETE", told["StatusMessage"]
    failed = train(empty)
    assert failed["Status"] == "TRAINING_FAILED" and "Performance" not in failed
    for words in said:
        assert words in failed["StatusMessage"]


def test_too_few_images_of_two_datasets_are_told_all_at_once(empty):
    draw(empty.workspace, 30)
    dataset(empty, [part(n) for n in range(9)])
    dataset(empty, [part(n) for n in range(10, 19)] + [part(n, "anomaly") for n in range(20, 29)], type="test")
    told = train(empty)["StatusMessage"]
    assert "The train dataset has 9 normal images; at least 10 are needed." in told
    assert "The test dataset has 9 normal images; at least 10 are needed." in told
    assert "The test dataset has 9 anomaly images; at least 10 are needed." in told
    assert "train dataset has 0 anomaly" not in told


def test_without_limits_nobody_counts(tmp_path):
    with Workspace(tmp_path / "w", run="inline", preset="fast", threads=1, limits=False) as workspace:
        client = LookoutVision(workspace)
        client.create_project(ProjectName="p")
        draw(workspace, 1)
        dataset(client, [part(0, None)])
        told = train(client)
        assert told["Status"] == "TRAINING_FAILED" and "are needed" not in told["StatusMessage"]


@pytest.mark.parametrize("where", ["train", "test"])
def test_all_images_of_a_project_have_one_size(empty, where):
    draw(empty.workspace, 40)
    odd = io.BytesIO()
    Image.new("RGB", (80, 64)).save(odd, "PNG")
    empty.workspace.buckets.write(f"s3://factory/parts/{3 if where == 'train' else 23}.png", odd.getvalue())
    dataset(empty, [part(n) for n in range(20)])
    dataset(empty, [part(n, "anomaly" if n > 29 else "normal") for n in range(20, 40)], type="test")
    told = train(empty)
    assert told["Status"] == "TRAINING_FAILED"
    assert "64 x 64 (39" in told["StatusMessage"] and "80 x 64 (1" in told["StatusMessage"]


def test_a_mask_in_other_colours_than_its_line_says_fails_the_training(empty):
    draw(empty.workspace, 40, spots=frozenset(BAD))
    paint(empty.workspace, BAD, colour=(1, 2, 3))
    dataset(empty, [part(n) for n in NORMAL] + [part(n, "anomaly", mask="dent") for n in BAD])
    told = train(empty)
    assert told["Status"] == "TRAINING_FAILED", told["StatusMessage"]
    assert "dent" in told["StatusMessage"] or "colour" in told["StatusMessage"]


def test_a_third_training_at_once_is_one_too_many(idle, tmp_path):
    for _ in range(2):
        assert idle.create_model(ProjectName="p", OutputConfig=OUTPUT)["ModelMetadata"]["Status"] == "TRAINING"
    said = refused(idle, "ServiceQuotaExceededException", "create_model", ProjectName="p", OutputConfig=OUTPUT)
    assert "2 trainings are open" in said
    assert [one["ModelVersion"] for one in idle.list_models(ProjectName="p")["Models"]] == ["1", "2"]
    with Workspace(tmp_path / "i", limits=False) as free:
        answer = LookoutVision(free).create_model(ProjectName="p", OutputConfig=OUTPUT)
        assert answer["ModelMetadata"]["ModelVersion"] == "3"


def test_a_quota_error_names_quota_and_service(idle):
    for _ in range(2):
        idle.create_model(ProjectName="p", OutputConfig=OUTPUT)
    with pytest.raises(idle.exceptions.ServiceQuotaExceededException) as told:
        idle.create_model(ProjectName="p", OutputConfig=OUTPUT)
    assert told.value.response["ServiceCode"] == "lookoutvision" and told.value.response["QuotaCode"]
    assert told.value.response["ResponseMetadata"]["HTTPStatusCode"] == 402


def test_no_training_dataset_no_model(empty):
    refused(empty, "ConflictException", "create_model", ProjectName="p", OutputConfig=OUTPUT)
    empty.create_dataset(ProjectName="p", DatasetType="test")
    refused(empty, "ConflictException", "create_model", ProjectName="p", OutputConfig=OUTPUT)
    dataset(empty, [part(404)])
    refused(empty, "ConflictException", "create_model", ProjectName="p", OutputConfig=OUTPUT)


def test_a_training_learns_from_what_was_there_when_it_was_asked_for(idle):
    draw(idle.workspace, 2)
    idle.create_model(ProjectName="p", OutputConfig=OUTPUT)
    changes = lines(part(0), part(1, None))
    idle.update_dataset_entries(ProjectName="p", DatasetType="train", Changes=changes)  # after it, and not done yet
    with Workspace(idle.workspace.folder, run="inline", preset="fast", threads=1) as workspace:
        told = model(LookoutVision(workspace))
    assert "The dataset has 0 normal images" in told["StatusMessage"]


def test_a_training_waits_for_the_dataset_that_is_being_made(idle):
    draw(idle.workspace, 2)
    idle.update_dataset_entries(ProjectName="p", DatasetType="train", Changes=lines(part(0), part(1, "anomaly")))
    idle.create_model(ProjectName="p", OutputConfig=OUTPUT)
    with Workspace(idle.workspace.folder, run="inline", preset="fast", threads=1) as workspace:
        told = model(LookoutVision(workspace))
    assert "The dataset has 1 normal images" in told["StatusMessage"]


def test_deleting_a_dataset_does_not_take_it_from_a_training_that_waits(idle):
    idle.create_model(ProjectName="p", OutputConfig=OUTPUT)
    idle.delete_dataset(ProjectName="p", DatasetType="train")
    idle.create_dataset(ProjectName="p", DatasetType="train", DatasetSource=source("none"))
    with Workspace(idle.workspace.folder, run="inline", preset="fast", threads=1) as workspace:
        told = model(LookoutVision(workspace))
    assert "The dataset has 0 normal images" in told["StatusMessage"]


def test_an_output_that_cannot_be_written_is_told_before_the_training(idle):
    place = {"S3Location": {"Bucket": "results", "Prefix": "a/../../b"}}
    refused(idle, "ValidationException", "create_model", ProjectName="p", OutputConfig=place)
    assert idle.list_models(ProjectName="p")["Models"] == []


def test_latest_is_the_newest_that_was_trained(client):
    client.create_project(ProjectName="p")
    client.create_dataset(ProjectName="p", DatasetType="train")
    assert train(client)["Status"] == "TRAINING_FAILED"
    refused(client, "ResourceNotFoundException", "describe_model", ProjectName="p", ModelVersion="latest")
    client.update_dataset_entries(ProjectName="plain", DatasetType="train", Changes=lines(part(0, None)))
    assert train(client, "plain")["Status"] == "TRAINING_FAILED"
    assert model(client, "plain", "latest")["ModelVersion"] == "1"
    client.delete_model(ProjectName="plain", ModelVersion="1")
    refused(client, "ResourceNotFoundException", "describe_model", ProjectName="plain", ModelVersion="latest")


# ---------------------------------------------------------------- deleting


def test_what_may_be_deleted_and_when(client):
    refused(client, "ValidationException", "delete_model", ProjectName="plain", ModelVersion="latest")
    assert "a model and a dataset" in refused(client, "ConflictException", "delete_project", ProjectName="plain")
    client.start_model(ProjectName="plain", ModelVersion="1", MinInferenceUnits=1)
    refused(client, "ConflictException", "delete_model", ProjectName="plain", ModelVersion="1")
    client.stop_model(ProjectName="plain", ModelVersion="1")
    assert model(client, "plain")["Status"] == "TRAINED"
    client.delete_model(ProjectName="plain", ModelVersion="1")
    refused(client, "ResourceNotFoundException", "describe_model", ProjectName="plain", ModelVersion="1")
    refused(client, "ResourceNotFoundException", "delete_model", ProjectName="plain", ModelVersion="1")
    refused(client, "ResourceNotFoundException", "list_tags_for_resource", ResourceArn=f"{ARN}/plain/1")
    client.delete_dataset(ProjectName="plain", DatasetType="train")
    assert client.delete_project(ProjectName="plain")["ProjectArn"].endswith(":project/plain")
    refused(client, "ResourceNotFoundException", "describe_project", ProjectName="plain")
    assert client.workspace.buckets.exists("s3://results/first/run_EvaluationResult-plain-1.json")
    assert client.workspace.buckets.exists("s3://factory/parts/0.png")
    client.create_project(ProjectName="plain")
    assert client.list_models(ProjectName="plain")["Models"] == []


def test_a_model_in_training_is_not_deleted(idle):
    idle.create_model(ProjectName="p", OutputConfig=OUTPUT)
    refused(idle, "ConflictException", "delete_model", ProjectName="p", ModelVersion="1")
    refused(idle, "ConflictException", "start_model", ProjectName="p", ModelVersion="1", MinInferenceUnits=1)


def test_a_version_is_never_given_twice(client):
    client.delete_model(ProjectName="plain", ModelVersion="1")
    client.update_dataset_entries(ProjectName="plain", DatasetType="train", Changes=lines(part(0, None)))
    assert train(client, "plain")["ModelVersion"] == "2"


# ---------------------------------------------------------------- tags


def test_tags_of_a_model(client):
    arn = f"{ARN}/plain/1"

    def tags():
        return {one["Key"]: one["Value"] for one in client.list_tags_for_resource(ResourceArn=arn)["Tags"]}

    assert tags() == {"line": "7"}
    client.tag_resource(ResourceArn=arn, Tags=[{"Key": "line", "Value": "8"}, {"Key": "größe", "Value": ""}])
    assert tags() == {"line": "8", "größe": ""}
    twice = [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]
    refused(client, "ValidationException", "tag_resource", ResourceArn=arn, Tags=twice)
    many = [{"Key": f"t{n}", "Value": "x"} for n in range(49)]
    refused(client, "ServiceQuotaExceededException", "tag_resource", ResourceArn=arn, Tags=many)
    assert len(tags()) == 2
    client.tag_resource(ResourceArn=arn, Tags=many[:48])
    assert len(tags()) == 50
    client.untag_resource(ResourceArn=arn, TagKeys=["line", "never"])
    assert len(tags()) == 49


@pytest.mark.parametrize("arn", [
    "arn:aws:lookoutvision:us-east-1:000000000000:project/plain", f"{ARN}/plain/9", f"{ARN}/none/1",
    f"{ARN}/plain/latest", ARN.replace("east", "west") + "/plain/1", "nothing", f"{ARN}/plain/01", f"{ARN}/plain/²",
])  # fmt: skip
def test_nothing_but_a_model_of_here_has_tags(hosted, arn):
    refused(hosted, "ResourceNotFoundException", "list_tags_for_resource", ResourceArn=arn)


# ---------------------------------------------------------------- hosting


def test_starting_and_stopping(client):
    key = {"ProjectName": "plain", "ModelVersion": "1"}
    refused(client, "ConflictException", "stop_model", **key)
    refused(client, "ConflictException", "detect_anomalies", **key, Body=image(client, 0), ContentType="image/png")
    said = refused(client, "ValidationException", "start_model", **key, MinInferenceUnits=3, MaxInferenceUnits=2)
    assert "(2)" in said and "(3)" in said
    assert client.start_model(**key, MinInferenceUnits=2)["Status"] == "STARTING_HOSTING"
    told = model(client, "plain")
    assert (told["Status"], told["MinInferenceUnits"]) == ("HOSTED", 2) and "MaxInferenceUnits" not in told
    refused(client, "ConflictException", "start_model", **key, MinInferenceUnits=1)
    assert client.stop_model(**key)["Status"] == "STOPPING_HOSTING"
    told = model(client, "plain")
    assert told["Status"] == "TRAINED" and told["StatusMessage"] and "MinInferenceUnits" not in told
    refused(client, "ConflictException", "detect_anomalies", **key, Body=image(client, 0), ContentType="image/png")


def test_a_model_whose_files_are_gone_is_not_hosted_and_can_be_stopped(client):
    key = {"ProjectName": "plain", "ModelVersion": "1"}
    record = client.workspace.models.get(client.workspace.projects.get("plain"), "1")
    shutil.move(client.workspace.folder / record.folder / "model", client.workspace.folder / "away")
    client.start_model(**key, MinInferenceUnits=1)
    assert model(client, "plain")["Status"] == "HOSTING_FAILED" and model(client, "plain")["StatusMessage"]
    shutil.move(client.workspace.folder / "away", client.workspace.folder / record.folder / "model")
    client.start_model(**key, MinInferenceUnits=1)
    assert model(client, "plain")["Status"] == "HOSTED"


def test_hosted_is_a_wish_that_outlives_the_process(client):
    client.start_model(ProjectName="plain", ModelVersion="1", MinInferenceUnits=1)
    folder, body = client.workspace.folder, image(client, 0)
    client.workspace.close()
    with Workspace(folder, threads=1) as again:
        assert detect(LookoutVision(again), "plain", body)["IsAnomalous"] is False


# ---------------------------------------------------------------- detection


@pytest.mark.parametrize("project", ["plain", "masked"])
@pytest.mark.parametrize("number", [0, 11, BAD[0], BAD[9]])
def test_the_confidence_is_the_score_of_an_anomaly_and_its_rest_of_a_normal_image(hosted, project, number):
    answer = detect(hosted, project, image(hosted, number))
    workspace = hosted.workspace
    record = workspace.models.get(workspace.projects.get(project), "1")
    loaded = workspace.hosts.load(record)
    seen = loaded.predict(image(hosted, number))
    assert answer["Source"] == {"Type": "direct"} and type(answer["IsAnomalous"]) is bool
    assert answer["IsAnomalous"] is (round(seen.score, 4) >= round(seen.threshold, 4))
    assert answer["IsAnomalous"] is (number in BAD)
    assert answer["Confidence"] == pytest.approx(seen.score if answer["IsAnomalous"] else 1 - seen.score, abs=1e-6)
    assert type(answer["Confidence"]) is float and 0 <= answer["Confidence"] <= 1


def test_a_classification_model_says_nothing_of_types(hosted):
    assert set(detect(hosted, "plain", image(hosted, BAD[0]))) == {"Source", "IsAnomalous", "Confidence"}


def test_a_segmentation_model_tells_areas_and_a_mask_of_the_images_size(hosted):
    answer = detect(hosted, "masked", image(hosted, BAD[1]))
    rows = [(one["Name"], one["PixelAnomaly"]["Color"]) for one in answer["Anomalies"]]
    assert rows == [("background", "#FFFFFF"), ("dent", "#23A436")]
    areas = [one["PixelAnomaly"]["TotalPercentageArea"] for one in answer["Anomalies"]]
    assert sum(areas) == pytest.approx(1) and all(type(area) is float for area in areas)
    assert answer["AnomalyMask"][:8] == b"\x89PNG\r\n\x1a\n"
    mask = Image.open(io.BytesIO(answer["AnomalyMask"]))
    pixels = np.asarray(mask.convert("RGB"))
    assert mask.size == (64, 64)
    assert (pixels == (0x23, 0xA4, 0x36)).all(axis=2).mean() == pytest.approx(areas[1])
    assert (pixels == 255).all(axis=2).mean() == pytest.approx(areas[0])
    assert areas[1] == pytest.approx(14 * 14 / 64**2, rel=0.3)


def test_a_normal_image_has_a_row_of_background_and_a_mask(hosted):
    answer = detect(hosted, "masked", image(hosted, 5))
    assert answer["Anomalies"] == [
        {"Name": "background", "PixelAnomaly": {"TotalPercentageArea": 1.0, "Color": "#FFFFFF"}}
    ]
    assert np.asarray(Image.open(io.BytesIO(answer["AnomalyMask"])).convert("RGB")).min() == 255


def test_what_can_be_judged(hosted):
    pixels = Image.open(io.BytesIO(image(hosted, 0)))
    jpeg, gif, wide, grey = io.BytesIO(), io.BytesIO(), io.BytesIO(), io.BytesIO()
    pixels.save(jpeg, "JPEG", quality=95)
    pixels.save(gif, "GIF")
    pixels.resize((128, 64)).save(wide, "PNG")
    pixels.convert("L").save(grey, "PNG")
    png = image(hosted, 0)
    several = io.BytesIO()  # as some phones write
    pixels.save(several, "MPO", save_all=True, append_images=[pixels])
    kinds = ["image/jpeg", "image/png", "image/jpeg", "image/png", "IMAGE/PNG; x=y", "image/png", "image/png"]
    bodies = [several.getvalue(), png, png, jpeg.getvalue(), png, grey.getvalue(), io.BytesIO(png)]
    for body, content in zip(bodies, kinds, strict=True):
        assert "IsAnomalous" in detect(hosted, "plain", body, content)
    key = {"ProjectName": "plain", "ModelVersion": "latest"}
    for content in ("image/gif", "application/octet-stream", "image"):
        said = refused(hosted, "ValidationException", "detect_anomalies", **key, Body=png, ContentType=content)
        assert said == "content-type must be one of the following. image/jpeg, image/png"
    for body, words in ((gif.getvalue(), "GIF"), (b"nothing", ""), (b"", ""), (png[:200], ""),
                        (wide.getvalue(), "128 x 64"), (png + bytes(8_000_000), "8,000,000")):  # fmt: skip
        said = refused(hosted, "ValidationException", "detect_anomalies", **key, Body=body, ContentType="image/png")
        assert words in said


def test_a_mask_that_is_too_large_for_an_answer_says_the_limit():
    ids = np.random.default_rng(0).integers(0, 100, (3000, 3000)).astype(np.uint8)
    types = ("background", *(f"t{n}" for n in range(1, 100)))
    mask = Mask(ids, types, ("#ffffff", *(f"#0000{n:02x}" for n in range(1, 100))))
    seen = Prediction(Task.SEGMENTATION, score=0.9, threshold=0.5, mask=mask)
    with pytest.raises(Invalid, match="at most 5,242,880"):
        result_of(seen)


@pytest.mark.parametrize("changed", [
    {"Description": "with spaces"}, {"Description": ""}, {"KmsKeyId": "-x"}, {"Tags": [{"Key": "", "Value": "x"}]},
    {"OutputConfig": {"S3Location": {"Bucket": "results", "Prefix": "/x"}}}, {"Other": 1},
    {"Tags": [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]},
])  # fmt: skip
def test_a_model_is_not_made_of_what_the_contract_forbids(idle, changed):
    given = {"ProjectName": "p", "OutputConfig": OUTPUT} | changed
    assert refused(idle, "ValidationException", "create_model", **given)
    assert idle.list_models(ProjectName="p")["Models"] == []


def test_a_page_goes_on_after_an_update(empty):
    draw(empty.workspace, 5)
    dataset(empty, [part(n) for n in range(4)])
    key = {"ProjectName": "p", "DatasetType": "train"}
    first = empty.list_dataset_entries(**key, MaxResults=2)
    empty.update_dataset_entries(**key, Changes=lines(part(0, "anomaly"), part(3, None), part(4)))
    rest = empty.list_dataset_entries(**key, NextToken=first["NextToken"])
    assert [json.loads(line)["source-ref"][-5] for line in rest["DatasetEntries"]] == ["2", "3", "4"]


def test_without_limits_any_size_is_judged(client, tmp_path):
    client.start_model(ProjectName="masked", ModelVersion="1", MinInferenceUnits=1)
    wide = io.BytesIO()
    Image.open(io.BytesIO(image(client, 0))).resize((128, 96)).save(wide, "PNG")
    with Workspace(client.workspace.folder, threads=1, limits=False) as free:
        answer = detect(LookoutVision(free), "masked", wide.getvalue())
    assert Image.open(io.BytesIO(answer["AnomalyMask"])).size == (128, 96)


# ---------------------------------------------------------------- packaging


def test_a_package_is_made_and_told(client):
    client.start_model_packaging_job(
        ProjectName="plain", ModelVersion="latest", JobName="arm", Description="for line 7",
        Configuration=green(TargetPlatform={"Os": "LINUX", "Arch": "ARM64"}, ComponentDescription="parts, plain"),
    )  # fmt: skip
    told = client.describe_model_packaging_job(ProjectName="plain", JobName="arm")["ModelPackagingDescription"]
    assert told["Status"] == "SUCCEEDED", told["StatusMessage"]
    assert told["StatusMessage"] and told["ModelPackagingMethod"] == "Greengrass" and told["ModelVersion"] == "1"
    assert told["ModelPackagingJobDescription"] == "for line 7"
    assert told["ModelPackagingConfiguration"]["Greengrass"]["TargetPlatform"] == {"Os": "LINUX", "Arch": "ARM64"}
    details = told["ModelPackagingOutputDetails"]["Greengrass"]
    assert (details["ComponentName"], details["ComponentVersion"]) == ("part", "1.0.0")
    assert details["ComponentVersionArn"].endswith(":components:part:versions:1.0.0")
    assert set(details) == {"ComponentName", "ComponentVersion", "ComponentVersionArn"}
    assert list(client.workspace.buckets.keys("s3://packages/")) == ["edge/part-1.0.0.zip"]
    listed = client.list_model_packaging_jobs(ProjectName="plain")["ModelPackagingJobs"]
    assert [(one["JobName"], one["Status"], bool(one["StatusMessage"])) for one in listed] == [
        ("arm", "SUCCEEDED", True)
    ]
    assert "ModelPackagingConfiguration" not in listed[0]
    # the component is there now
    again = {"ProjectName": "plain", "ModelVersion": "1"}
    said = refused(client, "ConflictException", "start_model_packaging_job", **again, Configuration=green())
    assert "part:1.0.0" in said
    other = green(ComponentVersion="1.0.1", TargetDevice="jetson_xavier")
    refused(client, "ConflictException", "start_model_packaging_job", **again, JobName="arm", Configuration=other)
    made = client.start_model_packaging_job(**again, Configuration=other)["JobName"]
    assert 1 <= len(made) <= 64
    told = client.describe_model_packaging_job(ProjectName="plain", JobName=made)["ModelPackagingDescription"]
    assert told["Status"] == "SUCCEEDED"


def unpacked(client, folder, key="edge/part-1.0.0.zip"):
    """Return the folder of a package that was made, unpacked elsewhere."""
    with zipfile.ZipFile(io.BytesIO(client.workspace.buckets.read(f"s3://packages/{key}"))) as archive:
        assert archive.testzip() is None
        archive.extractall(folder)
    return folder


def test_a_component_answers_elsewhere_as_the_hosted_model_does(client, tmp_path):
    target = {"Os": "LINUX", "Arch": "X86_64"}
    told = package(client, project="masked", TargetPlatform=target, ComponentVersion="2.1.0",
                   ComponentDescription="parts", Tags=[{"Key": "line", "Value": "7"}])  # fmt: skip
    assert told["Status"] == "SUCCEEDED", told["StatusMessage"]
    host = f"{platform.system()} {platform.machine()}"
    assert host in told["StatusMessage"] and "verdicts equal" in told["StatusMessage"]
    folder = unpacked(client, tmp_path / "elsewhere", "edge/part-2.1.0.zip")
    recipe = yaml.safe_load((folder / "recipe.yaml").read_text("utf-8"))
    assert (recipe["ComponentName"], recipe["ComponentVersion"], recipe["ComponentDescription"]) == (
        "part", "2.1.0", "parts",
    )  # fmt: skip
    assert recipe["ComponentConfiguration"]["DefaultConfiguration"]["Tags"] == {"line": "7"}
    (manifest,) = recipe["Manifests"]
    assert manifest["Platform"] == {"os": "linux", "architecture": "amd64"}
    assert manifest["Artifacts"][0]["URI"] == "s3://packages/edge/part-2.1.0.zip"
    facts = json.loads((folder / "package.json").read_text("utf-8"))
    assert (facts["component"]["name"], facts["component"]["version"]) == ("part", "2.1.0")
    assert facts["parity"]["verdicts_equal"] == facts["parity"]["images"] > 0
    assert verify_package(folder, replay=True).parity.score_difference == 0
    client.start_model(ProjectName="masked", ModelVersion="1", MinInferenceUnits=1)
    for number in (3, 25):
        path = client.workspace.buckets.place(f"s3://factory/parts/{number}.png")
        done = subprocess.run([sys.executable, folder, "predict", path], capture_output=True, text=True, check=True)
        said, known = json.loads(done.stdout), detect(client, "masked", image(client, number))
        assert (said["is_anomalous"], said["confidence"]) == (known["IsAnomalous"], known["Confidence"])


@pytest.mark.parametrize(("target", "architecture", "needs"), [
    ({"TargetDevice": "jetson_xavier"}, "aarch64", "onnxruntime-gpu"),
    ({"TargetPlatform": {"Os": "LINUX", "Arch": "ARM64"}}, "aarch64", "onnxruntime"),
    ({"TargetPlatform": {"Os": "LINUX", "Arch": "X86_64", "Accelerator": "NVIDIA"},
      "CompilerOptions": '{"gpu-code": "sm_75", "trt-ver": "8.2.0", "cuda-ver": "11.2"}'}, "amd64", "onnxruntime-gpu"),
])  # fmt: skip
def test_a_recipe_is_for_the_platform_that_was_named(client, tmp_path, target, architecture, needs):
    told = package(client, **target)
    assert told["Status"] == "SUCCEEDED" and "a device checks them again" in told["StatusMessage"]
    folder = unpacked(client, tmp_path / "p")
    recipe = yaml.safe_load((folder / "recipe.yaml").read_text("utf-8"))
    assert [one["Platform"]["architecture"] for one in recipe["Manifests"]] == [architecture]
    wanted = folder / recipe["ComponentConfiguration"]["DefaultConfiguration"]["Requirements"]
    assert [line.partition("==")[0] for line in wanted.read_text("utf-8").split()] == ["numpy", needs, "pillow"]


@contextlib.contextmanager
def a_full_disk(client, monkeypatch):
    """Let the bucket of packages lie on a disk of 64 kB; where none may be made, let writing say what one says."""
    place, disk = client.workspace.folder / "buckets" / "s3" / "packages", client.workspace.folder / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk]
    if os.geteuid() == 0 and shutil.which("mount") and not subprocess.run(mount, check=False).returncode:
        place.symlink_to(disk)
        try:
            yield lambda: subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
        finally:
            subprocess.run(["umount", disk], check=True)
        return

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("vision_toolkit.workspace.folder_store.shutil.copyfileobj", full)
    yield monkeypatch.undo


def test_a_full_disk_fails_the_job_leaves_nothing_and_keeps_nothing_taken(client, monkeypatch):
    with a_full_disk(client, monkeypatch) as make_room:
        told = package(client, "full")
        assert told["Status"] == "FAILED" and "No space left" in told["StatusMessage"]
        assert "edge/part-1.0.0.zip" in told["StatusMessage"]
        kept = client.workspace.buckets
        assert not kept.exists("s3://packages/edge/part-1.0.0.zip")
        make_room()
        assert package(client, "again")["Status"] == "SUCCEEDED"
        assert list(kept.keys("s3://packages/")) == ["edge/part-1.0.0.zip"]


@pytest.mark.parametrize(("changed", "said"), [
    ({"ComponentVersion": "1.0.0"}, "either"),
    ({"TargetDevice": "jetson_xavier", "TargetPlatform": {"Os": "LINUX", "Arch": "ARM64"}}, "either"),
    ({"TargetDevice": "jetson_xavier", "CompilerOptions": "{}x"}, "TargetPlatform"),
    ({"TargetPlatform": {"Os": "LINUX", "Arch": "X86_64"}, "CompilerOptions": "not json"}, "JSON"),
    ({"TargetPlatform": {"Os": "LINUX", "Arch": "X86_64"}, "CompilerOptions": "[1]"}, "object"),
    ({"TargetPlatform": {"Os": "LINUX", "Arch": "ARM64", "Accelerator": "NVIDIA"}}, "gpu-code, trt-ver, cuda-ver"),
    ({"TargetPlatform": {"Os": "LINUX", "Arch": "ARM64", "Accelerator": "NVIDIA"},
      "CompilerOptions": '{"gpu-code": "sm_75", "cuda-ver": "10.2"}'}, "trt-ver"),
    ({"TargetDevice": "jetson_nano"}, "jetson_xavier"),
    ({"TargetPlatform": {"Os": "LINUX"}}, "arch"),
    ({"TargetDevice": "jetson_xavier", "ComponentVersion": "1.0"}, "componentVersion"),
    ({"TargetDevice": "jetson_xavier", "Tags": [{"Key": "a", "Value": "1"}] * 2}, "'a' is given twice"),
    ({"TargetDevice": "jetson_xavier", "Tags": [{"Key": f"{n:0128}", "Value": "x" * 256} for n in range(60)]},
     "fewer tags"),
])  # fmt: skip
def test_targets_that_do_not_go_together(hosted, changed, said):
    key = {"ProjectName": "plain", "ModelVersion": "1", "Configuration": green(**changed)}
    assert said in refused(hosted, "ValidationException", "start_model_packaging_job", **key)
    assert hosted.list_model_packaging_jobs(ProjectName="plain")["ModelPackagingJobs"] == []


def test_a_failed_package_frees_its_component_and_says_why(client):
    workspace = client.workspace
    record = workspace.models.get(workspace.projects.get("plain"), "1")
    away = workspace.folder / "away"
    shutil.move(workspace.folder / record.folder / "model", away)
    told = package(client, "bad")
    assert told["Status"] == "FAILED" and told["StatusMessage"] and "ModelPackagingOutputDetails" not in told
    shutil.move(away, workspace.folder / record.folder / "model")
    assert package(client, "good")["Status"] == "SUCCEEDED"
    states = [one["Status"] for one in client.list_model_packaging_jobs(ProjectName="plain")["ModelPackagingJobs"]]
    assert states == ["FAILED", "SUCCEEDED"]


def test_only_a_trained_model_is_packaged_and_it_stays_until_it_is(client):
    folder = client.workspace.folder
    client.workspace.close()
    with Workspace(folder) as nobody:
        idle = LookoutVision(nobody)
        idle.start_model_packaging_job(ProjectName="plain", ModelVersion="1", JobName="one", Configuration=green())
        told = idle.describe_model_packaging_job(ProjectName="plain", JobName="one")["ModelPackagingDescription"]
        assert (told["Status"], bool(told["StatusMessage"])) == ("CREATED", True)
        refused(idle, "ConflictException", "delete_model", ProjectName="plain", ModelVersion="1")
        idle.create_model(ProjectName="plain", OutputConfig=OUTPUT)
        key = {"ProjectName": "plain", "ModelVersion": "2", "Configuration": green("other")}
        refused(idle, "ConflictException", "start_model_packaging_job", **key)
        refused(idle, "ResourceNotFoundException", "describe_model_packaging_job", ProjectName="plain", JobName="two")


# ---------------------------------------------------------------- datasets


def test_a_version_of_an_object_is_not_known_here(empty):
    place = {"GroundTruthManifest": {"S3Object": {"Bucket": "factory", "Key": "m", "VersionId": "7"}}}
    said = refused(
        empty, "ValidationException", "create_dataset", ProjectName="p", DatasetType="train", DatasetSource=place
    )
    assert "VersionId" in said
    refused(empty, "ResourceNotFoundException", "describe_dataset", ProjectName="p", DatasetType="train")


@pytest.mark.parametrize(("size", "format", "said"), [
    ((63, 64), "PNG", "63x64"), ((64, 4097), "PNG", "64x4097"), ((64, 64), "GIF", "GIF"), ((64, 64), "BMP", "BMP"),
])  # fmt: skip
def test_images_that_the_service_did_not_take(empty, size, format, said):
    data = io.BytesIO()
    Image.new("RGB", size).save(data, format)
    empty.workspace.buckets.write("s3://factory/parts/0.png", data.getvalue())
    told = dataset(empty, [part(0)])
    assert told["Status"] == "CREATE_FAILED" and said in told["StatusMessage"]


def test_a_file_of_more_than_eight_million_bytes_is_not_taken(empty):
    data = io.BytesIO()
    Image.new("RGB", (64, 64)).save(data, "PNG")
    empty.workspace.buckets.write("s3://factory/parts/0.png", data.getvalue() + bytes(8_000_000))
    told = dataset(empty, [part(0)])
    assert told["Status"] == "CREATE_FAILED" and "8" in told["StatusMessage"]


def test_both_filters_together_and_unlabelled_lines(empty):
    draw(empty.workspace, 5)
    told = dataset(empty, [part(0), part(1, "anomaly"), part(2, None), part(3), part(4, None)])
    assert told["ImageStats"] == {"Total": 5, "Labeled": 3, "Normal": 2, "Anomaly": 1}

    def listed(**which):
        answer = empty.list_dataset_entries(ProjectName="p", DatasetType="train", **which)
        return "".join(json.loads(line)["source-ref"][-5] for line in answer["DatasetEntries"])

    assert listed() == "01234" and listed(Labeled=True) == "013" and listed(Labeled=False) == "24"
    assert listed(Labeled=False, AnomalyClass="normal") == "" and listed(Labeled=True, AnomalyClass="anomaly") == "1"
    assert listed(AnomalyClass="normal", SourceRefContains="s/3") == "3"


def test_test_before_train_and_one_of_each(empty):
    for kind in ("test", "train"):
        made = empty.create_dataset(ProjectName="p", DatasetType=kind)["DatasetMetadata"]
        assert (made["Status"], bool(made["StatusMessage"])) == ("CREATE_COMPLETE", True)
        refused(empty, "ConflictException", "create_dataset", ProjectName="p", DatasetType=kind)
    told = empty.describe_project(ProjectName="p")["ProjectDescription"]["Datasets"]
    assert [(one["DatasetType"], bool(one["StatusMessage"])) for one in told] == [("train", True), ("test", True)]
    assert empty.describe_dataset(ProjectName="p", DatasetType="test")["DatasetDescription"]["ImageStats"]["Total"] == 0


# ---------------------------------------------------------------- pages


GARBAGE = ["AAAA", "x", "====", "cHJvamVjdHM6eA==", "cHJvamVjdHM6OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5", "bW9kZWxzOjE="]


@pytest.mark.parametrize("token", GARBAGE)
@pytest.mark.parametrize("call", ["list_projects", "list_models", "list_dataset_entries", "list_model_packaging_jobs"])
def test_a_token_that_no_list_gave_is_refused(hosted, call, token):
    given = {} if call == "list_projects" else {"ProjectName": "plain"}
    given |= {"DatasetType": "train"} if call == "list_dataset_entries" else {}
    assert "NextToken" in refused(hosted, "ValidationException", call, **given, NextToken=token)


def test_a_number_that_no_list_has_is_refused_too(hosted):
    import base64

    for number in ("-1", "1_0", " 1", "９", str(2**63), "9" * 400, "1.0", ""):
        real = hosted.list_projects(MaxResults=1)["NextToken"]
        kind = base64.b64decode(real).decode().rpartition(":")[0]
        forged = base64.b64encode(f"{kind}:{number}".encode()).decode()
        refused(hosted, "ValidationException", "list_projects", NextToken=forged)


def test_a_token_belongs_to_its_list(hosted):
    entries = {"ProjectName": "plain", "DatasetType": "train", "MaxResults": 1}
    token = hosted.list_dataset_entries(**entries)["NextToken"]
    assert hosted.list_dataset_entries(**entries | {"MaxResults": 7}, NextToken=token)["DatasetEntries"]
    refused(
        hosted, "ValidationException", "list_dataset_entries", **entries | {"ProjectName": "masked"}, NextToken=token
    )
    refused(hosted, "ValidationException", "list_models", ProjectName="plain", NextToken=token)
    refused(hosted, "ValidationException", "list_projects", NextToken=token)
    projects = hosted.list_projects(MaxResults=1)["NextToken"]
    assert [one["ProjectName"] for one in hosted.list_projects(NextToken=projects)["Projects"]] == ["masked"]
    refused(hosted, "ValidationException", "list_models", ProjectName="plain", NextToken=projects)


# ---------------------------------------------------------------- names


def test_every_state_has_a_name_of_the_contract():
    assert set(names.DATASET) == set(DatasetState) and set(names.MODEL) == set(ModelState)
    assert set(names.PACKAGE) == set(PackageState)


def test_the_moment_of_every_state_has_a_message(client):
    """Whatever a model went through, its message says something."""
    with client.workspace.records.look() as connection:
        every = connection.execute(rows.by(MODELS)).all()
    assert all(row.message.strip() for row in every)
