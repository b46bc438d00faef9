"""Finite buffers: Wright-Fisher and Pólya's urn against their theorems, and simulation against the matrices."""

import numpy as np
import pytest

from winnow.dynamics.drift import (
    absorption_probability,
    expected_heterozygosity,
    polya_urn,
    simulate_drift,
    wright_fisher,
)
from winnow.values.random import Key

SIZES = [1, 2, 5, 12]


@pytest.mark.parametrize("size", SIZES)
def test_rows_are_distributions_and_the_share_is_a_martingale(size):
    transition = wright_fisher(size)
    np.testing.assert_allclose(transition.sum(axis=1), 1.0, atol=1e-12)
    np.testing.assert_allclose(transition @ np.arange(size + 1), np.arange(size + 1), atol=1e-11)


@pytest.mark.parametrize("size", SIZES[1:])
def test_without_selection_absorption_at_wrong_equals_the_start(size):
    np.testing.assert_allclose(absorption_probability(wright_fisher(size)), np.arange(size + 1) / size, atol=1e-10)


@pytest.mark.parametrize("size", SIZES)
def test_heterozygosity_falls_by_one_minus_one_over_n_a_round(size):
    start = size // 2 or 1
    first = 2 * (start / size) * (1 - start / size)
    expected = first * (1 - 1 / size) ** np.arange(7)
    np.testing.assert_allclose(expected_heterozygosity(wright_fisher(size), start, 6), expected, atol=1e-12)


def test_selection_moves_absorption_away_from_the_start():
    def selected(share):
        return 0.3 * share / (0.3 * share + 0.7 * (1 - share))

    favoured = absorption_probability(wright_fisher(10, selected))
    assert np.all(favoured[1:-1] < np.arange(1, 10) / 10)
    assert favoured[5] > 0  # and yet ten answers can all go wrong by chance


def test_a_model_that_errs_by_itself_is_never_absorbed():
    with pytest.raises(ValueError, match="absorbing"):
        absorption_probability(wright_fisher(5, lambda share: 0.1 + 0.8 * share))


def test_simulation_agrees_with_the_transition_matrix():
    size, start, num_runs = 6, 2, 4000
    runs = simulate_drift(size, start, 3, num_runs=num_runs, key=Key(7))
    exact = np.linalg.matrix_power(wright_fisher(size), 3)[start]
    seen = np.bincount(np.rint(runs[:, 3] * size).astype(int), minlength=size + 1) / num_runs
    error = np.sqrt(exact * (1 - exact) / num_runs)
    assert np.all(np.abs(seen - exact) <= 4 * error)


def test_a_run_does_not_depend_on_how_many_are_run_or_for_how_long():
    many = simulate_drift(20, 8, 6, num_runs=5, key=Key(3))
    few = simulate_drift(20, 8, 4, num_runs=2, key=Key(3))
    np.testing.assert_array_equal(many[:2, :5], few)


def test_an_urn_keeps_its_mean_and_remembers_its_luck():
    number = np.arange(201)
    chance = polya_urn(3, 2, 200)
    assert chance.sum() == pytest.approx(1.0, abs=1e-9)
    assert chance @ number / 200 == pytest.approx(2 / 5, abs=1e-9)
    spread = chance @ (number / 200) ** 2 - (2 / 5) ** 2
    limit = (2 / 5) * (3 / 5) / (5 + 1)  # variance of Beta(2, 3)
    assert spread == pytest.approx(limit * (1 + 5 / 200), rel=1e-6)  # beta-binomial: limit · (a + b + m)/m


def test_an_urn_matches_its_own_recursion():
    chance = np.array([1.0])
    for added in range(6):  # of 3 + added there are 1 + wrong wrong ones
        up = (1 + np.arange(added + 1)) / (3 + added)
        chance = np.append(chance * (1 - up), 0) + np.insert(chance * up, 0, 0)
    np.testing.assert_allclose(polya_urn(2, 1, 6), chance, atol=1e-12)
