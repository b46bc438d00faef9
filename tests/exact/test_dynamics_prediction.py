"""Predictive intervals: exact where they can be enumerated, calibrated where they cannot."""

import numpy as np
import pytest
from scipy.stats import binom

from winnow.dynamics.counts import draw_probability
from winnow.dynamics.prediction import next_round, predictive_draws, predictive_interval
from winnow.dynamics.recurrence import free_running
from winnow.dynamics.response import ResponseCurve
from winnow.values.random import Key

LINE = ResponseCurve.from_function(4, 2, lambda n: (n + 0.5) / 5)


def test_with_everything_known_one_query_errs_as_often_as_enumeration_says():
    answers, acceptance, num_draws = np.array([4, 3]), np.array([0.7, 0.4]), 3000
    chance, mass = 0.0, 0.0
    for right in range(5):
        for wrong in range(4):
            if right + wrong:
                weight = binom.pmf(right, 4, 0.7) * binom.pmf(wrong, 3, 0.4)
                chance += weight * (draw_probability(LINE.counts, np.array([right, wrong])) @ LINE.table)[1]
                mass += weight
    expected = chance / mass
    draws = predictive_draws(answers, np.tile(acceptance, (num_draws, 1)), [LINE], num_queries=1, key=Key(0))[:, 1]
    assert abs(draws.mean() - expected) <= 4 * np.sqrt(expected * (1 - expected) / num_draws)


def test_one_shared_context_spreads_the_next_measurement_as_the_variance_of_g_over_contexts():
    # the buffer is so large that contexts are multinomial: Var = Var_c g(c) (shared), 1/M of all variance (own contexts)
    answers, acceptance = np.array([50_000, 50_000]), np.ones((1500, 2))
    chance = binom.pmf(np.arange(5), 4, 0.5)
    wrong = LINE.table[:, 1]
    between = chance @ wrong**2 - (chance @ wrong) ** 2
    within = chance @ (wrong * (1 - wrong))
    for num_contexts, expected in [(1, between + within / 200), (200, (between + within) / 200)]:
        draws = predictive_draws(answers, acceptance, [LINE], num_queries=200, key=Key(1), num_contexts=num_contexts)[
            :, 1
        ]
        # the standard error of a variance is at most var·√(kurtosis/n); both kurtoses are below 3
        assert draws.var() == pytest.approx(expected, rel=4 * np.sqrt(2 / 1500))


def test_what_an_appended_buffer_holds_dilutes_the_news():
    acceptance = np.ones((400, 2))
    alone = predictive_draws([0, 50], acceptance, [LINE], num_queries=100, key=Key(2))
    held = predictive_draws([0, 50], acceptance, [LINE], num_queries=100, key=Key(2), held=[450, 0])
    assert alone[:, 1].mean() == pytest.approx(0.9, abs=4 * 0.03 / 20)
    assert held[:, 1].mean() == pytest.approx((4 * 0.1 + 0.5) / 5, abs=4 * 0.06 / 20)


def test_curves_and_acceptances_are_used_in_turn():
    right, wrong = (ResponseCurve.from_function(4, 2, lambda n, k=k: np.eye(2)[[k] * len(n)]) for k in (0, 1))
    draws = predictive_draws([30, 30], np.ones((6, 2)), [right, wrong, wrong], num_queries=5, key=Key(5))
    assert draws[:, 1].tolist() == [0, 1, 1, 0, 1, 1]


def test_replicates_in_which_nothing_is_accepted_have_no_next_round():
    draws = predictive_draws([1, 1], np.full((400, 2), 0.3), [LINE], num_queries=10, key=Key(3))
    assert abs(len(draws) / 400 - (1 - 0.49)) <= 4 * np.sqrt(0.49 * 0.51 / 400)
    with pytest.raises(ValueError, match="no next round"):
        predictive_draws([5, 5], np.zeros((10, 2)), [LINE], num_queries=10, key=Key(3))


def test_rounds_in_a_row_follow_the_recurrence_where_chance_is_small_and_stay_dead_where_nothing_is_left():
    steep = ResponseCurve.from_function(4, 2, lambda n: (n + 0.1) / 4.2)
    answers, acceptance = np.tile([3000, 3000], (60, 1)), np.tile([0.6, 0.4], (60, 1))
    line = free_running([0.5, 0.5], [0.6, 0.4], steep, num_rounds=3)
    for number in (1, 2, 3):
        answers, _ = next_round(answers, acceptance, [steep], num_queries=6000, key=Key(number))
        spread = answers[:, 1].std() / np.sqrt(60)
        assert abs(answers[:, 1].mean() - 6000 * line[number, 1]) <= 4 * spread
    dead, buffer = next_round(np.zeros((2, 2), np.int64), np.ones((2, 2)), [LINE], num_queries=5, key=Key(0))
    assert not dead.any()
    assert not buffer.any()


def test_chance_carries_a_small_share_where_the_line_of_expectations_does_not():
    """A curve that passes nothing on below half: expectation dies, but some loops of few answers get over the edge."""
    edge = ResponseCurve.from_function(4, 2, lambda n: np.where(n[:, [1]] >= 2, [[0.0, 1.0]], [[1.0, 0.0]]))
    line = free_running([0.7, 0.3], [1.0, 1.0], edge, num_rounds=6)
    answers, acceptance = np.tile([14, 6], (300, 1)), np.ones((300, 2))
    for number in range(1, 7):
        answers, _ = next_round(answers, acceptance, [edge], num_queries=20, key=Key(number))
    assert line[-1, 1] != pytest.approx(answers[:, 1].mean() / 20, abs=0.02)


def test_an_interval_is_a_function_of_its_key():
    def interval(seed):
        acceptance = np.tile([0.7, 0.3], (50, 1))
        return predictive_interval(predictive_draws([60, 40], acceptance, [LINE], num_queries=100, key=Key(seed)))

    np.testing.assert_array_equal(np.array(interval(0)), np.array(interval(0)))
    assert np.any(np.array(interval(0)) != np.array(interval(1)))


def test_the_interval_covers_the_next_measurement_as_often_as_it_says():
    """Nothing is known but an audit and a measured curve; the truth is simulated by another generator."""
    rng, num_trials, covered = np.random.default_rng(12), 40, 0
    acceptance, answers, queries = np.array([0.7, 0.25]), np.array([70, 50]), 120
    grid = np.array([[4, 0], [3, 1], [2, 2], [1, 3], [0, 4]])
    for trial in range(num_trials):
        curve = ResponseCurve.measured(grid, np.array([rng.multinomial(60, p) for p in LINE.at(grid)]))
        audit = rng.binomial(60, acceptance)
        possible = rng.beta(audit + 0.5, 60 - audit + 0.5, size=(150, 2))
        again = [
            ResponseCurve.measured(grid, np.array([rng.multinomial(60, p) for p in curve.at(grid)])) for _ in range(8)
        ]
        draws = predictive_draws(answers, possible, again, num_queries=queries, key=Key(trial))
        low, _, high = predictive_interval(draws)
        buffer = rng.binomial(answers, acceptance)
        contexts = rng.multivariate_hypergeometric(buffer, 4, size=queries)
        error = (rng.random(queries) < LINE.at(contexts)[:, 1]).mean()
        covered += bool(low[1] <= error <= high[1])
    # nominal .95; three binomial standard errors below and above
    error = np.sqrt(0.95 * 0.05 / num_trials)
    assert 0.95 - 3 * error <= covered / num_trials
    # and it does not cover by being idle: the half-width is near that of its parts added in quadrature
    assert (high[1] - low[1]) / 2 < 0.14
