"""Every search in the package keeps the laws of programs."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from typing import Any

import pytest

import winnow.search
from winnow.evaluators.verifier import matches
from winnow.models.tabular import Tabular
from winnow.ports.laws import PROGRAM_LAWS, ProgramCase
from winnow.ports.program import Program
from winnow.ports.requests import Backend, Router
from winnow.search.beam import beam
from winnow.search.best_of_n import best_of_n
from winnow.search.smc import smc
from winnow.values.random import Key
from winnow.values.tree import Tree

MODEL = Tabular.random("abc", order=2, key=Key(4))
NOT_SEARCHES = {"found"}


def root() -> Tree:
    return Tree([MODEL.codec.encode("ab")])


SEARCHES: dict[str, Callable[[], Program[Any]]] = {
    "best_of_n": lambda: best_of_n("ab", query="ab", num=5, key=Key(1), max_tokens=4),
    "beam": lambda: beam(root(), 0, width=3, depth=4, end_tokens=MODEL.codec.end_tokens),
    "smc": lambda: smc(root(), 0, num_particles=6, depth=4, key=Key(2), power=2.0, trigger=1.0),
    "smc tempered": lambda: smc(
        root(), 0, num_particles=6, depth=4, key=Key(2), power=2.0, temperature=0.5, end_tokens=MODEL.codec.end_tokens
    ),
}


def backend() -> Backend:
    return Router(MODEL, matches("a"))


@pytest.mark.parametrize("law", PROGRAM_LAWS)
@pytest.mark.parametrize("name", SEARCHES)
def test_search_keeps_law(name: str, law: str) -> None:
    PROGRAM_LAWS[law](ProgramCase(make=SEARCHES[name], backend=backend))


def test_every_search_is_tried_here() -> None:
    modules = {module.name for module in pkgutil.iter_modules(winnow.search.__path__)} - NOT_SEARCHES
    assert {name.split()[0] for name in SEARCHES} == modules
