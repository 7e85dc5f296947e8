"""An immutable sequence of entries, read from and written to JSON Lines without loss."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from vision_toolkit.core.entry import Entry, Finding, Label
from vision_toolkit.core.errors import Invalid, NotFound
from vision_toolkit.data.images import SUFFIXES
from vision_toolkit.data.jsonlines import read_line, write_line
from vision_toolkit.data.locate import Images, locator
from vision_toolkit.data.storage import is_local, local_path, read_bytes, write_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

__all__ = ["Manifest"]


class Manifest(Sequence[Entry]):
    """Hold entries in order; every change makes a new manifest.

    Lines that could not be read are no entries, but they are kept in their place and written back; so are blank
    lines, carriage returns, a byte order mark and a missing last newline.

    Parameters
    ----------
    entries
        one :class:`~vision_toolkit.core.Entry` an image.
    name
        what to call it in words; by default "manifest".

    Examples
    --------
    >>> m = Manifest([Entry("1.png", Label.NORMAL), Entry("2.png", Label.ANOMALY)])
    >>> m
    Manifest(2 images: 1 normal, 1 anomaly)
    >>> m[0].source, len(m[:1])
    ('1.png', 1)
    """

    def __init__(self, entries: Iterable[Entry] = (), *, name: str = "manifest") -> None:
        self._entries: tuple[Entry, ...] = tuple(entries)
        self._strays: tuple[tuple[int, str], ...] = ()
        self._final_newline = True
        self.name = name
        for entry in self._entries:
            if not isinstance(entry, Entry):
                raise Invalid(f"A manifest holds Entry values; {type(entry).__name__} was given.")

    # ---------------------------------------------------------------- reading and writing

    @classmethod
    def read(cls, path: str | os.PathLike[str], *, images: Images | None = None) -> Manifest:
        r"""Read a manifest of JSON lines.

        Parameters
        ----------
        path
            a path or URI.
        images
            where the images lie, if not where the lines say: a folder, in which each line's image is looked for
            under the longest end of its path that is there; or a mapping of prefixes to folders, such as
            ``{"s3://bucket/prefix": "folder/"}``. Without it a relative ``source-ref`` is taken from the
            manifest's own folder.

        Raises
        ------
        NotFound
            if there is no such file.
        Invalid
            if it is a folder, or a folder of ``images`` is not there.

        Examples
        --------
        >>> import tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp(), "train.manifest")
        >>> _ = path.write_text('{"source-ref": "1.png"}\nnot a line\n')
        >>> m = Manifest.read(path)
        >>> len(m), [finding.rule for finding in m.check() if finding.line == 2]
        (1, ['not-json'])
        """
        text = read_bytes(path).decode("utf-8", "surrogateescape")
        base = os.fspath(path).rpartition("/")[0] if not is_local(path) else str(local_path(path).absolute().parent)
        place = locator(images, base)
        manifest = cls.__new__(cls)
        entries: list[Entry] = []
        strays: list[tuple[int, str]] = []
        lines = text.split("\n")
        final_newline = lines[-1] == ""
        if final_newline:
            lines.pop()
        for number, line in enumerate(lines, 1):
            entry = read_line(line, number)[0] if line.strip() else None
            if entry is None:
                strays.append((len(entries), line))
            else:
                entries.append(place(entry))
        manifest._entries, manifest._strays = tuple(entries), tuple(strays)
        manifest._final_newline = final_newline or not lines
        manifest.name = os.fspath(path).rstrip("/").rpartition("/")[2]
        return manifest

    @classmethod
    def from_folder(cls, path: str | os.PathLike[str]) -> Manifest:
        """Take every image below ``normal/`` and ``anomaly/`` of a folder, as Lookout's console did.

        Sources are the paths below the folder. Folders inside the two do not matter; hidden files are passed over.

        Raises
        ------
        NotFound
            if there is no such folder.
        Invalid
            if it has neither of the two folders, or no image in them.
        """
        root = local_path(path).absolute()
        if not root.is_dir():
            raise NotFound(f"There is no folder {root}.")
        entries: list[Entry] = []
        found = {child.name.casefold(): child for child in sorted(root.iterdir()) if child.is_dir()}
        for label in (Label.NORMAL, Label.ANOMALY):
            folder = found.get(str(label))
            files = _image_files(folder) if folder else ()
            entries += [Entry(file.relative_to(root).as_posix(), label, at=str(file)) for file in files]
        if not entries:
            there = ", ".join(sorted(child.name for child in root.iterdir())[:10]) or "nothing"
            raise Invalid(f"{root} must have folders 'normal' and 'anomaly' with images in them; it has {there}.")
        return cls(entries, name=root.name)

    def write(self, path: str | os.PathLike[str], *, overwrite: bool = False, relocate: bool = False) -> Path:
        """Write the manifest as JSON lines; lines that nobody edited are written to the letter.

        An entry that came from a folder gets a ``source-ref`` relative to the new file.

        Parameters
        ----------
        path
            of the new file.
        overwrite
            replace a file that is there.
        relocate
            rewrite relative places that would lead nowhere from the new file's folder; all others stay.

        Raises
        ------
        Conflict
            if the file is there already and ``overwrite`` is not set.
        Failed
            if the disk refuses; nothing is left behind then.
        """
        base = local_path(path).absolute().parent
        lines = [write_line(_placed_below(entry, base, relocate=relocate)) for entry in self._entries]
        for position, stray in reversed(self._strays):
            lines.insert(position, stray)
        text = "\n".join(lines) + ("\n" if self._final_newline and lines else "")
        return write_file(path, text.encode("utf-8", "surrogateescape"), overwrite=overwrite)

    # ---------------------------------------------------------------- looking

    def check(self, *, images: bool = True) -> list[Finding]:
        """Return every oddity, one :class:`Finding` each, in the order of the lines.

        Parameters
        ----------
        images
            look at the images and masks on this machine as well: is each there, readable, of one size. Nothing is
            fetched over a network.
        """
        from vision_toolkit.data.check import check_images, check_set

        findings: list[Finding] = []
        numbers: list[int] = []
        strays = list(self._strays)
        for position, entry in enumerate(self._entries):
            while strays and strays[0][0] <= position:
                findings += self._check_stray(strays.pop(0)[1], len(numbers) + len(self._strays) - len(strays))
            numbers.append(position + 1 + len(self._strays) - len(strays))
            if entry.raw is not None:
                findings += read_line(entry.raw, numbers[-1])[1]
        for left in range(len(strays)):
            findings += self._check_stray(
                strays[left][1], len(self._entries) + len(self._strays) - len(strays) + left + 1
            )
        if images:
            findings += check_images(self._entries, numbers)
        findings += check_set(self._entries)
        return sorted(findings, key=lambda finding: finding.line or 1 << 60)

    @staticmethod
    def _check_stray(text: str, number: int) -> list[Finding]:
        if not text.strip():
            return [Finding(number, "info", "blank-line", "A blank line.")]
        return read_line(text, number)[1]

    def counts(self) -> dict[str, int]:
        """Return how many images there are: total, normal, anomaly, unlabelled, with_mask.

        Examples
        --------
        >>> Manifest([Entry("1.png", Label.NORMAL)]).counts()
        {'total': 1, 'normal': 1, 'anomaly': 0, 'unlabelled': 0, 'with_mask': 0}
        """
        labels = Counter(entry.label for entry in self._entries)
        masks = sum(1 for entry in self._entries if entry.types)
        return {"total": len(self)} | {str(label): labels[label] for label in Label} | {"with_mask": masks}

    @property
    def types(self) -> tuple[str, ...]:
        """Return the anomaly types that the colour maps name, in the order of their first line."""
        return tuple(dict.fromkeys(name for entry in self._entries for name in entry.types))

    def fingerprint(self) -> str:
        """Return a SHA-256 in hex of what is said of the images; places and spelling do not count."""
        digest = hashlib.sha256()
        for entry in self._entries:
            mask = (entry.mask.uri, sorted(entry.mask.colours.items())) if entry.mask else None
            facts = (entry.source, str(entry.label), entry.tags, entry.regions, mask)
            digest.update(repr(facts).encode("utf-8", "surrogateescape"))
        return digest.hexdigest()

    def to_frame(self) -> DataFrame:
        """Return a pandas table, one row an image: source, label, types, tags, regions, mask, location."""
        import pandas as pd

        rows = [
            {
                "source": e.source,
                "label": str(e.label),
                "types": e.types,
                "tags": tuple(tag.name for tag in e.tags),
                "regions": len(e.regions),
                "mask": e.mask.uri if e.mask else None,
                "location": e.location,
            }
            for e in self._entries
        ]
        return pd.DataFrame(rows, columns=["source", "label", "types", "tags", "regions", "mask", "location"])

    def show(self, *, n: int = 12, seed: int | None = None) -> Figure:
        """Show ``n`` images with their labels, masks painted in: the first ones, or a random choice of ``seed``."""
        from vision_toolkit.data.images import read_image, read_mask, thumbnail
        from vision_toolkit.plots import contact_sheet, overlay

        chosen = list(range(min(n, len(self))))
        if seed is not None:
            import numpy as np

            chosen = sorted(np.random.default_rng(seed).permutation(len(self))[:n].tolist())
        pictures = []
        for position in chosen:
            entry = self[position]
            image = read_image(entry)
            if entry.mask is not None and entry.mask.colours:
                image = overlay(image, mask=read_mask(entry.mask, size=(image.shape[1], image.shape[0])))
            pictures.append(thumbnail(image, 320))
        titles = [f"{Path(self[i].source).name}\n{', '.join(self[i].types) or self[i].label}" for i in chosen]
        colours = ["#C0392B" if self[i].label is Label.ANOMALY else "#8A94A0" for i in chosen]
        return contact_sheet(pictures, titles=titles, colours=colours)

    # ---------------------------------------------------------------- choosing

    def select(self, positions: Iterable[int]) -> Manifest:
        """Return the entries at the given positions, in that order."""
        return Manifest((self._entries[int(position)] for position in positions), name=self.name)

    def filter(self, predicate: Callable[[Entry], bool] | None = None, *, label: Label | str | None = None) -> Manifest:
        """Return the entries of a label, or those for which ``predicate`` is true.

        Examples
        --------
        >>> m = Manifest([Entry("1.png", Label.NORMAL), Entry("2.png")])
        >>> m.filter(label="normal"), m.filter(lambda e: not e.is_labelled)
        (Manifest(1 image: 1 normal), Manifest(1 image: 1 unlabelled))
        """
        wanted = None if label is None else Entry("").relabelled(label).label
        kept = (
            entry
            for entry in self._entries
            if (wanted is None or entry.label is wanted) and (predicate is None or predicate(entry))
        )
        return Manifest(kept, name=self.name)

    # ---------------------------------------------------------------- being a sequence

    @overload
    def __getitem__(self, index: int) -> Entry: ...

    @overload
    def __getitem__(self, index: slice) -> Manifest: ...

    def __getitem__(self, index: int | slice) -> Entry | Manifest:
        if isinstance(index, slice):
            return Manifest(self._entries[index], name=self.name)
        return self._entries[index]

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Manifest) and self._entries == other._entries

    def __hash__(self) -> int:
        return hash(self._entries)

    def __add__(self, other: Manifest) -> Manifest:
        if not isinstance(other, Manifest):
            return NotImplemented
        return Manifest((*self._entries, *other._entries), name=self.name)

    def __repr__(self) -> str:
        counts = self.counts()
        total = counts.pop("total")
        masks = counts.pop("with_mask")
        parts = [f"{n} {name}" for name, n in counts.items() if n]
        parts += [f"{masks} with masks of {len(self.types)} type{'s' * (len(self.types) != 1)}"] if masks else []
        return f"Manifest({total} image{'s' * (total != 1)}{': ' * bool(parts)}{', '.join(parts)})"

    def _repr_html_(self) -> str:
        from html import escape

        types = Counter(name for entry in self._entries for name in entry.types)
        rows: Mapping[str, Any] = {k.replace("_", " "): v for k, v in self.counts().items() if v} | {
            f"type {name}": n for name, n in types.items()
        }
        body = "".join(f"<tr><th style='text-align:left'>{escape(k)}</th><td>{v}</td></tr>" for k, v in rows.items())
        return f"<table><caption>{escape(self.name)}</caption>{body}</table>"


def _image_files(folder: Path) -> Iterator[Path]:
    for file in sorted(folder.rglob("*"), key=lambda path: path.as_posix()):
        hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
        if not hidden and file.suffix.lower() in SUFFIXES and file.is_file():
            yield file


def _placed_below(entry: Entry, base: Path, *, relocate: bool) -> Entry:
    """Name a file as it will be found from the new manifest: always where no line named it yet, else if asked."""
    if entry.raw is not None and not relocate:
        return entry

    def moved(uri: str, at: str | None) -> str:
        if at is None or not is_local(at) or not is_local(uri) or uri.startswith("file://") or os.path.isabs(uri):
            return uri
        if os.path.normpath(base / uri) == os.path.abspath(local_path(at)):
            return uri
        return _relative(at, base)

    mask = entry.mask and replace(entry.mask, uri=moved(entry.mask.uri, entry.mask.at))
    return replace(entry, source=moved(entry.source, entry.at), mask=mask)


def _relative(location: str, base: Path) -> str:
    try:
        return Path(os.path.relpath(local_path(location).absolute(), base)).as_posix()
    except ValueError:  # another drive
        return local_path(location).absolute().as_posix()
