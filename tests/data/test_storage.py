"""Files and folders that are whole or not there."""

from __future__ import annotations

import errno
import stat

import pytest

from vision_toolkit.core import Conflict, Failed, Invalid, NotFound, Unsupported
from vision_toolkit.data import storage
from vision_toolkit.data.storage import check_folder, exists, new_folder, read_bytes, write_file


def left(folder):
    return sorted(p.name for p in folder.iterdir())


def test_a_write_that_fails_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    target = tmp_path / "a.bin"
    write_file(target, b"old")

    def full(fd):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(storage.os, "fsync", full)
    with pytest.raises(Failed, match="No space left on device"):
        write_file(target, b"new", overwrite=True)
    with pytest.raises(Failed, match="No space left"):
        write_file(tmp_path / "b.bin", b"new")
    assert target.read_bytes() == b"old" and left(tmp_path) == ["a.bin"]


def test_an_interrupt_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(fd):
        raise KeyboardInterrupt

    monkeypatch.setattr(storage.os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_file(tmp_path / "a", b"x")

    def build():
        with new_folder(tmp_path / "model") as folder:
            (folder / "half").write_text("x")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build()
    assert left(tmp_path) == []


def test_files_have_the_usual_rights(tmp_path):
    (tmp_path / "plain").write_text("x")
    mode = stat.S_IMODE((tmp_path / "plain").stat().st_mode)
    assert stat.S_IMODE(write_file(tmp_path / "ours", b"x").stat().st_mode) == mode


def test_a_folder_appears_whole_and_replaces_only_its_own_kind(tmp_path):
    target = tmp_path / "deep" / "model"
    with new_folder(target, names=("model.json",)) as folder:
        (folder / "model.json").write_text("1")
        assert not target.exists()
    with pytest.raises(Conflict, match="overwrite=True"), new_folder(target, names=("model.json",)):
        pytest.fail("not reached")
    with new_folder(target, overwrite=True, names=("model.json",)) as folder:
        (folder / "model.json").write_text("2")
    assert (target / "model.json").read_text() == "2" and left(target.parent) == ["model"]
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "holiday.jpg").write_text("precious")
    with (
        pytest.raises(Conflict, match="left alone"),
        new_folder(tmp_path / "photos", overwrite=True, names=("model.json",)),
    ):
        pytest.fail("not reached")
    assert (tmp_path / "photos" / "holiday.jpg").read_text() == "precious"
    (target / "notes.txt").write_text("mine")
    with pytest.raises(Conflict, match=r"holds notes\.txt.*left alone"):
        check_folder(target, overwrite=True, names=("model.json",))
    (tmp_path / "empty").mkdir()
    with new_folder(tmp_path / "empty") as folder:
        (folder / "a").write_text("x")
    assert left(tmp_path / "empty") == ["a"]


def test_a_file_is_no_folder_and_a_folder_is_no_file(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(Conflict, match="is a file"), new_folder(tmp_path / "file", overwrite=True):
        pytest.fail("not reached")
    with pytest.raises(Invalid, match="is a folder"):
        write_file(tmp_path, b"x", overwrite=True)
    with pytest.raises(Invalid):
        read_bytes(tmp_path)
    with pytest.raises(NotFound):
        read_bytes(tmp_path / "none")


def test_other_places_go_through_fsspec():
    import fsspec

    with fsspec.open("memory://bucket/a b.txt", "wb") as file:
        file.write(b"42")
    assert read_bytes("memory://bucket/a b.txt") == b"42"
    assert exists("memory://bucket/a b.txt") and not exists("memory://bucket/none")
    with pytest.raises(NotFound):
        read_bytes("memory://bucket/none")


def test_a_place_that_needs_another_package_says_which_and_the_way_around():
    with pytest.raises(Unsupported, match=r"s3fs|protocol") as caught:
        read_bytes("nowhere-at-all://bucket/key")
    assert "images=" in str(caught.value)
