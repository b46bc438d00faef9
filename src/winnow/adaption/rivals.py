"""What a user would do instead of a loop, at the tokens the loop cost: the lines it has to beat.

Every rival answers the same queries, spends at most the loop's tokens, and uses no context the loop could have used. Where
a rival has a knob, gold turns it in the rival's favour, and the record says so.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from winnow.adaption.asking import evaluate, write_answers
from winnow.adaption.buffer import Answer, Buffer
from winnow.adaption.labels import RIGHT, Share, kinds_of
from winnow.adaption.task import Task
from winnow.evaluators.verifier import normalise
from winnow.ports.program import Note, Program
from winnow.ports.requests import Cost, Item
from winnow.values.logspace import FloatArray
from winnow.values.random import Key

BY_HAND = "hand-written header"
LOOP = "the loop's context, greedy"
TEMPERATURES = (0.25, 0.5, 0.75, 1.0)


def rivals(
    task: Task,
    queries: Sequence[str],
    gold: Mapping[str, str],
    *,
    accepted: Sequence[Answer],
    tokens: int,
    header: str | None,
    key: Key,
    chat: bool = False,
    most: int = 64,
) -> Program[list[dict[str, Any]]]:
    """Answer ``queries`` with what the loop made, and with every rival within the same tokens.

    The loop's own line uses its last survivors as examples, drawn anew for each query, at temperature 0: rivals may choose
    their temperature, so the loop's user may too. What the loop spent and what its line costs together is every rival's
    budget.

    Parameters
    ----------
    accepted : the answers in the loop's buffer at its end.
    tokens : what the loop spent, prompt and new tokens together.
    header : the best hand-written prompt, or None when there is none to try.
    most : largest number of samples a query, whatever the budget allows.

    Returns
    -------
    One record each, the loop's first, each also yielded as a note:
    {"rival", "samples", "error", "error_interval", "n", "tokens", "note"}.
    """

    def record(name: str, items: Sequence[Item], samples: int, spent: int, note: str = "") -> dict[str, Any]:
        wrong = int((kinds_of(items, gold, task.match, task.abstentions) != RIGHT).sum())
        share = Share.of(wrong, len(items))
        return {
            "rival": name,
            "samples": samples,
            "error": share.value,
            "error_interval": [share.low, share.high],
            "n": share.n,
            "tokens": spent,
            "note": note,
        }

    results: list[dict[str, Any]] = []

    def add(row: dict[str, Any]) -> Note:
        results.append(row)
        return Note(kind="rival", info=row)

    buffer = Buffer(appended=True)
    buffer.fill(accepted)
    drawn = buffer.draw(queries, task.examples, key.child("contexts"), shared=False)
    contexts = [[one.item for one in context] for context in drawn]
    items, reply = yield from write_answers(task, contexts, queries, key.child("adapted"), chat=chat, temperature=0.0)
    tokens += _tokens(reply.cost)
    yield add(record(LOOP, items, 1, tokens, "the loop's tokens and these"))

    items, cost = yield from _sample(task, queries, 1, key.child("greedy"), chat, temperature=0.0)
    yield add(record("greedy", items, 1, _tokens(cost)))
    tried = []
    for temperature in TEMPERATURES:
        items, cost = yield from _sample(
            task, queries, 1, key.child("temperature", str(temperature)), chat, temperature=temperature
        )
        note = f"temperature {temperature:g}, picked by gold"
        tried.append(record("best temperature", items, 1, _tokens(cost), note))
    yield add(min(tried, key=lambda row: float(row["error"])))

    # prompts are encoded once for many samples; the factor leaves room for those that batches cut apart
    left, one_more = tokens - 2 * cost.prompt_tokens, cost.new_tokens
    samples = int(np.clip(left // one_more, 1, most))
    items, cost = yield from _sample(task, queries, samples, key.child("vote"), chat)
    capped = f"{most} samples at most" if samples == most else ""
    yield add(record("majority vote", _vote(items), samples, _tokens(cost), capped))

    _, _, evaluating = yield from evaluate(items[::samples])  # what one evaluation a query costs
    samples = int(np.clip(left // (one_more + evaluating), 1, most))
    items, cost = yield from _sample(task, queries, samples, key.child("best"), chat)
    score, _, evaluating = yield from evaluate(items)
    best = _best(items, np.nan_to_num(score, nan=-1.0))
    yield add(record("best of n, self-evaluated", best, samples, _tokens(cost) + evaluating))
    if header is not None:
        items, cost = yield from _sample(replace(task, header=header), queries, 1, key.child("header"), chat)
        yield add(record(BY_HAND, items, 1, _tokens(cost), repr(header.strip())))
    return results


def _sample(
    task: Task, queries: Sequence[str], samples: int, key: Key, chat: bool, temperature: float | None = None
) -> Program[tuple[list[Item], Cost]]:
    """``samples`` answers a query without context, and what they cost."""
    asked = [query for query in queries for _ in range(samples)]
    items, reply = yield from write_answers(task, [[]] * len(asked), asked, key, chat=chat, temperature=temperature)
    return items, reply.cost


def _tokens(cost: Cost) -> int:
    return cost.prompt_tokens + cost.new_tokens


def _vote(items: Sequence[Item]) -> list[Item]:
    """The most frequent answer to each query; ties go to the one written first."""
    votes: dict[str, Counter[str]] = defaultdict(Counter)
    first: dict[tuple[str, str], Item] = {}
    for item in items:
        votes[item.query][normalise(item.answer)] += 1
        first.setdefault((item.query, normalise(item.answer)), item)
    return [first[query, counts.most_common(1)[0][0]] for query, counts in votes.items()]


def _best(items: Sequence[Item], score: FloatArray) -> list[Item]:
    """The best-scored answer to each query; ties go to the one written first."""
    best: dict[str, tuple[float, Item]] = {}
    for item, value in zip(items, score, strict=True):
        if item.query not in best or value > best[item.query][0]:
            best[item.query] = (value, item)
    return [item for _, item in best.values()]
