"""What other people's programs rely on, each point as they do it: the client in process, the jobs in the background."""

from __future__ import annotations

import base64
import io
import json
import shutil
import threading
import time
from collections.abc import Iterator

import pytest

from tests.workspace.conftest import draw, lines, part
from tests.workspace.trained import OUTPUT, source
from vision_toolkit.services.lookout.service import LookoutVision
from vision_toolkit.workspace import Workspace
from vision_toolkit.workspace.runners import thread

QUICK = {"preset": "fast", "threads": 1, "limits": False}


@pytest.fixture
def held(monkeypatch) -> Iterator[threading.Event]:
    """Hold every job until the event is set, so that what is seen before its end is no matter of luck."""
    go, run_job = threading.Event(), thread.run_job

    def held_job(workspace, job):
        go.wait(60)
        run_job(workspace, job)

    monkeypatch.setattr(thread, "run_job", held_job)
    yield go
    go.set()


@pytest.fixture
def client(held, trained_folder, tmp_path) -> Iterator[LookoutVision]:
    """Give a client whose jobs are done by threads, with two trained models: ``plain`` and ``masked``."""
    shutil.copytree(trained_folder, tmp_path / "w")
    workspace = Workspace(tmp_path / "w", run=True, **QUICK)
    yield LookoutVision(workspace)
    held.set()
    workspace.close()


def wait(ask, *passing: str) -> dict:
    """Poll, as programs do, until a status is no passing one; every answer on the way has words."""
    end = time.monotonic() + 120
    while (told := ask())["Status"] in passing:
        assert told["StatusMessage"].strip()
        assert time.monotonic() < end, told
        threading.Event().wait(0.02)
    assert told["StatusMessage"].strip()
    return told


def model(client, project="plain", version="1"):
    return client.describe_model(ProjectName=project, ModelVersion=version)["ModelDescription"]


def dataset(client, project="p", type="train"):
    return client.describe_dataset(ProjectName=project, DatasetType=type)["DatasetDescription"]


def create(client, count=3, project="p"):
    """Make a project and begin its training dataset; return CreateDataset's answer."""
    client.create_project(ProjectName=project)
    draw(client.workspace, count)
    client.workspace.buckets.write("s3://factory/p.manifest", lines(*(part(n) for n in range(count))))
    answer = client.create_dataset(ProjectName=project, DatasetType="train", DatasetSource=source("p.manifest"))
    return answer["DatasetMetadata"]


def test_a_message_is_always_there(client, held):
    made = create(client)
    assert made["Status"] == "CREATE_IN_PROGRESS" and made["StatusMessage"].strip()
    assert dataset(client)["StatusMessage"].strip()
    begun = client.create_model(ProjectName="p", OutputConfig=OUTPUT)["ModelMetadata"]
    assert begun["Status"] == "TRAINING" and begun["StatusMessage"].strip()
    assert model(client, "p")["StatusMessage"].strip()
    for each in client.list_models(ProjectName="p")["Models"]:
        assert each["StatusMessage"].strip()
    for each in client.describe_project(ProjectName="p")["ProjectDescription"]["Datasets"]:
        assert each["StatusMessage"].strip()
    held.set()
    assert wait(lambda: dataset(client), "CREATE_IN_PROGRESS")["Status"] == "CREATE_COMPLETE"
    wait(lambda: model(client, "p"), "TRAINING")


def test_a_model_may_be_asked_for_while_its_dataset_is_being_made(client, held):
    create(client)
    assert dataset(client)["Status"] == "CREATE_IN_PROGRESS"
    client.create_model(ProjectName="p", OutputConfig=OUTPUT)
    held.set()
    told = wait(lambda: model(client, "p"), "TRAINING")
    assert "cannot be used" not in told["StatusMessage"] and "no training dataset" not in told["StatusMessage"]
    assert dataset(client)["Status"] == "CREATE_COMPLETE"  # the training waited for it


def test_a_model_may_be_asked_for_while_its_dataset_is_being_updated(client, held):
    changes = lines(part(0, "anomaly"))
    client.update_dataset_entries(ProjectName="plain", DatasetType="train", Changes=changes)
    client.create_model(ProjectName="plain", OutputConfig=OUTPUT)
    assert dataset(client, "plain")["Status"] == "UPDATE_IN_PROGRESS"
    held.set()
    told = wait(lambda: model(client, "plain", "2"), "TRAINING")
    assert dataset(client, "plain")["Status"] == "UPDATE_COMPLETE"
    workspace = client.workspace
    record = workspace.models.get(workspace.projects.get("plain"), "2")
    assert told["Status"] in ("TRAINED", "TRAINING_FAILED")
    assert record.facts["datasets"]["train"][1] == 2  # it learned from the update


def test_deleting_takes_effect_at_once(client, held):
    """Nothing is done by now: what follows must not depend on it."""
    client.delete_dataset(ProjectName="plain", DatasetType="train")
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        dataset(client, "plain")
    client.create_dataset(ProjectName="plain", DatasetType="train")
    assert dataset(client, "plain")["ImageStats"]["Total"] == 0
    assert client.list_dataset_entries(ProjectName="plain", DatasetType="train")["DatasetEntries"] == []
    client.delete_dataset(ProjectName="plain", DatasetType="train")
    client.delete_model(ProjectName="plain", ModelVersion="1")
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        model(client)
    client.delete_project(ProjectName="plain")
    assert [one["ProjectName"] for one in client.list_projects()["Projects"]] == ["masked"]
    client.create_project(ProjectName="plain")
    assert client.list_models(ProjectName="plain")["Models"] == []


def test_an_update_shows_at_once_and_ends(client, held):
    """The documentation's example reads any other status, such as the old CREATE_COMPLETE, as the end."""
    answer = client.update_dataset_entries(ProjectName="plain", DatasetType="train", Changes=lines(part(0, "anomaly")))
    assert answer["Status"] == "UPDATE_IN_PROGRESS"
    assert dataset(client, "plain")["Status"] == "UPDATE_IN_PROGRESS"
    held.set()
    assert wait(lambda: dataset(client, "plain"), "UPDATE_IN_PROGRESS")["Status"] == "UPDATE_COMPLETE"
    client.update_dataset_entries(ProjectName="plain", DatasetType="train", Changes=b"{}")
    passing = ("UPDATE_IN_PROGRESS", "UPDATE_FAILED_ROLLBACK_IN_PROGRESS")
    told = wait(lambda: dataset(client, "plain"), *passing)
    assert told["Status"] == "UPDATE_FAILED_ROLLBACK_COMPLETE" and "line 1" in told["StatusMessage"]


def test_starting_and_stopping_show_at_once(client, held):
    key = {"ProjectName": "plain", "ModelVersion": "1"}
    assert client.start_model(**key, MinInferenceUnits=1)["Status"] == "STARTING_HOSTING"
    assert model(client)["Status"] == "STARTING_HOSTING"
    held.set()
    assert wait(lambda: model(client), "STARTING_HOSTING")["Status"] == "HOSTED"
    held.clear()
    assert client.stop_model(**key)["Status"] == "STOPPING_HOSTING"
    assert model(client)["Status"] == "STOPPING_HOSTING"
    held.set()
    assert wait(lambda: model(client), "STOPPING_HOSTING")["Status"] == "TRAINED"


def hosted(client, held, project):
    held.set()
    client.start_model(ProjectName=project, ModelVersion="1", MinInferenceUnits=1)
    assert wait(lambda: model(client, project), "STARTING_HOSTING")["Status"] == "HOSTED"


def test_a_classification_result_can_be_written_as_json(client, held):
    hosted(client, held, "plain")
    body = client.workspace.buckets.read("s3://factory/parts/0.png")
    answer = client.detect_anomalies(ProjectName="plain", ModelVersion="1", Body=body, ContentType="image/png")
    result = answer["DetectAnomalyResult"]
    assert "Anomalies" not in result and "AnomalyMask" not in result
    assert json.loads(json.dumps(answer))["DetectAnomalyResult"] == result


def test_a_segmentation_result_as_the_command_line_writes_it(client, held):
    hosted(client, held, "masked")
    body = client.workspace.buckets.read("s3://factory/parts/20.png")
    answer = client.detect_anomalies(ProjectName="masked", ModelVersion="1", Body=body, ContentType="image/png")
    text = json.dumps(answer["DetectAnomalyResult"], default=lambda blob: base64.b64encode(blob).decode())
    result = json.loads(text)
    assert result["Anomalies"][0]["Name"] == "background" and result["AnomalyMask"].startswith("iVBORw0KGgo")
    types = [one for one in result["Anomalies"] if one["Name"] != "background"]
    assert [one["Name"] for one in types] == ["dent"] and 0 < types[0]["PixelAnomaly"]["TotalPercentageArea"] < 1


def test_one_token_for_start_and_stop_means_two_things(client, held):
    held.set()
    key = {"ProjectName": "plain", "ModelVersion": "1", "ClientToken": "batch-7"}
    assert client.start_model(**key, MinInferenceUnits=1)["Status"] == "STARTING_HOSTING"
    wait(lambda: model(client), "STARTING_HOSTING")
    assert client.start_model(**key, MinInferenceUnits=1)["Status"] == "STARTING_HOSTING"  # the first answer again
    assert model(client)["Status"] == "HOSTED"
    assert client.stop_model(**key)["Status"] == "STOPPING_HOSTING"
    assert wait(lambda: model(client), "STOPPING_HOSTING")["Status"] == "TRAINED"
    with pytest.raises(client.exceptions.ConflictException):
        client.start_model(**key, MinInferenceUnits=2)
    other = key | {"ProjectName": "masked"}  # another resource
    assert client.start_model(**other, MinInferenceUnits=2)["Status"] == "STARTING_HOSTING"


def test_a_png_may_be_sent_as_jpeg_and_nothing_else_as_either(client, held):
    hosted(client, held, "plain")
    body = client.workspace.buckets.read("s3://factory/parts/0.png")
    key = {"ProjectName": "plain", "ModelVersion": "1"}
    for content in ("image/jpeg", "image/png"):
        for given in (body, io.BytesIO(body)):
            assert client.detect_anomalies(**key, Body=given, ContentType=content)["DetectAnomalyResult"]
    with pytest.raises(client.exceptions.ValidationException) as told:
        client.detect_anomalies(**key, Body=body, ContentType="binary/octet-stream")
    said = told.value.response["Error"]["Message"]
    assert said == "content-type must be one of the following. image/jpeg, image/png"


def test_an_evaluation_has_a_row_to_index_even_without_types(client):
    """The k-fold notebook does exactly this."""
    place = model(client)["EvaluationResult"]
    read = json.loads(client.workspace.buckets.read(f"s3://{place['Bucket']}/{place['Key']}"))
    metrics = read["AggregatedEvaluationResults"]["Metrics"]
    row = metrics["PixelAnomalyClassMetrics"][0]
    assert {"Precision", "Recall", "F1Score", "AIOU", "ClassName"} == set(row)
    assert {"ROCAUC", "AveragePrecision", "Precision", "Recall", "F1Score"} <= set(metrics)


def test_the_performance_is_told_once_trained_and_not_before(client):
    for told in (model(client), client.list_models(ProjectName="plain")["Models"][0]):
        assert all(0 <= told["Performance"][name] <= 1 for name in ("F1Score", "Recall", "Precision"))
    client.create_model(ProjectName="plain", OutputConfig=OUTPUT)
    assert "Performance" not in model(client, "plain", "2")
    assert "Performance" not in client.list_models(ProjectName="plain")["Models"][1]


def test_the_whole_flow_of_the_lab_notebook(client, held):
    """Manifest, project, datasets, model, start, detect, stop, delete: with the trained model's images."""
    held.set()
    create(client, 16)
    spots = [part(n, "anomaly" if n >= 12 else "normal") for n in range(16)]
    client.workspace.buckets.write("s3://factory/test.manifest", lines(*spots))
    client.create_dataset(ProjectName="p", DatasetType="test", DatasetSource=source("test.manifest"))
    wait(lambda: dataset(client, "p", "test"), "CREATE_IN_PROGRESS")
    version = client.create_model(ProjectName="p", OutputConfig=OUTPUT)["ModelMetadata"]["ModelVersion"]
    told = wait(lambda: model(client, "p", version), "TRAINING")
    assert told["Status"] == "TRAINED", told["StatusMessage"]
    client.start_model(ProjectName="p", ModelVersion=version, MinInferenceUnits=1)
    assert wait(lambda: model(client, "p", version), "STARTING_HOSTING")["Status"] == "HOSTED"
    body = client.workspace.buckets.read("s3://factory/parts/1.png")
    answer = client.detect_anomalies(ProjectName="p", ModelVersion=version, Body=body, ContentType="image/png")
    assert answer["DetectAnomalyResult"]["Source"] == {"Type": "direct"}
    client.stop_model(ProjectName="p", ModelVersion=version)
    assert wait(lambda: model(client, "p", version), "STOPPING_HOSTING")["Status"] == "TRAINED"
    client.delete_model(ProjectName="p", ModelVersion=version)
    for type_ in ("train", "test"):
        client.delete_dataset(ProjectName="p", DatasetType=type_)
    client.delete_project(ProjectName="p")
