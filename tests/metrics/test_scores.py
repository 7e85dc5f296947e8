"""Scores against scikit-learn, with the house rule for 0/0 checked case by case."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from vision_toolkit.core import Invalid
from vision_toolkit.metrics import (
    Counts,
    accuracy,
    balanced_accuracy,
    f1,
    f_beta,
    iou,
    mcc,
    negative_predictive_value,
    precision,
    recall,
    specificity,
)

cells = st.integers(0, 30)
NAN = math.nan


def lists(counts: Counts) -> tuple[list[int], list[int]]:
    true = [1] * (counts.tp + counts.fn) + [0] * (counts.fp + counts.tn)
    said = [1] * counts.tp + [0] * counts.fn + [1] * counts.fp + [0] * counts.tn
    return true, said


def same(ours: float, theirs: float) -> None:
    assert ours == pytest.approx(theirs, abs=1e-12, nan_ok=True)


@settings(max_examples=50)
@given(cells, cells, cells, cells, st.floats(0.1, 5))
def test_every_score_is_scikit_learns(tp, fp, fn, tn, beta):
    counts = Counts(tp, fp, fn, tn)
    if not counts.n:
        return
    true, said = lists(counts)
    undefined = {"zero_division": np.nan}
    theirs = reference.precision_score(true, said, **undefined)
    same(precision(counts), 0.0 if math.isnan(theirs) and fn else theirs)
    same(recall(counts), reference.recall_score(true, said, **undefined))
    same(specificity(counts), reference.recall_score(true, said, pos_label=0, **undefined))
    theirs = reference.precision_score(true, said, pos_label=0, **undefined)
    same(negative_predictive_value(counts), 0.0 if math.isnan(theirs) and fp else theirs)
    same(f1(counts), reference.f1_score(true, said, **undefined))
    same(f_beta(counts, beta), reference.fbeta_score(true, said, beta=beta, **undefined))
    same(accuracy(counts), reference.accuracy_score(true, said))
    same(iou(counts), reference.jaccard_score(true, said) if tp + fp + fn else NAN)
    both = tp + fn and tn + fp
    same(balanced_accuracy(counts), reference.balanced_accuracy_score(true, said) if both else NAN)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        same(mcc(counts), reference.matthews_corrcoef(true, said) if both else NAN)


@pytest.mark.parametrize(
    ("score", "counts", "value"),
    [
        (precision, Counts(fn=3, tn=5), 0.0),
        (precision, Counts(tn=5), NAN),
        (precision, Counts(fp=1, tn=5), 0.0),
        (recall, Counts(tn=5), NAN),
        (specificity, Counts(tp=2), NAN),
        (negative_predictive_value, Counts(tp=2, fp=1), 0.0),
        (negative_predictive_value, Counts(tp=2), NAN),
        (f1, Counts(fn=3, tn=5), 0.0),
        (f1, Counts(tn=5), NAN),
        (accuracy, Counts(), NAN),
        (balanced_accuracy, Counts(tp=1, fn=1), NAN),
        (iou, Counts(tn=9), NAN),
        (mcc, Counts(tp=3, fp=2), 0.0),
        (mcc, Counts(tp=3, fn=2), NAN),
    ],
)
def test_nothing_to_divide_by(score, counts, value):
    same(score(counts), value)


def test_counts_of_pixels_do_not_overflow():
    huge = 10**12
    assert mcc(Counts(huge, 0, 0, huge)) == 1.0
    assert mcc(Counts(0, huge, huge, 0)) == -1.0


@pytest.mark.parametrize("beta", [0, -1, NAN, math.inf, "1"])
def test_beta_is_positive(beta):
    with pytest.raises(Invalid, match="beta is a positive number"):
        f_beta(Counts(1, 1, 1, 1), beta)
