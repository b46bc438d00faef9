"""The infinitely wide beam by particles: equation (5), the first-token marginal of p^power over futures.

    q(v | h)  ~  p(v | h)^power  E_{future ~ p(. | hv)} [ p(future | hv)^(power - 1) ]                     (5)

First tokens are enumerated, futures are sampled, and the last token of a future is summed over and not drawn (a smaller
variance for the same model calls, and exact at depth 2). Each expectation is estimated without bias; the normalised
distribution q, a ratio of estimates, is biased at few futures and consistent as they grow.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import logsumexp

from winnow.lookahead.beams import distributions
from winnow.ports.program import Program
from winnow.ports.requests import draw
from winnow.values.logspace import FloatArray, IntArray, log_normalise
from winnow.values.random import Key, uniforms
from winnow.values.tree import Tree

ROWS = 4096  # nodes whose whole distributions are held at once


def futures(
    tree: Tree,
    nodes: IntArray,
    logprob: FloatArray,
    *,
    powers: Sequence[float],
    depth: int,
    num: int,
    key: Key,
    slots: IntArray,
    end_tokens: Sequence[int] = (),
    least: float = 0.0,
) -> Program[FloatArray]:
    """log of the estimated expectation in (5), for every power, depth, node and first token: ``[A, D, P, V]``.

    Parameters
    ----------
    nodes, logprob : ``[P]`` nodes of ``tree`` and the distributions ``[P, V]`` there.
    depth : tokens of a future, the first included: depth 1 gives zeros, which is temperature 1 / power.
    num : futures a first token; from depth 3 on, where there is something to draw.
    key, slots : name the random numbers; ``slots`` ``[P]`` are the positions' own.
    least : first tokens of smaller probability are not followed; they get the mean of those that are (weighted by p).

    Guarantees: power 1 gives zeros to rounding. Unbiased for the expectation (not for its log) of each followed token.
    Cost: ``depth - 1`` steps; V nodes a position in the first (fewer with ``least``), ``num`` times as many in each other.

    Raises
    ------
    ValueError
        When depth or num is below one, or a power is not above zero.
    """
    if depth < 1 or num < 1 or min(powers) <= 0:
        raise ValueError(f"depth {depth} and num {num} must be at least one, powers {tuple(powers)} above zero")
    size, ends = logprob.shape[1], np.asarray(end_tokens, np.int64)
    found = np.zeros((len(powers), depth, *logprob.shape))
    going = np.exp(logprob) > least if least > 0 else np.isfinite(logprob)
    going[np.arange(logprob.shape[0]), logprob.argmax(axis=1)] = True  # never nothing
    going[:, ends] = False
    row, token = np.nonzero(going)
    if depth == 1 or not row.size:
        return found
    slot = (slots[row] * size + token) * num
    tree, born = tree.append(nodes[row], token, logprob[row, token])
    # particles of one first token lie side by side; before the first draw they are one and the same
    node, owner, number = born, np.arange(row.size), np.zeros(row.size, np.int64)
    written, ended = np.zeros(row.size), np.zeros(row.size, np.bool_)
    for step in range(1, depth):
        full = np.zeros((node.size, size))
        alive = np.flatnonzero(~ended)
        if alive.size:
            full[alive] = yield from distributions(tree, node[alive], size, rows=ROWS)
        for place, power in enumerate(powers):
            term = (power - 1.0) * written + np.where(ended, 0.0, logsumexp(power * full, axis=1))
            found[place, step, row, token] = _mean(term, row.size)
        if step == depth - 1:
            break
        if step == 1:
            node, owner, written = np.repeat(node, num), np.repeat(owner, num), np.repeat(written, num)
            ended, full, number = np.repeat(ended, num), np.repeat(full, num, axis=0), np.tile(np.arange(num), row.size)
        uniform = uniforms(key.child(step), "future", slot[owner] + number)[:, 0]
        drawn = draw(full, uniform)
        value = np.where(ended, 0.0, full[np.arange(node.size), drawn])
        written = written + value
        tree, born = tree.append(node[~ended], drawn[~ended], value[~ended])
        node = node.copy()
        node[~ended] = born
        ended = ended | np.isin(drawn, ends)
    return _filled(found, logprob, going, ends)


def power_marginal(logprob: FloatArray, expectation: FloatArray, power: float) -> FloatArray:
    """Equation (5), normalised: log q ``[P, V]`` from ``logprob`` ``[P, V]`` and log expectations ``[P, V]``."""
    return log_normalise(np.where(np.isfinite(logprob), power * logprob + expectation, -np.inf), axis=1)


def _mean(term: FloatArray, size: int) -> FloatArray:
    """log of the mean over each first token's particles ``[size]``; all have equally many, side by side."""
    many = term.reshape(size, -1)
    return np.asarray(logsumexp(many, axis=1) - np.log(many.shape[1]), np.float64)


def _filled(found: FloatArray, logprob: FloatArray, going: np.ndarray, ends: IntArray) -> FloatArray:
    """First tokens that were not followed, ends apart, get the weighted mean of those that were."""
    weight = np.where(going, logprob, -np.inf)
    some = going.any(axis=1)
    mean = np.zeros(found.shape[:3])
    mean[:, :, some] = logsumexp(weight[some] + found[:, :, some], axis=3) - logsumexp(weight[some], axis=1)
    missing = ~going
    missing[:, ends] = False
    return np.where(missing, mean[..., None], found)
