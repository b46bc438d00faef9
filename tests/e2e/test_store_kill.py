"""Killed at random moments and gone on with, a run leaves the ledger it would have left, and asks nothing durable again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a forked process")


def test_twenty_kills_by_the_clock_and_twenty_by_the_statement(tmp_path: Path) -> None:
    from verification.kill import trials

    found = trials(tmp_path, kills=20, statements=20, seed=1)
    assert [tally.kills for tally in found] == [20, 20]
    for tally in found:
        assert (tally.ledgers_differ, tally.durable_asked, tally.problems) == (0, 0, 0)
        assert tally.asked_twice <= tally.kills


def test_killed_at_every_statement_of_making_a_store(tmp_path: Path) -> None:
    """Migrations are one transaction: whenever it dies, the next process finds nothing or everything."""
    import sqlalchemy as sa

    from verification.kill import die_at, in_child
    from winnow.runs.schema import LATEST
    from winnow.runs.store import Store

    statement, whole = 0, False
    while not whole:
        path = tmp_path / f"{statement}.db"

        def work(path: Path = path, statement: int = statement) -> None:
            die_at(statement)
            Store(path).close()

        whole = in_child(work) if statement < 200 else True
        with Store(path) as store, store.read() as connection:
            assert store.version(connection) == LATEST
            assert len(sa.inspect(connection).get_table_names()) == 12
        statement += 1
    assert statement > 20
