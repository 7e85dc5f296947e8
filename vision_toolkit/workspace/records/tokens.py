"""Tokens that make a call safe to repeat: the first answer again, written together with what was done."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, delete, select, update

from vision_toolkit.core.errors import Conflict
from vision_toolkit.workspace.records.rows import insert, now
from vision_toolkit.workspace.records.tables import TOKENS

__all__ = ["keep", "take"]


def take(connection: Connection, scope: str, token: str, request: str, seconds: float) -> tuple[bool, Any]:
    """Take a token: (True, None) for the first who comes, (False, the first answer) for the same request again.

    While the first is still at it, the second waits here: for SQLite's only writer, or for PostgreSQL's unique index.

    Raises
    ------
    Conflict
        if the token was used for another request.
    """
    connection.execute(delete(TOKENS).where(TOKENS.c.expires < now()))
    row = {"scope": scope, "token": token, "request": request, "answer": None, "expires": now() + seconds}
    if insert(connection, TOKENS, row, unless="scope,token"):
        return True, None
    known = connection.execute(select(TOKENS).where(TOKENS.c.scope == scope, TOKENS.c.token == token)).one()
    if known.request != request:
        raise Conflict("This client token was used with other parameters less than some hours ago; use a new one.")
    return False, json.loads(known.answer, object_hook=_decoded)


def keep(connection: Connection, scope: str, token: str, answer: Any) -> None:
    """Keep the answer that a repetition gets."""
    text = json.dumps(answer, default=_encoded)
    statement = update(TOKENS).where(TOKENS.c.scope == scope, TOKENS.c.token == token)
    connection.execute(statement.values(answer=text))


def _encoded(value: object) -> Any:
    if isinstance(value, datetime):
        return {"$moment": value.timestamp()}
    raise TypeError(f"An answer that is kept holds plain values and moments, no {type(value).__name__}.")


def _decoded(known: dict[str, Any]) -> Any:
    return datetime.fromtimestamp(known["$moment"], UTC) if set(known) == {"$moment"} else known
