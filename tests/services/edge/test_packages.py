"""Packages as an agent takes them: named, verified, unpacked with nothing outside and nothing left behind."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.services.edge.conftest import failure
from vision_toolkit.core.errors import Failed, Invalid, NotFound, VisionError
from vision_toolkit.services.edge import packages
from vision_toolkit.services.edge.agent import Agent
from vision_toolkit.services.edge.packages import GivenPackage


@pytest.fixture
def package(made, tmp_path) -> Path:
    """Give a copy that a test may spoil."""
    return Path(shutil.copytree(made["masked"], tmp_path / "masked"))


def pack(folder: Path, path: Path, **more: bytes) -> Path:
    """Zip a package with further entries."""
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(folder))
        for name, data in more.items():
            archive.writestr(name, data)
    return path


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def describe(folder: Path, **changes) -> None:
    """Write into package.json, as an export that knows more does."""
    facts = json.loads((folder / "package.json").read_text("utf-8"))
    (folder / "package.json").write_text(json.dumps(facts | changes), "utf-8")


# ---------------------------------------------------------------- names


def test_a_package_is_called_as_it_says_or_as_its_folder_or_as_it_is_told(package, zipped, tmp_path):
    assert GivenPackage(str(package), tmp_path).name == "masked"
    assert GivenPackage(str(zipped), tmp_path).name == "masked"
    assert GivenPackage(f"line 7={package}".replace(" ", "-"), tmp_path).name == "line-7"
    describe(package, component={"name": "line7.Plates", "version": "1.0.0", "arn": "arn:aws:x"})
    one = GivenPackage(str(package), tmp_path)
    assert (one.name, one.arn) == ("line7.Plates", "arn:aws:x")
    assert GivenPackage(str(pack(package, tmp_path / "z.zip")), tmp_path).name == "line7.Plates"
    for strange in (None, 7, [], {"name": 7}, {}):
        describe(package, component=strange)
        assert GivenPackage(str(package), tmp_path).name == "masked"
    equals = package.rename(tmp_path / "a=b")
    assert GivenPackage(str(equals), tmp_path).path == equals


def test_a_name_that_no_component_has(package, tmp_path):
    for word in (f"a b={package}", f"{'n' * 129}={package}", f"☃={package}"):
        with pytest.raises(Invalid, match="NAME="):
            GivenPackage(word, tmp_path)


def test_two_packages_of_one_name(made, tmp_path, client):
    with pytest.raises(Invalid, match="Two packages are named 'masked'"):
        Agent([made["masked"], f"masked={made['plain']}"], folder=tmp_path / "edge")
    with pytest.raises(Invalid, match="no package to serve"):
        Agent([], folder=tmp_path / "edge")
    with Agent([made["masked"], f"two={made['masked']}"], folder=tmp_path / "edge", address="127.0.0.1:0") as agent:
        assert [one.model_component for one in client(agent.address).ListModels().models] == ["masked", "two"]


# ---------------------------------------------------------------- zip files


def test_a_zip_file_is_unpacked_once_and_mended_from_itself(zipped, made, tmp_path):
    one = GivenPackage(str(zipped), tmp_path / "packages")
    folder = one.ready()
    assert files(folder) == files(made["masked"]) and folder.parent == tmp_path / "packages"
    when = (folder / "model.onnx").stat().st_mtime_ns
    assert GivenPackage(str(zipped), tmp_path / "packages").ready() == folder
    assert (folder / "model.onnx").stat().st_mtime_ns == when
    (folder / "model.onnx").write_bytes(b"changed")
    assert one.ready() == folder and files(folder) == files(made["masked"])
    assert (folder / "model.onnx").read_bytes() == (made["masked"] / "model.onnx").read_bytes()
    assert {child.name for child in folder.parent.iterdir()} == {folder.name}


@pytest.mark.parametrize("name", ["../evil.txt", "/evil.txt", "golden/../../evil.txt", "..\\evil.txt", "C:evil.txt"])
def test_no_file_of_a_zip_lands_outside(package, tmp_path, name):
    path = tmp_path / "bad.zip"
    pack(package, path, **{name: b"evil"})
    with pytest.raises(Invalid, match="no plain file inside it"):
        GivenPackage(str(path), tmp_path / "packages").ready()
    assert not list((tmp_path / "packages").iterdir())
    assert not list(tmp_path.parent.rglob("evil.txt"))


def test_no_link_is_unpacked(package, tmp_path):
    link = zipfile.ZipInfo("passwords")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    path = pack(package, tmp_path / "bad.zip")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(Invalid, match="no plain file"):
        GivenPackage(str(path), tmp_path / "packages").ready()


def test_a_bomb_is_given_up(package, tmp_path, monkeypatch):
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(30_000_000))
    monkeypatch.setattr(packages, "MOST_BYTES", 20_000_000)
    with pytest.raises(Invalid, match="at most 20,000,000 bytes"):
        GivenPackage(str(path), tmp_path / "packages").ready()
    monkeypatch.setattr(packages, "MOST_FILES", 3)
    with pytest.raises(Invalid, match="at most 3"):
        GivenPackage(str(pack(package, tmp_path / "many.zip")), tmp_path / "packages").ready()
    assert not list((tmp_path / "packages").iterdir())


def test_what_is_no_package(made, tmp_path):
    (tmp_path / "words.zip").write_bytes(b"no zip file")
    (tmp_path / "empty.zip").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("a.txt", "a")
    for name, kind, words in (
        ("words.zip", Invalid, "damaged, or no zip file"), ("empty.zip", Invalid, "damaged, or no zip file"),
        ("folder", NotFound, "no package"), ("none.zip", NotFound, "no package"),
        ("other.zip", Invalid, r"other\.zip is no package"),
    ):  # fmt: skip
        with pytest.raises(kind, match=words):
            GivenPackage(str(tmp_path / name), tmp_path / "packages").ready()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.floats(0, 1, exclude_max=True), cut=st.booleans(), value=st.integers(0, 255))
def test_a_damaged_zip_file_is_told_or_is_whole(zipped, tmp_path, where, cut, value):
    data = bytearray(zipped.read_bytes())
    place = int(where * len(data))
    if cut:
        del data[place:]
    else:
        data[place] = value
    path = tmp_path / "damaged.zip"
    path.write_bytes(data)
    try:
        folder = GivenPackage(f"x={path}", tmp_path / "packages").ready()
    except VisionError as error:
        said = str(error)
    else:
        said = str(packages.verify_package(folder))
    assert str(tmp_path) in said
    shutil.rmtree(tmp_path / "packages", ignore_errors=True)


# ---------------------------------------------------------------- what was changed, and a disk that is full


def test_a_package_that_was_changed_is_never_served(package, made, tmp_path, client):
    whole = (package / "model.json").read_text("utf-8")
    (package / "model.json").write_text(whole.replace('"threshold"', '"threshold" '), "utf-8")
    with Agent([package, made["plain"]], folder=tmp_path / "edge", address="127.0.0.1:0") as agent:
        ask = client(agent.address)
        said = {one.model_component: one for one in ask.ListModels().models}
        assert said["masked"].status == 3 and "was changed after the export" in said["masked"].status_message
        ask.run("plain")
        assert ask.StartModel(model_component="masked").status == 1
        ask.until("masked", "FAILED")
        assert failure(lambda: ask.DetectAnomalies(model_component="masked", bitmap=GOOD))[0] == "FAILED_PRECONDITION"
        (package / "model.json").write_text(whole, "utf-8")
        ask.run("masked")
        assert ask.StopModel(model_component="masked").status == 0
        (package / "numpy.py").write_text("raise SystemExit")
        ask.StartModel(model_component="masked")
        ask.until("masked", "FAILED")
        assert "does not belong" in ask.DescribeModel(model_component="masked").model_description.status_message
        assert ask.StopModel(model_component="masked").status == 0, "one that failed can be given up"


GOOD = {"width": 64, "height": 64, "byte_data": bytes(64 * 64 * 3)}

FULL = """
import resource, signal, sys
from pathlib import Path
from vision_toolkit.core.errors import Failed
from vision_toolkit.services.edge.packages import GivenPackage
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    GivenPackage(sys.argv[1], Path(sys.argv[2])).ready()
except Failed as error:
    print(error)
"""


def test_a_disk_that_is_full_while_unpacking_leaves_nothing(zipped, tmp_path):
    """A limit of the system's stands for the end of the disk: real writes that really fail."""
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(zipped), str(tmp_path / "packages")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "File too large" in done.stdout
    assert not list((tmp_path / "packages").iterdir())
    assert GivenPackage(str(zipped), tmp_path / "packages").ready().is_dir()


def test_a_disk_that_is_full_refuses_a_wish_and_loses_none(made, tmp_path, client, monkeypatch):
    with Agent([made["plain"], made["masked"]], folder=tmp_path / "edge", address="127.0.0.1:0") as agent:
        ask = client(agent.address)
        ask.run("plain")
        before = (tmp_path / "edge" / "running.json").read_bytes()
        assert json.loads(before) == {"running": ["plain"]}

        def full(handle):
            raise OSError(28, os.strerror(28))

        monkeypatch.setattr(os, "fsync", full)
        for call, name in (("StopModel", "plain"), ("StartModel", "masked")):
            code, words = failure(lambda call=call, name=name: getattr(ask, call)(model_component=name))
            assert code == "RESOURCE_EXHAUSTED" and "No space left" in words
        assert (ask.status("plain"), ask.status("masked")) == ("RUNNING", "STOPPED")
        assert {path.name for path in (tmp_path / "edge").iterdir()} == {"lock", "running.json"}
        assert (tmp_path / "edge" / "running.json").read_bytes() == before
        monkeypatch.undo()
        assert ask.StopModel(model_component="plain").status == 0


def test_wishes_that_cannot_be_read_start_nothing_and_are_told(made, tmp_path, client, caplog):
    (tmp_path / "edge").mkdir()
    (tmp_path / "edge" / "running.json").write_text('{"running": [')
    with Agent([made["plain"]], folder=tmp_path / "edge", address="127.0.0.1:0") as agent:
        assert client(agent.address).status("plain") == "STOPPED"
    assert "cannot be read" in caplog.text


def test_what_earlier_packages_left_is_removed(zipped, made, tmp_path):
    old = tmp_path / "edge" / "packages" / "old-0123456789abcdef"
    old.mkdir(parents=True)
    (old / "model.onnx").write_bytes(b"old")
    agent = Agent([zipped], folder=tmp_path / "edge", address="127.0.0.1:0")
    agent.stop()
    (left,) = (tmp_path / "edge" / "packages").iterdir()
    assert left == agent.components["masked"].package.unpacked


def test_a_folder_that_cannot_be_made(made, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Failed, match="cannot be used"):
        Agent([made["plain"]], folder=tmp_path / "file" / "edge")
