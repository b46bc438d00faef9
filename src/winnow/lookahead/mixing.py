"""From beams to a distribution of first tokens, and from two distributions to one: equations (3) and (4).

    q(v | h) = sum over beams b that begin with v of softmax(a * log p(b))                      (3)
    linear  (1 - weight) p + weight q'        geometric  p^(1 - weight) q'^weight / Z           (4)

with q' = (1 - cover) q + cover p, so that a token no beam begins with keeps some probability. Linear mixing depends on
``weight * (1 - cover)`` alone; the two are apart only in geometric mixing. Numbers in, numbers out: no model here.
"""

from __future__ import annotations

import numpy as np
from scipy.special import logsumexp

from winnow.values.errors import InputError
from winnow.values.logspace import FloatArray, IntArray
from winnow.values.tree import NO_TOKEN

MIXING = ("linear", "geometric")


def first_tokens(first: IntArray, logprob: FloatArray, vocabulary: int, *, average: float) -> FloatArray:
    """Equation (3): the distribution of the beams' first tokens, ``[P, V]``.

    Parameters
    ----------
    first : ``[P, W]`` first token of each beam, NO_TOKEN where there is none.
    logprob : ``[P, W]`` of the whole beam, -inf where there is none.
    average : the exponent a: 1 weighs beams by their probability, 0 counts them.
    """
    there = first != NO_TOKEN
    log_weight = np.where(there, average * np.where(there, logprob, 0.0), -np.inf)
    weight = np.exp(log_weight - logsumexp(log_weight, axis=1, keepdims=True))
    q = np.zeros((first.shape[0], vocabulary))
    rows = np.broadcast_to(np.arange(first.shape[0])[:, None], first.shape)
    np.add.at(q, (rows[there], first[there]), weight[there])
    return q


def mixed(logprob: FloatArray, q: FloatArray, *, weight: float, cover: float, mixing: str = "linear") -> FloatArray:
    """Equation (4): log-probabilities ``[P, V]``, normalised.

    ``weight`` 0 is ``logprob`` itself, to the bit.

    Raises
    ------
    InputError
        When weight or cover is outside [0, 1], the mixing is unknown, or a token of probability above zero would be
        given none.
    """
    check_mixing(weight, cover, mixing)
    if weight == 0.0:
        return logprob
    p = np.exp(logprob)
    covered = (1.0 - cover) * q + cover * p
    if np.any((covered == 0.0) & (p > 0.0)) and (weight == 1.0 or mixing == "geometric"):
        raise InputError(
            f"{mixing} mixing of weight {weight:g} gives tokens that begin no beam probability zero",
            where="cover",
            remedy="give a cover above 0",
        )
    with np.errstate(divide="ignore", invalid="ignore"):
        if mixing == "linear":
            total = np.asarray(np.log((1.0 - weight) * p + weight * covered), np.float64)
        else:
            product = (1.0 - weight) * logprob + weight * np.log(covered)
            total = np.asarray(np.where(p > 0.0, product, -np.inf), np.float64)
    return np.asarray(total - logsumexp(total, axis=1, keepdims=True), np.float64)


def check_mixing(weight: float, cover: float, mixing: str) -> None:
    """Refuse what is no mixture.

    Raises
    ------
    InputError
        Naming what is out of range.
    """
    for name, value in (("weight", weight), ("cover", cover)):
        if not 0.0 <= value <= 1.0:
            raise InputError(f"must lie in [0, 1], not {value:g}", where=name, remedy="0 is the model itself")
    if mixing not in MIXING:
        raise InputError(f"no mixing {mixing!r}", where="mixing", remedy=f"known: {', '.join(MIXING)}")
