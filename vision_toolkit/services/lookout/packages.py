"""The operations of Lookout for Vision on packaging jobs and on the tags of models."""

from __future__ import annotations

from vision_toolkit.services.lookout import answers, shapes
from vision_toolkit.services.lookout.base import PAGE, TOKEN, Lookout
from vision_toolkit.services.lookout.errors import FEW, QUOTA, USUAL
from vision_toolkit.services.operation import operation

__all__ = ["Packages"]


class Packages(Lookout):
    """Offer what is done with packaging jobs and tags."""

    # ---------------------------------------------------------------- packaging

    @operation("POST", "/projects/{projectName}/modelpackagingjobs", token=TOKEN, errors=QUOTA)
    def start_model_packaging_job(
        self,
        *,
        ProjectName: shapes.ProjectName,
        ModelVersion: shapes.ModelVersion,
        Configuration: shapes.ModelPackagingConfiguration,
        JobName: shapes.ModelPackagingJobName | None = None,
        Description: shapes.ModelPackagingJobDescription | None = None,
        ClientToken: shapes.ClientToken | None = None,
    ) -> answers.StartModelPackagingJobResponse:
        """Package a model to run on a device.

        It is made in the background: describe_model_packaging_job tells when it has ``SUCCEEDED``.

        Parameters
        ----------
        ProjectName
            1 to 255 letters, digits, ``_`` and ``-``; the first is a letter or digit.
        ModelVersion
            ``1``, ``2`` ... or ``latest``.
        Configuration
            ``Greengrass``: ``ComponentName``, ``S3OutputLocation``, ``TargetDevice`` or ``TargetPlatform``.
        JobName
            1 to 64 letters, digits and ``-``; None = one is made up.
        Description
            1 to 256 letters, digits, spaces and some signs.
        ClientToken
            1 to 64 letters, digits and ``-``: the same call with the same token is made once.

        Returns
        -------
        dict
            ``JobName``.

        Raises
        ------
        ConflictException
            if there is such a job or component, or the model is not trained.
        ResourceNotFoundException
            if there is no such model.

        Examples
        --------
        ``client.start_model_packaging_job(ProjectName="bolts", ModelVersion="1", Configuration=device)["JobName"]``
        """
        return self._work.start_model_packaging_job(
            ProjectName, ModelVersion, Configuration, job=JobName, description=Description
        )

    @operation("GET", "/projects/{projectName}/modelpackagingjobs/{jobName}", errors=FEW)
    def describe_model_packaging_job(
        self, *, ProjectName: shapes.ProjectName, JobName: shapes.ModelPackagingJobName
    ) -> answers.DescribeModelPackagingJobResponse:
        """Tell of a packaging job: its status, and what it made.

        Parameters
        ----------
        ProjectName
            1 to 255 letters, digits, ``_`` and ``-``; the first is a letter or digit.
        JobName
            1 to 64 letters, digits and ``-``.

        Returns
        -------
        dict
            ``ModelPackagingDescription``, with ``Status`` and ``StatusMessage``.

        Raises
        ------
        ResourceNotFoundException
            if there is no such job.

        Examples
        --------
        ``client.describe_model_packaging_job(ProjectName="bolts", JobName="arm")["ModelPackagingDescription"]``
        """
        return self._work.describe_model_packaging_job(ProjectName, JobName)

    @operation("GET", "/projects/{projectName}/modelpackagingjobs", errors=FEW, pages="ModelPackagingJobs")
    def list_model_packaging_jobs(
        self,
        *,
        ProjectName: shapes.ProjectName,
        NextToken: shapes.PaginationToken | None = None,
        MaxResults: shapes.PageSize | None = None,
    ) -> answers.ListModelPackagingJobsResponse:
        """List the packaging jobs of a project, a page at a time.

        Parameters
        ----------
        ProjectName
            1 to 255 letters, digits, ``_`` and ``-``; the first is a letter or digit.
        NextToken
            the page to go on with, from the answer before.
        MaxResults
            1 to 100 on a page.

        Returns
        -------
        dict
            ``ModelPackagingJobs``, and ``NextToken`` if there are more.

        Raises
        ------
        ResourceNotFoundException
            if there is no such project.

        Examples
        --------
        ``client.list_model_packaging_jobs(ProjectName="bolts")["ModelPackagingJobs"]``
        """
        return self._work.list_model_packaging_jobs(ProjectName, NextToken, MaxResults or PAGE)

    # ---------------------------------------------------------------- tags

    @operation("POST", "/tags/{resourceArn}", errors=QUOTA)
    def tag_resource(self, *, ResourceArn: shapes.TagArn, Tags: shapes.TagList) -> answers.TagResourceResponse:
        """Add tags to a model, replacing those of the same keys.

        Parameters
        ----------
        ResourceArn
            of a model.
        Tags
            0 to 200 of ``Key`` (1 to 128 characters) and ``Value`` (up to 256); a model has at most 50.

        Returns
        -------
        dict
            nothing.

        Raises
        ------
        ServiceQuotaExceededException
            if there would be more than 50.
        ResourceNotFoundException
            if there is no such model.

        Examples
        --------
        ``client.tag_resource(ResourceArn=arn, Tags=[{"Key": "line", "Value": "7"}])``
        """
        return self._work.tag_resource(ResourceArn, Tags)

    @operation("DELETE", "/tags/{resourceArn}", errors=USUAL)
    def untag_resource(
        self, *, ResourceArn: shapes.TagArn, TagKeys: shapes.TagKeyList
    ) -> answers.UntagResourceResponse:
        """Take tags from a model.

        Parameters
        ----------
        ResourceArn
            of a model.
        TagKeys
            0 to 200 keys; those it does not have are passed over.

        Returns
        -------
        dict
            nothing.

        Raises
        ------
        ResourceNotFoundException
            if there is no such model.

        Examples
        --------
        ``client.untag_resource(ResourceArn=arn, TagKeys=["line"])``
        """
        return self._work.untag_resource(ResourceArn, TagKeys)

    @operation("GET", "/tags/{resourceArn}", errors=USUAL)
    def list_tags_for_resource(self, *, ResourceArn: shapes.TagArn) -> answers.ListTagsForResourceResponse:
        """List the tags of a model.

        Parameters
        ----------
        ResourceArn
            of a model.

        Returns
        -------
        dict
            ``Tags``.

        Raises
        ------
        ResourceNotFoundException
            if there is no such model.

        Examples
        --------
        ``client.list_tags_for_resource(ResourceArn=arn)["Tags"]``
        """
        return self._work.list_tags_for_resource(ResourceArn)
