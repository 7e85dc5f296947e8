"""The page of Labeler in a real browser, with the real Python half behind a fake connection: no server, no kernel.

The connection can be slow, break, and lose or repeat what it carries.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import vision_toolkit as vt
from vision_toolkit.core import Entry
from vision_toolkit.data import Manifest
from vision_toolkit.data.label_log import LabelLog
from vision_toolkit.widgets.labeler import Labeler

harness = sys.modules["harness"]  # loaded by conftest.py: this folder is no package


class Page(harness.WidgetPage):
    """A browser page with a labeler in it."""

    @property
    def labeler(self) -> Labeler:
        return self.widget

    def shows(self, item: int | str | None) -> None:
        want = "null" if item is None else str(item)
        self.page.wait_for_function(
            "(want) => { const r = document.querySelector('.vt-labeler');"
            " return r.dataset.item === want && r.dataset.ready === '1'; }",
            arg=want,
        )

    def start(self) -> None:
        self.shows(0)
        self.root.focus()


@pytest.fixture(scope="module")
def biscuits() -> Manifest:
    chosen = vt.load_dataset("biscuit")
    return chosen.filter(label="normal")[:8] + chosen.filter(label="anomaly")[:4]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "labels.jsonl"


@pytest.fixture
def opened(chromium: Any) -> Iterator[Any]:
    pages: list[Page] = []

    def open_page(labeler: Labeler, **size: int) -> Page:
        pages.append(Page(chromium, labeler, **size))
        return pages[-1]

    yield open_page
    for one in pages:
        one.close()


def drawn(folder: Path, count: int, side: int = 32) -> Manifest:
    """Paint small images, each in a grey of its own that tells its number."""
    entries = []
    for number in range(count):
        path = folder / f"{number}.png"
        Image.fromarray(np.full((side, side, 3), number % 250, np.uint8)).save(path)
        entries.append(Entry(str(path)))
    return Manifest(entries)


def test_keys_label_skip_flag_undo_and_leaf(opened: Any, biscuits: Manifest, file: Path) -> None:
    page = opened(Labeler(biscuits, file=file))
    page.start()
    page.shot("first")
    page.press("n")
    page.shows(1)
    page.press("2")
    page.shows(2)
    page.press("f", " ")
    page.shows(3)
    page.press("u")
    page.shows(2)
    assert "flagged" in page.root.locator(".vt-chips").inner_text()
    page.press("Control+z", "Backspace")
    page.shows(1)
    page.press("N")
    page.shows(2)
    page.press("ArrowLeft", "ArrowLeft")
    page.shows(0)
    assert page.root.locator("[data-id='class normal']").get_attribute("aria-pressed") == "true"
    page.press("a")
    page.shows(2)
    page.settled()
    sources = [entry.source for entry in biscuits]
    log = LabelLog(file)
    assert log.findings == []
    assert {source: log.opinion(source).name for source in sources[:3]} == {
        sources[0]: "anomaly", sources[1]: "normal", sources[2]: None,
    }  # fmt: skip
    actions = ["label", "label", "flag", "skip", "undo", "undo", "undo", "label", "label"]
    assert [act.action for act in log.acts] == actions
    seconds = log.to_frame()["seconds"].dropna()
    assert ((seconds > 0) & (seconds < 60)).all()


def test_buttons_do_what_keys_do_and_keep_the_focus(opened: Any, biscuits: Manifest) -> None:
    page = opened(Labeler(biscuits, ["good", "bad", "scratch"]))
    page.start()
    page.root.get_by_role("button", name="scratch").click()
    page.shows(1)
    assert page.page.evaluate("document.activeElement.className") == "vt-widget vt-labeler"
    page.press("g")
    page.shows(2)
    page.root.get_by_role("button", name="undo").click()
    page.shows(1)
    page.root.get_by_role("button", name="bad").focus()
    page.press("Enter")
    page.shows(2)
    assert page.labeler.opinions[biscuits[1].source].name == "bad"


def test_a_note_is_typed_without_labelling(opened: Any, biscuits: Manifest, file: Path) -> None:
    page = opened(Labeler(biscuits, file=file))
    page.start()
    page.press("t")
    page.page.keyboard.type("annan u f 1 2 sz")
    page.press("ArrowLeft", "Backspace")
    page.shot("note")
    page.press("Enter")
    page.settled()
    page.press("Enter", "x", "Escape")
    page.shows(0)
    assert page.page.evaluate("document.activeElement.className") == "vt-widget vt-labeler"
    assert [act.action for act in page.labeler.label_log.acts] == ["note"]
    assert page.labeler.opinions[biscuits[0].source].note == "annan u f 1 2 z"
    assert page.page.evaluate("leaks") == []
    page.press("n")
    page.shows(1)


def test_keys_count_only_with_the_focus_and_never_leave_it(opened: Any, biscuits: Manifest) -> None:
    page = opened(Labeler(biscuits))
    page.shows(0)
    page.page.locator("#cell").focus()
    page.page.keyboard.type("nnaa1")
    assert page.page.locator("#cell").input_value() == "nnaa1"
    assert page.labeler.progress["labelled"] == 0
    page.page.evaluate("leaks.length = 0")
    page.root.locator("canvas").click()
    outline = page.root.evaluate("(node) => getComputedStyle(node).outlineStyle")
    assert outline == "solid", "the focus is seen"
    page.press("d", "d", "x", "b", "Enter", "Escape", "h", "Control+s", "n")
    page.shows(1)
    assert page.page.evaluate("leaks") == []
    assert page.root.get_attribute("data-lm-suppress-shortcuts") == "true"
    page.press("Escape", "n", "n")
    assert page.page.evaluate("leaks") == ["n", "n"]
    assert page.labeler.progress["labelled"] == 1


def test_a_key_that_is_held_down_labels_one_image(opened: Any, biscuits: Manifest) -> None:
    page = opened(Labeler(biscuits))
    page.start()
    for _ in range(5):
        page.page.keyboard.down("n")  # Chromium marks all but the first as repeats
    page.page.keyboard.up("n")
    page.shows(1)
    page.settled()
    assert page.labeler.progress["labelled"] == 1


def test_the_next_image_is_drawn_in_the_same_turn_however_busy_the_kernel(opened: Any, tmp_path: Path) -> None:
    page = opened(Labeler(drawn(tmp_path, 20), prefetch=8))
    page.start()
    page.page.wait_for_function("() => line.sent.some((m) => m.type === 'want' && m.items.includes(8))")
    page.press("n", "u")
    page.shows(0)
    page.settled()
    page.page.evaluate("line.hold = true")
    seen = page.page.evaluate("""() => {
      const root = document.querySelector('.vt-labeler');
      const grey = () => root.querySelector('canvas').getContext('2d').getImageData(3, 3, 1, 1).data[0];
      return [1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map(() => {
        root.dispatchEvent(new KeyboardEvent('keydown', { key: 'n', bubbles: true }));
        return [Number(root.dataset.item), root.querySelector('canvas').hidden ? null : grey()];
      });
    }""")
    assert seen[:8] == [[item, item] for item in range(1, 9)]
    assert seen[-1] == [-1, None], "what was not fetched is waited for"
    assert "Waiting" in page.root.locator(".vt-message").inner_text()
    assert page.labeler.progress["labelled"] == 0
    page.page.evaluate("release()")
    page.settled()
    page.shows(9)
    assert page.labeler.progress["labelled"] == 9


def test_a_broken_connection_loses_nothing(opened: Any, tmp_path: Path, file: Path) -> None:
    page = opened(Labeler(drawn(tmp_path, 12), file=file))
    page.start()
    page.press("n")
    page.shows(1)
    page.settled()
    page.page.wait_for_timeout(200)  # for the images ahead
    page.page.evaluate("line.up = false")
    page.press("a", "n", "a")
    page.shows(4)
    page.page.wait_for_function("() => document.querySelector('.vt-saved').textContent.includes('3 not kept yet')")
    page.shot("not_kept")
    assert len(LabelLog(file)) == 1
    page.page.evaluate("line.up = true")
    page.settled()
    page.page.evaluate("line.lose = 1")
    page.press("n")
    page.press("n")  # arrives without the one before it, is refused, and both are sent again
    page.settled()
    page.page.evaluate("line.twice = true")
    page.press("a", "u")
    page.shows(6)
    page.settled()
    log = LabelLog(file)
    names = [act.name for act in log.acts if act.action == "label"]
    assert names == ["normal", "anomaly", "normal", "anomaly", "normal", "normal", "anomaly"]
    assert log.acts[-1].action == "undo"
    assert [Path(act.source).stem for act in log.acts[:-1]] == list("0123456")


@pytest.mark.parametrize("count", [200, pytest.param(2000, marks=pytest.mark.slow)])
def test_thousands_of_keys_stay_in_order(opened: Any, tmp_path: Path, file: Path, count: int) -> None:
    page = opened(Labeler(drawn(tmp_path, count), file=file, prefetch=32))
    page.start()
    pressed = page.page.evaluate(
        """async (count) => {
      const root = document.querySelector('.vt-labeler');
      const pressed = [];
      while (pressed.length < count) {
        if (root.dataset.ready !== '1') { await new Promise((done) => setTimeout(done)); continue; }
        const key = 'na'[(pressed.length * 7 + 3) % 5 % 2];
        const grey = root.querySelector('canvas').getContext('2d').getImageData(3, 3, 1, 1).data[0];
        pressed.push([Number(root.dataset.item), key, grey]);
        root.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
        if (pressed.length % 400 === 150) line.lose = 2;
      }
      return pressed;
    }""",
        count,
    )
    page.settled()
    page.shows(None)
    assert len(pressed) == count
    assert [item for item, _, _ in pressed] == list(range(count))
    assert [grey for item, _, grey in pressed] == [item % 250 for item, _, _ in pressed], "each was seen when labelled"
    log = LabelLog(file)
    assert [(int(Path(act.source).stem), act.name[0]) for act in log.acts] == [(item, key) for item, key, _ in pressed]


def test_a_page_that_is_reloaded_goes_on(opened: Any, biscuits: Manifest, file: Path) -> None:
    page = opened(Labeler(biscuits, file=file))
    page.start()
    page.press("n", "a")
    page.settled()
    page.page.reload()
    page.shows(2)
    page.root.focus()
    page.press("u")
    page.shows(1)
    page.press("n")
    page.shows(2)
    page.settled()
    assert page.labeler.manifest[1].label is vt.Label.NORMAL


def test_python_moves_the_page_and_two_views_stay_in_step(opened: Any, biscuits: Manifest) -> None:
    page = opened(Labeler(biscuits), width=900, height=1500)
    page.start()
    page.labeler.label("anomaly")
    page.told()
    page.shows(1)
    page.page.evaluate("void second()")
    both = "() => [...document.querySelectorAll('.vt-labeler')].map((root) => root.dataset.item).join()"
    page.press("n")
    page.page.wait_for_function(f"({both})() === '2,2'")
    page.page.locator(".vt-labeler").nth(1).focus()
    page.press("n")
    page.page.wait_for_function(f"({both})() === '3,3'")
    page.settled()
    assert page.labeler.progress["labelled"] == 3
    page.page.evaluate("closeView()")
    assert page.page.locator(".vt-labeler").count() == 1


def test_an_image_that_cannot_be_shown_gets_no_label(opened: Any, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no image")
    entries = [Entry(str(tmp_path / "broken.png")), *drawn(tmp_path, 1)]
    page = opened(Labeler(Manifest(entries)))
    page.start()
    page.press("n", "a")
    assert "gets no label" in page.status()
    page.shot("broken")
    page.press("s")
    page.shows(1)
    page.press("n")
    page.shows(None)
    assert page.labeler.progress == {"total": 2, "labelled": 1, "skipped": 1, "flagged": 0}


def test_at_the_end_the_skipped_ones_are_offered(opened: Any, tmp_path: Path) -> None:
    page = opened(Labeler(drawn(tmp_path, 3)))
    page.start()
    page.press("n", "s", "n")
    page.shows(None)
    page.press("n", "f")
    assert "Every image is done" in page.status()
    page.shot("end")
    page.root.get_by_role("button", name="Look at the skipped ones").click()
    page.shows(1)
    page.press("a")
    page.shows(None)
    page.settled()
    assert page.labeler.progress["labelled"] == 3
    page.press("ArrowLeft")
    page.shows(2)


def test_what_is_wrong_is_said(opened: Any, biscuits: Manifest, file: Path) -> None:
    LabelLog(file).add("label", "elsewhere.png", name="normal")
    with file.open("ab") as handle:
        handle.write(b'{"v": 1, "half')
    page = opened(Labeler(biscuits, file=file, annotator="ann"))
    page.start()
    page.page.wait_for_function("() => document.querySelector('.vt-status').textContent.includes('line 2')")
    page.press("u")
    assert page.root.get_by_role("button", name="undo").is_disabled()
    kept = file.read_bytes()
    file.unlink()
    page.press("n")
    page.page.wait_for_function("() => document.querySelector('.vt-saved').textContent.includes('gone or shorter')")
    file.write_bytes(kept)
    page.settled()
    assert "Kept in labels.jsonl" in page.root.locator(".vt-saved").inner_text()
    page.page.evaluate("deliver([[{ v: 9, type: 'plan' }, []]])")
    assert "another version" in page.root.locator(".vt-saved").inner_text()


def test_a_kernel_that_began_anew_is_told_once(opened: Any, biscuits: Manifest) -> None:
    page = opened(Labeler(biscuits))
    page.start()
    page.press("n")
    page.shows(1)
    page.settled()
    page.labeler._kept.clear()
    page.press("n")
    page.page.wait_for_function("() => document.querySelector('.vt-saved').textContent.includes('began anew')")
    sent = page.page.evaluate("line.sent.length")
    page.page.wait_for_timeout(300)
    assert page.page.evaluate("line.sent.length") <= sent + 1, "it does not go round in circles"
    assert page.labeler.progress["labelled"] == 1


def test_it_can_be_read_aloud_and_enlarged(opened: Any, biscuits: Manifest) -> None:
    page = opened(Labeler(biscuits, {"good": "normal", "scratched": "anomaly", "blurred": None}, annotator="ann"))
    page.start()
    tree = page.root.aria_snapshot()
    for words in ('application "Label images"', 'img "image ', 'button "good"', "status", "progressbar", "group"):
        assert words in tree, tree
    assert page.root.locator("[data-id='class good']").get_attribute("aria-keyshortcuts") == "g 1"
    page.press("z")
    assert page.root.locator("canvas").evaluate("(node) => node.style.transform") == "scale(3)"
    page.press("z", "h")
    page.page.evaluate("document.body.className = 'dark'")
    page.press("f", "g", "ArrowLeft")
    page.shows(0)
    page.shot("dark")
    background, ink = page.root.evaluate("(n) => [getComputedStyle(n).backgroundColor, getComputedStyle(n).color]")
    assert (background, ink) == ("rgb(17, 17, 17)", "rgb(221, 221, 221)")


def test_it_fits_a_narrow_cell(opened: Any, biscuits: Manifest) -> None:
    page = opened(Labeler(biscuits, ["normal", "scratch", "dent", "a rather long name of a class"]), width=420)
    page.start()
    page.shot("narrow")
    assert page.page.evaluate("document.documentElement.scrollWidth <= 420")
