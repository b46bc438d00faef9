"""Gold labels, and what they may do: measure. Every share comes with its interval and its n.

Three kinds of answers: right, wrong, and abstentions ("There is no one answer"), which are neither. The error counts
everything that is not right, as a user would.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import binomtest

from winnow.evaluators.verifier import exact, normalise, normalised, numeric
from winnow.ports.requests import Item
from winnow.values.logspace import FloatArray, IntArray

RIGHT, WRONG, ABSTAINED = 0, 1, 2
KINDS = ("right", "wrong", "abstained")


class Share(NamedTuple):
    """A share with its 95 % Wilson interval and its n; None where there is nothing to count."""

    value: float | None
    low: float | None
    high: float | None
    n: int

    @classmethod
    def of(cls, count: int, n: int) -> Share:
        """``count`` out of ``n``. Wilson (1927)."""
        if n == 0:
            return cls(None, None, None, 0)
        interval = binomtest(count, n).proportion_ci(0.95, method="wilson")
        return cls(count / n, float(interval.low), float(interval.high), n)


MATCHES = {"exact": exact, "normalised": normalised, "numeric": numeric}


def kinds_of(items: Sequence[Item], gold: Mapping[str, str], match: str, abstentions: Sequence[str]) -> IntArray:
    """Kind of each answer: ``[N]`` of RIGHT, WRONG, ABSTAINED. ``match`` is one of MATCHES."""
    check = MATCHES[match](gold).check
    evasive = {normalise(text) for text in abstentions}

    def kind(item: Item) -> int:
        if check(item.query, item.answer):
            return RIGHT
        return ABSTAINED if normalise(item.answer) in evasive else WRONG

    return np.array([kind(item) for item in items], np.int64)


def composition(kind: IntArray, weight: FloatArray | None = None) -> FloatArray:
    """Shares of the three kinds: ``[3]``; zeros when there is nothing."""
    counts = np.bincount(kind, weight, minlength=3).astype(np.float64)
    return np.asarray(counts / max(counts.sum(), 1e-300), np.float64)


def acceptance(kind: IntArray, keep: FloatArray) -> FloatArray:
    """Mean probability of survival of each kind ``[3]``: s, f, and what evasions get; NaN for a kind that never came."""
    n = np.bincount(kind, minlength=3)
    with np.errstate(invalid="ignore"):
        return np.bincount(kind, keep, minlength=3) / n
