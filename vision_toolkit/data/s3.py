"""Reach objects of a real S3 by the settings that every AWS program reads; whoever opens an ``s3://`` asks here.

``AWS_ENDPOINT_URL_S3`` or ``AWS_ENDPOINT_URL`` name another server than Amazon's, which is then asked path-style, as
MinIO and test servers need it; ``AWS_REGION`` or ``AWS_DEFAULT_REGION`` the region. Keys, profiles and roles are found
as botocore finds them: ``AWS_ACCESS_KEY_ID`` and ``AWS_SECRET_ACCESS_KEY``, ``AWS_PROFILE``, the machine's role.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import IO, Any

from vision_toolkit.core.errors import Denied, Failed, Invalid, NotFound, Unsupported, VisionError

__all__ = ["S3Object", "s3_errors", "s3_options", "s3_system"]

_WHO = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_DEFAULT_PROFILE")
_BLOCK = 1 << 20


def s3_options(environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return what s3fs must be told of the environment.

    Examples
    --------
    >>> options = s3_options({"AWS_ENDPOINT_URL_S3": "http://minio:9000", "AWS_REGION": "eu-central-1"})
    >>> options["endpoint_url"], options["client_kwargs"]
    ('http://minio:9000', {'region_name': 'eu-central-1'})
    >>> "endpoint_url" in s3_options({})
    False
    """
    env = os.environ if environment is None else environment
    ignored = env.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() == "true"
    endpoint = "" if ignored else env.get("AWS_ENDPOINT_URL_S3") or env.get("AWS_ENDPOINT_URL")
    region = env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION")
    options: dict[str, Any] = {"use_listings_cache": False}  # somebody else may add an object at any time
    if endpoint:
        options |= {"endpoint_url": endpoint, "config_kwargs": {"s3": {"addressing_style": "path"}}}
    if region:
        options["client_kwargs"] = {"region_name": region}
    return options


def s3_system() -> Any:
    """Return the s3fs file system of this process and environment; threads share it, children make their own.

    Raises
    ------
    Unsupported
        if s3fs is not installed.
    """
    who = hash(tuple(os.environ.get(name) for name in _WHO))
    return _system(os.getpid(), who, repr(s3_options()))


@lru_cache(maxsize=4)
def _system(pid: int, who: int, options: str) -> Any:  # noqa: ARG001 - they tell one environment from another
    try:
        import s3fs
    except ImportError as error:
        raise Unsupported(
            f"s3:// needs a package that is not installed ({error}). Install it: pip install 'vision_toolkit[s3]'; or "
            'say where the files lie on this machine: Manifest.read(..., images={"s3://bucket/prefix": "folder/"}).'
        ) from None
    return s3fs.S3FileSystem(**s3_options(), skip_instance_cache=True)


@contextlib.contextmanager
def s3_errors(uri: str) -> Iterator[None]:
    """Tell what S3 and its libraries say in our own errors, each with the URI and the way out.

    Raises
    ------
    NotFound
        if there is no such bucket or object.
    Denied
        if whoever asks may not do this.
    Failed
        if it did not succeed for another reason: no credentials, no connection.
    """
    try:
        yield
    except VisionError:
        raise
    except FileNotFoundError as error:
        if _code(error) == "NoSuchBucket":
            raise NotFound(f"There is no bucket for {uri}; make it first, or check AWS_ENDPOINT_URL_S3.") from None
        raise NotFound(f"Nothing is at {uri}.") from None
    except PermissionError as error:
        raise Denied(
            f"{uri}: S3 refused access ({error}). Check AWS_ACCESS_KEY_ID or AWS_PROFILE, and what they may do there."
        ) from error
    except Exception as error:
        # The libraries have errors of their own (no credentials, no connection): tell them as they are.
        raise Failed(
            f"{uri}: {type(error).__name__}: {error}. Check AWS_ENDPOINT_URL_S3, AWS_REGION and the credentials "
            "(AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE)."
        ) from error


def _code(error: BaseException) -> str:
    response = getattr(error.__cause__, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""


class S3Object:
    """Stand for one object of S3, there or not.

    Parameters
    ----------
    uri
        ``s3://BUCKET/KEY``; the key is taken as it is, ``%20`` for example is three characters.

    Raises
    ------
    Invalid
        if it names no object.

    Examples
    --------
    >>> one = S3Object("s3://factory/parts/1.png")
    >>> one.bucket, one.key
    ('factory', 'parts/1.png')
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.bucket, _, self.key = uri.partition("://")[2].partition("/")
        if not self.bucket or not self.key:
            raise Invalid(f"{uri!r} names no object; s3://BUCKET/KEY is needed.")
        if "?versionId=" in self.key:  # s3fs would take the object before it, and write over that one
            raise Invalid(f"{uri!r}: a key with '?versionId=' in it cannot be reached; copy it to another key.")
        if any(part in (".", "..") for part in self.key.split("/")):
            raise Invalid(f"{uri!r}: '.' and '..' mean a place in a path, and S3 has none; name the key itself.")

    @property
    def path(self) -> str:
        """Return what s3fs calls it."""
        return f"{self.bucket}/{self.key}"

    def read_bytes(self, *, version: str | None = None) -> bytes:
        """Read it whole; raises as :func:`s3_errors` does."""
        more = {"version_id": version} if version else {}
        with s3_errors(self.uri):
            return bytes(s3_system().cat_file(self.path, max_concurrency=1, **more))

    def open(self, mode: str = "rb") -> IO[bytes]:
        """Open it to read it piece by piece; opening and reading raise as :func:`s3_errors` does."""
        if mode != "rb":
            raise Unsupported(f"{self.uri} opens to be read, mode 'rb', not {mode!r}.")
        with s3_errors(self.uri):
            file = s3_system().open(self.path, "rb")  # reads this version or none: it sends the tag of what it opened
            if file.details.get("type") != "file":  # what other keys begin with
                raise NotFound(f"Nothing is at {self.uri}.")
            return io.BufferedReader(_Told(self.uri, file), _BLOCK)

    def exists(self) -> bool:
        """Return whether it is there; raises as :func:`s3_errors` does, but for NotFound."""
        try:
            self.head()
        except NotFound:
            return False
        return True

    def head(self) -> dict[str, Any]:
        """Return what S3 tells of it: ContentLength, ETag ...; raises as :func:`s3_errors` does."""
        with s3_errors(self.uri):
            return dict(s3_system().call_s3("head_object", Bucket=self.bucket, Key=self.key))


class _Told(io.RawIOBase):
    """Read an object, and tell what goes wrong on the way in our own errors."""

    def __init__(self, uri: str, file: Any) -> None:
        super().__init__()
        self._uri, self._file = uri, file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with s3_errors(self._uri):
            data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()
