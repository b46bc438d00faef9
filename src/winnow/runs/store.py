"""The store: a database of runs, opened, migrated, read and written; every write is one durable transaction.

SQLite in WAL mode with ``synchronous=FULL`` unless a URL names another database. Knows tables and transactions; does not
know what a journal or a ledger is. Any number of processes may have one store open.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError

from winnow.runs.schema import KNOWN, LATEST, VERSION_TABLE
from winnow.values.errors import InputError, WinnowError

WAIT = 60.0  # seconds that a write waits for other processes' writes
_MIGRATING = 0x77696E6E  # the advisory lock on databases that have those


def default_url() -> str:
    """``WINNOW_STORE``, or a file in the platform's directory for a user's data."""
    if said := os.environ.get("WINNOW_STORE"):
        return said
    from platformdirs import user_data_dir

    return f"sqlite:///{Path(user_data_dir('winnow', appauthor=False)) / 'winnow.db'}"


class Store:
    """A store, open.

    Parameters
    ----------
    url : an SQLAlchemy URL, or the path of an SQLite file; ``default_url()`` unless given.
    create : make a store where there is none.

    Raises
    ------
    InputError
        When it cannot be opened or written, is no store, is damaged, or was written by a later Winnow.
    """

    def __init__(self, url: str | os.PathLike[str] | None = None, *, create: bool = True) -> None:
        self._url = _url(url)
        self.name = self._url.render_as_string(hide_password=True)
        self.file = Path(self._url.database) if _is_file(self._url) and self._url.database else None
        if self.file is not None:
            self._make_room(create)
            self.name = str(self.file)
        try:
            self.engine: Engine = _engine(self._url, self.name)
        except ModuleNotFoundError as error:
            raise InputError(
                f"needs the package {error.name}", where=self.name, remedy=f"pip install {error.name}"
            ) from None
        try:
            self._migrate()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of all connections. Closing twice is fine."""
        self.engine.dispose()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees one state of the store for as long as it is open."""
        with self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self, *, durable: bool = True) -> Iterator[Connection]:
        """One transaction: durable when the block ends, undone when it raises.

        ``durable=False`` does not wait for the disk. A dead process loses nothing by that; a dead machine loses it unless a
        durable write followed, which takes all earlier ones along. It is for what a replay writes again.
        """
        options = {"winnow_write": True, "winnow_durable": durable}
        with self.engine.connect().execution_options(**options) as connection, connection.begin():
            if not durable and connection.dialect.name == "postgresql":
                connection.execute(sa.text("SET LOCAL synchronous_commit = off"))
            yield connection

    def version(self, connection: Connection) -> str | None:
        """The newest migration that the store has seen; None for an empty database."""
        if not sa.inspect(connection).has_table(VERSION_TABLE):
            return None
        return connection.execute(sa.text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()

    def _make_room(self, create: bool) -> None:
        assert self.file is not None
        if self.file.is_dir():
            raise InputError("is a directory", where=str(self.file), remedy="name a file in it")
        if self.file.exists():
            return
        if not create:
            raise InputError("there is no store", where=str(self.file), remedy="give --store, or set WINNOW_STORE")
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"cannot be made: {error.strerror}", where=str(self.file.parent), remedy="give another --store"
            ) from None

    def _migrate(self) -> None:
        with self.read() as connection:
            version = self.version(connection)
            if version == LATEST:
                return
            if version is None and sa.inspect(connection).get_table_names() and self.file is not None:
                raise InputError("is somebody else's database", where=self.name, remedy="give another --store")
        if version is not None and version not in KNOWN:
            raise InputError(
                f"was written by a later Winnow (schema {version}; this one knows {LATEST})",
                where=self.name,
                remedy="upgrade Winnow, or give another --store",
            )
        migrate(self)


def migrate(store: Store, target: str = "head") -> None:
    """Bring a store to the schema ``target``; all migrations are one transaction, and processes wait for each other."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    # alembic reads % as interpolation
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    if store.file is not None:
        _write_ahead(store)
    with store.write() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({_MIGRATING})"))
        config.attributes["connection"] = connection
        command.upgrade(config, target)


def _write_ahead(store: Store) -> None:
    """Set WAL mode. It stays with the file, cannot be set inside a transaction, and does not wait for others by itself."""
    deadline = time.monotonic() + WAIT
    while True:
        try:
            with store.engine.connect() as connection:
                connection.connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.Error as error:
            if "locked" in str(error) and time.monotonic() < deadline:
                time.sleep(0.02)
                continue
            problem = _problem(error, store.name)
            if problem is None:
                raise
            raise problem from error


def _url(said: str | os.PathLike[str] | None) -> URL:
    text = os.fspath(said) if said is not None else default_url()
    if "://" not in text:
        return URL.create("sqlite", database=str(Path(text).expanduser()))
    try:
        return make_url(text)
    except ArgumentError:
        raise InputError(
            "is neither a file nor a database URL", where=text, remedy="e.g. runs.db, postgresql+psycopg://host/name"
        ) from None


def _is_file(url: URL) -> bool:
    return url.get_backend_name() == "sqlite"


def _engine(url: URL, name: str) -> Engine:
    try:
        if not _is_file(url):
            engine = sa.create_engine(url, pool_pre_ping=True)
        else:
            engine = sa.create_engine(url, connect_args={"timeout": WAIT, "check_same_thread": False})
            sa.event.listen(engine, "connect", _on_connect)
            sa.event.listen(engine, "begin", _on_begin)
    except sa.exc.NoSuchModuleError as error:
        raise InputError(str(error), where=name, remedy="SQLAlchemy knows sqlite, postgresql, ...") from None
    sa.event.listen(engine, "handle_error", lambda context: _on_error(context, name))
    return engine


def _on_connect(connection: Any, record: Any) -> None:
    connection.isolation_level = None  # transactions are begun below, schema changes included
    for pragma in ("synchronous=FULL", "foreign_keys=ON", "cache_size=-16000"):
        connection.execute(f"PRAGMA {pragma}")


def _on_begin(connection: Connection) -> None:
    # a write takes its place in the queue at once: waiting later would be refused, as what was read may have changed
    options = connection.get_execution_options()
    writes, durable = options.get("winnow_write", False), options.get("winnow_durable", True)
    if writes and connection.info.get("durable", True) != durable:  # cannot be set inside the transaction
        connection.connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
        connection.info["durable"] = durable
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


_KEPT = "everything answered before is kept; the same command goes on"
_SQLITE: tuple[tuple[str, type[WinnowError], str, str], ...] = (
    ("database or disk is full", WinnowError, "the disk is full", f"free some space; {_KEPT}"),
    ("disk i/o error", WinnowError, "the disk does not answer", f"check disk and quota; {_KEPT}"),
    ("database is locked", WinnowError, f"other processes wrote for {WAIT:.0f} s without a pause", f"{_KEPT}"),
    ("readonly", InputError, "cannot be written", "check its permissions, or give another --store"),
    ("unable to open", InputError, "cannot be opened or made", "check its directory, or give another --store"),
    (
        "not a database",
        InputError,
        "is no store, or its beginning is damaged",
        "restore a copy, or give another --store",
    ),
    ("malformed", InputError, "is damaged or cut off", "restore a copy; sqlite3 FILE .recover saves what is whole"),
)


def _problem(error: BaseException, name: str) -> WinnowError | None:
    """An error of SQLite's in our words, if it is nobody's bug."""
    if isinstance(error, sqlite3.Error):
        for words, kind, message, remedy in _SQLITE:
            if words in str(error).lower():
                problem = InputError(message, where=name, remedy=remedy)
                return problem if kind is InputError else WinnowError(str(problem))
    return None


def _on_error(context: sa.engine.ExceptionContext, name: str) -> None:
    """Raise the errors that are nobody's bug as ours."""
    error = context.original_exception
    text = str(error).strip()
    problem = _problem(error, name)
    if problem is not None:
        raise problem from error
    if not isinstance(error, sqlite3.Error) and isinstance(
        context.sqlalchemy_exception, sa.exc.OperationalError | sa.exc.InterfaceError
    ):
        first = text.splitlines()[0] if text else type(error).__name__
        raise InputError(f"cannot be reached: {first}", where=name, remedy="is the server up?") from error
