"""A causal transformer reduced to one operation: log-probabilities at chosen positions of a forward pass.

The output head runs only where a probability is read: a hook on the head gathers those rows before the product, so any
scaling or capping the architecture applies afterwards still applies. Log-softmax is float32 whatever the model's dtype.
Rows are padded on the right only. This file knows token lists, not text.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch

from winnow.values.errors import ModelError

MIN_ROWS = 8  # products of fewer rows than this go through other kernels, whose last bits differ more


class Network:
    """Forward passes of one model.

    Parameters
    ----------
    model : a transformers causal model in evaluation mode.
    name : named in errors.
    show : text of tokens, for errors.
    """

    def __init__(self, model: Any, *, name: str, show: Callable[[Sequence[int]], str]) -> None:
        self.model, self.name, self.show = model, name, show
        text_config = model.config.get_text_config()
        self.num_layers = int(text_config.num_hidden_layers)
        self.device: torch.device = model.device
        self.dtype: torch.dtype = model.dtype
        self.lowest = float(torch.finfo(self.dtype).min)
        parameters = inspect.signature(model.forward).parameters
        self._takes_positions = "position_ids" in parameters
        self._read: torch.Tensor | None = None
        self._gathered = False
        head = model.get_output_embeddings()
        if head is not None:
            head.register_forward_pre_hook(self._gather)

    def _gather(self, module: torch.nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if self._read is None or not inputs or inputs[0].ndim != 3:
            return None
        self._gathered = True
        return (inputs[0].flatten(0, 1)[self._read][None], *inputs[1:])

    def tensor(self, values: Any, dtype: torch.dtype = torch.long) -> torch.Tensor:
        """Values on the model's device."""
        return torch.as_tensor(values, dtype=dtype, device=self.device)

    def forward(
        self, tokens: torch.Tensor, positions: torch.Tensor, mask: torch.Tensor, read: torch.Tensor, cache: Any = None
    ) -> torch.Tensor:
        """Log-probabilities ``[M, V]``, float32, at the flat places ``read`` of ``tokens``.

        Parameters
        ----------
        tokens, positions : ``[B, T]``.
        mask : ``[B, T]`` of ones (plain causal attention) or additive ``[B, 1, T, columns]``.
        read : ``[M]`` indices into the flattened ``[B * T]``.
        cache : where keys and values go; None to keep none.
        """
        num = read.numel()
        padded = read if num >= MIN_ROWS else torch.cat([read, read[:1].expand(MIN_ROWS - num)])
        extra = {"position_ids": positions} if self._takes_positions else {}
        self._read, self._gathered = padded, False
        try:
            output = self.model(
                input_ids=tokens, attention_mask=mask, past_key_values=cache, use_cache=cache is not None, **extra
            )
        finally:
            self._read = None
        logits = output.logits[0] if self._gathered else output.logits.flatten(0, 1)[padded]
        return torch.log_softmax(logits[:num].float(), dim=-1)

    def causal(self, rows: Sequence[Sequence[int]], read: Sequence[Sequence[int]], cache: Any = None) -> torch.Tensor:
        """Log-probabilities after positions ``read[i]`` of each whole row, in order: ``[sum of len(read[i]), V]``.

        The row's tail of padding comes after everything that is read, so causality alone keeps it out of sight.
        """
        num, width = len(rows), max(map(len, rows))
        while num * width < MIN_ROWS:
            width += 1
        tokens = torch.zeros((num, width), dtype=torch.long)
        for index, row in enumerate(rows):
            tokens[index, : len(row)] = torch.as_tensor(row)
            tokens[index, len(row) :] = row[-1]
        places = [index * width + place for index, row in enumerate(read) for place in row]
        positions = torch.arange(width, device=self.device).expand(num, width)
        ones = torch.ones((num, width), dtype=torch.long, device=self.device)
        logprob = self.forward(tokens.to(self.device), positions, ones, self.tensor(places), cache)
        owner = [index for index, row in enumerate(read) for _ in row]
        self.check(logprob, lambda place: rows[owner[place]])
        return logprob

    def check(self, logprob: torch.Tensor, sequence: Callable[[int], Sequence[int]]) -> None:
        """Make sure these are log-probabilities.

        Raises
        ------
        ModelError
            When one is not a number; names the model and the end of the text it was given.
        """
        bad = torch.isnan(logprob).any(dim=-1)
        if bool(bad.any()):
            text = self.show(sequence(int(bad.nonzero()[0, 0])))
            shown = text if len(text) <= 60 else "..." + text[-57:]
            raise ModelError(
                f"{self.name}: log-probabilities are not numbers (NaN) after the prompt {shown!r} "
                "(the weights may be damaged, or try dtype='float32')"
            )
