"""OCI Data Labeling: exports as the contract describes them, read generously, and the way back."""

from __future__ import annotations

import json
from itertools import count, permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vision_toolkit.core import Conflict, Entry, Invalid, Label, Mask, MaskRef, NotFound, Region, Tag, Unsupported
from vision_toolkit.data import Manifest
from vision_toolkit.data.convert import read_splits, write_dataset
from vision_toolkit.data.formats import ReadOptions, WriteOptions, oci
from vision_toolkit.data.images import encode_mask, encode_png
from vision_toolkit.data.storage import inline

HEADER = {
    "id": "ocid1.datalabelingdataset.oc1.phx.x",
    "compartmentId": "ocid1.compartment.oc1..x",
    "displayName": "parts",
    "labelsSet": [{"name": "normal"}, {"name": "anomaly"}],
    "annotationFormat": "SINGLE_LABEL",
    "datasetSourceDetails": {"namespace": "ns", "bucket": "parts", "prefix": "line 1/"},
    "datasetFormatDetails": {"formatType": "IMAGE"},
}
RECORDS = """
{"id": "r1", "timeCreated": "2023-01-10T10:00:00.000Z", "sourceDetails": {"type": "OBJECT_STORAGE", "path": "1.png"}, \
"annotations": [{"id": "a1", "timeCreated": "2023-01-10T11:00:00.000Z", "createdBy": "u1", \
"entities": [{"entityType": "GENERIC", "labels": [{"label_name": "Anomaly"}]}]}]}
{"id": "r2", "sourceDetails": {"path": "line 1/2.png"}, \
"annotations": [{"entities": [{"entityType": "GENERIC", "labels": [{"label": "normal"}]}]}]}

{"id": "r3", "sourceDetails": {"path": "deep/3.png"}}
{"id": "r4", "sourceDetails": {"path": "4.png"}, "annotations": []}"""
CONSOLIDATED = json.dumps(HEADER) + RECORDS


def box(name: str, *corners: tuple[Any, Any], **other: Any) -> dict[str, Any]:
    polygon = {"normalizedVertices": [{"x": x, "y": y} for x, y in corners]}
    return {"entityType": "IMAGEOBJECTSELECTION", "labels": [{"label_name": name}], "boundingPolygon": polygon} | other


def record(*entities: Any, path: Any = "1.png", **other: Any) -> dict[str, Any]:
    return {
        "id": "r",
        "sourceDetails": {"path": path},
        "annotations": [{"id": "a", "entities": list(entities)}],
    } | other


def generic(*names: Any) -> dict[str, Any]:
    return {"entityType": "GENERIC", "labels": [{"label_name": name} for name in names]}


def lines(path: Path, *content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{one if isinstance(one, str) else json.dumps(one)}\n" for one in content))
    return path


def only(path: Path, images: Path | None = None) -> list[Entry]:
    return oci.read(path, ReadOptions(images=images))[""]


def test_a_consolidated_export(tmp_path):
    file = lines(tmp_path / "parts.jsonl", CONSOLIDATED)
    assert oci.detect(file) and oci.detect(tmp_path)
    entries = only(file)
    assert entries == only(tmp_path)
    assert [(entry.source, str(entry.label)) for entry in entries] == [
        ("oci://parts@ns/line 1/1.png", "anomaly"),
        ("oci://parts@ns/line 1/2.png", "normal"),
        ("oci://parts@ns/line 1/deep/3.png", "unlabelled"),
        ("oci://parts@ns/line 1/4.png", "unlabelled"),
    ]
    assert all(entry.at is None and not entry.tags and not entry.regions for entry in entries)


def test_a_split_export(tmp_path):
    header, *records = CONSOLIDATED.split("\n")
    files = [{"namespace": "ns", "bucket": "parts", "path": f"exports/2023/records_{n}.jsonl"} for n in (1, 2)]
    metadata = lines(tmp_path / "metadata.jsonl", json.loads(header) | {"recordFiles": files})
    lines(tmp_path / "records_1.jsonl", *records[:2])
    with pytest.raises(NotFound, match=r"metadata\.jsonl, line 1: The record file 'exports/2023/records_2\.jsonl'"):
        only(metadata)
    lines(tmp_path / "exports" / "2023" / "records_2.jsonl", *records[2:])
    whole = lines(tmp_path / "whole" / "parts.jsonl", CONSOLIDATED)
    assert oci.detect(metadata) and only(metadata) == only(tmp_path) == only(whole)


@pytest.mark.parametrize("order", list(permutations(range(4)))[::3])
@pytest.mark.parametrize("kind", [str, float])
def test_corners_in_any_order_as_numbers_or_texts(tmp_path, order, kind):
    corners = [(0.25, 0.5), (0.25, 0.75), (0.75, 0.75), (0.75, 0.5)]  # as exports have them: TL, BL, BR, TR
    given_ = [(kind(corners[i][0]), kind(corners[i][1])) for i in order]
    file = lines(tmp_path / "e.jsonl", HEADER | {"annotationFormat": "BOUNDING_BOX"}, record(box("pore", *given_)))
    assert only(file)[0].regions == (Region.box("pore", left=0.25, top=0.5, width=0.5, height=0.25),)


def test_boxes_that_are_not_upright_do_not_cross_themselves(tmp_path):
    corners = [(0.5, 0), (0.5, 1), (0, 0.5), (1, 0.5)]
    (region,) = only(lines(tmp_path / "e.jsonl", HEADER, record(box("pore", *corners))))[0].regions
    xs, ys = np.array(region.polygon).T
    area = abs(np.dot(xs, np.roll(ys, -1)) - np.dot(ys, np.roll(xs, -1))) / 2
    assert set(region.polygon) == set(corners) and area == pytest.approx(0.5)
    triangle = only(lines(tmp_path / "e.jsonl", HEADER, record(box("pore", (0, 0), (1, 0), (0, 1)))))[0].regions[0]
    assert triangle.polygon == ((0, 0), (1, 0), (0, 1))


def test_several_labels_and_other_spellings(tmp_path):
    header = {"annotationFormat": "MULTI_LABEL", "labelsSet": [], "sourceDetails": {"bucket": "b"}}
    file = lines(
        tmp_path / "e.jsonl",
        header,
        record(generic("wet", "NORMAL"), generic("dark", "wet")),
        record({"labels": ["anomaly"]}, path="oci://other@n/2.png"),
        record({"entityType": "GENERIC", "labels": [{"labelName": "wet"}]}, path="a/3.png"),
    )
    first, second, third = only(file)
    assert (first.source, first.label, first.tags) == ("oci://b/1.png", Label.NORMAL, (Tag("wet"), Tag("dark")))
    assert (second.source, second.label) == ("oci://other@n/2.png", Label.ANOMALY)
    assert (third.source, third.tags) == ("oci://b/a/3.png", (Tag("wet"),))


def test_images_are_found_beside_the_export_or_where_one_says(tmp_path):
    file = lines(tmp_path / "e" / "parts.jsonl", CONSOLIDATED)
    for name in ("e/line 1/1.png", "e/2.png", "e/3.png", "images/deep/3.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    beside = [entry.at for entry in only(file)]
    # 3.png is not deep/3.png: beside the export, a shorter path would be a guess.
    assert beside == [str(tmp_path / "e/line 1/1.png"), str(tmp_path / "e/2.png"), None, None]
    told = [entry.at for entry in only(file, tmp_path / "images")]
    assert told == [None, None, str(tmp_path / "images/deep/3.png"), None]


def test_without_a_bucket_paths_are_relative(tmp_path):
    header = {"annotationFormat": "SINGLE_LABEL", "labelsSet": [], "datasetSourceDetails": {}}
    (entry,) = only(lines(tmp_path / "e.jsonl", header, record(generic("normal"), path="a/1.png")))
    assert (entry.source, entry.at) == ("a/1.png", str(tmp_path / "a" / "1.png"))


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        ([record(generic("normal"))], Invalid, "line 1: the header is missing"),
        ([], Invalid, "line 1: the header is missing"),
        ([HEADER, '{"id": "r", "sourceDet'], Invalid, "line 2: not JSON"),
        ([HEADER, "[1]"], Invalid, "line 2: A record is an object"),
        ([HEADER, "", {"id": "r"}], Invalid, "line 3: The record has no 'sourceDetails'"),
        ([HEADER, record(path=5)], Invalid, "line 2: 'path' must be a text"),
        ([HEADER, HEADER], Invalid, "line 2: A second header"),
        ([HEADER, record(generic("normal", "Anomaly"))], Invalid, "line 2: .*both normal and anomaly"),
        ([HEADER, record(generic(5))], Invalid, "line 2: A label is"),
        ([HEADER, record(box("a", (0, 0), (1, 0)))], Invalid, "line 2: A box has 4"),
        (
            [HEADER, record(box("a", (0, 0), (0, 64), (64, 64), (64, 0)))],
            Invalid,
            "line 2: y of .* from 0 to 1; it is 64",
        ),
        ([HEADER, record(box("a", (0, 0), (0, "wide"), (1, 1), (1, 0)))], Invalid, 'it is "wide"'),
        ([HEADER, record(box("a", (0, 0), (0, "nan"), (1, 1), (1, 0)))], Invalid, 'it is "nan"'),
        ([HEADER, record(box("a", (0, 0), (0, True), (1, 1), (1, 0)))], Invalid, "it is true"),
        ([HEADER, record(generic("a") | {"entityType": "TEXTSELECTION"})], Unsupported, "line 2: .*'TEXTSELECTION'"),
        ([HEADER, record(annotations={})], Invalid, "line 2: 'annotations' must be a list"),
        ([HEADER, record(annotations=[5])], Invalid, "line 2: 'annotations' must be a list of objects"),
        ([HEADER | {"datasetFormatDetails": {"formatType": "TEXT"}}], Unsupported, "line 1: .*'TEXT'"),
        ([HEADER | {"recordFiles": "x"}], Invalid, "line 1: recordFiles must be"),
    ],
    ids=count(),
)
def test_bad_lines_name_file_and_line(tmp_path, content, error, words):
    file = lines(tmp_path / "e.jsonl", *content)
    with pytest.raises(error, match=words) as raised:
        only(file)
    assert str(raised.value).startswith(f"{file}, line ")


def test_what_is_not_utf_8_or_nested_without_end(tmp_path):
    file = tmp_path / "e.jsonl"
    file.write_bytes(json.dumps(HEADER).encode() + b"\n\xff\xfe\n")
    with pytest.raises(Invalid, match="line 2: not UTF-8"):
        only(file)
    file.write_bytes(json.dumps(HEADER).encode() + b"\n" + b"[" * 100_000 + b"\n")
    with pytest.raises(Invalid, match="line 2: not JSON"):
        only(file)


@pytest.mark.parametrize(
    "place", ["../secret.jsonl", "/etc/passwd", "a/../../secret.jsonl", "C:\\x.jsonl", "..\\secret.jsonl", "\0", ""]
)
def test_record_files_do_not_lead_out_of_the_folder(tmp_path, place):
    lines(tmp_path / "secret.jsonl", record(generic("normal")))
    file = lines(tmp_path / "in" / "e.jsonl", HEADER | {"recordFiles": [{"path": place}]})
    with pytest.raises(Invalid, match=r"e\.jsonl, line 1: The record file .*leads out"):
        only(file)


def test_record_files_that_are_links_itself_twice_or_other_headers(tmp_path):
    lines(tmp_path / "secret.jsonl", record(generic("normal")))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link.jsonl").symlink_to(tmp_path / "secret.jsonl")
    lines(tmp_path / "in" / "r.jsonl", record(generic("normal")))
    lines(tmp_path / "in" / "back.jsonl", HEADER | {"recordFiles": [{"path": "e.jsonl"}]})
    for names, words in [
        (["link.jsonl"], "a link that leads out"),
        (["e.jsonl"], "the file that names it"),
        (["r.jsonl", "./r.jsonl"], "named twice"),
        (["back.jsonl"], r"back\.jsonl, line 1: A second header"),
    ]:
        file = lines(tmp_path / "in" / "e.jsonl", HEADER | {"recordFiles": [{"path": name} for name in names]})
        with pytest.raises(Invalid, match=words):
            only(file)


def test_detect_knows_its_own_only(tmp_path):
    lines(tmp_path / "a.manifest", '{"source-ref": "1.png", "l": 1, "l-metadata": {"class-name": "normal"}}')
    (tmp_path / "coco.json").write_text(json.dumps({"images": [], "annotations": [], "categories": []}))
    (tmp_path / "pretty.json").write_text("{\n")
    (tmp_path / "binary.jsonl").write_bytes(bytes(range(256)))
    lines(tmp_path / "record.jsonl", record(generic("normal")))
    assert not any(oci.detect(path) for path in (tmp_path, tmp_path / "none", *tmp_path.iterdir()))
    with pytest.raises(NotFound, match="holds no export"):
        only(tmp_path)


# ---------------------------------------------------------------- writing


def picture(path: Path, value: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_png(np.full((8, 8), value, np.uint8)))
    return path


def test_what_is_written_is_what_exports_look_like(tmp_path):
    region = Region.box("pore", left=0.1, top=0.25, width=0.5, height=0.5)
    entry = Entry("a/1.png", regions=(region,), at=str(picture(tmp_path / "1.png")))
    assert oci.write({"": [entry]}, tmp_path / "out", WriteOptions()) == ()
    header, line = (json.loads(one) for one in (tmp_path / "out" / "dataset.jsonl").read_text().splitlines())
    assert header["annotationFormat"] == "BOUNDING_BOX" and header["labelsSet"] == [{"name": "pore"}]
    assert header["datasetFormatDetails"] == {"formatType": "IMAGE"} and "recordFiles" not in header
    assert line["sourceDetails"] == {"path": "images/a/1.png"} and (tmp_path / "out" / "images/a/1.png").is_file()
    (entity,) = line["annotations"][0]["entities"]
    assert entity["entityType"] == "IMAGEOBJECTSELECTION" and entity["labels"] == [{"label_name": "pore"}]
    corners = [tuple(corner.values()) for corner in entity["boundingPolygon"]["normalizedVertices"]]
    assert corners == [("0.1", "0.25"), ("0.1", "0.75"), ("0.6", "0.75"), ("0.6", "0.25")]


def test_objects_of_one_bucket_are_named_in_the_header(tmp_path):
    entries = [Entry("oci://b@n/p/1.png", Label.NORMAL), Entry("oci://b@n/2.png", Label.ANOMALY)]
    oci.write({"": entries}, tmp_path / "one", WriteOptions(images="refer"))
    header = json.loads((tmp_path / "one" / "dataset.jsonl").read_text().splitlines()[0])
    assert header["datasetSourceDetails"] == {"sourceType": "OBJECT_STORAGE", "namespace": "n", "bucket": "b"}
    assert header["annotationFormat"] == "SINGLE_LABEL" and only(tmp_path / "one") == entries
    mixed = [*entries, Entry("oci://c@n/3.png"), Entry("s3://b/4.png"), Entry("x.png", at=str(tmp_path / "x.png"))]
    oci.write({"": mixed}, tmp_path / "mixed", WriteOptions(images="refer"))
    back = only(tmp_path / "mixed")
    assert [entry.source for entry in back] == [*(entry.source for entry in mixed[:4]), "../x.png"]


def test_several_splits_are_several_exports(tmp_path):
    train = [Entry("1.png", Label.NORMAL, at=str(picture(tmp_path / "1.png", 1)))]
    test = [Entry("1.png", Label.ANOMALY, (Tag("wet"),), at=str(picture(tmp_path / "2.png", 2)))]
    written = write_dataset({"train": Manifest(train), "test": Manifest(test)}, tmp_path / "out", format="oci")
    assert {finding.rule for finding in written.losses} == {"lost-name"}  # both are called 1.png
    assert sorted(path.name for path in (tmp_path / "out").glob("*.jsonl")) == ["test.jsonl", "train.jsonl"]
    header = json.loads((tmp_path / "out" / "train.jsonl").read_text())
    assert header["recordFiles"] == [{"path": "records/train.jsonl"}] and header["annotationFormat"] == "MULTI_LABEL"
    parts = read_splits(tmp_path / "out")
    assert [(split, part[0].label) for split, part in parts.items()] == [
        ("train", Label.NORMAL),
        ("test", Label.ANOMALY),
    ]
    assert Path(parts["test"][0].location).read_bytes() == (tmp_path / "2.png").read_bytes()
    assert only(tmp_path / "out" / "test.jsonl") == list(parts["test"])


def test_what_cannot_be_said_is_told(tmp_path):
    at = str(picture(tmp_path / "1.png"))
    mask = Mask(np.eye(8, dtype=np.uint8), ("background", "a"))
    entry = Entry(
        "1.png",
        Label.ANOMALY,
        (Tag("wet"),),
        (Region("a", ((0, 0), (1, 0), (0.5, 1.01)), 0.5, "7"),),
        MaskRef(inline(encode_mask(mask)), {"a": mask.colours[1]}),
        at=at,
    )
    rules = {finding.rule for finding in oci.write({"train": [entry]}, tmp_path / "out", WriteOptions())}
    lost = ("label", "tags", "shape", "precision", "confidence", "id", "mask", "split")
    assert rules == {f"lost-{what}" for what in lost}
    tagged = Entry("1.png", Label.NORMAL, (Tag("wet", 0.5), Tag("Anomaly"), Tag("wet")), at=at)
    rules = {finding.rule for finding in oci.write({"": [tagged]}, tmp_path / "tags", WriteOptions())}
    assert rules == {"lost-confidence", "lost-tags"} and only(tmp_path / "tags")[0].tags == (Tag("wet"),)
    with pytest.raises(Conflict):
        oci.write({"": [tagged]}, tmp_path / "tags", WriteOptions())
    with pytest.raises(NotFound, match=r"gone\.png"):
        oci.write({"": [Entry("gone.png", at=str(tmp_path / "gone.png"))]}, tmp_path / "bad", WriteOptions())
    with pytest.raises(Invalid, match="'default'"):
        oci.write({"": [tagged], "default": [tagged]}, tmp_path / "bad", WriteOptions())
    far = Entry("1.png", regions=(Region("a", ((0, 0), (3, 0), (0, 3))),), at=at)
    with pytest.raises(Invalid, match=r"1\.png: "):
        oci.write({"": [far]}, tmp_path / "bad", WriteOptions())
    assert not (tmp_path / "bad").exists()


NAMES = st.text(min_size=1, max_size=8, alphabet=st.characters(exclude_categories=["Cs"])).filter(
    lambda name: name.strip().casefold() not in {"normal", "anomaly"}
)
FRACTIONS = st.floats(0, 1, allow_subnormal=False)


@st.composite
def boxes(draw: st.DrawFn) -> Region:
    left, right = sorted(draw(st.lists(FRACTIONS, min_size=2, max_size=2, unique=True)))
    top, bottom = sorted(draw(st.lists(FRACTIONS, min_size=2, max_size=2, unique=True)))
    return Region(draw(NAMES), ((left, top), (right, top), (right, bottom), (left, bottom)))


LABELLED = st.builds(
    lambda label, tags: {"label": label, "tags": tuple(map(Tag, tags))},
    st.sampled_from(Label),
    st.lists(NAMES, max_size=3, unique=True),
)
BOXED = st.builds(lambda regions: {"regions": tuple(regions)}, st.lists(boxes(), max_size=3))


@settings(max_examples=60)
@given(st.lists(LABELLED, max_size=4) | st.lists(BOXED, max_size=4), st.integers(1, 2))
def test_what_is_written_is_read_again(tmp_path_factory, said, splits):
    folder = tmp_path_factory.mktemp("oci")
    entries = [Entry(f"oci://b@n/{number}.png", **one) for number, one in enumerate(said)]
    parts = {"": entries} if splits == 1 else {"test": entries[1:], "train": entries[:1]}
    assert oci.write(parts, folder / "out", WriteOptions(images="refer")) == ()
    back = oci.read(folder / "out", ReadOptions())
    assert [entry for split in parts for entry in back[split]] == [entry for part in parts.values() for entry in part]
