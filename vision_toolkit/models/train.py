"""Turn labelled images into a model: features once, then everything is decided on held-out scores."""

from __future__ import annotations

import platform
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from vision_toolkit.core.entry import Entry, Label
from vision_toolkit.core.errors import Invalid, VisionError
from vision_toolkit.core.mask import BACKGROUND, Mask, palette_colour
from vision_toolkit.core.prediction import Prediction, Task
from vision_toolkit.core.settings import Settings
from vision_toolkit.curation.split import fold_numbers
from vision_toolkit.data.images import probe, read_mask
from vision_toolkit.data.manifest import Manifest
from vision_toolkit.metrics.evaluation import Evaluation
from vision_toolkit.metrics.thresholds import Rule as ThresholdRule
from vision_toolkit.metrics.thresholds import choose_threshold
from vision_toolkit.models.backbone import load_backbone
from vision_toolkit.models.decoder import Cells, favour_background, fit_decoder, held_out_types, truth_grid
from vision_toolkit.models.features import Features, compute_features
from vision_toolkit.models.memory import build_memory
from vision_toolkit.models.model import Model, true_mask
from vision_toolkit.models.runtime import (
    FORMAT,
    Arrays,
    Runtime,
    decode_types,
    describe,
    describe_types,
    largest,
)
from vision_toolkit.models.verdict import METRICS, Verdict, fit_verdict

__all__ = ["PRESETS", "Progress", "train"]

Progress = Callable[[float, str], None]
"""Told how far the work is, 0 to 1, and what is being done."""

PRESETS: dict[str, int] = {"fast": 224, "balanced": 320, "best": 448}
"""Preset to the side in pixels of a square input; other shapes have as many pixels."""

FEWEST_NORMAL = 4
FOLDS = 5
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
    seed: int = 0,
    threads: int | None = None,
    progress: Progress | bool | None = None,
) -> Model:
    """Train an inspection model.

    A memory of normal patches gives a heat map and works from normal images alone. With four anomalies or more,
    linear rules on several groups of features are tried as well, and the best one judges. With masks of anomaly
    types a decoder paints them. Choice, calibration and threshold come from leak-free cross-validation of the
    training images, never from ``test``.

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
        ``"fast"``, ``"balanced"`` or ``"best"``: the input's size; see :data:`PRESETS`.
    budget
        seconds (a number, or ``"60s"``, ``"2min"``) after which no further candidate is tried; what is needed for
        a model is always done.
    metric
        by which candidates are compared: f1, precision, recall, accuracy, balanced_accuracy, roc_auc,
        average_precision.
    threshold
        ``"best_f1"``, ``"at_recall(0.99)"``, ``"at_precision(0.9)"``, ``"at_cost(miss=50, reject=1)"``, a number
        from 0 to 1, or a function of (truth, scores).
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
    plan = _plan(manifest, task, preset, metric, threshold, budget)
    # The network has its own threads. numpy's products are many and small: there, more threads wait for one another
    # (on a busy machine five times as long in all).
    with _told(progress) as tell, threadpool_limits(1):
        tell(0.0, "loading the backbone")
        backbone, warning = load_backbone(weights, height=plan.height, width=plan.width, cache=settings.cache)
        if warning:
            _warn(warning)
        tell(0.05, "computing features")
        features = compute_features(
            plan.entries,
            backbone.graph,
            height=plan.height,
            width=plan.width,
            fine=plan.task is Task.SEGMENTATION,
            threads=used,
            step=lambda share: tell(0.05 + 0.35 * share, "computing features"),
        )
        learned = _learn(plan, features, metric=metric, threshold=threshold, seed=seed, started=started, tell=tell)
        info = _info(plan, learned, backbone.facts(), seed, threshold, metric, preset)
        model = Model(Runtime(info, backbone.graph, learned.arrays, used))
        model.evaluation = learned.evaluation
        if test is not None:
            model.evaluation = model.evaluate(test, progress=lambda share, text: tell(0.9 + 0.1 * share, text))
        info = model.info
        info["metrics"] = model.evaluation.to_dict() if model.evaluation is not None else None
        info["seconds"] = round(time.monotonic() - started, 1)
        info["notes"] = [warning] if warning else []
        tell(1.0, "done")
    return model


# What is to be done


@dataclass(frozen=True, slots=True)
class _Plan:
    entries: Manifest
    is_anomaly: NDArray[np.bool_]
    task: Task
    types: tuple[str, ...]
    colours: tuple[str, ...]
    height: int
    width: int
    seconds: float | None


def _plan(
    manifest: Sequence[Entry], task: str, preset: str, metric: str, threshold: ThresholdRule, budget: float | str | None
) -> _Plan:
    if preset not in PRESETS:
        raise Invalid(f"There is no preset {preset!r}; there are: {', '.join(PRESETS)}.")
    if metric not in METRICS:
        raise Invalid(f"There is no metric {metric!r}; there are: {', '.join(METRICS)}.")
    if task not in ("auto", *Task):
        raise Invalid(f"There is no task {task!r}; there are: auto, {', '.join(Task)}.")
    choose_threshold(threshold, [False, True], [0.0, 1.0])  # an unknown rule is told before any work
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
    height, width = _input_size(entries, PRESETS[preset])
    return _Plan(
        entries,
        np.array([e.label is Label.ANOMALY for e in entries]),
        chosen,
        types if chosen is Task.SEGMENTATION else (),
        (palette_colour(0), *(colours[name] for name in types)),
        height,
        width,
        _seconds(budget),
    )


def _input_size(entries: Manifest, side: int) -> tuple[int, int]:
    """Return height and width, multiples of 32, in the shape of most images and of about ``side`` squared pixels."""
    ratios = []
    for entry in entries[:: max(1, len(entries) // 32)]:
        try:
            facts = probe(entry)
            ratios.append(facts.width / facts.height)
        except VisionError:  # told with all the others when the images are read
            continue
    ratio = float(np.clip(np.median(ratios), 0.25, 4.0)) if ratios else 1.0
    height = max(1, round(side / ratio**0.5 / 32)) * 32
    width = max(1, round(side * ratio**0.5 / 32)) * 32
    return height, width


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


@dataclass(frozen=True, slots=True)
class _Learned:
    verdict: Verdict
    arrays: Arrays
    map_level: float
    evaluation: Evaluation | None
    groups: tuple[str, ...]


def _learn(
    plan: _Plan,
    features: Features,
    *,
    metric: str,
    threshold: ThresholdRule,
    seed: int,
    started: float,
    tell: Progress,
) -> _Learned:
    tell(0.4, "looking for near duplicates")
    folds = _folds(plan, seed)
    tell(0.45, "remembering normal patches")
    distances = _held_out_distances(plan, features, folds, seed, tell)
    groups = _describe(features, distances)
    normal = ~plan.is_anomaly
    arrays: Arrays = {}
    predicted: list[NDArray[np.float32]] | None = None
    if plan.task is Task.SEGMENTATION:
        tell(0.65, "learning the anomaly types")
        predicted = _learn_types(plan, features, distances, folds, seed, arrays)
        groups |= {"painted": np.stack([describe_types(one) for one in predicted])}
    tell(0.83, "choosing the verdict")
    verdict = fit_verdict(
        groups,
        plan.is_anomaly,
        folds,
        metric=metric,
        threshold=threshold,
        seed=seed,
        enough=lambda: plan.seconds is not None and time.monotonic() - started > plan.seconds,
    )
    memory = build_memory(features.patches, np.flatnonzero(normal).tolist(), rng=_rng(seed, FOLDS))
    arrays |= {"memory": np.ascontiguousarray(memory.turned.T), "memory_scale": memory.scale}
    arrays["bias"] = np.array([verdict.rule.bias], np.float32)
    for group, weights in verdict.rule.weights.items():
        arrays[f"weights_{group}"] = weights.astype(np.float32)
    tell(0.88, "judging held-out images")
    map_level = float(np.quantile(groups["distance"][normal, 0], 0.9))
    evaluation = _cross_validated(plan, features, verdict, distances, map_level, predicted, seed)
    return _Learned(verdict, arrays, map_level, evaluation, tuple(verdict.rule.weights))


def _folds(plan: _Plan, seed: int) -> NDArray[np.intp]:
    anomalies = int(plan.is_anomaly.sum())
    k = min(FOLDS, int((~plan.is_anomaly).sum()), anomalies if anomalies >= 2 else FOLDS)
    return fold_numbers(plan.entries, k=k, seed=seed)


def _held_out_distances(
    plan: _Plan, features: Features, folds: NDArray[np.intp], seed: int, tell: Progress
) -> NDArray[np.float32]:
    """Return (n, gh, gw) patch distances, each image's to a memory of normal images from other folds."""
    distances = np.empty(features.patches.shape[:3], np.float32)
    numbers = np.unique(folds)
    for count, fold in enumerate(numbers):
        seen = np.flatnonzero((folds != fold) & ~plan.is_anomaly)
        memory = build_memory(features.patches, seen.tolist(), rng=_rng(seed, count))
        for position in np.flatnonzero(folds == fold).tolist():
            distances[position] = memory.distances(np.asarray(features.patches[position], np.float32))
        tell(0.45 + 0.2 * (count + 1) / len(numbers), "remembering normal patches")
    return distances


def _describe(features: Features, distances: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    described = [
        describe(np.asarray(patches, np.float32), vector, distance)
        for patches, vector, distance in zip(features.patches, features.vectors, distances, strict=True)
    ]
    return {group: np.stack([one[group] for one in described]) for group in described[0]}


def _learn_types(
    plan: _Plan, features: Features, distances: NDArray[np.float32], folds: NDArray[np.intp], seed: int, arrays: Arrays
) -> list[NDArray[np.float32]]:
    """Add the decoder's arrays, and return the held-out class probabilities of each image."""
    assert features.fine is not None
    height, width = features.fine.shape[1:3]
    truth = np.zeros((len(plan.entries), height, width), np.uint8)
    usable = np.ones(len(plan.entries), bool)
    for position, (entry, size) in enumerate(zip(plan.entries, features.sizes, strict=True)):
        if entry.types:
            assert entry.mask is not None
            truth[position] = truth_grid(read_mask(entry.mask, names=plan.types, size=size), width, height)
        else:  # an anomaly that nobody painted teaches nothing about where it is
            usable[position] = entry.label is Label.NORMAL
    known = np.flatnonzero(usable)
    cells = Cells(features.fine, features.patches, distances, truth)
    classes = len(plan.types) + 1
    part = Cells(_taken(features.fine, known), _taken(features.patches, known), distances[known], truth[known])
    held_out, bias = held_out_types(part, folds[known] % 3, classes, seed=seed)
    arrays |= fit_decoder(cells, known.tolist(), classes, seed=seed)
    arrays["decoder_2_bias"][0] += bias
    predicted = {
        position: favour_background(said, bias) for position, said in zip(known.tolist(), held_out, strict=True)
    }
    for position in np.flatnonzero(~usable).tolist():  # no decoder has seen these
        predicted[position] = decode_types(*cells.parts(position), arrays)
    return [predicted[position] for position in range(len(plan.entries))]


def _taken(array: NDArray[np.floating], positions: NDArray[np.intp]) -> NDArray[np.floating]:
    return array if len(positions) == len(array) else array[positions]


def _cross_validated(
    plan: _Plan,
    features: Features,
    verdict: Verdict,
    distances: NDArray[np.float32],
    map_level: float,
    predicted: list[NDArray[np.float32]] | None,
    seed: int,
) -> Evaluation | None:
    if not plan.is_anomaly.any():
        return None

    def predictions() -> Iterator[Prediction]:
        for position in range(len(plan.entries)):
            mask = None
            if predicted is not None:
                ids = largest(predicted[position], *features.sizes[position])
                mask = Mask(ids, (BACKGROUND, *plan.types), plan.colours)
            yield Prediction(
                plan.task,
                score=float(verdict.scores[position]),
                threshold=float(verdict.thresholds[position]),
                mask=mask,
                map=np.clip(distances[position] * (0.5 / map_level), 0, 1).astype(np.float32),
                source=plan.entries[position].source,
            )

    masks = true_mask(plan.types) if predicted is not None else None
    return Evaluation.from_predictions(
        plan.entries, predictions(), kind="cross-validation", masks=masks, training_images=len(plan.entries), seed=seed
    )


# Facts and progress


def _info(
    plan: _Plan,
    learned: _Learned,
    backbone: dict[str, Any],
    seed: int,
    threshold: ThresholdRule,
    metric: str,
    preset: str,
) -> dict[str, Any]:
    counts = plan.entries.counts()
    packages = ("vision_toolkit", "numpy", "scikit-learn", "onnxruntime", "pillow")
    verdict = learned.verdict
    return {
        "format": FORMAT,
        "task": str(plan.task),
        "types": list(plan.types),
        "colours": list(plan.colours),
        "input": {"height": plan.height, "width": plan.width},
        "threshold": round(verdict.threshold, 6),
        "threshold_rule": threshold if isinstance(threshold, str | int | float) else "a function",
        "map_level": learned.map_level,
        "verdict": {
            "name": verdict.name,
            "groups": list(learned.groups),
            "why": verdict.why,
            "tried": list(verdict.tried),
        },
        "metric": metric,
        "preset": preset,
        "seed": seed,
        "backbone": backbone,
        "training": {
            "images": counts["total"],
            "normal": counts["normal"],
            "anomaly": counts["anomaly"],
            "with_mask": counts["with_mask"],
            "fingerprint": plan.entries.fingerprint(),
        },
        "versions": {"python": platform.python_version()} | {name: version(name) for name in packages},
    }


def _rng(*numbers: int) -> np.random.Generator:
    return np.random.default_rng(list(numbers))


def _warn(sentence: str) -> None:
    import warnings

    warnings.warn(sentence, UserWarning, stacklevel=3)


@contextmanager
def _told(progress: Progress | bool | None) -> Iterator[Progress]:
    """Yield what to tell progress to: a bar where somebody watches, the caller's function, or nothing."""
    if callable(progress):
        yield progress
        return
    watched = sys.stderr.isatty() or "ipykernel" in sys.modules
    if progress is False or (progress is None and not watched):
        yield lambda share, text: None
        return
    from tqdm.auto import tqdm

    with tqdm(total=100, bar_format="{desc:<28} {percentage:3.0f} % |{bar}| {elapsed}") as bar:

        def tell(share: float, text: str) -> None:
            bar.set_description_str(text, refresh=False)
            bar.update(max(0, round(100 * share) - bar.n))
            bar.refresh()

        yield tell
