"""What the service never had: waiting, the split, removing images, trials; on one trained model."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.workspace.conftest import draw, lines, part
from vision_toolkit.core.errors import Conflict, Failed, Invalid, NotFound
from vision_toolkit.services.lookout import LookoutVision
from vision_toolkit.workspace import Workspace

SPOTS = frozenset(range(24, 36))
WHERE = {"ProjectName": "parts", "ModelVersion": "1"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Give the folder of a workspace with one trained model, and two images that nobody has labelled."""
    folder = tmp_path_factory.mktemp("trained") / "w"
    with Workspace(folder, run="inline", preset="fast", threads=1) as workspace:
        client = LookoutVision(workspace)
        draw(workspace, 40, spots=SPOTS | {38, 39})
        for number in range(36, 40):
            data = workspace.buckets.read(f"s3://factory/parts/{number}.png")
            workspace.buckets.write(f"s3://factory/new/{number}.png", data)
        workspace.buckets.write("s3://factory/new/notes.txt", b"no image")
        workspace.buckets.write("s3://factory/new/broken.png", b"no image either")
        given = [part(number, "anomaly" if number in SPOTS else "normal") for number in range(36)]
        workspace.buckets.write("s3://factory/train.manifest", lines(*given))
        client.create_project(ProjectName="parts")
        place = {"GroundTruthManifest": {"S3Object": {"Bucket": "factory", "Key": "train.manifest"}}}
        client.create_dataset(ProjectName="parts", DatasetType="train", DatasetSource=place)
        client.create_model(ProjectName="parts", OutputConfig={"S3Location": {"Bucket": "factory"}})
    return folder


@pytest.fixture
def client(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "w")
    made = LookoutVision(Workspace(tmp_path / "w", run="inline", preset="fast", threads=1))
    yield made
    made.close()


def test_waiting_for_what_is_there_comes_back_with_its_description(client):
    assert client.wait_until_trained(**WHERE)["Performance"]["F1Score"] >= 0.8
    assert client.wait_until_created(ProjectName="parts", DatasetType="train")["ImageStats"]["Total"] == 36
    assert client.get_waiter("model_trained").wait(**WHERE) is None
    client.start_model(**WHERE, MinInferenceUnits=1)
    assert client.wait_until_hosted(**WHERE)["MinInferenceUnits"] == 1
    client.stop_model(**WHERE)
    assert "MinInferenceUnits" not in client.wait_until_stopped(**WHERE)


def test_a_state_that_cannot_become_it_ends_the_waiting_with_its_reason(client):
    with pytest.raises(Failed, match="model_hosted cannot come: the status is TRAINED"):
        client.wait_until_hosted(**WHERE)
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.wait_until_trained(ProjectName="parts", ModelVersion="7")
    with pytest.raises(ValueError, match=r"Waiter does not exist: model_sold; there are: dataset_created"):
        client.get_waiter("model_sold")


def test_waiting_ends_when_told_to(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "w")
    with Workspace(tmp_path / "w") as idle:  # nobody does its jobs
        client = LookoutVision(idle)
        client.start_model(**WHERE, MinInferenceUnits=1)
        with pytest.raises(Failed, match="did not come in 0 s; the status is STARTING_HOSTING"):
            client.wait_until_hosted(**WHERE, timeout=0.1)
        with pytest.raises(Failed, match="did not come"):
            client.get_waiter("model_hosted").wait(**WHERE, WaiterConfig={"Delay": 0, "MaxAttempts": 2})


def test_the_split_is_told_and_holds_every_labelled_image_once(client):
    told = client.describe_split(**WHERE)["SplitDescription"]
    assert told["Source"] == "AUTOMATIC"
    both = [json.loads(line)["source-ref"] for line in told["TrainEntries"] + told["TestEntries"]]
    assert sorted(both) == sorted(f"s3://factory/parts/{number}.png" for number in range(36))


def test_removed_images_are_gone_and_the_rest_keeps_its_order(client):
    gone = ["s3://factory/parts/0.png", "s3://factory/parts/30.png"]
    answer = client.remove_dataset_entries(ProjectName="parts", DatasetType="train", SourceRefs=gone)
    assert answer == {"Status": "UPDATE_COMPLETE"}
    told = client.describe_dataset(ProjectName="parts", DatasetType="train")["DatasetDescription"]
    assert told["ImageStats"] == {"Total": 34, "Labeled": 34, "Normal": 23, "Anomaly": 11}
    assert told["Status"] == "UPDATE_COMPLETE"
    pages = client.get_paginator("list_dataset_entries").paginate(ProjectName="parts", DatasetType="train")
    left = [json.loads(line)["source-ref"] for page in pages for line in page["DatasetEntries"]]
    assert left == [f"s3://factory/parts/{n}.png" for n in range(36) if n not in (0, 30)]
    with pytest.raises(NotFound, match=r"0\.png is not in the dataset"):
        client.remove_dataset_entries(
            ProjectName="parts", DatasetType="train", SourceRefs=["s3://factory/parts/1.png", gone[0]]
        )
    assert (
        client.describe_dataset(ProjectName="parts", DatasetType="train")["DatasetDescription"]["ImageStats"]
        == told["ImageStats"]
    )
    with pytest.raises(Invalid, match="a list of images"):
        client.remove_dataset_entries(ProjectName="parts", DatasetType="train", SourceRefs=gone[0])


def test_what_a_trial_says_is_verified_and_learned_from(client):
    place = {"Bucket": "factory", "Prefix": "new/"}
    client.start_trial_detection(**WHERE, TrialName="monday", S3Location=place)
    told = client.describe_trial_detection(ProjectName="parts", TrialName="monday")["TrialDetection"]
    assert (told["Status"], told["ImageStats"]["Total"]) == ("COMPLETED", 5)
    results = {
        one["SourceRef"].rpartition("/")[2]: one
        for one in client.list_trial_results(ProjectName="parts", TrialName="monday")["TrialResults"]
    }
    assert sorted(results) == ["36.png", "37.png", "38.png", "39.png", "broken.png"]
    assert "Error" in results["broken.png"] and results["38.png"]["IsAnomalous"]
    with pytest.raises(Conflict, match="'monday' already"):
        client.start_trial_detection(**WHERE, TrialName="monday", S3Location=place)
    verdicts = [
        {"SourceRef": "s3://factory/new/38.png", "Correct": True},
        {"SourceRef": "s3://factory/new/36.png", "Label": "anomaly"},
    ]
    client.verify_trial_results(ProjectName="parts", TrialName="monday", Verifications=verdicts)
    found = client.list_dataset_entries(ProjectName="parts", DatasetType="train", SourceRefContains="/new/")
    said = {json.loads(line)["source-ref"]: json.loads(line)["anomaly-label-metadata"]["class-name"]
            for line in found["DatasetEntries"]}  # fmt: skip
    assert said == {"s3://factory/new/38.png": "anomaly", "s3://factory/new/36.png": "anomaly"}
    listed = client.list_trial_detections(ProjectName="parts")["TrialDetections"]
    assert [one["ImageStats"]["Verified"] for one in listed] == [2]
    client.delete_trial_detection(ProjectName="parts", TrialName="monday")
    assert client.list_trial_detections(ProjectName="parts")["TrialDetections"] == []
    assert client.describe_dataset(ProjectName="parts", DatasetType="train")["DatasetDescription"]["ImageStats"][
        "Total"
    ] == 38  # fmt: skip


@pytest.mark.parametrize("wrong", [
    {"SourceRef": "s3://factory/new/36.png"},
    {"SourceRef": "s3://factory/new/36.png", "Correct": True, "Label": "normal"},
    {"SourceRef": "s3://factory/new/36.png", "Label": "good"},
    {"Label": "normal"},
])  # fmt: skip
def test_a_verification_says_one_thing(client, wrong):
    with pytest.raises(Invalid):
        client.verify_trial_results(ProjectName="parts", TrialName="monday", Verifications=[wrong])


def test_a_trial_without_images_fails_with_the_way_out(client):
    client.start_trial_detection(**WHERE, TrialName="empty", S3Location={"Bucket": "factory", "Prefix": "none/"})
    told = client.describe_trial_detection(ProjectName="parts", TrialName="empty")["TrialDetection"]
    assert told["Status"] == "FAILED" and "vision-toolkit put" in told["StatusMessage"]
    with pytest.raises(Conflict, match="failed"):
        client.verify_trial_results(
            ProjectName="parts", TrialName="empty", Verifications=[{"SourceRef": "s3://a/b", "Correct": True}]
        )
