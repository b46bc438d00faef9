"""Every setting of a study in one table: fitted on one half of a text, measured on the other.

Each setting is measured twice. *Gain* is the source's amplified model, p mixed with the lookahead's q, over the naive
model p. *Beyond* is the rival mixed with q, over the rival: what lookahead adds once temperature and truncation have had
their turn.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from winnow.lookahead.fit import Base, Found, Mixture, apply, by_beams, fit
from winnow.lookahead.intervals import Estimate, estimates
from winnow.lookahead.look import Looks
from winnow.lookahead.settings import StudySettings
from winnow.values.logspace import FloatArray, IntArray
from winnow.values.random import Key


class Setting(NamedTuple):
    """One way of looking ahead."""

    family: str  # "beams" or "power"
    width: int  # of the beams; futures a first token for "power"
    depth: int
    exponent: float  # a of (3), or the power of (5)
    mixing: str

    def __str__(self) -> str:
        if self.family == "power":
            return f"(5) power {self.exponent:g}, {self.width} futures, depth {self.depth}"
        return f"beams of width {self.width}, depth {self.depth}, a = {self.exponent:g}, {self.mixing}"


class Row(NamedTuple):
    """What one setting came to. Nats per token, on the reporting half."""

    setting: Setting
    coverage: float  # share of positions whose true token begins a beam
    tokens: float  # forward tokens a position, the position's own included
    plain: Mixture
    gain: Estimate  # over the naive model
    tuning_gain: float
    over: Mixture
    beyond: Estimate  # over the rival
    tuning_beyond: float

    def record(self) -> dict[str, Any]:
        """As JSON values."""
        flat = {"setting": str(self.setting), **self.setting._asdict()}
        flat |= {"coverage": self.coverage, "tokens": self.tokens}
        for name, mixture, value, tuned in (
            ("gain", self.plain, self.gain, self.tuning_gain),
            ("beyond", self.over, self.beyond, self.tuning_beyond),
        ):
            flat[name] = {**value._asdict(), "weight": mixture.weight, "cover": mixture.cover, "tuning": tuned}
        return flat


class Measured(NamedTuple):
    """A setting, what it was fitted to be, and the gain at every position."""

    row: Row
    gain: FloatArray  # [P], over the naive model; NaN where the setting was not looked at
    beyond: FloatArray  # [P], over the rival


def settings_of(looks: Looks, study: StudySettings) -> Iterator[tuple[Setting, Found, np.ndarray]]:
    """Every setting with what it gives, and the positions it was looked at."""
    everywhere = np.ones(looks.logprob.size, np.bool_)
    start = 0
    for width in sorted(study.widths):
        columns = slice(start, start + width)
        start += width
        for depth in range(1, study.depth + 1):
            for average in study.averages:
                found = by_beams(looks, columns, depth, average)
                for mixing in study.mixings:
                    yield Setting("beams", width, depth, average, mixing), found, everywhere
    for place, power in enumerate(study.powers):
        for depth in range(1, study.future_depth + 1):
            q = np.exp(looks.power[:, place, depth - 1])
            there = np.isfinite(q)
            yield Setting("power", study.num_futures, depth, power, "linear"), Found(q, None), there


def measure(looks: Looks, study: StudySettings, *, rival: Base, unit: IntArray, tuning: np.ndarray) -> list[Measured]:
    """Fit every setting on ``tuning`` and measure it on the rest."""
    naive = Base(looks.logprob, looks.ranked[:, : max(study.widths)])
    fitted, gains, beyonds = [], [], []
    for setting, found, there in settings_of(looks, study):
        here = tuning & there
        mixtures, values = [], []
        for base in (naive, rival):
            mixture = fit(base.take(here), found.take(here), setting.mixing)
            value = np.full(looks.logprob.size, np.nan)
            value[there] = apply(base.take(there), found.take(there), mixture) - base.true[there]
            mixtures.append(mixture)
            values.append(value)
        coverage = float((found.true[there] > 0).mean())
        tuned = [float(value[here].mean()) for value in values]
        fitted.append((setting, coverage, _tokens(looks, study, setting, int(there.sum())), mixtures, tuned))
        gains.append(values[0])
        beyonds.append(values[1])
    key = Key(study.seed).child("table")
    told = _estimates(np.stack([*gains, *beyonds], axis=1), unit, ~tuning, key)
    half = len(fitted)
    return [
        Measured(
            Row(
                setting=setting,
                coverage=coverage,
                tokens=tokens,
                plain=mixtures[0],
                gain=told[number],
                tuning_gain=tuned[0],
                over=mixtures[1],
                beyond=told[half + number],
                tuning_beyond=tuned[1],
            ),
            gains[number],
            beyonds[number],
        )
        for number, (setting, coverage, tokens, mixtures, tuned) in enumerate(fitted)
    ]


def best(measured: list[Measured], score: str) -> Measured | None:
    """The setting beyond depth 1 that was best on the tuning half by "tuning_gain" or "tuning_beyond".

    Only settings that were looked at everywhere are compared, (5) on fewer positions is told beside them.
    """
    deep = [one for one in measured if one.row.setting.depth > 1 and np.isfinite(one.gain).all()]
    return max(deep, key=lambda one: float(getattr(one.row, score)), default=None)


def _estimates(values: FloatArray, unit: IntArray, chosen: np.ndarray, key: Key) -> list[Estimate]:
    """One estimate a column over the chosen positions; columns with the same holes are drawn together."""
    result: dict[int, Estimate] = {}
    holes: dict[bytes, list[int]] = {}
    for column in range(values.shape[1]):
        holes.setdefault(np.isfinite(values[:, column]).tobytes(), []).append(column)
    for columns in holes.values():
        here = chosen & np.isfinite(values[:, columns[0]])
        for column, one in zip(columns, estimates(values[here][:, columns], unit[here], key), strict=True):
            result[column] = one
    return [result[column] for column in range(values.shape[1])]


def _tokens(looks: Looks, study: StudySettings, setting: Setting, positions: int) -> float:
    """Forward tokens a position."""
    widths = sorted(study.widths)
    row = len(widths) if setting.family == "power" else widths.index(setting.width)
    return 1.0 + float(looks.asked[row, setting.depth - 1]) / max(1, positions)
