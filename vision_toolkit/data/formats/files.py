"""What all writers share: copied or linked images and masks, a folder that is whole or not there.

The names of :mod:`.names` are at hand here too.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from vision_toolkit.core.entry import Entry, MaskRef
from vision_toolkit.core.errors import Conflict, Failed, Invalid, NotFound
from vision_toolkit.core.mask import Mask, palette_colour
from vision_toolkit.data.formats import WriteOptions
from vision_toolkit.data.formats.names import (
    folder_beside,
    is_hidden,
    name_key,
    note_names,
    safe_name,
    shown,
    split_names,
    unique_names,
)
from vision_toolkit.data.images import SUFFIXES, ImageFacts, encode_mask, probe, read_mask
from vision_toolkit.data.storage import is_local, local_path, new_folder, read_bytes, write_file

__all__ = [
    "MARKER",
    "dataset_folder",
    "folder_beside",
    "image_files",
    "is_hidden",
    "marker_of",
    "name_key",
    "note_names",
    "place_image",
    "place_mask",
    "placed_facts",
    "refer",
    "safe_name",
    "set_colours",
    "shown",
    "sources_outside",
    "split_names",
    "unique_names",
]

MARKER = ".vision_toolkit.json"
"""File in every folder that a writer made: only such a folder is ever replaced."""

_PNG = b"\x89PNG\r\n\x1a\n"


# ---------------------------------------------------------------- reading


def image_files(folder: Path, *, deep: bool = True) -> Iterator[Path]:
    """Yield the images of a folder by name; hidden ones are passed over, suffixes are taken in any case.

    Parameters
    ----------
    folder
        one that is not there holds nothing.
    deep
        go into its folders too; a link to a folder is followed, but never into itself.
    """
    yield from _walk(folder, deep, frozenset())


def _walk(folder: Path, deep: bool, above: frozenset[str]) -> Iterator[Path]:
    try:
        real = os.path.realpath(folder)
        children = sorted(folder.iterdir(), key=lambda path: path.name) if real not in above else []
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise Failed(f"{folder}: {error.strerror or error}.") from error
    for child in children:
        if is_hidden(child):
            continue
        if child.is_dir():
            if deep:
                yield from _walk(child, deep, above | {real})
        elif child.suffix.lower() in SUFFIXES and child.is_file():
            yield child


# ---------------------------------------------------------------- writing


@contextlib.contextmanager
def dataset_folder(
    path: str | os.PathLike[str], options: WriteOptions, *, format: str, facts: Mapping[str, object] | None = None
) -> Iterator[Path]:
    """Yield a folder to write into, which becomes ``path`` when the block ends well and vanishes otherwise.

    With ``options.overwrite`` a folder is replaced if an earlier call wrote it and nobody put anything in since.

    Parameters
    ----------
    path
        the folder to make; an empty one is replaced.
    options
        as a format's ``write`` takes them.
    format
        the format's name, for the marker file.
    facts
        what else to write into the marker file, for :func:`marker_of`.

    Raises
    ------
    Conflict
        if the folder is there and may not be replaced.
    Failed
        if the disk refuses.
    """
    target = Path(os.path.abspath(local_path(path)))
    kept: tuple[str, ...] = ()
    if options.overwrite and target.is_dir() and any(target.iterdir()):
        kept = _made_here(target)
    with new_folder(target, overwrite=options.overwrite, names=kept) as folder:
        yield folder
        top = sorted(child.name for child in folder.iterdir())
        files = sum(len(names) for _, _, names in os.walk(folder))
        marker = {"format": format, "version": 1, "holds": top, "files": files, **(facts or {})}
        write_file(folder / MARKER, (json.dumps(marker, ensure_ascii=False, indent=1) + "\n").encode())


def marker_of(folder: Path, format: str) -> dict[str, object]:
    """Return what :func:`dataset_folder` noted in a folder of this format, or nothing."""
    try:
        marker = json.loads((folder / MARKER).read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return marker if isinstance(marker, dict) and marker.get("format") == format else {}


def _made_here(target: Path) -> tuple[str, ...]:
    """Return what an earlier call wrote into a folder, or raise if it is not all ours."""
    try:
        marker = json.loads((target / MARKER).read_text("utf-8"))
        holds, count = tuple(str(name) for name in marker["holds"]), int(marker["files"])
    except (OSError, ValueError, KeyError, TypeError):
        raise Conflict(
            f"{target} was not written by a call like this, so it is left alone; give another name."
        ) from None
    there = sum(len(names) for _, _, names in os.walk(target)) - 1
    if there > count:
        raise Conflict(
            f"{target} holds {there - count:,} files more than were written there, so it is left alone; "
            "give another name."
        )
    return (MARKER, *holds)


def _below(folder: Path, name: str) -> Path:
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or "\0" in name:
        raise Invalid(f"{name!r} is no name below a folder.")
    target = folder.joinpath(*parts)
    if target.exists() or target.is_symlink():
        raise Conflict(f"{target} is there already; two images cannot share a name.")
    target.parent.mkdir(parents=True, exist_ok=True)
    return target


def place_image(entry: Entry, folder: Path, name: str, options: WriteOptions) -> str:
    """Copy or link an image's file into a folder, byte for byte, and return its name there.

    Parameters
    ----------
    entry
        whose ``location`` is taken.
    folder
        of the data set, as :func:`dataset_folder` yields it.
    name
        POSIX path below it, one of :func:`unique_names` with a folder before it for example.
    options
        ``images="link"`` makes a hard link where the disk allows. (``"refer"`` copies nothing: do not call this,
        call :func:`refer`.)

    Raises
    ------
    NotFound
        if there is no such image.
    Conflict
        if the name is taken.
    Invalid
        if the name leads out of the folder.
    """
    try:
        _place(entry.location, _below(folder, name), options)
    except NotFound:
        raise NotFound(
            f"The image {entry.source} is not at {entry.location}; say where it is (images='folder/') or leave it out."
        ) from None
    return name


def placed_facts(entry: Entry, file: Path) -> ImageFacts:
    """Read the header of an image that was placed; an error names the image and not its copy.

    Raises
    ------
    Invalid
        if it is no image or too large.
    """
    try:
        return probe(file)
    except Invalid as error:
        raise Invalid(str(error).replace(str(file), entry.source)) from None


def place_mask(
    entry: Entry, folder: Path, name: str, options: WriteOptions, *, colours: Mapping[str, str] | None = None
) -> MaskRef:
    """Copy an entry's mask into a folder as PNG, and return the mask as it is there.

    A PNG is copied byte for byte. It is painted anew where it is no PNG, where it must have other colours, or where a
    type is painted in the background's white, which readers of Lookout's manifests cannot tell apart. A mask without
    types whose file is not there becomes an empty one of the image's size.

    Parameters
    ----------
    entry
        one with a mask.
    folder, name, options
        as of :func:`place_image`; ``name`` ends with ``.png``.
    colours
        ``#rrggbb`` of each type in this set, :func:`set_colours` of it for example; by default the mask's own.

    Returns
    -------
    MaskRef
        its ``uri`` is ``name``, its colours those that it is painted in.

    Raises
    ------
    NotFound
        if there is no such mask.
    Invalid
        if it cannot be read, or the name leads out of the folder.
    """
    ref = entry.mask
    assert ref is not None
    target = _below(folder, name)
    wanted = set_colours([entry]) if colours is None else {kind: colours[kind] for kind in ref.colours}
    size = None
    try:
        head = _head(ref.location)
    except NotFound:
        if ref.colours:
            raise NotFound(
                f"The mask of {entry.source} is not at {shown(ref.location)}; say where it is (images='folder/') "
                "or remove it."
            ) from None
        facts = probe(entry)
        head, size = b"", (facts.width, facts.height)
    if head == _PNG and all(ref.colours[kind].casefold() == colour.casefold() for kind, colour in wanted.items()):
        _place(ref.location, target, options)
        return MaskRef(name, ref.colours)
    mask = read_mask(ref, size=size)
    painted = (palette_colour(0), *(wanted[kind] for kind in mask.names[1:]))
    _write(target, encode_mask(Mask(mask.ids, mask.names, painted)))
    return MaskRef(name, wanted)


def set_colours(entries: Iterable[Entry]) -> dict[str, str]:
    """Return one colour for each type of a set: the first that it has, if no other type has it and it is not white.

    Examples
    --------
    >>> set_colours([Entry("1.png", mask=MaskRef("1m.png", {"crack": "#ffffff", "hole": "#14A3B3"}))])
    {'crack': '#23A436', 'hole': '#14A3B3'}
    """
    colours: dict[str, str] = {}
    taken = {palette_colour(0).casefold()}
    waiting = []
    for entry in entries:
        for kind, colour in entry.mask.colours.items() if entry.mask else ():
            if kind in colours:
                continue
            colours[kind] = colour
            if colour.casefold() in taken:
                waiting.append(kind)
            taken.add(colour.casefold())
    for kind in waiting:
        colours[kind] = next(c for c in map(palette_colour, range(1, 1024)) if c.casefold() not in taken)
        taken.add(colours[kind].casefold())
    return colours


def _head(location: str) -> bytes:
    if is_local(location):
        try:
            with local_path(location).open("rb") as file:
                return file.read(8)
        except (FileNotFoundError, NotADirectoryError):
            raise NotFound(f"Nothing is at {location}.") from None
        except OSError as error:
            raise Failed(f"{location}: {error.strerror or error}.") from error
    return read_bytes(location)[:8]


def _place(location: str, target: Path, options: WriteOptions) -> None:
    if not is_local(location):
        _write(target, read_bytes(location))
        return
    source = local_path(location)
    if not source.is_file():
        raise NotFound(f"Nothing is at {location}.")
    try:
        if options.images == "link":
            with contextlib.suppress(OSError):
                os.link(os.path.realpath(source), target)
                return
        shutil.copyfile(source, target)
    except OSError as error:
        raise Failed(f"{location} cannot be copied to {target}: {error.strerror or error}.") from error


def _write(target: Path, data: bytes) -> None:
    try:
        target.write_bytes(data)
    except OSError as error:
        raise Failed(f"{target}: {error.strerror or error}.") from error


def refer(source: str, at: str | None, base: Path) -> str:
    """Return what a file in folder ``base`` calls an image or mask that stays where it is.

    A URI stays as it is; a local file is named relative to ``base``.

    Examples
    --------
    >>> refer("s3://bucket/1.png", "/data/1.png", Path("/sets")), refer("1.png", "/data/1.png", Path("/sets"))
    ('s3://bucket/1.png', '../data/1.png')
    """
    if not is_local(source):
        return source
    if source.startswith("file://") or (at is None and os.path.isabs(source)):
        return source
    path = local_path(at if at is not None and is_local(at) else source).absolute()
    try:
        return Path(os.path.relpath(path, os.path.abspath(base))).as_posix()
    except ValueError:  # another drive
        return path.as_posix()


def sources_outside(entries: Sequence[Entry], folder: Path) -> None:
    """Raise where a folder that is about to be replaced holds an image that is only referred to."""
    root = os.path.abspath(folder)
    for entry in entries:
        for place in (entry.location, entry.mask.location if entry.mask else ""):
            if place and is_local(place) and os.path.abspath(local_path(place)).startswith(root + os.sep):
                raise Conflict(f"{place} lies in {root}, which would be replaced; write elsewhere, or images='copy'.")
