"""Large images are looked at in overlapping tiles: no seam is seen, small defects are found, memory is bounded."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import onnx
import pytest

import vision_toolkit as vt
from vision_toolkit.core import Entry, Label
from vision_toolkit.data import Manifest
from vision_toolkit.data.images import encode_png
from vision_toolkit.models import search
from vision_toolkit.models import view as module
from vision_toolkit.models.builder import extractor
from vision_toolkit.models.filters import filter_graph
from vision_toolkit.models.plan import PRESETS, Preset
from vision_toolkit.models.runtime import session
from vision_toolkit.models.view import View, view_of


@pytest.fixture
def small_tiles(monkeypatch):
    """Cut what is larger than 96 x 96 pixels into parts of at most 64."""
    monkeypatch.setattr(module, "MOST_AT_ONCE", 96 * 96)
    monkeypatch.setattr(module, "SIDE", 64)
    monkeypatch.setattr(module, "MARGIN", 32)


def said(graph: bytes, image: np.ndarray) -> dict[str, np.ndarray]:
    opened = session(graph, 1)
    names = [output.name for output in opened.get_outputs()]
    return dict(zip(names, opened.run(names, {"image": image}), strict=True))


@pytest.mark.parametrize("view", [View(256, 320), View(320, 192), View(192, 512)])
def test_no_seam_is_seen(small_tiles, monkeypatch, view):
    """The filters see less than 64 pixels far: with such margins tiles say what the whole image says inside of it."""
    monkeypatch.setattr(module, "MARGIN", 64)
    images = np.random.default_rng(0).integers(0, 256, (2, view.height, view.width, 3), np.uint8)
    whole, tiled = said(filter_graph(), images), said(extractor(filter_graph(), view), images)
    assert view.tiles is not None and view.tiles.count > 8 and set(tiled) == set(whole)
    for name, edge in (("patches", 8), ("fine", 16)):
        inner = np.s_[:, edge:-edge, edge:-edge]
        assert tiled[name].shape == whole[name].shape and whole[name][inner].size
        assert np.abs(tiled[name][inner] - whole[name][inner]).max() < 0.02 * whole[name].std()
    assert tiled["vector"].shape == whole["vector"].shape


def test_the_first_and_the_last_pixel_are_seen(small_tiles):
    view = View(128, 192)
    images = np.full((3, view.height, view.width, 3), 100, np.uint8)
    images[1, :3, :3] = images[2, -3:, -3:] = 255
    patches = said(extractor(filter_graph(), view), images)["patches"]
    changed = np.abs(patches - patches[0]).max(axis=3)
    assert np.unravel_index(changed[1].argmax(), changed[1].shape) == (0, 0)
    assert np.unravel_index(changed[2].argmax(), changed[2].shape) == (changed.shape[1] - 1, changed.shape[2] - 1)


def test_a_network_whose_cells_lie_across_seams_is_refused(small_tiles):
    model = onnx.load_from_string(filter_graph())
    (patches,) = [node for node in model.graph.node if "patches" in node.output]
    patches.output[0] = "all"
    cut = [onnx.numpy_helper.from_array(np.array([one]), name) for name, one in (("a", 0), ("b", -1), ("c", 1))]
    model.graph.initializer.extend(cut)
    model.graph.node.append(onnx.helper.make_node("Slice", ["all", "a", "b", "c"], ["patches"]))
    with pytest.raises(vt.Unsupported, match="cannot look at tiles: 15 cells of 'patches' cover 128 pixels"):
        extractor(model.SerializeToString(), View(128, 192))


@pytest.mark.parametrize("ratio", [0.25, 0.7, 1.0, 4 / 3, 4.0])
@pytest.mark.parametrize("side", [700, 896, 1344, 2016])
def test_tiles_cover_a_view_and_are_bounded(side, ratio):
    view = view_of(side, ratio)
    tiles = view.tiles
    if tiles is not None:
        assert (tiles.rows * tiles.height, tiles.columns * tiles.width) == (view.height, view.width)
        assert max(tiles.height, tiles.width) <= module.SIDE and tiles.height % 32 == tiles.width % 32 == 0
    assert view.pixels == pytest.approx(side**2, rel=0.3)
    assert view.width / view.height == pytest.approx(ratio, rel=0.4)


def write(folder, count: int, *, side: int) -> Manifest:
    """Write images of grain; every third has a small chequered patch, which is plain grey at a smaller size."""
    entries = []
    for number in range(count):
        rng = np.random.default_rng(number)
        image = np.clip(rng.normal(130, 6, (side, side)), 0, 255).astype(np.uint8)
        bad = number % 3 == 0
        if bad:
            y, x = rng.integers(20, side - 20, 2)
            image[y : y + 8, x : x + 8] = 130 + 50 * (-1) ** np.add.outer(np.arange(8), np.arange(8))
        place = folder / f"{number}.png"
        place.write_bytes(encode_png(np.repeat(image[..., None], 3, axis=2)))
        entries.append(Entry(str(place), Label.ANOMALY if bad else Label.NORMAL))
    return Manifest(entries)


def learn(manifest, monkeypatch, *, tiled: int | None):
    monkeypatch.setattr(search, "PRESETS", {"balanced": Preset((32, 64), tiled=tiled)})
    return vt.train(manifest, weights=None, threads=1, progress=False)


@pytest.mark.slow
def test_small_defects_of_large_images_are_found(small_tiles, tmp_path, monkeypatch):
    images = write(tmp_path, 48, side=256)
    without, model = (learn(images[:30], monkeypatch, tiled=tiled) for tiled in (None, 256))
    assert model.info["inputs"][-1] == {"width": 256, "height": 256}
    assert model.evaluation.f1 > without.evaluation.f1 + 0.2
    test = model.evaluate(images[30:], progress=False)
    assert test.f1 > 0.9 > without.evaluate(images[30:], progress=False).f1 + 0.2
    assert model.predict(images[30]).map.shape == (32, 32)
    assert "256 x 256 (in 16 overlapping tiles)" in model.card()


def test_tiles_are_not_tried_where_nothing_is_missed(small_tiles, tmp_path, monkeypatch):
    manifest = Manifest(
        entry if entry.label is Label.NORMAL else Entry(whiten(entry.location, tmp_path), entry.label)
        for entry in write(tmp_path, 24, side=256)
    )
    model = learn(manifest, monkeypatch, tiled=256)
    assert max(one["width"] for one in model.info["inputs"]) <= 64
    assert "256x256 in tiles was not tried: smaller sizes judge every held-out image right." in model.info["notes"]


def test_a_network_that_cannot_look_at_tiles_is_trained_all_the_same(small_tiles, tmp_path, monkeypatch):
    def refuse(graph: bytes, view: View) -> bytes:
        if view.tiles is None:
            return graph
        raise vt.Unsupported("This network cannot look at tiles: so it is.")

    monkeypatch.setattr("vision_toolkit.models.features.extractor", refuse)
    model = learn(write(tmp_path, 24, side=256), monkeypatch, tiled=256)
    assert model.info["notes"] == ["256x256 in tiles was not tried: This network cannot look at tiles: so it is."]


def whiten(location: str, folder) -> str:
    place = folder / f"white-{os.path.basename(location)}"
    image = vt.data.read_image(location).copy()
    image[60:180, 60:180] = 255
    place.write_bytes(encode_png(image))
    return str(place)


def test_which_size_is_taken(tmp_path):
    from vision_toolkit.models.plan import Plan

    def tiled(side: float, images: int, preset: str = "balanced") -> View | None:
        entries = Manifest([Entry("x.png", Label.NORMAL)] * images)
        return Plan(entries, np.zeros(images, bool), "classification", (), (), 1.0, side, None).tiled(PRESETS[preset])

    assert tiled(600, 40) is None
    assert tiled(4000, 40) == View(1344, 1344) and tiled(4000, 40, "best") == View(2048, 2048)
    assert tiled(4000, 40, "fast") is None
    assert tiled(1000, 40).pixels == pytest.approx(1e6, rel=0.2)
    many = tiled(4000, 400)
    assert many is not None and many.pixels * 400 < 4e8
    assert tiled(4000, 16_000) is None


MEMORY = r"""
import re, sys
import numpy as np
from vision_toolkit.models.builder import extractor
from vision_toolkit.models.filters import filter_graph
from vision_toolkit.models.runtime import session
from vision_toolkit.models.view import View
side = int(sys.argv[1])
network = session(extractor(filter_graph(), View(side, side)), 1)
def most():
    return int(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())[1])
before = most()
network.run(["vector"], {"image": np.zeros((1, side, side, 3), np.uint8)})
print(most() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the largest memory is read from /proc")
def test_memory_does_not_grow_with_the_network_s_inner_layers():
    """Four times the pixels: what the loop gives grows, what the network needs for one tile does not."""

    def used(side: int) -> int:
        command = [sys.executable, "-c", MEMORY, str(side)]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    small, large = used(1024), used(2048)
    assert small > 0 and large < 2.5 * small
