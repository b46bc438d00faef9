"""A document: text in pieces, each with the loss weight of its tokens.

Knows nothing of tokens.  A piece ends where a token ends, so that pieces can be encoded one by one.
"""

from typing import NamedTuple

CLAIM = 1.0
"""Weight of what the document is about: answers, ratings, verdicts."""
FRAME = 0.05
"""Weight of what only carries it: questions, punctuation, line ends."""
GIVEN = 0.0
"""Weight of answers that are put up to be judged and that no author would have written."""


class Piece(NamedTuple):
    text: str
    weight: float


class Document(NamedTuple):
    kind: str
    pieces: list[Piece]

    @property
    def text(self) -> str:
        return "".join(piece.text for piece in self.pieces)
