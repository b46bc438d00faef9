"""Who descends from whom: edges ``(child, parent, share)``.

The shares of a child sum to one: one parent in a token tree, two in a recombination, k in a context of k examples. An
individual written from nothing has no edges. Individuals are numbered in order of birth, so a parent's number is
smaller than its child's and one pass in order visits parents first.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from winnow.values.logspace import FloatArray, IntArray


def _none_int() -> IntArray:
    return np.empty(0, np.int64)


@dataclass(frozen=True, kw_only=True)
class Lineage:
    """A table of edges.

    Raises
    ------
    ValueError
        When columns differ in length, a parent is not older than its child, a share is not in (0, 1], or the shares of a
        child do not sum to one (within 1e-9).
    """

    child: IntArray = field(default_factory=_none_int)  # [E]
    parent: IntArray = field(default_factory=_none_int)  # [E]
    share: FloatArray = field(default_factory=lambda: np.empty(0, np.float64))  # [E], linear

    def __post_init__(self) -> None:
        if not self.child.shape == self.parent.shape == self.share.shape or self.child.ndim != 1:
            raise ValueError("child, parent and share must be [E] alike")
        if np.any(self.parent < 0) or np.any(self.parent >= self.child):
            raise ValueError("a parent must have a smaller number than its child")
        if np.any(self.share <= 0) or np.any(self.share > 1 + 1e-9):
            raise ValueError("a share lies in (0, 1]")
        children, index = np.unique(self.child, return_inverse=True)
        if children.size and not np.allclose(np.bincount(index, self.share), 1.0, atol=1e-9, rtol=0):
            raise ValueError("the shares of a child must sum to one")

    @classmethod
    def equal_shares(cls, parents_of: Iterable[tuple[int, Iterable[int]]]) -> Lineage:
        """Edges for children whose parents share equally; a parent named twice counts twice."""
        child: list[int] = []
        parent: list[int] = []
        share: list[float] = []
        for born, parents in parents_of:
            unique, counts = np.unique(np.fromiter(parents, np.int64), return_counts=True)
            child += [born] * unique.size
            parent += unique.tolist()
            share += (counts / max(counts.sum(), 1)).tolist()
        return cls(
            child=np.array(child, np.int64), parent=np.array(parent, np.int64), share=np.array(share, np.float64)
        )

    def __add__(self, other: Lineage) -> Lineage:
        return Lineage(
            child=np.concatenate([self.child, other.child]),
            parent=np.concatenate([self.parent, other.parent]),
            share=np.concatenate([self.share, other.share]),
        )

    def descendants(self, individuals: Iterable[int]) -> IntArray:
        """Everyone with an ancestor among ``individuals``, themselves not counted: sorted ``[D]``."""
        return self._closure(individuals, self.parent, self.child)

    def ancestors(self, individuals: Iterable[int]) -> IntArray:
        """Everyone who has a descendant among ``individuals``, themselves not counted: sorted ``[A]``."""
        return self._closure(individuals, self.child, self.parent)

    def most_recent_common_ancestor(self, individuals: Iterable[int]) -> int | None:
        """The youngest individual from which all of ``individuals`` descend (or whom they are); None when there is none."""
        common: set[int] | None = None
        for one in individuals:
            line = {int(one), *self.ancestors([one]).tolist()}
            common = line if common is None else common & line
        return max(common) if common else None

    def _closure(self, start: Iterable[int], source: IntArray, target: IntArray) -> IntArray:
        first = np.unique(np.fromiter(start, np.int64))
        found = frontier = first
        while frontier.size:
            frontier = np.setdiff1d(target[np.isin(source, frontier)], found)
            found = np.union1d(found, frontier)
        return np.setdiff1d(found, first)
