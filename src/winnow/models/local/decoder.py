"""Decoders of Llama's shape, run without their module tree: the same weights, a third of the calls.

A step of a small model over a few rows is bound by dispatch. Here the query, key and value products are one, but in the
last layer, of which some tokens need keys and values alone; gate and up are one, rotations are one kernel, and nothing
but tensors is passed on. Laid out once at load, for exactly the classes named below and only where the weights are small
enough to be held twice; checked against the module tree on one row before use, and left alone if it differs. Everything
else goes through the module tree.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch.nn.functional import linear, rms_norm, silu

from winnow.models.local.attention import read_view, write_view
from winnow.models.local.cache import StemStore, Store
from winnow.models.local.linear import Packed
from winnow.models.local.view import View

SHAPED = ("LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM")
LARGEST = 2**28  # parameters; above, products take all the time
TOLERANCE, COARSE = 2e-5, 5e-2  # of the largest hidden state, in float32 and in half precision
PROBE = 17  # tokens

Product = Callable[[torch.Tensor], torch.Tensor]
_Norm = tuple[torch.Tensor | None, float]  # weight, None where it is in the products behind it; epsilon


class _Layer(NamedTuple):
    before_attention: _Norm
    query_key_value: Product
    query_norm: _Norm | None
    key_norm: _Norm | None
    out: Product
    before_gate: _Norm
    gate_up: Product
    down: Product


class Decoder:
    """The trunk and the readout of one model.

    Parameters
    ----------
    model : one of the classes in ``SHAPED``, in evaluation mode.
    """

    def __init__(self, model: Any) -> None:
        config = model.config
        attention = model.model.layers[0].self_attn
        self.width = int(attention.head_dim)
        self.heads, self.few = int(config.num_attention_heads), int(config.num_key_value_heads)
        self.scaling = float(attention.scaling)
        self.embedding, self.head = model.model.embed_tokens, _own(model.lm_head)
        self.last = _norm(model.model.norm)
        self.layers = [_layer(layer) for layer in model.model.layers]
        final = model.model.layers[-1]
        self.query = _projected(final, "q_proj")  # the last layer's, apart
        self.key_value = _projected(final, "k_proj", "v_proj")
        length = int(config.max_position_embeddings)
        cos, sin = model.model.rotary_emb(
            self.embedding.weight[:1, None], torch.arange(length, device=model.device)[None]
        )
        half = self.width // 2
        self.turn = torch.stack([cos[0, :, :half], sin[0, :, :half]], -1)[:, None]  # [positions, 1, width / 2, 2]

    def trunk(
        self, tokens: torch.Tensor, positions: torch.Tensor, view: View, read: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Last hidden states ``[T, d]``; of tokens ``read`` ``[m]`` alone where that is given: ``[m, d]``.

        Of a token that is not read the last layer makes its key and value and no more.
        """
        hidden: torch.Tensor = self.embedding(tokens)
        turn = self.turn[positions]
        last = len(self.layers) - 1
        for index, layer in enumerate(self.layers):  # halves of their own, so that what they lay out is given back
            if index == last and read is not None:
                attended = self._read_attended(index, layer, hidden, turn, view, read)
                hidden = hidden[read]
                if not read.numel():
                    return hidden
            else:
                attended = self._attended(index, layer, hidden, turn, view)
            hidden = hidden.add_(attended)
            del attended
            hidden = hidden.add_(_fed_forward(layer, hidden))
        return _normed(hidden, self.last)

    def _attended(
        self, index: int, layer: _Layer, hidden: torch.Tensor, turn: torch.Tensor, view: View
    ) -> torch.Tensor:
        """What attention adds to hidden states ``[T, d]``; ``turn`` ``[T, 1, width / 2, 2]`` is for their positions."""
        rows, size = hidden.shape[0], self.heads + self.few
        mixed = layer.query_key_value(_normed(hidden, layer.before_attention)).view(rows, -1, self.width)
        both = mixed[:, :size]
        if layer.query_norm is not None and layer.key_norm is not None:
            query = _normed(both[:, : self.heads], layer.query_norm)
            both = torch.cat([query, _normed(both[:, self.heads :], layer.key_norm)], 1)
        both = _turned(both, turn)
        write_view(index, both[:, self.heads :], mixed[:, size:], view)
        del mixed  # attention lays out as much again
        seen = read_view(index, both[:, : self.heads], self.scaling, view)
        return layer.out(seen.reshape(rows, -1))

    def _read_attended(
        self, index: int, layer: _Layer, hidden: torch.Tensor, turn: torch.Tensor, view: View, read: torch.Tensor
    ) -> torch.Tensor:
        """The same for ``read`` ``[m]`` alone; every token's key and value is written."""
        rows, num = hidden.shape[0], read.numel()
        normed = _normed(hidden, layer.before_attention)
        pair = self.key_value(normed).view(rows, -1, self.width)
        key = pair[:, : self.few] if layer.key_norm is None else _normed(pair[:, : self.few], layer.key_norm)
        write_view(index, _turned(key, turn), pair[:, self.few :], view)
        if not num:
            return hidden[:0]
        query = self.query(normed[read]).view(num, -1, self.width)
        query = query if layer.query_norm is None else _normed(query, layer.query_norm)
        query = _turned(query, turn[read])
        return layer.out(read_view(index, query, self.scaling, view.only(read)).reshape(num, -1))

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """``[M, V]``."""
        return self.head(hidden)


def decoder_of(model: Any) -> Decoder | None:
    """A decoder for a model of the right class and size that gives its hidden states; None for any other."""
    config = model.config
    kinds = set(getattr(config, "layer_types", None) or [])
    plain = getattr(config, "hidden_act", "") == "silu" and kinds <= {"full_attention", "sliding_attention"}
    rope = getattr(config, "rope_parameters", None) or {}
    if type(model).__name__ not in SHAPED or not plain or rope.get("rope_type") != "default":
        return None
    if sum(weight.numel() for weight in model.parameters()) > LARGEST:
        return None
    with torch.inference_mode():
        decoder = Decoder(model)
        return decoder if _agrees(model, decoder) else None


def _agrees(model: Any, decoder: Decoder) -> bool:
    """Whether both give the same hidden states for one row."""
    num = min(PROBE, int(model.config.max_position_embeddings))
    tokens = torch.arange(num, device=model.device) * 7 % int(model.config.vocab_size)
    causal = torch.full((num, num), -torch.inf, dtype=model.dtype, device=model.device).triu(1)
    store = Store(len(decoder.layers), num)
    view = View(queries=num, store=store, write_start=0, write_slots=None, seen=((store, 0, num),), seen_mask=causal)
    positions = torch.arange(num, device=model.device)
    own = decoder.trunk(tokens, positions, view).float()
    stem = StemStore(len(decoder.layers), num)
    view = View(queries=num, store=stem, write_start=0, write_slots=None, seen=((stem, 0, num),), seen_mask=causal)
    some = positions[num // 2 :]
    read = decoder.trunk(tokens, positions, view, some).float()
    expected = model.model(input_ids=tokens[None], use_cache=False).last_hidden_state[0].float()
    tolerance = TOLERANCE if model.dtype == torch.float32 else COARSE
    error = max((own - expected).abs().max(), (read - expected[some]).abs().max())
    return bool(error <= tolerance * expected.abs().max())


def _layer(layer: Any) -> _Layer:
    attention, mlp = layer.self_attn, layer.mlp
    return _Layer(
        before_attention=_norm(layer.input_layernorm, folded=True),
        query_key_value=_projected(layer, "q_proj", "k_proj", "v_proj"),
        query_norm=_paired_norm(attention.q_norm) if hasattr(attention, "q_norm") else None,
        key_norm=_paired_norm(attention.k_norm) if hasattr(attention, "k_norm") else None,
        out=_own(attention.o_proj),
        before_gate=_norm(layer.post_attention_layernorm, folded=True),
        gate_up=_joined([mlp.gate_proj, mlp.up_proj], layer.post_attention_layernorm.weight),
        down=_own(mlp.down_proj),
    )


def _projected(layer: Any, *names: str) -> Product:
    """Some of a layer's query, key and value products as one, behind its norm; queries and keys come in pairs that turn."""
    attention = layer.self_attn
    width = int(attention.head_dim)
    orders = [_pairs(width) if name != "v_proj" else torch.arange(width) for name in names]
    return _joined([getattr(attention, name) for name in names], layer.input_layernorm.weight, orders)


def _pairs(width: int) -> torch.Tensor:
    """The order in which the two numbers that a rotation mixes, half a head apart, stand side by side."""
    return torch.arange(width).view(2, -1).t().reshape(-1)


def _fed_forward(layer: _Layer, hidden: torch.Tensor) -> torch.Tensor:
    """What the feed-forward half adds to hidden states ``[T, d]``."""
    gate, up = layer.gate_up(_normed(hidden, layer.before_gate)).chunk(2, -1)
    return layer.down(silu(gate).mul_(up))


def _joined(layers: list[Any], norm: torch.Tensor, orders: list[torch.Tensor] | None = None) -> Product:
    """Several products of the same input as one, packed as they are, in float32 with the weight of the norm before them.

    ``orders``: how the numbers of each head of each product are put.
    """
    weights = [layer.weight.detach() for layer in layers]
    if norm.dtype == torch.float32:  # shorter numbers would be rounded once more
        weights = [weight * norm.detach() for weight in weights]
    biases = [None if layer.bias is None else layer.bias.detach() for layer in layers]
    if orders is not None:
        weights = [_ordered(weight, order) for weight, order in zip(weights, orders, strict=True)]
        biases = [None if b is None else _ordered(b, order) for b, order in zip(biases, orders, strict=True)]
    weight, biased = torch.cat(weights), [b for b in biases if b is not None]
    bias = torch.cat(biased) if len(biased) == len(layers) else None
    if all(isinstance(layer, Packed) for layer in layers):
        product: Product = layers[0].make(weight, bias)
        return product
    return lambda x: linear(x, weight, bias)


def _ordered(rows: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
    """``[heads * width, ...]`` with each head's numbers in this order."""
    return rows.view(-1, order.numel(), *rows.shape[1:])[:, order.to(rows.device)].reshape(rows.shape)


def _own(layer: Any) -> Product:
    """A layer's product, without what a module does around it."""
    product: Product = layer.product if isinstance(layer, Packed) else layer
    return product


def _norm(module: Any, *, folded: bool = False) -> _Norm:
    """``folded``: its weight is in the products behind it, where it can be (see ``_joined``)."""
    weight = module.weight.detach()
    return None if folded and weight.dtype == torch.float32 else weight, float(module.variance_epsilon)


def _paired_norm(module: Any) -> _Norm:
    weight = module.weight.detach()
    return _ordered(weight, _pairs(weight.numel())), float(module.variance_epsilon)


def _normed(x: torch.Tensor, norm: _Norm) -> torch.Tensor:
    """Root-mean-square normalisation; PyTorch's own lays out four buffers on the way, which takes ten times as long."""
    weight, epsilon = norm
    if x.dtype != torch.float32 or not x.is_cpu:
        return rms_norm(x, x.shape[-1:], weight, epsilon)
    size = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    result: torch.Tensor = x * size.square_().div_(x.shape[-1]).add_(epsilon).rsqrt_()
    return result if weight is None else result.mul_(weight)


def _turned(x: torch.Tensor, turn: torch.Tensor) -> torch.Tensor:
    """Queries or keys ``[T, heads, width]`` rotated to their positions: pairs of numbers, as complex ones, by ``turn``."""
    paired = x.view(*x.shape[:-1], -1, 2)
    if x.dtype == torch.float32:
        return torch.view_as_real(torch.view_as_complex(paired) * torch.view_as_complex(turn)).flatten(-2)
    real, imaginary = paired.unbind(-1)
    cos, sin = turn.unbind(-1)
    return torch.stack([real * cos - imaginary * sin, real * sin + imaginary * cos], -1).flatten(-2)
