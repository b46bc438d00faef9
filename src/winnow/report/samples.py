"""A few answers of each round, to be read: kept and dropped, right and wrong, each with the context it was written in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from winnow.report.data import RunData


class Sample(NamedTuple):
    """An answer, and the answers that stood in its context, in their order."""

    answer: Mapping[str, Any]
    context: list[Mapping[str, Any]]


class Round(NamedTuple):
    """Samples of one round, and how many they were drawn from."""

    number: int
    accepted: list[Sample]
    rejected: list[Sample]
    num_accepted: int
    num_rejected: int


def samples(run: RunData, *, each: int = 3) -> list[Round]:
    """Up to ``each`` kept and dropped answers a round: the first born of each kind in turn, so that rare kinds are seen."""
    row_of = {row["number"]: row for row in run["answers"]}
    by_round: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
    for row in run["answers"]:
        by_round[row["round"]].append(row)
    rounds = []
    for number, rows in sorted(by_round.items()):
        sides = [[row for row in rows if row["accepted"] is side] for side in (True, False)]
        chosen = [
            [Sample(row, [row_of[p] for p in row["parents"] if p in row_of]) for row in in_turn(side, each)]
            for side in sides
        ]
        rounds.append(Round(number, chosen[0], chosen[1], len(sides[0]), len(sides[1])))
    return rounds


def in_turn(rows: Sequence[Mapping[str, Any]], most: int) -> list[Mapping[str, Any]]:
    """The first of each kind, then the second of each, up to ``most``, in order of birth."""
    kinds: dict[Any, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        kinds[row["kind"]].append(row)
    ranked = sorted((rank, row["number"]) for one in kinds.values() for rank, row in enumerate(one))
    wanted = {number for _, number in ranked[:most]}
    return [row for row in rows if row["number"] in wanted]
