"""Kill a run at random moments, go on, and compare its ledger with that of the run that was left alone.

    python verification/kill.py --kills 200 [--statements 100] [--seed 0]

Kills are SIGKILL at wall times drawn evenly from the length of a run, store creation and migrations included, and besides
at SQL statements drawn evenly from all that a run executes, commits included. After each kill another process goes on with
the store. Shown, each time: the exported ledger is the same to the byte; nothing that was durable when a process began is
asked by it; what is asked twice is at most what was in flight at the kills, which is one request here; ``winnow store
verify`` finds nothing after any kill. Ends with 1 if anything differs.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import alembic.command  # noqa: F401  (imported here, so that every child does not)
import numpy as np
import sqlalchemy as sa

from winnow.adaption.task import Task
from winnow.api import adapt
from winnow.evaluators.verifier import Verifier
from winnow.models.tabular import Tabular
from winnow.ports.around import Around
from winnow.ports.requests import Backend, Request
from winnow.runs.export import as_jsonl
from winnow.runs.journal import entry
from winnow.runs.reading import find
from winnow.runs.schema import replies
from winnow.runs.store import Store
from winnow.runs.verify import verify
from winnow.values.errors import WinnowError
from winnow.values.random import Key

QUERIES = [a + b + c for a in "abcd" for b in "abcd" for c in "ab"]
ROWS = 12  # of a chunk


class Slow(Around):
    """A backend that takes its time, and notes every request it is asked in a file that outlives the process."""

    def __init__(self, backend: Backend, log: Path, seconds: float = 0.002) -> None:
        self.backend, self.log, self.seconds = backend, log, seconds
        self.rows_together = ROWS

    def __getattr__(self, name: str) -> Any:
        return getattr(self.backend, name)

    def answer(self, requests: Sequence[Request[Any]]) -> Iterator[tuple[int, Any]]:
        for index, request in enumerate(requests):
            with self.log.open("a") as file:
                file.write(entry(self.identity, request).key + "\n")
            time.sleep(self.seconds)
            for _, reply in self.backend.answer([request]):
                yield index, reply


def run_once(store: Path, log: Path, *, seconds: float = 0.002, **settings: Any) -> Any:
    """A run of six rounds on a tabular model that takes ``seconds`` a request, kept in ``store``."""
    model = Slow(Tabular.random("abcd=\n", order=2, key=Key(3)), log, seconds)
    check = Verifier("many a", lambda query, answer: answer.count("a") / max(1, len(answer)), identity="many a")
    task = Task(
        queries=QUERIES,
        pair="{query}={answer}\n",
        stop=("\n",),
        max_tokens=6,
        evaluator=Slow(check, log),
        examples=5,
        rounds=6,
        reuse=True,
        name="tabular",
    )
    return adapt(model, task, store=store, **settings)


def exported(store: Path) -> str:
    """The newest run's ledger."""
    with Store(store, create=False) as open_store:
        return as_jsonl(open_store, find(open_store, "last"))


def durable(store: Path) -> set[str]:
    """Keys of all stored replies; none where there is no whole store yet."""
    if not store.exists():
        return set()
    engine = sa.create_engine(f"sqlite:///{store}")
    try:
        with engine.connect() as connection:
            return set(connection.execute(sa.select(replies.c.key)).scalars())
    except sa.exc.OperationalError:  # killed before its first migration was whole
        return set()
    finally:
        engine.dispose()


def asked(log: Path) -> list[str]:
    """Keys of all requests that reached model or evaluator, in order."""
    return log.read_text().split() if log.exists() else []


def in_child(work: Callable[[], Any], *, kill_after: float | None = None) -> bool:
    """Run ``work`` in a process of its own, killed after so many seconds; whether it came to its end."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) != 0:
        raise AssertionError("the run failed")
    return os.WIFEXITED(status)


def die_at(statement: int) -> None:
    """Kill this process at its n-th SQL statement or commit, counted from 0."""
    count = [0]

    def step(*_: Any) -> None:
        if count[0] == statement:
            os.kill(os.getpid(), signal.SIGKILL)
        count[0] += 1

    sa.event.listen(sa.engine.Engine, "before_cursor_execute", step)
    sa.event.listen(sa.engine.Engine, "commit", step)


def count_statements(store: Path, log: Path) -> int:
    """How many statements and commits a whole run executes."""
    reader, writer = os.pipe()

    def work() -> None:
        count = [0]
        for name in ("before_cursor_execute", "commit"):
            sa.event.listen(sa.engine.Engine, name, lambda *_: count.__setitem__(0, count[0] + 1))
        run_once(store, log)
        os.write(writer, str(count[0]).encode())

    in_child(work)
    os.close(writer)
    number = int(os.read(reader, 64))
    os.close(reader)
    return number


class Tally(NamedTuple):
    """What a series of kills showed."""

    kind: str
    kills: int
    runs: int
    asked: int
    asked_twice: int
    durable_asked: int
    ledgers_differ: int
    problems: int

    @property
    def holds(self) -> bool:
        """Whether everything is as promised."""
        return self.asked_twice <= self.kills and not (self.durable_asked or self.ledgers_differ or self.problems)


def series(kind: str, kills: int, expected: str, place: Path, attempt: Callable[[Path, Path], bool]) -> Tally:
    """Kill runs until there were ``kills`` kills; a run goes on until it is whole. ``attempt`` says whether it ended."""
    done = runs = twice = again = differ = problems = total = 0
    while done < kills:
        runs += 1
        store, log = place / f"{kind}-{runs}.db", place / f"{kind}-{runs}.log"
        ended = False
        while not ended:
            before, seen = durable(store), len(asked(log))
            if done < kills:
                ended = attempt(store, log)
                done += not ended
            else:
                ended = in_child(lambda store=store, log=log: run_once(store, log))  # type: ignore[misc]
            if durable(store):
                with Store(store) as open_store:
                    problems += len(verify(open_store)[1])
            again += len(before & set(asked(log)[seen:]))
        keys = asked(log)
        total, twice = total + len(keys), twice + len(keys) - len(set(keys))
        differ += exported(store) != expected
    return Tally(kind, done, runs, total, twice, again, differ, problems)


def trials(place: Path, *, kills: int, statements: int, seed: int) -> list[Tally]:
    """Kills by the clock, then kills by the statement."""
    draw = np.random.default_rng(seed)
    began = time.monotonic()
    in_child(lambda: run_once(place / "whole.db", place / "whole.log"))
    length = time.monotonic() - began
    expected = exported(place / "whole.db")
    found = []
    if kills:

        def by_clock(store: Path, log: Path) -> bool:
            return in_child(lambda: run_once(store, log), kill_after=float(draw.uniform(0, length)))

        found.append(series("wall time", kills, expected, place, by_clock))
    if statements:
        number = count_statements(place / "counted.db", place / "counted.log")

        def by_statement(store: Path, log: Path) -> bool:
            at = int(draw.integers(number))

            def work() -> None:
                die_at(at)
                run_once(store, log)

            return in_child(work)

        found.append(series("statement", statements, expected, place, by_statement))
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one line a series; 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--kills", type=int, default=200, help="kills at random wall times")
    parser.add_argument(
        "--statements", type=int, default=None, help="kills at random SQL statements (default: kills / 2)"
    )
    parser.add_argument("--seed", type=int, default=0)
    said = parser.parse_args(arguments)
    statements = said.kills // 2 if said.statements is None else said.statements
    with tempfile.TemporaryDirectory(prefix="winnow-kill-") as place:
        found = trials(Path(place), kills=said.kills, statements=statements, seed=said.seed)
    heads = ("killed at", "kills", "runs", "asked", "asked twice", "durable asked", "ledgers differ", "problems")
    print("  ".join(f"{head:>14}" for head in heads))
    for tally in found:
        print("  ".join(f"{value:>14}" for value in tally))
    holds = all(tally.holds for tally in found)
    print("as promised" if holds else "NOT as promised")
    return 0 if holds else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except WinnowError as error:
        sys.exit(f"kill.py: {error}")
