"""A manifest that is being worked on, in a file of its own: each change is on the disk, whole, before it counts."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from vision_toolkit.core.entry import Entry
from vision_toolkit.core.errors import Conflict, Failed, Invalid, NotFound
from vision_toolkit.data.manifest import Manifest
from vision_toolkit.data.storage import is_local, local_path

__all__ = ["WorkingCopy"]


class WorkingCopy:
    """Keep a manifest and what is changed in it, the changed one in a file; the given one is never touched.

    Made again with the same file, it goes on where it was: entries of the file come before those of the manifest.

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
        if the file is the one that the manifest was read from, so it seems, or holds none of its images.
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
        self._manifest = manifest
        self._changes: dict[str, Entry] = {}  # by source: what is no longer as it was given
        self._mine = False
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

        self._manifest = self._manifest.edit(as_kept)
        self._changes = {entry.source: entry for entry in self._manifest if self._given[entry.source] != entry}
        self._mine = True
        if self._manifest.origin == path or (self._manifest.origin is None and not self.changed):
            why = "is" if self._manifest.origin == path else "says what the given manifest says, so it may be"
            raise Conflict(f"{path} {why} the file that was given, which is never touched. Name another file.")

    @property
    def manifest(self) -> Manifest:
        """Return the manifest as it is now."""
        return self._manifest

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
        self.entry(entry.source)
        changed = self._manifest.edit(lambda one: entry if one.source == entry.source else one)
        if self.path is not None:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise Failed(f"{self.path.parent} cannot be made: {error.strerror or error}.") from error
            changed.write(self.path, overwrite=self._mine, relocate=True)
            self._mine = True
        self._manifest = changed
        self._changes[entry.source] = entry
        if self._given[entry.source] == entry:
            del self._changes[entry.source]


def _place(entry: Entry) -> str:
    """Return where an image lies, spelled in one way."""
    return os.path.abspath(local_path(entry.location)) if is_local(entry.location) else entry.location
