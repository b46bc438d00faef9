"""The response curve g: what a model answers as a function of what its context holds.

g is measured, or derived, at exact counts: contexts of k examples of which so many are right, wrong, abstaining. A context
drawn from a buffer of composition q fluctuates round q, so the response to a *buffer* is the mean of g over the draw:

    g(q) = Σ_c  Multinomial(c; k, q) g(c)

which is why a curve is a table over all counts and not a function of q. Order within a context is taken to be random.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln, xlogy

from winnow.dynamics.multilogit import deviance, fit_multilogit, multilogit_probability
from winnow.values.logspace import FloatArray, IntArray
from winnow.values.random import Key, uniforms

RIDGE = 0.1


@dataclass(frozen=True, kw_only=True)
class ResponseMeasurement:
    """Answers counted by kind, at contexts of known counts.

    Each answer must be to its own query, drawn at random, for the counts to be multinomial: one query asked at several
    grid points makes the points err together, and no interval built on them will know.

    Raises
    ------
    ValueError
        When shapes differ, contexts differ in length, or there is nothing.
    """

    context: IntArray  # [G, K] numbers of right, wrong (, abstaining) examples in the context; every row sums to k
    answers: IntArray  # [G, K] numbers of right, wrong (, abstaining) answers given to it

    def __post_init__(self) -> None:
        if self.context.ndim != 2 or self.context.shape != self.answers.shape or self.context.shape[1] < 2:
            raise ValueError(
                f"context {self.context.shape} and answers {self.answers.shape} must be [G, K] alike, K >= 2"
            )
        if np.any(self.context < 0) or np.any(self.answers < 0) or self.answers.sum() == 0:
            raise ValueError("context and answers hold counts, and at least one answer")
        if np.unique(self.context.sum(axis=1)).size != 1 or self.context[0].sum() == 0:
            raise ValueError("every context of one curve holds the same number of examples, at least one")

    @property
    def num_examples(self) -> int:
        """k, the length of a context."""
        return int(self.context[0].sum())


@dataclass(frozen=True, kw_only=True)
class ResponseCurve:
    """g at every count of the kinds among k examples; called with a buffer's composition, its mean over the draw.

    A curve is a response: ``one_step(composition, acceptance, curve)``.

    Raises
    ------
    ValueError
        When the table has another number of rows than there are counts, or a row is no distribution.
    """

    num_examples: int  # k
    table: FloatArray  # [C, K], row i the distribution of answers at counts `compositions(k, K)[i]`
    measurement: ResponseMeasurement | None = None  # what it was fitted to; None for a curve known exactly

    def __post_init__(self) -> None:
        if self.table.ndim != 2 or self.table.shape[0] != self.counts.shape[0]:
            raise ValueError(f"a curve over {self.num_examples} examples needs one row a count, not {self.table.shape}")
        if np.any(self.table < 0) or not np.allclose(self.table.sum(axis=1), 1.0, rtol=0.0, atol=1e-9):
            raise ValueError("every row of the table must be a distribution over the kinds")

    # ---- ways to get one

    @classmethod
    def fit(cls, measurement: ResponseMeasurement, *, ridge: float = RIDGE) -> ResponseCurve:
        """The smooth curve through a measurement, by penalised maximum likelihood."""
        k, num_kinds = measurement.num_examples, measurement.context.shape[1]
        feature, grid = _features(compositions(k, num_kinds)), _features(measurement.context)
        weight = fit_multilogit(grid, measurement.answers.astype(np.float64), ridge)
        return cls(num_examples=k, table=multilogit_probability(feature, weight), measurement=measurement)

    @classmethod
    def measured(cls, context: ArrayLike, answers: ArrayLike, *, ridge: float = RIDGE) -> ResponseCurve:
        """`fit` from counts: ``context`` ``[G, K]`` examples of each kind, ``answers`` ``[G, K]`` answers of each kind."""
        pair = ResponseMeasurement(context=np.asarray(context, np.int64), answers=np.asarray(answers, np.int64))
        return cls.fit(pair, ridge=ridge)

    @classmethod
    def from_function(
        cls, num_examples: int, num_kinds: int, response: Callable[[IntArray], FloatArray]
    ) -> ResponseCurve:
        """A curve known exactly: ``response`` maps counts ``[C, K]`` to distributions ``[C, K]``."""
        return cls(num_examples=num_examples, table=response(compositions(num_examples, num_kinds)))

    @classmethod
    def identity(cls, num_examples: int, num_kinds: int) -> ResponseCurve:
        """The perfect imitator: answers as its context does."""
        return cls.from_function(num_examples, num_kinds, lambda counts: counts / num_examples)

    # ---- what it says

    @property
    def num_kinds(self) -> int:
        """K, two (right, wrong) or three (and abstention)."""
        return int(self.table.shape[1])

    @property
    def counts(self) -> IntArray:
        """``[C, K]`` the counts the rows of the table belong to."""
        return compositions(self.num_examples, self.table.shape[1])

    def __call__(self, composition: ArrayLike) -> FloatArray:
        """Expected answers with contexts drawn from an endless buffer of this composition: ``[..., K]`` to the same."""
        share = np.asarray(composition, np.float64)
        return np.asarray(multinomial_probability(self.counts, share) @ self.table, np.float64)

    def from_buffer(self, buffer: ArrayLike) -> FloatArray:
        """Expected answers with contexts drawn *without replacement* from a buffer of these counts: ``[..., K]``."""
        return np.asarray(draw_probability(self.counts, np.asarray(buffer, np.int64)) @ self.table, np.float64)

    def at(self, counts: ArrayLike) -> FloatArray:
        """The distribution at exact counts ``[..., K]``, each row summing to k."""
        wanted = np.asarray(counts, np.int64)
        base = (self.num_examples + 1) ** np.arange(self.num_kinds)
        code = self.counts @ base
        order = np.argsort(code)
        position = np.minimum(np.searchsorted(code[order], wanted @ base), order.size - 1)
        row = order[position]
        if not np.array_equal(self.counts[row], wanted):
            raise ValueError(f"counts must be non-negative and sum to {self.num_examples}")
        return self.table[row]

    # ---- how far it may be trusted

    def resample(self, key: Key) -> ResponseCurve:
        """A parametric bootstrap replicate: as many answers drawn from the fitted curve, fitted again.

        Deterministic given ``key``. A curve known exactly has no sampling error and returns itself.
        """
        if self.measurement is None:
            return self
        cumulative = np.cumsum(self.at(self.measurement.context), axis=1)
        size = self.measurement.answers.sum(axis=1)
        uniform = uniforms(key, "response", np.arange(size.size), max(int(size.max()), 1))
        answers = np.zeros_like(self.measurement.answers)
        for row, number in enumerate(size):
            kind = np.searchsorted(cumulative[row, :-1], uniform[row, :number], side="right")
            answers[row] = np.bincount(kind, minlength=self.num_kinds)
        return ResponseCurve.fit(ResponseMeasurement(context=self.measurement.context, answers=answers))

    def lack_of_fit(self) -> tuple[float, int]:
        """Deviance of the fit against the raw shares, and its degrees of freedom: about chi-squared when the form holds.

        (0, 0) for a curve known exactly.
        """
        if self.measurement is None:
            return 0.0, 0
        answers = self.measurement.answers.astype(np.float64)
        rows = np.unique(self.measurement.context, axis=0).shape[0]
        free = max(rows - _features(self.measurement.context).shape[1], 0) * (self.num_kinds - 1)
        return deviance(answers, self.at(self.measurement.context)), free


@lru_cache(maxsize=32)
def compositions(num_examples: int, num_kinds: int) -> IntArray:
    """All counts of ``num_kinds`` kinds among ``num_examples``: ``[C, K]``, C = (k+K−1 choose K−1), most right first."""
    if num_kinds == 1:
        rows = np.array([[num_examples]], np.int64)
    else:
        parts = [
            np.column_stack([np.full(rest.shape[0], first, np.int64), rest])
            for first in range(num_examples, -1, -1)
            for rest in [compositions(num_examples - first, num_kinds - 1)]
        ]
        rows = np.concatenate(parts)
    rows.flags.writeable = False
    return rows


def multinomial_probability(counts: IntArray, share: FloatArray) -> FloatArray:
    """Probability of each of ``counts`` ``[C, K]`` (rows of one sum) in independent draws: ``[..., K]`` to ``[..., C]``."""
    ways = gammaln(counts[0].sum() + 1.0) - gammaln(counts + 1.0).sum(axis=1)
    return np.asarray(np.exp(ways + xlogy(counts, share[..., None, :]).sum(axis=-1)), np.float64)


def draw_probability(counts: IntArray, buffer: IntArray) -> FloatArray:
    """Probability of each of ``counts`` ``[C, K]`` in draws without replacement from ``buffer`` ``[..., K]``: ``[..., C]``.

    A buffer that holds fewer than a context takes is drawn from with replacement.

    Raises
    ------
    ValueError
        When a buffer is empty.
    """
    size, taken = buffer.sum(axis=-1), int(counts[0].sum())
    if np.any(size <= 0):
        raise ValueError("cannot draw a context from an empty buffer")
    held = buffer[..., None, :]
    left = np.maximum(held - counts, 0)
    ways = (gammaln(held + 1.0) - gammaln(counts + 1.0) - gammaln(left + 1.0)).sum(axis=-1)
    whole = gammaln(size + 1.0) - gammaln(taken + 1.0) - gammaln(np.maximum(size - taken, 0) + 1.0)
    exact = np.where((held >= counts).all(axis=-1), np.exp(ways - whole[..., None]), 0.0)
    small = multinomial_probability(counts, buffer / size[..., None])
    return np.asarray(np.where((size >= taken)[..., None], exact, small), np.float64)


def _features(counts: IntArray) -> FloatArray:
    """``[C, F]``: 1, shares, their products, and log(count + 1/2) of each kind."""
    share = counts / counts[0].sum()
    free = share[:, 1:]
    upper = np.triu_indices(free.shape[1])
    products = free[:, upper[0]] * free[:, upper[1]]
    return np.column_stack([np.ones(counts.shape[0]), 2 * free - 1, 4 * products, np.log(counts + 0.5)])
