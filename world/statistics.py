"""Estimates with their n and 95 % interval: means by the normal, shares by Wilson, AUC by Hanley and McNeil."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

Z = 1.959963984540054


class Estimate(NamedTuple):
    value: float
    low: float
    high: float
    n: int

    def rounded(self) -> dict[str, float | int]:
        return {"value": round(self.value, 4), "low": round(self.low, 4), "high": round(self.high, 4), "n": self.n}


def mean(values: ArrayLike) -> Estimate:
    """Mean of values that are not all 0 or 1."""
    x = np.asarray(values, dtype=np.float64)
    half = Z * x.std(ddof=1) / math.sqrt(len(x))
    return Estimate(float(x.mean()), float(x.mean() - half), float(x.mean() + half), len(x))


def share(hits: ArrayLike) -> Estimate:
    """Share of true values."""
    x = np.asarray(hits, dtype=bool)
    n, p = len(x), float(x.mean())
    centre = (p + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z * math.sqrt(p * (1 - p) / n + Z**2 / (4 * n**2)) / (1 + Z**2 / n)
    return Estimate(p, min(p, centre - half), max(p, centre + half), n)


def auc(score: NDArray[np.float64], right: NDArray[np.bool_]) -> Estimate:
    """P(score of a right answer > score of a wrong one), ties counting half."""
    ranks = rankdata(score)
    num_right, num_wrong = int(right.sum()), int((~right).sum())
    a = float((ranks[right].sum() - num_right * (num_right + 1) / 2) / (num_right * num_wrong))
    q1, q2 = a / (2 - a), 2 * a**2 / (1 + a)
    variance = (a * (1 - a) + (num_right - 1) * (q1 - a**2) + (num_wrong - 1) * (q2 - a**2)) / (num_right * num_wrong)
    half = Z * math.sqrt(max(variance, 0.0))
    return Estimate(a, max(0.0, a - half), min(1.0, a + half), len(score))
