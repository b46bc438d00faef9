"""Gold labels spent on one question, asked again every round: does the evaluator accept right answers more readily?

The loop improves only while sensitivity s exceeds the false-positive rate f (mathematics.md, equation 1), and one evaluator
without labels cannot tell. In each round a sample of accepted and of rejected answers is labelled. Of these tables

                 right   wrong
    accepted       x       .          odds ratio  psi = s (1 - f) / (f (1 - s)) > 1   exactly when   s > f
    rejected       .       .

the odds ratio does not depend on how many answers are wrong, nor on how many of each side were labelled: what a loop
changes from round to round leaves it alone, so labels of all rounds count together. Given the margins of every table, the
chance of x right ones among the accepted is known exactly, for any psi. Two exact tests follow, both in every round:

    carries   x, summed over rounds, is too large for psi <= 1: the one-sided 95 % bound of s - f is above 0     (Cornfield)
    changed   given the sum, the rounds since some round have too small a share of it for one psi to hold        (Zelen)

After a change the labels before it no longer count. An audit may stop a run; it never picks an answer.

References: Cornfield (1956); Zelen (1971), "The analysis of several 2 x 2 contingency tables".
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.stats import hypergeom

from winnow.values.logspace import FloatArray, IntArray
from winnow.values.random import Key, permutation

LEVEL = 0.05  # chance that a useless evaluator passes, at every look and so over a whole run
CHANGE = 0.025  # chance over a whole run that an evaluator which does not change is said to have changed
FIRST = 40  # labels the start gets before later rounds get any
LOG_ODDS = 25.0  # how far an odds ratio is followed


class Labels(NamedTuple):
    """What labelling found in one round, and how many answers its two sides held."""

    round: int
    right_accepted: int
    num_accepted: int  # labelled
    right_rejected: int
    num_rejected: int  # labelled
    accepted: int  # answers
    rejected: int  # answers


class Verdict(NamedTuple):
    """What an audit has found by one round. An abstention counts as wrong; None is a rate that the labels cannot say."""

    sensitivity: float | None
    false_positive_rate: float | None
    bound: float  # one-sided 95 % lower bound of s - f, -1 where nothing is bounded
    p_value: float  # that an evaluator with s <= f would look this good
    labels: int  # spent so far
    since: int  # the first round whose labels count

    @property
    def carries(self) -> bool:
        """True when the loop may go on."""
        return self.bound > 0.0


class Audit:
    """The labels of a run, round by round.

    Parameters
    ----------
    num_labels : N, what may be spent over the whole run; num_rounds : rounds after the start.

    Notes
    -----
    Half of the labels, and at least FIRST, go to the start: there a bad evaluator has taught nothing yet, and errors,
    which tell most, are many. The rest is spread evenly over the later rounds. A useless evaluator (s = f) is stopped at
    the start with probability 0.95 or more, exactly, whatever the sizes. One that stays as it is is stopped for a change
    with probability CHANGE at most: a look that compares t ways of cutting the rounds in two gives each
    CHANGE / (num_rounds t).
    """

    def __init__(self, num_labels: int, num_rounds: int) -> None:
        self.num_rounds = max(num_rounds, 1)
        first = min(num_labels, max(num_labels // 2, FIRST))
        later = (num_labels - first) // 2 * np.arange(num_rounds + 1) // self.num_rounds * 2
        self.allowance: list[int] = np.diff(first + later, prepend=0).tolist()
        self.found: list[Labels] = []
        self.since = 0

    def look(self, labels: Labels) -> Verdict:
        """Take in a round's labels, which may be none, and judge by all that count."""
        self.found.append(labels)
        counted = [one for one in self.found if one.round >= self.since]
        cuts = range(1, len(counted))
        chances = [change(counted[:cut], counted[cut:]) for cut in cuts]
        if chances and min(chances) <= CHANGE / (self.num_rounds * len(chances)):
            counted = counted[cuts[int(np.argmin(chances))] :]
            self.since = counted[0].round
        spent = sum(one.num_accepted + one.num_rejected for one in self.found)
        return judge(counted)._replace(labels=spent)


def draw_sample(accepted: IntArray, rejected: IntArray, num_labels: int, key: Key) -> tuple[IntArray, IntArray]:
    """Who is labelled: half of the labels on accepted, half on rejected answers, what one side lacks to the other."""
    want = min(num_labels // 2, accepted.size)
    other = min(num_labels - want, rejected.size)
    want = min(num_labels - other, accepted.size)
    return (
        accepted[permutation(key, "accepted", accepted.size)[:want]],
        rejected[permutation(key, "rejected", rejected.size)[:other]],
    )


def judge(counted: Sequence[Labels]) -> Verdict:
    """Estimate s and f from labels of one or more rounds, and bound their difference from below.

    s and f are those of all answers of these rounds, each labelled one standing for its side's others. The bound of the
    odds ratio is exact (conditional on the margins, so never above its 5 %); as a bound of s - f it is read at the rounds'
    own share of accepted and of right answers: its sign is exact, its size as good as that share. Where labels say
    nothing - one side is empty, or all are right - the verdict is -1, "cannot be shown".

    Raises
    ------
    ValueError
        When there is no round.
    """
    if not counted:
        raise ValueError("an audit judges at least one round")
    seen = sum(one.right_accepted for one in counted)
    size = sum(one.num_accepted + one.num_rejected for one in counted)
    labelled = [one for one in counted if one.num_accepted and one.num_rejected]
    rates = _rates(labelled, added=0.0)
    unknown = Verdict(rates[0], rates[1], -1.0, 1.0, size, counted[0].round)
    if not labelled or rates[0] is None or rates[1] is None:
        return unknown
    tilt = _log_odds(labelled)
    with np.errstate(divide="ignore"):
        log_way = np.log(_ways(counted, tilt))
    x = np.arange(log_way.size)

    def beyond(log_odds: float) -> float:
        """Chance of as many right ones among the accepted, or more."""
        tilted = log_way + x * (log_odds - tilt)
        weight = np.exp(tilted - tilted.max())
        return float(weight[seen:].sum() / weight.sum())

    p_value = beyond(0.0)
    if beyond(-LOG_ODDS) > LEVEL:
        return unknown._replace(p_value=p_value)
    lowest = float(brentq(lambda log_odds: beyond(log_odds) - LEVEL, -LOG_ODDS, LOG_ODDS))
    return unknown._replace(bound=_difference(lowest, labelled), p_value=p_value)


def change(before: Sequence[Labels], recent: Sequence[Labels]) -> float:
    """Exact chance that the recent rounds would hold so few of all right accepted labels, were the odds ratio one."""
    tilt = _log_odds([*before, *recent])
    old, new = _ways(before, tilt), _ways(recent, tilt)
    seen = sum(one.right_accepted for one in recent)
    total = seen + sum(one.right_accepted for one in before)
    x = np.arange(new.size)
    fits = (total - x >= 0) & (total - x < old.size)
    weight = np.where(fits, new * old[np.clip(total - x, 0, old.size - 1)], 0.0)
    return float(weight[: seen + 1].sum() / weight.sum())


def _ways(counted: Sequence[Labels], log_odds: float) -> FloatArray:
    """Relative chance of every number of right ones among the accepted, given the margins of each round."""
    way = np.ones(1)
    for one in counted:
        right = one.right_accepted + one.right_rejected
        way = np.convolve(way, _one_round(one.num_accepted, one.num_rejected, right, log_odds))
    return way


@lru_cache(maxsize=4096)
def _one_round(num_accepted: int, num_rejected: int, num_right: int, log_odds: float) -> FloatArray:
    """Fisher's noncentral hypergeometric distribution, its largest value 1."""
    if num_accepted + num_rejected == 0:
        return np.ones(1)
    x = np.arange(num_accepted + 1)
    log_way = hypergeom.logpmf(x, num_accepted + num_rejected, num_right, num_accepted) + x * log_odds
    return np.asarray(np.exp(log_way - log_way.max()), np.float64)


def _log_odds(counted: Sequence[Labels]) -> float:
    """Roughly the log odds ratio: where the numbers are computed, so that what was seen does not underflow."""
    accepted, rejected = (
        sum(one.right_accepted + 0.5 for one in counted) / sum(one.num_accepted + 1 for one in counted),
        sum(one.right_rejected + 0.5 for one in counted) / sum(one.num_rejected + 1 for one in counted),
    )
    return float(np.log(accepted * (1 - rejected) / (rejected * (1 - accepted))))


def _rates(counted: Sequence[Labels], *, added: float) -> tuple[float | None, float | None, float, float]:
    """s, f, the share accepted and the share right of all answers, with ``added`` right and wrong labels on each side."""
    right, wrong = np.zeros(2), np.zeros(2)  # among accepted, among rejected
    for one in counted:
        sides = (
            (one.right_accepted, one.num_accepted, one.accepted),
            (one.right_rejected, one.num_rejected, one.rejected),
        )
        for side, (found, labelled, answers) in enumerate(sides):
            share = (found + added) / (labelled + 2 * added)
            right[side] += share * answers
            wrong[side] += (1 - share) * answers
    everyone = max(float((right + wrong).sum()), 1.0)
    return (
        float(right[0] / right.sum()) if right.sum() else None,
        float(wrong[0] / wrong.sum()) if wrong.sum() else None,
        float((right[0] + wrong[0]) / everyone),
        float(right.sum() / everyone),
    )


def _difference(log_odds: float, counted: Sequence[Labels]) -> float:
    """s - f at an odds ratio, where s P + f (1 - P) is the share accepted and P the share right."""
    _, _, accepted, right = _rates(counted, added=1.0)
    odds = np.exp(log_odds)

    def sensitivity(f: float) -> float:
        return float(odds * f / (1 - f + odds * f))

    f = float(brentq(lambda f: sensitivity(f) * right + f * (1 - right) - accepted, 0.0, 1.0))
    return sensitivity(f) - f
