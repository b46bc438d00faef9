"""One process a run: a row that says who works on it, and the proof that they still live.

A holder on this machine lives while its process does: same boot, same process number, same time of birth. Of a holder
elsewhere only its heartbeat is seen. A dead holder's row is taken over; a holder that lost its row notices at its next
write and stops.
"""

from __future__ import annotations

import contextlib
import os
import platform
import secrets
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from winnow.runs.schema import locks
from winnow.runs.store import Store
from winnow.values.errors import InputError, WinnowError

BEAT = 10.0  # seconds between heartbeats
DEAD = 120.0  # seconds of silence after which a holder on another machine counts as dead
_MINE: set[str] = set()  # tokens of the locks that this process holds


class Process(NamedTuple):
    """A process, named so that no later one is taken for it."""

    pid: int
    host: str
    boot: str  # the boot and the namespace in which ``pid`` means something; "" where the system does not tell
    born: str  # the kernel's clock at its birth; "" where the system does not tell

    @classmethod
    def this(cls) -> Process:
        """The process that asks."""
        return cls(os.getpid(), platform.node(), _boot(), _born(os.getpid()) or "")

    def lives(self, heartbeat: float) -> bool:
        """Whether it is still there, as far as can be told from here."""
        if (self.host, self.boot) != (platform.node(), _boot()):
            return time.time() - heartbeat < DEAD
        if self.born:
            return _born(self.pid) == self.born
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except OSError:
            return True
        return True


class Lock:
    """The right of this process to work on one run, and nobody else's.

    Raises
    ------
    InputError
        When somebody else who lives holds it; says who, where and since when.
    """

    def __init__(self, store: Store, run: str) -> None:
        self.store, self.run, self.token = store, run, secrets.token_hex(16)
        self.took_over: Process | None = None
        self._over = threading.Event()
        with store.write() as connection:
            self._take(connection)
        _MINE.add(self.token)
        self._thread = threading.Thread(target=self._beat, name=f"heartbeat {run}", daemon=True)
        self._thread.start()

    def check(self, connection: Connection) -> None:
        """Make sure, inside a transaction, that the run is still this process's.

        Raises
        ------
        WinnowError
            When another process has taken it over.
        """
        holder = connection.execute(sa.select(locks.c.token).where(locks.c.run == self.run)).scalar()
        if holder != self.token:
            raise WinnowError(
                f"run {self.run}: another process took this run over while this one was silent; everything answered is kept"
            )

    def release(self) -> None:
        """Let somebody else work on the run. Releasing twice is fine."""
        if self._over.is_set():
            return
        self._over.set()
        self._thread.join()
        _MINE.discard(self.token)
        with contextlib.suppress(WinnowError), self.store.write() as connection:
            connection.execute(sa.delete(locks).where(locks.c.run == self.run, locks.c.token == self.token))

    def _take(self, connection: Connection) -> None:
        row = connection.execute(sa.select(locks).where(locks.c.run == self.run).with_for_update()).mappings().first()
        if row is not None:
            holder = Process(row["pid"], row["host"], row["boot"], row["born"])
            forgotten = holder == Process.this() and row["token"] not in _MINE  # a full disk, say, kept it from going
            if holder.lives(row["heartbeat"]) and not forgotten:
                raise held(self.run, row)
            self.took_over = holder
            connection.execute(sa.delete(locks).where(locks.c.run == self.run))
        now = time.time()
        mine = Process.this()._asdict()
        try:
            connection.execute(
                sa.insert(locks).values(run=self.run, token=self.token, since=now, heartbeat=now, **mine)
            )
        except sa.exc.IntegrityError:  # somebody was faster, where writes do not queue
            raise InputError(f"run {self.run} has just been taken by another process", remedy="wait for it") from None

    def _beat(self) -> None:
        while not self._over.wait(BEAT):
            # a missed beat is no loss
            with contextlib.suppress(Exception), self.store.write(durable=False) as connection:
                connection.execute(
                    sa.update(locks)
                    .where(locks.c.run == self.run, locks.c.token == self.token)
                    .values(heartbeat=time.time())
                )


def held(run: str, row: Any) -> InputError:
    """The error for a run that somebody holds."""
    since = datetime.fromtimestamp(row["since"], UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return InputError(
        f"run {run} is being worked on by process {row['pid']} on {row['host']} since {since}",
        remedy="wait for it to end, or stop it; what it has answered is kept",
    )


def _boot() -> str:
    """This boot of this machine, and the namespace of its process numbers."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _born(pid: int) -> str | None:
    """When a process began; None when there is none, or none that runs."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()  # the name before it may hold anything
    return None if fields[0] in "ZX" else fields[19]
