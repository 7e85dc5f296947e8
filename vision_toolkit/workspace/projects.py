"""Projects and tags."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vision_toolkit.core.errors import Conflict, Exceeded, NotFound
from vision_toolkit.workspace.records import queue, rows, tags
from vision_toolkit.workspace.records.tables import MODELS, PROJECTS, SETS
from vision_toolkit.workspace.values import Page, Project

if TYPE_CHECKING:
    from vision_toolkit.workspace.workspace import Workspace

__all__ = ["Projects", "Tags"]

MOST_TAGS = 50


class Projects:
    """Hold the projects of a workspace, one service's at a time."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def create(
        self, name: str, *, service: str = "lookout", unique: bool = True, facts: Mapping[str, Any] | None = None
    ) -> Project:
        """Make a project.

        Parameters
        ----------
        name
            of it.
        service
            whose it is.
        unique
            whether no other one of the service may have the name.
        facts
            what else the service wants to be remembered, as plain JSON.

        Raises
        ------
        Conflict
            if there is one of that name.
        """
        moment, made = rows.now(), rows.new_id()
        row = {
            "id": made, "service": service, "name": name, "key": f"{service}/{name if unique else made}",
            "created": moment, "updated": moment, "facts": dict(facts or {}),
        }  # fmt: skip
        with self._workspace.records.change() as connection:
            if not rows.insert(connection, PROJECTS, row, unless="key"):
                raise Conflict(f"There is a project {name!r} already; give another name.").about("project", name)
            return self.find(made, service=service)

    def get(self, name: str, *, service: str = "lookout") -> Project:
        """Return a project by its name, of a service whose names are unique.

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

    def find(self, id: str, *, service: str) -> Project:
        """Return a project by its id; one that was deleted too.

        Raises
        ------
        NotFound
            if there is none.
        """
        with self._workspace.records.look() as connection:
            found = rows.known(connection, Project, PROJECTS, id=id, service=service)
        if found is None:
            raise NotFound(f"There is no project {id!r}.").about("project", id)
        return found

    def several(self, ids: Iterable[str]) -> Mapping[str, Project]:
        """Return projects by their ids; those that are not there are left out."""
        with self._workspace.records.look() as connection:
            query = rows.by(PROJECTS).where(PROJECTS.c.id.in_(set(ids)))
            found = [rows.value(Project, row) for row in connection.execute(query)]
        return {one.id: one for one in found}

    def list(self, *, service: str = "lookout", after: int = 0, most: int = 100) -> Page[Project]:
        """Return projects in the order in which they were made."""
        with self._workspace.records.look() as connection:
            query = rows.by(PROJECTS, service=service).where(PROJECTS.c.key.is_not(None))
            return Page(*rows.page(connection, Project, PROJECTS, query, after, most))

    def search(
        self,
        service: str,
        *,
        compartment: str | None = None,
        id: str | None = None,
        name: str | None = None,
        by: str = "created",
        down: bool = False,
        after: tuple[Any, int] | None = None,
        most: int = 100,
    ) -> tuple[Sequence[Project], tuple[Any, int] | None]:
        """Return projects sorted, and the place after which to go on.

        Parameters
        ----------
        service
            whose.
        compartment
            what their facts say; None = any.
        id, name
            of them; None = any.
        by, down
            the column that sorts them, ``created`` or ``name``, and whether downwards.
        after
            the place that the answer before gave.
        most
            how many at once.
        """
        known = {word: given for word, given in (("id", id), ("name", name)) if given is not None}
        query = rows.by(PROJECTS, service=service, **known).where(PROJECTS.c.key.is_not(None))
        if compartment is not None:
            query = query.where(PROJECTS.c.facts["compartment"].as_string() == compartment)
        with self._workspace.records.look() as connection:
            return rows.ordered(connection, Project, PROJECTS, query, by=by, down=down, after=after, most=most)

    def change(self, project: Project, *, name: str | None = None, facts: Mapping[str, Any]) -> Project:
        """Change a project's name and facts; facts that are not given stay as they are.

        Raises
        ------
        NotFound
            if there is none.
        """
        with self._workspace.records.change() as connection:
            known = self.find(project.id, service=project.service)
            changes = {"name": known.name if name is None else name, "facts": {**known.facts, **facts}}
            rows.set_if(connection, PROJECTS, project.id, {**changes, "updated": rows.now()})
            return self.find(project.id, service=project.service)

    def delete(self, name: str, *, service: str = "lookout") -> Project:
        """Delete a project by its name; raises as :meth:`get` and :meth:`remove` do."""
        with self._workspace.records.change():
            return self.remove(self.get(name, service=service))

    def remove(self, project: Project) -> Project:
        """Delete a project that holds nothing any more.

        Raises
        ------
        Conflict
            if it has models or datasets, or a job of its is not ended.
        """
        with self._workspace.records.change() as connection:
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
                    f"Project {project.name!r} still has {' and '.join(f'a {noun}' for noun in alive)}; delete its "
                    "models and datasets first."
                ).about("project", project.name)
            moment = rows.now()
            gone = {"key": None, "updated": moment, "facts": {**project.facts, "deleted": moment}}
            rows.set_if(connection, PROJECTS, project.id, gone)
            return self.find(project.id, service=project.service)


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
