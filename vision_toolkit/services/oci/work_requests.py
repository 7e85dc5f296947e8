"""The operations of OCI Vision on work requests: another look at the workspace's jobs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from vision_toolkit.core.errors import NotFound
from vision_toolkit.services.oci import names, shapes
from vision_toolkit.services.oci.base import Oci, check_etag
from vision_toolkit.services.oci.errors import CHANGES, USUAL
from vision_toolkit.services.oci.paging import PAGE, headers_of, read_page
from vision_toolkit.services.operation import Reply, operation
from vision_toolkit.workspace.lifecycle import JobState
from vision_toolkit.workspace.values import Job, Project

__all__ = ["WorkRequests"]

T = TypeVar("T")
_TRACEBACK = "Traceback (most recent call last)"


class WorkRequests(Oci):
    """Offer what is done with work requests."""

    @operation("GET", "/workRequests/{workRequestId}", errors=USUAL)
    def get_work_request(
        self, work_request_id: shapes.ResourceId, *, opc_request_id: str | None = None
    ) -> Reply[shapes.WorkRequest]:
        """Tell how far something is that was asked for.

        Parameters
        ----------
        work_request_id
            its OCID, from the header ``opc-work-request-id``.
        opc_request_id
            a name for the request, which comes back.

        Returns
        -------
        Response
            ``data``, with ``status`` and ``percent_complete`` from 0 to 100; the header ``etag``.

        Raises
        ------
        ServiceError
            ``NotAuthorizedOrNotFound`` if there is none.

        Examples
        --------
        ``client.get_work_request(response.headers["opc-work-request-id"]).data.status``
        """
        with self.workspace.records.still():
            job, project = self._job(work_request_id)
            return Reply(self._told(job, project), {"etag": _etag(job)})

    @operation("GET", "/workRequests", errors=USUAL, pages="items")
    def list_work_requests(
        self,
        *,
        compartment_id: shapes.CompartmentId | None = None,
        work_request_id: shapes.ResourceId | None = None,
        status: shapes.OperationStatus | None = None,
        resource_id: shapes.ResourceId | None = None,
        opc_request_id: str | None = None,
        page: shapes.PageToken | None = None,
        limit: shapes.PageSize | None = None,
        sort_order: shapes.SortOrder | None = None,
        sort_by: shapes.WorkRequestSortBy | None = None,
    ) -> Reply[shapes.WorkRequestSummaryCollection]:
        """List work requests, a page at a time.

        Parameters
        ----------
        compartment_id
            of the project that they are about.
        work_request_id, status, resource_id
            which ones; ``resource_id`` is the OCID of a project or a model. Without any, all.
        opc_request_id
            a name for the request, which comes back.
        page
            the page to go on with, ``next_page`` of the answer before.
        limit
            1 to 1000 on a page; 100 if nobody says.
        sort_order
            ``ASC``, or ``DESC``, which it is if nobody says.
        sort_by
            ``timeAccepted``.

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
        ``[one.operation_type for one in client.list_work_requests(resource_id=project_id).data.items]``
        """
        down = sort_order != "ASC"
        query = {
            "list": "work requests", "compartment": compartment_id, "id": work_request_id, "status": status,
            "resource": resource_id, "down": down,
        }  # fmt: skip
        after = read_page(page, query, float)
        with self.workspace.records.still():
            found, rest = self.workspace.ledger.search(
                names.SERVICE,
                list(names.KINDS),
                compartment=compartment_id,
                id=None if work_request_id is None else names.id_of(work_request_id, "workrequest") or "",
                target=None if resource_id is None else _target(resource_id),
                states=None if status is None else [one for one, said in names.JOB.items() if said == status],
                newest_first=down,
                after=after,
                most=limit or PAGE,
            )
            projects = self.workspace.projects.several({job.project for job in found})
            items: list[Any] = [self._told(job, projects[job.project]) for job in found]
            return Reply({"items": items}, headers_of(query, rest))

    @operation("DELETE", "/workRequests/{workRequestId}", status=202, errors=CHANGES)
    def cancel_work_request(
        self,
        work_request_id: shapes.ResourceId,
        *,
        if_match: shapes.Etag | None = None,
        opc_request_id: str | None = None,
    ) -> Reply[None]:
        """Cancel what was asked for, if it is not ended; what was to be made has failed then.

        Parameters
        ----------
        work_request_id
            its OCID.
        if_match
            the ``etag`` of the work request as you know it.
        opc_request_id
            a name for the request, which comes back.

        Returns
        -------
        Response
            without data.

        Raises
        ------
        ServiceError
            ``NotAuthorizedOrNotFound`` if there is none; ``Conflict`` if it is ended; ``NoEtagMatch`` if its status is
            another by now.

        Examples
        --------
        ``client.cancel_work_request(work_request_id)``
        """
        with self.workspace.records.change():
            job, _ = self._job(work_request_id)
            check_etag(_etag(job), if_match)
            self.workspace.ledger.cancel(job.id)
            return Reply(None)

    @operation("GET", "/workRequests/{workRequestId}/errors", errors=USUAL, pages="items")
    def list_work_request_errors(
        self,
        work_request_id: shapes.ResourceId,
        *,
        opc_request_id: str | None = None,
        page: shapes.PageToken | None = None,
        limit: shapes.PageSize | None = None,
        sort_by: shapes.WorkRequestSortBy | None = None,
        sort_order: shapes.SortOrder | None = None,
    ) -> Reply[shapes.WorkRequestErrorCollection]:
        """List why a work request failed.

        Parameters
        ----------
        work_request_id
            its OCID.
        opc_request_id
            a name for the request, which comes back.
        page, limit
            the page to go on with, and 1 to 1000 on a page.
        sort_by, sort_order
            ``timeAccepted``; ``ASC``, or ``DESC``, which it is if nobody says.

        Returns
        -------
        Response
            ``data.items``, each with ``code``, ``message`` and ``timestamp``.

        Raises
        ------
        ServiceError
            ``NotAuthorizedOrNotFound`` if there is no such work request.

        Examples
        --------
        ``[one.message for one in client.list_work_request_errors(work_request_id).data.items]``
        """
        job, _ = self._job(work_request_id)
        every: list[shapes.WorkRequestError] = []
        if job.state is JobState.FAILED:
            message = job.error or "It failed."
            every = [{"code": "Failed", "message": message, "timestamp": job.ended or job.created}]
        query = {"list": "errors", "of": job.id, "down": sort_order != "ASC"}
        found, headers = _part(every, page, limit, query)
        return Reply({"items": found}, headers)

    @operation("GET", "/workRequests/{workRequestId}/logs", errors=USUAL, pages="items")
    def list_work_request_logs(
        self,
        work_request_id: shapes.ResourceId,
        *,
        opc_request_id: str | None = None,
        page: shapes.PageToken | None = None,
        limit: shapes.PageSize | None = None,
        sort_by: shapes.WorkRequestSortBy | None = None,
        sort_order: shapes.SortOrder | None = None,
    ) -> Reply[shapes.WorkRequestLogEntryCollection]:
        """List what was noted while a work request was worked on.

        Parameters
        ----------
        work_request_id
            its OCID.
        opc_request_id
            a name for the request, which comes back.
        page, limit
            the page to go on with, and 1 to 1000 on a page.
        sort_by, sort_order
            ``timeAccepted``; ``ASC``, or ``DESC``, which it is if nobody says.

        Returns
        -------
        Response
            ``data.items``, each with ``message`` and ``timestamp``.

        Raises
        ------
        ServiceError
            ``NotAuthorizedOrNotFound`` if there is no such work request.

        Examples
        --------
        ``[one.message for one in client.list_work_request_logs(work_request_id).data.items]``
        """
        with self.workspace.records.still():
            job, _ = self._job(work_request_id)
            every = _log(job, self.workspace.log(job))
        query = {"list": "logs", "of": job.id, "down": sort_order != "ASC"}
        found, headers = _part(every, page, limit, query)
        return Reply({"items": found}, headers)

    # ---------------------------------------------------------------- what they share

    def _job(self, name: str) -> tuple[Job, Project]:
        """Return a job of a project of this service's, by its OCID."""
        known = names.id_of(name, "workrequest") or ""
        found, _ = self.workspace.ledger.search(names.SERVICE, list(names.KINDS), id=known, most=1)
        if not found:
            raise NotFound(f"There is no work request {name[:255]!r}.").about("work request", name)
        return found[0], self.workspace.projects.several([found[0].project])[found[0].project]

    def _told(self, job: Job, project: Project) -> shapes.WorkRequest:
        kind = names.KINDS[job.kind]
        told: shapes.WorkRequest = {
            "operationType": kind.operation,
            "status": names.JOB[job.state],
            "id": self._ocid("workrequest", job.id),
            "compartmentId": project.facts["compartment"],
            "resources": [self._resource(kind.entity, job.target, _action(job, kind))],
            "percentComplete": 100.0 * job.progress,
            "timeAccepted": job.created,
        }
        if kind.entity != "project":
            told["resources"].append(self._resource("project", job.project, "RELATED"))
        if job.started is not None:
            told["timeStarted"] = job.started
        if job.ended is not None:
            told["timeFinished"] = job.ended
        return told

    def _resource(self, entity: names.Entity, id: str, action: Any) -> shapes.WorkRequestResource:
        name = self._ocid(entity, id)
        uri = f"{self.prefix}/{entity}s/{name}"
        return {"entityType": entity, "actionType": action, "identifier": name, "entityUri": uri}


def _action(job: Job, kind: names.Kind) -> str:
    if job.is_open:
        return "IN_PROGRESS"
    return kind.action if job.state is JobState.SUCCEEDED else "FAILED"


def _target(name: str) -> str:
    """Return the id in the OCID of a resource; one that nothing has if it is none."""
    return names.id_of(name, "project") or names.id_of(name, "model") or ""


def _etag(job: Job) -> str:
    return hashlib.sha256(f"{job.id} {job.attempt} {job.state}".encode()).hexdigest()[:32]


def _log(job: Job, noted: Sequence[Mapping[str, Any]]) -> list[shapes.WorkRequestLogEntry]:
    """Return a job's log, oldest first; where it came from in the program is for the server's own log."""
    lines: list[tuple[datetime, str]] = [(job.created, "Accepted.")]
    if job.started is not None:
        lines.append((job.started, "Started."))
    lines += [(line["moment"], line["text"]) for line in noted if not line["text"].startswith(_TRACEBACK)]
    if job.ended is not None:
        lines.append((job.ended, f"{names.JOB[job.state].capitalize()}."))
    return [{"message": text, "timestamp": moment} for moment, text in sorted(lines, key=lambda line: line[0])]


def _part(
    every: list[T], page: str | None, limit: int | None, query: Mapping[str, Any]
) -> tuple[list[T], dict[str, str]]:
    """Return a page of a list that is at hand as a whole; new lines may come at its end while it is read."""
    numbered = list(enumerate(every))
    if query["down"]:
        numbered.reverse()
    after = read_page(page, query, float)
    if after is not None:
        numbered = [(n, one) for n, one in numbered if (n < after[1] if query["down"] else n > after[1])]
    found = numbered[: limit or PAGE]
    rest = (0.0, found[-1][0]) if len(numbered) > len(found) else None
    return [one for _, one in found], headers_of(query, rest)
