"""Attention of one pass in one call of PyTorch's own, for devices on which a call costs more than what it multiplies.

The stem, what is seen and the block are laid side by side, and a mask says who sees what; what a block's other groups hold
is multiplied too, and hidden. PyTorch chooses the kernel. Right on every device, which the tests show on a CPU; how fast it
is on a GPU has not been measured.
"""

from __future__ import annotations

import torch
from torch.nn.functional import scaled_dot_product_attention

from winnow.models.local.view import Block, View

WORTH_WHOLE = 2**24  # queries times slots: above, hiding other groups costs more than attending to each group's own


def fits(view: View) -> bool:
    """Whether a view is small enough to be taken whole."""
    block = 0 if view.block is None else view.block.rows * view.block.groups
    return view.queries * (view.stem_length + sum(end - start for _, start, end in view.seen) + block) <= WORTH_WHOLE


def fused(query: torch.Tensor, view: View, layer: int, scaling: float) -> torch.Tensor:
    """``[n, H, width]`` for queries ``[n, H, d]`` of one layer, whose keys and values are written."""
    sources, last = view.sources(layer)
    keys, values = [k.transpose(1, 2) for k, _ in sources], [v for _, v in sources]
    if view.block is not None:
        for side, buffer in zip((keys, values), view.store.layer(layer), strict=True):  # type: ignore[union-attr]
            side.append(_slots_of(buffer, view.block))
    if view.mask is None:
        view.mask = _mask(query, view, sum(k.shape[1] for k in keys), last)
    key, value = torch.cat(keys, 1), torch.cat(values, 1)  # [Hkv, slots, ...]
    out = scaled_dot_product_attention(
        query.transpose(0, 1)[None],
        key[None],
        value[None],
        attn_mask=view.mask[None, None],
        scale=scaling,
        enable_gqa=query.shape[1] != key.shape[0],
    )
    return out[0].transpose(0, 1)


def _slots_of(buffer: torch.Tensor, block: Block) -> torch.Tensor:
    """``[Hkv, rows * groups, width]``: the slots of a pass's groups, row by row."""
    _, heads, width = buffer.shape
    rows = buffer[block.start : block.start + block.rows * block.stride].view(block.rows, block.stride, heads, width)
    return rows[:, block.first : block.first + block.groups].reshape(-1, heads, width).transpose(0, 1)


def _mask(query: torch.Tensor, view: View, columns: int, last: int) -> torch.Tensor:
    """``[n, columns]`` additive: the stem's, what is seen, the block's."""
    num, block = view.queries, view.block
    mask = query.new_zeros((num, columns))
    inside = 0 if block is None else block.rows * block.groups
    if view.seen_mask is not None:
        mask[:, columns - inside - last : columns - inside] = view.seen_mask
    if block is not None:
        place = torch.arange(num, device=query.device) if block.place is None else block.place
        own = query.new_full((num, block.rows, block.groups), -torch.inf)
        shown = 0.0 if block.mask is None else block.mask[place % block.groups, place // block.groups]
        own[torch.arange(num, device=query.device), :, place % block.groups] = shown
        mask[:, columns - inside :] = own.flatten(1)
    return mask
