"""The command line, as a user meets it: what it answers, writes, refuses, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import pytest

import vision_toolkit as vt
from vision_toolkit.app.arguments import METRICS
from vision_toolkit.models.verdict import METRICS as KNOWN_METRICS

# What runs in the background of a shell is told to ignore Ctrl-C, and so are these tests' programs then.
START = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from vision_toolkit.app.cli import main
sys.exit(main())
"""
PROGRAM = [sys.executable, "-c", START]


def start(*words: object, **more) -> subprocess.Popen:
    pipe = subprocess.PIPE
    return subprocess.Popen([*PROGRAM, *map(str, words)], stdout=pipe, stderr=pipe, text=True, encoding="utf-8", **more)


def buffered() -> dict[str, str]:
    """Give an environment in which Python keeps its output until it is worth writing, as it does for users."""
    return {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def bomb(side: int = 60_000) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")
    )


# Wrong calls


def test_without_a_command_it_says_what_there_is(run):
    code, out, err = run()
    assert code == 2 and not out
    assert all(name in err for name in ("check", "repair", "convert", "diff", "stats", "curate", "split", "train"))
    assert all(name in err for name in ("evaluate", "predict", "demo"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("chek", "x"), "invalid choice: 'chek'"),
        (("check",), "required: data"),
        (("check", "board", "--most", "-1"), "a whole number from 0 is needed; '-1' was given"),
        (("check", "board", "--images", "x"), "--images belongs to a manifest"),
        (("split", "x", "--test-size", "1.5"), "a share between 0 and 1, or a number of images, is needed; '1.5'"),
        (("split", "x", "--test-size", "0"), "'0' was given"),
        (("split", "x", "--seed", "one"), "a whole number from 0 is needed; 'one'"),
        (("train", "x"), "required: --model"),
        (("train", "x", "--model", "m", "--threads", "0"), "a whole number from 1 is needed; '0'"),
        (("train", "x", "--model", "m", "--budget", "soon"), "a time above 0 is needed, such as 60s"),
        (("train", "x", "--model", "m", "--budget", "0s"), "a time above 0"),
        (("train", "x", "--model", "m", "--metric", "f2"), "choose from 'f1'"),
        (("train", "x", "--model", "m", "--threshold", "7"), "a number from 0 to 1 is needed; '7'"),
        (("train", "x", "--model", "m", "--threshold", "at_recall(2)"), "'at_recall(2)' was given"),
        (("train", "x", "--model", "m", "--preset", "fastest"), "choose from 'fast'"),
        (("train", "x", "--model", "m", "--report", "m/report"), "must be two folders"),
        (("check", "x", "--look", "closely"), "choose from 'whole'"),
        (("check", "x", "--from", "cocoa"), "there is no format 'cocoa'; there are: lookout, folders"),
        (("repair",), "required: MANIFEST"),
        (("repair", "x", "--rule", "not-jsn"), "there is no rule 'not-jsn'; a repair knows:"),
        (("repair", "x", "--skip", "no-background", "--rule", "mask-size"), "'mask-size' needs a person: paint it"),
        (("convert",), "required: SOURCE, DEST (or --formats)"),
        (("convert", "x"), "required: DEST (or --formats)"),
        (("convert", "x", "y", "--to", "coca"), "there is no format 'coca'"),
        (("convert", "x", "y", "--copy", "--refer"), "not allowed with argument --copy"),
        (("convert", "x", "y", "--class", "good"), "CLASS=LABEL is needed, LABEL one of normal, anomaly, unlabelled"),
        (("convert", "x", "y", "--class", "good=fine"), "'good=fine' was given"),
        (("convert", "x", "y", "--column", "source"), "OURS=THEIRS is needed, source=path say; 'source' was given"),
        (("convert", "board", "y", "--paint"), "'board' is drawn with its labels and masks"),
        (("diff", "x"), "required: NEW"),
        (("stats", "x", "--look", "whole"), "choose from 'header'"),
        (("curate", "x", "--drop", "not-json"), "no image is removed by 'not-json'; there are: unreadable-image"),
        (("curate", "x", "--report", "y", "--apply", "y"), "--report and --apply must be two files"),
        (("predict", "m", "x", "--threshold", "nan"), "a number from 0 to 1 is needed; 'nan'"),
    ],
)
def test_a_wrong_call_is_told_at_once_and_ends_with_2(run, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*words)
    assert code == 2 and not out
    assert said in err
    assert names(tmp_path) == []


def test_the_metrics_are_those_of_the_library():
    assert set(METRICS) == set(KNOWN_METRICS)


def test_a_folder_of_images_and_prefixes_do_not_mix(run, training, tmp_path):
    code, _, err = run("check", training, "--images", tmp_path, "--images", f"s3://b={tmp_path}")
    assert code == 2
    assert "PREFIX=FOLDER" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("check", "no.manifest"), "Nothing is at no.manifest."),
        (("check", "bord"), "no file, folder or bundled dataset 'bord'. There is no dataset 'bord'; there are: board"),
        (("check", "here"), "must have folders 'normal' and 'anomaly'"),
        (("check", "empty.manifest", "--images", "nowhere"), "nowhere, which is not there"),
        (("repair", "no.manifest"), "Nothing is at no.manifest."),
        (("repair", "here"), "here is no manifest, but a folder. Make one of it: vision-toolkit convert here NEW"),
        (("repair", "empty.manifest", "empty.manifest"), "is the old manifest, which a repair never touches"),
        (("repair", "empty.manifest", "here"), "here is a folder; name a file"),
        (("repair", "empty.manifest", "empty.manifest/new"), "empty.manifest is a file, so that"),
        (("convert", "no.manifest", "new"), "Nothing is at no.manifest."),
        (("convert", "bord", "new"), "no file, folder or bundled dataset 'bord'"),
        (("convert", "here", "new"), "or be of a known format; it has nothing. Looked for: lookout (Lookout"),
        (("convert", "here", "new", "--from", "coco"), "here"),
        (("convert", "empty.manifest", "new"), "There is no image to write."),
        (("diff", "empty.manifest", "no.manifest"), "Nothing is at no.manifest."),
        (("stats", "no.manifest"), "Nothing is at no.manifest."),
        (("stats", "empty.manifest", "--split", "train"), "has no split 'train'; there are none: the whole is one"),
        (("curate", "no.manifest"), "Nothing is at no.manifest."),
        (("curate", "empty.manifest", "--apply", "empty.manifest", "--overwrite"), "stays as it is; give another name"),
        (("curate", "empty.manifest", "--report", "here"), "here is a folder; name a file"),
        (("split", "empty.manifest"), "at least two labelled images; 0 are there"),
        (("train", "empty.manifest", "--model", "m"), "At least 4 normal images are needed"),
        (("train", "empty.manifest", "--model", "m", "--test", "no.manifest"), "Nothing is at no.manifest."),
        (("evaluate", "here", "empty.manifest"), "here is no model folder"),
        (("predict", "here", "x.png"), "here is no model folder"),
        (("predict", "here", "here"), "no image in the folder here; its files must end in .png"),
        (("demo", "--dataset", "bord"), "there are: board, casting, biscuit"),
        (("demo", "--out", "empty.manifest"), "empty.manifest is a file; name a folder"),
        (("train", "x", "--model", "empty.manifest/m"), "empty.manifest is a file; name a folder"),
    ],
)
def test_what_fails_says_why_in_one_line_and_ends_with_3(run, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    (tmp_path / "empty.manifest").touch()
    code, out, err = run(*words)
    assert code == 3 and not out
    assert err.startswith(f"vision-toolkit {words[0]}: ") and err.count("\n") == 1
    assert said in err
    assert names(tmp_path) == ["empty.manifest", "here"]


# check


def test_check_answers_what_the_library_does(run, training):
    code, out, _ = run("check", training, "--json")
    manifest = vt.Manifest.read(training)
    answer = json.loads(out)
    assert code == 0
    assert answer["counts"] == manifest.counts()
    assert answer["types"] == ["stain"]
    assert [(f["line"], f["rule"], f["text"]) for f in answer["findings"]] == [
        (f.line, f.rule, f.text) for f in manifest.check()
    ]


def test_check_says_no_to_a_manifest_with_errors_and_yes_where_the_images_are(run, training, home, tmp_path):
    moved = tmp_path / "moved.manifest"
    moved.write_bytes(Path(training).read_bytes() + b"no line\n")
    code, out, _ = run("check", moved)
    assert code == 1
    assert "missing-image" in out and "line 19: error: Not JSON" in out
    assert "Repair: say where it is: --images folder/" in out  # as it is typed here, not as in Python
    code, out, _ = run("check", moved, "--images", home)
    assert code == 1 and "missing-image" not in out


def test_check_shows_a_few_of_each_rule_and_counts_the_rest(run, tmp_path):
    path = tmp_path / "odd.manifest"
    path.write_text("nonsense\n" * 9, "utf-8")
    code, out, _ = run("check", path, "--most", 2)
    assert code == 1
    assert out.count("Not JSON") == 2
    assert "... and 7 more of [not-json]" in out
    assert "10 errors, 0 other findings." in out


def test_check_names_images_that_cannot_be_read(run, home, tmp_path):
    whole = (home / "pictures" / "0.png").read_bytes()
    for label in ("normal", "anomaly"):
        (tmp_path / label).mkdir()
    (tmp_path / "normal" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "normal" / "empty.png").touch()
    (tmp_path / "anomaly" / "bomb.png").write_bytes(bomb())
    code, out, _ = run("check", tmp_path, "--json")
    told = {Path(f["text"].split(".png")[0]).name for f in json.loads(out)["findings"] if f["severity"] == "error"}
    assert code == 1
    assert told == {"cut", "empty", "bomb"}


def test_images_of_a_cloud_manifest_are_found_by_prefix_and_by_folder(run, training, home, tmp_path):
    cloud = tmp_path / "cloud.manifest"
    text = Path(training).read_text("utf-8")
    cloud.write_text(text.replace("pictures/", "s3://b/a=1/pictures/").replace("masks/", "s3://b/a=1/masks/"), "utf-8")
    for images in (f"s3://b/a=1={home}", home):
        code, out, _ = run("check", cloud, "--images", images, "--json")
        assert code == 0
        assert {f["rule"] for f in json.loads(out)["findings"]} <= {"few-images", "few-of-type", "odd-key"}
    code, out, _ = run("check", cloud, "--json")
    assert "not-local" in {f["rule"] for f in json.loads(out)["findings"]}


# split


def test_split_writes_two_manifests_that_read_and_share_nothing(run, training, home, tmp_path):
    code, out, _ = run("split", training, "--out", tmp_path / "a b", "--test-size", 6, "--seed", 3, "--json")
    answer = json.loads(out)
    parts = {side: vt.Manifest.read(answer[side]["path"]) for side in ("train", "test")}
    assert code == 0
    assert names(tmp_path / "a b") == ["parts-0-test.manifest", "parts-0-train.manifest"]
    assert {side: part.counts() for side, part in parts.items()} == {s: answer[s]["counts"] for s in answer}
    places = {side: {os.path.realpath(e.location) for e in part} for side, part in parts.items()}
    assert len(parts["test"]) == 6 == len(places["test"])
    assert places["train"].isdisjoint(places["test"])
    assert places["train"] | places["test"] == {str(path) for path in (home / "pictures").glob("?.png")} | {
        str(path) for path in (home / "pictures").glob("1?.png")
    }
    # In another folder the relative places still lead to images and masks.
    assert not [f for part in parts.values() for f in part.check() if f.severity == "error"]
    expected = vt.train_test_split(vt.Manifest.read(training), test_size=6, seed=3)[1]
    assert [Path(e.source).name for e in parts["test"]] == [Path(e.source).name for e in expected]


def test_split_beside_the_manifest_leaves_its_lines_to_the_letter(run, training, tmp_path):
    path = tmp_path / "parts.manifest"
    path.write_bytes(
        Path(training).read_bytes().replace(b'"pictures/', b'"s3://b/pictures/').replace(b'"masks/', b'"s3://b/masks/')
    )
    code, out, _ = run("split", path, "--images", Path(training).parent)
    assert code == 0
    assert "give --images again" in out
    lines = [(tmp_path / f"parts-{side}.manifest").read_bytes().splitlines() for side in ("train", "test")]
    assert sorted(lines[0] + lines[1]) == sorted(path.read_bytes().splitlines())


def test_split_of_a_folder_lands_beside_it_even_when_it_is_the_present_one(run, home, tmp_path, monkeypatch):
    folder = tmp_path / "my parts"
    for label, numbers in (("normal", range(4)), ("anomaly", range(10, 14))):
        (folder / label).mkdir(parents=True)
        for number in numbers:
            (folder / label / f"{number}.png").write_bytes((home / "pictures" / f"{number}.png").read_bytes())
    monkeypatch.chdir(folder)
    code, _, _ = run("split", ".")
    assert code == 0
    assert names(tmp_path) == ["my parts", "my parts-test.manifest", "my parts-train.manifest"]
    assert run("check", "../my parts-test.manifest")[0] == 0


def test_split_replaces_both_files_or_none(run, training, tmp_path, monkeypatch):
    assert run("split", training, "--out", tmp_path)[0] == 0
    before = {name: (tmp_path / name).read_bytes() for name in names(tmp_path)}
    code, _, err = run("split", training, "--out", tmp_path, "--seed", 5)
    assert code == 3 and "give --out DIR or --overwrite" in err
    real, calls = vt.Manifest.write, []

    def full(self, path, **more):
        calls.append(path)
        if len(calls) == 2:
            raise vt.Failed("No space left on device.")
        return real(self, path, **more)

    monkeypatch.setattr(vt.Manifest, "write", full)
    assert run("split", training, "--out", tmp_path, "--seed", 5, "--overwrite")[0] == 3
    assert {name: (tmp_path / name).read_bytes() for name in names(tmp_path)} == before
    monkeypatch.undo()
    assert run("split", training, "--out", tmp_path, "--seed", 5, "--overwrite")[0] == 0
    assert names(tmp_path) == sorted(before)
    assert {name: (tmp_path / name).read_bytes() for name in before} != before


# train


def test_train_writes_a_model_and_a_report_and_says_how_good_it_is(trained):
    said = json.loads((trained / "said.json").read_text("utf-8"))
    assert said["task"] == "segmentation" and said["types"] == ["stain"]
    assert said["model"] == str(trained / "model") and said["report"] == str(trained / "report")
    assert said["evaluation"]["images"] == 8
    model = vt.load(said["model"])
    assert model.threshold == said["threshold"]
    assert names(trained / "report") == ["report.html", "report.json"]
    assert not [name for name in names(trained) if name.startswith(".")]


def test_train_refuses_before_it_works(run, trained, training, tmp_path, monkeypatch):
    monkeypatch.setattr(vt, "train", lambda *args, **more: pytest.fail("it went to work"))
    model, report = trained / "model", trained / "report"
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "model.json").write_text("{}", "utf-8")
    (mine / "report.json").write_text("{}", "utf-8")
    (mine / "holiday.jpg").touch()
    for words, said in [
        (("--model", model), "exists and is not empty; give another name or --overwrite"),
        (("--model", tmp_path / "m", "--report", report), "or --overwrite"),
        (("--model", mine), "holds holiday.jpg"),
        (("--model", mine, "--overwrite"), "holds holiday.jpg"),
        (("--model", report, "--overwrite"), "so it was not made here and is left alone"),
        (("--model", tmp_path / "m", "--report", mine, "--overwrite"), "holds holiday.jpg"),
        (("--model", tmp_path / "m", "--report", model, "--overwrite"), "so it was not made here and is left alone"),
    ]:
        code, _, err = run("train", training, *words)
        assert code == 3 and said in err
    assert names(mine) == ["holiday.jpg", "model.json", "report.json"]
    assert names(tmp_path) == ["mine"]


def test_training_on_normal_images_alone_says_why_there_is_no_report(run, training, quick, tmp_path):
    normal = vt.Manifest.read(training).filter(label="normal")
    folder = tmp_path / "normal"
    folder.mkdir()
    for entry in normal:
        (folder / Path(entry.source).name).write_bytes(Path(entry.location).read_bytes())
    words = ("--model", tmp_path / "m", "--report", tmp_path / "r", *quick)
    code, out, _ = run("train", tmp_path, *words)
    assert code == 0
    assert "no scores and no report; give --test DATA" in out and f"Wrote {tmp_path / 'm'}\n" in out
    assert not (tmp_path / "r").exists()
    code, out, _ = run("train", tmp_path, *words, "--overwrite", "--json")
    answer = json.loads(out)
    assert code == 0 and answer["report"] is None and answer["evaluation"] is None


def test_a_model_whose_report_fails_is_kept_and_named(run, trained, training, testing, tmp_path, monkeypatch):
    ready = vt.load(trained / "model")
    ready.evaluation = ready.evaluate(vt.Manifest.read(testing))
    monkeypatch.setattr(vt, "train", lambda *args, **more: ready)

    def full(*args, **more):
        raise vt.Failed("No space left on device.")

    monkeypatch.setattr("vision_toolkit.models.report.write_report", full)
    model = tmp_path / "m"
    code, _, err = run("train", training, "--test", testing, "--model", model, "--report", tmp_path / "r")
    assert code == 3
    assert f"No space left on device. The model itself was written: {model}." in err
    assert names(tmp_path) == ["m"]
    vt.load(model)


# evaluate


def test_evaluate_answers_what_the_library_does(run, trained, testing, tmp_path):
    report = tmp_path / "r"
    code, out, _ = run("evaluate", trained / "model", testing, "--report", report, "--json")
    answer = json.loads(out)
    expected = json.loads(json.dumps(vt.load(trained / "model").evaluate(vt.Manifest.read(testing)).to_dict()))
    assert code == 0
    assert answer.pop("created") and expected.pop("created")
    assert answer == expected
    assert names(report) == ["report.html", "report.json"]
    assert run("evaluate", trained / "model", testing, "--report", report)[0] == 3
    code, out, _ = run("evaluate", trained / "model", testing, "--report", report, "--overwrite")
    assert code == 0
    assert "Evaluation(test, 8 images" in out and "stain: in 4 images, pixel F1" in out and "report.html" in out


# predict


def test_predict_answers_one_line_an_image_and_goes_on_after_a_bad_one(run, trained, tmp_path):
    good = [trained / "pictures" / "100.png", trained / "pictures" / "107.png"]
    cut, huge = tmp_path / "cut.png", tmp_path / "bomb.png"
    cut.write_bytes(good[0].read_bytes()[:900])
    huge.write_bytes(bomb())
    asked = [good[0], cut, tmp_path / "none.png", huge, good[1]]
    code, out, err = run("predict", trained / "model", *asked, "--json")
    answers = [json.loads(line) for line in out.splitlines()]
    assert code == 1 and not err
    assert [answer["source"] for answer in answers] == [str(path) for path in asked]
    assert ["error" in answer for answer in answers] == [False, True, True, True, False]
    model = vt.load(trained / "model")
    assert [answers[0], answers[4]] == [json.loads(json.dumps(model.predict(str(path)).to_dict())) for path in good]
    code, out, err = run("predict", trained / "model", *asked)
    assert code == 1
    assert len(out.splitlines()) == 2 and len(err.splitlines()) == 3


def test_predict_takes_folders_and_another_threshold(run, trained):
    code, out, _ = run("predict", trained / "model", trained / "pictures", "--threshold", 0, "--json")
    answers = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert len(answers) == len(names(trained / "pictures"))
    assert all(answer["is_anomalous"] and answer["threshold"] == 0 for answer in answers)


def test_overlays_of_images_of_one_name_do_not_replace_each_other(run, trained, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").write_bytes((trained / "pictures" / "107.png").read_bytes())
    code, _, _ = run("predict", trained / "model", tmp_path / "a", tmp_path / "b", "--overlays", tmp_path / "seen ü")
    assert code == 0
    assert names(tmp_path / "seen ü") == ["1-2-overlay.png", "1-overlay.png"]
    file = tmp_path / "a" / "1.png"
    code, out, err = run("predict", trained / "model", file, "--overlays", file)
    assert code == 3 and not out and "is a file; name a folder" in err


# demo


def test_demo_writes_model_and_report_again_and_again_but_over_nothing_else(
    run, training, quick, tmp_path, monkeypatch
):
    monkeypatch.setattr(vt, "load_dataset", lambda name: vt.Manifest.read(training))  # the drawn ones take minutes
    out = tmp_path / "out"
    code, said, _ = run("demo", "--out", out, *quick)
    assert code == 0
    assert [line[0] for line in said.splitlines() if line[0] != " "] == list("123456")
    assert names(out) == ["model", "report.html", "report.json"]
    again = vt.load(out / "model")
    monkeypatch.setattr(vt, "train", lambda *args, **more: again)
    code, said, _ = run("demo", "--out", out, "--json", *quick)
    assert code == 0
    assert json.loads(said)["out"] == str(out)
    assert names(tmp_path) == ["out"]

    monkeypatch.setattr(vt, "train", lambda *args, **more: pytest.fail("it went to work"))
    (out / "notes.txt").write_text("mine", "utf-8")
    code, _, err = run("demo", "--out", out)
    assert code == 3 and "holds notes.txt, so it was not made here and is left alone" in err
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "report.json").write_text("mine", "utf-8")
    code, _, err = run("demo", "--out", mine)
    assert code == 3 and "holds no model, so" in err
    assert (mine / "report.json").read_text("utf-8") == (out / "notes.txt").read_text("utf-8") == "mine"


@pytest.mark.slow  # draws and trains the real thing
def test_the_real_demo_runs(run, quick, tmp_path):
    code, said, _ = run("demo", "--out", tmp_path / "out", *quick)
    assert code == 0
    assert "1. Read board" in said and "6. Wrote" in said


# As programs


def test_help_is_there_and_quick():
    started = time.monotonic()
    program = start("train", "--help")
    out, err = program.communicate(timeout=30)
    assert program.returncode == 0 and not err
    assert "--weights" in out
    assert time.monotonic() - started < 10


def test_help_loads_nothing_heavy():
    code = (
        "import sys; from vision_toolkit.app.cli import main\n"
        "try: main(['train', '--help'])\nexcept SystemExit: pass\n"
        "print(sorted({'torch', 'pandas', 'matplotlib', 'sklearn', 'onnxruntime', 'tqdm'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_ctrl_c_while_training_ends_with_130_and_leaves_nothing(training, trained, quick, tmp_path):
    words = ["train", training, "--model", tmp_path / "m", "--report", tmp_path / "r", *quick]
    # Signals itself in the midst of training: no guessing how far it has come.
    code = (
        "import os, signal, sys\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "import vision_toolkit.models.search as room\nfrom vision_toolkit.app.cli import main\n"
        "real = room.fit_verdict\n"
        "def struck(*args, **more):\n    os.kill(os.getpid(), signal.SIGINT)\n    return real(*args, **more)\n"
        "room.fit_verdict = struck\nsys.exit(main(sys.argv[1:]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 130
    assert done.stderr.strip() == "Interrupted; nothing half-written is left."
    assert names(tmp_path) == []


def test_ctrl_c_from_outside_ends_a_program_too(trained, tmp_path):
    many = ["predict", trained / "model", *[trained / "pictures"] * 200]
    program = start(*many)
    assert program.stdout.readline()  # it is at work
    program.send_signal(signal.SIGINT)
    _, err = program.communicate(timeout=60)
    assert program.returncode == 130
    assert "Traceback" not in err


@pytest.mark.parametrize("words", [("check",), ("check", "--json")])
def test_a_reader_that_goes_away_is_no_fault(tmp_path, words):
    path = tmp_path / "long.manifest"
    path.write_text("nonsense\n" * 20_000, "utf-8")
    program = start(words[0], path, *words[1:], "--most", 20_000)
    program.stdout.readline()
    program.stdout.close()
    err = program.stderr.read()
    assert program.wait(timeout=60) == 141
    assert err == ""
    program.stderr.close()


def test_a_reader_that_never_came_is_no_fault(training):
    read, write = os.pipe()
    os.close(read)
    try:  # so little is said that it stays in the buffer until the end
        done = subprocess.run(
            [*PROGRAM, "check", training], stdout=write, stderr=subprocess.PIPE, env=buffered(), check=False, timeout=60
        )
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_behind_the_output_is_told(training):
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run(
            [*PROGRAM, "check", training],
            stdout=full,
            stderr=subprocess.PIPE,
            env=buffered(),
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 3
    assert done.stderr == "vision-toolkit check: the system refused: No space left on device.\n"
