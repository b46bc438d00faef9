"""The schema is what the migrations build, and a store of any earlier version opens with everything in it."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

import winnow.runs.migrations
from winnow.runs.reading import find, list_runs
from winnow.runs.schema import KNOWN, LATEST, VERSION_TABLE, metadata
from winnow.runs.store import Store, default_url, migrate

OLD = {"id": "0123456789ab", "status": "done", "message": "all 6 rounds are done", "created": 1.5, "source": "{}"}


def old_store(path: Path, version: str) -> None:
    """A store as an earlier version left it: a run, its lock and a journal of one entry."""
    store = Store.__new__(Store)
    store.file, store.name = path, str(path)
    from winnow.runs.store import _engine, _url

    store.engine = _engine(_url(path), store.name)
    migrate(store, version)
    with store.write() as connection:
        tables = sa.MetaData()
        tables.reflect(connection)
        connection.execute(sa.insert(tables.tables["runs"]), {**OLD, "settings": '{"task": {"name": "old"}}'})
        connection.execute(
            sa.insert(tables.tables["requests"]), {"key": "k", "type": "Evaluate", "rows": 1, "body": "{}"}
        )
        reply = {"key": "k", "hash": "h", "calls": 1, "prompt_tokens": 2, "new_tokens": 3, "body": "{}"}
        connection.execute(sa.insert(tables.tables["replies"]), reply)
        connection.execute(sa.insert(tables.tables["steps"]), {"run": OLD["id"], "number": 0, "key": "k"})
    store.close()


def test_the_known_versions_are_the_scripts() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(winnow.runs.migrations.__file__).parent))
    scripts = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()][::-1]
    assert tuple(scripts) == KNOWN
    assert KNOWN[-1] == LATEST


def test_the_migrations_build_the_schema(tmp_path: Path) -> None:
    with Store(tmp_path / "store.db") as store, store.read() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE, "compare_type": True})
        assert compare_metadata(context, metadata) == []


@pytest.mark.parametrize("version", KNOWN)
def test_a_store_of_an_earlier_version_opens_with_everything_in_it(tmp_path: Path, version: str) -> None:
    path = tmp_path / "store.db"
    old_store(path, version)
    with Store(path) as store:
        with store.read() as connection:
            assert store.version(connection) == LATEST
            assert connection.execute(sa.text("SELECT new_tokens FROM replies")).scalar() == 3
        (record,) = list_runs(store)
        assert (record.id, record.status, record.num_requests, record.parent) == (OLD["id"], "done", 1, None)
        assert find(store, "0123") == record == find(store, "last")


def test_opening_twice_migrates_once(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    Store(path).close()
    before = path.read_bytes()
    Store(path).close()
    assert path.read_bytes() == before


def test_the_default_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """WINNOW_STORE, else the platform's directory for a user's data; nothing is made by asking."""
    monkeypatch.setenv("WINNOW_STORE", "sqlite:///somewhere.db")
    assert default_url() == "sqlite:///somewhere.db"
    monkeypatch.delenv("WINNOW_STORE")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    url = default_url()
    assert url.startswith(f"sqlite:///{tmp_path}")
    assert url.endswith("winnow.db")
    assert list(tmp_path.iterdir()) == []
