"""Review opens painter and box labeler in its place: a real browser, the real Python half, a weak connection."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
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

harness = sys.modules["harness"]  # loaded by conftest.py: this folder is no package


class Seeing:
    """A model that sees a scratch in every image, and is sure of the first ones only."""

    threshold, types = 0.5, ("scratch",)

    def at(self, threshold: float) -> Seeing:
        raise NotImplementedError(threshold)

    def predict_all(self, sources: Iterable[Any], *, batch: int = 32) -> Iterator[Prediction]:
        assert batch
        ids = np.zeros((120, 160), np.uint8)
        ids[30:70, 40:90] = 1
        for source in sources:
            score = 0.9 - 0.2 * int(Path(source.source).stem)
            mask = Mask(ids, ("background", "scratch"), ("#FFFFFF", "#23A436"))
            yield Prediction(Task.SEGMENTATION, score=score, threshold=0.5, mask=mask, source=source.source)


class Page(harness.WidgetPage):
    """A browser page with a review in it."""

    @property
    def review(self) -> vt.Review:
        return self.widget

    def pictures(self) -> list[Any]:
        tools = [tool for name in ("paint", "boxes") if (tool := self.widget._mending.opened(name)) is not None]
        those = [getattr(tool, name) for tool in tools for name in ("_pictures", "_starts") if hasattr(tool, name)]
        return [self.widget._pictures, self.widget._closer, *those]

    def ready(self, place: str, item: int) -> None:
        """Wait until what is shown in a place shows an image, and everything that was done is kept."""
        self.page.wait_for_function(
            "([place, item]) => { const r = document.querySelector(place); return r && !r.hidden"
            " && r.dataset.item === item && r.dataset.ready === '1' && r.dataset.pending === '0'; }",
            arg=[place, str(item)],
        )

    def looks_at(self, item: int) -> None:
        """Wait until the review shows an image large."""
        self.page.wait_for_function(
            "(item) => document.querySelector('.vt-review:not([hidden])')?.dataset.large === item", arg=str(item)
        )

    def drag(self, place: str, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Drag with the mouse from one place to another, both fractions of the image in a tool."""
        stage = self.page.locator(f"{place} .vt-stage").bounding_box()
        left, top, width, height = map(float, str(self.page.locator(place).get_attribute("data-rect")).split(","))
        mouse = self.page.mouse
        mouse.move(stage["x"] + left + start[0] * width, stage["y"] + top + start[1] * height)
        mouse.down()
        mouse.move(stage["x"] + left + end[0] * width, stage["y"] + top + end[1] * height, steps=4)
        mouse.up()


@pytest.fixture
def images(tmp_path: Path) -> Manifest:
    entries = []
    for number, label in enumerate([Label.NORMAL, Label.ANOMALY, Label.NORMAL, Label.ANOMALY]):
        picture = np.full((120, 160, 3), 90 + 30 * number, np.uint8)
        Image.fromarray(picture).save(tmp_path / f"{number}.png")
        entries.append(Entry(f"{number}.png", label, at=str(tmp_path / f"{number}.png")))
    return Manifest(entries)


@pytest.fixture
def page(chromium: Any, images: Manifest, tmp_path: Path) -> Iterator[Page]:
    review = vt.Review(Seeing(), images, file=tmp_path / "labels.jsonl", types=["dent"], progress=False)
    opened = Page(chromium, review, width=1000, height=1250)
    opened.page.wait_for_function("() => document.querySelector('.vt-review').dataset.ready === '1'")
    opened.root.focus()
    yield opened
    opened.close()


def test_a_mask_is_mended_in_place_and_the_review_goes_on(page: Page, tmp_path: Path) -> None:
    first = int(page.root.get_attribute("data-item"))
    source = f"{first}.png"
    page.press("Enter")
    page.looks_at(first)
    page.root.get_by_role("button", name="paint").click()
    page.ready(".vt-painter", first)
    assert page.root.is_hidden()
    assert page.page.locator(".vt-painter [data-id='command on']").count() == 0, "the review has an order of its own"
    assert "Press m to begin" in page.page.locator(".vt-painter .vt-status").inner_text()
    page.press("m")
    page.page.wait_for_function("() => !document.querySelector('.vt-painter [data-id=\"command undo\"]').disabled")
    page.press("2")
    page.drag(".vt-painter", (0.2, 0.8), (0.6, 0.8))
    page.ready(".vt-painter", first)
    page.shot("review_painting")
    page.press("Escape")
    page.looks_at(first)
    page.shot("review_painted")
    assert page.page.locator(".vt-painter").count() == 0
    assert int(page.root.get_attribute("data-item")) == first
    told = page.root.locator(".vt-large-view").inner_text()
    assert "labelled anomaly" in told
    assert "✎ changed" in told
    assert "scratch: 10 % predicted, 10 % true" in told
    assert "dent:" in told
    page.press("f")  # keys are the review's again
    page.page.wait_for_function("() => document.querySelector('.vt-review').dataset.pending === '0'")
    assert page.review.to_frame().set_index("source").loc[source, "flagged"]
    entry = next(one for one in page.review.manifest if one.source == source)
    assert (entry.label, set(entry.types)) == (Label.ANOMALY, {"dent", "scratch"})
    assert (tmp_path / "labels-mended-masks" / source).is_file()
    assert page.page.evaluate("leaks") == []


def test_boxes_are_drawn_in_place_beginning_with_the_models(page: Page) -> None:
    first = int(page.root.get_attribute("data-item"))
    page.press("r")
    page.ready(".vt-boxes", first)
    page.page.wait_for_function("() => !document.querySelector('.vt-boxes [data-id=\"command accept\"]').disabled")
    page.press("Enter")
    page.drag(".vt-boxes", (0.7, 0.7), (0.9, 0.9))
    page.page.wait_for_function("() => document.querySelector('.vt-boxes').dataset.boxes === '2'")
    page.ready(".vt-boxes", first)
    page.shot("review_boxes")
    page.page.locator(".vt-boxes").get_by_role("button", name="done").click()
    page.press("Enter")
    page.looks_at(first)
    page.shot("review_boxed")
    red, green, blue, seen = page.root.locator(".vt-truth").evaluate(
        "(node) => [...node.getContext('2d').getImageData(112, 100, 1, 1).data]"
    )
    assert seen == 255, "the left edge of the box that was drawn"
    assert (red, green, blue) != (0, 0, 0)
    boxes = page.review.box_labeler.boxes(f"{first}.png")
    assert boxes[0].bounds == pytest.approx((0.25, 0.25, 0.5625, 70 / 120))
    assert boxes[1].bounds == pytest.approx((0.7, 0.7, 0.9, 0.9), abs=0.01)
    assert page.review.manifest[first].regions == boxes
    assert page.review.changed == (), "a box says nothing of the image"


def test_what_was_painted_is_sent_after_the_painter_was_closed(page: Page) -> None:
    first, second = (int(page.root.locator(".vt-tile").nth(at).get_attribute("data-item")) for at in (0, 1))
    page.press("p")
    page.ready(".vt-painter", first)
    page.page.evaluate("line.up = false")
    page.drag(".vt-painter", (0.1, 0.1), (0.4, 0.1))
    page.page.wait_for_function("() => document.querySelector('.vt-painter').dataset.pending === '1'")
    page.press("Escape")
    page.page.wait_for_function("() => !document.querySelector('.vt-review').hidden")
    assert page.review.painter.changed == ()
    page.page.evaluate("line.up = true")
    page.page.wait_for_function("() => document.querySelector('.vt-counts').textContent.includes('1 label changed')")
    assert page.review.painter.changed == (f"{first}.png",)
    page.press("ArrowRight", "p")
    page.ready(".vt-painter", second)
    page.drag(".vt-painter", (0.1, 0.1), (0.4, 0.1))
    page.ready(".vt-painter", second)
    assert set(page.review.painter.changed) == {f"{first}.png", f"{second}.png"}
    page.page.reload()
    page.page.wait_for_function("() => document.querySelector('.vt-counts')?.textContent.includes('changed')")
    page.root.focus()


def test_what_cannot_be_opened_is_told(page: Page, images: Manifest) -> None:
    page.review._mending._types = {"dent": "#FFFFFF"}
    page.press("p")
    page.page.wait_for_function(
        "() => document.querySelector('.vt-review .vt-status').textContent.includes('a colour of its own')"
    )
    assert page.root.is_visible()
    assert page.review.manifest == Manifest([replace(entry) for entry in images])
