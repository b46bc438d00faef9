"""What programs ask alike at one moment, asked as one: around ``gather``, many small batches become one large one.

    run(merge_alike(gather(programs)), backend)

NextToken requests with the same reduction become one over one forest, in which equal texts are one node; FillMask, LogProb
and Evaluate requests are laid row under row. Complete stays as it is: its rows draw from the request's own key.

This file does not know what the programs are for, or why a large batch is cheaper.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Sequence
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np

from winnow.ports.program import Note, Program, Replies
from winnow.ports.requests import Cost, Evaluate, FillMask, LogProb, NextToken, Request
from winnow.values.logspace import IntArray
from winnow.values.tree import NO_PARENT, Tree

R = TypeVar("R")
_ROWS: dict[type[Any], tuple[str, ...]] = {
    NextToken: ("nodes", "uniform"),
    FillMask: ("rows", "hidden", "read", "tokens", "uniform"),
    LogProb: ("prompts", "continuations"),
    Evaluate: ("items",),
}


def merge_alike(program: Program[R]) -> Program[R]:
    """The same program, with requests of one step that ask alike merged into one and its reply taken apart again.

    Guarantees: the program's own result wherever a row's reply does not depend on the rows beside it. Costs of the parts
    add up to the whole: calls by rows, tokens shared out by rows. Cost in model calls: the program's own.
    """
    forest = _Forest()
    replies: Replies = None
    try:
        while True:
            step = program.send(replies)
            if isinstance(step, Note):
                yield step
                replies = None
                continue
            groups: dict[Hashable, list[int]] = {}
            for index, request in enumerate(step):
                groups.setdefault(_alike(request, index), []).append(index)
            received = yield tuple(_merged([step[index] for index in group], forest) for group in groups.values())
            assert received is not None
            parts: dict[int, Any] = {}
            for group, reply in zip(groups.values(), received, strict=True):
                parts |= dict(zip(group, _apart(reply, [step[index] for index in group]), strict=True))
            replies = tuple(parts[index] for index in range(len(step)))
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    finally:
        program.close()


def costed(program: Program[R]) -> Program[tuple[R, Cost]]:
    """The same program; it returns beside its result what its own requests cost, whoever else asked at the same time."""
    replies: Replies = None
    total = Cost()
    try:
        while True:
            replies = yield program.send(replies)
            for reply in replies or ():
                total = total.plus(reply.cost)
    except StopIteration as stop:
        return stop.value, total
    finally:
        program.close()


def _alike(request: Request[Any], index: int) -> Hashable:
    """Equal for requests that may be asked as one."""
    if isinstance(request, NextToken):
        tokens = None if request.tokens is None else tuple(request.tokens.tolist())
        return NextToken, request.top, tokens, request.uniform is not None
    if isinstance(request, FillMask):
        return FillMask, None if request.tokens is None else request.tokens.shape[1], request.uniform is not None
    return (type(request),) if type(request) in _ROWS else (type(request), index)


def _merged(requests: Sequence[Any], forest: _Forest) -> Request[Any]:
    if len(requests) == 1:
        return requests[0]  # type: ignore[no-any-return]
    values = {name: _joined([getattr(request, name) for request in requests]) for name in _ROWS[type(requests[0])]}
    if isinstance(requests[0], NextToken):
        values["nodes"] = forest.nodes_of(requests)
        values["tree"] = forest.tree
    merged: Request[Any] = dataclasses.replace(requests[0], **values)
    return merged


def _joined(columns: Sequence[Any]) -> Any:
    if columns[0] is None:
        return None
    if isinstance(columns[0], np.ndarray):
        return np.concatenate(columns)
    return tuple(row for column in columns for row in column)


def _apart(reply: Any, requests: Sequence[Request[Any]]) -> list[Any]:
    """The rows of a merged reply, request by request."""
    if len(requests) == 1:
        return [reply]
    ends = np.cumsum([0, *(len(getattr(request, _ROWS[type(request)][0])) for request in requests)])
    shares = [np.diff(total * ends // max(1, ends[-1])) for total in reply.cost]
    parts = []
    for at, (start, end) in enumerate(pairwise(ends.tolist())):
        values = {field.name: getattr(reply, field.name) for field in dataclasses.fields(reply)}
        rows = {name: value if value is None else value[start:end] for name, value in values.items() if name != "cost"}
        parts.append(dataclasses.replace(reply, **rows, cost=Cost(*(int(share[at]) for share in shares))))
    return parts


class _Forest:
    """One tree that holds the texts of many; it grows as they do, so that a model may keep what it computed of a node."""

    def __init__(self) -> None:
        self.tree = Tree([])
        self._roots: dict[tuple[int, ...], int] = {}
        self._known: dict[tuple[int, int], int] = {}  # (parent, token) to node

    def nodes_of(self, requests: Sequence[NextToken]) -> IntArray:
        """Where the requests' nodes stand here, one request after another."""
        prompts = dict.fromkeys(prompt for request in requests for prompt in request.tree.prompts)
        if not prompts.keys() <= self._roots.keys():  # roots come first, so a new one begins a new forest
            self._roots = {prompt: at for at, prompt in enumerate({**dict.fromkeys(self._roots), **prompts})}
            self._known, self.tree = {}, Tree(self._roots)
        new: list[tuple[int, int, float]] = []
        nodes = [node for request in requests for node in self._place(request, new)]
        while new:  # parents stand before their children, and must be there when those come
            size = len(self.tree)
            end = next((at for at, (parent, _, _) in enumerate(new) if parent >= size), len(new))
            self.tree, _ = self.tree.append(*zip(*new[:end], strict=True))
            new = new[end:]
        return np.array(nodes, np.int64)

    def _place(self, request: NextToken, new: list[tuple[int, int, float]]) -> list[int]:
        parent, token, logprob = request.tree.parent, request.tree.token, request.tree.logprob
        here: dict[int, int] = {}
        for node in request.nodes.tolist():
            path = [node]
            while path[-1] not in here and parent[path[-1]] != NO_PARENT:
                path.append(int(parent[path[-1]]))
            top = path.pop()
            at = here[top] if top in here else self._roots[request.tree.prompts[top]]
            here[top] = at
            for below in reversed(path):
                name = (at, int(token[below]))
                if name not in self._known:
                    self._known[name] = len(self.tree) + len(new)
                    new.append((*name, float(logprob[below])))
                at = here[below] = self._known[name]
        return [here[node] for node in request.nodes.tolist()]
