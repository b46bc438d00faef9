"""Does it plan? Whether the noun decides the article, or the article the noun; and the same before a rhyme.

A text whose articles and nouns agree can come about in two ways. *Planning*: the article is already that of the noun to
come. *Grammar*: the article comes as it may, and the noun gives way to it. The joint probability of article and noun in
one context cannot tell them apart; what can is (1) how the article moves **between** contexts with the noun that would be
written in each, and (2) how the noun moves **within** a context when the article is forced the other way. Both are
read off the model's probabilities; nothing is sampled, and no internals are looked at: a habit that acts as a plan
would, in every context tried, counts as one. So the contexts must be new where that matters.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.special import logsumexp

from winnow.lookahead.clusters import Interval, bootstrap
from winnow.lookahead.continuations import Written, written
from winnow.lookahead.situations import Situation
from winnow.ports.program import Note, Program
from winnow.ports.requests import Codec
from winnow.values.logspace import FloatArray
from winnow.values.random import Key

NOTHING = 1e-9  # variances below this are rounding
FEW, SOME = 0.2, 0.5  # in verdicts: a P below the first is none; a G or an index below the second is little


class Reading(NamedTuple):
    """What a model does in one situation of ``K`` classes. All probabilities linear."""

    situation: Situation
    chosen: FloatArray  # [K], of the classes' openings; sums to one
    forced: FloatArray  # [K, K], row: the class whose opening is forced; column: of the endings then; rows sum to one
    implied: (
        FloatArray  # [J, K], of the ending without the choice: demanded by the context, or after each neutral opening
    )
    unseen: FloatArray  # [O', K], as forced, after each opening that training never had here; rows sum to one
    mass: float  # of all openings together, as the next words
    coverage: float  # of the listed endings after the openings, weighted by ``chosen``


@dataclasses.dataclass(frozen=True, kw_only=True)
class Figures:
    """What a group of situations shows; an estimate is None where it cannot be had.

    ``planning`` P: slope of the openings' shares on those implied by the endings, between contexts of one frame.
    ``grammar`` G: (trace of ``forced`` − 1)/(K − 1), mean over contexts; for two classes how much likelier an ending
    becomes by forcing its own opening. ``index`` I = P − (1 − P) G, within [−1, 1].
    """

    group: str
    num: int  # situations
    num_clusters: int
    index: Interval | None
    planning: Interval | None
    grammar: Interval
    right: Interval  # share of situations whose most probable opening is the implied ending's
    constant: float  # the same for the best opening that does not look at the context
    agreeing: Interval  # P(ending agrees with opening) in free writing
    given_ending: Interval  # P(the implied ending's own opening, given that ending)
    after_own: Interval  # P(implied class of ending | its own opening)
    after_other: Interval  # P(implied class of ending | another opening)
    after_unseen: Interval | None  # P(implied class of ending | an opening never seen in this context)
    mass: float
    coverage: float
    reliability: float | None  # correlation of the neutral openings' implied shares, where there are several

    @property
    def verdict(self) -> str:
        """One sentence."""
        if self.index is None:
            return "Not identifiable: what would be written hardly differs between these contexts."
        assert self.planning is not None
        said = f"index {self.index.value:+.2f} ({self.index.low:+.2f} to {self.index.high:+.2f}), n = {self.num}"
        if self.planning.high < FEW and self.grammar.high < SOME:
            return f"Neither: the opening does not follow the ending, nor much the ending the opening; {said}."
        if self.index.low > 0:
            part = " in part" if self.index.value < SOME else ""
            return f"It plans{part}: the ending decides the opening more than the opening the ending; {said}."
        if self.index.high < 0:
            return f"Grammar, not planning: the ending gives way to the opening, G = {self.grammar.value:.2f}; {said}."
        return f"Cannot tell planning from grammar; {said}."


def read(situations: Sequence[Situation], codec: Codec) -> Program[list[Reading]]:
    """Read every situation off a model: one step, whatever their number.

    Raises
    ------
    InputError, ContextError
        Where the model has no tokens for a text, or not enough of them.
    """
    texts = yield from written(situations, codec)
    readings = [_reading(situation, one) for situation, one in zip(situations, texts, strict=True)]
    yield Note(kind="articles", info={"situations": len(readings)})
    return readings


def _reading(situation: Situation, one: Written) -> Reading:
    num, size = len(situation.openings), len(situation.classes)
    of_opening = np.array([situation.class_of(opening) for opening in situation.openings])
    of_ending = np.repeat(np.arange(size), [len(ends) for ends in situation.classes])
    total = np.asarray(logsumexp(one.ending, axis=1))  # [O + neutral]
    with np.errstate(invalid="ignore"):
        share = np.exp(one.ending - total[:, None])  # [O + neutral, W]
    share[~np.isfinite(total)] = 1 / of_ending.size  # nothing that is listed can be written: no preference
    ending = np.stack([share[:, of_ending == k].sum(axis=1) for k in range(size)], axis=1)  # [O + neutral, K]
    log_opening = one.opening[:num]
    mass = np.exp(log_opening)
    opening = mass / mass.sum() if mass.sum() > 0 else np.full(num, 1 / num)
    demanded = situation.demanded
    return Reading(
        situation=situation,
        chosen=np.array([opening[of_opening == k].sum() for k in range(size)]),
        forced=np.stack([ending[:num][of_opening == k].mean(axis=0) for k in range(size)]),
        implied=ending[num:] if demanded is None else np.eye(size)[[demanded]],
        unseen=ending[[list(situation.openings).index(opening) for opening in situation.unseen]],
        mass=float(mass.sum()),
        coverage=float(opening @ np.exp(total[:num])),
    )


def figures(readings: Sequence[Reading], *, key: Key, draws: int = 2000) -> list[Figures]:
    """One set of figures a group, in order of first appearance; where there are several kinds of groups, no total."""
    groups: dict[str, list[Reading]] = {}
    for reading in readings:
        groups.setdefault(reading.situation.group, []).append(reading)
    return [account(mine, group=group, key=key.child(group), draws=draws) for group, mine in groups.items()]


def account(readings: Sequence[Reading], *, group: str = "all", key: Key, draws: int = 2000) -> Figures:
    """What a group of readings shows, with 95 % intervals by a bootstrap over clusters.

    With v[h, k] the implied share of class k in context h and p[h, k] the chosen one, both less their means over the
    contexts of one frame,

        P = Σ_j Σ p · v_j / J   /   Σ_{i≠j} Σ v_i · v_j / (J (J − 1)):

    the least-squares slope where one neutral opening (or the context's demand) implies the ending, and where several do,
    the instrumental-variable slope, which is not diluted by what is peculiar to each of them. A model whose openings are
    its base rates b has P = 0; one whose openings have the implied endings' probabilities has P = 1; their mixture
    λ v + (1 − λ) b has P = λ.

    Guarantees: exact functions of the readings; I = 1 at P = 1, I = −1 at P = 0, G = 1, and 0 at P = G = 0. P is not
    identified where v does not vary: then ``index`` is None (when the 95 % interval of the denominator reaches 0). With one
    neutral opening that is not what the model has in mind, P is biased towards 0.

    Raises
    ------
    ValueError
        When there are no readings.
    """
    if not readings:
        raise ValueError("no readings to account for")
    per = _per_situation(readings)  # [N, S]

    def statistic(weight: FloatArray) -> FloatArray:
        numerator, denominator = _covariances(readings, weight)
        planning = numerator / denominator if denominator > NOTHING else np.nan
        counted = weight[:, None] * np.isfinite(per)
        means = (counted * np.nan_to_num(per)).sum(axis=0) / np.where(
            counted.sum(axis=0) > 0, counted.sum(axis=0), np.nan
        )
        grammar = means[0]
        return np.array([planning - (1 - planning) * grammar, planning, denominator, *means])

    cluster = [one.situation.cluster or index for index, one in enumerate(readings)]
    value, replicates = bootstrap(statistic, cluster, key=key, draws=draws)
    estimates = [Interval.of(*pair) for pair in zip(value, replicates.T, strict=True)]
    known = len(set(cluster)) > 1 and estimates[2].low > NOTHING and np.isfinite(value[1])
    index, planning, _, grammar, right, agreeing, given, own, other, unseen = estimates
    return Figures(
        group=group,
        num=len(readings),
        num_clusters=len(set(cluster)),
        index=index.within(-1, 1) if known else None,
        planning=planning if known else None,
        grammar=grammar,
        right=right,
        constant=_constant(readings),
        agreeing=agreeing,
        given_ending=given,
        after_own=own,
        after_other=other,
        after_unseen=unseen if np.isfinite(unseen.value) else None,
        mass=float(np.mean([one.mass for one in readings])),
        coverage=float(np.mean([one.coverage for one in readings])),
        reliability=_reliability(readings),
    )


def _per_situation(readings: Sequence[Reading]) -> FloatArray:
    """``[N, 7]``: grammar, right, agreeing, given the ending, after its own, another, an unseen opening."""
    rows = []
    for one in readings:
        size = one.chosen.size
        target = one.implied.mean(axis=0)  # [K]
        joint = one.chosen[:, None] * one.forced  # [K, K], opening and ending in free writing
        column = joint.sum(axis=0)
        given = np.divide(np.diag(joint), column, out=np.full(size, 1 / size), where=column > 0)
        off = (one.forced.sum(axis=0) - np.diag(one.forced)) / (size - 1)
        rows.append(
            [
                (np.trace(one.forced) - 1) / (size - 1),
                _is_right(one.chosen, target),
                np.trace(joint),
                target @ given,
                target @ np.diag(one.forced),
                target @ off,
                (one.unseen @ target).mean() if one.unseen.size else np.nan,
            ]
        )
    return np.array(rows, np.float64)


def _is_right(chosen: FloatArray, target: FloatArray) -> float:
    """Whether the most probable class is the target's; ties count for their share."""
    best = chosen >= chosen.max() - NOTHING
    return float(best[int(target.argmax())] / best.sum())


def _frames(readings: Sequence[Reading]) -> list[list[int]]:
    frames: dict[Any, list[int]] = {}
    for index, one in enumerate(readings):
        frames.setdefault((one.situation.frame, len(one.implied)), []).append(index)
    return list(frames.values())


def _covariances(readings: Sequence[Reading], weight: FloatArray) -> tuple[float, float]:
    """Of chosen with implied, and of implied with implied (another neutral opening's, where there are several)."""
    numerator = denominator = 0.0
    for mine in _frames(readings):
        w = weight[mine]
        if w.sum() == 0:
            continue
        w = w / w.sum()
        chosen = np.stack([readings[i].chosen for i in mine])  # [n, K]
        implied = np.stack([readings[i].implied for i in mine])  # [n, J, K]
        chosen, implied = chosen - w @ chosen, implied - np.tensordot(w, implied, axes=1)
        probes = implied.shape[1]
        share = weight[mine].sum()
        numerator += share * float(np.einsum("n,nk,njk->", w, chosen, implied)) / probes
        product = np.einsum("n,nik,njk->ij", w, implied, implied)  # [J, J]
        pairs = product[~np.eye(probes, dtype=bool)] if probes > 1 else product
        denominator += share * float(pairs.mean())
    return numerator / weight.sum(), denominator / weight.sum()


def _constant(readings: Sequence[Reading]) -> float:
    """Share right of the best choice that does not look at the context, a frame."""
    hits = 0
    for mine in _frames(readings):
        hits += np.bincount([int(readings[i].implied.mean(axis=0).argmax()) for i in mine]).max()
    return float(hits / len(readings))


def _reliability(readings: Sequence[Reading]) -> float | None:
    """Correlation between neutral openings of the implied shares, classes' means taken off; None with one."""
    if any(len(one.implied) < 2 for one in readings):
        return None
    first, second = ([], [])  # type: list[FloatArray], list[FloatArray]
    for mine in _frames(readings):
        implied = np.stack([readings[i].implied[:2] for i in mine])
        implied = implied - implied.mean(axis=0)
        first.append(implied[:, 0].ravel())
        second.append(implied[:, 1].ravel())
    a, b = np.concatenate(first), np.concatenate(second)
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale > NOTHING else None
