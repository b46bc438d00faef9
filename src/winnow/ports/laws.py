"""What every backend and every program must obey, as checks that anyone can run on their own.

    for law in MODEL_LAWS.values():
        law(ModelCase(make=lambda: MyModel(), prompts=("one", "another one"), continuations=(" yes", " no")))
    for law in PROGRAM_LAWS.values():
        law(ProgramCase(make=lambda: my_program(...), backend=lambda: Tabular.random()))

A law returns nothing, or raises LawBroken saying what was expected and what came. Backends and programs come as
factories, so that a law can begin afresh. This file knows no model and no program.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from winnow.ports.asking import ask_all, chain_logprob, drawn_right, encode_prompts, next_logprobs, split_continuation
from winnow.ports.compare import close, same
from winnow.ports.doubles import Killed, Recorder, Shuffled
from winnow.ports.program import Note, Program, run
from winnow.ports.requests import (
    Backend,
    Complete,
    Cost,
    LanguageModel,
    LogProb,
    NextToken,
    Prompt,
    Request,
    select_tokens,
)
from winnow.values.random import Key
from winnow.values.tree import Tree


class LawBroken(AssertionError):
    """A backend or program does not keep a law."""


class BackendCase(NamedTuple):
    """A backend under test: how to make it, what to ask, and how far two of its numbers may lie apart."""

    make: Callable[[], Backend]
    requests: tuple[Request[Any], ...]
    tolerance: float = 1e-4


class ModelCase(NamedTuple):
    """A language model under test: prompts it can take (of several lengths) and continuations it can write."""

    make: Callable[[], LanguageModel]
    prompts: tuple[Prompt, ...]
    continuations: tuple[str, ...]
    tolerance: float = 1e-4
    max_tokens: int = 6


class ProgramCase(NamedTuple):
    """A program under test, and a backend that answers it the same each time it is made."""

    make: Callable[[], Program[Any]]
    backend: Callable[[], Backend]


# ---- laws of any backend


def each_index_once(case: BackendCase) -> None:
    """Every request is answered once, under its own index."""
    indices = [index for index, _ in case.make().answer(case.requests)]
    _expect(sorted(indices) == list(range(len(case.requests))), f"indices {indices} for {len(case.requests)} requests")


def cost_is_counted(case: BackendCase) -> None:
    """Every reply carries a cost, and no part of it is negative."""
    for index, reply in case.make().answer(case.requests):
        _expect(isinstance(reply.cost, Cost), f"reply {index} carries no cost")
        _expect(min(reply.cost) >= 0, f"reply {index} costs less than nothing: {reply.cost}")


def asked_twice_is_equal(case: BackendCase) -> None:
    """The same requests get the same replies, to the last bit, from this backend and from another made alike."""
    one, other = case.make(), case.make()
    first = ask_all(one, case.requests)
    again = ask_all(one, case.requests)
    _expect(same(first, again), "asked again, it replies otherwise")
    _expect(same(first, ask_all(other, case.requests)), "made again, it replies otherwise")
    _expect(one.identity == other.identity, f"made again, it is {other.identity!r} and not {one.identity!r}")


def order_of_requests_is_free(case: BackendCase) -> None:
    """Requests in another order, or alone, get the same replies."""
    backend = case.make()
    together = ask_all(backend, case.requests)
    reversed_ = ask_all(backend, case.requests[::-1])[::-1]
    for index, request in enumerate(case.requests):
        kind = type(request).__name__
        _expect(same(together[index], reversed_[index], case.tolerance), f"{kind} {index}: order changes the reply")
        alone = ask_all(backend, [request])[0]
        _expect(same(together[index], alone, case.tolerance), f"{kind} {index}: asked alone, the reply is another")


BACKEND_LAWS: dict[str, Callable[[BackendCase], None]] = {
    law.__name__: law for law in (each_index_once, cost_is_counted, asked_twice_is_equal, order_of_requests_is_free)
}


# ---- laws of a language model


def next_token_sums_to_one(case: ModelCase) -> None:
    """The whole vocabulary's probabilities sum to one at every node."""
    model = case.make()
    reply = next_logprobs(model, encode_prompts(model, case.prompts))
    size = model.codec.vocabulary_size
    _expect(reply.shape[1] == size, f"{reply.shape[1]} columns for a vocabulary of {size}")
    _expect(bool(np.all(reply <= case.tolerance)), "a log-probability is above 0")
    total = np.exp(reply).sum(axis=1)
    _expect(bool(np.allclose(total, 1.0, atol=case.tolerance, rtol=0)), f"probabilities sum to {total.tolist()}")


def reductions_agree(case: ModelCase) -> None:
    """``top``, ``tokens`` and ``uniform`` give what the whole vocabulary, reduced here, gives."""
    model = case.make()
    tree = Tree(encode_prompts(model, case.prompts))
    nodes, size = np.arange(len(tree)), model.codec.vocabulary_size
    full = next_logprobs(model, tree.prompts)
    number = np.linspace(0.05, 0.95, len(tree))
    for request in (
        NextToken(tree=tree, nodes=nodes, top=min(3, size)),
        NextToken(tree=tree, nodes=nodes, tokens=np.array([size - 1, 0])),
        NextToken(tree=tree, nodes=nodes, uniform=number),
    ):
        reply = ask_all(model, [request])[0]
        token, logprob = select_tokens(full, request)
        asked = "top" if request.top else "uniform" if request.uniform is not None else "tokens"
        _expect(reply.token.shape == token.shape, f"{asked}: tokens {reply.token.shape}, not {token.shape}")
        own = np.take_along_axis(full, reply.token, axis=1)
        _expect(close(reply.logprob, own, case.tolerance), f"{asked}: log-probabilities are not the tokens' own")
        if request.uniform is not None:
            _expect(
                drawn_right(full, reply.token[:, 0], number, case.tolerance), "uniform: not the inverse CDF's token"
            )
        else:
            _expect(close(reply.logprob, logprob, case.tolerance), f"{asked}: other tokens than the whole gives")


def logprob_is_the_chain(case: ModelCase) -> None:
    """LogProb of a continuation is the sum of its tokens' NextToken log-probabilities."""
    model = case.make()
    rows = tuple(case.continuations for _ in case.prompts)
    reply = ask_all(model, [LogProb(prompts=case.prompts, continuations=rows)])[0]
    checked = 0
    for row, prompt in enumerate(case.prompts):
        head = model.codec.encode(prompt)
        for column, words in enumerate(case.continuations):
            tail = split_continuation(model, prompt, words)
            if tail is not None:
                checked += 1
                got, chain = reply.logprob[row][column], chain_logprob(model, head, tail)
                _expect(
                    abs(got - chain) <= case.tolerance * max(1, len(tail)) or got == chain,
                    f"log-probability of {words!r} after {prompt!r} is {got}, its tokens' is {chain}",
                )
    _expect(checked > 0, "no continuation here is tokenised as a continuation of a text prompt: give others")


def batch_equals_single(case: ModelCase) -> None:
    """A row's reply does not depend on the rows beside it, for every type of request."""
    model = case.make()
    slots = np.arange(len(case.prompts))
    rows = tuple(case.continuations for _ in case.prompts)
    written = ask_all(model, [_complete(case, case.prompts, slots, 1.0)])[0]
    scored = ask_all(model, [LogProb(prompts=case.prompts, continuations=rows)])[0]
    full = next_logprobs(model, encode_prompts(model, case.prompts))
    for row, prompt in enumerate(case.prompts):
        alone = ask_all(model, [_complete(case, (prompt,), slots[row : row + 1], 1.0)])[0]
        _expect(written.text[row] == alone.text[0], f"writes {written.text[row]!r} in a batch, {alone.text[0]!r} alone")
        near = case.tolerance * max(1, int(alone.num_tokens[0]))
        _expect(
            close(written.logprob[row : row + 1], alone.logprob, near), f"log-probability of {alone.text[0]!r} moved"
        )
        single = ask_all(model, [LogProb(prompts=(prompt,), continuations=rows[:1])])[0]
        _expect(close(scored.logprob[row], single.logprob[0], near), f"LogProb after {prompt!r} depends on its batch")
        one = next_logprobs(model, encode_prompts(model, (prompt,)))[0]
        _expect(close(full[row], one, case.tolerance), f"NextToken after {prompt!r} depends on its batch")


def greedy_is_the_most_probable(case: ModelCase) -> None:
    """At temperature 0, Complete writes the most probable token each time, and its log-probability is their sum."""
    model = case.make()
    reply = ask_all(model, [_complete(case, case.prompts, np.arange(len(case.prompts)), 0.0)])[0]
    for row, prompt in enumerate(case.prompts):
        tokens, total, gap = model.codec.encode(prompt), 0.0, np.inf
        for _ in range(int(reply.num_tokens[row])):
            best = np.sort(next_logprobs(model, [tokens])[0])
            gap, total = min(gap, float(best[-1] - best[-2])), total + float(best[-1])
            tokens = [*tokens, int(next_logprobs(model, [tokens])[0].argmax())]
        if gap > 2 * case.tolerance:  # else a tie decides
            near = case.tolerance * max(1, int(reply.num_tokens[row]))
            _expect(
                abs(reply.logprob[row] - total) <= near, f"{reply.logprob[row]} after {prompt!r}, greedy has {total}"
            )


def completion_has_its_own_logprob(case: ModelCase) -> None:
    """Where a completion's text has the tokens it was drawn with, LogProb of it is the log-probability it came with.

    A completion that the model ended has drawn an end token after its text.
    """
    model = case.make()
    reply = ask_all(model, [_complete(case, case.prompts, np.arange(len(case.prompts)), 1.0)])[0]
    for row, (prompt, text) in enumerate(zip(case.prompts, reply.text, strict=True)):
        tail = split_continuation(model, prompt, text) if text else []
        ended = reply.finish[row] == "end"
        if tail is None or len(tail) + ended != int(reply.num_tokens[row]):
            continue
        scored = ask_all(model, [LogProb(prompts=(prompt,), continuations=((text,),))])[0]
        possible = np.array([scored.logprob[0][0]])
        if ended:
            ends = list(model.codec.end_tokens)
            head = encode_prompts(model, [prompt])[0]
            possible = possible + next_logprobs(model, [[*head, *tail]])[0, ends]
        near, came = case.tolerance * (len(tail) + 1), float(reply.logprob[row])
        told = f"{text!r} ({reply.finish[row]}) came with {came}, LogProb gives {possible.tolist()}"
        _expect(bool(np.any(np.abs(possible - came) <= near)), told)


def _complete(case: ModelCase, prompts: tuple[Prompt, ...], slots: Any, temperature: float) -> Complete:
    return Complete(
        prompts=prompts, slots=slots, key=Key(0, ("laws",)), max_tokens=case.max_tokens, temperature=temperature
    )


MODEL_LAWS: dict[str, Callable[[ModelCase], None]] = {
    law.__name__: law
    for law in (
        next_token_sums_to_one,
        reductions_agree,
        logprob_is_the_chain,
        batch_equals_single,
        greedy_is_the_most_probable,
        completion_has_its_own_logprob,
    )
}


def model_requests(case: ModelCase) -> tuple[Request[Any], ...]:
    """One request of each type, for the laws of any backend."""
    tree = Tree(encode_prompts(case.make(), case.prompts))
    tree, _ = tree.append(np.zeros(2), np.array([0, 1]), np.zeros(2))
    return (
        NextToken(tree=tree, nodes=np.arange(len(tree)), top=2),
        _complete(case, case.prompts, np.arange(len(case.prompts)), 1.0),
        LogProb(prompts=case.prompts, continuations=(case.continuations,) * len(case.prompts)),
        _complete(case, case.prompts[::-1], np.arange(len(case.prompts)), 0.0),
    )


# ---- laws of a program


def run_twice_is_equal(case: ProgramCase) -> None:
    """Run again, a program says and returns the same."""
    _expect(same(_told(case), _told(case)), "a second run differs from the first")


def order_of_replies_is_free(case: ProgramCase) -> None:
    """A program's notes and result do not depend on the order in which replies arrive."""
    expected = _told(case)
    for seed in range(3):
        _expect(
            same(expected, _told(case, Shuffled(case.backend(), Key(seed)))), "the order of replies changes the run"
        )


def killed_anywhere_it_replays(case: ProgramCase) -> None:
    """Killed after any number of replies and run again over what was recorded, it says and returns the same.

    Nothing that was recorded is asked again.
    """
    whole: dict[int, tuple[Request[Any], Any]] = {}
    expected = _told(case, Recorder(case.backend(), whole))
    for replies in range(len(whole)):
        entries: dict[int, tuple[Request[Any], Any]] = {}
        try:
            _told(case, Recorder(case.backend(), entries, die_after=replies))
        except Killed:
            pass
        else:
            raise LawBroken(f"the run asked {replies} requests this time, {len(whole)} before")
        resumed = Recorder(case.backend(), entries)
        _expect(same(expected, _told(case, resumed)), f"killed after reply {replies}, the resumed run differs")
        _expect(resumed.asked == len(whole) - replies, f"{resumed.asked} asked after reply {replies} of {len(whole)}")


def notes_carry_cost(case: ProgramCase) -> None:
    """A program notes something, and the cost of the run never falls from note to note."""
    notes, _ = _told(case)
    _expect(len(notes) > 0, "no note: a run that is stopped has nothing to show")
    for before, after in pairwise(notes):
        _expect(all(a <= b for a, b in zip(before.cost, after.cost, strict=True)), f"cost falls at note {after.kind!r}")


PROGRAM_LAWS: dict[str, Callable[[ProgramCase], None]] = {
    law.__name__: law
    for law in (run_twice_is_equal, order_of_replies_is_free, killed_anywhere_it_replays, notes_carry_cost)
}


class _Listener:
    """Keeps the notes of a run."""

    def __init__(self) -> None:
        self.notes: list[Note] = []

    def on_note(self, note: Note) -> None:
        self.notes.append(note)

    def on_reply(self, done: int, asked: int, cost: Cost) -> None:
        """Not needed."""


def _told(case: ProgramCase, backend: Backend | None = None) -> tuple[list[Note], Any]:
    listener = _Listener()
    result = run(case.make(), backend or case.backend(), observer=listener)
    return listener.notes, result


def _expect(holds: bool, message: str) -> None:
    if not holds:
        raise LawBroken(message)
