"""What keeping every reply costs, and how fast a large run is shown.

    python benchmarks/store.py [--model bundled] [--pairs 3] [--replies 100000]

Claims: journalling takes less than 3 % of the demonstration's time; ``winnow show`` on a run of 100,000 replies answers
within a second. Ends with 1 if one does not hold. Journalling is measured twice: as the time spent in it (everything
between the program and the model that is not the model), and as the difference of runs with and without a store, one after
the other, medians of pairs. The runs are the demonstration's first loop without its response curve, whose long contexts
would only make the share smaller.
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
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from winnow.adaption.loop import loop
from winnow.api import evaluator_of, settings_of
from winnow.demo import facts_task
from winnow.models.load import load
from winnow.ports.chunks import in_chunks, rows_together
from winnow.ports.program import Note, run
from winnow.ports.requests import Complete, Cost, Evaluate, LogProb, Request, Router
from winnow.runs.record import Recorder
from winnow.runs.schema import individuals, replies, requests, rounds, runs, sessions, steps
from winnow.runs.session import Session
from winnow.runs.settings import source_of
from winnow.runs.store import Store

SHARE, SHOW = 0.03, 1.0  # at most: share of the demonstration's time, seconds


class Clock:
    """Seconds spent in some calls, those within them left out when they are another clock's."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def around(self, work: Iterator[Any]) -> Iterator[Any]:
        """The same iterator, timed while it works."""
        while True:
            began = time.perf_counter()
            try:
                item = next(work)
            except StopIteration:
                return
            finally:
                self.seconds += time.perf_counter() - began
            yield item


class Timed:
    """A backend whose time in ``answer`` goes to a clock."""

    def __init__(self, backend: Any, clock: Clock) -> None:
        self.backend, self.clock = backend, clock

    def __getattr__(self, name: str) -> Any:
        return getattr(self.backend, name)

    def answer(self, requests: Sequence[Request[Any]]) -> Iterator[tuple[int, Any]]:
        return self.clock.around(self.backend.answer(requests))


class TimedRecorder:
    """A recorder whose time goes to a clock."""

    def __init__(self, recorder: Recorder, clock: Clock) -> None:
        self.recorder, self.clock = recorder, clock

    def on_note(self, note: Note) -> None:
        began = time.perf_counter()
        self.recorder.on_note(note)
        self.clock.seconds += time.perf_counter() - began

    def on_reply(self, done: int, asked: int, cost: Cost) -> None:
        """Takes no time."""


def journalling(name: str, pairs: int, place: Path) -> tuple[float, float, float]:
    """Share of a run's time spent in journal and ledger; and the median times of runs with and without a store."""
    model, task = load(name), facts_task()
    evaluator = evaluator_of(task, model)
    rows = dict.fromkeys((Complete, LogProb, Evaluate), rows_together(model))
    plain, kept, share = [], [], []
    for pair in range(pairs):
        began = time.perf_counter()
        run(in_chunks(loop(task, seed=pair, chat=model.chat), rows), Router(model, evaluator))
        plain.append(time.perf_counter() - began)

        inner, outer = Clock(), Clock()
        settings = settings_of(model, task, evaluator, seed=pair, audit=0, response=False)
        began = time.perf_counter()
        with Store(place / f"{pair}.db") as store:
            session = Session(store, settings, source=source_of(model, task), model=model)
            journal = session.journal(Timed(model, inner), Timed(evaluator, inner))
            program = in_chunks(loop(task, seed=pair, chat=model.chat), rows)
            run(program, Timed(journal, outer), observer=TimedRecorder(session.recorder, outer))
            session.end("done", "")
        kept.append(time.perf_counter() - began)
        share.append((outer.seconds - inner.seconds) / kept[-1])
    return statistics.median(share), statistics.median(kept), statistics.median(plain)


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
    with tempfile.TemporaryDirectory(prefix="winnow-bench-") as place:
        share, kept, plain = journalling(said.model, said.pairs, Path(place))
        name = large_store(Path(place) / "large.db", said.replies)
        size = os.path.getsize(Path(place) / "large.db") / 1e6
        seconds = show_seconds(Path(place) / "large.db", name, 5)
    print(f"{platform.platform()}, python {platform.python_version()}, {os.cpu_count()} cores")
    both = f"{kept:.2f} s kept, {plain:.2f} s not kept, medians of {said.pairs} pairs"
    print(f"journalling: {share:.2%} of a run's time (at most {SHARE:.0%}); {both}")
    print(f"winnow show: {seconds:.2f} s on {said.replies:,} replies, {size:.0f} MB (at most {SHOW:g} s)")
    return 0 if share < SHARE and seconds < SHOW else 1


if __name__ == "__main__":
    sys.exit(main())
