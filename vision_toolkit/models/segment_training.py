"""Go through the phases of a segmenter's training, so that neither a kill nor an end cut short loses anything.

torch is imported inside functions only.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from vision_toolkit.core.errors import VisionError
from vision_toolkit.data.storage import write_file
from vision_toolkit.models.arrays import pack_arrays, unpack_arrays
from vision_toolkit.models.segment_batches import Batches, Pictures, Recipe
from vision_toolkit.models.segment_network import export_network, trained_parameters

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["Training"]

VERSION = 1
"""Raised whenever the same state would train on to other numbers."""
AGAIN = 0.6
"""Peak of the learning rate when the trial's network learns on, to the first peak."""
RATES = (1e-3, 4e-3)
"""Peaks of the learning rate of encoder and decoder."""
DECAY = 1e-2
WARM = 0.1
RARE = 0.25
"""Power of a class's share of pixels by which its weight in the cross-entropy falls."""
SLOWEST = 0.97
"""Share of the average of weights that stays at each step."""
SAVED_EVERY = 10.0
Progress = Callable[[float, str], None]


class Training:
    """Go through the trials and the final phase; everything that a kill must not lose is in the state.

    ``lengths`` are the steps of each: one phase without each of the ``parts``, then one with all images, which goes on
    from where the last trial ended.
    """

    def __init__(
        self,
        network: nn.Module,
        pictures: Pictures,
        classes: int,
        parts: Sequence[tuple[int, ...]],
        lengths: Sequence[int],
        seed: int,
        recipe: Recipe,
        facts: dict[str, Any],
        threads: int,
        checkpoint: Path | None,
    ) -> None:
        self.start, self.network, self.pictures, self.classes = (
            copy.deepcopy(network.state_dict()),
            network,
            pictures,
            classes,
        )
        self.parts, self.seed, self.recipe, self.facts, self.checkpoint = parts, seed, recipe, facts, checkpoint
        self.threads = threads
        self.lengths = list(lengths)
        self.phase, self.step, self.finished = 0, 0, True
        self.kept: list[dict[str, torch.Tensor]] = []
        self.key = _key(self)
        self.begin()

    def begin(self) -> None:
        """Set up the optimizer and the average of weights of a phase."""
        import torch

        last = self.phase == len(self.parts)
        self.network.load_state_dict(self.kept[-1] if last and self.kept else self.start)
        self.average = copy.deepcopy(self.network).eval()
        groups = trained_parameters(self.network)
        again = AGAIN if last and self.kept else 1.0
        self.rates = [rate * again for rate in RATES]
        self.optimizer = torch.optim.AdamW(
            [{"params": list(group), "lr": rate} for group, rate in zip(groups, self.rates, strict=True) if group],
            weight_decay=DECAY,
        )
        everything = np.arange(len(self.pictures))
        seen = everything if last else np.setdiff1d(everything, self.parts[self.phase])
        self.batches = Batches(
            self.pictures,
            seen,
            classes=self.classes,
            stride=cast("Any", self.network).stride,
            seed=self.seed * 1000 + self.phase,
            recipe=self.recipe,
        )

    def run(self, tell: Progress, enough: Callable[[], bool], what: str = "painting types") -> None:
        """Train until everything is done, enough, or interrupted."""
        saved = time.monotonic()
        done, total = sum(self.lengths[: self.phase]) + self.step, sum(self.lengths)
        try:
            while self.phase < len(self.lengths):
                while self.step < self.lengths[self.phase]:
                    if enough():
                        self.finished = False
                        return
                    loss = self.advance()
                    done += 1
                    tell(done / total, f"{what}, loss {loss:.3f}")
                    if self.checkpoint is not None and time.monotonic() - saved > SAVED_EVERY:
                        self.save()
                        saved = time.monotonic()
                if self.phase == len(self.parts):
                    return
                self.kept.append(copy.deepcopy(self.average.state_dict()))
                self.phase, self.step = self.phase + 1, 0
                self.begin()
        except KeyboardInterrupt:
            self.finished = False

    def advance(self) -> float:
        """Take one step."""
        import torch

        length = self.lengths[self.phase]
        share = (self.step + 1) / length
        factor = min(share / WARM, 0.5 * (1 + np.cos(np.pi * max(0.0, share - WARM) / (1 - WARM))) + 1e-3)
        for group, rate in zip(
            self.optimizer.param_groups, self.rates[-len(self.optimizer.param_groups) :], strict=True
        ):
            group["lr"] = rate * factor
        images, truth = self.batches.draw(self.step)
        self.network.train()
        loss = _loss(self.network(self.scaled(images)), truth)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_([p for p in self.network.parameters() if p.requires_grad], 5.0)
        self.optimizer.step()
        self.step += 1
        kept = min(SLOWEST, self.step / (self.step + 10))
        with torch.no_grad():
            for old, new in zip(self.average.state_dict().values(), self.network.state_dict().values(), strict=True):
                if old.dtype.is_floating_point:
                    old.lerp_(new, 1 - kept)
                else:
                    old.copy_(new)
        return float(loss.detach())

    def scaled(self, images: torch.Tensor) -> torch.Tensor:
        """Return images from 0 to 1 as the encoder wants them."""
        import torch

        mean, std = (torch.tensor(self.facts[name]).view(1, 3, 1, 1) for name in ("mean", "std"))
        return ((images - mean) / std).contiguous(memory_format=torch.channels_last)

    def save(self) -> None:
        """Write the state; a disk that is full costs the checkpoint, not the training."""
        assert self.checkpoint is not None
        with contextlib.suppress(VisionError):
            write_file(self.checkpoint, pack_arrays(self.state()), overwrite=True)

    def state(self) -> dict[str, NDArray[Any]]:
        """Return everything as named arrays."""
        arrays: dict[str, NDArray[Any]] = {
            "key": np.frombuffer(self.key.encode(), np.uint8),
            "place": np.array([self.phase, self.step, len(self.kept)], np.int64),
        }
        for kind, tensors in [
            ("network", self.network.state_dict()),
            ("average", self.average.state_dict()),
            *((f"kept{number}", one) for number, one in enumerate(self.kept)),
        ]:
            arrays |= {f"{kind}/{name}": tensor.numpy() for name, tensor in tensors.items()}
        for number, values in self.optimizer.state_dict()["state"].items():
            arrays |= {f"optimizer/{number}/{name}": value.numpy() for name, value in values.items()}
        return arrays

    def restore(self) -> None:
        """Take up what a killed training left, if it is of the very same training."""
        import torch

        if self.checkpoint is None or not self.checkpoint.is_file():
            return
        try:
            arrays = unpack_arrays(self.checkpoint.read_bytes())
            if arrays["key"].tobytes() != self.key.encode():
                return
            tensors = {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
        except (OSError, ValueError, KeyError):
            return

        def part(prefix: str) -> dict[str, torch.Tensor]:
            return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

        phase, step, kept = (int(number) for number in arrays["place"])
        self.kept = [part(f"kept{number}/") for number in range(kept)]
        self.phase = phase
        self.begin()
        self.step = step
        self.network.load_state_dict(part("network/"))
        self.average.load_state_dict(part("average/"))
        state: dict[int, dict[str, torch.Tensor]] = {}
        for name, value in part("optimizer/").items():
            number, _, field_name = name.partition("/")
            state.setdefault(int(number), {})[field_name] = value
        whole = self.optimizer.state_dict()
        self.optimizer.load_state_dict({"state": state, "param_groups": whole["param_groups"]})

    def export(self, state: dict[str, torch.Tensor], bias: NDArray[np.float32]) -> bytes:
        """Return a state of the network as ONNX; ``bias`` (classes,) is added to its logits."""
        height, width = self.pictures.ids.shape[1:3]
        mean, std = self.facts["mean"], self.facts["std"]
        return export_network(self.holding(state), mean=mean, std=std, bias=bias, height=height, width=width)

    def holding(self, state: dict[str, torch.Tensor]) -> nn.Module:
        """Return a copy of the network with a state, in evaluation mode."""
        network = copy.deepcopy(self.network)
        network.load_state_dict(state)
        return network.eval()

    def steps_done(self) -> int:
        """Return the steps of all phases so far."""
        return sum(self.lengths[: self.phase]) + self.step


def _loss(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Return weighted cross-entropy and minus the mean logarithm of the soft IoU of the types in the batch.

    The logarithm pulls as hard at a type of a few pixels that is hardly found yet as at a large one; without it and
    the weights small types are not learned at all in so few steps.
    """
    log = logits.log_softmax(dim=1)
    amount = truth.sum(dim=(0, 2, 3))
    weight = (amount / amount.sum()).clamp_min(1e-6) ** -RARE
    weighted = truth * weight[None, :, None, None]
    entropy = -(weighted * log).sum() / weighted.sum()
    there = amount[1:] > 0
    if not bool(there.any()):
        return entropy
    said = log.exp()
    both = (said * truth).sum(dim=(0, 2, 3))
    squares = (said * said + truth * truth).sum(dim=(0, 2, 3))  # a share of a half, said to be a half, is a hit
    return entropy - (both / (squares - both).clamp_min(1e-6))[1:][there].clamp_min(1e-4).log().mean()


def _key(training: Training) -> str:
    """Return what must be the same for a checkpoint to be taken up."""
    import torch

    hasher = hashlib.sha256(training.pictures.digest.encode())
    for tensor in training.start.values():
        hasher.update(tensor.numpy().tobytes())
    facts = (VERSION, torch.__version__, training.classes, training.pictures.ids.shape, training.parts)
    hasher.update(repr((facts, training.lengths, training.seed, asdict(training.recipe), training.threads)).encode())
    return hasher.hexdigest()
