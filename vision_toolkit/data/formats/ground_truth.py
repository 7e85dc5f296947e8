"""The output of a SageMaker Ground Truth job: classification, chained into segmentation, in and out.

A job leaves ``manifests/output/output.manifest`` and, for segmentation, masks below
``annotations/consolidated-annotation/output``. Its lines are those of Lookout for Vision, but the attributes are called
as the jobs were. They are renamed to ``anomaly-label`` and ``anomaly-mask-ref``, as AWS's Defect Detection App does, so
that its successor algorithm takes them too; every other byte of a line stays as it is. An attribute whose metadata has
a ``failure-reason`` says nothing: the workers gave none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from json.decoder import JSONDecoder, scanstring  # type: ignore[attr-defined]
from pathlib import Path
from typing import Any, NamedTuple

from vision_toolkit.core.entry import Entry, Finding, MaskRef
from vision_toolkit.core.errors import Invalid, NotFound
from vision_toolkit.data.attributes import CLASSIFICATION, LABEL_NAME, MASK_NAME, attributes
from vision_toolkit.data.edits import dumped
from vision_toolkit.data.formats import Parts, ReadOptions, WriteOptions
from vision_toolkit.data.formats.files import (
    dataset_folder,
    is_hidden,
    marker_of,
    note_names,
    place_image,
    place_mask,
    refer,
    shown,
    sources_outside,
    split_names,
    unique_names,
)
from vision_toolkit.data.formats.losses import Losses
from vision_toolkit.data.formats.places import Finder, by_split, spellings, without_images
from vision_toolkit.data.jsonlines import Line, decode_line, scan_line, write_line
from vision_toolkit.data.locate import locator
from vision_toolkit.data.storage import is_inline, is_local, read_bytes, write_file

__all__ = ["KEEPS_LINES", "REFINES", "TITLE", "detect", "read", "write"]

TITLE = "SageMaker Ground Truth job output"
"""What people call this format."""

KEEPS_LINES = True
"""Other keys of the JSON lines stay."""

REFINES = ("lookout",)
"""A file that fits this format fits those too, and this one knows more of it."""

Json = dict[str, Any]

_MANIFEST = "manifests/output/output.manifest"
_MASKS = "annotations/consolidated-annotation/output"
_LONGEST = 1 << 20  # a manifest's first line is looked at no further
_SPACE = re.compile(r"[ \t\n\r]*")
_value_end = JSONDecoder().raw_decode


def detect(path: Path) -> bool:
    """Return whether a folder is a job's output, or holds some, or a file is a job's ``output.manifest``.

    Examples
    --------
    >>> import tempfile
    >>> from vision_toolkit.core.entry import Label
    >>> job = Path(tempfile.mkdtemp(), "job")
    >>> _ = write({"": [Entry("s3://parts/1.png", Label.NORMAL)]}, job, WriteOptions(images="refer"))
    >>> detect(job), detect(job / "manifests/output/output.manifest"), detect(job / "manifests")
    (True, True, False)
    """
    if path.is_dir():
        return bool(marker_of(path, "ground-truth")) or any(_is_job(folder) for folder in _jobs(path).values())
    return path.name == "output.manifest" and path.is_file() and _names_job(path)


def _jobs(path: Path) -> dict[str, Path]:
    """Return the folders with an output manifest by split: the folder itself, or those in it."""
    if (path / _MANIFEST).is_file():
        return {"": path}
    folders = sorted((child for child in path.iterdir() if child.is_dir() and not is_hidden(child)), key=by_split)
    return {child.name: child for child in folders[:1000] if (child / _MANIFEST).is_file()}


def _is_job(folder: Path) -> bool:
    manifest = folder / _MANIFEST
    return manifest.is_file() and ((folder / _MASKS).is_dir() or _names_job(manifest))


def _names_job(manifest: Path) -> bool:
    """Return whether the first line names a labelling job, which Lookout's own manifests of this name do not."""
    try:
        with manifest.open("rb") as opened:
            line = json.loads(opened.readline(_LONGEST).decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return False
    if not isinstance(line, dict):
        return False
    return any(str(meta.get("job-name", "")).startswith("labeling-job/") for _, meta, _ in attributes(line))


# ---------------------------------------------------------------- reading


def read(path: Path, options: ReadOptions) -> dict[str, list[Entry]]:
    """Read a job's folder, a folder of jobs (one a split), or an ``output.manifest``.

    Masks are looked for in the job's folder, beside the manifest and in the folder of ``options``, whatever bucket the
    line names; images in that folder only. ``:`` in a name is also looked for as U+F03A, as Windows writes it.

    Raises
    ------
    NotFound
        if there is no manifest.
    Invalid
        if a line cannot be read; the message names file and line.

    Examples
    --------
    >>> import tempfile
    >>> manifest = Path(tempfile.mkdtemp(), "output.manifest")
    >>> line = '{"source-ref":"s3://b/1.png","my-job":1,"my-job-metadata":{"class-name":"anomaly"}}'
    >>> _ = manifest.write_text(line)
    >>> read(manifest, ReadOptions())[""][0].raw
    '{"source-ref":"s3://b/1.png","anomaly-label":1,"anomaly-label-metadata":{"class-name":"anomaly"}}'
    """
    if not path.is_dir():
        job = path.absolute().parents[2] if path.absolute().as_posix().endswith(f"/{_MANIFEST}") else None
        return {"": _entries(path, job, options)}
    jobs = _jobs(path)
    if not jobs:
        raise NotFound(f"{path} holds no output of a Ground Truth job: there is no {_MANIFEST} with a job's lines.")
    return {split: _entries(job / _MANIFEST, job, options) for split, job in jobs.items()}


class _Read(NamedTuple):
    """One line: its text, its attributes, and what those that did not fail say."""

    text: str
    names: frozenset[str]
    line: Line


def _entries(manifest: Path, job: Path | None, options: ReadOptions) -> list[Entry]:
    lines = list(_read_lines(manifest))
    names = _standard_names([one.line for one in lines])
    place = _Places(manifest, job, options)
    entries = []
    for text, there, line in lines:
        text = _renamed(text, _names_here(line, there, names))  # noqa: PLW2901
        mask = None if line.mask_uri is None else MaskRef(line.mask_uri, line.colours)
        entries.append(place(Entry(line.source, line.label, line.tags, line.regions, mask, raw=text)))
    return entries


def _read_lines(manifest: Path) -> Iterator[_Read]:
    for number, raw in enumerate(read_bytes(manifest).split(b"\n"), 1):
        text = raw.decode("utf-8", "surrogateescape").removeprefix("\ufeff" if number == 1 else "").rstrip("\r")
        if not text.strip():
            continue
        told: list[Finding] = []
        data = decode_line(text, number, told.append)
        line, names = None, frozenset[str]()
        if data is not None:
            names = frozenset(name for name, _, _ in attributes(data))
            failed = frozenset(name for name, meta, _ in attributes(data) if meta.get("failure-reason"))
            sound = {key: value for key, value in data.items() if key.removesuffix("-metadata") not in failed}
            line = scan_line(dumped(sound) if failed else text, number, told.append)
        if data is None or line is None:
            why = next((finding.text for finding in told if finding.severity == "error"), "It cannot be read.")
            raise Invalid(f"{manifest}, line {number}: {why} Get the job's output again, or remove the line.")
        yield _Read(text, names, line)


def _standard_names(lines: Sequence[Line]) -> dict[str, str]:
    """Return the attributes of a file that say the label and the mask, and what they shall be called."""
    labels = {line.label_name: LABEL_NAME for line in lines if line.label_name is not None}
    masks = {line.mask_name: MASK_NAME for line in lines if line.mask_name is not None}
    return labels | masks


def _names_here(line: Line, there: frozenset[str], names: Mapping[str, str]) -> dict[str, str]:
    """Return which attributes of one line are renamed: what it uses, else what other lines of the job use."""
    chosen: dict[str, str] = {}
    for new, own in ((LABEL_NAME, line.label_name), (MASK_NAME, line.mask_name)):
        old = own or next((name for name in sorted(there) if names.get(name) == new), None)
        if old is not None and old != new and new not in there:
            chosen |= {old: new, f"{old}-metadata": f"{new}-metadata"}
    return chosen


def _renamed(text: str, names: Mapping[str, str]) -> str:
    """Rename keys of a line's object; no other byte changes."""
    if not names:
        return text
    pieces: list[str] = []
    copied = 0
    at = _skip(text, text.index("{") + 1)
    while text[at] == '"':
        key, end = scanstring(text, at + 1)
        if key in names:
            pieces += [text[copied:at], json.dumps(names[key])]
            copied = end
        at = _skip(text, _skip(text, end) + 1)  # behind the colon
        at = _skip(text, _value_end(text, at)[1])
        if text[at] == ",":
            at = _skip(text, at + 1)
    return "".join([*pieces, text[copied:]])


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


class _Places:
    """Find the images and masks of one job on this machine; nothing is asked of another."""

    def __init__(self, manifest: Path, job: Path | None, options: ReadOptions) -> None:
        self.beside = manifest.absolute().parent
        self.images = Finder(options.images.absolute()) if options.images is not None else None
        # A mapping of prefixes to folders says where places begin.
        self.mapped = locator(options.places, str(self.beside)) if isinstance(options.places, Mapping) else None
        folders = [job.absolute() / _MASKS, job.absolute(), self.beside] if job is not None else [self.beside]
        self.masks = [*(Finder(folder) for folder in folders), *([self.images] if self.images else [])]

    def __call__(self, entry: Entry) -> Entry:
        if self.mapped is not None:
            entry = self.mapped(entry)
        mask = entry.mask
        if mask is not None and not self._is_there(mask.at):
            at = self._relative(mask.uri) or next(filter(None, (f.find(mask.uri) for f in self.masks)), None)
            mask = replace(mask, at=self._told(mask.uri, at) or mask.at)
        place = entry.at
        if not self._is_there(place):
            at = self._relative(entry.source) or (self.images.find(entry.source) if self.images else None)
            place = self._told(entry.source, at) or place
        return replace(entry, at=place, mask=mask)

    @staticmethod
    def _is_there(at: str | None) -> bool:
        return at is not None and (not is_local(at) or Path(at).is_file())

    def _relative(self, place: str) -> Path | None:
        if not is_local(place) or is_inline(place) or place.startswith("file://"):
            return None
        for name in spellings(place):
            file = Path(self.beside, name)
            if "\0" not in name and file.is_file():
                return file
        return None

    def _told(self, place: str, at: Path | None) -> str | None:
        if at is not None:
            return str(at)
        is_relative = is_local(place) and not place.startswith("file://") and not Path(place).is_absolute()
        return str(self.beside / place) if is_relative else None


# ---------------------------------------------------------------- writing


def write(parts: Parts, path: Path, options: WriteOptions) -> tuple[Finding, ...]:
    """Write a job's folder: its manifest, its masks and, beside them, ``images/``; of several splits, a job each.

    Lines keep every key that they had; label and mask are called ``anomaly-label`` and ``anomaly-mask-ref``. Places in
    the manifest are relative to it, except those of other machines with ``images="refer"``. For AWS, upload the folder
    and let the places begin with its ``s3://`` prefix.

    Returns
    -------
    tuple of Finding
        what is lost: names that had to change, splits that are called otherwise.

    Raises
    ------
    NotFound
        if an image or a mask is not there.
    Conflict
        if the folder is there and may not be replaced.
    Invalid
        if two splits would have one name.

    Examples
    --------
    >>> import tempfile
    >>> from vision_toolkit.core.entry import Label
    >>> job = Path(tempfile.mkdtemp(), "job")
    >>> write({"": [Entry("s3://parts/1.png", Label.ANOMALY)]}, job, WriteOptions(images="refer"))
    ()
    >>> read(job, ReadOptions())[""]
    [Entry(source='s3://parts/1.png', label=<Label.ANOMALY: 'anomaly'>, tags=(), regions=(), mask=None)]
    """
    losses = Losses()
    entries = [entry for part in parts.values() for entry in part]
    if options.images == "refer" and options.overwrite:
        sources_outside(entries, path)
    folders = split_names(parts)
    called = {split: name or ("default" if len(parts) > 1 else "") for split, name in folders.items()}
    if len({name.casefold() for name in called.values()}) < len(called):
        raise Invalid("A split is called 'default', as the one without a name would be; give that one a name.")
    changed = [split for split in parts if split != called[split]]
    if changed:
        losses.add("lost-split", "", f"{changed[0]!r} is called {called[changed[0]]!r}")
    now = datetime.now(UTC)
    with dataset_folder(path, options, format="ground-truth") as folder:
        for split, part in parts.items():
            job = folder / called[split] if called[split] else folder
            target = path.absolute() / called[split] if called[split] else path.absolute()
            named = called[split] or target.name
            writer = _Writer(job, target, options, losses, now)
            bare = without_images(part)
            names = unique_names(bare)
            if options.images != "refer":
                note_names(losses, bare, names)
            lines = [
                writer.line(entry, name, number, named)
                for number, (entry, name) in enumerate(zip(part, names, strict=True))
            ]
            text = "".join(f"{line}\n" for line in _with_standard_names(lines))
            write_file(job / _MANIFEST, text.encode("utf-8", "surrogateescape"))
    return losses.findings()


def _with_standard_names(lines: Sequence[str]) -> Iterator[str]:
    scanned = [scan_line(text, number, _ignore) for number, text in enumerate(lines, 1)]
    for text, line in zip(lines, scanned, strict=True):
        data = decode_line(text, 0, _ignore)
        assert line is not None and data is not None  # we wrote it
        there = frozenset(name for name, _, _ in attributes(data))
        yield _renamed(text, _names_here(line, there, {}))


def _ignore(finding: Finding) -> None:
    pass


class _Writer:
    """Write the lines of one job, and put its images and masks in their places."""

    def __init__(self, job: Path, target: Path, options: WriteOptions, losses: Losses, now: datetime) -> None:
        self.job, self.target, self.options, self.losses, self.now = job, target, options, losses, now
        self.base = target / Path(_MANIFEST).parent

    def line(self, entry: Entry, name: str, number: int, job: str) -> str:
        placed = replace(entry, source=self._image(entry, name), mask=None)
        if entry.mask is not None:
            placed = replace(placed, mask=self._mask(entry, number))
        text = write_line(placed)
        return text if entry.raw is not None else self._as_job(text, job)

    def _image(self, entry: Entry, name: str) -> str:
        if self.options.images == "refer":
            return refer(entry.source, entry.at, self.base)
        return f"../../{place_image(entry, self.job, f'images/{name}', self.options)}"

    def _mask(self, entry: Entry, number: int) -> MaskRef:
        ref = entry.mask
        assert ref is not None
        if self.options.images == "refer" and not is_inline(ref.location):
            return MaskRef(refer(ref.uri, ref.at, self.base), ref.colours)
        # As the service calls them, but without the colons that some disks refuse.
        stamp = self.now.strftime("%Y-%m-%dT%H%M%S.%f")
        made = place_mask(entry, self.job, f"{_MASKS}/{number}_{stamp}.png", self.options)
        if made.colours != dict(ref.colours):
            self.losses.add("lost-colours", shown(entry.source), "no type may be white, the background's colour")
        return MaskRef(f"../../{made.uri}", made.colours)

    def _as_job(self, text: str, job: str) -> str:
        """Say in a line of our own what the service says of every attribute: which job, and when."""
        data = json.loads(text)
        for name, meta, kind in attributes(data):
            suffix = "classification" if kind == CLASSIFICATION else "annotation"
            meta.setdefault("job-name", f"labeling-job/{job}-{suffix}")
            meta.setdefault("creation-date", self.now.strftime("%Y-%m-%dT%H:%M:%S.%f"))
            data[f"{name}-metadata"] = meta
        return dumped(data)
