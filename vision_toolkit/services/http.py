"""The codec between HTTP and :meth:`Service.call`: one listener for every service, its routes made from the operations.

A request passes, in this order: limits, signature, route, check, once, the method. Whatever goes wrong is answered in
the form of the service whose path it is, as JSON: never a page, never 500 for a fault of the client, never 200 with
half an answer. Only the limits and what a signature says of itself are looked at before the body has come; the rest
happens in a thread, so that nothing keeps others waiting.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol, get_origin

import msgspec
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from vision_toolkit.core.errors import Busy, Denied
from vision_toolkit.services.auth.sigv4 import Message
from vision_toolkit.services.body import Body, Limits, RefusedError, limit_of
from vision_toolkit.services.metrics import CONTENT_TYPE, Metrics
from vision_toolkit.services.operation import Operation, Reply, Service
from vision_toolkit.services.routes import Found, Routes, decode, pairs
from vision_toolkit.services.shapes import plain

__all__ = ["Answer", "Front", "HttpApp", "Page", "arguments_of", "is_loopback"]

_LOG = logging.getLogger(__name__)
Page = Callable[[], "Answer"]
"""Gives what a path of our own answers."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Be what goes back: status, body and headers; ``error`` is the name of the error, if it is one."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    error: str = ""


class Front(Protocol):
    """What the codec asks of a service besides its operations: who may ask, and how errors look on the wire."""

    name: str
    """Of the service, in logs and counts."""
    plus: bool
    """Whether ``+`` in a query is a space."""

    @property
    def service(self) -> Service:
        """Return the service itself."""

    def request_id(self, message: Message) -> str:
        """Return the name of a request, under which it is logged: a new one, or the one that the client gave it."""

    def begin(self, message: Message, operation: Operation | None) -> Callable[[bytes], str]:
        """Judge a request before its body has come; return what judges the body and gives the name of who asks.

        Raises
        ------
        Exception
            of the service's own, if it is not accepted.
        """

    def fault(self, error: Exception, operation: Operation | None, request_id: str) -> Answer:
        """Return the answer that tells an error."""

    def headers(self, request_id: str) -> Mapping[str, str]:
        """Return the headers that every answer has."""


@dataclass(slots=True)
class _Request:
    """What is known of one request so far."""

    message: Message
    front: Front
    id: str
    client: str
    started: float
    operation: Operation | None = None
    caller: str = ""
    taken: int = 0

    @property
    def name(self) -> str:
        return "unknown" if self.operation is None else self.operation.name


class HttpApp:
    """Be the ASGI application that offers services.

    Parameters
    ----------
    fronts
        the services; the first one's form is that of errors that concern none.
    pages
        what other paths answer to GET, ``/health`` say.
    limits
        on bodies, time and how much goes on at once.
    hosts
        the names by which it may be addressed; None = any. Given, a request that a page of a browser sent is refused.
    """

    def __init__(
        self,
        fronts: Sequence[Front],
        *,
        pages: Mapping[str, Page] | None = None,
        limits: Limits | None = None,
        hosts: frozenset[str] | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self.metrics = metrics or Metrics()
        self._fronts = [(Routes(type(front.service)), front) for front in fronts]
        self._pages = {"/metrics": self._metrics, **(pages or {})}
        self._hosts = hosts
        # Judging images takes long: it must not keep those waiting who only ask how something is.
        self._calls = ThreadPoolExecutor(self.limits.calls, thread_name_prefix="call")
        self._images = ThreadPoolExecutor(self.limits.images, thread_name_prefix="image")
        self._waiting = {self._calls: 0, self._images: 0}

    def close(self) -> None:
        """Let go of the threads, after what they are doing."""
        self._calls.shutdown()
        self._images.shutdown()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        if scope["type"] != "http":
            return
        request = self._request(scope)
        body = Body(receive, request.message, self.limits)
        self.metrics.in_flight += 1
        answer: Answer | None = None
        try:
            answer = await self._answer(request, body)
            await body.drain()
            headers = {"content-type": "application/json", **request.front.headers(request.id), **answer.headers}
            if request.message.method == "HEAD":
                headers["content-length"] = str(len(answer.body))
                answer = Answer(answer.status, b"", headers, answer.error)
            await Response(answer.body, answer.status, headers)(scope, receive, send)
        except ClientDisconnect:
            answer = Answer(499, error="ClientDisconnect")
        finally:
            self.limits.give_back(body.held)
            self.metrics.in_flight -= 1
            self._note(request, answer or Answer(499, error="Cancelled"))

    def _request(self, scope: Scope) -> _Request:
        path = scope["raw_path"].decode("latin-1")
        headers = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]]
        message = Message(scope["method"], path, scope["query_string"].decode("latin-1"), headers)
        fronts = (front for routes, front in self._fronts if f"{path}/".startswith(f"{routes.prefix}/"))
        front = next(fronts, self._fronts[0][1])
        client = scope.get("client") or ("", 0)
        return _Request(message, front, front.request_id(message), client[0], time.perf_counter())

    async def _answer(self, request: _Request, body: Body) -> Answer:
        try:
            self._check_place(request.message)
            page = self._pages.get(request.message.path)
            if page is not None:
                return await self._page(request, page)
            routes = next(routes for routes, front in self._fronts if front is request.front)
            found = routes.find(request.message.method, request.message.path)
            request.operation = found.operation
            if found.operation is not None:  # else the front may know better what to say than that it is too long
                body.check_length(limit_of(found.operation, self.limits))
            judge = request.front.begin(request.message, found.operation)
            data = await body.read(limit_of(found.operation, self.limits))
            request.taken = len(data)
            return await self._in_thread(request, lambda: self._work(request, found, judge, data))
        except (ClientDisconnect, asyncio.CancelledError):
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told in the service's form
            return request.front.fault(error, request.operation, request.id)

    def _check_place(self, message: Message) -> None:
        """Refuse what a page in a browser sends to a server that trusts whoever reaches it."""
        if self._hosts is None:
            return
        given = message.values("host")
        name = given[0].rpartition(":")[0] if given and _has_port(given[0]) else "".join(given)
        if len(given) != 1 or not (name.strip("[]").lower() in self._hosts or is_loopback(name)):
            raise Denied(f"This server answers as localhost only, not as {name[:80]!r}; --allow-host adds a name.")
        if message.values("origin"):
            raise Denied("Pages in a browser may not ask this server.")

    async def _page(self, request: _Request, page: Page) -> Answer:
        if request.message.method not in ("GET", "HEAD"):
            raise RefusedError(405, f"{request.message.path} knows GET.", {"allow": "GET, HEAD"})
        return await self._in_thread(request, page)

    async def _in_thread(self, request: _Request, do: Callable[[], Answer]) -> Answer:
        raw = request.operation is not None and _raw(request.operation)
        pool = self._images if raw else self._calls
        if self._waiting[pool] >= self.limits.waiting:
            raise Busy(f"{self.limits.waiting} requests wait already; ask again later.")
        self._waiting[pool] += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, do)
        finally:
            self._waiting[pool] -= 1

    def _work(self, request: _Request, found: Found, judge: Callable[[bytes], str], body: bytes) -> Answer:
        """Do what needs the body: signature, route, arguments and the call."""
        request.caller = judge(body)
        if found.operation is None:
            raise _unknown(request.message, found)
        front = request.front
        arguments = arguments_of(found.operation, found.arguments, request.message, body, plus=front.plus)
        answer = front.service.call(found.operation, arguments, text=True, request_id=request.id)
        headers = answer.headers if isinstance(answer, Reply) else {}
        data = answer.data if isinstance(answer, Reply) else answer
        encoded = b"" if found.operation.returns is None else _json(front.service.encode(data))
        return Answer(found.operation.status, encoded, headers)

    def _metrics(self) -> Answer:
        return Answer(200, self.metrics.text().encode(), {"content-type": CONTENT_TYPE})

    def _note(self, request: _Request, answer: Answer) -> None:
        took = time.perf_counter() - request.started
        page = request.message.path if request.message.path in self._pages else ""
        self.metrics.add(request.front.name, page or request.name, answer.status, took)
        facts = {
            "request_id": request.id,
            "method": request.message.method,
            "path": request.message.path[:512],
            "operation": page or request.name,
            "status": answer.status,
            "error": answer.error,
            "milliseconds": round(took * 1000, 1),
            "bytes_in": request.taken,
            "bytes_out": len(answer.body),
            "key": request.caller,
            "client": request.client,
        }
        _LOG.info("%s %s", request.name, answer.status, extra={"facts": facts})


def arguments_of(
    operation: Operation, path: Mapping[str, str], message: Message, body: bytes, *, plus: bool
) -> dict[str, Any]:
    """Return the arguments of a call by their Python names, as text and JSON have them.

    Parameters
    ----------
    operation
        what is called.
    path
        its arguments in the path, still encoded.
    message, body
        the request.
    plus
        whether ``+`` in a query is a space.

    Raises
    ------
    RefusedError
        if something cannot be read at all.
    """
    given: dict[str, Any] = {}
    query = _query(message.query, plus=plus)
    members = {one.wire: name for name, one in operation.parameters.items() if one.place == "member"}
    whole = next((name for name, one in operation.parameters.items() if one.place == "body"), None)
    for name, one in operation.parameters.items():
        if one.place == "path":
            given[name] = _decoded(path[one.wire], "path")
        elif one.place in ("query", "header"):
            values = query.get(one.wire, []) if one.place == "query" else message.values(one.wire.lower())
            is_list = get_origin(plain(one.hint)[0]) is list
            # One that came twice is left a list, which the check tells as such.
            given[name] = None if not values else values if is_list or len(values) > 1 else values[0]
        elif one.place == "raw":
            given[name] = body
    if whole is not None:
        given[whole] = _read_json(body) if body.strip() else None
    elif members:
        for name, value in _object(body).items():
            python = members.get(name) or (name if name not in operation.parameters else f"{name} in the body")
            given[python] = value
    return given


def _query(text: str, *, plus: bool) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    try:
        for name, value in pairs(text, plus=plus):
            found.setdefault(name, []).append(value)
    except ValueError as error:
        raise RefusedError(400, f"The query cannot be read: {_said(error)}.") from None
    return found


def _decoded(text: str, where: str) -> str:
    try:
        return decode(text)
    except ValueError as error:
        raise RefusedError(400, f"The {where} cannot be read: {_said(error)}.") from None


def _said(error: ValueError) -> str:
    return "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)


def _object(body: bytes) -> dict[str, Any]:
    read = _read_json(body) if body.strip() else {}
    if not isinstance(read, dict):
        raise RefusedError(400, "The body must be a JSON object.")
    return read


def _read_json(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RefusedError(400, f"The body is not JSON: {str(error)[:200]}.") from None


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode("ascii")


def _raw(operation: Operation) -> bool:
    return any(one.place == "raw" for one in operation.parameters.values())


def _unknown(message: Message, found: Found) -> RefusedError:
    if found.methods:
        allowed = ", ".join(found.methods)
        return RefusedError(405, f"This path knows {allowed}, not {message.method[:20]}.", {"allow": allowed})
    return RefusedError(404, f"No operation has the path {message.path[:200]!r}.")


def _has_port(host: str) -> bool:
    return ":" in host and host.rpartition(":")[2].isdigit() and not host.endswith("]")


def is_loopback(host: str) -> bool:
    """Return whether a name or an address means this machine, and nothing that others can reach.

    Examples
    --------
    >>> is_loopback("localhost"), is_loopback("127.0.0.1"), is_loopback("[::1]"), is_loopback("0.0.0.0")
    (True, True, True, False)
    """
    name = host.strip("[]").lower()
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
