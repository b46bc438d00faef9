"""What a user would do instead of a loop, at the tokens the loop cost: the lines it has to beat.

Every rival answers the same queries, spends at most the loop's tokens, and uses no context the loop could have used. Where
a rival has a knob, gold turns it in the rival's favour, and the record says so.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias

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

Choice: TypeAlias = Callable[[list[int]], list[Item]]  # rows of the samples to one answer a query


class Exam(NamedTuple):
    """Queries to answer, and how answers are marked."""

    task: Task
    queries: Sequence[str]
    gold: Mapping[str, str]
    key: Key
    chat: bool

    def sample(
        self, samples: int, place: str, *words: str, temperature: float | None = None
    ) -> Program[tuple[list[Item], Cost]]:
        """``samples`` answers a query without context, query by query, and what they cost."""
        asked = [query for query in self.queries for _ in range(samples)]
        items, reply = yield from write_answers(
            self.task, [[]] * len(asked), asked, self.key.child(place, *words), chat=self.chat, temperature=temperature
        )
        return items, reply.cost

    def record(self, name: str, items: Sequence[Item], samples: int, spent: int, note: str = "") -> dict[str, Any]:
        """A rival's line: its error with interval and n, what it spent."""
        kind = kinds_of(items, self.gold, self.task.match, self.task.abstentions)
        share = Share.of(int((kind != RIGHT).sum()), len(items))
        return {
            "rival": name,
            "samples": samples,
            "error": share.value,
            "error_interval": [share.low, share.high],
            "n": share.n,
            "tokens": spent,
            "note": note,
            "by_samples": None,
        }

    def chosen(
        self, name: str, items: Sequence[Item], samples: int, spent: int, choose: Choice, note: str = ""
    ) -> dict[str, Any]:
        """The line of a rival that chooses among its samples, with its error among the first 1, 2, 4, .. of them."""
        errors = {}
        for few in [*(2**i for i in range(samples.bit_length()) if 2**i < samples), samples]:
            taken = [i for i in range(len(items)) if i % samples < few]
            row = self.record(name, choose(taken), samples, spent, note)
            errors[str(few)] = row["error"]
        return {**row, "by_samples": errors}


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
    most : largest number of samples a query, whatever the budget allows; ``by_samples`` tells whether more would help.

    Returns
    -------
    One record each, the loop's first, each also yielded as a note:
    {"rival", "samples", "error", "error_interval", "n", "tokens", "note", "by_samples"}, the last the error among the first
    1, 2, 4, .. samples for rivals that choose among them, else None.
    """
    exam, results = Exam(task, queries, gold, key, chat), []
    row = yield from _loops_context(exam, accepted, tokens)
    results.append(row)
    yield Note(kind="rival", info=row)
    budget = int(row["tokens"])
    items, cost = yield from exam.sample(1, "greedy", temperature=0.0)
    results.append(exam.record("greedy", items, 1, _tokens(cost)))
    yield Note(kind="rival", info=results[-1])
    row, cost = yield from _best_temperature(exam)
    results.append(row)
    yield Note(kind="rival", info=row)
    # prompts are encoded once for many samples; the factor leaves room for those that batches cut apart
    left = budget - 2 * cost.prompt_tokens
    for choosing in (_majority_vote, _best_of_n):
        row = yield from choosing(exam, left, cost.new_tokens, most)
        results.append(row)
        yield Note(kind="rival", info=row)
    if header is not None:
        items, cost = yield from exam._replace(task=replace(task, header=header)).sample(1, "header")
        results.append(exam.record(BY_HAND, items, 1, _tokens(cost), repr(header.strip())))
        yield Note(kind="rival", info=results[-1])
    return results


def _loops_context(exam: Exam, accepted: Sequence[Answer], tokens: int) -> Program[dict[str, Any]]:
    """The loop's own line; its tokens are what the loop spent and what this reading costs."""
    buffer = Buffer(appended=True)
    buffer.fill(accepted)
    drawn = buffer.draw(exam.queries, exam.task.examples, exam.key.child("contexts"), shared=False)
    contexts = [[one.item for one in context] for context in drawn]
    items, reply = yield from write_answers(
        exam.task, contexts, exam.queries, exam.key.child("adapted"), chat=exam.chat, temperature=0.0
    )
    return exam.record(LOOP, items, 1, tokens + _tokens(reply.cost), "the loop's tokens and these")


def _best_temperature(exam: Exam) -> Program[tuple[dict[str, Any], Cost]]:
    """One sample at the temperature that gold likes best, and what one sample a query costs."""
    tried = []
    for temperature in TEMPERATURES:
        items, cost = yield from exam.sample(1, "temperature", str(temperature), temperature=temperature)
        note = f"temperature {temperature:g}, picked by gold"
        tried.append(exam.record("best temperature", items, 1, _tokens(cost), note))
    return min(tried, key=lambda row: float(row["error"])), cost


def _majority_vote(exam: Exam, left: int, one_more: int, most: int) -> Program[dict[str, Any]]:
    """The most frequent of as many samples as ``left`` tokens buy at ``one_more`` tokens for one sample of every query."""
    samples = int(np.clip(left // one_more, 1, most))
    items, cost = yield from exam.sample(samples, "vote")
    note = f"{most} samples at most" if samples == most else ""
    return exam.chosen(
        "majority vote", items, samples, _tokens(cost), lambda taken: _vote([items[i] for i in taken]), note
    )


def _best_of_n(exam: Exam, left: int, one_more: int, most: int) -> Program[dict[str, Any]]:
    """The best by its own evaluation of as many samples as the tokens buy, evaluations included."""
    items, _ = yield from exam.sample(1, "price")
    _, _, evaluating = yield from evaluate(items)  # what one evaluation a query costs
    samples = int(np.clip(left // (one_more + evaluating), 1, most))
    items, cost = yield from exam.sample(samples, "best")
    score, _, evaluating = yield from evaluate(items)
    known = np.nan_to_num(score, nan=-1.0)
    note = f"{most} samples at most" if samples == most else ""
    return exam.chosen(
        "best of n, self-evaluated",
        items,
        samples,
        _tokens(cost) + evaluating,
        lambda taken: _best([items[i] for i in taken], known[taken]),
        note,
    )


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
