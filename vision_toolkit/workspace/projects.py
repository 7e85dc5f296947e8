"""Projects and tags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from vision_toolkit.core.errors import Conflict, Exceeded, NotFound
from vision_toolkit.workspace.records import queue, rows, tags
from vision_toolkit.workspace.records.tables import MODELS, PROJECTS, SETS
from vision_toolkit.workspace.values import Page, Project

if TYPE_CHECKING:
    from vision_toolkit.workspace.workspace import Workspace

__all__ = ["Projects", "Tags"]

MOST_TAGS = 50


class Projects:
    """Hold the projects of a workspace, one service's at a time: names are unique within it."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def create(self, name: str, *, service: str = "lookout") -> Project:
        """Make a project.

        Raises
        ------
        Conflict
            if there is one of that name.
        """
        moment = rows.now()
        row = {
            "id": rows.new_id(), "service": service, "name": name, "key": f"{service}/{name}", "created": moment,
            "updated": moment, "facts": {},
        }  # fmt: skip
        with self._workspace.records.change() as connection:
            if not rows.insert(connection, PROJECTS, row, unless="key"):
                raise Conflict(f"There is a project {name!r} already; give another name.").about("project", name)
            return self.get(name, service=service)

    def get(self, name: str, *, service: str = "lookout") -> Project:
        """Return a project by name.

        Raises
        ------
        NotFound
            if there is none.
        """
        with self._workspace.records.look() as connection:
            found = rows.known(connection, Project, PROJECTS, key=f"{service}/{name}")
        if found is None:
            raise NotFound(f"There is no project {name!r}.").about("project", name)
        return found

    def list(self, *, service: str = "lookout", after: int = 0, most: int = 100) -> Page[Project]:
        """Return projects in the order in which they were made."""
        with self._workspace.records.look() as connection:
            query = rows.by(PROJECTS, service=service).where(PROJECTS.c.key.is_not(None))
            return Page(*rows.page(connection, Project, PROJECTS, query, after, most))

    def delete(self, name: str, *, service: str = "lookout") -> Project:
        """Delete a project that holds nothing any more.

        Raises
        ------
        NotFound
            if there is none.
        Conflict
            if it has models or datasets, or a job of its is not ended.
        """
        with self._workspace.records.change() as connection:
            project = self.get(name, service=service)
            alive = [
                noun
                for noun, table in (("model", MODELS), ("dataset", SETS))
                if connection.execute(
                    rows.by(table, project=project.id).where(table.c.key.is_not(None)).limit(1)
                ).first()
            ]
            alive += ["unfinished job"] if queue.open_jobs(connection, project=project.id, sweeping=False) else []
            if alive:
                raise Conflict(
                    f"Project {name!r} still has {' and '.join(f'a {noun}' for noun in alive)}; delete its models and "
                    "datasets first."
                ).about("project", name)
            rows.set_if(connection, PROJECTS, project.id, {"key": None})
            return project


class Tags:
    """Hold tags: a name and a value, on whatever has an id."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def get(self, resource: str) -> Mapping[str, str]:
        """Return the tags of a resource, by name."""
        with self._workspace.records.look() as connection:
            return tags.get(connection, resource)

    def put(self, resource: str, given: Mapping[str, str]) -> None:
        """Add tags; those of the same name take the new value.

        Raises
        ------
        Exceeded
            if there would be more than 50.
        """
        with self._workspace.records.change() as connection:
            known = tags.get(connection, resource)
            if len({*known, *given}) > MOST_TAGS:
                raise Exceeded(f"A resource has at most {MOST_TAGS} tags; this one would have {len({*known, *given})}.")
            tags.put(connection, resource, given)

    def remove(self, resource: str, names: Sequence[str]) -> None:
        """Remove tags by name; those that are not there are passed over."""
        with self._workspace.records.change() as connection:
            tags.remove(connection, resource, names)
