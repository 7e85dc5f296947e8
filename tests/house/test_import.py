"""The front door is light, complete and helpful."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest

import vision_toolkit

HEAVY = {
    "anywidget",
    "ipywidgets",
    "torch",
    "torchvision",
    "timm",
    "cv2",
    "google",
    "grpc",
    "pandas",
    "matplotlib",
    "sklearn",
    "scipy",
    "onnxruntime",
    "PIL",
    "numpy",
}
LIMIT_SECONDS = 0.15


def _in_a_fresh_process(program: str) -> dict[str, object]:
    """Run ``program``, then answer its variable ``took`` and the top-level modules that are loaded."""
    tail = "\nimport json, sys; print(json.dumps([took, sorted({name.partition('.')[0] for name in sys.modules})]))"
    command = [sys.executable, "-c", program + tail]
    took, modules = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return {"took": took, "modules": set(modules)}


IMPORT = """
import time
start = time.perf_counter()
import vision_toolkit
took = time.perf_counter() - start
"""


def test_importing_is_quick_and_loads_nothing_heavy() -> None:
    runs = [_in_a_fresh_process(IMPORT) for _ in range(4)]
    assert runs[0]["modules"] & HEAVY == set()
    assert min(run["took"] for run in runs) < LIMIT_SECONDS


def test_values_need_numpy_only() -> None:
    run = _in_a_fresh_process("import vision_toolkit as vt; took = 0; vt.Entry, vt.Mask, vt.Prediction, vt.Settings")
    assert run["modules"] & HEAVY == {"numpy"}


def test_listing_the_names_loads_nothing() -> None:
    run = _in_a_fresh_process("import vision_toolkit as vt; took = 0; assert 'train' in dir(vt) and 'plots' in dir(vt)")
    assert run["modules"] & HEAVY == set()


@pytest.mark.parametrize("name", vision_toolkit.__all__)
def test_every_name_leads_somewhere(name: str) -> None:
    value = getattr(vision_toolkit, name)
    if name != "__version__":
        module, _, attribute = vision_toolkit._NAMES[name].partition(":")
        assert value is getattr(importlib.import_module(module), attribute)
        assert attribute == name


@pytest.mark.parametrize("name", vision_toolkit.__all__)
def test_functions_of_the_front_door_take_two_arguments_by_position(name: str) -> None:
    value = getattr(vision_toolkit, name)
    if inspect.isfunction(value):
        parameters = inspect.signature(value).parameters.values()
        most = 3 if name == "compare" else 2  # two models and what they are judged on
        assert sum(one.kind is one.POSITIONAL_OR_KEYWORD for one in parameters) <= most


def test_the_rooms_are_there_by_name() -> None:
    program = "import vision_toolkit as vt; took = 0; assert vt.core.__name__ == 'vision_toolkit.core'"
    assert "vision_toolkit" in _in_a_fresh_process(program)["modules"]


def test_a_wrong_name_is_told_the_right_one() -> None:
    with pytest.raises(AttributeError, match=r"no 'trian'; did you mean 'train'\?"):
        vision_toolkit.trian  # noqa: B018 - looking is the test
    with pytest.raises(AttributeError, match=r"no 'qqqq'; there are: .*Entry.*train_test_split"):
        vision_toolkit.qqqq  # noqa: B018


def test_type_checkers_and_people_see_the_same_names() -> None:
    """The imports for the type checker, the table and ``__all__`` say the same."""
    tree = ast.parse(Path(vision_toolkit.__file__).read_text(encoding="utf-8"))
    typed = {
        alias.name: f"{node.module}:{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("vision_toolkit")
        for alias in node.names
    }
    assert typed == vision_toolkit._NAMES
    assert sorted([*typed, "__version__"]) == sorted(vision_toolkit.__all__)
