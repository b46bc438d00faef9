"""The rival of every amplified model: the naive model with temperature and truncation, fitted on the same half.

Temperature is what the infinitely wide beam is at depth 1; truncated sampling mixed into the model is what beams are at
depth 1. So what a lookahead gains over the rival is what it gains beyond depth 1.

One temperature for all positions may be too poor a rival where a model is over-sure in some places and not in others: then
whatever treats places apart seems to gain. The rival *by entropy* has a temperature and a truncation for each eighth of the
positions by the model's entropy, and looks at no future either: a gain that stands against it is no such thing.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from winnow.lookahead.fit import Base, Mixture, apply, best_temperature, fit, ranked_only, temper, truncate
from winnow.lookahead.look import Looks
from winnow.values.logspace import FloatArray

TRUNCATIONS = (
    *(("top-k", float(k)) for k in (1, 2, 4, 8, 16, 32)),
    *(("top-p", p) for p in (0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98)),
    *(("min-p", p) for p in (0.02, 0.05, 0.1, 0.2, 0.4)),
)
BINS = 8  # of entropy, in the rival by entropy
FEWEST = 256  # positions to fit on in each of them; fewer bins where there are not as many
RATIOS = (0.5, 0.75, 1.0, 1.5)  # temperatures of what is truncated, as multiples of the fitted one


class Rival(NamedTuple):
    """A fitted rival."""

    temperature: float
    truncation: str | None  # "top-k", "top-p", "min-p"; None: temperature alone was as good
    value: float
    inner: float  # temperature of what is truncated
    weight: float  # of the truncated distribution

    def record(self) -> dict[str, Any]:
        """As JSON values."""
        return dict(self._asdict())

    def __str__(self) -> str:
        if self.truncation is None:
            return f"temperature {self.temperature:.3f}"
        return (
            f"temperature {self.temperature:.3f}, mixed {self.weight:.3f} with {self.truncation} {self.value:g} "
            f"at temperature {self.inner:.3f}"
        )


def fit_rival(looks: Looks, chosen: np.ndarray) -> Rival:
    """The rival that makes the ``chosen`` positions most probable."""
    here = ranked_only(looks, chosen)
    temperature = best_temperature(looks, chosen)
    best = Rival(temperature, None, 0.0, temperature, 0.0)
    most = float(temper(here, temperature, 1).true.mean())
    bases = {outer: temper(here, outer, 1) for outer in (temperature, 1.1 * temperature, 1.25 * temperature)}
    for kind, value in TRUNCATIONS:
        for ratio in RATIOS:
            found = truncate(here, ratio * temperature, kind, value, 0)
            for outer, base in bases.items():  # a mixture likes a flatter partner
                mixture = fit(base, found, "linear")
                score = float(apply(base, found, mixture).mean())
                if mixture.weight > 0 and score > most:
                    most, best = score, Rival(outer, kind, value, ratio * temperature, mixture.weight)
    return best


class ByEntropy(NamedTuple):
    """A rival for each range of the model's entropy."""

    edges: FloatArray  # [B - 1], nats, rising
    rivals: tuple[Rival, ...]  # B

    def record(self) -> dict[str, Any]:
        """As JSON values."""
        return {"edges": self.edges.tolist(), "rivals": [str(one) for one in self.rivals]}


def fit_by_entropy(looks: Looks, chosen: np.ndarray) -> ByEntropy:
    """The rivals that make the ``chosen`` positions of each range of entropy most probable."""
    bins = int(np.clip(chosen.sum() // FEWEST, 1, BINS))
    edges = np.quantile(looks.entropy[chosen], np.arange(1, bins) / bins)
    place = np.searchsorted(edges, looks.entropy)
    here = [chosen & (place == number) for number in range(bins)]
    return ByEntropy(edges, tuple(fit_rival(looks, mine if mine.any() else chosen) for mine in here))


def base_by_entropy(looks: Looks, rival: ByEntropy, columns: int) -> Base:
    """The distribution of the rival by entropy at every position."""
    place = np.searchsorted(rival.edges, looks.entropy)
    true, top = np.zeros(place.size), np.zeros((place.size, min(columns, looks.ranked.shape[1])))
    for number, one in enumerate(rival.rivals):
        mine = place == number
        if mine.any():
            true[mine], top[mine] = base_of(ranked_only(looks, mine), one, columns)
    return Base(true, top)


def base_of(looks: Looks, rival: Rival, columns: int) -> Base:
    """The rival's distribution at every position."""
    base = temper(looks, rival.temperature, columns)
    if rival.truncation is None:
        return base
    found = truncate(looks, rival.inner, rival.truncation, rival.value, looks.ranked.shape[1])
    mixture = Mixture("linear", rival.weight, 0.0)
    assert found.top is not None
    with np.errstate(divide="ignore"):
        mixed = np.logaddexp(np.log1p(-rival.weight) + base.top, np.log(rival.weight) + np.log(found.top[:, :columns]))
    return Base(apply(base, found, mixture), mixed)
