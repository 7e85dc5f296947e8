"""A model of several sizes and one whose types a network of its own paints: every engine and a package answer alike."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest

import vision_toolkit as vt
from vision_toolkit.models import decoder, search, segmenter, verdict, view
from vision_toolkit.models.plan import Preset
from vision_toolkit.models.runtime import ENGINES, Runtime


def learn(manifest, *, weights: Path | None, preset: Preset, network: bool):
    """Train quickly; the blend of everything is taken, and the network's painting where ``network`` says so."""
    blends = verdict._Pick._blends
    with ExitStack() as stack:
        for place, name, value in [
            (search, "PRESETS", {"balanced": preset}),
            (view, "MOST_AT_ONCE", 96 * 96),
            (view, "SIDE", 64),
            (view, "MARGIN", 32),
            (search, "PAINTED_SIDE", 80),
            (search, "REPEATS", 1),
            (search, "paints_better", lambda *arguments: (network, 0.5, 0.4)),
            (segmenter, "default_steps", lambda count: 12),
            (decoder, "STEPS", 100),
            (verdict._Pick, "_blends", lambda self, known: blends(self, known)[-1:]),
        ]:
            stack.enter_context(patch.object(place, name, value))
        return vt.train(manifest, weights=weights, threads=1, progress=False)


@pytest.fixture(scope="module")
def some(parts):
    return parts[:12] + parts[20:28]


KINDS = ["filters, two sizes", "network, two sizes, painted by a network", "filters, one size and tiles"]


@pytest.fixture(scope="module", params=KINDS)
def made(request, some, weights):
    """Give a model whose graph looks at several sizes."""
    painted = "painted" in request.param
    preset = Preset((64,), tiled=128) if "tiles" in request.param else Preset((64, 96))
    model = learn(some, weights=weights if painted else None, preset=preset, network=painted)
    assert len(model.info["inputs"]) == (3 if painted else 2)
    assert ({"width": 128, "height": 128} in model.info["inputs"]) == ("tiles" in request.param)
    assert model.info["painting"]["name"] == ("network" if painted else "cells")
    return model


def test_its_package_passes_the_gate(made, testing, tmp_path):
    export = made.export(tmp_path / "p", golden=[*testing[:2], *testing[-2:]])
    assert export.parity.holds and export.parity.images == 4 and export.parity.mask_iou >= 0.99
    assert made.export(tmp_path / "drawn").drawn


def test_saved_and_loaded_it_says_the_same(made, testing, tmp_path):
    again = vt.load(made.save(tmp_path / "m"), threads=1)
    for entry in testing[::5]:
        one, two = made.predict(entry), again.predict(entry)
        assert one.score == two.score and np.array_equal(one.mask.ids, two.mask.ids)
        assert np.array_equal(one.map, two.map)


def test_openvino_answers_as_onnxruntime_does(made, testing, tmp_path):
    pytest.importorskip("openvino")
    folder = made.save(tmp_path / "m")
    one, two = (Runtime.load(folder, 1, engine) for engine in ("onnxruntime", "openvino"))
    images = [vt.data.read_image(entry) for entry in testing[::3]]
    for first, second in zip(one.predict(images), two.predict(images), strict=True):
        assert second["score"] == pytest.approx(first["score"], abs=1e-3)
        assert np.allclose(first["map"], second["map"], atol=5e-3)
        assert (first["ids"] == second["ids"]).mean() > 0.995 and first["size"] == second["size"]
    assert {round(answer["score"], 2) for answer in two.predict(images)} != {0.5}


def test_an_engine_that_nobody_knows_is_told(model, tmp_path):
    folder = model.save(tmp_path / "m")
    with pytest.raises(ValueError, match="no engine 'abacus'; there are: onnxruntime, cuda, openvino"):
        Runtime.load(folder, 1, "abacus")
    info = json.loads((folder / "model.json").read_text("utf-8"))
    assert list(ENGINES) == ["onnxruntime", "cuda", "openvino"] and info["format"] == 2
