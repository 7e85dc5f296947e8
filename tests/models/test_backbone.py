"""The feature extractors: fixed filters, timm networks, and where weights come from."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import convolve

from vision_toolkit.core import Failed, Invalid, NotFound, Unsupported
from vision_toolkit.models import backbone
from vision_toolkit.models.backbone import export_extractor, load_backbone, load_network
from vision_toolkit.models.filters import LEVELS, ORIENTATIONS, export_filters, filter_graph, gabor_kernels
from vision_toolkit.models.runtime import session

IMAGE = np.random.default_rng(0).integers(0, 256, (1, 64, 96, 3), dtype=np.uint8)


def run(graph: bytes, image: np.ndarray) -> list[np.ndarray]:
    return session(graph, 1).run(["patches", "vector", "fine"], {"image": image})


def slow_filters(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute patches and fine features with scipy, one filter at a time."""

    def pooled(values: np.ndarray, size: int) -> np.ndarray:
        h, w = values.shape[:2]
        return values.reshape(h // size, size, w // size, size, *values.shape[2:]).mean(axis=(1, 3))

    def doubled(values: np.ndarray) -> np.ndarray:
        y, x = [np.clip((np.arange(2 * n) + 0.5) / 2 - 0.5, 0, n - 1) for n in values.shape[:2]]
        y0, x0 = y.astype(int), x.astype(int)
        y1, x1 = np.minimum(y0 + 1, values.shape[0] - 1), np.minimum(x0 + 1, values.shape[1] - 1)
        fy, fx = (y - y0)[:, None, None], (x - x0)[None, :, None]
        top = values[y0][:, x0] * (1 - fx) + values[y0][:, x1] * fx
        return top * (1 - fy) + (values[y1][:, x0] * (1 - fx) + values[y1][:, x1] * fx) * fy

    x = image.astype(float) / 255
    red, green, blue = x[..., 0], x[..., 1], x[..., 2]
    coarse, fine = [], []
    for channel in (x.mean(axis=2), red - green, blue - (red + green) / 2):
        level = channel
        for number in range(LEVELS):
            level = pooled(level, 2) if number else level
            # scipy convolves, the network correlates: the kernel is turned
            answers = [convolve(level, k[0, ::-1, ::-1].astype(float), mode="nearest") for k in gabor_kernels()]
            energy = np.stack([np.hypot(a, b) for a, b in zip(answers[::2], answers[1::2], strict=True)], axis=2) ** 0.5

            def turned(values: np.ndarray) -> np.ndarray:
                return np.abs(np.fft.rfft(values, axis=2)) / ORIENTATIONS

            stride = 2**number
            coarse.append(turned(doubled(energy) if stride > 8 else pooled(energy, 8 // stride)))
            if number < 3:
                fine.append(turned(pooled(energy, 4 // stride)))
        for size, kept in ((8, coarse), (4, fine)):
            mean = pooled(channel, size)
            kept.append(np.stack([mean, np.sqrt(np.maximum(pooled(channel**2, size) - mean**2, 0))], axis=2))
    patches = np.concatenate(coarse, axis=2)
    padded = np.pad(patches, ((2, 2), (2, 2), (0, 0)), constant_values=np.nan)
    h, w = patches.shape[:2]
    near = np.stack([padded[dy : dy + h, dx : dx + w] for dy in range(5) for dx in range(5)])
    return np.nanmean(near, axis=0), np.concatenate(fine, axis=2)


def test_the_filters_are_what_a_slow_computation_gives():
    patches, vector, fine = run(filter_graph(), IMAGE)
    slow_patches, slow_fine = slow_filters(IMAGE[0])
    assert np.allclose(patches[0], slow_patches, atol=2e-4) and np.allclose(fine[0], slow_fine, atol=2e-4)
    flat = slow_patches.reshape(-1, slow_patches.shape[2])
    assert np.allclose(vector[0], np.concatenate([flat.mean(axis=0), flat.max(axis=0)]), atol=2e-4)


def test_the_stored_filters_are_those_that_the_code_exports():
    for one, two in zip(run(filter_graph(), IMAGE), run(export_filters(), IMAGE), strict=True):
        assert np.allclose(one, two, atol=1e-6)


def test_filters_take_any_size_and_answer_nothing_to_an_even_surface():
    grey = np.full((2, 96, 32, 3), 128, np.uint8)
    patches, _, fine = run(filter_graph(), grey)
    assert patches.shape[:3] == (2, 12, 4) and fine.shape[:3] == (2, 24, 8)
    kernels = gabor_kernels()
    assert np.allclose(kernels.sum(axis=(2, 3)), 0, atol=1e-6)
    assert np.allclose(np.abs(kernels).sum(axis=(2, 3)), 1, atol=1e-5)


def test_filters_do_not_care_how_a_part_is_turned():
    y, x = np.mgrid[:96, :96]
    stripes = [128 + 90 * np.sin((x * np.cos(a) + y * np.sin(a)) * 2 * np.pi / 5) for a in (0, np.pi / 3, np.pi / 2)]
    images = np.repeat(np.stack(stripes).astype(np.uint8)[..., None], 3, axis=3)
    middle = run(filter_graph(), images)[0][:, 6, 6, :4]  # the finest level of the brightness
    assert np.allclose(middle[0], middle[1], atol=0.01) and np.allclose(middle[0], middle[2], atol=0.01)
    assert middle[0, 1] > 0.1  # it does see the stripes


def test_without_weights_neither_torch_nor_a_cache_is_touched(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    found = load_backbone(None, cache=tmp_path)
    assert not found.pretrained and list(tmp_path.iterdir()) == []
    assert found.facts()["licence"] == "Apache-2.0"


def test_auto_is_ours_and_needs_neither_torch_nor_hub_nor_cache(tmp_path, monkeypatch):
    for name in ("torch", "timm", "huggingface_hub"):
        monkeypatch.setitem(sys.modules, name, None)
    found = load_backbone("auto", cache=tmp_path)
    assert found.pretrained and found.licence == "Apache-2.0" and list(tmp_path.iterdir()) == []
    assert len(found.graph) < 5_000_000 and "drawn images" in found.weights
    image = np.random.default_rng(1).integers(0, 256, (2, 64, 96, 3), dtype=np.uint8)
    patches, vector, fine = run(found.graph, image)
    assert patches.shape[:3] == (2, 8, 12) and fine.shape[:3] == (2, 16, 24) and vector.ndim == 2
    assert all(np.isfinite(part).all() and part.std() > 0 for part in (patches, vector, fine))
    with pytest.raises(Unsupported, match=r"vision_toolkit\[torch\]"):
        load_backbone("resnet18", cache=tmp_path)


def test_ours_is_a_timm_network_too_and_says_the_same(tmp_path):
    ours, facts = load_network("auto")
    image = np.random.default_rng(1).integers(0, 256, (1, 96, 64, 3), dtype=np.uint8)
    again = export_extractor(ours, facts["mean"], facts["std"])
    for one, other in zip(run(again, image), run(load_backbone("auto", cache=tmp_path).graph, image), strict=True):
        assert np.allclose(one, other, atol=1e-3 * np.abs(other).max())


def test_the_hub_is_asked_only_by_name(tmp_path):
    with pytest.raises(Failed, match="mobilenetv2_100: the hub cannot be reached"):
        load_backbone("hub", cache=tmp_path)


def test_a_network_that_was_named_and_cannot_be_fetched_is_an_error_not_a_fallback(tmp_path):
    with pytest.raises(Failed, match="resnet18"):
        load_backbone("resnet18", cache=tmp_path)
    with pytest.raises(Invalid, match=r"no timm network 'resnet_18'; close: .*resnet"):
        load_backbone("resnet_18", cache=tmp_path)


def weights_file(path: Path, name: str, **metadata: str) -> Path:
    """Write weights of a timm network as the hub never gave them: drawn, but real in form."""
    import timm
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    state = timm.create_model(name, pretrained=False).state_dict()
    save_file(state, path, metadata={"timm": name, "license": "MIT", **metadata})
    return path


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", pytest.param("convnext_atto", marks=pytest.mark.slow)])
def test_any_timm_network_gives_features_equal_to_its_own(tmp_path, name):
    import timm
    import torch

    file = weights_file(tmp_path / "w.safetensors", name, input="imagenet")
    side = 160 if name == "test_vit" else 96
    found = load_backbone(file, cache=tmp_path / "cache")
    assert found.licence == "MIT" and found.pretrained and found.name == name
    image = np.random.default_rng(1).integers(0, 256, (2, side, side, 3), dtype=np.uint8)
    patches, vector, fine = run(found.graph, image)
    torch.manual_seed(0)
    network = timm.create_model(name, pretrained=False).eval()
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    scaled = ((torch.from_numpy(image) / 255 - mean) / std).permute(0, 3, 1, 2)
    with torch.no_grad():
        own = network.forward_head(network.forward_features(scaled), pre_logits=True).numpy()
    assert np.allclose(vector, own, atol=1e-3)
    assert patches.shape[0] == fine.shape[0] == 2 and np.isfinite(patches).all() and patches.std() > 0


def test_a_cached_graph_needs_no_torch_and_a_spoiled_one_is_made_again(tmp_path, monkeypatch):
    file = weights_file(tmp_path / "w.safetensors", "test_resnet", input="x/127.5-1")
    first = load_backbone(file, cache=tmp_path)
    made = backbone._network
    monkeypatch.setattr(backbone, "_network", lambda plan: pytest.fail("the cached graph was not used"))
    again = load_backbone(file, cache=tmp_path)
    assert again == first
    monkeypatch.setattr(backbone, "_network", made)
    (graph,) = (tmp_path / "backbones").glob("*.onnx")
    graph.write_bytes(b"spoiled")
    assert load_backbone(file, cache=tmp_path).graph[:1] == first.graph[:1]


def test_a_cache_that_cannot_be_written_costs_only_time(tmp_path):
    (tmp_path / "backbones").write_text("a file where the folder should be")
    file = weights_file(tmp_path / "w.safetensors", "test_resnet")
    assert load_backbone(file, cache=tmp_path).pretrained


@pytest.mark.parametrize(
    ("metadata", "said"),
    [({"input": "bgr"}, "input='bgr'"), ({"timm": "test_vit"}, "does not fit"), ({"timm": "nothing"}, "cannot make")],
    ids=["scaling", "other network", "no network"],
)
def test_a_file_that_does_not_fit_is_told(tmp_path, metadata, said):
    file = weights_file(tmp_path / "w.safetensors", "test_resnet", **metadata)
    with pytest.raises(Invalid, match=said):
        load_backbone(file, cache=tmp_path)


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(NotFound, match=r"none\.safetensors"):
        load_backbone(tmp_path / "none.safetensors", cache=tmp_path)
