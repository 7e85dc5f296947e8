"""Compare two models: trained ones, evaluations, or what Lookout for Vision left behind."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Literal

from vision_toolkit.core.entry import Entry
from vision_toolkit.core.errors import Invalid, NotFound
from vision_toolkit.data.storage import exists
from vision_toolkit.metrics.comparison import Comparison, compare_evaluations
from vision_toolkit.metrics.evaluation import Evaluation
from vision_toolkit.metrics.files import read_evaluation
from vision_toolkit.models.model import Model

__all__ = ["Judged", "compare"]

Judged = Model | Evaluation | str | os.PathLike[str]
"""What :func:`compare` takes: a model, an evaluation, or the path of an EvaluationManifest."""


def compare(
    a: Judged,
    b: Judged,
    test: Iterable[Entry] | None = None,
    *,
    only_common: bool = False,
    by: Literal["source", "name"] = "source",
    names: tuple[str, str] = ("a", "b"),
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
    progress: Callable[[float, str], None] | None = None,
) -> Comparison:
    """Say which of two models is better on the same images, and refuse where these cannot tell them apart.

    Parameters
    ----------
    a, b
        each a model, which is evaluated on ``test``; an evaluation; or the path or URI of an
        ``EvaluationManifest-PROJECT-VERSION.json`` that Lookout for Vision (or this toolkit) wrote, its
        ``EvaluationResult`` beside it.
    test
        labelled images that neither model was trained with; needed where a or b is a model, and only there.
    only_common, by, names, confidence, resamples, seed
        as of :func:`vision_toolkit.metrics.compare_evaluations`. Comparing k models one after another, ask for
        ``confidence=1 - 0.05 / k``: of twenty equal ones, one will look better.
    progress
        called with the fraction done, 0 to 1, and a word, while models are evaluated.

    Raises
    ------
    Invalid
        if a model is given without ``test``, or ``test`` without a model; if the two were not judged on the same
        images, or by different labels.
    NotFound
        if a file is not there.

    Examples
    --------
    >>> from vision_toolkit.core import Label
    >>> from vision_toolkit.metrics.evaluation import Row
    >>> rows = tuple(Row(f"{i}.png", f"{i}.png", Label.NORMAL, False, 0.9, 0.1, 0.5) for i in range(40))
    >>> compare(Evaluation(rows), Evaluation(rows))
    Comparison(40 images: cannot tell apart, disagree on 0, p = 1.00)
    """
    models = [one for one in (a, b) if isinstance(one, Model)]
    if models and test is None:
        raise Invalid("A model is compared on images: give compare(a, b, test), labelled images it did not learn from.")
    if test is not None and not models:
        raise Invalid("test is for models; a and b are evaluations already. Leave it out, or give a model.")
    entries = list(test) if test is not None else []
    done = 0

    def told(share: float, word: str) -> None:
        if progress is not None:
            progress((done + share) / len(models), word)

    judged = []
    for one in (a, b):
        judged.append(_evaluation(one, entries, told))
        done += isinstance(one, Model)
    return compare_evaluations(
        judged[0], judged[1], only_common=only_common, by=by, names=names, confidence=confidence,
        resamples=resamples, seed=seed,
    )  # fmt: skip


def _evaluation(one: Judged, entries: list[Entry], progress: Callable[[float, str], None]) -> Evaluation:
    if isinstance(one, Evaluation):
        return one
    if isinstance(one, Model):
        return one.evaluate(entries, progress=progress)
    if not isinstance(one, str | os.PathLike):
        raise Invalid(
            f"Models, evaluations and paths of evaluation manifests are compared; a {type(one).__name__} was given."
        )
    return _read(os.fspath(one))


def _read(path: str) -> Evaluation:
    """Read an evaluation by the path of its manifest; the result lies beside it under the same name."""
    folder, slash, name = path.rpartition("/") if "/" in path else path.rpartition(os.sep)
    if "EvaluationManifest" not in name:
        raise Invalid(
            f"{path}: an old evaluation is given by its EvaluationManifest-PROJECT-VERSION.json. A model folder is "
            "loaded with load(folder); files of other names are read with metrics.read_evaluation(result, manifest)."
        )
    result = f"{folder}{slash}{name.replace('EvaluationManifest', 'EvaluationResult')}"
    if exists(path) and not exists(result):
        raise NotFound(
            f"{result} is missing; it lies beside the manifest. If it is elsewhere, give "
            "metrics.read_evaluation(result, manifest) instead of the path."
        )
    return read_evaluation(result, path)
