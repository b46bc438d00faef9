"""Our beam is transformers' beam: on tiny random models here, on trained ones in
``verification/search_transformers.py``."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from verification.search_transformers import Tally, compare, frequent_token, prompts_of, reference


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_same_hypotheses_in_the_same_order(kind: str, tiny_model: Callable[..., str]) -> None:
    import winnow as wn

    path = tiny_model(kind)
    model = wn.load(path)
    prompts = prompts_of(model, 3)
    rival, end = reference(path), frequent_token(model, prompts)
    tally = Tally()
    for width in (1, 2, 4, 8):
        for one in compare(model, rival, prompts, end, width):
            tally = tally.plus(one)
    assert tally.searches == 36
    assert tally.other == 0
    assert tally.ties <= 1
    assert tally.ended > 15
