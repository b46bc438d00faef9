"""The programs of adapt keep the laws: run twice, replies in any order, killed at every request, notes carry cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.support.organism import EVASION, Organism
from winnow.adaption.iterate import iterate
from winnow.adaption.loop import loop
from winnow.adaption.response import measure_response
from winnow.adaption.rivals import rivals
from winnow.adaption.task import Task
from winnow.ports.laws import PROGRAM_LAWS, ProgramCase
from winnow.ports.program import Program
from winnow.values.random import Key

QUERIES = [f"q{i}?" for i in range(24)]
GOLD = dict.fromkeys(QUERIES, "right")
TASK = Task(
    queries=QUERIES, gold=list(GOLD.values()), abstentions=(EVASION,), rounds=3, reuse=True, examples=4, max_tokens=2,
)  # fmt: skip
PROGRAMS: dict[str, Callable[[], Program[Any]]] = {
    "iterate": lambda: iterate(TASK, key=Key(1), gold=GOLD, num_labels=10),
    "loop with its response curve": lambda: loop(replace(TASK, abstentions=(), rounds=1), seed=1, response=True),
    "measure_response": lambda: measure_response(TASK, QUERIES, GOLD, key=Key(2)),
    "rivals": lambda: rivals(
        TASK, QUERIES, GOLD, accepted=[], tokens=9000, header="By a careful author.\n", key=Key(3)
    ),
}


@pytest.mark.parametrize("law", PROGRAM_LAWS)
@pytest.mark.parametrize("name", PROGRAMS)
def test_adapt_keeps_law(name: str, law: str) -> None:
    PROGRAM_LAWS[law](ProgramCase(make=PROGRAMS[name], backend=Organism))
