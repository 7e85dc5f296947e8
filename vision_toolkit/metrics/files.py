"""Write and read evaluations in the form of Lookout for Vision.

Two files, named ``EvaluationResult-PROJECT-VERSION.json`` and ``EvaluationManifest-PROJECT-VERSION.json``: the scores,
and one JSON line an image with what is known and what the model said. Source: the service's developer guide, page
"Viewing performance metrics".
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any

from vision_toolkit.core.entry import Entry, Label, MaskRef
from vision_toolkit.core.errors import Conflict, Invalid
from vision_toolkit.core.mask import BACKGROUND, palette_colour
from vision_toolkit.data.attributes import CLASSIFICATION, SEGMENTATION
from vision_toolkit.data.jsonlines import read_line, write_line
from vision_toolkit.data.storage import exists, read_bytes, write_file
from vision_toolkit.metrics.evaluation import Evaluation, Row
from vision_toolkit.metrics.intervals import Score
from vision_toolkit.metrics.type_scores import TypeScore

__all__ = ["evaluation_lines", "evaluation_result", "read_evaluation", "write_evaluation"]

JOB = "training-job/anomaly-detection"
_PROJECT = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_\-]*")
_VERSION = re.compile(r"[a-zA-Z0-9._\-]+")
Json = dict[str, Any]


def evaluation_result(evaluation: Evaluation, *, model_arn: str) -> Json:
    """Return what an EvaluationResult file holds.

    All numbers are numbers, because readers index them blindly: an undefined score is 0.0 here. A model without
    masks has one row of zeros for the background among the PixelAnomalyClassMetrics, for the same reason.

    Parameters
    ----------
    evaluation
        what to tell.
    model_arn
        name of the model.

    Examples
    --------
    >>> result = evaluation_result(Evaluation((), training_images=30), model_arn="arn:aws:lookoutvision:model/p/1")
    >>> list(result), result["EvaluationDetails"]["NumberOfTrainingImages"]
    (['Version', 'EvaluationDetails', 'AggregatedEvaluationResults'], 30)
    """
    types = [
        {
            "Precision": _plain(one.precision), "Recall": _plain(one.recall), "F1Score": _plain(one.f1),
            "AIOU": _plain(one.aiou), "ClassName": one.name,
        }
        for one in evaluation.types.values()
    ]  # fmt: skip
    nothing = {"Precision": 0.0, "Recall": 0.0, "F1Score": 0.0, "AIOU": 0.0, "ClassName": BACKGROUND}
    return {
        "Version": 1,
        "EvaluationDetails": {
            "ModelArn": model_arn,
            "EvaluationEndTimestamp": _stamp(evaluation.created),
            "NumberOfTrainingImages": evaluation.training_images,
            "NumberOfTestingImages": evaluation.n,
        },
        "AggregatedEvaluationResults": {
            "Metrics": {
                "ROCAUC": _plain(evaluation.roc_auc),
                "AveragePrecision": _plain(evaluation.average_precision),
                "Precision": _plain(evaluation.precision),
                "Recall": _plain(evaluation.recall),
                "F1Score": _plain(evaluation.f1),
                "PixelAnomalyClassMetrics": types or [nothing],
            }
        },
    }


def evaluation_lines(
    evaluation: Evaluation,
    *,
    project: str,
    version: str,
    model_arn: str,
    entries: Iterable[Entry] | None = None,
    masks: Mapping[str, MaskRef] | None = None,
) -> list[str]:
    """Return the lines of an EvaluationManifest file, without newlines.

    Each is the image's own line, untouched, with what the model said added at its end.

    Parameters
    ----------
    evaluation
        what to tell.
    project, version, model_arn
        names of the model.
    entries
        the images that were judged, in the same order, for their own lines (unlabelled ones among them are left
        out); without them lines are made of source and label.
    masks
        source of the image to where its predicted mask lies.

    Raises
    ------
    Invalid
        if ``entries`` are not those that were judged.

    Examples
    --------
    >>> from vision_toolkit.core import Prediction, Task
    >>> entries = [Entry("1.png", Label.NORMAL)]
    >>> answers = [Prediction(Task.CLASSIFICATION, score=0.1, threshold=0.5)]
    >>> evaluation = Evaluation.from_predictions(entries, answers)
    >>> (line,) = evaluation_lines(evaluation, project="p", version="1", model_arn="arn:aws:lookoutvision:model/p/1")
    >>> list(json.loads(line))[-3:]
    ['source-ref-metadata', 'anomaly-label-detected', 'anomaly-label-detected-metadata']
    """
    stamp = _stamp(evaluation.created)
    lines = []
    for row, entry in zip(evaluation.rows, _own_entries(evaluation, entries), strict=True):
        said: Json = {
            "source-ref-metadata": {"creation-date": stamp},
            "anomaly-label-detected": int(row.is_anomalous),
            "anomaly-label-detected-metadata": {
                "class-name": str(Label.ANOMALY if row.is_anomalous else Label.NORMAL),
                "confidence": row.confidence,
                "type": CLASSIFICATION,
                "human-annotated": "no",
                "creation-date": stamp,
                "job-name": JOB,
                "model-arn": model_arn,
                "project-name": project,
                "model-version": version,
            },
        }
        mask = (masks or {}).get(row.source)
        if mask is not None:
            said |= _mask_keys(mask, row, stamp)
        lines.append(_joined(write_line(entry), said))
    return lines


def write_evaluation(
    evaluation: Evaluation,
    prefix_or_folder: str | os.PathLike[str],
    *,
    project: str,
    version: str | int,
    model_arn: str,
    entries: Iterable[Entry] | None = None,
    masks: Mapping[str, MaskRef] | None = None,
    overwrite: bool = False,
) -> tuple[str, str]:
    """Write EvaluationResult and EvaluationManifest as Lookout for Vision did.

    Parameters
    ----------
    evaluation
        what to write.
    prefix_or_folder
        text is put before the file names as it is: ``"out/"`` is a folder, ``"out/first_"`` begins the names. A
        Path is a folder.
    project, version, model_arn
        names of the model.
    entries, masks
        as of :func:`evaluation_lines`; a Manifest will do for ``entries``.
    overwrite
        replace files that are there.

    Returns
    -------
    result, manifest
        where the two files are.

    Raises
    ------
    Conflict
        if one of the files exists and ``overwrite`` is not set; nothing is written then.
    Invalid
        if project or version cannot be part of a file name, or ``entries`` are not those that were judged.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> arn = "arn:aws:lookoutvision:us-east-1:123456789012:model/cookies/1"
    >>> paths = write_evaluation(Evaluation(()), folder, project="cookies", version=1, model_arn=arn)
    >>> [pathlib.Path(path).name for path in paths]
    ['EvaluationResult-cookies-1.json', 'EvaluationManifest-cookies-1.json']
    """
    number = str(version)
    if not _PROJECT.fullmatch(project):
        raise Invalid(f"A project's name is of letters, digits, '-' and '_', the first a letter or digit; {project!r} "
                      "was given.")  # fmt: skip
    if not _VERSION.fullmatch(number):
        raise Invalid(f"A version is of letters, digits, '.', '-' and '_'; {version!r} was given.")
    prefix = os.fspath(prefix_or_folder)
    if isinstance(prefix_or_folder, PurePath):
        prefix += "/"
    paths = tuple(f"{prefix}Evaluation{kind}-{project}-{number}.json" for kind in ("Result", "Manifest"))
    taken = [path for path in paths if not overwrite and exists(path)]
    if taken:
        raise Conflict(f"{taken[0]} exists; give another prefix or overwrite=True.")
    result = evaluation_result(evaluation, model_arn=model_arn)
    lines = evaluation_lines(
        evaluation, project=project, version=number, model_arn=model_arn, entries=entries, masks=masks
    )
    write_file(paths[0], json.dumps(result, allow_nan=False).encode(), overwrite=overwrite)
    write_file(paths[1], "".join(f"{line}\n" for line in lines).encode(), overwrite=overwrite)
    return paths[0], paths[1]


def read_evaluation(result_path: str | os.PathLike[str], manifest_path: str | os.PathLike[str]) -> Evaluation:
    """Read an evaluation that Lookout for Vision or :func:`write_evaluation` wrote.

    The scores are counted again from the lines. The files do not tell the threshold: it is taken midway between the
    highest score that passed and the lowest that did not. As confidence is told of the verdict, the score of an image
    is the confidence of an anomaly and one minus that of a normal image. Pixel scores are taken from the result;
    how many images they rest on is not told, so they have no interval. A time that cannot be read is told as 1970.

    Parameters
    ----------
    result_path, manifest_path
        paths or URIs of the two files.

    Raises
    ------
    NotFound
        if a file is not there.
    Invalid
        if it is not of this form; the text names the line.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> judged = Evaluation((), training_images=30)
    >>> written = write_evaluation(judged, folder, project="p", version=1, model_arn="arn")
    >>> read_evaluation(*written).training_images
    30
    """
    result = _decoded(read_bytes(result_path), os.fspath(result_path))
    details, metrics = _details(result, os.fspath(result_path))
    rows: list[Row] = []
    entries: list[Entry] = []
    unlabelled = 0
    text = read_bytes(manifest_path).decode("utf-8-sig", "replace")
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        entry, row = _read_row(line, f"{os.fspath(manifest_path)}, line {number}", number)
        entries.append(entry)
        if entry.is_labelled:
            rows.append(row)
        else:
            unlabelled += 1
    threshold = _threshold_of(rows)
    fixed = tuple(_with_threshold(row, threshold) for row in rows)
    types = {one.name: one for one in _read_types(metrics.get("PixelAnomalyClassMetrics"), entries)}
    training = details.get("NumberOfTrainingImages")
    created = _moment(details.get("EvaluationEndTimestamp"))
    return Evaluation(
        fixed, "test", threshold, types, training if isinstance(training, int) else 0, unlabelled, created=created
    )


def _own_entries(evaluation: Evaluation, entries: Iterable[Entry] | None) -> list[Entry]:
    if entries is None:
        return [Entry(row.source, row.label) for row in evaluation.rows]
    own = [entry for entry in entries if entry.is_labelled]
    wrong = next((i for i, (e, r) in enumerate(zip(own, evaluation.rows, strict=False)) if e.source != r.source), None)
    if wrong is not None or len(own) != evaluation.n:
        where = "" if wrong is None else f", and number {wrong + 1} is {own[wrong].source!r}"
        raise Invalid(
            f"entries must be the {evaluation.n} images that were judged, in that order; {len(own)} labelled ones were "
            f"given{where}."
        )
    return own


def _mask_keys(mask: MaskRef, row: Row, stamp: str) -> Json:
    areas = row.areas or {BACKGROUND: 1.0}
    colours = {BACKGROUND: palette_colour(0), **mask.colours}
    listed = {
        str(index): {
            "name": name,
            "hex-color": colours.get(name, palette_colour(index)).lower(),
            "total-percentage-area": area,
        }
        for index, (name, area) in enumerate(areas.items())
    }
    return {
        "anomaly-mask-ref-detected": mask.uri,
        "anomaly-mask-ref-detected-metadata": {
            "internal-color-map": listed,
            "creation-date": stamp,
            "human-annotated": "no",
            "type": SEGMENTATION,
            "job-name": JOB,
        },
    }


def _joined(line: str, said: Json) -> str:
    """Add keys to a JSON line; what is there already keeps its spelling, unless an older verdict is replaced."""
    text = line.strip().removeprefix("\ufeff")
    own = json.loads(text)
    if "source-ref-metadata" in own:
        said = {key: value for key, value in said.items() if key != "source-ref-metadata"}
    if said.keys() & own.keys():
        return json.dumps(own | said, ensure_ascii=text.isascii())
    return f"{text[:-1].rstrip()}, {json.dumps(said, allow_nan=False)[1:]}"


def _decoded(data: bytes, where: str) -> Json:
    try:
        value = json.loads(data)
    except ValueError as error:
        raise Invalid(f"{where} is not JSON: {error}.") from None
    if not isinstance(value, dict):
        raise Invalid(f"{where} is a JSON {type(value).__name__}, not an object {{...}}.")
    return value


def _details(result: Json, where: str) -> tuple[Json, Json]:
    details = result.get("EvaluationDetails")
    aggregated = result.get("AggregatedEvaluationResults")
    metrics = aggregated.get("Metrics") if isinstance(aggregated, dict) else None
    if not isinstance(details, dict) or not isinstance(metrics, dict):
        raise Invalid(
            f"{where} is no EvaluationResult: it needs EvaluationDetails and AggregatedEvaluationResults.Metrics; its "
            f"keys are {list(result)[:5]}."
        )
    return details, metrics


def _read_row(line: str, where: str, number: int) -> tuple[Entry, Row]:
    entry, findings = read_line(line.rstrip("\r"), number)
    if entry is None:
        raise Invalid(f"{where}: {findings[0].text if findings else 'no entry.'}")
    said = json.loads(line).get("anomaly-label-detected-metadata")
    verdict = said.get("class-name") if isinstance(said, dict) else None
    sure = said.get("confidence") if isinstance(said, dict) else None
    word = verdict.strip().casefold() if isinstance(verdict, str) else ""
    if word not in ("normal", "anomaly"):
        raise Invalid(
            f"{where}: anomaly-label-detected-metadata needs the class-name normal or anomaly; {verdict!r} was found."
        )
    if isinstance(sure, bool) or not isinstance(sure, int | float) or not 0.0 <= sure <= 1.0:
        raise Invalid(f"{where}: anomaly-label-detected-metadata needs a confidence from 0 to 1; {sure!r} was found.")
    anomalous = word == "anomaly"
    score = round(float(sure) if anomalous else 1.0 - sure, 6)
    areas = _read_areas(json.loads(line).get("anomaly-mask-ref-detected-metadata"))
    row = Row(entry.source, entry.location, entry.label, anomalous, float(sure), score, math.nan, None, areas)
    return entry, row


def _read_areas(said: Any) -> dict[str, float]:
    listed = said.get("internal-color-map") if isinstance(said, dict) else None
    if not isinstance(listed, dict):
        return {}
    return {
        str(one["name"]): float(one["total-percentage-area"])
        for one in listed.values()
        if isinstance(one, dict) and "name" in one and isinstance(one.get("total-percentage-area"), int | float)
    }


def _threshold_of(rows: list[Row]) -> float:
    passed = [row.score for row in rows if not row.is_anomalous]
    called = [row.score for row in rows if row.is_anomalous]
    if not rows or (passed and called and max(passed) >= min(called)):
        return math.nan
    low, high = max(passed, default=0.0), min(called, default=1.0)
    return low + (high - low) / 2


def _with_threshold(row: Row, threshold: float) -> Row:
    return Row(
        row.source, row.location, row.label, row.is_anomalous, row.confidence, row.score, threshold, None, row.areas
    )


def _read_types(listed: Any, entries: list[Entry]) -> Iterable[TypeScore]:
    for one in listed if isinstance(listed, list) else []:
        name = one.get("ClassName") if isinstance(one, dict) else None
        if not isinstance(name, str) or name.casefold() == BACKGROUND:
            continue
        precision, recall, f1, aiou = (_read_number(one.get(key)) for key in ("Precision", "Recall", "F1Score", "AIOU"))
        images = sum(entry.label is Label.ANOMALY and name in entry.types for entry in entries)
        yield TypeScore(name, precision, recall, f1, Score(aiou), images)


def _read_number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan


def _plain(value: float) -> float:
    return 0.0 if math.isnan(value) else float(value)


def _stamp(moment: datetime) -> str:
    """Write a time as the service did: UTC, without saying so."""
    utc = moment.astimezone(UTC) if moment.tzinfo else moment
    return utc.replace(tzinfo=None).isoformat(timespec="microseconds")


def _moment(value: Any) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return datetime.fromtimestamp(0, UTC)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
