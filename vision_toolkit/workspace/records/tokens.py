"""Tokens that make a call safe to repeat: the first answer again, written together with what was done."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, select

from vision_toolkit.core.errors import Conflict
from vision_toolkit.workspace.records.rows import now
from vision_toolkit.workspace.records.tables import TOKENS

__all__ = ["keep", "sweep", "take"]

_KNOWN = select(TOKENS).where(TOKENS.c.scope == bindparam("scope"), TOKENS.c.token == bindparam("token"))
_KEPT = TOKENS.insert()
_OURS = ({"$moment"}, {"$map"})


def take(connection: Connection, scope: str, token: str, request: str) -> tuple[bool, Any]:
    """Take a token: (True, None) for the first who comes, (False, the first answer) for the same request again.

    While the first is still at it, the second waits before this: there is one writer at a time.

    Raises
    ------
    Conflict
        if the token was used for another request.
    """
    known = connection.execute(_KNOWN, {"scope": scope, "token": token}).first()
    if known is None:
        return True, None
    if known.expires < now():
        connection.execute(delete(TOKENS).where(TOKENS.c.scope == scope, TOKENS.c.token == token))
        return True, None
    if known.request != request:
        raise Conflict(
            "This client token was used with other parameters less than some hours ago; use a new one."
        ).about("token", token)
    return False, _read(json.loads(known.answer))


def keep(connection: Connection, scope: str, token: str, request: str, answer: Any, seconds: float) -> None:
    """Keep the answer that a repetition gets for some seconds."""
    row = {"scope": scope, "token": token, "request": request, "expires": now() + seconds}
    connection.execute(_KEPT, row | {"answer": json.dumps(_written(answer))})


def sweep(connection: Connection) -> None:
    """Remove what is kept no longer."""
    connection.execute(delete(TOKENS).where(TOKENS.c.expires < now()))


def _written(value: Any) -> Any:
    """Return an answer as JSON: a moment as ``{"$moment": seconds}``, and what only looks like one in ``"$map"``."""
    if isinstance(value, datetime):
        return {"$moment": value.timestamp()}
    if isinstance(value, Mapping):
        written = {name: _written(one) for name, one in value.items()}
        return {"$map": written} if set(written) in _OURS else written
    if isinstance(value, list | tuple):
        return [_written(one) for one in value]
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise TypeError(f"An answer that is kept holds plain values and moments, no {type(value).__name__}.")


def _read(value: Any) -> Any:
    if isinstance(value, list):
        return [_read(one) for one in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"$moment"}:
        return datetime.fromtimestamp(value["$moment"], UTC)
    inner = value["$map"] if set(value) == {"$map"} else value
    return {name: _read(one) for name, one in inner.items()}
