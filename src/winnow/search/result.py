"""What every search gives back in the end: texts with their log-probabilities, weights and descent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np

from winnow.ports.requests import Cost
from winnow.search.best_of_n import BestOfN
from winnow.search.found import Found
from winnow.search.problem import Problem
from winnow.values.errors import InputError
from winnow.values.lineage import Lineage
from winnow.values.logspace import FloatArray, IntArray
from winnow.values.population import Population


@dataclass(frozen=True, kw_only=True)
class Result(Population):
    """A population of texts, and all that a search tells of them.

    ``log_weight`` are natural logs of what each text weighs: a beam's is its log-probability, a particle's its importance
    weight, an MCTS text's its visits. ``logprob`` is the model's own, exact, of all that was written after the prompt, an
    end token included; of an edited text, that of the words after the prompt, or of the whole where the prompt has blanks.
    """

    individuals: Sequence[str]  # N texts
    logprob: FloatArray  # [N], natural log
    num_tokens: IntArray  # [N], written, an end token included
    finished: np.ndarray  # [N] bool: ended by the model, or whole from the start, rather than cut by depth
    lineage: Lineage
    members: IntArray  # [N], the texts' numbers in the lineage
    best: int = 0  # position of the one the search prefers
    rank: FloatArray | None = None  # [N], what it prefers by
    log_evidence: float | None = None
    said: Mapping[str, Any] = field(default_factory=dict)  # what this search says beside
    cost: Cost = Cost()
    stop: str = ""  # why it ended before its end; empty when it did not
    native: Any = None  # what the program itself returned
    problem: Problem | None = None  # what it was given

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(self.individuals)

    @property
    def text(self) -> str:
        """The preferred text."""
        return self.texts[self.best]

    @property
    def population(self) -> Population:
        """The texts with their weights and nothing else."""
        return Population(individuals=self.individuals, log_weight=self.log_weight, log_fitness=self.log_fitness)

    def record(self) -> dict[str, Any]:
        """Everything but the lineage, as JSON values, the preferred text first, the others by falling rank."""
        rank = self.logprob if self.rank is None else self.rank
        order = sorted(range(len(self)), key=lambda i: (i != self.best, -_sortable(float(rank[i])), i))
        rows = [
            {
                "text": self.texts[i],
                "logprob": _plain(self.logprob[i]),
                "log_weight": _plain(self.log_weight[i]),
                "rank": _plain(rank[i]),
                "num_tokens": int(self.num_tokens[i]),
                "finished": bool(self.finished[i]),
            }
            for i in order
        ]
        evidence = None if self.log_evidence is None else _plain(self.log_evidence)
        return {
            "best": rows[0]["text"] if rows else None,
            "individuals": rows,
            "log_evidence": evidence,
            **self.said,
            "cost": self.cost._asdict(),
            "stop": self.stop or None,
        }


@runtime_checkable
class Outcome(Protocol):
    """What a program from outside may return instead of ``Found``: anything that can say itself as a Result."""

    def result(self, problem: Problem) -> Result: ...


def result_of(native: Result | Found | BestOfN | Outcome, problem: Problem) -> Result:
    """The Result that a program's return value, or the ``found`` of one of its notes, stands for."""
    if isinstance(native, Result):
        return native
    if isinstance(native, Found):
        return _from_tree(native, problem)
    if isinstance(native, BestOfN):
        return _from_sample(native)
    if not isinstance(native, Outcome):
        raise InputError(
            f"returned {type(native).__name__}",
            where="the search",
            remedy="return Found, a Result, or what has result()",
        )
    return native.result(problem)


def _from_tree(found: Found, problem: Problem) -> Result:
    texts = problem.texts(found.tree, found.nodes)
    return Result(
        individuals=texts,
        log_weight=found.population.log_weight,
        logprob=found.logprob,
        num_tokens=np.array([len(found.tree.path(int(node))) for node in found.nodes], np.int64),
        finished=found.finished,
        lineage=found.lineage,
        members=found.nodes,
        best=found.best if len(found.nodes) else 0,
        rank=found.rank,
        log_evidence=found.log_evidence,
        native=found,
    )


def _from_sample(best: BestOfN) -> Result:
    num = len(best.population)
    return Result(
        individuals=best.completions.text,
        log_weight=best.population.log_weight,
        log_fitness=best.population.log_fitness,
        logprob=best.completions.logprob,
        num_tokens=best.completions.num_tokens,
        finished=np.array([finish != "length" for finish in best.completions.finish]),
        lineage=Lineage(),  # all written from nothing
        members=np.arange(num),
        best=best.best,
        rank=best.scores.score,
        said={
            "vote": best.votes[0].answer,
            "votes": [one._asdict() for one in best.votes[:20]],
            "divergence_bound": best.divergence_bound,
            "divergence": _plain(best.divergence),
        },
        native=best,
    )


def _plain(number: float) -> float | None:
    return float(number) if np.isfinite(number) else None


def _sortable(number: float) -> float:
    return float(number) if not np.isnan(number) else -np.inf
