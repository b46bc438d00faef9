"""Looking ahead where it pays: which positions to spend forward tokens on.

Two triggers decide from what the model knows before the token is seen: the entropy of its distribution, and a logistic
regression fitted on the tuning half to tell positions where lookahead gained from those where it lost. Beside them: looking
ahead at random, everywhere with less width or depth, and a larger model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from winnow.lookahead.fit import Base, Found, apply, best_temperature, fit, temper
from winnow.lookahead.intervals import Estimate, estimate
from winnow.lookahead.look import Looks
from winnow.lookahead.rival import base_of
from winnow.lookahead.shallow import shallow
from winnow.lookahead.study import Study
from winnow.lookahead.table import Measured, settings_of
from winnow.lookahead.texts import Prepared
from winnow.values.logspace import FloatArray
from winnow.values.random import Key, uniforms

SHARES = (0.05, 0.2, 0.5, 0.8)


class Spent(NamedTuple):
    """What one way of spending forward tokens came to, on the reporting half."""

    way: str  # "nowhere", "everywhere", "entropy", "fitted", "random", "less everywhere", "larger model"
    said: str
    share: float  # of positions that were looked at
    tokens: float  # forward tokens a position; for a larger model in tokens of this one, by parameters
    gain: Estimate  # nats a token over the rival; of a trigger, over its depth 1

    def record(self) -> dict[str, Any]:
        """As JSON values."""
        return {**self._asdict(), "gain": self.gain._asdict()}


def ponder(study: Study, chosen: Measured | None = None) -> list[Spent]:
    """Gain over the rival against forward tokens, for one setting and several shares of positions.

    The trigger's threshold and the mixture's weight are fitted on the tuning half, the weight on the positions that the
    trigger picks there. A trigger alone may gain by giving those positions a temperature or truncation of their own: that
    is told as its depth 1, and its own gain is beyond that.

    Parameters
    ----------
    chosen : the setting; the study's headline unless given.
    """
    one = chosen or study.headline
    if one is None:
        return []
    looks, text, tuning, key = study.looks, study.text, study.tuning, Key(study.settings.seed).child("ponder")
    base = base_of(looks, study.rival, max(study.settings.widths))
    found = found_of(study, one)
    extra = one.row.tokens - 1.0
    fitted = trigger(looks, text, one.beyond, tuning)
    scores = {
        "entropy": looks.entropy,
        "fitted": fitted,
        "random": uniforms(key, "random", [0], looks.logprob.size)[0],
    }
    rows = [Spent("nowhere", "the rival", 0.0, 1.0, _told(np.zeros(tuning.size), study, key))]
    for name, score in scores.items():
        for share in SHARES:
            picked = score > np.quantile(score[tuning], 1.0 - share)
            here, value, alone = picked & tuning, np.zeros(tuning.size), np.zeros(tuning.size)
            if here.any():
                shallow = _shallow(study, base, one, here)
                alone[picked] = (shallow.true - base.true)[picked]
                mixture = fit(shallow.take(here), found.take(here), one.row.setting.mixing)
                value[picked] = apply(shallow.take(picked), found.take(picked), mixture) - shallow.true[picked]
            spent = float(picked[~tuning].mean())
            said = f"the {share:.0%} that score highest"
            rows.append(Spent(f"{name}, depth 1", said, spent, 1.0, _told(alone, study, key)))
            rows.append(Spent(name, said, spent, 1.0 + spent * extra, _told(value, study, key)))
    rows.append(Spent("everywhere", str(one.row.setting), 1.0, 1.0 + extra, one.row.beyond))
    for other in frontier(study.measured, 1.0 + extra):
        rows.append(Spent("less everywhere", str(other.row.setting), 1.0, other.row.tokens, other.row.beyond))
    return rows


def _shallow(study: Study, base: Base, one: Measured, here: np.ndarray) -> Base:
    """The best that depth 1 does for the positions ``here``: a temperature of their own, its most probable tokens mixed in.

    What a trigger gains by treating some positions in another way is not lookahead.
    """
    tempered = temper(study.looks, best_temperature(study.looks, here), base.top.shape[1])
    return shallow(study.looks, study.settings, (base, tempered), here, beside=one.row.setting)


def found_of(study: Study, one: Measured) -> Found:
    """What a setting of the study gives at every position."""
    return next(found for setting, found, _ in settings_of(study.looks, study.settings) if setting == one.row.setting)


def trigger(looks: Looks, text: Prepared, gain: FloatArray, tuning: np.ndarray) -> FloatArray:
    """How surely a position gains by lookahead, ``[P]``: logistic regression on what is known before the token is seen.

    Fitted on ``tuning``: the sign of the gain, weighed by its size.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    known = features(looks, text)
    here = tuning & np.isfinite(gain) & (gain != 0.0)
    sign = gain[here] > 0
    if sign.all() or not sign.any():  # nothing to tell apart
        return looks.entropy
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
    model.fit(known[here], sign, logisticregression__sample_weight=np.abs(gain[here]) / np.abs(gain[here]).mean())
    return np.asarray(model.predict_proba(known)[:, 1], np.float64)


def features(looks: Looks, text: Prepared) -> FloatArray:
    """What is known before the token is seen, ``[P, F]``."""
    before = np.concatenate([[0.0], looks.logprob[:-1]])
    first = np.concatenate([[True], text.document[1:] != text.document[:-1]])
    last = np.array(["", *(piece[-1:] for piece in text.piece[:-1])])
    columns = [
        looks.entropy,
        looks.ranked[:, 0],
        looks.ranked[:, 0] - looks.ranked[:, min(1, looks.ranked.shape[1] - 1)],
        np.log(np.exp(looks.ranked[:, :8]).sum(axis=1)),
        np.where(first, 0.0, before),
        first.astype(np.float64),
        np.array([not one.isalnum() for one in last], np.float64),
        np.isin(last, list(".,;:!?\n")).astype(np.float64),
    ]
    return np.stack(columns, axis=1)


def frontier(measured: Sequence[Measured], tokens: float) -> Iterator[Measured]:
    """For each cost below ``tokens``, the setting that was best on the tuning half, where a dearer one gains more."""
    deep = [one for one in measured if one.row.setting.depth > 1 and one.row.tokens < tokens]
    most = -np.inf
    for one in sorted(deep, key=lambda one: (one.row.tokens, -one.row.tuning_beyond)):
        if np.isfinite(one.beyond).all() and one.row.tuning_beyond > most:
            most = one.row.tuning_beyond
            yield one


def larger(study: Study, other: Study, *, parameters: tuple[int, int], key: Key | None = None) -> Spent:
    """A second model on the same documents, as another way to spend: its gain over this study's rival.

    Models of different tokens are compared by document: nats of all its scored tokens over the number of this model's
    tokens; the last document, which may have been cut, is left out. Its cost is its tokens times its parameters, in this
    model's.

    Parameters
    ----------
    parameters : of this model and of the other.
    """
    mine, theirs = study.rival_logprob, other.rival_logprob
    both = np.intersect1d(study.text.document, other.text.document)
    both = both[both < min(study.text.document[-1], other.text.document[-1])]  # the last may have been cut
    ratio = parameters[1] / parameters[0]
    ratio *= np.isin(other.text.document, both).sum() / max(1, np.isin(study.text.document, both).sum())
    value = np.zeros(0)
    unit = np.zeros(0, np.int64)
    for document in both:
        m, t = study.text.document == document, other.text.document == document
        value = np.concatenate([value, np.full(int(m.sum()), (theirs[t].sum() - mine[m].sum()) / m.sum())])
        unit = np.concatenate([unit, np.full(int(m.sum()), document)])
    told = estimate(value, unit, (key or Key(study.settings.seed)).child("larger"))
    return Spent("larger model", other.model, 1.0, ratio, told)


def _told(value: FloatArray, study: Study, key: Key) -> Estimate:
    rest = ~study.tuning
    return estimate(value[rest], study.text.unit[rest], key.child("gain"))
