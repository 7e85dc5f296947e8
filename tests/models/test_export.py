"""A package: it answers as the model does without this toolkit, or it is never there."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import vision_toolkit as vt
from vision_toolkit.core import Conflict, Failed, Invalid, NotFound, Task
from vision_toolkit.models import export as export_module
from vision_toolkit.models import runtime, station
from vision_toolkit.models.export import Parity, verify_package
from vision_toolkit.models.model import MODEL_FILES
from vision_toolkit.models.station.files import sha256
from vision_toolkit.models.train import train


@pytest.fixture
def package(exported, tmp_path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(exported.path, tmp_path / "package"))


@pytest.fixture(scope="module")
def memory(training):
    """A model of normal images alone: no types, and sure of whatever is none of them."""
    return train(training.filter(label="normal"), weights=None, preset="fast", threads=2)


STATION = sorted(Path(station.__file__).parent.glob("*.py"))


def run(folder: Path, *images: str, cwd: Path | None = None) -> tuple[int, list[dict], str]:
    command = [sys.executable, str(folder / "runtime.py"), *images]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=cwd)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def edit_json(file: Path, **changes) -> None:
    file.write_text(json.dumps(json.loads(file.read_text("utf-8")) | changes), "utf-8")


# What a package is


def test_a_package_holds_the_model_the_program_and_proof(exported, model):
    folder = exported.path
    golden = {f"golden/{number:02}{kind}.png" for number in range(1, 7) for kind in ("", "-mask")}
    words = {"package.json", "requirements.txt", "README.md", "Dockerfile", "inspection.service"}
    program = {"runtime.py", "__main__.py", *(f"station/{file.name}" for file in STATION)}
    assert files(folder) == {*MODEL_FILES, *words, *program, "golden/answers.json", *golden}
    assert (folder / "runtime.py").read_bytes() == Path(runtime.__file__).read_bytes()
    assert all((folder / "station" / file.name).read_bytes() == file.read_bytes() for file in STATION)
    assert json.loads((folder / "model.json").read_text("utf-8")) == json.loads(json.dumps(model.info))
    needed = dict(line.split("==") for line in (folder / "requirements.txt").read_text().split())
    assert needed == {name: model.info["versions"][name] for name in ("numpy", "onnxruntime", "pillow")}
    facts = json.loads((folder / "package.json").read_text("utf-8"))
    assert facts["format"] == 2 and facts["drawn"] is False and set(facts["files"]) == files(folder) - {"package.json"}
    assert facts["component"] is None and set(facts["parts"]["program"]) == program
    assert sorted(name for part in facts["parts"].values() for name in part) == sorted(facts["files"])


def test_what_was_measured_is_told(exported):
    parity = exported.parity
    assert parity.holds and (parity.images, parity.verdicts_equal) == (6, 6)
    assert parity.score_difference <= 1e-3 and parity.mask_iou >= 0.99
    assert 0 < exported.seconds < 60
    assert exported.size == sum((exported.path / name).stat().st_size for name in files(exported.path))
    text = str(exported)
    assert "6 of 6 verdicts equal" in text and "ms an image" in text and "drawn" not in text
    readme = (exported.path / "README.md").read_text("utf-8")
    assert str(parity) in readme and f"{1000 * exported.seconds:.1f} ms an image" in readme


def test_golden_answers_are_those_of_the_model(exported, model, testing):
    golden = json.loads((exported.path / "golden" / "answers.json").read_text("utf-8"))
    assert len({answer["is_anomalous"] for answer in golden["answers"]}) == 2
    for answer, entry in zip(golden["answers"], [*testing[:3], *testing[-3:]], strict=True):
        p = model.predict(entry)
        assert (answer["is_anomalous"], answer["confidence"]) == (p.is_anomalous, p.confidence)
        assert answer["score"] == p.score and answer["areas"] == p.areas()
        assert np.array_equal(vt.data.read_image(exported.path / answer["image"]), vt.data.read_image(entry))
        assert np.array_equal(vt.data.read_image(exported.path / answer["mask"]), p.mask.to_rgb())


def test_without_golden_images_patterns_are_drawn_and_that_is_said(memory, tmp_path):
    export = memory.export(tmp_path / "p")
    assert export.drawn and "golden images are drawn patterns" in str(export)
    assert "were drawn" in (export.path / "README.md").read_text("utf-8")
    assert memory.task is Task.CLASSIFICATION and export.parity.mask_iou is None and "IoU" not in str(export)
    golden = json.loads((export.path / "golden" / "answers.json").read_text("utf-8"))
    assert len(golden["answers"]) == 8 and min(answer["score"] for answer in golden["answers"]) > 0.99
    sizes = {vt.data.read_image(export.path / answer["image"]).shape for answer in golden["answers"]}
    assert len(sizes) > 1 and not any("mask" in answer for answer in golden["answers"])


def test_the_toolkit_loads_a_package_as_a_model(exported, model, testing):
    again = vt.load(exported.path)
    for entry in testing[::4]:
        one, two = model.predict(entry), again.predict(entry)
        assert one.to_dict() == two.to_dict() and np.array_equal(one.mask.ids, two.mask.ids)


# The program


def test_the_program_prints_what_the_model_predicts_wherever_it_lies(package, model, testing, tmp_path):
    moved = Path(shutil.move(package, tmp_path / "an anderem Ort"))
    paths = [entry.location for entry in testing[::3]]
    code, lines, errors = run(moved, *paths, cwd=tmp_path)
    assert (code, errors) == (0, "")
    wanted = ("source", "is_anomalous", "confidence", "score")
    expected = [model.predict(path).to_dict() for path in paths]
    for line, one in zip(lines, expected, strict=True):
        assert tuple(line) == wanted
        assert line == pytest.approx({key: one[key] for key in wanted}, abs=2e-6)
    assert verify_package(moved).path == moved  # running it left nothing behind


def test_bad_input_is_a_line_and_an_exit_code_never_a_traceback(package, testing, tmp_path):
    good = testing[0].location
    whole = Path(good).read_bytes()
    bad = {"words.png": b"no image", "empty.png": b"", "cut.png": whole[: len(whole) // 2], "head.png": whole[:30]}
    for name, data in bad.items():
        (tmp_path / name).write_bytes(data)
    paths = [*(str(tmp_path / name) for name in bad), str(tmp_path / "none.png"), str(tmp_path), good]
    code, lines, errors = run(package, *paths)
    assert (code, errors) == (1, "") and [line["source"] for line in lines] == paths
    for line in lines[:-1]:
        assert set(line) == {"source", "error"} and line["error"] and "0x" not in line["error"]
    assert "No such file" in lines[4]["error"] and "is_anomalous" in lines[-1]
    code, lines, errors = run(package, str(tmp_path / "none.png"))
    assert (code, len(lines), errors) == (1, 1, "")


@pytest.mark.parametrize("name", ["model.json", "model.onnx"])
def test_a_damaged_package_is_a_line_too(package, testing, name):
    (package / name).write_bytes(b"other")
    code, lines, errors = run(package, testing[0].location)
    assert (code, errors) == (1, "") and len(lines) == 1 and "cannot be loaded" in lines[0]["error"]


def test_without_images_the_program_says_how_it_is_used(package):
    done = subprocess.run([sys.executable, package / "runtime.py"], check=False, capture_output=True, text=True)
    assert done.returncode == 2 and "runtime.py IMAGE..." in done.stdout


# The gate


def replaced(old: str, new: str):
    def tamper(file: Path) -> None:
        text = file.read_text("utf-8")
        assert old in text
        file.write_text(text.replace(old, new), "utf-8")

    return tamper


def darkened(file: Path) -> None:
    """Let the network divide pixels by 300 where it divided by 255: a graph that loads, and sees a little otherwise."""
    data, old, new = file.read_bytes(), struct.pack("<f", 255.0), struct.pack("<f", 300.0)
    assert data.count(old) == 1
    file.write_bytes(data.replace(old, new))


TAMPERED = {
    "threshold": ("model.json", lambda f: edit_json(f, threshold=0.9999), r"[0-5] of 6 verdicts equal"),
    "colours": ("model.json", lambda f: edit_json(f, colours=["#FFFFFF", "#000001", "#000002"]), r"colours .*, not"),
    "network": ("model.onnx", darkened, r"largest score difference 0\.\d+ \(allowed 0\.001\).*worst is golden/0"),
    "sigmoid": ("runtime.py", replaced("float(score)", "0.998 * float(score)"), r"largest score difference 0\.00"),
    "mask": ("runtime.py", replaced("part[..., number] > most", "part[..., number] < most"), r"lowest mask IoU 0\.0"),
    "toolkit": ("runtime.py", replaced("import numpy as np\n", "import numpy as np\nimport vision_toolkit\n"),
                "vision_toolkit may not be imported"),
    "scipy": ("runtime.py", replaced("            feeds =", "            import scipy.ndimage\n            feeds ="),
              "scipy may not be imported"),
    "nonsense": ("runtime.py", replaced("def main(", "def main(("), "SyntaxError"),
    "beside": ("station/serve.py", replaced("import base64\n", "import base64\nimport scipy\n"),
               "scipy may not be imported"),
    "keys": ("runtime.py", replaced('"is_anomalous": anomalous', '"anomalous": anomalous'), "cannot be understood"),
    "ids": ("runtime.py", replaced("most] = number", "most] = number + 9"), "cannot be understood.*ids go up to"),
    "cut": ("model.onnx", lambda f: f.write_bytes(f.read_bytes()[:1000]), "does not"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "tamper", "said"), TAMPERED.values(), ids=TAMPERED)
def test_a_package_that_answers_otherwise_is_never_there(model, testing, tmp_path, monkeypatch, name, tamper, said):
    write = export_module._write_model

    def write_and_tamper(model, folder):
        write(model, folder)
        tamper(folder / name)

    monkeypatch.setattr(export_module, "_write_model", write_and_tamper)
    with pytest.raises(Failed, match=said):
        model.export(tmp_path / "p", golden=[*testing[:3], *testing[-3:]])
    assert list(tmp_path.iterdir()) == []


def test_drawn_patterns_show_a_small_fault_although_their_scores_are_sure(model, tmp_path, monkeypatch):
    write = export_module._write_model

    def write_and_tamper(model, folder):
        write(model, folder)
        graph = onnx.load(folder / "model.onnx")
        (bias,) = [one for one in graph.graph.initializer if list(one.dims) == [1, 1]]
        bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) + np.float32(0.02), bias.name))
        onnx.save(graph, folder / "model.onnx")

    monkeypatch.setattr(export_module, "_write_model", write_and_tamper)
    with pytest.raises(Failed, match=r"largest score difference 0\.005 "):
        model.export(tmp_path / "p")


@pytest.mark.parametrize(
    ("parity", "holds"),
    [
        (Parity(3, 3, 1e-3, 0.99), True),
        (Parity(3, 3, 0.0, None), True),
        (Parity(3, 2, 0.0, 1.0), False),
        (Parity(3, 3, 1.1e-3, 1.0), False),
        (Parity(3, 3, 0.0, 0.989), False),
        (Parity(3, 3, float("nan"), 1.0), False),
    ],
)
def test_where_the_gate_closes(parity, holds):
    assert parity.holds is holds


# Verifying


def test_a_whole_package_is_verified_and_replayed(package, exported):
    told = verify_package(package)
    assert (told.parity, told.seconds, told.size) == (exported.parity, exported.seconds, exported.size)
    again = verify_package(package, replay=True)
    assert again.parity.holds and again.parity.images == 6 and again.seconds != exported.seconds
    assert files(package) == files(exported.path)


@pytest.mark.parametrize("name", ["model.onnx", "runtime.py", "golden/02-mask.png", "README.md"])
def test_a_changed_or_missing_file_is_named(package, name):
    file = package / name
    data = file.read_bytes()
    file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(Invalid, match=f"{name} was changed"):
        verify_package(package)
    file.unlink()
    with pytest.raises(Invalid, match=f"{name} is missing"):
        verify_package(package)


def test_a_strange_file_is_named_for_it_could_stand_in_for_a_library(package):
    (package / "numpy.py").write_text("raise SystemExit")
    with pytest.raises(Invalid, match=r"numpy\.py does not belong"):
        verify_package(package)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": 3}, "format 3"),
        ({"files": {}}, "does not list"),
        ({"parity": 1}, "damaged"),
        ({"files": 1}, "damag"),
    ],
)
def test_a_damaged_list_is_told(package, changes, said):
    edit_json(package / "package.json", **changes)
    with pytest.raises(Invalid, match=said):
        verify_package(package)


def test_what_is_no_package_is_told(package, model, tmp_path):
    with pytest.raises(NotFound, match=r"package\.json is missing"):
        verify_package(model.save(tmp_path / "m"))
    (package / "package.json").write_bytes(b"\xff{")
    with pytest.raises(Invalid, match="damaged"):
        verify_package(package)


def test_replay_finds_what_checksums_cannot(package):
    edit_json(package / "model.json", threshold=0.9999)
    listed = json.loads((package / "package.json").read_text("utf-8"))["files"]
    edit_json(package / "package.json", files=listed | {"model.json": sha256(package / "model.json")})
    verify_package(package)
    with pytest.raises(Failed, match="verdicts equal"):
        verify_package(package, replay=True)


def test_a_package_of_the_first_format_is_read_verified_replayed_and_replaced(package, model, testing):
    """They had neither what serves nor what delivers."""
    shutil.rmtree(package / "station")
    for name in ("__main__.py", "Dockerfile", "inspection.service"):
        (package / name).unlink()
    facts = json.loads((package / "package.json").read_text("utf-8"))
    listed = {name: digest for name, digest in facts["files"].items() if (package / name).exists()}
    first = {key: value for key, value in facts.items() if key not in ("component", "parts")}
    (package / "package.json").write_text(json.dumps(first | {"format": 1, "files": listed}), "utf-8")
    assert verify_package(package, replay=True).parity.holds
    assert vt.load(package).predict(testing[0]).score == model.predict(testing[0]).score
    model.export(package, golden=testing[:1], overwrite=True)
    assert json.loads((package / "package.json").read_text("utf-8"))["format"] == 2


def test_a_package_without_its_program_is_none(package):
    listed = json.loads((package / "package.json").read_text("utf-8"))["files"]
    edit_json(package / "package.json", files={k: v for k, v in listed.items() if k != "__main__.py"})
    (package / "__main__.py").unlink()
    with pytest.raises(Invalid, match=r"does not list __main__\.py"):
        verify_package(package)


# Where it is written, and what is given


def test_an_older_package_is_replaced_only_when_asked(package, model, testing):
    before = json.loads((package / "package.json").read_text("utf-8"))["files"]
    with pytest.raises(Conflict, match="overwrite=True"):
        model.export(package, golden=testing[:1])
    model.export(package, golden=[*testing[:3], *testing[-3:]], overwrite=True)
    after = json.loads((package / "package.json").read_text("utf-8"))["files"]
    same = {name for name in before if before[name] == after[name]}
    assert same >= set(before) - {"README.md"}  # the README tells the speed, which is another each time
    verify_package(package)


def test_what_was_not_made_here_is_left_alone(package, model, testing, tmp_path):
    golden = testing[:1]
    with pytest.raises(Conflict, match="left alone"):
        model.export(model.save(tmp_path / "m"), golden=golden, overwrite=True)
    (tmp_path / "file").write_text("precious")
    with pytest.raises(Conflict, match="is a file"):
        model.export(tmp_path / "file", golden=golden, overwrite=True)
    (package / "golden" / "notes.txt").write_text("precious")
    with pytest.raises(Conflict, match=r"golden/notes\.txt"):
        model.export(package, golden=golden, overwrite=True)
    assert (package / "golden" / "notes.txt").read_text() == "precious"


def test_a_failed_export_leaves_the_older_package(package, model, testing, monkeypatch):
    real = export_module._write_golden

    def write_and_tamper(model, folder, images, *, drawn):
        real(model, folder, images, drawn=drawn)
        (folder / "golden" / "01.png").write_bytes(b"no image")

    monkeypatch.setattr(export_module, "_write_golden", write_and_tamper)
    with pytest.raises(Failed, match="no image that can be read"):
        model.export(package, golden=testing[:1], overwrite=True)
    verify_package(package)


@pytest.mark.parametrize(
    ("golden", "error", "said"),
    [
        ([], Invalid, "none were given"),
        ([np.zeros((8, 8, 3), np.uint8)] * 100, Invalid, "more were given"),
        ("a.png", Invalid, "Put it in"),
        (np.zeros((8, 8, 3), np.uint8), Invalid, "Put it in"),
        ([b"no image"], Invalid, "no image"),
        (["nowhere.png"], NotFound, "nowhere"),
    ],
)
def test_bad_golden_images_are_told_before_anything_is_written(model, tmp_path, golden, error, said):
    with pytest.raises(error, match=said):
        model.export(tmp_path / "p", golden=golden)
    assert list(tmp_path.iterdir()) == []
