"""``winnow lookahead words``: on a small model of characters, in three ways; what it cannot read it refuses in a line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.support.command import Command
from winnow.cli.lookahead_words import _split
from winnow.lookahead.unspaced import Line, alphabet_of, join, lines_of, words_of
from winnow.lookahead.words import segment, spelled
from winnow.models.load import load
from winnow.ports.program import run
from winnow.ports.requests import LogProb

TEXT = "bg hb gg\nhhb bg\n\nbgh\ngb hg bbg hh\n" * 12  # letters that the tests' tokenizer does not join


@pytest.fixture
def winnow(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text(TEXT)
    return Command(monkeypatch, capsys)


def test_ways_are_in_the_table_in_json_and_in_a_sentence(winnow: Command, tiny_model: Callable[..., str]) -> None:
    call = ("lookahead", "words", tiny_model("llama"), "text.txt", "--held-out", 0.5, "--max-lines", 6, "--width", 8)
    shown = winnow(*call)
    assert shown.code == 0, shown.err
    for row in ("longest match (floor)", "forward pass alone", "greedy, 1", "decided 4 characters", "to the end"):
        assert row in shown.out
    told = winnow(*call, "--json")
    report = json.loads(told.out)
    assert report["num_lines"] == 6
    assert report["verdict"] in told.err
    ways = {way["name"]: way for way in report["ways"]}
    assert ways["longest match (floor)"]["f1"]["value"] > 0.5  # its words are those of the other half
    assert all(0 <= way["f1"]["low"] <= way["f1"]["value"] <= way["f1"]["high"] <= 1 for way in report["ways"])
    assert winnow(*call, "--json").out == told.out


def test_what_is_held_out_is_the_end_of_each_text_and_its_words_are_not_the_floors() -> None:
    rest, lines = _split([(Path("a"), "one\ntwo\nthree four\nfive six\n"), (Path("b"), "x y\nz z\n")], 0.5)
    assert [line.text for line in lines] == ["three four", "five six", "z z"]
    assert [line.number for line in lines] == [3, 4, 2]
    assert set(words_of(rest)) == {"one", "two", "x", "y"}


def test_a_width_that_keeps_everything_is_proven(winnow: Command, tiny_model: Callable[..., str]) -> None:
    call = ("lookahead", "words", tiny_model("llama"), "text.txt", "--held-out", 0.5, "--max-lines", 4, "--json")
    full = json.loads(winnow(*call, "--width", 512, "--memory", 0).out)
    assert full["proven"] == 1.0
    assert full["truth_higher"] == 0.0
    one = json.loads(winnow(*call, "--width", 1).out)
    assert one["logprob"][0] <= full["logprob"][0] + 1e-6


def test_what_is_found_has_the_probability_that_the_model_gives_its_text(tiny_model: Callable[..., str]) -> None:
    model = load(tiny_model("llama"))
    lines = lines_of(TEXT)[:7]
    alphabet = alphabet_of(model.codec, lines, name="tiny")
    for width, memory in ((1, None), (3, None), (5, 4), (40, None)):
        found = run(segment(lines, alphabet, width=width, memory=memory), model)
        texts = [join(line.characters, marks) for line, marks in zip(lines, found.spaced, strict=True)]
        first = [text[:1] for text in texts]
        [(_, reply)] = model.answer([LogProb(prompts=tuple(first), continuations=tuple((t[1:],) for t in texts))])
        lead = run(spelled([Line(1, one, np.zeros(1, bool)) for one in first], alphabet), model)
        np.testing.assert_allclose(found.logprob, lead + np.concatenate(reply.logprob), rtol=0, atol=1e-4)


def test_models_that_do_not_read_characters_are_refused(winnow: Command, tiny_model: Callable[..., str]) -> None:
    Path("joined.txt").write_text("abcd ab\n" * 9)
    ended = winnow("lookahead", "words", tiny_model("llama"), "joined.txt", "--held-out", 0.5)
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "no character-level model" in ended.err
    ended = winnow("lookahead", "words", "bundled", "text.txt", "--held-out", 0.5)
    assert (ended.code, ended.err.count("\n")) == (2, 1)


@pytest.mark.parametrize(
    ("text", "words", "message"),
    [
        ("bg hb\n" * 40, ("--lags", "2,x"), "--lags"),
        ("bg hb\n" * 40, ("--held-out", "1"), "no text is left"),
        ("bghb\n" * 40, (), "no line of at least two words"),
        ("bg hb\n" * 40, ("--lexicon", "none.txt"), "none.txt"),
        ("bg hz\n" * 40, (), "given.txt:21: the tokenizer has no token for 'z'"),
        (None, (), "no such file"),
    ],
)
def test_bad_input_is_refused_in_one_line(
    winnow: Command, tiny_model: Callable[..., str], text: str | None, words: tuple[str, ...], message: str
) -> None:
    if text is not None:
        Path("given.txt").write_text(text)
    ended = winnow("lookahead", "words", tiny_model("llama"), "given.txt", "--held-out", 0.5, *words)
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert message in ended.err
