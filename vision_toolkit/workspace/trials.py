"""Trial detections: a model looks at images without labels, a person verifies, and that can be learned from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vision_toolkit.core.entry import Entry, Label
from vision_toolkit.core.errors import Conflict, Invalid, NotFound
from vision_toolkit.data.jsonlines import write_line
from vision_toolkit.workspace.jobs import Work
from vision_toolkit.workspace.lifecycle import TRIAL, TrialState
from vision_toolkit.workspace.records import rows
from vision_toolkit.workspace.records.tables import TRIALS
from vision_toolkit.workspace.values import DatasetRecord, Job, ModelRecord, Page, Project, Trial

if TYPE_CHECKING:
    from vision_toolkit.workspace.records import Connection
    from vision_toolkit.workspace.workspace import Workspace

__all__ = ["Trials"]

MOST = 2_000
"""Images of one trial, as Lookout for Vision allowed."""
ENDS = (".jpg", ".jpeg", ".png")
RESULTS = "results.jsonl"
DETECTING, COMPLETED = "The images are being looked at.", "The trial detection was completed."


class Trials:
    """Hold the trial detections of a workspace's projects."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def create(self, project: Project, model: ModelRecord, name: str, place: str) -> Trial:
        """Let a model look at the images below a place.

        Parameters
        ----------
        project, model
            a trained one; it need not be hosted.
        name
            of the trial, unique in the project.
        place
            ``s3://BUCKET/PREFIX``: every PNG and JPEG below it.

        Raises
        ------
        Conflict
            if the model is not trained, or the name is taken.
        """
        if model.folder is None:
            raise Conflict(f"Model {model.version} is {model.state.value}; only a trained one detects.").about(
                "model", f"{project.name}/{model.version}"
            )
        moment = rows.now()
        row = {
            "id": rows.new_id(), "project": project.id, "model": model.id, "model_version": model.version, "name": name,
            "key": f"{project.id}/{name}", "state": TrialState.DETECTING.value, "message": DETECTING,
            "created": moment, "updated": moment,
        }  # fmt: skip
        with self._workspace.records.change() as connection:
            if not rows.insert(connection, TRIALS, row, unless="key"):
                raise Conflict(f"There is a trial detection {name!r} already; give another name.").about("trial", name)
            made = self.get(project, name)
            self._workspace.add_job("trial", target=made.id, project=project.id, payload={"place": place})
            return made

    def get(self, project: Project, name: str) -> Trial:
        """Return a trial detection.

        Raises
        ------
        NotFound
            if there is none of that name.
        """
        with self._workspace.records.look() as connection:
            found = rows.one(connection, Trial, rows.by(TRIALS, key=f"{project.id}/{name}"))
        if found is None:
            raise NotFound(f"Project {project.name!r} has no trial detection {name!r}.").about("trial", name)
        return found

    def list(self, project: Project, *, after: int = 0, most: int = 100) -> Page[Trial]:
        """Return the trial detections of a project, oldest first."""
        with self._workspace.records.look() as connection:
            query = rows.by(TRIALS, project=project.id).where(TRIALS.c.key.is_not(None))
            return Page(*rows.page(connection, Trial, TRIALS, query, after, most))

    def results(self, trial: Trial) -> Iterator[dict[str, Any]]:
        """Yield what was said of each image: ``source-ref``, ``is-anomalous``, ``confidence``, ``score``, ``areas``."""
        if trial.folder is None:
            return
        with (self._workspace.folder / trial.folder / RESULTS).open(encoding="utf-8") as file:
            yield from map(json.loads, file)

    def verify(self, project: Project, trial: Trial, labels: Mapping[str, str | None]) -> DatasetRecord:
        """Add images of a trial to the training dataset, with the verdicts of a person.

        Parameters
        ----------
        project, trial
            which.
        labels
            image to ``"normal"``, ``"anomaly"``, or None where what the model said is right.

        Raises
        ------
        NotFound
            if an image is not of the trial, or there is no training dataset.
        Conflict
            if the trial is not completed, or the dataset is being changed.
        """
        if trial.state is not TrialState.COMPLETED:
            raise Conflict(f"The trial detection {trial.name!r} is {trial.state.value}; wait for its end.").about(
                "trial", trial.name
            )
        if not labels:
            raise Invalid("No image is verified; name some.")
        said = {one["source-ref"]: bool(one["is-anomalous"]) for one in self.results(trial) if "error" not in one}
        strange = sorted(set(labels) - set(said))
        if strange:
            raise NotFound(f"{strange[0]} is not an image of the trial detection {trial.name!r}.").about(
                "trial", trial.name
            )
        verdicts = {True: Label.ANOMALY, False: Label.NORMAL}
        lines = [
            write_line(Entry(source, verdicts[said[source]] if label is None else Label(label)))
            for source, label in labels.items()
        ]
        with self._workspace.records.change() as connection:
            dataset = self._workspace.datasets.update(project, "train", "".join(f"{one}\n" for one in lines).encode())
            changes = {"verified": trial.verified + len(lines), "updated": rows.now()}
            rows.set_if(connection, TRIALS, trial.id, changes)
        return dataset

    def delete(self, project: Project, name: str) -> None:
        """Delete a trial detection; images and dataset stay as they are.

        Raises
        ------
        NotFound
            if there is none of that name.
        Conflict
            if it is not ended.
        """
        with self._workspace.records.change() as connection:
            trial = self.get(project, name)
            state = TRIAL.after(trial.state, "delete")
            rows.set_if(connection, TRIALS, trial.id, {"key": None, "state": state.value})


def detect(work: Work) -> None:
    """Look at the images; one that cannot be read is told and ends nothing but itself."""
    workspace, job = work.workspace, work.job
    with workspace.records.look() as connection:
        trial = _found(connection, job)
    model = workspace.models.by_id(trial.model)
    assert model is not None
    place = str(job.payload["place"])
    sources = _images(workspace, place)
    loaded = workspace.hosts.load(model)
    anomalies = 0
    with (work.make_folder() / RESULTS).open("w", encoding="utf-8") as file:
        for number, source in enumerate(sources):
            work.tell(0.02 + 0.97 * number / len(sources), f"image {number + 1:,} of {len(sources):,}")
            said: dict[str, Any] = {"source-ref": source}
            try:
                prediction = loaded.predict(workspace.buckets.read(source))
            except (Invalid, NotFound) as error:
                said["error"] = str(error)
            else:
                anomalies += prediction.is_anomalous
                said |= {"is-anomalous": prediction.is_anomalous, "confidence": prediction.confidence}
                said |= {"score": prediction.score}
                if prediction.mask is not None:
                    said["areas"] = prediction.mask.areas()
            file.write(json.dumps(said) + "\n")
    changes = {
        "state": TRIAL.after(trial.state, "finish").value, "message": COMPLETED, "folder": work.place,
        "total": len(sources), "anomaly": anomalies, "updated": rows.now(),
    }  # fmt: skip
    with work.finish() as connection:
        rows.set_if(connection, TRIALS, trial.id, changes)


def fail_trial(connection: Connection, job: Job, message: str) -> None:
    """Say why there is no result."""
    trial = _found(connection, job)
    state = TRIAL.after(trial.state, "fail")
    changes = {"state": state.value, "message": message, "updated": rows.now()}
    rows.set_if(connection, TRIALS, trial.id, changes)


def _images(workspace: Workspace, place: str) -> Sequence[str]:
    bucket, _, prefix = place.removeprefix("s3://").partition("/")
    found: list[str] = []
    for key in workspace.buckets.keys(bucket, prefix):
        if key.lower().endswith(ENDS):
            found.append(f"s3://{bucket}/{key}")
        if len(found) > MOST:
            raise Invalid(f"More than {MOST:,} images lie below {place}; a trial detection takes {MOST:,}.")
    if not found:
        raise Invalid(f"No PNG or JPEG lies below {place}; `vision-toolkit put FOLDER {place}` copies some there.")
    return found


def _found(connection: Connection, job: Job) -> Trial:
    found = rows.one(connection, Trial, rows.by(TRIALS, id=job.target))
    assert found is not None
    return found
