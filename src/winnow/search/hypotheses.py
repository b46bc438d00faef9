"""What the beams share: the hypotheses that have ended, when no more can come, and what is told on the way.

The score of a hypothesis is its summed log-probability over ``length ** exponent``: exponent 0 leaves the sum, 1 takes
the mean of a token. Lengths count the written tokens, the end token included.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from winnow.ports.program import Note
from winnow.search.found import Found
from winnow.values.errors import nearest
from winnow.values.logspace import FloatArray, IntArray, log_sum_exp
from winnow.values.population import Population, effective_number
from winnow.values.tree import Tree


class Hypotheses(NamedTuple):
    """Nodes with what is known of them, each ``[N]``."""

    nodes: IntArray
    logprob: FloatArray  # summed, natural
    length: IntArray  # tokens written

    @classmethod
    def none(cls) -> Hypotheses:
        return cls(np.empty(0, np.int64), np.empty(0), np.empty(0, np.int64))

    @classmethod
    def of(cls, nodes: IntArray, logprob: FloatArray, length: int) -> Hypotheses:
        return cls(nodes, logprob, np.full(nodes.size, length, np.int64))

    def score(self, exponent: float) -> FloatArray:
        """The log-probability normalised by length."""
        return np.asarray(self.logprob / np.maximum(self.length, 1) ** exponent, np.float64)

    def take(self, index: Any) -> Hypotheses:
        return Hypotheses(self.nodes[index], self.logprob[index], self.length[index])

    def best(self, num: int, exponent: float) -> Hypotheses:
        """The ``num`` of highest score, the best first; ties stay in order."""
        return self.take(np.argsort(-self.score(exponent), kind="stable")[:num])

    def plus(self, other: Hypotheses) -> Hypotheses:
        return Hypotheses(*(np.concatenate(pair) for pair in zip(self, other, strict=True)))


class Outlook(NamedTuple):
    """The moment at which a beam asks whether to go on."""

    live: float  # log-probability of the best live hypothesis
    worst: float  # score of the worst of ``width`` ended ones
    length: int  # tokens written so far
    depth: int
    exponent: float


def _proven(at: Outlook) -> bool:
    longest = at.depth if at.exponent > 0 else at.length
    return bool(at.live / longest**at.exponent <= at.worst)


def _estimated(at: Outlook) -> bool:
    return bool(at.live / at.length**at.exponent <= at.worst)


ENDINGS: Mapping[str, Callable[[Outlook], bool]] = {
    "proven": _proven,
    "first": lambda at: True,
    "estimated": _estimated,
}
"""When a beam with ``width`` ended hypotheses stops. ``proven``: nothing alive can overtake them any more. ``first``: at
once. ``estimated``: the best live one, taken at its present length, is no better. In transformers these are
``early_stopping`` "never", True and False."""


def check_beam(width: int, depth: int, ending: str) -> None:
    """Refuse what no beam can do.

    Raises
    ------
    ValueError
        When width or depth is below one, or there is no such ending.
    """
    if width < 1 or depth < 1:
        raise ValueError(f"width {width} and depth {depth} must be at least 1")
    if ending not in ENDINGS:
        raise ValueError(f"no ending {ending!r} ({nearest(ending, ENDINGS)})")


def closed(done: Hypotheses, live: Hypotheses, *, width: int, depth: int, exponent: float, ending: str) -> bool:
    """Whether a beam is at its end before its depth; ``done`` and ``live`` are sorted, the best first."""
    if live.nodes.size == 0:
        return True
    if done.nodes.size < width:
        return False
    worst = float(done.score(exponent)[width - 1])
    return ENDINGS[ending](Outlook(float(live.logprob.max()), worst, int(live.length[0]), depth, exponent))


def found(tree: Tree, chosen: Hypotheses, done: Hypotheses, exponent: float) -> Found:
    """What a beam returns for its chosen hypotheses, of which those in ``done`` have ended."""
    return Found(
        tree=tree,
        nodes=chosen.nodes,
        logprob=chosen.logprob,
        finished=np.isin(chosen.nodes, done.nodes),
        population=Population(individuals=tuple(chosen.nodes.tolist()), log_weight=chosen.logprob),
        rank=chosen.score(exponent),
    )


def told(kind: str, step: int, so_far: Found) -> Note:
    """A beam's note: where it stands, and what it would return."""
    logprob = so_far.logprob
    share = np.exp(logprob - log_sum_exp(logprob)) if logprob.size else logprob
    return Note(
        kind=kind,
        info={
            "step": step,
            "best": float(logprob.max(initial=-np.inf)),
            "mass": float(np.exp(logprob).sum()),
            "effective_number": effective_number(share),
            "found": so_far,
        },
        population=so_far.population,
    )
