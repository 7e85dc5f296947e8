"""Models: one version after the other, trained by a job, hosted on wish."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from vision_toolkit.core.errors import Conflict, Exceeded, Invalid, NotFound
from vision_toolkit.workspace.lifecycle import MODEL, DatasetState, ModelState
from vision_toolkit.workspace.records import queue, rows, tags
from vision_toolkit.workspace.records.tables import MODELS, PACKAGES
from vision_toolkit.workspace.values import Job, ModelRecord, Page, Project

if TYPE_CHECKING:
    from vision_toolkit.workspace.workspace import Workspace

__all__ = ["Models"]

AT_ONCE = 2
"""Trainings that may be open at once, while limits are on."""
TRAINING = "The model is being trained."
STARTING, STOPPING = "The model is being started.", "The model is being stopped."


class Models:
    """Hold the models of a workspace's projects."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def create(
        self,
        project: Project,
        *,
        output: Mapping[str, Any],
        description: str | None = None,
        kms: str | None = None,
        given_tags: Mapping[str, str] | None = None,
        arn: str = "{}",
    ) -> ModelRecord:
        """Make a model's next version, and a job that trains it once the project's datasets are not changing.

        Parameters
        ----------
        project
            whose datasets it learns from.
        output
            ``{"Bucket": ..., "Prefix": ...}``: where the evaluation's files go.
        description, kms
            kept and returned; nothing is encrypted.
        given_tags
            tags of the model.
        arn
            how the service names the model, ``{}`` stands for the version.

        Raises
        ------
        Conflict
            if the project has no training dataset, or its creation failed.
        Exceeded
            if two trainings are open already, while limits are on.
        """
        moment = rows.now()
        with self._workspace.records.change() as connection:
            self._check_quota(connection)
            datasets = {one.type: one for one in self._workspace.datasets.list(project)}
            if "train" not in datasets:
                raise Conflict(f"Project {project.name!r} has no training dataset; create one first.").about(
                    "dataset", f"{project.name}/train"
                )
            for one in datasets.values():
                if one.state is DatasetState.FAILED:
                    raise Conflict(f"The {one.type} dataset was not made: {one.message}").about(
                        "dataset", f"{project.name}/{one.type}"
                    )
            waits = [job.id for one in datasets.values() for job in queue.open_jobs(connection, target=one.id)]
            facts: dict[str, Any] = {}
            if not waits:  # what is there now is learned from, whatever happens to it before the training begins
                facts["datasets"] = {name: [one.id, one.version] for name, one in datasets.items()}
            version = rows.next_version(connection, project.id)
            made = rows.new_id()
            row = {
                "id": made, "project": project.id, "version": version, "key": f"{project.id}/{version}",
                "state": ModelState.TRAINING.value, "message": TRAINING, "description": description,
                "output": dict(output), "kms": kms, "created": moment, "facts": {**facts, "arn": arn.format(version)},
            }  # fmt: skip
            rows.insert(connection, MODELS, row)
            if given_tags:
                self._workspace.tags.put(made, given_tags)
            self._workspace.add_job("train", target=made, project=project.id, payload={}, awaits=waits)
            return self.get(project, str(version))

    def _check_quota(self, connection: Any) -> None:
        if self._workspace.settings.limits and len(queue.open_jobs(connection, kind="train")) >= AT_ONCE:
            raise Exceeded(f"{AT_ONCE} trainings are open; wait until one has ended.").about("model", "training")

    def get(self, project: Project, version: str) -> ModelRecord:
        """Return a version of a project's model; ``latest`` is the newest whose training succeeded.

        Raises
        ------
        NotFound
            if there is none.
        """
        with self._workspace.records.look() as connection:
            if version == "latest":
                query = rows.by(MODELS, project=project.id).where(
                    MODELS.c.key.is_not(None), MODELS.c.evaluated.is_not(None)
                )
                found = rows.one(connection, ModelRecord, query.order_by(MODELS.c.version.desc()))
            else:
                found = rows.known(connection, ModelRecord, MODELS, key=f"{project.id}/{version}")
        if found is None:
            raise NotFound(f"Project {project.name!r} has no model {version}.").about(
                "model", f"{project.name}/{version}"
            )
        return found

    def by_id(self, id: str) -> ModelRecord | None:
        """Return a model by its id."""
        with self._workspace.records.look() as connection:
            return rows.known(connection, ModelRecord, MODELS, id=id)

    def list(self, project: Project, *, after: int = 0, most: int = 100) -> Page[ModelRecord]:
        """Return the models of a project, oldest first."""
        with self._workspace.records.look() as connection:
            query = rows.by(MODELS, project=project.id).where(MODELS.c.key.is_not(None))
            return Page(*rows.page(connection, ModelRecord, MODELS, query, after, most))

    def hosted(self) -> builtins.list[ModelRecord]:
        """Return every model that somebody wishes hosted."""
        with self._workspace.records.look() as connection:
            query = rows.by(MODELS, state=ModelState.HOSTED.value).where(MODELS.c.key.is_not(None))
            return [rows.value(ModelRecord, row) for row in connection.execute(query)]

    def start(self, project: Project, version: str, *, least: int, most: int | None = None) -> ModelRecord:
        """Host a model.

        Raises
        ------
        NotFound
            if there is none.
        Conflict
            if it is hosted already, or is not trained.
        Invalid
            if ``most`` is below ``least``.
        """
        if most is not None and most < least:
            raise Invalid(f"The most inference units ({most}) are fewer than the least ({least}).")
        units = {"min_units": least, "max_units": most}
        return self._move(project, version, "start", "start model", STARTING, units)

    def stop(self, project: Project, version: str) -> ModelRecord:
        """Host a model no longer; what it is answering now is answered.

        Raises
        ------
        NotFound
            if there is none.
        Conflict
            if it is not hosted.
        """
        return self._move(project, version, "stop", "stop model", STOPPING, {})

    def delete(self, project: Project, version: str) -> ModelRecord:
        """Delete a model. Its files stay in the workspace's folder until it is cleaned; the output's stay for good.

        Raises
        ------
        NotFound
            if there is none.
        Conflict
            if it is being trained, started, stopped or packaged, or is hosted.
        Invalid
            if ``latest`` is named.
        """
        if version == "latest":
            raise Invalid("A model is deleted by its number, not as 'latest'.")
        with self._workspace.records.change() as connection:
            model = self.get(project, version)
            state = self._after(model, "delete", project)
            packages = connection.execute(rows.by(PACKAGES, model=model.id)).all()
            if any(queue.open_jobs(connection, kind="package", target=row.id) for row in packages):
                raise Conflict(f"Model {version} is being packaged; wait for its end.").about(
                    "model", f"{project.name}/{version}"
                )
            connection.execute(PACKAGES.update().where(PACKAGES.c.model == model.id).values(key=None))
            rows.set_if(connection, MODELS, model.id, {"key": None, "state": state.value})
            tags.remove(connection, model.id)
            return model

    def job(self, model: ModelRecord) -> Job | None:
        """Return the last job that concerned a model."""
        with self._workspace.records.look() as connection:
            return queue.newest(connection, model.id)

    def _move(
        self, project: Project, version: str, event: str, kind: str, message: str, changes: Mapping[str, Any]
    ) -> ModelRecord:
        with self._workspace.records.change() as connection:
            model = self.get(project, version)
            state = self._after(model, event, project)
            changed = {"state": state.value, "message": message, **changes}
            if rows.set_if(connection, MODELS, model.id, changed, state=model.state.value):
                self._workspace.add_job(kind, target=model.id, project=project.id, payload={})
            return self.get(project, str(model.version))

    @staticmethod
    def _after(model: ModelRecord, event: str, project: Project) -> ModelState:
        try:
            return MODEL.after(model.state, event)
        except Conflict as error:
            raise Conflict(str(error)).about("model", f"{project.name}/{model.version}") from None
