"""Environments with few packages: made with pip once, kept between runs in VISION_TOOLKIT_TEST_ENVIRONMENTS."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.conftest import IN_CI

UNREACHED = re.compile("NewConnectionError|ConnectTimeout|ReadTimeout|ProxyError|NameResolutionError|SSLError")


def environment(name: str, *packages: str) -> Path:
    """Return the folder of programs of an environment with some packages; skip where it cannot be made."""
    kept = os.environ.get("VISION_TOOLKIT_TEST_ENVIRONMENTS")
    folder = Path(kept or Path(tempfile.gettempdir()) / f"vision-toolkit-tests-{os.getuid()}") / name
    programs = folder / "bin"
    if (folder / "made").exists():
        return programs
    try:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True, capture_output=True, timeout=120)
        install = [programs / "python", "-m", "pip", "install", "-q", *packages]
        done = subprocess.run(install, capture_output=True, text=True, timeout=400, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip(f"needs a package index that answers in time, with {' '.join(packages)}")
    if done.returncode:
        assert UNREACHED.search(done.stderr) or not IN_CI, done.stderr
        pytest.skip(f"needs a package index with {' '.join(packages)}")
    (folder / "made").write_text(" ".join(packages), encoding="utf-8")
    return programs
