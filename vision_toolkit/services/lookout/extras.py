"""What Lookout for Vision never had, or had in its console alone: waiting, the split, removing images, trials."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vision_toolkit.core.errors import Conflict, Failed, Invalid
from vision_toolkit.models.progress import Progress, told

if TYPE_CHECKING:
    from vision_toolkit.services.lookout.service import LookoutVision
    from vision_toolkit.workspace import Workspace
    from vision_toolkit.workspace.values import Trial

__all__ = ["WAITERS", "Extras", "Waiter", "WaitsFor"]

LOOKED_EVERY = 0.2
"""Seconds between two looks at a state."""


@dataclass(frozen=True, slots=True)
class WaitsFor:
    """Say what a waiter looks at: an operation, the member of its answer that has a ``Status``, and which end well."""

    operation: str
    member: str
    done: frozenset[str]
    passing: frozenset[str]


def _for(operation: str, member: str, done: str, passing: str) -> WaitsFor:
    return WaitsFor(operation, member, frozenset(done.split()), frozenset(passing.split()))


WAITERS: dict[str, WaitsFor] = {
    "dataset_created": _for(
        "describe_dataset", "DatasetDescription", "CREATE_COMPLETE UPDATE_COMPLETE", "CREATE_IN_PROGRESS"
    ),
    "dataset_updated": _for(
        "describe_dataset", "DatasetDescription", "CREATE_COMPLETE UPDATE_COMPLETE",
        "UPDATE_IN_PROGRESS UPDATE_FAILED_ROLLBACK_IN_PROGRESS",
    ),
    "model_trained": _for(
        "describe_model", "ModelDescription", "TRAINED STARTING_HOSTING HOSTED STOPPING_HOSTING HOSTING_FAILED",
        "TRAINING",
    ),
    "model_hosted": _for("describe_model", "ModelDescription", "HOSTED", "STARTING_HOSTING"),
    "model_stopped": _for("describe_model", "ModelDescription", "TRAINED", "STOPPING_HOSTING"),
    "model_packaged": _for(
        "describe_model_packaging_job", "ModelPackagingDescription", "SUCCEEDED", "CREATED RUNNING"
    ),
}  # fmt: skip
"""What can be waited for."""


class Waiter:
    """Wait for a state, as boto3's waiters do: ``client.get_waiter("model_trained").wait(ProjectName=..., ...)``.

    Parameters
    ----------
    client
        whose operation is asked.
    name
        one of :data:`WAITERS`.
    """

    def __init__(self, client: LookoutVision, name: str) -> None:
        self.name = name
        self._client, self._what = client, WAITERS[name]

    def wait(self, *, WaiterConfig: Mapping[str, int] | None = None, **given: Any) -> None:
        """Come back when the state is there.

        Parameters
        ----------
        WaiterConfig
            ``Delay`` seconds between two looks, ``MaxAttempts`` of them; without it there is no end.
        given
            the arguments of the operation that is asked.

        Raises
        ------
        Failed
            if it ended in another state, or did not end in time.
        """
        config = WaiterConfig or {}
        most = config.get("MaxAttempts")
        delay = float(config.get("Delay", LOOKED_EVERY))
        self.until(given, delay=delay, timeout=None if most is None else delay * most, progress=False)

    def until(
        self, given: Mapping[str, Any], *, delay: float, timeout: float | None, progress: Progress | bool | None
    ) -> dict[str, Any]:
        """Return what the operation says when the state is there; raises as :meth:`wait` does."""
        started = time.monotonic()
        with told(progress, delay=1.0) as tell:
            while True:
                said = getattr(self._client, self._what.operation)(**given)[self._what.member]
                if said["Status"] in self._what.done:
                    return dict(said)
                if said["Status"] not in self._what.passing:
                    raise Failed(f"{self.name} cannot come: the status is {said['Status']}: {said['StatusMessage']}")
                if timeout is not None and time.monotonic() - started >= timeout:
                    raise Failed(f"{self.name} did not come in {timeout:.0f} s; the status is {said['Status']}.")
                tell(_share(said["StatusMessage"]), said["Status"].lower().replace("_", " "))
                time.sleep(delay)


def _share(message: str) -> float:
    """Return how far a job is, which its message tells in per cent."""
    head, sign, _ = message.partition(" %")
    number = head.rpartition(" ")[2]
    return int(number) / 100 if sign and number.isdigit() else 0.0


class Extras:
    """Add to a client what the service never offered to programs."""

    workspace: Any

    def get_waiter(self, waiter_name: str) -> Waiter:
        """Return a waiter; ``client.waiter_names`` lists them.

        Raises
        ------
        ValueError
            if there is none of that name.
        """
        if waiter_name not in WAITERS:
            raise ValueError(f"Waiter does not exist: {waiter_name}; there are: {', '.join(WAITERS)}")
        return Waiter(self, waiter_name)  # type: ignore[arg-type]

    def wait_until_created(
        self,
        *,
        ProjectName: str,
        DatasetType: str,
        timeout: float | None = None,
        progress: Progress | bool | None = None,
    ) -> dict[str, Any]:
        """Wait until a dataset is created, and return its description.

        Parameters
        ----------
        ProjectName, DatasetType
            which.
        timeout
            seconds after which to give up; None = never.
        progress
            None: a bar where somebody watches; False: none; or a function told ``(share, what)``.

        Raises
        ------
        Failed
            if the creation failed, with its reason, or did not end in time.
        """
        return self._wait("dataset_created", timeout, progress, ProjectName=ProjectName, DatasetType=DatasetType)

    def wait_until_updated(
        self,
        *,
        ProjectName: str,
        DatasetType: str,
        timeout: float | None = None,
        progress: Progress | bool | None = None,
    ) -> dict[str, Any]:
        """Wait until a dataset is updated, and return its description; as :meth:`wait_until_created`."""
        return self._wait("dataset_updated", timeout, progress, ProjectName=ProjectName, DatasetType=DatasetType)

    def wait_until_trained(
        self,
        *,
        ProjectName: str,
        ModelVersion: str,
        timeout: float | None = None,
        progress: Progress | bool | None = None,
    ) -> dict[str, Any]:
        """Wait until a model is trained, and return its description; as :meth:`wait_until_created`."""
        return self._wait("model_trained", timeout, progress, ProjectName=ProjectName, ModelVersion=ModelVersion)

    def wait_until_hosted(
        self,
        *,
        ProjectName: str,
        ModelVersion: str,
        timeout: float | None = None,
        progress: Progress | bool | None = None,
    ) -> dict[str, Any]:
        """Wait until a model is hosted, and return its description; as :meth:`wait_until_created`."""
        return self._wait("model_hosted", timeout, progress, ProjectName=ProjectName, ModelVersion=ModelVersion)

    def wait_until_stopped(
        self,
        *,
        ProjectName: str,
        ModelVersion: str,
        timeout: float | None = None,
        progress: Progress | bool | None = None,
    ) -> dict[str, Any]:
        """Wait until a model is hosted no longer, and return its description; as :meth:`wait_until_created`."""
        return self._wait("model_stopped", timeout, progress, ProjectName=ProjectName, ModelVersion=ModelVersion)

    def wait_until_packaged(
        self, *, ProjectName: str, JobName: str, timeout: float | None = None, progress: Progress | bool | None = None
    ) -> dict[str, Any]:
        """Wait until a packaging job has ended well, and return its description; as :meth:`wait_until_created`."""
        return self._wait("model_packaged", timeout, progress, ProjectName=ProjectName, JobName=JobName)

    def _wait(self, name: str, timeout: float | None, progress: Progress | bool | None, **given: str) -> dict[str, Any]:
        return self.get_waiter(name).until(given, delay=LOOKED_EVERY, timeout=timeout, progress=progress)

    # ---------------------------------------------------------------- the split

    def describe_split(self, *, ProjectName: str, ModelVersion: str) -> dict[str, Any]:
        """Tell which images a model learned from and which it was judged on.

        Returns
        -------
        dict
            ``SplitDescription`` with ``Source`` (``"DATASETS"``: the project has a test dataset; ``"AUTOMATIC"``: the
            images were divided, near copies kept together), ``TrainEntries`` and ``TestEntries`` (JSON lines), and
            ``Location``, the folder that holds both as manifests.

        Raises
        ------
        Conflict
            if the model was not trained.
        """
        models, projects = self._local.models, self._local.projects
        model = models.get(projects.get(ProjectName), ModelVersion)
        if model.folder is None:
            raise Conflict(f"Model {model.version} is {model.state.value}; a split is known once it is trained.")
        folder = self._local.folder / model.folder / "split"
        train, test = (
            (folder / f"{name}.manifest").read_text("utf-8", "surrogateescape").splitlines()
            for name in ("train", "test")
        )
        source = "DATASETS" if model.facts.get("split") == "own" else "AUTOMATIC"
        told = {"Source": source, "TrainEntries": train, "TestEntries": test, "Location": str(folder)}
        return {"SplitDescription": told}

    # ---------------------------------------------------------------- removing images

    def remove_dataset_entries(
        self, *, ProjectName: str, DatasetType: str, SourceRefs: Sequence[str]
    ) -> dict[str, Any]:
        """Take images out of a dataset, at once and all of them or none; the files stay where they are.

        The service had no such thing: one had to list, edit, delete and create the dataset again.

        Raises
        ------
        NotFound
            if one of the images is not in the dataset.
        Conflict
            if the dataset is being created or updated.
        """
        if isinstance(SourceRefs, str) or not SourceRefs:
            raise Invalid("SourceRefs is a list of images, as source-ref names them.")
        project = self._local.projects.get(ProjectName)
        self._local.datasets.remove(project, DatasetType, list(SourceRefs))
        return {"Status": "UPDATE_COMPLETE"}

    # ---------------------------------------------------------------- trial detections

    def start_trial_detection(
        self, *, ProjectName: str, ModelVersion: str, TrialName: str, S3Location: Mapping[str, str]
    ) -> dict[str, Any]:
        """Let a trained model look at images without labels, to verify what it says and learn from that.

        Parameters
        ----------
        ProjectName, ModelVersion
            a trained model; it need not be hosted.
        TrialName
            unique in the project.
        S3Location
            ``{"Bucket": ..., "Prefix": ...}``: every PNG and JPEG below it, 2,000 at most.

        Raises
        ------
        Conflict
            if the model is not trained, or the name is taken.
        """
        project = self._local.projects.get(ProjectName)
        model = self._local.models.get(project, ModelVersion)
        place = f"s3://{S3Location['Bucket']}/{S3Location.get('Prefix', '')}"
        return {"TrialDetection": _trial(self._local.trials.create(project, model, TrialName, place))}

    def describe_trial_detection(self, *, ProjectName: str, TrialName: str) -> dict[str, Any]:
        """Tell of a trial detection: its status, how many images it saw, and how many were verified."""
        return {"TrialDetection": _trial(self._local.trials.get(self._local.projects.get(ProjectName), TrialName))}

    def list_trial_detections(self, *, ProjectName: str) -> dict[str, Any]:
        """Tell of every trial detection of a project, oldest first."""
        project = self._local.projects.get(ProjectName)
        page = self._local.trials.list(project)
        found = [_trial(one) for one in page.items]
        while page.after is not None:
            page = self._local.trials.list(project, after=page.after)
            found += [_trial(one) for one in page.items]
        return {"TrialDetections": found}

    def list_trial_results(self, *, ProjectName: str, TrialName: str) -> dict[str, Any]:
        """Give what the model said of each image, or why the image could not be read."""
        trial = self._local.trials.get(self._local.projects.get(ProjectName), TrialName)
        results = []
        for said in self._local.trials.results(trial):
            one = {"SourceRef": said["source-ref"]}
            if "error" in said:
                one["Error"] = said["error"]
            else:
                one |= {"IsAnomalous": said["is-anomalous"], "Confidence": said["confidence"]}
                if "areas" in said:
                    one["Anomalies"] = [
                        {"Name": name, "PixelAnomaly": {"TotalPercentageArea": area}}
                        for name, area in said["areas"].items()
                    ]
            results.append(one)
        return {"TrialResults": results}

    def verify_trial_results(
        self, *, ProjectName: str, TrialName: str, Verifications: Sequence[Mapping[str, Any]]
    ) -> dict[str, Any]:
        """Add images of a trial to the training dataset with the verdicts of a person, by an update.

        Parameters
        ----------
        ProjectName, TrialName
            which.
        Verifications
            ``{"SourceRef": ..., "Correct": True}`` where the model is right, ``{"SourceRef": ..., "Label": "normal"}``
            or ``"anomaly"`` where a person says so.

        Raises
        ------
        Invalid
            if one says neither.
        NotFound
            if an image is not of the trial, or there is no training dataset.
        Conflict
            if the trial is not completed, or the dataset is being changed.
        """
        labels: dict[str, str | None] = {}
        for one in Verifications:
            label = one.get("Label")
            if "SourceRef" not in one or (label is None) == (one.get("Correct") is not True):
                raise Invalid(
                    f"A verification is a SourceRef with Correct=True, or with a Label; {dict(one)} was given."
                )
            if label not in (None, "normal", "anomaly"):
                raise Invalid(f"A label is 'normal' or 'anomaly'; {label!r} was given.")
            labels[one["SourceRef"]] = label
        project = self._local.projects.get(ProjectName)
        self._local.trials.verify(project, self._local.trials.get(project, TrialName), labels)
        return {"Status": "UPDATE_IN_PROGRESS"}

    def delete_trial_detection(self, *, ProjectName: str, TrialName: str) -> dict[str, Any]:
        """Delete a trial detection; images and dataset stay as they are."""
        self._local.trials.delete(self._local.projects.get(ProjectName), TrialName)
        return {}

    @property
    def _local(self) -> Workspace:
        workspace: Workspace = self.workspace
        return workspace


def _trial(trial: Trial) -> dict[str, Any]:
    return {
        "TrialName": trial.name,
        "ModelVersion": str(trial.model_version),
        "Status": trial.state.name,
        "StatusMessage": trial.message,
        "ImageStats": {"Total": trial.total, "Anomaly": trial.anomaly, "Verified": trial.verified},
        "CreationTimestamp": trial.created,
        "LastUpdatedTimestamp": trial.updated,
    }
