"""The page of BoxLabeler in a real browser, with the real Python half behind a connection that can fail."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import vision_toolkit as vt
from vision_toolkit.core import Entry, Region
from vision_toolkit.data import Manifest
from vision_toolkit.widgets.box_labeler import BoxLabeler

harness = sys.modules["harness"]  # loaded by conftest.py: this folder is no package

WIDE, HIGH = 800, 500
CLASSES = ["pore", "dent", "crack"]
Point = tuple[float, float]


class Page(harness.WidgetPage):
    """A browser page with a box labeler in it; places in the image are fractions of it."""

    @property
    def labeler(self) -> BoxLabeler:
        return self.widget

    def pictures(self) -> list[Any]:
        return [self.widget._pictures, self.widget._starts]

    def shows(self, item: int) -> None:
        self.page.wait_for_function(
            "(want) => { const r = document.querySelector('.vt-boxes');"
            " return r.dataset.item === want && r.dataset.ready === '1'; }",
            arg=str(item),
        )

    def start(self) -> None:
        self.told()  # what Python did since the page was opened
        self.shows(0)
        self.root.focus()

    def has(self, count: int) -> None:
        self.page.wait_for_function(
            "(want) => document.querySelector('.vt-boxes').dataset.boxes === want", arg=str(count)
        )

    def says(self, text: str) -> None:
        self.page.wait_for_function(
            "(text) => document.querySelector('.vt-status').textContent.includes(text)", arg=text, timeout=5000
        )

    def rect(self) -> tuple[float, float, float, float]:
        """Return where the image is in the page: left, top, width and height in pixels."""
        stage = self.root.locator(".vt-stage").bounding_box()
        left, top, width, height = map(float, (self.root.get_attribute("data-rect") or "").split(","))
        return stage["x"] + left, stage["y"] + top, width, height

    def at(self, place: Point) -> Point:
        left, top, width, height = self.rect()
        return left + place[0] * width, top + place[1] * height

    def drag(self, start: Point, end: Point, *, button: str = "left", by_pixels: bool = False) -> None:
        x, y = self.at(start)
        to = (x + end[0], y + end[1]) if by_pixels else self.at(end)
        mouse = self.page.mouse
        mouse.move(x, y)
        mouse.down(button=button)
        mouse.move((x + to[0]) / 2, (y + to[1]) / 2)
        mouse.move(*to, steps=3)
        mouse.up(button=button)

    def click(self, place: Point) -> None:
        self.page.mouse.click(*self.at(place))

    def bounds(self, item: int = 0) -> list[tuple[float, float, float, float]]:
        self.settled()
        return [box.bounds for box in self.labeler.boxes(self.source(item))]

    def names(self, item: int = 0) -> list[str]:
        self.settled()
        return [box.name for box in self.labeler.boxes(self.source(item))]

    def source(self, item: int) -> str:
        return str(self.labeler.manifest[item].source)

    def near(self, *want: tuple[float, float, float, float], item: int = 0, pixels: float = 1.0) -> None:
        """Compare the boxes that Python has with these, to one pixel of the page."""
        _, _, width, height = self.rect()
        found = self.bounds(item)
        assert len(found) == len(want), found
        for one, other in zip(found, want, strict=True):
            off = [(a - b) * side for a, b, side in zip(one, other, (width, height) * 2, strict=True)]
            assert max(map(abs, off)) <= pixels, (one, other, off)


@pytest.fixture
def images(tmp_path: Path) -> Manifest:
    rng = np.random.default_rng(1)
    entries = []
    for number in range(6):
        picture = np.full((HIGH, WIDE, 3), 60 + 20 * number, np.uint8)
        picture[100:200, 200:400] = (250, 20, 20)  # from (0.25, 0.2) to (0.5, 0.4)
        picture[300:, :] += rng.integers(0, 40, (200, WIDE, 1), np.uint8)
        Image.fromarray(picture).save(tmp_path / f"{number}.png")
        entries.append(Entry(str(tmp_path / f"{number}.png")))
    return Manifest(entries)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "boxes.manifest"


@pytest.fixture
def opened(chromium: Any) -> Iterator[Any]:
    pages: list[Page] = []

    def open_page(labeler: BoxLabeler, **size: int) -> Page:
        pages.append(Page(chromium, labeler, **{"width": 640, "height": 700} | size))
        return pages[-1]

    yield open_page
    for one in pages:
        one.close()


def test_boxes_are_drawn_with_the_mouse(opened: Any, images: Manifest, file: Path) -> None:
    page = opened(vt.BoxLabeler(images, CLASSES, file=file))
    page.start()
    page.drag((0.25, 0.2), (0.5, 0.4))
    page.near((0.25, 0.2, 0.5, 0.4))
    page.shot("boxes_drawn")
    page.press("2")
    page.drag((0.9, 0.9), (0.7, 0.6))
    page.near((0.25, 0.2, 0.5, 0.4), (0.7, 0.6, 0.9, 0.9))
    assert page.names() == ["dent", "dent"], "the selected one took the class too"
    page.drag((0.1, 0.7), (1, 2), by_pixels=True)
    page.click((0.1, 0.7))
    page.has(2)
    page.drag((0.5, 0.8), (-0.5, 1.5))
    page.near((0.25, 0.2, 0.5, 0.4), (0.7, 0.6, 0.9, 0.9), (0.0, 0.8, 0.5, 1.0))
    written = Manifest.read(file)
    assert [region.bounds for region in written[0].regions] == page.bounds()
    assert "3 boxes in 1 of 6 images" in page.root.locator(".vt-counts").inner_text()
    assert repr(page.labeler) == "BoxLabeler(3 boxes in 1 of 6 images, in boxes.manifest)"


def red(page: Page) -> tuple[float, float, float, float]:
    """Return where the red part of the picture is on the screen, in pixels of the page."""
    shot = Image.open(io.BytesIO(page.page.screenshot())).convert("RGB")
    rows, columns = np.nonzero((np.asarray(shot).astype(int) @ (1, -1, -1)) > 120)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def test_boxes_are_drawn_just_as_well_when_enlarged(opened: Any, images: Manifest) -> None:
    page = opened(BoxLabeler(images, CLASSES))
    page.start()
    seen = (*page.at((0.25, 0.2)), *page.at((0.5, 0.4)))
    assert red(page) == pytest.approx(seen, abs=1), "the picture is where the boxes think it is"
    mouse = page.page.mouse
    mouse.move(*page.at((0.375, 0.3)))
    mouse.wheel(0, 200)
    assert page.root.get_attribute("data-zoom") == "1.000", "a plain wheel is the notebook's"
    taken = page.root.locator(".vt-stage").evaluate("""(stage) => [false, true].map((ctrlKey) => {
      const event = new WheelEvent('wheel', { deltaY: 0, ctrlKey, bubbles: true, cancelable: true });
      stage.dispatchEvent(event);
      return event.defaultPrevented;
    })""")
    assert taken == [False, True], "with a plain wheel the page scrolls"
    page.page.keyboard.down("Control")
    mouse.wheel(0, -300)
    page.page.keyboard.up("Control")
    page.page.wait_for_function("() => document.querySelector('.vt-boxes').dataset.zoom === '2.718'")
    left, top, width, height = page.rect()
    assert (0.375 * width + left, 0.3 * height + top) == pytest.approx(
        ((seen[0] + seen[2]) / 2, (seen[1] + seen[3]) / 2), abs=1
    )
    seen = (*page.at((0.25, 0.2)), *page.at((0.5, 0.4)))
    assert red(page) == pytest.approx(seen, abs=1)
    page.shot("boxes_zoomed")
    page.drag((0.25, 0.2), (0.5, 0.4))
    page.near((0.25, 0.2, 0.5, 0.4))
    left, top, *_ = page.rect()
    page.press("Escape")
    page.page.keyboard.down(" ")
    page.drag((0.4, 0.3), (-60, -40), by_pixels=True)
    page.page.keyboard.up(" ")
    assert page.rect()[:2] == pytest.approx((left - 60, top - 40))
    page.drag((0.4, 0.3), (60, 40), button="middle", by_pixels=True)
    assert page.rect()[:2] == pytest.approx((left, top))
    page.has(1)
    page.page.keyboard.down("Control")
    mouse.move(*page.at((0.4, 0.3)))
    for _ in range(20):
        mouse.wheel(0, -300)
    page.page.keyboard.up("Control")
    page.page.wait_for_function("() => document.querySelector('.vt-boxes').dataset.zoom === '32.000'")
    page.press("Escape")
    page.drag((0.4, 0.3), (0.41, 0.31))
    assert page.names() == ["pore"], "inside a box a drag moves it"
    page.page.keyboard.down("Shift")
    page.drag((0.40, 0.30), (0.41, 0.31))
    page.page.keyboard.up("Shift")
    page.near((0.26, 0.21, 0.51, 0.41), (0.40, 0.30, 0.41, 0.31), pixels=1.5)
    page.press("0")
    assert page.root.get_attribute("data-zoom") == "1.000"
    page.press("+", "-")
    assert page.root.get_attribute("data-zoom") == "1.000"


def test_boxes_are_selected_and_moved_and_stay_in_the_image(opened: Any, images: Manifest) -> None:
    page = opened(BoxLabeler(images, CLASSES))
    source = images[0].source
    page.labeler.add(source, "pore", left=0.2, top=0.2, width=0.4, height=0.4)
    page.labeler.add(source, "dent", left=0.3, top=0.3, width=0.1, height=0.1)
    page.start()
    page.click((0.55, 0.55))
    page.says("pore, box 1 of 2: left 160, top 100, 320 by 200 pixels")
    page.click((0.35, 0.35))
    page.says("dent, box 2 of 2")  # the smaller of two
    page.drag((0.35, 0.35), (0.85, 0.45))
    page.near((0.2, 0.2, 0.6, 0.6), (0.8, 0.4, 0.9, 0.5))
    page.drag((0.85, 0.45), (1.4, -0.5))
    page.near((0.2, 0.2, 0.6, 0.6), (0.9, 0.0, 1.0, 0.1))
    page.drag((0.95, 0.05), (2, 0), by_pixels=True)  # too short for a drag
    page.near((0.2, 0.2, 0.6, 0.6), (0.9, 0.0, 1.0, 0.1))
    page.click((0.7, 0.8))
    page.page.wait_for_function("() => document.querySelector('.vt-status').textContent === ''")
    page.press("x")
    page.says("Select a box first")
    assert len(page.labeler._history.past(0)) == 4, "each drag is one change"


@pytest.mark.parametrize(("zoom", "handles"), [(0, "nw n ne e se s sw w"), (2, "nw s e")])
def test_each_handle_resizes_and_turns_over(opened: Any, images: Manifest, zoom: int, handles: str) -> None:
    page = opened(BoxLabeler(images, CLASSES))
    page.start()
    for handle in handles.split():
        x = 0 if "w" in handle else 1 if "e" in handle else 0.5
        y = 0 if "n" in handle else 1 if "s" in handle else 0.5
        page.labeler.put(images[0].source, [Region.box("pore", left=0.4, top=0.4, width=0.2, height=0.2)])
        page.told()
        page.has(1)
        page.press("0", "Tab", *["+"] * zoom)
        place = 0.4 + 0.2 * x, 0.4 + 0.2 * y
        page.drag(place, (place[0] + 0.03, place[1] - 0.04))
        want = [0.4, 0.4, 0.6, 0.6]
        want[0] += 0.03 * ("w" in handle)
        want[2] += 0.03 * ("e" in handle)
        want[1] -= 0.04 * ("n" in handle)
        want[3] -= 0.04 * ("s" in handle)
        page.near(tuple(want))
        place = want[0] + (want[2] - want[0]) * x, want[1] + (want[3] - want[1]) * y
        far = (2 * (x == 0) - 1) * 0.27, (2 * (y == 0) - 1) * 0.27
        page.drag(place, (place[0] + far[0], place[1] + far[1]))  # over the opposite edge
        over = list(want)
        if x != 0.5:
            over[0], over[2] = sorted((want[2] if x == 0 else want[0], place[0] + far[0]))
        if y != 0.5:
            over[1], over[3] = sorted((want[3] if y == 0 else want[1], place[1] + far[1]))
        page.near(tuple(over))
    page.press("0")
    page.labeler.put(images[0].source, [Region.box("pore", left=0.4, top=0.4, width=0.2, height=0.2)])
    page.told()
    page.press("Tab")
    page.drag((0.6, 0.6), (1.5, 1.5))
    page.near((0.4, 0.4, 1.0, 1.0))
    assert page.names() == ["pore"]


def test_keys_select_nudge_name_and_delete(opened: Any, images: Manifest, file: Path) -> None:
    page = opened(BoxLabeler(images, CLASSES, file=file))
    for left in (0.1, 0.4, 0.4):
        page.labeler.put(
            images[0].source,
            [*page.labeler.boxes(images[0].source), Region.box("pore", left=left, top=0.1, width=0.2, height=0.2)],
        )
    page.start()
    page.press("Tab")
    page.says("box 1 of 3")
    page.press("Tab", "Tab")
    page.says("box 3 of 3")  # also of two that lie upon each other
    page.press("Tab", "Shift+Tab", "2")
    assert page.names() == ["pore", "pore", "dent"]
    before = len(page.labeler._history.past(0))
    page.press("ArrowRight", "ArrowDown", "Shift+ArrowDown", "ArrowLeft", "ArrowLeft")
    assert page.bounds()[2] == pytest.approx((0.4 - 1 / WIDE, 0.1 + 11 / HIGH, 0.6 - 1 / WIDE, 0.3 + 11 / HIGH))
    assert len(page.labeler._history.past(0)) == before + 5
    for _ in range(30):
        page.page.keyboard.down("ArrowRight")  # Chromium marks all but the first as repeats
    page.page.keyboard.up("ArrowRight")
    assert page.bounds()[2][0] == pytest.approx(0.4 + 29 / WIDE)
    assert len(page.labeler._history.past(0)) == before + 6, "a key that is held is one change"
    for key, steps in (("ArrowLeft", 40), ("ArrowUp", 8)):
        page.page.keyboard.down("Shift")
        for _ in range(steps):
            page.page.keyboard.down(key)
        page.page.keyboard.up(key)
        page.page.keyboard.up("Shift")
    assert page.bounds()[2][:2] == (0, 0), "it stops at the edge"
    page.press("x", "Tab", "Delete")
    page.near((0.4, 0.1, 0.6, 0.3))
    page.press("d")
    page.drag((0.7, 0.7), (0.9, 0.9))
    assert page.names() == ["pore", "dent"]
    assert [region.name for region in Manifest.read(file)[0].regions] == ["pore", "dent"]
    page.press("PageDown", "PageDown", "PageUp")
    page.shows(1)
    page.settled()
    assert page.labeler.current.source == images[1].source
    page.press("PageUp", "PageUp")
    page.says("No image before")


def test_changes_are_taken_back_and_done_again_without_end(opened: Any, images: Manifest, file: Path) -> None:
    page = opened(BoxLabeler(images, CLASSES, file=file))
    page.start()
    for number in range(4):
        page.drag((0.1 + 0.2 * number, 0.5), (0.2 + 0.2 * number, 0.7))
    page.has(4)
    page.settled()
    page.page.evaluate("line.hold = true")
    page.press("u", "Control+z")
    page.has(2)  # before the kernel knows
    page.press("Control+y", "r", "u")
    page.has(3)
    page.page.evaluate("release()")
    assert len(page.bounds()) == 3
    page.press("x")
    page.press("PageDown")
    page.shows(1)
    page.press("u")
    page.says("nothing to undo in this image")  # each image has its own
    page.drag((0.1, 0.5), (0.2, 0.7))
    page.press("PageUp")
    page.shows(0)
    page.press("Control+Shift+Z")
    page.has(4)
    source = images[0].source
    for number in range(16):
        page.labeler.add(source, "dent", left=0.05 * number, top=0.1, width=0.04, height=0.1)
    page.page.reload()
    page.start()
    page.has(20)
    page.page.evaluate("line.hold = true")
    page.press(*["u"] * 14)  # more than the kernel tells at once
    page.says("Waiting")
    page.page.evaluate("release()")
    page.settled()
    for left in range(len(page.labeler._history.past(0)), 0, -1):
        page.press("u")
        page.settled()
        assert len(page.labeler._history.past(0)) == left - 1
    assert page.bounds() == []
    assert len(page.labeler.boxes(images[1].source)) == 1
    for _ in range(len(page.labeler._history.future(0))):
        page.press("r")
        page.settled()
    page.has(20)
    assert page.root.get_by_role("button", name="redo").is_disabled()
    assert len(Manifest.read(file)[0].regions) == 20


def test_boxes_of_the_image_before_are_copied(opened: Any, images: Manifest) -> None:
    page = opened(BoxLabeler(images, ["pore", "dent"]))
    page.labeler.add(images[0].source, "pore", left=0.1, top=0.1, width=0.1, height=0.1)
    page.labeler.add(images[0].source, "dent", left=0.4, top=0.1, width=0.1, height=0.1)
    page.labeler.add(images[1].source, "dent", left=0.4, top=0.1, width=0.1, height=0.1)
    page.start()
    assert page.root.get_by_role("button", name="copy").is_disabled()
    page.press("c", "PageDown")
    page.shows(1)
    page.press("c")
    page.says("1 box copied: 2 boxes")
    page.press("c")
    page.says("no box that is not here")
    page.press("PageDown", "c")
    page.has(2)
    assert page.names(2) == ["dent", "pore"]
    page.press("u")
    page.has(0)


def test_suggestions_count_when_they_are_accepted(opened: Any, images: Manifest, file: Path) -> None:
    asked = []

    def start(entry: Entry) -> list[Region]:
        asked.append(entry.source)
        if entry.source == images[3].source:
            raise RuntimeError("out of memory")
        return [
            Region.box("pore", left=0.1 + 0.3 * number, top=0.3, width=0.2, height=0.2, confidence=0.5 + number / 10)
            for number in range(3)
        ]

    page = opened(BoxLabeler(images, CLASSES, file=file, start=start))
    page.start()
    page.page.wait_for_function("() => document.querySelector('.vt-chips').textContent.includes('3 suggested')")
    page.shot("boxes_suggested")
    page.has(0)
    page.press("PageDown")
    page.shows(1)
    assert not file.exists(), "nothing is written before it is accepted"
    page.press("Enter")
    page.has(3)
    page.settled()
    assert [box.confidence for box in page.labeler.boxes(images[1].source)] == [0.5, 0.6, 0.7]
    page.press("Enter")
    page.says("no suggestions")
    page.press("PageUp")
    page.shows(0)
    page.click((0.5, 0.4))  # one of them
    page.has(1)
    page.says("pore accepted")
    page.drag((0.2, 0.4), (0.25, 0.5))  # another, moved
    page.has(2)
    page.near((0.4, 0.3, 0.6, 0.5), (0.15, 0.4, 0.35, 0.6))
    assert [box.confidence for box in page.labeler.boxes(images[0].source)] == [0.6, None], "a moved one is yours"
    assert "1 suggested" in page.root.locator(".vt-chips").inner_text()
    page.press("x", "u", "u")
    page.has(1)
    assert "2 suggested" in page.root.locator(".vt-chips").inner_text()
    assert len(page.labeler.suggestions(images[0].source)) == 2
    page.settled()
    assert [len(entry.regions) for entry in Manifest.read(file)] == [1, 3, 0, 0, 0, 0]
    page.press("PageDown", "PageDown", "PageDown")
    page.shows(3)
    page.page.wait_for_function(
        "() => document.querySelector('.vt-status').textContent.includes('No suggestions: RuntimeError: out of memory')"
    )
    assert len(asked) == len(set(asked)), "each image is asked for once"


def test_a_broken_connection_loses_nothing_and_doubles_nothing(opened: Any, images: Manifest, file: Path) -> None:
    page = opened(BoxLabeler(images, CLASSES, file=file))
    page.start()
    page.drag((0.1, 0.1), (0.2, 0.2))
    page.settled()
    page.page.wait_for_timeout(200)  # for the images ahead
    page.page.evaluate("line.up = false")
    page.drag((0.3, 0.1), (0.4, 0.2))
    page.press("Tab", "x", "u", "PageDown")
    page.shows(1)
    page.drag((0.5, 0.5), (0.6, 0.6))
    page.page.wait_for_function("() => document.querySelector('.vt-saved').textContent.includes('5 not kept yet')")
    assert len(page.labeler.boxes(images[0].source)) == 1
    page.page.evaluate("line.up = true")
    page.settled()
    page.near((0.5, 0.5, 0.6, 0.6), item=1)
    page.near((0.1, 0.1, 0.2, 0.2), (0.3, 0.1, 0.4, 0.2))
    page.page.evaluate("line.lose = 1")
    page.drag((0.1, 0.1), (0.2, 0.2))
    page.drag((0.7, 0.1), (0.8, 0.2))  # arrives without the one before it, is refused, and both are sent again
    page.settled()
    page.page.evaluate("line.twice = true")
    page.press("u")
    page.drag((0.7, 0.7), (0.8, 0.9))
    page.near((0.5, 0.5, 0.6, 0.6), (0.1, 0.1, 0.2, 0.2), (0.7, 0.7, 0.8, 0.9), item=1)
    assert len(page.labeler._history.past(1)) == 3
    assert [len(entry.regions) for entry in Manifest.read(file)[:2]] == [2, 3]


def test_a_disk_that_refuses_is_told_and_tried_again(opened: Any, images: Manifest, tmp_path: Path) -> None:
    place = tmp_path / "results"
    place.write_text("a file where a folder is to be")
    page = opened(BoxLabeler(images, CLASSES, file=place / "boxes.manifest"))
    page.start()
    page.drag((0.1, 0.1), (0.2, 0.2))
    page.page.wait_for_function("() => document.querySelector('.vt-saved').textContent.includes('1 not kept: ')")
    assert page.labeler.boxes(images[0].source) == ()
    place.unlink()
    page.settled()
    assert "Kept in boxes.manifest" in page.root.locator(".vt-saved").inner_text()
    assert len(Manifest.read(place / "boxes.manifest")[0].regions) == 1


def test_keys_stay_in_the_widget_and_it_can_be_read_aloud(opened: Any, images: Manifest) -> None:
    page = opened(BoxLabeler(images, CLASSES))
    page.shows(0)
    page.page.locator("#cell").focus()
    page.page.keyboard.type("xcp1")
    assert page.page.locator("#cell").input_value() == "xcp1"
    page.page.evaluate("leaks.length = 0")
    page.drag((0.2, 0.2), (0.4, 0.4))
    assert page.root.evaluate("(node) => getComputedStyle(node).outlineStyle") == "solid", "the focus is seen"
    page.press("d", "d", "b", "x", "Backspace", "h", "Control+s", "Control+y", "ArrowUp", "Tab", " ")
    assert page.page.evaluate("leaks") == []
    assert page.root.get_attribute("data-lm-suppress-shortcuts") == "true"
    page.root.focus()
    tree = page.root.aria_snapshot()
    for words in ('application "Draw boxes"', 'img "image 0.png, ', 'button "pore"', "status", "group"):
        assert words in tree, tree
    assert page.root.locator("[data-id='class pore']").get_attribute("aria-keyshortcuts") == "p 1"
    assert page.root.locator("[data-id='class pore']").get_attribute("aria-pressed") in ("true", "false")
    page.page.evaluate("document.body.className = 'dark'")
    page.shot("boxes_dark")
    background, ink = page.root.evaluate("(n) => [getComputedStyle(n).backgroundColor, getComputedStyle(n).color]")
    assert (background, ink) == ("rgb(17, 17, 17)", "rgb(221, 221, 221)")
    page.press("Escape", "x")
    assert page.page.evaluate("leaks") == ["x"]


TOUCH = """([kind, steps]) => {
  const stage = document.querySelector('.vt-stage');
  for (const [type, clientX, clientY, pointerId = 7] of steps) {
    stage.dispatchEvent(new PointerEvent(type, {
      pointerId, clientX, clientY, pointerType: kind, bubbles: true, cancelable: true, isPrimary: pointerId === 7,
    }));
  }
}"""


@pytest.mark.parametrize("kind", ["touch", "pen"])
def test_fingers_and_pens_draw_too(opened: Any, images: Manifest, kind: str) -> None:
    page = opened(BoxLabeler(images, CLASSES))
    page.start()
    assert page.root.locator(".vt-stage").evaluate("(node) => getComputedStyle(node).touchAction") == "none"
    a, b, c = page.at((0.2, 0.2)), page.at((0.4, 0.5)), page.at((0.6, 0.6))
    page.page.evaluate(TOUCH, [kind, [["pointerdown", *a], ["pointermove", *b], ["pointerup", *b]]])
    page.near((0.2, 0.2, 0.4, 0.5))
    # What the system takes away ends the drag and changes nothing; the next one is as ever.
    page.page.evaluate(TOUCH, [kind, [["pointerdown", *b], ["pointermove", *c], ["pointercancel", *c]]])
    page.near((0.2, 0.2, 0.4, 0.5))
    page.page.evaluate(TOUCH, [kind, [["pointerdown", *b], ["pointermove", *c], ["pointerup", *c]]])
    page.near((0.2, 0.2, 0.6, 0.6))
    near = (c[0] + 10, c[1] + 10)  # a finger is broader than a mouse
    page.page.evaluate(TOUCH, [kind, [["pointerdown", *near], ["pointermove", *b], ["pointerup", *b]]])
    page.has(1 if kind == "touch" else 2)


def test_two_fingers_enlarge_and_move(opened: Any, images: Manifest) -> None:
    page = opened(BoxLabeler(images, CLASSES))
    page.start()
    a, b, c, d = (page.at((x, 0.5)) for x in (0.45, 0.55, 0.35, 0.65))
    steps = [
        ["pointerdown", *a], ["pointermove", a[0] - 20, a[1]], ["pointerdown", *b, 8], ["pointermove", *c],
        ["pointermove", *d, 8], ["pointerup", *c], ["pointermove", *b, 8], ["pointerup", *b, 8],
    ]  # fmt: skip
    page.page.evaluate(TOUCH, ["touch", steps])
    apart = (d[0] - c[0]) / (b[0] - a[0] + 20)
    assert float(page.root.get_attribute("data-zoom") or 0) == pytest.approx(apart, rel=0.01)
    page.has(0)
    page.page.evaluate(TOUCH, ["touch", [["pointerdown", *a], ["pointermove", *b], ["pointerup", b[0], b[1] + 30]]])
    page.has(1)  # one finger draws again


def test_a_drag_that_ends_outside_ends(opened: Any, images: Manifest) -> None:
    page = opened(BoxLabeler(images, CLASSES))
    page.start()
    page.drag((0.5, 0.5), (400, 700), by_pixels=True)  # let go far below the widget
    page.near((0.5, 0.5, min(1.0, 0.5 + 400 / page.rect()[2]), 1.0))
    mouse = page.page.mouse
    mouse.move(*page.at((0.1, 0.1)))
    mouse.move(*page.at((0.3, 0.3)))
    page.has(1)
    mouse.down()
    mouse.move(*page.at((0.4, 0.4)))
    page.press("Escape")
    mouse.move(*page.at((0.45, 0.45)))
    mouse.up()
    page.has(1)
    assert page.root.evaluate("(node) => node.contains(document.activeElement)"), "the drag was left, not the widget"


def test_other_regions_are_shown_and_stay_as_they_are(opened: Any, images: Manifest, file: Path) -> None:
    regions = (
        Region.box("word", left=0.1, top=0.1, width=0.2, height=0.2, confidence=0.9),
        Region("pore", ((0.5, 0.5), (0.7, 0.6), (0.6, 0.8)), 0.7, "a"),
        Region("pore", Region.box("pore", left=0.7, top=0.1, width=0.2, height=0.2).polygon, 0.8, "b"),
    )
    given = Manifest([Entry(images[0].source, regions=regions), *images[1:]])
    page = opened(BoxLabeler(given, CLASSES, file=file, start=lambda entry: pytest.fail(entry.source)), height=950)
    page.start()
    page.has(1)
    page.shot("boxes_fixed")
    assert "2 fixed" in page.root.locator(".vt-chips").inner_text()
    page.drag((0.15, 0.15), (0.25, 0.25))
    page.settled()
    now = page.labeler.current.regions
    assert now[:3] == regions, "confidence and id of the box that nobody touched too"
    assert now[3].name == "pore"
    page.drag((0.8, 0.2), (0.8, 0.25))
    page.settled()
    moved = page.labeler.current.regions
    assert (moved[:2], moved[2].confidence, moved[2].id) == (regions[:2], None, None)
    page.press("u", "u")
    page.has(1)
    page.settled()
    assert page.labeler.current.regions == regions
    assert Manifest.read(file)[0].regions == regions


def test_python_moves_the_page_and_two_views_stay_in_step(opened: Any, images: Manifest) -> None:
    page = opened(BoxLabeler(images, CLASSES), height=1700)
    page.start()
    page.labeler.add(images[0].source, "dent", left=0.1, top=0.1, width=0.2, height=0.2)
    page.told()
    page.has(1)
    page.page.evaluate("void second()")
    both = "(want) => [...document.querySelectorAll('.vt-boxes')].map((r) => r.dataset.item + r.dataset.boxes).join()"
    page.page.wait_for_function(f"({both})() === '01,01'")
    page.drag((0.5, 0.5), (0.6, 0.6))
    page.page.wait_for_function(f"({both})() === '02,02'")
    mouse = page.page.mouse
    mouse.move(*page.at((0.2, 0.2)))
    mouse.down()
    mouse.move(*page.at((0.4, 0.4)))
    page.labeler.remove(images[0].source, 0)  # under the hand that drags it
    page.told()
    mouse.up()
    page.says("changed elsewhere")
    page.near((0.5, 0.5, 0.6, 0.6))
    page.labeler.go(5)
    page.told()
    page.shows(5)
    page.press("PageDown")
    page.says("the last image")
    page.page.evaluate("closeView()")
    assert page.page.locator(".vt-boxes").count() == 1


def test_an_image_that_cannot_be_shown_gets_no_boxes(opened: Any, images: Manifest, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no image")
    page = opened(BoxLabeler(Manifest([Entry(str(tmp_path / "broken.png")), *images]), CLASSES), width=430)
    page.start()
    stage = page.root.locator(".vt-stage").bounding_box()
    page.page.mouse.move(stage["x"] + 20, stage["y"] + 20)
    page.page.mouse.down()
    page.page.mouse.move(stage["x"] + 90, stage["y"] + 90)
    page.page.mouse.up()
    page.says("cannot be shown")
    page.press("Tab", "x", "c")
    page.shot("boxes_narrow")
    assert page.page.evaluate("document.documentElement.scrollWidth <= 430")
    page.press("PageDown")
    page.shows(1)
    page.drag((0.2, 0.2), (0.4, 0.4))
    page.near((0.2, 0.2, 0.4, 0.4), item=1)
    page.labeler._kept.clear()
    page.drag((0.6, 0.6), (0.7, 0.7))
    page.page.wait_for_function("() => document.querySelector('.vt-saved').textContent.includes('began anew')")


def test_a_thousand_boxes_are_drawn_at_once(opened: Any, images: Manifest) -> None:
    boxes = [
        Region.box("pore", left=0.03 * (n % 32), top=0.03 * (n // 32), width=0.02, height=0.02) for n in range(999)
    ]
    page = opened(BoxLabeler(images, CLASSES))
    page.labeler.put(images[0].source, boxes)
    page.start()
    page.has(999)
    page.page.keyboard.down("Shift")
    page.drag((0.2, 0.2), (0.9, 0.9))
    page.has(1000)
    page.drag((0.3, 0.3), (0.9, 0.9))
    page.page.keyboard.up("Shift")
    page.says("at most 1,000 boxes")
    page.settled()
    assert page.labeler.n_boxes == 1000
    spent = page.page.evaluate("""async () => {
      const stage = document.querySelector('.vt-stage').getBoundingClientRect();
      const start = performance.now();
      for (let n = 0; n < 20; n += 1) {
        document.querySelector('.vt-stage').dispatchEvent(new PointerEvent('pointermove', {
          pointerId: 1, clientX: stage.left + 100 + n, clientY: stage.top + 100, bubbles: true }));
      }
      return (performance.now() - start) / 20;
    }""")
    assert spent < 50, "a pointer that moves is followed"
