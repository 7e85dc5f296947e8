"""Labeler without a browser: its Python face, and its answers to whatever a page may send."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterable, Iterator
from concurrent.futures import wait
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import vision_toolkit as vt
from vision_toolkit.core import Entry, Invalid, Label, NotFound, Tag
from vision_toolkit.core.prediction import Prediction, Task
from vision_toolkit.data import Manifest
from vision_toolkit.data.label_log import LabelLog
from vision_toolkit.data.preview import MOST_BYTES, preview
from vision_toolkit.widgets.labeler import Labeler
from vision_toolkit.widgets.ordering import diverse

PAGE = "page0001"


@pytest.fixture(scope="module")
def biscuits() -> Manifest:
    chosen = vt.load_dataset("biscuit")
    return (chosen.filter(label="normal")[:6] + chosen.filter(label="anomaly")[:4]).relabel(lambda _: "unlabelled")


class Comm:
    """Keep what a widget sends."""

    comm_id = "0"

    def __init__(self) -> None:
        self.sent: list[tuple[dict, list]] = []

    def send(self, data: Any = None, metadata: Any = None, buffers: Any = None) -> None:
        if data["method"] == "custom":
            json.dumps(data["content"], allow_nan=False).encode("utf-8")  # as it goes over the wire
            self.sent.append((data["content"], list(buffers or [])))

    def close(self, *_args: Any) -> None: ...

    on_msg = on_close = close


class Wire:
    """Speak to a labeler as its page does."""

    def __init__(self, labeler: Labeler, page: str = PAGE) -> None:
        self.labeler, self.page, self.seq = labeler, page, 0
        if not isinstance(labeler.comm, Comm):
            labeler.comm = Comm()

    def raw(self, content: Any) -> list[dict]:
        before = len(self.labeler.comm.sent)
        data = {"method": "custom", "content": content}
        self.labeler._handle_msg({"content": {"data": data}, "buffers": []})
        wait(list(self.labeler._pictures.making.values()))  # images are made beside
        return [message for message, _ in self.labeler.comm.sent[before:]]

    def say(self, kind: str, **more: Any) -> list[dict]:
        return self.raw({"v": 1, "type": kind, **more})

    def act(self, action: str, item: int | None = None, **more: Any) -> list[dict]:
        self.seq += 1
        return self.say("acts", page=self.page, acts=[{"seq": self.seq, "action": action, "item": item, **more}])

    def buffers(self) -> list[tuple[dict, list]]:
        return [(message, held) for message, held in self.labeler.comm.sent if held]


class Model:
    """Give images scores by their names; ``threshold`` is 0.5."""

    def __init__(self, scores: dict[str, float | None], broken: Iterable[str] = ()) -> None:
        self.scores, self.broken = scores, set(broken)

    def predict_all(self, sources: Iterable[Entry], *, batch: int = 32) -> Iterator[Prediction]:
        for entry in sources:
            if entry.source in self.broken:
                raise Invalid("no image")
            yield Prediction(Task.CLASSIFICATION, score=self.scores[entry.source], threshold=0.5)


def names(n: int) -> Manifest:
    return Manifest([Entry(f"{i}.png") for i in range(n)])


# ---------------------------------------------------------------- in Python


def test_every_key_is_a_method(tmp_path: Path, biscuits: Manifest) -> None:
    labeler = vt.Labeler(biscuits, file=tmp_path / "labels.jsonl", annotator="ann")
    assert labeler.current == biscuits[0]
    labeler.label("normal")
    labeler.note("edge is dark")
    labeler.flag()
    labeler.skip()
    assert labeler.current == biscuits[2]
    labeler.label("anomaly")
    labeler.undo()
    assert labeler.current == biscuits[2]
    labeler.go(5)
    labeler.label("anomaly")
    assert labeler.current == biscuits[6]
    labeler.go(biscuits[1].source)
    labeler.flag()
    labeler.label("normal", source=biscuits[9].source)
    assert labeler.current == biscuits[1]
    assert labeler.progress == {"total": 10, "labelled": 3, "skipped": 1, "flagged": 0}
    assert labeler.n_labelled == 3
    assert labeler.opinions[biscuits[1].source].note == "edge is dark"
    assert labeler.manifest.counts() == biscuits.counts() | {"normal": 2, "anomaly": 1, "unlabelled": 7}
    assert labeler.to_frame().columns[0] == "source"
    assert repr(labeler) == "Labeler(3 of 10 images labelled, in labels.jsonl)"


def test_the_same_call_goes_on_where_it_was(tmp_path: Path, biscuits: Manifest) -> None:
    file = tmp_path / "labels.jsonl"
    first = Labeler(biscuits, file=file)
    for name in ("normal", "normal", "anomaly"):
        first.label(name)
    first.skip()
    with file.open("ab") as handle:
        handle.write(b'{"v": 1, "id": "half of a li')  # the kernel died here
    again = Labeler(biscuits, file=file)
    assert again.current == biscuits[4]
    assert again.manifest == first.manifest
    assert repr(again) == "Labeler(3 of 10 images labelled, in labels.jsonl, 1 odd line passed over)"
    assert [finding.rule for finding in again.findings] == ["torn-line"]
    again.undo()
    again.undo()
    assert again.current == biscuits[2], "undo reaches into the session before"


def test_two_annotators_share_a_file_and_see_their_own(tmp_path: Path, biscuits: Manifest) -> None:
    file = tmp_path / "labels.jsonl"
    ann, bob = (Labeler(biscuits, file=file, annotator=who) for who in ("ann", "bob"))
    for _ in biscuits:
        ann.label("normal")
    assert ann.current is None
    assert bob.current == biscuits[0]
    bob.label("anomaly")
    bob.label("normal")
    assert ann.disagreements() == {biscuits[0].source: {"ann": "normal", "bob": "anomaly"}}
    assert ann.manifest.counts()["normal"] == 9, "where they disagree the line stays"
    assert ann.labelled(on_disagreement="last").counts() == bob.labelled(on_disagreement="last").counts()
    assert ann.labelled(on_disagreement="last")[0].label is Label.ANOMALY
    assert sorted(set(ann.to_frame()["annotator"])) == ["ann", "bob"]


def test_a_file_of_several_manifests_undoes_in_this_one_only(tmp_path: Path) -> None:
    file = tmp_path / "labels.jsonl"
    one, other = Labeler(names(2), file=file), Labeler(Manifest([Entry("a.png")]), file=file)
    one.label("normal")
    other.label("anomaly")
    one.label_log.refresh()
    one.undo()
    assert one.current.source == "0.png"
    with pytest.raises(NotFound):
        one.undo()
    assert Labeler(Manifest([Entry("a.png")]), file=file).progress["labelled"] == 1


def test_classes_of_other_names_become_tags_or_mean_a_label() -> None:
    labeler = Labeler(names(3), {"good": "normal", "scratch": "anomaly", "blurred": None})
    for name in labeler.classes:
        labeler.label(name)
    assert [(entry.label, entry.tags) for entry in labeler.manifest] == [
        (Label.NORMAL, (Tag("good"),)), (Label.ANOMALY, (Tag("scratch"),)), (Label.UNLABELLED, (Tag("blurred"),)),
    ]  # fmt: skip
    assert [entry.tags for entry in labeler._given] == [(), (), ()]


def test_labels_of_a_manifest_stay_where_nobody_labels() -> None:
    labelled = names(3).relabel({"1.png": "anomaly"})
    labeler = Labeler(labelled)
    labeler.label("normal")
    labeler.skip()
    assert [str(entry.label) for entry in labeler.manifest] == ["normal", "anomaly", "unlabelled"]


def test_at_the_end_there_is_nothing_to_label() -> None:
    labeler = Labeler(names(2))
    labeler.skip()
    labeler.label("normal")
    assert labeler.current is None
    for act in (lambda: labeler.label("normal"), labeler.skip, labeler.flag, lambda: labeler.note("x")):
        with pytest.raises(Invalid, match="Every image is done"):
            act()
    labeler.undo()
    labeler.undo()
    with pytest.raises(NotFound, match="nothing to undo"):
        labeler.undo()
    assert labeler.current.source == "0.png"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"manifest": Manifest()}, "no images"),
        ({"manifest": ["1.png"]}, "takes a Manifest"),
        ({"manifest": Manifest([Entry("1.png", at="/a/1.png"), Entry("1.png", at="/b/1.png")])}, "Two images"),
        ({"classes": ()}, "1 to 40 names"), ({"classes": "normal"}, "1 to 40 names"), ({"classes": 3}, "1 to 40"),
        ({"classes": ["a"] * 41}, "1 to 40"), ({"classes": ["a", ""]}, "word of"), ({"classes": ["a", 3]}, "word of"),
        ({"classes": ["a", "x" * 61]}, "word of"), ({"classes": ["a", "b\n"]}, "word of"),
        ({"classes": ["a", "A "]}, "named once"), ({"classes": {"a": "bad"}}, "means 'normal'"),
        ({"classes": {"normal": "anomaly"}}, "means 'normal'"), ({"classes": {"normal": None}}, "means 'normal'"),
        ({"order": "best"}, "'given', 'random', 'doubtful', 'diverse'"), ({"order": "doubtful"}, "needs a model"),
        ({"model": 3}, "model is what"), ({"embed": 3}, "embed is a function"),
        ({"side": 10}, "side is a whole number"), ({"prefetch": 0}, "prefetch"), ({"prefetch": 2.5}, "prefetch"),
        ({"annotator": ""}, "annotator"), ({"annotator": 5}, "annotator"), ({"annotator": "x" * 81}, "annotator"),
    ],
)  # fmt: skip
def test_bad_arguments_are_told(args: dict, words: str) -> None:
    with pytest.raises(Invalid, match=words):
        Labeler(**({"manifest": names(2)} | args))


def test_bad_acts_are_told() -> None:
    labeler = Labeler(names(2))
    for act, kind, words in (
        (lambda: labeler.label("broken"), Invalid, "classes are 'normal', 'anomaly'"),
        (lambda: labeler.label(["normal"][0:1]), Invalid, "classes are"),
        (lambda: labeler.label("normal", source="9.png"), NotFound, "spelled as in '0.png'"),
        (lambda: labeler.go("9.png"), NotFound, "spelled as"),
        (lambda: labeler.go(2), NotFound, "0 to 1"),
        (lambda: labeler.go(-1), NotFound, "0 to 1"),
        (lambda: labeler.go(True), NotFound, "0 to 1"),
        (lambda: labeler.note(3), Invalid, "is text"),
        (lambda: labeler.note("x" * 3000), Invalid, "2,000"),
        (lambda: labeler.rerank(None), Invalid, "needs a model"),
        (lambda: labeler.rerank("model/"), Invalid, "a str was given"),
        (lambda: labeler.labelled(on_disagreement="x"), Invalid, "one of"),
    ):
        with pytest.raises(kind, match=words):
            act()
    assert labeler.progress["labelled"] == 0
    assert len(labeler.label_log) == 0


# ---------------------------------------------------------------- orders


def test_random_is_the_same_for_the_same_seed() -> None:
    one, same, other = (Labeler(names(30), order="random", seed=seed).order for seed in (3, 3, 4))
    assert one == same != other
    assert sorted(one) == sorted(names(30).to_frame()["source"])


def test_doubtful_begins_at_the_threshold_and_ends_with_what_cannot_be_read() -> None:
    model = Model({"0.png": 0.9, "1.png": 0.45, "2.png": 0.5, "3.png": 0.1, "4.png": 0.6}, broken=["3.png"])
    labeler = Labeler(names(5), order="doubtful", model=model)
    assert labeler.order == ("2.png", "1.png", "4.png", "0.png", "3.png")
    with pytest.raises(Invalid, match="no score"):
        Labeler(names(1), order="doubtful", model=Model({"0.png": None}))


def test_rerank_keeps_the_place() -> None:
    labeler = Labeler(names(6))
    labeler.label("normal")
    labeler.label("normal")
    labeler.label("anomaly", source="4.png")
    labeler.rerank(Model({"2.png": 0.0, "3.png": 0.1, "5.png": 0.5}))
    assert labeler.current.source == "2.png"
    assert labeler.order == ("0.png", "1.png", "2.png", "5.png", "3.png", "4.png")
    labeler.label("normal")
    assert labeler.current.source == "5.png"


def test_diverse_takes_each_as_far_from_the_others_as_can_be(biscuits: Manifest, tmp_path: Path) -> None:
    broken = Entry(str(tmp_path / "no.png"))
    entries = [*biscuits[:4], broken]
    places = np.array([0.0, 10.0, 1.0, 4.0])
    assert diverse(entries, lambda images: places[: len(images), None]) == [3, 1, 0, 2, 4]
    assert sorted(diverse(entries)) == [0, 1, 2, 3, 4]
    assert diverse([broken]) == [0]
    with pytest.raises(Invalid, match=r"\(n, d\) finite numbers"):
        diverse(entries, lambda images: np.zeros(3))
    assert set(Labeler(biscuits, order="diverse").order) == {entry.source for entry in biscuits}


# ---------------------------------------------------------------- pictures


def test_previews_are_small_and_say_how_large_the_image_is(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (1500, 2500, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "1.jpg", quality=95)
    Image.fromarray(noise).save(tmp_path / "2.png")
    for name in ("1.jpg", "2.png"):
        made = preview(tmp_path / name, side=1024)
        assert (made.width, made.height, made.original) == (1024, 614, (2500, 1500))
        assert made.media_type == "image/jpeg"
        assert len(made.data) <= MOST_BYTES
        assert Image.open(io.BytesIO(made.data)).size == (1024, 614)
    assert len(preview(np.tile(noise, (2, 2, 1)), side=4096).data) <= MOST_BYTES
    with pytest.raises(Invalid, match="16 pixels"):
        preview(tmp_path / "1.jpg", side=3)


def test_a_small_file_is_sent_as_it_is_but_never_turned_or_half(tmp_path: Path, biscuits: Manifest) -> None:
    data = Path(biscuits[0].location).read_bytes()
    assert preview(biscuits[0]).data == data
    with pytest.raises(Invalid):
        preview(data[: len(data) // 2])
    image = Image.open(io.BytesIO(data))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.jpg", exif=exif)
    made = preview(tmp_path / "turned.jpg")
    assert (made.width, made.height) == made.original == image.size[::-1]


def test_a_picture_remains_without_a_kernel(biscuits: Manifest) -> None:
    labeler = Labeler(biscuits)
    labeler.label("normal")
    data, metadata = labeler._repr_mimebundle_()
    assert data["text/plain"] == repr(labeler) == "Labeler(1 of 10 images labelled, in memory only)"
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == labeler.model_id
    png = base64.b64decode(data["image/png"])
    assert Image.open(io.BytesIO(png)).format == "PNG"
    assert len(png) < 150_000
    assert metadata == {}
    assert "image/png" in Labeler(Manifest([Entry("not there.png")]))._repr_mimebundle_()[0]


# ---------------------------------------------------------------- the wire


def test_no_pixel_and_no_name_travels_in_the_state(biscuits: Manifest) -> None:
    state = Labeler(biscuits).get_state()
    ours = {key for key in state if not key.startswith(("_model", "_view", "_dom", "_anywidget"))}
    assert ours == {"_css", "_esm", "_setup", "n_labelled", "layout", "tabbable", "tooltip"}
    assert "biscuit" not in json.dumps(state["_setup"])
    assert "export default" in state["_esm"]
    assert "http" not in state["_esm"] + state["_css"], "nothing is asked for off-site"


def test_a_page_says_hello_and_asks_for_images(biscuits: Manifest) -> None:
    wire = Wire(Labeler(biscuits, prefetch=4))
    (plan,) = wire.say("hello", page=PAGE)
    assert (plan["type"], plan["page"], plan["acked"], plan["current"]) == ("plan", PAGE, 0, 0)
    assert plan["ahead"] == [1, 2, 3, 4]
    answers = {answer["item"]: answer for answer in wire.say("want", items=[0, 1, 99])}
    assert answers[99]["error"].startswith("There is no image number 99")
    assert wire.say("want", items=[1])[0]["item"] == 1, "what was made is held"
    assert sorted(message["item"] for message, _ in wire.buffers()) == [0, 1, 1]
    for message, (data,) in wire.buffers():
        entry = biscuits[message["item"]]
        assert message["media"] == "image/jpeg"
        assert Image.open(io.BytesIO(data)).size == (message["width"], message["height"])
        assert tuple(message["original"]) == Image.open(entry.location).size


def test_acts_are_kept_acknowledged_and_counted_once(tmp_path: Path, biscuits: Manifest) -> None:
    file = tmp_path / "labels.jsonl"
    labeler = Labeler(biscuits, file=file)
    wire = Wire(labeler)
    (plan,) = wire.act("label", 0, name="normal", seconds=1.25)
    assert (plan["acked"], plan["current"], plan["history"][0]["item"]) == (1, 1, 0)
    again = {"seq": 1, "action": "label", "item": 0, "name": "normal"}
    (plan,) = wire.say("acts", page=PAGE, acts=[again, {"seq": 2, "action": "flag", "item": 1, "on": True}])
    assert plan["acked"] == 2
    wire.seq = 2
    assert wire.act("skip", 1)[0]["current"] == 2
    assert wire.act("note", 2, text="dark")[0]["items"]["2"]["note"] == "dark"
    assert wire.act("undo")[0]["items"]["2"]["note"] == ""
    assert wire.act("undo")[0]["current"] == 1
    assert wire.act("go", 7)[0]["current"] == 7
    assert [act.action for act in labeler.label_log.acts] == ["label", "flag", "skip", "note", "undo", "undo"]
    assert labeler.to_frame()["seconds"].tolist()[0] == 1.25
    assert labeler.n_labelled == 1


def test_missing_numbers_are_asked_for(biscuits: Manifest) -> None:
    labeler = Labeler(biscuits)
    wire = Wire(labeler)
    wire.act("label", 0, name="normal")
    wire.seq = 2
    assert wire.act("label", 2, name="normal") == [{"v": 1, "type": "gap", "page": PAGE, "acked": 1}]
    assert labeler.progress["labelled"] == 1
    assert Wire(labeler, "page0002").act("label", 1, name="normal")[0]["acked"] == 1, "each page counts for itself"


def test_what_is_refused_is_told_and_what_follows_is_kept(biscuits: Manifest) -> None:
    labeler = Labeler(biscuits)
    wire = Wire(labeler)
    acts = [
        {"seq": 1, "action": "undo"}, {"seq": 2, "action": "label", "item": 0, "name": "pretty"},
        {"seq": 3, "action": "label", "item": 99, "name": "normal"},
        {"seq": 4, "action": "note", "item": 0, "text": "x" * 2001},
        {"seq": 5, "action": "label", "item": 0, "name": "normal", "seconds": "long"},
    ]  # fmt: skip
    (plan,) = wire.say("acts", page=PAGE, acts=acts)
    assert plan["acked"] == 5
    assert [text[:22] for text in plan["refused"]] == [
        "There is nothing to un", "The classes are 'norma", "There is no image numb", "This act cannot be kep",
    ]  # fmt: skip
    assert labeler.last_error == plan["refused"][-1]
    assert labeler.progress["labelled"] == 1


def test_a_disk_that_refuses_is_told_and_the_page_sends_again(tmp_path: Path, biscuits: Manifest) -> None:
    file = tmp_path / "labels.jsonl"
    labeler = Labeler(biscuits, file=file)
    wire = Wire(labeler)
    wire.act("label", 0, name="normal")
    kept = file.read_bytes()
    file.unlink()
    (error,) = wire.act("label", 1, name="normal")
    assert (error["type"], error["code"]) == ("error", "file")
    assert "gone" in error["text"]
    (error,) = wire.say("hello", page=PAGE)
    assert error["code"] == "file"
    assert labeler.manifest[0].label is Label.NORMAL, "what is in memory can be had"
    assert len(labeler.to_frame()) == 1
    file.write_bytes(kept)
    wire.seq -= 1
    (plan,) = wire.act("label", 1, name="normal")
    assert (plan["acked"], plan["counts"]["labelled"]) == (2, 2)
    assert len(LabelLog(file)) == 2


def test_an_image_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(b"no image")
    wire = Wire(Labeler(Manifest([Entry(str(tmp_path / "1.png")), Entry(str(tmp_path / "2.png"))])))
    errors = {answer["item"]: answer["error"] for answer in wire.say("want", items=[0, 1])}
    assert "no image" in errors[0]
    assert "Nothing is at" in errors[1]


def test_names_that_are_no_text_are_shown_all_the_same() -> None:
    wire = Wire(Labeler(Manifest([Entry("half \udc80.png")])))
    (plan,) = wire.say("hello", page=PAGE)
    assert plan["items"]["0"]["title"] == "half ?.png"


BAD = [
    None, 3, "hello", [], {}, {"v": 1}, {"v": 1, "type": "dance"}, {"v": 1, "type": "hello"},
    {"v": 1, "type": "hello", "page": "../../x"}, {"v": 1, "type": "want"}, {"v": 1, "type": "want", "items": "1"},
    {"v": 1, "type": "want", "items": [True]}, {"v": 1, "type": "want", "items": [-1]},
    {"v": 1, "type": "want", "items": [1] * 65}, {"v": 1, "type": "acts", "page": PAGE},
    {"v": 1, "type": "acts", "page": PAGE, "acts": [3]},
    {"v": 1, "type": "acts", "page": PAGE, "acts": [{"seq": 1, "action": "dance", "item": 0}]},
    {"v": 1, "type": "acts", "page": PAGE, "acts": [{"seq": 0, "action": "skip", "item": 0}]},
    {"v": 1, "type": "acts", "page": PAGE, "acts": [{"seq": 1, "action": "skip"}]},
    {"v": 1, "type": "acts", "page": PAGE, "acts": [{"seq": 1, "action": "label", "item": 0}]},
    {"v": 1, "type": "acts", "page": PAGE, "acts": [{"seq": 1, "action": "flag", "item": 0, "on": "yes"}]},
    {"v": 1, "type": "acts", "page": PAGE, "acts": [{"seq": 1, "action": ["x"], "item": 0}]},
    {"v": 1, "type": "acts", "page": PAGE, "acts": [{"seq": n, "action": "skip", "item": 0} for n in (1, 3)]},
    {"v": 1, "type": "acts", "page": PAGE, "acts": [{"seq": n, "action": "go", "item": 0} for n in range(1, 502)]},
]  # fmt: skip


@pytest.mark.parametrize("content", BAD, ids=range(len(BAD)))
def test_a_bad_message_is_answered_with_an_error(content: Any) -> None:
    labeler = Labeler(names(3))
    (answer,) = Wire(labeler).raw(content)
    assert (answer["type"], answer["code"]) == ("error", "message")
    assert labeler.last_error == answer["text"]
    assert labeler.progress["labelled"] == labeler.progress["skipped"] == 0


@pytest.mark.parametrize("version", [0, 2, "1", None, True, 1.5])
def test_another_version_is_told_what_to_do(version: Any) -> None:
    content = {"v": version, "type": "hello", "page": PAGE}
    answers = Wire(Labeler(names(3))).raw(content)
    assert "reload the page" in answers[0]["text"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(["v", "type", "page", "acts", "items", "seq", "action", "item", "name", "on", "text", "seconds"])
NEARLY = st.dictionaries(KEYS, JSON | st.sampled_from([1, "acts", "want", "hello", PAGE, "label", "undo"]), max_size=8)


@given(JSON | NEARLY | NEARLY.map(lambda act: {"v": 1, "type": "acts", "page": PAGE, "acts": [act]}))
def test_nothing_that_a_page_sends_raises(content: Any) -> None:
    labeler = Labeler(names(2))
    wire = Wire(labeler)
    labeler._on_message(labeler, content, [])  # not through ipywidgets, which would swallow an error
    answers = [message for message, _ in wire.labeler.comm.sent]
    assert answers or content.get("type") == "want"
    assert all(answer["type"] != "error" or answer["code"] != "bug" for answer in answers)


def test_a_mistake_of_ours_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    labeler = Labeler(names(2))
    monkeypatch.setattr(labeler._queue, "plan", lambda ahead: 1 / 0)
    (answer,) = Wire(labeler).say("hello", page=PAGE)
    assert (answer["code"], answer["text"]) == ("bug", "ZeroDivisionError: division by zero")


def test_python_and_page_stay_in_step(biscuits: Manifest) -> None:
    labeler = Labeler(biscuits)
    wire = Wire(labeler)
    wire.act("label", 0, name="normal")
    labeler.label("anomaly")
    message, _ = labeler.comm.sent[-1]
    assert (message["type"], message["page"], message["current"]) == ("plan", None, 2)
    labeler.rerank(Model({entry.source: 0.5 for entry in biscuits}))
    assert labeler.comm.sent[-1][0]["current"] == 2


def test_a_plan_stays_small_however_large_the_manifest() -> None:
    labeler = Labeler(names(20_000), prefetch=32)
    wire = Wire(labeler)
    (plan,) = wire.say("hello", page=PAGE)
    assert len(json.dumps(plan)) < 20_000
    labeler.go(19_999)
    (plan,) = wire.act("label", 19_999, name="normal")
    assert plan["current"] == 0, "after the last image the queue goes on with the first that is left"


def test_keys_of_classes_come_first() -> None:
    setup = Labeler(names(1), ["good", "scratch", "spot", "under", *"klmnopq"])._setup
    assert [one["keys"] for one in setup["classes"]][:4] == [["g", "1"], ["2"], ["3"], ["u", "4"]]
    assert [one["keys"] for one in setup["classes"]][-2:] == [["p"], ["q"]]
    assert setup["commands"]["undo"] == ["Backspace"]
    assert setup["commands"]["skip"] == ["s", " "]


def test_the_page_is_in_the_wheel() -> None:
    folder = Path(vt.__file__).parent / "widgets"
    assert {path.suffix for path in folder.glob("labeler.*")} == {".py", ".js", ".css"}
