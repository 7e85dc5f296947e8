"""One mechanism serves two conventions: boto3's, and OCI's, whose fake stands here whole."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, Required, TypedDict

import pytest

from vision_toolkit.core.errors import Conflict, NotFound, VisionError
from vision_toolkit.services.lookout import LookoutVision
from vision_toolkit.services.operation import In, Operation, Reply, Service, camel, operation
from vision_toolkit.services.shapes import Text, Violation, Whole, epoch


class CreateProjectDetails(TypedDict, total=False):
    displayName: Annotated[str, Text(1, 255)]
    compartmentId: Required[Annotated[str, Text(1)]]
    freeformTags: dict[str, str]


class Project(TypedDict, total=False):
    id: str
    displayName: str
    timeCreated: datetime


class ProjectCollection(TypedDict, total=False):
    items: list[Project]


@dataclass
class Response:
    status: int
    headers: dict[str, str]
    data: Any


class ServiceError(Exception):
    def __init__(self, status: int, code: str, message: str, request_id: str) -> None:
        super().__init__(message)
        self.status, self.code, self.request_id = status, code, request_id


class Missing(VisionError):
    """Something required was not given."""


class Oracle(Service):
    """Speaks as OCI Vision does: snake case, whole bodies, answers with headers, unknown members ignored."""

    prefix = "/20220125"
    ignores_unknown = True
    incidental = frozenset({"opc_request_id"})
    headers = ("opc_request_id", "opc_retry_token", "if_match")

    @classmethod
    def place(cls, name: str, method: str, path: str) -> In:
        if name in cls.headers:
            return In("header", name.replace("_", "-"))
        if f"{{{camel(name)}}}" in path:
            return In("path", camel(name))
        return In("body", name) if name.endswith("_details") else In("query", camel(name))

    def refusal(self, violations: list[Violation]) -> VisionError:
        missing = all(one.value is None for one in violations)
        return Missing(str(violations[0])) if missing else super().refusal(violations)

    def fault(self, error: Exception, operation: Operation, arguments: Mapping[str, Any], request_id: str) -> Exception:
        codes = {Missing: (400, "MissingParameter"), NotFound: (404, "NotAuthorizedOrNotFound"),
                 Conflict: (409, "InvalidatedRetryToken")}  # fmt: skip
        status, code = codes.get(type(error), (400, "InvalidParameter"))  # type: ignore[call-overload]
        return ServiceError(status, code, str(error), arguments.get("opc_request_id") or request_id)

    def answer(self, answer: Any, operation: Operation, request_id: str) -> Response:
        reply = answer if isinstance(answer, Reply) else Reply(answer)
        return Response(operation.status, {"opc-request-id": request_id, **reply.headers}, reply.data)

    @staticmethod
    def date(moment: datetime) -> str:
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    @operation("POST", "/projects", token="opc_retry_token", errors=("InvalidParameter",))
    def create_project(
        self,
        create_project_details: CreateProjectDetails,
        *,
        opc_retry_token: Annotated[str, Text(1, 64)] | None = None,
        opc_request_id: str | None = None,
    ) -> Reply[Project]:
        """Creates a project."""
        self.made = getattr(self, "made", 0) + 1
        name = create_project_details.get("displayName", "")
        return Reply({"id": f"ocid1.{self.made}", "displayName": name}, {"etag": "1"})

    @operation("GET", "/projects/{projectId}")
    def get_project(self, project_id: str, *, opc_request_id: str | None = None) -> Reply[Project]:
        """Gets a project."""
        raise NotFound(f"No project {project_id}.")

    @operation("GET", "/projects", pages="items")
    def list_projects(
        self,
        *,
        compartment_id: str | None = None,
        limit: Annotated[int, Whole(1, 1000)] | None = None,
        sort_order: Literal["ASC", "DESC"] | None = None,
    ) -> Reply[ProjectCollection]:
        """Lists the projects."""
        return Reply({"items": [{"id": f"{compartment_id} {limit!r} {sort_order}"}]}, {"opc-next-page": "2"})

    @operation("DELETE", "/projects/{projectId}", status=204)
    def delete_project(self, project_id: str, *, if_match: str | None = None) -> None:
        """Deletes a project."""


@pytest.fixture
def oracle(memory: Any) -> Oracle:
    return Oracle(memory)


def places(service: type[Service], name: str) -> dict[str, tuple[str, str, bool]]:
    return {n: (p.place, p.wire, p.required) for n, p in service.operations()[name].parameters.items()}


def test_ocis_arguments_travel_by_its_convention() -> None:
    assert places(Oracle, "create_project") == {
        "create_project_details": ("body", "create_project_details", True),
        "opc_retry_token": ("header", "opc-retry-token", False),
        "opc_request_id": ("header", "opc-request-id", False),
    }
    assert places(Oracle, "get_project")["project_id"] == ("path", "projectId", True)
    assert places(Oracle, "delete_project")["if_match"] == ("header", "if-match", False)
    assert places(Oracle, "list_projects")["sort_order"] == ("query", "sortOrder", False)


def test_boto3s_arguments_travel_by_its_convention() -> None:
    assert places(LookoutVision, "untag_resource") == {
        "ResourceArn": ("path", "resourceArn", True),
        "TagKeys": ("query", "tagKeys", True),
    }
    assert places(LookoutVision, "detect_anomalies")["Body"] == ("raw", "Body", True)
    assert places(LookoutVision, "detect_anomalies")["ContentType"] == ("header", "Content-Type", True)
    assert places(LookoutVision, "list_dataset_entries")["BeforeCreationDate"] == ("query", "createdBefore", False)
    assert places(LookoutVision, "create_model")["Tags"] == ("member", "Tags", False)


def test_answers_are_wrapped_as_the_service_wants(oracle: Oracle) -> None:
    response = oracle.create_project({"compartmentId": "c", "displayName": "bolts", "newer": 1})  # type: ignore[typeddict-unknown-key]
    assert (response.status, response.headers["etag"]) == (200, "1")
    assert response.data == {"id": "ocid1.1", "displayName": "bolts"}
    assert oracle.delete_project("x").status == 204
    assert Oracle.operations()["create_project"].returns is Project
    assert Oracle.operations()["delete_project"].returns is None


def test_what_a_wire_gets_is_not_wrapped(oracle: Oracle) -> None:
    listing = Oracle.operations()["list_projects"]
    reply = oracle.call(listing, {"compartment_id": "c", "limit": "7", "sort_order": "ASC", "newer": "x"}, text=True)
    assert reply == Reply({"items": [{"id": "c 7 ASC"}]}, {"opc-next-page": "2"})
    assert oracle.encode({"timeCreated": datetime.fromisoformat("2024-01-02T03:04:05Z")}) == {
        "timeCreated": "2024-01-02T03:04:05.000Z"
    }


def test_text_is_read_as_text_only_where_all_is_text(oracle: Oracle) -> None:
    with pytest.raises(ServiceError, match="Member must be an integer"):
        oracle.list_projects(limit="7")  # type: ignore[arg-type]


def test_errors_are_the_services_own(oracle: Oracle) -> None:
    with pytest.raises(ServiceError) as caught:
        oracle.get_project("p", opc_request_id="MINE")
    assert (caught.value.status, caught.value.code, caught.value.request_id) == (404, "NotAuthorizedOrNotFound", "MINE")
    assert caught.value.__cause__ is None
    with pytest.raises(ServiceError, match="compartmentId") as caught:
        oracle.create_project({})
    assert caught.value.code == "MissingParameter"
    with pytest.raises(ServiceError, match="one of"):
        oracle.get_project("p", newer=1)  # type: ignore[call-arg]


def test_a_repeated_call_is_made_once(oracle: Oracle, memory: Any) -> None:
    first = oracle.create_project({"compartmentId": "c"}, opc_retry_token="t", opc_request_id="1")
    again = oracle.create_project({"compartmentId": "c"}, opc_retry_token="t", opc_request_id="2")
    assert first.data == again.data == {"id": "ocid1.1", "displayName": ""}
    with pytest.raises(ServiceError) as caught:
        oracle.create_project({"compartmentId": "d"}, opc_retry_token="t")
    assert caught.value.code == "InvalidatedRetryToken"
    assert oracle.create_project({"compartmentId": "c"}).data["id"] == "ocid1.2"
    assert memory.calls[0] == ("CreateProject /projects", "t", {"create_project_details": {"compartmentId": "c"}})
    oracle.list_projects()
    assert len(memory.calls) == 4  # an operation without a token is not remembered


def test_positional_arguments_are_those_of_the_signature(oracle: Oracle) -> None:
    with pytest.raises(TypeError, match=re.escape("get_project() takes 1 positional arguments; 2 were given.")):
        oracle.get_project("a", "b")  # type: ignore[misc]
    with pytest.raises(TypeError, match="multiple values for argument 'project_id'"):
        oracle.get_project("a", project_id="b")  # type: ignore[misc]
    with pytest.raises(TypeError, match=re.escape("list_projects() only accepts keyword arguments.")):
        oracle.list_projects("c")  # type: ignore[misc]


def test_a_scope_names_one_resource() -> None:
    one = LookoutVision.operations()["start_model"]
    assert one.scope({"ProjectName": "a", "ModelVersion": "1"}) == "StartModel /projects/a/models/1/start"
    tags = LookoutVision.operations()["list_tags_for_resource"]
    assert tags.scope({"ResourceArn": "a/b c"}) == "ListTagsForResource /tags/a%2Fb%20c"


def test_a_method_shows_what_it_takes() -> None:
    assert str(inspect.signature(Oracle.get_project)).startswith("(self, project_id: str, *, opc_request_id:")
    assert inspect.signature(LookoutVision.create_project).parameters["ProjectName"].annotation is str
    assert Oracle.get_project.__doc__ == "Gets a project."
    assert Oracle.get_project.__name__ == "get_project"


def test_services_do_not_share_operations_but_inherit_them() -> None:
    class Newer(Oracle):
        @operation("GET", "/streams")
        def list_streams(self) -> None:
            """Lists streams."""

    assert set(Newer.operations()) - set(Oracle.operations()) == {"list_streams"}
    assert all(one.service is Newer for one in Newer.operations().values())
    assert all(one.service is Oracle for one in Oracle.operations().values())
    assert Service.operations() == {}
    assert list(Oracle.operations()) == ["create_project", "get_project", "list_projects", "delete_project"]


def test_what_a_service_must_say_itself() -> None:
    bare = Service.__new__(Service)
    with pytest.raises(NotImplementedError):
        Service.place("a", "GET", "/")
    with pytest.raises(NotImplementedError):
        bare.fault(ValueError(), None, {}, "")  # type: ignore[arg-type]
    assert bare.answer({"a": 1}, None, "") == {"a": 1}  # type: ignore[arg-type]
    assert Service.date is not None and bare.date(datetime.fromisoformat("1970-01-01T00:00:01Z")) == 1 == epoch(
        datetime.fromisoformat("1970-01-01T00:00:01Z")
    )
