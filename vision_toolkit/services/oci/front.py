"""OCI Vision on a wire: who may ask, and how its errors look there."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping

from vision_toolkit.core.errors import Denied, Unsupported
from vision_toolkit.services.auth.keys import Keys
from vision_toolkit.services.auth.oci_signature import OciSignature
from vision_toolkit.services.auth.sigv4 import Message, SignatureError
from vision_toolkit.services.body import RefusedError
from vision_toolkit.services.http import Answer
from vision_toolkit.services.oci.errors import REQUEST_ID, STATUSES, translate
from vision_toolkit.services.oci.later import named
from vision_toolkit.services.oci.service import OciVision
from vision_toolkit.services.operation import Operation

__all__ = ["OciFront"]

_REFUSED = {404: "NotFound", 405: "MethodNotAllowed", 413: "RequestEntityTooLarge"}
_NAME = re.compile(r"[\x21-\x7e]{1,255}")


class OciFront:
    """Offer OCI Vision over HTTP.

    Parameters
    ----------
    service
        does the work.
    keys
        those of the workspace.
    trusting
        whether a request without a good signature is accepted as long as no key was ever made: for a server that
        listens on loopback alone.
    """

    name = "ocivision"
    plus = True

    def __init__(self, service: OciVision, keys: Keys, *, trusting: bool = False) -> None:
        self.service = service
        self._keys, self._trusting = keys, trusting
        self._signature = OciSignature(keys.public_of)

    def request_id(self, message: Message) -> str:
        """Return the name that the client gave a request, or a new one."""
        given = message.values(REQUEST_ID)
        return given[0] if len(given) == 1 and _NAME.fullmatch(given[0]) else self.service.new_request_id()

    def begin(self, message: Message, operation: Operation | None) -> Callable[[bytes], str]:
        """Judge a signature; return what judges whether the body is the one that was signed."""
        claim = None if self._trusting and not self._keys.are_used else self._signature.read(message)
        later = None if operation else named(message.method, message.path.removeprefix(self.service.prefix))
        if claim is not None:
            key = self._keys.find(claim.key)
            if key is not None and key.read_only and message.method != "GET":
                name = operation.python_name if operation is not None else later or "this"
                raise Denied(f"The key {key.id} may only look: {name} changes something, or makes work.")
        if later is not None:
            raise Unsupported(f"{later} is not built here; docs/COVERAGE.md tells which operations are.")

        def judge(body: bytes) -> str:
            if claim is None:
                return ""
            self._signature.verify(claim, body)
            return claim.key

        return judge

    def fault(self, error: Exception, operation: Operation | None, request_id: str) -> Answer:
        """Return the answer that tells an error: its code and its words in the body, as the SDK looks for them."""
        if isinstance(error, SignatureError):
            return _told(STATUSES[error.code], error.code, str(error), request_id)
        if isinstance(error, RefusedError):
            # Such an answer may leave a body unread.
            more = {"connection": "close"} if error.status in (408, 413) else {}
            code = _REFUSED.get(error.status, "CannotParseRequest")
            return _told(error.status, code, str(error), request_id, {**error.headers, **more})
        fault = translate(error, operation.python_name if operation else "a request", request_id)
        return _told(fault.status, fault.code, fault.message, fault.request_id or request_id)

    def headers(self, request_id: str) -> Mapping[str, str]:
        """Return the headers that every answer has."""
        return {REQUEST_ID: request_id}


def _told(status: int, code: str, message: str, request_id: str, headers: Mapping[str, str] | None = None) -> Answer:
    text = json.dumps({"code": code, "message": message}, separators=(",", ":")).encode("ascii")
    return Answer(status, text, {**(headers or {}), REQUEST_ID: request_id}, code)
