"""The Price equation: the identity on any genealogy, planted causes told apart, and a prediction that can fail."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from winnow.dynamics.price import (
    fit_transmission,
    mean_parent,
    predict,
    price,
    realised_weight,
    selection_differential,
)
from winnow.values.lineage import Lineage

TRAIT = st.floats(-10, 10, allow_subnormal=False)


@st.composite
def genealogies(draw, parentless=True):
    """Parents 0 .. n−1, children n .. n+m−1, each with up to five parents (repeats count), perhaps none."""
    num_parents, num_children = draw(st.integers(1, 8)), draw(st.integers(1, 8))
    some = st.lists(st.integers(0, num_parents - 1), min_size=0 if parentless else 1, max_size=5)
    lines = [(num_parents + child, draw(some)) for child in range(num_children)]
    traits = [draw(st.lists(TRAIT, min_size=n, max_size=n)) for n in (num_parents, num_children)]
    parents, children = np.arange(num_parents), num_parents + np.arange(num_children)
    return Lineage.equal_shares(lines), parents, np.array(traits[0]), children, np.array(traits[1])


@given(genealogies())
def test_the_terms_sum_to_the_change_on_any_genealogy(case):
    lineage, parents, trait, children, child_trait = case
    terms = price(lineage, parents, trait, children=children, child_trait=child_trait)
    assert abs(terms.residual) < 1e-12
    assert terms.change == pytest.approx(child_trait.mean() - trait.mean(), abs=1e-12)


@given(genealogies(parentless=False))
def test_without_the_parentless_the_terms_are_prices_covariance_and_expectation(case):
    lineage, parents, trait, children, child_trait = case
    terms = price(lineage, parents, trait, children=children, child_trait=child_trait)
    weight = realised_weight(lineage, parents, children)
    assert weight.sum() == pytest.approx(children.size, abs=1e-9)
    covariance = np.mean(weight * trait) - weight.mean() * trait.mean()  # n in the denominator
    assert terms.selection == pytest.approx(covariance / weight.mean(), abs=1e-9)
    assert terms.selection == pytest.approx(selection_differential(weight, trait), abs=1e-9)
    drift = sum(
        share * (child_trait[child - parents.size] - trait[parent])
        for child, parent, share in zip(lineage.child, lineage.parent, lineage.share)
    )
    assert terms.transmission == pytest.approx(drift / parents.size / weight.mean(), abs=1e-9)
    assert terms.parentless == pytest.approx(0.0, abs=1e-12)


@given(genealogies(), st.floats(-5, 5), st.randoms(use_true_random=False))
def test_neither_a_shift_of_the_trait_nor_the_order_of_individuals_matters(case, shift, random):
    lineage, parents, trait, children, child_trait = case
    plain = price(lineage, parents, trait, children=children, child_trait=child_trait)
    order = list(range(parents.size))
    random.shuffle(order)
    moved = price(lineage, parents[order], trait[order] + shift, children=children, child_trait=child_trait + shift)
    np.testing.assert_allclose(moved, plain, atol=1e-11)


def test_children_like_their_parents_change_by_selection_alone():
    lineage = Lineage.equal_shares([(4, [3]), (5, [3]), (6, [2]), (7, [0])])
    trait = np.array([0.0, 1.0, 2.0, 3.0])
    terms = price(lineage, range(4), trait, children=[4, 5, 6, 7], child_trait=[3.0, 3.0, 2.0, 0.0])
    assert terms.selection == pytest.approx(0.5, abs=1e-15)
    assert terms.transmission == terms.parentless == 0.0


def test_equal_offspring_with_a_pull_change_by_transmission_alone():
    lineage = Lineage.equal_shares([(3, [0]), (4, [1]), (5, [2])])
    terms = price(lineage, range(3), [0.0, 1.0, 5.0], children=[3, 4, 5], child_trait=[0.25, 1.25, 5.25])
    assert terms.transmission == pytest.approx(0.25, abs=1e-15)
    assert terms.selection == pytest.approx(0.0, abs=1e-15)
    assert terms.parentless == 0.0


def test_children_written_from_nothing_change_by_the_third_term_alone():
    terms = price(Lineage(), range(2), [0.0, 1.0], children=[2, 3], child_trait=[1.0, 1.0])
    assert terms.parentless == terms.change == 0.5
    assert terms.selection == terms.transmission == 0.0


def test_a_parent_outside_the_population_counts_as_none_for_its_share():
    lineage = Lineage.equal_shares([(10, [0, 1]), (11, [1, 5])])  # 5 wrote in an earlier round
    terms = price(lineage, [0, 1], [0.0, 1.0], children=[10, 11], child_trait=[0.5, 0.9])
    assert terms.parentless == pytest.approx(0.5 * (0.9 - 0.5) / 2, abs=1e-15)
    assert abs(terms.residual) < 1e-15


def test_selection_of_answers_by_an_evaluator_is_the_recurrence():
    # 60 right, 40 wrong; s = .7, f = .3: the selection term for the trait "wrong" is B(ε) − ε
    wrong = np.repeat([0.0, 1.0], [60, 40])
    accepted = np.concatenate([np.arange(60) < 42, np.arange(40) < 12])
    assert selection_differential(accepted, wrong) == pytest.approx(
        0.4 * 0.3 / (0.4 * 0.3 + 0.6 * 0.7) - 0.4, abs=1e-15
    )


def test_a_fitted_line_predicts_fresh_children_within_its_standard_error():
    rng, misses = np.random.default_rng(6), []
    for _ in range(200):
        parent = rng.choice(np.linspace(0.1, 0.9, 9), 300)
        child = (rng.random(300) < 0.1 + 0.7 * parent).astype(float)
        line = fit_transmission(parent, child)
        forecast = predict(0.5, -0.2, line)
        misses.append((forecast.mean - (0.1 + 0.7 * 0.3)) / forecast.standard_error)
    assert abs(np.mean(misses)) <= 4 / np.sqrt(200)  # unbiased
    assert abs(np.var(misses) - 1) <= 4 * np.sqrt(2 / 200)  # and the standard error is the standard deviation
    assert forecast.change == pytest.approx(forecast.mean - 0.5)


def test_the_prediction_fails_when_transmission_changes():
    line = fit_transmission([0.0, 0.5, 1.0, 0.2], [0.0, 0.5, 1.0, 0.2])  # measured on a perfect imitator
    forecast = predict(0.4, -0.18, line)
    assert forecast.mean == pytest.approx(0.22)
    assert abs(forecast.mean - (0.1 + 0.6 * 0.22)) > 3 * forecast.standard_error  # the model has another pull now


def test_mean_parents_weigh_by_share_and_are_unknown_outside():
    lineage = Lineage.equal_shares([(10, [0, 0, 1]), (11, [1, 5])])
    mean = mean_parent(lineage, [0, 1], [3.0, 0.0], children=[10, 11, 12])
    np.testing.assert_allclose(mean, [2.0, np.nan, np.nan])
    with pytest.raises(ValueError, match="three children"):
        fit_transmission(mean, [1.0, 1.0, 1.0])


def test_populations_that_are_none_are_refused():
    with pytest.raises(ValueError, match="twice"):
        price(Lineage(), [0, 0], [1.0, 2.0], children=[3], child_trait=[1.0])
    with pytest.raises(ValueError, match="not empty"):
        price(Lineage(), [0], [1.0], children=[], child_trait=[])
    with pytest.raises(ValueError, match="nobody reproduces"):
        selection_differential([0, 0], [1.0, 2.0])
