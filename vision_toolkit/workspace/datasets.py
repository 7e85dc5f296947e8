"""Datasets: lines of images that are known, in versions of which one is seen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from vision_toolkit.core.entry import Entry, Finding, Label
from vision_toolkit.core.errors import Conflict, Invalid, NotFound
from vision_toolkit.core.limits import LOOKOUT
from vision_toolkit.data.check import batched
from vision_toolkit.data.check_images import check_images
from vision_toolkit.data.jsonlines import read_line
from vision_toolkit.data.locate import locator
from vision_toolkit.data.manifest import Manifest
from vision_toolkit.data.storage import is_local
from vision_toolkit.workspace.jobs import Work
from vision_toolkit.workspace.lifecycle import DATASET, DatasetState
from vision_toolkit.workspace.records import entries, queue, rows
from vision_toolkit.workspace.records.entries import Counts, Filter, NewEntry
from vision_toolkit.workspace.records.tables import SETS
from vision_toolkit.workspace.values import DatasetRecord, EntryRecord, Job, Page, Project

if TYPE_CHECKING:
    from vision_toolkit.workspace.records import Connection
    from vision_toolkit.workspace.workspace import Workspace

__all__ = ["Datasets", "Filter"]

TOLD = 10
"""How many bad lines a message names."""
BATCH = 2_000
LIMITED = {"other-format", "odd-size", "large-file"}
"""What is told of images that this toolkit takes, and the service did not."""
AT_ONCE = 16
"""Questions to a store over the network at the same time."""
UNUSABLE = {DatasetState.CREATING, DatasetState.FAILED}
"""Those without lines; while one is updated, its lines of before are there."""
CREATED, CREATING = "The dataset was created successfully.", "The dataset is being created."
UPDATED, UPDATING = "The dataset was updated successfully.", "The dataset is being updated."
_VERDICTS = {Label.NORMAL: entries.NORMAL, Label.ANOMALY: entries.ANOMALY, Label.UNLABELLED: None}


class Datasets:
    """Hold the datasets of a workspace's projects: at most one of each type, ``train`` and ``test``."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def create(self, project: Project, type: str, *, manifest: str | None = None) -> DatasetRecord:
        """Make a dataset, empty at once or from a manifest by a job.

        Parameters
        ----------
        project
            whose it is.
        type
            ``"train"`` or ``"test"``.
        manifest
            URI of JSON lines.

        Raises
        ------
        Conflict
            if there is one of that type.
        """
        moment = rows.now()
        state = DatasetState.CREATED if manifest is None else DatasetState.CREATING
        row = {
            "id": rows.new_id(), "project": project.id, "type": type, "key": f"{project.id}/{type}",
            "state": state.value, "message": CREATED if manifest is None else CREATING, "version": 0,
            "created": moment, "updated": moment, "source": None if manifest is None else {"manifest": manifest},
        }  # fmt: skip
        with self._workspace.records.change() as connection:
            if not rows.insert(connection, SETS, row, unless="key"):
                raise Conflict(
                    f"Project {project.name!r} has a {type} dataset already; delete it first, or update it."
                ).about("dataset", f"{project.name}/{type}")
            made = self.get(project, type)
            if manifest is not None:
                self._workspace.add_job(
                    "create dataset", target=made.id, project=project.id, payload={"manifest": manifest}
                )
            return made

    def get(self, project: Project, type: str) -> DatasetRecord:
        """Return a dataset.

        Raises
        ------
        NotFound
            if there is none of that type.
        """
        with self._workspace.records.look() as connection:
            found = rows.known(connection, DatasetRecord, SETS, key=f"{project.id}/{type}")
        if found is None:
            raise NotFound(f"Project {project.name!r} has no {type} dataset.").about(
                "dataset", f"{project.name}/{type}"
            )
        return found

    def list(self, project: Project) -> list[DatasetRecord]:
        """Return the datasets of a project, ``train`` first."""
        with self._workspace.records.look() as connection:
            query = rows.by(SETS, project=project.id).where(SETS.c.key.is_not(None)).order_by(SETS.c.type.desc())
            return [rows.value(DatasetRecord, row) for row in connection.execute(query)]

    def entries(
        self, project: Project, type: str, which: Filter | None = None, *, after: int = -1, most: int = 100
    ) -> Page[EntryRecord]:
        """Return lines of a dataset, in the order in which they came, after a position."""
        with self._workspace.records.look() as connection:
            dataset = self.get(project, type)
            return entries.listed(connection, dataset.number, dataset.version, which or Filter(), after, most)

    def lines(self, dataset: DatasetRecord, version: int | None = None) -> Iterator[str]:
        """Yield the lines of a dataset as they are now, or were at a version."""
        with self._workspace.records.look() as connection:
            for entry in entries.read(connection, dataset.number, dataset.version if version is None else version):
                yield entry.line

    def manifest(self, dataset: DatasetRecord, version: int | None = None) -> Manifest:
        """Return a dataset as a manifest, each image at the place where it lies."""
        place = locator(self._workspace.buckets.images(), "")
        found = (read_line(line, number)[0] for number, line in enumerate(self.lines(dataset, version), 1))
        return Manifest((place(entry) for entry in found if entry is not None), name=dataset.type)

    def update(self, project: Project, type: str, lines: bytes) -> DatasetRecord:
        """Add lines, and replace those whose image is there already, by a job: all of them or none.

        Raises
        ------
        NotFound
            if there is no such dataset.
        Conflict
            if it is being created or updated, or its creation failed.
        Invalid
            if an image lies in another bucket than those that are there, while limits are on.
        """
        with self._workspace.records.change() as connection:
            dataset = self.get(project, type)
            state = self._after(dataset, "update", project)
            self._check_bucket(connection, dataset, lines)
            changes = {"state": state.value, "message": UPDATING, "updated": rows.now()}
            rows.set_if(connection, SETS, dataset.id, changes, state=dataset.state.value)
            self._workspace.add_job("update dataset", target=dataset.id, project=project.id, payload={}, data=lines)
            return self.get(project, type)

    def remove(self, project: Project, type: str, sources: Sequence[str]) -> DatasetRecord:
        """Take images out of a dataset, at once and all of them or none; the files stay where they are.

        Raises
        ------
        NotFound
            if there is no such dataset, or one of the images is not in it.
        Conflict
            if it is being created or updated, or its creation failed.
        """
        with self._workspace.records.change() as connection:
            dataset = self.get(project, type)
            state = DATASET.after(self._after(dataset, "update", project), "finish")
            counts = Counts(dataset.total, dataset.normal, dataset.anomaly, dataset.masked)
            version = dataset.version + 1
            counts = entries.remove(connection, dataset.number, version, list(dict.fromkeys(sources)), counts)
            _show(connection, dataset, state, UPDATED, version, counts)
            return self.get(project, type)

    def delete(self, project: Project, type: str) -> None:
        """Delete a dataset; the images stay where they are.

        Raises
        ------
        NotFound
            if there is none.
        Conflict
            if it is being created or updated.
        """
        with self._workspace.records.change() as connection:
            dataset = self.get(project, type)
            state = self._after(dataset, "delete", project)
            rows.set_if(connection, SETS, dataset.id, {"key": None, "state": state.value, "updated": rows.now()})
            trainings = [job.id for job in queue.open_jobs(connection, project=project.id, kind="train")]
            self._workspace.add_job(
                "sweep dataset", target=dataset.id, project=project.id, payload={}, awaits=trainings
            )

    def _after(self, dataset: DatasetRecord, event: str, project: Project) -> DatasetState:
        try:
            return DATASET.after(dataset.state, event)
        except Conflict as error:
            raise Conflict(str(error)).about("dataset", f"{project.name}/{dataset.type}") from None

    def _check_bucket(self, connection: Connection, dataset: DatasetRecord, lines: bytes) -> None:
        if not self._workspace.settings.limits:
            return
        known = entries.first_source(connection, dataset.number, dataset.version)
        for number, line in enumerate(lines.decode("utf-8", "replace").split("\n"), 1):
            entry = read_line(line, number)[0] if line.strip() else None
            if entry is None:
                continue
            known = known or entry.source
            if bucket_of(entry.source) != bucket_of(known):
                raise Invalid(
                    f"Line {number}: {entry.source} lies in another bucket than {known}; the images of a dataset lie "
                    "in one bucket."
                )


def bucket_of(source: str) -> str:
    """Return the bucket of an image.

    Examples
    --------
    >>> bucket_of("s3://parts/a/1.png")
    's3://parts'
    """
    scheme, _, rest = source.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"


# ---------------------------------------------------------------- jobs


def create(work: Work) -> None:
    """Read a manifest into a new dataset."""
    workspace, job = work.workspace, work.job
    dataset = _dataset(workspace, job)
    uri = str(job.payload["manifest"])
    with work.step() as connection:  # what an earlier attempt left
        entries.discard(connection, dataset.number, 1)
    size = max(1, workspace.buckets.size(uri))
    read, first, reader = 0, 0, _Reader(workspace)
    with workspace.buckets.open(uri) as file:
        for batch in batched(iter(file), BATCH):
            read += sum(map(len, batch))
            new = reader.read(batch)
            with work.step() as connection:
                entries.add(connection, dataset.number, 1, first, new)
            first += len(new)
            work.tell(min(0.99, read / size), f"{first:,} lines")
    reader.check(uri)
    with work.finish() as connection:
        state = DATASET.after(dataset.state, "finish")
        _show(connection, dataset, state, CREATED, 1, reader.counts)


def fail_creation(connection: Connection, job: Job, message: str) -> None:
    """Say why there is no dataset."""
    dataset = rows.known(connection, DatasetRecord, SETS, id=job.target)
    assert dataset is not None
    entries.discard(connection, dataset.number, 1)
    state = DATASET.after(dataset.state, "fail")
    rows.set_if(connection, SETS, dataset.id, {"state": state.value, "message": message, "updated": rows.now()})


def change(work: Work) -> None:
    """Add and replace lines."""
    workspace = work.workspace
    dataset = _dataset(workspace, work.job)
    with workspace.records.look() as connection:
        lines = queue.data(connection, work.job).splitlines(keepends=True)
    reader, new, done = _Reader(workspace, names=False), [], 0
    for batch in batched(iter(lines), BATCH):
        new += reader.read(batch)
        done += len(batch)
        work.tell(0.9 * done / len(lines), f"{done:,} lines")
    reader.check("The update")
    counts = Counts(dataset.total, dataset.normal, dataset.anomaly, dataset.masked)
    last = {entry.source: entry for entry in new}
    with work.finish() as connection:
        counts = entries.replace(connection, dataset.number, dataset.version + 1, list(last.values()), counts)
        _show(connection, dataset, DATASET.after(dataset.state, "finish"), UPDATED, dataset.version + 1, counts)


def fail_update(connection: Connection, job: Job, message: str) -> None:
    """Say why nothing changed."""
    dataset = rows.known(connection, DatasetRecord, SETS, id=job.target)
    assert dataset is not None
    entries.discard(connection, dataset.number, dataset.version + 1)
    state = DATASET.after(DATASET.after(dataset.state, "fail"), "finish")
    changes = {"state": state.value, "message": f"Nothing was changed. {message}", "updated": rows.now()}
    rows.set_if(connection, SETS, dataset.id, changes)


def sweep(work: Work) -> None:
    """Remove the lines of a dataset that was deleted."""
    dataset = _dataset(work.workspace, work.job)
    removed = 1
    while removed:
        with work.step() as connection:
            removed = entries.forget(connection, dataset.number, BATCH)
    with work.finish():
        pass


def fail_sweep(connection: Connection, job: Job, message: str) -> None:
    """Leave what could not be removed: nobody sees it."""


def _dataset(workspace: Workspace, job: Job) -> DatasetRecord:
    with workspace.records.look() as connection:
        found = rows.known(connection, DatasetRecord, SETS, id=job.target)
    assert found is not None, job
    return found


def _show(
    connection: Connection, dataset: DatasetRecord, state: DatasetState, message: str, version: int, counts: Counts
) -> None:
    changes = {
        "state": state.value, "message": message, "version": version, "updated": rows.now(), "total": counts.total,
        "normal": counts.normal, "anomaly": counts.anomaly, "masked": counts.masked,
    }  # fmt: skip
    rows.set_if(connection, SETS, dataset.id, changes)


class _Reader:
    """Read lines, note what is wrong with them and their images, and count."""

    def __init__(self, workspace: Workspace, *, names: bool = True) -> None:
        self._places: dict[str, str] = {}  # of the line that is being read
        self._place = locator(self._places.get, "")
        self._limits = workspace.settings.limits
        self._advice = (
            "Images and masks are looked for in the store that AWS_ENDPOINT_URL_S3 names (setting s3=s3)."
            if workspace.settings.s3 == "s3"
            else f"Images and masks of s3://BUCKET/KEY are looked for at {workspace.folder / 'buckets/s3/BUCKET/KEY'}; "
            "`vision-toolkit put FOLDER s3://BUCKET/PREFIX` copies them there, and the setting s3=s3 reads a real S3."
        )
        self._threads = workspace.settings.threads
        self._buckets = workspace.buckets
        self._number, self._bad = 0, 0
        self._told: list[str] = []
        self._known: dict[int, int] | None = {} if names else None
        self.counts = Counts()
        self._first: str | None = None

    def read(self, batch: Iterable[bytes]) -> list[NewEntry]:
        new: list[NewEntry] = []
        placed: list[tuple[int, Entry]] = []
        for raw in batch:
            self._number += 1
            text = raw.decode("utf-8", "surrogateescape").rstrip("\r\n").removeprefix("\ufeff")
            if not text.strip():
                continue
            entry = self._entry(text)
            if entry is None or self._is_copy(entry):
                continue
            placed.append((self._number, self._place(entry)))
            new.append(NewEntry(entry.source, _VERDICTS[entry.label], entry.mask is not None, text))
            self.counts = self.counts.plus(new[-1].label, new[-1].masked)
        for finding in check_images(placed, len(placed), look="header", threads=self._threads):
            if finding.severity == "error" or (self._limits and finding.rule in LIMITED):
                self._tell(finding)
        self._check_remote(placed)
        return new

    def _check_remote(self, placed: Sequence[tuple[int, Entry]]) -> None:
        """Tell the images and masks of a store over the network that are not there; the others were looked at."""
        asked = [(number, entry.source) for number, entry in placed if not is_local(entry.location)]
        asked += [(n, e.mask.uri) for n, e in placed if e.mask is not None and not is_local(e.mask.location)]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            there = pool.map(self._buckets.exists, [uri for _, uri in asked])
            for (number, uri), is_there in zip(asked, there, strict=True):
                if not is_there:
                    self._say(number, f"nothing is at {uri}")

    def _entry(self, text: str) -> Entry | None:
        entry, findings = read_line(text, self._number)
        errors = [finding for finding in findings if finding.severity == "error"]
        for finding in errors[:1]:
            self._tell(finding)
        if entry is None or errors:
            return None
        if self._limits and len(text) > LOOKOUT.max_line_characters:
            self._say(self._number, f"it has {len(text):,} characters; {LOOKOUT.max_line_characters:,} are allowed")
            return None
        try:
            self._places.clear()
            for uri in (entry.source, *([entry.mask.uri] if entry.mask is not None else ())):
                self._places[uri] = self._buckets.place(uri)
        except Invalid as error:
            self._say(self._number, str(error))
            return None
        self._first = self._first or entry.source
        if self._limits and bucket_of(entry.source) != bucket_of(self._first):
            self._say(self._number, f"{entry.source} lies in another bucket than {self._first}")
            return None
        return entry

    def _is_copy(self, entry: Entry) -> bool:
        if self._known is None:
            return False
        earlier = self._known.setdefault(hash(entry.source), self._number)
        if earlier == self._number:
            return False
        self._say(self._number, f"{entry.source} stands on line {earlier} already")
        return True

    def _tell(self, finding: Finding) -> None:
        self._say(finding.line, finding.text)

    def _say(self, number: int | None, text: str) -> None:
        self._bad += 1
        if len(self._told) < TOLD:
            text = text.rstrip(".")
            self._told.append(f"line {number}: {text}" if number is not None else text)

    def check(self, what: str) -> None:
        """Raise Invalid if something was wrong."""
        if not self._number:
            raise Invalid(f"{what} holds no line.")
        if self._bad:
            more = f" ... and {self._bad - len(self._told):,} more" if self._bad > len(self._told) else ""
            raise Invalid(
                f"{what} cannot be used: {self._bad:,} {'problems' if self._bad > 1 else 'problem'} in "
                f"{self._number:,} lines. {'; '.join(self._told)}{more}. "
                f"{self._advice}"
            )
