"""The journal in a file: a backend around a backend, in which a reply is durable before the program sees it.

A run is its journal. Run again, it is answered from what was written, as far as that goes; the first request that was
never answered is asked and appended. Nothing durable is ever asked twice; what was in flight at a kill may be.

One JSON object a line: a header with the format's version and the backend's identity, then one entry a reply -
``{"step": .., "index": .., "type": .., "request": fingerprint, "reply": ..}``. A step is one call of ``answer``.
Neither clock nor random numbers go in: the same run writes the same lines, in the order the replies came.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from winnow.ports.requests import Backend, Request, require
from winnow.runs.encoding import decode_reply, encode_reply, fingerprint, reply_type
from winnow.runs.lines import LineFile
from winnow.values.errors import InputError, JournalMismatch, ModelError

MAGIC = b'{"format": "winnow journal"'
VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One recorded reply."""

    number: int  # position in the journal, the first entry is 1
    step: int
    index: int  # position in the step's requests when it was asked
    type: str
    request: str  # fingerprint
    reply: Any  # as JSON


class FileJournal:
    """Records the replies of ``backend`` in the file at ``path`` and answers from it.

    The file is locked for as long as the journal is open; the lock goes with the process that holds it.

        with FileJournal(path, backend) as journal:
            run(program, journal)

    Guarantees: a reply is on disk before ``answer`` yields it; replay is exact to the bit and does not depend on the order
    of the requests within a step; nothing is asked when a recorded request does not fit. A torn last line is cut off
    with a JournalWarning.

    Raises
    ------
    InputError
        When opened: the file is another process's, no journal, from a later version, or damaged before its last line.
    JournalMismatch
        When opened with a backend of another identity; while answering, when a step asks something else than recorded.
    WinnowError
        When the disk does not take an entry; the file is left as it was before that entry.
    """

    def __init__(self, path: str | os.PathLike[str], backend: Backend) -> None:
        self.path, self.backend = Path(path), backend
        self.num_replayed = self.num_asked = 0
        self._step = 0
        self._steps: dict[int, list[Entry]] = {}
        self._lines = LineFile(self.path, magic=MAGIC)
        try:
            self._begin()
        except BaseException:
            self.close()
            raise

    @property
    def identity(self) -> str:
        return self.backend.identity

    @property
    def answers(self) -> frozenset[type[Request[Any]]]:
        return self.backend.answers

    def __enter__(self) -> FileJournal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file. Closing twice is fine."""
        self._lines.close()

    def answer(self, requests: Sequence[Request[Any]]) -> Iterator[tuple[int, Any]]:
        require(self, {type(request) for request in requests})
        step, self._step = self._step, self._step + 1
        prints = [fingerprint(self.identity, request) for request in requests]
        known = self._recall(step, requests, prints)
        for index, entry in sorted(known.items()):
            self.num_replayed += 1
            yield index, self._decode(entry, type(requests[index]))
        missing = [index for index in range(len(requests)) if index not in known]
        if not missing:
            return
        waiting = dict(enumerate(missing))
        for position, reply in self.backend.answer([requests[index] for index in missing]):
            if position not in waiting:
                raise ModelError(
                    f"{self.identity}: replied twice, or to what nobody asked ({position} of {len(missing)})"
                )
            index = waiting.pop(position)
            kind = type(requests[index])
            if not isinstance(reply, reply_type(kind)):
                raise ModelError(f"{self.identity}: answered {kind.__name__} with {type(reply).__name__}")
            head = {"step": step, "index": index, "type": kind.__name__, "request": prints[index]}
            self._lines.append({**head, "reply": encode_reply(reply)})
            self.num_asked += 1
            yield index, reply

    def _recall(self, step: int, requests: Sequence[Request[Any]], prints: Sequence[str]) -> dict[int, Entry]:
        """The entries of this step by the index of the request each one answers."""
        known: dict[int, Entry] = {}
        moved: list[Entry] = []
        for entry in self._steps.pop(step, []):  # in its old place if it can be: equal requests keep their own replies
            in_place = entry.index < len(prints) and prints[entry.index] == entry.request and entry.index not in known
            if in_place:
                known[entry.index] = entry
            else:
                moved.append(entry)
        for entry in moved:
            index = next((i for i, fp in enumerate(prints) if i not in known and fp == entry.request), None)
            if index is None:
                unknown = next((i for i in range(len(prints)) if i not in known), None)
                raise self._mismatch(entry, requests, prints, unknown)
            known[index] = entry
        if len(known) < len(prints) and self._steps:  # recorded steps are whole, but for the last
            later = min((entry for rest in self._steps.values() for entry in rest), key=lambda entry: entry.number)
            raise self._mismatch(later, requests, prints, next(i for i in range(len(prints)) if i not in known))
        return known

    def _mismatch(
        self, entry: Entry, requests: Sequence[Request[Any]], prints: Sequence[str], index: int | None
    ) -> JournalMismatch:
        asked = "nothing more" if index is None else f"{type(requests[index]).__name__} {prints[index][:16]}"
        return JournalMismatch(
            f"{self.path}: entry {entry.number} (step {entry.step}) recorded {entry.type} {entry.request[:16]}, the run "
            f"now asks {asked}: code, version or input changed (undo the change, or start a new journal)"
        )

    def _decode(self, entry: Entry, kind: type[Request[Any]]) -> Any:
        try:
            return decode_reply(entry.reply, kind)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise self._lines.damaged(entry.number + 1, f"no reply to {entry.type}, {error}") from error

    def _begin(self) -> None:
        rows = self._lines.rows
        if not rows:
            self._lines.append({"format": "winnow journal", "version": VERSION, "backend": self.identity})
            return
        self._check_header(rows[0])
        for number, row in enumerate(rows[1:], 1):
            try:
                entry = Entry(number=number, **row)
            except TypeError:
                raise self._lines.damaged(number + 1, "not an entry") from None
            self._steps.setdefault(entry.step, []).append(entry)

    def _check_header(self, header: Mapping[str, Any]) -> None:
        version, recorded = header.get("version"), header.get("backend")
        if version != VERSION:
            raise InputError(
                f"is a journal of version {version}, and this Winnow reads version {VERSION}",
                where=str(self.path),
                remedy="use the Winnow that wrote it",
            )
        if recorded != self.identity:
            raise JournalMismatch(
                f"{self.path}: recorded with {recorded!r}, the run now uses {self.identity!r}: model, settings or version "
                "changed (undo the change, or start a new journal)"
            )
