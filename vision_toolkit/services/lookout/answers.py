"""What each operation of Lookout for Vision answers, named as in its contract."""

from typing import TypedDict

from vision_toolkit.services.lookout.shapes import (
    DatasetDescription,
    DatasetEntryList,
    DatasetMetadata,
    DatasetStatus,
    DetectAnomalyResult,
    ModelArn,
    ModelDescription,
    ModelHostingStatus,
    ModelMetadata,
    ModelMetadataList,
    ModelPackagingDescription,
    ModelPackagingJobName,
    ModelPackagingJobsList,
    PaginationToken,
    ProjectArn,
    ProjectDescription,
    ProjectMetadata,
    ProjectMetadataList,
    TagList,
)

__all__ = [
    "CreateDatasetResponse",
    "CreateModelResponse",
    "CreateProjectResponse",
    "DeleteDatasetResponse",
    "DeleteModelResponse",
    "DeleteProjectResponse",
    "DescribeDatasetResponse",
    "DescribeModelPackagingJobResponse",
    "DescribeModelResponse",
    "DescribeProjectResponse",
    "DetectAnomaliesResponse",
    "ListDatasetEntriesResponse",
    "ListModelPackagingJobsResponse",
    "ListModelsResponse",
    "ListProjectsResponse",
    "ListTagsForResourceResponse",
    "StartModelPackagingJobResponse",
    "StartModelResponse",
    "StopModelResponse",
    "TagResourceResponse",
    "UntagResourceResponse",
    "UpdateDatasetEntriesResponse",
]


class CreateDatasetResponse(TypedDict, total=False):
    """The answer of CreateDataset."""

    DatasetMetadata: DatasetMetadata


class CreateModelResponse(TypedDict, total=False):
    """The answer of CreateModel."""

    ModelMetadata: ModelMetadata


class CreateProjectResponse(TypedDict, total=False):
    """The answer of CreateProject."""

    ProjectMetadata: ProjectMetadata


class DeleteDatasetResponse(TypedDict, total=False):
    """The answer of DeleteDataset."""


class DeleteModelResponse(TypedDict, total=False):
    """The answer of DeleteModel."""

    ModelArn: ModelArn


class DeleteProjectResponse(TypedDict, total=False):
    """The answer of DeleteProject."""

    ProjectArn: ProjectArn


class DescribeDatasetResponse(TypedDict, total=False):
    """The answer of DescribeDataset."""

    DatasetDescription: DatasetDescription


class DescribeModelPackagingJobResponse(TypedDict, total=False):
    """The answer of DescribeModelPackagingJob."""

    ModelPackagingDescription: ModelPackagingDescription


class DescribeModelResponse(TypedDict, total=False):
    """The answer of DescribeModel."""

    ModelDescription: ModelDescription


class DescribeProjectResponse(TypedDict, total=False):
    """The answer of DescribeProject."""

    ProjectDescription: ProjectDescription


class DetectAnomaliesResponse(TypedDict, total=False):
    """The answer of DetectAnomalies."""

    DetectAnomalyResult: DetectAnomalyResult


class ListDatasetEntriesResponse(TypedDict, total=False):
    """The answer of ListDatasetEntries."""

    DatasetEntries: DatasetEntryList
    NextToken: PaginationToken


class ListModelPackagingJobsResponse(TypedDict, total=False):
    """The answer of ListModelPackagingJobs."""

    ModelPackagingJobs: ModelPackagingJobsList
    NextToken: PaginationToken


class ListModelsResponse(TypedDict, total=False):
    """The answer of ListModels."""

    Models: ModelMetadataList
    NextToken: PaginationToken


class ListProjectsResponse(TypedDict, total=False):
    """The answer of ListProjects."""

    Projects: ProjectMetadataList
    NextToken: PaginationToken


class ListTagsForResourceResponse(TypedDict, total=False):
    """The answer of ListTagsForResource."""

    Tags: TagList


class StartModelPackagingJobResponse(TypedDict, total=False):
    """The answer of StartModelPackagingJob."""

    JobName: ModelPackagingJobName


class StartModelResponse(TypedDict, total=False):
    """The answer of StartModel."""

    Status: ModelHostingStatus


class StopModelResponse(TypedDict, total=False):
    """The answer of StopModel."""

    Status: ModelHostingStatus


class TagResourceResponse(TypedDict, total=False):
    """The answer of TagResource."""


class UntagResourceResponse(TypedDict, total=False):
    """The answer of UntagResource."""


class UpdateDatasetEntriesResponse(TypedDict, total=False):
    """The answer of UpdateDatasetEntries."""

    Status: DatasetStatus
