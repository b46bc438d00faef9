"""Texts that are edited: rows of tokens of which some must stay, how they are mixed, cut open and filled in again.

Everything random comes as uniform numbers; everything a model decides is asked with FillMask.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from winnow.ports.program import Program, ask
from winnow.ports.requests import FillMask
from winnow.values.logspace import FloatArray, IntArray


class Text(NamedTuple):
    """A row of a masked model's tokens, and which of them stay as they are."""

    tokens: tuple[int, ...]
    fixed: tuple[bool, ...]

    @property
    def editable(self) -> list[int]:
        """Places that may be changed."""
        return [place for place, stays in enumerate(self.fixed) if not stays]


class Opened(NamedTuple):
    """A text with a hole: neighbouring places whose tokens are to be written anew."""

    text: Text
    hidden: tuple[int, ...]


class Crossed(NamedTuple):
    """A text of two parents, and the share of its tokens that comes from the first."""

    text: Text
    share: float


def cross(one: Text, other: Text, uniform: Sequence[float]) -> Crossed:
    """The beginning of one text and the end of another, cut where both have passed the same fixed tokens.

    Each fixed token comes exactly once, in its order. Two uniforms: where the first is cut, and which fitting place of the
    other; where lengths agree, the other is cut at the same place if it may be.

    >>> a, b = Text((1, 2, 3), (True, False, False)), Text((1, 8, 9), (True, False, False))
    >>> cross(a, b, (0.5, 0.0))
    Crossed(text=Text(tokens=(1, 2, 9), fixed=(True, False, False)), share=0.6666666666666666)
    """
    cut = 1 + int(uniform[0] * max(1, len(one.tokens) - 1))
    passed = sum(one.fixed[:cut])
    fits = [place for place in range(len(other.tokens) + 1) if sum(other.fixed[:place]) == passed]
    place = cut if cut in fits else fits[int(uniform[1] * len(fits))]
    text = Text(one.tokens[:cut] + other.tokens[place:], one.fixed[:cut] + other.fixed[place:])
    return Crossed(text, cut / len(text.tokens))


def open_span(text: Text, uniform: Sequence[float], *, span: int, resize: float) -> Opened:
    """Hide up to ``span`` neighbouring places that may be changed; with probability ``resize`` the text grows or
    shrinks by one.

    Four uniforms: the place, the length, whether to resize, and which way.
    """
    editable = text.editable
    first = editable[int(uniform[0] * len(editable))]
    length = 1 + int(uniform[1] * span)
    hole = [first]
    while len(hole) < length and hole[-1] + 1 < len(text.fixed) and not text.fixed[hole[-1] + 1]:
        hole.append(hole[-1] + 1)
    tokens, fixed = list(text.tokens), list(text.fixed)
    if uniform[2] < resize:
        if uniform[3] < 0.5:
            tokens.insert(first, tokens[first])
            fixed.insert(first, False)
            hole.append(hole[-1] + 1)
        elif len(editable) > 1 and len(hole) > 1:
            del tokens[first], fixed[first]
            hole.pop()
    return Opened(Text(tuple(tokens), tuple(fixed)), tuple(hole))


def open_word(text: Text, uniform: float) -> Opened:
    """Hide one place that may be changed."""
    editable = text.editable
    return Opened(text, (editable[int(uniform * len(editable))],))


def fill(opened: Sequence[Opened], uniform: FloatArray, places: int | None = None) -> Program[list[Text]]:
    """Write what is hidden in the order it is named, each token drawn from the model given all that stands.

    Parameters
    ----------
    uniform : ``[N, longest hole]``.
    places : how many of the hidden places to write; the rest keep the tokens they have. None: all.

    Cost: a request for each place of the longest hole.
    """
    rows = [np.array(one.text.tokens, np.int64) for one in opened]
    longest = max((len(one.hidden) for one in opened), default=0)
    for step in range(longest if places is None else min(places, longest)):
        live = [index for index, one in enumerate(opened) if len(one.hidden) > step]
        reply = yield from ask(
            FillMask(
                rows=tuple(rows[index].copy() for index in live),
                hidden=tuple(np.array(opened[index].hidden[step:], np.int64) for index in live),
                read=np.array([opened[index].hidden[step] for index in live], np.int64),
                uniform=uniform[live, step],
            )
        )
        for index, token in zip(live, reply.token[:, 0].tolist(), strict=True):
            rows[index][opened[index].hidden[step]] = token
    return [Text(tuple(row.tolist()), one.text.fixed) for row, one in zip(rows, opened, strict=True)]


def pseudo_logprob(texts: Sequence[Text]) -> Program[tuple[FloatArray, IntArray]]:
    """Summed log-probability of each token that may be changed given all others ``[N]``, and how many those are ``[N]``.

    Not the log of a probability of the text: it counts what each place owes to all others, and a repetition pays twice
    (Besag 1975; Salazar et al. 2020). Cost: one request; a row for each such place.
    """
    places = [(index, place) for index, text in enumerate(texts) for place in text.editable]
    total, count = np.zeros(len(texts)), np.zeros(len(texts), np.int64)
    if places:
        rows = [np.array(text.tokens, np.int64) for text in texts]
        reply = yield from ask(
            FillMask(
                rows=tuple(rows[index] for index, _ in places),
                hidden=tuple(np.array([place]) for _, place in places),
                read=np.array([place for _, place in places], np.int64),
                tokens=np.array([[texts[index].tokens[place]] for index, place in places], np.int64),
            )
        )
        owner = np.array([index for index, _ in places])
        np.add.at(total, owner, reply.logprob[:, 0])
        np.add.at(count, owner, 1)
    return total, count
