"""From log-probabilities to what is drawn: temperature and top-p as the port means them; the reference for backends."""

from __future__ import annotations

import numpy as np

from winnow.values.logspace import FloatArray, log_normalise

ROUNDING = 1e-12  # a set that holds the mass but for this much holds it


def temper(logprob: FloatArray, *, temperature: float = 1.0, top_p: float = 1.0) -> FloatArray:
    """Log-probabilities ``[N, V]`` with which tokens are drawn, normalised.

    Temperature comes first: p^(1/T), normalised. Then ``top_p`` keeps the smallest set of most probable tokens that holds
    at least that mass (ties to the smaller token) and gives it everything. Temperature 0 gives everything to the most
    probable token.

    >>> np.exp(temper(np.log([[0.5, 0.3, 0.2]]), top_p=0.6)).round(3).tolist()
    [[0.625, 0.375, 0.0]]
    """
    if temperature == 0:
        kept = np.arange(logprob.shape[1]) == logprob.argmax(axis=1)[:, None]
        return np.where(kept, 0.0, -np.inf)
    scaled = log_normalise(logprob / temperature, axis=1)
    if top_p >= 1.0:
        return scaled
    order = np.argsort(-scaled, axis=1, kind="stable")
    ordered = np.exp(np.take_along_axis(scaled, order, axis=1))
    before = np.cumsum(ordered, axis=1) - ordered
    kept = np.zeros(logprob.shape, np.bool_)
    np.put_along_axis(kept, order, before < top_p - ROUNDING, axis=1)
    return log_normalise(np.where(kept, scaled, -np.inf), axis=1)
