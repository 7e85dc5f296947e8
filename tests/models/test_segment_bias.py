"""Biases of classes: found where a shift was made, left alone where nothing is gained, never an image's own."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import jaccard_score

from vision_toolkit.models.segment_bias import biases_across, choose_biases, mean_iou, tally


def drawn(seed: int, pixels: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Draw truths and noisy logits of three classes, the first of which most pixels have."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(3, pixels, p=[0.8, 0.15, 0.05]).astype(np.uint8)
    scores = rng.normal(0, 0.5, (pixels, 3)) + 3 * np.eye(3)[truth]
    return scores.astype(np.float32), truth


def test_the_mean_iou_is_scikit_learns():
    scores, truth = drawn(0)
    scores += np.float32([0, 1, 2])
    expected = jaccard_score(truth, scores.argmax(axis=1), labels=[1, 2], average="macro")
    assert mean_iou(tally(scores, truth)) == pytest.approx(expected)
    assert mean_iou(np.array([[5, 1], [0, 0]])) == 0.0  # no type is there


def test_a_shift_of_a_class_is_found_and_undone():
    scores, truth = drawn(1)
    shifted = scores + np.float32([0, 0, 2.5])
    biases = choose_biases(shifted, truth)
    before, after = mean_iou(tally(shifted, truth)), mean_iou(tally(shifted + biases, truth))
    assert before < after - 0.1 and after > 0.9
    assert biases[2] - biases[:2].max() == pytest.approx(-2.5, abs=1.0)


def test_nothing_is_favoured_where_nothing_is_gained():
    scores, truth = drawn(2)
    assert choose_biases(20 * np.eye(3, dtype=np.float32)[truth], truth).tolist() == [0, 0, 0]
    assert choose_biases(scores, np.zeros(len(truth), np.uint8)).tolist() == [0, 0, 0]
    absent = np.where(truth == 2, 0, truth).astype(np.uint8)
    assert choose_biases(scores, absent)[2] == 0


def test_an_image_has_no_say_in_the_biases_that_it_is_judged_with():
    scores, truths = map(list, zip(*(drawn(seed, 500) for seed in range(6)), strict=True))
    together, each = biases_across(scores, truths)
    assert together.shape == (3,) and each.shape == (6, 3)
    scores[0] = scores[0] + np.float32([0, 3, 0])
    truths[0] = np.ones_like(truths[0])
    again = biases_across(scores, truths)[1]
    assert np.array_equal(again[[0, 2, 4]], each[[0, 2, 4]])
    assert biases_across(scores[:1], truths[:1])[1].tolist() == [[0, 0, 0]]
