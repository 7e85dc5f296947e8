"""Labeler in a real JupyterLab with a real kernel and real keys."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from types import ModuleType
from typing import Any

import vision_toolkit as vt
from vision_toolkit.data.label_log import LabelLog

SETUP = """
import os, pathlib
import vision_toolkit as vt
biscuits = vt.load_dataset("biscuit")
manifest = biscuits.filter(label="normal")[:8] + biscuits.filter(label="anomaly")[:6]
_ = pathlib.Path("pid.txt").write_text(str(os.getpid()))
"""
SHOW = 'labeler = vt.Labeler(manifest, file="labels.jsonl", annotator="ann")\nlabeler'


def test_ten_images_are_labelled_the_kernel_is_killed_and_it_goes_on(
    harness: ModuleType, chromium: Any, tmp_path: Path
) -> None:
    with harness.notebook("lab", chromium, tmp_path, [SETUP, SHOW]) as notebook:
        label_and_kill(notebook, tmp_path)


def label_and_kill(notebook: Any, tmp_path: Path) -> None:
    root = tmp_path / "root"
    file = root / "labels.jsonl"
    biscuits = vt.load_dataset("biscuit")
    sources = [one.source for one in biscuits.filter(label="normal")[:8] + biscuits.filter(label="anomaly")[:6]]
    notebook.run(0, 1)
    notebook.shows(0)
    before = notebook.cells()
    notebook.widget.locator("canvas").click()
    keys = "naannanan"
    for item, key in enumerate(keys, 1):
        notebook.page.keyboard.press(key)
        notebook.shows(item)
    for key in ("u", "d", "d", "x", "b"):  # Lab would delete and cut cells with the last four
        notebook.page.keyboard.press(key)
    notebook.shows(8)
    notebook.page.keyboard.press("a")
    notebook.page.keyboard.press("t")
    notebook.page.keyboard.type("a name")
    notebook.page.keyboard.press("Enter")
    notebook.page.keyboard.press("n")
    notebook.shows(10)
    notebook.shot("lab")
    assert notebook.cells() == before
    given = keys[:8] + "an"
    want = {source: {"n": "normal", "a": "anomaly"}[key] for source, key in zip(sources, given, strict=False)}
    log = LabelLog(file)
    assert {source: log.opinion(source, "ann").name for source in sources[:10]} == want
    assert log.opinion(sources[9], "ann").note == "a name"

    os.kill(int((root / "pid.txt").read_text()), signal.SIGKILL)
    with file.open("ab") as handle:
        handle.write(b'{"v": 1, "id": "cut of')  # as if it had died while it wrote
    dialog = notebook.page.locator(".jp-Dialog button.jp-mod-accept")
    dialog.wait_for(timeout=60_000)  # Lab tells that the kernel died and starts it again
    dialog.click()
    notebook.idle()
    notebook.run(0, 1)
    notebook.shows(10)
    notebook.widget.locator("canvas").click()
    notebook.page.keyboard.press("u")  # of the session before
    notebook.shows(9)
    notebook.page.keyboard.press("a")
    notebook.shows(10)
    notebook.command("docmanager:save")
    again = LabelLog(file)
    assert {source: again.opinion(source, "ann").name for source in sources[:10]} == want | {sources[9]: "anomaly"}
    assert [finding.rule for finding in again.findings] == ["torn-line"]
    output = json.loads((root / "book.ipynb").read_text())["cells"][1]["outputs"][0]["data"]
    assert {"image/png", "text/plain", "application/vnd.jupyter.widget-view+json"} <= set(output)
    assert output["text/plain"] == ["Labeler(10 of 14 images labelled, in labels.jsonl, 1 odd line passed over)"]
    assert notebook.foreign == [], "nothing is asked for off-site"
