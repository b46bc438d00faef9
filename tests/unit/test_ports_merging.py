"""Programs run together ask in a few large requests what they would ask in many small ones, and find the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from winnow.evaluators.verifier import matches
from winnow.models.masked_tabular import tabular_masked
from winnow.models.tabular import Tabular
from winnow.ports.asking import ask_all
from winnow.ports.compare import same
from winnow.ports.laws import PROGRAM_LAWS, ProgramCase
from winnow.ports.merging import merge_alike
from winnow.ports.program import Program, gather, run
from winnow.ports.requests import Backend, Cost, Evaluate, FillMask, Item, NextToken, Request, Router
from winnow.search.beam import beam
from winnow.search.best_of_n import best_of_n
from winnow.search.mcts import Effort, mcts
from winnow.search.smc import smc
from winnow.search.valuing import likelihood, rollout
from winnow.values.random import Key
from winnow.values.tree import Tree

MODEL = Tabular.random("abc", order=2, key=Key(4))
ENDS = MODEL.codec.end_tokens


def root(text: str) -> Tree:
    return Tree([MODEL.codec.encode(text)])


def programs() -> list[Program[Any]]:
    return [
        beam(root("ab"), 0, width=2, depth=4, end_tokens=ENDS),
        beam(root("c"), 0, width=2, depth=5, end_tokens=ENDS),
        beam(root("ab"), 0, width=3, depth=3, end_tokens=ENDS),
        smc(root("b"), 0, num_particles=5, depth=4, key=Key(2), end_tokens=ENDS),
        smc(root("ab"), 0, num_particles=3, depth=5, key=Key(3), end_tokens=ENDS),
        mcts(root("a"), 0, value=likelihood, depth=4, end_tokens=ENDS, effort=Effort(9, 3, 3)),
        mcts(
            root("b"),
            0,
            value=rollout(likelihood, key=Key(3), depth=4, end_tokens=ENDS),
            depth=4,
            end_tokens=ENDS,
            effort=Effort(6, 2, 3),
        ),
        best_of_n("ab", query="ab", num=3, key=Key(1), max_tokens=4),
        best_of_n("b", query="b", num=2, key=Key(1), max_tokens=4),
    ]


class Counted:
    """Counts the requests that reach a backend."""

    def __init__(self, backend: Backend) -> None:
        self.backend, self.num, self.cost = backend, 0, Cost()
        self.identity, self.answers = backend.identity, backend.answers

    def answer(self, requests: Sequence[Request[Any]]) -> Iterator[tuple[int, Any]]:
        for index, reply in self.backend.answer(requests):
            self.num, self.cost = self.num + 1, self.cost.plus(reply.cost)
            yield index, reply


def backend() -> Backend:
    return Router(MODEL, matches("a"))


def test_each_finds_what_it_finds_alone_with_fewer_requests() -> None:
    apart, together = Counted(backend()), Counted(backend())
    alone = [run(program, apart) for program in programs()]
    found = run(merge_alike(gather(programs())), together)
    for one, other in zip(alone, found, strict=True):
        assert same(one, other, 1e-12)
    assert together.num < 0.75 * apart.num
    assert together.cost.calls == apart.cost.calls


def test_it_keeps_the_laws_of_programs() -> None:
    for law in PROGRAM_LAWS.values():
        law(ProgramCase(make=lambda: merge_alike(gather(programs())), backend=backend))


def test_rows_come_back_to_who_asked_and_costs_add_up() -> None:
    masked = tabular_masked("abc", length=3)
    rows = [np.array(row) for row in ((0, 1, 2), (1, 1, 1), (2, 1, 0))]

    def filling(some: list[Any], uniform: Any) -> Program[Any]:
        hidden = tuple(np.array([1]) for _ in some)
        read = np.ones(len(some), np.int64)
        replies = yield (
            FillMask(rows=tuple(some), hidden=hidden, read=read, uniform=uniform),
            Evaluate(items=tuple(Item("q", "a" * len(row)) for row in some)),
        )
        assert replies is not None
        return replies

    numbers = np.array([0.1, 0.5, 0.9])
    whole = Router(masked, matches("aaa"))
    one, other = run(merge_alike(gather([filling(rows[:2], numbers[:2]), filling(rows[2:], numbers[2:])])), whole)
    hidden = tuple(np.array([1]) for _ in rows)
    (expected,) = ask_all(masked, [FillMask(rows=tuple(rows), hidden=hidden, read=np.ones(3, int), uniform=numbers)])
    assert [*one[0].token[:, 0], *other[0].token[:, 0]] == expected.token[:, 0].tolist()
    assert one[0].cost.plus(other[0].cost) == expected.cost
    assert one[1].score.size == 2
    assert other[1].score.size == 1


def test_a_text_that_two_trees_hold_is_one_node() -> None:
    asked: list[NextToken] = []

    class Watched(Counted):
        def answer(self, requests: Sequence[Request[Any]]) -> Iterator[tuple[int, Any]]:
            asked.extend(request for request in requests if isinstance(request, NextToken))
            return super().answer(requests)

    run(merge_alike(gather([beam(root("ab"), 0, width=2, depth=4) for _ in range(3)])), Watched(MODEL))
    assert len(asked) == 4
    assert all(len(set(request.nodes.tolist())) == len(request.nodes) // 3 for request in asked)
    assert len(asked[-1].tree) < 10
