"""Turn a path or URI into bytes, and write files and folders so that none is ever half there."""

from __future__ import annotations

import base64
import contextlib
import errno
import io
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urlsplit

from vision_toolkit.core.errors import Conflict, Failed, Invalid, NotFound, Unsupported, VisionError
from vision_toolkit.data.s3 import S3Object

__all__ = [
    "check_folder",
    "exists",
    "inline",
    "is_inline",
    "is_local",
    "is_there",
    "local_path",
    "new_file",
    "new_folder",
    "open_bytes",
    "read_bytes",
    "write_file",
]

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]+://")
_INLINE = re.compile(r"data:[\w.+-]*/?[\w.+-]*;base64,")


def is_local(location: str | os.PathLike[str]) -> bool:
    """Return whether a location is a file of this machine: a path or a ``file://`` URI.

    Examples
    --------
    >>> is_local("parts/1.png"), is_local("s3://bucket/1.png")
    (True, False)
    """
    text = os.fspath(location)
    return not (_SCHEME.match(text) or is_inline(text)) or text.startswith("file://")


def is_inline(location: str | os.PathLike[str]) -> bool:
    """Return whether a location is its own content: a ``data:`` URI in base 64.

    Examples
    --------
    >>> is_inline("data:image/png;base64,iVBO"), is_inline("data/1.png")
    (True, False)
    """
    return bool(_INLINE.match(os.fspath(location)))


def inline(data: bytes, media_type: str = "image/png") -> str:
    """Return a location that is its own content (RFC 2397), for bytes that have no file yet.

    Examples
    --------
    >>> inline(b"42", "text/plain"), read_bytes(inline(b"42"))
    ('data:text/plain;base64,NDI=', b'42')
    """
    return f"data:{media_type};base64,{base64.b64encode(data).decode('ascii')}"


def local_path(location: str | os.PathLike[str]) -> Path:
    """Return a local location as a path.

    Raises
    ------
    Invalid
        if it is a URI of another machine.
    """
    text = os.fspath(location)
    if text.startswith("file://"):
        try:
            return Path(unquote(urlsplit(text).path))
        except ValueError:  # a host that is none, "file://[parts/1.png" for example
            return Path(unquote(text.removeprefix("file://")))
    if not is_local(text):
        raise Invalid(f"{text!r} is not a file of this machine.")
    try:
        return Path(text).expanduser()
    except RuntimeError:  # "~name/..." of nobody here is a folder's name
        return Path(text)


def is_there(location: str | os.PathLike[str]) -> bool:
    r"""Return whether a location is a file of this machine; a name that no disk takes is none.

    Where the system refuses to say, for missing rights for example, it is taken to be there: reading it tells why not.

    Examples
    --------
    >>> is_there("no/such/1.png"), is_there("s3://bucket/1.png"), is_there("1" * 5000), is_there("1\0.png")
    (False, False, False, False)
    """
    if not is_local(location):
        return False
    try:
        return local_path(location).is_file()
    except ValueError:
        return False
    except OSError as error:
        return error.errno != errno.ENAMETOOLONG


def read_bytes(location: str | os.PathLike[str]) -> bytes:
    """Read everything at a path or URI (``s3://``, ``gs://``, ``memory://`` ... through fsspec).

    Raises
    ------
    NotFound
        if nothing is there.
    Unsupported
        if the URI's kind needs a package that is not installed.
    Invalid
        if it is a folder.
    Failed
        if reading did not succeed, for missing rights for example.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp(), "a b.txt")
    >>> _ = path.write_bytes(b"42")
    >>> read_bytes(path)
    b'42'
    """
    if is_inline(location):
        head, _, text = os.fspath(location).partition(",")
        try:
            return base64.b64decode(text, validate=True)
        except ValueError as error:
            raise Invalid(f"{head},... is not base 64: {error}.") from None
    with _clear_errors(os.fspath(location)):
        return bytes(_at(location).read_bytes())


@contextlib.contextmanager
def open_bytes(location: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Open a file or object to read its bytes piece by piece; raises as :func:`read_bytes` does.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp(), "1.txt")
    >>> _ = path.write_bytes(b"42")
    >>> with open_bytes(path) as file:
    ...     file.read(1)
    b'4'
    """
    with _clear_errors(os.fspath(location)):
        file = io.BytesIO(read_bytes(location)) if is_inline(location) else _at(location).open("rb")
    with file:
        yield file


def exists(location: str | os.PathLike[str]) -> bool:
    """Return whether a file or object is there; raises as :func:`read_bytes` does, but for NotFound."""
    if is_inline(location):
        return True
    with _clear_errors(os.fspath(location)):
        return bool(_at(location).exists())


def write_file(path: str | os.PathLike[str], data: bytes, *, overwrite: bool = False) -> Path:
    """Write a file whole or not at all: a reader sees the old bytes or the new ones, never a half.

    Raises
    ------
    Conflict
        if the file is there already and ``overwrite`` is not set.
    Failed
        if the disk refuses; nothing is left behind then.
    """
    with new_file(path, overwrite=overwrite) as file:
        file.write(data)
    return local_path(path)


@contextlib.contextmanager
def new_file(
    path: str | os.PathLike[str], *, overwrite: bool = False, within: Path | None = None
) -> Iterator[IO[bytes]]:
    """Open a temporary file that becomes ``path`` when the block ends well, and vanishes otherwise.

    Parameters
    ----------
    path, overwrite
        as :func:`write_file` takes them.
    within
        the folder, on the same disk, in which the temporary file is; None = beside ``path``, as ``.NAME.xxx``.

    Raises
    ------
    Conflict
        if the file is there already and ``overwrite`` is not set.
    Invalid
        if it is a folder.
    Failed
        if the disk refuses; nothing is left behind then.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp(), "1.txt")
    >>> with new_file(path) as file:
    ...     _ = file.write(b"42")
    ...     path.exists()
    False
    >>> path.read_bytes()
    b'42'
    """
    target = local_path(path)
    with _clear_errors(str(target)):
        if target.is_dir():
            raise Invalid(f"{target} is a folder; name a file.")
        _check_free(target, overwrite=overwrite)
        target.parent.mkdir(parents=True, exist_ok=True)
        if within is not None:
            within.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{target.name[:60]}.", dir=within or target.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o666 & ~_umask())
            _check_free(target, overwrite=overwrite)  # somebody may have been quicker
            os.replace(temporary, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise


def _check_free(target: Path, *, overwrite: bool) -> None:
    if os.path.lexists(target) and not overwrite:
        raise Conflict(f"{target} exists; give another name or overwrite=True.")


def check_folder(path: str | os.PathLike[str], *, overwrite: bool = False, names: Sequence[str] = ()) -> Path:
    """Raise now what would keep :func:`new_folder` from making a folder later, after minutes of work.

    Parameters
    ----------
    path, overwrite, names
        as :func:`new_folder` takes them.

    Returns
    -------
    Path
        the folder's absolute path.

    Raises
    ------
    Conflict
        if the folder is there and may not be replaced.
    Failed
        if nothing can be written where it would be.
    """
    target = Path(os.path.abspath(local_path(path)))
    with _clear_errors(str(target)):
        _check_replaceable(target, overwrite=overwrite, names=names)
    place = target.parent
    while not place.exists():
        place = place.parent
    if not place.is_dir():
        raise Conflict(f"{place} is a file; name a folder.")
    try:
        with tempfile.TemporaryDirectory(prefix=".", dir=place):
            pass
    except OSError as error:
        raise Failed(f"Nothing can be written into {place}: {error.strerror}. Name another folder.") from None
    return target


@contextlib.contextmanager
def new_folder(path: str | os.PathLike[str], *, overwrite: bool = False, names: Sequence[str] = ()) -> Iterator[Path]:
    """Yield a temporary folder that becomes ``path`` when the block ends well, and vanishes otherwise.

    Parameters
    ----------
    path
        the folder to make. An empty one is replaced.
    overwrite
        replace a folder that is not empty, provided that it holds the first of ``names`` and nothing besides
        ``names``: nothing that somebody else put there is ever removed.
    names
        the files and folders that folders of this kind hold.

    Raises
    ------
    Conflict
        if the folder is there and may not be replaced.
    Failed
        if the disk refuses; nothing is left behind then.
    """
    target = Path(os.path.abspath(local_path(path)))
    with _clear_errors(str(target)):
        _check_replaceable(target, overwrite=overwrite, names=names)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name[:60]}.", dir=target.parent))
        try:
            yield temporary
            temporary.chmod(0o777 & ~_umask())
            _check_replaceable(target, overwrite=overwrite, names=names)
            old = None
            if target.exists():
                old = temporary.with_name(temporary.name + ".old")
                os.rename(target, old)
            os.rename(temporary, target)
            if old:
                shutil.rmtree(old, ignore_errors=True)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise


def _check_replaceable(target: Path, *, overwrite: bool, names: Sequence[str]) -> None:
    if not target.exists():
        return
    if not target.is_dir():
        raise Conflict(f"{target} is a file; name a folder.")
    there = {child.name for child in target.iterdir()}
    strange = sorted(there - set(names))
    if strange and names:
        raise Conflict(f"{target} holds {', '.join(strange[:3])}, so it was not made here and is left alone.")
    if there and names and names[0] not in there:
        raise Conflict(f"{target} holds no {names[0]}, so it was not made here and is left alone.")
    if there and not (overwrite and names):
        raise Conflict(f"{target} exists and is not empty; give another name or overwrite=True.")


def _at(location: str | os.PathLike[str]) -> Any:
    if is_local(location):
        path = local_path(location)
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise Invalid(f"{path} is a pipe or a device, which may never end; copy it to a file first.")
        return path
    text = os.fspath(location)
    if text.startswith("s3://"):
        return S3Object(text)
    import fsspec
    from upath import UPath

    fsspec.get_filesystem_class(text.partition("://")[0])  # says what is missing; UPath would take it for a file
    return UPath(text)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@contextlib.contextmanager
def _clear_errors(name: str) -> Iterator[None]:
    """Tell what the system says in our own errors, each with the name and the way out."""
    try:
        yield
    except VisionError:
        raise
    except FileNotFoundError:
        raise NotFound(f"Nothing is at {name}.") from None
    except IsADirectoryError:
        raise Invalid(f"{name or '.'} is a folder, it is not a file; name a file.") from None
    except FileExistsError:
        raise Conflict(f"{name} cannot be made, for a file stands where its folder would be; name another.") from None
    except NotADirectoryError:
        raise Invalid(f"{name} is not a file, for one of the folders in its path is one; name another.") from None
    except (ImportError, ValueError) as error:
        if "\0" in name:
            raise Invalid(f"{name!r} holds a NUL character, which no file's name does.") from None
        if is_local(name):
            raise
        raise Unsupported(
            f"{name} cannot be opened ({error}). Install the fsspec package of its kind (s3fs for s3://), or say "
            'where the files lie on this machine: Manifest.read(..., images={"s3://bucket/prefix": "folder/"}).'
        ) from None
    except OSError as error:
        raise Failed(f"{name}: {error.strerror or error}.") from error
    except Exception as error:
        if is_local(name):
            raise
        # Each cloud library has errors of its own (missing credentials, refused access): tell them as they are.
        raise Failed(
            f"{name} cannot be read: {type(error).__name__}: {error}. If the files lie on this machine, say where: "
            'Manifest.read(..., images={"s3://bucket/prefix": "folder/"}).'
        ) from error
