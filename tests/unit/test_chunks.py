"""Requests in chunks: the same rows every time, joined in the order they were asked."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from winnow.models.tabular import Tabular
from winnow.ports.chunks import in_chunks, join, num_rows, split
from winnow.ports.compare import same
from winnow.ports.program import Program, ask, run
from winnow.ports.requests import Choose, Complete, Completions, Evaluate, Item, LogProb
from winnow.values.random import Key

MODEL = Tabular.random("abc", order=1, key=Key(4))
texts = st.lists(st.text("abc", max_size=6), min_size=1, max_size=30)


def complete(prompts: list[str]) -> Complete:
    return Complete(prompts=tuple(prompts), slots=np.arange(len(prompts)), key=Key(1), max_tokens=5)


@given(texts, st.integers(1, 9))
def test_a_model_whose_rows_are_independent_answers_alike_in_chunks(prompts: list[str], rows: int) -> None:
    for request in (complete(prompts), LogProb(prompts=tuple(prompts), continuations=(("a", "bc"),) * len(prompts))):
        chunks = split(request, rows)
        assert all(num_rows(part) <= rows for part in chunks.requests)
        assert sum(map(num_rows, chunks.requests)) == len(prompts)
        replies = dict(MODEL.answer(chunks.requests))
        joined = join(chunks, [replies[index] for index in range(len(chunks.requests))])
        ((_, whole),) = MODEL.answer([request])
        assert same(joined, whole, tolerance=1e-300)
        assert joined.cost.calls == whole.cost.calls


@given(texts, st.integers(1, 9))
def test_equal_rows_lie_side_by_side(prompts: list[str], rows: int) -> None:
    chunks = split(complete(prompts), rows)
    asked = [prompt for part in chunks.requests for prompt in part.prompts]  # type: ignore[attr-defined]
    changes = sum(one != other for one, other in pairwise(asked))
    assert chunks.order is None or changes == len(set(prompts)) - 1


def test_a_request_that_fits_stays_as_it_is() -> None:
    small, empty = Evaluate(items=(Item("q", "b"), Item("q", "a"))), Evaluate(items=())
    choose = Choose(query="q", options=("a",) * 100)
    for request in (small, empty, choose):
        assert split(request, 2) == ((request,), None)
        assert split(request, 0) == ((request,), None)


def test_a_program_in_chunks_is_the_program() -> None:
    def program() -> Program[Completions]:
        return (yield from ask(complete(["a", "bb", "", "abc", "c", "b"])))

    assert same(run(in_chunks(program(), {Complete: 2}), MODEL), run(program(), MODEL), tolerance=1e-300)


def test_an_error_closes_the_program_within() -> None:
    closed = []

    def program() -> Program[None]:
        try:
            yield from ask(complete(["a"] * 5))
        finally:
            closed.append(True)

    outer = in_chunks(program(), {Complete: 2})
    next(outer)
    with pytest.raises(ZeroDivisionError):
        outer.throw(ZeroDivisionError)
    assert closed == [True]
