"""The study of source document 003: does looking ahead raise the plausibility of real text?

A model reads a text once; beams grow after every position; everything is fitted on one half of the text's units and
measured on the other. The headline is the gain beyond depth 1: over the naive model with temperature and truncation fitted
on the same half.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np

from winnow.lookahead.fit import Base, Mixture, apply, best_temperature, fit, temper
from winnow.lookahead.horizon import Horizons, above_chance, joined
from winnow.lookahead.intervals import Estimate, estimate, estimates, halves
from winnow.lookahead.look import Looks, merged
from winnow.lookahead.rival import ByEntropy, Rival, base_by_entropy, base_of, fit_by_entropy, fit_rival
from winnow.lookahead.settings import StudySettings
from winnow.lookahead.shallow import shallow
from winnow.lookahead.splits import split
from winnow.lookahead.table import Measured, best, measure, settings_of
from winnow.lookahead.texts import Prepared
from winnow.ports.program import Note, Program
from winnow.ports.requests import Cost, LanguageModel
from winnow.values.errors import InputError
from winnow.values.logspace import FloatArray
from winnow.values.random import Key

FEWEST_UNITS = 10  # of the reporting half, below which a bootstrap over them is no interval
COVER = 0.05  # of a mixture whose weight is given and not fitted


class Control(NamedTuple):
    """Is the headline a lookahead's, or would a stronger rival at depth 1 have had it?

    That rival has a temperature and a truncation by entropy, and beams of depth 1 and of the headline's width mixed in.
    """

    rival: ByEntropy
    gain: Estimate  # of the stronger rival, over the rival
    beyond: Estimate | None  # of the headline's setting, fitted again, over the stronger rival
    weight: float  # of that setting there
    powers: tuple[tuple[str, Estimate], ...]  # of (5), everywhere and beyond depth 1, over the stronger rival

    def record(self) -> dict[str, Any]:
        """As JSON values."""
        beyond = None if self.beyond is None else self.beyond._asdict()
        powers = [{"setting": setting, **gained._asdict()} for setting, gained in self.powers]
        own = {"gain": self.gain._asdict(), "beyond": beyond, "weight": self.weight, "powers": powers}
        return {**self.rival.record(), **own}


@dataclass(frozen=True, kw_only=True)
class Study:
    """What a study found of one model."""

    model: str
    settings: StudySettings
    text: Prepared
    looks: Looks
    tuning: np.ndarray  # [P] bool
    naive: Estimate  # log-probability per token of the reporting half
    temperature: Estimate  # gain of temperature alone, over the naive model
    rival: Rival
    rival_gain: Estimate  # over the naive model
    rival_logprob: FloatArray  # [P]
    measured: tuple[Measured, ...]
    headline: Measured | None  # the best beyond depth 1, chosen on the tuning half
    plain: Measured | None  # the source's own mixture, chosen on the tuning half
    control: Control  # the headline's setting against a stronger rival
    fixed: tuple[tuple[float, Estimate], ...]  # gain of ``plain``'s lookahead at weights that were asked for
    splits: tuple[dict[str, Any], ...]
    horizon: tuple[dict[str, Any], ...]
    cost: Cost

    @property
    def helps(self) -> bool:
        """Whether looking ahead gained beyond temperature and truncation, its whole interval above 0.

        Never where the reporting half has too few units for an interval to mean anything.
        """
        return self.headline is not None and self.headline.row.beyond.above and self.units >= FEWEST_UNITS

    @property
    def units(self) -> int:
        """Units of the reporting half: what the bootstrap draws from."""
        return int(np.unique(self.text.unit[~self.tuning]).size)

    def verdict(self) -> str:
        """One sentence."""
        if self.headline is None:
            return "nothing beyond depth 1 was looked at"
        row = self.headline.row
        much, cost = row.beyond, row.tokens - 1.0
        if self.helps:
            return (
                f"looking ahead helps: {row.setting} adds {much} nats a token beyond temperature and truncation, "
                f"for {cost:.1f} forward tokens a position ({cost / much.mean:,.0f} a nat; n = {much.positions:,})"
            )
        least = f"the best of {len(self.measured)} settings, {row.setting}, adds {much} nats a token"
        if self.units < FEWEST_UNITS:
            return (
                f"too little text to tell whether looking ahead helps: {least} (n = {much.positions:,} in {self.units} of "
                f"the {FEWEST_UNITS} {self.text.units} that an interval needs at least)"
            )
        return f"looking ahead does not help beyond temperature and truncation: {least} (n = {much.positions:,})"

    def record(self) -> dict[str, Any]:
        """Everything but the numbers at single positions, as JSON values."""
        return {
            "model": self.model,
            "verdict": self.verdict(),
            "helps": self.helps,
            "positions": int(self.text.token.size),
            "reporting": int((~self.tuning).sum()),
            "characters": self.text.characters,
            "units": f"{np.unique(self.text.unit).size} {self.text.units}",
            "naive": self.naive._asdict(),
            "temperature": self.temperature._asdict(),
            "rival": {**self.rival.record(), "said": str(self.rival), "gain": self.rival_gain._asdict()},
            "headline": None if self.headline is None else self.headline.row.record(),
            "plain": None if self.plain is None else self.plain.row.record(),
            "control": self.control.record(),
            "table": [one.row.record() for one in self.measured],
            "fixed": [{"weight": weight, **told._asdict()} for weight, told in self.fixed],
            "splits": list(self.splits),
            "horizon": list(self.horizon),
            "settings": {field.name: getattr(self.settings, field.name) for field in fields(self.settings)},
            "cost": self.cost._asdict(),
        }


def study(text: Prepared, model: LanguageModel, settings: StudySettings, *, name: str) -> Program[Study]:
    """Study one model on one text; asks ``Look`` and ``Horizon`` of ``winnow.lookahead.looking.Looking``.

    Raises
    ------
    InputError
        When the text has too few units for two halves.
    """
    if np.unique(text.unit).size < 2:
        raise InputError(
            f"{text.token.size} scored tokens are one unit ({text.units}), two halves need at least two",
            where="text",
            remedy="give a longer text, or more documents",
        )
    asked = (*settings.looks(text, model), *settings.horizons(text, model))
    yield Note(kind="lookahead", info={"model": name, "positions": int(text.token.size), "looks": len(asked)})
    replies = yield asked
    assert replies is not None
    looks = merged([reply for reply in replies if isinstance(reply, Looks)])
    curves = [reply for reply in replies if isinstance(reply, Horizons)]
    cost = Cost()
    for reply in replies:
        cost = cost.plus(reply.cost)
    found = analyse(text, looks, curves, settings, name=name, cost=cost)
    yield Note(kind="study", info={"model": name, "verdict": found.verdict()})
    return found


def analyse(
    text: Prepared, looks: Looks, curves: list[Horizons], settings: StudySettings, *, name: str, cost: Cost
) -> Study:
    """What follows from the looks; asks nothing."""
    key = Key(settings.seed).child("study")
    tuning = halves(text.unit, key)
    rest = ~tuning
    rival = fit_rival(looks, tuning)
    base = base_of(looks, rival, max(settings.widths))
    measured = measure(looks, settings, rival=base, unit=text.unit, tuning=tuning)
    headline, plain = best(measured, "tuning_beyond"), best(measured, "tuning_gain")
    tempered = temper(looks, best_temperature(looks, tuning), 1).true

    def told(value: FloatArray, what: str) -> Estimate:
        return estimate(value[rest], text.unit[rest], key.child(what))

    fixed: list[tuple[float, Estimate]] = []
    if plain is not None:
        ahead = next(found for setting, found, _ in settings_of(looks, settings) if setting == plain.row.setting)
        naive = Base(looks.logprob, looks.ranked[:, : max(settings.widths)])
        for weight in settings.weights:
            value = apply(naive, ahead, Mixture("linear", weight * (1.0 - COVER), 0.0))
            fixed.append((weight, told(value - looks.logprob, f"weight {weight:g}")))
    by_entropy = fit_by_entropy(looks, tuning)
    apart, weight, beyond = base_by_entropy(looks, by_entropy, max(settings.widths)), 0.0, None
    powers: list[tuple[str, Estimate]] = []
    if headline is not None:
        apart = shallow(looks, settings, (apart,), tuning, beside=headline.row.setting)
        for setting, found, there in settings_of(looks, settings):
            power = setting.family == "power" and setting.depth > 1 and bool(there.all())
            if power or setting == headline.row.setting:
                mixture = fit(apart.take(tuning), found.take(tuning), setting.mixing)
                gained = told(apply(apart, found, mixture) - apart.true, "control")
                if setting == headline.row.setting:
                    weight, beyond = mixture.weight, gained
                if power:
                    powers.append((str(setting), gained))
    control = Control(by_entropy, told(apart.true - base.true, "by entropy"), beyond, weight, tuple(powers))
    parted: list[dict[str, Any]] = []
    for what, one, gain in (("gain", plain, "gain"), ("beyond", headline, "beyond")):
        if one is not None:
            start = sum(width for width in sorted(settings.widths) if width < one.row.setting.width)
            columns = slice(start, start + one.row.setting.width)
            first = looks.first[:, one.row.setting.depth - 1, columns]
            covered = (first == looks.rank[:, None]).any(axis=1)
            parts = split(text, getattr(one, gain), looks.entropy, covered, tuning, key.child("split"))
            parted += [{"of": what, **part} for part in parts]
    return Study(
        model=name,
        settings=settings,
        text=text,
        looks=looks,
        tuning=tuning,
        naive=told(looks.logprob, "naive"),
        temperature=told(tempered - looks.logprob, "temperature"),
        rival=rival,
        rival_gain=told(base.true - looks.logprob, "rival"),
        rival_logprob=base.true,
        measured=tuple(measured),
        headline=headline,
        plain=plain,
        control=control,
        fixed=tuple(fixed),
        splits=tuple(parted),
        horizon=tuple(curve(curves, text, key)),
        cost=cost,
    )


def curve(found: list[Horizons], text: Prepared, key: Key) -> list[dict[str, Any]]:
    """The horizon curve: at each distance, agreement above chance and nats above what frequencies give."""
    found = [one for one in found if one.token.size]
    if not found:
        return []
    both = joined(found)
    token = both.token
    count = np.bincount(text.token, minlength=int(token.max()) + 1) + 1.0
    frequency = np.log(count / count.sum())
    unit = np.arange(token.shape[0]) // 16  # neighbouring positions hang together
    over, nats = above_chance(both), both.logprob - frequency[token]
    agreement = estimates(over, unit, key.child("agreement"))
    advantage = estimates(nats, unit, key.child("nats"))
    return [
        {"distance": j + 1, "agreement above chance": a._asdict(), "nats above frequencies": n._asdict()}
        for j, (a, n) in enumerate(zip(agreement, advantage, strict=True))
    ]
