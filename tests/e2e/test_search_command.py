"""``winnow search``: every search runs, says what it found in three ways, stops with its best, and refuses in one line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import Command
from tests.support.masked import write_masked

EVALUATOR = "verifier regex=b"
FEW: dict[str, tuple[object, ...]] = {
    "beam": ("--width", 3),
    "smc": ("--particles", 5, "--power", 2),
    "mcts": ("--simulations", 6, "--width", 3, "--batch", 3),
    "best-of-n": ("--num", 4, "--evaluator", EVALUATOR),
    "evolve": ("--population", 4, "--rounds", 3),
}


@pytest.fixture
def winnow(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    monkeypatch.chdir(tmp_path)
    return Command(monkeypatch, capsys)


@pytest.fixture(scope="session")
def tiny_masked(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_masked(tmp_path_factory.mktemp("tiny-bert"))


def words(name: str, model: str, masked: str, *more: object) -> tuple[object, ...]:
    depth = () if "--depth" in more else ("--depth", 6)
    edits = ("--masked", masked) if name == "evolve" else ()
    return ("search", name, "--model", model, *depth, *FEW[name], *edits, *more)


@pytest.mark.parametrize("name", FEW)
def test_every_search_prints_and_draws(
    name: str, winnow: Command, tiny_model: Callable[..., str], tiny_masked: str, tmp_path: Path
) -> None:
    model, page = tiny_model("llama"), tmp_path / "tree.html"
    said = winnow(*words(name, model, tiny_masked, "--trace", page, "ab cd"))
    assert said.code == 0, said.err
    assert said.out.strip()
    assert "cost:" in said.err
    text = page.read_text()
    assert "<svg" in text
    assert "<script" not in text
    record = json.loads(winnow(*words(name, model, tiny_masked, "--json", "ab cd")).out)
    assert record["prompt"] == "ab cd"
    assert record["stop"] is None
    assert record["cost"]["calls"] > 0
    rows = record["individuals"]
    assert record["best"] == rows[0]["text"]
    assert all(row["logprob"] < 0 for row in rows)
    again = json.loads(winnow(*words(name, model, tiny_masked, "--json", "ab cd")).out)
    assert again == record


def test_a_file_of_prompts_gives_a_line_each(winnow: Command, tiny_model: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("ab\ncd\n")
    said = winnow("search", "beam", "--model", tiny_model("llama"), "--depth", 3, "--json", "--prompts", "prompts.txt")
    assert [json.loads(line)["prompt"] for line in said.out.splitlines()] == ["ab", "cd"]


def test_limits_are_those_of_the_whole_command(winnow: Command, tiny_model: Callable[..., str], tmp_path: Path) -> None:
    """Two searches of three requests each: with four allowed the second stops after one."""
    (tmp_path / "prompts.txt").write_text("ab\ncd\nab\n")
    asked = ("search", "smc", "--model", tiny_model("llama"), "--depth", 3, "--particles", 40, "--json")
    said = winnow(*asked, "--prompts", "prompts.txt", "--max-requests", 4)
    assert said.code == 3
    first, second = (json.loads(line) for line in said.out.splitlines())
    assert first["stop"] is None
    assert "--max-requests 4 (asked 4)" in second["stop"]
    assert max(row["num_tokens"] for row in second["individuals"]) == 1


@pytest.mark.parametrize("name", FEW)
def test_a_search_is_one_entry_of_a_store_and_is_not_computed_again(
    name: str, winnow: Command, tiny_model: Callable[..., str], tiny_masked: str
) -> None:
    asked = words(name, tiny_model("llama"), tiny_masked, "--store", "kept.db", "--json", "ab cd")
    first = winnow(*asked)
    assert first.code == 0, first.err
    assert entries("kept.db") == 1
    again = winnow(*asked, "--max-requests", 0)  # nothing may be asked, and nothing is
    assert again.code == 0, again.err
    assert again.out == first.out
    assert "what the store holds" in again.err
    assert winnow("store", "verify", "--store", "kept.db").code == 0
    other = winnow(*asked, "--seed", 1)
    assert other.code == 0
    assert entries("kept.db") == 2


def test_a_search_that_was_stopped_leaves_no_entry_and_is_computed_anew(
    winnow: Command, tiny_model: Callable[..., str]
) -> None:
    asked = words("smc", tiny_model("llama"), "", "--particles", 30, "--store", "kept.db", "--json", "ab cd")
    assert winnow(*asked, "--max-requests", 2).code == 3
    assert entries("kept.db") == 0
    whole = winnow(*asked)
    assert whole.code == 0
    assert json.loads(whole.out)["stop"] is None
    assert entries("kept.db") == 1


def entries(file: str) -> int:
    import sqlite3

    with sqlite3.connect(file) as connection:
        return int(connection.execute("select count(*) from replies").fetchone()[0])


@pytest.mark.parametrize("name", ["beam", "smc", "mcts", "evolve"])
def test_a_limit_keeps_the_best_so_far(
    name: str, winnow: Command, tiny_model: Callable[..., str], tiny_masked: str
) -> None:
    requests = {"mcts": 30, "evolve": 9}.get(name, 3)
    said = winnow(*words(name, tiny_model("llama"), tiny_masked, "--json", "--max-requests", requests, "ab cd"))
    assert said.code == 3, said.err
    record = json.loads(said.out)
    assert record["individuals"]
    assert "--max-requests" in record["stop"]
    assert "best so far" in said.err


def test_help_is_in_the_searchs_own_words(winnow: Command) -> None:
    said = winnow("search", "smc", "--help")
    assert said.code == 0
    assert "--power" in said.out
    assert "Exponent of the model's probability" in " ".join(said.out.split())


OWN = '''
import numpy as np
from winnow.search.beam import beam

def greedy(problem, *, depth: int = 4):
    """The most probable token, again and again.

    Parameters
    ----------
    depth : most tokens written.
    """
    return (yield from beam(problem.tree, 0, width=1, depth=depth, end_tokens=problem.end_tokens))

asked = []

def breaks(query, answer):
    asked.append(answer)
    if len(asked) > 40:
        raise RuntimeError("out of paper")
    return 0.5

def interrupts(query, answer):
    raise KeyboardInterrupt
'''


def test_a_search_of_ones_own(winnow: Command, tiny_model: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "mine_1.py").write_text(OWN)
    said = winnow("search", "mine_1:greedy", "--model", tiny_model("llama"), "--depth", 2, "--json", "ab")
    assert said.code == 0, said.err
    assert json.loads(said.out)["individuals"][0]["num_tokens"] <= 2
    assert "Most tokens written." in winnow("search", "mine_1:greedy", "--help").out


def test_a_callable_that_raises_keeps_what_was_found(
    winnow: Command, tiny_model: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "mine_2.py").write_text(OWN)
    evaluator = "verifier mine_2:breaks"
    mcts = winnow(*words("mcts", tiny_model("llama"), "", "--depth", 12, "--evaluator", evaluator, "--json", "ab cd"))
    assert mcts.code == 2
    assert "raised RuntimeError: 'out of paper'" in mcts.err
    assert json.loads(mcts.out)["individuals"]
    best = winnow(*words("best-of-n", tiny_model("llama"), "", "--evaluator", evaluator, "--json", "ab cd"))
    assert best.code == 2
    assert len(json.loads(best.out)["individuals"]) == 4  # the completions were paid for
    plain = winnow(*words("best-of-n", tiny_model("llama"), "", "--evaluator", "verifier mine_2:interrupts", "ab cd"))
    assert plain.code == 130
    assert plain.out


def bad_input(model: str, masked: str) -> dict[str, tuple[tuple[object, ...], str]]:
    long = "ab cd " * 60
    return {
        "unknown search": (("search", "baem", "--model", model, "ab"), "did you mean 'beam'?"),
        "width over the vocabulary": (words("beam", model, masked, "--width", 999, "ab"), "over the vocabulary's"),
        "no room": (words("beam", model, masked, long), "no room left after the prompt"),
        "too deep": (words("smc", model, masked, "--depth", 95, "ab cd"), "at most --depth"),
        "no such ending": (words("beam", model, masked, "--ending", "proved", "ab"), "did you mean 'proven'?"),
        "no such resampler": (words("smc", model, masked, "--resampler", "x", "ab"), "no resampling scheme 'x'"),
        "no such value": (words("mcts", model, masked, "--value", "likelyhood", "ab"), "did you mean 'likelihood'?"),
        "no heads": (words("mcts", model, masked, "--value", "heads", "ab"), "no backend here answers Appraise"),
        "a grammar that is none": (words("beam", model, masked, "--regex", "(", "ab"), "unclosed group"),
        "a grammar nothing meets": (words("beam", model, masked, "--regex", "zzz", "ab"), "no text of this model"),
        "no evaluator": (("search", "best-of-n", "--model", model, "ab"), "there is none"),
        "a twist of nothing": (words("smc", model, masked, "--twist", "ab"), "twist: asks an evaluator"),
        "a potential of nothing": (words("smc", model, masked, "--potential", "steps", "ab"), "asks an evaluator"),
        "no such potential": (words("smc", model, masked, "--potential", "step", "ab"), "did you mean 'steps'?"),
        "a grammar for edits": (words("evolve", model, masked, "--regex", "a", "ab"), "edits whole texts"),
        "a value of nothing": (words("mcts", model, masked, "--value", "evaluator", "ab"), "there is no evaluator"),
        "no mask token": (words("evolve", model, model, "ab"), "has no mask token"),
        "a causal model that is masked": (words("beam", masked, masked, "ab"), "is a masked model"),
        "no such fitness": (words("evolve", model, masked, "--fitness", "psuedo", "ab"), "did you mean 'pseudo'?"),
        "no such selection": (words("evolve", model, masked, "--select", "soff", "ab"), "did you mean 'soft'?"),
        "no prompt": (("search", "beam", "--model", model), "give a PROMPT or --prompts FILE"),
        "a missing file": (("search", "beam", "--model", model, "--prompts", "nix.txt"), "nix.txt: no such file"),
        "no such evaluator": (words("beam", model, masked, "--evaluator", "servey", "ab"), "did you mean 'survey'?"),
        "phrases and groups": (words("beam", model, masked, "--groups", 3, "--phrase", "a", "ab"), "one of the two"),
        "groups that do not divide": (words("beam", model, masked, "--groups", 2, "ab"), "must divide width"),
        "a phrase too long": (words("beam", model, masked, "--phrase", "abc" * 9, "ab"), "raise depth"),
        "an end of many tokens": (words("beam", model, masked, "--end", "abcdef", "ab"), "not one"),
    }


BAD = list(bad_input("", ""))


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_in_a_line(
    name: str, winnow: Command, tiny_model: Callable[..., str], tiny_masked: str
) -> None:
    asked, message = bad_input(tiny_model("llama"), tiny_masked)[name]
    said: Any = winnow(*asked)
    assert said.code == 2, said
    assert said.out == ""
    assert "\n" not in said.err.strip()
    assert message in said.err


def test_an_unknown_option_names_the_nearest(winnow: Command, tiny_model: Callable[..., str]) -> None:
    said = winnow("search", "beam", "--model", tiny_model("llama"), "--widht", 3, "ab")
    assert said.code == 2
    assert "--width" in said.err


@pytest.mark.parametrize("name", ["beam", "smc"])
def test_every_finished_text_obeys_its_expression(name: str, winnow: Command, tiny_model: Callable[..., str]) -> None:
    pattern = "(ab|cd)+( a| ?e)"
    for kind in ("llama", "gpt2"):
        more = ("--width", 8) if name == "beam" else ()
        asked = words(name, tiny_model(kind, seed=1), "", "--depth", 8, "--regex", pattern, "--json", *more, "ab cd")
        rows = json.loads(winnow(*asked).out)["individuals"]
        done = [row["text"] for row in rows if row["finished"]]
        assert done
        assert all(re.fullmatch(pattern, text) for text in done), done


@pytest.mark.parametrize("name", ["beam", "smc", "mcts"])
def test_a_grammar_that_is_not_met_within_the_depth(name: str, winnow: Command, tiny_model: Callable[..., str]) -> None:
    said = winnow(*words(name, tiny_model("llama"), "", "--regex", "a{40}b", "--json", "ab"))
    assert said.code == 2
    assert "no text met it within the depth" in said.err
    assert set(json.loads(said.out)["best"]) <= {"a"}
