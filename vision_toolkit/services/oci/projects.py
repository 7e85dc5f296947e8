"""The operations of OCI Vision on projects. They are effective at once; their work requests tell that they were."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from vision_toolkit.core.errors import NotFound
from vision_toolkit.services.oci import names, shapes
from vision_toolkit.services.oci.base import TOKEN, WORK_REQUEST, Oci, check_etag
from vision_toolkit.services.oci.errors import CHANGES, MAKES, USUAL
from vision_toolkit.services.oci.paging import PAGE, headers_of, read_page
from vision_toolkit.services.operation import Reply, operation
from vision_toolkit.workspace.values import Project

__all__ = ["KEPT", "Projects"]

KEPT = timedelta(days=30)
"""For how long a project that was deleted can be read."""

_COLUMNS: Mapping[str, tuple[str, type]] = {"timeCreated": ("created", float), "displayName": ("name", str)}


class Projects(Oci):
    """Offer what is done with projects."""

    @operation("POST", "/projects", token=TOKEN, errors=MAKES)
    def create_project(
        self,
        create_project_details: shapes.CreateProjectDetails,
        *,
        opc_retry_token: shapes.RetryToken | None = None,
        opc_request_id: str | None = None,
    ) -> Reply[shapes.Project]:
        """Create a project; its name need not be the only one of its kind.

        Parameters
        ----------
        create_project_details
            ``compartment_id``, a label here; ``display_name``, ``description``, ``freeform_tags``, ``defined_tags``.
        opc_retry_token
            1 to 64 characters: the same call with the same token is made once in 24 hours.
        opc_request_id
            a name for the request, which comes back.

        Returns
        -------
        Response
            ``data``, the project; the headers ``etag`` and ``opc-work-request-id``.

        Raises
        ------
        ServiceError
            ``MissingParameter``, ``InvalidParameter``; ``InvalidatedRetryToken`` if the token came with another call.

        Examples
        --------
        ``client.create_project({"displayName": "bolts", "compartmentId": compartment}).data.id``
        """
        given = create_project_details
        facts = {**_facts(given), "compartment": given["compartmentId"], "etag": _new_etag()}
        made = self.workspace.projects.create(
            given.get("displayName", ""), service=names.SERVICE, unique=False, facts=facts
        )
        return Reply(self._project(made), self._noted("create project", made))

    @operation("GET", "/projects/{projectId}", errors=USUAL)
    def get_project(self, project_id: shapes.ResourceId, *, opc_request_id: str | None = None) -> Reply[shapes.Project]:
        """Tell of a project; for 30 days also of one that was deleted.

        Parameters
        ----------
        project_id
            its OCID.
        opc_request_id
            a name for the request, which comes back.

        Returns
        -------
        Response
            ``data``, the project; the header ``etag``.

        Raises
        ------
        ServiceError
            ``NotAuthorizedOrNotFound`` if there is none.

        Examples
        --------
        ``client.get_project(project_id).data.lifecycle_state``
        """
        found = self._found(project_id)
        return Reply(self._project(found), {"etag": found.facts["etag"]})

    @operation("GET", "/projects", errors=USUAL, pages="items")
    def list_projects(
        self,
        *,
        compartment_id: shapes.CompartmentId | None = None,
        lifecycle_state: shapes.LifecycleState | None = None,
        display_name: shapes.DisplayName | None = None,
        id: shapes.ResourceId | None = None,
        limit: shapes.PageSize | None = None,
        page: shapes.PageToken | None = None,
        sort_order: shapes.SortOrder | None = None,
        sort_by: shapes.SortBy | None = None,
        opc_request_id: str | None = None,
    ) -> Reply[shapes.ProjectCollection]:
        """List projects, a page at a time; those that were deleted are not among them.

        Parameters
        ----------
        compartment_id, lifecycle_state, display_name, id
            which ones; without any, all.
        limit
            1 to 1000 on a page; 100 if nobody says.
        page
            the page to go on with, ``next_page`` of the answer before.
        sort_order
            ``ASC`` or ``DESC``; if nobody says, names upwards and times downwards.
        sort_by
            ``timeCreated`` (which it is if nobody says) or ``displayName``.
        opc_request_id
            a name for the request, which comes back.

        Returns
        -------
        Response
            ``data.items``; the header ``opc-next-page`` if there are more.

        Raises
        ------
        ServiceError
            ``InvalidParameter``.

        Examples
        --------
        ``[one.display_name for one in client.list_projects(compartment_id=compartment).data.items]``
        """
        by, kind = _COLUMNS[sort_by or "timeCreated"]
        down = (sort_order or ("ASC" if by == "name" else "DESC")) == "DESC"
        query = {
            "list": "projects", "compartment": compartment_id, "state": lifecycle_state, "name": display_name, "id": id,
            "by": by, "down": down,
        }  # fmt: skip
        after = read_page(page, query, kind)
        known = None if id is None else names.id_of(id, "project") or ""
        if lifecycle_state not in (None, "ACTIVE"):
            return Reply({"items": []})
        found, rest = self.workspace.projects.search(
            names.SERVICE, compartment=compartment_id, id=known, name=display_name, by=by, down=down, after=after,
            most=limit or PAGE,
        )  # fmt: skip
        return Reply({"items": [self._summary(one) for one in found]}, headers_of(query, rest))

    @operation("PUT", "/projects/{projectId}", status=202, errors=CHANGES)
    def update_project(
        self,
        project_id: shapes.ResourceId,
        update_project_details: shapes.UpdateProjectDetails,
        *,
        if_match: shapes.Etag | None = None,
        opc_request_id: str | None = None,
    ) -> Reply[None]:
        """Change a project; what is not given stays as it is, tags that are given replace all that were there.

        Parameters
        ----------
        project_id
            its OCID.
        update_project_details
            ``display_name``, ``description``, ``freeform_tags``, ``defined_tags``.
        if_match
            the ``etag`` of the project as you know it: if somebody has changed it since, nothing happens.
        opc_request_id
            a name for the request, which comes back.

        Returns
        -------
        Response
            without data; the headers ``etag`` and ``opc-work-request-id``.

        Raises
        ------
        ServiceError
            ``NotAuthorizedOrNotFound`` if there is none; ``NoEtagMatch`` if it was changed since.

        Examples
        --------
        ``client.update_project(project_id, {"displayName": "nuts"}, if_match=response.headers["etag"])``
        """
        given = update_project_details
        with self.workspace.records.change():
            known = self._alive(project_id, if_match)
            facts = {**_facts(given), "etag": _new_etag()}
            changed = self.workspace.projects.change(known, name=given.get("displayName"), facts=facts)
            return Reply(None, self._noted("update project", changed))

    @operation("DELETE", "/projects/{projectId}", status=202, errors=CHANGES)
    def delete_project(
        self,
        project_id: shapes.ResourceId,
        *,
        if_match: shapes.Etag | None = None,
        opc_request_id: str | None = None,
    ) -> Reply[None]:
        """Delete a project that has no models. For 30 days it can be read as ``DELETED``.

        Parameters
        ----------
        project_id
            its OCID.
        if_match
            the ``etag`` of the project as you know it: if somebody has changed it since, nothing happens.
        opc_request_id
            a name for the request, which comes back.

        Returns
        -------
        Response
            without data; the header ``opc-work-request-id``.

        Raises
        ------
        ServiceError
            ``NotAuthorizedOrNotFound`` if there is none; ``IncorrectState`` if it has models; ``NoEtagMatch`` if it was
            changed since.

        Examples
        --------
        ``client.delete_project(project_id)``
        """
        with self.workspace.records.change():
            known = self._alive(project_id, if_match)
            self.workspace.projects.remove(known)
            gone = self.workspace.projects.change(known, facts={"etag": _new_etag()})
            return Reply(None, self._noted("delete project", gone))

    @operation("POST", "/projects/{projectId}/actions/changeCompartment", status=202, errors=CHANGES)
    def change_project_compartment(
        self,
        project_id: shapes.ResourceId,
        change_project_compartment_details: shapes.ChangeProjectCompartmentDetails,
        *,
        if_match: shapes.Etag | None = None,
        opc_request_id: str | None = None,
    ) -> Reply[None]:
        """Move a project, with all that is in it, to another compartment; a compartment is a label here.

        Parameters
        ----------
        project_id
            its OCID.
        change_project_compartment_details
            ``compartment_id``.
        if_match
            the ``etag`` of the project as you know it: if somebody has changed it since, nothing happens.
        opc_request_id
            a name for the request, which comes back.

        Returns
        -------
        Response
            without data; the headers ``etag`` and ``opc-work-request-id``.

        Raises
        ------
        ServiceError
            ``NotAuthorizedOrNotFound`` if there is none; ``NoEtagMatch`` if it was changed since.

        Examples
        --------
        ``client.change_project_compartment(project_id, {"compartmentId": other})``
        """
        facts = {"compartment": change_project_compartment_details["compartmentId"], "etag": _new_etag()}
        with self.workspace.records.change():
            changed = self.workspace.projects.change(self._alive(project_id, if_match), facts=facts)
            return Reply(None, self._noted("move project", changed))

    # ---------------------------------------------------------------- what they share

    def _found(self, name: str) -> Project:
        """Return a project by its OCID; one that was deleted too, for a while."""
        known = names.id_of(name, "project") or ""
        found = self.workspace.projects.several([known]).get(known)
        if found is None or found.service != names.SERVICE or _is_forgotten(found):
            raise NotFound(f"There is no project {name[:255]!r}.").about("project", name)
        return found

    def _alive(self, name: str, if_match: str | None) -> Project:
        """Return a project that is to be changed."""
        found = self._found(name)
        if found.deleted is not None:
            raise NotFound(f"The project {name!r} was deleted.").about("project", name)
        check_etag(found.facts["etag"], if_match)
        return found

    def _noted(self, kind: str, project: Project) -> dict[str, str]:
        """Note what was done, and return the headers that tell of it."""
        job = self.workspace.ledger.record(kind, target=project.id, project=project.id)
        return {"etag": project.facts["etag"], WORK_REQUEST: self._ocid("workrequest", job)}

    def _project(self, project: Project) -> shapes.Project:
        described: shapes.Project = {**self._summary(project)}  # type: ignore[typeddict-item]
        if project.facts.get("description") is not None:
            described["description"] = project.facts["description"]
        return described

    def _summary(self, project: Project) -> shapes.ProjectSummary:
        facts = project.facts
        told: shapes.ProjectSummary = {
            "id": self._ocid("project", project.id),
            "compartmentId": facts["compartment"],
            "timeCreated": project.created,
            "timeUpdated": project.updated,
            "lifecycleState": "ACTIVE" if project.deleted is None else "DELETED",
            "freeformTags": facts.get("freeform", {}),
            "definedTags": facts.get("defined", {}),
            "systemTags": {},
        }
        if project.name:
            told["displayName"] = project.name
        return told


def _facts(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a project is remembered beside its name."""
    words = {"description": "description", "freeformTags": "freeform", "definedTags": "defined"}
    return {word: given[member] for member, word in words.items() if member in given}


def _new_etag() -> str:
    return secrets.token_hex(16)


def _is_forgotten(project: Project) -> bool:
    return project.deleted is not None and datetime.now(UTC) - project.deleted > KEPT
