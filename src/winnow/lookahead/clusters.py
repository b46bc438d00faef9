"""Intervals by resampling clusters: units that belong together are drawn together, with replacement."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

import numpy as np

from winnow.values.logspace import FloatArray, IntArray
from winnow.values.random import Key, uniforms


class Interval(NamedTuple):
    """A figure with its 95 % percentile interval."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, value: float, draws: FloatArray) -> Interval:
        """From the figure itself and its bootstrap replicates ``[B]``; replicates that are not numbers are left out."""
        known = draws[np.isfinite(draws)]
        low, high = np.quantile(known, [0.025, 0.975]) if known.size else (np.nan, np.nan)
        return cls(float(value), float(low), float(high))

    def within(self, low: float, high: float) -> Interval:
        """The same, with what lies outside ``[low, high]`` moved to its border."""
        return Interval(*(float(np.clip(x, low, high)) for x in self))


def bootstrap(
    statistic: Callable[[FloatArray], FloatArray],
    cluster: Sequence[Hashable],
    *,
    key: Key,
    draws: int = 2000,
) -> tuple[FloatArray, FloatArray]:
    """A statistic of weighted units, and its replicates over resampled clusters.

    Parameters
    ----------
    statistic : weights ``[N]`` of the units, to figures ``[S]``; nan where a figure cannot be had.
    cluster : to which cluster each of the ``N`` units belongs.
    key : names the random numbers.
    draws : number of replicates ``B``.

    Returns
    -------
    The figures ``[S]`` with every weight one, and the replicates ``[B, S]``.

    References
    ----------
    Davison & Hinkley 1997, section 3.8: resampling whole clusters keeps what is dependent together. Intervals from fewer
    than some ten clusters are too narrow; the number of clusters is to be said with them.
    """
    names = {name: index for index, name in enumerate(dict.fromkeys(cluster))}
    member: IntArray = np.array([names[name] for name in cluster], np.int64)
    uniform = uniforms(key, "bootstrap", np.arange(draws), len(names))
    times = np.stack([np.bincount((row * len(names)).astype(np.int64), minlength=len(names)) for row in uniform])
    replicates = np.stack([statistic(row[member].astype(np.float64)) for row in times])
    return statistic(np.ones(member.size)), replicates
