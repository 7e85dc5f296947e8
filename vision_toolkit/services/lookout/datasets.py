"""The operations of Lookout for Vision on projects and datasets."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from vision_toolkit.services.lookout import answers, shapes
from vision_toolkit.services.lookout.base import PAGE, TOKEN, Lookout
from vision_toolkit.services.lookout.errors import QUOTA, USUAL
from vision_toolkit.services.operation import In, operation

__all__ = ["Datasets"]


class Datasets(Lookout):
    """Offer what is done with projects and datasets."""

    # ---------------------------------------------------------------- projects

    @operation("POST", "/projects", token=TOKEN, errors=QUOTA)
    def create_project(
        self, *, ProjectName: shapes.ProjectName, ClientToken: shapes.ClientToken | None = None
    ) -> answers.CreateProjectResponse:
        """Make a project, which holds datasets and models.

        Parameters
        ----------
        ProjectName
            1 to 255 letters, digits, ``_`` and ``-``; the first is a letter or digit.
        ClientToken
            1 to 64 letters, digits and ``-``: the same call with the same token is made once.

        Returns
        -------
        dict
            ``ProjectMetadata``: name, ARN, and when it was made.

        Raises
        ------
        ConflictException
            if there is one of that name.
        ServiceQuotaExceededException
            if there are as many as may be.

        Examples
        --------
        ``client.create_project(ProjectName="bolts")["ProjectMetadata"]["ProjectArn"]``
        """
        return self._work.create_project(ProjectName)

    @operation("GET", "/projects/{projectName}", errors=USUAL)
    def describe_project(self, *, ProjectName: shapes.ProjectName) -> answers.DescribeProjectResponse:
        """Tell of a project and its datasets.

        Parameters
        ----------
        ProjectName
            1 to 255 letters, digits, ``_`` and ``-``; the first is a letter or digit.

        Returns
        -------
        dict
            ``ProjectDescription``, with ``Datasets``.

        Raises
        ------
        ResourceNotFoundException
            if there is no such project.

        Examples
        --------
        ``client.describe_project(ProjectName="bolts")["ProjectDescription"]["Datasets"]``
        """
        return self._work.describe_project(ProjectName)

    @operation("GET", "/projects", errors=USUAL, pages="Projects")
    def list_projects(
        self, *, NextToken: shapes.PaginationToken | None = None, MaxResults: shapes.PageSize | None = None
    ) -> answers.ListProjectsResponse:
        """List the projects, a page at a time.

        Parameters
        ----------
        NextToken
            the page to go on with, from the answer before.
        MaxResults
            1 to 100 on a page.

        Returns
        -------
        dict
            ``Projects``, and ``NextToken`` if there are more.

        Raises
        ------
        ValidationException
            if ``MaxResults`` is not from 1 to 100.

        Examples
        --------
        ``[p["ProjectName"] for page in client.get_paginator("list_projects").paginate() for p in page["Projects"]]``
        """
        return self._work.list_projects(NextToken, MaxResults or PAGE)

    @operation("DELETE", "/projects/{projectName}", token=TOKEN, errors=USUAL)
    def delete_project(
        self, *, ProjectName: shapes.ProjectName, ClientToken: shapes.ClientToken | None = None
    ) -> answers.DeleteProjectResponse:
        """Delete a project that has neither datasets nor models; images are never deleted.

        Parameters
        ----------
        ProjectName
            1 to 255 letters, digits, ``_`` and ``-``; the first is a letter or digit.
        ClientToken
            1 to 64 letters, digits and ``-``: the same call with the same token is made once.

        Returns
        -------
        dict
            ``ProjectArn``.

        Raises
        ------
        ConflictException
            if it has a dataset or a model.
        ResourceNotFoundException
            if there is no such project.

        Examples
        --------
        ``client.delete_project(ProjectName="bolts")["ProjectArn"]``
        """
        return self._work.delete_project(ProjectName)

    # ---------------------------------------------------------------- datasets

    @operation("POST", "/projects/{projectName}/datasets", status=202, token=TOKEN, errors=QUOTA)
    def create_dataset(
        self,
        *,
        ProjectName: shapes.ProjectName,
        DatasetType: shapes.DatasetType,
        DatasetSource: shapes.DatasetSource | None = None,
        ClientToken: shapes.ClientToken | None = None,
    ) -> answers.CreateDatasetResponse:
        """Make a dataset of a project, from a manifest or empty.

        With a manifest it is made in the background: describe_dataset tells when it is ``CREATE_COMPLETE``.

        Parameters
        ----------
        ProjectName
            1 to 255 letters, digits, ``_`` and ``-``; the first is a letter or digit.
        DatasetType
            ``train`` or ``test``.
        DatasetSource
            ``GroundTruthManifest``: ``S3Object``: ``Bucket`` and ``Key`` of the manifest; None = an empty dataset.
        ClientToken
            1 to 64 letters, digits and ``-``: the same call with the same token is made once.

        Returns
        -------
        dict
            ``DatasetMetadata``, with ``Status`` and ``StatusMessage``.

        Raises
        ------
        ConflictException
            if there is one already.
        ResourceNotFoundException
            if there is no such project.

        Examples
        --------
        ``client.create_dataset(ProjectName="bolts", DatasetType="train")["DatasetMetadata"]["Status"]``
        """
        return self._work.create_dataset(ProjectName, DatasetType, DatasetSource)

    @operation("GET", "/projects/{projectName}/datasets/{datasetType}", errors=USUAL)
    def describe_dataset(
        self, *, ProjectName: shapes.ProjectName, DatasetType: shapes.DatasetType
    ) -> answers.DescribeDatasetResponse:
        """Tell of a dataset: its status, and how many images it has.

        Parameters
        ----------
        ProjectName
            1 to 255 letters, digits, ``_`` and ``-``; the first is a letter or digit.
        DatasetType
            ``train`` or ``test``.

        Returns
        -------
        dict
            ``DatasetDescription``, with ``Status``, ``StatusMessage`` and ``ImageStats``.

        Raises
        ------
        ResourceNotFoundException
            if there is no such dataset.

        Examples
        --------
        ``client.describe_dataset(ProjectName="bolts", DatasetType="train")["DatasetDescription"]["ImageStats"]``
        """
        return self._work.describe_dataset(ProjectName, DatasetType)

    @operation("DELETE", "/projects/{projectName}/datasets/{datasetType}", status=202, token=TOKEN, errors=USUAL)
    def delete_dataset(
        self,
        *,
        ProjectName: shapes.ProjectName,
        DatasetType: shapes.DatasetType,
        ClientToken: shapes.ClientToken | None = None,
    ) -> answers.DeleteDatasetResponse:
        """Delete a dataset, at once for every later call; images are never deleted.

        Parameters
        ----------
        ProjectName
            1 to 255 letters, digits, ``_`` and ``-``; the first is a letter or digit.
        DatasetType
            ``train`` or ``test``.
        ClientToken
            1 to 64 letters, digits and ``-``: the same call with the same token is made once.

        Returns
        -------
        dict
            nothing.

        Raises
        ------
        ConflictException
            if a training or an update uses it.
        ResourceNotFoundException
            if there is no such dataset.

        Examples
        --------
        ``client.delete_dataset(ProjectName="bolts", DatasetType="test")``
        """
        return self._work.delete_dataset(ProjectName, DatasetType)

    @operation("PATCH", "/projects/{projectName}/datasets/{datasetType}/entries", status=202, token=TOKEN, errors=USUAL)
    def update_dataset_entries(
        self,
        *,
        ProjectName: shapes.ProjectName,
        DatasetType: shapes.DatasetType,
        Changes: shapes.DatasetChanges,
        ClientToken: shapes.ClientToken | None = None,
    ) -> answers.UpdateDatasetEntriesResponse:
        """Add lines to a dataset, and replace those of the same ``source-ref``.

        All or nothing, in the background: describe_dataset tells when it is ``UPDATE_COMPLETE``.

        Parameters
        ----------
        ProjectName
            1 to 255 letters, digits, ``_`` and ``-``; the first is a letter or digit.
        DatasetType
            ``train`` or ``test``.
        Changes
            1 byte to 10 MiB of JSON Lines, one image a line.
        ClientToken
            1 to 64 letters, digits and ``-``: the same call with the same token is made once.

        Returns
        -------
        dict
            ``Status``, ``UPDATE_IN_PROGRESS``.

        Raises
        ------
        ConflictException
            if the dataset is being made or changed.
        ResourceNotFoundException
            if there is no such dataset.

        Examples
        --------
        ``client.update_dataset_entries(ProjectName="bolts", DatasetType="train", Changes=open("new.jsonl", "rb"))``
        """
        return self._work.update_dataset_entries(ProjectName, DatasetType, Changes)

    @operation("GET", "/projects/{projectName}/datasets/{datasetType}/entries", errors=USUAL, pages="DatasetEntries")
    def list_dataset_entries(
        self,
        *,
        ProjectName: shapes.ProjectName,
        DatasetType: shapes.DatasetType,
        Labeled: bool | None = None,
        AnomalyClass: shapes.AnomalyClassFilter | None = None,
        BeforeCreationDate: Annotated[datetime, In("query", "createdBefore")] | None = None,
        AfterCreationDate: Annotated[datetime, In("query", "createdAfter")] | None = None,
        NextToken: shapes.PaginationToken | None = None,
        MaxResults: shapes.PageSize | None = None,
        SourceRefContains: shapes.QueryString | None = None,
    ) -> answers.ListDatasetEntriesResponse:
        """List the lines of a dataset that satisfy every condition given, a page at a time.

        Parameters
        ----------
        ProjectName
            1 to 255 letters, digits, ``_`` and ``-``; the first is a letter or digit.
        DatasetType
            ``train`` or ``test``.
        Labeled
            True: only labelled images; False: only others; None = all.
        AnomalyClass
            ``normal`` or ``anomaly``; None = both.
        BeforeCreationDate, AfterCreationDate
            when a line was added; a date without a zone is local time.
        NextToken
            the page to go on with, from the answer before.
        MaxResults
            1 to 100 on a page.
        SourceRefContains
            1 to 2,048 characters that stand in ``source-ref``.

        Returns
        -------
        dict
            ``DatasetEntries``: lines of JSON; and ``NextToken`` if there are more.

        Raises
        ------
        ResourceNotFoundException
            if there is no such dataset.

        Examples
        --------
        ``client.list_dataset_entries(ProjectName="bolts", DatasetType="train", Labeled=False)["DatasetEntries"]``
        """
        return self._work.list_dataset_entries(
            ProjectName, DatasetType,
            labelled=Labeled, anomaly_class=AnomalyClass, before=BeforeCreationDate, after=AfterCreationDate,
            contains=SourceRefContains, token=NextToken, limit=MaxResults or PAGE,
        )  # fmt: skip
