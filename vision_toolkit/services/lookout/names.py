"""What Lookout for Vision calls the states that live in a workspace; a test proves that each has a name."""

from __future__ import annotations

from vision_toolkit.services.lookout import shapes
from vision_toolkit.workspace.lifecycle import DatasetState, ModelState, PackageState

__all__ = ["DATASET", "HOSTING", "MODEL", "PACKAGE", "arn_of_model", "arn_of_project", "model_of_arn"]

DATASET: dict[DatasetState, shapes.DatasetStatus] = {
    DatasetState.CREATING: "CREATE_IN_PROGRESS",
    DatasetState.CREATED: "CREATE_COMPLETE",
    DatasetState.FAILED: "CREATE_FAILED",
    DatasetState.UPDATING: "UPDATE_IN_PROGRESS",
    DatasetState.UPDATED: "UPDATE_COMPLETE",
    DatasetState.ROLLING_BACK: "UPDATE_FAILED_ROLLBACK_IN_PROGRESS",
    DatasetState.ROLLED_BACK: "UPDATE_FAILED_ROLLBACK_COMPLETE",
    DatasetState.DELETED: "DELETE_COMPLETE",
}
"""What a dataset's state is called."""
MODEL: dict[ModelState, shapes.ModelStatus] = {
    ModelState.TRAINING: "TRAINING",
    ModelState.TRAINED: "TRAINED",
    ModelState.FAILED: "TRAINING_FAILED",
    ModelState.STARTING: "STARTING_HOSTING",
    ModelState.HOSTED: "HOSTED",
    ModelState.HOSTING_FAILED: "HOSTING_FAILED",
    ModelState.STOPPING: "STOPPING_HOSTING",
    ModelState.DELETED: "DELETING",
}
"""What a model's state is called."""
HOSTING: dict[ModelState, shapes.ModelHostingStatus] = {
    ModelState.STARTING: "STARTING_HOSTING",
    ModelState.HOSTED: "HOSTED",
    ModelState.HOSTING_FAILED: "HOSTING_FAILED",
    ModelState.STOPPING: "STOPPING_HOSTING",
}
"""What StartModel and StopModel answer."""
PACKAGE: dict[PackageState, shapes.ModelPackagingJobStatus] = {
    PackageState.CREATED: "CREATED",
    PackageState.RUNNING: "RUNNING",
    PackageState.SUCCEEDED: "SUCCEEDED",
    PackageState.FAILED: "FAILED",
}
"""What a packaging job's state is called."""


def arn_of_project(region: str, account: str, project: str) -> str:
    """Return the name of a project that is unique in the world.

    Examples
    --------
    >>> arn_of_project("us-east-1", "000000000000", "cookies")
    'arn:aws:lookoutvision:us-east-1:000000000000:project/cookies'
    """
    return f"arn:aws:lookoutvision:{region}:{account}:project/{project}"


def arn_of_model(region: str, account: str, project: str, version: str | int) -> str:
    """Return the name of a model that is unique in the world."""
    return f"arn:aws:lookoutvision:{region}:{account}:model/{project}/{version}"


def model_of_arn(arn: str, region: str, account: str) -> tuple[str, str] | None:
    """Return project and version of a model's name; None if it is not one of this service.

    Examples
    --------
    >>> model_of_arn("arn:aws:lookoutvision:us-east-1:000000000000:model/cookies/2", "us-east-1", "000000000000")
    ('cookies', '2')
    """
    head, _, rest = arn.partition(":model/")
    project, _, version = rest.partition("/")
    if head != f"arn:aws:lookoutvision:{region}:{account}" or not project or not version.isdigit():
        return None
    return project, version
