"""Programs and the only loop over backend calls.

A program is a generator. It yields a tuple of requests and is sent the tuple of replies; it yields notes; it returns its
result. It never calls a model, reads a clock, draws from a global generator or touches a file: everything it does follows
from its arguments and the replies, so running it again over recorded replies is the same run. The cut is at the model
call because that is what is slow, costs money, fails, and can be batched, replayed, cached, resumed and faked.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeAlias, TypeVar, cast

from winnow.ports.requests import Backend, Cost, Price, Request, require
from winnow.values.errors import InputError, LimitReached, ModelError
from winnow.values.population import Population

R = TypeVar("R")


@dataclass(frozen=True, kw_only=True)
class Note:
    """Something a program says while it runs: progress, a diagnostic, its partial result.

    ``cost`` is what the run has cost so far; the loop fills it in.
    """

    kind: str
    info: Mapping[str, Any] = field(default_factory=dict)
    population: Population | None = None
    cost: Cost = Cost()


Step: TypeAlias = tuple[Request[Any], ...] | Note
Replies: TypeAlias = tuple[Any, ...] | None
Program: TypeAlias = Generator[Step, Replies, R]


def ask(request: Request[R]) -> Program[R]:
    """Ask one thing: ``reply = yield from ask(request)``, typed by the request."""
    replies = yield (request,)
    assert replies is not None
    return cast(R, replies[0])


def gather(programs: Sequence[Program[R]]) -> Program[list[R]]:
    """Run programs in lockstep, merging what they ask into one batch; results in the order of ``programs``.

    Notes are passed on as they come. A program that is done stops taking part.
    """
    results: dict[int, R] = {}
    inbox: dict[int, Replies] = dict.fromkeys(range(len(programs)))
    try:
        while inbox:
            asked: dict[int, tuple[Request[Any], ...]] = {}
            for index, replies in inbox.items():
                try:
                    step = programs[index].send(replies)
                    while isinstance(step, Note):
                        yield step
                        step = programs[index].send(None)
                    asked[index] = step
                except StopIteration as stop:
                    results[index] = stop.value
            inbox = {}
            if asked:
                merged = yield tuple(request for requests in asked.values() for request in requests)
                assert merged is not None
                start = 0
                for index, requests in asked.items():
                    inbox[index], start = merged[start : start + len(requests)], start + len(requests)
    finally:
        for program in programs:
            program.close()
    return [results[index] for index in range(len(programs))]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Hard limits, checked between requests; None is no limit. Tokens are prompt and new tokens together.

    Requests, tokens and money are those of the whole run, what a journal answered included; seconds are those of this
    process. ``max_cost`` is in the money of ``price``.
    """

    max_requests: int | None = None
    max_tokens: int | None = None
    max_seconds: float | None = None
    max_cost: float | None = None
    price: Price | None = None

    def __post_init__(self) -> None:
        if self.max_cost is not None and self.price is None:
            raise InputError("a limit in money needs prices", where="--max-cost", remedy="give --prices FILE")

    def met(self, requests: int, cost: Cost, seconds: float) -> str | None:
        """The limit that forbids another request, in words; None when there is none."""
        tokens = cost.prompt_tokens + cost.new_tokens
        if self.max_requests is not None and requests >= self.max_requests:
            return f"--max-requests {self.max_requests} (asked {requests})"
        if self.max_tokens is not None and tokens >= self.max_tokens:
            return f"--max-tokens {self.max_tokens} (used {tokens})"
        if self.max_seconds is not None and seconds >= self.max_seconds:
            return f"--max-seconds {self.max_seconds:g} (ran {seconds:.1f})"
        if self.max_cost is not None and self.price is not None and (money := self.price.of(cost)) >= self.max_cost:
            return f"--max-cost {self.max_cost:g} (spent {money:.6g})"
        return None


class Observer(Protocol):
    """Somebody who watches a run: a ledger, a screen, a test."""

    def on_note(self, note: Note) -> None:
        """Called for every note, its cost filled in."""
        ...

    def on_reply(self, done: int, asked: int, cost: Cost) -> None:
        """Called as replies to one step arrive: ``done`` of ``asked``, and the run's cost so far."""
        ...


def run(program: Program[R], backend: Backend, *, limits: Limits | None = None, observer: Observer | None = None) -> R:
    """Run a program over a backend: the only loop over backend calls in Winnow.

    Returns
    -------
    The program's result.

    Raises
    ------
    CapabilityError
        When the backend cannot answer a request's type; nothing was asked in that step.
    LimitReached
        Between two requests, when a limit is met. Whoever observes has every note so far; a journal has every reply.
    ModelError
        When the backend leaves a request without reply.
    """
    started, requests, cost = time.monotonic(), 0, Cost()
    replies: Replies = None

    def check() -> None:
        met = (limits or Limits()).met(requests, cost, time.monotonic() - started)
        if met is not None:
            raise LimitReached(f"stopped at {met}; everything answered is kept; raise the limit to go on")

    try:
        while True:
            step = program.send(replies)
            if isinstance(step, Note):
                replies = None
                if observer is not None:
                    observer.on_note(replace(step, cost=cost))
                continue
            check()
            require(backend, {type(request) for request in step})
            received: dict[int, Any] = {}
            for index, reply in backend.answer(step):
                received[index] = reply
                requests, cost = requests + 1, cost.plus(reply.cost)
                if observer is not None:
                    observer.on_reply(len(received), len(step), cost)
                if len(received) < len(step):
                    check()
            if len(received) != len(step):
                silent = next(i for i in range(len(step)) if i not in received)
                raise ModelError(
                    f"{backend.identity}: no reply to {type(step[silent]).__name__} ({len(received)} of {len(step)} came)"
                )
            replies = tuple(received[index] for index in range(len(step)))
    except StopIteration as stop:
        return cast(R, stop.value)
    finally:
        program.close()
