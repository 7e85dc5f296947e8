"""One line of a manifest: read generously, written without loss."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_toolkit.core import Entry, Invalid, Label, MaskRef, Region, Tag
from vision_toolkit.data.jsonlines import read_line, write_line

COOKIES = Path(__file__).parents[2].parent / "shared" / "data" / "cookies"
CLASS = "groundtruth/image-classification"
MASK = "groundtruth/semantic-segmentation"


def line(**keys: object) -> str:
    return json.dumps({"source-ref": "s3://bucket/1.png"} | {k.replace("_", "-"): v for k, v in keys.items()})


def rules(text: str) -> set[str]:
    return {finding.rule for finding in read_line(text)[1]}


def labelled(name: object, *, value: object = 1, key: str = "anomaly_label", **meta: object) -> str:
    return line(**{key: value, f"{key}-metadata": {"class-name": name, "type": CLASS, "human-annotated": "yes"} | meta})


@pytest.mark.parametrize("said", ["anomaly", "Anomaly", "ANOMALY", " anomaly "])
@pytest.mark.parametrize("value", [0, 1, "0", "1", None, [7]], ids=repr)
@pytest.mark.parametrize("key", ["anomaly-label", "auto-label", "a label: of any name"])
def test_the_class_name_decides_whatever_the_integer_and_the_key(said, value, key):
    entry, _ = read_line(labelled(said, value=value, key=key))
    assert entry is not None and entry.label is Label.ANOMALY


def test_an_inverted_integer_is_told_and_ignored():
    text = labelled("normal", value=1, key="auto_label")
    entry, findings = read_line(text, 7)
    assert entry is not None and entry.label is Label.NORMAL
    assert [(f.line, f.severity, f.rule) for f in findings] == [(7, "info", "value-ignored")]
    assert not rules(labelled("normal", value=0)) and not rules(labelled("anomaly", value="1"))


def test_another_class_name_is_unlabelled_but_not_lost():
    entry, findings = read_line(labelled("scratch", confidence=0.7))
    assert entry is not None
    assert entry.label is Label.UNLABELLED and entry.tags == (Tag("scratch", 0.7),)
    assert [f.rule for f in findings] == ["other-class"]


def test_of_several_attributes_the_first_that_says_normal_or_anomaly_decides():
    both = line(
        colour=1,
        colour_metadata={"class-name": "red", "type": CLASS},
        first=1,
        first_metadata={"class-name": "anomaly", "type": CLASS},
        second=0,
        second_metadata={"class-name": "normal", "type": CLASS},
    )
    entry, findings = read_line(both)
    assert entry is not None and entry.label is Label.ANOMALY
    assert "labels-disagree" in {f.rule for f in findings}


def test_predictions_are_no_labels():
    text = labelled("anomaly", key="anomaly_label-detected")
    entry, findings = read_line(text)
    assert entry == Entry("s3://bucket/1.png") and not findings


def test_masks_as_they_really_come():
    colours = {"0": {"class-name": "cracked", "hex-color": "#23A436"}}
    javascript = "Mon Aug 22 2022 13:52:52 GMT-0700 (Pacific Daylight Time)"
    text = line(
        anomaly_label=1,
        anomaly_label_metadata={"class-name": "anomaly", "type": CLASS},
        anomaly_mask_ref="s3://bucket/m.png",
        anomaly_mask_ref_metadata={"internal-color-map": colours, "type": MASK, "creation-date": javascript},
    )
    entry, findings = read_line(text)
    assert entry is not None and entry.mask == MaskRef("s3://bucket/m.png", {"cracked": "#23A436"})
    told = {"no-human-annotated", "no-background", "no-confidence", "odd-date"}
    assert {f.rule for f in findings} == told and all(f.severity == "info" for f in findings)


def test_types_are_in_the_order_of_their_numbers_and_background_is_none():
    colours = {
        "10": {"class-name": "late", "hex-color": "#0000ff"},
        "0": {"class-name": "BACKGROUND", "hex-color": "#ffffff"},
        "2": {"class-name": "early", "hex-color": "#00ff00"},
    }
    text = line(m_ref="m.png", m_ref_metadata={"internal-color-map": colours, "type": MASK})
    entry, _ = read_line(text)
    assert entry is not None and entry.types == ("early", "late")
    assert rules(text) == {"mask-without-label", "no-confidence", "no-human-annotated"}


def test_boxes_of_ground_truth_become_regions():
    value = {
        "image_size": [{"width": 200, "height": 100, "depth": 3}],
        "annotations": [{"class_id": 0, "left": 20, "top": 10, "width": 100, "height": 50}],
    }
    meta = {"class-map": {"0": "pore"}, "objects": [{"confidence": 0.5}], "type": "groundtruth/object-detection"}
    meta["human-annotated"] = "yes"
    entry, findings = read_line(line(boxes=value, boxes_metadata=meta))
    assert entry is not None and not findings
    assert entry.regions == (Region.box("pore", left=0.1, top=0.1, width=0.5, height=0.5, confidence=0.5),)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("not json", "not-json"),
        ('{"source-ref": "1.png"', "not-json"),
        ("[1, 2]", "not-object"),
        ("17", "not-object"),
        ("{}", "no-source"),
        ('{"source-ref": 7}', "no-source"),
        ('{"source-ref": "  "}', "no-source"),
        ('{"source-ref": "a\udcff.png"}', "not-utf8"),
        ("[" * 100_000, "not-json"),
    ],
)
def test_a_line_that_is_no_entry_is_one_error(text, rule):
    entry, findings = read_line(text, 3)
    assert entry is None
    assert [(f.line, f.severity, f.rule) for f in findings] == [(3, "error", rule)]


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (line(x=1, x_metadata={"type": CLASS}), "no-class-name"),
        (line(m_ref=None, m_ref_metadata={"type": MASK, "internal-color-map": {}}), "mask-without-uri"),
        (line(m_ref="m.png", m_ref_metadata={"type": MASK}), "no-colour-map"),
        (
            line(m_ref="m.png", m_ref_metadata={"type": MASK, "internal-color-map": {"1": {"class-name": "a"}}}),
            "bad-colour-map",
        ),
        (line(padding="x" * 9000), "too-long"),
        (line(b={}, b_metadata={"type": "groundtruth/object-detection"}), "bad-regions"),
        ('{"source-ref": "1.png", "x": NaN}', "loose-json"),
    ],
)
def test_what_is_odd_is_told_and_the_entry_is_kept(text, rule):
    entry, findings = read_line(text)
    assert entry is not None and rule in {f.rule for f in findings}


names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
fractions = st.none() | st.floats(0, 1)
corner = st.tuples(st.floats(0, 1), st.floats(0, 1))
entries = st.builds(
    Entry,
    source=names.filter(str.strip),
    label=st.sampled_from(Label),
    tags=st.lists(st.builds(Tag, names, fractions), max_size=3).map(tuple),
    regions=st.lists(
        st.builds(Region, names, st.lists(corner, min_size=3, max_size=5).map(tuple), fractions, st.none() | names),
        max_size=2,
    ).map(tuple),
    mask=st.none()
    | st.builds(
        MaskRef,
        names.filter(str.strip),
        st.dictionaries(
            names.filter(lambda n: n.strip() and n.strip().casefold() != "background"),
            st.integers(0, 0xFFFFFF).map(lambda n: f"#{n:06x}"),
            max_size=3,
        ),
    ),
)


@given(entries)
def test_what_is_written_is_read_again(entry):
    text = write_line(entry)
    again, _ = read_line(text)
    assert again == entry
    assert again is not None and write_line(again) == text and "\n" not in text


@given(entries, entries)
def test_an_edit_says_what_was_meant_and_leaves_other_keys_alone(before, after):
    data = {"who": {"was": "here"}} | json.loads(write_line(before)) | {"last": [1, None]}
    read, _ = read_line(json.dumps(data))
    assert read is not None
    edited = Entry(after.source, after.label, after.tags, after.regions, after.mask, raw=read.raw)
    text = write_line(edited)
    again, _ = read_line(text)
    assert again == after
    assert json.loads(text)["who"] == {"was": "here"} and json.loads(text)["last"] == [1, None]
    assert [key for key in json.loads(text) if key in ("who", "source-ref", "last")] == ["who", "source-ref", "last"]


@given(
    st.dictionaries(
        names, st.recursive(st.none() | st.integers() | names, lambda x: st.lists(x) | st.dictionaries(names, x))
    )
)
def test_a_line_that_nobody_edited_is_written_to_the_letter(data):
    text = json.dumps(data | {"source-ref": "1.png"}, indent=None, ensure_ascii=False) + "  \r"
    entry, _ = read_line(text)
    assert entry is not None and write_line(entry) == text


def test_relabelling_changes_two_keys_of_an_old_line():
    text = labelled("normal", value=1, key="auto-label", **{"job-name": "labeling-job/auto-label"})
    entry, _ = read_line(text)
    assert entry is not None
    assert json.loads(write_line(entry.relabelled("anomaly"))) == json.loads(text) | {
        "auto-label-metadata": json.loads(text)["auto-label-metadata"] | {"class-name": "anomaly"}
    }
    assert json.loads(write_line(entry.relabelled("unlabelled"))) == {"source-ref": "s3://bucket/1.png"}


def test_a_new_line_has_the_documented_form():
    entry = Entry("s3://b/1.png", Label.ANOMALY, mask=MaskRef("s3://b/m.png", {"scratch": "#23A436"}))
    data = json.loads(write_line(entry))
    assert list(data) == [
        "source-ref", "anomaly-label", "anomaly-label-metadata", "anomaly-mask-ref", "anomaly-mask-ref-metadata",
    ]  # fmt: skip
    assert data["anomaly-label"] == 1
    assert data["anomaly-label-metadata"] == {
        "class-name": "anomaly", "confidence": 1, "human-annotated": "yes", "type": CLASS,
    }  # fmt: skip
    assert data["anomaly-mask-ref-metadata"]["internal-color-map"] == {
        "0": {"class-name": "BACKGROUND", "hex-color": "#ffffff", "confidence": 0.0},
        "1": {"class-name": "scratch", "hex-color": "#23A436", "confidence": 0.0},
    }


def test_an_entry_whose_line_was_spoiled_is_refused():
    with pytest.raises(Invalid, match="can no longer be read"):
        write_line(Entry("1.png", raw="{broken"))


@pytest.mark.skipif(not COOKIES.is_dir(), reason="needs ../shared")
@pytest.mark.parametrize("name", ["template", "train_class", "train_segmentation"])
def test_amazons_own_lines(name):
    for text in (COOKIES / "manifests" / f"{name}.manifest").read_text("utf-8").splitlines():
        entry, findings = read_line(text)
        assert entry is not None and write_line(entry) == text
        assert {f.rule for f in findings} <= {"no-background", "no-confidence", "odd-date", "odd-key"}
        assert (entry.label is Label.ANOMALY) == ("/anomaly-" in entry.source)
        assert entry.types == (("cracked",) if entry.label is Label.ANOMALY and name != "train_class" else ())
