"""Means over positions with intervals that know that positions of one text hang together.

A paired bootstrap over units (documents or blocks): units are drawn again with all their positions, and the mean over all
positions is taken each time.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from winnow.values.logspace import FloatArray, IntArray
from winnow.values.random import Key, permutation, uniforms

DRAWS = 2000


class Estimate(NamedTuple):
    """A mean, its 95 % interval, and how many positions it is of."""

    mean: float
    low: float
    high: float
    positions: int

    def __str__(self) -> str:
        return f"{self.mean:+.4f} [{self.low:+.4f}, {self.high:+.4f}]"

    @property
    def above(self) -> bool:
        """Whether the whole interval lies above 0."""
        return self.low > 0.0


def estimate(value: FloatArray, unit: IntArray, key: Key) -> Estimate:
    """The mean of ``value`` ``[P]`` over positions with a bootstrap interval over ``unit`` ``[P]``."""
    return estimates(value[:, None], unit, key)[0]


def estimates(values: FloatArray, unit: IntArray, key: Key) -> list[Estimate]:
    """One estimate a column of ``values`` ``[P, R]``; all columns are drawn together."""
    different, number = np.unique(unit, return_inverse=True)
    if not different.size:
        return [Estimate(float("nan"), float("nan"), float("nan"), 0)] * values.shape[1]
    count = np.bincount(number, minlength=different.size).astype(np.float64)
    total = np.zeros((different.size, values.shape[1]))
    np.add.at(total, number, values)
    drawn = (uniforms(key, "bootstrap", np.arange(DRAWS), different.size) * different.size).astype(np.int64)
    times = np.zeros((DRAWS, different.size))
    np.add.at(times, (np.arange(DRAWS)[:, None], drawn), 1.0)
    means = (times @ total) / (times @ count)[:, None]
    low, high = np.percentile(means, [2.5, 97.5], axis=0)
    mean = total.sum(axis=0) / count.sum()
    return [Estimate(float(m), float(a), float(b), values.shape[0]) for m, a, b in zip(mean, low, high, strict=True)]


def halves(unit: IntArray, key: Key) -> np.ndarray:
    """Which positions are for tuning: those of a random half of the units, ``[P]`` bool.

    >>> halves(np.array([0, 0, 1, 1]), Key(0)).sum()
    np.int64(2)
    """
    different = np.unique(unit)
    order = permutation(key, "halves", different.size)
    return np.isin(unit, different[order[: (different.size + 1) // 2]])
