"""What all operations of OCI Vision share: where arguments travel, and how answers and errors look."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from vision_toolkit.core.errors import Conflict, VisionError
from vision_toolkit.services.oci import names
from vision_toolkit.services.oci.errors import REQUEST_ID, ServiceError, refused, translate
from vision_toolkit.services.oci.models import Headers, Request, Response, as_json, as_models
from vision_toolkit.services.operation import In, Operation, Reply, Service, camel
from vision_toolkit.services.shapes import Violation

if TYPE_CHECKING:
    from vision_toolkit.workspace import Workspace

__all__ = ["TOKEN", "WORK_REQUEST", "Oci", "check_etag"]

TOKEN = "opc_retry_token"  # noqa: S105 the name of one
"""The parameter that makes it safe to repeat a call."""
WORK_REQUEST = "opc-work-request-id"
"""The header that names what was asked for."""
TOKEN_HOURS = 24.0

_HEADERS = ("opc_request_id", "opc_retry_token", "if_match")
# What the SDK's methods take for the network's sake.
_IGNORED = ("allow_control_chars", "enable_strict_url_encoding", "retry_strategy")


@dataclass(frozen=True, slots=True)
class _Told(Reply[Any]):
    """An answer that knows what was asked."""

    arguments: Mapping[str, Any] = field(default_factory=dict)


class _Day:
    """Remember calls for as long as OCI does, with the headers of their answers."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def once(self, scope: str, token: str | None, request: Mapping[str, Any], do: Callable[[], Any]) -> Any:
        def kept() -> dict[str, Any]:
            reply: Reply[Any] = do()
            return {"data": reply.data, "headers": dict(reply.headers)}

        answer = self._workspace.once(f"oci {scope}", token, request, kept, hours=TOKEN_HOURS)
        return Reply(answer["data"], answer["headers"])


class Oci(Service):
    """Be a service that speaks as OCI Vision does.

    Parameters
    ----------
    workspace
        where everything lives; its settings name the region.
    """

    prefix = "/20220125"
    ignores_unknown = True
    incidental = frozenset({"opc_request_id"})

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(_Day(workspace))
        self.workspace = workspace

    @classmethod
    def place(cls, name: str, method: str, path: str) -> In:  # noqa: ARG003 the same for every method
        """Say where an argument travels: in the path if that names it, as the body if it ends so, else in the query."""
        if name in _HEADERS:
            return In("header", name.replace("_", "-"))
        if f"{{{camel(name)}}}" in path:
            return In("path", camel(name))
        return In("body", name) if name.endswith("_details") else In("query", camel(name))

    def refusal(self, violations: list[Violation]) -> VisionError:
        """Return the error that tells what is wrong with a request."""
        return refused(violations)

    def fault(
        self,
        error: Exception,
        operation: Operation,
        arguments: Mapping[str, Any],  # noqa: ARG002 they are in the message, if they matter
        request_id: str,
    ) -> ServiceError:
        """Return an error, of whatever arguments, as the SDK raises it."""
        return translate(error, operation.python_name, request_id)

    def call(
        self, operation: Operation, arguments: Mapping[str, Any], *, text: bool = False, request_id: str = ""
    ) -> Any:
        """Do what an operation promises, as :meth:`Service.call` says; a program may give models, ours or the SDK's."""
        if not text:
            arguments = {name: value for name, value in arguments.items() if name not in _IGNORED}
            if unknown := [name for name in arguments if name not in operation.parameters]:
                raise ValueError(f"{operation.python_name} got unknown kwargs: {unknown!r}")
            arguments = {name: as_json(value) for name, value in arguments.items()}
            request_id = str(arguments.get("opc_request_id") or request_id)
        request_id = request_id or self.new_request_id()
        reply = super().call(operation, arguments, text=text, request_id=request_id)
        return _Told(reply.data, {REQUEST_ID: request_id, **reply.headers}, arguments)

    def answer(self, answer: _Told, operation: Operation, request_id: str) -> Response:  # noqa: ARG002 it is a header
        """Return an answer as the SDK gives it."""
        repeat = functools.partial(getattr(self, operation.python_name), **answer.arguments)
        data = None if operation.returns is None else as_models(operation.returns, answer.data)
        return Response(operation.status, Headers(answer.headers), data, Request(operation.method, repeat))

    @staticmethod
    def date(moment: datetime) -> str:
        """Return a date as OCI writes it: with milliseconds, in UTC."""
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    @staticmethod
    def new_request_id() -> str:
        """Return a name for one request, as the SDK makes them."""
        return uuid.uuid4().hex.upper()

    def _ocid(self, entity: names.Entity, id: str) -> str:
        return names.ocid(entity, self.workspace.settings.region, id)


def check_etag(known: str, if_match: str | None) -> None:
    """Raise Conflict if somebody has changed what a caller has seen.

    Examples
    --------
    >>> check_etag("2", "2"), check_etag("2", None), check_etag("2", "*")
    (None, None, None)
    """
    if if_match not in (None, "*", known):
        raise Conflict(
            f"The etag {str(if_match)[:80]!r} is not that of the last change; get it again, and see what changed."
        ).about("etag", str(if_match))
