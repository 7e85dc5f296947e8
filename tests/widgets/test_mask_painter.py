"""MaskPainter without a browser: what is painted, written, taken back and refused."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

import vision_toolkit as vt
from vision_toolkit.core import Entry, Label
from vision_toolkit.core.errors import Conflict, Failed, Invalid, NotFound
from vision_toolkit.core.mask import Mask
from vision_toolkit.core.prediction import Prediction, Task
from vision_toolkit.data import Manifest
from vision_toolkit.data.images import read_mask
from vision_toolkit.widgets import raster
from vision_toolkit.widgets.mask_painter import MaskPainter

TYPES = {"scratch": "#23A436", "dent": "#1F77B4"}


@pytest.fixture
def images(tmp_path: Path) -> Manifest:
    rng = np.random.default_rng(0)
    for number in range(3):
        Image.fromarray(rng.integers(0, 255, (40, 60, 3), np.uint8)).save(tmp_path / f"{number}.png")
    lines = [json.dumps({"source-ref": f"{number}.png", "mine": number}) for number in range(3)]
    (tmp_path / "given.manifest").write_text("\n".join(lines) + "\n")
    return Manifest.read(tmp_path / "given.manifest")


class Comm:
    """Keep what the widget sends."""

    comm_id = "0"

    def __init__(self) -> None:
        self.sent: list[tuple[dict[str, Any], list[Any]]] = []

    def send(self, data: Any = None, metadata: Any = None, buffers: Any = None) -> None:
        if data["method"] == "custom":
            self.sent.append((data["content"], list(buffers or ())))

    def close(self, *_args: Any) -> None: ...

    on_msg = on_close = close


def say(painter: MaskPainter, message: dict[str, Any], *buffers: bytes) -> list[tuple[dict[str, Any], list[Any]]]:
    painter.comm = Comm()
    data = {"method": "custom", "content": {"v": 1} | message}
    painter._handle_msg({"content": {"data": data}, "buffers": [memoryview(one) for one in buffers]})
    return painter.comm.sent


def packed(pixels: np.ndarray) -> bytes:
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    return packer.compress(pixels.tobytes()) + packer.flush()


def stroke(seq: int, box: list[int], *, item: int = 0, op: str = "paint", buffer: int = 0) -> dict[str, Any]:
    one = {"seq": seq, "action": "stroke", "item": item, "op": op, "box": box, "buffer": buffer}
    return {"type": "acts", "page": "page", "acts": [one]}


# ---------------------------------------------------------------------------------------------------- tools


def test_a_disc_is_the_pixels_whose_centres_it_covers() -> None:
    ids = np.zeros((30, 30), np.uint8)
    box = raster.stroke(ids, [(15.2, 14.7)], 9, 3)
    y, x = np.mgrid[:30, :30] + 0.5
    want = (x - 15.2) ** 2 + (y - 14.7) ** 2 <= 4.5**2
    assert np.array_equal(ids == 3, want)
    rows, columns = np.flatnonzero(want.any(1)), np.flatnonzero(want.any(0))
    assert box == (columns[0], rows[0], np.ptp(columns) + 1, np.ptp(rows) + 1)


@settings(max_examples=80, deadline=None)
@given(st.tuples(*[st.floats(-5, 45)] * 4), st.floats(1.01, 12))
def test_a_line_is_every_disc_along_it(ends: tuple[float, ...], size: float) -> None:
    start, end = np.array(ends[:2]), np.array(ends[2:])
    ids = np.zeros((40, 40), np.uint8)
    raster.stroke(ids, [tuple(start), tuple(end)], size, 1)
    along = start + np.linspace(0, 1, 800)[:, None] * (end - start)
    centres = np.argwhere(np.ones_like(ids))[:, ::-1] + 0.5
    distance = np.linalg.norm(centres[:, None] - along[None], axis=2).min(axis=1).reshape(40, 40)
    assert ids[distance <= size / 2 - 0.05].all(), "nothing is left out"
    assert not ids[distance > size / 2 + 0.05].any(), "and nothing else is painted"


def test_a_line_of_one_pixel_has_no_gaps() -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        ids = np.zeros((50, 50), np.uint8)
        ends = rng.uniform(1, 49, (2, 2))
        raster.stroke(ids, [tuple(ends[0]), tuple(ends[1])], 1, 1)
        from scipy import ndimage

        assert ndimage.label(ids, np.ones((3, 3)))[1] == 1
        assert ids.sum() >= max(abs(np.floor(ends[0]) - np.floor(ends[1]))) + 1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 39), st.integers(0, 39)), min_size=3, max_size=6, unique=True))
def test_a_polygon_covers_what_pillow_covers_but_for_its_edge(points: list[tuple[int, int]]) -> None:
    # In order around their middle, so that no side crosses another: there Pillow has its own ways.
    middle = np.mean(points, axis=0)
    points = sorted(points, key=lambda point: np.arctan2(point[1] - middle[1], point[0] - middle[0]))
    ids = np.zeros((40, 40), np.uint8)
    raster.polygon(ids, [(x + 0.5, y + 0.5) for x, y in points], 1)
    canvas = Image.new("L", (40, 40))
    ImageDraw.Draw(canvas).polygon(points, fill=1, outline=1)
    edge = Image.new("L", (40, 40))
    ImageDraw.Draw(edge).polygon(points, fill=0, outline=1, width=3)
    assert np.array_equal((np.asarray(canvas) == 1)[np.asarray(edge) == 0], (ids == 1)[np.asarray(edge) == 0])


def test_a_polygon_that_crosses_itself_is_filled_where_it_winds_an_odd_number_of_times() -> None:
    ids = np.zeros((30, 30), np.uint8)
    outer, inner = [(5, 5), (25, 5), (25, 25), (5, 25), (5, 5)], [(10, 10), (20, 10), (20, 20), (10, 20), (10, 10)]
    raster.polygon(ids, [*outer, *inner], 1)
    want = np.zeros((30, 30), np.uint8)
    want[5:25, 5:25] = 1
    want[10:20, 10:20] = 0
    assert np.array_equal(ids, want)


def test_fill_and_grow_stop_at_borders() -> None:
    ids = np.zeros((20, 20), np.uint8)
    ids[5:15, 5:15] = 1
    ids[7:13, 7:13] = 0
    assert raster.fill(ids, (10, 10), 2) == (7, 7, 6, 6)
    assert (ids == 2).sum() == 36
    assert raster.fill(ids, (10, 10), 2) is None
    assert raster.fill(ids, (-1, 3), 2) is None
    image = np.full((20, 20, 3), 100, np.uint8)
    image[:, 10:] = 160
    image[0, 0] = 130
    grown = np.zeros((20, 20), np.uint8)
    assert raster.grow(grown, image, (3, 3), 20, 1) == (0, 0, 10, 20)
    assert grown.sum() == 199
    assert raster.grow(grown, image, (3, 3), 60, 1) == (0, 0, 20, 20)


# ---------------------------------------------------------------------------------------------------- what is written


def test_each_stroke_is_on_the_disk_in_the_form_of_lookout(images: Manifest, tmp_path: Path) -> None:
    given_lines = (tmp_path / "given.manifest").read_text().splitlines()
    painter = MaskPainter(images, TYPES, file=tmp_path / "painted.manifest")
    painter.stroke([(5, 5), (30, 20)], "scratch", size=5)
    lines = (tmp_path / "painted.manifest").read_text().splitlines()
    assert lines[1:] == given_lines[1:], "lines that nobody touched stay to the letter"
    line = json.loads(lines[0])
    assert line["mine"] == 0
    written = Manifest.read(tmp_path / "painted.manifest")
    entry = written[0]
    assert (entry.label, dict(entry.mask.colours)) == (Label.ANOMALY, {"scratch": "#23A436"})
    pixels = np.asarray(Image.open(tmp_path / "painted-masks" / "0.png").convert("RGB"))
    assert {tuple(colour) for colour in pixels.reshape(-1, 3).tolist()} == {(255, 255, 255), (35, 164, 54)}
    mask = read_mask(entry.mask, size=(60, 40))
    assert np.array_equal(mask.ids > 0, painter.mask().ids > 0)
    painter.stroke([(50, 30)], "dent", size=4)
    again = MaskPainter(images, TYPES, file=tmp_path / "painted.manifest")
    assert np.array_equal(again.mask("0.png").ids, painter.mask("0.png").ids)
    assert again.changed == ("0.png",)
    again.clear(source="0.png")
    assert again.changed == ()
    assert (tmp_path / "given.manifest").read_text().splitlines() == given_lines
    odd = [finding.rule for finding in written.check() if finding.severity == "error"]
    assert odd == ["no-normal"], "nothing is wrong with the line"


def test_a_file_elsewhere_finds_its_images(images: Manifest, tmp_path: Path) -> None:
    painter = MaskPainter(images, TYPES, file=tmp_path / "out" / "painted.manifest")
    painter.stroke([(5, 5)], "dent")
    written = Manifest.read(tmp_path / "out" / "painted.manifest")
    assert [Path(entry.location).resolve() for entry in written] == [tmp_path / f"{n}.png" for n in range(3)]
    again = MaskPainter(images, TYPES, file=tmp_path / "out" / "painted.manifest")
    assert again.changed == ("0.png",)


def test_masks_that_were_there_are_never_touched(tmp_path: Path) -> None:
    board = vt.load_dataset("board").filter(label="anomaly")[:2]
    before = Path(board[0].mask.location).read_bytes()
    painter = MaskPainter(board, file=tmp_path / "painted.manifest")
    assert set(painter.colours) == set(board.types)
    start = painter.mask().ids.copy()
    assert start.any()
    y, x = np.argwhere(start)[0]
    painter.erase([(x, y)], size=3)
    assert Path(board[0].mask.location).read_bytes() == before
    assert Path(painter.current.mask.location).parent.name == "painted-masks"
    painter.undo()
    assert np.array_equal(painter.mask().ids, start)
    painter.redo()
    assert not np.array_equal(painter.mask().ids, start)


def test_files_of_others_are_left_alone(images: Manifest, tmp_path: Path) -> None:
    (tmp_path / "painted-masks").mkdir()
    (tmp_path / "painted-masks" / "0.png").write_bytes(b"mine")
    painter = MaskPainter(images, TYPES, file=tmp_path / "painted.manifest")
    painter.stroke([(5, 5)], "dent")
    assert Path(painter.current.mask.location).name == "0-2.png"
    assert (tmp_path / "painted-masks" / "0.png").read_bytes() == b"mine"
    with pytest.raises(Conflict, match="the file that was given"):
        MaskPainter(images, TYPES, file=tmp_path / "given.manifest")


def test_a_disk_that_refuses_leaves_the_mask_as_it_was(images: Manifest, tmp_path: Path) -> None:
    (tmp_path / "painted-masks").write_text("a file where the folder would be")
    painter = MaskPainter(images, TYPES, file=tmp_path / "painted.manifest")
    with pytest.raises(Failed):
        painter.stroke([(5, 5)], "dent")
    assert not painter.mask().ids.any()
    with pytest.raises(NotFound, match="nothing to undo"):
        painter.undo()


def test_what_is_painted_in_memory_can_be_written_later(images: Manifest, tmp_path: Path) -> None:
    painter = MaskPainter(images, TYPES)
    painter.stroke([(5, 5), (9, 9)], "dent")
    painter.go(1)
    painter.normal()
    written = painter.manifest.write(tmp_path / "later.manifest")
    read = Manifest.read(written, images=tmp_path)
    assert [str(entry.label) for entry in read] == ["anomaly", "normal", "unlabelled"]
    assert read_mask(read[0].mask, size=(60, 40)).areas()["dent"] > 0
    assert repr(painter) == "MaskPainter(2 of 3 images painted, in memory only)"
    with pytest.raises(Invalid, match="no normal one"):
        painter.normal(source="0.png")


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 59), st.integers(0, 39), st.integers(1, 20), st.booleans()), max_size=12))
def test_undo_and_redo_restore_every_pixel(marks: list[tuple[int, int, int, bool]]) -> None:
    painter = MaskPainter(np.zeros((40, 60, 3), np.uint8), TYPES)
    states = [painter.mask().ids]
    for x, y, size, is_dent in marks:
        painter.stroke([(x, y), (y, x)], "dent" if is_dent else "scratch", size=size)
        if not np.array_equal(painter.mask().ids, states[-1]):
            states.append(painter.mask().ids)
    for want in states[-2::-1]:
        painter.undo()
        assert np.array_equal(painter.mask().ids, want)
    for want in states[1:]:
        painter.redo()
        assert np.array_equal(painter.mask().ids, want)


class Seeing:
    """A model that sees one thing in every image."""

    types = ("scratch",)

    def __init__(self, mask: Mask | None, heat: np.ndarray | None = None) -> None:
        self.mask, self.heat = mask, heat

    def predict_all(self, sources: Any, *, batch: int = 32) -> Any:
        assert batch
        return (
            Prediction(Task.CLASSIFICATION, score=0.9, threshold=0.5, mask=self.mask, map=self.heat) for _ in sources
        )


def test_a_prediction_is_a_start(images: Manifest) -> None:
    ids = np.zeros((40, 60), np.uint8)
    ids[3:9, 4:20] = 1
    painter = MaskPainter(images, model=Seeing(Mask(ids, ("background", "scratch"))))
    painter.start()
    assert np.array_equal(painter.mask().ids, ids)
    heat = np.zeros((4, 6), np.float32)
    heat[1, 2] = 0.9
    painter = MaskPainter(images, TYPES, model=Seeing(None, heat))
    with pytest.raises(Invalid, match="say which one"):
        painter.start()
    painter.start("dent")
    assert np.argwhere(painter.mask().ids == 2).min(axis=0).tolist() == [10, 20]
    assert (painter.mask().ids == 2).sum() == 100
    with pytest.raises(Invalid, match="no model to start from"):
        MaskPainter(images, TYPES).start()


def test_what_makes_no_sense_is_refused(images: Manifest, tmp_path: Path) -> None:
    for types in ({}, {"background": "#000000"}, {"a": "red"}, {"a": "#FFFFFF"}, {"a": "#111111", "b": "#111111"}, 3):
        with pytest.raises(Invalid):
            MaskPainter(images, types)  # type: ignore[arg-type]
    with pytest.raises(Invalid, match="no images"):
        MaskPainter(Manifest([]), TYPES)
    painter = MaskPainter(images, TYPES)
    for call in (
        lambda: painter.stroke([], "dent"), lambda: painter.stroke([(1, 2)], "hole"),
        lambda: painter.stroke("ab", "dent"), lambda: painter.stroke([(1, 2)], "dent", size=0),
        lambda: painter.polygon([(1, 2), (3, 4)], "dent"), lambda: painter.grow((1, 1), "dent", tolerance=999),
        lambda: painter.paint(np.zeros((4, 4), np.uint8)), lambda: painter.paint(np.full((40, 60), 9, np.uint8)),
        lambda: painter.paint(Mask(np.ones((40, 60), np.uint8), ("background", "hole"))),
    ):  # fmt: skip
        with pytest.raises(Invalid):
            call()
    for lost in ("9.png", 7):
        with pytest.raises(NotFound):
            painter.go(lost)
    assert not painter.mask().ids.any()
    with pytest.raises(Invalid):
        MaskPainter(Manifest([Entry("broken.png", at=str(tmp_path / "given.manifest"))]), TYPES).mask()


# ---------------------------------------------------------------------------------------------------- the wire


def test_a_stroke_of_the_page_is_kept_once(images: Manifest, tmp_path: Path) -> None:
    painter = MaskPainter(images, TYPES, file=tmp_path / "painted.manifest")
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4) % 3
    ((plan, _),) = say(painter, stroke(1, [10, 20, 4, 3]), packed(pixels))
    assert (plan["type"], plan["acked"], plan["painted"]) == ("plan", 1, 1)
    assert np.array_equal(painter.mask().ids[20:23, 10:14], pixels)
    say(painter, stroke(1, [10, 20, 4, 3]), packed(pixels))
    ((gap, _),) = say(painter, stroke(3, [10, 20, 4, 3]), packed(pixels))
    assert (gap["type"], gap["acked"]) == ("gap", 1)
    painter.undo()
    assert not painter.mask().ids.any()
    assert Manifest.read(tmp_path / "painted.manifest")[0] == images[0]


BAD: list[tuple[dict[str, Any], list[bytes]]] = [
    (stroke(1, [58, 0, 4, 3]), [packed(np.zeros((3, 4), np.uint8))]),
    (stroke(1, [0, 0, 4, 3]), [packed(np.zeros((3, 5), np.uint8))]),
    (stroke(1, [0, 0, 4, 3]), [packed(np.full((3, 4), 9, np.uint8))]),
    (stroke(1, [0, 0, 4, 3]), [b"no deflate"]),
    (stroke(1, [0, 0, 4, 3], item=7), [packed(np.zeros((3, 4), np.uint8))]),
    (stroke(1, [0, 0, 4, 3]), [packed(np.zeros(50_000_000, np.uint8))]),
    (stroke(1, [0, 0, 4, 3], buffer=2), [b""]),
    (stroke(1, [0, 0, 4, 3], op="fill"), [b""]),
    (stroke(1, [0, 0, 0, 3]), [b""]),
    (stroke(1, [0, 0, 4]), [b""]),
    (stroke(1, [-1, 0, 4, 3]), [b""]),
]


@pytest.mark.parametrize(("message", "buffers"), BAD)
def test_a_bad_stroke_is_answered_and_paints_nothing(
    images: Manifest, message: dict[str, Any], buffers: list[bytes]
) -> None:
    painter = MaskPainter(images, TYPES)
    ((answer, _),) = say(painter, message, *buffers)
    assert answer.get("refused") or answer["type"] == "error"
    assert not painter.mask().ids.any()
    assert painter.changed == ()


def test_what_python_paints_goes_to_the_pages(images: Manifest) -> None:
    painter = MaskPainter(images, TYPES)
    painter.comm = Comm()
    painter.stroke([(5, 5)], "dent", size=3)
    (patch, buffers), (plan, _) = painter.comm.sent
    assert (patch["type"], patch["item"], patch["op"], plan["page"]) == ("patch", 0, "paint", None)
    left, top, width, height = patch["box"]
    assert zlib.decompress(buffers[0], -15) == painter.mask().ids[top : top + height, left : left + width].tobytes()


def test_a_picture_remains(images: Manifest) -> None:
    bundle, _ = MaskPainter(images, TYPES)._repr_mimebundle_()
    assert {"image/png", "text/plain", "application/vnd.jupyter.widget-view+json"} <= set(bundle)
