"""BoxLabeler without a browser: its Python face, what it writes, and its answers to whatever a page may send."""

from __future__ import annotations

import io
import json
import math
import threading
from base64 import b64decode
from collections.abc import Iterator
from concurrent.futures import wait
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import vision_toolkit as vt
from vision_toolkit.core import Entry, Region
from vision_toolkit.core.errors import Conflict, Failed, Invalid, NotFound
from vision_toolkit.data import Manifest
from vision_toolkit.data.images import read_image, read_mask
from vision_toolkit.widgets.box_history import SLACK, is_box, joined
from vision_toolkit.widgets.box_labeler import BoxLabeler

PAGE = "page0001"
Answers = list[tuple[dict[str, Any], list[Any]]]


class Comm:
    """Keep what the widget sends."""

    comm_id = "0"

    def __init__(self) -> None:
        self.sent: Answers = []

    def send(self, data: Any = None, metadata: Any = None, buffers: Any = None) -> None:
        if data["method"] == "custom":
            self.sent.append((json.loads(json.dumps(data["content"])), list(buffers or ())))

    def close(self, *_args: Any) -> None: ...

    on_msg = on_close = close


def say(labeler: BoxLabeler, **message: Any) -> Answers:
    """Send what a page would, and return what it gets."""
    labeler.comm = Comm()
    data = {"method": "custom", "content": {"v": 1} | message}
    labeler._handle_msg({"content": {"data": data}, "buffers": []})
    wait([*labeler._pictures.making.values(), *labeler._starts.making.values()])
    return labeler.comm.sent


def act(seq: int, action: str, item: Any = 0, **more: Any) -> dict[str, Any]:
    return {"type": "acts", "page": PAGE, "acts": [{"seq": seq, "action": action, "item": item, **more}]}


def drawn(name: str = "pore", left: Any = 0.1, top: Any = 0.2, width: Any = 0.3, height: Any = 0.4) -> dict[str, Any]:
    return {"name": name, "left": left, "top": top, "width": width, "height": height}


def box(name: str = "pore", left: float = 0.1, top: float = 0.2, width: float = 0.3, height: float = 0.4) -> Region:
    return Region.box(name, left=left, top=top, width=width, height=height)


def manifest_of(count: int) -> Manifest:
    return Manifest([Entry(f"{number}.png") for number in range(count)])


@pytest.fixture
def labeler() -> BoxLabeler:
    return BoxLabeler(manifest_of(3), ["pore", "dent"])


# ---------------------------------------------------------------------------------------------------- acting


def test_every_action_is_a_method(labeler: BoxLabeler) -> None:
    labeler.add("0.png", "pore", left=0.1, top=0.2, width=0.3, height=0.4)
    labeler.add("0.png", "dent", left=np.float32(0.5), top=0, width=0.5, height=1)
    assert [one.name for one in labeler.boxes("0.png")] == ["pore", "dent"]
    labeler.copy_previous("1.png")
    labeler.remove("1.png", 0)
    labeler.copy_previous("1.png")
    assert [one.name for one in labeler.boxes("1.png")] == ["dent", "pore"]
    labeler.undo("1.png")
    labeler.undo("1.png")
    labeler.redo("1.png")
    labeler.put("1.png", [*labeler.boxes("1.png"), box(left=0.7)])
    assert [one.name for one in labeler.boxes("1.png")] == ["dent", "pore"]
    with pytest.raises(NotFound, match="nothing to redo"):
        labeler.redo("1.png")
    labeler.go("1.png")
    assert labeler.current.regions == labeler.boxes("1.png")
    assert labeler.changed == ("0.png", "1.png")
    assert labeler.n_boxes == 4
    assert repr(labeler) == "BoxLabeler(4 boxes in 2 of 3 images, in memory only)"
    frame = labeler.to_frame()
    assert list(frame.columns) == ["source", "name", "left", "top", "width", "height", "confidence"]
    assert frame.loc[0].tolist()[:2] == ["0.png", "pore"]
    assert frame.loc[0, ["left", "top", "width", "height"]].tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert frame["confidence"].isna().all()
    assert BoxLabeler(manifest_of(1), ["pore"]).to_frame()["left"].dtype == float


def test_what_makes_no_sense_is_said(labeler: BoxLabeler) -> None:
    for wrong, words in {
        "name": "classes are 'pore', 'dent'; 'crack' was given",
        "left": "lies within its image",
        "width": "lies within its image",
        "height": "above 0",
        "top": "are numbers",
    }.items():
        numbers: dict[str, Any] = {"left": 0.1, "top": 0.1, "width": 0.2, "height": 0.2, "name": "pore"}
        numbers[wrong] = {"name": "crack", "left": -0.1, "width": 0.95, "height": 0.0, "top": math.nan}[wrong]
        with pytest.raises(Invalid, match=words):
            labeler.add("0.png", numbers.pop("name"), **numbers)
    for boxes, words in (
        ([Region("pore", ((0.1, 0.1), (0.2, 0.2), (0.1, 0.2)))], "four corners and upright edges"),
        ([Region("pore", ((0.1, 0.1), (0.2, 0.2), (0.2, 0.1), (0.1, 0.2)))], "four corners"),
        ([box(left=0.9)], "lies within"),
        ([box(width=0)], "above 0"),
        (["pore"], "Boxes are regions"),
        ([box("crack")], "The classes are"),
        ([box()] * 1001, "at most 1,000 boxes; 1,001"),
    ):
        with pytest.raises(Invalid, match=words):
            labeler.put("0.png", boxes)  # type: ignore[arg-type]
    for call in (
        lambda: labeler.boxes("9.png"),
        lambda: labeler.go(3),
        lambda: labeler.go("9"),
        lambda: labeler.go(-1),
    ):
        with pytest.raises(NotFound, match="no image"):
            call()
    for index in (0, -1, True, "0"):
        with pytest.raises(NotFound, match="has 0 boxes"):
            labeler.remove("0.png", index)  # type: ignore[arg-type]
    with pytest.raises(NotFound, match="first image"):
        labeler.copy_previous("0.png")
    with pytest.raises(NotFound, match="nothing to undo"):
        labeler.undo("0.png")
    with pytest.raises(Invalid, match="no suggestions"):
        labeler.accept("0.png")
    assert labeler.changed == ()


def test_what_is_given_is_checked(tmp_path: Path) -> None:
    for wrong in ({"classes": []}, {"classes": "pore"}, {"side": 9}, {"side": True}, {"start": 3}):
        with pytest.raises(Invalid, match=r"given"):
            BoxLabeler(manifest_of(1), **({"classes": ["pore"]} | wrong))
    with pytest.raises(Invalid, match="takes a Manifest"):
        BoxLabeler(list(manifest_of(1)), ["pore"])  # type: ignore[arg-type]
    with pytest.raises(Invalid, match="no images"):
        BoxLabeler(Manifest([]), ["pore"])
    with pytest.raises(Invalid, match="once"):
        BoxLabeler(Manifest([Entry("0.png"), Entry("0.png")]), ["pore"])
    (tmp_path / "other.manifest").write_text('{"source-ref": "other.png"}\n')
    with pytest.raises(Conflict, match="no manifest of these images"):
        BoxLabeler(manifest_of(1), ["pore"], file=tmp_path / "other.manifest")


# ---------------------------------------------------------------------------------------------------- the file

LINE = (
    '{"source-ref": "%s.png", "mine": [1, 2], "a": 0, "a-metadata": {"class-name": "normal", '
    '"type": "groundtruth/image-classification"}}'
)
OURS = {"name": "pore", "polygon": [[0.1, 0.1], [0.3, 0.1], [0.3, 0.2], [0.1, 0.2]], "confidence": 0.75, "id": "t1"}


def test_the_file_is_right_and_lines_that_nobody_touched_stay_to_the_letter(tmp_path: Path) -> None:
    path, file = tmp_path / "given.manifest", tmp_path / "boxes.manifest"
    known = {
        "source-ref": "2.png",
        "regions": [OURS],
        "regions-metadata": {"type": "vision-toolkit/regions", "by": "x"},
    }
    lines = [LINE % 0, "no json at all", (LINE % 1).replace(" ", "  "), json.dumps(known)]
    path.write_text("\n".join(lines) + "\n")
    labeler = BoxLabeler(Manifest.read(path), ["pore"], file=file)
    sources = [entry.source for entry in labeler.manifest]
    assert not file.exists()
    labeler.add(sources[0], "pore", left=0.5, top=0.25, width=0.25, height=0.5)
    labeler.add(sources[2], "pore", left=0.5, top=0.25, width=0.25, height=0.5)
    written = file.read_text().splitlines()
    assert written[1:3] == lines[1:3]
    first, last = json.loads(written[0]), json.loads(written[3])
    assert (first["mine"], first["a"]) == ([1, 2], 0)
    assert [one["polygon"] for one in first["regions"]] == [[[0.5, 0.25], [0.75, 0.25], [0.75, 0.75], [0.5, 0.75]]]
    assert last["regions"][0] == OURS
    assert last["regions-metadata"]["by"] == "x"
    assert path.read_text().splitlines() == lines
    again = BoxLabeler(Manifest.read(path), ["pore"], file=file)
    assert repr(again) == "BoxLabeler(3 boxes in 2 of 3 images, in boxes.manifest)"
    assert again.boxes(sources[2])[0].id == "t1"
    again.remove(sources[0], 0)
    assert "regions" not in file.read_text().splitlines()[0]


def test_a_disk_that_refuses_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    labeler = BoxLabeler(manifest_of(2), ["pore"], file=tmp_path / "taken" / "boxes.manifest")
    with pytest.raises(Failed, match="cannot be made"):
        labeler.add("0.png", "pore", left=0.1, top=0.1, width=0.1, height=0.1)
    ((answer, _),) = say(labeler, **act(1, "boxes", boxes=[drawn()]))
    assert answer["type"] == "error"
    assert labeler.boxes("0.png") == ()
    (tmp_path / "taken").unlink()
    ((answer, _),) = say(labeler, **act(1, "boxes", boxes=[drawn()]))
    assert (answer["acked"], len(labeler.boxes("0.png"))) == (1, 1)
    with pytest.raises(NotFound, match="nothing to redo"):
        labeler.redo("0.png")


FRACTION = st.floats(0, 1, allow_nan=False)
SPAN = st.tuples(FRACTION, FRACTION).map(sorted).filter(lambda span: span[1] - span[0] > 1e-7)
BOXES = st.lists(st.tuples(st.sampled_from(["pore", "dent"]), SPAN, SPAN), max_size=12)


@settings(max_examples=60, deadline=None)
@given(st.lists(BOXES, min_size=1, max_size=4))
def test_boxes_are_read_back_as_they_were_drawn(changes: list[Any]) -> None:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "boxes.manifest"
        labeler = BoxLabeler(manifest_of(2), ["pore", "dent"], file=file)
        for seq, boxes in enumerate(changes, 1):
            sent = [
                {"name": name, "left": x[0], "top": y[0], "width": x[1] - x[0], "height": y[1] - y[0]}
                for name, x, y in boxes
            ]
            ((sheet, _),) = say(labeler, **act(seq, "boxes", item=1, boxes=sent))
            assert (sheet["acked"], sheet["refused"]) == (seq, [])
            told = [
                [one[key] for key in ("name", "left", "top", "width", "height")] for one in sheet["items"]["1"]["boxes"]
            ]
            for one, (name, x, y) in zip(told, boxes, strict=True):
                assert one[0] == name
                assert one[1:] == pytest.approx([x[0], y[0], x[1] - x[0], y[1] - y[0]], abs=SLACK, rel=0)
            assert all(is_box(region, labeler.classes) for region in labeler.manifest[1].regions)
            kept = labeler.boxes("1.png")
            say(labeler, **act(seq, "boxes", item=1, boxes=[]))  # sent again
            assert labeler.boxes("1.png") == kept
            if file.exists():
                assert Manifest.read(file)[1].regions == kept
        for _ in range(len(labeler._history.past(1))):
            labeler.undo("1.png")
        assert labeler.manifest == manifest_of(2)


@pytest.mark.parametrize(("format", "pixels"), [("coco", 0.01), ("voc", 1.01), ("yolo", 0.01), ("lookout", 1e-6)])
def test_real_boxes_go_to_other_formats_and_come_back(format: str, pixels: float, tmp_path: Path) -> None:
    parts = vt.load_dataset("board").filter(label="anomaly")[:4]
    classes = sorted({name for entry in parts for name in entry.types})
    labeler = BoxLabeler(parts, classes, file=tmp_path / "boxes.manifest")
    sizes = []
    for entry in parts:
        assert entry.mask is not None
        mask = read_mask(entry.mask)
        height, width = mask.ids.shape
        sizes.append((width, height))
        for number, name in enumerate(mask.names):
            if name in classes and (mask.ids == number).any():
                rows, columns = np.nonzero(mask.ids == number)
                labeler.add(
                    entry.source, name, left=columns.min() / width, top=rows.min() / height,
                    width=(columns.max() + 1 - columns.min()) / width, height=(rows.max() + 1 - rows.min()) / height,
                )  # fmt: skip
    boxes = [labeler.boxes(entry.source) for entry in parts]
    assert all(boxes)
    vt.write_dataset(labeler.manifest, tmp_path / format, format=format)
    again = vt.read_dataset(tmp_path / format)
    names = {Path(entry.source).stem: entry for entry in again}
    for entry, drawn_boxes, size in zip(parts, boxes, sizes, strict=True):
        read = names[Path(entry.source).stem].regions
        for one in drawn_boxes:  # masks may come back as polygons beside them
            off = [
                max(abs(a - b) * side for a, b, side in zip(one.bounds, other.bounds, size * 2, strict=True))
                for other in read
                if other.name == one.name
            ]
            assert min(off) <= pixels, (one, read)


# ---------------------------------------------------------------------------------------------------- what stays


def test_other_regions_stay_in_their_place() -> None:
    tilted = Region("pore", ((0.1, 0.1), (0.5, 0.2), (0.5, 0.5), (0.1, 0.5)), 0.5)
    outside = box(left=0.9)
    word = box("word")
    ours = Region("pore", box().polygon[2:] + box().polygon[:2], 0.9, "a")  # begins at another corner
    given_ = Manifest([Entry("0.png", regions=(tilted, ours, outside, word))])
    labeler = BoxLabeler(given_, ["pore"])
    assert labeler.boxes("0.png") == (ours,)
    ((sheet, _),) = say(labeler, type="hello", page=PAGE)
    facts = sheet["items"]["0"]
    assert [one["name"] for one in facts["fixed"]] == ["pore", "pore", "word"]
    ((sheet, _),) = say(labeler, **act(1, "boxes", boxes=[*facts["boxes"], drawn(left=0.5)]))
    assert labeler.current.regions[:4] == (tilted, ours, outside, word)
    assert len(labeler.current.regions) == 5
    say(labeler, **act(2, "boxes", boxes=[drawn(left=0.5)]))
    assert [one.id for one in labeler.current.regions] == [None] * 4
    assert labeler.current.regions[0] == tilted
    labeler.undo("0.png")
    labeler.undo("0.png")
    assert labeler.current.regions == (tilted, ours, outside, word)
    assert labeler.changed == ()
    assert joined((), (ours,), ["pore"]) == (ours,)


def test_a_box_that_was_not_changed_keeps_what_a_detector_said() -> None:
    sure = [Region(one.name, one.polygon, 0.1 * n, str(n)) for n, one in enumerate([box(), box(left=0.5), box()])]
    labeler = BoxLabeler(Manifest([Entry("0.png", regions=tuple(sure))]), ["pore"])
    ((sheet, _),) = say(labeler, type="hello", page=PAGE)
    told = sheet["items"]["0"]["boxes"]
    say(labeler, **act(1, "boxes", boxes=[told[2], told[1] | {"top": 0.5}, told[0]]))
    assert [one.id for one in labeler.boxes("0.png")] == ["0", None, "2"], "two that are the same keep one each"
    ((sheet, _),) = say(labeler, **act(2, "undo"))
    assert labeler.boxes("0.png") == tuple(sure)
    assert sheet["items"]["0"]["future"][0]["boxes"][1]["top"] == 0.5


# ---------------------------------------------------------------------------------------------------- suggestions


def test_suggestions_are_written_when_they_are_accepted(tmp_path: Path) -> None:
    for number in range(3):
        Image.fromarray(np.full((40, 80, 3), 90, np.uint8)).save(tmp_path / f"{number}.png")
    known = Entry("2.png", regions=(box("word"),), at=str(tmp_path / "2.png"))
    images = Manifest([*(Entry(f"{n}.png", at=str(tmp_path / f"{n}.png")) for n in range(2)), known])
    running, most, asked = [0], [0], []

    def start(entry: Entry) -> Iterator[Region]:
        running[0] += 1
        most[0] = max(running)
        asked.append((entry.source, threading.current_thread() is threading.main_thread()))
        yield Region("pore", box().polygon, 0.75, "x")
        yield box("dent")
        running[0] -= 1

    labeler = BoxLabeler(images, ["pore", "dent"], file=tmp_path / "boxes.manifest", start=start)
    answers = say(labeler, type="want", items=[0, 1, 2])
    assert sorted(answer["item"] for answer, _ in answers if answer["type"] == "image") == [0, 1, 2]
    shown = {answer["item"]: answer["boxes"] for answer, _ in answers if answer["type"] == "suggested"}
    assert [one["name"] for one in shown[0]] == ["pore", "dent"]
    assert shown[2] == []
    assert sorted(asked) == [("0.png", False), ("1.png", False)]
    assert most == [1], "one call at a time"
    assert not (tmp_path / "boxes.manifest").exists()
    say(labeler, **act(1, "boxes", boxes=[shown[0][0]], open=[1]))
    assert labeler.boxes("0.png") == (Region("pore", box().polygon, 0.75, "x"),)
    assert labeler.suggestions("0.png") == (box("dent"),)
    labeler.accept("0.png")
    assert labeler.suggestions("0.png") == ()
    labeler.undo("0.png")
    labeler.undo("0.png")
    assert len(labeler.suggestions("0.png")) == 2
    labeler.accept("1.png")
    assert [len(entry.regions) for entry in Manifest.read(tmp_path / "boxes.manifest")] == [0, 2, 1]
    ((sheet, _),) = say(labeler, **act(2, "boxes", boxes=[], open=[2]))
    assert "2 suggestions" in sheet["refused"][0]
    assert len(asked) == 2


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (lambda _: [box("crack")], "No suggestions: The classes are 'pore'"),
        (lambda _: [box(left=0.9)], "No suggestions: A box lies within"),
        (lambda _: 1 / 0, "No suggestions: ZeroDivisionError"),
        (lambda _: None, "No suggestions: TypeError"),
    ],
)
def test_a_start_that_fails_is_told_and_the_image_is_shown(start: Any, words: str, tmp_path: Path) -> None:
    Image.fromarray(np.full((40, 80, 3), 90, np.uint8)).save(tmp_path / "0.png")
    labeler = BoxLabeler(Manifest([Entry(str(tmp_path / "0.png"))]), ["pore"], start=start)
    answers = {answer["type"]: (answer, buffers) for answer, buffers in say(labeler, type="want", items=[0])}
    assert words in answers["suggested"][0]["odd"]
    assert answers["suggested"][0]["boxes"] == []
    shown, buffers = answers["image"]
    assert (shown["original"], len(buffers)) == ([80, 40], 1)
    with pytest.raises(Invalid, match=words):
        labeler.accept(str(tmp_path / "0.png"))


# ---------------------------------------------------------------------------------------------------- the wire


def test_acts_count_once_and_gaps_are_asked_for(labeler: BoxLabeler) -> None:
    ((sheet, _),) = say(labeler, type="hello", page=PAGE)
    assert (sheet["type"], sheet["current"], sheet["file"], set(sheet["items"])) == ("sheet", 0, None, {"0", "1", "2"})
    ((sheet, _),) = say(labeler, **act(1, "boxes", boxes=[drawn()]))
    assert (sheet["acked"], sheet["boxes"], sheet["images"]) == (1, 1, 1)
    ((sheet, _),) = say(labeler, **act(1, "boxes", boxes=[]))
    assert (sheet["acked"], len(labeler.boxes("0.png"))) == (1, 1)
    ((gap, _),) = say(labeler, **act(3, "undo"))
    assert (gap["type"], gap["acked"]) == ("gap", 1)
    say(labeler, **act(2, "undo"))
    say(labeler, **act(3, "redo"))
    ((sheet, _),) = say(labeler, **act(4, "go", 2))
    assert (sheet["current"], len(labeler.boxes("0.png"))) == (2, 1)
    ((sheet, _),) = say(labeler, **act(5, "boxes", 2, boxes=[drawn("dent", 0, 0, 1, 1), drawn(left=-5e-10, width=0.5)]))
    assert sheet["refused"] == []
    assert [one.bounds for one in labeler.boxes("2.png")] == [(0, 0, 1, 1), (0, 0.2, 0.5 - 5e-10, 0.2 + 0.4)]


REFUSED = [
    act(1, "boxes", boxes=[drawn("crack")]), act(1, "boxes", boxes=[drawn(left=-0.1)]),
    act(1, "boxes", boxes=[drawn(left=0.8)]), act(1, "boxes", boxes=[drawn(top=0.7)]),
    act(1, "boxes", boxes=[drawn(width=0)]), act(1, "boxes", boxes=[drawn(height=-0.1)]),
    act(1, "boxes", boxes=[drawn(left=1, width=5e-10)]), act(1, "boxes", boxes=[drawn(), drawn("crack")]),
    act(1, "boxes", 3, boxes=[drawn()]), act(1, "go", 3), act(1, "undo"), act(1, "redo"), act(1, "undo", None),
    act(1, "label", name="pore"), act(1, "skip"), act(1, "keep", tick=3), act(1, "export"),
    act(1, "boxes", boxes=[], open=[0]),
]  # fmt: skip
BAD = [
    act(1, "boxes"), act(1, "boxes", boxes="[]"), act(1, "boxes", boxes={}), act(1, "boxes", boxes=[[0, 0, 1, 1]]),
    act(1, "boxes", None, boxes=[]), act(1, "boxes", -1, boxes=[]), act(1, "boxes", boxes=[drawn()] * 1001),
    act(1, "boxes", boxes=[drawn(left="0")]), act(1, "boxes", boxes=[drawn(left=None)]),
    act(1, "boxes", boxes=[drawn(left=math.nan)]), act(1, "boxes", boxes=[drawn(width=math.inf)]),
    act(1, "boxes", boxes=[drawn(height=True)]), act(1, "boxes", boxes=[drawn() | {"name": 3}]),
    act(1, "boxes", boxes=[{"name": "pore"}]), act(1, "boxes", boxes=[], open=[-1]), act(1, "boxes", boxes=[], open=3),
    act(1, "boxes", boxes=[], open=["0"]), act(1, "redo", None), act(1, "redo", "0"),
    {"type": "at", "tick": 3}, {"type": "want", "items": [3]}, {"type": "nothing"},
]  # fmt: skip


@pytest.mark.parametrize("message", REFUSED)
def test_what_cannot_be_done_is_refused_once_with_words(labeler: BoxLabeler, message: dict[str, Any]) -> None:
    ((sheet, _),) = say(labeler, **message)
    assert (sheet["acked"], len(sheet["refused"])) == (1, 1)
    assert sheet["refused"][0] == labeler.last_error
    assert labeler.changed == ()
    assert (labeler._history.past(0), labeler.current.source) == ((), "0.png")


@pytest.mark.parametrize("message", BAD)
def test_a_bad_message_is_answered_and_changes_nothing(labeler: BoxLabeler, message: dict[str, Any]) -> None:
    ((answer, _),) = say(labeler, **message)
    assert answer["type"] in ("error", "image")
    assert answer.get("text") or answer["error"]
    assert labeler.changed == ()


def test_other_widgets_refuse_boxes(monkeypatch: pytest.MonkeyPatch) -> None:
    other = vt.Labeler(manifest_of(2))
    monkeypatch.setattr(other, "_starts", other._pictures, raising=False)
    ((answer, _),) = say(other, **act(1, "boxes", boxes=[drawn()]))  # type: ignore[arg-type]
    assert answer["acked"] == 1
    assert other.progress["labelled"] == 0


def test_earlier_states_are_told_as_far_as_they_fit(labeler: BoxLabeler) -> None:
    for number in range(20):
        labeler.put("0.png", [box(left=0.01 * number)] * (number + 1))
    ((sheet, _),) = say(labeler, type="hello", page=PAGE)
    facts = sheet["items"]["0"]
    assert (len(facts["past"]), facts["earlier"], facts["future"], facts["later"]) == (12, 8, [], 0)
    assert [len(state["boxes"]) for state in facts["past"]] == list(range(8, 20))
    labeler.put("0.png", [box()] * 500)
    labeler.undo("0.png")
    ((sheet, _),) = say(labeler, type="hello", page=PAGE)
    facts = sheet["items"]["0"]
    assert (facts["future"], facts["later"]) == ([], 1), "too many boxes to be told before they are asked for"
    assert sheet["items"]["1"]["past"] == []


def test_a_picture_remains_and_nothing_foreign_is_asked_for() -> None:
    biscuits = vt.load_dataset("biscuit")[:8]
    labeler = BoxLabeler(biscuits, ["pore", "dent"])
    for entry in biscuits[:3]:
        labeler.put(entry.source, [box(), box("dent", 0.999, 0.999, 0.001, 0.001)])
    bundle, _ = labeler._repr_mimebundle_()
    assert {"image/png", "text/plain", "application/vnd.jupyter.widget-view+json"} <= set(bundle)
    assert len(bundle["image/png"]) < 150_000
    assert bundle["text/plain"] == repr(labeler)
    assert max(Image.open(io.BytesIO(b64decode(bundle["image/png"]))).size) > 200
    pixels = read_image(biscuits[0])
    laid = labeler._laid(biscuits[0], pixels)
    height, width = pixels.shape[:2]
    assert laid[int(0.2 * height), int(0.25 * width)].tolist() == [0xE6, 0x9F, 0x00]
    assert (laid[int(0.4 * height), int(0.25 * width)] == pixels[int(0.4 * height), int(0.25 * width)]).all()
    state = labeler.get_state()
    assert "http" not in state["_esm"] + state["_css"]
