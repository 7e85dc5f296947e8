"""What all operations of Lookout for Vision share: where arguments travel, and how answers and errors look."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vision_toolkit.services import shapes
from vision_toolkit.services.lookout.errors import ClientError, translate
from vision_toolkit.services.lookout.work import Work
from vision_toolkit.services.operation import In, Once, Operation, Service, camel

__all__ = ["PAGE", "TOKEN", "Lookout"]

TOKEN = "ClientToken"  # noqa: S105 the name of one
"""The parameter that makes it safe to repeat a call."""
PAGE = 100
"""How many items a page has where nobody says how many."""

_HEADERS = {"ClientToken": "X-Amzn-Client-Token", "ContentType": "Content-Type"}


class Lookout(Service):
    """Be a service that speaks as Lookout for Vision does.

    Parameters
    ----------
    workspace
        what remembers which calls were made already.
    work
        what does the work.
    """

    prefix = "/2020-11-20"

    def __init__(self, workspace: Once, work: Work) -> None:
        super().__init__(workspace)
        self._work = work

    @classmethod
    def place(cls, name: str, method: str, path: str) -> In:
        """Say where an argument travels: in the path if that names it, else in the query or the JSON body."""
        if name in _HEADERS:
            return In("header", _HEADERS[name])
        if f"{{{camel(name)}}}" in path:
            return In("path", camel(name))
        if name == "Body":
            return In("raw", name)
        return In("query", camel(name)) if method in {"GET", "DELETE"} else In("member", name)

    def fault(
        self, error: Exception, operation: Operation, arguments: Mapping[str, Any], request_id: str
    ) -> ClientError:
        """Return an error as boto3 raised it."""
        return translate(error, operation.name, arguments, request_id)

    def answer(self, answer: Any, operation: Operation, request_id: str) -> dict[str, Any]:
        """Return a copy of an answer without members that are None, with the metadata that boto3 adds."""
        metadata = {
            "RequestId": request_id,
            "HTTPStatusCode": operation.status,
            "HTTPHeaders": {"content-type": "application/json", "x-amzn-requestid": request_id},
            "RetryAttempts": 0,
        }
        copy = shapes.encode(answer, date=shapes.same, blob=shapes.same)
        return {"ResponseMetadata": metadata, **copy}
