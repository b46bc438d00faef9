"""What every measurement is given: world, model, number of questions, and a generator of its own."""

import random
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from world import words
from world.contexts import prompt
from world.facts import Fact, World
from world.read import Reader


@dataclass(frozen=True)
class Bench:
    world: World
    reader: Reader
    num: int = 1000
    """Questions a figure."""
    seed: int = 0

    def rng(self, figure: str) -> random.Random:
        """The same questions for the same figure, whatever was measured before."""
        return random.Random(f"figure/{self.seed}/{figure}")

    def queries(self, rng: random.Random, pool: list[Fact]) -> list[Fact]:
        """`num` facts, each as often as any other or once more."""
        whole, rest = divmod(self.num, len(pool))
        return pool * whole + rng.sample(pool, rest)

    def answers(self, texts: list[str], facts: list[Fact]) -> "Answers":
        """How the model answers each fact's query after its text, which ends with the prompt."""
        p = self.reader.next_token(texts)
        token = self.reader.codec.encode_piece
        right = np.array([token(f" {fact.answer}")[0] for fact in facts])
        evasion = token(f" {words.EVASION}")[0]
        return Answers(
            p[np.arange(len(facts)), right],
            p[:, evasion],
            p.argmax(1) == right,
            p,
        )

    def ask(self, facts: list[Fact], contexts: list[str] | None = None) -> "Answers":
        contexts = contexts or [""] * len(facts)
        return self.answers([c + prompt(f) for c, f in zip(contexts, facts, strict=True)], facts)


@dataclass(frozen=True)
class Answers:
    right: NDArray[np.float64]
    """P(right) of each question."""
    evasive: NDArray[np.float64]
    greedy_right: NDArray[np.bool_]
    distribution: NDArray[np.float64]
