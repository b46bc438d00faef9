"""Keys and values by slot, in buffers that are written once and never moved.

A slot holds one token's keys and values in every layer, ``[heads, width]``. Slots lie one after another, so that a run
of them is a matrix for every head, and rows written in turn by G groups are a matrix for every head of every group: all
of it views. A prefix, which is read often and never reordered, lies as products take it instead. Knows nothing of masks,
positions or who descends from whom.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from winnow.models.local.memory import Memory

GROWTH, GROWTH_UNUSED = 2, 8  # times what is asked for


def growth(buffer: torch.Tensor | None) -> int:
    """How many times what is asked for a buffer like this one grows to."""
    return GROWTH_UNUSED if buffer is not None and buffer.is_cpu else GROWTH


class Store:
    """Append-only buffers ``[capacity, heads, width]`` a layer, laid out at the first write.

    On a CPU what is laid out takes no memory before it is written, so that buffers grow rarely, by much; what was never
    written holds anything. ``used`` slots were asked for, ``most`` of them at some time; the others are not copied.

    Parameters
    ----------
    num_layers : layers that will write.
    capacity : slots to lay out.
    """

    def __init__(self, num_layers: int, capacity: int) -> None:
        self.capacity, self.used, self.most = max(1, capacity), 0, 0
        self.keys: list[torch.Tensor | None] = [None] * num_layers
        self.values: list[torch.Tensor | None] = [None] * num_layers
        self._cleared: torch.Tensor | None = None  # slots, for layers that are not laid out yet

    @property
    def nbytes(self) -> int:
        """Bytes of the slots that were ever in use; off the CPU, of all that are laid out."""
        buffers = [t for side in (self.keys, self.values) for t in side if t is not None]
        return sum(t[: self.most if t.is_cpu else None].numel() * t.element_size() for t in buffers)

    def layer(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        """One layer's keys and values, once they are laid out."""
        keys, values = self.keys[index], self.values[index]
        assert keys is not None
        assert values is not None
        return keys, values

    def run(self, layer: int, start: int, end: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys ``[heads, width, end - start]`` and values ``[heads, end - start, width]`` of a run of slots, views."""
        keys, values = self.layer(layer)
        return keys[start:end].permute(1, 2, 0), values[start:end].transpose(0, 1)

    def reserve(self, slots: int) -> None:
        """Make room for ``slots`` in all; one layer moves at a time."""
        used = self.used
        self._use(max(used, slots))
        if slots <= self.capacity:
            return
        self.capacity = slots * growth(self.keys[0])
        for side in (self.keys, self.values):
            for layer, old in enumerate(side):
                if old is not None:
                    side[layer] = new = old.new_empty((self.capacity, *old.shape[1:]))
                    new[:used] = old[:used]

    def write(
        self, layer: int, start: int, slots: torch.Tensor | None, keys: torch.Tensor, values: torch.Tensor
    ) -> None:
        """Write ``[n, heads, width]`` at slots ``start ..``, or at those given."""
        for side, new in ((self.keys, keys), (self.values, values)):
            buffer = side[layer]
            if buffer is None:
                buffer = side[layer] = new.new_empty((self.capacity, *new.shape[1:]))
                if self._cleared is not None:
                    buffer.index_fill_(0, self._cleared, 0)
            if slots is None:
                buffer[start : start + new.shape[0]] = new
                self._use(max(self.used, start + new.shape[0]))
            else:
                buffer.index_copy_(0, slots, new)

    def clear(self, slots: torch.Tensor) -> None:
        """Write zeros to slots that nobody has written and a mask hides: they must not hold NaN."""
        self._cleared = slots
        for side in (self.keys, self.values):
            for buffer in side:
                if buffer is not None:
                    buffer.index_fill_(0, slots, 0)

    def gather(self, slots: torch.Tensor) -> Store:
        """A copy of these slots, in this order."""
        other = Store(len(self.keys), slots.numel())
        for mine, theirs in ((self.keys, other.keys), (self.values, other.values)):
            for layer, buffer in enumerate(mine):
                theirs[layer] = None if buffer is None else buffer.index_select(0, slots)
        other._use(slots.numel())
        return other

    def replace(self, start: int, slots: torch.Tensor) -> None:
        """Put these slots, in this order, where those from ``start`` on stand; a slot of -1 becomes zeros."""
        self.reserve(start + slots.numel())
        missing, source = (slots < 0).nonzero()[:, 0], slots.clamp(min=0)
        chosen = torch.empty(0)  # one for all layers, since memory that is laid out anew for each is not all used again
        for side in (self.keys, self.values):
            for buffer in side:
                if buffer is not None:
                    shape = (slots.numel(), *buffer.shape[1:])
                    chosen = chosen if chosen.shape == shape else buffer.new_empty(shape)
                    torch.index_select(buffer, 0, source, out=chosen).index_fill_(0, missing, 0.0)
                    buffer[start : start + slots.numel()] = chosen
        self._use(start + slots.numel())

    def _use(self, slots: int) -> None:
        self.used, self.most = slots, max(self.most, slots)


class Spare:
    """The buffers of the last store that is done with, for the next: fresh memory costs more than what is written to it."""

    def __init__(self, memory: Memory | None = None) -> None:
        self.memory = memory
        self._store: Store | None = None

    def take(self, num_layers: int, capacity: int) -> Store:
        """A store with room for ``capacity`` slots that hold anything."""
        store, self._store = self._store, None
        if store is not None and self.memory is not None:
            self.memory.release(self)
        if store is None or store.capacity < capacity:
            return Store(num_layers, capacity)
        store.used = 0
        return store

    def give(self, store: Store) -> None:
        """Keep the buffers of a store that nobody will read any more, instead of smaller ones, where memory has room."""
        if self._store is not None and self._store.capacity > store.capacity:
            return
        if self.memory is not None:
            if self._store is not None:
                self.memory.release(self)
                self._store = None
            if self.memory.held + store.nbytes > self.memory.limit:
                return
            self.memory.hold(self, store.nbytes, self.drop, oldest=True)
        self._store = store

    def drop(self) -> None:
        """Give them up."""
        self._store = None


class StemStore:
    """A prefix, laid out when first written; a head's slots stand side by side, where a product runs over them in half
    the time: a layer has keys ``[heads, width, capacity]`` and values ``[heads, capacity, width]``.

    Parameters
    ----------
    num_layers : layers that will write.
    capacity : slots.
    """

    def __init__(self, num_layers: int, capacity: int) -> None:
        self.capacity = capacity
        self.keys: list[torch.Tensor | None] = [None] * num_layers
        self.values: list[torch.Tensor | None] = [None] * num_layers

    @property
    def nbytes(self) -> int:
        """Bytes laid out."""
        return sum(t.numel() * t.element_size() for side in (self.keys, self.values) for t in side if t is not None)

    def run(self, layer: int, start: int, end: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys ``[heads, width, end - start]`` and values ``[heads, end - start, width]`` of a run of slots, views."""
        keys, values = self.keys[layer], self.values[layer]
        assert keys is not None
        assert values is not None
        return keys[:, :, start:end], values[:, start:end]

    def write(
        self, layer: int, start: int, slots: torch.Tensor | None, keys: torch.Tensor, values: torch.Tensor
    ) -> None:
        """Write ``[n, heads, width]`` at slots ``start ..``."""
        assert slots is None
        self._put(layer, start, keys.permute(1, 2, 0), values.transpose(0, 1))

    def segment(self, start: int, end: int, *, copy: bool) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Keys and values of a run of slots a layer, as ``run`` gives them: views, or copies of their own."""
        runs = [self.run(layer, start, end) for layer, keys in enumerate(self.keys) if keys is not None]
        sides = [one[0] for one in runs], [one[1] for one in runs]
        keys, values = ([part.clone() for part in side] if copy else side for side in sides)
        return keys, values

    def put(self, start: int, keys: Sequence[torch.Tensor], values: Sequence[torch.Tensor]) -> None:
        """Write a segment that ``segment`` gave."""
        for layer, (key, value) in enumerate(zip(keys, values, strict=True)):
            self._put(layer, start, key, value)

    def _put(self, layer: int, start: int, key: torch.Tensor, value: torch.Tensor) -> None:
        heads, size, _ = value.shape
        if self.keys[layer] is None:
            self.keys[layer] = key.new_empty((heads, key.shape[1], self.capacity))
            self.values[layer] = value.new_empty((heads, self.capacity, value.shape[2]))
        keys, values = self.run(layer, start, start + size)
        keys.copy_(key)
        values.copy_(value)
