"""Whatever comes over the wire is answered in the wire's own form: never 500, never a page, never 200 with rubbish."""

from __future__ import annotations

import base64
import json
import socket
import threading
import time
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.doors.raw import Raw, Refused
from vision_toolkit.app.server import Server
from vision_toolkit.services import shapes
from vision_toolkit.services.body import Limits
from vision_toolkit.services.lookout import LookoutVision
from vision_toolkit.services.lookout.errors import MODELLED
from vision_toolkit.workspace import Workspace

OPERATIONS = LookoutVision.operations()
HTTP_ONLY = {404, 405, 408, 413}
"""Statuses of what no operation can answer; their error is a ValidationException."""


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with (
        Workspace(tmp_path_factory.mktemp("w"), run="thread", threads=1, preset="fast") as workspace,
        Server(workspace, port=0) as server,
    ):
        workspace.projects.create("there")
        workspace.datasets.create(workspace.projects.get("there"), "train")
        yield server


@pytest.fixture
def client(served):
    return Raw(served.url)


def judged(status, headers, body, operation=None):
    """Assert that an answer is one of the contract; return the error's name, or "" for none."""
    assert headers["content-type"] == "application/json" and headers["x-amzn-requestid"]
    answer = json.loads(body)
    assert isinstance(answer, dict)
    if status < 300:
        assert operation is not None and status == operation.status
        assert shapes.check(operation.returns, answer, form="json")[1] == []
        return ""
    code = headers["x-amzn-errortype"]
    assert answer["__type"] == code and answer["Message"] and code != "InternalServerException"
    assert status == MODELLED[code].status or (status in HTTP_ONLY and code == "ValidationException")
    if status not in HTTP_ONLY:
        assert set(MODELLED[code].required) <= set(answer)
        assert operation is None or code in operation.errors
    return code


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
PLAUSIBLE = st.sampled_from(["there", "train", "test", "1", "latest", "nobody", "true", "normal", "{}", "a" * 300, "ü"])
TEXTS = PLAUSIBLE | st.text(st.characters(blacklist_categories=("Cs",)), max_size=30)


@st.composite
def requests(draw):
    """Draw a request to an operation: right in form, and mostly wrong in what it says."""
    operation = draw(st.sampled_from(sorted(OPERATIONS.values(), key=lambda one: one.name)))
    path, query, headers, members = f"/2020-11-20{operation.path}", [], {}, {}
    body = draw(st.binary(max_size=200))
    for one in operation.parameters.values():
        if one.place == "path":
            path = path.replace(f"{{{one.wire}}}", quote(draw(TEXTS), safe=""))
        elif draw(st.booleans()):
            continue
        elif one.place == "query":
            query += [f"{one.wire}={quote(text, safe='')}" for text in draw(st.lists(TEXTS, min_size=1, max_size=3))]
        elif one.place == "header":
            headers[one.wire] = draw(st.text("abcXYZ019-/ ;=\xe9", max_size=70)).strip()
        else:
            members[one.wire] = draw(JSON | TEXTS | st.binary(max_size=40).map(lambda b: base64.b64encode(b).decode()))
    if members or draw(st.booleans()):
        members |= draw(st.dictionaries(st.sampled_from(["ProjectName", "Extra", "ClientToken"]), JSON, max_size=1))
        body = json.dumps(members).encode()
    return operation, path + (f"?{'&'.join(query)}" if query else ""), headers, body


@given(requests())
@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
def test_every_operation_with_any_arguments(client, request_):
    operation, target, headers, body = request_
    judged(*client.send(operation.method, target, body, headers), operation)


@given(
    st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "BREW"]),
    st.lists(st.text("abc%2F./~ünull", max_size=8).map(lambda text: quote(text, safe="%./~")), max_size=6),
    st.text("ab=&%25+;é", max_size=20).map(lambda text: quote(text, safe="=&%+;")),
    st.binary(max_size=50), st.booleans(),
)  # fmt: skip
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_path_at_all(client, method, segments, query, body, ours):
    path = ("/2020-11-20/" if ours else "/") + "/".join(segments)
    status, headers, data = client.send(method, f"{path}?{query}", body)
    if method == "HEAD":
        assert status in (404, 405) and data == b""
    elif not (status == 200 and path == "/2020-11-20/projects"):
        assert judged(status, headers, data) == "ValidationException"


@given(st.binary(max_size=300))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_as_a_body(client, body):
    judged(*client.send("POST", "/2020-11-20/projects", body), OPERATIONS["create_project"])


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "not JSON"),
        (b'{"ProjectName": "a"} x', "not JSON"),
        (b'{"ProjectName": "\\ud800"}', "JSON"),
        (b'{"ProjectName": NaN}', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'["ProjectName"]', "must be a JSON object"),
        (b"", "projectName"),
        (b'{"ProjectName": 3}', "must be a string"),
        (b'{"ProjectName": null}', "must not be null"),
        (b'{"ProjectName": "a b"}', "regular expression pattern"),
        (b'{"ProjectName": "ok", "Extra": 1}', "must be one of"),
        (b'{"ProjectName": "ok", "ClientToken": "in the body"}', "must be one of"),
        (b'{"ProjectName": "' + b"a" * 256 + b'"}', "less than or equal to 255"),
    ],
)
def test_a_bad_body_is_told(client, body, words):
    status, headers, data = client.send("POST", "/2020-11-20/projects", body)
    assert judged(status, headers, data, OPERATIONS["create_project"]) == "ValidationException"
    assert words in json.loads(data)["Message"]


def test_every_violation_is_told_at_once(client):
    body = json.dumps({"OutputConfig": {"S3Location": {"Bucket": "x"}}, "Description": "a b", "Tags": [{"Key": ""}]})
    with pytest.raises(Refused) as caught:
        client.ask("POST", "/2020-11-20/projects/a%20b/models", body.encode(), {"X-Amzn-Client-Token": "no space!"})
    said = str(caught.value)
    assert said.startswith("6 validation errors detected")
    for path in ("projectName", "bucket", "description", "tags.1.member.key", "tags.1.member.value", "clientToken"):
        assert f"{path}'" in said


def test_a_wrong_method_names_the_right_ones(client):
    status, headers, data = client.send("PUT", "/2020-11-20/projects/there")
    assert judged(status, headers, data) == "ValidationException"
    assert (status, headers["allow"]) == (405, "DELETE, GET")


def test_a_header_or_a_parameter_that_comes_twice(client, served):
    status, headers, data = client.send("GET", "/2020-11-20/projects?maxResults=1&maxResults=2")
    assert judged(status, headers, data, OPERATIONS["list_projects"]) == "ValidationException"
    with socket.create_connection(("127.0.0.1", served.port), 10) as one:
        one.sendall(
            b"DELETE /2020-11-20/projects/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            b"X-Amzn-Client-Token: a\r\nX-Amzn-Client-Token: b\r\n\r\n"
        )
        assert everything(one).startswith(b"HTTP/1.1 400 ")


def test_an_arn_comes_encoded_or_decoded(client):
    arn = "arn:aws:lookoutvision:us-east-1:000000000000:model/there/7"
    for text in (quote(arn, safe=""), arn, quote(arn, safe="/")):
        with pytest.raises(Refused) as caught:
            client.ask("GET", f"/2020-11-20/tags/{text}")
        assert caught.value.status == 404 and caught.value.response["ResourceType"] == "MODEL"
    with pytest.raises(Refused, match="regular expression pattern"):
        client.describe_project(ProjectName="../there")
    with pytest.raises(Refused, match="NUL"):
        client.list_dataset_entries(ProjectName="there", DatasetType="train", SourceRefContains="a\0b")


# ---------------------------------------------------------------- sizes and time


def test_ten_mebibytes_of_changes_pass_and_more_do_not(client):
    path = "/2020-11-20/projects/nobody/datasets/train/entries"
    for size, code in ((10_485_760, "ResourceNotFoundException"), (10_485_761, "ValidationException")):
        body = json.dumps({"Changes": base64.b64encode(b"x" * size).decode()}).encode()
        answer = client.send("PATCH", path, body)
        assert judged(*answer, OPERATIONS["update_dataset_entries"]) == code
    status, headers, data = client.send("PATCH", path, b'{"Changes": "' + b"A" * 16_000_000)
    assert status == 413 and judged(status, headers, data) == "ValidationException"


def test_an_image_has_at_most_eight_million_bytes(client):
    path, kind = "/2020-11-20/projects/there/models/1/detect", {"Content-Type": "image/png"}
    assert judged(*client.send("POST", path, bytes(8_000_000), kind)) == "ResourceNotFoundException"
    status, headers, data = client.send("POST", path, bytes(8_000_001), kind)
    assert status == 413 and judged(status, headers, data) == "ValidationException" and headers["connection"] == "close"


def test_a_body_that_does_not_say_how_long_it_is(served):
    with socket.create_connection(("127.0.0.1", served.port), 10) as one:
        one.sendall(
            b"POST /2020-11-20/projects HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
            + (b"10000\r\n" + b"x" * 0x10000 + b"\r\n") * 20 + b"0\r\n\r\n"
        )  # fmt: skip
        assert one.recv(13) == b"HTTP/1.1 413 "


@pytest.mark.parametrize("line", [b"", b"GET\r\n\r\n", b"\x16\x03\x01\x02\x00", b"GET /\xff HTTP/1.1\r\n\r\n"])
def test_what_is_no_http_is_told_so_as_json(served, line):
    with socket.create_connection(("127.0.0.1", served.port), 10) as one:
        one.sendall(line or b"nonsense\r\n\r\n")
        said = everything(one)
        assert said.startswith(b"HTTP/1.1 400 ") and b"application/json" in said and b"ValidationException" in said


def test_a_slow_client_is_not_waited_for_and_stops_nobody(tmp_path):
    with Workspace(tmp_path / "w") as workspace:
        server = Server(workspace, port=0)
        server.app.limits.idle = 0.4
        with server, socket.create_connection(("127.0.0.1", server.port), 10) as slow:
            slow.sendall(b"POST /2020-11-20/projects HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20\r\n\r\n{")
            started = time.monotonic()
            assert Raw(server.url).list_projects() == {"Projects": []}
            assert time.monotonic() - started < 0.4
            assert slow.recv(13) == b"HTTP/1.1 408 "


@pytest.mark.parametrize("before", [b"", b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"])
def test_a_head_that_never_ends_is_not_waited_for(served, monkeypatch, before):
    monkeypatch.setattr("vision_toolkit.app.server._HEAD_SECONDS", 0.5)
    with socket.create_connection(("127.0.0.1", served.port), 10) as one:
        if before:
            one.sendall(before)
            said = b""
            while not said.endswith(b'{"status":"ok"}'):  # head and body may come apart
                said += one.recv(65536)
        one.sendall(b"GET /health HTTP/1.1\r\nHost: local")
        started = time.monotonic()
        assert everything(one) == b"" and time.monotonic() - started < 5


def test_many_bodies_together_are_told_to_come_again():
    from vision_toolkit.core.errors import Busy

    limits = Limits(held=100)
    limits.take(60)
    with pytest.raises(Busy):
        limits.take(60)
    limits.give_back(60)
    limits.take(100)


def test_a_full_queue_throttles_in_both_ways_that_clients_know(tmp_path):
    with Workspace(tmp_path / "w") as workspace:
        server = Server(workspace, port=0)
        server.app.limits.waiting = 0
        with server:
            status, headers, data = Raw(server.url).send("GET", "/2020-11-20/projects")
    assert judged(status, headers, data, OPERATIONS["list_projects"]) == "ThrottlingException"
    assert (status, headers["retry-after"], headers["x-amz-retry-after"]) == (429, "1", "1000")


def test_many_at_once(client):
    answers: list[int] = []

    def ask(number: int) -> None:
        answers.extend(client.send("GET", f"/2020-11-20/projects?maxResults={number}")[0] for _ in range(10))

    threads = [threading.Thread(target=ask, args=(number + 1,)) for number in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 240


def test_a_fault_of_ours_is_logged_with_the_request_and_says_nothing(client, served, monkeypatch, caplog):
    def broken(*args, **kwargs):
        raise RuntimeError("secret words")

    monkeypatch.setattr(served.workspace.projects, "list", broken)
    status, headers, data = client.send("GET", "/2020-11-20/projects")
    assert status == 500 and headers["x-amzn-errortype"] == "InternalServerException"
    assert b"secret" not in data and headers["x-amzn-requestid"].encode() in data
    assert any("secret words" in (record.exc_text or "") or record.exc_info for record in caplog.records)


def everything(one: socket.socket) -> bytes:
    found = b""
    while chunk := one.recv(65536):
        found += chunk
    return found
