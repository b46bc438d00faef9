"""A run out of a store gives the report that the run in memory gives; the command finds runs and directories."""

from __future__ import annotations

from dataclasses import replace

import pytest

import winnow as wn
from tests.support.command import Command
from tests.support.organism import Organism
from winnow.ports.program import Limits
from winnow.report.data import from_run
from winnow.report.sections import sections
from winnow.report.stored import from_store
from winnow.runs.store import Store


def kept(place, *, limits=None, **changes):
    """A run in memory, and the store that holds it."""
    settings = {
        "queries": [f"q{i}?" for i in range(60)],
        "gold": ["right"] * 60,
        "rounds": 3,
        "reuse": True,
        "examples": 4,
        "max_tokens": 2,
    }
    model = Organism()
    task = replace(wn.Task(**{**settings, **changes}), evaluator=model)
    return wn.adapt(model, task, seed=5, store=str(place), limits=limits)


@pytest.mark.parametrize("changes", [{}, {"buffer": "appended"}, {"gold": None}, {"limits": Limits(max_requests=4)}])
def test_a_store_gives_what_the_run_gives(tmp_path, changes):
    run = kept(tmp_path / "s.db", **changes)
    told = from_run(run, label=run.id)
    with Store(str(tmp_path / "s.db"), create=False) as store:
        read = from_store(store, run.id)
    assert read["context"] == told["context"]
    assert read["rounds"] == told["rounds"]
    assert read["stop"] == told["stop"]
    assert read["spent"]["everything"] == told["spent"]["everything"]
    assert sections([read]) == sections([told])


@pytest.fixture
def command(monkeypatch, capsys):
    return Command(monkeypatch, capsys)


def test_the_command_takes_ids_and_directories(tmp_path, command):
    run = kept(tmp_path / "s.db")
    run.save(tmp_path / "kept")
    done = command("report", run.id[:6], tmp_path / "kept", "--store", tmp_path / "s.db", "-o", tmp_path / "r.html")
    assert done.code == 0
    assert done.out.strip() == f"report: {tmp_path / 'r.html'}"
    assert run.id in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_the_command_names_what_it_does_not_find(tmp_path, command):
    kept(tmp_path / "s.db")
    done = command("report", "nothing", "--store", tmp_path / "s.db", "-o", tmp_path / "r.html")
    assert done.code == 2
    assert "there is no run 'nothing'" in done.err
    assert not (tmp_path / "r.html").exists()
