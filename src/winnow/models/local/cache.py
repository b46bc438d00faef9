"""Keys and values by slot, in buffers that are written once and never moved.

A slot holds one token's keys and values in every layer, ``[heads, width]``. Slots lie one after another, so that a run
of them is a matrix for every head, and rows written in turn by G groups are a matrix for every head of every group: all
of it views. Knows nothing of masks, positions or who descends from whom.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch


class Store:
    """Append-only buffers ``[capacity, heads, width]`` a layer; laid out at the first write, grown by doubling.

    Parameters
    ----------
    num_layers : layers that will write.
    capacity : slots to lay out.
    """

    def __init__(self, num_layers: int, capacity: int) -> None:
        self.capacity = max(1, capacity)
        self.keys: list[torch.Tensor | None] = [None] * num_layers
        self.values: list[torch.Tensor | None] = [None] * num_layers

    @property
    def nbytes(self) -> int:
        """Bytes laid out."""
        return sum(t.numel() * t.element_size() for side in (self.keys, self.values) for t in side if t is not None)

    def layer(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        """One layer's keys and values, once they are laid out."""
        keys, values = self.keys[index], self.values[index]
        assert keys is not None
        assert values is not None
        return keys, values

    def reserve(self, slots: int) -> None:
        """Make room for ``slots`` in all; one layer moves at a time."""
        if slots <= self.capacity:
            return
        self.capacity = max(slots, 2 * self.capacity)
        for side in (self.keys, self.values):
            for layer, old in enumerate(side):
                if old is not None:
                    side[layer] = old.new_empty((self.capacity, *old.shape[1:]))
                    side[layer][: old.shape[0]] = old  # type: ignore[index]

    def write(
        self, layer: int, start: int, slots: torch.Tensor | None, keys: torch.Tensor, values: torch.Tensor
    ) -> None:
        """Write ``[n, heads, width]`` at slots ``start ..``, or at those given."""
        for side, new in ((self.keys, keys), (self.values, values)):
            buffer = side[layer]
            if buffer is None:
                # zeros: a slot that nobody writes is masked, and must not hold NaN
                buffer = side[layer] = new.new_zeros((self.capacity, *new.shape[1:]))
            if slots is None:
                buffer[start : start + new.shape[0]] = new
            else:
                buffer.index_copy_(0, slots, new)

    def clear(self, start: int, end: int) -> None:
        """Write zeros to slots that will be masked."""
        for side in (self.keys, self.values):
            for buffer in side:
                if buffer is not None:
                    buffer[start:end] = 0

    def gather(self, slots: torch.Tensor, capacity: int) -> Store:
        """A copy whose first slots are these, in this order; a slot of -1 becomes zeros."""
        other = Store(len(self.keys), max(capacity, slots.numel()))
        missing = slots < 0
        for mine, theirs in ((self.keys, other.keys), (self.values, other.values)):
            for layer, buffer in enumerate(mine):
                if buffer is not None:
                    new = buffer.new_zeros((other.capacity, *buffer.shape[1:]))
                    torch.index_select(buffer, 0, slots.clamp(min=0), out=new[: slots.numel()])
                    if bool(missing.any()):
                        new[: slots.numel()][missing] = 0
                    theirs[layer] = new
        return other

    def segment(self, start: int, end: int, *, copy: bool) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Keys and values ``[end - start, heads, width]`` a layer: views, or copies of their own."""
        parts = [[t[start:end] for t in side if t is not None] for side in (self.keys, self.values)]
        keys, values = ([part.clone() for part in side] if copy else side for side in parts)
        return keys, values

    def put(self, start: int, keys: Sequence[torch.Tensor], values: Sequence[torch.Tensor]) -> None:
        """Write a segment that ``segment`` gave."""
        for layer, (key, value) in enumerate(zip(keys, values, strict=True)):
            self.write(layer, start, None, key, value)
