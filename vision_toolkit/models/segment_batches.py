"""Draw what a segmenter learns from: crops of images around painted pixels, changed at random, and their truth."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vision_toolkit.core.errors import Invalid

if TYPE_CHECKING:
    import torch

__all__ = ["Batches", "Pictures", "Recipe"]

Pixels = NDArray[np.uint8]
Source = Sequence[Pixels] | Callable[[int], Pixels] | Pixels
IN_MEMORY = 1 << 30
"""Bytes of images that are kept in memory; more lie in a temporary file."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Say how crops are drawn and changed.

    Whole images against crops, mild changes against strong ones, and the share of painted images were compared on a
    split of a training list of magnetic tile; the other numbers were set once.
    """

    batch: int = 6
    crop: float = 1.0
    painted: float = 0.5
    """Share of crops that lie around a painted pixel, each type as often as another."""
    scale: float = 1.2
    stretch: float = 1.08
    turn: float = 5.0
    contrast: float = 0.15
    brightness: float = 0.08
    gamma: float = 0.15
    colour: float = 0.05


@dataclass(slots=True)
class Pictures:
    """Hold n images (n, h, w, 3) and the ids of their pixels (n, h, w), both uint8, in memory or in a file."""

    images: Pixels
    ids: Pixels
    digest: str
    file: Any = field(default=None, repr=False)

    @classmethod
    def gather(cls, images: Source, truths: Source, *, count: int, height: int, width: int, classes: int) -> Pictures:
        """Read every image and its truth once.

        Raises
        ------
        Invalid
            if one has another shape or type, or an id that is no class.
        """
        shape = (count, height, width, 4)
        file = None
        if np.prod(shape) <= IN_MEMORY:
            room: Pixels = np.empty(shape, np.uint8)
        else:
            file = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the pictures
            room = np.memmap(file, np.uint8, "w+", shape=shape)
        hasher = hashlib.sha256()
        for position in range(count):
            image = np.asarray(images(position) if callable(images) else images[position])
            ids = np.asarray(truths(position) if callable(truths) else truths[position])
            if image.shape != (height, width, 3) or image.dtype != np.uint8:
                raise Invalid(
                    f"Image {position} is {image.shape} {image.dtype}; it must be ({height}, {width}, 3) uint8: "
                    "resize it first."
                )
            if ids.shape != (height, width) or ids.dtype != np.uint8:
                raise Invalid(f"Truth {position} is {ids.shape} {ids.dtype}; it must be ({height}, {width}) uint8.")
            if ids.max() >= classes:
                raise Invalid(f"Truth {position} has the id {ids.max()}; there are {classes} classes, ids from 0.")
            room[position, ..., :3], room[position, ..., 3] = image, ids
            hasher.update(room[position].tobytes())
        return cls(room[..., :3], room[..., 3], hasher.hexdigest(), file)

    def __len__(self) -> int:
        return len(self.images)

    def types(self, classes: int) -> NDArray[np.bool_]:
        """Return (n, classes) whether an image has a pixel of a class."""
        return np.stack([np.bincount(ids.ravel(), minlength=classes) > 0 for ids in self.ids])


class Batches:
    """Draw batches: batch ``t`` depends on the seed and ``t`` alone, so that a training can go on after a kill."""

    def __init__(
        self,
        pictures: Pictures,
        positions: NDArray[np.intp],
        *,
        classes: int,
        stride: int | tuple[int, int],
        seed: int,
        recipe: Recipe,
    ) -> None:
        self.pictures, self.positions, self.classes, self.stride = pictures, positions, classes, stride
        self.seed, self.recipe = seed, recipe
        height, width = pictures.ids.shape[1:3]
        self.size = tuple(min(side, max(128, round(recipe.crop * side / 32) * 32)) for side in (height, width))
        has = pictures.types(classes)[positions]
        self.painted = {index: positions[has[:, index]] for index in range(1, classes) if has[:, index].any()}

    def draw(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return crops (n, 3, ch, cw) float32 from 0 to 1 and shares of classes (n, classes, ch/s, cw/s)."""
        import torch
        import torch.nn.functional as F

        rng = np.random.default_rng([self.seed, step])
        images, shares = [], []
        kinds = list(self.painted)
        for slot in range(self.recipe.batch):
            around = None
            if kinds and slot < self.recipe.painted * self.recipe.batch:
                kind = kinds[(step * self.recipe.batch + slot) % len(kinds)]
                position = int(rng.choice(self.painted[kind]))
                flat = np.flatnonzero(self.pictures.ids[position] == kind)
                around = np.divmod(int(rng.choice(flat)), self.pictures.ids.shape[2])
            else:
                position = int(rng.choice(self.positions))
            grid = self._grid(rng, around)
            both = (
                torch.from_numpy(
                    np.concatenate([self.pictures.images[position], self.pictures.ids[position][..., None]], axis=2)
                )
                .permute(2, 0, 1)[None]
                .float()
            )
            image = F.grid_sample(both[:, :3], grid, padding_mode="reflection", align_corners=False)
            ids = F.grid_sample(both[:, 3:], grid, mode="nearest", padding_mode="reflection", align_corners=False)
            images.append(self._lit(image[0] / 255.0, rng))
            shares.append(F.one_hot(ids[0, 0].long(), self.classes).permute(2, 0, 1).float())
        truth = F.avg_pool2d(torch.stack(shares), self.stride)
        return torch.stack(images), truth

    def _grid(self, rng: np.random.Generator, around: tuple[int, int] | None) -> torch.Tensor:
        """Return the places (1, ch, cw, 2) of a crop's pixels, from -1 to 1 across the image."""
        import torch
        import torch.nn.functional as F

        recipe = self.recipe
        whole = np.array(self.pictures.ids.shape[1:3], float)
        size = np.array(self.size, float)
        zoom = recipe.scale ** rng.uniform(-1, 1)
        stretch = recipe.stretch ** rng.uniform(-1, 1)
        extent = size * zoom * np.array([stretch, 1 / stretch])
        if around is None:
            centre = rng.uniform(np.minimum(extent / 2, whole / 2), np.maximum(whole - extent / 2, whole / 2))
        else:
            centre = np.array(around) + rng.uniform(-0.4, 0.4, 2) * extent
            centre = np.clip(centre, np.minimum(extent / 2, whole / 2), np.maximum(whole - extent / 2, whole / 2))
        angle = np.deg2rad(rng.uniform(-recipe.turn, recipe.turn))
        sy, sx = rng.choice([-1.0, 1.0], 2)
        # rows: x and y in pixels of the image, from x and y of the crop, both -1 to 1
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        matrix = turn @ np.diag([sx * extent[1] / 2, sy * extent[0] / 2])
        theta = np.concatenate([matrix, centre[::-1, None]], axis=1)
        theta[0] *= 2 / whole[1]
        theta[1] *= 2 / whole[0]
        theta[:, 2] -= 1
        one = torch.from_numpy(theta[None].astype(np.float32))
        return F.affine_grid(one, [1, 3, *self.size], align_corners=False)

    def _lit(self, image: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        """Change light and colour of (3, h, w) float32 from 0 to 1."""
        import torch

        recipe = self.recipe
        image = image ** float((1 + recipe.gamma) ** rng.uniform(-1, 1))
        factor = (1 + recipe.contrast) ** rng.uniform(-1, 1)
        tint = torch.from_numpy(rng.uniform(-recipe.colour, recipe.colour, (3, 1, 1)).astype(np.float32))
        middle = image.mean()
        brighter = float(rng.uniform(-recipe.brightness, recipe.brightness))
        return ((image - middle) * float(factor) + middle + brighter + tint).clamp(0, 1)
