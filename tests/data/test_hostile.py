"""A careless or hostile hand: a clear error or a Finding, never a crash, a hang or a lost file."""

from __future__ import annotations

import gzip
import json
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest

from vision_toolkit.core import Conflict, Entry, Failed, Invalid, Label, Mask, MaskRef, Region, Tag, VisionError
from vision_toolkit.data import Manifest
from vision_toolkit.data.check import check_file
from vision_toolkit.data.convert import read_dataset, write_dataset
from vision_toolkit.data.images import encode_jpeg, encode_mask, encode_png, probe, read_image
from vision_toolkit.data.jsonlines import LONGEST
from vision_toolkit.data.repair import plan_repair
from vision_toolkit.data.storage import inline, new_file, read_bytes, write_file

GREY = encode_png(np.full((80, 80), 99, np.uint8))


def line(source: str) -> str:
    return json.dumps({"source-ref": source})


def manifest(folder: Path, *sources: str) -> Path:
    return write_file(folder / "old.manifest", "".join(line(source) + "\n" for source in sources).encode())


# ---------------------------------------------------------------- names of images


@pytest.mark.parametrize(
    "source",
    [
        "x" * 300 + ".png",
        "/" + "b/" * 3000 + "1.png",
        "~nobody-of-this-name/1.png",
        "file://[no-host/1.png",
        "a\0b.png",
    ],
)
def test_a_name_that_no_disk_takes_is_a_missing_image_and_no_crash(tmp_path: Path, source: str) -> None:
    path = manifest(tmp_path, source)
    for found in (
        list(check_file(path)),
        list(check_file(path, images=tmp_path)),
        Manifest([Entry(source)]).check(),
    ):
        assert "missing-image" in {finding.rule for finding in found}
    assert plan_repair(path, rules=["missing-image"]).removed == 1


def test_a_name_of_nobodys_home_is_a_folder() -> None:
    with pytest.raises(VisionError, match="nobody-of-this-name"):
        read_bytes("~nobody-of-this-name/1.png")


def test_a_data_set_or_file_of_an_impossible_name_is_told(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 300)
    for call in (
        lambda: read_dataset(long),
        lambda: write_dataset(Manifest([Entry("1.png", at=str(tmp_path))]), long, format="coco"),
        lambda: Manifest([]).write(long),
    ):
        with pytest.raises(Failed, match="name too long"):
            call()
    with pytest.raises(Invalid, match="NUL"):
        list(check_file("a\0b.manifest"))


def test_an_image_that_vanishes_during_a_check_is_told(tmp_path: Path) -> None:
    names = [f"{i}.png" for i in range(200)]
    for name in names:
        write_file(tmp_path / name, GREY)

    def vanish(done: int, total: int) -> None:
        for name in names:
            (tmp_path / name).unlink(missing_ok=True)

    rules = {finding.rule for finding in check_file(manifest(tmp_path, *names), progress=vanish)}
    assert rules & {"missing-image", "unreadable-image"}


# ---------------------------------------------------------------- what is no file


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    for call in (lambda: list(check_file(pipe)), lambda: read_image(pipe), lambda: probe(Entry(str(pipe)))):
        with pytest.raises(Invalid, match="pipe or a device"):
            call()
    with pytest.raises(Invalid, match="pipe or a device"):
        Manifest([]).check(journal=pipe)


def test_a_folder_is_called_a_folder(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="is a folder"):
        list(check_file(tmp_path))


def test_compressed_twice_is_said(tmp_path: Path) -> None:
    path = write_file(tmp_path / "x.gz", gzip.compress(gzip.compress(line("1.png").encode())))
    with pytest.raises(Invalid, match="twice"):
        Manifest.read(path)


def test_the_size_of_a_long_line_is_all_of_it(tmp_path: Path) -> None:
    size = 3 * LONGEST
    path = tmp_path / "x.manifest"
    with path.open("wb") as file:
        file.truncate(size)
        file.seek(size)
        file.write(b"\n")
    text = next(finding.text for finding in check_file(path) if finding.rule == "huge-line")
    assert f"{size:,} bytes" in text


@pytest.mark.parametrize("format", ["auto", "folders", "csv"])
def test_a_folder_that_may_not_be_read_is_named(format: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        locked = Path(folder, "locked")
        locked.mkdir(mode=0o000)
        me = os.geteuid()
        try:
            if me == 0:  # root may read everything
                os.seteuid(65534)
            with pytest.raises(Failed, match=r"locked.*[Pp]ermission denied"):
                read_dataset(locked, format=format)
        finally:
            os.seteuid(me)


def test_an_image_that_may_not_be_read_is_not_called_missing() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        write_file(Path(folder, "locked", "1.png"), GREY)
        path = manifest(Path(folder), "locked/1.png")
        os.chmod(Path(folder, "locked"), 0o000)
        me = os.geteuid()
        try:
            if me == 0:
                os.seteuid(65534)
            found = {finding.rule: finding.text for finding in check_file(path)}
            kept = plan_repair(path, rules=["missing-image"]).kept
        finally:
            os.seteuid(me)
            os.chmod(Path(folder, "locked"), 0o755)
        assert "Permission denied" in found["unreadable-image"]
        assert "missing-image" not in found
        assert kept == 1


# ---------------------------------------------------------------- one finding, not one a line


def test_a_folder_an_image_that_all_are_missing_is_one_finding(tmp_path: Path) -> None:
    path = manifest(tmp_path, *(f"part{i}/1.png" for i in range(3000)))
    missing = [finding for finding in check_file(path) if finding.rule == "missing-image"]
    assert len(missing) == 1
    assert "3,000 images" in missing[0].text
    assert "3,000 folders" in missing[0].text


def test_a_mask_of_another_map_does_not_say_the_same(tmp_path: Path) -> None:
    def entry(kind: str) -> Entry:
        return Entry("1.png", Label.ANOMALY, mask=MaskRef("1m.png", {kind: "#23A436"}))

    rules = {finding.rule for finding in Manifest([entry("dent"), entry("hole")]).check(look="none")}
    assert "source-conflict" in rules
    assert "source-twice" not in rules


def test_images_of_one_name_in_two_folders_are_no_copies(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        write_file(tmp_path / folder / "1.png", GREY)
        manifest(tmp_path / folder, "1.png")
    both = Manifest.read(tmp_path / "a" / "old.manifest") + Manifest.read(tmp_path / "b" / "old.manifest")
    assert "source-twice" not in {finding.rule for finding in both.check()}
    assert len(plan_repair(both).manifest()) == 2


# ---------------------------------------------------------------- journals


@pytest.mark.parametrize("journal", ["", "1.png/below"])
def test_a_journal_that_cannot_be_kept_is_told(tmp_path: Path, journal: str) -> None:
    write_file(tmp_path / "1.png", GREY)
    with pytest.raises(Failed, match="journal"):
        list(check_file(manifest(tmp_path, "1.png"), journal=tmp_path / journal))


def test_a_journal_of_rules_that_nobody_knows_is_looked_at_again(tmp_path: Path) -> None:
    write_file(tmp_path / "1.png", GREY)
    path, journal = manifest(tmp_path, "1.png"), tmp_path / "journal"
    before = list(check_file(path, journal=journal))
    known = json.loads(journal.read_text())
    journal.write_text(json.dumps(known | {"odd": [["no-such-rule", "x"]]}) + "\n" + json.dumps(known | {"key": "y"}))
    assert list(check_file(path, journal=journal)) == before


# ---------------------------------------------------------------- repairs


def test_the_rejected_lines_never_replace_the_old_manifest(tmp_path: Path) -> None:
    old = write_file(tmp_path / "x.manifest.rejected", b"junk\n" + line("1.png").encode() + b"\n")
    before = old.read_bytes()
    with pytest.raises(Conflict, match="old manifest"):
        plan_repair(old).write(tmp_path / "x.manifest", overwrite=True)
    assert old.read_bytes() == before


def test_a_repair_in_memory_leads_to_the_same_images(tmp_path: Path) -> None:
    write_file(tmp_path / "parts" / "normal" / "1.png", GREY)
    path = plan_repair(Manifest.from_folder(tmp_path / "parts")).write(tmp_path / "elsewhere" / "new.manifest")
    assert "missing-image" not in {finding.rule for finding in Manifest.read(path).check()}


def test_a_repair_in_memory_gives_masks_a_file(tmp_path: Path) -> None:
    mask = Mask(np.eye(80, dtype=np.uint8), ("background", "scratch"))
    image = write_file(tmp_path / "1.png", GREY)
    ref = MaskRef(inline(encode_mask(mask)), {"scratch": mask.colours[1]})
    path = plan_repair(Manifest([Entry("1.png", Label.ANOMALY, mask=ref, at=str(image))])).write(tmp_path / "m")
    entry = Manifest.read(path)[0]
    assert entry.mask is not None
    assert entry.mask.uri == "m-masks/1.png"
    assert (tmp_path / entry.mask.uri).read_bytes() == encode_mask(mask)


def test_a_repair_in_memory_looks_where_it_is_told(tmp_path: Path) -> None:
    write_file(tmp_path / "1.png", GREY)
    m = Manifest([Entry("1.png"), Entry("2.png")])
    plan = plan_repair(m, rules=["missing-image"], images=tmp_path)
    assert [entry.source for entry in plan.manifest()] == ["1.png"]


def test_new_masks_replace_no_file_unasked(tmp_path: Path) -> None:
    write_file(tmp_path / "1.png", GREY)
    write_file(tmp_path / "1m.jpg", encode_jpeg(np.zeros((80, 80, 3), np.uint8)))
    entry = Entry("1.png", Label.ANOMALY, mask=MaskRef("1m.jpg", {"dent": "#23A436"}))
    old = Manifest([entry]).write(tmp_path / "old.manifest")
    precious = write_file(tmp_path / "new-masks" / "1-1.png", b"precious")
    plan = plan_repair(old, rules=["mask-no-png"])
    with pytest.raises(Conflict, match=r"1-1\.png"):
        plan.write(tmp_path / "new.manifest")
    assert precious.read_bytes() == b"precious"
    assert not (tmp_path / "new.manifest").exists()
    plan.write(tmp_path / "new.manifest", overwrite=True)
    assert probe(precious).format == "PNG"


def test_a_repair_takes_a_manifest() -> None:
    with pytest.raises(Invalid, match="NoneType"):
        plan_repair(None)  # type: ignore[arg-type]


# ---------------------------------------------------------------- writing


def test_a_link_to_nothing_is_not_replaced_unasked(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("not-there-yet")
    with pytest.raises(Conflict):
        Manifest([Entry("1.png")]).write(link)
    assert link.is_symlink()


def test_a_file_that_somebody_else_wrote_meanwhile_stays(tmp_path: Path) -> None:
    path = tmp_path / "1.txt"

    def write() -> None:
        with new_file(path) as file:
            file.write(b"ours")
            path.write_bytes(b"theirs")

    with pytest.raises(Conflict):
        write()
    assert path.read_bytes() == b"theirs"
    assert os.listdir(tmp_path) == ["1.txt"]


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path: Path) -> None:
    file = write_file(tmp_path / "1.png", GREY)
    with pytest.raises(Conflict, match="a file stands"):
        Manifest([Entry("1.png")]).write(file / "x.manifest")
    with pytest.raises(Invalid, match="one of the folders in its path"):
        Manifest([Entry("1.png")]).write(file / "below" / "x.manifest")


@pytest.mark.parametrize("format", ["coco", "voc"])
def test_an_image_that_cannot_be_read_is_named_and_not_its_copy(tmp_path: Path, format: str) -> None:
    bad = write_file(tmp_path / "bad.png", b"no image")
    with pytest.raises(Invalid, match=r"^parts/bad\.png "):
        write_dataset(Manifest([Entry("parts/bad.png", at=str(bad))]), tmp_path / "out", format=format)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("format", ["coco", "yolo", "voc", "label-studio", "oci"])
@pytest.mark.parametrize("kind", ["region", "tag"])
def test_a_class_without_a_name_is_told_before_anything_is_written(tmp_path: Path, format: str, kind: str) -> None:
    image = write_file(tmp_path / "1.png", GREY)
    entry = Entry("1.png", Label.ANOMALY, tags=(Tag(" "),), at=str(image))
    if kind == "region":
        entry = Entry("1.png", regions=(Region.box("", left=0.25, top=0.25, width=0.5, height=0.5),), at=str(image))
    with pytest.raises(Invalid, match=r"1\.png has a class without a name"):
        write_dataset(Manifest([entry]), tmp_path / "out", format=format)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("format", ["lookout", "ground-truth", "coco", "yolo", "voc", "csv", "label-studio", "oci"])
def test_what_was_written_from_folders_is_of_one_format(tmp_path: Path, format: str) -> None:
    write_file(tmp_path / "in" / "normal" / "1.png", GREY)
    write_file(tmp_path / "in" / "anomaly" / "2.png", GREY)
    written = write_dataset(read_dataset(tmp_path / "in"), tmp_path / "out", format=format)
    assert len(read_dataset(written.path)) == 2


def test_a_layout_without_a_normal_image_is_known_again(tmp_path: Path) -> None:
    image = write_file(tmp_path / "1.png", GREY)
    m = Manifest([Entry("1.png", Label.ANOMALY, at=str(image))])
    written = write_dataset(m, tmp_path / "out", format="mvtec")
    assert [entry.label for entry in read_dataset(written.path)] == [Label.ANOMALY]


# ---------------------------------------------------------------- what is no number, no picture, no manifest


@pytest.mark.parametrize("corner", [float("nan"), float("inf")])
def test_a_corner_that_is_no_number_is_refused_and_in_a_line_told(corner: float) -> None:
    with pytest.raises(Invalid, match="Corners of a region are numbers"):
        Region("pore", ((0.0, 0.0), (1.0, corner), (1.0, 1.0)))
    box = {"name": "pore", "polygon": [[0, 0], [1, corner], [1, 1]]}
    text = json.dumps({"source-ref": "1.png", "r": [box], "r-metadata": {"type": "vision-toolkit/regions"}})
    assert "bad-regions" in {finding.rule for finding in Manifest([Entry("1.png", raw=text)]).check(look="none")}


def test_a_set_with_a_broken_picture_shows_the_others(tmp_path: Path) -> None:
    write_file(tmp_path / "1.png", GREY)
    write_file(tmp_path / "2.png", b"broken")
    shown = Manifest.read(manifest(tmp_path, "1.png", "2.png", "3.png")).show()
    words = " ".join(text.get_text() for text in shown.findobj(lambda artist: hasattr(artist, "get_text")))
    assert "1.png" in words and "2.png" in words and "3.png" in words


def test_a_text_that_is_no_manifest_is_not_read_as_an_empty_one(tmp_path: Path) -> None:
    write_file(tmp_path / "notes.txt", b"Dear colleagues,\n\nthe camera was moved.\n")
    with pytest.raises(Invalid, match=r"notes\.txt has no line that names an image"):
        read_dataset(tmp_path / "notes.txt", format="lookout")
