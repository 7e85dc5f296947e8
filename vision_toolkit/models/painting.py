"""Learn to paint anomaly types: a decoder of single cells in seconds, a network of its own where that paints better."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision_toolkit.core.entry import Entry, Label
from vision_toolkit.core.mask import Mask
from vision_toolkit.data.images import coverage, read_image, read_mask
from vision_toolkit.data.manifest import Manifest
from vision_toolkit.models.decoder import Cells, decode_types, fit_decoder, held_out_types, sample_cells, truth_grid
from vision_toolkit.models.describe import describe_types
from vision_toolkit.models.features import digest
from vision_toolkit.models.graph import Painter
from vision_toolkit.models.heat import Described
from vision_toolkit.models.runtime import largest, resize
from vision_toolkit.models.view import View

__all__ = ["Painted", "can_win", "learn_network", "learn_types"]

FEWEST_PAINTED = 8
"""Painted images from which a network of its own is tried."""
STRIDE = 4
"""Pixels of a network's cell each way, about."""
Sizes = tuple[tuple[int, int], ...]
"""Width and height of each image."""
Tell = Callable[[float, str], None]


@dataclass(frozen=True, slots=True, eq=False)
class Painted:
    """Hold a painter and what it said of training images while it had not seen them.

    ``held_out`` gives the class probabilities (h, w, classes) of an image by its position, for those in ``positions``;
    ``iou`` the mean IoU of the types there, all pixels of ``positions`` together; ``groups`` (n, 5) what the verdict
    may look at, or None.
    """

    painter: Painter
    held_out: Callable[[int], NDArray[np.float32]]
    positions: frozenset[int]
    groups: NDArray[np.float32] | None = None
    facts: dict[str, Any] = field(default_factory=dict)


def learn_types(
    entries: Manifest, types: tuple[str, ...], described: Described, folds: NDArray[np.intp], *, seed: int
) -> Painted:
    """Learn a decoder that looks at each cell alone; every image is painted held out."""
    fine = described.features.level("fine")
    height, width = fine(0).shape[:2]
    truth = np.zeros((len(entries), height, width), np.uint8)
    for position, (entry, size) in enumerate(zip(entries, described.features.sizes, strict=True)):
        if entry.types:
            truth[position] = truth_grid(_mask(entry, types, size), width, height)
    cells = Cells(fine, described.features.level("patches"), described.distances, truth)
    known = np.flatnonzero(_teaches(entries))
    classes = len(types) + 1
    samples = sample_cells(cells, known.tolist(), seed=seed)
    held_out, bias = held_out_types(cells, samples, known, folds[known] % 3, classes, seed=seed)
    arrays = fit_decoder(samples, classes, seed=seed)
    arrays["decoder_2_bias"][0] += bias
    for position in set(range(len(entries))) - set(held_out):  # no decoder has seen these
        held_out[position] = decode_types(cells, position, arrays)
    groups = np.stack([describe_types(held_out[position]) for position in range(len(entries))])
    painter = Painter(described.view, (height, width, classes), arrays=arrays)
    return Painted(painter, held_out.__getitem__, frozenset(held_out), groups, {"name": "cells"})


def learn_network(
    entries: Manifest,
    types: tuple[str, ...],
    view: View,
    sizes: Sizes,
    folds: NDArray[np.intp],
    *,
    weights: Any,
    seed: int,
    threads: int,
    cache: Path,
    tell: Tell,
    enough: Callable[[], bool],
) -> Painted | None:
    """Learn a network of its own; None where too few images are painted, or nothing was judged before time was up.

    One of the ``folds`` is held out for its trial, so that near duplicates do not tell it the answers. What is learned
    goes on from where a killed training was.

    Raises
    ------
    Unsupported, Failed
        as :func:`vision_toolkit.models.segmenter.fit_segmenter`.
    """
    known = np.flatnonzero(_teaches(entries)).tolist()
    painted = np.array([bool(entries[place].types) for place in known])
    parts = [np.flatnonzero(folds[known] == fold).tolist() for fold in np.unique(folds)]
    most = max(parts, key=lambda part: int(painted[part].sum()))
    if painted.sum() < FEWEST_PAINTED or not painted[most].any() or len(most) == len(known):
        return None

    def image(number: int) -> NDArray[np.uint8]:
        return resize(read_image(entries[known[number]]), view.width, view.height)

    def truth(number: int) -> NDArray[np.uint8]:
        place = known[number]
        mask = _mask(entries[place], types, sizes[place]) if entries[place].types else None
        if mask is None:
            return np.zeros((view.height, view.width), np.uint8)
        return truth_grid(mask, view.width, view.height)

    checkpoint = cache / "training" / f"{digest('network', entries.fingerprint(), view, seed)}.safetensors"
    with contextlib.suppress(OSError):
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
    from vision_toolkit.models.segmenter import fit_segmenter, paint_types

    found = fit_segmenter(
        image, truth, count=len(known), classes=len(types) + 1, weights=weights, height=view.height,
        width=view.width, seed=seed, threads=threads, held_out=[most], checkpoint=checkpoint, tell=tell, enough=enough,
    )  # fmt: skip
    if not found.trials:
        return None
    trial = found.trials[0]
    said = paint_types(trial.graph, image, trial.positions, threads=threads)
    held_out = {known[number]: one for number, one in zip(trial.positions, said, strict=True)}
    shape = (view.height // found.stride, view.width // found.stride, len(types) + 1)
    painter = Painter(view, shape, graph=found.graph)
    facts = {"name": "network", "steps": found.steps, "finished": found.finished}
    return Painted(painter, held_out.__getitem__, frozenset(held_out), None, facts)


def paints_better(
    one: Painted, other: Painted, entries: Manifest, types: tuple[str, ...], sizes: Sizes
) -> tuple[bool, float, float]:
    """Say whether ``one`` paints better than ``other`` on images that neither had seen, with both mean IoUs.

    IoU of each type over all pixels of those images at their own size, and of those the mean.
    """
    both = sorted(one.positions & other.positions)
    tables = np.zeros((2, len(types) + 1, len(types) + 1))
    for position in both:
        width, height = sizes[position]
        true = np.zeros((height, width), np.uint8)
        if entries[position].types:
            mask = _mask(entries[position], types, sizes[position])
            true = true if mask is None else mask.ids
        for number, painted in enumerate((one, other)):
            ids = largest(painted.held_out(position), width, height)
            pairs = true.ravel().astype(np.intp) * (len(types) + 1) + ids.ravel()
            tables[number] += np.bincount(pairs, minlength=tables[0].size).reshape(tables[0].shape)
    first, second = (_mean_iou(table) for table in tables)
    return first > second, first, second


def can_win(view: View, cells: Painted, entries: Manifest, types: tuple[str, ...], sizes: Sizes) -> bool:
    """Say whether a network that errs nowhere would paint better than ``cells``: its own cells may be too coarse."""
    width, height = view.width // STRIDE, view.height // STRIDE

    def ideal(position: int) -> NDArray[np.float32]:
        mask = _mask(entries[position], types, sizes[position]) if entries[position].types else None
        if mask is None:
            return np.eye(1, len(types) + 1, dtype=np.float32)[None]
        return np.asarray(coverage(mask, width, height), np.float32)

    painter = Painter(view, (height, width, len(types) + 1))
    return paints_better(Painted(painter, ideal, cells.positions), cells, entries, types, sizes)[0]


def _mean_iou(table: NDArray[np.float64]) -> float:
    hits, union = np.diag(table), table.sum(axis=0) + table.sum(axis=1) - np.diag(table)
    there = union[1:] > 0
    return float((hits[1:][there] / union[1:][there]).mean()) if there.any() else 0.0


def _teaches(entries: Manifest) -> NDArray[np.bool_]:
    """Say which images teach: an anomaly that nobody painted says nothing about where it is."""
    return np.array([bool(entry.types) or entry.label is Label.NORMAL for entry in entries])


def _mask(entry: Entry, types: tuple[str, ...], size: tuple[int, int]) -> Mask | None:
    assert entry.mask is not None
    return read_mask(entry.mask, names=types, size=size)
