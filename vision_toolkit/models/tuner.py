"""Train the feature extractor itself to tell anomalies from normal images: dear, and worth it where many are labelled.

Every image is judged by a network that did not learn from its fold; the model's own network learns from all. torch and
timm are imported inside functions only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from vision_toolkit.models.backbone import load_network
from vision_toolkit.models.segment_batches import Pictures, Recipe, Source
from vision_toolkit.models.segment_network import export_checked, shortened
from vision_toolkit.models.segment_training import Progress, Training
from vision_toolkit.models.segmenter import torch_seeded, torch_threads
from vision_toolkit.models.view import View

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["Tuned", "tune_network", "tuning_steps"]

RECIPE = Recipe(batch=8)


@dataclass(frozen=True, slots=True, eq=False)
class Tuned:
    """Hold a network that judges images.

    Parameters
    ----------
    view
        the size of its input.
    graph
        ONNX bytes: ``image`` (n, h, w, 3) uint8 to ``tuned`` (n, 1) float32, the log-odds of an anomaly.
    held_out
        (n, 1) float32 of each training image, by networks that did not learn from its fold.
    """

    view: View
    graph: bytes = field(repr=False)
    held_out: NDArray[np.float32]


def tuning_steps(count: int) -> int:
    """Return the steps of each network that are worth their time for a number of images.

    Examples
    --------
    >>> tuning_steps(100) < tuning_steps(1000)
    True
    """
    return int(np.clip(12 * count**0.5, 60, 600))


def tune_network(
    images: Source,
    is_anomaly: NDArray[np.bool_],
    view: View,
    parts: Sequence[Sequence[int]],
    *,
    weights: Any,
    seed: int,
    threads: int,
    checkpoint: Path | None,
    tell: Progress,
    enough: Callable[[], bool],
) -> Tuned | None:
    """Train one network without each part of the images, and one with all; None if that was cut short.

    Parameters
    ----------
    images
        n arrays (h, w, 3) uint8 of the view's size, or a function of a position that gives them.
    is_anomaly
        (n,) truth.
    parts
        positions that are held out together; every position is in one of them.
    checkpoint
        a file to which the state goes every ten seconds, and from which a killed training goes on.

    Raises
    ------
    Unsupported
        if torch or timm is not installed, or the network cannot be trained further.
    Failed
        if the exported graph differs from the network.
    """

    def truth(position: int) -> NDArray[np.uint8]:
        return np.full((view.height, view.width), is_anomaly[position], np.uint8)

    with torch_threads(threads), torch_seeded(seed):
        encoder, facts = load_network(weights)
        count = len(is_anomaly)
        pictures = Pictures.gather(images, truth, count=count, height=view.height, width=view.width, classes=2)
        network = _classifier(encoder, view)
        held = [tuple(sorted(int(one) for one in part)) for part in parts]
        steps = tuning_steps(count)
        training = Training(
            network, pictures, 2, held, [steps] * (len(held) + 1), seed, RECIPE, facts, threads, checkpoint
        )
        training.restore()
        training.run(tell, enough, "fine-tuning the network")
        if not training.finished:
            return None
        found = np.empty((count, 1), np.float32)
        for part, state in zip(held, training.kept, strict=True):
            judge = training.holding(state)
            for position in part:
                found[position] = _log_odds(training, judge, position)
        graph = export_checked(
            training.holding(training.average.state_dict()), _odds, "tuned",
            mean=facts["mean"], std=facts["std"], height=view.height, width=view.width,
        )  # fmt: skip
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    return Tuned(view, graph, found)


def _classifier(encoder: nn.Module, view: View) -> nn.Module:
    """Return a network (n, 3, h, w) to (n, 2, 1, 1): one cell that is as large as the image."""
    import torch
    from torch import nn

    body = shortened(encoder)
    with torch.no_grad():
        channels = int(_features(body, torch.zeros(1, 3, 64, 64)).shape[1])

    class Classifier(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = body
            self.norm = nn.BatchNorm1d(channels)
            self.head = nn.Linear(channels, 2)
            nn.init.zeros_(self.head.weight)
            nn.init.zeros_(self.head.bias)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return cast("torch.Tensor", self.head(self.norm(_features(self.encoder, x))))[:, :, None, None]

        def train(self, mode: bool = True) -> Any:
            super().train(mode)
            self.encoder.eval()  # few images: the statistics of the pretraining are better than those of a batch
            return self

    network = Classifier()
    network.stride = (view.height, view.width)  # type: ignore[assignment]
    return network.to(memory_format=torch.channels_last)


def _features(encoder: Any, x: Any) -> Any:
    return encoder.forward_head(encoder.forward_features(x), pre_logits=True)


def _log_odds(training: Training, judge: nn.Module, position: int) -> float:
    import torch

    image = torch.from_numpy(training.pictures.images[[position]].transpose(0, 3, 1, 2) / np.float32(255))
    with torch.no_grad():
        return float(_odds(judge(training.scaled(image))))


def _odds(logits: torch.Tensor) -> torch.Tensor:
    """Return (n, 1) log-odds of (n, 2, 1, 1)."""
    return logits[:, 1:, 0, 0] - logits[:, :1, 0, 0]
