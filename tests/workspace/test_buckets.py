"""Buckets keep what they are given, under exactly that key, in folders and in a real S3 alike."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import pickle
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from vision_toolkit.app.cli import main
from vision_toolkit.core import Entry, Label, MaskRef, Prediction, Task
from vision_toolkit.core.errors import Denied, Failed, Invalid, NotFound, Unsupported
from vision_toolkit.core.mask import Mask
from vision_toolkit.data import Manifest
from vision_toolkit.data import s3 as s3_room
from vision_toolkit.data.images import encode_mask, encode_png
from vision_toolkit.data.storage import exists, open_bytes, read_bytes
from vision_toolkit.metrics.evaluation import Evaluation
from vision_toolkit.metrics.files import read_evaluation, write_evaluation
from vision_toolkit.workspace.addresses import Address, check_on_disk, parse_address
from vision_toolkit.workspace.buckets import Buckets

BUCKET = "factory-1.parts"
KINDS = ("folders", "s3")


# moto closes the buffer of an object that is replaced while somebody reads it, which is answered with error 500 (45 of
# 871 reads beside three writers, with none of our code), and computes the tag of an object that is already shown, on
# the buffer of its readers and without their lock. S3 shows an object whole or not at all; so does moto made like this.
WHOLE_OR_NOT_AT_ALL = """
from moto.s3.models import FakeKey
from moto.server import main

made = FakeKey.__init__

def make(self, *words, **more):
    made(self, *words, **more)
    self.etag

FakeKey.__init__, FakeKey.dispose = make, lambda self, garbage=False: None
main()
"""


@pytest.fixture(scope="module")
def server():
    """Run an S3 server in a process of its own, and give its address."""
    pytest.importorskip("s3fs", reason="needs s3fs")
    pytest.importorskip("moto", reason="needs moto, an S3 server for tests")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", WHOLE_OR_NOT_AT_ALL, "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(600):
            assert process.poll() is None, "the server ended"
            try:
                urllib.request.urlopen(f"{url}/moto-api/data.json", timeout=5).close()
                break
            except OSError:
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()


def to_server(patch: pytest.MonkeyPatch, url: str) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        patch.delenv(name)
    patch.setenv("AWS_ENDPOINT_URL_S3", url)
    patch.setenv("AWS_ACCESS_KEY_ID", "test")
    patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    patch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def real(server, monkeypatch) -> str:
    """Give the address of an empty S3 with our bucket in it."""
    to_server(monkeypatch, server)
    urllib.request.urlopen(urllib.request.Request(f"{server}/moto-api/reset", method="POST"), timeout=20).close()
    s3_room.s3_system().call_s3("create_bucket", Bucket=BUCKET)
    return server


@pytest.fixture(params=KINDS)
def buckets(request, tmp_path) -> Buckets:
    if request.param == "s3":
        request.getfixturevalue("real")
    return Buckets(tmp_path / "buckets", s3=request.param)


@pytest.fixture
def folders(tmp_path) -> Buckets:
    return Buckets(tmp_path / "buckets")


def uri(key: str) -> str:
    return f"s3://{BUCKET}/{key}"


# Both kinds


def test_what_is_written_is_read(buckets):
    buckets.write(uri("parts/1.png"), b"42")
    assert buckets.read(uri("parts/1.png")) == b"42"
    assert buckets.exists(uri("parts/1.png")) and buckets.size(uri("parts/1.png")) == 2
    assert read_bytes(buckets.place(uri("parts/1.png"))) == b"42" and exists(buckets.place(uri("parts/1.png")))
    buckets.write(uri("parts/1.png"), b"")
    assert buckets.read(uri("parts/1.png")) == b""


def test_a_file_is_written_and_read_piece_by_piece(buckets, tmp_path):
    data = np.random.default_rng(0).bytes(3_000_000)
    (tmp_path / "package.zip").write_bytes(data)
    buckets.write(uri("package.zip"), tmp_path / "package.zip")
    with buckets.open(uri("package.zip")) as file:
        assert file.read(4) == data[:4]
        file.seek(2_000_000)
        assert file.read() == data[2_000_000:]
    with open_bytes(buckets.place(uri("package.zip"))) as file:
        assert file.read() == data


def test_what_is_not_there_is_not_found(buckets):
    buckets.write(uri("a/b"), b"")
    for key in ("none", "a", "a/b/c", "a/bc"):
        assert not buckets.exists(uri(key))
        with pytest.raises(NotFound, match=key):
            buckets.read(uri(key))
        with pytest.raises(NotFound, match=key):
            buckets.size(uri(key))
        with pytest.raises(NotFound, match=key), buckets.open(uri(key)):
            pass
    assert not buckets.exists("s3://no-such-bucket/x")
    with pytest.raises(NotFound):
        buckets.read("s3://no-such-bucket/x")
    with pytest.raises(NotFound):
        list(buckets.keys("no-such-bucket"))


def test_keys_are_sorted_by_their_bytes_and_chosen_by_prefix(buckets):
    keys = ["a-b", "a/1", "a/b/2", "a.b", "a0", "B", "é", "Z/ü", "\U0001f600", "\uffee", "a/b-c", "b c+d%20#x"]
    for key in keys:
        buckets.write(uri(key), b"")
    expected = sorted(keys, key=str.encode)
    assert list(buckets.keys(BUCKET)) == list(buckets.keys(f"s3://{BUCKET}")) == expected
    for prefix in ("a", "a/", "a/b", "a/b/", "Z/", "none", "é", "../"):
        assert list(buckets.keys(BUCKET, prefix)) == [key for key in expected if key.startswith(prefix)], prefix


def test_more_keys_than_one_page_holds(real, tmp_path):
    buckets = Buckets(tmp_path, s3="s3")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: buckets.write(uri(f"{number:04}"), b""), range(1003)))
    assert list(buckets.keys(BUCKET)) == [f"{number:04}" for number in range(1003)]


HOSTILE = {
    "../x": "mean a place",
    "a/../../x": "mean a place",
    "./x": "mean a place",
    "a/..": "mean a place",
    "": "no object in it",
    "a\0b": "NUL",
    "a" * 1025: "1,024 bytes",
    "é" * 513: "1,024 bytes",
    "\ud800": "half characters",
}
NOT_ON_A_DISK = {
    "/etc/passwd": "begins nor ends",
    "a/": "begins nor ends",
    "a//b": "begins nor ends",
    "a/" + "b" * 256: "255 bytes",
    "é" * 128: "255 bytes",
}


@pytest.mark.parametrize("key", HOSTILE)
def test_keys_that_no_bucket_holds_are_refused(buckets, key):
    for do in (buckets.place, buckets.read, buckets.exists, buckets.size, lambda one: buckets.write(one, b"")):
        with pytest.raises(Invalid, match=HOSTILE[key]):
            do(uri(key))


@pytest.mark.parametrize("key", NOT_ON_A_DISK)
def test_keys_that_no_disk_holds_are_refused_by_folders(folders, key):
    for do in (folders.place, folders.read, folders.exists, folders.size, lambda one: folders.write(one, b"")):
        with pytest.raises(Invalid, match=NOT_ON_A_DISK[key]):
            do(uri(key))


@pytest.mark.parametrize(
    "other", ["x", "parts/1.png", "file:///etc/passwd", "gs://abc/x", "S3://abc/x", "s3:/abc/x", "s3://..", None, 7]
)
def test_what_names_no_bucket_is_refused(buckets, other):
    with pytest.raises(Invalid, match=r"needed|3 to 63"):
        buckets.read(other)


@pytest.mark.parametrize("name", ["", "ab", "..", "...", "a" * 64, "a b", "ä-bucket", "a:b", "bucket\0", "bucket\n"])
def test_bucket_names_that_are_none_are_refused(buckets, name):
    with pytest.raises(Invalid, match="3 to 63"):
        buckets.place(f"s3://{name}/x")


def test_another_kind_is_refused(tmp_path):
    with pytest.raises(Invalid, match="'folders' or 's3'"):
        Buckets(tmp_path, s3="minio")


CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0/")
NAMES = st.text(CHARACTERS, min_size=1, max_size=40).filter(lambda one: one not in {".", ".."})
KEYS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(key=KEYS, data=st.binary(max_size=40))
def test_any_key_comes_back_and_stays_in_its_bucket(folders, tmp_path, key, data):
    try:
        place = folders.place(uri(key))
    except Invalid:
        assume(False)  # names that the examples before it took, or too long
    root = tmp_path / "buckets" / "s3" / BUCKET
    assert os.path.realpath(place).startswith(f"{os.path.realpath(root)}/")
    folders.write(uri(key), data)
    assert folders.read(uri(key)) == data and Path(place).read_bytes() == data
    assert key in folders.keys(BUCKET, key[:1])
    assert {path.name for path in tmp_path.iterdir()} == {"buckets"}


# What a web server of tests can be asked for: control characters are no XML.
PLAIN = st.characters(exclude_categories=["Cs", "Cc", "Cn", "Co"], exclude_characters="/")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(key=st.lists(st.text(PLAIN, min_size=1, max_size=20), min_size=1, max_size=3).map("/".join))
def test_any_key_comes_back_from_a_real_s3(real, tmp_path, key):
    assume(not {".", ".."} & set(key.split("/")) and "?versionId=" not in key)
    buckets = Buckets(tmp_path, s3="s3")
    buckets.write(uri(key), key.encode())
    assert buckets.read(uri(key)) == read_bytes(uri(key)) == key.encode()
    assert buckets.size(uri(key)) == len(key.encode())
    assert key in buckets.keys(BUCKET, key)


@given(text=st.text(max_size=60))
def test_any_text_is_an_address_or_refused(text):
    for one in (text, f"s3://{text}", f"s3://abc/{text}"):
        with contextlib.suppress(Invalid):
            address = parse_address(one)
            check_on_disk(address)
            assert address.uri == one and ".." not in Path(address.key).parts


# Folders


def test_the_file_is_where_the_plan_says(folders, tmp_path):
    folders.write("s3://bucket/sets/train.manifest", b"{}")
    assert (tmp_path / "buckets/s3/bucket/sets/train.manifest").read_bytes() == b"{}"
    assert folders.place("s3://bucket/a b%20c:d.png") == str(tmp_path / "buckets/s3/bucket/a b%20c:d.png")
    assert not (tmp_path / "buckets/s3/bucket/a b%20c:d.png").exists()


def test_a_file_and_a_folder_cannot_have_one_name(folders):
    folders.write(uri("a"), b"1")
    folders.write(uri("b/c"), b"2")
    for do in (folders.place, lambda one: folders.write(one, b"")):
        with pytest.raises(Invalid, match=rf"name the object s3://{BUCKET}/a has"):
            do(uri("a/b/c"))
        with pytest.raises(Invalid, match="folder of other keys"):
            do(uri("b"))
    assert folders.read(uri("a")) == b"1" and list(folders.keys(BUCKET)) == ["a", "b/c"]


def test_links_that_lead_out_are_not_followed(folders, tmp_path):
    folders.write(uri("in/1"), b"1")
    root = tmp_path / "buckets/s3" / BUCKET
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/key").write_text("secret")
    (root / "folder").symlink_to(tmp_path / "secret")
    (root / "file").symlink_to(tmp_path / "secret/key")
    (root / "up").symlink_to("..")
    (root / "loop").symlink_to(root)
    (root / "none").symlink_to(tmp_path / "new")
    (root / "fine").symlink_to("in/1")
    for key in ("folder/key", "file", f"up/{BUCKET}/in/1", "loop/in/1", "none", "folder/new"):
        for do in (folders.place, folders.read, folders.exists, lambda one: folders.write(one, b"no")):
            with pytest.raises(Invalid, match="by a link"):
                do(uri(key))
    assert list(folders.keys(BUCKET)) == ["fine", "in/1"] and folders.read(uri("fine")) == b"1"
    assert (tmp_path / "secret/key").read_text() == "secret" and not (tmp_path / "new").exists()


def test_a_bucket_may_be_a_link_to_a_disk_elsewhere(folders, tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "buckets/s3").mkdir(parents=True)
    (tmp_path / "buckets/s3" / BUCKET).symlink_to(tmp_path / "disk")
    folders.write(uri("a/1"), b"1")
    assert (tmp_path / "disk/a/1").read_bytes() == folders.read(uri("a/1")) == b"1"
    assert list(folders.keys(BUCKET)) == ["a/1"]


def test_folders_have_no_versions(folders):
    folders.write(uri("1"), b"1")
    with pytest.raises(Unsupported, match="version 'v1' was asked for"):
        folders.read(uri("1"), version="v1")


def test_what_windows_forbids_is_refused_there():
    for name in ("a:b", "CON", "con.png", "x.", "x ", "a\\b", "LPT1", "a?"):
        check_on_disk(Address("s3", "abc", f"x/{name}"), windows=False)
        with pytest.raises(Invalid, match="Windows allows no file"):
            check_on_disk(Address("s3", "abc", f"x/{name}"), windows=True)
    check_on_disk(Address("s3", "abc", "CONTRACT/com10.txt"), windows=True)


def test_what_the_disk_refuses_is_told(tmp_path, monkeypatch):
    folders = Buckets(tmp_path / "buckets")
    folders.write(uri("1"), b"old")

    def full(*words, **more):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(Failed, match="No space left"):
            folders.write(uri("1"), b"new")
    assert folders.read(uri("1")) == b"old" and not list((tmp_path / "buckets/.writing").iterdir())


# Many at once


def _write_many(buckets: Buckets, letter: bytes) -> None:
    for _ in range(15):
        buckets.write(uri("shared"), letter * 200_000)


def test_nobody_sees_a_half_file(buckets):
    buckets.write(uri("shared"), b"0" * 200_000)
    writers = [threading.Thread(target=_write_many, args=(buckets, letter)) for letter in (b"a", b"b", b"c")]
    for writer in writers:
        writer.start()
    seen = set()
    while any(writer.is_alive() for writer in writers):
        data = buckets.read(uri("shared"))
        assert len(data) == 200_000 and len(set(data)) == 1
        seen.add(data[0])
        assert list(buckets.keys(BUCKET)) == ["shared"]
    assert seen


def test_a_spawned_child_may_be_handed_one(buckets):
    buckets.write(uri("shared"), b"")
    assert repr(pickle.loads(pickle.dumps(buckets))) == repr(buckets)
    child = multiprocessing.get_context("spawn").Process(target=_write_many_in_child, args=(buckets,))
    child.start()
    child.join(120)
    assert child.exitcode == 0 and buckets.read(uri("from/child")) == b"42"


def _write_many_in_child(buckets: Buckets) -> None:
    buckets.write(uri("from/child"), b"42")


# A real S3


def test_the_last_version_or_the_one_that_is_named(real, tmp_path):
    buckets = Buckets(tmp_path, s3="s3")
    on = {"Status": "Enabled"}
    s3_room.s3_system().call_s3("put_bucket_versioning", Bucket=BUCKET, VersioningConfiguration=on)
    buckets.write(uri("1"), b"old")
    old = s3_room.S3Object(uri("1")).head()["VersionId"]
    buckets.write(uri("1"), b"new")
    assert buckets.read(uri("1")) == b"new" and buckets.read(uri("1"), version=old) == b"old"
    with pytest.raises(Invalid, match="versionId"):
        buckets.write(uri(f"1?versionId={old}"), b"")
    assert buckets.read(uri("1")) == b"new"


def test_an_object_that_another_program_wrote_is_seen_at_once(real, tmp_path):
    boto3 = pytest.importorskip("boto3", reason="needs boto3")
    buckets = Buckets(tmp_path, s3="s3")
    assert list(buckets.keys(BUCKET)) == [] and not buckets.exists(uri("later"))
    other = boto3.client("s3")
    other.put_object(Bucket=BUCKET, Key="later", Body=b"42")
    assert buckets.exists(uri("later")) and list(buckets.keys(BUCKET)) == ["later"]
    assert buckets.read(uri("later")) == b"42"
    buckets.write(uri("ours/é 1.txt"), b"7")
    assert other.get_object(Bucket=BUCKET, Key="ours/é 1.txt")["Body"].read() == b"7"


def test_what_s3_refuses_is_told_in_our_words(real, tmp_path):
    buckets = Buckets(tmp_path, s3="s3")
    buckets.write(uri("1"), b"1")
    with pytest.raises(NotFound, match="no bucket"):
        buckets.write("s3://no-such-bucket/x", b"")

    def ask(path: str, body: bytes = b"") -> None:
        headers = {"Content-Type": "text/plain"}
        urllib.request.urlopen(urllib.request.Request(f"{real}/moto-api/{path}", body, headers), timeout=20).close()

    ask("reset-auth", b"0")  # from here on the server knows nobody
    try:
        for do in (buckets.read, buckets.exists, buckets.size, lambda one: buckets.write(one, b""), read_bytes):
            with pytest.raises(Denied, match="AWS_ACCESS_KEY_ID or AWS_PROFILE"):
                do(uri("1"))
        with pytest.raises(Denied, match="AWS_PROFILE"):
            list(buckets.keys(BUCKET))
    finally:
        ask("reset-auth", b"1000000")


def test_who_asks_may_change(real, tmp_path, monkeypatch):
    before = s3_room.s3_system()
    assert s3_room.s3_system() is before
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody else")
    assert s3_room.s3_system() is not before


def test_a_server_that_is_not_there_and_missing_keys(real, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
        with pytest.raises(Failed, match="AWS_ENDPOINT_URL_S3"):
            Buckets(tmp_path, s3="s3").read(uri("1"))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(Failed, match="AWS_SECRET_ACCESS_KEY"):
        Buckets(tmp_path, s3="s3").read(uri("1"))


def test_without_s3fs_it_is_said_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.setenv("AWS_PROFILE", "a new one")
    with pytest.raises(Unsupported, match=r"pip install 'vision_toolkit\[s3\]'"):
        Buckets(tmp_path, s3="s3")
    with pytest.raises(Unsupported, match=r"vision_toolkit\[s3\]"):
        read_bytes("s3://bucket/1.png")


def test_the_environment_is_read_as_aws_reads_it():
    other = {"AWS_ENDPOINT_URL": "http://all:1", "AWS_ENDPOINT_URL_S3": "http://s3:2"}
    assert s3_room.s3_options(other)["endpoint_url"] == "http://s3:2"
    assert s3_room.s3_options({"AWS_ENDPOINT_URL": "http://all:1"})["endpoint_url"] == "http://all:1"
    assert "endpoint_url" not in s3_room.s3_options(other | {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"})
    assert "config_kwargs" not in s3_room.s3_options({})


# What the toolkit keeps in buckets


def parts(bucket: str) -> tuple[Manifest, dict[str, bytes]]:
    """Make a manifest of two images, one with a mask, and the objects that it names."""
    image = np.full((40, 60, 3), 90, np.uint8)
    ids = np.zeros((40, 60), np.uint8)
    ids[5:20, 5:20] = 1
    mask = encode_mask(Mask(ids, ("background", "stain"), ("#FFFFFF", "#23A436")))
    names = [f"s3://{bucket}/parts/{one}" for one in ("good 1.png", "bad.png", "bad-mask.png")]
    objects = {names[0]: encode_png(image), names[1]: encode_png(image // 2), names[2]: mask}
    ref = MaskRef(names[2], {"stain": "#23A436"})
    return Manifest([Entry(names[0], Label.NORMAL), Entry(names[1], Label.ANOMALY, mask=ref)]), objects


def test_a_manifest_of_a_bucket_is_read_checked_and_shown(buckets, tmp_path):
    made, objects = parts(BUCKET)
    made.write(tmp_path / "train.manifest")
    buckets.write(uri("train.manifest"), (tmp_path / "train.manifest").read_bytes())
    for name, data in objects.items():
        buckets.write(name, data)
    manifest = Manifest.read(buckets.place(uri("train.manifest")), images=buckets.images())
    assert [entry.location for entry in manifest] == [buckets.place(entry.source) for entry in made]
    assert [entry.source for entry in manifest] == [entry.source for entry in made]
    assert manifest.counts()["with_mask"] == 1 and manifest.fingerprint() == made.fingerprint()
    rules = {f.rule: f.severity for f in manifest.check()}
    assert "error" not in rules.values() and "missing-image" not in rules
    assert all(read_bytes(entry.location) == objects[entry.source] for entry in manifest)
    manifest.show(n=2)
    again = Manifest.from_lines(made.lines(), images=buckets.images())
    assert again == manifest and [one.location for one in again] == [one.location for one in manifest]


def test_a_manifest_of_a_bucket_names_what_is_missing_and_what_leads_out(folders, tmp_path):
    (tmp_path / "x.png").write_bytes(b"secret")
    names = ["s3://abc/none.png", "s3://abc/../../../x.png", "s3://abc//x.png", "s3://..\0/x"]
    manifest = Manifest.from_lines([Entry(name) for name in names], images=folders.images())
    assert [entry.source for entry in manifest] == names
    inside = str(tmp_path / "buckets") + os.sep
    for entry in manifest:
        assert os.path.realpath(entry.location).startswith(inside)
        with pytest.raises(NotFound):
            read_bytes(entry.location)
    assert Manifest.from_lines([Entry("1.png")], images=folders.images())[0].location == "1.png"


def test_an_evaluation_is_written_and_read(buckets, tmp_path):
    entries = [Entry(uri("1.png"), Label.NORMAL), Entry(uri("2.png"), Label.ANOMALY)]
    answers = [Prediction(Task.CLASSIFICATION, score=score, threshold=0.5) for score in (0.1, 0.9)]
    judged = Evaluation.from_predictions(entries, answers)
    written = write_evaluation(judged, tmp_path / "out", project="cookies", version=1, model_arn="arn:aws:m/cookies/1")
    for path in written:
        buckets.write(uri(f"results/{Path(path).name}"), Path(path))
    places = [buckets.place(uri(key)) for key in reversed(list(buckets.keys(BUCKET, "results/")))]
    assert [place.rpartition("/")[2] for place in places] == [Path(path).name for path in written]
    assert read_evaluation(*places).f1 == judged.f1 == 1.0


# A folder is put into a bucket


@pytest.fixture
def source(tmp_path) -> Path:
    root = tmp_path / "my parts"
    (root / "normal").mkdir(parents=True)
    for name in ("normal/1.png", "normal/ü 2.png", ".hidden", "train.manifest"):
        (root / name).write_bytes(name.encode() * 100)
    return root


@pytest.mark.parametrize("prefix", ["sets/a", "sets/a/", ""])
def test_a_folder_is_put_below_a_prefix(buckets, source, prefix):
    before = prefix.rstrip("/") + "/" * bool(prefix)
    names = sorted(path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file())
    seen = []
    done = buckets.put(source, uri(prefix), progress=lambda done, total: seen.append((done, total)))
    assert repr(done) == "Put(4 copied, 0 already there, 0 refused)" and seen[-1] == (4, 4)
    assert done.copied == tuple(uri(before + name) for name in names)
    assert list(buckets.keys(BUCKET)) == sorted((before + name for name in names), key=str.encode)
    assert all(buckets.read(uri(before + name)) == (source / name).read_bytes() for name in names)
    assert repr(buckets.put(source, uri(prefix))) == "Put(0 copied, 4 already there, 0 refused)"


def test_nothing_is_replaced_unasked(buckets, source):
    buckets.write(uri("p/train.manifest"), b"mine")
    buckets.write(uri("p/.hidden"), b"x" * len((source / ".hidden").read_bytes()))
    done = buckets.put(source, uri("p"))
    assert len(done.copied) == 2 and [name for name, why in done.refused] == [".hidden", "train.manifest"]
    assert all("exists with other bytes" in why for name, why in done.refused)
    assert buckets.read(uri("p/train.manifest")) == b"mine"
    done = buckets.put(source, uri("p"), overwrite=True)
    assert repr(done) == "Put(2 copied, 2 already there, 0 refused)"
    assert buckets.read(uri("p/train.manifest")) == (source / "train.manifest").read_bytes()


def test_what_cannot_be_put_is_said(folders, source, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/x").write_text("x")
    (source / "linked").symlink_to(tmp_path / "elsewhere")
    (source / "file").symlink_to(tmp_path / "elsewhere/x")
    (source / "broken").symlink_to(tmp_path / "nowhere")
    done = folders.put(source, uri("p"))
    assert repr(done) == "Put(5 copied, 0 already there, 2 refused)"
    assert [name for name, why in done.refused] == ["broken", "linked"] and folders.read(uri("p/file")) == b"x"
    for wrong in (source / "train.manifest", tmp_path / "nowhere"):
        with pytest.raises(Invalid, match="is not a folder"):
            folders.put(wrong, uri("p"))


def test_an_object_that_came_in_parts_is_compared_by_its_bytes(real, tmp_path):
    buckets = Buckets(tmp_path, s3="s3")
    data = np.random.default_rng(1).bytes(11_000_000)
    system = s3_room.s3_system()
    system.pipe_file(f"{BUCKET}/p/big", data, chunksize=5 * 2**20)
    assert "-3" in system.call_s3("head_object", Bucket=BUCKET, Key="p/big")["ETag"]
    (tmp_path / "from").mkdir()
    (tmp_path / "from/big").write_bytes(data)
    assert repr(buckets.put(tmp_path / "from", uri("p"))) == "Put(0 copied, 1 already there, 0 refused)"


# On the command line


def test_put_on_the_command_line(source, tmp_path, capsys):
    words = ["put", str(source), uri("p"), "--workspace", str(tmp_path / "ws")]
    assert main(words) == 0
    assert capsys.readouterr().out == f"Copied 4 files to {uri('p')}; 0 there already.\n"
    assert (tmp_path / "ws/buckets/s3" / BUCKET / "p/normal/ü 2.png").is_file()
    (source / "train.manifest").write_text("new")
    assert main(words) == 1
    said = capsys.readouterr()
    assert "1 file refused:\n  train.manifest: " in said.err and "or --overwrite." in said.err
    assert main([*words, "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert (answer["copied"], answer["same"], answer["refused"]) == (0, 3, 1)
    assert main([*words, "--overwrite"]) == 0
    assert main(["put", str(source), "bucket/p", "--workspace", str(tmp_path)]) == 3
    assert "s3://BUCKET/KEY is needed" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(words[:3])
    assert "--workspace DIR is required" in capsys.readouterr().err


def test_put_into_a_real_s3_by_setting(real, source, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("VISION_TOOLKIT_S3", "s3")
    assert main(["put", str(source), uri("p")]) == 0
    assert len(list(Buckets(tmp_path, s3="s3").keys(BUCKET, "p/"))) == 4
    monkeypatch.setenv("VISION_TOOLKIT_S3", "minio")
    assert main(["put", str(source), uri("p")]) == 3
    assert "VISION_TOOLKIT_S3 must be" in capsys.readouterr().err
