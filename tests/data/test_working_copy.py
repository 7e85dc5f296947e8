from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vision_toolkit.core import Entry, Label, Region
from vision_toolkit.core.errors import Conflict, Failed, Invalid, NotFound
from vision_toolkit.data import Manifest
from vision_toolkit.data.working_copy import WorkingCopy

LINE = (
    '{"source-ref": "%s.png", "mine": [1, 2], "a": 0, "a-metadata": {"class-name": "normal", '
    '"type": "groundtruth/image-classification"}}'
)


@pytest.fixture
def given(tmp_path: Path) -> Manifest:
    path = tmp_path / "given.manifest"
    path.write_text("\n".join([LINE % 0, "no json at all", LINE % 1]) + "\n")
    return Manifest.read(path)


def test_changes_are_on_the_disk_at_once_and_the_given_file_stays(given: Manifest, tmp_path: Path) -> None:
    before = (tmp_path / "given.manifest").read_bytes()
    copy = WorkingCopy(given, tmp_path / "work.manifest")
    assert not (tmp_path / "work.manifest").exists(), "nothing was changed yet"
    copy.put(replace(copy.entry("1.png"), regions=(Region.box("pore", left=0.1, top=0.1, width=0.2, height=0.2),)))
    lines = (tmp_path / "work.manifest").read_text().splitlines()
    assert lines[:2] == before.decode().splitlines()[:2], "lines that nobody touched stay to the letter"
    assert '"mine": [1, 2]' in lines[2]
    assert (tmp_path / "given.manifest").read_bytes() == before
    again = WorkingCopy(given, tmp_path / "work.manifest")
    assert again.changed == ("1.png",)
    assert again.entry("1.png").regions[0].name == "pore"
    again.put(again.entry("0.png").relabelled("anomaly"))
    assert [entry.label for entry in Manifest.read(tmp_path / "work.manifest")] == [Label.ANOMALY, Label.NORMAL]


def test_a_copy_in_which_all_was_taken_back_goes_on(given: Manifest, tmp_path: Path) -> None:
    copy = WorkingCopy(given, tmp_path / "work.manifest")
    before = copy.entry("1.png")
    copy.put(before.relabelled("anomaly"))
    copy.put(before)
    assert copy.changed == ()
    again = WorkingCopy(given, tmp_path / "work.manifest")
    again.put(before.relabelled("anomaly"))
    assert Manifest.read(tmp_path / "work.manifest")[1].label is Label.ANOMALY


def test_images_of_a_folder_are_known_again(tmp_path: Path) -> None:
    for kind in ("normal", "anomaly"):
        (tmp_path / "parts" / kind).mkdir(parents=True)
        Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "parts" / kind / f"{kind}.png")
    given = Manifest.from_folder(tmp_path / "parts")
    copy = WorkingCopy(given, tmp_path / "elsewhere" / "work.manifest")
    source = given[0].source
    copy.put(copy.entry(source).relabelled("unlabelled"))
    again = WorkingCopy(given, tmp_path / "elsewhere" / "work.manifest")
    assert again.changed == (source,)
    assert [entry.source for entry in again.manifest] == [entry.source for entry in given]


def test_a_file_of_something_else_is_left_alone(given: Manifest, tmp_path: Path) -> None:
    for same in (given, given[:1]):
        with pytest.raises(Conflict, match="is the file that was given"):
            WorkingCopy(same, tmp_path / "given.manifest")
    with pytest.raises(Conflict, match="may be the file that was given"):
        WorkingCopy(Manifest(list(given)), tmp_path / "given.manifest")
    other = Manifest([Entry("other.png", Label.NORMAL)]).write(tmp_path / "other.manifest")
    before = other.read_bytes()
    with pytest.raises(Conflict, match="no manifest of these images"):
        WorkingCopy(given, other)
    assert other.read_bytes() == before
    with pytest.raises(Invalid, match="once"):
        WorkingCopy(given + given)
    with pytest.raises(NotFound, match="no image"):
        WorkingCopy(given).put(Entry("2.png"))


def test_a_disk_that_refuses_changes_nothing(given: Manifest, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    copy = WorkingCopy(given, tmp_path / "file" / "work.manifest")
    with pytest.raises(Failed):
        copy.put(copy.entry("0.png").relabelled("anomaly"))
    assert copy.changed == ()


def test_something_that_appeared_meanwhile_is_not_overwritten(given: Manifest, tmp_path: Path) -> None:
    copy = WorkingCopy(given, tmp_path / "work.manifest")
    (tmp_path / "work.manifest").write_text("mine")
    with pytest.raises(Conflict, match="exists"):
        copy.put(copy.entry("0.png").relabelled("anomaly"))
    assert (tmp_path / "work.manifest").read_text() == "mine"


def test_a_file_with_other_images_too_loses_none(given: Manifest, tmp_path: Path) -> None:
    copy = WorkingCopy(given, tmp_path / "work.manifest")
    for source in ("0.png", "1.png"):
        copy.put(copy.entry(source).relabelled("anomaly"))
    before = (tmp_path / "work.manifest").read_bytes()
    with pytest.raises(Conflict, match="1 images that were not given"):
        WorkingCopy(given[:1], tmp_path / "work.manifest")
    assert (tmp_path / "work.manifest").read_bytes() == before


def test_many_changes_write_what_one_would(given: Manifest, tmp_path: Path) -> None:
    copy = WorkingCopy(given, tmp_path / "work.manifest")
    told: list[str] = []
    copy.watchers.append(told.append)
    for label in ("anomaly", "normal", "anomaly"):
        for source in ("1.png", "0.png"):
            copy.put(copy.entry(source).relabelled(label))
    copy.manifest.write(tmp_path / "at-once.manifest", relocate=True)
    assert (tmp_path / "work.manifest").read_bytes() == (tmp_path / "at-once.manifest").read_bytes()
    assert told == ["1.png", "0.png"] * 3
    assert WorkingCopy(given, tmp_path / "work.manifest").changed == ("0.png", "1.png")


def test_a_change_costs_the_line_and_not_the_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vision_toolkit.data import working_copy

    copy = WorkingCopy(Manifest([Entry(f"{number}.png") for number in range(500)]), tmp_path / "work.manifest")
    copy.put(copy.entry("3.png").relabelled("anomaly"))
    plain, lines = working_copy.write_line, []
    monkeypatch.setattr(working_copy, "write_line", lambda entry: lines.append(entry.source) or plain(entry))
    monkeypatch.setattr(Manifest, "write", None)
    copy.put(copy.entry("7.png").relabelled("normal"))
    assert lines == ["7.png"]
    labels = [str(entry.label) for entry in Manifest.read(tmp_path / "work.manifest")]
    assert [labels[3], labels[7], labels.count("unlabelled")] == ["anomaly", "normal", 498]
