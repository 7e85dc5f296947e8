"""Say which object of which bucket a URI names, and whether a disk can hold it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Any

from vision_toolkit.core.errors import Invalid

__all__ = ["Address", "check_on_disk", "parse_address"]

MOST = 1024
"""Bytes of a key, as S3 allows them."""
SEGMENT = 255
"""Bytes of one name on a disk: ext4, APFS and NTFS agree."""

_BUCKET = re.compile(r"(?=.*[0-9A-Za-z])[0-9A-Za-z.\-_]{3,63}")
_ON_WINDOWS = re.compile(r'[<>:"|?*\\\x01-\x1f]|[. ]$|^(CON|PRN|AUX|NUL|(COM|LPT)[0-9¹²³])(\.|$)', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Address:
    """Name an object, or with an empty key a whole bucket.

    Parameters
    ----------
    scheme
        which service's bucket it is: ``"s3"``.
    bucket
        the bucket's name.
    key
        the object's name; it may begin with what stands for folders, ``parts/1.png``.

    Examples
    --------
    >>> Address("s3", "factory", "parts/1.png").uri
    's3://factory/parts/1.png'
    """

    scheme: str
    bucket: str
    key: str = ""

    @property
    def uri(self) -> str:
        """Return it as one text."""
        return f"{self.scheme}://{self.bucket}/{self.key}"

    @property
    def folder(self) -> tuple[str, ...]:
        """Return the folders, one in another, in which the bucket lies below ``buckets/``."""
        return (self.scheme, self.bucket)


def parse_address(uri: str, *, whole_bucket: bool = False) -> Address:
    """Take a URI apart, and check what holds for every key wherever it is kept.

    Parameters
    ----------
    uri
        ``s3://BUCKET/KEY``; nothing in it is decoded, ``%20`` for example is three characters.
    whole_bucket
        whether the key may be empty: ``s3://BUCKET`` or ``s3://BUCKET/``.

    Raises
    ------
    Invalid
        if it is none: another scheme, a bucket's or key's name that S3 does not allow, ``.`` or ``..`` in the key.

    Examples
    --------
    >>> parse_address("s3://factory/parts/1.png")
    Address(scheme='s3', bucket='factory', key='parts/1.png')
    >>> parse_address("s3://factory/../secrets")
    Traceback (most recent call last):
    vision_toolkit.core.errors.Invalid: 's3://factory/../secrets': '.' and '..' mean a place in a path, ...
    """
    if not isinstance(uri, str) or not uri.startswith("s3://"):
        raise Invalid(f"{_shown(uri)} is not in a bucket; s3://BUCKET/KEY is needed.")
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not _BUCKET.fullmatch(bucket):
        raise Invalid(
            f"{_shown(uri)}: a bucket's name has 3 to 63 letters, digits, '.', '-' or '_', at least one of them a "
            f"letter or digit; {_shown(bucket)} was given."
        )
    if not key and not whole_bucket:
        raise Invalid(f"{_shown(uri)} names a bucket and no object in it; s3://BUCKET/KEY is needed.")
    try:
        length = len(key.encode("utf-8"))
    except UnicodeEncodeError:
        raise Invalid(f"{_shown(uri)}: a key is UTF-8, and holds no half characters; give another key.") from None
    if length > MOST:
        raise Invalid(f"{_shown(uri)}: a key has at most {MOST:,} bytes, this one {length:,}; give a shorter one.")
    if "\0" in key:
        raise Invalid(f"{_shown(uri)}: a key holds no NUL character; give another key.")
    if any(part in (".", "..") for part in key.split("/")):
        raise Invalid(
            f"{_shown(uri)}: '.' and '..' mean a place in a path, and a bucket has none; name the key itself."
        )
    return Address("s3", bucket, key)


def check_on_disk(address: Address, *, windows: bool | None = None) -> None:
    """Raise if no disk can hold the object under its own name.

    Parameters
    ----------
    address
        the object.
    windows
        whether what Windows forbids is forbidden; None = if this is Windows.

    Raises
    ------
    Invalid
        for an empty name between two ``/`` or at an end, or one of more than 255 bytes.

    Examples
    --------
    >>> check_on_disk(Address("s3", "factory", "parts//1.png"))
    Traceback (most recent call last):
    vision_toolkit.core.errors.Invalid: 's3://factory/parts//1.png': kept as a file, a key neither begins nor ends ...
    """
    for part in address.key.split("/"):
        if not part:
            raise Invalid(
                f"{_shown(address.uri)}: kept as a file, a key neither begins nor ends with '/', and has no '//' in "
                "it; give another key."
            )
        if len(part.encode("utf-8")) > SEGMENT:
            raise Invalid(
                f"{_shown(address.uri)}: kept as a file, a key has at most {SEGMENT} bytes between two '/'; give a "
                "shorter one."
            )
        if (os.name == "nt" if windows is None else windows) and _ON_WINDOWS.search(part):
            raise Invalid(f"{_shown(address.uri)}: Windows allows no file of the name {part!r}; give another key.")


def _shown(text: Any) -> str:
    told = repr(text)
    return told if len(told) <= 200 else f"{told[:120]}...{told[-60:]}"
