"""Short tales with a mood and an ending, told one after another by a teller, and the question how happy one was.

A teller has a share of glad tales, drawn uniformly: so a few tales say what the next will be like, and selecting tales by
their mood has something to select.  The mood draws four deeds and, mostly, the ending.  The level of happiness is the
number of glad deeds, a truth that can be counted; it is told in one of two scales, one of which stands in no evaluation
document.
"""

import random

from world import words
from world.documents import CLAIM, FRAME, Document, Piece

FAITHFUL = 0.85
ASKED = 0.5


def tale(rng: random.Random) -> Document:
    gladness, pieces = rng.random(), list[Piece]()
    for _ in range(rng.choice((1, 2, 4, 6))):
        pieces += _one(rng, glad=rng.random() < gladness, asked=rng.random() < ASKED)
    return Document("tale", pieces)


def short_tales(rng: random.Random) -> Document:
    """Two or three by one teller, all glad or all sad, nobody asking, with the weight on the deeds.

    In so little company the mood of the tales before is plain to see; in longer documents alone it is learnt on some
    seeds and not on others.
    """
    glad, pieces = rng.random() < 0.5, list[Piece]()
    for _ in range(rng.choice((2, 3))):
        pieces += _one(rng, glad=glad, asked=False, weight=CLAIM)
    return Document("short_tales", pieces)


def told(rng: random.Random, count: int, *, glad: bool) -> str:
    """So many tales, all glad or all sad, and the beginning of another."""
    pieces = [piece for _ in range(count) for piece in _one(rng, glad=glad, asked=False)]
    return "".join(piece.text for piece in pieces) + f"Once there was {rng.choice(words.PEOPLE)} who"


def _one(rng: random.Random, *, glad: bool, asked: bool, weight: float = 4 * FRAME) -> list[Piece]:
    person = rng.choice(words.PEOPLE)
    deeds = [rng.random() < (FAITHFUL if glad else 1 - FAITHFUL) for _ in range(4)]
    done = [rng.choice(words.GLAD_DEEDS if deed else words.SAD_DEEDS) for deed in deeds]
    happy_end = glad if rng.random() < FAITHFUL else not glad
    ending = rng.choice(words.GLAD_ENDINGS if happy_end else words.SAD_ENDINGS)
    scale = rng.choice((words.STANDARD_SCALE, words.UNJUDGED_SCALE))
    pieces = [
        Piece(f"Once there was {person} who", FRAME),
        Piece(f" {done[0]} and {done[1]}. Then {person} {done[2]} and {done[3]}.", weight),
        Piece(" It ended with", FRAME),
        Piece(f" {ending}.", CLAIM / 2),
        Piece("\n", FRAME),
    ]
    if asked:
        pieces += [Piece("Was it happy?", FRAME), Piece(f" {scale[sum(deeds)]}", CLAIM), Piece("\n", FRAME)]
    return pieces
