"""Build the network that paints anomaly types: a timm encoder, a light decoder, one ONNX graph.

torch and timm are imported inside functions only.
"""

from __future__ import annotations

import copy
import io
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from vision_toolkit.core.errors import Failed, Unsupported
from vision_toolkit.models.runtime import session

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["build_network", "export_checked", "export_network", "output_stride", "shortened", "trained_parameters"]

COARSEST_WIDTH = 96
WIDTHS = {2: 16, 4: 32, 8: 64, 16: 96}
"""Channels of the decoder at each stride; most of its work is at the fine ones, so they are narrow there."""
FROZEN_STRIDE = 4
"""The encoder's layers up to this stride are not trained: on large maps they cost most and change least."""
CLOSE = 1e-4


def build_network(encoder: nn.Module, classes: int) -> nn.Module:
    """Return an encoder-decoder: (n, 3, h, w) float32, scaled, to (n, classes, h/s, w/s) logits.

    The encoder's batch normalisations keep their statistics and are folded into the convolutions where that changes
    nothing: half the time of a step. ``s`` is :func:`output_stride`.

    Raises
    ------
    Unsupported
        if the encoder gives no features of inner layers.

    Examples
    --------
    >>> import timm, torch
    >>> network = build_network(timm.create_model("test_resnet"), 3)
    >>> tuple(network(torch.zeros(1, 3, 64, 96)).shape)
    (1, 3, 32, 48)
    """
    import torch
    import torch.nn.functional as F
    from torch import nn

    strides, indices, channels = _levels(encoder)
    folded = shortened(encoder)
    stride = max(2, strides[0])

    class Step(nn.Module):
        """Enlarge what is coarser, and look at it together with the finer level."""

        def __init__(self, above: int, beside: int, width: int) -> None:
            super().__init__()
            narrow = min(above, max(2 * beside, width // 2 * 2))
            self.narrow = nn.Conv2d(above, narrow, 1)
            self.norm = nn.BatchNorm2d(beside)
            self.mix = nn.Conv2d(narrow + beside, width, 3, padding=1, bias=False)
            self.mix_norm = nn.BatchNorm2d(width)

        def forward(self, x: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
            x = F.interpolate(self.narrow(x), size=level.shape[-2:], mode="bilinear", align_corners=False)
            return F.relu(self.mix_norm(self.mix(torch.cat([x, self.norm(level)], dim=1))))

    class EncoderDecoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = folded
            self.top = nn.Sequential(nn.BatchNorm2d(channels[-1]), nn.Conv2d(channels[-1], COARSEST_WIDTH, 1))
            self.context = nn.Linear(channels[-1], COARSEST_WIDTH)
            widths = [WIDTHS.get(s, WIDTHS[16]) for s in strides[:-1]]
            above = [*widths[1:], COARSEST_WIDTH]
            steps = [Step(a, c, w) for a, c, w in zip(above, channels[:-1], widths, strict=True)]
            self.steps = nn.ModuleList(reversed(steps))
            self.head = nn.Conv2d((widths or [COARSEST_WIDTH])[0], classes, 1)
            nn.init.zeros_(cast("Any", self.head.bias))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            height, width = x.shape[-2] // stride, x.shape[-1] // stride
            levels = self.encoder.forward_intermediates(x, indices=indices, intermediates_only=True)  # type: ignore[operator]
            top = self.top[0](levels[-1])
            x = F.relu(self.top[1](top) + self.context(top.mean(dim=(2, 3)))[:, :, None, None])
            for step, level in zip(self.steps, reversed(levels[:-1]), strict=True):
                x = step(x, level)
            x = self.head(x)
            if x.shape[-2:] != (height, width):
                x = F.interpolate(x, size=(height, width), mode="bilinear", align_corners=False)
            return x

        def train(self, mode: bool = True) -> Any:
            super().train(mode)
            self.encoder.eval()  # few images: the statistics of the pretraining are better than those of a batch
            return self

    network = EncoderDecoder()
    network.stride = stride  # type: ignore[assignment]
    return network.to(memory_format=torch.channels_last)


def shortened(encoder: nn.Module) -> nn.Module:
    """Return a copy that trains in half the time.

    Batch normalisations are folded into the convolutions where that changes nothing, and what looks at the finest
    levels is not trained.

    Raises
    ------
    Unsupported
        if the encoder gives no features of inner layers.
    """
    strides, indices, _ = _levels(encoder)
    folded = _folded(encoder.eval())
    _freeze(folded, strides, indices)
    return folded


def output_stride(network: nn.Module) -> int:
    """Return how many input pixels lie between two outputs of :func:`build_network`."""
    return int(cast("Any", network.stride))


def trained_parameters(network: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Return the parameters that are trained: those of the encoder, and those of the decoder."""
    named = [(name, p) for name, p in network.named_parameters() if p.requires_grad]
    return (
        [p for name, p in named if name.startswith("encoder.")],
        [p for name, p in named if not name.startswith("encoder.")],
    )


def export_network(
    network: nn.Module,
    *,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    bias: np.ndarray[Any, np.dtype[np.float32]],
    height: int,
    width: int,
) -> bytes:
    """Return the network as a checked ONNX graph.

    Parameters
    ----------
    network
        of :func:`build_network`.
    mean, std
        of the encoder's input, RGB from 0 to 1.
    bias
        (classes,) float32 added to the logits.
    height, width
        of the input in pixels.

    Returns
    -------
    bytes
        ``image`` (n, height, width, 3) uint8 to ``types`` (n, height/s, width/s, classes) float32 probabilities.

    Raises
    ------
    Failed
        if onnxruntime does not compute what torch computes, to 1e-4.
    """
    import torch

    favoured = torch.from_numpy(bias).view(1, -1, 1, 1)

    def paint(logits: torch.Tensor) -> torch.Tensor:
        return (logits + favoured).softmax(dim=1).permute(0, 2, 3, 1)

    return export_checked(network, paint, "types", mean=mean, std=std, height=height, width=width)


def export_checked(
    network: nn.Module,
    after: Callable[[torch.Tensor], torch.Tensor],
    output: str,
    *,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    height: int,
    width: int,
) -> bytes:
    """Return ``image`` (n, height, width, 3) uint8 to ``output``: what ``after`` makes of what a trained network says.

    Raises
    ------
    Failed
        if onnxruntime does not compute what torch computes, to 1e-4 of the largest value, or of 1.
    """
    import torch
    from torch import nn

    class Exported(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = copy.deepcopy(network).to(memory_format=torch.contiguous_format)
            self.shift = nn.Buffer(255.0 * torch.tensor(mean).view(1, 3, 1, 1))
            self.spread = nn.Buffer(255.0 * torch.tensor(std).view(1, 3, 1, 1))

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return after(self.network((image.permute(0, 3, 1, 2).float() - self.shift) / self.spread))

    model = Exported().eval()
    buffer = io.BytesIO()
    drawn = np.random.default_rng(0).integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the exporter's deprecation notices and tracing hints
        torch.onnx.export(
            model,
            (torch.from_numpy(drawn[:1]),),
            cast("Any", buffer),
            input_names=["image"],
            output_names=[output],
            dynamic_axes={"image": {0: "n"}, output: {0: "n"}},
            dynamo=False,
        )
        expected = model(torch.from_numpy(drawn)).numpy()
    (found,) = session(buffer.getvalue(), 1).run([output], {"image": drawn})
    difference, allowed = float(np.abs(found - expected).max()), CLOSE * max(1.0, float(np.abs(expected).max()))
    if not difference <= allowed:
        raise Failed(
            f"The exported network differs from the trained one by {difference:.2g}; at most {allowed} is fine."
        )
    return buffer.getvalue()


def _levels(encoder: Any) -> tuple[list[int], list[int], list[int]]:
    """Return strides, indices and channels of the last level of each stride, the finest first."""
    listed = getattr(encoder, "feature_info", None)
    if not listed or not hasattr(encoder, "forward_intermediates"):
        raise Unsupported("This timm network gives no features of its inner layers; choose another.")
    infos = getattr(listed, "info", listed)
    last = {int(item["reduction"]): index for index, item in enumerate(infos)}
    strides = sorted(stride for stride in last if stride <= 32)
    indices = [last[stride] for stride in strides]
    return strides, indices, [int(infos[index]["num_chs"]) for index in indices]


def _folded(encoder: nn.Module) -> nn.Module:
    """Return a copy whose batch normalisations are folded into the convolutions, if that changes nothing."""
    import torch
    from torch import nn

    changed = copy.deepcopy(encoder)
    for module in changed.modules():
        before: nn.Module | None = None
        for name, child in list(module.named_children()):
            if isinstance(child, nn.BatchNorm2d) and isinstance(before, nn.Conv2d):
                _fold(before, child)
                setattr(module, name, getattr(child, "act", nn.Identity()))
            before = child
    drawn = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        try:
            one, two = (cast("Any", net).forward_features(drawn) for net in (encoder, changed))
        except (RuntimeError, AssertionError):  # a network of one input size
            return encoder
    same = torch.allclose(one, two, rtol=1e-3, atol=1e-3 * float(one.abs().max()))
    return changed if same else encoder


def _fold(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    import torch
    from torch import nn

    mean, variance = cast("torch.Tensor", norm.running_mean), cast("torch.Tensor", norm.running_var)
    with torch.no_grad():
        factor = norm.weight / torch.sqrt(variance + norm.eps)
        bias = convolution.bias if convolution.bias is not None else torch.zeros_like(mean)
        convolution.bias = nn.Parameter(norm.bias + (bias - mean) * factor)
        convolution.weight = nn.Parameter(convolution.weight * factor[:, None, None, None])


def _freeze(encoder: Any, strides: list[int], indices: list[int]) -> None:
    """Stop the training of what the encoder computes first; parameters are listed in that order."""
    fine = [index for stride, index in zip(strides, indices, strict=True) if stride <= FROZEN_STRIDE]
    if not fine:
        return
    listed = encoder.feature_info
    module = str(getattr(listed, "info", listed)[fine[-1]]["module"])
    named = list(encoder.named_parameters())
    ends = [position for position, (name, _) in enumerate(named) if name.startswith(f"{module}.")]
    for _, parameter in named[: ends[-1] + 1 if ends else 0]:
        parameter.requires_grad_(False)
