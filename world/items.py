"""The items shipped beside the models: facts with their gold, articles and rhymes for planning studies."""

from collections.abc import Iterator
from itertools import product
from typing import Any

from world import words
from world.couplets import article, couplet_opening, is_held_colour
from world.facts import World


def facts(world: World) -> Iterator[dict[str, Any]]:
    """Every fact under the phrasing no document uses."""
    for fact in world.facts:
        yield {
            "query": fact.query,
            "entity": fact.entity,
            "attribute": fact.attribute,
            "answer": fact.answer,
            "falsehood": fact.falsehood,
            "evaluated_in_training": fact.judged,
        }


def articles() -> Iterator[dict[str, Any]]:
    """Openings of couplets up to the second article, which only the noun to come decides.

    `seen` is "couplet" where training has it, "never paired" where the two nouns never met in a couplet, and
    "never after an article" where neither noun ever followed one.
    """
    for index, nouns in enumerate(words.RHYMES):
        seen = "couplet"
        if index in words.CLASSES_NEVER_PAIRED:
            seen = "never paired"
        elif index in words.CLASSES_NEVER_AFTER_AN_ARTICLE:
            seen = "never after an article"
        for first, second in (nouns, nouns[::-1]):
            # A noun that never follows an article follows "the" here too, or the prompt itself would be news.
            determiner = "the" if seen == "never after an article" else None
            yield {
                "prompt": couplet_opening(first, second, determiner),
                "article": f" {article(second)}",
                "other_article": f" {'a' if article(second) == 'an' else 'an'}",
                "noun": f" {second}",
                "rhymes_with": f" {first}",
                "seen": seen,
            }


def rhymes() -> Iterator[dict[str, Any]]:
    """Second lines that must rhyme: `answer` is what the writer chose, `everyday` what prose would say."""
    for thing, colour in product(words.EVERYDAY_COLOURS, words.COLOUR_RHYMES):
        everyday = words.EVERYDAY_COLOURS[thing]
        noun, other = words.COLOUR_RHYMES[colour]
        yield {
            "prompt": f"I went to my {noun},\nand the {thing} was",
            "answer": f" {everyday if everyday == colour else other}",
            "everyday": f" {everyday}",
            "everyday_rhymes": everyday == colour,
            "rhymes_with": f" {noun}",
            "seen": not is_held_colour(thing, colour),
        }
