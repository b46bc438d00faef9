"""A run is its journal: killed anywhere and run again, it ends as if nothing had happened and asks nothing twice."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from winnow.evaluators.verifier import Verifier
from winnow.models.tabular import Tabular
from winnow.ports.program import Program, ask, gather, run
from winnow.ports.requests import Backend, Complete, Completions, Cost, Evaluate, Item, Request, Router, Scores
from winnow.runs import lines
from winnow.runs.journal import FileJournal
from winnow.runs.lines import JournalWarning
from winnow.search.best_of_n import best_of_n
from winnow.search.smc import smc
from winnow.values.errors import InputError, JournalMismatch, ModelError, WinnowError
from winnow.values.random import Key
from winnow.values.tree import Tree


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it."""


class Dying:
    """A backend that counts what it answers, answers a step's requests backwards, and dies after so many replies."""

    def __init__(self, backend: Backend, life: int = 10**9) -> None:
        self.backend, self.life, self.num_answered = backend, life, 0

    @property
    def identity(self) -> str:
        return self.backend.identity

    @property
    def answers(self) -> frozenset[type[Request[Any]]]:
        return self.backend.answers

    def answer(self, requests: Sequence[Request[Any]]) -> Iterator[tuple[int, Any]]:
        replies = dict(self.backend.answer(requests))
        for index in reversed(range(len(requests))):
            if self.num_answered == self.life:
                raise Killed
            self.num_answered += 1
            yield index, replies[index]


MODEL = Tabular.random("ab", order=1, key=Key(8))


def backend(life: int = 10**9) -> Dying:
    check = Verifier("letters", lambda query, answer: answer.count("b") / max(1, len(answer)), identity="letters")
    return Dying(Router(MODEL, check), life)


def program(seed: int = 0) -> Program[str]:
    """Every kind of request, one after another and in lockstep; the result is all there is to know."""
    best = yield from gather(
        [best_of_n("a", query="?", num=num, key=Key(seed, (num,)), max_tokens=3) for num in (1, 2, 3)]
    )
    cloud = smc(Tree([MODEL.codec.encode("a")]), 0, num_particles=4, depth=3, key=Key(seed), power=2.0, temperature=0.5)
    found = yield from cloud
    last = yield from ask(Evaluate(items=(Item("?", best[0].text),)))
    return repr([one.text for one in best]) + found.logprob.tobytes().hex() + repr((last, found.log_evidence))


EXPECTED = run(program(), backend())
NUM_REPLIES = 3 + 3 + 3 + 1


def journalled(path: Path, life: int = 10**9, seed: int = 0) -> tuple[str, FileJournal, Dying]:
    inner = backend(life)
    with FileJournal(path, inner) as journal:
        return run(program(seed), journal), journal, inner


def test_a_journalled_run_is_the_run(tmp_path: Path) -> None:
    result, journal, inner = journalled(tmp_path / "deeper" / "run.journal")
    assert result == EXPECTED
    assert journal.num_asked == inner.num_answered == NUM_REPLIES


def test_a_finished_run_asks_nothing_again(tmp_path: Path) -> None:
    path = tmp_path / "run.journal"
    journalled(path)
    before = path.read_bytes()
    result, journal, inner = journalled(path)
    assert result == EXPECTED
    assert (journal.num_replayed, inner.num_answered) == (NUM_REPLIES, 0)
    assert path.read_bytes() == before


@pytest.mark.parametrize("life", range(NUM_REPLIES))
def test_killed_at_every_reply_it_ends_the_same_and_asks_nothing_twice(tmp_path: Path, life: int) -> None:
    path = tmp_path / "run.journal"
    with pytest.raises(Killed):
        journalled(path, life)
    result, journal, inner = journalled(path)
    assert result == EXPECTED
    assert (journal.num_replayed, inner.num_answered) == (life, NUM_REPLIES - life)


def test_killed_after_each_reply_again_and_again(tmp_path: Path) -> None:
    path = tmp_path / "run.journal"
    for _ in range(NUM_REPLIES - 1):
        with pytest.raises(Killed):
            journalled(path, 1)
    result, _, inner = journalled(path)
    assert result == EXPECTED
    assert inner.num_answered == 1


def test_torn_anywhere_in_its_last_line(tmp_path: Path) -> None:
    path = tmp_path / "run.journal"
    with pytest.raises(Killed):
        journalled(path, 5)
    data = path.read_bytes()
    start = data[:-1].rfind(b"\n") + 1
    for size in [*range(start, len(data), 37), start + 1, len(data) - 2, len(data) - 1]:
        torn = tmp_path / "torn.journal"
        torn.write_bytes(data[:size])
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            result, journal, _ = journalled(torn)
        assert result == EXPECTED
        assert journal.num_replayed == 4
        assert [one.category for one in said] == ([] if size == start else [JournalWarning])
        assert all(one.filename == __file__ for one in said)


def test_torn_in_its_header(tmp_path: Path) -> None:
    path = tmp_path / "run.journal"
    journalled(path)
    header = path.read_bytes().split(b"\n")[0]
    for size in [*range(0, len(header), 19), 1, len(header) - 1, len(header)]:
        path.write_bytes(header[:size])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", JournalWarning)
            assert journalled(path)[0] == EXPECTED


def test_a_last_line_of_zeros_is_torn_too(tmp_path: Path) -> None:
    """What some file systems leave after a power cut: the length is there, the bytes are not."""
    path = tmp_path / "run.journal"
    with pytest.raises(Killed):
        journalled(path, 5)
    data = path.read_bytes()
    path.write_bytes(data + b"\0" * 40)
    with pytest.warns(JournalWarning, match="40 bytes"):
        assert journalled(path)[0] == EXPECTED
    path.write_bytes(data[:-30] + b"\0" * 29 + b"\n")
    with pytest.warns(JournalWarning):
        assert journalled(path)[0] == EXPECTED


SLOW = """
import sys, time
sys.path.insert(0, {tests!r})
import test_journal
from winnow.runs.journal import FileJournal
from winnow.ports.program import run

class Slow(test_journal.Dying):
    def answer(self, requests):
        for one in super().answer(requests):
            time.sleep(0.05)
            yield one

with FileJournal(sys.argv[1], Slow(test_journal.backend().backend)) as journal:
    print(run(test_journal.program(), journal))
"""


def test_killed_for_real(tmp_path: Path) -> None:
    path = tmp_path / "run.journal"
    command = [sys.executable, "-c", SLOW.format(tests=str(Path(__file__).parent)), str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and (not path.exists() or path.read_bytes().count(b"\n") < 5):
        time.sleep(0.005)
    with pytest.raises(InputError, match=f"in use by (process {process.pid}|another process)"):
        FileJournal(path, backend())
    process.send_signal(signal.SIGKILL)
    process.communicate()
    durable = path.read_bytes().count(b"\n") - 1
    assert 4 <= durable < NUM_REPLIES
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", JournalWarning)
        result, journal, inner = journalled(path)
    assert result == EXPECTED
    assert (journal.num_replayed, inner.num_answered) == (durable, NUM_REPLIES - durable)


# ---- what does not fit


def test_another_request_is_named_with_both_fingerprints(tmp_path: Path) -> None:
    path = tmp_path / "run.journal"
    journalled(path)
    before = path.read_bytes()
    with pytest.raises(
        JournalMismatch, match=r"entry 1 \(step 0\) recorded Complete [0-9a-f]{16}, .* asks Complete [0-9a-f]{16}: code"
    ):
        journalled(path, seed=1)
    assert path.read_bytes() == before


def test_a_step_that_asks_less_or_more_than_recorded(tmp_path: Path) -> None:
    path = tmp_path / "run.journal"
    asked = [Evaluate(items=(Item("?", letter),)) for letter in "abc"]
    with FileJournal(path, backend()) as journal:
        list(journal.answer(asked[:2]))
        list(journal.answer(asked[2:]))
    with FileJournal(path, backend()) as journal, pytest.raises(JournalMismatch, match="asks nothing more"):
        list(journal.answer(asked[:1]))
    inner = backend()
    with FileJournal(path, inner) as journal, pytest.raises(JournalMismatch, match=r"entry 3 \(step 1\)"):
        list(journal.answer(asked))
    assert inner.num_answered == 0


def test_another_model_is_noticed_when_it_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "run.journal"
    journalled(path)
    with pytest.raises(JournalMismatch, match="model, settings or version changed"):
        FileJournal(path, Tabular.random("ab", order=1, key=Key(9)))
    assert journalled(path)[0] == EXPECTED


@pytest.mark.parametrize("content", [b"precious notes", b"precious\n", b'{"a": 1}\n', b"{}\n"])
def test_somebody_elses_file_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(InputError, match="is no journal"):
        FileJournal(path, backend())
    assert path.read_bytes() == content


def test_a_journal_from_the_future(tmp_path: Path) -> None:
    path = tmp_path / "run.journal"
    journalled(path)
    path.write_bytes(path.read_bytes().replace(b'"version": 1', b'"version": 7', 1))
    with pytest.raises(InputError, match=r"version 7.*reads version 1"):
        FileJournal(path, backend())


@pytest.mark.parametrize(
    ("damage", "message"),
    [(b"{not json", "not JSON"), (b'{"step": 0}', "not an entry"), (None, "no reply to Complete")],
)
def test_damage_before_the_last_line_is_an_error_with_its_line(
    tmp_path: Path, damage: bytes | None, message: str
) -> None:
    path = tmp_path / "run.journal"
    journalled(path)
    rows = path.read_bytes().split(b"\n")
    if damage is None:
        entry = json.loads(rows[2])
        entry["reply"]["logprob"] = "what"
        damage = json.dumps(entry).encode()
    rows[2] = damage
    path.write_bytes(b"\n".join(rows))
    with pytest.raises(InputError, match=f"run.journal:3: the journal is damaged: {message}"):
        journalled(path)


@pytest.mark.parametrize("name", ["", "missing/run.journal"])
def test_places_that_cannot_hold_a_journal(tmp_path: Path, name: str) -> None:
    (tmp_path / "missing").write_text("a file where a directory should be")
    with pytest.raises(InputError, match="cannot be opened"):
        FileJournal(tmp_path / name, backend())


# ---- within a step


def test_replies_within_a_step_find_their_requests_in_any_order(tmp_path: Path) -> None:
    path = tmp_path / "run.journal"
    asked = [Evaluate(items=(Item("?", letter * 2),)) for letter in ("a", "b", "ab", "bb")]
    with FileJournal(path, backend()) as journal:
        first = dict(journal.answer(asked))
    order = [2, 0, 3, 1]
    with FileJournal(path, backend()) as journal:
        second = dict(journal.answer([asked[index] for index in order]))
    assert [second[place].score.tolist() for place in range(4)] == [first[index].score.tolist() for index in order]


def test_equal_requests_in_one_step_keep_their_own_replies(tmp_path: Path) -> None:
    """A person may answer the same question differently twice; so may a replayed one."""

    class Fickle:
        identity = "fickle"
        answers = frozenset({Evaluate})

        def answer(self, requests: Sequence[Request[Any]]) -> Iterator[tuple[int, Any]]:
            for index in [one for one in (2, 0, 1) if one < len(requests)]:
                yield index, Scores(score=np.array([index / 10]), parts=({},), cost=Cost())

    path = tmp_path / "run.journal"
    asked = [Evaluate(items=(Item("?", "a"),))] * 3
    with FileJournal(path, Fickle()) as journal:
        replies = journal.answer(asked)
        assert next(replies)[0] == 2
        replies.close()
    with FileJournal(path, Fickle()) as journal:
        mixed = dict(journal.answer(asked))
    assert mixed[2].score.tolist() == [0.2]
    with FileJournal(path, Fickle()) as journal:
        again = dict(journal.answer(asked))
        assert journal.num_asked == 0
    assert {index: reply.score.tolist() for index, reply in again.items()} == {
        index: reply.score.tolist() for index, reply in mixed.items()
    }


# ---- the file


def test_a_reply_is_durable_before_it_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    fsync = os.fsync
    monkeypatch.setattr(lines.os, "fsync", lambda file: (fsync(file), synced.append(os.fstat(file).st_size))[0])
    path = tmp_path / "run.journal"
    with FileJournal(path, backend()) as journal:
        for _ in journal.answer([Evaluate(items=(Item("?", letter),)) for letter in "abc"]):
            assert synced[-1] == path.stat().st_size
            assert path.read_bytes().endswith(b"\n")


def test_a_full_disk_leaves_the_journal_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run.journal"
    write = os.write

    def full(file: int, data: Any) -> int:
        if path.stat().st_size + len(data) <= 1200:
            return write(file, data)
        if len(data) > 20:
            return write(file, data[:20])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(lines.os, "write", full)
        with pytest.raises(WinnowError, match="No space left on device; everything answered before is kept"):
            journalled(path)
    assert path.read_bytes().endswith(b"\n")
    result, journal, _ = journalled(path)
    assert result == EXPECTED
    assert journal.num_replayed > 0


def test_one_writer_at_a_time_and_the_lock_ends_with_it(tmp_path: Path) -> None:
    path = tmp_path / "run.journal"
    with FileJournal(path, backend()) as journal:
        with pytest.raises(InputError, match=r"in use by (this|another) process"):
            FileJournal(path, backend())
        journal.close()
        journal.close()
        FileJournal(path, backend()).close()
        with pytest.raises(WinnowError, match="closed"):
            list(journal.answer([Evaluate(items=(Item("?", "a"),))]))


def test_a_reply_to_nothing_or_twice_is_not_recorded(tmp_path: Path) -> None:
    class Babbling:
        identity = "babbling"
        answers = frozenset({Evaluate})

        def __init__(self, *indices: int) -> None:
            self.indices = indices

        def answer(self, requests: Sequence[Request[Any]]) -> Iterator[tuple[int, Any]]:
            for index in self.indices:
                yield index, Scores(score=np.empty(0), parts=(), cost=Cost())

    for indices in ((0, 0), (1,), (-1,)):
        path = tmp_path / f"{indices}.journal"
        with (
            FileJournal(path, Babbling(*indices)) as journal,
            pytest.raises(ModelError, match="replied twice, or to what nobody asked"),
        ):
            list(journal.answer([Evaluate(items=())]))
        assert path.read_bytes().count(b"\n") == len(indices)


def test_a_reply_of_the_wrong_kind_is_not_recorded(tmp_path: Path) -> None:
    class Confused:
        identity = "confused"
        answers = frozenset({Evaluate, Complete})

        def answer(self, requests: Sequence[Request[Any]]) -> Iterator[tuple[int, Any]]:
            nothing = np.empty(0)
            yield 0, Completions(text=(), logprob=nothing, num_tokens=nothing, finish=(), cost=Cost())

    path = tmp_path / "run.journal"
    with FileJournal(path, Confused()) as journal, pytest.raises(ModelError, match="Evaluate with Completions"):
        list(journal.answer([Evaluate(items=())]))
    assert path.read_bytes().count(b"\n") == 1
