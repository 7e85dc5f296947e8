"""Manifests as tables, there and back, and the accessor."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vision_toolkit.core import Conflict, Entry, Invalid, Label, MaskRef, Region, Tag
from vision_toolkit.data import Manifest
from vision_toolkit.data.accessor import register_accessor
from vision_toolkit.data.frame import to_frame
from vision_toolkit.data.images import encode_png
from vision_toolkit.data.jsonlines import read_line, write_line

names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=6)
sources = names.filter(str.strip)
fractions = st.none() | st.floats(0, 1)
types = names.filter(lambda n: n.strip() and n.strip().casefold() != "background")
corners = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=3, max_size=4).map(tuple)
fresh = st.builds(
    Entry,
    source=sources,
    label=st.sampled_from(Label),
    tags=st.lists(st.builds(Tag, names, fractions), max_size=2).map(tuple),
    regions=st.lists(st.builds(Region, names, corners, fractions, st.none() | names), max_size=2).map(tuple),
    mask=st.none()
    | st.builds(MaskRef, sources, st.dictionaries(types, st.just("#23a436"), max_size=2), st.none() | sources),
    at=st.none() | sources,
)


@st.composite
def contents(draw: st.DrawFn) -> Entry | str:
    """An entry without a line, one as read, one edited since; or a line that is none."""
    kind = draw(st.integers(0, 3))
    if kind == 3:
        return draw(st.sampled_from(["", " ", "junk", "{}", "\udcff", "\r", "[1]"]))
    entry = draw(fresh)
    if kind == 0:
        return entry
    read, _ = read_line(json.dumps({"who": 1} | json.loads(write_line(entry)) | {"last": [None]}))
    assert read is not None
    return read if kind == 1 else read.relabelled(draw(st.sampled_from(Label)))


def told(manifest: Manifest) -> list[object]:
    """Everything that a manifest holds, also what its equality passes over."""
    return [
        one if isinstance(one, str) else (one, one.raw, one.at, one.mask and (one.mask.at, list(one.mask.colours)))
        for one in manifest.lines()
    ]


many = st.lists(contents(), max_size=7)


@given(many, st.booleans())
def test_there_and_back_nothing_is_lost(lines, final_newline):
    manifest = Manifest.from_lines(lines, name="mine", final_newline=final_newline)
    again = Manifest.from_frame(manifest.to_frame())
    if len(manifest):
        assert told(again) == told(manifest)
    assert again == manifest and again.name == "mine"
    assert all(one is other for one, other in zip(again, manifest, strict=True))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(many.filter(lambda lines: any(isinstance(one, Entry) for one in lines)), st.booleans())
def test_the_file_is_written_to_the_letter(tmp_path, lines, final_newline):
    manifest = Manifest.from_lines(lines, final_newline=final_newline)
    path = manifest.write(tmp_path / "a", overwrite=True)
    manifest = Manifest.read(path)
    frame = manifest.to_frame()
    assert Manifest.from_frame(frame).write(tmp_path / "b", overwrite=True).read_bytes() == path.read_bytes()
    file_lines = path.read_bytes().decode("utf-8", "surrogateescape").split("\n")
    assert all(file_lines[n - 1] == e.raw for n, e in zip(frame["line"], manifest, strict=True))


@given(many, st.randoms(use_true_random=False))
def test_rows_may_be_left_out_and_moved(lines, random):
    manifest = Manifest.from_lines(lines)
    order = random.sample(range(len(manifest)), random.randint(0, len(manifest)))
    frame = manifest.to_frame().iloc[order].reset_index(drop=True)
    made = Manifest.from_frame(frame)
    assert [id(e) for e in made] == [id(manifest[i]) for i in order]
    if order:
        strays = [[one for one in m.lines() if isinstance(one, str)] for m in (made, manifest)]
        assert sorted(strays[0]) == sorted(strays[1])
    if order == sorted(order) and order:
        kept = {id(manifest[i]) for i in order}
        assert list(made.lines()) == list(manifest.remove(lambda e: id(e) not in kept).lines())


def test_what_was_edited_wins_and_the_rest_stays(tmp_path):
    path = tmp_path / "m.manifest"
    path.write_text('junk\n{"who": "Ann", "source-ref": "1.png", "x": 2}\n\n{"source-ref":"2.png"}\n')
    frame = Manifest.read(path).to_frame()
    frame.loc[frame["source"] == "1.png", "label"] = "anomaly"
    frame.loc[len(frame)] = {"source": "3.png", "label": "normal"}
    lines = Manifest.from_frame(frame).write(tmp_path / "n").read_text().split("\n")
    assert [lines[0], lines[2], lines[3]] == ["junk", "", '{"source-ref":"2.png"}'] and lines[5:] == [""]
    edited, new = json.loads(lines[1]), json.loads(lines[4])
    assert (
        list(edited)[:3] == ["who", "source-ref", "x"] and edited["anomaly-label-metadata"]["class-name"] == "anomaly"
    )
    assert new["source-ref"] == "3.png" and new["anomaly-label"] == 0


def test_each_field_can_be_edited():
    ref = MaskRef("m.png", {"crack": "#23A436"}, at="/m.png")
    box = Region.box("pore", left=0, top=0, width=1, height=1)
    manifest = Manifest([Entry("1.png", Label.ANOMALY, (Tag("a", 0.5), Tag("b")), (box,), ref, at="/1.png")])

    def edited(**values: object) -> Entry:
        frame = manifest.to_frame()
        for name, value in values.items():
            frame[name] = pd.Series([value], dtype=object)
        return Manifest.from_frame(frame)[0]

    assert edited() is manifest[0]
    assert edited(source="2.png") == Entry(
        "2.png", *[getattr(manifest[0], n) for n in ("label", "tags", "regions", "mask")]
    )
    assert edited(source="2.png").location == "/1.png" and edited(location="/x.png").location == "/x.png"
    assert edited(location=None).location == "1.png" and edited(label=None).label is Label.UNLABELLED
    assert edited(tags=["c", "a"]).tags == (Tag("c"), Tag("a", 0.5)) and edited(tags=float("nan")).tags == ()
    assert edited(tags=[Tag("a", 1.0)]).tags == (Tag("a", 1.0),) and edited(regions=[]).regions == ()
    assert edited(regions=[box, box]).regions == (box, box) and edited(mask=None).mask is None
    moved = edited(mask="n.png").mask
    assert moved == MaskRef("n.png", ref.colours) and moved is not None and moved.location == "n.png"
    painted = edited(colours={"dent": "#000001"}).mask
    assert painted == MaskRef("m.png", {"dent": "#000001"}) and painted is not None and painted.location == "/m.png"


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"label": "good"}, r"Row 1 \(index 'two'\): a label is one of 'normal', .*'good' was given.*map"),
        ({"label": 1}, "Row 1.*a label is one of.*; 1 was given"),
        ({"source": ""}, "Row 1.*names no image"),
        ({"source": None}, "Row 1.*names no image"),
        ({"source": 7}, "Row 1.*source must be text; 7 was given"),
        ({"tags": "('a',)"}, "Row 1.*tags must be a list of names"),
        ({"tags": [1]}, "Row 1.*tags must be a list of names"),
        ({"regions": 3}, "Row 1.*list of Region, or 0 to leave them"),
        ({"types": ("crack",)}, "Row 1.*types was edited to .'crack',.*'colours'"),
        ({"mask": "m.png"}, "Row 1.*a mask, but no colours"),
        ({"colours": {"crack": "#23A436"}}, "Row 1.*colours, but no mask"),
        ({"mask": "m.png", "colours": {"crack": "green"}}, "Row 1.*#rrggbb; 'green' was given for 'crack'"),
        ({"mask": "m.png", "colours": "green"}, "Row 1.*colours must be a mapping"),
        ({"entry": "Entry(source='1.png')"}, "Row 1.*must hold Entry values, and has a str.*Manifest.write"),
        ({"location": 3}, "Row 1.*location must be text"),
    ],
    ids=repr,
)
def test_a_bad_row_is_named(values, says):
    frame = Manifest([Entry("1.png"), Entry("2.png")]).to_frame().set_index(pd.Index(["one", "two"]))
    frame["colours"] = pd.Series([None, None], dtype=object, index=frame.index)
    frame["regions"] = frame["regions"].astype(object)
    for name, value in values.items():
        frame.at["two", name] = value
    with pytest.raises(Invalid, match=says):
        Manifest.from_frame(frame)


class TestTablesOfYourOwn:
    @pytest.mark.parametrize("name", ["source", "source-ref", "path", "image"])
    def test_the_usual_names(self, name):
        frame = pd.DataFrame(
            {name: ["1.png", Path("a/2.png")], "label": ["Normal ", None], "location": ["Berlin", "Ulm"]}
        )
        made = Manifest.from_frame(frame)
        assert list(made) == [Entry("1.png", Label.NORMAL), Entry("a/2.png")] and made[0].location == "1.png"

    def test_other_names_are_said(self):
        frame = pd.DataFrame({"file": ["1.png"], "verdict": ["anomaly"], "path": ["x"]})
        made = Manifest.from_frame(frame, source="file", label="verdict", name="mine")
        assert list(made) == [Entry("1.png", Label.ANOMALY)] and made.name == "mine"
        with pytest.raises(Invalid, match="no column 'img'; there are: file, verdict, path"):
            Manifest.from_frame(frame, source="img")

    def test_masks_tags_and_regions(self):
        box = Region.box("pore", left=0, top=0, width=1, height=1)
        frame = pd.DataFrame(
            {"image": ["1.png"], "tags": [np.array(["a"], object)], "mask": ["m.png"],
             "colours": [{"crack": "#23A436"}], "regions": [[box]]}
        )  # fmt: skip
        expected = Entry("1.png", tags=(Tag("a"),), regions=(box,), mask=MaskRef("m.png", {"crack": "#23A436"}))
        assert list(Manifest.from_frame(frame)) == [expected]

    @pytest.mark.parametrize("dtype", ["string", "category", "object", None])
    def test_every_kind_of_text_and_of_nothing(self, dtype):
        frame = pd.DataFrame({"path": ["1.png", "2.png", "3.png"], "label": ["normal", None, "anomaly"]})
        made = Manifest.from_frame(frame.astype({"label": dtype} if dtype else {}))
        assert [str(e.label) for e in made] == ["normal", "unlabelled", "anomaly"]

    @pytest.mark.parametrize(
        ("frame", "says"),
        [
            (pd.DataFrame({"x": [1]}), "None of source, source-ref, path, image.*There are: x"),
            (pd.DataFrame(), "There are: none"),
            (pd.DataFrame({"path": ["1"], "image": ["2"]}), "'path' and 'image' may both name"),
            (pd.DataFrame([["1", "2"]], columns=["path", "path"]), "2 columns 'path'; keep one"),
            (pd.DataFrame({"source-ref": ["1"], "l-metadata": [{}]}), r"raw keys.*Manifest.read\(path\)"),
            (pd.DataFrame({"path": ["1", None]}), "Row 1 .*names no image"),
            ([{"path": "1"}], "a list was given"),
        ],
    )
    def test_bad_tables(self, frame, says):
        with pytest.raises(Invalid, match=says):
            Manifest.from_frame(frame)

    def test_through_a_csv_file_it_becomes_one(self, tmp_path):
        manifest = Manifest([Entry("1.png", Label.NORMAL), Entry("2.png")])
        manifest.to_frame().to_csv(tmp_path / "x.csv", index=False)
        frame = pd.read_csv(tmp_path / "x.csv")
        with pytest.raises(Invalid, match=r"Manifest.write, or go on with df\[\['source', 'label'\]\]"):
            Manifest.from_frame(frame)
        assert Manifest.from_frame(frame[["source", "label"]]) == manifest


def test_tables_joined_of_two_manifests_keep_the_lines_of_both():
    one = Manifest.from_lines(["junk 1", Entry("1.png"), "end 1"])
    two = Manifest.from_lines([Entry("2.png"), "junk 2", Entry("3.png")])
    frame = pd.concat([one.to_frame(), two.to_frame(), pd.DataFrame({"source": ["4.png"], "label": ["normal"]})])
    lines = [one if isinstance(one, str) else one.source for one in Manifest.from_frame(frame).lines()]
    assert lines == ["junk 1", "1.png", "end 1", "2.png", "junk 2", "3.png", "4.png"]


@pytest.mark.parametrize(
    "change",
    [
        lambda frame: frame.convert_dtypes(),
        lambda frame: frame.astype({"label": "category", "source": "string"}),
        lambda frame: frame.merge(pd.DataFrame({"source": ["1.png", "2.png"], "path": ["p", "q"]}), on="source"),
        lambda frame: frame.drop(columns=["source", "label", "mask", "regions"]).assign(path="mine"),
        lambda frame: frame[["entry", "other_lines", "line"]],
        lambda frame: frame.set_index("label").reset_index(),
        lambda frame: pd.concat([frame.iloc[:1], frame.iloc[1:]]),
        lambda frame: frame.sort_values("source", ascending=False).sort_values("line"),
        lambda frame: frame.copy(deep=True),
    ],
    ids=range(9),
)
def test_what_pandas_does_by_the_way_loses_nothing(change):
    box = Region.box("pore", left=0, top=0, width=1, height=1)
    manifest = Manifest.from_lines(
        ["junk", Entry("1.png", Label.NORMAL, (Tag("a", 0.5),), (box,), raw="{}", at="/1.png"), "", Entry("2.png"), "x"]
    )
    assert told(Manifest.from_frame(change(manifest.to_frame()))) == told(manifest)


def test_its_columns():
    frame = Manifest.from_lines([Entry("a.png", at="/a.png"), Entry("b.png")]).to_frame()
    assert list(frame.columns) == ["source", "label", "types", "tags", "regions", "mask", "location", "line", "entry"]
    assert frame["location"].tolist() == ["/a.png", "b.png"] and frame["line"].tolist() == [1, 2]
    assert to_frame(Manifest()).shape == (0, 9) and Manifest.from_frame(Manifest().to_frame()) == Manifest()
    frame.query("label == 'unlabelled'")
    assert "other_lines" in Manifest.from_lines([Entry("a"), "junk"]).to_frame().columns


class TestAccessor:
    def test_it_looks_at_the_table_as_it_is(self, tmp_path):
        path = tmp_path / "1.png"
        path.write_bytes(encode_png(np.zeros((80, 80, 3), np.uint8)))
        frame = Manifest([Entry(str(path), Label.NORMAL), Entry("2.png")]).to_frame()
        assert frame.vision.counts()["unlabelled"] == 1
        frame.loc[1, "label"] = "anomaly"
        assert frame.vision.counts()["anomaly"] == 1 and len(frame.vision.manifest()) == 2
        frame["score"] = [3, 4]
        chosen = frame.vision.filter(lambda e: True, label="normal")
        assert chosen["score"].tolist() == [3] and isinstance(chosen, pd.DataFrame)
        assert frame.iloc[:1].vision.show().axes

    def test_of_a_table_of_your_own(self):
        register_accessor()
        frame = pd.DataFrame({"img": ["1.png"], "ok": ["normal"]})
        assert frame.vision.manifest(source="img", label="ok").counts()["normal"] == 1
        with pytest.raises(Invalid, match="source="):
            frame.vision.counts()

    def test_another_package_s_accessor_is_left_alone(self, monkeypatch):
        register_accessor()
        monkeypatch.setattr(pd.DataFrame, "vision", "theirs")
        with pytest.raises(Conflict, match="from_frame"):
            register_accessor()
        assert len(Manifest([Entry("1")]).to_frame()) == 1 and pd.DataFrame.vision == "theirs"

    @pytest.mark.parametrize(
        ("code", "there"),
        [
            ("import vision_toolkit.data.frame; assert 'pandas' not in sys.modules; import pandas", False),
            ("import pandas, vision_toolkit.data.frame", True),
            ("import vision_toolkit.data.manifest as m; m.Manifest().to_frame(); import pandas", True),
        ],
    )
    def test_when_it_is_there(self, code, there):
        code = f"import sys; {code}; print(hasattr(pandas.DataFrame, 'vision'))"
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert result.stdout.strip() == str(there)
