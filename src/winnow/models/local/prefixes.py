"""Prompts' prefixes across requests: a radix tree of segments under a bound on memory.

A segment is known by the whole prefix it ends, never by its own tokens alone: the way to it from the root spells everything
before it. Only whole segments have others below them; a prefix's last, shorter one is remembered as it is. What is
remembered changes the time a request takes and not its bytes (see ``stem``). The longest unused gives way first, and a
segment only after everything below it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch

from winnow.models.local.cache import StemStore
from winnow.models.local.memory import Memory
from winnow.models.local.network import Network
from winnow.models.local.stem import Stem, feed_segment, segments


@dataclass(eq=False)
class _Segment:
    """Some tokens behind a prefix, their keys and values a layer as a StemStore has them, the last hidden state."""

    keys: list[torch.Tensor] = field(default_factory=list)
    values: list[torch.Tensor] = field(default_factory=list)
    hidden: torch.Tensor | None = None
    below: dict[tuple[int, ...], _Segment] = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        return sum(tensor.numel() * tensor.element_size() for tensor in (*self.keys, *self.values))


class Prefixes:
    """Stems, from what is remembered and what must be fed.

    Parameters
    ----------
    network : what feeds.
    memory : what bounds it, shared with whoever else holds keys and values.
    """

    def __init__(self, network: Network, memory: Memory) -> None:
        self.network, self.memory = network, memory
        self._root = _Segment()

    def stem(self, tokens: Sequence[int], cuts: Sequence[int] = ()) -> Stem:
        """The stem of a prefix, its segments remembered as far as memory allows; ``cuts`` as in ``stem.segments``."""
        row = tuple(tokens)
        store, parts = StemStore(self.network.num_layers, len(row)), segments(len(row), cuts)
        known = self._known(row, parts)
        for (start, _), segment in zip(parts, known, strict=False):
            store.put(start, segment.keys, segment.values)
        above = known[-1] if known else self._root
        hidden = above.hidden
        fresh: list[_Segment] = []
        for start, end in parts[len(known) :]:
            hidden = feed_segment(self.network, store, row[start:end], start)
            fresh.append(_Segment(hidden=hidden.clone()))
        self._remember(row, parts, known, fresh, store)
        return Stem(store, len(row), hidden)

    def on(self, cuts: Sequence[int]) -> Callable[[Sequence[int]], Stem]:
        """``stem`` with these cuts."""
        return partial(self.stem, cuts=cuts)

    def _known(self, row: tuple[int, ...], parts: list[tuple[int, int]]) -> list[_Segment]:
        at, found = self._root, []
        for start, end in parts:
            below = at.below.get(row[start:end])
            if below is None:
                break
            found.append(below)
            at = below
        return found

    def _remember(
        self,
        row: tuple[int, ...],
        parts: list[tuple[int, int]],
        known: list[_Segment],
        fresh: list[_Segment],
        store: StemStore,
    ) -> None:
        """Hang what was fed behind what was known; views of the stem's own buffers when they hold nothing else."""
        way = [self._root, *known]
        if self.memory.fits(store.nbytes):
            for (start, end), segment in zip(parts[len(known) :], fresh, strict=True):
                segment.keys, segment.values = store.segment(start, end, copy=bool(known))
                way[-1].below[row[start:end]] = segment
                way.append(segment)
        for (start, end), above, segment in reversed(list(zip(parts, way, way[1:], strict=False))):
            self._hold(above, row[start:end], segment)  # those above are younger, so those below go first

    def _hold(self, parent: _Segment, tokens: tuple[int, ...], segment: _Segment) -> None:
        def drop() -> None:
            parent.below.pop(tokens, None)

        self.memory.hold(segment, segment.nbytes, drop)
