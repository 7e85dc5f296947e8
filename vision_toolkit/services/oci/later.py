"""The operations of OCI Vision that are not built: their names and paths, so that they can be told from mistakes."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["LATER", "named"]

LATER: Mapping[str, tuple[str, str]] = {
    "analyze_document": ("POST", "/actions/analyzeDocument"),
    "analyze_image": ("POST", "/actions/analyzeImage"),
    "cancel_document_job": ("POST", "/documentJobs/{documentJobId}/actions/cancel"),
    "cancel_image_job": ("POST", "/imageJobs/{imageJobId}/actions/cancel"),
    "cancel_video_job": ("POST", "/videoJobs/{videoJobId}/actions/cancel"),
    "change_model_compartment": ("POST", "/models/{modelId}/actions/changeCompartment"),
    "create_document_job": ("POST", "/documentJobs"),
    "create_image_job": ("POST", "/imageJobs"),
    "create_model": ("POST", "/models"),
    "create_video_job": ("POST", "/videoJobs"),
    "delete_model": ("DELETE", "/models/{modelId}"),
    "get_document_job": ("GET", "/documentJobs/{documentJobId}"),
    "get_image_job": ("GET", "/imageJobs/{imageJobId}"),
    "get_model": ("GET", "/models/{modelId}"),
    "get_video_job": ("GET", "/videoJobs/{videoJobId}"),
    "list_models": ("GET", "/models"),
    "update_model": ("PUT", "/models/{modelId}"),
    "change_stream_group_compartment": ("POST", "/streamGroups/{streamGroupId}/actions/changeCompartment"),
    "change_stream_job_compartment": ("POST", "/streamJobs/{streamJobId}/actions/changeCompartment"),
    "change_stream_source_compartment": ("POST", "/streamSources/{streamSourceId}/actions/changeCompartment"),
    "change_vision_private_endpoint_compartment": (
        "POST", "/visionPrivateEndpoints/{visionPrivateEndpointId}/actions/changeCompartment",
    ),
    "create_stream_group": ("POST", "/streamGroups"),
    "create_stream_job": ("POST", "/streamJobs"),
    "create_stream_source": ("POST", "/streamSources"),
    "create_vision_private_endpoint": ("POST", "/visionPrivateEndpoints"),
    "delete_stream_group": ("DELETE", "/streamGroups/{streamGroupId}"),
    "delete_stream_job": ("DELETE", "/streamJobs/{streamJobId}"),
    "delete_stream_source": ("DELETE", "/streamSources/{streamSourceId}"),
    "delete_vision_private_endpoint": ("DELETE", "/visionPrivateEndpoints/{visionPrivateEndpointId}"),
    "get_stream_group": ("GET", "/streamGroups/{streamGroupId}"),
    "get_stream_job": ("GET", "/streamJobs/{streamJobId}"),
    "get_stream_source": ("GET", "/streamSources/{streamSourceId}"),
    "get_vision_private_endpoint": ("GET", "/visionPrivateEndpoints/{visionPrivateEndpointId}"),
    "list_stream_groups": ("GET", "/streamGroups"),
    "list_stream_jobs": ("GET", "/streamJobs"),
    "list_stream_sources": ("GET", "/streamSources"),
    "list_vision_private_endpoints": ("GET", "/visionPrivateEndpoints"),
    "start_stream_job": ("POST", "/streamJobs/{streamJobId}/actions/start"),
    "stop_stream_job": ("POST", "/streamJobs/{streamJobId}/actions/stop"),
    "update_stream_group": ("PUT", "/streamGroups/{streamGroupId}"),
    "update_stream_job": ("PUT", "/streamJobs/{streamJobId}"),
    "update_stream_source": ("PUT", "/streamSources/{streamSourceId}"),
    "update_vision_private_endpoint": ("PUT", "/visionPrivateEndpoints/{visionPrivateEndpointId}"),
}  # fmt: skip
"""Method and path of each; the streams and private endpoints are of the newer SDK alone."""


def named(method: str, path: str) -> str | None:
    """Return the operation that a request means, if it is one that is not built.

    Parameters
    ----------
    method
        ``GET``.
    path
        as it came, below the service's prefix.

    Examples
    --------
    >>> named("GET", "/models/ocid1.x"), named("GET", "/models"), named("GET", "/nothing")
    ('get_model', 'list_models', None)
    """
    given = path.split("/")
    for name, (verb, pattern) in LATER.items():
        parts = pattern.split("/")
        if (
            verb == method
            and len(parts) == len(given)
            and all(part == text or (part.startswith("{") and text) for part, text in zip(parts, given, strict=True))
        ):
            return name
    return None
