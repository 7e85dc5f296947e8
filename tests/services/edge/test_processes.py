"""``vision-toolkit edge run`` as a real process on a real socket; it and its workers are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np
import pytest

from tests.services.edge.conftest import failure
from vision_toolkit.app.cli import main


class Program:
    """The command as a process."""

    def __init__(self, *words: str) -> None:
        command = [sys.executable, "-m", "vision_toolkit.app.cli", "edge", "run", "--json", *words]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        said = ""
        while not said.endswith("}\n"):
            line = self.process.stdout.readline()
            assert line, self.process.communicate()[1]
            said += line
        self.said = json.loads(said)
        self.address: str = self.said["address"]

    def end(self, how: int = signal.SIGTERM) -> tuple[int, list[dict]]:
        """End it, and return its exit code and what it logged."""
        self.process.send_signal(how)
        _, errors = self.process.communicate(timeout=60)
        return self.process.returncode, [json.loads(line) for line in errors.splitlines() if line.startswith("{")]


@pytest.fixture
def program() -> Iterator[Callable[..., Program]]:
    made: list[Program] = []

    def start(*words: object) -> Program:
        made.append(Program(*map(str, words)))
        return made[-1]

    yield start
    for one in made:
        if one.process.poll() is None:
            one.process.kill()
            one.process.communicate()


def children(pid: int) -> list[int]:
    """Return the processes that one has started."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(word) for word in (task / "children").read_text().split()]
    return found


def has_ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def until(true: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_an_agent_serves_zip_and_folder_logs_json_and_stops(program, zipped, made, models, images, client, tmp_path):
    socket = tmp_path / "agent.sock"
    words = [zipped, f"second={made['plain']}", "--socket", f"unix://{socket}", "--folder", tmp_path / "edge"]
    agent = program(*words, "--start", "--workers", 2)
    assert agent.said == {"address": f"unix:{socket}", "models": ["masked", "second"]}
    ask = client(f"unix://{socket}")
    ask.until("masked", "RUNNING")
    ask.until("second", "RUNNING")
    assert len(children(agent.process.pid)) == 4
    for name, model in (("masked", "masked"), ("second", "plain")):
        assert ask.detect(name, images[-1]).anomaly_score == np.float32(models[model].predict(images[-1]).score)
    assert failure(lambda: ask.StopModel(model_component="nobody"))[0] == "NOT_FOUND"
    workers = children(agent.process.pid)
    code, logged = agent.end()
    assert code == 0 and not socket.exists() and all(map(has_ended, workers))
    calls = [line for line in logged if line.get("call") in ("DetectAnomalies", "StopModel")]
    assert [(line["call"], line["model"], line["status"]) for line in calls] == [
        ("DetectAnomalies", "masked", "OK"), ("DetectAnomalies", "second", "OK"), ("StopModel", "nobody", "NOT_FOUND"),
    ]  # fmt: skip
    assert calls[0]["bytes_in"] > images[-1].nbytes and calls[0]["milliseconds"] > 0
    assert {"time", "level", "logger", "client", "error"} <= set(calls[0])


def test_a_killed_agent_comes_back_with_the_same_models(program, made, images, client, tmp_path):
    socket = tmp_path / "agent.sock"
    words = [made["masked"], made["plain"], "--socket", socket, "--folder", tmp_path / "edge"]
    agent = program(*words)
    ask = client(f"unix:{socket}")
    assert (ask.status("masked"), ask.status("plain")) == ("STOPPED", "STOPPED")
    ask.run("masked", "plain")
    assert ask.StopModel(model_component="plain").status == 0
    workers = children(agent.process.pid)
    assert len(workers) == 1
    agent.end(signal.SIGKILL)
    assert socket.exists(), "nobody could remove it"
    until(lambda: all(map(has_ended, workers)))
    again = program(*words)
    ask = client(again.address)
    ask.until("masked", "RUNNING")
    assert ask.status("plain") == "STOPPED"
    assert ask.detect("masked", images[0]).confidence > 0
    assert again.end(signal.SIGINT)[0] == 0


def test_a_killed_worker_is_replaced_and_its_image_judged_by_another(program, made, models, images, client, tmp_path):
    agent = program(made["masked"], "--port", 0, "--folder", tmp_path / "edge", "--start")
    ask = client(agent.address)
    ask.until("masked", "RUNNING")
    image = images[-1]
    wanted = np.float32(models["masked"].predict(image).score)
    assert ask.detect("masked", image).anomaly_score == wanted
    with ThreadPoolExecutor(1) as pool:
        for _ in range(2):
            (worker,) = children(agent.process.pid)
            os.kill(worker, signal.SIGSTOP)  # it is given the image, and does not get to it
            answer = pool.submit(ask.detect, "masked", image)
            time.sleep(0.3)
            assert not answer.done()
            os.kill(worker, signal.SIGKILL)
            assert answer.result().anomaly_score == wanted
            assert ask.status("masked") == "RUNNING"
    (worker,) = children(agent.process.pid)
    os.kill(worker, signal.SIGKILL)  # and one that does nothing
    until(lambda: children(agent.process.pid) not in ([], [worker]))
    assert ask.detect("masked", images[0]).confidence > 0


def test_a_model_that_can_no_longer_be_started_fails_and_comes_back_by_itself(
    made, client, tmp_path, monkeypatch, images
):
    import shutil

    from vision_toolkit.services.edge import agent as agent_module
    from vision_toolkit.services.edge.agent import Agent

    monkeypatch.setattr(agent_module, "_LOOKED_EVERY", 0.05)
    package = shutil.copytree(made["plain"], tmp_path / "plain")
    with Agent([package], folder=tmp_path / "edge", address="127.0.0.1:0") as agent:
        ask = client(agent.address)
        ask.run("plain")
        (package / "model.onnx").rename(tmp_path / "away")
        os.kill(agent.components["plain"]._units._all[0].process.pid, signal.SIGKILL)
        ask.until("plain", "FAILED")
        assert "cannot be loaded" in ask.DescribeModel(model_component="plain").model_description.status_message
        assert failure(lambda: ask.detect("plain", images[0]))[0] == "FAILED_PRECONDITION"
        (tmp_path / "away").rename(package / "model.onnx")
        ask.until("plain", "RUNNING")
        assert ask.detect("plain", images[0]).confidence > 0


def test_what_is_being_judged_when_the_agent_is_told_to_stop_is_answered(program, made, images, client, tmp_path):
    agent = program(made["masked"], "--port", 0, "--folder", tmp_path / "edge", "--start")
    ask = client(agent.address)
    ask.until("masked", "RUNNING")
    (worker,) = children(agent.process.pid)
    os.kill(worker, signal.SIGSTOP)
    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(ask.detect, "masked", image) for image in images[:4]]
        time.sleep(1)
        agent.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        assert agent.process.poll() is None and not any(answer.done() for answer in answers)
        with pytest.raises(grpc.RpcError):
            ask.ListModels(timeout=1)
        os.kill(worker, signal.SIGCONT)
        assert [answer.result().confidence > 0 for answer in answers] == [True] * 4
    assert agent.process.wait(60) == 0


# ---------------------------------------------------------------- wrong calls


def test_what_the_command_says_to_people(made, tmp_path):
    command = [sys.executable, "-m", "vision_toolkit.app.cli", "edge", "run", str(made["plain"]), "--port", "0"]
    process = subprocess.Popen(
        [*command, "--folder", str(tmp_path / "edge")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert process.stdout is not None
    said = [process.stdout.readline() for _ in range(6)]
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    text = "".join(said)
    assert "Serving 1 package at 127.0.0.1:" in text and "grpc.insecure_channel('127.0.0.1:" in text
    assert "model_component='plain'" in text and "StartModel" in text


def test_packages_that_are_none_are_told_and_nothing_is_served(tmp_path, capsys, made):
    place = ["--port", "0", "--folder", str(tmp_path / "edge")]
    assert main(["edge", "run", str(tmp_path / "none.zip"), str(tmp_path), *place]) == 3
    said = capsys.readouterr().err
    assert "none.zip; name a package" in said and "package.json is missing" in said
    assert main(["edge", "run", str(made["plain"]), str(made["plain"]), *place]) == 3
    assert "Two packages are named 'plain'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", ["", "run", "stop x", "run x --port x", "run x --workers 0", "run x --port 1 --socket y"]
)
def test_a_wrong_call(words):
    with pytest.raises(SystemExit) as stopped:
        main(["edge", *words.split()])
    assert stopped.value.code == 2


def test_without_the_extra_it_is_named(made):
    program = (
        "import sys\nsys.modules['grpc'] = None\nfrom vision_toolkit.app.cli import main\nsys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "edge", "run", str(made["plain"])], capture_output=True, text=True, check=False
    )
    assert done.returncode == 3
    assert done.stderr == (
        "vision-toolkit edge: The edge agent needs grpc, which is not installed: pip install 'vision_toolkit[edge]'.\n"
    )
