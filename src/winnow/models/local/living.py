"""A copy of the slots that are still seen, once most of those before it are not."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from winnow.models.local.cache import Store
from winnow.values.logspace import IntArray

Paths = npt.NDArray[np.int32]  # [n, deepest], slots from the stem down, -1 where one has ended
Run = tuple[Store, int, int]  # slots of a store, first and behind the last


class Living:
    """What some paths see of a store's first ``end`` slots, gathered.

    Parameters
    ----------
    slots : ``[num]``, those that are seen, in order.
    """

    def __init__(self, store: Store, slots: IntArray, end: int, device: torch.device) -> None:
        self.store = store.gather(torch.as_tensor(slots, device=device))
        self.num, self.end = slots.size, end
        self.column = np.full(end + 1, -1, np.int64)  # [end + 1], where a slot is in the copy; -1 for the dead
        self.column[slots] = np.arange(slots.size)

    def holds(self, slots: IntArray) -> bool:
        """Whether none of these slots is missing."""
        return bool((self.column[slots[slots < self.end]] >= 0).all())


def num_columns(living: Living | None, end: int) -> int:
    """How many columns a mask over the first ``end`` slots has."""
    return end if living is None else living.num + end - living.end


def runs(living: Living | None, store: Store, end: int) -> tuple[Run, ...]:
    """Where the keys and values of the first ``end`` slots stand."""
    if living is None:
        return ((store, 0, end),) if end else ()
    return tuple(run for run in ((living.store, 0, living.num), (store, living.end, end)) if run[1] < run[2])


def columns(living: Living | None, path: Paths, end: int) -> IntArray:
    """The column of each slot of paths; -1 where it is not among the first ``end``."""
    inside = (path >= 0) & (path < end)
    if living is None:
        return np.where(inside, path, -1)
    copied = living.column[np.where(inside, np.minimum(path, living.end), -1)]
    return np.where(inside, np.where(path < living.end, copied, path - living.end + living.num), -1)


def needed(path: Paths, end: int) -> IntArray:
    """Which of the first ``end`` slots are on some path, in order."""
    flag = np.zeros(end + 1, bool)
    flag[np.where(path < end, path, end)] = True  # -1 is the last one too
    return np.flatnonzero(flag[:end])
