"""Package models: the export that reproduced its golden answers, as one file where the user wants it."""

from __future__ import annotations

import json
import platform
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vision_toolkit.core.errors import Conflict, Failed, NotFound
from vision_toolkit.data.jsonlines import read_line
from vision_toolkit.data.locate import locator
from vision_toolkit.models.component import Component
from vision_toolkit.models.export import export_package
from vision_toolkit.models.model import load
from vision_toolkit.models.station import files
from vision_toolkit.workspace.jobs import Work
from vision_toolkit.workspace.lifecycle import PACKAGE, ModelState, PackageState
from vision_toolkit.workspace.records import rows
from vision_toolkit.workspace.records.tables import PACKAGES
from vision_toolkit.workspace.values import Job, ModelRecord, Package, Page, Project

if TYPE_CHECKING:
    from vision_toolkit.workspace.records import Connection
    from vision_toolkit.workspace.workspace import Workspace

__all__ = ["Packages"]

GOLDEN = 12
"""Test images whose answers travel with a package."""
READY = {ModelState.TRAINED, ModelState.HOSTED, ModelState.HOSTING_FAILED, ModelState.STARTING, ModelState.STOPPING}
CREATED, RUNNING = "The packaging job was accepted.", "The model is being packaged."


class Packages:
    """Hold the packaging jobs of a workspace's models."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def create(
        self,
        project: Project,
        model: ModelRecord,
        *,
        name: str,
        component: Component,
        configuration: Mapping[str, Any],
        output: Mapping[str, Any],
        description: str | None = None,
    ) -> Package:
        """Begin to package a model.

        Parameters
        ----------
        project, model
            what is packaged.
        name
            of the job, unique in the project.
        component
            what comes of it: name and version are unique in the workspace, its place is the file to write.
        configuration, output
            kept and returned.
        description
            in words.

        Raises
        ------
        Conflict
            if the model is not trained, or name or component are taken.
        """
        if model.state not in READY:
            raise Conflict(f"Model {model.version} is {model.state.value}; only a trained one is packaged.").about(
                "model", f"{project.name}/{model.version}"
            )
        moment, made, called = rows.now(), rows.new_id(), f"{component.name}:{component.version}"
        row = {
            "id": made, "project": project.id, "model": model.id, "model_version": model.version, "name": name,
            "key": f"{project.id}/{name}", "component": called, "state": PackageState.CREATED.value,
            "message": CREATED, "description": description, "configuration": dict(configuration),
            "output": {**output, "component": component.to_dict()}, "created": moment, "updated": moment,
        }  # fmt: skip
        with self._workspace.records.change() as connection:
            taken = rows.known(connection, Package, PACKAGES, component=called)
            if taken is not None:
                raise Conflict(f"Component {called} is there already; give another name or version.").about(
                    "package", taken.name
                )
            if not rows.insert(connection, PACKAGES, row, unless="key"):
                raise Conflict(f"There is a packaging job {name!r} already; give another name.").about("package", name)
            self._workspace.add_job("package", target=made, project=project.id, payload={"model": model.id})
            return self.get(project, name)

    def get(self, project: Project, name: str) -> Package:
        """Return a packaging job.

        Raises
        ------
        NotFound
            if there is none of that name.
        """
        with self._workspace.records.look() as connection:
            found = rows.known(connection, Package, PACKAGES, key=f"{project.id}/{name}")
        if found is None:
            raise NotFound(f"Project {project.name!r} has no packaging job {name!r}.").about("package", name)
        return found

    def list(self, project: Project, *, after: int = 0, most: int = 100) -> Page[Package]:
        """Return the packaging jobs of a project, oldest first."""
        with self._workspace.records.look() as connection:
            query = rows.by(PACKAGES, project=project.id).where(PACKAGES.c.key.is_not(None))
            return Page(*rows.page(connection, Package, PACKAGES, query, after, most))


def package(work: Work) -> None:
    """Export a model, prove it, and write it as one file."""
    workspace, job = work.workspace, work.job
    with workspace.records.look() as connection:
        made = _found(connection, job)
    with work.step() as connection:
        state = PACKAGE.after(made.state, "run")
        changes = {"state": state.value, "message": RUNNING, "updated": rows.now()}
        rows.set_if(connection, PACKAGES, made.id, changes)
    model = workspace.models.by_id(made.model)
    assert model is not None and model.folder is not None and made.output is not None
    if "component" not in made.output:
        raise Failed("The job was accepted by an older version of this toolkit; start one again, of another name.")
    component = Component(**made.output["component"])
    folder = work.make_folder()
    work.tell(0.1, "exporting and proving")
    root = workspace.folder / model.folder
    export = export_package(
        load(root / "model", threads=workspace.settings.threads), folder / "component",
        golden=_golden(work, root / "split" / "test.manifest"), component=component,
    )  # fmt: skip
    work.tell(0.9, "writing")
    workspace.buckets.write(component.place, _zipped(folder / "component", folder / "component.zip"))
    with work.finish() as connection:
        said = f"The model was packaged and gave its golden answers again {_where(component)}: {export.parity}."
        changes = {"state": PACKAGE.after(state, "finish").value, "updated": rows.now(), "message": said}
        rows.set_if(connection, PACKAGES, made.id, changes)
    shutil.rmtree(folder.parent, ignore_errors=True)  # all of it is in the file that was written


def fail_package(connection: Connection, job: Job, message: str) -> None:
    """Say why there is no package; its component's name is free again."""
    made = _found(connection, job)
    state = PACKAGE.after(made.state, "fail")
    changes = {"state": state.value, "message": message, "updated": rows.now(), "component": None}
    rows.set_if(connection, PACKAGES, made.id, changes)


def _found(connection: Connection, job: Job) -> Package:
    found = rows.known(connection, Package, PACKAGES, id=job.target)
    assert found is not None
    return found


def _golden(work: Work, manifest: Path) -> list[Any]:
    """Return test images of both verdicts, read from where they lie."""
    place = locator(work.workspace.buckets.images(), "")
    text = manifest.read_text("utf-8", "surrogateescape")
    found = [entry for line in text.split("\n") if line and (entry := read_line(line)[0]) is not None]
    by_label: dict[str, list[Any]] = {}
    for entry in found:
        by_label.setdefault(entry.label, []).append(place(entry))
    return [entry for listed in by_label.values() for entry in listed[: GOLDEN // len(by_label)]]


def _where(component: Component) -> str:
    """Say on which platform the golden answers were given, and what is left to the device."""
    here = f"on {platform.system()} {platform.machine()}"
    known = {"amd64": ("x86_64", "amd64"), "aarch64": ("aarch64", "arm64")}[component.architecture]
    same = platform.system() == "Linux" and platform.machine().lower() in known and not component.gpu
    return here if same else f"{here} (a device checks them again when it installs the component)"


def _zipped(folder: Path, target: Path) -> Path:
    """Write a folder as a zip file, the same bytes for the same files; it is read back before it is given away."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(file.relative_to(folder).as_posix(), (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16  # or unpacked files could not be read
            with archive.open(entry, "w") as part, file.open("rb") as source:
                shutil.copyfileobj(source, part, 1 << 20)
    listed = json.loads((folder / files.LIST).read_text("utf-8"))["files"]
    for fault in files.faults(zipfile.Path(target), listed):
        raise Failed(f"The package could not be written whole: {fault}. Look at the disk, and package the model again.")
    return target
