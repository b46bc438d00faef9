"""Where new places go, and in which passes they are fed. Knows slots, groups and rows, no tokens and no tensors."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np

from winnow.values.logspace import IntArray

Part: TypeAlias = slice | IntArray  # of what is fed, in its order


class Arrangement(NamedTuple):
    """The order of what is fed; in a block of groups, side by side, row by row."""

    order: IntArray  # [n]
    slot: IntArray  # [n], in that order
    row: IntArray | None = None  # [n] in that order, counted from the block's first of this feed; None outside a block
    start: int = 0  # the block's first slot
    groups: int = 0
    rows: int = 0  # of the block, those of this feed included

    @property
    def width(self) -> int:
        """Rows of this feed; 0 outside a block."""
        return 0 if self.row is None else int(self.row[-1]) + 1

    @property
    def end(self) -> int:
        """Slots after this."""
        return int(self.slot[-1]) + 1 if self.row is None else self.start + self.rows * self.groups

    def parts(self, limit: int) -> list[Part]:
        """Passes of at most ``limit``: some groups of a block each, or some rows.

        A pass over some groups reads their own past alone, so that each is read once; where there is little of it, a pass
        over some rows reads less, since none sees those after it.
        """
        size, width = self.order.size, self.width
        past = self.start > width or self.rows > width
        if 0 < width <= limit < size and past:
            group = (self.slot - self.start) % self.groups
            count = np.bincount(group, minlength=self.groups)
            middle = 2 * np.cumsum(count) - count  # of each group, in half places
            for passes in range(-(-size // limit), 2 * size):  # soon: a group reaches over its share by less than width
                chunk = (middle * passes // (2 * size))[group]
                if np.bincount(chunk).max() <= limit:
                    return [part for part in (np.flatnonzero(chunk == one) for one in range(passes)) if part.size]
        if width and limit > self.groups:
            limit -= limit % self.groups
        return [slice(start, min(start + limit, size)) for start in range(0, size, limit)]

    def unwritten(self, parts: list[Part]) -> IntArray:
        """Slots of a block that a pass hides under a mask before they were written: empty ones, and a cut row's rest."""
        if self.row is None:
            return np.empty(0, np.int64)
        first = self.end - self.width * self.groups
        flag = np.ones(self.end - first, bool)
        flag[self.slot - first] = False
        for part in parts[:-1]:
            if isinstance(part, slice):  # of other groups nothing is seen
                behind = int(self.slot[part.stop - 1]) + 1 - first
                flag[behind : behind + -behind % self.groups] = True
        return first + np.flatnonzero(flag)
