"""``winnow lookahead articles``: items of one's own and built-in ones, in three ways; bad ones are refused in a line."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import click
import pytest

from tests.support.command import Command
from winnow.lookahead.situations import english, read_situations, world

ITEM = {"context": "bad", "openings": {" a": [" b", " g"], " an": [" f", " h"]}, "neutral": [" d"]}
LETTERS = {"context": "a bed.", "initials": {" a": "bcdfgh", " e": "ae"}, "neutral": [" g", " h"], "group": "letters"}


@pytest.fixture
def winnow(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    monkeypatch.chdir(tmp_path)
    return Command(monkeypatch, capsys)


def items(*rows: object) -> str:
    Path("items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return "items.jsonl"


def few() -> str:
    """Two groups of listed endings and of initials, with tokens that cut across words."""
    contexts = ("bad", "a dab", "he", "cab bag", "dead.")
    listed = [{**ITEM, "context": one, "openings": {" a": [" b", " gab"], " he": [" f", " had"]}} for one in contexts]
    return items(*listed, *({**LETTERS, "context": one} for one in contexts))


def test_figures_are_in_the_table_in_json_and_in_a_sentence(winnow: Command, tiny_model: Callable[..., str]) -> None:
    model = tiny_model("llama")
    shown = winnow("lookahead", "articles", model, "--items", few(), "--draws", 200)
    assert shown.code == 0, shown.err
    for row in ("index: grammar -1, planning +1", "planning P", "grammar G", "situations (clusters)", "5 (5)"):
        assert row in shown.out
    told = winnow("lookahead", "articles", model, "--items", few(), "--draws", 200, "--json")
    groups = [json.loads(line) for line in told.out.splitlines()]
    assert [one["group"] for one in groups] == ["all", "letters"]
    for one in groups:
        assert one["num"] == 5
        assert one["index"] is None or -1 <= one["index"]["low"] <= one["index"]["value"] <= one["index"]["high"] <= 1
        assert 0 <= one["right"]["value"] <= 1
        assert one["verdict"] in told.err
    again = winnow("lookahead", "articles", model, "--items", few(), "--draws", 200, "--json")
    assert again.out == told.out


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("nonsense", "items.jsonl:1: is not"),
        ({"openings": {}}, "has no key 'context'"),
        ({"context": "a"}, "has no key 'openings'"),
        ({**ITEM, "nuetral": []}, "did you mean 'neutral'?"),
        ({**ITEM, "openings": [" a"]}, "wrong type"),
        ({**ITEM, "neutral": []}, "nothing says what the ending would be"),
        ({**LETTERS, "initials": {" a": "BC", " an": "e"}}, "small letters"),
        ({"prompt": "x", "article": " a", "noun": " b"}, "not like the bundled world's"),
    ],
)
def test_bad_items_are_refused_in_one_line_that_names_theirs(winnow: Command, row: object, message: str) -> None:
    ended = winnow("lookahead", "articles", "bundled", "--items", items(row))
    assert ended.code == 2
    assert message in ended.err
    assert ended.err.count("\n") == 1
    assert "items.jsonl" in ended.err


def test_missing_files_models_and_letters_without_tokens_are_refused(
    winnow: Command, tiny_model: Callable[..., str]
) -> None:
    for words in (("bundled", "--items", "none.jsonl"), ("no/such/model",)):
        ended = winnow("lookahead", "articles", *words)
        assert (ended.code, ended.err.count("\n")) == (2, 1)
    known = {**ITEM, "openings": {" a": [" b", " g"], " e": [" f", " h"]}}
    for row in ({**known, "context": "bad ☃"}, {**known, "openings": {" a": [" b", " ☃"], " e": [" f", " h"]}}):
        ended = winnow("lookahead", "articles", tiny_model("llama"), "--items", items(known, row))
        assert (ended.code, ended.err.count("\n")) == (2, 1)
        assert "items.jsonl:2: this model's tokenizer has no token for '☃'" in ended.err


def test_built_in_situations_are_whole(winnow: Command) -> None:
    assert len(english("articles")) >= 36
    assert all(one.initials and len(one.neutral) >= 2 for one in english("articles"))
    assert len({one.demanded for one in english("rhymes")}) >= 5
    articles, rhymes = world("articles"), world("rhymes")
    assert len({one.group for one in articles}) == 3
    assert all(one.ending and one.context.endswith("and beside it") for one in articles)
    assert all(len(one.openings) == 12 and one.context.endswith("and the") and one.unseen for one in rhymes)
    # never seen in this context means never the thing whose everyday colour rhymes there
    assert all(one.class_of(opening) != one.demanded for one in rhymes for opening in one.unseen)


def test_the_bundled_worlds_own_files_can_be_given(tmp_path: Path) -> None:
    for name in ("articles", "rhymes"):
        path = Path(str(resources.files("winnow") / "data" / f"{name}.jsonl"))
        assert read_situations(path) == world(name)


def test_the_bundled_model_plans_couplets_it_has_seen(winnow: Command) -> None:
    told = winnow("lookahead", "articles", "bundled", "--json", "--draws", 200)
    groups = {one["group"]: one for one in map(json.loads, told.out.splitlines())}
    assert groups["articles: couplet"]["index"]["low"] > 0.9
    assert groups["articles: couplet"]["coverage"] > 0.9
    assert groups["articles: never after an article"]["planning"]["high"] < 0.5


@pytest.mark.parametrize("name", ["articles", "words"])
def test_the_questions_say_what_they_are_and_every_option_what_it_does(winnow: Command, name: str) -> None:
    said = winnow("lookahead", name, "--help")
    assert said.code == 0
    assert f"winnow lookahead {name} [OPTIONS] MODEL" in said.out
    command = getattr(importlib.import_module(f"winnow.cli.lookahead_{name}"), name)
    assert all(option.help for option in command.params if isinstance(option, click.Option))
