"""Turn patch distances into heat maps, and describe each image at one size; everything held out.

The distance of each image's patches comes from a memory that did not have the image, and so does what is normal at
each place.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from vision_toolkit.models.arrays import Arrays
from vision_toolkit.models.describe import describe_levels, describe_map, fuse_maps
from vision_toolkit.models.features import Features, digest, keep, recall
from vision_toolkit.models.graph import HeatMap
from vision_toolkit.models.memory import Memory, build_memory
from vision_toolkit.models.verdict import Key
from vision_toolkit.models.view import View

__all__ = ["Described", "describe_view"]

VERSION = 2
MOST = 60_000.0
"""Spreads from normal that a kept map goes up to: float16 ends soon after."""
PRIOR = 5.0
"""Images as many as which the whole map counts in what is normal at one place."""
ODD = 0.02
"""Share of an anomalous image's patches, its oddest ones, that the memory of anomalies keeps."""
FEWEST_ANOMALIES = 4
Tell = Callable[[float, str], None]


@dataclass(frozen=True, slots=True, eq=False)
class Described:
    """Hold what one size says of n images, held out, and what says the same of new ones.

    ``groups`` for the verdict; ``maps`` (n, gh, gw) float16, fused; ``distances`` (n, gh, gw) of the first level;
    ``heat`` for the model's graph.
    """

    view: View
    features: Features
    groups: dict[Key, NDArray[np.float32]]
    maps: NDArray[np.float16]
    distances: NDArray[np.float32]
    heat: HeatMap


def describe_view(
    view: View,
    features: Features,
    is_anomaly: NDArray[np.bool_],
    folds: NDArray[np.intp],
    *,
    patches: int,
    seed: int,
    threads: int,
    cache: Path,
    tell: Tell = lambda share, text: None,
) -> Described:
    """Remember normal patches at one size and describe each image by a memory that did not have it.

    Parameters
    ----------
    features
        of n images.
    is_anomaly, folds
        (n,) truth, and fold number of each image.
    patches
        that a memory keeps at most.
    cache
        folder where what was computed is kept: the same images, labels, folds and seed compute nothing again.
    """
    key = digest("heat", VERSION, features.keys, view, is_anomaly, folds, patches, seed)
    found = recall(cache, key)
    if found is None:
        found = _compute(features, is_anomaly, folds, patches, seed, threads, tell)
        keep(cache, key, found)
    levels = features.levels
    heat = HeatMap(
        tuple(_memory(found, name) for name in levels),
        tuple(found[f"{name}_mean"] for name in levels),
        tuple(found[f"{name}_spread"] for name in levels),
        _memory(found, "anomalies") if "anomalies_points" in found else None,
    )
    groups: dict[Key, NDArray[np.float32]] = {
        (view, group): found[group] for group in ("distance", "contrast", "patch") if group in found
    }
    groups[view, "global"] = features.vectors
    return Described(view, features, groups, found["maps"], found["distances"], heat)


def _compute(
    features: Features,
    is_anomaly: NDArray[np.bool_],
    folds: NDArray[np.intp],
    size: int,
    seed: int,
    threads: int,
    tell: Tell,
) -> Arrays:
    images, normal = len(is_anomaly), ~is_anomaly
    learns = int(is_anomaly.sum()) >= FEWEST_ANOMALIES
    shapes = {name: features.level(name)(0).shape[:2] for name in features.levels}
    held_out = {name: np.empty((images, *shape), np.float32) for name, shape in shapes.items()}
    first = features.levels[0]
    others = np.empty((images, *shapes[first]), np.float32) if learns else None
    arrays: Arrays = {}

    def remember(task: tuple[int, int | None, str]) -> None:
        """Build one memory, of all images or without a fold, and ask it about the fold."""
        count, fold, name = task
        level = features.level(name)
        left = np.zeros(images, bool) if fold is None else folds == fold
        rng = np.random.default_rng([seed, count])
        memory = build_memory(level, np.flatnonzero(normal & ~left).tolist(), rng=rng, size=size)
        positions = np.flatnonzero(left).tolist()
        for position in positions:
            held_out[name][position] = memory.distances(level(position))
        if fold is None:
            arrays.update(_packed(name, memory))
        if others is not None and name == first:
            anomalies = _remember_odd(level, memory, np.flatnonzero(is_anomaly & ~left).tolist())
            for position in positions:
                others[position] = anomalies.distances(level(position))
            if fold is None:
                arrays.update(_packed("anomalies", anomalies))

    numbers: list[int | None] = [*np.unique(folds).tolist(), None]
    tasks = [(count, fold, name) for count, fold in enumerate(numbers) for name in features.levels]
    # Each has its own random numbers and its own places to write to: how many work at once changes nothing.
    with ThreadPoolExecutor(threads) as pool:
        try:
            for done, _ in enumerate(pool.map(remember, tasks), 1):
                tell(done / len(tasks), "remembering normal patches")
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    scaled = _scale(held_out, normal, folds, arrays)
    maps = np.empty((images, *shapes[first]), np.float32)
    distance, patch, contrast = [], [], []
    for position in range(images):
        own = [scaled[name][position] for name in features.levels]
        maps[position] = fuse_maps(own)
        distance.append(np.concatenate([describe_map(one) for one in (maps[position], *own)]))
        patch.append(np.concatenate([describe_levels(features.level(name)(position)) for name in features.levels]))
        if others is not None:
            other = others[position]
            contrast.append(np.append(describe_map(held_out[first][position] - other), other.min()))
    arrays |= {"distance": np.stack(distance).astype(np.float32), "patch": np.stack(patch).astype(np.float32)}
    if contrast:
        arrays["contrast"] = np.stack(contrast).astype(np.float32)
    return arrays | {"maps": np.clip(maps, -MOST, MOST).astype(np.float16), "distances": held_out[first]}


def _scale(
    held_out: dict[str, NDArray[np.float32]], normal: NDArray[np.bool_], folds: NDArray[np.intp], arrays: Arrays
) -> dict[str, NDArray[np.float32]]:
    """Return distances in spreads from what is normal at each place, as images of other folds have it."""
    scaled = {}
    for name, distances in held_out.items():
        found = np.empty_like(distances)
        for fold in np.unique(folds):
            mean, spread = _usual(distances[normal & (folds != fold)])
            part = folds == fold
            found[part] = (distances[part] - mean) / spread
        arrays[f"{name}_mean"], arrays[f"{name}_spread"] = _usual(distances[normal])
        scaled[name] = found
    return scaled


def _usual(distances: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return mean and spread (gh, gw) of normal distances (n, gh, gw), drawn towards those of the whole map."""
    share = len(distances) / (len(distances) + PRIOR)
    mean = gaussian_filter(distances.mean(axis=0, dtype=np.float64), 1.0, mode="nearest")
    variance = gaussian_filter(distances.var(axis=0, dtype=np.float64), 1.0, mode="nearest")
    mean = share * mean + (1 - share) * float(distances.mean(dtype=np.float64))
    variance = share * variance + (1 - share) * float(distances.var(dtype=np.float64))
    return mean.astype(np.float32), np.sqrt(np.maximum(variance, 1e-8)).astype(np.float32)


def _remember_odd(level: Callable[[int], NDArray[np.float32]], memory: Memory, positions: list[int]) -> Memory:
    """Remember the oddest patches of anomalous images, in the axes of the normal memory."""
    points = []
    for position in positions:
        patches = level(position)
        distances = memory.distances(patches).ravel()
        most = max(4, round(len(distances) * ODD))
        points.append(memory.project(patches)[np.argsort(-distances, kind="stable")[:most]])
    kept = np.concatenate(points)
    return Memory(memory.centre, memory.axes, kept, np.ones(len(kept), np.float32))


def _packed(name: str, memory: Memory) -> Arrays:
    return {f"{name}_{part}": getattr(memory, part) for part in ("centre", "axes", "points", "weights")}


def _memory(arrays: Arrays, name: str) -> Memory:
    return Memory(*(np.array(arrays[f"{name}_{part}"]) for part in ("centre", "axes", "points", "weights")))
