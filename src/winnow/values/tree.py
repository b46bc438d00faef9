"""The token tree: the one data structure of search.

A beam, a cloud of particles, a tree search, the branches of a lookahead are the same flat arrays: ``parent[N]``,
``token[N]``, ``logprob[N]``. Roots have no parent and carry a prompt. A tree only grows; growing gives a new tree that
shares what the old one holds, so a program may keep any earlier tree and grow it another way (a fork copies once).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from winnow.values.logspace import FloatArray, IntArray

NO_PARENT = -1
NO_TOKEN = -1


class _Columns:
    """Growable columns that several trees share; only the tree that ends where they end may grow them in place."""

    def __init__(self, capacity: int) -> None:
        self.size = 0
        self.parent = np.empty(capacity, np.int64)
        self.token = np.empty(capacity, np.int64)
        self.logprob = np.empty(capacity, np.float64)

    def copy(self, size: int, capacity: int) -> _Columns:
        other = _Columns(capacity)
        other.parent[:size], other.token[:size] = self.parent[:size], self.token[:size]
        other.logprob[:size], other.size = self.logprob[:size], size
        return other


class Tree:
    """An append-only forest of tokens. Nodes ``0 .. num_roots-1`` are the roots, in the order of their prompts.

    Invariant: a parent comes before its children, so one pass in order of index visits parents first.
    """

    def __init__(self, prompts: Iterable[Sequence[int]]) -> None:
        self.prompts: tuple[tuple[int, ...], ...] = tuple(tuple(int(token) for token in prompt) for prompt in prompts)
        num = len(self.prompts)
        self._columns, self._size = _Columns(max(16, 2 * num)), num
        self._columns.parent[:num], self._columns.token[:num] = NO_PARENT, NO_TOKEN
        self._columns.logprob[:num], self._columns.size = 0.0, num

    def __len__(self) -> int:
        return self._size

    def _view(self, column: np.ndarray) -> np.ndarray:
        view = column[: self._size]
        view.flags.writeable = False
        return view

    @property
    def parent(self) -> IntArray:
        """``[N]`` index of each node's parent, NO_PARENT at roots."""
        return self._view(self._columns.parent)

    @property
    def token(self) -> IntArray:
        """``[N]`` token of each node, NO_TOKEN at roots."""
        return self._view(self._columns.token)

    @property
    def logprob(self) -> FloatArray:
        """``[N]`` natural log-probability of each node's token after its parent; 0 at roots."""
        return self._view(self._columns.logprob)

    def append(self, parents: ArrayLike, tokens: ArrayLike, logprobs: ArrayLike) -> tuple[Tree, IntArray]:
        """Grow by ``M`` nodes; returns the larger tree and the new nodes' indices ``[M]``. This tree stays as it is.

        Raises
        ------
        ValueError
            When the three differ in length, or a parent is not in this tree.
        """
        parents = np.atleast_1d(np.asarray(parents, np.int64))
        tokens = np.atleast_1d(np.asarray(tokens, np.int64))
        logprobs = np.atleast_1d(np.asarray(logprobs, np.float64))
        if not parents.shape == tokens.shape == logprobs.shape or parents.ndim != 1:
            raise ValueError(
                f"parents {parents.shape}, tokens {tokens.shape}, logprobs {logprobs.shape} must be [M] alike"
            )
        if parents.size and (parents.min() < 0 or parents.max() >= self._size):
            raise ValueError("a parent must be a node of this tree")
        start, end = self._size, self._size + parents.size
        columns = self._columns
        if columns.size != start or end > columns.parent.size:  # somebody else grew it, or it is full
            columns = columns.copy(start, max(2 * end, 16))
        columns.parent[start:end], columns.token[start:end] = parents, tokens
        columns.logprob[start:end], columns.size = logprobs, end
        grown = Tree.__new__(Tree)
        grown.prompts, grown._columns, grown._size = self.prompts, columns, end
        return grown, np.arange(start, end)

    def path(self, node: int) -> list[int]:
        """Nodes from just below the root down to ``node``; empty at a root."""
        nodes: list[int] = []
        parent = self.parent
        while parent[node] != NO_PARENT:
            nodes.append(int(node))
            node = int(parent[node])
        return nodes[::-1]

    def root(self, node: int) -> int:
        """The root above ``node``."""
        path = self.path(node)
        return int(self.parent[path[0]]) if path else int(node)

    def tokens(self, node: int) -> list[int]:
        """Tokens from just below the root to ``node``: what was written."""
        return [int(token) for token in self.token[self.path(node)]]

    def sequence(self, node: int) -> list[int]:
        """The root's prompt and everything written after it: the whole prefix that ``node`` stands for."""
        return [*self.prompts[self.root(node)], *self.tokens(node)]

    def path_logprob(self, nodes: ArrayLike) -> FloatArray:
        """``[M]`` summed log-probability from the root to each node."""
        return np.array([float(self.logprob[self.path(int(node))].sum()) for node in np.atleast_1d(nodes)])
