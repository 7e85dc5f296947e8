"""The benchmark of packages runs, and what it says of identical answers is true."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def edge(monkeypatch):
    """Give the benchmark as a module."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("edge")


@pytest.mark.slow
def test_every_way_answers_as_the_model_does(edge, tmp_path, capsys):
    edge.main(["--quick", "--python", sys.executable, "--json", str(tmp_path / "found.json")])
    ways = json.loads((tmp_path / "found.json").read_text())["ways"]
    assert list(ways) == list(edge.WAYS)
    for name, told in ways.items():
        assert 0 < told["cold"] < 120
        if name != "package, command":
            assert (told["identical"], told["images"]) == (4, 4), name
            assert told["images_per_second"] > 0 and told["speed"] > 0 and told["cpu"] > 0 and told["peak"] > 20
    table = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert len(table) == 2 + len(ways) and len({line.count("|") for line in table}) == 1


def test_an_answer_of_another_bit_is_counted(edge, tmp_path):
    one = edge.Run(1.0, 2.0, 1.0, 100.0, ["a", "b"])
    other = edge.Run(1.0, 4.0, None, None, ["a", "c"])
    bench = edge.Bench(tmp_path, [tmp_path / "1", tmp_path / "2"], "", 1, 3)
    edge.expected = lambda *_: []
    found = edge.figures(bench, {"model.predict": [one], "hosted unit": [other], "package, command": [edge.Run(0.5)]})
    assert found["model.predict"]["identical"] == 2 and found["hosted unit"]["identical"] == 1
    assert found["hosted unit"]["speed"] == 0.5 and found["hosted unit"]["images_per_second"] == 1.5
    assert found["hosted unit"]["cpu"] is None and "| – |" in edge.page(found)[3]
