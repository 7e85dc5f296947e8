"""Shifted probabilities against Bayes' rule."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from vision_toolkit.core import Invalid
from vision_toolkit.metrics import shift_prior

shares = st.floats(1e-4, 1 - 1e-4)
chances = st.lists(st.floats(0, 1), max_size=8)


@given(shares, shares)
def test_it_is_bayes_rule_with_another_prior(was, now):
    seen = np.linspace(-4, 6, 21)
    likely, unlikely = norm(2, 1.3).pdf(seen), norm(0, 1).pdf(seen)

    def rule(share):
        return share * likely / (share * likely + (1 - share) * unlikely)

    # As far as one minus a probability close to 1 has digits.
    np.testing.assert_allclose(shift_prior(rule(was), was=was, now=now), rule(now), rtol=1e-5, atol=1e-8)


@given(chances, shares, shares)
def test_there_and_back_again_and_in_order(probabilities, was, now):
    moved = shift_prior(probabilities, was=was, now=now)
    assert ((moved >= 0) & (moved <= 1)).all()
    assert (np.diff(moved[np.argsort(probabilities)]) >= 0).all()
    assert ((moved >= probabilities) if now >= was else (moved <= probabilities)).all() or was == pytest.approx(now)


@given(st.lists(st.floats(0.01, 0.99), max_size=8), st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_the_log_odds_move_by_those_of_the_shares(probabilities, was, now):
    given = np.array(probabilities)
    moved = shift_prior(given, was=was, now=now)
    odds = [np.log(p / (1 - p)) for p in (moved, given, np.array(now), np.array(was))]
    np.testing.assert_allclose(odds[0] - odds[1], odds[2] - odds[3], atol=1e-9)
    np.testing.assert_allclose(shift_prior(moved, was=now, now=was), given, atol=1e-12)


def test_what_is_certain_stays_certain_and_shapes_stay():
    assert shift_prior([[0.0, 1.0]], was=0.5, now=0.001).tolist() == [[0.0, 1.0]]
    assert float(shift_prior(0.5, was=0.5, now=0.2)) == pytest.approx(0.2)
    assert shift_prior([], was=0.5, now=0.2).shape == (0,)


@pytest.mark.parametrize("share", [0.0, 1.0, -1, 2, True, None, float("nan")])
def test_shares_lie_between_0_and_1(share):
    with pytest.raises(Invalid, match="was is the share of anomalies"):
        shift_prior([0.5], was=share, now=0.5)
    with pytest.raises(Invalid, match="now is the share of anomalies"):
        shift_prior([0.5], was=0.5, now=share)


@pytest.mark.parametrize("probabilities", [[1.2], [-0.1], [float("nan")], ["high"]])
def test_probabilities_lie_from_0_to_1(probabilities):
    with pytest.raises(Invalid, match=r"0 and 1|0 to 1"):
        shift_prior(probabilities, was=0.5, now=0.1)
