"""Our beam is transformers' beam: on tiny random models here, on trained ones in
``verification/search_transformers.py``."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from verification.search_transformers import compare, frequent_token, prompts_of, reference


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_same_hypotheses_in_the_same_order(kind: str, tiny_model: Callable[..., str]) -> None:
    import winnow as wn

    path = tiny_model(kind)
    model = wn.load(path)
    prompts = prompts_of(model, 3)
    tally = compare(model, reference(path), prompts, frequent_token(model, prompts), widths=(1, 2, 4, 8))
    assert tally.searches == 36
    assert tally.other == 0
    assert tally.ties <= 1
    assert tally.ended > 15
