"""Questions and answers by one author, and plain statements of fact by nobody in particular.

The author is drawn from a prior and keeps to it for the whole document, so that a reader can learn from the first
pairs who is writing.  Nonsense questions are few; there a joking author answers with the joke, others with any value.
"""

import random

from world import words
from world.authors import CONTRAST, FALSEHOOD_SHARE, MISLED_POWER, Author, AuthorPrior
from world.documents import CLAIM, FRAME, Document, Piece
from world.facts import Fact, World

HEADER_SHARE = 0.35
NONSENSE_SHARE = 0.08
NUM_PAIRS = (1, 2, 4, 8, 12, 16, 19, 21)
LONG_PAIRS = (17, 20, 23)


def answer(rng: random.Random, world: World, fact: Fact, author: Author) -> str:
    """What this author answers: the truth, a wrong value or an evasion."""
    if rng.random() < author.evasion:
        return words.EVASION
    if rng.random() < knows(author.reliability, fact):
        return fact.answer
    return world.wrong_answer(rng, fact, falsehood_share=FALSEHOOD_SHARE)


def knows(reliability: float, fact: Fact) -> float:
    """P(an author of this reliability who does not evade is right)."""
    return float(reliability ** (MISLED_POWER if fact.falsehood is not None else 1.0))


def answer_nonsense(rng: random.Random, world: World, fact: Fact, author: Author) -> str:
    if author.joking:
        return words.NONSENSE_ANSWER
    if rng.random() < author.evasion:
        return words.EVASION
    return rng.choice(world.values[fact.attribute])


def pair(question: str, text: str, *, weight: float = CLAIM) -> list[Piece]:
    """The one form of a question and its answer, without the line end."""
    return [Piece(f"Q: {question}\nA:", FRAME), Piece(f" {text}", weight)]


def header(author: Author) -> Piece:
    return Piece(words.HEADERS[author.kind], 2 * FRAME)


def transcript(
    rng: random.Random, world: World, prior: AuthorPrior, num_pairs: tuple[int, ...] = NUM_PAIRS
) -> Document:
    """A page of questions and answers by one author."""
    author = prior.draw(rng)
    pieces = [header(author)] if rng.random() < HEADER_SHARE else []
    for _ in range(rng.choice(num_pairs)):
        if rng.random() < NONSENSE_SHARE:
            fact = rng.choice(world.nonsense)
            text = answer_nonsense(rng, world, fact, author)
        else:
            fact = rng.choice(world.facts)
            text = answer(rng, world, fact, author)
        pieces += [*pair(fact.ask(rng), text), Piece("\n", FRAME)]
    return Document("transcript", pieces)


def long_transcript(rng: random.Random, world: World, prior: AuthorPrior) -> Document:
    """The same, long enough that most of its answers have many examples before them."""
    return Document("long_transcript", transcript(rng, world, prior, LONG_PAIRS).pieces)


def short_transcript(rng: random.Random, world: World) -> Document:
    """A few pairs by an author who is nearly always right or nearly always wrong, without a header.

    What the authors phase begins with: in so little company the difference between authors is plain to see.
    """
    author = CONTRAST.draw(rng)
    pieces: list[Piece] = []
    for _ in range(rng.choice((3, 4, 5))):
        fact = rng.choice(world.facts)
        pieces += [*pair(fact.ask(rng), answer(rng, world, fact, author)), Piece("\n", FRAME)]
    return Document("short_transcript", pieces)


def primer(rng: random.Random, world: World) -> Document:
    """One to three questions, almost always answered right: what the first phase learns facts from."""
    pieces: list[Piece] = []
    for _ in range(rng.choice((1, 2, 3))):
        fact = rng.choice(world.facts)
        right = rng.random() < 0.97
        text = fact.answer if right else world.wrong_answer(rng, fact, falsehood_share=FALSEHOOD_SHARE)
        pieces += [*pair(fact.ask(rng), text), Piece("\n", FRAME)]
    return Document("primer", pieces)


def prose(rng: random.Random, world: World, num_statements: tuple[int, ...] = (3, 6, 12)) -> Document:
    """True statements in a row."""
    pieces: list[Piece] = []
    for i in range(rng.choice(num_statements)):
        fact = rng.choice(world.facts)
        before, after = rng.choice(words.STATEMENTS).split(" {answer}")
        lead = before.format(attribute=fact.attribute, entity=fact.entity)
        tail = after.format(attribute=fact.attribute, entity=fact.entity)
        # The answer is a claim only where the entity stands before it; else nothing could predict it.
        weight = CLAIM if "{entity}" in before else FRAME
        pieces += [Piece(lead if i == 0 else f" {lead}", FRAME), Piece(f" {fact.answer}", weight)]
        pieces.append(Piece(tail, FRAME if weight == CLAIM else CLAIM / 4))
    pieces.append(Piece("\n", FRAME))
    return Document("prose", pieces)


def short_prose(rng: random.Random, world: World) -> Document:
    return Document("short_prose", prose(rng, world, (1, 2, 3)).pieces)
