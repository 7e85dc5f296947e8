"""Lookout for Vision in process: the client, with the names, checks, answers and errors that boto3 had."""

from __future__ import annotations

from dataclasses import dataclass

from vision_toolkit.core.errors import Unsupported
from vision_toolkit.services.lookout.datasets import Datasets
from vision_toolkit.services.lookout.errors import Exceptions
from vision_toolkit.services.lookout.models import Models
from vision_toolkit.services.lookout.packages import Packages
from vision_toolkit.services.lookout.work import Work
from vision_toolkit.services.operation import Once
from vision_toolkit.services.paging import Pages, Paginator

__all__ = ["LookoutVision", "Meta"]


@dataclass(frozen=True, slots=True)
class Meta:
    """Say where a client is: ``client.meta.region_name``."""

    region_name: str


class LookoutVision(Datasets, Models, Packages):
    """Offer Lookout for Vision (2020-11-20) as ``boto3.client("lookoutvision")`` did, without a network.

    All 22 operations take keyword arguments under boto3's names, answer with the same dicts, and raise the same errors
    (``client.exceptions.ConflictException``). Every violation of the contract is a ``ValidationException`` that tells
    all of them, those too that boto3 noticed before it sent anything.

    Parameters
    ----------
    workspace
        what remembers which calls were made already.
    work
        what does the work.
    region
        what ``client.meta.region_name`` says.

    Examples
    --------
    >>> list(LookoutVision.operations())[:3]
    ['create_project', 'describe_project', 'list_projects']
    """

    def __init__(self, workspace: Once, work: Work, *, region: str = "us-east-1") -> None:
        super().__init__(workspace, work)
        self.meta = Meta(region)
        self.exceptions = Exceptions()
        self.waiter_names: list[str] = []

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

    def get_waiter(self, waiter_name: str) -> None:
        """Raise ValueError, for the service has no waiters: ask describe_model until it is done."""
        raise ValueError(f"Waiter does not exist: {waiter_name}")

    def close(self) -> None:
        """Do nothing: there is no connection to close."""
