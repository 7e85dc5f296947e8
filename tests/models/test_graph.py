"""The graph of a model says what the slow computation with numpy says, group by group."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from vision_toolkit.models import view as view_module
from vision_toolkit.models.builder import extractor, input_name
from vision_toolkit.models.decoder import Cells, decode_types
from vision_toolkit.models.describe import describe_levels, describe_map, describe_types, fuse_maps
from vision_toolkit.models.filters import filter_graph
from vision_toolkit.models.graph import HeatMap, ModelParts, Painter, build_graph
from vision_toolkit.models.memory import Memory, build_memory
from vision_toolkit.models.runtime import resize_scores, session
from vision_toolkit.models.view import View

SMALL, LARGE = View(64, 96), View(128, 160)
RNG = np.random.default_rng(0)
IMAGES = {view: RNG.integers(0, 256, (3, view.height, view.width, 3), np.uint8) for view in (SMALL, LARGE)}


@pytest.fixture(params=["in one piece", "in tiles"], autouse=True)
def cut(request, monkeypatch):
    """Let each test look at the images in one piece, and tile by tile."""
    if request.param == "in tiles":
        monkeypatch.setattr(view_module, "MOST_AT_ONCE", 0)
        monkeypatch.setattr(view_module, "SIDE", 64)
        monkeypatch.setattr(view_module, "MARGIN", 32)
        assert SMALL.tiles.count == 3 and LARGE.tiles.count == 10


def network(levels: int) -> bytes:
    """Return an extractor with one level, or with a second one that sees farther."""
    if levels == 1:
        return filter_graph()
    model = onnx.load_from_string(filter_graph())
    nodes, helper = model.graph.node, onnx.helper
    nodes.append(helper.make_node("Transpose", ["patches"], ["p0"], perm=[0, 3, 1, 2]))
    nodes.append(helper.make_node("AveragePool", ["p0"], ["p1"], kernel_shape=[2, 2], strides=[2, 2]))
    nodes.append(helper.make_node("Transpose", ["p1"], ["wide"], perm=[0, 2, 3, 1]))
    model.graph.output.append(helper.make_tensor_value_info("wide", 1, ["n", "wide_h", "wide_w", 66]))
    return model.SerializeToString()


def features(levels: int, view: View) -> dict[str, np.ndarray]:
    names = ["patches", *(["wide"] if levels == 2 else []), "vector", "fine"]
    opened = session(extractor(network(levels), view), 1)
    return dict(zip(names, opened.run(names, {"image": IMAGES[view]}), strict=True))


def heat_map(levels: int, view: View) -> HeatMap:
    found = features(levels, view)
    names = ("patches", "wide")[:levels]
    rng = np.random.default_rng(1)
    memories = tuple(build_memory(lambda i, n=n: found[n][i], [0, 1], rng=rng, size=40, axes=16) for n in names)
    shapes = [found[n].shape[1:3] for n in names]
    means = tuple(rng.uniform(0, 2, shape).astype("f4") for shape in shapes)
    spreads = tuple(rng.uniform(0.5, 2, shape).astype("f4") for shape in shapes)
    first = memories[0]
    odd = Memory(first.centre, first.axes, rng.normal(size=(9, first.axes.shape[1])).astype("f4"), np.ones(9, "f4"))
    return HeatMap(memories, means, spreads, odd)


def slow(levels: int, view: View, heat: HeatMap, position: int) -> tuple[dict, np.ndarray, np.ndarray]:
    """Return the groups, the fused map and the first level's distances of one image."""
    found = features(levels, view)
    names = ("patches", "wide")[:levels]
    distances = [memory.distances(found[n][position]) for n, memory in zip(names, heat.memories, strict=True)]
    maps = [(d - m) / s for d, m, s in zip(distances, heat.means, heat.spreads, strict=True)]
    fused = fuse_maps(maps)
    other = heat.anomalies.distances(found["patches"][position])
    groups = {
        "distance": np.concatenate([describe_map(one) for one in (fused, *maps)]),
        "contrast": np.append(describe_map(distances[0] - other), other.min()),
        "global": found["vector"][position],
        "patch": np.concatenate([describe_levels(found[n][position]) for n in names]),
    }
    return groups, fused, distances[0]


def softsign(values: np.ndarray) -> np.ndarray:
    return values / (1 + np.abs(values))


def run(parts: ModelParts, *names: str) -> list[np.ndarray]:
    feeds = {input_name(view): images for view, images in IMAGES.items()}
    opened = session(build_graph(parts), 1)
    return opened.run(list(names), {one.name: feeds[one.name] for one in opened.get_inputs()})


@pytest.mark.parametrize("levels", [1, 2])
@pytest.mark.parametrize("group", ["distance", "contrast", "global", "patch"])
def test_the_score_is_that_of_the_slow_computation(levels, group):
    heat = heat_map(levels, SMALL)
    said = [slow(levels, SMALL, heat, i)[0][group] for i in range(3)]
    weights = np.random.default_rng(2).normal(size=said[0].size) / np.abs(said[0]).max() / said[0].size ** 0.5
    parts = ModelParts(network(levels), {SMALL: heat}, {(SMALL, group): weights}, 0.3, 4.0)
    (scores,) = run(parts, "score")
    wanted = [1 / (1 + np.exp(-(weights @ one + 0.3))) for one in said]
    assert scores.shape == (3,) and np.allclose(scores, wanted, atol=2e-5)
    assert np.ptp(scores) > 1e-4


def test_several_sizes_are_added_and_their_maps_averaged():
    heats = {view: heat_map(2, view) for view in (SMALL, LARGE)}
    weights = {(view, "distance"): np.full(18, 0.01) for view in heats}
    (scores, maps) = run(ModelParts(network(2), heats, weights, -1.0, 3.0), "score", "map")
    for i in range(3):
        said = {view: slow(2, view, heat, i) for view, heat in heats.items()}
        logit = sum(groups["distance"].sum() * 0.01 for groups, _, _ in said.values()) - 1.0
        assert scores[i] == pytest.approx(1 / (1 + np.exp(-logit)), abs=2e-5)
        height, width = said[LARGE][1].shape
        mean = sum(resize_scores(fused[..., None], width, height)[..., 0] for _, fused, _ in said.values()) / 2
        # two of the images are remembered: the root of a rounding error is all that their distances are
        assert np.allclose(maps[i], 0.5 + 0.5 * softsign(8 * (mean / 3.0 - 1)), atol=3e-3 if i < 2 else 5e-4)


@pytest.mark.parametrize("background", [0.0, 1.5])
def test_painted_types_and_what_the_verdict_sees_of_them(background):
    heat, found = heat_map(1, SMALL), features(1, SMALL)
    rng = np.random.default_rng(3)
    columns = found["fine"].shape[3] + found["patches"].shape[3] + 1
    arrays = {
        "decoder_mean": rng.normal(size=columns), "decoder_scale": rng.uniform(1, 2, columns),
        "decoder_1": rng.normal(size=(columns, 8)), "decoder_1_bias": rng.normal(size=8),
        "decoder_2": rng.normal(size=(8, 3)), "decoder_2_bias": rng.normal(size=3),
    }  # fmt: skip
    arrays = {name: array.astype("f4") for name, array in arrays.items()}
    height, width = found["fine"].shape[1:3]
    painter = Painter(SMALL, (height, width, 3), arrays=arrays, background=background)
    weights = {(None, "painted"): np.full(5, 0.1)}
    parts = ModelParts(network(1), {SMALL: heat}, weights, 0.0, 3.0, painter, painter)
    scores, types = run(parts, "score", "types")
    distances = np.stack([slow(1, SMALL, heat, i)[2] for i in range(3)])
    cells = Cells(
        found["fine"].__getitem__, found["patches"].__getitem__, distances, np.zeros((3, height, width), "u1")
    )
    for i in range(3):
        said = decode_types(cells, i, arrays)
        said[..., 0] *= np.exp(background)
        said /= said.sum(axis=2, keepdims=True)
        assert np.allclose(types[i], said, atol=1e-4)
        assert scores[i] == pytest.approx(1 / (1 + np.exp(-0.1 * describe_types(said).sum())), abs=1e-4)


def kernels(graph: bytes) -> int:
    """Return how often the network's kernels are in a graph; a loop over tiles has its own."""
    main = onnx.load_from_string(graph).graph
    loops = [attribute.g for node in main.node for attribute in node.attribute if attribute.HasField("g")]
    return sum(list(one.dims) == [12, 1, 11, 11] for part in (main, *loops) for one in part.initializer)


def test_only_what_is_used_is_in_the_graph_and_two_sizes_share_the_weights():
    heats = {view: heat_map(1, view) for view in (SMALL, LARGE)}
    one = build_graph(ModelParts(network(1), heats, {(SMALL, "distance"): np.ones(12)}, 0.0, 3.0))
    assert [i.name for i in onnx.load_from_string(one).graph.input] == ["image_96x64"]
    both = build_graph(ModelParts(network(1), heats, {(view, "distance"): np.ones(12) for view in heats}, 0.0, 3.0))
    assert [kernels(graph) for graph in (one, both)] == ([1, 1] if SMALL.tiles is None else [1, 2])
    onnx.checker.check_model(onnx.load_from_string(both), full_check=True)
    assert build_graph(ModelParts(network(1), heats, {(SMALL, "distance"): np.ones(12)}, 0.0, 3.0)) == one
