"""A manifest that is being worked on, in a file of its own: each change is on the disk, whole, before it counts."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from vision_toolkit.core.entry import Entry
from vision_toolkit.core.errors import Conflict, Failed, Invalid, NotFound
from vision_toolkit.data.jsonlines import write_line
from vision_toolkit.data.manifest import Manifest
from vision_toolkit.data.placing import placed_below
from vision_toolkit.data.storage import is_inline, is_local, local_path, write_file

__all__ = ["WorkingCopy"]


class WorkingCopy:
    """Keep a manifest and what is changed in it, the changed one in a file; the given one is never touched.

    Made again with the same file, it goes on where it was: entries of the file come before those of the manifest.
    Several may work on one copy; ``watchers`` are functions that are told the source of each entry that changed.

    Parameters
    ----------
    manifest
        to work on; each source once.
    file
        where the changed manifest goes, made with the first change. A file that is there must be a manifest of these
        images. None keeps changes in memory only.

    Raises
    ------
    Conflict
        if the file is the one that the manifest was read from, so it seems; or if it holds none of its images,
        or others too, which would be lost.
    Invalid
        if two entries are of one source.

    Examples
    --------
    >>> copy = WorkingCopy(Manifest([Entry("1.png"), Entry("2.png")]))
    >>> copy.put(copy.entry("2.png").relabelled("anomaly"))
    >>> copy.manifest, copy.changed
    (Manifest(2 images: 1 anomaly, 1 unlabelled), ('2.png',))
    """

    def __init__(self, manifest: Manifest, file: str | os.PathLike[str] | None = None) -> None:
        self.path: Path | None = None if file is None else local_path(file).absolute()
        self._given = {entry.source: entry for entry in manifest}
        if len(self._given) < len(manifest):
            raise Invalid("Each image is to be in the manifest once; `manifest.check()` tells which is there twice.")
        self.given = manifest
        self.watchers: list[Callable[[str], None]] = []
        self._now: Manifest | None = manifest  # None: to be made, of what was given and what changed
        self._changes: dict[str, Entry] = {}  # by source: what is no longer as it was given
        self._mine = False
        self._lines: list[bytes] = []  # of the file, once it was written
        self._places: dict[str, int] = {}  # by source: which line is its own
        if self.path is not None and self.path.exists():
            self._go_on(self.path)

    def _go_on(self, path: Path) -> None:
        kept = Manifest.read(path)
        # A source may be spelled anew in the file, as it is found from its folder.
        places = {_place(entry): source for source, entry in self._given.items()}
        found = {
            source: entry
            for entry in kept
            if (source := entry.source if entry.source in self._given else places.get(_place(entry))) is not None
        }
        if not found:
            raise Conflict(f"{path} is no manifest of these images; it was left as it is. Name another file.")

        def as_kept(entry: Entry) -> Entry:
            mine = found.get(entry.source, entry)
            return replace(entry, label=mine.label, tags=mine.tags, regions=mine.regions, mask=mine.mask)

        now = self.given.edit(as_kept)
        self._changes = {entry.source: entry for entry in now if self._given[entry.source] != entry}
        self._now, self._mine = now, True
        if now.origin == path or (now.origin is None and not self.changed):
            why = "is" if now.origin == path else "says what the given manifest says, so it may be"
            raise Conflict(f"{path} {why} the file that was given, which is never touched. Name another file.")
        lost = [entry.source for entry in kept if entry.source not in found and _place(entry) not in places]
        if lost:
            raise Conflict(
                f"{path} has {len(lost):,} images that were not given, {lost[0]!r} for one, and they would be lost. "
                "Give the manifest that it was begun with, or name another file."
            )

    @property
    def manifest(self) -> Manifest:
        """Return the manifest as it is now."""
        if self._now is None:
            self._now = self.given.edit(lambda entry: self._changes.get(entry.source, entry))
        return self._now

    @property
    def changed(self) -> tuple[str, ...]:
        """Return the sources of the entries that are no longer as they were given."""
        return tuple(source for source in self._given if source in self._changes)

    def entry(self, source: str) -> Entry:
        """Return an entry as it is now.

        Raises
        ------
        NotFound
            if there is none of this source.
        """
        if source not in self._given:
            raise NotFound(f"There is no image {source!r} in the manifest.")
        return self._changes.get(source, self._given[source])

    def put(self, entry: Entry) -> None:
        """Replace the entry of the same source; it is on the disk when this returns.

        Raises
        ------
        NotFound
            if there is none of this source.
        Failed
            if the disk refuses; the change does not count then.
        """
        before = self.entry(entry.source)
        self._set(entry)
        try:
            if self.path is not None:
                self._write(self.path, entry)
        except BaseException:
            self._set(before)
            raise
        self.told(entry.source)

    def told(self, source: str) -> None:
        """Tell those who watch that an entry, or a file that it names, has changed."""
        for watcher in self.watchers:
            watcher(source)

    def _set(self, entry: Entry) -> None:
        self._changes[entry.source] = entry
        if self._given[entry.source] == entry:
            del self._changes[entry.source]
        self._now = None

    def _write(self, path: Path, entry: Entry) -> None:
        """Write the file, whole; of its lines only that of one entry is made anew, if they are known."""
        if self._lines and not (entry.mask is not None and is_inline(entry.mask.uri)):
            line = write_line(placed_below(entry, path.parent, relocate=True)).encode("utf-8", "surrogateescape")
            lines = list(self._lines)
            lines[self._places[entry.source]] = line
            write_file(path, b"\n".join(lines), overwrite=True)
            self._lines = lines
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Failed(f"{path.parent} cannot be made: {error.strerror or error}.") from error
        self.manifest.write(path, overwrite=self._mine, relocate=True)
        self._mine = True
        self._lines = path.read_bytes().split(b"\n")
        there = enumerate(self.manifest.lines())
        self._places = {line.source: place for place, line in there if isinstance(line, Entry)}


def _place(entry: Entry) -> str:
    """Return where an image lies, spelled in one way."""
    return os.path.abspath(local_path(entry.location)) if is_local(entry.location) else entry.location
