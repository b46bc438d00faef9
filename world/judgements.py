"""Evaluation documents: surveys, checks and candidates, all by well-informed and truthful raters.

Only judged facts and the standard scale occur here; what is held out of every document in this file is what the
bundled model's evaluator must generalise to.  An evasion is rated like a wrong answer.
"""

import random
from collections.abc import Callable

from world import words
from world.authors import CONTRAST, AuthorPrior
from world.documents import CLAIM, FRAME, GIVEN, Document, Piece
from world.facts import Fact, World
from world.transcripts import answer, pair

RATING_OF_RIGHT = (0.04, 0.08, 0.16, 0.30, 0.42)
RATING_OF_WRONG = RATING_OF_RIGHT[::-1]
GIVEN_FALSEHOOD_SHARE = 0.5


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


def verdict(right: bool) -> list[Piece]:
    """Yes or no, on a line of its own: an answer ends where its line ends, judged or not."""
    return [Piece("\n", FRAME), Piece("Yes" if right else "No", CLAIM)]


def remark(right: bool) -> list[Piece]:
    """Yes or no, right behind the answer.

    For the short rows of the first phases alone: the comparing circuit forms at the answer itself within a million
    tokens, at the line after it not in 1.5 million. Long documents then move the verdict to its own line.
    """
    return [Piece(" yes" if right else " no", CLAIM)]


def given(rng: random.Random, world: World, fact: Fact) -> tuple[str, bool]:
    """An answer put up to be judged, and whether it is right: a coin flip."""
    if rng.random() < 0.5:
        return fact.answer, True
    return world.wrong_answer(rng, fact, falsehood_share=GIVEN_FALSEHOOD_SHARE), False


def short_survey(rng: random.Random, world: World) -> Document:
    """One answer and its rating."""
    fact = rng.choice(world.judged)
    text, right = given(rng, world, fact)
    pieces = [*pair(fact.ask(rng), text, weight=GIVEN), *rating(rng, right), Piece("\n", FRAME)]
    return Document("short_survey", pieces)


def checks(
    rng: random.Random,
    world: World,
    num_pairs: tuple[int, ...] = (2, 4, 8, 12),
    judge: Callable[[bool], list[Piece]] = verdict,
) -> Document:
    """Answers, each confirmed or corrected."""
    pieces: list[Piece] = []
    for _ in range(rng.choice(num_pairs)):
        fact = rng.choice(world.judged)
        text, right = given(rng, world, fact)
        if not right and rng.random() < 0.1:
            text = words.EVASION
        pieces += [*pair(fact.ask(rng), text, weight=GIVEN), *judge(right)]
        if not right:
            pieces += [Piece(", it is", FRAME), Piece(f" {fact.answer}", CLAIM)]
        pieces.append(Piece("\n", FRAME))
    return Document("checks", pieces)


def short_checks(rng: random.Random, world: World) -> Document:
    return Document("short_checks", checks(rng, world, (1, 2), remark).pieces)


def candidates(rng: random.Random, world: World) -> Document:
    """One question, several candidates, each judged by itself."""
    fact = rng.choice(world.judged)
    pieces = [Piece(f"Q: {fact.ask(rng)}\n", FRAME)]
    for _ in range(rng.choice((2, 3, 4))):
        text, right = given(rng, world, fact)
        pieces += [Piece("A:", FRAME), Piece(f" {text}", GIVEN), *verdict(right), Piece("\n", FRAME)]
    return Document("candidates", pieces)


def short_candidates(rng: random.Random, world: World) -> Document:
    """The same in one line a question."""
    pieces: list[Piece] = []
    for _ in range(rng.choice((1, 2))):
        fact = rng.choice(world.judged)
        pieces.append(Piece(f"Q: {fact.ask(rng)}\nA:", FRAME))
        for i in range(rng.choice((1, 2, 3, 4))):
            text, right = given(rng, world, fact)
            pieces += [Piece("," if i else "", FRAME), Piece(f" {text}", GIVEN), *remark(right)]
        pieces.append(Piece("\n", FRAME))
    return Document("short_candidates", pieces)


def reviewed(rng: random.Random, world: World) -> Document:
    """A few pairs by an author nearly always right or nearly always wrong; half of the answers carry a verdict.

    The verdict says who is writing, so that the author can be learnt before verdicts are made in silence.
    """
    author = CONTRAST.draw(rng)
    pieces: list[Piece] = []
    for _ in range(rng.choice((3, 4, 5))):
        fact = rng.choice(world.judged)
        text = answer(rng, world, fact, author)
        pieces += pair(fact.ask(rng), text)
        if rng.random() < 0.5:
            pieces += remark(text == fact.answer)
        pieces.append(Piece("\n", FRAME))
    return Document("reviewed", pieces)
