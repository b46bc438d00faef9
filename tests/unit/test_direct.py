"""Asking a model directly is what asking it through a request gives, for one prompt and for many."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import winnow
from winnow.models.tabular import Tabular
from winnow.ports.requests import Message
from winnow.values.errors import InputError
from winnow.values.random import Key

MODEL = Tabular.random("abc", order=1, key=Key(3))


def test_a_completion_depends_on_its_slot_only() -> None:
    many = winnow.complete(MODEL, ["a", "b"], num=20, max_tokens=5, seed=4)
    one = winnow.complete(MODEL, "a", num=7, max_tokens=5, seed=4)
    assert one.text == many.text[:7]
    assert len(set(many.text)) > 5
    assert winnow.complete(MODEL, "a", num=7, max_tokens=5, seed=5).text != one.text


def test_settings_reach_the_model() -> None:
    row = MODEL.table[MODEL._state(MODEL.codec.encode("a"))]
    best = "abc"[int(row[:3].argmax())] if row[:3].max() > row[3] else ""
    for settings in ({"temperature": 0}, {"top_p": 1e-9}, {"min_p": 1.0}):
        assert set(winnow.complete(MODEL, "a", num=20, max_tokens=1, **settings).text) == {best}
    entropy = -(row * np.log(row)).sum()
    nearest = int(np.abs(-np.log(row) - entropy).argmin())
    texts = set(winnow.complete(MODEL, "a", num=20, max_tokens=1, typical=1e-9).text)
    assert texts == {"abc"[nearest] if nearest < 3 else ""}
    assert all("b" not in text for text in winnow.complete(MODEL, "a", num=20, max_tokens=9, stop=["b"]).text)


def test_logprob_takes_one_list_or_one_a_prompt() -> None:
    shared = winnow.logprob(MODEL, ["a", "b"], ["c", "ca"])
    own = winnow.logprob(MODEL, ["a", "b"], [["c", "ca"], ["c", "ca"]])
    for one, other in zip(shared.logprob, own.logprob, strict=True):
        np.testing.assert_array_equal(one, other)
    state = MODEL._state(MODEL.codec.encode("a"))
    assert winnow.logprob(MODEL, "a", ["c"]).logprob[0][0] == pytest.approx(np.log(MODEL.table[state, 2]))
    with pytest.raises(InputError, match="2 prompts, and continuations for 3"):
        winnow.logprob(MODEL, ["a", "b"], [["c"]] * 3)


def test_chat_messages_are_one_prompt() -> None:
    messages = (Message("user", "a"),)
    assert winnow.direct._many(messages) == (messages,)
    assert winnow.direct._many([messages, "b"]) == (messages, "b")
    assert winnow.direct._many(("a", "b")) == ("a", "b")


@pytest.mark.parametrize(
    "wrong", [{"num": 0}, {"max_tokens": 0}, {"temperature": -1.0}, {"top_p": 0.0}, {"min_p": 1.5}, {"typical": 0.0}]
)
def test_numbers_out_of_range_are_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        winnow.complete(MODEL, "a", **wrong)
