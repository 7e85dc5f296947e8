"""Run the backbone over the images of a manifest, once."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from vision_toolkit.core.entry import Entry
from vision_toolkit.core.errors import Invalid, VisionError
from vision_toolkit.data.images import read_image
from vision_toolkit.models.runtime import resize, session

__all__ = ["Features", "batches", "compute_features", "read_ahead"]

IN_MEMORY = 1_500_000_000
"""Bytes of patch features that are kept in memory; more go to a temporary file as float16."""

T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True, slots=True)
class Features:
    """Hold what the backbone says of n images.

    ``patches`` (n, gh, gw, c), ``vectors`` (n, v), ``fine`` (n, fh, fw, f) or None: float32, or float16 on disk.
    ``sizes`` holds (width, height) of each image in pixels.
    """

    patches: NDArray[np.floating]
    vectors: NDArray[np.float32]
    fine: NDArray[np.floating] | None
    sizes: tuple[tuple[int, int], ...]
    scratch: tempfile.TemporaryDirectory[str] | None = None  # lives as long as the arrays in it


def compute_features(
    entries: Sequence[Entry],
    graph: bytes,
    *,
    height: int,
    width: int,
    fine: bool,
    threads: int,
    step: Callable[[float], None] = lambda share: None,
) -> Features:
    """Compute the features of each image; the images are decoded ahead of the network.

    Raises
    ------
    Invalid
        if images cannot be read: it names the first ten and how many they are.
    """
    network = session(graph, threads)
    failed: list[str] = []

    def load(entry: Entry) -> tuple[NDArray[np.uint8], tuple[int, int]]:
        try:
            image = read_image(entry)
        except VisionError as error:
            failed.append(str(error))
            return np.zeros((height, width, 3), np.uint8), (0, 0)
        return resize(image, width, height), (image.shape[1], image.shape[0])

    stores: list[NDArray[Any]] = []
    vectors: list[NDArray[np.float32]] = []
    sizes: list[tuple[int, int]] = []
    scratch: tempfile.TemporaryDirectory[str] | None = None
    done = 0
    for batch in batches(read_ahead(load, entries, threads=threads), 8):
        images = np.stack([image for image, _ in batch])
        patches, vector, level = network.run(["patches", "vector", "fine"], {"image": images})
        wanted = [patches, level] if fine else [patches]
        if not stores:
            total = sum(part.nbytes for part in wanted) // len(batch) * len(entries)
            scratch = tempfile.TemporaryDirectory(prefix="vision_toolkit-") if total > IN_MEMORY else None
            stores = [_store(len(entries), part, scratch, i) for i, part in enumerate(wanted)]
        for store, part in zip(stores, wanted, strict=True):
            store[done : done + len(batch)] = part
        vectors.append(vector)
        sizes += [size for _, size in batch]
        done += len(batch)
        step(done / len(entries))
    if failed:
        shown = "\n  ".join(sorted(failed)[:10])
        raise Invalid(f"{len(failed)} of {len(entries)} images cannot be used:\n  {shown}")
    return Features(stores[0], np.concatenate(vectors), stores[1] if fine else None, tuple(sizes), scratch)


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield lists of up to ``size`` items."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def read_ahead(load: Callable[[T], U], items: Iterable[T], *, threads: int, ahead: int = 16) -> Iterator[U]:
    """Yield ``load(item)`` in order, with up to ``ahead`` items loaded before they are asked for."""
    iterator = iter(items)
    with ThreadPoolExecutor(max(1, threads)) as pool:
        waiting = [pool.submit(load, item) for item in islice(iterator, ahead)]
        try:
            while waiting:
                result = waiting.pop(0).result()
                waiting += [pool.submit(load, item) for item in islice(iterator, 1)]
                yield result
        finally:
            for future in waiting:
                future.cancel()


def _store(
    count: int, example: NDArray[np.float32], scratch: tempfile.TemporaryDirectory[str] | None, number: int
) -> NDArray[Any]:
    shape = (count, *example.shape[1:])
    if scratch is None:
        return np.empty(shape, np.float32)
    return np.memmap(Path(scratch.name, f"{number}.bin"), np.float16, "w+", shape=shape)
