"""OCI Vision in process: the client, with the methods, answers and errors of Oracle's SDK."""

from __future__ import annotations

import functools
import os
from typing import Any, NoReturn

from vision_toolkit.core.errors import Unsupported
from vision_toolkit.services.oci.errors import translate
from vision_toolkit.services.oci.later import LATER
from vision_toolkit.services.oci.models import Request, Response
from vision_toolkit.services.oci.projects import Projects
from vision_toolkit.services.oci.work_requests import WorkRequests
from vision_toolkit.workspace import Workspace

__all__ = ["IGNORED", "BaseClient", "OciVision"]

IGNORED = (
    "allow_control_chars",
    "circuit_breaker_callback",
    "circuit_breaker_strategy",
    "client_level_realm_specific_endpoint_template_enabled",
    "retry_strategy",
    "signer",
    "timeout",
)
"""What the SDK's client takes for the network's sake."""


class BaseClient:
    """Ask again what was asked, for ``oci.wait_until``."""

    def request(self, request: Request) -> Response:
        """Return a new answer."""
        return request.repeat()

    def is_instance_principal_or_resource_principal_signer(self) -> bool:
        """Return False: nothing is signed."""
        return False


class OciVision(Projects, WorkRequests):
    """Offer OCI Vision (20220125) as ``oci.ai_vision.AIServiceVisionClient`` does, without a network.

    Methods take what the SDK's take: ids and details by position, the rest as keywords; details are models, the SDK's
    or those of :mod:`.models`, or dicts under the names of the wire. They answer with
    :class:`~vision_toolkit.services.oci.models.Response`, and raise
    :class:`~vision_toolkit.services.oci.errors.ServiceError`, which is the SDK's own where that is installed. What the
    SDK offers around its client works with this one: ``oci.pagination``, ``oci.wait_until``,
    ``AIServiceVisionClientCompositeOperations``.

    Projects and work requests are built; the other operations answer 501 ``MethodNotImplemented``.

    Parameters
    ----------
    workspace
        where everything lives: a :class:`~vision_toolkit.workspace.Workspace`, or the folder of one, which is then run
        by threads of this process.
    options
        ``timeout``, ``signer``, ``retry_strategy``, ``circuit_breaker_strategy``, ``circuit_breaker_callback``,
        ``client_level_realm_specific_endpoint_template_enabled`` and ``allow_control_chars`` are accepted and ignored:
        there is no network. The same goes for ``retry_strategy``, ``allow_control_chars`` and
        ``enable_strict_url_encoding`` of each method.

    Raises
    ------
    Unsupported
        for ``service_endpoint``: servers are for the SDK.

    Examples
    --------
    >>> import tempfile
    >>> client = OciVision(tempfile.mkdtemp())
    >>> made = client.create_project({"displayName": "bolts", "compartmentId": "ocid1.compartment.oc1..a"})
    >>> made.data.display_name, made.data.lifecycle_state
    ('bolts', 'ACTIVE')
    >>> client.get_work_request(made.headers["opc-work-request-id"]).data.status
    'SUCCEEDED'
    >>> client.close()
    """

    def __init__(self, workspace: Workspace | str | os.PathLike[str], **options: Any) -> None:
        if "service_endpoint" in options:
            raise Unsupported(
                "This client works in process; for a server take the SDK's: "
                "oci.ai_vision.AIServiceVisionClient(config, service_endpoint=...)."
            )
        if unknown := set(options) - set(IGNORED):
            raise TypeError(f"OciVision takes no {', '.join(sorted(unknown))}; it accepts: {', '.join(IGNORED)}.")
        if isinstance(workspace, str | os.PathLike):
            workspace = Workspace(workspace, run=True)
        if not isinstance(workspace, Workspace):
            raise TypeError(
                f"It takes a Workspace or its folder, no configuration; {type(workspace).__name__} was given."
            )
        super().__init__(workspace)
        self.base_client = BaseClient()

    def __getattr__(self, name: str) -> Any:
        if name in LATER:
            return functools.partial(self._not_built, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _not_built(self, name: str, *_: Any, **named: Any) -> NoReturn:
        error = Unsupported(f"{name} is not built here; docs/COVERAGE.md tells which operations are.")
        raise translate(error, name, str(named.get("opc_request_id") or self.new_request_id()))

    def close(self) -> None:
        """Close the workspace, and with it the jobs that run in this process; they go on where it is opened again."""
        self.workspace.close()
