"""The population: the one data structure of selection, and the resampling schemes that turn weights into offspring.

All weights are natural logarithms. Order within one step of selection: weigh, report the effective sample size, and
only then resample; resampling sets the weights back to equal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from winnow.values.logspace import FloatArray, IntArray, entropy, log_normalise


@dataclass(frozen=True, kw_only=True)
class Population:
    """Individuals and what selection knows of them.

    Raises
    ------
    ValueError
        When the columns differ in length.
    """

    individuals: Sequence[Any]  # N of them: completions, tree nodes, prompts, models
    log_weight: FloatArray  # [N], unnormalised importance weights
    log_fitness: FloatArray | None = (
        None  # [N], the exponent f/T that selection applied; None when nothing selected yet
    )

    def __post_init__(self) -> None:
        sizes = {len(self.individuals), self.log_weight.shape[0]}
        if self.log_fitness is not None:
            sizes.add(self.log_fitness.shape[0])
        if len(sizes) != 1:
            raise ValueError(f"individuals, log_weight and log_fitness must have one length, not {sorted(sizes)}")

    def __len__(self) -> int:
        return len(self.individuals)


def ess(log_weight: ArrayLike) -> float:
    """Effective sample size, 1 / sum of squared normalised weights: in [1, N], unchanged by a shift of the logs.

    Kong (1992). N when all weights are equal, 1 when one holds everything.
    """
    return float(np.exp(-_log_sum_square(log_normalise(log_weight))))


def _log_sum_square(log_prob: FloatArray) -> float:
    return float(np.log(np.exp(2 * log_prob).sum()))


def effective_number(counts: ArrayLike) -> float:
    """exp(entropy) of the shares given by non-negative ``counts``: the Hill number of order 1; 0 for nothing at all.

    >>> round(effective_number([5, 5, 0]), 6)
    2.0
    """
    counts = np.asarray(counts, dtype=np.float64)
    total = counts.sum()
    if total <= 0:
        return 0.0
    with np.errstate(divide="ignore"):
        return float(np.exp(entropy(np.log(counts / total))))


def _inverse_cdf(points: FloatArray, weight: FloatArray) -> IntArray:
    cumulative = np.cumsum(weight)
    cumulative /= cumulative[-1]
    points = np.minimum(points, np.nextafter(1.0, 0.0))  # (N − 1 + u)/N may round to one, past the last positive weight
    return np.minimum(np.searchsorted(cumulative, points, side="right"), weight.size - 1).astype(np.int64)


def _multinomial(weight: FloatArray, uniform: FloatArray) -> IntArray:
    return np.sort(_inverse_cdf(uniform, weight))


def _stratified(weight: FloatArray, uniform: FloatArray) -> IntArray:
    return _inverse_cdf((np.arange(uniform.size) + uniform) / uniform.size, weight)


def _systematic(weight: FloatArray, uniform: FloatArray) -> IntArray:
    return _inverse_cdf((np.arange(uniform.size) + uniform[0]) / uniform.size, weight)


def _residual(weight: FloatArray, uniform: FloatArray) -> IntArray:
    num = uniform.size
    # the guard keeps N * (1/N) from rounding down to N - 1 sure offspring
    sure = np.floor(num * weight * (1 + 4e-16)).astype(np.int64)
    rest = num - int(sure.sum())
    certain = np.repeat(np.arange(weight.size), sure)
    if rest <= 0:
        return certain[:num]
    return np.sort(np.concatenate([certain, _inverse_cdf(uniform[:rest], np.maximum(num * weight - sure, 0.0))]))


RESAMPLERS: dict[str, Callable[[FloatArray, FloatArray], IntArray]] = {
    "systematic": _systematic,
    "multinomial": _multinomial,
    "residual": _residual,
    "stratified": _stratified,
}


def resample(log_weight: ArrayLike, uniform: FloatArray, scheme: str = "systematic") -> IntArray:
    """Parents of the next population: ``[M]`` sorted indices into ``log_weight``, M = ``uniform.size``.

    Every scheme is unbiased: the expected number of offspring of i is M times its normalised weight. Systematic and
    residual give each at least floor(M w_i). Douc, Cappé and Moulines (2005).

    Parameters
    ----------
    log_weight : ``[N]`` natural logs, any shift.
    uniform : ``[M]`` numbers in [0, 1); systematic uses the first only.
    scheme : one of RESAMPLERS.
    """
    return RESAMPLERS[scheme](np.exp(log_normalise(log_weight)), uniform)
