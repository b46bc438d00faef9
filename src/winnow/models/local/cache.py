"""Keys and values in buffers that are laid out once and written in place.

transformers' own ``DynamicLayer`` copies everything it holds at every step; here a step writes its columns and the
attention reads a view. Knows nothing of masks or positions.
"""

from __future__ import annotations

import torch
from transformers.cache_utils import Cache, CacheLayerMixin


class Columns(CacheLayerMixin):  # type: ignore[misc]
    """One layer's keys and values, ``[B, heads, capacity, d]`` each, of which the first ``used`` columns are written.

    Raises
    ------
    RuntimeError
        From torch, when more columns are written than there is room for.
    """

    is_sliding = False

    def __init__(self, capacity: int) -> None:
        super().__init__()
        self.capacity, self.used = capacity, 0

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        rows, heads, _, width = key_states.shape
        self.keys = key_states.new_empty((rows, heads, self.capacity, width))
        self.values = value_states.new_empty((rows, heads, self.capacity, value_states.shape[-1]))
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: object, **kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        start, self.used = self.used, self.used + key_states.shape[-2]
        self.keys[:, :, start : self.used] = key_states
        self.values[:, :, start : self.used] = value_states
        return self.keys[:, :, : self.used], self.values[:, :, : self.used]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.used + query_length, 0

    def get_seq_length(self) -> int:
        return self.used

    def get_max_length(self) -> int:
        return self.capacity

    def select(self, rows: torch.Tensor, capacity: int) -> Columns:
        """A copy holding ``rows`` (in that order, repeats allowed) with room for ``capacity`` columns."""
        other = Columns(capacity)
        if self.is_initialized:
            shape = self.keys.shape
            other.keys = self.keys.new_empty((rows.numel(), shape[1], capacity, shape[3]))
            other.values = self.values.new_empty((rows.numel(), shape[1], capacity, self.values.shape[3]))
            other.keys[:, :, : self.used] = self.keys[rows, :, : self.used]
            other.values[:, :, : self.used] = self.values[rows, :, : self.used]
            other.used, other.is_initialized = self.used, True
        return other


def new_cache(num_layers: int, capacity: int) -> Cache:
    """An empty cache of ``num_layers`` layers with room for ``capacity`` columns a row."""
    return Cache(layers=[Columns(capacity) for _ in range(num_layers)])


def select_rows(cache: Cache, rows: torch.Tensor, capacity: int) -> Cache:
    """A copy of the cache that holds ``rows``, with room for ``capacity`` columns."""
    return Cache(layers=[layer.select(rows, capacity) for layer in cache.layers])
