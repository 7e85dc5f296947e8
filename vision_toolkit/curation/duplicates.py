"""Find shots that show the same thing: copies of one file, and near copies of one shot.

Inspection images look alike on purpose: one part, one pose, one camera. A usual perceptual hash puts all of
them into one group, so here a pair counts as near duplicates only when three things hold: after a small shift,
zoom and change of light one image explains nearly all detail of the other; it explains it much better than it
explains the images that look most like it otherwise; and that in both directions. The second rule makes the
measure relative to the set: what counts as "the same" follows from how much different parts of this set differ.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vision_toolkit.core import Entry, Invalid, Settings, VisionError
from vision_toolkit.data.images import read_image
from vision_toolkit.data.storage import read_bytes

__all__ = ["components", "group_numbers", "near_duplicates", "perceptual_hash"]

Floats = NDArray[np.float32]
Pair = tuple[int, int]
Progress = Callable[[int, int], None]
Read = tuple[bytes, Floats]

SIDE = 64
"""Side of the small grey view in which two images are compared, in pixels."""

MARGIN = 5
"""Pixels at each edge of a view that do not count: a shift or a crop moves them out of the picture."""

NEIGHBOURS = 24
"""How many of the most similar images each image is compared with. Half of them tell how much different parts
differ, so of more than about a dozen shots of one thing only those with equal pixels are surely found."""

CLOSEST = 6
"""How many of the neighbours are aligned exactly; what is alike beyond them is alike through them."""

SAME = 0.2
"""Largest unexplained fraction of the detail of two near duplicates, however different the others are. Planted
copies (saved again, moved, cropped) left up to 0.10, in drawn parts that are hardly more than noise 0.17. A false
pair costs a split little, a missed one makes it lie: so this is rather high."""

RELATIVE = 0.37
"""The same, relative to what an image leaves unexplained of its middle neighbour. In the drawn sets copies left up to
0.29 of it, and the two most similar of different parts at least 0.47."""

ALONE = 0.1
"""The same where there are fewer than :data:`FEW` neighbours to tell how much different parts differ."""

FEW = 4
"""Number of neighbours below which they tell nothing."""

COMMON = 0.85
"""Unexplained fraction below which an image has so much in common with the mean of the set that it is moved onto it."""

AT_ONCE = 64
"""How many images are compared with theirs, or pairs aligned, in one computation."""

EQUAL = 0.002
"""Unexplained fraction below which two views are the same pixels, saved losslessly or scaled in brightness."""


def perceptual_hash(image: NDArray[np.uint8]) -> bytes:
    """Return 32 bytes that stay nearly the same when an image is saved again, resized or brightened.

    Bit by bit, each of the 256 lowest frequencies of the grey image is above or below their median. Two
    hashes are compared by the number of bits that differ. All shots of one part in one pose have nearly the
    same hash: to tell them apart, use :func:`near_duplicates`.

    Parameters
    ----------
    image
        (H, W, 3) uint8.

    Raises
    ------
    Invalid
        if the shape or the dtype is another.

    Examples
    --------
    >>> ramp = np.repeat(np.arange(0, 250, 5, dtype=np.uint8)[:, None, None], 40, axis=1).repeat(3, axis=2)
    >>> perceptual_hash(ramp) == perceptual_hash(ramp // 2), len(perceptual_hash(ramp))
    (True, 32)
    """
    grey = _small_grey(image)
    steps = np.pi / SIDE * (np.arange(SIDE) + 0.5)
    waves = np.cos(steps[None, :] * np.arange(1, 17)[:, None]).astype(np.float32)
    spectrum = waves @ grey @ waves.T
    # A flat image has no frequencies but rounding noise: 0.01 of a grey level a pixel is none.
    spectrum[np.abs(spectrum) < 0.01 * SIDE] = 0.0
    return np.packbits(spectrum > np.median(spectrum)).tobytes()


def near_duplicates(
    entries: Sequence[Entry],
    *,
    images: Sequence[NDArray[np.uint8]] | None = None,
    threads: int | None = None,
    unreadable: Literal["skip", "raise"] = "skip",
    progress: Progress | None = None,
) -> tuple[tuple[int, ...], ...]:
    """Group the images that show the same thing: equal files, and shots that are copies of one another.

    Found are copies saved again, resized, brightened, shifted by a few pixels or cropped by a few per cent, and
    further exposures of one part. Not found are turned or mirrored copies. Two different parts under a fixed
    camera stay apart as long as they differ by more than noise. What belongs together through a third image is
    one group.

    Parameters
    ----------
    entries
        a manifest, or any sequence of entries.
    images
        the images, (H, W, 3) uint8 each and one an entry, where they are decoded already; by default they
        are read.
    threads
        how many images are read at once; None = as many as this process may use.
    unreadable
        ``"skip"``: an image that cannot be read has no duplicates; ``"raise"``: its error is raised.
    progress
        called with how many images were looked at, and how many there are.

    Returns
    -------
    tuple
        groups of at least two positions, ascending inside, ordered by their first; an image is in one at most.

    Raises
    ------
    Invalid
        if ``images`` does not hold one image an entry.

    Notes
    -----
    16,000 images take about 400 MB of memory beside one decoded image a thread.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> parts = [rng.integers(0, 256, (80, 80, 3), dtype=np.uint8) for _ in range(6)]
    >>> entries = [Entry(f"{i}.png") for i in range(7)]
    >>> near_duplicates(entries, images=[*parts, parts[1] // 2 + 9])
    ((1, 6),)
    """
    if images is not None and len(images) != len(entries):
        raise Invalid(f"images holds one image an entry: {len(entries)}; {len(images)} were given.")
    if unreadable not in ("skip", "raise"):
        raise Invalid(f"unreadable is 'skip' or 'raise'; {unreadable!r} was given.")
    if threads is not None and threads < 1:
        raise Invalid(f"threads is at least 1, or None; {threads} was given.")

    def read(position: int) -> Read | None:
        try:
            return _read(entries[position], None if images is None else images[position])
        except VisionError:
            if unreadable == "raise":
                raise
            return None

    views = np.zeros((len(entries), SIDE, SIDE), np.float16)
    first: dict[bytes, int] = {}
    pairs: list[Pair] = []
    for position, found in enumerate(_in_order(read, len(entries), Settings(threads=threads).usable_threads())):
        if found is not None:
            same = first.setdefault(found[0], position)
            if same == position:
                views[position] = found[1]
            else:
                pairs.append((same, position))
        if progress is not None:
            progress(position + 1, len(entries))
    # Flat images have no detail to compare, and of equal files one is enough.
    chosen = np.flatnonzero(views.any(axis=(1, 2)))
    views = views[chosen]
    pairs += [(int(chosen[i]), int(chosen[j])) for i, j in _similar_pairs(views)]
    return tuple(group for group in components(pairs, len(entries)) if len(group) > 1)


def group_numbers(
    entries: Sequence[Entry], *, threads: int | None = None, progress: Progress | None = None
) -> list[int]:
    """Return a number for each image, the same for those that :func:`near_duplicates` groups.

    Parameters
    ----------
    entries, threads, progress
        as in :func:`near_duplicates`.

    Examples
    --------
    >>> from vision_toolkit.data.synthetic import load_dataset
    >>> parts = list(load_dataset("biscuit")[:3])
    >>> group_numbers([*parts, parts[1]])
    [0, 1, 2, 1]
    """
    numbers = list(range(len(entries)))
    for group in near_duplicates(entries, threads=threads, progress=progress):
        for position in group:
            numbers[position] = group[0]
    return numbers


def components(pairs: Iterable[Pair], count: int) -> list[tuple[int, ...]]:
    """Return what is connected: groups of the positions 0 to ``count - 1``, ordered by their first.

    Examples
    --------
    >>> components([(3, 1), (1, 4)], 5)
    [(0,), (1, 3, 4), (2,)]
    """
    parent = list(range(count))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for i, j in pairs:
        a, b = root(i), root(j)
        parent[max(a, b)] = min(a, b)
    groups: dict[int, list[int]] = {}
    for i in range(count):
        groups.setdefault(root(i), []).append(i)
    return [tuple(group) for group in groups.values()]


def _read(entry: Entry, image: NDArray[np.uint8] | None) -> Read:
    """Return what tells equal files, and the view."""
    if image is not None:
        pixels = read_image(image)
        return _digest(repr(pixels.shape).encode() + pixels.tobytes()), _view(pixels)
    data = read_bytes(entry.location)
    try:
        return _digest(data), _view(read_image(data))
    except Invalid as error:
        raise Invalid(f"{entry.location}: {error}") from None


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


def _in_order(read: Callable[[int], Read | None], count: int, threads: int) -> Iterator[Read | None]:
    """Yield the results in order; only a few are ever waiting, so that memory stays small."""
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[Read | None]] = deque()
        try:
            for position in range(count):
                waiting.append(pool.submit(read, position))
                if len(waiting) > 2 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


# The small view of an image


def _averaging(length: int) -> Floats:
    """Return the (SIDE, length) matrix that averages pixels over SIDE equal stretches."""
    edges = np.arange(SIDE + 1) * (length / SIDE)
    pixel = np.arange(length)
    shared = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    weights = np.clip(shared, 0.0, None)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


def _blurring(sigma: float) -> Floats:
    position = np.arange(SIDE)
    weights = np.exp(-0.5 * ((position[:, None] - position) / sigma) ** 2)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


_FINE, _AROUND, _BROAD = _blurring(1.5), _blurring(3.0), _blurring(4.0)


def _small_grey(image: NDArray[np.uint8]) -> Floats:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise Invalid(f"An image is (H, W, 3) uint8; {image.shape} {image.dtype} was given.")
    rows, columns = _averaging(image.shape[0]), _averaging(image.shape[1])
    small = rows @ image.astype(np.float32).reshape(image.shape[0], -1)
    rgb = columns @ small.reshape(SIDE, image.shape[1], 3)
    return np.asarray(rgb @ np.array([0.299, 0.587, 0.114], np.float32), np.float32)


def _view(image: NDArray[np.uint8]) -> Floats:
    """Return the detail of the image: without noise, without the light, with deviation 1; zeros if it is flat.

    Strong edges are what parts in one pose share, and weak texture is what they do not: so each place counts by
    how its detail runs, hardly by how strong it is.
    """
    grey = _small_grey(image)
    detail = _FINE @ grey @ _FINE.T - _BROAD @ grey @ _BROAD.T
    deviation = float(detail.std())
    if deviation < 0.05:
        return np.zeros((SIDE, SIDE), np.float32)
    strength = np.sqrt(np.maximum(_AROUND @ detail**2 @ _AROUND.T, 0.0))
    even = detail / (strength + 0.2 * deviation)
    even -= even.mean()
    return np.asarray(even / even.std(), np.float32)


# Which images are worth comparing


def _similar_pairs(views: NDArray[np.float16]) -> list[Pair]:
    if len(views) < 2:
        return []
    _register(views)
    neighbours = _neighbours(_descriptors(views), NEIGHBOURS)
    loss, typical = _compare(views, neighbours)
    pairs = []
    for i, row in enumerate(neighbours):
        for j, unexplained in zip(row.tolist(), loss[i].tolist(), strict=True):
            limit = max(EQUAL, min(SAME, RELATIVE * min(typical[i], typical[j])))
            if unexplained < limit:
                pairs.append((min(i, j), max(i, j)))
    return pairs


def _register(views: NDArray[np.float16]) -> None:
    """Move each image, in place, onto the mean of all where that makes sense: one pose under a fixed camera.

    Else a cropped copy would look most like all other cropped images of the set.
    """
    if len(views) <= 2 * FEW:
        return
    mean = np.asarray(views.mean(axis=0, dtype=np.float32), np.float32)
    for start in range(0, len(views), AT_ONCE):
        block = views[start : start + AT_ONCE].astype(np.float32)
        unexplained, moved = _aligned(block, np.broadcast_to(mean, block.shape))
        alike = unexplained < COMMON
        views[start : start + AT_ONCE][alike] = moved[alike]


def _descriptors(views: NDArray[np.float16]) -> Floats:
    """Return (n, d) unit vectors of what is special to each image of the set.

    What all share, and how it changes when the camera moves a little, is taken out first: else a shifted copy
    would look most like all other shifted images.
    """
    half = SIDE // 2
    small = np.empty((len(views), half, half), np.float32)
    for start in range(0, len(views), 512):
        block = views[start : start + 512].astype(np.float32)
        small[start : start + 512] = block.reshape(-1, half, 2, half, 2).mean(axis=(2, 4))
    inner = slice(MARGIN // 2, half - MARGIN // 2)
    mean = small.mean(axis=0)
    shared = _moves(mean)[:, inner, inner].reshape(6, -1).T
    basis = _orthonormal(shared)
    flat = np.ascontiguousarray(small[:, inner, inner]).reshape(len(views), -1)
    # With few images the mean is made of the copies themselves: taking it out would tear them apart.
    if len(views) > 2 * FEW:
        flat -= (flat @ basis) @ basis.T
    flat -= flat.mean(axis=1, keepdims=True)
    return np.asarray(flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6), np.float32)


def _neighbours(descriptors: Floats, count: int) -> NDArray[np.intp]:
    """Return (n, k) positions of the nearest others of each, blockwise: never an (n, n) array."""
    n = len(descriptors)
    k = min(count, n - 1)
    nearest = np.empty((n, k), np.intp)
    for start in range(0, n, 512):
        alike = descriptors[start : start + 512] @ descriptors.T
        rows = np.arange(len(alike))
        alike[rows, start + rows] = -np.inf
        nearest[start : start + 512] = np.argpartition(-alike, k - 1, axis=1)[:, :k]
    return nearest


# How much of one image another explains


def _moves(views: Floats) -> Floats:
    """Return (..., 6, h, w): the image and how it changes by light, by a shift and by a zoom along each axis."""
    by_row: Floats = np.gradient(views, axis=-2)
    by_column: Floats = np.gradient(views, axis=-1)
    axis = np.linspace(-1, 1, views.shape[-1], dtype=np.float32)
    parts = [views, np.ones_like(views), by_column, by_column * axis, by_row, by_row * axis[:, None]]
    return np.asarray(np.stack(parts, axis=-3), np.float32)


def _inner(view: Floats) -> Floats:
    return view[..., MARGIN:-MARGIN, MARGIN:-MARGIN].reshape(*view.shape[:-2], -1)


def _orthonormal(columns: Floats) -> Floats:
    """Return an orthonormal basis of the columns of (..., n, 6) matrices."""
    return np.asarray(np.linalg.qr(columns).Q, np.float32)


def _compare(views: NDArray[np.float16], neighbours: NDArray[np.intp]) -> tuple[Floats, Floats]:
    """Return (n, k) what each image leaves unexplained of its neighbours, and (n,) how much that usually is."""
    loss = np.empty(neighbours.shape, np.float32)
    for start in range(0, len(views), AT_ONCE):
        rows = slice(start, start + AT_ONCE)
        near = neighbours[rows]
        basis = _orthonormal(_inner(_moves(views[rows].astype(np.float32))).swapaxes(1, 2))
        for number, row in enumerate(near):
            loss[start + number] = _unexplained(basis[number], _inner(views[row].astype(np.float32)))
        # The first order tells copies from the rest; how well a copy fits needs the real shift.
        closest = np.argsort(loss[rows], axis=1, kind="stable")[:, :CLOSEST]
        worth = np.take_along_axis(loss[rows], closest, axis=1) < 3 * SAME
        image: NDArray[np.intp] = np.nonzero(worth)[0]
        place = closest[worth]
        for first in range(0, len(image), AT_ONCE):
            i, j = image[first : first + AT_ONCE], place[first : first + AT_ONCE]
            unexplained, _ = _aligned(views[rows][i].astype(np.float32), views[near[i, j]].astype(np.float32))
            loss[rows][i, j] = np.minimum(loss[rows][i, j], unexplained)
    if neighbours.shape[1] < FEW:
        return loss, np.full(len(views), ALONE / RELATIVE, np.float32)
    # In a small set the farther neighbours lie otherwise altogether, and say nothing of parts that lie alike.
    rank = min(neighbours.shape[1] // 2, max(len(views) // 4, FEW - 1))
    return loss, np.asarray(np.sort(loss, axis=1)[:, rank], np.float32)


def _unexplained(basis: Floats, targets: Floats) -> Floats:
    """Return the root of the share of each target's variance that the basis does not explain, 0 to 1."""
    centred = targets - targets.mean(axis=1, keepdims=True)
    rest = centred - (centred @ basis) @ basis.T
    return np.asarray(np.linalg.norm(rest, axis=1) / np.maximum(np.linalg.norm(centred, axis=1), 1e-6), np.float32)


def _aligned(views: Floats, targets: Floats, steps: int = 4) -> tuple[Floats, Floats]:
    """Move and zoom images onto others by Gauss-Newton, (n, h, w) each, pair by pair.

    Returns (n,) what each leaves unexplained, 0 to 1, and the (n, h, w) moved images. The alignment may shift and zoom
    by up to a tenth; beyond it the two are not taken for copies.
    """
    wanted = _inner(targets)
    wanted = wanted - wanted.mean(axis=1, keepdims=True)
    half = (SIDE - 1) / 2
    unit = np.array([1.0, half, 1.0, half])
    places = np.zeros((len(views), 4))
    best, results = np.ones(len(views), np.float32), views.copy()
    going = np.arange(len(views))
    for _ in range(steps):
        place, aim = places[going], wanted[going]
        down, across = _sampling(place[:, 2], place[:, 3]), _sampling(place[:, 0], place[:, 1])
        moved = np.asarray(down @ views[going] @ across.swapaxes(1, 2), np.float32)
        rows = _inner(_moves(moved))
        here = rows[:, 0] - rows[:, 0].mean(axis=1, keepdims=True)
        alike = _dot(here, aim) / (np.sqrt(_dot(here, here) * _dot(aim, aim)) + 1e-6)
        unexplained = np.sqrt(np.maximum(0.0, 1.0 - np.maximum(alike, 0.0) ** 2))
        better = unexplained < best[going]
        best[going[better]], results[going[better]] = unexplained[better], moved[better]
        normal = rows @ rows.swapaxes(1, 2) + np.eye(6, dtype=np.float32) * (1e-4 * wanted.shape[1])
        found = np.linalg.solve(normal, rows @ aim[..., None])[..., 0]
        gain = found[:, 0]
        useful = gain >= 0.1
        going, place = going[useful], place[useful] + found[useful, 2:] / gain[useful, None] / unit
        places[going] = place
        near = (np.abs(place[:, ::2]).max(axis=1) <= SIDE / 10) & (np.abs(place[:, 1::2]).max(axis=1) <= 0.1)
        going = going[near]
        if not len(going):
            break
    return best, results


def _dot(one: Floats, two: Floats) -> Floats:
    return np.asarray(np.einsum("ni,ni->n", one, two), np.float32)


def _sampling(shift: NDArray[np.float64], zoom: NDArray[np.float64]) -> Floats:
    """Return the (n, SIDE, SIDE) matrices that sample a row at shifted and zoomed places, by cubic interpolation."""
    centre = (SIDE - 1) / 2
    along = np.arange(SIDE)
    at = np.clip((along - centre) * (1 + zoom[:, None]) + shift[:, None] + centre, 0, SIDE - 1)
    first = np.floor(at).astype(np.intp)
    weights = np.zeros((len(at), SIDE, SIDE), np.float32)
    image, row = np.arange(len(at))[:, None], along[None]
    for step in (-1, 0, 1, 2):  # the four pixels around each place; those beyond the border weigh nothing
        pixel = first + step
        distance = np.abs(at - pixel)
        near = 1.5 * distance**3 - 2.5 * distance**2 + 1
        far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
        weight = np.where(distance < 1, near, np.where(distance < 2, far, 0.0))
        inside = (pixel >= 0) & (pixel < SIDE)
        weights[image, row, np.clip(pixel, 0, SIDE - 1)] += np.where(inside, weight, 0.0).astype(np.float32)
    return np.asarray(weights / weights.sum(axis=2, keepdims=True), np.float32)
