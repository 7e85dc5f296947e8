"""Who may import whom. The whole house plan is the few tables below; the rest reads imports and compares.

Imports are read with ``ast``, wherever they stand: at the top, inside functions, under ``TYPE_CHECKING``, relative
or absolute, or as a registry's string ``"vision_toolkit.room.module:attribute"``.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PACKAGE = "vision_toolkit"
SOURCES = Path(__file__).parents[2] / PACKAGE

FLOORS = (
    {"core"},
    {"data"},
    {"metrics", "plots"},
    {"curation"},
    {"models"},
    {"analysis"},
    {"workspace"},
    {"services", "widgets"},
    {"app"},
)
LEVEL = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}

# Foreign packages and the only places that may know them: prefixes of paths below the package.
DOORS = {
    "torch": ("models/", "analysis/engines/"),
    "torchvision": ("models/", "analysis/engines/"),
    "timm": ("models/", "analysis/engines/"),
    "PIL": ("data/", "plots/", "models/runtime.py", "models/station/"),
    "msgspec": ("data/jsonlines.py", "data/usual.py", "services/"),
    "sqlalchemy": ("workspace/records/",),
    "alembic": ("workspace/records/",),
    "ray": ("workspace/runners/ray.py",),
    "grpc": ("services/edge/",),
    "google": ("services/edge/",),  # protobuf
    "openvino": ("models/runtime.py",),
    # Loading a file must never run what is in it.
    "pickle": (),
    "cloudpickle": (),
    "dill": (),
    "joblib": (),
    "marshal": (),
    "shelve": (),
}
# Heavy: imported inside functions, or for the type checker only.
LAZY = {"matplotlib", "pandas", "openvino"}
# In these methods a value may show itself, with what stands above or outside its room.
SHOWING = re.compile(r"show|to_frame|_repr_\w+_")
SHOWN_WITH = (f"{PACKAGE}.plots", f"{PACKAGE}.data.images", "pandas")
# These are copied into every package that leaves the house, so they know nobody there.
STAND_ALONE = {
    "models/runtime.py": {"numpy", "onnxruntime", "PIL", "openvino"},
    "models/station/": {"numpy", "PIL"},
}

REGISTRY_STRING = re.compile(rf"{PACKAGE}(\.\w+)+(:\w+(\.\w+)*)?")
# Names of entry point groups, under which other packages register: they look like modules, but are none.
GROUPS = {f"{PACKAGE}.formats"}


@dataclass(frozen=True)
class Import:
    """One thing that a file imports, by its full dotted name, and where the import stands."""

    name: str
    line: int
    on_load: bool = True  # runs when the module is imported
    for_types: bool = False  # under `if TYPE_CHECKING`
    showing: bool = False  # inside a method that shows its object
    relative: bool = False  # beginning with a dot

    @property
    def top(self) -> str:
        return self.name.partition(".")[0]

    @property
    def room(self) -> str:
        """The room it belongs to; empty for the package itself and for foreign things."""
        parts = self.name.split(".")
        return parts[1] if parts[0] == PACKAGE and len(parts) > 1 else ""


def read_imports(source: str, *, module: str, is_package: bool) -> list[Import]:
    """Read every import of a file whose dotted name is ``module``."""
    return list(_walk(ast.parse(source), module.split(".") if is_package else module.split(".")[:-1], {}))


def _walk(node: ast.AST, package: list[str], where: dict[str, bool], in_class: bool = False) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        here = where
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            shows = in_class and bool(SHOWING.fullmatch(child.name))
            here = where | {"on_load": False, "showing": where.get("showing", False) or shows}
        elif isinstance(child, ast.Lambda):
            here = where | {"on_load": False}
        relative = isinstance(child, ast.ImportFrom) and child.level > 0
        yield from (Import(name, child.lineno, relative=relative, **here) for name in _names(child, package))
        if isinstance(child, ast.If) and _is_type_checking(child.test):
            typing = ast.Module(child.body, [])
            yield from _walk(typing, package, here | {"on_load": False, "for_types": True})
            yield from _walk(ast.Module(child.orelse, []), package, here)
        else:
            yield from _walk(child, package, here, isinstance(child, ast.ClassDef))


def _is_type_checking(test: ast.expr) -> bool:
    return ast.unparse(test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}


def _names(node: ast.AST, package: list[str]) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = package[: len(package) - node.level + 1] if node.level else []
        start = ".".join([*base, *([node.module] if node.module else [])])
        return [f"{start}.{alias.name}" for alias in node.names]
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in GROUPS:
        return []
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and REGISTRY_STRING.fullmatch(node.value):
        return [node.value.replace(":", ".")]
    return []


def check(root: Path) -> list[str]:
    """Return every breach of the plan below the package folder ``root``, one sentence each."""
    breaches = []
    for file in sorted(root.rglob("*.py")):
        path = file.relative_to(root).as_posix()
        parts = path.removesuffix(".py").split("/")
        is_package = parts[-1] == "__init__"
        module = ".".join([PACKAGE, *(parts[:-1] if is_package else parts)])
        for one in read_imports(file.read_text(encoding="utf-8"), module=module, is_package=is_package):
            says = _judge(one, path)
            if says:
                breaches.append(f"{path}:{one.line}: {says}")
        if path not in {"__init__.py", "__main__.py"} and path.split("/")[0] not in LEVEL:
            breaches.append(f"{path}: there is no room {parts[0]!r}; there are: {', '.join(LEVEL)}")
    return breaches


def _judge(one: Import, path: str) -> str | None:
    """Say which rule an import breaks, or None."""
    if one.showing and any(one.name == ok or one.name.startswith(f"{ok}.") for ok in SHOWN_WITH):
        return None
    return _judge_own(one, path) if one.top == PACKAGE else _judge_foreign(one, path)


def _judge_own(one: Import, path: str) -> str | None:
    own = "app" if path == "__main__.py" else "" if path == "__init__.py" else path.split("/")[0]
    if _alone(path) is not None:
        if one.relative and one.name.startswith(f"{PACKAGE}.models.station"):
            return None
        return f"{path} stands alone and may not import {one.name}"
    if one.name == f"{PACKAGE}.__version__" or (own == "app" and one.name == PACKAGE):
        return None  # the roof may use the front door like anybody outside
    if not one.room:
        return f"a room imports other rooms by name, not the front door {PACKAGE}"
    if one.room not in LEVEL:
        return f"there is no room {one.room!r} (in {one.name}); there are: {', '.join(LEVEL)}"
    if own == "":  # the front door leads everywhere, the roof too: a name there is loaded when first used
        return None
    if own not in LEVEL or one.room == own or LEVEL[one.room] < LEVEL[own]:
        return None
    if one.room == "app":
        return "nothing imports app"
    if LEVEL[one.room] == LEVEL[own]:
        return f"{own} and {one.room} stand on one floor and do not know each other ({one.name})"
    return f"imports only go down: {own} may not import {one.name}"


def _alone(path: str) -> set[str] | None:
    """Return what a file that stands alone may import besides the standard library; None of any other file."""
    return next((known for place, known in STAND_ALONE.items() if path.startswith(place)), None)


def _judge_foreign(one: Import, path: str) -> str | None:
    if one.top == "__future__":
        return None
    alone = _alone(path)
    if alone is not None and one.top not in alone | sys.stdlib_module_names:
        return f"{path} stands alone and may not import {one.top}"
    if one.top in DOORS and not path.startswith(DOORS[one.top] or "\0"):
        return f"{one.top} may be imported in {', '.join(DOORS[one.top]) or 'no place'} only"
    if one.top in LAZY:
        if one.on_load:
            return f"{one.top} is heavy: import it inside the function that needs it"
        if one.for_types:
            return None
    if path.startswith("core/") and one.top != "numpy" and one.top not in sys.stdlib_module_names:
        return f"core knows the standard library and numpy only, not {one.top}"
    return None


def test_the_house_keeps_its_plan() -> None:
    assert check(SOURCES) == []


# The guard is itself guarded: each rule has an example that it must catch, and one that it must let pass.

CAUGHT = {
    "upwards": ("core/x.py", "import vision_toolkit.data.images", "imports only go down"),
    "upwards-from": ("data/x.py", "from vision_toolkit.models.train import train", "imports only go down"),
    "upwards-room-as-name": ("data/x.py", "from vision_toolkit import models", "imports only go down"),
    "upwards-relative": ("data/x.py", "from ..models import train", "imports only go down"),
    "upwards-relative-room": ("data/formats/x.py", "from ... import models", "imports only go down"),
    "upwards-relative-in-package": ("data/__init__.py", "from ..metrics.counts import f", "imports only go down"),
    "upwards-in-function": ("core/x.py", "def f():\n    import vision_toolkit.data", "imports only go down"),
    "upwards-for-types": (
        "data/x.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from vision_toolkit.models.model import Model",
        "imports only go down",
    ),
    "upwards-string": ("metrics/x.py", "M = {'a': 'vision_toolkit.models.memory:Memory'}", "imports only go down"),
    "upwards-string-module": ("data/x.py", "import_module('vision_toolkit.models.train')", "imports only go down"),
    "same-floor": ("metrics/x.py", "from vision_toolkit.plots import overlay", "stand on one floor"),
    "same-floor-other-way": ("plots/x.py", "from ..metrics import counts", "stand on one floor"),
    "same-floor-high": ("widgets/x.py", "import vision_toolkit.services.http", "stand on one floor"),
    "app": ("services/x.py", "from vision_toolkit.app import cli", "nothing imports app"),
    "front-door": ("models/x.py", "import vision_toolkit as vt", "not the front door"),
    "front-door-name": ("models/x.py", "from vision_toolkit import Entry", "no room 'Entry'"),
    "unknown-room": ("data/x.py", "import vision_toolkit.helpers", "no room 'helpers'"),
    "unknown-folder": ("helpers/x.py", "", "no room 'helpers'"),
    "loose-module": ("helpers.py", "", "no room 'helpers'"),
    "show-in-function": ("data/x.py", "def show():\n    from vision_toolkit import plots", "imports only go down"),
    "show-too-much": (
        "metrics/x.py",
        "class A:\n    def show(self):\n        from vision_toolkit.models import train",
        "imports only go down",
    ),
    "other-method": (
        "core/x.py",
        "class A:\n    def draw(self):\n        import vision_toolkit.plots",
        "imports only go down",
    ),
    "near-name": (
        "core/x.py",
        "class A:\n    def show(self):\n        import vision_toolkit.data.images2",
        "imports only go down",
    ),
    "torch": ("metrics/x.py", "import torch.nn", "torch may be imported in"),
    "torch-in-function": ("curation/x.py", "def f():\n    from torch import nn", "torch may be imported in"),
    "torchvision": ("data/x.py", "import torchvision", "torchvision may be imported in"),
    "timm": ("plots/x.py", "import timm", "timm may be imported in"),
    "pillow": ("metrics/x.py", "from PIL import Image", "PIL may be imported in"),
    "pillow-in-models": ("models/train.py", "from PIL import Image", "PIL may be imported in"),
    "msgspec": ("data/manifest.py", "import msgspec", "msgspec may be imported in"),
    "sqlalchemy": ("workspace/jobs.py", "import sqlalchemy.orm", "sqlalchemy may be imported in"),
    "pickle": ("models/x.py", "import pickle", "pickle may be imported in no place"),
    "joblib": ("models/x.py", "from joblib import load", "joblib may be imported in no place"),
    "matplotlib-on-load": ("plots/x.py", "import matplotlib.pyplot as plt", "matplotlib is heavy"),
    "pandas-on-load": ("data/x.py", "try:\n    import pandas as pd\nexcept ImportError:\n    pd = None", "is heavy"),
    "pandas-in-class-body": ("data/x.py", "class A:\n    import pandas", "is heavy"),
    "core-foreign": ("core/x.py", "import scipy", "standard library and numpy only"),
    "core-pandas": ("core/x.py", "def f():\n    import pandas", "standard library and numpy only"),
    "runtime-own": ("models/runtime.py", "from vision_toolkit.core import Mask", "stands alone"),
    "runtime-own-string": ("models/runtime.py", "X = 'vision_toolkit.core.mask:Mask'", "stands alone"),
    "runtime-foreign": ("models/runtime.py", "import scipy", "stands alone"),
    "runtime-openvino-on-load": ("models/runtime.py", "import openvino", "openvino is heavy"),
    "openvino": ("models/train.py", "def f():\n    import openvino", "openvino may be imported in"),
    "station-own": ("models/station/x.py", "from vision_toolkit.models.station import files", "stands alone"),
    "station-runtime": ("models/station/x.py", "from .. import runtime", "stands alone"),
    "station-foreign": ("models/station/x.py", "def f():\n    import yaml", "stands alone"),
    "runtime-torch": ("models/runtime.py", "import torch", "stands alone"),
}

PASSED = {
    "down": ("models/x.py", "from vision_toolkit.metrics.evaluation import Evaluation\nimport vision_toolkit.core"),
    "own-room": ("metrics/x.py", "from .counts import f\nfrom vision_toolkit.metrics import g\nfrom . import h"),
    "room-as-name": ("models/x.py", "from vision_toolkit import data, metrics"),
    "string-down": ("models/x.py", "E = {'memory': 'vision_toolkit.models.memory:Memory'}"),
    "string-in-words": ("core/x.py", "'''See vision_toolkit.models for more.'''"),
    "version": ("models/x.py", "from vision_toolkit import __version__"),
    "roof": ("app/x.py", "from vision_toolkit import services, widgets, core"),
    "roof-by-front-door": ("app/cli.py", "import vision_toolkit as vt"),
    "main": ("__main__.py", "from vision_toolkit.app.cli import main"),
    "front-door": ("__init__.py", "N = {'train': 'vision_toolkit.models.train:train'}"),
    "front-door-to-roof": ("__init__.py", "N = {'serve': 'vision_toolkit.app.server:serve'}"),
    "show": (
        "core/x.py",
        """
class A:
    def show(self):
        from vision_toolkit.plots import overlay
    def _repr_html_(self):
        from vision_toolkit.data.images import encode_png
    def to_frame(self):
        import pandas as pd
""",
    ),
    "pandas-for-types": ("core/x.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import pandas as pd"),
    "pandas-in-function": ("metrics/x.py", "def f():\n    import pandas as pd"),
    "doors": ("models/backbone.py", "import torch, torchvision, timm"),
    "engine": ("analysis/engines/x.py", "import torch"),
    "pillow": ("data/images.py", "from PIL import Image"),
    "msgspec": ("data/jsonlines.py", "import msgspec"),
    "runtime": ("models/runtime.py", "import json\nimport numpy as np\nimport onnxruntime\nfrom PIL import Image"),
    "station": ("models/station/x.py", "import json\nimport numpy\nfrom . import files\nfrom .files import f"),
    "runtime-openvino": ("models/runtime.py", "def f():\n    import openvino"),
    "core": ("core/x.py", "from __future__ import annotations\nimport os.path\nimport numpy.typing as npt"),
}


def _tree(folder: Path, path: str, source: str) -> Path:
    file = folder / PACKAGE / path
    file.parent.mkdir(parents=True)
    file.write_text(source, encoding="utf-8")
    return folder / PACKAGE


@pytest.mark.parametrize(("path", "source", "says"), CAUGHT.values(), ids=CAUGHT)
def test_a_breach_is_caught(tmp_path: Path, path: str, source: str, says: str) -> None:
    breaches = check(_tree(tmp_path, path, source))
    assert len(breaches) == 1
    assert breaches[0].startswith(path)
    assert says in breaches[0]


@pytest.mark.parametrize(("path", "source"), PASSED.values(), ids=PASSED)
def test_what_is_allowed_passes(tmp_path: Path, path: str, source: str) -> None:
    assert check(_tree(tmp_path, path, source)) == []


def test_each_breach_of_a_file_is_told_with_its_line(tmp_path: Path) -> None:
    source = "import numpy\nimport torch\n\ndef f():\n    from vision_toolkit import app\n"
    breaches = check(_tree(tmp_path, "data/x.py", source))
    assert [breach.split(" ")[0] for breach in breaches] == ["data/x.py:2:", "data/x.py:5:"]
