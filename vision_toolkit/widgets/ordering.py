"""In which order images are labelled.

Each function takes entries and returns positions in them, each once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from vision_toolkit.core.entry import Entry
from vision_toolkit.core.errors import Invalid, VisionError
from vision_toolkit.core.prediction import Prediction
from vision_toolkit.data.images import read_image, thumbnail

__all__ = ["MOST_DIVERSE", "Embed", "Order", "Predicting", "check_order", "diverse", "doubtful", "ordered"]

Order = Literal["given", "random", "doubtful", "diverse"]
Embed = Callable[[list[NDArray[np.uint8]]], NDArray[Any]]
"""Turns n images, (H, W, 3) uint8 each, into (n, d) numbers of which near ones mean alike."""
MOST_DIVERSE = 1_000
"""How many images are chosen to be far from all before them; the rest follows, the farthest first."""
_BATCH = 32
_SIDE = 16
"""Pixels a side of the thumbnails that stand for images where there is no embedding."""


class Predicting(Protocol):
    """Name what is needed of a model."""

    def predict_all(self, sources: Iterable[Any], *, batch: int = 32) -> Iterator[Prediction]:
        """Predict many images, in order."""


def check_order(order: str, *, model: Predicting | None) -> Order:
    """Return the order if it is one that can be had.

    Raises
    ------
    Invalid
        if there is no such order, if it needs a model and there is none, or if the model is none.
    """
    if model is not None and not callable(getattr(model, "predict_all", None)):
        raise Invalid(f"A model is what vt.train returns or vt.load reads; a {type(model).__name__} was given.")
    for one in get_args(Order):
        if order == one:
            if one == "doubtful" and model is None:
                raise Invalid(
                    'order="doubtful" needs a model: Labeler(manifest, order="doubtful", model=vt.train(labelled)). '
                    'Without one, order="diverse" is a good start.'
                )
            return order  # type: ignore[return-value]
    raise Invalid(f"order is one of {', '.join(map(repr, get_args(Order)))}; {order!r} was given.")


def ordered(
    entries: Sequence[Entry],
    order: str,
    *,
    seed: int = 0,
    model: Predicting | None = None,
    embed: Embed | None = None,
) -> list[int]:
    """Return the positions of entries in one of the orders.

    Parameters
    ----------
    entries
        to be put in order.
    order
        ``"given"``; ``"random"``; ``"doubtful"``, see :func:`doubtful`; ``"diverse"``, see :func:`diverse`.
    seed
        of ``"random"``.
    model, embed
        what ``"doubtful"`` and ``"diverse"`` go by.

    Examples
    --------
    >>> ordered([Entry("1.png"), Entry("2.png"), Entry("3.png")], "random", seed=0)
    [2, 0, 1]
    """
    kind = check_order(order, model=model)
    if kind == "random":
        positions: list[int] = np.random.default_rng(seed).permutation(len(entries)).tolist()
        return positions
    if kind == "doubtful":
        assert model is not None
        return doubtful(entries, model)
    return diverse(entries, embed) if kind == "diverse" else list(range(len(entries)))


def doubtful(entries: Sequence[Entry], model: Predicting) -> list[int]:
    """Return positions, the images first whose score is closest to the model's threshold.

    Images that cannot be read come last.

    Raises
    ------
    Invalid
        if the model gives no scores.
    """
    doubts = np.full(len(entries), np.inf)
    for start in range(0, len(entries), _BATCH):
        part = entries[start : start + _BATCH]
        for offset, prediction in enumerate(_predictions(part, model)):
            if prediction is None:
                continue
            if prediction.score is None or prediction.threshold is None:
                raise Invalid(f"The model gives no score to doubt: its task is {prediction.task}. Give another one.")
            doubts[start + offset] = abs(prediction.score - prediction.threshold)
    found: list[int] = np.argsort(doubts, kind="stable").tolist()
    return found


def _predictions(part: Sequence[Entry], model: Predicting) -> list[Prediction | None]:
    try:
        return list(model.predict_all(part))
    except VisionError:  # one of them cannot be read: the others can
        found: list[Prediction | None] = []
        for entry in part:
            try:
                found += list(model.predict_all([entry]))
            except VisionError:
                found.append(None)
        return found


def diverse(entries: Sequence[Entry], embed: Embed | None = None) -> list[int]:
    """Return positions such that each image is as unlike all before it as can be (farthest-point order).

    It begins with the image nearest to the middle of all. After :data:`MOST_DIVERSE` the others follow, the farthest
    from those first. Images that cannot be read come last.

    Parameters
    ----------
    entries
        whose images are read.
    embed
        see :data:`Embed`; by default thumbnails of 16 x 16 pixels are compared.

    Raises
    ------
    Invalid
        if ``embed`` gives anything but one row of finite numbers for each image.
    """
    rows, readable, unreadable = _rows(entries, embed)
    if not readable:
        return unreadable
    points = rows - rows.mean(axis=0)
    norms = np.einsum("ij,ij->i", points, points)
    chosen = [int(norms.argmin())]
    nearest = np.full(len(points), np.inf)
    while len(chosen) < min(len(points), MOST_DIVERSE):
        last = chosen[-1]
        nearest = np.minimum(nearest, norms + norms[last] - 2.0 * (points @ points[last]))
        nearest[last] = -np.inf
        chosen.append(int(nearest.argmax()))
    taken = set(chosen)
    rest = [int(i) for i in np.argsort(-nearest, kind="stable") if i not in taken]
    return [readable[i] for i in (*chosen, *rest)] + unreadable


def _rows(entries: Sequence[Entry], embed: Embed | None) -> tuple[NDArray[np.float32], list[int], list[int]]:
    """Return a row of numbers for each image that can be read, the positions of those, and of the others."""
    rows: list[NDArray[np.float32]] = []
    readable, unreadable = [], []
    for start in range(0, len(entries), _BATCH):
        images = []
        for position in range(start, min(start + _BATCH, len(entries))):
            try:
                images.append(read_image(entries[position]))
                readable.append(position)
            except VisionError:
                unreadable.append(position)
        if images:
            made = np.asarray(_thumbnails(images) if embed is None else embed(images), np.float32)
            if made.ndim != 2 or len(made) != len(images) or not np.isfinite(made).all():
                raise Invalid(f"embed gives (n, d) finite numbers for n images; {len(images)} gave {made.shape}.")
            rows.append(made)
    return (np.concatenate(rows) if rows else np.zeros((0, 1), np.float32)), readable, unreadable


def _thumbnails(images: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
    made = np.zeros((len(images), _SIDE, _SIDE, 3), np.float32)
    for row, image in zip(made, images, strict=True):
        small = thumbnail(image, _SIDE)
        row[: small.shape[0], : small.shape[1]] = small
    return made.reshape(len(images), -1)
