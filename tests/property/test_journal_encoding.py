"""Requests and replies come back from JSON as they went in, bit for bit, and a fingerprint tells every field apart."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from winnow.ports.requests import (
    Choice,
    Choose,
    Complete,
    Completions,
    Cost,
    Evaluate,
    Item,
    LogProb,
    LogProbs,
    Message,
    NextToken,
    NextTokens,
    Request,
    Scores,
)
from winnow.runs import encoding
from winnow.runs.encoding import decode_reply, decode_request, encode_reply, encode_request, fingerprint, line
from winnow.values.random import Key
from winnow.values.tree import Tree

text = st.text(st.characters(), max_size=20)  # surrogates and control characters too
floats = st.floats(width=64)
integers = st.integers(-(2**63), 2**63 - 1)
costs = st.builds(Cost, *[st.integers(0, 2**40)] * 3)


def float_arrays(shape: Any) -> st.SearchStrategy[np.ndarray]:
    return hnp.arrays(np.float64, shape, elements=floats)


def int_arrays(shape: Any) -> st.SearchStrategy[np.ndarray]:
    return hnp.arrays(np.int64, shape, elements=integers)


vectors = st.integers(0, 5)
shapes = st.one_of(st.tuples(st.integers(0, 4), st.integers(0, 4)), st.just((20, 30)))
parts = st.dictionaries(text, floats, max_size=4)

replies: dict[type[Request[Any]], st.SearchStrategy[Any]] = {
    NextToken: shapes.flatmap(
        lambda shape: st.builds(NextTokens, token=int_arrays(shape), logprob=float_arrays(shape), cost=costs)
    ),
    Complete: st.builds(
        Completions,
        text=st.lists(text).map(tuple),
        logprob=float_arrays(vectors),
        num_tokens=int_arrays(vectors),
        finish=st.lists(st.sampled_from(["stop", "end", "length"])).map(tuple),
        cost=costs,
    ),
    LogProb: st.builds(
        LogProbs,
        logprob=st.lists(float_arrays(vectors), max_size=3).map(tuple),
        num_tokens=st.lists(int_arrays(vectors), max_size=3).map(tuple),
        cost=costs,
    ),
    Evaluate: st.builds(Scores, score=float_arrays(vectors), parts=st.lists(parts, max_size=3).map(tuple), cost=costs),
    Choose: st.builds(Choice, picked=st.none() | st.integers(0, 9), cost=costs),
}

prompts = st.one_of(text, st.lists(st.builds(Message, text, text), max_size=3).map(tuple))
keys = st.builds(Key, st.integers(0, 2**63), st.lists(text | st.integers(-9, 9), max_size=3).map(tuple))


@st.composite
def next_tokens(draw: st.DrawFn) -> NextToken:
    tree = Tree(draw(st.lists(st.lists(st.integers(0, 99), max_size=4), min_size=1, max_size=3)))
    for _ in range(draw(st.integers(0, 3))):
        tree, _ = tree.append([draw(st.integers(0, len(tree) - 1))], [draw(st.integers(0, 99))], [-1.0])
    nodes = np.array(draw(st.lists(st.integers(0, len(tree) - 1), max_size=4)), np.int64)
    how: dict[str, Any] = draw(
        st.sampled_from([{}, {"top": 3}, {"tokens": np.array([4, 2])}, {"uniform": np.full(nodes.size, 0.1)}])
    )
    return NextToken(tree=tree, nodes=nodes, **how)


@st.composite
def completes(draw: st.DrawFn) -> Complete:
    asked = draw(st.lists(prompts, max_size=3).map(tuple))
    return Complete(
        prompts=asked,
        slots=np.arange(len(asked)),
        key=draw(keys),
        max_tokens=draw(st.integers(0, 99)),
        stop=draw(st.lists(text, max_size=2).map(tuple)),
        temperature=draw(st.floats(0, 5)),
        top_p=draw(st.floats(0, 1)),
        min_p=draw(st.just(0.0) | st.floats(0, 1)),
        typical=draw(st.just(1.0) | st.floats(0, 1)),
    )


@st.composite
def log_probs(draw: st.DrawFn) -> LogProb:
    asked = draw(st.lists(prompts, max_size=3).map(tuple))
    return LogProb(prompts=asked, continuations=tuple(draw(st.lists(text, max_size=3).map(tuple)) for _ in asked))


requests: dict[type[Request[Any]], st.SearchStrategy[Any]] = {
    NextToken: next_tokens(),
    Complete: completes(),
    LogProb: log_probs(),
    Evaluate: st.builds(Evaluate, items=st.lists(st.builds(Item, text, text), max_size=3).map(tuple)),
    Choose: st.builds(Choose, query=text, options=st.lists(text, max_size=3).map(tuple)),
}


def same(one: Any, other: Any) -> bool:
    """Equal in type and in every bit, NaN and the sign of zero included."""
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and one.shape == other.shape and _bits(one) == _bits(other)
    if isinstance(one, float):
        return _bits(np.array([one])) == _bits(np.array([other]))
    if isinstance(one, tuple):
        return len(one) == len(other) and all(same(*pair) for pair in zip(one, other, strict=True))
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if dataclasses.is_dataclass(one):
        return all(same(getattr(one, f.name), getattr(other, f.name)) for f in dataclasses.fields(one))
    return bool(one == other)


def _bits(array: np.ndarray) -> bytes:
    if array.dtype == np.float64:
        array = np.where(np.isnan(array), np.nan, array)  # one NaN is as good as another
    return array.tobytes()


def through_json(data: Any) -> Any:
    raw = line(data)
    assert b"\n" not in raw
    return json.loads(raw)


@pytest.mark.parametrize("kind", list(replies))
@given(data=st.data())
def test_replies_come_back_bit_for_bit(kind: type[Request[Any]], data: st.DataObject) -> None:
    reply = data.draw(replies[kind])
    assert same(decode_reply(through_json(encode_reply(reply)), kind), reply)


@pytest.mark.parametrize("kind", list(requests))
@given(data=st.data())
def test_requests_come_back_and_keep_their_fingerprint(kind: type[Request[Any]], data: st.DataObject) -> None:
    request = data.draw(requests[kind])
    back = decode_request(through_json(encode_request(request)), kind)
    assert fingerprint("m", back) == fingerprint("m", request)
    if kind is not NextToken:  # a tree comes back as its sequences
        assert same(back, request)


@pytest.mark.parametrize("kind", list(requests))
@given(data=st.data())
def test_different_requests_have_different_fingerprints(kind: type[Request[Any]], data: st.DataObject) -> None:
    one, other = data.draw(requests[kind]), data.draw(requests[kind])
    equal = line(encode_request(one)) == line(encode_request(other))
    assert (fingerprint("m", one) == fingerprint("m", other)) == equal
    if kind is not NextToken:
        assert equal == same(one, other)
    assert fingerprint("m", one) != fingerprint("n", one)


def test_trees_that_say_the_same_are_one_request() -> None:
    grown, nodes = Tree([[1, 2]]).append([0, 0], [3, 4], [-1.0, -2.0])
    grown, deeper = grown.append([int(nodes[1])], [5], [-1.0])
    other = Tree([[9], [1, 2, 4, 5]])
    asked = NextToken(tree=grown, nodes=deeper, top=3)
    assert fingerprint("m", asked) == fingerprint("m", NextToken(tree=other, nodes=np.array([1]), top=3))
    assert fingerprint("m", asked) != fingerprint("m", NextToken(tree=other, nodes=np.array([0]), top=3))


@pytest.mark.parametrize(
    "change",
    [{"top": 4}, {"top": None}, {"top": None, "tokens": np.array([1])}, {"top": None, "uniform": np.array([0.5])}],
)
def test_each_way_to_reduce_is_another_request(change: dict[str, Any]) -> None:
    asked = NextToken(tree=Tree([[1]]), nodes=np.array([0]), top=3)
    assert fingerprint("m", asked) != fingerprint("m", dataclasses.replace(asked, **change))


def test_numbers_of_another_type_but_one_value_are_one_request() -> None:
    def asked(**change: Any) -> Complete:
        return Complete(prompts=("a",), slots=np.array([0]), key=Key(1, ("x", 2)), max_tokens=5, **change)

    assert fingerprint("m", asked(temperature=1)) == fingerprint("m", asked(temperature=np.float64(1.0)))
    same_key = dataclasses.replace(asked(), key=Key(np.int64(1), ("x", np.int64(2))))  # type: ignore[arg-type]
    assert fingerprint("m", same_key) == fingerprint("m", asked())
    assert fingerprint("m", dataclasses.replace(asked(), key=Key(1, ("x", "2")))) != fingerprint("m", asked())


def test_a_fingerprint_stays_what_it_is() -> None:
    """Journals outlive versions: whoever changes this has changed the format, and counts its version up."""
    asked = Complete(prompts=("a", (Message("user", "ü\n"),)), slots=np.arange(2), key=Key(7, ("r", 1)), max_tokens=5)
    assert fingerprint("model", asked) == PINNED


@pytest.mark.parametrize("change", [{"min_p": 0.1}, {"typical": 0.9}])
def test_a_field_that_came_later_is_written_where_it_is_used(change: dict[str, float]) -> None:
    """At its default it is left out (the pinned fingerprint above is from before); otherwise it is told apart."""
    asked = Complete(prompts=("a",), slots=np.arange(1), key=Key(7), max_tokens=5)
    changed = dataclasses.replace(asked, **change)
    assert not {"min_p", "typical"} & set(encode_request(asked))
    assert fingerprint("m", changed) != fingerprint("m", asked)
    assert same(decode_request(through_json(encode_request(changed)), Complete), changed)


PINNED = "fa46182eef858c2dab45ff017384083ccc87f59f7242597c606552981ba03648"


def test_a_lone_surrogate_survives() -> None:
    reply = Completions(
        text=("\ud800 ü",), logprob=np.array([-np.inf]), num_tokens=np.array([2]), finish=("end",), cost=Cost()
    )
    assert same(decode_reply(through_json(encode_reply(reply)), Complete), reply)


def test_long_arrays_are_written_in_few_characters() -> None:
    logprob = np.random.default_rng(0).normal(size=(10, 100))
    reply = NextTokens(token=np.zeros((10, 100), np.int64), logprob=logprob, cost=Cost())
    assert "base64" in encode_reply(reply)["logprob"]
    assert len(line(encode_reply(reply))) < 1000 * (8 + 8) * 1.4
    assert encoding.LONG < 1000


def test_a_request_type_of_somebody_elses_is_encoded_by_its_declaration() -> None:
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Undeclared(Request):  # type: ignore[type-arg]
        text: str

    with pytest.raises(TypeError, match="does not say what its reply is"):
        encoding.reply_type(Undeclared)
