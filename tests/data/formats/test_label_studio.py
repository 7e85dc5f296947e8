"""Label Studio: exports as the tool writes them, brush strokes as its own converter packs them, and the way back."""

from __future__ import annotations

import base64
import contextlib
import json
import math
import time
from itertools import count
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vision_toolkit.core import Conflict, Entry, Invalid, Label, Mask, MaskRef, NotFound, Region, Tag, Unsupported
from vision_toolkit.data import Manifest
from vision_toolkit.data.convert import read_dataset, read_splits, write_dataset
from vision_toolkit.data.formats import ReadOptions, WriteOptions, label_studio
from vision_toolkit.data.formats.brush import decode_brush, encode_brush
from vision_toolkit.data.formats.places import Finder
from vision_toolkit.data.images import encode_mask, encode_png, read_image, read_mask
from vision_toolkit.data.storage import inline

# What label_studio_converter 0.0.59, Label Studio's own, packs of the pictures below.
RECT = "AAAAjDkb/iMAt/98At/+PwAA"
SOFT = (
    "AAADMDkb/tsAjOY12NijSIxTFYBGhxxkd7Hix0Ea7GF4jAIxSNzjzp/+PpjkozTEYBGQxwsfTb/46eNDxGARikbnHnT/8fTHJRmmJwCNDjjI72PF"
    "joI12MLxWARnMa7GxRpEYpqcAA=="
)
COLOURED = (
    "AAADMDkb/tsAAyAB4AHAOQMgAeABwF0DIAHgAcBiAyAB4AHASAMgAeABwBTFYABkADwAOAhgZAA8ADgRgGQAPAA4F6BkADwAOBigZAA8ADgUAGQA"
    "PAA4C6BkADwAOAF4jAAMgAeABwBQDIAHgAcBzAyAB4AHAzgMgAeABwP8DIAHgAcD/AyAB4AHA6QMgAeABwJIDIAHgAcA0xGAAZAA8ADgEIGQAPAA"
    "4EKBkADwAOB0gZAA8ADgf4GQAPAA4H+BkADwAOB/gZAA8ADgU4GQAPAA4CHiMAAyAB4AHAFAMgAeABwHMDIAHgAcDOAyAB4AHA/wMgAeABwP8DIA"
    "HgAcDpAyAB4AHAkgMgAeABwDTE4ABkADwAOAhgZAA8ADgRgGQAPAA4F6BkADwAOBigZAA8ADgUAGQAPAA4C6BkADwAOAF4rAAMgAeABwDkDIAHgA"
    "cBdAyAB4AHAYgMgAeABwEgDIAHgAcAU1OAA="
)
LAST_PIXEL = "AAHUwDkb////APqXYBH/gA=="


def rectangle() -> np.ndarray:
    picture = np.zeros((5, 7), np.uint8)
    picture[1:3, 2:5] = 255
    return picture


def soft_disc() -> np.ndarray:
    y, x = np.mgrid[:12, :17]
    return np.clip((4 - np.hypot(y - 6, x - 17 / 3)) * 100, 0, 255).round().astype(np.uint8)


def last_pixel() -> np.ndarray:
    picture = np.zeros((150, 200), np.uint8)
    picture[-1, -1] = 255
    return picture


def unpacked(text: str) -> list[int]:
    return list(base64.b64decode(text))


class TestBrush:
    @pytest.mark.parametrize(
        ("packed", "picture"),
        [(RECT, rectangle()), (SOFT, soft_disc()), (COLOURED, soft_disc()), (LAST_PIXEL, last_pixel())],
        ids=["rectangle", "soft edges", "coloured words", "a run in pieces"],
    )
    def test_what_label_studio_packs_is_read(self, packed, picture):
        height, width = picture.shape
        assert np.array_equal(decode_brush(unpacked(packed), (width, height)), picture)

    @pytest.mark.parametrize(("packed", "picture"), [(RECT, rectangle()), (LAST_PIXEL, last_pixel())])
    def test_what_we_pack_is_what_label_studio_packs(self, packed, picture):
        ours, theirs = encode_brush(picture), unpacked(packed)
        assert ours == theirs[: len(ours)] and not any(theirs[len(ours) :])  # it appends zeros

    @given(hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=40)), st.integers(1, 200))
    def test_the_way_back(self, painted, wide):
        painted = np.repeat(painted, wide, axis=1)
        back = decode_brush(encode_brush(painted), (painted.shape[1], painted.shape[0]))
        assert np.array_equal(back, np.where(painted, 255, 0))

    @given(st.binary(max_size=60))
    def test_garbage_is_an_error_or_a_picture_of_the_size(self, junk):
        head = bytes(unpacked(RECT)[:7])
        for rle in (junk, head + junk):
            with contextlib.suppress(Invalid):
                assert decode_brush(rle, (7, 5)).shape == (5, 7)

    def test_every_cut_is_told(self):
        whole = encode_brush(rectangle())
        for length in range(len(whole) - 1):
            with pytest.raises(Invalid, match=r"middle of a block|begin with|numbers"):
                decode_brush(whole[:length], (7, 5))

    def test_other_sizes_words_and_numbers_are_told(self):
        with pytest.raises(Invalid, match=r"hold 140 numbers.*6x5 pixels has 120"):
            decode_brush(unpacked(RECT), (6, 5))
        with pytest.raises(Invalid, match="words of 8 bits; these have 32"):
            decode_brush([0, 0, 0, 140, 255, 27, 254, 0], (7, 5))
        for rle in ([1, 256], [-1], ["a"], [1.5], "text"):
            with pytest.raises(Invalid, match="numbers from 0 to 255"):
                decode_brush(rle, (7, 5))
        with pytest.raises(Invalid, match="pixels"):
            decode_brush(unpacked(RECT), (1 << 20, 1 << 20))
        with pytest.raises(Invalid, match=r"\(H, W\)"):
            encode_brush(np.zeros((2, 2, 3)))

    def test_a_large_mask_takes_no_seconds(self):
        y, x = np.mgrid[:2048, :2048]
        painted = ((y - 1000) ** 2 + (x - 900) ** 2 < 700**2) ^ ((x // 64 + y // 64) % 2 == 0)
        start = time.process_time()
        assert np.array_equal(decode_brush(encode_brush(painted), (2048, 2048)) > 0, painted)
        assert time.process_time() - start < 5


# ---------------------------------------------------------------- exports


def choice(*names: str, control: str = "quality") -> dict[str, Any]:
    return {"id": "a1", "from_name": control, "to_name": "image", "type": "choices", "value": {"choices": list(names)}}


def shape(kind: str, name: str | None = "pore", **value: Any) -> dict[str, Any]:
    sides = {"original_width": 200, "original_height": 100, "image_rotation": 0}
    named = {} if name is None else {kind: [name]}
    return {"id": "Dx_aB91ISN", "from_name": "x", "to_name": "image", "type": kind, "value": value | named} | sides


def stroke(name: str, painted: np.ndarray, **other: Any) -> dict[str, Any]:
    height, width = painted.shape
    value = {"format": "rle", "rle": encode_brush(painted), "brushlabels": [name]}
    return {"type": "brushlabels", "value": value, "original_width": width, "original_height": height} | other


def task(*results: Any, image: str = "s3://b/1.png", **other: Any) -> dict[str, Any]:
    annotation = {"id": 1001, "completed_by": 1, "result": list(results), "was_cancelled": False, "ground_truth": False}
    return {"id": 7, "data": {"image": image}, "annotations": [annotation], "predictions": []} | other


def export(path: Path, *tasks: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(tasks))
    return path


def only(path: Path, images: Path | None = None) -> Entry:
    (entry,) = label_studio.read(path, ReadOptions(images=images))[""]
    return entry


# As the server writes it: annotations first, then the data; a picture that was uploaded.
EXPORT = """[{"id": 5, "annotations": [{"id": 2, "completed_by": 1, "result": [
 {"original_width": 640, "original_height": 480, "image_rotation": 0, "value": {"x": 10.0, "y": 25.0, "width": 50.0,
  "height": 12.5, "rotation": 0, "rectanglelabels": ["scratch"]}, "id": "tb8DdRjvKm", "from_name": "label",
  "to_name": "image", "type": "rectanglelabels", "origin": "manual"},
 {"value": {"choices": ["Anomaly"]}, "id": "WAhVYu", "from_name": "quality", "to_name": "image", "type": "choices",
  "origin": "manual"},
 {"value": {"choices": ["wet", "dark"]}, "id": "WAhVYv", "from_name": "state", "to_name": "image", "type": "choices"},
 {"value": {"text": ["look again"]}, "id": "n", "from_name": "note", "to_name": "image", "type": "textarea"}],
 "was_cancelled": false, "ground_truth": false, "created_at": "2024-05-02T09:00:00.000000Z",
 "updated_at": "2024-05-02T09:01:00.000000Z", "draft_created_at": null, "lead_time": 12.5, "prediction": {},
 "result_count": 0, "task": 5, "parent_prediction": null, "parent_annotation": null}],
 "file_upload": "1f3a9b2c-part 1.png", "drafts": [], "predictions": [],
 "data": {"image": "/data/upload/1/1f3a9b2c-part%201.png"}, "meta": {}, "project": 1}]"""

MIN = """[{"image": "/data/upload/1/1f3a9b2c-a.png", "id": 1, "line": "north", "quality": "anomaly",
 "state": {"choices": ["wet", "dark"]}, "box": [{"x": 25, "y": 50, "width": 50, "height": 25, "rotation": 0,
 "rectanglelabels": ["pore"], "original_width": 8, "original_height": 4}], "annotator": 1, "annotation_id": 1,
 "created_at": "2024-05-02T09:00:00.000000Z", "updated_at": "2024-05-02T09:00:00.000000Z", "lead_time": 2.0}]"""


def test_an_export_of_the_server(tmp_path):
    file = tmp_path / "project-1-at-2024.json"
    file.write_text(EXPORT)
    assert label_studio.detect(file) and label_studio.detect(tmp_path)
    entry = only(tmp_path)
    assert entry.label is Label.ANOMALY and entry.tags == (Tag("wet"), Tag("dark")) and entry.mask is None
    box = Region.box("scratch", left=0.1, top=0.25, width=0.5, height=0.125)
    assert entry.regions[0].name == "scratch" and np.allclose(entry.regions[0].polygon, box.polygon)
    assert entry.regions[0].id == "tb8DdRjvKm"
    assert (entry.source, entry.at) == ("part 1.png", str(tmp_path / "part 1.png"))


def test_json_min(tmp_path):
    file = tmp_path / "min.json"
    file.write_text(MIN)
    assert label_studio.detect(file)
    entry = only(file)
    assert entry.label is Label.ANOMALY and entry.tags == (Tag("wet"), Tag("dark")) and entry.source == "a.png"
    assert entry.regions == (Region.box("pore", left=0.25, top=0.5, width=0.5, height=0.25),)


def test_shapes(tmp_path):
    polygon = shape("polygonlabels", points=[[0, 0], [50, 0], [25, 100]], closed=True) | {"score": 0.25}
    turned = shape("rectanglelabels", "turned", x=50, y=20, width=20, height=10, rotation=90)
    ellipse = shape("ellipselabels", "round", x=50, y=50, radiusX=25, radiusY=50, rotation=90)
    first, second, third = only(export(tmp_path / "e.json", task(polygon, turned, ellipse))).regions
    assert first.polygon == ((0, 0), (0.5, 0), (0.25, 1)) and first.confidence == 0.25
    # 200x100 pixels: 40x10 px at (100, 20), turned clockwise about that corner, end 10 px left of it and 40 below.
    assert np.allclose(second.polygon, [(0.5, 0.2), (0.5, 0.6), (0.45, 0.6), (0.45, 0.2)])
    # 50 px each way about (100, 50): a circle stays one.
    assert np.allclose([math.hypot(200 * x - 100, 100 * y - 50) for x, y in third.polygon], 50)


def test_turned_shapes_are_cut_off_at_the_border(tmp_path):
    turned = shape("rectanglelabels", x=0, y=50, width=20, height=20, rotation=45)
    (region,) = only(export(tmp_path / "e.json", task(turned))).regions
    assert min(x for x, _ in region.polygon) == 0 and all(0 <= y <= 1 for _, y in region.polygon)
    with pytest.raises(Invalid, match="task 7: A shape lies outside"):
        only(export(tmp_path / "e.json", task(shape("rectanglelabels", x=0, y=0, width=9, height=9, rotation=180))))


def test_turned_shapes_need_a_size_and_find_it_in_the_image(tmp_path):
    turned = shape("rectanglelabels", x=50, y=20, width=20, height=10, rotation=90)
    bare = {key: value for key, value in turned.items() if not key.startswith("original")}
    file = export(tmp_path / "e.json", task(bare, image="1.png"))
    with pytest.raises(Invalid, match="task 7: A turned shape needs original_width"):
        only(file)
    (tmp_path / "1.png").write_bytes(encode_png(np.zeros((100, 200), np.uint8)))
    assert np.allclose(only(file).regions[0].polygon, [(0.5, 0.2), (0.5, 0.6), (0.45, 0.6), (0.45, 0.2)])


def test_brush_strokes_are_a_mask_in_the_order_of_painting(tmp_path):
    crack, hole, nothing = np.zeros((3, 4, 6), bool)
    crack[:, :4], hole[1:3, 3:], nothing[0, 0] = True, True, True
    file = export(
        tmp_path / "e.json", task(stroke("crack", crack), stroke("hole", hole), stroke("background", nothing))
    )
    ref = only(file).mask
    assert ref is not None and list(ref.colours) == ["crack", "hole"]
    mask = read_mask(ref)
    assert mask.ids.tolist() == [[0, 1, 1, 1, 0, 0], [1, 1, 1, 2, 2, 2], [1, 1, 1, 2, 2, 2], [1, 1, 1, 1, 0, 0]]
    (tmp_path / "config.xml").write_text(
        '<View><BrushLabels name="m" toName="image"><Label value="hole" background="#a0b0c0"/>'
        '<Label value="crack" background="red"/><Label value="x" background="#ffffff"/></BrushLabels></View>'
    )
    painted = only(file).mask
    assert painted is not None and painted.colours["hole"] == "#a0b0c0" and painted.colours["crack"] == "#23A436"
    assert np.array_equal(read_mask(painted).ids, mask.ids)


def test_labels_in_results_of_their_own(tmp_path):
    bare = shape("rectangle", None, x=25, y=50, width=50, height=25)
    value = bare["value"] | {"labels": ["pore"]}
    labelled = bare | {"type": "labels", "value": value}
    entry = only(export(tmp_path / "e.json", task(bare, labelled)))
    assert [region.name for region in entry.regions] == ["pore"]
    with pytest.raises(Invalid, match="task 7: A rectangle result has no label"):
        only(export(tmp_path / "e.json", task(bare)))


def test_choices_about_one_region_are_not_about_the_image(tmp_path):
    about_region = choice("anomaly") | {"value": {"choices": ["anomaly"], "x": 1, "y": 1, "width": 5, "height": 5}}
    assert only(export(tmp_path / "e.json", task(about_region))).label is Label.UNLABELLED


def test_which_annotation_counts(tmp_path):
    def said(name: str, when: str, **other: Any) -> dict[str, Any]:
        return {"result": [choice(name)], "was_cancelled": False, "updated_at": when} | other

    old, new = said("normal", "2024-01-01T00:00:00Z"), said("anomaly", "2024-02-01T00:00:00Z")
    truth = said("normal", "2023-01-01T00:00:00Z", ground_truth=True)
    cancelled = said("normal", "2025-01-01T00:00:00Z", was_cancelled=True, ground_truth=True)
    predictions = [{"result": [choice("anomaly")], "model_version": "1"}]
    for several, label in [
        ([new, old], Label.ANOMALY),
        ([old, new, cancelled], Label.ANOMALY),
        ([old, new, truth], Label.NORMAL),
        ([cancelled], Label.UNLABELLED),
        ([], Label.UNLABELLED),
    ]:
        file = export(tmp_path / "e.json", task(annotations=several, predictions=predictions))
        assert only(file).label is label
    legacy = {"id": 1, "data": {"image": "s3://b/1.png"}, "completions": [old]}
    assert only(export(tmp_path / "e.json", legacy)).label is Label.NORMAL


class TestImages:
    def test_places_of_other_machines_stay_and_nothing_is_dialled(self, tmp_path, monkeypatch):
        import socket

        monkeypatch.setattr(socket.socket, "connect", lambda *a: pytest.fail("dialled"))
        for place in ("s3://bucket/a/1.png", "https://example.com/x/1.jpg?token=1", "gs://b/1.png"):
            entry = only(export(tmp_path / "e.json", task(image=place)))
            assert entry.source == place and entry.at is None

    @pytest.mark.parametrize("stored", ["1f3a9b2c-1 ü.png", "1 ü.png"])
    def test_uploads_are_found_with_and_without_the_eight_characters(self, tmp_path, stored):
        images = tmp_path / "my images"
        images.mkdir()
        (images / stored).write_bytes(encode_png(np.zeros((4, 8), np.uint8)))
        for place in (
            "/data/upload/3/1f3a9b2c-1%20%C3%BC.png",
            "https://studio.example/data/upload/3/1f3a9b2c-1 ü.png",
        ):
            entry = only(export(tmp_path / "e.json", task(image=place)), images)
            assert entry.at == str(images / stored)

    def test_local_files_and_other_keys(self, tmp_path):
        (tmp_path / "deep").mkdir()
        (tmp_path / "deep" / "a b.png").write_bytes(b"x")
        entry = only(export(tmp_path / "e.json", task(image="/data/local-files/?d=deep/a%20b.png")))
        assert (entry.source, entry.at) == ("deep/a b.png", str(tmp_path / "deep" / "a b.png"))
        pictured = task(data={"note": "not.a picture", "picture": "deep/a b.png"})
        assert only(export(tmp_path / "e.json", pictured)).at == str(tmp_path / "deep" / "a b.png")

    def test_two_uploads_of_one_name_are_told_apart_or_refused(self, tmp_path):
        tasks = [task(image=f"/data/upload/1/{key}-1.png") | {"id": key} for key in ("aaaaaaaa", "bbbbbbbb")]
        file = export(tmp_path / "e.json", *tasks)
        images = tmp_path / "images"
        images.mkdir()
        (images / "1.png").write_bytes(b"x")
        with pytest.raises(Invalid, match=r"task bbbbbbbb: .* of task aaaaaaaa"):
            label_studio.read(file, ReadOptions(images=images))
        for key in ("aaaaaaaa", "bbbbbbbb"):
            (images / f"{key}-1.png").write_bytes(b"x")
        entries = label_studio.read(file, ReadOptions(images=images))[""]
        assert [entry.source for entry in entries] == ["aaaaaaaa-1.png", "bbbbbbbb-1.png"]

    def test_no_place_leads_out_of_the_folder(self, tmp_path):
        (tmp_path / "secret.png").write_bytes(b"x")
        (tmp_path / "in").mkdir()
        assert Finder(tmp_path / "in").find("../secret.png") is None
        entry = only(export(tmp_path / "in" / "e.json", task(image="/data/local-files/?d=../secret.png")))
        assert not Path(entry.location).is_file() or "secret" not in Path(entry.location).read_text()


@pytest.mark.parametrize(
    ("results", "error", "words"),
    [
        ([shape("rectanglelabels", x=512, y=1, width=1, height=1)], Invalid, "x must be percent"),
        ([shape("rectanglelabels", x=80, y=1, width=30, height=1)], Invalid, "ends outside"),
        ([shape("rectanglelabels", x="1", y=1, width=1, height=1)], Invalid, "x must be percent"),
        ([shape("rectanglelabels", x=1, y=1, width=1)], Invalid, "height must be percent"),
        ([shape("polygonlabels", points=[[1, 2], [3, 400], [5, 6]])], Invalid, "point's y"),
        ([shape("polygonlabels", points=[[1, 2], [3, 4]])], Invalid, "at least three"),
        ([shape("polygonlabels", points=[1, 2, 3])], Invalid, "pairs"),
        ([shape("rectanglelabels", x=float("nan"), y=1, width=1, height=1)], Invalid, "x must be percent"),
        ([shape("rectanglelabels", x=1, y=1, width=1, height=1) | {"image_rotation": 90}], Unsupported, "turned by 90"),
        ([shape("keypointlabels", x=1, y=1, width=1)], Unsupported, "'keypointlabels'"),
        ([shape("videorectangle", x=1)], Unsupported, "'videorectangle'"),
        ([{"type": "choices"}], Invalid, "type and a value"),
        (["text"], Invalid, "type and a value"),
        ([choice("normal", "Anomaly")], Invalid, "both normal and anomaly"),
        ([choice() | {"value": {"choices": [1]}}], Invalid, "must list names"),
        ([stroke("a", np.eye(4), original_width=5)], Invalid, "5x4 pixels has 80"),
        ([stroke("a", np.eye(4), original_width=None, original_height=None)], Invalid, "original_width"),
        ([stroke("a", np.eye(4)), stroke("b", np.eye(5))], Invalid, "different sizes: 4x4 and 5x5"),
        ([stroke("a", np.eye(4)) | {"value": {"rle": [1, 2, 3], "brushlabels": ["a"]}}], Invalid, "53 bits"),
        ([stroke("a", np.eye(4)) | {"value": {"rle": "ab", "brushlabels": ["a"]}}], Invalid, "'rle' must be a list"),
    ],
    ids=count(),
)
def test_bad_results_name_file_and_task(tmp_path, results, error, words):
    file = export(tmp_path / "e.json", task(choice("normal"), image="s3://b/0.png") | {"id": 1}, task(*results))
    with pytest.raises(error, match=words) as raised:
        label_studio.read(file, ReadOptions())
    assert str(raised.value).startswith(f"{file}, task 7: ")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (EXPORT[:700], r"e\.json, line \d+: not JSON"),
        ('[{"id": 1,\n"data": }]', "line 2: not JSON"),
        ('{"id": 1}', "must be a list of tasks"),
        ("[1]", "task number 1: A task is an object"),
        ('[{"id": 4, "data": [], "annotations": []}]', "task 4: 'data' must be"),
        ('[{"id": 4, "data": {"text": "abc"}, "annotations": []}]', "task 4: .*must name an image.*'text'"),
        ('[{"id": 4, "data": {"image": "1.png"}, "annotations": [1]}]', "task 4: 'annotations' must be"),
        (
            '[{"id": 4, "data": {"image": "1.png"}, "annotations": [{"result": {}, "x": 1}, {"result": "x"}]}]',
            "'result'",
        ),
        ("[" * 100_000, "nested|not JSON"),
        (b"\xff\xfe\x00", "not UTF-8"),
    ],
)
def test_bad_files_are_told(tmp_path, text, words):
    file = tmp_path / "e.json"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(Invalid, match=words):
        label_studio.read(file, ReadOptions())


def test_detect_knows_its_own_only(tmp_path):
    coco = {"images": [{"id": 1, "file_name": "1.png"}], "annotations": [], "categories": []}
    for name, content in {
        "coco.json": coco,
        "list.json": [{"a": 1}],
        "empty.json": [],
        "data.json": [{"data": 5}],
    }.items():
        (tmp_path / name).write_text(json.dumps(content))
    (tmp_path / "lines.json").write_text('{"source-ref": "1.png"}\n')
    (tmp_path / "binary.json").write_bytes(bytes(range(256)))
    assert not any(label_studio.detect(file) for file in (tmp_path, tmp_path / "none", *tmp_path.iterdir()))
    for name in ("1.json", "2.json"):
        export(tmp_path / name, task())
    assert label_studio.detect(tmp_path)
    with pytest.raises(NotFound, match=r"1\.json, 2\.json"):
        label_studio.read(tmp_path, ReadOptions())


# ---------------------------------------------------------------- writing


def made(folder: Path) -> list[Entry]:
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    mask = Mask(np.kron(np.eye(3, 4, dtype=np.uint8), np.ones((4, 4), np.uint8)) * 2, ("background", "a", "b"))
    for number in range(3):
        (folder / f"{number}.png").write_bytes(encode_png(np.full((12, 16), number, np.uint8)))
        entries.append(Entry(f"x/{number}.png", list(Label)[number], at=str(folder / f"{number}.png")))
    entries[0] = Entry(
        entries[0].source,
        Label.NORMAL,
        (Tag("wet"), Tag('<dark> & "old"')),
        (
            Region.box("pore", left=0.25, top=0, width=0.5, height=0.75, confidence=0.5),
            Region("rim", ((0, 0), (1, 0), (0.5, 1))),
        ),
        at=entries[0].at,
    )
    ref = MaskRef(inline(encode_mask(mask)), {"b": mask.colours[2]})
    entries[1] = Entry(entries[1].source, Label.ANOMALY, mask=ref, at=entries[1].at)
    return entries


def test_written_tasks_fit_their_config(tmp_path):
    findings = label_studio.write({"": made(tmp_path / "in")}, tmp_path / "out", WriteOptions())
    assert [finding.rule for finding in findings] == ["lost-confidence"]
    tasks = json.loads((tmp_path / "out" / "tasks.json").read_text())
    view = ET.fromstring((tmp_path / "out" / "config.xml").read_text())
    controls = {control.get("name"): control for control in view}
    assert controls["image"].get("value") == "$image" and controls["image"].tag == "Image"
    assert all(set(one["data"]) == {"image"} for one in tasks)
    for result in (result for one in tasks for note in one["annotations"] for result in note["result"]):
        control = controls[result["from_name"]]
        assert control.get("toName") == result["to_name"] == "image" and control.tag.casefold() == result["type"]
        offered = {child.get("value") for child in control}
        assert set(result["value"][result["type"]]) <= offered
        if result["type"] != "choices":
            assert (result["original_width"], result["original_height"]) == (16, 12)
    place = tasks[0]["data"]["image"]
    assert place == "/data/local-files/?d=images/x/0.png"
    assert (tmp_path / "out" / place.partition("=")[2]).read_bytes() == (tmp_path / "in" / "0.png").read_bytes()
    assert tasks[2]["annotations"] == []


def test_through_the_public_face(tmp_path):
    train, test = made(tmp_path / "a"), made(tmp_path / "b")[:2]
    write_dataset({"train": Manifest(train), "test": Manifest(test)}, tmp_path / "out", format="label-studio")
    parts = read_splits(tmp_path / "out")
    assert {split: len(part) for split, part in parts.items()} == {"train": 3, "test": 2}
    assert [e.label for e in read_dataset(tmp_path / "out", split="train")] == [e.label for e in train]
    for entry in parts["train"]:
        assert read_image(entry).shape == (12, 16, 3)
        assert entry.mask is None or read_mask(entry.mask, size=(16, 12)).types == ("b",)


def test_referring_leaves_images_where_they_are(tmp_path):
    entries = [*made(tmp_path / "in"), Entry("s3://b/a b.png", Label.NORMAL)]
    label_studio.write({"": entries}, tmp_path / "out", WriteOptions(images="refer"))
    assert not (tmp_path / "out" / "images").exists()
    back = label_studio.read(tmp_path / "out", ReadOptions())[""]
    assert [entry.at for entry in back[:3]] == [entry.at for entry in entries[:3]]
    assert back[3].source == "s3://b/a b.png"


def test_what_cannot_be_said_is_told(tmp_path):
    picture = tmp_path / "1.png"
    picture.write_bytes(encode_png(np.zeros((4, 8), np.uint8)))
    box = Region.box("a", left=0, top=0, width=1, height=1)
    white = Mask(np.eye(4, 8, dtype=np.uint8), ("background", "a"), ("#000000", "#ffffff"))
    entry = Entry(
        "1.png",
        tags=(Tag("Normal"), Tag("wet", 0.5)),
        regions=(Region("a", box.polygon, id="7"), Region("a", box.polygon, id="7")),
        mask=MaskRef(inline(encode_mask(white)), {"a": "#ffffff", "never": "#14A3B3"}),
        at=str(picture),
    )
    findings = label_studio.write({"": [entry]}, tmp_path / "out", WriteOptions())
    rules = {finding.rule for finding in findings}
    assert rules == {"lost-tags", "lost-confidence", "lost-id", "lost-colours", "lost-types"}
    assert only(tmp_path / "out").label is Label.UNLABELLED
    bad = Entry("1.png", regions=(Region("a", ((0, 0), (3, 0), (0, 3))),), at=str(picture))
    with pytest.raises(Invalid, match=r"1\.png: .*a"):
        label_studio.write({"": [bad]}, tmp_path / "bad", WriteOptions())
    with pytest.raises(Invalid, match="config cannot hold"):
        label_studio.write(
            {"": [Entry("s3://b/1.png", tags=(Tag("a\0"),))]}, tmp_path / "bad", WriteOptions(images="refer")
        )
    with pytest.raises(NotFound, match=r"gone\.png"):
        label_studio.write({"": [Entry("gone.png", at=str(tmp_path / "gone.png"))]}, tmp_path / "bad", WriteOptions())
    assert not (tmp_path / "bad").exists()
    with pytest.raises(Conflict):
        label_studio.write({"": [entry]}, tmp_path / "out", WriteOptions())


NAMES = st.text("abcXYZ <>&\"'é漢-_.", min_size=1, max_size=8).filter(
    lambda name: name.strip().casefold() not in {"normal", "anomaly", "background", ""}
)
FRACTIONS = st.integers(0, 1000).map(lambda n: n / 1000)
BOXES = st.builds(
    lambda name, x, y: Region.box(name, left=min(x), top=min(y), width=max(x) - min(x), height=max(y) - min(y)),
    NAMES,
    st.tuples(FRACTIONS, FRACTIONS),
    st.tuples(FRACTIONS, FRACTIONS),
)
POLYGONS = st.builds(
    lambda name, points, id_: Region(name, tuple(points), id=id_),
    NAMES,
    st.lists(st.tuples(FRACTIONS, FRACTIONS), min_size=3, max_size=9),
    st.none() | st.sampled_from(["t1"]),
)
MASKS = st.builds(
    lambda ids, names: Mask(ids, ("background", *names)),
    hnp.arrays(np.uint8, (6, 9), elements=st.integers(0, 2)),
    st.lists(NAMES, min_size=2, max_size=2, unique=True),
)


@st.composite
def sayings(draw: st.DrawFn) -> dict[str, Any]:
    regions = draw(st.lists(BOXES, max_size=3)) + draw(st.lists(POLYGONS, max_size=1))
    mask = draw(st.none() | MASKS)
    if mask is not None and not mask.types:
        mask = None
    return {
        "label": draw(st.sampled_from(Label)),
        "tags": tuple(map(Tag, draw(st.lists(NAMES, max_size=3, unique=True)))),
        "regions": tuple(regions),
        "mask": mask,
    }


@settings(max_examples=40)
@given(st.lists(sayings(), min_size=1, max_size=3))
def test_what_is_written_is_read_again(tmp_path_factory, said):
    folder = tmp_path_factory.mktemp("studio")
    entries = []
    for number, one in enumerate(said):
        file = folder / f"{number}.png"
        file.write_bytes(encode_png(np.full((6, 9), number, np.uint8)))
        mask = one["mask"]
        ref = None
        if mask is not None:
            colours = {n: c for n, c in zip(mask.names, mask.colours, strict=True) if n in mask.types}
            ref = MaskRef(inline(encode_mask(mask)), colours)
        entries.append(Entry(file.name, one["label"], one["tags"], one["regions"], ref, at=str(file)))
    findings = label_studio.write({"": entries}, folder / "out", WriteOptions(images="link"))
    assert {finding.rule for finding in findings} <= {"lost-colours"}
    back = label_studio.read(folder / "out", ReadOptions())[""]
    for before, after, one in zip(entries, back, said, strict=True):
        assert Path(after.location).read_bytes() == Path(before.location).read_bytes()
        assert (after.label, after.tags) == (before.label, before.tags)
        assert [(r.name, r.id) for r in after.regions] == [(r.name, r.id) for r in before.regions]
        for old, new in zip(before.regions, after.regions, strict=True):
            assert np.allclose(old.polygon, new.polygon, atol=1e-12)
        if one["mask"] is None:
            assert after.mask is None
        else:
            assert after.mask is not None and set(after.mask.colours) == set(one["mask"].types)
            assert np.array_equal(read_mask(after.mask, names=one["mask"].names[1:]).ids, one["mask"].ids)
