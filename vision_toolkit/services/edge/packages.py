"""Packages as an agent is given them: in folders, or in zip files that are unpacked into a folder of its own."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import stat
import zipfile
from pathlib import Path, PurePosixPath
from typing import IO, Any

from vision_toolkit.core.errors import Invalid, NotFound, VisionError
from vision_toolkit.data.storage import new_folder
from vision_toolkit.models.export import verify_package

__all__ = ["MOST_BYTES", "MOST_FILES", "GivenPackage"]

MOST_BYTES = 4_000_000_000
"""Bytes that a zip file may unpack to."""
MOST_FILES = 10_000
"""Files that it may hold."""
_FACTS = "package.json"
_MOST_FACTS = 10_000_000
_NAME = re.compile(r"[a-zA-Z0-9_.-]{1,128}")


class GivenPackage:
    """Be a package as it was named on the command line.

    Nothing of it is trusted before :meth:`ready`, which compares the checksums.

    Parameters
    ----------
    word
        the path of a folder or a zip file, or ``NAME=PATH``.
    folder
        where zip files are unpacked to.

    Raises
    ------
    Invalid
        if its name is none that a component can have.

    Examples
    --------
    >>> GivenPackage("plates=nowhere.zip", Path("edge")).name
    'plates'
    """

    def __init__(self, word: str, folder: Path) -> None:
        name, equals, path = word.partition("=")
        if not equals or Path(word).exists():
            name, path = "", word
        self.path, self._folder = Path(path), folder
        facts = _peek(self.path)
        component = facts.get("component")
        component = component if isinstance(component, dict) else {"name": component}
        self.name = name or _text(component, "name") or self._plain_name()
        """Of the component, by which clients ask for it."""
        self.arn = _text(component, "arn") or _text(facts, "model_arn")
        """Of the model that it was made of; empty where the package does not say."""
        if not _NAME.fullmatch(self.name):
            raise Invalid(
                f"{self.name[:80]!r} is no name of a component: 1 to 128 letters, digits, '.', '-' and '_' are "
                f"allowed. Give another one: NAME={self.path}."
            )
        self.unpacked: Path | None = None
        """Where a zip file was unpacked to; None before, and for a folder."""

    def _plain_name(self) -> str:
        name = self.path.absolute().name
        return re.sub(r"[^a-zA-Z0-9_.-]+", "-", name.removesuffix(".zip"))[:128]

    def ready(self) -> Path:
        """Return the folder of the verified package, unpacked if need be.

        Raises
        ------
        NotFound
            if nothing is there.
        Invalid
            if it is no package, is damaged, or was changed after the export.
        Failed
            if the disk refuses; nothing is left behind then.
        """
        if self.path.is_dir():
            verify_package(self.path)
            return self.path
        if not self.path.is_file():
            raise NotFound(f"There is no package {self.path}; name a package's folder or zip file.")
        with self.path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()[:16]
        place = self._folder / f"{self.name}-{digest}"
        if place.is_dir():
            try:
                verify_package(place)
            except (Invalid, NotFound):  # somebody was in it; the zip file is whole
                shutil.rmtree(place)
        if not place.is_dir():
            with new_folder(place) as temporary:
                try:
                    _unpack(self.path, temporary)
                    verify_package(temporary)
                except (Invalid, NotFound) as error:
                    raise Invalid(str(error).replace(str(temporary), str(self.path))) from None
        self.unpacked = place
        return place


def _text(facts: dict[str, Any], key: str) -> str:
    value = facts.get(key)
    return value if isinstance(value, str) else ""


def _peek(path: Path) -> dict[str, Any]:
    """Return what a package says of itself, unverified; nothing where it cannot be read."""
    try:
        if path.is_dir():
            data = (path / _FACTS).read_bytes()
        else:
            with zipfile.ZipFile(path) as archive, archive.open(_FACTS) as file:
                data = file.read(_MOST_FACTS)
        facts = json.loads(data)
    except Exception:  # noqa: BLE001 - a damaged zip file can end its reader in any error; ready() tells what is wrong
        return {}
    return facts if isinstance(facts, dict) else {}


def _unpack(path: Path, folder: Path) -> None:
    """Unpack a zip file: no file outside the folder, no link, and never more than a package may have."""
    left = MOST_BYTES
    try:
        with zipfile.ZipFile(path) as archive:
            files = [one for one in archive.infolist() if not one.is_dir()]
            if len(files) > MOST_FILES:
                raise Invalid(f"{path} holds {len(files):,} files; a package has at most {MOST_FILES:,}.")
            for one in files:
                target = folder / _inside(path, one)
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(one) as source, target.open("xb") as file:
                    left -= _copy(source, file, left)
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        raise Invalid(f"{path} holds one name twice, as a file or a folder; export the model again.") from None
    except (VisionError, OSError):
        raise
    except Exception as error:  # noqa: BLE001 - a damaged zip file can end its reader in any error
        raise Invalid(f"{path} is damaged, or no zip file that can be read: {str(error)[:200]}.") from None


def _inside(path: Path, one: zipfile.ZipInfo) -> PurePosixPath:
    name = PurePosixPath(one.filename)
    strange = name.is_absolute() or ".." in name.parts or "\\" in one.filename or ":" in one.filename
    kind = stat.S_IFMT(one.external_attr >> 16)
    if strange or not name.parts or kind not in (0, stat.S_IFREG):
        raise Invalid(f"{path} holds {one.filename[:80]!r}, which is no plain file inside it; nothing was unpacked.")
    return name


def _copy(source: IO[bytes], target: IO[bytes], most: int) -> int:
    """Copy what is there, whatever the archive says that it is; return how many bytes."""
    done = 0
    while part := source.read(1 << 20):
        done += len(part)
        if done > most:
            raise Invalid(f"A package unpacks to at most {MOST_BYTES:,} bytes; this one to more.")
        target.write(part)
    return done
