"""How far ahead a model's own futures are better than chance.

From a position of a real text the model writes futures of its own. At distance j the j-th token of the text is scored
under the mixture over futures of what the model would write next after each; and compared with what each future says
there. Chance is what frequencies alone give; where the two meet is the horizon.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from winnow.lookahead.beams import distributions
from winnow.lookahead.look import anew, chain
from winnow.lookahead.particles import ROWS
from winnow.ports.program import Program, gather
from winnow.ports.requests import Cost, Request, draw
from winnow.values.logspace import FloatArray, IntArray
from winnow.values.random import Key, uniforms


@dataclass(frozen=True, kw_only=True)
class Horizons:
    """For each of ``P`` positions and each distance 1 to H."""

    token: IntArray  # [P, H], what stands in the text
    logprob: FloatArray  # [P, H], log of its mean probability over futures
    drawn: IntArray  # [P, K, H], what each future says there
    row: IntArray  # [P], which row of the request
    cost: Cost


@dataclass(frozen=True, kw_only=True)
class Horizon(Request[Horizons]):
    """Write ``num`` futures of ``length`` tokens at every ``stride``-th scored position with so much text after it."""

    lead: IntArray
    rows: tuple[IntArray, ...]  # N
    begin: IntArray  # [N]
    length: int
    num: int
    stride: int
    vocabulary: int
    key: Key = Key(0)


def horizon(request: Horizon) -> Program[Horizons]:
    """Answer a Horizon. Distance 1 is the model's own next-token distribution; ends are tokens like others here."""
    yield from anew(request.lead, request.rows, request.begin)
    return joined((yield from gather([_row(request, number) for number in range(len(request.rows))])))


def _row(request: Horizon, number: int) -> Program[Horizons]:
    tree, nodes, tokens = chain(request.lead, request.rows[number], int(request.begin[number]))
    chosen = np.arange(0, nodes.size - request.length + 1, request.stride)
    token = tokens[chosen[:, None] + np.arange(request.length)]
    logprob, said = np.zeros(token.shape), np.zeros((chosen.size, request.num, request.length), np.int64)
    node, key = nodes[chosen], request.key.child(number)
    slots = np.arange(chosen.size * request.num)
    for step in range(request.length if chosen.size else 0):
        full = yield from distributions(tree, node, request.vocabulary, rows=ROWS)
        many = full.reshape(chosen.size, -1, request.vocabulary)
        true = np.take_along_axis(many, token[:, None, step : step + 1], axis=2)[..., 0]
        logprob[:, step] = logsumexp(true, axis=1) - np.log(true.shape[1])
        if step == 0:
            node, full = np.repeat(node, request.num), np.repeat(full, request.num, axis=0)
        drawn = draw(full, uniforms(key.child(step), "horizon", slots)[:, 0])
        said[:, :, step] = drawn.reshape(chosen.size, request.num)
        if step < request.length - 1:
            tree, node = tree.append(node, drawn, full[np.arange(node.size), drawn])
    return Horizons(token=token, logprob=logprob, drawn=said, row=np.full(chosen.size, number), cost=Cost())


def joined(found: Sequence[Horizons]) -> Horizons:
    """Several as one."""
    return Horizons(
        token=np.concatenate([one.token for one in found]),
        logprob=np.concatenate([one.logprob for one in found]),
        drawn=np.concatenate([one.drawn for one in found]),
        row=np.concatenate([one.row for one in found]),
        cost=Cost(),
    )


def above_chance(found: Horizons) -> FloatArray:
    """How much oftener futures say what the text says than what another place of the text says: ``[P, H]``.

    Chance is the share of all other positions' futures that say, at the same distance, the token that stands here; so the
    mean is 0 for futures that know frequencies and nothing of this place.
    """
    agreement = (found.drawn == found.token[:, None, :]).mean(axis=1)
    chance = np.zeros_like(agreement)
    num = found.token.shape[0]
    for distance in range(found.token.shape[1]):
        said = found.drawn[:, :, distance]
        size = int(max(said.max(initial=0), found.token.max(initial=0))) + 1
        share = np.bincount(said.ravel(), minlength=size) / said.shape[1]
        chance[:, distance] = (share[found.token[:, distance]] - agreement[:, distance]) / max(1, num - 1)
    return np.asarray(agreement - chance, np.float64)
