"""What is odd in a manifest: the same of a file and of one in memory, in bounded memory, with nothing dialled."""

from __future__ import annotations

import json
import socket
import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.data.test_usual import lines, usual
from vision_toolkit.core import Entry, Invalid, Label, Mask, MaskRef
from vision_toolkit.data import Manifest
from vision_toolkit.data.check import check_file
from vision_toolkit.data.images import encode_mask, encode_png
from vision_toolkit.data.rules import RULES


def told(findings) -> Counter:
    return Counter((finding.line, finding.severity, finding.rule, finding.text) for finding in findings)


def numbered(count: int, **changed: object) -> bytes:
    rows = (
        usual(anomaly=i % 3 == 0, painted=i % 3 == 0) | {"source-ref": f"s3://b/{i}.png"} | changed
        for i in range(count)
    )
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=60)
@given(st.lists(lines() | st.sampled_from([b"", b" \r", b"[]", b"\xff"]), max_size=8), st.booleans())
def test_a_file_and_a_manifest_in_memory_are_told_alike(tmp_path, texts, newline):
    path = tmp_path / "a.manifest"
    path.write_bytes(b"\n".join(texts) + b"\n" * newline)
    of_file = told(f for f in check_file(path) if f.rule not in ("byte-order-mark", "crlf", "no-final-newline"))
    manifest = Manifest.read(path)
    in_memory = told(f for f in manifest.check() if f.rule not in ("byte-order-mark", "crlf", "no-final-newline"))
    assert of_file == in_memory
    assert {rule for _, _, rule, _ in of_file} <= RULES.keys()


PLACES = ["s3://b/", "s3://c/", "", "images/", "s3://b/a b", "s3:"]


@st.composite
def sound(draw: st.DrawFn) -> dict:
    painted = draw(st.booleans())
    place = f"{draw(st.sampled_from(PLACES))}{draw(st.integers(0, 30))}.png"
    return usual(anomaly=painted or draw(st.booleans()), painted=painted) | {"source-ref": place}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=60)
@given(st.lists(sound(), max_size=40), st.integers(0, 200))
def test_lines_that_are_read_many_at_once_are_told_alike(tmp_path, rows, before):
    path = tmp_path / "a.manifest"
    usual_ones = (usual(painted=i % 2 == 0) | {"source-ref": f"s3://b/x{i}.png"} for i in range(before))
    path.write_text("".join(json.dumps(row) + "\n" for row in [*usual_ones, *rows]))
    assert told(check_file(path, look="none")) == told(Manifest.read(path).check(look="none"))


def test_memory_does_not_grow_with_the_file(tmp_path):
    peaks = []
    for count in (2_000, 20_000):
        path = tmp_path / f"{count}.manifest"
        path.write_bytes(numbered(count))
        tracemalloc.start()
        assert {finding.rule for finding in check_file(path, look="none")} <= {"many-images"}
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 20_000 * 100


@pytest.mark.parametrize("same", [True, False])
def test_copies_of_a_line_are_told_on_their_own_lines(tmp_path, same):
    rows = [usual() | {"source-ref": f"s3://b/{i}.png"} for i in (1, 2, 1, 3, 1)]
    if not same:
        rows[4] = usual(anomaly=False, painted=False) | {"source-ref": "s3://b/1.png"}
    path = tmp_path / "a.manifest"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = [f for f in check_file(path) if f.rule.startswith("source-")]
    assert [(f.line, f.rule) for f in found] == [(3, "source-twice" if same else "source-conflict")]
    assert found[0].text.startswith("s3://b/1.png stands again on lines 3, 5")


def test_one_missing_prefix_is_one_finding_and_nothing_is_dialled(tmp_path, monkeypatch):
    monkeypatch.setattr(socket.socket, "connect", lambda *a: pytest.fail("dialled"))
    path = tmp_path / "a.manifest"
    rows = [
        usual() | {"source-ref": f"s3://bucket/line/{i % 3}/{i}.png", "anomaly-mask-ref": f"s3://bucket/line/m/{i}.png"}
        for i in range(40)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = [f for f in check_file(path) if f.rule in ("not-local", "missing-image", "missing-mask")]
    assert len(found) == 1 and "40 images and 40 masks lie at s3://bucket/line" in found[0].text
    assert '{"s3://bucket/line": "folder/"}' in (found[0].repair or "")


def test_missing_folders_are_one_finding_each(tmp_path):
    path = tmp_path / "a.manifest"
    rows = [{"source-ref": f"gone/{i % 5}/{i}.png"} for i in range(40)] + [{"source-ref": "here.png"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = [f for f in check_file(path) if f.rule == "missing-image"]
    assert len(found) == 2
    assert f"40 images cannot be below {tmp_path / 'gone'}, for there is no such folder" in found[0].text
    assert f"1 image is not in {tmp_path}: here.png" in found[1].text


class TestFiles:
    """Each thing that can be wrong with an image or a mask, drawn for real."""

    def told(self, folder: Path, entry: Entry, **options: object) -> dict[str, str]:
        path = Manifest([entry]).write(folder / "m.manifest", overwrite=True)
        return {f.rule: f.text for f in check_file(path, **options) if f.line == 1}

    @pytest.fixture
    def image(self, tmp_path: Path) -> Entry:
        rng = np.random.default_rng(0)
        (tmp_path / "1.png").write_bytes(encode_png(rng.integers(0, 255, (80, 96, 3), dtype=np.uint8)))
        return Entry("1.png", Label.ANOMALY)

    def mask(self, folder: Path, image: Entry, pixels: np.ndarray, name: str = "m.png", **save: object) -> Entry:
        Image.fromarray(pixels).save(folder / name, **save)
        return Entry(image.source, image.label, mask=MaskRef(name, {"crack": "#23A436"}))

    def test_a_picture_that_is_cut_off_is_told_unless_the_header_is_enough(self, tmp_path, image):
        whole = (tmp_path / "1.png").read_bytes()
        for suffix, kind in ((".png", "PNG"), (".jpg", "JPEG")):
            path = tmp_path / f"2{suffix}"
            Image.open(tmp_path / "1.png").save(path, kind)
            data = path.read_bytes()
            path.write_bytes(data[: len(data) * 2 // 3])
            assert "unreadable-image" in self.told(tmp_path, Entry(path.name, Label.ANOMALY))
        assert "unreadable-image" not in self.told(tmp_path, Entry("2.jpg", Label.ANOMALY), look="header")
        assert whole and "unreadable-image" not in self.told(tmp_path, image)

    def test_a_name_that_promises_another_format(self, tmp_path, image):
        (tmp_path / "1.jpg").write_bytes((tmp_path / "1.png").read_bytes())
        assert "named as JPEG, but is PNG" in self.told(tmp_path, Entry("1.jpg", Label.ANOMALY))["wrong-suffix"]

    def test_a_mask_in_other_colours_than_its_map(self, tmp_path, image):
        pixels = np.full((80, 96, 3), 255, np.uint8)
        pixels[:8] = 0x23, 0xA4, 0x36
        assert not self.told(tmp_path, self.mask(tmp_path, image, pixels)).keys() & {"mask-colours", "empty-mask"}
        pixels[8:10] = 9, 9, 9
        assert "1 colour that" in (text := self.told(tmp_path, self.mask(tmp_path, image, pixels))["mask-colours"])
        assert "#090909" in text and "2.50 %" in text
        pixels[:8] = 9, 9, 9
        assert {"mask-colours", "empty-mask"} <= self.told(tmp_path, self.mask(tmp_path, image, pixels)).keys()

    def test_a_jpeg_that_is_called_png(self, tmp_path, image):
        pixels = np.full((80, 96, 3), 255, np.uint8)
        pixels[:40] = 0x23, 0xA4, 0x36
        entry = self.mask(tmp_path, image, pixels, format="JPEG")
        assert "is JPEG, not PNG" in self.told(tmp_path, entry)["mask-no-png"]

    def test_a_mask_of_another_size_and_a_dummy(self, tmp_path, image):
        pixels = np.full((16, 16, 3), 255, np.uint8)
        assert "mask-size" not in self.told(tmp_path, self.mask(tmp_path, image, pixels))
        pixels[:2] = 0x23, 0xA4, 0x36
        assert "16x16, its image 96x80" in self.told(tmp_path, self.mask(tmp_path, image, pixels))["mask-size"]

    def test_a_journal_remembers_what_was_seen_and_notices_changes(self, tmp_path, monkeypatch):
        from vision_toolkit.data import check_images

        mask = encode_mask(Mask(np.eye(80, 96, dtype=np.uint8), ("background", "crack")))
        entries = []
        for i in range(6):
            (tmp_path / f"{i}.png").write_bytes(encode_png(np.full((80, 96, 3), 40 * i, np.uint8)))
            (tmp_path / f"m{i}.png").write_bytes(mask if i else b"broken")
            entries.append(Entry(f"{i}.png", Label.ANOMALY, mask=MaskRef(f"m{i}.png", {"crack": "#23A436"})))
        path, journal = Manifest(entries).write(tmp_path / "a.manifest"), tmp_path / "seen.jsonl"
        looked: list[str] = []
        real = check_images._look
        monkeypatch.setattr(
            check_images, "_look", lambda entry, **rest: looked.append(entry.source) or real(entry, **rest)
        )
        stopped = check_file(path, journal=journal, threads=1, progress=lambda done, total: 1 / (done < 4))
        with pytest.raises(ZeroDivisionError):  # interrupted at the fourth image
            list(stopped)
        first = len(looked)
        with journal.open("a") as file:
            file.write('{"key": "cut o')
        done: list[tuple[int, int]] = []
        once = told(check_file(path, journal=journal, progress=lambda *now: done.append(now)))
        assert done == [(i, 6) for i in range(1, 7)] and first >= 4
        assert set(looked[first:]) == {f"{i}.png" for i in range(4, 6)}
        assert once == told(check_file(path)) and (1, "error", "bad-mask") in {key[:3] for key in once}
        looked.clear()
        (tmp_path / "m0.png").write_bytes(mask)
        assert not [f for f in check_file(path, journal=journal) if f.rule == "bad-mask"] and looked == ["0.png"]

    def test_another_file_is_not_taken_for_a_journal(self, tmp_path, image):
        path = Manifest([image]).write(tmp_path / "m.manifest")
        with pytest.raises(Invalid, match="no journal of a check"):
            list(check_file(path, journal=path))
        assert path.read_text().count("\n") == 1


def test_windows_spelling_of_a_colon_is_told_and_looked_through(tmp_path):
    (tmp_path / "13\uf03a52.png").write_bytes(encode_png(np.zeros((80, 80, 3), np.uint8)))
    for name in ("13:52.png", "13\uf03a52.png"):
        path = tmp_path / "a.manifest"
        path.write_text(json.dumps({"source-ref": name}) + "\n")
        rules = {f.rule for f in check_file(path)}
        assert "missing-image" not in rules and ("f03a-in-key" in rules) == ("\uf03a" in name)


def test_the_set_as_a_whole(tmp_path):
    path = tmp_path / "a.manifest"
    rows = [usual(anomaly=i < 5, painted=i < 3) | {"source-ref": f"s3://b/{i}.png"} for i in range(9)]
    rows[8]["auto-label"] = rows[8].pop("anomaly-label")
    rows[8]["auto-label-metadata"] = rows[8].pop("anomaly-label-metadata")
    rows += [{"source-ref": "s3://other/1.png"}, {"source-ref": "near.png"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = {f.rule: f for f in check_file(path, look="none")}
    assert {
        "no-mask",
        "names-differ",
        "several-buckets",
        "places-mixed",
        "few-images",
        "few-of-type",
        "unlabelled",
    } <= found.keys()
    assert "'anomaly-label' on 8, 'auto-label' on 1" in found["names-differ"].text
    assert "4 normal and 5 anomalous images" in found["few-images"].text and found["no-mask"].line == 5


def test_a_type_with_an_odd_name_is_told_once(tmp_path):
    path = tmp_path / "a.manifest"
    text = json.dumps(usual()).replace("scratch", "bad joint")
    rows = [json.loads(text) | {"source-ref": f"s3://b/{i}.png"} for i in range(9)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert [f.text for f in check_file(path, look="none") if f.rule == "type-name"] == [
        "The type 'bad joint' has other characters than letters and digits."
    ]


def test_every_rule_has_words_and_an_id_of_its_own():
    for name, rule in RULES.items():
        assert rule.id == name and rule.text.endswith(".") and (rule.repair or rule.repaired == "by hand")
        assert rule.why.endswith(".") and name == name.lower() and " " not in name
