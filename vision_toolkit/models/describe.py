"""Describe an image by a few groups of numbers: what the verdict looks at.

The same is said by nodes of the model's graph (:mod:`.graph`), where nothing of this file runs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vision_toolkit.models.runtime import resize_scores

__all__ = [
    "PAINTED_SHARES",
    "SHARES",
    "STEEP",
    "describe_levels",
    "describe_map",
    "describe_types",
    "fuse_maps",
    "show_map",
]

SHARES = (0.005, 0.02, 0.1)
"""Shares of the largest values of a map whose means describe it."""
STEEP = 8.0
"""How quickly the shown map leaves 0.5 around its level."""
PAINTED_SHARES = (0.0005, 0.002, 0.01, 0.05)
"""Shares of the surest cells whose log-odds describe painted types."""


def describe_map(values: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return the largest value, the means of the largest 0.5, 2 and 10 %, the mean and the spread: (6,).

    Examples
    --------
    >>> describe_map(np.arange(100.0)).tolist()[:4]
    [99.0, 99.0, 98.5, 94.5]
    """
    ordered = np.sort(values.ravel())[::-1].astype(np.float64)
    return np.array([ordered[0], *_tops(ordered, SHARES), ordered.mean(), ordered.std()], np.float32)


def describe_levels(patches: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return mean, largest and spread of each feature of patches (gh, gw, c): (3 c,)."""
    flat = np.asarray(patches, np.float32).reshape(-1, patches.shape[-1])
    return np.concatenate([flat.mean(axis=0), flat.max(axis=0), flat.std(axis=0)])


def describe_types(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """Describe how surely anything is painted: log-odds of the surest cell and of the surest shares, (5,)."""
    odds = np.sort((1.0 - probabilities[..., 0]).ravel())[::-1].astype(np.float64)
    found = np.clip(np.array([odds[0], *_tops(odds, PAINTED_SHARES)]), 1e-4, 1 - 1e-4)
    return np.asarray(np.log(found / (1 - found)), np.float32)


def _tops(ordered: NDArray[np.float64], shares: Sequence[float]) -> list[float]:
    return [float(ordered[: max(1, round(len(ordered) * share))].mean()) for share in shares]


def fuse_maps(maps: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Add maps (h, w) of several levels at the size of the first, each place averaged with its neighbours."""
    from scipy.ndimage import uniform_filter  # what only predicts, hosts or serves does without

    total = maps[0].astype(np.float32)
    for other in maps[1:]:
        total = total + resize_scores(other[..., None], total.shape[1], total.shape[0])[..., 0]
    counts = uniform_filter(np.ones_like(total), 3, mode="constant")
    return np.asarray(uniform_filter(total, 3, mode="constant") / counts, np.float32)


def show_map(values: NDArray[np.float32], level: float) -> NDArray[np.float32]:
    """Return a map from 0 to 1 that is 0.5 at ``level`` and comes to its end so slowly that the hottest place is found.

    Examples
    --------
    >>> [round(float(value), 3) for value in show_map(np.array([0.0, 3.0, 6.0, 3000.0], np.float32), 3.0)]
    [0.056, 0.5, 0.944, 1.0]
    """
    moved = STEEP * (values / level - 1.0)
    return np.asarray(0.5 + 0.5 * moved / (1.0 + np.abs(moved)), np.float32)
