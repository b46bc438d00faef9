"""Unspaced text: does a model's left-to-right choice find the words?

At each character of a line whose spaces are gone, a space comes first or not: a segmentation is a path in a binary tree,
its probability that of the text so spaced, by a character-level model. Ways through the tree differ in how far they look
before they decide; the way that looks to the end of the line and keeps everything is the optimum.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from winnow.lookahead.unspaced import Alphabet, BoolArray, Line
from winnow.ports.program import Note, Program, ask
from winnow.ports.requests import NextToken
from winnow.values.logspace import FloatArray, IntArray
from winnow.values.tree import Tree

Lines = Sequence[Line]


class Segmented(NamedTuple):
    """Where spaces were put, a line each."""

    spaced: list[BoolArray]  # N arrays of [n]
    logprob: FloatArray  # [N], natural log, of the line so spaced; nan where the way does not learn it
    proven: BoolArray  # [N], whether no other segmentation can be more probable (with ``memory``: if it suffices)


def forward(lines: Lines, alphabet: Alphabet) -> Program[Segmented]:
    """One forward pass a character: a space where it is more probable than the character that stands there.

    Nothing is looked ahead at: what a space would make of the next character is not asked. Cost: a step a character, one
    node a line.
    """
    tree, nodes = Tree([alphabet.start] * len(lines)), np.arange(len(lines))
    spaced = [np.zeros(len(line.characters), bool) for line in lines]
    for place in range(1, max((len(line.characters) for line in lines), default=0)):
        live = np.array([i for i, line in enumerate(lines) if len(line.characters) > place])
        before = [alphabet.token[lines[i].characters[place - 1]] for i in live]
        tree, grown = tree.append(nodes[live], before, np.zeros(live.size))
        now = np.array([alphabet.token[lines[i].characters[place]] for i in live])
        step = yield from _after(tree, grown, now, alphabet)
        split = step[:, 0] > step[:, 1]
        tree, gaps = tree.append(grown[split], np.full(split.sum(), alphabet.space), step[split, 0])
        grown = grown.copy()
        grown[split] = gaps
        nodes[live] = grown
        for i in live[split]:
            spaced[i][place] = True
        yield Note(kind="words", info={"place": place, "way": "forward"})
    return Segmented(spaced, np.full(len(lines), np.nan), np.zeros(len(lines), bool))


class _Live(NamedTuple):
    """Partial segmentations, best first within each line, lines in order."""

    line: IntArray  # [H]
    node: IntArray  # [H], the last character
    score: FloatArray  # [H]
    spaced: BoolArray  # [H, longest]

    def take(self, which: IntArray | BoolArray) -> _Live:
        return _Live(self.line[which], self.node[which], self.score[which], self.spaced[which])


def segment(
    lines: Lines, alphabet: Alphabet, *, width: int, lag: int | None = None, memory: int | None = None
) -> Program[Segmented]:
    """Search for the most probable segmentation of each line, all lines in lockstep.

    Each step scores one character with and without a space before it, and keeps the ``width`` most probable partial
    segmentations of a line.

    Parameters
    ----------
    width : partial segmentations kept a line. 1 is greedy: a space where p(space) p(c | space) > p(c).
    lag : a space before a character is decided for good once this many characters from it on have been seen, as the
        best partial segmentation then has it; 1 is greedy at any width. None: at the end of the line.
    memory : partial segmentations that end in the same ``memory`` tokens are one, the most probable stays (dynamic
        programming). None: never.

    Guarantees: without ``lag``, the optimum over all 2 ** (n - 1) segmentations of a line of n characters where ``proven``:
    nothing dropped could still have become more probable than what was found. So at width 2 ** (n - 1); and, for a model
    that looks back at most ``memory`` tokens, at any width that holds one for each possible ending of that length. For
    other models merging is an approximation, and ``proven`` speaks of those not merged.
    Cost: two requests a character, of at most ``width`` nodes a line each; the second leaves out what cannot be kept.

    Raises
    ------
    ValueError
        When width, lag or memory is below one.
    """
    if width < 1 or (lag is not None and lag < 1) or (memory is not None and memory < 1):
        raise ValueError("width, lag and memory must be at least 1")
    longest = max((len(line.characters) for line in lines), default=0)
    tree, num = Tree([alphabet.start] * len(lines)), len(lines)
    spaced = [np.zeros(len(line.characters), bool) for line in lines]
    logprob, lost = np.zeros(num), np.full(num, -np.inf)
    first = np.array([alphabet.token[line.characters[0]] for line in lines], np.int64)
    step = yield from _after(tree, np.arange(num), first, alphabet)
    tree, nodes = tree.append(np.arange(num), first, step[:, 1])
    live = _Live(np.arange(num), nodes, step[:, 1], np.zeros((num, longest), bool))
    for place in range(1, longest + 1):
        ended = np.array([len(lines[i].characters) == place for i in live.line], bool)
        for i, index in zip(*np.unique(live.line[ended], return_index=True)):  # the first of a line is its best
            best = live.take(ended).take(np.array([index]))
            spaced[i], logprob[i] = best.spaced[0, :place], best.score[0]
        live = live.take(~ended)
        if not live.line.size:
            break
        now = np.array([alphabet.token[lines[i].characters[place]] for i in live.line])
        step = yield from _after(tree, live.node, now, alphabet)
        stay = live.score + step[:, 1]
        gap = live.score + step[:, 0]  # what follows can only take away from it
        worth = gap > _worst_kept(live.line, stay, width) if memory is None else np.isfinite(gap)
        np.maximum.at(lost, live.line[~worth], gap[~worth])
        tree, gaps = tree.append(live.node[worth], np.full(worth.sum(), alphabet.space), step[worth, 0])
        after = (yield from _after(tree, gaps, now[worth], alphabet))[:, 1] if worth.any() else np.zeros(0)
        marked = live.spaced[worth].copy()
        marked[:, place] = True
        grown = _Live(
            np.concatenate([live.line, live.line[worth]]),
            np.concatenate([live.node, gaps]),
            np.concatenate([stay, gap[worth] + after]),
            np.concatenate([live.spaced, marked]),
        )
        token, last = np.concatenate([now, now[worth]]), np.concatenate([step[:, 1], after])
        order = np.lexsort((np.arange(grown.line.size), -grown.score, grown.line))
        order = order[np.isfinite(grown.score[order]) | (_rank(grown.line[order]) == 0)]
        if memory is not None:
            order = order[_first_of(_ending(grown, order, place, memory))]
        if lag is not None and place - lag + 1 >= 1:
            order = order[_agrees(grown, order, place - lag + 1)]
        dropped = order[_rank(grown.line[order]) >= width]
        np.maximum.at(lost, grown.line[dropped], grown.score[dropped])
        order = order[_rank(grown.line[order]) < width]
        tree, nodes = tree.append(grown.node[order], token[order], last[order])
        live = grown.take(order)._replace(node=nodes)
        yield Note(kind="words", info={"place": place, "way": f"width {width}"})
    return Segmented(spaced, logprob, (logprob >= lost) & (lag is None))


def spelled(lines: Lines, alphabet: Alphabet) -> Program[FloatArray]:
    """``[N]`` log-probability of each line as it is spaced; one request."""
    tree, tips, rows = Tree([alphabet.start] * len(lines)), np.arange(len(lines)), []
    texts = [alphabet.encode(line.text) for line in lines]
    for place in range(max((len(text) for text in texts), default=0)):
        live = [i for i, text in enumerate(texts) if len(text) > place]
        rows += [(int(tips[i]), texts[i][place], i) for i in live]
        tree, tips[live] = tree.append(tips[live], [texts[i][place] for i in live], np.zeros(len(live)))
    needed = np.array(sorted({token for _, token, _ in rows}), np.int64)
    reply = yield from ask(NextToken(tree=tree, nodes=np.array([node for node, _, _ in rows]), tokens=needed))
    total = np.zeros(len(lines))
    column = np.searchsorted(needed, [token for _, token, _ in rows])
    np.add.at(total, [line for _, _, line in rows], reply.logprob[np.arange(len(rows)), column])
    yield Note(kind="words", info={"way": "as it is"})
    return total


def _after(tree: Tree, nodes: IntArray, now: IntArray, alphabet: Alphabet) -> Program[FloatArray]:
    """``[M, 2]`` log-probability of a space, and of each node's own next character."""
    needed = np.unique(np.append(now, alphabet.space))
    reply = yield from ask(NextToken(tree=tree, nodes=nodes, tokens=needed))
    space = int(np.searchsorted(needed, alphabet.space))
    return np.stack([reply.logprob[:, space], reply.logprob[np.arange(now.size), np.searchsorted(needed, now)]], axis=1)


def _rank(line: IntArray) -> IntArray:
    """Place of each within its line, lines standing together."""
    starts = np.flatnonzero(np.append(True, line[1:] != line[:-1])) if line.size else np.zeros(0, np.int64)
    return np.arange(line.size) - np.repeat(starts, np.diff(np.append(starts, line.size)))


def _worst_kept(line: IntArray, stay: FloatArray, width: int) -> FloatArray:
    """``[H]`` the score that a line's ``width``-th best partial segmentation has without another space."""
    order = np.lexsort((-stay, line))
    rank = _rank(line[order])
    bar = dict(zip(line[order][rank == width - 1].tolist(), stay[order][rank == width - 1].tolist(), strict=True))
    return np.array([bar.get(int(one), -np.inf) for one in line])


def _ending(grown: _Live, order: IntArray, place: int, memory: int) -> list[tuple[int, str]]:
    """The last ``memory`` tokens of each, as line and pattern: the characters are the same."""
    start = max(0, place + 1 - memory)
    return [
        (
            int(grown.line[one]),
            "".join(" c" if mark else "c" for mark in grown.spaced[one, start : place + 1])[-memory:],
        )
        for one in order
    ]


def _first_of(keys: Sequence[tuple[int, str]]) -> IntArray:
    seen: dict[tuple[int, str], int] = {}
    for index, key in enumerate(keys):
        seen.setdefault(key, index)
    return np.array(sorted(seen.values()), np.int64)


def _agrees(grown: _Live, order: IntArray, place: int) -> BoolArray:
    """Whether each decides ``place`` as the best of its line does; the best stands first."""
    line = grown.line[order]
    best = order[_rank(line) == 0]
    verdict = dict(zip(grown.line[best].tolist(), grown.spaced[best, place].tolist(), strict=True))
    return np.array([grown.spaced[one, place] == verdict[int(i)] for one, i in zip(order, line)], bool)
