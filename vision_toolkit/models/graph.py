"""Write a whole model as one ONNX graph: pixels in; score, heat map and anomaly types out.

What training decided with numpy (memories of patches, linear verdict, decoder) becomes nodes behind the feature
extractor, so that everything that answers runs one file, in any program that runs ONNX. Nodes whose answer nobody
uses are left out: a verdict that looks at the middle layers alone does not pay for the last ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, compose, helper, numpy_helper

from vision_toolkit.models.describe import PAINTED_SHARES, SHARES, STEEP
from vision_toolkit.models.memory import Memory

__all__ = ["LEVELS", "OPSET", "HeatMap", "ModelParts", "Painter", "View", "build_graph", "input_name"]

OPSET = 20
"""Version of the ONNX operators that every part of the graph is brought to."""
IR_VERSION = 9

LEVELS = ("patches", "wide")
"""Outputs of a feature extractor that have a memory each."""

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True, order=True)
class View:
    """Hold a size at which images are looked at: ``height`` and ``width`` of the input in pixels."""

    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"

    @property
    def pixels(self) -> int:
        """Return how many pixels an image has at this size."""
        return self.height * self.width


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
    view, (None, "painted"): what ``cells``, a painter that knows no network of its own, says.
    """

    backbone: bytes
    maps: Mapping[View, HeatMap]
    weights: Mapping[tuple[View | None, str], NDArray[np.float64]]
    bias: float
    map_level: float
    painter: Painter | None = None
    cells: Painter | None = None

    def views(self) -> list[View]:
        """Return the views whose features are needed, the smallest first."""
        used = {view for view, _ in self.weights if view is not None}
        used |= {one.view for one in self.looking_at_cells()}
        return sorted(used or list(self.maps)[:1], key=lambda view: view.pixels)

    def looking_at_cells(self) -> list[Painter]:
        """Return the painters whose features are those of a view."""
        found = [self.painter] if self.painter is not None and self.painter.graph is None else []
        judged = self.cells if (None, "painted") in self.weights else None
        return found if judged is None or judged in found else [*found, judged]


def input_name(view: View) -> str:
    """Return what the graph calls the images of a size.

    Examples
    --------
    >>> input_name(View(192, 256))
    'image_256x192'
    """
    return f"image_{view}"


def build_graph(parts: ModelParts) -> bytes:
    """Return the ONNX graph of a model.

    Inputs: ``image_WxH`` (n, H, W, 3) uint8 RGB, one for each size. Outputs: ``score`` (n,) and ``map`` (n, gh, gw)
    float32 from 0 to 1; with anomaly types ``types`` (n, fh, fw, classes) float32, background first. The number n is
    free.
    """
    build = _Builder()
    facts: dict[tuple[View | None, str], str] = {}
    heats: list[tuple[str, tuple[int, ...]]] = []
    said: dict[int, str] = {}
    for view in parts.views():
        levels = build.graph(parts.backbone, view)
        groups, fused, nearest = _describe(build, levels, view, parts)
        facts |= {(view, group): value for group, value in groups.items()}
        heats.append((fused, parts.maps[view].means[0].shape))
        for painter in parts.looking_at_cells():
            if painter.view == view:
                said[id(painter)] = _favoured(build, _decode(build, levels, nearest, painter), painter)
    if (None, "painted") in parts.weights and parts.cells is not None:
        facts[None, "painted"] = _describe_types(build, said[id(parts.cells)], parts.cells.shape)
    outputs = {"score": _score(build, facts, parts), "map": _shown(build, heats, parts.map_level)}
    if parts.painter is not None:
        if parts.painter.graph is not None:
            types = build.graph(parts.painter.graph, parts.painter.view)["types"]
            said[id(parts.painter)] = _favoured(build, types, parts.painter)
        outputs["types"] = said[id(parts.painter)]
    return build.model(outputs)


def _score(build: _Builder, facts: Mapping[tuple[View | None, str], str], parts: ModelParts) -> str:
    total = build.constant(np.full((1, 1), parts.bias))
    for key, weights in parts.weights.items():
        part = build.add("MatMul", facts[key], build.constant(np.asarray(weights)[:, None]))
        total = build.add("Add", total, part)
    flat = build.add("Reshape", total, build.numbers(-1))
    return build.add("Sigmoid", build.add("Clip", flat, build.constant(-50.0), build.constant(50.0)))


def _shown(build: _Builder, heats: Sequence[tuple[str, tuple[int, ...]]], level: float) -> str:
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
    build: _Builder, levels: Mapping[str, str], view: View, parts: ModelParts
) -> tuple[dict[str, str], str, str]:
    """Add the groups of a view that are used; return them, the fused map, and the nearest distances (n, gh, gw)."""
    heat = parts.maps[view]
    wanted = {group for where, group in parts.weights if where == view}
    flats, distances, maps = [], [], []
    for level, memory, mean, spread in zip(LEVELS, heat.memories, heat.means, heat.spreads, strict=False):
        flats.append(_project(build, levels[level], memory))
        distances.append(_distances(build, flats[-1], memory, mean.shape))
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
        other = _distances(build, flats[0], heat.anomalies, shape)
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


def _project(build: _Builder, level: str, memory: Memory) -> str:
    flat = build.add("Reshape", level, build.numbers(-1, memory.centre.size))
    return build.add("MatMul", build.add("Sub", flat, build.constant(memory.centre)), build.constant(memory.axes))


def _distances(build: _Builder, flat: str, memory: Memory, shape: tuple[int, ...]) -> str:
    """Add the weighted distance of each projected patch to the nearest remembered one, as (n, gh, gw)."""
    squares = build.reduce("ReduceSumSquare", flat, 1)
    both = build.add("Concat", flat, squares, axis=1)
    table = build.add("Gemm", both, build.constant(memory.table), build.constant(memory.offsets))
    nearest = build.add("Sqrt", build.add("Relu", build.reduce("ReduceMin", table, 1)))
    return build.add("Reshape", nearest, build.numbers(-1, *shape))


def _fuse(build: _Builder, maps: Sequence[str], shape: tuple[int, ...]) -> str:
    """Add maps at the size of the first; each place is averaged with its neighbours, at the border with those there."""
    total = build.add("Unsqueeze", maps[0], build.numbers(1))
    for other in maps[1:]:
        high = build.add("Unsqueeze", other, build.numbers(1))
        total = build.add("Add", total, _resize(build, high, shape))
    pooled = build.add("AveragePool", total, kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=0)
    return build.add("Squeeze", pooled, build.numbers(1))


def _resize(build: _Builder, image: str, shape: tuple[int, ...]) -> str:
    """Resize (n, c, h, w) bilinearly, the outermost values held at the border."""
    sizes = build.numbers(*shape)
    return build.add(
        "Resize", image, "", "", sizes, mode="linear", coordinate_transformation_mode="half_pixel", axes=[2, 3]
    )


def _describe_map(build: _Builder, image: str, shape: tuple[int, ...]) -> str:
    flat = build.add("Flatten", image, axis=1)
    mean, spread = _mean_and_spread(build, flat)
    return build.add("Concat", _tops(build, flat, int(np.prod(shape)), SHARES), mean, spread, axis=1)


def _describe_level(build: _Builder, level: str, places: int, channels: int) -> str:
    values = build.add("Reshape", level, build.numbers(-1, places, channels))
    mean, spread = _mean_and_spread(build, values)
    columns = [build.add("Flatten", one, axis=1) for one in (mean, build.reduce("ReduceMax", values, 1), spread)]
    return build.add("Concat", *columns, axis=1)


def _describe_types(build: _Builder, types: str, shape: tuple[int, int, int]) -> str:
    background = build.add("Slice", types, build.numbers(0), build.numbers(1), build.numbers(3))
    odds = build.add("Flatten", build.add("Sub", build.constant(1.0), background), axis=1)
    found = _tops(build, odds, shape[0] * shape[1], PAINTED_SHARES)
    found = build.add("Clip", found, build.constant(1e-4), build.constant(1 - 1e-4))
    return build.add("Log", build.add("Div", found, build.add("Sub", build.constant(1.0), found)))


def _mean_and_spread(build: _Builder, values: str) -> tuple[str, str]:
    """Add mean and spread along the second axis, which stays with length 1."""
    mean = build.reduce("ReduceMean", values, 1)
    rest = build.add("Sub", values, mean)
    return mean, build.add("Sqrt", build.reduce("ReduceMean", build.add("Mul", rest, rest), 1))


def _tops(build: _Builder, flat: str, places: int, shares: Sequence[float]) -> str:
    """Add the largest value and the means of the largest shares of each row: (n, 1 + shares)."""
    sizes = [max(1, round(places * share)) for share in shares]
    top = build.add("TopK", flat, build.numbers(max(sizes)), outputs=2, axis=1, sorted=1)
    columns = []
    for size in (1, *sizes):
        first = build.add("Slice", top, build.numbers(0), build.numbers(size), build.numbers(1))
        columns.append(build.reduce("ReduceMean", first, 1))
    return build.add("Concat", *columns, axis=1)


def _decode(build: _Builder, levels: Mapping[str, str], distances: str, painter: Painter) -> str:
    """Add the decoder that looks at each cell alone."""
    arrays = painter.arrays
    coarse = build.add("Concat", levels["patches"], build.add("Unsqueeze", distances, build.numbers(3)), axis=3)
    coarse = _resize(build, build.add("Transpose", coarse, perm=[0, 3, 1, 2]), painter.shape[:2])
    values = build.add("Concat", levels["fine"], build.add("Transpose", coarse, perm=[0, 2, 3, 1]), axis=3)
    values = build.add("Sub", values, build.constant(arrays["decoder_mean"]))
    values = build.add("Div", values, build.constant(arrays["decoder_scale"]))
    for number in (1, 2):
        values = build.add("MatMul", values, build.constant(arrays[f"decoder_{number}"]))
        values = build.add("Add", values, build.constant(arrays[f"decoder_{number}_bias"]))
        if number == 1:
            values = build.add("Relu", values)
    return build.add("Softmax", values, axis=3)


def _favoured(build: _Builder, types: str, painter: Painter) -> str:
    if not painter.background:
        return types
    factor = np.ones(painter.shape[2])
    factor[0] = np.exp(painter.background)
    raised = build.add("Mul", types, build.constant(factor))
    return build.add("Div", raised, build.reduce("ReduceSum", raised, 3))


@dataclass(slots=True)
class _Builder:
    """Collect nodes, constants and inputs; what adds something returns the name of its value."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, onnx.TensorProto] = field(default_factory=dict)
    inputs: dict[str, onnx.ValueInfoProto] = field(default_factory=dict)
    graphs: int = 0

    def add(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> str:
        """Add a node; return its first output."""
        names = [f"{kind}_{len(self.nodes)}_{number}" for number in range(outputs)]
        self.nodes.append(helper.make_node(kind, inputs, names, **attributes))
        return names[0]

    def reduce(self, kind: str, value: str, axis: int) -> str:
        """Add a reduction over one axis, which stays with length 1."""
        return self.add(kind, value, self.numbers(axis), keepdims=1)

    def constant(self, value: Any) -> str:
        """Add a float32 constant."""
        return self._tensor(numpy_helper.from_array(np.asarray(value, np.float32)))

    def numbers(self, *values: int) -> str:
        """Add a constant of whole numbers, (k,)."""
        return self._tensor(numpy_helper.from_array(np.array(values, np.int64)))

    def _tensor(self, tensor: onnx.TensorProto) -> str:
        """Keep a constant under a name that follows from what it holds: two sizes share one network's weights."""
        tensor.name = ""
        tensor.name = f"c_{hashlib.sha256(tensor.SerializeToString(deterministic=True)).hexdigest()[:24]}"
        self.constants.setdefault(tensor.name, tensor)
        return tensor.name

    def graph(self, data: bytes, view: View) -> dict[str, str]:
        """Add a whole graph whose input ``image`` is a view; return the names of its outputs."""
        model = compose.add_prefix(onnx.load_from_string(data), f"g{self.graphs}_")
        prefix, name = f"g{self.graphs}_", input_name(view)
        self.graphs += 1
        if model.opset_import[0].version != OPSET:
            model = onnx.version_converter.convert_version(model, OPSET)
        known = {f"{prefix}image": name}
        for tensor in model.graph.initializer:
            old = tensor.name
            known[old] = self._tensor(tensor)
        for node in model.graph.node:
            if node.op_type == "Constant" and node.attribute[0].name == "value":
                known[node.output[0]] = self._tensor(node.attribute[0].t)
                continue
            node.input[:] = [known.get(one, one) for one in node.input]
            self.nodes.append(node)
        shape: list[str | int | None] = ["n", view.height, view.width, 3]
        self.inputs[name] = helper.make_tensor_value_info(name, TensorProto.UINT8, shape)
        return {output.name.removeprefix(prefix): known.get(output.name, output.name) for output in model.graph.output}

    def model(self, outputs: Mapping[str, str]) -> bytes:
        """Return the graph of what the outputs need."""
        shapes: dict[str, list[str | int | None]] = {
            "score": ["n"], "map": ["n", "map_height", "map_width"],
            "types": ["n", "types_height", "types_width", "classes"],
        }  # fmt: skip
        for name, value in outputs.items():
            self.nodes.append(helper.make_node("Identity", [value], [name]))
        needed, kept = set(outputs), []
        for node in reversed(self.nodes):
            if needed & set(node.output):
                needed |= set(node.input)
                kept.append(node)
        graph = helper.make_graph(
            kept[::-1],
            "vision_toolkit",
            [self.inputs[name] for name in sorted(self.inputs) if name in needed],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shapes[name]) for name in outputs],
            [self.constants[name] for name in sorted(self.constants) if name in needed],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        return bytes(model.SerializeToString(deterministic=True))
