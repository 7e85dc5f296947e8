"""Models and packages as records, on SQLite and PostgreSQL; what trains for real is in the tests of the services."""

from __future__ import annotations

import json

import pytest

from tests.workspace.conftest import part
from vision_toolkit.core.errors import Conflict, Exceeded, Invalid, NotFound
from vision_toolkit.data.jsonlines import read_line
from vision_toolkit.data.manifest import Manifest
from vision_toolkit.services.lookout.service import LookoutVision
from vision_toolkit.workspace import Workspace
from vision_toolkit.workspace.lifecycle import DatasetState, JobState, ModelState, PackageState
from vision_toolkit.workspace.records import rows
from vision_toolkit.workspace.records.tables import JOBS, MODELS, PACKAGES, PROJECTS, SETS
from vision_toolkit.workspace.training import check_counts

OUTPUT = {"Bucket": "results", "Prefix": "x"}


def trained(workspace, project, version=1) -> str:
    """Write the record of a trained model whose files are nowhere."""
    made = rows.new_id()
    with workspace.records.change() as connection:
        rows.insert(connection, MODELS, {
            "id": made, "project": project.id, "version": rows.next_version(connection, project.id),
            "key": f"{project.id}/{version}", "state": "trained", "message": "Trained.", "output": OUTPUT,
            "created": rows.now(), "evaluated": rows.now(), "f1": 1.0, "precision": 1.0, "recall": 1.0,
            "folder": "models/nowhere", "facts": {"arn": "a"},
        })  # fmt: skip
    return made


@pytest.mark.parametrize(("table", "states"), [
    (SETS, DatasetState), (MODELS, ModelState), (PACKAGES, PackageState), (JOBS, JobState),
])  # fmt: skip
def test_every_state_fits_its_column(table, states):
    """PostgreSQL keeps to the lengths that SQLite only reads."""
    assert max(len(state.value) for state in states) <= table.c.state.type.length


def test_a_project_that_is_deleted_is_gone_and_its_name_free(workspace, project):
    workspace.datasets.create(project, "train")
    with pytest.raises(Conflict, match="still has a dataset"):
        workspace.projects.delete("parts")
    workspace.datasets.delete(project, "train")
    trained(workspace, project)
    with pytest.raises(Conflict, match="still has a model"):
        workspace.projects.delete("parts")
    workspace.models.delete(project, "1")
    workspace.projects.delete("parts")
    with pytest.raises(NotFound) as told:
        workspace.projects.get("parts")
    assert (told.value.kind, told.value.name) == ("project", "parts")
    assert workspace.projects.list().items == []
    again = workspace.projects.create("parts")
    assert again.id != project.id and workspace.projects.list().items == [again]
    with pytest.raises(NotFound):
        workspace.models.get(again, "latest")
    with workspace.records.look() as connection:
        assert rows.count(connection, rows.by(PROJECTS)) == 2


def test_a_model_that_cannot_be_loaded_is_not_hosted_says_why_and_may_be_started_again(workspace, project):
    target = trained(workspace, project)
    for _ in range(2):
        assert workspace.models.start(project, "1", least=1, most=2).state is ModelState.STARTING
        made = workspace.models.get(project, "latest")
        assert made.state is ModelState.HOSTING_FAILED and "nowhere" in made.message
        assert workspace.job(target).error == made.message
    with pytest.raises(Conflict, match="not hosted"):
        workspace.hosts.predict(made, b"")
    workspace.models.stop(project, "1")
    made = workspace.models.get(project, "1")
    assert (made.state, made.min_units, made.max_units) == (ModelState.TRAINED, None, None)
    workspace.models.start(project, "1", least=1)
    workspace.models.delete(project, "1")
    with pytest.raises(NotFound):
        workspace.models.get(project, "1")


def test_units_and_states(workspace, project):
    trained(workspace, project)
    with pytest.raises(Invalid, match=r"\(1\) are fewer than the least \(2\)"):
        workspace.models.start(project, "1", least=2, most=1)
    with pytest.raises(Conflict) as told:
        workspace.models.stop(project, "1")
    assert (told.value.kind, told.value.name) == ("model", "parts/1")
    with pytest.raises(Invalid, match="latest"):
        workspace.models.delete(project, "latest")
    with pytest.raises(NotFound):
        workspace.models.start(project, "2", least=1)


def test_what_is_being_started_or_stopped_is_left_alone(tmp_path, database):
    with Workspace(tmp_path / "w", database=database) as nobody:
        project = nobody.projects.create("parts")
        trained(nobody, project)
        assert nobody.models.start(project, "1", least=1).state is ModelState.STARTING
        for call in (nobody.models.delete, nobody.models.stop):
            with pytest.raises(Conflict, match="in the state 'starting'"):
                call(project, "1")
        with pytest.raises(Conflict, match="in the state 'starting'"):
            nobody.models.start(project, "1", least=1)


def make_package(workspace, project, name, component="c:1.0.0"):
    return workspace.packages.create(
        project, workspace.models.get(project, "1"), name=name, component=component, configuration={}, output={},
        location="s3://packages/c.zip",
    )  # fmt: skip


def test_a_package_that_fails_says_why_and_gives_its_component_back(workspace, project):
    trained(workspace, project)
    for name in ("one", "two"):
        make_package(workspace, project, name)
        made = workspace.packages.get(project, name)
        assert made.state is PackageState.FAILED and made.message
    with pytest.raises(Conflict, match="packaging job 'one' already"):
        make_package(workspace, project, "one")
    assert [one.name for one in workspace.packages.list(project).items] == ["one", "two"]


def test_a_model_stays_while_it_is_packaged(tmp_path, database):
    with Workspace(tmp_path / "w", database=database) as nobody:
        project = nobody.projects.create("parts")
        trained(nobody, project)
        make_package(nobody, project, "one")
        with pytest.raises(Conflict, match="Component c:1"):
            make_package(nobody, project, "two")
        with pytest.raises(Conflict, match="is being packaged"):
            nobody.models.delete(project, "1")
    with Workspace(tmp_path / "w", database=database, run="inline") as workspace:
        assert workspace.packages.get(project, "one").state is PackageState.FAILED
        workspace.models.delete(project, "1")
        assert workspace.packages.list(project).items == []


def test_two_trainings_and_no_third(tmp_path, database):
    with Workspace(tmp_path / "w", database=database) as nobody:
        project, other = nobody.projects.create("parts"), nobody.projects.create("others")
        nobody.datasets.create(project, "train")
        nobody.datasets.create(other, "train")
        made = [nobody.models.create(one, output=OUTPUT) for one in (project, other)]
        assert [one.state for one in made] == [ModelState.TRAINING] * 2
        with pytest.raises(Exceeded, match="2 trainings are open"):
            nobody.models.create(project, output=OUTPUT)
    with Workspace(tmp_path / "w", database=database, run="inline") as workspace:
        assert workspace.models.get(project, "1").state is ModelState.FAILED
        assert workspace.models.create(project, output=OUTPUT).version == 2
        with pytest.raises(NotFound):
            workspace.models.get(project, "latest")


def test_names_may_be_as_long_as_the_contract_says(tmp_path, database):
    """The columns of PostgreSQL hold them, and so do the scopes of tokens."""
    with Workspace(tmp_path / "w", database=database, run="inline") as workspace:
        client = LookoutVision(workspace)
        name, token = "p" * 255, "t" * 64
        client.create_project(ProjectName=name, ClientToken=token)
        client.create_dataset(ProjectName=name, DatasetType="train", ClientToken=token)
        client.update_dataset_entries(ProjectName=name, DatasetType="train", Changes=b"{}", ClientToken=token)
        client.create_model(
            ProjectName=name, OutputConfig={"S3Location": {"Bucket": "results"}}, ClientToken=token,
            Description="d" * 500, KmsKeyId="k" * 2048, Tags=[{"Key": "ü" * 128, "Value": "ß" * 256}],
        )  # fmt: skip
        assert client.describe_model(ProjectName=name, ModelVersion="1")["ModelDescription"]["Description"] == "d" * 500
        client.delete_model(ProjectName=name, ModelVersion="1", ClientToken=token)
        trained(workspace, workspace.projects.get(name), 2)
        platform = {"Os": "LINUX", "Arch": "ARM64"}
        green = {"ComponentName": "c" * 128, "ComponentVersion": "123456.123456.123456", "TargetPlatform": platform,
                 "S3OutputLocation": {"Bucket": "packages"}}  # fmt: skip
        client.start_model_packaging_job(
            ProjectName=name, ModelVersion="2", JobName="j" * 64, Configuration={"Greengrass": green}, ClientToken=token
        )
        client.start_model(ProjectName=name, ModelVersion="2", MinInferenceUnits=1, ClientToken=token)
        client.stop_model(ProjectName=name, ModelVersion="2", ClientToken=token)
        client.delete_model(ProjectName=name, ModelVersion="2", ClientToken=token)
        client.delete_dataset(ProjectName=name, DatasetType="train", ClientToken=token)
        client.delete_project(ProjectName=name, ClientToken=token)
        assert client.list_projects()["Projects"] == []


# ---------------------------------------------------------------- counts


def manifest(normal: int, anomaly: int, masked: int = 0, name: str = "dent") -> Manifest:
    given = [part(n) for n in range(normal)]
    given += [part(n, "anomaly") for n in range(normal, normal + anomaly - masked)]
    given += [part(n, "anomaly", mask=name) for n in range(normal + anomaly - masked, normal + anomaly)]
    return Manifest(entry for line in given if (entry := read_line(json.dumps(line))[0]) is not None)


@pytest.mark.parametrize("given", [
    {"train": manifest(20, 10)}, {"train": manifest(20, 20, 20)}, {"train": manifest(10, 0), "test": manifest(10, 10)},
    {"train": manifest(10, 10, 10), "test": manifest(10, 10, 10)},
])  # fmt: skip
def test_just_enough_is_enough(given):
    check_counts(given)


@pytest.mark.parametrize(("given", "said"), [
    ({"train": manifest(19, 10)}, ["dataset has 19 normal images; at least 20"]),
    ({"train": manifest(20, 9)}, ["dataset has 9 anomaly images; at least 10"]),
    ({"train": manifest(20, 20, 19)}, ["19 images with 'dent' as the only anomaly type; at least 20"]),
    ({"train": manifest(9, 0), "test": manifest(10, 9)}, ["train dataset has 9 normal", "test dataset has 9 anomaly"]),
    ({"train": manifest(10, 10, 10), "test": manifest(10, 10, 9)}, ["test dataset has 9 images with 'dent'"]),
    ({"train": Manifest([*manifest(20, 10)] * 600)}, ["18,000 images; at most 16,000"]),
    ({"train": manifest(10, 10, 10), "test": Manifest([*manifest(10, 10, 10)] * 41)}, ["820 images; at most 800"]),
])  # fmt: skip
def test_too_few_or_many_are_told_in_numbers(given, said):
    with pytest.raises(Invalid) as told:
        check_counts(given)
    for words in said:
        assert words in str(told.value)
