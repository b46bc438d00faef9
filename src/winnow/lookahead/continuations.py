"""What is written after a choice: probabilities of openings and of endings after them, in one request.

Texts become tokens once, whole; each situation's openings and endings are one trie in a token tree, so a model encodes
every shared beginning once. Nothing here knows what the probabilities are for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, cast

import numpy as np

from winnow.lookahead.situations import Situation, shared
from winnow.ports.program import Program
from winnow.ports.requests import Codec, NextToken, NextTokens, Request
from winnow.values.errors import InputError
from winnow.values.logspace import FloatArray, IntArray
from winnow.values.tree import Tree

Tokens = tuple[int, ...]


class Written(NamedTuple):
    """Natural log-probabilities of one situation; openings in their order, then the neutral ones."""

    opening: FloatArray  # [O] of each opening as whole words after the context; nan at neutral ones
    ending: FloatArray  # [O, W] of each ending after each opening; endings in the order of the classes


class _Texts(NamedTuple):
    """One situation in tokens, after the longest beginning that all its texts share."""

    root: Tokens
    stem: list[Tokens]  # O, tokens that all texts with this opening share
    tail: list[list[Tokens]]  # [O, W], opening and ending
    open_word: list[bool]  # O, whether the opening's last word could still go on


def written(situations: Sequence[Situation], codec: Codec) -> Program[list[Written]]:
    """Ask for the log-probabilities of all openings and endings; one step, two requests.

    An opening counts as such when a space follows it (" a" is not the beginning of " and"), where endings begin with one.
    An ending's probability includes longer words that begin with it.

    Raises
    ------
    InputError
        Where two endings have the same tokens, or a text has none.
    """
    every = [_texts(situation, codec) for situation in situations]
    tree = Tree([one.root for one in every])
    nodes: dict[tuple[int, Tokens], int] = {(index, ()): index for index in range(len(every))}
    grown = {
        (index, tail[:end]) for index, one in enumerate(every) for row in one.tail for tail in row
        for end in range(1, len(tail))
    }  # fmt: skip
    for depth in range(1, max(len(tail) for _, tail in grown) + 1 if grown else 1):
        level = sorted(one for one in grown if len(one[1]) == depth)
        parents = [nodes[index, tail[:-1]] for index, tail in level]
        tree, born = tree.append(parents, [tail[-1] for _, tail in level], np.zeros(len(level)))
        nodes.update(zip(level, born.tolist(), strict=True))
    needed = np.array(sorted({token for one in every for row in one.tail for tail in row for token in tail}), np.int64)
    column = {int(token): place for place, token in enumerate(needed)}
    asked: list[Request[NextTokens]] = [NextToken(tree=tree, nodes=np.arange(len(tree)), tokens=needed)]
    stems = sorted(
        {nodes[i, one.stem[o]] for i, one in enumerate(every) for o in range(len(one.stem)) if one.open_word[o]}
    )
    if stems:
        asked.append(NextToken(tree=tree, nodes=np.array(stems), tokens=_begins_word(codec, every[0].root[-1])))
    replies = yield tuple(asked)
    assert replies is not None
    step = cast(NextTokens, replies[0]).logprob
    ends_word = (
        dict(zip(stems, np.logaddexp.reduce(cast(NextTokens, replies[1]).logprob, axis=1), strict=True))
        if stems
        else {}
    )

    def logprob(index: int, tail: Tokens, start: int) -> float:
        return float(sum(step[nodes[index, tail[:end]], column[tail[end]]] for end in range(start, len(tail))))

    result = []
    for index, (situation, one) in enumerate(zip(situations, every, strict=True)):
        opening = np.full(len(one.stem), np.nan)
        for o in range(len(situation.openings)):
            opening[o] = logprob(index, one.stem[o], 0) + float(ends_word.get(nodes[index, one.stem[o]], 0.0))
        ending = np.array([[logprob(index, tail, len(stem)) for tail in row] for stem, row in zip(one.stem, one.tail)])
        result.append(Written(opening, ending))
    return result


def _texts(situation: Situation, codec: Codec) -> _Texts:
    endings = [ending for ends in situation.classes for ending in ends]
    openings = [*situation.openings, *situation.neutral]
    rows = [[tuple(codec.encode(situation.context + o + e)) for e in endings] for o in openings]
    root = _common([tuple(codec.encode(situation.context)), *(row for many in rows for row in many)])
    tail = [[row[len(root) :] for row in many] for many in rows]
    for opening, many in zip(openings, tail):
        if len(set(many)) < len(many):
            raise InputError(
                f"two endings after {opening!r} have the same tokens for this model",
                where=situation.where,
                remedy="use endings that it knows",
            )
    stem = [_common(many) for many in tail]
    spaced = all(ending.startswith(" ") for ending in endings)
    open_word = [
        spaced and o < len(situation.openings) and not codec.decode([*root, *one]).endswith(" ")
        for o, one in enumerate(stem)
    ]
    return _Texts(root, stem, tail, open_word)


def _common(rows: Iterable[Tokens]) -> Tokens:
    every = list(rows)
    return every[0][: shared(every)]


def _begins_word(codec: Codec, anchor: int) -> IntArray:
    """Tokens whose text begins with a space where it follows the token ``anchor``."""
    alone = len(codec.decode([anchor]))
    found = [t for t in range(codec.vocabulary_size) if codec.decode([anchor, t])[alone : alone + 1] == " "]
    return np.array(found, np.int64)
