"""Where accepted answers wait, and how a context is drawn from them.

An answer's own query never stands in its context: that would be showing it the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from winnow.ports.requests import Item
from winnow.values.logspace import FloatArray
from winnow.values.random import Key, uniforms


class Answer(NamedTuple):
    """One individual of the population: an answer, and everything that made it."""

    number: int  # in order of birth
    round: int
    item: Item
    score: float | None  # None: not evaluated (an empty answer)
    parts: dict[str, float]
    survival: float  # probability with which selection keeps it
    accepted: bool
    parents: tuple[int, ...]  # numbers of the answers in its context
    logprob: float
    finish: str


class Buffer:
    """Accepted answers: one round's (replaced) or all rounds' (appended)."""

    def __init__(self, *, appended: bool) -> None:
        self.appended = appended
        self.answers: list[Answer] = []
        self._first = 0

    def fill(self, accepted: Sequence[Answer], *, first: int = 0) -> None:
        """Take in a round's accepted answers; ``first`` is the number of the round's first-born."""
        self.answers = [*(self.answers if self.appended else []), *accepted]
        self._first = 0 if self.appended else first

    def draw(self, queries: Sequence[str], num_examples: int, key: Key, *, shared: bool) -> list[list[Answer]]:
        """A context for each query: up to ``num_examples`` different answers in random order, none to the query itself.

        Per query the order belongs to the query's slot; shared, all queries draw from one order. An answer's place in an
        order belongs to its number: without it, every context it was not in stays as it was.
        """
        if not self.answers:
            return [[] for _ in queries]
        slots = [0] * len(queries) if shared else list(range(len(queries)))
        place = np.array([answer.number for answer in self.answers]) - self._first
        draws = uniforms(key, "context", slots, int(place.max()) + 1)[:, place]
        orders: dict[int, FloatArray] = dict(zip(slots, draws, strict=True))
        asked = np.array([answer.item.query for answer in self.answers])
        contexts = []
        for slot, query in zip(slots, queries, strict=True):
            order = np.argsort(orders[slot], kind="stable")
            order = order[asked[order] != query][:num_examples]
            contexts.append([self.answers[index] for index in order])
        return contexts
