"""Stores that cannot be used: each a clear error, and nothing durable is lost."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from verification.kill import asked, exported, in_child, run_once
from winnow.ports.program import Limits
from winnow.runs.reading import list_runs
from winnow.runs.schema import VERSION_TABLE
from winnow.runs.store import Store
from winnow.values.errors import InputError, WinnowError


def test_a_store_from_the_future(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with Store(path) as store, store.write() as connection:
        connection.execute(sa.text(f"UPDATE {VERSION_TABLE} SET version_num = '0917'"))
    before = path.read_bytes()
    with pytest.raises(
        InputError, match=r"was written by a later Winnow \(schema 0917; this one knows \d+\) \(upgrade"
    ):
        Store(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.95])
def test_a_truncated_file(tmp_path: Path, share: float) -> None:
    path = tmp_path / "store.db"
    run_once(path, tmp_path / "log", limits=Limits(max_requests=6))
    with Store(path) as store, store.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(InputError, match=r"store.db: is (damaged or cut off|no store, or its beginning is damaged) \("):
        run_once(path, tmp_path / "log")


def test_a_torn_write_ahead_log_loses_only_what_was_in_flight(tmp_path: Path) -> None:
    path, log = tmp_path / "store.db", tmp_path / "log"
    run_once(tmp_path / "whole.db", tmp_path / "whole.log")
    with Store(path) as reader, reader.read():  # an open reader keeps the log from being folded into the file
        in_child(lambda: run_once(path, log, limits=Limits(max_requests=9)))
        copies = {ending: Path(f"{path}{ending}").read_bytes() for ending in ("", "-wal")}
    assert len(copies["-wal"]) > 50_000
    for cut in (1, 5000, 20_000):
        torn = tmp_path / f"torn-{cut}.db"
        torn.write_bytes(copies[""])
        Path(f"{torn}-wal").write_bytes(copies["-wal"][:-cut])
        run_once(torn, tmp_path / f"torn-{cut}.log")
        assert exported(torn) == exported(tmp_path / "whole.db")


@pytest.mark.parametrize("content", [b"precious notes, in no format of ours\n" * 20, b"precious"])
def test_somebody_elses_file_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(InputError, match="is no store, or its beginning is damaged"):
        Store(path)
    assert path.read_bytes() == content


def test_somebody_elses_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "theirs.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE precious (note TEXT)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(InputError, match="is somebody else's database"):
        Store(path)
    assert path.read_bytes() == before


def test_places_that_cannot_hold_a_store(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place, message in (
        (tmp_path, "is a directory"),
        (tmp_path / "file" / "store.db", "cannot be made: (Not a directory|File exists)"),
        ("carrier-pigeon://coop", "is neither a file nor a database URL"),
        ("pigeon://coop", "Can't load plugin"),
        ("postgresql+psycopg://nobody@127.0.0.1:1/x", "cannot be reached|needs the package psycopg"),
    ):
        with pytest.raises(InputError, match=message):
            Store(place)
    with pytest.raises(InputError, match=r"there is no store \(give --store, or set WINNOW_STORE\)"):
        Store(tmp_path / "missing.db", create=False)
    assert not (tmp_path / "missing.db").exists()


def tried_by_nobody(path: Path) -> str:
    """What opening a store says to a user who owns nothing: the error, or "" when it opens."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        said = ""
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
            with Store(path) as store:
                list_runs(store)
        except InputError as error:
            said = str(error)
        except BaseException as error:
            said = f"unexpected: {error!r}"
        os.write(writer, said.encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        return pipe.read()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs another user in a forked process")
@pytest.mark.parametrize("name", ["made.db", "new.db"])
def test_a_read_only_directory(tmp_path: Path, name: str) -> None:
    place = tmp_path / "shared"
    place.mkdir()
    Store(place / "made.db").close()
    for directory in (tmp_path, *tmp_path.parents):
        if directory.owner() == "root" and str(directory).startswith("/tmp/"):
            directory.chmod(directory.stat().st_mode | 0o555)
    place.chmod(0o555)
    try:
        said = tried_by_nobody(place / name)
    finally:
        place.chmod(0o755)
    assert said.startswith(f"{place / name}: cannot be ")
    assert said.endswith("or give another --store)")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of four megabytes."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if done.returncode != 0:
        pytest.skip(f"mounting is not allowed here: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_keeps_what_was_answered_and_goes_on_when_there_is_room(small_disk: Path, tmp_path: Path) -> None:
    whole, log = tmp_path / "whole.db", tmp_path / "log"
    run_once(whole, tmp_path / "whole.log")
    path, ballast = small_disk / "store.db", small_disk / "ballast"
    run_once(path, log, limits=Limits(max_requests=4))
    free = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
    ballast.write_bytes(b"\0" * max(0, free - 60_000))
    with pytest.raises(WinnowError, match=r"the disk is full \(free some space; everything answered before is kept"):
        run_once(path, log)
    durable = len(set(asked(log))) - 1
    ballast.unlink()
    run = run_once(path, log)
    assert run.num_replayed >= durable >= 4
    assert exported(path) == exported(whole)
    with Store(path) as store:
        assert [record.status for record in list_runs(store)] == ["done"]
