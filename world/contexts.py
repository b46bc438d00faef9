"""Contexts of examples with a given composition, as measurements and gates use them.

Wrong examples are distributed as the authors' wrong answers are, because that is what the Bayes line assumes.
"""

import random

from world import words
from world.authors import FALSEHOOD_SHARE, AuthorPrior, probability_right
from world.facts import Fact, World
from world.transcripts import knows

PROMPT = "Q: {query}\nA:"


def authored_examples(
    rng: random.Random, world: World, prior: AuthorPrior, *, right: int, wrong: int, avoid: Fact | None = None
) -> str:
    """So many right and wrong pairs as one author of the prior would have written them, in random order.

    The author is drawn from the posterior given the counts, then each fact from what such an author gets right or
    wrong.
    """
    nodes, mass = prior.reliability_nodes()
    share = world.misleading_share
    p = (1 - share) * probability_right(nodes, False) + share * probability_right(nodes, True)
    weight = mass * p**right * (1 - p) ** wrong
    reliability = rng.choices(nodes.tolist(), weight.tolist())[0]
    verdicts = [True] * right + [False] * wrong
    rng.shuffle(verdicts)
    lines = []
    for verdict in verdicts:
        while True:
            fact = rng.choice(world.facts)
            if (rng.random() < knows(reliability, fact)) == verdict and fact is not avoid:
                break
        text = fact.answer if verdict else world.wrong_answer(rng, fact, falsehood_share=FALSEHOOD_SHARE)
        lines.append(f"Q: {fact.ask(rng)}\nA: {text}\n")
    return "".join(lines)


def prompt(fact: Fact) -> str:
    return PROMPT.format(query=fact.query)


def examples(
    rng: random.Random,
    pool: list[Fact],
    world: World,
    *,
    right: int,
    wrong: int,
    evasive: int = 0,
    avoid: Fact | None = None,
) -> str:
    """So many pairs of each kind in random order, about facts of the pool other than the one to `avoid`."""
    verdicts = ["right"] * right + ["wrong"] * wrong + ["evasive"] * evasive
    rng.shuffle(verdicts)
    lines = []
    for verdict in verdicts:
        fact = rng.choice(pool)
        while fact is avoid:
            fact = rng.choice(pool)
        if verdict == "right":
            text = fact.answer
        elif verdict == "evasive":
            text = words.EVASION
        else:
            text = world.wrong_answer(rng, fact, falsehood_share=FALSEHOOD_SHARE)
        lines.append(f"Q: {fact.ask(rng)}\nA: {text}\n")
    return "".join(lines)
