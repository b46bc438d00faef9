"""The loop: answer, evaluate, select, put what survives into the context, repeat.

    round 0     contexts are empty: where the model starts
    round n     each query is answered in a context drawn from the buffer, the answers are evaluated, selection decides,
                the survivors fill the buffer, the round is accounted for, and an audit may end it

A program (ports/program.py): it knows no model, no file and no clock, and its random numbers belong to places in the run.
The evaluator sees a query and an answer and no examples: what a round changes is which answers it gets to see.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from winnow.adaption import audit as audits
from winnow.adaption.asking import evaluate, write_answers
from winnow.adaption.buffer import Answer, Buffer
from winnow.adaption.forecast import Forecast
from winnow.adaption.labels import RIGHT, kinds_of
from winnow.adaption.ledger import account
from winnow.adaption.selection import select
from winnow.adaption.task import Task
from winnow.ports.program import Note, Program
from winnow.values.lineage import Lineage
from winnow.values.logspace import IntArray
from winnow.values.population import Population
from winnow.values.random import Key, permutation


class Stop(NamedTuple):
    """Why a loop ended: rounds, queries, nothing accepted, converged, audit, off scale or limit; and in words."""

    reason: str
    message: str


class Outcome(NamedTuple):
    """What a finished loop leaves behind."""

    answers: tuple[Answer, ...]  # everyone who ever lived, in order of birth
    context: tuple[Answer, ...]  # the examples the next query would be answered with
    verdict: audits.Verdict | None
    stop: Stop

    @property
    def lineage(self) -> Lineage:
        """Who stood in whose context; each example has an equal share in the answer."""
        return Lineage.equal_shares((answer.number, answer.parents) for answer in self.answers)


def iterate(
    task: Task,
    *,
    key: Key,
    chat: bool = False,
    gold: Mapping[str, str] | None = None,
    num_labels: int = 0,
    forecast: Forecast | None = None,
    removed: frozenset[int] = frozenset(),
) -> Program[Outcome]:
    """Run the loop of an evaluable recurrent task.

    Parameters
    ----------
    key : where its random numbers belong.
    chat : whether prompts are chat messages (``LanguageModel.chat``).
    gold : right answer of each query; measures every round, picks nothing.
    num_labels : gold labels an audit may spend over the rounds; the loop goes on only while s - f is shown to be above 0.
    forecast : predictions of each round from queries the run never sees.
    removed : numbers of answers that are not kept, whatever selection says; their ``parts`` then hold ``retracted``.

    Notes
    -----
    Yields one note of kind "round" a round, its info as ``ledger.account`` describes. Cost in model calls: one Complete
    and one Evaluate a round.
    """
    buffer = Buffer(appended=task.buffer == "appended")
    everyone: list[Answer] = []
    means: list[tuple[float, float]] = []
    audit = audits.Audit(num_labels, task.rounds) if num_labels else None
    verdict = None
    stop = Stop("rounds", f"all {task.rounds} rounds are done" if task.rounds > 1 else "its round is done")
    rounds = schedule(task, key)
    for number in range(task.rounds + 1):
        asked = next(rounds, None)
        if asked is None:
            stop = Stop(
                "queries", f"the queries are used up after round {number - 1}; allow reuse, or give more of them"
            )
            break
        born = yield from one_round(task, buffer, number, [task.queries[i] for i in asked], len(everyone), key, chat)
        born = [retract(answer) if answer.number in removed else answer for answer in born]
        buffer.fill([answer for answer in born if answer.accepted], first=len(everyone))
        ancestors, everyone = everyone, [*everyone, *born]
        if audit is not None:
            assert gold is not None
            verdict = audit.look(label(task, number, born, gold, audit.allowance[number], key))
        info = account(task, number, born, ancestors, gold, forecast, verdict)
        survival = np.array([answer.survival for answer in born])
        with np.errstate(divide="ignore"):
            population = Population(individuals=born, log_weight=np.zeros(len(born)), log_fitness=np.log(survival))
        yield Note(kind="round", info=info, population=population)
        means.append(mean_score(born))
        early = early_stop(task, buffer, means, verdict, info["off_scale"])
        if early is not None:
            stop = early
            break
    return Outcome(tuple(everyone), examples_after(task, everyone, key), verdict, stop)


def examples_after(task: Task, everyone: Sequence[Answer], key: Key) -> tuple[Answer, ...]:
    """The examples the next query would be answered with, given everyone who lived in whole rounds, in order of birth."""
    buffer = Buffer(appended=task.buffer == "appended")
    last = [answer for answer in everyone if answer.round == everyone[-1].round]
    kept = [answer for answer in (everyone if buffer.appended else last) if answer.accepted]
    buffer.fill(kept, first=last[0].number if last else 0)
    return tuple(buffer.draw([""], task.examples, key.child("final"), shared=False)[0])


def schedule(task: Task, key: Key) -> Iterator[IntArray]:
    """Which queries each round asks: every query once in random order, and with ``reuse`` all over again, for ever."""
    left = np.empty(0, np.int64)
    epoch = 0
    while True:
        while left.size < task.batch:
            if epoch and not task.reuse:
                return
            left = np.concatenate([left, permutation(key.child("epoch", epoch), "queries", len(task.queries))])
            epoch += 1
        asked, left = left[: task.batch], left[task.batch :]
        yield asked


def one_round(
    task: Task, buffer: Buffer, number: int, queries: list[str], first: int, key: Key, chat: bool
) -> Program[list[Answer]]:
    """Contexts, answers, scores, selection: the answers born in one round, numbered from ``first``."""
    place = key.child("round", number)
    queries = [query for query in queries for _ in range(task.candidates)]
    contexts = buffer.draw(queries, task.examples, place, shared=task.draw == "shared")
    shown = [[one.item for one in context] for context in contexts]
    items, written = yield from write_answers(task, shown, queries, place.child("answer"), chat=chat)
    score, parts, _ = yield from evaluate(items)
    group = np.unique(np.array(queries), return_inverse=True)[1]
    accepted, survival = select(task, score, group, place)
    return [
        Answer(
            number=first + i,
            round=number,
            item=items[i],
            score=None if np.isnan(score[i]) else float(score[i]),
            parts=parts[i],
            survival=float(survival[i]),
            accepted=bool(accepted[i]),
            parents=tuple(example.number for example in contexts[i]),
            logprob=float(written.logprob[i]),
            finish=written.finish[i],
        )
        for i in range(len(items))
    ]


def retract(answer: Answer) -> Answer:
    """The answer as one that is not kept, and says why."""
    return answer._replace(accepted=False, parts={**answer.parts, "retracted": 1.0})


def label(
    task: Task, number: int, born: list[Answer], gold: Mapping[str, str], num_labels: int, key: Key
) -> audits.Labels:
    """Label a stratified sample of a round's accepted and rejected answers."""
    accepted = np.array([i for i, answer in enumerate(born) if answer.accepted], np.int64)
    rejected = np.array([i for i, answer in enumerate(born) if not answer.accepted], np.int64)
    place = key.child("audit", number) if number else key.child("audit")
    yes, no = audits.draw_sample(accepted, rejected, num_labels, place)
    right = [
        int((kinds_of([born[i].item for i in side], gold, task.match, task.abstentions) == RIGHT).sum())
        for side in (yes, no)
    ]
    return audits.Labels(number, right[0], yes.size, right[1], no.size, accepted.size, rejected.size)


def audit_stop(verdict: audits.Verdict) -> str:
    """Why an audit stops the loop, in words."""
    bound = f"(one-sided 95 % bound of s - f: {verdict.bound:+.3f})"
    if verdict.since:
        return (
            f"the evaluator has changed: gold labels since round {verdict.since} say less than those before, and do not "
            f"show that right answers are still accepted more readily than wrong ones {bound}"
        )
    return (
        f"{verdict.labels} gold labels do not show that right answers are accepted more readily than wrong ones {bound}"
    )


def mean_score(born: list[Answer]) -> tuple[float, float]:
    """Mean score of a round and its standard error; answers without a score count as 0."""
    score = np.array([answer.score or 0.0 for answer in born])
    return float(score.mean()), float(score.std() / np.sqrt(score.size))


def early_stop(
    task: Task,
    buffer: Buffer,
    means: list[tuple[float, float]],
    verdict: audits.Verdict | None,
    off_scale: float | None,
) -> Stop | None:
    """A reason to end before the last round, if there is one."""
    if len(means) == 1 and off_scale is not None and off_scale > task.max_off_scale:
        return Stop(
            "off scale",
            f"the survey's words hold {1 - off_scale:.2g} of the model's probability: it cannot evaluate itself with them "
            f"(max_off_scale {task.max_off_scale:g}; try other words, another question, or another evaluator)",
        )
    if verdict is not None and not verdict.carries:
        return Stop("audit", audit_stop(verdict))
    if not buffer.answers:
        return Stop("nothing accepted", "the evaluator accepted nothing, so there is nothing to put into a context")
    recent = means[-task.patience - 1 :]
    if (
        task.patience
        and len(recent) > task.patience
        and all(abs(b[0] - a[0]) <= 2 * np.hypot(a[1], b[1]) for a, b in pairwise(recent))
    ):
        return Stop("converged", f"the mean score stayed within two standard errors for {task.patience} rounds")
    return None
