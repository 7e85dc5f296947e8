"""The pages in docs/ say what the code says, and lead where they say."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path
from types import ModuleType

import pytest

from vision_toolkit.app.cli import main
from vision_toolkit.curation import RULES as PICTURE_RULES
from vision_toolkit.data.formats import FORMATS
from vision_toolkit.data.formats.losses import LOSSES
from vision_toolkit.data.rules import RULES

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").glob("**/*.md"))
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    """Return scripts/docs.py, which makes the pages."""
    spec = importlib.util.spec_from_file_location("docs", ROOT / "scripts" / "docs.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def without_code(text: str) -> str:
    """Return a page without its blocks and spans of code, in which brackets mean something else."""
    return re.sub(r"`[^`\n]*`", "", FENCED.sub("", text))


def anchors(page: Path) -> set[str]:
    """Return the anchors that the headings of a page have, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", FENCED.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def commands(page: Path) -> list[str]:
    """Return the command lines of our program that a page shows."""
    blocks = [block for language, block in FENCED.findall(page.read_text(encoding="utf-8")) if language == "sh"]
    return re.findall(r"^(?:\.venv/bin/)?vision-toolkit (.+)$", "".join(blocks), re.MULTILINE)


def test_the_generated_pages_are_what_the_code_says(maker: ModuleType) -> None:
    made = dict(maker.pages())
    assert {path.name for path in made} == {"rules.md", "formats.md"}
    stale = [path.name for path, text in made.items() if path.read_text(encoding="utf-8") != text]
    assert stale == [], "run: make docs"


def test_every_rule_has_one_row() -> None:
    rows = re.findall(r"^\| `([a-z0-9-]+)` \|", (ROOT / "docs" / "rules.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(rows) == sorted([*RULES, *PICTURE_RULES, *LOSSES])


def test_no_row_of_a_table_is_broken(maker: ModuleType) -> None:
    for table in re.findall(r"(?:^\|.*\n)+", maker.rules_page(), re.MULTILINE):
        widths = {len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}
        assert len(widths) == 1, table


def test_a_mark_without_a_place_is_told(maker: ModuleType) -> None:
    page = "a\n<!-- made: one -->\nold\n<!-- end -->\nb\n"
    assert maker.filled(page, {"one": "new\n"}) == "a\n<!-- made: one -->\n\nnew\n\n<!-- end -->\nb\n"
    with pytest.raises(AssertionError, match="no place for two"):
        maker.filled(page, {"one": "", "two": ""})


def test_every_format_has_its_section() -> None:
    page = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (.+)$", page, re.MULTILINE) == list(FORMATS)
    for section in re.split(r"^## ", page, flags=re.MULTILINE)[1:]:
        assert re.findall(r"^- \*\*(\w+)\*\*:", section, re.MULTILINE) == ["Read", "Written", "Lost"], section[:30]
        assert "vision-toolkit convert" in section


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text(encoding="utf-8"))):
        if "://" in link:
            continue  # not ours; tests dial nobody
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), f"{page.name} links to {link}"
        assert not anchor or anchor in anchors(target), f"{page.name} links to {link}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_and_make_target_that_is_named_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"`((?:benchmarks|docs|notebooks|scripts|tests|vision_toolkit)/[\w./]+)`", text)
    assert [name for name in named if not (ROOT / name).exists()] == []
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z]+)", text)) <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_line_is_understood(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for line in commands(page):
        verb, *words = shlex.split(line, comments=True)
        with pytest.raises(SystemExit) as ended:
            main([verb, "--help"])
        assert ended.value.code == 0, line
        known = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
        assert {word for word in words if word.startswith("--")} <= known, line


def test_each_format_is_written_as_the_page_says_and_known_again(
    maker: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    maker.sample(tmp_path)
    (tmp_path / "sample").rename(tmp_path / "parts")
    monkeypatch.chdir(tmp_path)
    written = [line for line in commands(ROOT / "docs" / "formats.md") if line.startswith("convert parts/ ")]
    for number, line in enumerate(written):
        verb, source, target, *options = shlex.split(line)
        place = f"{number}-{target}"
        assert main([verb, source, place, *options]) == 0, line
        capsys.readouterr()
        # Read again without a word about what it is, but for what the page says must be said.
        assert main([verb, place, f"{number}-again/"]) == 0, line
        assert f"({options[options.index('--to') + 1]})" in capsys.readouterr().out, line
    assert {shlex.split(line)[4] for line in written} == {*FORMATS} - {"aws-export"}
