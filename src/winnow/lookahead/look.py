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
from winnow.ports.program import Program
from winnow.ports.requests import Cost, Request
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
    """Answer a Look by asking for next tokens; the cost is left to whoever runs this."""
    tree, nodes, token, place = chains(request.lead, request.rows, request.begin)
    p = yield from distributions(tree, nodes, request.vocabulary, rows=_ROWS)
    found = yield from beams(tree, nodes, p, widths=request.widths, depth=request.depth, end_tokens=request.end_tokens)
    power = np.full((nodes.size, len(request.powers), request.future_depth), np.nan)
    asked = np.zeros((len(request.widths) + 1, max(request.depth, request.future_depth)), np.int64)
    for row, width in enumerate(request.widths):
        asked[row] = np.pad(found[width].asked, (0, asked.shape[1] - request.depth), mode="edge")
    if request.powers:
        chosen = np.flatnonzero(place % request.stride == 0)
        expected = yield from futures(
            tree,
            nodes[chosen],
            p[chosen],
            powers=request.powers,
            depth=request.future_depth,
            num=request.num_futures,
            key=request.key.child("look"),
            slots=nodes[chosen],
            end_tokens=request.end_tokens,
            least=request.least,
        )
        for a, alpha in enumerate(request.powers):
            for depth in range(request.future_depth):
                q = power_marginal(p[chosen], expected[a, depth], alpha)
                power[chosen, a, depth] = q[np.arange(chosen.size), token[chosen]]
        followed = int((np.exp(p[chosen]) > request.least).sum())
        asked[-1, 1 : request.future_depth] = followed * np.cumsum(
            [1, *([request.num_futures] * max(0, request.future_depth - 2))][: max(0, request.future_depth - 1)]
        )
        asked[-1, request.future_depth :] = asked[-1, request.future_depth - 1]
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


def chains(lead: IntArray, rows: Sequence[IntArray], begin: IntArray) -> tuple[Tree, IntArray, IntArray, IntArray]:
    """Rows as chains of nodes below one root: the tree, and for each scored position its node, its token and its place.

    The node is that of everything before the position; the place counts from the row's first scored token.

    Raises
    ------
    InputError
        When there are no rows.
    """
    if not rows:
        raise InputError("nothing to look at", where="lookahead")
    tree, size = Tree([lead.tolist()]), max(row.size for row in rows)
    node = np.zeros((len(rows), size), np.int64)  # of what stands before each place
    for place in range(1, size):  # a level at a time, for all rows
        deep = np.flatnonzero([row.size > place for row in rows])
        tokens = np.array([rows[int(number)][place - 1] for number in deep], np.int64)
        tree, node[deep, place] = tree.append(node[deep, place - 1], tokens, np.zeros(deep.size))
    ends = [row.size for row in rows]
    scored = list(zip(range(len(rows)), begin.tolist(), ends, strict=True))
    return (
        tree,
        np.concatenate([node[number, start:end] for number, start, end in scored]),
        np.concatenate([rows[number][start:] for number, start, _ in scored]),
        np.concatenate([np.arange(end - start) for _, start, end in scored]),
    )


def _ranks(found: Beams, rank: IntArray) -> IntArray:
    """First tokens as ranks ``[D, P, W]``; -1 where there is none."""
    rows = np.arange(rank.shape[0])[None, :, None]
    there = found.first != NO_TOKEN
    return np.where(there, rank[rows, np.where(there, found.first, 0)], -1)


def _side_by_side(parts: Sequence[np.ndarray]) -> np.ndarray:
    """``[D, P, W]`` of several widths as ``[P, D, S]``."""
    return np.concatenate(parts, axis=2).transpose(1, 0, 2)
