"""Short tales with a mood and an ending, and the question how happy it was.

The mood draws four deeds and, mostly, the ending.  The level of happiness is the number of glad deeds, a truth that
can be counted; it is told in one of two scales, one of which stands in no evaluation document.
"""

import random

from world import words
from world.documents import CLAIM, FRAME, Document, Piece

FAITHFUL = 0.85


def tale(rng: random.Random) -> Document:
    person, glad = rng.choice(words.PEOPLE), rng.random() < 0.5
    deeds = [rng.random() < (FAITHFUL if glad else 1 - FAITHFUL) for _ in range(4)]
    told = [rng.choice(words.GLAD_DEEDS if deed else words.SAD_DEEDS) for deed in deeds]
    happy_end = glad if rng.random() < FAITHFUL else not glad
    ending = rng.choice(words.GLAD_ENDINGS if happy_end else words.SAD_ENDINGS)
    scale = rng.choice((words.STANDARD_SCALE, words.UNJUDGED_SCALE))
    pieces = [
        Piece(f"Once there was {person} who", FRAME),
        Piece(f" {told[0]} and {told[1]}. Then {person} {told[2]} and {told[3]}.", 4 * FRAME),
        Piece(" It ended with", FRAME),
        Piece(f" {ending}.", CLAIM / 2),
        Piece("\nWas it happy?", FRAME),
        Piece(f" {scale[sum(deeds)]}", CLAIM),
        Piece("\n", FRAME),
    ]
    return Document("tale", pieces)
