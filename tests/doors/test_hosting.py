"""Hosting behind a server that is killed, overrun, or loses its workers: what a client of it sees."""

from __future__ import annotations

import base64
import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.app.test_serving import ended, said_until, start
from tests.doors.conftest import fill
from tests.doors.raw import Raw, Refused
from tests.doors.scenario import wait
from vision_toolkit.app.server import Server
from vision_toolkit.workspace import Workspace, units

FIRST = {"ProjectName": "parts", "ModelVersion": "1"}
PNG = {"ContentType": "image/png"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Give the folder of a workspace with a hosted model, of one to two units."""
    folder = tmp_path_factory.mktemp("w")
    with Workspace(folder, run="inline", preset="fast", threads=1, weights=None) as workspace:
        facts = fill(workspace)
        project = workspace.projects.create("parts")
        workspace.datasets.create(project, "train", manifest="s3://factory/all.manifest")
        workspace.models.create(project, output={"Bucket": "factory", "Prefix": ""}, description=None, kms=None,
                                given_tags={}, arn="{}")  # fmt: skip
        workspace.models.start(project, "1", least=1, most=2)
    return folder, base64.b64decode(facts["image"])


@pytest.fixture
def server(folder):
    with Workspace(folder[0], run="thread") as workspace, Server(workspace, port=0) as server:
        yield server


def detect(client: Raw, image: bytes) -> dict:
    return client.detect_anomalies(**FIRST, Body=image, **PNG)["DetectAnomalyResult"]


@pytest.mark.slow
def test_a_hosted_model_is_hosted_again_after_the_server_was_killed(folder):
    answers = []
    for how in (signal.SIGKILL, signal.SIGTERM):
        process = start("--workspace", str(folder[0]))
        client = Raw(said_until(process, r"AWS_ENDPOINT_URL_LOOKOUTVISION=(\S+)")[1])
        said_until(process, r"keys create")
        assert client.describe_model(**FIRST)["ModelDescription"]["Status"] == "HOSTED"
        answers.append(detect(client, folder[1]))
        ended(process, how)
    assert answers[0] == answers[1]


def test_many_at_once_are_all_judged_the_same(server, folder):
    client = Raw(server.url)
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: detect(client, folder[1]), range(48)))
    assert all(answer == answers[0] for answer in answers) and answers[0]["IsAnomalous"]


def test_who_asks_for_more_than_the_units_do_is_throttled(server, folder, monkeypatch):
    monkeypatch.setattr(units, "QUEUE", 1)
    client = Raw(server.url)

    with ThreadPoolExecutor(24) as pool:
        tasks = [pool.submit(detect, client, folder[1]) for _ in range(96)]
        refused = [error for task in tasks if isinstance(error := task.exception(), Refused)]
    assert 0 < len(refused) < 96
    for error in refused:
        assert error.status == 429 and error.response["Error"]["Code"] == "ThrottlingException"
        assert int(error.headers["retry-after"]) >= 1 and int(error.headers["x-amz-retry-after"]) >= 1


def test_boto3_gets_through_by_itself(server, folder, monkeypatch):
    """Today's default retries obey x-amz-retry-after."""
    monkeypatch.setattr(units, "QUEUE", 1)
    client = server.client()
    with ThreadPoolExecutor(6) as pool:
        tasks = [pool.submit(client.detect_anomalies, **FIRST, Body=folder[1], **PNG) for _ in range(12)]
        assert all(task.result()["DetectAnomalyResult"]["IsAnomalous"] for task in tasks)


def test_workers_that_are_killed_cost_no_answer(server, folder):
    client = Raw(server.url)
    expected = detect(client, folder[1])
    (held,) = server.workspace.hosts._units.values()
    with ThreadPoolExecutor(4) as pool:
        tasks = [pool.submit(detect, client, folder[1]) for _ in range(40)]
        for _ in range(2):
            time.sleep(0.1)
            for unit in list(held._all)[:1]:
                os.kill(unit.process.pid, signal.SIGKILL)
        assert all(task.result() == expected for task in tasks)


def test_stopping_answers_what_is_being_judged(server, folder):
    client = Raw(server.url)
    expected = detect(client, folder[1])
    with ThreadPoolExecutor(4) as pool:
        tasks = [pool.submit(detect, client, folder[1]) for _ in range(12)]
        time.sleep(0.02)
        client.stop_model(**FIRST)
        said = [task.exception() for task in tasks]
    for error, task in zip(said, tasks, strict=True):
        if error is None:
            assert task.result() == expected
        else:
            assert isinstance(error, Refused) and error.response["Error"]["Code"] == "ConflictException"
    look = lambda: client.describe_model(**FIRST)["ModelDescription"]["Status"]  # noqa: E731
    assert wait(look, "STOPPING_HOSTING") == "TRAINED"
    client.start_model(**FIRST, MinInferenceUnits=1, MaxInferenceUnits=2)
    assert wait(look, "STARTING_HOSTING") == "HOSTED"
    described = client.describe_model(**FIRST)["ModelDescription"]
    assert (described["MinInferenceUnits"], described["MaxInferenceUnits"]) == (1, 2)
    assert "\nvision_toolkit_inference_units 1\n" in client.send("GET", "/metrics")[2].decode()
    json.dumps(described)
