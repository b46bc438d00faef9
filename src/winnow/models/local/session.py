"""Rows that are being continued: prompts encoded once, then token after token.

Two ways with one shape. ``CachedSession`` keeps keys and values: prompts of different lengths share columns, padding
columns are masked and every row counts its own positions. ``PlainSession`` encodes the whole row again at every step;
it is right for every causal model and is used where the first cannot be.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch

from winnow.models.local.cache import new_cache, select_rows
from winnow.models.local.network import MIN_ROWS, Network


class SlowPathWarning(UserWarning):
    """A model is answered without a cache: right, and slower."""


class Branch(NamedTuple):
    """Token trees to append, one a row, padded to ``T`` nodes."""

    tokens: torch.Tensor  # [B, T]
    depth: torch.Tensor  # [B, T], 0 at the first token after the prompt
    sees: torch.Tensor  # [B, T, T] bool: which nodes of its row a node may look at: itself and its ancestors


class Session(Protocol):
    """Rows being continued; ``first`` holds the log-probabilities ``[B, V]`` after the prompts.

    ``B`` may exceed the rows asked for: the rest is padding that repeats row 0.
    """

    first: torch.Tensor
    fed: int

    def step(self, tokens: torch.Tensor) -> torch.Tensor:
        """Append one token a row ``[B]``; log-probabilities after it ``[B, V]``."""
        ...

    def keep(self, rows: Sequence[int]) -> list[int]:
        """Go on with these rows only; returns the places that stay, padding included, in their new order."""
        ...


def distinct(rows: Sequence[Sequence[int]]) -> tuple[list[Sequence[int]], list[int]]:
    """Different rows in order of first appearance, and for each row which of them it is."""
    seen: dict[tuple[int, ...], int] = {}
    which = [seen.setdefault(tuple(row), len(seen)) for row in rows]
    return [list(row) for row in seen], which


def pad_rows(which: Sequence[int]) -> list[int]:
    """Rows repeated up to the least number that products are taken with."""
    return [*which, *([which[0]] * (MIN_ROWS - len(which)))]


class CachedSession:
    """Prompts' keys and values in preallocated buffers; equal prompts are encoded once.

    Parameters
    ----------
    rows : token lists, none empty.
    room : columns to be appended at most.
    """

    def __init__(self, network: Network, rows: Sequence[Sequence[int]], room: int) -> None:
        self.network = network
        prompts, which = distinct(rows)
        which = pad_rows(which)
        same = which == list(range(len(prompts)))
        width = max(max(map(len, prompts)), MIN_ROWS)  # `causal` widens a batch of too few tokens
        cache = new_cache(network.num_layers, width + (room if same else 0))
        first = network.causal(prompts, [[len(row) - 1] for row in prompts], cache)
        width = cache.get_seq_length()
        index = network.tensor(which)
        self.first = first if same else first[index]
        self.cache = cache if same else select_rows(cache, index, width + room)
        self.rows = [list(prompts[row]) for row in which]
        self.length = network.tensor([len(row) for row in self.rows])  # [B], the next position of each row
        self.hidden = torch.zeros((len(which), width + room), dtype=network.dtype, device=network.device)
        column = torch.arange(width, device=network.device)
        self.hidden[:, :width].masked_fill_(column >= self.length[:, None], network.lowest)
        self.fed = sum(map(len, prompts))

    def step(self, tokens: torch.Tensor) -> torch.Tensor:
        rows = tokens.numel()
        mask = self.hidden[:, None, None, : self.cache.get_seq_length() + 1]
        read = torch.arange(rows, device=self.network.device)
        logprob = self.network.forward(tokens[:, None], self.length[:, None], mask, read, self.cache)
        self.network.check(logprob, self.rows.__getitem__)
        self.length += 1
        return logprob

    def branch(self, tree: Branch, read: torch.Tensor) -> torch.Tensor:
        """Append a token tree to each row: ``[M, V]`` after the nodes at flat places ``read`` of ``[B * T]``."""
        columns = self.cache.get_seq_length()
        rows, nodes = tree.tokens.shape
        before = self.hidden[:, None, None, :columns].expand(rows, 1, nodes, columns)
        inner = torch.zeros_like(tree.sees, dtype=self.network.dtype).masked_fill_(~tree.sees, self.network.lowest)
        mask = torch.cat([before, inner[:, None]], dim=-1)
        logprob = self.network.forward(tree.tokens, self.length[:, None] + tree.depth, mask, read, self.cache)
        self.network.check(logprob, lambda place: self.rows[int(read[place]) // nodes])
        return logprob

    def keep(self, rows: Sequence[int]) -> list[int]:
        which = pad_rows(rows)
        index = self.network.tensor(which)
        self.cache = select_rows(self.cache, index, self.hidden.shape[1])
        self.hidden, self.length = self.hidden[index], self.length[index]
        self.rows = [self.rows[row] for row in which]
        return which


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

    def keep(self, rows: Sequence[int]) -> list[int]:
        self.rows = [self.rows[row] for row in rows]
        return list(rows)
