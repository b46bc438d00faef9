"""Reading runs back from a store: which there are, how they stand, what is in their ledgers. Writes nothing.

Arrays are imported where they are needed: a command that only shows a run does not wait for them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from winnow.runs.lock import Process
from winnow.runs.schema import accepted, individuals, lineage, locks, notes, replies, rounds, runs, sessions, steps
from winnow.runs.store import Store
from winnow.values.errors import InputError, nearest

if TYPE_CHECKING:
    from winnow.adaption.buffer import Answer


class RunRecord(NamedTuple):
    """A run as the store knows it."""

    id: str
    settings: dict[str, Any]
    source: dict[str, Any]
    status: str  # running, killed, done, limit, interrupted, failed
    message: str
    created: float  # seconds since 1970, UTC
    parent: str | None
    removed: list[dict[str, Any]] | None
    num_rounds: int
    num_requests: int
    holder: str | None  # who works on it now


class SessionRecord(NamedTuple):
    """One process's work on a run."""

    number: int
    provenance: dict[str, Any]
    started: float
    ended: float | None
    outcome: str | None
    asked: int
    replayed: int


def list_runs(store: Store) -> list[RunRecord]:
    """All runs, the newest last."""
    with store.read() as connection:
        rows = connection.execute(sa.select(runs).order_by(runs.c.created, runs.c.id)).mappings().all()
        return [_record(connection, row) for row in rows]


def find(store: Store, name: str) -> RunRecord:
    """The run of an id, of a beginning of one, or the newest one (``last``).

    Raises
    ------
    InputError
        When there is none, or several begin so.
    """
    with store.read() as connection:
        ids = list(connection.execute(sa.select(runs.c.id).order_by(runs.c.created, runs.c.id)).scalars())
        matches = ids[-1:] if name == "last" else [one for one in ids if name and one.startswith(name)]
        if len(matches) != 1:
            problem = f"{len(matches)} runs begin with {name!r}" if matches else f"there is no run {name!r}"
            known = nearest(name, ids[-8:]) if ids else "the store is empty"
            raise InputError(problem, where=store.name, remedy=", ".join(matches[:8]) or known)
        return _record(connection, connection.execute(sa.select(runs).where(runs.c.id == matches[0])).mappings().one())


def read_sessions(store: Store, run: str) -> list[SessionRecord]:
    """Who worked on a run, in order."""
    with store.read() as connection:
        rows = connection.execute(
            sa.select(sessions).where(sessions.c.run == run).order_by(sessions.c.number)
        ).mappings()
        return [
            SessionRecord(
                **{**{k: v for k, v in row.items() if k != "run"}, "provenance": json.loads(row["provenance"])}
            )
            for row in rows
        ]


def read_rounds(store: Store, run: str) -> list[dict[str, Any]]:
    """The records of a run's rounds, in order; ``winnow.adaption.ledger`` names the keys."""
    with store.read() as connection:
        rows = connection.execute(sa.select(rounds.c.record).where(rounds.c.run == run).order_by(rounds.c.number))
        return [json.loads(record) for record in rows.scalars()]


def read_individuals(store: Store, run: str) -> Iterator[dict[str, Any]]:
    """One record an answer, in order of birth.

    Keys: number, round, query, answer, score, parts, survival, accepted, logprob, finish, parents (numbers, in the order
    they stood), and for accepted ones evaluator and context (sha256 of what it was made in), else None.
    """
    joined = individuals.outerjoin(
        accepted, sa.and_(accepted.c.run == individuals.c.run, accepted.c.number == individuals.c.number)
    )
    columns = [column for column in individuals.c if column.name != "run"]
    asked = sa.select(*columns, accepted.c.evaluator, accepted.c.context).select_from(joined)
    with store.read() as connection:
        for row in connection.execute(asked.where(individuals.c.run == run).order_by(individuals.c.number)).mappings():
            query, answer = json.loads(row["item"])
            yield {
                "number": row["number"],
                "round": row["round"],
                "query": query,
                "answer": answer,
                "score": row["score"],
                "parts": json.loads(row["parts"]),
                "survival": row["survival"],
                "accepted": bool(row["accepted"]),
                "logprob": row["logprob"],
                "finish": row["finish"],
                "parents": json.loads(row["parents"]),
                "evaluator": row["evaluator"],
                "context": row["context"],
            }


def read_answers(store: Store, run: str) -> list[Answer]:
    """Everyone who lived, as the loop knew them."""
    from winnow.adaption.buffer import Answer
    from winnow.ports.requests import Item

    return [
        Answer(
            number=row["number"],
            round=row["round"],
            item=Item(row["query"], row["answer"]),
            score=row["score"],
            parts=row["parts"],
            survival=row["survival"],
            accepted=row["accepted"],
            parents=tuple(row["parents"]),
            logprob=row["logprob"],
            finish=row["finish"],
        )
        for row in read_individuals(store, run)
    ]


def read_lineage(store: Store, run: str) -> list[tuple[int, int, float]]:
    """Edges (child, parent, share), in order."""
    edges = sa.select(lineage.c.child, lineage.c.parent, lineage.c.share).where(lineage.c.run == run)
    with store.read() as connection:
        return [tuple(row) for row in connection.execute(edges.order_by(lineage.c.child, lineage.c.parent))]


def read_notes(store: Store, run: str) -> list[dict[str, Any]]:
    """All notes but the rounds', in order: kind and info."""
    with store.read() as connection:
        rows = connection.execute(
            sa.select(notes.c.kind, notes.c.info).where(notes.c.run == run).order_by(notes.c.number)
        )
        return [{"kind": kind, "info": json.loads(info)} for kind, info in rows]


def descendants(store: Store, run: str, item: int) -> list[int]:
    """Numbers of everyone that descends from an accepted item, over any number of rounds.

    Raises
    ------
    InputError
        When the run has no such answer, or it was not accepted.
    """
    import numpy as np

    from winnow.values.lineage import Lineage

    with store.read() as connection:
        row = connection.execute(
            sa.select(individuals.c.accepted).where(individuals.c.run == run, individuals.c.number == item)
        ).first()
    if row is None or not row.accepted:
        problem = f"run {run} has no answer {item}" if row is None else f"answer {item} of run {run} was not accepted"
        raise InputError(problem, where="item", remedy=f"winnow show {run} --items lists the accepted ones")
    edges = read_lineage(store, run)
    table = Lineage(
        child=np.array([edge[0] for edge in edges], np.int64),
        parent=np.array([edge[1] for edge in edges], np.int64),
        share=np.array([edge[2] for edge in edges], np.float64),
    )
    return [int(one) for one in table.descendants([item])]


def answered_cost(store: Store, run: str) -> tuple[int, int, int]:
    """Calls, prompt tokens and new tokens of every reply of a run."""
    joined = steps.join(replies, steps.c.key == replies.c.key)
    sums = [sa.func.coalesce(sa.func.sum(replies.c[name]), 0) for name in ("calls", "prompt_tokens", "new_tokens")]
    with store.read() as connection:
        calls, prompt, new = connection.execute(sa.select(*sums).select_from(joined).where(steps.c.run == run)).one()
        return int(calls), int(prompt), int(new)


def _record(connection: Connection, row: Any) -> RunRecord:
    run = row["id"]
    counts = [
        connection.execute(sa.select(sa.func.count()).select_from(table).where(table.c.run == run)).scalar_one()
        for table in (rounds, steps)
    ]
    lock = connection.execute(sa.select(locks).where(locks.c.run == run)).mappings().first()
    holder = None
    if lock is not None and Process(lock["pid"], lock["host"], lock["boot"], lock["born"]).lives(lock["heartbeat"]):
        holder = f"process {lock['pid']} on {lock['host']}"
    status = "killed" if row["status"] == "running" and holder is None else row["status"]
    return RunRecord(
        id=run,
        settings=json.loads(row["settings"]),
        source=json.loads(row["source"]),
        status=status,
        message=row["message"],
        created=row["created"],
        parent=row["parent"],
        removed=json.loads(row["removed"]) if row["removed"] else None,
        num_rounds=counts[0],
        num_requests=counts[1],
        holder=holder,
    )
