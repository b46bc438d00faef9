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
from scipy.stats import binom

from winnow.dynamics.counts import draw_probability
from winnow.dynamics.response import ResponseCurve
from winnow.values.logspace import FloatArray, IntArray
from winnow.values.random import Key, uniforms


class PredictiveInterval(NamedTuple):
    """Quantiles and mean of a measurement not yet made, each ``[K]``, one a kind of answer; linear shares in [0, 1]."""

    low: FloatArray
    mean: FloatArray
    high: FloatArray


def next_round(
    answers: IntArray,
    acceptance: FloatArray,
    curves: Sequence[ResponseCurve],
    *,
    num_queries: int,
    key: Key,
    held: IntArray | None = None,
    num_contexts: int | None = None,
) -> tuple[IntArray, IntArray]:
    """Simulate a round in every replicate: the next answers ``[B, K]`` by kind, and the buffer ``[B, K]`` they came from.

    One replicate: of the answers of kind j a binomial number is accepted; the buffer is these and what is ``held``; each
    context takes k of it without replacement; each query is answered by the curve at its context's counts.

    Parameters
    ----------
    answers : ``[B, K]`` numbers of this round's answers of each kind.
    acceptance : ``[B, K]`` acceptance probability of each kind.
    curves : draws of the response curve; used in turn, so fewer than B will do.
    num_queries : M answers of the next round.
    key : where the draws belong; replicate b is slot b.
    held : ``[B, K]`` what an appended buffer holds already; nothing for a replaced one.
    num_contexts : different contexts the queries share out among them; one a query unless given, 1 for a shared buffer.

    Notes
    -----
    Where nothing is accepted and nothing is held there is no next round: both rows are zero.

    Raises
    ------
    ValueError
        When shapes do not fit.
    """
    if answers.ndim != 2 or acceptance.shape != answers.shape or any(c.num_kinds != answers.shape[1] for c in curves):
        raise ValueError(
            f"answers and acceptance [B, K] and curves must agree, not {answers.shape}, {acceptance.shape}"
        )
    slots = np.arange(len(answers))
    thinned = np.asarray(binom.ppf(uniforms(key, "accepted", slots, answers.shape[1]), answers, acceptance))
    # scipy puts the quantile of exactly zero at -1
    buffer = np.maximum(thinned, 0.0).astype(np.int64) + (0 if held is None else held)
    contexts = min(num_contexts or num_queries, num_queries)
    alive = slots[buffer.sum(axis=1) > 0]
    pick, speak = uniforms(key, "context", alive, contexts), uniforms(key, "answer", alive, num_queries)
    tables = [np.cumsum(curve.table, axis=1)[:, :-1] for curve in curves]
    written = np.zeros_like(answers)
    for row, slot in enumerate(alive):
        chance = np.cumsum(draw_probability(curves[0].counts, buffer[slot]))
        drawn = np.minimum(np.searchsorted(chance / chance[-1], pick[row], side="right"), chance.size - 1)
        cumulative = tables[slot % len(curves)][drawn[np.arange(num_queries) % contexts]]
        kind: IntArray = (cumulative <= speak[row][:, None]).sum(axis=1)
        written[slot] = np.bincount(kind, minlength=answers.shape[1])
    return written, buffer


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

    Parameters
    ----------
    answers : ``[K]`` numbers of this round's answers of each kind, as measured.
    acceptance : ``[B, K]`` draws of the acceptance probabilities, or the known ones repeated.
    held : ``[K]`` what an appended buffer holds already.
    curves, num_queries, key, num_contexts : as in `next_round`.

    Returns
    -------
    ``[B, K]``; replicates in which nothing was accepted are left out, since then there is no next round.

    Raises
    ------
    ValueError
        When in no replicate anything is accepted, or shapes do not fit.
    """
    count = np.asarray(answers, np.int64)
    if acceptance.ndim != 2 or acceptance.shape[1] != count.size:
        raise ValueError(f"acceptance must be [B, K] with K = {count.size}, not {acceptance.shape}")
    written, buffer = next_round(
        np.tile(count, (len(acceptance), 1)),
        acceptance,
        curves,
        num_queries=num_queries,
        key=key,
        held=None if held is None else np.tile(np.asarray(held, np.int64), (len(acceptance), 1)),
        num_contexts=num_contexts,
    )
    alive = buffer.sum(axis=1) > 0
    if not alive.any():
        raise ValueError("nothing is accepted in any replicate: there is no next round to predict")
    return np.asarray(written[alive] / num_queries, np.float64)


def predictive_interval(draws: FloatArray, level: float = 0.95) -> PredictiveInterval:
    """Central interval of simulated measurements ``[B, K]``: at 0.95 the quantiles .025 and .975.

    The error share is entry WRONG of each field. Quantiles are those of the draws themselves (inverted CDF), so both ends
    are shares that can be measured.
    """
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(draws, [tail, 1.0 - tail], axis=0, method="inverted_cdf")
    return PredictiveInterval(np.asarray(low, np.float64), draws.mean(axis=0), np.asarray(high, np.float64))
