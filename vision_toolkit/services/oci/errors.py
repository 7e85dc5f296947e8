"""The errors of OCI, with the face that its SDK gives them."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

from vision_toolkit.core.errors import (
    Busy,
    Conflict,
    Denied,
    Exceeded,
    Invalid,
    NotFound,
    Unsupported,
    VisionError,
)
from vision_toolkit.services.operation import camel
from vision_toolkit.services.shapes import Violation

__all__ = [
    "CHANGES", "MAKES", "REQUEST_ID", "STATUSES", "USUAL", "MissingError", "ServiceError", "code_of", "refused",
    "translate",
]  # fmt: skip

_LOG = logging.getLogger(__name__)
REQUEST_ID = "opc-request-id"
"""The header that names a request."""

STATUSES = {
    "CannotParseRequest": 400,
    "InvalidParameter": 400,
    "MissingParameter": 400,
    "LimitExceeded": 400,
    "NotAuthenticated": 401,
    "NotAuthorized": 403,
    "NotAuthorizedOrNotFound": 404,
    "NotFound": 404,
    "MethodNotAllowed": 405,
    "Conflict": 409,
    "IncorrectState": 409,
    "InvalidatedRetryToken": 409,
    "NoEtagMatch": 412,
    "RequestEntityTooLarge": 413,
    "TooManyRequests": 429,
    "InternalServerError": 500,
    "MethodNotImplemented": 501,
}
"""The status of every error that is answered here, by its code."""
_ALWAYS = ("InvalidParameter", "NotAuthenticated", "NotAuthorized", "TooManyRequests", "InternalServerError")
USUAL = (*_ALWAYS, "NotAuthorizedOrNotFound")
"""What those operations may answer with that only look."""
MAKES = (*_ALWAYS, "MissingParameter", "CannotParseRequest", "InvalidatedRetryToken")
"""What those may answer with that make something new."""
CHANGES = (*USUAL, "MissingParameter", "CannotParseRequest", "Conflict", "IncorrectState", "NoEtagMatch")
"""What those may answer with that change something."""

_SHOWN = 20  # violations in a message


class MissingError(Invalid):
    """Say that something which is required was not given."""


_CODES: tuple[tuple[type[VisionError], str], ...] = (
    (MissingError, "MissingParameter"),
    (Invalid, "InvalidParameter"),
    (NotFound, "NotAuthorizedOrNotFound"),
    (Conflict, "IncorrectState"),
    (Exceeded, "LimitExceeded"),
    (Busy, "TooManyRequests"),
    (Denied, "NotAuthorized"),
    (Unsupported, "MethodNotImplemented"),
)
# A conflict about one of these has a code of its own. The state of a job that is ended will not change any more:
# Conflict says so, where IncorrectState would have the SDK try again for a minute and a half.
_CONFLICTS = {"token": "InvalidatedRetryToken", "etag": "NoEtagMatch", "job": "Conflict"}


class ServiceError(Exception):
    """Be an error of the service, as the SDK raises it.

    Where the package ``oci`` is installed, every one that is raised is an ``oci.exceptions.ServiceError`` too.

    Parameters
    ----------
    status, code
        of HTTP, and OCI's word for it: ``404``, ``"NotAuthorizedOrNotFound"``.
    headers
        of the answer.
    message
        what is wrong.
    operation_name
        ``get_project``.

    Examples
    --------
    >>> error = ServiceError(404, "NotAuthorizedOrNotFound", {}, "There is none.", operation_name="get_project")
    >>> error.status, error.code, error.message
    (404, 'NotAuthorizedOrNotFound', 'There is none.')
    """

    def __init__(
        self, status: int, code: str, headers: Mapping[str, str], message: str, *, operation_name: str = ""
    ) -> None:
        self.status, self.code, self.headers, self.message = status, code, dict(headers), message
        self.operation_name = operation_name
        self.request_id = self.headers.get(REQUEST_ID)
        self.target_service = "ai_service_vision"
        self.timestamp = datetime.now(UTC).isoformat()
        self.original_request = self.api_reference_link = self.request_endpoint = self.client_version = None
        Exception.__init__(self, {
            "target_service": self.target_service, "status": status, "code": code, REQUEST_ID: self.request_id,
            "message": message, "operation_name": operation_name, "timestamp": self.timestamp,
        })  # fmt: skip

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self.status, self.code, self.headers, self.message, self.operation_name)


@cache
def _class() -> type[ServiceError]:
    """Return the class of what is raised, made when first wanted: the SDK takes its time to import."""
    try:
        sdk = importlib.import_module("oci.exceptions").ServiceError
    except ImportError:
        return ServiceError
    return type("ServiceError", (ServiceError, sdk), {"__module__": __name__, "__doc__": ServiceError.__doc__})


def _again(status: int, code: str, headers: Mapping[str, str], message: str, operation_name: str) -> ServiceError:
    return _class()(status, code, headers, message, operation_name=operation_name)


def refused(violations: Sequence[Violation]) -> Invalid:
    """Return the error that tells what is wrong with a request.

    Examples
    --------
    >>> refused([Violation(("freeformTags", "a"), 3, "Member must be a string")])
    Invalid("freeformTags.a: must be a string; '3' was given.")
    """
    missing = all(one.value is None for one in violations)
    more = f" And {len(violations) - _SHOWN} more." if len(violations) > _SHOWN else ""
    text = " ".join(map(_said, violations[:_SHOWN])) + more
    return MissingError(text) if missing else Invalid(text)


def _said(one: Violation) -> str:
    where = ".".join(
        str(part) if number or isinstance(part, int) else camel(part) for number, part in enumerate(one.where)
    )
    if one.value is None:
        return f"{where or 'The body'}: is required."
    shown = str(one).removeprefix("Value ").partition(f" at '{one.path}' failed")[0]
    return f"{where or 'The body'}: {one.rule.removeprefix('Member ')}; {shown} was given."


def code_of(error: Exception) -> str:
    """Return OCI's word for one of our errors.

    Examples
    --------
    >>> code_of(Conflict("It was changed.").about("etag", "x")), code_of(ValueError())
    ('NoEtagMatch', 'InternalServerError')
    """
    if isinstance(error, Conflict) and error.kind in _CONFLICTS:
        return _CONFLICTS[error.kind]
    return next((code for kind, code in _CODES if isinstance(error, kind)), "InternalServerError")


def translate(error: Exception, operation: str, request_id: str) -> ServiceError:
    """Return the service's error for one of ours; what is not one of ours is logged.

    Parameters
    ----------
    error
        any; those of the service stay as they are.
    operation
        ``create_project``.
    request_id
        under which it is logged.
    """
    if isinstance(error, ServiceError):
        return error
    code = code_of(error)
    message = str(error) if isinstance(error, VisionError) else "Something went wrong inside the service."
    if code == "InternalServerError":
        _LOG.error("%s failed, request %s", operation, request_id, exc_info=error)
        message = f"{message} The log tells more of request {request_id}."
    headers = {"content-type": "application/json", REQUEST_ID: request_id}
    return _class()(STATUSES[code], code, headers, message, operation_name=operation)
