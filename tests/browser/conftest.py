"""One Chromium for all tests of this folder."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


def _load(name: str) -> ModuleType:
    # Test files are imported one by one, so this folder is no package.
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
        assert spec is not None and spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


_harness = _load("harness")
_lookout_rules = _load("lookout_rules")


@pytest.fixture(scope="session")
def harness() -> ModuleType:
    return _harness


@pytest.fixture(scope="session")
def lookout_rules() -> ModuleType:
    return _lookout_rules


@pytest.fixture(scope="session")
def chromium(harness: ModuleType) -> Iterator[Any]:
    with harness.chromium() as browser:
        yield browser
