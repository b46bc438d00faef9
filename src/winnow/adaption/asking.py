"""The two things a loop asks: answers in given contexts, and scores of answers. All programs of adapt ask here."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from winnow.adaption.context import prompts
from winnow.adaption.task import Task
from winnow.ports.program import Program, ask
from winnow.ports.requests import Complete, Completions, Evaluate, Item
from winnow.values.logspace import FloatArray
from winnow.values.random import Key


def write_answers(
    task: Task,
    contexts: Sequence[Sequence[Item]],
    queries: Sequence[str],
    key: Key,
    *,
    chat: bool,
    temperature: float | None = None,
) -> Program[tuple[list[Item], Completions]]:
    """One answer to each query in its own context, white space around it dropped; the draw of row i belongs to slot i."""
    reply = yield from ask(
        Complete(
            prompts=prompts(task.pair, task.header, contexts, queries, chat),
            slots=np.arange(len(queries)),
            key=key,
            max_tokens=task.max_tokens,
            stop=task.stop,
            temperature=task.temperature if temperature is None else temperature,
            top_p=task.top_p,
        )
    )
    return [Item(query, text.strip()) for query, text in zip(queries, reply.text, strict=True)], reply


def evaluate(items: Sequence[Item]) -> Program[tuple[FloatArray, list[dict[str, float]], int]]:
    """Scores ``[N]``, their parts, and the tokens it took.

    An empty answer is not evaluated: its score is NaN, and no rule of selection keeps it.
    """
    spoken = [i for i, item in enumerate(items) if item.answer]
    score = np.full(len(items), np.nan)
    parts: list[dict[str, float]] = [{} for _ in items]
    if not spoken:
        return score, parts, 0
    reply = yield from ask(Evaluate(items=tuple(items[i] for i in spoken)))
    score[spoken] = reply.score
    for i, part in zip(spoken, reply.parts, strict=True):
        parts[i] = dict(part)
    return score, parts, reply.cost.prompt_tokens + reply.cost.new_tokens
