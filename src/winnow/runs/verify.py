"""Checks a store: every hash, every key, and that every number in a ledger follows from the stored answers.

A run is replayed over what it recorded, without any model, and each row it would write is compared with the row that is
there. What was never answered is not checked: a run that stopped is checked as far as it came.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from winnow.adaption.loop import loop
from winnow.lookahead import looking
from winnow.ports import requests as port
from winnow.ports.chunks import in_chunks
from winnow.ports.program import Note, run
from winnow.ports.requests import Choose, Complete, Cost, Evaluate, FillMask, LogProb, NextToken, Request
from winnow.runs.encoding import decode_reply
from winnow.runs.journal import bodies, decode, entry
from winnow.runs.reading import RunRecord, list_runs
from winnow.runs.record import Ledger, is_round, note_row
from winnow.runs.schema import accepted, individuals, lineage, notes, replies, requests, rounds, steps
from winnow.runs.settings import Settings
from winnow.runs.store import Store
from winnow.values.errors import InputError, WinnowError

_BY_EVALUATOR = (Evaluate, Choose)


class Unanswered(Exception):
    """The recorded run did not come further than this."""


class Replayed:
    """A backend that answers one run's requests from the store, in their recorded order, and nothing else."""

    def __init__(self, store: Store, run: str, settings: Settings) -> None:
        self.store, self.run, self.settings = store, run, settings
        self.identity = f"what run {run} recorded"
        self.answers: frozenset[type[Request[Any]]] = frozenset(
            {Complete, Evaluate, LogProb, NextToken, Choose, FillMask}
        )
        self._next = 0
        with store.read() as connection:
            rows = connection.execute(sa.select(steps.c.number, steps.c.key).where(steps.c.run == run))
            self._recorded: dict[int, str] = {row.number: row.key for row in rows}

    def answer(self, requests: Sequence[Request[Any]]) -> Iterator[tuple[int, Any]]:
        first, self._next = self._next, self._next + len(requests)
        asked = []
        for number, request in enumerate(requests, first):
            by = self.settings.evaluator if isinstance(request, _BY_EVALUATOR) else self.settings.model
            one = entry(by, request, self.settings.repeat)
            recorded = self._recorded.get(number)
            if recorded is not None and recorded != one.key:
                raise InputError(f"request {number + 1} recomputes to {one.key[:16]}, recorded is {recorded[:16]}")
            asked.append(one)
        if any(number not in self._recorded for number in range(first, first + len(requests))):
            raise Unanswered
        with self.store.read() as connection:
            found = bodies(connection, {one.key for one in asked})
        for index, one in enumerate(asked):
            yield index, decode(found[one.key], one)


class Comparison:
    """An observer that compares the rows a run would write with those that are there.

    Whoever was killed between the last reply of a round and its account has not written it: at the end of a run that is not
    done, rows may be missing.
    """

    def __init__(self, store: Store, record: RunRecord, settings: Settings) -> None:
        self.store, self.run, self.problems = store, record.id, list[str]()
        self.whole = record.status == "done"
        self.ledger = Ledger(record.id, settings.task, settings.evaluator)
        self.num_notes = 0

    def on_note(self, note: Note) -> None:
        with self.store.read() as connection:
            if not is_round(note):
                number, self.num_notes = self.num_notes, self.num_notes + 1
                there = sa.select(notes).where(notes.c.run == self.run, notes.c.number == number)
                self._compare("notes", [note_row(self.run, number, note)], connection.execute(there).mappings().all())
                return
            for table, rows in self.ledger.rows(note).items():
                keys = [column for column in table.primary_key if column.name != "run"]
                there = sa.select(table).where(table.c.run == self.run).order_by(*keys)
                if table is rounds:
                    there = there.where(rounds.c.number == rows[0]["number"])
                else:
                    by = {individuals: individuals.c.number, lineage: lineage.c.child}.get(table, accepted.c.number)
                    born = sa.select(individuals.c.number).where(
                        individuals.c.run == self.run, individuals.c.round == self.ledger.num_rounds - 1
                    )
                    there = there.where(by.in_(born))
                rows = sorted(rows, key=lambda row, keys=keys: tuple(row[key.name] for key in keys))  # type: ignore[misc]
                self._compare(table.name, rows, connection.execute(there).mappings().all())

    def on_reply(self, done: int, asked: int, cost: Cost) -> None:
        """Nothing to compare."""

    def _compare(self, table: str, expected: Sequence[Any], found: Sequence[Any]) -> None:
        if not found and not self.whole:
            return
        if len(expected) != len(found):
            self.problems.append(f"run {self.run}: {table} has {len(found)} rows where {len(expected)} recompute")
            return
        for mine, there in zip(expected, found, strict=True):
            for column, value in mine.items():
                if value != there[column]:
                    place = ", ".join(f"{k} {mine[k]}" for k in ("number", "child", "parent") if k in mine)
                    self.problems.append(
                        f"run {self.run}: {table} {place}: {column} is {str(there[column])[:60]!r}, "
                        f"recomputed {str(value)[:60]!r}"
                    )
                    return


def verify(store: Store) -> tuple[dict[str, int], list[str]]:
    """Check everything. Returns how much of what was checked, and what is wrong, a line each."""
    problems = [*_integrity(store)]
    counts = {"requests": 0, "replies": 0, "runs": 0, "rounds": 0, "answers": 0}
    for name, found in (("requests", _check_requests(store)), ("replies", _check_replies(store))):
        for problem in found:
            counts[name] += 1
            if problem:
                problems.append(problem)
    for record in list_runs(store):
        counts["runs"] += 1
        comparison = replay(store, record)
        problems += comparison.problems
        counts["rounds"] += comparison.ledger.num_rounds
        counts["answers"] += comparison.ledger.num_answers
    return counts, problems


def replay(store: Store, record: RunRecord) -> Comparison:
    """Replay one run over what it recorded; the comparison holds what is wrong."""
    settings = Settings.from_json(record.settings)
    found = Comparison(store, record, settings)
    if settings.id != record.id:
        found.problems.append(f"run {record.id}: its settings hash to {settings.id}")
    program = loop(
        settings.task,
        seed=settings.seed,
        chat=settings.chat,
        audit=settings.audit,
        response=settings.response,
        removed=settings.removed,
    )
    rows = {kind: settings.rows[kind.__name__] for kind in (Complete, LogProb, Evaluate)}
    try:
        run(in_chunks(program, rows), Replayed(store, record.id, settings), observer=found)
    except Unanswered:
        pass
    except (WinnowError, KeyError) as error:
        found.problems.append(f"run {record.id}: {error}")
    if found.ledger.num_rounds < record.num_rounds:
        found.problems.append(
            f"run {record.id}: {record.num_rounds} rounds are stored, {found.ledger.num_rounds} recompute"
        )
    return found


def _check_requests(store: Store) -> Iterator[str]:
    """One line a request, empty where all is well."""
    with store.read() as connection:
        for key, kind, body in connection.execute(sa.select(requests.c.key, requests.c.type, requests.c.body)):
            if hashlib.sha256(body.encode()).hexdigest() != key:
                yield f"request {key[:16]}: its body hashes to something else"
            elif json.loads(body)["type"] != kind:
                yield f"request {key[:16]}: its type is {json.loads(body)['type']}, not {kind}"
            else:
                yield ""


def _check_replies(store: Store) -> Iterator[str]:
    """One line a reply, empty where all is well."""
    asked = sa.select(replies, requests.c.type).select_from(
        replies.outerjoin(requests, replies.c.key == requests.c.key)
    )
    with store.read() as connection:
        for row in connection.execute(asked).mappings():
            name = f"reply {row['key'][:16]}"
            if hashlib.sha256(row["body"].encode()).hexdigest() != row["hash"]:
                yield f"{name}: its body hashes to something else"
            elif row["type"] is None:
                yield f"{name}: answers no request"
            else:
                yield _check_reply(name, row)


def _check_reply(name: str, row: Any) -> str:
    kind = getattr(port, row["type"], None) or getattr(looking, row["type"], None)
    if kind is None:
        return f"{name}: nothing is known of requests of type {row['type']}"
    try:
        cost = decode_reply(json.loads(row["body"]), kind).cost
    except (KeyError, TypeError, ValueError) as error:
        return f"{name}: is no reply to {row['type']}: {error}"
    if tuple(cost) != (row["calls"], row["prompt_tokens"], row["new_tokens"]):
        return f"{name}: its cost is not the one beside it"
    return ""


def _integrity(store: Store) -> Iterator[str]:
    with store.read() as connection:
        if connection.dialect.name == "sqlite":
            said = [row[0] for row in connection.exec_driver_sql("PRAGMA integrity_check(20)")]
            yield from (line for line in said if line != "ok")
        for row in connection.execute(
            sa.select(steps.c.run, steps.c.number)
            .select_from(steps.outerjoin(replies, steps.c.key == replies.c.key))
            .where(replies.c.key.is_(None))
        ):
            yield f"run {row.run}: request {row.number + 1} has no reply"
        orphans = lineage.outerjoin(
            individuals, sa.and_(lineage.c.run == individuals.c.run, lineage.c.parent == individuals.c.number)
        )
        for row in connection.execute(
            sa.select(lineage.c.run, lineage.c.child).select_from(orphans).where(individuals.c.number.is_(None))
        ):
            yield f"run {row.run}: answer {row.child} descends from an answer that is not there"
