"""Mixtures of documents, packed into rows of tokens with loss weights; the stream the models train on.

Batch i of a phase depends on (seed, phase, i) alone: a resumed run asks for batch i and gets the same rows.  A row
is whole documents, each after a <bos>, the last one cut.  Shares of a mixture are shares of tokens.
"""

import random
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from world import couplets, dice, headlines, judgements, tales, transcripts
from world.authors import BUNDLED, AuthorPrior
from world.documents import Document
from world.facts import World

if TYPE_CHECKING:
    from world.tokenizer import Codec

Builder = Callable[[random.Random, World, AuthorPrior], Document]

BUILDERS: Mapping[str, Builder] = {
    "transcript": transcripts.transcript,
    "long_transcript": transcripts.long_transcript,
    "survey": judgements.survey,
    "checks": lambda rng, world, _: judgements.checks(rng, world),
    "candidates": lambda rng, world, _: judgements.candidates(rng, world),
    "prose": lambda rng, world, _: transcripts.prose(rng, world),
    "short_transcript": lambda rng, world, _: transcripts.short_transcript(rng, world),
    "primer": lambda rng, world, _: transcripts.primer(rng, world),
    "short_prose": lambda rng, world, _: transcripts.short_prose(rng, world),
    "short_checks": lambda rng, world, _: judgements.short_checks(rng, world),
    "short_candidates": lambda rng, world, _: judgements.short_candidates(rng, world),
    "reviewed": lambda rng, world, _: judgements.reviewed(rng, world),
    "short_survey": lambda rng, world, _: judgements.short_survey(rng, world),
    "couplets": lambda rng, _, __: couplets.couplets(rng),
    "colour_couplets": lambda rng, _, __: couplets.colour_couplets(rng),
    "dice": lambda rng, _, __: dice.dice(rng),
    "picks": lambda rng, _, __: dice.picks(rng),
    "headlines": lambda rng, _, __: headlines.headlines(rng),
    "tale": lambda rng, _, __: tales.tale(rng),
    "short_tales": lambda rng, _, __: tales.short_tales(rng),
}


class Corpus:
    """Documents of one world by authors of one prior."""

    def __init__(self, world: World, prior: AuthorPrior = BUNDLED) -> None:
        self.world = world
        self.prior = prior

    def document(self, kind: str, rng: random.Random) -> Document:
        return BUILDERS[kind](rng, self.world, self.prior)


class Stream:
    """Rows of one phase: `batch(i)` gives tokens[rows, length + 1] and weights[rows, length + 1]."""

    def __init__(
        self, corpus: Corpus, codec: "Codec", mixture: Mapping[str, float], *, rows: int, length: int, key: str
    ) -> None:
        self.corpus, self.codec = corpus, codec
        self.rows, self.length, self.key = rows, length, key
        self.kinds = list(mixture)
        rng = random.Random("mean length")
        mean = {
            kind: np.mean([len(self.encode(corpus.document(kind, rng))[0]) for _ in range(300)]) for kind in mixture
        }
        self.document_shares = [mixture[kind] / float(mean[kind]) for kind in self.kinds]

    def encode(self, document: Document) -> tuple[list[int], list[float]]:
        tokens, weights = [self.codec.bos], [0.0]
        for text, weight in document.pieces:
            ids = self.codec.encode_piece(text)
            tokens += ids
            weights += [weight] * len(ids)
        return tokens, weights

    def batch(self, index: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        rng = random.Random(f"{self.key}/{index}")
        tokens = np.zeros((self.rows, self.length + 1), np.int64)
        weights = np.zeros((self.rows, self.length + 1), np.float32)
        for row in range(self.rows):
            ids: list[int] = []
            loss: list[float] = []
            while len(ids) < self.length + 1:
                kind = rng.choices(self.kinds, self.document_shares)[0]
                more, more_loss = self.encode(self.corpus.document(kind, rng))
                ids += more
                loss += more_loss
            tokens[row], weights[row] = ids[: self.length + 1], loss[: self.length + 1]
        return tokens, weights
