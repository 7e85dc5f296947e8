"""Choose by how much each class is favoured, on images that the network has not seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["biases_across", "choose_biases", "mean_iou", "tally"]

VALUES = np.arange(-3.0, 3.01, 0.5)
ROUNDS = 2
COST = 0.002
"""Gain of mean IoU that a step of one in a bias must bring: what gains less is chance."""


def choose_biases(scores: NDArray[np.float32], truth: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return what is added to each class's logit for the best mean IoU over the types, pixels pooled.

    One class after another, background first, is given the value from -3 to 3 that is best with the others' as they
    are; twice. A type that is not in ``truth`` keeps 0.

    Parameters
    ----------
    scores
        (pixels, classes) logits or logarithms of probabilities.
    truth
        (pixels,) ids.

    Examples
    --------
    >>> scores = np.log(np.array([[0.6, 0.4], [0.6, 0.4], [0.9, 0.1]], np.float32))
    >>> choose_biases(scores, np.array([1, 1, 0], np.uint8)).tolist()
    [-0.5, 0.0]
    """
    classes = scores.shape[1]
    biases = np.zeros(classes, np.float32)
    present = np.bincount(truth, minlength=classes) > 0
    if not present[1:].any():
        return biases
    base = truth.astype(np.int64) * classes
    for _ in range(ROUNDS):
        for kind in np.flatnonzero(present):
            others = scores + biases
            others[:, kind] = -np.inf
            rival = others.argmax(axis=1)
            margin = others[np.arange(len(others)), rival] - scores[:, kind]
            found = []
            for value in VALUES:
                said = np.where(margin < value, kind, rival)
                table = np.bincount(base + said, minlength=classes**2).reshape(classes, classes)
                found.append((float(mean_iou(table)) - COST * abs(value), -abs(value), value))
            biases[kind] = max(found)[2]
    return biases


def biases_across(
    scores: Sequence[NDArray[np.float32]], truths: Sequence[NDArray[np.uint8]]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the biases (classes,) of all images, and (images, classes) of those of the other half of them.

    The second are for honest scores: an image has no say in the biases that it is judged with.
    """
    halves = np.arange(len(scores)) % 2  # positions are in order, so each half has something of every part of the list
    classes = scores[0].shape[1]
    each = np.zeros((len(scores), classes), np.float32)
    for half in (0, 1):
        seen = np.flatnonzero(halves != half).tolist()
        if seen:
            each[halves == half] = choose_biases(
                np.concatenate([scores[i] for i in seen]), np.concatenate([truths[i] for i in seen])
            )
    return choose_biases(np.concatenate(scores), np.concatenate(truths)), each


def tally(scores: NDArray[np.float32], truth: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return (classes, classes) counts of pixels, truth by rows, of (pixels, classes) scores and (pixels,) ids."""
    classes = scores.shape[1]
    pairs = np.bincount(truth.astype(np.int64) * classes + scores.argmax(axis=1), minlength=classes**2)
    return np.asarray(pairs.reshape(classes, classes), np.int64)


def mean_iou(table: NDArray[np.int64]) -> float:
    """Return the mean IoU over the types that are there, of counts of pixels (classes, classes), truth by rows."""
    hits = np.diagonal(table)
    amounts = table.sum(axis=1)
    union = amounts + table.sum(axis=0) - hits
    there = amounts[1:] > 0
    return float((hits[1:][there] / union[1:][there]).mean()) if there.any() else 0.0
