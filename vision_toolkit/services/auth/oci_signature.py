"""OCI's signature: prove that a request was made with a private key, and arrived as it was sent.

The public key verifies (RSA, PKCS #1 v1.5, SHA-256), so nothing secret is kept here. What is signed covers the hash of
the body: all but the body itself is judged before it has come. The SDK does not sign ``if-match``,
``opc-retry-token`` and ``opc-request-id``; TLS protects them, a signature does not.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any, NoReturn

from vision_toolkit.core.errors import Invalid, Unsupported
from vision_toolkit.services.auth.sigv4 import SKEW, Message, SignatureError

__all__ = ["OciClaim", "OciSignature", "fingerprint", "read_public_key"]

LEAST_BITS = 2048
"""Bits that a key must have."""

_TARGET = "(request-target)"
_BODY = {"content-length", "content-type", "x-content-sha256"}
_WITH_BODY = ("POST", "PUT", "PATCH")
_PART = re.compile(r'\s*([A-Za-z]+)="([^"]*)"\s*')
_KEY = re.compile(r"[^/\s]{1,255}/[^/\s]{1,255}/([0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){15})")
_NAME = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")
# A second one of these would leave open which counts.
_SINGLE = ("authorization", "host", "date", "x-date", *sorted(_BODY))


@dataclass(frozen=True, slots=True)
class OciClaim:
    """Be what is known of a request whose signature is good: the fingerprint of its ``key``, and its ``payload``.

    ``payload`` is the hash that it states of its body, None if it states none and must have no body.
    """

    key: str
    payload: str | None


@dataclass(frozen=True, slots=True)
class OciSignature:
    """Verify requests.

    Parameters
    ----------
    public_of
        gives the public key of a fingerprint, in PEM form; None = there is no such key.
    clock
        gives the time.

    Examples
    --------
    >>> OciSignature({}.get).read(Message("GET", "/", "", [("host", "localhost")]))
    Traceback (most recent call last):
    ...
    vision_toolkit.services.auth.sigv4.SignatureError: The request is not signed; ...
    """

    public_of: Callable[[str], str | None]
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def read(self, message: Message) -> OciClaim:
        """Judge all but the body: form, clock, key, what is signed, and the signature.

        Raises
        ------
        SignatureError
            if it is not accepted.
        """
        for name in _SINGLE:
            if len(message.values(name)) > 1:
                _refuse(f"The header {name} is there more than once.")
        said = _said(message)
        names = said["headers"].split()
        _check_names(message, names)
        self._check_date(message, names)
        found = _KEY.fullmatch(said["keyId"])
        if found is None:
            _refuse("keyId must be TENANCY/USER/FINGERPRINT; session tokens and principals are not known here.")
        key = found[1].lower()
        public = self.public_of(key)
        if public is None:
            _refuse(f"There is no key {key} here; 'vision-toolkit keys add PUBLIC.pem' makes one known.")
        _verify(public, _to_sign(message, names), said["signature"])
        return OciClaim(key, message.values("x-content-sha256")[0] if "x-content-sha256" in names else None)

    def verify(self, claim: OciClaim, body: bytes) -> None:
        """Judge the body, now that it has come.

        Raises
        ------
        SignatureError
            if it is not the one whose hash was signed.
        """
        if claim.payload is None:
            if body:
                _refuse("The request has a body that is not signed; x-content-sha256 must be there, and signed.")
            return
        digest = base64.b64encode(hashlib.sha256(body).digest()).decode("ascii")
        if not hmac.compare_digest(digest.encode(), claim.payload.encode("latin-1", "replace")):
            _refuse("The header x-content-sha256 is not the hash of the body that came.")

    def _check_date(self, message: Message, names: list[str]) -> None:
        name = "x-date" if "x-date" in names else "date"
        given = message.values(name)[0]
        try:
            moment = parsedate_to_datetime(given)
            moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
            apart = abs((self.clock() - moment).total_seconds())
        except (ValueError, TypeError, OverflowError, IndexError):
            _refuse(f"The header {name} must be a date such as 'Thu, 05 Jan 2014 21:31:40 GMT'.")
        if apart > SKEW:
            now = self.clock().strftime("%a, %d %b %Y %H:%M:%S GMT")
            _refuse(
                f"The date of the request is more than {SKEW / 60:.0f} min from {now}, the time here; set the clock."
            )


def _refuse(message: str) -> NoReturn:
    raise SignatureError("NotAuthenticated", message)


def _said(message: Message) -> dict[str, str]:
    given = "".join(message.values("authorization"))
    if not given:
        _refuse("The request is not signed; configure a key, and 'vision-toolkit keys add PUBLIC.pem' makes it known.")
    scheme, _, rest = given.partition(" ")
    parts = [_PART.fullmatch(part) for part in rest.split(",")]
    said = {part[1]: part[2] for part in parts if part is not None}
    if scheme.lower() != "signature" or None in parts or len(said) != len(parts):
        _refuse(
            'Authorization must be \'Signature version="1",keyId="...",algorithm="...",headers="...",signature="..."\'.'
        )
    if missing := {"version", "keyId", "algorithm", "headers", "signature"} - set(said):
        _refuse(f"Authorization has no {', '.join(sorted(missing))}.")
    if (said["version"], said["algorithm"]) != ("1", "rsa-sha256"):
        _refuse('Only version="1" and algorithm="rsa-sha256" are known.')
    return said


def _check_names(message: Message, names: list[str]) -> None:
    if len(set(names)) != len(names) or not all(name == _TARGET or _NAME.fullmatch(name) for name in names):
        _refuse("headers must be names in small letters, each once.")
    needed = {_TARGET, "host"} | (_BODY if message.method in _WITH_BODY else set())
    needed |= set() if "x-date" in names else {"date"}
    if missing := needed - set(names):
        _refuse(f"These must be signed: {', '.join(sorted(missing))}.")
    there = {name for name, _ in message.headers}
    if absent := set(names) - there - {_TARGET}:
        _refuse(f"These headers are signed, but not there: {', '.join(sorted(absent))}.")


def _to_sign(message: Message, names: list[str]) -> bytes:
    target = f"{message.path}?{message.query}" if message.query else message.path
    lines = [
        f"{_TARGET}: {message.method.lower()} {target}" if name == _TARGET
        else f"{name}: {', '.join(message.values(name))}"
        for name in names
    ]  # fmt: skip
    return "\n".join(lines).encode("latin-1", "replace")


def _verify(public: str, text: bytes, signature: str) -> None:
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
        from cryptography.hazmat.primitives.hashes import SHA256
    except ImportError:
        _refuse("This server cannot verify signatures of OCI; it needs: pip install 'vision_toolkit[oci]'.")
    try:
        _loaded(public).verify(base64.b64decode(signature, validate=True), text, PKCS1v15(), SHA256())
    except (InvalidSignature, ValueError):
        _refuse(
            "The signature is not what the key makes of this request. Check the private key; a proxy must leave Host, "
            "path and query as they are."
        )


@lru_cache(maxsize=256)
def _loaded(public: str) -> Any:
    """Return a public key; raises ValueError if it is none."""
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    return load_pem_public_key(public.encode())


def read_public_key(text: str) -> str:
    """Return a public key in PEM form, as it is kept.

    Parameters
    ----------
    text
        what a file holds: a public key of RSA, of at least 2048 bits.

    Raises
    ------
    Invalid
        if it is something else; a private key does not belong here.
    Unsupported
        if the package cryptography is not installed.
    """
    try:
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
    except ImportError:
        raise Unsupported("Keys of OCI need the package cryptography: pip install 'vision_toolkit[oci]'.") from None
    if "PRIVATE KEY" in text:
        raise Invalid(
            "This is a private key, which stays where it is; give the public one: openssl rsa -pubout -in KEY.pem."
        )
    try:
        key = _loaded(text)
    except (ValueError, TypeError) as error:
        raise Invalid(f"This is no public key in PEM form: {str(error)[:100]}.") from None
    if not isinstance(key, RSAPublicKey) or key.key_size < LEAST_BITS:
        raise Invalid(f"OCI signs with keys of RSA, of at least {LEAST_BITS} bits; this one is another.")
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")


def fingerprint(public: str) -> str:
    r"""Return the fingerprint of a public key in PEM form, as OCI writes it.

    Examples
    --------
    >>> fingerprint("-----BEGIN PUBLIC KEY-----\nNDI=\n-----END PUBLIC KEY-----\n")
    'a1:d0:c6:e8:3f:02:73:27:d8:46:10:63:f4:ac:58:a6'
    """
    inner = "".join(line for line in public.splitlines() if not line.startswith("-----"))
    digest = hashlib.md5(base64.b64decode(inner), usedforsecurity=False).hexdigest()
    return ":".join(re.findall("..", digest))
