"""Asks for one item a request, so that a journal below keeps every single verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from winnow.ports.requests import Backend, Cost, Evaluate, Request, Scores


class ItemByItem:
    """A backend around a backend: every Evaluate of N items reaches it as N of one item; all else passes through.

    Where a verdict is dear - a person's, a hosted model's - ``ItemByItem(Journal(store, run, backend))`` makes each item
    durable as it is answered: who quits at the seventh has given six for good. The scores are those of the whole request
    for every evaluator that looks at items one by one; the cost is the sum.
    """

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    @property
    def identity(self) -> str:
        return self.backend.identity

    @property
    def answers(self) -> frozenset[type[Request[Any]]]:
        return self.backend.answers

    def answer(self, requests: Sequence[Request[Any]]) -> Iterator[tuple[int, Any]]:
        single: list[Request[Any]] = []
        owner: list[int] = []
        for index, request in enumerate(requests):
            parts = [Evaluate(items=(item,)) for item in request.items] if isinstance(request, Evaluate) else [request]
            single += parts
            owner += [index] * len(parts)
            if not parts:
                yield index, _join([])
        waiting = Counter(owner)
        replies: dict[int, Any] = {}
        for position, reply in self.backend.answer(single):
            replies[position], index = reply, owner[position]
            waiting[index] -= 1
            if not waiting[index]:
                mine = [replies.pop(i) for i, one in enumerate(owner) if one == index]
                yield index, _join(mine) if isinstance(requests[index], Evaluate) else mine[0]


def _join(scores: Sequence[Scores]) -> Scores:
    cost = Cost()
    for one in scores:
        cost = cost.plus(one.cost)
    score = np.concatenate([one.score for one in scores]) if scores else np.empty(0, np.float64)
    return Scores(score=score, parts=tuple(part for one in scores for part in one.parts), cost=cost)
