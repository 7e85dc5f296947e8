"""scripts/venv.sh says in one sentence what is missing, and does nothing twice."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "venv.sh"
# Commands that the script itself needs; Python must come from the test.
COMMANDS = ("sh", "sed", "cat", "cksum", "dirname", "tee", "grep", "head", "rm", "echo", "mkdir", "touch", "chmod")

# Stands for a Python: which questions it answers well is written by each test.
FAKE = """#!/bin/sh
case "$*" in
    *'import ensurepip'*) exit {venv} ;;
    *'version_info < '*) exit {version} ;;
    *version_info*) echo 3.12 ;;
    *'-m venv'*) mkdir -p .venv/bin && cat "$0" >.venv/bin/python && chmod +x .venv/bin/python ;;
    *'-m pip --version'*) exit 0 ;;
    *'-m pip install'*) echo "$*" >>calls.txt; {install} ;;
esac
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Give a project with the script in it, and a PATH without any Python."""
    (tmp_path / "scripts").mkdir()
    (tmp_path / "path").mkdir()
    shutil.copy(SCRIPT, tmp_path / "scripts")
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / "constraints.txt").write_text("")
    for command in COMMANDS:
        (tmp_path / "path" / command).symlink_to(shutil.which(command) or "")
    return tmp_path


def fake(tree: Path, name: str, *, version: int = 0, venv: int = 0, install: str = "exit 0") -> None:
    file = tree / "path" / name
    file.write_text(FAKE.format(version=version, venv=venv, install=install))
    file.chmod(0o755)


def run(tree: Path, extras: str = "torch", **environment: str) -> subprocess.CompletedProcess[str]:
    command = ["sh", str(tree / "scripts" / "venv.sh"), extras]
    environment = {"PATH": str(tree / "path"), **environment}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def calls(tree: Path) -> int:
    return len((tree / "calls.txt").read_text().splitlines())


def one_sentence(answer: subprocess.CompletedProcess[str]) -> str:
    assert answer.returncode == 1
    assert answer.stderr.count("\n") == 1, answer.stderr
    return answer.stderr


def test_no_python(tree: Path) -> None:
    assert "No Python 3.11 or newer was found" in one_sentence(run(tree))


def test_only_an_old_python(tree: Path) -> None:
    fake(tree, "python3", version=1)
    assert "No Python 3.11 or newer was found" in one_sentence(run(tree))


def test_a_python_named_that_is_none(tree: Path) -> None:
    fake(tree, "python3")
    assert "PYTHON=/bin/false is not a Python 3.11" in one_sentence(run(tree, PYTHON="/bin/false"))
    assert not (tree / ".venv").exists()


def test_a_python_without_venv(tree: Path) -> None:
    fake(tree, "python3.12", venv=1)
    assert "sudo apt install python3.12-venv" in one_sentence(run(tree))


def test_a_python_with_venv_is_taken_before_one_without(tree: Path) -> None:
    fake(tree, "python3.12", venv=1)
    fake(tree, "python3")
    answer = run(tree)
    assert answer.returncode == 0, answer.stderr
    assert "Making .venv with python3 " in answer.stdout


def test_a_failing_pip(tree: Path) -> None:
    fake(tree, "python3", install="echo 'ERROR: No space left on device'; exit 2")
    assert "(No space left on device)" in one_sentence(run(tree))
    assert "ERROR" in (tree / ".venv" / "install.log").read_text()
    assert run(tree).returncode == 1, "a failed installation must not count as done"


def test_a_second_call_does_nothing(tree: Path) -> None:
    fake(tree, "python3")
    assert run(tree).returncode == 0
    second = run(tree)
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")
    assert calls(tree) == 1


def test_other_extras_and_a_changed_project_are_installed(tree: Path) -> None:
    fake(tree, "python3")
    run(tree)
    run(tree, "all,test")
    assert calls(tree) == 2
    run(tree, "torch")  # has it: all holds torch
    run(tree, "base")
    assert calls(tree) == 2
    (tree / "pyproject.toml").write_text("# changed")
    run(tree, "torch")
    assert calls(tree) == 3


def test_a_moved_environment_is_made_anew(tree: Path) -> None:
    fake(tree, "python3")
    run(tree)
    stamp = tree / ".venv" / "installed.txt"
    stamp.write_text(stamp.read_text().replace(str(tree), "/somewhere/else"))
    answer = run(tree)
    assert answer.returncode == 0, answer.stderr
    assert "making it anew" in answer.stdout
    assert calls(tree) == 2
