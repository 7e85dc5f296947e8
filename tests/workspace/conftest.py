"""Workspaces on SQLite and on a real PostgreSQL server that this run starts, and parts to fill them with."""

from __future__ import annotations

import glob
import json
import os
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vision_toolkit.workspace import Workspace
from vision_toolkit.workspace.values import Project

BIN = sorted(glob.glob("/usr/lib/postgresql/*/bin")) or ["/usr/local/bin"]


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Callable[[], str]]:
    """Start a server on a free port; each call makes a database and gives its URL."""
    found = shutil.which("initdb", path=os.pathsep.join([BIN[-1], os.environ.get("PATH", "")]))
    if found is None:
        pytest.skip("needs PostgreSQL (apt install postgresql)")
    folder = Path(found).resolve().parent
    data = Path(tempfile.mkdtemp(prefix="postgresql-"))  # pytest's own folders are closed to the server's user
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    who: list[str] = []
    if os.geteuid() == 0:  # initdb refuses root
        shutil.chown(data, "postgres")
        who = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]

    def run(*words: str) -> None:
        subprocess.run([*who, *words], check=True, capture_output=True, cwd=data, timeout=120)

    run(str(folder / "initdb"), "-D", str(data / "d"), "-A", "trust", "-U", "postgres", "-E", "UTF8")
    options = f"-p {port} -k {data} -c listen_addresses=127.0.0.1 -c fsync=off"
    run(str(folder / "pg_ctl"), "-D", str(data / "d"), "-o", options, "-l", str(data / "log"), "-w", "start")

    def make() -> str:
        name = f"w{uuid.uuid4().hex[:12]}"
        run(str(folder / "createdb"), "-h", "127.0.0.1", "-p", str(port), "-U", "postgres", name)
        return f"postgresql://postgres@127.0.0.1:{port}/{name}"

    yield make
    run(str(folder / "pg_ctl"), "-D", str(data / "d"), "-m", "immediate", "-w", "stop")
    shutil.rmtree(data, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request) -> str | None:
    """Give the URL of an empty database; None for the workspace's own file."""
    return None if request.param == "sqlite" else request.getfixturevalue("postgresql")()


@pytest.fixture
def workspace(tmp_path, database) -> Iterator[Workspace]:
    """Give a workspace in which a call comes back when its job is done."""
    with Workspace(tmp_path / "w", run="inline", database=database, preset="fast", threads=1) as made:
        yield made


@pytest.fixture
def project(workspace) -> Project:
    """Give a project without datasets."""
    return workspace.projects.create("parts")


def part(number: int, label: str | None = "normal", *, bucket: str = "factory", mask: str | None = None) -> dict:
    """Return the line of an image as Ground Truth writes it."""
    line: dict = {"source-ref": f"s3://{bucket}/parts/{number}.png"}
    if label is not None:
        line |= {
            "anomaly-label": int(label == "anomaly"),
            "anomaly-label-metadata": {
                "class-name": label, "type": "groundtruth/image-classification", "human-annotated": "yes",
                "confidence": 1, "creation-date": "2026-01-02T03:04:05", "job-name": "labels",
            },
        }  # fmt: skip
    if mask is not None:
        line |= {
            "anomaly-mask-ref": f"s3://{bucket}/masks/{number}.png",
            "anomaly-mask-ref-metadata": {
                "internal-color-map": {
                    "0": {"class-name": "BACKGROUND", "hex-color": "#ffffff", "confidence": 0},
                    "1": {"class-name": mask, "hex-color": "#23A436", "confidence": 0},
                },
                "type": "groundtruth/semantic-segmentation", "human-annotated": "yes",
                "creation-date": "2026-01-02T03:04:05", "job-name": "labels",
            },
        }  # fmt: skip
    return line


def lines(*parts: dict) -> bytes:
    """Return lines as a file holds them."""
    return "".join(json.dumps(one) + "\n" for one in parts).encode()


def draw(workspace: Workspace, count: int, *, bucket: str = "factory", spots: frozenset[int] = frozenset()) -> None:
    """Write images of 64 x 64 pixels into a bucket; some have a bright spot."""
    rng = np.random.default_rng(1)
    for number in range(count):
        pixels = rng.normal(100, 6, (64, 64, 3))
        if number in spots:
            top, left = rng.integers(8, 40, 2)
            pixels[top : top + 14, left : left + 14] += 110
        path = Path(workspace.buckets.place(f"s3://{bucket}/parts/{number}.png"))
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)
