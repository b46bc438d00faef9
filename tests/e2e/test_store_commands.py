"""The commands around a store, on a small transformers model: adapt, resume, runs, show, export, retract, verify, plan."""

from __future__ import annotations

import csv
import dataclasses
import importlib.util
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.support.command import Command
from winnow.runs.reading import find
from winnow.runs.schema import individuals, replies, requests, rounds
from winnow.runs.store import Store

CHECK = "def check(query, answer):\n    return len(answer) % 3 / 2\n"


@pytest.fixture
def place(tmp_path: Path, tiny_model: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a model, a task and a store of its own."""
    shutil.copytree(tiny_model("llama"), tmp_path / "model")
    (tmp_path / "queries.txt").write_text("".join(f"{a}{b}?\n" for a in "abcd" for b in "abcd"))
    task = {"pair": "{query} {answer}.", "stop": ".", "max_tokens": 4, "rounds": 2, "examples": 2, "reuse": True}
    task |= {"model": "model", "queries": "queries.txt", "evaluator": "verifier letters:check"}
    (tmp_path / "task.yaml").write_text(json.dumps(task))
    (tmp_path / "letters.py").write_text(CHECK)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("WINNOW_STORE", str(tmp_path / "store.db"))
    return tmp_path


@pytest.fixture
def winnow(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(monkeypatch, capsys)


ADAPT = ("adapt", "task.yaml", "--batch-size", "4")


def test_adapt_again_resume_and_fresh(place: Path, winnow: Command) -> None:
    stopped = winnow(*ADAPT, "--max-requests", "3")
    assert stopped.code == 3
    assert "begins; kept in" in stopped.err
    assert "go on with a higher limit: winnow resume" in stopped.out
    run = find(Store("store.db"), "last").id
    resumed = winnow("resume", run[:5])
    assert resumed.code == 0
    assert f"run {run}: goes on from the store (limit)" in resumed.err
    assert "3 answered from the store" in resumed.out
    again = winnow(*ADAPT)
    assert again.code == 0
    assert "finished before, so it is replayed from the store and asks nothing new" in again.err
    assert "0 requests asked" in again.out
    assert again.out.splitlines()[:4] == resumed.out.splitlines()[:4]
    fresh = winnow(*ADAPT, "--fresh")
    assert "0 answered from the store" in fresh.out
    assert fresh.out.splitlines()[:4] == resumed.out.splitlines()[:4]
    listed = winnow("runs").out.splitlines()
    assert listed[0].split()[0] == run
    assert [line.split()[3] for line in listed] == ["done", "done"]
    assert [json.loads(line)["status"] for line in winnow("runs", "--json").out.splitlines()] == ["done"] * 2
    assert winnow(*ADAPT, "--no-store").out.splitlines()[:4] == resumed.out.splitlines()[:4]
    assert len(winnow("runs").out.splitlines()) == 2


def test_a_limit_in_money(place: Path, winnow: Command) -> None:
    (place / "prices.yaml").write_text("currency: EUR\nmodels: {model: {call: 0.5, prompt: 1, new: 2}}\n")
    assert winnow(*ADAPT, "--max-cost", "1").err.startswith("winnow: --max-cost: a limit in money needs prices")
    stopped = winnow(*ADAPT, "--max-cost", "1", "--prices", "prices.yaml")
    assert stopped.code == 3
    spent = re.search(r"--max-cost 1 \(spent ([\d.]+)\)", stopped.out)  # between two requests: what was over is said
    assert spent is not None
    assert float(spent[1]) > 1
    (place / "prices.yaml").write_text("models: {bundled: {prompt: 1}}\n")
    assert "has no price for 'model'" in winnow(*ADAPT, "--max-cost", "1", "--prices", "prices.yaml").err


def test_changed_weights_code_and_input_are_noticed_at_the_first_request_that_differs(
    place: Path, winnow: Command, tiny_model: Callable[..., str]
) -> None:
    winnow(*ADAPT, "--max-requests", "3")
    before = find(Store("store.db"), "last")
    model = before.settings["model"]
    kept = place / "kept.safetensors"
    shutil.move(place / "model" / "model.safetensors", kept)
    shutil.copy(Path(tiny_model("llama", seed=1)) / "model.safetensors", place / "model" / "model.safetensors")
    noticed = winnow("resume", "last")
    assert noticed.code == 5
    assert find(Store("store.db"), "last").status == "limit"
    words = noticed.err.splitlines()[-1]
    assert "request 1 was " in words
    assert f"backend was {model}, now model@" in words
    assert "model.safetensors" in words
    shutil.move(kept, place / "model" / "model.safetensors")
    (place / "letters.py").write_text(CHECK + "# the same, says nobody\n")
    del sys.modules["letters"]
    noticed = winnow("resume", "last")
    assert noticed.code == 5
    assert "backend was verifier letters:check" in noticed.err
    (place / "letters.py").write_text(CHECK)
    del sys.modules["letters"]
    (place / "queries.txt").write_text("ab?\ncd?\nbc?\n")
    other = winnow(*ADAPT, "--max-requests", "1")  # another input is another run, and it says which was near
    assert other.code == 3
    assert f"run {before.id} of this task is unfinished; it differs in queries" in other.err
    assert winnow("resume", before.id).code == 0


def test_code_that_changed_nothing_asked_is_named_when_a_run_goes_on(
    place: Path, winnow: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    winnow(*ADAPT)
    assert "since then changed" not in winnow(*ADAPT).err
    monkeypatch.setattr("winnow.runs.provenance.source_hash", lambda: "f" * 16)
    said = winnow(*ADAPT)
    assert said.code == 0
    assert re.search(
        r"since then changed: source [0-9a-f]{16} -> f{16}; figures are computed anew from the replies", said.err
    )


def test_show(place: Path, winnow: Command) -> None:
    winnow(*ADAPT)
    page = winnow("show", "last").out
    for words in (
        "done",
        "all 2 rounds are done",
        "model@",
        "verifier letters:check",
        "session 1",
        "sha256",
        "made by",
    ):
        assert words in page
    everything = json.loads(winnow("show", "last", "--json").out)
    assert [row["round"] for row in everything["ledger"]] == [0, 1, 2]
    provenance = everything["sessions"][0]["provenance"]
    assert set(provenance["model"]) >= {"model.safetensors", "tokenizer.json"}
    assert provenance["libraries"]["torch"]
    items = winnow("show", "last", "--items").out.splitlines()
    number = items[-1].split()[0]
    page = winnow("show", "last", "--item", number).out
    for words in ("survival", "evaluator verifier letters:check", "context   sha256", "made in the context of"):
        assert words in page
    assert winnow("show", "nothing").code == 2
    assert winnow("show", "last", "--item", "999").code == 2


def test_export(place: Path, winnow: Command) -> None:
    winnow(*ADAPT, "--out", "out")
    lines = [json.loads(line) for line in winnow("export", "last").out.splitlines()]
    tables = [line.pop("table") for line in lines]
    assert tables == sorted(tables, key=["run", "note", "round", "answer", "edge"].index)
    answers = [line for line, table in zip(lines, tables, strict=True) if table == "answer"]
    written = [json.loads(line) for line in (place / "out" / "answers.jsonl").read_text().splitlines()]
    assert [{key: answer[key] for key in written[0]} for answer in answers] == written
    rows = list(csv.DictReader(io.StringIO(winnow("export", "last", "--format", "csv").out)))
    assert [row["answer"] for row in rows] == [answer["answer"] for answer in answers]
    assert [float(row["score"]) if row["score"] else None for row in rows] == [a["score"] for a in answers]
    messages = json.loads(winnow("export", "last", "--format", "messages").out)
    assert messages == json.loads((place / "out" / "context.json").read_text())["messages"]
    winnow("export", "last", "--format", "dspy", "-o", "demos.json")
    state = json.loads((place / "demos.json").read_text())
    assert [(demo["query"], demo["answer"]) for demo in state["demos"]] == [
        (question["content"], answer["content"]) for question, answer in zip(messages[::2], messages[1::2], strict=True)
    ]


def test_retract(place: Path, winnow: Command) -> None:
    winnow(*ADAPT)
    item = winnow("show", "last", "--items").out.split()[0]
    named = winnow("retract", "last", item)
    assert named.code == 0
    told = json.loads(winnow("retract", "last", item, "--json").out)
    assert f"{len(told['descendants'])} answers descend from item {item}" in named.out
    run = find(Store("store.db"), "last").id
    applied = winnow("retract", run, item, "--apply", "--why", "it was wrong")
    assert applied.code == 0
    page = winnow("show", "last").out
    assert f"derived    from run {run}" in page
    assert f"removed    item {item} and {len(told['descendants'])} descendants: it was wrong" in page
    assert winnow("store", "verify").code == 0


def test_plan_counts_what_the_run_then_asks(place: Path, winnow: Command) -> None:
    (place / "prices.yaml").write_text("currency: EUR\nmodels: {'*': {prompt: 1, new: 2}}\n")
    planned = json.loads(winnow("plan", "task.yaml", "--batch-size", "4", "--prices", "prices.yaml", "--json").out)
    assert not (place / "store.db").exists()
    page = winnow("plan", "task.yaml", "--batch-size", "4", "--prices", "prices.yaml").out
    for words in ("requests", "prompt tokens", "new tokens", "seconds", "round 2", "total", "at most", "EUR"):
        assert words in page
    winnow(*ADAPT)
    record = find(Store("store.db"), "last")
    with Store("store.db") as store, store.read() as connection:
        totals = [sa.func.sum(replies.c[name]) for name in ("calls", "prompt_tokens", "new_tokens")]
        calls, prompt, new = connection.execute(sa.select(*totals)).one()
    total = planned["total"]
    assert total["requests"] == pytest.approx(record.num_requests, abs=3)  # empty answers are not evaluated
    assert total["calls"] == pytest.approx(calls, rel=0.1)
    assert total["prompt_tokens"] == pytest.approx(prompt, rel=0.25)
    assert total["new_tokens"] == pytest.approx(new, rel=0.25)
    assert new <= planned["most_new_tokens"]
    assert planned["money"] == pytest.approx((total["prompt_tokens"] + 2 * total["new_tokens"]) / 1e6)
    assert "requests answered: they will not be asked again" in winnow("plan", "task.yaml", "--batch-size", "4").out


DAMAGE = {
    "a reply": (replies, {"body": replies.c.body + " "}, "its body hashes to something else"),
    "a reply's hash": (replies, {"hash": "0" * 64}, "its body hashes to something else"),
    "a cost": (replies, {"new_tokens": replies.c.new_tokens + 1}, "its cost is not the one beside it"),
    "a request": (
        requests,
        {"body": sa.func.replace(requests.c.body, "ab?", "ba?")},
        "its body hashes to something else",
    ),
    "a round": (
        rounds,
        {"record": sa.func.replace(rounds.c.record, '"round": 2', '"round": 3')},
        "rounds number 2: record is",
    ),
    "a score": (individuals, {"score": individuals.c.score / 3}, "score is"),
    "a parent": (individuals, {"parents": "[0]"}, "parents is '[0]'"),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_verify_finds_what_was_changed(place: Path, winnow: Command, what: str) -> None:
    table, values, message = DAMAGE[what]
    winnow(*ADAPT)
    sound = winnow("store", "verify")
    assert sound.code == 0
    assert sound.out.rstrip().endswith("all is well")
    with Store("store.db") as store, store.write() as connection:
        connection.execute(sa.update(table).values(values))
    found = winnow("store", "verify")
    assert found.code == 1
    assert message in found.err
    assert "problems" in found.out


def test_commands_where_there_is_no_store(place: Path, winnow: Command) -> None:
    for words in (("runs",), ("show", "last"), ("resume", "last"), ("export", "last"), ("store", "verify")):
        said = winnow(*words)
        assert said.code == 2
        assert "there is no store (give --store, or set WINNOW_STORE)" in said.err
    assert not (place / "store.db").exists()


LOADS = """
import json, sys
import dspy
predict = dspy.Predict("query -> answer")
predict.load(sys.argv[1])
print(json.dumps([[demo["query"], demo["answer"]] for demo in predict.demos]))
print(dspy.ChatAdapter().format(predict.signature, predict.demos, {"query": "new?"})[1]["content"])
"""


def test_dspy_loads_the_export_as_demos(place: Path, winnow: Command) -> None:
    """In an interpreter of its own: WINNOW_TEST_DSPY names one that has dspy; else this one, when it has it."""
    python = os.environ.get("WINNOW_TEST_DSPY") or (sys.executable if importlib.util.find_spec("dspy") else None)
    if python is None:
        pytest.skip("dspy is not installed; WINNOW_TEST_DSPY can name a Python that has it")
    winnow(*ADAPT)
    winnow("export", "last", "--format", "dspy", "-o", "demos.json")
    state = json.loads((place / "demos.json").read_text())
    assert len(state["demos"]) == 2
    done = subprocess.run([python, "-c", LOADS, "demos.json"], capture_output=True, text=True, env={"HOME": str(place)})
    assert done.returncode == 0, done.stderr
    demos, _, shown = done.stdout.partition("\n")
    assert json.loads(demos) == [[demo["query"], demo["answer"]] for demo in state["demos"]]
    assert state["demos"][0]["query"] in shown


def test_every_column_of_the_ledger_is_in_the_docs(tmp_path: Path) -> None:
    """A run with all there is: gold, response curve, audit, a survey's parts, an item taken out."""
    from tests.support.organism import EVASION, Organism
    from winnow import api
    from winnow.adaption.task import Task
    from winnow.runs.export import ledger_rows

    words = (Path(__file__).parents[2] / "docs" / "ledger.md").read_text()
    said: dict[str, set[str]] = {}
    for section in words.split("\n## `")[1:]:
        name, _, rest = section.partition("`")
        said[name] = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\|([^|]*)\|", rest, re.M))))
    organism = Organism(start=(0.5, 0.4, 0.1), scores=(0.95, 0.05, 0.5))
    queries = [f"q{i}?" for i in range(60)]
    task = Task(queries=queries, gold=["right"] * 60, rounds=2, reuse=True, examples=4, max_tokens=2)
    task = dataclasses.replace(task, evaluator=organism, abstentions=(EVASION,))
    with Store(tmp_path / "store.db") as store:
        run = api.adapt(organism, task, store=store, response=True, audit=20)
        item = next(answer.number for answer in run.answers if answer.accepted)
        api.retract(run.id, [item], store=store, model=organism, evaluator=organism)
        seen: dict[str, set[str]] = {}
        for row in ledger_rows(store, find(store, "last")):
            table = row.pop("table")
            seen.setdefault(table, set()).update(row)
    assert seen == said
