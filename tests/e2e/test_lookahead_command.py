"""``winnow lookahead``: what it refuses, what it prints, and that an interrupted study goes on where it stopped."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.command import Command
from winnow.lookahead.amplify import amplify
from winnow.lookahead.looking import Looking
from winnow.lookahead.settings import StudySettings
from winnow.lookahead.study import analyse
from winnow.lookahead.texts import Document, prepare
from winnow.models.tabular import Tabular
from winnow.ports.program import Limits
from winnow.ports.requests import Complete, NextToken, NextTokens, Request
from winnow.runs.remembered import Remembered
from winnow.runs.store import Store
from winnow.runs.verify import verify
from winnow.study import compare_written, lookahead
from winnow.values.errors import CapabilityError, ContextError, InputError, LimitReached
from winnow.values.random import Key, uniforms

ROWS = [[0.5, 0.3, 0.19, 0.01], [0.1, 0.1, 0.79, 0.01], [0.33, 0.33, 0.33, 0.01], [0.4, 0.3, 0.29, 0.01]]
MODEL = Tabular("abc", ROWS, context_length=64)
_SIZE = 9
_WEIGHT = -np.log1p(-uniforms(Key(1), "weights", np.arange(_SIZE), _SIZE))
_WEIGHT[:4] = _WEIGHT[:4] ** 6  # after half of the symbols nearly one thing follows, after the others nearly anything
_WEIGHT[:, -1] = 0.002 * _WEIGHT.sum(axis=1)
RUGGED = (_WEIGHT / _WEIGHT.sum(axis=1, keepdims=True)).tolist()
SMALL = StudySettings(
    widths=(2,), depth=2, averages=(1.0,), powers=(), mixings=("linear",), horizon=3, horizon_stride=2
)


def documents(num: int = 60) -> list[Document]:
    reply = dict(MODEL.answer([Complete(prompts=("",) * num, slots=np.arange(num), key=Key(4), max_tokens=40)]))[0]
    return [Document(f"text {i}", text) for i, text in enumerate(reply.text) if len(text) > 2]


@pytest.fixture
def winnow(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(monkeypatch, capsys)


# ---- bad input, in Python


@pytest.mark.parametrize("text", ["", "a"])
def test_a_text_under_two_tokens_is_refused(text):
    with pytest.raises(InputError, match=r"tokens?, there is nothing to predict"):
        lookahead(MODEL, [Document("x.txt", text)], settings=SMALL)


def test_a_text_without_tokens_is_named_by_line_and_character():
    with pytest.raises(InputError, match=r"x\.txt:1: 'z'"):
        lookahead(MODEL, [Document("x.txt", "abzab")], settings=SMALL)


def test_a_depth_beyond_the_context_names_both():
    deep = StudySettings(widths=(2,), depth=65, powers=())
    with pytest.raises(ContextError, match=r"65 tokens of lookahead, the context holds 64"):
        lookahead(MODEL, documents(), settings=deep)
    with pytest.raises(ContextError, match="context holds 64"):
        amplify(MODEL, 2, 65)


@pytest.mark.parametrize("weight", [-0.1, 1.5])
def test_a_weight_outside_0_and_1_is_refused(weight):
    with pytest.raises(InputError, match=r"weight: must lie in \[0, 1\]"):
        StudySettings(weights=(weight,))
    with pytest.raises(InputError, match=r"weight: must lie in \[0, 1\]"):
        amplify(MODEL, weight=weight)


class OnlyCompletes:
    """As a hosted model: it writes, and does not tell what it might have written."""

    identity, chat, context_length, codec = "hosted", False, 64, MODEL.codec
    answers: frozenset[type[Request[Any]]] = frozenset({Complete})

    def answer(self, requests: Sequence[Request[Any]]) -> Iterator[tuple[int, Any]]:
        raise AssertionError("nothing may be asked")


class TopOnly(OnlyCompletes):
    """As a hosted model that tells its five most probable tokens, whatever it is asked."""

    answers: frozenset[type[Request[Any]]] = frozenset({NextToken})

    def answer(self, requests: Sequence[Request[Any]]) -> Iterator[tuple[int, Any]]:
        for index, request in enumerate(requests):
            reply = dict(MODEL.answer([NextToken(tree=request.tree, nodes=request.nodes, top=2)]))[0]
            yield index, NextTokens(token=reply.token, logprob=reply.logprob, cost=reply.cost)


@pytest.mark.parametrize("hosted", [OnlyCompletes(), TopOnly()])
def test_a_model_without_whole_distributions_is_refused_and_that_is_named_as_the_reason(hosted):
    with pytest.raises(CapabilityError, match="needs the whole next-token distribution"):
        lookahead(hosted, documents(), settings=SMALL)
    with pytest.raises(CapabilityError, match="needs the whole next-token distribution"):
        dict(amplify(hosted, 2, 2).answer([NextToken(tree=tree(), nodes=np.array([0]))]))


def tree():
    from winnow.values.tree import Tree

    return Tree([[0]])


def test_one_short_text_cannot_be_halved():
    with pytest.raises(InputError, match="two halves need at least two"):
        lookahead(MODEL, [Document("x", "abcabc")], settings=SMALL)


@pytest.mark.parametrize(("units", "said"), [(20, "looking ahead helps"), (19, "too little text to tell")])
def test_a_gain_in_too_few_units_is_no_verdict(units, said):
    """One unit, drawn again and again, is always itself: its interval has no width and says nothing."""
    truth = amplify(Tabular("abcdefgh", RUGGED, context_length=64), depth=2, power=2.0, weight=1.0)
    asked = Complete(prompts=("",) * 60, slots=np.arange(60), key=Key(5), max_tokens=50)
    texts = [Document(f"text {i}", one) for i, one in enumerate(dict(truth.answer([asked]))[0].text) if len(one) > 3]
    settings = StudySettings(widths=(8,), depth=2, averages=(2.0,), powers=(2.0,), future_depth=2, stride=1, horizon=0)
    found = lookahead(Tabular("abcdefgh", RUGGED, context_length=64), texts, settings=settings)
    assert found.helps
    size = np.unique(found.text.unit, return_inverse=True)[1] * units // np.unique(found.text.unit).size
    fewer = analyse(found.text._replace(unit=size), found.looks, [], settings, name="m", cost=found.cost)
    assert fewer.headline is not None
    assert fewer.headline.row.beyond.above
    assert said in fewer.verdict()
    assert fewer.helps == (units == 20)


# ---- resuming


class Counting:
    """Counts what is asked, and is killed after some replies."""

    def __init__(self, backend: Any, die_after: int | None = None) -> None:
        self.backend, self.asked, self.die_after = backend, 0, die_after
        self.identity, self.answers = backend.identity, backend.answers

    def answer(self, requests: Sequence[Request[Any]]) -> Iterator[tuple[int, Any]]:
        for index, reply in self.backend.answer(requests):
            if self.asked == self.die_after:
                raise KeyboardInterrupt
            self.asked += 1
            yield index, reply


def test_an_interrupted_study_resumes_and_asks_nothing_twice(tmp_path):
    from winnow.lookahead.settings import parts
    from winnow.lookahead.study import study
    from winnow.ports.program import run

    texts = prepare(documents(120), MODEL, depth=2)
    assert len(parts(texts, MODEL)) >= 1
    program = lambda: study(texts, MODEL, SMALL, name="m")  # noqa: E731
    whole = Counting(Looking(MODEL))
    expected = run(program(), whole).record()
    for die_after in range(whole.asked):
        store = Store(tmp_path / f"{die_after}.db")
        first = Counting(Looking(MODEL), die_after)
        with pytest.raises(KeyboardInterrupt):
            run(program(), Remembered(store, first))
        second = Counting(Looking(MODEL))
        remembered = Remembered(store, second)
        assert run(program(), remembered).record() == expected
        assert second.asked == whole.asked - die_after
        assert remembered.num_remembered == die_after
        assert not verify(store)[1]
        store.close()


def test_a_limit_stops_between_looks_and_what_is_answered_is_kept(tmp_path):
    with pytest.raises(LimitReached):
        lookahead(MODEL, documents(), settings=SMALL, store=tmp_path / "s.db", limits=Limits(max_requests=1))
    with Store(tmp_path / "s.db") as store:
        before = Remembered(store, Looking(MODEL))
        texts = prepare(documents(), MODEL, depth=2)
        list(before.answer(SMALL.looks(texts, MODEL)))
        assert before.num_remembered == 1


# ---- the command


def test_the_command_prints_a_verdict_and_json_holds_everything(winnow, tmp_path, monkeypatch):
    monkeypatch.setattr("winnow.models.load.load", lambda name, **_: MODEL)
    texts = tmp_path / "texts.jsonl"
    texts.write_text("".join(json.dumps({"text": one.text}) + "\n" for one in documents()))
    store = ("--store", tmp_path / "s.db")
    few = ("--width", "2", "--depth", "2", "--average", "1", "--power", "2", "--future-depth", "2", "--horizon", "3")
    ended = winnow("lookahead", "table", texts, *few, *store, "--weight", "0.5", "--write", "6")
    assert ended.code == 0, ended.err
    assert "beyond temperature and truncation" in ended.out.strip().splitlines()[-1]
    assert "at weight 0.5" in ended.out
    again = winnow("lookahead", "table", texts, *few, *store, "--json", "--model", "other")
    first, second = map(json.loads, again.out.splitlines())
    assert (first["model"], second["model"]) == ("table", "other")
    assert {row["depth"] for row in first["table"]} == {1, 2}
    assert first["verdict"] == second["verdict"]
    assert winnow("store", "verify", *store).code == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--weight", "1.5"), "weight: must lie in [0, 1]"),
        (("--depth", "600"), "the context holds"),
        (("--width", "two"), "'two' is not whole numbers with commas between them"),
        (("--width", "0"), "width: must be at least 1, not 0"),
        (("--depth", "1"), "depth: must be at least 2, not 1 (depth 1 is temperature and truncation, the rival)"),
        (("--weight", "nan"), "weight: must lie in [0, 1]"),
        (("--power", "-1"), "power: must be a number above 0"),
        (("--power", "nan"), "power: must be a number above 0"),
        (("--average", "inf"), "average: must be a number from 0 up"),
        (("--average", "none", "--power", "none"), "neither averages nor powers"),
        (("--horizon", "-1"), "horizon: must be at least 0"),
        (("--max-tokens", "1"), "max_tokens: must be at least 2, not 1"),
        (("--overlap", "-1"), "overlap: must be at least 0, not -1"),
        (("--write", "-1"), "-1 is not in the range"),
        ((), "text: 10 scored tokens are one unit"),
    ],
)
def test_bad_options_are_one_line_and_exit_code_2(winnow, tmp_path, words, said):
    text = tmp_path / "text.txt"
    text.write_text("Ada was here .\n")
    ended = winnow("lookahead", "bundled", text, "--no-store", *words)
    assert ended.code == 2
    assert said in ended.err
    assert ended.out == ""
    assert ended.err.splitlines()[-1].startswith(("winnow: ", "Error: "))
    assert "Traceback" not in ended.err


def test_a_text_the_bundled_model_cannot_write_is_named_by_file_line_and_character(winnow, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("Ada was here .\nAda met ☃ .\n")
    ended = winnow("lookahead", "bundled", text, "--no-store")
    assert ended.code == 2
    assert f"{text}:2: '☃'" in ended.err


def test_a_killed_process_goes_on_from_its_store(tmp_path):
    """The command, killed by a signal while it looks, and given again."""
    program = (
        "import sys, numpy as np, winnow.models.load as load\n"
        "from winnow.models.tabular import Tabular\n"
        "from winnow.values.random import Key\n"
        "load.load = lambda name, **_: Tabular.random('abcdefgh', order=2, key=Key(2), context_length=256)\n"
        "from winnow.cli import main\n"
        "main()\n"
    )
    text = tmp_path / "text.txt"
    text.write_text("abcdefghhgfedcbaabab" * 400)
    few = ["--width", "4", "--depth", "4", "--average", "1", "--power", "none", "--horizon", "0", "--store"]
    command = [sys.executable, "-c", program, "lookahead", "table", str(text), *few, str(tmp_path / "s.db"), "--json"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while _kept(tmp_path / "s.db") < 2 and time.monotonic() < until and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = _kept(tmp_path / "s.db")
    assert kept >= 2
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["positions"] == 7999
    fresh = [*command[:-2], str(tmp_path / "fresh.db"), "--json"]
    assert json.loads(subprocess.run(fresh, capture_output=True, text=True, check=True).stdout) == json.loads(
        done.stdout
    )
    assert _kept(tmp_path / "s.db") == _kept(tmp_path / "fresh.db")


def _kept(file: Path) -> int:
    import sqlite3

    if not file.exists():
        return 0
    try:
        with sqlite3.connect(file) as connection:
            return int(connection.execute("SELECT count(*) FROM replies").fetchone()[0])
    except sqlite3.Error:
        return 0


def test_texts_are_written_naive_and_amplified():
    study = lookahead(MODEL, documents(), settings=SMALL)
    rows = compare_written(study, MODEL, num=12, prompt_tokens=4, max_tokens=12)
    assert [one.kind.split(",")[0] for one in rows] == ["naive", "naive", "amplified"]
    naive, best, ahead = rows
    assert best.plausibility.mean > naive.plausibility.mean
    assert abs(best.tokens - ahead.tokens) / ahead.tokens < 1.0, "equal budget, within the rounding of a whole number"
    for one in rows:
        assert 0 <= one.repetition.mean <= 1
        assert one.texts > 4
