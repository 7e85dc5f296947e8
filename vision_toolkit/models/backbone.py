"""Find, export and cache the feature extractor: any timm network becomes one ONNX graph.

torch and timm are imported only when a graph has to be exported; a cached one needs neither.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import struct
import threading
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from vision_toolkit.core.errors import Failed, Invalid, NotFound, Unsupported, VisionError
from vision_toolkit.data.storage import is_local, local_path, write_file
from vision_toolkit.models.filters import filter_graph

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Backbone", "load_backbone"]

DEFAULT = "mobilenetv2_100"
VERSION = 1
"""Raised whenever the exported graph changes, so that old caches are left alone."""


@dataclass(frozen=True, slots=True)
class Backbone:
    """Hold a feature extractor as an ONNX graph.

    Parameters
    ----------
    graph
        ONNX bytes: ``image`` (n, height, width, 3) uint8 to ``patches``, ``vector``, ``fine`` (see
        :class:`~vision_toolkit.models.runtime.Runtime`).
    name
        the timm network.
    weights
        where its weights come from, in words.
    licence
        licence of the weights, as their publisher names it.
    pretrained
        False for the fixed filters, which never learned anything.
    """

    graph: bytes
    name: str
    weights: str
    licence: str
    pretrained: bool

    def facts(self) -> dict[str, Any]:
        """Return the plain facts for the model's card."""
        facts = {key: value for key, value in asdict(self).items() if key != "graph"}
        return facts | {"sha256": hashlib.sha256(self.graph).hexdigest()}


@dataclass(frozen=True, slots=True)
class _Plan:
    """What to build, before anything is built; its digest names the cache file."""

    name: str
    source: str  # "hub" or the file
    digest: str
    pad_type: str | None = None
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)
    licence: str = ""


def load_backbone(
    weights: str | os.PathLike[str] | None, *, height: int, width: int, cache: Path
) -> tuple[Backbone, str | None]:
    """Return the feature extractor for an input size, and a sentence where something else was taken than asked.

    Parameters
    ----------
    weights
        ``"auto"``: the default network's ImageNet weights from the cache or the hub (asked for 2 seconds), else
        the fixed filters of :mod:`.filters`, and the sentence says so; a path to a ``.safetensors`` file whose
        metadata names ``timm``, ``pad_type`` and ``input``; the name of a timm network, from the hub; None: the
        fixed filters.
    height, width
        of the input in pixels, multiples of 32.
    cache
        folder of exported graphs.

    Raises
    ------
    NotFound
        if there is no such file.
    Invalid
        if the file does not say what it is, or does not fit the network.
    Unsupported
        if torch is needed and not installed.
    Failed
        if a network that was named cannot be fetched.
    """
    if weights == "auto":
        try:
            return _load(_plan_hub(DEFAULT), height, width, cache), None
        except (Failed, Unsupported) as error:
            sentence = (
                f"There are no pretrained weights ({str(error).rstrip('.')}), so fixed filters that never learned to "
                "see are used instead: scores are mostly lower. Give weights='file.safetensors', or connect once."
            )
            return _filters(), sentence
    if weights is None:
        return _filters(), None
    text = os.fspath(weights)
    if text.endswith(".safetensors") or os.sep in text:
        return _load(_plan_file(text), height, width, cache), None
    return _load(_plan_hub(text), height, width, cache), None


def _filters() -> Backbone:
    return Backbone(filter_graph(), "Gabor filters", "none: fixed filters", "Apache-2.0", pretrained=False)


def _plan_hub(name: str) -> _Plan:
    return _Plan(name, "hub", f"hub-{name}")


def _plan_file(text: str) -> _Plan:
    if not is_local(text):
        raise Invalid(f"weights names a file on this machine, a timm network, 'auto' or None; {text!r} was given.")
    path = local_path(text)
    if not path.is_file():
        raise NotFound(f"There is no weights file {path}.")
    data = path.read_bytes()
    try:
        (length,) = struct.unpack("<Q", data[:8])
        facts = json.loads(data[8 : 8 + length]).get("__metadata__") or {}
        name = facts["timm"]
    except (struct.error, ValueError, KeyError, AttributeError):
        raise Invalid(
            f"{path} is no safetensors file whose metadata names its network: it must hold 'timm' (the network's "
            "name), 'pad_type' and 'input' ('x/127.5-1' or 'imagenet')."
        ) from None
    mean, std = _scaling(facts.get("input", "imagenet"), path)
    digest = hashlib.sha256(data).hexdigest()
    return _Plan(name, str(path), digest, facts.get("pad_type"), mean, std, facts.get("license", "not named"))


def _scaling(text: str, path: Path) -> tuple[tuple[float, ...], tuple[float, ...]]:
    if text.replace(" ", "") == "x/127.5-1":
        return (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
    if text == "imagenet":
        return (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    raise Invalid(f"{path} says input={text!r}; known are 'x/127.5-1' and 'imagenet'.")


def _load(plan: _Plan, height: int, width: int, cache: Path) -> Backbone:
    key = hashlib.sha256(repr((VERSION, plan.name, plan.digest, plan.pad_type, plan.mean, height, width)).encode())
    stem = cache / "backbones" / f"{plan.name.replace('/', '_')}-{height}x{width}-{key.hexdigest()[:16]}"
    graph_file, facts_file = stem.with_name(stem.name + ".onnx"), stem.with_name(stem.name + ".json")
    if graph_file.is_file() and facts_file.is_file():
        facts = json.loads(facts_file.read_text("utf-8"))
        graph = graph_file.read_bytes()
        if hashlib.sha256(graph).hexdigest() == facts.pop("sha256", ""):
            return Backbone(graph, **facts)
    with _quiet(), _torch():
        network, facts = _network(plan)
        graph = _export(network, facts.pop("mean"), facts.pop("std"), height, width)
    backbone = Backbone(graph, **facts)
    with contextlib.suppress(VisionError):  # a cache that cannot be written costs time, not the training
        write_file(graph_file, graph, overwrite=True)
        write_file(facts_file, json.dumps(backbone.facts(), indent=1).encode(), overwrite=True)
    return backbone


def _network(plan: _Plan) -> tuple[nn.Module, dict[str, Any]]:
    import timm

    keywords: dict[str, Any] = {"pad_type": plan.pad_type} if plan.pad_type else {}
    if plan.source == "hub":
        network = _from_hub(plan.name)
        found = network.pretrained_cfg
        licence = str(found.get("license") or "not named")
        if "nc" in licence.lower().split("-"):
            raise Unsupported(f"The weights of {plan.name} are licensed {licence}: not for commercial use.")
        facts = {"mean": tuple(found["mean"]), "std": tuple(found["std"]), "licence": licence}
        words = f"{plan.name} from the hub ({found.get('tag') or 'default'})"
    else:
        try:
            network = timm.create_model(plan.name, pretrained=False, **keywords)
        except (RuntimeError, TypeError) as error:
            raise Invalid(f"timm cannot make {plan.name!r}: {error}.") from None
        from safetensors.torch import load_file

        try:
            network.load_state_dict(load_file(plan.source))
        except (RuntimeError, ValueError) as error:
            raise Invalid(f"{plan.source} does not fit {plan.name}: {str(error)[:300]}.") from None
        words = f"file {Path(plan.source).name}"
        facts = {"mean": plan.mean, "std": plan.std, "licence": plan.licence}
    return network.eval(), facts | {"name": plan.name, "weights": words, "pretrained": True}


def _from_hub(name: str) -> Any:
    import huggingface_hub
    import timm

    if name.partition(".")[0] not in timm.list_models():
        close = ", ".join(timm.list_models(f"*{name.partition('.')[0][:6]}*")[:5]) or "see timm.list_models()"
        raise Invalid(f"There is no timm network {name!r}; close: {close}.")
    constants = huggingface_hub.constants
    was_offline = constants.HF_HUB_OFFLINE
    try:
        if not was_offline and not _reachable(constants.ENDPOINT, seconds=2.0):
            constants.HF_HUB_OFFLINE = True  # or each file is tried for 45 s; what is in the cache still loads
        return timm.create_model(name, pretrained=True)
    except Exception as error:  # noqa: BLE001 - the hub, its cache and timm each have errors of their own
        said = "the hub cannot be reached" if constants.HF_HUB_OFFLINE else f"{type(error).__name__}: {error}"
        raise Failed(f"{name}: {said[:200]}") from None
    finally:
        constants.HF_HUB_OFFLINE = was_offline


def _reachable(endpoint: str, *, seconds: float) -> bool:
    """Ask whether the hub answers, for so many seconds at most: looking up a name can hang for longer."""
    if os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy"):
        return True
    import socket
    from urllib.parse import urlsplit

    answered: list[bool] = []
    parts = urlsplit(endpoint)

    def dial() -> None:
        with contextlib.suppress(OSError):
            port = parts.port or (443 if parts.scheme == "https" else 80)
            socket.create_connection((parts.hostname or "", port), timeout=seconds).close()
            answered.append(True)

    thread = threading.Thread(target=dial, daemon=True)
    thread.start()
    thread.join(seconds)
    return bool(answered)


def _export(network: nn.Module, mean: tuple[float, ...], std: tuple[float, ...], height: int, width: int) -> bytes:
    import io

    import torch

    extractor = _extractor(network, mean, std)
    buffer = io.BytesIO()
    names = ["patches", "vector", "fine"]
    torch.onnx.export(
        extractor,
        (torch.zeros((1, height, width, 3), dtype=torch.uint8),),
        cast("Any", buffer),  # a file object is taken too; the annotation does not say so
        input_names=["image"],
        output_names=names,
        dynamic_axes={name: {0: "n"} for name in ["image", *names]},
        dynamo=False,  # the other exporter takes ten times as long for the same graph and two files
    )
    return buffer.getvalue()


def _extractor(network: Any, mean: tuple[float, ...], std: tuple[float, ...]) -> nn.Module:
    """Wrap a timm network: pixels in, patch features of two levels, the last layer and a fine level out."""
    import torch
    import torch.nn.functional as F
    from torch import nn

    levels = _levels(network)

    class Extractor(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network
            self.shift = nn.Buffer(255.0 * torch.tensor(mean).view(1, 3, 1, 1))
            self.spread = nn.Buffer(255.0 * torch.tensor(std).view(1, 3, 1, 1))

        def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
            x = (image.permute(0, 3, 1, 2).float() - self.shift) / self.spread
            final, found = self.network.forward_intermediates(x, indices=levels)
            fine, near, wide = found
            near, wide = (F.avg_pool2d(level, 3, 1, 1) for level in (near, wide))
            if wide.shape[-2:] != near.shape[-2:]:
                wide = F.interpolate(wide, size=near.shape[-2:], mode="bilinear", align_corners=False)
            patches = torch.cat([near, wide], dim=1).permute(0, 2, 3, 1)
            vector = self.network.forward_head(final, pre_logits=True)
            return patches, vector, fine.permute(0, 2, 3, 1)

    return Extractor().eval()


def _levels(network: Any) -> list[int]:
    """Choose three levels: strides 4, 8 and 16 where the network has them, else evenly spread ones."""
    listed = getattr(network, "feature_info", None)
    if not listed or not hasattr(network, "forward_intermediates"):
        raise Unsupported("This timm network gives no features of its inner layers; choose another.")
    strides = [item["reduction"] for item in getattr(listed, "info", listed)]
    if all(stride in strides for stride in (4, 8, 16)):
        return [max(i for i, stride in enumerate(strides) if stride == wanted) for wanted in (4, 8, 16)]
    return [int(i) for i in np.linspace(0, len(strides) - 1, 4).round()[:3]]


@contextlib.contextmanager
def _torch() -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise Unsupported(
            f"Exporting a backbone needs {error.name or 'torch'}: install it with pip install 'vision_toolkit[torch]'."
        ) from None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's deprecation notices and tracing hints from the user."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
