"""Who stands behind the final context: every ancestor with the share of the ancestry that passes through it.

Start at an example of the final context, drawn at random; step to one of the examples it was written with, by its share;
and so on back to an answer written from nothing. An ancestor's contribution is the probability that this walk meets it.
Where every context comes from the round before, contributions sum to one in each round that has ancestors.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from winnow.report.data import RunData
from winnow.values.lineage import Lineage
from winnow.values.population import effective_number
from winnow.values.random import Key, uniforms

WALKS = 60  # drawn
KINDS = ("right", "abstained", None, "wrong")  # from the bottom up
CELLS = 400  # drawn one by one in a round


class Ancestry(NamedTuple):
    """Rows for a drawing: a node an ancestor, an edge a step of a walk; ``num_edges`` counts all descents."""

    nodes: list[dict[str, Any]]
    edges: list[dict[str, Any]]
    num_edges: int
    columns: list[dict[str, Any]]  # a round: ancestors, effective number, share of the ancestry that is right


def contributions(answers: Sequence[Mapping[str, Any]], context: Sequence[int]) -> dict[int, float]:
    """Number of each ancestor (the final examples included) to its contribution in (0, 1]."""
    if not context:
        return {}
    lineage = Lineage.equal_shares((row["number"], row["parents"]) for row in answers)
    parents: dict[int, list[tuple[int, float]]] = defaultdict(list)
    for child, parent, share in zip(
        lineage.child.tolist(), lineage.parent.tolist(), lineage.share.tolist(), strict=True
    ):
        parents[child].append((parent, share))
    weight: dict[int, float] = defaultdict(float)
    for number in context:
        weight[number] += 1 / len(context)
    for number in range(max(context), -1, -1):  # a parent is older than its child
        if number in weight:
            for parent, share in parents[number]:
                weight[parent] += share * weight[number]
    return dict(weight)


def ancestry(run: RunData) -> Ancestry | None:
    """The drawing of a run's lineage: columns are rounds, a cell's height is its contribution; None without a context."""
    weight = contributions(run["answers"], run["context"])
    if not weight:
        return None
    row_of = {row["number"]: row for row in run["answers"]}
    by_round: dict[int, list[int]] = defaultdict(list)
    for number in weight:
        by_round[row_of[number]["round"]].append(number)
    nodes: list[dict[str, Any]] = []
    columns: list[dict[str, Any]] = []
    place: dict[int, float] = {}
    for round_ in sorted(by_round):
        heaviest = sorted(by_round[round_], key=lambda n: (-weight[n], n))
        bottom, held = 0.0, dict.fromkeys(KINDS, 0.0)
        for kind in KINDS:
            members = [n for n in heaviest if row_of[n]["kind"] == kind]
            drawn = set(heaviest[:CELLS])
            cells = [[n] for n in members if n in drawn]
            cells += [rest] if (rest := [n for n in members if n not in drawn]) else []
            for cell in cells:
                height = sum(weight[n] for n in cell)
                place |= dict.fromkeys(cell, bottom + height / 2)
                nodes.append(_node(cell, row_of, round_, bottom, height))
                bottom += height
                held[kind] += height
        columns.append(
            {
                "round": round_,
                "ancestors": len(heaviest),
                "effective": effective_number([weight[n] for n in heaviest]),
                "right": held["right"] / bottom if not held[None] else None,
            }
        )
    edges = [
        {
            "walk": walk,
            "child": child,
            "parent": parent,
            "from": row_of[parent]["round"],
            "to": row_of[child]["round"],
            "low": round(place[parent], 6),
            "high": round(place[child], 6),
        }
        for walk, path in enumerate(walks(row_of, run["context"]))
        for child, parent in pairwise(path)
    ]
    return Ancestry(nodes, edges, sum(len(set(row_of[number]["parents"])) for number in weight), columns)


def _node(
    cell: Sequence[int], row_of: Mapping[int, Mapping[str, Any]], round_: int, bottom: float, height: float
) -> dict[str, Any]:
    """A cell of the drawing: one ancestor, or all the light ones of a kind together."""
    row = row_of[cell[0]]
    alone = len(cell) == 1
    return {
        "number": cell[0] if alone else None,
        "round": round_,
        "low": round(bottom, 6),
        "high": round(bottom + height, 6),
        "contribution": round(height, 6),
        "kind": row["kind"] or "unknown",
        "query": row["query"] if alone else f"{len(cell)} ancestors of little weight",
        "answer": row["answer"] if alone else "",
        "score": row["score"] if alone else None,
    }


def walks(row_of: Mapping[int, Mapping[str, Any]], context: Sequence[int], *, number: int = WALKS) -> list[list[int]]:
    """Ways back from the final examples, taken in turn, to answers written from nothing; the same for the same run."""
    found = []
    for walk in range(number):
        path = [context[walk % len(context)]]
        while parents := row_of[path[-1]]["parents"]:
            draw = float(uniforms(Key(0).child("walk", walk), "parent", [len(path)], 1)[0, 0])
            path.append(parents[int(draw * len(parents))])
        found.append(path)
    return found
