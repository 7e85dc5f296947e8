"""Outside formats, in and out: one module each, listed in :data:`FORMATS`.

A format's module has three functions and a ``TITLE``:

``detect(path)``
    whether a file or folder looks like this format; quick, and never wrong about somebody else's.
``read(path, options)``
    the entries of each split, ``{"": [...]}`` where the format has no splits.
``write(parts, path, options)``
    writes the splits and returns a Finding for everything that the format cannot say.

A reader writes nothing: a mask that has no file of its own (run lengths, brush strokes) comes as a ``data:`` URI, which
:meth:`Manifest.write <vision_toolkit.data.Manifest.write>` puts into files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Literal, cast

from vision_toolkit.core.entry import Entry
from vision_toolkit.core.errors import Invalid, NotFound
from vision_toolkit.data.locate import Images

__all__ = ["FORMATS", "ReadOptions", "WriteOptions", "format_names", "load_format"]

Parts = Mapping[str, Sequence[Entry]]
"""The entries of each split: ``train``, ``test``, ...; the only one is called ``""``."""

FORMATS: dict[str, str] = {
    "lookout": "vision_toolkit.data.formats.lookout",
    "folders": "vision_toolkit.data.formats.folders",
    "mvtec": "vision_toolkit.data.formats.mvtec",
    "aws-export": "vision_toolkit.data.formats.aws_export",
    "ground-truth": "vision_toolkit.data.formats.ground_truth",
    "coco": "vision_toolkit.data.formats.coco",
    "yolo": "vision_toolkit.data.formats.yolo",
    "voc": "vision_toolkit.data.formats.voc",
    "csv": "vision_toolkit.data.formats.csv",
    "label-studio": "vision_toolkit.data.formats.label_studio",
    "oci": "vision_toolkit.data.formats.oci",
}
"""Every format by name; a package adds its own under the entry point group ``vision_toolkit.formats``."""


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """Say what a file does not: where its images lie, and which columns of a table are meant.

    Parameters
    ----------
    images
        folder of the images, where they are not where the format puts them.
    columns
        CSV only: our name (``source``, ``label``, ``mask``, ``type``) to the table's.
    places
        manifests only: what :meth:`Manifest.read <vision_toolkit.data.Manifest.read>` takes as ``images``, a folder
        or a mapping of prefixes to folders. Where it is a folder, ``images`` is that folder too.
    """

    images: Path | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    places: Images | None = None


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """Say how to write.

    Parameters
    ----------
    images
        ``"copy"``: a folder that is complete in itself; ``"link"``: hard links where the disk allows, else copies;
        ``"refer"``: name the images where they lie, if the format can.
    overwrite
        replace what an earlier call wrote.
    """

    images: Literal["copy", "link", "refer"] = "copy"
    overwrite: bool = False


def format_names() -> tuple[str, ...]:
    """Return the name of every format: our own, then those of installed packages. Nothing is imported for it.

    Examples
    --------
    >>> format_names()[:3]
    ('lookout', 'folders', 'mvtec')
    """
    return (*FORMATS, *(name for name in sorted(_from_packages()) if name not in FORMATS))


def load_format(name: str) -> ModuleType:
    """Return the module of a format.

    Raises
    ------
    NotFound
        if there is none of this name.
    Invalid
        if another package's module lacks one of the three functions.

    Examples
    --------
    >>> load_format("folders").TITLE
    'Folders: one a class, normal/ and anomaly/'
    """
    if name in FORMATS:
        return import_module(FORMATS[name])
    packages = _from_packages()
    if name not in packages:
        raise NotFound(f"no format {name!r}; there are: {', '.join(format_names())}.")
    module = packages[name].load()
    missing = [part for part in ("TITLE", "detect", "read", "write") if not hasattr(module, part)]
    if missing:
        raise Invalid(f"The format {name!r} ({packages[name].value}) has no {', '.join(missing)}.")
    return cast("ModuleType", module)


def _from_packages() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group="vision_toolkit.formats")}
