"""The file of labels: what was said comes back, whatever happens to the process in between."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_toolkit.core import Conflict, Entry, Failed, Invalid, Label, Tag
from vision_toolkit.data import Manifest
from vision_toolkit.data.label_act import Opinion
from vision_toolkit.data.label_log import LabelLog


def state(log: LabelLog) -> dict[tuple[str, str], Opinion]:
    frame = log.to_frame()
    pairs = zip(frame["annotator"], frame["source"], strict=True)
    return {(who, source): log.opinion(source, who) for who, source in pairs}


TEXT = st.text(min_size=1, max_size=12)
ACTS = st.lists(
    st.tuples(
        st.sampled_from(["label", "skip", "flag", "note", "undo"]), st.sampled_from(["a", "b", "c/ü.png"]),
        st.sampled_from(["", "ann", "bob"]), TEXT, st.booleans(),
    ),
    max_size=30,
)  # fmt: skip


def do(log: LabelLog, acts: list[tuple[str, str, str, str, bool]]) -> None:
    for action, source, who, text, on in acts:
        if action == "undo":
            log.undo(who)
        else:
            more = {"label": {"name": text}, "flag": {"flagged": on}, "note": {"text": text}}.get(action, {})
            log.add(action, source, annotator=who, **more)


@given(ACTS)
def test_what_was_said_comes_back_from_the_file(tmp_path_factory: pytest.TempPathFactory, acts: list) -> None:
    file = tmp_path_factory.mktemp("log") / "labels.jsonl"
    log = LabelLog(file)
    do(log, acts)
    again = LabelLog(file)
    assert again.acts == log.acts
    assert state(again) == state(log)
    assert again.findings == []
    assert [again.history(who, n=99) for who in again.annotators] == [log.history(who, n=99) for who in log.annotators]


@given(ACTS, st.integers(1, 40))
def test_undo_to_the_beginning_leaves_nothing(acts: list, extra: int) -> None:
    log = LabelLog()
    do(log, acts)
    for who in log.annotators:
        for act, before in log.history(who, n=extra):
            assert log.undo(who) == act
            assert log.opinion(act.source, who) == before
        while log.undo(who):
            pass
    assert state(log) == {}


@given(ACTS, st.data())
def test_a_file_cut_anywhere_loses_its_last_line_at_most(
    tmp_path_factory: pytest.TempPathFactory, acts: list, data: st.DataObject
) -> None:
    file = tmp_path_factory.mktemp("log") / "labels.jsonl"
    whole = LabelLog(file)
    do(whole, acts)
    written = file.read_bytes() if file.exists() else b""
    cut = data.draw(st.integers(0, len(written)))
    file.write_bytes(written[:cut])
    kept = LabelLog(file)
    lines = written[:cut].count(b"\n")
    assert kept.acts[:lines] == whole.acts[:lines]
    assert len(kept.acts) - lines in (0, 1)  # a line that lacks its newline only is whole
    assert len(kept.findings) <= 1
    kept.add("label", "new", name="normal")
    assert file.read_bytes().startswith(written[:cut]), "nothing is ever rewritten"
    assert LabelLog(file).acts == kept.acts


def test_a_first_line_that_was_cut_after_one_letter_does_not_lock_the_file(tmp_path: Path) -> None:
    file = tmp_path / "labels.jsonl"
    file.write_bytes(b"{")
    LabelLog(file).add("label", "1.png", name="normal")
    again = LabelLog(file)
    assert [act.source for act in again.acts] == ["1.png"] and len(again.findings) == 1


def test_a_json_file_over_several_lines_is_no_file_of_labels(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    file.write_text('{\n "a": 1\n}\n')
    with pytest.raises(Invalid, match="no file of labels"):
        LabelLog(file)


def test_a_line_that_was_cut_off_is_told_and_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "labels.jsonl"
    log = LabelLog(file)
    for n in range(3):
        log.add("label", f"{n}.png", name="normal", annotator="ann")
    file.write_bytes(file.read_bytes()[:-20])
    again = LabelLog(file)
    (found,) = again.findings
    assert (found.line, found.rule) == (3, "torn-line")
    assert "cut off" in found.text
    again.add("label", "2.png", name="anomaly", annotator="ann")
    third = LabelLog(file)
    assert [third.opinion(f"{n}.png", "ann").name for n in range(3)] == ["normal", "normal", "anomaly"]
    assert [finding.line for finding in third.findings] == [3]
    assert file.read_bytes().count(b"\n") == 4


def test_every_label_is_on_the_disk_when_add_returns(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "labels.jsonl"
    script = """
import os, sys
from vision_toolkit.data.label_log import LabelLog
log = LabelLog(sys.argv[1])
for n in range(5):
    log.add("label", f"{n}.png", name="normal")
os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", script, str(file)], check=False)
    assert done.returncode == -9
    assert len(LabelLog(file)) == 5


def test_two_processes_write_to_one_file(tmp_path: Path) -> None:
    file = tmp_path / "labels.jsonl"
    script = """
import sys
from vision_toolkit.data.label_log import LabelLog
log = LabelLog(sys.argv[1])
for n in range(60):
    log.add("label", f"{n}.png", name=sys.argv[2], annotator=sys.argv[3])
"""
    both = [
        subprocess.Popen([sys.executable, "-c", script, str(file), name, who])
        for name, who in (("normal", "ann"), ("anomaly", "bob"))
    ]
    assert [one.wait() for one in both] == [0, 0]
    log = LabelLog(file)
    assert (len(log), log.findings, sorted(log.annotators)) == (120, [], ["ann", "bob"])
    assert len(log.disagreements()) == 60


def test_what_another_wrote_is_read_along(tmp_path: Path) -> None:
    file = tmp_path / "labels.jsonl"
    ann, bob = LabelLog(file), LabelLog(file)
    ann.add("label", "1.png", name="normal", annotator="ann")
    bob.add("label", "1.png", name="anomaly", annotator="bob")
    assert bob.disagreements() == {"1.png": {"ann": "normal", "bob": "anomaly"}}
    assert ann.disagreements() == {}
    assert ann.refresh() == 1
    assert ann.disagreements() == {"1.png": {"ann": "normal", "bob": "anomaly"}}
    assert bob.undo("bob") is not None
    assert bob.undo("bob") is None, "nobody undoes what another did"


def test_an_act_that_is_sent_twice_counts_once(tmp_path: Path) -> None:
    file = tmp_path / "labels.jsonl"
    first = LabelLog(file).add("label", "1.png", name="normal", id="p-1")
    log = LabelLog(file)
    assert log.add("label", "1.png", name="anomaly", id="p-1") == first
    undone = log.undo("", id="p-2")
    assert log.undo("", id="p-2") == undone == first
    assert len(file.read_text().splitlines()) == 2


def test_the_lines_are_plain(tmp_path: Path) -> None:
    file = tmp_path / "labels.jsonl"
    log = LabelLog(file)
    log.add("label", "ü.png", name="good", label="normal", annotator="ann", seconds=1.5)
    log.add("note", "ü.png", text="half \udc80 a letter")
    line, other = map(json.loads, file.read_text(encoding="utf-8").splitlines())
    assert line.pop("id") and line.pop("time").endswith("Z")
    assert line == {
        "v": 1, "annotator": "ann", "action": "label", "source": "ü.png", "class": "good", "label": "normal",
        "seconds": 1.5,
    }  # fmt: skip
    assert other["text"] == "half \udc80 a letter"


@pytest.mark.parametrize("text", ['{"source-ref": "1.png"}\n', "hello\n", "\x89PNG", '{"v": 2, "id": "x"}\n'])
def test_a_file_of_something_else_is_left_alone(tmp_path: Path, text: str) -> None:
    file = tmp_path / "train.manifest"
    file.write_text(text, encoding="latin-1")
    with pytest.raises(Invalid, match=r"left as it is|left as it was"):
        LabelLog(file)
    assert file.read_text(encoding="latin-1") == text


def test_a_folder_and_a_pipe_are_no_file_of_labels(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="folder"):
        LabelLog(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Invalid, match="pipe"):
        LabelLog(tmp_path / "pipe")


@pytest.mark.parametrize(
    "line",
    [
        "[]", "3", '{"v": 1}', '{"v": 1, "id": "a", "action": "dance", "source": "1"}',
        '{"v": 1, "id": "a", "action": "label", "source": "1"}', '{"v": 1, "id": "a", "action": "flag", "source": "1"}',
        '{"v": 1, "id": "a", "action": "undo", "source": "1", "undoes": "nobody"}', "[" * 100_000, "\0" * 50,
        '{"v": 1, "id": "a", "action": "label", "source": "1", "class": "x", "label": "maybe"}',
        '{"v": 1, "id": "a", "action": "label", "source": "1", "class": "x", "seconds": NaN}',
        '{"v": 1, "id": "a", "action": "label", "source": "1", "class": "x", "annotator": 3}',
    ],
)  # fmt: skip
def test_an_odd_line_is_told_and_the_others_are_read(tmp_path: Path, line: str) -> None:
    file = tmp_path / "labels.jsonl"
    LabelLog(file).add("label", "1.png", name="normal")
    with file.open("a") as handle:
        handle.write(f"{line}\n")
    log = LabelLog(file)
    assert [finding.line for finding in log.findings] == [2]
    log.add("label", "2.png", name="normal")
    assert len(LabelLog(file)) == 2


@pytest.mark.parametrize(
    "more",
    [
        {"action": "dance"}, {"name": None}, {"name": ""}, {"source": ""}, {"label": "bad"}, {"seconds": -1.0},
        {"action": "flag"}, {"action": "note"}, {"action": "note", "text": "x" * 2001}, {"action": "undo"},
        {"action": "undo", "undoes": "nobody"}, {"annotator": 7}, {"seconds": float("inf")},
    ],
)  # fmt: skip
def test_an_act_that_makes_no_sense_is_not_kept(tmp_path: Path, more: dict) -> None:
    log = LabelLog(tmp_path / "labels.jsonl")
    given_ = {"action": "label", "source": "1.png", "name": "normal"} | more
    with pytest.raises(Invalid):
        log.add(given_.pop("action"), given_.pop("source"), **given_)
    assert len(log) == 0
    assert not log.path.exists()


def test_a_file_that_was_cut_or_removed_meanwhile_is_a_conflict(tmp_path: Path) -> None:
    file = tmp_path / "labels.jsonl"
    log = LabelLog(file)
    log.add("label", "1.png", name="normal")
    kept = file.read_bytes()
    file.write_bytes(kept[:10])
    with pytest.raises(Conflict, match="shorter"):
        log.add("label", "2.png", name="normal")
    file.unlink()
    with pytest.raises(Conflict, match="gone"):
        log.add("label", "2.png", name="normal")
    with pytest.raises(Conflict, match="gone"):
        log.refresh()
    file.write_bytes(kept)
    log.add("label", "2.png", name="normal")
    assert len(LabelLog(file)) == 2


def test_a_full_disk_is_told_and_the_act_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = LabelLog(tmp_path / "labels.jsonl")
    log.add("label", "1.png", name="normal")
    write = os.write

    def half(handle: int, data: bytes) -> int:
        return write(handle, data[: len(data) // 2])

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(Failed, match="Nothing was kept"):
        log.add("label", "2.png", name="normal", id="two")
    monkeypatch.undo()
    assert log.opinion("2.png").name is None
    log.add("label", "2.png", name="normal", id="two")
    again = LabelLog(log.path)
    assert again.opinion("2.png").name == "normal"
    assert [finding.rule for finding in again.findings] == ["torn-line"]


def test_labels_go_into_a_manifest_and_nothing_of_it_is_lost() -> None:
    lines = [
        Entry("1.png", raw='{"source-ref": "1.png", "shift": "late"}'), "not a line", Entry("2.png", Label.NORMAL),
        Entry("3.png", tags=(Tag("old", 0.5),)), "", Entry("1.png"),
    ]  # fmt: skip
    given_ = Manifest.from_lines(lines, name="mine", final_newline=False)
    log = LabelLog()
    log.add("label", "1.png", name="anomaly")
    log.add("label", "3.png", name="scratch", label="anomaly")
    log.add("label", "elsewhere.png", name="normal")
    made = log.apply(given_)
    assert [line if isinstance(line, str) else (line.source, str(line.label)) for line in made.lines()] == [
        ("1.png", "anomaly"), "not a line", ("2.png", "normal"), ("3.png", "anomaly"), "", ("1.png", "anomaly"),
    ]  # fmt: skip
    assert made[2].tags == (Tag("old", 0.5), Tag("scratch"))
    assert made.name == "mine"
    assert '"shift": "late"' in made[0].raw
    assert given_[0].label is Label.UNLABELLED
    assert LabelLog().apply(given_) == given_


def test_where_annotators_disagree_the_rule_decides() -> None:
    log = LabelLog()
    for who, name in (("ann", "normal"), ("bob", "anomaly"), ("eve", "normal"), ("bob", "anomaly")):
        log.add("label", "1.png", name=name, annotator=who)
    manifest = Manifest([Entry("1.png")])
    rules = {"leave": "unlabelled", "majority": "normal", "last": "anomaly"}
    assert {rule: str(log.apply(manifest, on_disagreement=rule)[0].label) for rule in rules} == rules
    log.undo("eve")
    assert str(log.apply(manifest, on_disagreement="majority")[0].label) == "unlabelled"
    with pytest.raises(Invalid, match="'leave', 'majority', 'last'"):
        log.apply(manifest, on_disagreement="first")


def test_the_pace_is_told_from_times_that_are_known() -> None:
    log = LabelLog()
    for n in range(4):
        assert log.pace() is None or n == 3
        log.add("label", f"{n}.png", name="normal", seconds=2.0)
    log.add("label", "coffee.png", name="normal", seconds=900.0)
    assert log.pace() == pytest.approx(30.0)


def test_the_table(tmp_path: Path) -> None:
    log = LabelLog()
    assert log.to_frame().empty
    log.add("flag", "1.png", flagged=True, annotator="ann", seconds=None)
    log.add("label", "1.png", name="normal", annotator="ann", seconds=2.0)
    log.add("skip", "2.png")
    frame = log.to_frame()
    assert frame["source"].tolist() == ["1.png", "2.png"]
    assert frame.loc[0, ["annotator", "class", "label", "flagged", "seconds"]].tolist() == [
        "ann", "normal", "normal", True, 2.0,
    ]  # fmt: skip
    assert frame["skipped"].tolist() == [False, True]
    assert str(frame["time"].dt.tz) == "UTC"
