"""YOLO: boxes and segments come back, losses are told, bad lines are named."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vision_toolkit.core import Entry, Invalid, Label, Mask, MaskRef, NotFound, Region, Tag, Unsupported
from vision_toolkit.data.formats import ReadOptions, WriteOptions, coco, voc, yolo
from vision_toolkit.data.images import encode_mask, encode_png
from vision_toolkit.data.shapes import is_box, paint_regions
from vision_toolkit.data.storage import inline

SIZE = (13, 9)


def picture(path: Path, size: tuple[int, int] = SIZE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_png(np.zeros((size[1], size[0], 3), np.uint8)))
    return path


def write(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def data_set(
    root: Path, lines: str | bytes | None, *, yaml_text: str = "train: images/train\nnames: [pore, crack]"
) -> Path:
    write(root / "data.yaml", yaml_text)
    picture(root / "images" / "train" / "1.png")
    if lines is not None:
        write(root / "labels" / "train" / "1.txt", lines)
    return root


def only(root: Path) -> Entry:
    ((entry,),) = yolo.read(root, ReadOptions()).values()
    return entry


def rules(found) -> set[str]:
    return {finding.rule for finding in found}


fraction = st.floats(0, 1, allow_subnormal=False)
kinds = st.sampled_from(["pore", "crack", "ärmel: 3", "1", "no"])
boxes = st.builds(
    lambda name, xs, ys: Region(name, ((xs[0], ys[0]), (xs[1], ys[0]), (xs[1], ys[1]), (xs[0], ys[1]))),
    kinds,
    st.tuples(fraction, fraction).map(sorted),
    st.tuples(fraction, fraction).map(sorted),
)
polygons = st.builds(Region, kinds, st.lists(st.tuples(fraction, fraction), min_size=3, max_size=6).map(tuple))
regions = st.lists(boxes, max_size=4) | st.lists(boxes | polygons, max_size=4)
sources = st.sampled_from(["1.png", "images/1.png", "a/images/1.PNG", "/x/images/1.png", "1.jpg", "b/1.v2.png"])
entries = st.builds(lambda source, listed: Entry(source, regions=tuple(listed)), sources, regions)
splits = st.sampled_from(["train", "val", "test", "hold out", "2024"])
sets = st.dictionaries(splits, st.lists(entries, max_size=3), min_size=1) | st.builds(
    lambda listed: {"": listed}, st.lists(entries, max_size=3)
)


class TestRoundTrip:
    @settings(max_examples=30)
    @given(sets)
    def test_regions_come_back(self, parts):
        with tempfile.TemporaryDirectory() as folder:
            image = str(picture(Path(folder, "images", "1.png")))
            parts = {split: [replace(one, at=image) for one in listed] for split, listed in parts.items()}
            found = yolo.write(parts, Path(folder, "set"), WriteOptions())
            assert rules(found) <= {"lost-name"}
            assert yolo.detect(Path(folder, "set")) and yolo.detect(Path(folder, "set", "data.yaml"))
            again = yolo.read(Path(folder, "set"), ReadOptions())
            assert again.keys() == parts.keys()
            for split, listed in parts.items():
                theirs = {one.source: one for one in again[split]}
                assert len(theirs) == len(listed)
                said = sorted(tuple((r.name, len(r.polygon)) for r in one.regions) for one in listed)
                assert said == sorted(tuple((r.name, len(r.polygon)) for r in one.regions) for one in theirs.values())
                if len(listed) == 1:
                    for one, other in zip(listed[0].regions, next(iter(theirs.values())).regions, strict=True):
                        assert np.abs(np.array(one.polygon) - np.array(other.polygon)).max() < 1e-6
                        assert is_box(one) == is_box(other) or len(set(one.polygon)) < 4

    @settings(max_examples=25)
    @given(hnp.arrays(np.uint8, SIZE[::-1], elements=st.integers(0, 2), fill=st.just(0)))
    def test_a_mask_becomes_polygons_that_paint_the_same_pixels(self, ids):
        mask = Mask(ids, ("background", "pore", "crack"))
        ref = MaskRef(inline(encode_mask(mask)), {"pore": mask.colours[1], "crack": mask.colours[2]})
        with tempfile.TemporaryDirectory() as folder:
            entry = Entry("1.png", mask=ref, at=str(picture(Path(folder, "1.png"))))
            found = yolo.write({"train": [entry]}, Path(folder, "set"), WriteOptions())
            again = only(Path(folder, "set"))
        assert rules(found) == {"lost-shape"} and again.mask is None
        assert np.array_equal(paint_regions(again.regions, SIZE, names=mask.names).ids, ids)

    def test_a_box_among_polygons_is_written_as_one(self, tmp_path):
        box = Region.box("pore", left=0.25, top=0.25, width=0.5, height=0.5)
        polygon = Region("crack", ((0, 0), (1, 0), (0.5, 1)))
        entry = Entry("1.png", regions=(box, polygon), at=str(picture(tmp_path / "1.png")))
        yolo.write({"train": [entry]}, tmp_path / "set", WriteOptions())
        lines = (tmp_path / "set/labels/train/1.txt").read_text().splitlines()
        assert lines == ["0 0.25 0.25 0.75 0.25 0.75 0.75 0.25 0.75", "1 0 0 1 0 0.5 1"]
        assert only(tmp_path / "set").regions == (box, polygon)

    def test_what_it_cannot_say_is_told(self, tmp_path):
        image = str(picture(tmp_path / "1.png"))
        mask = Mask(np.ones(SIZE[::-1], np.uint8), ("background", "pore"))
        ref = MaskRef(inline(encode_mask(mask)), {"pore": mask.colours[1]})
        region = Region("pore", ((0, 0), (1, 0), (1, 1.001)), 0.5, "7")
        entry = Entry("1.png", Label.ANOMALY, (Tag("wet"),), (region,), ref, at=image)
        told = rules(yolo.write({"a/b": [entry]}, tmp_path / "set", WriteOptions()))
        lost = {"label", "tags", "confidence", "id", "mask", "precision", "split"}
        assert told == {f"lost-{one}" for one in lost}

    def test_the_yaml_file_is_what_ultralytics_asks_for(self, tmp_path):
        image = str(picture(tmp_path / "1.png"))
        region = Region.box("pore", left=0, top=0, width=1, height=1)
        parts = {"train": [Entry("1.png", regions=(region,), at=image)], "val": [], "test": []}
        yolo.write(parts, tmp_path / "set", WriteOptions())
        data = yaml.safe_load((tmp_path / "set" / "data.yaml").read_text())
        assert data == {
            "train": "images/train", "val": "images/val", "test": "images/test", "names": {0: "pore"},
        }  # fmt: skip
        assert {*yolo.read(tmp_path / "set", ReadOptions())} == {"train", "val", "test"}

    @pytest.mark.parametrize("parts", [{"": [], "train": []}, {"path": []}, {"Images": []}, {"a/b": [], "a_b": []}])
    def test_names_of_splits_that_cannot_be(self, tmp_path, parts):
        with pytest.raises(Invalid):
            yolo.write(parts, tmp_path / "set", WriteOptions())
        assert not [*tmp_path.iterdir()]

    def test_images_cannot_stay_elsewhere(self, tmp_path):
        with pytest.raises(Unsupported, match="images='copy'"):
            yolo.write({"": []}, tmp_path / "set", WriteOptions(images="refer"))


class TestReading:
    def test_boxes_segments_and_confidences(self, tmp_path):
        lines = "0 0.5 0.5 0.5 0.5\n1 0 0 1 0 0.5 1\r\n\n1.0 0.5 0.5 1 1 0.25\n0 0 0 1 0 0.5 1 0.75\n"
        assert only(data_set(tmp_path, lines)).regions == (
            Region.box("pore", left=0.25, top=0.25, width=0.5, height=0.5),
            Region("crack", ((0, 0), (1, 0), (0.5, 1))),
            Region.box("crack", left=0, top=0, width=1, height=1, confidence=0.25),
            Region("pore", ((0, 0), (1, 0), (0.5, 1)), 0.75),
        )

    @pytest.mark.parametrize("lines", [None, "", "\n \n"])
    def test_no_object_is_no_verdict(self, tmp_path, lines):
        entry = only(data_set(tmp_path, lines))
        assert entry.regions == () and entry.label is Label.UNLABELLED

    def test_key_points_are_passed_over_where_the_yaml_file_says_so(self, tmp_path):
        text = "train: images/train\nnames: {0: hand}\nkpt_shape: [2, 3]"
        entry = only(data_set(tmp_path, "0 0.5 0.5 1 1 0.1 0.1 2 0.9 0.9 1", yaml_text=text))
        assert entry.regions == (Region.box("hand", left=0, top=0, width=1, height=1),)

    @pytest.mark.parametrize(
        ("text", "image"),
        [
            ("train: images/train\nval:\nnames: [pore]", "images/train/1.png"),
            ("path: .\ntrain: images/train\nnames: {0: pore}", "images/train/1.png"),
            ("path: sub\ntrain: images\nnames: {'0': pore}", "sub/images/1.png"),
            ("path: ../datasets/coco8\ntrain: images/train\nnames: [pore]", "images/train/1.png"),
            ("train: ../train/images\ntest: ../test/images\nnc: 1\nnames: ['pore']", "train/images/1.png"),
            ("train: [images/b, images/a]\nnames: [pore]", "images/b/deep/1.PNG"),
            ("train: lists/train.txt\nnames: [pore]", "images/1.png"),
            ("train: all\nnames: [pore]", "all/1.png"),
        ],
        ids=range(8),
    )
    def test_where_yaml_files_say_that_images_are(self, tmp_path, text, image):
        place = picture(tmp_path / image)
        (tmp_path / "images" / "a").mkdir(parents=True, exist_ok=True)
        write(tmp_path / "lists" / "train.txt", "./../images/1.png\n")
        label = image.replace("images/", "labels/").rpartition(".")[0] + ".txt"
        write(tmp_path / label, "0 0.5 0.5 1 1")
        write(tmp_path / "my.yml", text)
        read = yolo.read(tmp_path, ReadOptions())
        assert [*read] == ["" if "train: images\n" in text else "train"]
        ((entry,),) = read.values()
        assert entry.location == str(place) and entry.source == image and [r.name for r in entry.regions] == ["pore"]

    def test_classes_in_a_text_file(self, tmp_path):
        write(tmp_path / "classes.txt", "\ufeffpore\n big crack\r\n\n")
        picture(tmp_path / "images" / "1.png")
        write(tmp_path / "labels" / "1.txt", "1 0.5 0.5 1 1")
        assert yolo.detect(tmp_path) and only(tmp_path).regions[0].name == "big crack"
        (tmp_path / "classes.txt").rename(tmp_path / "labels" / "classes.txt")
        assert yolo.detect(tmp_path) and only(tmp_path).regions[0].name == "big crack"

    def test_classes_in_a_text_file_with_splits(self, tmp_path):
        write(tmp_path / "classes.txt", "pore")
        for split in ("train", "val"):
            picture(tmp_path / "images" / split / f"{split}.png")
            write(tmp_path / "labels" / split / f"{split}.txt", "0 0.5 0.5 1 1")
        read = yolo.read(tmp_path, ReadOptions())
        assert {split: len(listed[0].regions) for split, listed in read.items()} == {"train": 1, "val": 1}

    @pytest.mark.parametrize("below", ["images/train", "train", "."])
    def test_images_that_lie_elsewhere(self, tmp_path, below):
        data_set(tmp_path / "set", "0 0.5 0.5 1 1")
        (tmp_path / "set/images/train/1.png").unlink()
        (tmp_path / "set/images/train").rmdir()
        place = picture(tmp_path / "elsewhere" / below / "1.png")
        folder = tmp_path / "elsewhere"
        if below == ".":
            with pytest.raises(NotFound, match="'train'"):
                yolo.read(tmp_path / "set", ReadOptions(images=folder))
            return
        ((entry,),) = yolo.read(tmp_path / "set", ReadOptions(images=folder)).values()
        assert entry.location == str(place) and len(entry.regions) == 1


class TestBadFiles:
    @pytest.mark.parametrize(
        ("line", "words"),
        [
            ("0 0.5 0.5", "a box has 5 numbers, a polygon 7 or more; it has 3"),
            ("0", "it has 1"),
            ("2 0.5 0.5 1 1", r"class 2 is not in data\.yaml, which has 2 classes from 0 to 1"),
            ("-1 0.5 0.5 1 1", "class -1 is not"),
            ("0.5 0.5 0.5 1 1", "class 0.5 is not"),
            ("1e300 0.5 0.5 1 1", "class 1e300 is not"),
            ("0 0.5 0.5 -0.1 1", "negative size"),
            ("0 0.5 0.5 nan 1", "finite"),
            ("0 0.5 0.5 inf 1", "finite"),
            ("0 a b c d", "are not all numbers"),
            ("0 320 240 64 48", "'pore' reaches out of the image"),
            ("0 0 0 1 0 1 2", "'pore' reaches out of the image"),
            ("0 0.5 0.5 1 1 7", "confidence, must be from 0 to 1; it is 7"),
            ("x" * 100_000, "are not all numbers"),
        ],
    )
    def test_the_file_and_the_line_are_named(self, tmp_path, line, words):
        root = data_set(tmp_path, f"0 0.5 0.5 1 1\n\n{line}\n")
        with pytest.raises(Invalid, match=rf"labels/train/1\.txt, line 3: .*{words}") as caught:
            only(root)
        assert len(str(caught.value)) < 500

    def test_a_label_file_that_is_no_text(self, tmp_path):
        with pytest.raises(Invalid, match=r"1\.txt is no text in UTF-8"):
            only(data_set(tmp_path, b"\xff\xfe0\x00"))

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("train: images/train\nnames: pore", "'names' must be a list"),
            ("train: images/train\nnames: [pore, [crack]]", "class 1 of 'names' has no name"),
            ("train: images/train\nnames: {a: pore}", "not numbered from 0"),
            ("train: images/train\nnames: {-1: pore}", "not numbered from 0"),
            ("train: {a: b}\nnames: [pore]", "'train' must be a folder"),
            ("train: data.yaml\nnames: [pore]", "neither a folder nor a .txt list"),
            ("train:\nval:\nnames: [pore]", "names no images"),
            ("train: [\nnames: [pore", "no YAML that can be read"),
            ("names: &a [!!python/object/apply:os.system [ls]]\ntrain: images", "no YAML that can be read"),
            ("train: " + "[" * 1200 + "\nnames: [pore]", "no YAML that can be read"),
        ],
        ids=range(10),
    )
    def test_the_yaml_file_is_named(self, tmp_path, text, words):
        write(tmp_path / "data.yaml", text)
        (tmp_path / "images" / "train").mkdir(parents=True)
        with pytest.raises(Invalid, match=rf"data\.yaml.*{words}"):
            yolo.read(tmp_path / "data.yaml", ReadOptions())

    def test_a_yaml_bomb_does_not_go_off(self, tmp_path):
        lines = ["a0: &a0 [x, x]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)]
        write(tmp_path / "data.yaml", "\n".join([*lines, "train: images", "names: *a29"]))
        with pytest.raises(Invalid, match="class 0 of 'names' has no name"):
            yolo.read(tmp_path, ReadOptions())

    def test_a_folder_or_list_that_is_not_there(self, tmp_path):
        root = data_set(tmp_path, "", yaml_text="train: images/train\nval: images/none\nnames: [pore]")
        with pytest.raises(NotFound, match=r"data\.yaml: the images of 'val' are not at .*images/none"):
            only(root)
        data_set(tmp_path, "", yaml_text="train: images/train\ntest: images/none\nnames: [pore]")
        assert only(tmp_path).source == "images/train/1.png"

    def test_an_image_of_a_list_that_is_not_there(self, tmp_path):
        write(tmp_path / "train.txt", "\n./images/none.png\n")
        write(tmp_path / "data.yaml", "train: train.txt\nnames: [pore]")
        with pytest.raises(NotFound, match=r"train\.txt, line 2: there is no image \./images/none\.png"):
            yolo.read(tmp_path, ReadOptions())

    def test_labels_without_an_image(self, tmp_path):
        root = data_set(tmp_path, "")
        for name in "23":
            write(root / "labels" / "train" / f"{name}.txt", "0 0.5 0.5 1 1")
        with pytest.raises(NotFound, match=r"2\.txt and 1 more label files have no image"):
            only(root)

    def test_what_is_not_there(self, tmp_path):
        with pytest.raises(NotFound, match="Nothing is at"):
            yolo.read(tmp_path / "none", ReadOptions())
        with pytest.raises(Invalid, match="neither data"):
            yolo.read(tmp_path, ReadOptions())


def test_detection_is_not_fooled(tmp_path, shared):
    write(tmp_path / "docker-compose.yaml", "services:\n  train: x")
    write(tmp_path / "conda.yml", "name: x\nnames: y")
    write(tmp_path / "empty.yaml", "")
    write(tmp_path / "classes.txt", "a")
    assert not any(map(yolo.detect, [tmp_path, *tmp_path.iterdir(), tmp_path / "none"]))
    for folder in ("blood_cells", "cookies", "aliens"):
        assert not yolo.detect(shared / "data" / folder)


def test_the_blood_cells_go_there_and_back(shared, tmp_path):
    parts = voc.read(shared / "data" / "blood_cells", ReadOptions())
    assert yolo.write(parts, tmp_path / "set", WriteOptions(images="link")) == ()
    again = yolo.read(tmp_path / "set", ReadOptions())
    assert {split: len(listed) for split, listed in again.items()} == {"train": 205, "val": 87, "test": 72}
    for split, listed in parts.items():
        for one, other in zip(listed, again[split], strict=True):
            assert Path(one.source).name == Path(other.source).name
            assert [r.name for r in one.regions] == [r.name for r in other.regions]
            corners = np.array([r.bounds for r in one.regions]) - np.array([r.bounds for r in other.regions])
            assert np.abs(corners).max() < 1e-6
    assert not coco.detect(tmp_path / "set") and not voc.detect(tmp_path / "set")
