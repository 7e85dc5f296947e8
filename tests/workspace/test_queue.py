"""The queue and its fence, on SQLite and PostgreSQL."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from vision_toolkit.workspace.jobs import Owner
from vision_toolkit.workspace.lifecycle import JobState
from vision_toolkit.workspace.records import Database, queue


@pytest.fixture
def records(tmp_path, database):
    made = Database(database or f"sqlite:///{tmp_path / 'records.db'}")
    yield made
    made.close()


def add(records, target="t", *, kind="train", awaits=()):
    with records.change() as connection:
        return queue.add(connection, kind, target=target, project="p", payload={"n": 1}, awaits=awaits)


def claim(records, owner="me", *, kinds=("train",), seconds=60.0):
    with records.change() as connection:
        return queue.claim(connection, owner, kinds, seconds)


def close(records, job, state=JobState.SUCCEEDED):
    with records.change() as connection:
        return queue.close(connection, job, state)


def test_jobs_are_taken_in_order_once_and_by_kind(records):
    first, second, light = add(records), add(records), add(records, kind="stop model")
    assert claim(records).id == first
    assert claim(records).id == second
    assert claim(records) is None
    assert claim(records, kinds=("stop model",)).id == light


def test_two_hundred_jobs_and_eight_claimers_none_twice_none_lost(records):
    made = {add(records, str(number)) for number in range(200)}
    start = threading.Barrier(8)

    def take(name):
        start.wait()
        got = []
        while (job := claim(records, name)) is not None or len(records_left(records)):
            if job is not None:
                got.append(job.id)
                assert close(records, job)
        return got

    def records_left(records):
        with records.look() as connection:
            return [job for job in queue.open_jobs(connection) if job.state is JobState.ACCEPTED]

    with ThreadPoolExecutor(8) as pool:
        taken = [one for got in pool.map(take, map(str, range(8))) for one in got]
    assert len(taken) == 200 and set(taken) == made


def test_a_job_waits_for_those_that_it_awaits_however_they_end(records):
    first = add(records)
    waiting = add(records, awaits=[first])
    job = claim(records)
    assert job.id == first and claim(records) is None
    assert close(records, job, JobState.FAILED)
    assert claim(records).id == waiting


def test_whoever_lost_the_fence_can_write_nothing(records):
    made = add(records)
    late = claim(records, "late", seconds=-1)  # its lease is over at once
    now = claim(records, "now")
    assert (late.id, now.id, late.attempt, now.attempt, now.deaths) == (made, made, 1, 2, 1)
    with records.change() as connection:
        assert not queue.tell(connection, late, 60, {"progress": 0.9})
        assert queue.tell(connection, now, 60, {"progress": 0.2})
    assert not close(records, late)
    assert close(records, now)
    assert not close(records, now)
    with records.look() as connection:
        assert queue.find(connection, made).state is JobState.SUCCEEDED


def test_a_cancelled_job_is_ended_for_whoever_runs_it(records):
    made = add(records)
    job = claim(records)
    with records.change() as connection:
        assert queue.cancel(connection, made)
        assert not queue.cancel(connection, made)
    assert not close(records, job)
    assert claim(records) is None


def test_letting_go_counts_as_a_death_only_if_it_was_one(records):
    add(records)
    for died, deaths in ((False, 0), (True, 0), (True, 1), (False, 2), (False, 2)):
        job = claim(records)
        assert job.deaths == deaths
        with records.change() as connection:
            queue.let_go(connection, job, died=died)


def test_an_owner_is_gone_when_its_process_is(tmp_path, records):
    owner = Owner(tmp_path / "owners")
    add(records)
    claim(records, owner.name)
    assert not Owner.is_gone(tmp_path / "owners", owner.name)
    with records.look() as connection:
        assert queue.owners(connection) == [owner.name]
    owner._handle.close()  # what the system does for a killed process
    assert Owner.is_gone(tmp_path / "owners", owner.name)
    assert not Owner.is_gone(tmp_path / "owners", "another-machine/1/abc")
    with records.change() as connection:
        assert queue.free(connection, owner.name) == 1
    assert claim(records, "next").attempt == 2


def test_a_log_tells_attempt_and_moment(records):
    add(records)
    job = claim(records)
    with records.change() as connection:
        queue.log(connection, job, "one")
        queue.log(connection, job, "two")
        assert [(line["attempt"], line["text"]) for line in queue.logs(connection, job.id)] == [(1, "one"), (1, "two")]
