"""The laws catch those who break them: planted offenders, one a law."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from winnow.models.tabular import Tabular
from winnow.ports.doubles import Killed, Recorder, Shuffled
from winnow.ports.laws import (
    BACKEND_LAWS,
    MODEL_LAWS,
    PROGRAM_LAWS,
    BackendCase,
    LawBroken,
    ModelCase,
    ProgramCase,
    model_requests,
)
from winnow.ports.program import Note, Program, ask, gather, run
from winnow.ports.requests import Complete, Completions, Cost, LogProb, LogProbs, NextToken, NextTokens, Request
from winnow.values.errors import JournalMismatch
from winnow.values.random import Key

PROMPTS = ("a", "abc", "cc")


class Offender(Tabular):
    """A tabular model whose replies pass through ``spoil(request, reply)``."""

    spoil: Callable[[Request[Any], Any], Any] = staticmethod(lambda request, reply: reply)

    def answer(self, requests: Sequence[Request[Any]]) -> Iterator[tuple[int, Any]]:
        for index, reply in super().answer(requests):
            yield index, self.spoil(requests[index], reply)


def offender(spoil: Callable[[Request[Any], Any], Any]) -> Callable[[], Any]:
    def make() -> Offender:
        model = Offender("abc", Tabular.random("abc", order=1).table)
        model.spoil = spoil  # type: ignore[method-assign]
        return model

    return make


def scaled(kind: type[Any], shift: float) -> Callable[[Request[Any], Any], Any]:
    """Move log-probabilities of one kind of reply."""

    def spoil(request: Request[Any], reply: Any) -> Any:
        if not isinstance(reply, kind):
            return reply
        moved = tuple(r + shift for r in reply.logprob) if isinstance(reply, LogProbs) else reply.logprob + shift
        return replace(reply, logprob=moved)

    return spoil


def worst_first(request: Request[Any], reply: Any) -> Any:
    if isinstance(request, NextToken) and request.top:
        return replace(reply, token=reply.token[:, ::-1], logprob=reply.logprob[:, ::-1])
    return reply


def batch_dependent(request: Request[Any], reply: Any) -> Any:
    return scaled(LogProbs, 0.01)(request, reply) if isinstance(reply, LogProbs) and len(reply.logprob) > 1 else reply


MODEL_OFFENDERS: dict[str, Callable[[Request[Any], Any], Any]] = {
    "next_token_sums_to_one": scaled(NextTokens, -0.01),
    "reductions_agree": worst_first,
    "logprob_is_the_chain": scaled(LogProbs, -0.01),
    "batch_equals_single": batch_dependent,
    "greedy_is_the_most_probable": scaled(Completions, -0.01),
    "completion_has_its_own_logprob": scaled(Completions, -0.01),
}


@pytest.mark.parametrize("law", MODEL_LAWS)
def test_model_law_catches_its_offender(law: str) -> None:
    case = ModelCase(make=offender(MODEL_OFFENDERS[law]), prompts=PROMPTS, continuations=("ab", "c"))
    with pytest.raises(LawBroken):
        MODEL_LAWS[law](case)


class Twice(Tabular):
    def answer(self, requests: Sequence[Request[Any]]) -> Iterator[tuple[int, Any]]:
        yield from super().answer(requests)
        yield from super().answer(requests[:1])


class Moody(Tabular):
    """Answers otherwise each time it is asked."""

    asked = 0

    def answer(self, requests: Sequence[Request[Any]]) -> Iterator[tuple[int, Any]]:
        for index, reply in super().answer(requests):
            self.asked += 1
            yield index, replace(reply, logprob=tuple(r + 1e-3 * self.asked for r in reply.logprob))


def free(request: Request[Any], reply: Any) -> Any:
    return replace(reply, cost=Cost(-1, 0, 0))


def table_model(kind: type[Tabular]) -> Callable[[], Tabular]:
    return lambda: kind("abc", Tabular.random("abc").table)


BACKEND_OFFENDERS = {
    "each_index_once": table_model(Twice),
    "cost_is_counted": offender(free),
    "asked_twice_is_equal": table_model(Moody),
    "order_of_requests_is_free": table_model(Moody),
}


@pytest.mark.parametrize("law", BACKEND_LAWS)
def test_backend_law_catches_its_offender(law: str) -> None:
    sound = ModelCase(make=Tabular.random, prompts=PROMPTS, continuations=("ab",))
    requests = tuple(request for request in model_requests(sound) if not isinstance(request, NextToken))
    with pytest.raises(LawBroken):
        BACKEND_LAWS[law](BackendCase(make=BACKEND_OFFENDERS[law], requests=requests))


# ---- programs


def write(prompt: str, seed: int = 0) -> Program[str]:
    """Continue a text three times, noting each."""
    text = prompt
    for step in range(3):
        key = Key(seed, ("write", step))
        reply = yield from ask(Complete(prompts=(text,), slots=np.array([0]), key=key, max_tokens=2))
        text += reply.text[0]
        yield Note(kind="written", info={"text": text})
    return text


def write_many() -> Program[list[str]]:
    return gather([write(prompt, seed) for seed, prompt in enumerate(PROMPTS)])


@pytest.mark.parametrize("law", PROGRAM_LAWS)
@pytest.mark.parametrize("program", [lambda: write("a"), write_many], ids=["one", "gathered"])
def test_sound_program_keeps_law(law: str, program: Callable[[], Program[Any]]) -> None:
    PROGRAM_LAWS[law](ProgramCase(make=program, backend=Tabular.random))


COUNTER = {"runs": 0}


def forgetful() -> Program[int]:
    """Depends on something that is neither argument nor reply."""
    COUNTER["runs"] += 1
    yield Note(kind="count", info={"runs": COUNTER["runs"]})
    text = "a" * (1 + COUNTER["runs"] % 3)
    yield from ask(LogProb(prompts=(text,), continuations=(("a",),)))
    return COUNTER["runs"]


def silent() -> Program[float]:
    reply = yield from ask(LogProb(prompts=("a",), continuations=(("a",),)))
    return float(reply.logprob[0][0])


@pytest.mark.parametrize(
    ("law", "program"),
    [("run_twice_is_equal", forgetful), ("order_of_replies_is_free", forgetful), ("notes_carry_cost", silent)],
)
def test_program_law_catches_its_offender(law: str, program: Callable[[], Program[Any]]) -> None:
    with pytest.raises(LawBroken):
        PROGRAM_LAWS[law](ProgramCase(make=program, backend=Tabular.random))


def test_killed_program_that_asks_otherwise_is_caught() -> None:
    with pytest.raises((LawBroken, JournalMismatch)):
        PROGRAM_LAWS["killed_anywhere_it_replays"](ProgramCase(make=forgetful, backend=Tabular.random))


def test_recorder_never_asks_what_it_holds() -> None:
    entries: dict[int, tuple[Request[Any], Any]] = {}
    with pytest.raises(Killed):
        run(write_many(), Recorder(Tabular.random(), entries, die_after=4))
    again = Recorder(Shuffled(Tabular.random(), Key(3)), entries)
    assert run(write_many(), again) == run(write_many(), Tabular.random())
    assert again.asked == 9 - 4
