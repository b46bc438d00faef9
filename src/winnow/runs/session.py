"""One process at work on one run: finds or makes the run, holds its lock, and says in the end how it went."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from winnow.ports.requests import Backend
from winnow.runs.journal import Journal
from winnow.runs.lock import Lock, Process
from winnow.runs.provenance import differences, provenance
from winnow.runs.record import Recorder, text
from winnow.runs.schema import runs, sessions
from winnow.runs.settings import Settings, changed
from winnow.runs.store import Store


class Session:
    """Work on the run that ``settings`` name, which is made unless the store has it.

    Attributes: ``id`` of the run; ``number`` of the session; ``before``, how the run stood (None for a new one);
    ``took_over``, the dead process whose lock was taken; ``recorder``, the observer that writes the ledger.

    Parameters
    ----------
    source : how the model is found again (``settings.source_of``).
    model : the model, for its provenance.
    fresh : ask everything anew, whatever the store holds.
    parent, removed : for a run derived from another: whose, and what was taken out and why.

    Raises
    ------
    InputError
        When another process works on the run.
    """

    def __init__(
        self,
        store: Store,
        settings: Settings,
        *,
        source: Mapping[str, Any],
        model: object = None,
        fresh: bool = False,
        parent: str | None = None,
        removed: list[dict[str, Any]] | None = None,
    ) -> None:
        self.store, self._provenance = store, provenance(model)
        self.settings = _unused(store, settings) if fresh else settings
        self.id = self.settings.id
        derived = {"parent": parent, "removed": None if removed is None else text(removed)}
        with store.write() as connection:
            row = connection.execute(sa.select(runs.c.status).where(runs.c.id == self.id)).first()
            self.before: str | None = None if row is None else row.status
            if row is None:
                self._make(connection, source, derived)
        self.lock = Lock(store, self.id)
        self.number = self._begin(source)
        evaluator = self.settings.evaluator
        self.recorder = Recorder(store, self.id, self.settings.task, evaluator, check=self.lock.check)
        self._journal: Journal | None = None

    @property
    def took_over(self) -> Process | None:
        """The dead process whose lock this session found."""
        return self.lock.took_over

    @property
    def num_asked(self) -> int:
        """Requests this session has asked."""
        return 0 if self._journal is None else self._journal.num_asked

    @property
    def num_replayed(self) -> int:
        """Requests answered from the store."""
        return 0 if self._journal is None else self._journal.num_replayed

    def journal(self, *backends: Backend) -> Journal:
        """The run's journal around ``backends``."""
        self._journal = Journal(
            self.store,
            self.id,
            *backends,
            check=self.lock.check,
            repeat=self.settings.repeat,
            identities=(self.settings.model, self.settings.evaluator),
            why=self._what_changed,
        )
        return self._journal

    def end(self, status: str, message: str) -> None:
        """Write down how it went - done, limit, interrupted or failed - and let go of the run."""
        try:
            with self.store.write() as connection:
                self.lock.check(connection)
                connection.execute(sa.update(runs).where(runs.c.id == self.id).values(status=status, message=message))
                connection.execute(
                    sa.update(sessions)
                    .where(sessions.c.run == self.id, sessions.c.number == self.number)
                    .values(ended=time.time(), outcome=status, asked=self.num_asked, replayed=self.num_replayed)
                )
        finally:
            self.lock.release()

    def _make(self, connection: Connection, source: Mapping[str, Any], derived: Mapping[str, Any]) -> None:
        connection.execute(
            sa.insert(runs).values(
                id=self.id,
                settings=text(self.settings.to_json()),
                source=text(dict(source)),
                status="running",
                message="",
                created=time.time(),
                **derived,
            )
        )

    def _begin(self, source: Mapping[str, Any]) -> int:
        """Note this session down; gives its number."""
        try:
            with self.store.write() as connection:
                self.lock.check(connection)
                most = sa.select(sa.func.max(sessions.c.number)).where(sessions.c.run == self.id)
                number = (connection.execute(most).scalar() or 0) + 1
                connection.execute(
                    sa.insert(sessions).values(
                        run=self.id,
                        number=number,
                        provenance=text(self._provenance),
                        started=time.time(),
                        asked=0,
                        replayed=0,
                    )
                )
                status = {"status": "running", "message": "", "source": text(dict(source))}
                connection.execute(sa.update(runs).where(runs.c.id == self.id).values(**status))
        except BaseException:
            self.lock.release()
            raise
        return number

    def changes(self, *, since: int) -> list[str]:
        """What changed since another session of the run, by its number: code, machine, libraries, files of the model."""
        there = sa.select(sessions.c.provenance).where(sessions.c.run == self.id, sessions.c.number == since)
        with self.store.read() as connection:
            before = connection.execute(there).scalar()
        return [] if before is None else differences(json.loads(before), self._provenance)

    def _what_changed(self) -> str:
        """What is known to have changed since the run began, to stand behind a mismatch."""
        found = self.changes(since=1)
        return (
            f"; since the run began: {', '.join(found)}"
            if found
            else "; code, machine and model files are as they were"
        )


def _unused(store: Store, settings: Settings) -> Settings:
    """The first repetition of a run that the store does not have."""
    with store.read() as connection:
        while connection.execute(sa.select(runs.c.id).where(runs.c.id == settings.id)).first() is not None:
            settings = settings.repeated(settings.repeat + 1)
    return settings


def relative(store: Store, settings: Settings, run: str) -> str | None:
    """In words, the newest other unfinished run of the same task and how it differs: perhaps the one that was meant."""
    now = settings.to_json()
    newest = sa.select(runs.c.id, runs.c.settings).where(runs.c.id != run, runs.c.status != "done")
    with store.read() as connection:
        for row in connection.execute(newest.order_by(runs.c.created.desc()).limit(20)):
            before = json.loads(row.settings)
            if before["task"]["name"] == now["task"]["name"]:
                return f"run {row.id} of this task is unfinished; it differs in {', '.join(changed(before, now))}"
    return None
