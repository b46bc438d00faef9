"""Backends around a backend that make trouble in known ways: late replies, a process that dies, a journal in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from winnow.ports.around import Around
from winnow.ports.compare import same
from winnow.ports.requests import Backend, Request
from winnow.values.errors import JournalMismatch
from winnow.values.random import Key, permutation


class Shuffled(Around):
    """A backend whose replies come in another order."""

    def __init__(self, backend: Backend, key: Key) -> None:
        self.backend, self.key, self._calls = backend, key, 0

    def answer(self, requests: Sequence[Request[Any]]) -> Iterator[tuple[int, Any]]:
        self._calls += 1
        replies = list(self.backend.answer(requests))
        for place in permutation(self.key.child(self._calls), "order of replies", len(replies)):
            yield replies[int(place)]


class Killed(Exception):
    """The process died here, as far as a test is concerned."""


class Recorder(Around):
    """A journal in memory: answers from ``entries`` what it holds, asks and records the rest, dies when told to.

    Raises
    ------
    JournalMismatch
        When a request is not the one recorded under its number.

    Parameters
    ----------
    backend : asked for what is not recorded.
    entries : replies by the number of their request, with the request; shared by the runs of one journal.
    die_after : replies to record before raising Killed; None to live.
    """

    def __init__(
        self, backend: Backend, entries: dict[int, tuple[Request[Any], Any]], *, die_after: int | None = None
    ) -> None:
        self.backend, self.entries, self.die_after = backend, entries, die_after
        self.asked = self._number = 0

    def answer(self, requests: Sequence[Request[Any]]) -> Iterator[tuple[int, Any]]:
        first, self._number = self._number, self._number + len(requests)
        missing = [index for index in range(len(requests)) if first + index not in self.entries]
        for index, request in enumerate(requests):
            if index not in missing:
                recorded, reply = self.entries[first + index]
                if not same(recorded, request):
                    raise JournalMismatch(f"request {first + index} is not the one recorded: {request}")
                yield index, reply
        if not missing:
            return
        for place, reply in self.backend.answer([requests[index] for index in missing]):
            if self.die_after is not None and self.asked >= self.die_after:
                raise Killed
            self.asked += 1
            self.entries[first + missing[place]] = (requests[missing[place]], reply)
            yield missing[place], reply
