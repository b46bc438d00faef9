"""How much memory keys and values may take, and who gives way: what was used longest ago.

Knows sizes and ages only. A holder says how many bytes it lays out before it does; when there is no room, others are
dropped, the longest unused first; when even that makes none, the error names what would fit.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Hashable

import torch

from winnow.values.errors import MemoryBoundError

SHARE = 4  # by default a quarter of the machine's memory


class Memory:
    """A bound on bytes held, with least-recently-used eviction.

    Parameters
    ----------
    limit : bytes.
    name : the model's, for errors.
    """

    def __init__(self, limit: int, name: str) -> None:
        self.limit, self.name = limit, name
        self.peak = 0
        self._held: OrderedDict[Hashable, tuple[int, Callable[[], None]]] = OrderedDict()
        self._sum = 0

    @property
    def held(self) -> int:
        """Bytes held now."""
        return self._sum

    def hold(self, key: Hashable, num_bytes: int, drop: Callable[[], None], *, oldest: bool = False) -> None:
        """Note that ``key`` holds so many bytes from now on, and how to make it give them up; it becomes the youngest, or
        the ``oldest``, which goes first."""
        self._sum += num_bytes - self._held.pop(key, (0, drop))[0]
        self._held[key] = num_bytes, drop
        self._held.move_to_end(key, last=not oldest)
        self.peak = max(self.peak, self._sum)

    def release(self, key: Hashable) -> None:
        """Note that ``key`` holds nothing any more."""
        self._sum -= self._held.pop(key, (0, _nothing))[0]

    def fits(self, num_bytes: int) -> bool:
        """Whether so much could be laid out if everything else gave way."""
        return num_bytes <= self.limit

    def make_room(self, num_bytes: int, *, keep: Hashable = None) -> None:
        """Drop what was used longest ago until so much fits; ``keep`` stays, and what it holds counts as a part of it."""
        mine = self._held.get(keep, (0, _nothing))[0]
        for key in [key for key in self._held if key != keep]:
            if self._sum - mine + num_bytes <= self.limit:
                break
            self._held[key][1]()
            self.release(key)
        self.peak = max(self.peak, self._sum - mine + max(mine, num_bytes))

    def refuse(self, num_bytes: int, what: str, fitting: str) -> MemoryBoundError:
        """The error for something that would not fit even alone."""
        return MemoryBoundError(
            f"{what} need {_megabytes(num_bytes)} of keys and values, the bound is {_megabytes(self.limit)}",
            where=self.name,
            remedy=f"{fitting}, or raise memory",
        )


def default_limit(device: torch.device) -> int:
    """A quarter of the device's memory."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory // SHARE)
    return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // SHARE)


def _megabytes(num_bytes: int) -> str:
    return f"{num_bytes / 2**20:.3g} MiB"


def _nothing() -> None:
    """Nothing to drop."""
