"""Pascal VOC: a real set to the pixel, masks and splits back, XML that is out to harm refused."""

from __future__ import annotations

import tempfile
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from vision_toolkit.core import Entry, Invalid, Label, Mask, MaskRef, NotFound, Region, Tag, Unsupported
from vision_toolkit.data.formats import ReadOptions, WriteOptions, coco, voc, yolo
from vision_toolkit.data.images import encode_mask, encode_png, read_mask
from vision_toolkit.data.storage import inline

SIZE = (13, 9)
NAMES = ("background", "crack", "a:b", "ärmel 3")
BOX = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>8</xmax><ymax>4</ymax></bndbox>"


def picture(path: Path, size: tuple[int, int] = SIZE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_png(np.zeros((size[1], size[0], 3), np.uint8)))
    return path


def write(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def annotation(*objects: str, size: str = "<width>16</width><height>8</height>", filename: str = "1.png") -> str:
    inner = "".join(f"<object>{one}</object>" for one in objects)
    return f"<annotation><filename>{filename}</filename><size>{size}</size>{inner}</annotation>"


def boxed(name: str, *ends: float | str) -> str:
    sides = zip(("xmin", "ymin", "xmax", "ymax"), ends, strict=False)
    return f"<name>{name}</name><bndbox>{''.join(f'<{side}>{end}</{side}>' for side, end in sides)}</bndbox>"


def only(root: Path) -> Entry:
    ((entry,),) = voc.read(root, ReadOptions()).values()
    return entry


def rules(found) -> set[str]:
    return {finding.rule for finding in found}


names = st.sampled_from([*NAMES[1:], "<b>&amp;", "x"])
pixel_boxes = st.builds(
    lambda name, xs, ys: Region(
        name,
        tuple((x / SIZE[0], y / SIZE[1]) for x, y in ((xs[0], ys[0]), (xs[1], ys[0]), (xs[1], ys[1]), (xs[0], ys[1]))),
    ),
    names,
    st.lists(st.integers(0, SIZE[0]), min_size=2, max_size=2, unique=True).map(sorted),
    st.lists(st.integers(0, SIZE[1]), min_size=2, max_size=2, unique=True).map(sorted),
)
masks = hnp.arrays(np.uint8, SIZE[::-1], elements=st.integers(0, 3), fill=st.just(0)).map(lambda ids: Mask(ids, NAMES))
sources = st.sampled_from(["1.png", "a/1.png", "part 1.png", "b.v2.png", "ü -1.png"])
entries = st.builds(
    lambda source, listed, mask: Entry(
        source,
        regions=tuple(listed),
        mask=mask and MaskRef(inline(encode_mask(mask)), dict(zip(NAMES[1:], mask.colours[1:], strict=True))),
    ),
    sources,
    st.lists(pixel_boxes, max_size=3),
    st.none() | masks,
)
sets = st.dictionaries(st.sampled_from(["", "train", "val", "my set"]), st.lists(entries, max_size=3), min_size=1)


class TestRoundTrip:
    @settings(max_examples=40)
    @given(sets)
    def test_boxes_masks_and_splits_come_back(self, parts):
        with tempfile.TemporaryDirectory() as folder:
            image = str(picture(Path(folder, "1.png")))
            parts = {split: [replace(one, at=image) for one in listed] for split, listed in parts.items()}
            assert rules(voc.write(parts, Path(folder, "set"), WriteOptions())) <= {"lost-name"}
            again = voc.read(Path(folder, "set"), ReadOptions())
            assert again.keys() == parts.keys() and voc.detect(Path(folder, "set"))
            for split, listed in parts.items():
                for one, other in zip(listed, again[split], strict=True):
                    assert one.regions == other.regions and Path(other.location).is_file()
                    assert (one.mask is None) == (other.mask is None)
                    if one.mask and other.mask:
                        before, after = read_mask(one.mask), read_mask(other.mask, names=NAMES[1:])
                        assert np.array_equal(before.ids, after.ids) and other.types == before.types
                        assert {*other.mask.colours.items()} <= {*one.mask.colours.items()}

    @settings(max_examples=30)
    @given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=3, max_size=5))
    def test_a_polygon_becomes_the_nearest_box_and_that_is_told(self, polygon):
        with tempfile.TemporaryDirectory() as folder:
            region = Region("a", tuple(polygon))
            entry = Entry("1.png", regions=(region,), at=str(picture(Path(folder, "1.png"))))
            found = voc.write({"": [entry]}, Path(folder, "set"), WriteOptions())
            (other,) = only(Path(folder, "set")).regions
        before, after = (np.array(one.bounds) * (*SIZE, *SIZE) for one in (region, other))
        assert np.abs(before - after).max() <= 1.0 + 1e-9
        assert ("lost-precision" in rules(found)) == (np.abs(before - after).max() > 1e-6)
        assert rules(found) - {"lost-precision"} <= {"lost-shape"}

    def test_what_it_cannot_say_is_told(self, tmp_path):
        region = Region("a\x01  b", ((0, 0), (1, 0), (0.3, 1)), 0.5, "7")
        entry = Entry("x/1.png", Label.NORMAL, (Tag("wet"),), (region,), at=str(picture(tmp_path / "1.png")))
        lost = {"label", "tags", "confidence", "id", "shape", "name"}
        assert rules(voc.write({"": [entry]}, tmp_path / "set", WriteOptions())) == {f"lost-{one}" for one in lost}
        assert only(tmp_path / "set").regions[0].name == "a_ b"

    def test_two_types_of_one_colour_are_told_apart(self, tmp_path):
        image = str(picture(tmp_path / "1.png"))
        parts = [
            Entry(f"{name}.png", at=image, mask=MaskRef(inline(encode_mask(mask)), {name: "#23A436"}))
            for name in ("a", "b")
            for mask in [Mask(np.ones(SIZE[::-1], np.uint8), ("background", name))]
        ]
        assert rules(voc.write({"": parts}, tmp_path / "set", WriteOptions())) == {"lost-colours"}
        assert [one.types for one in voc.read(tmp_path / "set", ReadOptions())[""]] == [("a",), ("b",)]

    def test_images_cannot_stay_elsewhere(self, tmp_path):
        with pytest.raises(Unsupported, match="images='copy'"):
            voc.write({"": []}, tmp_path / "set", WriteOptions(images="refer"))


class TestReading:
    def test_pixels_count_from_one_and_the_last_belongs_to_the_box(self, tmp_path):
        objects = [boxed("all", 1, 1, 16, 8), boxed("first pixel", 1, 1, 1, 1), boxed("from 0", 0, 0, 16, 8)]
        write(tmp_path / "Annotations" / "1.xml", annotation(*objects))
        entry = only(tmp_path)
        assert [one.bounds for one in entry.regions] == [(0, 0, 1, 1), (0, 0, 1 / 16, 1 / 8), (0, 0, 1, 1)]
        assert entry.label is Label.UNLABELLED and [one.name for one in entry.regions][1] == "first pixel"

    def test_no_size_is_looked_up(self, tmp_path):
        write(tmp_path / "Annotations" / "1.xml", annotation(boxed("a", 1, 1, 8, 4), size=""))
        with pytest.raises(Invalid, match=r"1\.xml has no size in pixels, and it cannot be looked up"):
            only(tmp_path)
        picture(tmp_path / "JPEGImages" / "1.png", (16, 8))
        assert only(tmp_path).regions[0].bounds == (0, 0, 0.5, 0.5)

    @pytest.mark.parametrize(
        ("image", "filename"),
        [
            ("JPEGImages/1.png", "1.png"),
            ("JPEGImages/1.PNG", "renamed.jpg"),
            ("images/other.png", r"C:\set\other.png"),
            ("images/1.png", ""),
        ],
    )
    def test_where_images_lie(self, tmp_path, image, filename):
        write(tmp_path / "Annotations" / "1.xml", annotation(filename=filename))
        place = picture(tmp_path / image)
        entry = only(tmp_path)
        assert entry.location == str(place) and entry.source == image

    def test_images_that_lie_elsewhere(self, tmp_path):
        write(tmp_path / "set" / "Annotations" / "1.xml", annotation())
        place = picture(tmp_path / "elsewhere" / "1.png")
        ((entry,),) = voc.read(tmp_path / "set", ReadOptions(images=tmp_path / "elsewhere")).values()
        assert entry.location == str(place)

    def test_xml_beside_images_in_one_folder_or_one_a_split(self, tmp_path):
        for split in ("train", "valid"):
            write(tmp_path / split / "1.xml", annotation(boxed("a", 1, 1, 16, 8)))
            picture(tmp_path / split / "1.png")
        assert voc.detect(tmp_path) and voc.detect(tmp_path / "train")
        read = voc.read(tmp_path, ReadOptions())
        assert {split: one.source for split, (one,) in read.items()} == {"train": "train/1.png", "valid": "valid/1.png"}
        assert only(tmp_path / "train").source == "1.png"

    def test_splits_images_without_annotation_and_lists_of_one_class(self, tmp_path):
        for name in ("part 1", "part -1", "c"):
            write(tmp_path / "Annotations" / f"{name}.xml", annotation(filename=f"{name}.png"))
            picture(tmp_path / "JPEGImages" / f"{name}.png")
        picture(tmp_path / "JPEGImages" / "bare.png")
        main = tmp_path / "ImageSets" / "Main"
        write(main / "train.txt", "part 1\r\npart -1\n")
        write(main / "val.txt", "c\n\n")
        write(main / "trainval.txt", "part 1\npart -1\nc")
        write(main / "dog_train.txt", "x -1\ny  1\n")
        read = voc.read(tmp_path, ReadOptions())
        names = {split: [Path(one.source).stem for one in listed] for split, listed in read.items()}
        assert names == {"train": ["part 1", "part -1"], "val": ["c"], "": ["bare"]}

    def test_masks_in_the_colours_of_a_labelmap(self, tmp_path):
        write(tmp_path / "Annotations" / "1.xml", annotation())
        picture(tmp_path / "JPEGImages" / "1.png")
        rgb = np.zeros((8, 16, 3), np.uint8)
        rgb[0], rgb[1] = (250, 50, 83), (224, 224, 192)
        write(tmp_path / "SegmentationClass" / "1.png", encode_png(rgb))
        with pytest.raises(Invalid, match=r"no labelmap\.txt"):
            only(tmp_path)
        labelmap = "# label:color_rgb:parts:actions\nbackground:0,0,0::\nbig: crack:250,50,83::\nunseen:1,2,3::\n"
        write(tmp_path / "labelmap.txt", labelmap)
        mask = only(tmp_path).mask
        assert mask == MaskRef("SegmentationClass/1.png", {"big: crack": "#FA3253"})
        assert mask is not None and read_mask(mask).areas()["big: crack"] == 1 / 8
        write(tmp_path / "labelmap.txt", labelmap + "wrong 1,2,3\n")
        with pytest.raises(Invalid, match=r"labelmap\.txt, line 5"):
            only(tmp_path)
        write(tmp_path / "labelmap.txt", "a:1,2,300::")
        with pytest.raises(Invalid, match=r"labelmap\.txt, line 1: a colour"):
            only(tmp_path)

    def test_masks_in_vocs_own_colours(self, tmp_path):
        write(tmp_path / "Annotations" / "1.xml", annotation(boxed("person", 1, 1, 16, 8)))
        picture(tmp_path / "JPEGImages" / "1.png")
        image = Image.new("P", (16, 8), 15)
        # The palette of VOC's files as its readers know it: class 15 is (192, 128, 128), class 1 is (128, 0, 0).
        image.putpalette([v for i in range(16) for v in ((192, 128, 128) if i == 15 else (128, 0, 0))])
        image.putpixel((0, 0), 1)
        (tmp_path / "SegmentationClass").mkdir()
        image.save(tmp_path / "SegmentationClass" / "1.png")
        mask = only(tmp_path).mask
        assert mask is not None and dict(mask.colours) == {"aeroplane": "#800000", "person": "#C08080"}

    def test_other_encodings(self, tmp_path):
        text = annotation(boxed("ärmel", 1, 1, 16, 8))
        for declared, codec in (("utf-8", "utf-8-sig"), ("UTF-16", "utf-16"), ("ISO-8859-1", "latin-1")):
            data = f'<?xml version="1.0" encoding="{declared}"?>\n{text}'.encode(codec)
            write(tmp_path / "Annotations" / "1.xml", data)
            assert voc.detect(tmp_path) and only(tmp_path).regions[0].name == "ärmel"


LAUGHS = '<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><annotation><filename>&b;</filename></annotation>'
OUTSIDE = '<!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/passwd">]><annotation><filename>&a;</filename></annotation>'


class TestBadFiles:
    @pytest.mark.parametrize(
        ("text", "words"),
        [
            (annotation(boxed("a", 1, 1, 8)), "object 1, 'a', has no <bndbox>"),
            (annotation("<name>a</name>"), "object 1, 'a', has no <bndbox>"),
            (annotation(BOX), "object 1 has no <name>"),
            (
                annotation(boxed("a", 1, 1, 2, 2), boxed("b", 5, 1, 3, 8)),
                "object 2, 'b', ends before it begins: 5 1 3 8",
            ),
            (annotation(boxed("a", 1, 1, "x", 8)), "<bndbox/xmax> must be a number of pixels; it is 'x'"),
            (annotation(boxed("a", 1, 1, "nan", 8)), "<bndbox/xmax> must be a number"),
            (annotation(boxed("a", 1, 1, "1e999", 8)), "<bndbox/xmax> must be a number"),
            (annotation(boxed("a", 1, 1, 160, 8)), "object 1: 'a' reaches out of the image"),
            (annotation(boxed("a", 1, 1, 8, 8), size="<width>-4</width><height>4</height>"), "has no size in pixels"),
            (annotation(boxed("a", 1, 1, 8, 8))[:-20], "is no XML that can be read"),
            ("", "is no XML that can be read"),
            ("<html/>", "must hold an <annotation>; it holds <html>"),
            (LAUGHS, "declares a document type"),
            (OUTSIDE, "declares a document type"),
            (LAUGHS.encode("utf-16"), "declares a document type"),
            (b'<?xml version="1.0" encoding="latin-1"?>' + LAUGHS.encode(), "declares a document type"),
            (b'<?xml version="1.0" encoding="cp037"?>' + LAUGHS.encode("cp037"), "is no text that can be read"),
            (b'<?xml version="1.0" encoding="utf-7"?>' + LAUGHS.encode("utf-7"), "declares a document type"),
            (LAUGHS.encode("utf-32"), "is no"),
            (annotation("<name>a\x00</name>"), "is no XML that can be read"),
            (b"<annotation>\xff\xfe</annotation>", "is no text that can be read"),
            ("<a>" * 50_000, "is no XML that can be read"),
        ],
        ids=range(22),
    )
    def test_the_file_and_the_object_are_named(self, tmp_path, text, words):
        write(tmp_path / "Annotations" / "17.xml", text)
        with pytest.raises(Invalid, match=rf"17\.xml.*{words}") as caught:
            only(tmp_path)
        assert len(str(caught.value)) < 500

    def test_a_list_that_names_what_is_not_there(self, tmp_path):
        write(tmp_path / "Annotations" / "1.xml", annotation())
        write(tmp_path / "ImageSets" / "Main" / "train.txt", "1\n2\n3\n")
        with pytest.raises(NotFound, match=r"train\.txt, line 2: .* called '2' \(2 such\)"):
            only(tmp_path)

    def test_a_mask_without_an_image(self, tmp_path):
        write(tmp_path / "Annotations" / "1.xml", annotation())
        picture(tmp_path / "SegmentationClass" / "2.png")
        with pytest.raises(NotFound, match=r"2\.png has no image"):
            only(tmp_path)

    def test_what_is_not_there(self, tmp_path):
        with pytest.raises(NotFound, match="Nothing is at"):
            voc.read(tmp_path / "none", ReadOptions())
        with pytest.raises(Invalid, match="holds no XML files"):
            voc.read(tmp_path, ReadOptions())


def test_detection_is_not_fooled(tmp_path, shared):
    write(tmp_path / "pom.xml", "<project/>")
    write(tmp_path / "a" / "feed.xml", "<rss/>")
    assert not any(map(voc.detect, [tmp_path, *tmp_path.iterdir(), tmp_path / "none"]))
    for folder in ("cookies", "aliens", "magnetic_tile"):
        assert not voc.detect(shared / "data" / folder)


def test_the_blood_cells(shared, tmp_path):
    root = shared / "data" / "blood_cells"
    assert voc.detect(root)
    parts = voc.read(root, ReadOptions())
    assert {split: len(listed) for split, listed in parts.items()} == {"train": 205, "val": 87, "test": 72}
    everything = {one.source: one for listed in parts.values() for one in listed}
    assert len(everything) == 364 and sum(len(one.regions) for one in everything.values()) == 4155 + 372 + 361
    for source, entry in everything.items():
        tree = ET.parse(root / "Annotations" / f"{Path(source).stem}.xml")
        ends = [
            [int(item.findtext(f"bndbox/{s}")) for s in ("xmin", "ymin", "xmax", "ymax")]
            for item in tree.iter("object")
        ]
        mine = [np.array(region.bounds) * (640, 480, 640, 480) + (1, 1, 0, 0) for region in entry.regions]
        assert np.allclose(mine, ends, atol=1e-9)
    assert voc.write(parts, tmp_path / "set", WriteOptions(images="link")) == ()
    again = voc.read(tmp_path / "set", ReadOptions())
    assert again == parts and not coco.detect(tmp_path / "set") and not yolo.detect(tmp_path / "set")
