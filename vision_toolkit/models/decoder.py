"""Say which anomaly type each pixel has: a small network on the backbone's features of the pixel.

A perceptron with one hidden layer looks at the fine features of a cell, its patch features and the patch's distance
to the memory. It learns from a few hundred cells an image, so it is trained in seconds on a CPU.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from vision_toolkit.core.mask import Mask
from vision_toolkit.data.images import coverage
from vision_toolkit.models.arrays import Arrays
from vision_toolkit.models.runtime import resize_scores

__all__ = [
    "Cells",
    "Sample",
    "decode_types",
    "favour_background",
    "fit_decoder",
    "held_out_types",
    "mean_iou",
    "sample_cells",
    "truth_grid",
]

HIDDEN = 64
PER_IMAGE = 800
"""Cells an image of which at most a half are painted ones."""
MOST_CELLS = 80_000
BATCH = 512
STEPS = 2_000
"""Steps of the optimizer that are enough; few cells are gone through more often."""
COVERED = 0.35
"""Share of a cell that a type must cover to be its truth: below a half, or thin scratches would vanish."""


Level = Callable[[int], NDArray[np.float32]]


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Hold what the decoder sees of n images and what is true of each cell of the fine grid.

    ``fine`` and ``patches`` give (fh, fw, f) and (gh, gw, c) float32 of an image; ``distances`` (n, gh, gw) float32;
    ``truth`` (n, fh, fw) uint8.
    """

    fine: Level
    patches: Level
    distances: NDArray[np.float32]
    truth: NDArray[np.uint8]

    def features(self, position: int) -> NDArray[np.float32]:
        """Return each cell of an image: its own features, its patch's, and how odd the patch is: (fh, fw, k)."""
        fine = self.fine(position)
        height, width = fine.shape[:2]
        coarse = np.concatenate([self.patches(position), self.distances[position][..., None]], axis=2)
        return np.concatenate([fine, resize_scores(coarse, width, height)], axis=2)


def decode_types(cells: Cells, position: int, arrays: Arrays) -> NDArray[np.float32]:
    """Return the probability of each class, background first, at each cell of an image."""
    hidden = cells.features(position) - arrays["decoder_mean"]
    hidden = np.maximum(hidden / arrays["decoder_scale"] @ arrays["decoder_1"] + arrays["decoder_1_bias"], 0.0)
    scores = hidden @ arrays["decoder_2"] + arrays["decoder_2_bias"]
    scores = np.exp(scores - scores.max(axis=2, keepdims=True))
    return np.asarray(scores / scores.sum(axis=2, keepdims=True), np.float32)


def truth_grid(mask: Mask | None, width: int, height: int) -> NDArray[np.uint8]:
    """Return the type of each cell of a (height, width) grid; a mask of None is all background."""
    if mask is None or not mask.types:
        return np.zeros((height, width), np.uint8)
    shares = coverage(mask, width, height)[..., 1:]
    return np.where(shares.max(axis=2) >= COVERED, shares.argmax(axis=2) + 1, 0).astype(np.uint8)


def fit_decoder(samples: Sequence[Sample], classes: int, *, seed: int) -> Arrays:
    """Fit the decoder on samples of some images and return its arrays.

    Background is not favoured yet (``decoder_2_bias``). Raises nothing where a type has no painted cell: it is then
    never predicted.
    """
    columns = np.concatenate([one.columns for one in samples])
    labels = np.concatenate([one.labels for one in samples])
    mean, scale = columns.mean(axis=0), np.maximum(columns.std(axis=0), 1e-6)
    rounds = int(np.clip(STEPS * BATCH / len(columns), 10, 200))
    model = MLPClassifier(
        (HIDDEN,), alpha=1e-3, batch_size=BATCH, learning_rate_init=3e-3, max_iter=rounds, random_state=seed
    )
    present = np.unique(labels)
    arrays: Arrays = {"decoder_mean": mean, "decoder_scale": scale}
    out, bias = np.zeros((HIDDEN, classes)), np.full(classes, -30.0)
    if len(present) == 1:  # nothing is painted anywhere: background only
        hidden, hidden_bias = np.zeros((columns.shape[1], HIDDEN)), np.zeros(HIDDEN)
        bias[present[0]] = 0.0
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # a fixed number of rounds is the plan
            model.fit((columns - mean) / scale, labels)
        (hidden, last), (hidden_bias, last_bias) = model.coefs_, model.intercepts_
        if len(present) == 2:  # scikit-learn gives one logit for two classes
            last, last_bias = np.hstack([0 * last, last]), np.concatenate([[0.0], last_bias])
        out[:, present], bias[present] = last, last_bias
    arrays |= {"decoder_1": hidden, "decoder_1_bias": hidden_bias, "decoder_2": out, "decoder_2_bias": bias}
    return {name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()}


def held_out_types(
    cells: Cells,
    samples: list[Sample],
    positions: NDArray[np.intp],
    folds: NDArray[np.intp],
    classes: int,
    *,
    seed: int,
) -> tuple[dict[int, NDArray[np.float32]], float]:
    """Return the class probabilities of some images by decoders that did not see them, and the best background bias.

    ``samples`` are of each of ``positions``, and ``folds`` numbers them. The bias is added to the background's logit;
    it is the one of the highest mean IoU, so that the many background cells left out of the training do not come back
    as false alarms.
    """
    found: dict[int, NDArray[np.float32]] = {}
    for fold in np.unique(folds):
        arrays = fit_decoder([samples[one] for one in np.flatnonzero(folds != fold)], classes, seed=seed)
        found |= {position: decode_types(cells, position, arrays) for position in positions[folds == fold].tolist()}
    choices = np.arange(-2.0, 8.01, 0.5)
    said, truth = [found[one] for one in positions.tolist()], cells.truth[positions]
    ious = [mean_iou([favour_background(one, bias) for one in said], truth, classes) for bias in choices]
    bias = float(choices[int(np.argmax(ious))])
    return {position: favour_background(one, bias) for position, one in found.items()}, bias


def favour_background(probabilities: NDArray[np.float32], bias: float) -> NDArray[np.float32]:
    """Return class probabilities after ``bias`` is added to the background's logit."""
    raised = probabilities.copy()
    raised[..., 0] *= np.float32(np.exp(bias))
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Hold some cells of an image: ``columns`` (n, k) float32 and ``labels`` (n,) uint8."""

    columns: NDArray[np.float32]
    labels: NDArray[np.uint8]


def sample_cells(cells: Cells, positions: Sequence[int], *, seed: int) -> list[Sample]:
    """Take painted cells, the oddest background cells and random ones of each image."""
    per_image = min(PER_IMAGE, max(50, MOST_CELLS // max(1, len(positions))))
    return [_sample(cells, one, per_image, np.random.default_rng([seed, one])) for one in positions]


def _sample(cells: Cells, position: int, most: int, rng: np.random.Generator) -> Sample:
    features = cells.features(position)
    flat, truth = features.reshape(-1, features.shape[2]), cells.truth[position].ravel()
    painted, plain = np.flatnonzero(truth), np.flatnonzero(truth == 0)
    painted = rng.permutation(painted)[: most // 2]
    wanted = (most - len(painted)) // (1 if len(painted) else 4)  # a clean image teaches less
    odd = plain[np.argsort(-flat[plain, -1], kind="stable")[: wanted // 2]]  # the last feature is the distance
    chosen = np.unique(np.concatenate([painted, odd, rng.permutation(plain)[: wanted - len(odd)]]))
    return Sample(flat[chosen], truth[chosen])


def mean_iou(probabilities: Sequence[NDArray[np.float32]], truth: NDArray[np.uint8], classes: int) -> float:
    """Return the mean over types of the mean IoU over the images that have the type, in truth or said.

    Means over images, not over pixels: a speck on a clean image costs as much as a defect that was missed.
    """
    sums, images = np.zeros(classes), np.zeros(classes)
    for said, true in zip(probabilities, truth, strict=True):
        ids = said.argmax(axis=2)
        pairs = np.bincount(true.ravel().astype(int) * classes + ids.ravel(), minlength=classes**2)
        table = pairs.reshape(classes, classes)
        hits = np.diag(table)
        union = table.sum(axis=0) + table.sum(axis=1) - hits
        there = union > 0
        sums[there] += hits[there] / union[there]
        images += there
    known = images[1:] > 0
    return float(np.mean(sums[1:][known] / images[1:][known])) if known.any() else 0.0
