"""Who may ask: on loopback everybody until a key is made; elsewhere, and from then on, only who signs."""

from __future__ import annotations

import json
import socket
import ssl
import urllib.request

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.doors.raw import Raw
from vision_toolkit.app.client import teach_boto3
from vision_toolkit.app.server import Server, serve
from vision_toolkit.core.errors import Failed, Invalid
from vision_toolkit.workspace import Workspace

PROJECTS = "/2020-11-20/projects"


def client(server, key="k", secret="s", token=None, **options):
    return server.client(
        aws_access_key_id=key, aws_secret_access_key=secret, aws_session_token=token,
        config=Config(retries={"max_attempts": 0}, **options),
    )  # fmt: skip


def code(call, **arguments) -> tuple[str, int]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    response = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def test_on_loopback_without_a_key_any_signature_will_do_or_none(server):
    assert client(server).list_projects()["Projects"] == []
    assert client(server, token="session").list_projects()["Projects"] == []
    assert client(server, signature_version=UNSIGNED).list_projects()["Projects"] == []


def test_from_the_first_key_on_every_request_is_verified(server):
    key = server.keys.create()
    for token in (None, "a session's token, which is signed too"):
        assert client(server, key.id, key.secret, token).list_projects()["Projects"] == []
    assert code(client(server).list_projects) == ("UnrecognizedClientException", 403)
    assert code(client(server, key.id, "wrong").list_projects) == ("InvalidSignatureException", 403)
    unsigned = client(server, signature_version=UNSIGNED)
    assert code(unsigned.list_projects) == ("MissingAuthenticationTokenException", 403)
    server.keys.revoke(key.id)
    assert code(client(server, key.id, key.secret).list_projects) == ("UnrecognizedClientException", 403)
    assert Raw(server.url).send("GET", "/nowhere")[0] == 403, "what paths there are is nobody's business"


def test_every_kind_of_request_is_signed_as_boto3_does(server, facts):
    key = server.keys.create()
    one = client(server, key.id, key.secret)
    one.create_project(ProjectName="parts")
    arn = "arn:aws:lookoutvision:us-east-1:000000000000:model/parts/1"
    assert code(one.list_tags_for_resource, ResourceArn=arn)[0] == "ResourceNotFoundException"
    assert code(one.untag_resource, ResourceArn=arn, TagKeys=["a b", "ü/+-@"])[0] == "ResourceNotFoundException"
    asked = {"ProjectName": "parts", "DatasetType": "train", "SourceRefContains": "a b/ü+%~*'()"}
    assert code(one.list_dataset_entries, **asked)[0] == "ResourceNotFoundException"
    image = {"ProjectName": "parts", "ModelVersion": "1", "Body": b"\x00\xff" * 99, "ContentType": "image/png"}
    assert code(one.detect_anomalies, **image)[0] == "ResourceNotFoundException"
    changes = {"ProjectName": "parts", "DatasetType": "train", "Changes": b"{}"}
    assert code(one.update_dataset_entries, **changes)[0] == "ResourceNotFoundException"
    assert one.delete_project(ProjectName="parts")["ProjectArn"]


def test_a_read_only_key_may_look(server):
    key = server.keys.create(read_only=True)
    one = client(server, key.id, key.secret)
    assert one.list_projects()["Projects"] == []
    assert code(one.create_project, ProjectName="a") == ("AccessDeniedException", 403)
    with pytest.raises(one.exceptions.AccessDeniedException, match="CreateProject"):
        one.create_project(ProjectName="a")


def test_an_unknown_key_is_refused_before_its_body_has_come(server):
    server.keys.create()
    with socket.create_connection(("127.0.0.1", server.port), 10) as one:
        one.sendall(b"POST /2020-11-20/projects HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900000\r\n"
                    b"Expect: 100-continue\r\n\r\n")  # fmt: skip
        assert one.recv(13) == b"HTTP/1.1 403 "


def test_an_address_that_others_reach_asks_for_signatures_even_of_this_machine(opened):
    with Server(opened, host="0.0.0.0", port=0) as server:
        here = Raw(f"http://127.0.0.1:{server.port}")
        assert here.send("GET", PROJECTS)[0] == 403
        assert json.loads(here.send("GET", PROJECTS)[2])["__type"] == "MissingAuthenticationTokenException"
        assert here.send("GET", "/health", headers={"Host": "anything", "Origin": "x"})[0] == 200
        key = server.keys.create()
        told = {"aws_access_key_id": key.id, "aws_secret_access_key": key.secret, "region_name": "eu-west-1"}
        session = teach_boto3(boto3.Session())
        one = session.client("lookoutvision", endpoint_url=f"http://127.0.0.1:{server.port}", **told)
        assert one.list_projects()["Projects"] == []
        assert socket.gethostname() in server.url


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "localhost:8000"}, 200),
        ({"Host": "127.0.0.1"}, 200),
        ({"Host": "[::1]:8000"}, 200),
        ({"Host": "LocalHost"}, 200),
        ({"Host": "vision.factory:8000"}, 403),
        ({"Host": "localhost.evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Host": ""}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://localhost:8000"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
def test_a_page_in_a_browser_cannot_ask_a_server_on_loopback(server, headers, status):
    for path in (PROJECTS, "/health", "/metrics", "/aws-model"):
        got, told, body = Raw(server.url).send("GET", path, headers=headers)
        assert got == status
        if status == 403:
            assert told["x-amzn-errortype"] == "AccessDeniedException" and json.loads(body)["Message"]


def test_a_further_name_can_be_allowed(opened):
    with Server(opened, port=0, allowed_hosts=["Vision.Factory"]) as server:
        assert Raw(server.url).send("GET", PROJECTS, headers={"Host": "vision.factory"})[0] == 200
        assert Raw(server.url).send("GET", PROJECTS, headers={"Host": "other.factory"})[0] == 403


def test_boto3s_default_session_is_taught_too(server, monkeypatch, tmp_path):
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    monkeypatch.setenv("VISION_TOOLKIT_CACHE", str(tmp_path))
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    teach_boto3()
    assert boto3.client("lookoutvision").list_projects()["Projects"] == []
    assert boto3.client("lookoutvision").can_paginate("list_models")


def test_limits_come_before_signatures(server):
    server.keys.create()
    assert Raw(server.url).send("POST", PROJECTS, b" " * (2 * 1024 * 1024))[0] == 413
    assert Raw(server.url).send("POST", PROJECTS, b" ")[0] == 403


def test_tls_by_files(opened, certified):
    certificate, private = certified
    with Server(opened, port=0, certificate=certificate, private_key=private) as server:
        assert server.url.startswith("https://127.0.0.1:")
        assert server.client(verify=certificate).list_projects()["Projects"] == []
        context = ssl.create_default_context(cafile=certificate)
        with urllib.request.urlopen(f"{server.url}/health", context=context) as answer:
            assert answer.status == 200
    with pytest.raises(Invalid, match="both files"):
        Server(opened, port=0, certificate=certificate)
    with pytest.raises(Invalid, match="no certificate"):
        Server(opened, port=0, certificate=private, private_key=certificate)


def test_an_address_that_is_taken_or_none(server):
    with pytest.raises(Failed, match=f"port {server.port}.*--port"):
        Server(server.workspace, port=server.port)
    with pytest.raises(Invalid, match="65535"):
        Server(server.workspace, port=70_000)
    with pytest.raises((Invalid, Failed)):
        Server(server.workspace, host="no.such.host.invalid", port=0)


def test_serve_opens_and_closes_a_folder(tmp_path):
    with serve(tmp_path / "w", preset="fast") as server:
        assert server.client().list_projects()["Projects"] == []
        assert repr(server) == f"Server({server.url!r}, {str(tmp_path / 'w')!r})"
    with pytest.raises(ConnectionError):
        socket.create_connection(("127.0.0.1", server.port), 1)
    with Workspace(tmp_path / "w") as workspace, pytest.raises(Invalid, match="open workspace"):
        serve(workspace, preset="fast")
