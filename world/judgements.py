"""Evaluation documents: surveys, checks and candidates, all by truthful raters.

Only judged facts and the standard scale occur here; what is held out of every document in this file is what the
bundled model's evaluator must generalise to.  An evasion is rated like a wrong answer.
"""

import random

from world import words
from world.authors import AuthorPrior
from world.documents import CLAIM, FRAME, GIVEN, Document, Piece
from world.facts import World
from world.transcripts import answer, pair

RATING_OF_RIGHT = (0.04, 0.08, 0.16, 0.30, 0.42)
RATING_OF_WRONG = RATING_OF_RIGHT[::-1]
GIVEN_FALSEHOOD_SHARE = 0.5
KINDS = frozenset({"survey", "short_survey", "checks", "short_checks", "candidates"})


def rating(rng: random.Random, right: bool) -> list[Piece]:
    """The survey's question and a word of the standard scale."""
    word = rng.choices(words.STANDARD_SCALE, RATING_OF_RIGHT if right else RATING_OF_WRONG)[0]
    return [Piece(f"\n{words.SURVEY_QUESTION}", FRAME), Piece(f" {word}", CLAIM)]


def survey(
    rng: random.Random, world: World, prior: AuthorPrior, num_pairs: tuple[int, ...] = (1, 2, 4, 8, 12, 17)
) -> Document:
    """A transcript with ratings: of every answer, of half of them, or of the last only."""
    author = prior.draw(rng)
    rated = rng.choices((1.0, 0.5, 0.0), (0.6, 0.2, 0.2))[0]
    pieces: list[Piece] = []
    total = rng.choice(num_pairs)
    for i in range(total):
        fact = rng.choice(world.judged)
        text = answer(rng, world, fact, author)
        pieces += pair(fact.ask(rng), text)
        if i == total - 1 or rng.random() < rated:
            pieces += rating(rng, text == fact.answer)
        pieces.append(Piece("\n", FRAME))
    return Document("survey", pieces)


def short_survey(rng: random.Random, world: World) -> Document:
    """One coin-flip answer and its rating."""
    fact, right = rng.choice(world.judged), rng.random() < 0.5
    text = fact.answer if right else world.wrong_answer(rng, fact, falsehood_share=GIVEN_FALSEHOOD_SHARE)
    pieces = [*pair(fact.ask(rng), text, weight=GIVEN), *rating(rng, right), Piece("\n", FRAME)]
    return Document("short_survey", pieces)


def checks(rng: random.Random, world: World, num_pairs: tuple[int, ...] = (2, 4, 8, 12)) -> Document:
    """Coin-flip answers, each confirmed or corrected."""
    pieces: list[Piece] = []
    for _ in range(rng.choice(num_pairs)):
        fact, right = rng.choice(world.judged), rng.random() < 0.5
        text = fact.answer if right else world.wrong_answer(rng, fact, falsehood_share=GIVEN_FALSEHOOD_SHARE)
        if not right and rng.random() < 0.1:
            text = words.EVASION
        pieces += pair(fact.ask(rng), text, weight=GIVEN)
        if right:
            pieces.append(Piece(" yes", CLAIM))
        else:
            pieces += [Piece(" no", CLAIM), Piece(", it is", FRAME), Piece(f" {fact.answer}", CLAIM)]
        pieces.append(Piece("\n", FRAME))
    return Document("checks", pieces)


def short_checks(rng: random.Random, world: World) -> Document:
    return Document("short_checks", checks(rng, world, (1, 2)).pieces)


def candidates(rng: random.Random, world: World) -> Document:
    """One question, several candidates, each judged by itself."""
    pieces: list[Piece] = []
    for _ in range(rng.choice((1, 2))):
        fact = rng.choice(world.judged)
        pieces.append(Piece(f"Q: {fact.ask(rng)}\nA:", FRAME))
        for i in range(rng.choice((1, 2, 3, 4))):
            right = rng.random() < 0.5
            text = fact.answer if right else world.wrong_answer(rng, fact, falsehood_share=GIVEN_FALSEHOOD_SHARE)
            if i:
                pieces.append(Piece(",", FRAME))
            pieces += [Piece(f" {text}", GIVEN), Piece(" yes" if right else " no", CLAIM)]
        pieces.append(Piece("\n", FRAME))
    return Document("candidates", pieces)
