"""Draw a feature extractor that never learned anything: a fixed bank of Gabor filters as one ONNX graph.

It is what there is without pretrained weights: it needs no download and no torch, the same for everybody. On five
levels of a pyramid of the brightness and of two colour differences, it measures how much structure there is in six
orientations; the magnitudes of the Fourier transform over the orientations do not change when a part is turned.
With them go the mean and the spread of each colour. The graph is stored as ``filters.onnx`` beside this file and was
made by ``python -m vision_toolkit.models.filters`` (needs torch).
"""

from __future__ import annotations

import io
import math
import warnings
from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

__all__ = ["GRAPH", "export_filters", "filter_graph", "gabor_kernels"]

GRAPH = Path(__file__).with_name("filters.onnx")
"""Where the stored graph is."""

ORIENTATIONS = 6
LEVELS = 5
SIGMA = 1.5
WAVELENGTH = 5.0
"""Spread and wavelength of a filter in pixels of its level."""


@cache
def filter_graph() -> bytes:
    """Return the stored graph: ``image`` (n, h, w, 3) uint8, h and w multiples of 32, to patches, vector and fine."""
    return GRAPH.read_bytes()


def gabor_kernels() -> NDArray[np.float32]:
    """Return the filters, (12, 1, 11, 11) float32: an even and an odd one for each of six orientations.

    Each answers nothing to an even surface and has absolute values that sum to one.

    Examples
    --------
    >>> gabor_kernels().shape
    (12, 1, 11, 11)
    """
    radius = int(3 * SIGMA) + 1
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1].astype(np.float64)
    bell = np.exp(-(x**2 + y**2) / (2 * SIGMA**2))
    kernels = []
    for orientation in range(ORIENTATIONS):
        angle = math.pi * orientation / ORIENTATIONS
        along = x * math.cos(angle) + y * math.sin(angle)
        for wave in (np.cos, np.sin):
            kernel = bell * wave(2 * math.pi * along / WAVELENGTH)
            kernel -= bell * kernel.sum() / bell.sum()
            kernels.append(kernel / np.abs(kernel).sum())
    return np.stack(kernels)[:, None].astype(np.float32)


def export_filters() -> bytes:
    """Export the graph anew; what :data:`GRAPH` holds."""
    import torch

    names = ["patches", "vector", "fine"]
    buffer = io.BytesIO()
    axes = {name: {0: "n", 1: f"{name}_height", 2: f"{name}_width"} for name in ("image", "patches", "fine")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's deprecation notice
        torch.onnx.export(
            _bank(),
            (torch.zeros((1, 64, 96, 3), dtype=torch.uint8),),
            cast("Any", buffer),
            input_names=["image"],
            output_names=names,
            dynamic_axes=axes | {"vector": {0: "n"}},
            dynamo=False,
        )
    return buffer.getvalue()


def _bank() -> Any:
    import torch
    import torch.nn.functional as F
    from torch import nn

    turns = np.fft.rfft(np.eye(ORIENTATIONS))  # (orientations, frequencies) complex
    transform = np.concatenate([turns.real, turns.imag], axis=1).T[:, :, None, None] / ORIENTATIONS
    frequencies = turns.shape[1]

    class Bank(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.kernels = nn.Buffer(torch.from_numpy(gabor_kernels()))
            self.transform = nn.Buffer(torch.from_numpy(transform.astype(np.float32)))

        def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
            x = image.permute(0, 3, 1, 2).float() / 255.0
            red, green, blue = x[:, 0:1], x[:, 1:2], x[:, 2:3]
            coarse, fine = [], []
            for channel in (x.mean(1, keepdim=True), red - green, blue - (red + green) / 2):
                level = channel
                for number in range(LEVELS):
                    if number:
                        level = F.avg_pool2d(level, 2)
                    energy = self.energy(level)
                    coarse.append(self.turned(_to_stride(energy, 2**number, 8)))
                    if number < 3:
                        fine.append(self.turned(_to_stride(energy, 2**number, 4)))
                coarse += _colour(channel, 8)
                fine += _colour(channel, 4)
            patches = F.avg_pool2d(torch.cat(coarse, 1), 5, 1, 2, count_include_pad=False)
            quarters = F.adaptive_avg_pool2d(patches, 1), patches.amax(dim=(2, 3))
            vector = torch.cat([quarters[0].flatten(1), quarters[1]], 1)
            return patches.permute(0, 2, 3, 1), vector, torch.cat(fine, 1).permute(0, 2, 3, 1)

        def energy(self, level: torch.Tensor) -> torch.Tensor:
            radius = self.kernels.shape[-1] // 2
            answers = F.conv2d(F.pad(level, (radius, radius, radius, radius), mode="replicate"), self.kernels)
            # The square root of the amplitude: a strong edge must not drown a faint scratch.
            return (answers[:, 0::2] ** 2 + answers[:, 1::2] ** 2 + 1e-10) ** 0.25

        def turned(self, energy: torch.Tensor) -> torch.Tensor:
            waves = F.conv2d(energy, self.transform)
            return (waves[:, :frequencies] ** 2 + waves[:, frequencies:] ** 2 + 1e-12).sqrt()

    def _to_stride(values: torch.Tensor, stride: int, wanted: int) -> torch.Tensor:
        if stride > wanted:
            return F.interpolate(values, scale_factor=stride // wanted, mode="bilinear", align_corners=False)
        return F.avg_pool2d(values, wanted // stride) if stride < wanted else values

    def _colour(channel: torch.Tensor, stride: int) -> list[torch.Tensor]:
        mean = F.avg_pool2d(channel, stride)
        return [mean, (F.avg_pool2d(channel**2, stride) - mean**2).clamp(min=0).sqrt()]

    return Bank().eval()


if __name__ == "__main__":
    GRAPH.write_bytes(export_filters())
