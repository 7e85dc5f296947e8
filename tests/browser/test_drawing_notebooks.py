"""Masks and boxes where people draw them: JupyterLab, Notebook 7 and Voila, with real kernels and a real mouse."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import vision_toolkit as vt
from vision_toolkit.data import Manifest, read_mask

SETUP = """
import os, pathlib
import numpy as np
import vision_toolkit as vt
from vision_toolkit.core.mask import Mask
from vision_toolkit.core.prediction import Prediction, Task

three = vt.load_dataset("biscuit")[:3]
parts = vt.Manifest([vt.Entry(entry.source, entry.label, at=entry.location) for entry in three])
_ = pathlib.Path("pid.txt").write_text(str(os.getpid()))

class Seeing:
    threshold, types = 0.5, ("smear",)
    def predict_all(self, sources, *, batch=32):
        for source in sources:
            height, width = vt.data.read_image(source).shape[:2]
            ids = np.zeros((height, width), np.uint8)
            ids[height // 4 : height // 2, width // 4 : width // 2] = 1
            mask = Mask(ids, ("background", "smear"))
            yield Prediction(Task.SEGMENTATION, score=0.9, threshold=0.5, mask=mask, source=source.source)
    def at(self, threshold):
        return self
"""
PAINT = 'painter = vt.MaskPainter(parts, {"smear": "#23A436", "crumb": "#1F77B4"}, file="painted.manifest")\npainter'
BOX = 'labeler = vt.BoxLabeler(parts, ["print", "edge"], file="boxed.manifest")\nlabeler'
REVIEW = 'review = vt.Review(Seeing(), parts, file="labels.jsonl", progress=False)\nreview'


class Drawing:
    """A drawing widget in a page."""

    def __init__(self, page: Any, place: str) -> None:
        self.page, self.place, self.root = page, place, page.locator(place)

    def shows(self, item: int = 0) -> None:
        """Wait until it shows an image, and everything that was done is kept."""
        self.page.wait_for_function(
            "([place, item]) => { const root = document.querySelector(place);"
            " return root?.dataset.item === item && root.dataset.ready === '1' && root.dataset.pending === '0'; }",
            arg=[self.place, str(item)],
            timeout=90_000,
        )

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Drag with the mouse from one place of the image to another, in fractions of it."""
        self.root.locator(".vt-stage").scroll_into_view_if_needed()
        stage = self.root.locator(".vt-stage").bounding_box()
        left, top, width, height = map(float, str(self.root.get_attribute("data-rect")).split(","))
        (x0, y0), (x1, y1) = ((stage["x"] + left + x * width, stage["y"] + top + y * height) for x, y in (start, end))
        self.page.mouse.move(x0, y0)
        self.page.mouse.down()
        self.page.mouse.move(x1, y1, steps=5)
        self.page.mouse.up()

    def colours(self) -> int:
        """Return how many pixels of a painted mask are on the screen."""
        return int(
            self.root.evaluate("""(root) => {
          const over = root.querySelectorAll('.vt-stage canvas')[1];
          const { data } = over.getContext('2d').getImageData(0, 0, over.width, over.height);
          return new Uint32Array(data.buffer).filter((value) => value).length;
        }""")
        )


def painted(file: Path, item: int = 0) -> np.ndarray:
    """Return which pixels are painted on an image, by the file."""
    entry = Manifest.read(file)[item]
    return np.asarray(read_mask(entry.mask).ids > 0)


def lies_on(mask: np.ndarray, *places: tuple[float, float]) -> list[bool]:
    """Return whether places, in fractions of the image, are painted."""
    return [bool(mask[int(y * mask.shape[0]), int(x * mask.shape[1])]) for x, y in places]


@pytest.mark.slow
def test_a_painted_mask_outlives_a_killed_kernel_in_lab(harness: ModuleType, chromium: Any, tmp_path: Path) -> None:
    root = tmp_path / "root"
    with harness.notebook("lab", chromium, tmp_path, [SETUP, PAINT, BOX, REVIEW], height=1100) as notebook:
        notebook.run(0, 1)
        painter = Drawing(notebook.page, ".vt-painter")
        painter.shows()
        before = notebook.cells()
        painter.drag((0.2, 0.2), (0.5, 0.2))
        notebook.page.keyboard.press("2")
        painter.drag((0.2, 0.4), (0.5, 0.4))
        for key in ("d", "d", "x", "b"):  # Lab would delete and cut cells with them
            notebook.page.keyboard.press(key)
        painter.shows()
        mask = painted(root / "painted.manifest")
        assert painter.colours() == mask.sum()
        os.kill(int((root / "pid.txt").read_text()), signal.SIGKILL)
        dialog = notebook.page.locator(".jp-Dialog button.jp-mod-accept")
        dialog.wait_for(timeout=60_000)  # Lab tells that the kernel died and starts it again
        dialog.click()
        notebook.idle()
        assert np.array_equal(painted(root / "painted.manifest"), mask)
        notebook.run(0, 1)
        painter.shows()
        assert painter.colours() == mask.sum(), "it goes on where it was"
        painter.drag((0.2, 0.6), (0.5, 0.6))
        painter.shows()
        notebook.run(2)
        boxes = Drawing(notebook.page, ".vt-boxes")
        boxes.shows()
        boxes.drag((0.2, 0.3), (0.7, 0.6))
        notebook.page.keyboard.press("2")
        boxes.shows()
        notebook.shot("drawing_lab")
        notebook.run(3)
        review = notebook.page.locator(".vt-review[data-ready='1']")
        review.get_by_role("button", name="paint").click(timeout=60_000)
        inner = Drawing(notebook.page, ".vt-painter:has([data-id=done])")
        item = int(str(notebook.page.locator(".vt-review").get_attribute("data-item")))
        inner.shows(item)
        inner.drag((0.2, 0.8), (0.5, 0.8))
        inner.shows(item)
        notebook.page.keyboard.press("Escape")
        review.wait_for()
        assert notebook.cells() == before
        assert notebook.foreign == [], "nothing is asked for off-site"
    now = painted(root / "painted.manifest")
    assert now[mask].all()
    assert lies_on(now, (0.3, 0.2), (0.3, 0.4), (0.3, 0.6), (0.3, 0.8)) == [True, True, True, False]
    assert lies_on(painted(root / "labels-mended.manifest", item), (0.3, 0.8), (0.3, 0.2)) == [True, False]
    (box,) = Manifest.read(root / "boxed.manifest")[0].regions
    assert (box.name, box.bounds) == ("edge", pytest.approx((0.2, 0.3, 0.7, 0.6), abs=0.01))


@pytest.mark.slow
def test_masks_are_painted_in_notebook_7_and_in_place_of_a_review(
    harness: ModuleType, chromium: Any, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    with harness.notebook("notebook", chromium, tmp_path, [SETUP, PAINT, REVIEW], height=1100) as notebook:
        page = notebook.page
        notebook.run(0, 1)
        painter = Drawing(page, ".vt-painter")
        painter.shows()
        before = notebook.cells()
        painter.drag((0.2, 0.2), (0.5, 0.2))
        painter.shows()
        assert painter.colours() == painted(root / "painted.manifest").sum()
        notebook.run(2)
        page.locator(".vt-review[data-ready='1']").wait_for(timeout=60_000)
        item = int(str(page.locator(".vt-review").get_attribute("data-item")))
        page.locator(".vt-review .vt-tile").first.dblclick()
        page.locator(".vt-review").get_by_role("button", name="paint").click()
        inner = Drawing(page, ".vt-painter:has([data-id=done])")
        inner.shows(item)
        page.keyboard.press("m")
        page.locator(".vt-painter [data-id='command undo']:enabled").nth(1).wait_for()
        inner.drag((0.2, 0.8), (0.5, 0.8))
        for key in ("d", "d", "x"):
            page.keyboard.press(key)
        inner.shows(item)
        notebook.shot("review_paint_notebook")
        page.keyboard.press("Escape")
        page.locator(f".vt-review[data-large='{item}']").wait_for()
        page.wait_for_function(
            "() => document.querySelector('.vt-review .vt-large-view').textContent.includes('smear')"
        )
        notebook.shot("review_painted_notebook")
        assert notebook.cells() == before
        assert notebook.foreign == [], "nothing is asked for off-site"
    assert lies_on(painted(root / "painted.manifest"), (0.3, 0.2), (0.3, 0.4)) == [True, False]
    mended = painted(root / "labels-mended.manifest", item)
    assert lies_on(mended, (0.3, 0.3), (0.3, 0.8), (0.8, 0.8)) == [True, True, False]
    assert Manifest.read(root / "labels-mended.manifest")[item].label is vt.Label.ANOMALY


@pytest.mark.slow
def test_a_page_for_others_paints_and_draws_boxes(harness: ModuleType, chromium: Any, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    lines = [SETUP, PAINT, BOX, REVIEW, "from IPython.display import display", "display(painter, labeler, review)"]
    book = harness.write_notebook(tmp_path, ["\n".join(lines)])
    with harness.jupyter("voila", book, tmp_path / "home") as (address, _):
        page = chromium.new_page(viewport={"width": 1100, "height": 1100})
        page.goto(f"{address}/")
        painter, boxes = Drawing(page, ".vt-painter"), Drawing(page, ".vt-boxes")
        painter.shows()
        painter.drag((0.2, 0.2), (0.5, 0.2))
        painter.shows()
        boxes.shows()
        boxes.drag((0.2, 0.3), (0.7, 0.6))
        boxes.shows()
        review = page.locator(".vt-review[data-ready='1']")
        item = int(str(review.get_attribute("data-item")))
        review.get_by_role("button", name="boxes").click()
        inner = Drawing(page, ".vt-boxes:has([data-id=done])")
        inner.shows(item)
        inner.root.locator("[data-id='command accept']:enabled").wait_for()
        page.keyboard.press("Enter")
        page.locator(".vt-boxes[data-boxes='1']:has([data-id=done])").wait_for()
        inner.shows(item)
        if harness.SHOTS:
            page.screenshot(path=f"{harness.SHOTS}/drawing_voila.png")
        page.keyboard.press("Escape")
        review.wait_for()
        page.close()
    assert lies_on(painted(root / "painted.manifest"), (0.3, 0.2), (0.3, 0.4)) == [True, False]
    assert [box.name for box in Manifest.read(root / "boxed.manifest")[0].regions] == ["print"]
    (box,) = Manifest.read(root / "labels-mended.manifest")[item].regions
    assert (box.name, box.bounds) == ("smear", pytest.approx((0.25, 0.25, 0.5, 0.5), abs=0.01))
