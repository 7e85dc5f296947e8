"""A manifest that was painted in a page, by the rules that Lookout for Vision documented."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import vision_toolkit as vt
from vision_toolkit.core import Entry, Label
from vision_toolkit.data import Manifest

harness, lookout_rules = sys.modules["harness"], sys.modules["lookout_rules"]


@pytest.fixture(scope="module")
def painted(chromium: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a manifest of two images: two types were painted on one, on the other it was taken back."""
    folder = tmp_path_factory.mktemp("painted")
    for number in range(2):
        Image.new("RGB", (160, 120), (90, 90, 90 + number)).save(folder / f"{number}.png")
    entries = [Entry("0.png", at=str(folder / "0.png")), Entry("1.png", Label.NORMAL, at=str(folder / "1.png"))]
    types = {"scratch": "#23A436", "dent": "#1F77B4", "stain": "#D62728"}
    painter = vt.MaskPainter(Manifest(entries), types, file=folder / "painted.manifest")
    page = harness.WidgetPage(chromium, painter, width=1000, height=1000)
    shows = "(item) => { const { item: at, ready, pending } = document.querySelector('.vt-painter').dataset;"
    shows += " return at === item && ready === '1' && pending === '0'; }"
    for item, strokes in (("0", {"1": 0.2, "2": 0.6}), ("1", {"3": 0.4})):
        page.page.wait_for_function(shows, arg=item)
        page.root.focus()
        stage = page.root.locator(".vt-stage").bounding_box()
        left, top, width, height = map(float, str(page.root.get_attribute("data-rect")).split(","))
        for key, y in strokes.items():
            page.press(key)
            page.page.mouse.move(stage["x"] + left + 0.2 * width, stage["y"] + top + y * height)
            page.page.mouse.down()
            page.page.mouse.move(stage["x"] + left + 0.7 * width, stage["y"] + top + y * height + 20, steps=4)
            page.page.mouse.up()
        if item == "1":
            page.press("u")
        else:
            page.press("PageDown")
    page.page.wait_for_function(shows, arg="1")
    page.close()
    return folder / "painted.manifest"


def test_a_painted_manifest_keeps_every_rule(painted: Path) -> None:
    assert lookout_rules.broken_rules(painted) == []
    first, second = map(json.loads, painted.read_text(encoding="utf-8").splitlines())
    names = [entry["class-name"] for entry in first["anomaly-mask-ref-metadata"]["internal-color-map"].values()]
    assert names == ["BACKGROUND", "scratch", "dent"]
    assert (first["anomaly-label"], second["anomaly-label"]) == (1, 0)
    assert second["anomaly-label-metadata"]["class-name"] == "normal"


BREAKS: dict[str, Callable[[Any], Any]] = {
    "class-name is normal or anomaly": lambda line: line["anomaly-label-metadata"].update({"class-name": "Anomaly"}),
    "anomaly-label is a number": lambda line: line.update({"anomaly-label": "1"}),
    "human-annotated and type of a label": lambda line: line["anomaly-label-metadata"].pop("human-annotated"),
    "belong together": lambda line: line.pop("anomaly-mask-ref-metadata"),
    "needs label and mask": lambda line: (line.pop("anomaly-mask-ref-metadata"), line.pop("anomaly-mask-ref")),
    "human-annotated and type of a mask": lambda line: line["anomaly-mask-ref-metadata"].update({"type": "mask"}),
    "entry 0": lambda line: table(line)["0"].update({"hex-color": "#000000"}),
    "class-name, hex-color and confidence": lambda line: table(line)["1"].pop("confidence"),
    "every colour of the mask": lambda line: table(line).pop("2"),
    "every colour of the map": lambda line: table(line).update({"3": table(line)["1"] | {"hex-color": "#123456"}}),
    "really a PNG": lambda line: line.update({"anomaly-mask-ref": "no.png"}),
    "the size of its image": lambda line: line.update({"anomaly-mask-ref": "small.png"}),
}


def table(line: Any) -> Any:
    return line["anomaly-mask-ref-metadata"]["internal-color-map"]


@pytest.mark.parametrize("rule", BREAKS)
def test_the_rules_find_what_is_broken(painted: Path, rule: str) -> None:
    (painted.parent / "no.png").write_bytes(b"GIF89a")
    with Image.open(painted.parent / json.loads(painted.read_text().splitlines()[0])["anomaly-mask-ref"]) as mask:
        mask.crop((0, 0, 100, 120)).save(painted.parent / "small.png")
    lines = [json.loads(line) for line in painted.read_text(encoding="utf-8").splitlines()]
    BREAKS[rule](lines[0])
    broken = painted.with_name("broken.manifest")
    broken.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    assert any(rule in fault for fault in lookout_rules.broken_rules(broken)), lookout_rules.broken_rules(broken)
