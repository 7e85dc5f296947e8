"""Nothing is lost and nothing is said twice, wherever a process is killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.models.station.conftest import Line, findings, lines, png
from vision_toolkit.models.station.journal import Journal

ROOT = Path(__file__).parents[3]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.parametrize("stride", [11, pytest.param(1, marks=pytest.mark.slow)])
def test_each_step_may_be_the_last(tmp_path: Path, stride: int) -> None:
    program = Path(__file__).with_name("killing.py")
    done = subprocess.run(
        [sys.executable, str(program), str(tmp_path), str(stride)], env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    kills = [int(number) for number in done.stdout.split()]
    assert min(kills) > 40  # it was killed at every step of the way


def test_a_torn_line_is_cut_off_and_its_image_answered_again(line: Line) -> None:
    line.drop("a.png", png(10))
    line.drop("b.png", png(240))
    assert line.once() == 0
    (path,) = line.out.glob("results-*.jsonl")
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for end in range(first, len(whole), 3):  # wherever it tore
        path.write_bytes(whole[:end])
        Journal(line.out, lambda day, one: None).close()
        assert path.read_bytes() == whole[:first]
    assert line.once() == 0
    assert [(one["sequence"], one["source"]) for one in lines(line.out)] == [(1, "a.png"), (2, "b.png")]


def test_a_damaged_line_is_passed_over_and_told(line: Line, capsys: pytest.CaptureFixture[str]) -> None:
    line.drop("a.png", png(10))
    line.once()
    (path,) = line.out.glob("results-*.jsonl")
    path.write_bytes(b'{"sequence": 1, "source": "a.p\x00\x00\n[]\n' + path.read_bytes())
    assert line.once() == 0
    assert "2 lines of results are damaged" in capsys.readouterr().err
    assert len(path.read_bytes().splitlines()) == 3  # nothing was answered again


def test_an_image_that_ends_the_process_is_told_as_unreadable_in_the_end(line: Line) -> None:
    line.drop("deadly.png", png(10))
    line.drop("good.png", png(20))
    program = (
        "import os, sys\nfrom pathlib import Path\n"
        "from tests.models.station.conftest import Brightness, fake\n"
        "from vision_toolkit.models.station.watch import main\n"
        "Brightness.predict = lambda self, images: os.abort()\n"
        "main([*sys.argv[2:], '--once', '--still', '0', '--free-megabytes', '0'], "
        "folder=Path(sys.argv[1]), runtime=fake())\n"
    )
    for _ in range(5):
        done = subprocess.run(
            [sys.executable, "-c", program, str(line.package), str(line.source), str(line.out)],
            env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, check=False,
        )  # fmt: skip
        assert done.returncode < 0 and lines(line.out) == []
    assert line.once() == 0
    first, second = lines(line.out)
    assert (first["source"], second["source"]) == ("deadly.png", "good.png")
    assert first["error"] == "the process ended 5 times while it looked at this image" and "error" not in second


def test_histograms_and_findings_that_are_lost_are_made_again_from_the_lines(line: Line) -> None:
    for number in range(60):
        line.drop(f"{number:02}.png", png(120 + number % 5))
    assert line.once() == 0
    (histogram,) = line.out.glob("histogram-*.json")
    before, told = histogram.read_bytes(), findings(line.out)
    assert [one["rule"] for one in told] == ["score-drift"]
    line.once()
    assert findings(line.out) == told  # told once
    histogram.unlink()
    (line.out / "findings.jsonl").write_bytes(b'{"torn')
    line.once()
    assert histogram.read_bytes() == before
    (again,) = findings(line.out)
    assert again | {"time": ""} == told[0] | {"time": ""}


def test_a_lost_list_of_answered_images_is_told_not_guessed(line: Line, capsys: pytest.CaptureFixture[str]) -> None:
    line.out.mkdir()
    (line.out / "answered.json").write_text("{")
    assert line.once() == 1
    assert "answered.json is damaged" in capsys.readouterr().err
    (line.out / "answered.json").write_text(json.dumps({"sequence": 7, "passed": [], "rejected": [], "unreadable": []}))
    line.drop("a.png", png(10))
    assert line.once() == 0
    assert lines(line.out)[0]["sequence"] == 8
