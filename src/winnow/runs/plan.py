"""What a run will ask, before it runs: the same program over a backend that only counts.

A short measurement says how long answers are, how they score and how fast the model reads and writes. The program then runs
over made-up answers like those, so its requests are the ones the run will ask, and their tokens are counted by the model's
own codec. What is not known beforehand - which answers are kept, when a run ends early - is as in the measurement.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import nnls

from winnow.adaption.context import prompts
from winnow.adaption.loop import loop
from winnow.ports.chunks import in_chunks
from winnow.ports.program import Note, run
from winnow.ports.requests import (
    Backend,
    Complete,
    Completions,
    Cost,
    Evaluate,
    Item,
    LanguageModel,
    LogProb,
    Request,
    Router,
    Scores,
)
from winnow.runs.settings import Settings
from winnow.values.random import Key, choose


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a few answers showed."""

    items: tuple[Item, ...]
    num_tokens: tuple[int, ...]  # of each answer
    scores: tuple[float, ...]
    evaluation: Cost  # of scoring all of them
    read_seconds: float  # a prompt token
    write_seconds: float  # a new token
    evaluate_seconds: float  # an item
    cost: Cost  # of the measurement
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part of a run: what it asks and takes, estimated."""

    name: str
    requests: int = 0
    cost: Cost = Cost()
    seconds: float = 0.0

    def plus(self, other: Part) -> Part:
        """Both parts."""
        cost = self.cost.plus(other.cost)
        return Part(
            name=self.name, requests=self.requests + other.requests, cost=cost, seconds=self.seconds + other.seconds
        )


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A run before it runs; ``most_new_tokens`` is what it writes when every answer takes ``max_tokens``."""

    parts: tuple[Part, ...]
    measured: Measured
    most_new_tokens: int

    @property
    def total(self) -> Part:
        """All parts together."""
        total = Part(name="total")
        for part in self.parts:
            total = total.plus(part)
        return total


def plan(settings: Settings, model: LanguageModel, evaluator: Backend, *, rows: int = 32) -> Plan:
    """Measure shortly, then count.

    Parameters
    ----------
    rows : answers to measure on. Cost in model calls: twice as many completions and one evaluation of each.
    """
    measured = measure(settings, model, evaluator, rows=rows)
    counter = Counter(model, measured)
    rows_of = {kind: settings.rows[kind.__name__] for kind in (Complete, LogProb, Evaluate)}
    program = loop(
        settings.task,
        seed=settings.seed,
        chat=settings.chat,
        audit=0,
        response=settings.response,
        removed=settings.removed,
    )
    run(in_chunks(program, rows_of), counter, observer=counter)
    return Plan(parts=tuple(counter.parts), measured=measured, most_new_tokens=counter.rows * settings.task.max_tokens)


def measure(settings: Settings, model: LanguageModel, evaluator: Backend, *, rows: int) -> Measured:
    """Answer some queries without examples and with a full context, score the answers, and take the time."""
    task, backend, key = settings.task, Router(model, evaluator), Key(settings.seed).child("plan")
    pick = choose(key, "queries", [0], len(task.queries), min(rows, len(task.queries)))[0]
    queries = [task.queries[i] for i in pick]
    began = time.monotonic()
    contexts: list[list[Item]] = [[] for _ in queries]
    written, seconds = [], []
    for place in ("empty", "full"):
        request = Complete(
            prompts=prompts(task.pair, task.header, contexts, queries, settings.chat),
            slots=np.arange(len(queries)),
            key=key.child(place),
            max_tokens=task.max_tokens,
            stop=task.stop,
            temperature=task.temperature,
            top_p=task.top_p,
        )
        reply, took = _timed(backend, request)
        written.append(reply)
        seconds.append(took)
        items = [Item(query, text.strip()) for query, text in zip(queries, reply.text, strict=True)]
        others = [[item for item in items if item.query != query] or items for query in queries]
        contexts = [(many * (task.examples // len(many) + 1))[: task.examples] for many in others]
    first = [Item(query, text.strip()) for query, text in zip(queries, written[0].text, strict=True)]
    spoken = [item for item in first if item.answer] or [Item(queries[0], "?")]
    verdict, took = _timed(backend, Evaluate(items=tuple(spoken)))
    tokens = np.array([[reply.cost.prompt_tokens, reply.cost.new_tokens] for reply in written], np.float64)
    read, write = nnls(tokens, np.array(seconds))[0]
    cost = verdict.cost
    for reply in written:
        cost = cost.plus(reply.cost)
    return Measured(
        items=tuple(first),
        num_tokens=tuple(written[0].num_tokens.tolist()),
        scores=tuple(verdict.score.tolist()),
        evaluation=verdict.cost,
        read_seconds=float(read),
        write_seconds=float(write),
        evaluate_seconds=took / len(spoken),
        cost=cost,
        seconds=time.monotonic() - began,
    )


class Counter:
    """A backend that answers with what was measured and counts what it would have cost; and the observer of its own run."""

    identity = "a plan"
    answers: frozenset[type[Request[Any]]] = frozenset({Complete, Evaluate})

    def __init__(self, model: LanguageModel, measured: Measured) -> None:
        self.model, self.measured = model, measured
        self.parts: list[Part] = []
        self.rows = 0
        self._now = Part(name="")
        self._length: dict[Any, int] = {}
        self._by_query: dict[str, int] = {}

    def answer(self, requests: Sequence[Request[Any]]) -> Iterator[tuple[int, Any]]:
        for index, request in enumerate(requests):
            reply, seconds = self._complete(request) if isinstance(request, Complete) else self._evaluate(request)
            self._now = self._now.plus(Part(name="", requests=1, cost=reply.cost, seconds=seconds))
            yield index, reply

    def on_note(self, note: Note) -> None:
        """A round, or a point of the response curve, is over: what was asked since belongs to it."""
        name = f"round {note.info['round']}" if note.kind == "round" else "response curve"
        part = Part(name=name, requests=self._now.requests, cost=self._now.cost, seconds=self._now.seconds)
        if self.parts and self.parts[-1].name == name:
            self.parts[-1] = self.parts[-1].plus(part)
        else:
            self.parts.append(part)
        self._now = Part(name="")

    def on_reply(self, done: int, asked: int, cost: Cost) -> None:
        """Counted where it is answered."""

    def _complete(self, request: Complete) -> tuple[Completions, float]:
        known = self.measured
        which = [int(slot) % len(known.items) for slot in request.slots]
        num_tokens = np.array([known.num_tokens[i] for i in which], np.int64)
        prompt = sum(self._tokens(one) for one in set(request.prompts))
        self.rows += len(which)
        reply = Completions(
            text=tuple(known.items[i].answer for i in which),
            logprob=np.zeros(len(which)),
            num_tokens=num_tokens,
            finish=("stop",) * len(which),
            cost=Cost(len(which), prompt, int(num_tokens.sum())),
        )
        return reply, prompt * known.read_seconds + float(num_tokens.sum()) * known.write_seconds

    def _evaluate(self, request: Request[Any]) -> tuple[Scores, float]:
        assert isinstance(request, Evaluate)
        known, num = self.measured, len(request.items)
        share = num / len(known.scores)
        cost = Cost(*(round(part * share) for part in known.evaluation))
        score = np.array([known.scores[i % len(known.scores)] for i in range(num)], np.float64)
        return Scores(score=score, parts=({},) * num, cost=cost), num * known.evaluate_seconds

    def _tokens(self, prompt: Any) -> int:
        if prompt not in self._length:
            self._length[prompt] = len(self.model.codec.encode(prompt))
        return self._length[prompt]


def as_json(plan: Plan, money: Mapping[str, Any]) -> dict[str, Any]:
    """A plan as JSON values."""

    def told(part: Part) -> dict[str, Any]:
        return {"part": part.name, "requests": part.requests, **part.cost._asdict(), "seconds": round(part.seconds, 3)}

    return {
        "parts": [told(part) for part in plan.parts],
        "total": told(plan.total),
        "most_new_tokens": plan.most_new_tokens,
        "measured": {
            "answers": len(plan.measured.items),
            **plan.measured.cost._asdict(),
            "seconds": round(plan.measured.seconds, 3),
        },
        **money,
    }


def _timed(backend: Backend, request: Request[Any]) -> tuple[Any, float]:
    began = time.monotonic()
    ((_, reply),) = backend.answer([request])
    return reply, time.monotonic() - began
