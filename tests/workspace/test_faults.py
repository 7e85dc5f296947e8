"""Whoever does a job is killed, at every moment: what was begun ends right, and nothing is there twice."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

import pytest

from tests.workspace.conftest import draw, lines, part
from tests.workspace.trained import OUTPUT, source
from vision_toolkit.core.errors import Conflict
from vision_toolkit.services.lookout.service import LookoutVision
from vision_toolkit.workspace import Workspace
from vision_toolkit.workspace.jobs import DEATHS, Owner
from vision_toolkit.workspace.lifecycle import JobState
from vision_toolkit.workspace.records import queue, rows
from vision_toolkit.workspace.records.tables import ENTRIES, JOBS, MODELS, PACKAGES, SETS

QUICK = {"preset": "fast", "threads": 1, "limits": False}
FAULTS = Path(__file__).parent / "faults"
PROGRAM = """
import json, sys
from vision_toolkit.workspace import Workspace
workspace = Workspace(sys.argv[1], run=sys.argv[2], **json.loads(sys.argv[3]))
print("open", flush=True)
sys.stdin.read()
workspace.close()
print("closed", flush=True)
"""
PATIENCE = 240.0
LINES = 700


class Runner:
    """Run a workspace in a process of its own, which stops where ``at`` says; kills it at the end."""

    def __init__(self, folder: Path, mode: str, at: str = "", *, dies: bool = False, **settings) -> None:
        path = os.pathsep.join([str(FAULTS), str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
        environment = os.environ | {"PYTHONPATH": path, "FAULT_AT": at, "FAULT_DIES": "1" if dies else ""}
        given = [sys.executable, "-c", PROGRAM, str(folder), mode, json.dumps(QUICK | settings)]
        self.process = subprocess.Popen(
            given, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, bufsize=1
        )
        self.said: list[str] = []
        self._heard = threading.Condition()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        for line in self.process.stdout:
            with self._heard:
                self.said.append(line.strip())
                self._heard.notify_all()

    def hear(self, word: str) -> str:
        """Wait for a line that begins with a word."""
        with self._heard:
            assert self._heard.wait_for(lambda: any(one.startswith(word) for one in self.said), PATIENCE), self.said
            return next(one for one in self.said if one.startswith(word))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


def is_running(pid: int) -> bool:
    """Return whether a process runs; one that only waits to be buried does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def until(what, seconds: float = PATIENCE):
    """Ask again and again until the answer is true."""
    end = time.monotonic() + seconds
    while not (answer := what()):
        assert time.monotonic() < end, "it never came"
        threading.Event().wait(0.005)
    return answer


# What is done to a workspace, how its end looks, and which record shows it


def begin(folder: Path, kind: str, settings: dict) -> str:
    """Begin what a kind of job does, with nobody there to do it; return the target's id."""
    with Workspace(folder, **QUICK | settings) as workspace:
        client = LookoutVision(workspace)
        name = "plain" if kind in ("start model", "stop model", "package") else "p"
        if name == "p":
            client.create_project(ProjectName="p")
            images(workspace, LINES if kind.endswith("dataset") else 12)
        project = workspace.projects.get(name)
        made = [part(n) for n in range(LINES)]
        if kind == "create dataset":
            workspace.buckets.write("s3://factory/m", lines(*made))
            client.create_dataset(ProjectName="p", DatasetType="train", DatasetSource=source("m"))
            return workspace.datasets.get(project, "train").id
        if kind in ("update dataset", "sweep dataset"):
            with Workspace(folder, run="inline", **QUICK | settings) as done:
                done.datasets.create(project, "train")
                done.datasets.update(project, "train", lines(*made[: LINES // 2]))
            found = workspace.datasets.get(project, "train")
            if kind == "sweep dataset":
                workspace.datasets.delete(project, "train")
            else:
                changed = [part(n, "anomaly") for n in range(LINES // 4, LINES)]
                client.update_dataset_entries(ProjectName="p", DatasetType="train", Changes=lines(*changed))
            return found.id
        if kind == "train":
            with Workspace(folder, run="inline", **QUICK | settings) as done:
                given = [part(n, "anomaly" if n >= 8 else "normal") for n in range(12)]
                done.buckets.write("s3://factory/m", lines(*given))
                done.datasets.create(project, "train", manifest="s3://factory/m")
            client.create_model(ProjectName="p", OutputConfig=OUTPUT)
        elif kind == "package":
            green = {
                "ComponentName": "part",
                "S3OutputLocation": {"Bucket": "packages"},
                "TargetDevice": "jetson_xavier",
            }
            client.start_model_packaging_job(
                ProjectName="plain", ModelVersion="1", JobName="one", Configuration={"Greengrass": green}
            )
            return workspace.packages.get(project, "one").id
        else:
            client.start_model(ProjectName="plain", ModelVersion="1", MinInferenceUnits=1)
        return workspace.models.get(project, "1").id


def images(workspace: Workspace, count: int) -> None:
    """Give a bucket that many images: a dozen that differ, the others the same file under other names."""
    draw(workspace, min(count, 12), spots=frozenset(range(8, 12)))
    first = Path(workspace.buckets.place("s3://factory/parts/0.png"))
    for number in range(12, count):
        os.link(first, first.with_name(f"{number}.png"))


def check(folder: Path, kind: str, target: str, settings: dict) -> None:
    """Assert that everything ended as if nobody had been killed."""
    with Workspace(folder, **QUICK | settings) as workspace, workspace.records.look() as connection:
        job = workspace.job(target)
        assert (job.kind, job.state, job.error) == (kind, JobState.SUCCEEDED, None)
        assert queue.open_jobs(connection) == []
        states = {row.state for table in (SETS, MODELS, PACKAGES) for row in connection.execute(rows.by(table))}
        assert not states & {"creating", "updating", "rolling back", "training", "starting", "stopping", "running"}
        attempts = [line["attempt"] for line in workspace.log(job) if line["text"].startswith("attempt ")]
        assert attempts == list(range(1, job.attempt + 1))
        entries = connection.execute(rows.by(ENTRIES)).all()
        client = LookoutVision(workspace)
        if kind == "create dataset":
            stats = client.describe_dataset(ProjectName="p", DatasetType="train")["DatasetDescription"]
            assert (stats["Status"], stats["ImageStats"]["Normal"]) == ("CREATE_COMPLETE", LINES)
            assert [row.position for row in entries] == list(range(LINES))
            assert [json.loads(row.line) for row in entries] == [part(n) for n in range(LINES)]
        elif kind == "update dataset":
            stats = client.describe_dataset(ProjectName="p", DatasetType="train")["DatasetDescription"]
            quarter = LINES // 4
            assert stats["Status"] == "UPDATE_COMPLETE"
            expected = {"Total": LINES, "Labeled": LINES, "Normal": quarter, "Anomaly": LINES - quarter}
            assert stats["ImageStats"] == expected
            found = list(workspace.datasets.lines(workspace.datasets.get(workspace.projects.get("p"), "train")))
            assert [json.loads(line) for line in found] == [
                part(n, "anomaly" if n >= quarter else "normal") for n in range(LINES)
            ]
            assert len(entries) == LINES + LINES // 2 - quarter
        elif kind == "sweep dataset":
            assert entries == []
        elif kind == "train":
            told = client.describe_model(ProjectName="p", ModelVersion="1")["ModelDescription"]
            assert told["Status"] == "TRAINED" and len(client.list_models(ProjectName="p")["Models"]) == 1
            assert sorted(workspace.buckets.keys("s3://results/")) == [
                "first/run_EvaluationManifest-p-1.json", "first/run_EvaluationResult-p-1.json",
            ]  # fmt: skip
            record = workspace.models.by_id(target)
            assert record.folder.endswith(f"attempt-{job.attempt}")
            assert (workspace.folder / record.folder / "model").is_dir()
            assert len(list((workspace.folder / "models").glob("*/attempt-*"))) == 1
        elif kind == "package":
            told = client.list_model_packaging_jobs(ProjectName="plain")["ModelPackagingJobs"]
            assert [one["Status"] for one in told] == ["SUCCEEDED"]
            assert len(list(workspace.buckets.keys("s3://packages/"))) == 1
            assert not list((workspace.folder / "work").glob("*/attempt-*"))
        else:
            assert (
                client.describe_model(ProjectName="plain", ModelVersion="1")["ModelDescription"]["Status"] == "HOSTED"
            )
        assert workspace.records.is_sqlite or settings


@pytest.fixture
def begun(tmp_path, trained_folder):
    """Give a function that begins a kind of job in a workspace."""

    def give(kind: str, **settings) -> tuple[Path, str]:
        folder = tmp_path / "w"
        if kind in ("start model", "package"):
            shutil.copytree(trained_folder, folder)
        return folder, begin(folder, kind, settings)

    return give


def finish_inline(folder: Path, settings: dict) -> None:
    """Do what is left, here and now; whoever held it is gone, so that nobody waits for a lease."""
    started = time.monotonic()
    with Workspace(folder, run="inline", **QUICK | settings) as workspace, workspace.records.look() as connection:
        assert queue.open_jobs(connection) == []
    assert time.monotonic() - started < 60


MOMENTS = [
    ("create dataset", "0.0"), ("create dataset", "0.5"), ("create dataset", "finish"), ("create dataset", "after"),
    ("update dataset", "0.3"), ("update dataset", "finish"), ("train", "0.3"), ("train", "0.95"), ("train", "finish"),
    ("start model", "0.2"), ("start model", "finish"), ("package", "0.1"), ("package", "0.9"),
    ("sweep dataset", "finish"),
]  # fmt: skip
FEW = {("create dataset", "0.5"), ("update dataset", "finish"), ("train", "0.95")}


def slow_unless(moment: tuple[str, str], few: set) -> object:
    return pytest.param(*moment, marks=() if moment in few else pytest.mark.slow)


@pytest.mark.parametrize(("kind", "at"), [slow_unless(one, FEW) for one in MOMENTS])
@pytest.mark.parametrize("mode", ["thread", pytest.param("process", marks=pytest.mark.slow)])
def test_killed_at_a_moment_and_done_all_the_same(begun, kind, at, mode):
    folder, target = begun(kind)
    kills = 1 if at == "after" else 2
    for _ in range(kills):
        with Runner(folder, mode, f"{kind} {at}") as runner:
            pid = int(runner.hear("at ").split()[2])
            # A model is started where it will answer, whoever does the other jobs.
            assert (pid == runner.process.pid) == (mode == "thread" or kind == "start model")
            runner.kill()
            until(lambda pid=pid: not is_running(pid), 10)
    finish_inline(folder, {})
    check(folder, kind, target, {})
    with Workspace(folder, **QUICK) as workspace:
        job = workspace.job(target)
        assert (job.attempt, job.deaths) == ((1, 0) if at == "after" else (3, 2))


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "at"), [("create dataset", "0.5"), ("update dataset", "finish"), ("train", "finish")])
def test_killed_at_a_moment_on_postgresql(begun, postgresql, kind, at):
    settings = {"database": postgresql()}
    folder, target = begun(kind, **settings)
    with Runner(folder, "process", f"{kind} {at}", **settings) as runner:
        runner.hear("at ")
        runner.kill()
    finish_inline(folder, settings)
    check(folder, kind, target, settings)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["thread", "process"])
@pytest.mark.parametrize("kind", ["create dataset", "update dataset", "train", "start model", "package"])
def test_killed_wherever_it_happens_to_be(begun, kind, mode):
    """Kill as soon as the records say that a job is further than before, wherever it is by then."""
    folder, target = begun(kind)
    seen = -1.0
    for _ in range(DEATHS - 1):
        with Workspace(folder, **QUICK) as watching, Runner(folder, mode) as runner:
            runner.hear("open")
            before = seen

            def moved(before=before, watching=watching):
                job = watching.job(target)
                return None if job.state is JobState.ACCEPTED or (job.is_open and job.progress <= before) else job

            seen = until(moved).progress
            runner.kill()
    finish_inline(folder, {})
    check(folder, kind, target, {})


@pytest.mark.slow
def test_a_job_that_kills_whoever_does_it_is_given_up(begun):
    folder, target = begun("create dataset")
    with Runner(folder, "process", "create dataset 0.5", dies=True), Workspace(folder, **QUICK) as workspace:
        job = until(lambda: None if (job := workspace.job(target)).is_open else job)
        assert (job.state, job.deaths, job.attempt) == (JobState.FAILED, DEATHS, DEATHS + 1)
        client = LookoutVision(workspace)
        told = client.describe_dataset(ProjectName="p", DatasetType="train")["DatasetDescription"]
        assert told["Status"] == "CREATE_FAILED" and told["ImageStats"]["Total"] == 0
        assert f"{DEATHS} times the process that did this was ended" in told["StatusMessage"]
        log = [(line["attempt"], line["text"][:8]) for line in workspace.log(job)]
        assert log == [(1, "attempt "), (2, "attempt "), (3, "attempt "), (4, "3 times ")]
        with workspace.records.look() as connection:
            assert rows.count(connection, rows.by(ENTRIES)) == 0


def test_children_end_with_their_parent_and_with_a_close(begun):
    folder, target = begun("create dataset")
    with Runner(folder, "process", "create dataset 0.3") as runner:
        pid = int(runner.hear("at ").split()[2])
        assert is_running(pid)
        runner.process.stdin.close()
        runner.hear("closed")
        until(lambda: not is_running(pid), 10)
    with Workspace(folder, **QUICK) as workspace:
        job = workspace.job(target)
        assert (job.state, job.attempt, job.deaths) == (JobState.ACCEPTED, 1, 0)
    finish_inline(folder, {})
    check(folder, "create dataset", target, {})


def test_a_program_is_not_run_again_by_its_children(tmp_path):
    """A script needs no ``if __name__ == "__main__"``."""
    program = tmp_path / "program.py"
    program.write_text(
        "import sys\n"
        "from vision_toolkit.workspace import Workspace\n"
        "print('run')\n"
        "with Workspace(sys.argv[1], run='process') as workspace:\n"
        "    project = workspace.projects.create('p')\n"
        "    workspace.buckets.write('s3://factory/m', b'{}')\n"
        "    workspace.datasets.create(project, 'train', manifest='s3://factory/m')\n"
        "    target = workspace.datasets.get(project, 'train').id\n"
        "    while workspace.job(target).is_open:\n"
        "        pass\n"
        "    print(workspace.job(target).attempt, workspace.datasets.get(project, 'train').message)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, str(program), str(tmp_path / "w")], capture_output=True, text=True, env=environment,
        timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert said[0] == "run" and len(said) == 2 and said[1].startswith("1 s3://factory/m cannot be used"), said
    assert done.stderr == ""


def test_closing_during_a_training_hands_it_over(begun):
    folder, target = begun("train")
    workspace = Workspace(folder, run="thread", **QUICK)
    until(lambda: workspace.job(target).progress > 0)
    workspace.close()
    with Workspace(folder, **QUICK) as looking:
        job = looking.job(target)
        assert (job.state, job.attempt, job.deaths) == (JobState.ACCEPTED, 1, 0)
        model = LookoutVision(looking).describe_model(ProjectName="p", ModelVersion="1")["ModelDescription"]
        assert model["Status"] == "TRAINING"
    finish_inline(folder, {})
    check(folder, "train", target, {})


def test_an_error_that_nobody_expected_stops_neither_its_job_nor_the_next(tmp_path, monkeypatch, caplog):
    from vision_toolkit.workspace.runners import thread

    run_job, seen = thread.run_job, []

    def broken(workspace, job):
        seen.append(job.id)
        if len(seen) <= 2:  # both threads
            raise RuntimeError("from nowhere")
        run_job(workspace, job)

    monkeypatch.setattr(thread, "run_job", broken)
    with Workspace(tmp_path / "w", run="thread", **QUICK) as workspace:
        project = workspace.projects.create("p")
        workspace.buckets.write("s3://factory/m", b"{}")
        for number in range(3):
            other = workspace.projects.create(f"p{number}")
            workspace.datasets.create(other, "train", manifest="s3://factory/m")
        last = workspace.datasets.get(other, "train")
        until(lambda: not workspace.job(last.id).is_open)
        assert "from nowhere" in caplog.text
        assert project.name == "p"


# ---------------------------------------------------------------- several at once


def test_two_workspaces_share_the_jobs_of_one_database(tmp_path, database):
    settings = QUICK | {"database": database}
    with (
        Workspace(tmp_path / "w", run="thread", **settings) as one,
        Workspace(tmp_path / "w", run="thread", **settings) as other,
    ):
        draw(one, 1)
        one.buckets.write("s3://factory/m", lines(part(0)))
        for number, by in enumerate([one, other] * 8):
            by.datasets.create(by.projects.create(f"p{number}"), "train", manifest="s3://factory/m")
        until(lambda: not open_jobs(one))
        with one.records.look() as connection:
            done = connection.execute(rows.by(JOBS)).all()
        assert [(row.state, row.attempt, row.deaths) for row in done] == [("succeeded", 1, 0)] * 16
        assert {row.owner for row in done} <= {one.runner.owner.name, other.runner.owner.name}
        for number in range(16):
            assert other.datasets.get(other.projects.get(f"p{number}"), "train").total == 1


def open_jobs(workspace):
    with workspace.records.look() as connection:
        return queue.open_jobs(connection)


def test_an_owner_of_another_folder_is_not_taken_for_dead(tmp_path):
    """Machines may have one name, and folders of their own."""
    owner = Owner(tmp_path / "one")
    assert not Owner.is_gone(tmp_path / "two", owner.name)
    owner.close()


# ---------------------------------------------------------------- tokens


def test_a_token_holds_across_restarts(tmp_path, database):
    settings = QUICK | {"database": database}
    call = {"ProjectName": "p", "OutputConfig": OUTPUT, "ClientToken": "once-1"}
    answers = []
    for _ in range(3):
        with Workspace(tmp_path / "w", **settings) as workspace:
            client = LookoutVision(workspace)
            if not answers:
                client.create_project(ProjectName="p", ClientToken="once-1")
                client.create_dataset(ProjectName="p", DatasetType="train")
            answers.append(client.create_model(**call)["ModelMetadata"])
            assert len(client.list_models(ProjectName="p")["Models"]) == 1
            with pytest.raises(client.exceptions.ConflictException):
                client.create_model(**call | {"Description": "other"})
    assert answers[0] == answers[1] == answers[2] and answers[0]["StatusMessage"]


def test_a_second_call_with_a_token_waits_for_the_first(tmp_path, database, monkeypatch):
    with Workspace(tmp_path / "w", **QUICK | {"database": database}) as workspace:
        client = LookoutVision(workspace)
        inside, go, calls = threading.Event(), threading.Event(), []
        create = workspace.projects.create

        def slow(name, **more):
            calls.append(name)
            made = create(name, **more)
            inside.set()
            assert go.wait(PATIENCE)
            return made

        monkeypatch.setattr(workspace.projects, "create", slow)
        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(client.create_project, ProjectName="p", ClientToken="t")
            assert inside.wait(PATIENCE)
            second = pool.submit(client.create_project, ProjectName="p", ClientToken="t")
            with pytest.raises(TimeoutError):
                second.result(0.5)
            go.set()
            given = [one.result(PATIENCE)["ProjectMetadata"] for one in (first, second)]
        assert given[0] == given[1] and calls == ["p"]


def test_a_token_lives_for_eight_hours(tmp_path, monkeypatch):
    from vision_toolkit.workspace.records import tokens

    with Workspace(tmp_path / "w", **QUICK) as workspace:
        client = LookoutVision(workspace)
        client.create_project(ProjectName="p")
        client.create_dataset(ProjectName="p", DatasetType="train")
        call = {"ProjectName": "p", "OutputConfig": OUTPUT, "ClientToken": "t"}
        for hours, version in ((0, "1"), (7.99, "1"), (8.01, "2")):
            monkeypatch.setattr(tokens, "now", lambda hours=hours: time.time() + 3600 * hours)
            assert client.create_model(**call)["ModelMetadata"]["ModelVersion"] == version


def test_a_call_that_failed_leaves_its_token_free(tmp_path):
    with Workspace(tmp_path / "w", **QUICK) as workspace:
        client = LookoutVision(workspace)
        key = {"ProjectName": "p", "DatasetType": "train", "ClientToken": "t"}
        with pytest.raises(client.exceptions.ResourceNotFoundException):
            client.create_dataset(**key)
        client.create_project(ProjectName="p")
        assert client.create_dataset(**key)["DatasetMetadata"]["Status"] == "CREATE_COMPLETE"


def test_a_token_of_a_call_that_was_killed_is_free(tmp_path):
    """What a call did and its token are kept together, or neither is."""
    program = (
        "import os, sys\n"
        "from vision_toolkit.workspace import Workspace\n"
        "from vision_toolkit.services.lookout.service import LookoutVision\n"
        "workspace = Workspace(sys.argv[1])\n"
        "create = workspace.projects.create\n"
        "workspace.projects.create = lambda name: (create(name), os.kill(os.getpid(), 9))\n"
        "LookoutVision(workspace).create_project(ProjectName='p', ClientToken='t')\n"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "w")], env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    with Workspace(tmp_path / "w", **QUICK) as workspace:
        client = LookoutVision(workspace)
        assert client.list_projects()["Projects"] == []
        client.create_project(ProjectName="p", ClientToken="t")
        with contextlib.suppress(Conflict):
            assert len(client.list_projects()["Projects"]) == 1
