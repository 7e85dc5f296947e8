"""Lookout for Vision on a workspace: the work of each operation, in the service's words."""

from __future__ import annotations

import base64
import binascii
import functools
import json
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, cast

from vision_toolkit.core.errors import Conflict, Invalid, NotFound
from vision_toolkit.core.prediction import Prediction, Task
from vision_toolkit.models import runtime
from vision_toolkit.models.component import Component
from vision_toolkit.services.lookout import answers, names, shapes
from vision_toolkit.services.lookout.work import Work
from vision_toolkit.workspace.datasets import Filter
from vision_toolkit.workspace.lifecycle import JobState, ModelState
from vision_toolkit.workspace.values import DatasetRecord, ModelRecord, Package, Project

if TYPE_CHECKING:
    from vision_toolkit.workspace import Workspace

__all__ = ["Local"]

P = ParamSpec("P")
R = TypeVar("R")

CONTENT_TYPES = ("image/jpeg", "image/png")
MOST_MASK = 5_242_880
"""Bytes of a mask that an answer may have."""
GPU_OPTIONS = ("gpu-code", "trt-ver", "cuda-ver")


def _still(read: Callable[Concatenate[Local, P], R]) -> Callable[Concatenate[Local, P], R]:
    """Let everything that an answer tells be of one moment."""

    @functools.wraps(read)
    def told(self: Local, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with self._workspace.records.still():
            return read(self, *args, **kwargs)

    return told


class Local(Work):
    """Do the work of Lookout for Vision's operations in a workspace.

    Parameters
    ----------
    workspace
        where everything lives; its settings name region and account, and say whether quotas are enforced.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._region, self._account = workspace.settings.region, workspace.settings.account

    # ---------------------------------------------------------------- projects

    def create_project(self, project: str) -> answers.CreateProjectResponse:
        """Make a project."""
        return {"ProjectMetadata": self._project(self._workspace.projects.create(project))}

    @_still
    def describe_project(self, project: str) -> answers.DescribeProjectResponse:
        """Tell of a project and its datasets."""
        found = self._workspace.projects.get(project)
        datasets = [_dataset(one) for one in self._workspace.datasets.list(found)]
        return {"ProjectDescription": {**self._project(found), "Datasets": datasets}}

    @_still
    def list_projects(self, token: str | None, limit: int) -> answers.ListProjectsResponse:
        """Tell of at most ``limit`` projects."""
        page = self._workspace.projects.list(after=_read_token(token, "projects", 0), most=limit)
        answer: answers.ListProjectsResponse = {"Projects": [self._project(one) for one in page.items]}
        if page.after is not None:
            answer["NextToken"] = _token("projects", page.after)
        return answer

    def delete_project(self, project: str) -> answers.DeleteProjectResponse:
        """Delete a project that has neither datasets nor models."""
        self._workspace.projects.delete(project)
        return {"ProjectArn": names.arn_of_project(self._region, self._account, project)}

    def _project(self, project: Project) -> shapes.ProjectMetadata:
        return {
            "ProjectArn": names.arn_of_project(self._region, self._account, project.name),
            "ProjectName": project.name,
            "CreationTimestamp": project.created,
        }

    # ---------------------------------------------------------------- datasets

    def create_dataset(
        self, project: str, dataset: str, source: shapes.DatasetSource | None
    ) -> answers.CreateDatasetResponse:
        """Make a dataset from a manifest, or empty."""
        found = self._workspace.projects.get(project)
        manifest = _manifest_of(source)
        return {"DatasetMetadata": _dataset(self._workspace.datasets.create(found, dataset, manifest=manifest))}

    @_still
    def describe_dataset(self, project: str, dataset: str) -> answers.DescribeDatasetResponse:
        """Tell of a dataset."""
        found = self._workspace.datasets.get(self._workspace.projects.get(project), dataset)
        return {
            "DatasetDescription": {
                "ProjectName": project,
                "LastUpdatedTimestamp": found.updated,
                "ImageStats": {
                    "Total": found.total, "Labeled": found.labeled, "Normal": found.normal, "Anomaly": found.anomaly,
                },
                **_dataset(found),
                "StatusMessage": self._told(found.message, found.id),
            }
        }  # fmt: skip

    def delete_dataset(self, project: str, dataset: str) -> answers.DeleteDatasetResponse:
        """Delete a dataset, at once for every later call."""
        self._workspace.datasets.delete(self._workspace.projects.get(project), dataset)
        return {}

    def update_dataset_entries(
        self, project: str, dataset: str, changes: bytes
    ) -> answers.UpdateDatasetEntriesResponse:
        """Add lines, or replace those whose image is there."""
        updated = self._workspace.datasets.update(self._workspace.projects.get(project), dataset, changes)
        return {"Status": names.DATASET[updated.state]}

    @_still
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
        """Give lines that satisfy every condition."""
        which = Filter(
            labeled=labelled,
            anomaly=None if anomaly_class is None else anomaly_class == "anomaly",
            before=None if before is None else _moment(before),
            after=None if after is None else _moment(after),
            contains=contains,
        )
        found = self._workspace.projects.get(project)
        position = _read_token(token, f"entries/{found.id}/{dataset}", -1)
        page = self._workspace.datasets.entries(found, dataset, which, after=position, most=limit)
        answer: answers.ListDatasetEntriesResponse = {"DatasetEntries": [one.line for one in page.items]}
        if page.after is not None:
            answer["NextToken"] = _token(f"entries/{found.id}/{dataset}", page.after)
        return answer

    # ---------------------------------------------------------------- models

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
        place = output["S3Location"]
        self._workspace.buckets.place(f"s3://{place['Bucket']}/{place.get('Prefix') or ''}EvaluationResult.json")
        made = self._workspace.models.create(
            self._workspace.projects.get(project), output=dict(output["S3Location"]), description=description, kms=key,
            given_tags=_tags(tags or []), arn=names.arn_of_model(self._region, self._account, project, "{}"),
        )  # fmt: skip
        return {"ModelMetadata": self._model(project, made)}

    @_still
    def describe_model(self, project: str, version: str) -> answers.DescribeModelResponse:
        """Tell of a model."""
        found = self._workspace.models.get(self._workspace.projects.get(project), version)
        described = cast("shapes.ModelDescription", self._model(project, found))
        described["OutputConfig"] = {"S3Location": _location(found.output)}
        described["StatusMessage"] = self._told(found.message, found.id)
        if found.kms is not None:
            described["KmsKeyId"] = found.kms
            described["StatusMessage"] += " KmsKeyId is kept and returned; nothing is encrypted with it."
        files = found.facts.get("files")
        if files is not None and found.evaluated is not None:
            bucket = str(found.output["Bucket"])
            described["EvaluationEndTimestamp"] = found.evaluated
            described["EvaluationResult"] = {"Bucket": bucket, "Key": files["result"]}
            described["EvaluationManifest"] = {"Bucket": bucket, "Key": files["manifest"]}
        if found.min_units is not None:
            described["MinInferenceUnits"] = found.min_units
        if found.max_units is not None:
            described["MaxInferenceUnits"] = found.max_units
        return {"ModelDescription": described}

    @_still
    def list_models(self, project: str, token: str | None, limit: int) -> answers.ListModelsResponse:
        """Tell of at most ``limit`` models."""
        found = self._workspace.projects.get(project)
        page = self._workspace.models.list(found, after=_read_token(token, f"models/{found.id}", 0), most=limit)
        answer: answers.ListModelsResponse = {"Models": [self._model(project, one) for one in page.items]}
        if page.after is not None:
            answer["NextToken"] = _token(f"models/{found.id}", page.after)
        return answer

    def delete_model(self, project: str, version: str) -> answers.DeleteModelResponse:
        """Delete a model, at once for every later call."""
        deleted = self._workspace.models.delete(self._workspace.projects.get(project), version)
        return {"ModelArn": str(deleted.facts["arn"])}

    def _model(self, project: str, model: ModelRecord) -> shapes.ModelMetadata:
        told: shapes.ModelMetadata = {
            "CreationTimestamp": model.created,
            "ModelVersion": str(model.version),
            "ModelArn": names.arn_of_model(self._region, self._account, project, model.version),
            "Status": names.MODEL[model.state],
            "StatusMessage": model.message,
        }
        if model.description is not None:
            told["Description"] = model.description
        if model.f1 is not None and model.precision is not None and model.recall is not None:
            told["Performance"] = {"F1Score": model.f1, "Recall": model.recall, "Precision": model.precision}
        return told

    def _told(self, message: str, target: str) -> str:
        """Add to a message how far the job of its target is, and how long it will take."""
        job = self._workspace.job(target)
        if job is None or job.state is not JobState.RUNNING:
            return message
        told = f"{message} {100 * job.progress:.0f} %"
        left = job.seconds_left(datetime.now(UTC))
        if left is not None:
            told += f", about {left:.0f} s left" if left < 120 else f", about {left / 60:.0f} min left"
        return f"{told}: {job.detail}" if job.detail else told

    # ---------------------------------------------------------------- hosting

    def start_model(self, project: str, version: str, least: int, most: int | None) -> answers.StartModelResponse:
        """Begin to host a model."""
        found = self._workspace.projects.get(project)
        return {"Status": names.HOSTING[self._workspace.models.start(found, version, least=least, most=most).state]}

    def stop_model(self, project: str, version: str) -> answers.StopModelResponse:
        """End hosting a model."""
        stopped = self._workspace.models.stop(self._workspace.projects.get(project), version)
        return {"Status": names.HOSTING.get(stopped.state, "STOPPING_HOSTING")}

    def detect_anomalies(
        self, project: str, version: str, image: bytes, content_type: str
    ) -> answers.DetectAnomaliesResponse:
        """Judge an image with a hosted model."""
        if content_type.partition(";")[0].strip().lower() not in CONTENT_TYPES:
            raise Invalid(f"content-type must be one of the following. {', '.join(CONTENT_TYPES)}")
        model = self._workspace.models.get(self._workspace.projects.get(project), version)
        if model.state is not ModelState.HOSTED:
            raise Conflict(
                f"Model {model.version} of {project} is {names.MODEL[model.state]}, not HOSTED; start it and wait."
            ).about("model", f"{project}/{model.version}")
        return {"DetectAnomalyResult": result_of(self._workspace.hosts.predict(model, image))}

    # ---------------------------------------------------------------- packaging

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
        greengrass = configuration["Greengrass"]
        check_target(greengrass)
        found = self._workspace.projects.get(project)
        model = self._workspace.models.get(found, version)
        component, number = greengrass["ComponentName"], greengrass.get("ComponentVersion", f"{model.version}.0.0")
        bucket, prefix = greengrass["S3OutputLocation"]["Bucket"], greengrass["S3OutputLocation"].get("Prefix", "")
        arn = f"arn:aws:greengrass:{self._region}:{self._account}:components:{component}:versions:{number}"
        folder = prefix + "/" if prefix and not prefix.endswith("/") else prefix
        made = self._workspace.packages.create(
            found, model, name=job or str(uuid.uuid4()), configuration=configuration, description=description,
            component=component_of(greengrass, number, f"s3://{bucket}/{folder}{component}-{number}.zip"),
            output={"ComponentVersionArn": arn, "ComponentName": component, "ComponentVersion": number},
        )  # fmt: skip
        return {"JobName": made.name}

    @_still
    def describe_model_packaging_job(self, project: str, job: str) -> answers.DescribeModelPackagingJobResponse:
        """Tell of a packaging job."""
        found = self._workspace.packages.get(self._workspace.projects.get(project), job)
        described = cast("shapes.ModelPackagingDescription", _package(project, found))
        described["ModelPackagingConfiguration"] = cast("shapes.ModelPackagingConfiguration", found.configuration)
        described["StatusMessage"] = self._told(found.message, found.id)
        if names.PACKAGE[found.state] == "SUCCEEDED" and found.output is not None:
            details = {name: value for name, value in found.output.items() if name.startswith("Component")}
            described["ModelPackagingOutputDetails"] = {"Greengrass": details}  # type: ignore[typeddict-item]
        return {"ModelPackagingDescription": described}

    @_still
    def list_model_packaging_jobs(
        self, project: str, token: str | None, limit: int
    ) -> answers.ListModelPackagingJobsResponse:
        """Tell of at most ``limit`` packaging jobs."""
        found = self._workspace.projects.get(project)
        page = self._workspace.packages.list(found, after=_read_token(token, f"packages/{found.id}", 0), most=limit)
        listed = [_package(project, one) for one in page.items]
        answer: answers.ListModelPackagingJobsResponse = {"ModelPackagingJobs": listed}
        if page.after is not None:
            answer["NextToken"] = _token(f"packages/{found.id}", page.after)
        return answer

    # ---------------------------------------------------------------- tags

    def tag_resource(self, arn: str, tags: list[shapes.Tag]) -> answers.TagResourceResponse:
        """Add tags to a model."""
        with self._workspace.records.change():
            self._workspace.tags.put(self._tagged(arn).id, _tags(tags))
        return {}

    def untag_resource(self, arn: str, keys: list[str]) -> answers.UntagResourceResponse:
        """Take tags from a model."""
        with self._workspace.records.change():
            self._workspace.tags.remove(self._tagged(arn).id, keys)
        return {}

    @_still
    def list_tags_for_resource(self, arn: str) -> answers.ListTagsForResourceResponse:
        """Give the tags of a model."""
        found = self._workspace.tags.get(self._tagged(arn).id)
        return {"Tags": [{"Key": name, "Value": value} for name, value in found.items()]}

    def _tagged(self, arn: str) -> ModelRecord:
        found = names.model_of_arn(arn, self._region, self._account)
        if found is None:
            raise NotFound(
                f"{arn!r} names no model here; models have tags, and are named "
                f"{names.arn_of_model(self._region, self._account, 'PROJECT', 'VERSION')}."
            ).about("model", arn)
        project, version = found
        return self._workspace.models.get(self._workspace.projects.get(project), version)


def result_of(prediction: Prediction) -> shapes.DetectAnomalyResult:
    """Return a prediction in the service's words: a classification model says nothing of types.

    Raises
    ------
    Invalid
        if the mask is larger than an answer may be.
    """
    mask = prediction.mask if prediction.task is Task.SEGMENTATION else None
    info: dict[str, Any] = {"threshold": prediction.threshold}
    if mask is not None:
        info |= {"types": mask.names[1:], "colours": mask.colours}
    result = runtime.detected({"score": prediction.score, "ids": mask.ids if mask else None}, info)
    if len(result.get("AnomalyMask", b"")) > MOST_MASK:
        raise Invalid(f"The mask has {len(result['AnomalyMask']):,} bytes as PNG; an answer has at most {MOST_MASK:,}.")
    return cast("shapes.DetectAnomalyResult", result)


def component_of(greengrass: Mapping[str, Any], number: str, place: str) -> Component:
    """Return what a packaging job makes, of its configuration, for which :func:`check_target` has no complaint.

    Parameters
    ----------
    greengrass
        the configuration.
    number
        the component's version.
    place
        URI of the zip file.

    Raises
    ------
    Invalid
        if its tags make the recipe too long.

    Examples
    --------
    >>> target = {"Os": "LINUX", "Arch": "X86_64"}
    >>> component_of({"ComponentName": "part", "TargetPlatform": target}, "1.0.0", "s3://b/part.zip").architecture
    'amd64'
    """
    device, platform = greengrass.get("TargetDevice"), greengrass.get("TargetPlatform", {})
    return Component(
        greengrass["ComponentName"], number, place,
        architecture="amd64" if platform.get("Arch") == "X86_64" else "aarch64",
        gpu=device is not None or platform.get("Accelerator") == "NVIDIA",
        description=greengrass.get("ComponentDescription", ""), tags=_tags(greengrass.get("Tags", [])),
    )  # fmt: skip


def check_target(greengrass: Mapping[str, Any]) -> None:
    """Raise Invalid unless a package's target is named in one of the ways that go together.

    Examples
    --------
    >>> check_target({"TargetDevice": "jetson_xavier"})
    >>> check_target({})
    Traceback (most recent call last):
    ...
    vision_toolkit.core.errors.Invalid: Give either TargetDevice or TargetPlatform.
    """
    device, platform = greengrass.get("TargetDevice"), greengrass.get("TargetPlatform")
    options = greengrass.get("CompilerOptions")
    if (device is None) == (platform is None):
        raise Invalid("Give either TargetDevice or TargetPlatform.")
    if device is not None and options is not None:
        raise Invalid("CompilerOptions go with TargetPlatform, not with TargetDevice.")
    parsed: Any = {}
    if options is not None:
        try:
            parsed = json.loads(options)
        except ValueError as error:
            raise Invalid(f"CompilerOptions are JSON: {error}.") from None
        if not isinstance(parsed, dict):
            raise Invalid('CompilerOptions are a JSON object, such as {"mcpu": "core-avx2"}.')
    if platform is not None and platform.get("Accelerator") == "NVIDIA":
        missing = [name for name in GPU_OPTIONS if name not in parsed]
        if missing:
            raise Invalid(f"For the accelerator NVIDIA CompilerOptions name {', '.join(missing)}.")


def _dataset(dataset: DatasetRecord) -> shapes.DatasetMetadata:
    return {
        "DatasetType": dataset.type,
        "CreationTimestamp": dataset.created,
        "Status": names.DATASET[dataset.state],
        "StatusMessage": dataset.message,
    }


def _package(project: str, package: Package) -> shapes.ModelPackagingJobMetadata:
    told: shapes.ModelPackagingJobMetadata = {
        "JobName": package.name,
        "ProjectName": project,
        "ModelVersion": str(package.model_version),
        "ModelPackagingMethod": "Greengrass",
        "Status": names.PACKAGE[package.state],
        "StatusMessage": package.message,
        "CreationTimestamp": package.created,
        "LastUpdatedTimestamp": package.updated,
    }
    if package.description is not None:
        told["ModelPackagingJobDescription"] = package.description
    return told


def _location(output: Mapping[str, Any]) -> shapes.S3Location:
    location: shapes.S3Location = {"Bucket": str(output["Bucket"])}
    if output.get("Prefix") is not None:
        location["Prefix"] = str(output["Prefix"])
    return location


def _manifest_of(source: shapes.DatasetSource | None) -> str | None:
    place = ((source or {}).get("GroundTruthManifest") or {}).get("S3Object")
    if place is None:
        return None
    if place.get("VersionId") is not None:
        raise Invalid("S3Object.VersionId is not known here; name the object alone, its last version is read.")
    return f"s3://{place['Bucket']}/{place['Key']}"


def _tags(given: list[shapes.Tag]) -> dict[str, str]:
    tags: dict[str, str] = {}
    for tag in given:
        if tag["Key"] in tags:
            raise Invalid(f"The tag {tag['Key']!r} is given twice.")
        tags[tag["Key"]] = tag["Value"]
    return tags


def _moment(given: datetime) -> float:
    return (given if given.tzinfo is not None else given.replace(tzinfo=UTC)).timestamp()


def _token(kind: str, after: int) -> str:
    return base64.b64encode(f"{kind}:{after}".encode()).decode()


def _read_token(token: str | None, kind: str, first: int) -> int:
    if not token:
        return first
    try:
        said, _, number = base64.b64decode(token, validate=True).decode("ascii").partition(":")
        if said == kind and number.isdigit() and len(number) < 19:
            return int(number)
    except (binascii.Error, ValueError):
        pass
    raise Invalid("NextToken is not one that this list gave.")
