"""A prefix computed once, in segments whose bytes depend on nothing but the tokens up to their end.

A prefix is fed in whole segments of ``SEGMENT`` tokens counted from its beginning, and a last one of what is left; a
request whose rows part at other places has borders there too. Each segment is a pass of its own, so its keys and values
are the same whether the segments before it were just computed or had been kept from another request: a prefix that is
remembered never changes a reply's bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch

from winnow.models.local.cache import StemStore
from winnow.models.local.network import Network
from winnow.models.local.view import View

SEGMENT = 128


@dataclass
class Stem:
    """Keys and values of a prefix; ``hidden`` ``[d]`` is its last token's state, None for an empty prefix."""

    store: StemStore
    length: int
    hidden: torch.Tensor | None


def segments(length: int, cuts: Sequence[int] = ()) -> list[tuple[int, int]]:
    """Where a prefix's segments begin and end; ``cuts`` are borders beside the regular ones.

    >>> segments(300, [40])
    [(0, 40), (40, 128), (128, 256), (256, 300)]
    """
    borders = sorted({*range(0, length, SEGMENT), *(cut for cut in cuts if 0 < cut < length), length})
    return list(pairwise(borders))


def feed_segment(network: Network, store: StemStore, tokens: Sequence[int], start: int) -> torch.Tensor:
    """Feed ``tokens`` behind the first ``start`` slots of ``store``; their last hidden state ``[d]``."""
    num = len(tokens)
    causal = torch.full((num, num), -torch.inf, dtype=network.dtype, device=network.device).triu(1)
    view = View(
        queries=num,
        store=store,
        write_start=start,
        write_slots=None,
        stem=store,
        stem_length=start,
        seen=((store, start, start + num),),
        seen_mask=causal,
    )
    positions = torch.arange(start, start + num, device=network.device)
    return network.trunk(network.tensor(tokens), positions, view, network.tensor([num - 1]))[0]


def new_stem(network: Network, tokens: Sequence[int]) -> Stem:
    """A prefix computed from nothing; it may be empty."""
    store, hidden = StemStore(network.num_layers, len(tokens)), None
    for start, end in segments(len(tokens)):
        hidden = feed_segment(network, store, tokens[start:end], start)
    return Stem(store, len(tokens), hidden)
