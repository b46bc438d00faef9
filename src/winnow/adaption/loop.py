"""The whole loop as one program: hold queries out, measure the response curve on them, then the rounds.

Everything that a run asks and says follows from the arguments here and from the replies, so a run is repeated, resumed,
checked or derived by calling this again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from winnow.adaption.buffer import Answer
from winnow.adaption.forecast import Forecast
from winnow.adaption.iterate import Outcome, examples_after, iterate
from winnow.adaption.response import Response, measure_response
from winnow.adaption.task import Task
from winnow.ports.program import Program
from winnow.values.errors import InputError
from winnow.values.random import Key, permutation


def loop(
    task: Task,
    *,
    seed: int = 0,
    chat: bool = False,
    audit: int = 0,
    response: bool | Response = False,
    removed: Iterable[int] = (),
) -> Program[Outcome]:
    """Response curve if asked for, then the rounds.

    Parameters
    ----------
    seed, audit, response : as in ``winnow.adapt``.
    chat : whether prompts are chat messages.
    removed : numbers of answers that selection must not keep, whatever the evaluator says (``winnow retract``).
    """
    gold, key = gold_of(task), Key(seed)
    measured = response
    if response is True:
        task, held_out = split(task, seed=seed)
        measured = yield from measure_response(task, held_out, gold or {}, key=key.child("response"), chat=chat)
    forecast = Forecast(task, measured, key=key.child("forecast")) if isinstance(measured, Response) else None
    return (
        yield from iterate(
            task,
            key=key.child("adapt"),
            chat=chat,
            gold=gold,
            num_labels=audit,
            forecast=forecast,
            removed=frozenset(removed),
        )
    )


def examples_of(task: Task, everyone: Sequence[Answer], *, seed: int) -> tuple[Answer, ...]:
    """The examples that a loop with this seed would answer the next query with, after the rounds of ``everyone``."""
    return examples_after(task, everyone, Key(seed).child("adapt"))


def split(task: Task, *, seed: int) -> tuple[Task, list[str]]:
    """Set ``task.held_out`` of the queries aside to measure on: the task without them, and them."""
    order = permutation(Key(seed).child("held out"), "queries", len(task.queries))
    aside = round(task.held_out * len(task.queries))
    if not 0 < aside < len(task.queries):
        raise InputError(
            f"{len(task.queries)} queries leave none to measure the response curve on",
            where="held_out",
            remedy="give more queries, or a share in (0, 1)",
        )
    keep = np.sort(order[aside:])
    gold = None if task.gold is None else [task.gold[i] for i in keep]
    return replace(task, queries=[task.queries[i] for i in keep], gold=gold), [
        task.queries[i] for i in np.sort(order[:aside])
    ]


def gold_of(task: Task) -> Mapping[str, str] | None:
    """The right answer to each query, if the task has them."""
    return None if task.gold is None else dict(zip(task.queries, task.gold, strict=True))
