"""Searches kept in a store: one entry a search, found again by what was asked and of whom.

A search that ends is durable as a whole; one that is killed or stopped leaves nothing and is computed anew: a local search
costs time, and its requests by themselves are worth nothing to anybody.
"""

from __future__ import annotations

import hashlib

from winnow.ports.requests import Search, Searched
from winnow.runs.encoding import encode_reply, line
from winnow.runs.journal import bodies, decode, entry, insert_new
from winnow.runs.schema import replies, requests
from winnow.runs.store import Store


class Kept:
    """The searches of ``identity`` that a store holds.

    Parameters
    ----------
    identity : who searches: program, settings, evaluator and model with the hashes of its files.
    """

    def __init__(self, store: Store, identity: str) -> None:
        self.store, self.identity = store, identity

    def recall(self, request: Search) -> Searched | None:
        """What was found before; None when this was never searched to its end.

        Raises
        ------
        InputError
            When the entry is damaged.
        """
        one = entry(self.identity, request)
        with self.store.read() as connection:
            known = bodies(connection, [one.key])
        if one.key not in known:
            return None
        reply: Searched = decode(known[one.key], one)
        return reply

    def keep(self, request: Search, reply: Searched) -> None:
        """Make an entry of a search that ended; the first to end stays when two did at once."""
        one, body = entry(self.identity, request), line(encode_reply(reply))
        with self.store.write() as connection:
            insert_new(connection, requests, key=one.key, type=type(request).__name__, rows=1, body=one.body)
            row = {"hash": hashlib.sha256(body).hexdigest(), "body": body.decode("utf-8"), **reply.cost._asdict()}
            insert_new(connection, replies, key=one.key, **row)
