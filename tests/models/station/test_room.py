"""Disks that are full, and results that are old or too many."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.models.station.conftest import Line, lines, png, status, until
from vision_toolkit.models.station import inspection as inspections
from vision_toolkit.models.station import room as rooms
from vision_toolkit.models.station.room import Room, write_whole


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Give a disk of four megabytes."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("nobody may mount a small disk here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill_up(path: Path) -> None:
    """Write until the disk is full."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 1000)


def test_on_a_disk_that_runs_full_nothing_is_lost_and_it_goes_on_by_itself(line: Line, small_disk: Path) -> None:
    line.out = small_disk / "out"
    with line.running(overlays="all") as inspection:
        line.drop("0.png", png(10))
        until(lambda: inspection.journal.sequence == 1)
        until((line.out / "status.json").is_file)
        fill_up(small_disk / "others")
        for number in range(1, 40):
            line.drop(f"{number}.png", png(10))
        until(lambda: inspection.trouble and "cannot be written" in inspection.trouble)
        stuck = inspection.journal.sequence
        assert stuck < 40
        assert [one["sequence"] for one in lines(line.out)] == list(range(1, stuck + 1))  # no torn line
        (small_disk / "others").unlink()
        until(lambda: inspection.journal.sequence == 40)
        until(lambda: status(line.out)["answered"] == 40 and status(line.out)["state"] == "running")
    assert sorted(one["source"] for one in lines(line.out)) == sorted(f"{number}.png" for number in range(40))
    assert status(line.out)["without_pictures"] > 0


def test_a_disk_that_is_full_from_the_start_is_waited_for(line: Line, small_disk: Path) -> None:
    line.out = small_disk / "out"
    line.drop("1.png", png(10))
    fill_up(small_disk / "others")
    program = (
        "import sys\nfrom pathlib import Path\n"
        "from tests.models.station.conftest import fake\nfrom vision_toolkit.models.station.watch import main\n"
        "sys.exit(main([*sys.argv[2:], '--free-megabytes', '0', '--run', 'true'], "
        "folder=Path(sys.argv[1]), runtime=fake()))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(line.package), str(line.source), str(line.out)],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    assert "No space left" in process.stderr.readline()
    (small_disk / "others").unlink()
    until(lambda: list(line.out.glob("results-*")) and len(lines(line.out)) == 1)
    process.terminate()
    process.communicate(timeout=30)
    assert process.returncode == 0


def test_where_room_is_short_pictures_go_first_then_no_images_are_taken(
    line: Line, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    free = {"bytes": 20_000_000}
    monkeypatch.setattr(rooms, "free_bytes", lambda folder: free["bytes"])
    with line.running(overlays="all", free_megabytes=10) as inspection:
        line.drop("1.png", png(10))
        until(lambda: inspection.journal.sequence == 1)
        free["bytes"] = 9_000_000
        line.drop("2.png", png(10))
        until(lambda: inspection.journal.sequence == 2)
        free["bytes"] = 4_000_000
        line.drop("3.png", png(10))
        until(lambda: status(line.out)["state"] == "no room")
        assert status(line.out)["disk"] | {"used_megabytes": 0, "removed": 0} == {
            "free_megabytes": 4.0, "used_megabytes": 0, "pictures": False, "taking": False, "removed": 0,
        }  # fmt: skip
        assert inspection.journal.sequence == 2
        free["bytes"] = 5_000_000
        until(lambda: inspection.journal.sequence == 3)
        free["bytes"] = 10_000_000
        line.drop("4.png", png(10))
        until(lambda: inspection.journal.sequence == 4)
    assert [one["overlay"] is not None for one in lines(line.out)] == [True, False, False, True]
    said = capsys.readouterr().err
    assert "no room: 4 MB are free, and it takes 5 MB" in said and "Going on." in said


def test_once_on_a_full_disk_ends_with_one(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    line.drop("1.png", png(10))
    monkeypatch.setattr(rooms, "free_bytes", lambda folder: 0)
    assert line.once("--free-megabytes", "10") == 1
    assert lines(line.out) == []
    monkeypatch.undo()
    assert line.once() == 0 and len(lines(line.out)) == 1


def test_a_write_that_stops_half_way_leaves_no_part_of_a_line(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """As disks do: the first part is taken, then there is no room; sometimes the file cannot even be cut off."""
    write, truncate = os.write, os.ftruncate
    faults, cuts = {"left": 9}, itertools.count()

    def half(file: int, data: bytes) -> int:
        if bytes(data[:1]) != b"{" or not faults["left"]:
            return write(file, data)
        faults["left"] -= 1
        write(file, bytes(data)[: len(data) // 2])
        raise OSError(28, "No space left on device")

    def refuse(file: int, length: int) -> None:
        if next(cuts) % 3 == 1:
            raise OSError(5, "Input/output error")
        truncate(file, length)

    monkeypatch.setattr(os, "write", half)
    monkeypatch.setattr(os, "ftruncate", refuse)
    for number, brightness in ((1, 10), (2, 240)):
        os.utime(line.drop(f"{number}.png", png(brightness)), (1e9 + number,) * 2)
    with line.running() as inspection:
        until(lambda: inspection.journal.sequence == 2)
    assert faults["left"] == 0
    assert [one["source"] for one in lines(line.out)] == ["1.png", "2.png"]


def day(out: Path, name: str, *, lines: int, pictures: int = 0, first: int = 1) -> None:
    """Write the results of a day."""
    folder = out / "pictures" / name
    folder.mkdir(parents=True)
    rest = {"size": 9, "is_anomalous": False, "score": 0.1, "padding": "x" * 900}
    rows = [{"sequence": n, "source": f"{n}.png", "mtime_ns": n} | rest for n in range(first, first + lines)]
    for number in range(first, first + pictures):
        (folder / f"{number:09}-overlay.jpg").write_bytes(b"x" * 10_000)
    (out / f"results-{name}.jsonl").write_bytes(b"".join(json.dumps(row).encode() + b"\n" for row in rows))
    (out / f"histogram-{name}.json").write_text("{}")


def there(out: Path) -> tuple[list[str], int]:
    days = sorted(path.stem.removeprefix("results-") for path in out.glob("results-*"))
    return days, len(list(out.glob("pictures/*/*.jpg")))


def test_the_oldest_pictures_go_first_then_delivered_lines_never_today_s(tmp_path: Path) -> None:
    for number, name in enumerate(["2026-01-01", "2026-01-02", "2026-01-03"]):
        day(tmp_path, name, lines=100, pictures=20, first=1 + 100 * number)
    (tmp_path / "pictures" / "2026-01-01" / "mine.txt").write_text("x")
    kept: list[str] = []
    room = Room(tmp_path, keep_days=None, most=600_000, least_free=0)
    assert 890_000 < room.used < 920_000
    room.look("2026-01-03", "2026-01-03", lambda: kept.append("known"))
    assert there(tmp_path) == (["2026-01-01", "2026-01-02", "2026-01-03"], 26) and room.used <= 600_000
    assert not list((tmp_path / "pictures" / "2026-01-01").glob("*.jpg")) and kept == []
    room = Room(tmp_path, keep_days=None, most=250_000, least_free=0)
    room.look("2026-01-03", "2026-01-02", lambda: kept.append("known"))
    assert there(tmp_path) == (["2026-01-02", "2026-01-03"], 0)  # the second day has still to be delivered
    assert kept == ["known"] and not (tmp_path / "histogram-2026-01-01.json").exists()
    room = Room(tmp_path, keep_days=None, most=50_000, least_free=0)
    room.look("2026-01-03", "2026-01-03", lambda: None)
    assert there(tmp_path) == (["2026-01-03"], 0)
    assert room.crowded and not room.pictures and room.taking
    assert (tmp_path / "pictures" / "2026-01-01" / "mine.txt").is_file()  # it is not ours


def test_what_is_older_than_so_many_days_goes(tmp_path: Path) -> None:
    for number, name in enumerate(["2026-01-01", "2026-01-02", "2026-01-31", "2026-02-01"]):
        day(tmp_path, name, lines=2, pictures=2, first=1 + 2 * number)
    room = Room(tmp_path, keep_days=30, most=None, least_free=0)
    room.look("2026-02-01", "2026-01-01", lambda: None)
    assert there(tmp_path) == (["2026-01-01", "2026-01-02", "2026-01-31", "2026-02-01"], 6)  # not delivered yet
    room.look("2026-02-01", "2026-02-01", lambda: None)
    assert there(tmp_path) == (["2026-01-02", "2026-01-31", "2026-02-01"], 6)


def test_images_whose_lines_were_removed_are_not_answered_again(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    today = {"day": "2026-01-01"}
    monkeypatch.setattr(inspections, "_today", lambda: today["day"])
    line.drop("old.png", png(10))
    assert line.once("--keep-days", "1") == 0
    today["day"] = "2026-01-09"
    line.drop("new.png", png(10))
    assert line.once("--keep-days", "1") == 0
    assert [one["source"] for one in lines(line.out)] == ["new.png"]
    assert line.once("--keep-days", "1") == 0
    assert [(one["source"], one["sequence"]) for one in lines(line.out)] == [("new.png", 2)]
    assert sorted(path.name for path in line.source.iterdir()) == ["new.png", "old.png"]


def test_a_file_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    write_whole(path, b"old", durable=True)
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old" and [one.name for one in tmp_path.iterdir()] == ["a.json"]
