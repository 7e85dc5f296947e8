"""Signature Version 4: prove that a request was made with a key, and arrived as it was sent.

Only the standard library, on the request as it came: the path and the query as raw text, the headers with their
repetitions. Whatever a header means to us must be signed, or somebody between could change it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import quote

__all__ = ["UNSIGNED", "Claim", "Message", "Signature4", "SignatureError", "canonical_path", "canonical_query"]

UNSIGNED = "UNSIGNED-PAYLOAD"
"""What stands for the hash of a body that a program streams, and so cannot hash before it is sent."""
SKEW = 300.0
"""Seconds by which a clock may be wrong."""

_ALGORITHM = "AWS4-HMAC-SHA256"
_PART = re.compile(r"\s*(Credential|SignedHeaders|Signature)=([^,\s]+)\s*")
_CREDENTIAL = re.compile(r"([^/]{1,128})/(\d{8})/([^/]{0,64})/([^/]{1,64})/aws4_request")
_NAME = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")
# A second one of these would leave open which counts.
_SINGLE = ("authorization", "host", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token")


class SignatureError(Exception):
    """Say why a request is not accepted.

    Parameters
    ----------
    code
        the service's own name of it, ``InvalidSignatureException``.
    message
        what is wrong, and what to do.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Message:
    """Be a request as it came.

    Parameters
    ----------
    method
        ``GET``.
    path, query
        as sent, nothing decoded.
    headers
        names in small letters and values, with repetitions, in order.
    """

    method: str
    path: str
    query: str
    headers: Sequence[tuple[str, str]]

    def values(self, name: str) -> list[str]:
        """Return every value of a header."""
        return [value for key, value in self.headers if key == name]


@dataclass(frozen=True, slots=True)
class Claim:
    """Be what a request says of itself, before its body is known.

    ``key`` signed it at ``date``, in a ``scope`` of day, region and service; ``names`` are the signed headers,
    ``payload`` the hash that it states of its body, None if none.
    """

    key: str
    scope: tuple[str, str, str]
    date: str
    names: tuple[str, ...]
    signature: str
    payload: str | None


@dataclass(frozen=True, slots=True)
class Signature4:
    """Verify requests to one service.

    Parameters
    ----------
    service
        its signing name.
    secret_of
        gives the secret of a key; None = there is no such key.
    clock
        gives the time.

    Examples
    --------
    >>> verify = Signature4("lookoutvision", {"VTKEY": "secret"}.get)
    >>> verify.read(Message("GET", "/", "", [("host", "localhost")]))
    Traceback (most recent call last):
    ...
    vision_toolkit.services.auth.sigv4.SignatureError: The request is not signed; ...
    """

    service: str
    secret_of: Callable[[str], str | None]
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def read(self, message: Message, *, streams: bool = False) -> Claim:
        """Judge all that can be judged before the body has come: form, scope, clock, key and signed headers.

        Parameters
        ----------
        message
            the request.
        streams
            whether its operation takes a body as bytes, which need not be hashed then.

        Raises
        ------
        SignatureError
            if it is not accepted.
        """
        for name in _SINGLE:
            if len(message.values(name)) > 1:
                raise SignatureError("IncompleteSignatureException", f"The header {name} is there more than once.")
        claim = _claim(message)
        day, _, service = claim.scope
        if service != self.service:
            _refuse(f"Credential should be scoped to correct service: '{self.service}'.")
        moment = _moment(claim.date)
        if claim.date[:8] != day:
            _refuse(f"Date in Credential scope does not match YYYYMMDD from X-Amz-Date: '{day}' != '{claim.date[:8]}'.")
        apart = (self.clock() - moment).total_seconds()
        if abs(apart) > SKEW:
            now = self.clock().strftime("%Y%m%dT%H%M%SZ")
            kind = "Signature expired" if apart > 0 else "Signature not yet current"
            _refuse(f"{kind}: {claim.date} is more than {SKEW / 60:.0f} min from {now}, the time here; set the clock.")
        _check_names(message, claim.names)
        _check_payload(claim.payload, streams=streams)
        if self.secret_of(claim.key) is None:
            raise SignatureError(
                "UnrecognizedClientException",
                f"There is no access key {claim.key[:40]!r} here; 'vision-toolkit keys create' makes one.",
            )
        return claim

    def verify(self, message: Message, claim: Claim, body: bytes) -> None:
        """Judge the signature, now that the body has come.

        Raises
        ------
        SignatureError
            if it is not what the key makes of the request.
        """
        digest = claim.payload
        if digest != UNSIGNED:
            digest = hashlib.sha256(body).hexdigest()
            if claim.payload is not None and not hmac.compare_digest(claim.payload, digest):
                _refuse("The header x-amz-content-sha256 is not the hash of the body that came.")
        expected = hmac.new(
            _key(self.secret_of(claim.key) or "", *claim.scope), _to_sign(message, claim, str(digest)), hashlib.sha256
        ).hexdigest()
        if not hmac.compare_digest(expected, claim.signature) or self.secret_of(claim.key) is None:
            _refuse(
                "The request signature we calculated does not match the signature you provided. Check the secret key; "
                "a proxy must leave Host, path and query as they are."
            )


def _refuse(message: str) -> None:
    raise SignatureError("InvalidSignatureException", message)


def _claim(message: Message) -> Claim:
    given = "".join(message.values("authorization"))
    if not given:
        raise SignatureError(
            "MissingAuthenticationTokenException",
            "The request is not signed; configure an access key ('vision-toolkit keys create' makes one).",
        )
    algorithm, _, rest = given.partition(" ")
    parts = [_PART.fullmatch(part) for part in rest.split(",")]
    named = {part[1]: part[2] for part in parts if part is not None}
    if algorithm != _ALGORITHM or len(named) != 3 or len(parts) != 3 or None in parts:
        raise SignatureError(
            "IncompleteSignatureException",
            f"Authorization must be '{_ALGORITHM} Credential=..., SignedHeaders=..., Signature=...'.",
        )
    credential = _CREDENTIAL.fullmatch(named["Credential"])
    if credential is None:
        raise SignatureError(
            "IncompleteSignatureException", "Credential must be KEY/YYYYMMDD/REGION/SERVICE/aws4_request."
        )
    key, day, region, service = credential.groups()
    stated = message.values("x-amz-content-sha256")
    date = "".join(message.values("x-amz-date"))
    names = tuple(named["SignedHeaders"].split(";"))
    return Claim(key, (day, region, service), date, names, named["Signature"], stated[0] if stated else None)


def _moment(date: str) -> datetime:
    try:
        if re.fullmatch(r"\d{8}T\d{6}Z", date, re.ASCII):
            return datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        pass
    raise SignatureError("IncompleteSignatureException", "X-Amz-Date must be there, as YYYYMMDDTHHMMSSZ.")


def _check_names(message: Message, names: tuple[str, ...]) -> None:
    if list(names) != sorted(set(names)) or not all(map(_NAME.fullmatch, names)):
        raise SignatureError("IncompleteSignatureException", "SignedHeaders must be small, sorted, and named once.")
    there = {name for name, _ in message.headers}
    needed = {"host", "x-amz-date"} | {
        name for name in there if name.startswith("x-amz-") or name in ("content-type", "x-amzn-client-token")
    }
    if missing := needed - set(names):
        _refuse(f"These headers must be signed: {', '.join(sorted(missing))}.")
    if absent := set(names) - there:
        _refuse(f"These headers are signed, but not there: {', '.join(sorted(absent))}.")


def _check_payload(payload: str | None, *, streams: bool) -> None:
    if payload is None or re.fullmatch(r"[0-9a-f]{64}", payload) or (streams and payload == UNSIGNED):
        return
    allowed = f"the SHA-256 of the body, or {UNSIGNED}" if streams else "the SHA-256 of the body"
    _refuse(f"x-amz-content-sha256 must be {allowed}, here.")


def _to_sign(message: Message, claim: Claim, digest: str) -> bytes:
    lines = [f"{name}:{','.join(_plain(value) for value in message.values(name))}\n" for name in claim.names]
    request = "\n".join(
        [
            message.method,
            canonical_path(message.path),
            canonical_query(message.query),
            "".join(lines),
            ";".join(claim.names),
            digest,
        ]
    )
    scope = "/".join([*claim.scope, "aws4_request"])
    hashed = hashlib.sha256(request.encode("utf-8", "surrogateescape")).hexdigest()
    return f"{_ALGORITHM}\n{claim.date}\n{scope}\n{hashed}".encode()


def _plain(value: str) -> str:
    return " ".join(value.split())


def canonical_path(path: str) -> str:
    """Return a path as it is signed: without empty, ``.`` and ``..`` segments, what is encoded encoded once more.

    Examples
    --------
    >>> canonical_path("/tags/arn%3Aaws/./x")
    '/tags/arn%253Aaws/x'
    """
    segments: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del segments[-1:]
        elif part not in ("", "."):
            segments.append(part)
    end = "/" if path.endswith("/") and segments else ""
    return quote(f"/{'/'.join(segments)}{end}", safe="/~")


def canonical_query(query: str) -> str:
    """Return a query as it is signed: sorted by name and then value, otherwise as it was sent.

    Examples
    --------
    >>> canonical_query("b=2&a=%20&b=1")
    'a=%20&b=1&b=2'
    """
    pairs = [part.partition("=") for part in query.split("&")] if query else []
    return "&".join(f"{name}={value}" for name, _, value in sorted(pairs, key=lambda pair: (pair[0], pair[2])))


@lru_cache(maxsize=256)
def _key(secret: str, day: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key
