"""The benchmark of hosting: its signatures are ones that a server accepts, and everything is measured and told."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from vision_toolkit.services.auth.keys import Key
from vision_toolkit.services.auth.sigv4 import Message, Signature4, SignatureError

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def hosting():
    patch = pytest.MonkeyPatch()
    patch.syspath_prepend(str(BENCHMARKS))
    yield importlib.import_module("hosting")
    patch.undo()


def test_what_the_bare_client_signs_is_accepted_and_nothing_else(hosting) -> None:
    key = Key("VTKEY", "secret")
    headers = {"host": "127.0.0.1:8000", "content-type": "image/jpeg"}
    headers |= hosting.signed(key, "POST", "/2020-11-20/x", headers, b"image")
    message = Message("POST", "/2020-11-20/x", "", list(headers.items()))
    verify = Signature4("lookoutvision", {"VTKEY": "secret"}.get)
    verify.verify(message, verify.read(message), b"image")
    with pytest.raises(SignatureError):
        verify.verify(message, verify.read(message), b"other")


def test_percentiles_are_those_of_the_series(hosting) -> None:
    assert hosting.percentiles(range(101)) == {"p50": 50, "p95": 95, "p99": 99, "n": 101}


@pytest.mark.slow
def test_everything_is_measured_and_told(tmp_path) -> None:
    command = [sys.executable, BENCHMARKS / "hosting.py", "--quick", "--json", tmp_path / "found.json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "found.json").read_text("utf-8"))
    assert {"bare", "bare client", "boto3"} < set(found["calls"])
    assert all(0 < one["p50"] <= one["p95"] <= one["p99"] for one in found["calls"].values())
    assert all(rate > 0 for units in ("1", "2") for rate in found["many"][units].values())
    overrun = found["overrun"]
    assert set(overrun["said"]) == {"200", "429"} and overrun["answers"] == 1
    assert all(server > 10 and units > 10 for server, units in overrun["resident"])
    assert all(0 < seconds < 60 for series in found["starts"].values() for seconds in series)
    told = done.stdout
    for name in (*found["calls"], *found["starts"], "after three"):
        assert f"| {name} |" in told
    assert "200" in told and "load" in told
