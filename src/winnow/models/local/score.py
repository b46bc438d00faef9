"""Scoring given continuations: what prompts share is encoded once, a row's continuations ride behind it as one token trie.

Rows go side by side; what several begin with, and what several continuations of a row begin with, is fed once. The last
token of a continuation is only read, never fed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from winnow.models.local.branches import Branches
from winnow.models.local.network import Network
from winnow.models.local.session import distinct, feed_trie
from winnow.models.local.stem import Stem, new_stem
from winnow.models.local.trie import Trie, shared_length
from winnow.values.logspace import FloatArray

TOGETHER = 1024  # tokens a pass: there are many, and their states are not kept
GROWING = 4096  # tokens of rows that grow together

Continuation = list[int] | None  # None: cannot be written in this model's tokens


def score_cached(
    network: Network,
    prompts: Sequence[list[int]],
    continuations: Sequence[Sequence[Continuation]],
    stem: Callable[[Sequence[int]], Stem] | None = None,
    together: int = 64,
) -> tuple[list[FloatArray], int]:
    """Log-probabilities of the continuations of each row, and the number of tokens the rows hold, equal ones once.

    What all prompts begin with is a stem. Behind it up to ``together`` rows go through side by side, no more tokens than
    ``GROWING``.
    """
    shared = shared_length(tuple(tuple(row) for row in prompts))
    begin = prompts[0][:shared]
    prefix = stem(begin) if stem is not None else new_stem(network, begin)
    result: list[FloatArray] = []
    sizes = [len(head) - shared + num_inner(many) for head, many in zip(prompts, continuations, strict=True)]
    start = 0
    while start < len(prompts):
        end = start + 1
        while end < len(prompts) and end - start < together and sum(sizes[start : end + 1]) <= GROWING:
            end += 1
        result += _score_rows(network, prefix, prompts[start:end], continuations[start:end])
        start = end
    whole = sum(map(len, distinct(prompts)[0]))
    return result, whole + sum(num_inner(many) for many in continuations)


def num_inner(continuations: Sequence[Continuation]) -> int:
    """Nodes of the trie of a row's continuations: their distinct proper beginnings."""
    return len({tuple(one[:end]) for one in continuations if one for end in range(1, len(one))})


def _score_rows(
    network: Network, stem: Stem, prompts: Sequence[list[int]], continuations: Sequence[Sequence[Continuation]]
) -> list[FloatArray]:
    """Rows side by side: each prompt and all its continuations are one trie; the head runs where a probability is read."""
    heads, which = distinct(prompts)
    tails: list[list[list[int]]] = [[] for _ in heads]
    owner: list[tuple[int, int, int, int]] = []  # head, tail of it, row of the request, continuation of the row
    for index, (head, many) in enumerate(zip(which, continuations, strict=True)):
        for number, tail in enumerate(many):
            if tail:
                owner.append((head, len(tails[head]), index, number))
                tails[head].append(tail[:-1])
    trie = Trie.of(heads, stem.length, tails)
    rows, row, follows, whose = dict[int, int](), list[int](), list[int](), list[tuple[int, int]]()
    reader: list[int] = []  # of each row that is read, a head it belongs to
    for head, tail_number, index, number in owner:
        for place in (trie.end(head), *trie.paths[head][1 + tail_number]):
            row.append(rows.setdefault(place, len(rows)))
            reader += [head] * (len(rows) - len(reader))
        follows += continuations[index][number] or []
        whose += [(index, number)] * (len(row) - len(whose))
    if not row:
        return _collect(continuations, [], np.empty(0))
    branches = Branches.new(network, stem, trie.size, TOGETHER)
    hidden = feed_trie(branches, trie, list(rows))
    branches.release()
    values, at, token = np.empty(len(row)), np.array(row), np.array(follows)
    for start in range(0, len(rows), network.read_together):
        logprob = network.readout(hidden[start : start + network.read_together])
        network.check(logprob, lambda place, start=start: heads[reader[start + place]])  # type: ignore[misc]
        mine = np.flatnonzero((at >= start) & (at < start + logprob.shape[0]))
        picked = logprob[network.tensor(at[mine] - start), network.tensor(token[mine])]
        values[mine] = picked.double().cpu().numpy()
    return _collect(continuations, whose, values)


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
