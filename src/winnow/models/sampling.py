"""From log-probabilities to what is drawn, as ``Complete`` means its settings; the reference for backends.

Temperature comes first; then top-p, min-p and typical decoding, each on what the one before left.
"""

from __future__ import annotations

import numpy as np

from winnow.values.logspace import FloatArray, log_normalise

ROUNDING = 1e-12  # a set that holds the mass but for this much holds it


def temper(
    logprob: FloatArray, *, temperature: float = 1.0, top_p: float = 1.0, min_p: float = 0.0, typical: float = 1.0
) -> FloatArray:
    """Log-probabilities ``[N, V]`` with which tokens are drawn, normalised.

    Parameters
    ----------
    temperature : p^(1/T), normalised; 0 gives everything to the most probable token.
    top_p : in (0, 1]; the smallest set of most probable tokens that holds at least that mass gets everything (ties to the
        smaller token).
    min_p : in [0, 1]; tokens less probable than this times the most probable one's probability lose theirs (Nguyen et al.
        2024, "Turning up the heat", equation 1).
    typical : in (0, 1]; the smallest set that holds at least that mass of the tokens whose -log p is nearest to the entropy
        gets everything (Meister et al. 2022, "Locally typical sampling", equation 8); ties to the smaller token.

    >>> np.exp(temper(np.log([[0.5, 0.3, 0.2]]), top_p=0.6)).round(3).tolist()
    [[0.625, 0.375, 0.0]]
    >>> np.exp(temper(np.log([[0.5, 0.3, 0.2]]), min_p=0.5)).round(3).tolist()
    [[0.625, 0.375, 0.0]]
    >>> np.exp(temper(np.log([[0.5, 0.3, 0.2]]), typical=0.3)).round(3).tolist()
    [[0.0, 1.0, 0.0]]
    """
    if temperature == 0:
        kept = np.arange(logprob.shape[1]) == logprob.argmax(axis=1)[:, None]
        return np.where(kept, 0.0, -np.inf)
    scaled = log_normalise(logprob / temperature, axis=1)
    if top_p < 1.0:
        scaled = _keep(scaled, _first(scaled, -scaled, top_p))
    if min_p > 0.0:
        with np.errstate(invalid="ignore"):
            scaled = _keep(scaled, np.exp(scaled - scaled.max(axis=1, keepdims=True)) >= min_p * (1 - ROUNDING))
    if typical < 1.0:
        surprise = np.where(np.isfinite(scaled), -scaled, 0.0)
        entropy = (np.exp(scaled) * surprise).sum(axis=1, keepdims=True)
        scaled = _keep(
            scaled, _first(scaled, np.where(np.isfinite(scaled), np.abs(surprise - entropy), np.inf), typical)
        )
    return scaled


def _first(logprob: FloatArray, rank: FloatArray, mass: float) -> np.ndarray:
    """The tokens of lowest ``rank`` up to and with the one that brings their probability to ``mass``: bool ``[N, V]``."""
    order = np.argsort(rank, axis=1, kind="stable")
    ordered = np.exp(np.take_along_axis(logprob, order, axis=1))
    before = np.cumsum(ordered, axis=1) - ordered
    kept = np.zeros(logprob.shape, np.bool_)
    np.put_along_axis(kept, order, before < mass - ROUNDING, axis=1)
    return kept


def _keep(logprob: FloatArray, kept: np.ndarray) -> FloatArray:
    return log_normalise(np.where(kept, logprob, -np.inf), axis=1)
