"""Datasets: created, updated, listed, rolled back; on SQLite and PostgreSQL, against a plain list."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.workspace.conftest import draw, lines, part
from vision_toolkit.core.errors import Conflict, Invalid, NotFound
from vision_toolkit.workspace import Workspace
from vision_toolkit.workspace.datasets import Filter
from vision_toolkit.workspace.lifecycle import DatasetState
from vision_toolkit.workspace.records import entries, queue, rows
from vision_toolkit.workspace.records.entries import Counts, NewEntry
from vision_toolkit.workspace.records.tables import ENTRIES


def create(workspace, project, *given, type="train"):
    workspace.buckets.write("s3://factory/some.manifest", lines(*given))
    workspace.datasets.create(project, type, manifest="s3://factory/some.manifest")
    return workspace.datasets.get(project, type)


def everything(workspace, project, which=None, *, most=100):
    """Read every page."""
    found, after = [], -1
    while after is not None:
        page = workspace.datasets.entries(project, "train", which, after=after, most=most)
        assert len(page.items) <= most
        found += page.items
        after = page.after
    return [json.loads(one.line)["source-ref"] for one in found]


def test_a_dataset_from_a_manifest_has_its_lines_to_the_letter(workspace, project):
    draw(workspace, 4)
    given = [part(0), part(1, "anomaly"), part(2, None), part(3)]
    made = create(workspace, project, *given)
    assert (made.state, made.total, made.labeled, made.normal, made.anomaly) == (DatasetState.CREATED, 4, 3, 2, 1)
    assert "".join(f"{line}\n" for line in workspace.datasets.lines(made)).encode() == lines(*given)
    manifest = workspace.datasets.manifest(made)
    assert manifest.counts()["normal"] == 2
    assert manifest[0].location == workspace.buckets.place("s3://factory/parts/0.png")


def test_an_empty_dataset_is_there_at_once_and_takes_lines(workspace, project):
    made = workspace.datasets.create(project, "test")
    assert (made.state, made.total, made.message) == (DatasetState.CREATED, 0, "The dataset was created successfully.")
    draw(workspace, 1)
    workspace.datasets.update(project, "test", lines(part(0)))
    assert workspace.datasets.get(project, "test").normal == 1


def test_whatever_is_wrong_with_lines_and_images_is_told_and_nothing_is_kept(workspace, project):
    draw(workspace, 3)
    bad = [part(0), part(1), part(77), {"no": "source"}, part(2) | {"source-ref": "https://elsewhere/1.png"}]
    workspace.buckets.write("s3://factory/some.manifest", lines(*bad) + b"not json\n" + lines(part(0, "anomaly")))
    workspace.datasets.create(project, "train", manifest="s3://factory/some.manifest")
    made = workspace.datasets.get(project, "train")
    assert (made.state, made.total) == (DatasetState.FAILED, 0)
    for said in ("5 problems in 7 lines", "77.png", "line 4: ", "line 5: ", "line 6: ", "stands on line 1 already",
                 "vision-toolkit put", str(workspace.folder / "buckets")):  # fmt: skip
        assert said in made.message
    with workspace.records.look() as connection:
        assert rows.count(connection, rows.by(ENTRIES)) == 0
    workspace.datasets.delete(project, "train")
    assert create(workspace, project, part(0)).state is DatasetState.CREATED


def test_the_first_ten_problems_are_told_and_the_rest_counted(workspace, project):
    made = create(workspace, project, *({"bad": number} for number in range(37)))
    assert made.message.count("line ") == 10 and "and 27 more" in made.message


@pytest.mark.parametrize(("given", "said"), [
    ([part(0), part(1, bucket="other")], "in another bucket than"),
    ([part(0) | {"x": "y" * 9000}], "8,192 are allowed"),
    ([part(0, "anomaly", mask="dent")], "masks"),
])  # fmt: skip
def test_limits_of_the_service(workspace, project, given, said):
    draw(workspace, 1)
    draw(workspace, 2, bucket="other")
    assert said in create(workspace, project, *given).message


def test_no_manifest_no_dataset(workspace, project):
    workspace.datasets.create(project, "train", manifest="s3://factory/none.manifest")
    made = workspace.datasets.get(project, "train")
    assert made.state is DatasetState.FAILED and "none.manifest" in made.message


def test_there_is_one_dataset_of_a_type_and_deleting_makes_room_at_once(workspace, project):
    draw(workspace, 2)
    create(workspace, project, part(0))
    with pytest.raises(Conflict, match="has a train dataset already"):
        workspace.datasets.create(project, "train")
    workspace.datasets.delete(project, "train")
    with pytest.raises(NotFound) as told:
        workspace.datasets.get(project, "train")
    assert (told.value.kind, told.value.name) == ("dataset", "parts/train")
    assert create(workspace, project, part(1)).total == 1
    assert everything(workspace, project) == ["s3://factory/parts/1.png"]


def test_an_update_replaces_whole_lines_in_their_place_and_adds_the_others(workspace, project):
    draw(workspace, 5)
    create(workspace, project, part(0), part(1), part(2))
    first = workspace.datasets.entries(project, "train", most=2)
    workspace.datasets.update(project, "train", lines(part(1, "anomaly"), part(4), part(3, None)))
    made = workspace.datasets.get(project, "train")
    assert (made.state, made.total, made.normal, made.anomaly) == (DatasetState.UPDATED, 5, 3, 1)
    assert everything(workspace, project) == [f"s3://factory/parts/{n}.png" for n in (0, 1, 2, 4, 3)]
    rest = workspace.datasets.entries(project, "train", after=first.after)  # a place in the list outlives the update
    assert [json.loads(one.line)["source-ref"][-5] for one in rest.items] == ["2", "4", "3"]
    assert list(workspace.datasets.lines(made, version=1)) == lines(part(0), part(1), part(2)).decode().splitlines()


def test_one_bad_line_and_nothing_changes(workspace, project):
    draw(workspace, 3)
    create(workspace, project, part(0))
    workspace.datasets.update(project, "train", lines(part(1), part(0, "anomaly")) + b"{]\n")
    made = workspace.datasets.get(project, "train")
    assert (made.state, made.total, made.anomaly, made.version) == (DatasetState.ROLLED_BACK, 1, 0, 1)
    assert made.message.startswith("Nothing was changed.") and "line 3" in made.message
    assert everything(workspace, project) == ["s3://factory/parts/0.png"]
    workspace.datasets.update(project, "train", lines(part(1)))
    assert workspace.datasets.get(project, "train").total == 2


def test_an_image_of_another_bucket_is_refused_at_once_unless_limits_are_off(tmp_path, workspace, project):
    draw(workspace, 1)
    draw(workspace, 1, bucket="other")
    create(workspace, project, part(0))
    with pytest.raises(Invalid, match="in another bucket"):
        workspace.datasets.update(project, "train", lines(part(0, bucket="other")))
    assert workspace.datasets.get(project, "train").state is DatasetState.CREATED
    with Workspace(tmp_path / "free", run="inline", limits=False) as free:
        draw(free, 1)
        draw(free, 1, bucket="other")
        made = create(free, free.projects.create("parts"), part(0), part(0, bucket="other"))
        assert made.total == 2, made.message


def test_a_line_may_hold_other_ends_of_lines_within_its_words(workspace, project):
    """JSON allows them; so they neither divide a line nor hide what comes after them."""
    draw(workspace, 2)
    draw(workspace, 1, bucket="other")
    odd = "a\u2028b\u0085c\u2029d"
    given = "".join(json.dumps({"x": odd, **part(n)}, ensure_ascii=False) + "\n" for n in range(2))
    workspace.buckets.write("s3://factory/m", given.encode())
    workspace.datasets.create(project, "train", manifest="s3://factory/m")
    made = workspace.datasets.get(project, "train")
    assert (made.total, "".join(f"{line}\n" for line in workspace.datasets.lines(made))) == (2, given), made.message
    foreign = json.dumps({"x": odd, **part(0, bucket="other")}, ensure_ascii=False).encode()
    with pytest.raises(Invalid, match=r"Line 1: s3://other/parts/0.png lies in another bucket"):
        workspace.datasets.update(project, "train", foreign)


def test_a_broken_image_stops_the_dataset_and_a_cut_one_too(workspace, project):
    draw(workspace, 2)
    workspace.buckets.write("s3://factory/parts/0.png", b"GIF89a nothing")
    made = create(workspace, project, part(0), part(1))
    assert made.state is DatasetState.FAILED and "line 1" in made.message


def test_a_mask_comes_with_its_line(workspace, project):
    draw(workspace, 1)
    workspace.buckets.write("s3://factory/masks/0.png", b"")
    with open(workspace.buckets.place("s3://factory/masks/0.png"), "wb") as file:
        mask = Image.new("P", (64, 64))
        mask.putpalette([255, 255, 255, 35, 164, 54])
        mask.paste(1, (5, 5, 9, 9))
        mask.save(file, "PNG")
    made = create(workspace, project, part(0, "anomaly", mask="dent"))
    assert (made.state, made.masked) == (DatasetState.CREATED, 1), made.message


def test_fifty_threads_and_no_line_is_lost(tmp_path, database):
    with Workspace(tmp_path / "w", run="thread", database=database) as workspace:
        project = workspace.projects.create("parts")
        draw(workspace, 50)
        workspace.datasets.create(project, "train")
        start = threading.Barrier(50)

        def update(number):
            start.wait()
            while True:
                try:
                    return workspace.datasets.update(project, "train", lines(part(number)))
                except Conflict:
                    threading.Event().wait(0.05)

        with ThreadPoolExecutor(50) as pool:
            list(pool.map(update, range(50)))
        settle(workspace, project)
        made = workspace.datasets.get(project, "train")
        assert (made.total, made.version, made.state) == (50, 50, DatasetState.UPDATED)
        assert sorted(everything(workspace, project)) == sorted(f"s3://factory/parts/{n}.png" for n in range(50))


def settle(workspace, project, seconds=120.0):
    """Wait until no job of a project is open."""
    for _ in range(int(seconds / 0.05)):
        with workspace.records.look() as connection:
            if not queue.open_jobs(connection, project=project.id):
                return
        threading.Event().wait(0.05)
    raise AssertionError("jobs are still open")


LABELS = st.sampled_from([0, 1, None])
UPDATE = st.lists(st.tuples(st.integers(0, 12), LABELS), min_size=1, max_size=6, unique_by=lambda one: one[0])
UPDATES = st.lists(UPDATE, min_size=1, max_size=6)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(updates=UPDATES, page=st.integers(1, 5), labeled=st.sampled_from([None, True, False]),
       anomaly=st.sampled_from([None, True, False]), contains=st.sampled_from([None, "1", "p/1"]))  # fmt: skip
def test_what_is_listed_is_what_a_plain_dict_says(tmp_path, database, updates, page, labeled, anomaly, contains):
    from vision_toolkit.workspace.records import Database

    records = Database(database or f"sqlite:///{tmp_path / 'records.db'}")
    number = rows_of(records)
    known: dict[str, int | None] = {}
    counts = Counts()
    snapshots = []
    for version, update in enumerate(updates, 1):
        new = [NewEntry(f"p/{n}", label, False, f"{n} {label} {version}") for n, label in update]
        with records.change() as connection:
            counts = entries.replace(connection, number, version, new, counts)
        known |= {f"p/{n}": label for n, label in update}
        snapshots.append(dict(known))
    assert counts.total == len(known) and counts.anomaly == sum(label == 1 for label in known.values())
    which = Filter(labeled=labeled, anomaly=anomaly, contains=contains)
    for version, snapshot in enumerate(snapshots, 1):
        found, after = [], -1
        while after is not None:
            with records.look() as connection:
                part = entries.listed(connection, number, version, which, after, page)
            found += [one.source for one in part.items]
            after = part.after
        assert found == [
            source
            for source, label in snapshot.items()
            if (labeled is None or (label is not None) == labeled)
            and (anomaly is None or label == int(anomaly))
            and (contains is None or contains in source)
        ]
    with records.change() as connection:
        entries.discard(connection, number, len(updates) + 1)  # nothing was staged: nothing goes
        assert len(list(entries.read(connection, number, len(updates)))) == len(known)
        while entries.forget(connection, number, 3):
            pass
    records.close()


def rows_of(records):
    """Return a number that no dataset of this database had before."""
    with records.look() as connection:
        found = connection.execute(ENTRIES.select().order_by(ENTRIES.c.dataset.desc())).first()
    return 1 if found is None else found.dataset + 1


def test_moments_bound_what_is_listed(tmp_path, database):
    from vision_toolkit.workspace.records import Database

    records = Database(database or f"sqlite:///{tmp_path / 'records.db'}")
    with records.change() as connection:
        entries.add(connection, 1, 1, 0, [NewEntry(f"a/{n}", 0, False, "x") for n in range(3)])
        connection.execute(ENTRIES.update().values(added=100.0))
        entries.add(connection, 1, 1, 3, [NewEntry(f"b/{n}", 0, False, "x") for n in range(2)])
        connection.execute(ENTRIES.update().where(ENTRIES.c.position >= 3).values(added=200.0))

        def listed(**bounds):
            found = entries.listed(connection, 1, 1, Filter(**bounds), -1, 10).items
            return "".join(one.source[0] for one in found)

        assert listed(after=99.0) == "aaabb" and listed(after=100.0) == "bb" and listed(after=200.0) == ""
        assert listed(before=100.0) == "" and listed(before=150.0) == "aaa" and listed(before=300.0) == "aaabb"
        assert listed(after=99.0, before=150.0) == "aaa"
    records.close()
