"""Turn labelled images into a model: features once, then everything is decided on held-out scores."""

from __future__ import annotations

import platform
import time
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, Literal

from threadpoolctl import threadpool_limits

from vision_toolkit.core.entry import Entry
from vision_toolkit.core.errors import Invalid
from vision_toolkit.core.settings import Settings
from vision_toolkit.metrics.thresholds import Rule as ThresholdRule
from vision_toolkit.models.backbone import Backbone, load_backbone
from vision_toolkit.models.features import trim
from vision_toolkit.models.model import Model
from vision_toolkit.models.plan import PRESETS, Asked, Plan, Weights, make_plan
from vision_toolkit.models.progress import Progress, told
from vision_toolkit.models.runtime import FORMAT, Runtime
from vision_toolkit.models.search import Learned, Search
from vision_toolkit.models.station.drift import histogram

__all__ = ["PRESETS", "Progress", "train"]


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
        of the feature extractor; see :func:`vision_toolkit.models.backbone.load_backbone`: ``"auto"`` (ours,
        which is in the package and needs neither torch nor a download), ``"hub"`` or the name of a timm network (from
        the hub), a ``.safetensors`` file, or None (fixed filters that never learned to see).
    preset
        ``"fast"``, ``"balanced"`` or ``"best"``: the sizes at which images are looked at; see :data:`PRESETS`. ``fast``
        learns no network to paint types; the others look at large images in overlapping tiles too, at up to 1,344
        (``best``: 2,016) pixels a side, where smaller sizes leave mistakes.
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
    asked = Asked(metric, threshold, prevalence, preset, seed, used, weights, settings.cache)
    plan = make_plan(manifest, task, asked, budget)
    # The network has its own threads. numpy's products are many and small: there, more threads wait for one another
    # (on a busy machine five times as long in all).
    with told(progress) as tell, threadpool_limits(1):
        tell(0.0, "loading the backbone")
        backbone = load_backbone(weights, cache=settings.cache, non_commercial=non_commercial)
        search = Search(plan, asked, backbone, started, tell)
        learned = search.run()
        info = _info(plan, asked, learned, backbone)
        model = Model(Runtime(info, learned.graph, used), evaluation=learned.evaluation)
        if test is not None:
            model.evaluation = model.evaluate(test, progress=lambda share, text: tell(0.9 + 0.1 * share, text))
        info = model.info
        info["metrics"] = model.evaluation.to_dict() if model.evaluation is not None else None
        info["seconds"] = round(time.monotonic() - started, 1)
        info["notes"] = list(learned.notes)
        trim(settings.cache)
        tell(1.0, "done")
    return model


def _info(plan: Plan, asked: Asked, learned: Learned, backbone: Backbone) -> dict[str, Any]:
    counts = plan.entries.counts()
    packages = ("vision_toolkit", "numpy", "scikit-learn", "onnx", "onnxruntime", "pillow")
    verdict, threshold = learned.verdict, asked.threshold
    kinds = {"normal": ~plan.is_anomaly, "anomaly": plan.is_anomaly}
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
        "held_out": {name: histogram(verdict.scores[kind].tolist()) for name, kind in kinds.items()},
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
