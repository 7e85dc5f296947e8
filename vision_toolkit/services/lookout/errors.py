"""The errors of Lookout for Vision, with the faces that boto3 gave them."""

from __future__ import annotations

import importlib
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
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

__all__ = ["FEW", "MODELLED", "QUOTA", "USUAL", "ClientError", "Exceptions", "Modelled", "translate"]

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Modelled:
    """Be what the contract says of one error: its HTTP status, and its members besides ``Message``.

    Parameters
    ----------
    status
        of HTTP.
    required, optional
        names of members; ``RetryAfterSeconds`` travels in the header ``Retry-After``.
    """

    status: int
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()


MODELLED = {
    "AccessDeniedException": Modelled(403),
    "InternalServerException": Modelled(500, optional=("RetryAfterSeconds",)),
    "ValidationException": Modelled(400),
    "ConflictException": Modelled(409, ("ResourceId", "ResourceType")),
    "ResourceNotFoundException": Modelled(404, ("ResourceId", "ResourceType")),
    "ThrottlingException": Modelled(429, optional=("QuotaCode", "ServiceCode", "RetryAfterSeconds")),
    "ServiceQuotaExceededException": Modelled(402, ("QuotaCode", "ServiceCode"), ("ResourceId", "ResourceType")),
}
"""Every error of the contract by its name."""

USUAL = tuple(name for name in MODELLED if name != "ServiceQuotaExceededException")
"""What most operations may answer with."""
FEW = tuple(name for name in USUAL if name != "ConflictException")
"""What those may answer with that only look at packaging jobs."""
QUOTA = tuple(MODELLED)
"""What those may answer with that make something of which there may be so many."""

_CODES: tuple[tuple[type[VisionError], str], ...] = (
    (Invalid, "ValidationException"),
    (Unsupported, "ValidationException"),
    (NotFound, "ResourceNotFoundException"),
    (Conflict, "ConflictException"),
    (Exceeded, "ServiceQuotaExceededException"),
    (Busy, "ThrottlingException"),
    (Denied, "AccessDeniedException"),
)
_TYPES = {
    "project": "PROJECT",
    "dataset": "DATASET",
    "model": "MODEL",
    "trial": "TRIAL",
    "package": "MODEL_PACKAGE_JOB",
    "packaging": "MODEL_PACKAGE_JOB",
    "job": "MODEL_PACKAGE_JOB",
}
# The innermost resource that an operation's arguments name, for an error that does not say what it is about.
_NAMED_BY = (
    ("JobName", "MODEL_PACKAGE_JOB"),
    ("ModelVersion", "MODEL"),
    ("DatasetType", "DATASET"),
    ("ProjectName", "PROJECT"),
    ("ResourceArn", "MODEL"),
)


class ClientError(Exception):
    """Be an error of the service, as boto3 raised it.

    Where botocore is installed, every one that is raised is a ``botocore.exceptions.ClientError`` too.

    Parameters
    ----------
    response
        ``Error`` with ``Code`` and ``Message``, ``ResponseMetadata``, and the members that the contract names.
    operation_name
        ``CreateProject``.

    Examples
    --------
    >>> error = ClientError({"Error": {"Code": "ConflictException", "Message": "There is one."}}, "CreateProject")
    >>> str(error)
    'An error occurred (ConflictException) when calling the CreateProject operation: There is one.'
    """

    def __init__(self, response: dict[str, Any], operation_name: str) -> None:
        said = response.get("Error", {})
        code, message = said.get("Code", "Unknown"), said.get("Message", "Unknown")
        Exception.__init__(self, f"An error occurred ({code}) when calling the {operation_name} operation: {message}")
        self.response = response
        self.operation_name = operation_name

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self.response, self.operation_name)

    @property
    def body(self) -> dict[str, Any]:
        """What of it travels in the body of an answer; status and headers are in ``response["ResponseMetadata"]``."""
        not_there = {"Error", "ResponseMetadata", "RetryAfterSeconds"}
        members = {name: value for name, value in self.response.items() if name not in not_there}
        return {"__type": self.response["Error"]["Code"], **members}


class Exceptions:
    """Give every error of the service by its name: ``client.exceptions.ConflictException``.

    Examples
    --------
    >>> exceptions = Exceptions()
    >>> issubclass(exceptions.ConflictException, exceptions.ClientError)
    True
    """

    def from_code(self, code: str) -> type[ClientError]:
        """Return the class of an error by its code, :class:`ClientError` for one that the contract does not have."""
        return _classes().get(code, _classes()["ClientError"])

    def __getattr__(self, name: str) -> type[ClientError]:
        if name == "ClientError":
            return ClientError
        if name not in MODELLED:
            raise AttributeError(f"{self} object has no attribute {name}. Valid exceptions are: {', '.join(MODELLED)}")
        return _classes()[name]

    def __dir__(self) -> list[str]:
        return ["ClientError", *MODELLED, *super().__dir__()]


@cache
def _classes() -> dict[str, type[ClientError]]:
    """Return the classes of errors by code, made when first wanted: botocore takes its time to import."""
    try:
        bases: tuple[type, ...] = (ClientError, importlib.import_module("botocore.exceptions").ClientError)
    except ImportError:
        bases = (ClientError,)

    def made(name: str) -> type[ClientError]:
        return type(name, bases, {"__module__": __name__, "__doc__": ClientError.__doc__})

    return {name: made(name) for name in ("ClientError", *MODELLED)}


def _again(response: dict[str, Any], operation_name: str) -> ClientError:
    return Exceptions().from_code(response["Error"]["Code"])(response, operation_name)


def translate(error: Exception, operation: str, arguments: Mapping[str, Any], request_id: str) -> ClientError:
    """Return the service's error for one of ours; what is not one of ours is logged.

    Parameters
    ----------
    error
        any; those of the service stay as they are.
    operation
        ``CreateProject``.
    arguments
        of the call, which name what the error is about if it does not say so itself.
    request_id
        under which it is logged.

    Examples
    --------
    >>> error = translate(NotFound("No such project.").about("project", "bolts"), "DescribeProject", {}, "42")
    >>> error.response["Error"]["Code"], error.response["ResourceType"], error.response["ResourceId"]
    ('ResourceNotFoundException', 'PROJECT', 'bolts')
    """
    if isinstance(error, ClientError):
        return error
    code = next((code for kind, code in _CODES if isinstance(error, kind)), "InternalServerException")
    message = str(error) if isinstance(error, VisionError) else "Something went wrong inside the service."
    if code == "InternalServerException":
        _LOG.error("%s failed, request %s", operation, request_id, exc_info=error)
        message = f"{message} The log tells more of request {request_id}."
    members = {"Message": message}
    known = _known(error, operation, arguments)
    modelled = MODELLED[code]
    members |= {name: known[name] for name in (*modelled.required, *modelled.optional) if name in known}
    response = {
        "Error": {"Message": message, "Code": code},
        "ResponseMetadata": {
            "RequestId": request_id,
            "HTTPStatusCode": modelled.status,
            "HTTPHeaders": _headers(error, code, request_id),
            "RetryAttempts": 0,
        },
        **members,
    }
    return Exceptions().from_code(code)(response, operation)


def _known(error: Exception, operation: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return every member that an error could have."""
    kind, name = getattr(error, "kind", ""), getattr(error, "name", "")
    named = ((str(arguments[one]), type_) for one, type_ in _NAMED_BY if arguments.get(one))
    id_, type_ = (name, _TYPES[kind]) if kind in _TYPES else next(named, (name, "PROJECT"))
    known: dict[str, Any] = {"ResourceId": id_, "ResourceType": type_}
    if isinstance(error, Exceeded):
        # Amazon's own codes of quotas are not public: the quota is told by the name that it has here.
        known |= {"QuotaCode": name if kind == "quota" else operation, "ServiceCode": "lookoutvision"}
    if isinstance(error, Busy):
        known["RetryAfterSeconds"] = max(1, math.ceil(error.seconds))
    return known


def _headers(error: Exception, code: str, request_id: str) -> dict[str, str]:
    headers = {"content-type": "application/json", "x-amzn-requestid": request_id, "x-amzn-errortype": code}
    if isinstance(error, Busy):
        # Newer SDKs obey the second, in milliseconds; none obeys the first.
        headers["retry-after"] = str(max(1, math.ceil(error.seconds)))
        headers["x-amz-retry-after"] = str(max(1, math.ceil(error.seconds * 1000)))
    return headers
