"""Run the feature extractor over the images of a manifest, once: what it said of an image is kept on disk.

A second training of the same images, with other labels or options, or one that was killed, computes nothing again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from vision_toolkit.core.entry import Entry
from vision_toolkit.core.errors import Invalid, VisionError
from vision_toolkit.data.images import read_image
from vision_toolkit.data.storage import is_local, local_path
from vision_toolkit.models.arrays import Arrays, pack_arrays, unpack_arrays
from vision_toolkit.models.builder import extractor
from vision_toolkit.models.graph import LEVELS
from vision_toolkit.models.runtime import PIXELS_AT_ONCE, resize, session
from vision_toolkit.models.view import View

__all__ = ["Features", "batches", "compute_features", "digest", "identify", "keep", "read_ahead", "recall", "trim"]

HELD = 1_000_000_000
"""Bytes of features that are held in memory; of more images the rest is read from disk whenever it is needed."""
MOST_KEPT = 4_000_000_000
"""Bytes that the cache may have; what was not used for longest goes first."""

T = TypeVar("T")
U = TypeVar("U")


@dataclass(slots=True, eq=False)
class Features:
    """Hold what the extractor says of n images at one size; parts are read when they are asked for.

    ``levels`` names the levels that have patches; ``vectors`` (n, v) float32; ``sizes`` (width, height) of each image
    in pixels; ``keys`` what each image's features are kept under.
    """

    levels: tuple[str, ...]
    vectors: NDArray[np.float32]
    sizes: tuple[tuple[int, int], ...]
    keys: tuple[str, ...]
    files: tuple[Path, ...]
    scratch: tempfile.TemporaryDirectory[str] | None = None  # lives as long as the files in it
    held: dict[int, Arrays] = field(default_factory=dict)
    room: int = HELD

    def of(self, position: int) -> Arrays:
        """Return the parts of one image: each level (gh, gw, c) and, where it was wanted, ``fine``; float16."""
        found = self.held.get(position)
        if found is None:
            data = self.files[position].read_bytes()
            found = unpack_arrays(data)
            if len(data) <= self.room:
                self.room -= len(data)
                self.held[position] = found
        return found

    def level(self, name: str) -> Callable[[int], NDArray[np.float32]]:
        """Return a function that gives one level of an image as float32."""
        return lambda position: np.asarray(self.of(position)[name], np.float32)


def compute_features(
    entries: Sequence[Entry],
    graph: bytes,
    view: View,
    *,
    identities: Sequence[str],
    fine: bool,
    threads: int,
    cache: Path,
    step: Callable[[float], None] = lambda share: None,
) -> Features:
    """Compute the features of each image at one size; the images are decoded ahead of the network.

    ``identities`` of the images, as :func:`identify` gives them, say whether theirs are known already.

    Raises
    ------
    Invalid
        if images cannot be read: it names the first ten and how many they are.
    """
    graph = extractor(graph, view)
    made = hashlib.sha256(graph + f"{view} {fine}".encode()).hexdigest()
    keys = tuple(digest(made, identity) for identity in identities)
    folder, scratch = _folder(cache)
    files = tuple(folder / f"{key}.safetensors" for key in keys)
    wanted = [place for place, file in enumerate(files) if not _is_there(file)]
    network = session(graph, threads)
    outputs = [output.name for output in network.get_outputs()]
    levels = tuple(name for name in LEVELS if name in outputs)
    names = [*levels, "vector", *(["fine"] if fine else [])]
    failed: list[str] = []

    def load(place: int) -> tuple[int, NDArray[np.uint8], tuple[int, int]]:
        try:
            image = read_image(entries[place])
        except VisionError as error:
            failed.append(str(error))
            return place, np.zeros((view.height, view.width, 3), np.uint8), (0, 0)
        return place, resize(image, view.width, view.height), (image.shape[1], image.shape[0])

    done = len(entries) - len(wanted)
    step(done / len(entries))
    for batch in batches(read_ahead(load, wanted, threads=threads), max(1, min(8, PIXELS_AT_ONCE // view.pixels))):
        said = network.run(names, {"image": np.stack([image for _, image, _ in batch])})
        for (place, _, size), *parts in zip(batch, *said, strict=True):
            arrays = {name: np.asarray(part, np.float16) for name, part in zip(names, parts, strict=True)}
            arrays["vector"] = np.asarray(parts[names.index("vector")], np.float32)
            if size != (0, 0):
                _write(files[place], pack_arrays(arrays | {"size": np.array(size, np.int64)}))
        done += len(batch)
        step(done / len(entries))
    if failed:
        shown = "\n  ".join(sorted(failed)[:10])
        raise Invalid(f"{len(failed)} of {len(entries)} images cannot be used:\n  {shown}")
    vectors, sizes = [], []
    features = Features(levels, np.empty((0, 0), np.float32), (), keys, files, scratch)
    for place in range(len(entries)):
        found = features.of(place)
        vectors.append(found["vector"].copy())  # the array itself is a view that keeps all of the image's features
        sizes.append((int(found["size"][0]), int(found["size"][1])))
    features.vectors, features.sizes = np.stack(vectors), tuple(sizes)
    return features


def identify(entries: Sequence[Entry]) -> tuple[str, ...]:
    """Return what tells each image from others: the file as it is now, or its pixels where it is no file here."""
    return tuple(_identity(entry) for entry in entries)


def _identity(entry: Entry) -> str:
    if is_local(entry.location):
        with contextlib.suppress(OSError):
            path = local_path(entry.location).absolute()
            facts = os.stat(path)
            return f"{path} {facts.st_size} {facts.st_mtime_ns}"
    with contextlib.suppress(VisionError):  # told with all the others when the images are read
        return hashlib.sha256(np.ascontiguousarray(read_image(entry)).tobytes()).hexdigest()
    return entry.location


def _folder(cache: Path) -> tuple[Path, tempfile.TemporaryDirectory[str] | None]:
    """Return the cache's folder, or one that goes with the features where the cache cannot be written."""
    folder = cache / "features"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder, None
    except OSError:
        scratch = tempfile.TemporaryDirectory(prefix="vision_toolkit-")
        return Path(scratch.name), scratch


def _is_there(file: Path) -> bool:
    """Say whether features are kept, whole; they count as used now."""
    try:
        os.utime(file)
        with file.open("rb") as opened:
            size = file.stat().st_size
            length = int.from_bytes(opened.read(8), "little")
            facts = json.loads(opened.read(min(length, size)))  # a spoiled length may be more than memory has
        end = max(int(fact["data_offsets"][1]) for fact in facts.values())
        return size == 8 + length + end
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _write(file: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=".part-")
    with os.fdopen(handle, "wb") as out:
        out.write(data)
    os.replace(name, file)


def keep(cache: Path, key: str, arrays: Arrays) -> None:
    """Keep arrays that cost time under a key; where the cache cannot be written, nothing is kept."""
    with contextlib.suppress(OSError):
        folder = cache / "features"
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / f"{key}.safetensors", pack_arrays(arrays))


def recall(cache: Path, key: str) -> Arrays | None:
    """Return arrays that were kept under a key, or None."""
    file = cache / "features" / f"{key}.safetensors"
    try:
        os.utime(file)
        return unpack_arrays(file.read_bytes())
    except (OSError, ValueError):
        return None


def trim(cache: Path, *, most: int = MOST_KEPT) -> None:
    """Remove what was not used for longest, until the cache has at most so many bytes."""
    facts: list[tuple[float, int, Path]] = []
    for file in (cache / "features").glob("*"):
        with contextlib.suppress(OSError):
            found = file.stat()
            if not file.name.startswith(".part-"):
                facts.append((found.st_mtime, found.st_size, file))
            elif time.time() - found.st_mtime > 3600:  # left by one who was killed
                file.unlink()
    total = sum(size for _, size, _ in facts)
    for _, size, file in sorted(facts):
        if total <= most:
            return
        with contextlib.suppress(OSError):
            file.unlink()
            total -= size


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


def digest(*parts: Any) -> str:
    """Return a key that follows from what is given."""
    said = hashlib.sha256()
    for part in parts:
        said.update(part.tobytes() if isinstance(part, np.ndarray) else repr(part).encode())
    return said.hexdigest()[:40]
