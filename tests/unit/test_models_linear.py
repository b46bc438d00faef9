"""Packed products are the model's own products, in float32's accuracy; where they cannot be had, nothing changes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from winnow.models.load import load
from winnow.models.local import linear
from winnow.models.local.linear import Packed, pack
from winnow.ports.requests import LogProb
from winnow.values.errors import InputError

Tiny = Callable[..., str]


def network(seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return torch.nn.Sequential(torch.nn.Linear(64, 96), torch.nn.Tanh(), torch.nn.Linear(96, 40, bias=False)).to(
            dtype
        )


def rows(num: int) -> torch.Tensor:
    return torch.linspace(-2, 2, num * 64).view(num, 64).sin()


@pytest.mark.parametrize("way", ["prepacked", "switched"])
@pytest.mark.parametrize("num", [1, 7, 8, 33, 300])
def test_products_are_float32s(way: str, num: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against float64, in every way of multiplying and on both sides of the number of rows at which it takes over."""
    if way == "switched":
        monkeypatch.setattr(linear, "prepacked", unavailable)
    packed, exact = network(), network().double()
    assert pack(packed).way == way
    with torch.inference_mode():
        found = packed(rows(num))
    torch.testing.assert_close(found.double(), exact(rows(num).double()), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("said", [None, "7"])
def test_the_environment_says_how_many_products_stay_compiled(
    said: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for names, num in linear.KEPT.items():
        for name in names:
            monkeypatch.setenv(name, "7")
        if said is None:
            for name in names:
                monkeypatch.delenv(name)
        pack(network())
        assert os.environ[names[0]] == (said or str(num))
        assert not names[1:] or os.environ.get(names[1]) == said


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not tell what is resident")
def test_products_of_many_shapes_do_not_stay_in_memory() -> None:
    """Four hundred row counts: what oneDNN compiled for them goes, as does what PyTorch keeps beside it (200 MB else)."""
    script = """
import re, torch
from pathlib import Path
from winnow.models.local.linear import pack
def resident():
    return int(re.search(r"RssAnon:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
torch.set_num_threads(1)
model, rows = torch.nn.Sequential(torch.nn.Linear(128, 384)), torch.randn(600, 128)
assert pack(model).way == "prepacked"
with torch.inference_mode():
    model(rows)
    before = resident()
    for num in range(100, 500):
        model(rows[:num])
print(resident() - before)
"""
    environment = {name: value for name, value in os.environ.items() if not any(name in names for names in linear.KEPT)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert float(done.stdout) < 40


def test_few_rows_of_a_small_weight_multiply_as_pytorch_would_and_many_do_not() -> None:
    """With few, a call takes longer than the product; a larger weight is not kept a second time for them."""
    with torch.inference_mode():
        for size, few in ((256, True), (512, False)):  # 65,536 numbers, 262,144
            weight = torch.randn(size, size)
            product = linear.prepacked(weight, None)
            for num, stock in ((1, few), (7, few), (300, False)):
                x = torch.randn(num, size)
                with profile(activities=[ProfilerActivity.CPU]) as watched:
                    found = product(x)
                used = {event.key for event in watched.key_averages()}
                assert ("aten::linear" in used) is stock
                assert ("mkldnn::_linear_pointwise" in used) is not stock
                torch.testing.assert_close(found, torch.nn.functional.linear(x, weight), atol=1e-3, rtol=1e-4)


def unavailable(*args: Any) -> Any:
    raise AttributeError("no such operator")


def coarse(weight: torch.Tensor, bias: torch.Tensor | None) -> Any:
    """What a CPU that takes the switch at its word would compute."""
    return lambda x: torch.nn.functional.linear(x.bfloat16(), weight.bfloat16()).float() + (0 if bias is None else bias)


def test_products_in_bfloat16_are_refused_by_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear, "prepacked", unavailable)
    monkeypatch.setattr(linear, "switched", coarse)
    model = network()
    report = pack(model)
    assert report.way == "stock"
    assert "no such operator" in report.reason
    assert "switched: relative error" in report.reason
    assert type(model[0]) is torch.nn.Linear


def test_weights_too_large_to_be_kept_twice_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear, "_memory", lambda: 10_000)
    report = pack(network())
    assert report.way == "switched"
    assert "third" in report.reason


def test_nothing_global_stays_changed() -> None:
    before = torch.backends.mkldnn.matmul.fp32_precision  # type: ignore[attr-defined]
    layer = Packed(network()[0], linear.switched)
    with torch.inference_mode():
        layer(rows(9))
    assert torch.backends.mkldnn.matmul.fp32_precision == before


@pytest.mark.parametrize("rows_", [8, 127, 128, 700])
def test_wide_products_are_float32s_and_leave_the_switch_alone(rows_: int) -> None:
    before = torch.backends.mkldnn.matmul.fp32_precision
    one = torch.linspace(-3, 3, 4 * rows_ * 64).sin().view(4, rows_, 64)
    other = torch.linspace(-5, 5, 4 * 200 * 64).cos().view(4, 200, 64).transpose(1, 2)
    exact = one.double() @ other.double()
    out = torch.empty(4, rows_, 230)
    for found in (linear.wide_bmm(one, other), linear.wide_bmm(one, other, out=out[:, :, 30:])):
        assert float((found.double() - exact).norm() / exact.norm()) < 1e-6
    assert torch.backends.mkldnn.matmul.fp32_precision == before


def test_a_switch_that_computes_in_bfloat16_is_not_used_for_attention(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear, "wide_bmm", lambda one, other: (one.bfloat16() @ other.bfloat16()).float())
    linear._wide_is_right.cache_clear()
    assert not pack(network()).wide
    monkeypatch.undo()
    linear._wide_is_right.cache_clear()
    assert pack(network()).wide


def test_training_goes_on_as_before() -> None:
    """Names, gradients and an optimiser's step are the plain model's; what was packed is not used after the step."""
    plain, packed = network(), network()
    pack(packed)
    assert list(packed.state_dict()) == list(plain.state_dict())
    for model in (plain, packed):
        optimiser = torch.optim.SGD(model.parameters(), lr=0.5)
        model(rows(20)).square().sum().backward()
        optimiser.step()
    for one, other in zip(packed.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)
    with torch.inference_mode():
        torch.testing.assert_close(packed(rows(20)), plain(rows(20)), atol=1e-5, rtol=1e-5)


def test_bfloat16_weights_are_packed_too() -> None:
    model, exact = network(dtype=torch.bfloat16), network(dtype=torch.bfloat16).double()
    assert pack(model).way == "prepacked"
    with torch.inference_mode():
        found = model(rows(20).bfloat16()).double()
        error = (found - exact(rows(20).bfloat16().double())).norm() / exact(rows(20).bfloat16().double()).norm()
    assert error < 0.02


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_a_packed_model_agrees_with_the_stock_one_and_says_that_it_is_another(kind: str, tiny_model: Tiny) -> None:
    directory = tiny_model(kind)
    packed, stock = load(directory), load(directory, products="stock")
    assert packed.identity == stock.identity + " prepacked"
    request = LogProb(prompts=("ab cd", "had a bed", "ee."), continuations=(("abcd", " a", "h"),) * 3)
    replies = [dict(model.answer([request]))[0] for model in (packed, stock)]
    for one, other in zip(replies[0].logprob, replies[1].logprob, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4, rtol=0)
    assert any(isinstance(module, Packed) for module in packed._network.model.modules())  # type: ignore[attr-defined]
    assert not any(isinstance(module, Packed) for module in stock._network.model.modules())  # type: ignore[attr-defined]


def test_unknown_products_are_refused(tiny_model: Tiny) -> None:
    with pytest.raises(InputError, match=r"unknown products 'packd'.*packed"):
        load(tiny_model("llama"), products="packd")
