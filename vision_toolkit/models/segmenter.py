"""Train a network that paints anomaly types: a pretrained encoder and a light decoder, in minutes on a CPU.

First a trial network learns without the held-out images: what it says of them tells how good the method is here. It
then learns on with every image, and that is the model. No class is favoured by what the trial said: chosen on some
dozens of images, such a bias did not hold for the network that had learned on, and once cost a whole type. torch and
timm are imported inside functions only.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision_toolkit.core.errors import Invalid, Unsupported
from vision_toolkit.models.backbone import load_network
from vision_toolkit.models.runtime import session
from vision_toolkit.models.segment_batches import Pictures, Recipe, Source
from vision_toolkit.models.segment_network import build_network, output_stride
from vision_toolkit.models.segment_training import Progress, Training

__all__ = [
    "Segmenter",
    "Trial",
    "default_steps",
    "fit_segmenter",
    "paint_types",
    "torch_seeded",
    "torch_threads",
]

TRIAL_SHARE = 0.6
"""Of all steps, those of the trial; the others are for what the held-out images add."""
HELD_OUT = 0.25
NEVER = -30.0
"""Added to the logit of a type that no image has."""
FEWEST_PAINTED = 4
"""Images of a type from which on some are held out."""


@dataclass(frozen=True, slots=True)
class Trial:
    """Hold a network that has not seen some of the images.

    Parameters
    ----------
    positions
        of the images that were held out.
    graph
        ONNX bytes, as :attr:`Segmenter.graph`.
    """

    positions: tuple[int, ...]
    graph: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Segmenter:
    """Hold a trained network that paints anomaly types.

    Parameters
    ----------
    graph
        ONNX bytes: ``image`` (n, h, w, 3) uint8 to ``types`` (n, h/s, w/s, classes) float32 probabilities,
        background first; a type that no image has is never painted.
    stride
        s.
    trials
        networks that did not see some of the images, for scores that nobody learned by heart.
    steps
        steps done in all.
    finished
        False where the training was cut short.
    facts
        of the weights that it began with.
    """

    graph: bytes = field(repr=False)
    stride: int
    trials: tuple[Trial, ...]
    steps: int
    finished: bool
    facts: dict[str, Any]


def fit_segmenter(
    images: Source,
    truths: Source,
    *,
    count: int,
    classes: int,
    weights: str | os.PathLike[str] | None,
    height: int,
    width: int,
    seed: int = 0,
    threads: int = 1,
    held_out: Sequence[Sequence[int]] | None = None,
    steps: int | None = None,
    checkpoint: Path | None = None,
    tell: Progress | None = None,
    enough: Callable[[], bool] | None = None,
    recipe: Recipe | None = None,
) -> Segmenter:
    """Train a network that paints anomaly types.

    Parameters
    ----------
    images, truths
        ``count`` arrays, or functions of a position that give them: (height, width, 3) uint8 RGB, and the ids of their
        pixels, (height, width) uint8, 0 the background. Each is asked for once.
    count, classes
        images, and classes with the background.
    weights
        of the encoder; see :func:`vision_toolkit.models.backbone.load_network`.
    height, width
        of the input in pixels, multiples of 32.
    seed, threads
        the same input, seed and threads give the same numbers.
    held_out
        positions that each trial does not see; by default one trial without a quarter of the images, an empty
        sequence: no trial. Several trials cost their time each.
    steps
        of the optimizer in all; by default :func:`default_steps`.
    checkpoint
        a file to which the state goes every ten seconds, and from which the same training goes on; any other file
        there is written over. It is deleted at the end.
    tell
        told how far the work is, 0 to 1, and what is being done.
    enough
        asked at each step; True: stop, and return the best so far. Ctrl-C does the same.
    recipe
        how crops are drawn.

    Raises
    ------
    Invalid
        if an array has another shape, or an argument is out of range.
    Unsupported
        if torch or timm is not installed, or the encoder has no inner levels.
    NotFound, Failed
        as :func:`vision_toolkit.models.backbone.load_network`; Failed also if the exported graph differs.

    Examples
    --------
    >>> fit_segmenter([], [], count=0, classes=2, weights="resnet18", height=64, width=64)
    Traceback (most recent call last):
    ...
    vision_toolkit.core.errors.Invalid: A segmenter learns from 1 image or more; 0 were given.
    """
    _check(count, classes, height, width, threads, steps)
    with torch_threads(threads), torch_seeded(seed):
        encoder, facts = load_network(weights)
        pictures = Pictures.gather(images, truths, count=count, height=height, width=width, classes=classes)
        has = pictures.types(classes)
        parts = _held_out(has, seed) if held_out is None else _checked(held_out, count)
        total = default_steps(count) if steps is None else steps
        network = build_network(encoder, classes)
        trial = round(total * TRIAL_SHARE) if parts else 0
        lengths = [trial] * len(parts) + [total - trial]
        training = Training(
            network, pictures, classes, parts, lengths, seed, recipe or Recipe(), facts, threads, checkpoint
        )
        training.restore()
        training.run(tell or (lambda share, text: None), enough or (lambda: False))
        segmenter = _finish(training, np.asarray(has.any(axis=0)))
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    return segmenter


def default_steps(count: int) -> int:
    """Return the steps that are worth their time for a number of images.

    Examples
    --------
    >>> default_steps(36) < default_steps(352)
    True
    """
    return int(np.clip(26 * count**0.5, 100, 700))


def paint_types(
    graph: bytes, images: Source, positions: Sequence[int], *, threads: int | None = None
) -> Iterator[NDArray[np.float32]]:
    """Yield the probabilities (h/s, w/s, classes) float32 of some images by a graph of a :class:`Segmenter`."""
    running = session(graph, threads)
    for position in positions:
        image = images(position) if callable(images) else images[position]
        (found,) = running.run(["types"], {"image": np.asarray(image)[None]})
        yield found[0]


def _finish(training: Training, present: NDArray[np.bool_]) -> Segmenter:
    """Export the trials and the network."""
    never = np.where(present, 0.0, NEVER).astype(np.float32)
    never[0] = 0.0
    trials = tuple(
        Trial(part, training.export(kept, never)) for kept, part in zip(training.kept, training.parts, strict=False)
    )
    graph = training.export(training.average.state_dict(), never)
    stride = output_stride(training.network)
    return Segmenter(graph, stride, trials, training.steps_done(), training.finished, training.facts)


def _held_out(has: NDArray[np.bool_], seed: int) -> list[tuple[int, ...]]:
    """Return one part of about a quarter of the images, of each rarest type a quarter."""
    rng = np.random.default_rng([seed, 77])
    counts = has[:, 1:].sum(axis=0)
    rarest = np.array(
        [1 + min(np.flatnonzero(row[1:]), key=lambda index: counts[index]) if row[1:].any() else 0 for row in has]
    )
    held: list[int] = []
    for kind in np.unique(rarest):
        there = rng.permutation(np.flatnonzero(rarest == kind))
        if kind == 0 or len(there) >= FEWEST_PAINTED:
            held.extend(there[: round(len(there) * HELD_OUT)].tolist())
    return [tuple(sorted(held))] if any(rarest[held]) else []


def _checked(held_out: Sequence[Sequence[int]], count: int) -> list[tuple[int, ...]]:
    parts = [tuple(sorted({int(position) for position in part})) for part in held_out]
    for part in parts:
        for position in part:
            if not 0 <= position < count:
                raise Invalid(f"held_out names the position {position}; there are {count} images, from 0.")
        if len(part) in (0, count):
            raise Invalid(
                f"A trial without {len(part)} of {count} images has nothing to judge or no image to learn from."
            )
    return parts


def _check(count: int, classes: int, height: int, width: int, threads: int, steps: int | None) -> None:
    if count < 1:
        raise Invalid(f"A segmenter learns from 1 image or more; {count} were given.")
    if not 2 <= classes <= 256:
        raise Invalid(f"classes counts the background and 1 to 255 types; {classes} was given.")
    if height < 32 or width < 32 or height % 32 or width % 32:
        raise Invalid(f"height and width are multiples of 32 pixels; {height} and {width} were given.")
    if threads < 1 or (steps is not None and steps < 1):
        raise Invalid(f"threads and steps are numbers from 1; {threads} and {steps} were given.")


@contextlib.contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Let torch use so many threads for a while; Unsupported where it is not installed."""
    try:
        import torch
    except ImportError:
        raise Unsupported(
            "Training a network needs torch: install it with pip install 'vision_toolkit[torch]'."
        ) from None

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def torch_seeded(seed: int) -> Iterator[None]:
    """Let the decoder's first weights depend on the seed, and leave torch's own generator as it was."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
