"""Rows that are being continued: prompts encoded once, then token after token.

Two ways with one shape. ``CachedSession`` keeps keys and values: what all prompts begin with is a stem, the rest of each
distinct prompt and everything written grows behind it. ``PlainSession`` encodes the whole row again at every step; it is
right for every causal model and is used where the first cannot be.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch

from winnow.models.local.branches import Branches
from winnow.models.local.network import Network
from winnow.models.local.stem import Stem, new_stem
from winnow.models.local.trie import STEM_END, Trie, shared_length
from winnow.values.logspace import IntArray


class SlowPathWarning(UserWarning):
    """A model is answered without a cache: right, and slower."""


class Session(Protocol):
    """Rows being continued; ``first`` holds the log-probabilities ``[N, V]`` after the prompts."""

    first: torch.Tensor
    fed: int

    def step(self, tokens: torch.Tensor) -> torch.Tensor:
        """Append one token a row ``[N]``; log-probabilities after it ``[N, V]``."""
        ...

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these rows only, in this order."""
        ...

    def close(self) -> None:
        """Leave what was laid out to whoever comes next."""
        ...


def distinct(rows: Sequence[Sequence[int]]) -> tuple[list[Sequence[int]], list[int]]:
    """Different rows in order of first appearance, and for each row which of them it is."""
    seen: dict[tuple[int, ...], int] = {}
    which = [seen.setdefault(tuple(row), len(seen)) for row in rows]
    return [list(row) for row in seen], which


def feed_trie(branches: Branches, trie: Trie, read: Sequence[int]) -> torch.Tensor:
    """Feed a trie to empty branches: hidden states ``[m, d]`` at different places ``read``; STEM_END is the stem's end."""
    place, first, found = np.asarray(read, np.int64), 0, list[tuple[IntArray, torch.Tensor]]()
    for nodes, groups in ((trie.shared, None), (trie.own, trie.own.groups)):
        mine = np.flatnonzero((place >= first) & (place < first + len(nodes.tokens)))
        if nodes.tokens:
            found.append((mine, branches.feed(nodes.tokens, nodes.parents, groups, place[mine] - first)))
        first += len(nodes.tokens)
    if branches.stem.hidden is not None:
        ends = np.flatnonzero(place == STEM_END)
        found.append((ends, branches.stem.hidden.expand(ends.size, -1)))
    order = np.argsort(np.concatenate([where for where, _ in found]))
    return torch.cat([hidden for _, hidden in found])[branches.network.tensor(order)]


class CachedSession:
    """Rows behind a common stem; equal prompts are encoded once.

    Parameters
    ----------
    rows : token lists, none empty.
    room : tokens to be appended at most.
    stem : how the stem of a prefix is had; by default it is computed.
    """

    def __init__(
        self,
        network: Network,
        rows: Sequence[Sequence[int]],
        room: int,
        stem: Callable[[Sequence[int]], Stem] | None = None,
    ) -> None:
        self.network = network
        prompts, which = distinct(rows)
        shared = shared_length(tuple(tuple(row) for row in prompts))
        begin = prompts[0][:shared]
        prefix = stem(begin) if stem is not None else new_stem(network, begin)
        trie = Trie.of(prompts, shared)
        self.branches = Branches.new(network, prefix, trie.size + len(rows) * room)
        ends = [trie.end(row) for row in range(len(prompts))]
        self.ends = np.array(ends, np.int64)[which]
        self.rows = [prompts[row] for row in which]
        first = network.readout(feed_trie(self.branches, trie, ends))
        network.check(first, prompts.__getitem__)
        self.first = first if which == list(range(len(prompts))) else first[network.tensor(which)]
        self.fed = sum(map(len, prompts))

    def step(self, tokens: torch.Tensor) -> torch.Tensor:
        first = self.branches.num
        logprob = self.network.readout(self.branches.feed(tokens.cpu().numpy(), self.ends))
        self.ends = first + np.arange(tokens.numel())
        self.network.check(logprob, self.rows.__getitem__)
        return logprob

    def keep(self, rows: Sequence[int]) -> None:
        index = np.asarray(rows, np.int64)
        self.rows = [self.rows[row] for row in rows]
        if (self.ends[index] < 0).any():  # a row that ends with the stem has no branch yet
            self.ends = self.ends[index]
            return
        self.branches = self.branches.keep(self.ends[index])
        self.ends = np.arange(index.size)

    def close(self) -> None:
        self.branches.release()


class PlainSession:
    """Whole rows encoded again at every step, without a cache."""

    def __init__(self, network: Network, rows: Sequence[Sequence[int]], room: int) -> None:
        self.network = network
        self.rows = [list(row) for row in rows]
        self.fed = 0
        self.first = self._read()

    def _read(self) -> torch.Tensor:
        self.fed += sum(map(len, self.rows))
        return self.network.causal(self.rows, [[len(row) - 1] for row in self.rows])

    def step(self, tokens: torch.Tensor) -> torch.Tensor:
        for row, token in zip(self.rows, tokens.tolist(), strict=True):
            row.append(token)
        return self._read()

    def keep(self, rows: Sequence[int]) -> None:
        self.rows = [self.rows[row] for row in rows]

    def close(self) -> None:
        self.rows = []
