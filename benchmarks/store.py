"""What keeping every reply costs, and how fast a large run is shown.

    python benchmarks/store.py [--model bundled] [--pairs 3] [--replies 100000]

Claims: journalling takes less than 3 % of the demonstration's time; ``winnow show`` on a run of 100,000 replies answers
within a second. Ends with 1 if one does not hold.

The demonstration is run as ``winnow demo`` runs it (its loops and their rivals, one seed a pair), with a new store and,
beside it, without one. Journalling is everything that happens because there is a store: making it, beginning and ending
runs, keys, encoding, writing, reading back, and waiting for the disk. Of that, processor time is measured as processor time
of the thread, whatever else the machine does; the waiting is the wall time of commits that is not processor time, which a
busy machine makes longer. Both are held against the demonstration's own processor time and that waiting, or against its
wall time where that is shorter (several threads). The share of the first loop alone, which shares nothing with another, is
told apart.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import sqlalchemy as sa

from winnow.api import Run
from winnow.demo import loops, rivals_of
from winnow.models.load import load
from winnow.ports.requests import LanguageModel
from winnow.runs.journal import Journal
from winnow.runs.record import Recorder
from winnow.runs.schema import individuals, replies, requests, rounds, runs, sessions, steps
from winnow.runs.session import Session
from winnow.runs.store import Store

SHARE, SHOW = 0.03, 1.0  # at most: share of the demonstration's time, seconds


class Spent(NamedTuple):
    """Seconds since some beginning."""

    journal: float = 0.0  # processor time of keeping
    waiting: float = 0.0  # wall time of commits that was not processor time
    processor: float = 0.0  # all processor time, all threads
    wall: float = 0.0

    @property
    def share(self) -> float:
        """Of the time that the work takes on a machine that does nothing else."""
        return (self.journal + self.waiting) / min(self.wall, self.processor + self.waiting)


class Clock:
    """Adds up what keeping takes: calls that are timed, less the model's work within them."""

    def __init__(self) -> None:
        self.journal = self.waiting = 0.0
        self._began = time.process_time(), time.perf_counter()

    def spent(self) -> Spent:
        """So far."""
        processor, wall = self._began
        return Spent(self.journal, self.waiting, time.process_time() - processor, time.perf_counter() - wall)

    @contextmanager
    def running(self, sign: int = 1) -> Iterator[None]:
        """Processor time of the block counts as keeping; with -1, it is taken off again."""
        began = time.thread_time()
        try:
            yield
        finally:
            self.journal += sign * (time.thread_time() - began)

    def call(self, work: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, timed."""

        def timed(*args: Any, **named: Any) -> Any:
            with self.running():
                return work(*args, **named)

        return timed

    def answers(self, work: Callable[..., Iterator[Any]], sign: int) -> Callable[..., Iterator[Any]]:
        """The same generator function, timed while it works."""

        def timed(*args: Any) -> Iterator[Any]:
            replies = work(*args)
            while True:
                with self.running(sign):
                    reply = next(replies, None)
                if reply is None:
                    return
                yield reply

        return timed

    def commit(self, work: Callable[[Any], None]) -> Callable[[Any], None]:
        """The same commit; what it waits for the disk is told apart from what it computes."""

        def timed(connection: Any) -> None:
            wall, processor = time.perf_counter(), time.thread_time()
            work(connection)
            self.waiting += time.perf_counter() - wall - (time.thread_time() - processor)

        return timed

    def watching(self) -> AbstractContextManager[Any]:
        """Within, all that is done for a store is timed."""
        clock, stack = self, ExitStack()
        journal, store = Journal.__init__, Store.__init__

        def make_journal(self: Journal, *args: Any, **named: Any) -> None:
            journal(self, *args, **named)
            self.backend.answer = clock.answers(self.backend.answer, -1)  # type: ignore[method-assign]

        def make_store(self: Store, *args: Any, **named: Any) -> None:
            with clock.running():
                store(self, *args, **named)
            self.engine.dialect.do_commit = clock.commit(self.engine.dialect.do_commit)  # type: ignore[method-assign, assignment]

        stack.enter_context(mock.patch.object(Journal, "__init__", make_journal))
        stack.enter_context(mock.patch.object(Store, "__init__", make_store))
        stack.enter_context(mock.patch.object(Journal, "answer", self.answers(Journal.answer, 1)))
        for owner, name in ((Session, "__init__"), (Session, "end"), (Recorder, "on_note"), (Recorder, "finish")):
            stack.enter_context(mock.patch.object(owner, name, self.call(getattr(owner, name))))
        return stack


def demonstration(model: LanguageModel, seed: int, store: Store | None, clock: Clock) -> Spent:
    """Run the demonstration; gives what was spent when its first loop was over."""
    done: dict[str, Run] = {}
    first = Spent()
    for rule, run in loops(model, seed=seed, store=store):
        first = first if done else clock.spent()
        done[rule] = run
    rivals_of(model, done["soft"], seed=seed, num_queries=300, store=store)
    return first


def journalling(name: str, pairs: int, place: Path) -> bool:
    """Demonstrations with and without a store, one after the other; a line each, then medians. Whether the claim holds."""
    model, kept, first, plain = load(name), [], [], []
    for pair in range(pairs):
        clock = Clock()
        demonstration(model, pair, None, clock)
        plain.append(clock.spent())
        clock = Clock()
        with clock.watching(), Store(place / f"{pair}.db") as store:
            first.append(demonstration(model, pair, store, clock))
            kept.append(clock.spent())
        for what, spent in (("not kept", plain[-1]), ("kept", kept[-1]), ("its first loop", first[-1])):
            print(
                f"pair {pair}  {what:<14} {spent.processor:7.2f} s processor {spent.wall:7.2f} s wall  of it journalling "
                f"{spent.journal:5.2f} s processor, {spent.waiting:5.2f} s waiting for the disk: {spent.share:6.2%}",
                flush=True,
            )
    share, alone = (statistics.median(spent.share for spent in found) for found in (kept, first))
    ratio = statistics.median(one.processor / other.processor for one, other in zip(kept, plain, strict=True))
    print(
        f"journalling: {share:.2%} of the demonstration's time, {alone:.2%} of its first loop's (at most {SHARE:.0%}); "
        f"with a store it takes {ratio:.2f} of the processor time without; medians of {pairs} pairs"
    )
    return max(share, alone) < SHARE


def large_store(path: Path, num: int) -> str:
    """A store with one run of ``num`` replies, ten answers each kept round; gives the run's id."""
    name = "0123456789ab"
    model = "model@0 float32 cpu batch=1"
    settings = {
        "task": {"name": "large", "rounds": 99, "select": "soft", "buffer": "replaced", "examples": 14},
        "model": model,
        "evaluator": "nobody",
        "seed": 0,
    }
    small: dict[str, Any] = {
        "kinds": None,
        "error": None,
        "error_interval": None,
        "price": None,
        "predicted": None,
        "audit": None,
    }
    small |= {"sensitivity": None, "false_positive_rate": None, "accepted": 0.5, "abstentions": 0.0, "mean_score": 0.5}
    small |= {"effective_number": 9.0, "cost": {"calls": 1, "prompt_tokens": 1, "new_tokens": 1}, "queries": num // 100}
    provenance: dict[str, Any] = {
        "winnow": "0",
        "commit": None,
        "dirty": None,
        "source": "0",
        "python": "3",
        "platform": "p",
    }
    provenance |= {"libraries": {}, "model": None}
    with Store(path) as store, store.write() as connection:
        row = {
            "id": name,
            "settings": json.dumps(settings),
            "source": "{}",
            "status": "done",
            "message": "",
            "created": 0.0,
        }
        connection.execute(sa.insert(runs), row)
        session = {
            "run": name,
            "number": 1,
            "provenance": json.dumps(provenance),
            "started": 0.0,
            "asked": num,
            "replayed": 0,
        }
        connection.execute(sa.insert(sessions), session)
        for start in range(0, num, 2000):
            said = {"backend": model, "type": "Complete", "prompt": "x" * 800}
            bodies = [json.dumps({**said, "slot": number}) for number in range(start, start + 2000)]
            keys = [hashlib.sha256(body.encode()).hexdigest() for body in bodies]
            asked = [{"key": k, "type": "Complete", "rows": 1, "body": b} for k, b in zip(keys, bodies, strict=True)]
            connection.execute(sa.insert(requests), asked)
            told = {"hash": "", "calls": 1, "prompt_tokens": 9, "new_tokens": 9, "body": "y" * 200}
            connection.execute(sa.insert(replies), [{"key": key, **told} for key in keys])
            order = [{"run": name, "number": start + i, "key": key} for i, key in enumerate(keys)]
            connection.execute(sa.insert(steps), order)
        for number in range(100):
            record = json.dumps({"round": number, **small})
            connection.execute(sa.insert(rounds), {"run": name, "number": number, "record": record})
            born = [
                {
                    "run": name,
                    "number": number * (num // 100) + i,
                    "round": number,
                    "item": '["q", "a"]',
                    "score": 0.5,
                    "parts": "{}",
                    "survival": 0.5,
                    "accepted": False,
                    "logprob": 0.0,
                    "finish": "stop",
                    "parents": "[]",
                }
                for i in range(num // 100)
            ]
            connection.execute(sa.insert(individuals), born)
    return name


def show_seconds(path: Path, run: str, times: int) -> float:
    """Median wall time of ``winnow show`` as a command, start of Python included."""
    command = [sys.executable, "-m", "winnow", "show", run, "--store", str(path)]
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def main(arguments: Sequence[str] | None = None) -> int:
    """One line a claim."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--replies", type=int, default=100_000)
    said = parser.parse_args(arguments)
    print(
        f"{platform.platform()}, python {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    )
    with tempfile.TemporaryDirectory(prefix="winnow-bench-") as place:
        lean = journalling(said.model, said.pairs, Path(place))
        name = large_store(Path(place) / "large.db", said.replies)
        size = os.path.getsize(Path(place) / "large.db") / 1e6
        seconds = show_seconds(Path(place) / "large.db", name, 5)
    print(f"winnow show: {seconds:.2f} s on {said.replies:,} replies, {size:.0f} MB (at most {SHOW:g} s)")
    return 0 if lean and seconds < SHOW else 1


if __name__ == "__main__":
    sys.exit(main())
