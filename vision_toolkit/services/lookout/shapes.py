"""Every structure and every constrained value of Lookout for Vision (2020-11-20), named as in its contract.

Members of what is answered are all optional there; those of what is sent are marked where they are required.
"""

# Without postponed annotations: the words are looked at when a request is checked.

from datetime import datetime
from typing import Annotated, Literal, Required, TypedDict

from vision_toolkit.services.shapes import Blob, Items, Text, Whole

__all__ = [
    "Anomaly",
    "AnomalyClassFilter",
    "AnomalyList",
    "AnomalyMask",
    "AnomalyName",
    "ClientToken",
    "Color",
    "CompilerOptions",
    "ComponentDescription",
    "ComponentName",
    "ComponentVersion",
    "ComponentVersionArn",
    "ContentType",
    "DatasetChanges",
    "DatasetDescription",
    "DatasetEntry",
    "DatasetEntryList",
    "DatasetGroundTruthManifest",
    "DatasetImageStats",
    "DatasetMetadata",
    "DatasetMetadataList",
    "DatasetSource",
    "DatasetStatus",
    "DatasetStatusMessage",
    "DatasetType",
    "DetectAnomalyResult",
    "ExceptionString",
    "GreengrassConfiguration",
    "GreengrassOutputDetails",
    "ImageSource",
    "ImageSourceType",
    "InferenceUnits",
    "InputS3Object",
    "KmsKeyId",
    "ModelArn",
    "ModelDescription",
    "ModelDescriptionMessage",
    "ModelHostingStatus",
    "ModelMetadata",
    "ModelMetadataList",
    "ModelPackagingConfiguration",
    "ModelPackagingDescription",
    "ModelPackagingJobDescription",
    "ModelPackagingJobMetadata",
    "ModelPackagingJobName",
    "ModelPackagingJobStatus",
    "ModelPackagingJobsList",
    "ModelPackagingMethod",
    "ModelPackagingOutputDetails",
    "ModelPackagingStatusMessage",
    "ModelPerformance",
    "ModelStatus",
    "ModelStatusMessage",
    "ModelVersion",
    "ModelVersionNoLatest",
    "OutputConfig",
    "OutputS3Object",
    "PageSize",
    "PaginationToken",
    "PixelAnomaly",
    "ProjectArn",
    "ProjectDescription",
    "ProjectMetadata",
    "ProjectMetadataList",
    "ProjectName",
    "QueryString",
    "ResourceType",
    "S3BucketName",
    "S3KeyPrefix",
    "S3Location",
    "S3ObjectKey",
    "S3ObjectVersion",
    "Stream",
    "Tag",
    "TagArn",
    "TagKey",
    "TagKeyList",
    "TagList",
    "TagValue",
    "TargetDevice",
    "TargetPlatform",
    "TargetPlatformAccelerator",
    "TargetPlatformArch",
    "TargetPlatformOs",
]

AnomalyClassFilter = Annotated[str, Text(1, 10, r"(normal|anomaly)")]
AnomalyMask = Annotated[bytes, Blob(1, 5242880)]
AnomalyName = Annotated[str, Text(1, 256, r"[a-zA-Z0-9]*")]
ClientToken = Annotated[str, Text(1, 64, r"^[a-zA-Z0-9-]+$")]
Color = Annotated[str, Text(7, 7, r"\#[a-zA-Z0-9]{6}")]
CompilerOptions = Annotated[str, Text(3, 1024, r".*")]
ComponentDescription = Annotated[str, Text(1, 256, r"[a-zA-Z0-9-_. ()':,;?]+")]
ComponentName = Annotated[str, Text(1, 128, r"[a-zA-Z0-9-_.]+")]
ComponentVersion = Annotated[str, Text(1, 64, r"^([0-9]{1,6})\.([0-9]{1,6})\.([0-9]{1,6})$")]
ComponentVersionArn = Annotated[str, Text(pattern=r"arn:[^:]*:greengrass:[^:]*:aws:components:[^:]+")]
ContentType = Annotated[str, Text(1, 255, r".*")]
DatasetChanges = Annotated[bytes, Blob(1, 10485760)]
DatasetEntry = Annotated[str, Text(2, 8192, r"^\{.*\}$")]
DatasetStatus = Literal[
    "CREATE_IN_PROGRESS",
    "CREATE_COMPLETE",
    "CREATE_FAILED",
    "UPDATE_IN_PROGRESS",
    "UPDATE_COMPLETE",
    "UPDATE_FAILED_ROLLBACK_IN_PROGRESS",
    "UPDATE_FAILED_ROLLBACK_COMPLETE",
    "DELETE_IN_PROGRESS",
    "DELETE_COMPLETE",
    "DELETE_FAILED",
]
DatasetStatusMessage = Annotated[str, Text()]
DatasetType = Annotated[str, Text(1, 10, r"train|test")]
ExceptionString = Annotated[str, Text()]
ImageSourceType = Annotated[str, Text(pattern=r"direct")]
InferenceUnits = Annotated[int, Whole(1)]
KmsKeyId = Annotated[str, Text(1, 2048, r"^[A-Za-z0-9][A-Za-z0-9:_/+=,@.-]{0,2048}$")]
ModelArn = Annotated[str, Text()]
ModelDescriptionMessage = Annotated[str, Text(1, 500, r"[0-9A-Za-z\.\-_]*")]
ModelHostingStatus = Literal["STARTING_HOSTING", "HOSTED", "HOSTING_FAILED", "STOPPING_HOSTING", "SYSTEM_UPDATING"]
ModelPackagingJobDescription = Annotated[str, Text(1, 256, r"[a-zA-Z0-9-_. ()':,;?]+")]
ModelPackagingJobName = Annotated[str, Text(1, 64, r"[a-zA-Z0-9-]+")]
ModelPackagingJobStatus = Literal["CREATED", "RUNNING", "SUCCEEDED", "FAILED"]
ModelPackagingMethod = Annotated[str, Text(1, 32, r"^[a-zA-Z0-9]+")]
ModelPackagingStatusMessage = Annotated[str, Text()]
ModelStatus = Literal[
    "TRAINING",
    "TRAINED",
    "TRAINING_FAILED",
    "STARTING_HOSTING",
    "HOSTED",
    "HOSTING_FAILED",
    "STOPPING_HOSTING",
    "SYSTEM_UPDATING",
    "DELETING",
]
ModelStatusMessage = Annotated[str, Text()]
ModelVersion = Annotated[str, Text(1, 10, r"([1-9][0-9]*|latest)")]
ModelVersionNoLatest = Annotated[str, Text(1, 10, r"([1-9][0-9]*)")]
PageSize = Annotated[int, Whole(1, 100)]
PaginationToken = Annotated[str, Text(most=2048, pattern=r"^[a-zA-Z0-9\/\+\=]{0,2048}$")]
ProjectArn = Annotated[str, Text()]
ProjectName = Annotated[str, Text(1, 255, r"[a-zA-Z0-9][a-zA-Z0-9_\-]*")]
QueryString = Annotated[str, Text(1, 2048, r".*\S.*")]
ResourceType = Literal["PROJECT", "DATASET", "MODEL", "TRIAL", "MODEL_PACKAGE_JOB"]
S3BucketName = Annotated[str, Text(3, 63, r"[0-9A-Za-z\.\-_]*")]
S3KeyPrefix = Annotated[str, Text(most=1024, pattern=r"^([a-zA-Z0-9!_.*'()-][/a-zA-Z0-9!_.*'()-]*)?$")]
S3ObjectKey = Annotated[str, Text(1, 1024, r"^([a-zA-Z0-9!_.*'()-][/a-zA-Z0-9!_.*'()-]*)?$")]
S3ObjectVersion = Annotated[str, Text(1, 1024, r".*")]
Stream = Annotated[bytes, Blob()]
TagArn = Annotated[str, Text(1, 1011)]
TagKey = Annotated[str, Text(1, 128, r"^([\p{L}\p{Z}\p{N}_.:/=+\-@]*)$")]
TagValue = Annotated[str, Text(0, 256, r"^([\p{L}\p{Z}\p{N}_.:/=+\-@]*)$")]
TargetDevice = Literal["jetson_xavier"]
TargetPlatformAccelerator = Literal["NVIDIA"]
TargetPlatformArch = Literal["ARM64", "X86_64"]
TargetPlatformOs = Literal["LINUX"]


class PixelAnomaly(TypedDict, total=False):
    """How much of an image an anomaly type covers, from 0 to 1, and its colour in the mask."""

    TotalPercentageArea: float
    Color: Color


class Anomaly(TypedDict, total=False):
    """An anomaly type that was found, and where it is painted."""

    Name: AnomalyName
    PixelAnomaly: PixelAnomaly


AnomalyList = list[Anomaly]


class DatasetImageStats(TypedDict, total=False):
    """How many images a dataset has, in all and of each kind."""

    Total: int
    Labeled: int
    Normal: int
    Anomaly: int


class DatasetDescription(TypedDict, total=False):
    """What DescribeDataset tells of a dataset."""

    ProjectName: ProjectName
    DatasetType: DatasetType
    CreationTimestamp: datetime
    LastUpdatedTimestamp: datetime
    Status: DatasetStatus
    StatusMessage: DatasetStatusMessage
    ImageStats: DatasetImageStats


DatasetEntryList = list[DatasetEntry]


class InputS3Object(TypedDict, total=False):
    """A file in a bucket that is read."""

    Bucket: Required[S3BucketName]
    Key: Required[S3ObjectKey]
    VersionId: S3ObjectVersion


class DatasetGroundTruthManifest(TypedDict, total=False):
    """Where the manifest of a new dataset lies."""

    S3Object: InputS3Object


class DatasetMetadata(TypedDict, total=False):
    """A dataset in a list."""

    DatasetType: DatasetType
    CreationTimestamp: datetime
    Status: DatasetStatus
    StatusMessage: DatasetStatusMessage


DatasetMetadataList = list[DatasetMetadata]


class DatasetSource(TypedDict, total=False):
    """What a new dataset is made from."""

    GroundTruthManifest: DatasetGroundTruthManifest


class ImageSource(TypedDict, total=False):
    """Where an image came from."""

    Type: ImageSourceType


class DetectAnomalyResult(TypedDict, total=False):
    """The verdict on one image."""

    Source: ImageSource
    IsAnomalous: bool
    Confidence: float
    Anomalies: AnomalyList
    AnomalyMask: AnomalyMask


class TargetPlatform(TypedDict, total=False):
    """The machine that a package is made for."""

    Os: Required[TargetPlatformOs]
    Arch: Required[TargetPlatformArch]
    Accelerator: TargetPlatformAccelerator


class S3Location(TypedDict, total=False):
    """A bucket and what the names of files in it begin with."""

    Bucket: Required[S3BucketName]
    Prefix: S3KeyPrefix


class Tag(TypedDict, total=False):
    """A key and its value, of a resource."""

    Key: Required[TagKey]
    Value: Required[TagValue]


TagList = Annotated[list[Tag], Items(0, 200)]


class GreengrassConfiguration(TypedDict, total=False):
    """What a package for AWS IoT Greengrass is made for, and where it goes."""

    CompilerOptions: CompilerOptions
    TargetDevice: TargetDevice
    TargetPlatform: TargetPlatform
    S3OutputLocation: Required[S3Location]
    ComponentName: Required[ComponentName]
    ComponentVersion: ComponentVersion
    ComponentDescription: ComponentDescription
    Tags: TagList


class GreengrassOutputDetails(TypedDict, total=False):
    """The component that was packaged."""

    ComponentVersionArn: ComponentVersionArn
    ComponentName: ComponentName
    ComponentVersion: ComponentVersion


class ModelPerformance(TypedDict, total=False):
    """How good a model is on its test images, from 0 to 1."""

    F1Score: float
    Recall: float
    Precision: float


class OutputConfig(TypedDict, total=False):
    """Where the results of a training go."""

    S3Location: Required[S3Location]


class OutputS3Object(TypedDict, total=False):
    """A file in a bucket that was written."""

    Bucket: Required[S3BucketName]
    Key: Required[S3ObjectKey]


class ModelDescription(TypedDict, total=False):
    """What DescribeModel tells of a model."""

    ModelVersion: ModelVersion
    ModelArn: ModelArn
    CreationTimestamp: datetime
    Description: ModelDescriptionMessage
    Status: ModelStatus
    StatusMessage: ModelStatusMessage
    Performance: ModelPerformance
    OutputConfig: OutputConfig
    EvaluationManifest: OutputS3Object
    EvaluationResult: OutputS3Object
    EvaluationEndTimestamp: datetime
    KmsKeyId: KmsKeyId
    MinInferenceUnits: InferenceUnits
    MaxInferenceUnits: InferenceUnits


class ModelMetadata(TypedDict, total=False):
    """A model in a list."""

    CreationTimestamp: datetime
    ModelVersion: ModelVersion
    ModelArn: ModelArn
    Description: ModelDescriptionMessage
    Status: ModelStatus
    StatusMessage: ModelStatusMessage
    Performance: ModelPerformance


ModelMetadataList = list[ModelMetadata]


class ModelPackagingConfiguration(TypedDict, total=False):
    """What to package for."""

    Greengrass: Required[GreengrassConfiguration]


class ModelPackagingOutputDetails(TypedDict, total=False):
    """What a packaging job made."""

    Greengrass: GreengrassOutputDetails


class ModelPackagingDescription(TypedDict, total=False):
    """What DescribeModelPackagingJob tells of a job."""

    JobName: ModelPackagingJobName
    ProjectName: ProjectName
    ModelVersion: ModelVersion
    ModelPackagingConfiguration: ModelPackagingConfiguration
    ModelPackagingJobDescription: ModelPackagingJobDescription
    ModelPackagingMethod: ModelPackagingMethod
    ModelPackagingOutputDetails: ModelPackagingOutputDetails
    Status: ModelPackagingJobStatus
    StatusMessage: ModelPackagingStatusMessage
    CreationTimestamp: datetime
    LastUpdatedTimestamp: datetime


class ModelPackagingJobMetadata(TypedDict, total=False):
    """A packaging job in a list."""

    JobName: ModelPackagingJobName
    ProjectName: ProjectName
    ModelVersion: ModelVersion
    ModelPackagingJobDescription: ModelPackagingJobDescription
    ModelPackagingMethod: ModelPackagingMethod
    Status: ModelPackagingJobStatus
    StatusMessage: ModelPackagingStatusMessage
    CreationTimestamp: datetime
    LastUpdatedTimestamp: datetime


ModelPackagingJobsList = list[ModelPackagingJobMetadata]


class ProjectDescription(TypedDict, total=False):
    """What DescribeProject tells of a project."""

    ProjectArn: ProjectArn
    ProjectName: ProjectName
    CreationTimestamp: datetime
    Datasets: DatasetMetadataList


class ProjectMetadata(TypedDict, total=False):
    """A project in a list."""

    ProjectArn: ProjectArn
    ProjectName: ProjectName
    CreationTimestamp: datetime


ProjectMetadataList = list[ProjectMetadata]
TagKeyList = Annotated[list[TagKey], Items(0, 200)]
