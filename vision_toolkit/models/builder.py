"""Put an ONNX graph together: nodes, shared constants, whole networks, and loops over tiles that bound the memory."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, compose, helper, numpy_helper

from vision_toolkit.core.errors import Unsupported
from vision_toolkit.models.runtime import session
from vision_toolkit.models.view import Tiles, View

__all__ = ["OPSET", "Builder", "cells", "extractor", "input_name"]

OPSET = 20
"""Version of the ONNX operators that every part of a graph is brought to."""
IR_VERSION = 9


def input_name(view: View) -> str:
    """Return what a graph calls the images of a size.

    Examples
    --------
    >>> input_name(View(192, 256))
    'image_256x192'
    """
    return f"image_{view}"


def extractor(graph: bytes, view: View) -> bytes:
    """Return a feature extractor for images of one size: the one that is given, or one that looks tile by tile.

    Both have the input ``image`` and the same outputs; levels of tiles are put together to one grid, and vectors are
    averaged.

    Raises
    ------
    Unsupported
        if cells of a level lie across the seams of the tiles.
    """
    if view.tiles is None:
        return graph
    build = Builder()
    names = [output.name for output in onnx.load_from_string(graph).graph.output]
    return build.model(build.network(graph, view, names, image="image"))


def cells(graph: bytes, height: int, width: int) -> dict[str, tuple[int, ...]]:
    """Return the shape of each output of an extractor for one image of a size."""
    network = session(graph, 1)
    names = [output.name for output in network.get_outputs()]
    said = network.run(names, {"image": np.zeros((1, height, width, 3), np.uint8)})
    return {name: one.shape[1:] for name, one in zip(names, said, strict=True)}


@dataclass(slots=True)
class Builder:
    """Collect nodes, constants and inputs; what adds something returns the name of its value."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, onnx.TensorProto] = field(default_factory=dict)
    inputs: dict[str, onnx.ValueInfoProto] = field(default_factory=dict)
    names: int = 0
    scope: str = ""

    def add(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> str:
        """Add a node; return its first output."""
        self.names += 1
        names = [f"{kind}_{self.names}_{number}" for number in range(outputs)]
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
        tensor.name = f"{self.scope}c_{hashlib.sha256(tensor.SerializeToString(deterministic=True)).hexdigest()[:24]}"
        self.constants.setdefault(tensor.name, tensor)
        return tensor.name

    def network(self, data: bytes, view: View, wanted: Sequence[str], image: str | None = None) -> dict[str, str]:
        """Add a network that is given the images of a view; return what the outputs that are wanted are called.

        A large view goes through it tile by tile: one is in memory at a time. ``image`` is the input's name.
        """
        name = image or input_name(view)
        shape: list[str | int | None] = ["n", view.height, view.width, 3]
        self.inputs[name] = helper.make_tensor_value_info(name, TensorProto.UINT8, shape)
        if view.tiles is None:
            found = self._network(data, name)
            return {one: found[one] for one in wanted}
        return self._by_tiles(data, name, view.tiles, wanted)

    def _network(self, data: bytes, image: str) -> dict[str, str]:
        self.names += 1
        prefix = f"g{self.names}_"
        model = compose.add_prefix(onnx.load_from_string(data), prefix)
        if model.opset_import[0].version != OPSET:
            model = onnx.version_converter.convert_version(model, OPSET)
        known = {f"{prefix}image": image}
        for tensor in model.graph.initializer:
            old = tensor.name
            known[old] = self._tensor(tensor)
        for node in model.graph.node:
            if node.op_type == "Constant" and node.attribute[0].name == "value":
                known[node.output[0]] = self._tensor(node.attribute[0].t)
                continue
            node.input[:] = [known.get(one, one) for one in node.input]
            self.nodes.append(node)
        return {output.name.removeprefix(prefix): known.get(output.name, output.name) for output in model.graph.output}

    def _by_tiles(self, data: bytes, image: str, tiles: Tiles, wanted: Sequence[str]) -> dict[str, str]:
        margin, height, width = tiles.margin, tiles.height + 2 * tiles.margin, tiles.width + 2 * tiles.margin
        shapes = cells(data, height, width)
        around = {name: _margins(name, shape, height, width, margin) for name, shape in shapes.items()}
        pads = self.numbers(0, margin, margin, 0, 0, margin, margin, 0)
        padded = self.add("Pad", image, pads, mode="reflect")

        def look(start: str, whole: str) -> list[str]:
            end = self.add("Add", start, self.numbers(height, width))
            found = self._network(data, self.add("Slice", whole, start, end, self.numbers(1, 2)))
            return [self._inner(found[name], shapes[name], around[name]) for name in wanted]

        places = product(range(tiles.rows), range(tiles.columns))
        corners = np.array([(row * tiles.height, column * tiles.width) for row, column in places], np.int64)
        starts = self._tensor(numpy_helper.from_array(corners))
        stacked = self.each(starts, TensorProto.INT64, look, len(wanted), known=padded, known_kind=TensorProto.UINT8)
        return {
            name: self._joined(one, tiles, shapes[name], around[name])
            for name, one in zip(wanted, stacked, strict=True)
        }

    def _inner(self, level: str, shape: tuple[int, ...], around: tuple[int, ...]) -> str:
        """Add a tile's own part of a level, without its margin."""
        if not around:
            return level
        ends = [length - margin for length, margin in zip(shape, around, strict=False)]
        return self.add("Slice", level, self.numbers(*around), self.numbers(*ends), self.numbers(1, 2))

    def _joined(self, stacked: str, tiles: Tiles, shape: tuple[int, ...], around: tuple[int, ...]) -> str:
        """Add one grid of the parts (t, n, h, w, c) of all tiles, or the mean of their vectors (t, n, v)."""
        if not around:
            return self.add("ReduceMean", stacked, self.numbers(0), keepdims=0)
        height, width = (length - 2 * margin for length, margin in zip(shape, around, strict=False))
        rows = self.add("Reshape", stacked, self.numbers(tiles.rows, tiles.columns, -1, height, width, shape[2]))
        rows = self.add("Transpose", rows, perm=[2, 0, 3, 1, 4, 5])
        return self.add("Reshape", rows, self.numbers(-1, tiles.rows * height, tiles.columns * width, shape[2]))

    def each(
        self,
        values: str,
        kind: int,
        work: Callable[..., Sequence[str]],
        outputs: int,
        *,
        known: str | None = None,
        known_kind: int = TensorProto.FLOAT,
    ) -> list[str]:
        """Add a loop: ``work`` is given each row of ``values``; what it returns is stacked, float32.

        It is given ``known`` too, which goes through the loop as its state: not every engine lets a loop see what lies
        outside of it, and none fuses layers with weights that do. So constants are inside as well.
        """
        self.names += 1
        name = f"each_{self.names}"
        outside = self.nodes, self.constants, self.scope
        self.nodes, self.constants, self.scope = [], {}, f"{name}_"
        row, state = f"{name}_row", f"{name}_state"
        given = [helper.make_tensor_value_info(row, kind, None)]
        if known is None:
            said = list(work(row))
        else:
            given.insert(0, helper.make_tensor_value_info(state, known_kind, None))
            said = list(work(row, state))
            said.insert(0, self.add("Identity", state))
        kept = _needed(self.nodes, said)
        read = {one for node in kept for one in _reads(node)}
        kinds: list[int] = (
            [TensorProto.FLOAT] * outputs if known is None else [known_kind, *[TensorProto.FLOAT] * outputs]
        )
        body = helper.make_graph(
            kept,
            name,
            given,
            [helper.make_tensor_value_info(one, each, None) for one, each in zip(said, kinds, strict=True)],
            [self.constants[one] for one in sorted(self.constants) if one in read],
        )
        self.nodes, self.constants, self.scope = outside
        inputs = [values] if known is None else [known, values]
        first = self.add("Scan", *inputs, outputs=len(said), body=body, num_scan_inputs=1).removesuffix("0")
        return [f"{first}{number}" for number in range(len(said) - outputs, len(said))]

    def model(self, outputs: Mapping[str, str], shapes: Mapping[str, Sequence[str]] = MappingProxyType({})) -> bytes:
        """Return the graph of what the outputs need; ``shapes`` name the axes of some."""
        for name, value in outputs.items():
            self.nodes.append(helper.make_node("Identity", [value], [name]))
        kept = _needed(self.nodes, outputs)
        read = {name for node in kept for name in _reads(node)}
        graph = helper.make_graph(
            kept,
            "vision_toolkit",
            [self.inputs[name] for name in sorted(self.inputs) if name in read],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shapes.get(name)) for name in outputs],
            [self.constants[name] for name in sorted(self.constants) if name in read],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        return bytes(model.SerializeToString(deterministic=True))


def _margins(name: str, shape: tuple[int, ...], height: int, width: int, margin: int) -> tuple[int, ...]:
    """Return the cells of a level that a tile's margin has, each way; none of a vector."""
    if len(shape) < 3:
        return ()
    found = []
    for cells_there, pixels in ((shape[0], height), (shape[1], width)):
        if pixels % cells_there or margin % (pixels // cells_there):
            raise Unsupported(
                f"This network cannot look at tiles: {cells_there} cells of {name!r} cover {pixels} pixels, and no "
                f"whole number of them {margin}."
            )
        found.append(margin // (pixels // cells_there))
    return tuple(found)


def _reads(node: onnx.NodeProto) -> set[str]:
    """Return what a node reads, and the nodes in its loop from outside of it."""
    found = set(node.input)
    for attribute in node.attribute:
        if attribute.HasField("g"):
            made = {name for one in attribute.g.node for name in one.output}
            made |= {value.name for value in (*attribute.g.input, *attribute.g.initializer)}
            found |= {name for one in attribute.g.node for name in _reads(one)} - made
    return found - {""}


def _needed(nodes: Sequence[onnx.NodeProto], outputs: Iterable[str]) -> list[onnx.NodeProto]:
    """Return the nodes that the outputs need, in their order."""
    needed, kept = set(outputs), []
    for node in reversed(nodes):
        if needed & set(node.output):
            needed |= _reads(node)
            kept.append(node)
    return kept[::-1]
