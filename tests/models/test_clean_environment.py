"""A package where there is only numpy, onnxruntime and Pillow answers to the last bit as the model."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.environments import environment
from tests.models.test_station import ask, serving
from vision_toolkit.services.lookout.local import result_of

pytestmark = pytest.mark.slow

DUMP = """
import sys
import numpy as np
sys.path.insert(0, sys.argv[1])
from runtime import Runtime, read
runtime = Runtime.load(sys.argv[1])
answers = [runtime.predict([read(open(path, "rb").read())])[0] for path in sys.argv[3:]]
found = {f"{key}{n}": answer[key] for n, answer in enumerate(answers) for key in ("score", "map", "ids")}
np.savez(sys.argv[2], **found)
"""


@pytest.fixture(scope="module")
def python(exported) -> Path:
    """The Python of an environment with what requirements.txt names, without even what those packages ask for."""
    needed = (exported.path / "requirements.txt").read_text("utf-8").split()
    return environment(f"package-{'-'.join(needed)}".replace("==", "-"), "--no-deps", *needed) / "python"


@pytest.fixture(scope="module")
def elsewhere(exported, tmp_path_factory) -> Path:
    """The package, from its zip file."""
    folder = tmp_path_factory.mktemp("elsewhere")
    archive = shutil.make_archive(str(folder / "package"), "zip", exported.path)
    shutil.unpack_archive(archive, folder / "unpacked")
    return folder / "unpacked"


def run(*words: str | Path, **more) -> subprocess.CompletedProcess:
    return subprocess.run(
        [*map(str, words)], capture_output=True, text=True, check=False, timeout=120, env={"PATH": os.defpath}, **more
    )


def test_it_holds_three_packages(python):
    done = run(python, "-c", "import importlib.metadata as m; print(*{one.name.lower() for one in m.distributions()})")
    assert set(done.stdout.split()) - {"pip", "setuptools"} == {"numpy", "onnxruntime", "pillow"}


def test_runtime_py_prints_what_the_model_predicts(python, elsewhere, model, testing):
    paths = [entry.location for entry in testing]
    done = run(python, "runtime.py", *paths, cwd=elsewhere)
    assert (done.returncode, done.stderr) == (0, "")
    for line, path in zip(done.stdout.splitlines(), paths, strict=True):
        known = model.predict(path).to_dict()
        assert json.loads(line) == {key: known[key] for key in ("source", "is_anomalous", "confidence", "score")}


def test_scores_maps_and_masks_are_the_models_to_the_last_bit(python, elsewhere, model, testing, tmp_path):
    paths = [entry.location for entry in testing]
    done = run(python, "-c", DUMP, elsewhere, tmp_path / "said.npz", *paths)
    assert done.returncode == 0, done.stderr
    said = np.load(tmp_path / "said.npz")
    for number, path in enumerate(paths):
        known = model.predict(path)
        assert float(said[f"score{number}"]) == known.score
        assert np.array_equal(said[f"map{number}"], known.map)
        assert np.array_equal(said[f"ids{number}"], known.mask.ids)


def test_it_checks_itself(python, elsewhere):
    done = run(python, elsewhere, "check")
    told = json.loads(done.stdout)
    assert done.returncode == 0 and told["holds"] and told["identical"] == told["images"]


def test_it_serves_what_the_hosted_model_says(python, elsewhere, model, testing, monkeypatch):
    import base64

    monkeypatch.delenv("PYTHONPATH", raising=False)
    with serving(elsewhere, python=python) as (port, _):
        for entry in testing[::5]:
            data = Path(entry.location).read_bytes()
            said = ask(port, "POST", "/detect", data)[1]["DetectAnomalyResult"]
            said["AnomalyMask"] = base64.b64decode(said["AnomalyMask"])
            assert said == result_of(model.predict(data))


def test_it_watches_a_folder_and_answers_as_the_model_does(python, elsewhere, model, testing, tmp_path):
    """Whatever lies there is answered once; a second run has nothing to do."""
    (tmp_path / "in").mkdir()
    for entry in testing[::4]:
        shutil.copy(entry.location, tmp_path / "in")
    for _ in range(2):
        done = run(python, elsewhere, "watch", tmp_path / "in", tmp_path / "out", "--once")
        assert done.returncode == 0, done.stdout + done.stderr
    lines = [json.loads(line) for file in (tmp_path / "out").glob("results-*.jsonl") for line in file.open()]
    assert len(lines) == len(testing[::4])
    for line in lines:
        known = model.predict(tmp_path / "in" / Path(line["source"]).name)
        assert (line["is_anomalous"], line["confidence"]) == (known.is_anomalous, known.confidence)
