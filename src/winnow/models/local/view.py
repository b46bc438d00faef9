"""What the queries of one pass see, and where their own keys and values go: said in tensors, attended to elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

import torch

from winnow.models.local.cache import StemStore, Store

Source: TypeAlias = tuple[torch.Tensor, torch.Tensor]  # keys [Hkv, d, slots], values [Hkv, slots, width]


@dataclass(kw_only=True)
class Block:
    """Slots ``start ..`` in rows of one slot a group: row ``r`` of group ``g`` is slot ``start + r * stride + g``.

    A pass over some of a row's groups, one after another from ``first`` on, has to do with these alone.
    """

    start: int
    stride: int  # groups in all
    first: int
    groups: int  # of this pass
    rows: int  # written, those of this pass included
    width: int  # queries a group has in this pass, at most
    place: torch.Tensor | None  # [n], each query's place w * groups + g - first; None: in that order, none missing
    mask: torch.Tensor | None  # [groups, width, rows], additive; None: every row is seen


@dataclass(kw_only=True)
class View:
    """What the queries of one pass see, and where their own keys and values go."""

    queries: int  # n
    store: Store | StemStore
    write_start: int
    write_slots: torch.Tensor | None  # [n], when they do not follow one another
    stem: StemStore | None = None
    stem_length: int = 0
    seen: tuple[tuple[Store | StemStore, int, int], ...] = ()  # runs of slots: a store, the first, behind the last
    seen_mask: torch.Tensor | None = None  # [n, slots of those runs], additive
    block: Block | None = None
    wide: bool = False  # whether products of many rows may go through ``linear.wide_bmm``
    whole: bool = False  # whether one fused call may take all parts together
    mask: torch.Tensor | None = None  # of that call, once it was made: the same in every layer
    layers: int = 0  # layers that came by

    def only(self, read: torch.Tensor) -> View:
        """What some of the queries see: ``read`` ``[m]`` of them, in this order."""
        block = self.block
        if block is not None:
            block = replace(block, place=read if block.place is None else block.place[read])
        mask = None if self.seen_mask is None else self.seen_mask[read]
        return replace(self, queries=read.numel(), seen_mask=mask, block=block, mask=None)

    def sources(self, layer: int) -> tuple[list[Source], int]:
        """What stands before the block: the stem, then what is under the mask, and how many slots the latter are."""
        found = []
        if self.stem is not None and self.stem_length:
            found.append(self.stem.run(layer, 0, self.stem_length))
        found += [store.run(layer, start, end) for store, start, end in self.seen]
        return found, sum(end - start for _, start, end in self.seen)
