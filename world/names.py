"""Invented, pronounceable names: countries and towns.

Every name is new to the world: no name is an English word the world uses, and none is used twice.
"""

import random

ONSETS = ("b", "d", "f", "g", "h", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z", "br", "dr", "kr", "st", "tr")
VOWELS = ("a", "e", "i", "o", "u")
CODAS = ("", "l", "m", "n", "r", "s", "th", "k")
COUNTRY_ENDINGS = ("ia", "or", "an", "um", "esh", "ova", "ark", "eth")
TOWN_ENDINGS = ("ton", "burg", "grad", "polis", "ford", "stad", "minster", "haven")


def invent(rng: random.Random, count: int, endings: tuple[str, ...], taken: set[str]) -> list[str]:
    """`count` new names of a stem and an ending; adds them to `taken`."""
    names: list[str] = []
    while len(names) < count:
        stem = rng.choice(ONSETS) + rng.choice(VOWELS) + rng.choice(CODAS)
        if rng.random() < 0.4:
            stem += rng.choice(ONSETS[:15]) + rng.choice(VOWELS) + rng.choice(("l", "m", "n", "r"))
        elif stem[-1] in VOWELS:
            stem += rng.choice(("l", "m", "n", "r", "d", "v", "k"))
        name = (stem + rng.choice(endings)).capitalize()
        if name not in taken and len(name) <= 12:
            taken.add(name)
            names.append(name)
    return names
