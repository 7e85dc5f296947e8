"""What the README shows runs, and what it tells people to type exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import vision_toolkit
from vision_toolkit.app.cli import main

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "CONTRIBUTING.md")


def blocks(page: str, language: str) -> list[str]:
    """Return the fenced blocks of one language."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def test_the_names_in_the_readme_exist() -> None:
    shown = "".join(blocks("README.md", "python"))
    compile(shown, "README.md", "exec")
    named = set(re.findall(r"\bvt\.(\w+)", shown))
    assert {"load_dataset", "train", "load"} <= named <= set(vision_toolkit.__all__)


def test_the_python_of_the_readme_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shown = blocks("README.md", "python")
    assert shown
    names: dict[str, object] = {}
    for block in shown:
        exec(compile(block, "README.md", "exec"), names)
    printed = capsys.readouterr().out
    assert "Evaluation" in printed
    assert "Prediction(" in printed
    assert (tmp_path / "model").is_dir()


def test_the_readme_leads_with_the_two_commands() -> None:
    assert blocks("README.md", "sh")[0] == "make demo\nmake test\n"


@pytest.mark.parametrize("page", PAGES)
def test_every_make_target_that_is_named_exists(page: str) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z]+)", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE))
    assert named, "the page should say what to type"
    assert named <= targets


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_is_linked_exists(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    linked = re.findall(r"\]\(([^)#]+)\)", text) + re.findall(
        r"`((?:tests|scripts|\.ci|vision_toolkit)/[\w./]+)`", text
    )
    assert linked
    assert [name for name in linked if not (ROOT / name).exists()] == []


def test_every_command_line_that_is_shown_is_understood(capsys: pytest.CaptureFixture[str]) -> None:
    lines = re.findall(r"vision-toolkit ([a-z]+)(.*)", "".join(blocks("README.md", "sh")))
    assert {"demo", "check", "split", "train", "evaluate", "predict"} <= {verb for verb, _ in lines}
    for verb, rest in lines:
        with pytest.raises(SystemExit) as ended:
            main([verb, "--help"])
        assert ended.value.code == 0, verb
        known = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
        assert set(re.findall(r"--[a-z-]+", rest)) <= known, verb
