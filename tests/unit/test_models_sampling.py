"""Sampling in torch is sampling by the reference: the same token for the same log-probabilities and uniform number."""

from __future__ import annotations

import numpy as np
import pytest

from winnow.models.sampling import temper
from winnow.models.stopping import first_stop
from winnow.ports.requests import draw
from winnow.values.logspace import log_normalise
from winnow.values.random import Key, uniforms


@pytest.mark.parametrize("temperature", [0, 0.3, 1, 2.5])
@pytest.mark.parametrize("top_p", [0.05, 0.5, 0.9, 1])
def test_torch_draws_what_the_reference_draws(temperature: float, top_p: float) -> None:
    import torch

    from winnow.models.local.sampling import draw as draw_torch

    rows = uniforms(Key(0), "test", np.arange(300), 41)
    logprob = log_normalise(8 * rows[:, 1:], axis=1).astype(np.float32)
    logprob[:5] = -np.log(40)  # all tie
    expected = draw(temper(logprob.astype(np.float64), temperature=temperature, top_p=top_p), rows[:, 0])
    token = draw_torch(
        torch.from_numpy(logprob), torch.from_numpy(rows[:, 0].copy()), temperature=temperature, top_p=top_p
    )
    np.testing.assert_array_equal(token.numpy(), expected)


@pytest.mark.parametrize("temperature", [0.7, 1, 2.5])
@pytest.mark.parametrize("top_p", [0.8, 1])
@pytest.mark.parametrize("min_p", [0, 0.02, 0.3, 1])
@pytest.mark.parametrize("typical", [0.2, 0.9, 1])
def test_filters_keep_what_transformers_keeps(temperature: float, top_p: float, min_p: float, typical: float) -> None:
    """The reference against transformers' own warpers in the order generate applies them; torch against the reference."""
    import torch
    from transformers import MinPLogitsWarper, TopPLogitsWarper, TypicalLogitsWarper

    from winnow.models.local.sampling import draw as draw_torch

    settings = {"temperature": temperature, "top_p": top_p, "min_p": min_p, "typical": typical}
    rows = uniforms(Key(4), "test", np.arange(200), 41)
    logprob = log_normalise(6 * rows[:, 1:], axis=1)
    expected = torch.from_numpy(logprob) / temperature
    for warper, used in (
        (TopPLogitsWarper(top_p), top_p < 1),
        (MinPLogitsWarper(min_p), min_p > 0),
        (TypicalLogitsWarper(typical) if typical < 1 else None, typical < 1),
    ):
        expected = warper(None, expected) if used else expected
    found = temper(logprob, **settings)
    np.testing.assert_allclose(np.exp(found), expected.softmax(-1).numpy(), rtol=0, atol=1e-12)
    token = draw_torch(torch.from_numpy(logprob), torch.from_numpy(rows[:, 0].copy()), **settings)
    np.testing.assert_array_equal(token.numpy(), draw(found, rows[:, 0]))


@pytest.mark.parametrize("size", [1, 127, 128, 129, 1000])
def test_the_inverse_in_blocks_is_the_inverse(size: int) -> None:
    """At vocabularies around the size of a block, with weights of zero, and at the ends of the unit interval."""
    import torch

    from winnow.models.local.sampling import inverse

    rows = uniforms(Key(5), "test", np.arange(400), size + 1)
    weight = np.where(rows[:, 1:] < 0.6, 0, rows[:, 1:])
    weight[np.arange(400), np.arange(400) % size] = 0.5
    numbers = rows[:, 0].copy()
    numbers[:20], numbers[20:40] = 0, 1 - 2**-53
    with np.errstate(divide="ignore"):
        expected = draw(np.log(weight), numbers)
    found = inverse(torch.from_numpy(weight), torch.from_numpy(numbers)).numpy()
    inside = np.r_[0:20, 40:400]
    np.testing.assert_array_equal(found[inside], expected[inside])
    assert (weight[np.arange(400), found] > 0).all()  # where rounding reaches the total, the last that has weight


def test_impossible_tokens_are_never_drawn() -> None:
    import torch

    from winnow.models.local.sampling import draw as draw_torch

    with np.errstate(divide="ignore"):
        logprob = np.log(np.array([[0, 0.5, 0, 0.5, 0]]))
    numbers = np.array([0.0, 0.25, 0.5, 0.75, 1 - 2**-53])
    rows = torch.from_numpy(logprob.repeat(5, axis=0))
    token = draw_torch(rows, torch.from_numpy(numbers), temperature=1.0, top_p=1.0)
    assert token.tolist() == draw(logprob.repeat(5, axis=0), numbers).tolist() == [1, 1, 3, 3, 3]


def test_first_stop_is_the_earliest() -> None:
    assert first_stop("one two", ("two", "ne")) == 1
    assert first_stop("one", ("two",)) is None
    assert first_stop("", ()) is None


def test_most_probable_agrees_with_the_reference_also_in_ties() -> None:
    import torch

    from winnow.models.local.reduction import most_probable as by_torch
    from winnow.values.logspace import most_probable

    rows = uniforms(Key(1), "test", np.arange(50), 30)
    for values in (rows, np.floor(4 * rows), np.zeros((2, 30)), np.where(rows < 0.9, -np.inf, rows), rows[:0]):
        for num in (1, 3, 30, 31):
            expected = np.argsort(-values, axis=1, kind="stable")[:, :num]
            np.testing.assert_array_equal(most_probable(values, num), expected)
            if num <= 30:
                np.testing.assert_array_equal(by_torch(torch.from_numpy(values.copy()), num).numpy(), expected)
