"""Projects of a second service, and jobs as others see them, in SQLite and PostgreSQL alike."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_toolkit.core.errors import Conflict, NotFound
from vision_toolkit.services.oci import OciVision
from vision_toolkit.services.oci.names import KINDS
from vision_toolkit.workspace import Workspace
from vision_toolkit.workspace.lifecycle import JobState, ModelState
from vision_toolkit.workspace.records import tokens

SERVICE = "oci"


@pytest.fixture
def idle(tmp_path, database):
    """Give a workspace that nobody runs."""
    with Workspace(tmp_path / "w", database=database) as made:
        yield made


def make(workspace, name="parts", compartment="c"):
    return workspace.projects.create(
        name, service=SERVICE, unique=False, facts={"compartment": compartment, "etag": "1"}
    )


def test_names_are_not_unique_where_a_service_says_so(idle):
    first, second = make(idle), make(idle)
    assert first.id != second.id and first.name == second.name
    with pytest.raises(NotFound):
        idle.projects.get("parts", service=SERVICE)
    idle.projects.create("parts")
    with pytest.raises(Conflict):
        idle.projects.create("parts")
    assert idle.projects.find(first.id, service=SERVICE) == first
    with pytest.raises(NotFound):
        idle.projects.find(first.id, service="lookout")


def test_projects_are_changed_and_deleted_with_what_is_remembered_of_them(idle):
    made = make(idle)
    changed = idle.projects.change(made, name="nuts", facts={"etag": "2"})
    assert (changed.name, dict(changed.facts)) == ("nuts", {"compartment": "c", "etag": "2"})
    assert changed.updated >= made.updated and changed.created == made.created
    gone = idle.projects.remove(changed)
    assert gone.deleted is not None and gone.deleted <= datetime.now(UTC) and gone.facts["etag"] == "2"
    assert idle.projects.search(SERVICE) == ([], None)
    assert idle.projects.find(made.id, service=SERVICE) == gone


def test_projects_are_found_by_what_is_remembered_of_them(idle):
    made = [make(idle, name, group) for name, group in (("b", "x"), ("a", "x"), ("ü", "y"), ("a", "x"))]
    found, rest = idle.projects.search(SERVICE, compartment="x", by="name", most=2)
    assert [one.id for one in found] == [made[1].id, made[3].id] and rest == ("a", made[3].number)
    found, rest = idle.projects.search(SERVICE, compartment="x", by="name", most=2, after=rest)
    assert [one.id for one in found] == [made[0].id] and rest is None
    found, _ = idle.projects.search(SERVICE, down=True)
    assert [one.id for one in found] == [one.id for one in reversed(made)]
    assert [one.id for one in idle.projects.search(SERVICE, name="ü")[0]] == [made[2].id]
    assert set(idle.projects.several([made[0].id, "nobody"])) == {made[0].id}


def test_jobs_are_found_and_cancelled(idle):
    project = make(idle)
    done = idle.ledger.record("create project", target=project.id, project=project.id)
    idle.datasets.create(project, "train")
    model = idle.models.create(project, output={"Bucket": "b"})
    training = idle.job(model.id)
    found, _ = idle.ledger.search(SERVICE, list(KINDS))
    assert [(one.id, one.state) for one in found] == [(done, JobState.SUCCEEDED), (training.id, JobState.ACCEPTED)]
    assert found[0].progress == 1 and found[0].started == found[0].ended == found[0].created
    by_state, _ = idle.ledger.search(SERVICE, list(KINDS), states=[JobState.ACCEPTED], compartment="c")
    assert [one.id for one in by_state] == [training.id]
    assert idle.ledger.search(SERVICE, list(KINDS), compartment="other") == ([], None)
    newest, rest = idle.ledger.search(SERVICE, list(KINDS), newest_first=True, most=1)
    older, end = idle.ledger.search(SERVICE, list(KINDS), newest_first=True, most=1, after=rest)
    assert [newest[0].id, older[0].id] == [training.id, done] and end is None
    assert idle.ledger.cancel(training.id).state is JobState.CANCELED
    assert idle.models.get(project, "1").state is ModelState.FAILED
    for ended in (training.id, done):
        with pytest.raises(Conflict, match="already"):
            idle.ledger.cancel(ended)
    with pytest.raises(NotFound):
        idle.ledger.get("nobody")


def test_a_cancelled_job_that_is_running_loses_its_hold(idle):
    from vision_toolkit.workspace.jobs import HeldElsewhereError, Work
    from vision_toolkit.workspace.records import queue

    project = make(idle)
    idle.datasets.create(project, "train")
    model = idle.models.create(project, output={"Bucket": "b"})
    with idle.records.change() as connection:
        job = queue.claim(connection, "me", ["train"], 30.0)
    idle.ledger.cancel(job.id)
    with pytest.raises(HeldElsewhereError):
        Work(idle, job).tell(0.5, "half")
    with pytest.raises(HeldElsewhereError), Work(idle, job).finish():
        pass
    assert idle.models.get(project, "1").message == "cancelled"
    assert idle.models.delete(project, str(model.version)).id == model.id


def test_the_second_service_in_both_databases(idle):
    client = OciVision(idle)
    details = {"displayName": "größer", "compartmentId": "c", "freeformTags": {"$moment": "1"}}
    made = client.create_project(details, opc_retry_token="t")
    assert client.create_project(details, opc_retry_token="t").data == made.data
    client.update_project(made.data.id, {"displayName": "b"}, if_match=made.headers["etag"])
    assert [one.display_name for one in client.list_projects(compartment_id="c").data.items] == ["b"]
    listed = client.list_work_requests(compartment_id="c", limit=1)
    assert listed.data.items[0].operation_type == "UPDATE_PROJECT" and listed.has_next_page
    client.delete_project(made.data.id)
    assert client.get_project(made.data.id).data.lifecycle_state == "DELETED"


PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
MOMENTS = st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 hypothesis asks for such
KEYS = st.sampled_from(["$moment", "$map", "a"]) | st.text(max_size=3)
ANSWERS = st.recursive(
    PLAIN | MOMENTS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=9
)


@given(ANSWERS)
def test_an_answer_that_is_kept_comes_back_as_it_was(answer):
    import json

    assert close(tokens._read(json.loads(json.dumps(tokens._written(answer)))), answer)


def close(one, other) -> bool:
    """Moments are kept as seconds: to the microsecond or nearly so."""
    if isinstance(other, datetime):
        return isinstance(one, datetime) and abs((one - other).total_seconds()) < 2e-6
    if isinstance(other, dict):
        return isinstance(one, dict) and list(one) == list(other) and all(close(one[key], other[key]) for key in other)
    if isinstance(other, list):
        return isinstance(one, list) and len(one) == len(other) and all(map(close, one, other))
    return type(one) is type(other) and one == other
