"""Fitting mixtures to a text: numbers in, numbers out, nothing is asked of a model.

Everything is kept by rank: column k is the k-th most probable token of the model at that position. A mixture needs no more
than the probabilities it mixes at the token that stands there, and for geometric mixing at the tokens that begin a beam.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, logit, logsumexp

from winnow.lookahead.look import Looks
from winnow.values.logspace import FloatArray, IntArray

MOST_WEIGHT = 0.999
LEAST_GAIN = 1e-6  # nats per token on the tuning half below which a mixture is not taken
HOTTEST = 4.0  # temperatures are sought between 1 / HOTTEST and HOTTEST


class Base(NamedTuple):
    """A distribution at every position, as far as a mixture has to know it."""

    true: FloatArray  # [P], log-probability of the token that stands there
    top: FloatArray  # [P, K], of the K most probable tokens of the model, by rank

    def take(self, chosen: IntArray | np.ndarray) -> Base:
        """Some positions of it."""
        return Base(self.true[chosen], self.top[chosen])


class Found(NamedTuple):
    """What a lookahead gives: probabilities, linear; ``top`` holds every token it gives any, unless it covers all."""

    true: FloatArray  # [P]
    top: FloatArray | None  # [P, K]; None where q has no finite support

    def take(self, chosen: IntArray | np.ndarray) -> Found:
        """Some positions of it."""
        return Found(self.true[chosen], None if self.top is None else self.top[chosen])


class Mixture(NamedTuple):
    """A fitted mixture: see ``winnow.lookahead.mixing``; with linear mixing ``cover`` is 0, only the product is told."""

    mixing: str
    weight: float
    cover: float


def temper(looks: Looks, temperature: float, columns: int) -> Base:
    """The model at a temperature. Tokens beyond the ranked ones share what mass is left evenly."""
    log_total = _log_total(looks, 1.0 / temperature)
    top = looks.ranked[:, :columns] / temperature - log_total[:, None]
    return Base(looks.logprob / temperature - log_total, top)


def best_temperature(looks: Looks, chosen: np.ndarray) -> float:
    """The temperature that makes the chosen positions most probable."""
    part = looks.logprob[chosen]
    sub = ranked_only(looks, chosen)

    def loss(log_temperature: float) -> float:
        power = float(np.exp(-log_temperature))
        return -float(np.mean(part * power - _log_total(sub, power)))

    bound = float(np.log(HOTTEST))
    found = minimize_scalar(loss, bounds=(-bound, bound), method="bounded", options={"xatol": 1e-4})
    return float(np.exp(found.x)) if found.fun < loss(0.0) else 1.0


def truncate(looks: Looks, temperature: float, kind: str, value: float, columns: int) -> Found:
    """What is left of the model at a temperature when all but the most probable tokens are cut off.

    ``kind`` is "top-k" (the k most probable), "top-p" (the smallest set of that mass) or "min-p" (those at least that
    share as probable as the first).
    """
    scaled = looks.ranked / temperature
    if kind == "top-k":
        kept = np.broadcast_to(np.arange(scaled.shape[1]) < value, scaled.shape)
    elif kind == "min-p":
        kept = scaled >= scaled[:, :1] + np.log(value)
    else:
        p = np.exp(scaled - _log_total(looks, 1.0 / temperature)[:, None])
        kept = np.cumsum(p, axis=1) - p < value
    log_total = logsumexp(np.where(kept, scaled, -np.inf), axis=1)
    there = looks.rank < kept.sum(axis=1)
    true = np.where(there, np.exp(looks.logprob / temperature - log_total), 0.0)
    top = np.where(kept, np.exp(scaled - log_total[:, None]), 0.0)
    return Found(true, top[:, :columns] if kept.sum(axis=1).max() <= columns else None)


def by_beams(looks: Looks, columns: slice, depth: int, average: float) -> Found:
    """Equation (3) from the beams of one width (``columns`` of the look) at one depth."""
    first, logprob = looks.first[:, depth - 1, columns], looks.beam[:, depth - 1, columns]
    there = first >= 0
    log_weight = np.where(there, average * np.where(there, logprob, 0.0), -np.inf)
    weight = np.where(there, np.exp(log_weight - logsumexp(log_weight, axis=1, keepdims=True)), 0.0)
    top = np.zeros((first.shape[0], min(first.shape[1], looks.ranked.shape[1])))
    rows = np.broadcast_to(np.arange(first.shape[0])[:, None], first.shape)
    np.add.at(top, (rows[there], first[there]), weight[there])
    inside = looks.rank < top.shape[1]
    true = np.where(inside, np.take_along_axis(top, np.where(inside, looks.rank, 0)[:, None], axis=1)[:, 0], 0.0)
    return Found(true, top)


def apply(base: Base, found: Found, mixture: Mixture) -> FloatArray:
    """Log-probability of the token that stands there, under the mixture: ``[P]``. Weight 0 gives the base's own."""
    if mixture.weight == 0.0:
        return base.true
    if mixture.mixing == "linear":
        with np.errstate(divide="ignore"):
            log_found = np.log(mixture.weight) + np.log(found.true)
            return np.asarray(np.logaddexp(np.log1p(-mixture.weight) + base.true, log_found), np.float64)
    assert found.top is not None
    weight, cover = mixture.weight, mixture.cover
    size = found.top.shape[1]
    top = base.top[:, :size]
    p = np.exp(top)
    covered = np.log((1.0 - cover) * found.top + cover * p + np.finfo(np.float64).tiny)
    rest = np.clip(1.0 - p.sum(axis=1), 0.0, 1.0)
    total = np.exp((1.0 - weight) * top + weight * covered).sum(axis=1) + cover**weight * rest
    true = np.log((1.0 - cover) * found.true + cover * np.exp(base.true))
    return np.asarray((1.0 - weight) * base.true + weight * true - np.log(total), np.float64)


def mixed_base(base: Base, found: Found, mixture: Mixture) -> Base:
    """The mixture as a distribution to mix with again: its ``top`` as far as the base's and the found one's go."""
    if mixture.weight == 0.0 or found.top is None:
        return base
    size = found.top.shape[1]
    columns = base.top.shape[1]
    padded = np.zeros((base.top.shape[0], columns))
    padded[:, : min(size, columns)] = found.top[:, :columns]
    tops = [
        apply(Base(base.top[:, column], base.top), Found(padded[:, column], found.top), mixture)
        for column in range(columns)
    ]
    return Base(apply(base, found, mixture), np.stack(tops, axis=1))


def fit(base: Base, found: Found, mixing: str) -> Mixture:
    """The mixture that makes the text most probable; weight 0 where nothing is gained."""
    alone = float(np.mean(base.true))
    if mixing == "linear":

        def loss(weight: float) -> float:
            return -float(np.mean(apply(base, found, Mixture("linear", float(weight), 0.0))))

        line: Any = minimize_scalar(loss, bounds=(0.0, MOST_WEIGHT), method="bounded", options={"xatol": 1e-4})
        return Mixture("linear", float(line.x) if -line.fun > alone + LEAST_GAIN else 0.0, 0.0)

    def mixture(x: FloatArray) -> Mixture:
        return Mixture("geometric", float(expit(x[0])), float(np.clip(expit(x[1]), 1e-6, 1.0)))

    def mixed_loss(x: FloatArray) -> float:
        return -float(np.mean(apply(base, found, mixture(x))))

    start: FloatArray = np.array([logit(0.2), logit(0.3)], np.float64)
    options = {"xatol": 1e-2, "fatol": 1e-7, "maxfev": 60}
    best: Any = minimize(mixed_loss, start.reshape(2), method="Nelder-Mead", options=options)  # type: ignore[call-overload]
    return mixture(best.x) if -best.fun > alone + LEAST_GAIN else Mixture("geometric", 0.0, 1.0)


def ranked_only(looks: Looks, chosen: np.ndarray) -> Looks:
    """Some positions, beams left out: for what needs the model's own distribution alone."""
    empty = np.zeros((int(chosen.sum()) if chosen.dtype == bool else chosen.size, 0, 0))
    return replace(
        looks,
        logprob=looks.logprob[chosen],
        rank=looks.rank[chosen],
        ranked=looks.ranked[chosen],
        entropy=looks.entropy[chosen],
        first=empty.astype(np.int64),
        beam=empty,
        power=empty,
    )


def _log_total(looks: Looks, power: float) -> FloatArray:
    """log of the sum of p^power over the vocabulary, ``[P]``."""
    total = np.asarray(logsumexp(power * looks.ranked, axis=1), np.float64)
    more = looks.vocabulary - looks.ranked.shape[1]
    if more > 0:
        rest = np.clip(1.0 - np.exp(looks.ranked).sum(axis=1), 1e-300, 1.0)
        total = np.logaddexp(total, np.log(more) + power * (np.log(rest) - np.log(more)))
    return total
