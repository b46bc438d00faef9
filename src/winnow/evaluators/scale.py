"""A scale of words, the ways a model may write each, and the probabilities of the words from those of the writings.

A word is several tokens and has variants (leading space, capital). Every variant that has a token path of its own is
scored by the chain rule, and no path is counted twice: where one path begins another ("a lot", "a lot more"), the
longer one's mass is taken off the shorter one's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from winnow.ports.requests import Codec
from winnow.values.errors import CapabilityError, InputError, ModelError
from winnow.values.logspace import FloatArray, IntArray


class Variants(NamedTuple):
    """The distinct writings of a scale's words."""

    text: tuple[str, ...]  # C continuations
    word: IntArray  # [C] index of the word each one writes
    begins: IntArray  # [C] index of the longest other writing that begins this one, -1 when none does


class OnScale(NamedTuple):
    """What one item's writings say of the words."""

    probability: FloatArray  # [W] mass on each word, linear; sums to at most one
    share: FloatArray  # [W] the same divided by their sum; zeros when nothing fell on the scale
    off_scale: float  # 1 - sum, in [0, 1]


def check_words(words: Sequence[str], *, where: str = "survey words") -> tuple[str, ...]:
    """The scale, from the lowest word to the highest.

    Raises
    ------
    InputError
        For fewer than two words, an empty word, or a word named twice.
    """
    if isinstance(words, str) or not isinstance(words, Sequence) or any(not isinstance(word, str) for word in words):
        raise InputError(f"must be a list of texts, not {words!r}", where=where, remedy="put each word in quotes")
    clean = tuple(" ".join(word.split()) for word in words)
    if len(clean) < 2:
        raise InputError(
            f"a scale needs two words or more, not {len(clean)}", where=where, remedy='for example words="bad|good"'
        )
    if not all(clean):
        raise InputError("a scale cannot hold an empty word", where=where)
    twice = [word for i, word in enumerate(clean) if word.casefold() in {w.casefold() for w in clean[:i]}]
    if twice:
        raise InputError(f"{twice[0]!r} is on the scale twice", where=where)
    return clean


def variants(words: Sequence[str], codec: Codec, lead: str) -> Variants:
    """Writings of the words after ``lead``: with and without a space, small and capital.

    One is left out when its tokens are those of an earlier one, or when the tokens do not say it (an unknown token).

    Raises
    ------
    CapabilityError
        When the model has no tokens at all for one of the words.
    """
    head = tuple(codec.encode(lead))
    said_before = _bare(codec.decode(head))
    text: list[str] = []
    word_of: list[int] = []
    paths: list[tuple[int, ...]] = []
    for index, word in enumerate(words):
        capital = word[:1].upper() + word[1:]
        written = {w: _path(codec, lead + w) for w in (f" {word}", f" {capital}", word, capital)}
        sound = {w: path for w, path in written.items() if _bare(codec.decode(path)) == said_before + _bare(w)}
        # a border inside a token is no continuation of this prompt; taken only where there is nothing else
        clean = {w: path for w, path in sound.items() if path[: len(head)] == head and len(path) > len(head)}
        new = {path: w for w, path in reversed((clean or sound).items()) if path not in paths}
        if not new:
            raise CapabilityError(
                f"the model has no tokens for {word!r}", where="survey words", remedy="choose words it knows"
            )
        for path, writing in reversed(new.items()):
            text.append(writing)
            word_of.append(index)
            paths.append(path)
    begins = [
        max(
            (j for j, other in enumerate(paths) if len(other) < len(path) and path[: len(other)] == other),
            key=lambda j: len(paths[j]),
            default=-1,
        )
        for path in paths
    ]
    return Variants(tuple(text), np.array(word_of, np.int64), np.array(begins, np.int64))


def on_scale(found: Variants, logprob: FloatArray, num_words: int) -> OnScale:
    """Word probabilities from the writings' log-probabilities ``[C]``.

    The shares are computed from the logs, so they are right even where every probability underflows.

    Raises
    ------
    ModelError
        When a log-probability is NaN, or the writings together are more probable than 1 (beyond rounding).
    """
    top = float(logprob.max())
    if np.isnan(top):
        raise ModelError("a log-probability of the scale's words is not a number")
    if not np.isfinite(top):
        return OnScale(np.zeros(num_words), np.zeros(num_words), 1.0)
    relative = np.exp(logprob - top)
    own = relative.copy()
    longer = found.begins >= 0
    np.subtract.at(own, found.begins[longer], relative[longer])
    word = np.bincount(found.word, np.maximum(own, 0.0), minlength=num_words)
    probability = word * np.exp(top)
    total = float(probability.sum())
    if total > 1.01:
        raise ModelError(f"the scale's words hold {total:.3g} of the model's probability, and cannot hold more than 1")
    probability /= max(1.0, total)  # rounding may lift a sum of one over one
    return OnScale(probability, word / word.sum(), max(0.0, 1.0 - total))


def balance(share: FloatArray) -> float:
    """Upper mass / (upper + lower), the middle word of an odd scale left out; one half when all is in the middle."""
    half = share.size // 2
    lower, upper = float(share[:half].sum()), float(share[share.size - half :].sum())
    return upper / (upper + lower) if upper + lower > 0 else 0.5


def expectation(share: FloatArray) -> float:
    """Mean level, the lowest word at 0 and the highest at 1."""
    return float(share @ np.linspace(0.0, 1.0, share.size))


def _path(codec: Codec, text: str) -> tuple[int, ...]:
    try:
        return tuple(codec.encode(text))
    except InputError:  # no tokens for it: says nothing
        return ()


def _bare(text: str) -> str:
    return "".join(text.split()).casefold()
