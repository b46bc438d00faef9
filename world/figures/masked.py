"""How well the masked model fills in: 15 % of the tokens of every domain, and values in prose, beside baselines."""

from typing import Any

import numpy as np
import torch
from transformers import ModernBertForMaskedLM

from world.corpus import Corpus, Stream
from world.facts import World
from world.masked import Masker
from world.recipe import EVERYTHING
from world.statistics import share
from world.tokenizer import SPECIALS, Codec

NUM_ROWS, NUM_PROSE_ROWS = 64, 256
BASELINE_ROWS = 256


def masked_accuracy(model: ModernBertForMaskedLM, codec: Codec, world: World) -> dict[str, Any]:
    """Shares of hidden tokens filled in right.

    Baselines know no sentence: the most frequent token of all, and the most frequent between the two neighbours
    (backing off to the left one, then to none) counted on other rows of the same mixture.
    """
    corpus = Corpus(world)
    masker = Masker(codec, world, "measure")
    found: dict[str, Any] = {}
    full = Stream(corpus, codec, EVERYTHING, rows=NUM_ROWS, length=256, key="measure masked")
    prose = Stream(corpus, codec, {"prose": 1.0}, rows=NUM_PROSE_ROWS, length=256, key="measure masked prose")
    tokens = torch.from_numpy(full.batch(0)[0][:, :-1])
    hidden = masker(tokens, rate=0.15, value_rate=0.0)
    found["every domain, 15 % hidden"] = share(_filled(model, codec, tokens, hidden)).rounded()
    found["baseline, neighbours"] = share(_by_neighbours(corpus, codec, tokens.numpy(), hidden.numpy())).rounded()
    ordinary = tokens[tokens >= len(SPECIALS)]
    commonest = ordinary.bincount().argmax()
    found["baseline, most frequent token"] = share((tokens[hidden] == commonest).numpy()).rounded()
    tokens = torch.from_numpy(prose.batch(0)[0][:, :-1])
    hidden = masker(tokens, rate=0.0, value_rate=0.15)
    found["values in prose"] = share(_filled(model, codec, tokens, hidden)).rounded()
    values = tokens[masker.is_value[tokens]]
    found["baseline, most frequent value"] = share((tokens[hidden] == values.bincount().argmax()).numpy()).rounded()
    return found


@torch.no_grad()
def _filled(model: ModernBertForMaskedLM, codec: Codec, tokens: torch.Tensor, hidden: torch.Tensor) -> np.ndarray:
    right = []
    for start in range(0, len(tokens), 16):
        part, gone = tokens[start : start + 16], hidden[start : start + 16]
        logits = model(input_ids=part.masked_fill(gone, codec.mask)).logits
        right.append((logits[gone].argmax(-1) == part[gone]).numpy())
    return np.concatenate(right)


def _by_neighbours(corpus: Corpus, codec: Codec, tokens: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    counts: dict[tuple[int, ...], dict[int, int]] = {}
    stream = Stream(corpus, codec, EVERYTHING, rows=BASELINE_ROWS, length=256, key="measure baseline")
    for row in stream.batch(0)[0].tolist():
        for left, middle, right in zip(row, row[1:], row[2:], strict=False):
            for key in ((left, right), (left,), ()):
                seen = counts.setdefault(key, {})
                seen[middle] = seen.get(middle, 0) + 1
    best = {key: max(seen, key=seen.__getitem__) for key, seen in counts.items()}
    found = []
    for row, gone in zip(tokens.tolist(), hidden.tolist(), strict=True):
        for i, is_hidden in enumerate(gone):
            if is_hidden:
                left, right = (row[j] if 0 <= j < len(row) and not gone[j] else -1 for j in (i - 1, i + 1))
                guess = best.get((left, right), best.get((left,), best[()]))
                found.append(guess == row[i])
    return np.array(found)
