"""Names for images in a new folder: safe on every disk, unique, and as near to the old ones as can be.

Names are POSIX paths below the new folder. None leads out of it, whatever the source is called.
"""

from __future__ import annotations

import contextlib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import takewhile
from pathlib import Path, PurePosixPath

from vision_toolkit.core.entry import Entry
from vision_toolkit.core.errors import Invalid
from vision_toolkit.data.formats.losses import Losses
from vision_toolkit.data.images import SUFFIXES
from vision_toolkit.data.storage import is_inline, is_local, local_path, read_bytes

__all__ = [
    "folder_beside",
    "is_hidden",
    "name_key",
    "note_names",
    "safe_name",
    "shown",
    "split_names",
    "unique_names",
]

_REFUSED = re.compile(r'[<>:"|?*\x00-\x1f\x7f\uf03a\ud800-\udfff]')
_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}
_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", ".png"),
    (b"\xff\xd8\xff", ".jpg"),
    (b"BM", ".bmp"),
    (b"II*\0", ".tif"),
    (b"MM\0*", ".tif"),
)
_NO_IMAGES = {"thumbs.db", "desktop.ini", "__macosx"}


def safe_name(name: str, *, otherwise: str = "_") -> str:
    """Return one part of a path that every disk takes: no separator, nothing hidden, no reserved word.

    Examples
    --------
    >>> safe_name("cam 1:22.png"), safe_name(".."), safe_name(".hidden"), safe_name("nul.png")
    ('cam 1_22.png', '_', '_hidden', '_nul.png')
    """
    text = unicodedata.normalize("NFC", _REFUSED.sub("_", name.replace("/", "_").replace("\\", "_")))
    text = text.rstrip(" .").lstrip(" ")
    if text.startswith("."):
        text = "_" + text[1:]
    if text.partition(".")[0].rstrip(" ").casefold() in _RESERVED or text.casefold() in _NO_IMAGES:
        text = "_" + text
    stem, dot, suffix = text.rpartition(".")
    while len(text.encode()) > 180:  # most disks take 255 bytes; room is left for numbers and endings
        if dot and len(suffix) <= 10 and len(stem) > 1:
            stem = stem[:-1]
            text = f"{stem}.{suffix}"
        else:
            text = text[:-1]
            dot = ""
    return text or otherwise


def _parts(source: str, common: Sequence[str]) -> list[str]:
    if is_inline(source):
        return ["image"]
    if not is_local(source):
        parts = source.partition("://")[2].split("/")[1:]
    else:
        parts = source.removeprefix("file://").replace("\\", "/").split("/")
        if _is_absolute(source):
            parts = parts[len(common) :]
    return [part for part in parts if part not in ("", ".", "..")] or ["image"]


def _is_absolute(source: str) -> bool:
    return is_local(source) and bool(re.match(r"[/\\]|file://|[A-Za-z]:[\\/]", source))


def _common_folder(sources: Iterable[str]) -> list[str]:
    """Return the parts of the folder that all absolute paths share."""
    common: list[str] | None = None
    for source in sources:
        if _is_absolute(source):
            parts = source.removeprefix("file://").replace("\\", "/").split("/")[:-1]
            if common is None:
                common = parts
            elif parts[: len(common)] != common:
                common = [
                    one for one, _ in takewhile(lambda pair: pair[0] == pair[1], zip(common, parts, strict=False))
                ]
    return common or []


def unique_names(entries: Iterable[Entry], *, stems: bool = False, flat: bool = False) -> list[str]:
    r"""Return a safe name below a folder for each image, no two alike even where case does not count.

    A relative source keeps its folders, an ``s3://`` URI its key; absolute paths lose the folder that all of them
    share. ``..``, reserved words and characters that some disk refuses are replaced; a name that is taken gets a
    number.

    Parameters
    ----------
    entries
        the images of *all* splits that share the folder.
    stems
        let names differ without their suffix too, for formats that put ``a.txt`` beside ``a.png``.
    flat
        drop the folders.

    Examples
    --------
    >>> unique_names([Entry("a/1.png"), Entry("A/1.PNG"), Entry("s3://bucket/../../x/2.jpg"), Entry("/etc/3.png")])
    ['a/1.png', 'A/1-2.PNG', 'x/2.jpg', '3.png']
    >>> unique_names([Entry("a/1.png"), Entry("b/1.jpg")], flat=True, stems=True)
    ['1.png', '1-2.jpg']
    """
    images = list(entries)
    common = _common_folder(image.source for image in images)
    taken: set[str] = set()
    parents: set[str] = set()
    numbers: dict[str, int] = {}
    names = []
    for image in images:
        parts = [safe_name(part) for part in _parts(image.source, common)]
        path = folder_beside(parts[:-1] if not flat else [], taken) / parts[-1]
        known = path.suffix.lower() in SUFFIXES
        suffix = path.suffix if known else _suffix_of(image)
        stem = path.name.removesuffix(path.suffix) if known else path.name
        wanted = name_key(path if known and not stems else path.with_name(f"{stem}{suffix * (not stems)}"))
        while True:
            count = numbers[wanted] = numbers.get(wanted, 0) + 1
            name = path.with_name(f"{stem}{f'-{count}' * (count > 1)}{suffix}")
            keys = {name_key(name), name_key(name.with_suffix("")) if stems else name_key(name)}
            if not keys & taken and not keys & parents:
                break
        taken |= keys
        parents |= {name_key(parent) for parent in name.parents if parent.name}
        names.append(str(name))
    return names


def folder_beside(parts: Sequence[str], taken: set[str]) -> PurePosixPath:
    """Return a folder that is not called as a file that is there."""
    folder = PurePosixPath()
    for part in parts:
        folder /= part
        while name_key(folder) in taken:
            folder = folder.with_name(f"{folder.name}_")
    return folder


def name_key(path: PurePosixPath) -> str:
    """Return what two names share that are one file on some disk: neither case nor Unicode's form counts."""
    return unicodedata.normalize("NFC", str(path)).casefold()


def _suffix_of(entry: Entry) -> str:
    """Tell the ending of an image that has none from its first bytes, where they are at hand."""
    head = b""
    if is_inline(entry.location):
        head = read_bytes(entry.location)[:16]
    elif is_local(entry.location):
        with contextlib.suppress(OSError), local_path(entry.location).open("rb") as file:
            head = file.read(16)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return ".webp"
    return next((suffix for magic, suffix in _MAGIC if head.startswith(magic)), ".png")


def note_names(losses: Losses, entries: Sequence[Entry], names: Sequence[str], *, flat: bool = False) -> None:
    """Note every image whose new name is not the end of its old one; with ``flat`` only the last part counts."""
    for entry, name in zip(entries, names, strict=True):
        old = "" if is_inline(entry.source) else entry.source.replace("\\", "/")
        new = PurePosixPath(name).name if flat else name
        if old != new and not old.endswith("/" + new):
            losses.add("lost-name", shown(entry.source), f"it is called {new}")


def split_names(splits: Iterable[str]) -> dict[str, str]:
    """Return each split's name as a folder may be called.

    Raises
    ------
    Invalid
        if two splits would share a folder, or one is called like nothing.

    Examples
    --------
    >>> split_names(["train", "a/b"])
    {'train': 'train', 'a/b': 'a_b'}
    """
    listed = list(splits)
    names = {split: safe_name(split, otherwise="") for split in listed}
    if len({name.casefold() for name in names.values()}) < len(listed) or any(
        split and not name for split, name in names.items()
    ):
        raise Invalid(f"Splits need names that differ as folders do; {listed!r} were given.")
    return names


def shown(location: str) -> str:
    """Return a location as an error names it: one that is its own content is not spelled out."""
    return location.partition(",")[0] + ",..." if is_inline(location) else location


def is_hidden(path: Path | PurePosixPath) -> bool:
    """Return whether a file or folder is none of the user's: hidden, ``Thumbs.db``, ``__MACOSX``."""
    return path.name.startswith(".") or path.name.casefold() in _NO_IMAGES
