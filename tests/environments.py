"""Environments with few packages, made with pip or npm once and kept between runs.

They are in the folder that VISION_TOOLKIT_TEST_ENVIRONMENTS names.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.conftest import IN_CI

UNREACHED = re.compile(
    "NewConnectionError|ConnectTimeout|ReadTimeout|ProxyError|NameResolutionError|SSLError"
    "|ENOTFOUND|ECONNREFUSED|ETIMEDOUT|EAI_AGAIN|E40[34]"
)


def kept(name: str) -> Path:
    """Return the folder of an environment."""
    given = os.environ.get("VISION_TOOLKIT_TEST_ENVIRONMENTS")
    return Path(given or Path(tempfile.gettempdir()) / f"vision-toolkit-tests-{os.getuid()}") / name


def install(folder: Path, packages: tuple[str, ...], *commands: list[str | Path]) -> None:
    """Run what makes an environment, once; skip where it cannot be made."""
    if (folder / "made").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    for command in commands:
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False, cwd=folder)
        except subprocess.TimeoutExpired:
            pytest.skip(f"needs a package index that answers in time, with {' '.join(packages)}")
        if done.returncode:
            assert UNREACHED.search(done.stderr) or not IN_CI, done.stderr
            pytest.skip(f"needs a package index with {' '.join(packages)}")
    (folder / "made").write_text(" ".join(packages), encoding="utf-8")


def environment(name: str, *packages: str) -> Path:
    """Return the folder of programs of an environment of Python's with some packages."""
    folder = kept(name)
    pip: list[str | Path] = [folder / "bin" / "python", "-m", "pip", "install", "-q", *packages]
    install(folder, packages, [sys.executable, "-m", "venv", folder], pip)
    return folder / "bin"
