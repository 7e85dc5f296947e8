"""What a package does by itself: real processes of it predict, check and serve, as a folder and as a zip file."""

from __future__ import annotations

import base64
import http.client
import io
import json
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import vision_toolkit as vt
from vision_toolkit.models import runtime
from vision_toolkit.models.station import check as check_module
from vision_toolkit.models.station import files, serve
from vision_toolkit.services.lookout.local import result_of


@pytest.fixture
def package(exported, tmp_path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(exported.path, tmp_path / "package"))


@pytest.fixture(scope="module")
def zipped(exported, tmp_path_factory) -> Path:
    """The same package as one file."""
    return Path(shutil.make_archive(str(tmp_path_factory.mktemp("zip") / "package"), "zip", exported.path))


def run(place: Path, *words: str, **more) -> tuple[int, list[dict], str]:
    done = subprocess.run(
        [sys.executable, "-B", str(place), *words], check=False, capture_output=True, text=True, timeout=120, **more
    )
    lines = done.stdout.splitlines()
    return done.returncode, [json.loads(line) for line in lines if line.startswith("{")], done.stdout + done.stderr


# The command line


@pytest.mark.parametrize("as_zip", [False, True], ids=["folder", "zip"])
def test_it_predicts_as_the_model_does(exported, zipped, model, testing, as_zip, tmp_path):
    paths = [entry.location for entry in testing[::4]]
    code, lines, said = run(zipped if as_zip else exported.path, "predict", *paths, cwd=tmp_path)
    assert code == 0, said
    for line, path in zip(lines, paths, strict=True):
        known = model.predict(path).to_dict()
        assert line == {key: known[key] for key in ("source", "is_anomalous", "confidence", "score")}


@pytest.mark.parametrize("as_zip", [False, True], ids=["folder", "zip"])
def test_it_checks_itself_and_gives_the_golden_answers_to_the_last_bit(exported, zipped, as_zip):
    code, (told,), said = run(zipped if as_zip else exported.path, "check")
    assert code == 0, said
    assert told["holds"] is True and told["faults"] == []
    assert (told["images"], told["verdicts_equal"], told["identical"]) == (6, 6, 6)
    assert (told["score_difference"], told["mask_iou"]) == (0.0, 1.0)
    assert told["seconds_per_image"] > 0


def test_without_a_word_it_says_what_there_is(exported):
    for words, code in (([], 2), (["dance"], 2), (["--help"], 0)):
        ended, _, said = run(exported.path, *words)
        assert ended == code and all(verb in said for verb in ("predict", "serve", "watch", "check"))
    assert run(exported.path, "predict")[0] == 2
    code, _, said = run(exported.path, "serve", "--help")
    assert code == 0 and "/detect" in said
    assert run(exported.path, "serve", "--queue", "-1")[0] == 2


def test_a_zip_file_cannot_watch(zipped):
    code, (told,), _ = run(zipped, "watch", "in", "out")
    assert code == 1 and "must be unpacked" in told["error"]


def test_a_package_without_the_watcher_says_so(package):
    """Those that an earlier version exported have none."""
    (package / "station" / "watch.py").unlink(missing_ok=True)
    facts = json.loads((package / "package.json").read_text("utf-8"))
    facts["files"].pop("station/watch.py", None)
    (package / "package.json").write_text(json.dumps(facts), "utf-8")
    code, (told,), _ = run(package, "watch", "in", "out")
    assert code == 1 and "cannot watch a folder" in told["error"] and "Export the model again" in told["error"]


SPOILT = {
    "changed": (lambda folder: (folder / "model.json").write_text("{}"), "model.json was changed"),
    "missing": (lambda folder: (folder / "golden" / "01.png").unlink(), "golden/01.png is missing"),
    "strange": (lambda folder: (folder / "station" / "x.py").write_text(""), "station/x.py does not belong"),
    "link": (lambda folder: (folder / "numpy").symlink_to(folder), "numpy does not belong"),
    "list": (lambda folder: (folder / "package.json").write_text("[1]"), "package.json is missing or damaged"),
    "no list": (lambda folder: (folder / "package.json").unlink(), "package.json is missing or damaged"),
}


@pytest.mark.parametrize(("spoil", "said"), SPOILT.values(), ids=SPOILT)
@pytest.mark.parametrize("verb", ["predict", "serve", "watch"])
def test_a_package_that_was_changed_does_nothing(package, testing, spoil, said, verb):
    spoil(package)
    code, (told,), _ = run(package, verb, testing[0].location)
    assert code == 1 and said in told["error"] and "Fetch it again" in told["error"]


@pytest.mark.parametrize(("spoil", "said"), SPOILT.values(), ids=SPOILT)
def test_what_was_changed_is_told(package, spoil, said):
    spoil(package)
    code, (told,), _ = run(package, "check")
    assert code == 1 and told["holds"] is False and any(said in fault for fault in told["faults"])


def test_a_damaged_zip_file_is_told(zipped, tmp_path, testing):
    data = bytearray(zipped.read_bytes())
    with zipfile.ZipFile(zipped) as archive:
        where = archive.getinfo("model.onnx").header_offset + 200
    data[where] ^= 1
    (tmp_path / "bad.zip").write_bytes(data)
    code, (told,), _ = run(tmp_path / "bad.zip", "predict", testing[0].location)
    assert code == 1 and "model.onnx was changed" in told["error"]


def test_check_finds_what_checksums_cannot(package):
    """Who changes the list too is found out by the answers."""
    info = json.loads((package / "model.json").read_text("utf-8"))
    (package / "model.json").write_text(json.dumps(info | {"threshold": 0.9999}), "utf-8")
    facts = json.loads((package / "package.json").read_text("utf-8"))
    facts["files"]["model.json"] = files.sha256(package / "model.json")
    (package / "package.json").write_text(json.dumps(facts), "utf-8")
    code, (told,), _ = run(package, "check")
    assert code == 1 and told["faults"] == [] and told["holds"] is False and told["verdicts_equal"] < 6


def test_an_engine_that_is_not_there_is_told(exported, testing):
    for engine, said in (("cuda", "no CUDA"), ("steam", "no engine 'steam'")):
        code, (told,), _ = run(
            exported.path, "predict", testing[0].location, env={"VISION_TOOLKIT_ENGINE": engine, "PATH": ""}
        )
        assert code == 1 and said in told["error"]


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.dictionaries(st.sampled_from(["a", "b", "c/d"]), st.binary(max_size=9), max_size=3))
def test_faults_are_exactly_what_differs(tmp_path, changes):
    root = tmp_path / "r"
    shutil.rmtree(root, ignore_errors=True)
    known = {"a": b"1", "b": b"", "e": b"2"}
    listed = {}
    (root / "c").mkdir(parents=True)
    for name, data in known.items():
        (root / name).write_bytes(data)
        listed[name] = files.sha256(root / name)
    for name, data in changes.items():
        (root / name).write_bytes(data)
    told = {fault.partition(" ")[0] for fault in files.faults(root, listed)}
    assert told == {name for name, data in changes.items() if known.get(name) != data}


def test_the_figures_of_a_replay_are_those_of_the_gate(exported, model):
    """The device compares as the export did, also where an answer is another."""
    opened = runtime.Runtime.load(exported.path)
    whole = check_module.replay(exported.path, runtime, opened)
    assert whole["holds"] and whole["identical"] == 6
    opened.info["threshold"] = 0.9999
    other = check_module.replay(exported.path, runtime, opened)
    assert not other["holds"] and other["verdicts_equal"] < 6 and other["identical"] == 6
    opened.info |= {"threshold": model.threshold, "colours": ["#FFFFFF", "#000001", "#000002"]}
    assert not check_module.replay(exported.path, runtime, opened)["holds"]


# The server


@contextmanager
def serving(place: Path, *words: str, python: str | Path = sys.executable):
    """Run a package's server; yield its port and its process."""
    process = subprocess.Popen(
        [str(python), "-B", str(place), "serve", "--port", "0", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    try:
        first = json.loads(process.stdout.readline())
        assert "serving" in first, first
        yield int(first["serving"].rpartition(":")[2]), process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def port(exported):
    with serving(exported.path, "--max-bytes", "300000", "--max-pixels", "90000") as (found, _):
        yield found


def ask(port: int, method: str, path: str, body: bytes | None = None, **headers) -> tuple[int, dict, dict]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read()), dict(answer.headers)
    finally:
        connection.close()


def test_an_answer_is_that_of_the_hosted_model(port, model, testing):
    """The same verdict, confidence, shares, colours and mask, in the same words, from the same function."""
    for entry in testing[::3]:
        data = Path(entry.location).read_bytes()
        status, said, _ = ask(port, "POST", "/detect", data, Content_Type="image/png")
        known = result_of(model.predict(data))
        mask = base64.b64decode(said["DetectAnomalyResult"].pop("AnomalyMask"))
        assert status == 200 and mask == known.pop("AnomalyMask")
        assert said == {"DetectAnomalyResult": known}
        prediction = model.predict(data)
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(mask)).convert("RGB")), prediction.mask.to_rgb())
        assert {one["Name"]: one["PixelAnomaly"]["TotalPercentageArea"] for one in known["Anomalies"]} == (
            prediction.areas()
        )


def test_a_zip_file_serves_too(zipped, testing, model):
    data = Path(testing[-1].location).read_bytes()
    with serving(zipped) as (found, _):
        assert ask(found, "POST", "/detect", data)[1]["DetectAnomalyResult"]["Confidence"] == (
            model.predict(data).confidence
        )


def picture(kind: str, width: int, height: int) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (width, height)).save(data, kind)
    return data.getvalue()


@pytest.mark.parametrize(("method", "path", "body", "headers", "status", "said"), [
    ("POST", "/detect", b"no image", {}, 400, "no image that can be read"),
    ("POST", "/detect", b"", {}, 400, "no image that can be read"),
    ("POST", "/detect", picture("GIF", 64, 64), {}, 400, "it is GIF; JPEG and PNG are allowed"),
    ("POST", "/detect", picture("PNG", 301, 300), {}, 400, "more than 90,000 pixels"),
    ("POST", "/detect", b"x" * 300_001, {}, 413, "at most 300000"),
    ("POST", "/detect", b"x" * 5_000_000, {}, 413, "at most 300000"),
    ("POST", "/detect", b"", {"Content_Length": "-1"}, 411, "Content-Length"),
    ("POST", "/detect", b"", {"Content_Length": "9" * 5000}, 413, "at most 300000"),
    ("POST", "/other", b"x", {}, 404, "/detect"),
    ("GET", "/detect", None, {}, 404, "/health"),
    ("PUT", "/detect", b"x", {}, 501, "PUT"),
])  # fmt: skip
def test_bad_requests_are_told(port, method, path, body, headers, status, said):
    got, told, _ = ask(port, method, path, body, **headers)
    assert got == status and said in told["Message"]
    assert ask(port, "GET", "/health")[0] == 200


def raw(port: int, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while part := connection.recv(1 << 16):
            answer += part
    return answer


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=300))
def test_whatever_comes_the_server_stays(port, data):
    raw(port, data)
    raw(port, b"POST /detect HTTP/1.1\r\nContent-Length: 300\r\n\r\n" + data)
    assert ask(port, "GET", "/health")[1]["status"] == "ok"


def test_what_is_too_large_is_refused_before_it_is_sent(port):
    head = b"POST /detect HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 300001\r\n\r\n"
    assert raw(port, head).startswith(b"HTTP/1.1 413")
    small = b"POST /detect HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc"
    assert raw(port, small).startswith(b"HTTP/1.1 100")
    assert raw(port, b"POST /detect HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n").startswith(
        b"HTTP/1.1 411"
    )


def test_one_connection_asks_many_times(port, testing):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.connect()
    own = connection.sock.getsockname()
    for entry in testing[:4]:
        connection.request("POST", "/detect", Path(entry.location).read_bytes())
        answer = connection.getresponse()
        assert answer.status == 200 and json.loads(answer.read())
        assert connection.sock.getsockname() == own
    connection.close()


def test_health_counts(exported, testing):
    data = [Path(entry.location).read_bytes() for entry in testing]
    with serving(exported.path) as (found, _):
        said = [ask(found, "POST", "/detect", one)[1]["DetectAnomalyResult"]["IsAnomalous"] for one in data]
        ask(found, "POST", "/detect", b"no image")
        told = ask(found, "GET", "/health")[1]
        assert (told["images"], told["anomalies"], told["unreadable"]) == (16, sum(said), 1)
        assert told["component"] is None and told["model"].startswith("Model(segmentation")


def test_those_who_come_when_too_many_wait_are_told_when_to_come_again(exported, tmp_path):
    data = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (2000, 2000, 3), np.uint8)).save(data, "PNG")
    image, answers = data.getvalue(), []
    with serving(exported.path, "--queue", "1", "--max-bytes", "99000000") as (found, _):
        threads = [threading.Thread(target=lambda: answers.append(ask(found, "POST", "/detect", image)))
                   for _ in range(8)]  # fmt: skip
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert {status for status, _, _ in answers} == {200, 429}
        assert sum(status == 200 for status, _, _ in answers) >= 2
        for status, told, headers in answers:
            if status == 429:
                assert int(headers["Retry-After"]) >= 1 and "come again" in told["Message"]
        health = ask(found, "GET", "/health")[1]
        assert (health["waiting"], health["images"] + health["turned_away"]) == (0, 8)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_that_is_told_to_end_finishes_the_answers_that_it_began(exported, number):
    data = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (1500, 1500, 3), np.uint8)).save(data, "PNG")
    answers: list = []
    with serving(exported.path, "--max-bytes", "99000000") as (found, process):
        idle = http.client.HTTPConnection("127.0.0.1", found, timeout=60)
        idle.request("GET", "/health")
        idle.getresponse().read()
        threads = [threading.Thread(target=lambda: answers.append(ask(found, "POST", "/detect", data.getvalue())))
                   for _ in range(3)]  # fmt: skip
        for thread in threads:
            thread.start()
        while ask(found, "GET", "/health")[1]["waiting"] < 2:
            time.sleep(0.01)
        process.send_signal(number)
        for thread in threads:
            thread.join()
        assert process.wait(30) == 0
        assert [status for status, _, _ in answers] == [200] * 3
        assert json.loads(process.stdout.read())["images"] == 3
        idle.close()


def test_a_port_that_is_taken_is_told(exported, port):
    code, (told,), _ = run(exported.path, "serve", "--port", str(port))
    assert code == 1 and "in use" in told["error"]


class Slow:
    """Stand for a model, as long as its image takes."""

    def __init__(self) -> None:
        self.go, self.info = threading.Event(), {"threshold": 0.5}

    def predict(self, images: list) -> list[dict]:
        self.go.wait()
        return [{"score": 0.75, "ids": None}]


def test_a_bench_takes_one_more_than_wait(testing):
    slow, image, said = Slow(), Path(testing[0].location).read_bytes(), []
    bench = serve.Bench(runtime, slow, queue=2, most_pixels=10**6)
    threads = [threading.Thread(target=lambda: said.append(bench.judge(image))) for _ in range(3)]
    for thread in threads:
        thread.start()
    while bench.facts()["waiting"] < 2:
        time.sleep(0.001)
    with pytest.raises(serve.FullError) as told:
        bench.judge(image)
    assert told.value.seconds > 0
    slow.go.set()
    for thread in threads:
        thread.join()
    assert said == [{"Source": {"Type": "direct"}, "IsAnomalous": True, "Confidence": 0.75}] * 3
    assert bench.facts() | {"seconds_per_image": 0} == {
        "images": 3, "anomalies": 3, "unreadable": 0, "turned_away": 1, "waiting": 0, "seconds_per_image": 0,
    }  # fmt: skip


def test_the_words_of_an_answer_are_exact(model, testing):
    """One function makes them for the hosted model and for the package."""
    prediction = model.predict(testing[-1])
    answer = {"score": prediction.score, "ids": prediction.mask.ids}
    said = runtime.detected(answer, model.info)
    assert (said["IsAnomalous"], said["Confidence"]) == (prediction.is_anomalous, prediction.confidence)
    assert said["Anomalies"][0]["Name"] == "background"
    assert {one["Name"]: one["PixelAnomaly"]["Color"] for one in said["Anomalies"]} == {
        name: colour for name, colour in zip(prediction.mask.names, prediction.mask.colours, strict=True)
        if name in prediction.areas()
    }  # fmt: skip
    assert vt.data.read_image(said["AnomalyMask"]).tolist() == prediction.mask.to_rgb().tolist()
    assert set(runtime.detected({"score": 0.2, "ids": None}, {"threshold": 0.3})) == {
        "Source", "IsAnomalous", "Confidence",
    }  # fmt: skip
