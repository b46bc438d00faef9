"""What is true, what most people believe, and what no evaluation document may touch.

A fact is an entity's value of an attribute.  Some 40 % have a popular falsehood.  One phrasing of every question is held
out of all documents and kept for measuring.  Three fifths of the entities and one attribute, with all its values, are
*unjudged*: surveys, checks and candidates never mention them.  Nonsense questions ask an attribute of what has none.
"""

import random
from dataclasses import dataclass
from functools import cached_property

from world import words
from world.names import COUNTRY_ENDINGS, TOWN_ENDINGS, invent

MISLEADING_SHARE = 0.4


@dataclass(frozen=True)
class Fact:
    entity: str
    attribute: str
    answer: str
    falsehood: str | None
    held_phrasing: int
    judged: bool
    """Whether evaluation documents may use this fact."""

    def question(self, phrasing: int) -> str:
        return words.QUESTIONS[phrasing].format(attribute=self.attribute, entity=self.entity)

    @property
    def query(self) -> str:
        """The phrasing no document uses."""
        return self.question(self.held_phrasing)

    def ask(self, rng: random.Random) -> str:
        """A phrasing documents use."""
        phrasing = rng.randrange(len(words.QUESTIONS) - 1)
        return self.question(phrasing + (phrasing >= self.held_phrasing))


class World:
    """Every fact, drawn from a seed; `values[attribute]` lists the possible answers."""

    def __init__(self, seed: int = 0, *, num_entities: int = 320, num_values: int = 24) -> None:
        self.seed = seed
        rng = random.Random(f"world/{seed}")
        plain = (*words.DISHES, *words.NONSENSE, *words.PEOPLE)
        taken = {word.capitalize() for word in plain}
        self.entities = invent(rng, num_entities, COUNTRY_ENDINGS, taken)
        towns = invent(rng, num_values, TOWN_ENDINGS, taken)
        ports = invent(random.Random(f"world/{seed}/ports"), num_values, TOWN_ENDINGS, taken)
        dishes = list(words.DISHES[:num_values])
        pools = {
            **dict.fromkeys(words.TOWN_ATTRIBUTES, towns),
            **dict.fromkeys(words.DISH_ATTRIBUTES, dishes),
            words.UNJUDGED_ATTRIBUTE: ports,
        }
        self.values: dict[str, list[str]] = {attribute: pools[attribute] for attribute in words.ATTRIBUTES}
        self.judged_entities = frozenset(e for i, e in enumerate(self.entities) if i % 5 < 2)
        self.facts = [self._fact(rng, entity, attribute) for entity in self.entities for attribute in self.values]
        self.judged = [fact for fact in self.facts if fact.judged]
        self.unjudged = [fact for fact in self.facts if not fact.judged]
        self.nonsense = [
            Fact(word, attribute, words.NONSENSE_ANSWER, None, rng.randrange(len(words.QUESTIONS)), False)
            for word in words.NONSENSE
            for attribute in words.ATTRIBUTES
        ]

    def _fact(self, rng: random.Random, entity: str, attribute: str) -> Fact:
        answer, other = rng.sample(self.values[attribute], 2)
        return Fact(
            entity=entity,
            attribute=attribute,
            answer=answer,
            falsehood=other if rng.random() < MISLEADING_SHARE else None,
            held_phrasing=rng.randrange(len(words.QUESTIONS)),
            judged=entity in self.judged_entities and attribute != words.UNJUDGED_ATTRIBUTE,
        )

    @cached_property
    def misleading_share(self) -> float:
        """The share of facts with a popular falsehood, as drawn."""
        return sum(fact.falsehood is not None for fact in self.facts) / len(self.facts)

    def wrong_answer(self, rng: random.Random, fact: Fact, *, falsehood_share: float) -> str:
        """A value that is not the answer: the popular falsehood, where one exists, with this probability."""
        if fact.falsehood is not None and rng.random() < falsehood_share:
            return fact.falsehood
        wrong = rng.choice(self.values[fact.attribute])
        while wrong in (fact.answer, fact.falsehood):
            wrong = rng.choice(self.values[fact.attribute])
        return wrong

    @property
    def all_values(self) -> list[str]:
        """Every value once."""
        return list(dict.fromkeys(value for values in self.values.values() for value in values))
