"""Beams at many positions at once: what beam search finds after every position of a text, for several widths together.

All positions and all widths grow in lockstep over one token tree, one request a step. A continuation that several widths
hold is one node and is asked about once. What a beam of any smaller depth holds is passed on the way, so every depth up to
the last comes with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from winnow.ports.program import Program, ask
from winnow.ports.requests import NextToken
from winnow.values.errors import CapabilityError
from winnow.values.logspace import FloatArray, IntArray, most_probable
from winnow.values.tree import NO_TOKEN, Tree

_NOWHERE = -1


class Beams(NamedTuple):
    """Hypotheses of one width after each depth, the best first; -inf and NO_TOKEN where there are fewer."""

    first: IntArray  # [D, P, W], first token of each hypothesis
    logprob: FloatArray  # [D, P, W], of the whole hypothesis, natural log
    asked: IntArray  # [D], nodes that had to be asked about to get so deep, over all positions


class _Live(NamedTuple):
    """What one width holds at a moment."""

    node: IntArray  # [P, W], _NOWHERE where there is none
    first: IntArray  # [P, W]
    logprob: FloatArray  # [P, W]
    ended: NDArray[np.bool_]  # [P, W]

    @property
    def growing(self) -> NDArray[np.bool_]:
        """``[P, W]``, which are to be asked about."""
        return np.asarray((self.node != _NOWHERE) & ~self.ended, np.bool_)


class _Chosen(NamedTuple):
    """What one width goes on with, each ``[P, W]``: a token after a node, or with NO_TOKEN the node itself once more."""

    parent: IntArray  # _NOWHERE where there is none
    first: IntArray
    token: IntArray
    step: FloatArray  # log-probability of the token
    logprob: FloatArray


def distributions(tree: Tree, nodes: IntArray, vocabulary: int, *, rows: int = 0) -> Program[FloatArray]:
    """Whole next-token distributions at nodes: ``[N, V]`` natural log; ``rows`` > 0 asks in requests of so many nodes.

    Raises
    ------
    CapabilityError
        When the model gives fewer than all tokens: looking ahead needs every first token's probability.
    """
    size = rows or max(1, nodes.size)
    parts = [nodes[start : start + size] for start in range(0, nodes.size, size)] or [nodes]
    replies = yield tuple(NextToken(tree=tree, nodes=part) for part in parts)
    assert replies is not None
    for reply in replies:
        if reply.logprob.shape[1] != vocabulary:
            raise no_full_distribution(f"it gives {reply.logprob.shape[1]} of {vocabulary} tokens")
    found = [np.asarray(reply.logprob, np.float64) for reply in replies]
    return found[0] if len(found) == 1 else np.concatenate(found)  # one may be most of the memory


def no_full_distribution(why: str, where: str = "lookahead") -> CapabilityError:
    """The error for a model that does not tell every token's probability, as hosted ones often do not."""
    return CapabilityError(
        f"looking ahead needs the whole next-token distribution, and this model does not give it: {why}",
        where=where,
        remedy="use a local model",
    )


def beams(
    tree: Tree,
    nodes: IntArray,
    logprob: FloatArray,
    *,
    widths: Sequence[int],
    depth: int,
    end_tokens: Sequence[int] = (),
) -> Program[dict[int, Beams]]:
    """Beam search of every width in ``widths`` after every node, ``depth`` tokens deep.

    Each step keeps the ``width`` most probable of what the last step's hypotheses can become; ties to the hypothesis that
    stood higher, then to the smaller token. A hypothesis that has ended stays as it is and goes on competing.

    Parameters
    ----------
    nodes : ``[P]`` nodes of ``tree``.
    logprob : ``[P, V]`` the model's distribution there.
    end_tokens : tokens that end a text.

    Returns
    -------
    ``Beams`` by width, for every depth from 1 to ``depth``.

    Guarantees: at full width (no fewer than the continuations of ``depth`` tokens) every continuation, exactly.
    Cost: ``depth - 1`` requests, of at most the sum of ``widths`` nodes a position each.

    Raises
    ------
    ValueError
        When a width or the depth is below one.
    """
    if min(widths, default=0) < 1 or depth < 1:
        raise ValueError(f"widths {tuple(widths)} and depth {depth} must be at least one")
    ends, most = np.asarray(end_tokens, np.int64), min(max(widths), logprob.shape[1])
    chosen = {width: _begin(nodes, logprob, width) for width in widths}
    kept: dict[int, list[_Live]] = {width: [] for width in widths}
    asked: dict[int, list[int]] = {width: [0] for width in widths}
    for step in range(depth):
        tree, live = _append(tree, chosen, logprob.shape[1], ends)
        for width in widths:
            kept[width].append(live[width])
        if step == depth - 1:
            break
        for width in widths:
            asked[width].append(asked[width][-1] + int(live[width].growing.sum()))
        where = np.unique(np.concatenate([one.node[one.growing] for one in live.values()]))
        place = np.zeros(len(tree), np.int64)
        if where.size:
            reply = yield from ask(NextToken(tree=tree, nodes=where, top=most))
            place[where] = np.arange(where.size)
            chosen = {width: _grow(live[width], reply.token, reply.logprob, place, width) for width in widths}
    return {
        width: Beams(
            first=np.stack([one.first for one in kept[width]]),
            logprob=np.stack([one.logprob for one in kept[width]]),
            asked=np.array(asked[width], np.int64),
        )
        for width in widths
    }


def _begin(nodes: IntArray, logprob: FloatArray, width: int) -> _Chosen:
    """The ``width`` most probable first tokens; fewer where the vocabulary is smaller."""
    token = most_probable(logprob, width)
    value = np.take_along_axis(logprob, token, axis=1)
    parent = np.where(np.isfinite(value), nodes[:, None], _NOWHERE)
    pad = ((0, 0), (0, width - token.shape[1]))
    token = np.pad(np.where(parent == _NOWHERE, NO_TOKEN, token), pad, constant_values=NO_TOKEN)
    value = np.pad(value, pad, constant_values=-np.inf)
    return _Chosen(np.pad(parent, pad, constant_values=_NOWHERE), token, token, value, value)


def _grow(live: _Live, token: IntArray, logprob: FloatArray, place: IntArray, width: int) -> _Chosen:
    """The best ``width`` of what hypotheses can become; ``token`` and ``logprob`` ``[M, K]`` at ``place[node]``."""
    rows, columns = live.node.shape[0], min(width, token.shape[1])
    at = place[np.where(live.growing, live.node, 0)]
    step = np.where(live.growing[..., None], logprob[at, :columns], -np.inf)
    after = np.where(live.growing[..., None], token[at, :columns], NO_TOKEN)
    step[..., 0] = np.where(live.ended, 0.0, step[..., 0])
    total = (live.logprob[..., None] + step).reshape(rows, -1)
    best = np.argsort(-total, axis=1, kind="stable")[:, :width]
    parent, value = best // columns, np.take_along_axis(total, best, axis=1)
    there = np.isfinite(value)
    return _Chosen(
        parent=np.where(there, np.take_along_axis(live.node, parent, axis=1), _NOWHERE),
        first=np.where(there, np.take_along_axis(live.first, parent, axis=1), NO_TOKEN),
        token=np.where(there, np.take_along_axis(after.reshape(rows, -1), best, axis=1), NO_TOKEN),
        step=np.take_along_axis(step.reshape(rows, -1), best, axis=1),
        logprob=value,
    )


def _append(tree: Tree, chosen: dict[int, _Chosen], vocabulary: int, ends: IntArray) -> tuple[Tree, dict[int, _Live]]:
    """Grow the tree by what was chosen, once for all widths."""
    new = {width: (one.parent != _NOWHERE) & (one.token != NO_TOKEN) for width, one in chosen.items()}
    key = np.concatenate([one.parent[new[width]] * vocabulary + one.token[new[width]] for width, one in chosen.items()])
    step = np.concatenate([one.step[new[width]] for width, one in chosen.items()])
    different, index, inverse = np.unique(key, return_index=True, return_inverse=True)
    tree, born = tree.append(different // vocabulary, different % vocabulary, step[index])
    live, start = {}, 0
    for width, one in chosen.items():
        node, size = one.parent.copy(), int(new[width].sum())
        node[new[width]] = born[inverse[start : start + size]]
        start += size
        there = one.parent != _NOWHERE
        ended = there & (~new[width] | np.isin(one.token, ends))  # what was carried on had ended before
        live[width] = _Live(node=node, first=one.first, logprob=one.logprob, ended=ended)
    return tree, live
