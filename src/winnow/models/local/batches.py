"""Which rows of a request are answered together. A function of the request alone: no cache, no clock, no other request.

Rows that share a long beginning lie in one batch, so that it is their stem; within that, batches are as large as they may
be. Rows stand in the order of their tokens, equal ones side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from winnow.models.local.trie import shared_length

Row = tuple[int, ...]

WORTH = 64  # tokens that must be saved before rows get a batch of their own
WORTH_CUT = 32  # tokens that several batches begin with before they are fed as a piece of their own


class Batch(NamedTuple):
    """Rows that are answered together."""

    rows: list[int]
    cuts: tuple[int, ...] = ()  # where other batches' rows leave the way to this one's stem


def batches(rows: Sequence[Sequence[int]], size: int, *, max_tokens: int = 0) -> list[Batch]:
    """``rows`` in batches of at most ``size``.

    Parameters
    ----------
    max_tokens : that each row will be continued by: one after another, in as many steps a batch.
    """
    row: list[Row] = [tuple(one) for one in rows]
    order = sorted(range(len(row)), key=lambda index: (row[index], index))
    result = []
    for cluster, cuts in _clusters([row[index] for index in order], 0, len(order), WORTH + 8 * max_tokens, ()):
        members = [order[at] for at in cluster]
        result += [Batch(members[start : start + size], cuts) for start in range(0, len(members), size)]
    return result


def num_distinct(rows: Sequence[Sequence[int]]) -> int:
    """Tokens of a trie of rows: what several begin with counts once.

    >>> num_distinct([[1, 2, 3], [1, 2, 4], [1, 2, 3]])
    4
    """
    row = sorted({tuple(one) for one in rows})
    return sum(len(one) for one in row[:1]) + sum(len(b) - shared_length((a, b)) for a, b in pairwise(row))


def _clusters(
    rows: Sequence[Row], start: int, end: int, worth: int, cuts: tuple[int, ...]
) -> list[tuple[list[int], tuple[int, ...]]]:
    """Places ``start .. end`` of sorted rows in clusters: the rest, then those that gain from a stem of their own."""
    if end - start < 2:
        return [(list(range(start, end)), cuts)]
    common = [shared_length(pair) for pair in pairwise(rows[start:end])]
    least = min(common)
    border = [start, *(start + at + 1 for at, length in enumerate(common) if length == least), end]
    deeper = (*cuts, least) if least >= WORTH_CUT else cuts
    own: list[tuple[list[int], tuple[int, ...]]] = []
    rest: list[int] = []
    for low, high in pairwise(border):
        gain = (len(set(rows[low:high])) - 1) * (shared_length((rows[low], rows[high - 1])) - least)
        if gain >= worth and high - low < end - start:
            own += _clusters(rows, low, high, worth, deeper)
        else:
            rest += range(low, high)
    return [*([(rest, cuts)] if rest else []), *own]
