"""A client that knows nothing but HTTP: it writes requests as the contract says, and reads JSON."""

from __future__ import annotations

import base64
import http.client
import json
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from vision_toolkit.services.lookout import LookoutVision


class Refused(Exception):
    """An answer that is an error, as boto3 would give it."""

    def __init__(self, status: int, headers: dict[str, str], body: dict[str, Any]) -> None:
        super().__init__(body["Message"])
        assert headers["x-amzn-errortype"] == body["__type"]
        self.status, self.headers = status, headers
        self.response = {"Error": {"Code": body["__type"], "Message": body["Message"]}, **body}


class Sender:
    """Send requests to a server, whatever service they are for."""

    def __init__(self, url: str) -> None:
        self.url = urlsplit(url)

    def send(
        self, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Send one request and return status, headers and body."""
        connection = http.client.HTTPConnection(str(self.url.hostname), self.url.port, timeout=60)
        try:
            connection.request(method, target, body or None, headers or {})
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()


class Raw(Sender):
    """Methods named as boto3's; arguments go where the operation says."""

    def __getattr__(self, name: str) -> Any:
        operation = LookoutVision.operations().get(name)
        if operation is None:
            raise AttributeError(name)

        def call(**arguments: Any) -> dict[str, Any]:
            path, query, headers, members, body = operation.path, [], {}, {}, b""
            for key, value in arguments.items():
                one = operation.parameters[key]
                if one.place == "path":
                    path = path.replace(f"{{{one.wire}}}", quote(value, safe=""))
                elif one.place == "query":
                    query += [(one.wire, text(item)) for item in (value if isinstance(value, list) else [value])]
                elif one.place == "header":
                    headers[one.wire] = value
                elif one.place == "raw":
                    body = value
                else:
                    members[one.wire] = base64.b64encode(value).decode() if isinstance(value, bytes) else value
            if operation.method in ("POST", "PATCH") and not body and members:
                body, headers["Content-Type"] = json.dumps(members).encode(), "application/json"
            target = f"/2020-11-20{path}" + (f"?{urlencode(query, quote_via=quote)}" if query else "")
            return self.ask(operation.method, target, body, headers)

        return call

    def ask(self, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None) -> dict[str, Any]:
        """Send one request; an answer must be a JSON object, whatever it says."""
        status, told, data = self.send(method, target, body, headers)
        assert told["content-type"] == "application/json" and told["x-amzn-requestid"]
        answer: dict[str, Any] = json.loads(data)
        if status >= 300:
            raise Refused(status, told, answer)
        return answer


def text(value: Any) -> str:
    """Write a value as a query has it."""
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if isinstance(value, datetime) else str(value)
