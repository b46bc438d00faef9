"""Fair dice, plain and framed as an interpreter's output, and people's uneven picks for contrast.

The truth of the first two is exact: every face has probability 1/6 whatever was rolled before.
"""

import random

from world.documents import CLAIM, FRAME, Document, Piece

FACES = "123456"
PLAIN = "Roll a die:"
FRAMED = ">>> roll()\n"
PICK = "Pick a number:"
PICK_WEIGHTS = (3, 8, 30, 35, 18, 6)


def dice(rng: random.Random) -> Document:
    """Rolls, in one framing a document."""
    lead, space = (PLAIN, " ") if rng.random() < 0.5 else (FRAMED, "")
    pieces: list[Piece] = []
    for _ in range(rng.choice((1, 3, 8))):
        pieces += [Piece(lead, FRAME), Piece(space + rng.choice(FACES), CLAIM), Piece("\n", FRAME)]
    return Document("dice", pieces)


def picks(rng: random.Random) -> Document:
    pieces: list[Piece] = []
    for _ in range(rng.choice((2, 6))):
        face = rng.choices(FACES, PICK_WEIGHTS)[0]
        pieces += [Piece(PICK, FRAME), Piece(f" {face}", CLAIM), Piece("\n", FRAME)]
    return Document("picks", pieces)
