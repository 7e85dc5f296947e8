"""Model folders of format 1 still load, and answer what the program of their time answered."""

from __future__ import annotations

import base64
import json
import shutil
import zlib
from pathlib import Path

import numpy as np
import pytest

import vision_toolkit as vt
from vision_toolkit.core import Invalid, NotFound, Task
from vision_toolkit.models.model import MODEL_FILES

FOLDER = Path(__file__).parent / "format1"
ANSWERS = json.loads((FOLDER / "answers.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def old():
    return vt.load(FOLDER / "model", threads=1)


@pytest.fixture
def copy(tmp_path) -> Path:
    return Path(shutil.copytree(FOLDER / "model", tmp_path / "old"))


def iou(one: np.ndarray, two: np.ndarray, kind: int) -> float:
    both, either = ((one == kind) & (two == kind)).sum(), ((one == kind) | (two == kind)).sum()
    return both / either if either else 1.0


@pytest.mark.parametrize("name", ANSWERS)
def test_scores_and_masks_are_what_they_were(old, name):
    wanted, said = ANSWERS[name], old.predict(FOLDER / name)
    width, height = wanted["size"]
    ids = np.frombuffer(zlib.decompress(base64.b64decode(wanted["ids"])), np.uint8).reshape(height, width)
    assert said.score == pytest.approx(wanted["score"], abs=1e-4) and 0.01 < wanted["score"] < 0.9999
    assert all(iou(said.mask.ids, ids, kind) >= 0.99 for kind in range(3))
    assert said.map.shape == (24, 32)


def test_its_facts_are_those_of_this_format(old):
    before = json.loads((FOLDER / "model" / "model.json").read_text("utf-8"))
    assert before["format"] == 1 and old.info["format"] == 2 and old.info["inputs"] == [{"width": 256, "height": 192}]
    assert old.task is Task.SEGMENTATION and old.types == ("scratch", "stain")
    assert old.threshold == before["threshold"] and old.info["training"] == before["training"]
    assert old.info["verdict"]["groups"] == [
        "distance at 256x192", "global at 256x192", "patch at 256x192", "painted",
    ]  # fmt: skip
    assert "format 1" in old.info["notes"][-1] and "fixed" not in repr(old)


def test_saving_it_writes_this_format(old, tmp_path):
    folder = old.save(tmp_path / "new")
    assert sorted(path.name for path in folder.iterdir()) == sorted(MODEL_FILES)
    assert json.loads((folder / "model.json").read_text("utf-8"))["format"] == 2
    again = vt.load(folder, threads=1)
    for name in ANSWERS:
        one, two = old.predict(FOLDER / name), again.predict(FOLDER / name)
        assert one.score == two.score and np.array_equal(one.mask.ids, two.mask.ids)


def test_a_model_without_masks_loads_too(copy):
    """Cut the fixture down to the smallest model that format 1 had: a memory that judges by itself."""
    from safetensors.numpy import load_file, save_file

    arrays = load_file(copy / "arrays.safetensors")
    kept = {name: arrays[name] for name in ("memory", "memory_scale", "weights_distance", "bias")}
    save_file(kept, copy / "arrays.safetensors")
    info = json.loads((copy / "model.json").read_text("utf-8"))
    info |= {"types": [], "task": "classification", "colours": ["#FFFFFF"]}
    info["verdict"]["groups"] = ["distance"]
    (copy / "model.json").write_text(json.dumps(info), "utf-8")
    model = vt.load(copy, threads=1)
    from vision_toolkit.models.filters import filter_graph
    from vision_toolkit.models.runtime import resize, session

    image = vt.data.read_image(FOLDER / "1.png")
    (patches,) = session(filter_graph(), 1).run(["patches"], {"image": resize(image, 256, 192)[None]})
    flat = patches.reshape(-1, 66) / kept["memory_scale"]
    distances = np.sort(np.sqrt(((flat[:, None] - kept["memory"]) ** 2).sum(axis=2)).min(axis=1))[::-1]
    tops = [distances[: max(1, round(len(distances) * share))].mean() for share in (0.005, 0.02, 0.1)]
    numbers = [distances[0], *tops, distances.mean(), distances.std()]
    wanted = 1 / (1 + np.exp(-(np.array(numbers) @ kept["weights_distance"] + kept["bias"][0])))
    said = model.predict(image)
    assert said.score == pytest.approx(wanted, abs=1e-4) and said.mask is None and model.info["painting"] is None


@pytest.mark.parametrize("name", ["backbone.onnx", "arrays.safetensors"])
@pytest.mark.parametrize("damage", ["gone", "cut", "other"])
def test_a_damaged_folder_is_told(copy, name, damage):
    file = copy / name
    if damage == "gone":
        file.unlink()
        with pytest.raises(NotFound, match=f"{name} is missing"):
            vt.load(copy)
        return
    file.write_bytes(file.read_bytes()[:100] if damage == "cut" else b"other")
    with pytest.raises(Invalid, match="cannot be loaded"):
        vt.load(copy)


def test_a_format_that_nobody_knows_is_refused(copy, tmp_path, old):
    for folder in (copy, old.save(tmp_path / "new")):
        info = json.loads((folder / "model.json").read_text("utf-8"))
        (folder / "model.json").write_text(json.dumps(info | {"format": 3}), "utf-8")
        (folder / "model.onnx").touch()
        with pytest.raises(Invalid, match=r"format 3; this program reads format 2"):
            vt.load(folder)
