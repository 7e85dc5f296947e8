"""One small set of drawn parts, and models trained on it once for all tests of the room."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from vision_toolkit.core import Entry, Label, Mask, MaskRef, Task
from vision_toolkit.data import Manifest
from vision_toolkit.data.images import encode_mask, encode_png
from vision_toolkit.models.model import Model
from vision_toolkit.models.train import train

COLOURS = {"stain": "#23A436", "scratch": "#14A3B3"}


def draw_part(seed: int, kind: str = "normal") -> tuple[np.ndarray, np.ndarray]:
    """Draw a plate of brushed metal with a hole; a stain is a dark blot, a scratch a bright line."""
    rng = np.random.default_rng([7, seed])
    image = 120 + rng.normal(0, 3, (96, 1)) + rng.normal(0, 4, (96, 128)) + rng.normal(0, 8)
    y, x = np.mgrid[:96, :128]
    cy, cx = 48 + rng.normal(0, 2), 64 + rng.normal(0, 2)
    image[(y - cy) ** 2 + (x - cx) ** 2 < 15**2] -= 70
    ids = np.zeros((96, 128), np.uint8)
    if kind == "stain":
        by, bx = rng.integers(15, 80), rng.choice([25, 105]) + rng.integers(-8, 8)
        ids[((y - by) / rng.uniform(5, 9)) ** 2 + ((x - bx) / rng.uniform(5, 9)) ** 2 < 1] = 1
        image[ids == 1] -= rng.uniform(35, 55)
    elif kind == "scratch":
        top, slope = rng.integers(10, 80), rng.uniform(-0.2, 0.2)
        start = rng.integers(5, 60)
        line = np.abs(y - top - slope * (x - 64)) < 2
        ids[line & (x > start) & (x < start + 50)] = 2
        image[ids == 2] += rng.uniform(50, 80)
    return np.repeat(np.clip(image, 0, 255).astype(np.uint8)[..., None], 3, axis=2), ids


def write_parts(folder: Path, kinds: list[str], *, masks: bool = True) -> Manifest:
    """Write parts and their masks, and return the manifest as read from its file."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for number, kind in enumerate(kinds):
        image, ids = draw_part(number, kind)
        (folder / f"{number:03}.png").write_bytes(encode_png(image))
        ref = None
        if kind != "normal" and masks:
            mask = Mask(ids, ("background", *COLOURS), ("#FFFFFF", *COLOURS.values()))
            (folder / f"{number:03}-mask.png").write_bytes(encode_mask(mask))
            ref = MaskRef(f"{number:03}-mask.png", COLOURS)
        label = Label.NORMAL if kind == "normal" else Label.ANOMALY
        entries.append(Entry(f"{number:03}.png", label, mask=ref))
    return Manifest.read(Manifest(entries).write(folder / "parts.manifest", overwrite=True))


@pytest.fixture(autouse=True, scope="session")
def cache(tmp_path_factory):
    """Keep what is cached away from the user's own cache."""
    patch = pytest.MonkeyPatch()
    patch.setenv("VISION_TOOLKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
    yield
    patch.undo()


@pytest.fixture(scope="session", name="write_parts")
def write_parts_() -> Callable[..., Manifest]:
    """Give the function that writes parts."""
    return write_parts


KINDS = [*["normal"] * 20, *["stain", "scratch"] * 8, *["normal"] * 8, *["scratch", "stain"] * 4]


@pytest.fixture(scope="session")
def parts(tmp_path_factory) -> Manifest:
    """Twenty normal parts and sixteen bad ones to train with, then eight and eight to test with."""
    return write_parts(tmp_path_factory.mktemp("parts ü"), KINDS)


@pytest.fixture(scope="session")
def training(parts) -> Manifest:
    return parts[:36]


@pytest.fixture(scope="session")
def testing(parts) -> Manifest:
    return parts[36:]


@pytest.fixture(scope="session")
def model(training) -> Model:
    """A model that judges and paints, trained on fixed filters."""
    trained = train(training, weights=None, preset="fast", threads=2)
    assert trained.task is Task.SEGMENTATION
    return trained


@pytest.fixture(scope="session")
def exported(model, testing, tmp_path_factory):
    """A package with golden images of both verdicts; copied before it is spoilt."""
    return model.export(tmp_path_factory.mktemp("out") / "ein Päckchen", golden=[*testing[:3], *testing[-3:]])


@pytest.fixture(scope="session")
def weights(tmp_path_factory) -> Path:
    """Write weights that were never trained, of a network that is as small as can be."""
    import timm
    import torch
    from safetensors.torch import save_file

    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        state = timm.create_model("test_resnet", pretrained=False).state_dict()
    save_file(state, path, metadata={"timm": "test_resnet", "license": "MIT", "input": "x/127.5-1"})
    return path
