"""Text without its spaces: what is to be found, ways to find it that know no model, and how right they were."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from winnow.ports.requests import Codec
from winnow.values.errors import CapabilityError, InputError
from winnow.values.logspace import FloatArray

BoolArray: TypeAlias = NDArray[np.bool_]


class Line(NamedTuple):
    """A line of text: its characters without spaces, and where spaces were."""

    number: int  # in its text, from 1
    characters: str  # n
    spaced: BoolArray  # [n], whether a space came before the character; the first is False
    text_name: str = ""  # of its text

    @property
    def where(self) -> str:
        """Text and line, for messages."""
        return f"{self.text_name}:{self.number}" if self.text_name else f"line {self.number}"

    @property
    def text(self) -> str:
        """The line as it was, single spaces between words."""
        return join(self.characters, self.spaced)


def join(characters: str, spaced: Sequence[bool] | BoolArray) -> str:
    """Characters with a space before each that is marked."""
    return "".join(f" {c}" if space else c for c, space in zip(characters, spaced, strict=True))


def lines_of(text: str, first: int = 1, *, name: str = "") -> list[Line]:
    """Lines of at least two words, runs of white space read as one space.

    ``first`` is the number of the first line, ``name`` the text's.
    """
    lines = []
    for number, raw in enumerate(text.split("\n"), first):
        words = raw.split()
        if len(words) >= 2:
            starts = np.cumsum([len(word) for word in words])[:-1]
            spaced = np.zeros(sum(map(len, words)), bool)
            spaced[starts] = True
            lines.append(Line(number, "".join(words), spaced, name))
    return lines


class Alphabet(NamedTuple):
    """How a character-level model writes: what it puts before a text, and a token for each character."""

    start: tuple[int, ...]
    token: Mapping[str, int]

    @property
    def space(self) -> int:
        """The space's token."""
        return self.token[" "]

    def encode(self, text: str) -> list[int]:
        """Tokens of a text, without the start."""
        return [self.token[character] for character in text]


def alphabet_of(codec: Codec, lines: Sequence[Line], *, name: str) -> Alphabet:
    """The alphabet of a model, checked on these lines.

    Raises
    ------
    CapabilityError
        When the model does not write each character as one token of its own.
    InputError
        When it has no token for a character; names text and line.
    """
    # a letter that stands doubled shows which tokens are the letter's and which stand before every text
    probe = next((c for line in lines for c in line.characters if c.isalpha()), "a")
    once, twice = codec.encode(probe), codec.encode(probe * 2)
    if len(twice) != len(once) + 1 or twice[-1] != twice[-2] or twice[:-1] != once:
        raise _no_characters(name, probe * 2, len(twice) - len(once) + 1)
    start = tuple(once[:-1])
    token: dict[str, int] = {probe: once[-1]}
    for line in lines:
        for character in f" {line.characters}":
            if character not in token:
                row = codec.encode(probe + character + probe)[len(start) :]
                if len(row) == 3 and (row[0], row[2]) != (once[-1], once[-1]):
                    raise _no_characters(name, probe + character, 1)
                if len(row) != 3:
                    raise _no_characters(name, probe + character, len(row) - 1)
                if codec.decode([*once, row[1], once[-1]]) != probe + character + probe:
                    raise InputError(
                        f"the tokenizer has no token for {character!r}",
                        where=line.where,
                        remedy=f"leave it out, or choose another model than {name}",
                    )
                token[character] = row[1]
        if codec.encode(line.text)[len(start) :] != [token[c] for c in line.text]:
            raise _no_characters(name, line.text[:30], len(codec.encode(line.text)) - len(start))
    return Alphabet(start, token)


def _no_characters(name: str, text: str, num: int) -> CapabilityError:
    return CapabilityError(
        f"is no character-level model: {text!r} is {num} token{'s' * (num != 1)} of its tokenizer",
        where=name,
        remedy="where to put a space can only be asked of a model whose tokens are characters",
    )


# ---- ways that know words, and no model


def words_of(text: str) -> Counter[str]:
    """Words of a text, white space between them, punctuation at their ends taken off."""
    stripped = (re.sub(r"^\W+|\W+$", "", word) for word in text.split())
    return Counter(word for word in stripped if word)


def longest_match(characters: str, lexicon: Iterable[str]) -> BoolArray:
    """``[n]`` spaces by taking the longest known word that fits, from left to right.

    A word is known with a capital too where it is known without. Where none fits one character is taken. What is no
    letter or digit stays with what stands before it.
    """
    known = lexicon if isinstance(lexicon, set | frozenset | dict) else set(lexicon)
    longest = max(map(len, known), default=1)
    spaced = np.zeros(len(characters), bool)
    place = 0
    while place < len(characters):
        spaced[place] = place > 0
        fitting = (
            size
            for size in range(min(longest, len(characters) - place), 0, -1)
            if _known(characters[place : place + size], known)
        )
        place += next(fitting, 1)
        while place < len(characters) and not characters[place].isalnum():
            place += 1
    return spaced


def _known(word: str, known: Container[str]) -> bool:
    return word in known or (word[:1].lower() + word[1:]) in known


def most_probable_words(characters: str, counts: Mapping[str, int]) -> BoolArray:
    """``[n]`` spaces of the most probable sequence of independent words: exact dynamic programming over places.

    A word has the probability of its count; an unknown one of k characters 10 / (N 10 ** k), with N the number of words
    (Norvig 2009, "Natural language corpus data"). What is no letter or digit stays with what stands before it.
    """
    total = sum(counts.values())
    longest = max(max(map(len, counts), default=1), 12)
    best: list[tuple[float, int]] = [(0.0, 0)]  # of the first i characters: log-probability, where the last word began
    for end in range(1, len(characters) + 1):
        options = []
        for start in range(max(0, end - longest - 3), end):
            if start and not characters[start].isalnum():
                continue
            word = re.sub(r"^\W+|\W+$", "", characters[start:end])
            count = counts.get(word, 0) or counts.get(word[:1].lower() + word[1:], 0)
            logprob = math.log(count / total) if count else math.log(10 / total) - max(len(word), 1) * math.log(10)
            options.append((best[start][0] + logprob, start))
        best.append(max(options) if options else (best[end - 1][0] - 50.0, best[end - 1][1]))
    spaced = np.zeros(len(characters), bool)
    end = len(characters)
    while end > 0:
        end = best[end][1]
        spaced[end] = end > 0
    return spaced


# ---- how right


def hits(found: Sequence[BoolArray], lines: Sequence[Line]) -> FloatArray:
    """``[N, 4]`` a line: spaces that are right, spaces put, spaces there are, 1 where the whole line is right."""
    return np.array(
        [
            [(one & line.spaced).sum(), one.sum(), line.spaced.sum(), bool(np.array_equal(one, line.spaced))]
            for one, line in zip(found, lines, strict=True)
        ],
        np.float64,
    )


def rates(counts: FloatArray) -> FloatArray:
    """Precision, recall and F1 ``[..., 3]`` of summed ``[..., 3+]`` right, put and true spaces; none put: precision 1."""
    right, put, true = counts[..., 0], counts[..., 1], counts[..., 2]
    precision = np.divide(right, put, out=np.ones_like(right), where=put > 0)
    recall = np.divide(right, true, out=np.ones_like(right), where=true > 0)
    return np.stack(
        [precision, recall, np.divide(2 * right, put + true, out=np.ones_like(right), where=put + true > 0)], -1
    )
