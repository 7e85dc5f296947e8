"""Lookout for Vision in process: the client, with the names, checks, answers and errors that boto3 had."""

from __future__ import annotations

import os
from dataclasses import dataclass

from vision_toolkit.core.errors import Unsupported
from vision_toolkit.core.settings import Settings
from vision_toolkit.services.lookout.datasets import Datasets
from vision_toolkit.services.lookout.errors import Exceptions
from vision_toolkit.services.lookout.extras import WAITERS, Extras
from vision_toolkit.services.lookout.models import Models
from vision_toolkit.services.lookout.packages import Packages
from vision_toolkit.services.lookout.passing import Passing
from vision_toolkit.services.lookout.work import Work
from vision_toolkit.services.operation import Once
from vision_toolkit.services.paging import Pages, Paginator
from vision_toolkit.workspace import Workspace

__all__ = ["LookoutVision", "Meta"]


@dataclass(frozen=True, slots=True)
class Meta:
    """Say where a client is: ``client.meta.region_name``."""

    region_name: str


class LookoutVision(Datasets, Models, Packages, Extras):
    """Offer Lookout for Vision (2020-11-20) as ``boto3.client("lookoutvision")`` did, without a network.

    All 22 operations take keyword arguments under boto3's names, answer with the same dicts, and raise the same errors
    (``client.exceptions.ConflictException``). Every violation of the contract is a ``ValidationException`` that tells
    all of them, those too that boto3 noticed before it sent anything.

    What the service never had is here too (:class:`~vision_toolkit.services.lookout.extras.Extras`): waiting, the
    split, removing images, trial detections.

    Parameters
    ----------
    workspace
        where everything lives: a :class:`~vision_toolkit.workspace.Workspace`, or the folder of one, which is then run
        by threads of this process.
    work
        what does the work; None = the workspace.
    region
        what ``client.meta.region_name`` says; None = the workspace's.

    Examples
    --------
    >>> list(LookoutVision.operations())[:3]
    ['create_project', 'describe_project', 'list_projects']
    """

    def __init__(
        self, workspace: Once | str | os.PathLike[str], work: Work | None = None, *, region: str | None = None
    ) -> None:
        if isinstance(workspace, str | os.PathLike):
            workspace = Workspace(workspace, run=True)
        if isinstance(workspace, Workspace):
            work, region = work or Passing(workspace), region or workspace.settings.region
        if work is None:
            raise TypeError(f"Without work= it takes a Workspace or its folder; {workspace!r} was given.")
        super().__init__(workspace, work)
        self.workspace = workspace
        self.meta = Meta(region or Settings().region)
        self.exceptions = Exceptions()
        self.waiter_names = list(WAITERS)

    def can_paginate(self, operation_name: str) -> bool:
        """Return whether an operation has a paginator."""
        one = self.operations().get(operation_name)
        return one is not None and one.pages is not None

    def get_paginator(self, operation_name: str) -> Paginator:
        """Return the paginator of an operation.

        Parameters
        ----------
        operation_name
            ``list_projects``, ``list_models``, ``list_dataset_entries`` or ``list_model_packaging_jobs``.

        Raises
        ------
        Unsupported
            if the operation has none.
        """
        every = {name: one.pages for name, one in self.operations().items() if one.pages}
        if operation_name not in every:
            raise Unsupported(f"Operation cannot be paginated: {operation_name}; these can: {', '.join(every)}.")
        return Paginator(getattr(self, operation_name), Pages(every[operation_name]))

    def close(self) -> None:
        """Close the workspace, and with it the jobs that run in this process; they go on where it is opened again."""
        if isinstance(self.workspace, Workspace):
            self.workspace.close()
