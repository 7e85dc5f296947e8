"""What OCI Vision calls the states and jobs that live in a workspace; a test proves that each state has a name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vision_toolkit.services.oci import shapes
from vision_toolkit.workspace.lifecycle import JobState, ModelState

__all__ = ["JOB", "KINDS", "MODEL", "SERVICE", "Entity", "Kind", "id_of", "ocid"]

SERVICE = "oci"
"""Whose projects they are, in the records."""
Entity = Literal["project", "model", "workrequest"]
"""What has an id."""

JOB: dict[JobState, shapes.OperationStatus] = {
    JobState.ACCEPTED: "ACCEPTED",
    JobState.RUNNING: "IN_PROGRESS",
    JobState.SUCCEEDED: "SUCCEEDED",
    JobState.FAILED: "FAILED",
    JobState.CANCELED: "CANCELED",
}
"""What a job's state is called.

WAITING and CANCELING are never said: nothing is asked of a person, and a job that is cancelled is so at once.
"""
MODEL: dict[ModelState, shapes.LifecycleState] = {
    ModelState.TRAINING: "CREATING",
    ModelState.TRAINED: "ACTIVE",
    ModelState.FAILED: "FAILED",
    ModelState.STARTING: "UPDATING",
    ModelState.HOSTED: "ACTIVE",
    ModelState.HOSTING_FAILED: "ACTIVE",
    ModelState.STOPPING: "UPDATING",
    ModelState.DELETED: "DELETED",
}
"""What a model's state is called."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Say how a kind of job looks as a work request.

    Parameters
    ----------
    operation
        its ``operationType``.
    entity
        what its target is.
    action
        what happened to the target once it has succeeded.
    """

    operation: shapes.OperationType
    entity: Entity
    action: Literal["CREATED", "UPDATED", "DELETED"]


KINDS: dict[str, Kind] = {
    "create project": Kind("CREATE_PROJECT", "project", "CREATED"),
    "update project": Kind("UPDATE_PROJECT", "project", "UPDATED"),
    "move project": Kind("MOVE_PROJECT", "project", "UPDATED"),
    "delete project": Kind("DELETE_PROJECT", "project", "DELETED"),
    "train": Kind("CREATE_MODEL", "model", "CREATED"),
}
"""Every kind of job that is a work request. To add one: one line."""


def ocid(entity: Entity, region: str, id: str) -> str:
    """Return the name of something that is unique in the world.

    Examples
    --------
    >>> ocid("project", "us-east-1", "4f2a")
    'ocid1.aivisionproject.oc1.us-east-1.4f2a'
    """
    return f"ocid1.aivision{entity}.oc1.{region}.{id}"


def id_of(name: str, entity: Entity) -> str | None:
    """Return the id in a name, whatever its region; None if it names no such thing.

    Examples
    --------
    >>> id_of("ocid1.aivisionproject.oc1.us-east-1.4f2a", "project")
    '4f2a'
    >>> id_of("ocid1.aivisionmodel.oc1.us-east-1.4f2a", "project")
    """
    parts = name.split(".")
    if len(parts) != 5 or parts[:3] != ["ocid1", f"aivision{entity}", "oc1"]:
        return None
    return parts[4] or None
