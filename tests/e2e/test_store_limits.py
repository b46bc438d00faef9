"""Limits are hard, lose nothing, and a raised limit goes on to the bytes of a run without one."""

from __future__ import annotations

from pathlib import Path

import pytest

from verification.kill import asked, exported, run_once
from winnow.ports.program import Limits
from winnow.ports.requests import Price
from winnow.runs.reading import find
from winnow.runs.store import Store
from winnow.values.errors import InputError

LIMITS = {
    "requests": lambda part: Limits(max_requests=int(part)),
    "tokens": lambda part: Limits(max_tokens=int(60 * part)),
    "money": lambda part: Limits(max_cost=0.06 * part, price=Price(new_token=0.004)),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, int]:
    """The ledger of the run that was left alone, and how much it asked."""
    place = tmp_path_factory.mktemp("whole")
    run_once(place / "store.db", place / "log")
    return exported(place / "store.db"), len(asked(place / "log"))


@pytest.mark.parametrize("kind", LIMITS)
def test_a_limit_raised_step_by_step_ends_in_the_same_bytes(kind: str, tmp_path: Path, whole: tuple[str, int]) -> None:
    store, log = tmp_path / "store.db", tmp_path / "log"
    stops, part = 0, 1
    while (run := run_once(store, log, limits=LIMITS[kind](part))).stop.reason == "limit":
        assert run.id in exported(store)
        with Store(store) as open_store:
            assert find(open_store, run.id).status == "limit"
        stops, part = stops + 1, part + 2
        assert stops < 100
    assert stops >= 3
    assert exported(store) == whole[0]
    assert len(asked(log)) == whole[1]


def test_a_limit_stops_in_mid_round_before_the_next_request(tmp_path: Path) -> None:
    log = tmp_path / "log"
    run = run_once(tmp_path / "store.db", log, limits=Limits(max_requests=2))
    assert len(asked(log)) == run.num_asked == 2  # of a round's six: 32 queries in chunks of 12, written and scored
    assert run.rounds == []
    assert "--max-requests 2 (asked 2)" in run.stop.message


def test_seconds_are_those_of_this_process(tmp_path: Path) -> None:
    store, log = tmp_path / "store.db", tmp_path / "log"
    for _ in range(100):
        before = len(asked(log))
        run = run_once(store, log, limits=Limits(max_seconds=0.03))
        if run.stop.reason != "limit":
            break
        assert len(asked(log)) >= before
    run = run_once(store, log)
    assert run.stop.reason == "rounds"


def test_a_limit_in_money_needs_prices() -> None:
    with pytest.raises(InputError, match="give --prices FILE"):
        Limits(max_cost=1.0)
