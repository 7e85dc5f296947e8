"""The benchmark of the edge agent runs, and finds every answer equal to the model's."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "edge_agent.py"


@pytest.mark.slow
def test_every_way_is_timed_and_says_the_same(tmp_path):
    command = [sys.executable, str(PROGRAM), "--quick", "--json", str(tmp_path / "figures.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (one,) = json.loads((tmp_path / "figures.json").read_text("utf-8"))["sizes"]
    assert one["bits_equal"] is True and (one["width"], one["height"], one["rounds"]) == (160, 120, 3)
    assert min(one["predict_ms"], one["message_ms"], one["memory_ms"]) > 0
    assert "| 160 x 120 |" in done.stdout and "images/s of four clients" in done.stdout
