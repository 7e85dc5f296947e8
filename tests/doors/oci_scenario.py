"""The life of projects and their work requests, told to any client that looks like Oracle's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

HOME, OTHER = "ocid1.compartment.oc1..home", "ocid1.compartment.oc1..other"


def run(client: Any) -> None:
    """Go the whole way."""
    project = made(client)
    changed(client, project)
    repeated(client)
    listed(client)
    asked(client, project)
    deleted(client, project)
    not_built(client)


def refused(status: int, code: str, call: Callable[..., Any], *arguments: Any, **named: Any) -> str:
    """Return what an error told; it must have this status and this code."""
    caught: Any = None
    try:
        call(*arguments, **named)
    except Exception as error:  # noqa: BLE001 - each client has its own
        caught = error
    assert caught is not None, f"{code} expected"
    assert (getattr(caught, "status", None), getattr(caught, "code", None)) == (status, code), repr(caught)
    assert caught.message and caught.request_id, repr(caught)
    return str(caught.message)


def made(client: Any) -> str:
    details = {
        "displayName": "bolts & nuts", "description": "line 3, größer", "compartmentId": HOME,
        "freeformTags": {"owner": "me"}, "definedTags": {"plant": {"line": 3, "hot": True, "name": "east"}},
        "aMemberOfNewerVersions": [1],
    }  # fmt: skip
    answer = client.create_project(details, opc_request_id="MYNAME")
    assert answer.request_id == "MYNAME" and answer.status == 200
    told = answer.data
    assert told.id.startswith("ocid1.aivisionproject.oc1.") and "/" not in told.id
    assert (told.display_name, told.description, told.compartment_id) == ("bolts & nuts", "line 3, größer", HOME)
    assert told.lifecycle_state == "ACTIVE" and told.time_created <= told.time_updated
    assert isinstance(told.time_created, datetime) and told.time_created.tzinfo is not None
    assert told.freeform_tags == {"owner": "me"}
    assert told.defined_tags == {"plant": {"line": 3, "hot": True, "name": "east"}}
    got = client.get_project(told.id)
    assert got.headers["etag"] == answer.headers["etag"]
    assert (got.data.id, got.data.display_name, got.data.time_created) == (
        told.id,
        told.display_name,
        told.time_created,
    )
    request = client.get_work_request(answer.headers["opc-work-request-id"]).data
    assert (request.operation_type, request.status, request.percent_complete) == ("CREATE_PROJECT", "SUCCEEDED", 100)
    assert [(one.entity_type, one.action_type, one.identifier) for one in request.resources] == [
        ("project", "CREATED", told.id)
    ]
    assert "displayName" in refused(
        400, "InvalidParameter", client.create_project, {"displayName": "", "compartmentId": HOME}
    )
    assert "compartmentId" in refused(400, "MissingParameter", client.create_project, {"displayName": "a"})
    refused(404, "NotAuthorizedOrNotFound", client.get_project, told.id + "0")
    refused(404, "NotAuthorizedOrNotFound", client.get_project, told.id.replace("project", "model"))
    return str(told.id)


def changed(client: Any, project: str) -> None:
    before = client.get_project(project)
    tag = before.headers["etag"]
    answer = client.update_project(project, {"displayName": "bolts"}, if_match=tag)
    assert answer.data is None and answer.headers["etag"] != tag
    after = client.get_project(project)
    assert after.headers["etag"] == answer.headers["etag"]
    assert (after.data.display_name, after.data.description) == ("bolts", before.data.description)
    assert after.data.freeform_tags == before.data.freeform_tags and after.data.time_updated >= before.data.time_updated
    for call in (
        lambda: client.update_project(project, {"displayName": "late"}, if_match=tag),
        lambda: client.delete_project(project, if_match=tag),
        lambda: client.change_project_compartment(project, {"compartmentId": OTHER}, if_match=tag),
    ):
        refused(412, "NoEtagMatch", call)
    client.update_project(project, {"description": "", "freeformTags": {}})
    told = client.get_project(project).data
    assert (told.display_name, told.description or "", told.freeform_tags) == ("bolts", "", {})
    client.change_project_compartment(project, {"compartmentId": OTHER}, if_match="*")
    assert client.get_project(project).data.compartment_id == OTHER


def repeated(client: Any) -> None:
    details = {"displayName": "twice", "compartmentId": HOME}
    first = client.create_project(details, opc_retry_token="once only")
    again = client.create_project(details, opc_retry_token="once only", opc_request_id="ANOTHER")
    assert (first.data.id, first.data.time_created) == (again.data.id, again.data.time_created)
    assert first.headers["opc-work-request-id"] == again.headers["opc-work-request-id"]
    assert again.request_id == "ANOTHER"
    other = {**details, "displayName": "thrice"}
    refused(409, "InvalidatedRetryToken", client.create_project, other, opc_retry_token="once only")
    assert client.create_project(details).data.id != first.data.id  # names are not unique


def listed(client: Any) -> None:
    for name in ("c", "a", "b", "a"):
        client.create_project({"displayName": name, "compartmentId": "ocid1.compartment.oc1..list"})
    asked = {"compartment_id": "ocid1.compartment.oc1..list"}

    def names(**more: Any) -> list[str]:
        """Go through all pages, two items at a time."""
        found, page = [], {}
        while True:
            answer = client.list_projects(**asked, **more, **page, limit=2)
            assert len(answer.data.items) <= 2
            found += [one.display_name for one in answer.data.items]
            if not answer.has_next_page:
                assert "opc-next-page" not in answer.headers
                return found
            page = {"page": answer.next_page}

    assert names() == ["a", "b", "a", "c"]
    assert names(sort_order="ASC") == ["c", "a", "b", "a"]
    assert names(sort_by="displayName") == ["a", "a", "b", "c"]
    assert names(sort_by="displayName", sort_order="DESC") == ["c", "b", "a", "a"]
    assert names(display_name="a", lifecycle_state="ACTIVE") == ["a", "a"]
    assert names(lifecycle_state="DELETED") == names(display_name="nobody") == []
    one = client.list_projects(**asked).data.items[0]
    assert [each.id for each in client.list_projects(id=one.id).data.items] == [one.id]
    assert client.list_projects(id="ocid1.x").data.items == []
    page = client.list_projects(**asked, limit=1).next_page
    refused(400, "InvalidParameter", client.list_projects, **asked, display_name="a", page=page)
    refused(400, "InvalidParameter", client.list_projects, page="rubbish")
    refused(400, "InvalidParameter", client.list_projects, limit=0)


def asked(client: Any, project: str) -> None:
    found = client.list_work_requests(resource_id=project, sort_order="ASC").data.items
    assert [one.operation_type for one in found] == [
        "CREATE_PROJECT", "UPDATE_PROJECT", "UPDATE_PROJECT", "MOVE_PROJECT",
    ]  # fmt: skip
    assert {one.status for one in found} == {"SUCCEEDED"} and {one.compartment_id for one in found} == {OTHER}
    assert all(one.time_accepted <= one.time_started <= one.time_finished for one in found)
    newest = client.list_work_requests(resource_id=project, limit=1)
    assert newest.data.items[0].id == found[-1].id and newest.has_next_page
    following = client.list_work_requests(resource_id=project, limit=1, page=newest.next_page).data.items
    assert [one.id for one in following] == [found[-2].id]
    assert client.list_work_requests(compartment_id=OTHER, status="SUCCEEDED", limit=1000).data.items
    assert client.list_work_requests(status="FAILED").data.items == []
    assert [one.id for one in client.list_work_requests(work_request_id=found[0].id).data.items] == [found[0].id]
    assert client.list_work_request_errors(found[0].id).data.items == []
    lines = client.list_work_request_logs(found[0].id, sort_order="ASC", sort_by="timeAccepted")
    assert [line.message for line in lines.data.items] == ["Accepted.", "Started.", "Succeeded."]
    part = client.list_work_request_logs(found[0].id, limit=2)
    rest = client.list_work_request_logs(found[0].id, limit=2, page=part.next_page)
    assert [line.message for line in [*part.data.items, *rest.data.items]] == ["Succeeded.", "Started.", "Accepted."]
    assert not rest.has_next_page
    tag = client.get_work_request(found[0].id).headers["etag"]
    refused(409, "Conflict", client.cancel_work_request, found[0].id, if_match=tag)
    refused(412, "NoEtagMatch", client.cancel_work_request, found[0].id, if_match="another")
    refused(404, "NotAuthorizedOrNotFound", client.get_work_request, "ocid1.aivisionworkrequest.oc1.x.0")
    refused(404, "NotAuthorizedOrNotFound", client.list_work_request_logs, project)


def deleted(client: Any, project: str) -> None:
    answer = client.delete_project(project)
    assert answer.data is None
    assert client.get_work_request(answer.headers["opc-work-request-id"]).data.operation_type == "DELETE_PROJECT"
    told = client.get_project(project).data
    assert (told.lifecycle_state, told.display_name) == ("DELETED", "bolts")
    assert project not in [one.id for one in client.list_projects(limit=1000).data.items]
    for call in (
        lambda: client.delete_project(project),
        lambda: client.update_project(project, {"displayName": "x"}),
        lambda: client.change_project_compartment(project, {"compartmentId": HOME}),
    ):
        assert "deleted" in refused(404, "NotAuthorizedOrNotFound", call)


def not_built(client: Any) -> None:
    for name, arguments in {
        "get_model": ("ocid1.x",),
        "list_models": (),
        "delete_model": ("ocid1.x",),
        "analyze_image": ({"features": [], "image": {"source": "INLINE", "data": "A" * 2_000_000}},),
        "list_stream_groups": (),
    }.items():
        assert name in refused(501, "MethodNotImplemented", getattr(client, name), *arguments)
