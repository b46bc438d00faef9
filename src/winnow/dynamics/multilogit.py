"""Penalised multinomial logistic regression: counts of kinds of answers on features of a context.

Small, dense, deterministic: damped Newton on a concave objective. It knows nothing of where features or counts come from.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import log_softmax

from winnow.values.logspace import FloatArray


class Multilogit(NamedTuple):
    """A fit: coefficients, how well the penalty suits the data, and how many parameters it left free."""

    weight: FloatArray  # [F, K], column 0 zero: kind 0 is the reference
    log_evidence: float  # Laplace's approximation, up to a constant that does not depend on the penalty

    def probability(self, feature: FloatArray) -> FloatArray:
        """``[G, K]`` probabilities of the kinds at features ``[G, F]``."""
        return np.asarray(np.exp(log_softmax(feature @ self.weight, axis=1)), np.float64)


def fit_multilogit(feature: FloatArray, count: FloatArray, penalty: FloatArray) -> Multilogit:
    """The fit that maximises the penalised likelihood.

        maximise  Σ_g Σ_j count_gj log softmax(feature_g · W)_j  −  ½ Σ_f penalty_f Σ_j W_fj²

    The penalty is a normal prior of precision ``penalty_f``. Newton steps are halved until the objective rises, so the
    optimum depends on no start. MacKay (1992) for the evidence.

    Parameters
    ----------
    feature : ``[G, F]``
    count : ``[G, K]`` numbers of answers of each kind; rows may be zero.
    penalty : ``[F]``, all positive.

    Raises
    ------
    ValueError
        When there is no answer at all.
    """
    if count.sum() <= 0:
        raise ValueError("cannot fit a response to no answers at all")
    others = count.shape[1] - 1
    precision = np.repeat(penalty[:, None], others, axis=1)
    weight = np.zeros_like(precision)
    value = _objective(feature, count, weight, precision)
    for _ in range(200):
        slope, curvature = _derivatives(feature, count, weight)
        slope = slope - precision * weight
        step = np.linalg.solve(curvature + np.diag(precision.ravel()), slope.ravel()).reshape(weight.shape)
        rise = float((slope * step).sum())
        if rise < 1e-10:
            break
        length, trial = 1.0, _objective(feature, count, weight + step, precision)
        while trial < value + 1e-4 * length * rise and length > 1e-8:
            length /= 2.0
            trial = _objective(feature, count, weight + length * step, precision)
        weight, value = weight + length * step, trial
    _, curvature = _derivatives(feature, count, weight)
    posterior = curvature + np.diag(precision.ravel())
    evidence = value + 0.5 * float(np.log(precision).sum()) - 0.5 * float(np.linalg.slogdet(posterior)[1])
    return Multilogit(np.column_stack([np.zeros(feature.shape[1]), weight]), evidence)


def _log_prob(feature: FloatArray, weight: FloatArray) -> FloatArray:
    logits = np.column_stack([np.zeros(feature.shape[0]), feature @ weight])
    return np.asarray(log_softmax(logits, axis=1), np.float64)


def _objective(feature: FloatArray, count: FloatArray, weight: FloatArray, precision: FloatArray) -> float:
    return float((count * _log_prob(feature, weight)).sum()) - 0.5 * float((precision * weight**2).sum())


def _derivatives(feature: FloatArray, count: FloatArray, weight: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Gradient ``[F, K−1]`` and negative Hessian ``[F(K−1), F(K−1)]`` of the log-likelihood."""
    prob, size = np.exp(_log_prob(feature, weight))[:, 1:], count.sum(axis=1)
    slope = feature.T @ (count[:, 1:] - size[:, None] * prob)
    spread = size[:, None, None] * (prob[:, :, None] * np.eye(prob.shape[1]) - prob[:, :, None] * prob[:, None, :])
    weighted = feature[:, :, None, None] * spread[:, None, :, :]  # [G, F, K−1, K−1]
    curvature = np.tensordot(weighted, feature, axes=(0, 0)).transpose(0, 1, 3, 2)
    return slope, np.asarray(curvature.reshape(weight.size, weight.size), np.float64)
