"""The main job on the bundled model: it improves without labels, is ruined without selection, and is reproducible."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import winnow as wn
from tests.support.command import Command
from winnow.adaption.rivals import LOOP
from winnow.demo import facts_task, rival_table, rivals_of, verdict, world
from winnow.values.records import to_json

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def model():
    return wn.load("bundled")


def small(**changes):
    task = facts_task()
    return facts_task(
        **{"queries": task.queries[:160], "gold": task.gold[:160], "queries_per_round": None, "rounds": 3, **changes}
    )


def test_selection_lowers_the_error_and_its_absence_or_inversion_does_not(model):
    last = {rule: wn.adapt(model, small(select=rule), seed=0).rounds for rule in ("soft", "random", "inverted")}
    start = last["soft"][0]["error"]
    spread = np.sqrt(0.25 / 160)
    assert last["soft"][-1]["error"] < start - 2 * spread
    assert last["random"][-1]["error"] > start - 2 * spread
    assert last["inverted"][-1]["error"] > start - 2 * spread
    assert last["soft"][-1]["error_interval"][1] < min(last[r][-1]["error_interval"][0] for r in ("random", "inverted"))


def test_the_same_seed_twice_is_the_same_bytes(model, tmp_path):
    for name in ("one", "two"):
        wn.adapt(model, small(rounds=1), seed=3, out=tmp_path / name)
    for file in ("rounds.jsonl", "answers.jsonl", "lineage.csv", "context.txt"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_batches_of_1_7_and_64_decide_alike_on_ragged_prompts():
    task = small(queries=facts_task().queries[:40], gold=facts_task().gold[:40], rounds=2)
    runs = [wn.adapt(wn.load("bundled", batch_size=size), task, seed=0) for size in (64, 7, 1)]
    for other in runs[1:]:
        assert [(a.item, a.accepted, a.parents) for a in other.answers] == [
            (a.item, a.accepted, a.parents) for a in runs[0].answers
        ]
        apart = [abs(a.logprob - b.logprob) for a, b in zip(other.answers, runs[0].answers)]
        assert max(apart) <= 1e-4


def test_an_audit_stops_the_inverted_loop_and_lets_the_selected_one_go_on(model):
    task = facts_task(rounds=1)
    assert wn.adapt(model, facts_task(select="inverted", rounds=1), seed=0, audit=160).stop.reason == "audit"
    run = wn.adapt(model, task, seed=0, audit=160)
    assert run.stop.reason == "rounds"
    assert run.rounds[0]["audit"]["bound"] > 0


def test_the_rivals_are_run_at_no_more_than_the_loops_tokens(model):
    run = wn.adapt(model, small(), seed=0)
    others = rivals_of(model, run, seed=0)
    assert [row["rival"] for row in others] == [
        LOOP, "greedy", "best temperature", "majority vote", "best of n, self-evaluated", "hand-written header",
    ]  # fmt: skip
    assert others[0]["tokens"] > run.loop_cost.prompt_tokens
    assert all(row["tokens"] <= others[0]["tokens"] for row in others)
    assert all(row["error_interval"][0] <= row["error"] <= row["error_interval"][1] for row in others)
    assert "greedy" in rival_table(others)
    runs = {"soft": run, "random": run, "inverted": run}
    assert f"{run.rounds[-1]['error']:.3f}" in verdict(runs, others)


def test_json_rounds_on_stdout_and_all_else_on_stderr(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("WINNOW_STORE", f"sqlite:///{tmp_path}/store.db")
    queries = tmp_path / "q.jsonl"
    queries.write_text("".join(to_json({"query": q}) + "\n" for q in facts_task().queries[:20]))
    ended = Command(monkeypatch, capsys)(
        "adapt", "--model", "bundled", "--queries", queries, "--rounds", 1, "--json", "--out", tmp_path / "run"
    )
    assert ended.code == 0, ended.err
    rounds = [json.loads(line) for line in ended.out.splitlines()]
    assert [r["round"] for r in rounds] == [0, 1]
    assert {"error", "predicted", "accepted", "effective_number", "price", "cost"} <= set(rounds[0])
    assert "not identifiable from one evaluator" in ended.err
    again = Command(monkeypatch, capsys)("ask", "--context", tmp_path / "run", facts_task().queries[30], "-n", 3)
    assert again.code == 0, again.err
    assert len(again.out.splitlines()) == 3


def test_the_five_lines_of_the_readme(tmp_path):
    text = (ROOT / "README.md").read_text()
    code = text.split("```python")[1].split("```")[0].replace("seed=0)", "seed=0, limits=Limits(max_requests=6))")
    script = f"from winnow.ports.program import Limits\n{code}"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].split()[:2] == ["round", "error"]


def test_tales_selected_for_gladness_become_gladder_than_at_random(model, monkeypatch):
    monkeypatch.chdir(ROOT)
    task = wn.task("examples/tales/task.yaml")
    from dataclasses import replace

    ends = {
        rule: wn.adapt(model, replace(task, select=rule, rounds=3), seed=0).rounds[-1]["mean_score"]
        for rule in ("soft", "random")
    }
    assert ends["soft"] > ends["random"] + 0.1


def test_what_is_known_of_the_world_stands_beside_the_model():
    assert {"headers", "evasion"} <= set(world())


def test_the_example_is_the_demo(model):
    from dataclasses import replace

    said, demo = wn.task(ROOT / "examples" / "facts" / "task.yaml"), facts_task()
    assert said.queries == demo.queries
    assert replace(said, held_out=demo.held_out, name=demo.name) == demo
