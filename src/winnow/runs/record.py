"""Writes the ledger: an observer that turns a run's notes into rows. A replayed run writes the same rows again.

Each note is one transaction, in the order the program gave them. Neither clock nor chance goes into a row. Since all rows
follow from the replies, no note waits for the disk: the next reply's write takes it along.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from winnow.adaption.buffer import Answer
from winnow.adaption.task import Task
from winnow.ports.program import Note
from winnow.ports.requests import Cost, Item
from winnow.runs.encoding import line
from winnow.runs.schema import accepted, individuals, lineage, notes, rounds
from winnow.runs.store import Store
from winnow.values.lineage import Lineage


class Recorder:
    """Keeps the ledger of ``run`` in a store.

    Parameters
    ----------
    evaluator : identity of who scored; it stands beside every accepted item.
    check : called inside every write with its connection.
    """

    def __init__(
        self,
        store: Store,
        run: str,
        task: Task,
        evaluator: str,
        *,
        check: Callable[[Connection], None] = lambda _: None,
    ) -> None:
        self.store, self.run, self.check = store, run, check
        self.ledger = Ledger(run, task, evaluator)
        self.num_notes = 0

    def on_note(self, note: Note) -> None:
        if not is_round(note):
            self._keep_note(note)
            return
        rows = self.ledger.rows(note)
        number, record = rows[rounds][0]["number"], rows[rounds][0]["record"]
        with self.store.read() as connection:
            if connection.execute(_where(rounds, self.run, number, rounds.c.record)).scalar() == record:
                return  # written before, and with it all that belongs to it
        with self.store.write(durable=False) as connection:
            self.check(connection)
            forget_rounds(connection, self.run, number)
            for table, mine in rows.items():
                if mine:
                    connection.execute(sa.insert(table), mine)

    def on_reply(self, done: int, asked: int, cost: Cost) -> None:
        """Replies are the journal's."""

    def finish(self) -> None:
        """The run is over: rows of rounds that it did not have this time are dropped."""
        with self.store.read() as connection:
            count = sa.select(sa.func.count()).select_from(rounds).where(rounds.c.run == self.run)
            if connection.execute(count).scalar_one() <= self.ledger.num_rounds:
                return
        with self.store.write() as connection:
            self.check(connection)
            forget_rounds(connection, self.run, self.ledger.num_rounds)

    def _keep_note(self, note: Note) -> None:
        number, self.num_notes = self.num_notes, self.num_notes + 1
        row = note_row(self.run, number, note)
        with self.store.read() as connection:
            found = connection.execute(_where(notes, self.run, number, notes)).mappings().first()
            if found is not None and dict(found) == row:
                return
        with self.store.write(durable=False) as connection:
            self.check(connection)
            connection.execute(sa.delete(notes).where(notes.c.run == self.run, notes.c.number == number))
            connection.execute(sa.insert(notes), row)


class Ledger:
    """Turns the notes of one run, given in their order, into rows."""

    def __init__(self, run: str, task: Task, evaluator: str) -> None:
        self.run, self.task, self.evaluator = run, task, evaluator
        self.num_rounds = self.num_answers = 0
        self._items: dict[int, Item] = {}

    def rows(self, note: Note) -> dict[sa.Table, list[dict[str, Any]]]:
        """The rows of a round, by table; parents of foreign keys first."""
        assert note.population is not None
        born: Sequence[Answer] = note.population.individuals
        number, self.num_rounds = self.num_rounds, self.num_rounds + 1
        self.num_answers += len(born)
        self._items |= {answer.number: answer.item for answer in born}
        edges = Lineage.equal_shares((answer.number, answer.parents) for answer in born)
        run = {"run": self.run}
        columns = zip(edges.child.tolist(), edges.parent.tolist(), edges.share.tolist(), strict=True)
        kept = [answer for answer in born if answer.accepted]
        return {
            rounds: [run | {"number": number, "record": text({**note.info, "cost": note.cost._asdict()})}],
            individuals: [run | individual_row(answer) for answer in born],
            lineage: [run | {"child": child, "parent": parent, "share": share} for child, parent, share in columns],
            accepted: [
                run | {"number": one.number, "evaluator": self.evaluator, "context": self._context(one)} for one in kept
            ],
        }

    def _context(self, answer: Answer) -> str:
        return context_hash(self.task, [self._items[parent] for parent in answer.parents])


def is_round(note: Note) -> bool:
    """Whether a note is the account of a round."""
    return note.kind == "round" and note.population is not None


def note_row(run: str, number: int, note: Note) -> dict[str, Any]:
    """A note as a row of ``notes``."""
    return {"run": run, "number": number, "kind": note.kind, "info": text({**note.info, "cost": note.cost._asdict()})}


def individual_row(answer: Answer) -> dict[str, Any]:
    """An answer as a row of ``individuals``."""
    return {
        "number": answer.number,
        "round": answer.round,
        "item": text(list(answer.item)),
        "score": answer.score,
        "parts": text(answer.parts),
        "survival": answer.survival,
        "accepted": answer.accepted,
        "logprob": answer.logprob,
        "finish": answer.finish,
        "parents": text(list(answer.parents)),
    }


def context_hash(task: Task, examples: Sequence[Item]) -> str:
    """sha256 of what an answer stood behind: the pair's template, the header, and the examples in their order, as JSON."""
    return hashlib.sha256(line([task.pair, task.header, [list(item) for item in examples]])).hexdigest()


def forget_rounds(connection: Connection, run: str, first: int) -> None:
    """Drop the rows of rounds from ``first`` on, if there are any; they are written anew."""
    late = sa.select(individuals.c.number).where(individuals.c.run == run, individuals.c.round >= first)
    connection.execute(sa.delete(lineage).where(lineage.c.run == run, lineage.c.child.in_(late)))
    connection.execute(sa.delete(accepted).where(accepted.c.run == run, accepted.c.number.in_(late)))
    connection.execute(sa.delete(individuals).where(individuals.c.run == run, individuals.c.round >= first))
    connection.execute(sa.delete(rounds).where(rounds.c.run == run, rounds.c.number >= first))


def text(value: Mapping[str, Any] | list[Any]) -> str:
    """JSON in one line, as a column holds it."""
    return line(value).decode("utf-8")


def _where(table: sa.Table, run: str, number: int, *columns: Any) -> sa.Select[Any]:
    return sa.select(*columns).where(table.c.run == run, table.c.number == number)
