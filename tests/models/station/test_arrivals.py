"""Which images are handed out, when, and how often."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models.station.conftest import until
from vision_toolkit.models.station.arrivals import Arrivals


def handed(arrivals: Arrivals) -> list[str]:
    return [arrival.source for arrival in arrivals.look()]


def age(path: Path, seconds: float) -> None:
    """Make a file older."""
    then = time.time() - seconds
    os.utime(path, (then, then))


def test_only_images_are_handed_out_once_from_all_folders_in_the_order_of_their_writing(tmp_path: Path) -> None:
    for number, name in enumerate(["c.png", "a.JPG", "deep/er/b.tiff", "notes.txt", ".hidden.png", ".trash/x.png"]):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
        age(path, 100 - number)
    (tmp_path / "folder.png").mkdir()
    arrivals = Arrivals(tmp_path, {}, still=1.0)
    assert handed(arrivals) == ["c.png", "a.JPG", "deep/er/b.tiff"]
    assert handed(arrivals) == []


def test_a_file_that_is_written_is_waited_for(tmp_path: Path) -> None:
    arrivals = Arrivals(tmp_path, {}, still=0.3)
    path = tmp_path / "slow.png"
    with path.open("wb", buffering=0) as file:
        for _ in range(6):
            file.write(b"part")
            assert handed(arrivals) == []
            time.sleep(0.1)
    written = time.monotonic()
    until(lambda: handed(arrivals) == ["slow.png"])
    assert 0.1 < time.monotonic() - written < 2


def test_a_file_that_is_renamed_comes_at_once(tmp_path: Path) -> None:
    arrivals = Arrivals(tmp_path, {}, still=60)
    arrivals.look()
    (tmp_path / ".part").write_bytes(b"whole")
    time.sleep(0.02)  # coarser than the clock of the disk
    (tmp_path / ".part").rename(tmp_path / "whole.png")
    assert handed(arrivals) == ["whole.png"]


def test_what_turns_out_not_to_be_whole_is_handed_out_again_when_it_is_still(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"half")
    age(tmp_path / "a.png", 100)
    arrivals = Arrivals(tmp_path, {}, still=0.2)
    (first,) = arrivals.look()
    assert not first.watched
    arrivals.again(first)
    assert handed(arrivals) == []
    time.sleep(0.25)
    (second,) = arrivals.look()
    assert second == first and second.watched


def test_an_image_that_is_overwritten_is_another_one(tmp_path: Path) -> None:
    path = tmp_path / "camera.png"
    arrivals = Arrivals(tmp_path, {}, still=0)
    seen = []
    for number in range(3):
        path.write_bytes(b"x" * (number + 1))
        arrivals._thorough = 0.0
        seen += [arrival.size for arrival in arrivals.look()]
    assert seen == [1, 2, 3]


def test_what_was_answered_is_left_but_known(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    (first,) = Arrivals(tmp_path, {}, still=0).look()
    arrivals = Arrivals(tmp_path, {first.number}, still=0)
    assert handed(arrivals) == []
    assert arrivals.left == [first] and arrivals.here == {"a.png": first.number}


def test_a_folder_may_go_and_come_back(tmp_path: Path) -> None:
    share = tmp_path / "share"
    arrivals = Arrivals(share, {}, still=0)
    assert handed(arrivals) == [] and not arrivals.is_there
    (share / "sub").mkdir(parents=True)
    (share / "sub" / "a.png").write_bytes(b"x")
    found: list[str] = []
    until(lambda: found.extend(handed(arrivals)) or found)
    assert found == ["sub/a.png"] and arrivals.is_there
    share.rename(tmp_path / "away")
    assert handed(arrivals) == [] and not arrivals.is_there
    (tmp_path / "away").rename(share)
    (share / "sub" / "b.png").write_bytes(b"x")
    until(lambda: found.extend(handed(arrivals)) or len(found) > 1)
    assert found == ["sub/a.png", "sub/b.png"]


def test_an_idle_folder_is_not_listed_and_a_new_name_costs_one_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(300):
        (tmp_path / f"{number}.png").write_bytes(b"x")
    arrivals = Arrivals(tmp_path, {}, still=0)
    assert len(arrivals.look()) == 300
    age(tmp_path, 10)  # as if nothing had come for a while
    arrivals.look()
    listed, asked = [], []
    scan, see = os.scandir, Arrivals._see
    monkeypatch.setattr(os, "scandir", lambda path: listed.append(path) or scan(path))
    monkeypatch.setattr(Arrivals, "_see", lambda self, name: asked.append(name) or see(self, name))
    assert handed(arrivals) == [] and listed == [] and asked == []
    (tmp_path / "new.png").write_bytes(b"x")
    assert handed(arrivals) == ["new.png"]
    assert len(listed) == 1 and set(asked) == {"new.png"}


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), max_size=12))
def test_whatever_is_written_each_state_that_is_seen_is_handed_out_once(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    """Size 0 stands for removing the file; a clock that never repeats stands for the disk's."""
    folder = tmp_path_factory.mktemp("in")
    arrivals = Arrivals(folder, {}, still=0)
    expected, got = [], []
    for number, (name, size) in enumerate(steps):
        path = folder / f"{name}.png"
        if size == 0:
            path.unlink(missing_ok=True)
        else:
            path.write_bytes(b"x" * size)
            os.utime(path, ns=(number, 10**15 + number * 10**9))
            expected.append((path.name, size, 10**15 + number * 10**9))
        arrivals._thorough = 0.0
        got += [(one.source, one.size, one.mtime_ns) for one in arrivals.look()]
    assert got == expected
