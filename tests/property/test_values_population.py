"""Weights and resampling: what holds for any weights, and unbiasedness within multiples of a standard error."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logsumexp

from winnow.values.logspace import entropy, log_mean_exp, log_normalise, log_sum_exp
from winnow.values.population import RESAMPLERS, Population, effective_number, ess, resample
from winnow.values.random import Key, uniforms

LOG_WEIGHTS = st.lists(st.floats(-30, 30), min_size=1, max_size=20).map(np.array)
# the distance from the ends keeps rounding of a cumulative sum from deciding a tie
UNIFORM = st.floats(1e-6, 1 - 1e-6)


@given(st.lists(st.lists(st.sampled_from([-np.inf, -745.0, -3.5, 0.0, 1e-9, 710.0, np.inf]), min_size=3, max_size=3)))
def test_the_log_of_a_sum_is_scipys(rows):
    numbers = np.array(rows, float).reshape(-1, 3)
    for axis in (None, 0, 1) if rows else (1,):
        for keepdims in (False, True):
            expected = logsumexp(numbers, axis=axis, keepdims=keepdims)
            found = log_sum_exp(numbers, axis, keepdims=keepdims)
            np.testing.assert_allclose(found, expected, rtol=1e-14, atol=1e-14, strict=True)


@given(LOG_WEIGHTS)
def test_ess_lies_between_one_and_n(log_weight):
    assert 1 - 1e-9 <= ess(log_weight) <= log_weight.size + 1e-9


@given(LOG_WEIGHTS, st.floats(-500, 500))
def test_a_shift_of_the_logs_changes_neither_ess_nor_parents(log_weight, shift):
    assert ess(log_weight + shift) == pytest.approx(ess(log_weight), rel=1e-9)
    np.testing.assert_allclose(log_normalise(log_weight + shift), log_normalise(log_weight), atol=1e-9)
    assert log_mean_exp(log_weight + shift) == pytest.approx(log_mean_exp(log_weight) + shift, abs=1e-9)


@given(st.integers(1, 30), st.integers(0, 29))
def test_ess_is_n_for_equal_weights_and_one_when_one_holds_everything(size, place):
    assert ess(np.zeros(size)) == pytest.approx(size, rel=1e-12)
    alone = np.full(size, -np.inf)
    alone[place % size] = 3.0
    assert ess(alone) == pytest.approx(1.0, rel=1e-12)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=12))
def test_the_effective_number_lies_between_one_and_the_number_of_kinds_present(counts):
    present = sum(count > 0 for count in counts)
    number = effective_number(counts)
    assert (number == 0) if present == 0 else (1 - 1e-9 <= number <= present + 1e-9)
    assert effective_number([*counts, 0]) == pytest.approx(number)


def test_entropy_counts_zero_log_zero_as_zero():
    np.testing.assert_allclose(entropy(np.array([-np.inf, np.log(0.5), np.log(0.5)])), np.log(2))


@given(st.sampled_from(sorted(RESAMPLERS)), LOG_WEIGHTS, st.lists(UNIFORM, min_size=1, max_size=25))
def test_parents_are_sorted_indices_as_many_as_uniforms_and_never_of_weight_zero(scheme, log_weight, uniform):
    dead = log_weight < -25
    if dead.all():
        dead[:] = False
    parents = resample(np.where(dead, -np.inf, log_weight), np.array(uniform), scheme)
    assert parents.shape == (len(uniform),)
    assert np.all(np.diff(parents) >= 0)
    assert parents.min() >= 0
    assert parents.max() < log_weight.size
    assert not dead[parents].any()


@given(st.sampled_from(["systematic", "residual"]), LOG_WEIGHTS, st.lists(UNIFORM, min_size=1, max_size=25))
def test_systematic_and_residual_give_everyone_the_whole_part_of_what_they_expect(scheme, log_weight, uniform):
    expected = len(uniform) * np.exp(log_normalise(log_weight))
    got = np.bincount(resample(log_weight, np.array(uniform), scheme), minlength=log_weight.size)
    assert np.all(got >= np.floor(expected - 1e-9))
    if scheme == "systematic":
        assert np.all(got <= np.ceil(expected + 1e-9))


@pytest.mark.parametrize("scheme", sorted(RESAMPLERS))
def test_resampling_is_unbiased(scheme):
    weight = np.array([0.05, 0.0, 0.31, 0.02, 0.62])
    num_runs, size = 3000, 7
    with np.errstate(divide="ignore"):
        log_weight = np.log(weight)
    uniform = uniforms(Key(5), scheme, np.arange(num_runs), size)
    got = np.array([np.bincount(resample(log_weight, row, scheme), minlength=5) for row in uniform])
    error = got.std(axis=0, ddof=1) / np.sqrt(num_runs)
    assert np.all(np.abs(got.mean(axis=0) - size * weight) <= 4 * error + 1e-12)


def test_the_schemes_are_ordered_by_variance_as_theory_says():
    # Douc, Cappé and Moulines (2005): residual and stratified never exceed multinomial
    weight = np.array([0.05, 0.31, 0.02, 0.62])
    spread = {}
    for scheme in RESAMPLERS:
        uniform = uniforms(Key(6), scheme, np.arange(2000), 8)
        got = np.array([np.bincount(resample(np.log(weight), row, scheme), minlength=4) for row in uniform])
        spread[scheme] = got.var(axis=0).sum()
    assert spread["multinomial"] == pytest.approx(8 * (weight * (1 - weight)).sum(), rel=0.1)
    assert spread["residual"] < spread["multinomial"]
    assert spread["stratified"] < spread["multinomial"]


def test_a_point_that_rounds_to_one_does_not_raise_the_dead():
    last = np.nextafter(1.0, 0.0)
    log_weight = np.array([0.0, 0.0, -np.inf])
    for scheme in RESAMPLERS:
        assert resample(log_weight, np.full(4, last), scheme).max() == 1


def test_weights_that_sum_to_nothing_are_an_error_and_columns_have_one_length():
    with pytest.raises(ValueError, match="cannot normalise"):
        resample(np.full(3, -np.inf), np.array([0.5]))
    with pytest.raises(ValueError, match="one length"):
        Population(individuals=["a", "b"], log_weight=np.zeros(3))
    assert len(Population(individuals=["a", "b"], log_weight=np.zeros(2), log_fitness=np.zeros(2))) == 2
