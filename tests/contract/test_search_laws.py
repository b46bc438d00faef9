"""Every search in the package keeps the laws of programs."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import winnow.search
from winnow.evaluators.verifier import matches
from winnow.models.masked_tabular import tabular_masked
from winnow.models.tabular import Tabular
from winnow.ports.laws import BACKEND_LAWS, PROGRAM_LAWS, BackendCase, ProgramCase
from winnow.ports.program import Program
from winnow.ports.requests import Backend, FillMask, Router
from winnow.search.beam import beam
from winnow.search.best_of_n import best_of_n
from winnow.search.breeding import Text, pseudo_logprob
from winnow.search.diverse_beam import diverse_beam
from winnow.search.evolve import Breeding, evolve, gibbs
from winnow.search.mcts import Effort, mcts
from winnow.search.parents import SCHEMES, Selection
from winnow.search.phrase_beam import phrase_beam
from winnow.search.smc import Target, smc
from winnow.search.valuing import likelihood, rollout
from winnow.values.logspace import FloatArray
from winnow.values.random import Key
from winnow.values.tree import Tree

MODEL = Tabular.random("abc", order=2, key=Key(4))
MASKED = tabular_masked("abc", length=4)
ENDS = MODEL.codec.end_tokens
SUPPORT = {  # what searches are made of, and how they are called
    "breeding", "call", "editing", "found", "hypotheses", "parents", "problem", "programs", "result", "searching", "trace",
    "valuing",
}  # fmt: skip
START = [Text(tokens, (True, False, False, False)) for tokens in ((0, 1, 2, 0), (0, 0, 0, 0), (0, 2, 1, 1))]


def root() -> Tree:
    return Tree([MODEL.codec.encode("ab")])


def pseudo(texts: Sequence[Text]) -> Program[FloatArray]:
    total, count = yield from pseudo_logprob(texts)
    return np.column_stack([total / count, -count])


SEARCHES: dict[str, Callable[[], Program[Any]]] = {
    "best_of_n": lambda: best_of_n("ab", query="ab", num=5, key=Key(1), max_tokens=4),
    "beam": lambda: beam(root(), 0, width=3, depth=4, end_tokens=ENDS),
    "beam mean": lambda: beam(root(), 0, width=3, depth=5, end_tokens=ENDS, length_exponent=1.0, ending="estimated"),
    "diverse_beam": lambda: diverse_beam(root(), 0, width=4, groups=2, diversity=0.7, depth=4, end_tokens=ENDS),
    "phrase_beam": lambda: phrase_beam(root(), 0, phrases=[[1, 1], [2]], width=4, depth=5, end_tokens=ENDS),
    "smc": lambda: smc(root(), 0, num_particles=6, depth=4, key=Key(2), target=Target(power=2.0), trigger=1.0),
    "smc tempered": lambda: smc(
        root(), 0, num_particles=6, depth=4, key=Key(2), target=Target(power=2.0), temperature=0.5, end_tokens=ENDS
    ),
    "smc twisted": lambda: smc(
        root(), 0, num_particles=6, depth=4, key=Key(2), target=Target(reward=likelihood, twist=likelihood)
    ),
    "mcts": lambda: mcts(root(), 0, value=likelihood, depth=4, end_tokens=ENDS, effort=Effort(9, 3, 3)),
    "mcts rollout": lambda: mcts(
        root(),
        0,
        value=rollout(likelihood, key=Key(3), depth=3, end_tokens=ENDS),
        depth=3,
        end_tokens=ENDS,
        effort=Effort(7, 2, 3),
    ),
    **{
        f"evolve {scheme}": (
            lambda scheme=scheme: evolve(
                START, fitness=pseudo, rounds=3, key=Key(5), breeding=Breeding(2), selection=Selection(scheme)
            )
        )
        for scheme in SCHEMES
    },
    "evolve gibbs": lambda: gibbs(START, fitness=pseudo, rounds=4, key=Key(6)),
}


def backend() -> Backend:
    return Router(MODEL, matches("a"), MASKED)


@pytest.mark.parametrize("law", PROGRAM_LAWS)
@pytest.mark.parametrize("name", SEARCHES)
def test_search_keeps_law(name: str, law: str) -> None:
    PROGRAM_LAWS[law](ProgramCase(make=SEARCHES[name], backend=backend))


def test_every_search_is_tried_here() -> None:
    modules = {module.name for module in pkgutil.iter_modules(winnow.search.__path__)} - SUPPORT
    assert {name.split()[0] for name in SEARCHES} == modules


@pytest.mark.parametrize("law", BACKEND_LAWS)
def test_masked_model_keeps_law(law: str) -> None:
    rows = tuple(np.array(row) for row in ((0, 1, 2, 0), (1, 1, 1, 1), (0, 1, 2, 0)))
    hidden = (np.array([1]), np.array([0, 3]), np.array([1]))
    read = np.array([1, 3, 1])
    asked = (
        FillMask(rows=rows, hidden=hidden, read=read),
        FillMask(rows=rows, hidden=hidden, read=read, uniform=np.array([0.1, 0.5, 0.9])),
        FillMask(rows=rows, hidden=hidden, read=read, tokens=np.array([[0], [1], [2]])),
    )
    BACKEND_LAWS[law](BackendCase(make=lambda: tabular_masked("abc", length=4), requests=asked))
