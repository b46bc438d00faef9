"""Scoring given continuations: a row's prompt is encoded once, all its continuations ride behind it as one token trie.

A node of the trie is a proper beginning of a continuation; each sees its prompt, its ancestors and itself. The last token
of a continuation is only read, never fed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from winnow.models.local.network import Network
from winnow.models.local.session import Branch, CachedSession
from winnow.values.logspace import FloatArray, IntArray

Continuation = list[int] | None  # None: cannot be written in this model's tokens


class Trie(NamedTuple):
    """Continuations of one row as a token tree; place 0 is the prompt's end, place ``j + 1`` is node ``j``."""

    token: list[int]
    parent: list[int]  # place of each node's parent
    depth: list[int]
    read: list[list[tuple[int, int]]]  # per continuation: (place, token that follows it)

    @classmethod
    def of(cls, continuations: Sequence[Continuation]) -> Trie:
        """The trie of all proper beginnings."""
        places: dict[tuple[int, int], int] = {}
        trie = cls([], [], [], [])
        for tokens in continuations:
            place, steps = 0, []
            for depth, token in enumerate(tokens or []):
                steps.append((place, token))
                if depth == len(tokens or []) - 1:
                    break
                key = (place, token)
                if key not in places:
                    trie.token.append(token)
                    trie.parent.append(place)
                    trie.depth.append(depth)
                    places[key] = len(trie.token)
                place = places[key]
            trie.read.append(steps)
        return trie

    def sees(self) -> NDArray[np.bool_]:
        """``[T, T]`` bool: itself and its ancestors."""
        visible = np.eye(len(self.token), dtype=bool)
        for node, parent in enumerate(self.parent):
            if parent:
                visible[node] |= visible[parent - 1]
        return visible


def score_cached(
    network: Network, prompts: Sequence[list[int]], continuations: Sequence[Sequence[Continuation]]
) -> tuple[list[FloatArray], int]:
    """Log-probabilities of the continuations of each row, and the number of tokens fed."""
    tries = [Trie.of(many) for many in continuations]
    width = max(len(trie.token) for trie in tries)
    session = CachedSession(network, prompts, width)
    logprob, begins = session.first, np.zeros(len(prompts), np.int64)
    if width:
        branch, read, begins = _lay_out(network, tries, session.first.shape[0], width)
        logprob = torch.cat([session.first, session.branch(branch, network.tensor(read))])
        begins += session.first.shape[0]
    row, token, owner = [], [], []
    for index, trie in enumerate(tries):
        for number, steps in enumerate(trie.read):
            for place, follows in steps:
                row.append(index if place == 0 else int(begins[index]) + place - 1)
                token.append(follows)
                owner.append((index, number))
    values = logprob[network.tensor(row), network.tensor(token)].double().cpu().numpy() if row else np.empty(0)
    fed = session.fed + sum(len(trie.token) for trie in tries)
    return _collect(continuations, owner, values), fed


def _lay_out(network: Network, tries: Sequence[Trie], rows: int, width: int) -> tuple[Branch, IntArray, IntArray]:
    """Pad tries to ``[rows, width]``; also the flat places to read, and where each row's nodes begin among them."""
    token, depth = np.zeros((rows, width), np.int64), np.zeros((rows, width), np.int64)
    sees = np.broadcast_to(np.eye(width, dtype=np.bool_), (rows, width, width)).copy()
    read, counts = [np.empty(0, np.int64)], []
    for row, trie in enumerate(tries):
        num = len(trie.token)
        token[row, :num], depth[row, :num] = trie.token, trie.depth
        sees[row, :num, :num] = trie.sees()
        read.append(row * width + np.arange(num))
        counts.append(num)
    branch = Branch(network.tensor(token), network.tensor(depth), network.tensor(sees, torch.bool))
    return branch, np.concatenate(read), np.cumsum([0, *counts])[:-1]


def score_plain(
    network: Network, prompts: Sequence[list[int]], continuations: Sequence[Sequence[Continuation]]
) -> tuple[list[FloatArray], int]:
    """The same by encoding prompt and continuation anew for each: right for every causal model, and slower."""
    rows: list[list[int]] = []
    read: list[list[int]] = []
    follow: list[int] = []
    owner: list[tuple[int, int]] = []
    for index, (prompt, many) in enumerate(zip(prompts, continuations, strict=True)):
        for number, tokens in enumerate(many):
            if tokens:
                rows.append([*prompt, *tokens[:-1]])
                read.append(list(range(len(prompt) - 1, len(prompt) + len(tokens) - 1)))
                follow += tokens
                owner += [(index, number)] * len(tokens)
    if not rows:
        return _collect(continuations, [], np.empty(0)), 0
    logprob = network.causal(rows, read)
    values = logprob.gather(1, network.tensor(follow)[:, None])[:, 0].double().cpu().numpy()
    return _collect(continuations, owner, values), sum(len(row) for row in rows)


def _collect(
    continuations: Sequence[Sequence[Continuation]], owner: Sequence[tuple[int, int]], values: FloatArray
) -> list[FloatArray]:
    result = [np.array([0.0 if c is not None else -np.inf for c in many], np.float64) for many in continuations]
    for (index, number), value in zip(owner, values, strict=True):
        result[index][number] += value
    return result
