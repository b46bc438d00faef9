"""Model strings with a search in them: ``MODEL+beam:8``; in adapt, resumed, and what is wrong with one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import winnow as wn
from tests.support.command import Command
from winnow.loading import parse
from winnow.ports.asking import ask_all
from winnow.ports.program import Limits
from winnow.ports.requests import Complete
from winnow.search.searching import Searching
from winnow.values.errors import InputError
from winnow.values.random import Key


def test_a_name_holds_a_search_its_size_and_its_settings() -> None:
    assert parse("beam:8") == ("beam", None, {"width": 8})
    assert parse("best-of-n:4,evaluator=verifier numeric") == ("best-of-n", "verifier numeric", {"num": 4})
    assert parse("smc:particles=9,power=2") == ("smc", None, {"particles": 9, "power": 2.0})
    assert parse("mcts") == ("mcts", None, {})


@pytest.mark.parametrize(("spec", "message"), [
    ("baem:8", "did you mean 'beam'"),
    ("beam:widht=8", "did you mean 'width'"),
    ("beam:eight", "width is 'eight', and not of type int"),
    ("evolve:8", "takes no '8' here"),
])  # fmt: skip
def test_what_is_wrong_with_one_is_said(spec: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse(spec)


def test_a_loaded_one_completes_as_the_search_finds(tiny_model: Callable[..., str]) -> None:
    path = tiny_model("llama")
    model = wn.load(f"{path}+beam:4", batch_size=16)
    assert isinstance(model, Searching)
    request = Complete(prompts=("ab", "cd a"), slots=np.arange(2), key=Key(1), max_tokens=5)
    written = ask_all(model, [request])[0]
    plain = wn.load(path, batch_size=16)
    for row, prompt in enumerate(request.prompts):
        found = wn.search(plain, prompt, "beam", width=4, depth=5)
        assert written.text[row] == found.text
        assert written.logprob[row] == pytest.approx(found.logprob[found.best], abs=1e-3)


def test_adapt_runs_on_one_and_each_search_is_an_entry_that_resumes(
    tiny_model: Callable[..., str], tmp_path: Path
) -> None:
    """Stopped in the middle and resumed, nothing that was searched is searched again, and the ledger is the same."""
    model = wn.load(f"{tiny_model('llama', max_position_embeddings=400)}+best-of-n:3,evaluator=verifier regex=a")
    task = wn.Task(
        name="letters", queries=tuple("abcd"), evaluator="verifier regex=a", rounds=1, examples=2, max_tokens=4
    )
    whole = wn.adapt(model, task, store=tmp_path / "whole.db")
    stopped = wn.adapt(model, task, store=tmp_path / "part.db", limits=Limits(max_requests=3))
    assert stopped.stop.reason == "limit"
    resumed = wn.resume(stopped.id, store=tmp_path / "part.db")
    assert [answer.item for answer in resumed.answers] == [answer.item for answer in whole.answers]
    assert resumed.num_replayed == 3
    assert resumed.num_asked + 3 == whole.num_asked


def test_the_command_line_takes_one(
    tiny_model: Callable[..., str], monkeypatch: Any, capsys: Any, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "q.txt").write_text("a\nb\nc\n")
    winnow = Command(monkeypatch, capsys)
    asked: tuple[object, ...] = (
        "--queries",
        "q.txt",
        "--evaluator",
        "verifier regex=a",
        "--rounds",
        1,
        "--examples",
        2,
    )
    said = winnow(
        "adapt", "--model", f"{tiny_model('llama', max_position_embeddings=400)}+beam:3", *asked, "--store", "s.db"
    )
    assert said.code in (0, 4), said.err
    wrong = winnow("adapt", "--model", f"{tiny_model('llama', max_position_embeddings=400)}+baem:3", *asked)
    assert wrong.code == 2
    assert "did you mean 'beam'?" in wrong.err
