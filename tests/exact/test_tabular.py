"""The tabular model against its own enumeration: every probability is known, so every claim is a number."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from scipy.stats import chi2

from winnow.models.sampling import temper
from winnow.models.tabular import Tabular, Texts
from winnow.ports.requests import Complete, Completions, LogProb, NextToken, Request
from winnow.values.errors import CapabilityError, ContextError, InputError
from winnow.values.random import Key
from winnow.values.tree import Tree

NUM = 20_000


def one(model: Tabular, request: Request[Any]) -> Any:
    return dict(model.answer([request]))[0]


def sample(model: Tabular, prompt: str = "", **settings: Any) -> Completions:
    request = Complete(prompts=(prompt,) * NUM, slots=np.arange(NUM), key=Key(1), max_tokens=3, **settings)
    return one(model, request)


def expected_texts(model: Tabular, prompt: str = "", **settings: float) -> dict[tuple[str, str], float]:
    """Probability of (text, finish), from the tempered table of the same chain."""
    tempered = Tabular(model.codec.symbols, np.exp(temper(np.log(model.table), **settings)))
    texts = tempered.enumerate_texts(3, prompt)
    finish = ["end" if ended else "length" for ended in texts.ended]
    return dict(zip(zip(texts.text, finish, strict=True), np.exp(texts.logprob).tolist(), strict=True))


@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("prompt", ["", "ab"])
def test_enumeration_holds_all_probability_once(order: int, prompt: str) -> None:
    texts = Tabular.random("abc", order=order).enumerate_texts(4, prompt)
    assert np.exp(texts.logprob).sum() == pytest.approx(1, abs=1e-12)
    assert len(set(texts.tokens)) == len(texts.tokens) == sum(3**k for k in range(4)) + 3**4


def test_scores_equal_the_enumeration() -> None:
    model = Tabular.random("abc", order=2, key=Key(5))
    texts: Texts = model.enumerate_texts(4, "ca")
    cut = [index for index, ended in enumerate(texts.ended) if not ended]
    reply = one(model, LogProb(prompts=("ca",), continuations=(tuple(texts.text[i] for i in cut),)))
    np.testing.assert_allclose(reply.logprob[0], texts.logprob[cut], rtol=0, atol=1e-12)


def test_a_node_has_the_table_row_of_its_path() -> None:
    model = Tabular.random("ab", order=2)
    tree, nodes = Tree([[0, 1], []]).append([0, 1], [0, 1], [0, 0])
    reply = one(model, NextToken(tree=tree, nodes=nodes))
    np.testing.assert_array_equal(np.exp(reply.logprob).round(15), model.table[[1 * 3 + 0, 2 * 3 + 1]].round(15))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"temperature": 0.5},
        {"temperature": 1.7},
        {"top_p": 0.7},
        {"temperature": 1.5, "top_p": 0.6},
        {"min_p": 0.4},
        {"typical": 0.5},
        {"temperature": 1.3, "top_p": 0.9, "min_p": 0.2, "typical": 0.7},
    ],
    ids=str,
)
@pytest.mark.parametrize("prompt", ["", "ba"])
def test_samples_have_the_exact_distribution(settings: dict[str, float], prompt: str) -> None:
    """Chi-square against the enumerated distribution; the seed is fixed, the level is 1 in 1000."""
    model = Tabular.random("abc", order=1, key=Key(2))
    reply = sample(model, prompt, **settings)
    expected = expected_texts(model, prompt, **settings)
    counts = Counter(zip(reply.text, reply.finish, strict=True))
    assert set(counts) <= {outcome for outcome, p in expected.items() if p > 0}
    common = [outcome for outcome, p in expected.items() if p * NUM >= 5]
    rest = NUM - sum(counts[outcome] for outcome in common)
    expected_rest = NUM - sum(expected[outcome] * NUM for outcome in common)
    statistic = sum((counts[o] - expected[o] * NUM) ** 2 / (expected[o] * NUM) for o in common)
    statistic += (rest - expected_rest) ** 2 / expected_rest if expected_rest > 5 else 0
    assert statistic < chi2.ppf(0.999, len(common))


def test_logprob_is_the_untempered_models() -> None:
    model = Tabular.random("abc", order=1, key=Key(2))
    texts = model.enumerate_texts(3)
    exact = dict(zip(zip(texts.text, texts.ended, strict=True), texts.logprob.tolist(), strict=True))
    reply = sample(model, temperature=0.3, top_p=0.9)
    for text, finish, logprob in zip(reply.text, reply.finish, reply.logprob, strict=True):
        assert logprob == pytest.approx(exact[text, finish == "end"], abs=1e-12)


def test_greedy_takes_the_most_probable_and_ties_go_to_the_smaller() -> None:
    model = Tabular("abc", [[0.2, 0.4, 0.4, 0.0]])
    reply = one(model, Complete(prompts=("",), slots=np.array([7]), key=Key(0), max_tokens=4, temperature=0))
    assert reply.text == ("bbbb",)
    assert reply.logprob[0] == pytest.approx(4 * np.log(0.4))


def test_top_p_keeps_the_smallest_set_that_holds_the_mass() -> None:
    logprob = np.log([[0.1, 0.5, 0.25, 0.15]])
    for top_p, kept in [(0.1, {1}), (0.5, {1}), (0.51, {1, 2}), (0.76, {1, 2, 3}), (1.0, {0, 1, 2, 3})]:
        assert set(np.flatnonzero(np.exp(temper(logprob, top_p=top_p))[0])) == kept, top_p


def test_stop_string_across_tokens() -> None:
    model = Tabular(("ab", "c"), [[0, 1, 0], [0, 1, 0], [1, 0, 0]])  # "ab", then c for ever
    request = Complete(prompts=("", "ab"), slots=np.arange(2), key=Key(0), max_tokens=5, stop=("bc", "zz"))
    reply = one(model, request)
    assert reply.text == ("a", "ccccc")
    assert reply.finish == ("stop", "length")
    assert reply.num_tokens.tolist() == [2, 5]


def test_a_row_depends_on_its_slot_only() -> None:
    model = Tabular.random("abcd", order=2)
    whole = one(model, Complete(prompts=("a",) * 9, slots=np.arange(9), key=Key(4), max_tokens=8))
    some = one(model, Complete(prompts=("a",) * 3, slots=np.array([8, 2, 5]), key=Key(4), max_tokens=8))
    assert some.text == tuple(whole.text[slot] for slot in (8, 2, 5))
    assert some.logprob.tolist() == [whole.logprob[slot] for slot in (8, 2, 5)]


def test_cost_counts_tokens_fed_and_drawn() -> None:
    model = Tabular("ab", [[0.5, 0.5, 0]])
    complete = one(model, Complete(prompts=("a", "abb"), slots=np.arange(2), key=Key(0), max_tokens=5))
    assert complete.cost == (2, 4, 10)
    scored = one(model, LogProb(prompts=("ab",), continuations=(("a", "aa", "ab", "bab"),)))
    assert scored.cost == (1, 2 + len(["a", "b", "ba"]), 0)


def test_what_it_cannot_do_it_says() -> None:
    model = Tabular.random("ab", context_length=4)
    with pytest.raises(InputError, match="no token for 'x'"):
        one(model, LogProb(prompts=("ax",), continuations=(("a",),)))
    with pytest.raises(ContextError, match=r"3 tokens and 2 more, the context holds 4"):
        one(model, Complete(prompts=("aba",), slots=np.arange(1), key=Key(0), max_tokens=2))
    with pytest.raises(CapabilityError, match="chat"):
        model.codec.encode(())
    with pytest.raises(ValueError, match="distribution"):
        Tabular("ab", [[0.5, 0.6, 0.1]])
    with pytest.raises(ValueError, match="must be"):
        Tabular("ab", [[0.5, 0.5]])


def test_identity_is_that_of_the_probabilities() -> None:
    assert Tabular.random("ab").identity == Tabular.random("ab").identity
    assert Tabular.random("ab").identity != Tabular.random("ab", key=Key(1)).identity
    assert Tabular.random("ab").identity != Tabular.random("ba").identity
