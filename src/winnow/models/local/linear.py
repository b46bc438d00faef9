"""Faster products of a loaded model's own weights on a CPU, float32's accuracy kept.

PyTorch takes float32 products through MKL, which on some CPUs reaches less than half of what the core can do; oneDNN, with
the weights laid out for it beforehand, reaches the rest. Three ways, the first that is there and right is used:

- ``prepacked``: the weights of every linear layer laid out once (operators private to PyTorch, reached from here only);
- ``switched``: the public ``torch.backends.mkldnn.matmul.fp32_precision``, set around a product and put back after it;
- ``stock``: as PyTorch would.

The check is numerical, since the switch's name is a permission to compute in bfloat16, of which some CPUs make use: this
model's own layers, against float64. Nothing is timed, so that a model's bytes do not depend on how busy the machine
was. oneDNN compiles a product for each shape it meets and keeps the last 1,024 of them, half a megabyte each, and PyTorch
keeps as many descriptions of such products, half a megabyte each again: a gigabyte once row counts have varied, for any
model. Twenty compiled products, some more than a pass takes, and one description are as fast (measured; with none
PyTorch crashes). The environment tells them so, for the whole process, those it starts, and only before its first
product, unless it says otherwise already. Nothing else that is global stays changed. A layer whose weight has changed
since, or that is being trained, or that is given few rows, multiplies as PyTorch would; the decoder, which knows
neither modules nor training, takes every row the fast way, but for products too small to be worth a call.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeAlias

import torch
from torch.nn.functional import linear
from transformers.pytorch_utils import Conv1D

KEPT = {  # how many compiled products and their descriptions are kept, by the names of the environment that say so
    ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "DNNL_PRIMITIVE_CACHE_CAPACITY"): 20,
    ("LRU_CACHE_CAPACITY",): 1,
}
MIN_ROWS = 8  # measured: with fewer rows of a module's own the stock product is as fast
WORTH, WORTH_WIDE = 2**19, 2**20  # multiplications of a product that pay for oneDNN's 10 microseconds a call (measured)
SMALL = 2**17  # numbers of a weight that is also kept as it was, for products that do not
TOLERANCE = {
    torch.float32: 1e-5,
    torch.bfloat16: 2e-2,
}  # of the product's norm; float32 itself is near 3e-7, bfloat16 4e-3
WIDE = 128  # rows of a product from which ``wide_bmm`` takes the switch
PROBES = (1, 8, 33)  # rows of the products that are checked

Product: TypeAlias = Callable[[torch.Tensor], torch.Tensor]
"""Rows ``[..., in]`` to ``[..., out]``."""


class Packing(NamedTuple):
    """What ``pack`` did."""

    way: str  # "prepacked", "switched" or "stock"
    error: float  # largest relative error of the layers' products against float64, as far as they were checked
    reason: str = ""  # why not a way before
    wide: bool = False  # whether ``wide_bmm`` is as accurate on this machine, for attention to use


def pack(model: torch.nn.Module) -> Packing:
    """Let the linear layers of ``model`` multiply in the fastest way that is right.

    Guarantees: names, parameters and gradients of the model stay what they were; a product differs from
    float64's by at most 1e-5 of its norm (bfloat16 weights: 2e-2), as checked on one layer of each shape. ``prepacked``
    needs as much memory again as the weights, and is left out where that is more than a third of the machine's.
    """
    places = list(_linears(model))
    if not places:
        return Packing("stock", 0.0, "no linear layers")
    weight = places[0][2].weight
    if weight.device.type != "cpu" or weight.dtype not in TOLERANCE:
        return Packing("stock", 0.0, f"{weight.dtype} on {weight.device.type}".removeprefix("torch."))
    for names, num in KEPT.items():
        if not any(name in os.environ for name in names):
            os.environ[names[0]] = str(num)
    reasons = []
    for way, make in (("prepacked", prepacked), ("switched", switched)):
        if way == "prepacked" and 3 * sum(w.weight.nbytes for *_, w in places) > _memory():
            reasons.append(f"{way}: the weights are more than a third of this machine's memory")
            continue
        try:
            layers = [Packed(layer, make) for *_, layer in places]
            error = max(_error(layer) for layer in {(x.out_features, x.in_features): x for x in layers}.values())
        except (RuntimeError, AttributeError, NotImplementedError) as problem:  # not in this build of PyTorch
            reasons.append(f"{way}: {str(problem).splitlines()[0][:80]}")
            continue
        if not error <= TOLERANCE[weight.dtype]:
            reasons.append(f"{way}: relative error {error:.1e}")
            continue
        for (parent, name, _), layer in zip(places, layers, strict=True):
            setattr(parent, name, layer)
        return Packing(way, error, "; ".join(reasons), weight.dtype == torch.float32 and _wide_is_right())
    return Packing("stock", 0.0, "; ".join(reasons))


def wide_bmm(
    one: torch.Tensor, other: torch.Tensor, *, out: torch.Tensor | None = None, least: int = WIDE
) -> torch.Tensor:
    """``torch.bmm`` on a CPU with the public switch on where there are many rows: there it is twice as fast.

    ``least`` rows: measured, with fewer than 128 it is slower (64, where the result is narrow; 32, where ``other`` is
    laid out for it), a matrix times a vector by an order of magnitude.
    """
    few = one.shape[1] < least or one.numel() * other.shape[2] < WORTH_WIDE
    if few or not one.is_cpu or one.dtype != torch.float32:
        return torch.bmm(one, other) if out is None else torch.bmm(one, other, out=out)
    with _switched_on():
        return torch.bmm(one, other) if out is None else torch.bmm(one, other, out=out)


@contextlib.contextmanager
def _switched_on() -> Iterator[None]:
    settings = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    before = settings.fp32_precision
    settings.fp32_precision = "bf16"
    try:
        yield
    finally:
        settings.fp32_precision = before


def prepacked(weight: torch.Tensor, bias: torch.Tensor | None) -> Product:
    """Products with a weight ``[out, in]`` that is laid out for oneDNN once."""
    laid_out = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), 64)
    multiply = torch.ops.mkldnn._linear_pointwise.default

    def product(x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = multiply(x, laid_out, bias, "none", [], "")
        return result

    if weight.numel() > SMALL:
        return product
    outputs = weight.shape[0]
    return lambda x: linear(x, weight, bias) if x.numel() * outputs < WORTH else product(x)


def switched(weight: torch.Tensor, bias: torch.Tensor | None) -> Product:
    """Products with the public switch on, which is put back after each."""
    with _switched_on():  # raises here where there is no such switch
        pass

    def product(x: torch.Tensor) -> torch.Tensor:
        with _switched_on():
            return linear(x, weight, bias)

    return product


class Packed(torch.nn.Module):
    """A linear layer that multiplies in its own way where that is faster, and as PyTorch would elsewhere."""

    def __init__(self, layer: torch.nn.Linear | Conv1D, make: Callable[..., Product]) -> None:
        super().__init__()
        self.weight, self.bias, self.make = layer.weight, layer.bias, make
        self.transposed = isinstance(layer, Conv1D)  # GPT-2 keeps its weights as [in, out]
        matrix = self.matrix().detach()
        self.out_features, self.in_features = matrix.shape
        self.training, self.dtype, self.version = layer.training, matrix.dtype, self.weight._version
        self.product = make(matrix, None if self.bias is None else self.bias.detach())

    def matrix(self) -> torch.Tensor:
        """The weight ``[out, in]``."""
        return self.weight.t() if self.transposed else self.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        trained = torch.is_grad_enabled() and (x.requires_grad or self.weight.requires_grad)
        fits = x.is_cpu and x.dtype == self.dtype and x.numel() >= MIN_ROWS * self.in_features
        if trained or not fits or self.weight._version != self.version:
            return linear(x, self.matrix(), self.bias)
        return self.product(x)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


def _linears(model: torch.nn.Module) -> Iterator[tuple[torch.nn.Module, str, Any]]:
    """Parent, name and layer of each linear layer; subclasses may mean something else and are left alone."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child) in (torch.nn.Linear, Conv1D):
                yield parent, name, child


def _memory() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 2**63


@torch.inference_mode()
def _error(layer: Packed) -> float:
    """Largest error of a layer's products, relative to their norm in float64."""
    worst = 0.0
    enough = WORTH // max(1, layer.in_features * layer.out_features) + 1  # for the way that many rows go
    for rows in (*PROBES, enough):
        numbers = torch.arange(rows * layer.in_features, dtype=torch.float64)
        x = torch.sin(numbers * 12.9898).mul_(43758.5453).frac_().view(rows, -1).to(layer.dtype)
        exact = x.double() @ layer.matrix().double().t()
        exact += 0 if layer.bias is None else layer.bias.double()
        worst = max(worst, float((layer.product(x).double() - exact).norm() / exact.norm().clamp(min=1e-30)))
    return worst


@functools.cache
@torch.inference_mode()
def _wide_is_right() -> bool:
    """Whether products as wide as attention's keep float32's accuracy with the switch on, against float64."""
    for rows, inner, columns in ((WIDE, 64, 200), (1000, 32, 33), (300, 130, 64)):
        one, other = (
            torch.sin(torch.arange(2 * size, dtype=torch.float64) * 12.9898).mul_(43758.5453).frac_().view(2, -1, inner)
            for size in (rows * inner, columns * inner)
        )
        exact = one @ other.transpose(1, 2)
        for lies in (other.float().transpose(1, 2), other.float().transpose(1, 2).contiguous()):
            try:
                found = wide_bmm(one.float(), lies).double()
            except (RuntimeError, AttributeError):
                return False
            if not float((found - exact).norm() / exact.norm()) <= TOLERANCE[torch.float32]:
                return False
    return True
