"""Widgets where people use them: JupyterLab, Notebook 7 and Voila, with real kernels, real keys and a real mouse."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import vision_toolkit as vt
from vision_toolkit.data import Manifest
from vision_toolkit.data.label_log import LabelLog

MODEL = """
import vision_toolkit as vt
train, test = vt.train_test_split(vt.load_dataset("biscuit"))
review = vt.Review("model", test, file="labels.jsonl", annotator="ann", threshold=0.95, progress=False)
"""
REVIEW = "review"
LABEL = """
labeler = vt.Labeler(test, file="new.jsonl")
labeler
"""


@pytest.fixture(scope="module")
def model() -> vt.Model:
    train, _ = vt.train_test_split(vt.load_dataset("biscuit"))
    return vt.train(train, preset="fast", task="classification", progress=False)


@pytest.mark.parametrize("app", ["lab", "notebook"])
def test_a_false_negative_is_fixed_a_threshold_kept_and_no_cell_touched(
    app: str, harness: ModuleType, chromium: Any, model: vt.Model, tmp_path: Path
) -> None:
    (tmp_path / "root").mkdir()
    folder = model.save(tmp_path / "root" / "model")
    _, test = vt.train_test_split(vt.load_dataset("biscuit"))
    with harness.notebook(app, chromium, tmp_path, [MODEL, REVIEW, LABEL], height=1500) as notebook:
        page = notebook.page
        notebook.run(0, 1)
        review = page.locator(".vt-review")
        page.wait_for_function("() => document.querySelector('.vt-review')?.dataset.ready === '1'", timeout=60_000)
        before = notebook.cells()
        review.get_by_role("button", name="missed").click()
        page.wait_for_function("() => document.querySelector('.vt-review').dataset.ready === '1'")
        missed = vt.Review(folder, test, threshold=0.95, progress=False).sources("fn")
        shown = review.locator(".vt-tile:not([hidden])")
        assert shown.count() == len(missed)
        entries = [entry.source for entry in test]
        assert entries[int(str(review.get_attribute("data-item")))] == missed[0]
        for key in ("d", "d", "x", "b", "n"):  # Jupyter would delete, cut and add cells with them
            page.keyboard.press(key)
        assert notebook.cells() == before
        page.keyboard.press("u")
        slider = review.get_by_label("threshold", exact=True).first
        box = slider.bounding_box()
        page.mouse.move(box["x"] + 0.93 * box["width"], box["y"] + box["height"] / 2)
        page.mouse.down()
        page.mouse.move(box["x"] + 0.4 * box["width"], box["y"] + box["height"] / 2, steps=6)
        page.mouse.up()
        tick = int(str(review.get_attribute("data-tick")))
        assert 3000 < tick < 5000
        review.get_by_role("button", name="keep this threshold").click()
        said = "document.querySelector('.vt-review .vt-status').textContent"
        page.wait_for_function(f"() => {said}.includes('it is in model')", timeout=30_000)
        notebook.shot(f"review_{app}")
        notebook.run(2)
        notebook.shows(0, place=".vt-labeler")
        page.locator(".vt-labeler canvas").click()
        for item, key in enumerate("naannanana", 1):
            page.keyboard.press(key)
            notebook.shows(item, place=".vt-labeler")
        page.keyboard.press("u")
        notebook.shows(9, place=".vt-labeler")
        assert notebook.cells() == before
        notebook.command("docmanager:save")
        assert notebook.foreign == [], "nothing is asked for off-site"
    assert vt.load(folder).threshold == pytest.approx(tick / 10_000)
    log = LabelLog(tmp_path / "root" / "labels.jsonl")
    turned = [act.source for act in log.acts if act.action == "label"]
    assert turned[0] == missed[0]
    assert log.opinion(missed[0], "ann").name == "normal"
    assert [act.action for act in log.acts] == ["label", "label", "undo"]
    assert len(LabelLog(tmp_path / "root" / "new.jsonl")) == 11
    saved = json.loads((tmp_path / "root" / "book.ipynb").read_text(encoding="utf-8"))["cells"]
    for cell in saved[1:]:
        output = cell["outputs"][0]["data"]
        assert {"image/png", "text/plain", "application/vnd.jupyter.widget-view+json"} <= set(output)


def test_a_page_for_others_labels_and_reviews(
    harness: ModuleType, chromium: Any, model: vt.Model, tmp_path: Path
) -> None:
    (tmp_path / "root").mkdir()
    model.save(tmp_path / "root" / "model")
    both = f"{MODEL}labeler = vt.Labeler(test, file='new.jsonl')\nfrom IPython.display import display\n"
    book = harness.write_notebook(tmp_path, [f"{both}display(labeler, review)"])
    with harness.jupyter("voila", book, tmp_path / "home") as (address, _):
        page = chromium.new_page(viewport={"width": 1100, "height": 1900})
        foreign: list[str] = []
        ours = (address, address.replace("http", "ws"), "data:", "blob:")
        page.on("request", lambda request: request.url.startswith(ours) or foreign.append(request.url))
        page.goto(f"{address}/")
        page.locator(".vt-labeler[data-ready='1'][data-item='0']").wait_for(timeout=90_000)
        page.locator(".vt-labeler canvas").click()
        page.keyboard.press("a")
        page.locator(".vt-labeler[data-ready='1'][data-item='1'][data-pending='0']").wait_for()
        review = page.locator(".vt-review[data-ready='1']")
        review.wait_for()
        review.get_by_role("button", name="missed").click()
        page.keyboard.press("x")
        page.locator(".vt-review[data-pending='0'][data-ready='1']").wait_for()
        review.get_by_role("button", name="write labels-corrected.manifest").click()
        page.wait_for_function(
            "() => document.querySelector('.vt-review .vt-status').textContent.includes('The corrected manifest')"
        )
        if harness.SHOTS:
            page.screenshot(path=f"{harness.SHOTS}/voila.png")
        page.close()
    # Voila's own template asks a CDN for icons; the widgets ask for nothing.
    assert [address for address in foreign if "fontawesome" not in address] == []
    assert len(LabelLog(tmp_path / "root" / "new.jsonl")) == 1
    _, test = vt.train_test_split(vt.load_dataset("biscuit"))
    corrected = Manifest.read(tmp_path / "root" / "labels-corrected.manifest")
    assert sum(one.label != other.label for one, other in zip(corrected, test, strict=True)) == 1
