"""Reading a model: next-token probabilities after texts, and probabilities of multi-token continuations.

Knows no domain.  Texts of one call are padded on the right; nothing after a text's end can be seen by it.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import LlamaForCausalLM

from world.tokenizer import Codec

CHUNK = 64


class Reader:
    def __init__(self, model: LlamaForCausalLM, codec: Codec, *, bfloat16: bool = False) -> None:
        self.model, self.codec, self.bfloat16 = model, codec, bfloat16

    @torch.no_grad()
    def log_probabilities(
        self, rows: Sequence[Sequence[int]], positions: Sequence[Sequence[int]]
    ) -> list[torch.Tensor]:
        """For each row, log-probabilities [positions, vocabulary] of the token after each position."""
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        out: list[torch.Tensor] = [torch.empty(0)] * len(rows)
        for start in range(0, len(order), CHUNK):
            chunk = order[start : start + CHUNK]
            longest = max(len(rows[i]) for i in chunk)
            batch = torch.full((len(chunk), longest), self.codec.pad)
            for j, i in enumerate(chunk):
                batch[j, : len(rows[i])] = torch.tensor(rows[i])
            with torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
                hidden = self.model.model(input_ids=batch, use_cache=False).last_hidden_state
            for j, i in enumerate(chunk):
                logits = hidden[j, list(positions[i])].float() @ self.model.lm_head.weight.float().T
                out[i] = logits.log_softmax(-1)
        return out

    def next_token(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Probabilities of the token after each text: [texts, vocabulary]."""
        rows = [self.codec.encode(text) for text in texts]
        found = self.log_probabilities(rows, [[len(row) - 1] for row in rows])
        return torch.cat(found).double().exp().numpy()

    def continuations(self, texts: Sequence[str], endings: Sequence[str]) -> NDArray[np.float64]:
        """Probability of each ending after each text, by the chain rule: [texts, endings]."""
        starts = [self.codec.encode(text) for text in texts]
        tails = [list(self.codec.encode_piece(ending)) for ending in endings]
        rows = [start + tail for start in starts for tail in tails]
        positions = [[len(s) - 1 + k for k in range(len(t))] for s in starts for t in tails]
        found = self.log_probabilities(rows, positions)
        value = [float(found[i][range(len(tail)), tail].sum()) for i, tail in enumerate(tails * len(starts))]
        return np.exp(np.array(value, dtype=np.float64).reshape(len(texts), len(endings)))
