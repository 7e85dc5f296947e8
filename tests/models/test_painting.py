"""A network that paints is tried honestly, and why there is none is told."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

import vision_toolkit as vt
from vision_toolkit.data import Manifest
from vision_toolkit.models import search, segmenter
from vision_toolkit.models.plan import Preset


@pytest.fixture
def quick(monkeypatch, tmp_path, weights):
    """Train at one small size with a short network."""
    monkeypatch.setenv("VISION_TOOLKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(search, "PRESETS", {"balanced": Preset((64,))})
    monkeypatch.setattr(search, "PAINTED_SIDE", 64)
    monkeypatch.setattr(segmenter, "default_steps", lambda count: 4)
    return lambda manifest: vt.train(manifest, weights=weights, threads=1, progress=False)


def test_near_duplicates_are_on_one_side_of_the_networks_trial(quick, monkeypatch, tmp_path, write_parts):
    manifest = write_parts(tmp_path / "parts", ["normal"] * 10 + ["stain", "scratch"] * 5)
    folder = Path(manifest[0].location).parent
    entries = list(manifest)
    for number, entry in enumerate(manifest[8:14]):  # the same pictures under other names
        copy = folder / f"again-{number}.png"
        shutil.copy(entry.location, copy)
        entries.append(
            vt.Entry(f"again-{number}.png", entry.label, mask=entry.mask, at=str(folder / f"again-{number}.png"))
        )
    tried: list[list[int]] = []
    real = segmenter.fit_segmenter

    def noted(*arguments, held_out, **options):
        tried.extend(held_out)
        return real(*arguments, held_out=held_out, **options)

    monkeypatch.setattr(segmenter, "fit_segmenter", noted)
    model = quick(Manifest(entries))
    assert len(tried) == 1 and 0 < len(tried[0]) < len(entries)
    for number in range(6):
        assert (8 + number in tried[0]) == (20 + number in tried[0])
    assert set(model.info["painting"]["held_out_iou"]) == {"network", "cells"}
    assert np.isfinite(list(model.info["painting"]["held_out_iou"].values())).all()


def test_why_no_network_paints_is_told(quick, monkeypatch, tmp_path, write_parts):
    few = write_parts(tmp_path / "few", ["normal"] * 8 + ["stain"] * 6)
    model = quick(few)
    assert model.info["painting"]["name"] == "cells" and "too few images are painted" in model.info["notes"][0]
    many = write_parts(tmp_path / "many", ["normal"] * 8 + ["stain"] * 9)
    monkeypatch.setitem(sys.modules, "torch", None)  # the exported extractor is there already
    model = quick(many)
    assert model.info["painting"]["name"] == "cells" and "vision_toolkit[torch]" in model.info["notes"][0]
