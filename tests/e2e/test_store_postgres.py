"""The same store on PostgreSQL: a server of its own on a socket in a temporary directory, run by a user without rights."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from verification.kill import asked, die_at, exported, in_child, run_once
from winnow.ports.program import Limits
from winnow.ports.requests import Complete, Cost, Scores
from winnow.runs.export import as_jsonl
from winnow.runs.reading import find, list_runs
from winnow.runs.schema import LATEST
from winnow.runs.store import Store
from winnow.runs.verify import verify
from winnow.values.errors import InputError


def _binaries() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).parent if on_path else None


BINARIES = _binaries()
pytestmark = pytest.mark.skipif(BINARIES is None, reason="no PostgreSQL server binaries on this machine")


def _somebody() -> dict[str, Any]:
    """Arguments for subprocess that make a server possible: it refuses to be root's."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    pytest.skip("a server must not be root's, and there is no other user")


@pytest.fixture(scope="module")
def server() -> Iterator[Path]:
    """The directory of a running server's socket."""
    pytest.importorskip("psycopg", reason="the client library psycopg is not installed")
    assert BINARIES is not None
    who = _somebody()
    place = Path(tempfile.mkdtemp(prefix="winnow-postgres-", dir="/tmp"))
    if who:
        os.chown(place, who["user"], who["group"])
    quiet: dict[str, Any] = {"capture_output": True, "text": True, "cwd": place, **who}
    made = subprocess.run(
        [BINARIES / "initdb", "-D", place / "data", "-U", "winnow", "-A", "trust", "--no-sync", "-E", "UTF8"], **quiet
    )
    assert made.returncode == 0, made.stderr
    control = [BINARIES / "pg_ctl", "-D", place / "data", "-l", place / "log", "-w"]
    options = f"-k {place} -c listen_addresses='' -c max_connections=40"
    started = subprocess.run(
        [*control, "-o", options, "start"], **{**quiet, "capture_output": False, "stdout": subprocess.DEVNULL}
    )
    assert started.returncode == 0, (place / "log").read_text()
    yield place
    subprocess.run([*control, "-m", "immediate", "stop"], **quiet)
    shutil.rmtree(place, ignore_errors=True)


@pytest.fixture
def url(server: Path, request: pytest.FixtureRequest) -> str:
    """An empty database."""
    name = "".join(letter for letter in request.node.name if letter.isalnum())[:60].lower()
    engine = sa.create_engine(f"postgresql+psycopg://winnow@/postgres?host={server}", isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return f"postgresql+psycopg://winnow@/{name}?host={server}"


def test_the_ledger_is_the_one_of_sqlite(url: str, tmp_path: Path) -> None:
    run_once(tmp_path / "store.db", tmp_path / "log")
    stopped = run_once(url, tmp_path / "other log", limits=Limits(max_requests=5))
    assert stopped.stop.reason == "limit"
    run = run_once(url, tmp_path / "other log")
    assert run.num_replayed == 5
    assert run_once(url, tmp_path / "other log").num_asked == 0
    with Store(url) as store:
        assert as_jsonl(store, find(store, "last")) == exported(tmp_path / "store.db")
        assert verify(store)[1] == []
        with store.read() as connection:
            assert store.version(connection) == LATEST
    assert sorted(asked(tmp_path / "other log")) == sorted(asked(tmp_path / "log"))


def test_killed_at_statements_and_gone_on_with(url: str, tmp_path: Path) -> None:
    run_once(tmp_path / "whole.db", tmp_path / "whole.log")
    log = tmp_path / "log"

    def work(statement: int) -> None:
        die_at(statement)
        run_once(url, log)

    kills = 0
    for statement in (3, 17, 31, 60, 75, 90, 110, 130):
        kills += not in_child(lambda statement=statement: work(statement))  # type: ignore[misc]
    in_child(lambda: run_once(url, log))
    assert kills >= 6
    assert len(asked(log)) - len(set(asked(log))) <= kills
    with Store(url) as store:
        assert as_jsonl(store, find(store, "last")) == exported(tmp_path / "whole.db")


def test_four_processes_make_the_store_at_once(url: str, tmp_path: Path) -> None:
    children = []
    for number in range(4):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                run_once(url, tmp_path / f"{number}.log", seed=number)
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    assert [os.WEXITSTATUS(os.waitpid(child, 0)[1]) for child in children] == [0] * 4
    with Store(url) as store:
        assert [record.status for record in list_runs(store)] == ["done"] * 4
        assert verify(store)[1] == []


def test_two_on_one_run_and_every_character(url: str) -> None:
    from tests.e2e.test_store_retract import Author
    from winnow import api
    from winnow.adaption.task import Task
    from winnow.runs.lock import Lock

    class Strange(Author):
        def _write(self, request: Complete) -> Any:
            reply = super()._write(request)
            return type(reply)(**{**vars(reply), "text": ("a\0b", "\ud800", "\u2028", *reply.text[3:])})

        def _judge(self, request: Any) -> Scores:
            num = len(request.items)
            return Scores(score=np.full(num, 0.9), parts=({},) * num, cost=Cost())

    author = Strange()
    task = Task(queries=["a?", "b?", "c?", "d?"], rounds=1, examples=1, reuse=True, evaluator=author, max_tokens=12)
    run = api.adapt(author, task, store=url)
    with Store(url) as store:
        assert run.answers[0].item.answer == "a\0b"
        assert verify(store)[1] == []
        lock = Lock(store, run.id)
        with pytest.raises(InputError, match="is being worked on by process"):
            Lock(store, run.id)
        lock.release()
