"""Beam search: the most probable continuations, pruned to a width at each step.

Exact only at full width (when width reaches the number of continuations that can lead to the best); otherwise a greedy
approximation that can lose the best one early and never get it back.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import logsumexp

from winnow.ports.program import Note, Program, ask
from winnow.ports.requests import NextToken
from winnow.search.found import Found
from winnow.values.logspace import FloatArray, IntArray
from winnow.values.population import Population, effective_number
from winnow.values.tree import Tree


def beam(tree: Tree, node: int, *, width: int, depth: int, end_tokens: Sequence[int] = ()) -> Program[Found]:
    """The ``width`` best continuations of ``node`` with at most ``depth`` tokens, by summed log-probability.

    Each step keeps the best ``width * (1 + number of end tokens)`` candidates, so that enough remain where all that can end
    do; only those among the first ``width`` may finish, and the first ``width`` of the others live on. The search ends at
    ``depth``, or when nothing alive can overtake the ``width`` best finished ones, as log-probabilities only fall; what is
    alive at ``depth`` competes with what is finished.

    Parameters
    ----------
    end_tokens : tokens that end a text (``model.codec.end_tokens``); none of them: every continuation has ``depth`` tokens.

    Returns
    -------
    Found, the best first; ties to the hypothesis that stood higher, then to the smaller token. Fewer than ``width`` where
    there are fewer continuations of probability above zero.

    Guarantees: exact (the true ``width`` best) when ``width`` is at least the number of prefixes of each length. Cost: one
    request a step, of at most ``width`` nodes.

    Raises
    ------
    ValueError
        When width or depth is below one.
    """
    if width < 1 or depth < 1:
        raise ValueError(f"width {width} and depth {depth} must be at least 1")
    ends = np.asarray(end_tokens, np.int64)
    keep = width * (1 + ends.size)
    live, score = np.array([node]), np.zeros(1)
    done, done_score = np.empty(0, np.int64), np.empty(0, np.float64)
    for step in range(depth):
        reply = yield from ask(NextToken(tree=tree, nodes=live, top=keep))
        total = (score[:, None] + reply.logprob).ravel()
        best = np.argsort(-total, kind="stable")[:keep]
        best = best[np.isfinite(total[best])]
        ending = np.isin(reply.token.ravel()[best], ends)
        among_first = np.arange(best.size) < width
        best = np.concatenate([best[ending & among_first], best[~ending][:width]])
        num_ending = int((ending & among_first).sum())
        parents = live[best // reply.token.shape[1]]
        tree, born = tree.append(parents, reply.token.ravel()[best], reply.logprob.ravel()[best])
        done, done_score = _top(
            np.concatenate([done, born[:num_ending]]), np.concatenate([done_score, total[best[:num_ending]]]), width
        )
        live, score = born[num_ending:], total[best[num_ending:]]
        yield _note(step, np.concatenate([done, live]), np.concatenate([done_score, score]))
        if live.size == 0 or (done.size == width and score[0] <= done_score[-1]):
            break
    nodes, logprob = _top(np.concatenate([done, live]), np.concatenate([done_score, score]), width)
    return Found(
        tree=tree,
        nodes=nodes,
        logprob=logprob,
        finished=np.isin(nodes, done),
        population=Population(individuals=tuple(nodes.tolist()), log_weight=logprob),
    )


def _top(nodes: IntArray, score: FloatArray, width: int) -> tuple[IntArray, FloatArray]:
    order = np.argsort(-score, kind="stable")[:width]
    return nodes[order], score[order]


def _note(step: int, nodes: IntArray, score: FloatArray) -> Note:
    share = np.exp(score - logsumexp(score)) if score.size else score
    return Note(
        kind="beam",
        info={
            "step": step,
            "best": float(score.max(initial=-np.inf)),
            "mass": float(np.exp(score).sum()),
            "effective_number": effective_number(share),
        },
        population=Population(individuals=tuple(nodes.tolist()), log_weight=score),
    )
