"""What a search looked at, as a table of branches: the data behind ``--trace``, without a word on how it is drawn.

Nodes that say the same after the same are one branch; a run of branches without a fork is one too. A branch is kept
when it leads to something the search returned.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from winnow.search.evolve import Evolved
from winnow.search.found import Found
from winnow.search.problem import Problem
from winnow.search.result import Result
from winnow.values.tree import NO_PARENT, NO_TOKEN


class Branch(NamedTuple):
    """A piece of text and what came after it."""

    parent: int  # index in the table, -1 at the root; parents come first
    text: str
    logprob: float  # of this piece given all before it; NaN where not known
    total: float  # summed from the root
    times: float  # particles that wrote it, or visits
    kept: bool
    best: bool  # on the way to the preferred one


class Trace(NamedTuple):
    """A search's branches, the root first."""

    title: str
    prompt: str
    branches: tuple[Branch, ...]
    num_nodes: int  # before merging
    key: str = ""  # how to read it


def trace(result: Result, problem: Problem) -> Trace:
    """The trace of any result: tokens of a tree, texts by descent, or plain samples."""
    prompt = problem.query
    native = result.native
    if isinstance(native, Found):
        table = _compress(_tree(native, problem))
        key = (
            "Under each its probability given what is before it; × how often it was written or visited; ■ ends a text."
        )
        return Trace("search tree", prompt, tuple(table), len(native.tree), key)
    if isinstance(native, Evolved):
        key = "Each below the parent of most of it; the texts of those who died out are not kept, # is their number."
        return Trace("descent", prompt, tuple(_descent(native, problem)), len(np.unique(native.lineage.child)), key)
    samples = [
        Branch(0, text, float(logprob), float(logprob), 1.0, index == result.best, index == result.best)
        for index, (text, logprob) in enumerate(zip(result.texts, result.logprob, strict=True))
    ]
    return Trace("samples", prompt, (_root(), *samples), len(samples))


def _root() -> Branch:
    return Branch(-1, "", 0.0, 0.0, 1.0, True, True)


def _tree(found: Found, problem: Problem) -> list[Branch]:
    """Nodes that say the same after the same as one; parents first."""
    tree = found.tree
    kept, best = _above(found, found.nodes.tolist()), set[int]()
    if len(found.nodes):
        best = _above(found, [int(found.nodes[found.best])])
    place: dict[int, int] = {}
    known: dict[tuple[int, int], int] = {}
    table: list[Branch] = []
    for node in range(len(tree)):
        parent, token = int(tree.parent[node]), int(tree.token[node])
        times = float(found.visits[node]) if found.visits is not None else 1.0
        if parent == NO_PARENT:
            place[node] = len(table)
            table.append(_root())
            continue
        name = (place[parent], token)
        if name in known:
            at = known[name]
            old = table[at]
            table[at] = old._replace(
                times=old.times + times, kept=old.kept or node in kept, best=old.best or node in best
            )
        else:
            at = known[name] = len(table)
            logprob = float(tree.logprob[node])
            text = _piece(problem, token)
            total = table[place[parent]].total + logprob
            table.append(Branch(place[parent], text, logprob, total, times, node in kept, node in best))
        place[node] = at
    return table


def _piece(problem: Problem, token: int) -> str:
    """How one token reads: with the space before it, its end by a sign of its own."""
    if token == NO_TOKEN:
        return ""
    if token in problem.end_tokens:
        return "■"
    head = problem.codec.encode("a")
    lead, both = problem.codec.decode(head), problem.codec.decode([*head, token])
    return both[len(lead) :] if both.startswith(lead) else problem.codec.decode([token])


def _above(found: Found, nodes: list[int]) -> set[int]:
    return {step for node in nodes for step in found.tree.path(node)}


def _compress(table: list[Branch]) -> list[Branch]:
    """Runs without a fork become one branch; what is kept and what is not are never joined."""
    children: dict[int, list[int]] = {}
    for index, branch in enumerate(table):
        children.setdefault(branch.parent, []).append(index)
    result: list[Branch] = []
    stack = [(index, -1) for index in reversed(children.get(-1, []))]
    while stack:
        index, parent = stack.pop()
        branch = table[index]._replace(parent=parent)
        while len(children.get(index, [])) == 1 and parent >= 0:
            only = table[children[index][0]]
            if (only.kept, only.best, only.times) != (branch.kept, branch.best, branch.times):
                break
            index = children[index][0]
            branch = branch._replace(
                text=branch.text + only.text, logprob=branch.logprob + only.logprob, total=only.total
            )
        result.append(branch)
        here = len(result) - 1
        order = sorted(children.get(index, []), key=lambda one: (not table[one].kept, -table[one].logprob))
        stack += [(child, here) for child in reversed(order)]
    return result


def _descent(evolved: Evolved, problem: Problem) -> list[Branch]:
    """Everyone below the parent of the largest share; texts are known of those alive at the end."""
    assert problem.masked is not None
    parent_of: dict[int, tuple[float, int]] = {}
    lineage = evolved.lineage
    for child, parent, share in zip(
        lineage.child.tolist(), lineage.parent.tolist(), lineage.share.tolist(), strict=True
    ):
        parent_of[child] = max(parent_of.get(child, (0.0, -1)), (share, parent))
    alive = dict(zip(evolved.members.tolist(), evolved.texts, strict=True))
    everyone = sorted({*parent_of, *(one for _, one in parent_of.values()), *alive})
    kept = set(alive) | set(lineage.ancestors(list(alive)).tolist())
    best_number = int(evolved.members[evolved.best])
    best = {best_number, *lineage.ancestors([best_number]).tolist()}
    place = {number: at for at, number in enumerate(everyone, 1)}
    table = [_root()]
    for number in everyone:
        above = parent_of.get(number)
        parent = 0 if above is None else place[above[1]]
        text = problem.masked.codec.decode(alive[number].tokens) if number in alive else f"#{number}"
        nan = float("nan")
        table.append(Branch(parent, text, nan, nan, 1.0, number in kept, number in best))
    return table
