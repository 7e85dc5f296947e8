"""Tags of resources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, delete, insert, select

from vision_toolkit.workspace.records.tables import TAGS

__all__ = ["get", "put", "remove"]


def get(connection: Connection, resource: str) -> dict[str, str]:
    """Return the tags of a resource, sorted by name."""
    found = connection.execute(
        select(TAGS.c.name, TAGS.c.value).where(TAGS.c.resource == resource).order_by(TAGS.c.name)
    )
    return {row.name: row.value for row in found}


def put(connection: Connection, resource: str, given: Mapping[str, str]) -> None:
    """Set tags."""
    remove(connection, resource, list(given))
    if given:
        new = [{"resource": resource, "name": name, "value": value} for name, value in given.items()]
        connection.execute(insert(TAGS), new)


def remove(connection: Connection, resource: str, names: Sequence[str] | None = None) -> None:
    """Remove tags by name; all of them without names."""
    statement = delete(TAGS).where(TAGS.c.resource == resource)
    connection.execute(statement if names is None else statement.where(TAGS.c.name.in_(names)))
