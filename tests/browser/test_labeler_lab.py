"""Labeler in a real JupyterLab with a real kernel and real keys."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import nbformat
import pytest

import vision_toolkit as vt
from vision_toolkit.data.label_log import LabelLog

SHOTS = os.environ.get("VISION_TOOLKIT_SHOTS")
CURRENT = "window.jupyterapp?.shell?.currentWidget"
SETUP = """
import os, pathlib
import vision_toolkit as vt
biscuits = vt.load_dataset("biscuit")
manifest = biscuits.filter(label="normal")[:8] + biscuits.filter(label="anomaly")[:6]
_ = pathlib.Path("pid.txt").write_text(str(os.getpid()))
"""
SHOW = 'labeler = vt.Labeler(manifest, file="labels.jsonl", annotator="ann")\nlabeler'


class Notebook:
    """A notebook in JupyterLab, driven by its own commands and real keys."""

    def __init__(self, page: Any, address: str, token: str) -> None:
        self.page = page
        self.foreign: list[str] = []
        ours = (address, address.replace("http", "ws"), "data:", "blob:")
        page.on("request", lambda request: request.url.startswith(ours) or self.foreign.append(request.url))
        page.goto(f"{address}/lab/tree/label.ipynb?token={token}&reset")
        self.idle()
        self.labeler = page.locator(".vt-labeler")

    def idle(self) -> None:
        kernel = f"{CURRENT}?.sessionContext?.session?.kernel"
        self.page.wait_for_function(
            f"() => {CURRENT}?.context?.isReady && {kernel}?.status === 'idle'"
            f" && {kernel}?.connectionStatus === 'connected'",
            timeout=90_000,
        )

    def command(self, name: str) -> None:
        self.page.evaluate("(name) => window.jupyterapp.commands.execute(name).then(() => null)", name)

    def run(self, *cells: int) -> None:
        for cell in cells:
            self.page.evaluate(f"(cell) => {{ {CURRENT.replace('?.', '.')}.content.activeCellIndex = cell; }}", cell)
            self.command("notebook:run-cell")

    def cells(self) -> list[str]:
        return list(self.page.evaluate(f"() => {CURRENT}.content.widgets.map((cell) => cell.model.sharedModel.source)"))

    def shows(self, item: int) -> None:
        self.page.wait_for_function(
            "(item) => { const root = document.querySelector('.vt-labeler');"
            " return root?.dataset.item === item && root.dataset.ready === '1' && root.dataset.pending === '0'; }",
            arg=str(item),
            timeout=60_000,
        )

    def shot(self, name: str) -> None:
        if SHOTS:
            self.page.screenshot(path=f"{SHOTS}/{name}.png")


@pytest.fixture
def notebook(harness: ModuleType, chromium: Any, tmp_path: Path) -> Iterator[Notebook]:
    root = tmp_path / "root"
    root.mkdir()
    cells = [nbformat.v4.new_code_cell(text) for text in (SETUP, SHOW)]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), root / "label.ipynb")
    with harness.jupyter("lab", root, tmp_path / "home") as (address, token):
        context = chromium.new_context(viewport={"width": 1280, "height": 1000})
        page = context.new_page()
        yield Notebook(page, address, token)
        page.evaluate(f"() => {CURRENT}?.context?.sessionContext?.shutdown()")
        context.close()


@pytest.mark.slow  # a server, a browser and two kernels: 22 to 29 s on two busy cores
def test_ten_images_are_labelled_the_kernel_is_killed_and_it_goes_on(notebook: Notebook, tmp_path: Path) -> None:
    root = tmp_path / "root"
    file = root / "labels.jsonl"
    biscuits = vt.load_dataset("biscuit")
    sources = [one.source for one in biscuits.filter(label="normal")[:8] + biscuits.filter(label="anomaly")[:6]]
    notebook.run(0, 1)
    notebook.shows(0)
    before = notebook.cells()
    notebook.labeler.locator("canvas").click()
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
    notebook.labeler.locator("canvas").click()
    notebook.page.keyboard.press("u")  # of the session before
    notebook.shows(9)
    notebook.page.keyboard.press("a")
    notebook.shows(10)
    notebook.command("docmanager:save")
    again = LabelLog(file)
    assert {source: again.opinion(source, "ann").name for source in sources[:10]} == want | {sources[9]: "anomaly"}
    assert [finding.rule for finding in again.findings] == ["torn-line"]
    output = json.loads((root / "label.ipynb").read_text())["cells"][1]["outputs"][0]["data"]
    assert {"image/png", "text/plain", "application/vnd.jupyter.widget-view+json"} <= set(output)
    assert output["text/plain"] == ["Labeler(10 of 14 images labelled, in labels.jsonl, 1 odd line passed over)"]
    assert notebook.foreign == [], "nothing is asked for off-site"
