"""What a workspace answers: plain values that nothing changes any more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from vision_toolkit.workspace.lifecycle import DatasetState, JobState, ModelState, PackageState, TrialState

__all__ = ["DatasetRecord", "EntryRecord", "Job", "ModelRecord", "Package", "Page", "Project", "Trial"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Hold a part of a list, and where the next one begins; ``after`` is None at the end."""

    items: Sequence[T]
    after: int | None = None


@dataclass(frozen=True, slots=True)
class Project:
    """Hold a project: its opaque id, the service it belongs to, its name and when it was made."""

    number: int
    id: str
    service: str
    name: str
    created: datetime
    updated: datetime
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def deleted(self) -> datetime | None:
        """Return when it was deleted; None if it was not."""
        seconds = self.facts.get("deleted")
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


@dataclass(frozen=True, slots=True)
class DatasetRecord:
    """Hold a dataset of a project: its state, the words that explain it, and how many images of each kind it has."""

    number: int
    id: str
    project: str
    type: str
    state: DatasetState
    message: str
    version: int
    created: datetime
    updated: datetime
    total: int
    normal: int
    anomaly: int
    masked: int
    source: Mapping[str, Any] | None = None

    @property
    def labeled(self) -> int:
        """Return how many images have a verdict."""
        return self.normal + self.anomaly


@dataclass(frozen=True, slots=True)
class EntryRecord:
    """Hold a line of a dataset and its place."""

    position: int
    source: str
    line: str


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """Hold a version of a project's model: state, scores of its test, where its files lie, what it was made from."""

    number: int
    id: str
    project: str
    version: int
    state: ModelState
    message: str
    description: str | None
    output: Mapping[str, Any]
    kms: str | None
    created: datetime
    evaluated: datetime | None
    f1: float | None
    precision: float | None
    recall: float | None
    min_units: int | None
    max_units: int | None
    folder: str | None
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Package:
    """Hold a packaging job of a model."""

    number: int
    id: str
    project: str
    model: str
    model_version: int
    name: str
    state: PackageState
    message: str
    description: str | None
    configuration: Mapping[str, Any]
    output: Mapping[str, Any] | None
    created: datetime
    updated: datetime


@dataclass(frozen=True, slots=True)
class Trial:
    """Hold a trial detection: what a model said of images without labels, and how many of them were verified."""

    number: int
    id: str
    project: str
    model: str
    model_version: int
    name: str
    state: TrialState
    message: str
    folder: str | None
    total: int
    anomaly: int
    verified: int
    created: datetime
    updated: datetime


@dataclass(frozen=True, slots=True)
class Job:
    """Hold a piece of work that may take long, and how far it is.

    ``progress`` is a share from 0 to 1, ``detail`` what is being done, ``error`` why it failed, ``deaths`` how often
    whoever did it was ended in the middle.
    """

    number: int
    id: str
    kind: str
    target: str
    project: str
    payload: Mapping[str, Any]
    state: JobState
    attempt: int
    deaths: int
    owner: str | None
    progress: float
    detail: str
    error: str | None
    created: datetime
    started: datetime | None
    ended: datetime | None

    @property
    def is_open(self) -> bool:
        """Return whether it is not ended yet."""
        return self.state in (JobState.ACCEPTED, JobState.RUNNING)

    def seconds_left(self, now: datetime) -> float | None:
        """Return how long it will take at the speed so far; None before there is any."""
        if self.started is None or not self.is_open or self.progress < 0.02:
            return None
        spent = (now - self.started).total_seconds()
        return max(0.0, spent * (1 - self.progress) / self.progress)
