"""The whole loop as one program: hold queries out, measure the response curve on them, then the rounds.

Everything that a run asks and says follows from the arguments here and from the replies, so a run is repeated, resumed,
checked or derived by calling this again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

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
    """Set ``task.held_out`` of the different queries aside to measure on: the task without them, and them.

    Raises
    ------
    InputError
        When too few are left on either side for a context, or the rule judges answers against each other.
    """
    if task.select == "best":
        raise InputError(
            "select best judges answers against each other, and a response curve needs a rule that judges each alone",
            where="response_curve",
            remedy="use soft or threshold, or go without the curve",
        )
    different = list(dict.fromkeys(task.queries))
    order = permutation(Key(seed).child("held out"), "queries", len(different))
    aside = round(task.held_out * len(different))
    if min(aside, len(different) - aside) <= task.examples:
        raise InputError(
            f"of {len(different)} different queries {aside} would be held out; contexts of {task.examples} examples need "
            f"more than {task.examples} on each side",
            where="held_out",
            remedy="give more queries, fewer examples, or another share",
        )
    held_out = {different[i] for i in order[:aside]}
    keep = [i for i, query in enumerate(task.queries) if query not in held_out]
    gold = None if task.gold is None else [task.gold[i] for i in keep]
    rest = replace(task, queries=[task.queries[i] for i in keep], gold=gold)
    return rest, [query for query in different if query in held_out]


def gold_of(task: Task) -> Mapping[str, str] | None:
    """The right answer to each query, if the task has them."""
    return None if task.gold is None else dict(zip(task.queries, task.gold, strict=True))
