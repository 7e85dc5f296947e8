"""The structures and constrained values of OCI Vision (20220125), named as in its SDK, members as on its wire.

Only those of the operations that are built. The SDK tells no lengths and no patterns; where it tells none, these are
bounds of ours, wide enough for what people write.
"""

# Without postponed annotations: the words are looked at when a request is checked.

from datetime import datetime
from typing import Annotated, Any, Literal, Required, TypedDict

from vision_toolkit.services.shapes import Items, Text, Whole

__all__ = [
    "ChangeProjectCompartmentDetails",
    "CompartmentId",
    "CreateProjectDetails",
    "DefinedTags",
    "Description",
    "DisplayName",
    "Etag",
    "FreeformTags",
    "LifecycleState",
    "OperationStatus",
    "OperationType",
    "PageSize",
    "PageToken",
    "Project",
    "ProjectCollection",
    "ProjectSummary",
    "ResourceId",
    "RetryToken",
    "SortBy",
    "SortOrder",
    "SystemTags",
    "UpdateProjectDetails",
    "WorkRequest",
    "WorkRequestError",
    "WorkRequestErrorCollection",
    "WorkRequestLogEntry",
    "WorkRequestLogEntryCollection",
    "WorkRequestResource",
    "WorkRequestSortBy",
    "WorkRequestSummary",
    "WorkRequestSummaryCollection",
]

CompartmentId = Annotated[str, Text(1, 255)]
Description = Annotated[str, Text(0, 4096)]
DisplayName = Annotated[str, Text(1, 255)]
Etag = Annotated[str, Text(1, 255)]
LifecycleState = Literal["CREATING", "UPDATING", "ACTIVE", "DELETING", "DELETED", "FAILED"]
OperationStatus = Literal["ACCEPTED", "IN_PROGRESS", "WAITING", "FAILED", "SUCCEEDED", "CANCELING", "CANCELED"]
OperationType = Literal[
    "CREATE_PROJECT",
    "UPDATE_PROJECT",
    "DELETE_PROJECT",
    "MOVE_PROJECT",
    "CREATE_MODEL",
    "UPDATE_MODEL",
    "DELETE_MODEL",
    "MOVE_MODEL",
    "ADD_STREAM_SOURCE",
    "UPDATE_STREAM_SOURCE",
    "DELETE_STREAM_SOURCE",
    "MOVE_STREAM_SOURCE",
    "CREATE_STREAM_JOB",
    "DELETE_STREAM_JOB",
    "UPDATE_STREAM_JOB",
    "START_STREAM_JOB",
    "STOP_STREAM_JOB",
    "MOVE_STREAM_JOB",
    "ADD_STREAM_GROUP",
    "UPDATE_STREAM_GROUP",
    "DELETE_STREAM_GROUP",
    "CREATE_VISION_PRIVATE_ENDPOINT",
    "UPDATE_VISION_PRIVATE_ENDPOINT",
    "DELETE_VISION_PRIVATE_ENDPOINT",
    "MOVE_VISION_PRIVATE_ENDPOINT",
]
PageSize = Annotated[int, Whole(1, 1000)]
PageToken = Annotated[str, Text(1, 2048)]
ResourceId = Annotated[str, Text(1, 255)]
RetryToken = Annotated[str, Text(1, 64)]
SortBy = Literal["timeCreated", "displayName"]
SortOrder = Literal["ASC", "DESC"]
WorkRequestSortBy = Literal["timeAccepted"]

_TagKey = Annotated[str, Text(1, 100)]
FreeformTags = Annotated[dict[_TagKey, Annotated[str, Text(0, 256)]], Items(0, 64)]
_TagValues = dict[_TagKey, Annotated[str, Text(0, 256)] | bool | int | float]
DefinedTags = Annotated[dict[_TagKey, Annotated[_TagValues, Items(0, 64)]], Items(0, 64)]
SystemTags = dict[str, dict[str, Any]]


class CreateProjectDetails(TypedDict, total=False):
    """What a new project is to be."""

    displayName: DisplayName
    description: Description
    compartmentId: Required[CompartmentId]
    freeformTags: FreeformTags
    definedTags: DefinedTags


class UpdateProjectDetails(TypedDict, total=False):
    """What is to be changed of a project; what is not there stays as it is."""

    displayName: DisplayName
    description: Description
    freeformTags: FreeformTags
    definedTags: DefinedTags


class ChangeProjectCompartmentDetails(TypedDict, total=False):
    """Where a project is to go."""

    compartmentId: Required[CompartmentId]


class Project(TypedDict, total=False):
    """A project, whole."""

    id: Required[ResourceId]
    displayName: DisplayName
    description: Description
    compartmentId: Required[CompartmentId]
    timeCreated: Required[datetime]
    timeUpdated: datetime
    lifecycleState: Required[LifecycleState]
    lifecycleDetails: str
    freeformTags: FreeformTags
    definedTags: DefinedTags
    systemTags: SystemTags


class ProjectSummary(TypedDict, total=False):
    """A project in a list."""

    id: Required[ResourceId]
    displayName: DisplayName
    compartmentId: Required[CompartmentId]
    timeCreated: Required[datetime]
    timeUpdated: datetime
    lifecycleState: Required[str]
    lifecycleDetails: str
    freeformTags: FreeformTags
    definedTags: DefinedTags
    systemTags: SystemTags


class ProjectCollection(TypedDict, total=False):
    """A page of projects."""

    items: Required[list[ProjectSummary]]


class WorkRequestResource(TypedDict, total=False):
    """What a work request is about."""

    entityType: Required[str]
    actionType: Required[Literal["CREATED", "UPDATED", "DELETED", "IN_PROGRESS", "RELATED", "FAILED"]]
    identifier: Required[ResourceId]
    entityUri: str


class WorkRequest(TypedDict, total=False):
    """What was asked for, and how far it is."""

    operationType: Required[OperationType]
    status: Required[OperationStatus]
    id: Required[ResourceId]
    compartmentId: Required[CompartmentId]
    resources: Required[list[WorkRequestResource]]
    percentComplete: Required[float]
    timeAccepted: Required[datetime]
    timeStarted: datetime
    timeFinished: datetime


class WorkRequestSummary(TypedDict, total=False):
    """A work request in a list."""

    operationType: Required[OperationType]
    status: Required[OperationStatus]
    id: Required[ResourceId]
    compartmentId: Required[CompartmentId]
    resources: Required[list[WorkRequestResource]]
    percentComplete: Required[float]
    timeAccepted: Required[datetime]
    timeStarted: datetime
    timeFinished: datetime


class WorkRequestSummaryCollection(TypedDict, total=False):
    """A page of work requests."""

    items: Required[list[WorkRequestSummary]]


class WorkRequestError(TypedDict, total=False):
    """Why a work request failed."""

    code: Required[str]
    message: Required[str]
    timestamp: Required[datetime]


class WorkRequestErrorCollection(TypedDict, total=False):
    """A page of errors."""

    items: Required[list[WorkRequestError]]


class WorkRequestLogEntry(TypedDict, total=False):
    """A line of a work request's log."""

    message: Required[str]
    timestamp: Required[datetime]


class WorkRequestLogEntryCollection(TypedDict, total=False):
    """A page of a log."""

    items: Required[list[WorkRequestLogEntry]]
