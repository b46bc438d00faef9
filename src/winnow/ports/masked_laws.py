"""What every masked model must obey, as checks that anyone can run on their own; beside the laws of any backend.

for law in MASKED_LAWS.values():
    law(MaskedCase(make=lambda: MyMasked(), rows=([5, 6, 7], [8, 9, 5]), special=(0, 1)))
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from winnow.ports.laws import LawBroken
from winnow.ports.requests import Backend, FillMask, NextTokens, draw
from winnow.values.logspace import FloatArray, IntArray


class MaskedCase(NamedTuple):
    """A masked model under test, rows it can take, and tokens that are no part of a text."""

    make: Callable[[], Backend]
    rows: tuple[Sequence[int], ...]
    special: tuple[int, ...]
    tolerance: float = 1e-4


def sums_to_one(case: MaskedCase) -> None:
    """The probabilities at a hidden place sum to one, and special tokens have none."""
    for place in range(min(map(len, case.rows))):
        reply = _fill(case, place)
        total = np.exp(reply.logprob).sum(axis=1)
        _expect(bool(np.allclose(total, 1.0, atol=case.tolerance, rtol=0)), f"probabilities sum to {total.tolist()}")
        taken = np.exp(reply.logprob[:, list(case.special)])
        _expect(bool(np.all(taken == 0)), f"special tokens have probability {taken.max(initial=0.0)}")


def reductions_agree(case: MaskedCase) -> None:
    """``tokens`` and ``uniform`` give what the whole vocabulary, reduced here, gives."""
    full = _fill(case, 0)
    uniform = np.linspace(0.1, 0.9, len(case.rows))
    drawn = _fill(case, 0, uniform=uniform)
    _expect(
        bool(np.array_equal(drawn.token[:, 0], draw(full.logprob, uniform))), "uniform: not the inverse CDF's token"
    )
    given = np.array([[row[0], full.token[0, -1]] for row in case.rows])
    named = _fill(case, 0, tokens=given)
    own = np.take_along_axis(full.logprob, given, axis=1)
    _expect(bool(np.array_equal(named.token, given)), "tokens: others than those asked for")
    _expect(bool(np.allclose(named.logprob, own, atol=case.tolerance, rtol=0)), "tokens: not their log-probabilities")


def what_is_hidden_is_not_seen(case: MaskedCase) -> None:
    """The reply does not depend on the token that stands at a hidden place."""
    first = _fill(case, 0)
    others = tuple([case.rows[0][-1], *row[1:]] for row in case.rows)
    again = _fill(case._replace(rows=others), 0)
    same = np.allclose(np.exp(first.logprob), np.exp(again.logprob), atol=case.tolerance, rtol=0)
    _expect(bool(same), "the token under the mask changes what is said of it")


def batch_equals_single(case: MaskedCase) -> None:
    """A row's reply does not depend on the rows beside it."""
    together = _fill(case, 0)
    for index, row in enumerate(case.rows):
        alone = _fill(case._replace(rows=(row,)), 0)
        same = np.allclose(np.exp(together.logprob[index]), np.exp(alone.logprob[0]), atol=case.tolerance, rtol=0)
        _expect(bool(same), f"row {index} depends on its batch")


MASKED_LAWS: dict[str, Callable[[MaskedCase], None]] = {
    law.__name__: law for law in (sums_to_one, reductions_agree, what_is_hidden_is_not_seen, batch_equals_single)
}


def _fill(
    case: MaskedCase, place: int, *, uniform: FloatArray | None = None, tokens: IntArray | None = None
) -> NextTokens:
    num = len(case.rows)
    request = FillMask(
        rows=tuple(np.array(row, np.int64) for row in case.rows),
        hidden=(np.array([place], np.int64),) * num,
        read=np.full(num, place),
        uniform=uniform,
        tokens=tokens,
    )
    reply: NextTokens = dict(case.make().answer([request]))[0]
    return reply


def _expect(holds: bool, message: str) -> None:
    if not holds:
        raise LawBroken(message)
