"""The operations of Lookout for Vision on models: training and hosting."""

from __future__ import annotations

from vision_toolkit.services.lookout import answers, shapes
from vision_toolkit.services.lookout.base import PAGE, TOKEN, Lookout
from vision_toolkit.services.lookout.errors import QUOTA, USUAL
from vision_toolkit.services.operation import operation

__all__ = ["Models"]


class Models(Lookout):
    """Offer what is done with models."""

    # ---------------------------------------------------------------- models

    @operation("POST", "/projects/{projectName}/models", status=202, token=TOKEN, errors=QUOTA)
    def create_model(
        self,
        *,
        ProjectName: shapes.ProjectName,
        OutputConfig: shapes.OutputConfig,
        Description: shapes.ModelDescriptionMessage | None = None,
        KmsKeyId: shapes.KmsKeyId | None = None,
        Tags: shapes.TagList | None = None,
        ClientToken: shapes.ClientToken | None = None,
    ) -> answers.CreateModelResponse:
        """Train a model with the datasets of a project.

        It is trained in the background: describe_model tells when it is ``TRAINED``, and how good it is.

        Parameters
        ----------
        ProjectName
            1 to 255 letters, digits, ``_`` and ``-``; the first is a letter or digit.
        OutputConfig
            ``S3Location``: ``Bucket`` and ``Prefix`` of the evaluation files.
        Description
            1 to 500 letters, digits, ``.``, ``-`` and ``_``; no spaces.
        KmsKeyId
            kept and told again; nothing is encrypted with it.
        Tags
            0 to 200 of ``Key`` and ``Value``.
        ClientToken
            1 to 64 letters, digits and ``-``: the same call with the same token is made once.

        Returns
        -------
        dict
            ``ModelMetadata``, with ``ModelVersion``, ``Status`` and ``StatusMessage``.

        Raises
        ------
        ConflictException
            if the project cannot be trained, because it has no dataset ``train`` for example.
        ServiceQuotaExceededException
            if as many are being trained as may be.

        Examples
        --------
        ``client.create_model(ProjectName="bolts", OutputConfig={"S3Location": {"Bucket": "results"}})``
        """
        return self._work.create_model(ProjectName, OutputConfig, description=Description, key=KmsKeyId, tags=Tags)

    @operation("GET", "/projects/{projectName}/models/{modelVersion}", errors=USUAL)
    def describe_model(
        self, *, ProjectName: shapes.ProjectName, ModelVersion: shapes.ModelVersion
    ) -> answers.DescribeModelResponse:
        """Tell of a model: its status, how good it is, and where its evaluation files are.

        Parameters
        ----------
        ProjectName
            1 to 255 letters, digits, ``_`` and ``-``; the first is a letter or digit.
        ModelVersion
            ``1``, ``2`` ... or ``latest``.

        Returns
        -------
        dict
            ``ModelDescription``, with ``Status``, ``StatusMessage`` and, once trained, ``Performance``.

        Raises
        ------
        ResourceNotFoundException
            if there is no such model.

        Examples
        --------
        ``client.describe_model(ProjectName="bolts", ModelVersion="1")["ModelDescription"]["Performance"]``
        """
        return self._work.describe_model(ProjectName, ModelVersion)

    @operation("GET", "/projects/{projectName}/models", errors=USUAL, pages="Models")
    def list_models(
        self,
        *,
        ProjectName: shapes.ProjectName,
        NextToken: shapes.PaginationToken | None = None,
        MaxResults: shapes.PageSize | None = None,
    ) -> answers.ListModelsResponse:
        """List the models of a project, a page at a time.

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
            ``Models``, and ``NextToken`` if there are more.

        Raises
        ------
        ResourceNotFoundException
            if there is no such project.

        Examples
        --------
        ``[m["Status"] for m in client.list_models(ProjectName="bolts")["Models"]]``
        """
        return self._work.list_models(ProjectName, NextToken, MaxResults or PAGE)

    @operation("DELETE", "/projects/{projectName}/models/{modelVersion}", status=202, token=TOKEN, errors=USUAL)
    def delete_model(
        self,
        *,
        ProjectName: shapes.ProjectName,
        ModelVersion: shapes.ModelVersionNoLatest,
        ClientToken: shapes.ClientToken | None = None,
    ) -> answers.DeleteModelResponse:
        """Delete a model, at once for every later call.

        Parameters
        ----------
        ProjectName
            1 to 255 letters, digits, ``_`` and ``-``; the first is a letter or digit.
        ModelVersion
            ``1``, ``2`` ...; not ``latest``.
        ClientToken
            1 to 64 letters, digits and ``-``: the same call with the same token is made once.

        Returns
        -------
        dict
            ``ModelArn``.

        Raises
        ------
        ConflictException
            if it is being trained or hosted.
        ResourceNotFoundException
            if there is no such model.

        Examples
        --------
        ``client.delete_model(ProjectName="bolts", ModelVersion="1")["ModelArn"]``
        """
        return self._work.delete_model(ProjectName, ModelVersion)

    # ---------------------------------------------------------------- hosting

    @operation("POST", "/projects/{projectName}/models/{modelVersion}/start", status=202, token=TOKEN, errors=QUOTA)
    def start_model(
        self,
        *,
        ProjectName: shapes.ProjectName,
        ModelVersion: shapes.ModelVersion,
        MinInferenceUnits: shapes.InferenceUnits,
        MaxInferenceUnits: shapes.InferenceUnits | None = None,
        ClientToken: shapes.ClientToken | None = None,
    ) -> answers.StartModelResponse:
        """Host a model, so that detect_anomalies can use it.

        It starts in the background: describe_model tells when it is ``HOSTED``.

        Parameters
        ----------
        ProjectName
            1 to 255 letters, digits, ``_`` and ``-``; the first is a letter or digit.
        ModelVersion
            ``1``, ``2`` ... or ``latest``.
        MinInferenceUnits
            how many workers, 1 or more.
        MaxInferenceUnits
            up to how many when it is busy, not below the least.
        ClientToken
            1 to 64 letters, digits and ``-``: the same call with the same token is made once.

        Returns
        -------
        dict
            ``Status``, ``STARTING_HOSTING``.

        Raises
        ------
        ConflictException
            if it is not trained, or hosted already.
        ResourceNotFoundException
            if there is no such model.

        Examples
        --------
        ``client.start_model(ProjectName="bolts", ModelVersion="1", MinInferenceUnits=1)["Status"]``
        """
        return self._work.start_model(ProjectName, ModelVersion, MinInferenceUnits, MaxInferenceUnits)

    @operation("POST", "/projects/{projectName}/models/{modelVersion}/stop", status=202, token=TOKEN, errors=USUAL)
    def stop_model(
        self,
        *,
        ProjectName: shapes.ProjectName,
        ModelVersion: shapes.ModelVersion,
        ClientToken: shapes.ClientToken | None = None,
    ) -> answers.StopModelResponse:
        """End hosting a model; what it is judging is finished.

        Parameters
        ----------
        ProjectName
            1 to 255 letters, digits, ``_`` and ``-``; the first is a letter or digit.
        ModelVersion
            ``1``, ``2`` ... or ``latest``.
        ClientToken
            1 to 64 letters, digits and ``-``: the same call with the same token is made once.

        Returns
        -------
        dict
            ``Status``, ``STOPPING_HOSTING``.

        Raises
        ------
        ConflictException
            if it is not hosted.
        ResourceNotFoundException
            if there is no such model.

        Examples
        --------
        ``client.stop_model(ProjectName="bolts", ModelVersion="1")["Status"]``
        """
        return self._work.stop_model(ProjectName, ModelVersion)

    @operation("POST", "/projects/{projectName}/models/{modelVersion}/detect", errors=USUAL)
    def detect_anomalies(
        self,
        *,
        ProjectName: shapes.ProjectName,
        ModelVersion: shapes.ModelVersion,
        Body: shapes.Stream,
        ContentType: shapes.ContentType,
    ) -> answers.DetectAnomaliesResponse:
        """Judge an image with a hosted model.

        Parameters
        ----------
        ProjectName
            1 to 255 letters, digits, ``_`` and ``-``; the first is a letter or digit.
        ModelVersion
            ``1``, ``2`` ... or ``latest``.
        Body
            the image as bytes, or a file that is open for reading them.
        ContentType
            ``image/png`` or ``image/jpeg``.

        Returns
        -------
        dict
            ``DetectAnomalyResult``: ``IsAnomalous``, ``Confidence`` from 0 to 1; of a segmentation model also
            ``Anomalies`` and ``AnomalyMask``, a PNG as bytes.

        Raises
        ------
        ConflictException
            if the model is not hosted.
        ThrottlingException
            if its queue is full.
        ValidationException
            if it is no such image, or not as large as those of the training.

        Examples
        --------
        ``client.detect_anomalies(ProjectName="bolts", ModelVersion="1", Body=image, ContentType="image/png")``
        """
        return self._work.detect_anomalies(ProjectName, ModelVersion, Body, ContentType)
