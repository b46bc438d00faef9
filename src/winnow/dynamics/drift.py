"""Finite buffers drift: what chance alone does when nothing is selected, and how it adds to what selection does.

A replaced buffer of N answers, each of the next N copying one of them, is the Wright-Fisher model; an appended buffer that
is copied into itself is Pólya's urn. Both are exact here; the first is
also simulated, with keys. The state is the number of wrong answers in the buffer.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.stats import betabinom, binom

from winnow.values.logspace import FloatArray
from winnow.values.random import Key, uniforms

ErrorMap = Callable[
    [FloatArray], FloatArray
]  # wrong share of the buffer to chance that the next answer is wrong, elementwise


def _copy(share: FloatArray) -> FloatArray:
    return share


def wright_fisher(size: int, error_map: ErrorMap = _copy) -> FloatArray:
    """Transition matrix of the number of wrong answers in a replaced buffer: ``[N + 1, N + 1]``, rows sum to one.

        P(i → j) = Binomial(j; N, h(i/N))

    Parameters
    ----------
    size : N answers in the buffer, all replaced each round.
    error_map : h; the identity copies (no selection), ``selected_error`` selects, g∘B does both.

    References
    ----------
    Fisher (1930); Wright (1931); Ewens (2004), Mathematical Population Genetics, eq. 1.48.
    """
    number = np.arange(size + 1)
    chance = error_map(number / size)
    return np.asarray(binom.pmf(number[None, :], size, chance[:, None]), np.float64)


def absorption_probability(transition: FloatArray) -> FloatArray:
    """Probability of ending all wrong, by the number wrong at the start: ``[N + 1]``.

    i/N when nothing is selected: the share wrong is a martingale.

    Raises
    ------
    ValueError
        When an end does not absorb: a model that errs by itself is never fixed.
    """
    last = transition.shape[0] - 1
    if not np.isclose(transition[0, 0], 1.0) or not np.isclose(transition[last, last], 1.0):
        raise ValueError("all right and all wrong must be absorbing for absorption to have a probability")
    inner = slice(1, last)
    stay = np.eye(last - 1) - transition[inner, inner]
    inside = np.linalg.solve(stay, transition[inner, last])
    return np.concatenate([[0.0], inside, [1.0]])


def expected_heterozygosity(transition: FloatArray, start: int, num_rounds: int) -> FloatArray:
    """Chance that two answers drawn with replacement differ in kind, ``E[2x(1 − x)]``, a round: ``[num_rounds + 1]``.

    Falls by the factor ``1 − 1/N`` a round when nothing is selected (haploid: N copies, not 2N).
    """
    size = transition.shape[0] - 1
    share = np.arange(size + 1) / size
    state = np.eye(size + 1)[start]
    values = []
    for _ in range(num_rounds + 1):
        values.append(float(state @ (2.0 * share * (1.0 - share))))
        state = state @ transition
    return np.array(values)


def simulate_drift(
    size: int, start: int, num_rounds: int, *, num_runs: int, key: Key, error_map: ErrorMap = _copy
) -> FloatArray:
    """Wrong share of a replaced buffer along independent runs: ``[num_runs, num_rounds + 1]``.

    Deterministic given ``key``; run r is the same whatever ``num_runs`` and ``num_rounds``.
    """
    uniform = uniforms(key, "drift", np.arange(num_runs), num_rounds)
    share = np.full((num_runs, num_rounds + 1), start / size)
    for index in range(num_rounds):
        drawn = np.asarray(binom.ppf(uniform[:, index], size, error_map(share[:, index])), np.float64)
        share[:, index + 1] = np.maximum(drawn, 0.0) / size
    return share


def polya_urn(right: int, wrong: int, num_added: int) -> FloatArray:
    """Distribution of the number of wrong ones among ``num_added`` copies of an appended buffer: ``[num_added + 1]``.

    Beta-binomial. The mean stays at the start, and the share never settles on it: its limit is Beta(wrong, right), so
    luck in a small first buffer is remembered for ever.

    Raises
    ------
    ValueError
        When the buffer lacks either kind: then nothing can change.
    """
    if right < 1 or wrong < 1:
        raise ValueError("an urn needs at least one of each kind")
    return np.asarray(betabinom.pmf(np.arange(num_added + 1), num_added, wrong, right), np.float64)
