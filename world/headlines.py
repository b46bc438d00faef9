"""Headlines and the section they stood in; a quarter of the words strayed in from another section.

The truth is the naive-Bayes posterior of the section given the three words.
"""

import random

from world import words
from world.documents import CLAIM, FRAME, Document, Piece

STRAY = 0.25


def headline(rng: random.Random, section: str) -> str:
    """Who does what, each word of the section or strayed from any."""
    chosen = []
    for place in range(3):
        home = rng.choice(list(words.SECTIONS)) if rng.random() < STRAY else section
        chosen.append(rng.choice(words.SECTIONS[home][place].split()))
    return " ".join(chosen)


def section_posterior(text: str) -> dict[str, float]:
    """P(section | headline), exactly."""
    weight = {}
    for section in words.SECTIONS:
        likelihood = 1.0
        for place, word in enumerate(text.split()):
            home = word in words.SECTIONS[section][place].split()
            likelihood *= (1 - STRAY) * home / 4 + STRAY / 24
        weight[section] = likelihood
    total = sum(weight.values())
    return {section: value / total for section, value in weight.items()}


def headlines(rng: random.Random) -> Document:
    pieces: list[Piece] = []
    for _ in range(rng.choice((1, 3, 6))):
        section = rng.choice(list(words.SECTIONS))
        pieces += [Piece("Headline:", FRAME), Piece(f" {headline(rng, section)}", 2 * FRAME)]
        pieces += [Piece(". Section:", FRAME), Piece(f" {section}", CLAIM), Piece("\n", FRAME)]
    return Document("headlines", pieces)
