"""What is built is what Oracle's SDK says; what is not built is known by its name."""

from __future__ import annotations

import inspect
import json
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, is_typeddict

import oci
import pytest

from vision_toolkit.services.oci import OciVision, models, shapes
from vision_toolkit.services.oci.errors import STATUSES
from vision_toolkit.services.oci.later import LATER, named
from vision_toolkit.services.shapes import members, plain

FILE = Path(__file__).parents[4] / "shared" / "spec" / "oci_api.json"
if not FILE.is_file():
    pytest.skip("needs ../shared", allow_module_level=True)
API = json.loads(FILE.read_text(encoding="utf-8"))
OURS = OciVision.operations()
STRUCTURES = [name for name in shapes.__all__ if is_typeddict(getattr(shapes, name))]
PLAIN = {str: "str", bool: "bool", int: "int", float: "float", datetime: "datetime", Any: "object"}


def test_every_operation_is_built_or_known() -> None:
    assert set(OURS) | set(LATER) == set(API["methods"]) and not set(OURS) & set(LATER)
    assert len(OURS) == 11


@pytest.mark.parametrize("name", sorted(LATER))
def test_what_is_not_built_has_its_place(name: str) -> None:
    said = API["methods"][name]
    assert LATER[name] == (said["method"], said["resource_path"])
    assert named(*LATER[name]) == name


@pytest.mark.parametrize("name", sorted(OURS))
def test_an_operation_is_where_the_sdk_looks_for_it(name: str) -> None:
    said, ours = API["methods"][name], OURS[name]
    assert (ours.method, OciVision.prefix + ours.path) == (said["method"], API["base_path"] + said["resource_path"])
    places = {one["py"]: ("path", wire) for wire, one in said.get("path_params", {}).items()}
    places |= {one["py"]: ("query", wire) for wire, one in said.get("query_params", {}).items()}
    places |= {one["py"]: ("header", wire) for wire, one in said["header_params"].items() if "py" in one}
    if "body_arg" in said:
        places[said["body_arg"]] = ("body", said["body_arg"])
    assert {one.name: (one.place, one.wire) for one in ours.parameters.values()} == places
    assert {one.name for one in ours.parameters.values() if one.required} == set(said["positional"])
    assert ours.token == ("opc_retry_token" if "opc_retry_token" in said["kwargs"] else None)
    assert (ours.returns and ours.returns.__name__) == said.get("response_type")
    assert (ours.pages is not None) == (said["lists"] is not None)
    if "body_arg" in said:
        assert plain(ours.parameters[said["body_arg"]].hint)[0].__name__ == said["body_model"]
    for word, allowed in said.get("kwarg_enums", {}).items():
        assert list(get_args(plain(ours.parameters[word].hint)[0])) == allowed
    assert set(ours.errors) <= set(STATUSES)


@pytest.mark.parametrize("name", sorted(OURS))
def test_arguments_stand_where_the_sdk_has_them(name: str) -> None:
    theirs = inspect.signature(getattr(oci.ai_vision.AIServiceVisionClient, name)).parameters.values()
    ours = inspect.signature(getattr(OciVision, name)).parameters.values()
    positional = [one.name for one in theirs if one.kind is one.POSITIONAL_OR_KEYWORD]
    assert [one.name for one in ours if one.kind is one.POSITIONAL_OR_KEYWORD] == positional
    assert {one.name for one in ours if one.kind is one.KEYWORD_ONLY} == set(API["methods"][name]["kwargs"])


def told(hint: Any) -> str:
    """Return a shape of ours in the words of the SDK."""
    kind, _ = plain(hint)
    if get_origin(kind) is Literal:
        return "str"
    if is_typeddict(kind):
        return str(kind.__name__)
    if get_origin(kind) is list:
        return f"list[{told(get_args(kind)[0])}]"
    if get_origin(kind) is dict:
        return f"dict({', '.join(map(told, get_args(kind)))})"
    return PLAIN.get(kind, "object")


@pytest.mark.parametrize("name", STRUCTURES)
def test_a_structure_has_the_members_of_the_sdks_model(name: str) -> None:
    said = API["models"][name]["attributes"]
    ours = members(getattr(shapes, name))
    assert {wire: (told(hint), must) for wire, (hint, must) in ours.items()} == {
        one["json"]: (one["type"], one["required"]) for one in said.values()
    }
    assert models.model_of(getattr(shapes, name)).attribute_map == {py: one["json"] for py, one in said.items()}
    for one in said.values():
        kind, _ = plain(ours[one["json"]][0])
        assert list(get_args(kind)) == one["enum"] if "enum" in one else get_origin(kind) is not Literal


@pytest.mark.parametrize("name", STRUCTURES)
def test_models_look_as_the_sdks_do(name: str) -> None:
    theirs = getattr(oci.ai_vision.models, name)()
    assert getattr(models, name).attribute_map == theirs.attribute_map
