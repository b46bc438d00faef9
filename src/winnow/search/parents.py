"""Who gets offspring: selection schemes from fitness to parents, each a plain function of arrays and uniform numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from winnow.values.errors import nearest
from winnow.values.logspace import FloatArray, IntArray
from winnow.values.population import resample


class Selection(NamedTuple):
    """A scheme and its strength."""

    scheme: str = "tournament"
    size: int = 3  # of a tournament; neighbours that novelty is measured against
    share: float = 0.5  # that truncation keeps
    inverse_temperature: float = 5.0  # soft: expected offspring are proportional to exp(f / T)


class Candidates(NamedTuple):
    """What selection may look at."""

    fitness: FloatArray  # [N, K], K criteria, the more the better; all but lexicase look at the first
    distance: FloatArray  # [N, N] between texts


def _tournament(one: Candidates, how: Selection, uniform: FloatArray) -> IntArray:
    return _contest(one.fitness[:, 0], how.size, uniform)


def _contest(merit: FloatArray, size: int, uniform: FloatArray) -> IntArray:
    """The best of ``size`` drawn with replacement, the first of equals."""
    entrants = np.floor(uniform[:, :size] * merit.size).astype(np.int64)
    return np.asarray(entrants[np.arange(len(entrants)), np.argmax(merit[entrants], axis=1)], np.int64)


def _truncation(one: Candidates, how: Selection, uniform: FloatArray) -> IntArray:
    kept = max(1, round(how.share * len(one.fitness)))
    best = np.argsort(-one.fitness[:, 0], kind="stable")[:kept]
    return best[np.floor(uniform[:, 0] * kept).astype(np.int64)]


def _soft(one: Candidates, how: Selection, uniform: FloatArray) -> IntArray:
    return resample(how.inverse_temperature * one.fitness[:, 0], uniform[:, 0])


def _lexicase(one: Candidates, how: Selection, uniform: FloatArray) -> IntArray:
    """Criteria in random order, each keeping those within a median absolute deviation of its best (La Cava et al. 2016)."""
    median = np.median(one.fitness, axis=0)
    slack = np.median(np.abs(one.fitness - median), axis=0)
    chosen = []
    for row in uniform:
        left = np.arange(len(one.fitness))
        for criterion in np.argsort(row[: one.fitness.shape[1]], kind="stable"):
            value = one.fitness[left, criterion]
            left = left[value >= value.max() - slack[criterion]]
        chosen.append(left[int(row[-1] * left.size)])
    return np.array(chosen, np.int64)


def _novelty(one: Candidates, how: Selection, uniform: FloatArray) -> IntArray:
    """A tournament for the mean distance to the nearest others, fitness not looked at (Lehman and Stanley 2011)."""
    others = np.sort(one.distance + np.diag(np.full(len(one.distance), np.inf)), axis=1)
    near = others[:, : max(1, min(how.size, len(others) - 1))]
    return _contest(np.where(np.isfinite(near), near, 0.0).mean(axis=1), how.size, uniform)


SCHEMES: Mapping[str, Callable[[Candidates, Selection, FloatArray], IntArray]] = {
    "tournament": _tournament,
    "truncation": _truncation,
    "soft": _soft,
    "lexicase": _lexicase,
    "novelty": _novelty,
}


def num_uniforms(how: Selection, criteria: int) -> int:
    """How many numbers a parent needs."""
    return max(how.size, criteria + 1)


def parents(one: Candidates, how: Selection, uniform: FloatArray) -> IntArray:
    """Parents ``[M]`` from uniforms ``[M, num_uniforms]``."""
    return SCHEMES[how.scheme](one, how, uniform)


def check_selection(how: Selection) -> None:
    """Refuse what cannot be.

    Raises
    ------
    ValueError
        For an unknown scheme or a number out of range.
    """
    if how.scheme not in SCHEMES:
        raise ValueError(f"no selection {how.scheme!r} ({nearest(how.scheme, SCHEMES)})")
    if how.size < 1 or not 0 < how.share <= 1 or not how.inverse_temperature >= 0:
        raise ValueError(f"{how}: size must be at least 1, share in (0, 1], inverse_temperature from 0 up")


def distances(rows: list[tuple[int, ...]]) -> FloatArray:
    """1 - (common pairs of neighbours) / (all pairs of neighbours), between token rows: ``[N, N]``, in [0, 1]."""
    pairs = [set(zip((-1, *row), (*row, -1), strict=True)) for row in rows]
    return np.array([[1 - len(a & b) / len(a | b) for b in pairs] for a in pairs], np.float64).reshape(
        len(rows), len(rows)
    )
