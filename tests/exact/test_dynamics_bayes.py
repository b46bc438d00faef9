"""The Bayes-optimal response against conjugate closed forms and against enumeration of whole documents."""

from itertools import product

import numpy as np
import pytest

from winnow.dynamics.bayes import AuthorPrior, bayes_response, mix_priors, quadrature_prior
from winnow.dynamics.counts import compositions


def reliability(right):
    return np.column_stack([right, 1 - right])


def test_uniform_reliability_answers_by_laplaces_rule():
    curve = bayes_response(quadrature_prior(np.ones_like, reliability), 14)
    wrong = curve.counts[:, 1]
    np.testing.assert_allclose(curve.table[:, 1], (wrong + 1) / (14 + 2), atol=1e-12)


def test_a_beta_prior_adds_its_pseudocounts():
    prior = quadrature_prior(lambda right: right**2 * (1 - right), reliability)  # Beta(3, 2)
    curve = bayes_response(prior, 9)
    np.testing.assert_allclose(curve.table[:, 0], (curve.counts[:, 0] + 3) / (9 + 5), atol=1e-12)


def test_the_prototypes_world_gives_the_figures_recorded_for_it():
    careful = AuthorPrior(weight=np.ones(1), kinds=np.array([[0.98, 0.02]]))
    world = mix_priors([(0.12, careful), (0.88, quadrature_prior(np.ones_like, reliability))])
    error = bayes_response(world, 16).at([[16, 0], [12, 4], [8, 8], [0, 16]])[:, 1]
    np.testing.assert_allclose(error, [0.033, 0.278, 0.5, 0.944], atol=5e-4)


def test_two_authors_have_log_odds_linear_in_the_counts():
    prior = AuthorPrior(weight=np.array([0.7, 0.3]), kinds=np.array([[0.9, 0.1], [0.2, 0.8]]))
    posterior = prior.posterior(compositions(6, 2)[:, None, :])
    step = np.diff(np.log(posterior[:, 1] / posterior[:, 0]))
    np.testing.assert_allclose(step, np.log(0.8 / 0.1) - np.log(0.2 / 0.9), rtol=1e-12)


def test_with_classes_it_equals_enumeration_of_every_document():
    rng = np.random.default_rng(5)
    weight, share = rng.dirichlet(np.ones(3)), np.array([0.6, 0.4])
    kinds = rng.dirichlet(np.ones(3), size=(3, 2))
    prior = AuthorPrior(weight=weight, kinds=kinds, class_share=share)
    curve = bayes_response(prior, 3)
    # a reader who sees classes: for each sequence of (class, kind), its probability and its answer; the contexts meant
    # have classes independent of kinds, so sequences are weighed by the classes' shares alone
    total = {tuple(row): np.zeros(3) for row in curve.counts}
    mass = dict.fromkeys(total, 0.0)
    for classes in product(range(2), repeat=3):
        for said in product(range(3), repeat=3):
            posterior = weight * np.prod([kinds[:, c, j] for c, j in zip(classes, said)], axis=0)
            answer = sum(share[c] * (posterior / posterior.sum()) @ kinds[:, c] for c in range(2))
            counts = tuple(np.bincount(said, minlength=3))
            total[counts] = total[counts] + np.prod(share[list(classes)]) * answer
            mass[counts] += np.prod(share[list(classes)])
    expected = np.array([total[tuple(row)] / mass[tuple(row)] for row in curve.counts])
    np.testing.assert_allclose(curve.table, expected, rtol=1e-12)


def test_classes_that_do_not_matter_change_nothing():
    kinds = np.array([[0.9, 0.1], [0.3, 0.7]])
    one = bayes_response(AuthorPrior(weight=np.ones(2), kinds=kinds), 5)
    two = AuthorPrior(weight=np.ones(2), kinds=np.repeat(kinds[:, None], 2, axis=1), class_share=np.array([0.3, 0.7]))
    np.testing.assert_allclose(bayes_response(two, 5).table, one.table, atol=1e-13)


def test_where_the_wrong_examples_come_from_matters_when_only_one_class_tells_authors_apart():
    # in class 1 everyone repeats the popular falsehood: being wrong there says nothing of the author
    kinds = np.array([[[0.95, 0.05], [0.2, 0.8]], [[0.3, 0.7], [0.2, 0.8]]])
    prior = AuthorPrior(weight=np.ones(2), kinds=kinds)
    telling = bayes_response(prior, 4, class_given_kind=[[1.0, 0.0], [1.0, 0.0]])
    popular = bayes_response(prior, 4, class_given_kind=[[0.0, 1.0], [0.0, 1.0]])
    assert np.ptp(telling.table[:, 1]) > 0.2
    np.testing.assert_allclose(popular.table, popular.table[:1].repeat(5, axis=0), atol=1e-13)


def test_a_context_nobody_could_have_written_is_an_error():
    prior = AuthorPrior(weight=np.ones(1), kinds=np.array([[1.0, 0.0]]))
    with pytest.raises(ValueError, match="no author"):
        prior.posterior([[0, 1]])
    with pytest.raises(ValueError, match="distribution"):
        AuthorPrior(weight=np.ones(1), kinds=np.array([[0.5, 0.1]]))
    with pytest.raises(ValueError, match="same classes"):
        mix_priors([(1.0, prior), (1.0, AuthorPrior(weight=np.ones(1), kinds=np.ones((1, 2, 2)) / 2))])
