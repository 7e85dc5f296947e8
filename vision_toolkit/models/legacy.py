"""Read model folders of format 1, in which the network and the numbers of the model lay apart."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vision_toolkit.models.arrays import Arrays, unpack_arrays
from vision_toolkit.models.graph import HeatMap, ModelParts, Painter, build_graph
from vision_toolkit.models.memory import Memory
from vision_toolkit.models.runtime import FORMAT, session
from vision_toolkit.models.view import View

__all__ = ["FILES", "read_format_1"]

FILES = ("model.json", "backbone.onnx", "arrays.safetensors")
"""What a model folder of format 1 holds."""
OWN = 6
"""Numbers that describe one map; format 2 says them of the fused map first, then of each level's."""


def read_format_1(folder: Path) -> tuple[dict[str, Any], bytes]:
    """Return facts and graph of a model folder of format 1, as format 2 has them.

    Scores and masks stay what they were. The heat map is that of format 2: smoothed, 0.5 where it was 0.5, but never
    quite 0 or 1.

    Raises
    ------
    ValueError, KeyError, TypeError
        if a file is damaged.
    OSError
        if one is missing.

    Examples
    --------
    >>> read_format_1(Path("nowhere"))
    Traceback (most recent call last):
    ...
    FileNotFoundError: [Errno 2] No such file or directory: 'nowhere/model.json'
    """
    info = json.loads((folder / FILES[0]).read_text("utf-8"))
    backbone = (folder / FILES[1]).read_bytes()
    arrays = unpack_arrays((folder / FILES[2]).read_bytes())
    view = View(int(info["input"]["height"]), int(info["input"]["width"]))
    parts = _parts(info, backbone, arrays, view)
    return _facts(info, view), build_graph(parts)


def _parts(info: Mapping[str, Any], backbone: bytes, arrays: Arrays, view: View) -> ModelParts:
    image = np.zeros((1, view.height, view.width, 3), np.uint8)
    patches, fine = session(backbone, 1).run(["patches", "fine"], {"image": image})
    points, scale = arrays["memory"], arrays["memory_scale"]
    middle = points.mean(axis=0)  # of numbers far from 0 the squares would lose what tells the patches apart
    ones = np.ones(len(points), np.float32)
    memory = Memory(middle * scale, np.diag(1 / scale), points - middle, ones)
    grid = patches.shape[1:3]
    heat = HeatMap((memory,), (np.zeros(grid, np.float32),), (np.ones(grid, np.float32),))
    painter = None
    if "decoder_1" in arrays:
        decoder = {name: array for name, array in arrays.items() if name.startswith("decoder_")}
        painter = Painter(view, (fine.shape[1], fine.shape[2], len(info["types"]) + 1), arrays=decoder)
    weights = {}
    for group in info["verdict"]["groups"]:
        own = arrays[f"weights_{group}"].astype(np.float64)
        if group == "distance":
            own = np.concatenate([np.zeros(OWN), own])
        weights[None if group == "painted" else view, group] = own
    return ModelParts(
        backbone, {view: heat}, weights, float(arrays["bias"][0]), float(info["map_level"]), painter, painter
    )


def _facts(info: Mapping[str, Any], view: View) -> dict[str, Any]:
    groups = [group if group == "painted" else f"{group} at {view}" for group in info["verdict"]["groups"]]
    note = "Read from a folder of format 1: scores and masks are what they were, the heat map is drawn otherwise."
    return {key: value for key, value in info.items() if key != "input"} | {
        "format": FORMAT,
        "inputs": [{"width": view.width, "height": view.height}],
        "prevalence": None,
        "verdict": info["verdict"] | {"groups": groups},
        "painting": {"name": "cells"} if info["types"] else None,
        "notes": [*info.get("notes", []), note],
    }
