"""The files around the package agree with each other and with where the project may go."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
import warnings
from datetime import date
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import nbformat
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

import vision_toolkit

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
MAX_FILE_KB = 1500
MAX_NOTEBOOK_KB = 300
# Larger files that earn their place: path -> why.
LARGE: dict[str, str] = {"vision_toolkit/models/backbone.onnx": "what every training sees through, in half precision"}


@cache
def project_files() -> list[Path]:
    """Return what is in the repository or would be with the next commit."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    return sorted(file for file in {ROOT / name for name in listed if name} if file.is_file())


def test_the_file_list_sees_this_file() -> None:
    assert Path(__file__) in project_files()


# --- dependencies ---------------------------------------------------------------------------------------------


def requirements() -> list[Requirement]:
    """Return every direct dependency, of the base and of the extras, and of the build."""
    extras = PROJECT["optional-dependencies"]
    texts = PROJECT["dependencies"] + [text for extra in extras.values() for text in extra]
    return [one for one in map(Requirement, texts) if one.name != PROJECT["name"]]


def pins() -> dict[str, Version]:
    """Return the versions that constraints.txt names; each line must be a plain ``name==version``."""
    found = {}
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            match = re.fullmatch(r"([A-Za-z0-9._-]+)==([A-Za-z0-9.!+_-]+)", line)
            assert match, f"constraints.txt holds names and versions only, not {line!r}"
            found[canonicalize_name(match[1])] = Version(match[2])
    return found


@pytest.mark.parametrize("requirement", sorted({str(one) for one in requirements()}))
def test_each_dependency_has_a_floor_and_a_pin_above_it(requirement: str) -> None:
    one = Requirement(requirement)
    assert any(bound.operator == ">=" for bound in one.specifier), "say the lowest version that works"
    assert one.specifier.contains(pins()[canonicalize_name(one.name)])


def test_dependencies_are_sorted() -> None:
    for texts in [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]:
        if len(texts) > 1:
            names = [canonicalize_name(Requirement(text).name) for text in texts]
            assert names == sorted(names)


def test_all_holds_every_extra_that_users_need() -> None:
    extras = PROJECT["optional-dependencies"]
    (everything,) = map(Requirement, extras["all"])
    assert everything.name == PROJECT["name"]
    assert everything.extras == set(extras) - {"all", "test"}


def test_conda_makes_the_same_environment() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert environment["name"] == PROJECT["name"]
    plain = [one for one in environment["dependencies"] if isinstance(one, str)]
    (pip,) = [one["pip"] for one in environment["dependencies"] if isinstance(one, dict)]
    (python,) = [one.removeprefix("python") for one in plain if one.startswith("python")]
    assert SpecifierSet(python) == SpecifierSet(PROJECT["requires-python"])
    assert "pip" in plain
    assert pip == ["-e .[all]"]


def test_everything_that_is_imported_is_a_declared_dependency() -> None:
    declared = {canonicalize_name(one.name) for one in requirements()}
    providers = packages_distributions()
    undeclared = {}
    for file in (ROOT / "vision_toolkit").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            for name in {name.partition(".")[0] for name in names} - {"vision_toolkit"} - sys.stdlib_module_names:
                if not {canonicalize_name(one) for one in providers.get(name, [name])} & declared:
                    undeclared[name] = file.relative_to(ROOT).as_posix()
    assert undeclared == {}


def test_the_base_needs_no_torch() -> None:
    names = {canonicalize_name(Requirement(text).name) for text in PROJECT["dependencies"]}
    assert names & {"torch", "torchvision", "timm", "opencv-python", "opencv-python-headless"} == set()


# --- what may be in the repository ----------------------------------------------------------------------------

# In pieces, so that this file does not find itself.
FORBIDDEN = [
    re.compile(pattern)
    for pattern in (
        "/" + r"(home|Users)/[A-Za-z0-9_]+/",
        "/" + r"root/",
        "/" + r"work/(main|shared)",
        r"--?(extra-)?index" + "-url",
        r"https?://(files|registry|deb|security|pypi)" + r"\.",
        r'"resolved": *"' + "http",
    )
]


def forbidden_lines(file: Path) -> list[str]:
    """Return the lines that name this machine or a package host."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        return []  # not text
    patterns = [*FORBIDDEN, re.compile(re.escape(f"{ROOT.parent}{os.sep}"))] if ROOT.parent != Path("/") else FORBIDDEN
    return [
        f"{file.name}:{n}: {line[:120]}" for n, line in enumerate(lines, 1) if any(p.search(line) for p in patterns)
    ]


def test_no_file_names_a_machine_or_a_package_host() -> None:
    assert [line for file in project_files() for line in forbidden_lines(file)] == []


@pytest.mark.parametrize(
    "line",
    [
        "/ho" + "me/ann/x",
        "/U" + "sers/ann/x",
        str(ROOT / "x"),
        "pip install --index" + "-url x",
        "https://py" + "pi.org/",
    ],
)
def test_a_machine_or_host_is_caught(tmp_path: Path, line: str) -> None:
    file = tmp_path / "x.txt"
    file.write_text(f"fine: s3://bucket/a.png\n{line}\n", encoding="utf-8")
    assert [says.split(": ")[0] for says in forbidden_lines(file)] == ["x.txt:2"]


def test_no_file_is_large() -> None:
    sizes = {file.relative_to(ROOT).as_posix(): file.stat().st_size / 1000 for file in project_files()}
    large = {name for name, size in sizes.items() if size > MAX_FILE_KB}
    assert large == set(LARGE), (
        f"At most {MAX_FILE_KB} kB a file; what must be larger is named in LARGE with its reason."
    )


def test_versions_and_entry_point_agree() -> None:
    assert Version(vision_toolkit.__version__).public == vision_toolkit.__version__
    assert PROJECT["scripts"] == {"vision-toolkit": "vision_toolkit.app.cli:main"}


def test_a_warning_in_our_code_is_an_error() -> None:
    ours = {"__name__": "vision_toolkit.made.up"}
    with pytest.raises(UserWarning, match="made up"):
        exec("import warnings; warnings.warn('made up')", ours)
    with warnings.catch_warnings(record=True) as caught:
        exec("import warnings; warnings.warn('made up')", {"__name__": "somebody.elses"})
    assert len(caught) == 1


# --- changelog ------------------------------------------------------------------------------------------------

SECTIONS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_changelog_keeps_its_form() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert text.startswith("# Changelog\n")
    heads = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert heads[0] == "[Unreleased]"
    releases = [re.fullmatch(r"\[(\d+\.\d+\.\d+)\] - (\d{4}-\d{2}-\d{2})", head) for head in heads[1:]]
    assert all(releases), heads
    versions = [Version(release[1]) for release in releases]
    assert versions == sorted(set(versions), reverse=True)
    assert all(date.fromisoformat(release[2]) for release in releases)
    assert set(re.findall(r"^### (.*)$", text, re.MULTILINE)) <= SECTIONS
    assert re.search(r"^## \[Unreleased\]\n\n### \w+\n\n- ", text, re.MULTILINE)


# --- notebooks ------------------------------------------------------------------------------------------------


def notebook_problems(file: Path) -> list[str]:
    """Return what keeps a notebook from being shipped."""
    notebook = nbformat.read(file, as_version=4)
    problems = []
    if notebook.metadata.get("kernelspec", {}).get("name") != "python3":
        problems.append("its kernel is not python3")
    if not notebook.cells or notebook.cells[0].cell_type != "markdown":
        problems.append("it does not begin with words")
    if file.stat().st_size > MAX_NOTEBOOK_KB * 1000:
        problems.append(f"it is larger than {MAX_NOTEBOOK_KB} kB")
    for number, cell in enumerate(notebook.cells):
        failed = any(output.output_type == "error" for output in cell.get("outputs", []))
        if failed and not {"raises-exception", "nbval-raises-exception"} & set(cell.metadata.get("tags", [])):
            problems.append(f"cell {number} shows an error")
    normalise = ["-m", "nbstripout", "--keep-output", "--keep-count", "--keep-id", "--verify", str(file)]
    if subprocess.run([sys.executable, *normalise], capture_output=True, check=False).returncode:
        problems.append("it is not normalised (nbstripout --keep-output --keep-count --keep-id)")
    return problems


def test_notebooks_are_fit_to_ship() -> None:
    notebooks = [file for file in project_files() if file.suffix == ".ipynb"]
    assert {file.name: notebook_problems(file) for file in notebooks} == {file.name: [] for file in notebooks}


def _notebook(folder: Path) -> tuple[Path, nbformat.NotebookNode]:
    cells = [nbformat.v4.new_markdown_cell("# Words"), nbformat.v4.new_code_cell("1 / 0", execution_count=1)]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return folder / "x.ipynb", nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})


def test_a_good_notebook_passes(tmp_path: Path) -> None:
    file, notebook = _notebook(tmp_path)
    nbformat.write(notebook, file)
    assert notebook_problems(file) == []


def test_a_bad_notebook_is_caught(tmp_path: Path) -> None:
    file, notebook = _notebook(tmp_path)
    notebook.metadata.kernelspec.name = "my-env"
    notebook.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": {"state": {}, "version_major": 2}}
    notebook.cells[1].outputs = [nbformat.v4.new_output("error", ename="E", evalue="x" * 310_000, traceback=[])]
    del notebook.cells[0]
    nbformat.write(notebook, file)
    problems = " ".join(notebook_problems(file))
    for words in ("kernel", "begin with words", "larger", "cell 0 shows an error", "not normalised"):
        assert words in problems
