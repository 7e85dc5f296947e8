"""A model that needs no training, and folders with pictures that it can be asked about."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vision_toolkit.models import runtime
from vision_toolkit.models.station import drift
from vision_toolkit.models.station.inspection import Inspection, Options
from vision_toolkit.models.station.watch import main

INFO = {
    "format": 2, "threshold": 0.5, "types": ["blot"], "colours": ["#FFFFFF", "#23A436"],
    "held_out": {"normal": drift.histogram(np.linspace(0.05, 0.4, 60)), "anomaly": drift.histogram([0.9] * 20)},
}  # fmt: skip


class Brightness:
    """Say how bright an image is; what is brighter than half is a blot."""

    info = INFO
    before: Callable[[], None] = staticmethod(lambda: None)

    def predict(self, images: list[np.ndarray]) -> list[dict[str, Any]]:
        self.before()
        return [
            {
                "score": float(image.mean() / 255),
                "map": (image[::4, ::4].mean(axis=2) / 255).astype(np.float32),
                "ids": (image.mean(axis=2) > 127).astype(np.uint8),
                "size": (image.shape[1], image.shape[0]),
            }
            for image in images
        ]


def fake(model: Any = None) -> Any:
    """Return what stands for the module ``runtime`` of a package: all its own but for the model."""
    names = {"read": runtime.read, "judge": runtime.judge, "painted": runtime.painted}
    return SimpleNamespace(**names, load_configured=lambda folder: model or Brightness())


def png(brightness: int, *, side: int = 12) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((side, side, 3), brightness, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def write_package(folder: Path) -> Path:
    """Write what an inspection looks at in a package whose model is not asked."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.json").write_text(json.dumps(INFO))
    (folder / "model.onnx").write_bytes(b"graph")
    return folder


def lines(out: Path) -> list[dict[str, Any]]:
    """Return all lines of results, in order."""
    return [json.loads(raw) for path in sorted(out.glob("results-*.jsonl")) for raw in path.read_bytes().splitlines()]


def findings(out: Path) -> list[dict[str, Any]]:
    path = out / "findings.jsonl"
    return [json.loads(raw) for raw in path.read_bytes().splitlines()] if path.is_file() else []


def status(out: Path) -> dict[str, Any]:
    return json.loads((out / "status.json").read_bytes())


def until(true: Callable[[], Any], *, seconds: float = 20.0) -> None:
    """Wait until something is true."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.01)


class Line:
    """Hold the folders of a line, and inspect them."""

    def __init__(self, root: Path) -> None:
        self.package = write_package(root / "package")
        self.source, self.out = root / "in", root / "out"
        self.source.mkdir()

    def drop(self, name: str, data: bytes) -> Path:
        """Put an image into the folder, whole at once."""
        path = self.source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}")
        temporary.write_bytes(data)
        temporary.rename(path)
        return path

    def once(self, *arguments: str, model: Any = None) -> int:
        """Answer what is there."""
        words = [str(self.source), str(self.out), "--once", "--still", "0", "--poll", "0.01", "--free-megabytes", "0"]
        return main([*words, *arguments], folder=self.package, runtime=fake(model))

    @contextmanager
    def running(self, *, model: Any = None, **options: Any) -> Iterator[Inspection]:
        """Inspect in a thread."""
        self.out.mkdir(exist_ok=True)
        given = {"still": 0.05, "poll": 0.01, "free_megabytes": 0} | options
        inspection = Inspection(Options(self.source, self.out, **given), self.package, fake(model))
        thread = threading.Thread(target=inspection.run)
        thread.start()
        try:
            yield inspection
        finally:
            inspection.ended.set()
            thread.join(30)
            assert not thread.is_alive()


@pytest.fixture
def line(tmp_path: Path) -> Line:
    return Line(tmp_path)
