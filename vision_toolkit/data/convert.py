"""Read data sets of any format into manifests, and write manifests in any format."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from vision_toolkit.core.entry import Entry, Finding, Label, MaskRef
from vision_toolkit.core.errors import Failed, Invalid, NotFound
from vision_toolkit.data.attributes import attributes
from vision_toolkit.data.formats import ReadOptions, WriteOptions, format_names, load_format
from vision_toolkit.data.formats.files import marker_of
from vision_toolkit.data.formats.losses import Losses
from vision_toolkit.data.images import encode_mask, probe, read_mask
from vision_toolkit.data.jsonlines import decode_line
from vision_toolkit.data.locate import Images
from vision_toolkit.data.manifest import Manifest
from vision_toolkit.data.shapes import paint_regions
from vision_toolkit.data.storage import exists, inline, is_local, local_path

__all__ = ["Written", "fitting_formats", "read_dataset", "read_splits", "write_dataset"]


@dataclass(frozen=True, slots=True, repr=False)
class Written:
    """Say what was written, and what was lost on the way.

    Parameters
    ----------
    path
        the file or folder.
    format
        the format's name.
    losses
        one :class:`~vision_toolkit.core.Finding` for each kind of thing that the format cannot say, with the number
        of images; empty where everything survived.

    Examples
    --------
    >>> Written(Path("out"), "csv", ())
    out, written as csv: nothing was lost.
    """

    path: Path
    format: str
    losses: tuple[Finding, ...]

    def __repr__(self) -> str:
        if not self.losses:
            return f"{self.path}, written as {self.format}: nothing was lost."
        return "\n".join([f"{self.path}, written as {self.format}, with losses:", *(f"  {one}" for one in self.losses)])


# ---------------------------------------------------------------- reading


def read_dataset(
    path: str | os.PathLike[str],
    *,
    format: str = "auto",
    split: str | None = None,
    images: Images | None = None,
    columns: Mapping[str, str] | None = None,
    classes: Mapping[str, Label | str] | None = None,
    label_from_regions: bool = False,
    paint: bool = False,
) -> Manifest:
    """Read a data set of any format as one manifest.

    Parameters
    ----------
    path
        the file or folder.
    format
        its name; ``"auto"`` looks at it and goes on if exactly one format fits.
    split
        ``"train"``, ``"test"`` ... for one of them; None for all in order.
    images
        folder of the images, where they are not where the format puts them. For Lookout's manifests also what
        :meth:`Manifest.read` takes: a mapping of prefixes to folders.
    columns
        CSV only: our name (``source``, ``label``, ``mask``, ``type``, ``tags``, ``split``) to the table's.
    classes
        what other classes mean: ``{"good": "normal", "bad": "anomaly"}``, in any case. An image without a label takes
        that of its tags (folders, choices) or of its regions; anomaly wins. A tag whose name says no more than the
        label is dropped; where several classes mean one label, and where nobody said what they mean, tags stay.
    label_from_regions
        an image without a label that has a region or a painted mask is an anomaly, one without is normal.
    paint
        draw the regions of images without a mask into one; it lies in the manifest itself until it is written.

    Raises
    ------
    NotFound
        if there is no such file, format or split.
    Invalid
        if no format fits, several do, or the data break the format's rules.

    Examples
    --------
    >>> import tempfile
    >>> from vision_toolkit.data.images import encode_png
    >>> from vision_toolkit.data.storage import write_file
    >>> import numpy as np
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name in ("good/1.png", "bad/2.png"):
    ...     _ = write_file(folder / name, encode_png(np.zeros((8, 8), np.uint8)))
    >>> read_dataset(folder, format="folders", classes={"good": "normal", "bad": "anomaly"})
    Manifest(2 images: 1 normal, 1 anomaly)
    """
    parts = read_splits(
        path,
        format=format,
        images=images,
        columns=columns,
        classes=classes,
        label_from_regions=label_from_regions,
        paint=paint,
    )
    if split is not None:
        if split not in parts:
            there = ", ".join(repr(name) for name in parts if name) or "none: the whole is one"
            raise NotFound(f"{os.fspath(path)} has no split {split!r}; there are {there}.")
        return parts[split]
    manifests = list(parts.values())
    if len(manifests) == 1:
        return manifests[0]
    lines = (line for manifest in manifests for line in manifest.lines())
    return Manifest.from_lines(lines, name=_name_of(path))


def read_splits(
    path: str | os.PathLike[str],
    *,
    format: str = "auto",
    images: Images | None = None,
    columns: Mapping[str, str] | None = None,
    classes: Mapping[str, Label | str] | None = None,
    label_from_regions: bool = False,
    paint: bool = False,
) -> dict[str, Manifest]:
    r"""Read a data set of any format, each split as a manifest; one without splits is called ``""``.

    Parameters
    ----------
    path, format, images, columns, classes, label_from_regions, paint
        as :func:`read_dataset` takes them.

    Raises
    ------
    NotFound
        if there is no such file or format.
    Invalid
        if no format fits, several do, or the data break the format's rules.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "parts.csv")
    >>> _ = path.write_text("image,label,subset\n1.png,normal,train\n2.png,anomaly,test\n")
    >>> read_splits(path)
    {'train': Manifest(1 image: 1 normal), 'test': Manifest(1 image: 1 anomaly)}
    """
    if not is_local(path):
        raise Invalid(
            f"{os.fspath(path)} is not on this machine; copy it here first. (Manifest.read reads manifests anywhere.)"
        )
    place = local_path(path)
    meanings = _meanings(classes or {})
    if not exists(place):
        raise NotFound(f"Nothing is at {place}.")
    name = _detected(place) if format == "auto" else format
    options = _options(name, images, columns)
    with _clear_errors(place):
        found = load_format(name).read(place, options)
    return {
        split: _completed(part, _named(path, split), meanings, label_from_regions=label_from_regions, paint=paint)
        for split, part in found.items()
    }


@contextlib.contextmanager
def _clear_errors(path: Path) -> Iterator[None]:
    """Name the file or folder below ``path`` that the system does not let us read."""
    try:
        yield
    except OSError as error:
        raise Failed(f"{error.filename or path} cannot be read: {error.strerror or error}.") from error


def _options(name: str, images: Images | None, columns: Mapping[str, str] | None) -> ReadOptions:
    if columns and name != "csv":
        raise Invalid(f"columns= is for tables; the format is {name!r}.")
    folder = None
    if images is not None and not (isinstance(images, Mapping) or callable(images)):
        folder = local_path(images).absolute()
        if not folder.is_dir():
            raise Invalid(f"images names the folder {folder}, which is not there.")
    elif images is not None and not getattr(load_format(name), "KEEPS_LINES", False):
        raise Invalid(f"images= is one folder for the format {name!r}; only manifests have prefixes.")
    return ReadOptions(images=folder, columns=dict(columns or {}), places=images)


def fitting_formats(path: str | os.PathLike[str]) -> list[str]:
    """Return the names of the formats that a file or folder could be of.

    A folder that :func:`write_dataset` wrote is of that format alone, though its images may lie as another one has
    them; and a manifest that a labelling job left is read by the format that knows more of it.

    Parameters
    ----------
    path
        of a file or folder on this machine.

    Examples
    --------
    >>> import tempfile
    >>> fitting_formats(tempfile.mkdtemp())
    []
    """
    place = local_path(path)
    modules = {name: load_format(name) for name in format_names()}
    with _clear_errors(place):
        fitting = [name for name, module in modules.items() if module.detect(place)]
    ours = [name for name in modules if place.is_dir() and marker_of(place, name)]
    refined = {other for name in fitting for other in getattr(modules[name], "REFINES", ())}
    return ours or [name for name in fitting if name not in refined]


def _detected(path: Path) -> str:
    fitting = fitting_formats(path)
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise Invalid(f"{path} could be {' or '.join(map(repr, fitting))}; say which: format={fitting[0]!r}.")
    looked = "; ".join(f"{name!r}: {load_format(name).TITLE}" for name in format_names())
    raise Invalid(f"{path} is of no known format; if it is one all the same, say which: format=... There are {looked}.")


def _name_of(path: str | os.PathLike[str]) -> str:
    return local_path(path).absolute().name


def _named(path: str | os.PathLike[str], split: str) -> str:
    return f"{_name_of(path)} {split}".strip()


# ---------------------------------------------------------------- what the data do not say themselves


def _meanings(classes: Mapping[str, Label | str]) -> dict[str, Label]:
    meanings: dict[str, Label] = {}
    for name, label in classes.items():
        try:
            meaning = Label(str(label).casefold())
        except ValueError:
            allowed = ", ".join(repr(str(one)) for one in Label)
            raise Invalid(f"classes says that {name!r} means {label!r}; it must mean one of {allowed}.") from None
        if meanings.setdefault(name.strip().casefold(), meaning) is not meaning:
            raise Invalid(f"classes says two things of {name!r}; case does not count.")
    return meanings


def _completed(
    part: Sequence[Entry], name: str, meanings: Mapping[str, Label], *, label_from_regions: bool, paint: bool
) -> Manifest:
    manifest = part if isinstance(part, Manifest) else Manifest(part, name=name)
    steps: list[Callable[[Entry], Entry]] = []
    if meanings:
        shared = {label for label, n in Counter(meanings.values()).items() if n > 1}
        steps.append(lambda entry: _labelled_by_class(entry, meanings, shared))
    if label_from_regions:
        steps.append(_labelled_by_regions)
    if paint:
        names = tuple(dict.fromkeys(region.name for entry in manifest for region in entry.regions))
        steps.append(lambda entry: _painted(entry, names))
    if not steps:
        return manifest

    def completed(line: Entry | str) -> Entry | str:
        for step in steps:
            line = line if isinstance(line, str) else step(line)
        return line

    return Manifest.from_lines(map(completed, manifest.lines()), name=manifest.name)


def _labelled_by_class(entry: Entry, meanings: Mapping[str, Label], shared: set[Label]) -> Entry:
    said = [(tag, meanings.get(tag.name.strip().casefold())) for tag in entry.tags]
    tags = tuple(tag for tag, label in said if label is None or label is Label.UNLABELLED or label in shared)
    label = entry.label
    if label is Label.UNLABELLED:
        meant = {meaning for _, meaning in said if meaning is not None}
        meant |= {meanings[n] for n in (region.name.strip().casefold() for region in entry.regions) if n in meanings}
        label = next((one for one in (Label.ANOMALY, Label.NORMAL) if one in meant), label)
    return replace(entry, label=label, tags=tags) if (label, tags) != (entry.label, entry.tags) else entry


def _labelled_by_regions(entry: Entry) -> Entry:
    if entry.is_labelled:
        return entry
    marked = bool(entry.regions) or bool(entry.types and entry.mask and read_mask(entry.mask).types)
    return replace(entry, label=Label.ANOMALY if marked else Label.NORMAL)


def _painted(entry: Entry, names: Sequence[str]) -> Entry:
    if entry.mask is not None or not entry.regions:
        return entry
    facts = probe(entry)
    own = tuple(dict.fromkeys(region.name for region in entry.regions))
    mask = paint_regions(entry.regions, (facts.width, facts.height), names=names if len(names) < 256 else own)
    types = set(mask.types)
    colours = {n: colour for n, colour in zip(mask.names[1:], mask.colours[1:], strict=True) if n in types}
    return replace(entry, mask=MaskRef(inline(encode_mask(mask)), colours)) if colours else entry


# ---------------------------------------------------------------- writing


def write_dataset(
    data: Manifest | Mapping[str, Manifest],
    path: str | os.PathLike[str],
    *,
    format: str,
    images: Literal["copy", "link", "refer"] = "copy",
    overwrite: bool = False,
) -> Written:
    """Write a manifest, or one a split, in any format, and say what the format could not hold.

    Parameters
    ----------
    data
        a manifest, or manifests by split: ``{"train": ..., "test": ...}``.
    path
        the folder to make; with ``images="refer"`` it may be a file, see the format.
    format
        the format's name.
    images
        ``"copy"``: a folder that is complete in itself; ``"link"``: hard links where the disk allows, else copies;
        ``"refer"``: name the images where they lie, if the format can.
    overwrite
        replace what an earlier call wrote; a folder that anybody else put something into is left alone.

    Raises
    ------
    NotFound
        if there is no such format, or an image or mask is missing. Nothing is written then.
    Conflict
        if something is there already.
    Unsupported
        if the format cannot refer to images.
    Invalid
        if there is nothing to write, or the data cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> from vision_toolkit.data.formats.losses import LOSSES
    >>> from vision_toolkit.core import Tag
    >>> m = Manifest([Entry("s3://bucket/1.png", Label.NORMAL, tags=(Tag("wet", 0.5),))])
    >>> written = write_dataset(m, Path(tempfile.mkdtemp(), "parts.csv"), format="csv", images="refer")
    >>> print(written)
    /...parts.csv, written as csv, with losses:
      warning: Confidences are lost: s3://bucket/1.png. [lost-confidence]
    """
    if images not in ("copy", "link", "refer"):
        raise Invalid(f"images must be 'copy', 'link' or 'refer'; {images!r} was given.")
    module = load_format(format)
    parts = dict(data) if isinstance(data, Mapping) else {"": data}
    for split, manifest in parts.items():
        if not isinstance(split, str) or not isinstance(manifest, Manifest):
            raise Invalid(
                f"data is a Manifest or manifests by the name of their split; {type(manifest).__name__} was given."
            )
    if not any(len(manifest) for manifest in parts.values()):
        raise Invalid("There is no image to write.")
    target = local_path(path)
    if not (getattr(module, "KEEPS_LINES", False) or getattr(module, "KEEPS_BLANKS", False)):
        _check_names(entry for manifest in parts.values() for entry in manifest)
    found = module.write(parts, target, WriteOptions(images=images, overwrite=overwrite))
    kept = getattr(module, "KEEPS_LINES", False)
    losses = (*found, *(() if kept else _lost_keys(entry for part in parts.values() for entry in part)))
    return Written(target, format, losses)


def _check_names(entries: Iterable[Entry]) -> None:
    """Raise for a class without a name, which hardly a format's reader would take back."""
    for entry in entries:
        for name in (*(tag.name for tag in entry.tags), *(region.name for region in entry.regions), *entry.types):
            if not name.strip():
                raise Invalid(f"{entry.source} has a class without a name, {name!r}; name it or remove it.")


def _lost_keys(entries: Iterable[Entry]) -> tuple[Finding, ...]:
    """Tell what stood in the lines beside what entries hold."""
    losses = Losses()
    for entry in entries:
        data = decode_line(entry.raw, 0, lambda finding: None) if entry.raw is not None else None
        if data is None:
            continue
        read = {name: meta for name, meta, kind in attributes(data) if kind}
        known = {"source-ref", *read, *(f"{name}-metadata" for name in read)}
        odd = next((key for key in data if key not in known), None)
        dated = next((key for meta in read.values() for key in ("creation-date", "job-name") if key in meta), None)
        if odd is not None or dated is not None:
            losses.add("lost-keys", entry.source, repr(odd if odd is not None else dated))
    return losses.findings()
