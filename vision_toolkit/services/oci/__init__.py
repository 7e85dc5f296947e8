"""OCI Vision (20220125): its names, its checks, its answers and its errors.

=======================  ================================================================
:mod:`.service`          ``OciVision``, the client
:mod:`.projects`         its operations on projects
:mod:`.work_requests`    its operations on work requests, which are the workspace's jobs
:mod:`.later`            its operations that are not built
:mod:`.base`             what they share
:mod:`.shapes`           structures and constrained values of the contract
:mod:`.models`           the same as objects, and answers
:mod:`.names`            what it calls states, jobs and ids
:mod:`.paging`           lists in pages
:mod:`.errors`           ``ServiceError`` and its codes
:mod:`.front`            the same over HTTP
=======================  ================================================================
"""

from vision_toolkit.services.oci.errors import ServiceError
from vision_toolkit.services.oci.paging import list_call_get_all_results
from vision_toolkit.services.oci.service import OciVision

__all__ = ["OciVision", "ServiceError", "list_call_get_all_results"]
