"""Ground Truth: job folders as the service leaves them, attributes renamed to the letter, and the way back."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from vision_toolkit.core import Conflict, Entry, Invalid, Label, Mask, MaskRef, NotFound, Region, Tag
from vision_toolkit.data import Manifest
from vision_toolkit.data.convert import read_dataset, read_splits, write_dataset
from vision_toolkit.data.formats import ReadOptions, WriteOptions, ground_truth
from vision_toolkit.data.images import encode_mask, encode_png, read_image, read_mask
from vision_toolkit.data.jsonlines import read_line, write_line
from vision_toolkit.data.storage import inline

OUTPUT = "annotations/consolidated-annotation/output"
# Classification chained into segmentation, spelled as the service does: no space after separators.
LINE = (
    '{"source-ref":"s3://b/parts/1.png","defect":1,"defect-metadata":{"class-name":"anomaly","job-name":'
    '"labeling-job/defect","confidence":0.94,"type":"groundtruth/image-classification","human-annotated":"yes",'
    '"creation-date":"2022-08-22T13:40:00.123456"},"who":"Ann é","seg-ref":"s3://out/seg/'
    + OUTPUT
    + '/0_2022-08-22T13:52:52.123.png","seg-ref-metadata":{"internal-color-map":{"0":{"class-name":"BACKGROUND",'
    '"hex-color":"#ffffff","confidence":0.9},"1":{"class-name":"crack","hex-color":"#2ca02c","confidence":0.9}},'
    '"type":"groundtruth/semantic-segmentation","human-annotated":"yes","creation-date":"2022-08-22T13:52:52.123",'
    '"job-name":"labeling-job/seg"}}'
)
RENAMED = (
    LINE.replace('"defect"', '"anomaly-label"')
    .replace('"defect-metadata"', '"anomaly-label-metadata"')
    .replace('"seg-ref"', '"anomaly-mask-ref"')
    .replace('"seg-ref-metadata"', '"anomaly-mask-ref-metadata"')
)
FAILED = (
    '{"source-ref":"s3://b/parts/2.png","defect-metadata":{"failure-reason":"ClientError: no consensus","job-name":'
    '"labeling-job/defect","type":"groundtruth/image-classification"}}'
)


def job(folder: Path, *lines: str, masks: tuple[str, ...] = ()) -> Path:
    manifest = folder / "manifests" / "output" / "output.manifest"
    manifest.parent.mkdir(parents=True, exist_ok=True)
    manifest.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    painted = Mask(np.eye(8, dtype=np.uint8), ("background", "crack"), ("#ffffff", "#2ca02c"))
    for name in masks:
        (folder / OUTPUT).mkdir(parents=True, exist_ok=True)
        (folder / OUTPUT / name).write_bytes(encode_mask(painted))
    return folder


def only(path: Path, **options: Any) -> list[Entry]:
    return ground_truth.read(path, ReadOptions(**options))[""]


@pytest.mark.parametrize("colon", [":", "\uf03a"])
def test_a_chained_job(tmp_path, colon):
    name = "0_2022-08-22T13:52:52.123.png".replace(":", colon)
    folder = job(tmp_path / "seg", LINE, FAILED, masks=(name,))
    manifest = folder / "manifests/output/output.manifest"
    assert ground_truth.detect(folder) and ground_truth.detect(manifest)
    first, second = entries = only(folder)
    assert entries == only(manifest)
    assert (first.source, first.at, first.label) == ("s3://b/parts/1.png", None, Label.ANOMALY)
    assert first.raw == RENAMED and write_line(first) == RENAMED and read_line(first.raw)[0] == first
    assert first.mask is not None and first.mask.at == str(folder / OUTPUT / name)
    assert read_mask(first.mask, size=(8, 8)).areas()["crack"] == 1 / 8
    assert second.label is Label.UNLABELLED and second.raw == FAILED.replace('"defect-', '"anomaly-label-')


def test_names_in_places_may_have_the_private_character(tmp_path):
    folder = job(
        tmp_path,
        LINE.replace("13:52:52.123.png", "13\uf03a52\uf03a52.123.png"),
        masks=("0_2022-08-22T13:52:52.123.png",),
    )
    (entry,) = only(folder)
    assert entry.mask is not None and Path(entry.mask.location).is_file() and "\uf03a" in entry.mask.uri


@pytest.mark.parametrize(
    "line",
    [
        '{ "source-ref" :  "s3://b/1.png" , "job" : 0,\t"job-metadata":{"class-name":"Normal", "job": 1} }',
        '{"\\u006aob":1,"source-ref":"s3://b/\\u00e9.png","job-metadata":{"class-name":"anomaly","x":"\\"job\\":"}}',
        '{"job-metadata":{"class-name":"normal"},"job":1e0,"source-ref":"s3://b/1.png","x":[{"job":[]}],"y":NaN}',
    ],
)
def test_no_byte_changes_but_the_keys(tmp_path, line):
    (entry,) = only(job(tmp_path, line))
    expected = line.replace('"\\u006aob"', '"job"').replace('"job-metadata"', '"anomaly-label-metadata"')
    head, found, tail = expected.partition('"job"')
    assert found and entry.raw == f'{head}"anomaly-label"{tail}'


def test_names_that_are_taken_stay(tmp_path):
    line = (
        '{"source-ref":"s3://b/1.png","defect":1,"defect-metadata":{"class-name":"anomaly"},'
        '"anomaly-label":0,"anomaly-label-metadata":{"class-name":"unsure"}}'
    )
    (entry,) = only(job(tmp_path, line))
    assert entry.raw == line and entry.label is Label.ANOMALY and entry.tags == (Tag("unsure"),)


def test_a_failed_attribute_says_nothing_whatever_else_it_holds(tmp_path):
    failed = LINE.replace('"class-name":"anomaly",', '"class-name":"anomaly","failure-reason":"expired",')
    folder = job(tmp_path, failed, LINE)
    first, second = only(folder)
    assert first.label is Label.UNLABELLED and first.mask is not None and second.label is Label.ANOMALY
    assert first.raw is not None and '"anomaly-label":1' in first.raw and '"failure-reason":"expired"' in first.raw
    redone = LINE.replace('"who":"Ann é"', '"again":0,"again-metadata":{"class-name":"normal"}').replace(
        '"class-name":"anomaly",', '"class-name":"anomaly","failure-reason":"expired",'
    )
    (entry,) = only(job(tmp_path, redone))
    assert entry.label is Label.NORMAL


def test_other_classes_are_tags_that_the_user_may_explain(tmp_path):
    line = '{"source-ref":"s3://b/1.png","look":0,"look-metadata":{"class-name":"good","job-name":"labeling-job/look"}}'
    folder = job(tmp_path, line)
    (entry,) = only(folder)
    assert entry.label is Label.UNLABELLED and entry.tags == (Tag("good"),) and entry.raw == line
    (told,) = read_dataset(folder, classes={"good": "normal"})
    assert told.label is Label.NORMAL


def test_boxes_are_regions(tmp_path):
    line = (
        '{"source-ref":"s3://b/1.png","boxes":{"image_size":[{"width":200,"height":100,"depth":3}],"annotations":'
        '[{"class_id":0,"left":50,"top":50,"width":100,"height":25}]},"boxes-metadata":{"objects":[{"confidence":0.5}],'
        '"class-map":{"0":"pore"},"type":"groundtruth/object-detection","human-annotated":"yes",'
        '"job-name":"labeling-job/boxes"}}'
    )
    (entry,) = only(job(tmp_path, line))
    assert entry.regions == (Region.box("pore", left=0.25, top=0.5, width=0.5, height=0.25, confidence=0.5),)


def test_images_are_found_where_one_says(tmp_path):
    folder = job(tmp_path / "job", LINE, masks=("0_2022-08-22T13:52:52.123.png",))
    picture = tmp_path / "images" / "parts" / "1.png"
    picture.parent.mkdir(parents=True)
    picture.write_bytes(encode_png(np.zeros((8, 8), np.uint8)))
    for options in ({"images": tmp_path / "images"}, {"places": {"s3://b": tmp_path / "images"}}):
        (entry,) = only(folder, **options)
        assert entry.at == str(picture) and entry.mask is not None and Path(entry.mask.location).is_file()
    (entry,) = read_dataset(folder, images={"s3://b": tmp_path / "images"})
    assert entry.at == str(picture)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"{LINE}\n\n{LINE[:200]}\n", "line 3: Not JSON"),
        (f"{LINE}\n[1]\n", "line 2: The line is a JSON list"),
        ('{"defect":1}\n', "line 1: 'source-ref'"),
        (f"{LINE}\n\0\0\0\n", "line 2: .*NUL"),
        (b"\xff\xfe\n", "line 1: "),
    ],
)
def test_bad_lines_name_file_and_line(tmp_path, text, words):
    manifest = tmp_path / "output.manifest"
    manifest.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(Invalid, match=words) as raised:
        only(manifest)
    assert str(raised.value).startswith(f"{manifest}, line ")


def test_the_output_manifest_alone_is_read_as_what_the_job_left(tmp_path):
    image = Entry("1.png", Label.ANOMALY)
    (tmp_path / "1.png").write_bytes(encode_png(np.zeros((8, 8, 3), np.uint8)))
    write_dataset(Manifest([replace(image, at=str(tmp_path / "1.png"))]), tmp_path / "job", format="ground-truth")
    manifest = read_dataset(tmp_path / "job" / "manifests" / "output" / "output.manifest")
    assert [entry.label for entry in manifest] == [Label.ANOMALY] == [e.label for e in read_dataset(tmp_path / "job")]


def test_detect_knows_its_own_only(tmp_path, shared):
    plain = '{"source-ref":"s3://b/1.png","l":1,"l-metadata":{"class-name":"normal","job-name":"anomaly-label"}}'
    console = job(tmp_path / "datasets" / "parts" / "train", plain)
    elsewhere = tmp_path / "train.manifest"
    elsewhere.write_text(LINE)
    (tmp_path / "output.manifest").write_text("{\n")
    for path in (console, console / "manifests/output/output.manifest", elsewhere, tmp_path, tmp_path / "none"):
        assert not ground_truth.detect(path)
    assert not ground_truth.detect(tmp_path / "output.manifest")
    assert not any(ground_truth.detect(path) for path in (shared / "data" / "cookies").rglob("*"))
    with pytest.raises(NotFound, match=r"output\.manifest"):
        only(tmp_path)


# ---------------------------------------------------------------- writing


def made(folder: Path, number: int = 3) -> list[Entry]:
    folder.mkdir(parents=True, exist_ok=True)
    mask = Mask(np.eye(8, dtype=np.uint8) * 2, ("background", "a", "b"))
    entries = []
    for index in range(number):
        at = folder / f"{index}.png"
        at.write_bytes(encode_png(np.full((8, 8), index, np.uint8)))
        ref = MaskRef(inline(encode_mask(mask)), {"b": mask.colours[2]}) if index == 1 else None
        entries.append(Entry(f"x/{index}.png", list(Label)[index % 3], mask=ref, at=str(at)))
    return entries


def test_what_is_written_is_a_job(tmp_path):
    entries = made(tmp_path / "in")
    assert ground_truth.write({"": entries}, tmp_path / "job", WriteOptions()) == ()
    manifest = tmp_path / "job" / "manifests" / "output" / "output.manifest"
    lines = [json.loads(line) for line in manifest.read_text().splitlines()]
    label, mask = lines[1]["anomaly-label-metadata"], lines[1]["anomaly-mask-ref-metadata"]
    assert lines[1]["anomaly-label"] == 1 and label["class-name"] == "anomaly"
    assert label["job-name"].startswith("labeling-job/") and label["type"] == "groundtruth/image-classification"
    assert mask["internal-color-map"]["0"]["class-name"] == "BACKGROUND"
    assert mask["type"] == "groundtruth/semantic-segmentation" and "creation-date" in mask
    painted = (manifest.parent / lines[1]["anomaly-mask-ref"]).resolve()
    assert painted.parent == tmp_path / "job" / OUTPUT and painted.is_file() and ":" not in painted.name
    assert lines[2] == {"source-ref": "../../images/x/2.png"}
    # A manifest as any other: Lookout's reader finds the same.
    plain = Manifest.read(manifest)
    back = only(tmp_path / "job")
    assert list(plain) == back and [entry.label for entry in back] == [entry.label for entry in entries]
    for before, after, same in zip(entries, back, plain, strict=True):
        assert np.array_equal(read_image(after), read_image(before)) and np.array_equal(
            read_image(same), read_image(before)
        )
    again = ground_truth.write({"": back}, tmp_path / "again", WriteOptions(images="link"))
    assert again == () and (tmp_path / "again" / "images" / "x" / "0.png").is_file()


def test_lines_keep_what_they_had(tmp_path):
    folder = job(tmp_path / "seg", LINE, FAILED, masks=("0_2022-08-22T13:52:52.123.png",))
    entries = only(folder)
    findings = ground_truth.write({"": entries}, tmp_path / "refers", WriteOptions(images="refer"))
    text = (tmp_path / "refers" / "manifests/output/output.manifest").read_text("utf-8")
    assert findings == () and text == f"{RENAMED}\n{entries[1].raw}\n"
    at = tmp_path / "1.png"
    at.write_bytes(encode_png(np.zeros((8, 8), np.uint8)))
    written = write_dataset(Manifest([replace(entries[0], at=str(at))]), tmp_path / "whole", format="ground-truth")
    assert written.losses == ()
    data = json.loads((tmp_path / "whole" / "manifests/output/output.manifest").read_text("utf-8"))
    assert list(data) == list(json.loads(RENAMED)) and data["who"] == "Ann é"
    assert data["anomaly-label-metadata"] == json.loads(RENAMED)["anomaly-label-metadata"]


def test_several_splits_are_several_jobs(tmp_path):
    parts = {"train": Manifest(made(tmp_path / "a")), "test": Manifest(made(tmp_path / "b", 1))}
    write_dataset(parts, tmp_path / "jobs", format="ground-truth")
    assert ground_truth.detect(tmp_path / "jobs")
    back = read_splits(tmp_path / "jobs")
    assert {split: part.counts()["total"] for split, part in back.items()} == {"test": 1, "train": 3}
    assert all(Path(entry.location).is_file() for part in back.values() for entry in part)


def test_nothing_is_overwritten_or_half_written(tmp_path):
    entries = made(tmp_path / "in")
    ground_truth.write({"": entries}, tmp_path / "job", WriteOptions())
    with pytest.raises(Conflict):
        ground_truth.write({"": entries}, tmp_path / "job", WriteOptions())
    ground_truth.write({"": entries[:1]}, tmp_path / "job", WriteOptions(overwrite=True))
    assert len(only(tmp_path / "job")) == 1
    with pytest.raises(NotFound, match=r"gone\.png"):
        ground_truth.write({"": [*entries, Entry("gone.png")]}, tmp_path / "bad", WriteOptions())
    with pytest.raises(Invalid, match="'default'"):
        ground_truth.write({"": entries, "default": entries}, tmp_path / "bad", WriteOptions())
    assert not (tmp_path / "bad").exists()


NAMES = st.text(min_size=1, max_size=8).filter(lambda name: name.strip().casefold() not in {"normal", "anomaly"})
KEYS = st.text(min_size=1, max_size=6).filter(lambda key: not key.endswith("-metadata") and key != "source-ref")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=60)
@given(st.dictionaries(KEYS, VALUES, max_size=4), KEYS, st.integers(0, 4), st.booleans(), st.booleans())
def test_any_line_is_renamed_and_nothing_else(tmp_path_factory, others, name, place, compact, ascii_only):
    attribute = [(name, 1), (f"{name}-metadata", {"class-name": "anomaly", name: name})]
    items = [item for item in others.items() if item[0] != name]
    items = [*items[:place], *attribute, *items[place:], ("source-ref", "s3://b/1.png")]
    style: dict[str, Any] = {"separators": (",", ":") if compact else (", ", ": "), "ensure_ascii": ascii_only}
    text = json.dumps(dict(items), **style)
    renamed = {name: "anomaly-label", f"{name}-metadata": "anomaly-label-metadata"}
    assume("anomaly-label" not in others)
    expected = json.dumps({renamed.get(key, key): value for key, value in items}, **style)
    folder = job(tmp_path_factory.mktemp("job"))
    manifest = folder / "manifests/output/output.manifest"
    manifest.write_bytes(text.encode("utf-8", "surrogatepass"))
    (entry,) = only(manifest)
    assert entry.raw == expected and entry.label is Label.ANOMALY


FRACTIONS = st.floats(0, 1)
REGIONS = st.builds(
    Region,
    NAMES,
    st.lists(st.tuples(FRACTIONS, FRACTIONS), min_size=3, max_size=5).map(tuple),
    st.none() | FRACTIONS,
    st.none() | st.text(max_size=3),
)
ENTRIES = st.builds(
    lambda label, tags, regions: {"label": label, "tags": tuple(tags), "regions": tuple(regions)},
    st.sampled_from(Label),
    st.lists(st.builds(Tag, NAMES, st.none() | FRACTIONS), max_size=3),
    st.lists(REGIONS, max_size=2),
)


@settings(max_examples=40)
@given(st.lists(ENTRIES, min_size=1, max_size=3), st.sampled_from(["#23A436", "#000000"]))
def test_what_is_written_is_read_again(tmp_path_factory, said, colour):
    folder = tmp_path_factory.mktemp("jobs")
    mask = Mask(np.eye(8, dtype=np.uint8), ("background", "a"), ("#ffffff", colour))
    (folder / "m.png").write_bytes(encode_mask(mask))
    ref = MaskRef("m.png", {"a": colour}, at=str(folder / "m.png"))
    entries = []
    for number, one in enumerate(said):
        file = folder / f"{number}.png"
        file.write_bytes(bytes([number]))
        entries.append(Entry(file.name, **one, mask=ref if number % 2 else None, at=str(file)))
    assert ground_truth.write({"": entries}, folder / "out", WriteOptions()) == ()
    for before, after in zip(entries, only(folder / "out"), strict=True):
        assert (after.label, after.tags, after.regions) == (before.label, before.tags, before.regions)
        assert Path(after.location).read_bytes() == Path(before.location).read_bytes()
        assert (after.mask is None) == (before.mask is None)
        if after.mask is not None:
            assert after.mask.colours == {"a": colour}
            assert np.array_equal(read_mask(after.mask, size=(8, 8)).ids, mask.ids)
