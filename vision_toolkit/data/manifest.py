"""An immutable sequence of entries, read from and written to JSON Lines without loss."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal, overload

from vision_toolkit.core.entry import Entry, Finding, Label
from vision_toolkit.core.errors import Conflict, Invalid, NotFound, VisionError
from vision_toolkit.data.images import SUFFIXES
from vision_toolkit.data.jsonlines import LONGEST, read_line, write_line
from vision_toolkit.data.lines import LineFile
from vision_toolkit.data.locate import Images, base_of, locator
from vision_toolkit.data.placing import placed_below, with_files
from vision_toolkit.data.rules import RULES
from vision_toolkit.data.storage import is_inline, is_local, local_path, write_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from vision_toolkit.data.check_images import Look
    from vision_toolkit.data.diff import Diff
    from vision_toolkit.data.selection import When

__all__ = ["Manifest"]

_OF_THE_FILE = ("gzip", "utf-16", "large-manifest")
"""Rules of the file that its lines do not show."""


class Manifest(Sequence[Entry]):
    """Hold entries in order; every change makes a new manifest.

    Lines that could not be read are no entries, but they are kept in their place and written back; so are blank
    lines, carriage returns, a byte order mark and a missing last newline. What edits a manifest (:meth:`upsert`,
    :meth:`merge`, :meth:`relabel`, :meth:`remove`, :meth:`from_frame`) keeps such lines too; what chooses from it
    (:meth:`filter`, :meth:`sample`, :meth:`select`, a slice) and ``+`` give manifests of entries alone.

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
        self._odd: tuple[Finding, ...] = ()
        self._origin: Path | None = None
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
            ``{"s3://bucket/prefix": "folder/"}``; or a function that returns the place of what a line names, and None
            where it does not know. Without it a relative ``source-ref`` is taken from the manifest's own folder.

        Raises
        ------
        NotFound
            if there is no such file.
        Invalid
            if it is a folder, an image or another file without lines; if a line has more than 16 MiB; or if a folder of
            ``images`` is not there.

        Examples
        --------
        >>> import tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp(), "train.manifest")
        >>> _ = path.write_text('{"source-ref": "1.png"}\nnot a line\n')
        >>> m = Manifest.read(path)
        >>> len(m), [finding.rule for finding in m.check() if finding.line == 2]
        (1, ['not-json'])
        """
        place = locator(images, base_of(path))
        contents: list[Entry | str] = []
        with LineFile(path) as file:
            for number, line in enumerate(file, 1):
                if len(line) > LONGEST:
                    raise Invalid(
                        f"{file.name}, line {number}: more than {LONGEST:,} bytes without a newline; that is no line "
                        "of a manifest. `vision-toolkit repair` moves it out."
                    )
                text = line.decode("utf-8", "surrogateescape")
                if number == 1 and file.mark:
                    text = f"\ufeff{text}"
                entry = read_line(text, number)[0] if text.strip() else None
                contents.append(text if entry is None else place(entry))
        name = os.fspath(path).rstrip("/").rpartition("/")[2]
        manifest = cls.from_lines(contents, name=name, final_newline=file.final_newline)
        manifest._odd = tuple(finding for finding in file.findings if finding.rule in _OF_THE_FILE)
        manifest._origin = local_path(path).absolute() if is_local(os.fspath(path)) else None
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

    @classmethod
    def from_lines(
        cls,
        lines: Iterable[Entry | str],
        *,
        name: str = "manifest",
        final_newline: bool = True,
        images: Images | None = None,
    ) -> Manifest:
        """Make a manifest of what :meth:`lines` yields: entries, and as text the lines that are none.

        Parameters
        ----------
        lines
            in the order of the file.
        name
            what to call it in words.
        final_newline
            whether the last line ends.
        images
            where the images lie, as :meth:`read` takes it; None leaves each entry's place as it is.

        Raises
        ------
        Invalid
            if a folder of ``images`` is not there.

        Examples
        --------
        >>> m = Manifest.from_lines([Entry("1.png"), "not a line", Entry("2.png")])
        >>> len(m), len(list(m.lines()))
        (2, 3)
        """
        place = None if images is None else locator(images, "")
        entries: list[Entry] = []
        strays: list[tuple[int, str]] = []
        for line in lines:
            if isinstance(line, str):
                strays.append((len(entries), line))
            else:
                entries.append(line if place is None else place(line))
        manifest = cls(entries, name=name)
        manifest._strays, manifest._final_newline = tuple(strays), final_newline
        return manifest

    @classmethod
    def from_frame(
        cls, frame: DataFrame, *, source: str | None = None, label: str | None = None, name: str | None = None
    ) -> Manifest:
        """Make a manifest of a pandas table: one of :meth:`to_frame` with its edits, or one of your own.

        ``Manifest.from_frame(m.to_frame())`` equals ``m`` and is written to the letter. Rows may be left out, moved and
        appended, fields edited; what was edited wins over the line, everything else of the line stays. In a table of
        your own a column names the images, and ``label`` says normal, anomaly, unlabelled or nothing.

        Parameters
        ----------
        frame
            see :func:`~vision_toolkit.data.frame.read_frame` for its columns.
        source, label
            names of the columns, if they are not ``source`` (or ``source-ref``, ``path``, ``image``) and ``label``.
        name
            what to call it in words.

        Raises
        ------
        Invalid
            if a column is missing, or a row says what no entry can hold; the row is named.

        Examples
        --------
        >>> df = Manifest([Entry("1.png"), Entry("2.png")]).to_frame()
        >>> df.loc[df["source"] == "2.png", "label"] = "anomaly"
        >>> Manifest.from_frame(df)
        Manifest(2 images: 1 anomaly, 1 unlabelled)
        """
        from vision_toolkit.data.frame import read_frame

        table = read_frame(frame, source=source, label=label)
        return cls.from_lines(table.contents, name=name or table.name or "manifest", final_newline=table.final_newline)

    def write(self, path: str | os.PathLike[str], *, overwrite: bool = False, relocate: bool = False) -> Path:
        """Write the manifest as JSON lines; lines that nobody edited are written to the letter.

        An entry that came from a folder gets a ``source-ref`` relative to the new file. Masks that have no file yet,
        drawn by a reader of another format, get one in ``NAME-masks/`` beside it.

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
        target = local_path(path).absolute()
        entries = self._entries
        if any(entry.mask is not None and is_inline(entry.mask.uri) for entry in entries):
            if target.exists() and not overwrite:
                raise Conflict(f"{target} exists; give another name or overwrite=True.")
            entries = tuple(with_files(entries, target, overwrite=overwrite))
        placed = (placed_below(entry, target.parent, relocate=relocate) for entry in entries)
        strays = iter(self._strays)
        position, stray = next(strays, (len(entries), None))
        lines = []
        for index, entry in enumerate(placed):
            while stray is not None and position <= index:
                lines.append(stray)
                position, stray = next(strays, (len(entries), None))
            lines.append(write_line(entry))
        if stray is not None:
            lines += [stray, *(text for _, text in strays)]
        text = "\n".join(lines) + ("\n" if self._final_newline and lines else "")
        return write_file(path, text.encode("utf-8", "surrogateescape"), overwrite=overwrite)

    # ---------------------------------------------------------------- looking

    def check(
        self,
        *,
        look: Look = "whole",
        journal: str | os.PathLike[str] | None = None,
        threads: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[Finding]:
        """Return every oddity, one :class:`Finding` each, in the order of the lines.

        Each names one of the rules in :data:`vision_toolkit.data.rules.RULES`. A file that is too large to be held is
        checked by :func:`~vision_toolkit.data.check.check_file`.

        Parameters
        ----------
        look
            how closely to look at images and masks on this machine: ``"whole"`` decodes each, ``"header"`` is quicker,
            ``"none"`` looks at no file. Nothing is ever fetched over a network.
        journal
            a file that remembers which images were looked at, so that a check that was interrupted goes on.
        threads
            how many images are decoded at once; None = as many as this process may use.
        progress
            called with how many images were looked at, and how many there are.

        Examples
        --------
        >>> [finding.rule for finding in Manifest([Entry("1.png", Label.NORMAL)]).check(look="none")]
        ['few-images']
        """
        from vision_toolkit.data.check import check_contents

        whole = check_contents(self.lines(), len(self), look=look, journal=journal, threads=threads, progress=progress)
        findings = [*self._odd, *whole]
        if not self._final_newline:
            findings.append(RULES["no-final-newline"].finding(None, f"{self.name} ends without a newline."))
        return sorted(findings, key=lambda finding: finding.line or 1 << 60)

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
    def origin(self) -> Path | None:
        """Return the file on a disk that this, or what it was edited from, was read from; None if there is none."""
        return self._origin

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

    def lines(self) -> Iterator[Entry | str]:
        """Yield everything that the file holds, in order: entries, and as text the lines that are none.

        Examples
        --------
        >>> [type(line).__name__ for line in Manifest.from_lines(["", Entry("1.png")]).lines()]
        ['str', 'Entry']
        """
        strays = iter(self._strays)
        position, text = next(strays, (-1, ""))
        for i, entry in enumerate(self._entries):
            while position == i:
                yield text
                position, text = next(strays, (-1, ""))
            yield entry
        while position >= 0:
            yield text
            position, text = next(strays, (-1, ""))

    def diff(self, other: Manifest) -> Diff:
        """Return what differs in ``other``: added, removed, changed and moved images.

        Entries belong together by their source. Where the images lie does not count.

        Examples
        --------
        >>> m = Manifest([Entry("1.png"), Entry("2.png")])
        >>> m.diff(m.relabel({"1.png": "normal"}))
        Diff(1 changed: 1 label)
        """
        from vision_toolkit.data.diff import compare

        if not isinstance(other, Manifest):
            raise Invalid(f"A manifest is compared with a manifest; a {type(other).__name__} was given.")
        return compare(self.lines(), other.lines())

    def to_frame(self) -> DataFrame:
        """Return a pandas table, one row an image, from which :meth:`from_frame` makes the same manifest again.

        Its columns: ``source``, ``label``, ``types`` and ``tags`` (tuples of names), ``regions`` (how many), ``mask``
        (its URI), ``location`` (where the image's bytes are), ``line`` (its number in the file, as in a Finding) and
        ``entry`` (the :class:`Entry` with its line; leave it as it is). A file with blank or unreadable lines has one
        more, ``other_lines``, that carries them. The accessor ``df.vision`` works on it,
        see :class:`~vision_toolkit.data.accessor.Vision`.

        A CSV or parquet file cannot hold the column ``entry``: what comes back from one is a table of your own.

        Examples
        --------
        >>> m = Manifest([Entry("1.png"), Entry("2.png", Label.NORMAL)])
        >>> m.to_frame()["label"].tolist()
        ['unlabelled', 'normal']
        """
        from vision_toolkit.data.frame import make_frame

        return make_frame(self.lines(), name=self.name, final_newline=self._final_newline)

    def show(self, *, n: int = 12, seed: int | None = None) -> Figure:
        """Show ``n`` images with their labels, masks painted in: the first ones, or a random choice of ``seed``.

        An image or mask that cannot be read is a grey tile; :meth:`check` says why.
        """
        import numpy as np

        from vision_toolkit.data.images import read_image, read_mask, thumbnail
        from vision_toolkit.plots import contact_sheet, overlay

        chosen = list(range(min(n, len(self))))
        if seed is not None:
            chosen = sorted(np.random.default_rng(seed).permutation(len(self))[:n].tolist())
        pictures = []
        for position in chosen:
            entry = self[position]
            try:
                image = read_image(entry)
                if entry.mask is not None and entry.mask.colours:
                    image = overlay(image, mask=read_mask(entry.mask, size=(image.shape[1], image.shape[0])))
            except VisionError:
                image = np.full((240, 320, 3), 200, np.uint8)
            pictures.append(thumbnail(image, 320))
        titles = [f"{Path(self[i].source).name}\n{', '.join(self[i].types) or self[i].label}" for i in chosen]
        colours = ["#C0392B" if self[i].label is Label.ANOMALY else "#8A94A0" for i in chosen]
        return contact_sheet(pictures, titles=titles, colours=colours)

    # ---------------------------------------------------------------- choosing

    def select(self, positions: Iterable[int]) -> Manifest:
        """Return the entries at the given positions from 0, in that order."""
        return Manifest((self._entries[int(position)] for position in positions), name=self.name)

    def filter(
        self,
        predicate: Callable[[Entry], bool] | None = None,
        *,
        label: Label | str | None = None,
        labelled: bool | None = None,
        tag: str | None = None,
        contains: str | None = None,
        created_after: When | None = None,
        created_before: When | None = None,
    ) -> Manifest:
        """Return the entries for which everything holds that is given.

        Parameters
        ----------
        predicate
            a function of an :class:`Entry`.
        label
            normal, anomaly or unlabelled.
        labelled
            True for normal and anomaly, False for the others.
        tag
            a class: a tag of the image, a type that its mask's colours name, or the name of a region.
        contains
            part of the source; upper and lower case differ.
        created_after, created_before
            from the first moment on, up to the second but without it: times, days or text. A day is its midnight, a
            time without a zone is in UTC. Compared with the line's ``creation-date``, see
            :func:`~vision_toolkit.data.dates.created`; an entry without one is left out.

        Raises
        ------
        Invalid
            if a label is none of the three, or a date cannot be read.

        Examples
        --------
        >>> m = Manifest([Entry("a/1.png", Label.NORMAL), Entry("b/2.png")])
        >>> m.filter(label="normal"), m.filter(labelled=False, contains="b/")
        (Manifest(1 image: 1 normal), Manifest(1 image: 1 unlabelled))
        """
        from vision_toolkit.data.selection import condition

        holds = condition(
            predicate,
            label=label,
            labelled=labelled,
            tag=tag,
            contains=contains,
            created_after=created_after,
            created_before=created_before,
        )
        return Manifest((entry for entry in self._entries if holds(entry)), name=self.name)

    def sample(self, n: int, *, seed: int, by: Literal["label"] | None = None) -> Manifest:
        """Return ``n`` entries drawn by chance, in the order of the file.

        Parameters
        ----------
        n
            how many.
        seed
            the same seed draws the same entries.
        by
            ``"label"``: normal, anomaly and unlabelled each with their share of the whole, to the nearest image.

        Raises
        ------
        Invalid
            if there are fewer than ``n``.

        Examples
        --------
        >>> m = Manifest([Entry(f"{i}.png", Label.ANOMALY if i < 3 else Label.NORMAL) for i in range(9)])
        >>> m.sample(3, seed=0, by="label")
        Manifest(3 images: 2 normal, 1 anomaly)
        """
        from vision_toolkit.data.selection import draw

        return self.select(draw(self._entries, n, seed=seed, by=by))

    # ---------------------------------------------------------------- editing

    def upsert(self, entries: Iterable[Entry]) -> Manifest:
        """Replace the entries of the same source, each in its place, and append new ones in the order given.

        As Lookout's UpdateDatasetEntries did: the new entry replaces the whole old one, and what it does not say is
        gone. To change only a label there is :meth:`relabel`. Of two given for one source the last counts; of two that
        were there both are replaced by the one. The image stays where it lies if the new entry names no other place.

        Parameters
        ----------
        entries
            a manifest or any other entries.

        Examples
        --------
        >>> m = Manifest([Entry("1.png"), Entry("2.png")])
        >>> [(e.source, str(e.label)) for e in m.upsert([Entry("3.png"), Entry("1.png", Label.NORMAL)])]
        [('1.png', 'normal'), ('2.png', 'unlabelled'), ('3.png', 'unlabelled')]
        """
        from vision_toolkit.data import revision

        return self._with(revision.upsert(self.lines(), entries))

    def merge(self, *others: Manifest, on_conflict: Literal["raise", "first", "last"] = "raise") -> Manifest:
        """Return one manifest of several, each source once.

        Entries that say the same are one, and the first one's line is kept. A relative source that lies in different
        folders is two images, hence a conflict. Lines that could not be read are kept, but not twice.

        Parameters
        ----------
        others
            manifests, whose images are appended.
        on_conflict
            what to do where two say different things of one source: raise an error, or take the first or the last.

        Raises
        ------
        Conflict
            if two disagree; it names the source and both labels.

        Examples
        --------
        >>> m = Manifest([Entry("1.png", Label.NORMAL)])
        >>> m.merge(Manifest([Entry("1.png", Label.NORMAL), Entry("2.png")]))
        Manifest(2 images: 1 normal, 1 unlabelled)
        >>> m.merge(Manifest([Entry("1.png", Label.ANOMALY)]), on_conflict="last")
        Manifest(1 image: 1 anomaly)
        """
        from vision_toolkit.data import revision

        everything = (self, *others)
        for one in everything:
            if not isinstance(one, Manifest):
                raise Invalid(f"Manifests are merged with manifests; a {type(one).__name__} was given.")
        names = [one.name if one.name != "manifest" else f"manifest {i}" for i, one in enumerate(everything, 1)]
        return self._with(revision.merge([one.lines() for one in everything], names, on_conflict=on_conflict))

    def relabel(self, labels: Mapping[str, Label | str] | Callable[[Entry], Label | str | None]) -> Manifest:
        """Give images other labels; whatever else their lines say stays.

        Parameters
        ----------
        labels
            the new label of each source; or a function of an :class:`Entry` that returns one, or None to leave it.

        Raises
        ------
        NotFound
            if a source is not there; it is named.
        Invalid
            if a label is none of normal, anomaly, unlabelled.

        Examples
        --------
        >>> m = Manifest([Entry("good/1.png"), Entry("bad/2.png")])
        >>> m.relabel({"bad/2.png": "anomaly"})
        Manifest(2 images: 1 anomaly, 1 unlabelled)
        >>> m.relabel(lambda entry: "normal" if entry.source.startswith("good/") else None)
        Manifest(2 images: 1 normal, 1 unlabelled)
        """
        from vision_toolkit.data import revision

        return self._with(revision.relabel(self.lines(), labels))

    def edit(self, change: Callable[[Entry], Entry]) -> Manifest:
        """Put every entry through a function; lines that could not be read stay where they are.

        Parameters
        ----------
        change
            returns the entry as it shall be, the one that it was given to leave it.

        Raises
        ------
        Invalid
            if it returns something else.

        Examples
        --------
        >>> Manifest([Entry("1.png"), Entry("2.png")]).edit(lambda entry: entry.relabelled("normal"))
        Manifest(2 images: 2 normal)
        """
        return self._with(line if isinstance(line, str) else change(line) for line in self.lines())

    def remove(self, which: str | Iterable[str | Entry] | Callable[[Entry], bool]) -> Manifest:
        """Leave images out of the manifest; their files stay.

        Parameters
        ----------
        which
            a source, several, entries (their sources count), or a function that is true for what is to go.

        Raises
        ------
        NotFound
            if a source is not there; it is named.

        Examples
        --------
        >>> m = Manifest([Entry("1.png"), Entry("2.png", Label.NORMAL)])
        >>> m.remove("1.png"), m.remove(lambda entry: entry.is_labelled)
        (Manifest(1 image: 1 normal), Manifest(1 image: 1 unlabelled))
        """
        from vision_toolkit.data import revision

        return self._with(revision.remove(self.lines(), which))

    def _with(self, lines: Iterable[Entry | str]) -> Manifest:
        manifest = Manifest.from_lines(lines, name=self.name, final_newline=self._final_newline)
        manifest._origin = self._origin
        return manifest

    # ---------------------------------------------------------------- being a sequence

    @overload
    def __getitem__(self, index: int) -> Entry: ...

    @overload
    def __getitem__(self, index: slice) -> Manifest: ...

    def __getitem__(self, index: int | slice) -> Entry | Manifest:
        if isinstance(index, slice):
            part = Manifest(self._entries[index], name=self.name)
            part._origin = self._origin
            return part
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
        from vision_toolkit.data.strip import clean, strip

        types = Counter(name for entry in self._entries for name in entry.types)
        rows = [(k.replace("_", " "), n) for k, n in self.counts().items() if n]
        rows += [(f"type {name}", n) for name, n in islice(types.items(), 12)]
        rows += [("more types", len(types) - 12)] if len(types) > 12 else []
        body = "".join(f"<tr><th style='text-align:left'>{clean(name)}</th><td>{n}</td></tr>" for name, n in rows)
        return f"<table><caption>{clean(self.name)}</caption>{body}</table>{strip(self._entries)}"


def _image_files(folder: Path) -> Iterator[Path]:
    for file in sorted(folder.rglob("*"), key=lambda path: path.as_posix()):
        hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
        if not hidden and file.suffix.lower() in SUFFIXES and file.is_file():
            yield file
