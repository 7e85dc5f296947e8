"""The keys of a workspace: who may ask its server for something.

There are two kinds: access keys, which are made here, an id and a secret with which AWS's programs sign; and public
keys of OCI's users, whose private halves stay where they are. They are one file, ``keys.json``, which only its owner
can read: whoever verifies AWS's signatures needs the secret itself, and a file of its own keeps secrets out of copies
and dumps of the records. Servers that share the folder share the keys.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from vision_toolkit.core.errors import Failed, Invalid, NotFound
from vision_toolkit.services.auth.oci_signature import fingerprint, read_public_key

__all__ = ["Key", "Keys"]

FORMAT = 1
FILE = "keys.json"
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


@dataclass(frozen=True, slots=True)
class Key:
    """Be a key.

    Parameters
    ----------
    id, secret
        of an access key: what a program is configured with, ``aws_access_key_id`` and ``aws_secret_access_key``. The id
        of a public key is its fingerprint; it has no secret.
    note
        whose it is, for people.
    read_only
        whether it may only look: whatever is asked with GET.
    created
        when it was made, as ``2026-01-02T03:04:05Z``.
    public
        the public key in PEM form; empty for an access key.
    """

    id: str
    secret: str
    note: str = ""
    read_only: bool = False
    created: str = ""
    public: str = ""

    def __repr__(self) -> str:
        return f"Key({self.id!r}, note={self.note!r}, read_only={self.read_only})"


class Keys:
    """Hold the keys of a workspace; what another process changes is seen with the next question.

    Parameters
    ----------
    folder
        of the workspace.

    Examples
    --------
    >>> import tempfile
    >>> keys = Keys(tempfile.mkdtemp())
    >>> made = keys.create(note="line 3")
    >>> keys.find(made.id) == made
    True
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.path = Path(folder) / FILE
        self._lock = threading.Lock()
        self._known: dict[str, Key] = {}
        self._stamp: tuple[int, int, int] | None = None

    @property
    def are_used(self) -> bool:
        """Return whether a key was ever made: taking back the last one must not open the door to everybody."""
        return self.path.exists()

    def find(self, id: str) -> Key | None:
        """Return the key of an id."""
        return self._read().get(id)

    def secret_of(self, id: str) -> str | None:
        """Return the secret of an access key; None if there is no such key."""
        key = self.find(id)
        return None if key is None else key.secret or None  # an empty one would be everybody's

    def public_of(self, id: str) -> str | None:
        """Return the public key of a fingerprint; None if there is no such key."""
        key = self.find(id)
        return None if key is None else key.public or None

    def list(self) -> list[Key]:
        """Return every key, oldest first."""
        return list(self._read().values())

    def create(self, *, note: str = "", read_only: bool = False) -> Key:
        """Make an access key.

        Raises
        ------
        Failed
            if the file cannot be written.
        """
        name = "VT" + "".join(secrets.choice(_LETTERS) for _ in range(18))
        key = Key(name, secrets.token_urlsafe(30), note, read_only, _now())
        with self._changing() as known:
            known[name] = key
        return key

    def add(self, public: str, *, note: str = "", read_only: bool = False) -> Key:
        """Make the public key of an OCI user known; one that is known already takes the new note.

        Parameters
        ----------
        public
            the key in PEM form.
        note
            whose it is, for people.
        read_only
            whether it may only look.

        Raises
        ------
        Invalid
            if it is no public key of RSA.
        Unsupported
            if the package cryptography is not installed.
        Failed
            if the file cannot be written.
        """
        text = read_public_key(public)
        key = Key(fingerprint(text), "", note, read_only, _now(), text)
        with self._changing() as known:
            known[key.id] = key
        return key

    def revoke(self, id: str) -> None:
        """Take a key back: from now on nothing signed with it is accepted.

        Raises
        ------
        NotFound
            if there is no such key.
        """
        with self._changing() as known:
            if known.pop(id, None) is None:
                there = ", ".join(known) or "none"
                raise NotFound(f"There is no key {id!r}; there are: {there}.")

    def _read(self) -> dict[str, Key]:
        try:
            facts = self.path.stat()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise Failed(f"{self.path} cannot be read: {error.strerror or error}.") from error
        stamp = (facts.st_mtime_ns, facts.st_ino, facts.st_size)
        with self._lock:
            if stamp != self._stamp:
                self._known, self._stamp = self._load(), stamp
            return self._known

    def _load(self) -> dict[str, Key]:
        try:
            written = json.loads(self.path.read_text(encoding="utf-8"))
            if written["format"] != FORMAT:
                raise Invalid(f"{self.path} is of format {written['format']!r}; this version knows {FORMAT}.")
            return {one["id"]: Key(**one) for one in written["keys"]}
        except OSError as error:
            raise Failed(f"{self.path} cannot be read: {error.strerror or error}.") from error
        except (ValueError, KeyError, TypeError) as error:
            # A file that says nothing must not open the door to everybody.
            raise Invalid(
                f"{self.path} holds no keys ({error}); restore it, or remove it and make new ones."
            ) from error

    @contextlib.contextmanager
    def _changing(self) -> Iterator[dict[str, Key]]:
        """Yield the keys to change, while no other process changes them; they are written whole or not at all."""
        try:
            with _held(self.path.with_name(f".{FILE}.lock")):
                known = self._load() if self.path.exists() else {}
                yield known
                written = {"format": FORMAT, "keys": [_written(key) for key in known.values()]}
                new = self.path.with_name(f".{FILE}.new")
                new.unlink(missing_ok=True)
                handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with open(handle, "w", encoding="utf-8") as file:
                    json.dump(written, file, indent=1)
                    file.write("\n")
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(new, self.path)
        except OSError as error:
            raise Failed(f"{self.path} cannot be written: {error.strerror or error}.") from error


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _written(key: Key) -> dict[str, object]:
    """Return a key as the file has it: access keys as they were before there were public ones."""
    return {name: value for name, value in asdict(key).items() if name != "public" or value}


@contextlib.contextmanager
def _held(path: Path) -> Iterator[None]:
    """Hold a lock on a file; other processes wait."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
        try:
            import fcntl
        except ImportError:  # Windows
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)  # type: ignore[attr-defined,unused-ignore]
        else:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
