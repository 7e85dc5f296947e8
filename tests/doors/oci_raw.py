"""A client of OCI Vision that knows nothing but HTTP: it writes requests as the contract says, and reads JSON."""

from __future__ import annotations

import json
import re
from datetime import datetime
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote_plus, urlencode

from tests.doors.raw import Sender
from vision_toolkit.services.oci import OciVision
from vision_toolkit.services.oci.later import LATER

PREFIX = "/20220125"


class Refused(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, headers: dict[str, str], body: dict[str, Any]) -> None:
        super().__init__(body)
        self.status, self.code, self.message = status, body["code"], body["message"]
        self.request_id = headers["opc-request-id"]


class Answer:
    """An answer that is none."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status, self.headers = status, headers
        self.data = objects(json.loads(body)) if body else None
        self.next_page, self.request_id = headers.get("opc-next-page"), headers["opc-request-id"]
        self.has_next_page = self.next_page is not None


class Raw(Sender):
    """Methods named as the SDK's; arguments go where the operation says."""

    def __getattr__(self, name: str) -> Any:
        if name in LATER:
            method, path = LATER[name]
            return lambda *details, **named: self.ask(
                method, re.sub(r"\{\w+\}", "x", path), json.dumps(details[-1]).encode() if method == "POST" else b""
            )
        operation = OciVision.operations().get(name)
        if operation is None:
            raise AttributeError(name)

        def call(*given: Any, **named: Any) -> Answer:
            path, query, headers, body = operation.path, [], {}, b""
            for key, value in operation.bind(given, named).items():
                one = operation.parameters[key]
                if one.place == "path":
                    path = path.replace(f"{{{one.wire}}}", quote_plus(value))
                elif one.place == "query":
                    query.append((one.wire, str(value)))
                elif one.place == "header":
                    headers[one.wire] = value
                else:
                    body = json.dumps(value).encode()
            return self.ask(operation.method, path + (f"?{urlencode(query)}" if query else ""), body, headers)

        return call

    def ask(self, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Answer:
        """Send one request below the prefix."""
        status, told, data = self.send(method, PREFIX + target, body, headers)
        assert told["content-type"] == "application/json" and told["opc-request-id"]
        if status >= 300:
            raise Refused(status, told, json.loads(data))
        return Answer(status, told, data)


def objects(value: Any, name: str = "") -> Any:
    """Return JSON with attributes in snake case; dates must be as OCI writes them, tags stay what they are."""
    if isinstance(value, list):
        return [objects(one) for one in value]
    if isinstance(value, dict) and not name.endswith("Tags"):
        return SimpleNamespace(
            **{re.sub("([A-Z])", r"_\1", key).lower(): objects(one, key) for key, one in value.items()}
        )
    if name.startswith("time") and isinstance(value, str):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", value)
        return datetime.fromisoformat(value)
    return value
