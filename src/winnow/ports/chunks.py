"""Large requests in fixed chunks of rows: what a kill may lose, and where a limit may stop, is one chunk.

A program around a program. It splits what the inner one asks, and joins the replies before the inner one sees them. The
same request is always split into the same rows, so a chunk asked again after a restart is the same chunk, to the last bit.

This file does not know why rows are costly, or who answers them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np

from winnow.ports.program import Note, Program, Replies
from winnow.ports.requests import Backend, Complete, Cost, Evaluate, LogProb, Request

R = TypeVar("R")
_BY_ROW: dict[type[Any], tuple[str, ...]] = {
    Complete: ("prompts", "slots"),
    LogProb: ("prompts", "continuations"),
    Evaluate: ("items",),
}


@runtime_checkable
class Chunked(Protocol):
    """A backend that says how many rows it answers together: a batch on a local model, one where each is dear."""

    @property
    def rows_together(self) -> int: ...


def rows_together(backend: Backend, default: int = 0) -> int:
    """Rows of one chunk for a backend; 0, where nobody says, leaves requests whole."""
    return backend.rows_together if isinstance(backend, Chunked) else default


class Chunks(NamedTuple):
    """A request in parts: ``order`` holds the rows of all parts, one part after another."""

    requests: tuple[Request[Any], ...]
    order: tuple[int, ...] | None  # None: the request itself, unsplit


def split(request: Request[Any], rows: int) -> Chunks:
    """Parts of at most ``rows`` rows each; rows of like length lie together, equal ones side by side.

    A request of no more rows, or of a type that has none, stays as it is.
    """
    names = _BY_ROW.get(type(request), ())
    num = len(getattr(request, names[0])) if names else 0
    if rows < 1 or num <= rows:
        return Chunks((request,), None)
    first = getattr(request, names[0])
    text = [repr(row) for row in first]
    order = sorted(range(num), key=lambda i: (len(text[i]), text[i], i))
    parts = [order[start : start + rows] for start in range(0, num, rows)]
    return Chunks(tuple(_take(request, names, part) for part in parts), tuple(order))


def join(chunks: Chunks, replies: Sequence[Any]) -> Any:
    """The reply to the whole request from those to its parts; costs add up."""
    if chunks.order is None:
        return replies[0]
    place = np.argsort(np.array(chunks.order), kind="stable")
    values: dict[str, Any] = {}
    for field in dataclasses.fields(replies[0]):
        parts = [getattr(reply, field.name) for reply in replies]
        if isinstance(parts[0], Cost):
            values[field.name] = Cost(*(sum(column) for column in zip(*parts, strict=True)))
        elif isinstance(parts[0], np.ndarray):
            values[field.name] = np.concatenate(parts)[place]
        else:
            rows = [row for part in parts for row in part]
            values[field.name] = tuple(rows[i] for i in place)
    return type(replies[0])(**values)


def in_chunks(program: Program[R], rows: Mapping[type[Any], int]) -> Program[R]:
    """The same program with every Complete, LogProb and Evaluate asked in chunks of ``rows[type]`` rows.

    Guarantees: the same result as the program's own wherever a row's reply does not depend on the rows beside it, and the
    same bytes on every run. Cost in model calls: the program's own.
    """
    replies: Replies = None
    try:
        while True:
            step = program.send(replies)
            if isinstance(step, Note):
                yield step
                replies = None
                continue
            chunks = [split(request, rows.get(type(request), 0)) for request in step]
            received = yield tuple(part for one in chunks for part in one.requests)
            assert received is not None
            ends = np.cumsum([0, *(len(one.requests) for one in chunks)]).tolist()
            replies = tuple(
                join(one, received[start:end]) for one, start, end in zip(chunks, ends[:-1], ends[1:], strict=True)
            )
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    finally:
        program.close()


def _take(request: Request[Any], names: tuple[str, ...], part: Sequence[int]) -> Request[Any]:
    values = {}
    for name in names:
        column = getattr(request, name)
        values[name] = column[list(part)] if isinstance(column, np.ndarray) else tuple(column[i] for i in part)
    return dataclasses.replace(request, **values)  # type: ignore[type-var]


def num_rows(request: Request[Any]) -> int:
    """How many rows a request has; 1 for a type that has none."""
    names = _BY_ROW.get(type(request), ("nodes",))
    rows = getattr(request, names[0], None)
    return 1 if rows is None else len(rows)
