"""Genetic search over whole texts: mutated by a masked model, recombined, selected; given words stay (source 003).

Left-to-right search cannot go back to what it wrote; editing can, so that a late word may change an early one. ``gibbs`` is
the plain baseline the source asks for: random words resampled, no selection.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np

from winnow.ports.program import Note, Program
from winnow.search.breeding import Crossed, Opened, Text, cross, fill, open_span, open_word
from winnow.search.parents import Candidates, Selection, check_selection, distances, num_uniforms, parents
from winnow.search.problem import MaskedCodec, Problem
from winnow.search.result import Result
from winnow.values.lineage import Lineage
from winnow.values.logspace import FloatArray, IntArray
from winnow.values.population import Population, effective_number
from winnow.values.random import Key, uniforms

Fitness: TypeAlias = Callable[[Sequence[Text]], Program[FloatArray]]
"""A program from texts to ``[N, K]`` criteria, the more the better; the first is what ``rank`` shows."""


class Breeding(NamedTuple):
    """How offspring are made."""

    span: int = 3  # most places hidden at once
    resize: float = 0.0  # probability that a mutation makes the text one token longer or shorter
    recombine: float = 0.5  # probability that a child has two parents
    elite: int = 1  # the best so many live on unchanged


@dataclass(frozen=True, kw_only=True)
class Evolved:
    """The last round's texts."""

    texts: tuple[Text, ...]  # N
    fitness: FloatArray  # [N, K]
    members: IntArray  # [N], numbers in the lineage, in order of birth
    lineage: Lineage
    rounds: int
    logprob: FloatArray | None = None  # [N] under a causal model, where one was asked
    num_tokens: IntArray | None = None  # [N] tokens of that model

    @property
    def best(self) -> int:
        """The position of the highest first criterion, the first of equals; where none is known yet, the most probable."""
        merit = self.fitness[:, 0]
        if np.isnan(merit).all() and self.logprob is not None:
            merit = self.logprob
        return int(np.argmax(merit))

    def written(self, masked: MaskedCodec) -> tuple[str, ...]:
        """The texts as text."""
        return tuple(masked.codec.decode(text.tokens) for text in self.texts)

    def result(self, problem: Problem) -> Result:
        """As every search's."""
        assert problem.masked is not None
        num = len(self.texts)
        size = np.array([len(text.tokens) for text in self.texts], np.int64)
        return Result(
            individuals=self.written(problem.masked),
            log_weight=np.zeros(num),
            log_fitness=self.fitness[:, 0],
            logprob=np.full(num, np.nan) if self.logprob is None else self.logprob,
            num_tokens=size if self.num_tokens is None else self.num_tokens,
            finished=np.ones(num, bool),
            lineage=self.lineage,
            members=self.members,
            best=self.best,
            rank=self.fitness[:, 0],
            said={"rounds": self.rounds},
            native=self,
        )


def evolve(
    start: Sequence[Text],
    *,
    fitness: Fitness,
    rounds: int,
    key: Key,
    breeding: Breeding = Breeding(),  # noqa: B008 - immutable
    selection: Selection = Selection(),  # noqa: B008 - immutable
) -> Program[Evolved]:
    """A population of texts after ``rounds`` of selection, recombination and mutation.

    Each round the ``elite`` live on; every other place is filled by a child: parents by ``selection``, perhaps two of
    them cut where they have passed the same fixed tokens, one span hidden and written anew by the masked model. Fitness
    is asked for each different text once.

    Parameters
    ----------
    start : N texts, numbered 0 to N - 1 in the lineage; children follow in order of birth.
    breeding, selection : see there. The fixed tokens of a text are never changed, moved past one another, or lost.

    Guarantees: with ``elite`` at least 1 the best fitness never falls. The first note holds ``start``, before anything is
    asked; its fitness is NaN. Cost: a request for each place of the longest
    hole and what ``fitness`` asks, a round.

    Raises
    ------
    ValueError
        When there is no text, nothing in one may be changed, or a number is out of range.
    """
    _check(start, rounds)
    check_selection(selection)
    if breeding.span < 1 or not 0 <= breeding.elite < len(start) + 1:
        raise ValueError(f"{breeding}: span must be at least 1, elite from 0 to the number of texts")
    texts, members = list(start), list(range(len(start)))
    known: dict[tuple[int, ...], FloatArray] = {}
    edges: list[tuple[int, int, float]] = []
    yield _note("evolve", _evolved(texts, _unknown(texts), members, edges, 0))
    merit = yield from _fitness(texts, fitness, known)
    born = len(start)
    for round_ in range(1, rounds + 1):
        here = key.child("round", round_)
        elite = np.argsort(-merit[:, 0], kind="stable")[: breeding.elite].tolist()
        opened, descent = _children(texts, merit, len(start) - breeding.elite, breeding, selection, here)
        edges += [(born + slot, members[parent], share) for slot, parent, share in descent]
        grown = yield from fill(opened, uniforms(here, "fill", np.arange(len(opened)), breeding.span + 1))
        texts = [texts[one] for one in elite] + grown
        members = [members[one] for one in elite] + list(range(born, born + len(grown)))
        born += len(grown)
        merit = yield from _fitness(texts, fitness, known)
        yield _note("evolve", _evolved(texts, merit, members, edges, round_))
    return _evolved(texts, merit, members, edges, rounds)


def _children(
    texts: Sequence[Text], merit: FloatArray, num: int, breeding: Breeding, selection: Selection, here: Key
) -> tuple[list[Opened], list[tuple[int, int, float]]]:
    """``num`` children, each with a hole to be filled; and whose they are: (child, parent, share)."""
    candidates = Candidates(merit, distances([text.tokens for text in texts]))
    numbers = num_uniforms(selection, merit.shape[1])
    first = parents(candidates, selection, uniforms(here, "first parent", np.arange(num), numbers))
    # a scheme may give its parents in order: the second ones are shuffled, or like would meet like
    second = parents(candidates, selection, uniforms(here, "second parent", np.arange(num), numbers))
    second = second[np.argsort(uniforms(here, "pairing", [0], num)[0], kind="stable")] if num else second
    opened, descent = [], []
    for slot, chance in enumerate(uniforms(here, "breed", np.arange(num), 7)):
        mother, father = int(first[slot]), int(second[slot])
        crossed = Crossed(texts[mother], 1.0)
        if chance[0] < breeding.recombine and mother != father:
            crossed = cross(texts[mother], texts[father], chance[1:3].tolist())
        descent.append((slot, mother, crossed.share))
        if crossed.share < 1:
            descent.append((slot, father, 1 - crossed.share))
        opened.append(open_span(crossed.text, chance[3:].tolist(), span=breeding.span, resize=breeding.resize))
    return opened, descent


def gibbs(start: Sequence[Text], *, fitness: Fitness, rounds: int, key: Key) -> Program[Evolved]:
    """Every text for itself: each round one word, drawn at random among those that may change, is resampled.

    Guarantees: where the masked model's conditionals are those of one joint distribution over texts of this length, the
    chain is reversible and that joint, given the fixed words, is its stationary distribution. Trained masked models are
    only nearly so (Goyal et al. 2022). Fitness selects nothing; it is asked once, at the end. Cost: a request a round.

    Raises
    ------
    ValueError
        As ``evolve``.
    """
    _check(start, rounds)
    texts, members = list(start), np.arange(len(start))
    edges: list[tuple[int, int, float]] = []
    yield _note("gibbs", _evolved(texts, _unknown(texts), members.tolist(), edges, 0))
    for round_ in range(1, rounds + 1):
        chance = uniforms(key.child("round", round_), "gibbs", np.arange(len(texts)), 2)
        opened = [open_word(text, float(row[0])) for text, row in zip(texts, chance, strict=True)]
        texts = yield from fill(opened, chance[:, 1:])
        edges += [(int(one) + len(texts), int(one), 1.0) for one in members]
        members = members + len(texts)
        yield _note("gibbs", _evolved(texts, _unknown(texts), members.tolist(), edges, round_))
    merit = yield from fitness(texts)
    return _evolved(texts, merit, members.tolist(), edges, rounds)


def _check(start: Sequence[Text], rounds: int) -> None:
    if not start or rounds < 0:
        raise ValueError(f"{len(start)} texts and {rounds} rounds: at least one text, and no negative number of rounds")
    if not all(text.editable for text in start):
        raise ValueError("a text has nothing that may be changed")


def _fitness(texts: Sequence[Text], fitness: Fitness, known: dict[tuple[int, ...], FloatArray]) -> Program[FloatArray]:
    new = list({text.tokens: text for text in texts if text.tokens not in known}.values())
    if new:
        merit = yield from fitness(new)
        known |= {text.tokens: row for text, row in zip(new, merit, strict=True)}
    return np.array([known[text.tokens] for text in texts], np.float64)


def _unknown(texts: Sequence[Text]) -> FloatArray:
    return np.full((len(texts), 1), np.nan)


def _evolved(
    texts: Sequence[Text],
    merit: FloatArray,
    members: Sequence[int],
    edges: Sequence[tuple[int, int, float]],
    rounds: int,
) -> Evolved:
    child, parent, share = zip(*edges, strict=True) if edges else ((), (), ())
    return Evolved(
        texts=tuple(texts),
        fitness=merit,
        members=np.array(members, np.int64),
        lineage=Lineage(
            child=np.array(child, np.int64), parent=np.array(parent, np.int64), share=np.array(share, np.float64)
        ),
        rounds=rounds,
    )


def _note(kind: str, evolved: Evolved) -> Note:
    _, counts = np.unique([repr(text.tokens) for text in evolved.texts], return_counts=True)
    merit = evolved.fitness[:, 0]
    return Note(
        kind=kind,
        info={
            "step": evolved.rounds,
            "fitness": float(merit.max()),
            "mean": float(merit.mean()),
            "effective_number": effective_number(counts),
            "found": evolved,
        },
        population=Population(individuals=evolved.texts, log_weight=np.zeros(len(merit)), log_fitness=merit),
    )
