"""How long a workspace takes to answer, how that grows with what is in it, and how quickly a large dataset is made.

    python benchmarks/workspace.py [--only operations,entries,create] [--projects 10,1000,10000] [--entries 1000000]
                                   [--lines 100000] [--databases sqlite,postgresql] [--rounds 40] [--json OUT]

Everything in process, through `LookoutVision` on a workspace in a temporary folder that is removed at the end (1.5 GB a
database with a million entries). PostgreSQL is a server of its own, started here with its usual settings where its
programs are installed. No jobs run while operations are timed, but where it says so.

Parts: *operations*: all 22 beside each other in workspaces of several sizes, where every project has a dataset, a
model with two tags, a package and three ended jobs; *entries*: what is asked of a dataset of a million lines, and an
update of it; *create*: a dataset from a manifest whose images are there (640 x 480, links to few files), in a process
of its own.

Columns: *ms* wall milliseconds of one call, median | 95th percentile; *CPU* median milliseconds of this process's CPU
in it, all threads (a PostgreSQL server's own are not in it); *lines/s* by wall and by CPU seconds, without the start of
the interpreter; *peak MB* the largest resident memory of that process, libraries included. The row *the disk* is one
row changed and committed by the database's plain driver: what no change can be quicker than. Other work on the machine
meets CPU the least.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import glob
import io
import json
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sqlalchemy import delete, insert, select, text, update

from vision_toolkit.services.lookout import LookoutVision
from vision_toolkit.workspace import Workspace
from vision_toolkit.workspace.jobs import run_job
from vision_toolkit.workspace.lifecycle import DatasetState, ModelState
from vision_toolkit.workspace.records import entries, queue, rows
from vision_toolkit.workspace.records.entries import NewEntry
from vision_toolkit.workspace.records.tables import JOBS, MODELS, PACKAGES, PROJECTS, SETS, TAGS

BIN = sorted(glob.glob("/usr/lib/postgresql/*/bin")) or ["/usr/local/bin"]
RESULTS = {"S3Location": {"Bucket": "results", "Prefix": "evaluation"}}
ALL_KINDS = ("create dataset", "update dataset", "sweep dataset")
Figures = dict[str, dict[str, Any]]


@contextlib.contextmanager
def postgresql() -> Iterator[Callable[[], str] | None]:
    """Start a server; yield what makes a database and gives its URL, or None where the programs are not installed."""
    found = shutil.which("initdb", path=os.pathsep.join([BIN[-1], os.environ.get("PATH", "")]))
    if found is None:
        yield None
        return
    programs, data = Path(found).resolve().parent, Path(tempfile.mkdtemp(prefix="postgresql-"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    who: list[str] = []
    if os.geteuid() == 0:  # initdb refuses root
        shutil.chown(data, "postgres")
        who = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]

    def run(program: str, *words: str) -> None:
        subprocess.run([*who, str(programs / program), *words], check=True, capture_output=True, cwd=data)

    def make() -> str:
        name = f"w{uuid.uuid4().hex[:12]}"
        run("createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "postgres", name)
        return f"postgresql://postgres@127.0.0.1:{port}/{name}"

    try:
        run("initdb", "-D", str(data / "d"), "-A", "trust", "-U", "postgres", "-E", "UTF8")
        options = f"-p {port} -k {data} -c listen_addresses=127.0.0.1"
        run("pg_ctl", "-D", str(data / "d"), "-o", options, "-l", str(data / "log"), "-w", "start")
        try:
            yield make
        finally:
            run("pg_ctl", "-D", str(data / "d"), "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(data, ignore_errors=True)


# ---------------------------------------------------------------- what is in the workspaces


def source_of(number: int) -> str:
    """Return where an image is."""
    return f"s3://inspection-line-7/2022-08/camera-{number % 4}/part-{number:07d}.png"


def line(number: int, *, label: str | None = None) -> str:
    """Return a line of some 450 characters as Ground Truth wrote them: one in ten an anomaly, a fiftieth unlabelled."""
    row: dict[str, Any] = {"source-ref": source_of(number)}
    label = label or ("anomaly" if number % 10 == 3 else "normal")
    if number % 50 != 7:
        at = f"2022-08-22T13:{number % 60:02d}:{number // 60 % 60:02d}.{number % 1_000_000:06d}"
        row["anomaly-label"] = int(label == "anomaly")
        row["anomaly-label-metadata"] = {
            "confidence": 0.95, "job-name": "labeling-job/inspection-line-7-anomaly-label", "human-annotated": "yes",
            "class-name": label, "creation-date": at, "type": "groundtruth/image-classification",
        }  # fmt: skip
        row["operator"] = {"shift": "early", "name": f"operator-{number % 13:03d}", "station": "visual inspection 2"}
    return json.dumps(row)


def new_entries(first: int, count: int) -> list[NewEntry]:
    """Return lines as they are kept."""
    made = []
    for number in range(first, first + count):
        label = None if number % 50 == 7 else int(number % 10 == 3)
        made.append(NewEntry(source_of(number), label, False, line(number)))
    return made


def fill(workspace: Workspace, count: int, model: dict[str, Any]) -> None:
    """Add so many projects, each with a dataset of 20 lines, a model (a copy of one), a package and ended jobs."""
    ids = {name: [rows.new_id() for _ in range(count)] for name in ("project", "dataset", "model", "package")}
    moment = time.time() - 86_400
    ended = {"payload": {}, "state": "succeeded", "attempt": 1, "progress": 1.0, "created": moment, "ended": moment}
    tables: dict[Any, list[dict[str, Any]]] = {PROJECTS: [], SETS: [], MODELS: [], PACKAGES: [], TAGS: [], JOBS: []}
    for n, (project, dataset, made, package) in enumerate(zip(*ids.values(), strict=True)):
        name = f"line-{n:06d}"
        tables[PROJECTS].append({
            "id": project, "service": "lookout", "name": name, "key": f"lookout/{name}", "created": moment + n / 1e3,
            "updated": moment, "next_version": 2, "facts": {},
        })  # fmt: skip
        tables[SETS].append({
            "id": dataset, "project": project, "type": "train", "key": f"{project}/train", "state": "created",
            "message": "The dataset was created successfully.", "version": 1, "created": moment, "updated": moment,
            "total": 20, "normal": 18, "anomaly": 2, "source": {"manifest": "s3://inspection-line-7/train.manifest"},
        })  # fmt: skip
        tables[MODELS].append(model | {"id": made, "project": project, "version": 1, "key": f"{project}/1"})
        tables[PACKAGES].append({
            "id": package, "project": project, "model": made, "model_version": 1, "name": "edge",
            "key": f"{project}/edge", "component": f"{name}:1.0.0", "state": "succeeded", "message": "",
            "configuration": {"Greengrass": {}},
            "output": {"location": "", "ComponentName": name}, "created": moment, "updated": moment,
        })  # fmt: skip
        tables[TAGS] += [{"resource": made, "name": key, "value": "7"} for key in ("line", "shift")]
        tables[JOBS] += [
            ended | {"id": rows.new_id(), "kind": kind, "target": target, "project": project}
            for kind, target in (("create dataset", dataset), ("train", made), ("package", package))
        ]
    with workspace.records.change() as connection:
        for table, given in tables.items():
            for first in range(0, len(given), 5_000):
                connection.execute(insert(table), given[first : first + 5_000])
        numbers = list(connection.execute(select(SETS.c.number).order_by(SETS.c.number.desc()).limit(count)).scalars())
        for number in numbers[:200]:  # those that are asked for
            entries.add(connection, number, 1, 0, new_entries(0, 20))


def draw(workspace: Workspace, count: int = 48) -> bytes:
    """Write images with and without a spot and their manifest; return the bytes of one."""
    rng = np.random.default_rng(1)
    lines = []
    for number in range(count):
        pixels = rng.normal(100, 6, (128, 128, 3))
        if number % 2 == 0:
            pixels[40:60, 50:70] += 110
        path = Path(
            workspace.buckets.place(f"s3://inspection-line-7/2022-08/camera-{number % 4}/part-{number:07d}.png")
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)
        lines.append(line(number, label="anomaly" if number % 2 == 0 else "normal"))
    workspace.buckets.write("s3://inspection-line-7/train.manifest", "\n".join(lines).encode())
    return path.read_bytes()


def one_model(folder: Path, database: str | None) -> tuple[dict[str, Any], bytes]:
    """Train a model of few images; return its row, and an image to show it."""
    with Workspace(folder, run="inline", database=database, preset="fast") as workspace:
        client = LookoutVision(workspace)
        image = draw(workspace)
        client.create_project(ProjectName="real")
        source = {"GroundTruthManifest": {"S3Object": {"Bucket": "inspection-line-7", "Key": "train.manifest"}}}
        client.create_dataset(ProjectName="real", DatasetType="train", DatasetSource=source)
        client.create_model(ProjectName="real", OutputConfig=RESULTS)
        trained = client.describe_model(ProjectName="real", ModelVersion="1")["ModelDescription"]
        assert trained["Status"] == "TRAINED", trained
        client.start_model(ProjectName="real", ModelVersion="1", MinInferenceUnits=1)
        said = client.describe_model(ProjectName="real", ModelVersion="1")["ModelDescription"]
        assert said["Status"] == "HOSTED", said
        with workspace.records.look() as connection:
            row = dict(connection.execute(select(MODELS)).mappings().one())
    row |= {"state": ModelState.TRAINED.value, "min_units": None}
    return {name: value for name, value in row.items() if name != "number"}, image


# ---------------------------------------------------------------- measuring


def measure(act: Callable[[int], Any], rounds: int, before: Callable[[int], Any] = lambda _: None) -> dict[str, Any]:
    """Time calls, each after what makes it possible; return median and 95th percentile, ms, and median of CPU."""
    act_times, cpu_times = [], []
    for number in range(-2, rounds):  # the first two only warm up
        before(number + 2)
        start, cpu = time.perf_counter(), time.process_time()
        act(number + 2)
        cpu_times.append(1e3 * (time.process_time() - cpu))
        act_times.append(1e3 * (time.perf_counter() - start))
    return {
        "p50": statistics.median(act_times[2:]), "p95": float(np.percentile(act_times[2:], 95)),
        "cpu": statistics.median(cpu_times[2:]),
    }  # fmt: skip


def plain_commit(workspace: Workspace) -> Callable[[int], None]:
    """Return what changes and commits one row with nothing of ours but the driver's connection."""
    connection = workspace.records.engine.raw_connection()
    connection.autocommit = True  # type: ignore[attr-defined]
    cursor = connection.cursor()
    key = "lookout/line-000000"

    def act(number: int) -> None:
        cursor.execute("BEGIN IMMEDIATE" if workspace.records.is_sqlite else "BEGIN")
        cursor.execute(f"UPDATE projects SET updated = {1e9 + number} WHERE key = '{key}'")
        cursor.execute("COMMIT")

    return act


def time_operations(workspace: Workspace, count: int, image: bytes, rounds: int) -> Figures:
    """Time each of the 22 operations."""
    client = LookoutVision(workspace)
    figures: Figures = {}

    def name(number: int) -> str:
        return f"line-{number % count:06d}"

    def fresh(_: int) -> None:
        """Put back what the rounds move: states, open jobs."""
        with workspace.records.change() as connection:
            connection.execute(delete(JOBS).where(JOBS.c.state == "accepted"))
            connection.execute(update(SETS).where(SETS.c.state == "updating").values(state=DatasetState.UPDATED.value))
            moving = (ModelState.STARTING.value, ModelState.STOPPING.value)
            trained = {"state": ModelState.TRAINED.value}
            connection.execute(update(MODELS).where(MODELS.c.state.in_(moving)).values(trained))

    def hosted(number: int) -> None:
        fresh(number)
        with workspace.records.change() as connection:
            project = workspace.projects.get(name(number))
            connection.execute(update(MODELS).where(MODELS.c.project == project.id).values(state="hosted"))

    def token() -> str:
        return str(uuid.uuid4())

    def arn(number: int) -> str:
        return f"arn:aws:lookoutvision:us-east-1:000000000000:model/{name(number)}/1"

    def timed(what: str, act: Callable[[int], Any], before: Callable[[int], Any] = lambda _: None) -> None:
        figures[what] = measure(act, rounds, before)

    commit = plain_commit(workspace)
    timed("the disk", commit)
    timed("create_project", lambda n: client.create_project(ProjectName=f"new-{n}", ClientToken=token()))
    timed("describe_project", lambda n: client.describe_project(ProjectName=name(n)))
    timed("list_projects", lambda _: client.list_projects(MaxResults=100))
    last = [f"new-{n}" for n in range(rounds + 2)]
    changes = "\n".join(line(number) for number in range(10, 30)).encode()
    manifest = {"GroundTruthManifest": {"S3Object": {"Bucket": "inspection-line-7", "Key": "train.manifest"}}}
    timed("create_dataset", lambda n: client.create_dataset(
        ProjectName=last[n], DatasetType="train", DatasetSource=manifest, ClientToken=token()
    ))  # fmt: skip
    timed("describe_dataset", lambda n: client.describe_dataset(ProjectName=name(n), DatasetType="train"))
    timed("list_dataset_entries", lambda n: client.list_dataset_entries(ProjectName=name(n), DatasetType="train"))
    timed("update_dataset_entries", lambda n: client.update_dataset_entries(
        ProjectName=name(n), DatasetType="train", Changes=changes, ClientToken=token()
    ), fresh)  # fmt: skip
    fresh(0)
    with workspace.records.change() as connection:
        connection.execute(update(SETS).where(SETS.c.state == "creating").values(state=DatasetState.CREATED.value))
    timed("delete_dataset", lambda n: client.delete_dataset(
        ProjectName=last[n], DatasetType="train", ClientToken=token()
    ))  # fmt: skip
    fresh(0)
    timed("delete_project", lambda n: client.delete_project(ProjectName=last[n], ClientToken=token()))
    timed("create_model", lambda n: client.create_model(
        ProjectName=name(n), OutputConfig=RESULTS, Description="a", ClientToken=token()
    ), fresh)  # fmt: skip
    fresh(0)
    made: list[tuple[str, str]] = []
    with workspace.records.change() as connection:
        new = connection.execute(
            select(PROJECTS.c.name, MODELS.c.version).join(MODELS, MODELS.c.project == PROJECTS.c.id)
            .where(MODELS.c.state == "training")
        )  # fmt: skip
        made = [(row.name, str(row.version)) for row in new]
        connection.execute(update(MODELS).where(MODELS.c.state == "training").values(state="trained", evaluated=1.0))
    timed("describe_model", lambda n: client.describe_model(ProjectName=name(n), ModelVersion="1"))
    timed("list_models", lambda n: client.list_models(ProjectName=name(n)))
    timed("delete_model", lambda n: client.delete_model(
        ProjectName=made[n][0], ModelVersion=made[n][1], ClientToken=token()
    ))  # fmt: skip
    timed("start_model", lambda n: client.start_model(
        ProjectName=name(n), ModelVersion="1", MinInferenceUnits=1, ClientToken=token()
    ), fresh)  # fmt: skip
    timed("stop_model", lambda n: client.stop_model(
        ProjectName=name(n), ModelVersion="1", ClientToken=token()
    ), hosted)  # fmt: skip
    timed("detect_anomalies", lambda _: client.detect_anomalies(
        ProjectName="real", ModelVersion="1", Body=image, ContentType="image/png"
    ))  # fmt: skip
    loaded = workspace.hosts.load(workspace.models.get(workspace.projects.get("real"), "1"))
    timed("the model alone", lambda _: loaded.predict(image))
    fresh(0)
    target = {"S3OutputLocation": {"Bucket": "results"}, "ComponentName": "", "TargetDevice": "jetson_xavier"}
    timed("start_model_packaging_job", lambda n: client.start_model_packaging_job(
        ProjectName=name(n), ModelVersion="1", JobName=f"job-{n}", ClientToken=token(),
        Configuration={"Greengrass": target | {"ComponentName": f"component-{n}"}},
    ))  # fmt: skip
    timed("describe_model_packaging_job", lambda n: client.describe_model_packaging_job(
        ProjectName=name(n), JobName="edge"
    ))  # fmt: skip
    timed("list_model_packaging_jobs", lambda n: client.list_model_packaging_jobs(ProjectName=name(n)))
    tags = [{"Key": "line", "Value": "8"}, {"Key": "camera", "Value": "2"}]
    timed("tag_resource", lambda n: client.tag_resource(ResourceArn=arn(n), Tags=tags))
    timed("untag_resource", lambda n: client.untag_resource(ResourceArn=arn(n), TagKeys=["camera"]))
    timed("list_tags_for_resource", lambda n: client.list_tags_for_resource(ResourceArn=arn(n)))
    missing = {*client.operations()} - {*figures}
    assert not missing, missing
    return figures


def time_entries(workspace: Workspace, count: int, rounds: int) -> Figures:
    """Time what is asked of a large dataset, and an update of it."""
    client = LookoutVision(workspace)
    asked = {"ProjectName": "large", "DatasetType": "train"}
    client.create_project(ProjectName="large")
    client.create_dataset(**asked)
    project = workspace.projects.get("large")
    number = workspace.datasets.get(project, "train").number
    start, cpu = time.perf_counter(), time.process_time()
    for first in range(0, count, 20_000):
        with workspace.records.change() as connection:
            entries.add(connection, number, 1, first, new_entries(first, min(20_000, count - first)))
    facts = {"seconds": time.perf_counter() - start, "cpu": time.process_time() - cpu}
    unlabelled, anomaly = (sum(1 for n in range(count) if n % m == k) for m, k in ((50, 7), (10, 3)))
    with workspace.records.change() as connection:
        shown = {"version": 1, "total": count, "anomaly": anomaly, "normal": count - unlabelled - anomaly}
        connection.execute(update(SETS).where(SETS.c.number == number).values(shown))
        if not workspace.records.is_sqlite:
            connection.execute(text("ANALYZE entries"))  # as autovacuum does after some minutes
    bytes_now = sum(file.stat().st_size for file in workspace.folder.glob("workspace.db*"))
    figures: Figures = {"filled": facts | {"lines": count, "bytes": bytes_now}}

    def timed(what: str, rounds: int = rounds, **given: Any) -> None:
        figures[what] = measure(lambda _: client.list_dataset_entries(**asked, **given), rounds)
        found = client.list_dataset_entries(**asked, **given)["DatasetEntries"]
        figures[what]["found"] = len(found)

    few, end = max(5, rounds // 4), datetime.now(UTC)
    first = client.list_dataset_entries(**asked, MaxResults=1)["NextToken"]
    head = base64.b64decode(first).decode().rpartition(":")[0]  # a token names its list and a position
    deep = base64.b64encode(f"{head}:{count - 1_000}".encode()).decode()
    half = datetime.now(UTC) - timedelta(seconds=facts["seconds"] / 2)
    figures["describe_dataset"] = measure(lambda _: client.describe_dataset(**asked), rounds)
    timed("first page")
    timed("a page near the end", NextToken=deep)
    timed("Labeled=True", Labeled=True)
    timed("Labeled=False (2 %)", Labeled=False)
    timed("AnomalyClass=anomaly (10 %)", AnomalyClass="anomaly")
    timed("AfterCreationDate, half of them", AfterCreationDate=half)
    timed("BeforeCreationDate, half of them", BeforeCreationDate=half)
    timed("BeforeCreationDate, nothing", BeforeCreationDate=end - timedelta(days=2))
    timed("SourceRefContains, in a quarter", few, SourceRefContains="camera-2")
    timed("SourceRefContains, once, near the end", few, SourceRefContains=f"part-{count - 10:07d}")
    timed("SourceRefContains, nowhere", few, SourceRefContains="no such part")
    timed("SourceRefContains, nowhere, Labeled=True", few, Labeled=True, SourceRefContains="no such part")
    timed("SourceRefContains, nowhere, anomalies", few, AnomalyClass="anomaly", SourceRefContains="no such part")
    timed("SourceRefContains, nowhere, half by date", few, AfterCreationDate=half, SourceRefContains="no such part")
    picture = io.BytesIO()
    Image.new("RGB", (640, 480)).save(picture, "PNG")
    for changed in (count // 2, *range(100)):
        workspace.buckets.write(source_of(changed), picture.getvalue())
    for what, change in (("one line", line(count // 2)), ("100 lines", "\n".join(map(line, range(100))))):
        taken, done = [], []
        for _ in range(few):
            cpu = time.process_time(), time.perf_counter()
            client.update_dataset_entries(**asked, Changes=change.encode())
            taken.append((time.process_time() - cpu[0], time.perf_counter() - cpu[1]))
            with workspace.records.change() as connection:
                job = queue.claim(connection, "benchmark", ALL_KINDS, 60.0)
            cpu = time.process_time(), time.perf_counter()
            run_job(workspace, job, beat=False)
            done.append((time.process_time() - cpu[0], time.perf_counter() - cpu[1]))
            client.describe_dataset(**asked)  # the first who looks is shown the state that passed
            said = client.describe_dataset(**asked)["DatasetDescription"]
            assert said["Status"] == "UPDATE_COMPLETE", said
        for told, times in ((f"update of {what}, accepted", taken), (f"update of {what}, its job", done)):
            figures[told] = {
                "p50": 1e3 * statistics.median(one[1] for one in times),
                "p95": 1e3 * float(np.percentile([one[1] for one in times], 95)),
                "cpu": 1e3 * statistics.median(one[0] for one in times),
            }
    return figures


CREATE = """
import json, resource, sys, time
from pathlib import Path
from vision_toolkit.workspace import Workspace

def peak():
    status = Path("/proc/self/status")
    if status.exists():  # what getrusage says there begins with what the parent had
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2

folder, database = sys.argv[1], sys.argv[2] or None
with Workspace(folder, run="inline", database=database, threads=int(sys.argv[3]) or None) as workspace:
    project, base = workspace.projects.create("lines"), peak()
    start, cpu = time.perf_counter(), time.process_time()
    workspace.datasets.create(project, "train", manifest="s3://inspection-line-7/train.manifest")
    facts = {"seconds": time.perf_counter() - start, "cpu": time.process_time() - cpu}
    made = workspace.datasets.get(project, "train")
    assert made.state == "created", made.message
print(json.dumps(facts | {"lines": made.total, "peak": peak(), "base": base}))
"""


def time_creation(folder: Path, database: str | None, count: int, threads: int) -> dict[str, Any]:
    """Make a dataset in a process of its own, of images that are links to few files."""
    with Workspace(folder, database=database) as workspace:
        place, links = Path(workspace.buckets.place("s3://inspection-line-7/2022-08/x")).parent, 20_000
        place.mkdir(parents=True)
        for camera in range(4):
            (place / f"camera-{camera}").mkdir()
        picture = np.random.default_rng(0).normal(100, 6, (480, 640, 3)).clip(0, 255).astype(np.uint8)  # 0.8 MB as PNG
        lines = []
        for number in range(count):
            if number % links == 0:  # a file can have only so many names
                first = place / f"first-{number}.png"
                Image.fromarray(picture).save(first)
            os.link(first, place / f"camera-{number % 4}" / f"part-{number:07d}.png")
            lines.append(line(number))
        workspace.buckets.write("s3://inspection-line-7/train.manifest", "\n".join(lines).encode())
    words = [sys.executable, "-c", CREATE, str(folder), database or "", str(threads)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


# ---------------------------------------------------------------- the program


def table(head: Sequence[str], body: Sequence[Sequence[str]]) -> None:
    """Print a table."""
    print("\n| " + " | ".join(head) + " |\n" + "|---" * len(head) + "|")
    for row in body:
        print("| " + " | ".join(row) + " |", flush=True)
    print()


def told(figure: dict[str, Any]) -> list[str]:
    """Return a figure's columns."""
    return [f"{figure['p50']:.1f}", f"{figure['p95']:.1f}", f"{figure['cpu']:.1f}"]


def read_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("--only", default="operations,entries,create")
    parser.add_argument("--projects", default="10,1000,10000")
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--lines", type=int, default=100_000)
    parser.add_argument("--databases", default="sqlite,postgresql")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--threads", type=int, default=0, help="of the creation; 0: as many as there are")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    unknown = {*options.only.split(",")} - {"operations", "entries", "create"}
    if unknown:
        parser.error(f"there is no part {', '.join(unknown)}")
    return options


def main() -> None:
    """Measure and print."""
    options = read_options()
    found: dict[str, Any] = {"machine": f"{platform.system()}, {os.cpu_count()} cores", "load": os.getloadavg()}
    print(f"{found['machine']}; load {found['load'][0]:.1f} at the start")
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(postgresql()) if "postgresql" in options.databases else None
        if "postgresql" in options.databases and server is None:
            print("\nPostgreSQL is not installed here and was left out.")
        databases: dict[str, Callable[[], str | None]] = {"SQLite": lambda: None}
        if "sqlite" not in options.databases:
            databases.clear()
        if server is not None:
            databases["PostgreSQL"] = server
        for part in options.only.split(","):
            for name, make in databases.items():
                found[f"{part} {name}"] = run_part(part, name, make, options)
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=1), "utf-8")


def run_part(part: str, name: str, make: Callable[[], str | None], options: argparse.Namespace) -> Any:
    """Measure one part on one database."""
    if part == "operations":
        sizes = [int(size) for size in options.projects.split(",")]
        every: dict[int, Figures] = {}
        for size in sizes:
            with tempfile.TemporaryDirectory() as folder:
                database = make()
                model, image = one_model(Path(folder), database)
                with Workspace(folder, database=database, preset="fast") as workspace:
                    fill(workspace, size, model)
                    every[size] = time_operations(workspace, size, image, options.rounds)
        head = [f"{name}: ms at ... projects"]
        for size in sizes:
            head += [f"{size:,}", "", "CPU"]
        table(head, [[what, *(c for size in sizes for c in told(every[size][what]))] for what in every[sizes[0]]])
        return {str(size): figures for size, figures in every.items()}
    with tempfile.TemporaryDirectory() as folder:
        database = make()
        if part == "create":
            facts = time_creation(Path(folder), database, options.lines, options.threads)
            table(
                [f"{name}: lines", "seconds", "CPU s", "lines/s", "lines per CPU s", "peak MB", "of it before"],
                [[f"{facts['lines']:,}", f"{facts['seconds']:.1f}", f"{facts['cpu']:.1f}",
                  f"{facts['lines'] / facts['seconds']:,.0f}", f"{facts['lines'] / facts['cpu']:,.0f}",
                  f"{facts['peak']:.0f}", f"{facts['base']:.0f}"]],
            )  # fmt: skip
            return facts
        with Workspace(folder, database=database) as workspace:
            figures = time_entries(workspace, options.entries, options.rounds)
        filled = figures["filled"]
        print(f"\n{name}: {filled['lines']:,} lines added in {filled['seconds']:.0f} s, {filled['cpu']:.0f} CPU s; "
              f"files {filled['bytes'] / 1e6:,.0f} MB")  # fmt: skip
        table(
            [f"{name}: {filled['lines']:,} entries", "ms", "", "CPU", "lines on the page"],
            [[what, *told(one), str(one.get("found", ""))] for what, one in figures.items() if what != "filled"],
        )
        return figures


if __name__ == "__main__":
    main()
