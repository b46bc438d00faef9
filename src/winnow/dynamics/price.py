"""The Price equation over lineage edges, with a third term for what has no parent.

It knows traits, weights and edges. It refuses to know what a trait means: correctness, score, log-probability, length or
any number a user names. The identity accounts for what happened; `predict` is the claim that can fail.

Conventions. ``n`` parents with trait ``z_i``, ``m`` children with trait ``z'_j``, ``σ_ij`` the share of parent i in child j
(of a child without parents, or with parents outside the population, the shares within it sum to less than one). Realised
weight ``w_i = Σ_j σ_ij``. Covariances divide by n, not n − 1.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from winnow.values.lineage import Lineage
from winnow.values.logspace import FloatArray, IntArray


class PriceTerms(NamedTuple):
    """``change = selection + transmission + parentless + residual``; the residual is rounding, below 1e-12 a unit trait."""

    change: float
    selection: float
    transmission: float
    parentless: float
    residual: float


class Transmission(NamedTuple):
    """The line from a child's mean parent to the child: ``E[z'] = intercept + slope z``, with its covariance."""

    intercept: float
    slope: float
    covariance: FloatArray  # [2, 2] of (intercept, slope), robust to unequal variance
    num_children: int


class Prediction(NamedTuple):
    """Expected mean trait of the next round, the change it implies, and the standard error of both from the regression."""

    mean: float
    change: float
    standard_error: float


def price(
    lineage: Lineage, parents: ArrayLike, parent_trait: ArrayLike, *, children: ArrayLike, child_trait: ArrayLike
) -> PriceTerms:
    """Split the change of a mean trait from one population to the next: an identity.

        z̄' − z̄ =  Σ_i w_i (z_i − z̄)/m  +  Σ_ij σ_ij (z'_j − z_i)/m  +  Σ_j (1 − Σ_i σ_ij)(z'_j − z̄)/m
                    selection              transmission               parentless

    With every child's parents in the population, w̄ = m/n and the first two terms are ``Cov(w, z)/w̄`` and
    ``E[w (z' − z)]/w̄`` of Price (1970, 1972); the third is then zero. A child written from nothing is compared with the
    parents' mean, and its share is taken from the other two (Kerr and Godfrey-Smith 2009, in additive form).

    Parameters
    ----------
    lineage : edges; those that lead to other children are passed over.
    parents : ``[n]`` numbers of everyone who might have been a parent, childless ones included.
    parent_trait : ``[n]``
    children : ``[m]`` numbers of the next population.
    child_trait : ``[m]``

    Raises
    ------
    ValueError
        When a population is empty or names somebody twice, or columns differ in length.
    """
    old, new = _population(parents, parent_trait, "parents"), _population(children, child_trait, "children")
    source, target, share = _edges(lineage, old[0], new[0])
    z, offspring = old[1], new[1]
    num, mean = new[0].size, float(z.mean())
    # a trait far from zero would otherwise leave its own rounding in the terms
    z, offspring = z - mean, offspring - mean
    covered = np.bincount(target, share, num)
    selection = float((np.bincount(source, share, z.size) * z).sum()) / num
    transmission = float((share * (offspring[target] - z[source])).sum()) / num
    parentless = float(((1.0 - covered) * offspring).sum()) / num
    change = float(offspring.mean() - z.mean())
    return PriceTerms(change, selection, transmission, parentless, change - selection - transmission - parentless)


def realised_weight(lineage: Lineage, parents: ArrayLike, children: ArrayLike) -> FloatArray:
    """``[n]`` summed shares ``w_i`` that each parent has in ``children``; zero for the childless."""
    old, new = np.asarray(parents, np.int64), np.asarray(children, np.int64)
    source, _, share = _edges(lineage, old, new)
    return np.asarray(np.bincount(source, share, old.size), np.float64)


def selection_differential(weight: ArrayLike, trait: ArrayLike) -> float:
    """``Cov(w, z)/w̄``: the weighted mean of the trait less its plain mean.

    ``weight`` is any measure of reproduction ``[n]``: shares in children, or accepted or not, known before a child exists.

    Raises
    ------
    ValueError
        When all weights are zero.
    """
    w, z = np.asarray(weight, np.float64), np.asarray(trait, np.float64)
    if w.sum() <= 0.0:
        raise ValueError("nobody reproduces: all weights are zero")
    return float((w * (z - z.mean())).sum() / w.sum())


def mean_parent(lineage: Lineage, parents: ArrayLike, parent_trait: ArrayLike, *, children: ArrayLike) -> FloatArray:
    """``[m]`` the share-weighted mean trait of each child's parents; NaN for a child not wholly covered by ``parents``."""
    old, trait = _population(parents, parent_trait, "parents")
    new = np.asarray(children, np.int64)
    source, target, share = _edges(lineage, old, new)
    covered = np.bincount(target, share, new.size)
    total = np.bincount(target, share * trait[source], new.size)
    return np.where(np.abs(covered - 1.0) < 1e-9, total, np.nan)


def fit_transmission(parent_mean: ArrayLike, child_trait: ArrayLike) -> Transmission:
    """Least squares of children on their mean parent; rows with NaN are left out.

    Contexts drawn from one buffer differ little from one another: fit on several rounds together, or on the answers of a
    measured response curve, or the slope is hardly known and its standard error says so.

    Raises
    ------
    ValueError
        When fewer than three children have parents, or all have the same mean parent.
    """
    x, y = np.asarray(parent_mean, np.float64), np.asarray(child_trait, np.float64)
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    if x.size < 3 or np.ptp(x) == 0.0:
        raise ValueError("cannot fit a slope: it takes three children of differing parents")
    design = np.column_stack([np.ones(x.size), x])
    inverse = np.linalg.inv(design.T @ design)
    coefficient = inverse @ design.T @ y
    residual = y - design @ coefficient
    middle = (design * (residual**2)[:, None]).T @ design * (x.size / (x.size - 2))
    return Transmission(float(coefficient[0]), float(coefficient[1]), inverse @ middle @ inverse, int(x.size))


def predict(mean: float, selection: float, transmission: Transmission) -> Prediction:
    """The next round's mean trait: the selection differential measured now, through the transmission measured before.

        E[z̄'] = intercept + slope (z̄ + S),     change = E[z̄'] − z̄

    The breeder's equation, slope being the heritability, with an intercept because a model has a pull of its own. On fresh
    queries it can be wrong, which is its use.

    Parameters
    ----------
    mean : z̄, mean trait of everyone before selection.
    selection : S, the `selection_differential` of this round.
    transmission : fitted on earlier rounds or other queries.

    References
    ----------
    Lush (1937); Price (1970); the standard error is that of a fitted line at z̄ + S (White 1980).
    """
    at = np.array([1.0, mean + selection])
    expected = transmission.intercept + transmission.slope * (mean + selection)
    return Prediction(expected, expected - mean, float(np.sqrt(at @ transmission.covariance @ at)))


def _population(members: ArrayLike, trait: ArrayLike, name: str) -> tuple[IntArray, FloatArray]:
    who, value = np.asarray(members, np.int64), np.asarray(trait, np.float64)
    if who.ndim != 1 or who.shape != value.shape or who.size == 0:
        raise ValueError(f"{name} and their trait must be [n] alike and not empty, not {who.shape} and {value.shape}")
    if np.unique(who).size != who.size:
        raise ValueError(f"{name} names somebody twice")
    return who, value


def _edges(lineage: Lineage, parents: IntArray, children: IntArray) -> tuple[IntArray, IntArray, FloatArray]:
    """Edges between the two populations, as positions in them: source ``[E]``, target ``[E]``, share ``[E]``."""
    inside = np.isin(lineage.parent, parents) & np.isin(lineage.child, children)
    by_parent, by_child = np.argsort(parents), np.argsort(children)
    source = by_parent[np.searchsorted(parents[by_parent], lineage.parent[inside])]
    target = by_child[np.searchsorted(children[by_child], lineage.child[inside])]
    return source, target, lineage.share[inside]
