"""A trained model: predict, evaluate, move its threshold, save, load."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vision_toolkit.core.entry import Entry
from vision_toolkit.core.errors import Invalid, NotFound
from vision_toolkit.core.mask import BACKGROUND, Mask
from vision_toolkit.core.prediction import Prediction, Task
from vision_toolkit.core.settings import Settings
from vision_toolkit.data.images import read_image, read_mask
from vision_toolkit.data.storage import local_path, new_folder
from vision_toolkit.metrics.evaluation import Evaluation
from vision_toolkit.metrics.thresholds import Rule
from vision_toolkit.models.features import batches, read_ahead
from vision_toolkit.models.progress import Progress, told
from vision_toolkit.models.runtime import Answer, Runtime

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from vision_toolkit.models.export import Export

__all__ = ["MODEL_FILES", "Model", "load", "true_mask"]

MODEL_FILES = ("model.json", "model.onnx")
"""What a model folder holds; the first tells what it is."""
LONG = 5.0
"""Seconds of judging after which a progress bar appears."""


class Model:
    """Hold a trained inspection model.

    Made by :func:`vision_toolkit.train` or :func:`vision_toolkit.load`. Everything that it predicts comes from
    ``models/runtime.py``, the one file that hosting and packages run as well.

    Parameters
    ----------
    runtime
        what predicts.
    evaluation
        how good it is, where that is known.

    Examples
    --------
    >>> import vision_toolkit as vt
    >>> parts = vt.load_dataset("biscuit").filter(label="normal")[:8]
    >>> model = vt.train(parts, weights=None, preset="fast", progress=False)
    >>> model.predict(parts[0]).is_anomalous
    False
    """

    def __init__(self, runtime: Runtime, *, evaluation: Evaluation | None = None) -> None:
        self._runtime = runtime
        self.evaluation = evaluation

    # ---------------------------------------------------------------- what it is

    @property
    def info(self) -> dict[str, Any]:
        """Return the plain facts of the model: recipe, counts, backbone, seed, threshold, metrics, versions."""
        return self._runtime.info

    @property
    def task(self) -> Task:
        """Return what the model does: classification, or segmentation (verdict and types)."""
        return Task(self.info["task"])

    @property
    def types(self) -> tuple[str, ...]:
        """Return the anomaly types that it paints; empty for classification."""
        return tuple(self.info["types"])

    @property
    def threshold(self) -> float:
        """Return the score from which the model says anomaly, 0 to 1."""
        return float(self.info["threshold"])

    def at(self, threshold: Rule, *, prevalence: float | None = None) -> Model:
        """Return the same model under another threshold, its evaluation too; this one stays as it is.

        ``model.evaluation.effect(threshold)`` says beforehand what would change: which images change side, and how many
        alarms and misses to expect of 1,000 parts. Scores and the confidence of a score do not move; to have them for
        another share of anomalies as well, train with ``prevalence``.

        Parameters
        ----------
        threshold
            0 to 1; or a rule such as ``"at_recall(0.95)"`` or ``"at_cost(miss=50, reject=1)"``, see
            :func:`~vision_toolkit.metrics.choose_threshold`, which looks at what the model said of its training images
            while they were held out.
        prevalence
            share of anomalies on the line, 0 to 1, both excluded, for a rule. None: the one that the model was trained
            for, else that of the training images.

        Raises
        ------
        Invalid
            if the threshold does not lie between 0 and 1, the rule is unknown or cannot be met, or a rule is given and
            there are no held-out scores: of a model that was loaded, trained on normal images alone, or trained with
            ``test``.

        Examples
        --------
        >>> import vision_toolkit as vt
        >>> parts = vt.load_dataset("biscuit")[:30]
        >>> model = vt.train(parts, weights=None, preset="fast", task="classification", progress=False)
        >>> strict = model.at("at_cost(miss=50, reject=1)", prevalence=0.3)
        >>> strict.threshold < model.threshold, strict.info["threshold_rule"]
        (True, 'at_cost(miss=50, reject=1, prevalence=0.3)')
        """
        rule = "set by hand"
        if isinstance(threshold, str) or callable(threshold):
            if prevalence is None and not (isinstance(threshold, str) and "prevalence" in threshold):
                prevalence = self.info.get("prevalence")
            rule = _named(threshold, prevalence)
            threshold = self._held_out().at(threshold, prevalence=prevalence).threshold
        elif not 0.0 <= threshold <= 1.0:
            raise Invalid(f"A threshold lies between 0 and 1; {threshold} was given.")
        moved = self.evaluation.at(threshold) if self.evaluation is not None else None
        info = self.info | {"threshold": float(threshold), "threshold_rule": rule}
        if moved is not None:
            info["metrics"] = moved.to_dict()
        runtime = Runtime.__new__(Runtime)
        runtime.__dict__.update(self._runtime.__dict__ | {"info": info})
        return Model(runtime, evaluation=moved)

    def _held_out(self) -> Evaluation:
        """Return what was said of the training images while they were held out."""
        if self.evaluation is not None and self.evaluation.kind == "cross-validation":
            return self.evaluation
        why = "its evaluation is that of a test set" if self.evaluation is not None else "it has no evaluation"
        raise Invalid(
            f"A rule chooses on scores of training images that were held out, and this model has none: {why}. Give a "
            "number; model.evaluate(images).at(rule).threshold is one for images that are not used to judge it later."
        )

    # ---------------------------------------------------------------- predicting

    def predict(self, source: Any) -> Prediction:
        """Predict one image.

        Parameters
        ----------
        source
            path, URI, bytes, array, PIL image or :class:`~vision_toolkit.Entry`; see
            :func:`vision_toolkit.data.images.read_image`.

        Raises
        ------
        Invalid
            if it is no image that can be read.
        NotFound
            if nothing is there.
        """
        return self._predictions([source], [read_image(source)])[0]

    def predict_all(self, sources: Iterable[Any], *, batch: int = 32) -> Iterator[Prediction]:
        """Predict many images, one after the other as they come: memory does not grow with their number.

        Parameters
        ----------
        sources
            what :meth:`predict` takes, or a manifest.
        batch
            images that go through the network at once, from 1.

        Raises
        ------
        Invalid, NotFound
            at the first image that cannot be read.
        """
        if batch < 1:
            raise Invalid(f"batch is at least 1; {batch} was given.")
        threads = Settings.read().usable_threads()

        def load(source: Any) -> tuple[Any, NDArray[np.uint8]]:
            return source, read_image(source)

        # Large images wait decoded: a few batches of them would fill the memory.
        for group in batches(read_ahead(load, sources, threads=threads, ahead=min(batch, 8)), min(batch, 8)):
            yield from self._predictions(*zip(*group, strict=True))

    def _predictions(self, sources: Iterable[Any], images: Iterable[NDArray[np.uint8]]) -> list[Prediction]:
        answers = self._runtime.predict(list(images))
        return [self._prediction(answer, name_of(source)) for answer, source in zip(answers, sources, strict=True)]

    def _prediction(self, answer: Answer, source: str | None) -> Prediction:
        mask = None
        if answer["ids"] is not None:
            mask = Mask(answer["ids"], (BACKGROUND, *self.types), tuple(self.info["colours"]))
        return Prediction(
            self.task, score=answer["score"], threshold=self.threshold, mask=mask, map=answer["map"], source=source
        )

    # ---------------------------------------------------------------- judging

    def evaluate(self, manifest: Iterable[Entry], *, progress: Progress | bool | None = None) -> Evaluation:
        """Predict images whose labels are known and say how good the model is.

        Unlabelled images are left out. Do not evaluate on images that the model was trained with: what is measured
        then is its memory.

        Parameters
        ----------
        manifest
            the images.
        progress
            None: a progress bar where somebody watches, if it takes long; False: none; or a function told
            ``(share, what)``.

        Raises
        ------
        Invalid
            if no image is labelled, or one cannot be read.
        """
        entries = [entry for entry in manifest if entry.is_labelled]
        if not entries:
            raise Invalid("There is no labelled image to evaluate on; label some normal and some anomaly.")
        masks = true_mask(self.types) if self.task is Task.SEGMENTATION else None
        with told(progress, delay=LONG) as tell:
            return Evaluation.from_predictions(
                entries,
                _counted(self.predict_all(entries), len(entries), tell),
                masks=masks,
                training_images=self.info["training"]["images"],
                seed=self.info["seed"],
            )

    def card(self) -> str:
        """Return the model's card, Markdown: what it does and sees through, how it judges and why, what it is worth.

        It is made of the plain facts in :attr:`info`, so that a loaded model has it too.

        Examples
        --------
        >>> import vision_toolkit as vt
        >>> parts = vt.load_dataset("biscuit").filter(label="normal")[:8]
        >>> print(vt.train(parts, weights=None, preset="fast", progress=False).card().partition(";")[0])
        # Model card
        <BLANKLINE>
        Says of an image whether it shows an anomaly, and how surely
        """
        from vision_toolkit.models.card import write_card

        return write_card(self.info, size=len(self._runtime.graph))

    # ---------------------------------------------------------------- keeping

    def save(self, folder: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write the model as a folder: ``model.json`` and ``model.onnx``.

        Raises
        ------
        Conflict
            if the folder is there and not empty; ``overwrite=True`` replaces an older model, never anything else.
        Failed
            if the disk refuses; nothing is left behind then.
        """
        with new_folder(folder, overwrite=overwrite, names=MODEL_FILES) as temporary:
            self.write_files(temporary)
        return local_path(folder)

    def write_files(self, folder: Path) -> None:
        """Write the files of the model into an existing folder."""
        (folder / MODEL_FILES[1]).write_bytes(self._runtime.graph)
        (folder / MODEL_FILES[0]).write_text(json.dumps(self.info, indent=1, allow_nan=False), "utf-8")

    def export(
        self,
        path: str | os.PathLike[str],
        *,
        golden: Iterable[Any] | None = None,
        overwrite: bool = False,
    ) -> Export:
        """Write a package that predicts without this toolkit, and prove it before it is there.

        The same as :func:`vision_toolkit.models.export.export_package`, which says what a package holds, how it is
        proved and what is raised.

        Parameters
        ----------
        path
            the folder to make.
        golden
            images whose answers travel with the package and must be reproduced: a manifest, or a list of what
            :meth:`predict` takes, 99 at most; some of each verdict are best. None: a few drawn patterns.
        overwrite
            replace an older package, never anything else.
        """
        from vision_toolkit.models.export import export_package

        return export_package(self, path, golden=golden, overwrite=overwrite)

    def show(self) -> Figure:
        """Show how good the model is; needs an evaluation.

        Raises
        ------
        Invalid
            if the model has no evaluation; evaluate it first.
        """
        if self.evaluation is None:
            raise Invalid("This model has no evaluation to show; call model.evaluate(test).show().")
        return self.evaluation.show()

    def __repr__(self) -> str:
        training = self.info["training"]
        backbone = self.info["backbone"]
        weights = "" if backbone["pretrained"] else " (NOT pretrained)"
        return (
            f"Model({self.task}, {self.info['verdict']['name']}, {backbone['name']}{weights}, trained on "
            f"{training['normal']} normal and {training['anomaly']} anomaly, threshold {self.threshold:.3f})"
        )

    def _repr_html_(self) -> str:
        from html import escape

        facts: Mapping[str, Any] = {
            "task": f"{self.task}: {', '.join(self.types)}" if self.types else str(self.task),
            "verdict": self.info["verdict"]["why"],
            "backbone": f"{self.info['backbone']['name']}, weights: {self.info['backbone']['weights']}",
            "threshold": f"{self.threshold:.3f} ({self.info['threshold_rule']})",
            "trained on": f"{self.info['training']['normal']} normal, {self.info['training']['anomaly']} anomaly",
        }
        rows = "".join(f"<tr><th>{k}</th><td style='text-align:left'>{escape(v)}</td></tr>" for k, v in facts.items())
        scores = self.evaluation._repr_html_() if self.evaluation is not None else ""
        return f"<table><caption>Model</caption>{rows}</table>{scores}"


def load(folder: str | os.PathLike[str], *, threads: int | None = None) -> Model:
    """Load a model that :meth:`Model.save` wrote, in this format or the one before.

    Parameters
    ----------
    folder
        of the model.
    threads
        threads of one computation; None = the setting, else the CPUs that this process may use.

    Raises
    ------
    NotFound
        if there is no such folder, or it is no model.
    Invalid
        if its files are damaged, or of a format that this version does not read.

    Examples
    --------
    >>> load("nowhere")
    Traceback (most recent call last):
    ...
    vision_toolkit.core.errors.NotFound: nowhere is no model folder: model.json, model.onnx are missing.
    """
    root = local_path(folder)
    files: tuple[str, ...] = MODEL_FILES
    used = threads or Settings.read().usable_threads()
    try:
        if (root / files[0]).is_file() and json.loads((root / files[0]).read_text("utf-8"))["format"] == 1:
            from vision_toolkit.models import legacy  # onnx is needed for nothing else here

            files = legacy.FILES
        missing = [name for name in files if not (root / name).is_file()]
        if missing:
            verb = "is" if len(missing) == 1 else "are"
            raise NotFound(f"{root} is no model folder: {', '.join(missing)} {verb} missing.")
        if files is MODEL_FILES:
            return Model(Runtime.load(root, used))
        return Model(Runtime(*legacy.read_format_1(root), used))
    except NotFound:
        raise
    except (ValueError, KeyError, TypeError) as error:
        raise Invalid(f"{root} cannot be loaded: {error}") from None
    except Exception as error:  # noqa: BLE001 - onnxruntime's errors have no common class
        raise Invalid(f"{root / files[1]} cannot be loaded: {str(error)[:200]}") from None


def true_mask(types: Iterable[str]) -> Callable[[Entry], Mask | None]:
    """Return a function that reads an entry's mask with the ids of ``types``; None where nothing is painted."""
    names = tuple(types)

    def read(entry: Entry) -> Mask | None:
        if entry.mask is None or not entry.types:
            return None
        known = replace(entry.mask, colours={k: v for k, v in entry.mask.colours.items() if k in names})
        return read_mask(known, names=names)

    return read


def name_of(source: Any) -> str | None:
    """Return what to call a source: an entry's source, a path, or None."""
    if isinstance(source, Entry):
        return source.source
    return os.fspath(source) if isinstance(source, str | os.PathLike) else None


def _named(rule: Rule, prevalence: float | None) -> str:
    """Return a rule in words that can be given again, with its prevalence."""
    if not isinstance(rule, str):
        return "a function"
    if prevalence is None or "prevalence" in rule:
        return rule
    name, _, numbers = rule.strip().removesuffix(")").partition("(")
    return f"{name.strip()}({', '.join([*filter(None, [numbers.strip()]), f'prevalence={prevalence:g}'])})"


def _counted(predictions: Iterator[Prediction], total: int, tell: Progress) -> Iterator[Prediction]:
    for done, prediction in enumerate(predictions, 1):
        tell(done / total, "judging")
        yield prediction
