"""The demonstration is kept: killed and given again it ends the same, asks nothing durable again, and says how to go on."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.command import Command
from tests.support.organism import EVASION, Organism
from verification.kill import in_child
from winnow.ports.requests import Request
from winnow.runs.encoding import fingerprint
from winnow.runs.reading import find, list_runs
from winnow.runs.store import Store
from winnow.runs.verify import verify

DEMO = ("demo", "--store", "store.db")


class Watched(Organism):
    """An organism that notes every request in a file that outlives the process, and at one of them gets a signal."""

    rows_together = 25

    def __init__(self, log: Path, die_at: int | None = None, by: signal.Signals = signal.SIGKILL) -> None:
        super().__init__(start=(0.4, 0.5, 0.1), response=lambda shares: 0.9 * shares + np.array([0.1, 0.0, 0.0]))
        self.log, self.die_at, self.by = log, die_at, by

    def answer(self, requests: Sequence[Request[Any]]) -> Iterator[tuple[int, Any]]:
        for index, request in enumerate(requests):
            with self.log.open("a") as file:
                file.write(fingerprint(self.identity, request) + "\n")
            if self.die_at is not None:
                self.die_at -= 1
                if self.die_at < 0:
                    signal.raise_signal(self.by)
            for _, reply in super().answer([request]):
                yield index, reply


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory to work in, and a demonstration on sixty questions."""
    import winnow.demo

    facts = winnow.demo.facts_task

    def small(**changes: Any) -> Any:
        size = {"rounds": 1, "examples": 3, "queries_per_round": 30, "held_out": 0.3, "abstentions": (EVASION,)}
        some = {"queries": [f"q{i}?" for i in range(60)], "gold": ["right"] * 60, "evaluator": loaded()}
        return facts(**size, **some, **changes)

    monkeypatch.setattr(winnow.demo, "facts_task", small)
    monkeypatch.chdir(tmp_path)
    use(monkeypatch, Watched(tmp_path / "log"))
    return tmp_path


def use(monkeypatch: pytest.MonkeyPatch, model: Watched) -> None:
    monkeypatch.setattr("winnow.models.load.load", lambda name: model)


def loaded() -> Any:
    from winnow.models.load import load

    return load("bundled")


def asked(log: Path) -> list[str]:
    return log.read_text().split() if log.exists() else []


@pytest.fixture
def winnow(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(monkeypatch, capsys)


def test_given_again_it_asks_nothing_and_fresh_asks_all(place: Path, winnow: Command) -> None:
    first = winnow(*DEMO)
    assert first.code == 0, first.err
    assert first.out.splitlines()[-1].startswith("report: out/demo/report.html")
    once = asked(place / "log")
    assert len(set(once)) == len(once), "the response curve and the first round are asked once for all three loops"
    text = (place / "out/demo/report.txt").read_bytes()

    again = winnow(*DEMO)
    assert asked(place / "log") == once
    assert again.err.count("finished before") == 3
    assert (place / "out/demo/report.txt").read_bytes() == text
    assert "A model selects its own answers" in (place / "out/demo/report.html").read_text()

    assert winnow(*DEMO, "--fresh").code == 0
    assert asked(place / "log")[len(once) :] == once
    assert (place / "out/demo/report.txt").read_bytes() == text
    with Store("store.db") as store:
        assert [record.status for record in list_runs(store)] == ["done"] * 6
        assert verify(store)[1] == []


def test_with_and_without_a_store_it_says_the_same(place: Path, winnow: Command) -> None:
    kept, lost = winnow(*DEMO), winnow("demo", "--no-store", "--out", "lost")
    assert (place / "out/demo/report.txt").read_bytes() == (place / "lost/report.txt").read_bytes()
    assert "winnow show" in kept.out
    assert "winnow show" not in lost.out


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a forked process")
def test_killed_in_loops_and_rivals_it_ends_the_same(
    place: Path, winnow: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    winnow("demo", "--store", "whole.db", "--out", "whole")
    whole = asked(place / "log")
    kills = 0
    for die_at in (0, 5, len(whole) // 3, len(whole) // 3, 10, len(whole)):
        use(monkeypatch, Watched(place / "log again", die_at))
        kills += not in_child(lambda: winnow(*DEMO))
    use(monkeypatch, Watched(place / "log again"))
    ended = winnow(*DEMO)
    assert ended.code == 0, ended.err
    assert kills >= 4
    again = asked(place / "log again")
    assert set(again) == set(whole)
    assert len(again) - len(set(again)) <= kills
    assert (place / "out/demo/report.txt").read_bytes() == (place / "whole/report.txt").read_bytes()


def test_killed_among_the_rivals_their_answers_are_kept(
    place: Path, winnow: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    winnow("demo", "--store", "whole.db", "--out", "whole")
    whole = asked(place / "log")
    with Store("whole.db") as store:
        in_loops = len({step for record in list_runs(store) for step in steps_of(store, record.id)})
    assert len(whole) > in_loops + 3
    use(monkeypatch, Watched(place / "log again", in_loops + 3, signal.SIGINT))
    stopped = winnow(*DEMO)
    assert stopped.code == 130
    assert "every answer so far is kept; go on with: winnow demo --store store.db" in stopped.err
    use(monkeypatch, Watched(place / "log last"))
    assert winnow(*DEMO).code == 0
    assert asked(place / "log last") == whole[in_loops + 3 :]


def test_control_c_in_a_loop_says_what_goes_on(place: Path, winnow: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, Watched(place / "log", 7, signal.SIGINT))
    stopped = winnow(*DEMO)
    assert (stopped.code, stopped.err.splitlines()[-1]) == (
        130,
        "winnow: interrupted; every answer so far is kept; go on with: winnow demo --store store.db",
    )
    with Store("store.db") as store:
        assert find(store, "last").status == "interrupted"


def steps_of(store: Store, run: str) -> set[str]:
    import sqlalchemy as sa

    from winnow.runs.schema import steps

    with store.read() as connection:
        return set(connection.execute(sa.select(steps.c.key).where(steps.c.run == run)).scalars())
