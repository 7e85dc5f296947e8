"""Make the feature extractor that the package carries: distil an ImageNet teacher on drawn images.

    python training/backbone/distil.py TEACHER.safetensors [--steps 10000] [--folder build/backbone]

The teacher is a MobileNetV2 (`mobilenetv2_100` of timm) whose weights may be passed on. The student has the same
blocks, begins at random and sees drawn images only (`draw.py`). It learns feature by feature. First each of its blocks
learns alone what the teacher's block makes of the teacher's features, all blocks at once (blockwise distillation; Wang,
Zhao, Li and Tan, 2018): no block waits until those below it are good. Then all learn together from the pixels on, so
that errors do not add up.

Everything lies in the folder: the drawn images, the state (written every 20 s; the same command goes on after a
kill), `curve.csv` (unexplained share of the variance of the teacher's features, on drawn images that were never
trained on), and in the end `student.safetensors`, which `vt.train(weights=...)` takes as it is. A GPU is used where
there is one. The same command sees the same images in the same order, so that two runs differ by rounding alone.
"""

from __future__ import annotations

import argparse
import csv
import math
import os
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from draw import draw
from numpy.typing import NDArray
from torch import nn

from vision_toolkit.models.arrays import pack_arrays, unpack_arrays
from vision_toolkit.models.backbone import load_network

NETWORK, PADDING = "mobilenetv2_100", "same"
HELD_OUT, SIDE, CROP = 96, 192, 128
PIECE = 256
"""Images that are drawn and kept together."""
GROUPS = 8
"""Into how many groups a batch falls: the crops of one are of one size."""
RATE, TOGETHER_RATE, DECAY, WARM = 4e-3, 1e-3, 1e-4, 100
TOGETHER = 0.6
"""Share of the steps in which all blocks learn together."""
KEPT = 0.998
"""What a step leaves of the running average of the weights."""
FINE = 16
"""Side of the largest maps of which a block that learns alone sees the whole batch; of larger ones a part is enough."""
JUDGED_EVERY, SAVED_EVERY = 60.0, 20.0
LEVELS = ("blocks.1.1", "blocks.2.2", "blocks.4.2", "blocks.6.0", "head")
"""Whose unexplained variance is told: strides 4, 8, 16 and 32, and the last layer."""


def draw_all(folder: Path, count: int, processes: int) -> NDArray[np.uint8]:
    """Return the drawn images (n, 3, side, side) uint8, those held out first; drawn once, in pieces."""
    pieces, size = folder / "images", PIECE
    pieces.mkdir(parents=True, exist_ok=True)
    every = range(0, count + HELD_OUT, size)
    starts = [start for start in every if not (pieces / f"{start:06}.npy").exists()]
    with ProcessPoolExecutor(processes) as pool:
        for start in pool.map(_draw_piece, starts, [size] * len(starts), [pieces] * len(starts)):
            print(f"drew {start + size} of {count + HELD_OUT} images", flush=True)
    return np.concatenate([np.load(pieces / f"{start:06}.npy") for start in every])[: count + HELD_OUT]


def _draw_piece(start: int, size: int, pieces: Path) -> int:
    images = np.stack([draw(number, SIDE).transpose(2, 0, 1) for number in range(start, start + size)])
    part = pieces / f"part{start}.npy"
    np.save(part, images)
    part.replace(pieces / f"{start:06}.npy")
    return start


def batch(images: torch.Tensor, size: int, step: int) -> torch.Tensor:
    """Return crops (n, 3, c, c) float32, x / 127.5 - 1, of images (m, 3, side, side) uint8.

    A crop is turned, mirrored, has its colours in another order, and another contrast and brightness. Batch ``step``
    depends on the step alone.
    """
    rng = np.random.default_rng([8, step])
    each, crops = size // GROUPS, []
    for _ in range(GROUPS):
        side, turned = int(rng.uniform(64, SIDE)), rng.random() < 0.5
        lines = rng.integers(0, SIDE - side + 1, (2, each, 1)) + np.arange(side)
        lines = np.where(rng.random((2, each, 1)) < 0.5, lines[..., ::-1], lines)
        colours = np.where(
            rng.random((each, 1)) < 0.5, rng.permuted(np.tile(np.arange(3), (each, 1)), axis=1), np.arange(3)
        )
        which = [rng.integers(len(images), size=(each, 1, 1, 1)), colours[:, :, None, None]]
        which += [lines[0][:, None, :, None], lines[1][:, None, None, :]]
        crop = images[tuple(torch.from_numpy(one).to(images.device) for one in which)].float() / 255
        crop = crop.transpose(2, 3) if turned else crop
        crop = F.interpolate(crop, (CROP, CROP), mode="bilinear", antialias=True, align_corners=False)
        gain, shift = (torch.from_numpy(one.astype(np.float32)).to(images.device) for one in _exposure(rng, each))
        crops.append((((crop - 0.5) * gain + 0.5 + shift).clamp(0, 1) * 255).round() / 127.5 - 1)
    return torch.cat(crops).contiguous(memory_format=torch.channels_last)


def _exposure(rng: np.random.Generator, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return 2.0 ** rng.normal(0, 0.25, (count, 1, 1, 1)), rng.normal(0, 0.06, (count, 1, 1, 1))


def units(network: Any) -> dict[str, nn.Module]:
    """Return the blocks of a network in order, each a function of the one before."""
    found: dict[str, nn.Module] = {"stem": nn.Sequential(network.conv_stem, network.bn1)}
    for stage, blocks in enumerate(network.blocks):
        found |= {f"blocks.{stage}.{number}": block for number, block in enumerate(blocks)}
    return found | {"head": nn.Sequential(network.conv_head, network.bn2)}


class Distillation:
    """Hold teacher, student and optimizer; all that a kill must not lose is in the state."""

    def __init__(
        self, teacher: Any, student: Any, images: torch.Tensor, *, steps: int, size: int, folder: Path
    ) -> None:
        self.teacher, self.student, self.folder = teacher.eval(), student, folder
        self.images, self.held_out = images[HELD_OUT:], images[:HELD_OUT]
        self.steps, self.size, self.spent, self.step = steps, size, 0.0, 0
        self.optimizer = torch.optim.AdamW(student.parameters(), lr=RATE, weight_decay=DECAY)
        state = student.state_dict()
        self.average = {name: value.clone() for name, value in state.items()}
        self.moving = [name for name, value in state.items() if value.dtype.is_floating_point]
        self.pairs = list(zip(units(self.teacher).items(), units(student).values(), strict=True))
        self.spread = self._spreads()

    def _spreads(self) -> dict[str, torch.Tensor]:
        """Return the spread of each channel of each of the teacher's blocks."""
        found: dict[str, torch.Tensor] = {}
        with torch.no_grad():
            x = batch(self.images, 96, 1 << 30)
            for (name, unit), _ in self.pairs:
                x = unit(x)
                each = x.std(dim=(0, 2, 3), keepdim=True)
                found[name] = each.clamp_min(0.05 * float(each.median()))
        return found

    def advance(self) -> torch.Tensor:
        """Take one step; return its loss."""
        share = self.step / self.steps
        alone = share < 1 - TOGETHER
        progress = share / (1 - TOGETHER) if alone else (share - 1 + TOGETHER) / TOGETHER
        peak = RATE if alone else TOGETHER_RATE
        warm = min(1.0, (self.step + 1) / WARM)
        for group in self.optimizer.param_groups:
            group["lr"] = warm * peak * (0.5 + 0.5 * math.cos(math.pi * min(1.0, progress)) + 0.01)
        if self.student.training != alone:
            self.student.train(alone)
        x = own = batch(self.images, self.size, self.step)
        loss = torch.zeros((), device=x.device)
        for (name, one), other in self.pairs:
            with torch.no_grad():
                y = one(x)
            few = self.size // 4 if alone and x.shape[-1] > FINE else self.size
            own = other(x[:few] if alone else own)
            loss = loss + F.smooth_l1_loss(own / self.spread[name], y[:few] / self.spread[name], beta=1.0)
            x = y
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.student.parameters(), 5.0)
        self.optimizer.step()
        self.step += 1
        kept = min(KEPT, self.step / (self.step + 10))
        state = self.student.state_dict()
        old, new = ([of[name] for name in self.moving] for of in (self.average, state))
        with torch.no_grad():
            torch._foreach_lerp_(old, new, 1 - kept)
        return loss.detach()

    def judge(self) -> dict[str, float]:
        """Return the unexplained share of the variance of the teacher's features, of held-out images."""
        now = {name: value.clone() for name, value in self.student.state_dict().items()}
        self.student.load_state_dict(self.average)
        self.student.eval()
        wrong: dict[str, list[float]] = {}
        with torch.no_grad():
            for given in self.held_out.split(16):
                one = other = (given / 127.5 - 1).contiguous(memory_format=torch.channels_last)
                for (name, teach), learn in self.pairs:
                    one, other = teach(one), learn(other)
                    wrong.setdefault(name, []).append(float((((other - one) / self.spread[name]) ** 2).mean()))
        self.student.load_state_dict(now)
        return {name: float(np.mean(wrong[name])) for name in LEVELS}

    def run(self) -> None:
        """Train until all steps are done."""
        saved = judged = started = time.monotonic()
        before = self.spent
        while self.step < self.steps:
            loss = self.advance()
            now = time.monotonic()
            self.spent = before + now - started
            if now - saved > SAVED_EVERY:
                self.save()
                saved = now
            if now - judged > JUDGED_EVERY or self.step == 1:
                self.note(float(loss))
                judged = now
        self.save()
        self.note(float(loss))
        self.write()

    def note(self, loss: float) -> None:
        """Add a line to the curve."""
        file = self.folder / "curve.csv"
        line = {"step": self.step, "hours": round(self.spent / 3600, 3), "loss": round(loss, 4)}
        line |= {name: round(value, 4) for name, value in self.judge().items()}
        new = not file.exists()
        with file.open("a", newline="") as out:
            writer = csv.DictWriter(out, list(line))
            if new:
                writer.writeheader()
            writer.writerow(line)
        print(line, flush=True)

    def save(self) -> None:
        """Write the state."""
        arrays = {"step": np.array([self.step]), "spent": np.array([self.spent], np.float32)}
        arrays |= {f"student/{name}": value.cpu().numpy() for name, value in self.student.state_dict().items()}
        arrays |= {f"average/{name}": value.cpu().numpy() for name, value in self.average.items()}
        for number, values in self.optimizer.state_dict()["state"].items():
            arrays |= {f"optimizer/{number}/{name}": value.cpu().numpy() for name, value in values.items()}
        part = self.folder / "state.part"
        part.write_bytes(pack_arrays(arrays))
        part.replace(self.folder / "state.safetensors")

    def restore(self) -> None:
        """Go on from a state."""
        file = self.folder / "state.safetensors"
        if not file.exists():
            return
        arrays = {name: torch.from_numpy(value.copy()) for name, value in unpack_arrays(file.read_bytes()).items()}
        self.step, self.spent = int(arrays["step"]), float(arrays["spent"])
        device = self.images.device
        self.student.load_state_dict({k[8:]: v for k, v in arrays.items() if k.startswith("student/")})
        self.average = {k[8:]: v.to(device) for k, v in arrays.items() if k.startswith("average/")}
        state = self.optimizer.state_dict()
        numbers = {k.split("/")[1] for k in arrays if k.startswith("optimizer/")}
        state["state"] = {
            int(n): {k.split("/")[2]: v for k, v in arrays.items() if k.startswith(f"optimizer/{n}/")} for n in numbers
        }
        self.optimizer.load_state_dict(state)
        print(f"goes on from step {self.step}", flush=True)

    def write(self) -> None:
        """Write the student as a file that vt.train takes."""
        from safetensors.torch import save_file

        facts = {"timm": NETWORK, "pad_type": PADDING, "license": "Apache-2.0", "input": "x/127.5-1"}
        weights = {name: value.cpu().contiguous() for name, value in self.average.items()}
        save_file(weights, self.folder / "student.safetensors", metadata=facts)


def main() -> None:
    """Draw, distil, write."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("teacher", type=Path, help="weights of the teacher, with timm's names")
    parser.add_argument("--steps", type=int, default=10_000, help="of training (default: 10000)")
    parser.add_argument("--batch", type=int, default=256, help=f"crops a step, a multiple of {GROUPS} (default: 256)")
    parser.add_argument("--images", type=int, default=12_192, help="to draw and learn from (default: 12192)")
    parser.add_argument("--folder", type=Path, default=Path("build/backbone"), help="where everything goes")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    images = draw_all(options.folder, options.images, options.threads)
    import timm

    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    teacher, _ = load_network(options.teacher)
    student = timm.create_model(NETWORK, pretrained=False, pad_type=PADDING)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    for network in (teacher, student):
        network.to(device, memory_format=torch.channels_last)
    on_device = torch.from_numpy(images).to(device)
    work = Distillation(teacher, student, on_device, steps=options.steps, size=options.batch, folder=options.folder)
    work.restore()
    work.run()


if __name__ == "__main__":
    main()
