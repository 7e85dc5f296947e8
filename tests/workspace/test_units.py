"""Inference units: real processes, as many as are needed, replaced when they end; a wish survives a restart."""

from __future__ import annotations

import io
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from tests.doors.conftest import COUNT, fill
from vision_toolkit.core.errors import Busy, Conflict, Failed, Invalid
from vision_toolkit.models.model import load
from vision_toolkit.workspace import Workspace, units
from vision_toolkit.workspace.lifecycle import ModelState
from vision_toolkit.workspace.unit_hosts import UnitHosts
from vision_toolkit.workspace.units import EndedError, Unit, Units


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Give a workspace with a model that is hosted."""
    with Workspace(tmp_path_factory.mktemp("w"), run="inline", preset="fast", threads=1, weights=None) as workspace:
        fill(workspace)
        project = workspace.projects.create("parts")
        workspace.datasets.create(project, "train", manifest="s3://factory/all.manifest")
        workspace.models.create(project, output={"Bucket": "factory", "Prefix": ""}, description=None, kms=None,
                                given_tags={}, arn="{}")  # fmt: skip
        workspace.models.start(project, "1", least=1, most=3)
        yield workspace


@pytest.fixture(scope="module")
def record(made):
    return made.models.get(made.projects.get("parts"), "1")


@pytest.fixture(scope="module")
def folder(made, record) -> Path:
    return made.folder / record.folder / "model"


@pytest.fixture(scope="module")
def images(made) -> list[bytes]:
    return [made.buckets.read(f"s3://factory/parts/{number}.png") for number in range(COUNT)]


@pytest.fixture
def some(folder):
    """Give one unit that may become three."""
    made = Units(partial(Unit, folder), 1, 3)
    yield made
    made.close(drain=0)


def test_a_unit_says_what_the_model_says(folder, images, some):
    model = load(folder, threads=1)
    assert some.info == model.info
    for image in images[::6]:
        answer, prediction = some.ask(image), model.predict(image)
        assert answer["score"] == pytest.approx(prediction.score, abs=1e-6)
        np.testing.assert_allclose(answer["map"], prediction.map, atol=1e-5)
        assert answer["ids"] is None


def test_what_is_no_image_is_told_and_the_next_one_is_judged(some, images):
    for bad in (b"", b"no image", images[0][:200]):
        with pytest.raises(Invalid, match="cannot be judged"):
            some.ask(bad)
    assert 0 <= some.ask(images[0])["score"] <= 1
    assert len(some) == 1


def test_a_model_that_cannot_be_loaded(tmp_path):
    with pytest.raises(Failed, match="cannot be loaded"):
        Units(partial(Unit, tmp_path), 2, 2)


def test_there_are_more_when_many_wait_and_fewer_when_none_does(some, images, monkeypatch):
    with ThreadPoolExecutor(24) as pool:
        scores = [answer["score"] for answer in pool.map(some.ask, images * 8)]
    assert scores[:COUNT] == scores[COUNT : 2 * COUNT]
    assert len(some) > 1
    some.tidy()
    assert len(some) > 1, "not at once"
    monkeypatch.setattr(units, "IDLE", 0.0)
    some.tidy()
    assert len(some) == 1


def test_a_full_queue_says_when_to_come_again(folder, images, monkeypatch):
    monkeypatch.setattr(units, "QUEUE", 2)
    one = Units(partial(Unit, folder), 1, 1)
    unit = one._take()  # nobody gets it
    threads = [threading.Thread(target=one.ask, args=(images[0],)) for _ in range(2)]
    for thread in threads:
        thread.start()
    while one._waiting < 2:
        time.sleep(0.01)
    with pytest.raises(Busy) as caught:
        one.ask(images[0])
    assert caught.value.seconds > 0
    one._give_back(unit)
    for thread in threads:
        thread.join()
    one.close()


def test_a_unit_that_is_killed_is_replaced_and_its_image_judged_by_another(some, images):
    before = some.ask(images[0])["score"]
    (unit,) = some._all
    real = unit.ask

    def killed(image: bytes):
        os.kill(unit.process.pid, signal.SIGKILL)
        unit.process.wait()
        return real(image)

    unit.ask = killed
    assert some.ask(images[0])["score"] == before
    assert len(some) == 1 and unit not in some._all


def test_one_that_was_killed_while_idle_is_replaced_unasked(some, images):
    (unit,) = some._all
    os.kill(unit.process.pid, signal.SIGKILL)
    unit.process.wait()
    some.tidy()
    end = time.monotonic() + 30
    while len(some) == 0 and time.monotonic() < end:
        time.sleep(0.05)
    assert some.ask(images[0])["score"] >= 0


def test_an_image_over_which_two_units_end_is_given_up(some):
    class Ends:
        process = some._all[0].process

        def ask(self, image):
            raise EndedError

        def end(self):
            pass

    for unit in list(some._all):
        unit.end()
    some._start = Ends  # type: ignore[assignment]
    some._all, some._free = [ends := Ends()], [ends]  # type: ignore[list-item]
    with pytest.raises(Failed, match="Two inference units"):
        some.ask(b"x")


def test_one_that_is_stuck_is_ended(some, images, monkeypatch):
    (unit,) = some._all
    os.kill(unit.process.pid, signal.SIGSTOP)
    monkeypatch.setattr(units, "STUCK", 0.2)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(some.ask, images[0])
        time.sleep(0.4)
        some.tidy()
        assert answer.result(timeout=30)["score"] >= 0
    assert unit not in some._all


def test_closing_waits_for_what_is_being_judged(folder, images):
    some = Units(partial(Unit, folder), 2, 2)
    with ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(some.ask, image) for image in images[:2]]
        time.sleep(0.001)
        some.close()
        said = [one.exception() for one in answers]
    assert all(error is None or isinstance(error, Conflict) for error in said)
    with pytest.raises(Conflict):
        some.ask(images[0])


def test_units_end_with_their_parent(folder):
    import subprocess
    import sys

    program = (
        "import os, sys; from pathlib import Path; from vision_toolkit.workspace.units import Unit\n"
        "print(Unit(Path(sys.argv[1])).process.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", program, folder], capture_output=True, text=True, check=False)
    pid, end = int(done.stdout), time.monotonic() + 10
    while time.monotonic() < end and Path(f"/proc/{pid}").exists() and "Z" not in _state(pid):
        time.sleep(0.05)
    assert not Path(f"/proc/{pid}").exists() or "Z" in _state(pid)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return "Z"


def test_what_is_wished_is_hosted_again_after_a_restart_and_let_go_with_the_wish(made, record, images):
    hosts = UnitHosts(made)  # as a server does when it starts
    try:
        end = time.monotonic() + 30
        while hosts.counts() != {record.id: 1} and time.monotonic() < end:
            time.sleep(0.05)
        assert hosts.counts() == {record.id: 1}
        prediction = hosts.predict(record, images[-1])
        assert prediction.is_anomalous and prediction.score == pytest.approx(
            made.hosts.predict(record, images[-1]).score
        )
        project = made.projects.get("parts")
        made.models.stop(project, "1")  # another process does it: this one sees it in the records
        while hosts.counts() and time.monotonic() < end:
            time.sleep(0.05)
        assert hosts.counts() == {}
        made.models.start(project, "1", least=2)
        end = time.monotonic() + 30
        while hosts.counts() != {record.id: 2} and time.monotonic() < end:
            time.sleep(0.05)
        assert hosts.counts() == {record.id: 2}
    finally:
        hosts.close()
    assert hosts.counts() == {}


def test_no_image_is_opened_in_the_server_and_what_is_refused_is_refused_as_in_process(
    made, record, images, monkeypatch
):
    wide, gif, turned, exif = io.BytesIO(), io.BytesIO(), io.BytesIO(), Image.Exif()
    Image.new("RGB", (65, 64)).save(wide, "PNG")
    Image.new("RGB", (64, 64)).save(gif, "GIF")
    exif[0x0112] = 6
    Image.new("RGB", (64, 32)).save(turned, "JPEG", exif=exif)
    bad = [wide.getvalue(), gif.getvalue(), turned.getvalue(), b"no image", b"", images[0][:200], bytes(8_000_001)]
    record = replace(record, state=ModelState.HOSTED)

    def said(hosts, image: bytes) -> str:
        with pytest.raises(Invalid) as caught:
            hosts.predict(record, image)
        return str(caught.value)

    expected = [said(made.hosts, image) for image in bad]
    score = made.hosts.predict(record, images[-1]).score
    hosts = UnitHosts(made)
    try:
        hosts.prove(record)
        monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("the server looked into an image"))
        assert [said(hosts, image) for image in bad] == expected
        assert hosts.predict(record, images[-1]).score == pytest.approx(score)
    finally:
        monkeypatch.undo()
        hosts.close()
    for words, message in zip(("65 x 64", "GIF", "32", "no image", "0 bytes", "", "8,000,000"), expected, strict=True):
        assert words in message


def test_a_broken_model_keeps_no_other_from_being_hosted(monkeypatch):
    hosts = UnitHosts.__new__(UnitHosts)
    hosts._lock, hosts._units, asked = threading.Lock(), {}, []
    wished = [SimpleNamespace(id=name, version=1) for name in ("broken", "gone", "whole")]
    hosts._workspace = SimpleNamespace(models=SimpleNamespace(hosted=lambda: wished))

    def of(model):
        asked.append(model.id)
        if model.id != "whole":
            raise {"broken": Failed("It cannot be loaded."), "gone": OSError("no process")}[model.id]

    monkeypatch.setattr(hosts, "_of", of)
    hosts._look()
    assert asked == ["broken", "gone", "whole"]
