"""Show a state that passes to whoever asks next, however quickly it passed.

Programs that were written for the cloud start a model and look: what they expect is ``STARTING_HOSTING``, which there
took minutes, and they take ``HOSTED`` or ``TRAINED`` for an error. Here it can be over before they look. So what
follows the call shows the state that the call brought about, once; the records say the truth all the time.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, cast

from vision_toolkit.services.lookout import answers, names, shapes
from vision_toolkit.services.lookout.local import Local
from vision_toolkit.workspace.lifecycle import DatasetState, ModelState

if TYPE_CHECKING:
    from vision_toolkit.workspace import Workspace

__all__ = ["Passing"]

SECONDS = 10.0
"""After which nobody is taken to be looking for the first time."""
_MOST = 1000

_STARTING, _STOPPING = names.MODEL[ModelState.STARTING], names.MODEL[ModelState.STOPPING]
_UPDATING = names.DATASET[DatasetState.UPDATING]
# A state that passes, what follows it when all goes well, and the words meanwhile.
_FOLLOWS: dict[str, tuple[str, str]] = {
    _STARTING: (names.MODEL[ModelState.HOSTED], "The model is being started."),
    _STOPPING: (names.MODEL[ModelState.TRAINED], "The model is being stopped."),
    _UPDATING: (names.DATASET[DatasetState.UPDATED], "The dataset is being updated."),
}


class Passing(Local):
    """Do the work of Lookout for Vision's operations, and show once each state that passes.

    Parameters
    ----------
    workspace
        where everything lives.
    """

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(workspace)
        self._lock = threading.Lock()
        self._unseen: dict[tuple[str, str], tuple[str, float]] = {}

    def start_model(self, project: str, version: str, least: int, most: int | None) -> answers.StartModelResponse:
        """Begin to host a model."""
        answer = super().start_model(project, version, least, most)
        self._note(project, version, _STARTING)
        return {**answer, "Status": "STARTING_HOSTING"}

    def stop_model(self, project: str, version: str) -> answers.StopModelResponse:
        """End hosting a model."""
        answer = super().stop_model(project, version)
        self._note(project, version, _STOPPING)
        return {**answer, "Status": "STOPPING_HOSTING"}

    def update_dataset_entries(
        self, project: str, dataset: str, changes: bytes
    ) -> answers.UpdateDatasetEntriesResponse:
        """Add lines, or replace those whose image is there."""
        super().update_dataset_entries(project, dataset, changes)
        self._note(project, dataset, _UPDATING)
        return {"Status": "UPDATE_IN_PROGRESS"}

    def describe_model(self, project: str, version: str) -> answers.DescribeModelResponse:
        """Tell of a model."""
        answer = super().describe_model(project, version)
        self._show(project, version, answer["ModelDescription"])
        return answer

    def describe_dataset(self, project: str, dataset: str) -> answers.DescribeDatasetResponse:
        """Tell of a dataset."""
        answer = super().describe_dataset(project, dataset)
        self._show(project, dataset, answer["DatasetDescription"])
        return answer

    def _note(self, project: str, name: str, state: str) -> None:
        if self._is_inline():
            return
        with self._lock:
            while len(self._unseen) >= _MOST:
                del self._unseen[next(iter(self._unseen))]
            self._unseen[project, name] = (state, time.monotonic() + SECONDS)

    def _is_inline(self) -> bool:
        """Return whether a call comes back when all is over: whoever asked for that looks for the end."""
        from vision_toolkit.workspace.runners.inline import Inline

        return isinstance(self._workspace.runner, Inline)

    def _show(self, project: str, name: str, described: shapes.ModelDescription | shapes.DatasetDescription) -> None:
        with self._lock:
            state, until = self._unseen.pop((project, name), ("", 0.0))
        following, words = _FOLLOWS.get(state, ("", ""))
        if following and described["Status"] == following and time.monotonic() < until:
            shown: dict[str, Any] = {"Status": state, "StatusMessage": words}
            cast("dict[str, Any]", described).update(shown)
