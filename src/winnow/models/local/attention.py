"""Attention over a shared stem, masked runs of slots and a block of groups, under one softmax.

What a query sees comes in up to three parts:

* the **stem**, a prefix that every query sees whole: one matrix product for all queries, its keys never repeated;
* **seen**, runs of slots of which each query sees its own ancestors: the same product under a mask;
* the **block**, slots written in turn by G groups, of which a query sees its own group's: batched over groups.

The parts are scored into one buffer, so the softmax is exact. Off the CPU one call of PyTorch's fused attention takes them
together (``fused``). transformers calls ``attend`` through its public attention registry; a call without a ``View`` is a
plain forward pass and gets plain attention.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from winnow.models.local.fused import fits, fused
from winnow.models.local.linear import wide_bmm
from winnow.models.local.view import Block, Source, View

NAME = "winnow"
AT_ONCE = 2**19  # scores of a pass, at most, before heads take turns
STEP = 32  # columns that scores grow by
LANES = 16  # columns of whose multiples a softmax in place is no slower than one into fresh memory (else by a quarter)
SIDE_BY_SIDE, APART = 32, 128  # queries from which keys are scored in one wide product, as their slots lie (measured)
NARROW = 64  # queries from which values are weighed in one
FEW_QUERIES, FEW_ROWS = 4, 16  # of a group, and rows of a block that are then attended to at once
PLAIN = 400  # numbers, below which ``torch.bmm`` takes a plain loop for a product with one query


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    softcap: float | None = None,
    view: View | None = None,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """``[1, T, H, width]`` for queries ``[1, H, T, d]``; heads of keys may be fewer than those of queries.

    Raises
    ------
    NotImplementedError
        For what it does not honour: attention sinks, position bias.
    """
    unknown = [name for name in ("s_aux", "sinks", "position_bias") if others.get(name) is not None]
    if unknown:
        raise NotImplementedError(f"attention with {unknown[0]}")
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    if view is None:
        if softcap is None:
            return sdpa_attention_forward(  # type: ignore[no-any-return]
                module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **others
            )
        return _capped(query, key, value, attention_mask, scaling, softcap), None
    seen = attend_view(
        int(module.layer_idx),  # type: ignore[arg-type]
        query[0].transpose(0, 1),
        key[0].transpose(0, 1),
        value[0].transpose(0, 1),
        scaling,
        view,
        softcap,
    )
    return seen[None], None


def attend_view(
    layer: int,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    scaling: float,
    view: View,
    softcap: float | None = None,
) -> torch.Tensor:
    """``[n, H, width]`` for queries ``[n, H, d]``, keys and values ``[n, Hkv, d]`` of one layer."""
    write_view(layer, key, value, view)
    return read_view(layer, query, scaling, view, softcap)


def write_view(layer: int, key: torch.Tensor, value: torch.Tensor, view: View) -> None:
    """Put keys and values ``[n, Hkv, d]`` of one layer where they go."""
    view.layers += 1
    view.store.write(layer, view.write_start, view.write_slots, key, value)


def read_view(
    layer: int, query: torch.Tensor, scaling: float, view: View, softcap: float | None = None
) -> torch.Tensor:
    """``[n, H, width]`` for queries ``[n, H, d]`` of one layer, whose keys and values are written."""
    if view.whole and softcap is None and fits(view):
        return fused(query, view, layer, scaling)
    num, heads, width = query.shape
    sources, last = view.sources(layer)
    few = sources[0][0].shape[0] if sources else view.store.layer(layer)[0].shape[1]  # type: ignore[union-attr]
    scaled = (query.transpose(0, 1) * scaling).reshape(few, heads // few * num, width)  # [Hkv, g * n, d]
    found = _parts(scaled, view, layer, sources, last, softcap)
    return found.view(heads, num, found.shape[-1]).transpose(0, 1).contiguous()


def _parts(
    query: torch.Tensor, view: View, layer: int, sources: list[Source], last: int, softcap: float | None
) -> torch.Tensor:
    """``[Hkv, g * n, width]``: the parts scored side by side, one softmax, their values summed."""
    few, many, _ = query.shape
    num, block = view.queries, view.block
    columns, rows = sum(k.shape[2] for k, _ in sources), 0 if block is None else block.rows
    inside, values, mask = [], None, None
    if block is not None:
        keys, values = view.store.layer(layer)  # type: ignore[union-attr]  # a stem has no blocks
        inside = _grid_scores(query, keys, block, num)
        mask = None if block.mask is None else _mask_of_queries(block)
    size = _heads_at_once(query, columns + rows)
    out = query.new_empty((few, many, (sources[0][1] if values is None else values).shape[-1]))
    inner = query.new_empty((few, many, rows)) if block is not None and size < few else None
    for start in range(0, few, size):
        heads = slice(start, start + size)
        score = _scores(query[heads], [k[heads] for k, _ in sources], columns + rows, view.wide)
        by_query = score.view(score.shape[0], -1, num, score.shape[-1])
        for part, one in inside:
            by_query[..., columns + part.start : columns + part.stop] = one[heads]
        if softcap is not None:
            score.div_(softcap).tanh_().mul_(softcap)
        if view.seen_mask is not None:
            by_query[..., columns - last : columns] += view.seen_mask
        if mask is not None:
            by_query[..., columns : columns + rows] += mask
        if score.shape[-1] > columns + rows:
            score[..., columns + rows :] = -torch.inf
        share = torch.softmax(score, dim=-1, out=score if score.shape[-1] % LANES == 0 else None)
        _weigh(share, [v[heads] for _, v in sources], out[heads], view.wide)
        if inner is not None:
            inner[heads] = share[:, :, columns : columns + rows]
    if block is None or values is None:
        return out
    weighed = _grid_values(share[:, :, columns : columns + rows] if inner is None else inner, values, block, num)
    return out.add_(weighed) if sources else weighed


def _heads_at_once(query: torch.Tensor, columns: int) -> int:
    """Heads whose scores stay in the processor's cache; the memory of larger ones would also be laid out anew each time."""
    few, many, _ = query.shape
    return few if not query.is_cpu else min(few, max(1, AT_ONCE // (many * max(1, columns))))


def _scores(query: torch.Tensor, keys: list[torch.Tensor], columns: int, wide: bool) -> torch.Tensor:
    """``[Hkv, g * n, C]``, filled as far as ``keys`` ``[Hkv, d, slots]`` go; C is ``columns`` or a few more.

    A block grows by a column a row, and oneDNN compiles a product anew for every C: so for it C is one of few.
    """
    wide = wide and query.shape[1] >= SIDE_BY_SIDE
    score = query.new_empty((*query.shape[:2], -(-columns // STEP) * STEP if wide else columns))
    end = 0
    for k in keys:
        start, end = end, end + k.shape[2]
        if wide:
            wide_bmm(query, k, out=score[:, :, start:end], least=SIDE_BY_SIDE if k.stride(2) == 1 else APART)
        else:
            torch.bmm(query, k, out=score[:, :, start:end])
    return score


def _weigh(share: torch.Tensor, values: list[torch.Tensor], out: torch.Tensor, wide: bool) -> None:
    """The sum of ``values`` ``[Hkv, slots, width]`` by their shares, into ``out``."""
    product, end = partial(wide_bmm, least=NARROW) if wide else torch.bmm, 0
    for v in values:
        start, end = end, end + v.shape[1]
        if start:
            out += product(share[:, :, start:end], v)
        else:
            product(share[:, :, start:end], v, out=out)


def _rows_of(buffer: torch.Tensor, block: Block) -> torch.Tensor:
    """``[G * Hkv, rows, width]``, a view."""
    end = block.start + block.rows * block.stride
    _, heads, width = buffer.shape
    rows = buffer[block.start : end].view(block.rows, block.stride * heads, width)
    return rows[:, block.first * heads : (block.first + block.groups) * heads].transpose(0, 1)


def _to_grid(values: torch.Tensor, block: Block, num: int) -> torch.Tensor:
    """From ``[Hkv, g * n, c]`` to ``[G * Hkv, g * W, c]``; places that no query has are zeros."""
    few, many, size = values.shape
    share = many // num
    values = values.view(few, share, num, size)
    if block.place is not None:
        grid = values.new_zeros((few, share, block.width * block.groups, size))
        values = grid.index_copy_(2, block.place, values)
    grid = values.view(few, share, block.width, block.groups, size).permute(3, 0, 1, 2, 4)
    return grid.reshape(block.groups * few, share * block.width, size)


def _from_grid(grid: torch.Tensor, block: Block, few: int, share: int) -> torch.Tensor:
    """Back from ``[G * Hkv, g * W, c]`` to ``[Hkv, g, n, c]``."""
    size = grid.shape[-1]
    values = grid.view(block.groups, few, share, block.width, size).permute(1, 2, 3, 0, 4)
    if block.place is None:
        return values.reshape(few, share, -1, size)
    return values.reshape(few, share, block.width * block.groups, size).index_select(2, block.place)


def _grid_scores(query: torch.Tensor, keys: torch.Tensor, block: Block, num: int) -> list[tuple[slice, torch.Tensor]]:
    """Some rows of the block and the scores of their keys ``[Hkv, g, n, rows]``, one after another."""
    few, many, _ = query.shape
    grid, rows = _to_grid(query, block, num), _rows_of(keys, block)
    if _is_low(grid, rows, block.rows):
        score = torch.linalg.vecdot(grid.transpose(0, 1), rows.transpose(0, 1)).t()[:, None]
        return [(slice(0, block.rows), _from_grid(score, block, few, many // num))]
    keys = rows.transpose(1, 2)
    return [
        (part, _from_grid(torch.bmm(grid, keys[:, :, part]), block, few, many // num))
        for part in _few_rows(grid, rows, block)
    ]


def _grid_values(share: torch.Tensor, values: torch.Tensor, block: Block, num: int) -> torch.Tensor:
    few, many, _ = share.shape
    grid, values = _to_grid(share, block, num), _rows_of(values, block)
    if _is_low(grid, values, block.rows):
        out = grid[:, :, 0] * values[:, 0]
        for row in range(1, block.rows):
            out.addcmul_(grid[:, :, row], values[:, row])
        return _from_grid(out[:, None], block, few, many // num).reshape(few, many, -1)
    first, *others = _few_rows(grid, values, block)
    out = torch.bmm(grid[:, :, first], values[:, first])
    for part in others:
        out.baddbmm_(grid[:, :, part], values[:, part])
    return _from_grid(out, block, few, many // num).reshape(few, many, -1)


def _is_low(grid: torch.Tensor, values: torch.Tensor, rows: int) -> bool:
    """Whether sums of products, row by row, are faster than batched products, which take a plain loop for so few numbers:
    measured for 2,048 groups, 2 times for scores and 7 to 9 for values. Half precision would round in between."""
    return grid.is_cpu and grid.dtype == torch.float32 and grid.shape[1] == 1 and rows * values.shape[-1] < PLAIN


def _few_rows(grid: torch.Tensor, values: torch.Tensor, block: Block) -> list[slice]:
    """A block's rows, some at a time when each group has few queries: a row's slots lie far apart, and a product of few
    queries goes over them in an order that finds nothing in the processor's cache once there are many."""
    rows, size = block.rows, FEW_ROWS if grid.is_cpu and grid.shape[1] <= FEW_QUERIES else block.rows
    ends = [*range(size, rows, size), rows]
    if len(ends) > 1 and _is_low(grid, values, ends[-1] - ends[-2]):
        del ends[-2]  # too few rows for a product of their own
    return [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]


def _mask_of_queries(block: Block) -> torch.Tensor:
    """``[n, rows]`` from the block's mask."""
    assert block.mask is not None
    return _from_grid(block.mask, block, 1, 1)[0, 0]


def _capped(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    scaling: float,
    softcap: float,
) -> torch.Tensor:
    """Plain attention with soft-capped scores ``[B, T, H, width]``."""
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    score = torch.tanh(query @ key.transpose(2, 3) * scaling / softcap) * softcap
    if mask is None:
        size = query.shape[2], key.shape[2]
        mask = torch.ones(size, dtype=torch.bool, device=query.device).tril(size[1] - size[0])
    if mask.dtype == torch.bool:
        score = score.masked_fill(~mask, -torch.inf)
    else:
        score = score + mask
    return (torch.softmax(score, -1) @ value).transpose(1, 2).contiguous()


AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, sdpa_mask)
