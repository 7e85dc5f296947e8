"""Keep the objects of buckets where ``s3://`` says: in a real S3, or what speaks like one."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from vision_toolkit.core.errors import Conflict
from vision_toolkit.data.s3 import S3Object, s3_errors, s3_system
from vision_toolkit.workspace.addresses import Address

__all__ = ["S3Store"]

_BLOCK = 1 << 20


class S3Store:
    """Keep the object ``s3://BUCKET/KEY`` in the S3 that the environment names; see :mod:`vision_toolkit.data.s3`.

    Buckets are made and removed by S3's own means, not here. Threads may share a store, and a child may be handed one.

    Raises
    ------
    Unsupported
        if s3fs is not installed.
    """

    def __init__(self) -> None:
        s3_system()

    def __repr__(self) -> str:
        return "S3Store()"

    def place(self, address: Address) -> str:
        """Return the URI of an object, there or not."""
        return S3Object(address.uri).uri

    def read(self, address: Address, *, version: str | None = None) -> bytes:
        """Read an object whole, the last version or the one that is named."""
        return S3Object(address.uri).read_bytes(version=version)

    @contextlib.contextmanager
    def open(self, address: Address) -> Iterator[IO[bytes]]:
        """Open an object to read it piece by piece."""
        with S3Object(address.uri).open() as file:
            yield file

    def write(self, address: Address, data: bytes | Path, *, overwrite: bool = True) -> None:
        """Write an object whole or not at all: S3 shows it when its last byte has come."""
        one = S3Object(address.uri)
        if not overwrite and one.exists():
            raise Conflict(f"{one.uri} exists; give another name or overwrite=True.")
        with s3_errors(one.uri):
            if isinstance(data, Path):
                s3_system().put_file(str(data), one.path)
            else:
                s3_system().pipe_file(one.path, bytes(data))

    def exists(self, address: Address) -> bool:
        """Return whether an object is there."""
        return S3Object(address.uri).exists()

    def size(self, address: Address) -> int:
        """Return how many bytes an object has."""
        return int(S3Object(address.uri).head()["ContentLength"])

    def same(self, address: Address, path: Path) -> bool:
        """Return whether an object, which is there, has the bytes of a file."""
        one = S3Object(address.uri)
        head = one.head()
        if int(head["ContentLength"]) != path.stat().st_size:
            return False
        with path.open("rb") as file:
            if hashlib.file_digest(file, _md5).hexdigest() == str(head.get("ETag")).strip('"'):
                return True
            # What was sent in parts, or encrypted with a key of its own, has a tag that says nothing.
            file.seek(0)
            with one.open() as object_:
                while block := file.read(_BLOCK):
                    if object_.read(len(block)) != block:
                        return False
        return True

    def keys(self, address: Address) -> Iterator[str]:
        """Yield the keys that begin with the address's, in the order in which S3 lists them: of their bytes."""
        more: dict[str, str] = {}
        while True:
            with s3_errors(address.uri):
                page = s3_system().call_s3("list_objects_v2", Bucket=address.bucket, Prefix=address.key, **more)
            yield from (str(one["Key"]) for one in page.get("Contents", ()))
            if not page.get("IsTruncated"):
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}


def _md5() -> hashlib._Hash:
    return hashlib.md5(usedforsecurity=False)
