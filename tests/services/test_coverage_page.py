"""docs/COVERAGE.md says what the operations say, and what is implemented is found out, not claimed."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from vision_toolkit.services.lookout import LookoutVision, Work
from vision_toolkit.services.oci import OciVision
from vision_toolkit.services.oci.later import LATER

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("coverage_page", ROOT / "scripts" / "coverage_page.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_up_to_date(maker: ModuleType) -> None:
    assert maker.PAGE.read_text(encoding="utf-8") == maker.page(), "run: make docs"


def test_every_operation_has_one_row(maker: ModuleType) -> None:
    every = [*LookoutVision.operations(), *OciVision.operations(), *LATER]
    assert re.findall(r"^\| `(\w+)` \| [A-Z]+ `", maker.page(), re.MULTILINE) == every


def test_what_oci_has_and_is_not_built_is_said_so(maker: ModuleType) -> None:
    rows = [row for row in maker.oci_rows() if row.endswith("| no |")]
    assert len(rows) == len(LATER) and all("501" in row for row in rows)
    assert f"{len(OciVision.operations())} of {len(OciVision.operations()) + len(LATER)} operations" in maker.page()


def test_no_row_is_broken(maker: ModuleType) -> None:
    for table in re.findall(r"(?:^\|.*\n)+", maker.page(), re.MULTILINE):
        assert len({row.count("|") for row in table.splitlines()}) == 1


class Half(Work):
    def create_project(self, project: str) -> Any:
        return {"ProjectMetadata": {"ProjectName": project}}

    def delete_project(self, project: str) -> Any:
        """Refuse."""
        raise NotImplementedError(project)


def test_only_what_does_something_counts(maker: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Half not in maker.classes_that_work(Work)  # it is not of the package
    monkeypatch.setattr(maker, "classes_that_work", lambda base: [Half])
    done = {name for name in LookoutVision.operations() if maker.is_implemented(name, Work)}
    assert done == {"create_project"}
