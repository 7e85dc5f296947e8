"""Keep the objects of buckets as plain files, which a person can look into, copy and back up."""

from __future__ import annotations

import contextlib
import errno
import filecmp
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from vision_toolkit.core.errors import Failed, Invalid, NotFound, Unsupported, VisionError
from vision_toolkit.data.storage import new_file, open_bytes, read_bytes
from vision_toolkit.workspace.addresses import Address, check_on_disk

__all__ = ["FolderStore"]

_WRITING = ".writing"


class FolderStore:
    """Keep the object ``s3://BUCKET/KEY`` in the file ``FOLDER/s3/BUCKET/KEY``.

    A bucket is there as soon as something is in it. It may be a link to a folder elsewhere, which is its owner's wish;
    inside it no link to a folder is followed, and none to a file that leads out of it. A disk that does not tell ``A``
    from ``a`` holds one of them.

    Parameters
    ----------
    folder
        the folder of all buckets.

    Examples
    --------
    >>> import tempfile
    >>> store, one = FolderStore(Path(tempfile.mkdtemp())), Address("s3", "factory", "parts/1.png")
    >>> store.write(one, b"42")
    >>> store.read(one), list(store.keys(Address("s3", "factory", "pa")))
    (b'42', ['parts/1.png'])
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __repr__(self) -> str:
        return f"FolderStore({str(self._folder)!r})"

    def place(self, address: Address) -> str:
        """Return the file in which an object is, or would be.

        Raises
        ------
        Invalid
            if a disk cannot hold it: see :func:`check_on_disk`; if it is a folder of other keys, or would lie in a
            file; if a link leads it out of its bucket.
        """
        with _told(address):
            path = self._path(address)
            if path.is_file():
                return str(path)
            if path.is_dir():
                raise Invalid(
                    f"{address.uri} is the folder of other keys, so that no file can have its name; give another key."
                )
            root = self._root(address)
            for parent in path.relative_to(root).parents[:-1]:
                if os.path.lexists(root / parent) and not (root / parent).is_dir():
                    taken = Address(address.scheme, address.bucket, parent.as_posix())
                    raise Invalid(
                        f"{address.uri} would lie in a folder whose name the object {taken.uri} has; give another key."
                    )
            return str(path)

    def read(self, address: Address, *, version: str | None = None) -> bytes:
        """Read an object whole."""
        if version is not None:
            raise Unsupported(
                f"{address.uri}: version {version!r} was asked for, and buckets that are folders keep the last one "
                "only; leave the version out."
            )
        with _told(address):
            return read_bytes(self._file(address))

    @contextlib.contextmanager
    def open(self, address: Address) -> Iterator[IO[bytes]]:
        """Open an object to read it piece by piece."""
        with _told(address):
            opened = open_bytes(self._file(address))
            file = opened.__enter__()
        with file:
            yield file

    def write(self, address: Address, data: bytes | Path, *, overwrite: bool = True) -> None:
        """Write an object whole or not at all."""
        path = Path(self.place(address))
        with (
            _told(address),
            new_file(path, overwrite=overwrite, within=self._beside(address)) as file,
        ):
            if isinstance(data, Path):
                with data.open("rb") as source:
                    shutil.copyfileobj(source, file, 1 << 20)
            else:
                file.write(data)

    def exists(self, address: Address) -> bool:
        """Return whether an object is there."""
        try:
            with _told(address):
                self._file(address)
        except NotFound:
            return False
        return True

    def size(self, address: Address) -> int:
        """Return how many bytes an object has."""
        with _told(address):
            return self._file(address).stat().st_size

    def same(self, address: Address, path: Path) -> bool:
        """Return whether an object, which is there, has the bytes of a file."""
        with _told(address):
            return filecmp.cmp(self._file(address), path, shallow=False)

    def keys(self, address: Address) -> Iterator[str]:
        """Yield the keys that begin with the address's, in the order of their bytes."""
        root = self._root(address)
        if not root.is_dir():
            raise NotFound(f"There is no bucket {address.bucket!r}; it is made when something is written into it.")
        return _walk(root, "", address.key, os.path.realpath(root))

    def _root(self, address: Address) -> Path:
        return self._folder.joinpath(*address.folder)

    def _path(self, address: Address) -> Path:
        check_on_disk(address)
        root = self._root(address)
        path = root.joinpath(*address.key.split("/"))
        real = at = os.path.realpath(root)
        *folders, name = path.parts[len(root.parts) :]
        for part in folders:
            at = os.path.join(at, part)
            if _is_link(at):
                break
        else:
            at = os.path.join(at, name)
            if not _is_link(at) or _is_inside(os.path.realpath(at), real):
                return path
        raise Invalid(f"{address.uri} leads away by a link, which is not followed; give another key.")

    def _file(self, address: Address) -> Path:
        path = self._path(address)
        if not path.is_file():
            raise NotFound(f"Nothing is at {address.uri}.")
        return path

    def _beside(self, address: Address) -> Path | None:
        """Return where half files are, out of the buckets; None where a bucket is a link to another disk."""
        writing, root = self._folder / _WRITING, self._root(address)
        writing.mkdir(parents=True, exist_ok=True)
        if root.exists() and root.stat().st_dev != writing.stat().st_dev:
            return None
        return writing


@contextlib.contextmanager
def _told(address: Address) -> Iterator[None]:
    """Tell what the disk says in our own errors, naming the object."""
    try:
        yield
    except VisionError as error:
        if isinstance(error, NotFound):  # somebody took it away meanwhile
            raise NotFound(f"Nothing is at {address.uri}.") from None
        raise
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"Nothing is at {address.uri}.") from None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise Invalid(f"{address.uri}: this disk holds no such long path; give a shorter key.") from None
        raise Failed(f"{address.uri}: {error.strerror or error}.") from error


def _is_link(path: str) -> bool:
    """Return whether a path, whose parents are no links, is one; on Windows there are several kinds."""
    return os.path.islink(path) if os.name != "nt" else os.path.realpath(path) != path


def _is_inside(path: str, root: str) -> bool:
    return path.startswith(root.rstrip(os.sep) + os.sep)


def _walk(folder: Path, before: str, prefix: str, root: str) -> Iterator[str]:
    """Yield the keys in a folder; a folder's name ends with "/" where it is compared, as in the keys themselves."""
    found: list[tuple[bytes, str, bool]] = []
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        for entry in entries:
            is_folder = entry.is_dir(follow_symlinks=False)
            key = f"{before}{entry.name}{'/' * is_folder}"
            if not (key.startswith(prefix) or (is_folder and prefix.startswith(key))):
                continue
            if entry.is_symlink() and not _is_inside(os.path.realpath(entry.path), root):
                continue
            if is_folder or entry.is_file():
                with contextlib.suppress(UnicodeEncodeError):  # a name that is not UTF-8 is no key
                    found.append((key.encode("utf-8"), entry.name, is_folder))
    for encoded, name, is_folder in sorted(found):
        key = encoded.decode("utf-8")
        if is_folder:
            yield from _walk(folder / name, key, prefix, root)
        else:
            yield key
