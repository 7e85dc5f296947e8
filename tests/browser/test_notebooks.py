"""Widgets where people use them: JupyterLab, Notebook 7 and Voila, with real kernels, real keys and a real mouse."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import vision_toolkit as vt
from vision_toolkit.data import Manifest, read_mask
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


@pytest.mark.parametrize("app", ["lab", pytest.param("notebook", marks=pytest.mark.slow)])
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


@pytest.mark.slow
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


PAINT = """
import vision_toolkit as vt
biscuits = vt.load_dataset("biscuit")
good, faulty = biscuits.filter(label="normal")[:12], biscuits.filter(lambda entry: entry.types == ("smear",))[:6]
blank = vt.Manifest([vt.Entry(entry.source, at=entry.location) for entry in faulty])
painter = vt.MaskPainter(blank, {"smear": "#23A436"}, file="painted.manifest")
painter
"""
TRAIN = """
whole = good + painter.manifest
model = vt.train(whole, weights=None, preset="fast", progress=False)
print([finding.rule for finding in whole.check() if finding.severity == "error"], model.types)
model.predict(faulty[0]).show(faulty[0])
"""


@pytest.mark.slow
def test_masks_painted_with_the_mouse_train_a_model(
    harness: ModuleType, lookout_rules: ModuleType, chromium: Any, tmp_path: Path
) -> None:
    faulty = vt.load_dataset("biscuit").filter(lambda entry: entry.types == ("smear",))[:6]
    with harness.notebook("lab", chromium, tmp_path, [PAINT, TRAIN], height=1300) as notebook:
        page = notebook.page
        notebook.run(0)
        notebook.shows(0)
        before = notebook.cells()
        painter = page.locator(".vt-painter")
        for item, entry in enumerate(faulty):
            notebook.shows(item)
            ids = read_mask(entry.mask).ids
            rows, columns = np.nonzero(ids)
            box = painter.locator(".vt-stage").bounding_box()
            zoom = float(str(painter.get_attribute("data-zoom")))
            left, top, *_ = map(float, str(painter.get_attribute("data-rect")).split(","))

            def move(x: float, y: float, box: Any = box, zoom: float = zoom, at: Any = (left, top)) -> None:
                page.mouse.move(box["x"] + at[0] + x * zoom, box["y"] + at[1] + y * zoom, steps=3)

            move(columns.min(), rows.mean())
            page.mouse.down()
            for x in np.linspace(columns.min(), columns.max(), 6):
                move(float(x), float(rows[abs(columns - x) < 3].mean()))
            page.mouse.up()
            for key in ("d", "d", "x", "b"):  # Lab would delete and cut cells with them
                page.keyboard.press(key)
            if item < len(faulty) - 1:
                page.keyboard.press("PageDown")
        page.wait_for_function("() => document.querySelector('.vt-painter').dataset.pending === '0'")
        notebook.shot("painter_lab")
        assert notebook.cells() == before
        notebook.run(1)
        notebook.idle()
        notebook.command("docmanager:save")
        notebook.shot("painter_trained")
        assert notebook.foreign == [], "nothing is asked for off-site"
    saved = json.loads((tmp_path / "root" / "book.ipynb").read_text(encoding="utf-8"))["cells"]
    kinds = [kind for output in saved[1]["outputs"] for kind in output.get("data", {})]
    assert "".join(saved[1]["outputs"][0]["text"]).strip() == "[] ('smear',)"
    assert "image/png" in kinds
    assert lookout_rules.broken_rules(tmp_path / "root" / "painted.manifest") == []
    painted = Manifest.read(tmp_path / "root" / "painted.manifest")
    for entry, true in zip(painted, faulty, strict=True):
        assert entry.label is vt.Label.ANOMALY
        assert dict(entry.mask.colours) == {"smear": "#23A436"}
        size = read_mask(true.mask).size
        overlap = (read_mask(entry.mask, size=size).ids > 0) & (read_mask(true.mask).ids > 0)
        assert overlap.any()


BOX = """
import vision_toolkit as vt
biscuits = vt.Manifest([vt.Entry(entry.source, at=entry.location) for entry in vt.load_dataset("biscuit")[:3]])
labeler = vt.BoxLabeler(biscuits, ["print", "edge"], file="boxed.manifest")
labeler
"""


@pytest.mark.slow
def test_boxes_are_drawn_with_the_mouse_in_notebook_7(harness: ModuleType, chromium: Any, tmp_path: Path) -> None:
    with harness.notebook("notebook", chromium, tmp_path, [BOX, "labeler.manifest"], height=1200) as notebook:
        page = notebook.page
        notebook.run(0)
        notebook.shows(0)
        before = notebook.cells()
        labeler = page.locator(".vt-boxes")
        for item, key in ((0, "2"), (1, "1")):
            notebook.shows(item)
            stage = labeler.locator(".vt-stage").bounding_box()
            left, top, width, height = map(float, str(labeler.get_attribute("data-rect")).split(","))
            corners = [
                (stage["x"] + left + x * width, stage["y"] + top + y * height) for x, y in ((0.2, 0.3), (0.7, 0.6))
            ]
            page.mouse.move(*corners[0])
            page.mouse.down()
            page.mouse.move(*corners[1], steps=5)
            page.mouse.up()
            for pressed in (key, "d", "d", "b"):  # Jupyter would delete and add cells with the last three
                page.keyboard.press(pressed)
            page.keyboard.press("PageDown")
        notebook.shows(2)
        notebook.shot("boxes_notebook")
        assert notebook.cells() == before
        assert notebook.foreign == [], "nothing is asked for off-site"
    written = Manifest.read(tmp_path / "root" / "boxed.manifest")
    assert [[box.name for box in entry.regions] for entry in written] == [["edge"], ["print"], []]
    for entry in written[:2]:
        assert entry.regions[0].bounds == pytest.approx((0.2, 0.3, 0.7, 0.6), abs=0.01)
