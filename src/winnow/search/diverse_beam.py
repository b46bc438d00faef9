"""Diverse beam search: groups of beams that step aside for one another (Vijayakumar et al. 2016).

At each step the groups choose in turn, and a token that earlier groups have just chosen costs ``diversity`` nats each time.
The penalty steers the choice of that step only; every log-probability that is kept is the model's own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from winnow.ports.program import Program, ask
from winnow.ports.requests import NextToken, NextTokens
from winnow.search.beam import choose
from winnow.search.found import Found
from winnow.search.hypotheses import Hypotheses, check_beam, closed, found, told
from winnow.values.logspace import FloatArray, IntArray
from winnow.values.tree import Tree


def diverse_beam(
    tree: Tree,
    node: int,
    *,
    width: int,
    groups: int,
    diversity: float,
    depth: int,
    end_tokens: Sequence[int] = (),
    length_exponent: float = 0.0,
    ending: str = "proven",
) -> Program[Found]:
    """Continuations of ``node`` from ``groups`` beams of ``width / groups`` each.

    Parameters
    ----------
    diversity : nats that a token costs for each time an earlier group chose it at this step; 0 gives the groups equal
        beams.
    end_tokens, length_exponent, ending : as in ``winnow.search.beam``, for each group.

    Returns
    -------
    Found, the best of all groups first; a text that several groups wrote stands once.

    Guarantees: the first group is the plain beam of its width. Cost: one request a step, of at most ``width`` nodes.

    Raises
    ------
    ValueError
        When ``groups`` does not divide ``width``, ``diversity`` is negative, or as ``beam``.
    """
    check_beam(width, depth, ending)
    if groups < 1 or width % groups or not diversity >= 0:
        raise ValueError(f"groups {groups} must divide width {width}, and diversity {diversity} must be from 0 up")
    each, ends = width // groups, np.asarray(end_tokens, np.int64)
    live = [Hypotheses.of(np.array([node]), np.zeros(1), 0) for _ in range(groups)]
    done = [Hypotheses.none() for _ in range(groups)]
    open_ = list(range(groups))
    for step in range(depth):
        # a penalty can push aside no more tokens than the other groups choose
        top = each * (1 + ends.size) + width * (1 + ends.size)
        nodes = np.concatenate([live[group].nodes for group in open_])
        reply = yield from ask(NextToken(tree=tree, nodes=nodes, top=top))
        start, taken = 0, Counter[int]()
        for group in tuple(open_):
            size = live[group].nodes.size
            part = NextTokens(
                token=reply.token[start : start + size], logprob=reply.logprob[start : start + size], cost=reply.cost
            )
            start += size
            chosen = choose(live[group].logprob, part, each, ends, _penalty(part.token, taken, diversity))
            tree, born = _grow(tree, live[group].nodes[chosen.parent], chosen.token, chosen.step)
            taken.update(chosen.token.tolist())
            grown = Hypotheses.of(born, chosen.logprob, step + 1)
            done[group] = done[group].plus(grown.take(chosen.ending)).best(each, length_exponent)
            live[group] = grown.take(~chosen.ending)
            live[group] = live[group].best(each, 0.0)
            last = step == depth - 1
            if not last and closed(
                done[group], live[group], width=each, depth=depth, exponent=length_exponent, ending=ending
            ):
                open_.remove(group)
                live[group] = Hypotheses.none()
        so_far = _joined(tree, done, live, width, length_exponent)
        yield told("diverse_beam", step, so_far)
        if not open_:
            break
    return so_far


def _penalty(token: IntArray, taken: Counter[int], diversity: float) -> FloatArray:
    return diversity * np.array([[taken[int(one)] for one in row] for row in token], np.float64).reshape(token.shape)


def _grow(tree: Tree, parents: IntArray, tokens: IntArray, step: FloatArray) -> tuple[Tree, IntArray]:
    """Append children, using the node that is there where another group wrote the same."""
    known = {
        (int(tree.parent[child]), int(tree.token[child])): int(child)
        for child in np.flatnonzero(np.isin(tree.parent, parents))
    }
    names = [(int(p), int(t)) for p, t in zip(parents, tokens, strict=True)]
    new = [place for place, name in enumerate(names) if name not in known]
    tree, born = tree.append(parents[new], tokens[new], step[new])
    known |= {names[place]: int(child) for place, child in zip(new, born, strict=True)}
    return tree, np.array([known[name] for name in names], np.int64)


def _joined(tree: Tree, done: list[Hypotheses], live: list[Hypotheses], width: int, exponent: float) -> Found:
    """Each group's best, each text once."""
    ended, everyone = Hypotheses.none(), Hypotheses.none()
    for group_done, group_live in zip(done, live, strict=True):
        ended = ended.plus(group_done)
        everyone = everyone.plus(group_done.plus(group_live).best(width // len(done), exponent))
    _, first = np.unique(everyone.nodes, return_index=True)
    return found(tree, everyone.take(np.sort(first)).best(width, exponent), ended, exponent)
