"""Whatever comes to OCI Vision over the wire is answered in its own form: never 500, never a page."""

from __future__ import annotations

import json
import socket
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.doors.oci_raw import PREFIX, Raw
from tests.doors.test_hostile import JSON, everything
from vision_toolkit.app.server import Server
from vision_toolkit.services import shapes
from vision_toolkit.services.oci import OciVision
from vision_toolkit.services.oci.errors import STATUSES
from vision_toolkit.services.oci.later import LATER
from vision_toolkit.workspace import Workspace

OPERATIONS = OciVision.operations()
HTTP_ONLY = {"NotFound", "MethodNotAllowed", "RequestEntityTooLarge", "CannotParseRequest", "MethodNotImplemented"}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with Workspace(tmp_path_factory.mktemp("w")) as workspace, Server(workspace, port=0) as server:
        yield server


@pytest.fixture(scope="module")
def there(served) -> list[str]:
    """Give ids that there are."""
    made = OciVision(served.workspace).create_project({"displayName": "there", "compartmentId": "c"})
    return [made.data.id, made.headers["opc-work-request-id"], made.headers["etag"]]


@pytest.fixture
def client(served) -> Raw:
    return Raw(served.url)


def judged(status, headers, body, operation=None) -> str:
    """Assert that an answer is one of the contract; return the error's code, or "" for none."""
    assert headers["content-type"] == "application/json" and headers["opc-request-id"]
    assert headers.get("opc-next-page") != ""
    if status < 300:
        assert operation is not None and status == operation.status
        if operation.returns is None:
            assert body == b""
        else:
            answer = json.loads(body)
            assert all(dated(answer)), answer
            assert shapes.check(operation.returns, answer, form="json")[1] == []
        return ""
    answer = json.loads(body)
    assert set(answer) == {"code", "message"} and answer["message"] and answer["code"] != "InternalServerError"
    assert status == STATUSES[answer["code"]] or (status == 408 and answer["code"] == "CannotParseRequest")
    assert operation is None or answer["code"] in {*operation.errors, *HTTP_ONLY}
    return str(answer["code"])


def dated(value):
    for name, one in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        if isinstance(name, str) and name.startswith("time"):
            yield isinstance(one, str) and one.endswith("Z")
        elif not (isinstance(name, str) and name.endswith("Tags")):
            yield from dated(one)


TEXTS = st.sampled_from(["ASC", "DESC", "timeCreated", "displayName", "ACTIVE", "DELETED", "SUCCEEDED", "7", "", "a b"])
TEXTS |= st.text(st.characters(blacklist_categories=("Cs",)), max_size=30) | st.just("a" * 300)
MEMBERS = st.sampled_from(
    ["displayName", "description", "compartmentId", "freeformTags", "definedTags", "new", "$moment"]
)


@st.composite
def bodies(draw):
    if draw(st.integers(0, 4)) == 0:
        return draw(st.binary(max_size=100) | JSON.map(lambda value: json.dumps(value).encode()))
    tags = st.dictionaries(st.text(max_size=8) | st.just("$moment"), JSON | st.text(max_size=9), max_size=3)
    value = draw(st.dictionaries(MEMBERS, JSON | TEXTS | tags, max_size=6))
    if draw(st.booleans()):
        value["compartmentId"] = "c"
    return json.dumps(value).encode()


@st.composite
def requests(draw, ids):
    """Draw a request to an operation: right in form, and mostly wrong in what it says."""
    operation = draw(st.sampled_from(sorted(OPERATIONS.values(), key=lambda one: one.name)))
    path, query, headers, body = PREFIX + operation.path, [], {}, b""
    for one in operation.parameters.values():
        if one.place == "path":
            text = draw(st.sampled_from(ids) | TEXTS)
            path = path.replace(f"{{{one.wire}}}", quote(text, safe=""))
        elif one.place == "body":
            body = draw(bodies())
        elif draw(st.integers(0, 2)):
            continue
        elif one.place == "query":
            texts = draw(st.lists(TEXTS | st.sampled_from(ids), min_size=1, max_size=2))
            query += [f"{one.wire}={quote_plus(text)}" for text in texts]
        else:
            headers[one.wire] = draw(st.sampled_from(ids) | st.text("abcXYZ019-/ ;=\xe9", max_size=70)).strip()
    return operation, path + (f"?{'&'.join(query)}" if query else ""), headers, body


@given(st.data())
@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
def test_every_operation_with_any_arguments(client, there, data):
    operation, target, headers, body = data.draw(requests(there))
    judged(*client.send(operation.method, target, body, headers), operation)


@given(
    st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"]),
    st.lists(st.text("abc%2F./~ünull", max_size=8).map(lambda text: quote(text, safe="%./~")), max_size=5),
    st.text("ab=&%25+;é", max_size=20).map(lambda text: quote(text, safe="=&%+;")), st.binary(max_size=50),
)  # fmt: skip
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_path_at_all(client, method, segments, query, body):
    answer = client.send(method, f"{PREFIX}/{'/'.join(segments)}?{query}", body)
    assert judged(*answer) in {"NotFound", "MethodNotAllowed"}


@pytest.mark.parametrize("name", sorted(LATER))
def test_what_is_not_built_is_told(client, name):
    method, path = LATER[name]
    target = PREFIX + "/".join("x" if part.startswith("{") else part for part in path.split("/"))
    status, headers, body = client.send(method, target, b"{}" if method in ("POST", "PUT") else b"")
    assert status == 501 and judged(status, headers, body) == "MethodNotImplemented"
    assert name in json.loads(body)["message"]


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        (b"{", "CannotParseRequest", "not JSON"),
        (b'{"compartmentId": "\\ud800"}', "CannotParseRequest", "JSON"),
        (b"[" * 100_000, "CannotParseRequest", "not JSON"),
        (b"[]", "InvalidParameter", "structure"),
        (b"", "MissingParameter", "required"),
        (b"null", "MissingParameter", "required"),
        (b"{}", "MissingParameter", "compartmentId"),
        (b'{"compartmentId": null}', "MissingParameter", "compartmentId"),
        (b'{"compartmentId": 3}', "InvalidParameter", "compartmentId: must be a string; '3' was given"),
        (b'{"compartmentId": "a\\u0000b"}', "InvalidParameter", "compartmentId"),
        (b'{"compartmentId": "c", "displayName": "' + b"a" * 256 + b'"}', "InvalidParameter", "than or equal to 255"),
        (b'{"compartmentId": "c", "freeformTags": {"a": 1}}', "InvalidParameter", "freeformTags.a"),
        (b'{"compartmentId": "c", "freeformTags": {"": "a"}}', "InvalidParameter", "freeformTags."),
        (b'{"compartmentId": "c", "definedTags": {"a": 1}}', "InvalidParameter", "definedTags.a: must be a map"),
        (b'{"compartmentId": "c", "definedTags": {"a": {"b": []}}}', "InvalidParameter", "a string or a boolean or"),
        (b'{"compartmentId": "c", "definedTags": {"a": {"b": 1e999}}}', "CannotParseRequest", "JSON"),
    ],
)  # fmt: skip
def test_a_bad_body_is_told(client, body, code, words):
    answer = client.send("POST", f"{PREFIX}/projects", body)
    assert judged(*answer, OPERATIONS["create_project"]) == code
    assert words in json.loads(answer[2])["message"]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("sortOrder=UNKNOWN_ENUM_VALUE", "sortOrder: must satisfy enum value set: [ASC, DESC]"),
        ("sortBy=timeAccepted", "sortBy"),
        ("lifecycleState=active", "lifecycleState"),
        ("limit=0", "limit: must have value greater than or equal to 1"),
        ("limit=1001", "limit"),
        ("limit=1&limit=2", "limit: must be an integer"),
        ("page=", "page"),
        ("page=bm9uZQ==", "page is not one that this list gave"),
        ("displayName=", "displayName"),
        ("displayName=%00", "NUL"),
        ("displayName=%ff", "UTF-8"),
    ],
)
def test_a_bad_query_is_told(client, query, words):
    answer = client.send("GET", f"{PREFIX}/projects?{query}")
    assert judged(*answer, OPERATIONS["list_projects"]) in {"InvalidParameter", "CannotParseRequest"}
    assert words in json.loads(answer[2])["message"]


def test_a_wrong_method_names_the_right_ones(client):
    status, headers, body = client.send("PATCH", f"{PREFIX}/projects/x")
    assert (status, headers["allow"]) == (405, "DELETE, GET, PUT")
    assert judged(status, headers, body) == "MethodNotAllowed"


def test_the_name_of_a_request_comes_back_unless_it_is_none(client):
    for target in ("/projects", "/nothing", "/models", "/projects?limit=x"):
        _, headers, _ = client.send("GET", PREFIX + target, headers={"opc-request-id": "A1/b-2"})
        assert headers["opc-request-id"] == "A1/b-2"
    for name in ("a b", "x" * 300, "\xe9"):
        _, headers, _ = client.send("GET", f"{PREFIX}/nothing", headers={"opc-request-id": name})
        assert headers["opc-request-id"] != name and len(headers["opc-request-id"]) == 32


def test_a_body_that_is_too_large(client):
    status, headers, body = client.send("POST", f"{PREFIX}/projects", b'"' + b"a" * 1_100_000 + b'"')
    assert status == 413 and judged(status, headers, body) == "RequestEntityTooLarge"
    assert headers["connection"] == "close"


def test_a_header_that_comes_twice(served):
    with socket.create_connection(("127.0.0.1", served.port), 10) as one:
        one.sendall(
            f"DELETE {PREFIX}/projects/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            "if-match: a\r\nif-match: b\r\n\r\n".encode()
        )
        assert everything(one).startswith(b"HTTP/1.1 400 ")


def test_a_fault_of_ours_is_logged_with_the_request_and_says_nothing(client, served, monkeypatch, caplog):
    def broken(*args, **kwargs):
        raise RuntimeError("secret words")

    monkeypatch.setattr(served.workspace.projects, "search", broken)
    status, headers, body = client.send("GET", f"{PREFIX}/projects", headers={"opc-request-id": "MINE"})
    assert status == 500 and json.loads(body)["code"] == "InternalServerError"
    assert b"secret" not in body and b"MINE" in body and headers["opc-request-id"] == "MINE"
    assert any(record.exc_info for record in caplog.records)
