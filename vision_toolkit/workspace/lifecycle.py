"""Which state follows which: one table for each thing that lives in a workspace.

A passing state (its name ends in -ing) exists exactly while one job is open that will end it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Generic, TypeVar

from vision_toolkit.core.errors import Conflict

__all__ = [
    "DATASET",
    "JOB",
    "MODEL",
    "PACKAGE",
    "TRIAL",
    "DatasetState",
    "JobState",
    "Lifecycle",
    "ModelState",
    "PackageState",
    "TrialState",
]  # fmt: skip

S = TypeVar("S", bound=StrEnum)

_PARTICIPLES = {
    "cancel": "cancelled", "claim": "claimed", "delete": "deleted", "fail": "failed", "finish": "finished",
    "run": "run", "start": "started", "stop": "stopped", "update": "updated",
}  # fmt: skip
_BY_JOBS = ("claim", "fail", "finish", "run")
"""Events that nobody can ask for: they come about."""


class Lifecycle(Generic[S]):
    """Hold a table ``{(state, event): next}``.

    Parameters
    ----------
    noun
        what lives, for messages.
    steps
        the table.

    Examples
    --------
    >>> MODEL.after(ModelState.TRAINED, "start").value
    'starting'
    >>> MODEL.after(ModelState.TRAINING, "start")
    Traceback (most recent call last):
    ...
    vision_toolkit.core.errors.Conflict: A model in the state 'training' cannot be started; wait for its end, and look
    at its status.
    """

    def __init__(self, noun: str, steps: Mapping[tuple[S, str], S]) -> None:
        self.noun, self.steps = noun, dict(steps)

    def after(self, state: S, event: str) -> S:
        """Return the state that follows.

        Raises
        ------
        Conflict
            if the state does not allow the event; the message names those that it allows, of which one can ask for.
        """
        try:
            return self.steps[state, event]
        except KeyError:
            now = f"A {self.noun} in the state {state.value!r} cannot be {_PARTICIPLES[event]}"
            raise Conflict(f"{now}; {self._instead(state)}.") from None

    def _instead(self, state: S) -> str:
        able = [event for one, event in self.steps if one is state]
        if asked := sorted(_PARTICIPLES[event] for event in able if event not in _BY_JOBS):
            return f"it can be {' or '.join(asked)}"
        return "wait for its end, and look at its status" if able else "nothing can be done with it any more"

    def states(self) -> set[S]:
        """Return every state that the table mentions."""
        return {state for state, _ in self.steps} | set(self.steps.values())

    def passing(self) -> set[S]:
        """Return the states that a job will end."""
        return {state for state, event in self.steps if event == "finish"}


class DatasetState(StrEnum):
    """Say how a dataset is."""

    CREATING = "creating"
    CREATED = "created"
    FAILED = "failed"
    UPDATING = "updating"
    UPDATED = "updated"
    ROLLING_BACK = "rolling back"
    ROLLED_BACK = "rolled back"
    DELETED = "deleted"


D = DatasetState
DATASET = Lifecycle("dataset", {
    (D.CREATING, "finish"): D.CREATED,
    (D.CREATING, "fail"): D.FAILED,
    (D.CREATED, "update"): D.UPDATING,
    (D.UPDATED, "update"): D.UPDATING,
    (D.ROLLED_BACK, "update"): D.UPDATING,
    (D.UPDATING, "finish"): D.UPDATED,
    (D.UPDATING, "fail"): D.ROLLING_BACK,
    (D.ROLLING_BACK, "finish"): D.ROLLED_BACK,
    (D.CREATED, "delete"): D.DELETED,
    (D.FAILED, "delete"): D.DELETED,
    (D.UPDATED, "delete"): D.DELETED,
    (D.ROLLED_BACK, "delete"): D.DELETED,
})  # fmt: skip
"""What a dataset can do. An empty one begins as created, one from a manifest as creating."""


class ModelState(StrEnum):
    """Say how a model is."""

    TRAINING = "training"
    TRAINED = "trained"
    FAILED = "failed"
    STARTING = "starting"
    HOSTED = "hosted"
    HOSTING_FAILED = "not hosted (failed)"
    STOPPING = "stopping"
    DELETED = "deleted"


M = ModelState
MODEL = Lifecycle("model", {
    (M.TRAINING, "finish"): M.TRAINED,
    (M.TRAINING, "fail"): M.FAILED,
    (M.TRAINED, "start"): M.STARTING,
    (M.HOSTING_FAILED, "start"): M.STARTING,
    (M.STARTING, "finish"): M.HOSTED,
    (M.STARTING, "fail"): M.HOSTING_FAILED,
    (M.HOSTED, "stop"): M.STOPPING,
    (M.HOSTING_FAILED, "stop"): M.STOPPING,
    (M.STOPPING, "finish"): M.TRAINED,
    (M.STOPPING, "fail"): M.TRAINED,
    (M.TRAINED, "delete"): M.DELETED,
    (M.FAILED, "delete"): M.DELETED,
    (M.HOSTING_FAILED, "delete"): M.DELETED,
})  # fmt: skip
"""What a model can do; it begins as training."""


class PackageState(StrEnum):
    """Say how a package is."""

    CREATED = "created"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


P = PackageState
PACKAGE = Lifecycle("packaging job", {
    (P.CREATED, "run"): P.RUNNING,
    (P.CREATED, "fail"): P.FAILED,
    (P.RUNNING, "run"): P.RUNNING,
    (P.RUNNING, "finish"): P.SUCCEEDED,
    (P.RUNNING, "fail"): P.FAILED,
})  # fmt: skip
"""What a packaging job can do."""


class TrialState(StrEnum):
    """Say how a trial detection is."""

    DETECTING = "detecting"
    COMPLETED = "completed"
    FAILED = "failed"
    DELETED = "deleted"


T = TrialState
TRIAL = Lifecycle("trial detection", {
    (T.DETECTING, "finish"): T.COMPLETED,
    (T.DETECTING, "fail"): T.FAILED,
    (T.COMPLETED, "delete"): T.DELETED,
    (T.FAILED, "delete"): T.DELETED,
})  # fmt: skip
"""What a trial detection can do; it begins as detecting."""


class JobState(StrEnum):
    """Say how a job is."""

    ACCEPTED = "accepted"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


J = JobState
JOB = Lifecycle("job", {
    (J.ACCEPTED, "claim"): J.RUNNING,
    (J.RUNNING, "claim"): J.RUNNING,
    (J.RUNNING, "finish"): J.SUCCEEDED,
    (J.RUNNING, "fail"): J.FAILED,
    (J.ACCEPTED, "fail"): J.FAILED,
    (J.ACCEPTED, "cancel"): J.CANCELED,
    (J.RUNNING, "cancel"): J.CANCELED,
})  # fmt: skip
"""What a job can do. A running one is claimed again when whoever ran it is gone; a cancelled one loses its fence."""
