"""Lookout for Vision as a model of botocore's, made from the operations' signatures.

Newer versions of boto3 and of the AWS command line do not know the service any more. With these two files, in
``~/.aws/models/lookoutvision/2020-11-20/`` or below a folder that ``AWS_DATA_PATH`` names, they do.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, is_typeddict

from vision_toolkit.data.storage import write_file
from vision_toolkit.services.lookout import shapes
from vision_toolkit.services.lookout.errors import MODELLED
from vision_toolkit.services.lookout.service import LookoutVision
from vision_toolkit.services.operation import Operation, Parameter
from vision_toolkit.services.shapes import Blob, Items, Text, Whole, members, plain

__all__ = ["FOLDER", "install", "install_script", "model_files", "paginators", "service_model"]

FOLDER = "lookoutvision/2020-11-20"
"""Where the files lie below a folder of models."""

_LOCATIONS = {"path": "uri", "query": "querystring", "header": "header"}
_TYPES = {
    str: "string", bool: "boolean", int: "integer", float: "float", bytes: "blob", datetime: "timestamp",
}  # fmt: skip
_PLAIN = {"boolean": "Boolean", "integer": "Integer", "float": "Float", "timestamp": "DateTime", "string": "String"}


def service_model() -> dict[str, Any]:
    """Return the document ``service-2.json``: the same operations, shapes, limits and errors as the signatures.

    Examples
    --------
    >>> service_model()["operations"]["DescribeProject"]["http"]
    {'method': 'GET', 'requestUri': '/2020-11-20/projects/{projectName}', 'responseCode': 200}
    """
    made = _Shapes()
    operations = {one.name: _operation(made, one) for one in LookoutVision.operations().values()}
    for name, error in MODELLED.items():
        made.add_error(name, error.status, error.required, error.optional)
    metadata = {
        "apiVersion": "2020-11-20",
        "endpointPrefix": "lookoutvision",
        "jsonVersion": "1.1",
        "protocol": "rest-json",
        "protocols": ["rest-json"],
        "serviceFullName": "Amazon Lookout for Vision",
        "serviceId": "LookoutVision",
        "signatureVersion": "v4",
        "signingName": "lookoutvision",
        "uid": "lookoutvision-2020-11-20",
    }
    every = dict(sorted(made.every.items()))
    return {"version": "2.0", "metadata": metadata, "operations": dict(sorted(operations.items())), "shapes": every}


def paginators() -> dict[str, Any]:
    """Return the document ``paginators-1.json``.

    Examples
    --------
    >>> paginators()["pagination"]["ListModels"]["result_key"]
    'Models'
    """
    pages = {one.name: one.pages for one in LookoutVision.operations().values() if one.pages}
    return {
        "pagination": {
            name: {
                "input_token": "NextToken",
                "output_token": "NextToken",
                "limit_key": "MaxResults",
                "result_key": result,
            }
            for name, result in sorted(pages.items())
        }
    }


@cache
def model_files() -> Mapping[str, str]:
    """Return both documents as text, by the names of their files."""
    documents = {"service-2.json": service_model(), "paginators-1.json": paginators()}
    return {name: json.dumps(document, indent=1) + "\n" for name, document in documents.items()}


def install(folder: str | os.PathLike[str]) -> Path:
    """Write both files below a folder of models, replacing older ones, and return where they lie.

    Parameters
    ----------
    folder
        ``~/.aws/models`` say, where every program of AWS's looks.
    """
    target = Path(folder).expanduser() / FOLDER
    target.mkdir(parents=True, exist_ok=True)
    for name, text in model_files().items():
        write_file(target / name, text.encode(), overwrite=True)
    return target


def install_script() -> str:
    """Return a program that does the same on a machine without this toolkit, for any Python 3."""
    texts = {name: json.dumps(json.loads(text)) for name, text in model_files().items()}
    return f'''"""Teach boto3 and the AWS command line on this machine the service lookoutvision (2020-11-20)."""
import os

FILES = {json.dumps(texts, indent=1)}
folder = os.path.join(os.path.expanduser("~"), ".aws", "models", *{FOLDER.split("/")!r})
os.makedirs(folder, exist_ok=True)
for name, text in FILES.items():
    with open(os.path.join(folder, name), "w") as file:
        file.write(text)
print("boto3.client('lookoutvision') and 'aws lookoutvision' work from now on: " + folder)
'''


def _operation(made: _Shapes, one: Operation) -> dict[str, Any]:
    request = f"{one.name}Request"
    made.every[request] = _request(made, one)
    response = made.name(one.returns)
    assert one.service is not None
    described: dict[str, Any] = {
        "name": one.name,
        "http": {"method": one.method, "requestUri": one.service.prefix + one.path, "responseCode": one.status},
        "input": {"shape": request},
        "output": {"shape": response},
        "errors": [{"shape": name} for name in one.errors],
    }
    if one.method in ("DELETE", "PUT"):
        described["idempotent"] = True
    return described


def _request(made: _Shapes, one: Operation) -> dict[str, Any]:
    shape: dict[str, Any] = {
        "type": "structure",
        "required": [name for name, parameter in one.parameters.items() if parameter.required],
        "members": {name: _member(made, one, parameter) for name, parameter in one.parameters.items()},
    }
    raw = next((name for name, parameter in one.parameters.items() if parameter.place == "raw"), None)
    if raw is not None:
        shape["payload"] = raw
    return {name: value for name, value in shape.items() if value != []}


def _member(made: _Shapes, one: Operation, parameter: Parameter) -> dict[str, Any]:
    member: dict[str, Any] = {"shape": made.name(parameter.hint, streams=parameter.place == "raw")}
    if parameter.name == one.token:
        member["idempotencyToken"] = True
    if parameter.place in _LOCATIONS:
        member |= {"location": _LOCATIONS[parameter.place], "locationName": parameter.wire}
    return member


class _Shapes:
    """Collect shapes under their names."""

    def __init__(self) -> None:
        self.every: dict[str, dict[str, Any]] = {}
        self._names = {hint: name for name, hint in reversed(vars(shapes).items()) if _can_be_named(name, hint)}

    def name(self, hint: Any, *, streams: bool = False) -> str:
        """Return the name of a shape, and see to it that it is there."""
        kind, marks = plain(hint)
        described = self._described(kind, marks)
        if streams:
            described |= {"requiresLength": True, "streaming": True}
        # Of several names for a text without limits, and for what has none of its own, the type's is as good as any.
        known_as = None if described == {"type": "string"} else _known(hint, self._names)
        name = known_as or (kind.__name__ if is_typeddict(kind) else _PLAIN[described["type"]])
        if name not in self.every:
            self.every[name] = described
            if is_typeddict(kind):
                known = members(kind)
                described["members"] = {one: {"shape": self.name(inner)} for one, (inner, _) in known.items()}
                if required := [one for one, (_, needed) in known.items() if needed]:
                    described["required"] = required
        return name

    def _described(self, kind: Any, marks: tuple[Any, ...]) -> dict[str, Any]:
        if is_typeddict(kind):
            return {"type": "structure"}
        if get_origin(kind) is Literal:
            return {"type": "string", "enum": list(get_args(kind))}
        if get_origin(kind) is list:
            described: dict[str, Any] = {"type": "list", "member": {"shape": self.name(get_args(kind)[0])}}
        else:
            described = {"type": _TYPES[kind]}
        for mark in marks:
            if isinstance(mark, Text | Whole | Blob | Items):
                found = {"max": mark.most, "min": mark.least, "pattern": getattr(mark, "pattern", None)}
                described |= {name: value for name, value in found.items() if value is not None}
        return described

    def add_error(self, name: str, status: int, required: tuple[str, ...], optional: tuple[str, ...]) -> None:
        """Add an error."""
        inner: dict[str, Any] = {"Message": {"shape": "ExceptionString"}}
        for one in (*required, *optional):
            if one == "RetryAfterSeconds":
                inner[one] = {"shape": one, "location": "header", "locationName": "Retry-After"}
            else:
                inner[one] = {"shape": "ResourceType" if one == "ResourceType" else "ExceptionString"}
        self.every |= {"ExceptionString": {"type": "string"}, "RetryAfterSeconds": {"type": "integer"}}
        self.name(shapes.ResourceType)
        self.every[name] = {
            "type": "structure",
            "required": ["Message", *required],
            "members": inner,
            "error": {"httpStatusCode": status},
            "exception": True,
            **({"fault": True} if status >= 500 else {}),
        }


def _can_be_named(name: str, hint: Any) -> bool:
    return name[:1].isupper() and name not in ("Annotated", "Literal", "Any") and get_origin(hint) is not None


def _known(hint: Any, names: Mapping[Any, str]) -> str | None:
    """Return the name that a shape has in the list of shapes, whatever stands around it."""
    every = [hint, *get_args(hint)] if hint not in names else [hint]
    return next((names[one] for one in every if _is_hashable(one) and one in names), None)


def _is_hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True
