"""One pass over stretches of a text: what the model says at every position, and what its lookahead finds there.

``Look`` asks for a handful of stretches at once; its reply holds everything the study fits and reports, so that a look is
paid for once, kept, and read many times. The text is a chain of nodes below a root; every position is a node of it, and
beams grow at all of them in lockstep: one request of the model a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from winnow.lookahead.beams import Beams, beams, distributions
from winnow.lookahead.particles import futures, power_marginal
from winnow.ports.program import Program, gather
from winnow.ports.requests import Cost, NextToken, Request
from winnow.values.errors import InputError
from winnow.values.logspace import FloatArray, IntArray, entropy
from winnow.values.random import Key
from winnow.values.tree import NO_TOKEN, Tree

RANKED = 256  # most probable tokens of which every position keeps the log-probability
_ROWS = 512  # whole distributions asked for in one request


@dataclass(frozen=True, kw_only=True)
class Looks:
    """What a look found, for the ``P`` scored positions of all rows one after another. Logs are natural."""

    logprob: FloatArray  # [P], of the token that stands there
    rank: IntArray  # [P], of that token among all by falling probability, 0 the first
    ranked: FloatArray  # [P, M], the M <= RANKED largest log-probabilities, falling
    entropy: FloatArray  # [P], nats
    first: IntArray  # [P, D, S], rank of each beam's first token, widths side by side; -1 where there is none
    beam: FloatArray  # [P, D, S], log-probability of each beam, -inf where there is none
    power: FloatArray  # [P, A, D], log q of (5) of the token that stands there; NaN where it was not asked for
    asked: IntArray  # [W + 1, D], nodes asked about beyond the text's own, by width and depth; last row for (5)
    vocabulary: int
    cost: Cost


@dataclass(frozen=True, kw_only=True)
class Look(Request[Looks]):
    """Look ahead after every scored position of some rows of tokens.

    Beams of every width in ``widths`` to ``depth``; with ``powers``, equation (5) to ``future_depth`` at every
    ``stride``-th scored position of a row, where first tokens less probable than ``least`` are not followed.
    """

    lead: IntArray  # what stands before every row: the model's start tokens
    rows: tuple[IntArray, ...]  # N rows of tokens
    begin: IntArray  # [N], the first scored place of each row
    widths: tuple[int, ...]
    depth: int
    end_tokens: tuple[int, ...] = ()
    vocabulary: int
    powers: tuple[float, ...] = ()
    future_depth: int = 1
    num_futures: int = 1
    stride: int = 1
    least: float = 0.0
    key: Key = Key(0)

    def __post_init__(self) -> None:
        if len(self.rows) != self.begin.size:
            raise ValueError(f"{len(self.rows)} rows but {self.begin.size} beginnings")


def look(request: Look) -> Program[Looks]:
    """Answer a Look by asking for next tokens, all rows in lockstep; the cost is left to whoever runs this."""
    yield from anew(request.lead, request.rows, request.begin)
    rows = [_row(request, number) for number in range(len(request.rows))]
    return merged((yield from gather(rows)))


def _row(request: Look, number: int) -> Program[Looks]:
    """One row of a look: its own tree, so that its context is a prefix that everything below sees whole."""
    tree, nodes, token = chain(request.lead, request.rows[number], int(request.begin[number]))
    p = yield from distributions(tree, nodes, request.vocabulary, rows=_ROWS)
    found = yield from beams(tree, nodes, p, widths=request.widths, depth=request.depth, end_tokens=request.end_tokens)
    power = np.full((nodes.size, len(request.powers), request.future_depth), np.nan)
    asked = np.zeros((len(request.widths) + 1, max(request.depth, request.future_depth)), np.int64)
    for place, width in enumerate(request.widths):
        asked[place] = np.pad(found[width].asked, (0, asked.shape[1] - request.depth), mode="edge")
    if request.powers:
        chosen = np.arange(0, nodes.size, request.stride)
        expected = yield from futures(
            tree,
            nodes[chosen],
            p[chosen],
            powers=request.powers,
            depth=request.future_depth,
            num=request.num_futures,
            key=request.key.child("look", number),
            slots=chosen,
            end_tokens=request.end_tokens,
            least=request.least,
        )
        for a, alpha in enumerate(request.powers):
            for depth in range(request.future_depth):
                q = power_marginal(p[chosen], expected[a, depth], alpha)
                power[chosen, a, depth] = q[np.arange(chosen.size), token[chosen]]
        followed = int((np.exp(p[chosen]) > request.least).sum())
        for depth in range(1, asked.shape[1]):
            deeper = min(depth, request.future_depth - 1)
            asked[-1, depth] = followed * (1 + request.num_futures * (deeper - 1)) if deeper else 0
    order = np.argsort(-p, axis=1, kind="stable")
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.broadcast_to(np.arange(order.shape[1]), order.shape), axis=1)
    return Looks(
        logprob=p[np.arange(nodes.size), token],
        rank=rank[np.arange(nodes.size), token],
        ranked=np.take_along_axis(p, order[:, :RANKED], axis=1),
        entropy=entropy(p, axis=1),
        first=_side_by_side([_ranks(found[width], rank) for width in request.widths]),
        beam=_side_by_side([found[width].logprob for width in request.widths]),
        power=power,
        asked=asked,
        vocabulary=request.vocabulary,
        cost=Cost(),
    )


def merged(looks: Sequence[Looks]) -> Looks:
    """Several looks as one.

    Raises
    ------
    InputError
        When there are none.
    """
    if not looks:
        raise InputError("nothing to look at", where="lookahead")
    cost = Cost()
    for one in looks:
        cost = cost.plus(one.cost)
    return Looks(
        logprob=np.concatenate([one.logprob for one in looks]),
        rank=np.concatenate([one.rank for one in looks]),
        ranked=np.concatenate([one.ranked for one in looks]),
        entropy=np.concatenate([one.entropy for one in looks]),
        first=np.concatenate([one.first for one in looks]),
        beam=np.concatenate([one.beam for one in looks]),
        power=np.concatenate([one.power for one in looks]),
        asked=np.sum([one.asked for one in looks], axis=0),
        vocabulary=looks[0].vocabulary,
        cost=cost,
    )


def anew(lead: IntArray, rows: Sequence[IntArray], begin: IntArray) -> Program[None]:
    """Ask about the rows' roots alone first.

    A local model then lets go of what it holds of earlier trees with the same prompts (documents often have the start
    token as theirs): so no byte of a reply depends on what was asked before it, and a study that was interrupted goes on
    to the same numbers.
    """
    prompts = dict.fromkeys((*lead.tolist(), *row[:first].tolist()) for row, first in zip(rows, begin.tolist()))
    yield tuple(NextToken(tree=Tree([list(prompt)]), nodes=np.array([0]), top=1) for prompt in prompts)


def chain(lead: IntArray, row: IntArray, begin: int) -> tuple[Tree, IntArray, IntArray]:
    """A row as a chain below a root: the tree, and for each scored position the node before it and its token.

    What is only context is the root's own prompt: encoded once, seen whole by all that hangs below.
    """
    tree = Tree([[*lead.tolist(), *row[:begin].tolist()]])
    nodes, last = [0], 0
    for token in row[begin:-1].tolist():
        tree, born = tree.append([last], [token], [0.0])
        last = int(born[0])
        nodes.append(last)
    return tree, np.array(nodes, np.int64), row[begin:]


def _ranks(found: Beams, rank: IntArray) -> IntArray:
    """First tokens as ranks ``[D, P, W]``; -1 where there is none."""
    rows = np.arange(rank.shape[0])[None, :, None]
    there = found.first != NO_TOKEN
    return np.where(there, rank[rows, np.where(there, found.first, 0)], -1)


def _side_by_side(parts: Sequence[np.ndarray]) -> np.ndarray:
    """``[D, P, W]`` of several widths as ``[P, D, S]``."""
    return np.concatenate(parts, axis=2).transpose(1, 0, 2)
