"""Say what a training is to do: what was asked for, which images teach, and at which sizes they are looked at."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision_toolkit.core.entry import Entry, Label
from vision_toolkit.core.errors import Invalid, VisionError
from vision_toolkit.core.mask import palette_colour
from vision_toolkit.core.prediction import Task
from vision_toolkit.data.images import probe
from vision_toolkit.data.manifest import Manifest
from vision_toolkit.metrics.thresholds import Rule as ThresholdRule
from vision_toolkit.metrics.thresholds import choose_threshold
from vision_toolkit.models.verdict import METRICS
from vision_toolkit.models.view import View, view_of

__all__ = ["PRESETS", "Asked", "Plan", "Preset", "Weights", "make_plan"]

Weights = Any


@dataclass(frozen=True, slots=True)
class Preset:
    """Hold how much is tried.

    Parameters
    ----------
    sides
        in pixels, of the square inputs that are tried; other shapes have as many pixels.
    tiled
        side of the largest input that is looked at in tiles, where images are so large; None: no tiles.
    patches
        that a memory keeps at most.
    tunes
        whether the network itself is trained where many images are labelled.
    """

    sides: tuple[int, ...]
    tiled: int | None = None
    patches: int = 2_000
    tunes: bool = False


PRESETS: dict[str, Preset] = {
    "fast": Preset((224,)),
    "balanced": Preset((224, 448), tiled=1344, patches=4_000),
    "best": Preset((224, 448, 640), tiled=2016, patches=8_000, tunes=True),
}
"""What can be asked for by name."""

FEWEST_NORMAL = 4
FEWEST_PATCHES = 2_000
"""Patches that a memory keeps of few images."""
PER_IMAGE = 20
"""The same for each normal image, where that is more."""
MOST_PIXELS = 1_000_000_000
"""Pixels of all images together up to which a further size is tried."""
MOST_TILED = 300_000_000
"""The same for a size that is looked at in tiles: of more images it is smaller."""
LARGER = 1.5
"""How many times the side of the largest piece images must have for tiles to show more."""


@dataclass(frozen=True, slots=True)
class Asked:
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
class Plan:
    """Hold what is to be done: the labelled images, what is to be learned, and the shape to look at them in."""

    entries: Manifest
    is_anomaly: NDArray[np.bool_]
    task: Task
    types: tuple[str, ...]
    colours: tuple[str, ...]
    ratio: float
    side: float
    seconds: float | None

    def views(self, preset: Preset) -> list[View]:
        """Return the sizes at which images are looked at in one piece, the smallest first."""
        views = [view_of(side, self.ratio) for side in preset.sides]
        affordable = [view for view in views[1:] if view.pixels * len(self.entries) <= MOST_PIXELS]
        return list(dict.fromkeys([views[0], *affordable]))

    def patches(self, preset: Preset, view: View) -> int:
        """Return how many patches a memory keeps: more images show more kinds of normal.

        Those of tiles are compared with so many that more take minutes.
        """
        wanted = PER_IMAGE * int((~self.is_anomaly).sum())
        return FEWEST_PATCHES if view.tiles is not None else min(preset.patches, max(FEWEST_PATCHES, wanted))

    def tiled(self, preset: Preset) -> View | None:
        """Return a larger size, to be looked at in tiles; None where it would show no more than the others."""
        if preset.tiled is None:
            return None
        side = min(self.side, preset.tiled, (MOST_TILED / len(self.entries)) ** 0.5)
        view = view_of(side, self.ratio)
        return view if side >= LARGER * max(preset.sides) and view.tiles is not None else None


def make_plan(manifest: Sequence[Entry], task: str, asked: Asked, budget: float | str | None) -> Plan:
    """Say what is to be done, or raise Invalid: of the images, or of what is asked for."""
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
    return Plan(
        entries,
        np.array([e.label is Label.ANOMALY for e in entries]),
        chosen,
        types if chosen is Task.SEGMENTATION else (),
        (palette_colour(0), *(colours[name] for name in types)),
        *_shape(entries),
        seconds,
    )


def _shape(entries: Manifest) -> tuple[float, float]:
    """Return width to height of most images, from a quarter to four, and the side of a square of as many pixels."""
    ratios, sides = [1.0], [0.0]
    for entry in entries[:: max(1, len(entries) // 32)]:
        with suppress(VisionError):  # told with all the others when the images are read
            facts = probe(entry)
            ratios.append(facts.width / facts.height)
            sides.append((facts.width * facts.height) ** 0.5)
    return float(np.clip(np.median(ratios[1:] or ratios), 0.25, 4.0)), float(np.median(sides[1:] or sides))


def _seconds(budget: float | str | None) -> float | None:
    if budget is None:
        return None
    said = f"{budget:f}" if isinstance(budget, float) else str(budget)
    match = re.fullmatch(r"\s*([0-9.]+)\s*(s|sec|seconds|min|m|minutes|h)?\s*", said)
    try:
        value = float(match[1]) if match else -1.0
    except ValueError:
        value = -1.0
    if match is None or value <= 0:
        raise Invalid(f"budget is a number of seconds, '60s' or '2min'; {budget!r} was given.")
    return value * {"h": 3600.0, "m": 60.0}.get((match[2] or "s")[0], 1.0)
