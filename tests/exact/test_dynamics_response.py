"""Response curves: means over the draw of a context by enumeration, fits that recover what was planted."""

from itertools import permutations, product

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax

from winnow.dynamics.counts import compositions, draw_probability, multinomial_probability
from winnow.dynamics.multilogit import fit_multilogit
from winnow.dynamics.response import ResponseCurve

GRID = compositions(4, 3) * 2  # 15 contexts of 8 examples


def dirichlet(counts):
    return (counts + np.array([0.6, 0.8, 0.2])) / (counts.sum(axis=1, keepdims=True) + 1.6)


TRUTH = ResponseCurve.from_function(8, 3, dirichlet)


def measure(curve, grid, per_point, seed):
    rng = np.random.default_rng(seed)
    return np.array([rng.multinomial(per_point, p) for p in curve.at(grid)])


def test_there_are_k_plus_2_choose_2_counts_of_three_kinds_each_once():
    rows = compositions(14, 3)
    assert rows.shape == (120, 3)
    assert np.unique(rows, axis=0).shape == (120, 3)
    assert np.all(rows.sum(axis=1) == 14)
    assert rows[0].tolist() == [14, 0, 0]


def test_probabilities_of_counts_equal_enumeration_of_draws():
    share, rows = np.array([0.5, 0.3, 0.2]), compositions(3, 3)
    drawn = {tuple(row): 0.0 for row in rows}
    for sequence in product(range(3), repeat=3):
        drawn[tuple(np.bincount(sequence, minlength=3))] += float(np.prod(share[list(sequence)]))
    np.testing.assert_allclose(multinomial_probability(rows, share), list(drawn.values()), rtol=1e-12)

    buffer = [0, 0, 0, 1, 1, 2]
    taken = {tuple(row): 0 for row in rows}
    for picked in permutations(buffer, 3):
        taken[tuple(np.bincount(picked, minlength=3))] += 1
    expected = np.array(list(taken.values())) / (6 * 5 * 4)
    np.testing.assert_allclose(draw_probability(rows, np.array([3, 2, 1])), expected, atol=1e-12)


def test_a_buffer_smaller_than_a_context_is_drawn_from_with_replacement():
    rows = compositions(4, 2)
    chance = draw_probability(rows, np.array([2, 1]))
    np.testing.assert_allclose(chance, multinomial_probability(rows, np.array([2, 1]) / 3), rtol=1e-12)
    with pytest.raises(ValueError, match="empty buffer"):
        draw_probability(rows, np.array([0, 0]))


def test_the_response_to_a_buffer_is_the_mean_over_its_contexts_and_not_the_response_at_the_mean():
    square = ResponseCurve.from_function(2, 2, lambda n: np.column_stack([1 - (n[:, 1] / 2) ** 2, (n[:, 1] / 2) ** 2]))
    # E[(c/2)²] = q² + q(1 − q)/2
    assert square([0.6, 0.4])[1] == pytest.approx(0.16 + 0.12, rel=1e-12)
    # without replacement from N = 10 the variance shrinks by (N − k)/(N − 1)
    without = draw_probability(square.counts, np.array([6, 4])) @ square.table
    assert without[1] == pytest.approx(0.16 + 0.12 * 8 / 9, rel=1e-12)
    np.testing.assert_allclose(TRUTH([[0.5, 0.3, 0.2], [1, 0, 0]])[1], TRUTH.table[0], rtol=1e-12)


def test_a_perfect_imitator_returns_the_composition_it_is_given():
    curve = ResponseCurve.identity(14, 3)
    np.testing.assert_allclose(curve([0.5, 0.3, 0.2]), [0.5, 0.3, 0.2], rtol=1e-12)
    without = draw_probability(curve.counts, np.array([50, 30, 20])) @ curve.table
    np.testing.assert_allclose(without, [0.5, 0.3, 0.2], rtol=1e-10)
    np.testing.assert_allclose(curve.at([[7, 7, 0]]), [[0.5, 0.5, 0.0]])


def test_the_regression_reaches_the_optimum_that_a_general_optimiser_finds():
    rng = np.random.default_rng(2)
    feature = np.column_stack([np.ones(12), rng.normal(size=(12, 3))])
    count = rng.integers(0, 30, size=(12, 3)).astype(float)
    penalty = np.array([1e-4, 0.5, 0.5, 2.0])

    def loss(flat):
        weight = flat.reshape(4, 2)
        fit = (count * log_softmax(np.column_stack([np.zeros(12), feature @ weight]), axis=1)).sum()
        return -fit + 0.5 * (penalty[:, None] * weight**2).sum()

    general = minimize(loss, np.zeros(8), method="BFGS", options={"gtol": 1e-6})
    fit = fit_multilogit(feature, count, penalty)
    np.testing.assert_allclose(fit.weight[:, 1:], general.x.reshape(4, 2), atol=1e-5)
    assert np.all(fit.weight[:, 0] == 0)


def test_counts_that_separate_perfectly_still_have_a_finite_fit():
    curve = ResponseCurve.measured([[4, 0], [2, 2], [0, 4]], [[50, 0], [25, 25], [0, 50]])
    assert np.all(np.isfinite(curve.table))
    assert curve.at([4, 0])[1] < 0.05


def test_a_planted_curve_is_recovered_within_its_sampling_error():
    buffers = np.array([[0.9, 0.1, 0.0], [0.6, 0.3, 0.1], [0.3, 0.6, 0.1], [0.2, 0.3, 0.5]])
    fits = [ResponseCurve.measured(GRID, measure(TRUTH, GRID, 400, seed=s))(buffers) for s in range(25)]
    error = np.std(fits, axis=0, ddof=1)
    assert np.all(np.abs(fits[0] - TRUTH(buffers)) <= 4 * error)
    assert np.all(np.abs(np.mean(fits, axis=0) - TRUTH(buffers)) <= 0.01)  # 6,000 answers: no bias to speak of
    assert error.max() < 0.02


def test_two_kinds_are_a_line():
    context = np.array([[8, 0], [6, 2], [4, 4], [2, 6], [0, 8]])
    line = ResponseCurve.from_function(8, 2, lambda n: (n + 0.5) / 9)
    curve = ResponseCurve.measured(context, measure(line, context, 2000, seed=3))
    # the standard error of a share from 2,000 answers is at most .0112; the fit may use neighbours but no more than all
    assert np.abs(curve([[0.8, 0.2], [0.5, 0.5]]) - line([[0.8, 0.2], [0.5, 0.5]])).max() < 3 * 0.0112


@pytest.mark.parametrize(
    ("context", "answers", "message"),
    [
        ([[4, 0], [1, 2]], [[1, 0], [1, 0]], "same number of examples"),
        ([[4, 0], [2, 2]], [[1, 0]], "alike"),
        ([[4, 0], [2, 2]], [[0, 0], [0, 0]], "at least one answer"),
        ([[4, 0], [5, -1]], [[1, 0], [1, 0]], "hold counts"),
    ],
)
def test_a_measurement_that_is_none_is_refused(context, answers, message):
    with pytest.raises(ValueError, match=message):
        ResponseCurve.measured(context, answers)
    with pytest.raises(ValueError, match="sum to 8"):
        TRUTH.at([[4, 0, 0]])
