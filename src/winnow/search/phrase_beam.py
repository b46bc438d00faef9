"""Beam search for texts in which given phrases must appear (dynamic beam allocation: Post and Vilar 2018).

Hypotheses are kept in banks by how many of the phrases' tokens they have written; the width is shared out among the banks
that have candidates, so that those on their way to a phrase are not pruned by those that ignore it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from winnow.ports.program import Program
from winnow.ports.requests import NextToken
from winnow.search.found import Found
from winnow.search.hypotheses import Hypotheses, check_beam, closed, found, told
from winnow.values.errors import InputError
from winnow.values.logspace import IntArray
from winnow.values.tree import Tree

Candidate: TypeAlias = tuple[int, int]  # position among the live, token


class Room(NamedTuple):
    """What a step may keep."""

    phrases: Sequence[Sequence[int]]
    width: int
    ends: frozenset[int]
    left: int  # tokens that may follow


class Progress(NamedTuple):
    """How far a text has come with the phrases."""

    missing: tuple[int, ...]  # phrases that have not appeared
    begun: tuple[int, ...]  # for each of those, how many of its tokens the text ends with

    def written(self, phrases: Sequence[Sequence[int]]) -> int:
        """The bank: tokens of the phrases that appeared, and of the one most advanced."""
        all_ = sum(map(len, phrases)) - sum(len(phrases[one]) for one in self.missing)
        return all_ + max(self.begun, default=0)

    def needed(self, phrases: Sequence[Sequence[int]]) -> int:
        """Tokens that suffice to write all that is missing."""
        return sum(len(phrases[one]) for one in self.missing) - max(self.begun, default=0)


def progress(tokens: Sequence[int], phrases: Sequence[Sequence[int]]) -> Progress:
    """Which phrases a text lacks, and how far it has begun each.

    >>> progress([4, 1, 2], [[1, 2], [2, 3]])
    Progress(missing=(1,), begun=(1,))
    """
    text = list(tokens)
    missing = tuple(
        index
        for index, phrase in enumerate(phrases)
        if not any(text[at : at + len(phrase)] == list(phrase) for at in range(len(text) - len(phrase) + 1))
    )
    begun = tuple(
        max((n for n in range(1, len(phrases[one])) if text[-n:] == list(phrases[one][:n])), default=0)
        for one in missing
    )
    return Progress(missing, begun)


def phrase_beam(
    tree: Tree,
    node: int,
    *,
    phrases: Sequence[Sequence[int]],
    width: int,
    depth: int,
    end_tokens: Sequence[int] = (),
    length_exponent: float = 0.0,
    ending: str = "proven",
) -> Program[Found]:
    """The best continuations of ``node`` in which every phrase appears, by what ``beam`` calls the best.

    Parameters
    ----------
    phrases : token sequences, each to appear somewhere in what is written, in any order; they may overlap.
    width, depth, end_tokens, length_exponent, ending : as in ``winnow.search.beam``.

    Guarantees: every text that is returned holds every phrase; at full width, exact. Cost: two requests a step, of at most
    ``width`` nodes each: the most probable tokens, and the phrases' own.

    Raises
    ------
    ValueError
        When there is no phrase, one is empty, or as ``beam``.
    InputError
        When the phrases do not fit into ``depth``, or none that holds them all has a probability above zero.
    """
    check_beam(width, depth, ending)
    _check(phrases, depth)
    own = np.unique(np.concatenate([np.asarray(phrase, np.int64) for phrase in phrases]))
    ends = np.asarray(end_tokens, np.int64)
    live, done = Hypotheses.of(np.array([node]), np.zeros(1), 0), Hypotheses.none()
    texts: dict[int, tuple[int, ...]] = {node: ()}  # of the live ones
    for step in range(depth):
        candidates = yield from _candidates(tree, live.nodes, own, top=width * (1 + ends.size))
        room = Room(phrases, width, frozenset(ends.tolist()), left=depth - step - 1)
        kept, ended = _allocate(candidates, live, texts, room)
        chosen = [*ended, *kept]
        rows, tokens = np.array(chosen, np.int64).reshape(-1, 2).T
        gain = np.array([candidates[one] for one in chosen], np.float64)
        tree, born = tree.append(live.nodes[rows], tokens, gain)
        before = live.nodes[rows].tolist()
        texts = {
            child: (*texts[parent], token)
            for child, parent, token in zip(born.tolist(), before, tokens.tolist(), strict=True)
        }
        grown = Hypotheses.of(born, live.logprob[rows] + gain, step + 1)
        done = done.plus(grown.take(slice(len(ended)))).best(width, length_exponent)
        live = grown.take(slice(len(ended), None))
        whole = live.take([not progress(texts[int(one)], phrases).missing for one in live.nodes])
        so_far = found(tree, done.plus(whole).best(width, length_exponent), done, length_exponent)
        yield told("phrase_beam", step, so_far)
        last = step == depth - 1
        if not last and closed(done, live, width=width, depth=depth, exponent=length_exponent, ending=ending):
            so_far = found(tree, done, done, length_exponent)
            break
    if so_far.nodes.size == 0:
        raise InputError(
            f"no text of at most {depth} tokens holds all phrases", where="phrases", remedy="raise depth or width"
        )
    return so_far


def _check(phrases: Sequence[Sequence[int]], depth: int) -> None:
    if not phrases or not all(phrases):
        raise ValueError("give at least one phrase, none of them empty")
    size = sum(map(len, phrases))
    if size > depth:
        raise InputError(f"the phrases have {size} tokens, depth is {depth}", where="phrases", remedy="raise depth")


def _candidates(tree: Tree, nodes: IntArray, own: IntArray, *, top: int) -> Program[dict[Candidate, float]]:
    """The most probable tokens after each node, and the phrases' own: (row, token) to log-probability."""
    replies = yield NextToken(tree=tree, nodes=nodes, top=top), NextToken(tree=tree, nodes=nodes, tokens=own)
    assert replies is not None
    return {
        (row, token): logprob
        for reply in replies
        for row in range(nodes.size)
        for token, logprob in zip(reply.token[row].tolist(), reply.logprob[row].tolist(), strict=True)
        if np.isfinite(logprob)
    }


def _allocate(
    candidates: dict[Candidate, float], live: Hypotheses, texts: dict[int, tuple[int, ...]], room: Room
) -> tuple[list[Candidate], list[Candidate]]:
    """Candidates that live on, and those that end."""
    ranked = sorted(candidates, key=lambda one: (-(live.logprob[one[0]] + candidates[one]), one))
    banks: dict[int, list[Candidate]] = {}
    ended: list[Candidate] = []
    for row, token in ranked:
        state = progress((*texts[int(live.nodes[row])], token), room.phrases)
        if token in room.ends:
            if not state.missing and len(ended) < room.width:
                ended.append((row, token))
        elif state.needed(room.phrases) <= room.left:
            banks.setdefault(state.written(room.phrases), []).append((row, token))
    share = room.width // max(1, len(banks))
    kept = [one for bank in banks.values() for one in bank[:share]]
    rest = [one for one in ranked if any(one in bank[share:] for bank in banks.values())]
    kept += rest[: room.width - len(kept)]
    place = {one: at for at, one in enumerate(ranked)}
    return sorted(kept, key=place.__getitem__), ended
