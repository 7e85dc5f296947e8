"""Smoothed rates against a slow loop, and against the distributions that scores were drawn from."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from vision_toolkit.metrics.rates import log_odds, reach


def slow(scores, other, thresholds):
    n = len(scores)
    squares = sum((s - np.mean(scores)) ** 2 for s in scores)
    common = (squares + sum((s - np.mean(other)) ** 2 for s in other)) / (n + len(other) - 2)
    spread = np.sqrt((squares + 4 * common) / (n - 1 + 4))
    told = []
    for threshold in thresholds:
        wide = stats.logistic(np.mean(scores), spread * np.sqrt(3) / np.pi).sf(threshold)
        width = 0.7 * spread / n ** (1 / 3) * np.sqrt(3) / np.pi
        narrow = np.mean([stats.logistic(s, width).sf(threshold) for s in scores])
        told.append((30 * wide + n * narrow) / (30 + n))
    return told


@pytest.mark.parametrize(("normals", "anomalies"), [(30, 12), (5, 2), (4, 1)])
def test_rates_are_those_of_a_slow_loop(normals, anomalies):
    rng = np.random.default_rng(0)
    normal, anomaly = rng.normal(-2, 1, normals), rng.normal(1, 2, anomalies)
    at = np.array([4.0, -3.0, 0.0, 0.7])
    recall, alarms = reach(anomaly, normal, at)
    np.testing.assert_allclose(recall, slow(anomaly, normal, at), rtol=1e-5, atol=1e-12)
    np.testing.assert_allclose(alarms, slow(normal, anomaly, at), rtol=1e-5, atol=1e-12)


def test_many_images_are_looked_at_in_steps_and_told_alike():
    rng = np.random.default_rng(1)
    normal, anomaly, at = rng.normal(0, 1, 6000), rng.normal(3, 1, 5000), rng.normal(1, 2, 7000)
    recall, alarms = reach(anomaly, normal, at)
    np.testing.assert_allclose(recall, stats.norm(3, 1).sf(at), atol=0.03)
    np.testing.assert_allclose(alarms, stats.norm(0, 1).sf(at), atol=0.03)
    order = np.argsort(at)
    assert (np.diff(recall[order]) <= 0).all() and (np.diff(alarms[order]) <= 0).all()


@pytest.mark.parametrize(
    ("anomalies", "normals"), [([], [0.1, 0.3]), ([1.0], []), ([1.0], [0.0]), ([1.0, 1.0], [0.0, 0.0])]
)
def test_without_a_spread_nothing_is_said(anomalies, normals):
    assert reach(np.array(anomalies), np.array(normals), np.array([0.5])) is None


def test_log_odds_are_those_of_scipy_but_for_the_ends():
    from scipy.special import logit

    np.testing.assert_allclose(log_odds(np.array([0.2, 0.5, 0.999])), logit([0.2, 0.5, 0.999]))
    np.testing.assert_allclose(log_odds(np.array([0.0, 1.0])), logit([5e-5, 1 - 5e-5]))
