"""Read and write the objects that ``s3://BUCKET/KEY`` names: plain files of the workspace, or a real S3."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, Protocol
from urllib.parse import quote

from vision_toolkit.core.errors import Conflict, Invalid, VisionError
from vision_toolkit.data.storage import local_path
from vision_toolkit.workspace.addresses import Address, parse_address
from vision_toolkit.workspace.folder_store import FolderStore
from vision_toolkit.workspace.s3_store import S3Store

__all__ = ["Buckets", "Put", "Store"]

_AT_ONCE = 8
"""Files on their way at the same time: a bucket far away is waited for."""


class Store(Protocol):
    """Say what keeps the objects of one scheme; each method raises the errors of :class:`Buckets`."""

    def place(self, address: Address) -> str:
        """Return where the bytes of an object really are."""

    def read(self, address: Address, *, version: str | None = None) -> bytes:
        """Read an object whole."""

    def open(self, address: Address) -> AbstractContextManager[IO[bytes]]:
        """Open an object to read it piece by piece."""

    def write(self, address: Address, data: bytes | Path, *, overwrite: bool = True) -> None:
        """Write an object, of bytes or what a file holds, whole or not at all."""

    def exists(self, address: Address) -> bool:
        """Return whether an object is there."""

    def size(self, address: Address) -> int:
        """Return how many bytes an object has."""

    def same(self, address: Address, path: Path) -> bool:
        """Return whether an object, which is there, has the bytes of a file."""

    def keys(self, address: Address) -> Iterator[str]:
        """Yield the keys that begin with the address's, in the order of their bytes."""


@dataclass(frozen=True, slots=True)
class Put:
    """Say what became of the files of a folder.

    Parameters
    ----------
    copied
        URIs of what was written.
    same
        URIs of what was there already, byte by byte.
    refused
        each file that was not copied, and why.
    """

    copied: tuple[str, ...]
    same: tuple[str, ...]
    refused: tuple[tuple[str, str], ...]

    def __repr__(self) -> str:
        return f"Put({len(self.copied):,} copied, {len(self.same):,} already there, {len(self.refused):,} refused)"


class Buckets:
    """Read and write the objects of buckets, wherever they are kept.

    By default ``s3://BUCKET/KEY`` is the file ``FOLDER/s3/BUCKET/KEY``, and no key leads out of its bucket. With
    ``s3="s3"`` it is an object of a real S3, found and signed by AWS's usual environment variables
    (:mod:`vision_toolkit.data.s3`). Threads may share one, and a child process may be handed one.

    Parameters
    ----------
    folder
        the folder of buckets, ``WORKSPACE/buckets``; it is made when something is written.
    s3
        ``"folders"`` or ``"s3"``.

    Raises
    ------
    Invalid
        for another word; and by every method for a URI that names no object, or one that cannot be kept.
    Unsupported
        if the real S3 is wanted and s3fs is not installed.

    Examples
    --------
    >>> import tempfile
    >>> buckets = Buckets(tempfile.mkdtemp())
    >>> buckets.write("s3://factory/parts/1.txt", b"42")
    >>> buckets.read("s3://factory/parts/1.txt"), list(buckets.keys("factory"))
    (b'42', ['parts/1.txt'])
    """

    def __init__(self, folder: str | os.PathLike[str], *, s3: Literal["folders", "s3"] = "folders") -> None:
        if s3 not in ("folders", "s3"):
            raise Invalid(f"s3 is 'folders' or 's3'; {s3!r} was given.")
        self._folder = Path(os.path.abspath(local_path(folder)))
        self._kind = s3
        self._stores: dict[str, Store] = {"s3": S3Store() if s3 == "s3" else FolderStore(self._folder)}

    def __repr__(self) -> str:
        return f"Buckets({str(self._folder)!r}, s3={self._kind!r})"

    def place(self, uri: str) -> str:
        """Return where the bytes of an object are, or would be: a path, or the URI itself of a real S3.

        Raises
        ------
        Invalid
            if it can be nowhere.

        Examples
        --------
        >>> Buckets("/srv/vision/buckets").place("s3://factory/parts/1.png")
        '/srv/vision/buckets/s3/factory/parts/1.png'
        """
        address = parse_address(uri)
        return self._store(address).place(address)

    def images(self) -> Callable[[str], str | None]:
        """Return what ``Manifest.read(..., images=)`` and ``Manifest.from_lines(..., images=)`` take.

        What no bucket can hold gets a place where nothing is, so that it is found missing like any other image.

        Examples
        --------
        >>> from vision_toolkit.core import Entry
        >>> from vision_toolkit.data import Manifest
        >>> buckets = Buckets("/srv/vision/buckets")
        >>> Manifest.from_lines([Entry("s3://factory/1.png")], images=buckets.images())[0].location
        '/srv/vision/buckets/s3/factory/1.png'
        """
        return self._image

    def _image(self, uri: str) -> str | None:
        if uri.partition("://")[0] not in self._stores or "://" not in uri:
            return None
        try:
            return self.place(uri)
        except Invalid:
            return str(self._folder / ".refused" / quote(uri, safe="", errors="replace")[:200])

    def read(self, uri: str, *, version: str | None = None) -> bytes:
        """Read an object whole.

        Parameters
        ----------
        uri
            the object.
        version
            which version, in a bucket of a real S3 that keeps several; None = the last.

        Raises
        ------
        NotFound
            if nothing is there.
        Denied
            if a real S3 refuses it.
        Unsupported
            if a version is asked of a folder, which keeps the last one only.
        Failed
            if reading did not succeed.
        """
        address = parse_address(uri)
        return self._store(address).read(address, version=version)

    def open(self, uri: str) -> AbstractContextManager[IO[bytes]]:
        """Open an object to read it piece by piece, in a ``with`` block; raises as :meth:`read` does.

        Examples
        --------
        >>> import tempfile
        >>> buckets = Buckets(tempfile.mkdtemp())
        >>> buckets.write("s3://factory/1.txt", b"42")
        >>> with buckets.open("s3://factory/1.txt") as file:
        ...     file.read(1)
        b'4'
        """
        address = parse_address(uri)
        return self._store(address).open(address)

    def write(self, uri: str, data: bytes | Path) -> None:
        """Write an object whole or not at all; what was there is replaced, as S3 does.

        Parameters
        ----------
        uri
            the object.
        data
            its bytes, or the path of the file that holds them.

        Raises
        ------
        NotFound
            if there is no such bucket in a real S3; a folder is made.
        Denied
            if a real S3 refuses it.
        Failed
            if the disk or S3 did not take it; what was there before is still there then.
        """
        address = parse_address(uri)
        self._store(address).write(address, data)

    def exists(self, uri: str) -> bool:
        """Return whether an object is there; raises as :meth:`read` does, but for NotFound."""
        address = parse_address(uri)
        return self._store(address).exists(address)

    def size(self, uri: str) -> int:
        """Return how many bytes an object has; raises as :meth:`read` does."""
        address = parse_address(uri)
        return self._store(address).size(address)

    def keys(self, bucket: str, prefix: str = "") -> Iterator[str]:
        """Yield the keys of a bucket that begin with a prefix, sorted by their UTF-8 bytes as S3 sorts them.

        Parameters
        ----------
        bucket
            its name, or ``s3://BUCKET``.
        prefix
            what the keys begin with; ``parts/`` for those in this "folder".

        Raises
        ------
        NotFound
            if there is no such bucket.
        """
        address = parse_address(bucket if "://" in bucket else f"s3://{bucket}", whole_bucket=True)
        return self._store(address).keys(Address(address.scheme, address.bucket, prefix))

    def put(
        self,
        folder: str | os.PathLike[str],
        uri: str,
        *,
        overwrite: bool = False,
        progress: Callable[[int, int], object] | None = None,
    ) -> Put:
        """Copy the files of a folder below a prefix, each under its path from there.

        Nothing that is there is replaced unasked. Links to files are followed, links to folders are not.

        Parameters
        ----------
        folder
            a folder of this machine.
        uri
            ``s3://BUCKET`` or ``s3://BUCKET/PREFIX``; a ``/`` after the prefix makes no difference.
        overwrite
            replace objects that differ.
        progress
            called with how many files were looked at, and how many there are.

        Returns
        -------
        Put
            what was copied, what was the same already, what was refused and why.

        Raises
        ------
        Invalid
            if it is no folder, or the URI is none.

        Examples
        --------
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "1.txt").write_bytes(b"42")
        >>> buckets = Buckets(tempfile.mkdtemp())
        >>> buckets.put(folder, "s3://factory/parts").copied
        ('s3://factory/parts/1.txt',)
        """
        root = local_path(folder)
        if not root.is_dir():
            raise Invalid(f"{root} is not a folder; name the folder whose files are to be copied.")
        address = parse_address(uri, whole_bucket=True)
        prefix = f"{address.key.rstrip('/')}/" if address.key.rstrip("/") else ""
        files = sorted(_files(root))
        copied, same, refused = [], [], []
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            one = Address(address.scheme, address.bucket).uri + prefix
            tasks = [pool.submit(self._put_one, root / name, f"{one}{name}", overwrite) for name in files]
            try:
                for done, (name, task) in enumerate(zip(files, tasks, strict=True), 1):
                    target, became = task.result()
                    if became is None:
                        copied.append(target)
                    elif became:
                        refused.append((name, became))
                    else:
                        same.append(target)
                    if progress is not None:
                        progress(done, len(files))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return Put(tuple(copied), tuple(same), tuple(refused))

    def _put_one(self, path: Path, uri: str, overwrite: bool) -> tuple[str, str | None]:
        """Copy one file; return its URI, and None, or why not, or nothing where it is the same already."""
        try:
            if not path.is_file():
                return uri, f"{path} is a link to a folder, or no plain file; copy what it stands for."
            address = parse_address(uri)
            store = self._store(address)
            store.place(address)
            if store.exists(address):
                if store.same(address, path):
                    return uri, ""
                if not overwrite:
                    raise Conflict(f"{uri} exists with other bytes; give another prefix or overwrite=True.")
            store.write(address, path, overwrite=overwrite)
        except VisionError as error:
            return uri, str(error)
        except OSError as error:
            return uri, f"{path} cannot be read: {error.strerror or error}."
        return uri, None

    def _store(self, address: Address) -> Store:
        return self._stores[address.scheme]


def _files(root: Path) -> Iterator[str]:
    """Yield what is in a folder, by its path from there with "/"; a link to a folder is one thing."""
    for folder, folders, names in os.walk(root):
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        for name in [*names, *links]:
            yield Path(folder, name).relative_to(root).as_posix()
