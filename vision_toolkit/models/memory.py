"""A memory of normal patches: what is far from all of them is odd.

Method: PatchCore (Roth et al., "Towards Total Recall in Industrial Anomaly Detection", 2022): patch features of
normal images, thinned by a greedy k-centre choice; the distance of a patch to its nearest neighbour is its oddness.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vision_toolkit.models.runtime import Memory

__all__ = ["build_memory", "choose_centres"]

CANDIDATES = 16_000
"""Patches that are looked at; more are thinned at random first."""
SIZE = 2_000
"""Patches that are kept."""
SKETCH = 32
"""Dimensions of the random projection in which centres are chosen."""


def build_memory(
    patches: NDArray[np.floating], positions: Sequence[int], *, rng: np.random.Generator, size: int = SIZE
) -> Memory:
    """Build the memory of some images.

    Parameters
    ----------
    patches
        (n, gh, gw, c) float, the patch features of all images.
    positions
        the normal images among them.
    rng
        source of the random choices.
    size
        patches to keep at most.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> memory = build_memory(rng.normal(size=(4, 5, 5, 8)).astype("float32"), [0, 1, 2], rng=rng)
    >>> memory.distances(np.full((5, 5, 8), 9, "float32")).shape
    (5, 5)
    """
    grid = patches.shape[1] * patches.shape[2]
    per_image = min(grid, max(1, CANDIDATES // max(1, len(positions))))
    parts = []
    for position in positions:
        flat = np.asarray(patches[position], np.float32).reshape(grid, -1)
        parts.append(flat if per_image == grid else flat[rng.permutation(grid)[:per_image]])
    pool = np.concatenate(parts)
    if len(pool) > CANDIDATES:
        pool = pool[np.sort(rng.permutation(len(pool))[:CANDIDATES])]
    scale = np.maximum(pool.std(axis=0), 1e-6).astype(np.float32)
    pool = pool / scale
    return Memory(np.ascontiguousarray(pool[choose_centres(pool, min(size, len(pool)), rng=rng)]), scale)


def choose_centres(points: NDArray[np.float32], size: int, *, rng: np.random.Generator) -> NDArray[np.intp]:
    """Choose ``size`` points of which each next is the farthest from all before (greedy k-centre).

    Distances are taken in a random projection to :data:`SKETCH` dimensions, which keeps them nearly (Johnson and
    Lindenstrauss, 1984). Choosing stops early when every point is already covered.

    Parameters
    ----------
    points
        (n, c) float32.

    Returns
    -------
    chosen
        (at most ``size``,) positions, in the order of choice.
    """
    if size >= len(points):
        return np.arange(len(points))
    sketch = points
    if points.shape[1] > SKETCH:
        projection = rng.normal(scale=SKETCH**-0.5, size=(points.shape[1], SKETCH)).astype(np.float32)
        sketch = points @ projection
    squares = np.einsum("nc,nc->n", sketch, sketch)
    chosen = np.empty(size, np.intp)
    chosen[0] = rng.integers(len(points))
    nearest = np.full(len(points), np.inf, np.float32)
    for count in range(1, size):
        last = chosen[count - 1]
        distance = sketch @ sketch[last]
        distance *= -2.0
        distance += squares
        distance += squares[last]
        np.minimum(nearest, distance, out=nearest)
        chosen[count] = int(nearest.argmax())
        if nearest[chosen[count]] <= 1e-9:
            return chosen[:count]
    return chosen
