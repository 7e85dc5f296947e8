"""Look at the images at one size after another, learn from them, and put the best model together."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision_toolkit.core.errors import Failed, Unsupported
from vision_toolkit.core.mask import BACKGROUND, Mask
from vision_toolkit.core.prediction import Prediction, Task
from vision_toolkit.curation.duplicates import group_numbers
from vision_toolkit.curation.split import fold_numbers
from vision_toolkit.data.images import read_image
from vision_toolkit.metrics.evaluation import Evaluation
from vision_toolkit.models.backbone import Backbone
from vision_toolkit.models.describe import show_map
from vision_toolkit.models.features import compute_features, digest, identify, keep, recall
from vision_toolkit.models.graph import ModelParts, build_graph
from vision_toolkit.models.heat import Described, describe_view
from vision_toolkit.models.model import true_mask
from vision_toolkit.models.painting import Painted, can_win, learn_network, learn_types, paints_better
from vision_toolkit.models.plan import PRESETS, Asked, Plan
from vision_toolkit.models.progress import Progress
from vision_toolkit.models.runtime import largest, resize, resize_scores
from vision_toolkit.models.tuner import Tuned, tune_network
from vision_toolkit.models.verdict import FEWEST_ANOMALIES, Key, Verdict, fit_verdict, memory_verdict
from vision_toolkit.models.view import View, view_of

__all__ = ["Learned", "Search"]

FOLDS = 5
REPEATS = 3
MANY = 200
"""Images up to which cross-validation is repeated with other folds."""
PAINTED_SIDE = 256
FEWEST_TUNED = 30
"""Normal images and anomalies, of each, from which the network itself is trained."""
TUNED_FOLDS = 3


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """Hold what a search found: the verdict, the model's graph and inputs, and how good it is."""

    verdict: Verdict
    graph: bytes
    inputs: tuple[View, ...]
    map_level: float
    evaluation: Evaluation | None
    painting: dict[str, Any] | None
    notes: tuple[str, ...]


class Search:
    """Look at the images at one size after another, and choose what judges best."""

    def __init__(self, plan: Plan, asked: Asked, backbone: Backbone, started: float, tell: Progress) -> None:
        self.plan, self.asked, self.backbone, self.started, self.tell = plan, asked, backbone, started, tell
        self.described: list[Described] = []
        self.identities = identify(plan.entries)
        self.notes: list[str] = []
        self.cells: Painted | None = None
        self.painted: Painted | None = None
        self.tuned: Tuned | None = None

    def is_over(self) -> bool:
        """Return whether the budget is spent."""
        return self.plan.seconds is not None and time.monotonic() - self.started > self.plan.seconds

    def run(self) -> Learned:
        """Search, and put the model together."""
        self.tell(0.04, "looking for near duplicates")
        self.folds = self._folds()
        views, tiled = self._views()
        self._look(views[0], 0.05, 0.25)
        segments = self.plan.task is Task.SEGMENTATION
        if segments:
            self._learn_cells(0.25)
        try:
            shares = np.linspace(0.3, 0.7, len(views) + (tiled is not None))
            for view, start, end in zip(views[1:], shares, shares[1:], strict=False):
                if self._has_time(view):
                    self._look(view, start, end)
            if tiled is not None and self._has_time(tiled) and self._is_worth_it(tiled):
                self._look_at_tiles(tiled, shares[-2], shares[-1])
            if segments:
                self._paint()
            if PRESETS[self.asked.preset].tunes and self.backbone.pretrained:
                self._tune()
        except KeyboardInterrupt:
            self.notes.append("The search was interrupted; this is the best found until then.")
        self.tell(0.84, "choosing the verdict")
        return self._assemble(self._judge())

    def _views(self) -> tuple[list[View], View | None]:
        """Return the sizes at which images are looked at in one piece, and the one in tiles or None."""
        if self.backbone.side is not None:
            return [View(self.backbone.side, self.backbone.side)], None
        preset = PRESETS[self.asked.preset]
        return self.plan.views(preset), self.plan.tiled(preset)

    def _has_time(self, view: View) -> bool:
        if self.is_over():
            self.notes.append(f"The budget ended before {view} was tried.")
        return not self.is_over()

    def _is_worth_it(self, tiled: View) -> bool:
        """Say whether tiles can tell more: not where every held-out image is judged right without them."""
        anomalies = int(self.plan.is_anomaly.sum())
        if self.plan.task is Task.SEGMENTATION or anomalies < FEWEST_ANOMALIES:
            return True
        if self._is_right():
            self.notes.append(f"{tiled} in tiles was not tried: smaller sizes judge every held-out image right.")
            return False
        return True

    def _look_at_tiles(self, tiled: View, start: float, end: float) -> None:
        try:
            self._look(tiled, start, end)
        except Unsupported as error:  # what smaller sizes show is there already
            self.notes.append(f"{tiled} in tiles was not tried: {error}")
            return
        if self.plan.task is Task.SEGMENTATION:
            self._learn_cells(end)

    def _is_right(self) -> bool:
        """Say whether what was tried so far judges every held-out image right."""
        verdict = self._judge()
        return bool(np.array_equal(verdict.scores >= verdict.thresholds, self.plan.is_anomaly))

    def _learn_cells(self, share: float) -> None:
        """Learn to paint cells of the size looked at last; the better painter of two sizes stays."""
        plan, described = self.plan, self.described[-1]
        self.tell(share, "learning the anomaly types")
        found = learn_types(plan.entries, plan.types, described, self.folds[0], seed=self.asked.seed)
        sizes = described.features.sizes
        if self.cells is None or paints_better(found, self.cells, plan.entries, plan.types, sizes)[0]:
            self.cells = self.painted = found

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
            fine=plan.task is Task.SEGMENTATION and (not self.described or view.tiles is not None),
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
                patches=plan.patches(PRESETS[asked.preset], view),
                seed=asked.seed,
                threads=asked.threads,
                cache=asked.cache,
                tell=lambda share, text: self.tell(middle + share * (end - middle), text),
            )
        )

    def _tune(self) -> None:
        """Train the network itself, where that can win: many images of both kinds, and mistakes that are left."""
        plan, asked, view = self.plan, self.asked, self.described[0].view
        fewest = int(min(plan.is_anomaly.sum(), (~plan.is_anomaly).sum()))
        if fewest < FEWEST_TUNED or self.is_over() or self._is_right():
            return
        numbers = self.folds[0] % TUNED_FOLDS
        key = digest("tuned", self.identities, plan.is_anomaly, view, numbers, asked.seed)
        checkpoint = asked.cache / "training" / f"{key}.safetensors"
        with suppress(OSError):
            checkpoint.parent.mkdir(parents=True, exist_ok=True)
        try:
            self.tuned = tune_network(
                lambda place: resize(read_image(plan.entries[place]), view.width, view.height), plan.is_anomaly, view,
                [np.flatnonzero(numbers == number).tolist() for number in np.unique(numbers)], weights=asked.weights,
                seed=asked.seed, threads=asked.threads, checkpoint=checkpoint, enough=self.is_over,
                tell=lambda share, text: self.tell(0.72 + 0.12 * share, text),
            )  # fmt: skip
        except (Unsupported, Failed) as error:  # what looks at features is there already
            self.notes.append(f"The network was not fine-tuned: {error}")
            return
        if self.tuned is None:
            self.notes.append("The network was not fine-tuned: time was up.")

    def _groups(self) -> dict[Key, NDArray[np.float32]]:
        groups = {key: values for one in self.described for key, values in one.groups.items()}
        if self.cells is not None and self.cells.groups is not None:
            groups[None, "painted"] = self.cells.groups
        if self.tuned is not None:
            groups[self.tuned.view, "tuned"] = self.tuned.held_out
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
        view = view_of(PAINTED_SIDE, plan.ratio)
        if not can_win(view, self.cells, plan.entries, plan.types, sizes):
            self.notes.append(f"No network was learned that paints the types: at {view} they are too small to see.")
            return
        try:
            found = learn_network(
                plan.entries, plan.types, view, sizes, self.folds[0], weights=asked.weights, seed=asked.seed,
                threads=asked.threads, cache=asked.cache, tell=lambda share, text: self.tell(0.7 + 0.14 * share, text),
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

    def _assemble(self, verdict: Verdict) -> Learned:
        plan = self.plan
        parts = ModelParts(
            self.backbone.graph,
            {one.view: one.heat for one in self.described},
            verdict.rule.weights,
            verdict.rule.bias,
            1.0,
            self.painted.painter if self.painted is not None else None,
            self.cells.painter if self.cells is not None else None,
            self.tuned.graph if self.tuned is not None else None,
        )
        maps = self._maps(parts.views())
        normal = np.flatnonzero(~plan.is_anomaly).tolist()
        level = max(1e-3, float(np.quantile([maps(position).max() for position in normal], 0.9)))
        parts = replace(parts, map_level=level)
        self.tell(0.88, "judging held-out images")
        evaluation = self._cross_validated(verdict, lambda position: show_map(maps(position), level))
        inputs = set(parts.views())
        if parts.painter is not None and parts.painter.graph is not None:
            inputs.add(parts.painter.view)
        return Learned(
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
