"""Find, export and cache the feature extractor: ours, which the package carries, or any timm network as an ONNX graph.

torch and timm are imported only when a graph has to be exported; ours and cached ones need neither. How ours was made
is told in ``training/backbone/README.md``, and what it is worth in ``docs/benchmarks.md``.
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
import onnx

from vision_toolkit.core.errors import Failed, Invalid, NotFound, Unsupported, VisionError
from vision_toolkit.data.storage import is_local, local_path, write_file
from vision_toolkit.models.filters import filter_graph

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Backbone", "export_extractor", "load_backbone", "load_network"]

OURS = Path(__file__).with_name("backbone.onnx")
"""Our own extractor; what it is stands in its metadata, and a parameter has the name that timm gives it."""
DEFAULT = "mobilenetv2_100"
"""What ``"hub"`` means."""
HALF = ".half"
"""End of the name of a parameter that is kept in half precision."""
VERSION = 2
"""Raised whenever the exported graph changes, so that old caches are left alone."""


@dataclass(frozen=True, slots=True)
class Backbone:
    """Hold a feature extractor as an ONNX graph.

    Parameters
    ----------
    graph
        ONNX bytes: ``image`` (n, h, w, 3) uint8, h and w multiples of 32, to float32 ``patches`` (n, gh, gw, c), one
        for about 8 pixels; ``wide`` (n, h2, w2, c2), coarser and seeing farther, which an extractor need not have;
        ``fine`` (n, fh, fw, f), about 4 pixels each; ``vector`` (n, v), the last layer.
    name
        the timm network.
    weights
        where its weights come from, in words.
    licence
        licence of the weights, as their publisher names it.
    pretrained
        False for the fixed filters, which never learned anything.
    side
        height and width of the only input that it takes; None where it takes every size.
    """

    graph: bytes
    name: str
    weights: str
    licence: str
    pretrained: bool
    side: int | None = None

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


def load_backbone(weights: str | os.PathLike[str] | None, *, cache: Path, non_commercial: bool = False) -> Backbone:
    """Return the feature extractor.

    Parameters
    ----------
    weights
        ``"auto"``: ours, which is in the package and asks nobody; ``"hub"``: :data:`DEFAULT` with its ImageNet weights
        from the hub, or its cache; the name of a timm network, from there too; a path to a ``.safetensors`` file whose
        metadata names ``timm``, ``pad_type`` and ``input``; None: the fixed filters of :mod:`.filters`.
    cache
        folder of exported graphs.
    non_commercial
        True where weights that are licensed for non-commercial use only are wanted; else they are refused.

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

    Examples
    --------
    >>> from pathlib import Path
    >>> ours = load_backbone("auto", cache=Path("never-needed"))
    >>> ours.licence, ours.pretrained
    ('Apache-2.0', True)
    """
    if weights is None:
        return _filters()
    if weights == "auto":
        return _ours()
    return _load(_plan(os.fspath(weights)), cache, non_commercial)


def load_network(weights: str | os.PathLike[str] | None) -> tuple[nn.Module, dict[str, Any]]:
    """Return a timm network with its weights, to be trained further.

    Parameters
    ----------
    weights
        as in :func:`load_backbone`.

    Returns
    -------
    nn.Module, dict
        the network in evaluation mode, and its facts: ``mean`` and ``std`` (of RGB from 0 to 1, three numbers each),
        ``name``, ``weights``, ``licence``, ``pretrained``.

    Raises
    ------
    NotFound, Invalid, Unsupported, Failed
        as :func:`load_backbone`; here None is Unsupported.
    """
    if weights is None:
        raise Unsupported("Fixed filters cannot be trained further: leave weights='auto', or name a timm network.")
    with _quiet(), _torch():
        return _our_network() if weights == "auto" else _network(_plan(os.fspath(weights)))


def _plan(text: str) -> _Plan:
    if text.endswith(".safetensors") or os.sep in text:
        return _plan_file(text)
    return _plan_hub(DEFAULT if text == "hub" else text)


def _ours() -> Backbone:
    graph = OURS.read_bytes()
    facts = _facts(onnx.load_from_string(graph))
    return Backbone(graph, facts["name"], facts["weights"], facts["licence"], pretrained=True)


def _facts(model: onnx.ModelProto) -> dict[str, str]:
    """Return what a graph of ours says of itself."""
    return {item.key: item.value for item in model.metadata_props}


def _our_network() -> tuple[nn.Module, dict[str, Any]]:
    """Return ours as a timm network: its graph's parameters have timm's names."""
    import timm
    import torch
    from onnx import numpy_helper

    model = onnx.load_from_string(OURS.read_bytes())
    facts = _facts(model)
    network: Any = timm.create_model(facts["timm"], pretrained=False, pad_type=facts["pad_type"])
    without_head(network)
    found: dict[str, Any] = {}
    for item in model.graph.initializer:
        name = item.name.removesuffix(HALF).removeprefix("network.")
        for padded in ("conv_stem", "conv_dw"):  # each stands behind its padding, see _pad_by_constants
            name = name.replace(f"{padded}.1.", f"{padded}.")
        found[name] = torch.from_numpy(numpy_helper.to_array(item).astype(np.float32))
    wanted = [name for name in network.state_dict() if not name.endswith("num_batches_tracked")]
    network.load_state_dict({name: found[name] for name in wanted}, strict=False)
    mean, std = (tuple(float(one) for one in facts[name].split()) for name in ("mean", "std"))
    said = {name: facts[name] for name in ("name", "weights", "licence")}
    return network.eval(), said | {"pretrained": True, "mean": mean, "std": std}


def without_head(network: Any) -> None:
    """Leave out what of a timm MobileNetV2 comes after its last block."""
    from torch import nn

    network.conv_head = network.bn2 = network.classifier = nn.Identity()


def _filters() -> Backbone:
    return Backbone(filter_graph(), "Gabor filters", "none: fixed filters", "Apache-2.0", pretrained=False)


def _plan_hub(name: str) -> _Plan:
    return _Plan(name, "hub", f"hub-{name}")


def _plan_file(text: str) -> _Plan:
    if not is_local(text):
        raise Invalid(
            f"weights names a file on this machine, a timm network, 'auto', 'hub' or None; {text!r} was given."
        )
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


def _load(plan: _Plan, cache: Path, non_commercial: bool) -> Backbone:
    key = hashlib.sha256(repr((VERSION, plan.name, plan.digest, plan.pad_type, plan.mean)).encode())
    stem = cache / "backbones" / f"{plan.name.replace('/', '_')}-{key.hexdigest()[:16]}"
    graph_file, facts_file = stem.with_name(stem.name + ".onnx"), stem.with_name(stem.name + ".json")
    if graph_file.is_file() and facts_file.is_file():
        facts = json.loads(facts_file.read_text("utf-8"))
        graph = graph_file.read_bytes()
        if hashlib.sha256(graph).hexdigest() == facts.pop("sha256", ""):
            _check_licence(plan.name, facts["licence"], non_commercial)
            return Backbone(graph, **facts)
    with _quiet(), _torch():
        network, facts = _network(plan)
        _check_licence(plan.name, facts["licence"], non_commercial)
        graph = export_extractor(network, facts.pop("mean"), facts.pop("std"))
        facts["side"] = _fixed_side(network)
    backbone = Backbone(graph, **facts)
    with contextlib.suppress(VisionError):  # a cache that cannot be written costs time, not the training
        write_file(graph_file, graph, overwrite=True)
        write_file(facts_file, json.dumps(backbone.facts(), indent=1).encode(), overwrite=True)
    return backbone


def _check_licence(name: str, licence: str, non_commercial: bool) -> None:
    if "nc" in licence.lower().split("-") and not non_commercial:
        raise Unsupported(
            f"The weights of {name} are licensed {licence}: not for commercial use. Take others, or give "
            "non_commercial=True if your use is none."
        )


def _network(plan: _Plan) -> tuple[nn.Module, dict[str, Any]]:
    import timm

    keywords: dict[str, Any] = {"pad_type": plan.pad_type} if plan.pad_type else {}
    if plan.source == "hub":
        network = _from_hub(plan.name)
        found = network.pretrained_cfg
        licence = str(found.get("license") or "not named")
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


def export_extractor(
    network: nn.Module, mean: tuple[float, ...], std: tuple[float, ...], *, named: bool = False
) -> bytes:
    """Return a timm network as the ONNX graph of a :class:`Backbone`.

    Parameters
    ----------
    network
        in evaluation mode.
    mean, std
        of its input, RGB from 0 to 1.
    named
        True: batch normalisations stay as they are and each parameter keeps timm's name after ``network.``, so that the
        network can be had back; False: the smaller graph.

    Raises
    ------
    Unsupported
        if the network gives no features of its inner layers.
    """
    import io

    import torch

    side = _fixed_side(network)
    extractor = _extractor(network, mean, std)
    buffer = io.BytesIO()
    names = ["patches", "wide", "vector", "fine"]
    axes: dict[str, dict[int, str]] = {name: {0: "n"} for name in ["image", *names]}
    if side is None:
        for name in ("image", "patches", "wide", "fine"):
            axes[name] |= {1: f"{name}_height", 2: f"{name}_width"}
    shape = (1, 64, 96, 3) if side is None else (1, side, side, 3)
    kept = {"training": torch.onnx.TrainingMode.PRESERVE, "do_constant_folding": False} if named else {}
    with _quiet():
        torch.onnx.export(
            extractor,
            (torch.zeros(shape, dtype=torch.uint8),),
            cast("Any", buffer),  # a file object is taken too; the annotation does not say so
            input_names=["image"],
            output_names=names,
            dynamic_axes=axes,
            opset_version=20,
            dynamo=False,  # the other exporter takes ten times as long for the same graph and two files
            **cast("Any", kept),
        )
    return buffer.getvalue()


def _fixed_side(network: Any) -> int | None:
    """Return the side of the only input that a network takes: a transformer has learned where places are."""
    return int(network.pretrained_cfg["input_size"][-1]) if hasattr(network, "patch_embed") else None


def _extractor(network: Any, mean: tuple[float, ...], std: tuple[float, ...]) -> nn.Module:
    """Wrap a timm network: pixels in; patch features, wider ones, the last layer and a fine level out."""
    import torch
    import torch.nn.functional as F
    from torch import nn

    levels = _levels(network)
    _pad_by_constants(network)

    class Extractor(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network
            self.shift = nn.Buffer(255.0 * torch.tensor(mean).view(1, 3, 1, 1))
            self.spread = nn.Buffer(255.0 * torch.tensor(std).view(1, 3, 1, 1))

        def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
            x = (image.permute(0, 3, 1, 2).float() - self.shift) / self.spread
            final, found = self.network.forward_intermediates(x, indices=levels)
            fine, near, wide = found
            parts = [near]
            wide = F.avg_pool2d(wide, 3, 1, 1, count_include_pad=False)
            if fine.shape[-1] == 2 * near.shape[-1]:
                parts.insert(0, F.avg_pool2d(fine, 2))
            parts = [F.avg_pool2d(part, 3, 1, 1, count_include_pad=False) for part in parts]
            if near.shape[-1] == 2 * wide.shape[-1]:
                parts.append(F.interpolate(wide, scale_factor=2.0, mode="bilinear", align_corners=False))
            patches = torch.cat(parts, dim=1).permute(0, 2, 3, 1)
            vector = self.network.forward_head(final, pre_logits=True)
            return patches, wide.permute(0, 2, 3, 1), vector, fine.permute(0, 2, 3, 1)

    return Extractor().eval()


def _pad_by_constants(network: nn.Module) -> None:
    """Give convolutions that pad as TensorFlow does the padding of even sizes, so that it needs no arithmetic.

    Inputs are multiples of 32, so every layer of stride 2 before the last halves an even size.
    """
    from torch import nn

    for parent in list(network.modules()):
        children: list[tuple[str, Any]] = list(parent.named_children())
        for name, layer in children:
            if type(layer).__name__ != "Conv2dSame":
                continue
            plain: Any = nn.Conv2d(
                layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride, 0, layer.dilation,
                layer.groups, layer.bias is not None,
            )  # fmt: skip
            plain.load_state_dict(layer.state_dict())
            sides = [
                max(0, (k - 1) * d + 1 - s)
                for k, d, s in zip(layer.kernel_size, layer.dilation, layer.stride, strict=True)
            ]
            (top, left) = (side // 2 for side in sides)
            padding = nn.ZeroPad2d((left, sides[1] - left, top, sides[0] - top))
            setattr(parent, name, nn.Sequential(padding, plain))


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
