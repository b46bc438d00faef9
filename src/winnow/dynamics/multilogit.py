"""Multinomial logistic regression by damped Newton: counts of kinds of answers on features of a context.

Small, dense and deterministic. It knows nothing of where features or counts come from.
"""

from __future__ import annotations

import numpy as np
from scipy.special import log_softmax

from winnow.values.logspace import FloatArray


def fit_multilogit(feature: FloatArray, count: FloatArray, ridge: float) -> FloatArray:
    """Coefficients ``[F, K]`` that maximise the penalised likelihood; kind 0 is the reference, its column zero.

        maximise  Σ_g Σ_j count_gj log softmax(feature_g · W)_j  −  ridge/2 Σ_{rows but the first} W²

    The objective is concave, and Newton steps are halved until it rises: the optimum does not depend on a start.

    Parameters
    ----------
    feature : ``[G, F]``, the first column constant one (the intercept is not penalised beyond 1e-6).
    count : ``[G, K]`` numbers of answers of each kind; rows may be zero.
    ridge : strength of the penalty, in units of answers on a feature of variance one.

    Raises
    ------
    ValueError
        When there is no answer at all.
    """
    num_features, num_kinds = feature.shape[1], count.shape[1]
    if count.sum() <= 0:
        raise ValueError("cannot fit a response to no answers at all")
    penalty = np.full((num_features, num_kinds - 1), ridge)
    penalty[0] = 1e-6
    size = count.sum(axis=1)
    weight = np.zeros((num_features, num_kinds - 1))
    value = _objective(feature, count, weight, penalty)
    for _ in range(100):
        prob = np.exp(log_softmax(_logits(feature, weight), axis=1))[:, 1:]
        gradient = feature.T @ (count[:, 1:] - size[:, None] * prob) - penalty * weight
        spread = size[:, None, None] * (prob[:, :, None] * np.eye(num_kinds - 1) - prob[:, :, None] * prob[:, None, :])
        hessian = np.einsum("gf,gij,gh->fihj", feature, spread, feature).reshape(weight.size, weight.size)
        step = np.linalg.solve(hessian + np.diag(penalty.ravel()), gradient.ravel()).reshape(weight.shape)
        rise = float((gradient * step).sum())
        if rise < 1e-10:
            break
        length = 1.0
        while length > 1e-8:
            trial = _objective(feature, count, weight + length * step, penalty)
            if trial >= value + 1e-4 * length * rise:
                break
            length /= 2
        weight, value = weight + length * step, trial
    return np.column_stack([np.zeros(num_features), weight])


def multilogit_probability(feature: FloatArray, weight: FloatArray) -> FloatArray:
    """Probabilities of the kinds at each row of features: ``[G, K]``."""
    return np.asarray(np.exp(log_softmax(feature @ weight, axis=1)), np.float64)


def deviance(count: FloatArray, probability: FloatArray) -> float:
    """Twice the log-likelihood lost against a fit of every row by itself; about chi-squared when the model holds."""
    size = count.sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        term = np.where(count > 0, count * (np.log(count / size) - np.log(probability)), 0.0)
    return float(2.0 * term.sum())


def _logits(feature: FloatArray, weight: FloatArray) -> FloatArray:
    return np.column_stack([np.zeros(feature.shape[0]), feature @ weight])


def _objective(feature: FloatArray, count: FloatArray, weight: FloatArray, penalty: FloatArray) -> float:
    fit = float((count * log_softmax(_logits(feature, weight), axis=1)).sum())
    return fit - 0.5 * float((penalty * weight**2).sum())
