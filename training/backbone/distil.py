"""Make the feature extractor that the package carries: distil an ImageNet teacher on drawn images.

    python training/backbone/distil.py TEACHER.safetensors [--steps 12000] [--folder build/backbone]

The teacher is a MobileNetV2 (`mobilenetv2_100` of timm) whose weights may be passed on. The student has the same
blocks, begins at random and sees drawn images only (`draw.py`). It learns feature by feature. First each of its blocks
learns alone what the teacher's block makes of the teacher's features, all blocks at once (blockwise distillation; Wang,
Zhao, Li and Tan, 2018): no block waits until those below it are good. Then all learn together from the pixels on, so
that errors do not add up.

Everything lies in the folder: the drawn images, the state (written every minute; the same command goes on after a
kill), `curve.csv` (unexplained share of the variance of the teacher's features, on drawn images that were never
trained on), and in the end `student.safetensors`, which `vt.train(weights=...)` takes as it is. The same steps on as
many threads of the same machine give the same numbers.
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
IMAGES, HELD_OUT, SIDE = 4_000, 96, 192
CROP, BATCH = 128, 16
RATE, TOGETHER_RATE, DECAY, WARM = 4e-3, 1e-3, 1e-4, 100
TOGETHER = 0.3
"""Share of the steps in which all blocks learn together."""
FINE = 16
"""Side of the largest maps of which a block that learns alone sees the whole batch; of larger ones a part is enough."""
JUDGED_EVERY, SAVED_EVERY = 300.0, 60.0
LEVELS = ("blocks.1.1", "blocks.2.2", "blocks.4.2", "blocks.6.0", "head")
"""Whose unexplained variance is told: strides 4, 8, 16 and 32, and the last layer."""


def draw_all(folder: Path, threads: int) -> NDArray[np.uint8]:
    """Return the drawn images (n, side, side, 3) uint8; drawn once, in pieces."""
    pieces = folder / "images"
    pieces.mkdir(parents=True, exist_ok=True)
    count, size = IMAGES + HELD_OUT, 256
    starts = [start for start in range(0, count, size) if not (pieces / f"{start:06}.npy").exists()]
    with ProcessPoolExecutor(threads) as pool:
        for start in pool.map(_draw_piece, starts, [min(size, count - s) for s in starts], [pieces] * len(starts)):
            print(f"drew {start + size} of {count} images", flush=True)
    return np.concatenate([np.load(pieces / f"{start:06}.npy") for start in range(0, count, size)])


def _draw_piece(start: int, size: int, pieces: Path) -> int:
    images = np.stack([draw(number, SIDE) for number in range(start, start + size)])
    part = pieces / f"part{start}.npy"
    np.save(part, images)
    part.replace(pieces / f"{start:06}.npy")
    return start


def batch(images: NDArray[np.uint8], step: int) -> torch.Tensor:
    """Return crops (n, 3, c, c) float32, x / 127.5 - 1; batch ``step`` depends on the step alone."""
    rng = np.random.default_rng([8, step])
    crops = []
    for _ in range(BATCH):
        image = images[rng.integers(len(images))]
        size = int(rng.uniform(64, SIDE))
        top, left = rng.integers(0, SIDE - size + 1, 2)
        crop = np.rot90(image[top : top + size, left : left + size], rng.integers(4))
        crop = crop[:, ::-1] if rng.random() < 0.5 else crop
        crop = crop[..., rng.permutation(3)] if rng.random() < 0.5 else crop
        whole = torch.from_numpy(np.ascontiguousarray(crop.transpose(2, 0, 1)))[None].float() / 255
        whole = F.interpolate(whole, (CROP, CROP), mode="bilinear", antialias=True, align_corners=False)
        gain, shift = 2.0 ** rng.normal(0, 0.25), rng.normal(0, 0.06)
        crops.append((((whole - 0.5) * gain + 0.5 + shift).clamp(0, 1) * 255).round() / 127.5 - 1)
    return torch.cat(crops).contiguous(memory_format=torch.channels_last)


def units(network: Any) -> dict[str, nn.Module]:
    """Return the blocks of a network in order, each a function of the one before."""
    found: dict[str, nn.Module] = {"stem": nn.Sequential(network.conv_stem, network.bn1)}
    for stage, blocks in enumerate(network.blocks):
        found |= {f"blocks.{stage}.{number}": block for number, block in enumerate(blocks)}
    return found | {"head": nn.Sequential(network.conv_head, network.bn2)}


class Distillation:
    """Hold teacher, student and optimizer; all that a kill must not lose is in the state."""

    def __init__(self, teacher: Any, student: Any, images: NDArray[np.uint8], steps: int, folder: Path) -> None:
        self.teacher, self.student, self.folder = teacher.eval(), student, folder
        self.images, self.held_out = images[HELD_OUT:], images[:HELD_OUT]
        self.steps, self.spent, self.step = steps, 0.0, 0
        self.optimizer = torch.optim.AdamW(student.parameters(), lr=RATE, weight_decay=DECAY)
        self.average = {name: value.clone() for name, value in student.state_dict().items()}
        self.spread = self._spreads()

    def _spreads(self) -> dict[str, torch.Tensor]:
        """Return the spread of each channel of each of the teacher's blocks."""
        found: dict[str, torch.Tensor] = {}
        with torch.no_grad():
            x = torch.cat([batch(self.images, -1 - number + (1 << 30)) for number in range(6)])
            for name, unit in units(self.teacher).items():
                x = unit(x)
                each = x.std(dim=(0, 2, 3), keepdim=True)
                found[name] = each.clamp_min(0.05 * float(each.median()))
        return found

    def advance(self) -> float:
        """Take one step."""
        share = self.step / self.steps
        alone = share < 1 - TOGETHER
        progress = share / (1 - TOGETHER) if alone else (share - 1 + TOGETHER) / TOGETHER
        peak = RATE if alone else TOGETHER_RATE
        warm = min(1.0, (self.step + 1) / WARM)
        for group in self.optimizer.param_groups:
            group["lr"] = warm * peak * (0.5 + 0.5 * math.cos(math.pi * min(1.0, progress)) + 0.01)
        self.student.train(alone)
        x = batch(self.images, self.step)
        loss = torch.zeros(())
        own = x
        for (name, one), other in zip(units(self.teacher).items(), units(self.student).values(), strict=True):
            with torch.no_grad():
                y = one(x)
            few = BATCH // 4 if alone and x.shape[-1] > FINE else BATCH
            own = other(x[:few] if alone else own)
            loss = loss + F.smooth_l1_loss(own / self.spread[name], y[:few] / self.spread[name], beta=1.0)
            x = y
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.student.parameters(), 5.0)
        self.optimizer.step()
        self.step += 1
        kept = min(0.995, self.step / (self.step + 10))
        with torch.no_grad():
            for name, value in self.student.state_dict().items():
                old = self.average[name]
                old.lerp_(value, 1 - kept) if value.dtype.is_floating_point else old.copy_(value)
        return float(loss.detach())

    def judge(self) -> dict[str, float]:
        """Return the unexplained share of the variance of the teacher's features, of held-out images."""
        now = {name: value.clone() for name, value in self.student.state_dict().items()}
        self.student.load_state_dict(self.average)
        self.student.eval()
        wrong: dict[str, list[float]] = {}
        with torch.no_grad():
            for start in range(0, len(self.held_out), BATCH):
                given = torch.from_numpy(self.held_out[start : start + BATCH].transpose(0, 3, 1, 2)) / 127.5 - 1
                one = other = given.contiguous(memory_format=torch.channels_last)
                for (name, teach), learn in zip(units(self.teacher).items(), units(self.student).values(), strict=True):
                    one, other = teach(one), learn(other)
                    wrong.setdefault(name, []).append(float((((other - one) / self.spread[name]) ** 2).mean()))
        self.student.load_state_dict(now)
        return {name: float(np.mean(wrong[name])) for name in LEVELS}

    def run(self) -> None:
        """Train until all steps are done."""
        saved = judged = time.monotonic()
        while self.step < self.steps:
            started = time.monotonic()
            loss = self.advance()
            self.spent += time.monotonic() - started
            if time.monotonic() - saved > SAVED_EVERY:
                self.save()
                saved = time.monotonic()
            if time.monotonic() - judged > JUDGED_EVERY or self.step == 1:
                self.note(loss)
                judged = time.monotonic()
        self.save()
        self.note(loss)
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
        arrays |= {f"student/{name}": value.numpy() for name, value in self.student.state_dict().items()}
        arrays |= {f"average/{name}": value.numpy() for name, value in self.average.items()}
        for number, values in self.optimizer.state_dict()["state"].items():
            arrays |= {f"optimizer/{number}/{name}": value.numpy() for name, value in values.items()}
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
        self.student.load_state_dict({k[8:]: v for k, v in arrays.items() if k.startswith("student/")})
        self.average = {k[8:]: v for k, v in arrays.items() if k.startswith("average/")}
        state: dict[int, dict[str, torch.Tensor]] = {}
        for name, value in arrays.items():
            if name.startswith("optimizer/"):
                _, number, field = name.split("/")
                state.setdefault(int(number), {})[field] = value
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})

    def write(self) -> None:
        """Write the student as a file that vt.train takes."""
        from safetensors.torch import save_file

        facts = {"timm": NETWORK, "pad_type": PADDING, "license": "Apache-2.0", "input": "x/127.5-1"}
        weights = {name: value.contiguous() for name, value in self.average.items()}
        save_file(weights, self.folder / "student.safetensors", metadata=facts)


def main() -> None:
    """Draw, distil, write."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("teacher", type=Path, help="weights of the teacher, with timm's names")
    parser.add_argument("--steps", type=int, default=12_000, help="of training (default: 12000)")
    parser.add_argument("--folder", type=Path, default=Path("build/backbone"), help="where everything goes")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(options.threads)
    images = draw_all(options.folder, options.threads)
    torch.manual_seed(0)
    import timm

    teacher, _ = load_network(options.teacher)
    student = timm.create_model(NETWORK, pretrained=False, pad_type=PADDING)
    for network in (teacher, student):
        network.to(memory_format=torch.channels_last)
    work = Distillation(teacher, student, images, options.steps, options.folder)
    work.restore()
    work.run()


if __name__ == "__main__":
    main()
