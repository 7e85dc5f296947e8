"""Tables: a row an image, as comma, semicolon or tab separated values, with or without a header.

Columns are found by their names in any case (``source``, ``path``, ``filename`` ...; ``label``, ``class`` ...;
``mask``; ``type``; ``tags``; ``split``), without a header by what stands in them, as in the sample that Amazon turned
into manifests: ``s3://bucket/key.jpg,anomaly``. We write ``source,label,mask,types,tags,split``, where ``types`` is the
colour map of the mask as JSON and tags are separated by ``;``.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from vision_toolkit.core.entry import Entry, Finding, Label, MaskRef, Tag
from vision_toolkit.core.errors import Conflict, Failed, Invalid, NotFound
from vision_toolkit.core.mask import hex_to_rgb
from vision_toolkit.data.formats import Parts, ReadOptions, WriteOptions
from vision_toolkit.data.formats.files import (
    dataset_folder,
    is_hidden,
    note_names,
    place_image,
    place_mask,
    refer,
    shown,
    unique_names,
)
from vision_toolkit.data.formats.losses import Losses
from vision_toolkit.data.images import SUFFIXES
from vision_toolkit.data.locate import locator
from vision_toolkit.data.storage import is_inline, is_local, write_file

__all__ = ["KEEPS_BLANKS", "TITLE", "detect", "read", "write"]

TITLE = "CSV: a row an image"
"""What the format is called in words."""

KEEPS_BLANKS = True
"""A class of blanks is a class here."""

_WRITTEN = ("source", "label", "mask", "types", "tags", "split")
_NAMES = {
    "source": (
        "source", "source-ref", "image", "image-path", "image-file", "image-name", "image-uri", "path", "file",
        "filename", "file-name", "filepath", "file-path", "uri", "url", "img", "img-path",
    ),
    "label": ("label", "class", "class-name", "classname", "category", "anomaly-label", "classification", "target"),
    "mask": ("mask", "mask-path", "mask-ref", "mask-file", "mask-uri", "anomaly-mask-ref", "segmentation"),
    "type": ("type", "types", "anomaly-type", "defect", "defect-type"),
    "tags": ("tags", "tag"),
    "split": ("split", "subset", "set", "partition", "fold"),
}  # fmt: skip
_LABELS = {str(label): label for label in Label} | {"unlabeled": Label.UNLABELLED, "": Label.UNLABELLED}
_SUFFIXES = (".csv", ".tsv")
_GOOD = "good"
_WHITE = "#ffffff"
_HEAD = 1 << 16
_FILE = "dataset.csv"
_LONGEST = 16 << 20


@dataclass(frozen=True, slots=True)
class _Shape:
    """Say how a table is written: what separates cells, whether it has a header, where our columns are."""

    delimiter: str
    header: bool
    columns: Mapping[str, int]
    exact: bool = False
    """Whether we wrote it: then spaces count."""


# ---------------------------------------------------------------- what kind of table


def detect(path: Path) -> bool:
    """Return whether a ``.csv`` or ``.tsv`` file, or the only one in a folder, has a column of images."""
    if path.is_dir():
        tables = _tables_in(path)
        return len(tables) == 1 and detect(tables[0])
    if path.suffix.lower() not in _SUFFIXES or not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
        lines = _lines(_decoded(head, path, cut=len(head) == _HEAD))
        _shape(lines[: max(1, len(lines) - (len(head) == _HEAD))], path, {})
    except (OSError, Invalid):
        return False
    return True


def _tables_in(folder: Path) -> list[Path]:
    return [f for f in sorted(folder.iterdir()) if f.suffix.lower() in _SUFFIXES and not is_hidden(f) and f.is_file()]


def _decoded(data: bytes, path: Path, *, cut: bool = False) -> str:
    coding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(coding)
    except UnicodeDecodeError as error:
        if cut and error.start > len(data) - 8:
            return data[: error.start].decode(coding)
        line = data.count(b"\n", 0, error.start) + 1
        raise Invalid(f"{path}, line {line}: not UTF-8; save the table as UTF-8.") from None


def _lines(text: str) -> list[str]:
    return list(io.StringIO(text, newline=""))  # splitlines() would divide at form feeds too


def _name(cell: str) -> str:
    return cell.strip().casefold().replace("_", "-").replace(" ", "-")


def _is_place(cell: str) -> bool:
    text = cell.strip()
    return text.lower().endswith(SUFFIXES) or (not is_local(text) and not is_inline(text))


def _shape(lines: Sequence[str], path: Path, wanted: Mapping[str, str]) -> _Shape:
    """Tell how a table is written from its first lines.

    Of the delimiters the one counts that finds a column of images, in rows of equal length, and most columns.
    """
    unknown = [ours for ours in wanted if ours not in _NAMES]
    if unknown:
        raise Invalid(f"columns names {unknown[0]!r}; our columns are {', '.join(_NAMES)}.")
    best: tuple[tuple[bool, int], _Shape] | None = None
    told = ""
    for delimiter in ",;\t":
        try:
            rows = [row for row in csv.reader(lines[:50], delimiter=delimiter) if any(cell.strip() for cell in row)]
        except csv.Error:
            continue
        if not rows:
            continue
        header, columns = _columns(rows, wanted)
        if (header and not told) or len(rows[0]) > told.count(", ") + 1:
            told = ", ".join(cell.strip()[:40] for cell in rows[0])
        if "source" in columns:
            rank = len({len(row) for row in rows}) == 1, len(columns)
            if best is None or rank > best[0]:
                best = rank, _Shape(delimiter, header, columns, exact=tuple(rows[0]) == _WRITTEN)
    if best is None:
        if wanted:
            raise Invalid(f"{path} has no column {wanted.get('source', 'source')!r}; its first line is: {told}.")
        raise Invalid(
            f"{path} has no column that is known to name images; its first line is: {told or 'empty'}. Say which one "
            f"it is: columns={{'source': 'NAME'}}."
        )
    return best[1]


def _columns(rows: Sequence[Sequence[str]], wanted: Mapping[str, str]) -> tuple[bool, dict[str, int]]:
    """Return whether the first row is a header, and where our columns are."""
    names = [_name(cell) for cell in rows[0]]
    found: dict[str, int] = {}
    for ours, known in _NAMES.items():
        theirs = [_name(wanted[ours])] if ours in wanted else known
        place = next((names.index(name) for name in theirs if name in names), None)
        if place is not None:
            found[ours] = place
        elif ours in wanted:
            return True, {}
    if "source" in found:
        return True, found
    if wanted or not any(_is_place(cell) for cell in rows[0]):
        return True, {}
    return False, _columns_by_content(rows)


def _columns_by_content(rows: Sequence[Sequence[str]]) -> dict[str, int]:
    width = min(len(row) for row in rows)
    places = [i for i in range(width) if all(_is_place(row[i]) for row in rows)]
    words = [i for i in range(width) if not any(_is_place(row[i]) for row in rows)]
    found = {"source": places[0]} if places else {}
    if places and words:
        said = [i for i in words if any(row[i].strip().casefold() in ("normal", "anomaly") for row in rows)]
        found["label"] = (said or words)[0]
    if len(places) > 1:
        found["mask"] = places[1]
    return found


# ---------------------------------------------------------------- reading


def read(path: Path, options: ReadOptions) -> dict[str, Sequence[Entry]]:
    """Read a table, or the only one of a folder.

    A class that is neither normal, anomaly, unlabelled nor empty becomes a tag. A mask without a colour map is white
    where the defect is; its type is that of the row, or "anomaly".

    Raises
    ------
    NotFound
        if there is no such file.
    Invalid
        if no column names images, a row has none, or the file is no UTF-8.
    """
    file = path
    if path.is_dir():
        tables = _tables_in(path)
        if len(tables) != 1:
            names = ", ".join(table.name for table in tables) or "none"
            raise Invalid(f"{path} must have one table (*.csv, *.tsv) in it; it has {names}. Name the file.")
        file = tables[0]
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        raise NotFound(f"There is no file {file}.") from None
    except OSError as error:
        raise Failed(f"{file}: {error.strerror or error}.") from error
    lines = _lines(_decoded(data, file))
    shape = _shape(lines, file, options.columns)
    base = file.absolute().parent
    place = locator(options.images, str(base))
    parts: dict[str, list[Entry]] = {}
    for number, row in _rows(lines, shape, file):
        cells = {ours: row[i] if shape.exact else row[i].strip() for ours, i in shape.columns.items() if i < len(row)}
        entry = _read_row(cells, file, number)
        parts.setdefault(cells.get("split", ""), []).append(_slashed(place(entry), base))
    return dict(parts) if parts else {"": []}


def _rows(lines: Sequence[str], shape: _Shape, path: Path) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(lines, delimiter=shape.delimiter, strict=True)
    header = shape.header
    before = csv.field_size_limit(_LONGEST)
    try:
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            if header:
                header = False
                continue
            yield reader.line_num, row
    except csv.Error as error:
        raise Invalid(f"{path}, line {reader.line_num}: {error}.") from None
    finally:
        csv.field_size_limit(before)


def _read_row(cells: Mapping[str, str], path: Path, number: int) -> Entry:
    source = cells.get("source", "")
    if not source or "\0" in source:
        raise Invalid(f"{path}, line {number}: the row names no image.")
    said = cells.get("label", "")
    label = _LABELS.get(said.casefold())
    tags = [] if label is not None else [Tag(said)]
    tags += [Tag(name) for name in _listed(cells.get("tags", ""))]
    kind = cells.get("type", "")
    mask = None
    if cells.get("mask"):
        mask = MaskRef(cells["mask"], _colours(kind, label, path, number))
    elif kind and not kind.startswith("{") and kind.casefold() not in (*_LABELS, _GOOD, "none"):
        tags.append(Tag(kind))
    return Entry(source, label or Label.UNLABELLED, tuple(dict.fromkeys(tags)), mask=mask)


def _colours(kind: str, label: Label | None, path: Path, number: int) -> dict[str, str]:
    if not kind.startswith("{"):
        return {} if label is Label.NORMAL else {kind or str(Label.ANOMALY): _WHITE}
    try:
        colours = {str(name): str(colour) for name, colour in json.loads(kind).items()}
        for colour in colours.values():
            hex_to_rgb(colour)
    except (ValueError, AttributeError, RecursionError):
        raise Invalid(
            f'{path}, line {number}: types must be like {{"scratch": "#23A436"}}; it is {kind[:80]}.'
        ) from None
    return colours


def _listed(cell: str) -> list[str]:
    if cell.startswith("["):
        try:
            names = json.loads(cell)
            if isinstance(names, list):
                return [str(name) for name in names]
        except (ValueError, RecursionError):
            pass
    return [name.strip() for name in cell.split(";") if name.strip()]


def _slashed(entry: Entry, base: Path) -> Entry:
    """Find an image whose path was written on Windows."""
    if "\\" not in entry.source or entry.at is None or os.path.exists(entry.at):
        return entry
    candidate = base / entry.source.replace("\\", "/")
    return replace(entry, at=str(candidate)) if candidate.is_file() else entry


# ---------------------------------------------------------------- writing


def write(parts: Parts, path: Path, options: WriteOptions) -> Sequence[Finding]:
    """Write a folder with ``dataset.csv``, ``images/`` and ``masks/``; with ``images="refer"`` the table alone.

    Raises
    ------
    Conflict
        if something is there already and may not be overwritten.
    Invalid
        if a mask has no file of its own and only the table is to be written.
    NotFound
        if an image or a mask is not there.
    """
    losses = Losses()
    every = [(split, entry) for split, entries in parts.items() for entry in entries]
    if options.images == "refer":
        if path.is_dir():
            raise Conflict(f"{path} is a folder; name a file, for images='refer' writes one table.")
        inline = [entry for _, entry in every if entry.mask and is_inline(entry.mask.uri)]
        if inline:
            raise Invalid(
                f"The mask of {shown(inline[0].source)} has no file of its own ({len(inline):,} have none); "
                "use images='copy', which writes masks too."
            )
        base = path.absolute().parent
        rows = []
        for split, entry in every:
            mask = entry.mask and replace(entry.mask, uri=refer(entry.mask.uri, entry.mask.at, base))
            rows.append(_row(replace(entry, source=refer(entry.source, entry.at, base), mask=mask), split, losses))
        write_file(path, _table(rows), overwrite=options.overwrite)
        return losses.findings()
    if path.suffix.lower() in _SUFFIXES and not path.is_dir():
        raise Invalid(
            f"With images={options.images!r} a folder is written, with {_FILE} and the images in it; {path.name!r} was "
            "given. Name a folder, or use images='refer' for the table alone."
        )
    bare = [replace(e, source=e.source.removeprefix("images/") or e.source) for _, e in every]
    names = unique_names(bare, stems=True)
    note_names(losses, bare, names)
    with dataset_folder(path, options, format="csv") as folder:
        rows = []
        for (split, entry), name in zip(every, names, strict=True):
            source = place_image(entry, folder, f"images/{name}", options)
            mask = entry.mask
            if mask is not None:
                mask = place_mask(entry, folder, str(PurePosixPath("masks", name).with_suffix(".png")), options)
                if mask.colours != (entry.mask and entry.mask.colours):
                    losses.add("lost-colours", shown(entry.source), "no type may be white")
            rows.append(_row(replace(entry, source=source, mask=mask), split, losses))
        write_file(folder / _FILE, _table(rows))
    return losses.findings()


def _row(entry: Entry, split: str, losses: Losses) -> list[str]:
    if any(tag.confidence is not None for tag in entry.tags):
        losses.add("lost-confidence", shown(entry.source))
    if entry.regions:
        losses.add("lost-regions", shown(entry.source))
    tags = [tag.name for tag in entry.tags]
    plain = ";".join(tags)
    if _listed(plain) != tags:
        plain = json.dumps(tags, ensure_ascii=False)
    types = json.dumps(dict(entry.mask.colours), ensure_ascii=False) if entry.mask else ""
    label = "" if entry.label is Label.UNLABELLED else str(entry.label)
    return [entry.source, label, entry.mask.uri if entry.mask else "", types, plain, split]


def _table(rows: Sequence[Sequence[str]]) -> bytes:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(_WRITTEN)
    writer.writerows(rows)
    try:
        return buffer.getvalue().encode()
    except UnicodeEncodeError as error:
        raise Invalid(f"{error.object[max(0, error.start - 40) : error.end]!r} cannot be written as UTF-8.") from None
