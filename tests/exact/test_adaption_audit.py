"""The audit: what it estimates is s and f, and how often it stops a loop is what it promises."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from winnow.adaption.audit import draw_sample, judge
from winnow.values.random import Key


def stopped(error: float, s: float, f: float, labels: int, num_accepted: int | None = None) -> float:
    """Probability that an audit stops the loop, summed over every outcome of its two strata."""
    rate = s * (1 - error) + f * error
    accepted = labels // 2 if num_accepted is None else num_accepted
    rejected = labels - accepted
    yes = binom.pmf(np.arange(accepted + 1), accepted, s * (1 - error) / rate)
    no = binom.pmf(np.arange(rejected + 1), rejected, (1 - s) * (1 - error) / (1 - rate))
    carries = np.array(
        [[judge(a, accepted, b, rejected, rate).carries for b in range(rejected + 1)] for a in range(accepted + 1)]
    )
    return float(1 - yes @ carries @ no)


@pytest.mark.parametrize("error", [0.1, 0.2, 0.5, 0.8])
@pytest.mark.parametrize("labels", [20, 40, 80])
def test_an_evaluator_that_cannot_tell_is_stopped_at_least_95_times_in_100(error, labels):
    assert stopped(error, 0.5, 0.5, labels) >= 0.95


@pytest.mark.parametrize(("accepted", "rejected"), [(79, 1), (58, 2), (77, 3), (3, 37)])
def test_that_holds_in_lopsided_strata_too(accepted, rejected):
    for error in (0.1, 0.5):
        assert stopped(error, 0.5, 0.5, accepted + rejected, accepted) >= 0.95


@pytest.mark.parametrize("labels", [20, 40, 80])
def test_an_inverted_evaluator_is_always_stopped(labels):
    assert stopped(0.5, 0.2, 0.8, labels) > 1 - 1e-4


def test_a_good_evaluator_is_stopped_at_most_5_times_in_100_by_80_labels():
    assert stopped(0.5, 0.8, 0.2, 80) <= 0.05
    assert stopped(0.5, 0.75, 0.25, 80) <= 0.05


def test_the_estimates_are_s_and_f_when_labels_are_plenty():
    error, s, f = 0.3, 0.8, 0.25
    rate, half = s * (1 - error) + f * error, 100_000
    verdict = judge(
        round(half * s * (1 - error) / rate), half, round(half * (1 - s) * (1 - error) / (1 - rate)), half, rate
    )
    assert verdict.sensitivity == pytest.approx(s, abs=1e-3)
    assert verdict.false_positive_rate == pytest.approx(f, abs=1e-3)
    assert verdict.bound == pytest.approx(s - f, abs=0.01)


def test_an_empty_stratum_shows_nothing():
    nothing = judge(10, 10, 0, 0, 1.0)
    assert (nothing.carries, nothing.sensitivity, nothing.false_positive_rate) == (False, None, None)
    assert not judge(0, 0, 0, 10, 0.0).carries


def test_the_sample_is_half_and_half_and_fills_up_from_the_other_side():
    accepted, rejected = np.arange(0, 50), np.arange(50, 53)
    yes, no = draw_sample(accepted, rejected, 20, Key(0))
    assert (yes.size, no.size) == (17, 3)
    assert set(yes) <= set(accepted)
    assert len(set(yes)) == 17
