"""Which rows of a request are answered together. A function of the request alone: no cache, no clock, no other request.

Rows that share a long beginning lie in one batch, so that it is their stem; within that, batches are as large as they may
be. Rows stand in the order of their tokens, equal ones side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

Row = tuple[int, ...]

WORTH = 64  # tokens that must be saved before rows get a batch of their own


def batches(rows: Sequence[Sequence[int]], size: int, *, max_tokens: int = 0) -> list[list[int]]:
    """Indices of ``rows`` in batches of at most ``size``.

    Parameters
    ----------
    max_tokens : that each row will be continued by: one after another, in as many steps a batch.
    """
    row = [tuple(one) for one in rows]
    order = sorted(range(len(row)), key=lambda index: (row[index], index))
    result = []
    for cluster in _clusters([row[index] for index in order], 0, len(order), WORTH + 8 * max_tokens):
        members = [order[at] for at in cluster]
        result += [members[start : start + size] for start in range(0, len(members), size)]
    return result


def _clusters(rows: Sequence[Row], start: int, end: int, worth: int) -> list[list[int]]:
    """Places ``start .. end`` of sorted rows in clusters: those that gain from a stem of their own, and the others."""
    if end - start < 2:
        return [list(range(start, end))]
    common = [_shared(*pair) for pair in pairwise(rows[start:end])]
    least = min(common)
    cut = [start, *(start + at + 1 for at, length in enumerate(common) if length == least), end]
    own: list[list[int]] = []
    rest: list[int] = []
    for low, high in pairwise(cut):
        distinct = len(set(rows[low:high]))
        gain = (distinct - 1) * (_shared(rows[low], rows[high - 1]) - least)
        if gain >= worth and high - low < end - start:
            own += _clusters(rows, low, high, worth)
        else:
            rest += range(low, high)
    return [*([rest] if rest else []), *own]


def _shared(one: Row, other: Row) -> int:
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
