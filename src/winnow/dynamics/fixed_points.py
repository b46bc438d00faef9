"""Where a loop of selection and imitation comes to rest, and whether it stays there."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq, root

from winnow.dynamics.counts import compositions
from winnow.dynamics.recurrence import WRONG, Buffer, Response, one_step
from winnow.values.logspace import FloatArray

Map = Callable[[FloatArray], FloatArray]
NEUTRAL = 1e-6  # an eigenvalue this near to one neither attracts nor repels as far as differences can tell


class FixedPoint(NamedTuple):
    """A composition of the answers that selection and response bring back to itself."""

    composition: FloatArray  # [K]
    eigenvalues: NDArray[np.complex128]  # [K − 1] of the map's Jacobian along the simplex, largest modulus first

    @property
    def error(self) -> float:
        """Share of wrong answers."""
        return float(self.composition[WRONG])

    @property
    def slope(self) -> float:
        """Spectral radius of the Jacobian; with two kinds its one entry's size."""
        return float(np.abs(self.eigenvalues).max())

    def stable(self, buffer: Buffer = "replaced") -> bool:
        """Whether small deviations die out.

        A replaced buffer iterates the map: every eigenvalue must lie inside the unit circle. An appended one moves ever
        smaller steps toward the map's value, a flow: every real part must be below one, so overshooting does no harm.
        Neutral points are not called stable.
        """
        if buffer == "replaced":
            return self.slope < 1.0 - NEUTRAL
        return bool(self.eigenvalues.real.max() < 1.0 - NEUTRAL)


def fixed_points(acceptance: ArrayLike, response: Response) -> list[FixedPoint]:
    """All fixed points of ``p → g(B(p))``, by rising share of wrong answers.

    Two kinds: roots of ``g(B(ε)) − ε`` between the points of a grid of 1,000 on [0, 1]. Three or more: roots found from
    every composition of a grid of 66, before and after 50 rounds, so that repelling points and saddles are found as well
    as attractors.

    Parameters
    ----------
    acceptance : ``[K]`` acceptance probability a kind.
    response : composition of the buffer ``[K]`` to composition of the answers ``[K]``.

    Returns
    -------
    Fixed points; a continuum of them (no selection and a perfect imitator) shows as neutral points of it. On edges where
    nothing can be accepted there are none.

    Notes
    -----
    Two roots of a line nearer to each other than the grid's step may be missed in pairs.
    """
    accept = np.asarray(acceptance, np.float64)

    def step(share: FloatArray) -> FloatArray:
        inside = np.maximum(share, 0.0)
        accepted = float((inside * accept).sum())
        if not np.isfinite(accepted) or accepted <= 0.0:  # a root finder's excursion, or a place where the loop stops
            return np.full_like(inside, np.nan)
        inside = inside / inside.sum()
        return one_step(inside, accept, response)

    found = _on_line(step) if accept.size == 2 else _on_simplex(step, accept.size)
    points = [FixedPoint(point, _eigenvalues(step, point)) for point in found]
    return sorted(points, key=lambda point: tuple(point.composition[WRONG:]))


def _on_line(step: Map) -> list[FloatArray]:
    def gap(error: float) -> float:
        return float(step(np.array([1.0 - error, error]))[WRONG]) - error

    grid = np.linspace(0.0, 1.0, 1001)
    value = np.array([gap(error) for error in grid])
    zero = np.abs(value) < 1e-12
    # of a run of zeros only the ends: a continuum is reported by where it begins and stops
    inner = np.r_[False, zero[:-2] & zero[1:-1] & zero[2:], False]
    roots = list(grid[zero & ~inner])
    for left in np.flatnonzero((value[:-1] * value[1:] < 0.0) & ~zero[:-1] & ~zero[1:]):
        roots.append(brentq(gap, grid[left], grid[left + 1], xtol=1e-14))
    return [np.array([1.0 - error, error]) for error in roots]


def _on_simplex(step: Map, num_kinds: int) -> list[FloatArray]:
    def gap(free: FloatArray) -> FloatArray:
        share = np.r_[1.0 - free.sum(), free]
        value = step(share)
        return np.where(np.isfinite(value), value - share, 1.0)[1:]

    found: list[FloatArray] = []
    for start in compositions(10, num_kinds) / 10.0:
        share = start
        for _ in range(50):
            share = step(share)
        for first in (start, share):
            if not np.all(np.isfinite(first)):
                continue
            solution = root(gap, first[1:], tol=1e-13).x
            point = np.r_[1.0 - solution.sum(), solution]
            if point.min() < -1e-9:
                continue
            point = np.maximum(point, 0.0) / np.maximum(point, 0.0).sum()
            miss = np.abs(step(point) - point).max()
            if miss < 1e-9 and all(np.abs(point - other).max() > 1e-5 for other in found):
                found.append(point)
    return found


def _eigenvalues(step: Map, point: FloatArray) -> NDArray[np.complex128]:
    """``[K − 1]`` eigenvalues along the simplex, from differences toward its corners, which never leave it."""
    size, width = point.size, 1e-4
    here = step(point)
    toward = np.eye(size) - point[None, :]  # [K, K] one direction a row
    # second order from one side: (4 F(h/2) − F(h) − 3 F(0)) / h
    change = [(4.0 * step(point + width / 2 * d) - step(point + width * d) - 3.0 * here) / width for d in toward]
    basis = np.linalg.svd(np.ones((1, size)))[2][1:]  # [K − 1, K] orthonormal, along the simplex
    jacobian = np.linalg.lstsq(toward @ basis.T, np.array(change) @ basis.T, rcond=None)[0].T
    values = np.linalg.eigvals(jacobian).astype(np.complex128)
    return np.asarray(values[np.argsort(-np.abs(values), kind="stable")], np.complex128)
