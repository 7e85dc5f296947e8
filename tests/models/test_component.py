"""A recipe is one that Greengrass understands: checked against the keys and values of its published reference."""

from __future__ import annotations

import configparser
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from vision_toolkit.core import Invalid
from vision_toolkit.models.component import MOST_RECIPE, Component
from vision_toolkit.models.export import export_package, verify_package

PLACE = "s3://factory/edge/line7.Part-1.2.0.zip"

# The recipe reference (format 2020-01-25), as far as a component that runs commands may use it: key and type.
SCRIPT = {"Script": str, "RequiresPrivilege": bool, "Skipif": str, "Timeout": int, "Setenv": dict}
STEPS = ("Bootstrap", "Install", "Run", "Startup", "Shutdown", "Recover")
RECIPE: dict[str, Any] = {
    "RecipeFormatVersion": str, "ComponentName": str, "ComponentVersion": str, "ComponentDescription": str,
    "ComponentPublisher": str, "ComponentType": str,
    "ComponentConfiguration": {"DefaultConfiguration": dict},
    "ComponentDependencies": {None: {"VersionRequirement": str, "DependencyType": str}},
    "Manifests": [{
        "Name": str, "Platform": {"os": str, "architecture": str},
        "Lifecycle": {"Setenv": dict, **dict.fromkeys(STEPS, SCRIPT)},
        "Artifacts": [{"URI": str, "Unarchive": str, "Permission": {"Read": str, "Execute": str}}],
    }],
}  # fmt: skip
REQUIRED = {"RecipeFormatVersion", "ComponentName", "ComponentVersion", "ComponentPublisher", "Manifests"}
VARIABLE = re.compile(r"\{([^{}]+)\}")


def check(value: Any, known: Any, where: str = "") -> None:
    """Assert that a value has the keys and types of the reference, nothing else."""
    if isinstance(known, list):
        assert isinstance(value, list) and value, where
        for one in value:
            check(one, known[0], where)
    elif isinstance(known, dict):
        assert isinstance(value, dict) and value, where
        for name, one in value.items():
            assert isinstance(name, str) and (name in known or None in known), f"{where}/{name}"
            check(one, known.get(name, known.get(None)), f"{where}/{name}")
    else:
        assert type(value) is known, where


def read(component: Component) -> dict[str, Any]:
    """Return a recipe, after it was compared with the reference."""
    text = component.recipe()
    assert len(text.encode()) <= MOST_RECIPE < 16 * 1024
    recipe = yaml.safe_load(text)
    check(recipe, RECIPE)
    assert set(recipe) >= REQUIRED and recipe["RecipeFormatVersion"] == "2020-01-25"
    for dependency in recipe["ComponentDependencies"].values():
        assert dependency["DependencyType"] in ("SOFT", "HARD")
    configuration = recipe["ComponentConfiguration"]["DefaultConfiguration"]
    # Numbers might come back as floats, so that they are written as text.
    assert all(isinstance(value, str | dict) for value in configuration.values())
    (manifest,) = recipe["Manifests"]
    assert manifest["Platform"]["os"] == "linux"
    (artifact,) = manifest["Artifacts"]
    assert artifact == {"URI": component.place, "Unarchive": "ZIP"}
    folder = component.place.rpartition("/")[2].removesuffix(".zip")
    for step in manifest["Lifecycle"].values():
        assert f'"{{artifacts:decompressedPath}}/{folder}' in step["Script"]
        for variable in VARIABLE.findall(step["Script"]):
            kind, _, pointer = variable.partition(":")
            assert variable in ("work:path", "artifacts:decompressedPath") or (
                kind == "configuration" and pointer[1:] in configuration
            ), variable
    return recipe


@pytest.mark.parametrize(("architecture", "gpu"), [("amd64", False), ("amd64", True), ("aarch64", False)])
def test_a_recipe_has_what_the_reference_names(architecture, gpu):
    component = Component("line7.Part", "1.2.0", PLACE, architecture=architecture, gpu=gpu, description="Parts: all.",
                          tags={"line": "7", "1.0": "yes"})  # fmt: skip
    recipe = read(component)
    assert (recipe["ComponentName"], recipe["ComponentVersion"]) == ("line7.Part", "1.2.0")
    assert recipe["ComponentDescription"] == "Parts: all."
    assert recipe["Manifests"][0]["Platform"] == {"os": "linux", "architecture": architecture}
    configuration = recipe["ComponentConfiguration"]["DefaultConfiguration"]
    assert configuration["Tags"] == {"line": "7", "1.0": "yes"}
    assert (configuration["Command"], configuration["Engine"]) == ("serve", "cuda" if gpu else "onnxruntime")
    assert configuration["Requirements"] == ("requirements-gpu.txt" if gpu else "requirements.txt")
    assert list(recipe["ComponentDependencies"]) == ["aws.greengrass.Nucleus"]
    install = recipe["Manifests"][0]["Lifecycle"]["Install"]
    assert install["Timeout"] > 120 and install["Script"].endswith(" check")  # 120 s is what there is unasked
    assert Component(**json.loads(json.dumps(component.to_dict()))) == component


# What may be given in a packaging job.
NAMES = st.from_regex(r"[a-zA-Z0-9-_.]{1,128}", fullmatch=True)
TEXT = st.text(st.characters(categories=["L", "Z", "N"], include_characters="_.:/=+-@"), max_size=60)


@given(name=NAMES, tags=st.dictionaries(TEXT.filter(bool), TEXT, max_size=4),
       description=st.from_regex(r"[a-zA-Z0-9-_. ()':,;?]{0,256}", fullmatch=True))  # fmt: skip
def test_whatever_it_is_called_it_is_read_back(name, tags, description):
    recipe = read(Component(name, "1.0.0", f"s3://b/{name}-1.0.0.zip", description=description, tags=tags))
    assert recipe["ComponentName"] == name
    assert recipe["ComponentConfiguration"]["DefaultConfiguration"].get("Tags", {}) == tags
    assert not description or recipe["ComponentDescription"] == description


def test_what_cannot_be_a_component_is_told():
    for changed, said in (
        ({"name": "a b"}, "name has"), ({"architecture": "x86"}, "amd64 or aarch64"),
        ({"tags": {f"{n:0128}": "x" * 256 for n in range(50)}}, "fewer tags"),
    ):  # fmt: skip
        with pytest.raises(Invalid, match=said):
            Component(**{"name": "part", "version": "1.0.0", "place": PLACE} | changed)


@pytest.fixture(scope="module")
def delivered(model, testing, tmp_path_factory) -> tuple[Component, Path]:
    """A package that is delivered as a component."""
    component = Component("line7.Part", "1.2.0", PLACE, architecture="aarch64", gpu=True, tags={"line": "7"})
    folder = tmp_path_factory.mktemp("component") / "p"
    export_package(model, folder, golden=testing[:2], component=component)
    return component, folder


def test_a_package_carries_the_recipe_under_its_checksums(delivered, tmp_path):
    component, folder = delivered
    facts = json.loads((folder / "package.json").read_text("utf-8"))
    assert facts["component"] == component.to_dict() and "recipe.yaml" in facts["parts"]["delivery"]
    assert (folder / "recipe.yaml").read_text("utf-8") == component.recipe()
    assert "onnxruntime-gpu\n" in (folder / "requirements-gpu.txt").read_text("utf-8")
    assert "onnxruntime==" in (folder / "requirements.txt").read_text("utf-8")
    page = (folder / "README.md").read_text("utf-8")
    assert "line7.Part 1.2.0" in page and component.place in page and "onnxruntime-gpu" in page
    spoilt = shutil.copytree(folder, tmp_path / "p")
    (spoilt / "recipe.yaml").write_text("ComponentName: other\n", "utf-8")
    with pytest.raises(Invalid, match=r"recipe\.yaml was changed"):
        verify_package(spoilt)


def test_the_steps_of_a_recipe_run(delivered, tmp_path):
    """The shell runs what a device would, with Python's own environment in place of a new one."""
    component, folder = delivered
    unpacked = tmp_path / "unpacked" / "line7.Part-1.2.0"
    shutil.copytree(folder, unpacked)
    work = tmp_path / "work of it"
    (work / "venv" / "bin").mkdir(parents=True)
    (work / "venv" / "bin" / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', "utf-8")
    (work / "venv" / "bin" / "python").chmod(0o755)
    recipe = yaml.safe_load(component.recipe())
    values = {"work:path": str(work), "artifacts:decompressedPath": str(unpacked.parent),
              "configuration:/Engine": "onnxruntime", "configuration:/Threads": "1",
              "configuration:/Command": "predict", "configuration:/PipOptions": "",
              "configuration:/Requirements": "requirements.txt",
              "configuration:/Arguments": f"'{unpacked}/golden/01.png'"}  # fmt: skip
    said = []
    for step in recipe["Manifests"][0]["Lifecycle"].values():
        script = VARIABLE.sub(lambda found: values[found[1]], step["Script"])
        script = "\n".join(line for line in script.splitlines() if " -m " not in line)
        done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        said.append(json.loads(done.stdout))
    assert said[0]["holds"] is True and said[1]["source"].endswith("golden/01.png") and "score" in said[1]


def test_the_unit_is_one_that_systemd_takes(exported, tmp_path):
    text = (exported.path / "inspection.service").read_text("utf-8")
    assert "/opt/inspection/venv/bin/python -B /opt/inspection/package serve" in text
    unit = tmp_path / "inspection.service"
    unit.write_text(text.replace("/opt/inspection/venv/bin/python", sys.executable), "utf-8")
    read = configparser.ConfigParser(interpolation=None, strict=True)
    read.optionxform = str
    read.read(unit)
    assert read["Service"]["ExecStart"].split()[0] == sys.executable
    assert read["Install"]["WantedBy"] == "multi-user.target"
    program = shutil.which("systemd-analyze")
    if program is not None:  # the judge itself, on machines that have it
        done = subprocess.run([program, "verify", unit], capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0 and "inspection.service" not in done.stderr, done.stderr


def test_the_container_is_made_only_of_what_the_package_holds(exported):
    """Each instruction is one that Docker knows; what runs in it is what the package's own tests run."""
    text = (exported.path / "Dockerfile").read_text("utf-8")
    said = [tuple(line.split(" ", 1)) for line in text.splitlines() if line and not line.startswith("#")]
    assert [word for word, _ in said] == [
        "FROM", "COPY", "RUN", "COPY", "RUN", "USER", "EXPOSE", "ENTRYPOINT", "CMD",
    ]  # fmt: skip
    by_word = dict(said)
    assert said[0][1] == f"python:{sys.version_info.major}.{sys.version_info.minor}-slim"
    assert (exported.path / said[1][1].split()[0]).is_file()
    assert json.loads(by_word["ENTRYPOINT"])[-1] == "/package" == said[3][1].split()[1]
    assert json.loads(by_word["CMD"])[0] == "serve" and said[4][1].endswith("/package check")
