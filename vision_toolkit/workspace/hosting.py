"""Host models: a wish in the records, and predictors in whichever process answers."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np

from vision_toolkit.core.errors import Conflict, Failed, Invalid
from vision_toolkit.core.limits import LOOKOUT
from vision_toolkit.core.prediction import Prediction
from vision_toolkit.models import runtime
from vision_toolkit.models.model import Model, load
from vision_toolkit.workspace.jobs import Work
from vision_toolkit.workspace.lifecycle import MODEL, ModelState
from vision_toolkit.workspace.records import rows
from vision_toolkit.workspace.records.tables import MODELS
from vision_toolkit.workspace.values import Job, ModelRecord

if TYPE_CHECKING:
    from vision_toolkit.workspace.records import Connection
    from vision_toolkit.workspace.workspace import Workspace

__all__ = ["Hosts"]

HOSTED, STOPPED = "The model is running.", "The model is not running."
MOST = 4
"""Models that a process holds loaded; the one that was not asked for longest goes first."""


class Hosts:
    """Hold the models that this process has loaded, and answer with them.

    A model is loaded when it is first asked; that its state says hosted is what allows it.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._loaded: OrderedDict[str, Model] = OrderedDict()
        self._lock = threading.Lock()

    def load(self, model: ModelRecord) -> Model:
        """Return a model, loaded once.

        Raises
        ------
        Failed
            if its files are gone.
        """
        with self._lock:
            known = self._loaded.get(model.id)
            if known is not None:
                self._loaded.move_to_end(model.id)
                return known
            if model.folder is None:
                raise Failed(f"Model {model.version} has no files.")
            known = load(self._workspace.folder / model.folder / "model", threads=self._workspace.settings.threads)
            self._loaded[model.id] = known
            while len(self._loaded) > MOST:
                self._loaded.popitem(last=False)
            return known

    def drop(self, id: str) -> None:
        """Let go of a model."""
        with self._lock:
            self._loaded.pop(id, None)

    def predict(self, model: ModelRecord, image: bytes) -> Prediction:
        """Predict an image, given as the bytes of a PNG or JPEG file.

        Raises
        ------
        Conflict
            if the model is not hosted.
        Invalid
            if the bytes are no such image, or it has another size than those of the training while limits are on.
        """
        if model.state is not ModelState.HOSTED:
            self.drop(model.id)
            raise Conflict(f"Model {model.version} is {model.state.value}, not hosted; start it first.")
        if self._workspace.settings.limits and len(image) > LOOKOUT.max_image_bytes:
            raise Invalid(f"The image has {len(image):,} bytes; at most {LOOKOUT.max_image_bytes:,} are allowed.")
        return self.judge(model, image)

    def judge(self, model: ModelRecord, image: bytes) -> Prediction:
        """Decode an image, of which nothing but the number of bytes is known, and predict it."""
        try:
            upright = runtime.read(image, **self.allowed(model))
        except ValueError as error:
            raise Invalid(f"The image cannot be judged: {error}.") from None
        return self.load(model).predict(upright)

    def allowed(self, model: ModelRecord) -> dict[str, Any]:
        """Return what an image must be, as :func:`vision_toolkit.models.runtime.read` takes it."""
        size = model.facts.get("size") if self._workspace.settings.limits else None
        return {"formats": LOOKOUT.formats, "size": size}

    def prove(self, model: ModelRecord) -> None:
        """See that a model can be loaded and answers.

        Raises
        ------
        Failed, Invalid
            if it cannot.
        """
        size = model.facts.get("size") or [64, 64]
        self.load(model).predict(np.zeros((size[1], size[0], 3), np.uint8))

    def close(self) -> None:
        """Let go of all."""
        with self._lock:
            self._loaded.clear()


def start(work: Work) -> None:
    """Prove that a model can be loaded and answers; then it is hosted."""
    model = _model(work)
    work.tell(0.2, "loading the model")
    work.workspace.hosts.prove(model)
    with work.finish() as connection:
        _move(connection, model, "finish", HOSTED)


def fail_start(connection: Connection, job: Job, message: str) -> None:
    """Say why a model is not hosted."""
    _move(connection, _found(connection, job), "fail", message)


def stop(work: Work) -> None:
    """Let go of a model."""
    model = _model(work)
    work.workspace.hosts.drop(model.id)
    with work.finish() as connection:
        _move(connection, model, "finish", STOPPED)


def fail_stop(connection: Connection, job: Job, message: str) -> None:
    """Take a model as stopped: nobody answers with it any more."""
    _move(connection, _found(connection, job), "fail", message)


def _move(connection: Connection, model: ModelRecord, event: str, message: str) -> None:
    state = MODEL.after(model.state, event)
    changes = {"state": state.value, "message": message}
    if state is ModelState.TRAINED:
        changes |= {"min_units": None, "max_units": None}  # type: ignore[dict-item]
    rows.set_if(connection, MODELS, model.id, changes)


def _model(work: Work) -> ModelRecord:
    with work.workspace.records.look() as connection:
        return _found(connection, work.job)


def _found(connection: Connection, job: Job) -> ModelRecord:
    found = rows.known(connection, ModelRecord, MODELS, id=job.target)
    assert found is not None
    return found
