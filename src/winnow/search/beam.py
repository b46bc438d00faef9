"""Beam search: the most probable continuations, pruned to a width at each step.

Exact only at full width (when width reaches the number of continuations that can lead to the best); otherwise a greedy
approximation that can lose the best one early and never get it back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from winnow.ports.program import Program, ask
from winnow.ports.requests import NextToken, NextTokens
from winnow.search.found import Found
from winnow.search.hypotheses import Hypotheses, check_beam, closed, found, told
from winnow.values.logspace import FloatArray, IntArray
from winnow.values.tree import Tree


def beam(
    tree: Tree,
    node: int,
    *,
    width: int,
    depth: int,
    end_tokens: Sequence[int] = (),
    length_exponent: float = 0.0,
    ending: str = "proven",
) -> Program[Found]:
    """The ``width`` best continuations of ``node`` with at most ``depth`` tokens.

    The best have the highest  log p(x) / |x| ** length_exponent. Each step keeps the most probable
    ``width * (1 + number of end tokens)`` candidates, so that enough remain where all that can end do; only those among the
    first ``width`` may finish, and the first ``width`` of the others live on. What is alive at ``depth`` competes with what
    is finished.

    Parameters
    ----------
    end_tokens : tokens that end a text (``model.codec.end_tokens``); none of them: every continuation has ``depth`` tokens.
    length_exponent : 0 ranks by the sum of log-probabilities, 1 by their mean over tokens, others in between and beyond.
    ending : "proven", "first" or "estimated"; see ``winnow.search.hypotheses.ENDINGS``.

    Returns
    -------
    Found, the best first; ties to the hypothesis that stood higher, then to the smaller token. Fewer than ``width`` where
    there are fewer continuations of probability above zero.

    Guarantees: with ``ending`` "proven", exact (the true ``width`` best) when ``width`` is at least the number of
    prefixes of each length. Equal to transformers' beam search with ``early_stopping`` "never", True and False for the
    three endings and ``length_penalty=length_exponent``. Cost: one request a step, of at most ``width`` nodes.

    Raises
    ------
    ValueError
        When width or depth is below one, or there is no such ending.
    """
    check_beam(width, depth, ending)
    ends = np.asarray(end_tokens, np.int64)
    live, done = Hypotheses.of(np.array([node]), np.zeros(1), 0), Hypotheses.none()
    for step in range(depth):
        reply = yield from ask(NextToken(tree=tree, nodes=live.nodes, top=width * (1 + ends.size)))
        chosen = choose(live.logprob, reply, width, ends)
        tree, born = tree.append(live.nodes[chosen.parent], chosen.token, chosen.step)
        grown = Hypotheses.of(born, chosen.logprob, step + 1)
        done = done.plus(grown.take(chosen.ending)).best(width, length_exponent)
        live = grown.take(~chosen.ending)
        so_far = found(tree, done.plus(live).best(width, length_exponent), done, length_exponent)
        yield told("beam", step, so_far)
        last = step == depth - 1  # what is alive there competes, even with a full set of ended ones
        if not last and closed(done, live, width=width, depth=depth, exponent=length_exponent, ending=ending):
            return found(tree, done, done, length_exponent)
    return so_far


class Chosen(NamedTuple):
    """Candidates that are kept, each ``[M]``: those that end first, then those that live on."""

    parent: IntArray  # position among the live
    token: IntArray
    step: FloatArray  # log-probability of the token
    logprob: FloatArray  # of the whole
    ending: np.ndarray


def choose(
    logprob: FloatArray, reply: NextTokens, width: int, ends: IntArray, penalty: FloatArray | None = None
) -> Chosen:
    """The candidates that finish or live on, by summed log-probability less ``penalty`` ``[N, K]``."""
    total = logprob[:, None] + reply.logprob
    order = total if penalty is None else total - penalty
    best = np.argsort(-order.ravel(), kind="stable")[: width * (1 + ends.size)]
    best = best[np.isfinite(total.ravel()[best])]
    ending = np.isin(reply.token.ravel()[best], ends)
    among_first = np.arange(best.size) < width
    best = np.concatenate([best[ending & among_first], best[~ending][:width]])
    return Chosen(
        parent=best // reply.token.shape[1],
        token=reply.token.ravel()[best],
        step=reply.logprob.ravel()[best],
        logprob=total.ravel()[best],
        ending=np.arange(best.size) < int((ending & among_first).sum()),
    )
