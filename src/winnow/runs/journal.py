"""The journal: a backend around backends, in which a reply is durable in the store before the program sees it.

A run is its journal. Run again, it is answered from what is stored, as far as that goes; whatever was never answered is
asked and stored. Nothing durable is ever asked twice; what was in flight at a kill may be.

Requests are known by their content: key = sha256 over who is asked and everything that is asked. So a run is also answered
from what other runs of the store have asked. The order in which a run asks is recorded beside it: when its k-th request is
not the one recorded, the run stops before anything is asked.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from winnow.ports.around import Around
from winnow.ports.chunks import num_rows
from winnow.ports.requests import Backend, Request, Router, require
from winnow.runs.encoding import decode_reply, encode_reply, encode_request, line, reply_type
from winnow.runs.schema import replies, requests, steps
from winnow.runs.store import Store
from winnow.values.errors import InputError, JournalMismatch, ModelError

_MANY = 500  # keys in one query
_STEP = sa.insert(steps)
_NEW = {  # a row, unless its key is there
    (name, table): insert(table).on_conflict_do_nothing()
    for name, insert in (("sqlite", sqlite.insert), ("postgresql", postgresql.insert))
    for table in (requests, replies)
}


class Entry(NamedTuple):
    """A request as the store knows it."""

    key: str
    body: str
    request: Request[Any]


def entry(identity: str, request: Request[Any], repeat: int = 0) -> Entry:
    """A request to a backend under its key: sha256 of ``{"backend": .., "type": .., fields ..}`` in UTF-8.

    ``repeat`` sets apart runs that must not be answered from each other.
    """
    again = {"repeat": repeat} if repeat else {}
    body = line({"backend": identity, **again, **encode_request(request)})
    return Entry(hashlib.sha256(body).hexdigest(), body.decode("utf-8"), request)


class Journal(Around):
    """Records what ``backends`` reply in a store, and answers from it. Each request goes to the first that can answer it.

    Guarantees: a reply is durable before ``answer`` yields it; replay is exact to the bit; nothing is asked in a step that
    differs from the recorded one. When two processes ask the same at once, both get the reply that was stored first.

    Parameters
    ----------
    run : id of a run that the store holds; None keeps replies alone, for whoever asks the same again, and no order of them.
    check : called inside every write with its connection; raises when the run is no longer this process's.
    repeat : see ``entry``.
    identities : what the run knows ``backends`` as, in their order; one that is another by now is a mismatch.
    why : what to say about the code when the run asks something else than it recorded.

    Raises
    ------
    JournalMismatch
        While answering, when a request differs from the one recorded under its number; names both hashes and what differs.
    InputError, WinnowError
        While answering, when the store cannot be written, or a stored reply is damaged.
    """

    backend: Router

    def __init__(
        self,
        store: Store,
        run: str | None,
        *backends: Backend,
        check: Callable[[Connection], None] = lambda _: None,
        repeat: int = 0,
        identities: Sequence[str] = (),
        why: Callable[[], str] = lambda: "",
    ) -> None:
        self.identities = dict(enumerate(identities))
        self.store, self.run, self.check, self.repeat, self.why = store, run, check, repeat, why
        self.backend = Router(*backends)
        self.num_replayed = self.num_asked = 0
        self._next = 0
        with store.read() as connection:
            rows = connection.execute(sa.select(steps.c.number, steps.c.key).where(steps.c.run == run))
            self._recorded: dict[int, str] = {row.number: row.key for row in rows}

    def answer(self, requests: Sequence[Request[Any]]) -> Iterator[tuple[int, Any]]:
        require(self, {type(request) for request in requests})
        first, self._next = self._next, self._next + len(requests)
        asked = [self._entry(request) for request in requests]
        self._compare(first, asked)
        known = self._recall(first, asked)
        for index, one in enumerate(asked):
            if one.key in known:
                self.num_replayed += 1
                yield index, decode(known[one.key], one)
        del known
        missing: dict[str, list[int]] = {}
        for index, one in enumerate(asked):
            if first + index not in self._recorded or one.key in missing:
                missing.setdefault(one.key, []).append(index)
        waiting = dict(enumerate(missing.values()))
        for position, reply in self.backend.answer([requests[indices[0]] for indices in waiting.values()]):
            if position not in waiting:
                raise ModelError(f"{self.identity}: replied twice, or to what nobody asked ({position})")
            indices = waiting.pop(position)
            one = asked[indices[0]]
            if not isinstance(reply, reply_type(type(one.request))):
                raise ModelError(f"{self.identity}: answered {type(one.request).__name__} with {type(reply).__name__}")
            stored = self._record(one, [first + index for index in indices], reply)
            self.num_asked += 1
            for index in indices:
                yield index, stored

    def _entry(self, request: Request[Any]) -> Entry:
        return entry(self.backend.route(type(request)).identity, request, self.repeat)

    def _compare(self, first: int, asked: Sequence[Entry]) -> None:
        for number, one in enumerate(asked, first):
            recorded = self._recorded.get(number)
            if recorded is not None and recorded != one.key:
                with self.store.read() as connection:
                    row = connection.execute(sa.select(requests.c.body).where(requests.c.key == recorded)).one()
                raise self._mismatch(number, recorded, row.body, one)
            meant = self._meant(one)
            if meant.key != one.key:
                raise self._mismatch(number, meant.key, meant.body, one)

    def _recall(self, first: int, asked: Sequence[Entry]) -> dict[str, str]:
        """Stored bodies by key, of those asked now; the run has them in its steps when this returns."""
        with self.store.read() as connection:
            known = bodies(connection, {one.key for one in asked})
        new = [
            {"run": self.run, "number": number, "key": one.key}
            for number, one in enumerate(asked, first)
            if one.key in known and number not in self._recorded
        ]
        if new:
            if self.run is not None:
                with self.store.write() as connection:
                    self.check(connection)
                    connection.execute(_STEP, new)
            self._recorded |= {row["number"]: row["key"] for row in new}  # type: ignore[misc]
        return known

    def _record(self, one: Entry, numbers: Sequence[int], reply: Any) -> Any:
        """Make a reply durable; gives the reply that the store holds in the end."""
        body = line(encode_reply(reply))
        row = {"hash": hashlib.sha256(body).hexdigest(), "body": body.decode("utf-8"), **reply.cost._asdict()}
        kind = type(one.request).__name__
        with self.store.write() as connection:
            self.check(connection)
            insert_new(connection, requests, key=one.key, type=kind, rows=num_rows(one.request), body=one.body)
            is_new = insert_new(connection, replies, key=one.key, **row)
            if self.run is not None:
                connection.execute(_STEP, [{"run": self.run, "number": n, "key": one.key} for n in numbers])
            stored = None if is_new else bodies(connection, {one.key})[one.key]
        self._recorded |= dict.fromkeys(numbers, one.key)
        return reply if stored is None else decode(stored, one)

    def _meant(self, one: Entry) -> Entry:
        """The request as the run's own settings would have it asked."""
        backend = self.backend.route(type(one.request))
        said = self.identities.get(self.backend.backends.index(backend))
        return one if said in (None, backend.identity) else entry(str(said), one.request, self.repeat)

    def _mismatch(self, number: int, recorded: str, body: str, now: Entry) -> JournalMismatch:
        changed = difference(json.loads(body), json.loads(now.body))
        why = self.why()
        return JournalMismatch(
            f"run {self.run}: request {number + 1} was {recorded[:16]}, now it is {now.key[:16]}: {changed}{why} "
            "(undo the change, or give the adapt command again: that is another run)"
        )


def bodies(connection: Connection, keys: Iterable[str]) -> dict[str, str]:
    """The stored replies to requests, by key.

    Raises
    ------
    InputError
        When one is not what was written.
    """
    wanted, found = sorted(keys), {}
    for start in range(0, len(wanted), _MANY):
        part = replies.c.key.in_(wanted[start : start + _MANY])
        for key, digest, body in connection.execute(
            sa.select(replies.c.key, replies.c.hash, replies.c.body).where(part)
        ):
            if hashlib.sha256(body.encode()).hexdigest() != digest:
                raise InputError(
                    f"the reply to {key[:16]} is not what was written", where="store", remedy="winnow store verify"
                )
            found[key] = body
    return found


def decode(body: str, one: Entry) -> Any:
    """The reply in a stored body."""
    try:
        return decode_reply(json.loads(body), type(one.request))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"the reply to {one.key[:16]} is no reply to {type(one.request).__name__}: {error}",
            where="store",
            remedy="winnow store verify",
        ) from error


def insert_new(connection: Connection, table: sa.Table, **values: Any) -> bool:
    """Insert a row unless its key is there; says whether it was inserted."""
    statement = _NEW.get((connection.dialect.name, table))
    if statement is not None:
        return connection.execute(statement, values).rowcount == 1
    try:
        with connection.begin_nested():
            connection.execute(sa.insert(table), values)
    except sa.exc.IntegrityError:
        return False
    return True


def difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What differs between two requests, in words short enough for one line."""
    for name in dict.fromkeys([*before, *now]):
        old, new = before.get(name), now.get(name)
        if old == new:
            continue
        if name in ("backend", "type"):
            return f"{name} was {old}, now {new}"
        if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
            row = next(i for i in range(len(old)) if old[i] != new[i])
            return f"{name} differ, first in row {row + 1}: {_short(old[row])}, now {_short(new[row])}"
        return f"{name} was {_short(old)}, now {_short(new)}"
    return "nothing in it differs"


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return repr(text if len(text) <= 60 else f"{text[:20]}...{text[-37:]}")
