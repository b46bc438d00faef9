"""The response a perfect reader would have: which authors the context makes likely, and what those authors say next.

A document is written by one author, drawn from a prior; each of its answers is of a kind (right, wrong, abstention ...)
drawn from that author's distribution, which may depend on a class of the item (facts with and without a popular
falsehood). From counts of kinds in a context follows the posterior over authors, and from it the next answer.

Where the generator of the training documents is known this is the response curve from first principles, without touching a
model. It refuses to know what a model does about it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import softmax, xlogy

from winnow.dynamics.counts import compositions, multinomial_probability
from winnow.dynamics.response import ResponseCurve
from winnow.values.logspace import FloatArray, IntArray


@dataclass(frozen=True, kw_only=True)
class AuthorPrior:
    """Authors, how many documents each writes, and how each answers.

    ``kinds`` may be given as ``[A, K]`` when there is one class of items; it is held as ``[A, C, K]``.

    Raises
    ------
    ValueError
        When shapes do not fit, or weights or distributions are none.
    """

    weight: FloatArray  # [A], non-negative, normalised on entry
    kinds: FloatArray  # [A, C, K] distribution over kinds of answers, by author and class of item
    class_share: FloatArray | None = None  # [C] share of items of each class; equal unless given

    def __post_init__(self) -> None:
        kinds = np.asarray(self.kinds, np.float64)
        kinds = kinds[:, None, :] if kinds.ndim == 2 else kinds
        weight = np.asarray(self.weight, np.float64)
        if kinds.ndim != 3 or weight.shape != kinds.shape[:1]:
            raise ValueError(f"weight {weight.shape} must be [A] and kinds {kinds.shape} [A, K] or [A, C, K]")
        if np.any(weight < 0) or weight.sum() <= 0:
            raise ValueError("the weights of authors must be non-negative and not all zero")
        if np.any(kinds < 0) or not np.allclose(kinds.sum(axis=2), 1.0, rtol=0.0, atol=1e-9):
            raise ValueError("every author's kinds must be a distribution for every class")
        share = np.ones(kinds.shape[1]) if self.class_share is None else np.asarray(self.class_share, np.float64)
        if share.shape != kinds.shape[1:2] or np.any(share < 0) or share.sum() <= 0:
            raise ValueError(f"class_share must be [{kinds.shape[1]}], non-negative and not all zero")
        object.__setattr__(self, "kinds", kinds)
        object.__setattr__(self, "weight", weight / weight.sum())
        object.__setattr__(self, "class_share", share / share.sum())

    @property
    def shares(self) -> FloatArray:
        """``[C]`` share of items of each class."""
        assert self.class_share is not None
        return self.class_share

    @property
    def num_kinds(self) -> int:
        """K."""
        return int(self.kinds.shape[2])

    def posterior(self, counts: ArrayLike) -> FloatArray:
        """Weights of the authors after a context: ``[..., C, K]`` counts by class and kind to ``[..., A]``.

            P(a | n) ∝ P(a) Π_cj θ_acj^{n_cj}

        Raises
        ------
        ValueError
            When no author could have written the context.
        """
        seen = np.asarray(counts, np.float64)
        with np.errstate(divide="ignore"):
            log_weight = np.log(self.weight)
        score = log_weight + xlogy(seen[..., None, :, :], self.kinds).sum(axis=(-1, -2))
        if np.any(np.isneginf(score.max(axis=-1))):
            raise ValueError("no author of this prior could have written such a context")
        return np.asarray(softmax(score, axis=-1), np.float64)

    def predictive(self, counts: ArrayLike) -> FloatArray:
        """Distribution of the next answer by class of its query: ``[..., C, K]`` counts to ``[..., C, K]``."""
        return np.asarray(np.einsum("...a,ack->...ck", self.posterior(counts), self.kinds), np.float64)

    def respond(self, counts: ArrayLike) -> FloatArray:
        """The same, averaged over queries of all classes by their shares: ``[..., C, K]`` counts to ``[..., K]``."""
        return np.asarray(np.einsum("...ck,c->...k", self.predictive(counts), self.shares), np.float64)


def bayes_response(
    prior: AuthorPrior, num_examples: int, *, class_given_kind: ArrayLike | None = None
) -> ResponseCurve:
    """The Bayes-optimal response curve over contexts of ``num_examples`` whose classes are not fixed.

    The reader knows the class of every example and query; the curve, a function of the kinds alone, averages over which
    classes the examples have.

    Parameters
    ----------
    prior : authors and how they answer.
    num_examples : k.
    class_given_kind : ``[K, C]`` how examples of each kind are spread over the classes in the contexts meant: in a measured
        curve whatever the experimenter chose, in a loop the composition of the buffer. The classes' shares unless given.

    Notes
    -----
    Cost grows as k to the power of K·(C − 1) rows in all; two classes, three kinds and k = 14 are 15,504 contexts.

    Examples
    --------
    >>> uniform = quadrature_prior(np.ones_like, lambda right: np.column_stack([right, 1 - right]))
    >>> careful = AuthorPrior(weight=np.ones(1), kinds=np.array([[0.98, 0.02]]))
    >>> curve = bayes_response(mix_priors([(0.12, careful), (0.88, uniform)]), 16)
    >>> curve.at([[16, 0], [12, 4], [0, 16]])[:, 1].round(3).tolist()  # the prototype's world: error after 0, 4, 16 wrong
    [0.033, 0.278, 0.944]
    """
    num_kinds, num_classes = prior.num_kinds, prior.shares.size
    spread = np.broadcast_to(prior.shares if class_given_kind is None else class_given_kind, (num_kinds, num_classes))

    def respond(counts: IntArray) -> FloatArray:
        return np.array([_mean_over_classes(prior, row, np.asarray(spread, np.float64)) for row in counts])

    return ResponseCurve.from_function(num_examples, num_kinds, respond)


def _mean_over_classes(prior: AuthorPrior, counts: IntArray, spread: FloatArray) -> FloatArray:
    """``[K]`` response to ``counts`` ``[K]``, each kind's examples falling into classes by ``spread`` ``[K, C]``."""
    num_classes = spread.shape[1]
    ways = [compositions(int(number), num_classes) for number in counts]
    chance = [multinomial_probability(way, row) for way, row in zip(ways, spread, strict=True)]
    picks = np.array(list(product(*(range(len(way)) for way in ways))))
    weight = np.prod([chance[kind][picks[:, kind]] for kind in range(counts.size)], axis=0)
    live = weight > 0
    seen = np.stack([ways[kind][picks[live, kind]] for kind in range(counts.size)], axis=-1)  # [., C, K]
    return np.asarray(weight[live] @ prior.respond(seen) / weight[live].sum(), np.float64)


def quadrature_prior(
    density: Callable[[FloatArray], FloatArray],
    kinds: Callable[[FloatArray], FloatArray],
    *,
    low: float = 0.0,
    high: float = 1.0,
    num_points: int = 64,
    class_share: ArrayLike | None = None,
) -> AuthorPrior:
    """Authors along a continuous trait, by Gauss-Legendre quadrature: exact for polynomials up to degree 2·num_points − 1.

    Parameters
    ----------
    density : trait ``[A]`` to a density, normalised or not, on [low, high].
    kinds : trait ``[A]`` to distributions ``[A, K]`` or ``[A, C, K]``.
    low, high : ends of the trait.
    num_points : A. A uniform trait and k examples need (k + 2)/2 points to be exact.
    class_share : ``[C]`` shares of the classes.
    """
    node, weight = np.polynomial.legendre.leggauss(num_points)
    trait = low + (high - low) * (node + 1.0) / 2.0
    share = None if class_share is None else np.asarray(class_share, np.float64)
    return AuthorPrior(weight=weight * density(trait), kinds=kinds(trait), class_share=share)


def mix_priors(parts: Sequence[tuple[float, AuthorPrior]]) -> AuthorPrior:
    """One prior out of several, each with the share of documents its authors write; class shares are the first's.

    Raises
    ------
    ValueError
        When the parts differ in classes, class shares or kinds.
    """
    first = parts[0][1]
    for _, part in parts:
        if part.kinds.shape[1:] != first.kinds.shape[1:] or not np.allclose(part.shares, first.shares):
            raise ValueError("priors that are mixed must have the same classes, class shares and kinds")
    return AuthorPrior(
        weight=np.concatenate([share * part.weight for share, part in parts]),
        kinds=np.concatenate([part.kinds for _, part in parts]),
        class_share=first.class_share,
    )
