"""Contexts of examples with a given composition, as measurements and gates use them.

Wrong examples are distributed as the authors' wrong answers are, because that is what the Bayes line assumes.
"""

import random

from world import words
from world.authors import FALSEHOOD_SHARE
from world.facts import Fact, World

PROMPT = "Q: {query}\nA:"


def prompt(fact: Fact) -> str:
    return PROMPT.format(query=fact.query)


def examples(
    rng: random.Random, world: World, *, right: int, wrong: int, evasive: int = 0, avoid: Fact | None = None
) -> str:
    """So many pairs of each kind in random order, about other facts than the one to `avoid`."""
    verdicts = ["right"] * right + ["wrong"] * wrong + ["evasive"] * evasive
    rng.shuffle(verdicts)
    lines = []
    for verdict in verdicts:
        fact = rng.choice(world.facts)
        while fact is avoid:
            fact = rng.choice(world.facts)
        if verdict == "right":
            text = fact.answer
        elif verdict == "evasive":
            text = words.EVASION
        else:
            text = world.wrong_answer(rng, fact, falsehood_share=FALSEHOOD_SHARE)
        lines.append(f"Q: {fact.ask(rng)}\nA: {text}\n")
    return "".join(lines)
