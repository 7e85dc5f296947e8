"""Read the body of a request within limits: of bytes, of time, and of what all of them hold together."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from vision_toolkit.core.errors import Busy
from vision_toolkit.core.limits import LOOKOUT
from vision_toolkit.services.auth.sigv4 import Message
from vision_toolkit.services.operation import Operation
from vision_toolkit.services.shapes import Blob, plain

__all__ = ["Body", "Limits", "RefusedError", "limit_of"]

_MORE = 64 * 1024
"""Bytes of JSON around what an operation's largest member may have."""
_DRAINED, _DRAIN_SECONDS = 64 * 1024 * 1024, 5.0


class RefusedError(Exception):
    """Say that a request is none that any operation could answer.

    Parameters
    ----------
    status
        of HTTP: 400, 404 (no such path), 405 (no such method), 408 (came too slowly), 413 (too large).
    message
        what is wrong, and what is allowed.
    headers
        that the status asks for.
    """

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.headers = status, dict(headers or {})


@dataclass(slots=True)
class Limits:
    """Hold how much a server takes on.

    Parameters
    ----------
    json
        bytes of a JSON body; an operation whose members may be larger takes what they need.
    image
        bytes of an image.
    held
        bytes of all bodies together.
    calls, images
        threads that do calls, and those that judge images.
    waiting
        requests that may wait or be done, of each sort, before one is told to come again.
    idle, slowest
        seconds without a byte, and least bytes a second, after which a body is not waited for.
    """

    json: int = 1024 * 1024
    image: int = LOOKOUT.max_image_bytes
    held: int = 512 * 1024 * 1024
    calls: int = 12
    images: int = 4
    waiting: int = 128
    idle: float = 20.0
    slowest: int = 16 * 1024
    _taken: int = 0

    def take(self, count: int) -> None:
        """Note that so many bytes more are held.

        Raises
        ------
        Busy
            if that is too much for now.
        """
        if self._taken + count > self.held:
            raise Busy(f"Bodies of requests hold {self._taken:,} bytes; ask again later.")
        self._taken += count

    def give_back(self, count: int) -> None:
        """Note that so many bytes are held no longer."""
        self._taken -= count


def limit_of(operation: Operation | None, limits: Limits) -> int:
    """Return how many bytes the body of an operation may have; one that is not known takes what JSON may have."""
    if operation is None:
        return limits.json
    most = limits.json
    for one in operation.parameters.values():
        kind, marks = plain(one.hint)
        blob = next((mark.most for mark in marks if isinstance(mark, Blob) and mark.most), None)
        if one.place == "raw":
            return blob or limits.image
        if kind is bytes and one.place == "member" and blob is not None:
            most = max(most, (blob + 2) // 3 * 4 + _MORE)  # as text in base 64
    return most


class Body:
    """Read what a client sends after the headers, once.

    Parameters
    ----------
    receive
        ASGI's.
    message
        the request, of which the headers count.
    limits
        on bytes and time.
    """

    def __init__(self, receive: Receive, message: Message, limits: Limits) -> None:
        self._receive, self._limits = receive, limits
        self._lengths = message.values("content-length")
        self._expects = "100-continue" in ",".join(message.values("expect")).lower()
        self._begun = self._ended = False
        self.held = 0
        """Bytes that count against what all bodies may hold."""

    def check_length(self, most: int) -> None:
        """Raise RefusedError if the headers say that it has more than ``most`` bytes."""
        stated = self._lengths[0] if self._lengths else "0"
        if stated.isdigit() and int(stated) > most:
            raise _too_large(most)

    async def read(self, most: int) -> bytes:
        """Return the body, at most ``most`` bytes.

        Raises
        ------
        RefusedError
            if it is larger, or comes too slowly.
        Busy
            if all bodies together are too large.
        """
        chunks: list[bytes] = []
        length = 0
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._limits.idle + most / self._limits.slowest
        while not self._ended:
            wait = min(self._limits.idle, deadline - loop.time())
            try:
                chunk = await asyncio.wait_for(self._next(), max(0.0, wait))
            except TimeoutError:
                self._ended = True  # nothing more is waited for
                raise RefusedError(408, "The body came too slowly, or less of it than the headers said.") from None
            length += len(chunk)
            if length > most:
                raise _too_large(most)
            self._limits.take(len(chunk))
            self.held += len(chunk)
            chunks.append(chunk)
        return b"".join(chunks)

    async def drain(self) -> None:
        """Read on for a while and forget it, so that a client that is still sending hears the answer."""
        if self._ended or (self._expects and not self._begun):
            return
        length = 0
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                while not self._ended and length < _DRAINED:
                    length += len(await self._next())
        except (TimeoutError, ClientDisconnect):
            pass

    async def _next(self) -> bytes:
        self._begun = True
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._ended = True
            raise ClientDisconnect
        self._ended = not message.get("more_body", False)
        chunk: bytes = message.get("body", b"")
        return chunk


def _too_large(most: int) -> RefusedError:
    return RefusedError(413, f"The body has more than {most:,} bytes, which is what this operation takes.")
