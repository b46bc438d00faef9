"""Monte Carlo tree search over tokens: the model proposes (PUCT's prior), a value decides what is looked at next.

Simulations walk from the root to a leaf by  Q(c) + exploration * P(c) * sqrt(N(parent)) / (1 + N(c)),  P the model's
probability among the children that are kept, Q the mean value seen below (the parent's where none was). Then the search
steps to the child visited most, keeps what it knows of the tree below it, and goes on until a text is done (Silver et
al. 2017; the discussion of source 003 asks for it with a value head and an is-done head).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from winnow.ports.program import Note, Program, ask
from winnow.ports.requests import NextToken
from winnow.search.found import Found
from winnow.search.valuing import Done, Value
from winnow.values.logspace import FloatArray, IntArray
from winnow.values.population import Population, effective_number
from winnow.values.tree import Tree


class Effort(NamedTuple):
    """How much is looked at, and how boldly."""

    simulations: int = 64  # for each token that is written
    batch: int = 8  # leaves evaluated together; those on the way count as visits of value 0
    width: int = 16  # most probable tokens that become children
    exploration: float = 1.5


DEFAULT_EFFORT = Effort()
SHOWN = 64  # finished texts that are returned at most


def mcts(
    tree: Tree,
    node: int,
    *,
    value: Value,
    depth: int,
    end_tokens: Sequence[int] = (),
    done: Done | None = None,
    effort: Effort = DEFAULT_EFFORT,
) -> Program[Found]:
    """The finished continuations of ``node`` that were looked at (the best 64), the one of highest value first.

    Parameters
    ----------
    value : a program giving values in [0, 1]; see ``winnow.search.valuing``. A finished text is valued once.
    depth : most tokens written.
    done : a program deciding which texts are finished though no end token was written; asked once of each text.
    effort : simulations, batch, width, exploration.

    Returns
    -------
    Found; ``rank`` is the value, ``population.log_weight`` the log of a text's visits, ``visits`` the visits of every
    node. Where nothing finished was seen, the text that the most visited children lead to.

    Guarantees: with enough simulations every text that the kept children can spell is visited, and the share of visits of
    the best text tends to one (Kocsis and Szepesvári 2006 for the rule without a prior). A value that is a rollout is noisy
    where it is unfinished and exact where it is finished. Until the first token stands, a note after every batch holds the
    best so far. Cost: for each batch one request to expand and what ``value`` and ``done`` ask.

    Raises
    ------
    ValueError
        For numbers out of range.
    """
    if min(effort.simulations, effort.batch, effort.width, depth) < 1 or not effort.exploration >= 0:
        raise ValueError(f"{effort} and depth {depth}: all must be at least 1, exploration from 0 up")
    state = _State(tree, node, depth, np.asarray(end_tokens, np.int64), effort)
    yield from _open(state, np.array([node]), value, done)
    for step in range(depth):
        yield from _simulate(state, value, done, effort.simulations)
        children = state.children[state.root]
        if not children:
            break
        state.root = max(children, key=lambda child: (state.visits[child], state.tree.logprob[child]))
        yield _note(state, step)
        if state.is_final(state.root):
            break
    return _found(state)


class _State:
    """The arrays of one search, by node of its tree."""

    def __init__(self, tree: Tree, node: int, depth: int, ends: IntArray, effort: Effort) -> None:
        self.tree, self.start, self.root, self.ends, self.effort = tree, node, node, ends, effort
        self.visits, self.total = [0.0] * len(tree), [0.0] * len(tree)
        self.children: dict[int, list[int]] = {}  # of expanded nodes; empty where nothing may follow
        self.level = {node: 0}
        self.depth = depth
        self.value: dict[int, float] = {}
        self.finished: set[int] = set()

    def is_final(self, node: int) -> bool:
        """Nothing is written after this one."""
        return node in self.finished or self.level[node] >= self.depth

    def select(self) -> list[int]:
        """From the root to a leaf: the last is not expanded yet, or nothing may follow it."""
        path = [self.root]
        while self.children.get(path[-1]):
            path.append(self._favourite(path[-1]))
        return path

    def walk(self) -> int:
        """Where the most visited children lead to."""
        node = self.root
        while seen := [child for child in self.children.get(node, []) if self.visits[child]]:
            node = max(seen, key=lambda child: (self.visits[child], self.tree.logprob[child]))
        return node

    def _favourite(self, parent: int) -> int:
        children = self.children[parent]
        prior = np.exp(self.tree.logprob[children])
        prior = prior / prior.sum()
        visits = np.array([self.visits[child] for child in children])
        total = np.array([self.total[child] for child in children])
        first = self.total[parent] / max(1.0, self.visits[parent])
        mean = np.where(visits > 0, total / np.maximum(visits, 1.0), first)
        bonus = self.effort.exploration * prior * np.sqrt(self.visits[parent]) / (1 + visits)
        return children[int(np.argmax(mean + bonus))]

    def add(self, parent: int, token: IntArray, logprob: FloatArray) -> None:
        """Children of a node that is being expanded."""
        possible = np.isfinite(logprob)
        self.tree, born = self.tree.append(np.full(int(possible.sum()), parent), token[possible], logprob[possible])
        self.children[parent] = born.tolist()
        self.visits += [0.0] * born.size
        self.total += [0.0] * born.size
        self.level |= dict.fromkeys(born.tolist(), self.level[parent] + 1)
        self.finished.update(born[np.isin(token[possible], self.ends)].tolist())


def _simulate(state: _State, value: Value, done: Done | None, simulations: int) -> Program[None]:
    left = simulations
    while left > 0:
        paths = []
        for _ in range(min(state.effort.batch, left)):
            path = state.select()
            for node in path:
                state.visits[node] += 1  # of value 0 until the leaf's is known: the next one looks elsewhere
            paths.append(path)
        left -= len(paths)
        new = [leaf for leaf in dict.fromkeys(path[-1] for path in paths) if leaf not in state.value]
        if new:
            yield from _open(state, np.array(new), value, done)
        for path in paths:
            for node in path:
                state.total[node] += state.value[path[-1]]
        if state.root == state.start:  # later there is the last token's note
            yield Note(kind="mcts batch", info={"found": _found(state)})


def _open(state: _State, new: IntArray, value: Value, done: Done | None) -> Program[None]:
    """Value leaves that are seen for the first time, and give children to those that can be continued."""
    if done is not None:
        asked = [int(node) for node in new if int(node) not in state.finished and node != state.start]
        if asked:
            verdict = yield from done(state.tree, np.array(asked))
            state.finished.update(node for node, yes in zip(asked, verdict.tolist(), strict=True) if yes)
    valued = new[new != state.start]  # an empty text has no value
    if valued.size:
        values = yield from value(state.tree, valued)
        state.value |= dict(zip(valued.tolist(), values.tolist(), strict=True))
    grow = np.array([node for node in new.tolist() if not state.is_final(node)], np.int64)
    if grow.size:
        reply = yield from ask(NextToken(tree=state.tree, nodes=grow, top=state.effort.width))
        for row, parent in enumerate(grow.tolist()):
            state.add(parent, reply.token[row], reply.logprob[row])


def _found(state: _State) -> Found:
    final = [node for node in state.value if state.is_final(node)] or [state.walk()]
    order = sorted(final, key=lambda node: (-state.value.get(node, 0.0), -state.visits[node], node))[:SHOWN]
    nodes = np.array(order, np.int64)
    visits = np.array([max(1.0, state.visits[node]) for node in order])
    below = state.tree.path_logprob(nodes) - float(state.tree.path_logprob(state.start)[0])
    return Found(
        tree=state.tree,
        nodes=nodes,
        logprob=np.asarray(below, np.float64),
        finished=np.array([node in state.finished for node in order]),
        population=Population(individuals=tuple(order), log_weight=np.log(visits)),
        rank=np.array([state.value.get(node, 0.0) for node in order]),
        visits=np.array(state.visits),
    )


def _note(state: _State, step: int) -> Note:
    found = _found(state)
    siblings = state.children[int(state.tree.parent[state.root])]
    return Note(
        kind="mcts",
        info={
            "step": step,
            "best": float(found.logprob[found.best]),
            "value": float(found.rank[found.best]) if found.rank is not None else 0.0,
            "effective_number": effective_number([state.visits[child] for child in siblings]),
            "share": state.visits[state.root] / max(1.0, sum(state.visits[child] for child in siblings)),
            "found": found,
        },
        population=found.population,
    )
