"""A run is its journal: killed anywhere and run again, it ends as if nothing had happened and asks nothing twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tests.support.stores import with_run
from winnow.adaption.task import Task
from winnow.evaluators.verifier import Verifier
from winnow.models.tabular import Tabular
from winnow.ports.around import Around
from winnow.ports.program import Note, Program, ask, gather, run
from winnow.ports.requests import (
    Backend,
    Complete,
    Completions,
    Cost,
    Evaluate,
    Item,
    NextToken,
    Request,
    Router,
    Scores,
)
from winnow.runs.journal import Journal
from winnow.runs.record import Recorder
from winnow.runs.schema import replies, requests, steps
from winnow.runs.store import Store
from winnow.search.best_of_n import best_of_n
from winnow.values.errors import InputError, JournalMismatch, ModelError
from winnow.values.random import Key
from winnow.values.tree import Tree


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it."""


class Dying(Around):
    """A backend that counts what it answers, answers a step's requests backwards, and dies after so many replies."""

    def __init__(self, backend: Backend, life: int = 10**9) -> None:
        self.backend, self.life, self.num_answered = backend, life, 0

    def answer(self, requests: Sequence[Request[Any]]) -> Iterator[tuple[int, Any]]:
        replies = dict(self.backend.answer(requests))
        for index in reversed(range(len(requests))):
            if self.num_answered == self.life:
                raise Killed
            self.num_answered += 1
            yield index, replies[index]


MODEL = Tabular.random("ab", order=1, key=Key(8))


def backend(life: int = 10**9) -> Dying:
    check = Verifier("letters", lambda query, answer: answer.count("b") / max(1, len(answer)), identity="letters")
    return Dying(Router(MODEL, check), life)


def program(seed: int = 0) -> Program[str]:
    """Every kind of request, one after another and in lockstep; the result is all there is to know."""
    best = yield from gather(
        [best_of_n("a", query="?", num=num, key=Key(seed, (num,)), max_tokens=3) for num in (1, 2, 3)]
    )
    tree, node, seen = Tree([MODEL.codec.encode("a")]), np.array([0]), b""
    for _ in range(3):
        reply = yield from ask(NextToken(tree=tree, nodes=node, top=2))
        tree, node = tree.append(node, reply.token[:, 0], reply.logprob[:, 0])
        seen += reply.logprob.tobytes()
    last = yield from ask(Evaluate(items=(Item("last", best[0].text),)))
    return repr([one.text for one in best]) + seen.hex() + repr(last)


EXPECTED = run(program(), backend())
NUM_REPLIES = 3 + 3 + 3 + 1


def journalled(path: Path, life: int = 10**9, seed: int = 0, name: str = "run") -> tuple[str, Journal, Dying]:
    inner = backend(life)
    with Store(path) as store:
        journal = Journal(with_run(store, name), name, inner)
        return run(program(seed), journal), journal, inner


def rows(path: Path) -> list[list[Any]]:
    with Store(path) as store, store.read() as connection:
        return [
            list(connection.execute(sa.select(table).order_by(*table.primary_key)))
            for table in (requests, replies, steps)
        ]


def test_a_journalled_run_is_the_run(tmp_path: Path) -> None:
    result, journal, inner = journalled(tmp_path / "deeper" / "store.db")
    assert result == EXPECTED
    assert journal.num_asked == inner.num_answered == NUM_REPLIES


def test_a_finished_run_asks_and_writes_nothing_again(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    journalled(path)
    before = rows(path)
    result, journal, inner = journalled(path)
    assert result == EXPECTED
    assert (journal.num_replayed, inner.num_answered) == (NUM_REPLIES, 0)
    assert rows(path) == before


def test_another_run_that_asks_the_same_is_answered_from_the_store(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    journalled(path)
    result, journal, inner = journalled(path, name="other")
    assert result == EXPECTED
    assert (journal.num_replayed, inner.num_answered) == (NUM_REPLIES, 0)


@pytest.mark.parametrize("life", range(NUM_REPLIES))
def test_killed_at_every_reply_it_ends_the_same_and_asks_nothing_twice(tmp_path: Path, life: int) -> None:
    path = tmp_path / "store.db"
    with pytest.raises(Killed):
        journalled(path, life)
    result, journal, inner = journalled(path)
    assert result == EXPECTED
    assert (journal.num_replayed, inner.num_answered) == (life, NUM_REPLIES - life)


def test_killed_after_each_reply_again_and_again(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    for _ in range(NUM_REPLIES - 1):
        with pytest.raises(Killed):
            journalled(path, 1)
    result, _, inner = journalled(path)
    assert result == EXPECTED
    assert inner.num_answered == 1


# ---- what does not fit


def test_another_request_is_named_with_both_hashes_and_what_differs(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    journalled(path)
    before = rows(path)
    with pytest.raises(JournalMismatch, match=r"request 1 was [0-9a-f]{16}, now it is [0-9a-f]{16}: key"):
        journalled(path, seed=1)
    assert rows(path) == before


def test_another_model_is_noticed_at_its_first_request(tmp_path: Path) -> None:
    path, asked = tmp_path / "store.db", best_of_n("a", query="?", num=2, key=Key(0), max_tokens=3)
    with Store(path) as store:
        run(asked, Journal(with_run(store), "run", MODEL, backend()))
    other = Tabular.random("ab", order=1, key=Key(9))
    again = best_of_n("a", query="?", num=2, key=Key(0), max_tokens=3)
    with Store(path) as store, pytest.raises(JournalMismatch, match=r"backend was tabular@\w+, now tabular@\w+"):
        run(again, Journal(store, "run", other, backend()))


def test_a_step_that_asks_more_than_recorded_asks_nothing(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    asked = [Evaluate(items=(Item("?", letter),)) for letter in "abc"]
    with Store(path) as store:
        journal = Journal(with_run(store), "run", backend())
        list(journal.answer(asked[:1]))
        list(journal.answer(asked[2:]))
    inner = backend()
    with Store(path) as store, pytest.raises(JournalMismatch, match="request 2 was"):
        list(Journal(store, "run", inner).answer(asked))
    assert inner.num_answered == 0


def test_a_reply_that_is_not_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    journalled(path)
    with Store(path) as store, store.write() as connection:
        connection.execute(sa.update(replies).values(body=replies.c.body + " "))
    with pytest.raises(InputError, match=r"is not what was written \(winnow store verify\)"):
        journalled(path)


# ---- within a step


def test_equal_requests_are_one(tmp_path: Path) -> None:
    inner = backend()
    with Store(tmp_path / "store.db") as store:
        answered = dict(Journal(with_run(store), "run", inner).answer([Evaluate(items=(Item("?", "ab"),))] * 3))
    assert sorted(answered) == [0, 1, 2]
    assert inner.num_answered == 1


def test_two_processes_that_ask_the_same_at_once_see_the_reply_stored_first(tmp_path: Path) -> None:
    class Person:
        identity = "somebody"
        answers = frozenset({Evaluate})

        def __init__(self, score: float) -> None:
            self.score = score

        def answer(self, requests: Sequence[Request[Any]]) -> Iterator[tuple[int, Any]]:
            yield 0, Scores(score=np.array([self.score]), parts=({},), cost=Cost())

    asked = [Evaluate(items=(Item("?", "a"),))]
    with Store(tmp_path / "store.db") as store:
        slow = Journal(with_run(store, "slow"), "slow", Person(0.25)).answer(asked)
        journal = Journal(store, "slow", Person(0.25))
        known = journal._recall(0, [journal._entry(asked[0])])  # looked, and found nothing
        fast = Journal(with_run(store, "fast"), "fast", Person(0.75))
        assert not known
        assert [reply.score[0] for _, reply in fast.answer(asked)] == [0.75]
        stored = journal._record(
            journal._entry(asked[0]), [0], Scores(score=np.array([0.25]), parts=({},), cost=Cost())
        )
        assert stored.score[0] == 0.75
        slow.close()


def test_a_reply_is_durable_before_it_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with Store(path) as store, Store(path) as other:
        journal = Journal(with_run(store), "run", backend())
        for number, _ in enumerate(journal.answer([Evaluate(items=(Item("?", letter),)) for letter in "abc"]), 1):
            with other.read() as connection:
                assert connection.execute(sa.select(sa.func.count()).select_from(replies)).scalar() == number
        with store.read() as connection:
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


def test_only_what_a_replay_writes_again_does_not_wait_for_the_disk(tmp_path: Path) -> None:
    def how(connection: Connection) -> Any:
        return connection.exec_driver_sql("PRAGMA synchronous").scalar()

    full, normal = 2, 1
    with Store(tmp_path / "store.db") as store:
        for durable in (True, False, False, True):
            with store.write(durable=durable) as connection:
                assert how(connection) == (full if durable else normal)
        seen: list[int] = []
        journal = Journal(with_run(store), "run", backend(), check=lambda c: seen.append(how(c)))
        recorder = Recorder(store, "run", Task(queries=["q"]), "nobody", check=lambda c: seen.append(how(c)))
        recorder.on_note(Note(kind="response", info={"point": 1}))
        list(journal.answer([Evaluate(items=(Item("?", "a"),))]))
        assert seen == [normal, full]


def test_where_a_database_has_no_such_insert_the_first_reply_counts_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("winnow.runs.journal._NEW", {})
    test_two_processes_that_ask_the_same_at_once_see_the_reply_stored_first(tmp_path)
    assert journalled(tmp_path / "whole.db")[0] == EXPECTED


def test_a_reply_to_nothing_or_twice_is_not_recorded(tmp_path: Path) -> None:
    class Babbling:
        identity = "babbling"
        answers = frozenset({Evaluate})

        def __init__(self, *indices: int) -> None:
            self.indices = indices

        def answer(self, requests: Sequence[Request[Any]]) -> Iterator[tuple[int, Any]]:
            for index in self.indices:
                yield index, Scores(score=np.empty(0), parts=(), cost=Cost())

    for indices in ((0, 0), (1,), (-1,)):
        path = tmp_path / f"{indices}.db"
        with Store(path) as store, pytest.raises(ModelError, match="replied twice, or to what nobody asked"):
            list(Journal(with_run(store), "run", Babbling(*indices)).answer([Evaluate(items=())]))
        assert [len(table) for table in rows(path)] == [len(indices) - 1] * 3


def test_a_reply_of_the_wrong_kind_is_not_recorded(tmp_path: Path) -> None:
    class Confused:
        identity = "confused"
        answers = frozenset({Evaluate, Complete})

        def answer(self, requests: Sequence[Request[Any]]) -> Iterator[tuple[int, Any]]:
            nothing = np.empty(0)
            yield 0, Completions(text=(), logprob=nothing, num_tokens=nothing, finish=(), cost=Cost())

    path = tmp_path / "store.db"
    with Store(path) as store, pytest.raises(ModelError, match="Evaluate with Completions"):
        list(Journal(with_run(store), "run", Confused()).answer([Evaluate(items=())]))
    assert [len(table) for table in rows(path)] == [0] * 3
