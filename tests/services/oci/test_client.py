"""The client in process: what it takes, what it gives, and what it says where it cannot."""

from __future__ import annotations

import itertools
import pickle
from datetime import UTC, datetime, timedelta

import oci
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vision_toolkit.core.errors import Unsupported
from vision_toolkit.services.oci import OciVision, ServiceError, list_call_get_all_results, models, names
from vision_toolkit.services.oci.errors import CHANGES, MAKES, STATUSES, USUAL
from vision_toolkit.workspace import Workspace
from vision_toolkit.workspace.lifecycle import JobState, ModelState

DETAILS = {"displayName": "bolts", "compartmentId": "c"}


@pytest.fixture
def workspace(tmp_path):
    with Workspace(tmp_path / "w", preset="fast", threads=1) as made:
        yield made


@pytest.fixture
def client(workspace) -> OciVision:
    return OciVision(workspace)


def refused(status, code, call, *arguments, **named) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        call(*arguments, **named)
    assert (caught.value.status, caught.value.code) == (status, code), caught.value.message
    return caught.value


# ---------------------------------------------------------------- how it is made


def test_a_folder_is_opened_and_closed(tmp_path):
    client = OciVision(tmp_path / "w", timeout=(1, 2), signer=None, retry_strategy=oci.retry.DEFAULT_RETRY_STRATEGY)
    assert client.create_project(DETAILS).data.lifecycle_state == "ACTIVE"
    client.close()


def test_what_it_does_not_take(workspace):
    with pytest.raises(Unsupported, match="AIServiceVisionClient"):
        OciVision(workspace, service_endpoint="http://127.0.0.1:8000")
    with pytest.raises(TypeError, match="colour"):
        OciVision(workspace, colour="red")
    with pytest.raises(TypeError, match="no configuration"):
        OciVision({"user": "ocid1.user.oc1..a"})  # type: ignore[arg-type]


def test_keywords_of_the_network_are_ignored_and_others_refused_as_the_sdk_does(client):
    ignored = {"retry_strategy": None, "allow_control_chars": True, "enable_strict_url_encoding": True}
    assert client.list_projects(**ignored).data.items == []
    with pytest.raises(ValueError, match=r"list_projects got unknown kwargs: \['colour'\]"):
        client.list_projects(colour="red")
    with pytest.raises(AttributeError, match="paint"):
        client.paint()
    with pytest.raises(TypeError, match="takes 2 positional"):
        client.update_project("a", {}, {})


# ---------------------------------------------------------------- errors


def test_an_error_is_the_sdks_own_and_can_be_carried_elsewhere(client):
    error = refused(404, "NotAuthorizedOrNotFound", client.get_project, "x", opc_request_id="MINE")
    assert isinstance(error, oci.exceptions.ServiceError) and error.request_id == "MINE"
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.status, again.code, again.message) == (
        type(error),
        error.status,
        error.code,
        error.message,
    )
    assert error.__cause__ is None


def test_every_violation_is_told_at_once(client):
    details = {"displayName": "", "freeformTags": {"a": 3, "b": "c"}, "definedTags": {"n": {"k": [1]}}}
    error = refused(400, "InvalidParameter", client.create_project, details, opc_retry_token="x" * 65)
    for word in ("displayName:", "compartmentId: is required", "freeformTags.a:", "definedTags.n.k:", "opcRetryToken:"):
        assert word in error.message


def test_what_is_not_built_is_told(client):
    error = refused(501, "MethodNotImplemented", client.create_model, {"modelType": "x"}, opc_request_id="A")
    assert "create_model" in error.message and error.request_id == "A"
    assert {*USUAL, *MAKES, *CHANGES} <= set(STATUSES)


def test_a_fault_of_ours_names_the_request(client, monkeypatch, caplog):
    monkeypatch.setattr(client.workspace.ledger, "record", lambda *a, **k: 1 / 0)
    error = refused(500, "InternalServerError", client.create_project, DETAILS, opc_request_id="MINE")
    assert "MINE" in error.message and isinstance(error.__cause__, ZeroDivisionError)
    assert client.list_projects().data.items == []  # nothing half-done is left


# ---------------------------------------------------------------- projects


def test_a_deleted_project_is_forgotten_after_thirty_days(client, workspace):
    made = client.create_project(DETAILS).data
    client.delete_project(made.id)
    record = workspace.projects.find(names.id_of(made.id, "project"), service="oci")
    for days, there in ((29.9, True), (30.1, False)):
        moment = datetime.now(UTC) - timedelta(days=days)
        workspace.projects.change(record, facts={"deleted": moment.timestamp()})
        if there:
            assert client.get_project(made.id).data.lifecycle_state == "DELETED"
        else:
            refused(404, "NotAuthorizedOrNotFound", client.get_project, made.id)


def test_a_project_with_something_in_it_is_not_deleted(client, workspace):
    made = client.create_project(DETAILS)
    project = workspace.projects.find(names.id_of(made.data.id, "project"), service="oci")
    workspace.datasets.create(project, "train")
    workspace.models.create(project, output={"Bucket": "b"})
    error = refused(409, "IncorrectState", client.delete_project, made.data.id)
    assert "a model" in error.message
    assert client.get_project(made.data.id).data.lifecycle_state == "ACTIVE"
    assert client.get_project(made.data.id).headers["etag"] == made.headers["etag"]


def test_an_id_is_known_whatever_the_region_is_called_now(tmp_path):
    with Workspace(tmp_path / "w", region="eu-frankfurt-1") as workspace:
        made = OciVision(workspace).create_project(DETAILS).data
        assert made.id.startswith("ocid1.aivisionproject.oc1.eu-frankfurt-1.")
    with Workspace(tmp_path / "w", region="local") as workspace:
        assert OciVision(workspace).get_project(made.id).data.display_name == "bolts"


def test_a_project_without_a_name(client):
    made = client.create_project({"compartmentId": "c"}).data
    assert made.display_name is None and client.get_project(made.id).data.display_name is None
    assert [one.id for one in client.list_projects(sort_by="displayName").data.items] == [made.id]


GROUPS = (f"group {number}" for number in itertools.count())
NAMES = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), min_size=1, max_size=6)
TAGS = st.dictionaries(NAMES | st.sampled_from(["$moment", "$map"]), NAMES, max_size=3)
VALUES = NAMES | st.booleans() | st.integers(-(2**31), 2**31 - 1) | st.floats(-1e9, 1e9)
DEFINED = st.dictionaries(
    NAMES | st.just("$map"), st.dictionaries(NAMES | st.just("$moment"), VALUES, min_size=1, max_size=2), max_size=2
)


@given(name=NAMES, words=NAMES | st.just(""), tags=TAGS, defined=DEFINED, number=st.integers(0, 10**9))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_given_comes_back_and_so_it_does_the_second_time(client, name, words, tags, defined, number):
    details = {
        "displayName": name,
        "description": words,
        "compartmentId": "c",
        "freeformTags": tags,
        "definedTags": defined,
    }
    first = client.create_project(details, opc_retry_token=f"t{number}{hash(str(details))}"[:64])
    again = client.create_project(details, opc_retry_token=f"t{number}{hash(str(details))}"[:64])
    got = client.get_project(first.data.id).data
    assert first.data == again.data == got
    assert (got.display_name, got.description, got.freeform_tags, got.defined_tags) == (name, words, tags, defined)


@given(
    given_names=st.lists(NAMES, max_size=9),
    limit=st.integers(1, 4),
    by=st.sampled_from(["timeCreated", "displayName"]),
    order=st.sampled_from(["ASC", "DESC"]),
)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pages_hold_each_project_once_and_in_order(client, given_names, limit, by, order):
    group = next(GROUPS)
    made = [client.create_project({"displayName": n, "compartmentId": group}).data for n in given_names]
    asked = {"compartment_id": group, "limit": limit, "sort_by": by, "sort_order": order}
    found = list_call_get_all_results(client.list_projects, **asked).data
    key = (lambda one: one.time_created) if by == "timeCreated" else (lambda one: one.display_name)
    assert [key(one) for one in found] == sorted(map(key, made), reverse=order == "DESC")
    assert {one.id for one in found} == {one.id for one in made} and len(found) == len(made)


# ---------------------------------------------------------------- work requests are jobs


@pytest.fixture
def training(client, workspace):
    """Give a project in which a training waits, and the training's job."""
    made = client.create_project(DETAILS).data
    project = workspace.projects.find(names.id_of(made.id, "project"), service="oci")
    workspace.datasets.create(project, "train")
    model = workspace.models.create(project, output={"Bucket": "b"})
    return made, project, model, workspace.job(model.id)


def test_a_training_is_a_work_request(client, training):
    made, _, model, job = training
    (request,) = client.list_work_requests(status="ACCEPTED").data.items
    assert (request.operation_type, request.percent_complete, request.time_started) == ("CREATE_MODEL", 0, None)
    assert [(one.entity_type, one.action_type) for one in request.resources] == [
        ("model", "IN_PROGRESS"), ("project", "RELATED"),
    ]  # fmt: skip
    assert names.id_of(request.resources[0].identifier, "model") == model.id
    assert request.resources[1].identifier == made.id and request.compartment_id == "c"
    assert names.id_of(request.id, "workrequest") == job.id
    mine = client.list_work_requests(resource_id=request.resources[0].identifier).data.items
    assert [one.id for one in mine] == [request.id]
    assert client.get_work_request(request.id).data.status == "ACCEPTED"


def test_a_training_that_is_cancelled(client, training, workspace):
    _, project, _, _ = training
    (request,) = client.list_work_requests(status="ACCEPTED").data.items
    tag = client.get_work_request(request.id).headers["etag"]
    assert client.cancel_work_request(request.id, if_match=tag).data is None
    ended = client.get_work_request(request.id)
    assert (ended.data.status, ended.data.resources[0].action_type) == ("CANCELED", "FAILED")
    assert ended.headers["etag"] != tag and ended.data.time_finished is not None
    model = workspace.models.get(project, "1")
    assert (model.state, model.message) == (ModelState.FAILED, "cancelled")
    refused(409, "Conflict", client.cancel_work_request, request.id)
    refused(412, "NoEtagMatch", client.cancel_work_request, request.id, if_match=tag)
    assert client.list_work_request_errors(request.id).data.items == []
    assert "cancelled" in [line.message for line in client.list_work_request_logs(request.id).data.items]


def test_a_training_that_fails_says_why(tmp_path):
    with Workspace(tmp_path / "w", run="inline", preset="fast", threads=1) as workspace:
        client = OciVision(workspace)
        made = client.create_project(DETAILS).data
        project = workspace.projects.find(names.id_of(made.id, "project"), service="oci")
        workspace.datasets.create(project, "train")
        workspace.models.create(project, output={"Bucket": "b"})
        (request,) = client.list_work_requests(status="FAILED").data.items
        assert (request.operation_type, request.resources[0].action_type) == ("CREATE_MODEL", "FAILED")
        assert request.time_accepted <= request.time_started <= request.time_finished
        (error,) = client.list_work_request_errors(request.id, limit=1).data.items
        assert "0 normal images" in error.message and error.code == "Failed"
        client.delete_project(client.create_project(DETAILS).data.id)


def test_where_it_failed_in_the_program_is_nobodys_business(client, training, workspace):
    from vision_toolkit.workspace.records import queue

    job = training[3]
    with workspace.records.change() as connection:
        queue.log(connection, job, 'Traceback (most recent call last):\n  File "/secret/place.py"')
        queue.log(connection, job, "a line")
    (request,) = client.list_work_requests(status="ACCEPTED").data.items
    lines = [line.message for line in client.list_work_request_logs(request.id, sort_order="ASC").data.items]
    assert lines == ["Accepted.", "a line"]


def test_jobs_of_the_other_service_are_no_work_requests(client, workspace):
    project = workspace.projects.create("theirs")
    workspace.datasets.create(project, "train")
    model = workspace.models.create(project, output={"Bucket": "b"})
    assert client.list_work_requests().data.items == []
    job = workspace.job(model.id)
    for call in (client.get_work_request, client.cancel_work_request, client.list_work_request_errors):
        refused(404, "NotAuthorizedOrNotFound", call, names.ocid("workrequest", "us-east-1", job.id))


def test_every_state_has_a_name():
    assert set(names.JOB) == set(JobState) and set(names.MODEL) == set(ModelState)


# ---------------------------------------------------------------- models


def test_models_tell_what_they_have():
    with pytest.raises(TypeError, match="colour"):
        models.CreateProjectDetails(colour="red")
    with pytest.raises(AttributeError, match="CreateProjectDetails"):
        models.Nothing  # noqa: B018
    with pytest.raises(AttributeError):
        models.DisplayName  # noqa: B018 a text, no structure
    assert models.as_json(oci.ai_vision.models.CreateProjectDetails(display_name="a")) == {"displayName": "a"}
    assert models.Project(id="a") != models.ProjectSummary(id="a")


def test_headers_are_found_however_they_are_written(client):
    headers = client.create_project(DETAILS).headers
    assert headers["ETag"] == headers["etag"] == headers.get("ETAG") and "Opc-Work-Request-Id" in headers
    del headers["etag"]
    assert "ETag" not in headers and len(headers) == len(list(headers))
