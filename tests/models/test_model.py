"""A trained model: what it predicts, how it is kept, and that the one runtime gives the same everywhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import vision_toolkit as vt
from vision_toolkit.core import Conflict, Failed, Invalid, NotFound
from vision_toolkit.models import runtime


def test_every_kind_of_source_gives_the_same_answer(model, testing):
    entry = testing[-1]
    path = Path(entry.location)
    array = vt.data.read_image(path)
    sources = [path, str(path), path.as_uri(), path.read_bytes(), array, Image.open(path), entry]
    scores = {model.predict(source).score for source in sources}
    assert len(scores) == 1
    assert model.predict(entry).source == entry.source and model.predict(array).source is None


def test_predictions_stream_and_agree_with_one_at_a_time(model, testing):
    taken = []

    def endless():
        while True:
            for entry in testing:
                taken.append(entry)
                yield entry

    first = list(islice(model.predict_all(endless(), batch=4), 6))
    assert len(first) == 6 and len(taken) < 40
    for prediction, entry in zip(first, testing, strict=False):
        one = model.predict(entry)
        assert prediction.score == pytest.approx(one.score, abs=1e-5) and prediction.source == entry.source
        assert np.allclose(prediction.map, one.map, atol=1e-4)
    with pytest.raises(Invalid, match="at least 1"):
        next(model.predict_all(testing, batch=0))
    assert list(model.predict_all([])) == []


def test_an_image_that_cannot_be_read_is_told(model, tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(Invalid, match="no image that can be read"):
        model.predict(tmp_path / "a.png")
    with pytest.raises(NotFound):
        model.predict(tmp_path / "none.png")
    with pytest.raises(Invalid):
        model.predict(np.zeros((3, 3, 7)))


def test_masks_have_the_size_of_the_image_and_the_colours_of_the_training(model, testing):
    image = vt.data.read_image(testing[-1])
    large = np.asarray(Image.fromarray(image).resize((1000, 700)))
    prediction = model.predict(large)
    assert prediction.mask.size == (1000, 700)
    assert prediction.mask.names == ("background", "scratch", "stain")
    assert prediction.mask.colours == ("#FFFFFF", "#14A3B3", "#23A436")
    assert sum(prediction.areas().values()) == pytest.approx(1.0)


@pytest.mark.slow
def test_a_4096_image_is_predicted_in_bounded_memory(model, tmp_path):
    model.save(tmp_path / "m")
    Image.new("RGB", (4096, 4096), (120, 121, 122)).save(tmp_path / "big.png")
    script = (
        "import resource, sys, vision_toolkit as vt; m = vt.load(sys.argv[1]);"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss; p = m.predict(sys.argv[2]);"
        "print(p.mask.size[0], (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "m", tmp_path / "big.png"], capture_output=True, text=True, check=True
    )
    side, megabytes = map(int, done.stdout.split())
    assert side == 4096 and megabytes < 600


def test_saved_and_loaded_it_answers_the_same(model, testing, tmp_path):
    folder = model.save(tmp_path / "ein Modell")
    assert sorted(p.name for p in folder.iterdir()) == ["model.json", "model.onnx"]
    again = vt.load(folder)
    assert again.info == json.loads(json.dumps(model.info)) and again.types == model.types
    for entry in testing:
        one, two = model.predict(entry), again.predict(entry)
        assert one.score == two.score and np.array_equal(one.mask.ids, two.mask.ids)


def test_saving_replaces_a_model_only_when_asked_and_nothing_else_ever(model, tmp_path):
    model.save(tmp_path / "m")
    with pytest.raises(Conflict, match="overwrite=True"):
        model.save(tmp_path / "m")
    model.save(tmp_path / "m", overwrite=True)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "text.tex").write_text("precious")
    with pytest.raises(Conflict, match="left alone"):
        model.save(tmp_path / "thesis", overwrite=True)


def test_a_full_disk_while_saving_leaves_nothing(model, tmp_path, monkeypatch):
    real = Path.write_bytes

    def full(self, data):
        if self.name == "model.onnx":
            raise OSError(28, "No space left on device")
        return real(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(Failed, match="No space left"):
        model.save(tmp_path / "m")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["model.json", "model.onnx"])
@pytest.mark.parametrize("damage", ["gone", "cut", "other"])
def test_a_damaged_folder_is_told(model, tmp_path, name, damage):
    file = model.save(tmp_path / "m") / name
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:100] if damage == "cut" else b"other")
    with pytest.raises((Invalid, NotFound), match=r"cannot be loaded|missing"):
        vt.load(tmp_path / "m")


def test_a_newer_format_is_refused(model, tmp_path):
    folder = model.save(tmp_path / "m")
    info = json.loads((folder / "model.json").read_text()) | {"format": 99}
    (folder / "model.json").write_text(json.dumps(info))
    with pytest.raises(Invalid, match="format 99"):
        vt.load(folder)


def test_moving_the_threshold_moves_verdicts_and_scores_but_not_the_first_model(model, testing):
    before = model.threshold
    careful = model.at(0.0)
    assert all(p.is_anomalous for p in careful.predict_all(testing[:3]))
    assert careful.evaluation.recall == 1.0 and careful.info["metrics"] == careful.evaluation.to_dict()
    assert model.threshold == before == model.info["threshold"]
    with pytest.raises(Invalid, match="between 0 and 1"):
        model.at(1.5)


def test_evaluating_needs_labels(model):
    with pytest.raises(Invalid, match="no labelled image"):
        model.evaluate(vt.Manifest([vt.Entry("a.png")]))


def test_it_shows_itself(model, training):
    assert repr(model).startswith("Model(segmentation, ") and "0x" not in repr(model)
    assert "<table>" in model._repr_html_() and len(model._repr_html_()) < 20_000
    assert model.show().axes
    bare = vt.Model(model._runtime)
    with pytest.raises(Invalid, match="evaluate"):
        bare.show()


ISOLATED = """
import importlib.abc, sys
ALLOWED = {"numpy", "onnxruntime", "PIL"}
class Guard(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in ALLOWED and top not in sys.stdlib_module_names:
            raise ModuleNotFoundError(f"{name} is not allowed here", name=name)
sys.meta_path.insert(0, Guard())
import runpy
sys.argv = [sys.argv[1] + "/runtime.py", *sys.argv[2:]]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_the_runtime_alone_gives_the_same_verdicts_with_numpy_onnxruntime_and_pillow_only(model, testing, tmp_path):
    folder = model.save(tmp_path / "m")
    (folder / "runtime.py").write_text(Path(runtime.__file__).read_text())
    paths = [entry.location for entry in testing[-5:]]
    (tmp_path / "bad.png").write_bytes(b"no image")
    done = subprocess.run(
        [sys.executable, "-I", "-c", ISOLATED, str(folder), *paths, str(tmp_path / "bad.png")],
        check=False, capture_output=True, text=True, env=os.environ | {"VISION_TOOLKIT_THREADS": "2"}, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr  # one image could not be read
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    for answer, path in zip(answers, paths, strict=False):
        p = model.predict(path)
        assert answer["source"] == path and answer["is_anomalous"] == p.is_anomalous
        assert answer["score"] == pytest.approx(p.score, abs=1e-6)
        assert answer["confidence"] == pytest.approx(p.confidence, abs=1e-6)
    assert "error" in answers[-1] and len(answers) == 6
