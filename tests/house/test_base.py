"""The base installation alone goes the whole way: no torch, no notebook packages."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]

SCRIPT = """
import importlib.abc, sys
BLOCKED = set(sys.argv[1].split(","))
class Guard(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"{name} is not in the base installation", name=name)
sys.meta_path.insert(0, Guard())
import vision_toolkit as vt
from vision_toolkit.models.report import write_report
parts = vt.load_dataset("biscuit")
parts = parts.filter(label="normal")[:12] + parts.filter(label="anomaly")[:8]
assert not [f for f in parts.check() if f.severity == "error"]
train, test = vt.train_test_split(parts, test_size=0.3, seed=0)
model = vt.train(train, preset="fast", progress=False, threads=2)
evaluation = model.evaluate(test)
model.save(sys.argv[2] + "/model")
assert vt.load(sys.argv[2] + "/model").predict(test[0]).score == model.predict(test[0]).score
assert model.export(sys.argv[2] + "/package", golden=test).parity.holds
with vt.Workspace(sys.argv[2] + "/workspace", run="inline") as workspace:
    client = vt.LookoutVision(workspace)
    client.create_project(ProjectName="parts")
    client.create_dataset(ProjectName="parts", DatasetType="train")
    assert client.describe_project(ProjectName="parts")["ProjectDescription"]["Datasets"][0]["DatasetType"] == "train"
with vt.serve(sys.argv[2] + "/workspace") as server:
    import urllib.request
    with urllib.request.urlopen(server.url + "/2020-11-20/projects") as answer:
        assert b'"parts"' in answer.read()
page = write_report(model, evaluation, test, sys.argv[2], worst=2, best=1)
assert not BLOCKED & {name.partition(".")[0] for name in sys.modules if sys.modules[name] is not None}
print(evaluation.n, page.name, model.info["backbone"]["pretrained"])
"""


def extras() -> set[str]:
    """Return the import names of everything that only an extra brings."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    names = {
        re.split(r"[\s<>=\[]", item)[0]
        for kind in ("torch", "lab", "s3")
        for item in project["optional-dependencies"][kind]
    }
    base = {re.split(r"[\s<>=\[]", item)[0] for item in project["dependencies"]}
    return {name.replace("-", "_") for name in names - base} | {"grpc"}


def test_without_the_extras_a_model_is_trained_judged_kept_and_reported(tmp_path):
    blocked = extras()
    assert {"torch", "timm", "torchvision", "jupyterlab"} <= blocked
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, ",".join(blocked), str(tmp_path)],
        capture_output=True, text=True, check=False, env=os.environ | {"VISION_TOOLKIT_CACHE": str(tmp_path / "cache")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["6", "report.html", "True"]
