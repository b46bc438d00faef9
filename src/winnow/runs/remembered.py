"""Replies kept by what was asked alone: for work that has no run of its own, such as a study of a text.

As the journal, a backend around a backend in which a reply is durable before the program sees it, in the same tables and
under the same keys; unlike the journal it records no order of requests, since every reply stands for itself. The same
question again, in whatever study, is answered from the store. ``winnow runs`` lists runs, not these.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

from winnow.ports.around import Around
from winnow.ports.chunks import num_rows
from winnow.ports.requests import Backend, Request, require
from winnow.runs.encoding import encode_reply, line
from winnow.runs.journal import bodies, decode, entry, insert_new
from winnow.runs.schema import replies
from winnow.runs.schema import requests as asked
from winnow.runs.store import Store


class Remembered(Around):
    """Answers from a store what it holds, and asks ``backend`` the rest, which is then in the store.

    Guarantees: nothing in the store is asked again; replay is exact to the bit. ``num_asked`` and ``num_remembered`` count.
    """

    def __init__(self, store: Store, backend: Backend) -> None:
        self.store, self.backend = store, backend
        self.num_asked = self.num_remembered = 0

    def answer(self, requests: Sequence[Request[Any]]) -> Iterator[tuple[int, Any]]:
        require(self, {type(request) for request in requests})
        entries = [entry(self.backend.identity, request) for request in requests]
        missing = []
        for index, one in enumerate(entries):  # one at a time: replies may be large
            with self.store.read() as connection:
                known = bodies(connection, {one.key})
            if one.key in known:
                self.num_remembered += 1
                yield index, decode(known[one.key], one)
            else:
                missing.append(index)
        for position, reply in self.backend.answer([requests[index] for index in missing]) if missing else ():
            one = entries[missing[position]]
            body = line(encode_reply(reply))
            row = {"hash": hashlib.sha256(body).hexdigest(), "body": body.decode("utf-8"), **reply.cost._asdict()}
            kind = type(one.request).__name__
            with self.store.write() as connection:
                insert_new(connection, asked, key=one.key, type=kind, rows=num_rows(one.request), body=one.body)
                insert_new(connection, replies, key=one.key, **row)
            self.num_asked += 1
            yield missing[position], reply
