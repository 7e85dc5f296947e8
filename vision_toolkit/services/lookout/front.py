"""Lookout for Vision on a wire: who may ask, and how its errors look there."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from vision_toolkit.core.errors import Denied
from vision_toolkit.services.auth.keys import Keys
from vision_toolkit.services.auth.sigv4 import Message, Signature4, SignatureError
from vision_toolkit.services.body import RefusedError
from vision_toolkit.services.http import Answer
from vision_toolkit.services.lookout.errors import translate
from vision_toolkit.services.lookout.service import LookoutVision
from vision_toolkit.services.operation import Operation

__all__ = ["SIGNING_NAME", "LookoutFront"]

SIGNING_NAME = "lookoutvision"
"""The service, in the scope of a signature."""


class LookoutFront:
    """Offer Lookout for Vision over HTTP.

    Parameters
    ----------
    service
        does the work.
    keys
        those of the workspace.
    trusting
        whether a request without a good signature is accepted as long as no key was ever made: for a server that
        listens on loopback alone.
    sealed
        whether nobody between could change a body: on loopback, or with TLS. Only then a signature may leave it out.
    """

    name = SIGNING_NAME
    plus = False

    def __init__(self, service: LookoutVision, keys: Keys, *, trusting: bool = False, sealed: bool = False) -> None:
        self.service = service
        self._keys, self._trusting, self._sealed = keys, trusting, sealed
        self._signature = Signature4(SIGNING_NAME, keys.secret_of)

    def request_id(self, message: Message) -> str:  # noqa: ARG002 AWS names every request anew
        """Return the name of a request."""
        return self.service.new_request_id()

    def begin(self, message: Message, operation: Operation | None) -> Callable[[bytes], str]:
        """Judge what a signature says of itself; return what judges it when the body has come."""
        if self._trusting and not self._keys.are_used:
            return lambda body: ""
        streams = operation is not None and any(one.place == "raw" for one in operation.parameters.values())
        claim = self._signature.read(message, streams=streams and self._sealed)

        def judge(body: bytes) -> str:
            self._signature.verify(message, claim, body)
            key = self._keys.find(claim.key)
            if key is not None and key.read_only and message.method != "GET":
                name = operation.name if operation is not None else "this"
                raise Denied(f"The access key {key.id} may only look: {name} changes something, or makes work.")
            return claim.key

        return judge

    def fault(self, error: Exception, operation: Operation | None, request_id: str) -> Answer:
        """Return the answer that tells an error: its name in a header and in the body, as SDKs look for it."""
        if isinstance(error, SignatureError):
            return self._told(400 if error.code.startswith("Incomplete") else 403, error.code, str(error))
        if isinstance(error, RefusedError):
            return self._told(error.status, "ValidationException", str(error), error.headers)
        fault = translate(error, operation.name if operation else "Request", {}, request_id)
        metadata = fault.response["ResponseMetadata"]
        return _answer(metadata["HTTPStatusCode"], fault.response["Error"]["Code"], fault.body, metadata["HTTPHeaders"])

    def headers(self, request_id: str) -> Mapping[str, str]:
        """Return the headers that every answer has."""
        return {"x-amzn-requestid": request_id}

    @staticmethod
    def _told(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Answer:
        # Such an answer may leave a body unread.
        more = {"connection": "close"} if status in (408, 413) else {}
        return _answer(status, code, {"__type": code, "Message": message}, {**(headers or {}), **more})


def _answer(status: int, code: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> Answer:
    text = json.dumps(body, separators=(",", ":")).encode("ascii")
    return Answer(status, text, {**headers, "x-amzn-errortype": code}, code)
