"""How error in the context becomes error in the answer, measured on queries that the run never sees.

A response curve g maps the composition of a context (right, wrong, abstaining examples) to the composition of the
answers written in it. The examples are the model's own answers as the task's own rule of selection lets them through: an
accepted wrong answer is one that looked right, and it spoils a context less than a blatant one. Where too few of a kind are
let through, the rest of that kind stands in, then gold for right ones and the task's own abstention for evasive ones. On
the same answers the evaluator's acceptance of each kind is measured: s, f, and what evasions get.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from winnow.adaption.asking import evaluate, write_answers
from winnow.adaption.labels import ABSTAINED, RIGHT, WRONG, kinds_of
from winnow.adaption.selection import select
from winnow.adaption.task import Task
from winnow.ports.program import Note, Program
from winnow.ports.requests import Item
from winnow.values.logspace import FloatArray, IntArray
from winnow.values.random import Key, uniforms

# shares of wrong and of abstaining examples at which the curve is measured: the edge without abstentions; few abstentions
# among good and among bad examples, for one makes the next likelier where examples are bad; and on to nothing else
EDGE = ((0.0, 0.0), (0.15, 0.0), (0.3, 0.0), (0.5, 0.0), (0.75, 0.0), (1.0, 0.0))
TRIANGLE = ((0.0, 0.08), (0.45, 0.08), (0.0, 0.25), (0.4, 0.2), (0.65, 0.25), (0.35, 0.4), (0.15, 0.6), (0.0, 1.0))
STARTS = 4  # answers a query without examples: the examples of the contexts are drawn from them


class Response(NamedTuple):
    """What was measured on Q held-out queries: S answers each without examples, then one at each of G points."""

    context: IntArray  # [G, 3] counts of right, wrong, abstaining examples; each row sums to k
    kind: IntArray  # [S + G, Q] kind of the answer to each query
    score: FloatArray  # [S + G, Q] its score, NaN where the answer was empty


def grid(num_examples: int, *, abstentions: bool) -> IntArray:
    """Compositions to measure: ``[G, 3]`` counts of right, wrong, abstaining examples, each once."""
    shares = np.array(EDGE + TRIANGLE if abstentions else EDGE)
    wrong, abstaining = np.rint(shares * num_examples).astype(np.int64).T
    points = np.stack([num_examples - wrong - abstaining, wrong, abstaining], axis=1)
    return np.unique(points[points[:, 0] >= 0], axis=0)[::-1]


def measure_response(
    task: Task, queries: Sequence[str], gold: Mapping[str, str], *, key: Key, chat: bool = False
) -> Program[Response]:
    """Measure g, and the evaluator's acceptance, on ``queries``: one answer a query at each point of the grid.

    Cost in model calls: one Complete and one Evaluate without examples, and one of each a grid point; the prompt tokens of
    G rounds over ``queries``.
    """
    asked = [query for _ in range(STARTS) for query in queries]
    start, _ = yield from write_answers(task, [[]] * len(asked), asked, key.child("start"), chat=chat)
    kind = kinds_of(start, gold, task.match, task.abstentions)
    score, _, _ = yield from evaluate(start)
    accepted, _ = select(task, score, np.arange(score.size), key.child("start"))
    pools = _pools(task, start, kind, accepted, gold)
    kinds, scores = [*kind.reshape(STARTS, -1)], [*score.reshape(STARTS, -1)]
    table = grid(task.examples, abstentions=bool(task.abstentions))
    for row, wanted in enumerate(table):
        place = key.child("point", row)
        contexts = _contexts(pools, wanted, queries, place)
        items, _ = yield from write_answers(task, contexts, queries, place.child("answer"), chat=chat)
        kinds.append(kinds_of(items, gold, task.match, task.abstentions))
        scores.append((yield from evaluate(items))[0])
        answers = np.bincount(kinds[-1], minlength=3).tolist()
        yield Note(
            kind="response", info={"context": wanted.tolist(), "answers": answers, "point": row + 1, "of": len(table)}
        )
    return Response(table, np.array(kinds), np.array(scores))


def _pools(
    task: Task, written: Sequence[Item], kind: IntArray, accepted: NDArray[np.bool_], gold: Mapping[str, str]
) -> dict[int, list[Item]]:
    """Examples of each kind, enough that every query finds k that are not its own; the accepted come first in standing."""
    enough = task.examples + STARTS
    right = [Item(item.query, gold[item.query]) for item in written]
    # another query's right answer is wrong here, unless the two happen to agree
    wrong = [
        Item(a.query, b.answer) for a, b in zip(right, [*right[1:], *right[:1]], strict=True) if a.answer != b.answer
    ]
    evasive = [Item(item.query, task.abstentions[0]) for item in written] if task.abstentions else []
    pools = {}
    for wanted, stand_ins in ((RIGHT, right), (WRONG, wrong), (ABSTAINED, evasive)):
        own = [i for i in range(len(written)) if kind[i] == wanted and written[i].answer]
        pool = [written[i] for i in own if accepted[i]]
        if len(pool) < enough:
            pool += [written[i] for i in own if not accepted[i]]
        pools[wanted] = pool if len(pool) >= enough else pool + stand_ins
    return pools


def _contexts(pools: dict[int, list[Item]], wanted: IntArray, queries: Sequence[str], place: Key) -> list[list[Item]]:
    """A context of the wanted composition for each query, in random order.

    No query stands in its own context, and none stands twice in one while there are others.
    """
    slots = np.arange(len(queries))
    draws = {
        kind: np.argsort(uniforms(place, f"kind {kind}", slots, len(pools[kind])), axis=1, kind="stable")
        for kind in np.flatnonzero(wanted).tolist()
    }
    shuffles = np.argsort(uniforms(place, "order", slots, int(wanted.sum())), axis=1, kind="stable")
    contexts = []
    for slot, query in enumerate(queries):
        chosen: list[Item] = []
        for kind, order in draws.items():
            drawn = [pools[kind][i] for i in order[slot] if pools[kind][i].query != query]
            taken = {item.query for item in chosen}
            fresh: dict[str, Item] = {}
            for item in drawn:
                if item.query not in taken:
                    fresh.setdefault(item.query, item)
            chosen += [*fresh.values(), *drawn][: int(wanted[kind])]
        contexts.append([chosen[i] for i in shuffles[slot]])
    return contexts
