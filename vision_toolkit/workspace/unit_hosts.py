"""Host models in processes of their own: for servers, where an image must take nothing else with it."""

from __future__ import annotations

import logging
import threading
from functools import partial
from typing import TYPE_CHECKING

from vision_toolkit.core.errors import Failed, VisionError
from vision_toolkit.core.prediction import Prediction
from vision_toolkit.workspace.hosting import Hosts
from vision_toolkit.workspace.units import Unit, Units
from vision_toolkit.workspace.values import ModelRecord

if TYPE_CHECKING:
    from vision_toolkit.workspace.workspace import Workspace

__all__ = ["UnitHosts"]

_LOG = logging.getLogger(__name__)
LOOKED_EVERY = 2.0
"""Seconds between two looks at what is wished."""


class UnitHosts(Hosts):
    """Keep inference units for every model that is wished hosted, and answer with them.

    The wish is in the records: a thread looks at it, so that models are hosted again after a restart, and let go of
    when another server was told to.

    Parameters
    ----------
    workspace
        whose models.
    """

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(workspace)
        self._units: dict[str, Units] = {}
        self._opening: dict[str, threading.Lock] = {}
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"hosts of {workspace.folder.name}", daemon=True)
        self._thread.start()

    def judge(self, model: ModelRecord, image: bytes) -> Prediction:
        """Let a unit decode an image, of which nothing but the number of bytes is known, and predict it."""
        return self._of(model).predict(image)

    def prove(self, model: ModelRecord) -> None:
        """Start the least number of units; each judges a picture before it is ready."""
        self._of(model)

    def drop(self, id: str) -> None:
        """End the units of a model, after the images that they are judging."""
        with self._lock:
            units = self._units.pop(id, None)
        if units is not None:
            units.close()

    def close(self) -> None:
        """End all units."""
        self._ending.set()
        self._thread.join()
        with self._lock:
            every, self._units = list(self._units.values()), {}
        for units in every:
            units.close()

    def counts(self) -> dict[str, int]:
        """Return how many units each model has, by its id."""
        with self._lock:
            return {name: len(units) for name, units in self._units.items()}

    def _of(self, model: ModelRecord) -> Units:
        with self._lock:
            known = self._units.get(model.id)
            opening = self._opening.setdefault(model.id, threading.Lock())
        if known is not None:
            return known
        with opening:  # whoever comes meanwhile waits for the same ones
            with self._lock:
                known = self._units.get(model.id)
            if known is not None:
                return known
            if model.folder is None or self._ending.is_set():
                raise Failed(f"Model {model.version} cannot be hosted here now.")
            folder = self._workspace.folder / model.folder / "model"
            least = model.min_units or 1
            units = Units(partial(Unit, folder, allowed=self.allowed(model)), least, model.max_units or least)
            with self._lock:
                self._units[model.id] = units
            return units

    def _keep(self) -> None:
        """Do what is wished, again and again."""
        while not self._ending.is_set():
            try:
                self._look()
            except VisionError as error:  # a database that is away: look again later
                _LOG.warning("%s", error)
            self._ending.wait(LOOKED_EVERY)

    def _look(self) -> None:
        wished = {model.id: model for model in self._workspace.models.hosted()}
        with self._lock:
            known = dict(self._units)
        for name, units in known.items():
            units.tidy()
            if name not in wished and not self._is_starting(name):
                self.drop(name)
        for name, model in wished.items():
            if name not in known:
                try:
                    self._of(model)
                except (VisionError, OSError) as error:  # a broken one keeps no other waiting
                    _LOG.warning("Model %s cannot be hosted: %s", model.version, error)

    def _is_starting(self, id: str) -> bool:
        model = self._workspace.models.by_id(id)
        return model is not None and model.state.value in ("starting", "hosted")
