"""What Lookout for Vision asks to be done, in plain Python: the service checks and translates, this works.

What is given has passed the contract's checks; what may be absent is None. Faults are told in the errors of
:mod:`vision_toolkit.core.errors`, with :meth:`~vision_toolkit.core.errors.VisionError.about` one of "project",
"dataset", "model" and "package", or "quota" with the name of the limit.
"""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from vision_toolkit.services.lookout import answers, shapes

__all__ = ["Work"]


class Work(Protocol):
    """Be what does the work of each operation, under its name; a class that does it inherits from this one."""

    # ---- projects

    def create_project(self, project: str) -> answers.CreateProjectResponse:
        """Make a project."""
        ...

    def describe_project(self, project: str) -> answers.DescribeProjectResponse:
        """Tell of a project and its datasets."""
        ...

    def list_projects(self, token: str | None, limit: int) -> answers.ListProjectsResponse:
        """Tell of at most ``limit`` projects."""
        ...

    def delete_project(self, project: str) -> answers.DeleteProjectResponse:
        """Delete a project that has neither datasets nor models."""
        ...

    # ---- datasets

    def create_dataset(
        self, project: str, dataset: str, source: shapes.DatasetSource | None
    ) -> answers.CreateDatasetResponse:
        """Make the dataset ``train`` or ``test`` of a project, from a manifest or empty."""
        ...

    def describe_dataset(self, project: str, dataset: str) -> answers.DescribeDatasetResponse:
        """Tell of a dataset."""
        ...

    def delete_dataset(self, project: str, dataset: str) -> answers.DeleteDatasetResponse:
        """Delete a dataset, at once for every later call."""
        ...

    def update_dataset_entries(
        self, project: str, dataset: str, changes: bytes
    ) -> answers.UpdateDatasetEntriesResponse:
        """Add or replace the lines of a dataset that ``changes`` (JSON Lines) holds."""
        ...

    def list_dataset_entries(
        self,
        project: str,
        dataset: str,
        *,
        labelled: bool | None,
        anomaly_class: str | None,
        before: datetime | None,
        after: datetime | None,
        contains: str | None,
        token: str | None,
        limit: int,
    ) -> answers.ListDatasetEntriesResponse:
        """Give at most ``limit`` lines of a dataset that satisfy every condition that is given."""
        ...

    # ---- models

    def create_model(
        self,
        project: str,
        output: shapes.OutputConfig,
        *,
        description: str | None,
        key: str | None,
        tags: list[shapes.Tag] | None,
    ) -> answers.CreateModelResponse:
        """Begin to train a model."""
        ...

    def describe_model(self, project: str, version: str) -> answers.DescribeModelResponse:
        """Tell of a model."""
        ...

    def list_models(self, project: str, token: str | None, limit: int) -> answers.ListModelsResponse:
        """Tell of at most ``limit`` models."""
        ...

    def delete_model(self, project: str, version: str) -> answers.DeleteModelResponse:
        """Delete a model, at once for every later call."""
        ...

    # ---- hosting

    def start_model(self, project: str, version: str, least: int, most: int | None) -> answers.StartModelResponse:
        """Begin to host a model with ``least`` to ``most`` inference units."""
        ...

    def stop_model(self, project: str, version: str) -> answers.StopModelResponse:
        """End hosting a model."""
        ...

    def detect_anomalies(
        self, project: str, version: str, image: bytes, content_type: str
    ) -> answers.DetectAnomaliesResponse:
        """Judge an image with a hosted model."""
        ...

    # ---- packaging

    def start_model_packaging_job(
        self,
        project: str,
        version: str,
        configuration: shapes.ModelPackagingConfiguration,
        *,
        job: str | None,
        description: str | None,
    ) -> answers.StartModelPackagingJobResponse:
        """Begin to package a model."""
        ...

    def describe_model_packaging_job(self, project: str, job: str) -> answers.DescribeModelPackagingJobResponse:
        """Tell of a packaging job."""
        ...

    def list_model_packaging_jobs(
        self, project: str, token: str | None, limit: int
    ) -> answers.ListModelPackagingJobsResponse:
        """Tell of at most ``limit`` packaging jobs."""
        ...

    # ---- tags

    def tag_resource(self, arn: str, tags: list[shapes.Tag]) -> answers.TagResourceResponse:
        """Add tags to a resource, replacing those of the same keys."""
        ...

    def untag_resource(self, arn: str, keys: list[str]) -> answers.UntagResourceResponse:
        """Take tags from a resource."""
        ...

    def list_tags_for_resource(self, arn: str) -> answers.ListTagsForResourceResponse:
        """Give the tags of a resource."""
        ...
