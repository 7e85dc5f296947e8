"""The job that trains a model of a project's datasets."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vision_toolkit.core.entry import Entry, Label
from vision_toolkit.core.errors import Failed, Invalid, VisionError
from vision_toolkit.core.limits import LOOKOUT
from vision_toolkit.core.mask import Mask
from vision_toolkit.curation.split import train_test_split
from vision_toolkit.data.images import mask_pixels, probe
from vision_toolkit.data.jsonlines import write_line
from vision_toolkit.data.manifest import Manifest
from vision_toolkit.metrics.evaluation import Evaluation
from vision_toolkit.metrics.files import evaluation_lines, evaluation_result
from vision_toolkit.models.train import train
from vision_toolkit.workspace.datasets import UNUSABLE
from vision_toolkit.workspace.jobs import Work
from vision_toolkit.workspace.lifecycle import MODEL
from vision_toolkit.workspace.records import rows
from vision_toolkit.workspace.records.tables import MODELS, PROJECTS, SETS
from vision_toolkit.workspace.values import DatasetRecord, Job, ModelRecord, Project

if TYPE_CHECKING:
    from vision_toolkit.workspace.records import Connection

__all__ = ["fail_training", "train_model"]

TEST_SHARE = 0.2
TRAINED = "Training completed successfully."


def train_model(work: Work) -> None:
    """Train, judge, write what can be seen of it."""
    workspace, job = work.workspace, work.job
    model = workspace.models.by_id(job.target)
    assert model is not None
    project = _project(work)
    datasets = _datasets(work, project, model)
    pinned = {name: [one.id, version] for name, (one, version) in datasets.items()}
    work.tell(0.01, "reading the datasets")
    given = {name: workspace.datasets.manifest(one, version) for name, (one, version) in datasets.items()}
    if workspace.settings.limits:
        check_counts(given)
        _check_masks(given["train"])
    every = [entry for manifest in given.values() for entry in manifest]
    size = _size(every, limits=workspace.settings.limits)
    learn, judge = given["train"], given.get("test")
    if judge is None:
        work.tell(0.02, "dividing into training and test")
        labelled = Manifest(entry for entry in learn if entry.is_labelled)
        learn, judge = train_test_split(labelled, test_size=TEST_SHARE, seed=0)
    folder = work.make_folder()
    _write_split(folder / "split", learn, judge)
    masked = any(entry.mask is not None and entry.label is Label.ANOMALY for entry in learn)
    settings = workspace.settings
    trained = train(
        learn, test=judge, task="segmentation" if masked else "classification", preset=settings.preset,
        weights=settings.weights, threads=settings.threads,
        progress=lambda share, text: work.tell(0.03 + 0.9 * share, text),
    )  # fmt: skip
    trained.save(folder / "model")
    work.tell(0.95, "writing the evaluation")
    assert trained.evaluation is not None
    files = _write_evaluation(work, project, model, trained.evaluation, judge)
    evaluation = trained.evaluation
    facts = {
        **model.facts, "datasets": pinned, "files": files, "size": size, "task": trained.task.value,
        "types": list(trained.types),
        "colours": list(trained.info["colours"]), "images": {"train": len(learn), "test": evaluation.n},
        "split": "own" if "test" in given else "ours",
    }  # fmt: skip
    changes = {
        "state": MODEL.after(model.state, "finish").value, "message": TRAINED, "evaluated": rows.now(),
        "f1": float(evaluation.f1), "precision": float(evaluation.precision), "recall": float(evaluation.recall),
        "folder": work.place, "facts": facts,
    }  # fmt: skip
    changes |= {name: 0.0 for name in ("f1", "precision", "recall") if changes[name] != changes[name]}
    with work.finish() as connection:
        rows.set_if(connection, MODELS, model.id, changes)


def fail_training(connection: Connection, job: Job, message: str) -> None:
    """Say why there is no model."""
    model = rows.known(connection, ModelRecord, MODELS, id=job.target)
    assert model is not None
    state = MODEL.after(model.state, "fail")
    rows.set_if(connection, MODELS, model.id, {"state": state.value, "message": message})


def _project(work: Work) -> Project:
    with work.workspace.records.look() as connection:
        found = rows.known(connection, Project, PROJECTS, id=work.job.project)
    assert found is not None
    return found


def _datasets(work: Work, project: Project, model: ModelRecord) -> dict[str, tuple[DatasetRecord, int]]:
    """Return the datasets and the versions that this model learns from: those that the first attempt found."""
    pinned: dict[str, Any] = dict(model.facts.get("datasets") or {})
    found = {one.type: one for one in work.workspace.datasets.list(project)}
    if not pinned:
        for name, one in found.items():
            if one.state in UNUSABLE:
                raise Invalid(f"The {name} dataset cannot be used, it is {one.state.value}: {one.message}")
        if "train" not in found:
            raise Invalid("The training dataset was deleted before the training began; create it and train again.")
        pinned = {name: [one.id, one.version] for name, one in found.items()}
        with work.step() as connection:
            rows.set_if(connection, MODELS, model.id, {"facts": {**model.facts, "datasets": pinned}})
    return {name: (_by_id(work, known), version) for name, (known, version) in pinned.items()}


def _by_id(work: Work, id: str) -> DatasetRecord:
    with work.workspace.records.look() as connection:
        found = rows.known(connection, DatasetRecord, SETS, id=id)
    assert found is not None
    return found


def check_counts(given: dict[str, Manifest]) -> None:
    """Raise Invalid where there are fewer images, or more, than Lookout for Vision asked for.

    Examples
    --------
    >>> check_counts({"train": Manifest()})
    Traceback (most recent call last):
    ...
    vision_toolkit.core.errors.Invalid: The dataset has 0 normal images; at least 20 are needed. The dataset has 0 ...
    """
    single = "test" not in given
    masked = any(entry.mask is not None for entry in given["train"])
    wrong: list[str] = []
    for name, manifest in given.items():
        noun = "dataset" if single else f"{name} dataset"
        counts = manifest.counts()
        least = {
            "normal": LOOKOUT.single_normal if single else getattr(LOOKOUT, f"{name}_normal"),
            "anomaly": LOOKOUT.single_anomaly if single else LOOKOUT.test_anomaly if name == "test" else 0,
        }
        wrong += [
            f"The {noun} has {counts.get(label, 0)} {label} images; at least {number} are needed."
            for label, number in least.items()
            if counts.get(label, 0) < number
        ]
        most = getattr(LOOKOUT, f"max_{name}_images{'_segmentation' if masked else ''}")
        if len(manifest) > most:
            wrong.append(f"The {noun} has {len(manifest):,} images; at most {most:,} are allowed.")
        if masked:
            wrong += _few_types(manifest, noun, LOOKOUT.single_images_per_type if single else LOOKOUT.images_per_type)
    if wrong:
        raise Invalid(" ".join(wrong) + " (The setting limits=off trains with fewer.)")


def _few_types(manifest: Manifest, noun: str, least: int) -> list[str]:
    alone: Counter[str] = Counter(dict.fromkeys(manifest.types, 0))
    for entry in manifest:
        if entry.label is Label.ANOMALY and entry.mask is not None and len(names := _types(entry)) == 1:
            alone[names[0]] += 1
    return [
        f"The {noun} has {count} images with {name!r} as the only anomaly type; at least {least} are needed."
        for name, count in alone.items()
        if count < least
    ]


def _check_masks(manifest: Manifest) -> None:
    """Raise Invalid where the mask of an anomaly has none of the colours that its line lists."""
    empty: list[str] = []
    for entry in manifest:
        if entry.label is Label.ANOMALY and entry.mask is not None and entry.mask.colours:
            seen = Mask.from_pixels(mask_pixels(entry.mask), entry.mask.colours)
            if not seen.types:
                empty.append(f"{entry.mask.uri} (listed: {', '.join(entry.mask.colours.values())})")
    if empty:
        raise Invalid(
            f"{len(empty)} masks of anomalies have no pixel in a colour that their lines list: {'; '.join(empty[:5])}"
            f"{' ...' if len(empty) > 5 else ''}. Correct the colours, and update the dataset."
        )


def _types(entry: Entry) -> list[str]:
    return list(entry.mask.colours) if entry.mask is not None else []


def _size(manifest: Sequence[Entry], *, limits: bool) -> list[int] | None:
    """Return the one size of all images; raise Invalid where there are several and limits are on."""
    sizes: Counter[tuple[int, int]] = Counter()
    example: dict[tuple[int, int], str] = {}
    for entry in manifest:
        if entry.is_labelled:
            facts = probe(entry)
            sizes[facts.width, facts.height] += 1
            example.setdefault((facts.width, facts.height), entry.source)
    if limits and len(sizes) > 1:
        told = ", ".join(f"{w} x {h} ({count}, {example[w, h]})" for (w, h), count in sizes.most_common(5))
        raise Invalid(
            f"All images of a project have one size; these have {len(sizes)}: {told}. (limits=off allows it.)"
        )
    return list(next(iter(sizes))) if len(sizes) == 1 else None


def _write_split(folder: Any, learn: Sequence[Entry], judge: Sequence[Entry]) -> None:
    folder.mkdir()
    for name, part in (("train", learn), ("test", judge)):
        text = "".join(f"{write_line(entry)}\n" for entry in part)
        (folder / f"{name}.manifest").write_text(text, "utf-8", "surrogateescape")


def _write_evaluation(
    work: Work, project: Project, model: ModelRecord, evaluation: Evaluation, judge: Sequence[Entry]
) -> dict[str, str]:
    """Write the two files of an evaluation where the model's output goes; return their keys."""
    buckets, number = work.workspace.buckets, str(model.version)
    arn, entries = str(model.facts["arn"]), [entry for entry in judge if entry.is_labelled]
    bucket, prefix = model.output["Bucket"], model.output.get("Prefix") or ""
    lines = evaluation_lines(evaluation, project=project.name, version=number, model_arn=arn, entries=entries)
    result = evaluation_result(evaluation, model_arn=arn)
    files = {
        "result": (f"{prefix}EvaluationResult-{project.name}-{number}.json", json.dumps(result, allow_nan=False)),
        "manifest": (f"{prefix}EvaluationManifest-{project.name}-{number}.json", "".join(f"{one}\n" for one in lines)),
    }
    for key, text in files.values():
        try:
            buckets.write(f"s3://{bucket}/{key}", text.encode("utf-8", "surrogateescape"))
        except VisionError as error:
            raise Failed(f"The evaluation could not be written to s3://{bucket}/{key}: {error}") from error
    return {name: key for name, (key, _) in files.items()}
