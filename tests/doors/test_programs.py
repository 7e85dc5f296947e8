"""What other people's programs rely on, row by row of the list of programs: with boto3, against a server."""

from __future__ import annotations

import io
import json
import threading
import time
import zipfile

import boto3
import pytest

from tests.doors.conftest import ODD, fill, labelled
from tests.doors.scenario import wait
from tests.workspace.conftest import lines
from vision_toolkit.app.server import Server
from vision_toolkit.services.lookout.passing import Passing
from vision_toolkit.workspace import Workspace

PLACE = {"GroundTruthManifest": {"S3Object": {"Bucket": "factory", "Key": "all.manifest"}}}
OUT = {"S3Location": {"Bucket": "factory", "Prefix": "out/"}}
NAME = {"ProjectName": "parts"}
FIRST = {**NAME, "ModelVersion": "1"}
TRAIN = {**NAME, "DatasetType": "train"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Give a server with a dataset and a trained model in it."""
    with (
        Workspace(tmp_path_factory.mktemp("w"), run="thread", preset="fast", threads=1, weights=None) as workspace,
        Server(workspace, port=0) as server,
    ):
        fill(workspace)
        client = server.client()
        client.create_project(**NAME)
        client.create_dataset(**TRAIN, DatasetSource=PLACE)
        # The lab notebook does not wait here: the training does.
        made = client.create_model(**NAME, OutputConfig=OUT)["ModelMetadata"]
        assert made["Status"] == "TRAINING" and made["StatusMessage"]
        assert wait(lambda: client.describe_model(**FIRST)["ModelDescription"]["Status"], "TRAINING") == "TRAINED"
        yield server


@pytest.fixture
def client(trained):
    return trained.client()


def dataset(client) -> str:
    return client.describe_dataset(**TRAIN)["DatasetDescription"]["Status"]


def model(client, version="1") -> str:
    return client.describe_model(**NAME, ModelVersion=version)["ModelDescription"]["Status"]


def test_a_status_message_is_always_there(server, opened, facts):
    client = server.client()
    client.create_project(**NAME)
    told = [client.create_dataset(**TRAIN, DatasetSource=PLACE)["DatasetMetadata"]]
    told += [client.create_model(**NAME, OutputConfig=OUT)["ModelMetadata"]]
    for _ in range(3):
        told += [client.describe_dataset(**TRAIN)["DatasetDescription"]]
        told += client.describe_project(**NAME)["ProjectDescription"]["Datasets"]
        told += [client.describe_model(**FIRST)["ModelDescription"], *client.list_models(**NAME)["Models"]]
    assert len(told) == 14 and all(one["StatusMessage"] for one in told)


def test_a_status_message_is_there_at_the_end_too(client):
    assert all(one["StatusMessage"] for one in client.list_models(**NAME)["Models"])
    assert client.describe_model(**FIRST)["ModelDescription"]["StatusMessage"]


def test_a_model_may_be_created_while_the_dataset_is_being_updated(client):
    client.update_dataset_entries(**TRAIN, Changes=lines(labelled(1)))
    made = client.create_model(**NAME, OutputConfig=OUT)["ModelMetadata"]
    assert made["Status"] == "TRAINING"
    version = made["ModelVersion"]
    assert wait(lambda: model(client, version), "TRAINING") == "TRAINED"
    client.delete_model(**NAME, ModelVersion=version)


def test_what_is_deleted_is_gone_for_what_follows(server, facts):
    client = server.client()
    client.create_project(**NAME)
    for _ in range(3):
        client.create_dataset(**TRAIN, DatasetSource=PLACE)
        assert wait(lambda: dataset(client), "CREATE_IN_PROGRESS") == "CREATE_COMPLETE"
        client.delete_dataset(**TRAIN)
    client.create_dataset(**TRAIN)
    assert client.list_dataset_entries(**TRAIN)["DatasetEntries"] == [], "not the old data"
    client.delete_dataset(**TRAIN)
    client.delete_project(**NAME)
    assert client.create_project(**NAME)["ProjectMetadata"]["ProjectName"] == "parts"


def test_an_update_is_shown_by_the_very_next_look(client):
    for number in range(3):
        status = client.update_dataset_entries(**TRAIN, Changes=lines(labelled(number)))["Status"]
        assert status == "UPDATE_IN_PROGRESS"
        time.sleep(0.3 * number)  # it may be over meanwhile
        assert dataset(client) == "UPDATE_IN_PROGRESS"
        assert wait(lambda: dataset(client), "UPDATE_IN_PROGRESS") == "UPDATE_COMPLETE"


def test_starting_and_stopping_are_shown_by_the_very_next_look(client):
    for pause in (0.0, 1.5):
        assert client.start_model(**FIRST, MinInferenceUnits=1)["Status"] == "STARTING_HOSTING"
        time.sleep(pause)
        assert model(client) == "STARTING_HOSTING"
        assert wait(lambda: model(client), "STARTING_HOSTING") == "HOSTED"
        assert client.stop_model(**FIRST)["Status"] == "STOPPING_HOSTING"
        time.sleep(pause)
        assert model(client) == "STOPPING_HOSTING"
        assert wait(lambda: model(client), "STOPPING_HOSTING") == "TRAINED"


def test_whoever_looks_late_sees_what_is(client, trained, monkeypatch):
    monkeypatch.setattr("vision_toolkit.services.lookout.passing.SECONDS", 0.0)
    client.start_model(**FIRST, MinInferenceUnits=1)
    found = trained.workspace.projects.get("parts")
    while trained.workspace.models.get(found, "1").state.value != "hosted":
        time.sleep(0.05)
    assert model(client) == "HOSTED"
    client.stop_model(**FIRST)
    wait(lambda: model(client), "STOPPING_HOSTING")


def test_a_call_that_waits_for_the_end_shows_the_end(tmp_path):
    with Workspace(tmp_path / "w", run="inline") as workspace:
        work = Passing(workspace)
        work.create_project("parts")
        work.create_dataset("parts", "train", None)
        work.update_dataset_entries("parts", "train", b"")
        assert work.describe_dataset("parts", "train")["DatasetDescription"]["Status"] != "UPDATE_IN_PROGRESS"


def test_a_classification_model_says_nothing_of_types(client, trained):
    client.start_model(**FIRST, MinInferenceUnits=1)
    wait(lambda: model(client), "STARTING_HOSTING")
    image = trained.workspace.buckets.read(f"s3://factory/parts/{max(ODD)}.png")
    for kind in ("image/png", "image/jpeg"):  # a PNG that is sent as JPEG is judged
        answer = client.detect_anomalies(**FIRST, Body=image, ContentType=kind)
        del answer["ResponseMetadata"]
        result = json.loads(json.dumps(answer))["DetectAnomalyResult"]  # bytes would not go
        assert set(result) == {"Source", "IsAnomalous", "Confidence"} and result["IsAnomalous"] is True
    with pytest.raises(client.exceptions.ValidationException) as caught:
        client.detect_anomalies(**FIRST, Body=image, ContentType="image/gif")
    assert "content-type must be one of the following. image/jpeg, image/png" in str(caught.value)
    client.stop_model(**FIRST)
    wait(lambda: model(client), "STOPPING_HOSTING")


def test_one_token_for_starting_and_stopping(client):
    assert client.start_model(**FIRST, MinInferenceUnits=1, ClientToken="batch")["Status"] == "STARTING_HOSTING"
    assert wait(lambda: model(client), "STARTING_HOSTING") == "HOSTED"
    assert client.stop_model(**FIRST, ClientToken="batch")["Status"] == "STOPPING_HOSTING"
    assert wait(lambda: model(client), "STOPPING_HOSTING") == "TRAINED"


def test_a_call_that_is_repeated_with_its_token_is_done_once(client):
    answers: list[str] = []

    def create() -> None:
        answers.append(client.create_project(ProjectName="once", ClientToken="t")["ProjectMetadata"]["ProjectArn"])

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 8 and len(set(answers)) == 1
    client.delete_project(ProjectName="once")


def test_performance_is_told_once_trained(client):
    described = client.describe_model(**FIRST)["ModelDescription"]
    (listed,) = [one for one in client.list_models(**NAME)["Models"] if one["ModelVersion"] == "1"]
    assert set(described["Performance"]) == {"F1Score", "Precision", "Recall"}
    assert listed["Performance"] == described["Performance"]


def test_an_evaluation_can_be_read_row_by_row(client, trained):
    """The k-fold notebook indexes one row even where there are no anomaly types."""
    place = client.describe_model(**FIRST)["ModelDescription"]["EvaluationResult"]
    evaluation = json.loads(trained.workspace.buckets.read(f"s3://{place['Bucket']}/{place['Key']}"))
    assert len(evaluation["AggregatedEvaluationResults"]["Metrics"]["PixelAnomalyClassMetrics"]) >= 1


@pytest.mark.slow
def test_the_images_may_lie_in_an_s3_of_their_own(tmp_path, monkeypatch):
    """Programs open boto3's S3 beside the service, on S3's own endpoint; the server reads and writes there too."""
    from moto.server import ThreadedMotoServer

    moto = ThreadedMotoServer(port=0)
    moto.start()
    try:
        host, port = moto.get_host_and_port()
        settings = {
            "AWS_ENDPOINT_URL_S3": f"http://{host}:{port}", "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s",
            "AWS_DEFAULT_REGION": "us-east-1",
        }  # fmt: skip
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket="factory")
        with Workspace(tmp_path / "drawn") as drawn:
            fill(drawn)
            for key in drawn.buckets.keys("factory"):
                s3.put_object(Bucket="factory", Key=key, Body=drawn.buckets.read(f"s3://factory/{key}"))
        options = {"run": "thread", "preset": "fast", "threads": 1, "weights": None, "s3": "s3"}
        with Workspace(tmp_path / "w", **options) as workspace, Server(workspace, port=0) as server:
            client = server.client()
            client.create_project(**NAME)
            client.create_dataset(**TRAIN, DatasetSource=PLACE)
            assert wait(lambda: dataset(client), "CREATE_IN_PROGRESS") == "CREATE_COMPLETE"
            client.create_model(**NAME, OutputConfig=OUT)
            assert wait(lambda: model(client), "TRAINING") == "TRAINED"
            place = client.describe_model(**FIRST)["ModelDescription"]["EvaluationResult"]
            assert json.loads(s3.get_object(**place)["Body"].read())
            greengrass = {
                "S3OutputLocation": {"Bucket": "factory", "Prefix": "edge"}, "ComponentName": "parts",
                "TargetPlatform": {"Os": "LINUX", "Arch": "X86_64"},
            }  # fmt: skip
            client.start_model_packaging_job(
                **NAME, ModelVersion="1", JobName="first", Configuration={"Greengrass": greengrass}
            )

            def packaged() -> str:
                described = client.describe_model_packaging_job(**NAME, JobName="first")
                return described["ModelPackagingDescription"]["Status"]

            assert wait(packaged, "CREATED", "RUNNING") == "SUCCEEDED"
            package = s3.get_object(Bucket="factory", Key="edge/parts-1.0.0.zip")["Body"].read()
            with zipfile.ZipFile(io.BytesIO(package)) as archive:
                assert {"model.onnx", "runtime.py", "package.json"} <= set(archive.namelist())
    finally:
        moto.stop()
