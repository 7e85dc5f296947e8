"""The page of MaskPainter in a real browser, with real pointers and the real Python half behind a weak connection."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import vision_toolkit as vt
from vision_toolkit.core import Entry, Label
from vision_toolkit.core.mask import Mask
from vision_toolkit.core.prediction import Prediction, Task
from vision_toolkit.data import Manifest
from vision_toolkit.data.images import read_mask
from vision_toolkit.widgets import raster
from vision_toolkit.widgets.mask_painter import MaskPainter

harness = sys.modules["harness"]  # loaded by conftest.py: this folder is no package
TYPES = {"scratch": "#23A436", "dent": "#1F77B4", "stain": "#D62728"}


class Page(harness.WidgetPage):
    """A browser page with a painter in it."""

    @property
    def painter(self) -> MaskPainter:
        return self.widget

    def shows(self, item: int) -> None:
        self.page.wait_for_function(
            "(item) => { const r = document.querySelector('.vt-painter');"
            " return r.dataset.item === item && r.dataset.ready === '1' && r.dataset.pending === '0'; }",
            arg=str(item),
        )

    def start(self) -> None:
        self.shows(0)
        self.root.focus()

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Return where a pixel of the image is on the screen."""
        box = self.root.locator(".vt-stage").bounding_box()
        zoom = float(str(self.root.get_attribute("data-zoom")))
        left, top, *_ = map(float, str(self.root.get_attribute("data-rect")).split(","))
        return box["x"] + left + x * zoom, box["y"] + top + y * zoom

    def drag(self, *points: tuple[float, float], steps: int = 4) -> None:
        mouse = self.page.mouse
        mouse.move(*self.place(*points[0]))
        mouse.down()
        for point in points[1:]:
            mouse.move(*self.place(*point), steps=steps)
        mouse.up()

    def click(self, x: float, y: float) -> None:
        self.page.mouse.click(*self.place(x, y))

    def shown(self) -> np.ndarray:
        """Return what the page holds of the mask on the canvas, as ids by colour."""
        size, pixels = self.page.evaluate("""() => {
          const over = document.querySelectorAll('.vt-stage canvas')[1];
          const all = over.getContext('2d').getImageData(0, 0, over.width, over.height).data;
          return [[over.height, over.width], Array.from(new Uint32Array(all.buffer))];
        }""")
        words = np.array(pixels, np.uint32).reshape(size)
        ids = np.zeros(size, np.uint8)
        for number, colour in enumerate(self.painter.colours.values(), 1):
            red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
            ids[words == (0xFF000000 | blue << 16 | green << 8 | red)] = number
        assert ((words == 0) == (ids == 0)).all(), "no colour of another kind, and no softened edge"
        return ids


@pytest.fixture
def images(tmp_path: Path) -> Manifest:
    rng = np.random.default_rng(0)
    entries = []
    for number in range(4):
        picture = np.full((120, 160, 3), 90 + 20 * number, np.uint8) + rng.integers(0, 6, (120, 160, 3), np.uint8)
        picture[30:70, 40:90] = (200, 60, 40)
        Image.fromarray(picture).save(tmp_path / f"{number}.png")
        entries.append(Entry(f"{number}.png", at=str(tmp_path / f"{number}.png")))
    return Manifest(entries)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "painted.manifest"


@pytest.fixture
def opened(chromium: Any) -> Iterator[Any]:
    pages: list[Page] = []

    def open_page(painter: MaskPainter, **size: int) -> Page:
        pages.append(Page(chromium, painter, **{"width": 1000, "height": 1000} | size))
        return pages[-1]

    yield open_page
    for one in pages:
        one.close()


def test_the_brush_paints_what_numpy_paints(opened: Any, images: Manifest, file: Path) -> None:
    page = opened(MaskPainter(images, TYPES, file=file))
    page.start()
    page.press("2")
    page.drag((20, 20), (60, 35), (30, 90))
    page.shows(0)
    page.shot("painter")
    ids = page.painter.mask().ids
    assert np.array_equal(page.shown(), ids)
    assert set(np.unique(ids)) == {0, 2}
    zoom = float(str(page.root.get_attribute("data-zoom")))
    want = np.zeros_like(ids)
    raster.stroke(want, [(20, 20), (60, 35), (30, 90)], 12, 2)
    assert (want != ids).sum() < 0.03 * want.sum() + 20 / zoom, "but for the pixels of the screen"
    written = Manifest.read(file)[0]
    assert np.array_equal(read_mask(written.mask, size=(160, 120)).ids > 0, ids > 0)
    assert (written.label, dict(written.mask.colours)) == (Label.ANOMALY, {"dent": "#1F77B4"})


def test_every_tool_and_undo(opened: Any, images: Manifest) -> None:
    page = opened(MaskPainter(images, TYPES))
    page.start()
    page.press("p")
    for x, y in ((10, 10), (50, 10), (50, 40)):
        page.click(x, y)
    page.press("Enter")
    page.shows(0)
    triangle = page.painter.mask().ids
    assert 0.45 * 1200 < (triangle > 0).sum() < 0.55 * 1200
    page.press("l", "2")
    page.drag((100, 20), (140, 20), (140, 60), (100, 60), steps=8)
    page.shows(0)
    assert 1450 < (page.painter.mask().ids == 2).sum() < 1750
    page.press("3", "f")
    page.click(120, 40)
    page.shows(0)
    assert not (page.painter.mask().ids == 2).any()
    page.press("w", "1")
    page.click(60, 60)
    page.shows(0)
    grown = page.painter.mask().ids
    assert (grown[60:70, 40:90] == 1).all()
    assert not grown[71:, :].any()
    page.press("e")
    page.drag((42, 50), (88, 50))
    page.shows(0)
    assert (page.painter.mask().ids != grown).sum() > 300
    assert np.array_equal(page.shown(), page.painter.mask().ids)
    page.shot("painter_tools")
    page.press("u")
    page.shows(0)
    assert np.array_equal(page.painter.mask().ids, grown)
    page.press("Control+z", "Control+z", "Backspace")
    page.shows(0)
    assert np.array_equal(page.painter.mask().ids, triangle)
    page.press("Control+y", "r", "Control+Shift+z")
    page.shows(0)
    assert np.array_equal(page.painter.mask().ids, grown)
    assert np.array_equal(page.shown(), grown)


def test_one_pixel_at_32_times(opened: Any, images: Manifest) -> None:
    page = opened(MaskPainter(images, TYPES))
    page.start()
    page.page.mouse.move(*page.place(70.5, 50.5))
    page.page.keyboard.down("Control")
    for _ in range(14):
        page.page.mouse.wheel(0, -300)
    page.page.wait_for_function("() => Number(document.querySelector('.vt-painter').dataset.zoom) === 32")
    page.page.keyboard.up("Control")
    for _ in range(12):
        page.press("[")
    page.click(70.5, 50.5)
    page.click(72.1, 50.9)
    page.shows(0)
    assert np.argwhere(page.painter.mask().ids).tolist() == [[50, 70], [50, 72]]
    page.page.keyboard.down("Control")
    page.drag((70.5, 50.5), (70.6, 50.4))
    page.page.keyboard.up("Control")
    page.shows(0)
    assert np.argwhere(page.painter.mask().ids).tolist() == [[50, 72]], "Ctrl erases"
    rect = page.root.get_attribute("data-rect")
    page.page.keyboard.down(" ")
    page.drag((70, 50), (72, 51))
    page.page.keyboard.up(" ")
    assert page.root.get_attribute("data-rect") != rect, "the space bar drags"
    assert np.argwhere(page.painter.mask().ids).tolist() == [[50, 72]]
    page.press("0")
    assert float(str(page.root.get_attribute("data-zoom"))) < 9


def test_the_plain_wheel_scrolls_the_page(opened: Any, images: Manifest) -> None:
    page = opened(MaskPainter(images, TYPES), height=500)
    page.start()
    zoom = page.root.get_attribute("data-zoom")
    page.page.mouse.move(*page.place(80, 20))
    page.page.mouse.wheel(0, 200)
    page.page.wait_for_function("() => window.scrollY > 50")
    assert page.root.get_attribute("data-zoom") == zoom


def test_a_release_outside_ends_the_stroke(opened: Any, images: Manifest) -> None:
    page = opened(MaskPainter(images, TYPES))
    page.start()
    x, y = page.place(20, 20)
    page.page.mouse.move(x, y)
    page.page.mouse.down()
    page.page.mouse.move(3, 3, steps=3)
    page.page.mouse.up()
    page.page.mouse.move(*page.place(80, 80))
    page.shows(0)
    assert not page.painter.mask().ids[70:, 60:].any()


@pytest.mark.parametrize("kind", ["touch", "pen"])
def test_fingers_and_pens_paint_too(opened: Any, images: Manifest, kind: str) -> None:
    page = opened(MaskPainter(images, TYPES))
    page.start()
    places = [page.place(20, 20), page.place(50, 40), page.place(80, 20)]
    page.page.evaluate(
        """([kind, places]) => {
      const stage = document.querySelector('.vt-stage');
      const more = { pointerId: 7, pointerType: kind, isPrimary: true, bubbles: true, cancelable: true };
      const send = (type, [x, y], buttons) => stage.dispatchEvent(new PointerEvent(type,
        { ...more, clientX: x, clientY: y, button: type === 'pointermove' ? -1 : 0, buttons }));
      stage.setPointerCapture = () => {};
      send('pointerdown', places[0], 1);
      for (const place of places) send('pointermove', place, 1);
      send('pointercancel', places[2], 0);
      send('pointermove', places[0], 0);
    }""",
        [kind, places],
    )
    page.shows(0)
    want = np.zeros((120, 160), np.uint8)
    raster.stroke(want, [(20, 20), (50, 40), (80, 20)], 12, 1)
    assert (want != page.painter.mask().ids).sum() < 0.03 * want.sum() + 20
    assert page.root.locator(".vt-stage").evaluate("(node) => getComputedStyle(node).touchAction") == "none"


def test_two_fingers_enlarge_and_move_and_paint_nothing(opened: Any, images: Manifest) -> None:
    page = opened(MaskPainter(images, TYPES))
    page.start()
    a, b, c, d = (page.place(x, 60) for x in (70, 90, 50, 110))
    page.page.evaluate(
        """(steps) => {
      const stage = document.querySelector('.vt-stage');
      for (const [type, [x, y], id] of steps) stage.dispatchEvent(new PointerEvent(type, { pointerId: id,
        pointerType: 'touch', bubbles: true, cancelable: true, clientX: x, clientY: y, buttons: 1 }));
    }""",
        [
            ["pointerdown", a, 7], ["pointermove", (a[0] - 5, a[1]), 7], ["pointerdown", b, 8],
            ["pointermove", c, 7], ["pointermove", d, 8], ["pointerup", c, 7], ["pointermove", a, 8],
            ["pointerup", a, 8],
        ],
    )  # fmt: skip
    zoom = float(str(page.root.get_attribute("data-zoom")))
    page.press("0")
    fitted = float(str(page.root.get_attribute("data-zoom")))
    assert zoom / fitted == pytest.approx((d[0] - c[0]) / (b[0] - a[0] + 5), rel=0.01)
    page.shows(0)
    assert not page.shown().any()
    assert not page.painter.mask().ids.any()
    page.drag((20, 20), (60, 20))
    page.shows(0)
    assert page.painter.mask().ids[20, 40] == 1, "one finger paints again, and so does the mouse"


def test_a_broken_connection_loses_no_stroke(opened: Any, images: Manifest, file: Path) -> None:
    page = opened(MaskPainter(images, TYPES, file=file))
    page.start()
    page.drag((10, 10), (40, 10))
    page.shows(0)
    page.page.evaluate("line.up = false")
    page.drag((10, 30), (40, 30))
    page.press("2")
    page.drag((25, 5), (25, 60))
    page.press("u")
    page.drag((60, 5), (60, 60))
    seen = page.shown()
    page.page.wait_for_function("() => document.querySelector('.vt-saved').textContent.includes('4 not kept yet')")
    page.page.evaluate("line.up = true")
    page.shows(0)
    assert np.array_equal(page.painter.mask().ids, seen)
    page.page.evaluate("line.lose = 1")
    page.drag((80, 5), (80, 60))
    page.drag((100, 5), (100, 60))
    page.page.evaluate("line.twice = true")
    page.drag((120, 5), (120, 60))
    page.shows(0)
    ids = page.painter.mask().ids
    assert np.array_equal(page.shown(), ids)
    assert all((ids[10:50, x] == 2).all() for x in (60, 80, 100, 120))
    assert np.array_equal(MaskPainter(images, TYPES, file=file).mask("0.png").ids, ids)


def test_a_kernel_that_is_busy_holds_nobody_up(opened: Any, images: Manifest) -> None:
    page = opened(MaskPainter(images, TYPES))
    page.start()
    page.page.evaluate("line.hold = true")
    page.drag((10, 10), (60, 60))
    assert page.shown().any()
    assert not page.painter.mask().ids.any()
    page.page.evaluate("release()")
    page.shows(0)
    assert np.array_equal(page.shown(), page.painter.mask().ids)


def test_images_are_leafed_through_and_keep_their_masks(opened: Any, images: Manifest, file: Path) -> None:
    page = opened(MaskPainter(images, TYPES, file=file))
    page.start()
    page.drag((10, 10), (60, 60))
    page.press("PageDown")
    page.shows(1)
    assert not page.shown().any()
    page.press("n")
    page.shows(2)
    page.drag((20, 90), (60, 90))
    page.press("PageUp", "PageUp")
    page.shows(0)
    assert page.shown().any()
    page.press("n")
    assert "Something is painted here" in page.status()
    page.press("PageUp")
    assert "No image before" in page.status()
    page.page.reload()
    page.shows(0)
    assert np.array_equal(page.shown(), page.painter.mask().ids)
    labels = [str(entry.label) for entry in Manifest.read(file)]
    assert labels == ["anomaly", "normal", "anomaly", "unlabelled"]


def test_python_paints_into_the_page(opened: Any, images: Manifest) -> None:
    page = opened(MaskPainter(images, TYPES))
    page.start()
    page.painter.polygon([(10, 10), (50, 10), (50, 40)], "stain")
    page.told()
    page.page.wait_for_function("() => !document.querySelector('[data-id=\"command undo\"]').disabled")
    assert np.array_equal(page.shown(), page.painter.mask().ids)
    page.press("u")
    page.shows(0)
    assert not page.painter.mask().ids.any()
    page.painter.go(2)
    page.told()
    page.shows(2)


class Seeing:
    """A model that sees the same in every image."""

    types = ("scratch",)

    def predict_all(self, sources: Any, *, batch: int = 32) -> Any:
        assert batch
        ids = np.zeros((120, 160), np.uint8)
        ids[30:70, 40:90] = 1
        mask = Mask(ids, ("background", "scratch"))
        return (Prediction(Task.CLASSIFICATION, score=0.9, threshold=0.5, mask=mask) for _ in sources)


def test_a_prediction_is_corrected_not_drawn(opened: Any, images: Manifest) -> None:
    page = opened(MaskPainter(images, TYPES, model=Seeing()))
    page.start()
    page.press("m")
    page.page.wait_for_function("() => !document.querySelector('[data-id=\"command undo\"]').disabled")
    page.shows(0)
    assert (page.shown() == 1).sum() == 2000
    page.press("e")
    page.drag((42, 50), (60, 50))
    page.shows(0)
    assert np.array_equal(page.shown(), page.painter.mask().ids)
    assert 0 < (page.painter.mask().ids == 1).sum() < 2000


def test_keys_stay_here_and_it_can_be_read_aloud(opened: Any, images: Manifest) -> None:
    page = opened(MaskPainter(images, TYPES))
    page.start()
    page.page.locator("#cell").focus()
    page.page.keyboard.type("be1 p")
    assert page.page.locator("#cell").input_value() == "be1 p"
    page.page.evaluate("leaks.length = 0")
    page.root.focus()
    page.press("d", "d", "x", "b", "3", "Control+s", "Control+y", " ", "h", "v")
    assert page.page.evaluate("leaks") == []
    tree = page.root.aria_snapshot()
    for words in ('application "Paint masks"', 'button "scratch"', 'slider "size"', "status", 'img "image 0.png"'):
        assert words in tree, tree
    assert page.root.locator("[data-id='type stain']").get_attribute("aria-pressed") == "true"
    page.page.evaluate("document.body.className = 'dark'")
    page.shot("painter_dark")
    page.press("Escape", "b")
    assert page.page.evaluate("leaks") == ["b"]


def test_the_page_paints_pixel_for_pixel_as_python(opened: Any, images: Manifest) -> None:
    page = opened(MaskPainter(images, TYPES))
    page.start()
    rng = np.random.default_rng(7)
    deeds: list[Any] = []
    for _ in range(300):
        kind = ["line", "polygon", "fill"][rng.integers(3)]
        points = rng.uniform(-6, 70, (2 if kind == "line" else rng.integers(3, 7) if kind == "polygon" else 1, 2))
        if rng.random() < 0.3:
            points = np.round(points * 2) / 2  # ties
        deeds.append([kind, points.tolist(), float(rng.choice([1, 1, 2, 3, 7.5, 12, 20])), int(rng.integers(0, 4))])
    state = page.page.evaluate(
        """(deeds) => {
      const painting = new module.Painting(64, 48), states = [];
      for (const [kind, points, size, value] of deeds) {
        painting.begin();
        if (kind === 'line') painting.line(points[0], points[1], size, value);
        else if (kind === 'polygon') painting.polygon(points, value);
        else painting.fill(points[0], value);
        const change = painting.commit();
        states.push([change ? change.box : null, Array.from(painting.data)]);
      }
      const last = painting.data.slice();
      let steps = 0;
      while (painting.back()) steps += 1;
      const blank = painting.data.every((value) => value === 0);
      while (painting.again());
      return [states, blank, painting.data.every((value, at) => value === last[at]), steps];
    }""",
        deeds,
    )
    ids = np.zeros((48, 64), np.uint8)
    changes = 0
    for (kind, points, size, value), (box, data) in zip(deeds, state[0], strict=True):
        before = ids.copy()
        given = [tuple(point) for point in points]
        if kind == "line":
            raster.stroke(ids, given, size, value)
        elif kind == "polygon":
            raster.polygon(ids, given, value)
        else:
            raster.fill(ids, given[0], value)
        assert np.array_equal(np.array(data, np.uint8).reshape(48, 64), ids), (kind, points, size)
        changes += not np.array_equal(before, ids)
        if box is not None:
            left, top, width, height = box
            outside = before != ids
            outside[top : top + height, left : left + width] = False
            assert not outside.any(), "the box holds all that changed"
    assert state[1:] == [True, True, changes]


def test_a_region_grows_as_in_python(opened: Any, images: Manifest, tmp_path: Path) -> None:
    image = vt.data.read_image(vt.load_dataset("casting")[0])[:90, :120]
    Image.fromarray(image).save(tmp_path / "part.png")
    page = opened(MaskPainter(Manifest([Entry(str(tmp_path / "part.png"))]), TYPES))
    page.start()
    page.press("w")
    for x, y in ((20, 20), (60, 45), (100, 80)):
        page.click(x + 0.5, y + 0.5)
        page.shows(0)
        want = page.painter.mask().ids.copy()
        page.press("u")
        page.shows(0)
        page.painter.grow((x + 0.5, y + 0.5), "scratch", tolerance=24)
        page.told()
        assert np.array_equal(page.painter.mask().ids, want)
        page.painter.undo()
        page.told()
        page.page.wait_for_timeout(50)
    assert json.loads(page.flush()) == []


@pytest.mark.parametrize("side", [512, 4096])
def test_a_stroke_costs_what_it_touches(opened: Any, tmp_path: Path, side: int) -> None:
    Image.fromarray(np.full((side, side, 3), 120, np.uint8)).save(tmp_path / "large.png")
    page = opened(MaskPainter(Manifest([Entry(str(tmp_path / "large.png"))]), TYPES, file=tmp_path / "out.manifest"))
    page.start()
    page.drag((100, 100), (200, 120))
    page.shows(0)
    began = time.perf_counter()
    page.drag((100, 200), (200, 220))
    page.shows(0)
    assert time.perf_counter() - began < 4.0
    sent = page.page.evaluate("line.sent.filter((m) => m.type === 'acts').at(-1).acts[0].box")
    assert sent[2] < 130
    assert sent[3] < 50, "the box of the stroke, however large the image"
    assert np.array_equal(MaskPainter(page.painter.manifest, TYPES).mask().ids, page.painter.mask().ids)


@pytest.mark.slow
def test_thirty_masks_in_one_session(opened: Any, tmp_path: Path) -> None:
    entries = []
    for number in range(30):
        Image.fromarray(np.full((96, 128, 3), 100 + number, np.uint8)).save(tmp_path / f"{number}.png")
        entries.append(Entry(f"{number}.png", at=str(tmp_path / f"{number}.png")))
    page = opened(MaskPainter(Manifest(entries), TYPES, file=tmp_path / "painted.manifest"))
    page.start()
    times = []
    for number in range(30):
        began = time.perf_counter()
        page.drag((20, 20), (60, 40 + number))
        page.drag((90, 20), (90, 60))
        if number < 29:
            page.press("PageDown")
            page.shows(number + 1)
        times.append(time.perf_counter() - began)
    page.settled()
    assert len(page.painter.changed) == 30
    assert np.median(times[20:]) < 2.5 * np.median(times[:10]) + 0.1, "it does not slow down"
    assert page.page.evaluate("document.querySelectorAll('.vt-stage canvas').length") == 3


def test_what_waited_goes_in_messages_that_a_notebook_lets_pass(opened: Any, images: Manifest) -> None:
    page = opened(MaskPainter(images, TYPES))
    page.start()
    sent = page.page.evaluate("""() => {
      line.hold = true;
      const doc = new module.Doc(window.model);
      const sizes = (acts) => {
        doc.postActs(acts);
        const [content, buffers] = line.held.pop();
        const bytes = buffers.reduce((all, one) => all + one.byteLength, 0);
        return [content.acts.length, JSON.stringify(content).length + bytes];
      };
      const acts = (count, more) => Array.from({ length: count }, (_, at) => ({ seq: at + 1, item: 0, ...more }));
      return [
        sizes(acts(300, { action: 'note', text: 'x'.repeat(100_000) })),
        sizes(acts(9, { action: 'stroke', bytes: new Uint8Array(2_000_000) })),
        sizes(acts(2, { action: 'stroke', bytes: new Uint8Array(9_000_000) })),
        sizes(acts(900, { action: 'undo' })),
      ];
    }""")
    assert [count for count, _ in sent] == [59, 2, 1, 400]
    assert all(size < 10 * 2**20 for _, size in sent)


def test_two_pages_paint_one_image_and_show_the_same(opened: Any, images: Manifest) -> None:
    page = opened(MaskPainter(images, TYPES), height=900)
    page.start()
    page.page.evaluate("""() => {
      const setup = { ...model.get('_setup'), id: 'other' };
      module.default.render({ model: { ...model, get: () => setup }, el: document.getElementById('second') });
    }""")
    first, second = page.root, page.page.locator(".vt-painter").nth(1)
    agree = """(want) => {
      const [one, other] = [...document.querySelectorAll('.vt-painter')].map((root) => {
        const over = root.querySelectorAll('.vt-stage canvas')[1];
        const { data } = over.getContext('2d').getImageData(0, 0, over.width, over.height);
        return root.dataset.pending === '0' && root.dataset.ready === '1' ? new Uint32Array(data.buffer) : null;
      });
      const seen = one && other && one.every((value, at) => value === other[at]) && one.filter((value) => value).length;
      return want === undefined ? seen : seen === want;
    }"""

    kept = "() => [...document.querySelectorAll('.vt-painter')].every((root) => root.dataset.pending === '0')"

    def paint(root: Any, key: str, *points: tuple[float, float]) -> None:
        page.root = root
        root.locator(".vt-stage").scroll_into_view_if_needed()
        root.focus()
        page.press(key)
        page.drag(*points)

    page.page.wait_for_function(agree, arg=0)
    paint(first, "1", (20, 20), (100, 90))
    page.page.wait_for_function(kept)
    page.page.wait_for_function(agree, arg=int((page.painter.mask().ids > 0).sum()))
    page.page.evaluate("line.hold = true")  # neither page knows of the other's stroke
    paint(first, "2", (20, 90), (100, 20))
    paint(second, "3", (20, 60), (100, 50))
    paint(first, "1", (60, 10), (60, 110))
    page.page.evaluate("release()")
    page.page.wait_for_function(kept)
    ids = page.painter.mask().ids
    page.page.wait_for_function(agree, arg=int((ids > 0).sum()))
    assert np.array_equal(page.shown(), ids)
    assert [int(ids[y, x]) for x, y in ((30, 30), (80, 40), (30, 59), (60, 15))] == [1, 2, 3, 1]
    assert ids[55, 60] == 1, "the last stroke wins"
    page.root = second
    second.focus()
    page.press("u")
    page.page.wait_for_function(kept)
    page.page.wait_for_function(agree, arg=int((page.painter.mask().ids > 0).sum()))
    assert not (page.painter.mask().ids == 3).any(), "each takes back its own"
    assert page.painter.mask().ids[15, 60] == 1
    assert np.array_equal(page.shown(), page.painter.mask().ids)
