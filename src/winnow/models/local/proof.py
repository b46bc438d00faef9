"""The small comparison with which each loaded model proves that batching does not change its answers.

Ragged rows in one batch, a cached step, a trie of continuations and a token tree that grows are set beside the plain
forward pass of single rows; small models also show a row that is longer than a segment of a stored prefix and than what
takes attention's other products. When only the cached path disagrees, the model is answered by the plain one and says so
once; when batching itself disagrees, the model is refused.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch

from winnow.models.local.network import Network
from winnow.models.local.score import score_cached
from winnow.models.local.session import CachedSession, SlowPathWarning
from winnow.models.local.stem import new_stem
from winnow.models.local.tree_cache import TreeCache
from winnow.values.errors import CapabilityError
from winnow.values.tree import Tree

TOLERANCE = {torch.float32: 1e-4}  # absolute, plus a tenth of it per unit of log-probability
COARSE = 0.25  # for half-precision weights
LONG, SMALL = 140, 2**28  # tokens of a row that models of at most so many parameters show


def reach(network: Network, context_length: int) -> int:
    """Up to which row length the cached path is right: the context, a sliding window, or 0.

    Raises
    ------
    CapabilityError
        When rows in a batch get other answers than alone.
    """
    rows = _probe_rows(network, context_length)
    with torch.inference_mode():
        alone = torch.cat([network.model(input_ids=network.tensor([row])).logits[0, -1:] for row in rows])
        expected = torch.log_softmax(alone.float(), dim=-1)
        together = network.causal(rows, [[len(row) - 1] for row in rows])
        if not _agree(together, expected, network.dtype):
            raise CapabilityError(
                f"{type(network.model).__name__} gives other answers in a batch than alone",
                where=network.name,
                remedy="it is not causal, or pays attention to padding; choose another model",
            )
        limit = min(context_length, window(network.model.config.get_text_config(), context_length))
        short = [index for index, row in enumerate(rows) if len(row) <= limit]
        reason = "some layers keep no keys and values" if not limit else ""
        if short:
            reason = _cached_disagrees(network, [rows[index] for index in short], expected[short])
    if reason:
        warnings.warn(
            f"{network.name}: {type(network.model).__name__} is answered without a cache, which is slower ({reason})",
            SlowPathWarning,
            stacklevel=2,
        )
        return 0
    return limit


def window(config: Any, context_length: int) -> int:
    """The longest row in which every layer attends to everything before it; 0 when some layer does not attend."""
    kinds = set(getattr(config, "layer_types", None) or [])
    if kinds - {"full_attention", "sliding_attention", "chunked_attention"}:
        return 0
    limit = context_length
    if getattr(config, "use_sliding_window", True) and kinds != {"full_attention"}:
        limit = getattr(config, "sliding_window", None) or limit
    if "chunked_attention" in kinds:
        limit = min(limit, getattr(config, "attention_chunk_size", None) or limit)
    if "local" in (getattr(config, "attention_layers", None) or []):
        limit = min(limit, getattr(config, "window_size", None) or limit)
    return int(limit)


def _probe_rows(network: Network, context_length: int) -> list[list[int]]:
    """Ragged rows of ordinary tokens that begin alike and then differ."""
    size = int(network.model.config.get_text_config().vocab_size)
    small = sum(weight.numel() for weight in network.model.parameters()) <= SMALL
    lengths = sorted({max(1, min(length, context_length - 2)) for length in (3, 9, 17, *([LONG] if small else []))})
    return [[(7 + 13 * place + 5 * (place // 2) * row) % size for place in range(n)] for row, n in enumerate(lengths)]


def _cached_disagrees(network: Network, rows: list[list[int]], expected: torch.Tensor) -> str:
    """Compare prefill, one step and a small tree; the reason to distrust the cache, empty when there is none."""
    size = expected.shape[1]
    heads, steps = [row[:-1] for row in rows if len(row) > 1], [row[-1] for row in rows if len(row) > 1]
    if not heads:
        return ""
    try:
        session = CachedSession(network, heads, 1)
        tokens = steps + steps[:1] * (session.first.shape[0] - len(steps))
        stepped = session.step(network.tensor(tokens))[: len(steps)]
        tails: list[list[list[int] | None]] = [[[step, 1 % size], [(step + 1) % size, 2 % size], [0]] for step in steps]
        scored, _ = score_cached(network, heads, tails)
        grown = _grown(network, heads, steps)
    except Exception as error:  # an architecture that takes no cache of ours may raise anything
        return f"the cache raised {type(error).__name__}"
    if not _agree(stepped, expected[-len(steps) :], network.dtype):
        return "the cached step disagrees with the plain forward"
    first = network.causal(heads, [[len(head) - 1] for head in heads])
    if not _agree(grown, torch.cat([first, expected[-len(steps) :]]), network.dtype):
        return "the growing tree disagrees with the plain forward"
    for row, (step, values) in enumerate(zip(steps, scored, strict=True)):
        chain = first[row, step] + expected[len(rows) - len(steps) + row, 1 % size]
        if not _agree(torch.tensor([values[0]]), chain[None].double().cpu(), network.dtype):
            return "the trie of continuations disagrees with the plain forward"
    return ""


def _grown(network: Network, heads: list[list[int]], steps: list[int]) -> torch.Tensor:
    """Log-probabilities after ``heads``, fed as roots of one tree, and then after their children."""
    tree, read = Tree(heads), []
    cache = TreeCache(tree.prompts)
    for nodes in (np.arange(len(heads)), None):
        if nodes is None:
            tree, nodes = tree.append(np.arange(len(heads)), steps, np.zeros(len(steps)))
        texts = cache.texts(tree)[nodes]
        cache.feed(network, lambda: new_stem(network, heads[0][: cache.shared]), cache.missing(texts))
        read.append(network.readout(cache.hidden(texts)))
    return torch.cat(read)


def _agree(one: torch.Tensor, other: torch.Tensor, dtype: torch.dtype) -> bool:
    tolerance = TOLERANCE.get(dtype, COARSE)
    return bool(torch.allclose(one, other, atol=tolerance, rtol=0.1 * tolerance))
