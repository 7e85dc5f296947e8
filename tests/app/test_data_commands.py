"""The commands about data, as a user meets them: check, repair, convert, diff, stats, curate."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import vision_toolkit as vt
from vision_toolkit.data.formats import FORMATS
from vision_toolkit.data.formats.files import MARKER
from vision_toolkit.data.images import encode_jpeg, read_image, read_mask
from vision_toolkit.data.rules import RULES

PROGRAM = Path(sys.executable).with_name("vision-toolkit")
COMMAND = [str(PROGRAM)] if PROGRAM.exists() else [sys.executable, "-m", "vision_toolkit.app.cli"]
UNLABELLED = ("yolo", "voc")
"""Formats that know shapes, but not whether an image is normal."""
CLASS = {"type": "groundtruth/image-classification", "human-annotated": "yes"}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def line(source: str, label: str = "normal", **more: object) -> str:
    about = {"class-name": label, **CLASS}
    return json.dumps(
        {"source-ref": source, "anomaly-label": int(label == "anomaly"), "anomaly-label-metadata": about} | more
    )


def written(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{one}\n" for one in lines), "utf-8")
    return path


def suggested(out: str, command: str) -> list[str]:
    """Find the command that the output says to type next, and take it apart as a shell would."""
    found = re.search(rf"vision-toolkit ({command} .*)$", out, re.MULTILINE)
    assert found, out
    return shlex.split(found[1])


@pytest.fixture(scope="module")
def sets(training, tmp_path_factory, export) -> dict[str, Path]:
    """Write the same parts in every format, once."""
    folder = tmp_path_factory.mktemp("formats")
    manifest = vt.Manifest.read(training)
    for name in FORMATS:
        vt.write_dataset(manifest, folder / name, format=name)
    return {name: folder / name for name in FORMATS}


# check


def test_check_tells_what_the_library_does_though_it_holds_no_manifest(run, dirty):
    code, out, err = run("check", dirty, "--json")
    answer = json.loads(out)
    manifest = vt.Manifest.read(dirty)
    assert code == 1 and not err
    assert answer["counts"] == manifest.counts() and answer["types"] == list(manifest.types)
    expected = list(vt.check_file(dirty))
    told = [(f["line"], f["severity"], f["rule"], f["text"], f["repair"]) for f in answer["findings"]]
    assert told == [(f.line, f.severity, f.rule, f.text, f.repair) for f in expected]
    assert answer["errors"] == sum(f.severity == "error" for f in expected)
    assert sum(answer["rules"].values()) == len(expected)


def test_check_keeps_a_few_of_each_rule_and_counts_all(run, tmp_path):
    path = written(tmp_path / "odd.manifest", *["nonsense"] * 9, *["[]"] * 4)
    _, out, _ = run("check", path, "--most", 3, "--json")
    answer = json.loads(out)
    assert answer["rules"]["not-json"] == 9 and answer["rules"]["not-object"] == 4
    assert [f["rule"] for f in answer["findings"]].count("not-json") == 3
    _, out, _ = run("check", path, "--most", 0)
    assert "... and 9 more of [not-json]" in out and "line 1" not in out


def test_check_says_what_a_repair_would_do_and_the_command_that_does_it(run, dirty, tmp_path):
    path = shutil.copytree(dirty.parent, tmp_path / "my set") / dirty.name
    _, out, _ = run("check", path)
    command = suggested(out, "repair")
    said = re.search(r"^([\d,]+) of these can be repaired", out, re.MULTILINE)
    findings = list(vt.check_file(path))
    assert int(said[1]) == sum(RULES[f.rule].repaired == "always" for f in findings) > 0
    asked = set(re.findall(r"^  --rule ([\w-]+): ", out, re.MULTILINE))
    assert asked == {f.rule for f in findings if RULES[f.rule].repaired == "asked"}
    assert command == ["repair", str(path), str(path.with_name("parts-clean.manifest"))]
    assert run(*command)[0] == 0
    again = {f.rule for f in vt.check_file(command[2], look="none")}
    assert not [rule for rule in again if RULES[rule].repaired == "always"]


def test_check_of_a_sound_manifest_says_to_train(run, training):
    code, out, _ = run("check", training)
    assert code == 0
    assert suggested(out, "train") == ["train", training, "--model", "model"]


def test_check_lists_its_rules_without_any_data(run):
    code, out, _ = run("check", "--rules")
    rows = out.splitlines()
    assert code == 0 and [row.split()[0] for row in rows] == list(RULES)
    assert all(rule.severity in row and rule.text in row for row, rule in zip(rows, RULES.values(), strict=True))
    code, out, _ = run("check", "--rules", "--json")
    assert [rule["id"] for rule in json.loads(out)] == list(RULES)


def test_check_looks_as_closely_as_it_is_told(run, home, tmp_path):
    whole = encode_jpeg(read_image(home / "pictures" / "0.png"))
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    path = written(tmp_path / "x.manifest", line("cut.jpg"), line("none.png"))
    found = {}
    for look in ("whole", "header", "none"):
        found[look] = set(json.loads(run("check", path, "--look", look, "--json")[1])["rules"])
    assert {"unreadable-image", "missing-image"} <= found["whole"]
    assert "unreadable-image" not in found["header"] and "missing-image" in found["header"]
    assert not {"unreadable-image", "missing-image"} & found["none"]


def test_check_remembers_in_its_journal_what_it_saw(run, training, home, tmp_path):
    journal = tmp_path / "seen.jsonl"
    words = ("check", training, "--journal", journal, "--threads", 2, "--json")
    first = run(*words)
    assert len(journal.read_text("utf-8").splitlines()) == 18
    assert run(*words) == first
    (tmp_path / "notes.txt").write_text("buy milk\n", "utf-8")
    code, out, err = run("check", training, "--journal", tmp_path / "notes.txt", "--json")
    assert code == 3 and not out and "notes.txt is no journal of a check" in err
    assert (tmp_path / "notes.txt").read_text("utf-8") == "buy milk\n"


def test_check_tells_each_split_of_a_data_set_by_itself(run, export):
    code, out, _ = run("check", export, "--json")
    answer = json.loads(out)
    parts = vt.read_splits(export)
    assert code == 1
    assert {f["split"] for f in answer["findings"]} == {"train", "test"}
    for split, part in parts.items():
        told = [(f["line"], f["rule"], f["text"]) for f in answer["findings"] if f["split"] == split]
        assert told == [(f.line, f.rule, f.text) for f in part.check()]
    assert answer["counts"]["total"] == sum(map(len, parts.values()))
    alone = json.loads(run("check", export, "--split", "test", "--json")[1])
    assert alone["counts"] == parts["test"].counts()
    code, _, err = run("check", export, "--split", "tset")
    assert code == 3 and "has no split 'tset'; there are 'train', 'test'" in err


def test_what_no_terminal_can_say_is_written_as_an_escape(run, tmp_path):
    path = written(tmp_path / "x.manifest", *['{"source-ref": "\\ud800.png"}'] * 2, line("Prüfung.png"))
    code, out, _ = run("check", path, "--look", "none")
    assert code == 0 and "\\ud800.png stands again on line 2" in out
    told = [f["text"] for f in json.loads(run("check", path, "--look", "none", "--json")[1])["findings"]]
    assert "\ud800.png stands again on line 2, saying the same." in told
    done = subprocess.run(
        [*COMMAND, "diff", path, written(tmp_path / "y.manifest", line("1.png"))],
        env=os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1 and b"- Pr\\xfcfung.png (normal)" in done.stdout


@pytest.mark.slow  # some seconds
@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs the memory in /proc")
def test_a_manifest_of_a_hundred_thousand_lines_is_checked_in_little_memory(tmp_path):
    code = (
        "import re, sys\nfrom vision_toolkit.app.cli import main\ncode = main(sys.argv[1:])\n"
        "print(re.search('VmHWM:(.*) kB', open('/proc/self/status').read())[1], file=sys.stderr)\nsys.exit(code)"
    )
    normal, anomaly = (line("s3://b/%06d.png", label, note="x" * 80) for label in ("normal", "anomaly"))
    anomaly = anomaly.replace('"anomaly-label": 1', '"anomaly-label": 0')
    peaks = {}
    for count in (1_000, 100_000):
        path = tmp_path / f"{count}.manifest"
        path.write_text("".join((normal if i % 3 else anomaly) % i + "\n" for i in range(count)), "utf-8")
        done = subprocess.run(
            [sys.executable, "-c", code, "check", str(path)], capture_output=True, text=True, check=False, timeout=60
        )
        odd = -(-count // 3)
        assert done.returncode == 0, done.stderr
        assert f"{odd:,} of these can be repaired" in done.stdout
        assert f"... and {odd - 5:,} more of [value-ignored]" in done.stdout
        peaks[count] = int(done.stderr.split()[-1])
    size = path.stat().st_size / 1024
    assert size > 25_000  # KiB: a manifest in memory is several times its file
    assert peaks[100_000] - peaks[1_000] < size


# Every format, for every command


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_that_is_detected_is_data_of_every_command(run, sets, name):
    code, out, err = run("stats", sets[name], "--json")
    answer = json.loads(out)
    assert (code, err) == (0, "")
    assert answer["format"] == name
    assert answer["counts"]["total"] == answer["images"]["here"] == 18
    assert answer["counts"]["anomaly"] == (0 if name in UNLABELLED else 8)
    code, out, _ = run("check", sets[name], "--look", "none")
    expected = [f for part in vt.read_splits(sets[name]).values() for f in part.check(look="none")]
    errors = sum(f.severity == "error" for f in expected)
    assert code == bool(errors) and f"{errors} error" in out
    assert run("diff", sets[name], sets[name])[0] == 0
    assert run("curate", sets[name], "--json")[0] == 0


def test_a_folder_that_fits_two_formats_needs_a_word(run, sets, tmp_path):
    both = tmp_path / "both"
    shutil.copytree(sets["coco"], both, ignore=shutil.ignore_patterns(MARKER))
    shutil.copy(sets["csv"] / "dataset.csv", both / "dataset.csv")
    code, _, err = run("stats", both)
    assert code == 3 and "could be 'coco' or 'csv'; say which: --from coco." in err
    assert json.loads(run("stats", both, "--from", "coco", "--json")[1])["counts"]["total"] == 18


def test_folders_of_labels_go_before_a_manifest_beside_them_and_it_is_said(run, sets, training, tmp_path):
    folder = tmp_path / "parts"
    shutil.copytree(sets["folders"], folder, ignore=shutil.ignore_patterns(MARKER))
    shutil.rmtree(folder / "masks")
    written(folder / "old.manifest", line("1.png"))
    code, out, err = run("stats", folder, "--json")
    assert code == 0 and json.loads(out)["counts"]["total"] == 18
    assert "is read by its folders normal/ and anomaly/; --from lookout reads it as that" in err
    assert json.loads(run("stats", folder, "--from", "lookout", "--json")[1])["counts"]["total"] == 1


@pytest.mark.parametrize("command", ["check", "stats", "curate", "split", "repair"])
def test_what_is_no_data_is_named(run, home, tmp_path, command):
    picture, table = home / "pictures" / "0.png", tmp_path / "x.json"
    table.write_text('{"some": "thing"}', "utf-8")
    code, _, err = run(command, picture)
    assert code == 3 and "0.png is a PNG image, not a manifest" in err
    code, _, err = run(command, table)
    assert code == 3 and "x.json is neither a manifest nor of a known format. Looked for: lookout" in err


def test_manifests_of_the_same_images_are_not_taken_together(run, training, home, tmp_path):
    for name in ("train", "train-clean"):
        vt.Manifest.read(training).write(tmp_path / f"{name}.manifest", relocate=True)
    for words in (("split", tmp_path), ("train", tmp_path, "--model", tmp_path / "m"), ("curate", tmp_path)):
        code, _, err = run(*words)
        assert code == 3 and re.search(r"18 images of '\S+' stand in another one too. Say which: --split NAME", err)
    assert run("split", tmp_path, "--split", "train", "--out", tmp_path / "out")[0] == 0


@pytest.fixture
def two_splits(training, testing, tmp_path) -> Path:
    parts = {"train": vt.Manifest.read(training), "test": vt.Manifest.read(testing)}
    return vt.write_dataset(parts, tmp_path / "set", format="lookout").path


def test_a_model_is_judged_on_the_split_that_is_called_test(run, trained, two_splits):
    code, out, err = run("evaluate", trained / "model", two_splits, "--json")
    assert code == 0 and json.loads(out)["images"] == 8 and "'test' is taken" in err
    code, out, err = run("evaluate", trained / "model", two_splits, "--split", "train", "--json")
    assert code == 0 and json.loads(out)["images"] == 18 and not err


@pytest.mark.slow  # trains
def test_splits_are_trained_on_and_tested_with_as_they_are_called(run, two_splits, quick, tmp_path):
    code, out, err = run("train", two_splits, "--model", tmp_path / "m", "--json", *quick)
    assert code == 0 and "'train' is taken to train, 'test' to test" in err
    assert json.loads(out)["evaluation"]["images"] == 8


# repair


def test_repair_without_a_new_name_shows_the_plan_and_writes_nothing(run, dirty):
    before = {path: path.read_bytes() for path in dirty.parent.iterdir() if path.is_file()}
    code, out, _ = run("repair", dirty)
    assert code == 0
    plan = vt.plan_repair(dirty)
    assert str(plan).splitlines()[0] in out
    assert all(re.search(rf"^  {rule} +{count:,} line", out, re.MULTILINE) for rule, count in plan.counts.items())
    assert "  - ..." in out and "  + ..." in out  # an example, shortened to what changes
    assert max(map(len, out.splitlines())) < 200
    assert "Nothing was written. To do it: vision-toolkit repair" in out
    assert {path: path.read_bytes() for path in dirty.parent.iterdir() if path.is_file()} == before


def test_repair_shows_what_changes_and_not_what_stays(run, tmp_path):
    path = written(tmp_path / "x.manifest", line("1.png", "Anomaly", note="\x1b[2J" + "n" * 200))
    _, out, _ = run("repair", path)
    assert '"class-name": "Anomaly"' in out and '"class-name": "anomaly"' in out
    assert "nnn" not in out and "1.png" not in out and "\x1b" not in out


def test_repair_writes_what_the_library_does_and_leaves_the_old_one(run, dirty, tmp_path):
    before = dirty.read_bytes()
    new = tmp_path / "new.manifest"
    words = ("--rule", "unreadable-image", "--rule", "source-conflict", "--skip", "odd-date", "--relocate")
    code, out, _ = run("repair", dirty, new, *words, "--json")
    answer = json.loads(out)
    assert code == 0 and answer["written"] == str(new) and answer["rejected"] == f"{new}.rejected"
    plan = vt.plan_repair(dirty, rules=("unreadable-image", "source-conflict"), skip=("odd-date",))
    expected = plan.write(tmp_path / "expected.manifest", relocate=True)
    assert new.read_bytes() == expected.read_bytes()
    assert Path(answer["rejected"]).read_bytes() == Path(f"{expected}.rejected").read_bytes()
    assert {name: answer[name] for name in plan.to_dict()} == json.loads(json.dumps(plan.to_dict()))
    assert dirty.read_bytes() == before
    _, out, _ = run("repair", dirty, new, "--relocate", "--overwrite")
    assert f"What was taken out lies in {new}.rejected" in out
    assert suggested(out, "train") == ["train", str(new), "--model", "model"]


def test_repair_never_touches_what_is_there_unasked(run, dirty, training, tmp_path):
    new = tmp_path / "new.manifest"
    new.write_text("mine", "utf-8")
    code, _, err = run("repair", dirty, new, "--relocate")
    assert code == 3 and "exists; give another name or --overwrite" in err and new.read_text("utf-8") == "mine"
    same = dirty.parent / ".." / dirty.parent.name / dirty.name
    before = dirty.read_bytes()
    for name in (dirty, same):
        code, _, err = run("repair", dirty, name, "--overwrite")
        assert code == 3 and "is the old manifest, which a repair never touches" in err
    assert dirty.read_bytes() == before
    code, _, err = run("repair", dirty, tmp_path / "elsewhere.manifest")
    assert code == 3 and "or --relocate rewrites those places" in err
    assert names(tmp_path) == ["new.manifest"]


def test_repair_names_what_it_took_out_this_time(run, tmp_path):
    old, new = written(tmp_path / "old.manifest", "nonsense", line("1.png")), tmp_path / "new.manifest"
    _, out, _ = run("repair", old, new)
    assert "new.manifest.rejected" in out
    written(old, line("1.png"))
    code, out, _ = run("repair", old, new, "--overwrite")
    assert code == 0 and "Repair of old.manifest: 1 line stays" in out
    assert "rejected" not in out
    assert Path(f"{new}.rejected").read_text("utf-8") == "nonsense\n"  # of the first time; nobody asked to remove it
    code, out, _ = run("repair", old)
    assert code == 0 and "Nothing to repair." in out


def test_repair_of_another_format_says_how_to_get_a_manifest(run, sets):
    code, _, err = run("repair", sets["csv"] / "dataset.csv")
    assert code == 3 and "is no manifest, but csv. Make one of it: vision-toolkit convert" in err


# convert


@pytest.mark.parametrize("name", FORMATS)
def test_convert_makes_a_manifest_of_every_format(run, sets, training, tmp_path, name):
    more = ("--label-from-regions", "--paint") if name in UNLABELLED else ()
    code, out, err = run("convert", sets[name], tmp_path / "new", *more, "--json")
    answer = json.loads(out)
    assert (code, err) == (0, "")
    assert answer["from"] == name and answer["to"] == "lookout"
    manifest = vt.read_dataset(tmp_path / "new", format="lookout")
    labels = {Path(e.source).stem: e.label for e in vt.Manifest.read(training)}
    assert {Path(e.source).stem: e.label for e in manifest} == labels
    assert manifest.types == (() if name == "oci" else ("stain",))
    assert not [f for f in manifest.check() if f.severity == "error"]


@pytest.mark.parametrize("name", FORMATS)
def test_convert_writes_every_format_and_says_what_is_lost(run, training, tmp_path, name):
    code, out, _ = run("convert", training, tmp_path / "new", "--to", name)
    written = vt.write_dataset(vt.Manifest.read(training), tmp_path / "same", format=name)
    assert code == 0
    assert f"Wrote {tmp_path / 'new'}, as {name}; " in out
    assert ("nothing was lost." in out) is not bool(written.losses)
    assert all(f"[{loss.rule}]" in out for loss in written.losses)
    next_one = "train" if name == "lookout" else "check"
    command = suggested(out, next_one)
    if next_one == "check":
        assert sum(map(int, re.findall(r"(\d+) images: ", run(*command)[1]))) == 18
    else:
        assert Path(command[1]).is_file()


def test_convert_keeps_splits_or_takes_one(run, training, testing, tmp_path):
    parts = {"train": vt.Manifest.read(training), "test": vt.Manifest.read(testing)}
    vt.write_dataset(parts, tmp_path / "yolo", format="yolo")
    code, out, _ = run("convert", tmp_path / "yolo", tmp_path / "both", "--json")
    assert code == 0
    assert json.loads(out)["manifests"] == [str(tmp_path / "both" / f"{name}.manifest") for name in ("test", "train")]
    assert {name: len(part) for name, part in vt.read_splits(tmp_path / "both").items()} == {"train": 18, "test": 8}
    _, out, _ = run("convert", tmp_path / "yolo", tmp_path / "one", "--split", "test")
    assert [name for name in names(tmp_path / "one") if name.endswith(".manifest")] == ["test.manifest"]
    code, _, err = run("convert", tmp_path / "yolo", tmp_path / "none", "--split", "val")
    assert code == 3 and "has no split 'val'; there are 'train', 'test'" in err


def test_convert_takes_classes_columns_and_regions_as_they_are_meant(run, home, tmp_path):
    pictures = [home / "pictures" / f"{number}.png" for number in range(4)]
    for picture, kind in zip(pictures, ("good", "good", "bad", "ugly"), strict=True):
        (tmp_path / "classes" / kind).mkdir(parents=True, exist_ok=True)
        shutil.copy(picture, tmp_path / "classes" / kind)
    words = ("convert", tmp_path / "classes", tmp_path / "c", "--from", "folders")
    code, out, _ = run(*words, "--class", "good=normal", "--class", "bad=anomaly", "--class", "Ugly=Anomaly")
    assert code == 0 and "2 normal, 2 anomaly" in out
    code, out, _ = run(*words[:2], tmp_path / "d", *words[3:])
    assert (
        code == 0 and "No image is labelled. Classes: bad, good, ugly. Say what they mean: --class NAME=anomaly" in out
    )

    table = written(tmp_path / "t.csv", "Bild,Urteil", *(f"{path},anomaly" for path in pictures))
    words = ("convert", table, tmp_path / "t", "--from", "csv", "--column", "source=Bild", "--column", "label=Urteil")
    code, out, _ = run(*words)
    assert code == 0 and "4 images: 4 anomaly" in out
    code, _, err = run("convert", home / "parts-0.manifest", tmp_path / "u", "--column", "source=Bild")
    assert code == 3 and "--column" in err and "lookout" in err


def test_convert_copies_links_or_refers(run, training, home, tmp_path):
    picture = home / "pictures" / "0.png"
    before = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    assert run("convert", training, tmp_path / "copy")[0] == 0
    assert run("convert", training, tmp_path / "link", "--link")[0] == 0
    assert run("convert", training, tmp_path / "refer.manifest", "--refer")[0] == 0
    copy, link = (next((tmp_path / kind).rglob("0.png")) for kind in ("copy", "link"))
    assert not os.path.samefile(copy, picture)
    assert os.path.samefile(link, picture) or picture.stat().st_dev != link.stat().st_dev
    there = next(e for e in vt.Manifest.read(tmp_path / "refer.manifest") if e.source.endswith("/0.png"))
    assert os.path.samefile(there.location, picture)
    assert {path: path.read_bytes() for path in home.rglob("*") if path.is_file()} == before
    code, _, err = run("convert", training, tmp_path / "voc", "--to", "folders", "--refer")
    assert code == 3 and "use --copy or --link" in err


def test_convert_replaces_its_own_folder_only_and_when_it_is_asked(run, training, tmp_path):
    words = ("convert", training, tmp_path / "new")
    assert run(*words)[0] == 0
    code, _, err = run(*words)
    assert code == 3 and "exists and is not empty; give another name or --overwrite" in err
    assert run(*words, "--overwrite")[0] == 0
    (tmp_path / "new" / "holiday.jpg").touch()
    code, _, err = run(*words, "--overwrite")
    assert code == 3 and "left alone" in err and (tmp_path / "new" / "holiday.jpg").exists()


def test_convert_does_not_write_into_what_it_reads(run, sets):
    before = sorted(sets["coco"].rglob("*"))
    for dest in (sets["coco"], sets["coco"] / "new"):
        code, _, err = run("convert", sets["coco"], dest, "--overwrite")
        assert code == 3 and "which is being read; name a folder beside it" in err
    assert sorted(sets["coco"].rglob("*")) == before


def test_convert_lists_its_formats(run):
    code, out, _ = run("convert", "--formats")
    assert code == 0 and [row.split()[0] for row in out.splitlines()] == list(FORMATS)
    assert run("convert", "--list")[1] == out
    assert list(json.loads(run("convert", "--formats", "--json")[1])) == list(FORMATS)


# diff


def test_diff_ends_with_0_where_nothing_differs_and_with_1_where_something_does(run, tmp_path):
    old = written(tmp_path / "old.manifest", line("1.png"), line("2.png"), line("3.png"), "nonsense")
    new = written(tmp_path / "new.manifest", line("1.png", "anomaly"), line("3.png"), line("4.png"))
    code, out, _ = run("diff", old, old)
    assert (code, out) == (0, "No difference.\n")
    code, out, _ = run("diff", old, new)
    assert code == 1
    assert out.splitlines() == [
        "- 2.png (normal)",
        "+ 4.png (normal)",
        "~ '1.png': normal -> anomaly",
        "- unreadable: nonsense",
        "1 added, 1 removed, 1 unreadable line removed, 1 changed: 1 label.",
    ]
    code, out, _ = run("diff", old, new, "--json")
    expected = vt.Manifest.read(old).diff(vt.Manifest.read(new))
    assert code == 1 and json.loads(out) == expected.to_dict()
    code, out, _ = run("diff", old, old, "--json")
    assert code == 0 and not any(json.loads(out)["counts"].values())


def test_diff_shows_as_many_as_it_is_told(run, tmp_path):
    old = written(tmp_path / "old.manifest", *(line(f"{i}.png") for i in range(50)))
    new = written(tmp_path / "new.manifest", line("new.png"))
    assert "... and 30 more" in run("diff", old, new)[1]
    out = run("diff", old, new, "--most", 2)[1]
    assert out.count("- ") == 2 and "... and 48 more" in out
    assert len(json.loads(run("diff", old, new, "--json")[1])["removed"]) == 50


# stats


def test_stats_say_what_is_there(run, training, home):
    code, out, _ = run("stats", training, "--json")
    facts = json.loads(out)
    manifest = vt.Manifest.read(training)
    areas = [float(np.mean(read_mask(entry.mask).ids == 1)) for entry in manifest if entry.mask]
    assert code == 0
    assert facts["counts"] == manifest.counts()
    assert facts["types"]["stain"]["images"] == facts["types"]["stain"]["measured"] == len(areas) == 8
    assert facts["types"]["stain"]["mean_area"] == pytest.approx(np.mean(areas))
    assert facts["sizes"] == {"128x96": 18} and facts["formats"] == {"PNG": 18} and facts["places"] == {"pictures": 18}
    assert facts["repeated"] == {} and facts["dates"]["first"] is None and facts["dates"]["undated"] == 18
    code, out, _ = run("stats", training)
    assert f"mean area {100 * np.mean(areas):.2f} %" in out and "128x96: 18" in out


def test_stats_name_copies_dates_places_and_files_that_are_not_there(run, home, tmp_path):
    def dated(source: str, date: str) -> str:
        return line(
            source, "normal", **{"anomaly-label-metadata": {"class-name": "normal", **CLASS, "creation-date": date}}
        )

    (tmp_path / "1.png").write_bytes((home / "pictures" / "0.png").read_bytes())
    (tmp_path / "bad.png").write_bytes(b"no picture")
    path = written(
        tmp_path / "x.manifest",
        dated("1.png", "2022-08-22T20:52:52"),
        dated("1.png", "Mon Aug 22 2022 13:52:51 GMT-0700 (Pacific Daylight Time)"),
        line("bad.png"),
        line("gone.png"),
        line("s3://factory/a/1.png"),
    )
    facts = json.loads(run("stats", path, "--json")[1])
    assert facts["repeated"] == {"1.png": 2}
    assert facts["dates"] == {"first": "2022-08-22T20:52:51+00:00", "last": "2022-08-22T20:52:52+00:00", "undated": 3}
    assert facts["places"] == {".": 4, "s3://factory/a": 1}
    assert facts["images"] == {"here": 2, "away": 1, "missing": 1, "unreadable": 1}
    facts = json.loads(run("stats", path, "--look", "none", "--json")[1])
    assert facts["images"] == facts["sizes"] == {}
    code, out, _ = run("stats", path, "--most", 1)
    assert code == 0 and "... and 1 more" in out and "1.png: 2" in out


# curate


def test_curate_tells_and_applies_what_the_library_does(run, dirty, tmp_path):
    manifest = vt.Manifest.read(dirty)
    found = vt.curate(manifest)
    new, page = tmp_path / "new.manifest", tmp_path / "page.html"
    code, out, _ = run("curate", dirty, "--apply", new, "--report", page, "--json")
    answer = json.loads(out)
    assert code == 0 and answer["written"] == str(new) and answer["report"] == str(page)
    assert [f["text"] for f in answer["findings"]] == [f.text for f in found.findings]
    assert [(r["source"], r["rule"]) for r in answer["remove"]] == [(r.source, r.rule) for r in found.remove]
    left = vt.Manifest.read(new)
    assert [Path(e.source).name for e in left] == [Path(e.source).name for e in found.apply()]
    assert 0 < len(left) < len(manifest)
    assert page.read_text("utf-8").lstrip().lower().startswith("<!doctype html")

    code, out, _ = run("curate", dirty, "--drop", "dark", "--keep", "exact-duplicate", "--keep", "leak", "--json")
    assert code == 1  # there are errors, and nothing was asked to be done about them
    assert {one["rule"] for one in json.loads(out)["remove"]} == {"dark", "unreadable-image"}


def test_curate_says_how_to_do_it_and_that_does_it(run, dirty, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(dirty.parent, "set")
    code, out, _ = run("curate", "set/parts.manifest", "--drop", "dark", "--most", 1)
    assert code == 1
    command = suggested(out, "curate")
    assert command[-1] == "set/parts-clean.manifest"
    code, out, _ = run(*command)
    assert code == 0
    told = int(re.search(r"To remove: (\d+) images", out)[1])
    assert len(vt.Manifest.read("set/parts.manifest")) - told == len(vt.Manifest.read("set/parts-clean.manifest"))
    assert suggested(out, "train") == ["train", "set/parts-clean.manifest", "--model", "model"]


def test_curate_finds_a_leak_between_splits_and_between_files(run, training, testing, tmp_path):
    train, test = vt.Manifest.read(training), vt.Manifest.read(testing)
    vt.write_dataset({"train": train, "test": test + train[:1]}, tmp_path / "set", format="lookout")
    code, out, err = run("curate", tmp_path / "set", "--json")
    assert code == 1 and "'train' is taken to train, 'test' to test" in err
    assert [one["rule"] for one in json.loads(out)["remove"]] == ["leak"]
    leaky = (test + train[:1]).write(tmp_path / "leaky.manifest", relocate=True)
    code, out, _ = run("curate", training, "--test", leaky)
    assert code == 1 and "To remove: 1 image (1 leak)." in out
    assert run("curate", training, "--test", testing)[0] == 0


def test_curate_refuses_before_it_looks(run, training, tmp_path, monkeypatch):
    monkeypatch.setattr(vt, "curate", lambda *args, **more: pytest.fail("it went to work"))
    mine = written(tmp_path / "mine.manifest", line("1.png"))
    before = Path(training).read_bytes()
    for words, said in [
        (("--apply", mine), "exists; give another name or --overwrite"),
        (("--report", mine), "exists; give another name or --overwrite"),
        (("--apply", training, "--overwrite"), "is what is looked at, and stays as it is"),
        (("--test", mine, "--apply", mine, "--overwrite"), "is what is looked at, and stays as it is"),
    ]:
        code, _, err = run("curate", training, *words)
        assert code == 3 and said in err
    assert Path(training).read_bytes() == before and mine.read_text("utf-8") == line("1.png") + "\n"


# Where nothing can be written, and where nobody listens


def test_what_cannot_be_written_is_said_and_leaves_nothing(run, training, locked):
    for words in (
        ("repair", training, locked / "new.manifest"),
        ("convert", training, locked / "new"),
        ("curate", training, "--apply", locked / "new.manifest"),
        ("curate", training, "--report", locked / "new.html"),
    ):
        code, _, err = run(*words)
        assert code == 3 and str(locked) in err and err.count("\n") == 1
    assert not (locked / "new").exists() and not (locked / "new.manifest").exists()


@pytest.mark.parametrize("words", [("diff",), ("diff", "--json")])
def test_a_reader_that_goes_away_is_no_fault(tmp_path, words):
    old = written(tmp_path / "old.manifest", *(line(f"{i}.png") for i in range(5000)))
    new = written(tmp_path / "new.manifest", line("new.png"))
    program = subprocess.Popen(
        [*COMMAND, words[0], old, new, *words[1:], "--most", "5000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    program.stdout.readline()
    program.stdout.close()
    assert program.stderr.read() == b""
    assert program.wait(timeout=60) == 141
    program.stderr.close()


@pytest.mark.parametrize(
    "words", [("check",), ("repair",), ("diff",), ("stats",), ("curate",), ("convert", "--formats")]
)
def test_json_is_json_alone(run, dirty, words):
    data = [] if words[0] == "convert" else [dirty, *([dirty] if words[0] == "diff" else [])]
    code, out, err = run(words[0], *data, *words[1:], "--json")
    assert code in (0, 1) and not err
    json.loads(out)


# From an export to a clean training manifest, in three commands


def test_three_commands_make_a_clean_training_manifest_of_an_export(run, export, tmp_path, monkeypatch):
    before = {path: path.read_bytes() for path in export.rglob("*") if path.is_file()}
    monkeypatch.chdir(tmp_path)
    code, out, _ = run("check", export)
    assert code == 1 and "can be repaired, once it is a manifest." in out
    convert = suggested(out, "convert")
    assert convert == ["convert", str(export), "NEW", "--skip-missing"]  # one image is not in the export

    code, _, err = run(*convert[:3])
    assert code == 3 and "or leave such images out with --skip-missing" in err and names(tmp_path) == []
    code, out, _ = run(*convert)
    assert code == 0 and "Left out 1 image that is not there:" in out and "nothing was lost" in out
    repair = suggested(out, "repair")
    assert repair == ["repair", "NEW/train.manifest", "NEW/train-clean.manifest"]

    code, out, _ = run(*repair)
    assert code == 0 and "What was taken out lies in NEW/train-clean.manifest.rejected" in out
    assert suggested(out, "train") == ["train", "NEW/train-clean.manifest", "--model", "model"]

    clean = vt.Manifest.read("NEW/train-clean.manifest")
    assert not [f for f in clean.check(look="none") if RULES[f.rule].repaired == "always"]
    assert not [f for f in clean.check() if f.rule in ("missing-image", "missing-mask", "not-json", "no-source")]
    assert len(clean) + 2 == len(vt.read_splits(export)["train"])  # without the missing one, and a copy
    assert all(Path(entry.location).is_relative_to(tmp_path) for entry in clean)
    assert {path: path.read_bytes() for path in export.rglob("*") if path.is_file()} == before


def test_three_commands_make_a_training_manifest_of_plain_coco(run, home, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("coco").mkdir()
    images = [{"id": i, "file_name": f"{i}.png", "width": 128, "height": 96} for i in range(18)]
    boxes = [
        {"id": i, "image_id": i, "category_id": 7, "bbox": [8, 8, 32, 24], "area": 768, "iscrowd": 0}
        for i in range(10, 18)
    ]
    for image in images:
        shutil.copy(home / "pictures" / image["file_name"], "coco")
    data = {"images": images, "annotations": boxes, "categories": [{"id": 7, "name": "stain"}]}
    Path("coco/_annotations.coco.json").write_text(json.dumps(data), "utf-8")

    code, out, _ = run("check", "coco")
    convert = suggested(out, "convert")
    assert convert == ["convert", "coco", "NEW", "--label-from-regions", "--paint"]
    code, out, _ = run(*convert)
    assert code == 0 and "18 images: 10 normal, 8 anomaly, 8 with masks of 1 type" in out
    manifest = suggested(out, "train")[1]
    clean = vt.Manifest.read(manifest)
    assert clean.types == ("stain",) and not [f for f in clean.check() if f.severity == "error"]
    area = json.loads(run("stats", manifest, "--json")[1])["types"]["stain"]["mean_area"]
    assert area == pytest.approx(32 * 24 / (128 * 96))
    code, out, _ = run("repair", manifest, "NEW/clean.manifest")
    assert code == 0 and Path("NEW/clean.manifest").read_bytes() == Path(manifest).read_bytes()


def test_the_installed_program_goes_the_same_way(export, tmp_path):
    def program(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *words], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
        )

    done = program("check", str(export), "--most", "1")
    assert (done.returncode, done.stderr) == (1, "")
    for command in ("convert", "repair"):
        done = program(*suggested(done.stdout, command))
        assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "NEW" / "train-clean.manifest").is_file()
