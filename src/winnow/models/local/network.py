"""A causal transformer reduced to its halves: a trunk that feeds tokens, and a readout of log-probabilities.

``trunk`` feeds a flat run of tokens whose attention a ``View`` describes; ``readout`` is the output head, run only where a
probability is read, with whatever scaling or capping the architecture applies after it. ``forward`` and ``causal`` are the
plain forward pass of whole rows, right for every causal model. Log-softmax is float32 whatever the model's dtype.
This file knows token lists, not text.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions

from winnow.models.local.attention import NAME
from winnow.models.local.cache import Spare
from winnow.models.local.decoder import Decoder, decoder_of
from winnow.models.local.view import View
from winnow.values.errors import ModelError

READ_TOGETHER, READ_ROWS = 2**20, 128  # numbers and rows of one block of logits: memory of larger ones is laid out anew


class Counters:
    """What was really fed, beside what a request costs: for benchmarks and tests."""

    def __init__(self) -> None:
        self.tokens_fed = 0  # tokens that went through the trunk or the plain forward, padding left out
        self.tokens_padded = 0  # padding beside them
        self.passes = 0
        self.peak_bytes = 0  # most keys and values laid out at once

    def fed(self, tokens: int, padded: int = 0) -> None:
        """Count one pass."""
        self.tokens_fed, self.tokens_padded, self.passes = (
            self.tokens_fed + tokens,
            self.tokens_padded + padded,
            self.passes + 1,
        )


class _Given(torch.nn.Module):
    """Stands in for the trunk while the readout runs."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = torch.empty(0)

    def forward(self, *args: Any, **kwargs: Any) -> BaseModelOutputWithPastAndCrossAttentions:
        return BaseModelOutputWithPastAndCrossAttentions(last_hidden_state=self.hidden)


class Network:
    """Passes through one model.

    Parameters
    ----------
    model : a transformers causal model in evaluation mode.
    name : named in errors.
    show : text of tokens, for errors.
    """

    def __init__(self, model: Any, *, name: str, show: Callable[[Sequence[int]], str]) -> None:
        self.model, self.name, self.show = model, name, show
        self.wide = False  # whether attention's products of many rows may go through ``linear.wide_bmm``: set at load
        self.whole = model.device.type != "cpu"  # whether attention may be one fused call
        text_config = model.config.get_text_config()
        self.num_layers = int(text_config.num_hidden_layers)
        self.num_heads = int(getattr(text_config, "num_attention_heads", 1))
        self.device: torch.device = model.device
        self.dtype: torch.dtype = model.dtype
        self.counters, self.spare = Counters(), Spare()
        self.token_bytes = 0  # keys and values of one token, once a first pass has shown them
        fitting = READ_TOGETHER // int(text_config.vocab_size)
        self.read_together = max(1, min(READ_ROWS, fitting) if model.device.type == "cpu" else fitting)  # rows
        self._takes_positions = "position_ids" in inspect.signature(model.forward).parameters
        self._native, self._now = model.config._attn_implementation, model.config._attn_implementation
        self._trunk, self._given = model.base_model, _Given()
        self._untouched = torch.zeros((1, 1, 1, 1), dtype=self.dtype, device=self.device)
        self._decoder, self._parameters = decoder_of(model), list(model.parameters())
        self._loaded = self.version
        self._read: torch.Tensor | None = None
        self._gathered = False
        head = model.get_output_embeddings()
        if head is not None:
            head.register_forward_pre_hook(self._gather)

    @property
    def version(self) -> int:
        """Another number when a weight has changed in place."""
        return sum(parameter._version for parameter in self._parameters)

    @property
    def decoder(self) -> Decoder | None:
        """The model without its module tree, as long as its weights are those it was loaded with."""
        return self._decoder if self.version == self._loaded else None

    def tensor(self, values: Any, dtype: torch.dtype = torch.long) -> torch.Tensor:
        """Values on the model's device."""
        return torch.as_tensor(values, dtype=dtype, device=self.device)

    def _attention(self, implementation: str) -> None:
        if self._now != implementation:
            self.model.set_attn_implementation(implementation)
            self._now = implementation

    # ---- the two halves

    def trunk(
        self, tokens: torch.Tensor, positions: torch.Tensor, view: View, read: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Last hidden states ``[n, d]`` of tokens ``[n]`` at positions ``[n]``; keys and values go where ``view`` says.

        ``read`` ``[m]`` names those whose states are wanted, ``[m, d]`` in this order; the others cost less.

        Raises
        ------
        NotImplementedError
            When some layer's attention does not go through transformers' registry.
        """
        self.counters.fed(tokens.numel())
        view.wide, view.whole = self.wide, self.whole
        hidden = self._decode(tokens, positions, view, read)
        if view.layers != self.num_layers:
            raise NotImplementedError(f"{view.layers} of {self.num_layers} layers attend through the registry")
        if not self.token_bytes:
            slot = (t for side in (view.store.keys, view.store.values) for t in side if t is not None)
            self.token_bytes = sum(t.numel() * t.element_size() for t in slot) // view.store.capacity
        return hidden

    def _decode(
        self, tokens: torch.Tensor, positions: torch.Tensor, view: View, read: torch.Tensor | None
    ) -> torch.Tensor:
        if (decoder := self.decoder) is not None:
            return decoder.trunk(tokens, positions, view, read)
        self._attention(NAME)
        output = self._trunk(
            input_ids=tokens[None],
            position_ids=positions[None],
            attention_mask=self._untouched,  # four dimensions pass through as they are; ``view`` says what is seen
            use_cache=False,
            view=view,
        )
        hidden: torch.Tensor = output.last_hidden_state[0]
        return hidden if read is None else hidden[read]

    def readout(self, hidden: torch.Tensor) -> torch.Tensor:
        """Log-probabilities ``[M, V]``, float32, from hidden states ``[M, d]``."""
        if (decoder := self.decoder) is not None:
            logits = decoder.logits(hidden)
        else:
            with self._trunk_given(hidden):
                logits = self.model(input_ids=self._untouched[0, 0].long(), use_cache=False).logits[0]
        logits = logits.float()
        return torch.log_softmax(logits, dim=-1, out=logits)

    @contextlib.contextmanager
    def _trunk_given(self, hidden: torch.Tensor) -> Iterator[None]:
        """Let the model read these states out as if its trunk had just given them."""
        prefix = self.model.base_model_prefix
        self._given.hidden = hidden[None]
        self.model._modules[prefix] = self._given
        try:
            yield
        finally:
            self.model._modules[prefix] = self._trunk

    # ---- the plain forward pass

    def _gather(self, module: torch.nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if self._read is None or not inputs or inputs[0].ndim != 3:
            return None
        self._gathered = True
        return (inputs[0].flatten(0, 1)[self._read][None], *inputs[1:])

    def forward(
        self, tokens: torch.Tensor, positions: torch.Tensor, mask: torch.Tensor, read: torch.Tensor
    ) -> torch.Tensor:
        """Log-probabilities ``[M, V]``, float32, at the flat places ``read`` of whole rows ``tokens``.

        Parameters
        ----------
        tokens, positions : ``[B, T]``.
        mask : ``[B, T]`` of ones (plain causal attention).
        read : ``[M]`` indices into the flattened ``[B * T]``.
        """
        extra = {"position_ids": positions} if self._takes_positions else {}
        self._attention(self._native)
        self._read, self._gathered = read, False
        try:
            output = self.model(input_ids=tokens, attention_mask=mask, use_cache=False, **extra)
        finally:
            self._read = None
        logits = output.logits[0] if self._gathered else output.logits.flatten(0, 1)[read]
        return torch.log_softmax(logits.float(), dim=-1)

    def causal(self, rows: Sequence[Sequence[int]], read: Sequence[Sequence[int]]) -> torch.Tensor:
        """Log-probabilities after positions ``read[i]`` of each whole row, in order: ``[sum of len(read[i]), V]``.

        The row's tail of padding comes after everything that is read, so causality alone keeps it out of sight.
        """
        num, width = len(rows), max(map(len, rows))
        tokens = torch.zeros((num, width), dtype=torch.long)
        for index, row in enumerate(rows):
            tokens[index, : len(row)] = torch.as_tensor(row)
            tokens[index, len(row) :] = row[-1]
        real = sum(map(len, rows))
        self.counters.fed(real, num * width - real)
        places = [index * width + place for index, row in enumerate(read) for place in row]
        positions = torch.arange(width, device=self.device).expand(num, width)
        ones = torch.ones((num, width), dtype=torch.long, device=self.device)
        logprob = self.forward(tokens.to(self.device), positions, ones, self.tensor(places))
        owner = [index for index, row in enumerate(read) for _ in row]
        self.check(logprob, lambda place: rows[owner[place]])
        return logprob

    def check(self, logprob: torch.Tensor, sequence: Callable[[int], Sequence[int]]) -> None:
        """Make sure these are log-probabilities. One bad logit makes its whole row NaN, so one column tells.

        Raises
        ------
        ModelError
            When one is not a number; names the model and the end of the text it was given.
        """
        bad = torch.isnan(logprob[:, 0])
        if bool(bad.any()):
            text = self.show(sequence(int(bad.nonzero()[0, 0])))
            shown = text if len(text) <= 60 else "..." + text[-57:]
            raise ModelError(
                f"{self.name}: log-probabilities are not numbers (NaN) after the prompt {shown!r} "
                "(the weights may be damaged, or try dtype='float32')"
            )
