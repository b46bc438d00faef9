"""How far the next measurement may lie from the predicted line: predictive intervals, by simulating what is not known.

Four sources are drawn afresh in every replicate: the acceptance probabilities (measured on few answers), the response curve
(measured on few contexts), the round itself (which answers were accepted, which of them fell into which context), and the
next measurement (a finite number of answers). Everything follows from a key.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import beta, binom

from winnow.dynamics.counts import draw_probability
from winnow.dynamics.response import ResponseCurve
from winnow.values.logspace import FloatArray, IntArray
from winnow.values.random import Key, uniforms


class PredictiveInterval(NamedTuple):
    """Quantiles and mean of a measurement not yet made, each ``[K]``, one a kind of answer; linear shares in [0, 1]."""

    low: FloatArray
    mean: FloatArray
    high: FloatArray


def acceptance_draws(accepted: ArrayLike, total: ArrayLike, *, num_draws: int, key: Key) -> FloatArray:
    """What acceptance probabilities an audit leaves possible: ``[num_draws, K]`` draws.

    From the posterior Beta(accepted + 1/2, rejected + 1/2) of each kind (Jeffreys), which stays honest for a kind that was
    never seen or never rejected, where a bootstrap of the counts would claim to be certain.

    Parameters
    ----------
    accepted, total : ``[K]`` accepted and audited answers of each kind.
    num_draws : B.
    key : where the draws belong.

    Raises
    ------
    ValueError
        When more were accepted than audited.
    """
    kept, seen = np.asarray(accepted, np.float64), np.asarray(total, np.float64)
    if kept.shape != seen.shape or np.any(kept < 0) or np.any(kept > seen):
        raise ValueError("accepted must be [K] counts between zero and total")
    uniform = uniforms(key, "acceptance", np.arange(num_draws), kept.size)
    return np.asarray(beta.ppf(uniform, kept + 0.5, seen - kept + 0.5), np.float64)


def curve_draws(curve: ResponseCurve, *, num_draws: int, key: Key) -> list[ResponseCurve]:
    """``num_draws`` parametric bootstrap replicates of a measured curve; the curve itself where it is known exactly."""
    if curve.measurement is None:
        return [curve]
    return [curve.resample(key.child("replicate", index)) for index in range(num_draws)]


def predictive_draws(
    answers: ArrayLike,
    acceptance: FloatArray,
    curves: Sequence[ResponseCurve],
    *,
    num_queries: int,
    key: Key,
    held: ArrayLike | None = None,
    num_contexts: int | None = None,
) -> FloatArray:
    """Simulated next measurements: ``[B, K]`` shares of the kinds among ``num_queries`` answers, given this round's.

    One replicate: of the answers of kind j a binomial number is accepted; the buffer is these and what is ``held``; each
    context takes k of it without replacement; each query is answered by the curve at its context's counts.

    Parameters
    ----------
    answers : ``[K]`` numbers of this round's answers of each kind, as measured.
    acceptance : ``[B, K]`` draws of the acceptance probabilities (`acceptance_draws`), or the known ones repeated.
    curves : draws of the response curve (`curve_draws`); used in turn, so fewer than B will do.
    num_queries : M answers to be measured next round.
    key : where the draws belong.
    held : ``[K]`` what an appended buffer holds already; nothing for a replaced one.
    num_contexts : different contexts the queries share out among them; one a query unless given, 1 for a shared buffer.

    Returns
    -------
    ``[B, K]``; replicates in which nothing was accepted are left out, since then there is no next round.

    Raises
    ------
    ValueError
        When in no replicate anything is accepted, or shapes do not fit.
    """
    count = np.asarray(answers, np.int64)
    if acceptance.ndim != 2 or acceptance.shape[1] != count.size or any(c.num_kinds != count.size for c in curves):
        raise ValueError(f"answers [K], acceptance [B, K] and curves must agree on K = {count.size}")
    slots = np.arange(acceptance.shape[0])
    thinned = np.asarray(binom.ppf(uniforms(key, "accepted", slots, count.size), count, acceptance))
    kept = np.maximum(thinned, 0.0).astype(np.int64)  # scipy puts the quantile of exactly zero at -1
    buffer = kept + (0 if held is None else np.asarray(held, np.int64))
    alive = slots[buffer.sum(axis=1) > 0]
    if alive.size == 0:
        raise ValueError("nothing is accepted in any replicate: there is no next round to predict")
    contexts = min(num_contexts or num_queries, num_queries)
    pick = uniforms(key, "context", alive, contexts)
    speak = uniforms(key, "answer", alive, num_queries)
    tables = [np.cumsum(curve.table, axis=1)[:, :-1] for curve in curves]
    shares = np.empty((alive.size, count.size))
    for row, slot in enumerate(alive):
        curve = curves[slot % len(curves)]
        chance = np.cumsum(draw_probability(curve.counts, buffer[slot]))
        drawn = np.minimum(np.searchsorted(chance / chance[-1], pick[row], side="right"), chance.size - 1)
        cumulative = tables[slot % len(curves)][drawn[np.arange(num_queries) % contexts]]
        kind: IntArray = (cumulative <= speak[row][:, None]).sum(axis=1)
        shares[row] = np.bincount(kind, minlength=count.size) / num_queries
    return shares


def predictive_interval(draws: FloatArray, level: float = 0.95) -> PredictiveInterval:
    """Central interval of simulated measurements ``[B, K]``: at 0.95 the quantiles .025 and .975.

    The error share is entry WRONG of each field. Quantiles are those of the draws themselves (inverted CDF), so both ends
    are shares that can be measured.
    """
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(draws, [tail, 1.0 - tail], axis=0, method="inverted_cdf")
    return PredictiveInterval(np.asarray(low, np.float64), draws.mean(axis=0), np.asarray(high, np.float64))
