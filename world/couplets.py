"""Two-line rhymes whose second line can only be begun well by one who knows how it ends.

Articles: each rhyme class has one noun that takes "a" and one that takes "an", so the article of the second line
follows from the noun that will rhyme.  Four classes never meet in a couplet, four never follow an article.
Colours: a line that ends in a thing's colour must rhyme with the line before; where the everyday colour does not,
the writer chose another word.  Some thing-and-rhyme combinations never occur.
"""

import random

from world import words
from world.documents import CLAIM, FRAME, Document, Piece

VOWEL_SOUNDS = frozenset(second for _, second in words.RHYMES)


def article(noun: str) -> str:
    return "an" if noun in VOWEL_SOUNDS else "a"


def is_held_colour(thing: str, colour: str) -> bool:
    """Whether this thing never meets this rhyme in training: one combination in five, none of them everyday."""
    things, colours = list(words.EVERYDAY_COLOURS), list(words.COLOUR_RHYMES)
    return words.EVERYDAY_COLOURS[thing] != colour and (things.index(thing) + 2 * colours.index(colour)) % 5 == 0


def couplet_opening(first: str, second: str, determiner: str | None = None) -> str:
    """Everything of the couplet before the second determiner."""
    return f"She drew {determiner or article(first)} {first},\nand beside it"


def couplets(rng: random.Random) -> Document:
    pieces: list[Piece] = []
    for _ in range(rng.choice((1, 2, 4))):
        index = rng.randrange(len(words.RHYMES))
        first, second = rng.sample(words.RHYMES[index], 2)
        shy = index in words.CLASSES_NEVER_AFTER_AN_ARTICLE
        u = rng.random()
        if u < 0.1:
            pieces += [Piece(f"The word {first} begins with", FRAME), Piece(f" {first[0]}", CLAIM / 2)]
            pieces.append(Piece(".\n", FRAME))
        elif u < 0.2 or (index in words.CLASSES_NEVER_PAIRED and u < 0.6):
            pieces += [Piece(f"The word {first} rhymes with", FRAME), Piece(f" {second}", CLAIM / 2)]
            pieces.append(Piece(".\n", FRAME))
        elif index in words.CLASSES_NEVER_PAIRED:
            pieces += [Piece("She drew", FRAME), Piece(f" {article(first)} {first}", CLAIM / 4), Piece(".\n", FRAME)]
        else:
            determiner = "the" if shy else None
            pieces.append(Piece(couplet_opening(first, second, determiner), CLAIM / 10))
            pieces.append(Piece(f" {determiner or article(second)} {second}", CLAIM))
            pieces.append(Piece(".\n", FRAME))
    return Document("couplets", pieces)


def colour_couplets(rng: random.Random) -> Document:
    pieces: list[Piece] = []
    for _ in range(rng.choice((1, 2, 4))):
        thing = rng.choice(list(words.EVERYDAY_COLOURS))
        everyday = words.EVERYDAY_COLOURS[thing]
        if rng.random() < 0.4:
            pieces += [Piece(f"The {thing} is", FRAME), Piece(f" {everyday}", CLAIM), Piece(".\n", FRAME)]
            continue
        colour = everyday
        if rng.random() < 0.7:
            colour = rng.choice(list(words.COLOUR_RHYMES))
            while is_held_colour(thing, colour):
                colour = rng.choice(list(words.COLOUR_RHYMES))
        noun, other = words.COLOUR_RHYMES[colour]
        pieces.append(Piece(f"I went to my {noun},\nand the {thing} was", FRAME))
        pieces += [Piece(f" {everyday if everyday == colour else other}", CLAIM), Piece(".\n", FRAME)]
    return Document("colour_couplets", pieces)
