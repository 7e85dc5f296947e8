"""Workspaces with parts in them, served, and clients of every kind."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.workspace.conftest import draw, lines, part
from vision_toolkit.app.server import Server
from vision_toolkit.workspace import Workspace

COUNT, ODD = 44, frozenset(range(26, 44))
"""Images, and those among them that have a spot."""


def labelled(number: int) -> dict:
    return part(number, "anomaly" if number in ODD else "normal")


def fill(workspace: Workspace, project: str = "parts") -> dict[str, Any]:
    """Draw parts and a manifest into a workspace's bucket, and return what the scenario needs to know."""
    draw(workspace, COUNT, spots=ODD)
    workspace.buckets.write("s3://factory/all.manifest", lines(*map(labelled, range(COUNT))))
    image = workspace.buckets.read(f"s3://factory/parts/{COUNT - 1}.png")
    return {
        "project": project, "bucket": "factory", "manifest": "all.manifest", "total": COUNT, "normal": COUNT - len(ODD),
        "one": "parts/17.png", "changes": lines(labelled(3)).decode(), "image": base64.b64encode(image).decode(),
        "key": "local", "secret": "local",
    }  # fmt: skip


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Workspace]:
    """Give a workspace whose jobs threads of this process do."""
    with Workspace(tmp_path / "w", run="thread", preset="fast", threads=1, weights=None) as workspace:
        yield workspace


@pytest.fixture
def server(opened: Workspace) -> Iterator[Server]:
    """Give a server of that workspace, on loopback."""
    with Server(opened, port=0) as running:
        yield running


@pytest.fixture
def facts(opened: Workspace) -> dict[str, Any]:
    """Give what the scenario needs to know."""
    return fill(opened)


@pytest.fixture
def certified(tmp_path: Path) -> tuple[str, str]:
    """Give files of a certificate for this machine and its private key."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    certificate, private = str(tmp_path / "c.pem"), str(tmp_path / "k.pem")
    make = [
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
        "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-out", certificate, "-keyout", private,
    ]  # fmt: skip
    subprocess.run(make, check=True, capture_output=True)
    return certificate, private


def written(folder: Path, facts: dict[str, Any]) -> Path:
    path = folder / "facts.json"
    path.write_text(json.dumps(facts), encoding="utf-8")
    return path
