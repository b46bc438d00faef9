"""Rows that leave a batch early do not disturb those that stay, whether or not anything was written behind their stem."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import winnow as wn
from winnow.ports.asking import ask_all
from winnow.ports.requests import Complete
from winnow.values.random import Key


@pytest.mark.parametrize("prompts", [("ab",) * 4, ("ab", "ab", "abab", "ab a"), ("ab", "cd", "ef", "gh")])
def test_rows_that_end_with_the_first_token_leave_the_others_as_they_were(
    prompts: tuple[str, ...], tiny_model: Callable[..., str]
) -> None:
    model = wn.load(tiny_model("llama"))
    left = set()
    for seed in range(12):
        request = Complete(
            prompts=prompts, slots=np.arange(4), key=Key(seed), max_tokens=5, stop=("a", "b", "c", "d", "e")
        )
        written = ask_all(model, [request])[0]
        left.add(int((written.num_tokens == 1).sum()))
        for row, prompt in enumerate(prompts):
            one = Complete(prompts=(prompt,), slots=np.array([row]), key=Key(seed), max_tokens=5, stop=request.stop)
            alone = ask_all(model, [one])[0]
            assert alone.text[0] == written.text[row]
            assert alone.num_tokens[0] == written.num_tokens[row]
            assert alone.logprob[0] == pytest.approx(written.logprob[row], abs=1e-3)
    assert {2, 3} & left
