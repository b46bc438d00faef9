"""Counts of kinds among k examples: all of them, and how probable each is when a context is drawn from a buffer."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.special import gammaln, xlogy

from winnow.values.logspace import FloatArray, IntArray


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
