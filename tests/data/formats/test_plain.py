"""The formats that are folders, manifests and tables: what they hold survives, what they cannot hold is told."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from vision_toolkit.core import Conflict, Entry, Invalid, Label, Mask, MaskRef, NotFound, Region, Tag, Unsupported
from vision_toolkit.data import Manifest, read_mask
from vision_toolkit.data.convert import Written, read_dataset, read_splits, write_dataset
from vision_toolkit.data.formats.files import MARKER, safe_name, unique_names
from vision_toolkit.data.images import encode_mask, encode_png, read_image
from vision_toolkit.data.storage import inline, write_file

SIZE = (6, 8)


def picture(path: Path, value: int = 90) -> str:
    return str(write_file(path, encode_png(np.full((*SIZE, 3), value, np.uint8))))


def painted(path: Path, colours: dict[str, str], *rows: int, ground: str = "#FFFFFF") -> MaskRef:
    """Paint a row of pixels in each type; the ground is black where a type is white."""
    ids = np.zeros(SIZE, np.uint8)
    for number, row in enumerate(rows or range(len(colours)), 1):
        ids[row] = number
    ground = "#000000" if "#ffffff" in colours.values() else ground
    mask = Mask(ids, ("background", *colours), (ground, *colours.values()))
    return MaskRef(path.name, colours, at=str(write_file(path, encode_mask(mask))))


def said(entry: Entry) -> tuple[object, ...]:
    """Return what is said of an image, with its pixels instead of its name."""
    mask = read_mask(entry.mask) if entry.mask and entry.mask.colours else None
    pixels = {kind: np.argwhere(mask.ids == i).tolist() for i, kind in enumerate(mask.names) if i} if mask else {}
    return int(read_image(entry)[0, 0, 0]), str(entry.label), pixels, entry.tags, entry.regions


def rules(written: Written) -> set[str]:
    return {finding.rule for finding in written.losses}


@pytest.fixture
def parts(tmp_path: Path) -> dict[str, Manifest]:
    """Two splits with everything that a plain format holds."""
    at = tmp_path / "source"
    colours = {"crack": "#23A436", "hole": "#14A3B3"}
    train = [
        Entry("a/1.png", Label.NORMAL, at=picture(at / "a" / "1.png", 10)),
        Entry("b/1.png", Label.NORMAL, at=picture(at / "b" / "1.png", 20)),
    ]
    test = [
        Entry("s3://bucket/b/2.png", Label.NORMAL, at=picture(at / "2.png", 30)),
        Entry("c/1.PNG", Label.ANOMALY, at=picture(at / "c" / "1.PNG", 40)),
        Entry(
            "c/3.png",
            Label.ANOMALY,
            at=picture(at / "c" / "3.png", 50),
            mask=painted(at / "m" / "3.png", {"hole": colours["hole"]}),
        ),
        Entry("c/4.png", Label.ANOMALY, at=picture(at / "c" / "4.png", 60), mask=painted(at / "m" / "4.png", colours)),
    ]
    return {"train": Manifest(train), "test": Manifest(test)}


def same(one: dict[str, Manifest], other: dict[str, Manifest]) -> bool:
    def by_value(parts: dict[str, Manifest]) -> dict[str, list[tuple[object, ...]]]:
        return {split: sorted(map(said, manifest), key=str) for split, manifest in parts.items()}

    return by_value(one) == by_value(other)


# ---------------------------------------------------------------- Lookout's manifests


class TestLookout:
    def test_a_folder_is_complete_in_itself(self, tmp_path, parts):
        written = write_dataset(parts, tmp_path / "out", format="lookout")
        assert rules(written) == set()
        moved = (tmp_path / "out").rename(tmp_path / "elsewhere")
        assert same(read_splits(moved), parts)
        for manifest in read_splits(moved).values():
            assert not [f for f in manifest.check() if f.severity == "error" and f.rule != "no-normal"]

    def test_a_file_refers(self, tmp_path, parts):
        (tmp_path / "lists").mkdir()
        written = write_dataset(parts["test"], tmp_path / "lists" / "odd name", format="lookout", images="refer")
        assert rules(written) == set()
        again = read_dataset(tmp_path / "lists" / "odd name", images={"s3://bucket/b": tmp_path / "source"})
        assert same({"": again}, {"": parts["test"]}) and again[0].source == "s3://bucket/b/2.png"
        write_dataset(parts, tmp_path / "lists" / "both", format="lookout", images="refer")
        assert [p.name for p in sorted((tmp_path / "lists" / "both").glob("*.*t"))] == [
            "test.manifest",
            "train.manifest",
        ]

    @pytest.mark.parametrize("images", ["copy", "refer"])
    def test_inline_and_white_masks_become_files_that_can_be_told_from_the_background(self, tmp_path, images):
        mask = Mask(np.eye(*SIZE, dtype=np.uint8), ("background", "crack"))
        one = Entry("1.png", Label.ANOMALY, at=picture(tmp_path / "1.png", 1))
        two = Entry("2.png", Label.ANOMALY, at=picture(tmp_path / "2.png", 2))
        entries = [
            Entry("1.png", one.label, at=one.at, mask=MaskRef(inline(encode_mask(mask)), {"crack": "#23A436"})),
            Entry("2.png", two.label, at=two.at, mask=painted(tmp_path / "white.png", {"hole": "#ffffff"})),
        ]
        written = write_dataset(Manifest(entries), tmp_path / "out", format="lookout", images=images)
        again = read_dataset(written.path)
        assert rules(written) == {"lost-colours"} and [said(e) for e in again] == [said(e) for e in entries]
        assert again[1].mask is not None and again[1].mask.colours == {"hole": "#23A436"}
        assert not {"missing-mask", "empty-mask", "bad-mask"} & {f.rule for f in again.check()}

    def test_lines_that_cannot_be_read_and_other_keys_stay(self, tmp_path):
        picture(tmp_path / "1.png")
        source = write_file(tmp_path / "a.manifest", b'junk\n{"source-ref": "1.png", "who": "Ann"}\n\n')
        for images in ("copy", "refer"):
            written = write_dataset(read_dataset(source), tmp_path / images, format="lookout", images=images)
            text = next(p for p in (written.path / "dataset.manifest", written.path) if p.is_file()).read_text()
            first, line, last = text.splitlines()
            assert (first, json.loads(line)["who"], last) == ("junk", "Ann", "") and rules(written) == set()

    def test_an_image_on_two_lines_is_one_file(self, tmp_path):
        at = picture(tmp_path / "1.png")
        twice = Manifest([Entry("x.png", Label.NORMAL, at=at), Entry("x.png", Label.ANOMALY, at=at)])
        again = read_dataset(write_dataset(twice, tmp_path / "out", format="lookout").path)
        assert [e.source for e in again] == ["images/x.png"] * 2 and [e.label for e in again] == [
            e.label for e in twice
        ]

    @pytest.mark.parametrize(
        "head", [b"", b"\xef\xbb\xbf", b"\n\n", b"not json\n"], ids=["plain", "mark", "blank", "junk"]
    )
    def test_its_name_does_not_matter(self, tmp_path, head):
        file = write_file(tmp_path / "anything.txt", head + b'{"source-ref": "1.png"}\n')
        assert len(read_dataset(file)) == 1

    def test_the_cookie_samples(self, shared, tmp_path):
        for name in ("template", "train_class", "train_segmentation"):
            path = shared / "data" / "cookies" / "manifests" / f"{name}.manifest"
            manifest = read_dataset(path, images=shared / "data" / "cookies")
            assert manifest.counts()["anomaly"] == 32
        small = manifest.select([0, 1, 40, 62])
        written = write_dataset(small, tmp_path / "out", format="lookout")
        again = read_dataset(written.path)
        assert rules(written) == set() and [said(e) for e in again] == [said(e) for e in small]


# ---------------------------------------------------------------- folders


class TestFolders:
    def test_round_trip(self, tmp_path, parts):
        written = write_dataset(parts, tmp_path / "out", format="folders")
        assert rules(written) == set()
        assert same(read_splits(tmp_path / "out"), parts)
        again = write_dataset(read_splits(tmp_path / "out"), tmp_path / "again", format="folders")
        assert rules(again) == set()
        files = [
            sorted(p.relative_to(r).as_posix() for p in r.rglob("*")) for r in (tmp_path / "out", tmp_path / "again")
        ]
        assert files[0] == files[1] and "train/normal/a/1.png" in files[0] and "masks/test/anomaly/c/3.png" in files[0]

    def test_classes_say_what_folders_mean(self, tmp_path):
        for name in ("Good/1.png", "scratch/2.png", "dent/3.PNG", "unclear/4.png", "scratch/.hidden.png"):
            picture(tmp_path / "set" / name)
        write_file(tmp_path / "set" / "dent" / "Thumbs.db", b"x")
        write_file(tmp_path / "set" / ".DS_Store", b"x")
        manifest = read_dataset(tmp_path / "set", format="folders")
        assert {(e.source, e.tags[0].name) for e in manifest} == {
            ("Good/1.png", "Good"),
            ("dent/3.PNG", "dent"),
            ("scratch/2.png", "scratch"),
            ("unclear/4.png", "unclear"),
        }
        classes = {"good": "normal", "SCRATCH": "anomaly", "dent": Label.ANOMALY}
        told = {
            e.source: (str(e.label), [t.name for t in e.tags])
            for e in read_dataset(tmp_path / "set", format="folders", classes=classes)
        }
        assert told == {
            "Good/1.png": ("normal", []),  # the tag would say no more
            "dent/3.PNG": ("anomaly", ["dent"]),
            "scratch/2.png": ("anomaly", ["scratch"]),
            "unclear/4.png": ("unlabelled", ["unclear"]),
        }
        again = read_dataset(write_dataset(manifest, tmp_path / "out", format="folders").path, format="folders")
        assert sorted(map(said, again), key=str) == sorted(map(said, manifest), key=str)

    def test_what_folders_cannot_say(self, tmp_path):
        at = picture(tmp_path / "1.png")
        region = Region.box("x", left=0, top=0, width=0.5, height=0.5)
        entries = [
            Entry("1.png", Label.NORMAL, tags=(Tag("wet"),), regions=(region,), at=at),
            Entry("2.png", tags=(Tag("wet", 0.5), Tag("cold")), at=at),
        ]
        written = write_dataset(Manifest(entries), tmp_path / "out", format="folders")
        assert rules(written) == {"lost-tags", "lost-confidence", "lost-regions"}
        tags = next(finding for finding in written.losses if finding.rule == "lost-tags")
        assert tags.severity == "warning" and "2 images, the first is 1.png" in tags.text
        with pytest.raises(Unsupported, match="'copy' or 'link'"):
            write_dataset(Manifest(entries), tmp_path / "no", format="folders", images="refer")

    def test_colours_that_differ_between_images_become_one(self, tmp_path):
        entries = [
            Entry(
                "1.png",
                Label.ANOMALY,
                at=picture(tmp_path / "1.png", 1),
                mask=painted(tmp_path / "a.png", {"x": "#23A436"}),
            ),
            Entry(
                "2.png",
                Label.ANOMALY,
                at=picture(tmp_path / "2.png", 2),
                mask=painted(tmp_path / "b.png", {"y": "#23A436", "x": "#010203"}),
            ),
        ]
        written = write_dataset(Manifest(entries), tmp_path / "out", format="folders")
        again = read_dataset(tmp_path / "out")
        assert rules(written) == {"lost-colours"} and [said(e)[2] for e in again] == [said(e)[2] for e in entries]
        assert all(e.mask is not None and e.mask.colours["x"] == "#23A436" for e in again)

    def test_masks_by_hand(self, tmp_path):
        picture(tmp_path / "anomaly" / "1.jpg")
        picture(tmp_path / "anomaly" / "2.jpg")
        painted(tmp_path / "masks" / "anomaly" / "1.png", {"x": "#ffffff", "y": "#ff0000"}, 1, 2)
        painted(tmp_path / "masks" / "anomaly" / "2.png", {"y": "#ff0000"}, ground="#000000")
        with pytest.raises(Invalid, match=r"what its colours mean; write .*colours.json"):
            read_dataset(tmp_path)
        file = write_file(tmp_path / "masks" / "colours.json", b'{"types": {"x": "#FFFFFF", "y": "#FF0000"}}')
        assert [e.types for e in read_dataset(tmp_path)] == [("x", "y"), ("y",)]
        for text in (
            b"[]",
            b'{"types": 1}',
            b'{"types": {"x": "red"}}',
            b"junk",
            b'{"types": {}, "images": {"anomaly/1.jpg": ["z"]}}',
        ):
            write_file(file, text, overwrite=True)
            with pytest.raises(Invalid):
                read_dataset(tmp_path)

    def test_the_aliens(self, shared, tmp_path):
        manifest = read_dataset(shared / "data" / "aliens")
        assert manifest.counts() == {"total": 118, "normal": 58, "anomaly": 60, "unlabelled": 0, "with_mask": 0}
        written = write_dataset(manifest, tmp_path / "out", format="folders", images="link")
        assert rules(written) == set() and read_dataset(tmp_path / "out") == manifest


# ---------------------------------------------------------------- MVTec AD


class TestMvtec:
    def test_round_trip_but_for_several_types_in_a_mask(self, tmp_path, parts):
        written = write_dataset(parts, tmp_path / "out", format="mvtec")
        assert rules(written) == {"lost-types", "lost-name"}
        files = {
            p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*.*") if p.name != MARKER
        }
        assert files == {
            "train/good/1.png",
            "train/good/1-2.png",
            "test/good/2.png",
            "test/anomaly/1.PNG",
            "test/hole/3.png",
            "test/combined/4.png",
            "ground_truth/hole/3_mask.png",
            "ground_truth/combined/4_mask.png",
        }
        again = read_splits(tmp_path / "out")
        assert {s: m.counts() for s, m in again.items()} == {s: m.counts() for s, m in parts.items()}
        pixels = {said(e)[0]: said(e)[2] for e in again["test"]}
        assert pixels[50] == said(parts["test"][2])[2]
        both = said(parts["test"][3])[2]
        assert pixels[60] == {"combined": both["crack"] + both["hole"]}
        mask = read_image(tmp_path / "out" / "ground_truth" / "hole" / "3_mask.png")
        assert sorted(np.unique(mask)) == [0, 255]

    def test_what_the_layout_cannot_say(self, tmp_path):
        at = picture(tmp_path / "1.png")
        mask = painted(tmp_path / "m.png", {"x": "#23A436"})
        entries = [
            Entry("1.png", Label.ANOMALY, tags=(Tag("good", 0.5),), at=at),
            Entry("2.png", Label.NORMAL, tags=(Tag("wet"),), mask=mask, at=at),
            Entry("3.png", at=at),
        ]
        written = write_dataset({"train": Manifest(entries)}, tmp_path / "out", format="mvtec")
        expected = {"lost-split", "lost-name", "lost-confidence", "lost-tags", "lost-mask", "lost-label"}
        assert rules(written) == expected
        again = read_splits(tmp_path / "out")
        assert {s: [(e.source, str(e.label)) for e in m] for s, m in again.items()} == {
            "train": [("train/good/2.png", "normal")],
            "test": [("test/good_/1.png", "anomaly")],
            "": [("unlabelled/3.png", "unlabelled")],
        }

    def test_a_lone_train_and_validation(self, tmp_path):
        picture(tmp_path / "train" / "good" / "000.PNG")
        assert read_splits(tmp_path) == {"train": Manifest([Entry("train/good/000.PNG", Label.NORMAL)])}
        picture(tmp_path / "validation" / "good" / "000.png")
        picture(tmp_path / "test" / "cut" / "000.png")
        picture(tmp_path / "ground_truth" / "cut" / "000.png")
        found = read_splits(tmp_path)
        assert list(found) == ["train", "validation", "test"] and found["test"][0].types == ("cut",)

    def test_several_masks_an_image_are_told(self, tmp_path):
        picture(tmp_path / "test" / "logical" / "000.png")
        picture(tmp_path / "train" / "good" / "000.png")
        picture(tmp_path / "ground_truth" / "logical" / "000" / "000.png")
        with pytest.raises(Unsupported, match="LOCO"):
            read_dataset(tmp_path)


# ---------------------------------------------------------------- CSV


class TestCsv:
    @pytest.mark.parametrize("images", ["copy", "refer"])
    def test_round_trip(self, tmp_path, parts, images):
        odd = Entry(parts["train"][0].source, tags=(Tag("a;b"), Tag(" ")), at=parts["train"][0].at)
        parts["val"] = Manifest([odd])
        written = write_dataset(parts, tmp_path / "out", format="csv", images=images)
        again = read_splits(written.path, format="csv", images=None)
        if images == "refer":
            assert again["test"][0].source == "s3://bucket/b/2.png"
            again["test"] = again["test"].select(range(1, 4))
            parts["test"] = parts["test"].select(range(1, 4))
        assert same(again, parts) and rules(written) == ({"lost-name"} if images == "copy" else set())

    @pytest.mark.parametrize(
        "text",
        [
            b"s3://b/1.jpg,anomaly\ns3://b/2.jpg,normal\n",  # as in Amazon's own sample
            b"s3://b/1.jpg,Anomaly\r\ns3://b/2.jpg,NORMAL",
            b"\xef\xbb\xbfImage;CLASS\n\ns3://b/1.jpg;anomaly\n\ns3://b/2.jpg;normal\n",
            b"n\tlabel\timage_path\n1\tanomaly\ts3://b/1.jpg\n2\tnormal\ts3://b/2.jpg\n",
            b'label,"File Name"\n"anomaly","s3://b/1.jpg"\nnormal,"s3://b/2.jpg"\n',
            "source,label\ns3://b/1.jpg,anomaly\ns3://b/2.jpg,normal\n".encode("utf-16"),
        ],
    )
    def test_many_spellings(self, tmp_path, text):
        manifest = read_dataset(write_file(tmp_path / "a.csv", text))
        assert [(e.source, str(e.label)) for e in manifest] == [("s3://b/1.jpg", "anomaly"), ("s3://b/2.jpg", "normal")]

    def test_other_columns_and_classes(self, tmp_path):
        file = write_file(
            tmp_path / "a.csv", b"Bild,Urteil,mask,defect\n1.png,OK,,\n2.png,NOK,2m.png,hole\n3.png,,,hole\n"
        )
        with pytest.raises(Invalid, match=r"first line is: Bild, Urteil.*columns={'source': 'NAME'}"):
            read_dataset(file, format="csv")
        with pytest.raises(Invalid, match="no known format"):
            read_dataset(file)
        columns = {"source": "Bild", "label": "urteil"}
        manifest = read_dataset(file, format="csv", columns=columns)
        assert [[t.name for t in e.tags] for e in manifest] == [["OK"], ["NOK"], ["hole"]]
        manifest = read_dataset(file, format="csv", columns=columns, classes={"ok": "normal", "nok": "anomaly"})
        assert [str(e.label) for e in manifest] == ["normal", "anomaly", "unlabelled"]
        assert manifest[1].mask == MaskRef("2m.png", {"hole": "#ffffff"}) and manifest[1].tags == ()
        for wrong in ({"source": "Foto"}, {"quelle": "Bild"}):
            with pytest.raises(Invalid, match=r"Foto|quelle"):
                read_dataset(file, format="csv", columns=wrong)

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            (b"source,label\n1.png,normal\n,normal\n", "line 3: the row names no image"),
            (b"source,label\n\xff.png,normal\n", "line 2: not UTF-8"),
            (b'source,label\n"1.png,normal\n', "line 2: "),
            (b"source,mask,types\n1.png,m.png,{junk}\n", "line 2: types must be"),
            (b"", "first line is: empty"),
            (b"a,b\n1,2\n", "first line is: a, b"),
        ],
    )
    def test_bad_tables_are_told_with_their_line(self, tmp_path, text, told):
        with pytest.raises(Invalid, match=told):
            read_dataset(write_file(tmp_path / "a.csv", text), format="csv")

    def test_images_lie_elsewhere_or_were_written_on_windows(self, tmp_path):
        picture(tmp_path / "there" / "x" / "1.png", 7)
        file = write_file(tmp_path / "a.csv", b"source,label\nold\\x\\1.png,normal\nthere\\x\\1.png,normal\n")
        assert said(read_dataset(file)[1])[0] == 7
        file = write_file(tmp_path / "b.csv", b"source,label\ns3://old/x/1.png,normal\n")
        assert said(read_dataset(file, images=tmp_path / "there")[0])[0] == 7

    def test_names_that_mislead_are_refused(self, tmp_path, parts):
        with pytest.raises(Invalid, match="Name a folder"):
            write_dataset(parts, tmp_path / "a.csv", format="csv")
        inlined = Entry("1.png", mask=MaskRef(inline(b"x"), {"x": "#23A436"}))
        with pytest.raises(Invalid, match="no file of its own"):
            write_dataset(Manifest([inlined]), tmp_path / "a.csv", format="csv", images="refer")


# ---------------------------------------------------------------- Amazon's export


class TestAwsExport:
    KEY = "getting started/2022-08-22T13:52/1.jpg"

    def export(self, root: Path, *, colon: str = ":", mask_key: str = "anomaly-mask-ref") -> Path:
        """Make what the export script left, for one image with a mask and one that was missing in the bucket."""
        line = {
            "source-ref": f"s3://bucket/{self.KEY}",
            "l": 1,
            "l-metadata": {"class-name": "anomaly"},
            mask_key: "s3://bucket/masks/1.png",
            f"{mask_key}-metadata": {"internal-color-map": {"1": {"class-name": "crack", "hex-color": "#23A436"}}},
        }
        gone = {"source-ref": "s3://bucket/gone.jpg", "who": "Ann"}
        text = f"{json.dumps(line)}\n{json.dumps(gone)}\n"
        write_file(root / "datasets" / "train.manifest", text.encode())
        picture(root / "train" / "images" / self.KEY.replace(":", colon), 5)
        painted(root / "train" / "masks" / "masks" / "1.png", {"crack": "#23A436"})
        return root

    @pytest.mark.parametrize("colon", [":", "\uf03a"])
    @pytest.mark.parametrize("mask_key", ["anomaly-mask-ref", "job-ref", "odd"])
    def test_one_call_finds_the_files(self, tmp_path, colon, mask_key):
        root = self.export(tmp_path / "export", colon=colon, mask_key=mask_key)
        manifest = read_dataset(root)
        assert manifest[0].source == f"s3://bucket/{self.KEY}" and said(manifest[0])[:2] == (5, "anomaly")
        assert said(manifest[0])[2] == {"crack": [[0, i] for i in range(SIZE[1])]}
        assert [f.line for f in manifest.check() if f.rule == "missing-image"] != []
        assert manifest.write(tmp_path / "x").read_bytes() == (root / "datasets" / "train.manifest").read_bytes()

    def test_a_manifest_that_was_spelled_on_windows_finds_colons(self, tmp_path):
        root = self.export(tmp_path)
        file = root / "datasets" / "train.manifest"
        text = file.read_text().replace("T13:52", "T13\uf03a52")
        write_file(file, text.encode(), overwrite=True)
        assert said(read_dataset(root)[0])[0] == 5

    def test_keys_that_lead_out_read_nothing_out_there(self, tmp_path):
        picture(tmp_path / "secret.png")
        picture(tmp_path / "e" / "train" / "images" / "x.png")
        line = b'{"source-ref": "s3://bucket/../../../secret.png"}\n'
        write_file(tmp_path / "e" / "datasets" / "train.manifest", line)
        assert Path(read_dataset(tmp_path / "e")[0].location).is_relative_to(tmp_path / "e" / "train" / "images")

    def test_written_it_is_the_same_layout(self, tmp_path):
        root = self.export(tmp_path / "export")
        picture(root / "train" / "images" / "gone.jpg", 6)
        manifest = read_splits(root)
        written = write_dataset(manifest, tmp_path / "again", format="aws-export")
        assert rules(written) == set()
        for file in (p for p in root.rglob("*") if p.is_file()):
            assert (tmp_path / "again" / file.relative_to(root)).read_bytes() == file.read_bytes()

    def test_any_set_can_be_written(self, tmp_path, parts):
        written = write_dataset(parts, tmp_path / "out", format="aws-export")
        assert rules(written) == set() and same(read_splits(tmp_path / "out"), parts)
        again = write_dataset(read_splits(tmp_path / "out"), tmp_path / "again", format="aws-export")
        names = [
            sorted(p.relative_to(r).as_posix() for p in r.rglob("*")) for r in (tmp_path / "out", tmp_path / "again")
        ]
        assert rules(again) == set() and names[0] == names[1]
        assert read_splits(tmp_path / "out")["test"][0].source == "s3://bucket/b/2.png"

    def test_images_of_no_split_beside_those_of_train(self, tmp_path):
        one, two = (Manifest([Entry("1.png", at=picture(tmp_path / f"{v}.png", v))]) for v in (1, 2))
        written = write_dataset({"": one, "train": two}, tmp_path / "out", format="aws-export")
        again = read_splits(tmp_path / "out")
        assert {s: said(m[0])[0] for s, m in again.items()} == {"dataset": 1, "train": 2}
        assert rules(written) == {"lost-split"}

    def test_one_key_in_two_buckets(self, tmp_path):
        entries = [
            Entry(f"s3://{b}/k.png", at=picture(tmp_path / b / "k.png", v)) for v, b in enumerate(("aaa", "bbb"))
        ]
        written = write_dataset({"train": Manifest(entries)}, tmp_path / "out", format="aws-export")
        again = read_dataset(tmp_path / "out")
        assert [said(e)[0] for e in again] == [0, 1] and rules(written) == {"lost-name"}
        assert [e.source for e in again] == ["s3://aaa/k.png", "../train/images/k-2.png"]


# ---------------------------------------------------------------- what all writers share

PLAIN = ("lookout", "folders", "mvtec", "csv", "aws-export")
ODD = (
    "../../x.png",
    "/etc/x.png",
    "s3://bucket/../../x.png",
    "C:\\Windows\\x.png",
    "..\\..\\x.png",
    "a/./x.png",
    "A/X.PNG",
    "a/x.png",
    "nul.png",
    ".hidden/.x.png",
    "cam 1:22?.png",
    "x.png/",
    "x.png/y.png",
    "s3://bucket/key without suffix",
    "ü/" + "ü" * 200 + ".png",
    "file:///parts/a%20b.png",
    "a/x",
    "Thumbs.db/1.png",
    "\ud800.png",
    "data:image/png;base64,",
)


@pytest.mark.parametrize("format", PLAIN)
def test_no_name_leads_out_and_no_image_is_lost(tmp_path, format):
    entries = [Entry(source, Label.NORMAL, at=picture(tmp_path / "in" / f"{i}.png", i)) for i, source in enumerate(ODD)]
    written = write_dataset({"train": Manifest(entries)}, tmp_path / "box" / "out", format=format)
    again = read_dataset(written.path, format=format)
    assert sorted(said(e)[0] for e in again) == list(range(len(ODD)))
    assert "lost-name" in rules(written)
    assert {p.name for p in tmp_path.iterdir()} == {"in", "box"}
    assert [p.name for p in (tmp_path / "box").iterdir()] == ["out"]
    top = (tmp_path / "box" / "out").resolve()
    assert all(Path(e.location).resolve().is_relative_to(top) for e in again)


def test_names_are_unique_where_case_does_not_count():
    names = unique_names([Entry(source) for source in ODD], stems=True)
    stems = [name.rpartition(".")[0].casefold() for name in names]
    assert len(set(stems)) == len(names) and not [n for n in names if n.startswith(("/", ".")) or "/.." in n]
    folders = {str(parent).casefold() for name in names for parent in Path(name).parents}
    assert not folders & {name.casefold() for name in names}
    for name in names:
        for part in name.split("/"):
            assert part == safe_name(part) and len(part.encode()) < 200


@pytest.mark.parametrize("format", PLAIN)
def test_a_missing_image_leaves_nothing_behind(tmp_path, format):
    there = Entry("1.png", Label.NORMAL, at=picture(tmp_path / "in" / "1.png"))
    for lost in (
        Entry("2.png", Label.NORMAL, at=str(tmp_path / "gone.png")),
        Entry("s3 is no path/2.png", Label.NORMAL),
    ):
        with pytest.raises(NotFound, match=r"2\.png"):
            write_dataset({"train": Manifest([there, lost])}, tmp_path / "out", format=format)
    no_mask = Entry("3.png", Label.ANOMALY, mask=MaskRef("m.png", {"x": "#23A436"}), at=there.at)
    with pytest.raises(NotFound, match=r"m\.png"):
        write_dataset({"train": Manifest([there, no_mask])}, tmp_path / "out", format=format)
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize("format", PLAIN)
def test_only_what_was_written_here_is_replaced(tmp_path, format, parts):
    write_dataset(parts, tmp_path / "out", format=format)
    with pytest.raises(Conflict, match="overwrite=True"):
        write_dataset(parts, tmp_path / "out", format=format)
    write_dataset(read_splits(tmp_path / "out"), tmp_path / "out", format=format, overwrite=True)  # from itself
    assert same(read_splits(tmp_path / "out"), parts) or format == "mvtec"
    mine = write_file(tmp_path / "out" / "train" / "mine.txt", b"precious")
    with pytest.raises(Conflict, match="left alone"):
        write_dataset(parts, tmp_path / "out", format=format, overwrite=True)
    assert mine.read_bytes() == b"precious"
    strange = write_file(tmp_path / "strange" / "mine.txt", b"precious")
    with pytest.raises(Conflict):
        write_dataset(parts, strange.parent, format=format, overwrite=True)
    (tmp_path / "empty").mkdir()
    write_dataset(parts, tmp_path / "empty", format=format)


def test_links_share_the_bytes(tmp_path, parts):
    write_dataset(parts, tmp_path / "out", format="folders", images="link")
    source = Path(parts["train"][0].location)
    assert os.path.samefile(source, tmp_path / "out" / "train" / "normal" / "a" / "1.png")


def test_a_set_that_refers_to_itself_is_not_replaced(tmp_path, parts):
    write_dataset(parts, tmp_path / "out", format="lookout")
    with pytest.raises(Conflict, match="would be replaced"):
        write_dataset(read_splits(tmp_path / "out"), tmp_path / "out", format="lookout", images="refer", overwrite=True)
    assert same(read_splits(tmp_path / "out"), parts)


def test_a_mask_without_types_needs_no_file(tmp_path):
    entry = Entry(
        "1.png", Label.NORMAL, at=picture(tmp_path / "1.png"), mask=MaskRef("s3://b/dummy.png", {}, at="/gone.png")
    )
    for name in PLAIN:
        again = read_dataset(write_dataset(Manifest([entry]), tmp_path / name, format=name).path)
        assert not {f.rule for f in again.check()} & {"missing-mask", "bad-mask"} and again[0].types == ()
