"""Manifests: whole files, folders, where images lie, what is odd."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vision_toolkit.core import Conflict, Entry, Invalid, Label, Mask, MaskRef, NotFound
from vision_toolkit.data import Manifest
from vision_toolkit.data.images import encode_mask, encode_png

GOOD = '{"source-ref": "images/1.png", "l": 1, "l-metadata": {"class-name": "normal"}}'


def write(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def picture(path: Path, *, size: tuple[int, int] = (96, 80), value: int = 90) -> Path:
    return write(path, encode_png(np.full((size[1], size[0], 3), value, np.uint8)))


def rules(manifest: Manifest) -> set[str]:
    return {finding.rule for finding in manifest.check()}


@pytest.mark.parametrize(
    "text",
    [
        f"{GOOD}\n",
        GOOD,
        f"{GOOD}\r\n{GOOD}\r\n",
        f"\ufeff{GOOD}\n",
        f"\n\n{GOOD}\n\nnot json\n{{}}\n{GOOD}\n \n",
        f"junk\n{GOOD}",
        "",
        "\n",
        "only junk",
        b"\xff\xfe broken utf-8\n" + GOOD.encode() + b"\n\xc3\x28\n",
        f"{GOOD}\n\x00\x00\n",
    ],
    ids=repr,
)
def test_a_file_is_written_back_byte_for_byte(tmp_path, text):
    source = write(tmp_path / "a.manifest", text)
    copy = Manifest.read(source).write(tmp_path / "b.manifest")
    assert copy.read_bytes() == source.read_bytes()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.lists(st.sampled_from([GOOD, "", "junk", "{}", " ", f"{GOOD}\r", "[1]"]), max_size=8), st.booleans())
def test_any_mixture_of_lines_is_written_back(tmp_path, lines, newline):
    source = write(tmp_path / "a.manifest", "\n".join(lines) + "\n" * newline)
    manifest = Manifest.read(source)
    copy = manifest.write(tmp_path / "b.manifest", overwrite=True)
    assert copy.read_bytes() == source.read_bytes()
    assert len(manifest) == sum(GOOD in one for one in lines)
    ours = ("value-ignored", "no-type", "no-human-annotated", "source-twice")
    told = {f.line for f in manifest.check(look="none") if f.line and f.rule not in ours}
    file_lines = source.read_text().split("\n")
    if file_lines[-1] == "":
        file_lines.pop()
    assert told == {i for i, one in enumerate(file_lines, 1) if GOOD not in one}


def test_bad_lines_are_findings_with_their_numbers_and_stop_nothing(tmp_path):
    manifest = Manifest.read(write(tmp_path / "m", f"{GOOD}\nnot json\n\n{{}}\n{GOOD}\n"))
    assert len(manifest) == 2
    told = [(f.line, f.rule) for f in manifest.check(look="none") if f.severity != "info" and f.line]
    assert told == [(2, "not-json"), (4, "no-source"), (5, "source-twice")]


def test_an_edit_leaves_every_other_line_to_the_letter(tmp_path):
    odd = '{ "source-ref" :  "x.png" , "note":"ü" }'
    source = write(tmp_path / "a.manifest", f"{odd}\njunk\n{GOOD}\n")
    manifest = Manifest.read(source)
    edited = Manifest.read(source)
    edited._entries = (manifest[0], manifest[1].relabelled("anomaly"))
    text = edited.write(tmp_path / "b").read_text()
    assert text.splitlines()[:2] == [odd, "junk"] and json.loads(text.splitlines()[2])["l"] == 1


def test_nothing_is_overwritten_unasked(tmp_path):
    there = write(tmp_path / "mine.manifest", "precious")
    manifest = Manifest([Entry("1.png")])
    with pytest.raises(Conflict, match="overwrite=True"):
        manifest.write(there)
    assert there.read_text() == "precious" and [p.name for p in tmp_path.iterdir()] == ["mine.manifest"]
    assert manifest.write(there, overwrite=True).read_text() == '{"source-ref": "1.png"}\n'


def test_relocating_leads_relative_places_to_their_files_and_leaves_the_rest(tmp_path):
    picture(tmp_path / "set" / "images" / "1.png")
    colours = '{"0": {"class-name": "a", "hex-color": "#23A436"}}'
    masked = (
        '{"source-ref": "images/1.png", "m-ref": "images/1.png", "m-ref-metadata": '
        f'{{"internal-color-map": {colours}, "type": "groundtruth/semantic-segmentation"}}}}'
    )
    cloud = '{"source-ref": "s3://b/1.png"}'
    manifest = Manifest.read(write(tmp_path / "set" / "m", f"{masked}\n{cloud}\n"))
    as_is = manifest.write(tmp_path / "lists" / "copy").read_text()
    assert as_is == f"{masked}\n{cloud}\n"
    moved = Manifest.read(manifest.write(tmp_path / "lists" / "moved", relocate=True))
    assert moved[0].source == "../set/images/1.png" and "missing-image" not in rules(moved)
    assert moved.write(tmp_path / "x").read_text() == as_is.replace('"images/', '"../set/images/')  # no more than that
    assert manifest.write(tmp_path / "set" / "beside", relocate=True).read_text() == as_is


def test_reading_what_is_not_there_or_a_folder(tmp_path):
    with pytest.raises(NotFound, match="Nothing is at"):
        Manifest.read(tmp_path / "none.manifest")
    with pytest.raises(Invalid, match="is not a file"):
        Manifest.read(tmp_path)


class TestImagesLie:
    LINE = '{"source-ref": "s3://bucket/getting started/a/1 ü.png"}\n'

    def test_beside_the_manifest(self, tmp_path):
        picture(tmp_path / "images" / "1.png")
        manifest = Manifest.read(write(tmp_path / "m.manifest", GOOD))
        assert manifest[0].location == str(tmp_path / "images" / "1.png")
        assert manifest[0].source == "images/1.png"
        assert "missing-image" not in rules(manifest)

    @pytest.mark.parametrize("below", ["getting started/a/1 ü.png", "a/1 ü.png", "1 ü.png"])
    def test_in_a_folder_under_the_longest_end_of_their_path(self, tmp_path, below):
        folder = tmp_path / "my images"
        picture(folder / below)
        manifest = Manifest.read(write(tmp_path / "m.manifest", self.LINE), images=folder)
        assert manifest[0].location == str(folder / below)
        assert manifest[0].source == "s3://bucket/getting started/a/1 ü.png"

    def test_under_prefixes_the_longest_first(self, tmp_path):
        for name in ("far", "near"):
            (tmp_path / name).mkdir()
        manifest = Manifest.read(
            write(tmp_path / "m.manifest", self.LINE),
            images={"s3://bucket": tmp_path / "far", "s3://bucket/getting started/": tmp_path / "near"},
        )
        assert manifest[0].location == str(tmp_path / "near" / "a" / "1 ü.png")

    def test_a_prefix_ends_at_a_slash(self, tmp_path):
        manifest = Manifest.read(write(tmp_path / "m", self.LINE), images={"s3://buck": tmp_path})
        assert manifest[0].location == manifest[0].source

    def test_a_folder_that_is_not_there_is_told(self, tmp_path):
        with pytest.raises(Invalid, match="which is not there"):
            Manifest.read(write(tmp_path / "m", self.LINE), images=tmp_path / "none")

    def test_masks_too(self, tmp_path):
        line = {
            "source-ref": "s3://b/images/1.png",
            "m-ref": "s3://b/masks/1.png",
            "m-ref-metadata": {"internal-color-map": {"1": {"class-name": "a", "hex-color": "#23A436"}}},
        }
        picture(tmp_path / "x" / "images" / "1.png")
        mask = Mask(np.eye(80, 96, dtype=np.uint8), ("background", "a"))
        write(tmp_path / "x" / "masks" / "1.png", encode_mask(mask))
        manifest = Manifest.read(write(tmp_path / "m", json.dumps(line)), images=tmp_path / "x")
        assert manifest[0].mask is not None and manifest[0].mask.location == str(tmp_path / "x" / "masks" / "1.png")
        assert not {"missing-mask", "bad-mask", "empty-mask"} & rules(manifest)


class TestFromFolder:
    def test_the_two_folders_are_the_labels(self, tmp_path):
        picture(tmp_path / "normal" / "b.png")
        picture(tmp_path / "normal" / "deep" / "er" / "a.JPG")
        picture(tmp_path / "Anomaly" / "ü 1.png")
        picture(tmp_path / "elsewhere" / "c.png")
        write(tmp_path / "normal" / ".DS_Store", "x")
        write(tmp_path / "normal" / ".hidden" / "d.png", "x")
        write(tmp_path / "normal" / "notes.txt", "x")
        manifest = Manifest.from_folder(tmp_path)
        assert [(e.source, str(e.label)) for e in manifest] == [
            ("normal/b.png", "normal"),
            ("normal/deep/er/a.JPG", "normal"),
            ("Anomaly/ü 1.png", "anomaly"),
        ]

    def test_written_elsewhere_it_still_finds_its_images(self, tmp_path):
        picture(tmp_path / "parts" / "normal" / "1.png")
        manifest = Manifest.from_folder(tmp_path / "parts")
        again = Manifest.read(manifest.write(tmp_path / "lists" / "a.manifest"))
        assert again[0].source == "../parts/normal/1.png" and "missing-image" not in rules(again)

    def test_without_the_two_folders_it_says_what_is_there(self, tmp_path):
        picture(tmp_path / "good" / "1.png")
        with pytest.raises(Invalid, match=r"'normal' and 'anomaly'.*it has good"):
            Manifest.from_folder(tmp_path)
        with pytest.raises(NotFound):
            Manifest.from_folder(tmp_path / "none")


class TestCheck:
    def manifest(self, tmp_path: Path, *entries: Entry) -> Manifest:
        return Manifest.read(Manifest(entries).write(tmp_path / "m.manifest", overwrite=True))

    def test_missing_images_are_one_finding_a_folder(self, tmp_path):
        manifest = self.manifest(tmp_path, *(Entry(f"gone/{i}.png") for i in range(50)))
        found = [f for f in manifest.check() if f.rule == "missing-image"]
        assert len(found) == 1 and "50 images" in found[0].text and found[0].severity == "error"

    def test_nothing_is_dialled_for_images_elsewhere(self, tmp_path, monkeypatch):
        import socket

        monkeypatch.setattr(socket.socket, "connect", lambda *a: pytest.fail("dialled"))
        manifest = self.manifest(tmp_path, *(Entry(f"s3://b/p/{i}.png") for i in range(9)))
        found = [f for f in manifest.check() if f.rule == "not-local"]
        assert len(found) == 1 and "9 images" in found[0].text and '{"s3://b/p": "folder/"}' in (found[0].repair or "")

    def test_unreadable_truncated_odd_and_different_images(self, tmp_path):
        picture(tmp_path / "a.png")
        picture(tmp_path / "b.png")
        picture(tmp_path / "small.png", size=(32, 20))
        write(tmp_path / "text.png", "no image")
        write(tmp_path / "none.png", "")
        names = ["a.png", "b.png", "small.png", "text.png", "none.png"]
        findings = self.manifest(tmp_path, *(Entry(n, Label.NORMAL) for n in names)).check()
        told = {(f.line, f.rule) for f in findings if f.line}
        assert {(3, "odd-size"), (3, "sizes-differ"), (4, "unreadable-image"), (5, "unreadable-image")} == told

    def test_masks_are_looked_at(self, tmp_path):
        for i in range(5):
            picture(tmp_path / f"a{i}.png")
        good = Mask(np.eye(80, 96, dtype=np.uint8), ("background", "crack"))
        write(tmp_path / "good.png", encode_mask(good))
        write(tmp_path / "size.png", encode_mask(good.resized(48, 40)))
        write(tmp_path / "blank.png", encode_mask(Mask(np.zeros((80, 96), np.uint8))))
        write(tmp_path / "broken.png", "no image")
        colours = {"crack": "#23A436"}
        entries = [
            Entry(f"a{i}.png", Label.ANOMALY, mask=MaskRef(f"{n}.png", colours))
            for i, n in enumerate(("good", "size", "blank", "broken", "gone"))
        ]
        told = {(f.line, f.rule) for f in self.manifest(tmp_path, *entries).check() if f.line}
        assert told == {(2, "mask-size"), (3, "empty-mask"), (4, "bad-mask"), (5, "missing-mask")}

    def test_a_dummy_mask_needs_no_file(self, tmp_path):
        picture(tmp_path / "a.png")
        manifest = self.manifest(tmp_path, Entry("a.png", Label.NORMAL, mask=MaskRef("dummy.png", {})))
        assert "missing-mask" not in rules(manifest)

    def test_the_set_as_a_whole(self, tmp_path):
        assert rules(Manifest()) == {"empty"}
        picture(tmp_path / "a.png")
        manifest = self.manifest(tmp_path, Entry("a.png", Label.ANOMALY), Entry("a.png"))
        assert {"source-conflict", "no-normal", "unlabelled", "few-images"} <= rules(manifest)
        manifest = self.manifest(tmp_path, Entry("a.png", Label.NORMAL), Entry("b.png"), Entry("a.png", Label.NORMAL))
        assert [(f.line, f.rule) for f in manifest.check() if f.rule.startswith("source")] == [(3, "source-twice")]


def test_it_is_an_immutable_sequence_of_entries():
    entries = [Entry(f"{i}.png", list(Label)[i % 3]) for i in range(7)]
    manifest = Manifest(entries)
    assert list(manifest) == entries and manifest[-1] == entries[-1] and manifest[2:4] == Manifest(entries[2:4])
    assert manifest.select([5, 0]) == Manifest([entries[5], entries[0]])
    assert manifest.filter(label="normal").counts()["normal"] == 3 == len(manifest.filter(label=Label.NORMAL))
    assert manifest[:2] + manifest[2:] == manifest and hash(manifest[:]) == hash(manifest)
    assert manifest.fingerprint() != manifest[:-1].fingerprint() and manifest.fingerprint() == manifest[:].fingerprint()
    with pytest.raises(Invalid, match="Entry"):
        Manifest(["1.png"])  # type: ignore[list-item]
    with pytest.raises(Invalid, match="'normal', 'anomaly'"):
        manifest.filter(label="good")


def test_a_fingerprint_is_of_what_is_said_not_of_where_it_lies():
    one = Manifest([Entry("a.png", Label.NORMAL, raw="{}", at="/x/a.png")])
    assert one.fingerprint() == Manifest([Entry("a.png", Label.NORMAL)]).fingerprint()
    assert one.fingerprint() != Manifest([Entry("a.png", Label.ANOMALY)]).fingerprint()


def test_it_becomes_a_table(tmp_path):
    ref = MaskRef("m.png", {"crack": "#23A436"})
    frame = Manifest([Entry("a.png", Label.ANOMALY, mask=ref), Entry("b.png")]).to_frame()
    assert frame["label"].tolist() == ["anomaly", "unlabelled"] and frame["types"].tolist() == [("crack",), ()]
    assert list(Manifest().to_frame().columns) == list(frame.columns)


def test_it_shows_itself(tmp_path):
    picture(tmp_path / "normal" / "1.png")
    picture(tmp_path / "anomaly" / "<b>.png")
    manifest = Manifest.from_folder(tmp_path)
    assert repr(manifest) == "Manifest(2 images: 1 normal, 1 anomaly)"
    assert "<td>1</td>" in manifest._repr_html_()
    figure = manifest.show()
    words = " ".join(text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text")))
    assert "1.png" in words and "<b>.png" in words and "anomaly" in words


def test_amazons_cookie_manifests(shared, tmp_path):
    for name in ("template", "train_class", "train_segmentation"):
        path = shared / "data" / "cookies" / "manifests" / f"{name}.manifest"
        manifest = Manifest.read(path, images=shared / "data" / "cookies")
        assert manifest.counts()["normal"] == 31 and manifest.counts()["anomaly"] == 32
        assert manifest.write(tmp_path / name).read_bytes() == path.read_bytes()
        assert not [f for f in manifest.check() if f.severity != "info"]
