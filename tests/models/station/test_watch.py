"""A package watches a folder, as a process of its own, and says what the model says."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.models.station.conftest import Brightness, Line, lines, png, status, until
from vision_toolkit.core import Mask
from vision_toolkit.data.images import encode_png, read_image, read_mask
from vision_toolkit.data.manifest import Manifest
from vision_toolkit.models.model import Model
from vision_toolkit.models.station.watch import main


@pytest.fixture
def start(exported: Any, tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Give what starts the watcher of a package."""
    (tmp_path / "in").mkdir()

    def begin(*arguments: str) -> subprocess.Popen[str]:
        words = ["watch", str(tmp_path / "in"), str(tmp_path / "out"), "--free-megabytes", "0"]
        return subprocess.Popen(
            [sys.executable, "-I", "-B", str(exported.path), *words, *arguments],
            stderr=subprocess.PIPE, text=True, env=os.environ | {"VISION_TOOLKIT_THREADS": "1"},
        )  # fmt: skip

    return begin


def test_the_answers_are_the_model_s(
    model: Model, testing: Manifest, tmp_path: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    names = {}
    for number, entry in enumerate(testing):
        name = f"{number:02}/ü {number}.png"
        (tmp_path / "in" / name).parent.mkdir()
        shutil.copy(entry.location, tmp_path / "in" / name)
        names[name] = entry
    process = start("--once", "--overlays", "all", "--still", "0")
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    found = lines(tmp_path / "out")
    assert {one["source"] for one in found} == set(names) and len(found) == len(names)
    for one in found:
        answer = model.predict(names[one["source"]])
        facts = answer.to_dict()
        assert (one["is_anomalous"], one["threshold"]) == (answer.is_anomalous, answer.threshold)
        assert one["score"] == pytest.approx(facts["score"], abs=1e-6)  # the process computes with one thread
        assert one["confidence"] == pytest.approx(answer.confidence, abs=2e-6)
        areas = {name: area for name, area in facts["areas"].items() if name != "background" and area}
        assert {kind["name"]: kind["area"] for kind in one["anomalies"]} == pytest.approx(areas, abs=1e-3)
        colours = dict(zip(model.types, model.info["colours"][1:], strict=True))
        mask = Mask.from_pixels(read_image(tmp_path / "out" / one["mask"]), colours, names=model.types)
        assert (mask.ids != answer.mask.ids).mean() < 1e-3
        assert Image.open(tmp_path / "out" / one["overlay"]).size == answer.mask.size
    assert len({one["model"] for one in found}) == 1 and found[0]["model"].startswith("sha256:")
    assert status(tmp_path / "out")["state"] == "ended"


def test_killed_again_and_again_while_images_come_each_is_answered_once(
    testing: Manifest, tmp_path: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    rng = random.Random(0)
    pictures = [Path(entry.location).read_bytes() for entry in testing[:4]]
    total, dropped, kills = 30, 0, 0
    process = start("--still", "0.05", "--poll", "0.01", "--overlays", "all")
    while dropped < total:
        for _ in range(rng.randint(3, 8)):
            path = tmp_path / "in" / f"{dropped:03}.png"
            if dropped % 2:
                path.write_bytes(pictures[dropped % 4])
            else:
                path.with_name(".part").write_bytes(pictures[dropped % 4])
                path.with_name(".part").rename(path)
            dropped += 1
        if kills < 2:
            before = len(lines_or_none(tmp_path / "out"))
            until(lambda: len(lines_or_none(tmp_path / "out")) > before, seconds=30)  # noqa: B023
            time.sleep(rng.uniform(0, 0.05))
            process.kill()
            process.communicate()
            kills += 1
            process = start("--still", "0.05", "--poll", "0.01", "--overlays", "all")
    until(lambda: len(lines_or_none(tmp_path / "out")) >= dropped, seconds=60)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 0, said
    found = lines(tmp_path / "out")
    assert sorted(one["source"] for one in found) == [f"{number:03}.png" for number in range(dropped)]
    assert [one["sequence"] for one in found] == list(range(1, dropped + 1))
    assert not any("error" in one for one in found)
    pictures_there = {path.name for path in (tmp_path / "out" / "pictures").rglob("*.*")}
    assert pictures_there == {Path(one[kind]).name for one in found for kind in ("overlay", "mask")}


def lines_or_none(out: Path) -> list[bytes]:
    return [
        raw for path in out.glob("results-*.jsonl") for raw in path.read_bytes().splitlines(True) if raw[-1:] == b"\n"
    ]


def test_sigterm_ends_after_the_image_and_nobody_else_may_write_there(
    testing: Manifest, tmp_path: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    process = start()
    until((tmp_path / "out" / "status.json").is_file, seconds=30)
    second = start("--once")
    _, said = second.communicate(timeout=30)
    assert second.returncode == 1 and "Another process writes to" in said
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 0, said
    assert status(tmp_path / "out")["state"] == "ended"


def test_what_cannot_be_read_has_a_line_with_its_reason_once(line: Line) -> None:
    line.drop("text.jpg", b"no image at all")
    line.drop("empty.png", b"")
    line.drop("half.png", encode_png(np.random.default_rng(0).integers(0, 255, (60, 60, 3), dtype=np.uint8))[:3000])
    line.drop("fine.png", png(20))
    for _ in range(3):
        assert line.once() == 0
    found = {one["source"]: one for one in lines(line.out)}
    assert len(lines(line.out)) == 4 and "error" not in found["fine.png"]
    assert found["text.jpg"]["error"] == "no image that can be read (15 bytes)"
    assert "score" not in found["half.png"] and found["half.png"]["error"].startswith("no image that can be read")
    line.drop("half.png", png(240))  # and now it is whole
    line.once()
    assert lines(line.out)[-1]["source"] == "half.png" and lines(line.out)[-1]["is_anomalous"]


def test_an_image_that_is_written_slowly_is_answered_when_it_is_whole(line: Line) -> None:
    data = encode_png(np.random.default_rng(0).integers(0, 255, (100, 100, 3), dtype=np.uint8))
    with line.running(still=0.3) as inspection:
        with (line.source / "slow.png").open("wb", buffering=0) as file:
            for start in range(0, len(data), 5000):
                file.write(data[start : start + 5000])
                time.sleep(0.05)
        until(lambda: inspection.journal.sequence == 1)
    (only,) = lines(line.out)
    assert "error" not in only and only["size"] == len(data)


def test_a_camera_may_write_over_its_own_file_and_another_name_is_another_image(line: Line) -> None:
    for number in range(3):
        path = line.drop("camera.png", png(10 + 100 * number))
        os.utime(path, (1e9 + number,) * 2)
        line.once()
    line.drop("copy.png", png(10))
    line.once()
    assert [one["source"] for one in lines(line.out)] == ["camera.png"] * 3 + ["copy.png"]
    assert [one["is_anomalous"] for one in lines(line.out)] == [False, False, True, False]


def test_answered_images_stay_or_are_moved_and_nothing_is_ever_written_over(line: Line) -> None:
    line.drop("a/same.png", png(10))
    line.drop("b.png", png(240))
    line.drop("c.png", b"x")
    assert line.once() == 0
    assert sorted(p.name for p in line.source.rglob("*.png")) == ["b.png", "c.png", "same.png"]
    assert line.once("--move") == 0  # those that were answered before as well
    assert [p for p in line.source.rglob("*") if p.is_file()] == []
    line.drop("a/same.png", png(11))
    assert line.once("--move") == 0
    kept = {p.relative_to(line.out).as_posix() for name in ("passed", "rejected", "unreadable")
            for p in (line.out / name).rglob("*.png")}  # fmt: skip
    assert kept == {"passed/a/same.png", "passed/a/same (2).png", "rejected/b.png", "unreadable/c.png"}
    assert len(lines(line.out)) == 4


def test_an_image_that_vanishes_before_it_is_read_is_counted(line: Line) -> None:
    line.drop("a.png", png(10))
    with line.running() as inspection:
        until(lambda: inspection.journal.sequence == 1)
        inspection.queue.append(type("Gone", (), {"source": "gone.png", "size": 1, "mtime_ns": 1, "number": 5})())
        until(lambda: inspection.counts["vanished"] == 1)
    assert len(lines(line.out)) == 1


def test_a_model_that_fails_gives_lines_with_errors(line: Line) -> None:
    class Broken(Brightness):
        def predict(self, images: Any) -> Any:
            raise RuntimeError("out of luck")

    line.drop("a.png", png(10))
    assert line.once(model=Broken()) == 0
    assert lines(line.out)[0]["error"] == "RuntimeError: out of luck"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["IN", "IN/out"], "must not lie in one another"),
        (["OUT/in", "OUT"], "must not lie in one another"),
        (["IN", "PACKAGE/out"], "must not lie in the package"),
        (["IN", "OUT", "--free-megabytes", "-1"], "a whole number from 0 is needed, not -1"),
        (["IN", "OUT", "--still", "nan"], "a number from 0 is needed, not nan"),
        (["IN"], "OUT"),
    ],
)
def test_wrong_arguments_are_told(line: Line, words: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    places = {"IN": str(line.source), "OUT": str(line.out), "PACKAGE": str(line.package)}
    for name, place in places.items():
        words = [word.replace(name, place) for word in words]
    assert main(words, folder=line.package, runtime=None) == 2  # type: ignore[arg-type]
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "says"),
    [(["--run", " "], "The command is empty"), (["--post", "ftp://x/"], "A URL is http://HOST[:PORT]/PATH")],
)
def test_a_hook_that_cannot_be_is_told(
    line: Line, words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert line.once(*words) == 1
    assert says in capsys.readouterr().err


def test_a_model_that_cannot_be_loaded_is_told(line: Line, capsys: pytest.CaptureFixture[str]) -> None:
    from vision_toolkit.models import runtime

    assert main([str(line.source), str(line.out), "--once"], folder=line.package, runtime=runtime) == 1
    assert "The model cannot be loaded" in capsys.readouterr().err


def test_the_results_are_read_as_a_table(line: Line) -> None:
    import pandas as pd

    for number in range(3):
        line.drop(f"{number}.png", png(100 * number))
    line.once()
    (path,) = line.out.glob("results-*.jsonl")
    assert list(pd.read_json(path, lines=True)["is_anomalous"]) == [False, False, True]


def test_a_mask_is_read_as_any_other(line: Line) -> None:
    line.drop("a.png", png(240))
    line.once()
    (one,) = lines(line.out)
    from vision_toolkit.core import MaskRef

    mask = read_mask(MaskRef(str(line.out / one["mask"]), {"blot": "#23A436"}))
    assert mask.areas() == {"background": 0.0, "blot": 1.0}
