"""A repair shows what it would do, writes a new file, loses nothing and leaves alone what it does not mend."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.data.test_usual import lines, usual
from vision_toolkit.core import Conflict, Entry, Invalid, Label, MaskRef, NotFound
from vision_toolkit.data import Manifest
from vision_toolkit.data.check import check_file
from vision_toolkit.data.images import encode_png
from vision_toolkit.data.jsonlines import read_line
from vision_toolkit.data.remedies import repair_line
from vision_toolkit.data.repair import REPAIRABLE, plan_repair
from vision_toolkit.data.rules import RULES

ALWAYS = frozenset(rule.id for rule in RULES.values() if rule.repaired == "always")
CLASS = "groundtruth/image-classification"
SOUND = json.dumps(usual()).encode()


def manifest(folder: Path, *rows: bytes | str | dict, end: bytes = b"\n") -> Path:
    texts = [json.dumps(row) if isinstance(row, dict) else row for row in rows]
    path = folder / "old.manifest"
    path.write_bytes(b"\n".join(t if isinstance(t, bytes) else t.encode() for t in texts) + end)
    return path


def repaired(folder: Path, *rows: bytes | str | dict, **options: object) -> list[str]:
    plan = plan_repair(manifest(folder, *rows), **options)
    return plan.write(folder / "new.manifest", overwrite=True).read_text("utf-8").splitlines()


def one(row: dict, *rules: str) -> dict:
    text = repair_line(json.dumps(row).encode(), 1, ALWAYS | set(rules))[0]
    assert text is not None
    return json.loads(text)


# ---------------------------------------------------------------- whatever is in the file


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=80)
@given(st.lists(lines() | st.sampled_from([b"", b" \r", b"[]", b"\xff", b"\0", SOUND]), max_size=8), st.booleans())
def test_afterwards_nothing_repairable_is_odd_and_nothing_is_lost(tmp_path, texts, newline):
    path = manifest(tmp_path, *texts, end=b"\n" * newline)
    old = path.read_bytes()
    before = old.removesuffix(b"\n").split(b"\n")
    plan = plan_repair(path)
    for stale in tmp_path.glob("new*"):
        stale.unlink()
    new = plan.write(tmp_path / "new.manifest")
    assert path.read_bytes() == old
    assert not {finding.rule for finding in check_file(new)} & (ALWAYS - {"odd-date", "mask-key"})
    kept = new.read_bytes().split(b"\n")[:-1] if new.stat().st_size else []
    out = tmp_path / "new.manifest.rejected"
    rejected = out.read_bytes().split(b"\n")[:-1] if out.exists() else []
    blank = sum(not line.strip() for line in before) if old else 0
    assert len(kept) == plan.kept + plan.changed
    assert (len(kept) + len(rejected) + blank) == (len(before) if old else 0)
    assert set(rejected) <= {line.removeprefix(b"\xef\xbb\xbf") for line in before} | set(before)
    again = plan_repair(new)
    assert again.changed == again.removed == 0 and again.kept == len(kept)
    sound = [line for line in kept if line == SOUND]
    assert len(sound) <= 1 or plan.left["source-conflict"]
    if SOUND in before:  # it stays, or an earlier line that says the same
        assert read_line(SOUND.decode())[0] in list(Manifest.read(new))
    in_memory = plan_repair(Manifest.read(path)).manifest()
    assert in_memory == Manifest.read(new)


def test_lines_that_nobody_mends_stay_to_the_letter_and_keys_in_place(tmp_path):
    odd = '{ "source-ref" :  "x.png" , "note":"ü" }'
    mended = {
        "b": [1, {"c": None}],
        "source-ref": "1.png",
        "x": "0",
        "x-metadata": {"z": 9, "class-name": "Anomaly", "type": CLASS},
        "a": 1,
    }
    first, second = repaired(tmp_path, odd, mended)
    assert first == odd
    assert list(json.loads(second)) == ["b", "source-ref", "x", "x-metadata", "a"]
    assert list(json.loads(second)["x-metadata"]) == ["z", "class-name", "type"]
    assert json.loads(second)["b"] == mended["b"]


# ---------------------------------------------------------------- each remedy


def test_inverted_and_misplaced_values_follow_the_class_name():
    for value in (0, "0", "s3://b/m.png", None, True, 7):
        row = {"source-ref": "1.png", "l": value, "l-metadata": {"class-name": "anomaly", "type": CLASS}}
        assert one(row)["l"] == 1 and read_line(json.dumps(one(row)))[0].label is Label.ANOMALY
    row = {"source-ref": "1.png", "l-metadata": {"class-name": "NORMAL", "type": CLASS}, "z": 1}
    assert list(one(row)) == ["source-ref", "l", "l-metadata", "z"] and one(row)["l-metadata"]["class-name"] == "normal"


def test_a_colour_map_gets_its_background_before_the_types():
    row = usual()
    row["anomaly-mask-ref-metadata"]["internal-color-map"] = {"0": {"class-name": "cracked", "hex-color": "#23A436"}}
    listed = one(row)["anomaly-mask-ref-metadata"]["internal-color-map"]
    assert [(key, item["class-name"], item["confidence"]) for key, item in listed.items()] == [
        ("0", "BACKGROUND", 0.0),
        ("1", "cracked", 0.0),
    ]
    assert read_line(json.dumps(one(row)))[0].mask == read_line(json.dumps(row))[0].mask


def test_dates_as_javascript_prints_them_become_iso():
    row = usual()
    row["anomaly-mask-ref-metadata"]["creation-date"] = "Mon Aug 22 2022 13:52:52 GMT-0700 (Pacific Daylight Time)"
    row["anomaly-label-metadata"]["creation-date"] = "2022-08-22T20:52:51.851Z"
    assert one(row)["anomaly-mask-ref-metadata"]["creation-date"] == "2022-08-22T20:52:52+00:00"
    assert one(row)["anomaly-label-metadata"] == row["anomaly-label-metadata"]  # ISO already, and left as it is


def test_a_mask_whose_name_does_not_end_with_ref_is_renamed_in_place():
    row = {key.replace("-mask-ref", "-mask"): value for key, value in usual().items()} | {"z": 1}
    new = one(row)
    assert list(new)[3:] == ["anomaly-mask-ref", "anomaly-mask-ref-metadata", "z"]


def test_the_windows_colon_is_written_as_s3_has_it():
    row = usual() | {"source-ref": "s3://b/13\uf03a52.png", "anomaly-mask-ref": "s3://b/m\uf03a.png", "note": "\uf03a"}
    new = one(row)
    assert new["source-ref"] == "s3://b/13:52.png" and new["anomaly-mask-ref"] == "s3://b/m:.png"
    assert new["note"] == "\uf03a"


def test_what_decides_something_is_done_only_when_it_is_named():
    both = usual() | {"second": 0, "second-metadata": {"class-name": "normal", "type": CLASS, "human-annotated": "yes"}}
    assert "second" in one(both) and "second" not in one(both, "labels-disagree")
    bare = {key: value for key, value in usual().items() if not key.startswith("anomaly-label")}
    assert "anomaly-label" not in one(bare) and one(bare, "mask-without-label")["anomaly-label"] == 1
    quiet = usual()
    del quiet["anomaly-label-metadata"]["human-annotated"]
    assert (
        one(quiet) == quiet and one(quiet, "no-human-annotated")["anomaly-label-metadata"]["human-annotated"] == "yes"
    )
    other = {key.replace("anomaly-label", "auto-label"): value for key, value in usual().items()}
    assert one(other) == other and list(one(other, "names-differ")) == list(usual())
    text = repair_line(b'{"source-ref": "1.png", "x": [NaN, "\\ud800"]}', 1, frozenset({"loose-json"}))[0]
    assert json.loads(text or b"") == {"source-ref": "1.png", "x": [None, "\ufffd"]}


def test_copies_and_conflicts(tmp_path):
    a, b = usual() | {"source-ref": "s3://b/a.png"}, usual() | {"source-ref": "s3://b/b.png"}
    changed = usual(anomaly=False, painted=False) | {"source-ref": "s3://b/a.png"}
    assert [json.loads(line) for line in repaired(tmp_path, a, b, a, b)] == [a, b]
    assert (tmp_path / "new.manifest.rejected").read_text().count("\n") == 2
    plan = plan_repair(manifest(tmp_path, a, b, changed))
    assert plan.left["source-conflict"] == 1 and not plan.removed
    assert [json.loads(line) for line in repaired(tmp_path, a, b, changed, rules=["source-conflict"])] == [b, changed]
    # Two that are equal only after their repair are copies too.
    shouted = json.loads(json.dumps(a).replace('"anomaly"', '"ANOMALY"'))
    assert [json.loads(line) for line in repaired(tmp_path, a, shouted)] == [a]


def test_images_that_are_gone_or_broken_are_taken_out_when_named(tmp_path):
    (tmp_path / "1.png").write_bytes(encode_png(np.zeros((80, 80, 3), np.uint8)))
    (tmp_path / "2.png").write_bytes(b"broken")
    rows = [{"source-ref": f"{i}.png"} for i in (1, 2, 3)]
    assert len(repaired(tmp_path, *rows)) == 3
    assert len(repaired(tmp_path, *rows, rules=["missing-image"])) == 2
    assert repaired(tmp_path, *rows, rules=["missing-image", "unreadable-image"]) == [json.dumps(rows[0])]
    assert len(repaired(tmp_path, *rows, rules=["missing-image"], images=tmp_path)) == 2


def test_masks_that_are_no_png_or_in_other_colours_are_written_anew(tmp_path):
    (tmp_path / "1.png").write_bytes(encode_png(np.zeros((80, 96, 3), np.uint8)))
    pixels = np.full((80, 96, 3), 255, np.uint8)
    pixels[:40, :48] = 0x23, 0xA4, 0x36
    Image.fromarray(pixels).save(tmp_path / "m.png", "JPEG", quality=60)
    entry = Entry("1.png", Label.ANOMALY, mask=MaskRef("m.png", {"crack": "#23A436"}))
    path = Manifest([entry]).write(tmp_path / "old.manifest")
    old = (tmp_path / "m.png").read_bytes()
    plan = plan_repair(path, rules=["mask-no-png", "mask-colours"])
    new = Manifest.read(plan.write(tmp_path / "new.manifest"))
    assert (tmp_path / "m.png").read_bytes() == old and new[0].mask.uri == "new-masks/1-1.png"
    assert not {f.rule for f in new.check()} & {"mask-no-png", "mask-colours", "empty-mask", "missing-mask"}
    painted = np.asarray(Image.open(tmp_path / "new-masks" / "1-1.png").convert("RGB"))
    assert (painted == pixels).all(axis=2).mean() > 0.99


def test_a_line_too_long_to_be_held_is_moved_out_whole(tmp_path):
    path = tmp_path / "old.manifest"
    with path.open("wb") as file:
        file.write(SOUND + b"\n")
        file.write(b"x" * (40 * 2**20) + b"\n")
        file.write(SOUND.replace(b"1.png", b"2.png") + b"\n")
    with pytest.raises(Invalid, match=r"old\.manifest, line 2: more than .* repair"):
        Manifest.read(path)
    plan = plan_repair(path)
    assert plan.counts["huge-line"] == 1 and plan.write(tmp_path / "new.manifest").read_bytes().count(b"\n") == 2
    assert (tmp_path / "new.manifest.rejected").stat().st_size == 40 * 2**20 + 1


# ---------------------------------------------------------------- plans, and places


def test_a_plan_says_what_it_would_do_and_touches_nothing(tmp_path):
    path = manifest(tmp_path, SOUND, b"", b"junk", SOUND.replace(b'"anomaly"', b'"Anomaly"'), b"{}")
    there = {file: file.read_bytes() for file in tmp_path.iterdir()}
    plan = plan_repair(path)
    assert plan and not plan_repair(manifest(tmp_path / "..", SOUND)) and plan.kept == 1 and plan.removed == 4
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == there
    assert plan.counts == Counter({"blank-line": 1, "not-json": 1, "class-case": 1, "no-source": 1, "source-twice": 1})
    assert "class-case          1 line   write it in lower case" in str(plan)
    assert json.loads(json.dumps(plan.to_dict()))["removed"] == 4
    frame = plan.to_frame().set_index("rule")
    assert frame.loc["not-json", "before"] == "junk" and not isinstance(frame.loc["not-json", "after"], str)
    assert "not-json" in plan._repr_html_() and "<script" not in plan._repr_html_()


def test_rules_that_are_skipped_unknown_or_for_a_person(tmp_path):
    path = manifest(tmp_path, b"", SOUND)
    assert plan_repair(path, skip=["blank-line"]).removed == 0
    with pytest.raises(Invalid, match="no rule 'nonsense'"):
        plan_repair(path, rules=["nonsense"])
    with pytest.raises(Invalid, match="'mask-size' needs a person"):
        plan_repair(path, rules=["mask-size"])
    with pytest.raises(NotFound):
        plan_repair(tmp_path / "none")
    assert "source-conflict" in REPAIRABLE and "mask-size" not in REPAIRABLE


def test_neither_the_old_file_nor_any_other_is_overwritten_unasked(tmp_path):
    path = manifest(tmp_path, b"", SOUND)
    plan = plan_repair(path)
    with pytest.raises(Conflict, match="never touches"):
        plan.write(path, overwrite=True)
    (tmp_path / "mine").write_text("precious")
    with pytest.raises(Conflict, match="exists"):
        plan.write(tmp_path / "mine")
    (tmp_path / "new.rejected").write_text("precious")
    with pytest.raises(Conflict, match=r"new\.rejected"):
        plan.write(tmp_path / "new")
    assert {file.name for file in tmp_path.iterdir()} == {"old.manifest", "mine", "new.rejected"}
    path.write_bytes(SOUND)
    with pytest.raises(Conflict, match="changed since"):
        plan.write(tmp_path / "other")


def test_relative_places_never_silently_lead_nowhere(tmp_path):
    (tmp_path / "1.png").write_bytes(encode_png(np.zeros((80, 80, 3), np.uint8)))
    plan = plan_repair(manifest(tmp_path, b"", {"source-ref": "1.png", "note": 1}))
    with pytest.raises(Invalid, match="relocate=True"):
        plan.write(tmp_path / "below" / "new.manifest")
    new = plan.write(tmp_path / "below" / "new.manifest", relocate=True)
    assert json.loads(new.read_text()) == {"source-ref": "../1.png", "note": 1}
    assert Path(Manifest.read(new)[0].location).resolve() == (tmp_path / "1.png").resolve()


def test_a_manifest_in_memory_keeps_where_its_images_are(tmp_path):
    (tmp_path / "1.png").write_bytes(encode_png(np.zeros((80, 80, 3), np.uint8)))
    path = manifest(
        tmp_path, {"source-ref": "s3://b/1.png", "l": 1, "l-metadata": {"class-name": "normal", "type": CLASS}}
    )
    new = plan_repair(Manifest.read(path, images=tmp_path)).manifest()
    assert new[0].location == str(tmp_path / "1.png") and json.loads(new[0].raw)["l"] == 0


def test_amazons_cookie_manifests_are_mended_without_changing_what_they_say(shared, tmp_path):
    for name in ("template", "train_class", "train_segmentation"):
        path = shared / "data" / "cookies" / "manifests" / f"{name}.manifest"
        new = plan_repair(path).write(tmp_path / name, relocate=True)
        assert [e.label for e in Manifest.read(new)] == [e.label for e in Manifest.read(path)]
        assert [e.types for e in Manifest.read(new)] == [e.types for e in Manifest.read(path)]
        assert not {f.rule for f in check_file(new)} & ALWAYS
