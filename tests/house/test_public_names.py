"""Every public name is typed, documented and listed in public_names.json.

The list makes a change of the public face visible in a review. After a wanted change: ``make inventory``.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

PACKAGE = "vision_toolkit"
ROOT = Path(__file__).parents[2]
INVENTORY = Path(__file__).with_name("public_names.json")


def module_names() -> list[str]:
    """Return the dotted names of all modules but those that a leading underscore marks as private."""
    names = []
    for file in sorted((ROOT / PACKAGE).rglob("*.py")):
        parts = [part for part in file.relative_to(ROOT).with_suffix("").parts if part != "__init__"]
        if not any(part.startswith("_") for part in parts):
            names.append(".".join(parts))
    return sorted(names)


def public_names() -> dict[str, list[str]]:
    """Return what each module offers."""
    offers = {name: sorted(getattr(importlib.import_module(name), "__all__", [])) for name in module_names()}
    return {name: names for name, names in offers.items() if names}


def complaints(module: ModuleType) -> list[str]:
    """Return what is wrong in a module: docstrings, types, ``__all__``."""
    says = []
    if problem := _docstring_problem(module.__doc__):
        says.append(f"the module {problem}")
    names = getattr(module, "__all__", None)
    if names is None and _defines_something(module):
        says.append("the module has no __all__")
    for name in names or ():
        if not hasattr(module, name):
            says.append(f"{name} is in __all__ but not in the module")
            continue
        says += [f"{name} {problem}" for problem in _problems(module, name)]
    return says


def _defines_something(module: ModuleType) -> bool:
    return any(
        getattr(value, "__module__", None) == module.__name__ and not name.startswith("_")
        for name, value in vars(module).items()
        if inspect.isclass(value) or inspect.isfunction(value)
    )


def _problems(module: ModuleType, name: str) -> Iterator[str]:
    value = getattr(module, name)
    if name == "__version__" or inspect.ismodule(value):
        return
    if not (inspect.isclass(value) or inspect.isroutine(value)):
        yield from _constant_problems(module, name, value)
        return
    if value.__module__ != module.__name__:
        return  # offered again: looked at where it is written
    if problem := _docstring_problem(value.__doc__):
        yield problem
    if inspect.isclass(value):
        for member, written in vars(value).items():
            function = written.fget if isinstance(written, property) else getattr(written, "__func__", written)
            # What dataclasses generate has no file, and gets its types from the fields.
            is_ours = inspect.isfunction(function) and function.__code__.co_filename == module.__file__
            if is_ours and (not member.startswith("_") or member == "__init__"):
                yield from (f".{member} {problem}" for problem in _type_problems(function))
    else:
        yield from _type_problems(value)


def _constant_problems(module: ModuleType, name: str, value: object) -> Iterator[str]:
    """Look for the string below ``NAME = ...``; an alias of a type speaks for itself."""
    if typing.get_origin(value) is not None or isinstance(value, typing.TypeAliasType if _HAS_ALIAS else ()):
        return
    body = ast.parse(inspect.getsource(module)).body
    for node, after in zip(body, [*body[1:], None], strict=True):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            says = after.value if isinstance(after, ast.Expr) else None
            text = says.value if isinstance(says, ast.Constant) and isinstance(says.value, str) else None
            if problem := _docstring_problem(text):
                yield f"{problem} (a string below the assignment)"


_HAS_ALIAS = hasattr(typing, "TypeAliasType")


def _docstring_problem(text: str | None) -> str | None:
    if not text or not text.strip():
        return "has no docstring"
    first = inspect.cleandoc(text).splitlines()[0]
    return None if first.endswith(".") else f"has a docstring whose first line does not end with a period: {first!r}"


def _type_problems(function: object) -> Iterator[str]:
    signature = inspect.signature(function)
    parameters = [one for one in signature.parameters.values() if one.name not in {"self", "cls"}]
    for parameter in parameters:
        if parameter.annotation is parameter.empty:
            yield f"has no type for {parameter.name!r}"
    if signature.return_annotation is signature.empty:
        yield "has no return type"


@pytest.mark.parametrize("name", module_names())
def test_public_names_are_typed_and_documented(name: str) -> None:
    assert complaints(importlib.import_module(name)) == []


def test_the_inventory_is_up_to_date() -> None:
    listed = json.loads(INVENTORY.read_text(encoding="utf-8"))
    assert listed == public_names(), "The public names changed. If you meant it: make inventory, and the changelog."


UNDOCUMENTED = '''
"""A module."""
__all__ = ["A", "LIMIT", "Alias", "f", "g", "missing"]
Alias = tuple[int, int]
LIMIT = 3
def f(x, *, y: int):
    """Does without a period"""
def g(x: int) -> int:
    """Return x."""
class A:
    def __init__(self, z) -> None: ...
    @property
    def size(self):
        return 1
    @classmethod
    def make(cls, z: int) -> "A": ...
'''


def test_what_is_missing_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "made_up_module.py").write_text(UNDOCUMENTED, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("made_up_module")
    sys.modules.pop("made_up_module")
    assert complaints(module) == [
        "A has no docstring",
        "A .__init__ has no type for 'z'",
        "A .size has no return type",
        "LIMIT has no docstring (a string below the assignment)",
        "f has a docstring whose first line does not end with a period: 'Does without a period'",
        "f has no type for 'x'",
        "f has no return type",
        "missing is in __all__ but not in the module",
    ]


def test_a_module_without_docstring_or_list_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "made_up_other.py").write_text("def f() -> None: ...\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("made_up_other")
    sys.modules.pop("made_up_other")
    assert complaints(module) == ["the module has no docstring", "the module has no __all__"]


if __name__ == "__main__":
    INVENTORY.write_text(json.dumps(public_names(), indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(f"{INVENTORY.name}: {sum(map(len, public_names().values()))} names\n")
