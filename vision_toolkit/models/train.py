"""Turn labelled images into a model: features once, then everything is decided on held-out scores."""

from __future__ import annotations

import platform
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from vision_toolkit.core.entry import Entry, Label
from vision_toolkit.core.errors import Failed, Invalid, Unsupported, VisionError
from vision_toolkit.core.mask import BACKGROUND, Mask, palette_colour
from vision_toolkit.core.prediction import Prediction, Task
from vision_toolkit.core.settings import Settings
from vision_toolkit.curation.duplicates import group_numbers
from vision_toolkit.curation.split import fold_numbers
from vision_toolkit.data.images import probe
from vision_toolkit.data.manifest import Manifest
from vision_toolkit.metrics.evaluation import Evaluation
from vision_toolkit.metrics.thresholds import Rule as ThresholdRule
from vision_toolkit.metrics.thresholds import choose_threshold
from vision_toolkit.models.backbone import Backbone, load_backbone
from vision_toolkit.models.describe import show_map
from vision_toolkit.models.features import compute_features, digest, identify, keep, recall, trim
from vision_toolkit.models.graph import ModelParts, View, build_graph
from vision_toolkit.models.heat import Described, describe_view
from vision_toolkit.models.model import Model, true_mask
from vision_toolkit.models.painting import Painted, learn_network, learn_types, paints_better
from vision_toolkit.models.progress import Progress, told
from vision_toolkit.models.runtime import FORMAT, Runtime, largest, resize_scores
from vision_toolkit.models.verdict import (
    FEWEST_ANOMALIES,
    METRICS,
    Key,
    Verdict,
    fit_verdict,
    memory_verdict,
)

__all__ = ["PRESETS", "Progress", "train"]

PRESETS: dict[str, tuple[int, ...]] = {"fast": (224,), "balanced": (224, 448), "best": (224, 448, 640)}
"""Preset to the sides in pixels of the square inputs that are tried; other shapes have as many pixels."""

FEWEST_NORMAL = 4
FOLDS = 5
REPEATS = 3
MANY = 200
"""Images up to which cross-validation is repeated with other folds."""
MOST_PIXELS = 1_000_000_000
"""Pixels of all images together up to which a further size is tried."""
PAINTED_SIDE = 256
Weights = Any


def train(
    manifest: Sequence[Entry],
    *,
    test: Sequence[Entry] | None = None,
    task: Literal["auto", "classification", "segmentation"] = "auto",
    weights: Weights = "auto",
    preset: str = "balanced",
    budget: float | str | None = None,
    metric: str = "f1",
    threshold: ThresholdRule = "best_f1",
    prevalence: float | None = None,
    non_commercial: bool = False,
    seed: int = 0,
    threads: int | None = None,
    progress: Progress | bool | None = None,
) -> Model:
    """Train an inspection model.

    A memory of normal patches gives a heat map and works from normal images alone. With four anomalies or more,
    linear rules on several groups of features at several sizes are tried as well, and blends of them; the best by
    ``metric`` judges, and of those within one standard error of it the one that foretold best. With masks of anomaly
    types a decoder of single cells learns to paint them, and where there are pretrained weights and torch a
    network of its own, which is taken if it paints images better that neither has seen. Choice, calibration and
    threshold come from leak-free cross-validation of the training images, never from ``test``.

    What was computed is kept in the cache: a killed training goes on from there, and a second one of the same images
    takes little time. Ctrl-C ends the search, not the training: the best so far becomes the model.

    Parameters
    ----------
    manifest
        the images to train with; unlabelled ones are passed over.
    test
        images to judge the model on. Without it every image trains, and the scores come from the
        cross-validation.
    task
        ``"classification"``, ``"segmentation"``, or ``"auto"``: segmentation where an anomalous image has a mask.
    weights
        of the feature extractor; see :func:`vision_toolkit.models.backbone.load_backbone`: ``"auto"`` (the hub,
        else fixed filters, and that is said), a ``.safetensors`` file, the name of a timm network, or None (fixed
        filters, which need neither torch nor a download).
    preset
        ``"fast"``, ``"balanced"`` or ``"best"``: the sizes at which images are looked at; see :data:`PRESETS`. ``fast``
        learns no network to paint types.
    budget
        seconds (a number, or ``"60s"``, ``"2min"``) after which nothing further is tried: no other size, no longer
        painting; what is needed for a model is always done.
    metric
        by which candidates are compared: f1, precision, recall, accuracy, balanced_accuracy, roc_auc,
        average_precision.
    threshold
        ``"best_f1"``, ``"at_recall(0.99)"``, ``"at_precision(0.9)"``, ``"at_cost(miss=50, reject=1)"``, a number
        from 0 to 1, or a function of (truth, scores).
    prevalence
        share of anomalies on the line, 0 to 1, both excluded: confidence and threshold are those of such a line. None:
        anomalies are as frequent there as among the training images.
    non_commercial
        True to use weights that are licensed for non-commercial use only; else they are refused.
    seed
        the same images, seed and threads give the same numbers.
    threads
        of one computation; None = the setting, else the CPUs that this process may use.
    progress
        None: a progress bar where somebody watches; False: none; or a function told ``(share, what)``.

    Returns
    -------
    Model
        with its ``evaluation``; None there when normal images alone were given and no ``test``.

    Raises
    ------
    Invalid
        if the images are too few, unreadable or of one kind only, or an argument is unknown.
    Unsupported
        if a package is needed that is not installed.

    Examples
    --------
    >>> import vision_toolkit as vt
    >>> parts = vt.load_dataset("biscuit")[:30]
    >>> model = vt.train(parts, weights=None, preset="fast", task="classification", budget="1s", progress=False)
    >>> model.evaluation.kind, model.evaluation.n
    ('cross-validation', 30)
    """
    started = time.monotonic()
    settings = Settings.read()
    if threads is not None and threads < 1:
        raise Invalid(f"threads is a number from 1, or None; {threads} was given.")
    used = threads or settings.usable_threads()
    if weights == "auto":
        weights = settings.weights
    asked = _Asked(metric, threshold, prevalence, preset, seed, used, weights, settings.cache)
    plan = _plan(manifest, task, asked, budget)
    # The network has its own threads. numpy's products are many and small: there, more threads wait for one another
    # (on a busy machine five times as long in all).
    with told(progress) as tell, threadpool_limits(1):
        tell(0.0, "loading the backbone")
        backbone, warning = load_backbone(weights, cache=settings.cache, non_commercial=non_commercial)
        if warning:
            _warn(warning)
        search = _Search(plan, asked, backbone, started, tell)
        learned = search.run()
        info = _info(plan, asked, learned, backbone)
        model = Model(Runtime(info, learned.graph, used), evaluation=learned.evaluation)
        if test is not None:
            model.evaluation = model.evaluate(test, progress=lambda share, text: tell(0.9 + 0.1 * share, text))
        info = model.info
        info["metrics"] = model.evaluation.to_dict() if model.evaluation is not None else None
        info["seconds"] = round(time.monotonic() - started, 1)
        info["notes"] = [*([warning] if warning else []), *learned.notes]
        trim(settings.cache)
        tell(1.0, "done")
    return model


# What is to be done


@dataclass(frozen=True, slots=True)
class _Asked:
    """Hold what the caller asked for."""

    metric: str
    threshold: ThresholdRule
    prevalence: float | None
    preset: str
    seed: int
    threads: int
    weights: Weights
    cache: Path


@dataclass(frozen=True, slots=True)
class _Plan:
    """Hold what is to be done: the labelled images, what is to be learned, and the shape to look at them in."""

    entries: Manifest
    is_anomaly: NDArray[np.bool_]
    task: Task
    types: tuple[str, ...]
    colours: tuple[str, ...]
    ratio: float
    seconds: float | None


def _plan(manifest: Sequence[Entry], task: str, asked: _Asked, budget: float | str | None) -> _Plan:
    if asked.preset not in PRESETS:
        raise Invalid(f"There is no preset {asked.preset!r}; there are: {', '.join(PRESETS)}.")
    if asked.metric not in METRICS:
        raise Invalid(f"There is no metric {asked.metric!r}; there are: {', '.join(METRICS)}.")
    if task not in ("auto", *Task):
        raise Invalid(f"There is no task {task!r}; there are: auto, {', '.join(Task)}.")
    # an unknown rule or prevalence is told before any work
    choose_threshold(asked.threshold, [False, True], [0.0, 1.0], prevalence=asked.prevalence)
    seconds = _seconds(budget)
    entries = Manifest(entry for entry in manifest if entry.is_labelled)
    counts = entries.counts()
    if counts["normal"] < FEWEST_NORMAL:
        unlabelled = len(manifest) - len(entries)
        raise Invalid(
            f"At least {FEWEST_NORMAL} normal images are needed, better 20; there are {counts['normal']} normal, "
            f"{counts['anomaly']} anomaly and {unlabelled} unlabelled. Add or label some."
        )
    types = tuple(sorted({name for e in entries if e.label is Label.ANOMALY for name in e.types}))
    if task == "segmentation" and not types:
        raise Invalid("Segmentation needs anomalous images with masks; there are none. Leave task='auto'.")
    chosen = Task.SEGMENTATION if types and task != "classification" else Task.CLASSIFICATION
    colours = {name: colour for e in entries for name, colour in (e.mask.colours.items() if e.mask else ())}
    return _Plan(
        entries,
        np.array([e.label is Label.ANOMALY for e in entries]),
        chosen,
        types if chosen is Task.SEGMENTATION else (),
        (palette_colour(0), *(colours[name] for name in types)),
        _ratio(entries),
        seconds,
    )


def _ratio(entries: Manifest) -> float:
    """Return width to height of most images, from a quarter to four."""
    ratios = []
    for entry in entries[:: max(1, len(entries) // 32)]:
        with suppress(VisionError):  # told with all the others when the images are read
            facts = probe(entry)
            ratios.append(facts.width / facts.height)
    return float(np.clip(np.median(ratios), 0.25, 4.0)) if ratios else 1.0


def _view(side: int, ratio: float) -> View:
    """Return height and width, multiples of 32, in the shape of most images and of about ``side`` squared pixels."""
    return View(max(1, round(side / ratio**0.5 / 32)) * 32, max(1, round(side * ratio**0.5 / 32)) * 32)


def _seconds(budget: float | str | None) -> float | None:
    if budget is None:
        return None
    match = re.fullmatch(r"\s*([0-9.]+)\s*(s|sec|seconds|min|m|minutes|h)?\s*", str(budget))
    try:
        value = float(match[1]) if match else -1.0
    except ValueError:
        value = -1.0
    if match is None or value <= 0:
        raise Invalid(f"budget is a number of seconds, '60s' or '2min'; {budget!r} was given.")
    return value * {"h": 3600.0, "m": 60.0}.get((match[2] or "s")[0], 1.0)


# Learning


@dataclass(frozen=True, slots=True, eq=False)
class _Learned:
    verdict: Verdict
    graph: bytes
    inputs: tuple[View, ...]
    map_level: float
    evaluation: Evaluation | None
    painting: dict[str, Any] | None
    notes: tuple[str, ...]


class _Search:
    """Look at the images at one size after another, and choose what judges best."""

    def __init__(self, plan: _Plan, asked: _Asked, backbone: Backbone, started: float, tell: Progress) -> None:
        self.plan, self.asked, self.backbone, self.started, self.tell = plan, asked, backbone, started, tell
        self.described: list[Described] = []
        self.identities = identify(plan.entries)
        self.notes: list[str] = []
        self.cells: Painted | None = None
        self.painted: Painted | None = None

    def is_over(self) -> bool:
        """Return whether the budget is spent."""
        return self.plan.seconds is not None and time.monotonic() - self.started > self.plan.seconds

    def run(self) -> _Learned:
        """Search, and put the model together."""
        self.tell(0.04, "looking for near duplicates")
        self.folds = self._folds()
        views = self._views()
        self._look(views[0], 0.05, 0.25)
        segments = self.plan.task is Task.SEGMENTATION
        if segments:
            self.tell(0.25, "learning the anomaly types")
            first = self.described[0]
            seed = self.asked.seed
            self.cells = learn_types(self.plan.entries, self.plan.types, first, self.folds[0], seed=seed)
            self.painted = self.cells
        try:
            for count, view in enumerate(views[1:]):
                if self.is_over():
                    self.notes.append(f"The budget ended before {view} was tried.")
                    break
                self._look(view, 0.3 + 0.2 * count, 0.5 + 0.2 * count)
            if segments:
                self._paint()
        except KeyboardInterrupt:
            self.notes.append("The search was interrupted; this is the best found until then.")
        self.tell(0.84, "choosing the verdict")
        verdict = self._judge()
        return self._assemble(verdict)

    def _views(self) -> list[View]:
        if self.backbone.side is not None:
            return [View(self.backbone.side, self.backbone.side)]
        views = [_view(side, self.plan.ratio) for side in PRESETS[self.asked.preset]]
        affordable = [view for view in views[1:] if view.pixels * len(self.plan.entries) <= MOST_PIXELS]
        return list(dict.fromkeys([views[0], *affordable]))

    def _folds(self) -> NDArray[np.intp]:
        """Return (r, n) fold numbers: r repetitions, near duplicates together."""
        entries, anomalies = self.plan.entries, int(self.plan.is_anomaly.sum())
        k = min(FOLDS, int((~self.plan.is_anomaly).sum()), anomalies if anomalies >= 2 else FOLDS)
        groups = self._near_duplicates()
        repeats = REPEATS if anomalies >= FEWEST_ANOMALIES and len(entries) <= MANY else 1
        seeds = [self.asked.seed + 1000 * repeat for repeat in range(repeats)]
        return np.stack([fold_numbers(entries, k=k, seed=seed, groups=groups) for seed in seeds])

    def _near_duplicates(self) -> list[int]:
        """Return the number of each image's group; it is kept, for every image must be read to know it."""
        key = digest("near duplicates 1", self.identities)
        found = recall(self.asked.cache, key)
        if found is None:
            numbers = group_numbers(self.plan.entries, threads=self.asked.threads)
            found = {"groups": np.array(numbers, np.int64)}
            keep(self.asked.cache, key, found)
        return [int(number) for number in found["groups"]]

    def _look(self, view: View, start: float, end: float) -> None:
        """Look at every image at one size."""
        plan, asked, middle = self.plan, self.asked, start + 0.6 * (end - start)
        features = compute_features(
            plan.entries,
            self.backbone.graph,
            view,
            identities=self.identities,
            fine=plan.task is Task.SEGMENTATION and not self.described,
            threads=asked.threads,
            cache=asked.cache,
            step=lambda share: self.tell(start + share * (middle - start), f"looking at {view}"),
        )
        self.described.append(
            describe_view(
                view,
                features,
                plan.is_anomaly,
                self.folds[0],
                seed=asked.seed,
                threads=asked.threads,
                cache=asked.cache,
                tell=lambda share, text: self.tell(middle + share * (end - middle), text),
            )
        )

    def _groups(self) -> dict[Key, NDArray[np.float32]]:
        groups = {key: values for one in self.described for key, values in one.groups.items()}
        if self.cells is not None and self.cells.groups is not None:
            groups[None, "painted"] = self.cells.groups
        return groups

    def _judge(self) -> Verdict:
        plan, asked = self.plan, self.asked
        if int(plan.is_anomaly.sum()) < FEWEST_ANOMALIES:
            return memory_verdict(self._groups(), plan.is_anomaly, asked.threshold)
        return fit_verdict(
            self._groups(),
            plan.is_anomaly,
            self.folds,
            metric=asked.metric,
            threshold=asked.threshold,
            seed=asked.seed,
            prevalence=asked.prevalence,
        )

    def _paint(self) -> None:
        """Learn a network that paints, where it can win."""
        plan, asked = self.plan, self.asked
        assert self.cells is not None
        if asked.preset == "fast" or not self.backbone.pretrained or self.is_over():
            return
        sizes = self.described[0].features.sizes
        view = _view(PAINTED_SIDE, plan.ratio)
        try:
            found = learn_network(
                plan.entries, plan.types, view, sizes, self.folds[0], weights=asked.weights, seed=asked.seed,
                threads=asked.threads, cache=asked.cache, tell=lambda share, text: self.tell(0.5 + 0.34 * share, text),
                enough=self.is_over,
            )  # fmt: skip
        except (Unsupported, Failed) as error:  # the decoder of single cells is there already
            self.notes.append(f"No network was learned that paints the types: {error}")
            return
        if found is None:
            self.notes.append(
                "No network was learned that paints the types: too few images are painted, or time was up."
            )
            return
        better, network, cells = paints_better(found, self.cells, plan.entries, plan.types, sizes)
        facts = {"network": round(network, 4), "cells": round(cells, 4)}
        self.painted = found if better else self.cells
        self.painted.facts["held_out_iou"] = facts

    def _assemble(self, verdict: Verdict) -> _Learned:
        plan = self.plan
        parts = ModelParts(
            self.backbone.graph,
            {one.view: one.heat for one in self.described},
            verdict.rule.weights,
            verdict.rule.bias,
            1.0,
            self.painted.painter if self.painted is not None else None,
            self.cells.painter if self.cells is not None else None,
        )
        maps = self._maps(parts.views())
        normal = np.flatnonzero(~plan.is_anomaly).tolist()
        level = max(1e-3, float(np.quantile([maps(position).max() for position in normal], 0.9)))
        parts = ModelParts(parts.backbone, parts.maps, parts.weights, parts.bias, level, parts.painter, parts.cells)
        self.tell(0.88, "judging held-out images")
        evaluation = self._cross_validated(verdict, lambda position: show_map(maps(position), level))
        inputs = set(parts.views())
        if parts.painter is not None and parts.painter.graph is not None:
            inputs.add(parts.painter.view)
        return _Learned(
            verdict,
            build_graph(parts),
            tuple(sorted(inputs)),
            level,
            evaluation,
            self.painted.facts if self.painted is not None else None,
            tuple(self.notes),
        )

    def _maps(self, views: Sequence[View]) -> Callable[[int], NDArray[np.float32]]:
        """Return what gives the held-out map of an image: the mean over the views, at the size of the largest."""
        chosen = [one for view in views for one in self.described if one.view == view]
        height, width = chosen[-1].maps.shape[1:]

        def of(position: int) -> NDArray[np.float32]:
            each = [resize_scores(one.maps[position].astype(np.float32)[..., None], width, height) for one in chosen]
            return np.asarray(sum(each) / len(each))[..., 0]

        return of

    def _cross_validated(self, verdict: Verdict, shown: Callable[[int], NDArray[np.float32]]) -> Evaluation | None:
        plan, painted = self.plan, self.painted
        if not plan.is_anomaly.any():
            return None
        sizes = self.described[0].features.sizes

        def predictions() -> Iterator[Prediction]:
            for position in range(len(plan.entries)):
                mask = None
                if painted is not None and position in painted.positions:
                    ids = largest(painted.held_out(position), *sizes[position])
                    mask = Mask(ids, (BACKGROUND, *plan.types), plan.colours)
                yield Prediction(
                    plan.task,
                    score=float(verdict.scores[position]),
                    threshold=float(verdict.thresholds[position]),
                    mask=mask,
                    map=shown(position),
                    source=plan.entries[position].source,
                )

        return Evaluation.from_predictions(
            plan.entries,
            predictions(),
            kind="cross-validation",
            masks=true_mask(plan.types) if painted is not None else None,
            training_images=len(plan.entries),
            seed=self.asked.seed,
        )


# Facts


def _info(plan: _Plan, asked: _Asked, learned: _Learned, backbone: Backbone) -> dict[str, Any]:
    counts = plan.entries.counts()
    packages = ("vision_toolkit", "numpy", "scikit-learn", "onnx", "onnxruntime", "pillow")
    verdict, threshold = learned.verdict, asked.threshold
    return {
        "format": FORMAT,
        "task": str(plan.task),
        "types": list(plan.types),
        "colours": list(plan.colours),
        "inputs": [{"width": view.width, "height": view.height} for view in learned.inputs],
        "threshold": round(verdict.threshold, 6),
        "threshold_rule": threshold if isinstance(threshold, str | int | float) else "a function",
        "prevalence": asked.prevalence,
        "map_level": learned.map_level,
        "verdict": {
            "name": verdict.name,
            "groups": [f"{group} at {view}" if view else group for view, group in verdict.rule.weights],
            "why": verdict.why,
            "tried": list(verdict.tried),
        },
        "painting": learned.painting,
        "metric": asked.metric,
        "preset": asked.preset,
        "seed": asked.seed,
        "backbone": backbone.facts(),
        "training": {
            "images": counts["total"],
            "normal": counts["normal"],
            "anomaly": counts["anomaly"],
            "with_mask": counts["with_mask"],
            "fingerprint": plan.entries.fingerprint(),
        },
        "versions": {"python": platform.python_version()} | {name: version(name) for name in packages},
    }


def _warn(sentence: str) -> None:
    import warnings

    warnings.warn(sentence, UserWarning, stacklevel=3)
