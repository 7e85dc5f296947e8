"""What is in a data set, in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Any

from vision_toolkit.app.saying import first
from vision_toolkit.core.entry import Entry
from vision_toolkit.core.errors import VisionError
from vision_toolkit.core.settings import Settings
from vision_toolkit.data.storage import is_inline, is_local, local_path

if TYPE_CHECKING:
    from vision_toolkit.data.images import ImageFacts
    from vision_toolkit.data.manifest import Manifest

__all__ = ["statistics", "told"]


def statistics(
    manifest: Manifest,
    *,
    look: bool = True,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Count what a manifest holds, as plain values for JSON; nothing is fetched over a network.

    Parameters
    ----------
    manifest
        of any format.
    look
        read the headers of images and the masks that are on this machine.
    threads
        how many files are looked at at once; None = as many as this process may use.
    progress
        called with how many images were looked at, and how many there are.

    Returns
    -------
    dict
        ``counts``; ``types`` with the ``images`` whose colour map names each, those ``measured``, and the
        ``mean_area`` of the type where it is painted, from 0 to 1 (None where it is not); ``tags`` and ``regions`` by
        name; ``sizes``, ``formats``; ``images``: how many are here, away, missing, unreadable; ``places`` by bucket or
        folder; ``dates``: first, last and undated; ``repeated``: sources on several lines.

    Examples
    --------
    >>> from vision_toolkit.data import Manifest
    >>> facts = statistics(Manifest([Entry("a/1.png"), Entry("a/1.png")]))
    >>> facts["places"], facts["repeated"], facts["images"]["missing"]
    ({'a': 2}, {'a/1.png': 2}, 2)
    """
    from vision_toolkit.data.dates import created

    dates = [date for date in map(created, manifest) if date is not None]
    painted, facts = _looked(manifest, look=look, threads=threads, progress=progress)
    named = Counter(name for entry in manifest for name in entry.types)
    types = {
        name: {
            "images": count,
            "measured": len(painted.get(name, ())),
            "mean_area": sum(painted[name]) / len(painted[name]) if painted.get(name) else None,
        }
        for name, count in named.items()
    }
    repeated = Counter(entry.source for entry in manifest)
    return {
        "counts": manifest.counts(),
        "types": types,
        "tags": _ranked(tag.name for entry in manifest for tag in entry.tags),
        "regions": _ranked(region.name for entry in manifest for region in entry.regions),
        **facts,
        "places": _ranked(entry.source.rpartition("/")[0] or "." for entry in manifest),
        "dates": {
            "first": min(dates).isoformat() if dates else None,
            "last": max(dates).isoformat() if dates else None,
            "undated": len(manifest) - len(dates),
        },
        "repeated": {source: n for source, n in repeated.items() if n > 1},
    }


def _ranked(names: Iterable[str]) -> dict[str, int]:
    return dict(Counter(names).most_common())


def _looked(
    manifest: Manifest, *, look: bool, threads: int | None, progress: Callable[[int, int], None] | None
) -> tuple[dict[str, list[float]], dict[str, Any]]:
    """Return the shares of each type where it is painted, and what the files say of themselves."""
    painted: dict[str, list[float]] = {}
    sizes: Counter[str] = Counter()
    formats: Counter[str] = Counter()
    states: Counter[str] = Counter(dict.fromkeys(("here", "away", "missing", "unreadable"), 0))
    if not look:
        return painted, {"sizes": {}, "formats": {}, "images": {}}
    with ThreadPoolExecutor(Settings(threads=threads).usable_threads()) as pool:
        entries = iter(manifest)
        done = 0
        while batch := list(islice(entries, 64)):  # a few at a time: an interruption waits for no more than these
            for state, header, areas in pool.map(_seen, batch):
                done += 1
                states[state] += 1
                if header is not None:
                    sizes[f"{header.width}x{header.height}"] += 1
                    formats[header.format] += 1
                for name, area in areas.items():
                    painted.setdefault(name, []).append(area)
            if progress is not None:
                progress(done, len(manifest))
    files = {"sizes": dict(sizes.most_common()), "formats": dict(formats.most_common()), "images": dict(states)}
    return painted, files


def _seen(entry: Entry) -> tuple[str, ImageFacts | None, dict[str, float]]:
    from vision_toolkit.data.images import probe

    areas = _areas(entry)
    if not _is_here(entry.location):
        return ("missing" if is_local(entry.location) else "away"), None, areas
    try:
        return "here", probe(entry), areas
    except VisionError:
        return "unreadable", None, areas


def _areas(entry: Entry) -> dict[str, float]:
    """Return the share of each type that is painted; nothing where the mask is away or cannot be read."""
    from vision_toolkit.data.images import read_mask

    if entry.mask is None or not entry.mask.colours or not _is_here(entry.mask.location):
        return {}
    try:
        mask = read_mask(entry.mask)
        shares = mask.areas()
        return {name: shares[name] for name in mask.types}
    except VisionError:
        return {}


def _is_here(place: str) -> bool:
    return is_inline(place) or (is_local(place) and local_path(place).is_file())


def told(facts: Mapping[str, Any], *, most: int | None) -> Iterator[str]:
    """Yield :func:`statistics` in lines for people, at most so many of each kind."""
    types = {
        name: f"in {one['images']:,} images"
        + (f", mean area {100 * one['mean_area']:.2f} %" if one["measured"] else "")
        for name, one in facts["types"].items()
    }
    yield from _section("types", types, most)
    for what in ("tags", "regions", "sizes", "formats"):
        yield from _section(what, facts[what], most)
    yield from _section("images", {state: n for state, n in facts["images"].items() if n}, most)
    yield from _section("places", facts["places"], most)
    dates = facts["dates"]
    if dates["first"]:
        undated = f", {dates['undated']:,} without a date" if dates["undated"] else ""
        yield f"dates: {dates['first']} to {dates['last']}{undated}"
    yield from _section("on several lines", facts["repeated"], most)


def _section(title: str, rows: Mapping[str, Any], most: int | None) -> Iterator[str]:
    if not rows:
        return
    yield f"{title}:"
    lines = [f"{name}: {f'{value:,}' if isinstance(value, int) else value}" for name, value in rows.items()]
    yield from (f"  {line}" for line in first(lines, most))
