"""Opening, migrating and changing the records."""

from __future__ import annotations

import threading

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from vision_toolkit.core.errors import Failed, Invalid, Unsupported
from vision_toolkit.workspace.records import Database, rows
from vision_toolkit.workspace.records.tables import METADATA, PROJECTS


@pytest.fixture
def url(tmp_path, database):
    return database or f"sqlite:///{tmp_path / 'deep' / 'records.db'}"


def project(name):
    return {
        "id": rows.new_id(), "service": "lookout", "name": name, "key": name, "created": 1.0, "updated": 1.0,
        "facts": {},
    }  # fmt: skip


def names(records):
    with records.look() as connection:
        return sorted(row.name for row in connection.execute(rows.by(PROJECTS)))


def test_the_steps_make_the_tables_that_are_written_down(url):
    records = Database(url)
    with records.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []
    records.close()
    Database(url).close()  # and again: nothing to do


def test_records_of_a_newer_version_are_left_alone(url):
    records = Database(url)
    with records.change() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    records.close()
    with pytest.raises(Unsupported, match=r"'9999'.*newer"):
        Database(url)


def test_several_who_open_it_at_once_make_it_once(url):
    made, errors = [], []

    def open_it():
        try:
            made.append(Database(url))
        except Exception as error:  # noqa: BLE001 - whatever a thread says, the test tells it
            errors.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert names(made[0]) == []
    for one in made:
        one.close()


def test_a_change_is_kept_whole_or_not_at_all_and_an_inner_one_belongs_to_it(url):
    records = Database(url)
    told = []
    with pytest.raises(ZeroDivisionError), records.change() as connection:  # noqa: PT012
        rows.insert(connection, PROJECTS, project("a"))
        with records.change() as inner:
            assert inner is connection
            rows.insert(inner, PROJECTS, project("b"))
            records.later(lambda: told.append("b"))
        1 / 0  # noqa: B018
    assert names(records) == [] and told == []
    with records.change() as connection:
        rows.insert(connection, PROJECTS, project("c"))
        records.later(lambda: told.append(names(records)))
    assert told == [["c"]]
    records.close()


def test_a_second_row_of_one_key_is_refused_without_ending_the_change(url):
    records = Database(url)
    with records.change() as connection:
        assert rows.insert(connection, PROJECTS, project("a"), unless="key")
        assert not rows.insert(connection, PROJECTS, project("a"), unless="key")
        assert rows.insert(connection, PROJECTS, project("b"), unless="key")
    assert names(records) == ["a", "b"]
    records.close()


@pytest.mark.parametrize("url", ["mysql://u@h/d", "no url at all", "sqlite://", "redis://x"])
def test_what_is_no_database_of_ours_is_refused(url):
    with pytest.raises(Invalid):
        Database(url)


def test_a_server_that_is_not_there_is_said_so():
    with pytest.raises(Failed, match=r"postgres:\*\*\*@127.0.0.1:1/x.*cannot be used"):
        Database("postgresql://postgres:secret@127.0.0.1:1/x")


def test_a_folder_that_cannot_be_made_is_said_so(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(Failed, match="file"):
        Database(f"sqlite:///{tmp_path / 'file' / 'records.db'}")
