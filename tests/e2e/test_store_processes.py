"""Several processes and one store: one works on a run, the other says who; different runs do not mind each other."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from verification.kill import asked, exported, in_child, run_once
from winnow.ports.program import Limits
from winnow.runs.lock import Lock, Process
from winnow.runs.reading import find, list_runs, read_sessions
from winnow.runs.schema import locks
from winnow.runs.store import Store
from winnow.runs.verify import verify
from winnow.values.errors import InputError, WinnowError

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs forked processes")


def wait_for(what: str, condition, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.005)


def test_one_works_and_the_other_says_who(tmp_path: Path) -> None:
    store, log = tmp_path / "store.db", tmp_path / "log"
    child = os.fork()
    if child == 0:
        run_once(store, log, seconds=60.0)  # at work on its first request, and not within a write, until it is killed
        os._exit(0)
    try:
        wait_for("the first request", lambda: asked(log))
        with pytest.raises(
            InputError,
            match=rf"run \w+ is being worked on by process {child} on \S+ since \d{{4}}-.* UTC \(wait for it",
        ):
            run_once(store, tmp_path / "other log")
        with Store(store) as open_store:
            record = find(open_store, "last")
        assert record.status == "running"
        assert record.holder is not None
        assert f"process {child}" in record.holder
        os.kill(child, signal.SIGSTOP)  # silent, but there
        with pytest.raises(InputError, match=f"process {child}"):
            run_once(store, tmp_path / "other log")
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    with Store(store) as open_store:
        assert find(open_store, "last").status == "killed"
    run = run_once(store, log)
    assert run.before == "running"
    assert asked(tmp_path / "other log") == []
    with Store(store) as open_store:
        assert [session.outcome for session in read_sessions(open_store, run.id)] == [None, "done"]


def test_locks_of_the_dead_are_taken_over(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.db")
    run = run_once(tmp_path / "store.db", tmp_path / "log", limits=Limits(max_requests=1)).id
    me = Process.this()
    alive = me._replace(pid=os.getppid(), born="")
    cases = {
        "another process with this number": (me._replace(pid=os.getppid(), born="1"), 0.0, False),
        "no such process": (me._replace(pid=2**22 + 1, born="1"), 0.0, False),
        "another boot, long silent": (me._replace(boot="before"), -1000.0, False),
        "another machine, heard lately": (me._replace(host="elsewhere"), 0.0, True),
        "another machine, long silent": (me._replace(host="elsewhere"), -1000.0, False),
        "a living process of a system that tells no birth": (alive, -1000.0, True),
    }
    for name, (holder, heard, lives) in cases.items():
        with store.write() as connection:
            row = {"run": run, "token": name[:32], "since": 0.0, "heartbeat": time.time() + heard, **holder._asdict()}
            connection.execute(sa.delete(locks))
            connection.execute(sa.insert(locks), row)
        if lives:
            with pytest.raises(InputError, match="is being worked on by process"):
                Lock(store, run)
        else:
            lock = Lock(store, run)
            assert lock.took_over == holder, name
            lock.release()
            lock.release()
    store.close()


def test_who_lost_the_lock_stops_at_the_next_write(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.db")
    run = run_once(tmp_path / "store.db", tmp_path / "log", limits=Limits(max_requests=1)).id
    lock = Lock(store, run)
    with store.write() as connection:
        connection.execute(sa.update(locks).values(token="somebody else"))
    with store.write() as connection, pytest.raises(WinnowError, match="another process took this run over"):
        lock.check(connection)
    lock.release()
    with store.read() as connection:
        assert connection.execute(sa.select(locks.c.token)).scalar() == "somebody else"
    store.close()


def test_many_processes_on_one_store(tmp_path: Path) -> None:
    """Eight runs at once, store creation included, half of them of the same content as another in what they ask."""
    store, num = tmp_path / "store.db", 8
    children = []
    for number in range(num):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                run_once(store, tmp_path / f"{number}.log", seed=number // 2, audit=0, fresh=bool(number % 2))
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    ended = [os.WEXITSTATUS(os.waitpid(child, 0)[1]) for child in children]
    with Store(store) as open_store:
        records = list_runs(open_store)
        assert verify(open_store)[1] == []
    # a fresh twin that came first is the run itself, and then the other may have found it at work
    assert len(records) >= num // 2
    assert sum(code == 0 for code in ended) >= len(records)
    assert all(record.status == "done" for record in records)
    in_child(lambda: run_once(tmp_path / "alone.db", tmp_path / "alone.log", seed=2))
    with Store(store) as one, Store(tmp_path / "alone.db") as other:
        from winnow.runs.export import as_jsonl

        alone = find(other, "last")
        assert as_jsonl(one, find(one, alone.id)) == as_jsonl(other, alone)


SLOW_CHECK = """
import time
def check(query, answer):
    time.sleep(0.02)
    return len(answer) % 3 / 2
"""


def test_control_c_says_what_is_kept_and_the_command_that_goes_on(tmp_path: Path, tiny_model) -> None:
    (tmp_path / "slow_check.py").write_text(SLOW_CHECK)
    (tmp_path / "queries.txt").write_text("".join(f"{a}{b}?\n" for a in "abcdefgh" for b in "abcd"))
    store = tmp_path / "store.db"
    settings = {
        "pair": "{query} {answer}.",
        "stop": ".",
        "max_tokens": 4,
        "rounds": 3,
        "examples": 2,
        "queries_per_round": 20,
    }
    settings |= {"queries": "queries.txt", "evaluator": "verifier slow_check:check", "reuse": True}
    (tmp_path / "task.yaml").write_text(json.dumps(settings))
    command = [
        sys.executable,
        "-m",
        "winnow",
        "adapt",
        "task.yaml",
        "--model",
        tiny_model("llama"),
        "--batch-size",
        "4",
    ]
    command += ["--store", str(store)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, str(tmp_path)])}
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )

    def replies() -> int:
        try:
            with Store(store, create=False) as open_store:
                return find(open_store, "last").num_requests
        except InputError:
            return 0

    wait_for("some replies", lambda: replies() >= 3 or process.poll() is not None)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    said = re.search(r"winnow: interrupted; (\d+) answered requests are kept; go on with: winnow resume (\w+)\n", err)
    assert said, err
    assert "Traceback" not in err
    assert int(said[1]) == replies()
    done = subprocess.run(
        [sys.executable, "-m", "winnow", "resume", said[2], "--json", "--store", str(store)],
        cwd="/",  # the evaluator is found where the run was begun
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path != str(tmp_path))},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert f"{said[1]} answered from the store" in done.stderr
    assert [json.loads(line)["round"] for line in done.stdout.splitlines()] == list(
        range(len(done.stdout.splitlines()))
    )
    whole = subprocess.run(
        [*command[:-1], str(tmp_path / "whole.db")], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert whole.returncode == 0, whole.stderr
    assert exported(store) == exported(tmp_path / "whole.db")
