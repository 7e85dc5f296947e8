"""COCO: what we write, pycocotools reads to the pixel; what pycocotools encodes, we read; bad files are told."""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as reference
from pycocotools.coco import COCO

from vision_toolkit.core import Conflict, Entry, Invalid, Label, Mask, MaskRef, NotFound, Region, Tag
from vision_toolkit.data.formats import ReadOptions, WriteOptions, coco, voc, yolo
from vision_toolkit.data.images import encode_mask, encode_png, read_mask
from vision_toolkit.data.storage import inline

SIZE = (13, 9)
NAMES = ("background", "crack", "hole", "ärmel 3")
CATEGORIES = [{"id": 7, "name": "pore"}, {"id": 3, "name": "crack"}]


def picture(path: Path, size: tuple[int, int] = SIZE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_png(np.zeros((size[1], size[0], 3), np.uint8)))
    return path


def coco_file(path: Path, *annotations: Any, **other: Any) -> Path:
    data = {
        "images": [{"id": 1, "file_name": "1.png", "width": 100, "height": 50}],
        "annotations": list(annotations),
        "categories": CATEGORIES,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data | other))
    return path


def note(**keys: Any) -> dict[str, Any]:
    return {"id": 1, "image_id": 1, "category_id": 7, "bbox": [10, 20, 50, 10]} | keys


def only(path: Path) -> Entry:
    (entry,) = coco.read(path, ReadOptions())[""]
    return entry


def loaded(path: Path) -> COCO:
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(path))


def shapes(entry: Entry) -> list[Any]:
    return [(r.name, r.confidence, r.id, np.asarray(r.polygon).round(9).tolist()) for r in entry.regions]


fraction = st.floats(0, 1, allow_subnormal=False)
sure = st.none() | st.floats(0, 1)
kinds = st.sampled_from([*NAMES[1:], "other"])
boxes = st.builds(
    lambda name, xs, ys, c: Region(
        name, ((xs[0], ys[0]), (xs[1], ys[0]), (xs[1], ys[1]), (xs[0], ys[1])), c
    ),
    kinds,
    st.tuples(fraction, fraction).map(sorted),
    st.tuples(fraction, fraction).map(sorted),
    sure,
)  # fmt: skip
polygons = st.builds(
    Region,
    kinds,
    st.lists(st.tuples(fraction, fraction), min_size=3, max_size=6).map(tuple),
    sure,
    st.sampled_from([None, "a", "7"]),
)
masks = hnp.arrays(np.uint8, SIZE[::-1], elements=st.integers(0, 3), fill=st.just(0)).map(lambda ids: Mask(ids, NAMES))


def with_mask(mask: Mask) -> MaskRef:
    return MaskRef(inline(encode_mask(mask)), dict(zip(mask.names[1:], mask.colours[1:], strict=True)))


entries = st.builds(
    lambda label, tags, regions, mask: Entry("x/1.png", label, tuple(tags), tuple(regions), mask and with_mask(mask)),
    st.sampled_from(list(Label)),
    st.lists(st.builds(Tag, st.text(min_size=1, max_size=5), sure), max_size=2),
    st.lists(boxes | polygons, max_size=4),
    st.none() | masks,
)
sets = st.dictionaries(st.sampled_from(["", "train", "val2017", "a/b"]), st.lists(entries, max_size=3), min_size=1)


class TestRoundTrip:
    @settings(max_examples=60)
    @given(sets)
    def test_everything_comes_back(self, parts):
        with tempfile.TemporaryDirectory() as folder:
            image = str(picture(Path(folder, "1.png")))
            parts = {split: [replace(one, at=image) for one in listed] for split, listed in parts.items()}
            found = coco.write(parts, Path(folder, "set"), WriteOptions())
            assert {finding.rule for finding in found} <= {"lost-name"}  # an image that is there several times
            assert coco.detect(Path(folder, "set"))
            again = coco.read(Path(folder, "set"), ReadOptions())
            assert again.keys() == parts.keys()
            for split, listed in parts.items():
                for one, other in zip(listed, again[split], strict=True):
                    assert (one.label, one.tags, shapes(one)) == (other.label, other.tags, shapes(other))
                    assert Path(other.location).read_bytes() == Path(image).read_bytes()
                    assert (one.mask is None) == (other.mask is None) and one.types == other.types
                    if one.mask and other.mask:
                        assert one.mask.colours == other.mask.colours
                        assert np.array_equal(read_mask(one.mask).ids, read_mask(other.mask, size=SIZE).ids)

    @settings(max_examples=40)
    @given(masks, st.lists(boxes, max_size=2))
    def test_pycocotools_finds_the_same_pixels(self, mask, regions):
        with tempfile.TemporaryDirectory() as folder:
            image = picture(Path(folder, "1.png"))
            entry = Entry("1.png", Label.ANOMALY, (), tuple(regions), with_mask(mask), at=str(image))
            coco.write({"train": [entry]}, Path(folder, "set"), WriteOptions())
            theirs = loaded(Path(folder, "set", "annotations", "instances_train.json"))
            found = [theirs.anns[key] for key in theirs.getAnnIds(imgIds=[1])]
            painted = {}
            for one in found:
                pixels, name = theirs.annToMask(one), theirs.cats[one["category_id"]]["name"]
                assert pixels.shape == SIZE[::-1]
                if isinstance(one["segmentation"], dict):
                    painted[name] = pixels.astype(bool)
                    assert one["area"] == pixels.sum()
                    assert one["bbox"] == reference.toBbox(theirs.annToRLE(one)).tolist()
            assert painted.keys() == set(mask.types) and len(found) == len(painted) + len(regions)
            for name, pixels in painted.items():
                assert np.array_equal(pixels, mask.ids == mask.names.index(name))

    @given(hnp.arrays(np.uint8, SIZE[::-1], elements=st.integers(0, 1)), st.sampled_from([0, 1]), st.booleans())
    def test_masks_that_pycocotools_encoded(self, ids, crowd, compressed):
        theirs = reference.encode(np.asfortranarray(ids))
        counts: Any = theirs["counts"].decode()
        if not compressed:
            flat = ids.ravel(order="F").tolist()
            counts = [0]
            for before, now in zip([0, *flat], flat, strict=False):
                if before == now:
                    counts[-1] += 1
                else:
                    counts.append(1)
        shape = {"size": [SIZE[1], SIZE[0]], "counts": counts}
        with tempfile.TemporaryDirectory() as folder:
            file = coco_file(
                Path(folder, "a.json"),
                note(segmentation=shape, iscrowd=crowd),
                images=[{"id": 1, "file_name": "1.png", "width": SIZE[0], "height": SIZE[1]}],
            )
            entry = only(file)
        assert entry.mask is not None and list(entry.mask.colours) == ["pore"] and not entry.regions
        assert np.array_equal(read_mask(entry.mask).ids, ids)


class TestReading:
    def test_a_box_a_polygon_and_a_score(self, tmp_path):
        polygon = note(id=2, category_id=3, segmentation=[[0, 0, 100, 0, 50, 50]], score=0.25)
        entry = only(coco_file(tmp_path / "a.json", note(), polygon))
        assert entry.regions == (
            Region("pore", ((0.1, 0.4), (0.6, 0.4), (0.6, 0.6), (0.1, 0.6))),
            Region("crack", ((0, 0), (1, 0), (0.5, 1)), 0.25),
        )
        assert entry.label is Label.UNLABELLED and entry.mask is None

    def test_the_parts_of_a_polygon_share_its_id(self, tmp_path):
        parts = [[0, 0, 10, 0, 10, 10], [50, 0, 60, 0, 60, 10]]
        entry = only(coco_file(tmp_path / "a.json", note(id=12, segmentation=parts)))
        assert [region.id for region in entry.regions] == ["12", "12"]
        picture(tmp_path / "1.png", (100, 50))
        coco.write({"": [entry]}, tmp_path / "set", WriteOptions())
        data = json.loads((tmp_path / "set/annotations/instances_default.json").read_text())
        assert [one["segmentation"] for one in data["annotations"]] == [parts]
        assert data["annotations"][0]["area"] == 100 and data["annotations"][0]["bbox"] == [0, 0, 60, 10]

    def test_later_masks_lie_over_earlier_and_types_keep_their_colours(self, tmp_path):
        low = {"size": [50, 100], "counts": [0, 5000]}
        high = {"size": [50, 100], "counts": [2500, 2500]}
        annotations = [note(segmentation=low), note(id=2, category_id=3, segmentation=high)]
        categories = [CATEGORIES[0] | {"color": [255, 255, 255]}, CATEGORIES[1] | {"color": [0, 0, 0]}]
        entry = only(coco_file(tmp_path / "a.json", *annotations, categories=categories))
        assert entry.mask is not None and dict(entry.mask.colours) == {"pore": "#FFFFFF", "crack": "#000000"}
        assert read_mask(entry.mask).areas() == {"background": 0.0, "pore": 0.5, "crack": 0.5}

    def test_missing_sizes_are_looked_up_in_the_image(self, tmp_path):
        file = coco_file(tmp_path / "a.json", note(), images=[{"id": 1, "file_name": "1.png"}])
        with pytest.raises(Invalid, match=r"a\.json: image 1 has no width and height"):
            only(file)
        picture(tmp_path / "images" / "1.png", (100, 100))
        assert only(file).regions[0].bounds == (0.1, 0.2, 0.6, 0.3)

    @pytest.mark.parametrize(
        ("file", "image", "split"),
        [
            ("annotations/instances_train2017.json", "train2017/1.png", "train"),
            ("annotations/instances_val2017.json", "images/val2017/1.png", "val"),
            ("annotations/instances_default.json", "images/1.png", ""),
            ("train/_annotations.coco.json", "train/1.png", "train"),
            ("_annotations.coco.json", "1.png", ""),
            ("result.json", "images/1.png", ""),
        ],
    )
    def test_where_tools_put_their_files(self, tmp_path, file, image, split):
        coco_file(tmp_path / file, note())
        place = picture(tmp_path / image)
        assert coco.detect(tmp_path)
        read = coco.read(tmp_path, ReadOptions())
        assert [*read] == [split] and read[split][0].location == str(place) and read[split][0].source == image

    @pytest.mark.parametrize("image", ["images/train/1.png", "train2017/1.png", "images/1.png"])
    def test_a_file_alone_knows_the_folders_beside_its_own(self, tmp_path, image):
        file = coco_file(tmp_path / "annotations" / "instances_train2017.json", note())
        place = picture(tmp_path / image)
        assert only(file).location == str(place) and only(file).source == image

    def test_several_splits_and_the_files_beside_them(self, tmp_path):
        for split in ("train2017", "val2017", "val2014"):
            coco_file(tmp_path / "annotations" / f"instances_{split}.json", note())
        coco_file(tmp_path / "annotations" / "captions_train2017.json", {"id": 1, "image_id": 1, "caption": "a pore"})
        assert {*coco.read(tmp_path, ReadOptions())} == {"train", "val2017", "val"}

    def test_images_elsewhere_and_not_there_at_all(self, tmp_path):
        image = {"id": 1, "file_name": "d/1.png", "width": 100, "height": 50}
        file = coco_file(tmp_path / "a.json", note(), images=[image])
        assert only(file).location == str(tmp_path / "d" / "1.png")
        place = picture(tmp_path / "elsewhere" / "1.png")
        (entry,) = coco.read(file, ReadOptions(images=tmp_path / "elsewhere"))[""]
        assert entry.location == str(place) and entry.source == "d/1.png"

    def test_a_category_called_background_erases(self, tmp_path):
        full, half = ({"size": [50, 100], "counts": [0, 5000]}, {"size": [50, 100], "counts": [2500, 2500]})
        categories = [*CATEGORIES, {"id": 0, "name": "background"}]
        file = coco_file(
            tmp_path / "a.json",
            note(segmentation=full),
            note(id=2, category_id=0, segmentation=half),
            categories=categories,
        )
        mask = only(file).mask
        assert mask is not None and read_mask(mask).areas() == {"background": 0.5, "pore": 0.5}

    def test_our_own_keys_of_other_people(self, tmp_path):
        image = {"id": 1, "file_name": "1.png", "width": 8, "height": 8}
        for said, label, tags in (
            ("Normal", Label.NORMAL, ()),
            ("scratched", Label.UNLABELLED, (Tag("scratched"),)),
            (1, Label.UNLABELLED, ()),
        ):
            entry = only(coco_file(tmp_path / "a.json", images=[image | {"label": said}]))
            assert (entry.label, entry.tags) == (label, tags)
        entry = only(coco_file(tmp_path / "a.json", images=[image | {"tags": ["wet", {"name": "old"}, 3]}]))
        assert entry.tags == (Tag("wet"), Tag("old"))


HUGE = {"size": [50, 100], "counts": [0, 10**30]}


class TestBadFiles:
    @pytest.mark.parametrize(
        ("bad", "words"),
        [
            (note(id=77, image_id=9), "annotation 77: there is no image 9"),
            (note(id=77, category_id=9), "annotation 77: there is no category 9"),
            (note(id=77, bbox=[1, 2, 3]), "annotation 77: bbox must be four"),
            (note(id=77, bbox=None), "annotation 77: bbox must be four"),
            (note(id=77, bbox=[1, 2, -3, 4]), "annotation 77: bbox has a negative size"),
            (note(id=77, bbox=[1, 2, float("nan"), 4]), "annotation 77: bbox must be four finite"),
            (note(id=77, bbox=["1", 2, 3, 4]), "annotation 77: bbox must be four"),
            (note(id=77, bbox=[10**400, 2, 3, 4]), "annotation 77: bbox must be four"),
            (note(id=77, bbox=[200, 2, 30, 4]), "annotation 77: 'pore' reaches out of the image"),
            (note(id=77, segmentation=[[1, 2, 3, 4]]), "annotation 77: a polygon must be"),
            (note(id=77, segmentation=[[1, 2, 3, 4, 5, 6, 7]]), "annotation 77: a polygon must be"),
            (note(id=77, segmentation=[1, 2, 3, 4, 5, 6]), "annotation 77: a polygon must be"),
            (note(id=77, segmentation=[[0, 0, 900, 0, 900, 900]]), "annotation 77: 'pore' reaches out"),
            (note(id=77, segmentation={"size": [100, 50], "counts": [5000]}), "annotation 77: run lengths of size"),
            (note(id=77, segmentation={"size": [50, 100], "counts": [4999]}), "annotation 77: .*add up to 5,000"),
            (note(id=77, segmentation={"size": [50, 100], "counts": "zz"}), "annotation 77: .*string"),
            (note(id=77, segmentation={"size": [50, 100], "counts": 7}), "annotation 77: counts must be"),
            (note(id=77, segmentation={"counts": []}), "annotation 77: run lengths of size None"),
            (note(id=77, segmentation=HUGE), "annotation 77: .*add up"),
            (note(id=77, score="high"), "annotation 77: score must be"),
            (note(id=77, score=7), "annotation 77: score must be"),
            ("annotation", "annotation no. 1: it must be an object"),
            ({}, "annotation no. 1: there is no image None"),
        ],
    )
    def test_the_file_and_the_annotation_are_named(self, tmp_path, bad, words):
        with pytest.raises(Invalid, match=rf"my\.json: {words}"):
            only(coco_file(tmp_path / "my.json", bad))

    @pytest.mark.parametrize(
        ("other", "words"),
        [
            ({"images": None}, "'images' must be a list"),
            ({"images": [{"id": 1}]}, "image no. 1 must have an id and a file_name"),
            ({"images": [[1]]}, "image no. 1 must have"),
            ({"images": [{"id": 1, "file_name": "a", "width": -3, "height": 5}]}, "image 1 is -3x5"),
            ({"images": [{"id": 1, "file_name": "a", "width": "8", "height": 5}]}, "image 1 is 8x5; both must be"),
            ({"images": [{"id": 1, "file_name": "a", "width": 1, "height": 1}] * 2}, "image 1 is there twice"),
            ({"categories": CATEGORIES * 2}, "category 7 is there twice"),
            ({"categories": [{"id": 7}]}, "category no. 1 must have an id and a name"),
            ({"categories": {}}, "'categories' must be a list"),
            ({"annotations": {}}, "'annotations' must be a list"),
            ({"annotations": [note(), note()]}, "annotation 1: another annotation has the same id"),
        ],
    )
    def test_lists_images_and_categories(self, tmp_path, other, words):
        with pytest.raises(Invalid, match=rf"my\.json: {words}"):
            only(coco_file(tmp_path / "my.json", **({"annotations": [note()]} | other)))

    def test_many_dangling_annotations_are_one_message(self, tmp_path):
        file = coco_file(tmp_path / "a.json", *(note(id=i, image_id=99) for i in range(1000)))
        with pytest.raises(Invalid, match=r"annotation 0: .*; and 995 more\. Correct") as caught:
            only(file)
        assert len(str(caught.value)) < 600

    def test_a_little_over_the_border_is_put_on_it(self, tmp_path):
        entry = only(coco_file(tmp_path / "a.json", note(bbox=[-0.4, 0, 101, 50.3])))
        assert entry.regions[0].bounds == (0, 0, 1, 1)

    @pytest.mark.parametrize(
        ("data", "words"),
        [
            (b'{"images": [\n{"id": 1', r"line 2, is not JSON.*cut off"),
            (b"", r"line 1, is not JSON"),
            (b"\xff\xfe{\x00}\x00", "not UTF-8"),
            (b"[" * 100_000, "cannot be read as JSON"),
            (b'[{"image_id": 1, "bbox": [1, 2, 3, 4], "score": 1}]', "does not name its images"),
            (b'"images"', "must be a JSON object"),
        ],
    )
    def test_no_json(self, tmp_path, data, words):
        file = tmp_path / "my.json"
        file.write_bytes(data)
        with pytest.raises(Invalid, match=rf"my\.json.*{words}"):
            only(file)

    def test_what_is_not_there(self, tmp_path):
        with pytest.raises(NotFound, match="Nothing is at"):
            coco.read(tmp_path / "none.json", ReadOptions())
        with pytest.raises(Invalid, match="holds no COCO"):
            coco.read(tmp_path, ReadOptions())


class TestDetect:
    def test_it_is_not_fooled(self, tmp_path, shared):
        (tmp_path / "a.json").write_text('[{"data": {"image": "1.png"}, "annotations": []}]')
        (tmp_path / "b.json").write_text('{"annotations": [], "image": "x"}')
        (tmp_path / "c.json").write_text("")
        (tmp_path / "images").mkdir()
        assert not any(map(coco.detect, [tmp_path, *tmp_path.iterdir(), tmp_path / "none"]))
        for folder in ("blood_cells", "cookies", "aliens"):
            assert not coco.detect(shared / "data" / folder)

    def test_a_large_file_is_looked_at_from_both_ends(self, tmp_path):
        file = coco_file(tmp_path / "a.json", *(note(id=i) for i in range(20_000)))
        assert file.stat().st_size > 1_000_000 and coco.detect(file)


class TestWriting:
    def test_nothing_is_overwritten_unasked(self, tmp_path):
        entry = Entry("1.png", at=str(picture(tmp_path / "1.png")))
        coco.write({"": [entry]}, tmp_path / "set", WriteOptions())
        with pytest.raises(Conflict):
            coco.write({"": [entry]}, tmp_path / "set", WriteOptions())
        coco.write({"": [entry, entry]}, tmp_path / "set", WriteOptions(overwrite=True))
        assert len(coco.read(tmp_path / "set", ReadOptions())[""]) == 2

    def test_images_may_stay_where_they_are(self, tmp_path):
        image = picture(tmp_path / "pictures" / "1.png")
        coco.write({"": [Entry("1.png", at=str(image))]}, tmp_path / "set", WriteOptions(images="refer"))
        (entry,) = coco.read(tmp_path / "set", ReadOptions())[""]
        assert Path(entry.location).samefile(image) and not (tmp_path / "set" / "images").exists()

    def test_a_missing_image_leaves_nothing_behind(self, tmp_path):
        with pytest.raises(NotFound, match=r"gone\.png"):
            coco.write({"": [Entry("gone.png", at=str(tmp_path / "gone.png"))]}, tmp_path / "set", WriteOptions())
        assert not [*tmp_path.iterdir()]

    def test_a_region_far_outside_is_told(self, tmp_path):
        region = Region.box("pore", left=3, top=0, width=1, height=1)
        entry = Entry("1.png", regions=(region,), at=str(picture(tmp_path / "1.png")))
        with pytest.raises(Invalid, match=r"1\.png: 'pore' reaches out"):
            coco.write({"": [entry]}, tmp_path / "set", WriteOptions())

    def test_two_splits_of_one_file(self, tmp_path):
        with pytest.raises(Invalid, match="default"):
            coco.write({"": [], "default": []}, tmp_path / "set", WriteOptions())

    def test_another_colour_on_another_image_is_told(self, tmp_path):
        image = str(picture(tmp_path / "1.png"))
        mask = Mask(np.ones(SIZE[::-1], np.uint8), ("background", "a"))
        other = Mask(mask.ids, mask.names, ("#FFFFFF", "#FF0000"))
        parts = {"": [Entry(f"{i}.png", mask=with_mask(one), at=image) for i, one in enumerate((mask, other))]}
        assert "lost-colours" in {finding.rule for finding in coco.write(parts, tmp_path / "set", WriteOptions())}
        assert [e.mask and read_mask(e.mask).types for e in coco.read(tmp_path / "set", ReadOptions())[""]] == [
            ("a",)
        ] * 2


def test_the_blood_cells_go_there_and_back(shared, tmp_path):
    parts = voc.read(shared / "data" / "blood_cells", ReadOptions())
    assert coco.write(parts, tmp_path / "set", WriteOptions(images="link")) == ()
    again = coco.read(tmp_path / "set", ReadOptions())
    for split, listed in parts.items():
        assert [one.regions for one in again[split]] == [one.regions for one in listed]
    theirs = loaded(tmp_path / "set" / "annotations" / "instances_train.json")
    assert len(theirs.imgs) == 205 and {one["name"] for one in theirs.cats.values()} == {"RBC", "WBC", "Platelets"}
    assert not yolo.detect(tmp_path / "set") and not voc.detect(tmp_path / "set")
