"""The model made from the signatures is the one that botocore had, but for the names of plain texts."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from vision_toolkit.services.lookout.aws_model import install, install_script, model_files, paginators, service_model


@pytest.fixture(scope="module")
def contract(shared):
    return json.loads((shared / "spec" / "lookout_api.json").read_text(encoding="utf-8"))


def resolved(shapes, name, seen=()):
    """Return a shape with every name in it replaced by what it stands for."""
    shape = dict(shapes[name])
    for fact in ("json_wire", "query_wire"):
        shape.pop(fact, None)
    if name in seen:
        return name
    if "member" in shape:
        member = shape["member"]["shape"] if isinstance(shape["member"], dict) else shape["member"]
        shape["member"] = resolved(shapes, member, (*seen, name))
    if "members" in shape:
        shape["members"] = {
            key: {**one, "shape": resolved(shapes, one["shape"], (*seen, name))}
            for key, one in shape["members"].items()
        }
    if "required" in shape:
        shape["required"] = sorted(shape["required"])
    return shape


def test_operations_are_those_of_the_contract(contract):
    made = service_model()
    assert set(made["operations"]) == set(contract["operations"])
    for name, one in made["operations"].items():
        theirs = contract["operations"][name]
        assert one["http"] == {
            "method": theirs["method"], "requestUri": theirs["uri"], "responseCode": theirs["success_status"],
        }  # fmt: skip
        assert sorted(error["shape"] for error in one["errors"]) == sorted(theirs["errors"])


def test_requests_and_answers_are_those_of_the_contract(contract):
    made = service_model()
    for name, one in made["operations"].items():
        theirs = contract["operations"][name]
        for side, shape in (("input", theirs["input_shape"]), ("output", theirs["output_shape"])):
            ours = resolved(made["shapes"], one[side]["shape"])
            assert ours == resolved(contract["shapes"], shape), (name, side)


def test_errors_are_those_of_the_contract(contract):
    made = service_model()["shapes"]
    for name, theirs in contract["errors"].items():
        assert made[name]["error"]["httpStatusCode"] == theirs["httpStatusCode"]
        assert sorted(made[name]["required"]) == sorted(theirs["required"])
        assert made[name].get("fault", False) == theirs["fault"]
        places = {key: one.get("locationName") for key, one in made[name]["members"].items()}
        assert places == {key: one.get("locationName") for key, one in theirs["members"].items()}


def test_paginators_are_those_of_the_contract(contract):
    assert paginators()["pagination"] == contract["paginators"]


def test_metadata_are_those_of_the_contract(contract):
    assert service_model()["metadata"].items() >= contract["metadata"].items()


def test_every_name_of_a_shape_leads_somewhere():
    made = service_model()
    text = json.dumps(made)
    for name in {part.split('"')[0] for part in text.split('"shape": "')[1:]}:
        assert name in made["shapes"], name


def test_both_files_are_installed_where_botocore_looks(tmp_path):
    where = install(tmp_path)
    assert where == tmp_path / "lookoutvision" / "2020-11-20"
    assert {file.name: file.read_text() for file in where.iterdir()} == dict(model_files())
    install(tmp_path)  # again: nothing stands in the way


def test_the_script_needs_nothing_of_ours(tmp_path):
    done = subprocess.run(
        [sys.executable, "-I", "-"], input=install_script(), env={"HOME": str(tmp_path)}, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    where = tmp_path / ".aws" / "models" / "lookoutvision" / "2020-11-20"
    assert str(where.parent.parent) in done.stdout
    for name, text in model_files().items():
        assert json.loads((where / name).read_text()) == json.loads(text)
