"""What is written after a choice: probabilities of openings, and of endings after each of them.

Texts become tokens whole; openings and endings are tries in a token tree, so a model encodes every shared beginning once.
Endings are listed texts, or all words that begin with a letter. Nothing here knows what the probabilities are for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, cast

import numpy as np

from winnow.lookahead.situations import Situation, shared
from winnow.lookahead.texts import unwritable
from winnow.ports.program import Program
from winnow.ports.requests import Codec, NextToken, NextTokens, Request
from winnow.values.errors import InputError
from winnow.values.logspace import FloatArray, IntArray
from winnow.values.tree import Tree

Tokens = tuple[int, ...]
BLOCK = 16  # situations with initials that are asked together: each takes whole distributions


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
    """Ask for the log-probabilities of all openings and endings.

    An opening counts as such when a space follows it (" a" is not the beginning of " and"), where endings begin with one.
    A listed ending's probability includes longer words that begin with it; where endings are initials, it is that of every
    next word that begins with the letter, small or capital. Cost: one step for listed endings, one or two for every
    ``BLOCK`` situations with initials.

    Raises
    ------
    InputError
        Where two endings have the same tokens, or a text has none.
    """
    result: dict[int, Written] = {}
    mine = [index for index, one in enumerate(situations) if not one.initials]
    if mine:
        result.update(zip(mine, (yield from _listed([situations[index] for index in mine], codec))))
    mine = [index for index, one in enumerate(situations) if one.initials]
    if mine:
        vocabulary = _Vocabulary(codec, codec.encode(situations[mine[0]].context)[-1])
        for start in range(0, len(mine), BLOCK):
            block = mine[start : start + BLOCK]
            found = yield from _initials([situations[index] for index in block], codec, vocabulary)
            result.update(zip(block, found))
    return [result[index] for index in range(len(situations))]


def check_writable(situations: Sequence[Situation], codec: Codec) -> None:
    """Refuse situations with something that a model's tokenizer has no token for.

    Raises
    ------
    InputError
        Naming the situation and the character.
    """
    for one in situations:
        endings = () if one.initials else (ending for ends in one.classes for ending in ends)
        for text in (one.context, *one.openings, *one.neutral, *endings):
            if (character := unwritable(text, codec)) is not None:
                raise InputError(
                    f"this model's tokenizer has no token for {character!r} in {text!r}",
                    where=one.where,
                    remedy="replace it by what the model knows",
                )


class _Trie:
    """Token rows under roots as one tree: which node stands for which beginning."""

    def __init__(self, roots: Sequence[Tokens], rows: Iterable[tuple[int, Tokens]]) -> None:
        self.tree = Tree(roots)
        self.nodes: dict[tuple[int, Tokens], int] = {(index, ()): index for index in range(len(roots))}
        grown = {(index, row[:end]) for index, row in rows for end in range(1, len(row) + 1)}
        for depth in range(1, max((len(row) for _, row in grown), default=0) + 1):
            level = sorted(one for one in grown if len(one[1]) == depth)
            parents = [self.nodes[index, row[:-1]] for index, row in level]
            self.tree, born = self.tree.append(parents, [row[-1] for _, row in level], np.zeros(len(level)))
            self.nodes.update(zip(level, born.tolist()))

    def all_steps(self, tokens: Iterable[int]) -> NextToken:
        """A request for these tokens after every node."""
        self.needed = np.array(sorted(set(tokens)), np.int64)
        self.column = {int(token): place for place, token in enumerate(self.needed)}
        return NextToken(tree=self.tree, nodes=np.arange(len(self.tree)), tokens=self.needed)

    def logprob(self, step: FloatArray, index: int, row: Tokens, start: int = 0) -> float:
        """Of a row's tokens from place ``start`` on, by what ``all_steps`` was answered."""
        return float(sum(step[self.nodes[index, row[:end]], self.column[row[end]]] for end in range(start, len(row))))


def _listed(situations: Sequence[Situation], codec: Codec) -> Program[list[Written]]:
    every = [_texts(situation, codec) for situation in situations]
    rows = [(index, tail) for index, one in enumerate(every) for row in one.tail for tail in row]
    trie = _Trie([one.root for one in every], ((index, tail[:-1]) for index, tail in rows))
    asked: list[Request[NextTokens]] = [trie.all_steps(token for _, tail in rows for token in tail)]
    stems = sorted(
        {
            trie.nodes[i, stem]
            for i, one in enumerate(every)
            for stem, goes_on in zip(one.stem, one.open_word)
            if goes_on
        }
    )
    if stems:
        begins = _Vocabulary(codec, every[0].root[-1]).begins_word
        asked.append(NextToken(tree=trie.tree, nodes=np.array(stems), tokens=begins))
    replies = yield tuple(asked)
    assert replies is not None
    step = cast(NextTokens, replies[0]).logprob
    ends_word = dict(zip(stems, np.logaddexp.reduce(cast(NextTokens, replies[1]).logprob, axis=1))) if stems else {}
    result = []
    for index, (situation, one) in enumerate(zip(situations, every, strict=True)):
        opening = np.full(len(one.stem), np.nan)
        for o in range(len(situation.openings)):
            ending_word = float(ends_word.get(trie.nodes[index, one.stem[o]], 0.0)) if one.open_word[o] else 0.0
            opening[o] = trie.logprob(step, index, one.stem[o]) + ending_word
        tails = [[trie.logprob(step, index, tail, len(stem)) for tail in row] for stem, row in zip(one.stem, one.tail)]
        result.append(Written(opening, np.array(tails)))
    return result


def _initials(situations: Sequence[Situation], codec: Codec, vocabulary: _Vocabulary) -> Program[list[Written]]:
    rows = [[tuple(codec.encode(one.context + o)) for o in (*one.openings, *one.neutral)] for one in situations]
    roots = [_common([tuple(codec.encode(one.context)), *many]) for one, many in zip(situations, rows)]
    tails = [[row[len(root) :] for row in many] for root, many in zip(roots, rows)]
    flat = [(index, tail) for index, many in enumerate(tails) for tail in many]
    spaces = vocabulary.space
    trie = _Trie(roots, [(index, (*tail, space)) for index, tail in flat for space in spaces] or flat)
    stems = np.array([trie.nodes[one] for one in flat])
    steps = trie.all_steps(token for _, tail in flat for token in tail)
    asked: list[Request[NextTokens]] = [steps, NextToken(tree=trie.tree, nodes=stems, tokens=vocabulary.begins_word)]
    after = [np.array([trie.nodes[index, (*tail, space)] for index, tail in flat]) for space in spaces]
    asked += [NextToken(tree=trie.tree, nodes=nodes, tokens=vocabulary.begins_letter) for nodes in after]
    replies = yield tuple(asked)
    assert replies is not None
    step, first, *second = (cast(NextTokens, reply).logprob for reply in replies)
    letters = vocabulary.by_initial(first, vocabulary.begins_word)  # {letter: [M]}, log
    for space, more in zip(spaces, second):
        lead = first[:, int(np.flatnonzero(vocabulary.begins_word == space)[0])]
        for letter, value in vocabulary.by_initial(more, vocabulary.begins_letter).items():
            letters[letter] = np.logaddexp(letters.get(letter, np.full(lead.size, -np.inf)), lead + value)
    word = np.logaddexp.reduce(first, axis=1)  # [M], that a space follows
    result, place = [], 0
    for index, (situation, many) in enumerate(zip(situations, tails)):
        here = slice(place, place + len(many))
        place += len(many)
        opening = np.full(len(many), np.nan)
        for o in range(len(situation.openings)):
            opening[o] = trie.logprob(step, index, many[o]) + word[here][o]
        ending = [letters.get(e, np.full(len(flat), -np.inf))[here] for ends in situation.classes for e in ends]
        result.append(Written(opening, np.stack(ending, axis=1) - word[here][:, None]))
    return result


class _Vocabulary:
    """What a model's tokens say after a token that ends in a letter."""

    def __init__(self, codec: Codec, anchor: int) -> None:
        alone = len(codec.decode([anchor]))
        self.text = [codec.decode([anchor, token])[alone:] for token in range(codec.vocabulary_size)]
        self.begins_word = self._those(lambda text: text[:1] == " ")  # tokens that begin with a space
        self.begins_letter = self._those(lambda text: text[:1].isalpha())
        self.space = [token for token in self.begins_word.tolist() if self.text[token] == " "]

    def _those(self, wanted: Callable[[str], bool]) -> IntArray:
        return np.array([token for token, text in enumerate(self.text) if wanted(text)], np.int64)

    def by_initial(self, logprob: FloatArray, tokens: IntArray) -> dict[str, FloatArray]:
        """Log-probabilities ``[M, K]`` of tokens added up by the first letter of their words: ``[M]`` a letter."""
        initial = np.array([self.text[token].removeprefix(" ")[:1].lower() for token in tokens.tolist()])
        return {
            str(letter): np.logaddexp.reduce(logprob[:, initial == letter], axis=1)
            for letter in np.unique(initial)
            if str(letter).isalpha()
        }


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
