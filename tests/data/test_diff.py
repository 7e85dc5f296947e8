"""What differs between two manifests."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_toolkit.core import Entry, Invalid, Label, MaskRef, Region, Tag
from vision_toolkit.data import Manifest
from vision_toolkit.data.diff import Diff

MASK = MaskRef("m.png", {"crack": "#23A436"})
BOX = Region.box("pore", left=0.0, top=0.0, width=0.5, height=0.5)
ONE = st.builds(
    Entry,
    source=st.sampled_from("abcdefgh"),
    label=st.sampled_from(Label),
    tags=st.sampled_from([(), (Tag("x"),)]),
    mask=st.sampled_from([None, MASK]),
)
ENTRIES = st.lists(ONE, max_size=10)
UNIQUE = st.lists(ONE, max_size=8, unique_by=lambda entry: entry.source)


@given(UNIQUE, UNIQUE)
def test_a_diff_applied_to_the_one_gives_the_other(one, two):
    before, after = Manifest(one), Manifest(two)
    diff = before.diff(after)
    made = before.remove(diff.removed).upsert(change.after for change in diff.changed).upsert(diff.added)
    assert {e.source: e for e in made} == {e.source: e for e in after}
    # what did not move stands in the same order on both sides
    steady = [e.source for e in before if e.source in {e.source for e in after} - set(diff.moved)]
    assert steady == [e.source for e in after if e.source in steady]
    assert bool(diff) == (before != after)


@given(ENTRIES, ENTRIES)
def test_duplicates_are_counted(one, two):
    diff = Manifest(one).diff(Manifest(two))
    assert len(one) - len(diff.removed) + len(diff.added) == len(two)
    # every entry that both have is matched: what is left over is on one side only
    for source in "abcdefgh":
        left = sum(e.source == source for e in one) - sum(e.source == source for e in two)
        assert sum(e.source == source for e in diff.removed) == max(0, left)
        assert sum(e.source == source for e in diff.added) == max(0, -left)
    assert all(change.before.source == change.after.source and change.before != change.after for change in diff.changed)


@given(ENTRIES)
def test_nothing_differs_from_itself(entries):
    diff = Manifest(entries).diff(Manifest(entries))
    assert not diff and diff == Diff() and repr(diff) == "Diff(no difference)" and "No difference" in diff._repr_html_()


@given(ENTRIES, ENTRIES)
def test_back_and_forth_are_mirrors(one, two):
    there, back = Manifest(one).diff(Manifest(two)), Manifest(two).diff(Manifest(one))
    assert there.added == back.removed and there.removed == back.added
    assert sorted((c.source, c.what) for c in there.changed) == sorted((c.source, c.what) for c in back.changed)


@given(st.permutations(range(9)))
def test_as_few_as_possible_moved(order):
    before = Manifest([Entry(str(i)) for i in range(9)])
    moved = before.diff(before.select(order)).moved
    longest = max(
        sum(1 for i in range(9) if bits >> i & 1)
        for bits in range(1 << 9)
        if (chosen := [one for i, one in enumerate(order) if bits >> i & 1]) == sorted(chosen)
    )
    assert len(moved) == 9 - longest


def test_one_image_taken_to_the_end_moved_alone():
    before = Manifest([Entry(str(i)) for i in range(1000)])
    assert before.diff(before.select([*range(1, 1000), 0])).moved == ("0",)


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"label": Label.ANOMALY}, ("label",)),
        ({"mask": MASK}, ("mask",)),
        ({"mask": replace(MASK, colours={"dent": "#23A436"}), "tags": (Tag("a"),)}, ("mask", "tags")),
        ({"tags": (Tag("x", 0.5),), "regions": (BOX,), "label": Label.NORMAL}, ("label", "tags", "regions")),
        ({"at": "/elsewhere/1.png"}, ()),
    ],
)
def test_it_says_what_changed(changed, what):
    before = Entry("1.png")
    diff = Manifest([before]).diff(Manifest([replace(before, **changed)]))
    assert tuple(one for change in diff.changed for one in change.what) == what and bool(diff) == bool(what)


def test_the_line_alone(tmp_path):
    path, spaced = tmp_path / "a", tmp_path / "b"
    path.write_text('{"source-ref":"1.png","who":"Ann"}\n{"source-ref":"2.png"}\n')
    spaced.write_text('{"source-ref":"1.png","who":"Bob"}\n{"source-ref":"2.png"}\n')
    before, after = Manifest.read(path), Manifest.read(spaced)
    assert repr(before.diff(after)) == "Diff(1 changed: 1 line)" and before.diff(after).changed[0].source == "1.png"
    # an edit is the same before it is written and after
    edited = before.relabel({"1.png": "anomaly"})
    again = Manifest.read(edited.write(tmp_path / "c"))
    assert not edited.diff(again) and edited.diff(before).changed[0].what == ("label",)
    broken = Manifest([Entry("1.png", raw="{}")])
    assert broken.diff(Manifest([Entry("1.png")])).changed[0].what == ("line",)


def test_of_two_that_stand_twice_the_equal_ones_belong_together():
    normal, anomaly = Entry("a", Label.NORMAL), Entry("a", Label.ANOMALY)
    assert Manifest([normal, anomaly]).diff(Manifest([anomaly])) == Diff(removed=(normal,))
    assert Manifest([anomaly]).diff(Manifest([normal, anomaly])) == Diff(added=(normal,))


def test_unreadable_lines():
    before, after = Manifest.from_lines(["junk", "", Entry("a"), "x"]), Manifest.from_lines([Entry("a"), "x", "x", " "])
    diff = before.diff(after)
    assert (diff.lines_added, diff.lines_removed) == (("x",), ("junk",)) and diff
    assert repr(diff) == "Diff(1 unreadable line added, 1 unreadable line removed)"
    assert diff.to_frame()["kind"].tolist() == ["line removed", "line added"]


def test_it_shows_itself():
    before = Manifest([Entry("a"), Entry("<b>"), Entry("c"), Entry("d")])
    after = Manifest([Entry("e"), Entry("d"), Entry("<b>", Label.NORMAL, mask=MASK), Entry("c")])
    diff = before.diff(after)
    assert repr(diff) == "Diff(1 added, 1 removed, 1 moved, 1 changed: 1 label, 1 mask)"
    assert repr(diff.changed[0]) == "Change('<b>': unlabelled -> normal, mask)"
    rows = diff.to_frame().set_index("kind")
    assert rows.loc["changed"].tolist() == ["<b>", ("label", "mask"), "unlabelled", "normal"]
    assert rows["source"].to_dict() == {"removed": "a", "added": "e", "changed": "<b>", "moved": "d"}
    assert list(Diff().to_frame().columns) == list(diff.to_frame().columns)
    assert "&lt;b&gt;" in diff._repr_html_() and "unlabelled → normal" in diff._repr_html_()
    data = json.loads(json.dumps(diff.to_dict()))
    assert data["counts"]["changed_label"] == 1 and data["moved"] == ["d"]
    assert data["changed"] == [{"source": "<b>", "what": ["label", "mask"], "before": "unlabelled", "after": "normal"}]


def test_many_differences_are_told_shortly():
    diff = Manifest().diff(Manifest([Entry("x" * 3000 + f"{i}\udc80") for i in range(3000)]))
    assert repr(diff) == "Diff(3000 added)"
    assert len(diff._repr_html_().encode()) < 10_000 and "and 2,980 more" in diff._repr_html_()
    assert len(diff.to_dict(limit=5)["added"]) == 5 and diff.to_dict(limit=5)["counts"]["added"] == 3000


def test_one_source_many_times_is_no_trouble():
    one = Manifest([Entry("a", mask=MaskRef(f"{i}.png", {"x": "#23A436"})) for i in range(20_000)])
    assert len(one.diff(one[1:]).removed) == 1


def test_a_manifest_is_compared_with_a_manifest():
    with pytest.raises(Invalid, match="a list was given"):
        Manifest().diff([])  # type: ignore[arg-type]
