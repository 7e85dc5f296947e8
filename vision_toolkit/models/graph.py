"""Write a whole model as one ONNX graph: pixels in; score, heat map and anomaly types out.

What training decided with numpy (memories of patches, linear verdict, decoder) becomes nodes behind the feature
extractor, so that everything that answers runs one file, in any program that runs ONNX. Nodes whose answer nobody
uses are left out: a verdict that looks at the middle layers alone does not pay for the last ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from vision_toolkit.models.builder import Builder
from vision_toolkit.models.describe import PAINTED_SHARES, SHARES, STEEP
from vision_toolkit.models.memory import Memory
from vision_toolkit.models.view import Tiles, View

__all__ = ["LEVELS", "HeatMap", "ModelParts", "Painter", "build_graph"]

SHAPES = {
    "score": ("n",),
    "map": ("n", "map_height", "map_width"),
    "types": ("n", "types_height", "types_width", "classes"),
}
"""Axes of the outputs."""
LEVELS = ("patches", "wide")
"""Outputs of a feature extractor that have a memory each."""

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class HeatMap:
    """Hold how patch distances of one view become a heat map.

    ``memories`` one for each level of the extractor; ``means`` and ``spreads`` (gh, gw) float32 each: the distances of
    normal images at each place; ``anomalies`` a memory of odd patches of anomalous images on the first level, or None.
    """

    memories: tuple[Memory, ...]
    means: tuple[NDArray[np.float32], ...]
    spreads: tuple[NDArray[np.float32], ...]
    anomalies: Memory | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Painter:
    """Hold what says the anomaly type of each cell.

    Either a whole ``graph`` from ``image`` to ``types``, or the ``arrays`` of a decoder that looks at each cell of the
    fine level of a ``view``; its ``shape`` is (height, width, classes), and the background is favoured by so many
    units of log-odds.
    """

    view: View
    shape: tuple[int, int, int]
    graph: bytes | None = None
    arrays: Arrays = field(default_factory=dict)
    background: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class ModelParts:
    """Hold everything of a model that goes into its graph.

    ``maps`` of each view; ``weights`` of the verdict, (view, group) to (k,) float, and ``bias``; the map that is
    shown, the mean over the views, says 0.5 at ``map_level``; ``painter`` of anomaly types, or None. "painted" is of no
    view, (None, "painted"): what ``cells``, a painter that knows no network of its own, says. (view, "tuned") is what
    ``tuned``, the graph of a network that was trained for these images, says.
    """

    backbone: bytes
    maps: Mapping[View, HeatMap]
    weights: Mapping[tuple[View | None, str], NDArray[np.float64]]
    bias: float
    map_level: float
    painter: Painter | None = None
    cells: Painter | None = None
    tuned: bytes | None = None

    def views(self) -> list[View]:
        """Return the views whose features are needed, the smallest first."""
        used = {view for view, _ in self.weights if view is not None}
        used |= {one.view for one in self.looking_at_cells()}
        return sorted(used or list(self.maps)[:1], key=lambda view: view.pixels)

    def levels(self, view: View) -> list[str]:
        """Return the outputs of the feature extractor that are needed of a view."""
        found = list(LEVELS[: len(self.maps[view].memories)])
        found += ["vector"] if (view, "global") in self.weights else []
        return found + (["fine"] if any(one.view == view for one in self.looking_at_cells()) else [])

    def looking_at_cells(self) -> list[Painter]:
        """Return the painters whose features are those of a view."""
        found = [self.painter] if self.painter is not None and self.painter.graph is None else []
        judged = self.cells if (None, "painted") in self.weights else None
        return found if judged is None or judged in found else [*found, judged]


def build_graph(parts: ModelParts) -> bytes:
    """Return the ONNX graph of a model.

    Inputs: ``image_WxH`` (n, H, W, 3) uint8 RGB, one for each size. Outputs: ``score`` (n,) and ``map`` (n, gh, gw)
    float32 from 0 to 1; with anomaly types ``types`` (n, fh, fw, classes) float32, background first. The number n is
    free.
    """
    build = Builder()
    facts: dict[tuple[View | None, str], str] = {}
    heats: list[tuple[str, tuple[int, ...]]] = []
    said: dict[int, str] = {}
    for view in parts.views():
        levels = build.network(parts.backbone, view, parts.levels(view))
        groups, fused, nearest = _describe(build, levels, view, parts)
        facts |= {(view, group): value for group, value in groups.items()}
        if (view, "tuned") in parts.weights and parts.tuned is not None:
            facts[view, "tuned"] = build.network(parts.tuned, view, ["tuned"])["tuned"]
        heats.append((fused, parts.maps[view].means[0].shape))
        for painter in parts.looking_at_cells():
            if painter.view == view:
                said[id(painter)] = _favoured(build, _decode(build, levels, nearest, painter), painter)
    if (None, "painted") in parts.weights and parts.cells is not None:
        facts[None, "painted"] = _describe_types(build, said[id(parts.cells)], parts.cells.shape)
    outputs = {"score": _score(build, facts, parts), "map": _shown(build, heats, parts.map_level)}
    if parts.painter is not None:
        if parts.painter.graph is not None:
            types = build.network(parts.painter.graph, parts.painter.view, ["types"])["types"]
            said[id(parts.painter)] = _favoured(build, types, parts.painter)
        outputs["types"] = said[id(parts.painter)]
    return build.model(outputs, SHAPES)


def _score(build: Builder, facts: Mapping[tuple[View | None, str], str], parts: ModelParts) -> str:
    total = build.constant(np.full((1, 1), parts.bias))
    for key, weights in parts.weights.items():
        part = build.add("MatMul", facts[key], build.constant(np.asarray(weights)[:, None]))
        total = build.add("Add", total, part)
    flat = build.add("Reshape", total, build.numbers(-1))
    return build.add("Sigmoid", build.add("Clip", flat, build.constant(-50.0), build.constant(50.0)))


def _shown(build: Builder, heats: Sequence[tuple[str, tuple[int, ...]]], level: float) -> str:
    """Add the mean of the maps at the size of the largest, from 0 to 1; see :func:`.describe.show_map`."""
    shape = heats[-1][1]
    total = ""
    for heat, own in heats:
        image = build.add("Unsqueeze", heat, build.numbers(1))
        image = _resize(build, image, shape) if own != shape else image
        total = build.add("Add", total, image) if total else image
    flat = build.add("Squeeze", total, build.numbers(1))
    scaled = build.add("Mul", flat, build.constant(STEEP / (level * len(heats))))
    curve = build.add("Softsign", build.add("Sub", scaled, build.constant(STEEP)))
    return build.add("Add", build.add("Mul", curve, build.constant(0.5)), build.constant(0.5))


def _describe(
    build: Builder, levels: Mapping[str, str], view: View, parts: ModelParts
) -> tuple[dict[str, str], str, str]:
    """Add the groups of a view that are used; return them, the fused map, and the nearest distances (n, gh, gw)."""
    heat = parts.maps[view]
    wanted = {group for where, group in parts.weights if where == view}
    flats, distances, maps = [], [], []
    for level, memory, mean, spread in zip(LEVELS, heat.memories, heat.means, heat.spreads, strict=False):
        flats.append(_project(build, levels[level], memory))
        distances.append(_distances(build, flats[-1], memory, mean.shape, view.tiles))
        shifted = build.add("Sub", distances[-1], build.constant(mean))
        maps.append(build.add("Div", shifted, build.constant(spread)))
    shape = heat.means[0].shape
    fused = _fuse(build, maps, shape)
    groups: dict[str, str] = {}
    if "distance" in wanted:
        sizes = [shape, *(mean.shape for mean in heat.means)]
        columns = [_describe_map(build, one, size) for one, size in zip((fused, *maps), sizes, strict=True)]
        groups["distance"] = build.add("Concat", *columns, axis=1)
    if "contrast" in wanted:
        assert heat.anomalies is not None
        other = _distances(build, flats[0], heat.anomalies, shape, view.tiles)
        least = build.reduce("ReduceMin", build.add("Flatten", other, axis=1), 1)
        difference = build.add("Sub", distances[0], other)
        groups["contrast"] = build.add("Concat", _describe_map(build, difference, shape), least, axis=1)
    if "global" in wanted:
        groups["global"] = levels["vector"]
    if "patch" in wanted:
        columns = []
        for level, memory, mean in zip(LEVELS, heat.memories, heat.means, strict=False):
            columns.append(_describe_level(build, levels[level], int(np.prod(mean.shape)), memory.centre.size))
        groups["patch"] = build.add("Concat", *columns, axis=1) if len(columns) > 1 else columns[0]
    return groups, fused, distances[0]


def _project(build: Builder, level: str, memory: Memory) -> str:
    flat = build.add("Reshape", level, build.numbers(-1, memory.centre.size))
    return build.add("MatMul", build.add("Sub", flat, build.constant(memory.centre)), build.constant(memory.axes))


def _distances(build: Builder, flat: str, memory: Memory, shape: tuple[int, ...], tiles: Tiles | None) -> str:
    """Add the weighted distance of each projected patch to the nearest remembered one, as (n, gh, gw).

    Of tiles, some patches at a time: the table of all distances would be as large as the image is.
    """

    def least(both: str) -> str:
        table = build.add("Gemm", both, build.constant(memory.table), build.constant(memory.offsets))
        return build.reduce("ReduceMin", table, 1)

    squares = build.reduce("ReduceSumSquare", flat, 1)
    both = build.add("Concat", flat, squares, axis=1)
    if tiles is None:
        found = least(both)
    else:
        parts = build.add("Reshape", both, build.numbers(tiles.count, -1, memory.axes.shape[1] + 1))
        (found,) = build.each(parts, TensorProto.FLOAT, lambda part: [least(part)], 1)
    nearest = build.add("Sqrt", build.add("Relu", found))
    return build.add("Reshape", nearest, build.numbers(-1, *shape))


def _fuse(build: Builder, maps: Sequence[str], shape: tuple[int, ...]) -> str:
    """Add maps at the size of the first; each place is averaged with its neighbours, at the border with those there."""
    total = build.add("Unsqueeze", maps[0], build.numbers(1))
    for other in maps[1:]:
        high = build.add("Unsqueeze", other, build.numbers(1))
        total = build.add("Add", total, _resize(build, high, shape))
    pooled = build.add("AveragePool", total, kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=0)
    return build.add("Squeeze", pooled, build.numbers(1))


def _resize(build: Builder, image: str, shape: tuple[int, ...], rows: int = 2) -> str:
    """Resize (n, c, h, w), or with ``rows=1`` (n, h, w, c), bilinearly, the outermost values held at the border."""
    half, axes = "half_pixel", [rows, rows + 1]
    sizes = build.numbers(*shape)
    return build.add("Resize", image, "", "", sizes, mode="linear", coordinate_transformation_mode=half, axes=axes)


def _describe_map(build: Builder, image: str, shape: tuple[int, ...]) -> str:
    flat = build.add("Flatten", image, axis=1)
    mean, spread = _mean_and_spread(build, flat)
    return build.add("Concat", _tops(build, flat, int(np.prod(shape)), SHARES), mean, spread, axis=1)


def _describe_level(build: Builder, level: str, places: int, channels: int) -> str:
    values = build.add("Reshape", level, build.numbers(-1, places, channels))
    mean, spread = _mean_and_spread(build, values)
    columns = [build.add("Flatten", one, axis=1) for one in (mean, build.reduce("ReduceMax", values, 1), spread)]
    return build.add("Concat", *columns, axis=1)


def _describe_types(build: Builder, types: str, shape: tuple[int, int, int]) -> str:
    background = build.add("Slice", types, build.numbers(0), build.numbers(1), build.numbers(3))
    odds = build.add("Flatten", build.add("Sub", build.constant(1.0), background), axis=1)
    found = _tops(build, odds, shape[0] * shape[1], PAINTED_SHARES)
    found = build.add("Clip", found, build.constant(1e-4), build.constant(1 - 1e-4))
    return build.add("Log", build.add("Div", found, build.add("Sub", build.constant(1.0), found)))


def _mean_and_spread(build: Builder, values: str) -> tuple[str, str]:
    """Add mean and spread along the second axis, which stays with length 1."""
    mean = build.reduce("ReduceMean", values, 1)
    rest = build.add("Sub", values, mean)
    return mean, build.add("Sqrt", build.reduce("ReduceMean", build.add("Mul", rest, rest), 1))


def _tops(build: Builder, flat: str, places: int, shares: Sequence[float]) -> str:
    """Add the largest value and the means of the largest shares of each row: (n, 1 + shares)."""
    sizes = [max(1, round(places * share)) for share in shares]
    top = build.add("TopK", flat, build.numbers(max(sizes)), outputs=2, axis=1, sorted=1)
    columns = []
    for size in (1, *sizes):
        first = build.add("Slice", top, build.numbers(0), build.numbers(size), build.numbers(1))
        columns.append(build.reduce("ReduceMean", first, 1))
    return build.add("Concat", *columns, axis=1)


def _decode(build: Builder, levels: Mapping[str, str], distances: str, painter: Painter) -> str:
    """Add the decoder that looks at each cell alone."""
    arrays = painter.arrays
    coarse = build.add("Concat", levels["patches"], build.add("Unsqueeze", distances, build.numbers(3)), axis=3)
    coarse = _resize(build, coarse, painter.shape[:2], rows=1)
    values = build.add("Concat", levels["fine"], coarse, axis=3)

    def decode(values: str) -> str:
        values = build.add("Sub", values, build.constant(arrays["decoder_mean"]))
        values = build.add("Div", values, build.constant(arrays["decoder_scale"]))
        for number in (1, 2):
            values = build.add("MatMul", values, build.constant(arrays[f"decoder_{number}"]))
            values = build.add("Add", values, build.constant(arrays[f"decoder_{number}_bias"]))
            if number == 1:
                values = build.add("Relu", values)
        return build.add("Softmax", values, axis=-1)

    tiles = painter.view.tiles
    if tiles is None:
        return decode(values)
    parts = build.add("Reshape", values, build.numbers(tiles.count, -1, len(arrays["decoder_mean"])))
    (said,) = build.each(parts, TensorProto.FLOAT, lambda part: [decode(part)], 1)
    return build.add("Reshape", said, build.numbers(-1, *painter.shape))


def _favoured(build: Builder, types: str, painter: Painter) -> str:
    if not painter.background:
        return types
    factor = np.ones(painter.shape[2])
    factor[0] = np.exp(painter.background)
    raised = build.add("Mul", types, build.constant(factor))
    return build.add("Div", raised, build.reduce("ReduceSum", raised, 3))
