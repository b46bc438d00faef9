"""Contests of searches at equal cost: a seed's prompts in lockstep, a line kept for each method that is done.

Cost is forward tokens: positions a model with a cache must evaluate (the prompt once, then every node asked about; for
completions every token drawn). Each seed takes prompts of its own; what is told is the mean over seeds with its interval.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from scipy import stats

from winnow.ports.merging import costed, merge_alike
from winnow.ports.program import Program, gather, run
from winnow.ports.requests import Backend, Cost, LanguageModel
from winnow.search.call import prepare
from winnow.search.result import Result, result_of
from winnow.values.random import Key, permutation

SEEDS = range(5)
R = TypeVar("R")


class Mean(NamedTuple):
    """A mean over seeds with half its 95 % interval (t, n - 1 degrees)."""

    value: float
    half: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ± {self.half:.3f}"


def mean(values: Sequence[float]) -> Mean:
    """The mean of one number a seed."""
    data = np.array(values, np.float64)
    if data.size < 2:
        return Mean(float(data.mean()), float("nan"))
    half = float(stats.t.ppf(0.975, data.size - 1) * data.std(ddof=1) / np.sqrt(data.size))
    return Mean(float(data.mean()), half)


class Contestant(NamedTuple):
    """A search with its settings; ``prefer`` ranks what it found, where not the search itself does."""

    program: str
    settings: Mapping[str, Any]
    prefer: Callable[[Result], np.ndarray] | None = None


class Contest(NamedTuple):
    """What is to be continued, and what is measured of it; the first measure is the one that is compared."""

    title: str
    model: LanguageModel
    prompts: Callable[[int], Sequence[str]]  # of a seed
    measures: Mapping[str, Callable[[Result, str], float]]
    evaluator: Backend | None = None


def together(programs: Sequence[Program[R]], backend: Backend) -> list[tuple[R, Cost]]:
    """Results and costs of programs that run in lockstep."""
    return run(merge_alike(gather([costed(program) for program in programs])), backend)


def found_by(contest: Contest, one: Contestant) -> list[list[tuple[str, Result]]]:
    """By seed, each prompt with what was found."""
    asked = [(seed, number, prompt) for seed in SEEDS for number, prompt in enumerate(contest.prompts(seed))]
    ready = [
        prepare(
            contest.model,
            prompt,
            one.program,
            key=Key(1000 * seed + number).child("search"),
            evaluator=contest.evaluator,
            **one.settings,
        )
        for seed, number, prompt in asked
    ]
    done = []
    for seed in SEEDS:  # all at once would be a forest so wide that its rows cost more together than apart
        mine = [each.program for each, (its, _, _) in zip(ready, asked, strict=True) if its == seed]
        done += together(mine, ready[0].backend)
    seeds: list[list[tuple[str, Result]]] = [[] for _ in SEEDS]
    for (seed, _, prompt), each, (native, cost) in zip(asked, ready, done, strict=True):
        result = replace(result_of(native, each.problem), cost=cost, problem=each.problem)
        if one.prefer is not None:
            rank = np.asarray(one.prefer(result), np.float64)
            result = replace(result, best=int(np.argmax(rank)), rank=rank)
        seeds[seed].append((prompt, result))
    return seeds


def forward_tokens(result: Result, prompt: str) -> int:
    """Positions that had to be evaluated, were every prefix computed once."""
    assert result.problem is not None
    head = len(result.problem.codec.encode(prompt))
    return head + (result.cost.new_tokens or result.cost.calls)


class Kept:
    """Lines of finished methods in a file; without one, nothing is kept."""

    def __init__(self, file: Path | None) -> None:
        self.file = file
        self.rows = [json.loads(row) for row in file.read_text().splitlines()] if file and file.exists() else []

    def row(self, about: Mapping[str, Any], compute: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
        """The line about something: as kept, or computed and kept."""
        for known in self.rows:
            if dict(about).items() <= known.items():
                return dict(known)
        began = time.process_time()
        values = compute()
        row = {**about, **values, "cpu_seconds": round(time.process_time() - began, 1), "commit": commit()}
        if self.file is not None:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with self.file.open("a", encoding="utf-8") as out:
                out.write(json.dumps(row, ensure_ascii=False) + "\n")
        return row


def commit() -> str:
    """The commit that is checked out; empty outside of a repository."""
    words = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(words, capture_output=True, text=True, check=False, cwd=Path(__file__).parent).stdout.strip()


def compete(contest: Contest, contestants: Mapping[str, Contestant], baseline: str, kept: Kept) -> None:
    """Print a table: a row a method, each measure's mean over seeds of its mean over the seed's prompts.

    The last column is the first measure's difference from the baseline's on the same prompts, seed by seed.
    """
    measures = {**contest.measures, "forward tokens": forward_tokens}

    def compute(one: Contestant) -> dict[str, Any]:
        seeds = found_by(contest, one)
        values = {
            name: [float(np.mean([measure(result, prompt) for prompt, result in seed])) for seed in seeds]
            for name, measure in measures.items()
        }
        return {"seeds": values}

    rows = {}
    asked = [list(contest.prompts(seed)) for seed in SEEDS]
    for name, one in contestants.items():
        about = {"contest": contest.title, "method": name, "model": contest.model.identity, "asked": asked}
        row = kept.row({**about, "settings": repr(dict(one.settings))}, lambda one=one: compute(one))  # type: ignore[misc]
        rows[name] = row["seeds"]
        print(f"{name}: {row['cpu_seconds']} s of processor time", file=sys.stderr, flush=True)
    first = next(iter(contest.measures))
    column = f"{first}, less {baseline}'s"
    shown = []
    for name, values in rows.items():
        apart = np.array(values[first]) - np.array(rows[baseline][first])
        shown.append({"method": name, **{key: str(mean(values[key])) for key in measures}, column: str(mean(apart))})
    table(f"{contest.title}, {len(asked[0])} prompts a seed", shown)


def table(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Rows as the log keeps them."""
    keys = list(rows[0])
    print(f"\n### {title}\n\n| {' | '.join(keys)} |\n|{'---|' * len(keys)}")
    for row in rows:
        print(f"| {' | '.join(str(row[key]) for key in keys)} |")
    print(flush=True)


def part(items: Sequence[str], seed: int, num: int) -> list[str]:
    """A seed's own prompts, which no other seed has; fewer than ``num`` where there are not so many."""
    num = min(num, len(items) // len(SEEDS))
    return [items[int(place)] for place in permutation(Key(7), "prompts", len(items))[seed * num : (seed + 1) * num]]
