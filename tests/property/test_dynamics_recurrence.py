"""Selection on compositions: what holds for every composition, acceptance and response."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from winnow.dynamics.counts import compositions, draw_probability, multinomial_probability
from winnow.dynamics.recurrence import WRONG, error_falls, free_running, select, selected_error, selected_error_after

PROBABILITY = st.floats(0.01, 0.99)


def shares(num_kinds):
    parts = st.lists(st.floats(0.01, 1.0), min_size=num_kinds, max_size=num_kinds)
    return parts.map(lambda values: np.array(values) / np.sum(values))


@given(PROBABILITY, PROBABILITY, PROBABILITY)
def test_error_falls_if_and_only_if_s_exceeds_f(error, sensitivity, false_positive_rate):
    assume(abs(sensitivity - false_positive_rate) > 1e-6)
    falls = selected_error(error, sensitivity, false_positive_rate) < error
    assert falls == error_falls(sensitivity, false_positive_rate)


@given(PROBABILITY, PROBABILITY, PROBABILITY, st.integers(0, 6))
def test_the_odds_form_is_selection_repeated(error, sensitivity, false_positive_rate, num_rounds):
    repeated = error
    for _ in range(num_rounds):
        repeated = selected_error(repeated, sensitivity, false_positive_rate)
    closed = selected_error_after(error, sensitivity, false_positive_rate, num_rounds)
    assert closed == pytest.approx(repeated, rel=1e-9)


@given(shares(3), st.lists(PROBABILITY, min_size=3, max_size=3), st.floats(0.1, 1.0))
def test_only_ratios_of_acceptance_matter(composition, acceptance, factor):
    scaled = select(composition, np.array(acceptance) * factor)
    np.testing.assert_allclose(scaled, select(composition, acceptance), rtol=1e-12)
    assert scaled.sum() == pytest.approx(1.0, abs=1e-12)


@given(shares(2), st.tuples(PROBABILITY, PROBABILITY), st.integers(1, 6))
def test_an_appended_buffer_never_overtakes_a_replaced_one(start, acceptance, num_rounds):
    run = {"acceptance": acceptance, "response": lambda buffer: buffer, "num_rounds": num_rounds}
    replaced = free_running(start, **run)[:, WRONG]
    appended = free_running(start, **run, buffer="appended")[:, WRONG]
    direction = 1 if acceptance[0] > acceptance[1] else -1
    assert np.all(direction * (appended - replaced) >= -1e-12)
    np.testing.assert_allclose(appended[:2], replaced[:2], rtol=1e-12)  # they part after the first round


@given(shares(3), st.integers(1, 6))
def test_draws_from_a_buffer_keep_its_composition_in_the_mean(composition, num_examples):
    rows = compositions(num_examples, 3)
    chance = multinomial_probability(rows, composition)
    assert chance.sum() == pytest.approx(1.0, abs=1e-9)
    np.testing.assert_allclose(chance @ rows / num_examples, composition, atol=1e-9)


@given(st.lists(st.integers(0, 9), min_size=2, max_size=4), st.integers(1, 5))
def test_draws_without_replacement_are_a_distribution_with_the_buffers_mean(buffer, num_examples):
    assume(sum(buffer) > 0)
    rows = compositions(num_examples, len(buffer))
    chance = draw_probability(rows, np.array(buffer))
    assert chance.sum() == pytest.approx(1.0, abs=1e-9)
    np.testing.assert_allclose(chance @ rows / num_examples, np.array(buffer) / sum(buffer), atol=1e-9)
    if sum(buffer) >= num_examples:
        assert np.all(chance[np.any(rows > np.array(buffer), axis=1)] == 0)
