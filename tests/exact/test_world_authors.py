"""The Bayes-optimal reader of `world`, against the library's own and against counting."""

import random

import numpy as np
import pytest

from winnow.dynamics.bayes import AuthorPrior as LibraryPrior
from winnow.dynamics.bayes import bayes_response as library_response
from world.authors import BIMODAL, BUNDLED, MISLED_POWER, bayes_response, bayes_response_to_authored, probability_right

MISLEADING = 0.4


def as_library_prior(prior):
    """The same prior as a grid of authors: reliabilities by evasion rates, two classes, three kinds."""
    reliability, mass = prior.reliability_nodes(num_nodes=40)
    x, w = np.polynomial.legendre.leggauss(20)
    evasion = np.append(0.5 * (x + 1), 0.0)
    evasion_mass = np.append(prior.evasive * 0.5 * w, 1 - prior.evasive)
    r, e = (grid.ravel() for grid in np.meshgrid(reliability, evasion, indexing="ij"))
    kinds = np.stack(
        [
            np.stack([(1 - e) * p, (1 - e) * (1 - p), e], axis=-1)
            for p in (probability_right(r, False), probability_right(r, True))
        ],
        axis=1,
    )
    return LibraryPrior(
        weight=np.outer(mass, evasion_mass).ravel(), kinds=kinds, class_share=np.array([1 - MISLEADING, MISLEADING])
    )


@pytest.mark.parametrize("prior", [BUNDLED, BIMODAL], ids=["bundled", "bimodal"])
@pytest.mark.parametrize("counts", [(0, 0, 0), (8, 0, 0), (0, 8, 0), (5, 3, 0), (3, 3, 2), (0, 0, 8)])
def test_agrees_with_the_librarys_reader(prior, counts):
    right, wrong, evasive = counts
    mine = bayes_response(prior, right=right, wrong=wrong, evasive=evasive, misleading=MISLEADING)
    theirs = library_response(as_library_prior(prior), sum(counts)).at([counts])[0]
    np.testing.assert_allclose(mine, theirs, atol=1e-9)
    assert sum(mine) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("counts", [(16, 0, 0), (8, 8, 0), (0, 16, 0), (6, 6, 4)])
def test_contexts_that_authors_wrote_average_to_a_reader_of_counts(counts):
    """The tower rule: a prior of one class, whose authors are right with the mean over both, answers the same."""
    right, wrong, evasive = counts
    mine = bayes_response_to_authored(BUNDLED, right=right, wrong=wrong, evasive=evasive, misleading=MISLEADING)
    two_classes = as_library_prior(BUNDLED)
    merged = LibraryPrior(
        weight=two_classes.weight, kinds=np.einsum("ack,c->ak", two_classes.kinds, two_classes.shares)
    )
    np.testing.assert_allclose(mine, library_response(merged, sum(counts)).at([counts])[0], atol=1e-9)


def test_agrees_with_counting_drawn_authors():
    """Among transcripts that began right, right, wrong: how often the fourth answer is right (4 standard errors)."""
    rng = random.Random("counting")
    hits = total = 0
    while total < 4000:
        author = BUNDLED.draw(rng)
        kinds = [rng.random() < MISLEADING for _ in range(4)]
        verdicts = []
        for misled in kinds:
            if rng.random() < author.evasion:
                verdicts.append("evasive")
            else:
                verdicts.append(
                    "right" if rng.random() < author.reliability ** (MISLED_POWER if misled else 1) else "wrong"
                )
        # Reject on the verdicts with weight 1 / P(kinds | verdicts) undone: condition on kinds drawn alike.
        if verdicts[:3] == ["right", "right", "wrong"] and kinds[:3] == [False, True, False]:
            total += 1
            hits += verdicts[3] == "right"
    reliability, mass = BUNDLED.reliability_nodes()
    plain, misled = probability_right(reliability, False), probability_right(reliability, True)
    weight = mass * plain * misled * (1 - plain)
    # Evasive authors answered three times too: each rate e weighs (1 - e) ** 3.
    share = BUNDLED.evasive / 4 / (BUNDLED.evasive / 4 + 1 - BUNDLED.evasive)
    answers = 1 - share * (1 / 5)
    expected = answers * float(weight @ ((1 - MISLEADING) * plain + MISLEADING * misled) / weight.sum())
    assert abs(hits / total - expected) < 4 * np.sqrt(expected * (1 - expected) / total)
