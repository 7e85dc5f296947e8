"""A memory of normal patches: what is far from all of them is odd.

Method: PatchCore (Roth et al., "Towards Total Recall in Industrial Anomaly Detection", 2022): patch features of
normal images, thinned by a greedy k-centre choice. Three things differ. Every patch is a candidate, not a random
part of them: a rare normal patch that nobody remembers is a false alarm. Features are first reduced to their
principal axes. And a distance counts in units of the spacing of the memory around the nearest patch (as in local
outlier factors, Breunig et al., 2000): where normal patches vary much, a distance means less.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

__all__ = ["Memory", "build_memory", "choose_centres"]

SIZE = 2_000
"""Patches that are kept."""
MOST_CANDIDATES = 40_000
"""Patches that are looked at; of more, a part of each image's at random."""
SAMPLE = 20_000
"""Patches whose principal axes are taken."""
AXES = 64
"""Principal axes that are kept."""
SKETCH = 32
"""Dimensions of the random projection in which centres are chosen."""
ROUND = 1024
"""Farthest points among which a round of the choice goes on before all distances are taken again."""
LEAST_SPREAD = 1e-4
"""Spread of a feature at least. One that never varied would else count in units of the rounding that keeps it."""
NEIGHBOURS = 3
"""Remembered patches whose mean distance is the spacing around one."""

Patches = Callable[[int], NDArray[np.floating]]
"""Gives the patch features of an image, (gh, gw, c)."""


@dataclass(frozen=True, eq=False)
class Memory:
    """Remember patches; how far another lies from the nearest of them says how odd it is.

    Parameters
    ----------
    centre, axes
        (c,) and (c, k) float32: a patch is seen as ``(patch - centre) @ axes``.
    points
        (m, k) float32, the remembered patches in these axes.
    weights
        (m,) float32: by how much the square of a distance to each counts.
    """

    centre: NDArray[np.float32]
    axes: NDArray[np.float32]
    points: NDArray[np.float32]
    weights: NDArray[np.float32]

    @cached_property
    def table(self) -> NDArray[np.float32]:
        """Return (k + 1, m) by which a projected patch and its square are multiplied; see ``offsets``."""
        return np.concatenate([(-2.0 * self.points * self.weights[:, None]).T, self.weights[None]])

    @cached_property
    def offsets(self) -> NDArray[np.float32]:
        """Return (m,) to add: the result is the weighted square of the distance to each remembered patch."""
        return np.asarray(np.einsum("mk,mk->m", self.points, self.points) * self.weights, np.float32)

    def project(self, patches: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return (n, k) of patches (..., c)."""
        flat = patches.reshape(-1, len(self.centre)).astype(np.float32)
        return np.asarray((flat - self.centre) @ self.axes, np.float32)

    def distances(self, patches: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return the weighted distance of each patch, (..., c), to the nearest remembered one: (...) float32."""
        projected = self.project(patches)
        found = np.empty(len(projected), np.float32)
        for start in range(0, len(projected), 2048):  # bounds the table of distances to 2048 rows
            part = projected[start : start + 2048]
            squares = np.einsum("nk,nk->n", part, part)
            values = np.concatenate([part, squares[:, None]], axis=1) @ self.table
            values += self.offsets
            found[start : start + 2048] = values.min(axis=1)
        return np.sqrt(np.maximum(found, 0.0)).reshape(patches.shape[:-1])


def build_memory(
    patches: Patches, positions: Sequence[int], *, rng: np.random.Generator, size: int = SIZE, axes: int = AXES
) -> Memory:
    """Build the memory of some images.

    Parameters
    ----------
    patches
        gives the patch features of an image by its position, (gh, gw, c).
    positions
        the normal images.
    rng
        source of the random choices.
    size
        patches to keep at most.
    axes
        principal axes to keep at most.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> images = rng.normal(size=(4, 5, 5, 8)).astype("float32")
    >>> memory = build_memory(images.__getitem__, [0, 1, 2], rng=rng)
    >>> memory.distances(np.full((5, 5, 8), 9, "float32")).shape
    (5, 5)
    """
    grid = int(np.prod(patches(positions[0]).shape[:2]))
    per_image = min(grid, max(1, MOST_CANDIDATES // len(positions)))
    few = min(grid, max(1, SAMPLE // len(positions)))
    sample = [patches(one).reshape(grid, -1)[rng.permutation(grid)[:few]] for one in positions]
    mean, turned = principal_axes(np.concatenate(sample).astype(np.float32), axes)
    projected = np.empty((per_image * len(positions), turned.shape[1]), np.float32)
    for count, position in enumerate(positions):
        flat = patches(position).reshape(grid, -1)
        if per_image < grid:
            flat = flat[np.sort(rng.permutation(grid)[:per_image])]
        projected[count * per_image : (count + 1) * per_image] = (flat.astype(np.float32) - mean) @ turned
    points = projected[choose_centres(projected, min(size, len(projected)), rng=rng)]
    return Memory(mean, turned, points, _weights(points))


def principal_axes(points: NDArray[np.float32], most: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return mean (c,) and the principal axes (c, k) of features that are scaled to unit spread first."""
    mean, scale = points.mean(axis=0), points.std(axis=0)
    scale = np.maximum(scale, max(0.1 * float(np.median(scale)), LEAST_SPREAD))  # what hardly varies counts little
    covariance = np.cov((points - mean) / scale, rowvar=False).reshape(len(mean), len(mean))
    _, vectors = np.linalg.eigh(covariance)
    kept = vectors[:, ::-1][:, :most]
    # An axis has no direction: the largest part is made positive, so that every machine finds the same.
    signs = np.sign(kept[np.abs(kept).argmax(axis=0), np.arange(kept.shape[1])])
    return mean.astype(np.float32), np.ascontiguousarray(kept * signs / scale[:, None], np.float32)


def _weights(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the inverse square of the spacing around each point, 1 where it is the usual one."""
    if len(points) <= NEIGHBOURS:
        return np.ones(len(points), np.float32)
    squares = np.einsum("mk,mk->m", points, points)
    spacing = np.empty(len(points), np.float32)
    for start in range(0, len(points), 1024):
        part = slice(start, start + 1024)
        table = squares[part, None] + squares - 2.0 * points[part] @ points.T
        near = np.sqrt(np.maximum(np.partition(table, NEIGHBOURS, axis=1)[:, : NEIGHBOURS + 1], 0.0))
        spacing[part] = near.sum(axis=1) / NEIGHBOURS  # the nearest is the point itself
    usual = float(np.median(spacing))
    if usual <= 0.0:
        return np.ones(len(points), np.float32)
    return np.asarray((usual / np.maximum(spacing, 0.1 * usual)) ** 2, np.float32)


def choose_centres(points: NDArray[np.float32], size: int, *, rng: np.random.Generator) -> NDArray[np.intp]:
    """Choose ``size`` points of which each next is the farthest from all before (greedy k-centre).

    Distances are taken in a random projection to :data:`SKETCH` dimensions, which keeps them nearly (Johnson and
    Lindenstrauss, 1984). Choosing stops early when every point is already covered.

    The choice goes in rounds: among the :data:`ROUND` farthest points it is made as if there were no others, until
    the next would be nearer than all the others were when the round began. So each choice is exactly the greedy one,
    and the distances of all points are taken a few dozen times, not once for each centre.

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
    chosen = [int(rng.integers(len(points)))]
    nearest = np.full(len(points), np.inf, np.float32)
    _take_nearer(nearest, sketch, squares, chosen)
    while len(chosen) < size:
        most = min(ROUND, len(points))
        far = np.argpartition(nearest, len(points) - most)[len(points) - most :]
        floor = float(nearest[far].min()) if most < len(points) else -1.0
        new = _choose_among(sketch[far], squares[far], nearest[far].copy(), floor, size - len(chosen))
        if not new:
            break
        chosen += far[new].tolist()
        _take_nearer(nearest, sketch, squares, far[new].tolist())
    return np.array(chosen, np.intp)


def _choose_among(
    points: NDArray[np.float32],
    squares: NDArray[np.float32],
    nearest: NDArray[np.float32],
    floor: float,
    most: int,
) -> list[int]:
    new: list[int] = []
    covered = 1e-6 * float(squares.max())
    while len(new) < most:
        place = int(nearest.argmax())
        if nearest[place] < floor or nearest[place] <= covered:
            break
        new.append(place)
        distance = points @ points[place]
        distance *= -2.0
        distance += squares
        distance += squares[place]
        np.minimum(nearest, distance, out=nearest)
        nearest[place] = -1.0
    return new


def _take_nearer(
    nearest: NDArray[np.float32], points: NDArray[np.float32], squares: NDArray[np.float32], new: list[int]
) -> None:
    centres = points[new]
    for start in range(0, len(points), 16_384):
        part = slice(start, start + 16_384)
        table = points[part] @ centres.T
        table *= -2.0
        table += squares[new]
        np.minimum(nearest[part], table.min(axis=1) + squares[part], out=nearest[part])
    nearest[new] = -1.0
