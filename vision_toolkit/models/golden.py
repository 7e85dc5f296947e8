"""The images whose answers travel with a package: some that were given, or patterns that are drawn."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vision_toolkit.core.entry import Entry
from vision_toolkit.core.errors import Invalid
from vision_toolkit.data.images import read_image

if TYPE_CHECKING:
    from vision_toolkit.models.model import Model

__all__ = ["MOST_GOLDEN", "drawn_images", "given_images"]

MOST_GOLDEN = 99
"""Golden images of a package at most."""
DRAWN = 8


def given_images(golden: Iterable[Any]) -> Iterator[NDArray[np.uint8]]:
    """Read the images that were given, one after the other; raise Invalid where they are none, too many or no list."""
    if isinstance(golden, str | bytes | os.PathLike | Entry | np.ndarray):
        raise Invalid(f"golden is a manifest or a list of images; one {type(golden).__name__} was given. Put it in [].")
    sources = list(islice(golden, MOST_GOLDEN + 1))
    if not 1 <= len(sources) <= MOST_GOLDEN:
        count = "more" if sources else "none"
        raise Invalid(f"golden holds 1 to {MOST_GOLDEN} images; {count} were given. Choose some of each verdict.")
    return map(read_image, sources)


def drawn_images(model: Model) -> list[NDArray[np.uint8]]:
    """Draw patterns and keep those that say most: of each verdict, the scores nearest to the threshold.

    A score on the threshold itself comes last: on another machine it may turn with the last digit.
    """
    size = model.info["inputs"][0]
    patterns = _patterns(size["height"], size["width"])
    predictions = [model.predict(image) for image in patterns]
    margins = [abs((p.score or 0.0) - model.threshold) for p in predictions]
    order = sorted(range(len(patterns)), key=lambda i: (margins[i] < 2e-3, margins[i]))
    kept: list[int] = []
    for verdict in (True, False):
        kept += [i for i in order if predictions[i].is_anomalous is verdict][: DRAWN // 2]
    kept += [i for i in order if i not in kept][: DRAWN - len(kept)]
    return [patterns[i] for i in sorted(kept)]


def _patterns(height: int, width: int) -> list[NDArray[np.uint8]]:
    """Draw plates of several surfaces with a disc and blots of several contrasts; some of other sizes and shapes."""
    rng = np.random.default_rng(0)
    found = []
    for number in range(12):
        tall = height * 2 if number % 4 == 1 else height
        wide = width + 37 if number % 4 == 2 else width
        y, x = np.mgrid[:tall, :wide].astype(np.float64)
        image = np.full((tall, wide, 3), rng.uniform(40, 200, 3) if number % 2 else rng.uniform(60, 190))
        image += rng.normal(0, rng.choice([0, 2, 8]), (tall, wide, 1)) + rng.uniform(-20, 20) * (x / wide)[..., None]
        image[(y - tall / 2) ** 2 + (x - wide / 2) ** 2 < (min(tall, wide) / 3) ** 2] += rng.uniform(-60, 60)
        for _ in range(number // 3):
            middle, side = rng.uniform(0.2, 0.8, 2) * (tall, wide), rng.uniform(0.01, 0.08) * min(tall, wide)
            image[(y - middle[0]) ** 2 + (x - middle[1]) ** 2 < side**2] += rng.uniform(-90, 90)
        found.append(np.clip(image, 0, 255).astype(np.uint8))
    return found
